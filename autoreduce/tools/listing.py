"""Tables for people, for awk, for spreadsheets and for programs."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autoreduce.fits.spreadsheet import csv_text

BLANK = "...."
"""What stands in a text table for a value that is missing or blank."""

Cell = str | int | float | bool | None


class TableForm(StrEnum):
    """How a table is written."""

    TEXT = "text"
    """Aligned columns under a line of names and a line of column numbers."""
    CSV = "csv"
    JSON = "json"
    """A list of objects, one a row."""


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows of plain values; None is a missing value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def render(self, form: TableForm = TableForm.TEXT) -> str:
        """Write the table as text that ends with a line feed."""
        if form is TableForm.CSV:
            return _as_csv(self)
        if form is TableForm.JSON:
            return _as_json(self)
        return _as_text(self)


def _as_text(table: Table) -> str:
    numbers = [str(number) for number in range(1, len(table.columns) + 1)]
    heads: list[Sequence[str]] = [table.columns, numbers]
    # The mark belongs to the first word, so that $1 of awk is column 1 there too.
    marked = [[f"#{head[0]}", *head[1:]] for head in heads if head]
    body = [[_word(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*marked, *body, strict=True)]
    columns = list(zip(*table.rows, strict=True)) or [()] * len(widths)
    numeric = [_is_numeric(column) for column in columns]
    lines = [
        "  ".join(
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in [*marked, *body]
    ]
    return "\n".join(lines) + "\n"


def _is_numeric(column: Sequence[Cell]) -> bool:
    known = [cell for cell in column if cell is not None]
    plain = all(isinstance(x, int | float) and not isinstance(x, bool) for x in known)
    return bool(known) and plain


def _word(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "T" if cell else "F"
    if isinstance(cell, float):
        return number_text(cell)
    words = "" if cell is None else "_".join(str(cell).split())
    return words or BLANK


def number_text(value: float) -> str:
    """Write a number in at most ten digits, the shortest way that keeps them."""
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return f"{value:.10g}"


def _as_csv(table: Table) -> str:
    return csv_text(table.columns, table.rows)


def _as_json(table: Table) -> str:
    rows = [
        dict(zip(table.columns, map(_finite, row), strict=True)) for row in table.rows
    ]
    text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    # Bytes of a name that are not UTF-8, and would be none in JSON, as JSON writes them.
    return text.encode("utf-8", "backslashreplace").decode()


def _finite(cell: Cell) -> Cell:
    """Give None for NaN and infinity, which JSON has no words for."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
