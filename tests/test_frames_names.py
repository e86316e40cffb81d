"""What names of files say where headers are silent, and what headers say of filters."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from astropy.time import Time
from fits_files import write_frame

from autoreduce.fits.header import headers_from_text
from autoreduce.fits.names import pattern_of
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import FrameReader, frames_of_file
from autoreduce.frames.overrides import apply_overrides, select
from autoreduce.frames.scan import scan, scan_night
from autoreduce.planning.notes import undated
from autoreduce.planning.planner import make_plan


def frame(folder, name, kind, value=0, shape=(3, 4), **cards):
    usual = {"IMAGETYP": kind, "INSTRUME": "Cam", "EXPTIME": 5.0}
    return write_frame(folder / name, value, shape, **{**usual, **cards})


def column(folder, name):
    return dict(scan(folder).set_index("file")[name].dropna())


def fact(cards, name):
    header = headers_from_text(cards)[0]
    return FrameReader(load_dialects()).read_facts(header).value(name)


@pytest.mark.parametrize(
    ("cards", "wanted"),
    [
        ("FILTER = 'NO_FILTER'\nFILTER2 = 'V'", "V"),
        ("FILTER = 'b'\nFILTER2 = 'NO_FILTER'", "b"),
        ("FILTER = 'Clear'\nFILTER2 = 'Open'", "Clear"),
        ("FILTER = 'B'\nFILTER2 = 'ND2'", "B+ND2"),
        ("FILTER = 'Clear'\nFILTER1 = 'empty'\nFILTER2 = 'R'", "R"),
        ("FILTER = 'ip'\nFILTER1 = 'air'\nFILTER2 = 'ip'", "ip"),
        ("FILTER1 = 'V'\nFILTER2 = ''", "V"),
        ("FILTER = '#2 G'", "G"),
        ("FILTER = 'G (slot 2)'", "G"),
        ("FILTER = 'Slot 2: G'", "G"),
        ("FILTER = 'Position 2 G'", "G"),
        ("FILTER = '2 - G'", "G"),
        ("FILTER = '2-G'", "2-G"),
        ("FILTER = '[G0]'", "G0"),
        ("FILTER = 'Sloan r'''", "Sloan r'"),
        ("FILTER = '3 nm Ha'", "3 nm Ha"),
    ],
)
def test_wheels_and_slots_give_the_filter(cards, wanted):
    assert fact(cards, "filter") == wanted


def test_flats_without_a_card_are_named_by_their_files(tmp_path):
    for name in ("L", "R", "G"):
        frame(tmp_path, f"Flat_{name}_001.fits", "Flat Frame")
    frame(tmp_path, "M31_R_001.fits", "Light Frame", OBJECT="M31")
    frame(tmp_path, "Leo_I_001.fits", "Light Frame")
    night = scan_night([tmp_path])
    found = dict(night.frames.set_index("file")["filter"].dropna())
    assert found == {
        "Flat_L_001.fits": "L",
        "Flat_R_001.fits": "R",
        "Flat_G_001.fits": "G",
        "M31_R_001.fits": "R",
    }
    evidence = night.evidence.query("fact == 'filter'")
    assert set(evidence["keyword"]) == {"name"}


def test_unnamed_flats_are_kept_apart_by_level_and_told(tmp_path):
    frame(tmp_path, "0.fits", "Flat", 9000, FILTER="R")
    frame(tmp_path, "1.fits", "Light", 90, FILTER="B")
    for n, level in enumerate((20000, 21000, 12000, 12500), 2):
        frame(tmp_path, f"{n}.fits", "Flat", level)
    found = column(tmp_path, "filter")
    assert found["2.fits"] == found["3.fits"] != found["4.fits"] == found["5.fits"]
    told = [
        note
        for note in make_plan(scan(tmp_path)).notes
        if note.code == "unnamed-filter"
    ]
    assert [note.subject for note in told] == [
        ("2.fits", "3.fits"),
        ("4.fits", "5.fits"),
    ]
    # Which of two runs is of the lights' filter is not known.
    assert told[0].way_out == "--set '2.fits,3.fits: filter=NAME'"
    assert told[0].expected == "B"


def test_a_run_of_unnamed_flats_beside_lights_of_one_filter_is_offered_theirs(tmp_path):
    frame(tmp_path, "0.fits", "Flat", 9000, FILTER="R")
    frame(tmp_path, "1.fits", "Light", 90, FILTER="B")
    frame(tmp_path, "2.fits", "Flat", 20000)
    (told,) = [
        note
        for note in make_plan(scan(tmp_path)).notes
        if note.code == "unnamed-filter"
    ]
    assert told.way_out == "--set '2.fits: filter=B'"


def test_a_night_of_one_filter_keeps_its_twilight_flats_together(tmp_path):
    for n, level in enumerate((20000, 10000)):
        frame(tmp_path, f"{n}.fits", "Flat", level)
    assert column(tmp_path, "filter") == {}


def test_exposure_night_and_object_come_from_the_name(tmp_path):
    cards = {"IMAGETYP": "Light", "INSTRUME": "Cam"}
    name = "NGC_7000_2024-03-02_01-30-00_300s.fits"
    write_frame(tmp_path / name, **cards)
    row = scan(tmp_path).iloc[0]
    assert (row["exptime"], row["night"], row["object"]) == (
        300.0,
        "2024-03-01",
        "NGC_7000",
    )


def test_cards_are_never_overruled_by_the_name(tmp_path):
    name = "M31_R_300s_20240301.fits"
    cards = {"FILTER": "B", "OBJECT": "Crab", "DATE_OBS": "2024-05-01T22:00:00"}
    frame(tmp_path, name, "Light Frame", **cards)
    row = scan(tmp_path).iloc[0]
    assert (row["exptime"], row["filter"], row["object"]) == (5.0, "B", "Crab")
    assert row["night"] == "2024-05-01"


def test_a_colour_pattern_holds_for_all_frames_of_the_camera(tmp_path):
    frame(tmp_path, "flat.fits", "Flat")
    frame(tmp_path, "light.fits", "Light", BAYERPAT="RGGB")
    frame(tmp_path, "binned.fits", "Light", XBINNING=2, YBINNING=2)
    assert column(tmp_path, "bayerpat") == {"flat.fits": "RGGB", "light.fits": "RGGB"}


@pytest.mark.parametrize(
    "date",
    ["9999-12-31T23:59:60", "0001-01-01T00:00:00+05:00", "2024-02-30T10:00:00"],
)
def test_a_date_that_cannot_be_costs_the_date_only(tmp_path, date):
    frame(tmp_path, "a.fits", "Light", DATE_OBS=date)
    assert scan(tmp_path)["date_obs"].isna().all()


@pytest.mark.parametrize("pedestal", [-100, 100])
def test_a_pedestal_of_either_sign_is_the_level_that_was_added(pedestal):
    assert fact(f"PEDESTAL= {pedestal}", "pedestal") == 100.0
    assert fact("PEDESTAL= 0", "pedestal") is None


def test_rows_and_what_depends_on_them_are_turned_to_those_of_the_lights(tmp_path):
    """Row 4 of 4 becomes row 1: a strip at the top is one at the bottom then."""
    cards = {"BAYERPAT": "RGGB", "BIASSEC": "[1:4,4:4]", "TRIMSEC": "[1:4,1:3]"}
    shape = (4, 4)
    frame(tmp_path, "b.fits", "Dark", shape=shape, ROWORDER="BOTTOM-UP", **cards)
    frame(tmp_path, "l.fits", "Light", shape=shape, ROWORDER="TOP-DOWN")
    frame(tmp_path, "f.fits", "Flat", shape=shape)
    table = scan(tmp_path).set_index("file")
    assert table["turned"].dropna().to_dict() == {"b.fits": True}
    told = ["bayerpat", "biassec", "trimsec"]
    assert table.loc["b.fits", told].tolist() == ["GBRG", "[1:4,1:1]", "[1:4,2:4]"]
    notes = [note for note in make_plan(scan(tmp_path)).notes if note.code == "turned"]
    assert [note.found for note in notes] == ["1 dark frame"]


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ("TRIMSEC = '[1:8,1:6]'", "[1:4,1:3]"),
        ("TRIMSEC = '[1:3,1:3]'", "[1:3,1:3]"),
        ("TRIMSEC = '[1:90,1:90]'\nDATASEC = '[1:3,1:3]'", "[1:3,1:3]"),
        ("TRIMSEC = '[1:90,1:90]'", None),
    ],
)
def test_sections_of_the_unbinned_chip_and_those_outside(section, wanted):
    cards = "NAXIS = 2\nNAXIS1 = 4\nNAXIS2 = 3\nXBINNING= 2\nYBINNING= 2\n"
    header = headers_from_text(cards + section)[0]
    path = Path("a.fits")
    (only,) = frames_of_file("a.fits", path, [header], load_dialects())
    assert only.value("trimsec") == wanted


@pytest.mark.parametrize(
    ("name", "card", "other"),
    [
        ("coadds", {"COADDS": 10}, {"COADDS": 1}),
        ("slit", {"SLIT": "lSlit1"}, {}),
        ("disperser", {"GRISM": "600B"}, {"GRISM": "open"}),
        ("lamp", {"LAMP": "quartz"}, {"LAMP": "off"}),
        ("lamp", {"OBJECT": "halogen flat"}, {"OBJECT": "twilight flat"}),
    ],
)
def test_flats_of_other_coadds_slits_grisms_and_lamps_are_not_pooled(
    tmp_path, name, card, other
):
    for n, cards in enumerate((card, card, other)):
        frame(tmp_path, f"{n}.fits", "Flat", 900 + n, FILTER="R", **cards)
    frame(tmp_path, "b.fits", "Bias", EXPTIME=0.0, **(card if name == "coadds" else {}))
    frame(tmp_path, "c.fits", "Bias", EXPTIME=0.0)
    plan = make_plan(scan(tmp_path))
    flats = [task for task in plan.tasks if task.action == "flat"]
    assert sorted(len(task.frames) for task in flats) == [1, 2]


@pytest.mark.parametrize(
    "card",
    [
        "HIERARCH ESO DPR TECH = 'IMAGE,JITTER'",
        "OBS_MODE= 'Imaging '",
        "OBSTYPE = 'IMAGING '",
    ],
)
@pytest.mark.parametrize("shows_picture", [True, False])
def test_a_grating_that_stands_beside_the_beam_makes_no_spectrum(card, shows_picture):
    """Cameras with gratings name one in every header, be it in the beam or not."""
    told = card if shows_picture else card.replace("IMA", "SPECTRUM").replace("Ima", "")
    cards = "NAXIS = 2\nNAXIS1 = 4\nNAXIS2 = 3\nORIGIN = 'ESO'\n"
    cards += f"HIERARCH ESO INS GRAT NAME = 'MR'\n{told}"
    header = headers_from_text(cards)[0]
    (only,) = frames_of_file("a.fits", Path("a.fits"), [header], load_dialects())
    assert only.value("disperser") == (None if shows_picture else "MR")


def test_a_name_alone_makes_no_dark_of_a_light(tmp_path):
    """The level decides: one frame lies where the darks lie, one has sky."""
    for n in range(3):
        frame(tmp_path, f"{n}.fits", "Dark Frame", 100 + n, shape=(64, 64))
    frame(tmp_path, "DarkSky-5s.fits", "Light Frame", 900, shape=(64, 64))
    frame(tmp_path, "dark-5s.fits", "Light Frame", 101, shape=(64, 64))
    found = column(tmp_path, "imagetyp")
    assert (found["DarkSky-5s.fits"], found["dark-5s.fits"]) == ("light", "dark")


def test_cards_of_writers_of_old_observatories():
    start = fact("DATE-OBS= '2001-03-04'\nTM-START= 3723.5", "date_obs")
    assert start.isoformat() == "2001-03-04T01:02:03.500000+00:00"
    assert fact("XFACTOR = 2\nYFACTOR = 4", "ybinning") == 4


@pytest.mark.parametrize(
    ("recipe", "code"),
    [("N/A", None), ("REDUCE_BIAS", "calibrated"), ("QUICK_LOOK", "calibrated")],
)
def test_a_recipe_marks_what_a_pipeline_made_unless_it_is_none(tmp_path, recipe, code):
    """Raw frames of such observatories carry the card, too, as N/A."""
    frame(tmp_path, "a.fits", "Bias", PCRECIPE=recipe)
    assert column(tmp_path, "code") == ({} if code is None else {"a.fits": code})


@pytest.mark.parametrize("card", ["FLATFRM", "SUBOVER", "ADUTOELE"])
def test_reduced_frames_are_known_by_the_stamps_of_their_pipeline(tmp_path, card):
    frame(tmp_path, "a.fits", "Light", **{card: "done"})
    assert scan(tmp_path)["code"].tolist() == ["calibrated"]


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [
        ("UTC", "2024-03-01T20:01:09.184"),
        ("TAI", "2024-03-01T20:00:32.184"),
        ("TT", "2024-03-01T20:00:00"),
        ("GPS", "2024-03-01T20:00:51.184"),
    ],
)
def test_times_of_another_scale_are_brought_to_utc(scale, wanted):
    """TT is 69.184 s ahead of UTC since 2017, TAI 37 s, GPS 18 s."""
    cards = f"DATE-OBS= '2024-03-01T20:01:09.184'\nTIMESYS = '{scale}'"
    assert fact(cards, "date_obs") == datetime.fromisoformat(f"{wanted}+00:00")


@pytest.mark.parametrize(
    "time", ["1998-12-31T23:59:40", "1999-01-01T00:00:40", "2012-06-30", "2024-03-01"]
)
def test_seconds_between_the_scales_are_astropys(time):
    with_clock = time if "T" in time else f"{time}T12:00:00"
    cards = f"DATE-OBS= '{with_clock}'\nTIMESYS = 'TAI'"
    wanted = Time(with_clock, scale="tai").utc.to_datetime(UTC)
    assert abs(fact(cards, "date_obs") - wanted) < timedelta(milliseconds=1)


def test_a_local_time_is_no_utc_and_a_card_in_ut_is():
    local = "DATE-OBS= '2024-03-01T20:00:00'\nTIMESYS = 'LOCAL'"
    assert fact(local, "date_obs") is None
    assert fact(f"DATE-UT = ''\n{local}", "date_loc") is not None
    beside = "DATE-UTC= '2024-03-02T03:00:00'\nTIMESYS = 'LOCAL'"
    assert fact(beside.replace("DATE-UTC", "UTC-OBS"), "date_obs").hour == 3


@pytest.mark.parametrize(
    ("literal", "words"),
    [
        ("2024-02-30T20:00:00", "DATE-OBS = 2024-02-30T20:00:00 (no date with a time"),
        ("UNKNOWN", "DATE-OBS = UNKNOWN (no date"),
        ("2024-03-01", "DATE-OBS = 2024-03-01 (no date with a time of day"),
    ],
)
def test_lights_whose_date_cannot_be_read_are_told(tmp_path, literal, words):
    for n, name in enumerate(("a.fits", "b.fits")):
        frame(tmp_path, name, "Light", value=n, DATE_OBS=literal)
    frame(tmp_path, "c.fits", "Light", value=3, DATE_OBS="2024-03-01T20:00:00")
    frame(tmp_path, "d.fits", "Dark", value=4, DATE_OBS=literal)
    night = scan_night([tmp_path])
    (told,) = undated(night.frames, night.evidence)
    assert told.subject == ("a.fits", "b.fits")
    assert words in str(told)
    by_hand = apply_overrides(
        night.frames, settings=["*: date_obs=2024-03-01T20:15:00"]
    )
    assert undated(by_hand, night.evidence) == []


@pytest.mark.parametrize(("level", "kind"), [(700, "light"), (300, "bias")])
def test_lights_of_0_s_are_told_from_bias_frames_by_their_level(tmp_path, level, kind):
    """A program that leaves the exposure at 0 takes lights all the same."""
    for n in range(3):
        frame(tmp_path, f"a{n}.fits", "Bias", value=300, EXPTIME=0.0)
    frame(tmp_path, "x.fits", "Light", value=level, EXPTIME=0.0)
    assert column(tmp_path, "imagetyp")["x.fits"] == kind
    # No dark is taken to 0 s for a light: how long it was has to be told.
    assert ("x.fits" in column(tmp_path, "exptime")) == (kind == "bias")


@pytest.mark.parametrize(
    ("meant", "others"),
    [
        (["dark_1.fits", "dark_2.fits"], ["bad/dark_3.fits"]),
        (["dark_1.fits"], ["bad/dark_1.fits"]),
        (["0012.fits", "0013.fits"], ["lights/0013.fits"]),
        (["M31, R 1.fits", "M31, R 2.fits"], ["M31, R 3.fits", "M31, V 1.fits"]),
        (["M31 [R] 1.fits", "M31 [R] 2.fits"], ["M31 [V] 1.fits", "M31 R 1.fits"]),
        (["o'neil 1.fits"], ["oneil 1.fits", "o'neil 2.fits"]),
        (["mon/x03.fits", "mon/x04.fits", "tue/x05.fits"], ["y2.fits", "x6.fits"]),
        (["x03.fits", "x04.fits", "x05.fits"], ["y2.fits", "y4.fits"]),
        (["x03.fits", "x04.fits", "x05.fits"], ["y.fits", "x9.fits"]),
        (["a0.fits[1]", "a1.fits[1]"], ["a0.fits[2]", "a1.fits[2]", "b0.fits[1]"]),
    ],
)
def test_a_pattern_that_is_pasted_means_the_frames_and_no_others(meant, others):
    files = [*meant, *others]
    pattern = pattern_of(meant, files)
    table = pd.DataFrame({"file": files})
    assert table["file"][select(table, pattern)].tolist() == meant
    assert shlex.split(f"--exclude '{pattern}'") == ["--exclude", pattern]
