"""The pattern of an iris shutter, from flats of unlike exposure.

An iris exposes the centre longer than the corners: of an exposure t a pixel sees t + s,
and a flat is F (t + s) / t, with the response F (as IRAF's ``shutcor`` has it).  Flats
are brought to unit level, and the sky of each may have a slope of its own, so that s is
found from their shapes alone.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEGREE = 8
"""Of the polynomial of x and y that the pattern is."""
BLOCKS = 24
"""Blocks of a flat along rows, and along columns."""
LEAST = 0.002
"""Change of a flat's shape that matters, of its level ..."""
SIGMAS = 10.0
"""... and that is seen, in units of its noise."""
UNEXPLAINED = 0.25
"""Part of the pattern that need not go as one over the exposure."""
FEWEST, APART = 3, 1.3
"""Exposures that tell it from other changes, and by what factor they differ at least."""
OFFSETS = np.linspace(-0.45, 0.45, 91)
"""Delays of the middle pixel that are tried, of the shortest exposure ..."""
IMPROVEMENT = 25.0
"""... and by how much chi-square must fall if one is taken."""


@dataclass(frozen=True, slots=True)
class Shutter:
    """By how much longer each pixel is exposed than the header tells."""

    terms: tuple[tuple[float, ...], ...]
    """(n, n) coefficients, s: of Legendre polynomials of y (first index) and x, which
    run from -1 to 1 over the sensor."""

    def delay(
        self, shape: tuple[int, int], rows: slice, columns: slice = slice(None)
    ) -> Floats:
        """Give the delays of some pixels of a sensor of (ny, nx), s."""
        along = [np.linspace(-1, 1, n) for n in shape]
        y, x = along[0][rows], along[1][columns]
        degree = len(self.terms) - 1
        delay: Floats = (
            legvander(y, degree) @ np.array(self.terms) @ legvander(x, degree).T
        )
        return delay

    @property
    def usual(self) -> float:
        """Delay of the median pixel, s."""
        return float(np.median(self.delay((64, 64), slice(None))))

    def factor(
        self,
        exptime: float,
        shape: tuple[int, int],
        rows: slice,
        columns: slice = slice(None),
    ) -> NDArray[np.float32]:
        """Give what a flat is multiplied by at an exposure: (t + s) / (t + usual s).

        So the median pixel keeps its counts: what shutters do to the flux of all pixels
        alike shapes do not tell well.

        Parameters
        ----------
        exptime : float, s
            Exposure, above 0.
        shape : (ny, nx)
            Size of the sensor.
        rows, columns : slice
            Pixels that are wanted.
        """
        factor = (exptime + self.delay(shape, rows, columns)) / (exptime + self.usual)
        return np.maximum(factor, 0).astype(np.float32)


class Pattern(NamedTuple):
    """What flats of unlike exposure tell of the shutter."""

    amplitude: float = 0.0
    """Change of the shape at the shortest exposure (5th to 95th percentile), of the level."""
    shutter: Shutter | None = None
    """None where none is seen, or other changes explain them as well."""


def find_pattern(flats: Floats, noise: Floats, exptimes: Floats) -> Pattern:
    """Look for the pattern of a shutter.

    Parameters
    ----------
    flats : (n, gy, gx) array
        Medians of the blocks of each flat, at unit level; NaN where it is not lit.
    noise : (n,) array
        1-sigma error of a block of each.
    exptimes : (n,) array, s
        Exposures.

    Returns
    -------
    Pattern
        The delay of the median pixel is 0, unless the shapes show that it is not.
    """
    lit = np.asarray((flats > 0).all(axis=0))
    basis, slopes = _basis(flats.shape[1:], lit)
    different = _different(exptimes)
    if different < 2 or lit.sum() < 4 * basis.shape[1]:
        return Pattern()
    shapes = _without_slopes(flats[:, lit], slopes)
    found = [
        _fit(shapes, noise, exptimes + offset) for offset in OFFSETS * exptimes.min()
    ]
    best = min(range(len(found)), key=lambda n: found[n].chi_square)
    usual = len(found) // 2
    if found[usual].chi_square - found[best].chi_square < IMPROVEMENT:
        best = usual
    fit, offset = found[best], float(OFFSETS[best] * exptimes.min())
    smooth, *_ = np.linalg.lstsq(basis, fit.delay, rcond=None)
    pattern = basis @ smooth
    rates = 1 / (exptimes + offset)
    low, high = np.percentile(pattern, [5, 95])
    amplitude = float((high - low) * rates.max())
    error = fit.error * rates.max() * np.sqrt(basis.shape[1] / lit.sum())
    if amplitude < max(LEAST, SIGMAS * error):
        return Pattern()
    signal = np.outer(rates - rates.mean(), pattern - pattern.mean())
    left, *_ = np.linalg.lstsq(basis, fit.left.T, rcond=None)
    unexplained = np.std(basis @ left) > UNEXPLAINED * np.std(signal)
    if different < FEWEST or unexplained:
        return Pattern(amplitude)
    terms = np.zeros((DEGREE + 1, DEGREE + 1))
    terms[_POWERS] = smooth
    terms[0, 0] += offset - np.median(pattern)
    return Pattern(amplitude, Shutter(tuple(map(tuple, terms.tolist()))))


_POWERS = tuple(
    np.array([(j, i) for j in range(DEGREE + 1) for i in range(DEGREE + 1 - j)]).T
)
"""Degrees in y and x of the terms."""


def _basis(shape: tuple[int, ...], lit: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Give the polynomials at the centres of lit blocks, and of them level and slopes."""
    y, x = (legvander((2 * np.arange(n) + 1) / n - 1, DEGREE) for n in shape)
    every = np.einsum("yj,xi->yxji", y, x)[:, :, *_POWERS][lit]
    slopes = np.stack([np.ones(int(lit.sum())), *_slopes(shape, lit)], axis=1)
    return every, slopes


def _slopes(shape: tuple[int, ...], lit: NDArray[np.bool_]) -> list[Floats]:
    y, x = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in shape), indexing="ij")
    return [x[lit], y[lit]]


def may_tell(exptimes: Floats) -> bool:
    """Say whether exposures, s, are known and unlike enough to tell of a shutter."""
    return bool(len(exptimes) and exptimes.min() > 0) and _different(exptimes) > 1


def _different(exptimes: Floats) -> int:
    """Count exposures that differ."""
    number, last = 0, 0.0
    for exptime in np.sort(exptimes):
        if exptime > APART * last:
            number, last = number + 1, float(exptime)
    return number


def _without_slopes(shapes: Floats, slopes: Floats) -> Floats:
    """Take out of each flat by what slope its sky differs from the mean of all."""
    ratios = shapes / shapes.mean(axis=0)
    found, *_ = np.linalg.lstsq(slopes, ratios.T, rcond=None)
    even: Floats = shapes / (slopes @ found).T
    return even


class _Fit(NamedTuple):
    """Lines through the blocks of all flats, against one over the exposure."""

    delay: Floats
    """(n_blocks,) s."""
    error: float
    """1-sigma error of the delay of a block, s."""
    left: Floats
    """(n, n_blocks): what is left, of the level."""
    chi_square: float


def _fit(shapes: Floats, noise: Floats, exptimes: Floats) -> _Fit:
    weights = 1 / noise**2
    rates = 1 / exptimes
    centred = rates - np.average(rates, weights=weights)
    spread = float(np.sum(weights * centred**2))
    mean = np.average(shapes, axis=0, weights=weights)
    slope = (weights * centred) @ shapes / spread
    response = mean - slope * np.average(rates, weights=weights)
    left = shapes - mean - np.outer(centred, slope)
    chi_square = float(np.sum(weights[:, None] * left**2))
    return _Fit(slope / response, spread**-0.5, left / mean, chi_square)


def block_medians(rows: NDArray[np.float32], across: int = BLOCKS) -> Floats:
    """Take the medians of blocks side by side: (n, ny, nx) to (n, across)."""
    edges = np.linspace(0, rows.shape[-1], across + 1).astype(int).tolist()
    parts = [rows[..., a:b] for a, b in pairwise(edges)]
    return np.stack([np.median(part, axis=(-2, -1)) for part in parts], axis=-1)
