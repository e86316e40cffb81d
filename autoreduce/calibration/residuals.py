"""What a calibrated light tells of its masters: a sky below zero, a dark that harms.

Pixels that are hot in the dark are hot in the light, in proportion to the dark current
that both have; what is left of them tells whether the dark was of its temperature and
exposure, and whether it lies on the light as the sensor lay.  Dark and flat take
structure out of a light; one that brings some in was lit, or is of another camera.
A level that was not in the light, such as a pedestal that nobody added, comes out in
the inverse shape of the flat; and a dark in the shape of the flat has seen light.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.measure import block_medians, pixel_noise
from autoreduce.pixels.order import finite_median, medians_of_parts
from autoreduce.remarks import ITSELF, Remark, remark

Levels = NDArray[np.float64]
"""Medians of the blocks of some rows, see `block_medians`; NaN where there is none."""

LEVEL_PIXELS = 64 * 1024
"""Pixels that the medians of all blocks come from, about: each to 4 % of the noise."""
NOISE_ROWS = 5
"""One row in so many tells the noise, even and odd ones: of a band of 128 to 1 %."""
BELOW = 0.5
"""A sky so many times its noise below zero is no drift of the bias."""
HOT_NOISE, FEWEST_HOT = 10.0, 20
"""Pixels of a dark that are so many times the light's noise hot, and how many tell."""
LEAST_HOT = 0.1
"""ADU of a hot pixel of a dark at the least: less is rounding."""
HOT_RATIO = 1.5
"""Hot pixels of light and dark may differ by this factor: 4 degrees do that."""
ELSEWHERE, ABSENT = 0.2, 0.05
"""Less than so much of the dark's hot pixels in the light: they lie elsewhere, or no
temperature explains it, as 25 degrees make it as little."""
ROUGHER, UNEVEN = 1.5, 2.0
"""A dark makes the noise so much larger, or the unevenness, when it harms.  One dark
alone makes it 1.4 times as large as nothing but its read noise."""
UNEVEN_NOISE = 0.2
"""Unevenness of the sky that is never a dark's fault, of the noise."""
UNEVEN_SKY = 0.05
"""Unevenness of the sky that is never a flat's fault, of the sky."""
LEFT_IN = 0.1
"""A level of this part of the sky is no stray light in a flat."""
GLOW_LEFT = 0.3
"""So much of a dark's glow may be left in a light, or be taken out too much."""
CELL, BESIDE = 16, 6
"""Pixels along each side of a cell, and how many cells away a shadow is held against what
lies on both sides of it: shadows of dust are narrower than that."""
SHADOW, DEEPEST = 0.03, 0.5
"""Depths of what is a shadow in a flat, of the light beside it."""
SHADOW_NOISE, FEWEST_CELLS = 5.0, 4
"""Cells tell a shadow that stand so far out of their noise, and how many do."""
FEWEST_SHADOWS = 2
"""Shadows at different places: over a single one a galaxy may lie."""
OFTENER = 5.0
"""Where a flat has shadows cells are so many times as often bright as elsewhere."""
EVENER = 3.0
"""What leaves so much less of the unevenness is right: a flat that is turned, a pedestal
that stays in, a level that goes, the shape of a flat in a dark."""
ROWS_TURNED = "its rows"
"""How a master is turned whose rows were stored in the other order."""
_TURNS = (
    (ROWS_TURNED, -1, 1),
    ("its columns", 1, -1),
    ("its rows and columns", -1, -1),
)
"""Ways in which a program stores what another one has turned."""


def doubts_of_light(
    data: NDArray[np.float32],
    dark: NDArray[np.float32] | None,
    sky: float,
    noise: float,
    flat: NDArray[np.float32] | None = None,
    pedestal: float | None = 0.0,
    bias: NDArray[np.float32] | None = None,
) -> Iterator[Remark]:
    """Say what is doubtful of the masters of a calibrated light, and of its pedestal.

    Parameters
    ----------
    data : (ny, nx) array, ADU
        Rows of the calibrated light, as many above its middle as below and as far from it.
    dark : (ny, nx) array or None, ADU
        What its dark took out of these rows, as the flat leaves it; None if none was
        subtracted.
    sky, noise : float
        Sky and its noise in the calibrated light, ADU; NaN where unknown.
    flat : (ny, nx) array or None
        What these rows were divided by; None if by nothing.
    pedestal : float or None
        Level that a card tells and that was taken out, ADU; None where the overscan has
        it in it, whatever a card tells.
    bias : (ny, nx) array or None, ADU
        Rows of its bias, where no dark has the structure of the bias in it.

    Yields
    ------
    Remark
        Without a subject.
    """
    if sky < -max(BELOW * noise, 1.0):
        yield remark("negative-sky", found=_about(sky), expected=_about(noise))
    if dark is None and flat is None and bias is None:
        return
    levels = block_levels(data)
    uneven = _scatter(levels)
    shadows = () if flat is None else _shadows_left(data, flat)
    yield from _doubts_of_bias(data, bias, flat, uneven, noise)
    told = [] if dark is None else list(_doubts_of_dark(data, dark, uneven))
    yield from told
    data = _thinned(data)
    dark, flat = (one if one is None else _thinned(one) for one in (dark, flat))
    if dark is not None and not told:
        taken = dark if flat is None else dark * flat
        in_dark = block_levels(taken)
        yield from _doubts_of_light_in(in_dark, flat, noise)
        if min(uneven, _scatter(in_dark)) > UNEVEN_NOISE * noise:
            yield from _glow_left(data, levels, taken, flat, uneven)
    if flat is not None and pedestal and uneven > UNEVEN_NOISE * noise:
        left_in = _unevenness(data + np.float32(pedestal) / flat)
        if left_in < uneven / EVENER:
            found, expected = _about(uneven), _about(left_in)
            yield remark("pedestal-not-added", found=found, expected=expected)
            return
    if flat is None or not sky > 0 or any(map(_of_order, told)):
        return
    doubts: list[Remark] = []
    if uneven > max(UNEVEN_NOISE * noise, UNEVEN_SKY * sky):
        doubts = list(_doubts_of_flat(data, flat, sky, uneven))
    if not doubts and uneven > UNEVEN_NOISE * noise:
        doubts = list(_level_left(data, levels, flat, sky, uneven, pedestal))
    yield from doubts or shadows


class Fitting(NamedTuple):
    """A flat that suits a light."""

    name: str
    """Which one."""
    uneven: float
    """How uneven the sky is with the flat that was taken, of the sky, rms."""
    left: float
    """... and with this one."""


def is_uneven(light: Levels, sky: float, noise: float) -> bool:
    """Tell whether the sky of a light, as in `flat_that_fits`, is uneven."""
    uneven = _scatter(light)
    return sky > 0 and uneven > UNEVEN_SKY * sky and uneven > UNEVEN_NOISE * noise


def flat_that_fits(
    light: Levels,
    flat: Levels,
    others: Mapping[str, Levels],
    sky: float,
    noise: float,
) -> Fitting | None:
    """Find another flat with which the sky of a light is even, and with its own is not.

    Parameters
    ----------
    light, flat : (n,) array
        `block_levels` of a calibrated light, ADU, and of the flat that it was divided by.
    others : mapping of str to (n,) array
        The same of other flats; those of another number of blocks are passed over.
    sky, noise : float
        Sky and its noise in the light, ADU; NaN where unknown.

    Returns
    -------
    Fitting or None
        None where the sky is even, or no flat makes it so.
    """
    if not is_uneven(light, sky, noise):
        return None
    uneven, before = _scatter(light), light * flat
    left = {
        name: _scatter(before / other)
        for name, other in others.items()
        if other.shape == before.shape
    }
    name = min(left, key=lambda one: left[one], default="")
    if not name or left[name] > uneven / EVENER:
        return None
    return Fitting(name, uneven / sky, left[name] / sky)


def _doubts_of_bias(
    data: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    flat: NDArray[np.float32] | None,
    uneven: float,
    noise: float,
) -> Iterator[Remark]:
    """Say that a light has not the structure that its bias took out of it."""
    if bias is None or not uneven > UNEVEN_NOISE * noise:
        return
    shape = bias - np.float32(finite_median(bias))
    without = _unevenness(data + (shape if flat is None else shape / flat))
    if uneven > UNEVEN * without:
        found, expected = _about(uneven), _about(without)
        yield remark("uneven-bias", found=found, expected=expected)


def _of_order(doubt: Remark) -> bool:
    """Tell whether all masters of a light lie otherwise than it does."""
    return doubt.code == "dark-turned" and doubt.expected == ROWS_TURNED


def _doubts_of_flat(
    data: NDArray[np.float32], flat: NDArray[np.float32], sky: float, uneven: float
) -> Iterator[Remark]:
    """Say what rows of an uneven light tell against what they were divided by."""
    before = data * flat
    for turn, rows, columns in _TURNS:
        turned = _unevenness(before / flat[::rows, ::columns])
        if turned < uneven / EVENER:
            found, expected = f"{uneven / sky:.0%}", f"{turned / sky:.0%} with {turn}"
            yield remark("flat-turned", found=found, expected=expected)
            return
    without = _unevenness(before)
    if uneven > UNEVEN * without:
        found, expected = f"{uneven / sky:.0%}", f"{without / sky:.0%}"
        yield remark("uneven-flat", found=found, expected=expected)


def _shadows_left(
    data: NDArray[np.float32], flat: NDArray[np.float32]
) -> Iterator[Remark]:
    """Say that a flat has shadows which the light has not, as of dust that has moved.

    What is divided by a shadow that is not there is bright by as much.
    """
    shade, level = _beside(flat)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -shade / level
    lit = level > SHADOW * 10 * finite_median(level)
    shaded = np.isfinite(depth) & lit & (depth > SHADOW) & (depth < DEEPEST)
    if np.count_nonzero(shaded) < FEWEST_CELLS:
        return
    beside = _beside(data)
    with np.errstate(divide="ignore", invalid="ignore"):
        bright = beside.above / beside.level
    known = np.isfinite(bright) & np.isfinite(depth) & lit & (beside.level > 0)
    shadows = known & shaded
    if np.count_nonzero(shadows) < FEWEST_CELLS:
        return
    plain = known & ~shadows
    noise = MAD_TO_SIGMA * finite_median(np.abs(bright[plain]))
    left = shadows & (bright > depth / 2) & (bright > SHADOW_NOISE * noise)
    deep = float(np.max(depth[left], initial=0.0))
    # A nebula, or a crowd of stars, is bright where no shadow is.
    least = max(SHADOW / 2, SHADOW_NOISE * noise)
    elsewhere = np.mean(bright[plain] > least) if plain.any() else 1.0
    often = np.mean(left[shadows])
    if (
        np.count_nonzero(left) >= FEWEST_CELLS
        and often > OFTENER * elsewhere
        and _places(left) >= FEWEST_SHADOWS
    ):
        yield remark("flat-shadows", found=f"{deep:.0%}")


def _places(cells: NDArray[np.bool_]) -> int:
    """Count shadows among cells: the two sides of a ring are of one."""
    from scipy import ndimage

    reach = np.ones((1, BESIDE + 1), bool)
    return int(ndimage.label(ndimage.binary_dilation(cells, reach))[1])


class _Beside(NamedTuple):
    """Cells of some rows, held against those on both sides of them."""

    above: NDArray[np.float64]
    """By how much each lies above the mean of the two."""
    level: NDArray[np.float64]
    """That mean."""


def _beside(data: NDArray[np.float32]) -> _Beside:
    """Take medians of cells; a level that falls from one side to the other is none."""
    ny, nx = data.shape
    bands = data[: ny // CELL * CELL].reshape(-1, CELL, nx)
    if not len(bands) or nx < CELL * (2 * BESIDE + 1):
        return _Beside(np.empty((0, 0)), np.empty((0, 0)))
    cells = medians_of_parts(bands, nx // CELL).astype(np.float64)
    level = (cells[:, : -2 * BESIDE] + cells[:, 2 * BESIDE :]) / 2
    return _Beside(cells[:, BESIDE:-BESIDE] - level, level)


def _level_left(
    data: NDArray[np.float32],
    levels: Levels,
    flat: NDArray[np.float32],
    sky: float,
    uneven: float,
    pedestal: float | None,
) -> Iterator[Remark]:
    """Say that a sky rises as the flat falls: a level in it was no light.

    A nebula that fills the middle falls with the flat, and is no such level.
    """
    levels, inverse = _of_both(levels, block_levels(np.reciprocal(flat)))
    if np.ptp(inverse) == 0:
        return
    level = np.float32(np.polyfit(inverse, levels, 1)[0])
    without = _unevenness(data - level / flat)
    # It is a part of the sky, and no more than all of it.
    if LEFT_IN * sky < level < sky * (1 + LEFT_IN) and without < uneven / EVENER:
        adu = float(f"{level:.2g}")
        expected = f"{without / sky:.0%} without {adu:g} ADU that were no light"
        way_out = ""
        if pedestal is not None:
            way_out = f"--set '{ITSELF}: pedestal={pedestal + adu:g}'"
        found = f"{uneven / sky:.0%}"
        yield remark("level-left", found=found, expected=expected, way_out=way_out)


def _doubts_of_dark(
    data: NDArray[np.float32], dark: NDArray[np.float32], uneven: float
) -> Iterator[Remark]:
    """Say what rows of a light tell against what its dark took out of them."""
    before = data + dark
    noise = pixel_noise(before[::NOISE_ROWS])
    ratio = _hot_ratio(before, dark, noise)
    if turn := _turn_that_fits(before, dark, noise) if ratio < ELSEWHERE else "":
        yield remark("dark-turned", found=f"{max(ratio, 0):.1f}", expected=turn)
    elif shift := _shift_that_fits(before, dark, noise) if ratio < ELSEWHERE else "":
        way_out = f"--set '{ITSELF}: dark=none, flat=none'"
        found = f"{max(ratio, 0):.1f}"
        yield remark("dark-shifted", found=found, expected=shift, way_out=way_out)
    elif ratio < ABSENT:
        yield remark("hot-absent", found=f"{max(ratio, 0):.2f}")
    elif not 1 / HOT_RATIO <= ratio <= HOT_RATIO:
        yield remark("hot-misfit", found=f"{float(f'{ratio:.1g}'):g}")
    rough = pixel_noise(data[::NOISE_ROWS])
    if rough > ROUGHER * noise:
        yield remark("noisy-dark", found=_about(rough), expected=_about(noise))
    if uneven > UNEVEN_NOISE * noise:
        without = _unevenness(before)
        if uneven > UNEVEN * without:
            yield remark("uneven-dark", found=_about(uneven), expected=_about(without))


def _glow_left(
    data: NDArray[np.float32],
    levels: Levels,
    dark: NDArray[np.float32],
    flat: NDArray[np.float32] | None,
    uneven: float,
) -> Iterator[Remark]:
    """Say that the glow of a dark is left in the light, or was not in it as strong."""
    glow = dark - finite_median(dark)
    glow = glow if flat is None else glow / flat
    levels, shape = _of_both(levels, block_levels(glow))
    left = np.polyfit(shape, levels, 1)[0]
    without = _unevenness(data - np.float32(left) * glow)
    if abs(left) > GLOW_LEFT and without < uneven / EVENER:
        found, expected = _about(uneven), f"{left + 1:.1g} times the dark's glow"
        yield remark("glow-misfit", found=found, expected=expected)


def _doubts_of_light_in(
    dark: Levels, flat: NDArray[np.float32] | None, noise: float
) -> Iterator[Remark]:
    """Say that a dark rises and falls with the flat: dark current knows of no optics."""
    uneven = _scatter(dark)
    if flat is None or not uneven > UNEVEN_NOISE * noise:
        return
    levels, shape = _of_both(dark, block_levels(flat))
    if not np.ptp(shape) > 0:
        return
    light, current = np.polyfit(shape, levels, 1)
    left = np.std(levels - light * shape - current)
    if left < uneven / EVENER and light > 0 and current > -UNEVEN_NOISE * light:
        yield remark("light-in-dark", found=_about(light))


def _turn_that_fits(
    before: NDArray[np.float32], dark: NDArray[np.float32], noise: float
) -> str:
    """Tell how a dark is to be turned for its hot pixels to be the light's; else ""."""
    for turn, rows, columns in _TURNS:
        ratio = _hot_ratio(before, dark[::rows, ::columns], noise)
        if 1 / HOT_RATIO <= ratio <= HOT_RATIO:
            return turn
    return ""


def _shift_that_fits(
    before: NDArray[np.float32], dark: NDArray[np.float32], noise: float
) -> str:
    """Tell how far from where a dark has them its hot pixels are in the light; else ""."""
    hot, seen = (_above_neighbours(one) > HOT_NOISE * noise for one in (dark, before))
    matches = np.fft.irfft2(np.fft.rfft2(seen) * np.fft.rfft2(hot).conj(), hot.shape)
    ny, nx = hot.shape
    y, x = divmod(int(np.argmax(matches)), nx)
    dy, dx = (y + ny // 2) % ny - ny // 2, (x + nx // 2) % nx - nx // 2
    ratio = _hot_ratio(before, np.roll(dark, (dy, dx), (0, 1)), noise)
    fits = np.count_nonzero(hot) >= FEWEST_HOT and 1 / HOT_RATIO <= ratio <= HOT_RATIO
    return f"{dx:+d} columns and {dy:+d} rows" if fits else ""


def _hot_ratio(
    before: NDArray[np.float32], dark: NDArray[np.float32], noise: float
) -> float:
    """Give how hot pixels of the dark are in the light, of what the dark has; else 1.

    A pixel is held against those two columns away, which know as much of sky and glow.
    """
    hot, seen = _above_neighbours(dark), _above_neighbours(before)
    plain = HOT_NOISE * noise
    is_hot = hot > plain
    if np.count_nonzero(is_hot) < FEWEST_HOT:
        # A dark that takes hardly anything out of them may still know where they are.
        is_hot = hot > max(HOT_NOISE * pixel_noise(dark), LEAST_HOT)
        few = np.count_nonzero(is_hot) < FEWEST_HOT
        if few or not finite_median(seen[is_hot]) > plain:
            return 1.0
    return finite_median(seen[is_hot] / hot[is_hot])


def _above_neighbours(data: NDArray[np.float32]) -> NDArray[np.float32]:
    return data[:, 2:-2] - (data[:, :-4] + data[:, 4:]) / np.float32(2)


def _unevenness(data: NDArray[np.float32]) -> float:
    """Give the scatter of the medians of blocks, ADU; 0 of what is too small."""
    return _scatter(block_levels(data))


def block_levels(data: NDArray[np.float32]) -> Levels:
    """Take the medians of blocks of some rows, as all that is told here goes by.

    Parameters
    ----------
    data : (ny, nx) array
        Rows of a light or a master.

    Returns
    -------
    (64,) array
        In their unit; empty of what is too small.
    """
    return np.array(block_medians(_thinned(data)))


def _thinned(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take columns at an odd distance, as those of a mosaic differ in colour by turns."""
    return data[:, :: data.size // LEVEL_PIXELS | 1]


def _scatter(levels: Levels) -> float:
    known = levels[np.isfinite(levels)]
    return float(np.std(known)) if known.size else 0.0


def _of_both(one: Levels, other: Levels) -> NDArray[np.float64]:
    """Give the medians of those blocks that two arrays have, array by array."""
    both = np.array([one, other])
    return both[:, np.isfinite(both).all(axis=0)]


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
