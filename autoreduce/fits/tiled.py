"""Images that are stored as compressed tiles: each tile is unpacked once."""

import io
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.cards import CARD, format_card, header_block
from autoreduce.fits.header import RawHeader, image_shape

if TYPE_CHECKING:
    from astropy.io import fits

Array = NDArray[Any]

_AT_ONCE = 1 << 22
"""Pixels that are unpacked at once."""
FREE = 10
"""Times an image must have room where temporary files go, to be kept there unpacked."""
_LOW = 16
"""Rows of a tile, up to which few rows are unpacked for nothing."""
_FEW = 64
"""Tiles, fewer than which astropy unpacks sooner where they are."""
_STRUCTURE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|TFIELDS|T(TYPE|FORM)\d+|THEAP|BZERO|BSCALE|BLANK|Z.+"
)
"""Keywords that tell how tiles are stored."""
_OF_TABLE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|GROUPS|CHECKSUM|DATASUM|TFIELDS"
    r"|THEAP|T(TYPE|FORM|SCAL|ZERO|NULL|UNIT|DISP|DIM|BCOL|CTYP|CUNI|CRPX|CRVL|CDLT|RPOS)\d+"
    r"|Z(IMAGE|CMPTYPE|MASKCMP|QUANTIZ|DITHER0|BLANK|SCALE|ZERO|(TILE|NAME|VAL)\d*)"
)
"""Keywords of the table that the image in it has not."""
_RENAMED = re.compile(
    r"Z(SIMPLE|BITPIX|NAXIS\d*|[PG]COUNT|EXTEND|BLOCKED|DATASUM)|Z(TENSION|HECKSUM)"
)
"""Keywords of the image that stand in the table under other names."""
_FIRST_LETTERS = {"TENSION": "X", "HECKSUM": "C"}
_NOT_FIRST = ("EXTEND", "BLOCKED", "CHECKSUM", "DATASUM")
"""Those of them that stand anywhere; the others tell its shape."""
_FORM = re.compile(r"1?([BIJKED])|1?([PQ])([BIJKED])(?:\(.*)?")
_TYPES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_DESCRIPTORS = {"P": ">i4", "Q": ">i8"}


class TiledImage:
    """Rows of a compressed image, as physical values in native byte order.

    What was unpacked lies in a file without a name, since rows are asked for again and
    again; it goes when it is closed.
    """

    block: bytes
    """Cards of the image, as `RawHeader` has them."""

    def __init__(self, file: io.FileIO, header: RawHeader, start: int) -> None:
        """Look at an image.

        Parameters
        ----------
        file : file
            Open for reading; it is not closed.
        header : RawHeader
            Header of the table that holds the tiles.
        start : int
            Byte of the file at which the table begins.

        Raises
        ------
        Exception
            Of any kind, as astropy and cfitsio raise them, if it is damaged.
        """
        self.file, self._start = file, start
        spans = [header.block[span] for span in header.layout.cards]
        # What continues a card is behind it already.
        told = [(key, card) for card in spans if (key := _keyword(card)) != "CONTINUE"]
        self._cards = {
            key: card[:CARD] for key, card in told if _STRUCTURE.fullmatch(key)
        }
        self._seed = _whole(header, "ZDITHER0") if "ZDITHER0" in self._cards else 0
        self._is_dithered = header.get("ZQUANTIZ") not in (None, "NO_DITHER")
        self._row, self._arrays = _columns(header)
        n, self._n_heap = _whole(header, "NAXIS2"), _whole(header, "PCOUNT")
        heap = header.get("THEAP")
        self._heap = start + (heap if isinstance(heap, int) else self._row.itemsize * n)
        self._nx, *others = image_shape(header)
        self._ny = math.prod(others)
        # Of a cube all tiles are unpacked together.
        self._is_plane = len(others) == 1
        self._height = _whole(header, "ZTILE2") if self._is_plane else self._ny
        self._tiles = -(-self._nx // _whole(header, "ZTILE1"))
        self._there = np.zeros(-(-self._ny // self._height), bool)
        self._scratch: io.FileIO | None = None
        self._first: Array | None = None
        self.block = _cards_of_image(header, told)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        self._first = self._unpacked(0, 1)
        return self._first.dtype

    @property
    def is_low(self) -> bool:
        """Whether some rows are unpacked without many others."""
        return self._is_plane and self._height <= _LOW

    def release(self) -> None:
        """Forget what was unpacked; before rows are read, `file` is to be an open one."""
        self.close()
        self._scratch = self._first = None
        self._there[:] = False
        self.__dict__.pop("_image", None)  # it reads the file that is closed

    def close(self) -> None:
        """Give back what was unpacked."""
        if self._scratch is not None:
            self._scratch.close()

    def rows(self, start: int, stop: int) -> Array:
        """Read rows [start, stop); in a cube the planes follow each other.

        Raises
        ------
        Exception
            Of any kind, as astropy and cfitsio raise them, if tiles are damaged.
        """
        out = np.empty((stop - start, self._nx), self.dtype)
        for first, last in self._runs(start, stop):
            top, end = first * self._height, min(last * self._height, self._ny)
            rows = slice(max(top, start), min(end, stop))
            part = out[rows.start - start : rows.stop - start]
            if self._there[first]:
                self._recall(part, rows.start)
                continue
            found = self._unpacked(first, last)
            part[...] = found[rows.start - top : rows.stop - top]
            if self._has_room:
                with suppress(OSError):  # what is not kept is unpacked again
                    self._keep(found, top)
                    self._there[first:last] = True
        return out

    def bands(self, starts: Sequence[int], height: int) -> Array:
        """Read bands of so many rows, one after the other.

        Raises
        ------
        Exception
            Of any kind, as astropy and cfitsio raise them, if tiles are damaged.
        """
        at = np.add.outer(starts, np.arange(height)).ravel()
        tiles = np.unique(at // self._height)
        n_pixels = tiles.size * self._height * self._nx
        # What is dithered depends on where its tile is among the others.
        if not self._is_plane or self._is_dithered or n_pixels > _AT_ONCE:
            return np.concatenate([self.rows(row, row + height) for row in starts])
        gaps = np.flatnonzero(np.diff(tiles) > 1) + 1
        runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(tiles, gaps)]
        top = np.searchsorted(tiles, at // self._height) * self._height
        found: Array = self._alone(*runs)[top + at % self._height]
        return found

    def _runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield rows of tiles, first and end, that are unpacked already or are not."""
        most = max(_AT_ONCE // (self._height * self._nx), 1)
        first, end = start // self._height, -(-stop // self._height)
        while first < end:
            last = min(first + most, end)
            others = np.flatnonzero(self._there[first:last] != self._there[first])
            if others.size:
                last = first + int(others[0])
            yield first, last
            first = last

    def _unpacked(self, first: int, last: int) -> Array:
        """Unpack some rows of tiles; the first ones were when the type was asked for."""
        if (first, last) == (0, 1) and self._first is not None:
            found, self._first = self._first, None
            return found
        top, end = first * self._height, min(last * self._height, self._ny)
        if not self._is_plane:
            return _native(self._image.data.reshape(-1, self._nx))
        if (last - first) * self._tiles < _FEW:
            return _native(self._image.section[top:end])
        return self._alone((first, last))

    @cached_property
    def _image(self) -> "fits.CompImageHDU":
        """The image where it is."""
        from astropy.io import fits

        file = _Behind(header_block([*self._cards.values()]), self.file, self._start)
        return fits.CompImageHDU(bintable=fits.BinTableHDU.readfrom(file))

    def _alone(self, *runs: tuple[int, int]) -> Array:
        """Unpack runs of rows of tiles: of a section each is looked up anew.

        One that is dithered has to be the only one.
        """
        from astropy.io import fits

        tables, heaps, n_heap, ny = [], [], 0, 0
        for first, last in runs:
            rows, heap = self._stored(first, last, n_heap)
            tables.append(rows.tobytes())
            heaps.append(heap)
            n_heap += len(heap)
            ny += min(last * self._height, self._ny) - first * self._height
        n_bytes = sum(map(len, tables))
        counts = {
            "NAXIS2": n_bytes // self._row.itemsize,
            "PCOUNT": n_heap,
            "THEAP": n_bytes,
            "ZNAXIS2": ny,
            "ZDITHER0": self._seed + runs[0][0] * self._tiles,
        }
        cards = self._cards | {
            key: format_card(key, count)[0] for key, count in counts.items()
        }
        file = b"".join(
            (
                header_block([*cards.values()]),
                *tables,
                *heaps,
            )
        )
        image = fits.CompImageHDU(bintable=fits.BinTableHDU.fromstring(file))
        return _native(image.data)

    def _stored(self, first: int, last: int, shift: int) -> tuple[Array, bytes]:
        """Read some rows of tiles: of the table, and of its heap what they need.

        There it begins at the byte `shift`.
        """
        width = self._row.itemsize
        at, n = first * self._tiles, (last - first) * self._tiles
        table = self._read(self._start + at * width, n * width)
        rows = np.frombuffer(table, self._row).copy()
        spans = [(0, 0)]
        for name, size in self._arrays.items():
            used = rows[name][rows[name][:, 0] > 0].astype(np.int64)
            if used.size:
                ends = used[:, 1] + used[:, 0] * size
                spans.append((int(used[:, 1].min()), int(ends.max())))
        low, high = min(a for a, _ in spans[1:] or spans), max(b for _, b in spans)
        if high > self._n_heap:
            msg = f"tiles end at byte {high} of {self._n_heap}"
            raise ValueError(msg)
        for name in self._arrays:
            rows[name][:, 1] += shift - low
        return rows, self._read(self._heap + low, high - low)

    def _read(self, start: int, n_bytes: int) -> bytes:
        found = os.pread(self.file.fileno(), n_bytes, start)
        if len(found) < n_bytes:
            msg = f"it ends {n_bytes - len(found)} bytes early"
            raise EOFError(msg)
        return found

    @cached_property
    def _has_room(self) -> bool:
        """Tell whether the image takes no more than a small part of what is free."""
        n_bytes = self._ny * self._nx * self.dtype.itemsize
        free: int = shutil.disk_usage(tempfile.gettempdir()).free
        return bool(free > FREE * n_bytes)

    def _keep(self, values: Array, row: int) -> None:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- see close
        buffer = memoryview(cast("Any", np.ascontiguousarray(values))).cast("B")
        at = row * self._nx * self.dtype.itemsize
        done = 0
        while done < len(buffer):
            done += os.pwrite(self._scratch.fileno(), buffer[done:], at + done)

    def _recall(self, out: Array, row: int) -> None:
        file = cast("io.FileIO", self._scratch).fileno()
        buffer = memoryview(cast("Any", out)).cast("B")
        at = row * self._nx * self.dtype.itemsize
        done = 0
        while done < len(buffer):
            done += os.preadv(file, [buffer[done:]], at + done)


class _Behind(io.RawIOBase):
    """A file from one of its bytes on, behind cards of which astropy parses each, slowly."""

    def __init__(self, cards: bytes, file: io.FileIO, start: int) -> None:
        self._cards, self.file = cards, file
        self._shift = start - len(cards)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = os.fstat(self.file.fileno()).st_size - self._shift
        self._at = offset + (0, self._at, end)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- whatever has bytes
        found = self._cards[self._at : self._at + len(buffer)]
        if found:
            memoryview(buffer)[: len(found)] = found
            n = len(found)
        else:
            n = os.preadv(self.file.fileno(), [buffer], self._at + self._shift)
        self._at += n
        return n


def _native(values: Array) -> Array:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _keyword(card: bytes) -> str:
    return card[:8].decode("latin-1").rstrip()


def _unnamed(keyword: str, card: bytes) -> bool:
    """Tell the name that a table has whose image has none."""
    return (
        keyword == "EXTNAME" and RawHeader(0, card).get(keyword) == "COMPRESSED_IMAGE"
    )


def _cards_of_image(header: RawHeader, cards: list[tuple[str, bytes]]) -> bytes:
    """Translate the cards of a table of tiles to those of its image.

    Those that tell its shape come first, as they must; all others stay where they are.
    """
    axes = [f"NAXIS{i}" for i in range(1, _whole(header, "ZNAXIS") + 1)]
    if "ZSIMPLE" in header.keywords:
        first = dict.fromkeys(("SIMPLE", "BITPIX", "NAXIS", *axes), b"")
    else:
        first = dict.fromkeys(("XTENSION", "BITPIX", "NAXIS", *axes, "PCOUNT"), b"")
        for key, value in (("XTENSION", "IMAGE"), ("PCOUNT", 0), ("GCOUNT", 1)):
            first[key] = format_card(key, value)[0]
    others = []
    for key, card in cards:
        if renamed := _RENAMED.fullmatch(key):
            own = renamed[1] or _FIRST_LETTERS[renamed[2]] + renamed[2]
            if own in first:
                first[own] = own.encode().ljust(8) + card[8:]
            elif own in _NOT_FIRST:
                others.append(own.encode().ljust(8) + card[8:])
        elif not (_OF_TABLE.fullmatch(key) or _unnamed(key, card)):
            others.append(card)
    is_blank = "ZBLANK" in header.keywords and "BLANK" not in header.keywords
    if is_blank and _whole(header, "ZBITPIX") > 0:
        others += format_card("BLANK", _whole(header, "ZBLANK"))
    return b"".join((*first.values(), *others))


def _whole(header: RawHeader, keyword: str) -> int:
    value = header.get(keyword)
    if isinstance(value, int):
        return value
    msg = f"{keyword} = {value} where a whole number belongs"
    raise ValueError(msg)


def _columns(header: RawHeader) -> tuple[np.dtype[Any], dict[str, int]]:
    """Read the columns of a table: a row of it, and bytes an item of those of arrays."""
    row: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    arrays = {}
    for i in range(1, _whole(header, "TFIELDS") + 1):
        found = _FORM.fullmatch(str(header.get(f"TFORM{i}")).strip())
        if not found:
            msg = f"TFORM{i} = {header.get(f'TFORM{i}')} is no column of an image"
            raise ValueError(msg)
        kind, array, of = found.groups()
        if kind:
            row.append((f"{i}", _TYPES[kind]))
        else:
            row.append((f"{i}", _DESCRIPTORS[array], (2,)))
            arrays[f"{i}"] = np.dtype(_TYPES[of]).itemsize
    return np.dtype(row), arrays
