"""Shift between two images without stars: nebulae, comets, planets.

The phases of all spatial frequencies are compared, each counted by how much of its
power is more than noise, so that fine structure and broad are both used for what they
are worth.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.order import median
from autoreduce.pixels.register import Transform

Floats = NDArray[np.float64]

LARGEST = 1024
"""Rows or columns above which images are binned."""
FARTHEST = 0.4
"""Shift, of the size of an image, beyond which too little is common to both."""
LONE = 8.0
"""A pixel that is so many sigma off its neighbours' median is none of the image's."""
NOISE_BAND = (0.40, 0.5)
"""Spatial frequencies, in cycles a pixel, at which there is nothing but noise."""
RINGS = 64
ABOVE_NOISE = 1.5
"""Power of a ring, of the noise, below which it holds no signal."""
CLEAR_SIGMAS = 8.0
"""Height of the peak, in sigma of the correlation elsewhere, that is clear."""
CLEAR_RATIO = 1.5
"""The same, of the highest peak elsewhere."""
LARGEST_ERROR = 1.0
"""Error of a shift, in pixels, that is still of use: a broad peak tells little."""
ROUNDS = 3
"""Times that images are cut to what both show, and compared again."""
LOBE = 3.0
"""Radius, in widths of the peak, that belongs to it."""


class Shift(NamedTuple):
    """A shift that is clear."""

    transform: Transform
    """From the image to the reference: a shift alone."""
    error: float
    """About the 1-sigma error of the shift, in pixels."""
    sigmas: float
    """Height of the correlation's peak, in sigma of the correlation elsewhere."""
    ratio: float = np.inf
    """The same, of the highest peak elsewhere."""


def correlate(image: NDArray[Any], reference: NDArray[Any]) -> Shift | None:
    """Find the shift between two images by phase correlation.

    Parameters
    ----------
    image, reference : (ny, nx) arrays
        Calibrated lights of one shape, of one orientation and scale; NaN pixels are
        left out.

    Returns
    -------
    Shift or None
        None if no peak is clear: several times higher than noise, higher than any other,
        and narrow.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    .. [1] Kuglin & Hines (1975), Proc. IEEE Conf. Cybernetics and Society, 163.
    """
    if image.shape != reference.shape:
        msg = f"images of shapes {image.shape} and {reference.shape} have no one shift"
        raise ValueError(msg)
    image, reference = without_lone(image), without_lone(reference)
    found = _correlated(image, reference)
    dx = dy = 0
    for _ in range(ROUNDS):
        if found is None:
            break
        whole = round(found.transform.dx), round(found.transform.dy)
        if whole == (dx, dy):
            break
        dx, dy = whole
        # What fades at the edges must be the same part of the sky in both.
        again = _correlated(*_common(image, reference, dx, dy))
        if again is None:
            break
        rest = again.transform
        found = again._replace(transform=Transform(dx + rest.dx, dy + rest.dy))
    return found


def _common(
    image: NDArray[Any], reference: NDArray[Any], dx: int, dy: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut two images to what both show if one is shifted."""
    ny, nx = image.shape
    here = image[max(-dy, 0) : ny - max(dy, 0), max(-dx, 0) : nx - max(dx, 0)]
    there = reference[max(dy, 0) : ny + min(dy, 0), max(dx, 0) : nx + min(dx, 0)]
    return here, there


def _correlated(image: NDArray[Any], reference: NDArray[Any]) -> Shift | None:
    from scipy import fft

    factor = reduction_of(image)
    flat, other = (flattened(data, factor) for data in (image, reference))
    if flat is None or other is None:
        return None
    spectra, shape = [fft.rfft2(flat), fft.rfft2(other)], flat.shape
    weight = signal_of(spectra[0], shape) * signal_of(spectra[1], shape)
    if not weight.any():
        return None
    cross = spectra[1] * np.conj(spectra[0])
    cross *= weight / np.maximum(np.abs(cross), np.finfo(np.float64).tiny)
    surface = fft.irfft2(cross, s=shape)
    return _clear_peak(surface, lobe_of(weight, shape), factor)


def reduction_of(image: NDArray[Any]) -> int:
    """Give the factor by which an image is binned to be compared."""
    return int(max(-(-max(image.shape) // LARGEST), 1))


def without_lone(data: NDArray[Any]) -> NDArray[np.float32]:
    """Give pixels that are missing or alone what their neighbours have."""
    from scipy.ndimage import median_filter

    values = np.array(data, np.float32)
    known = np.isfinite(values)
    if not known.any():
        return values
    values[~known] = median(values[known])
    # All are not smoothed: the noise is to stay white, as it is measured further on.
    smooth = median_filter(values, 3)
    off = np.abs(values - smooth)
    lone = off > LONE * MAD_TO_SIGMA * median(off)
    values[lone] = smooth[lone]
    return values


def flattened(
    data: NDArray[np.float32], factor: int, fading: float = 0.5
) -> Floats | None:
    """Bin an image, take off its sky, and fade it over a part of it at each edge."""
    ny, nx = (n // factor for n in data.shape)
    values = data[: ny * factor, : nx * factor]
    if not np.isfinite(values).all() or min(ny, nx) < RINGS:
        return None
    values = values.reshape(ny, factor, nx, factor).mean(axis=(1, 3), dtype=float)
    # On a grid the parts of a plane do not depend on one another.
    x, y = np.linspace(-1, 1, nx), np.linspace(-1, 1, ny)
    along_x = values.mean(axis=0) @ x / (x @ x)
    along_y = values.mean(axis=1) @ y / (y @ y)
    values = values - values.mean() - along_x * x - along_y * y[:, None]
    return np.asarray(values * _faded(ny, fading)[:, None] * _faded(nx, fading))


def _faded(n: int, part: float) -> Floats:
    inwards = np.minimum(np.arange(n), np.arange(n)[::-1]) / (part * (n - 1))
    return np.asarray(np.sin(np.pi / 2 * np.minimum(inwards, 1)) ** 2)


def _frequencies(shape: tuple[int, ...]) -> Floats:
    fy, fx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return np.asarray(np.hypot(fy[:, None], fx))


def signal_of(spectrum: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Give the part of each frequency's power that is no noise, ring by ring."""
    frequency = _frequencies(shape)
    ring = np.minimum((frequency * 2 * RINGS).astype(np.intp), RINGS)
    power = np.abs(spectrum) ** 2
    total = np.bincount(ring.ravel(), power.ravel(), RINGS + 1)
    mean = total / np.maximum(np.bincount(ring.ravel(), minlength=RINGS + 1), 1)
    outer = (frequency > NOISE_BAND[0]) & (frequency < NOISE_BAND[1])
    noise = max(float(power[outer].mean()), np.finfo(np.float64).tiny)
    part = np.where(mean > ABOVE_NOISE * noise, 1 - noise / np.maximum(mean, noise), 0)
    part[RINGS] = 0
    weight = np.asarray(part[ring], np.float64)
    weight[0, 0] = 0
    return weight


def lobe_of(weight: Floats, shape: tuple[int, ...]) -> float:
    """Give the radius of the peak that such weights make, in pixels."""
    spread = np.average(_frequencies(shape) ** 2, weights=weight)
    return float(max(LOBE / (2 * np.pi * np.sqrt(spread)), 2.0))


def _clear_peak(surface: Floats, lobe: float, factor: int) -> Shift | None:
    ny, nx = surface.shape
    y, x = np.fft.fftfreq(ny, 1 / ny)[:, None], np.fft.fftfreq(nx, 1 / nx)
    allowed = (np.abs(y) < FARTHEST * ny) & (np.abs(x) < FARTHEST * nx)
    row, column = np.unravel_index(
        int(np.argmax(np.where(allowed, surface, -np.inf))), surface.shape
    )
    peak = float(surface[row, column])
    apart_y = np.abs((np.arange(ny) - row + ny // 2) % ny - ny // 2)[:, None]
    apart_x = np.abs((np.arange(nx) - column + nx // 2) % nx - nx // 2)
    elsewhere = surface[np.hypot(apart_y, apart_x) > lobe]
    sigmas = peak / float(np.std(elsewhere))
    ratio = peak / float(elsewhere.max())
    error = lobe / sigmas * factor
    if sigmas < CLEAR_SIGMAS or ratio < CLEAR_RATIO or error > LARGEST_ERROR:
        return None
    around = surface[
        np.ix_(np.arange(row - 1, row + 2) % ny, np.arange(column - 1, column + 2) % nx)
    ]
    dx = float(x[column]) + _vertex(around.sum(axis=0))
    dy = float(y[row, 0]) + _vertex(around.sum(axis=1))
    return Shift(Transform(dx * factor, dy * factor), error, sigmas, ratio)


def _vertex(values: Floats) -> float:
    """Give the place of the vertex of a parabola through three values about 0."""
    before, at, after = values
    bend = before - 2 * at + after
    return float((before - after) / (2 * bend)) if bend < 0 else 0.0
