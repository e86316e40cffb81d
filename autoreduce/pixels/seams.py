"""Gains of amplifiers against one another, from the levels on both sides of their seams.

Light does not know which amplifier reads it: the step in an evenly lit frame where one
amplifier ends and the next begins is the ratio of their gains.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA

Floats = NDArray[np.float64]

NEAR = 32
"""Pixels on each side that tell the level at a seam: the light has no bend there ..."""
BESIDE = 2
"""... without those next to it, which may be smaller or larger than others."""
PIECE = 16
"""Pixels along a seam that make a piece of it, at the least."""
FEWEST_PIECES = 4
"""Pieces from which a step and its error are taken."""
ODD = 6.0
"""Scatters from which a column, or a piece, is unlike the others."""
LEVEL_ERROR = 1.0
"""Error of the zero level of an amplifier, ADU."""
LEAST_ERROR = 2e-4
"""Error of a step: sensors are not more even than that."""


class Step(NamedTuple):
    """A step between two amplifiers."""

    first: int
    """The one on the lower side, by its place in the list."""
    second: int
    """The other one."""
    log_ratio: float
    """Logarithm of counts of the first over counts of the second."""
    error: float
    """1-sigma error of that."""


def levels_at_edge(side: NDArray[Any], distance: NDArray[Any]) -> Floats:
    """Give the level that one side of a seam has at the seam itself.

    Parameters
    ----------
    side : (n, k) array, ADU
        Pixels: n along the seam, k from it on.
    distance : (k,) array, pixel
        Distance of each column of them from the seam.

    Returns
    -------
    (n // PIECE,) array, ADU
        Of each piece, by a straight line through the medians of its columns, without
        odd ones; NaN where a column of a piece has a NaN.
    """
    n = len(side) // PIECE
    pieces = np.asarray(side[: n * PIECE], np.float64).reshape(n, PIECE, -1)
    profiles = np.median(pieces, axis=1)
    known = np.isfinite(profiles).all(axis=1)
    levels = np.full(n, np.nan)
    if known.any():
        kept = _even_columns(profiles[known].mean(axis=0), distance)
        line = np.vander(distance[kept], 2)
        levels[known] = (np.linalg.pinv(line) @ profiles[known][:, kept].T)[1]
    return levels


def _even_columns(profile: Floats, distance: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the columns that lie on the line through most of them."""
    slopes = np.diff(profile) / np.diff(distance)
    return _near(profile - np.median(slopes) * distance)


def _near(values: Floats) -> NDArray[np.bool_]:
    """Mark what is not far from the median of all."""
    off = np.abs(values - np.median(values))
    scatter = MAD_TO_SIGMA * float(np.median(off))
    return np.asarray(off <= ODD * max(scatter, 1e-9))


def step_between(
    first: int, second: int, levels: NDArray[Any], zeros: NDArray[Any] | None = None
) -> Step | None:
    """Measure the step between two amplifiers.

    Parameters
    ----------
    first, second : int
        The amplifiers.
    levels : (m, n, 2) array, ADU
        Levels at the seam of n pieces in each of m frames: on the first's side, and on the
        second's.
    zeros : (n, 2) array, ADU, optional
        The same of frames without light.

    Returns
    -------
    Step or None
        None if too few pieces are lit on both sides.
    """
    lit = np.asarray(levels, np.float64) - (0.0 if zeros is None else zeros)
    # All pixels of a piece are equally bright in all frames: sums weigh them by photons.
    both = np.nansum(np.where(np.isfinite(lit).all(axis=2, keepdims=True), lit, 0.0), 0)
    both = both[(both > 0).all(axis=1)]
    if len(both) < FEWEST_PIECES:
        return None
    logs = np.log(both[:, 0] / both[:, 1])
    logs = logs[_near(logs)]
    zero = LEVEL_ERROR * len(lit) / np.median(both)
    parts = (np.std(logs, ddof=1) / np.sqrt(len(logs)), zero, LEAST_ERROR)
    return Step(first, second, float(logs.mean()), float(np.linalg.norm(parts)))


class Ratios(NamedTuple):
    """Gains of the amplifiers of a detector, relative to one another."""

    logs: Floats
    """(n,), logarithms, mean 0."""
    errors: Floats
    """(n,), their 1-sigma errors."""


def gain_ratios(n: int, steps: Sequence[Step]) -> Ratios | None:
    """Find the relative gains that steps tell together, by least squares.

    Parameters
    ----------
    n : int
        Number of amplifiers.
    steps : sequence of Step
        Between them.

    Returns
    -------
    Ratios or None
        None if steps do not lead from each amplifier to all others.
    """
    weights = np.array([1 / one.error for one in steps])
    design = np.zeros((len(steps) + 1, n))
    for row, one in enumerate(steps):
        # Where gain is high, counts are few.
        design[row, [one.second, one.first]] = weights[row], -weights[row]
    design[-1] = 1.0
    if np.linalg.matrix_rank(design) < n:
        return None
    told = np.append(weights * [one.log_ratio for one in steps], 0.0)
    logs, *_ = np.linalg.lstsq(design, told, rcond=None)
    covariance = np.linalg.inv(design.T @ design) - 1 / n**2
    spare = len(steps) + 1 - n
    rest = float(np.sum((design @ logs - told) ** 2))
    worse = max(1.0, rest / spare) if spare else 1.0
    return Ratios(logs, np.sqrt(worse * np.diag(covariance).clip(0)))
