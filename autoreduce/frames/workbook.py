"""The cells of an .xlsx file as text: what a spreadsheet makes of an edited table.

An .xlsx file is a zip archive of XML (ISO/IEC 29500): a list of texts, and sheets whose
cells hold numbers or places in that list.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from xml.etree import ElementTree as ET

from autoreduce.errors import TableError

ZIP = b"PK\x03\x04"
"""First bytes of an archive."""
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
"""First bytes of an .xls file."""
MOST_BYTES = 500_000_000
"""Of one part, unpacked: a table of frames has far less."""
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 -- spreadsheets know no time zone
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"
_RELATION = re.compile(r"\}id$")
_SPOILT = (
    zipfile.BadZipFile,
    ET.ParseError,
    EOFError,
    KeyError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
    zlib.error,
)


def read_workbook(content: bytes) -> list[list[str]]:
    """Read the first sheet of an .xlsx file.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    list of list of str
        Rows of cells; truth as ``true`` and ``false``, numbers with a decimal point, an
        empty cell as empty text.

    Raises
    ------
    TableError
        If it is no such file, is damaged, or a cell shows an error such as ``#NAME?``.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = set(archive.namelist())
            if "xl/workbook.xml" not in names:
                raise TableError(_no_workbook(names))
            texts = _texts(archive) if "xl/sharedStrings.xml" in names else []
            sheet = _part(archive, _first_sheet(archive))
            return list(_rows(sheet, texts))
    except _SPOILT as error:
        msg = f"a damaged .xlsx file ({error}); save it once more, or as CSV"
        raise TableError(msg) from error


def date_text(serial: float) -> str:
    """Write a date that a spreadsheet keeps as a number of days.

    Examples
    --------
    >>> date_text(45353.0), date_text(45353.25)
    ('2024-03-02', '2024-03-02T06:00:00')
    """
    when = _DAY_ZERO + timedelta(seconds=round(serial * 86400, 3))
    return when.isoformat() if serial % 1 else f"{when:%Y-%m-%d}"


def _no_workbook(names: set[str]) -> str:
    kind = "an OpenDocument table" if "content.xml" in names else "a zip archive"
    return f"{kind}, not CSV or .xlsx: save it as one of these"


def _part(archive: zipfile.ZipFile, name: str) -> ET.Element:
    if archive.getinfo(name).file_size > MOST_BYTES:
        msg = f"{name} is too large"
        raise ValueError(msg)
    return ET.fromstring(archive.read(name))


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """Find the part that holds the first sheet, by the relations of the workbook."""
    sheet = next(
        one for one in _part(archive, "xl/workbook.xml").iter() if _is(one, "sheet")
    )
    wanted = next(value for key, value in sheet.attrib.items() if _RELATION.search(key))
    relations = _part(archive, "xl/_rels/workbook.xml.rels")
    target = next(one.get("Target", "") for one in relations if one.get("Id") == wanted)
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _is(element: ET.Element, name: str) -> bool:
    return element.tag in (_MAIN + name, _STRICT + name)


def _texts(archive: zipfile.ZipFile) -> list[str]:
    items = _part(archive, "xl/sharedStrings.xml")
    return [_text(item) for item in items if _is(item, "si")]


def _text(item: ET.Element) -> str:
    """Join the runs of a text; how it is pronounced is no part of it."""
    runs = [one for one in item if not _is(one, "rPh")]
    parts = (part for run in runs for part in run.iter() if _is(part, "t"))
    return "".join(part.text or "" for part in parts)


def _rows(sheet: ET.Element, texts: list[str]) -> Iterator[list[str]]:
    """Give the cells of each row; cells and rows that are empty may not be there."""
    number = 0
    for row in (one for one in sheet.iter() if _is(one, "row")):
        number += 1
        for _ in range(number, int(row.get("r", number))):
            yield []
        number = int(row.get("r", number))
        cells: list[str] = []
        for cell in (one for one in row if _is(one, "c")):
            place = cell.get("r")
            column = len(cells) if place is None else _column(place)
            cells += [""] * (column - len(cells))
            cells.append(_cell(cell, texts))
        yield cells


def _column(place: str) -> int:
    """Count a column from 0: that of ``C7`` is 2."""
    number = 0
    for letter in re.match(r"[A-Z]+", place)[0]:  # type: ignore[index]
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _cell(cell: ET.Element, texts: list[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return "".join(_text(one) for one in cell if _is(one, "is"))
    value = next((one.text or "" for one in cell if _is(one, "v")), "")
    if kind == "e":
        msg = f"cell {cell.get('r')} shows {value}: write what is meant, and save it again"
        raise TableError(msg)
    if kind == "s" and value:
        return texts[int(value)]
    return {"0": "false", "1": "true"}[value] if kind == "b" and value else value
