"""Measure a frame: its level, its noise, and how much of it is saturated."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreduce.fits.sections import Section, within
from autoreduce.pixels.ceiling import pile_up
from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.order import median, medians_of_parts, quantiles_of_rows
from autoreduce.pixels.tiles import tiles

COUNTED_PIXELS = 128 * 1024
"""Pixels counted at a time: `numpy.bincount` makes 8 bytes of each."""
NOISE_PIXELS = 1 << 17
"""Pixels from which the noise is taken at the most: it is known to 0.4 % then."""
IQR_TO_SIGMA = 0.7413
"""1 / (2 Phi^-1(3/4)): a normal distribution's sigma over its interquartile range."""
BINS_PER_SIGMA = 10
"""Fineness of the histogram from which the mode of other frames is read."""
RECURRENCE = 4
"""Mean number of pixels of one value above which values are counted as they are."""
BLOCKS = 8
"""Blocks along each side of a frame."""
BLOCK_PIXELS = 4096
"""Pixels of a block from which its median is taken: known to 2 % of their noise."""
BLOCK_LEAST = 256
"""Pixels below which the median of a block is too uncertain to tell anything."""
OVERSCAN_LIMIT = 4.0
"""Scales from the median beyond which an overscan sample is left out."""


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """What a frame is like, in its own unit; NaN where no pixel is finite."""

    mean: float
    """Mean of the finite pixels."""
    median: float
    """Median of the finite pixels."""
    mode: float
    """Most frequent value: the sky of a frame with many stars."""
    noise: float
    """Scatter from pixel to pixel, one sigma, blind to gradients and stars."""
    spread: float
    """1.4826 times the median absolute deviation, gradients included."""
    minimum: float
    """Lowest finite pixel."""
    maximum: float
    """Highest finite pixel."""
    saturated: float | None
    """Fraction of pixels at the saturation level or above; None: no level given."""
    finite: float
    """Fraction of pixels that are finite."""
    blocks: tuple[float, ...] = ()
    """Medians of blocks, row by row (see `block_medians`): the shape of the frame."""
    full_at: float | None = None
    """Saturation level: the one that was given, or a lower one at which pixels pile
    up; None: neither."""


class _Histogram(NamedTuple):
    """Values that occur, in order, and how often each does."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    def median(self) -> float:
        upto = np.cumsum(self.counts)
        middle = [(upto[-1] - 1) // 2, upto[-1] // 2]
        return float(self.values[np.searchsorted(upto, middle, "right")].mean())

    def spread(self, centre: float) -> float:
        distance = np.abs(self.values - centre)
        order = np.argsort(distance, kind="stable")
        nearest_first = _Histogram(distance[order], self.counts[order])
        return MAD_TO_SIGMA * nearest_first.median()


def measure(
    data: NDArray[Any], *, saturate: float | None = None, step: float = 0.0
) -> FrameStatistics:
    """Measure a frame, or a band of it.

    Parameters
    ----------
    data : (ny, nx) array
        Frame; pixels that are not finite are left out.
    saturate : float, optional
        Saturation level, in the unit of the frame, at the most: where pixels pile up
        at a lower one, that is it.
    step : float
        Of floats: the step between them, if they were whole numbers, as for
        `pixel_noise`.

    Returns
    -------
    FrameStatistics
        The mode is the lowest of the most frequent values; where floats hardly
        recur, that of a histogram with ten bins to the `spread`.

    Raises
    ------
    ValueError
        If the frame is not two-dimensional or holds no pixel.
    """
    if data.ndim != 2 or not data.size:
        msg = f"a frame has rows and columns, not the shape {data.shape}"
        raise ValueError(msg)
    found = _histogram(data)
    n_finite = int(found.counts.sum())
    if not n_finite:
        nan, none = np.nan, None if saturate is None else 0.0
        return FrameStatistics(nan, nan, nan, nan, nan, nan, nan, none, finite=0.0)
    median = found.median()
    spread = found.spread(median)
    noise = pixel_noise(data, step)
    full_at = pile_up(found.values, found.counts, data, median=median, noise=noise)
    if full_at is None or (saturate is not None and saturate < full_at):
        full_at = saturate
    saturated = None
    if full_at is not None:
        saturated = float(found.counts[found.values >= full_at].sum()) / data.size
    return FrameStatistics(
        mean=float(found.values @ found.counts) / n_finite,
        median=median,
        mode=_mode(found, spread, data.dtype),
        noise=noise,
        spread=spread,
        minimum=float(found.values[0]),
        maximum=float(found.values[-1]),
        saturated=saturated,
        finite=n_finite / data.size,
        blocks=block_medians(data),
        full_at=full_at,
    )


def _histogram(data: NDArray[Any]) -> _Histogram:
    """Count the values of a frame: one pass for 16-bit integers, else a sort."""
    if data.dtype != np.uint16:
        values, counts = np.unique(data[np.isfinite(data)], return_counts=True)
        return _Histogram(values.astype(np.float64), counts)
    counts = np.zeros(1 << 16, np.int64)
    for tile in tiles(data.shape, COUNTED_PIXELS):
        found = np.bincount(data[tile].reshape(-1))
        counts[: len(found)] += found
    values = np.flatnonzero(counts)
    return _Histogram(values.astype(np.float64), counts[values])


def _mode(found: _Histogram, spread: float, dtype: np.dtype[Any]) -> float:
    step = spread / BINS_PER_SIGMA
    recurring = found.counts.sum() > RECURRENCE * found.counts.size
    if recurring or step == 0 or dtype.kind in "ui":
        return float(found.values[np.argmax(found.counts)])
    first = found.values[0]
    bins, where = np.unique(
        np.floor((found.values - first) / step), return_inverse=True
    )
    fullest = np.argmax(np.bincount(where, weights=found.counts))
    return float(first + (bins[fullest] + 0.5) * step)


def pixel_noise(data: NDArray[Any], step: float = 0.0) -> float:
    """Measure the noise of a frame from differences between near pixels.

    Differences of two pixels of a row know nothing of the level, and a gradient
    only moves their median.  The pixels are two columns apart, so that in a Bayer
    mosaic like is compared with like.  The interquartile range of the differences
    does not see stars; integers are taken to be spread over their step, so that
    noise below one unit is measured too.

    Parameters
    ----------
    data : (ny, nx) array
        Frame; of a large one rows are taken at even distances.
    step : float
        Of floats: the step between them, if they were whole numbers before they were
        freed of a level and multiplied; 0 if they were not.

    Returns
    -------
    float
        One sigma of a pixel, in the unit of the frame; NaN if no two finite
        pixels stand two columns apart.
    """
    return float(pixel_noises(data[None], step)[0])


def pixel_noises(frames: NDArray[Any], step: float = 0.0) -> NDArray[np.float64]:
    """Measure the noise of each of some frames, as `pixel_noise` does.

    Parameters
    ----------
    frames : (n, ny, nx) array
        Frames.
    step : float
        Of floats: the step between them.

    Returns
    -------
    (n,) array
        One sigma of a pixel of each, in their unit.
    """
    # An odd step: even and odd rows may be read by amplifiers, and filters, of their own.
    every = frames[0].size // NOISE_PIXELS | 1
    whole = frames.dtype.kind in "ui"
    exact: type[Any] = np.float64
    if frames.dtype.itemsize <= (2 if whole else 4):
        exact = np.int32 if whole else np.float32
    first = min(every, frames.shape[1]) // 2
    rows = frames[:, first::every].astype(exact)
    differences = (rows[:, :, 2:] - rows[:, :, :-2]).reshape(len(frames), -1)
    if whole:
        return _noises(differences, 1.0)
    finite = np.isfinite(differences)
    if finite.all():
        return _noises(differences, step)
    parts = zip(differences, finite, strict=True)
    return np.concatenate([_noises(one[known][None], step) for one, known in parts])


def _noises(differences: NDArray[Any], step: float) -> NDArray[np.float64]:
    """Give the noise of pixels from the differences between them, row by row."""
    if not differences.size:
        return np.full(len(differences), np.nan)
    if step and differences.dtype.kind == "f":
        differences = np.rint(differences / step)
    low, high = _quartiles(differences, 1.0 if step else 0.0)
    return np.asarray((high - low) * (step or 1.0) * IQR_TO_SIGMA / np.sqrt(2))


def robust_scatter(values: NDArray[np.floating], step: float = 1.0) -> float:
    """Measure the 1-sigma scatter about the median of quantised values.

    Parameters
    ----------
    values : array
        Values; those that are not finite are left out.
    step : float
        Their quantum, in their unit.  The median absolute deviation jumps by it, or is
        0, where the noise is small: so the deviations within 5 scales, or 5 steps, are
        averaged.

    Returns
    -------
    float
        1 sigma; 0 if no value is finite.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    deviation = np.abs(finite - median(finite))
    scale = MAD_TO_SIGMA * float(median(deviation))
    core = deviation[deviation <= 5 * max(scale, step)]
    return float(np.sqrt(np.mean(core**2)))


def pair_noise(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Measure the noise of a frame from its difference to another like it.

    What both frames show alike, as bias pattern, pixel response or stars, does not
    count as noise, as it would for `pixel_noise` of one of them.

    Parameters
    ----------
    first, second : (ny, nx) arrays
        Two frames, or the same band of both.

    Returns
    -------
    float
        One sigma of a pixel of either; NaN as for `pixel_noise`.
    """
    whole = first.dtype.kind in "ui" and second.dtype.kind in "ui"
    signed = np.dtype(np.int64 if whole else np.float64)
    difference = np.subtract(first, second, dtype=signed, casting="unsafe")
    return pixel_noise(difference) / math.sqrt(2)


def _quartiles(rows: NDArray[Any], step: float) -> NDArray[np.float64]:
    """Give the two quartiles of each row, of values that are each spread over a step."""
    parts = (0.25, 0.75)
    if not step:
        return quantiles_of_rows(rows, parts)
    return np.array([_spread_quantiles(rows, part, step) for part in parts])


def _spread_quantiles(
    rows: NDArray[Any], part: float, step: float
) -> NDArray[np.float64]:
    """Give what a part of each row lies below, of values that are spread over a step.

    A value reaches from half a step below it to half a step below the next.
    """
    n = rows.shape[1]
    n_below = int(part * n)
    ordered = np.partition(rows, n_below, axis=1)
    below, rest = ordered[:, :n_below], ordered[:, n_below:]
    value = rest[:, :1].copy()
    start = value[:, 0].astype(np.float64)
    low = _n_true(below < value)
    upto = rest <= value
    n_upto = _n_true(upto)
    most = np.inf if rows.dtype.kind == "f" else np.iinfo(rows.dtype).max
    np.copyto(rest, most, where=upto)
    following = rest.min(axis=1).astype(np.float64)
    width = np.where(n_upto < n - n_below, following - start, step)
    into = (part * n - low) / (n_below - low + n_upto)
    return np.asarray(start - step / 2 + into * width)


def _n_true(rows: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Count in each row; with an axis numpy takes eight times as long."""
    return np.array([np.count_nonzero(row) for row in rows])


def block_medians(data: NDArray[Any]) -> tuple[float, ...]:
    """Measure the median of each of 8 x 8 blocks of a frame.

    Parameters
    ----------
    data : (ny, nx) array
        Frame; of each block about `BLOCK_PIXELS` pixels are taken, in whole rows.

    Returns
    -------
    tuple of float
        The medians of the finite pixels, row by row of blocks, in the unit of the
        frame; NaN for a block without any.  Empty for a frame so small that its
        blocks have fewer than `BLOCK_LEAST` pixels.
    """
    ny, nx = data.shape
    if (ny // BLOCKS) * (nx // BLOCKS) < BLOCK_LEAST:
        return ()
    medians: list[float] = []
    least, n_taller = divmod(ny, BLOCKS)
    first = n_taller * (least + 1)
    for rows, height in ((data[:first], least + 1), (data[first:], least)):
        every = max(height * nx // (BLOCKS * BLOCK_PIXELS), 1)
        blocks = rows.reshape(-1, height, nx)[:, every // 2 :: every]
        medians += medians_of_parts(blocks, BLOCKS).ravel().tolist()
    return tuple(medians)


SMOOTHING_ROWS = 8.0
"""Rows (1 sigma) over which levels of rows are smoothed: of their noise a fifth is left."""


def smoothed_rows(levels: ArrayLike) -> NDArray[np.float64]:
    """Smooth the levels of rows, (ny, 1); those that are not finite take their neighbours'."""
    from scipy.ndimage import gaussian_filter1d

    values = np.asarray(levels, np.float64)
    known = np.isfinite(values)
    weight = gaussian_filter1d(known.astype(float), SMOOTHING_ROWS, 0, mode="nearest")
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            gaussian_filter1d(filled, SMOOTHING_ROWS, 0, mode="nearest") / weight
        )


def levels_of_rows(strip: NDArray[Any], rows: slice, ny: int) -> NDArray[np.float64]:
    """Give the level that an overscan has in each row of a frame, smoothed.

    Parameters
    ----------
    strip : (n, k) array, ADU
        The overscan.
    rows : slice
        Its rows; others have the level of the nearest of them.
    ny : int
        Rows of the frame.

    Returns
    -------
    (ny, 1) array, ADU
        Level of each row.
    """
    everything = (slice(0, strip.shape[0]), slice(0, strip.shape[1]))
    levels = smoothed_rows(overscan_level(strip, everything, per_row=True))
    return np.pad(levels, ((rows.start, ny - rows.stop), (0, 0)), mode="edge")


def overscan_level(
    raw: NDArray[Any], section: Section, *, per_row: bool = False
) -> float | NDArray[np.float64]:
    """Measure the level of an overscan section.

    The level is the mean of the samples within 4 scales of their median, where the
    scale is 1.4826 times the median absolute deviation and at least one unit of an
    integer.  A mean resolves fractions of a unit, which a median of integers does not.

    Parameters
    ----------
    raw : (ny, nx) array, ADU
        Raw frame.
    section : tuple of slice
        Rows and columns of the overscan.
    per_row : bool
        Whether each row has its own level.

    Returns
    -------
    float or (n_rows, 1) array, ADU
        The level; NaN if no sample is finite.

    Raises
    ------
    ValueError
        If the section does not lie inside the frame.
    """
    if not within(section, raw.shape):
        msg = f"section {section} does not lie inside a frame of shape {raw.shape}"
        raise ValueError(msg)
    samples = raw[section].astype(np.float64)
    least = 1.0 if raw.dtype.kind in "ui" else 0.0
    if per_row:
        return _clipped_level(samples, least)
    return _clipped_level(samples.reshape(1, -1), least).item()


def _clipped_level(samples: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Give the mean of each row without its outliers, NaN where none is finite."""
    level = np.full((len(samples), 1), np.nan)
    known = np.isfinite(samples).any(axis=1)
    samples = np.where(np.isfinite(samples), samples, np.nan)[known]
    distance = np.abs(samples - np.nanmedian(samples, axis=1, keepdims=True))
    mad = np.nanmedian(distance, axis=1, keepdims=True)
    near = distance <= OVERSCAN_LIMIT * np.maximum(MAD_TO_SIGMA * mad, least)
    level[known] = np.nanmean(np.where(near, samples, np.nan), axis=1, keepdims=True)
    return level
