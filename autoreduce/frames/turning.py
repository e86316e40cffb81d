"""What is told of a frame whose rows are read from the last to the first."""

from autoreduce.fits.sections import moved_pattern, turned_section

TURNED_WITH_ROWS = ("biassec", "trimsec", "bayerpat", "roworder")
"""Facts of the frame table that change when the rows of a frame are turned."""
_OTHER_ORDER = {"TOP-DOWN": "BOTTOM-UP", "BOTTOM-UP": "TOP-DOWN"}


def with_rows_turned(fact: str, value: str, ny: int) -> str:
    """Return what a fact is once the rows of its frame are turned.

    Parameters
    ----------
    fact : str
        One of `TURNED_WITH_ROWS`.
    value : str
        What it is of the frame as it lies.
    ny : int
        Rows of the frame.

    Examples
    --------
    >>> with_rows_turned("bayerpat", "RGGB", 48), with_rows_turned("biassec", "[3:9,1:4]", 10)
    ('GBRG', '[3:9,7:10]')
    """
    if fact == "bayerpat":
        return moved_pattern(value, ny - 1, 0)
    if fact == "roworder":
        return _OTHER_ORDER.get(value, value)
    return turned_section(value, ny)
