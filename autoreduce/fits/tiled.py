"""Images that are stored as compressed tiles: each tile is unpacked once."""

import io
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.header import RawHeader, padded

if TYPE_CHECKING:
    from astropy.io import fits

Array = NDArray[Any]

_AT_ONCE = 1 << 22
"""Pixels that are unpacked at once."""
FREE = 10
"""Times an image must have room where temporary files go, to be kept there unpacked."""
_FEW = 64
"""Tiles, fewer than which astropy unpacks sooner where they are."""
_STRUCTURE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|T(TYPE|FORM)\d+|BZERO|BSCALE|BLANK|Z.+"
)
"""Keywords that tell how tiles are stored."""
_FORM = re.compile(r"1?([BIJKED])|1?([PQ])([BIJKED])(?:\(.*)?")
_TYPES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_DESCRIPTORS = {"P": ">i4", "Q": ">i8"}


class TiledImage:
    """Rows of a compressed image, as physical values in native byte order.

    What was unpacked lies in a file without a name, since rows are asked for again and
    again; it goes when it is closed.
    """

    dtype: np.dtype[Any]
    """Type of the values."""
    header: str
    """Cards of the image."""

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
        from astropy.io import fits

        self._file, self._start = file, start
        told = ((card[:8].decode("ascii").strip(), card) for card in header.records)
        self._cards = {key: card for key, card in told if _STRUCTURE.fullmatch(key)}
        self._row, self._arrays = _columns(header)
        n, self._n_heap = _whole(header, "NAXIS2"), _whole(header, "PCOUNT")
        heap = header.get("THEAP")
        self._heap = start + (heap if isinstance(heap, int) else self._row.itemsize * n)
        table = fits.BinTableHDU.readfrom(_Behind(file, start - header.n_bytes))
        self._image = fits.CompImageHDU(bintable=table)
        self._ny, self._nx = math.prod(self._image.shape[:-1]), self._image.shape[-1]
        tile = self._image.tile_shape
        # Of a cube all tiles are unpacked together.
        self._is_plane = len(tile) == 2
        self._height = tile[0] if self._is_plane else self._ny
        self._tiles = -(-self._nx // tile[-1])
        self._there = np.zeros(-(-self._ny // self._height), bool)
        self._scratch: io.FileIO | None = None
        self.header = self._image.header.tostring(endcard=False, padding=False)
        self.dtype = self._unpacked(0, 1).dtype

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
        """Unpack some rows of tiles."""
        top, end = first * self._height, min(last * self._height, self._ny)
        if not self._is_plane:
            values = self._image.data.reshape(-1, self._nx)
        elif (last - first) * self._tiles < _FEW:
            values = self._image.section[top:end]
        else:
            values = self._alone(first, last, end - top).data
        return cast("Array", values.astype(values.dtype.newbyteorder("="), copy=False))

    def _alone(self, first: int, last: int, ny: int) -> "fits.CompImageHDU":
        """Make an image of some rows of tiles: of a section each is looked up anew."""
        from astropy.io import fits

        at, n = first * self._tiles, (last - first) * self._tiles
        width = self._row.itemsize
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
            rows[name][:, 1] -= low
        heap = self._read(self._heap + low, high - low)
        counts = {"NAXIS2": n, "PCOUNT": len(heap), "ZNAXIS2": ny}
        if "ZDITHER0" in self._cards:
            counts["ZDITHER0"] = self._image.dither_seed + at
        cards = self._cards | {
            key: f"{key:8}= {count:20}".ljust(80).encode()
            for key, count in counts.items()
        }
        block = b"".join((*cards.values(), b"END".ljust(80)))
        file = b"".join((block.ljust(padded(len(block))), rows.tobytes(), heap))
        return fits.CompImageHDU(bintable=fits.BinTableHDU.fromstring(file))

    def _read(self, start: int, n_bytes: int) -> bytes:
        found = os.pread(self._file.fileno(), n_bytes, start)
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
    """A file from one of its bytes on: astropy parses all that stand before, slowly."""

    def __init__(self, file: io.FileIO, start: int) -> None:
        self._file, self._start = file, start
        file.seek(start)

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        shift = self._start if whence == os.SEEK_SET else 0
        return self._file.seek(offset + shift, whence) - self._start

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 -- whatever has bytes
        return self._file.readinto(buffer)


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
