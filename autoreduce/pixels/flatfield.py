"""What a flat tells of itself: the level of its lit part, pixels that are no response.

Pure arrays, flats free of bias and as far as possible of dark current.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.measure import pixel_noise
from autoreduce.pixels.order import median, quantiles

Mask = NDArray[np.bool_]

BRIGHTEST = 0.99
"""Quantile that stands for the maximum: hot pixels and stars are fewer."""
PEEKED = 1 << 13
"""Pixels from which that quantile is taken."""
AROUND = 2
"""Pixels on each side that are a pixel's neighbourhood: 5 x 5 ..."""
APART = 2
"""... of which each is so far from the next: in a Bayer mosaic, whether a header tells
of it or not, like is compared with like."""
MOST_STEEP = 0.02
"""Fraction of pixels with steps about them beyond which they are a structure."""
NEIGHBOUR_SCATTER = 1.5
"""What one of two neighbours is nearer to the surroundings than, in sigma: pixels are
looked at more closely where a step along the row is so much below the limit."""
REACH = AROUND * APART
"""Rows above and below that a neighbourhood reaches to."""
AT_A_TIME = 1 << 14
"""Neighbourhoods held at a time."""
STRIP = 64
"""Rows worked on at a time: what is needed for them stays in the cache."""


def lit_level(
    values: NDArray[np.floating[Any]], fraction: float, *, mean: bool = False
) -> float:
    """Measure the level of the part of a flat that is lit.

    Parameters
    ----------
    values : array
        Pixels of one colour, free of bias.
    fraction : float
        Pixels above this fraction of the robust maximum, the 99th percentile, are
        lit.  If values lie as far below 0, they are noise, and all are taken; 0
        takes all in any case.
    mean : bool
        Whether the mean is taken instead of the median.

    Returns
    -------
    float
        In the unit of the values; NaN if none is finite.
    """
    known = np.isfinite(values)
    finite = values if known.all() else values[known]
    if not finite.size:
        return float("nan")
    if fraction > 0:
        peek = finite[:: max(1, finite.size // PEEKED)]
        lowest, highest = quantiles(peek, [1 - BRIGHTEST, BRIGHTEST])
        limit = fraction * highest
        if limit > 0 and lowest > -limit and finite.min() <= limit:
            finite = finite[finite > limit]
    if mean:
        return float(np.mean(finite, dtype=np.float64))
    return float(median(finite))


@dataclass(frozen=True, slots=True)
class Impulses:
    """Pixels that stand out of their neighbourhood."""

    y: NDArray[np.intp]
    """Rows."""
    x: NDArray[np.intp]
    """Columns."""
    around: NDArray[np.float64]
    """Medians of their neighbourhoods."""
    sigma: float
    """Scatter of a pixel in the frame."""

    def __len__(self) -> int:
        """Count them."""
        return len(self.y)

    def only(self, chosen: Mask) -> "Impulses":
        """Keep some of them."""
        return replace(
            self, y=self.y[chosen], x=self.x[chosen], around=self.around[chosen]
        )


def impulses(
    data: NDArray[np.floating[Any]],
    n_sigma: float,
    *,
    below: bool = False,
    sigma: float | None = None,
) -> Impulses:
    """Find single pixels that stand far out of their neighbourhood.

    Parameters
    ----------
    data : (ny, nx) array
        Flat, or dark; NaN is no data.
    n_sigma : float
        Distance from the median of the neighbourhood, in `sigma`; infinite finds none.
    below : bool
        Whether pixels below their neighbourhood count, too.
    sigma : float, optional
        What the distance is told in; by default a pixel's scatter in the frame
        (`pixel_scatter`: what pixels differ by in response counts as well).

    Returns
    -------
    Impulses
        In the order of the rows; none if there are so many that they must be something
        else.
    """
    none = np.zeros(0, np.intp)
    if sigma is None:
        sigma = pixel_scatter(data) if math.isfinite(n_sigma) else math.nan
    if not sigma > 0:
        return Impulses(none, none, np.zeros(0), sigma)
    y, x = marked_pixels(_steep(data, max(n_sigma - NEIGHBOUR_SCATTER, 1.0) * sigma))
    if len(y) > MOST_STEEP * data.size:
        return Impulses(none, none, np.zeros(0), sigma)
    around = neighbourhood(data, y, x)
    excess = data[y, x] - around
    if below:
        excess = np.abs(excess)
    return Impulses(y, x, around, sigma).only(excess > n_sigma * sigma)


def _steep(data: NDArray[np.floating[Any]], margin: float) -> Mask:
    """Mark pixels that differ from one of their neighbours in the row by a margin."""
    found = np.zeros(data.shape, np.bool_)
    for start in range(0, len(data), STRIP):
        rows, marks = data[start : start + STRIP], found[start : start + STRIP]
        steps = np.subtract(rows[:, APART:], rows[:, :-APART])
        steep = np.abs(steps, out=steps) > np.float32(margin)
        marks[:, APART:] |= steep
        marks[:, :-APART] |= steep
    return found


def pixel_scatter(data: NDArray[np.floating[Any]]) -> float:
    """Measure how much near pixels differ, one sigma: in even or odd rows, the noisier."""
    return float(np.fmax(pixel_noise(data[::2]), pixel_noise(data[1::2])))


def neighbourhood(
    data: NDArray[np.floating[Any]],
    y: NDArray[np.intp],
    x: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Give the medians of the neighbourhoods of some pixels.

    Parameters
    ----------
    data : (ny, nx) array
        Frame.
    y, x : (n,) array
        Pixels.

    Returns
    -------
    (n,) array
        Medians of the finite ones of 5 x 5 pixels around, each `APART` from the next,
        without the pixel itself; at the edges of those that there are.  NaN where
        there is none.
    """
    parts = [
        _neighbourhood(data, y[at : at + AT_A_TIME], x[at : at + AT_A_TIME])
        for at in range(0, len(y), AT_A_TIME)
    ]
    return np.concatenate([np.zeros(0), *parts])


def _neighbourhood(
    data: NDArray[np.floating[Any]], y: NDArray[np.intp], x: NDArray[np.intp]
) -> NDArray[np.float64]:
    ny, nx = data.shape
    reach = APART * np.arange(-AROUND, AROUND + 1)
    dy, dx = (shift.ravel() for shift in np.meshgrid(reach, reach, indexing="ij"))
    rows, columns = y[:, None] + dy, x[:, None] + dx
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    inside &= (dy != 0) | (dx != 0)
    values = data[np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)]
    values = np.where(inside, values, np.nan).astype(np.float64)
    medians = np.full(len(y), np.nan)
    known = np.isfinite(values).any(axis=1)
    medians[known] = np.nanmedian(values[known], axis=1)
    return medians
