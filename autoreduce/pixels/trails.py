"""Find what moves between the frames of a flat: stars, their trails, satellites.

What is bright is masked; its faint wings are taken off, and the sample tells as much as
one without.  Pure arrays, worked on by bands of rows.  All filters are finite boxes summed in
integers, so that a pixel gets the same answer whatever band it is worked on in.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import middle
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.combine import combine
from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.network import ordered

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]
Floats = NDArray[np.float32]

SIGMAS = (5.5, 5.0, 4.2)
"""Excess light that is a source's: of a pixel, of the mean of 3 x 3 and of 9 x 9
pixels, each in sigma of its own noise.  The last finds a trail that is as faint as
the noise of one pixel."""
REACH = 40
"""Half of the 81 x 81 pixels that are a pixel's background."""
DILATION = 3
"""Pixels by which what is found grows on all sides: the wings."""
HALO = REACH + DILATION
"""Rows needed above and below a band."""

LEAST_NOISE = 1e-3
"""Relative noise of a pixel with a million electrons, more than pixels hold: what is
fainter than a smaller noise would tell is electronics, and does no harm."""
STEPS = 64
"""Steps per sigma in which excess is counted: sums of integers are exact."""
CLIP = 6
"""Excess beyond which more tells nothing; 81 pixels of it fit into 16 bits."""
LARGEST = np.iinfo(np.int16).max
CLEAN = 2
"""Samples that a pixel needs, free of sources; so many are never masked."""
AGREE = 5.0
"""Samples that differ by more, in sigma, are not all free of sources."""
STRIP = 32
"""Rows worked on at a time: what is needed for them stays in the cache."""
GROWTH = (1, 2, 3)
"""Shifts by which what is found grows, one after the other: 2, 4, 7 pixels wide."""


class Wings(NamedTuple):
    """Samples that a source brightens, by too little to leave them out."""

    at: tuple[Index, Index, Index]
    """Their frames, rows and columns."""
    light: Floats
    """By how much, at unit level: the mean excess of 3 x 3 pixels."""


class Moving(NamedTuple):
    """What moves between frames."""

    mask: Mask
    """(n, ny, nx): True where a sample should not be used."""
    wings: Wings
    """What is to be taken off samples that are used."""
    unclean: Mask
    """(ny, nx): True where too few samples are free of sources; the lowest are used
    all the same."""


def mask_moving(
    frames: NDArray[np.floating[Any]],
    noise: NDArray[np.floating[Any]],
    *,
    above: int = 0,
    below: int = 0,
) -> Moving:
    """Mask the pixels of each frame that a moving source has brightened.

    A frame is compared with the median of all frames without the highest sample
    of each pixel.  What is brighter than that by more than noise explains, in a
    single pixel or in the mean of 3 x 3 or 9 x 9 pixels, is a source, with some
    pixels around.  Slow changes of the sky's gradient are not: the mean excess of
    the 81 x 81 pixels around is taken off first.  Pixels of a source that stand out
    neither by themselves nor in the mean of 3 x 3 are its wings; all others are masked.

    At least two samples of each pixel (one, if there are two frames) stay
    unmasked: where fewer would, the lowest do, and the pixel is told to be unclean.
    So is one in which at least half of the samples are masked and the others differ
    by more than noise.

    Parameters
    ----------
    frames : (n, above + ny + below, nx) array
        Flats, free of bias and dark, scaled to unit level; NaN and infinity are no data.
    noise : (n, 1, 1) or (n, above + ny + below, nx) array
        Expected 1-sigma noise of a sample at unit level.  Brighter pixels are taken to
        have more, by the square root of their level, and none less than `LEAST_NOISE`.
    above, below : int
        Rows of `frames` before and after the ones asked for.  They should be
        `HALO`, or as many as there are up to the edge of the frame.

    Returns
    -------
    Moving
        Rows in the middle of a frame get the same answer in every band that holds
        them with their halo.

    Raises
    ------
    ValueError
        If `frames` has not three axes or no rows are left between the halos.
    """
    n_rows = frames.shape[1] - above - below if frames.ndim == 3 else 0
    if n_rows < 1 or min(above, below) < 0:
        msg = (
            f"frames must be (n, rows, columns) with rows between {above} above and "
            f"{below} below, not {frames.shape}"
        )
        raise ValueError(msg)
    noise = np.broadcast_to(noise, (len(frames), *np.shape(noise)[1:]))
    wanted = range(above - HALO, above + n_rows + HALO)
    counts, growth = _counted_excess(frames, noise, wanted)
    mask = np.empty((len(frames), n_rows, frames.shape[2]), np.bool_)
    wings = []
    for frame, own in enumerate(noise):
        y, x, mean = _find(mask[frame], counts[frame])
        at = y + above, x
        expected = growth[at] * _not_too_small(own[at] if len(own) > 1 else own[0])
        light = np.nan_to_num(mean * expected)  # 0 without a reference
        wings.append((np.full_like(y, frame), y, x, light.astype(np.float32)))
    inner = slice(above, above + n_rows)
    noise = noise[:, inner] if noise.shape[1] > 1 else noise
    unclean = _keep_lowest(mask, frames[:, inner], noise)
    i, y, x, light = (np.concatenate(parts) for parts in zip(*wings, strict=True))
    return Moving(mask, Wings((i, y, x), light), unclean)


class _Reference:
    """The median of the frames without the highest sample of each pixel."""

    def __init__(self, n: int, nx: int) -> None:
        self._middle = max(n - 2, 0) // 2, (n - 1) // 2
        self._ranks = tuple(-1 if rank in self._middle else None for rank in range(n))
        self._spare = np.empty((n + 2, STRIP, nx), np.float32)

    def whole(self, frames: Floats) -> Floats:
        """Combine a strip without gaps."""
        spare = self._spare[:, : frames.shape[1]]
        ranked = ordered(list(frames), self._ranks, list(spare))
        low, high = (ranked[rank] for rank in self._middle)
        return low if low is high else middle(low, high)

    @staticmethod
    def with_gaps(frames: Floats) -> Floats:
        """Combine a strip in which samples are missing."""
        drop = Combination(Method.MEDIAN, Rejection.MINMAX, drop_high=1)
        lowest = Combination(Method.MIN)
        return combine(frames, drop if len(frames) > 2 else lowest).data


def _not_too_small(noise: NDArray[np.floating[Any]]) -> Floats:
    """Give noise in single precision, none below the least."""
    least: Floats = np.maximum(noise, LEAST_NOISE, dtype=np.float32)
    return least


def _counted_excess(
    frames: NDArray[np.floating[Any]], noise: NDArray[np.floating[Any]], wanted: range
) -> tuple[NDArray[np.int16], Floats]:
    """Return (frames - reference) / noise of some rows in steps, and how noise grows.

    Mirrored at all edges, so that there is a background up to them.
    """
    n, ny, nx = frames.shape
    counts = np.empty((n, len(wanted), nx + 2 * REACH), np.int16)
    growth = np.empty((ny, nx), np.float32)
    inner = counts[:, :, REACH : REACH + nx]
    first, last = max(wanted.start, 0), min(wanted.stop, ny)
    median_of = _Reference(n, nx)
    for start in range(first, last, STRIP):
        rows = slice(start, min(start + STRIP, last))
        strip = np.asarray(frames[:, rows], np.float32)
        whole = all(np.isfinite(frame).all() for frame in strip)
        if whole:
            reference = median_of.whole(strip)
        else:
            strip = np.where(np.isfinite(strip), strip, np.float32(np.nan))
            reference = median_of.with_gaps(strip)
        grown = np.sqrt(np.maximum(reference, 1), out=growth[rows])
        step = grown / np.float32(STEPS)
        within = slice(start - wanted.start, rows.stop - wanted.start)
        for i, frame in enumerate(strip):
            excess = frame - reference
            own = noise[i, rows] if noise.shape[1] > 1 else noise[i]
            excess /= step * _not_too_small(own)
            if not whole:
                excess[np.isnan(excess)] = 0
            np.clip(excess, -CLIP * STEPS, CLIP * STEPS, out=excess)
            inner[i, within] = np.rint(excess, out=excess)
    for beyond in (np.arange(wanted.start, first), np.arange(last, wanted.stop)):
        inside = _mirrored(beyond, ny)
        counts[:, beyond - wanted.start] = counts[:, inside - wanted.start]
    for edge in (np.arange(-REACH, 0), np.arange(nx, nx + REACH)):
        counts[:, :, edge + REACH] = inner[:, :, _mirrored(edge, nx)]
    return counts, growth


def _mirrored(index: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Fold indices beyond the ends of n rows back, as often as it takes."""
    index = index % (2 * n)
    return np.minimum(index, 2 * n - 1 - index)


def _find(
    mask: Mask, counts: NDArray[np.int16]
) -> tuple[Index, Index, NDArray[np.float64]]:
    """Mask the sources of a frame; give rows, columns and light of wings, in sigma."""
    excess = _Excess.of(counts)
    sources = excess.sources()
    for start in range(0, len(mask), STRIP):
        rows = mask[start : start + STRIP]
        rows[:] = _grown(sources[start : start + len(rows) + 2 * DILATION])
    y, x = marked_pixels(mask)
    own, mean = excess.at(y + DILATION, x)
    faint = (own <= SIGMAS[0]) & (mean <= SIGMAS[1] / 3)
    y, x, mean = y[faint], x[faint], mean[faint]
    mask[y, x] = False
    return y, x, mean


class _Excess(NamedTuple):
    """Counted excess, and its sums over boxes around each pixel.

    The larger a box, the more is its array smaller than the counts on every side.
    """

    of_1: NDArray[np.int16]
    of_3: NDArray[np.int16]
    of_9: NDArray[np.int16]
    of_81: NDArray[np.int32]
    """The background changes slowly: each three columns share that of the middle one."""

    @classmethod
    def of(cls, counts: NDArray[np.int16]) -> "_Excess":
        """Sum counts with `REACH` pixels more on all sides than are asked for."""
        of_3 = _sum_of_three(counts, 1, 1)
        of_9 = _sum_of_three(of_3, 3, 3)
        thirds = of_9[:, 1::3].astype(np.int32)
        of_81 = _sum_of_three(_sum_of_three(thirds, 9, 3), 27, 9)
        return cls(counts, of_3, of_9, of_81)

    def sources(self) -> Mask:
        """Mark what stands out of the background, in `DILATION` columns more."""
        ny, nx = len(self.of_81), self.of_1.shape[1] - 2 * REACH
        found = np.zeros((ny, nx + 2 * DILATION), np.bool_)
        darkest = self.of_81.min(axis=1)
        boxes = (self.of_1, 1), (self.of_3, 3), (self.of_9, 9)
        for (sums, width), sigmas in zip(boxes, SIGMAS, strict=True):
            edge = (len(sums) - ny) // 2
            times = (81 // width) ** 2
            allowed = int(sigmas * width * STEPS * times)
            inner = sums[edge:-edge, edge:-edge]
            # Few stand out of the darkest background of a row, in most rows none.
            least = np.minimum((darkest + allowed) // times, LARGEST).astype(np.int16)
            rows = np.flatnonzero(inner.max(axis=1) > least)
            place, x = marked_pixels(inner[rows] > least[rows, None])
            y = rows[place]
            around = self.of_81[y, self._third(x)]
            stand_out = inner[y, x] > (around + allowed) // times
            found[y[stand_out], x[stand_out] + DILATION] = True
        return found

    def at(self, y: Index, x: Index) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give pixels' own excess and that of 3 x 3, in sigma of a pixel."""
        around = self.of_81[y, self._third(x)] / 81**2
        own = self.of_1[y + REACH, x + REACH] - around
        mean = self.of_3[y + REACH - 1, x + REACH - 1] / 9 - around
        return own / STEPS, mean / STEPS

    def _third(self, x: Index) -> Index:
        third: Index = np.minimum(x // 3, self.of_81.shape[1] - 1)
        return third


def _sum_of_three(values: NDArray[Any], down: int, across: int) -> NDArray[Any]:
    """Add each pixel's neighbours that are so many rows and columns away.

    The result is smaller than `values` by as many on every side.
    """
    ny, nx = values.shape
    sums = np.empty((ny - 2 * down, nx - 2 * across), values.dtype)
    for start in range(0, len(sums), STRIP):
        out = sums[start : start + STRIP]
        part = values[start : start + len(out) + 2 * down]
        rows = part[: -2 * down] + part[down:-down]
        rows += part[2 * down :]
        np.add(rows[:, : -2 * across], rows[:, across:-across], out=out)
        out += rows[:, 2 * across :]
    return sums


def _grown(found: Mask) -> Mask:
    """Mark what has something within `DILATION` pixels.

    The result is smaller than `found` by as many on every side.
    """
    if not found.any():
        return found[DILATION:-DILATION, DILATION:-DILATION]
    for shift in GROWTH:
        found = found[:-shift] | found[shift:]
    for shift in GROWTH:
        found = found[:, :-shift] | found[:, shift:]
    return found


def _keep_lowest(
    mask: Mask, frames: NDArray[np.floating[Any]], noise: NDArray[np.floating[Any]]
) -> Mask:
    """Unmask the lowest samples where too few would be left; tell what is unclean."""
    wanted = min(CLEAN, len(frames) - 1) or 1
    touched = marked_pixels(np.logical_or.reduce(mask, axis=0))
    masked = mask[:, *touched]
    samples = frames[:, *touched]
    usable = np.isfinite(samples)
    clean = usable & ~masked
    n_clean = clean.sum(axis=0)
    short = n_clean < wanted
    order = np.argsort(np.where(usable, samples, np.inf), axis=0, kind="stable")
    lowest = np.zeros_like(masked)
    np.put_along_axis(lowest, order[:wanted], values=True, axis=0)
    mask[:, *touched] = masked & ~(lowest & short)
    few = n_clean <= usable.sum(axis=0) / 2
    found = short.copy()
    if few.any():
        own = (
            noise[:, *touched] if noise.shape[1:] == mask.shape[1:] else noise[:, :, 0]
        )
        own = own[:, few] if own.shape[1] > 1 else own
        found[few] |= _disagree(samples[:, few], clean[:, few], own)
    unclean = np.zeros(mask.shape[1:], np.bool_)
    unclean[touched] = found & (usable & masked).any(axis=0)
    return unclean


def _disagree(
    samples: NDArray[np.floating[Any]], clean: Mask, noise: NDArray[np.floating[Any]]
) -> Mask:
    """Tell where samples that were found clean differ by more than noise.

    Sources in most of the frames brighten the reference, and hide the faintest of them.
    """
    lowest = np.min(samples, axis=0, where=clean, initial=np.inf)
    highest = np.max(samples, axis=0, where=clean, initial=-np.inf)
    limit = AGREE * noise.max(axis=0) * np.sqrt(np.clip(lowest, 1, None))
    return np.asarray(highest - lowest > limit)
