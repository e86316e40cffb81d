"""What a pixel of a MASK plane says: one meaning for each bit, in every product."""

from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Flag(IntFlag):
    """Bits of a MASK plane; 0 is a pixel that nothing is wrong with."""

    NO_VALUE = 1
    """Nothing was measured here, or the sensor does not respond: the pixel is NaN."""
    SATURATED = 2
    """The pixel was full."""
    HOT = 4
    """Dark current far above that of its neighbours."""
    NON_LINEAR = 8
    """Dark counts that do not grow with the exposure."""
    GLOWING = 16
    """In a block that the electronics lights up."""
    FEW_SAMPLES = 32
    """Too few samples were free of stars."""
    REPAIRED = 64
    """The value is that of the neighbours."""
    COSMIC_RAY = 128
    """Hit by a cosmic ray."""


MEANINGS = {
    Flag.NO_VALUE: "nothing measured, or no response",
    Flag.SATURATED: "saturated",
    Flag.HOT: "hot",
    Flag.NON_LINEAR: "dark counts off the line",
    Flag.GLOWING: "block that glows",
    Flag.FEW_SAMPLES: "too few samples free of stars",
    Flag.REPAIRED: "repaired from its neighbours",
    Flag.COSMIC_RAY: "cosmic ray",
}
"""Each bit in a few words, for headers and documents."""


def no_value(data: NDArray[Any]) -> NDArray[np.uint8]:
    """Flag the pixels that are NaN."""
    return np.where(np.isnan(data), np.uint8(Flag.NO_VALUE), np.uint8(0))


def marked_pixels(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give rows and columns of the pixels that are marked, as `numpy.nonzero` does.

    Many times as fast where few are.

    Parameters
    ----------
    mask : (ny, nx) array of bool
        True where a pixel is marked.
    """
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns
