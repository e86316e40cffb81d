"""Sections of images and cubes, as an observer gives them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.sections import Section, format_section, parse_section, within

_CUBE = re.compile(
    r"\[(?P<plane>[^,\]]*,[^,\]]*),\s*(?P<first>\d+)\s*:\s*(?P<last>\d+)\s*\]"
)


@dataclass(frozen=True, slots=True)
class Region:
    """A section of an image, and of the planes of a cube."""

    section: Section
    """Rows and columns, zero based, the end left out."""
    planes: slice | None = None
    """Planes of a cube; all of them if None."""

    @property
    def text(self) -> str:
        """The region as FITS text: one based, both ends included."""
        text = format_section(self.section)
        if self.planes is None:
            return text
        return f"{text[:-1]},{self.planes.start + 1}:{self.planes.stop}]"

    def slices(self, shape: Sequence[int], name: str) -> tuple[slice, ...]:
        """Return what cuts the region out of an image.

        Parameters
        ----------
        shape : sequence of int
            (ny, nx) or (nz, ny, nx).
        name : str
            Name of the image, for the message.

        Raises
        ------
        InputError
            If the region does not lie within the image, or has planes and the image
            has not.
        """
        inside = within(self.section, tuple(shape))
        if self.planes is not None:
            inside = inside and len(shape) == 3 and self.planes.stop <= shape[0]
        if not inside:
            size = " x ".join(str(length) for length in reversed(shape))
            msg = f"section {self.text} does not lie within {name}, which is {size}"
            raise InputError(msg)
        if len(shape) == 2:
            return self.section
        return (self.planes or slice(0, shape[0]), *self.section)

    def cut(self, data: NDArray[Any], name: str) -> NDArray[Any]:
        """Return the region of an image as a view; errors as in `slices`."""
        return data[self.slices(data.shape, name)]


def region_of_text(text: str) -> Region:
    """Read ``[x1:x2,y1:y2]`` or ``[x1:x2,y1:y2,z1:z2]``, one based, ends included.

    Raises
    ------
    InputError
        If the text is not of that form.
    """
    cube = _CUBE.fullmatch(text.strip())
    try:
        if cube is None:
            return Region(parse_section(text))
        section = parse_section(f"[{cube['plane']}]")
    except ValueError as error:
        raise InputError(str(error)) from error
    return Region(section, _span(int(cube["first"]) - 1, int(cube["last"])))


def region_of_bounds(bounds: Sequence[int]) -> Region:
    """Make a region of xmin, xmax, ymin, ymax and perhaps zmin, zmax.

    They are zero based, the upper ends exclusive.

    Raises
    ------
    InputError
        If an upper end is not above its lower one, or one is negative.
    """
    columns, rows, *planes = (
        _span(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True)
    )
    return Region((rows, columns), planes[0] if planes else None)


def _span(low: int, high: int) -> slice:
    if not 0 <= low < high:
        msg = f"a section from {low} up to {high} is empty; give the lower end first"
        raise InputError(msg)
    return slice(low, high)
