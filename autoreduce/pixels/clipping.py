"""Clipping: which samples of a pixel are outliers.

Everything here works on a table of samples, frames along the first axis and
pixels along the second, in double precision, and on a table of the same shape
that says which samples are still good.

The scale against which a sample is judged is the scatter between the frames,
1.4826 times the median absolute deviation (MAD), but never less than the noise
expected of the sample.  Neither alone would do.  The standard deviation of n
samples about their median is so inflated by one outlier that the outlier lies
no farther than sqrt(n - 1) of it: at 4 sigma nothing is ever rejected from 17
frames or fewer.  The MAD has no such limit, but that of a few samples is itself so
uncertain that good ones are rejected, and that of quantised samples is often
zero; the expected noise is its floor.
"""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoreduce.pixels.combination import Combination, Rejection
from autoreduce.pixels.network import Row, ordered

Samples = NDArray[np.float64]
"""(n_frames, n_pixels): a column for each pixel."""
Good = NDArray[np.bool_]
"""(n_frames, n_pixels): the samples that count."""
Values = NDArray[np.float64]
"""(n_pixels,)"""

MAD_TO_SIGMA = 1.4826
"""1 / Phi^-1(3/4): a normal distribution's standard deviation over its MAD."""

MANY_DOUBTFUL = 1 / 16
"""Fraction of a tile above which the scatter of every pixel is worth its cost."""

WINSOR_LIMIT = 1.5
"""Scales from the median at which samples are winsorised (Huber 1981)."""
WINSOR_TO_SIGMA = 1.134
"""A normal distribution's standard deviation over that of its winsorised samples."""
WINSOR_ROUNDS = 10
"""Rounds of winsorising; the same number for every pixel, whatever its neighbours."""


class Limits(NamedTuple):
    """Centre of each pixel, and the scale of each sample about it."""

    centre: Values
    scale: NDArray[np.float64]


def ordered_samples(samples: Samples, good: Good) -> Samples:
    """Sort the good samples of each pixel to the front; infinity fills the rest."""
    rows = list(np.where(good, samples, np.inf))
    spare = np.empty((len(rows) + 2, samples.shape[1]))
    return np.stack(ordered(rows, tuple(range(len(rows))), list(spare)))


def row_sum(
    rows: Iterable[NDArray[Any]], dtype: DTypeLike = np.float64
) -> NDArray[Any]:
    """Add rows one after the other, in their order.

    `numpy.sum` adds in an order that depends on the shape of the table, and so
    the last bits of a pixel would depend on how many pixels stand beside it.
    """
    left = iter(rows)
    total: NDArray[Any] = next(left).astype(dtype)
    for row in left:
        np.add(total, row, out=total)
    return total


def interpolated(low: Values, high: Values, fraction: Values | float) -> Values:
    """Give the value at a fraction of the way from one sample to the next."""
    between: Values = low + (high - low) * fraction
    return between


def quantile_of_good(samples: Samples, good: Good, quantile: float) -> Values:
    """Give a quantile of the good samples of each pixel, NaN where there is none.

    Between two samples the quantile is interpolated linearly, as by
    `numpy.quantile`: 0.5 is the median.

    Parameters
    ----------
    samples, good : (n_frames, n_pixels) arrays
        Samples, and which of them count.
    quantile : float
        From 0 to 1.
    """
    n_good = good.sum(axis=0)
    table = ordered_samples(samples, good)
    position = quantile * np.maximum(n_good - 1, 0)
    rank = np.floor(position).astype(np.intp)
    low = np.take_along_axis(table, rank[None], axis=0)[0]
    upper = np.minimum(rank + 1, np.maximum(n_good - 1, 0))
    high = np.take_along_axis(table, upper[None], axis=0)[0]
    empty = n_good == 0
    low[empty] = high[empty] = np.nan
    return interpolated(low, high, position - rank)


def clipped(
    samples: Samples, good: Good, how: Combination, noise: NDArray[np.float64]
) -> Good:
    """Find the samples that are left when outliers are rejected.

    Each pass takes centre and scale from the samples that are still good, and
    rejects those farther than `how.low` scales below or `how.high` above the
    centre.  It ends when nothing more is rejected.  What has been rejected does
    not come back.  A pass that would reject all that is left rejects nothing.

    Parameters
    ----------
    samples : (n_frames, n_pixels) array
        Samples.
    good : (n_frames, n_pixels) array of bool
        Samples that count at the start.
    how : Combination
        Which rejection, its limits and passes.
    noise : array that broadcasts to the samples
        Noise expected of a sample, one sigma; zero where it is not known.

    Returns
    -------
    (n_frames, n_pixels) array of bool
        Samples that count in the end.
    """
    limits = _LIMITS[how.rejection]
    good = good.copy()
    noise = np.broadcast_to(noise, samples.shape)
    left = np.arange(samples.shape[1])
    passes = 1 if how.rejection is Rejection.PERCENTILE else how.iterations
    for _ in range(passes):
        before = good[:, left]
        after = before & _inside(samples[:, left], limits, before, how, noise[:, left])
        np.copyto(after, before, where=~after.any(axis=0))
        good[:, left] = after
        left = left[(after != before).any(axis=0)]
        if not left.size:
            break
    return good


def _inside(
    samples: Samples,
    limits: Callable[[Samples, Good, NDArray[np.float64]], Limits],
    good: Good,
    how: Combination,
    noise: NDArray[np.float64],
) -> Good:
    centre, scale = limits(samples, good, noise)
    deviation = samples - centre
    # Without any scale there is no telling what is an outlier: all are kept.
    unknown = scale == 0
    near = (deviation <= how.high * scale) & (deviation >= -how.low * scale)
    return np.asarray(near | unknown)


def _robust_limits(samples: Samples, good: Good, noise: NDArray[np.float64]) -> Limits:
    centre = quantile_of_good(samples, good, 0.5)
    mad = quantile_of_good(np.abs(samples - centre), good, 0.5)
    return Limits(centre, np.maximum(MAD_TO_SIGMA * mad, noise))


def _winsorized_limits(
    samples: Samples, good: Good, noise: NDArray[np.float64]
) -> Limits:
    """Iterate the scale of samples that are drawn in to 1.5 scales of the median.

    Drawing in does not move the median.  The start is robust, so that a few rounds
    are enough.
    """
    centre, scale = _robust_limits(samples, good, np.zeros(()))
    for _ in range(WINSOR_ROUNDS):
        reach = WINSOR_LIMIT * scale
        drawn_in = np.clip(samples, centre - reach, centre + reach)
        scale = WINSOR_TO_SIGMA * _scatter(drawn_in, good)
    return Limits(centre, np.maximum(scale, noise))


def _scatter(samples: Samples, good: Good) -> Values:
    """Give the sample standard deviation, zero where there are less than two."""
    n_good = good.sum(axis=0)
    mean = row_sum(np.where(good, samples, 0.0)) / np.maximum(n_good, 1)
    squares = row_sum(np.where(good, samples - mean, 0.0) ** 2)
    return np.asarray(np.sqrt(squares / np.maximum(n_good - 1, 1)))


def _percentile_limits(
    samples: Samples, good: Good, noise: NDArray[np.float64]
) -> Limits:
    centre = quantile_of_good(samples, good, 0.5)
    return Limits(centre, np.broadcast_to(np.abs(centre), noise.shape))


_LIMITS = {
    Rejection.SIGMA: _robust_limits,
    Rejection.WINSORIZED: _winsorized_limits,
    Rejection.PERCENTILE: _percentile_limits,
}


def suspects(
    rows: list[Row], spare: list[Row], how: Combination, noise: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Find the pixels that may hold an outlier; all others hold none.

    If neither the lowest nor the highest sample is an outlier no other is.  Centre
    and scale are those of the first pass of `clipped`, or a smaller scale.

    Parameters
    ----------
    rows : list of n arrays
        Samples of whole pixels; where a sample is not finite the answer has no
        meaning.
    spare : list of n + 2 arrays
        Buffers like the rows; they are overwritten.
    how : Combination
        Rejection and its limits.
    noise : array like a row
        Noise expected of any sample; zero where it is not known.
    """
    n = len(rows)
    groups: list[int | None] = [None] * n
    groups[0], groups[-1] = 1, 2
    groups[n // 2] = groups[(n - 1) // 2] = 0
    if n < 3:
        groups = list(range(n))
    found = _Extent.of(ordered(rows, tuple(groups), spare))
    if how.rejection is Rejection.PERCENTILE:
        return found.reaches_beyond(np.abs(found.median), how)
    doubtful = found.reaches_beyond(noise, how)
    if how.rejection is Rejection.SIGMA and doubtful.mean() > MANY_DOUBTFUL:
        ranked = ordered(rows, tuple(range(n)), spare)
        mad = _mad_of_ordered(ranked, found.median)
        scale = np.maximum(MAD_TO_SIGMA * mad, noise)
        return _Extent.of(ranked).reaches_beyond(scale, how)
    return doubtful


class _Extent(NamedTuple):
    """Lowest, middle and highest sample of each pixel."""

    low: Row
    median: NDArray[np.float64]
    high: Row

    @classmethod
    def of(cls, ranked: list[Row]) -> Self:
        n = len(ranked)
        low, high = (ranked[k].astype(np.float64) for k in ((n - 1) // 2, n // 2))
        return cls(ranked[0], interpolated(low, high, 0.5), ranked[-1])

    def reaches_beyond(
        self, scale: NDArray[np.float64], how: Combination
    ) -> NDArray[np.bool_]:
        too_high = self.high - self.median > how.high * scale
        too_low = self.median - self.low > how.low * scale
        return too_high | too_low


def _mad_of_ordered(
    ranked: list[Row], median: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the median absolute deviation of samples that are in order.

    The m samples nearest to the median are neighbours.  So the m-th smallest
    deviation is the smallest reach about the median that covers m neighbours.
    """
    n = len(ranked)
    below = [median - row for row in ranked]
    above = [row - median for row in ranked]
    low, high = (
        reduce(np.minimum, map(np.maximum, below, above[m - 1 :]))
        for m in ((n + 1) // 2, n // 2 + 1)
    )
    return interpolated(low, high, 0.5)
