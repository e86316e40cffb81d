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

from autoreduce.pixels.flags import marked_pixels
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
FILLING = 1e-3
"""Weight of an interpolated sample, of one that was measured: it counts where there are
no others."""
TILE_BYTES = 1 << 17
"""Bytes of a row of samples of which the middle is found at a time."""


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


class StackResult(NamedTuple):
    """A band of a stack."""

    data: Image
    """(ny, nx), ADU; NaN where there is no sample."""
    n_used: NDArray[np.uint16]
    """(ny, nx), samples that went in."""
    rejected: NDArray[np.int64]
    """(n,), samples of each light that were rejected."""
    variance: Image | None = None
    """(ny, nx), ADU**2, where the errors of the samples are known."""


class Own(NamedTuple):
    """What pixels of a light measured themselves, beside the places of a stack."""

    values: Image
    """(ny, nx), ADU, on the scale of the stack; NaN where none did."""
    x: Image
    """(ny, nx), steps from where they were measured to the pixels of the stack."""
    y: Image
    """The same along y."""


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
    own: Sequence[Own] | None = None,
    sigmas: Sequence[Image] | None = None,
) -> StackResult:
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
    own : sequence of n Own, optional
        What pixels of each light measured themselves, in the rows without halo: the
        mean is that of these, taken to the places of the stack by the slope of the
        middle, and of `samples` where there are none.  Rejection goes by `samples`;
        `Stacked.n_used` counts `own`.
    sigmas : sequence of n arrays, optional
        1-sigma errors of the samples that are averaged, in the rows without halo.

    Returns
    -------
    StackResult
        Without the halo.  The middle, which deviations are counted from, is the lower
        median: of two samples that disagree the brighter goes.
    """
    inner = slice(halo[0], len(samples[0]) - halo[1])
    middle = lower_median(samples)
    work = _Work(middle, sky, inner) if own is None else _OwnWork(middle, sky, inner)
    rejected = []
    for i, (values, model) in enumerate(zip(samples, models, strict=True)):
        mine = None if own is None else own[i]
        sigma = None if sigmas is None else sigmas[i]
        n_off = work.add(values, model, limits, len(samples), own=mine, sigma=sigma)
        rejected.append(n_off)
    return work.stacked(np.array(rejected, np.int64))


class _Work:
    """A band that grows light by light, and the arrays that are used for each."""

    def __init__(self, middle: Image, sky: float, inner: slice) -> None:
        self._middle, self._inner = middle, inner
        self._light = np.maximum(np.nan_to_num(middle) - np.float32(sky), 0)
        self._square = _largest_near(self._light)
        np.square(self._square, out=self._square)
        self._off, self._limit, self._term = (np.empty_like(middle) for _ in range(3))
        self._bad = np.empty(middle.shape, np.bool_)
        shape = middle[inner].shape
        self._total = np.zeros(shape, np.float32)
        self._lost = np.zeros(shape, np.int16)
        self._lost_weight = np.zeros(shape, np.float64)
        self._n, self._weight = 0, 0.0
        self._variance: Image | None = None

    def add(
        self,
        values: Image,
        model: LightModel,
        limits: Limits | None,
        n: int,
        *,
        own: Own | None = None,
        sigma: Image | None = None,
    ) -> int:
        """Add a light of n; tell how many of its samples are rejected."""
        np.subtract(values, self._middle, out=self._off)
        outliers = 0
        if limits is not None:
            outliers = self._reject(model, limits, n)
        self._sum(model, own, sigma)
        return outliers

    def _sum(self, model: LightModel, _: Own | None, sigma: Image | None) -> None:
        """Add what is left of a light."""
        inner = self._inner
        own = self._off[inner]
        np.isfinite(own, out=self._bad[inner])
        gone = np.flatnonzero(~self._bad[inner])
        if len(gone):
            np.put(self._lost, gone, self._lost.ravel()[gone] + 1)
            lost = self._lost_weight.ravel()[gone] + model.weight
            np.put(self._lost_weight, gone, lost)
            own[~self._bad[inner]] = 0
        if sigma is not None:
            self._add_variance(self._bad[inner], np.float32(model.weight), sigma)
        own *= np.float32(model.weight)
        self._total += own
        self._n += 1
        self._weight += model.weight

    def _add_variance(
        self, kept: NDArray[np.bool_], weight: Image | np.float32, sigma: Image
    ) -> None:
        """Add the variance of what is kept of a light."""
        if self._variance is None:
            self._variance = np.zeros(kept.shape, np.float32)
        error = np.where(kept, weight * sigma, np.float32(0))
        self._variance += error * error

    def _reject(self, model: LightModel, limits: Limits, n: int) -> int:
        """Put NaN for outliers, and for their faint parts nearby; count the inner ones."""
        off, limit, term, bad = self._off, self._limit, self._term, self._bad
        # The middle of few samples is itself uncertain.
        uncertain = 1 + 1.57 / n
        wide = max(limits.low, limits.high) ** 2
        np.multiply(self._square, np.float32(wide * model.change**2), out=limit)
        photons = wide * model.photon * uncertain
        np.multiply(self._light, np.float32(photons), out=term)
        limit += term
        limit += np.float32(wide * model.noise**2 * uncertain)
        np.multiply(off, off, out=term)
        if limits.low != limits.high:
            narrow = min(limits.low, limits.high) ** 2 / wide
            side = off > 0 if limits.high < limits.low else off < 0
            np.divide(term, np.float32(narrow), out=term, where=side)
        np.greater(term, limit, out=bad)
        y, x = marked_pixels(bad)
        if not len(y):
            return 0
        ny, nx = off.shape
        reach = range(-GROWN, GROWN + 1)
        rows = (y[:, None] + np.repeat(reach, len(reach))).ravel()
        columns = (x[:, None] + np.tile(reach, len(reach))).ravel()
        inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
        rows, columns = rows[inside], columns[inside]
        faint = term[rows, columns] > np.float32(FAINT**2) * limit[rows, columns]
        bad[rows[faint], columns[faint]] = True
        off[bad] = np.nan
        return int(np.count_nonzero(bad[self._inner]))

    def stacked(self, rejected: NDArray[np.int64]) -> StackResult:
        """Give the mean."""
        weight = (self._weight - self._lost_weight).astype(np.float32)
        number = (self._n - self._lost).astype(np.uint16)
        weight[number == 0] = 0
        with np.errstate(invalid="ignore", divide="ignore"):
            self._total /= weight
            if self._variance is not None:
                self._variance /= weight * weight
        self._total += self._middle[self._inner]
        return StackResult(self._total, number, rejected, self._variance)


class _OwnWork(_Work):
    """A band to which lights give what their own pixels measured."""

    def __init__(self, middle: Image, sky: float, inner: slice) -> None:
        super().__init__(middle, sky, inner)
        self._weights = np.zeros_like(self._total)
        self._number = np.zeros(self._total.shape, np.uint16)
        slopes = [np.gradient(middle, axis=axis) if n > 1 else np.zeros_like(middle)
                  for axis, n in enumerate(middle.shape)]  # fmt: skip
        self._along_y, self._along_x = (np.nan_to_num(one[inner]) for one in slopes)

    def _sum(self, model: LightModel, own: Own | None, sigma: Image | None) -> None:
        if own is None:
            msg = "a light gives nothing of its own"
            raise ValueError(msg)
        between = self._off[self._inner]
        kept = np.isfinite(between)
        measured = own.values - self._middle[self._inner]
        measured += self._along_x * own.x + self._along_y * own.y
        there = kept & np.isfinite(measured)
        part = np.where(there, measured, np.float32(FILLING) * between)
        weight = np.where(there, np.float32(1), np.float32(FILLING))
        part[~kept] = weight[~kept] = 0
        if sigma is not None:
            self._add_variance(kept, np.float32(model.weight) * weight, sigma)
        self._total += np.float32(model.weight) * part
        self._weights += np.float32(model.weight) * weight
        self._number += there

    def stacked(self, rejected: NDArray[np.int64]) -> StackResult:
        """Give the mean; NaN where not even interpolated samples are left."""
        with np.errstate(invalid="ignore", divide="ignore"):
            self._total /= self._weights
            if self._variance is not None:
                self._variance /= self._weights * self._weights
        self._total += self._middle[self._inner]
        return StackResult(self._total, self._number, rejected, self._variance)


def lower_median(samples: Sequence[Image]) -> Image:
    """Give the middle sample of each pixel; of an even number the lower middle one.

    Parameters
    ----------
    samples : sequence of n arrays of one shape
        NaN samples do not count.

    Returns
    -------
    float32 array
        NaN where there is no sample.
    """
    n, shape = len(samples), samples[0].shape
    out = np.empty(shape, np.float32)
    rank = (n - 1) // 2
    groups = tuple(0 if i == rank else None for i in range(n))
    n_pixels = TILE_BYTES // 4
    spare = np.empty((n + 2, min(n_pixels, out.size)), np.float32)
    for tile in tiles(shape, n_pixels):
        rows = [np.ascontiguousarray(one[tile]).reshape(-1) for one in samples]
        found = ordered(rows, groups, [one[: rows[0].size] for one in spare])[rank]
        # A missing sample makes every rank of its pixel one that is missing.
        missing = np.flatnonzero(np.isnan(found))
        if len(missing):
            filled, empty = _balanced([row[missing] for row in rows])
            again = ordered(filled, groups, [np.empty_like(filled[0]) for _ in spare])
            found[missing] = np.where(empty, np.float32(np.nan), again[rank])
        out[tile] = found.reshape(out[tile].shape)
    return out


def _balanced(rows: Sequence[Image]) -> tuple[list[Image], NDArray[np.bool_]]:
    """Put infinities for what is missing, so that the middle keeps its rank.

    Returns
    -------
    rows : list of n arrays
        Of m samples of a pixel the lower middle one is the lower middle one of all n.
    empty : array of bool
        Where there is no sample.
    """
    n = len(rows)
    missing = [np.isnan(row) for row in rows]
    number = np.zeros(rows[0].shape, np.int16)
    for gone in missing:
        number += gone
    below = (n - 1) // 2 - (n - 1 - number) // 2
    seen = np.zeros_like(number)
    filled = []
    for row, gone in zip(rows, missing, strict=True):
        seen += gone
        ends = np.where(seen <= below, np.float32(-np.inf), np.float32(np.inf))
        filled.append(np.where(gone, ends, row))
    return filled, number == n


def _largest_near(image: Image) -> Image:
    """Give the largest of each pixel and its eight neighbours."""
    rows = image.copy()
    np.maximum(rows[:, 1:], image[:, :-1], out=rows[:, 1:])
    np.maximum(rows[:, :-1], image[:, 1:], out=rows[:, :-1])
    found = rows.copy()
    np.maximum(found[1:], rows[:-1], out=found[1:])
    np.maximum(found[:-1], rows[1:], out=found[:-1])
    return found
