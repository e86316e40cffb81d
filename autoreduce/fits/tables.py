"""Tables: columns as a BINTABLE extension, out and in."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.cards import (
    BLOCK,
    Card,
    checksummed_header,
    format_card,
    ones_complement_sum,
)
from autoreduce.fits.formats import open_unpacked
from autoreduce.fits.header import RawHeader, headers_of

_LETTERS = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u1": "B"}
_TYPES = {letter: f">{kind}" for kind, letter in _LETTERS.items()}
_FORM = re.compile(r"(\d*)([A-Z])")


def table_extension(
    name: str,
    columns: Mapping[str, Sequence[Any] | NDArray[Any]],
    *,
    units: Mapping[str, str] | None = None,
    comments: Mapping[str, str] | None = None,
) -> bytes:
    """Write columns as a binary table extension.

    Parameters
    ----------
    name : str
        EXTNAME.
    columns : mapping of str to sequence
        Numbers, truths (written as 1 and 0) or texts, all of one length.  FITS tables hold ASCII: other
        letters keep their code point in view.
    units, comments : mapping of str to str, optional
        TUNIT, and the comment of TTYPE, by column.

    Returns
    -------
    bytes
        Header and data of the extension, checksums set.
    """
    stored = {key: _stored(values) for key, values in columns.items()}
    length = len(next(iter(stored.values())))
    data = np.zeros(length, [(key, values.dtype) for key, values in stored.items()])
    for key, values in stored.items():
        data[key] = values
    raw = data.tobytes()
    padded = raw + bytes(-len(raw) % BLOCK)
    cards = _structure(name, data)
    for at, key in enumerate(stored, 1):
        cards.append(Card(f"TTYPE{at}", key, (comments or {}).get(key, "")))
        cards.append(Card(f"TFORM{at}", _form(data.dtype[key])))
        if unit := (units or {}).get(key):
            cards.append(Card(f"TUNIT{at}", unit))
    lines = [line for card in cards for line in format_card(*card)]
    return checksummed_header(lines, ones_complement_sum(padded)) + padded


def _stored(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        texts = [str(value).encode("ascii", "backslashreplace") for value in values]
        return np.array(texts, f"S{max([1, *map(len, texts)])}")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    return array.astype(array.dtype.newbyteorder(">"))


def _form(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "S":
        return f"{dtype.itemsize}A"
    return _LETTERS[dtype.str[1:]]


def _structure(name: str, data: NDArray[Any]) -> list[Card]:
    return [
        Card("XTENSION", "BINTABLE", "binary table"),
        Card("BITPIX", 8, "bytes"),
        Card("NAXIS", 2, "number of axes"),
        Card("NAXIS1", data.dtype.itemsize, "bytes of a row"),
        Card("NAXIS2", len(data), "rows"),
        Card("PCOUNT", 0, "no heap"),
        Card("GCOUNT", 1, "one table"),
        Card("TFIELDS", len(data.dtype.names or ()), "columns"),
        Card("EXTNAME", name, "name of the table"),
    ]


def read_table(path: Path, name: str) -> NDArray[Any]:
    """Read a table such as `table_extension` writes.

    Parameters
    ----------
    path : Path
        A FITS file.
    name : str
        EXTNAME of the table.

    Returns
    -------
    (n,) structured array
        Columns in native byte order; texts as bytes.

    Raises
    ------
    InputError
        If the file has no such table, or it is damaged.
    """
    file, _ = open_unpacked(path)
    with file:
        for header, start, _ in headers_of(file):
            if header.get("XTENSION") == "BINTABLE" and header.get("EXTNAME") == name:
                dtype = _row_type(header, path)
                file.seek(start)
                n = int(str(header.get("NAXIS2")))
                raw = file.read(n * dtype.itemsize)
                if len(raw) < n * dtype.itemsize:
                    msg = f"{path}: table {name} is truncated"
                    raise InputError(msg)
                table = np.frombuffer(raw, dtype)
                return table.astype(dtype.newbyteorder("="))
    msg = f"{path} has no table {name}"
    raise InputError(msg)


def _row_type(header: RawHeader, path: Path) -> np.dtype[Any]:
    """Give the type of a row of plain columns: numbers of one, and texts."""
    columns = []
    for at in range(1, int(str(header.get("TFIELDS"))) + 1):
        form = str(header.get(f"TFORM{at}")).strip()
        match = _FORM.fullmatch(form)
        plain = match is not None and (match[2] == "A" or match[1] in ("", "1"))
        if match is None or not plain or match[2] not in (*_TYPES, "A"):
            msg = f"{path}: column {at} has the form {form!r}, which is not read"
            raise InputError(msg)
        kind = f"S{match[1] or 1}" if match[2] == "A" else _TYPES[match[2]]
        columns.append((str(header.get(f"TTYPE{at}")), kind))
    return np.dtype(columns)
