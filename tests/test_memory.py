"""What headers have in common is worked out once, and comes out as if it were not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.fits.header import RawHeader, headers_from_text
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import FrameReader, frames_of_file
from autoreduce.frames.memory import CardMemory

SAMPLES = sorted((Path(__file__).parents[1] / "sample_headers").glob("*/*.txt"))
IMAGE = ["SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 9", "NAXIS2  = 8"]
CARDS = [
    "EXPTIME = 30.0",
    "EXPTIME = 0",
    "EXPOSURE= 31.0 / [ms]",
    "IMAGETYP= 'Dark Frame'",
    "IMAGETYP= 'Light Frame'",
    "imagetyp= 'Flat'",
    "OBJECT  = 'M 31&'",
    "CONTINUE  ' north'",
    "CONTINUE  ' south'",
    "FILTER  = 'R'",
    "GAIN    = 2",
    "GAIN    = 1.5",
    "SWCREATE= 'MaxIm DL'",
    "SWCREATE= 'N.I.N.A. 2'",
    "HIERARCH ESO DPR CATG = 'CALIB'",
    "HIERARCH ESO DPR TYPE = 'BIAS'",
    "DATE-OBS= '2021-02-27T20:15:30'",
    "DATE-OBS= '2021-02-27'",
    "TIME-OBS= '20:15:31'",
    "CALSTAT = 'BD'",
    "HISTORY Dark subtracted",
    "RA      = 0.0",
    "DEC     = 0.0",
]


def header_of(*cards):
    return RawHeader(0, b"".join(card.encode().ljust(80) for card in cards))


def told(frame):
    return frame.row(), list(frame.evidence()), frame.why_not, frame.shape


def alone(name, headers):
    found = frames_of_file(name, Path(name), headers, load_dialects())
    return [told(frame) for frame in found]


@pytest.fixture
def asked():
    """Return a memory of two keywords, and the headers it had to look at."""
    seen = []

    def look(header):
        seen.append(header)
        return [header.get("EXPTIME"), header.get("LONG NAME")]

    return CardMemory(["EXPTIME", "LONG NAME", "EXPTIME"], look), seen


def test_like_cards_are_looked_at_once_whatever_stands_around_them(asked):
    memory, seen = asked
    assert memory(header_of("EXPTIME = 3.0", "FILTER  = 'R'")) == [3.0, None]
    assert memory(header_of("FILTER  = 'B'", "EXPTIME = 3.0")) == [3.0, None]
    assert len(seen) == 1


@pytest.mark.parametrize(
    "other",
    [
        ["EXPTIME = 4.0"],
        ["EXPTIME = 3.0 / [ms]"],
        ["EXPTIME = 3.0", "EXPTIME = 3.0"],
        ["EXPTIME = 3.0", "CONTINUE  'more'"],
        ["EXPTIME = 3.0", "HIERARCH LONG NAME = 1"],
        [],
    ],
)
def test_any_difference_in_its_cards_is_looked_at(asked, other):
    memory, seen = asked
    memory(header_of("EXPTIME = 3.0"))
    memory(header_of(*other))
    assert len(seen) == 2


def test_long_keywords_in_the_same_place_are_not_confused(asked):
    memory, _ = asked
    assert memory(header_of("HIERARCH LONG NAME = 1")) == [None, 1]
    assert memory(header_of("HIERARCH LONG MANE = 1")) == [None, None]
    assert memory(header_of("HIERARCH LONG NAME   2")) == [None, None]


def test_text_goes_on_into_the_cards_behind_it_only():
    begun = "OBJECT  = 'M 31&'", "CONTINUE  ' north&'", "CONTINUE  '-east'"
    assert header_of(*begun).get("OBJECT") == "M 31 north-east"
    assert header_of(*begun, "FILTER  = 'R'").get("OBJECT") == "M 31 north-east"
    torn = (begun[0], "FILTER  = 'R'", begun[1])
    assert header_of(*torn).get("OBJECT") == "M 31&"
    keywords = [card.keyword for card in header_of(*begun, "FILTER  = 'R'").cards]
    assert keywords == ["OBJECT", "FILTER"]


@given(st.lists(st.lists(st.sampled_from(CARDS), max_size=9), min_size=2, max_size=5))
def test_headers_read_together_say_what_each_says_alone(nights):
    reader = FrameReader(load_dialects())
    for number, cards in enumerate(nights):
        name, header = f"frame_{number}.fits", header_of(*IMAGE, *cards)
        together = [
            told(frame) for frame in reader.frames_of_file(name, Path(name), [header])
        ]
        assert together == alone(name, [header])


def test_sample_headers_read_together_say_what_each_says_alone():
    reader = FrameReader(load_dialects())
    assert len(SAMPLES) > 40
    for path in (*SAMPLES, *reversed(SAMPLES)):
        headers = headers_from_text(path.read_text("utf-8"))
        frames = reader.frames_of_file(path.name, path, headers)
        assert [told(frame) for frame in frames] == alone(path.name, headers)
