"""Tables that a spreadsheet may open: no cell of them is run as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_ROWS_OF_A_PIECE = 10_000
_FORMULA = re.compile(r"'*(?:[=@\t\r]|[+-](?![\d.:\s]*$))")
_GUARDED = re.compile(r"'+(?:[=@\t\r]|[+-](?![\d.:\s]*$))")


def guarded(cell: object) -> object:
    """Return a cell with an apostrophe before a text that would be run.

    Spreadsheets take what begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and
    what begins with an apostrophe for text.  Numbers, and texts of digits such as
    ``-12:34:56``, stay as they are.

    Examples
    --------
    >>> guarded("=1+1"), guarded("-12:34:56"), guarded("M 13"), guarded(-3.5)
    ("'=1+1", '-12:34:56', 'M 13', -3.5)
    """
    is_run = isinstance(cell, str) and _FORMULA.match(cell)
    return f"'{cell}" if is_run else cell


def unguarded(text: str) -> str:
    """Return the text of a cell that `guarded` has written.

    Examples
    --------
    >>> unguarded("'=1+1"), unguarded("'tis")
    ('=1+1', "'tis")
    """
    return text[1:] if _GUARDED.match(text) else text


def csv_text(names: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Write a table as CSV whose cells are `guarded`, with line feeds."""
    return "".join(csv_pieces(names, (map(guarded, row) for row in rows)))


def csv_pieces(names: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Write a table as CSV, piece by piece; its cells are `guarded` already."""
    rows = iter(rows)
    some: list[Iterable[object]] = [names]
    while some:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(some)
        yield text.getvalue()
        some = list(islice(rows, _ROWS_OF_A_PIECE))


def frame_text(table: "pd.DataFrame") -> str:
    """Write a data frame as `csv_text` does, missing values as empty cells."""
    return "".join(frame_pieces(table))


def frame_pieces(table: "pd.DataFrame") -> Iterator[str]:
    """Write a data frame as `frame_text` does, piece by piece."""
    for name in table.columns:
        # Most columns have few different cells, and none that would be run.
        cells = [cell for cell in table[name].unique() if guarded(cell) is not cell]
        if cells:
            safe = {cell: guarded(cell) for cell in cells}
            table = table.assign(**{name: table[name].replace(safe)})
    yield str(table[:0].to_csv(index=False))
    for start in range(0, len(table), _ROWS_OF_A_PIECE):
        some = table[start : start + _ROWS_OF_A_PIECE]
        yield str(some.to_csv(index=False, header=False))
