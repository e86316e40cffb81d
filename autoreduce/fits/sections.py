"""Sections of a frame: FITS text to slices and back.

FITS counts columns first, from one, and includes both ends; numpy counts rows
first, from zero, and leaves the end out.  This is the only place that knows both.
"""

import re

Section = tuple[slice, slice]
"""Rows and columns, zero based, with the end left out."""

_TEXT = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


def parse_section(text: str) -> Section:
    """Read a section written the FITS way.

    Parameters
    ----------
    text : str
        ``[x1:x2,y1:y2]``, counted from one, both ends included.

    Returns
    -------
    tuple of slice
        Rows and columns, zero based.

    Raises
    ------
    ValueError
        If the text is not of that form, is reversed, or starts below one.

    Examples
    --------
    >>> parse_section("[1:100,11:20]")
    (slice(10, 20, None), slice(0, 100, None))
    """
    found = _TEXT.fullmatch(text.strip())
    if not found:
        msg = f"section {text!r} is not of the form [x1:x2,y1:y2]"
        raise ValueError(msg)
    x1, x2, y1, y2 = map(int, found.groups())
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        msg = f"section {text!r} must start at 1 or later and must not run backwards"
        raise ValueError(msg)
    return slice(y1 - 1, y2), slice(x1 - 1, x2)


def parse_turned(text: str) -> tuple[Section, tuple[bool, bool]]:
    """Read a section that may run backwards along either axis.

    Parameters
    ----------
    text : str
        ``[x1:x2,y1:y2]``, counted from one, both ends included.

    Returns
    -------
    tuple
        Rows and columns, zero based, and whether each of them runs backwards.

    Raises
    ------
    ValueError
        If the text is not of that form or reaches below one.

    Examples
    --------
    >>> parse_turned("[8:1,1:4]")
    ((slice(0, 4, None), slice(0, 8, None)), (False, True))
    """
    found = _TEXT.fullmatch(text.strip())
    if not found:
        msg = f"section {text!r} is not of the form [x1:x2,y1:y2]"
        raise ValueError(msg)
    x1, x2, y1, y2 = map(int, found.groups())
    low = parse_section(f"[{min(x1, x2)}:{max(x1, x2)},{min(y1, y2)}:{max(y1, y2)}]")
    return low, (y1 > y2, x1 > x2)


def format_turned(section: Section, backwards: tuple[bool, bool]) -> str:
    """Write rows and columns as FITS text, backwards where they are told to run so."""
    rows, columns = section
    (y1, y2), (x1, x2) = (
        (part.stop, part.start + 1) if turned else (part.start + 1, part.stop)
        for part, turned in zip((rows, columns), backwards, strict=True)
    )
    return f"[{x1}:{x2},{y1}:{y2}]"


def count_sections(text: str) -> int:
    """Count the sections that a text names, one behind the other."""
    return len(_TEXT.findall(text))


def format_section(section: Section) -> str:
    """Write rows and columns as FITS text; the inverse of `parse_section`.

    Raises
    ------
    ValueError
        If an end is open, negative, or not beyond its start, or there is a step.
    """
    rows, columns = section
    for part in section:
        if not _is_plain(part):
            msg = f"{part} has no FITS form: it needs 0 <= start < stop and no step"
            raise ValueError(msg)
    return f"[{columns.start + 1}:{columns.stop},{rows.start + 1}:{rows.stop}]"


def _is_plain(part: slice) -> bool:
    ends = (part.start, part.stop)
    closed = all(isinstance(end, int) for end in ends) and part.step in (None, 1)
    return closed and 0 <= part.start < part.stop


def within(section: Section, shape: tuple[int, ...]) -> bool:
    """Say whether a section lies inside a frame.

    Parameters
    ----------
    section : tuple of slice
        Rows and columns.
    shape : tuple of int
        Shape of the frame; rows and columns are its last two axes.
    """
    return all(
        0 <= part.start < part.stop <= size
        for part, size in zip(section, shape[-2:], strict=True)
    )


def section_shape(section: Section) -> tuple[int, int]:
    """Give the number of rows and of columns of a section."""
    rows, columns = section
    return rows.stop - rows.start, columns.stop - columns.start


def central_section(shape: tuple[int, ...]) -> Section:
    """Give the middle quarter of a frame: half its rows and half its columns.

    A frame with a single row or column keeps it.
    """
    rows, columns = (
        slice(size // 4, max(size - size // 4, size // 4 + 1)) for size in shape[-2:]
    )
    return rows, columns


def turned_section(text: str, ny: int) -> str:
    """Return where a section lies once the rows of the frame are turned.

    Parameters
    ----------
    text : str
        FITS text.
    ny : int
        Rows of the frame.

    Examples
    --------
    >>> turned_section("[3:9,1:4]", 10)
    '[3:9,7:10]'
    """
    rows, columns = parse_section(text)
    return format_section((slice(ny - rows.stop, ny - rows.start), columns))


def moved_pattern(pattern: str, row: int, column: int) -> str:
    """Give the colours of a mosaic that begins at another pixel of its pattern.

    Parameters
    ----------
    pattern : str
        Four letters, row by row, such as RGGB: the colours of pixels (0, 0), (0, 1),
        (1, 0) and (1, 1).
    row, column : int
        Pixel of the pattern with which the image begins: its offset (YBAYROFF,
        XBAYROFF), or where it was trimmed.

    Examples
    --------
    >>> moved_pattern("RGGB", 0, 1), moved_pattern("RGGB", 3, 2)
    ('GRBG', 'GBRG')
    """
    return "".join(
        pattern[2 * ((y + row) % 2) + (x + column) % 2] for y in (0, 1) for x in (0, 1)
    )
