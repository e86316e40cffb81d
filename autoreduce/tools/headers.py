"""Keywords of many headers, as a table."""

from collections.abc import Sequence
from pathlib import Path

from autoreduce.errors import InputError
from autoreduce.frames.reader import RawHeader, Value, image_shape, read_headers
from autoreduce.running.images import split_hdu
from autoreduce.tools.tables import Table

FILENAME = "Filename"
"""Stands among keywords for the name of the file."""

_COMMENTARY = {"COMMENT", "HISTORY", "HIERARCH", ""}


def read_header(image: str) -> RawHeader:
    """Read the header of an image.

    Parameters
    ----------
    image : str
        File, or ``FILE[N]`` for HDU N.  Without a number it is the first HDU that
        holds an image, and the first HDU of a file without images.

    Raises
    ------
    InputError
        If the file cannot be read or has no such HDU.
    """
    path, hdu = split_hdu(image)
    try:
        headers = read_headers(path)
    except InputError as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error
    if hdu is None:
        return next((header for header in headers if image_shape(header)), headers[0])
    if hdu >= len(headers):
        msg = f"{path} has no HDU {hdu}; its last is {len(headers) - 1}"
        raise InputError(msg)
    return headers[hdu]


def header_value(header: RawHeader, image: str, keyword: str) -> Value:
    """Return a keyword's value, or the file's name for ``Filename``."""
    if keyword.casefold() == FILENAME.casefold():
        return image
    return header.get(keyword.upper())


def header_table(images: Sequence[str], keywords: Sequence[str] = ()) -> Table:
    """Collect keywords of images.

    Parameters
    ----------
    images : sequence of str
        As `autoreduce.tools.filelists.expand` lists them.
    keywords : sequence of str
        Columns; ``Filename`` is the name without its folder.  Empty: all keywords
        of all headers, in the order in which they first appear.

    Returns
    -------
    Table
        One row an image, None where a header lacks the keyword.

    Raises
    ------
    InputError
        As `read_header`.
    """
    headers = [read_header(image) for image in images]
    columns = tuple(keywords) or (FILENAME, *_all_keywords(headers))
    rows = tuple(
        tuple(header_value(header, Path(image).name, key) for key in columns)
        for image, header in zip(images, headers, strict=True)
    )
    return Table(columns, rows)


def _all_keywords(headers: Sequence[RawHeader]) -> list[str]:
    found = (
        card.keyword
        for header in headers
        for card in header.cards
        if card.keyword not in _COMMENTARY and card.value is not None
    )
    return list(dict.fromkeys(found))
