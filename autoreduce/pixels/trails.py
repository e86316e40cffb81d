"""Find what moves between the frames of a flat: stars, their trails, satellites.

What is bright is masked; its faint wings are taken off, and the sample tells as much as
one without.  Pure arrays, worked on by bands of rows.  All filters are finite boxes summed in
integers, so that a pixel gets the same answer whatever band it is worked on in.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.combine import combine
from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.network import ordered

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]
Floats = NDArray[np.float32]

SIGMAS = (5.5, 5.0, 3.9)
"""Excess light that is a source's: of a pixel, of the mean of 3 x 3 and of 9 x 9
pixels, each in sigma of its own noise.  The last finds a trail that is as faint as
the noise of one pixel."""
BLOCK = 3
"""Rows and columns of a block: 9 x 9 pixels are looked at around each block, and what is
found grows by one on all sides, the wings."""
REACH = 13
"""Half of the 27 x 27 blocks that are the background of the one in the middle."""
HALO = (REACH + 1) * BLOCK
"""Rows needed above and below a band."""

LEAST_NOISE = 1e-3
"""Relative noise of a pixel with a million electrons, more than pixels hold: what is
fainter than a smaller noise would tell is electronics, and does no harm."""
STEPS = 64
"""Steps per sigma in which excess is counted: sums of integers are exact."""
CLIP = 6
"""Excess beyond which more tells nothing; 81 pixels of it fit into 16 bits."""
CLEAN = 2
"""Samples that a pixel needs, free of sources; so many are never masked."""
AGREE = 5.0
"""Samples that differ by more, in sigma, are not all free of sources."""
STRIP = 48
"""Rows worked on at a time: what is needed for them stays in the cache."""


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
    the 81 x 81 pixels around is taken off first.  Background and the mean of 9 x 9
    are those of whole blocks of 3 x 3 pixels, counted from the first row.  Pixels of a source that stand out
    neither by themselves nor in the mean of 3 x 3 are its wings; all others are masked.

    At least two samples of each pixel (one, if there are two frames) stay
    unmasked: where fewer would, the lowest do, and the pixel is told to be unclean.
    So is one in which at least half of the samples are masked and the others differ
    by more than noise.

    Parameters
    ----------
    frames : (n, above + ny + below, nx) array
        Flats, free of bias and dark, scaled to unit level; NaN is no data.
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
        them with their halo and begins with a block.

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
    reference = _reference(frames)
    growth = np.maximum(reference, 1)
    np.sqrt(growth, out=growth)
    noise = np.broadcast_to(noise, (len(frames), *np.shape(noise)[1:]))
    mask = np.zeros((len(frames), n_rows, frames.shape[2]), np.bool_)
    wings = [
        _find(mask[i], frames[i], reference, sigma, growth, above)
        for i, sigma in enumerate(noise)
    ]
    inner = slice(above, above + n_rows)
    own = noise[:, inner] if noise.shape[1] > 1 else noise
    unclean = _keep_lowest(mask, frames[:, inner], own)
    i = np.repeat(np.arange(len(frames)), [len(light) for *_, light in wings])
    y, x, light = (np.concatenate(parts) for parts in zip(*wings, strict=True))
    return Moving(mask, Wings((i, y, x), light), unclean)


def _reference(frames: NDArray[np.floating[Any]]) -> Floats:
    """Give the median of each pixel without its highest sample; of two the lower."""
    n, (ny, nx) = len(frames), frames.shape[1:]
    found = np.empty((ny, nx), np.float32)
    lower, upper = max(n - 2, 0) // 2, (n - 1) // 2
    middle = tuple(0 if rank in (lower, upper) else None for rank in range(n))
    spare = np.empty((n + 2, min(STRIP, ny), nx), frames.dtype)
    for start in range(0, ny, STRIP):
        rows = list(frames[:, start : start + STRIP])
        ranked = ordered(rows, middle, list(spare[:, : len(rows[0])]))
        half = np.add(ranked[lower], ranked[upper], out=found[start : start + STRIP])
        half *= np.float32(0.5)
    lacking = marked_pixels(np.isnan(found))
    if lacking[0].size:
        drop, method = (1, Method.MEDIAN) if n > 2 else (0, Method.MIN)
        how = Combination(method, Rejection.MINMAX, drop_high=drop)
        found[lacking] = combine(frames[:, *lacking][:, None], how).data[0]
    return found


def _find(
    mask: Mask,
    frame: NDArray[np.floating[Any]],
    reference: Floats,
    sigma: NDArray[np.floating[Any]],
    growth: Floats,
    above: int,
) -> tuple[Index, Index, Floats]:
    """Mask the sources of a frame; give rows, columns and light of wings."""
    scale = np.maximum(sigma, LEAST_NOISE).astype(np.float32)
    excess = _Excess.of(_counted_excess(frame, reference, growth, scale))
    y, x = _pixels_of(_grown(excess.sources()), frame.shape)
    inner = (y >= above) & (y < above + len(mask))
    y, x = y[inner], x[inner]
    own, mean = excess.at(y, x)
    bright = (own > SIGMAS[0]) | (mean > SIGMAS[1] / 3)
    mask[y[bright] - above, x[bright]] = True
    y, x, mean = y[~bright], x[~bright], mean[~bright]
    expected = growth[y, x] * (scale[y, x] if len(scale) > 1 else scale[0, 0])
    light = np.nan_to_num(mean * expected)  # 0 without a reference
    return y - above, x, light.astype(np.float32)


def _counted_excess(
    frame: NDArray[np.floating[Any]],
    reference: Floats,
    growth: Floats,
    scale: Floats,
) -> NDArray[np.int16]:
    """Return (frame - reference) / noise in steps, in whole blocks.

    Beyond the frame it is mirrored, by one pixel more than blocks need.
    """
    ny, nx = frame.shape
    rows, columns = (BLOCK * math.ceil(n / BLOCK) for n in frame.shape)
    counts = np.empty((rows + 2, columns + 2), np.int16)
    steps = np.float32(STEPS) / scale
    buffer = np.empty((min(STRIP, ny), nx), np.float32)
    for start in range(0, ny, STRIP):
        strip = slice(start, min(start + STRIP, ny))
        excess = buffer[: strip.stop - start]
        np.subtract(frame[strip], reference[strip], out=excess)
        excess /= growth[strip]
        excess *= steps[strip] if len(steps) > 1 else steps
        if np.isnan(excess.max()):
            excess[np.isnan(excess)] = 0
        np.clip(excess, -CLIP * STEPS, CLIP * STEPS, out=excess)
        counts[1 + start : 1 + strip.stop, 1 : 1 + nx] = np.rint(excess, out=excess)
    for x in (-1, *range(nx, columns + 1)):
        counts[:, 1 + x] = counts[:, 1 + _mirrored(x, nx)]
    for y in (-1, *range(ny, rows + 1)):
        counts[1 + y] = counts[1 + _mirrored(y, ny)]
    return counts


def _mirrored(index: int, n: int) -> int:
    """Fold an index beyond the ends of n rows back, as often as it takes."""
    index %= 2 * n
    return min(index, 2 * n - 1 - index)


class _Excess(NamedTuple):
    """Counted excess, and its sums over boxes."""

    of_1: NDArray[np.int16]
    """(ny, nx + 2): of each pixel; the two columns behind the last have no meaning."""
    of_3: NDArray[np.int16]
    """(ny, nx + 2): around each pixel; likewise."""
    of_9: NDArray[np.int16]
    """(ny / 3, nx / 3): around each block."""
    of_81: NDArray[np.int32]
    """(ny / 3, nx / 3): the background of each block."""

    @classmethod
    def of(cls, counts: NDArray[np.int16]) -> "_Excess":
        """Sum counts, of whole blocks and a pixel more on all sides."""
        ny, width = counts.shape[0] - 2, counts.shape[1]
        of_1 = counts.reshape(-1)[width + 1 : 1 - width].reshape(ny, width)
        of_3 = np.zeros_like(of_1)
        for start in range(0, ny, STRIP):
            strip = counts[start : start + STRIP + 2]
            rows = strip[:-2] + strip[1:-1]
            rows += strip[2:]
            # in one go, which is fast, across the ends of rows as well
            flat, out = rows.reshape(-1), of_3[start : start + STRIP].reshape(-1)[:-2]
            np.add(flat[:-2], flat[1:-1], out=out)
            out += flat[2:]
        # mirrored at the edges, so that there is a background up to them
        blocks = np.pad(of_3[1::BLOCK, 1:-2:BLOCK], REACH, mode="symmetric")
        of_9 = _sum_of_three(blocks, 1)
        of_81 = _sum_of_three(_sum_of_three(of_9.astype(np.int32), 3), 9)
        inner = slice(REACH - 1, 1 - REACH)
        return cls(of_1, of_3, of_9[inner, inner], of_81)

    def sources(self) -> Mask:
        """Mark the blocks that hold what stands out of the background."""
        found = np.zeros(self.of_81.shape, np.bool_)
        for start in range(0, len(found), STRIP // BLOCK):
            blocks = slice(start, start + STRIP // BLOCK)
            pixels = slice(BLOCK * blocks.start, BLOCK * blocks.stop)
            around, marks = self.of_81[blocks], found[blocks]
            darkest = int(around.min())
            boxes = (
                (self.of_1[pixels], 1, BLOCK),
                (self.of_3[pixels], 3, BLOCK),
                (self.of_9[blocks], 9, 1),
            )
            for (sums, width, step), sigmas in zip(boxes, SIGMAS, strict=True):
                times = (81 // width) ** 2
                allowed = int(sigmas * width * STEPS * times)
                # Few stand out of the darkest background, in most strips none.
                least = (darkest + allowed) // times
                if sums.max() <= least:
                    continue
                at = marked_pixels(sums > np.int16(least))
                y, x = (index // step for index in at)
                inside = x < marks.shape[1]
                bright, y, x = sums[at][inside], y[inside], x[inside]
                stand_out = bright > (around[y, x] + allowed) // times
                marks[y[stand_out], x[stand_out]] = True
        return found

    def at(self, y: Index, x: Index) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give pixels' own excess and that of 3 x 3, in sigma of a pixel."""
        around = self.of_81[y // BLOCK, x // BLOCK] / 81**2
        own = self.of_1[y, x] - around
        mean = self.of_3[y, x] / 9 - around
        return own / STEPS, mean / STEPS


def _sum_of_three(values: NDArray[Any], apart: int) -> NDArray[Any]:
    """Add the eight neighbours of each pixel that are so many rows or columns away.

    The result is smaller than `values` by as many on every side.
    """
    rows = values[: -2 * apart] + values[apart:-apart]
    rows += values[2 * apart :]
    columns: NDArray[Any] = rows[:, : -2 * apart] + rows[:, apart:-apart]
    columns += rows[:, 2 * apart :]
    return columns


def _grown(found: Mask) -> Mask:
    """Mark the neighbours of what is marked, too."""
    if not found.any():
        return found
    rows = found.copy()
    rows[1:] |= found[:-1]
    rows[:-1] |= found[1:]
    grown = rows.copy()
    grown[:, 1:] |= rows[:, :-1]
    grown[:, :-1] |= rows[:, 1:]
    return grown


def _pixels_of(blocks: Mask, shape: tuple[int, ...]) -> tuple[Index, Index]:
    """Give rows and columns of the pixels in the blocks that are marked."""
    y, x = (BLOCK * at[:, None] for at in marked_pixels(blocks))
    down, across = np.divmod(np.arange(BLOCK**2), BLOCK)
    rows, columns = (y + down).ravel(), (x + across).ravel()
    inside = (rows < shape[0]) & (columns < shape[1])
    return rows[inside], columns[inside]


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
