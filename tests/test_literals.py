"""Numbers, times and angles in every form that headers have."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.frames.literals import (
    celsius,
    day,
    degrees,
    lone_number,
    moment,
    number,
    seconds,
    text,
    whole_number,
)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'40'", 40.0),
        ("060.00", 60.0),
        ("3.0D+02", 300.0),
        (" 1,5 ", 1.5),
        ("11 C", 11.0),
        ("[2.01, 1.99]", 2.0),
        ("nan", None),
        ("12 34 56", None),
        ("hh:mm:ss", None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        (None, None),
        (7, 7.0),
    ],
)
def test_number(literal, value):
    assert number(literal) == value


def test_a_fraction_is_no_whole_number():
    assert (whole_number(2.0), whole_number("2"), whole_number(2.5)) == (2, 2, None)


@pytest.mark.parametrize(
    ("literal", "unit", "comment", "value"),
    [
        (30, "s", "", 30.0),
        (1500000, "us", "", 1.5),
        (90000, "s", "[ms] exposure", 90.0),
        (0.5, "s", "Exposure [d]", 43200.0),
        (50.0, "s", "Observation: Exposure Minutes", 3000.0),
        ("250 ms", "s", "", 0.25),
        ("2 min", "ms", "", 120.0),
    ],
)
def test_seconds(literal, unit, comment, value):
    assert seconds(literal, unit, comment) == pytest.approx(value)


@pytest.mark.parametrize(
    ("literal", "comment", "value"),
    [
        (-20.5, "", -20.5),
        ("-20.5 C", "", -20.5),
        (253.15, "", -20.0),
        (37.0, "[K] detector", -236.15),
        (27.0, "kelvin cools", -246.15),
        (15.0, "", 15.0),
        (-999, "", None),
        (999, "", None),
        (-273.15, "", None),
        (273.15, "", 0.0),
        (0.0, "[K] sensor", None),
        ("0 K", "", None),
        (0.0, "", 0.0),
    ],
)
def test_temperature_is_kelvin_where_it_cannot_be_celsius(literal, comment, value):
    assert celsius(literal, comment) == pytest.approx(value)


@pytest.mark.parametrize(
    ("literal", "hours", "value"),
    [
        ("+12 30 00", False, 12.5),
        ("-00:30:00", False, -0.5),
        ("12:30:00", True, 187.5),
        ("105 30 00 W", False, -105.5),
        ("33 30 00 S", False, -33.5),
        ("33:30:00S", False, -33.5),
        ("33.5S", False, -33.5),
        ("33d30m00s", False, 33.5),
        ("33D30M00S", False, 33.5),
        ("33d30m00s S", False, -33.5),
        ("12H30M00S", True, 187.5),
        ("-22:57:08:99", False, -(22 + 57 / 60 + 8.99 / 3600)),
        (250.25, True, 250.25),
        ("105.5W", False, -105.5),
        ("hh:mm:ss", True, None),
    ],
)
def test_degrees(literal, hours, value):
    assert degrees(literal, hours=hours) == pytest.approx(value)


@pytest.mark.parametrize(
    "literal",
    [
        "2021-02-27T20:15:30",
        "2021-02-27 20:15:30",
        "2021/02/27 20:15:30",
        "2021-02-27T20:15:30Z",
        "2021-02-27T22:15:30+02:00",
        "2021-02-27T13:15:30-0700",
        "20210227T201530",
        "27/02/21 20:15:30",
        "27/02/2021 20:15:30",
        "27-Feb-2021 20:15:30",
        "2021-Feb-27 20:15:30",
        "27/02/121 20:15:30",
        "2021-058T20:15:30",
        "2021:058:20:15:30",
        "2021/058 20:15:30Z",
    ],
)
def test_date_with_time_in_any_order(literal):
    assert moment(literal) == datetime(2021, 2, 27, 20, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("2021-02-27", "20:15:30"),
        ("27/02/21", " 20:15:30.0"),
        ("2021/27/02", "20:15:30"),
        ("121-02-27", "20:15:30"),
        ("2021/058", "20:15:30"),
        ("20210227", "2021-02-27T20:15:30"),
        (20210227, "20:15:30"),
    ],
)
def test_date_and_time_apart(date, clock):
    assert moment(date, "date", clock) == datetime(2021, 2, 27, 20, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("literal", "unit"),
    [
        (59272.5, "mjd"),
        (2459273.0, "jd"),
        (1614427200, "unix"),
        ("59272.5", "mjd"),
        (2459273.0, "mjd"),
    ],
)
def test_day_numbers(literal, unit):
    assert moment(literal, unit) == datetime(2021, 2, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("year", "full"), [("94", 1994), ("00", 2000), ("21", 2021), ("101", 2001)]
)
def test_years_of_the_last_century_and_their_faults(year, full):
    assert day(f"05/04/{year}") == datetime(full, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "literal",
    [
        "2021-02-27",
        "1951-08-09T09:60:00",
        "2021-13-40T00:00:00",
        "2021-366T00:00:00",
        "2021-000T00:00:00",
        "N/A",
        "",
        "0",
        12,
        None,
    ],
)
def test_what_is_no_time_stays_missing(literal):
    assert moment(literal) is None


def test_seven_decimals_of_a_second_are_read():
    found = moment("2019-04-29T20:25:29.8219583")
    assert found == datetime(2019, 4, 29, 20, 25, 29, 821958, tzinfo=UTC)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("  M   13 ", "M 13"),
        ("'V'", "V"),
        ("Sloan r'", "Sloan r'"),
        ("Unknown", None),
        ("", None),
        ("a\x07b", "ab"),
        (3.0, "3.0"),
        (3.5, "3.5"),
        ("3.0", "3.0"),
    ],
)
def test_text_is_put_in_order(literal, value):
    assert text(literal, {"unknown"}) == value


anything = st.one_of(
    st.text(max_size=40), st.floats(), st.integers(), st.booleans(), st.none()
)


@given(anything, anything)
def test_no_literal_makes_any_reading_fail(literal, other):
    for unit in ("date", "mjd", "jd", "unix"):
        moment(literal, unit, other)
    number(literal)
    whole_number(literal)
    text(literal)
    seconds(literal, comment=str(other))
    celsius(literal, str(other))
    degrees(literal, hours=True)
    day(literal)


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("1.5D3", 1500.0),
        (" -00:30:00 ", -0.5),
        ("12 34 30", 12.575),
        ("060.00", 60.0),
        (7, 7.0),
        ("47 Tuc", None),
        ("11 C", None),
        ("2021-02-27", None),
        ("", None),
        (None, None),
    ],
)
def test_a_lone_number_has_nothing_beside_it(literal, expected):
    found = lone_number(literal)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("literal", "found"),
    [
        ("1/4", 0.25),
        ("1/4000 sec", 0.00025),
        ("00:05:00", 300.0),
        ("00:00:02.5", 2.5),
        ("5m", 300.0),
        ("5 min", 300.0),
        ("60 s", 60.0),
    ],
)
def test_exposures_as_cameras_for_daylight_and_clocks_write_them(literal, found):
    assert seconds(literal) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize(
    ("literal", "clock", "found"),
    [
        ("2024:01:31 22:00:05", None, datetime(2024, 1, 31, 22, 0, 5, tzinfo=UTC)),
        ("Wed Jan 31 22:00:05 2024", None, datetime(2024, 1, 31, 22, 0, 5, tzinfo=UTC)),
        ("12/31/98", "22:00:05", datetime(1998, 12, 31, 22, 0, 5, tzinfo=UTC)),
        ("31/12/98", "22:00:05", datetime(1998, 12, 31, 22, 0, 5, tzinfo=UTC)),
        ("1970-01-01T00:00:05", None, None),
        ("1970-01-02T00:00:05", None, datetime(1970, 1, 2, 0, 0, 5, tzinfo=UTC)),
    ],
)
def test_dates_of_cameras_for_daylight_of_c_and_of_clocks_that_were_not_set(
    literal, clock, found
):
    assert moment(literal, "date", clock) == found
