"""Tables out: records as a BINTABLE extension, and in again."""

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
_NUMPY = {letter: code for code, letter in _LETTERS.items()}


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


def read_table(path: Path, name: str) -> dict[str, NDArray[Any]] | None:
    """Read a table that `table_extension` wrote.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        EXTNAME.

    Returns
    -------
    dict of str to array, or None
        Columns in native byte order, texts as str; None if the file has no such table.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        file, _ = open_unpacked(path)
        with file:
            for header, start in headers_of(file):
                if header.get("EXTNAME") == name:
                    file.seek(start)
                    return _columns(header, file.read(_data_size(header)))
    except (OSError, EOFError, ValueError) as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error
    return None


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


def _data_size(header: RawHeader) -> int:
    return int(str(header.get("NAXIS1"))) * int(str(header.get("NAXIS2")))


def _columns(header: RawHeader, raw: bytes) -> dict[str, NDArray[Any]]:
    n = int(str(header.get("TFIELDS")))
    names = [str(header.get(f"TTYPE{at}")) for at in range(1, n + 1)]
    forms = [str(header.get(f"TFORM{at}")) for at in range(1, n + 1)]
    data = np.frombuffer(raw, list(zip(names, map(_code, forms), strict=True)))
    return {name: _native(data[name]) for name in names}


def _code(form: str) -> str:
    return f"S{form[:-1]}" if form.endswith("A") else f">{_NUMPY[form]}"


def _native(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind == "S":
        return np.char.decode(column, "ascii")
    return column.astype(column.dtype.newbyteorder("="))
