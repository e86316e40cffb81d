"""Images in and out, by bands of rows.  A product is written whole or not at all."""

import gzip
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.cards import (
    BLOCK,
    CARD,
)
from autoreduce.fits.header import RawHeader, Value

Array = NDArray[Any]

_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_UNSIGNED = {
    (8, -128): np.int8,
    (16, 32768): np.uint16,
    (32, 2**31): np.uint32,
    (64, 2**63): np.uint64,
}
_HDU_SUFFIX = re.compile(r"(.+)\[(\d+)\]$")
_LARGEST_HEADER = 4000 * BLOCK


def split_hdu(name: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """Split ``FILE[N]`` into the file and the HDU; a file so named stays whole."""
    text = os.fspath(name)
    match = _HDU_SUFFIX.match(text)
    if match and not Path(text).exists():
        return Path(match[1]), int(match[2])
    return Path(text), None


def open_image(name: str | os.PathLike[str], hdu: int | None = None) -> "ImageReader":
    """Open an image for reading by bands of rows.

    Parameters
    ----------
    name : path
        A FITS file, plain, gzipped or tile-compressed; ``FILE[N]`` names HDU N.
    hdu : int, optional
        HDU; the first one that holds an image if neither tells.

    Returns
    -------
    ImageReader
        To be used in a ``with`` statement, by one thread.

    Raises
    ------
    InputError
        If the file cannot be read, has no image, or is shorter than it should be.
    """
    path, suffix = split_hdu(name)
    try:
        return ImageReader(path, suffix if hdu is None else hdu)
    except (OSError, EOFError, ValueError) as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error


class ImageReader:
    """Rows of one image, as physical values in native byte order."""

    path: Path
    """The file."""
    shape: tuple[int, ...]
    """(ny, nx), or (nz, ny, nx) for a cube."""
    dtype: np.dtype[Any]
    """Type of the values: uint16 for 16-bit data with BZERO 32768."""
    cards: list[bytes]
    """The header's cards as they stand in the file, END not among them."""

    def __init__(self, path: Path, hdu: int | None = None) -> None:
        self.path = path
        self._compressed: Any = None
        self._file = _open_plain(path)
        try:
            self._find(hdu)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._compressed is not None:
            self._compressed.close()

    def release(self) -> None:
        """Close a plain file until rows are asked for again."""
        if self._compressed is None:
            self._file.close()

    @property
    def header(self) -> Any:  # noqa: ANN401 -- astropy's Header is not imported at start
        """The header, as an `astropy.io.fits.Header`."""
        from astropy.io import fits

        return fits.Header.fromstring(b"".join(self.cards))

    def get(self, keyword: str) -> Value:
        """Return the value of a keyword of the header, None if it has none."""
        return RawHeader(0, b"".join(self.cards)).get(keyword)

    def rows(self, start: int, stop: int, out: Array | None = None) -> Array:
        """Read rows [start, stop) of a 2-D image.

        Parameters
        ----------
        start, stop : int
            Zero-based rows, the upper end exclusive.  In a cube the planes follow
            each other: row ny is the first row of the second plane.
        out : (stop - start, nx) array, optional
            Filled and returned, whatever its type; a fresh one of `dtype` if absent.

        Returns
        -------
        (stop - start, nx) array
            Values with BZERO and BSCALE applied, BLANK as NaN.

        Raises
        ------
        InputError
            If the file ends before these rows.
        """
        nx = self.shape[-1]
        if self._compressed is not None:
            data = self._compressed_rows(start, stop)
        else:
            whole = out is not None and out.dtype == self.dtype
            same = out if whole and self._is_shift and _contiguous(out) else None
            data = self._plain_rows(start, stop, nx, same)
        if out is None or data is out:
            return data
        out[...] = data
        return out

    def read(self) -> Array:
        """Read the whole image, in its shape."""
        ny = int(np.prod(self.shape[:-1]))
        return self.rows(0, ny).reshape(self.shape)

    def _find(self, hdu: int | None) -> None:
        index, offset = 0, 0
        while True:
            cards, start = _read_cards(self._file, offset, self.path)
            if hdu == index or (hdu is None and _has_image(cards)):
                break
            offset = start + _data_size(cards)
            index += 1
        if not _has_image(cards):
            msg = f"{self.path}: HDU {index} holds no image"
            raise InputError(msg)
        self.cards = cards
        if _value(cards, "ZIMAGE") == "T":
            self._open_compressed(index)
        else:
            self._lay_out(cards, start)

    def _lay_out(self, cards: list[bytes], start: int) -> None:
        bitpix = _integer(cards, "BITPIX", 0)
        if bitpix not in _TYPES:
            msg = f"{self.path}: BITPIX is {bitpix}, expected 8, 16, 32, 64, -32 or -64"
            raise InputError(msg)
        self._raw_type = np.dtype(_TYPES[bitpix])
        self._zero = _number(cards, "BZERO", 0.0)
        self._scale = _number(cards, "BSCALE", 1.0)
        blank = _value(cards, "BLANK")
        self._blank = int(float(blank)) if blank and bitpix > 0 else None
        self._is_shift, self.dtype = self._value_type(bitpix)
        self.shape = _shape(cards)
        self._start = start
        size = os.fstat(self._file.fileno()).st_size
        wanted = int(np.prod(self.shape)) * self._raw_type.itemsize
        if size < start + wanted:
            msg = (
                f"{self.path} is truncated: {max(size - start, 0)} bytes of pixels, "
                f"{wanted} expected; copy it again from the camera"
            )
            raise InputError(msg)

    def _value_type(self, bitpix: int) -> tuple[bool, np.dtype[Any]]:
        if self._scale == 1 and self._blank is None:
            if self._zero == 0:
                return True, self._raw_type.newbyteorder("=")
            if (bitpix, self._zero) in _UNSIGNED:
                return True, np.dtype(_UNSIGNED[bitpix, int(self._zero)])
        return False, np.dtype(np.float32 if bitpix in (8, 16, -32) else np.float64)

    def _plain_rows(self, start: int, stop: int, nx: int, out: Array | None) -> Array:
        shape = (stop - start, nx)
        raw = np.empty(shape, self._raw_type) if out is None else out
        offset = self._start + start * nx * self._raw_type.itemsize
        self._fill(memoryview(cast("Any", raw)).cast("B"), offset)
        native = raw.view(self._raw_type.newbyteorder("="))
        native.byteswap(inplace=True)
        if self._is_shift:
            return self._shifted(native)
        values: Array = native.astype(self.dtype)
        blank = native == self._blank if self._blank is not None else None
        if self._scale != 1:
            values *= self._scale
        if self._zero != 0:
            values += self._zero
        if blank is not None:
            values[blank] = np.nan
        return values

    def _shifted(self, native: Array) -> Array:
        """Apply BZERO to integers as what it is there: a flip of the highest bit."""
        if self._zero == 0:
            return native
        values = native.view(self.dtype)
        bits = native.view(np.dtype(f"u{native.dtype.itemsize}"))
        bits ^= bits.dtype.type(1 << (8 * bits.dtype.itemsize - 1))
        return values

    def _fill(self, buffer: memoryview, offset: int) -> None:
        if self._file.closed:
            self._file = _open_plain(self.path)
        done = 0
        while done < len(buffer):
            n = os.preadv(self._file.fileno(), [buffer[done:]], offset + done)
            if n == 0:
                msg = f"{self.path} ended {len(buffer) - done} bytes early"
                raise InputError(msg)
            done += n

    def _open_compressed(self, index: int) -> None:
        from astropy.io import fits

        self._compressed = fits.open(self.path, memmap=False, mode="readonly")
        image = self._compressed[index]
        axes = tuple(image.shape)
        while len(axes) > 2 and axes[0] == 1:
            axes = axes[1:]
        self.shape = axes
        self._image = image
        text = image.header.tostring(endcard=False, padding=False)
        encoded = text.encode("ascii", "replace")
        self.cards = [encoded[at : at + CARD] for at in range(0, len(encoded), CARD)]
        self.dtype = self._compressed_rows(0, 1).dtype

    def _compressed_rows(self, start: int, stop: int) -> Array:
        if len(self._image.shape) > 2:
            flat = self._image.data.reshape(-1, self.shape[-1])
            values = flat[start:stop]
        else:
            values = self._image.section[start:stop]
        native: Array = values.astype(values.dtype.newbyteorder("="), copy=False)
        return native


def _contiguous(out: Array | None) -> bool:
    return out is not None and bool(out.flags.c_contiguous)


def _open_plain(path: Path) -> Any:  # noqa: ANN401 -- a binary file with a descriptor
    """Open a file; a gzipped one is unpacked once, into a file without a name."""
    if path.suffix.lower() != ".gz":
        return path.open("rb", buffering=0)
    plain = tempfile.TemporaryFile()  # noqa: SIM115 -- its reader closes it
    try:
        with gzip.open(path, "rb") as packed:
            shutil.copyfileobj(packed, plain, 1 << 20)
        plain.flush()
    except BaseException:
        plain.close()
        raise
    return plain


def _read_cards(file: Any, offset: int, path: Path) -> tuple[list[bytes], int]:  # noqa: ANN401 -- see _open_plain
    cards: list[bytes] = []
    limit = offset + _LARGEST_HEADER
    while offset < limit:
        block = os.pread(file.fileno(), BLOCK, offset)
        offset += BLOCK
        if not block or (not cards and block[:6] not in (b"SIMPLE", b"XTENSI")):
            msg = f"{path}: no image found in it"
            raise InputError(msg)
        for at in range(0, len(block), CARD):
            card = block[at : at + CARD]
            if card[:8] == b"END     " or card.rstrip() == b"END":
                return cards, offset
            cards.append(card)
    msg = f"{path}: the header has no END"
    raise InputError(msg)


def _value(cards: list[bytes], keyword: str) -> str | None:
    head = keyword.ljust(8).encode() + b"="
    for card in cards:
        if card.startswith(head):
            return card[10:].split(b"/")[0].decode("ascii", "replace").strip()
    return None


def _number(cards: list[bytes], keyword: str, default: float) -> float:
    text = _value(cards, keyword)
    return float(text.replace("D", "E").strip("' ")) if text else default


def _integer(cards: list[bytes], keyword: str, default: int) -> int:
    return int(_number(cards, keyword, default))


def _shape(cards: list[bytes]) -> tuple[int, ...]:
    prefix = "ZNAXIS" if _value(cards, "ZIMAGE") == "T" else "NAXIS"
    n = _integer(cards, prefix, 0)
    axes = [_integer(cards, f"{prefix}{i}", 0) for i in range(n, 0, -1)]
    while len(axes) > 2 and axes[0] == 1:
        axes.pop(0)
    return tuple(axes)


def _has_image(cards: list[bytes]) -> bool:
    table = (_value(cards, "XTENSION") or "").strip("' ") in ("BINTABLE", "TABLE")
    if table and _value(cards, "ZIMAGE") != "T":
        return False
    shape = _shape(cards)
    return 2 <= len(shape) <= 3 and min(shape) > 0


def _data_size(cards: list[bytes]) -> int:
    axes = [
        _integer(cards, f"NAXIS{i + 1}", 0) for i in range(_integer(cards, "NAXIS", 0))
    ]
    if _value(cards, "GROUPS") == "T" and axes and axes[0] == 0:
        axes = axes[1:]
    n = int(np.prod(axes)) if axes else 0
    groups, extra = _integer(cards, "GCOUNT", 1), _integer(cards, "PCOUNT", 0)
    size = abs(_integer(cards, "BITPIX", 8)) // 8 * groups * (extra + n)
    return -(-size // BLOCK) * BLOCK
