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
Pixels = NDArray[np.float32]

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
FULL_TOP, FEWEST_FULL = 0.98, 4
"""Part of the highest signal from which blocks may be full, and how many tell it ..."""
FULL_NOISE = 0.5
"""... and the part of the variance for each ADU in the others that full ones have: where
pixels only share their charge more is left."""
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
    full_from: float | None = None
    """Signal from which pixels are full, ADU: there more light brings less noise."""


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
        The median over all blocks that are not full; None if too few blocks are lit, or
        read noise is too much of their noise.
    """
    points = [_points(*pair, read_noise) for pair in pairs]
    found = np.concatenate(points) if points else np.empty((0, 2))
    if len(found) < FEWEST_BLOCKS:
        return None
    # Colours are looked at one by one: some cameras multiply one and not the other.
    full = [level for one in points if (level := _full_from(one)) is not None]
    full_from = min(full, default=None)
    used = found if full_from is None else found[found[:, 0] < full_from]
    per_adu = used[:, 1] / used[:, 0]
    middle = float(median(per_adu))
    if middle <= 0:
        return None
    signal = float(median(used[:, 0]))
    if middle * signal < MOSTLY_PHOTONS * read_noise**2:
        return None
    scatter = MAD_TO_SIGMA * float(median(np.abs(per_adu - middle)))
    # A median's error is sqrt(pi / 2) times that of a mean.
    error = math.sqrt(math.pi / 2) * scatter / math.sqrt(len(used))
    return PhotonTransfer(1 / middle, error / middle**2, found, full_from)


def _full_from(points: Floats) -> float | None:
    """Find the signal from which the blocks of a pair are full; None where none are.

    Wells that are full have no level of their own at which pixels pile up, as a converter
    has: each has a little more or less.
    """
    signal, per_adu = points[:, 0], points[:, 1] / points[:, 0]
    top = signal >= FULL_TOP * signal.max(initial=0.0)
    if min(np.count_nonzero(top), np.count_nonzero(~top)) < FEWEST_FULL:
        return None
    most = FULL_NOISE * median(per_adu[~top])
    if not median(per_adu[top]) < most:
        return None
    return float(signal[top & (per_adu < most)].min())


def _points(first: NDArray[Any], second: NDArray[Any], read_noise: float) -> Floats:
    """Give signal and photon variance of a frame, block by block."""
    one, other = _blocks(first), _blocks(second)
    levels = np.array([median(blocks, axis=1) for blocks in (one, other)], np.float64)
    whole = np.isfinite(one.sum(axis=1) + other.sum(axis=1))
    brightest = np.max(levels, axis=1, initial=0.0, where=whole, keepdims=True)
    lit = np.flatnonzero(whole & (levels > LIT * brightest).all(axis=0))
    ratio = levels[0, lit] / levels[1, lit]
    alike = (ratio < LARGEST_RATIO) & (ratio > 1 / LARGEST_RATIO)
    ratio, used = ratio[alike], lit[alike]
    difference = one[used] - ratio.astype(np.float32)[:, None] * other[used]
    variance = _clipped_variance(difference)
    # Signal a, and b times ratio: a + ratio^2 b = a (1 + ratio), over the gain.
    photons = (variance - read_noise**2 * (1 + ratio**2)) / (1 + ratio)
    points: Floats = np.column_stack([levels[0, used], photons])
    return points[np.isfinite(points).all(axis=1)]


def _blocks(data: NDArray[Any]) -> Pixels:
    """Cut an image into blocks: (n, pixels of a block)."""
    ny, nx = (n // BLOCK for n in data.shape)
    whole = np.asarray(data[: ny * BLOCK, : nx * BLOCK], np.float32)
    cut = whole.reshape(ny, BLOCK, nx, BLOCK).swapaxes(1, 2)
    return cut.reshape(ny * nx, BLOCK * BLOCK)


def _clipped_variance(values: Pixels) -> Floats:
    """Give the variance of each row without its outliers, about its median."""
    off = np.abs(values - median(values, axis=1)[:, None])
    scatter = np.float64(MAD_TO_SIGMA) * median(off, axis=1)
    off *= off
    variance: Floats = off.sum(axis=1) / np.float64(off.shape[1] - 1)
    least = np.minimum(scatter, np.sqrt(variance))
    found = np.flatnonzero(off.max(axis=1) > _farthest(least))
    off, scatter = off[found], scatter[found]
    for _ in range(CLIP_ROUNDS):
        kept = off <= _farthest(scatter)[:, None]
        total = np.sum(off, axis=1, where=kept)
        variance[found] = total / np.maximum(kept.sum(axis=1) - 1, 1)
        scatter = np.sqrt(variance[found])
    return variance


def _farthest(scatter: Floats) -> Floats:
    """Give the square of the largest difference that is no outlier."""
    farthest: Floats = (CLIPPED * np.maximum(scatter, LEAST_SCATTER)) ** 2
    return farthest
