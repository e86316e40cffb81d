"""What the pixels say of a frame that nothing else names.

A few bands of rows are enough for a level, a noise and a density of stars.  They
mean nothing by themselves: they are compared with frames of the same camera whose
types are known, and where the comparison leaves a doubt no type is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import open_image
from autoreduce.frames.schema import ImageType

BANDS = 8
ROWS = 16
"""Rows of a band."""
STARRY = 200.0
"""Extended peaks per megapixel from which a frame is one of stars; darks of 1200 s
have up to 51 (cosmic rays), lights of a globular cluster 221 to 1228."""
BRIGHT = 0.05
"""Excess over a closed shutter, in parts of full scale, that a flat has at least."""
BRIGHTER = 5.0
"""Times the excess of the brightest known light that a flat has at least."""

_MAD_TO_SIGMA = 1.4826
_CELL = 32
PEAK = 10.0
"""Noise that a star's peak stands above the sky at least."""
_PART = 0.125
"""Part of a star's peak that the pixels next to it have at least, in the mean of two."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a glance at some rows of a frame shows."""

    level: float
    """Median of the bands' medians, ADU."""
    noise: float
    """1-sigma scatter from pixel to pixel, ADU; at least half an ADU."""
    stars: float
    """Extended peaks per megapixel."""


@dataclass(frozen=True, slots=True)
class Known:
    """A frame of known type, for comparison."""

    kind: ImageType
    """Its type."""
    exptime: float | None
    """Its exposure, s."""
    look: Look
    """Its pixels."""


def look_at(
    path: str | Path, header: RawHeader, *, mosaic: bool = False
) -> Look | None:
    """Read some rows of a frame and sum them up.

    Parameters
    ----------
    path : path
        A FITS file, plain or gzipped.
    header : RawHeader
        The header of its image.
    mosaic : bool
        Whether the pixels lie under a colour filter array.

    Returns
    -------
    Look or None
        None where the pixels cannot be read, or are not all numbers.
    """
    try:
        with open_image(path, header.hdu) as image:
            ny = image.shape[-2]
            rows = min(ROWS, ny)
            starts = np.linspace(0, ny - rows, BANDS).astype(int).tolist()
            raw = [image.rows(at, at + rows) for at in dict.fromkeys(starts)]
    except (InputError, OSError):
        return None
    bands = [band.astype(np.float64) for band in raw]
    if not all(np.isfinite(band).all() for band in bands):
        return None
    return sum_up(bands, 2 if mosaic else 1)


def sum_up(bands: Sequence[NDArray[np.float64]], step: int = 1) -> Look:
    """Return the level, noise and density of stars of bands of rows.

    Parameters
    ----------
    bands : sequence of ndarray
        Shape (rows, nx), ADU.
    step : int
        Distance between pixels of one colour: 2 for a Bayer pattern.
    """
    level = median(float(np.median(band)) for band in bands)
    steps = np.concatenate(
        [(band[:, step:] - band[:, :-step]).ravel() for band in bands]
    )
    spread = np.median(np.abs(steps - np.median(steps))) if steps.size else 0.0
    noise = max(float(spread) * _MAD_TO_SIGMA / np.sqrt(2), 0.5)
    stars = sum(count_extended(band, noise, step) for band in bands)
    return Look(level, noise, 1e6 * stars / sum(band.size for band in bands))


def judge(
    look: Look, exptime: float | None, known: Sequence[Known], full_scale: float
) -> tuple[ImageType | None, str]:
    """Return the type that a frame's pixels leave no doubt of.

    Parameters
    ----------
    look : Look
        The frame's pixels.
    exptime : float or None
        Its exposure, s.
    known : sequence of Known
        Frames of the same camera and night whose types are known.
    full_scale : float
        Level at which pixels saturate, ADU.

    Returns
    -------
    ImageType or None
        None where a doubt remains.
    str
        The rule, with its numbers.
    """
    closed = _closed_level(known, exptime)
    if closed is None:
        return None, ""
    lights = [one.look for one in known if one.kind is ImageType.LIGHT]
    others = [one.look for one in known if one.kind is not ImageType.LIGHT]
    excess = look.level - closed
    smoothest = max((one.stars for one in others), default=0.0)
    if look.stars >= max(STARRY, 5 * smoothest) and excess > 0:
        rule = f"pixels: {look.stars:.0f} stars per megapixel, {smoothest:.0f} at most"
        return ImageType.LIGHT, f"{rule} on the camera's calibration frames"
    brightest = max((one.level - closed for one in lights), default=np.inf)
    if look.stars < STARRY and excess > max(BRIGHT * full_scale, BRIGHTER * brightest):
        rule = f"pixels: {excess:.0f} ADU above a closed shutter and no stars"
        return ImageType.FLAT, f"{rule}; lights have {brightest:.0f} ADU at most"
    darks = [one.look for one in known if _is_dark_of(one, exptime)]
    scatter = max(look.noise / 20, 1.0)
    if darks and exptime and abs(excess) <= scatter and look.stars <= smoothest + 20:
        rule = f"pixels: {look.level:.0f} ADU and no stars, as the darks of"
        return ImageType.DARK, f"{rule} {exptime:g} s have"
    return None, ""


def _closed_level(known: Sequence[Known], exptime: float | None) -> float | None:
    """Return the level with a closed shutter: of the like darks, else of the biases."""
    darks = [one.look.level for one in known if _is_dark_of(one, exptime)]
    biases = [one.look.level for one in known if one.kind is ImageType.BIAS]
    levels = darks or biases
    return float(np.median(levels)) if levels else None


def _is_dark_of(one: Known, exptime: float | None) -> bool:
    if one.kind not in (ImageType.DARK, ImageType.FLATDARK):
        return False
    if exptime is None or one.exptime is None:
        return False
    return abs(one.exptime - exptime) <= max(0.05, 0.001 * exptime)


def count_extended(band: NDArray[np.float64], noise: float, step: int = 1) -> int:
    """Count peaks whose four neighbours stand out as well: no hot pixels.

    Along rows and columns neighbours have a part of the peak that a star of a pixel's width
    gives them: charge that leaks between pixels is less, and cosmic rays run one way.

    Parameters
    ----------
    band : (rows, nx) array
        Neighbouring rows of a frame, ADU.
    noise : float
        Scatter from pixel to pixel, 1 sigma, ADU.
    step : int
        Distance between pixels of one colour.

    Returns
    -------
    int
        Stars, and a few cosmic rays.
    """
    rows, nx = band.shape
    wide = nx // _CELL * _CELL
    if rows <= 2 * step or wide <= 2 * step:
        return 0
    cells = band[:, :wide].reshape(rows, -1, _CELL)
    sky = np.repeat(np.median(cells, axis=(0, 2)), _CELL)
    above = band[:, :wide] - sky
    middle = above[step:-step, step:-step]
    pairs = (
        (above[step:-step, : -2 * step], above[step:-step, 2 * step :]),
        (above[: -2 * step, step:-step], above[2 * step :, step:-step]),
    )
    least = _PART**step**2 * middle  # as a Gaussian falls
    peaks = middle > PEAK * noise
    for one, other in pairs:
        peaks &= (one + other) / 2 >= least
        for side in (one, other):
            peaks &= (side > 4 * noise) & (side <= middle)
    return int(np.count_nonzero(peaks))
