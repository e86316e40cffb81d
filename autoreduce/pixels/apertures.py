"""Fluxes of stars within circles, on the pixels as they are."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SKY_CLIP, SKY_ROUNDS = 3.0, 5
"""Standard deviations beyond which a pixel of the annulus is no sky, and how often."""
FEWEST_SKY = 20
"""Pixels that tell a sky."""


class Fluxes(NamedTuple):
    """What apertures hold; NaN where one cannot be measured."""

    flux: Floats
    """(n,), ADU, without the sky."""
    error: Floats
    """(n,), 1-sigma error of it, ADU."""
    sky: Floats
    """(n,), level of the sky, ADU per pixel."""


def aperture_fluxes(
    data: NDArray[Any],
    x: Floats,
    y: Floats,
    radius: float,
    annulus: tuple[float, float],
    *,
    gain: float | None = None,
    saturate: float | None = None,
) -> Fluxes:
    """Measure stars in circles, with the sky of a ring about each.

    Pixels that a circle cuts count by the part that lies within.  The sky is the mean
    of the ring, clipped about its median; the scatter of its lower half holds the noise
    of sky, readout and masters.  The error is that scatter in the circle and in the ring's mean, and the
    photons of the star (Howell 2006, Handbook of CCD Astronomy, 2nd ed., eq. 4.4).

    Parameters
    ----------
    data : (ny, nx) array, ADU
        Calibrated light.
    x, y : (n,) arrays
        Centres, pixels counted from 0.
    radius : float
        Of the circles, pixel.
    annulus : (inner, outer)
        Radii of the ring, pixel.
    gain : float, optional
        Electrons per ADU; without it the star's own photons are not in the error.
    saturate : float, optional
        Level from which a pixel is full, ADU.

    Returns
    -------
    Fluxes
        NaN where a circle leaves the light, holds a pixel without a value or a full
        one, or where there is no sky.
    """
    import sep

    image = np.ascontiguousarray(data, np.float64)
    bad = ~np.isfinite(image)
    if saturate is not None:
        bad |= image >= saturate
    whole = np.where(bad, 0.0, image)
    total, _, cut = sep.sum_circle(whole, x, y, radius, subpix=0)
    spoilt, _, _ = sep.sum_circle(bad.astype(np.float64), x, y, radius, subpix=0)
    image[bad] = np.nan
    level, scatter, n = _skies(image, x, y, annulus)
    area = np.pi * radius**2
    unusable = (spoilt > 0) | ((cut & sep.APER_TRUNC) != 0)
    flux = np.where(unusable, np.nan, total - area * level)
    photons = np.maximum(flux, 0.0) / gain if gain else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(photons + scatter**2 * area * (1 + area / n))
    return Fluxes(flux, np.where(np.isfinite(flux), error, np.nan), level)


def _skies(
    image: Floats, x: Floats, y: Floats, annulus: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """Give level, scatter and number of pixels of the sky in a ring about each place."""
    skies = np.full((len(x), 3), np.nan)
    ny, nx = image.shape
    reach = int(np.ceil(annulus[1])) + 1
    for i, (x0, y0) in enumerate(zip(x, y, strict=True)):
        if not (0 <= x0 < nx and 0 <= y0 < ny):
            continue
        low, left = max(int(y0) - reach, 0), max(int(x0) - reach, 0)
        part = image[low : int(y0) + reach + 2, left : int(x0) + reach + 2]
        rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
        distance = np.hypot(columns + left - x0, rows + low - y0)
        ring = part[(distance >= annulus[0]) & (distance < annulus[1])]
        skies[i] = _sky(ring[np.isfinite(ring)])
    return skies[:, 0], skies[:, 1], skies[:, 2]


def _sky(values: Floats) -> tuple[float, float, float]:
    for _ in range(SKY_ROUNDS):
        if len(values) < FEWEST_SKY:
            return np.nan, np.nan, np.nan
        limit = SKY_CLIP * float(np.std(values))
        kept = values[np.abs(values - np.median(values)) <= limit]
        if len(kept) == len(values):
            break
        values = kept
    level = float(np.mean(values))
    # Faint neighbours add to the upper half alone, and are the same in all lights.
    lower = values[values <= np.median(values)] - np.median(values)
    return level, float(np.sqrt(np.mean(lower**2))), float(len(values))
