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
_ROWS_NEAR, _COLUMNS_NEAR = np.mgrid[-GROWN : GROWN + 1, -GROWN : GROWN + 1].reshape(
    2, -1, 1
)
FILLING = 1e-3
"""Weight of an interpolated sample, of one that was measured: it counts where there are
no others."""
OPEN = 1e6
"""Sigma from which on a limit is none."""
BRIGHTEST = 1e12
"""ADU above the sky that no pixel shows; single precision holds its variance."""
TILE_BYTES = 1 << 16
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
    """How far off the middle a sample may lie, in sigma; from `OPEN` on, any distance."""

    low: float
    high: float

    @property
    def none(self) -> bool:
        """Whether samples may lie anywhere."""
        return min(self) >= OPEN


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
        self._off, self._term, self._limit = (np.empty_like(middle) for _ in range(3))
        self._good = np.empty(middle.shape, np.bool_)
        self._of_limit = np.empty((3, *middle.shape), np.float32)
        peak, light, one = self._of_limit
        np.fmax(middle - np.float32(sky), np.float32(0), out=light)
        np.minimum(light, np.float32(BRIGHTEST), out=light)
        np.square(_largest_near(light), out=peak)
        one[...] = 1
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
        off, good = self._off, self._good
        np.subtract(values, self._middle, out=off)
        if limits is None or limits.none:
            np.isfinite(off, out=good)
        else:
            self._judge(model, limits, n)
        gone = np.flatnonzero(~good[self._inner])
        missing = np.isnan(off[self._inner].ravel()[gone])
        self._sum(model, gone, own, sigma)
        return 0 if limits is None else len(gone) - int(np.count_nonzero(missing))

    def _sum(
        self, model: LightModel, gone: Indices, _: Own | None, sigma: Image | None
    ) -> None:
        """Add what is left of a light."""
        own = self._off[self._inner]
        np.put(own, gone, 0)
        np.put(self._lost, gone, self._lost.ravel()[gone] + 1)
        lost = self._lost_weight.ravel()[gone] + model.weight
        np.put(self._lost_weight, gone, lost)
        if sigma is not None:
            kept = self._good[self._inner]
            self._add_variance(kept, np.float32(model.weight), sigma)
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

    def _judge(self, model: LightModel, limits: Limits, n: int) -> None:
        """Find what is no outlier, nor a faint part of one nearby, nor missing."""
        off, term, limit, good = self._off, self._term, self._limit, self._good
        # The middle of few samples is itself uncertain.
        uncertain = 1 + 1.57 / n
        narrow, wide = sorted(one if one < OPEN else np.inf for one in limits)
        variances = (
            model.change**2,
            model.photon * uncertain,
            model.noise**2 * uncertain,
        )
        factors = np.array([narrow**2 * one for one in variances], np.float32)
        np.einsum("k,kyx->yx", factors, self._of_limit, out=limit)
        np.multiply(off, off, out=term)
        if narrow != wide:
            side = off < 0 if limits.high < limits.low else off > 0
            with np.errstate(invalid="ignore"):  # an infinite sample stays none
                np.divide(term, np.float32((wide / narrow) ** 2), out=term, where=side)
        np.less_equal(term, limit, out=good)
        y, x = marked_pixels(~good)
        there = ~np.isnan(off[y, x])
        y, x = y[there], x[there]
        if not len(y):
            return
        ny, nx = off.shape
        rows = np.clip(y + _ROWS_NEAR, 0, ny - 1)
        near = rows * nx + np.clip(x + _COLUMNS_NEAR, 0, nx - 1)
        faint = term.take(near) > np.float32(FAINT**2) * limit.take(near)
        good.put(near[faint], False)

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

    def _sum(
        self, model: LightModel, gone: Indices, own: Own | None, sigma: Image | None
    ) -> None:
        if own is None:
            msg = "a light gives nothing of its own"
            raise ValueError(msg)
        between, kept = self._off[self._inner], self._good[self._inner]
        measured = own.values - self._middle[self._inner]
        measured += self._along_x * own.x + self._along_y * own.y
        there = kept & np.isfinite(measured)
        part = np.where(there, measured, np.float32(FILLING) * between)
        weight = np.where(there, np.float32(1), np.float32(FILLING))
        part.ravel()[gone] = weight.ravel()[gone] = 0
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
            found[missing] = _middle_of_some([row.take(missing) for row in rows])
        out[tile] = found.reshape(out[tile].shape)
    return out


def _middle_of_some(rows: Sequence[Image]) -> Image:
    """Give the lower median where samples are missing; NaN where all are."""
    # NaN is sorted behind all numbers.
    pixels = np.sort(np.column_stack(rows), axis=1)
    number = np.count_nonzero(~np.isnan(pixels), axis=1)
    at = np.maximum(number - 1, 0) // 2
    return np.asarray(pixels[np.arange(len(pixels)), at])


def _largest_near(image: Image) -> Image:
    """Give the largest of each pixel and its eight neighbours."""
    rows = image.copy()
    np.maximum(rows[:, 1:], image[:, :-1], out=rows[:, 1:])
    np.maximum(rows[:, :-1], image[:, 1:], out=rows[:, :-1])
    found = rows.copy()
    np.maximum(found[1:], rows[:-1], out=found[1:])
    np.maximum(found[:-1], rows[1:], out=found[:-1])
    return found
