"""Tiles: the pieces of a band that stay in the processor's cache.

A kernel makes many short passes over the same samples.  On a tile that fits the
cache they run several times faster than on a whole band, and the buffers between
the passes are small, and used again for the next tile: memory that is touched for
the first time costs more than the arithmetic (`benchmarks/README.md`).
"""

from collections.abc import Iterator

Tile = tuple[slice, slice]
"""Rows and columns of a tile."""


def tiles(shape: tuple[int, int], n_pixels: int) -> Iterator[Tile]:
    """Cut a band into tiles: whole rows, or parts of a row that is too long.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the band.
    n_pixels : int
        Pixels of a tile at the most; at least 1.

    Yields
    ------
    tuple of slice
        Rows and columns, in the order in which they lie in memory.
    """
    ny, nx = shape
    height, width = max(n_pixels // max(nx, 1), 1), min(n_pixels, nx)
    for top in range(0, ny, height):
        for left in range(0, nx, max(width, 1)):
            yield slice(top, min(top + height, ny)), slice(left, min(left + width, nx))
