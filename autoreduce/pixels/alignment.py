"""Find which lights show the same field, the reference of each field, and all places.

Lights of one field are matched with its reference, or with one another where they hang
together only by their neighbours.  Nothing depends on the order of the lights.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.register import (
    FEWEST,
    Registration,
    Transform,
    match,
    match_near,
    match_shift,
)
from autoreduce.pixels.stars import Stars
from autoreduce.pixels.twice import seen_twice

Table = NDArray[Any]
Masks = list[NDArray[np.bool_]]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Each(Protocol):
    """What calls a function for each of some items, as `map` does."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterable[Result]:
        """Give the results in their order."""


STAYS = 0.7
"""Distance, in pixels, within which a detection is at the same place of the detector."""
OFTEN = 0.5
"""Part of the frames, in more than which what belongs to the detector is found."""
MOVES = 2.0
"""Shift, in pixels, by which stars are seen to move."""
PROBES = 6
"""Pairs of frames in which it is tried whether the stars move."""
NEIGHBOURS = 6
"""Lights of a field, far from one another, with which others are matched."""
NEAR = 0.1
"""Distance from the middle of the field, of its extent, that a reference may have."""
ONE_CAMERA = (0.98, 1.02)
"""Scales that lights of one camera behind one telescope can have."""
ROUGH = 0.5
"""Distance of paired stars, rms in pixels, beyond which a match of few of them is none:
clumps of a nebula have no such places as stars have."""
SPARSE = 20
"""Stars of a light above which a match of them all is asked for."""
BEYOND_DOUBT = 1e-9
"""Probability of agreement by chance with which fields that fit but roughly are one."""
SAME_SCALE, SAME_TURN = 5e-4, 0.05
"""Differences in scale, and in degrees, that shift no star by much."""
SPREAD = 0.1
"""Error of a centre, in pixels, that counts in a light's quality."""


class Unmatched(StrEnum):
    """Why a light has no place."""

    FEW_STARS = "few stars"
    """It has fewer stars than a match needs."""
    NO_MATCH = "no match"
    """Its stars fit those of no other light."""


class Placement(NamedTuple):
    """Where a light lies."""

    field: int
    """Number of the field, from 1; 0 if the light fits no other."""
    transform: Transform | None
    """From its pixels to those of the field's reference."""
    registration: Registration | None
    """How it was matched; None for a reference and for a light without a place."""
    neighbour: int | None
    """Index of the light that it was matched with: the reference, or one between."""
    reason: Unmatched | None = None
    """Why it has no place."""


class Alignment(NamedTuple):
    """How lights lie on one another."""

    references: tuple[int, ...]
    """Index of the reference of each field; the field with most lights is the first."""
    lights: tuple[Placement, ...]
    """One for each light."""
    static: tuple[NDArray[np.bool_], ...]
    """Detections of each light that belong to the detector, and were left out."""


def quality(stars: Stars) -> float:
    """Tell how good a reference a light would make: how well its stars fix a place.

    Parameters
    ----------
    stars : Stars
        As `find_stars` gives them.

    Returns
    -------
    float
        More for sharp, deep, round images, less for those that show each star twice; 0
        without stars.
    """
    if not len(stars.table):
        return 0.0
    weights = 1 / (SPREAD**2 + stars.table["error"] ** 2)
    length = float(np.median(stars.table["elongation"]))
    images = 1 if seen_twice(stars.table) is None else 2
    # Twice as many stars are there, and none of them is whole.
    return float(weights.sum() * SPREAD**2) / (length * images**2)


def static_detections(tables: Sequence[Table]) -> Masks:
    """Mark what stays at its place on the detector while the frames' other stars move.

    Parameters
    ----------
    tables : sequence of (n,) arrays of `STAR`
        Detections of the frames of one detector, in its pixels.

    Returns
    -------
    list of (n,) arrays of bool
        True for hot pixels and the like.  All False where nothing else moves: then
        the frames were guided without dithering, and what stays are the stars.
    """
    nothing = [np.zeros(len(table), np.bool_) for table in tables]
    marked = _recurring(tables)
    if not any(mask.any() for mask in marked):
        return nothing
    moving = [table[~mask] for table, mask in zip(tables, marked, strict=True)]
    return marked if _stars_move(moving) else nothing


def _recurring(tables: Sequence[Table]) -> Masks:
    """Mark the detections that most frames have at the same place."""
    from scipy.spatial import cKDTree

    n_filled = sum(len(table) > 0 for table in tables)
    ends = np.cumsum([len(table) for table in tables])
    if not n_filled:
        return [np.zeros(0, np.bool_) for _ in tables]
    places = np.concatenate([np.column_stack([t["x"], t["y"]]) for t in tables])
    # Those of one frame lie farther apart: it is frames that are counted.
    seen = cKDTree(places).query_ball_point(places, STAYS, return_length=True)
    enough = min(FEWEST, max(n_filled, 2))
    return np.split((seen > OFTEN * n_filled) & (seen >= enough), ends[:-1])


def _stars_move(tables: Sequence[Table]) -> bool:
    """Tell whether most frames match, and moved, when compared over the series."""
    full = [table for table in tables if len(table) >= FEWEST]
    if len(full) < 2:
        return False
    steps = np.unique(np.linspace(1, len(full) - 1, PROBES).astype(int))
    moved = []
    for step in steps:
        found = match(full[step], full[0])
        if found is not None:
            middle = np.float64(full[0]["x"].mean()), np.float64(full[0]["y"].mean())
            x, y = found.transform(*middle)
            moved.append(np.hypot(x - middle[0], y - middle[1]) > MOVES)
    return len(moved) > 0 and bool(np.mean(moved) >= 0.5)


def register_all(
    tables: Sequence[Table],
    qualities: Sequence[float],
    names: Sequence[str],
    *,
    reference: int | None = None,
    rough: float = ROUGH,
    each: Each = map,
) -> Alignment:
    """Register all lights of an object.

    Parameters
    ----------
    tables : sequence of (n,) arrays of `STAR`
        Stars of each light, in pixels of the whole sensor (`on_sensor`).
    qualities : sequence of float
        How good a reference each would make: see `quality`.
    names : sequence of str
        Names of the lights, or their times: they decide between equals.
    reference : int, optional
        Index of the light that is to be the reference of the first field.
    rough : float
        Distance (rms, pixels of the sensor) beyond which `SPARSE` pairs or fewer do not
        count; more where lights are binned.
    each : callable
        As `map`, by which work is done side by side.

    Returns
    -------
    Alignment
        The reference of a field is its best light among those near its middle.  The
        first field is the one with most lights, or that of `reference`.  A light that
        fits no other has no place.  The order of the lights changes nothing.

    Raises
    ------
    ValueError
        If there is not a quality and a name for each table.
    """
    n = len(tables)
    if not n == len(qualities) == len(names):
        msg = f"{n} tables need as many qualities and names"
        raise ValueError(msg)
    order = sorted(range(n), key=lambda i: (-qualities[i], names[i]))
    by_name = sorted(range(n), key=lambda i: names[i])
    (marked,) = each(static_detections, [[tables[i] for i in by_name]])
    static = tuple(mask for _, mask in sorted(zip(by_name, marked, strict=True)))
    stars = [table[~mask] for table, mask in zip(tables, static, strict=True)]
    fields = _fields(_Sky(stars, rough, each), order, reference)
    lights = [_without_place(table) for table in stars]
    for number, (_, field) in enumerate(fields, 1):
        for i, placed in field.items():
            lights[i] = placed._replace(field=number)
    return Alignment(tuple(first for first, _ in fields), tuple(lights), static)


def _without_place(table: Table) -> Placement:
    few = len(table) < FEWEST
    return Placement(
        0, None, None, None, Unmatched.FEW_STARS if few else Unmatched.NO_MATCH
    )


_Field = dict[int, Placement]


class _Sky(NamedTuple):
    """The stars of all lights, and what counts as a match of them."""

    stars: Sequence[Table]
    rough: float
    each: Each

    def match(self, table: Table, reference: Table) -> Registration | None:
        """Match two lights of one camera."""
        return self.counted(match(table, reference, scales=ONE_CAMERA))

    def counted(self, found: Registration | None) -> Registration | None:
        """Give a match back, none if few stars agree but roughly."""
        if found is None or (found.n <= SPARSE and found.rms > self.rough):
            return None
        return found


def _fields(
    sky: _Sky, order: Sequence[int], wanted: int | None
) -> list[tuple[int, _Field]]:
    """Sort lights into fields, the largest first, each with its reference."""
    rest = [i for i in order if len(sky.stars[i]) >= FEWEST]
    found: list[tuple[int, _Field]] = []
    while rest:
        first = wanted if wanted in rest else rest[0]
        field = _grown(first, rest, sky)
        members = [i for i in rest if i in field]
        rest = [i for i in rest if i not in field]
        if len(field) < 2 and first != wanted:
            continue
        better = first if first == wanted else _central(members, field, sky.stars)
        if better != first:
            again = _grown(better, members, sky)
            if len(again) == len(field):
                first, field = better, again
        found.append((first, field))
    rank = {i: place for place, i in enumerate(order)}
    found.sort(key=lambda one: (one[0] != wanted, -len(one[1]), rank[one[0]]))
    return _laid_together(found, sky)


def _laid_together(
    fields: Sequence[tuple[int, _Field]], sky: _Sky
) -> list[tuple[int, _Field]]:
    """Lay fields of few stars on a larger one that theirs fit, though roughly.

    Optics shift the stars of one filter against those of another by up to a pixel.
    That they are stars the lights of a field tell, as they fit one another sharply.
    """
    apart: list[tuple[int, _Field]] = []
    for first, field in fields:
        for other, larger in apart:
            pair = sky.stars[first], sky.stars[other]
            if min(map(len, pair)) > SPARSE or len(field) < 2:
                continue
            found = match(*pair, scales=ONE_CAMERA)
            if found is not None and found.chance < BEYOND_DOUBT:
                for i, placed in field.items():
                    whole = (placed.transform or Transform()).then(found.transform)
                    larger[i] = placed._replace(transform=whole)
                larger[first] = Placement(1, found.transform, found, other)
                break
        else:
            apart.append((first, field))
    return apart


def _grown(first: int, candidates: Sequence[int], sky: _Sky) -> _Field:
    """Find the lights that match a reference, or one another on the way to it."""
    field = {first: Placement(1, Transform(), None, None)}
    others = [i for i in candidates if i != first]
    against = partial(match, reference=sky.stars[first], scales=ONE_CAMERA)
    matches = sky.each(against, [sky.stars[i] for i in others])
    for i, found in zip(others, map(sky.counted, matches), strict=True):
        if found is not None:
            field[i] = Placement(1, found.transform, found, first)
    tried = {(i, first) for i in others}
    grew = True
    while grew:
        grew = False
        for i in candidates:
            if i in field:
                continue
            for neighbour in _spread(first, field, sky.stars):
                if (i, neighbour) in tried:
                    continue
                tried.add((i, neighbour))
                placed = _place(i, neighbour, first, field, sky)
                if placed is not None:
                    field[i] = placed
                    grew = True
                    break
    _add_sparse(first, candidates, field, sky)
    return field


def _add_sparse(
    first: int, candidates: Sequence[int], field: _Field, sky: _Sky
) -> None:
    """Add lights with so few stars that they match only as the field's others lie."""
    if len(field) < 2:
        return
    known = [placed.transform for placed in field.values() if placed.transform]
    for i in candidates:
        if i in field or len(sky.stars[i]) > SPARSE:
            continue
        for like in _unlike(known):
            found = sky.counted(match_shift(sky.stars[i], sky.stars[first], like))
            if found is not None:
                field[i] = Placement(1, found.transform, found, first)
                break


def _unlike(transforms: Sequence[Transform]) -> list[Transform]:
    """Give transforms that differ by more than their shift."""
    found: list[Transform] = []
    for one in transforms:
        alike = (
            one.mirrored == other.mirrored
            and abs(one.scale / other.scale - 1) < SAME_SCALE
            and abs((one.rotation - other.rotation + 180) % 360 - 180) < SAME_TURN
            for other in found
        )
        if not any(alike):
            found.append(one)
    return found


def _place(
    i: int, neighbour: int, first: int, field: _Field, sky: _Sky
) -> Placement | None:
    """Match a light with a neighbour of known place; then with the reference itself."""
    found = sky.match(sky.stars[i], sky.stars[neighbour])
    onward = field[neighbour].transform
    if found is None or onward is None:
        return None
    if neighbour == first:
        return Placement(1, found.transform, found, first)
    whole = found.transform.then(onward)
    direct = sky.counted(match_near(sky.stars[i], sky.stars[first], whole))
    if direct is not None:
        return Placement(1, direct.transform, direct, first)
    return Placement(1, whole, found, neighbour)


def _middle(table: Table, transform: Transform) -> NDArray[np.float64]:
    """Give the place, on the reference, of the middle of a light's stars."""
    middle = (
        np.float64((table[name].min() + table[name].max()) / 2) for name in ("x", "y")
    )
    return np.array(transform(*middle))


def _spread(first: int, field: _Field, stars: Sequence[Table]) -> list[int]:
    """Give the reference and some lights that lie far from it and from one another."""
    members = list(field)
    places = np.array(
        [_middle(stars[i], p.transform) for i, p in field.items() if p.transform]
    )
    chosen = [members.index(first)]
    distance = np.hypot(*(places - places[chosen[0]]).T)
    while len(chosen) < min(NEIGHBOURS, len(members)):
        far = int(np.argmax(distance))
        chosen.append(far)
        distance = np.minimum(distance, np.hypot(*(places - places[far]).T))
    return [members[k] for k in chosen]


def _central(members: Sequence[int], field: _Field, stars: Sequence[Table]) -> int:
    """Give the best light, of the half that is next to the middle of all."""
    places = np.array(
        [_middle(stars[i], p.transform) for i in members if (p := field[i]).transform]
    )
    distance = np.hypot(*(places - np.median(places, axis=0)).T)
    extent = max(float(np.ptp(stars[members[0]][name])) for name in ("x", "y"))
    near = distance <= max(float(np.median(distance)), NEAR * extent)
    return members[int(np.argmax(near))]
