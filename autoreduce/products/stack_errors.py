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
TRIED_LIGHTS = 16
"""Lights at the most on which noise is tried."""


def why_no_errors(lights: Sequence[StackLight], method: Method) -> Remark | None:
    """Say why errors of a stack cannot be worked out; None if they can.

    Parameters
    ----------
    lights : sequence of StackLight
        Its lights.
    method : Method
        How they are combined.
    """
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
    planes: Sequence[Sequence[StackLight]],
    weights: Sequence[float],
    *,
    measured: bool = False,
) -> list[Card]:
    """Tell how much noisier means of many pixels are than the errors of pixels tell.

    Parameters
    ----------
    planes : sequence of sequence of n StackLight
        Lights as they go into each plane of the stack.
    weights : sequence of n float
        Their weights.
    measured : bool
        Whether colours are those of their own pixels.
    """
    values = [correlation(lights, weights, measured=measured) for lights in planes]
    words = "noise of 4x4 means times 4, over that of pixels"
    cards = [Card("CORRNOIS", sum(values) / len(values), words)]
    if len(values) > 1:
        cards += [
            Card(f"CORRNOI{number}", value, "the same of a plane")
            for number, value in enumerate(values, start=1)
        ]
    return cards


def correlation(
    lights: Sequence[StackLight], weights: ArrayLike, *, measured: bool = False
) -> float:
    """Find what resampling correlates, by laying noise on the grid as the lights are.

    Parameters
    ----------
    lights : sequence of n StackLight
        Laid on the grid.
    weights : (n,) sequence of float
        Their weights.
    measured : bool
        Whether colours are those of their own pixels.

    Returns
    -------
    float
        Noise of means of `BLOCK` x `BLOCK` pixels times `BLOCK`, over that of pixels;
        1 where pixels are independent.
    """
    every = -(-len(lights) // TRIED_LIGHTS)
    chosen = list(zip(lights, np.asarray(weights, float), strict=True))[::every]
    if all(light.resampler is None and not light.colour for light, _ in chosen):
        return 1.0
    total: NDArray[np.floating] = np.zeros(1, np.float32)
    share: NDArray[np.floating] = np.zeros(1, np.float32)
    for number, (light, weight) in enumerate(chosen):
        rows = light.noise(number, measured=measured)
        known = np.isfinite(rows)
        total = total + np.where(known, rows, np.float32(0)) * np.float32(weight)
        share = share + known * np.float32(weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _ratio(total / share)


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
