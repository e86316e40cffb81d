"""Barycentric dates, against astropy and by hand."""

from datetime import UTC, datetime

import astropy.units as u
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers

from autoreduce.fits.header import RawHeader
from autoreduce.planning.plan import FrameInput
from autoreduce.products.barycentre import Site, bjd_of_light, bjd_tdb, site_of


def header(**cards):
    made = fits.Header()
    for keyword, value in cards.items():
        made[keyword.replace("_", "-")] = value
    return RawHeader(0, made.tostring(padding=False, endcard=False).encode())


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
    cards = header(SITELAT="+46 00 00", SITELONG="007 00 00")
    item = FrameInput("l.fit", exptime=60.0, date_obs="2021-02-26T20:00:00+00:00")
    known = {"file": "l.fit", "date_obs": item.date_obs, "ra": 83.6, "dec": 22.0}
    short = bjd_of_light(FrameInput(exptime=0.0, **known), cards)
    long = bjd_of_light(FrameInput(exptime=60.0, **known), cards)
    assert (long - short) * 86400 == pytest.approx(
        30, abs=5e-3
    )  # the Earth moves 90 km
    assert bjd_of_light(item, cards) is None
    assert bjd_of_light(FrameInput(**known), header()) is None


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"SITELAT": "-30 10 00", "SITELONG": "-70 30 00"}, (-70.5, -30.16667, 0)),
        ({"LAT_OBS": 46.0, "LONG_OBS": 7.0, "ALT_OBS": 1200.0}, (7.0, 46.0, 1200)),
        ({"LATITUDE": 46.0, "LONGITUD": "7 30 00 W"}, (-7.5, 46.0, 0)),
        ({"SITELAT": 0.0, "SITELONG": 0.0}, None),
        ({"SITELAT": 146.0, "SITELONG": 10.0}, None),
        ({"SITELAT": 46.0}, None),
    ],
)
def test_the_site(cards, expected):
    found = site_of(header(**cards))
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-4))
