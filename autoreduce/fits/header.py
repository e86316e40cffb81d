"""Header blocks of FITS files, read without a look at the pixels.

A night has hundreds of files and its table needs nothing but their headers, so
this reader does only that, and bears with what cameras really write: headers that
break the standard are read as far as they make sense, and what is no FITS image
is refused with the reason.
"""

import gzip
import io
import math
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path

from autoreduce.errors import InputError
from autoreduce.fits.cards import BLOCK, CARD, Card, CardValue
from autoreduce.fits.formats import (
    GZIP,
    PLAIN,
    Unpacking,
    open_unpacked,
    recognise,
    unpacking,
    unreadable,
)

MAX_BLOCKS = 2000
"""Longest header that is read (72000 cards): longer ones are garbage."""
MAX_HDUS = 2000
"""Most extensions that are looked at."""

Readable = io.FileIO | gzip.GzipFile | Unpacking
"""A file that headers are read from: plain, or unpacked while it is read."""
_END = b"END" + b" " * 77
FIRST_READ = 8 * BLOCK
"""Holds the whole header of nearly every camera: one call for one file."""
_COMMENTARY = {"COMMENT", "HISTORY", ""}
_LONG = "HIERARCH"
_PIXEL_BITS = {8, 16, 32, 64, -32, -64}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?")
_LOOSE_CARD = re.compile(r"([A-Z0-9_-]{1,7})\s{0,6}=\s*(.*)")
_GEOMETRY = re.compile(r"XTENSION|BITPIX|Z?NAXIS\d{0,3}|GROUPS|[GP]COUNT|ZIMAGE")
"""Keywords that tell the shape of what follows a header."""
_STRING = re.compile(r"'((?:[^']|'')*)('|$)")

Value = CardValue


@dataclass(frozen=True)
class RawHeader:
    """One header of a file; its cards are parsed when they are asked for."""

    hdu: int
    """Number of the header in its file, 0 for the primary one."""
    block: bytes
    """The cards as they stand in the file, without END."""

    def __reduce__(self) -> tuple[type["RawHeader"], tuple[int, bytes]]:
        """Travel without what was found out of it."""
        return RawHeader, (self.hdu, self.block)

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        """All cards in their order."""
        parsed = (_parse_card(self.block[span]) for span in self.layout.cards)
        return tuple(card for card in parsed if card is not None)

    @property
    def records(self) -> list[bytes]:
        """The cards as they stand in the file, 80 bytes each, END not among them."""
        block = self.block
        return [block[at : at + CARD] for at in range(0, len(block), CARD)]

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes in its file, END and padding among them."""
        return padded(len(self.block) + CARD)

    @property
    def keywords(self) -> frozenset[str]:
        """Keywords of all cards, in capitals."""
        return self.layout.keywords

    @property
    def geometry(self) -> bytes:
        """The few cards that tell the shape: those of most headers of a night are like."""
        return self.cut(self.layout.geometry)

    @cached_property
    def layout(self) -> "Layout":
        """Where its cards are: one object for headers with the same keywords."""
        return _layout_of(self.block)

    def find(self, keyword: str) -> list[Card]:
        """Return all cards of a keyword, in their order.

        Parameters
        ----------
        keyword : str
            In capitals, without ``HIERARCH``.
        """
        spans = self.layout.places.get(keyword)
        if spans is None:
            return []
        parsed = [_parse_card(self.block[span]) for span in spans]
        return [card for card in parsed if card is not None]

    def get(self, keyword: str) -> Value:
        """Return the value of the first card of a keyword that has one."""
        for span in self.layout.places.get(keyword, ()):
            card = _parse_card(self.block[span])
            if card is not None and card.value is not None:
                return card.value
        return None

    def number(self, *keywords: str) -> float | None:
        """Return the first finite number that some keywords give, also as a text.

        Parameters
        ----------
        *keywords : str
            In capitals, in the order in which they are asked.
        """
        for keyword in keywords:
            value = self.get(keyword)
            if value is None or isinstance(value, bool):
                continue
            try:
                number = float(str(value).replace("D", "E"))
            except ValueError:
                continue
            if math.isfinite(number):
                return number
        return None

    def raw(self, keywords: tuple[str, ...]) -> bytes:
        """Return all cards of some keywords as they stand in the file, in their order.

        Where two headers give the same, they agree in all that `find` and `get` tell
        of these keywords.
        """
        return self.cut(self.layout.places_of(keywords))

    def cut(self, places: struct.Struct) -> bytes:
        """Return some of the cards, given where they are."""
        return b"".join(places.unpack_from(self.block))


class Layout:
    """Where the cards of a header are; the same for most headers of a night.

    A card is followed by the CONTINUE cards that belong to it.
    """

    def __init__(self, keywords: bytes, long: tuple[str, ...]) -> None:
        words = [keywords[at : at + 8] for at in range(0, len(keywords), 8)]
        names = [word.upper().decode("latin-1").rstrip() for word in words]
        ends = list(range(1, len(words) + 1))
        for at in range(len(words) - 1, 0, -1):
            if words[at] == b"CONTINUE":
                ends[at - 1] = ends[at]
        self.cards = [slice(at * CARD, end * CARD) for at, end in enumerate(ends)]
        self.places: dict[str, list[slice]] = {}
        for name, span in zip(names, self.cards, strict=True):
            self.places.setdefault(name, []).append(span)
        self._long = self.places.get(_LONG, [])
        further: dict[str, list[slice]] = {}
        for name, span in zip(long, self._long, strict=False):
            further.setdefault(name, []).append(span)
        self.places = further | self.places
        self.keywords = frozenset(self.places)
        self._words = keywords
        self._last: tuple[struct.Struct, bytes, Layout] | None = None
        self._known: dict[tuple[str, ...], struct.Struct] = {}
        self.geometry = self.places_of(tuple(filter(_GEOMETRY.fullmatch, self.places)))

    def places_of(self, keywords: tuple[str, ...]) -> struct.Struct:
        """Return the places of all cards of some keywords."""
        places = self._known.get(keywords)
        if places is None:
            spans = chain.from_iterable(self.places.get(one, ()) for one in keywords)
            places = self._known[keywords] = _places(spans)
        return places

    def with_long_names(self, block: bytes) -> "Layout":
        """Return the layout that knows what stands behind HIERARCH in a header.

        That is mostly as it was in the last header.
        """
        if self._last is not None:
            places, names, layout = self._last
            if b"".join(places.unpack_from(block)) == names:
                return layout
        starts = [at.start for at in self._long]
        ends = [block.find(b"=", at, at + CARD) + 1 or at + CARD for at in starts]
        places = _places(slice(*span) for span in zip(starts, ends, strict=True))
        cards = places.unpack_from(block)
        layout = _make_layout(self._words, tuple(map(_long_name, cards)))
        self._last = places, b"".join(cards), layout
        return layout


def _places(spans: Iterable[slice]) -> struct.Struct:
    """Make what cuts some parts out of a block, in one call."""
    form, end = "", 0
    for span in sorted(spans, key=lambda one: (one.start, -one.stop)):
        if span.stop > end:
            form += f"{span.start - end}x{span.stop - span.start}s"
            end = span.stop
    return struct.Struct(form)


def _layout_of(block: bytes) -> Layout:
    keywords = memoryview(block).cast("Q")[:: CARD // 8].tobytes()
    layout = _make_layout(keywords, ())
    return layout.with_long_names(block) if _LONG in layout.places else layout


@lru_cache(maxsize=512)
def _make_layout(keywords: bytes, long: tuple[str, ...]) -> Layout:
    return Layout(keywords, long)


def _long_name(raw: bytes) -> str:
    name, equals, _ = raw[8:CARD].partition(b"=")
    return " ".join(_text(name).upper().split()) if equals else _LONG


@lru_cache(maxsize=1 << 14)
def _parse_card(raw: bytes) -> Card | None:
    """Parse a card and the CONTINUE cards behind it; None for a CONTINUE card."""
    first = raw[:CARD]
    keyword = first[:8].decode("latin-1").strip().upper()
    if keyword == "CONTINUE":
        return None
    if keyword == _LONG:
        keyword, equals, text = _text(first[8:]).partition("=")
        keyword = " ".join(keyword.upper().split())
        if not equals:
            return Card(_LONG, keyword, "")
    elif keyword in _COMMENTARY or first[8:9] != b"=":
        return Card(keyword, _text(first[8:]).strip(), "")
    else:
        text = _text(first[9:])
    value, comment = _parse_value(text)
    for at in range(CARD, len(raw), CARD):
        if not isinstance(value, str) or not value.endswith("&"):
            break
        more, extra = _parse_value(_text(raw[at + 8 : at + CARD]))
        value = value[:-1] + ("" if more is None else str(more))
        comment = " ".join(filter(None, (comment, extra)))
    return Card(keyword, value, comment)


def read_headers(path: str | Path) -> list[RawHeader]:
    """Read every header of a FITS file: plain, gzipped or tile-compressed.

    Of a gzipped file with an image in its first header only that header is read,
    as nothing behind the pixels can be reached without unpacking them.

    Parameters
    ----------
    path : path
        The file; whether it is gzipped is seen from its content.

    Returns
    -------
    list of RawHeader
        At least one.

    Raises
    ------
    InputError
        If the file cannot be read, is not FITS, or holds fewer pixels than its
        header promises; the message is the reason.
    """
    try:
        with io.FileIO(path) as file:
            beginning = file.read(FIRST_READ)
            kind = recognise(beginning)
            if kind is GZIP:
                return _read_gzipped(file)
            if kind is PLAIN:
                return _all_headers(file, beginning)
        file, _ = open_unpacked(Path(path))
        with file:
            return _all_headers(file, file.read(FIRST_READ))
    except OSError as error:
        raise InputError(unreadable(path, error)) from error


def _all_headers(file: io.FileIO, beginning: bytes) -> list[RawHeader]:
    size = os.fstat(file.fileno()).st_size
    return list(_read_plain(file, size, beginning))


def headers_from_text(cards: str) -> list[RawHeader]:
    r"""Make headers from cards as text, one card a line.

    A header begins with SIMPLE or XTENSION; lines longer than a card are cut, and
    lines that begin with ``#`` are left out.  The equals sign need not stand in its
    column.

    Examples
    --------
    >>> headers_from_text("EXPTIME = 3.0D+02 / s\nEND")[0].get("EXPTIME")
    300.0
    """
    blocks = [b""]
    for line in cards.splitlines():
        if line.startswith("#") or not (blocks[-1] or line.strip()):
            continue
        loose = _LOOSE_CARD.match(line)
        text = f"{loose[1]:8}= {loose[2]}" if loose else line
        card = text.encode("utf-8")[:CARD].ljust(CARD)
        if card.startswith((b"SIMPLE  =", b"XTENSION=")) and blocks[-1]:
            blocks.append(b"")
        if card != _END:
            blocks[-1] += card
    return [RawHeader(hdu, block) for hdu, block in enumerate(blocks)]


def image_shape(header: RawHeader) -> tuple[int, ...]:
    """Return the shape (NAXIS1 first) of the image that a header describes.

    A tile-compressed image stands in a binary table; its own shape is returned.

    Returns
    -------
    tuple of int
        Empty if the header describes no image.

    Raises
    ------
    InputError
        If the header contradicts itself.
    """
    return _shape_of(header.hdu, header.geometry)


@lru_cache(maxsize=1024)
def _shape_of(hdu: int, geometry: bytes) -> tuple[int, ...]:
    header = RawHeader(hdu, geometry)
    if header.hdu and header.get("XTENSION") not in ("IMAGE", "IUEIMAGE"):
        if header.get("ZIMAGE") is not True:
            return ()
        shape = _axes(header, "ZNAXIS")
    elif header.get("GROUPS") is True and header.get("NAXIS1") == 0:
        return ()
    else:
        shape = _axes(header, "NAXIS")
    return shape if all(shape) else ()


def image_axes(header: RawHeader) -> tuple[int, ...]:
    """Return the shape of an image as arrays have it, NAXIS1 last.

    Axes of length one in front are left out: a plane in a cube is a plane.

    Returns
    -------
    tuple of int
        (ny, nx) or (nz, ny, nx); empty if the header describes no such image.

    Raises
    ------
    InputError
        If the header contradicts itself.
    """
    axes = image_shape(header)[::-1]
    while len(axes) > 2 and axes[0] == 1:
        axes = axes[1:]
    return axes if 2 <= len(axes) <= 3 and axes[-1] * axes[-2] > 1 else ()


def no_image_in(headers: Sequence[RawHeader]) -> str:
    """Say that none of a file's headers is that of an image, and what there is.

    Examples
    --------
    >>> from autoreduce.fits.cards import format_card
    >>> spectrum = format_card("NAXIS", 1) + format_card("NAXIS1", 170)
    >>> no_image_in([RawHeader(0, b"".join(spectrum))])
    'no image in it: 1 array of 170'
    """
    arrays = Counter(filter(None, map(image_shape, headers)))
    others = Counter(
        str(header.get("XTENSION")) for header in headers[1:] if not image_shape(header)
    )
    told = [
        f"{n} {'array' if n == 1 else 'arrays'} of {' x '.join(map(str, shape))}"
        for shape, n in sorted(arrays.items())
    ]
    told += [f"{n} {kind}" for kind, n in sorted(others.items())]
    return f"no image in it: {', '.join(told) or 'headers only'}"


def headers_of(
    file: Readable, beginning: bytes | None = None
) -> Iterator[tuple[RawHeader, int, int]]:
    """Read the headers of an open file, each with where its data lie.

    Only what is asked for is read; whether the data are there is not checked.  What
    follows a sound image does not matter: padding, garbage.

    Parameters
    ----------
    file : file
        Plain, or unpacked while it is read.
    beginning : bytes, optional
        What was read of it already, from its first byte on.

    Yields
    ------
    tuple
        Header, and first byte and number of bytes of its data.

    Raises
    ------
    InputError
        If the file does not begin like FITS, or its first header cannot be read.
    """
    if beginning is None:
        file.seek(0)
        beginning = file.read(FIRST_READ)
    start = 0
    for hdu in range(MAX_HDUS):
        try:
            header = _read_header(file, hdu, beginning)
            n_bytes = _data_bytes(header)
        except InputError:
            if hdu == 0:
                raise
            return
        start += header.n_bytes
        yield header, start, n_bytes
        start += padded(n_bytes)
        file.seek(start)
        beginning = file.read(FIRST_READ)


def _read_plain(file: Readable, size: int, beginning: bytes) -> Iterator[RawHeader]:
    """Read the headers of a file of some bytes, each image of which must be whole."""
    for header, start, n_bytes in headers_of(file, beginning):
        if start + n_bytes > size:
            msg = (
                f"truncated: {max(size - start, 0)} bytes of pixels, {n_bytes} expected"
            )
            raise InputError(msg)
        yield header
        if start + padded(n_bytes) >= size:
            return


@unpacking()
def _read_gzipped(file: io.FileIO) -> list[RawHeader]:
    file.seek(-4, io.SEEK_END)
    promised = int.from_bytes(file.read(4), "little")
    file.seek(0)
    with gzip.GzipFile(fileobj=file) as unpacked:
        header = _read_header(unpacked, 0, unpacked.read(FIRST_READ))
        pixels = _data_bytes(header)
        data_end = header.n_bytes + pixels
        if not image_shape(header):
            return _unpack_headers(unpacked)
        # The last four bytes of a whole gzip file are its unpacked size.  If they
        # cannot be that, only unpacking it tells what is there.
        whole = promised >= data_end % 2**32 and promised % BLOCK == 0
        if not whole and (there := _unpacked_to(unpacked, data_end)) < data_end:
            missing = max(there - (data_end - pixels), 0)
            msg = f"truncated: {missing} bytes of pixels, {pixels} expected"
            raise InputError(msg)
        return [header]


def _unpack_headers(unpacked: gzip.GzipFile) -> list[RawHeader]:
    # Extensions can only be reached by unpacking what stands before them.
    unpacked.seek(0)
    headers = []
    for header, start, n_bytes in headers_of(unpacked, unpacked.read(FIRST_READ)):
        there = _unpacked_to(unpacked, start + n_bytes)
        if there < start + n_bytes:
            msg = f"truncated: {max(there - start, 0)} bytes of pixels, {n_bytes} expected"
            raise InputError(msg)
        headers.append(header)
    return headers


def _unpacked_to(unpacked: gzip.GzipFile, end: int) -> int:
    """Unpack up to a byte, and no farther; where that, or the file, ends."""
    while unpacked.tell() < end:
        if not unpacked.read(min(1 << 20, end - unpacked.tell())):
            break
    return unpacked.tell()


def _read_header(file: Readable, hdu: int, data: bytes) -> RawHeader:
    """Read a header of which the beginning was read already."""
    _check_beginning(data, hdu)
    end = _find_end(data, 0)
    while end is None:
        if len(data) % BLOCK or len(data) >= MAX_BLOCKS * BLOCK:
            msg = "the header has no END card"
            raise InputError(msg)
        searched = len(data)
        data += file.read(len(data))
        if len(data) == searched:
            msg = "the header has no END card"
            raise InputError(msg)
        end = _find_end(data, searched)
    return RawHeader(hdu, data[:end])


def _check_beginning(data: bytes, hdu: int) -> None:
    if hdu == 0:
        recognise(data)
    elif not data.startswith(b"XTENSION="):
        shown = data[:24].decode("latin-1")
        msg = f"no extension: begins with {shown!r}, expected 'XTENSION='"
        raise InputError(msg)


def _find_end(data: bytes, searched: int) -> int | None:
    at = data.find(_END, max(searched - CARD, 0))
    while at >= 0 and at % CARD:
        at = data.find(_END, at + 1)
    if at >= 0:
        return at
    # A header may fill its last block to the brim with a shorter END.
    last = data[-CARD:].rstrip(b" \0\r\n")
    return len(data) - CARD if last == b"END" and len(data) % CARD == 0 else None


def pixel_bits(header: RawHeader) -> int:
    """Return BITPIX.

    Raises
    ------
    InputError
        If it is none of those that the standard knows.
    """
    bits = header.get("BITPIX")
    if not isinstance(bits, int) or bits not in _PIXEL_BITS:
        msg = f"BITPIX is {bits!r}, expected one of 8, 16, 32, 64, -32, -64"
        raise InputError(msg)
    return bits


def pixel_scaling(header: RawHeader) -> tuple[float, float, int | None]:
    """Return BSCALE, BZERO and, for integers, BLANK.

    Raises
    ------
    InputError
        If one of them is there and is no number.
    """
    scale, zero = _number(header, "BSCALE", 1.0), _number(header, "BZERO", 0.0)
    blank = header.get("BLANK")
    if blank is None or pixel_bits(header) < 0:
        return scale, zero, None
    return scale, zero, int(_number(header, "BLANK", 0.0))


def _number(header: RawHeader, keyword: str, default: float) -> float:
    value = header.get(keyword)
    if value is None:
        return default
    try:
        number = float(str(value).replace("D", "E"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"{keyword} is {value!r}, expected a number"
        raise InputError(msg)
    return number


def _data_bytes(header: RawHeader) -> int:
    return _data_bytes_of(header.geometry)


@lru_cache(maxsize=1024)
def _data_bytes_of(geometry: bytes) -> int:
    header = RawHeader(0, geometry)
    bits = pixel_bits(header)
    shape = _axes(header, "NAXIS")
    if header.get("GROUPS") is True and shape[:1] == (0,):
        shape = shape[1:]
    if not shape:
        return 0
    groups, extra = header.get("GCOUNT"), header.get("PCOUNT")
    n_groups = groups if isinstance(groups, int) and groups > 0 else 1
    n_extra = extra if isinstance(extra, int) and extra > 0 else 0
    return abs(bits) // 8 * n_groups * (n_extra + math.prod(shape))


def _axes(header: RawHeader, keyword: str) -> tuple[int, ...]:
    n_axes = header.get(keyword)
    if not isinstance(n_axes, int) or not 0 <= n_axes <= 999:
        msg = f"{keyword} is {n_axes!r}, expected 0 to 999"
        raise InputError(msg)
    axes = [header.get(f"{keyword}{n}") for n in range(1, n_axes + 1)]
    for number, length in enumerate(axes, start=1):
        if not isinstance(length, int) or length < 0:
            msg = f"{keyword}{number} is {length!r}, expected a whole number"
            raise InputError(msg)
    return tuple(int(length) for length in axes if isinstance(length, int))


def padded(n_bytes: int) -> int:
    """Give the bytes that so many take in a file: blocks are filled."""
    return -(-n_bytes // BLOCK) * BLOCK


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _parse_value(text: str) -> tuple[Value, str]:
    text = text.strip(" \0\r\n")
    if text.startswith("'"):
        match = _STRING.match(text)
        if match is not None:
            comment = text[match.end() :].partition("/")[2]
            return match[1].replace("''", "'").rstrip(), comment.strip()
    literal, _, comment = text.partition("/")
    return _parse_literal(literal.strip()), comment.strip()


def _parse_literal(literal: str) -> Value:
    if literal in ("T", "F"):
        return literal == "T"
    if not literal:
        return None
    number = _NUMBER.fullmatch(literal)
    if not number:
        return literal
    if number[1].isdecimal() and number[2] is None:
        return int(literal)
    return float(literal.upper().replace("D", "E"))


def begins_at_top(header: RawHeader) -> bool:
    """Tell whether the first row of an image is the upper one; else it is the lowest."""
    return str(header.get("ROWORDER")).strip().upper() == "TOP-DOWN"
