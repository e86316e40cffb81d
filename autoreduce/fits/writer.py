"""Images out, by bands of rows: a product is written whole or not at all."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import ProductError
from autoreduce.fits.cards import (
    BLOCK,
    CARD,
    CardValue,
    checksummed_header,
    format_card,
    ones_complement_sum,
    without,
)
from autoreduce.fits.whole import UMASK

Array = NDArray[Any]

_SPARE = 2 * BLOCK

_MOVED_AT_A_TIME = 1 << 22

PIECE = 1 << 20
"""Bytes turned to the file's order at a time: they stay in the cache until written."""

STRUCTURE = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS*", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS",
    "BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "EXTNAME", "EXTVER", "INHERIT",
    "ZIMAGE", "ZCMPTYPE", "ZNAXIS*", "ZTILE*", "ZBITPIX", "ZNAME*", "ZVAL*", "ZQUANTIZ",
    "ZDITHER0", "ZBLANK", "ZTENSION", "ZEXTEND", "ZSIMPLE", "ZPCOUNT", "ZGCOUNT",
    "TFIELDS", "TTYPE*", "TFORM*", "THEAP", "DATAMIN", "DATAMAX", "END",
)  # fmt: skip
"""Keywords that describe how pixels lie in a file: never copied to a product."""


class ProductWriter:
    """A FITS product that is written by bands and appears only when it is whole.

    The primary HDU holds float32 data; planes follow as image extensions ``UNCERT``
    (float32, standard deviation) and ``MASK`` (uint8, nonzero is bad), named and typed
    as `astropy.nddata.CCDData` reads them.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        *,
        header_cards: int,
        planes: Sequence[str] = (),
        overwrite: bool = False,
    ) -> None:
        """Reserve room for a product.

        Parameters
        ----------
        path : Path
            Where it will stand; its folder is made if need be.
        shape : (ny, nx)
            Size of the image.
        header_cards : int
            Cards that the header will have, about: if it has many more, the data are
            moved on to make room for them.
        planes : sequence of str
            Planes beside the data: ``UNCERT``, ``MASK``.
        overwrite : bool
            Whether a product that stands there is replaced.

        Raises
        ------
        ProductError
            If the product exists and may not be replaced, or cannot be created.
        """
        if path.exists() and not overwrite:
            msg = f"{path} exists; remove it, or allow it to be overwritten"
            raise ProductError(msg)
        self.path, self.shape = path, shape
        self._reserve = -(-(header_cards * CARD + _SPARE) // BLOCK) * BLOCK
        names = ("", *planes)
        self._types = {
            name: np.dtype("u1" if name == "MASK" else ">f4") for name in names
        }
        self._sums = dict.fromkeys(names, 0)
        self._offsets = self._plan_offsets()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, self._temporary = tempfile.mkstemp(
                prefix=f".{path.name}.", suffix=".part", dir=path.parent
            )
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise ProductError(msg) from error
        self._file = os.fdopen(handle, "r+b", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        with suppress(FileNotFoundError):
            Path(self._temporary).unlink()

    def write_rows(self, start: int, data: Array, *, plane: str = "") -> None:
        """Write rows of a plane, from row `start` on; each row once, in any order.

        Parameters
        ----------
        start : int
            Zero-based row of the first one.
        data : (n, nx) array
            Values; converted to the type of the plane.
        plane : str
            "" for the data, else the name of the plane.
        """
        dtype = self._types[plane]
        row = self.shape[1] * dtype.itemsize
        height = max(PIECE // row, 1)
        for first in range(0, len(data), height):
            stored = np.ascontiguousarray(data[first : first + height], dtype=dtype)
            raw = stored.reshape(-1).view(np.uint8)
            offset = (start + first) * row
            self._write(raw.data, self._offsets[plane][1] + offset)
            self._sums[plane] = _partial_sum(raw, offset, self._sums[plane])

    def finish(
        self,
        cards: Sequence[bytes],
        *,
        plane_cards: Sequence[bytes] = (),
        table: bytes = b"",
    ) -> None:
        """Write the headers, move the product to its name.

        Parameters
        ----------
        cards : sequence of bytes
            Cards of the product; those of `STRUCTURE` are dropped and set anew.
        plane_cards : sequence of bytes
            Cards that the planes get as well.
        table : bytes
            A whole extension (header and data) that is put behind the planes.

        Raises
        ------
        ProductError
            If the disk does not take it.
        """
        primary = [*self._structure(""), *without(cards, STRUCTURE)]
        self._make_room(len(primary))
        for name, (header_at, data_at) in self._offsets.items():
            plane = [*self._structure(name), *without(plane_cards, STRUCTURE)]
            full = plane if name else primary
            reserve = data_at - header_at
            header = checksummed_header(full, self._sums[name], reserve=reserve)
            self._write(memoryview(header), header_at)
        end = self._end()
        self._write(memoryview(table), end)
        try:
            os.ftruncate(self._file.fileno(), end + len(table))
            Path(self._temporary).chmod(0o666 & ~UMASK)
            Path(self._temporary).replace(self.path)
        except OSError as error:
            raise self._failure(error) from error

    def _make_room(self, n_cards: int) -> None:
        """Move the data on if the primary header is longer than was foreseen."""
        checksums_and_end = 3
        needed = -(-(n_cards + checksums_and_end) * CARD // BLOCK) * BLOCK
        extra = needed - self._reserve
        if extra <= 0:
            return
        at = self._length
        while at > self._reserve:
            size = min(_MOVED_AT_A_TIME, at - self._reserve)
            at -= size
            self._write(memoryview(os.pread(self._file.fileno(), size, at)), at + extra)
        self._reserve = needed
        self._offsets = self._plan_offsets()

    def _plan_offsets(self) -> dict[str, tuple[int, int]]:
        offsets, at = {}, 0
        for name, dtype in self._types.items():
            data_at = at + (self._reserve if not name else BLOCK)
            offsets[name] = (at, data_at)
            size = self.shape[0] * self.shape[1] * dtype.itemsize
            at = data_at + -(-size // BLOCK) * BLOCK
        self._length = at
        return offsets

    def _end(self) -> int:
        return self._length

    def _structure(self, name: str) -> list[bytes]:
        bitpix = 8 if name == "MASK" else -32
        pairs: list[tuple[str, CardValue, str]] = [
            ("XTENSION", "IMAGE", "image extension")
            if name
            else ("SIMPLE", True, "conforms to the FITS standard"),
            ("BITPIX", bitpix, "bits per pixel"),
            ("NAXIS", 2, "number of axes"),
            ("NAXIS1", self.shape[1], "columns"),
            ("NAXIS2", self.shape[0], "rows"),
        ]
        if name:
            pairs += [("PCOUNT", 0, ""), ("GCOUNT", 1, ""), ("EXTNAME", name, "plane")]
            if name == "UNCERT":
                pairs += [("UTYPE", "StdDevUncertainty", "kind of uncertainty")]
        else:
            pairs += [("EXTEND", True, "extensions may follow")]
        return [card for pair in pairs for card in format_card(*pair)]

    def _write(self, data: memoryview, offset: int) -> None:
        done, view = 0, data.cast("B") if data.format != "B" else data
        try:
            while done < len(view):
                done += os.pwrite(self._file.fileno(), view[done:], offset + done)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> ProductError:
        return ProductError(
            f"{self.path} could not be written: {error.strerror}; "
            "nothing is left of it, free some space or choose another folder with -o"
        )


def _partial_sum(raw: NDArray[np.uint8], offset: int, total: int) -> int:
    """Add bytes that begin anywhere to a sum of 32-bit words."""
    lead = offset % 4
    padded = -(-(lead + raw.size) // 4) * 4
    if lead or padded != raw.size:
        full = np.zeros(padded, np.uint8)
        full[lead : lead + raw.size] = raw
        raw = full
    return ones_complement_sum(raw, total)


def write_image(
    path: Path,
    data: Array,
    cards: Sequence[bytes],
    *,
    overwrite: bool = False,
    planes: dict[str, Array] | None = None,
    table: bytes = b"",
) -> None:
    """Write a 2-D float32 image with its planes, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    data : (ny, nx) array
        Converted to float32.
    cards : sequence of bytes
        Header cards (see `autoreduce.fits.cards`); structure is set anew.
    overwrite : bool
        Whether a file that stands there is replaced.
    planes : dict of str to (ny, nx) array, optional
        ``UNCERT`` and ``MASK``.
    table : bytes
        An extension put behind.

    Raises
    ------
    ProductError
        If it exists and may not be replaced, or the disk does not take it.
    """
    planes = planes or {}
    ny, nx = data.shape
    with ProductWriter(
        path,
        (ny, nx),
        header_cards=len(cards),
        planes=tuple(planes),
        overwrite=overwrite,
    ) as writer:
        writer.write_rows(0, data)
        for name, plane in planes.items():
            writer.write_rows(0, plane, plane=name)
        writer.finish(cards, table=table)
