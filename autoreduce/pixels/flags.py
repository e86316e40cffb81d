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
    """Dark counts that do not grow with the exposure, or counts beyond the limit up to
    which they tell the light."""
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
    Flag.NON_LINEAR: "counts not linear",
    Flag.GLOWING: "block that glows",
    Flag.FEW_SAMPLES: "too few samples free of stars",
    Flag.REPAIRED: "repaired from its neighbours",
    Flag.COSMIC_RAY: "cosmic ray",
}
"""Each bit in a few words, for headers and documents."""


OF_SENSOR = Flag.NO_VALUE | Flag.HOT | Flag.NON_LINEAR | Flag.GLOWING
"""What a master tells of the sensor itself, whatever was exposed."""


def taken_over(flags: NDArray[Any]) -> NDArray[np.uint8]:
    """Give what the flags of a master say of a light that it was used for.

    A pixel that was full in a dark was filled by its own dark counts: it is hot.
    """
    saturated, hot = np.uint8(Flag.SATURATED), np.uint8(Flag.HOT)
    taken = np.array(flags, np.uint8)
    full = (taken & saturated) != 0
    taken[full] = taken[full] & ~saturated | hot
    return taken


def no_value(data: NDArray[Any]) -> NDArray[np.uint8]:
    """Flag the pixels that are NaN, or infinite."""
    return np.where(np.isfinite(data), np.uint8(0), np.uint8(Flag.NO_VALUE))


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
