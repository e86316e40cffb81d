"""Images out, by bands of rows: of any type, with planes, whole or not at all."""

import gzip
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.cards import (
    BLOCK,
    CARD,
    Card,
    CardValue,
    checksummed_header,
    format_card,
    header_block,
    ones_complement_sum,
    without,
)
from autoreduce.fits.closing import Closing
from autoreduce.fits.formats import GZIP, recognise, unpacking
from autoreduce.fits.header import RawHeader, headers_of
from autoreduce.fits.images import FILL, PIECE
from autoreduce.fits.names import refuse_packed
from autoreduce.fits.whole import replacing, unwritten

Array = NDArray[Any]

_MOVED_AT_A_TIME = 1 << 22
_CHECKSUMS_AND_END = 3

STRUCTURE = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS*", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS",
    "BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "EXTNAME", "EXTVER", "INHERIT",
    "ZIMAGE", "ZCMPTYPE", "ZNAXIS*", "ZTILE*", "ZBITPIX", "ZNAME*", "ZVAL*", "ZQUANTIZ",
    "ZDITHER0", "ZBLANK", "ZTENSION", "ZEXTEND", "ZSIMPLE", "ZPCOUNT", "ZGCOUNT",
    "TFIELDS", "TTYPE*", "TFORM*", "THEAP", "DATAMIN", "DATAMAX", "NANFILL", "END",
)  # fmt: skip
"""Keywords that describe how pixels lie in a file: never copied to a product."""

UNCERT, MASK = "UNCERT", "MASK"
PLANE_TYPES: Mapping[str, DTypeLike] = {UNCERT: np.float32, MASK: np.uint8}
"""Types of the planes that stand beside an image, as `astropy.nddata.CCDData` reads
them: one sigma in the unit of the image; nonzero is bad."""
_BITPIX = {
    "uint8": 8, "int16": 16, "int32": 32, "int64": 64, "float32": -32, "float64": -64,
}  # fmt: skip
_ZERO = {"int8": -128, "uint16": 2**15, "uint32": 2**31, "uint64": 2**63}


class _Stored(NamedTuple):
    """How values of a type lie in a file."""

    dtype: np.dtype[Any]
    """Their type there, big-endian."""
    bitpix: int
    zero: int
    """BZERO; 0 for types that FITS has."""

    @classmethod
    def of(cls, dtype: np.dtype[Any]) -> "_Stored":
        """Find the type of FITS that holds all values."""
        dtype = np.dtype(np.uint8) if dtype == np.bool_ else dtype.newbyteorder("=")
        zero = _ZERO.get(dtype.name, 0)
        if zero:
            kind = "u" if dtype == np.int8 else "i"
            dtype = np.dtype(f"{kind}{dtype.itemsize}")
        return cls(dtype.newbyteorder(">"), _BITPIX[dtype.name], zero)

    def put(self, data: Array, dtype: np.dtype[Any], out: Array) -> None:
        """Turn values of a type into what lies in the file.

        A shift by half the range is a flip of the highest bit.
        """
        plain = np.asarray(data, dtype)
        if self.zero:
            unsigned = np.dtype(f"u{dtype.itemsize}")
            half = unsigned.type(1 << (8 * dtype.itemsize - 1))
            plain = (plain.view(unsigned) ^ half).view(self.dtype.newbyteorder("="))
        out[...] = plain


class ImageWriter(Closing):
    """An image that is written by bands and appears only when it is whole.

    The primary HDU holds the data; planes follow as image extensions of the same shape,
    MASK first.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        *,
        header_cards: int,
        dtype: DTypeLike = np.float32,
        planes: Mapping[str, DTypeLike] | Sequence[str] = (),
        overwrite: bool = False,
        fill: float | None = None,
    ) -> None:
        """Reserve room for an image.

        Parameters
        ----------
        path : Path
            Where it will stand; its folder is made if need be.
        shape : (ny, nx) or (nz, ny, nx)
            Size of the image.
        header_cards : int
            Cards that `finish` will be given, about: where their number needs another
            number of blocks, the data are moved.
        dtype : dtype
            Type of the data; unsigned integers are written with BZERO.
        planes : sequence of str, or mapping of str to dtype
            Planes beside the data; those of `PLANE_TYPES` need no type.
        overwrite : bool
            Whether a file that stands there is replaced.
        fill : float, optional
            What is written for NaN in the data, for programs that cannot bear it; the
            card `FILL` tells, and `autoreduce.fits.images` reads NaN.  A pixel
            that has this very value is moved to the next one up.

        Raises
        ------
        ProductError
            If the file exists and may not be replaced, is named like a packed one, or
            cannot be created.
        """
        refuse_packed(path)
        if path.exists() and not overwrite:
            msg = f"{path} exists; remove it, or allow it to be overwritten"
            raise ProductError(msg)
        self.path, self.shape = path, tuple(shape)
        self._fill = None if fill is None else np.array(fill, dtype)[()]
        if not isinstance(planes, Mapping):
            planes = {name: PLANE_TYPES[name] for name in planes}
        types = {"": dtype, **dict(sorted(planes.items(), key=_is_not_mask))}
        self._types = {name: np.dtype(one) for name, one in types.items()}
        self._stored = {name: _Stored.of(one) for name, one in self._types.items()}
        self._sums = dict.fromkeys(self._types, 0)
        longest = max(self.shape[-1] * one.itemsize for one in self._types.values())
        self._piece = np.empty(max(PIECE, longest), np.uint8)
        structure = len(self._structure(""))
        self._reserve = _header_bytes(structure + header_cards)
        self._offsets = self._plan_offsets(())
        self._stack = ExitStack()
        part = self._stack.enter_context(replacing(path))
        self._file = self._stack.enter_context(part.open("r+b", buffering=0))

    def close(self) -> None:
        """Remove what was written, unless it stands at its name already."""
        stack, self._stack = self._stack, ExitStack()
        stack.__exit__(_AbandonedError, _AbandonedError(), None)

    def write_rows(self, start: int, data: Array, *, plane: str = "") -> None:
        """Write rows of a plane, from row `start` on; each row once, in any order.

        Parameters
        ----------
        start : int
            Zero-based row of the first one; in a cube its planes follow each other.
        data : (n, nx) array
            Values; converted to the type of the plane.
        plane : str
            "" for the data, else the name of the plane.
        """
        dtype, stored = self._types[plane], self._stored[plane]
        if self._fill is not None and not plane:
            data = _filled(data, self._fill)
        row = self.shape[-1] * stored.dtype.itemsize
        height = max(PIECE // row, 1)
        for first in range(0, len(data), height):
            part = data[first : first + height]
            raw = self._piece[: len(part) * row]
            stored.put(part, dtype, raw.view(stored.dtype).reshape(part.shape))
            offset = (start + first) * row
            self._write(raw.data, self._offsets[plane][1] + offset)
            self._sums[plane] = _partial_sum(raw, offset, self._sums[plane])

    def finish(
        self,
        cards: Sequence[bytes],
        *,
        plane_cards: Mapping[str, Sequence[bytes]] | None = None,
        table: bytes = b"",
    ) -> None:
        """Write the headers, move the file to its name.

        Parameters
        ----------
        cards : sequence of bytes
            Cards of the image; those of `STRUCTURE` are dropped and set anew.
        plane_cards : mapping of str to sequence of bytes, optional
            Cards that a plane gets as well, by its name.
        table : bytes
            Whole extensions (header and data) that are put behind the planes.

        Raises
        ------
        ProductError
            If the disk does not take it.
        """
        more = plane_cards or {}
        headers = {
            name: [*self._structure(name), *without(more.get(name, ()), STRUCTURE)]
            for name in self._types
        }
        headers[""] = [*self._structure(""), *without(cards, STRUCTURE)]
        self._make_room(headers)
        for name, (header_at, data_at) in self._offsets.items():
            header = checksummed_header(
                headers[name], self._sums[name], reserve=data_at - header_at
            )
            self._write(memoryview(header), header_at)
        self._write(memoryview(table), self._length)
        try:
            os.ftruncate(self._file.fileno(), self._length + len(table))
        except OSError as error:
            raise unwritten(self.path, error) from error
        self._stack.close()

    def _make_room(self, headers: Mapping[str, Sequence[bytes]]) -> None:
        """Move the data to where they are if headers are longer or shorter than planned."""
        before = self._offsets
        self._reserve = _header_bytes(len(headers[""]))
        lengths = tuple(_header_bytes(len(headers[name])) for name in self._types)
        self._offsets = self._plan_offsets(lengths)
        order = list(self._types)
        if self._offsets[""][1] > before[""][1]:
            order.reverse()
        for name in order:
            self._move(before[name][1], self._offsets[name][1], self._size(name))

    def _move(self, old: int, new: int, size: int) -> None:
        if old == new:
            return
        pieces = range(0, size, _MOVED_AT_A_TIME)
        for at in reversed(pieces) if new > old else pieces:
            length = min(_MOVED_AT_A_TIME, size - at)
            piece = os.pread(self._file.fileno(), length, old + at)
            self._write(memoryview(piece.ljust(length, b"\0")), new + at)
        self._write(memoryview(bytes(-size % BLOCK)), new + size)

    def _size(self, name: str) -> int:
        """Return the bytes of a plane, without padding."""
        return int(np.prod(self.shape)) * self._stored[name].dtype.itemsize

    def _plan_offsets(self, lengths: Sequence[int]) -> dict[str, tuple[int, int]]:
        """Say where the header and the data of each HDU begin."""
        lengths = lengths or [self._reserve, *[BLOCK] * (len(self._types) - 1)]
        offsets, at = {}, 0
        for name, length in zip(self._types, lengths, strict=True):
            offsets[name] = (at, at + length)
            at += length + -(-self._size(name) // BLOCK) * BLOCK
        self._length = at
        return offsets

    def _structure(self, name: str) -> list[bytes]:
        stored = self._stored[name]
        begin: tuple[str, CardValue, str] = (
            "SIMPLE",
            True,
            "conforms to the FITS standard",
        )
        if name:
            begin = ("XTENSION", "IMAGE", "image extension")
        axes = [
            Card(f"NAXIS{n}", length)
            for n, length in enumerate(reversed(self.shape), start=1)
        ]
        cards = [
            Card(*begin),
            Card("BITPIX", stored.bitpix, "bits per pixel"),
            Card("NAXIS", len(self.shape), "number of axes"),
            *axes,
        ]
        if name:
            cards += [Card("PCOUNT", 0), Card("GCOUNT", 1)]
            cards += [Card("EXTNAME", name, "plane")]
        else:
            cards += [Card("EXTEND", True, "extensions may follow")]
            if self._fill is not None:
                cards += [Card(FILL, float(self._fill), "stands for no value (NaN)")]
        if name == UNCERT:
            cards += [Card("UTYPE", "StdDevUncertainty", "kind of uncertainty")]
        if stored.zero:
            cards += [Card("BZERO", stored.zero), Card("BSCALE", 1)]
        return _lines(cards)

    def _write(self, data: memoryview, offset: int) -> None:
        done, view = 0, data.cast("B") if data.format != "B" else data
        try:
            while done < len(view):
                done += os.pwrite(self._file.fileno(), view[done:], offset + done)
        except OSError as error:
            raise unwritten(self.path, error) from error


def _is_not_mask(plane: tuple[str, DTypeLike]) -> bool:
    """Sort MASK to the front.

    Siril takes images of one type and size that follow each other for a sequence, and
    stops at the first other one: behind MASK no UNCERT is taken for another light.
    """
    return plane[0] != MASK


class _AbandonedError(Exception):
    """Ends the context of a file that is not to appear."""


def _filled(data: Array, fill: Any) -> Array:  # noqa: ANN401 -- a scalar of any type
    """Put a value in the place of NaN, and out of the way of what has it."""
    data = np.array(data, fill.dtype)
    data[data == fill] = np.nextafter(fill, fill.dtype.type(np.inf))
    data[np.isnan(data)] = fill
    return data


def _header_bytes(n_cards: int) -> int:
    """Return the bytes of a header of so many cards, its checksums and END."""
    return -(-(n_cards + _CHECKSUMS_AND_END) * CARD // BLOCK) * BLOCK


def _partial_sum(raw: NDArray[np.uint8], offset: int, total: int) -> int:
    """Add bytes that begin anywhere to a sum of 32-bit words."""
    lead = offset % 4
    padded = -(-(lead + raw.size) // 4) * 4
    if lead or padded != raw.size:
        full = np.zeros(padded, np.uint8)
        full[lead : lead + raw.size] = raw
        raw = full
    return ones_complement_sum(raw, total)


def with_cards(path: Path, cards: Sequence[bytes]) -> None:
    """Give the first header of a product other cards; all else stays as it is.

    Parameters
    ----------
    path : Path
        A plain FITS file with DATASUM in its first header.
    cards : sequence of bytes
        All cards that are not of `STRUCTURE`.

    Raises
    ------
    ProductError
        If the disk does not take it.
    """
    with path.open("rb", buffering=0) as file:
        header, data_at, _ = next(iter(headers_of(file)))
        structure = [card for card in header.records if _is_structure(card)]
        total = int(str(header.get("DATASUM")))
        block = checksummed_header([*structure, *without(cards, STRUCTURE)], total)
        file.seek(data_at)
        with replacing(path) as part:
            try:
                with part.open("r+b") as out:
                    out.write(block)
                    shutil.copyfileobj(file, out, _MOVED_AT_A_TIME)
            except OSError as error:
                raise unwritten(path, error) from error


def put_cards(path: Path, hdu: int, cards: Sequence[bytes]) -> None:
    """Put cards into a header of any FITS file; every other byte of it stays.

    Parameters
    ----------
    path : Path
        Plain or gzipped, and so it stays.
    hdu : int
        Which header, from 0.
    cards : sequence of bytes
        They come behind the others; those of the same keywords go.  Where there is a
        CHECKSUM it is made anew, for the data as they were when it was written.

    Raises
    ------
    InputError
        If it is not FITS, is damaged, or has no such header; nothing is written.
    ProductError
        If the disk does not take it.
    """
    try:
        _put_cards(path, hdu, cards)
    except InputError as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error


@unpacking()
def _put_cards(path: Path, hdu: int, cards: Sequence[bytes]) -> None:
    with path.open("rb", buffering=0) as file:
        packed = recognise(file.read(64)) is GZIP
        file.seek(0)
        source = gzip.GzipFile(fileobj=file) if packed else file
        found = (one for one in headers_of(source) if one[0].hdu == hdu)
        header, data_at, _ = next(found, (None, 0, 0))
        if header is None:
            msg = f"there is no HDU {hdu}"
            raise InputError(msg)
        source.seek(data_at - header.n_bytes)
        block = _with_cards_of(header, source.read(header.n_bytes), cards)
        with replacing(path) as part:
            try:
                with ExitStack() as stack:
                    out: Any = stack.enter_context(part.open("r+b"))
                    if packed:
                        out = stack.enter_context(gzip.GzipFile("", "wb", fileobj=out))
                    source.seek(0)
                    _copy(source, out, data_at - header.n_bytes)
                    out.write(block)
                    source.seek(data_at)
                    shutil.copyfileobj(source, out, _MOVED_AT_A_TIME)
            except gzip.BadGzipFile:
                raise
            except OSError as error:
                raise unwritten(path, error) from error


def _with_cards_of(header: RawHeader, block: bytes, cards: Sequence[bytes]) -> bytes:
    """Give a header, `block` as it lies in its file, other cards."""
    anew = [card[:8].decode().rstrip() for card in cards if card[8:9] == b"="]
    kept = without(header.records, anew)
    while kept and not kept[-1].strip():
        kept.pop()
    if header.get("CHECKSUM") is None:
        return header_block([*kept, *cards])
    total = header.number("DATASUM")
    if total is None:
        # An HDU sums up to 0: what its header lacks are its data.
        total = 0xFFFFFFFF - ones_complement_sum(block)
    kept = without(kept, ("CHECKSUM", "DATASUM"))
    return checksummed_header([*kept, *cards], int(total))


def _copy(source: Any, out: Any, n_bytes: int) -> None:  # noqa: ANN401 -- files of any kind
    while n_bytes > 0 and (piece := source.read(min(n_bytes, _MOVED_AT_A_TIME))):
        out.write(piece)
        n_bytes -= len(piece)


def gather_images(
    path: Path, cards: Sequence[bytes], files: Mapping[str, Path], marks: Sequence[Card]
) -> None:
    """Write products into one file: an extension for each of their HDUs.

    Parameters
    ----------
    path : Path
        Where to; what stands there is replaced.
    cards : sequence of bytes
        Cards of the primary header, which has no pixels.
    files : mapping of str to Path
        Products with DATASUM in each header.  The name becomes the EXTNAME of the image;
        what is called UNCERT beside it becomes NAME_UNCERT, and so on: nothing takes the
        plane of one image for that of another.
    marks : sequence of Card
        Cards of each image, in the place of those that it has.

    Raises
    ------
    ProductError
        If the disk does not take it.
    """
    beginning = [
        Card("SIMPLE", True, "conforms to the FITS standard"),
        Card("BITPIX", 8, "bits per pixel"),
        Card("NAXIS", 0, "number of axes"),
        Card("EXTEND", True, "extensions follow"),
    ]
    primary = checksummed_header([*_lines(beginning), *without(cards, STRUCTURE)], 0)
    with replacing(path) as part:
        try:
            with part.open("r+b") as out:
                out.write(primary)
                for name, file in files.items():
                    _append(out, file, name, marks)
        except OSError as error:
            raise unwritten(path, error) from error


def _append(out: BinaryIO, file: Path, name: str, marks: Sequence[Card]) -> None:
    """Write each HDU of a product as an extension."""
    with file.open("rb", buffering=0) as source:
        for header, data_at, n_bytes in headers_of(source):
            cards = _extension_cards(header, name, marks)
            total = int(str(header.get("DATASUM")))
            out.write(checksummed_header(cards, total))
            source.seek(data_at)
            _copy(source, out, -(-n_bytes // BLOCK) * BLOCK)


def _extension_cards(
    header: RawHeader, name: str, marks: Sequence[Card]
) -> list[bytes]:
    """Give the cards that an HDU of a product has as an extension."""
    anew = ("EXTNAME", "CHECKSUM", "DATASUM")
    if header.hdu:
        named = Card("EXTNAME", f"{name}_{header.get('EXTNAME')}")
        return [*without(header.records, anew), *_lines([named])]
    end = 3 + int(str(header.get("NAXIS")))
    marked = ("EXTEND", *anew, *(card.keyword for card in marks))
    structure = [Card("PCOUNT", 0), Card("GCOUNT", 1), Card("EXTNAME", name)]
    return [
        *_lines([Card("XTENSION", "IMAGE", "image extension")]),
        *header.records[1:end],
        *_lines([*structure, *marks]),
        *without(header.records[end:], marked),
    ]


def _lines(cards: Iterable[Card]) -> list[bytes]:
    return [line for card in cards for line in format_card(*card)]


def _is_structure(card: bytes) -> bool:
    """Tell whether a card is of `STRUCTURE`, its checksums and END not among them."""
    gone = ("CHECKSUM", "DATASUM", "END")
    return not without([card], STRUCTURE) and bool(without([card], gone))


def write_image(
    path: Path,
    data: Array,
    cards: Sequence[bytes],
    *,
    planes: Mapping[str, Array] | None = None,
    table: bytes = b"",
    overwrite: bool = False,
) -> None:
    """Write an image of any type with its planes, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    data : (ny, nx) or (nz, ny, nx) array
        Integers are written as integers, unsigned ones with BZERO.
    cards : sequence of bytes
        Header cards (see `autoreduce.fits.cards`); structure is set anew.
    planes : mapping of str to array, optional
        Planes of the same shape, such as ``UNCERT`` and ``MASK``, each of its type.
    table : bytes
        Extensions put behind.
    overwrite : bool
        Whether a file that stands there is replaced.

    Raises
    ------
    ProductError
        If it exists and may not be replaced, or the disk does not take it.
    """
    images = {"": data, **(planes or {})}
    with ImageWriter(
        path,
        data.shape,
        header_cards=len(cards),
        dtype=data.dtype,
        planes={name: plane.dtype for name, plane in (planes or {}).items()},
        overwrite=overwrite,
    ) as writer:
        for name, image in images.items():
            writer.write_rows(0, image.reshape(-1, data.shape[-1]), plane=name)
        writer.finish(cards, table=table)
