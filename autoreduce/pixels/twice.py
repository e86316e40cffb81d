"""Whether each star of a light stands there twice: the telescope jumped meanwhile."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADS, FEWEST_HEADS = 20, 8
"""Bright stars that are asked for their second image, and how few of them tell."""
LOOKED_AMONG = 200
"""Brightest stars among which it is looked for."""
FAR = 15.0
"""How far a second image may be, of the width of the stars."""
APART = 0.7
"""Pixels by which two images of a star may lie otherwise than those of another."""
LEAST = 0.1
"""Light of a second image, of the first, at the least: ghosts of filters have less."""
MOSTLY = 0.6
"""Part of the bright stars that must have it."""
ALIKE = 0.25
"""Scatter of the ratios of the two images, relative."""


class Twice(NamedTuple):
    """Two images of each star."""

    distance: float
    """Pixels from the brighter to the fainter."""
    share: float
    """Light of the fainter, of the brighter."""


def seen_twice(table: NDArray[Any]) -> Twice | None:
    """Tell whether the stars of a light stand there twice, all alike.

    Parameters
    ----------
    table : (n,) array of `STAR`
        Stars of the light, the brightest first.

    Returns
    -------
    Twice or None
        None if they do not, or are too few to tell.
    """
    from scipy.spatial import cKDTree

    table = table[:LOOKED_AMONG]
    n = min(HEADS, len(table) // 2)
    if n < FEWEST_HEADS:
        return None
    places = np.column_stack([table["x"], table["y"]])
    reach = FAR * float(np.median(table["fwhm"]))
    near = cKDTree(places).query_ball_point(places[:n], reach)
    pairs = [(i, j) for i, others in enumerate(near) for j in others if j != i]
    if not pairs:
        return None
    # From the brighter to the fainter, whichever of the two is asked.
    bright, faint = np.sort(np.array(pairs), axis=1).T
    heads = np.array(pairs)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = table["flux"][faint] / table["flux"][bright]
    kept = ratio > LEAST
    vectors, heads, ratio = (
        (places[faint] - places[bright])[kept],
        heads[kept],
        ratio[kept],
    )
    if not len(vectors):
        return None
    alike = cKDTree(vectors).query_ball_point(vectors, APART)
    best = max(alike, key=lambda some: len(np.unique(heads[some])))
    logs = np.log(ratio[best])
    if len(np.unique(heads[best])) < MOSTLY * n or np.std(logs) > ALIKE:
        return None
    return Twice(
        math.hypot(*vectors[best].mean(axis=0)), float(np.exp(np.median(logs)))
    )
