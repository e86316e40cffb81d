"""Spectra among images: light that is drawn out along a row or a column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.order import median, quantiles

FINEST = 256
"""Rows or columns to which an image is binned, at the most twice as many."""
ABOVE = 5.0
"""Sigma above the sky that belong to an object."""
CORE, BRIGHT = 0.2, 0.995
"""Part of the light of the brightest pixels, and which of all these are."""
LONG, THIN = 0.5, 0.05
"""Length of a spectrum, at least, and its mean width, at most, of the image's side."""
RIM = 0.08
"""Part of the image's side at its edges in which light drawn out is the sensor's own
glow: nobody lays a spectrum there alone."""
STEEPEST = 0.1
"""Rise of a spectrum, at most, over its length: satellites cross at any angle."""


def is_drawn_out(data: NDArray[Any]) -> bool:
    """Tell whether an image shows the trace of a spectrum, or the lines of a lamp.

    Parameters
    ----------
    data : (ny, nx) array
        Calibrated light; NaN pixels are left out.

    Returns
    -------
    bool
        Whether one object is as long as half of the image, thin, and level.
    """
    image = _binned(data)
    # A trace fills its rows, lines of a lamp their columns: the sky is that of all.
    sky = median(image)
    sigma = MAD_TO_SIGMA * median(np.abs(image - sky))
    if not sigma > 0:
        return False
    # The wings of a bright trace are wide: what counts is its core, too.
    core = CORE * (quantiles(image, [BRIGHT])[0] - sky)
    found = (_has_drawn_out(image > sky + least) for least in (ABOVE * sigma, core))
    return any(found)


def _has_drawn_out(bright: NDArray[np.bool_]) -> bool:
    from scipy.ndimage import find_objects, label

    objects, _ = label(bright, np.ones((3, 3)))
    sizes = np.bincount(objects.ravel())
    for number, box in enumerate(find_objects(objects), 1):
        extents = [side.stop - side.start for side in box]
        along = int(np.argmax(np.array(extents) / bright.shape))
        across = bright.shape[1 - along]
        long = extents[along] >= LONG * bright.shape[along]
        thin = sizes[number] / extents[along] <= THIN * across
        level = extents[1 - along] <= max(STEEPEST * extents[along], THIN * across)
        place = box[1 - along]
        inside = place.start >= RIM * across and place.stop <= (1 - RIM) * across
        if long and thin and level and inside:
            return True
    return False


def _binned(data: NDArray[Any]) -> NDArray[np.float64]:
    """Average blocks of pixels, so that faint traces stand out; fill what is NaN."""
    by, bx = (max(n // FINEST, 1) for n in data.shape)
    ny, nx = data.shape[0] // by, data.shape[1] // bx
    values = np.asarray(data[: ny * by, : nx * bx], np.float64)
    known = np.isfinite(values)
    if not known.any():
        return np.zeros((ny, nx))
    values = np.where(known, values, median(values[known]))
    return np.asarray(values.reshape(ny, by, nx, bx).mean(axis=(1, 3)))
