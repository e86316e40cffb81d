"""What a calibrated light tells of its masters: a sky below zero, a dark that harms.

Pixels that are hot in the dark are hot in the light, in proportion to the dark current
that both have; what is left of them tells whether the dark was of its temperature and
exposure.  A dark takes structure out of a light; one that brings some in was lit.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.measure import block_medians, pixel_noise
from autoreduce.pixels.order import finite_median
from autoreduce.remarks import Remark, remark

BELOW = 0.5
"""A sky so many times its noise below zero is no drift of the bias."""
HOT_NOISE, FEWEST_HOT = 10.0, 20
"""Pixels of a dark that are so many times the light's noise hot, and how many tell."""
HOT_RATIO = 1.5
"""Hot pixels of light and dark may differ by this factor: 4 degrees do that."""
ROUGHER, UNEVEN = 1.5, 2.0
"""A dark makes the noise so much larger, or the unevenness, when it harms.  One dark
alone makes it 1.4 times as large as nothing but its read noise."""
UNEVEN_NOISE = 0.2
"""Unevenness of the sky that is never a dark's fault, of the noise."""


def doubts_of_light(
    data: NDArray[np.float32],
    dark: NDArray[np.float32] | None,
    sky: float,
    noise: float,
) -> Iterator[Remark]:
    """Say what is doubtful of the masters of a calibrated light.

    Parameters
    ----------
    data : (ny, nx) array, ADU
        Rows of the calibrated light.
    dark : (ny, nx) array or None, ADU
        What its dark took out of these rows; None if none was subtracted.
    sky, noise : float
        Sky and its noise in the calibrated light, ADU; NaN where unknown.

    Yields
    ------
    Remark
        Without a subject.
    """
    if sky < -max(BELOW * noise, 1.0):
        yield remark("negative-sky", found=_about(sky), expected=_about(noise))
    if dark is None:
        return
    before = data + dark
    ratio = _hot_ratio(before, dark)
    if not 1 / HOT_RATIO <= ratio <= HOT_RATIO:
        yield remark("hot-misfit", found=f"{ratio:.1g}")
    for code, with_dark, without in (
        ("noisy-dark", pixel_noise(data), ROUGHER * pixel_noise(before)),
        ("uneven-dark", _unevenness(data), UNEVEN * _unevenness(before)),
    ):
        least = 0.0 if code == "noisy-dark" else UNEVEN_NOISE * pixel_noise(before)
        if with_dark > max(without, least):
            factor = ROUGHER if code == "noisy-dark" else UNEVEN
            found, expected = _about(with_dark), _about(without / factor)
            yield remark(code, found=found, expected=expected)


def _hot_ratio(before: NDArray[np.float32], dark: NDArray[np.float32]) -> float:
    """Give how hot pixels of the dark are in the light, of what the dark has; else 1.

    A pixel is held against those two columns away, which know as much of sky and glow.
    """
    hot, seen = _above_neighbours(dark), _above_neighbours(before)
    is_hot = hot > HOT_NOISE * pixel_noise(before)
    if np.count_nonzero(is_hot) < FEWEST_HOT:
        return 1.0
    return finite_median(seen[is_hot] / hot[is_hot])


def _above_neighbours(data: NDArray[np.float32]) -> NDArray[np.float32]:
    return data[:, 2:-2] - (data[:, :-4] + data[:, 4:]) / np.float32(2)


def _unevenness(data: NDArray[np.float32]) -> float:
    """Give the scatter of the medians of blocks, ADU; 0 of what is too small."""
    blocks = np.array(block_medians(data))
    blocks = blocks[np.isfinite(blocks)]
    return float(np.std(blocks)) if blocks.size else 0.0


def _about(value: float) -> str:
    """Write a number so that those of many lights read alike.

    Examples
    --------
    >>> _about(-17.3), _about(0.034), _about(0.0)
    ('about -20 ADU', 'about 0.05 ADU', 'about 0 ADU')
    """
    if not value:
        return "about 0 ADU"
    power = 10.0 ** math.floor(math.log10(abs(value)))
    digit = min((1, 2, 5, 10), key=lambda one: abs(math.log(one * power / abs(value))))
    return f"about {math.copysign(digit * power, value):g} ADU"
