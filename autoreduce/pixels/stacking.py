"""Stack registered lights: a weighted mean without what noise cannot explain.

Few lights do not tell their own scatter, so samples are held against a model of their
noise: that of the sky, that of the photons of what shines there, and a part of the
light itself for what seeing and guiding change.  Samples beyond it are left out, too
bright or too dark ones alike, with their faint neighbours: a mean from which bright
ones alone were taken has dark rings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.network import ordered
from autoreduce.pixels.tiles import tiles

Image = NDArray[np.float32]
Indices = NDArray[np.intp]

GROWN = 2
"""Pixels about an outlier in which its faint parts are looked for."""
HALO = GROWN + 1
"""Rows beyond a band, on which the band depends."""
FAINT = 0.5
"""Limit, of the usual one, beyond which a neighbour of an outlier is one too."""
TILE_BYTES = 1 << 17
"""Bytes of a row of samples of which the middle is found at a time."""
MOST_BY_NETWORK = 256


class LightModel(NamedTuple):
    """How good a light is; on the scale of the stack."""

    weight: float
    """Weight of its samples."""
    noise: float
    """1-sigma noise of its sky, ADU."""
    photon: float
    """Variance, ADU^2, that its photons add for each ADU above the sky: 1 / gain."""
    change: float
    """Part of the light by which seeing and guiding change it, 1 sigma."""


class Stacked(NamedTuple):
    """A band of a stack."""

    data: Image
    """(ny, nx), ADU; NaN where there is no sample."""
    n_used: NDArray[np.uint16]
    """(ny, nx), samples that went in."""
    weight: Image
    """(ny, nx), sum of their weights."""
    rejected: NDArray[np.int64]
    """(n,), samples of each light that were rejected."""


class Limits(NamedTuple):
    """How far off the middle a sample may lie, in sigma."""

    low: float
    high: float


def stack(
    samples: Sequence[Image],
    models: Sequence[LightModel],
    limits: Limits | None,
    *,
    sky: float,
    halo: tuple[int, int] = (0, 0),
) -> Stacked:
    """Combine a band of registered lights.

    Parameters
    ----------
    samples : sequence of n (rows, nx) float32 arrays, ADU
        The same band of each light, on one scale and one sky; NaN where there is
        nothing.
    models : sequence of n LightModel
        What is known of each light.
    limits : Limits, optional
        Beyond which samples are rejected; None rejects nothing.
    sky : float
        Level of the sky, ADU.
    halo : tuple of int
        Rows before and after the band that are there for its sake only: `HALO`, or
        what there is of them at an edge of the image.

    Returns
    -------
    Stacked
        Without the halo.  The middle, which deviations are counted from, is the lower
        median: of two samples that disagree the brighter goes.
    """
    inner = slice(halo[0], len(samples[0]) - halo[1])
    middle = lower_median(samples)
    shape = middle[inner].shape
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    n_used = np.zeros(shape, np.uint16)
    rejected = np.zeros(len(samples), np.int64)
    # The middle of few samples is itself uncertain.
    uncertain = 1 + 1.57 / len(samples)
    light = np.maximum(np.nan_to_num(middle) - np.float32(sky), 0)
    about = _largest_near(light)
    np.square(about, out=about)
    for number, (values, model) in enumerate(zip(samples, models, strict=True)):
        off = values - middle
        there = np.isfinite(off)
        good = there
        if limits is not None:
            variance = about * np.float32(model.change**2)
            variance += light * np.float32(model.photon * uncertain)
            variance += np.float32(model.noise**2 * uncertain)
            good = there & ~_outliers(off, variance, limits)
            rejected[number] = int((there & ~good)[inner].sum())
        good, off = good[inner], off[inner]
        off[~good] = 0
        off *= np.float32(model.weight)
        total += off
        n_used += good
        weight += good * np.float32(model.weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        total /= weight
    total += middle[inner]
    return Stacked(total, n_used, weight, rejected)


def lower_median(samples: Sequence[Image]) -> Image:
    """Give the middle sample of each pixel; of an even number the lower middle one.

    Parameters
    ----------
    samples : sequence of n arrays of one shape
        NaN samples do not count.

    Returns
    -------
    float32 array
        NaN where no sample is finite.
    """
    n, shape = len(samples), samples[0].shape
    out = np.empty(shape, np.float32)
    rank = (n - 1) // 2
    groups = tuple(0 if i == rank else None for i in range(n))
    n_pixels = TILE_BYTES // 4
    spare = np.empty((n + 2, min(n_pixels, out.size)), np.float32)
    for tile in tiles(shape, n_pixels):
        rows = [np.ascontiguousarray(one[tile]).reshape(-1) for one in samples]
        whole = sum(float(row.sum(dtype=np.float64)) for row in rows)
        if np.isfinite(whole) and n <= MOST_BY_NETWORK:
            size = rows[0].size
            found = ordered(rows, groups, [one[:size] for one in spare])[rank]
        else:
            found = _of_finite(np.array(rows))
        out[tile] = found.reshape(out[tile].shape)
    return out


def _of_finite(table: Image) -> Image:
    """Give the lower middle of the finite samples of each column."""
    finite = np.isfinite(table)
    ranked = np.sort(np.where(finite, table, np.inf), axis=0)
    number = finite.sum(axis=0)
    rank = np.maximum(number - 1, 0) // 2
    found = np.take_along_axis(ranked, rank[None], axis=0)[0]
    return np.where(number > 0, found, np.float32(np.nan))


def _largest_near(image: Image) -> Image:
    """Give the largest of each pixel and its eight neighbours."""
    rows = image.copy()
    np.maximum(rows[:, 1:], image[:, :-1], out=rows[:, 1:])
    np.maximum(rows[:, :-1], image[:, 1:], out=rows[:, :-1])
    found = rows.copy()
    np.maximum(found[1:], rows[:-1], out=found[1:])
    np.maximum(found[:-1], rows[1:], out=found[:-1])
    return found


def _outliers(off: Image, variance: Image, limits: Limits) -> NDArray[np.bool_]:
    """Mark what lies beyond the limits, and the faint parts of it nearby."""
    square = off * off
    square /= variance
    if limits.low == limits.high:
        bad = square > np.float32(limits.high**2)
    else:
        bound = np.where(off > 0, limits.high**2, limits.low**2)
        bad = square > bound
    y, x = np.nonzero(bad)
    ny, nx = off.shape
    reach = range(-GROWN, GROWN + 1)
    for dy, dx in ((dy, dx) for dy in reach for dx in reach):
        row, column = y + dy, x + dx
        inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
        row, column = row[inside], column[inside]
        faint = square[row, column] > np.float32((FAINT * limits.high) ** 2)
        bad[row[faint], column[faint]] = True
    return bad
