"""When an exposure would have been seen from the barycentre of the solar system."""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.header import RawHeader
from autoreduce.frames import literals
from autoreduce.planning.plan import FrameInput

LIGHT_DAY_AU = 173.14463267
"""Astronomical units that light travels in a day."""
AU_M = 149597870700.0
LATITUDES = ("SITELAT", "LAT-OBS", "LATITUDE", "OBSGEO-B", "GEOLAT", "OBS-LAT")
LONGITUDES = ("SITELONG", "LONG-OBS", "LONGITUD", "OBSGEO-L", "GEOLON", "OBS-LONG")
HEIGHTS = ("SITEELEV", "ALT-OBS", "OBSGEO-H", "HEIGHT", "ELEVATIO")
HIGHEST_M = 9000.0


class Site(NamedTuple):
    """A place on the Earth, on the ellipsoid of WGS84."""

    longitude_deg: float
    """To the east."""
    latitude_deg: float
    height_m: float = 0.0


def site_of(header: RawHeader) -> Site | None:
    """Find where a frame was taken; None if its header does not tell."""
    latitude, longitude = (_angle(header, keys) for keys in (LATITUDES, LONGITUDES))
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    if abs(latitude) > 90 or abs(longitude) > 360:
        return None
    height = header.number(*HEIGHTS) or 0.0
    return Site(longitude, latitude, height if abs(height) < HIGHEST_M else 0.0)


def _angle(header: RawHeader, keywords: tuple[str, ...]) -> float | None:
    found = (literals.degrees(header.get(keyword)) for keyword in keywords)
    return next((angle for angle in found if angle is not None), None)


def bjd_of_light(item: FrameInput, header: RawHeader) -> float | None:
    """Give the barycentric Julian date of the middle of a light, TDB.

    Parameters
    ----------
    item : FrameInput
        Start, exposure and pointing of the light.
    header : RawHeader
        Its header, which tells the site.

    Returns
    -------
    float or None
        None where start, pointing or site are not known.
    """
    site = site_of(header)
    if site is None or not item.date_obs or item.ra is None or item.dec is None:
        return None
    begin = datetime.fromisoformat(item.date_obs)
    middle = begin + timedelta(seconds=(item.exptime or 0.0) / 2)
    return bjd_tdb(middle, (item.ra, item.dec), site)


def bjd_tdb(moment: datetime, target: tuple[float, float], site: Site) -> float:
    """Give the barycentric Julian date of a moment, TDB.

    UT1 is taken for UTC, which is wrong by a microsecond at the most; parallaxes of
    the target and the bending of light are left out.

    Parameters
    ----------
    moment : datetime
        UTC.
    target : (ra, dec)
        Where the light comes from, ICRS, deg.
    site : Site
        Where it was seen.

    Returns
    -------
    float
        Days.
    """
    import erfa

    seconds = moment.second + moment.microsecond * 1e-6
    day = (moment.year, moment.month, moment.day, moment.hour, moment.minute)
    utc = erfa.dtf2d("UTC", *day, seconds)
    tt = erfa.taitt(*erfa.utctai(*utc))
    # TT is within 2 ms of TDB: the Earth moves 60 m in that time.
    _, earth = erfa.epv00(*tt)
    longitude, latitude = np.radians((site.longitude_deg, site.latitude_deg))
    ground = erfa.gd2gc(1, longitude, latitude, site.height_m)
    turned = erfa.c2t06a(*tt, *utc, 0.0, 0.0).T @ ground
    seen_from = earth["p"] + turned / AU_M
    tdb_less_tt = erfa.dtdb(*tt, utc[1] % 1.0, longitude, *_cylindrical_km(ground))
    later = seen_from @ erfa.s2c(*np.radians(target)) / LIGHT_DAY_AU
    return float(tt[0] + (tt[1] + tdb_less_tt / 86400 + later))


def _cylindrical_km(ground: NDArray[np.float64]) -> tuple[float, float]:
    """Give the distances from the axis of the Earth and from its equator."""
    return float(np.hypot(*ground[:2])) / 1e3, float(ground[2]) / 1e3
