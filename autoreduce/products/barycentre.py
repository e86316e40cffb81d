"""Where the sky stands: dates at the barycentre of the solar system, altitudes."""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.planning.plan import FrameInput

LIGHT_DAY_AU = 173.14463267
"""Astronomical units that light travels in a day."""
AU_M = 149597870700.0


class Site(NamedTuple):
    """A place on the Earth, on the ellipsoid of WGS84."""

    longitude_deg: float
    """To the east."""
    latitude_deg: float
    height_m: float = 0.0


def site_of(item: FrameInput) -> Site | None:
    """Give the place where a frame was taken; None if it is not known."""
    if item.latitude is None or item.longitude is None:
        return None
    return Site(item.longitude, item.latitude, item.height or 0.0)


def middle_of(item: FrameInput) -> datetime | None:
    """Give the middle of an exposure, UTC; None if its start is not known."""
    if not item.date_obs:
        return None
    begin = datetime.fromisoformat(item.date_obs)
    return begin + timedelta(seconds=(item.exptime or 0.0) / 2)


def bjd_of_light(item: FrameInput) -> float | None:
    """Give the barycentric Julian date of the middle of a light, TDB.

    Parameters
    ----------
    item : FrameInput
        Start, exposure, pointing and site of the light.

    Returns
    -------
    float or None
        None where start, pointing or site are not known.
    """
    site, middle = site_of(item), middle_of(item)
    if site is None or middle is None or item.ra is None or item.dec is None:
        return None
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

    utc, tt = _utc_and_tt(moment)
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


def _utc_and_tt(moment: datetime) -> tuple[tuple[float, float], tuple[float, float]]:
    """Give a moment as Julian dates in two parts, UTC and TT."""
    import erfa

    seconds = moment.second + moment.microsecond * 1e-6
    day = (moment.year, moment.month, moment.day, moment.hour, moment.minute)
    utc = erfa.dtf2d("UTC", *day, seconds)
    return utc, erfa.taitt(*erfa.utctai(*utc))


def altitude_deg(moment: datetime, target: tuple[float, float], site: Site) -> float:
    """Give how high something stands above the horizon, without refraction.

    Parameters
    ----------
    moment : datetime
        UTC, which is taken for UT1: less than 1 s, 0.004 deg.
    target : (ra, dec)
        Where it stands, ICRS, deg.
    site : Site
        Where it is seen from.

    Returns
    -------
    float
        Degrees, negative below the horizon; good to 0.01.
    """
    import erfa

    return _height_of(erfa.s2c(*np.radians(target)), moment, site)


def sun_altitude_deg(moment: datetime, site: Site) -> float:
    """Give how high the Sun stands, as `altitude_deg`."""
    import erfa

    _, tt = _utc_and_tt(moment)
    seen = -erfa.epv00(*tt)[0]["p"]
    return _height_of(seen / np.linalg.norm(seen), moment, site)


def _height_of(direction: NDArray[np.float64], moment: datetime, site: Site) -> float:
    """Give the altitude of a celestial direction, a unit vector, in degrees."""
    import erfa

    utc, tt = _utc_and_tt(moment)
    longitude, latitude = np.radians((site.longitude_deg, site.latitude_deg))
    zenith = erfa.s2c(longitude, latitude)
    sine = zenith @ erfa.c2t06a(*tt, *utc, 0.0, 0.0) @ direction
    return float(np.degrees(np.arcsin(np.clip(sine, -1, 1))))
