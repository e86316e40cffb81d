"""What there is to say of each light, in columns."""

import math

import pytest
from astropy.time import Time

from autoreduce.products.lightlist import (
    LIGHT_COLUMNS,
    WHOLE,
    julian_date,
    light_row,
)

FACTS = {"object": "M13", "filter": None, "exptime": 60.0, "gain": 1.0}


def test_what_is_known_is_told_and_nothing_else():
    numbers = {"sky": 100.0, "fwhm": math.nan, "saturate": 5e4}
    row = light_row("l.fits", FACTS, None, numbers, {"dx": 1.5}, stack="s.fits")
    assert row == {
        "light": "l.fits",
        "object": "M13",
        "exptime": 60.0,
        "sky": 100.0,
        "dx": 1.5,
        "stack": "s.fits",
        "why_not": "",
    }


def test_the_middle_of_the_exposure_counts():
    start = "2024-03-02T20:00:00+00:00"
    row = light_row("l.fits", FACTS, start, why_not="clouds")
    middle = Time("2024-03-02T20:00:30", scale="utc").jd
    assert row["jd_utc"] == pytest.approx(middle, abs=1e-9)
    assert row["why_not"] == "clouds"
    unknown = light_row("l.fits", {}, start)
    assert unknown["jd_utc"] == julian_date(start)


def test_columns_have_a_name_each_and_whole_ones_are_among_them():
    names = [column.name for column in LIGHT_COLUMNS]
    assert len(set(names)) == len(names)
    assert set(names) >= WHOLE
    assert all(column.doc.endswith(".") for column in LIGHT_COLUMNS)
