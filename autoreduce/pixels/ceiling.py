"""The level at which the pixels of a frame are full, found from the pixels themselves.

Cards of a saturation level are often absent or wrong: a camera of 12 bits stores its
counts in 16, full wells end below the converter's range, and an anti-blooming gate
holds them at a level that is none of a number's ends.  Where pixels are full their
values pile up: at one value, or in a hump that the profiles of stars do not have.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 5
"""Pixels of one value that may be a pile."""
PILE = 5
"""A pile holds so many times the pixels that any value just below it has."""
NEIGHBOURS = 20
"""Values below the highest that tell what is usual."""
TOP, NEXT = 0.95, 0.8
"""Parts of the highest value between which a hump, and what lies below it, is counted."""
HUMP, HUMP_FEWEST = 3, 20
"""A hump holds so many times the pixels that lie below it, and so many pixels: stars
have a third of them, as their light falls off in proportion to itself."""
STARS = 3
"""Separate places that a hump has at the least: a planet's disc is one."""
BRIGHT = 50.0
"""Times the noise above the median at which only stars are."""


def pile_up(
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    data: NDArray[Any],
    *,
    median: float,
    noise: float,
) -> float | None:
    """Find the level at which the pixels of a frame pile up.

    Parameters
    ----------
    values, counts : (n,) arrays
        Values of the finite pixels in rising order, ADU, and how many pixels have
        each.
    data : (ny, nx) array
        The frame.
    median, noise : float
        Its median and its noise, ADU.

    Returns
    -------
    float or None
        Level from which pixels are full, ADU; None where nothing piles up.
    """
    if len(values) <= NEIGHBOURS:
        return None
    top = float(values[-1])
    usual = int(counts[-1 - NEIGHBOURS : -1].max())
    if counts[-1] >= FEWEST and counts[-1] > PILE * usual:
        return top
    if not top * NEXT > median + BRIGHT * noise:
        return None
    high = int(counts[values >= TOP * top].sum())
    below = int(counts[(values >= NEXT * top) & (values < TOP * top)].sum())
    if high < HUMP_FEWEST or high <= HUMP * below:
        return None
    from scipy import ndimage

    _, places = ndimage.label(data >= TOP * top, np.ones((3, 3)))
    return TOP * top if places >= STARS else None
