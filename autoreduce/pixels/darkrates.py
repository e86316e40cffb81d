"""Dark current pixel by pixel: rates out of master darks, and how the rest grows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.darkcurrent import LEAST_PROBABILITY
from autoreduce.pixels.flags import Flag
from autoreduce.pixels.tiles import tiles

Floats = NDArray[np.float64]

NON_LINEAR = np.uint8(Flag.NON_LINEAR)
"""No rate describes the pixel, its counts do not grow with the exposure alone."""
SATURATED = np.uint8(Flag.SATURATED)
"""The pixel is saturated in some master darks, which were left out of its fit."""
GLOWING = np.uint8(Flag.GLOWING)
"""Too many pixels around do not grow in proportion to the exposure."""

TILE_PIXELS = 16 * 1024
"""Pixels that are worked on at a time."""
BLOCK = 16
"""Rows and columns of a block that is judged as a whole: glow is smooth."""
DOUBTFUL = 0.05
"""Pixels as improbable as this are counted in a block ..."""
MANY_DOUBTFUL = 8.0
"""... and if they are so many sigmas more than chance makes, the block glows."""
EXPONENT_SCATTER = 0.5
"""Scatter about 1 of the exponents by which glow grows with the exposure."""
LARGEST_EXPONENT = 2.0
"""Beyond the exposures measured nothing is taken to grow faster than t**2."""
SIGNIFICANT = 3.0
"""Counts of fewer sigmas have no exponent."""
BEND_ERROR = 2.0
"""The estimate may err by so many times its distance from the straight line."""
WELL_APART = 1.5
"""Ratio of two exposures that tell an exponent."""


class RateMap(NamedTuple):
    """Dark current of each pixel."""

    rate: NDArray[np.float32]
    """(ny, nx), ADU/s; NaN where a pixel has none and is kept out of scaling."""
    error: NDArray[np.float32]
    """(ny, nx), ADU/s; one sigma of `rate`, NaN where that is."""
    flags: NDArray[np.uint8]
    """(ny, nx), `NON_LINEAR`, `SATURATED`, `GLOWING`."""


def fit_rates(
    excess: NDArray[np.floating],
    exptime_s: NDArray[np.float64],
    variance: NDArray[np.floating],
    *,
    offset_variance: float = 0.0,
    saturated: NDArray[np.bool_] | None = None,
) -> RateMap:
    """Fit the dark current of each pixel by least squares over all exposures.

    The counts above the common offset are ``rate * exposure``.  An error that all
    exposures of a pixel share, that of the master bias, is allowed for as
    `offset_variance`: the errors of the samples have the covariance
    diag(variance) + offset_variance, which is inverted in closed form [1]_.

    Parameters
    ----------
    excess : (n, ny, nx) array, ADU
        Master darks, the common offset subtracted; samples that are not finite are
        not used.
    exptime_s : (n,) array, second
        Their exposures, positive.
    variance : array, ADU**2, broadcastable to `excess`
        Variance of each sample, positive.
    offset_variance : float, ADU**2
        Variance of what a pixel's samples have in common.
    saturated : (n, ny, nx) array of bool, optional
        Samples that are not used because the pixel was full.

    Returns
    -------
    RateMap
        No rate has a pixel that is less probable on a line through the offset than
        `LEAST_PROBABILITY`, by its chi-square, one in a block where many are doubtful,
        and one without a sample.  Blocks are counted from the first row: give bands
        of a multiple of `BLOCK` rows.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    References
    ----------
    .. [1] Sherman & Morrison (1950), Ann. Math. Stat. 21, 124.
    """
    if excess.ndim != 3 or exptime_s.shape != excess.shape[:1]:
        msg = f"darks of shape {excess.shape} need as many exposures, not {exptime_s}"
        raise ValueError(msg)
    variance = np.broadcast_to(variance, excess.shape)
    shape = excess.shape[1:]
    found = RateMap(
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.zeros(shape, np.uint8),
    )
    limits = _chi_square_limits(len(exptime_s), LEAST_PROBABILITY)
    doubts = _chi_square_limits(len(exptime_s), DOUBTFUL)
    doubtful = np.empty(shape, bool)
    t = exptime_s.astype(np.float64)[:, None, None]
    for tile in tiles((shape[0], shape[1]), TILE_PIXELS):
        part = (slice(None), *tile)
        counts = excess[part].astype(np.float64)
        usable = np.isfinite(counts)
        full = np.zeros(counts.shape, bool) if saturated is None else saturated[part]
        usable &= ~full
        weight = np.where(usable, 1 / variance[part].astype(np.float64), 0.0)
        rate, error, chi_square = _weighted_rates(
            np.where(usable, counts, 0.0), t, weight, offset_variance
        )
        n_used = usable.sum(axis=0)
        bent = chi_square > limits[n_used]
        doubtful[tile] = chi_square > doubts[n_used]
        none = bent | (n_used == 0)
        found.rate[tile] = np.where(none, np.nan, rate)
        found.error[tile] = np.where(none, np.nan, error)
        found.flags[tile] = none * NON_LINEAR + full.any(axis=0) * SATURATED
    glowing = _crowded(doubtful)
    found.flags[glowing] |= GLOWING
    found.rate[glowing] = found.error[glowing] = np.nan
    return found


def _crowded(doubtful: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the blocks with more doubtful pixels than chance makes."""
    ny, nx = doubtful.shape
    rows, columns = np.arange(0, ny, BLOCK), np.arange(0, nx, BLOCK)
    n = np.add.reduceat(np.add.reduceat(doubtful, rows, 0, int), columns, 1)
    sizes = np.outer(np.diff([*rows, ny]), np.diff([*columns, nx]))
    chance = DOUBTFUL * sizes
    crowded = n > chance + MANY_DOUBTFUL * np.sqrt(chance)
    return crowded.repeat(BLOCK, 0).repeat(BLOCK, 1)[:ny, :nx]


def _weighted_rates(
    counts: Floats, t: Floats, weight: Floats, offset_variance: float
) -> tuple[Floats, Floats, Floats]:
    """Give rate, error and chi-square of each pixel; 0, inf and 0 without a sample."""
    shared = offset_variance / (1 + offset_variance * weight.sum(axis=0))
    by_t, by_y = weight * t, weight * counts
    w_t, w_y = by_t.sum(axis=0), by_y.sum(axis=0)
    tt = np.einsum("i...,i...->...", by_t, t) - shared * w_t**2
    ty = np.einsum("i...,i...->...", by_t, counts) - shared * w_t * w_y
    yy = np.einsum("i...,i...->...", by_y, counts) - shared * w_y**2
    known = tt > 0
    tt = np.where(known, tt, 1.0)
    chi_square = np.where(known, yy - ty**2 / tt, 0.0)
    return ty / tt, np.where(known, tt**-0.5, np.inf), chi_square


def _chi_square_limits(n: int, probability: float) -> Floats:
    """Give the chi-square of a probability for 0 to n samples of a pixel."""
    from scipy.special import chdtri

    free = np.arange(1, n)
    return np.concatenate([[np.inf, np.inf], chdtri(free, probability)])[: n + 1]


def bias_share(
    exptime_s: NDArray[np.float64],
    variance: NDArray[np.float64],
    offset_variance: float = 0.0,
) -> float:
    """Tell how much of a common error of all samples goes into a rate.

    Parameters
    ----------
    exptime_s : (n,) array, second
        Exposures.
    variance : (n,) array, ADU**2
        Variance of the samples of an ordinary pixel.
    offset_variance : float, ADU**2
        As in `fit_rates`.

    Returns
    -------
    float
        1/s.  Samples that are all 1 ADU too high give a rate that is this number of
        ADU/s too high.
    """
    ones = np.ones((len(exptime_s), 1, 1))
    weight, t = ones / variance[:, None, None], ones * exptime_s[:, None, None]
    rate, _, _ = _weighted_rates(ones, t, weight, offset_variance)
    return float(rate.item())


class Grown(NamedTuple):
    """Counts of pixels at an exposure that was not measured."""

    counts: Floats
    """(m,), ADU above the common offset."""
    variance: Floats
    """(m,), ADU**2: noise of what was measured, and what the way between may err."""


def grow(excess: Floats, exptime_s: Floats, variance: Floats, wanted_s: float) -> Grown:
    """Estimate pixels that do not grow in proportion to the exposure.

    Between two exposures that were measured a pixel grows by the power of time that
    goes through both; counts that do not stand out of their noise by a straight line.
    Below the shortest exposure the mean rate, counts / exposure, goes on changing as
    it does between the two shortest: the counts end at 0 with no exposure.  Above
    the longest the power between the two longest goes on, drawn towards 1 as far as
    it is less certain than `EXPONENT_SCATTER`.  Before that each exposure is averaged,
    weighted by the errors, with what the two next longer ones predict for it: short
    darks are little but noise.

    Parameters
    ----------
    excess : (n, m) array, ADU
        Counts above the common offset, of m pixels at n exposures.
    exptime_s : (n,) array, second
        Exposures, positive and ascending; at least two of them differ.
    variance : (n, m) array, ADU**2
        Variance of the counts.
    wanted_s : float, second
        Exposure that is wanted, not negative.

    Returns
    -------
    Grown
        `BEND_ERROR` times the difference from a straight line, or from growth in
        proportion outside of what was measured, is added to the error.
    """
    excess, variance = _steadied(excess, exptime_s, variance)
    last = len(exptime_s) - 1
    above = int(np.searchsorted(exptime_s, wanted_s, side="right"))
    if above == 0:
        apart = int(np.searchsorted(exptime_s, WELL_APART * exptime_s[0]))
        pair = [0, min(apart, last)]
        return _below(excess[pair], exptime_s[pair], variance[pair], wanted_s)
    if above <= last:
        pair = [above - 1, above]
        found = _between(excess[pair], exptime_s[pair], variance[pair], wanted_s)
        longer = [above, last]
        if exptime_s[above] == exptime_s[last]:
            return found
        # What bends above may bend here too, where short darks are too noisy to tell.
        told = _below(excess[longer], exptime_s[longer], variance[longer], wanted_s)
        bend = told.counts - excess[above] * wanted_s / exptime_s[above]
        return Grown(found.counts, found.variance + (BEND_ERROR * bend) ** 2)
    apart = int(np.searchsorted(exptime_s, exptime_s[last] / WELL_APART, side="right"))
    pair = [last, max(apart - 1, 0)]
    return _beyond(excess[pair], exptime_s[pair], variance[pair], wanted_s)


def _steadied(excess: Floats, t: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Average each exposure with what the two next longer ones predict for it.

    Where they are farther apart than noise allows, it is the prediction that errs.
    """
    excess, variance = excess.copy(), variance.copy()
    for i in range(len(t) - 3, -1, -1):
        second = int(np.searchsorted(t, t[i + 1], side="right"))
        if second == len(t):
            continue
        pair = [i + 1, second]
        told = _below(excess[pair], t[pair], variance[pair], float(t[i]))
        apart = told.counts - excess[i]
        far = apart**2 > SIGNIFICANT**2 * (variance[i] + told.variance)
        wrong = np.where(far, apart**2, told.variance)
        trust = variance[i] / (variance[i] + wrong)
        excess[i] += trust * apart
        variance[i] *= 1 - trust
    return excess, variance


def _below(excess: Floats, t: Floats, variance: Floats, wanted: float) -> Grown:
    """Go down from the first of two exposures, the shortest."""
    part = (t[0] - wanted) / (t[1] - t[0])
    share, share2 = (1 + part) * wanted / t[0], -part * wanted / t[1]
    counts = share * excess[0] + share2 * excess[1]
    noise = share**2 * variance[0] + share2**2 * variance[1]
    bend = counts - excess[0] * wanted / t[0]
    return Grown(counts, noise + (BEND_ERROR * bend) ** 2)


def _between(excess: Floats, t: Floats, variance: Floats, wanted: float) -> Grown:
    """Go from the first of two exposures towards the second."""
    part = (wanted - t[0]) / (t[1] - t[0])
    straight = (1 - part) * excess[0] + part * excess[1]
    noise = (1 - part) ** 2 * variance[0] + part**2 * variance[1]
    stands_out = (excess > SIGNIFICANT * np.sqrt(variance)).all(axis=0)
    counts = straight.copy()
    e, e2 = excess[:, stands_out]
    relative, relative2 = variance[:, stands_out] / excess[:, stands_out] ** 2
    part = np.log(wanted / t[0]) / np.log(t[1] / t[0])
    counts[stands_out] = e * (e2 / e) ** part
    noise[stands_out] = (1 - part) ** 2 * relative + part**2 * relative2
    noise[stands_out] *= counts[stands_out] ** 2
    return Grown(counts, noise + (BEND_ERROR * (counts - straight)) ** 2)


def _beyond(excess: Floats, t: Floats, variance: Floats, wanted: float) -> Grown:
    """Go up from the first of two exposures, the longest."""
    longer = wanted / t[0]
    proportional, noise = longer * excess[0], longer**2 * variance[0]
    stands_out = (excess > SIGNIFICANT * np.sqrt(variance)).all(axis=0)
    counts = proportional.copy()
    e, e2 = excess[:, stands_out]
    relative = variance[:, stands_out] / excess[:, stands_out] ** 2
    lever = np.log(t[0] / t[1])
    power_variance = relative.sum(axis=0) / lever**2
    trust = EXPONENT_SCATTER**2 / (EXPONENT_SCATTER**2 + power_variance)
    power = 1 + trust * (np.log(e / e2) / lever - 1)
    counts[stands_out] = e * longer ** np.clip(power, 0, LARGEST_EXPONENT)
    noise[stands_out] = relative[0] + np.log(longer) ** 2 * trust * power_variance
    noise[stands_out] *= counts[stands_out] ** 2
    return Grown(counts, noise + (BEND_ERROR * (counts - proportional)) ** 2)
