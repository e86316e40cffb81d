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
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

from autoreduce.errors import InputError

BLOCK = 2880
CARD = 80
MAX_BLOCKS = 2000
"""Longest header that is read (72000 cards): longer ones are garbage."""
MAX_HDUS = 2000
"""Most extensions that are looked at."""

_END = b"END" + b" " * 77
_FIRST_READ = 4 * BLOCK
_GZIP_MAGIC = b"\x1f\x8b"
_STRANGERS = {
    b"\0\5\x16\7": "an AppleDouble file (macOS keeps notes in it), not an image",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file: `git lfs pull`",
    b"BZh": "compressed with bzip2; unpack it with `bunzip2`",
    b"\x1f\x9d": "compressed with compress (.Z); unpack it with `gunzip`",
    b"\xfd7zXZ": "compressed with xz; unpack it with `unxz`",
    b"PK\3\4": "a zip archive; unpack it with `unzip`",
    b"XISF0100": "an XISF image; save it as FITS",
}
"""What lies about under FITS names, by its first bytes."""
_COMMENTARY = {"COMMENT", "HISTORY", ""}
_PIXEL_BITS = {8, 16, 32, 64, -32, -64}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?")
_LOOSE_CARD = re.compile(r"([A-Z0-9_-]{1,7})\s{0,6}=\s*(.*)")
_STRING = re.compile(r"'((?:[^']|'')*)('|$)")

Value = str | bool | int | float | None


class Card(NamedTuple):
    """One header card."""

    keyword: str
    """In capitals; words of a HIERARCH keyword are joined by single blanks."""
    value: Value
    """None where the card has no value; the text of COMMENT and HISTORY."""
    comment: str
    """Text behind the slash."""


@dataclass(frozen=True)
class RawHeader:
    """One header of a file; its cards are parsed when they are asked for."""

    hdu: int
    """Number of the header in its file, 0 for the primary one."""
    block: bytes
    """The cards as they stand in the file, without END."""

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        """All cards in their order."""
        starts = range(0, len(self.block), CARD)
        parsed = (self._card(start) for start in starts)
        return tuple(card for card in parsed if card is not None)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        capitals = self.block.upper().decode("latin-1")
        for start in range(0, len(capitals), CARD):
            keyword = capitals[start : start + 8].rstrip()
            places.setdefault(keyword, []).append(start)
        return places

    @cached_property
    def keywords(self) -> frozenset[str]:
        """Keywords of all cards, in capitals."""
        return frozenset(self._places) | frozenset(self._long_cards)

    @cached_property
    def _found(self) -> dict[str, list[Card]]:
        """Cards that were asked for; a keyword is asked for by many dialects."""
        return {}

    @cached_property
    def _long_cards(self) -> dict[str, list[Card]]:
        long: dict[str, list[Card]] = {}
        for start in self._places.get("HIERARCH", ()):
            if card := self._card(start):
                long.setdefault(card.keyword, []).append(card)
        return long

    def find(self, keyword: str) -> list[Card]:
        """Return all cards of a keyword, in their order.

        Parameters
        ----------
        keyword : str
            In capitals, without ``HIERARCH``.
        """
        known = self._found.get(keyword)
        if known is not None:
            return known
        starts = self._places.get(keyword)
        if starts is None:
            return self._long_cards.get(keyword, [])
        cards = [card for start in starts if (card := self._card(start))]
        self._found[keyword] = cards
        return cards

    def get(self, keyword: str) -> Value:
        """Return the value of the first card of a keyword that has one."""
        values = (card.value for card in self.find(keyword))
        return next((value for value in values if value is not None), None)

    def _card(self, start: int) -> Card | None:
        raw = self.block[start : start + CARD]
        keyword = raw[:8].decode("latin-1").strip().upper()
        if keyword == "CONTINUE":
            return None
        if keyword == "HIERARCH":
            keyword, equals, text = _text(raw[8:]).partition("=")
            keyword = " ".join(keyword.upper().split())
            if not equals:
                return Card("HIERARCH", keyword, "")
        elif keyword in _COMMENTARY or raw[8:9] != b"=":
            return Card(keyword, _text(raw[8:]).strip(), "")
        else:
            text = _text(raw[9:])
        value, comment = _parse_value(text)
        if isinstance(value, str) and value.endswith("&"):
            value, comment = self._continued(value, comment, start + CARD)
        return Card(keyword, value, comment)

    def _continued(self, value: str, comment: str, start: int) -> tuple[str, str]:
        while value.endswith("&") and self.block[start : start + 8] == b"CONTINUE":
            more, extra = _parse_value(_text(self.block[start + 8 : start + CARD]))
            value = value[:-1] + ("" if more is None else str(more))
            comment = " ".join(filter(None, (comment, extra)))
            start += CARD
        return value, comment


def read_headers(path: Path) -> list[RawHeader]:
    """Read every header of a FITS file: plain, gzipped or tile-compressed.

    Of a gzipped file with an image in its first header only that header is read,
    as nothing behind the pixels can be reached without unpacking them.

    Parameters
    ----------
    path : Path
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
        with path.open("rb") as file:
            magic = file.read(2)
            file.seek(0)
            if magic == _GZIP_MAGIC:
                return _read_gzipped(file)
            size = os.fstat(file.fileno()).st_size
            return list(_read_plain(file, size))
    except (EOFError, zlib.error) as error:
        msg = f"damaged gzip file: {error}"
        raise InputError(msg) from error
    except OSError as error:
        msg = f"cannot be read: {error.strerror or error}"
        raise InputError(msg) from error


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
    if header.hdu and header.get("XTENSION") not in ("IMAGE", "IUEIMAGE"):
        if header.get("ZIMAGE") is not True:
            return ()
        shape = _axes(header, "ZNAXIS")
    elif header.get("GROUPS") is True and header.get("NAXIS1") == 0:
        return ()
    else:
        shape = _axes(header, "NAXIS")
    return shape if all(shape) else ()


def _read_plain(file: BinaryIO, size: int) -> Iterator[RawHeader]:
    start = 0
    for hdu in range(MAX_HDUS):
        file.seek(start)
        try:
            header = _read_header(file, hdu)
            pixels = _data_bytes(header)
        except InputError:
            # What follows a sound image is of no account: padding, garbage.
            if hdu == 0:
                raise
            return
        start += _padded(len(header.block) + CARD)
        if start + pixels > size:
            msg = (
                f"truncated: {max(size - start, 0)} bytes of pixels, {pixels} expected"
            )
            raise InputError(msg)
        yield header
        start += _padded(pixels)
        if start >= size:
            return


def _read_gzipped(file: BinaryIO) -> list[RawHeader]:
    file.seek(-4, io.SEEK_END)
    promised = int.from_bytes(file.read(4), "little")
    file.seek(0)
    with gzip.GzipFile(fileobj=file) as unpacked:
        header = _read_header(unpacked, 0)
        pixels = _data_bytes(header)
        data_end = _padded(len(header.block) + CARD) + pixels
        if not image_shape(header):
            return _unpack_headers(unpacked)
        # The last four bytes of a whole gzip file are its unpacked size.  If they
        # cannot be that, only unpacking it tells what is there.
        whole = promised >= data_end % 2**32 and promised % BLOCK == 0
        if not whole and (there := _unpacked_size(unpacked)) < data_end:
            missing = max(there - (data_end - pixels), 0)
            msg = f"truncated: {missing} bytes of pixels, {pixels} expected"
            raise InputError(msg)
        return [header]


def _unpack_headers(unpacked: gzip.GzipFile) -> list[RawHeader]:
    # Extensions can only be reached by unpacking what stands before them; their
    # last byte is then known as well.
    size = _unpacked_size(unpacked)
    return list(_read_plain(unpacked, size))  # type: ignore[arg-type]


def _unpacked_size(unpacked: gzip.GzipFile) -> int:
    while unpacked.read(1 << 20):
        pass
    return unpacked.tell()


def _read_header(file: BinaryIO | gzip.GzipFile, hdu: int) -> RawHeader:
    data = file.read(_FIRST_READ)
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
    wanted = b"XTENSION" if hdu else b"SIMPLE  "
    if data.startswith(wanted) and data[8:9] == b"=":
        return
    if not data.strip(b"\0"):
        msg = "nothing but zero bytes" if data else "empty file"
        raise InputError(msg)
    for magic, meaning in _STRANGERS.items():
        if data.startswith(magic):
            raise InputError(meaning)
    shown = data[:24].decode("latin-1")
    msg = f"not FITS: begins with {shown!r}, expected 'SIMPLE  ='"
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


def _data_bytes(header: RawHeader) -> int:
    bits = header.get("BITPIX")
    if not isinstance(bits, int) or bits not in _PIXEL_BITS:
        msg = f"BITPIX is {bits!r}, expected one of 8, 16, 32, 64, -32, -64"
        raise InputError(msg)
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


def _padded(n_bytes: int) -> int:
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
    if not _NUMBER.fullmatch(literal):
        return literal
    try:
        return int(literal)
    except ValueError:
        return float(literal.upper().replace("D", "E"))
