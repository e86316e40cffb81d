"""Which frames of a combination are odd, and why.

A frame is compared with the others of its group, in its level, its noise and its
shape: the pattern of the medians of blocks of pixels.  Flats fade or brighten as
the sky does, so that they are judged by their shape and by how much light they
hold.  With two frames nobody can tell which one is odd; what is wrong with a frame
by itself (no data, nothing but one value, saturation) needs no company.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.measure import FrameStatistics
from autoreduce.planning.plan import Action
from autoreduce.planning.recipe import QualityRecipe

Values = NDArray[np.float64]

FEWEST = 3
"""With fewer frames the odd one out cannot be told."""
LEVEL_FLOOR = 0.05
"""Scatter of the level that any group may have, of a pixel's noise."""
QUANTUM = 0.2
"""The same where medians are whole or half numbers, ADU."""
BLOCK_FLOOR = 0.1
"""Deviation of a block's median that any frame may have, of a pixel's noise."""
SHAPE_FLOOR = 0.005
"""Deviation of a flat's shape that any flat may have, of its level."""
USUAL = 4.0
"""A deviation of so many times the group's median deviation is nothing unusual."""
SMALL_SAMPLE = 8.0
"""How much a scatter from few frames is distrusted: the factor 1 + this / (n - 1)
keeps false alarms rare whatever the scatter is."""
POOR_FLAT = 5.0
"""A flat with so many times the relative noise of the others adds only noise."""


def odd_frames(
    statistics: Sequence[FrameStatistics],
    action: Action,
    limits: QualityRecipe,
    *,
    pedestals: Sequence[float] | None = None,
) -> dict[int, str]:
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
    dict of int to str
        The index of each odd frame, with the reason and the number that decided.
        It may name all of them: a group of saturated flats is left out whole.

    Raises
    ------
    ValueError
        If there is not one pedestal for each frame.
    """
    levels = np.array([item.median for item in statistics])
    signals = _signals(levels, action, pedestals)
    odd = _worthless(statistics, action, limits, signals, known=pedestals is not None)
    rest = [i for i in range(len(statistics)) if i not in odd]
    for check in _FLAT_CHECKS if action is Action.FLAT else _DARK_CHECKS:
        if len(rest) < FEWEST:
            break
        group = [statistics[i] for i in rest]
        found = check(group, signals[rest], limits)
        odd |= {rest[i]: reason for i, reason in found.items()}
        rest = [i for i in rest if i not in odd]
    return dict(sorted(odd.items()))


def _signals(
    levels: Values, action: Action, pedestals: Sequence[float] | None
) -> Values:
    if pedestals is None:
        return levels - np.median(levels) if action is Action.DARK else levels
    if len(pedestals) != len(levels):
        msg = f"{len(levels)} frames need a pedestal each, not {len(pedestals)} in all"
        raise ValueError(msg)
    return levels - np.asarray(pedestals, np.float64)


def _worthless(
    statistics: Sequence[FrameStatistics],
    action: Action,
    limits: QualityRecipe,
    signals: Values,
    *,
    known: bool,
) -> dict[int, str]:
    """Find frames that are no use whatever the others are like."""
    odd: dict[int, str] = {}
    for i, item in enumerate(statistics):
        if not item.finite:
            odd[i] = "it holds no data: no pixel is finite"
        elif item.minimum == item.maximum == 0:
            odd[i] = "it holds no data: every pixel is 0"
        elif action is Action.FLAT and (item.saturated or 0) > limits.max_saturated:
            odd[i] = (
                f"{item.saturated:.1%} of its pixels are saturated, at most "
                f"{limits.max_saturated:.1%} may be"
            )
        elif action is Action.FLAT and known and not signals[i] > 0:
            odd[i] = (
                f"no light in it: its level of {item.median:.1f} ADU is not above "
                f"the {item.median - signals[i]:.1f} ADU of bias"
            )
    constant = [item.minimum == item.maximum for item in statistics]
    if not all(constant):
        for index in np.flatnonzero(constant).tolist():
            value = statistics[index].median
            odd.setdefault(index, f"it holds no data: every pixel is {value:g}")
    return odd


def _odd_levels(
    group: Sequence[FrameStatistics], signals: Values, limits: QualityRecipe
) -> dict[int, str]:
    levels = np.array([item.median for item in group])
    noise = float(np.median([item.noise for item in group]))
    quantum = QUANTUM if np.array_equal(2 * levels, np.rint(2 * levels)) else 0.0
    floor = max(LEVEL_FLOOR * noise, quantum)
    tolerated = limits.tolerance * abs(float(np.median(signals)))
    inside = _majority(signals, floor, tolerated, limits.n_sigma)
    return _reasons("level", levels, inside)


def _odd_noise(
    group: Sequence[FrameStatistics], _signals: Values, limits: QualityRecipe
) -> dict[int, str]:
    noise = np.array([item.noise for item in group])
    floor = limits.tolerance * float(np.median(noise))
    return _reasons("noise", noise, _majority(noise, floor, 0.0, limits.n_sigma))


def _reasons(what: str, values: Values, inside: NDArray[np.bool_]) -> dict[int, str]:
    others = values[inside]
    low, high = others.min(), others.max()
    usual = f"have {low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
    return {
        int(i): f"{what} {values[i]:.1f} ADU, the other {len(others)} {usual}"
        for i in np.flatnonzero(~inside)
    }


def _odd_patterns(
    group: Sequence[FrameStatistics], _signals: Values, limits: QualityRecipe
) -> dict[int, str]:
    """Find darks and bias frames with light or interference in a part of them."""
    if not all(item.blocks for item in group):
        return {}
    blocks = np.array([item.blocks for item in group])
    patterns = blocks - np.median(blocks, axis=1, keepdims=True)
    noise = float(np.median([item.noise for item in group]))
    deviations = np.abs(patterns - np.median(patterns, axis=0)).max(axis=1)
    floor = max(BLOCK_FLOOR * noise, QUANTUM)
    limit = max(limits.n_sigma * floor, USUAL * float(np.median(deviations)))
    return {
        int(i): f"a part of it is {deviations[i]:.1f} ADU off the others' pattern, "
        f"at most {limit:.1f} would pass"
        for i in np.flatnonzero(deviations > limit)
    }


def _poor_flats(
    group: Sequence[FrameStatistics], signals: Values, _limits: QualityRecipe
) -> dict[int, str]:
    """Find flats with far more, or far less, relative noise than the others."""
    relative = np.array([item.noise for item in group]) / signals
    typical = float(np.median(relative))
    odd = {}
    for i, value in enumerate(relative.tolist()):
        numbers = f"{value:.2%} of its level, {typical:.2%} in the other flats"
        if value > POOR_FLAT * typical:
            odd[i] = f"too little light: its noise is {numbers}"
        elif POOR_FLAT * value < typical:
            odd[i] = f"too little noise for a flat that is not saturated: {numbers}"
    return odd


def _odd_shapes(
    group: Sequence[FrameStatistics], signals: Values, limits: QualityRecipe
) -> dict[int, str]:
    """Find flats that are lit otherwise than the others: a cloud, a lamp, a dome."""
    if not all(item.blocks for item in group):
        return {}
    pedestals = np.array([item.median for item in group]) - signals
    shapes = np.array([item.blocks for item in group]) - pedestals[:, None]
    shapes /= np.median(shapes, axis=1, keepdims=True)
    deviations = np.sqrt(np.mean((shapes / np.median(shapes, axis=0) - 1) ** 2, axis=1))
    limit = max(limits.n_sigma * SHAPE_FLOOR, USUAL * float(np.median(deviations)))
    return {
        int(i): f"it is lit otherwise than the other flats: by {deviations[i]:.1%} "
        f"(rms), at most {limit:.1%} would pass"
        for i in np.flatnonzero(deviations > limit)
    }


Check = Callable[[Sequence[FrameStatistics], Values, QualityRecipe], dict[int, str]]
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
