"""Combine a stack of frames into one.

Nearly every pixel of a stack is whole: no sample is missing and none is an outlier.
Whole pixels are combined tile by tile, in the type of the frames, by few passes
over rows of samples.  The others are found by a cheap test, taken out into a small
table, clipped there, and put back.  Of many frames, few pixels have no sample beyond the
limits by chance: there all samples of a pixel are sorted, and clipping moves two ends.
A pixel's result depends on its own samples alone, so it is the same to the bit whatever
the band it came in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreduce.pixels.clipping import (
    MANY_BYTES,
    Counts,
    Good,
    Samples,
    clipped,
    clipped_ends,
    interpolated,
    middle,
    quantile_of_good,
    row_sum,
    suspects,
)
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.network import Row, ordered
from autoreduce.pixels.tiles import Tile, tiles

ROW_BYTES = 128 * 1024
"""Bytes of one row of samples: the three that a comparator touches fit an L2 cache."""
TILE_BYTES = 16 * 1024**2
"""Bytes of all rows of a tile at the most."""
SORTED_BYTES = 256 * 1024
"""Bytes of the pixels that are sorted at a time, so that they stay in the cache."""
TABLE_SAMPLES = 1024 * 1024
"""Samples of pixels that are not whole, or sorted, treated at a time."""
TABLE_PIXELS = 16 * 1024
"""Their pixels at the most."""

_QUANTILES = {
    Method.MEDIAN: 0.5,
    Method.MIN: 0.0,
    Method.MAX: 1.0,
    Method.QUANTILE: None,
}


class CombineResult(NamedTuple):
    """A combined band, and what went into it."""

    data: NDArray[np.float32]
    """(ny, nx), in the unit of the frames; NaN where no sample was left."""
    n_used: NDArray[np.uint16]
    """(ny, nx), samples that went into each pixel."""
    rejected: NDArray[np.int64]
    """(n_frames,), samples of each frame that were rejected as outliers."""


def combine(
    stack: NDArray[Any] | Sequence[NDArray[Any]],
    how: Combination,
    *,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    noise: ArrayLike | None = None,
) -> CombineResult:
    """Combine frames pixel by pixel.

    Parameters
    ----------
    stack : (n_frames, ny, nx) array, or sequence of n_frames (ny, nx) arrays
        Frames, or the same band of each.  Integers stay integers until only the
        result is left.  Samples that are not finite are left out.
    how : Combination
        What is computed, and how outliers are found.
    mask : array of bool that broadcasts to the stack, optional
        Samples to leave out, where True.
    weights : (n_frames,) array, optional
        Weights of the frames in a mean.
    noise : array that broadcasts to the stack, optional
        Noise expected of a sample, one sigma in the unit of the frames: clipping
        never takes the scatter for less.  Without it integers are taken to be good to
        one unit, and clipping few samples rejects many good ones.

    Returns
    -------
    CombineResult
        The combined band, the number of samples used, and of those rejected.
        Sums are accurate to double precision.  STD and VAR are about the mean and
        divided by the number of samples, as `numpy.std` does.

    Raises
    ------
    ValueError
        If the stack is empty or its frames differ in shape, weights or noise do
        not fit, or all samples of a pixel would be dropped.
    """
    frames = _frames(stack)
    job = _job(frames, how, mask, weights, noise)
    shape = frames[0].shape
    result = CombineResult(
        np.empty(shape, np.float32),
        np.empty(shape, np.uint16),
        np.zeros(len(frames), np.int64),
    )
    at_a_time = min(max(TABLE_SAMPLES // len(frames), 1), TABLE_PIXELS)
    clipping = _Clipping(job, min(at_a_time, frames[0].size), result)
    n_pixels = _tile_pixels(len(frames), frames[0].itemsize)
    with np.errstate(invalid="ignore", over="ignore"):
        if job.in_order and len(frames) * frames[0].itemsize > MANY_BYTES:
            for tile in tiles(shape, at_a_time):
                clipping.combine([frame[tile] for frame in frames], tile)
            return result
        size = len(frames) + 2, min(n_pixels, frames[0].size)
        spare, partial = np.empty(size, frames[0].dtype), np.zeros(shape, bool)
        for tile in tiles(shape, n_pixels):
            partial[tile] = _combine_tile(job, tile, spare, result)
        pixels = np.flatnonzero(partial)
        for start in range(0, pixels.size, at_a_time):
            some = pixels[start : start + at_a_time]
            if job.in_order:
                rows = [frame.take(some) for frame in frames]
                clipping.combine(rows, np.unravel_index(some, shape))
            else:
                _combine_partial(job, some, result)
    return result


@dataclass(frozen=True, slots=True)
class _Job:
    """What is combined, and how; all arrays are as large as the band."""

    frames: list[NDArray[Any]]
    how: Combination
    mask: NDArray[np.bool_] | None
    weights: NDArray[np.float64] | None
    noise: NDArray[Any]

    @property
    def in_order(self) -> bool:
        """Whether samples may stand in the order of their values.

        Where frames have weights, or a noise of their own, it must be known which one a
        sample comes from.
        """
        alike = self.weights is None and self.noise.strides[0] == 0
        return alike and self.how.rejection is Rejection.SIGMA


def _frames(stack: NDArray[Any] | Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    shapes = sorted({np.shape(frame) for frame in stack})
    if len(shapes) != 1 or len(shapes[0]) != 2:
        msg = f"a stack needs frames of one two-dimensional shape, not {shapes}"
        raise ValueError(msg)
    dtype = np.result_type(*{frame.dtype for frame in stack}).newbyteorder("=")
    if dtype.kind not in "uif":
        msg = f"frames must be real numbers, not {dtype}"
        raise ValueError(msg)
    return [np.asarray(frame, dtype) for frame in stack]


def _job(
    frames: list[NDArray[Any]],
    how: Combination,
    mask: ArrayLike | None,
    weights: ArrayLike | None,
    noise: ArrayLike | None,
) -> _Job:
    n, shape = len(frames), (len(frames), *frames[0].shape)
    if how.rejection is Rejection.MINMAX and how.drop_low + how.drop_high >= n:
        msg = f"cannot drop {how.drop_low} + {how.drop_high} samples of {n}"
        raise ValueError(msg)
    least = 1.0 if frames[0].dtype.kind in "ui" else 0.0
    # That of each pixel, as of a mosaic, is as large as the stack: it is not copied.
    expected = np.asarray(least if noise is None else noise)
    if not expected.min(initial=np.inf) >= 0:
        msg = "the expected noise must be zero or more everywhere"
        raise ValueError(msg)
    return _Job(
        frames,
        how,
        None if mask is None else np.broadcast_to(np.asarray(mask, bool), shape),
        None if weights is None else _weights(weights, n, how),
        np.broadcast_to(expected, shape),
    )


def _weights(weights: ArrayLike, n: int, how: Combination) -> NDArray[np.float64]:
    values = np.asarray(weights, np.float64)
    if how.method is not Method.MEAN:
        msg = f"weights are for a mean, not for {how.method}"
        raise ValueError(msg)
    positive = (values >= 0).all() and 0 < values.sum() < np.inf
    if values.shape != (n,) or not positive:
        msg = f"weights must be {n} numbers, zero or more and not all zero: {values}"
        raise ValueError(msg)
    return values


def _tile_pixels(n: int, itemsize: int) -> int:
    return max(min(ROW_BYTES, TILE_BYTES // n) // itemsize, 1)


def _combine_tile(
    job: _Job, tile: Tile, spare: NDArray[Any], result: CombineResult
) -> NDArray[np.bool_]:
    """Combine a tile as if every pixel were whole; mark those that are to be done again.

    These are the pixels that miss a sample or may hold an outlier.
    """
    how, rows = job.how, [frame[tile] for frame in job.frames]
    buffers = [buffer[: rows[0].size].reshape(rows[0].shape) for buffer in spare]
    sums = how.method not in _QUANTILES and how.rejection is not Rejection.MINMAX
    partial = _incomplete(job, tile, rows, None if sums else buffers[0])
    if how.rejection not in (Rejection.NONE, Rejection.MINMAX):
        partial |= suspects(rows, buffers, how, _least(job.noise[:, *tile]))
    ranked, weights = ordered(rows, _ranks(how, len(rows)), buffers), job.weights
    if how.rejection is Rejection.MINMAX:
        if weights is not None:  # no telling which frame a ranked sample comes from
            partial[...], weights = True, None
        result.rejected[:] += _dropped_by_frame(how, rows, ranked, ~partial)
        ranked = ranked[how.drop_low : len(rows) - how.drop_high]
    result.data[tile] = _statistic(ranked, how, weights)
    result.n_used[tile] = len(ranked)
    if sums and rows[0].dtype.kind == "f":
        partial |= ~np.isfinite(result.data[tile])
    return partial


def _least(noise: NDArray[Any]) -> NDArray[np.float64]:
    """Give the smallest noise of each pixel: once, where frames or pixels share it."""
    once = noise[tuple(slice(None if stride else 1) for stride in noise.strides)]
    return np.asarray(once.min(axis=0), np.float64)


def _incomplete(
    job: _Job, tile: Tile, rows: list[Row], buffer: Row | None
) -> NDArray[np.bool_]:
    """Find the pixels that miss a sample."""
    missing = np.zeros(rows[0].shape, bool)
    if job.mask is not None:
        np.logical_or.reduce(job.mask[:, *tile], axis=0, out=missing)
    if buffer is not None and buffer.dtype.kind == "f":
        # A sum is finite only if every sample is.  One that overflows sends a
        # whole pixel the slow way, to the same result.
        np.copyto(buffer, rows[0])
        for row in rows[1:]:
            np.add(buffer, row, out=buffer)
        missing |= ~np.isfinite(buffer)
    return missing


def _ranks(how: Combination, n: int) -> tuple[int | None, ...]:
    """Say which ranks of n samples a combination needs, as `ordered` wants it."""
    drops = how.rejection is Rejection.MINMAX
    low, high = (how.drop_low, how.drop_high) if drops else (0, 0)
    n_kept = n - low - high
    kept: list[int | None] = [-1] * n_kept
    if how.method in _QUANTILES:
        lower, upper, fraction = _position(how, n_kept)
        kept = [None] * n_kept
        kept[lower], kept[upper] = -1, -1 if fraction == 0.5 else -2
    return (*range(low), *kept, *range(low, low + high))


def _position(how: Combination, n: int) -> tuple[int, int, float]:
    """Give the two ranks that hold a quantile of n samples, and where between them."""
    position = _quantile_of(how) * (n - 1)
    return floor(position), ceil(position), position - floor(position)


def _quantile_of(how: Combination) -> float:
    fixed = _QUANTILES[how.method]
    return how.quantile if fixed is None else fixed


def _statistic(
    rows: list[Row], how: Combination, weights: NDArray[np.float64] | None
) -> NDArray[Any]:
    """Combine whole pixels, whose samples stand in the order of `_ranks`."""
    match how.method:
        case Method.SUM:
            return _total(rows)
        case Method.MEAN if weights is not None:
            weighted = (row * weight for row, weight in zip(rows, weights, strict=True))
            return np.asarray(row_sum(weighted) / weights.sum())
        case Method.MEAN:
            return np.asarray(_total(rows) / len(rows))
        case Method.VAR | Method.STD:
            mean = _total(rows) / len(rows)
            variance = row_sum((row - mean) ** 2 for row in rows) / len(rows)
            return _root(variance) if how.method is Method.STD else variance
    lower, upper, fraction = _position(how, len(rows))
    low, high = rows[lower], rows[upper]
    if fraction == 0.5:
        low, fraction = middle(low, high), 0.0
    if not fraction:
        return low
    return interpolated(low.astype(np.float64), high.astype(np.float64), fraction)


def _root(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(variance))


def _total(rows: list[Row]) -> NDArray[Any]:
    """Add up a row of samples in a type that cannot overflow or lose digits."""
    small = rows[0].dtype.kind == "u" and rows[0].itemsize <= 2
    return row_sum(rows, np.uint32 if small else np.float64)


def _dropped_by_frame(
    how: Combination, rows: list[Row], ranked: list[Row], whole: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Count the lowest and highest samples of the frames they come from.

    Of equal samples the first are taken for the lowest, the last for the highest.
    """
    counts = np.zeros(len(rows), np.int64)
    if how.drop_low:
        counts += _dropped(rows, ranked[how.drop_low - 1 :: -1], np.less, whole)
    if how.drop_high:
        extremes = ranked[len(rows) - how.drop_high :]
        counts += _dropped(rows[::-1], extremes, np.greater, whole)[::-1]
    return counts


def _dropped(
    rows: list[Row], extremes: list[Row], beyond: np.ufunc, whole: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Count for each frame the samples among the dropped ones, the mildest first."""
    edge, *others = extremes
    ties = whole.astype(np.uint16)
    for other in others:
        ties += whole & (other == edge)
    counts = np.zeros(len(rows), np.int64)
    for i, row in enumerate(rows):
        taken = (row == edge) & (ties > 0)
        ties -= taken
        counts[i] = np.count_nonzero(taken)
        if others:
            counts[i] += np.count_nonzero(beyond(row, edge) & whole)
    return counts


def _combine_partial(
    job: _Job, pixels: NDArray[np.intp], result: CombineResult
) -> None:
    """Combine pixels that miss a sample or may hold an outlier."""
    where = np.unravel_index(pixels, result.data.shape)
    samples = np.stack([frame.take(pixels) for frame in job.frames])
    good = np.isfinite(samples)
    if job.mask is not None:
        good &= ~_columns(job.mask, where)
    some = good.any(axis=0)
    if not some.all():
        empty = tuple(at[~some] for at in where)
        result.data[empty], result.n_used[empty] = np.nan, 0
        where = tuple(at[some] for at in where)
        samples, good = samples[:, some], good[:, some]
        if not samples.size:
            return
    samples = samples.astype(np.result_type(samples, np.float32), copy=False)
    samples[~good] = 0.0
    shared = job.noise.strides[0] == 0
    noise = _columns(job.noise[: 1 if shared else None], where)
    kept = _kept(samples, good, job.how, noise.astype(np.float64))
    result.rejected[:] += (good & ~kept).sum(axis=1)
    result.data[where] = _statistic_of_good(samples, kept, job.how, job.weights)
    result.n_used[where] = kept.sum(axis=0)


class _Clipping:
    """Clipping of pixels whose samples are put in order, in the same memory each time."""

    def __init__(self, job: _Job, n_pixels: int, result: CombineResult) -> None:
        size = n_pixels * len(job.frames) if job.in_order else 0
        self._job, self._result = job, result
        self._samples, self._table = np.empty((2, size), job.frames[0].dtype)

    def combine(self, rows: list[Row], where: Tile | tuple[Counts, ...]) -> None:
        """Clip and combine some pixels: a tile, or those at some rows and columns."""
        job, result = self._job, self._result
        n, shape, size = len(rows), rows[0].shape, len(rows) * rows[0].size
        samples = self._samples[:size].reshape(n, -1)
        table = self._table[:size].reshape(-1, n)
        np.stack(rows, out=samples.reshape(n, *shape))
        _sort(samples, table)
        n_good, good = np.full(len(table), n), None
        if job.mask is not None or not np.isfinite(table[:, :: max(n - 1, 1)]).all():
            good = np.isfinite(samples)
            if job.mask is not None:
                good &= ~job.mask[:, *where].reshape(n, -1)
            n_good = good.sum(axis=0)
            np.copyto(samples, _last(samples.dtype), where=~good)
            _sort(samples, table)
        noise = job.noise[0][where].ravel().astype(np.float64)
        first, end = clipped_ends(table, np.maximum(n_good, 1), job.how, noise)
        touched = np.flatnonzero(end - first < n_good)
        lowest, highest = (_at(table, rank) for rank in (first, end - 1))
        # To take a few pixels out costs less than to compare all.
        if 4 * touched.size < len(table):
            lowest, highest = lowest.take(touched), highest.take(touched)
            samples = samples.take(touched, axis=1)
            good = None if good is None else good.take(touched, axis=1)
        beyond = samples < lowest
        beyond |= samples > highest
        if good is not None:
            beyond &= good
        result.rejected[:] += [np.count_nonzero(row) for row in beyond]
        end[n_good == 0] = 0
        data = _statistic_of_run(table, first, end, job.how)
        result.data[where] = data.reshape(shape)
        result.n_used[where] = (end - first).reshape(shape)


def _sort(samples: NDArray[Any], table: NDArray[Any]) -> None:
    """Put the samples of each pixel into a row, the lowest first."""
    some = max(SORTED_BYTES // table[0].nbytes, 1)
    for start in range(0, len(table), some):
        piece = slice(start, start + some)
        np.copyto(table[piece], samples[:, piece].T)
        table[piece].sort(axis=1)


def _last(dtype: np.dtype[Any]) -> float:
    """Give the value that no sample stands behind."""
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _at(table: NDArray[Any], place: Counts) -> NDArray[Any]:
    """Take from each row of a table the sample of its own place."""
    starts = np.arange(len(table)) * table.shape[1]
    return np.asarray(table.reshape(-1).take(starts + place))


def _statistic_of_run(
    table: NDArray[Any], first: Counts, end: Counts, how: Combination
) -> NDArray[np.float64]:
    """Combine the samples between two ends of each row; the others are overwritten."""
    n = (end - first).astype(np.float64)
    n[n == 0] = np.nan
    if how.method in _QUANTILES:
        last = np.maximum(end - first - 1, 0)
        position = _quantile_of(how) * last
        lower = position.astype(np.intp)
        ranks = lower, np.minimum(lower + 1, last)
        low, high = (_at(table, first + rank).astype(np.float64) for rank in ranks)
        low[np.isnan(n)] = np.nan
        return interpolated(low, high, position - lower)
    rejected = _outside(table.shape[1], first, end)
    table.reshape(-1)[rejected] = 0
    total = np.einsum("ij->i", table, dtype=np.float64)
    match how.method:
        case Method.MEAN:
            return np.asarray(total / n)
        case Method.SUM:
            return np.where(np.isnan(n), np.nan, total)
    deviation = table - (total / n)[:, None]
    deviation.reshape(-1)[rejected] = 0
    variance = np.einsum("ij,ij->i", deviation, deviation) / n
    return _root(variance) if how.method is Method.STD else variance


def _outside(n: int, first: Counts, end: Counts) -> Counts:
    """Find the samples outside two ends, in rows of n that follow one another."""
    n_kept = end - first
    n_out = n - n_kept
    row = np.repeat(np.arange(len(first)), n_out)
    place = np.arange(len(row)) - np.repeat(np.cumsum(n_out) - n_out, n_out)
    place += np.where(place < first[row], 0, n_kept[row])
    return np.asarray(row * n + place)


def _columns(planes: NDArray[Any], where: tuple[NDArray[np.intp], ...]) -> NDArray[Any]:
    """Take some pixels out of each plane: a column for each pixel."""
    y, x = where
    return planes[:, y, x]


def _kept(
    samples: Samples, good: Good, how: Combination, noise: NDArray[np.float64]
) -> Good:
    match how.rejection:
        case Rejection.NONE:
            return good
        case Rejection.MINMAX:
            order = np.argsort(np.where(good, samples, np.inf), axis=0, kind="stable")
            rank = np.argsort(order, axis=0)
            top = good.sum(axis=0) - how.drop_high
            return np.asarray(good & (rank >= how.drop_low) & (rank < top))
    return clipped(samples, good, how, noise)


def _statistic_of_good(
    samples: Samples,
    good: Good,
    how: Combination,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Combine the good samples of each pixel, NaN where there is none."""
    weight = good if weights is None else good * weights[:, None]
    total, n = row_sum(samples * weight), row_sum(weight)
    n[n == 0] = np.nan
    match how.method:
        case Method.MEAN:
            return np.asarray(total / n)
        case Method.SUM:
            return np.where(np.isnan(n), np.nan, total)
        case Method.VAR | Method.STD:
            variance = row_sum(good * (samples - total / n) ** 2) / n
            return _root(variance) if how.method is Method.STD else variance
    return quantile_of_good(samples, good, _quantile_of(how))
