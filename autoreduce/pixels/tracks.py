"""What moves among the stars of a series, as comets and minor planets do."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_SEEN = 4
"""Lights in which a thing must be seen to tell that it moves evenly."""
SEEN_IN = 0.6
"""Part of the lights in which it must be seen."""
AT_ONCE = 16
"""Lights that are looked at, far from one another."""
BRIGHTEST = 30
"""Things that are no stars, of each light, which may be the one that moves."""
STANDS, NEAR = 1.0, 2.0
"""Distances, in pixels, at which a thing stands still, and lies on its track."""
ENDS = 3
"""Lights at both ends of the series that tracks are drawn between."""
MOST_ALIKE = 2
"""Tracks side by side that may be those of one body and of a part of it: many are what
stands still on the sensor."""


class Track(NamedTuple):
    """How a thing moves among the stars."""

    length: float
    """Pixels from the first light to the last."""
    follows: float
    """Pixels, at the most, by which it moves on the sensor meanwhile."""


def track(
    places: Sequence[Floats], own: Sequence[Floats], times: Sequence[float]
) -> Track | None:
    """Find the brightest thing that moves evenly among the stars.

    Parameters
    ----------
    places : sequence of (n, 2) arrays, pixel
        What stands out in each light, the brightest first, where the stars of all lights
        lie on one another.
    own : sequence of (n, 2) arrays, pixel
        The same, in pixels of the light itself.
    times : sequence of float
        When each light was taken, in any unit.

    Returns
    -------
    Track or None
        None if nothing moves by as much as tells it from a star, or so many things
        alike that they are none in the sky.
    """
    order = np.argsort(times, kind="stable")
    if len(order) < FEWEST_SEEN or not times[order[-1]] > times[order[0]]:
        return None
    places = [places[i] for i in order]
    loose = [kept[:BRIGHTEST] for kept in _no_stars(places)]
    chosen = np.unique(np.linspace(0, len(order) - 1, AT_ONCE).astype(int))
    when = np.array([times[order[i]] for i in chosen], np.float64)
    when = (when - when[0]) / (when[-1] - when[0])
    seen = [places[i][loose[i]] for i in chosen]
    there = [own[order[i]][loose[i]] for i in chosen]
    found: list[tuple[int, int, Floats, float]] = []
    for first in range(min(ENDS, len(chosen))):
        for last in range(max(len(chosen) - ENDS, first + 1), len(chosen)):
            found += _between(first, last, seen, there, when)
    if not found:
        return None
    most = max(n for n, *_ in found)
    best = min((one for one in found if one[0] == most), key=lambda one: one[1])
    rates = np.array([rate for n, _, rate, _ in found if n == most])
    starts = np.array([at for n, at, *_ in found if n == most])
    alike = np.hypot(*(rates - best[2]).T) < NEAR
    if len(np.unique(starts[alike])) > MOST_ALIKE:
        return None
    return Track(math.hypot(*best[2]), best[3])


def _no_stars(places: Sequence[Floats]) -> list[NDArray[np.intp]]:
    """Give what stands in less than half of the lights at one place."""
    from scipy.spatial import cKDTree

    every = np.concatenate(places)
    ends = np.cumsum([len(place) for place in places])[:-1]
    if not len(every):
        return [np.empty(0, np.intp) for _ in places]
    count = cKDTree(every).query_ball_point(every, STANDS, return_length=True)
    return [np.flatnonzero(n <= len(places) / 2) for n in np.split(count, ends)]


def _between(
    first: int,
    last: int,
    seen: Sequence[Floats],
    own: Sequence[Floats],
    when: Floats,
) -> list[tuple[int, int, Floats, float]]:
    """Give the tracks from things of a light to things of another that others confirm.

    In how many lights each is seen, how manieth it is in brightness, how far it moves,
    and by how much it does on the sensor.
    """
    begin, end = seen[first], seen[last]
    if not (len(begin) and len(end)):
        return []
    rates = (end[None] - begin[:, None]) / (when[last] - when[first])
    a, b = np.nonzero(np.hypot(rates[..., 0], rates[..., 1]) > 2 * NEAR)
    rate, start = rates[a, b], begin[a]
    n_seen = np.zeros(len(a), np.intp)
    low, high = np.full((len(a), 2), np.inf), np.full((len(a), 2), -np.inf)
    for moment, things, on_sensor in zip(when, seen, own, strict=True):
        if not len(things):
            continue
        at = start + rate * (moment - when[first])
        distance = np.hypot(*np.moveaxis(at[:, None] - things[None], -1, 0))
        near = distance.argmin(axis=1)
        hit = distance[np.arange(len(a)), near] < NEAR
        n_seen += hit
        low[hit] = np.minimum(low[hit], on_sensor[near[hit]])
        high[hit] = np.maximum(high[hit], on_sensor[near[hit]])
    good = n_seen >= max(FEWEST_SEEN, SEEN_IN * len(seen))
    moved = np.hypot(*(high - low)[good].T)
    # The manieth among what is no star: the brightest comes first.
    return [
        (int(n_seen[i]), int(a[i]), rate[i], float(far))
        for i, far in zip(np.flatnonzero(good), moved, strict=True)
    ]
