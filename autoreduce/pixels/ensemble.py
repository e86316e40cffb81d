"""Light curves against an ensemble of stars.

All stars of a light get fainter together; what is left of one, when that is taken out, is
its own.  The magnitude of star s in light l is a mean of the star and a zero point of the
light, fitted together (Honeycutt 1992, PASP 104, 435); a star that varies weighs less, by
as much as it scatters beyond its error.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDS = 20
"""Turns of the fit."""
FEWEST_LIGHTS = 3
MAGNITUDE = 2.5 / np.log(10)
"""Magnitudes in a relative change of one."""


class Ensemble(NamedTuple):
    """Curves of all stars; NaN where one was not measured."""

    magnitude: Floats
    """(lights, stars): about the star's own mean, the lights' zero points taken out."""
    error: Floats
    """(lights, stars): 1-sigma error, that of the zero point included."""
    zero_point: Floats
    """(lights,): how much fainter than usual all stars of a light are, mag."""
    mean: Floats
    """(stars,): mean instrumental magnitude."""

    @property
    def scatter(self) -> Floats:
        """Standard deviation of each star about its mean, mag."""
        return np.sqrt(_mean_square(self.magnitude, self._freedom))

    @property
    def limit(self) -> Floats:
        """What photons and sky alone would make of it, mag."""
        n = np.isfinite(self.magnitude).sum(axis=0)
        return np.sqrt(_mean_square(self.error, n))

    @property
    def _freedom(self) -> NDArray[Any]:
        return np.asarray(np.isfinite(self.magnitude).sum(axis=0) - 1)


def ensemble(flux: Floats, error: Floats, comparison: NDArray[np.bool_]) -> Ensemble:
    """Take out of the stars' magnitudes what they have in common.

    Parameters
    ----------
    flux, error : (lights, stars) arrays
        Fluxes and their 1-sigma errors, of any unit; NaN where there is none.
    comparison : (stars,) array of bool
        Stars that the zero points are taken from.  A star's own curve is taken against
        the others.

    Returns
    -------
    Ensemble
        NaN in lights that show no other star of the comparison.
    """
    seen = np.isfinite(flux) & (flux > 0) & (error > 0)
    magnitude = np.where(seen, -2.5 * np.log10(np.where(seen, flux, 1.0)), 0.0)
    variance = np.where(seen, (MAGNITUDE * error / np.where(seen, flux, 1.0)) ** 2, 1.0)
    counted = seen & comparison
    mean, own = _mean(magnitude, seen / variance), np.zeros(flux.shape[1])
    for _ in range(ROUNDS):
        weight = counted / (variance + own)
        zero = _mean((magnitude - mean).T, weight.T)
        mean = _mean(magnitude - zero[:, None], seen / (variance + own))
        own = _own_variance(magnitude - mean - zero[:, None], variance, seen)
    return _curves(magnitude - mean, variance, seen, weight)._replace(
        zero_point=np.where(counted.any(axis=1), zero, np.nan),
        mean=np.where(seen.any(axis=0), mean, np.nan),
    )


def _curves(
    residual: Floats, variance: Floats, seen: NDArray[np.bool_], weight: Floats
) -> Ensemble:
    """Take from each star the zero points of all others."""
    others = weight.sum(axis=1, keepdims=True) - weight
    told = seen & (others > 1e-9 * weight.sum(axis=1, keepdims=True))
    safe = np.where(told, others, 1.0)
    sums = (weight * residual).sum(axis=1, keepdims=True) - weight * residual
    curve = np.where(told, residual - sums / safe, np.nan)
    n = told.sum(axis=0)
    curve -= np.where(told, curve, 0.0).sum(axis=0) / np.maximum(n, 1)
    error = np.where(told, np.sqrt(variance + 1 / safe), np.nan)
    nothing = np.empty(0)
    return Ensemble(curve, error, nothing, nothing)


def _mean(values: Floats, weight: Floats) -> Floats:
    """Give the weighted mean along the first axis; 0 without weight."""
    total = weight.sum(axis=0)
    sums = (values * weight).sum(axis=0)
    return np.asarray(np.divide(sums, total, out=np.zeros_like(total), where=total > 0))


def _own_variance(
    residual: Floats, variance: Floats, seen: NDArray[np.bool_]
) -> Floats:
    """Give by how much the squares of residuals are larger than errors make them."""
    n = seen.sum(axis=0)
    excess = np.where(seen, residual**2 - variance, 0.0).sum(axis=0)
    return np.where(n >= FEWEST_LIGHTS, np.maximum(excess / np.maximum(n, 1), 0.0), 0.0)


def _mean_square(values: Floats, n: NDArray[Any]) -> Floats:
    squares = np.nansum(values**2, axis=0)
    return np.where(n > 0, squares / np.maximum(n, 1), np.nan)
