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
    table = table[:LOOKED_AMONG]
    n = min(HEADS, len(table) // 2)
    if n < FEWEST_HEADS:
        return None
    places = np.column_stack([table["x"], table["y"]])
    apart = np.hypot(*np.moveaxis(places[:n, None] - places, -1, 0))
    near = apart < FAR * float(np.median(table["fwhm"]))
    np.fill_diagonal(near, val=False)
    heads, others = np.nonzero(near)
    # From the brighter to the fainter, whichever of the two is asked.
    bright, faint = np.minimum(heads, others), np.maximum(heads, others)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = table["flux"][faint] / table["flux"][bright]
    kept = ratio > LEAST
    vectors, heads, ratio = (
        (places[faint] - places[bright])[kept],
        heads[kept],
        ratio[kept],
    )
    best = _most_alike(vectors, heads)
    logs = np.log(ratio[best])
    if len(np.unique(heads[best])) < MOSTLY * n or np.std(logs) > ALIKE:
        return None
    return Twice(
        math.hypot(*vectors[best].mean(axis=0)), float(np.exp(np.median(logs)))
    )


def _most_alike(
    vectors: NDArray[np.float64], heads: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Give the vectors near one of them that are of the most stars."""
    order = np.argsort(vectors[:, 0])
    x, y = vectors[order].T
    best: NDArray[np.intp] = order[:0]
    n_best = 0
    for i, ends in enumerate(
        zip(np.searchsorted(x, x - APART), np.searchsorted(x, x + APART), strict=True)
    ):
        if ends[1] - ends[0] <= n_best:
            continue
        window = slice(*ends)
        some = order[window][np.hypot(x[window] - x[i], y[window] - y[i]) < APART]
        if (n := len(np.unique(heads[some]))) > n_best:
            best, n_best = some, n
    return best
