"""What a detector adds to the light: fixed patterns, noise and cosmic rays.

Pure arrays.  Structures are placed in fractions of the frame, so that a frame of
another size shows the same structures.
"""

import numpy as np
from numpy.typing import NDArray

from autoreduce.simulate.listing import Detector

Floats = NDArray[np.float32]

POISSON_BELOW_E = 1000.0
"""Above this a normal distribution is as good (skewness below 0.03), and faster."""
COSMIC_E = 1500.0
"""Median charge that a cosmic ray leaves in a pixel."""


def bias_pattern(
    detector: Detector, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """Draw the noiseless bias of a detector.

    Parameters
    ----------
    detector : Detector
        How strong each structure is.
    shape : (ny, nx)
        Size of the frame, with its overscan columns.
    rng : Generator
        Where the fixed scatter of columns and pixels comes from.

    Returns
    -------
    (ny, nx) float32 array, ADU
        The level that a frame without exposure has on average.
    """
    ny, nx = shape
    columns = np.linspace(0, detector.bias_slope_adu, nx)
    columns = columns + rng.normal(0, detector.bias_columns_adu, nx)
    rows = detector.bias_rows_adu * np.sin(np.linspace(0, 3 * np.pi, ny))
    pixels = rng.standard_normal(shape, dtype=np.float32)
    pixels *= np.float32(detector.bias_pixels_adu)
    pixels += (detector.bias_level_adu + columns).astype(np.float32)
    pixels += rows[:, None].astype(np.float32)
    return pixels


def dark_rate(
    detector: Detector, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """Draw the dark current of each pixel, hot pixels and glow included.

    Parameters
    ----------
    detector : Detector
        Mean rate, scatter, hot pixels and amplifier glow.
    shape : (ny, nx)
        Size of the frame, without overscan.
    rng : Generator
        Where the scatter and the hot pixels come from.

    Returns
    -------
    (ny, nx) float32 array, e/s
        Rates at the detector's set temperature.
    """
    ny, nx = shape
    scatter = rng.standard_normal(shape, dtype=np.float32)
    scatter *= np.float32(detector.dark_e_per_s * detector.dark_scatter)
    scatter += np.float32(detector.dark_e_per_s)
    rate: Floats = np.maximum(scatter, 0)
    if detector.glow_e_per_s:
        y, x = np.ogrid[:ny, :nx]
        distance = np.hypot((nx - 1 - x) / nx, (ny - 1 - y) / nx)
        glow = detector.glow_e_per_s * np.exp(-distance / detector.glow_size)
        rate += glow.astype(np.float32)
    n_hot = round(detector.hot_fraction * rate.size)
    hot = rng.choice(rate.size, n_hot, replace=False)
    rate.flat[hot] += rng.exponential(detector.hot_e_per_s, n_hot).astype(np.float32)
    return rate


def response(
    detector: Detector,
    shape: tuple[int, int],
    rng: np.random.Generator,
    filter_rng: np.random.Generator,
) -> Floats:
    """Draw the relative sensitivity of each pixel through one filter.

    Parameters
    ----------
    detector : Detector
        Vignetting, scatter of the pixels, colour filter array and dust.
    shape : (ny, nx)
        Size of the frame, without overscan.
    rng : Generator
        What all filters share: the pixels, and half of the dust.
    filter_rng : Generator
        What the filter has of its own: the other half.

    Returns
    -------
    (ny, nx) float32 array
        Response, with a mean of 1.
    """
    ny, nx = shape
    y, x = np.ogrid[:ny, :nx]
    across, along = (2 * x + 1 - nx) / nx, (2 * y + 1 - ny) / ny
    loss = detector.vignetting * (across**2 + along**2) / 2
    flat: Floats = (1 - loss).astype(np.float32)
    pixels = rng.standard_normal(shape, dtype=np.float32)
    flat *= 1 + np.float32(detector.pixel_response) * pixels
    if detector.bayer:
        cell = np.reshape(detector.bayer, (2, 2)).astype(np.float32)
        flat *= np.tile(cell, (ny // 2 + 1, nx // 2 + 1))[:ny, :nx]
    for index in range(detector.dust_rings):
        _add_dust_ring(flat, detector.dust_depth, (rng, filter_rng)[index % 2])
    flat /= flat.mean(dtype=np.float64)
    return flat


def shutter_delay(detector: Detector, shape: tuple[int, int]) -> Floats:
    """Give the time by which the shutter exposes each pixel longer than it is told.

    An iris opens from the centre on, and closes towards it, at an even speed.

    Parameters
    ----------
    detector : Detector
        How much less the corners are exposed.
    shape : (ny, nx)
        Size of the frame, without overscan.

    Returns
    -------
    (ny, nx) float32 array, s
        0 in the centre, ``-detector.shutter_s`` in the corners.
    """
    ny, nx = shape
    y, x = np.ogrid[-1 : 1 : ny * 1j, -1 : 1 : nx * 1j]
    delay: Floats = (-detector.shutter_s * np.hypot(x, y) / np.sqrt(2)).astype("f4")
    return delay


def compressed(detector: Detector, electrons: Floats) -> Floats:
    """Lose the part of charges that electronics which are not linear do not count.

    Parameters
    ----------
    detector : Detector
        The part that is lost at full well.
    electrons : (ny, nx) float32 array, electron
        What was collected.

    Returns
    -------
    (ny, nx) float32 array, electron
        What is counted.
    """
    if not detector.nonlinear:
        return electrons
    lost = np.float32(detector.nonlinear / detector.full_well_e)
    counted: Floats = electrons * (1 - lost * electrons)
    return counted


def _add_dust_ring(flat: Floats, depth: float, rng: np.random.Generator) -> None:
    """Darken the out-of-focus shadow of one grain: a ring with soft edges."""
    ny, nx = flat.shape
    x0, y0 = rng.uniform(0, nx), rng.uniform(0, ny)
    outer = nx * rng.uniform(0.010, 0.022)
    depth = depth * rng.uniform(0.25, 1.0)
    box = _box(flat.shape, x0, y0, 1.5 * outer + 2)
    y, x = np.mgrid[box]
    radius = np.hypot(x - x0, y - y0) / outer
    edge = max(0.06, 0.7 / outer)  # no sharper than a pixel
    ring = _step((1 - radius) / edge) * _step((radius - 0.4) / edge)
    flat[box] *= (1 - depth * ring).astype(np.float32)


def _step(x: NDArray[np.float64]) -> NDArray[np.float64]:
    steps: NDArray[np.float64] = 0.5 * (1 + np.tanh(x))
    return steps


def _box(
    shape: tuple[int, int], x0: float, y0: float, reach: float
) -> tuple[slice, slice]:
    """Return the rows and columns within reach of a point, inside the frame."""
    ny, nx = shape
    rows = slice(min(ny, max(0, int(y0 - reach))), max(0, min(ny, int(y0 + reach) + 2)))
    cols = slice(min(nx, max(0, int(x0 - reach))), max(0, min(nx, int(x0 + reach) + 2)))
    return rows, cols


def cosmic_rays(
    detector: Detector,
    shape: tuple[int, int],
    exptime_s: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Draw the charge that cosmic rays leave in a frame.

    Parameters
    ----------
    detector : Detector
        Rate of cosmic rays.
    shape : (ny, nx)
        Size of the frame.
    exptime_s : float
        Time in which they are collected.
    rng : Generator
        Where they strike.

    Returns
    -------
    tuple of (n,) arrays
        Row and column of each pixel that is hit, and its charge in electrons.
    """
    ny, nx = shape
    expected = detector.cosmics_per_mpix_s * exptime_s * nx * ny / 1e6
    n = int(rng.poisson(expected))
    length = 1 + rng.geometric(0.35, n)  # pixels along the track
    angle = rng.uniform(0, 2 * np.pi, n)
    y0, x0 = rng.uniform(0, ny, n), rng.uniform(0, nx, n)
    track = np.repeat(np.arange(n), length)
    step = np.concatenate([np.arange(k) for k in length] or [np.zeros(0)])
    y = np.floor(y0[track] + step * np.sin(angle[track])).astype(np.intp)
    x = np.floor(x0[track] + step * np.cos(angle[track])).astype(np.intp)
    charge = COSMIC_E * rng.lognormal(0, 0.7, len(track))
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    return y[inside], x[inside], charge[inside]


def photon_noise(expected_e: Floats, rng: np.random.Generator) -> Floats:
    """Draw numbers of electrons with a given expectation.

    Parameters
    ----------
    expected_e : (ny, nx) float32 array, electron
        Mean number in each pixel, 0 or more.
    rng : Generator
        Source of the noise.

    Returns
    -------
    (ny, nx) float32 array, electron
        Poisson distributed; normally distributed if all of `expected_e` is above
        `POISSON_BELOW_E`.
    """
    if expected_e.min() < POISSON_BELOW_E:
        return rng.poisson(expected_e).astype(np.float32)
    noise = rng.standard_normal(expected_e.shape, dtype=np.float32)
    noise *= np.sqrt(expected_e)
    noise += expected_e
    return noise


def read_out(
    detector: Detector,
    electrons: Floats,
    bias_adu: Floats,
    level_adu: float,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Turn collected electrons into the data numbers of a 16-bit frame.

    Parameters
    ----------
    detector : Detector
        Gain, read noise, full well and overscan.
    electrons : (ny, nx) float32 array, electron
        Charge of each pixel; overwritten.
    bias_adu : (ny, nx + overscan) float32 array, ADU
        Bias of this detector, from `bias_pattern`.
    level_adu : float
        Added to the level of this frame.
    rng : Generator
        Source of the read noise.

    Returns
    -------
    (ny, nx + overscan) uint16 array, ADU
        What the camera writes, 0 to 65535.
    """
    adu = rng.standard_normal(bias_adu.shape, dtype=np.float32)
    adu *= np.float32(detector.read_noise_e / detector.gain_e_per_adu)
    adu += bias_adu
    adu += np.float32(level_adu)
    np.minimum(electrons, np.float32(detector.full_well_e), out=electrons)
    electrons /= np.float32(detector.gain_e_per_adu)
    adu[:, : electrons.shape[1]] += electrons
    np.rint(adu, out=adu)
    return np.clip(adu, 0, 65535, out=adu).astype(np.uint16)
