"""What a run measures of frames: every number once, with all its names.

A number that is measured needs one line here, and a place in `pixels` where it comes
from: the columns of ``frames.csv``, ``lights.csv`` and the report, and the cards of
calibrated lights, are taken from this table.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple


class MeasuredColumn(NamedTuple):
    """A number that is measured of frames."""

    name: str
    """What columns and statistics call it."""
    unit: str
    """FITS unit; empty for pure numbers."""
    doc: str
    """What it is."""
    keyword: str = ""
    """Card of calibrated lights that has it; none if empty."""
    comment: str = ""
    """Comment of that card."""
    heading: str = ""
    """Heading of its column in the report; not shown there if empty."""
    digits: int = 4
    """Digits that the report shows."""
    percent: bool = False
    """Whether the report shows it in per cent."""
    whole: bool = False
    """Whether it is a whole number."""
    of_frames: bool = True
    """Whether ``frames.csv`` has it."""
    of_lights: bool = True
    """Whether ``lights.csv`` has it."""

    @property
    def dtype(self) -> str:
        """Type of its columns."""
        return "Int64" if self.whole else "Float64"


MEASURED = (
    MeasuredColumn(
        "median", "adu", "Median of the raw frame.", heading="Median", of_lights=False
    ),
    MeasuredColumn(
        "noise",
        "adu",
        "Robust 1-sigma pixel scatter, raw frame.",
        heading="Noise",
        of_lights=False,
    ),
    MeasuredColumn(
        "saturated",
        "",
        "Fraction of pixels at or above saturation.",
        heading="Saturated",
        digits=2,
        percent=True,
        of_lights=False,
    ),
    MeasuredColumn(
        "bjd_tdb",
        "d",
        "Middle of the exposure at the barycentre of the solar system, TDB.",
        "BJD_TDB",
        "middle of the exposure, barycentric",
        of_frames=False,
    ),
    MeasuredColumn(
        "airmass",
        "",
        "Airmass, by card, altitude, or site with pointing and time.",
        "AIRMASS",
        "airmass",
        of_frames=False,
    ),
    MeasuredColumn(
        "focus", "", "Position of the focuser, from the header.", of_frames=False
    ),
    MeasuredColumn(
        "sky",
        "adu",
        "Sky level of the calibrated light.",
        "SKYLEVEL",
        "sky level",
        "Sky",
    ),
    MeasuredColumn(
        "sky_noise",
        "adu",
        "1-sigma scatter of the sky, pixel to pixel.",
        "SKYNOISE",
        "sky noise",
        of_frames=False,
    ),
    MeasuredColumn(
        "stars",
        "",
        "Stars found in the calibrated light.",
        "NSTARS",
        "stars found",
        "Stars",
        whole=True,
    ),
    MeasuredColumn(
        "fwhm",
        "pixel",
        "Full width at half maximum of the stars.",
        "FWHM",
        "width of the stars",
        "FWHM",
    ),
    MeasuredColumn(
        "fwhm_arcsec",
        "arcsec",
        "The same, where the scale is known.",
        "FWHMSEC",
        "the same",
        of_frames=False,
    ),
    MeasuredColumn(
        "elongation",
        "",
        "Length over width of the stars: median by brightness.",
        "ELONGAT",
        "length over width of the stars",
        "Elongation",
    ),
    MeasuredColumn(
        "star_flux",
        "adu",
        "Median of the brightest stars.",
        "STARFLUX",
        "median of the brightest stars",
        of_frames=False,
        of_lights=False,
    ),
    MeasuredColumn(
        "saturate",
        "adu",
        "Lowest level of a saturated pixel, calibrated.",
        "SATURATE",
        "saturated pixels, calibrated",
        of_frames=False,
        of_lights=False,
    ),
)
"""All of them, in the order in which they are shown."""


def known(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what could not be measured: neither JSON nor FITS has a NaN for it."""
    return {
        name: float(value)
        for name, value in numbers.items()
        if value is not None and math.isfinite(value)
    }


def of_cards(number: Callable[[str], float | None]) -> dict[str, float]:
    """Give what a calibrated light tells of itself.

    Parameters
    ----------
    number : callable
        Gives the number of a card; None where there is none.
    """
    return known({one.name: number(one.keyword) for one in MEASURED if one.keyword})


def keywords(names: Iterable[MeasuredColumn] = MEASURED) -> set[str]:
    """Give the cards that tell what was measured of a light."""
    return {one.keyword for one in names if one.keyword}
