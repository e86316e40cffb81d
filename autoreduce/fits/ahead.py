"""Reading ahead: the next band comes in while this one is worked on."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Piece = TypeVar("Piece")
Read = TypeVar("Read")


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
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        left = iter(pieces)
        coming = [(piece, reader.submit(read, piece)) for piece in islice(left, 1)]
        while coming:
            piece, waiting = coming.pop()
            ready = waiting.result()
            coming = [(other, reader.submit(read, other)) for other in islice(left, 1)]
            yield piece, ready
