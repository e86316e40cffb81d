"""Colour filter arrays: which pixels of a frame have the same colour.

Pure arrays.  A frame without a colour filter array is a mosaic of one colour, so
that what is written for colours holds for all frames.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.sections import moved_pattern
from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.order import finite_median

RGB = "RGB"
"""Colours, in the order of the planes of a cube."""
CELL = 2
"""Rows and columns after which the patterns of FITS headers repeat."""
ALIKE = 0.1
"""Pixels of one colour differ in level by less than this fraction."""
UNLIKE, SCATTER, SURELY = 0.05, 0.3, 5.0
"""Places of a cell show unlike colours if their levels differ by more of the level, and by
more of the scatter between pixels of one place, than readouts that take turns do; two
greens differ by so many times less."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Which pixels share a colour."""

    colours: tuple[str, ...]
    """Names of the colours; empty for the only one of a frame without filters."""
    cell: tuple[tuple[int, ...], ...]
    """The square that repeats: at each place the index of its colour."""

    @property
    def step(self) -> int:
        """Distance between pixels of one place."""
        return len(self.cell)

    def places(self, colour: int) -> list[tuple[int, int]]:
        """Give row and column of the places of a colour in the cell."""
        return [(y, x) for y, x in np.ndindex(self.step, self.step)
                if self.cell[y][x] == colour]  # fmt: skip

    def of_colour(
        self, rows: NDArray[Any], colour: int, *, start: int = 0, every: int = 1
    ) -> list[NDArray[Any]]:
        """Give the pixels of a colour, as views.

        Parameters
        ----------
        rows : (..., n_rows, nx) array
            Rows of a frame.
        colour : int
            Index of the colour.
        start : int
            Row of the frame with which `rows` begins.
        every : int
            Of the rows of cells only each so many-th.

        Returns
        -------
        list of array
            One for each place of the colour in the cell.
        """
        step = self.step
        return [
            rows[..., (y - start) % (step * every) :: step * every, x::step]
            for y, x in self.places(colour)
        ]

    def spread(
        self, values: NDArray[Any], start: int, shape: tuple[int, int]
    ) -> NDArray[Any]:
        """Give each pixel the value of its colour.

        Parameters
        ----------
        values : (..., n_colours) array
            A value for each colour.
        start : int
            Row of the frame with which the result begins.
        shape : (n_rows, nx)
            Rows and columns of the result.

        Returns
        -------
        (..., n_rows, nx) array
            Or (..., 1, 1) if there is one colour.
        """
        cells = values[..., np.array(self.cell)]
        if len(self.colours) == 1:
            return cells[..., :1, :1]
        ny, nx = shape
        rows = (start + np.arange(ny)) % self.step
        return cells[..., np.arange(nx) % self.step][..., rows, :]


WHITE = Mosaic(("",), ((0,),))
"""No colour filter array."""


def mosaic(pattern: str | None, origin: tuple[int, int] = (0, 0)) -> Mosaic:
    """Read a pattern of four letters.

    Parameters
    ----------
    pattern : str or None
        The colours of the first two by two pixels of the raw frame, row by row, such
        as RGGB; empty or None for a frame without colour filters.
    origin : (row, column)
        Pixel of the raw frame with which the frame begins, if it is trimmed.

    Returns
    -------
    Mosaic
        A colour that the pattern names twice counts once.

    Raises
    ------
    ValueError
        If the pattern has not four letters.
    """
    if not pattern:
        return WHITE
    if len(pattern) != CELL * CELL:
        msg = f"a colour filter array is told by four letters, not by {pattern!r}"
        raise ValueError(msg)
    letters = moved_pattern(pattern, *origin)
    colours = tuple(dict.fromkeys(pattern))
    cell = tuple(
        tuple(colours.index(name) for name in row)
        for row in (letters[:CELL], letters[CELL:])
    )
    return Mosaic(colours, cell)


def is_known(of: Mosaic) -> bool:
    """Tell whether a mosaic is one of red, blue, and green on a diagonal."""
    if set(of.colours) != set(RGB) or of.step != CELL:
        return False
    (y0, x0), *more = of.places(of.colours.index("G"))
    return len(more) == 1 and (1 - y0, 1 - x0) == more[0]


def by_place(of: Mosaic) -> Mosaic:
    """Let each place of the cell be a colour of its own: R, G1, G2, B."""
    names: list[str] = []
    for row in of.cell:
        for colour in row:
            name = of.colours[colour]
            n = len(of.places(colour))
            seen = sum(known.startswith(name) for known in names)
            names.append(f"{name}{seen + 1}" if n > 1 else name)
    places = np.arange(len(names)).reshape(of.step, of.step)
    return Mosaic(tuple(names), tuple(map(tuple, places.tolist())))


def agrees(of: Mosaic, rows: NDArray[Any], *, start: int = 0) -> bool:
    """Tell whether the pixels that should have one colour have one level.

    Headers count the pattern from the first pixel of the sensor, of the file or of
    the screen; a flat shows whether it was understood.

    Parameters
    ----------
    of : Mosaic
        As the header tells it.
    rows : (n_rows, nx) array
        Rows of a flat, free of bias.
    start : int
        Row of the frame with which they begin.

    Returns
    -------
    bool
        False if the medians of two places of one colour differ by more than `ALIKE`.
    """
    for colour in range(len(of.colours)):
        levels = [finite_median(p) for p in of.of_colour(rows, colour, start=start)]
        if max(levels) - min(levels) > ALIKE * abs(max(levels)):
            return False
    return True


def seen_patterns(image: NDArray[Any], origin: tuple[int, int] = (0, 0)) -> list[str]:
    """Tell which patterns the pixels show of a frame that names none.

    Of four neighbours two on a diagonal have the level of green, and another one has not.
    Columns or rows that differ by turns are none: they differ along both diagonals.

    Parameters
    ----------
    image : (ny, nx) array
        A flat, or a light that no flat has evened out.
    origin : (row, column)
        Pixel of the raw frame with which it begins.

    Returns
    -------
    list of str
        The two that have their greens there, as of the raw frame; empty if no colours
        are seen.
    """
    places = [image[y::CELL, x::CELL] for y, x in np.ndindex(CELL, CELL)]
    levels = np.array([finite_median(place) for place in places])
    deviations = np.abs(places[0] - levels[0])
    noise = MAD_TO_SIGMA * finite_median(deviations)
    found = []
    for green, others, patterns in (
        ([1, 2], [0, 3], ("RGGB", "BGGR")),
        ([0, 3], [1, 2], ("GRBG", "GBRG")),
    ):
        level = levels[green].mean()
        apart = np.abs(levels[others] - level).max()
        inner = np.ptp(levels[green])
        least = max(SURELY * inner, UNLIKE * abs(level), SCATTER * noise)
        if apart > least:
            found.append((level, patterns))
    if not found:
        return []
    # Of red and blue that are alike the brighter diagonal is green.
    _, patterns = max(found)
    return [moved_pattern(pattern, *origin) for pattern in patterns]
