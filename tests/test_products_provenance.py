"""What made a product: its cards, its times, its inputs, worked by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from autoreduce.fits.amplifiers import factors_of, read_amplifiers
from autoreduce.fits.cards import Card, format_card
from autoreduce.fits.writer import MASK, UNCERT, write_image
from autoreduce.pixels.flags import MEANINGS
from autoreduce.planning.plan import Action, FrameInput, Task
from autoreduce.products.provenance import (
    CREATOR,
    FACT_CARDS,
    PLANE_CARDS,
    InputRow,
    date_of_mjd,
    exposure_times,
    inputs_table,
    iso_text,
    mjd,
    product_cards,
)
from autoreduce.remarks import remark

BEGAN = "2024-03-02T20:00:00+00:00"


def header_of(action=Action.BIAS, extra=(), *, facts=(), missing=(), **options):
    task = Task("m.fits", action, "group", dict(facts), missing=missing)
    return fits.Header.fromstring(b"".join(product_cards(task, extra, **options)))


@pytest.mark.parametrize(
    ("action", "kind", "unit"),
    [
        (Action.BIAS, "Master Bias", "adu"),
        (Action.DARK, "Master Dark", "adu"),
        (Action.DARK_FIT, "Master Dark Current", "adu/s"),
        (Action.FLAT, "Master Flat", "adu"),
        (Action.STACK, "Stack", "adu"),
        (Action.CALIBRATE, None, "adu"),
    ],
)
def test_a_product_says_what_it_is(action, kind, unit):
    header = header_of(action)
    assert header.get("IMAGETYP") == kind
    assert (header["BUNIT"], header["GROUP"]) == (unit, "group")
    assert header["CREATOR"].startswith("autoreduce ")
    made = datetime.fromisoformat(header["DATE"]).replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60


def test_the_header_of_a_product_card_by_card():
    facts = {"filter": "R", "exptime": 60.0, "naxis1": 100}
    lacks = (remark("no-bias", found="none"),)
    task = Task("m.fits", Action.FLAT, "flat_R", facts, missing=lacks)
    frames = [FrameInput("a.fit", date_obs=BEGAN, exptime=60.0)]
    lines = [card.decode().rstrip() for card in product_cards(task, [], used=frames)]
    *lines, creator, date = lines
    assert lines == [
        "FILTER  = 'R       '           / filter",
        "EXPTIME =                 60.0 / [s] exposure of one frame",
        "RAWAXIS1=                  100 / [pixel] columns of a raw frame",
        "IMAGETYP= 'Master Flat'        / kind of image",
        "GROUP   = 'flat_R  '           / group of frames it was made from",
        f"MISSING = '{lacks[0]}'",
        "BUNIT   = 'adu     '           / unit of the pixel values",
        "DATE-OBS= '2024-03-02T20:00:00.000' / [UTC] start of the first exposure",
        "DATE-AVG= '2024-03-02T20:00:30.000' / [UTC] mean middle",
        "DATE-END= '2024-03-02T20:01:00.000' / [UTC] end of the last exposure",
    ]
    head, text = creator.split(" / ")
    assert head.startswith(f"CREATOR = '{CREATOR}")
    assert text == "program that made this file"
    head, text = date.split(" / ")
    assert head.startswith("DATE    = '2")
    assert text == "[UTC] when this file was made"


def test_the_plane_of_flags_tells_the_meaning_of_each_bit():
    mask = fits.Header.fromstring(b"".join(PLANE_CARDS[MASK]))
    assert list(mask.values()) == [int(flag) for flag in MEANINGS]
    assert all(mask[f"MASKBIT{bit.bit_length() - 1}"] == bit for bit in MEANINGS)
    assert mask["MASKBIT0"] == 1
    assert list(mask.comments) == list(MEANINGS.values())
    unit = fits.Header.fromstring(b"".join(PLANE_CARDS[UNCERT]))
    assert (unit["BUNIT"], unit.comments["BUNIT"]) == (
        "adu",
        "unit of the pixel values",
    )


def test_a_flat_dark_is_called_so():
    header = header_of(Action.DARK, facts={"imagetyp": "flatdark"})
    assert header["IMAGETYP"] == "Master Flat Dark"


def test_facts_that_agree_stand_in_the_header():
    facts = {"filter": "R", "exptime": 60.0, "gain": None, "naxis1": 100, "ra": 1.0}
    header = header_of(facts=facts)
    assert (header["FILTER"], header["EXPTIME"], header["RAWAXIS1"]) == ("R", 60.0, 100)
    assert "GAIN" not in header
    assert "RA" not in header
    keywords = [keyword for keyword, _ in FACT_CARDS.values()]
    assert len(set(keywords)) == len(keywords)


def test_a_light_keeps_what_is_its_own():
    """Numbers that agree within a tolerance only are not those of each light."""
    facts = {"exptime": 60.0, "ccd_temp": -20.0, "filter": "R"}
    base = format_card("CCD-TEMP", -19.8)
    header = header_of(Action.CALIBRATE, facts=facts, base=base)
    assert (header["CCD-TEMP"], header["FILTER"]) == (-19.8, "R")
    assert "EXPTIME" not in header
    assert header_of(facts=facts, base=base)["CCD-TEMP"] == -20.0


MOSAIC = {"bayerpat": "RGGB"}


@pytest.mark.parametrize(
    ("trimsec", "x", "y"),
    [
        (None, 0, 0),
        ("[1:90,1:50]", 0, 0),
        ("[2:90,1:50]", 1, 0),
        ("[3:90,4:50]", 0, 1),
        ("[6:90,2:50]", 1, 1),
    ],
)
def test_a_mosaic_begins_where_the_raw_frame_is_trimmed(trimsec, x, y):
    header = header_of(facts={**MOSAIC, "trimsec": trimsec})
    begin = header.cards["XBAYROFF"], header.cards["YBAYROFF"]
    assert [tuple(card) for card in begin] == [
        ("XBAYROFF", x, "column of BAYERPAT that comes first"),
        ("YBAYROFF", y, "row of BAYERPAT that comes first"),
    ]
    assert (header["BAYERPAT"], header["GROUP"]) == ("RGGB", "group")
    assert header.get("RAWTRIM") == trimsec


def test_what_is_no_mosaic_has_no_pattern():
    """In a stack the colours are apart, whatever the frames were."""
    pattern = {"BAYERPAT", "XBAYROFF", "YBAYROFF"}
    assert pattern <= set(header_of(Action.CALIBRATE, facts=MOSAIC))
    stack = header_of(Action.STACK, facts={**MOSAIC, "filter": "R"})
    assert not pattern & set(stack)
    assert stack["FILTER"] == "R"
    assert not pattern & set(header_of(Action.BIAS))


def test_steps_that_are_missing_are_told():
    lacks = tuple(remark(f"no-{need}", found="none") for need in ("bias", "dark"))
    header = header_of(missing=lacks)
    assert header["MISSING"] == "; ".join(map(str, lacks))
    assert "MISSING" not in header_of()


def test_cards_of_the_product_hold_over_facts_and_over_those_of_the_camera():
    base = [
        *format_card("FILTER", "old"),
        *format_card("OBSERVER", "me"),
        *format_card("SATURATE", 65535),
        *format_card("TRIMSEC", "[1:9,1:9]"),
        b" " * 80,
        b" " * 80,
    ]
    extra = (Card("EXPTIME", 90.0), Card("NOTE", "x", "why"))
    facts = {"filter": "R", "exptime": 60.0}
    header = header_of(extra=iter(extra), facts=facts, base=base)
    assert header.count("FILTER") == header.count("EXPTIME") == 1
    assert (header["FILTER"], header["EXPTIME"], header["OBSERVER"]) == ("R", 90, "me")
    assert header.comments["NOTE"] == "why"
    assert not {"SATURATE", "TRIMSEC"} & set(header)
    assert list(header).index("OBSERVER") == 0  # the camera's cards come first
    assert "" not in header


def test_history_comes_last_in_its_order():
    cards = product_cards(
        Task("m", Action.BIAS, "g", {}), [], history=("first", "second " * 20)
    )
    lines = [card.decode() for card in cards if card.startswith(b"HISTORY")]
    assert lines == [card.decode() for card in cards[-len(lines) :]]
    assert lines[0].strip() == "HISTORY first"
    assert len(lines) == 3


def test_dates_are_of_all_exposures_in_any_order():
    """20:00:00 of 60 s and 20:10:00 of 30 s: middles 30 s and 615 s."""
    frames = [
        FrameInput("b", date_obs="2024-03-02T20:10:00+00:00", exptime=30.0),
        FrameInput("x", exptime=999.0),
        FrameInput("a", date_obs=BEGAN, exptime=60.0),
    ]
    header = header_of(used=frames)
    assert header["DATE-OBS"] == "2024-03-02T20:00:00.000"
    assert header["DATE-AVG"] == "2024-03-02T20:05:22.500"
    assert header["DATE-END"] == "2024-03-02T20:10:30.000"
    longest = [replace(frames[0], exptime=None), replace(frames[2], exptime=3600.0)]
    assert header_of(used=longest)["DATE-END"] == "2024-03-02T21:00:00.000"
    unsaid = header_of(used=[replace(frames[0], exptime=None)])
    assert {unsaid[f"DATE-{end}"] for end in ("OBS", "AVG", "END")} == {
        "2024-03-02T20:10:00.000"
    }


def test_without_dates_those_of_the_camera_stay():
    base = format_card("DATE-OBS", "2024-01-01")
    assert header_of(base=base, used=[FrameInput("x")])["DATE-OBS"] == "2024-01-01"
    dated = [FrameInput("a", date_obs=BEGAN)]
    assert header_of(base=base, used=dated)["DATE-OBS"] == "2024-03-02T20:00:00.000"


@pytest.mark.parametrize(
    ("exptime", "middle"), [(61.0, "00:30.500"), (None, "00:00.000")]
)
def test_times_of_an_exposure(exptime, middle):
    item = FrameInput("l.fit", date_obs=BEGAN, exptime=exptime)
    start, average, same = exposure_times(item)
    assert start.value == pytest.approx(Time("2024-03-02T20:00:00").mjd, abs=1e-10)
    assert start == Card("MJD-OBS", start.value, "[d] start of the exposure, UTC")
    assert average == Card(
        "DATE-AVG", f"2024-03-02T20:{middle}", "[UTC] middle of the exposure"
    )
    assert same.keyword == "MJD-AVG"
    assert same.value == pytest.approx(
        start.value + (exptime or 0) / 2 / 86400, abs=1e-9
    )
    assert exposure_times(FrameInput("l.fit")) == []


@pytest.mark.parametrize("text", ["2024-02-29T23:59:59.999", "1999-12-31T00:00:00.001"])
def test_julian_dates_are_astropys_and_come_back(text):
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    assert mjd(moment) == pytest.approx(Time(text).mjd, abs=1e-10)
    assert date_of_mjd(mjd(moment)) == moment
    assert iso_text(moment) == text


def test_the_table_of_inputs_has_a_column_for_each_field(tmp_path):
    rows = [
        InputRow("a.fit", BEGAN, "12:34", 0.5, rejected=7),
        InputRow("b.fit", weight=0.0, reason="odd"),
    ]
    write_image(tmp_path / "a.fits", np.zeros((2, 2)), [], table=inputs_table(rows))
    with fits.open(tmp_path / "a.fits") as hdus:
        assert hdus[1].header["EXTNAME"] == "INPUTS"
        table = hdus["INPUTS"].data
        columns = {name: table[name].tolist() for name in table.names}
    assert columns == {
        "file": ["a.fit", "b.fit"],
        "date_obs": [BEGAN, ""],
        "digest": ["12:34", ""],
        "scale": [0.5, 1.0],
        "weight": [1.0, 0.0],
        "rejected": [7, 0],
        "reason": ["", "odd"],
    }


def test_a_table_of_no_inputs_is_empty(tmp_path):
    write_image(tmp_path / "b.fits", np.zeros((2, 2)), [], table=inputs_table([]))
    with fits.open(tmp_path / "b.fits") as hdus:
        assert len(hdus["INPUTS"].data) == 0
        assert hdus["INPUTS"].columns.formats == ["1A", "1A", "1A", "D", "D", "K", "1A"]


@pytest.mark.parametrize("action", [Action.CALIBRATE, Action.STACK])
def test_times_of_another_scale_leave_with_the_name_of_that_scale(action):
    """20:00:37 TAI is 20:00:00 UTC since 2017."""
    item = FrameInput("a.fits", exptime=60.0, date_obs=BEGAN)
    raw = {"DATE-OBS": "2024-03-02T20:00:37", "TIMESYS": "TAI", "MJD-BEG": 60371.8}
    base = [card for pair in raw.items() for card in format_card(*pair)]
    task = Task("m.fits", action, "group", {}, frames=(item,))
    used = () if action is Action.CALIBRATE else (item,)
    cards = product_cards(task, exposure_times(item), base=base, used=used)
    header = fits.Header.fromstring(b"".join(cards))
    assert header["TIMESYS"] == "UTC"
    assert header.comments["TIMESYS"] == "scale of all times"
    assert header["DATE-OBS"] == "2024-03-02T20:00:00.000"
    if action is Action.CALIBRATE:
        assert header.comments["DATE-OBS"] == "[UTC] start of the exposure"
    assert header.comments["MJD-AVG"] == "[d] the same"
    assert "MJD-BEG" not in header


@pytest.mark.parametrize(
    ("card", "stays"),
    [
        (b"TIMESYS = 'UTC     '           / scale", True),
        (b"TIMESYS = 'ut'/scale", True),
        (b"TIMESYS = 'XUTC'", False),
        (b"TIMESYS = UTC", True),
        (b"TIMESYS = 'TAI     '           / UTC", False),
        (b"TIMESYT = 'TAI     '", True),
    ],
)
def test_times_that_are_utc_already_stay_as_they_are(card, stays):
    item = FrameInput("a.fits", exptime=60.0, date_obs=BEGAN)
    base = [card.ljust(80), *format_card("DATE-OBS", "2024-03-02T20:00:00.1234")]
    task = Task("m.fits", Action.CALIBRATE, "group", {}, frames=(item,))
    header = fits.Header.fromstring(b"".join(product_cards(task, [], base=base)))
    assert (header["DATE-OBS"] == "2024-03-02T20:00:00.1234") is stays


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ({"DATE-OBS": "2024-03-02T20:00:00.1234", "UT": "20:00:00"}, True),
        ({"DATE-OBS": "2024-03-02", "UT": "20:00:00"}, True),
        ({"DATE-OBS": "02/03/24", "TIME-OBS": "20:00:00"}, True),
        ({"DATE-OBS": "2024-03-02T13:00:00", "UT": "13:00:00", "JD": 2.0}, False),
        ({"DATE-OBS": "2024-03-02", "UT": "13:00:00", "HA": 1.0}, False),
        ({"MJD-OBS": 60371.2}, False),
    ],
)
def test_a_light_tells_its_start_as_it_is_known(raw, kept):
    """As the observer may have set it; other times of the raw header then leave."""
    item = FrameInput("a.fits", exptime=60.0, date_obs=BEGAN)
    base = [card for pair in raw.items() for card in format_card(*pair)]
    task = Task("m.fits", Action.CALIBRATE, "group", {}, frames=(item,))
    header = fits.Header.fromstring(b"".join(product_cards(task, [], base=base)))
    if kept:
        assert {keyword: header.get(keyword) for keyword in raw} == raw
    else:
        assert header["DATE-OBS"] == "2024-03-02T20:00:00.000"
        assert not (raw.keys() - {"DATE-OBS"}) & set(header)


def test_the_amplifiers_of_the_frames_are_told_without_their_hdus():
    """A factor that was measured stands in those of the frames, not in the facts."""
    told = "1 [1:8,1:4] [1:8,1:4] - 1.5 4 -; 2 [1:8,1:4] [9:16,1:4] - 1.4 5 -"
    measured = [
        replace(one, factor=f)
        for one, f in zip(read_amplifiers(told), (0.9, 1.1), strict=True)
    ]
    frames = (FrameInput("a.fits", amplifiers=tuple(measured)),)
    for of, expected in (((), told), ((FrameInput("a.fits"),), told), (frames, None)):
        task = Task("m.fits", Action.FLAT, "group", {"amplifiers": told}, frames=of)
        header = fits.Header.fromstring(b"".join(product_cards(task, [])))
        found = header["RAWAMPS"]
        assert found == expected if expected else factors_of(found) == (0.9, 1.1)
    assert "[1:8,1:4] [9:16,1:4]" in found
    assert not found.startswith("1 ")


def test_a_doubt_names_what_it_is_about():
    doubt = remark("no-date", "a.fits", "b.fits", found="nothing")
    task = Task("m.fits", Action.STACK, "group", {}, doubts=(doubt,))
    header = fits.Header.fromstring(b"".join(product_cards(task, [])))
    assert any(line.startswith("a.fits, b.fits:") for line in header["HISTORY"])


def test_a_scale_stays_where_no_date_could_be_brought_to_utc():
    raw = {"DATE-OBS": "2024-03-02T20:00:37", "TIMESYS": "LOCAL", "DATE-END": "x"}
    base = [card for pair in raw.items() for card in format_card(*pair)]
    header = header_of(Action.CALIBRATE, base=base)
    assert {keyword: header[keyword] for keyword in raw} == raw
