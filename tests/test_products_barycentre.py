"""Barycentric dates and altitudes, against astropy and by hand."""

from datetime import UTC, datetime

import astropy.units as u
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
from astropy.time import Time
from astropy.utils import iers

from autoreduce.planning.plan import FrameInput
from autoreduce.products.barycentre import (
    Site,
    altitude_deg,
    bjd_of_light,
    bjd_tdb,
    sun_altitude_deg,
)

START = "2021-02-26T20:00:00+00:00"


@pytest.mark.parametrize("month", [1, 4, 7, 10])
@pytest.mark.parametrize("target", [(83.6, 22.0), (250.4, 36.5), (10.0, -72.0)])
def test_dates_are_those_of_astropy(month, target):
    moment = datetime(2021, month, 27, 3, 14, 15, 250000, tzinfo=UTC)
    site = Site(-70.4, -24.6, 2635.0)
    place = EarthLocation.from_geodetic(*site)
    with iers.conf.set_temp("auto_download", False):
        time = Time(moment, scale="utc", location=place)
        later = time.light_travel_time(SkyCoord(*target, unit=u.deg))
        expected = time.tdb + later
    wrong = (bjd_tdb(moment, target, site) - expected.jd) * 86400
    assert abs(wrong) < 1e-4


def test_the_middle_of_the_exposure_counts():
    known = {"file": "l.fit", "date_obs": START, "ra": 83.6, "dec": 22.0}
    placed = {**known, "latitude": 46.0, "longitude": 7.0}
    short, long = (bjd_of_light(FrameInput(exptime=t, **placed)) for t in (0.0, 60.0))
    # The Earth moves by 90 km.
    assert (long - short) * 86400 == pytest.approx(30, abs=5e-3)
    for fact in ("ra", "date_obs", "latitude"):
        assert bjd_of_light(FrameInput(**{**placed, fact: None})) is None


@pytest.mark.parametrize("target", [(83.6, 22.0), (250.4, 36.5), (10.0, -72.0), None])
def test_altitudes_are_those_of_astropy(target):
    """Of the Sun as well."""
    moment, site = datetime(2021, 2, 27, 3, 14, 15, tzinfo=UTC), Site(-70.4, -24.6)
    place = EarthLocation.from_geodetic(*site)
    with iers.conf.set_temp("auto_download", False):
        time = Time(moment, scale="utc", location=place)
        body = SkyCoord(*target, unit=u.deg) if target else get_sun(time)
        expected = body.transform_to(AltAz(obstime=time, location=place)).alt.deg
    found = (
        altitude_deg(moment, target, site) if target else sun_altitude_deg(moment, site)
    )
    assert found == pytest.approx(expected, abs=0.02)
