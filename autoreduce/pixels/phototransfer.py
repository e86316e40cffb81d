"""Gain of a camera from pairs of equally lit frames: the photon transfer.

The difference of two flats holds no pattern of the sensor, only noise: that of the
photons, whose variance is the signal over the gain, and that of two reads [1]_.

References
----------
.. [1] Janesick (2007), Photon Transfer, SPIE Press.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.order import median

Floats = NDArray[np.float64]

BLOCK = 32
"""Rows and columns of a block: small against the illumination's gradient."""
CLIPPED = 5.0
"""Sigma beyond which a difference is a star, a cosmic ray or a hot pixel ..."""
CLIP_ROUNDS = 4
LEAST_SCATTER = 1 / math.sqrt(12)
"""Scatter of whole numbers, in units of one."""
LIT = 0.1
"""Part of the brightest block's light from which a block counts."""
FEWEST_BLOCKS = 8
MOSTLY_PHOTONS = 2.0
"""Photon noise over read noise, in variance, from which the gain is known well."""
LARGEST_RATIO = 3.0
"""How many times as bright as the other a flat of a pair may be."""


class PhotonTransfer(NamedTuple):
    """A gain, and what it is from."""

    gain: float
    """Electrons per ADU."""
    error: float
    """Its 1-sigma error."""
    points: Floats
    """(n, 2): signal (ADU) and variance (ADU^2) of a frame, for each block."""


def photon_transfer(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]], *, read_noise: float = 0.0
) -> PhotonTransfer | None:
    """Measure the gain from pairs of flats.

    Parameters
    ----------
    pairs : sequence of pairs of (ny, nx) arrays, ADU
        Flats without their bias, of one colour each; blocks with NaN are left out.  Each
        frame stands in one pair only.
    read_noise : float
        Noise of one read, ADU.

    Returns
    -------
    PhotonTransfer or None
        The median over all blocks; None if too few blocks are lit, or read noise is
        too much of their noise.
    """
    points = [_points(*pair, read_noise) for pair in pairs]
    found = np.concatenate(points) if points else np.empty((0, 2))
    if len(found) < FEWEST_BLOCKS:
        return None
    per_adu = found[:, 1] / found[:, 0]
    middle = float(median(per_adu))
    if middle <= 0:
        return None
    signal = float(median(found[:, 0]))
    if middle * signal < MOSTLY_PHOTONS * read_noise**2:
        return None
    scatter = MAD_TO_SIGMA * float(median(np.abs(per_adu - middle)))
    # A median's error is sqrt(pi / 2) times that of a mean.
    error = math.sqrt(math.pi / 2) * scatter / math.sqrt(len(found))
    return PhotonTransfer(1 / middle, error / middle**2, found)


def _points(first: NDArray[Any], second: NDArray[Any], read_noise: float) -> Floats:
    """Give signal and photon variance of a frame, block by block."""
    one, other = _blocks(first), _blocks(second)
    whole = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    one, other = one[whole], other[whole]
    levels = [median(blocks, axis=1) for blocks in (one, other)]
    brightest = [float(level.max(initial=0.0)) for level in levels]
    lit = (levels[0] > LIT * brightest[0]) & (levels[1] > LIT * brightest[1])
    if not lit.any():
        return np.empty((0, 2))
    ratio = levels[0][lit] / levels[1][lit]
    alike = (ratio < LARGEST_RATIO) & (ratio > 1 / LARGEST_RATIO)
    ratio = ratio[alike]
    difference = one[lit][alike] - ratio[:, None] * other[lit][alike]
    variance = _clipped_variance(difference)
    # Signal a, and b times ratio: a + ratio^2 b = a (1 + ratio), over the gain.
    photons = (variance - read_noise**2 * (1 + ratio**2)) / (1 + ratio)
    points: Floats = np.column_stack([levels[0][lit][alike], photons])
    return points[np.isfinite(points).all(axis=1)]


def _blocks(data: NDArray[Any]) -> Floats:
    """Cut an image into blocks: (n, pixels of a block)."""
    ny, nx = (n // BLOCK for n in data.shape)
    whole = np.asarray(data[: ny * BLOCK, : nx * BLOCK], np.float64)
    cut = whole.reshape(ny, BLOCK, nx, BLOCK).swapaxes(1, 2)
    return cut.reshape(ny * nx, BLOCK * BLOCK)


def _clipped_variance(values: Floats) -> Floats:
    """Give the variance of each row without its outliers, about its median."""
    off = np.abs(values - median(values, axis=1)[:, None])
    scatter = MAD_TO_SIGMA * median(off, axis=1)[:, None]
    off *= off
    for _ in range(CLIP_ROUNDS):
        limit = CLIPPED * np.maximum(scatter, LEAST_SCATTER)
        kept = off <= limit**2
        total = np.sum(off, axis=1, keepdims=True, where=kept)
        number = kept.sum(axis=1, keepdims=True)
        scatter = np.sqrt(total / np.maximum(number - 1, 1))
    return np.asarray(scatter[:, 0] ** 2)
