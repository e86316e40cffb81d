"""Sorting networks: order a few rows of samples with minimum and maximum alone.

A network is a fixed list of comparators.  Each puts two rows in order, for all
pixels at once and without a branch, which numpy does at the speed of the cache
and in the camera's own integers.  A comparator, or one side of it, that cannot
reach a wanted rank is left out.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Row = NDArray[Any]
"""One sample of each pixel of a tile."""


class Comparator(NamedTuple):
    """Put two rows in order, and which of the two results is wanted."""

    low: int
    high: int
    wants_low: bool
    wants_high: bool


class _Step(NamedTuple):
    """A comparator as it is carried out: registers that it reads, and writes."""

    a: int
    b: int
    low: int | None
    high: int | None


def merge_exchange(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Generate Batcher's odd-even merge sort of any number of rows [1]_.

    Every other row is sorted, then those between, then both are merged: what is sorted
    stays in the cache until it is done.

    Parameters
    ----------
    rows : sequence of int
        The rows, by their ranks.

    Yields
    ------
    tuple of int
        The two rows of a comparator, the lower rank first.

    References
    ----------
    .. [1] Knuth (1998), The Art of Computer Programming 3, algorithm 5.2.2 M.
    """
    n = len(rows)
    if n < 2:
        return
    yield from merge_exchange(rows[::2])
    yield from merge_exchange(rows[1::2])
    yield from zip(rows[::2], rows[1::2], strict=False)
    step = 1 << (n - 1).bit_length() >> 1
    while step > 1:
        yield from zip(rows[1::2], rows[step::2], strict=False)
        step >>= 1


@lru_cache(maxsize=256)
def pruned_network(groups: tuple[int | None, ...]) -> tuple[Comparator, ...]:
    """Build the network that serves the wanted ranks, and no more.

    Parameters
    ----------
    groups : tuple
        For each rank from the lowest: None where it is not wanted, else the
        number of its group.  The ranks of a group may come out in any order
        among themselves, as is enough for the two middle samples of a median
        or for a sum.

    Returns
    -------
    tuple of Comparator
        What is left of `merge_exchange`.
    """
    needs: list[tuple[str, int | None]] = [("rank", group) for group in groups]
    kept = []
    for low, high in reversed(list(merge_exchange(range(len(groups))))):
        if needs[low] == needs[high] and needs[low][0] == "rank":
            continue
        wanted = [needs[row] != ("rank", None) for row in (low, high)]
        kept.append(Comparator(low, high, *wanted))
        needs[low], needs[high] = ("row", low), ("row", high)
    return tuple(reversed(kept))


def ordered(
    rows: Sequence[Row], groups: tuple[int | None, ...], spare: Sequence[Row]
) -> list[Row]:
    """Put rows in order, pixel by pixel.

    Parameters
    ----------
    rows : sequence of n arrays
        Samples, all of one shape and type.  They are not changed.
    groups : tuple of n
        The wanted ranks, see `pruned_network`.
    spare : sequence of n + 2 arrays
        Buffers like the rows; they are overwritten and some of them returned.

    Returns
    -------
    list of n arrays
        The samples of each rank; what stands at ranks that are not wanted has
        no meaning.  A pixel with NaN has no meaning at all.
    """
    registers = [*rows, *spare]
    steps, results = _compiled(groups)
    for a, b, low, high in steps:
        one, other = registers[a], registers[b]
        if low is not None:
            np.minimum(one, other, out=registers[low])
        if high is not None:
            np.maximum(one, other, out=registers[high])
    return [registers[result] for result in results]


@lru_cache(maxsize=256)
def _compiled(
    groups: tuple[int | None, ...],
) -> tuple[tuple[_Step, ...], tuple[int, ...]]:
    """Say where each comparator of a network reads and writes.

    Registers are the rows, then the spare ones; these are used again as soon as nobody
    needs what they hold.

    Returns
    -------
    steps : tuple of _Step
        Every comparator that is left.
    results : tuple of int
        The register of each rank.
    """
    n = len(groups)
    place, free = list(range(n)), list(range(n, 2 * n + 2))
    steps = []
    for low, high, wants_low, wants_high in pruned_network(groups):
        a, b = place[low], place[high]
        to = [free.pop()] if wants_low and wants_high else []
        free += [one for one in (a, b) if one >= n]
        # The last result may take the place of what it is made from.
        to.append(free.pop())
        to_low, to_high = to[0] if wants_low else None, to[-1] if wants_high else None
        steps.append(_Step(a, b, to_low, to_high))
        place[low], place[high] = to_low or a, to_high or b
    return tuple(steps), tuple(place)
