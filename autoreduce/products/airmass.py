"""Through how much air a light was taken: cards, and what site, pointing and time tell."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from autoreduce.fits.header import RawHeader
from autoreduce.frames.literals import degrees
from autoreduce.frames.together import SHORTEST_S
from autoreduce.planning.plan import FrameInput
from autoreduce.products.barycentre import (
    altitude_deg,
    middle_of,
    site_of,
    sun_altitude_deg,
)
from autoreduce.remarks import Remark, remark

LARGEST = 40.0
"""Airmass at the horizon, about."""
ROUNDED = 0.01
"""By so much an airmass at the zenith may lie below 1."""
AIRMASSES = ("AIRMASS", "SECZ", "AMSTART", "AIRMSTRT", "ESO TEL AIRM START")
ALTITUDES = (
    "CENTALT", "OBJCTALT", "ALTITUDE", "TELALT", "ALT-OBJ", "ALT", "ESO TEL ALT",
)  # fmt: skip
ZENITH_DISTANCES = ("ZD", "OBSZD", "ZDIST", "ZENDIST", "TELZD")
COMPUTED = "site, pointing and time"
SAME, SAME_DEG = 0.05, 2.0
"""Airmasses that agree within this part, or altitudes within so many degrees, are one:
pointings differ by the field and by precession, cards by refraction and formula."""
SKY_TURNS = 15 / 3600
"""Degrees that the sky turns in a second."""
OF_SITE = re.compile(
    r"\bmet(er|re)s?\b|\[m\]|observatory|site|sea level", re.IGNORECASE
)
"""Comments of altitudes that are those of the ground."""
DAYLIGHT_DEG = 3.0
"""Where the Sun stands as high, no light of stars is exposed."""


class Witness(NamedTuple):
    """One that tells an airmass."""

    name: str
    """Card, or what it is computed from."""
    airmass: float
    """Infinite below the horizon."""

    def __str__(self) -> str:
        """Tell it in words."""
        below = math.isinf(self.airmass)
        shown = "below the horizon" if below else f"{self.airmass:.2f}"
        return f"{shown} by {self.name}"


class Air(NamedTuple):
    """Through how much air a light was taken."""

    airmass: float | None = None
    """None where nothing tells it, or nothing that can be."""
    doubts: tuple[Remark, ...] = ()
    """Where witnesses contradict each other."""
    item: FrameInput = FrameInput("")
    """The light, its longitude eastward."""


def of_altitude(altitude: float) -> float:
    """Give the airmass of an altitude, in degrees; infinite below the horizon."""
    if altitude <= 0:
        return math.inf
    # Pickering (2002), DIO 12, 1, 20: right down to the horizon.
    shown = altitude + 244 / (165 + 47 * altitude**1.1)
    return max(1.0, 1 / math.sin(math.radians(shown)))


def air_of(item: FrameInput, header: RawHeader) -> Air:
    """Tell through how much air a light was taken.

    Parameters
    ----------
    item : FrameInput
        Start, exposure, pointing and site of the light.
    header : RawHeader
        Its header.

    Returns
    -------
    Air
        What two of card, altitude, and site with pointing and time agree upon; where
        none agree, by the altitude, else the card, with the doubt.
    """
    cards, turned = list(_cards(header)), SKY_TURNS * (item.exptime or 0.0)
    told, by_day = list(_computed(item)), daylight(item)
    if told and cards and not any(_agree(one, told[0], turned) for one in cards):
        west = replace(item, longitude=-(item.longitude or 0.0))
        there = next(_computed(west))
        agree = all(_agree(one, there, turned) for one in cards)
        if agree and not daylight(west):
            note = remark(
                "counted-westward",
                found=f"{item.longitude:g}",
                expected=f"airmass is {cards[0]}, and would be {told[0]}",
                way_out=f"--set '*: longitude={west.longitude:g}'",
            )
            return Air(cards[0].airmass, (note,), west)
    # Of the day site or time are wrong, and so is what is computed from them.
    air = _settled(cards, [] if by_day else told, turned)
    return Air(air.airmass, (*by_day, *air.doubts), item)


def _settled(cards: list[Witness], told: list[Witness], turned: float) -> Air:
    """Take what two witnesses agree upon, and tell of what the others say."""
    witnesses = cards + told
    if not witnesses:
        return Air()
    agreeing = [
        one
        for one in witnesses
        if any(_agree(one, other, turned) for other in witnesses if other is not one)
    ]
    taken = agreeing[0] if agreeing else cards[-1] if cards else told[0]
    others = [one for one in witnesses if not _agree(one, taken, turned)]
    if math.isinf(taken.airmass):
        return Air(None, (remark("below-horizon", found=taken.name),))
    if not others:
        return Air(taken.airmass)
    # A card alone goes stale; what is computed is wrong if site, pointing or time is.
    overruled = bool(agreeing) and others[0].name != COMPUTED
    code = "airmass-overruled" if overruled else "airmass-disagrees"
    values = {"found": str(taken), "expected": ", ".join(map(str, others))}
    return Air(taken.airmass, (remark(code, **values),))


def _agree(one: Witness, other: Witness, turned: float) -> bool:
    low, high = sorted((one.airmass, other.airmass))
    if math.isinf(high):
        return math.isinf(low)
    apart = math.degrees(math.asin(min(1, 1 / low)) - math.asin(min(1, 1 / high)))
    return high <= low * (1 + SAME) or apart <= SAME_DEG + turned


def _cards(header: RawHeader) -> Iterator[Witness]:
    """Read what can be: an airmass, then an altitude."""
    for keyword in AIRMASSES:
        said = header.number(keyword)
        if said is not None and 1 - ROUNDED <= said < LARGEST:
            yield Witness(keyword, max(1.0, said))
            break
    for keyword in (*ALTITUDES, *ZENITH_DISTANCES):
        card = next(iter(header.find(keyword)), None)
        angle = degrees(card.value) if card else None
        if card is None or angle is None or OF_SITE.search(card.comment):
            continue
        altitude = 90 - angle if keyword in ZENITH_DISTANCES else angle
        if 0 < altitude <= 90 and angle:
            yield Witness(keyword, of_altitude(altitude))
            break


def _computed(item: FrameInput) -> Iterator[Witness]:
    site, middle = site_of(item), middle_of(item)
    if site and middle and item.ra is not None and item.dec is not None:
        altitude = altitude_deg(middle, (item.ra, item.dec), site)
        yield Witness(COMPUTED, of_altitude(altitude))


def daylight(item: FrameInput) -> tuple[Remark, ...]:
    """Say if a light was exposed by day: its time, or its site, is another one.

    Parameters
    ----------
    item : FrameInput
        Start, exposure and site of the light.
    """
    site, middle = site_of(item), middle_of(item)
    if site is None or middle is None or (item.exptime or 0.0) < SHORTEST_S:
        return ()
    altitude = sun_altitude_deg(middle, site)
    if altitude < DAYLIGHT_DEG:
        return ()
    return (remark("daylight", found=f"{altitude:.0f} deg"),)
