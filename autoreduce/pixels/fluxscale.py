"""How much brighter one light is than another, from the stars that they share."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.stars import EDGE, MASKED, SATURATED

FEWEST = 5
"""Stars in common below which a scale is a guess."""
LEAST_SNR = 5.0
REJECTED = 3.0
ROUNDS = 10


class FluxScale(NamedTuple):
    """A factor between the fluxes of two lights."""

    factor: float
    """What the light is multiplied by to have the fluxes of the reference."""
    error: float
    """1-sigma error of the factor."""
    n: int
    """Stars that it is from."""


def flux_scale(
    stars: NDArray[Any], reference: NDArray[Any], pairs: NDArray[np.intp]
) -> FluxScale | None:
    """Compare the fluxes of stars in two lights.

    Parameters
    ----------
    stars, reference : (n,) arrays of `STAR`
        Stars of the light and of the reference.
    pairs : (n, 2) array of int
        Rows of both that are the same star, as in `Registration`.

    Returns
    -------
    FluxScale or None
        Weighted mean of the logarithms of the ratios; stars that are saturated or cut,
        and those off by more than `REJECTED` times their scatter, are left out.  None
        if fewer than `FEWEST` are left.
    """
    mine, theirs = stars[pairs[:, 0]], reference[pairs[:, 1]]
    flags = mine["flags"] | theirs["flags"]
    good = (flags & (SATURATED | EDGE | MASKED)) == 0
    good &= np.minimum(mine["snr"], theirs["snr"]) > LEAST_SNR
    good &= np.minimum(mine["flux"], theirs["flux"]) > 0
    if good.sum() < FEWEST:
        return None
    mine, theirs = mine[good], theirs[good]
    ratios = np.log(theirs["flux"] / mine["flux"])
    variance = (mine["flux_error"] / mine["flux"]) ** 2
    variance += (theirs["flux_error"] / theirs["flux"]) ** 2
    return _weighted(ratios, variance)


def _weighted(
    ratios: NDArray[np.float64], variance: NDArray[np.float64]
) -> FluxScale | None:
    """Average logarithms; what bright stars scatter beyond their errors counts too."""
    kept = np.ones(len(ratios), np.bool_)
    centre, floor = float(np.median(ratios)), 0.0
    for _ in range(ROUNDS):
        own = MAD_TO_SIGMA * float(np.median(np.abs(ratios[kept] - centre)))
        floor = max(own**2 - float(np.median(variance[kept])), 0.0)
        total = variance + floor
        near = np.abs(ratios - centre) <= REJECTED * np.sqrt(np.maximum(total, 1e-8))
        if near.sum() < FEWEST:
            return None
        weights = 1 / total[near] if np.all(total[near] > 0) else np.ones(near.sum())
        centre = float(np.average(ratios[near], weights=weights))
        if np.array_equal(near, kept):
            break
        kept = near
    factor = float(np.exp(centre))
    return FluxScale(factor, factor / float(np.sqrt(weights.sum())), int(near.sum()))
