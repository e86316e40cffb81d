"""Dark counts against exposure: the fit, and what it makes of a master dark."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEAST_PROBABILITY = 1e-3
"""A straight line less probable than this does not describe the darks."""


@dataclass(frozen=True, slots=True)
class DarkFit:
    """A straight line through dark counts: offset + slope * exposure."""

    offset: float
    """Counts at no exposure, ADU."""
    slope: float
    """Dark current, ADU/s."""
    offset_error: float
    """One sigma of `offset`, ADU."""
    slope_error: float
    """One sigma of `slope`, ADU/s."""
    covariance: float
    """Covariance of `offset` and `slope`, ADU**2/s."""
    chi_square: float
    """Sum of the squared residuals, each in units of its error."""
    n: int
    """Number of exposures."""
    weighted: bool
    """Whether the errors were given; else each count has the error 1 ADU."""

    @property
    def probability(self) -> float | None:
        """Chance of a chi-square this large if the counts do lie on a line.

        None where that cannot be judged: without errors, or with two exposures.
        """
        if not self.weighted or self.n < 3:
            return None
        from scipy.special import chdtrc

        return float(chdtrc(self.n - 2, self.chi_square))

    @property
    def linear(self) -> bool | None:
        """Whether the counts lie on a line within their errors; None: unknown."""
        if self.probability is None:
            return None
        return self.probability >= LEAST_PROBABILITY


def fit_dark_counts(
    exptime_s: ArrayLike, counts_adu: ArrayLike, errors_adu: ArrayLike | None = None
) -> DarkFit:
    """Fit a straight line to dark counts by weighted least squares [1]_.

    Parameters
    ----------
    exptime_s : (n,) array, second
        Exposures, at least two of them different.
    counts_adu : (n,) array, ADU
        Level of the master dark of each exposure, bias subtracted.
    errors_adu : (n,) array, ADU, optional
        One sigma of each level.  Without them every level has the error 1 ADU:
        the line is the same as with any equal errors, its own errors are not.

    Returns
    -------
    DarkFit
        The line, with errors propagated from those of the levels.  They are not
        rescaled by the scatter about the line.

    Raises
    ------
    ValueError
        If the shapes differ, a number is not finite, an error is not positive,
        or there are not two different exposures.

    References
    ----------
    .. [1] Bevington & Robinson (2003), Data Reduction and Error Analysis,
       section 6.3.
    """
    t, counts = np.asarray(exptime_s, float), np.asarray(counts_adu, float)
    weighted = errors_adu is not None
    errors = np.ones_like(counts) if errors_adu is None else np.asarray(errors_adu)
    _check(t, counts, errors)
    weight = errors.astype(float) ** -2
    # Exposures are taken from their mean: the normal equations then stay well
    # conditioned, and the two parameters of the shifted line do not correlate.
    mean = np.average(t, weights=weight)
    spread = float(np.sum(weight * (t - mean) ** 2))
    slope = float(np.sum(weight * (t - mean) * counts)) / spread
    offset = float(np.average(counts, weights=weight) - slope * mean)
    residuals = counts - (offset + slope * t)
    return DarkFit(
        offset=offset,
        slope=slope,
        offset_error=float(np.sqrt(1 / weight.sum() + mean**2 / spread)),
        slope_error=spread**-0.5,
        covariance=-float(mean) / spread,
        chi_square=float(np.sum(weight * residuals**2)),
        n=len(t),
        weighted=weighted,
    )


def _check(t: np.ndarray, counts: np.ndarray, errors: np.ndarray) -> None:
    if t.ndim != 1 or not t.shape == counts.shape == errors.shape:
        shapes = f"{t.shape}, {counts.shape} and {errors.shape}"
        msg = f"exposures, counts and errors must be equally long lists, not {shapes}"
        raise ValueError(msg)
    if not all(np.isfinite(values).all() for values in (t, counts, errors)):
        msg = "exposures, counts and errors must be finite numbers"
        raise ValueError(msg)
    if (errors <= 0).any():
        msg = f"errors must be positive, not {errors.min()}"
        raise ValueError(msg)
    if len(np.unique(t)) < 2:
        msg = f"a line needs two different exposures, not {sorted(set(t.tolist()))}"
        raise ValueError(msg)


class DarkScaling(NamedTuple):
    """A master dark for another exposure: scale * dark + offset."""

    scale: float
    """Factor on the master dark."""
    offset: float
    """Added to the scaled master dark, ADU."""


def ratio_scaling(
    exptime_s: float, master_exptime_s: float, *, offset: float, slope: float
) -> DarkScaling:
    """Scale the whole master by the ratio of the counts that the line predicts.

    Parameters
    ----------
    exptime_s, master_exptime_s : float, second
        Exposure that is wanted, and the master's.
    offset, slope : float, ADU and ADU/s
        The line.

    Raises
    ------
    ValueError
        If the line predicts no counts at either exposure.
    """
    wanted, at_hand = offset + slope * exptime_s, offset + slope * master_exptime_s
    if not (wanted >= 0 and at_hand > 0):
        msg = (
            f"the line {offset} + {slope} t predicts {wanted} ADU at {exptime_s} s "
            f"and {at_hand} ADU at {master_exptime_s} s: a ratio needs positive counts"
        )
        raise ValueError(msg)
    return DarkScaling(wanted / at_hand, 0.0)


def rate_scaling(
    exptime_s: float, master_exptime_s: float, *, offset: float
) -> DarkScaling:
    """Give each pixel its own dark current, and all of them one offset.

    The counts above the offset grow with the exposure, pixel by pixel:
    offset + (dark - offset) * t / t0.

    Parameters
    ----------
    exptime_s, master_exptime_s : float, second
        Exposure that is wanted, and the master's.
    offset : float, ADU
        Counts at no exposure.

    Raises
    ------
    ValueError
        If the master's exposure is not positive or the wanted one is negative.
    """
    if not (master_exptime_s > 0 and exptime_s >= 0):
        msg = f"cannot take a dark of {master_exptime_s} s to {exptime_s} s"
        raise ValueError(msg)
    scale = exptime_s / master_exptime_s
    return DarkScaling(scale, offset * (1 - scale))
