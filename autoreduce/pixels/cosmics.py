"""Cosmic rays in a single light: found by their edges, star cores left alone.

`astroscrappy` finds them by the Laplacian of the image [1]_.  The cores of narrow stars
look alike to it: what it marks near a star stays marked only where it is sharper than
any star of the image can be.

References
----------
.. [1] van Dokkum (2001), PASP 113, 1420.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.stars import Stars

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIGMAS, NEIGHBOURS, ROUNDS = 6.0, 0.5, 2
"""Noises that an edge stands out, the part of them for its neighbours, and rounds: with
4.5, 0.3 and 4 as many rays are found, and dozens of pixels of noise and stars."""
REACH = 1.5
"""Widths about a star within which what is marked has to be sharp."""
SHARP = 0.75
"""Part of what the neighbours of a star's brightest pixel have at the least, below which
a pixel is sharper than a star ..."""
CLEARLY = 5.0
"""... if they lack so many sigmas of it."""
EDGE = 3
"""Pixels that are put around an image: nothing is looked for in the outermost two."""
LARGEST_GAIN = 1.0
"""Electrons per ADU at the most that a sky tells."""


class Hits(NamedTuple):
    """Pixels that cosmic rays hit."""

    y: NDArray[np.intp]
    """Rows, ascending."""
    x: NDArray[np.intp]
    """Columns."""
    value: Image
    """(n,), what the neighbours have, ADU."""

    def within(self, start: int, stop: int) -> "Hits":
        """Give those of some rows, counted from the first of them."""
        chosen = slice(*np.searchsorted(self.y, [start, stop]))
        return Hits(self.y[chosen] - start, self.x[chosen], self.value[chosen])


def find_cosmics(
    data: Image, stars: Stars, *, gain: float | None, saturate: float | None
) -> Hits:
    """Find the pixels of a light that cosmic rays hit.

    Parameters
    ----------
    data : (ny, nx) float32 array, ADU
        A calibrated light, its sky in it; NaN is no data.
    stars : Stars
        Its stars, and its sky and noise.
    gain : float, optional
        Electrons per ADU; that of the noise of its sky if it is not known.
    saturate : float, optional
        Level of saturated pixels, ADU.

    Returns
    -------
    Hits
        None where sky and noise are not known.
    """
    from astroscrappy import detect_cosmics

    seen = stars.statistics
    nothing = np.empty(0, np.intp)
    if not (math.isfinite(seen.sky_adu) and seen.sky_noise_adu > 0):
        return Hits(nothing, nothing, np.empty(0, np.float32))
    sky = max(seen.sky_adu, 0.0)
    gain = gain or min(sky / seen.sky_noise_adu**2, LARGEST_GAIN) or LARGEST_GAIN
    read_noise = math.sqrt(max((gain * seen.sky_noise_adu) ** 2 - gain * sky, 0.0))
    missing = ~np.isfinite(data)
    whole = np.where(missing, np.float32(seen.sky_adu), data)
    marked, clean = detect_cosmics(
        np.pad(whole, EDGE, mode="reflect"),
        np.pad(missing, EDGE, mode="reflect"),
        gain=gain,
        readnoise=max(read_noise, gain / math.sqrt(12)),
        satlevel=math.inf if saturate is None else saturate * gain,
        sigclip=SIGMAS,
        sigfrac=NEIGHBOURS,
        niter=ROUNDS,
    )
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    marked, clean = marked[inner] & ~missing, clean[inner]
    y, x = marked_pixels(_without_stars(marked, whole, stars, gain, read_noise / gain))
    return Hits(y, x, clean[y, x].astype(np.float32))


def _without_stars(
    marked: Mask, data: Image, stars: Stars, gain: float, read_noise: float
) -> Mask:
    """Unmark what lies on stars, unless it is sharper than they are."""
    from scipy import ndimage

    width = stars.statistics.fwhm_pixel
    if not width > 0:
        return marked
    groups, number = ndimage.label(marked, np.ones((3, 3)))
    on_star = np.zeros(number + 1, np.bool_)
    for star in stars.table:
        on_star[groups[_about(star, REACH * width, data.shape)]] = True
    y, x = marked_pixels(marked & on_star[groups])
    sharp = _is_sharp(data, y, x, stars, (gain, read_noise))
    keep = ~on_star
    keep[groups[y[sharp], x[sharp]]] = True
    keep[0] = False
    return np.asarray(keep[groups])


def _about(
    star: Any,  # noqa: ANN401 -- a row of a table of stars
    radius: float,
    shape: tuple[int, ...],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the pixels of a disc."""
    reach = math.ceil(radius)
    y0, x0 = round(float(star["y"])), round(float(star["x"]))
    y, x = np.mgrid[
        max(y0 - reach, 0) : min(y0 + reach + 1, shape[0]),
        max(x0 - reach, 0) : min(x0 + reach + 1, shape[1]),
    ]
    inside = np.hypot(y - star["y"], x - star["x"]) <= radius
    return y[inside], x[inside]


def _is_sharp(
    data: Image,
    y: NDArray[np.intp],
    x: NDArray[np.intp],
    stars: Stars,
    camera: tuple[float, float],
) -> Mask:
    """Tell which pixels have neighbours too faint for a star's.

    Along a track of a cosmic ray they are bright: those beside it count.
    """
    gain, read_noise = camera
    (ny, nx), sky = data.shape, stars.statistics.sky_adu
    above, below = data[np.maximum(y - 1, 0), x], data[np.minimum(y + 1, ny - 1), x]
    left, right = data[y, np.maximum(x - 1, 0)], data[y, np.minimum(x + 1, nx - 1)]
    own = data[y, x].astype(np.float64)
    side = np.minimum(above + below, left + right) / 2 - sky
    least = np.exp(-4 * np.log(2) / stars.statistics.fwhm_pixel**2) * (own - sky)
    noise = np.sqrt(np.maximum(own, 0) / gain + read_noise**2)
    return np.asarray((side < SHARP * least) & (least - side > CLEARLY * noise))
