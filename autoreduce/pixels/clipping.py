"""Clipping: which samples of a pixel are outliers.

Everything here works on a table of samples, frames along the first axis and
pixels along the second, in single or double precision, and on a table of the same
shape that says which samples are still good.  Deviations are in double precision, or in
single precision where that holds them exactly.

The scale against which a sample is judged is the scatter between the frames,
1.4826 times the median absolute deviation (MAD), but never less than the noise
expected of the sample.  Neither alone would do.  The standard deviation of n
samples about their median is so inflated by one outlier that the outlier lies
no farther than sqrt(n - 1) of it: at 4 sigma nothing is ever rejected from 17
frames or fewer.  The MAD has no such limit, but that of a few samples is itself so
uncertain that good ones are rejected, and that of quantised samples is often
zero; the expected noise is its floor.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoreduce.pixels.combination import Combination, Rejection
from autoreduce.pixels.network import Row, ordered

Samples = NDArray[np.floating[Any]]
"""(n_frames, n_pixels): a column for each pixel."""
Good = NDArray[np.bool_]
"""(n_frames, n_pixels): the samples that count."""
Values = NDArray[np.float64]
"""(n_pixels,)"""
Counts = NDArray[np.intp]
"""(n_pixels,)"""

MAD_TO_SIGMA = 1.4826
"""1 / Phi^-1(3/4): a normal distribution's standard deviation over its MAD."""

MANY_DOUBTFUL = 1 / 4
"""Fraction of a tile above which the scatter of every pixel is worth its cost."""

MANY_BYTES = 128
"""Bytes of all samples of a pixel above which sorting is faster than a network."""

ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Part of a median and of a deviation that single precision takes from them at most."""

WINSOR_LIMIT = 1.5
"""Scales from the median at which samples are winsorised (Huber 1981)."""
WINSOR_TO_SIGMA = 1.134
"""A normal distribution's standard deviation over that of its winsorised samples."""
WINSOR_ROUNDS = 10
"""Rounds of winsorising; the same number for every pixel, whatever its neighbours."""


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


def middle(low: Row, high: Row) -> Row:
    """Give the mean of two samples, in single precision if that has all their digits."""
    exact = _exact(low.dtype)
    half = np.multiply(low, 0.5, dtype=exact)
    half += np.multiply(high, 0.5, dtype=exact)
    return half


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
    last = np.maximum(n_good - 1, 0)
    position = quantile * last
    lower = position.astype(np.intp)
    upper = np.minimum(lower + 1, last)
    wanted = range(lower.min(), upper.max() + 1)
    filled = np.where(good, samples, samples.dtype.type(np.inf))
    ranked = _ranked(filled, wanted)
    low, high = (_picked(ranked, rank, wanted) for rank in (lower, upper))
    low[n_good == 0] = np.nan
    return interpolated(low, high, position - lower)


def _ranked(table: Samples, wanted: range) -> Sequence[Row]:
    """Order each pixel, as far as the wanted ranks go."""
    n = len(table)
    if n * table.itemsize > MANY_BYTES:
        return list(np.sort(table, axis=0))
    groups = tuple(rank if rank in wanted else None for rank in range(n))
    spare = np.empty((n + 2, table.shape[1]), table.dtype)
    return ordered(list(table), groups, list(spare))


def _picked(ranked: Sequence[Row], rank: NDArray[np.intp], wanted: range) -> Values:
    """Take from each pixel the sample of its own rank."""
    picked = np.empty(rank.shape)
    for one in wanted:
        np.copyto(picked, ranked[one], where=rank == one)
    return picked


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
    noise : (n_frames, n_pixels) or (1, n_pixels) array
        Noise expected of a sample, one sigma; zero where it is not known.

    Returns
    -------
    (n_frames, n_pixels) array of bool
        Samples that count in the end.
    """
    scatter, result = _SCATTER[how.rejection], good.copy()
    pixels = np.arange(samples.shape[1])
    once = how.rejection is Rejection.PERCENTILE
    if once:
        noise = np.zeros_like(noise)
    for _ in range(1 if once else how.iterations):
        centre = quantile_of_good(samples, good, 0.5)
        deviation = samples - centre
        # Within the limits of the noise alone nothing is rejected, whatever the
        # scatter, which costs most.
        doubtful = np.flatnonzero((good & ~_near(deviation, noise, how)).any(axis=0))
        if not doubtful.size:
            break
        pixels, centre = pixels[doubtful], centre[doubtful]
        samples, deviation = samples[:, doubtful], deviation[:, doubtful]
        good, noise = good[:, doubtful], noise[:, doubtful]
        scale = np.maximum(scatter(deviation, good, centre), noise)
        # Without any scale there is no telling what is an outlier: all are kept.
        left = good & (_near(deviation, scale, how) | (scale == 0))
        np.copyto(left, good, where=~left.any(axis=0))
        result[:, pixels] = left
        changed = np.flatnonzero((left != good).any(axis=0))
        if not changed.size:
            break
        pixels, samples = pixels[changed], samples[:, changed]
        good, noise = left[:, changed], noise[:, changed]
    return result


def clipped_ends(
    table: NDArray[Any], n_good: Counts, how: Combination, noise: Values
) -> tuple[Counts, Counts]:
    """Clip as `clipped` does by the scatter, samples that stand in order.

    Where all samples of a pixel have the same noise, those that are left are
    neighbours in order, so that two ends tell all.

    Parameters
    ----------
    table : (n_pixels, n_frames) array
        Samples of each pixel, the lowest first.
    n_good : (n_pixels,) array of int
        How many of them count, at least one: they stand before the others.
    how : Combination
        Limits and passes; the rejection is SIGMA.
    noise : (n_pixels,) array
        Noise expected of a sample, one sigma; zero where it is not known.

    Returns
    -------
    two (n_pixels,) arrays of int
        The first place that is left, and the one behind the last.
    """
    n_pixels, n_frames = table.shape
    first, end = np.zeros(n_pixels, np.intp), np.array(n_good, np.intp)
    pixels = np.arange(n_pixels)
    left = _Run(table.reshape(-1), pixels * n_frames, end)
    for _ in range(how.iterations):
        median = left.median()
        # Within the limits of the noise alone nothing is rejected, whatever the
        # scatter, which costs most.
        extent = _Extent(left.take(0), median, left.take(left.n - 1))
        doubtful = np.flatnonzero(extent.reaches_beyond(noise, how))
        if not doubtful.size:
            break
        pixels, left, median = pixels[doubtful], left.at(doubtful), median[doubtful]
        noise = noise[doubtful]
        scale = np.maximum(MAD_TO_SIGMA * left.mad(median), noise)
        # Without any scale there is no telling what is an outlier: all are kept.
        scale[scale == 0] = np.inf
        n_low = left.n_beyond(median, how.low * scale, from_top=False)
        n_high = left.n_beyond(median, how.high * scale, from_top=True)
        n_out = n_low + n_high
        changed = np.flatnonzero((n_out > 0) & (n_out < left.n))
        pixels, noise = pixels[changed], noise[changed]
        first[pixels] += n_low[changed]
        end[pixels] -= n_high[changed]
        start = left.start[changed] + n_low[changed]
        left = _Run(left.samples, start, end[pixels] - first[pixels])
    return first, end


class _Run(NamedTuple):
    """Samples of each pixel that are left, neighbours in order."""

    samples: NDArray[Any]
    """Of all pixels, one pixel after the other."""
    start: Counts
    """(n_pixels,), where the lowest stands."""
    n: Counts
    """(n_pixels,), how many there are."""

    def at(self, pixels: Counts) -> Self:
        return self._replace(start=self.start[pixels], n=self.n[pixels])

    def take(self, rank: Counts | int) -> NDArray[Any]:
        return self.samples.take(self.start + rank)

    def median(self) -> Values:
        middle = (self.take((self.n - 1) // 2), self.take(self.n // 2))
        low, high = (row.astype(np.float64) for row in middle)
        return interpolated(low, high, 0.5)

    def mad(self, median: Values) -> Values:
        """Give the median absolute deviation.

        The m samples nearest to the median are neighbours.  The higher these begin,
        the less they reach below the median and the more above it: bisection finds
        where that turns.
        """
        m = (self.n + 1) // 2
        low, high = np.zeros_like(self.n), self.n - m
        for _ in range(int(high.max()).bit_length()):
            middle = (low + high) // 2
            turned = self.take(middle + m - 1) - median >= median - self.take(middle)
            low = np.where(turned, low, np.minimum(middle + 1, high))
            high = np.where(turned, middle, high)
        before = np.maximum(high - 1, 0)
        above, below = self.take(high + m - 1) - median, median - self.take(before)
        below[high == 0] = np.inf
        nearest = np.minimum(above, below)
        start = np.where(above <= below, high, before)
        # The next sample stands on one side of these m or on the other.
        below = median - self.take(np.maximum(start - 1, 0))
        below[start == 0] = np.inf
        above = self.take(np.minimum(start + m, self.n - 1)) - median
        above[start + m >= self.n] = np.inf
        farther = np.where(self.n % 2, nearest, np.minimum(above, below))
        return interpolated(nearest, farther, 0.5)

    def n_beyond(self, median: Values, limit: Values, *, from_top: bool) -> Counts:
        """Count the samples beyond a limit on one side, the outermost first."""
        n, pixels = np.zeros_like(self.n), np.arange(len(self.n))
        place = self.start + self.n - 1 if from_top else self.start
        while pixels.size:
            deviation = self.samples.take(place) - median
            beyond = deviation > limit if from_top else deviation < -limit
            pixels, place = pixels[beyond], place[beyond] + (-1 if from_top else 1)
            median, limit = median[beyond], limit[beyond]
            n[pixels] += 1
        return n


def _near(deviation: Samples, scale: NDArray[np.float64], how: Combination) -> Good:
    """Say which samples lie within the limits."""
    return np.asarray((deviation <= how.high * scale) & (deviation >= -how.low * scale))


def _robust_scatter(deviation: Samples, good: Good, _centre: Values) -> Values:
    return MAD_TO_SIGMA * quantile_of_good(np.abs(deviation), good, 0.5)


def _winsorized_scatter(deviation: Samples, good: Good, centre: Values) -> Values:
    """Iterate the scatter of samples that are drawn in to 1.5 scales of the median.

    Drawing in does not move the median.  The start is robust, so that a few rounds
    are enough.
    """
    scale = _robust_scatter(deviation, good, centre)
    n_good = good.sum(axis=0)
    for _ in range(WINSOR_ROUNDS):
        reach = WINSOR_LIMIT * scale
        drawn_in = np.where(good, np.clip(deviation, -reach, reach), 0.0)
        mean = row_sum(drawn_in) / n_good
        squares = row_sum(np.where(good, drawn_in - mean, 0.0) ** 2)
        scale = WINSOR_TO_SIGMA * np.sqrt(squares / np.maximum(n_good - 1, 1))
    return scale


def _centre_itself(_deviation: Samples, _good: Good, centre: Values) -> Values:
    return np.abs(centre)


_SCATTER = {
    Rejection.SIGMA: _robust_scatter,
    Rejection.WINSORIZED: _winsorized_scatter,
    Rejection.PERCENTILE: _centre_itself,
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
    noise : array that broadcasts to a row
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
        scale = np.maximum(MAD_TO_SIGMA * _least_mad(ranked, found.median), noise)
        return _Extent.of(ranked).reaches_beyond(scale, how)
    return doubtful


class _Extent(NamedTuple):
    """Lowest, middle and highest sample of each pixel."""

    low: Row
    median: Row
    high: Row

    @classmethod
    def of(cls, ranked: list[Row]) -> Self:
        """Look at rows that are in order."""
        n = len(ranked)
        return cls(ranked[0], middle(ranked[(n - 1) // 2], ranked[n // 2]), ranked[-1])

    def reaches_beyond(
        self, scale: NDArray[np.float64], how: Combination
    ) -> NDArray[np.bool_]:
        above, below = self.high - self.median, self.median - self.low
        high, low = how.high * scale, how.low * scale
        if above.dtype == np.float32:
            # It rounds median and deviations: what may be beyond the limits is told.
            extremes = (by.reduce(self.median, None) for by in (np.fmin, np.fmax))
            slack = ROUNDING * max(map(abs, extremes))
            high, low = (limit * (1 - ROUNDING) - slack for limit in (high, low))
            high, low = np.asarray(high, np.float32), np.asarray(low, np.float32)
        found: NDArray[np.bool_] = above > high
        found |= below > low
        return found


def _exact(dtype: np.dtype[Any]) -> DTypeLike:
    """Give the type in which deviations from a median are worked out.

    Single precision holds those of small integers and their halves to the last digit;
    those of its own numbers it rounds.
    """
    small = dtype.kind == "u" and dtype.itemsize <= 2
    return np.float32 if small or dtype == np.float32 else np.float64


def _least_mad(ranked: list[Row], median: Row) -> Row:
    """Give the median absolute deviation of samples that are in order, or little less.

    The m samples nearest to the median are neighbours.  So the m-th smallest
    deviation is the smallest reach about the median that covers m neighbours.
    Single precision rounds the median and each deviation: less than that is told.
    """
    n = len(ranked)
    above = [row - median for row in ranked]
    below = [-deviation for deviation in above]
    low, high = (
        reduce(np.minimum, map(np.maximum, below, above[m - 1 :]))
        for m in ((n + 1) // 2, n // 2 + 1)
    )
    mad = interpolated(low, high, 0.5)
    rounding = ROUNDING if mad.dtype == np.float32 else 0.0
    return mad - rounding * (np.abs(median) + mad)
