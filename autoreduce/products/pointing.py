"""What a header tells of the sky: the scale of the pixels, coordinates."""

import math
from typing import Any, NamedTuple

import numpy as np

from autoreduce.fits.cards import Card
from autoreduce.fits.header import RawHeader
from autoreduce.frames.literals import degrees
from autoreduce.pixels.register import Transform, fitted_similarity
from autoreduce.planning.plan import FrameInput

ARCSEC = 3600.0
LARGEST_SCALE, SMALLEST_SCALE = 600.0, 0.005
"""Arcseconds in a pixel beyond which a header is not believed."""
FOCUS_CARDS = ("FOCUSPOS", "FOCPOS", "FOCUS")
"""Cards that tell where the focuser stands, in the order in which they are asked."""
SAME_SIZE = 0.01
"""Sizes of pixels that agree within this part are one."""
SAME_PLACE_DEG = 1e-3
"""Within this cards tell one pointing."""
GRID = 7
"""Points along a side at which coordinates are compared."""


def pixel_scale_arcsec(header: RawHeader) -> float | None:
    """Tell how many arcseconds a pixel is wide.

    Parameters
    ----------
    header : RawHeader
        Header of a light.

    Returns
    -------
    float or None
        From the WCS, else a card that says it, else the size of the (binned) pixels
        and the focal length; None if none of these is there, or makes sense.
    """
    tries = (_of_matrix(header), _of_card(header), _of_optics(header))
    return next(
        (one for one in tries if one and SMALLEST_SCALE < one < LARGEST_SCALE), None
    )


def _of_matrix(header: RawHeader) -> float | None:
    if "DEC" not in str(header.get("CTYPE2")) + str(header.get("CTYPE1")):
        return None
    cd = [header.number(f"CD{i}_{j}") for i in (1, 2) for j in (1, 2)]
    if cd[0] is not None or cd[1] is not None:
        a, b, c, d = (one or 0.0 for one in cd)
        return math.sqrt(abs(a * d - b * c)) * ARCSEC
    steps = [header.number(f"CDELT{axis}") for axis in (1, 2)]
    if steps[0] is None or steps[1] is None:
        return None
    pc = [header.number(f"PC{i}_{j}") for i in (1, 2) for j in (1, 2)]
    a, b, c, d = (
        usual if one is None else one
        for one, usual in zip(pc, (1.0, 0.0, 0.0, 1.0), strict=True)
    )
    return math.sqrt(abs(steps[0] * steps[1] * (a * d - b * c))) * ARCSEC


def _of_card(header: RawHeader) -> float | None:
    return header.number("PIXSCALE", "SECPIX", "SECPIX1", "SCALE", "PIXSCAL1")


def _of_optics(header: RawHeader) -> float | None:
    length, binning = header.number("FOCALLEN"), header.number("XBINNING") or 1.0
    size, bare = header.number("XPIXSZ"), header.number("PIXSIZE1")
    # PIXSIZE1 is that of the sensor; some programs write the same into XPIXSZ.
    if bare and (not size or math.isclose(size, bare, rel_tol=SAME_SIZE)):
        size = bare * binning
    if not size or not length:
        return None
    return math.degrees(size * 1e-3 / length) * ARCSEC


def place_cards(item: FrameInput, header: RawHeader) -> list[Card]:
    """Give RA and DEC where the raw header's do not tell the pointing that is known.

    Parameters
    ----------
    item : FrameInput
        Pointing of the light, which the observer may have set.
    header : RawHeader
        Its raw header.

    Returns
    -------
    list of Card
        Both in degrees; empty where the cards are right, or nothing is known.
    """
    if item.ra is None or item.dec is None:
        return []
    pairs = [("RA", "DEC"), ("OBJCTRA", "OBJCTDEC")]
    there = (pair for pair in pairs if header.get(pair[0]) is not None)
    ra, dec = next(there, pairs[0])
    told = degrees(header.get(ra), hours=True), degrees(header.get(dec))
    known = item.ra, item.dec
    if all(
        one is not None and abs(one - other) < SAME_PLACE_DEG
        for one, other in zip(told, known, strict=True)
    ):
        return []
    return [
        Card("RA", item.ra, "[deg] right ascension of the pointing"),
        Card("DEC", item.dec, "[deg] declination of the pointing"),
    ]


class CoordinatesMatch(NamedTuple):
    """How a light lies on another by their coordinates."""

    transform: Transform
    """From pixels of the light to those of the reference."""
    rms: float
    """Distance of points from where the similarity puts them, 2-d, pixel."""


def coordinates_transform(
    light: RawHeader, reference: RawHeader, shape: tuple[int, int]
) -> CoordinatesMatch | None:
    """Find a transform between two lights by the coordinates in their headers.

    Parameters
    ----------
    light, reference : RawHeader
        Headers of both.
    shape : (ny, nx)
        Size of the light.

    Returns
    -------
    CoordinatesMatch or None
        The similarity that fits a grid of points best; None if a header has no
        celestial coordinates, or they lie on different sides of the sky.
    """
    worlds = [celestial(header) for header in (light, reference)]
    if worlds[0] is None or worlds[1] is None:
        return None
    ny, nx = shape
    y, x = (
        axis.ravel()
        for axis in np.meshgrid(
            np.linspace(0, ny - 1, GRID), np.linspace(0, nx - 1, GRID), indexing="ij"
        )
    )
    try:
        sky = worlds[0].pixel_to_world_values(x, y)
        there = worlds[1].world_to_pixel_values(*sky)
    except Exception:  # noqa: BLE001 -- wcslib's own errors, of many classes
        return None
    target = np.asarray(there[0]) + 1j * np.asarray(there[1])
    if not np.isfinite(target).all():
        return None
    fits = [fitted_similarity(x + sign * 1j * y, target) for sign in (1, -1)]
    mirrored = fits[1].rms < fits[0].rms
    turn, shift, rms = fits[mirrored]
    angle = float(np.rad2deg(np.angle(turn)))
    transform = Transform(
        float(shift.real), float(shift.imag), angle, float(abs(turn)), bool(mirrored)
    )
    return CoordinatesMatch(transform, rms)


def celestial(header: RawHeader) -> Any:  # noqa: ANN401 -- astropy's WCS is not imported at start
    """Give the celestial coordinates of a header, None if it has none."""
    import warnings

    from astropy.io import fits
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            world = WCS(fits.Header.fromstring(header.block), naxis=2)
        except Exception:  # noqa: BLE001 -- wcslib's own errors, of many classes
            return None
    return world if world.has_celestial else None
