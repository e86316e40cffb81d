"""Shifts of images of which each shows the same sky beside the same pattern of the sensor.

Columns, glow, dust and hot pixels stand still while the sky moves, and may be brighter
than all that it shows.  So both are fitted at once: image k is P + a_k S(x - d_k), with a
pattern P and a sky S of which nothing is known.  Given places d and brightnesses a, the
best P and S follow for each spatial frequency by itself, so that only these remain
to be found (variable projection [1]_): no pattern, however strong, changes them.

References
----------
.. [1] Golub & Pereyra (2003), Inverse Problems 19, R1.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.correlation import (
    CLEAR_SIGMAS,
    FARTHEST,
    Shift,
    flattened,
    lobe_of,
    reduction_of,
    signal_of,
    without_lone,
)
from autoreduce.pixels.order import median
from autoreduce.pixels.register import Transform

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

FEWEST_IMAGES = 3
"""Images of which a pattern can be told from a sky."""
LEAST_NOISE = 0.02
"""Part of the power that no sky explains, at any frequency."""
FADING = 0.1
"""Part of the images, at each edge, over which they fade: what is there comes and goes."""
FREQUENCIES = 1 << 14
"""Spatial frequencies, at the most, at which images are compared: the broadest."""
NEAR, CLIMBED = 48, 3
"""Starts, if the sky moves by less than what it shows is wide; the best starts, of all,
that are followed to the end."""
BRIGHTER = 2.0
"""How much brighter than in most an image's brightest place may be."""
LARGEST_ERROR = 0.3
"""Error, in pixels, of a place that is still of use."""
STEP = 1e-3
"""Step, of brightness and in widths, with which it is seen how steeply a fit worsens."""
ELSEWHERE = 48
"""Places, far from its own, at which it is seen how well an image fits by chance."""
SAME_PLACE = 1e-3
"""Part of the greatest sky in the squared differences of all images, below which they tell nothing."""
FAINTEST = 0.3
"""Brightness, of the usual one, of an image that shows too little of the sky."""


class _Band(NamedTuple):
    """The images' differences from their mean at the m frequencies that tell most."""

    spectra: Complex
    """(n, m)"""
    power: Floats
    """(m,): sum of their squares."""
    part: Floats
    """(m,): part of the power that is no noise."""
    at: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Rows and columns of the frequencies in a spectrum as rfft2 gives it."""
    lobe: float
    """How wide what is seen of the sky is, in pixels."""
    shape: tuple[int, int]


def movement(images: Iterable[NDArray[Any]]) -> list[Shift | None]:
    """Find how the sky moves over images of one sensor, whatever stands still in them.

    Parameters
    ----------
    images : iterable of n (ny, nx) arrays
        Calibrated lights of one shape and filter; NaN pixels are left out.  One at a time
        is held.

    Returns
    -------
    list of Shift or None
        For each image the shift to a place that all share.  None where it is not
        clear; of fewer than three images, or where nothing moves, for all.

    Notes
    -----
    Where the sky moves by less than its stars are wide, images tell little more than the
    ratios of the shifts: all of them may be too long or too short by a tenth to a third
    if stars are not alike in all images, which `error` does not know.
    """
    factor, flat = 1, []
    for image in images:
        factor = reduction_of(image)
        flat.append(flattened(without_lone(image), factor, FADING))
    found: list[Shift | None] = [None] * len(flat)
    left = [i for i, one in enumerate(flat) if one is not None]
    differ = np.array([one for one in flat if one is not None], np.float32)
    while len(left) >= FEWEST_IMAGES:
        band = _band(differ)
        if band is None:
            break
        fit = _fit(band)
        sigmas, errors = _clearness(band, fit), factor * _errors(band, fit)
        bright = fit.bright / np.median(fit.bright)
        clear = (bright > FAINTEST) & (bright < 1 / FAINTEST)
        clear &= sigmas > CLEAR_SIGMAS
        if clear.all() and errors.max() >= LARGEST_ERROR:
            # Of all places one is free, so that the error of one is shared by the others.
            clear = errors < errors.max()
        if clear.all():
            for i, (dx, dy), *how_well in zip(
                left, -factor * fit.places, errors, sigmas, strict=True
            ):
                found[i] = Shift(Transform(float(dx), float(dy)), *map(float, how_well))
            break
        left = [i for i, good in zip(left, clear, strict=True) if good]
        differ = differ[clear]
    return found


def _without_rare(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give images (n, ny, nx) less their median, none much brighter than most.

    They show the same sky: what is far brighter in one is a cosmic ray.
    """
    differ = images - median(images, axis=0)
    limit = BRIGHTER * median(np.abs(differ).max(axis=(1, 2)))
    return np.asarray(differ.clip(-limit, limit))


def _band(images: NDArray[np.float32]) -> _Band | None:
    """Take what differs between images, at the frequencies at which it is no noise."""
    from scipy import fft

    ny, nx = shape = images.shape[1:]
    spectra = np.array([fft.rfft2(one) for one in _without_rare(images)])
    differ = spectra - spectra.mean(axis=0)
    power = (np.abs(differ) ** 2).sum(axis=0)
    part = signal_of(np.sqrt(power), shape)
    part[power == 0] = 0
    if not part.any():
        return None
    fineness = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx))
    order = np.argsort(np.where(part > 0, fineness, np.inf), axis=None, kind="stable")
    chosen = order[: min(np.count_nonzero(part), FREQUENCIES)]
    at = np.unravel_index(np.sort(chosen), part.shape)
    kept = np.zeros_like(part)
    kept[at] = part[at]
    lobe = lobe_of(kept, shape)
    if 4 * lobe > FARTHEST * min(shape):
        return None
    return _Band(
        differ[:, *at].astype(np.complex128),
        power[at],
        part[at],
        (at[0], at[1]),
        lobe,
        (ny, nx),
    )


def _waves(band: _Band, places: Floats) -> Complex:
    """Give the spectra (n, m) of points at places (n, 2: x, y)."""
    (ny, nx), (rows, columns) = band.shape, band.at
    turn = -2j * np.pi
    along_y = np.exp(turn * places[:, 1:] * np.fft.fftfreq(ny))
    along_x = np.exp(turn * places[:, :1] * np.fft.rfftfreq(nx))
    return np.asarray(along_y[:, rows] * along_x[:, columns])


def _unexplained(band: _Band, ratio: Floats) -> Floats:
    """Give the part of the power that a sky does not explain, and noise as usual."""
    left: Floats = np.maximum(1 - ratio / band.power, 0)
    return left + (1 - band.part) + LEAST_NOISE


def _agreement(band: _Band, total: Complex, waves: Complex, squares: float) -> float:
    """Tell how well images agree with one sky beside a pattern: a log-likelihood.

    The noise of each frequency is not known, so that it is the logarithm of what is left
    that counts: of frequencies that a satellite or fringes spoil, little hangs on how
    much they spoil them.

    Parameters
    ----------
    band : _Band
        What is to be explained.
    total : (m,) array
        Sum of the images' spectra, each moved to the place of the sky and weighed.
    waves : (m,) array
        Sum of the images' waves, weighed by brightness.
    squares : float
        Sum of the squared brightnesses.
    """
    n = len(band.spectra)
    differs = squares - np.abs(waves) ** 2 / n + SAME_PLACE * squares
    left = _unexplained(band, np.abs(total) ** 2 / differs)
    return -float(np.log(left).sum())


class _Fit(NamedTuple):
    """Places and brightnesses that explain much of what differs."""

    agreement: float
    places: Floats
    """(n, 2): x, y"""
    bright: Floats
    """(n,)"""


def _fit(band: _Band) -> _Fit:
    """Give the fit that explains most."""
    starts = [*_near(band), *_far(band)]
    worth = [_of_places(band, places) for places in starts]
    first = np.argsort(worth)[::-1][:CLIMBED]
    climbed = (_climbed(band, starts[i]) for i in first)
    return max(climbed, key=lambda one: one.agreement)


def _near(band: _Band) -> list[Floats]:
    """Give places that may be, if the sky moves by less than what it shows is wide.

    Then images differ by its two derivatives, which are told up to a linear map.
    """
    shown = np.sqrt(band.part / band.power) * band.spectra
    likeness = np.einsum("jm,km->jk", shown, np.conj(shown)).real
    values, vectors = np.linalg.eigh(likeness)
    two = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    two /= np.std(two)
    rng = np.random.default_rng(len(two))
    scales = band.lobe / 4 * 2.0 ** rng.uniform(-2, 1, (NEAR, 1, 1))
    return list(two @ (scales * rng.normal(size=(NEAR, 2, 2))))


def _far(band: _Band) -> list[Floats]:
    """Give the places at which images agree best with one of them, with each in turn."""
    return [_looked_for(band, one) for one in band.spectra]


def _of_places(band: _Band, places: Floats) -> float:
    """Tell how well images that are alike bright agree at some places."""
    waves = _waves(band, places)
    total = (np.conj(waves) * band.spectra).sum(axis=0)
    return _agreement(band, total, waves.sum(axis=0), float(len(places)))


def _looked_for(band: _Band, sky: Complex) -> Floats:
    """Give the places (n, 2) at which images agree best with a sky (m,)."""
    from scipy import fft

    (ny, nx), places = band.shape, []
    y, x = np.fft.fftfreq(ny, 1 / ny), np.fft.fftfreq(nx, 1 / nx)
    allowed = (np.abs(y) < FARTHEST * ny)[:, None] & (np.abs(x) < FARTHEST * nx)
    for image in band.spectra:
        cross = np.zeros((ny, nx // 2 + 1), np.complex128)
        cross[band.at] = band.part / band.power * image * np.conj(sky)
        surface = np.where(allowed, fft.irfft2(cross, s=band.shape), -np.inf)
        row, column = np.unravel_index(int(np.argmax(surface)), band.shape)
        places.append((x[column], y[row]))
    return np.array(places)


def _climbed(band: _Band, start: Floats) -> _Fit:
    """Give the best fit near a start."""
    from scipy.optimize import minimize

    start = (start - start.mean(axis=0)) / band.lobe
    first = np.concatenate([np.ones(len(start)), start.ravel()])
    end = minimize(partial(_steepness, band), first, jac=True, method="L-BFGS-B")
    bright, places = _of_point(band, end.x)
    return _Fit(-float(end.fun), places, bright)


def _of_point(band: _Band, point: Floats) -> tuple[Floats, Floats]:
    """Give brightnesses and places of a point at which the fit is tried."""
    n = len(band.spectra)
    return point[:n], point[n:].reshape(n, 2) * band.lobe


def _steepness(band: _Band, point: Floats) -> tuple[float, Floats]:
    """Give what speaks against a point, and how that grows along each of its axes."""
    n = len(band.spectra)
    bright, places = _of_point(band, point)
    waves = _waves(band, places)
    turned = np.conj(waves) * band.spectra
    total = (bright[:, None] * turned).sum(axis=0)
    shown = (bright[:, None] * waves).sum(axis=0)
    squares = float(bright @ bright)
    differs = squares - np.abs(shown) ** 2 / n + SAME_PLACE * squares
    ratio = np.abs(total) ** 2 / differs
    left = _unexplained(band, ratio)
    weight = 1 / (left * band.power)
    # How what is explained grows with each image's part of total and shown.
    by_total = weight / differs * np.conj(total) * turned
    by_shown = weight * ratio / differs / n * np.conj(shown) * waves
    by_square = float((weight * ratio / differs).sum()) * (1 + SAME_PLACE)
    moved = by_total - by_shown
    slope_bright = 2 * (by_total + by_shown).real.sum(axis=1)
    slope_bright -= 2 * bright * by_square
    (ny, nx), (rows, columns) = band.shape, band.at
    along = [
        -4 * np.pi * bright * (moved.imag * frequency).sum(axis=1)
        for frequency in (np.fft.rfftfreq(nx)[columns], np.fft.fftfreq(ny)[rows])
    ]
    slope = np.concatenate([slope_bright, np.stack(along, 1).ravel() * band.lobe])
    return float(np.log(left).sum()), -slope


def _errors(band: _Band, fit: _Fit) -> Floats:
    """Give the 2-d errors (n) of the places, from how steeply the fit worsens."""
    n = len(fit.places)
    point = np.concatenate([fit.bright, (fit.places / band.lobe).ravel()])
    steps = STEP * np.eye(len(point))
    bend = np.array(
        [
            _steepness(band, point + step)[1] - _steepness(band, point - step)[1]
            for step in steps
        ]
    ) / (2 * STEP)
    # Two of the images' numbers make pattern and sky; a shift and a brightness of all
    # tell nothing.
    likely = np.linalg.pinv((bend + bend.T) / 2 * (n - 2), rcond=1e-6, hermitian=True)
    variance = np.diag(likely)[n:].reshape(n, 2).sum(axis=1) * band.lobe**2
    return np.asarray(np.sqrt(np.maximum(variance, 0)), np.float64)


def _clearness(band: _Band, fit: _Fit) -> Floats:
    """Tell by how many sigma each image (n) fits better where it is than elsewhere."""
    n = len(fit.places)
    waves = fit.bright[:, None] * _waves(band, fit.places)
    turned = np.conj(waves) * band.spectra
    squares = float(fit.bright @ fit.bright)
    total, shown = turned.sum(axis=0), waves.sum(axis=0)
    rng = np.random.default_rng(n)
    reach = FARTHEST * np.array(band.shape[::-1])
    sigmas = np.empty(n)
    for k in range(n):
        off = rng.uniform(-1, 1, (ELSEWHERE, 2)) * reach
        there: list[float] = []
        for step in off[np.hypot(*off.T) > 2 * band.lobe]:
            (wave,) = fit.bright[k] * _waves(band, (fit.places[k] + step)[None])
            again = total - turned[k] + np.conj(wave) * band.spectra[k]
            there.append(_agreement(band, again, shown - waves[k] + wave, squares))
        better = fit.agreement - float(np.mean(there))
        sigmas[k] = better / max(float(np.std(there)), SAME_PLACE)
    return sigmas
