"""The observer's word over the scan's: flags and an edited frames.csv."""

import codecs
import csv
import difflib
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import repeat
from pathlib import Path, PurePosixPath

import pandas as pd

from autoreduce.errors import TableError
from autoreduce.fits.names import NUMBERS, frame_number, is_meant
from autoreduce.fits.sections import parse_section, parse_turned
from autoreduce.fits.spreadsheet import csv_pieces, guarded, unguarded
from autoreduce.fits.whole import write_text
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.literals import moment
from autoreduce.frames.schema import (
    FACT_COLUMNS,
    FRAME_COLUMNS,
    UTC,
    Column,
    ImageType,
    iso_texts,
    typed,
)
from autoreduce.frames.together import evening, sun_offset
from autoreduce.frames.turning import TURNED_WITH_ROWS, with_rows_turned
from autoreduce.frames.workbook import OLD_EXCEL, ZIP, date_text, read_workbook
from autoreduce.remarks import Remark, remark

EXCLUDED, INCLUDED = "excluded", "included"
"""Codes of frames that the observer left out, or asked for with nothing against them."""
_BY_TYPE = ("untyped", "typed-other", "typed-master", "typed-by-hand")
"""Codes of frames that are left out for their type."""

_COLUMNS = {column.name: column for column in FRAME_COLUMNS}
_SETTABLE = (*(column.name for column in FACT_COLUMNS[1:]), "bias", "dark", "flat")
_SETTING = re.compile(r"(?P<pattern>.+?):\s*(?P<facts>\w+\s*=.*)", re.DOTALL)
_NEXT_FACT = re.compile(r",\s*(?=\w+\s*=)")
_TYPES = ", ".join(ImageType)
_STEP = re.compile(r"(?P<number>[+-]\d+(\.\d+)?)\s*(?P<unit>d|h|min|s)", re.IGNORECASE)
"""By how much a date is moved."""
_STEPS = {"d": "days", "h": "hours", "min": "minutes", "s": "seconds"}
_SECTIONS: dict[str, Callable[[str], object]] = {
    "biassec": parse_section,
    "trimsec": parse_section,
    "place": parse_turned,
}


GIVEN = "given"
"""Attribute of a frame table: by facts, the files of which the observer gave them."""
MEASURABLE = ("egain", "rdnoise")
"""Facts that are measured as well, and used as measured unless the observer gave them."""


def apply_overrides(
    frames: pd.DataFrame,
    *,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the frame table as the observer wants it.

    Settings come first, then exclusions, then inclusions: the narrower wish wins
    in ``--exclude 'flat*' --include 'flat_007.fit'``.

    Parameters
    ----------
    frames : DataFrame
        The frame table; it is not changed.
    exclude : sequence of str
        Patterns (see `select`) of frames to leave out.
    include : sequence of str
        Patterns of frames to keep whatever speaks against them: ``use`` becomes
        true, ``why_not`` keeps the reason, or says that the observer asked for it.
    settings : sequence of str
        ``PATTERN: column=value, column=value``.  An empty value makes the fact
        missing; ``date_obs=+7h`` moves a date (d, h, min, s).  A type given by hand
        brings back a frame that was left out because of its type.

    Returns
    -------
    DataFrame
        A new table with the same ``attrs``, and what was `GIVEN`.

    Raises
    ------
    TableError
        If a pattern matches nothing, or a setting names no column or does not fit.
    """
    table = frames.copy()
    for setting in settings:
        table = _set(table, setting)
    for pattern in exclude:
        chosen = select(table, pattern)
        _tell(table, chosen, False, remark(EXCLUDED))
    for pattern in include:
        chosen = select(table, pattern)
        table.loc[chosen, "use"] = True
        unsaid = table["why_not"].fillna("").eq("") | table["code"].eq(EXCLUDED)
        _tell(table, chosen & unsaid.fillna(value=False), True, remark(INCLUDED))
    return table


def give(table: pd.DataFrame, name: str, files: Iterable[str]) -> None:
    """Note that the observer gave a fact of some frames, in ``attrs`` of the table."""
    given = dict(table.attrs.get(GIVEN, {}))
    given[name] = sorted({*given.get(name, ()), *files})
    table.attrs = {**table.attrs, GIVEN: given}


def select(frames: pd.DataFrame, pattern: str) -> pd.Series:
    """Return which frames a pattern means.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    pattern : str
        A path or a file name, with or without its ending and ``[N]``, a folder, a
        glob, a frame number (``0051``) or a range of them (``0041-0050``), or several
        of these with commas between them.  A frame's number is the last one in its
        file's stem.

    Returns
    -------
    Series of bool
        At least one is true.

    Raises
    ------
    TableError
        If no frame is meant; the message lists the nearest names.
    """
    names = [str(name) for name in frames["file"]]
    wanted = _relative(pattern.strip(), frames.attrs.get("root"))
    # A path that is there means that file alone, and none of its name in a folder.
    chosen = [name == wanted for name in names]
    if not any(chosen):
        chosen = [is_meant(name, wanted) for name in names]
    if not any(chosen) and "," in wanted:
        parts = [select(frames, part) for part in wanted.split(",") if part.strip()]
        chosen = [any(marks) for marks in zip(*parts, strict=True)]
    if not any(chosen):
        raise TableError(_no_match(pattern, names))
    return pd.Series(chosen, index=frames.index, dtype=bool)


def write_frames_csv(frames: pd.DataFrame, path: Path) -> None:
    """Write a frame table as CSV, whole or not at all.

    Missing facts are empty cells and times are UTC; `read_frames_csv` returns the
    same table.
    """
    cells = (_cells(frames[name]) for name in _COLUMNS)
    write_text(path, csv_pieces(list(_COLUMNS), zip(*cells, strict=True)))


def read_frames_csv(path: Path, scanned: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read a frame table, also one that a spreadsheet has saved.

    Of CSV, commas, semicolons or tabs may separate the cells; with semicolons or tabs
    numbers may have decimal commas.  Of .xlsx it is the first sheet.  Truth may be
    ``true``, ``WAHR``, ``VRAI`` and the like, columns may be left out.

    Parameters
    ----------
    path : Path
        The file.
    scanned : DataFrame, optional
        Frame table from which columns come that the file has not; they are missing if
        it is not given.

    Returns
    -------
    DataFrame
        The frame table.

    Raises
    ------
    TableError
        If the file cannot be read, has a column that is none of the frame table's,
        or a cell that does not fit its column; the message says which.
    """
    lines, delimiter = _read_lines(path)
    names, *rows = lines or [[]]
    _check_names(path, names)
    if any(_has_decimal_comma(names, row) for row in rows):
        _with_decimal_points(path, names, rows, delimiter)
    records = []
    for number, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(names) and any(row[len(names) :]):
            msg = f"{path}, row {number} has {len(row)} cells, expected {len(names)}"
            raise TableError(msg)
        cells = dict(zip(names, row, strict=False))
        records.append(
            {name: _cell(path, number, name, text) for name, text in cells.items()}
        )
    table = pd.DataFrame.from_records(records, columns=names)
    if scanned is not None:
        known = scanned.set_index("file").reindex(table["file"])
        for name in known.columns.difference(names):
            table[name] = known[name].array
    return typed(table)


def _relative(pattern: str, root: object) -> str:
    path = PurePosixPath(pattern)
    if isinstance(root, str) and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return pattern.removeprefix("./")


def _no_match(pattern: str, names: Sequence[str]) -> str:
    bases = sorted({name.rpartition("/")[2] for name in names})
    near = difflib.get_close_matches(pattern, bases, n=3, cutoff=0.3) or bases[:3]
    if match := NUMBERS.fullmatch(pattern):
        wanted = int(match[1])
        numbered = [name for name in bases if frame_number(name) is not None]
        numbered.sort(key=lambda name: abs((frame_number(name) or 0) - wanted))
        near = numbered[:3] or near
    listed = ", ".join(near) if near else "none: the table is empty"
    return f"no frame matches {pattern!r}; the nearest names are {listed}"


def _set(table: pd.DataFrame, setting: str) -> pd.DataFrame:
    match = _SETTING.fullmatch(setting.strip())
    if match is None:
        msg = f"cannot read the setting {setting!r}; expected 'PATTERN: filter=R'"
        raise TableError(msg)
    chosen = select(table, match["pattern"])
    for fact in _NEXT_FACT.split(match["facts"]):
        name, _, text = (part.strip() for part in fact.partition("="))
        if name not in _SETTABLE:
            msg = f"{name!r} is no column that can be set{_nearest(name, _SETTABLE)}"
            raise TableError(msg)
        if name == "date_obs" and (step := _STEP.fullmatch(text)):
            unit = _STEPS[step["unit"].lower()]
            _shift(table, chosen, timedelta(**{unit: float(step["number"])}))
            continue
        value = _parse(_COLUMNS[name], text)
        if isinstance(value, TableError):
            msg = f"setting {setting!r}: {value}"
            raise TableError(msg)
        if name == "turned":
            _turn(table, chosen & table[name].fillna(value=False).ne(bool(value)))
        table.loc[chosen, name] = pd.NA if value is None else value
        if name in MEASURABLE and value is not None:
            give(table, name, table.loc[chosen, "file"])
        if name == "imagetyp" and value is not None:
            _bring_back(table, chosen, str(value))
    return table


def _shift(table: pd.DataFrame, chosen: pd.Series, by: timedelta) -> None:
    """Move the starts of exposures, and so their nights, as the Sun has it at the site.

    Where the longitude is not known nights are moved by whole days.
    """
    table.loc[chosen, "date_obs"] += by
    days, nights = timedelta(days=int(by / timedelta(days=1))), []
    columns = table.loc[chosen, ["date_obs", "longitude", "night"]]
    for start, longitude, night in columns.itertuples(index=False):
        if pd.isna(night) or pd.isna(start):
            nights.append(night)
        elif pd.isna(longitude):
            nights.append((date.fromisoformat(night) + days).isoformat())
        else:
            nights.append(evening(start, sun_offset(longitude)))
    table.loc[chosen, "night"] = nights


def _turn(table: pd.DataFrame, chosen: pd.Series) -> None:
    """Tell sections, colour pattern and order of rows as they are once turned."""
    for at in table.index[chosen.astype(bool)]:
        ny = int(table.loc[at, "naxis2"])
        for name in TURNED_WITH_ROWS:
            value = table.loc[at, name]
            if not pd.isna(value):
                table.loc[at, name] = with_rows_turned(name, str(value), ny)


def _bring_back(table: pd.DataFrame, chosen: pd.Series, kind: str) -> None:
    if kind in (ImageType.OTHER, ImageType.MASTER):
        _tell(table, chosen, False, remark("typed-by-hand", found=kind))
        return
    by_type = chosen & table["code"].isin(_BY_TYPE)
    table.loc[by_type, "use"] = True
    table.loc[by_type, ["why_not", "code"]] = pd.NA


def _tell(table: pd.DataFrame, chosen: pd.Series, use: bool, why: Remark) -> None:
    """Say of some frames whether they are used, and why."""
    table.loc[chosen, "use"] = use
    table.loc[chosen, "why_not"] = str(why)
    table.loc[chosen, "code"] = why.code


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def _parse(column: Column, text: str) -> object:
    """Return the value of a cell, None if it is empty, an error if it is wrong."""
    text = unguarded(text.strip())
    if not text:
        return None
    if column.dtype == "string":
        return _text(column.name, text)
    if column.dtype == UTC:
        found = moment(text) or moment(text, "date", "00:00:00")
        return found or TableError(f"{column.name} is {text!r}, expected a date in UTC")
    try:
        return _in_range(column.name, _CASTS[column.dtype](text))
    except (ValueError, OverflowError):
        wanted = _EXPECTED[column.dtype]
        return TableError(f"{column.name} is {text!r}, expected {wanted}")


def _text(name: str, text: str) -> str | TableError:
    if name == "imagetyp":
        if text.lower() not in list(ImageType):
            return TableError(f"imagetyp is {text!r}, expected one of {_TYPES}")
        return text.lower()
    if name in _SECTIONS:
        try:
            _SECTIONS[name](text)
        except ValueError as error:
            return TableError(f"{name}: {error}")
    return text


@cache
def _ranges() -> dict[str, tuple[float, float]]:
    facts = load_dialects()[-1].facts
    return {name: rule.range for name, rule in facts.items() if rule.range}


def _in_range(name: str, value: object) -> object:
    """Return a number if it can be true, by the rule for those of headers."""
    if name not in _ranges() or not isinstance(value, int | float):
        return value
    least, most = _ranges()[name]
    if least <= value <= most:
        return value
    return TableError(f"{name} is {value:g}, expected {least:g} to {most:g}")


def _to_bool(text: str) -> bool:
    if text.casefold() in _TRUE:
        return True
    if text.casefold() in _FALSE:
        return False
    raise ValueError(text)


_TRUE = frozenset(
    [
        "true",
        "yes",
        "y",
        "t",
        "1",
        "wahr",
        "vrai",
        "vero",
        "verdadero",
        "verdadeiro",
        "waar",
        "sant",
        "sand",
        "prawda",
        "pravda",
        "igaz",
        "tosi",
        "истина",
    ]
)
"""What spreadsheets of several languages write for true ..."""
_FALSE = frozenset(
    [
        "false",
        "no",
        "n",
        "f",
        "0",
        "falsch",
        "faux",
        "falso",
        "onwaar",
        "falskt",
        "falsk",
        "fałsz",
        "nepravda",
        "hamis",
        "epätosi",
        "ложь",
    ]
)
"""... and for false."""


def _to_int(text: str) -> int:
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _to_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_CASTS: dict[str, Callable[[str], object]] = {
    "boolean": _to_bool,
    "Int64": _to_int,
    "Float64": _to_float,
}
_EXPECTED = {
    "boolean": "true or false",
    "Int64": "a whole number",
    "Float64": "a number",
}


def _cells(values: pd.Series) -> Iterable[str]:
    known = values.notna().to_numpy()
    if not known.any():
        return repeat("", len(values))
    if values.dtype == "string":
        return _texts(values)
    if values.dtype == UTC:
        return [text or "" for text in iso_texts(values)]
    told = values[known].tolist()
    texts = map(str, told)
    if values.dtype == "boolean":
        texts = map(str.lower, texts)
    return [next(texts) if there else "" for there in known]


def _texts(values: pd.Series) -> list[str]:
    """Write texts, of which most stand in many cells."""
    codes, texts = pd.factorize(values)
    written = [str(guarded(str(text))) for text in texts]
    written.append("")  # [-1]: missing
    return [written[code] for code in codes]


def _read_lines(path: Path) -> tuple[list[list[str]], str]:
    """Read the cells of a table, and what stands between them; nothing in .xlsx."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise TableError(msg) from error
    if raw.startswith(OLD_EXCEL):
        msg = f"{path} is an .xls file, which is not read: save it as .xlsx or CSV"
        raise TableError(msg)
    if raw.startswith(ZIP):
        return _read_sheet(path, raw), ""
    text = _decoded(raw)
    header, _, rest = text.partition("\n")
    delimiter = max(",;\t", key=header.count)
    if told := re.fullmatch(r"sep=(.)\r?", header):  # a line for spreadsheets only
        text, delimiter = rest, told[1]
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        msg = f"{path} is no CSV table: {error}"
        raise TableError(msg) from error
    if told:  # the rows keep their numbers
        rows[1:1] = [[]]
    return rows, delimiter


def _decoded(raw: bytes) -> str:
    """Turn bytes into text: spreadsheets on Windows save in encodings of their own."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _read_sheet(path: Path, raw: bytes) -> list[list[str]]:
    """Read an .xlsx file; dates that became numbers are dates again."""
    try:
        names, *rows = read_workbook(raw) or [[]]
    except TableError as error:
        msg = f"{path}: {error}"
        raise TableError(msg) from error
    dated = [at for at, name in enumerate(names) if name.strip().lower() in _DATED]
    for row in rows:
        for at in dated:
            if at < len(row) and re.fullmatch(r"\d{4,6}(\.\d+)?", row[at]):
                row[at] = date_text(float(row[at]))
    return [names, *rows]


_DATED = ("date_obs", "night")
"""Columns whose cells a spreadsheet may take for dates."""
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def _is_number(name: str) -> bool:
    return _COLUMNS[name].dtype in ("Int64", "Float64")


def _has_decimal_comma(names: Sequence[str], row: Sequence[str]) -> bool:
    return any(
        _is_number(name) and _DECIMAL_COMMA.fullmatch(cell.strip())
        for name, cell in zip(names, row, strict=False)
    )


def _with_decimal_points(
    path: Path, names: Sequence[str], rows: Sequence[list[str]], delimiter: str
) -> None:
    """Write the numbers of a table that has decimal commas with decimal points.

    Raises
    ------
    TableError
        If one of them could be either: 1.234 is 1234 to those who write 1,5, and
        between commas 1,234 is that to others.
    """
    doubtful = _GROUPED if delimiter == "," else _THOUSANDS
    for number, row in enumerate(rows, start=2):
        for at, (name, cell) in enumerate(zip(names, row, strict=False)):
            text = cell.strip()
            if not _is_number(name):
                continue
            if doubtful.fullmatch(text):
                plain = re.sub(r"[.,]", "", text)
                point = re.sub(r"[.,]", ".", text, count=1)
                msg = (
                    f"{path}, row {number}: {name} is {text!r} in a table with commas in "
                    f"its numbers, which may be {plain} or {point}: write one of these "
                    "in a table with decimal points only"
                )
                raise TableError(msg)
            if _DECIMAL_COMMA.fullmatch(text):
                row[at] = text.replace(".", "").replace(",", ".")


def _check_names(path: Path, names: list[str]) -> None:
    names[:] = [name.strip().lower() for name in names]
    while names and not names[-1]:
        names.pop()
    for name in names:
        if name not in _COLUMNS:
            near = _nearest(name, tuple(_COLUMNS))
            msg = f"{path}: {name!r} is no column of the frame table{near}"
            raise TableError(msg)
    if "file" not in names or len(set(names)) < len(names):
        msg = f"{path}: expected a column 'file', and every column once"
        raise TableError(msg)


def _cell(path: Path, row: int, name: str, text: str) -> object:
    value = _parse(_COLUMNS[name], text)
    if isinstance(value, TableError):
        msg = f"{path}, row {row}: {value}"
        raise TableError(msg)
    return value
