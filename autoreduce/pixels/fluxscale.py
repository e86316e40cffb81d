"""How much brighter one light is than another, from the stars that they share."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.stars import EDGE, MASKED, SATURATED

FEWEST = 5
"""Stars in common below which a scale is a guess."""
FOREIGN, ENOUGH = 0.01, 10
"""Light of neighbours, of its own, in a star's aperture, from which a star is not asked
if there are so many others."""
NEIGHBOURS = 12
"""Neighbours whose light is counted."""
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
        those in their neighbours' light (if `ENOUGH` are not), and those off by more than
        `REJECTED` times their scatter, are left out.  None if fewer than `FEWEST` are
        left.
    """
    mine, theirs = stars[pairs[:, 0]], reference[pairs[:, 1]]
    flags = mine["flags"] | theirs["flags"]
    good = (flags & (SATURATED | EDGE | MASKED)) == 0
    good &= np.minimum(mine["snr"], theirs["snr"]) > LEAST_SNR
    good &= np.minimum(mine["flux"], theirs["flux"]) > 0
    if good.sum() < FEWEST:
        return None
    # Wider stars hold more of their neighbours' light.
    foreign = np.where(good, _foreign_light(stars, reference, pairs), np.inf)
    most = max(float(np.sort(foreign)[min(ENOUGH, good.sum()) - 1]), FOREIGN)
    good &= foreign <= most
    mine, theirs = mine[good], theirs[good]
    ratios = np.log(theirs["flux"] / mine["flux"])
    variance = (mine["flux_error"] / mine["flux"]) ** 2
    variance += (theirs["flux_error"] / theirs["flux"]) ** 2
    return _weighted(ratios, variance)


def _foreign_light(
    stars: NDArray[Any], reference: NDArray[Any], pairs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Give the light of neighbours in the apertures of pairs, of the star's own.

    Neighbours are those that the sharper light shows, as wide as the other has them:
    Moffat profiles of exponent 3, whose part within two widths at a distance of u
    widths is about 8 / (1 + u^2)^3.
    """
    from scipy.spatial import cKDTree

    tables = (stars, reference)
    widths = [float(np.median(table["fwhm"])) for table in tables]
    sharper = widths.index(min(widths))
    table = tables[sharper]
    places = np.column_stack([table["x"], table["y"]])
    k = min(NEIGHBOURS + 1, len(table))
    distance, near = cKDTree(places).query(places, k=k)
    part = np.minimum(8 / (1 + (distance / max(*widths, 1e-6)) ** 2) ** 3, 1)
    part[near == np.arange(len(table))[:, None]] = 0
    light = (np.maximum(table["flux"][near], 0) * part).sum(axis=1)
    foreign = light / np.maximum(table["flux"], np.finfo(np.float64).tiny)
    return np.asarray(foreign[pairs[:, sharper]])


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
