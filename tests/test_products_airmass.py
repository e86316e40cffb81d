"""The airmass of a light: by its cards, and by site, pointing and time."""

from dataclasses import replace

import pytest
from astropy.io import fits

from autoreduce.fits.header import RawHeader
from autoreduce.planning.plan import FrameInput
from autoreduce.products.airmass import air_of, daylight, of_altitude
from autoreduce.products.barycentre import altitude_deg, middle_of, site_of

NOWHERE = FrameInput("l.fit", exptime=60.0)
ZENITH = FrameInput(
    "l.fit",
    exptime=60.0,
    date_obs="2025-06-02T05:49:24+00:00",
    ra=240.55,
    dec=28.17,
    latitude=32.78,
    longitude=-105.82,
)
"""A light of a star 81.7 deg high: an airmass of 1.01."""


def header(**cards):
    made = fits.Header()
    for keyword, value in cards.items():
        made[keyword.replace("_", "-")] = value
    return RawHeader(0, made.tostring(padding=False, endcard=False).encode())


def told(air):
    return [one.code for one in air.doubts]


@pytest.mark.parametrize("comment", ["[m] above sea level", "Site altitude (meters)"])
def test_the_altitude_of_the_site_is_none_of_the_light(comment):
    assert air_of(NOWHERE, header(ALTITUDE=(45.0, comment))).airmass is None
    above = header(ALTITUDE=(30.0, "[deg] Altitude axis position"))
    assert air_of(NOWHERE, above).airmass == pytest.approx(1.995, rel=2e-3)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"AIRMASS": 1.3}, 1.3),
        ({"AIRMASS": "1.3"}, 1.3),
        ({"SECZ": 1.3}, 1.3),
        ({"AIRMASS": 0.0, "CENTALT": 30.0}, 1.995),
        ({"AIRMASS": -1.0}, None),
        ({"AIRMASS": 99.0}, None),
        ({"OBJCTALT": 90.0}, 1.0),
        ({"OBJCTALT": "+30 00 00"}, 1.995),
        ({"ZD": 60.0}, 1.995),
        ({"ALTITUDE": -5.0}, None),
        ({"AIRMASS": "n/a"}, None),
        ({"AIRMASS": 1.3, "OBJCTALT": 50.0}, 1.3),
    ],
)
def test_cards_that_can_be_are_believed(cards, expected):
    air = air_of(NOWHERE, header(**cards))
    assert air.airmass == (
        expected if expected is None else pytest.approx(expected, rel=2e-3)
    )
    assert not told(air)


def test_without_cards_site_pointing_and_time_tell():
    assert air_of(ZENITH, header()).airmass == pytest.approx(1.0106, abs=1e-3)
    assert air_of(replace(ZENITH, ra=None), header()).airmass is None


@pytest.mark.parametrize(
    ("cards", "expected", "codes"),
    [
        ({"AIRMASS": 1.0105, "OBJCTALT": 81.7}, 1.0105, []),
        ({"AIRMASS": 13.37, "OBJCTALT": 81.7}, 1.0106, ["airmass-overruled"]),
        ({"AIRMASS": 1.0105, "OBJCTALT": 38.0}, 1.0105, ["airmass-overruled"]),
        ({"AIRMASS": 1.62, "OBJCTALT": 38.0}, 1.62, ["airmass-disagrees"]),
        ({"AIRMASS": 2.9, "OBJCTALT": 38.0}, 1.62, ["airmass-disagrees"]),
        ({"AIRMASS": 2.9}, 2.9, ["airmass-disagrees"]),
    ],
)
def test_what_two_witnesses_agree_upon_is_taken_and_the_third_is_told(
    cards, expected, codes
):
    air = air_of(ZENITH, header(**cards))
    assert air.airmass == pytest.approx(expected, rel=5e-3)
    assert told(air) == codes


def test_two_cards_that_disagree_are_told_with_both_values():
    (note,) = air_of(NOWHERE, header(AIRMASS=13.37, OBJCTALT=81.7)).doubts
    assert (note.code, note.found, note.expected) == (
        "airmass-disagrees",
        "1.01 by OBJCTALT",
        "13.37 by AIRMASS",
    )


def test_a_longitude_counted_westward_is_found_by_the_cards():
    west = replace(ZENITH, longitude=105.82)
    air = air_of(west, header(AIRMASS=1.0105))
    assert (air.airmass, air.item.longitude) == (1.0105, -105.82)
    assert told(air) == ["counted-westward"]
    assert air.doubts[0].way_out == "--set '*: longitude=-105.82'"


def test_a_target_below_the_horizon_has_no_airmass():
    """As where a right ascension in hours is read in degrees."""
    air = air_of(replace(ZENITH, ra=16.04), header())
    assert air.airmass is None
    assert told(air) == ["below-horizon"]


def test_what_is_computed_for_the_day_is_no_witness():
    """By chance it might agree with a stale card."""
    day = replace(ZENITH, date_obs="2025-06-01T23:20:00+00:00")
    stale = of_altitude(altitude_deg(middle_of(day), (day.ra, day.dec), site_of(day)))
    air = air_of(day, header(AIRMASS=stale, OBJCTALT=81.7))
    assert air.airmass == pytest.approx(1.0106, abs=1e-3)
    assert told(air) == ["daylight", "airmass-disagrees"]
    assert air_of(day, header()).airmass is None


@pytest.mark.parametrize(
    ("start", "exptime", "codes"),
    [
        ("2025-06-02T05:49:24+00:00", 60.0, []),
        ("2025-06-02T22:49:24+00:00", 60.0, ["daylight"]),
        ("2025-06-02T22:49:24+00:00", 0.01, []),
        ("2025-06-02T11:45:00+00:00", 60.0, []),
    ],
)
def test_lights_of_the_day_are_told(start, exptime, codes):
    """The last of them is of the dawn."""
    item = replace(ZENITH, date_obs=start, exptime=exptime)
    assert [one.code for one in daylight(item)] == codes
    assert not daylight(replace(item, longitude=None))
