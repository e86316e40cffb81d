"""Folders to frame tables: what is in, what is left out, and why."""

import gzip
import os
import shutil
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from fits_files import write_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoreduce.errors import InputError, SettingsError
from autoreduce.fits.header import RawHeader
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import frames_of_file
from autoreduce.frames.overrides import apply_overrides
from autoreduce.frames.scan import read_file, scan, scan_night
from autoreduce.frames.schema import EVIDENCE_COLUMNS, FRAME_COLUMNS
from autoreduce.frames.together import decide_together
from autoreduce.prepare import prepare_night


def write_light(path, **cards):
    usual = {"IMAGETYP": "Light Frame", "EXPTIME": 60.0, "INSTRUME": "Cam"}
    return write_frame(path, **{**usual, **cards})


def row_of(frames, file):
    return frames.set_index("file").loc[file]


def test_table_has_every_column_and_is_sorted_by_time(tmp_path):
    write_light(tmp_path / "b.fits", DATE_OBS="2021-02-27T20:00:00")
    write_light(tmp_path / "sub" / "a.FIT", DATE_OBS="2021-02-27T21:00:00")
    frames = scan(tmp_path)
    assert list(frames.columns) == [column.name for column in FRAME_COLUMNS]
    assert frames["file"].tolist() == ["b.fits", "sub/a.FIT"]
    assert frames.attrs["root"] == str(tmp_path)
    assert row_of(frames, "b.fits")["naxis1"] == 4


@pytest.mark.parametrize(
    "name", ["a.fit", "a.fits", "a.fts", "A.FIT", "a.Fits", "a.fits.gz", "a.FIT.GZ"]
)
def test_every_fits_name_is_found(tmp_path, name):
    plain = write_light(tmp_path / "x.dat").read_bytes()
    packed = name.lower().endswith("gz")
    (tmp_path / name).write_bytes(gzip.compress(plain) if packed else plain)
    assert scan(tmp_path)["file"].tolist() == [name]


def test_several_folders_share_their_parent(tmp_path):
    write_light(tmp_path / "one" / "a.fits")
    write_light(tmp_path / "two" / "a.fits", EXPTIME=30.0)
    night = scan_night([tmp_path / "one", tmp_path / "two"])
    assert sorted(night.frames["file"]) == ["one/a.fits", "two/a.fits"]
    assert night.root == tmp_path


def test_folder_given_twice_is_read_once(tmp_path):
    write_light(tmp_path / "a.fits")
    assert len(scan(tmp_path, tmp_path)) == 1


def test_evidence_names_card_literal_and_rule(tmp_path):
    write_light(tmp_path / "a.fits", EXPOSURE=30.0)
    evidence = scan_night([tmp_path]).evidence
    assert list(evidence.columns) == list(EVIDENCE_COLUMNS)
    row = evidence.set_index("fact").loc["exptime"]
    assert row.drop("rule").to_dict() == {
        "file": "a.fits",
        "value": "60.0",
        "keyword": "EXPTIME",
        "literal": "60.0",
        "disagree": "EXPOSURE=30.0",
    }


def test_unreadable_files_are_listed_and_the_others_go_on(tmp_path):
    write_light(tmp_path / "a.fits")
    (tmp_path / "._a.fits").write_bytes(b"\0\5\x16\7notes")
    (tmp_path / "b.fit").write_bytes(b"<html>")
    (tmp_path / "c.fits.bz2").write_bytes(b"BZh9")
    (tmp_path / "d.txt").write_text("no FITS name")
    night = scan_night([tmp_path])
    assert night.frames["file"].tolist() == ["a.fits"]
    assert night.unreadable["file"].tolist() == ["._a.fits", "b.fit", "c.fits.bz2"]
    assert night.unreadable["reason"].str.len().min() > 10


def test_file_that_may_not_be_read_is_listed(tmp_path):
    write_light(tmp_path / "a.fits")
    (tmp_path / "b.fits").symlink_to(tmp_path / "nowhere.fits")
    night = scan_night([tmp_path])
    assert "cannot be read" in night.unreadable["reason"].iloc[0]


def test_pipe_with_a_fits_name_does_not_hang_the_scan(tmp_path):
    write_light(tmp_path / "a.fits")
    os.mkfifo(tmp_path / "b.fits")
    unreadable = scan_night([tmp_path]).unreadable
    assert unreadable.to_dict("records") == [{"file": "b.fits", "reason": "not a file"}]


def test_folder_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    write_light(tmp_path / "a.fits")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    reasons = scan_night([tmp_path]).unreadable["reason"].tolist()
    assert reasons == ["folder cannot be read: Permission denied"]


def test_odd_file_names_survive(tmp_path):
    names = ["a b.fits", "it's.fits", 'quo"te.fits', "caf\xe9.fits", "semi;colon.fits"]
    for number, name in enumerate(names):
        write_light(tmp_path / name, value=number)
    assert sorted(scan(tmp_path)["file"]) == sorted(names)


def test_file_whose_name_is_no_text_is_listed(tmp_path):
    path = write_light(tmp_path / "a.fits")
    shutil.copy(path, os.fsencode(tmp_path) + b"/\xff.fits")
    unreadable = scan_night([tmp_path]).unreadable
    assert unreadable["file"].tolist() == ["\\udcff.fits"]
    assert "rename it" in unreadable["reason"].iloc[0]


@pytest.mark.parametrize("depth", [1, 2])
def test_links_that_go_in_circles_end(tmp_path, depth):
    folder = tmp_path / "night" / "sub" if depth == 2 else tmp_path / "night"
    write_light(folder / "a.fits")
    (folder / "loop").symlink_to(tmp_path / "night")
    assert len(scan(tmp_path / "night")) == 1


def test_linked_folder_outside_is_followed(tmp_path):
    write_light(tmp_path / "archive" / "a.fits")
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "flats").symlink_to(tmp_path / "archive")
    assert scan(tmp_path / "night")["file"].tolist() == ["flats/a.fits"]


def test_own_output_folder_is_passed_over(tmp_path):
    write_light(tmp_path / "a.fits")
    output = tmp_path / "night_reduced"
    write_light(output / "calibrated" / "a.fits")
    for name in ("plan.json", "frames.csv"):
        (output / name).write_text("")
    assert scan(tmp_path)["file"].tolist() == ["a.fits"]


def test_own_product_among_the_frames_is_left_out(tmp_path):
    write_light(tmp_path / "a.fits", CREATOR="autoreduce 0.1.0")
    row = row_of(scan(tmp_path), "a.fits")
    assert (row["use"], row["why_not"]) == (False, "made by autoreduce (CREATOR)")


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ("absent", "does not exist"),
        ("file.fits", "is a file"),
        ("empty", "no FITS files"),
    ],
)
def test_folder_without_frames_says_the_way_out(tmp_path, folder, complaint):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.fits").write_text("")
    with pytest.raises(InputError, match=complaint):
        scan(tmp_path / folder)


def test_raw_images_of_other_formats_are_named_unless_they_were_converted(tmp_path):
    write_light(tmp_path / "fits" / "b.fits")
    for name in ("lights/a.XISF", "lights/b.CR2", "lights/b.jpg", "c.ser"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"anything")
    assert scan_night([tmp_path]).others == ("c.ser", "lights/a.XISF")
    (note,) = (one for one in prepare_night([tmp_path]).plan.notes if one.found == "2")
    assert (note.code, note.expected) == ("other-formats", "c.ser")
    with pytest.raises(InputError, match=r"2 of another format, such as a\.XISF"):
        scan(tmp_path / "lights")


def test_folder_of_unreadable_files_names_one_of_them(tmp_path):
    (tmp_path / "a.fits").write_text("")
    with pytest.raises(InputError, match=r"a\.fits: empty file"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"CALSTAT": "BDF"}, "calibrated already (CALSTAT = BDF)"),
        ({"FLATCOR": "Sep 21 0:50"}, "calibrated already (FLATCOR = Sep 21 0:50)"),
        ({"L1STATBI": 1}, "calibrated already (L1STATBI = 1)"),
        ({"HISTORY": "Auto-Dark Subtraction"}, "(HISTORY Auto-Dark Subtraction)"),
        ({"NCOMBINE": 5}, "made of 5 exposures (NCOMBINE)"),
        ({"STACKCNT": 187}, "made of 187 exposures (STACKCNT)"),
        ({"IMAGETYP": "focus"}, "type other, not for imaging (IMAGETYP = focus)"),
        ({"IMAGETYP": "Master Dark"}, "type master, not a raw frame"),
        ({"IMAGETYP": "riddle"}, "type unknown: IMAGETYP = riddle"),
    ],
)
def test_frame_that_must_not_enter_is_left_out_with_the_reason(tmp_path, cards, reason):
    write_light(tmp_path / "a.fits", **cards)
    row = row_of(scan(tmp_path), "a.fits")
    assert not row["use"]
    assert reason in row["why_not"]


@pytest.mark.parametrize(
    "cards",
    [
        {"CALSTAT": ""},
        {"NCOMBINE": 1},
        {"SNAPSHOT": 1},
        {"DARKCORR": "PERFORM"},
        {"FLATCOR": False},
        {"L1STATFL": 0},
        {"HISTORY": "taken after the dark nebula"},
    ],
)
def test_raw_frame_is_kept(tmp_path, cards):
    write_light(tmp_path / "a.fits", **cards)
    assert row_of(scan(tmp_path), "a.fits")["use"]


def test_unknown_type_names_the_way_out(tmp_path):
    write_frame(tmp_path / "a.fits", EXPTIME=3.0)
    row = row_of(scan(tmp_path), "a.fits")
    assert row.isna()["imagetyp"]
    assert "--set 'a.fits: imagetyp=light'" in row["why_not"]


def write_silent_night(folder, calibrations=("bias", "flat")):
    for name in calibrations:
        exposure = 0.0 if name == "bias" else 5.0
        write_frame(folder / f"{name}.fits", EXPTIME=exposure, INSTRUME="C", FILTER="J")
    write_frame(folder / "IC310.fits", EXPTIME=40.0, INSTRUME="C", FILTER="J")
    return scan(folder)


def test_exposed_frame_among_named_calibrations_is_their_light(tmp_path):
    frames = write_silent_night(tmp_path)
    assert row_of(frames, "IC310.fits")["imagetyp"] == "light"
    evidence = scan_night([tmp_path]).evidence.set_index(["file", "fact"])
    rule = evidence.loc[("IC310.fits", "imagetyp"), "rule"]
    assert "exposed behind filter J" in rule
    assert "bias and flat frames are named" in rule


@pytest.mark.parametrize("calibrations", [(), ("bias",), ("flat",)])
def test_one_kind_of_calibration_is_not_enough_for_that(tmp_path, calibrations):
    frames = write_silent_night(tmp_path, calibrations)
    assert (
        row_of(frames, "IC310.fits")["use"] is np.False_
        or not row_of(frames, "IC310.fits")["use"]
    )


def test_silent_frame_on_a_target_is_a_light(tmp_path):
    write_frame(tmp_path / "a.fits", EXPTIME=40.0, OBJECT="M 13", RA=250.4, DEC=36.5)
    assert row_of(scan(tmp_path), "a.fits")["imagetyp"] == "light"


def test_copies_are_left_out_but_the_first(tmp_path):
    original = write_light(tmp_path / "a.fits")
    shutil.copy(original, tmp_path / "copy.fits")
    write_light(tmp_path / "other.fits", value=1)
    frames = scan(tmp_path)
    assert row_of(frames, "a.fits")["use"]
    assert row_of(frames, "other.fits")["use"]
    assert row_of(frames, "copy.fits")["why_not"] == "byte for byte the same as a.fits"


def test_a_copy_stays_one_whatever_type_is_set_by_hand(tmp_path):
    original = write_frame(tmp_path / "a.fits", EXPTIME=3.0)
    shutil.copy(original, tmp_path / "copy.fits")
    frames = scan(tmp_path)
    assert list(frames["code"]) == ["untyped", "copy"]

    typed = apply_overrides(frames, settings=["*: imagetyp=light"])
    assert list(typed["use"]) == [True, False]


@pytest.mark.parametrize("name", ["Copy of a.fits", "a (1).fits", "0/a.fits"])
def test_of_two_copies_the_one_with_the_plainer_name_is_kept(tmp_path, name):
    write_light(tmp_path / "a.fits")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copy(tmp_path / "a.fits", tmp_path / name)
    frames = scan(tmp_path)
    assert row_of(frames, name)["why_not"] == "byte for byte the same as a.fits"
    assert row_of(frames, "a.fits")["use"]


def test_a_structural_card_that_is_no_number_is_named_before_pixels_are_read(tmp_path):
    path = write_light(tmp_path / "a.fits")
    raw = path.read_bytes()
    end = raw.index(b"END".ljust(80))
    card = b"BZERO   = '32768,0'".ljust(80)
    path.write_bytes(raw[:end] + card + raw[end : 2880 - 80] + raw[2880:])
    row = row_of(scan(tmp_path), "a.fits")
    assert not row["use"]
    assert "BZERO is '32768,0', expected a number" in row["why_not"]


def test_processed_version_of_a_raw_frame_is_left_out(tmp_path):
    start = "2021-02-27T20:00:00.5"
    path = write_light(tmp_path / "z.fits", DATE_OBS=start)
    hdu = fits.PrimaryHDU(np.zeros((3, 4), np.float32), fits.getheader(path))
    hdu.writeto(tmp_path / "a.fits")
    frames = scan(tmp_path)
    reason = "calibrated already: the same exposure as z.fits"
    assert row_of(frames, "a.fits")["why_not"] == reason
    assert row_of(frames, "z.fits")["use"]


def test_spellings_of_a_filter_are_unified_but_not_r_and_capital_r(tmp_path):
    for n, name in enumerate(["H-alpha", "H-alpha", "Halpha", "R", "r"]):
        write_light(tmp_path / f"{n}.fits", value=n, FILTER=name)
    frames = scan(tmp_path)
    assert sorted(frames["filter"]) == ["H-alpha", "H-alpha", "H-alpha", "R", "r"]


def test_objects_white_space_is_put_in_order(tmp_path):
    write_light(tmp_path / "a.fits", OBJECT="  M   13 ")
    assert row_of(scan(tmp_path), "a.fits")["object"] == "M 13"


@pytest.mark.parametrize(
    ("cards", "night"),
    [
        ({"DATE_OBS": "2021-02-28T05:00:00", "SITELONG": -105.0}, "2021-02-27"),
        ({"DATE_OBS": "2021-02-27T12:00:00", "SITELONG": "+149 00 00"}, "2021-02-27"),
        (
            {"DATE_OBS": "2021-02-28T03:00:00", "DATE_LOC": "2021-02-27T20:00:00"},
            "2021-02-27",
        ),
        ({"DATE_OBS": "2021-02-28T05:00:00"}, "2021-02-27"),
        ({"DATE_OBS": "2021-02-28"}, "2021-02-28"),
        ({"DATE_OBS": "2021-02-28T03:00:00", "TIMESYS": "LOCAL"}, "2021-02-27"),
        ({"DATE_LOC": "2021-02-27T20:00:00", "DATE_OBS": ""}, "2021-02-27"),
        # west counted as positive: else this light would be of the day
        ({"DATE_OBS": "2021-02-28T05:00:00", "SITELONG": 105.0}, "2021-02-27"),
    ],
)
def test_night_is_the_local_date_of_the_evening(tmp_path, cards, night):
    write_light(tmp_path / "a.fits", **cards)
    assert row_of(scan(tmp_path), "a.fits")["night"] == night


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"SITELAT": "-30 10 00", "SITELONG": "-70 30 00"}, (-30.16667, -70.5, None)),
        ({"LAT_OBS": 46.0, "LONG_OBS": 7.0, "ALT_OBS": 1200.0}, (46.0, 7.0, 1200)),
        ({"LATITUDE": 46.0, "LONGITUD": "7 30 00 W"}, (46.0, -7.5, None)),
        ({"SITELAT": 0.0, "SITELONG": 0.0}, (None, None, None)),
        ({"SITELAT": 146.0, "SITELONG": 10.0}, (None, 10.0, None)),
        # west counted as positive: else this light would be of the day
        ({"SITELAT": 33.0, "SITELONG": 105.0}, (33.0, -105.0, None)),
        # ... by the program that wrote it
        (
            {"SITELAT": 33.0, "SITELONG": 7.5, "SWCREATE": "TheSkyX Version 10"},
            (33.0, -7.5, None),
        ),
    ],
)
def test_the_site(tmp_path, cards, expected):
    write_light(tmp_path / "a.fits", DATE_OBS="2021-02-28T05:00:00", **cards)
    row = row_of(scan(tmp_path), "a.fits")
    found = tuple(
        None if pd.isna(row[name]) else row[name]
        for name in ("latitude", "longitude", "height")
    )
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"RA": 16.0366, "DEC": 28.17, "OBJCTRA": "16 02 11.8"}, 240.549),
        ({"RA": 16.0366, "DEC": 28.0, "CTYPE1": "RA---TAN", "CRVAL1": 240.6}, 240.549),
        ({"RA": 16.0366, "DEC": 28.0, "CTYPE1": "LINEAR", "CRVAL1": 240.6}, 16.0366),
        ({"RA": 16.0366, "DEC": 28.17, "OBJCTRA": "01 04 08"}, 16.0366),
        ({"RA": 16.0366, "DEC": 28.17, "OBJCTRA": "05 34 31"}, 16.0366),
        ({"RA": 0.1, "DEC": 28.17}, 0.1),
        ({"RA": 0.0, "DEC": 28.17}, 0.0),
    ],
)
def test_right_ascensions_are_in_hours_where_another_card_says_so(
    tmp_path, cards, expected
):
    write_light(tmp_path / "a.fits", **cards)
    assert row_of(scan(tmp_path), "a.fits")["ra"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cards", "egain", "gain"),
    [
        ({"EGAIN": 120.0}, None, 120.0),
        ({"EGAIN": 120, "GAIN": 139}, None, 139.0),
        ({"EGAIN": 1.5, "GAIN": 139}, 1.5, 139.0),
        ({"EGAIN": 20.0}, 20.0, None),
        ({"EGAIN": 38.6}, 38.6, None),
    ],
)
def test_a_setting_in_egain_is_no_electrons_per_adu(tmp_path, cards, egain, gain):
    write_light(tmp_path / "a.fits", **cards)
    row = row_of(scan(tmp_path), "a.fits")
    found = [None if pd.isna(row[name]) else row[name] for name in ("egain", "gain")]
    assert found == [egain, gain]


def test_calibrations_share_the_longitude_of_their_camera(tmp_path):
    write_light(tmp_path / "a.fits", DATE_OBS="2021-02-28T11:00:00", SITELONG=-155.0)
    write_light(
        tmp_path / "b.fits",
        IMAGETYP="Bias",
        EXPTIME=0.0,
        DATE_OBS="2021-02-28T13:00:00",
    )
    assert set(scan(tmp_path)["night"]) == {"2021-02-27"}


def test_sections_outside_of_the_image_say_nothing(tmp_path):
    write_light(tmp_path / "a.fits", BIASSEC="[3:4,1:3]", TRIMSEC="[1:40,1:3]")
    row = row_of(scan(tmp_path), "a.fits")
    assert row["biassec"] == "[3:4,1:3]"
    assert row.isna()["trimsec"]


def test_extensions_are_frames_that_share_the_primary_cards(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header["IMAGETYP"] = "Flat"
    planes = [fits.ImageHDU(np.zeros((3, 4)), name=name) for name in ("im1", "MASK")]
    fits.HDUList([primary, *planes]).writeto(tmp_path / "a[1].fits")
    frames = scan(tmp_path).set_index("file")
    assert frames.index.tolist() == ["a[1].fits[1]", "a[1].fits[2]"]
    assert frames["imagetyp"].tolist() == ["flat", "flat"]
    assert frames["why_not"].fillna("").tolist() == [
        "",
        "extension MASK is no exposure",
    ]


def test_one_compressed_image_keeps_its_file_name(tmp_path):
    data = np.arange(48, dtype=np.int16).reshape(6, 8)
    image = fits.CompImageHDU(data)
    image.header["IMAGETYP"] = "DARK"
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits.fz")
    row = row_of(scan(tmp_path), "a.fits.fz")
    assert (row["imagetyp"], row["naxis1"], row["naxis2"]) == ("dark", 8, 6)


def test_cube_is_left_out_but_a_third_axis_of_one_is_not(tmp_path):
    for depth in (1, 3, 5):
        hdu = fits.PrimaryHDU(np.zeros((depth, 3, 4), dtype=np.int16))
        hdu.header["IMAGETYP"] = "LIGHT"
        hdu.writeto(tmp_path / f"{depth}.fits")
    frames = scan(tmp_path)
    assert row_of(frames, "1.fits")["use"]
    assert "a cube of 4 x 3 x 5 pixels" in row_of(frames, "5.fits")["why_not"]
    assert row_of(frames, "3.fits")["code"] == "three-planes"
    assert "a colour image of three planes" in row_of(frames, "3.fits")["why_not"]


def test_table_in_the_nights_folder_is_used(tmp_path, monkeypatch):
    write_light(tmp_path / "night" / "a.fits", MYEXP=7.0)
    table = 'recognise = [{ INSTRUME = "Cam" }]\n[exptime]\nkeywords = ["MYEXP"]\n'
    (tmp_path / "night" / "autoreduce.toml").write_text(table)
    assert row_of(scan(tmp_path / "night"), "a.fits")["exptime"] == 7.0


def test_table_in_the_users_configuration_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    write_light(tmp_path / "night" / "a.fits", MYEXP=7.0)
    folder = tmp_path / "config" / "autoreduce"
    folder.mkdir(parents=True)
    table = 'recognise = [{ INSTRUME = "Cam" }]\n[exptime]\nkeywords = ["MYEXP"]\n'
    (folder / "autoreduce.toml").write_text(table)
    assert row_of(scan(tmp_path / "night"), "a.fits")["exptime"] == 7.0


def test_wrong_table_is_refused_by_name(tmp_path):
    write_light(tmp_path / "a.fits")
    (tmp_path / "autoreduce.toml").write_text("[exptime]\nkeywords = 3\n")
    with pytest.raises(SettingsError, match=r"autoreduce\.toml"):
        scan(tmp_path)


def test_one_file_is_read_as_in_a_night(tmp_path):
    path = write_light(tmp_path / "flat.fits")
    text = tmp_path / "header.txt"
    text.write_text("IMAGETYP= 'FLAT'\nEXPTIME = 2\n")
    assert [frame.value("imagetyp") for frame in read_file(path)] == ["flat"]
    assert [frame.value("exptime") for frame in read_file(text)] == [2.0]


def test_raw_files_are_not_touched(tmp_path):
    path = write_light(tmp_path / "a.fits")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    scan(tmp_path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


KEYWORDS = st.sampled_from(
    sorted(
        {
            source.keyword[:8]
            for rule in load_dialects()[-1].facts.values()
            for source in rule.sources
        }
        | {
            "HISTORY",
            "COMMENT",
            "EXTNAME",
            "NCOMBINE",
            "CALSTAT",
            "SWCREATE",
            "CREATOR",
        }
    )
)
CARDS = st.builds(
    lambda keyword, value: f"{keyword:8}= {value}".encode("latin-1", "replace")[:80],
    KEYWORDS,
    st.one_of(
        st.text(max_size=40),
        st.text(max_size=30).map(lambda text: f"'{text}'"),
        st.floats().map(str),
        st.integers().map(str),
        st.dates().map(lambda date: f"'{date}'"),
        st.datetimes().map(lambda time: f"'{time.isoformat()}'"),
    ),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CARDS, max_size=12), st.text(max_size=20))
def test_no_header_text_makes_the_scan_fail(tmp_path_factory, cards, name):
    start = (b"NAXIS   = 2", b"NAXIS1  = 4", b"NAXIS2  = 3")
    block = b"".join(card.ljust(80) for card in (*start, *cards))
    path = tmp_path_factory.getbasetemp()
    frames = list(frames_of_file(name, path, [RawHeader(0, block)], load_dialects()))
    decide_together(frames)
    assert len(frames) == 1
    assert frames[0].row()["naxis1"] == 4
    assert list(frames[0].evidence())


def take(folder, kind, start, n=1, *, level=100, minutes=10, **cards):
    """Write frames that follow each other; `start` is UTC, which is local time here."""
    began = datetime.fromisoformat(start)
    for i in range(n):
        when = (began + i * timedelta(minutes=minutes)).isoformat()
        facts = {"IMAGETYP": kind, "EXPTIME": 300.0, "DATE-OBS": when, **cards}
        name = folder / f"{len(list(folder.iterdir())):03d}.fits"
        write_frame(name, level, (40, 50), INSTRUME="C", SITELONG=0.0, **facts)


@pytest.mark.parametrize(
    ("light", "night"),
    [
        (None, "2024-03-01"),
        ("2024-03-02T21:00:00", "2024-03-02"),
        ("2024-03-02T03:00:00", "2024-03-01"),
    ],
)
def test_darks_over_noon_are_of_one_night(tmp_path, light, night):
    take(tmp_path, "Dark Frame", "2024-03-02T11:00:00", 12)
    if light:
        take(tmp_path, "Light Frame", light)
    frames = scan(tmp_path)
    darks = frames[frames["imagetyp"].eq("dark")]
    assert set(darks["night"]) == {night}


def test_darks_before_and_after_a_pause_over_noon_are_of_two_nights(tmp_path):
    take(tmp_path, "Dark Frame", "2024-03-02T09:00:00", 3)
    take(tmp_path, "Dark Frame", "2024-03-02T15:00:00", 3)
    assert scan(tmp_path)["night"].nunique() == 2


@pytest.mark.parametrize(
    ("level", "kind"), [(100, "bias"), (103, "bias"), (120, "dark")]
)
def test_the_level_of_bias_frames_tells_darks_whose_card_says_0_s(
    tmp_path, level, kind
):
    take(tmp_path, "Bias Frame", "2024-03-01T19:00:00", 3, EXPTIME=0.0)
    take(tmp_path, "Dark Frame", "2024-03-01T20:00:00", 1, level=level, EXPTIME=0.0)
    assert scan(tmp_path)["imagetyp"].iloc[-1] == kind


def test_without_bias_frames_a_dark_of_0_s_is_a_bias(tmp_path):
    take(tmp_path, "Dark Frame", "2024-03-01T20:00:00", 1, level=900, EXPTIME=0.0)
    assert scan(tmp_path)["imagetyp"].iloc[0] == "bias"
