"""Keywords of many headers, as a table."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from autoreduce.errors import InputError
from autoreduce.fits.header import RawHeader, Value, image_shape, read_headers
from autoreduce.fits.names import split_hdu
from autoreduce.tools.tables import Table
from autoreduce.tools.values import parse_date, parse_number

FILENAME = "Filename"
"""Stands among keywords for the name of the file."""

_TIME_KEYWORDS = ("TIME-OBS", "UT", "UTC", "UTSTART")
_EXPOSURE_KEYWORDS = ("EXPTIME", "EXPOSURE", "ITIME", "EXP_TIME")
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


def time_of_day(header: RawHeader) -> str:
    """Return the time of day that old headers keep apart from the date, or nothing."""
    found = (header.get(keyword) for keyword in _TIME_KEYWORDS)
    return next((value for value in found if isinstance(value, str)), "")


def start_of_exposure(header: RawHeader) -> datetime | None:
    """Return when an exposure began; None if the header has no date and time."""
    text, time = str(header.get("DATE-OBS") or ""), time_of_day(header)
    # A date without a time of day would be taken for midnight.
    return parse_date(text, time) if ":" in text + time else None


def exposure(header: RawHeader) -> float | None:
    """Return the exposure in seconds, also where it is written as a text."""
    found = (header.get(keyword) for keyword in _EXPOSURE_KEYWORDS)
    numbers = (parse_number(str(value)) for value in found if value is not None)
    return next((number for number in numbers if number is not None), None)


def read_each(images: Sequence[str]) -> tuple[dict[str, RawHeader], list[str]]:
    """Read the headers of images; one that cannot be read does not stop the others.

    Returns
    -------
    tuple
        Headers by image, and a message for each image that could not be read.
    """
    headers, reasons = {}, []
    for image in images:
        try:
            headers[image] = read_header(image)
        except InputError as error:
            reasons.append(str(error))
    return headers, reasons


def header_table(
    headers: Mapping[str, RawHeader], keywords: Sequence[str] = ()
) -> Table:
    """Collect keywords of images.

    Parameters
    ----------
    headers : mapping of str to RawHeader
        Header of each image, as `read_each` and `read_header` return them.
    keywords : sequence of str
        Columns; ``Filename`` is the name without its folder.  Empty: all keywords
        of all headers, in the order in which they first appear.

    Returns
    -------
    Table
        One row an image, None where a header lacks the keyword.
    """
    columns = tuple(keywords) or (FILENAME, *_all_keywords(headers.values()))
    rows = tuple(
        tuple(header_value(header, Path(image).name, key) for key in columns)
        for image, header in headers.items()
    )
    return Table(columns, rows)


def _all_keywords(headers: Iterable[RawHeader]) -> list[str]:
    found = (
        card.keyword
        for header in headers
        for card in header.cards
        if card.keyword not in _COMMENTARY and card.value is not None
    )
    return list(dict.fromkeys(found))
