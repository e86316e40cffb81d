"""Headers of images: what they mean, and their keywords as a table."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from autoreduce.errors import InputError
from autoreduce.fits.header import (
    RawHeader,
    Value,
    image_axes,
    image_shape,
    read_headers,
)
from autoreduce.fits.names import split_hdu
from autoreduce.fits.writer import PLANE_TYPES
from autoreduce.frames.dialects import load_dialects, own_tables
from autoreduce.frames.frame import Facts, FrameReader
from autoreduce.tools.filelists import short_names
from autoreduce.tools.listing import Table

FILENAME = "Filename"
"""Stands among keywords for the name of the file."""

_SHAPE = re.compile(r"BITPIX|NAXIS\d*")
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
    return _header_of(image)[0]


def read_facts(image: str) -> Facts:
    """Read what the header of an image means, by its dialect.

    Units, spellings and dates are those of the frame table, and so are the
    observer's own dialect tables: `autoreduce.frames.dialects.own_tables`.

    Parameters
    ----------
    image : str
        As `read_header` takes it; cards that an extension lacks are those of the
        primary header.

    Raises
    ------
    InputError
        As `read_header`.
    SettingsError
        If a dialect table is not valid.
    """
    header, first = _header_of(image)
    if header.hdu:
        header = RawHeader(header.hdu, header.block + first.block)
    folder = split_hdu(image)[0].absolute().parent
    return FrameReader(load_dialects(own_tables([folder]))).read_facts(header)


def _header_of(image: str) -> tuple[RawHeader, RawHeader]:
    """Read the header of an image, and the first one of its file."""
    path, hdu = split_hdu(image)
    try:
        headers = read_headers(path)
    except InputError as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error
    if hdu is None:
        found = next((one for one in headers if image_shape(one)), headers[0])
        return found, headers[0]
    if hdu >= len(headers):
        msg = f"{path} has no HDU {hdu}; its last is {len(headers) - 1}"
        raise InputError(msg)
    return headers[hdu], headers[0]


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


def first_of_several(images: Iterable[str]) -> list[str]:
    """Find images that are the first of several in their files, and were not chosen.

    ``UNCERT`` and ``MASK``, planes of an image, are none of their own.

    Parameters
    ----------
    images : iterable of str
        As `autoreduce.tools.filelists.expand` lists them.

    Returns
    -------
    list of str
        Those without ``[N]`` whose files hold more images; no file that cannot be read.
    """
    found = []
    for image in dict.fromkeys(images):
        path, hdu = split_hdu(image)
        try:
            headers = read_headers(path) if hdu is None else []
            planes = [one for one in headers if image_axes(one)]
        except InputError:
            continue
        if sum(one.get("EXTNAME") not in PLANE_TYPES for one in planes) > 1:
            found.append(image)
    return found


def header_table(
    headers: Mapping[str, RawHeader], keywords: Sequence[str] = ()
) -> Table:
    """Collect keywords of images, their values as they stand in the cards.

    ``BITPIX`` and ``NAXIS`` are those of the image also where it is compressed.

    Parameters
    ----------
    headers : mapping of str to RawHeader
        Header of each image, as `read_each` and `read_header` return them.
    keywords : sequence of str
        Columns; ``Filename`` is the name without its folder, of files of one name with
        it.  Empty: all keywords of all headers, in the order in which they first appear.

    Returns
    -------
    Table
        One row an image, None where a header lacks the keyword.
    """
    columns = tuple(keywords) or (FILENAME, *_all_keywords(headers.values()))
    names = short_names(list(headers))
    rows = tuple(
        tuple(_cell(header, name, key) for key in columns)
        for name, header in zip(names, headers.values(), strict=True)
    )
    return Table(columns, rows)


def unknown_keywords(
    headers: Mapping[str, RawHeader], keywords: Iterable[str]
) -> dict[str, str]:
    """Find keywords that no header has.

    Returns
    -------
    dict of str to str
        By keyword the one that is nearest among those that there are; empty if none is.
    """
    there = dict.fromkeys(
        card.keyword for header in headers.values() for card in header.cards
    )
    unknown = {}
    for keyword in keywords:
        key = keyword.upper()
        if not is_file_name(keyword) and key not in there:
            near = get_close_matches(key, there, 1)
            unknown[keyword] = near[0] if near else ""
    return unknown


def no_such_keyword(keyword: str, near: str) -> str:
    """Say that no file has a keyword, and which one may be meant."""
    hint = f"; did you mean {near}?" if near else ""
    return f"no file has the keyword {keyword}{hint}"


def is_file_name(keyword: str) -> bool:
    """Tell whether a keyword stands for the name of the file."""
    return keyword.casefold() == FILENAME.casefold()


def _cell(header: RawHeader, name: str, keyword: str) -> Value:
    if is_file_name(keyword):
        return name
    key = keyword.upper()
    if header.get("ZIMAGE") is True and _SHAPE.fullmatch(key):
        # What has this name is the table of compressed tiles.
        return header.get(f"Z{key}")
    return header.get(key)


def _all_keywords(headers: Iterable[RawHeader]) -> list[str]:
    found = (
        card.keyword
        for header in headers
        for card in header.cards
        if card.keyword not in _COMMENTARY and card.value is not None
    )
    return list(dict.fromkeys(found))
