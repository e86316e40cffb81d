"""Reading ahead: the next comes in while this one is worked on."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Protocol, TypeVar

from autoreduce.fits.closing import ended

Piece = TypeVar("Piece")
Read = TypeVar("Read")

_PART = 32
"""Files that one thread reads at a time."""
_WAITS, _WORK_S = 0.5, 2e-3
"""Times that a thread has to wait for a file, and the time for which it works on it,
from which others are called."""


class Each(Protocol):
    """Calls a function for many items, as `map` does: in other processes, if it can."""

    def __call__(
        self, function: Callable[[Piece], Read], items: Iterable[Piece], /
    ) -> Iterable[Read]:
        """Give what the function makes of each, in their order."""


def read_ahead(
    read: Callable[[Piece], Read], pieces: Iterable[Piece]
) -> Iterator[tuple[Piece, Read]]:
    """Yield each piece with what was read of it, the next being read meanwhile.

    Reading waits for the disk and copies memory, which leaves the interpreter free
    for the arithmetic.  One thread reads, in order.

    Parameters
    ----------
    read : callable
        Reads a piece.  What it returns must stay as it is while the next piece is
        read, not longer: two buffers in turn are enough.
    pieces : iterable
        What to read.

    Yields
    ------
    tuple
        The piece, and what `read` made of it.  Its errors are raised here.
    """
    with ended(ThreadPoolExecutor(1, "read-ahead")) as reader:
        left = iter(pieces)
        coming = [(piece, reader.submit(read, piece)) for piece in islice(left, 1)]
        while coming:
            piece, waiting = coming.pop()
            ready = waiting.result()
            coming = [(other, reader.submit(read, other)) for other in islice(left, 1)]
            yield piece, ready


def read_many(
    threads: int, read: Callable[[Piece], Read], files: Iterable[Piece]
) -> Iterator[Read]:
    """Read many files, by several threads where that is faster.

    Small files in the page cache are read by one thread faster than several take turns;
    those on a disk, the more so across a network, and large ones by several
    (``benchmarks/bench_scan.py``).

    Parameters
    ----------
    threads : int
        How many to call where one has to wait, or to work long.
    read : callable
        Reads a file.
    files : iterable
        What to read.

    Yields
    ------
    object
        What `read` made of each, in their order.
    """
    return read_parts(threads, lambda part: list(map(read, part)), files)


def read_parts(
    threads: int, read_part: Callable[[list[Piece]], list[Read]], files: Iterable[Piece]
) -> Iterator[Read]:
    """Read many files as `read_many` does, with what reads some of them at once."""
    left = iter(files)
    parts = iter(lambda: list(islice(left, _PART)), [])
    for part in parts:
        waits, work_s = _n_waits(), time.thread_time()
        yield from read_part(part)
        is_slow = _n_waits() - waits > _WAITS * len(part)
        if is_slow or time.thread_time() - work_s > _WORK_S * len(part):
            break
    with ended(ThreadPoolExecutor(threads)) as pool:
        yield from chain.from_iterable(pool.map(read_part, parts))


def _n_waits() -> int:
    """Count how often this thread has waited: not for the processor, for a disk."""
    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    return resource.getrusage(who).ru_nvcsw
