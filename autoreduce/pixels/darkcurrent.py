"""Dark counts against exposure: the fit, and what it makes of a master dark."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        found = f"all are {t[0]:g} s" if t.size else "there is none"
        msg = f"a line needs two different exposures, and {found}"
        raise ValueError(msg)


class Doubling(NamedTuple):
    """Dark current against temperature, as the darks of a night show it."""

    degrees: float
    """Warming that doubles the dark current, Celsius."""
    degrees_error: float
    """One sigma of it."""
    reference: float
    """Temperature at which an exposure counts as it is, Celsius."""
    low: float
    """Lowest temperature of the darks, Celsius."""
    high: float
    """Highest temperature of the darks, Celsius."""

    def equivalent_s(self, exptime_s: float, temperature_c: float) -> float:
        """Give the exposure that makes as many dark counts at the reference.

        Beyond the range of the darks nothing is known: there the nearest temperature
        of the range is taken.
        """
        within = min(max(temperature_c, self.low), self.high)
        return float(exptime_s * 2 ** ((within - self.reference) / self.degrees))


FEWEST_TO_DOUBLE, LEAST_SPAN_C = 4, 2.0
"""Fewer darks, or darks closer in temperature, tell no doubling temperature."""
LARGEST_RELATIVE_ERROR = 0.3
"""A doubling temperature that is less certain is not used."""
STEEPEST_PER_C = 1 / 3
"""Silicon doubles in 5 to 8 degrees; nothing doubles faster than in 3."""


def fit_doubling(
    exptime_s: ArrayLike,
    counts_adu: ArrayLike,
    errors_adu: ArrayLike,
    temperature_c: ArrayLike,
) -> Doubling | None:
    """Fit offset + slope * exposure * 2**(temperature / doubling) to dark counts.

    Parameters
    ----------
    exptime_s, counts_adu, errors_adu : (n,) arrays
        As `fit_dark_counts` takes.
    temperature_c : (n,) array, Celsius
        Temperatures of the sensor.

    Returns
    -------
    Doubling or None
        None where the darks do not tell: fewer than 4, less than 2 degrees apart, or
        not certain to `LARGEST_RELATIVE_ERROR`.
    """
    t, temperature = np.asarray(exptime_s, float), np.asarray(temperature_c, float)
    low, high = float(temperature.min()), float(temperature.max())
    if len(t) < FEWEST_TO_DOUBLE or high - low < LEAST_SPAN_C:
        return None
    reference = float(np.median(temperature))
    # Exponents are tried one after the other: for each the rest is a straight line.
    exponents, step = np.linspace(0, STEEPEST_PER_C, 334, retstep=True)
    chi_square = np.array(
        [
            fit_dark_counts(
                t * 2 ** (exponent * (temperature - reference)), counts_adu, errors_adu
            ).chi_square
            for exponent in exponents
        ]
    )
    best = int(np.argmin(chi_square))
    if best in (0, len(exponents) - 1):
        return None
    bend = chi_square[best - 1] - 2 * chi_square[best] + chi_square[best + 1]
    relative = float(step * np.sqrt(2 / bend) / exponents[best]) if bend > 0 else np.inf
    if relative > LARGEST_RELATIVE_ERROR:
        return None
    degrees = float(1 / exponents[best])
    return Doubling(degrees, degrees * relative, reference, low, high)


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


def ratio_error(
    exptime_s: float,
    master_exptime_s: float,
    line: tuple[float, float],
    errors: tuple[float, float, float],
) -> float:
    """Propagate the errors of the line to the factor of `ratio_scaling`.

    Parameters
    ----------
    exptime_s, master_exptime_s : float, second
        Exposure that is wanted, and the master's.
    line : tuple of float, ADU and ADU/s
        Offset and slope.
    errors : tuple of float, ADU, ADU/s and ADU**2/s
        One sigma of each, and their covariance.

    Returns
    -------
    float
        One sigma of the factor; 0 at the master's own exposure.
    """
    (offset, slope), (offset_error, slope_error, covariance) = line, errors
    part = (exptime_s - master_exptime_s) / (offset + slope * master_exptime_s) ** 2
    by_offset, by_slope = -slope * part, offset * part
    variance = (by_offset * offset_error) ** 2 + (by_slope * slope_error) ** 2
    variance += 2 * by_offset * by_slope * covariance
    return math.sqrt(max(variance, 0.0))


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


BLOCKS = 16
"""Blocks along each side of an image whose levels show structure on large scales ..."""
LEAST_BLOCK = 16
"""... of this many rows and columns at least."""


class Structure(NamedTuple):
    """How uneven a dark is on large scales."""

    level: float
    """Median of the blocks' levels, ADU."""
    excess: float
    """How far the brightest block is above it, ADU."""


def large_scale_structure(dark: NDArray[np.floating]) -> Structure:
    """Measure how far the brightest part of a dark is above its level.

    Parameters
    ----------
    dark : (ny, nx) array, ADU
        A dark without its bias; NaN where a pixel has no value.

    Returns
    -------
    Structure
        Of the medians of up to `BLOCKS` x `BLOCKS` blocks: hot pixels and columns do not
        count.
    """
    rows, columns = (
        np.array_split(np.arange(n), max(1, min(BLOCKS, n // LEAST_BLOCK)))
        for n in dark.shape
    )
    levels = np.array(
        [
            _median(dark[band[0] : band[-1] + 1, block[0] : block[-1] + 1])
            for band in rows
            for block in columns
        ]
    )
    level = _median(levels)
    return Structure(level, float(np.nanmax(levels, initial=level)) - level)


def _median(values: NDArray[np.floating]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan
