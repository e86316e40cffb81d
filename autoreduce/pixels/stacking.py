"""Stack registered lights: a weighted mean without what noise cannot explain.

Few lights do not tell their own scatter, so samples are held against a model of their
noise: that of the sky, that of the photons of what shines there, and a part of the
light itself for what seeing and guiding change.  Samples beyond it are left out, too
bright or too dark ones alike, with their faint neighbours: a mean from which bright
ones alone were taken has dark rings.

Nearly every pixel is whole: its lowest and highest sample are within what the sky alone
allows, and all of its samples are summed at once, while they are in the cache.  The others
are picked out and judged sample by sample; what is left out is taken from the sums.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.network import ordered

Image = NDArray[np.float32]
Indices = NDArray[np.intp]

GROWN = 2
"""Pixels about an outlier in which its faint parts are looked for."""
HALO = GROWN + 1
"""Rows beyond a band, on which the band depends."""
FAINT = 0.5
"""Limit, of the usual one, beyond which a neighbour of an outlier is one too."""
_NEAR = np.arange(-GROWN, GROWN + 1)
FILLING = 1e-3
"""Weight of an interpolated sample, of one that was measured: it counts where there are
no others."""
OPEN = 1e6
"""Sigma from which on a limit is none."""
BRIGHTEST = 1e12
"""ADU above the sky that no pixel shows; single precision holds its variance."""
FAR = 1e3
"""Sigma beyond which a sample has left its digits in a sum that it is taken out of."""
LITTLE = 1e-2
"""Part of the weight of all below which what is left has lost digits to what went."""
MOST_IN_NETWORK = 48
"""Lights of which a network finds the middle; more are sorted."""
TILE = 1 << 14
"""Pixels of a tile, ..."""
TABLE = 1 << 19
"""... or its samples where they are sorted."""
PIECE = 1 << 17
"""Samples of picked pixels that are looked at together."""


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


MOST = float(np.finfo(np.float32).max)
"""Sigma that no sample is off, unless it is infinite."""
ANY = Limits(MOST, MOST)


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
        `StackResult.n_used` counts `own`.
    sigmas : sequence of n arrays, optional
        1-sigma errors of the samples that are averaged, in the rows without halo.

    Returns
    -------
    StackResult
        Without the halo.  The middle, which deviations are counted from, is the lower
        median: of two samples that disagree the brighter goes.
    """
    # An infinite sample is none.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        limit, outliers = None, None
        spoilt: list[Indices] = []
        if limits is not None and not limits.none:
            limit = _Limit.of(models, limits, sky)
        band = Band.of(samples, models, halo, limit.within if limit else ANY)
        again = band.odd[~np.isfinite(band.above.take(band.odd))]
        if limit is not None and len(band.odd):
            outliers, spoilt = _outliers(band, limit)
        if own is None:
            return _mean(band, outliers, np.concatenate([again, *spoilt]), sigmas)
        return _mean_of_own(band, outliers, own, sigmas)


class Band(NamedTuple):
    """Samples of all lights, and what they tell together; pixels in one row."""

    samples: Sequence[Image]
    """n of (n_pixels,), ADU."""
    shape: tuple[int, int]
    """Rows and columns."""
    inner: slice
    """The pixels without the halo."""
    weights: NDArray[np.float64]
    """(n,), of the lights."""
    scales: Image
    """(n, 1), of each light one by the noise of its sky, 1 / ADU."""
    n_used: NDArray[np.uint16]
    """(n_pixels,), how many samples count: at first those that are there."""
    middle: Image
    """(n_pixels,), their lower median; NaN where none is there."""
    weight: Image
    """(n_pixels,), the sum of their weights."""
    above: Image
    """(n_pixels,), the weighted sum of how far they lie above the middle."""
    within: Limits
    """How far off the middle, in the noise of their lights, those of most pixels lie."""
    odd: Indices = np.empty(0, np.intp)
    """The pixels of others."""

    @classmethod
    def of(
        cls,
        samples: Sequence[Image],
        models: Sequence[LightModel],
        halo: tuple[int, int] = (0, 0),
        within: Limits = ANY,
    ) -> Self:
        """Look at samples tile by tile, so that each is read from memory once."""
        n, size, shape = len(samples), samples[0].size, samples[0].shape
        weights, noises, *_ = np.array(models).T
        scales = (1 / noises[:, None]).astype(np.float32)
        inner = slice(halo[0] * shape[1], size - halo[1] * shape[1])
        flat = [one.reshape(-1) for one in samples]
        n_used = np.full(size, n, np.uint16)
        # Each by itself, so that a result keeps no other in memory.
        middle, above = np.empty(size, np.float32), np.empty(size, np.float32)
        weight = np.full(size, weights.sum(), np.float32)
        band = cls(
            flat, shape, inner, weights, scales, n_used, middle, weight, above, within
        )
        odd = []
        step = TILE if n <= MOST_IN_NETWORK else max(TABLE // n, 1)
        spare = np.empty((n + 2, min(step, size)), np.float32)
        for start in range(0, size, step):
            tile = slice(start, min(start + step, size))
            rows, middle = [one[tile] for one in flat], band.middle[tile]
            room = spare[:, : middle.size]
            off = room[:n]
            if n > MOST_IN_NETWORK:
                rows = list(np.stack(rows, out=off))
                _middle_by_sorting(off, middle)
            else:
                _middle_by_network(rows, room, middle)
            missing = np.flatnonzero(np.isnan(middle))
            middle[missing] = 0
            for row, out in zip(rows, off, strict=True):
                np.subtract(row, middle, out=out)
            some = off.take(missing, axis=1)
            is_odd = band.sum_up(tile, off)
            lost = np.isnan(some)
            found = _middle_of_some(some, n - lost.sum(axis=0, dtype=np.uint16))
            middle[missing] = found
            some -= found
            is_odd[missing] = band.sum_up_without(lost, start + missing, some)
            odd.append(start + np.flatnonzero(is_odd))
        return band._replace(odd=np.concatenate(odd))

    def sum_up(self, pixels: slice | Indices, off: Image) -> NDArray[np.bool_]:
        """Tell what samples off the middle of some pixels add up to; which are odd."""
        self.above[pixels] = _weighted(self.weights, off)
        off *= self.scales
        good = off.min(axis=0) >= -self.within.low
        good &= off.max(axis=0) <= self.within.high
        return np.asarray(~good)

    def sum_up_without(
        self, lost: NDArray[np.bool_], pixels: Indices, off: Image
    ) -> NDArray[np.bool_]:
        """Do so where some samples do not count."""
        np.copyto(off, 0, where=lost)
        self.n_used[pixels] = len(off) - lost.sum(axis=0, dtype=np.uint16)
        self.weight[pixels] = np.einsum("k,kp->p", self.weights, ~lost)
        return self.sum_up(pixels, off)

    def leave_out(self, light: int, pixels: Indices, off: Image) -> Indices:
        """Take samples of a light, so far off the middle, out of the sums of pixels.

        Returns
        -------
        (m,) array
            Pixels of which sums have lost their digits by that.
        """
        weight = np.float32(self.weights[light])
        self.n_used[pixels] -= np.uint16(1)
        self.weight[pixels] -= weight
        self.above[pixels] -= weight * off
        spoilt = np.abs(off) * self.scales[light] > FAR
        spoilt |= self.weight[pixels] < np.float32(LITTLE * self.weights.sum())
        return np.asarray(pixels[spoilt])

    def off(self, pixels: Indices, lights: slice = slice(None)) -> Image:
        """Tell how far samples lie above the middle: (lights, m), at m pixels."""
        samples = self.samples[lights]
        found = np.empty((len(samples), len(pixels)), np.float32)
        for one, row in zip(samples, found, strict=True):
            one.take(pixels, out=row, mode="clip")
        found -= self.middle.take(pixels)
        return found

    def kept(
        self, light: int, outliers: NDArray[np.bool_] | None
    ) -> tuple[Image, NDArray[np.bool_]]:
        """Tell how far inner samples of a light lie above the middle, and which count."""
        off = self.samples[light][self.inner] - self.middle[self.inner]
        good = np.isfinite(off)
        if outliers is not None:
            good &= ~outliers[light, self.inner]
        return off, good

    def result(
        self,
        mean: Image,
        n_used: NDArray[np.uint16],
        outliers: NDArray[np.bool_] | None,
        variance: Image | None,
    ) -> StackResult:
        """Give images of the inner pixels."""
        nx = self.shape[1]
        rejected = np.zeros(len(self.samples), np.int64)
        if outliers is not None:
            # Row by row: numpy counts along an axis ten times as slowly.
            rejected[...] = [np.count_nonzero(row[self.inner]) for row in outliers]
        return StackResult(
            mean.reshape(-1, nx),
            n_used.reshape(-1, nx),
            rejected,
            None if variance is None else variance.reshape(-1, nx),
        )


_Outliers = NDArray[np.bool_]
"""(n, n_pixels), samples that are rejected: a quarter of the memory that samples take."""


class _Limit(NamedTuple):
    """How far off the middle samples may lie, squared."""

    factors: Image
    """(n, 3), of each light: what multiplies the square of the brightest light nearby,
    and the light, and what is added."""
    wide: float
    """How many times as far they may lie to one side, ..."""
    below: bool
    """... which is that below the middle."""
    sky: float
    """Level of the sky, ADU."""
    within: Limits
    """How far, in the noise of their lights, they may lie wherever it is dark."""

    @classmethod
    def of(cls, models: Sequence[LightModel], limits: Limits, sky: float) -> Self:
        """Work it out from the models of the noise."""
        # The middle of few samples is itself uncertain.
        uncertain = 1 + 1.57 / len(models)
        narrow, wide = sorted(limit if limit < OPEN else np.inf for limit in limits)
        _, noise, photon, change = np.array(models).T
        variances = [change**2, photon * uncertain, noise**2 * uncertain]
        factors = narrow**2 * np.array(variances).T
        # Nothing is let through because it is rounded otherwise.
        least = (1 - 1e-5) * math.sqrt(uncertain)
        within = Limits(*(min(least * limit, MOST) for limit in limits))
        below = limits.high < limits.low
        return cls(factors.astype(np.float32), wide / narrow, below, sky, within)

    def squared(self, off: Image) -> Image:
        """Square deviations; those to the wide side as if it were the other."""
        found = np.square(off)
        if self.wide != 1:
            side = off < 0 if self.below else off > 0
            np.divide(found, np.float32(self.wide**2), out=found, where=side)
        return found

    def beyond(
        self, off: Image, terms: Sequence[Image], lights: slice, part: float = 1
    ) -> NDArray[np.bool_]:
        """Find samples beyond a part of the limit: (lights, pixels); none are missing.

        The terms are the square of the brightest light near each pixel, and its light.
        """
        peak, light = terms
        of_peak, of_light, of_sky = self.factors[lights].T[..., None]
        limit = of_peak * peak
        limit += of_light * light
        limit += of_sky
        limit *= np.float32(part**2)
        return np.asarray(~((self.squared(off) <= limit) | ~np.isfinite(off)))

    def terms(self, band: Band, widest: Image, pixels: Indices) -> tuple[Image, Image]:
        """Tell of the light of pixels; `widest` is that of each and its two neighbours."""
        nx, last = band.shape[1], widest.size
        above = np.where(pixels < nx, pixels, pixels - nx)
        below = np.where(pixels + nx < last, pixels + nx, pixels)
        peak = widest.take(pixels)
        np.fmax(peak, widest.take(above), out=peak)
        np.fmax(peak, widest.take(below), out=peak)
        light = band.middle.take(pixels)
        for one in (peak, light):
            np.subtract(one, np.float32(self.sky), out=one)
            np.fmax(one, np.float32(0), out=one)
            np.minimum(one, np.float32(BRIGHTEST), out=one)
        return np.square(peak, out=peak), light


def _outliers(band: Band, limit: _Limit) -> tuple[_Outliers, list[Indices]]:
    """Find samples that noise does not explain, and their faint neighbours.

    They are taken out of the sums; pixels whose sums have lost their digits by that are
    told.
    """
    n, size = len(band.samples), band.middle.size
    outliers, spoilt = np.zeros((n, size), np.bool_), []
    terms = partial(limit.terms, band, _largest_beside(band.middle.reshape(band.shape)))
    for pixels in _pieces(band.odd, n):
        found = limit.beyond(band.off(pixels), terms(pixels), slice(None))
        lights, at = marked_pixels(found)
        outliers[lights, pixels[at]] = True
    near = np.zeros(size, np.bool_)
    for light, row in enumerate(outliers):
        for some in _pieces(band.odd[row.take(band.odd)], len(_NEAR) ** 2):
            near[_near(some, band.shape)] = True
        of_light = slice(light, light + 1)
        for around in _pieces(np.flatnonzero(near), 1):
            off = band.off(around, of_light)
            faint = limit.beyond(off, terms(around), of_light, FAINT)[0]
            gone = around[faint]
            row[gone] = True
            spoilt.append(band.leave_out(light, gone, off[0, faint]))
        near[...] = False
    return outliers, spoilt


def _near(pixels: Indices, shape: tuple[int, int]) -> Indices:
    """Give the pixels about some."""
    ny, nx = shape
    y, x = np.divmod(pixels[:, None], nx)
    rows = np.clip(y + _NEAR, 0, ny - 1) * nx
    columns = np.clip(x + _NEAR, 0, nx - 1)
    return np.asarray(rows[..., None] + columns[:, None])


def _pieces(places: Indices, n: int) -> Iterator[Indices]:
    """Cut places, of n samples each, into pieces that stay in the cache."""
    step = max(PIECE // n, 1)
    for start in range(0, len(places), step):
        yield places[start : start + step]


def _mean(
    band: Band,
    outliers: _Outliers | None,
    again: Indices,
    sigmas: Sequence[Image] | None,
) -> StackResult:
    """Average what lies above the middle; at some pixels, summed again."""
    total, weight, inner = band.above, band.weight, band.inner
    for pixels in _pieces(again, len(band.samples)):
        off = band.off(pixels)
        lost = ~np.isfinite(off)
        if outliers is not None:
            lost |= outliers.take(pixels, axis=1)
        band.sum_up_without(lost, pixels, off)
    total /= weight
    total += band.middle
    variance = None
    if sigmas is not None:
        variance = np.zeros_like(total[inner])
        for i, sigma in enumerate(sigmas):
            _, kept = band.kept(i, outliers)
            variance += _square(kept, np.float32(band.weights[i]) * sigma.reshape(-1))
        variance /= weight[inner] * weight[inner]
    return band.result(total[inner], band.n_used[inner], outliers, variance)


def _mean_of_own(
    band: Band,
    outliers: _Outliers | None,
    own: Sequence[Own],
    sigmas: Sequence[Image] | None,
) -> StackResult:
    """Average what pixels of lights measured themselves; NaN where nothing is left."""
    middle, inner = band.middle.reshape(band.shape), band.inner
    slopes = [np.gradient(middle, axis=axis) if n > 1 else np.zeros_like(middle)
              for axis, n in enumerate(band.shape)]  # fmt: skip
    along_y, along_x = (np.nan_to_num(one).reshape(-1)[inner] for one in slopes)
    total, weights, variance = (np.zeros_like(along_x) for _ in range(3))
    n_used = np.zeros(total.shape, np.uint16)
    for i, mine in enumerate(own):
        values, x, y = (one.reshape(-1) for one in mine)
        between, kept = band.kept(i, outliers)
        measured = values - band.middle[inner]
        measured += along_x * x + along_y * y
        there = kept & np.isfinite(measured)
        weight = np.where(there, np.float32(1), np.float32(FILLING))
        weight[~kept] = 0
        part = np.where(there, measured, np.float32(FILLING) * between)
        part[~kept] = 0
        total += np.float32(band.weights[i]) * part
        weight *= np.float32(band.weights[i])
        weights += weight
        n_used += there
        if sigmas is not None:
            variance += _square(kept, weight * sigmas[i].reshape(-1))
    total /= weights
    total += band.middle[inner]
    variance /= weights * weights
    return band.result(total, n_used, outliers, None if sigmas is None else variance)


def _square(kept: NDArray[np.bool_], errors: Image) -> Image:
    """Square the errors of what is kept."""
    found = np.where(kept, errors, np.float32(0))
    return np.square(found, out=found)


def _weighted(weights: NDArray[Any], rows: Image) -> Image:
    """Sum rows, one after the other."""
    weights = weights.astype(np.float32)
    if rows.shape[1] == 1:  # which einsum would sum otherwise
        return np.asarray(np.cumsum(weights[:, None] * rows, axis=0)[-1])
    return np.asarray(np.einsum("k,kp->p", weights, rows))


def _middle_by_network(rows: Sequence[Image], spare: Image, middle: Image) -> None:
    """Find the lower median; NaN where a sample is missing."""
    rank = (len(rows) - 1) // 2
    # A missing sample makes every rank of its pixel one that is missing.
    groups = tuple(0 if i == rank else None for i in range(len(rows)))
    middle[...] = ordered(rows, groups, list(spare))[rank]


def _middle_by_sorting(rows: Image, middle: Image) -> None:
    """Find the same of many samples."""
    step = max(PIECE // len(rows), 1)
    for start in range(0, len(middle), step):
        piece = slice(start, start + step)
        pixels = np.array(rows[:, piece].T, order="C")
        pixels.sort(axis=1)
        middle[piece] = pixels[:, (len(rows) - 1) // 2]
        # NaN is sorted behind all numbers.
        middle[piece][np.isnan(pixels[:, -1])] = np.nan


def _middle_of_some(rows: Image, number: NDArray[np.uint16]) -> Image:
    """Give the lower median of the samples that are there; NaN where none is."""
    # NaN is sorted behind all numbers.
    pixels = np.sort(rows.T, axis=1)
    at = (np.maximum(number, 1) - 1) // 2
    return np.asarray(pixels[np.arange(len(pixels)), at])


def _largest_beside(image: Image) -> Image:
    """Give the largest of each pixel and its two neighbours in the row, in one row."""
    found = image.copy()
    np.fmax(found[:, 1:], image[:, :-1], out=found[:, 1:])
    np.fmax(found[:, :-1], image[:, 1:], out=found[:, :-1])
    return found.reshape(-1)
