"""Errors of a stack: from those of its lights, and what resampling correlates."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreduce.fits.cards import Card
from autoreduce.pixels.combination import Method
from autoreduce.products.stack_light import StackLight
from autoreduce.remarks import Remark, remark

Image = NDArray[np.float32]

OF_MEAN = {Method.MEAN: 1.0, Method.MEDIAN: math.pi / 2}
"""Variance of combinations, of that of a mean of as many samples of normal noise."""
BLOCK = 4
"""Pixels along a block of which the mean is taken."""
TRIED_ROWS, TRIED_LIGHTS = 64, 16
"""Rows, and lights at the most, on which noise is tried."""


def why_no_errors(
    lights: Sequence[StackLight], method: Method, *, between: bool
) -> Remark | None:
    """Say why errors of a stack cannot be worked out; None if they can.

    Parameters
    ----------
    lights : sequence of StackLight
        Its lights.
    method : Method
        How they are combined.
    between : bool
        Whether colours are interpolated within each light.
    """
    if between:
        return remark("no-uncert", found="colours are interpolated within each light")
    if method not in OF_MEAN:
        return remark("no-uncert", found=f"lights are combined by {method}")
    without = sum(not light.has_errors for light in lights)
    if without:
        found = f"{without} of its {len(lights)} lights have none"
        return remark("no-uncert", found=found)
    return None


def variance_of(
    method: Method,
    sigmas: Sequence[Image],
    weights: Sequence[float] | None,
    n_used: NDArray[np.uint16],
) -> Image:
    """Give the variance of a combination of which only the numbers of samples are known.

    Parameters
    ----------
    method : Method
        One of `OF_MEAN`.
    sigmas : sequence of n (ny, nx) arrays, ADU
        1-sigma errors of the samples; NaN where there is none.
    weights : sequence of n floats, optional
        Weights of a mean.
    n_used : (ny, nx) array
        Samples that went into each pixel: those left out are taken for usual ones.

    Returns
    -------
    (ny, nx) float32 array, ADU**2
        NaN where nothing went in.
    """
    shares = np.ones(len(sigmas)) if weights is None else np.asarray(weights)
    squares: Image = np.zeros(n_used.shape, np.float32)
    total: Image = np.zeros(n_used.shape, np.float32)
    number = np.zeros(n_used.shape, np.float32)
    for sigma, share in zip(sigmas, shares.astype(np.float32), strict=True):
        known = np.isfinite(sigma)
        squares += np.where(known, (share * sigma) ** 2, np.float32(0))
        total += share * known
        number += known
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / total**2 * number / n_used
    return np.asarray(OF_MEAN[method] * variance, np.float32)


def correlation_cards(
    lights: Sequence[StackLight], weights: Sequence[float]
) -> list[Card]:
    """Tell how much noisier means of many pixels are than the errors of pixels tell."""
    value = correlation(lights, weights)
    return [Card("CORRNOIS", value, "noise of 4x4 means times 4, over that of pixels")]


def correlation(lights: Sequence[StackLight], weights: ArrayLike) -> float:
    """Find what resampling correlates, by laying noise on the grid as the lights are.

    Parameters
    ----------
    lights : sequence of n StackLight
        Laid on the grid.
    weights : (n,) sequence of float
        Their weights.

    Returns
    -------
    float
        Noise of means of `BLOCK` x `BLOCK` pixels times `BLOCK`, over that of pixels;
        1 where pixels are independent.
    """
    every = -(-len(lights) // TRIED_LIGHTS)
    chosen = list(zip(lights, np.asarray(weights, float), strict=True))[::every]
    laid = [(light.resampler, weight, light) for light, weight in chosen]
    total: NDArray[np.floating] | None = None
    for number, (resampler, weight, light) in enumerate(laid):
        if resampler is None:
            return 1.0
        ny = resampler.shape[0]
        start = max(0, (ny - TRIED_ROWS) // 2)
        stop = min(ny, start + TRIED_ROWS)
        first, last = resampler.light_rows(start, stop)
        noise = np.random.default_rng(number).standard_normal(
            (last - first, light.shape[1]), np.float32
        )
        scale = light.factor * light.statistics.get("sky_noise", 1.0)
        rows = resampler.rows(noise, first, start, stop) * np.float32(weight * scale)
        total = rows if total is None else total + rows
    return 1.0 if total is None else _ratio(total)


def _ratio(noise: NDArray[np.floating]) -> float:
    """Compare the scatter of block means with that of pixels; those beyond a light apart."""
    ny, nx = (n // BLOCK * BLOCK for n in noise.shape)
    blocks = noise[:ny, :nx].reshape(ny // BLOCK, BLOCK, nx // BLOCK, BLOCK)
    flat = blocks.swapaxes(1, 2).reshape(-1, BLOCK * BLOCK)
    whole = flat[np.isfinite(flat).all(axis=1)].astype(np.float64)
    if len(whole) < 2:
        return 1.0
    pixels = math.sqrt(float(np.mean(whole**2)))
    return BLOCK * math.sqrt(float(np.mean(whole.mean(axis=1) ** 2))) / pixels
