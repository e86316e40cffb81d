"""Which frames of a combination are odd, which lights are unusable, and why.

A frame is compared with the others of its group, in its level, its noise and its
shape: the pattern of the medians of blocks of pixels.  Flats fade or brighten as
the sky does, so that they are judged by their shape and by how much light they
hold.  With two frames nobody can tell which one is odd; what is wrong with a frame
by itself (no data, nothing but one value, saturation) needs no company.

A light is compared with the others of its stack in what was measured of its sky and
its stars, and must be far off to be called unusable: seeing, thin clouds and the moon
are left to the observer's judgement.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.measure import FrameStatistics
from autoreduce.planning.plan import Action
from autoreduce.planning.recipe import QualityRecipe
from autoreduce.remarks import Remark, remark

Values = NDArray[np.float64]


class Levels(NamedTuple):
    """What each frame's level is made of, ADU."""

    signal: Values
    """Light, or dark current; of flats where they are lit."""
    pedestal: Values
    """Overscan and bias, as far as they are known."""

    def of(self, indices: Sequence[int]) -> "Levels":
        """Take some of the frames."""
        return Levels(self.signal[list(indices)], self.pedestal[list(indices)])


FEWEST = 3
"""With fewer frames the odd one out cannot be told."""
LEVEL_FLOOR = 0.05
"""Scatter of the level that any group may have, of a pixel's noise."""
QUANTUM = 0.2
"""The same where medians are whole or half numbers, ADU."""
BLOCK_FLOOR = 0.1
"""Deviation of a block's median that any frame may have, of a pixel's noise."""
SHAPE_FLOOR = 0.0025
"""Deviation of a flat's shape that any flat may have, of its level."""
USUAL = 4.0
"""A deviation of so many times the group's median deviation is nothing unusual."""
SMALL_SAMPLE = 8.0
"""How much a scatter from few frames is distrusted: the factor 1 + this / (n - 1)
keeps false alarms rare whatever the scatter is."""
STARRY = 10
"""Stars below which their number tells nothing of clouds."""
FEWEST_STARS = 5
"""Stars below which their width may be that of a nebula, or of nothing."""
SKY_FLOOR = 10.0
"""Sky that any light may have, of the sky noise."""
NO_LIGHT = "no-light"
"""Code of the remark on a light that shows neither sky nor stars."""
NO_SKY = 0.5
"""Sky, of its noise, up to which a light may have seen none."""
LIT = 0.1
"""A block with so much of the brightest block's light is lit."""
APART = 6.0
"""Two shapes of flats differ by so many times what those of either one differ by: of a
sky that drifts evenly they differ by four times as much."""
LONE = 5.0
"""... and by so many times what is odd where one stands alone: the sky may have drifted."""
POOR_FLAT = 5.0
"""A flat with so many times the relative noise of the others adds only noise."""


def odd_frames(
    statistics: Sequence[FrameStatistics],
    action: Action,
    limits: QualityRecipe,
    *,
    pedestals: Sequence[float] | None = None,
) -> dict[int, Remark]:
    """Find the frames that should not go into a combination.

    Parameters
    ----------
    statistics : sequence of FrameStatistics
        One for each frame of the group, in the unit of the raw frames.
    action : Action
        What is made of them: `Action.BIAS`, `Action.DARK` or `Action.FLAT`.
    limits : QualityRecipe
        How odd a frame must be.
    pedestals : sequence of float, optional
        The part of each frame's level that is no signal: its overscan, and for
        darks and flats the level of the bias.  Where it is not known, the levels of
        bias frames and flats count whole, and no difference between the levels of
        darks is small enough to be tolerated for its size alone.

    Returns
    -------
    dict of int to Remark
        The index of each odd frame, with the reason and the number that decided.
        It may name all of them: a group of saturated flats is left out whole.

    Raises
    ------
    ValueError
        If there is not one pedestal for each frame.
    """
    levels = _levels(statistics, action, pedestals)
    odd = _worthless(
        statistics, action, limits, levels.signal, known=pedestals is not None
    )
    rest = [i for i in range(len(statistics)) if i not in odd]
    for check in _FLAT_CHECKS if action is Action.FLAT else _DARK_CHECKS:
        if len(rest) < FEWEST:
            break
        group = [statistics[i] for i in rest]
        found = check(group, levels.of(rest), limits)
        odd |= {rest[i]: reason for i, reason in found.items()}
        rest = [i for i in rest if i not in odd]
    return dict(sorted(odd.items()))


def unusable_lights(
    lights: Sequence[Mapping[str, float]], limits: QualityRecipe
) -> dict[int, Remark]:
    """Find the lights that would only harm their stack.

    Parameters
    ----------
    lights : sequence of mapping
        What was measured of each light of a stack, of one exposure: ``sky`` and
        ``sky_noise`` (ADU), ``stars`` (number), ``star_flux`` (of bright stars, ADU),
        ``fwhm`` (pixel), ``elongation``; what could not be measured is absent, and
        decides nothing.
    limits : QualityRecipe
        How far a light must be off the median of all.

    Returns
    -------
    dict of int to Remark
        The index of each unusable light, with the reason and the number that decided.
        Of lights that have seen some light never half, and none of fewer than three.
    """
    unlit = _unlit(lights, limits)
    rest = {i: light for i, light in enumerate(lights) if i not in unlit}
    if len(rest) < FEWEST:
        return unlit
    usual = {
        name: float(np.median(values))
        for name in {name for light in rest.values() for name in light}
        if (values := [light[name] for light in rest.values() if name in light])
        and len(values) >= FEWEST
    }
    found = ((i, _unusable(light, usual, limits)) for i, light in rest.items())
    return unlit | {i: why for i, why in found if why is not None}


def _unlit(
    lights: Sequence[Mapping[str, float]], limits: QualityRecipe
) -> dict[int, Remark]:
    """Find lights that show neither sky nor stars, beside others that have a sky.

    More of those others, or as many if they show stars.  What darks leave of hot pixels
    is taken for a star or two: of starry lights a few are none.
    """
    no_sky = [
        i
        for i, light in enumerate(lights)
        if light.get("sky", math.inf) <= NO_SKY * light.get("sky_noise", 0.0)
    ]
    others = [light for i, light in enumerate(lights) if i not in no_sky]
    skies = [light["sky"] for light in others if "sky" in light]
    if not no_sky or not skies:
        return {}
    usual = float(np.median([light.get("stars", 0.0) for light in others]))
    few = max(1.0, min(FEWEST_STARS, limits.min_stars * usual))
    dark = [i for i in no_sky if lights[i].get("stars", math.inf) < few]
    if len(dark) > len(skies) or (len(dark) == len(skies) and usual < FEWEST_STARS):
        return {}
    sky = float(np.median(skies))
    return {
        i: remark(NO_LIGHT, found=f"{lights[i]['sky']:.1f} ADU", expected=f"{sky:.0f}")
        for i in dark
        if sky > limits.max_sky * NO_SKY * lights[i]["sky_noise"]
    }


def _unusable(
    light: Mapping[str, float], usual: Mapping[str, float], limits: QualityRecipe
) -> Remark | None:
    """Say what is wrong with a light, if anything is."""
    sky = max(usual.get("sky", math.inf), SKY_FLOOR * usual.get("sky_noise", 0.0))
    if light.get("sky", 0.0) > limits.max_sky * sky:
        found, expected = f"{light['sky']:.0f} ADU", f"{usual['sky']:.0f}"
        return remark("lit", found=found, expected=expected)
    elongation = usual.get("elongation", math.inf)
    if light.get("elongation", 0.0) > limits.max_elongation * elongation:
        found = f"{light['elongation']:.1f}"
        return remark("trailed", found=found, expected=f"{elongation:.1f}")
    fwhm = usual.get("fwhm", math.inf)
    few = min(light.get("stars", 0.0), usual.get("stars", 0.0)) < FEWEST_STARS
    if not few and light.get("fwhm", 0.0) > limits.max_fwhm * fwhm:
        found = f"{light['fwhm']:.1f} pixels"
        return remark("out-of-focus", found=found, expected=f"{fwhm:.1f}")
    flux = usual.get("star_flux", 0.0)
    if light.get("star_flux", math.inf) < limits.min_flux * flux:
        return remark("faint", found=f"{light['star_flux'] / flux:.1%}")
    stars = usual.get("stars", 0.0)
    if stars >= STARRY and light.get("stars", math.inf) < limits.min_stars * stars:
        found, expected = f"{light['stars']:.0f}", f"{stars:.0f}"
        return remark("few-stars", found=found, expected=expected)
    return None


def _levels(
    statistics: Sequence[FrameStatistics],
    action: Action,
    pedestals: Sequence[float] | None,
) -> Levels:
    n = len(statistics)
    if pedestals is not None and len(pedestals) != n:
        msg = f"{n} frames need a pedestal each, not {len(pedestals)} in all"
        raise ValueError(msg)
    medians = np.array([item.median for item in statistics])
    below = np.zeros(n) if pedestals is None else np.asarray(pedestals, np.float64)
    if action is Action.FLAT:
        pairs = zip(statistics, below.tolist(), strict=True)
        return Levels(np.array([_lit_level(*pair) for pair in pairs]), below)
    if action is Action.DARK and pedestals is None:
        below = np.full(n, np.median(medians))
    return Levels(medians - below, below)


def _lit_level(item: FrameStatistics, pedestal: float) -> float:
    """Give the level of the lit blocks, which may be fewer than half, of a flat."""
    blocks = np.array(item.blocks) - pedestal
    blocks = blocks[np.isfinite(blocks)]
    if not blocks.size or blocks.max() <= item.noise:
        return item.median - pedestal
    return float(np.median(blocks[blocks > LIT * blocks.max()]))


def _worthless(
    statistics: Sequence[FrameStatistics],
    action: Action,
    limits: QualityRecipe,
    signals: Values,
    *,
    known: bool,
) -> dict[int, Remark]:
    """Find frames that are no use whatever the others are like."""
    odd: dict[int, Remark] = {}
    for i, item in enumerate(statistics):
        if not item.finite:
            odd[i] = remark("no-data", found="no pixel is finite")
        elif item.minimum == item.maximum == 0:
            odd[i] = remark("no-data", found="every pixel is 0")
        elif action is Action.FLAT and (item.saturated or 0) > limits.max_saturated:
            found, expected = f"{item.saturated:.1%}", f"{limits.max_saturated:.1%}"
            odd[i] = remark("saturated", found=found, expected=expected)
        elif action is Action.FLAT and known and not signals[i] > item.noise:
            bias = _figure(item.median - signals[i])
            found = f"{_figure(item.median)} ADU"
            odd[i] = remark("unlit", found=found, expected=f"{bias} ADU")
    constant = [item.minimum == item.maximum for item in statistics]
    if not all(constant):
        for index in np.flatnonzero(constant).tolist():
            value = statistics[index].median
            every = f"every pixel is {value:g}"
            odd.setdefault(index, remark("no-data", found=every))
    return odd


def _odd_levels(
    group: Sequence[FrameStatistics], known: Levels, limits: QualityRecipe
) -> dict[int, Remark]:
    levels = np.array([item.median for item in group])
    noise = float(np.median([item.noise for item in group]))
    quantum = QUANTUM if np.array_equal(2 * levels, np.rint(2 * levels)) else 0.0
    floor = max(LEVEL_FLOOR * noise, quantum)
    tolerated = limits.tolerance * abs(float(np.median(known.signal)))
    inside = _majority(known.signal, floor, tolerated, limits.n_sigma)
    return _reasons("odd-level", levels, inside)


def _odd_noise(
    group: Sequence[FrameStatistics], _known: Levels, limits: QualityRecipe
) -> dict[int, Remark]:
    noise = np.array([item.noise for item in group])
    floor = limits.tolerance * float(np.median(noise))
    return _reasons("odd-noise", noise, _majority(noise, floor, 0.0, limits.n_sigma))


def _figure(adu: float) -> str:
    """Write a level: to a tenth, or of fractions of an ADU to what distinguishes them."""
    return f"{adu:.1f}" if abs(adu) >= 1 or not adu else f"{adu:.4g}"


def _reasons(code: str, values: Values, inside: NDArray[np.bool_]) -> dict[int, Remark]:
    others = values[inside]
    low, high = _figure(others.min()), _figure(others.max())
    usual = f"have {low}" if low == high else f"{low} to {high}"
    return {
        int(i): remark(
            code,
            found=f"{_figure(values[i])} ADU",
            expected=f"{len(others)} {usual}",
        )
        for i in np.flatnonzero(~inside)
    }


def _odd_patterns(
    group: Sequence[FrameStatistics], _known: Levels, limits: QualityRecipe
) -> dict[int, Remark]:
    """Find darks and bias frames with light or interference in a part of them."""
    if not all(item.blocks for item in group):
        return {}
    blocks = np.array([item.blocks for item in group])
    patterns = blocks - np.median(blocks, axis=1, keepdims=True)
    noise = float(np.median([item.noise for item in group]))
    deviations = np.abs(patterns - np.median(patterns, axis=0)).max(axis=1)
    # Some programs write fractions of the full scale, which are no multiples of an ADU.
    quantum = QUANTUM if np.nanmax(np.abs(blocks)) >= 1 or not noise else 0.0
    floor = max(BLOCK_FLOOR * noise, quantum)
    limit = max(limits.n_sigma * floor, USUAL * float(np.median(deviations)))
    return {
        int(i): remark(
            "odd-pattern",
            found=f"{_figure(deviations[i])} ADU",
            expected=_figure(limit),
        )
        for i in np.flatnonzero(deviations > limit)
    }


def _poor_flats(
    group: Sequence[FrameStatistics], known: Levels, _limits: QualityRecipe
) -> dict[int, Remark]:
    """Find flats with far more, or far less, relative noise than the others."""
    relative = np.array([item.noise for item in group]) / known.signal
    typical = float(np.median(relative))
    odd = {}
    for i, value in enumerate(relative.tolist()):
        found = f"{value:.2%} of its level"
        expected = f"{typical:.2%} in the other flats"
        if value > POOR_FLAT * typical:
            odd[i] = remark("dim-flat", found=found, expected=expected)
        elif POOR_FLAT * value < typical:
            odd[i] = remark("full-flat", found=found, expected=expected)
    return odd


def _odd_shapes(
    group: Sequence[FrameStatistics], known: Levels, limits: QualityRecipe
) -> dict[int, Remark]:
    """Find flats that are lit otherwise than the others: a cloud, a lamp, a dome."""
    shapes = _shapes(group, known)
    if not shapes.any():
        return {}
    usual = np.median(shapes[shapes.any(axis=1)], axis=0)
    deviations = _rms(shapes / usual - 1)
    limit = max(limits.n_sigma * SHAPE_FLOOR, USUAL * float(np.median(deviations)))
    return {
        int(i): remark(
            "odd-shape", found=f"{deviations[i]:.1%}", expected=f"{limit:.1%}"
        )
        for i in np.flatnonzero(deviations > limit)
    }


def two_shapes(
    statistics: Sequence[FrameStatistics],
    limits: QualityRecipe,
    pedestals: Sequence[float] | None = None,
) -> tuple[float, list[int]] | None:
    """Tell flats apart that were lit in two ways, as before and after a camera turned.

    Of as many of either kind none is odd, and their mean serves no light.

    Parameters
    ----------
    statistics : sequence of FrameStatistics
        One for each flat that is combined, in the unit of the raw frames.
    limits : QualityRecipe
        How odd a frame must be.
    pedestals : sequence of float, optional
        The part of each frame's level that is no light, as of `odd_frames`.

    Returns
    -------
    tuple of float and list of int, or None
        By how much the two shapes differ, of their mean and rms, and the indices of the
        fewer or later flats; None if all are of one shape, or drift from one to another.
    """
    shapes = _shapes(statistics, _levels(statistics, Action.FLAT, pedestals))
    if len(shapes) < 2 or not shapes.any():
        return None
    off = shapes / shapes.mean(axis=0) - 1
    along = off @ np.linalg.svd(off, full_matrices=False)[2][0]
    order = np.argsort(along, kind="stable")
    cut = int(np.argmax(np.diff(along[order]))) + 1
    parts = [np.sort(part) for part in (order[:cut], order[cut:])]
    centres = [off[part].mean(axis=0) for part in parts]
    apart = float(_rms(centres[0] - centres[1]))
    within = max(
        float(_rms(off[part] - centre).max())
        for part, centre in zip(parts, centres, strict=True)
    )
    floor = limits.n_sigma * SHAPE_FLOOR * (LONE if min(map(len, parts)) < 2 else 1)
    if apart < max(floor, APART * within):
        return None
    return apart, min(parts, key=lambda part: (len(part), -part[0])).tolist()


def _shapes(group: Sequence[FrameStatistics], known: Levels) -> Values:
    """Give the light in the lit blocks of flats, of its median: (n, blocks).

    Of a flat without light in most of them it is 0 everywhere.
    """
    if not all(item.blocks for item in group):
        return np.empty((len(group), 0))
    shapes = np.array([item.blocks for item in group]) - known.pedestal[:, None]
    # Blocks of a dead amplifier have no pixels.
    shapes = shapes[:, np.isfinite(shapes).all(axis=0)]
    if not shapes.size:
        return shapes
    usual = np.median(_scaled(shapes, shapes.max(axis=1)), axis=0)
    # Blocks without light have no shape: outside of a round field, or of the shutter.
    shapes = shapes[:, usual > LIT * usual.max()]
    return _scaled(shapes, np.median(shapes, axis=1)) if shapes.size else shapes


def _scaled(shapes: Values, light: Values) -> Values:
    """Divide the blocks of each flat by its light; without any they are 0."""
    light = light[:, None]
    return np.divide(shapes, light, out=np.zeros_like(shapes), where=light > 0)


def _rms(deviations: Values) -> Values:
    return np.asarray(np.sqrt(np.mean(deviations**2, axis=-1)))


Check = Callable[[Sequence[FrameStatistics], Levels, QualityRecipe], dict[int, Remark]]
_DARK_CHECKS: tuple[Check, ...] = (_odd_levels, _odd_noise, _odd_patterns)
_FLAT_CHECKS: tuple[Check, ...] = (_poor_flats, _odd_shapes)


def _majority(
    values: Values, floor: float, tolerated: float, n_sigma: float
) -> NDArray[np.bool_]:
    """Mark the values that belong together.

    The two thirds that lie next to the median are the beginning; the others join
    them, the nearest first, until one is too far from those that have joined [1]_.

    Parameters
    ----------
    values : (n,) array
        One for each of three frames or more.
    floor : float
        Scatter that is nothing unusual, in the unit of the values.
    tolerated : float
        Distance that is never too far.
    n_sigma : float
        Scatters that are too far; more where the scatter comes from few values.

    Returns
    -------
    (n,) array of bool
        False for values that are too far off.

    References
    ----------
    .. [1] Atkinson, Riani & Cerioli (2004), Exploring Multivariate Data with the
       Forward Search, Springer.
    """
    order = np.argsort(np.abs(values - np.median(values)), kind="stable")
    n = math.ceil(2 * len(values) / 3)
    while n < len(values):
        joined = values[order[:n]]
        beyond_floor = max(0.0, float(np.var(joined, ddof=1)) - floor**2)
        distrust = 1 + SMALL_SAMPLE / (n - 1)
        limit = n_sigma * math.sqrt(floor**2 + beyond_floor * distrust**2)
        distance = abs(values[order[n]] - np.median(joined))
        if distance > max(limit, tolerated):
            break
        n += 1
    inside = np.zeros(len(values), np.bool_)
    inside[order[:n]] = True
    return inside
