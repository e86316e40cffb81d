"""Images in, by bands of rows."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.closing import Closing
from autoreduce.fits.formats import PLAIN, open_unpacked, unreadable
from autoreduce.fits.header import (
    RawHeader,
    Value,
    headers_of,
    image_axes,
    no_image_in,
    pixel_bits,
    pixel_scaling,
)
from autoreduce.fits.names import split_hdu

Array = NDArray[Any]

PIECE = 1 << 20
"""Bytes turned to the other byte order at a time: they stay in the cache meanwhile."""
FILL = "NANFILL"
"""Card with the value that stands for NaN in an image of floats, as BLANK does in one of
integers."""

_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_UNSIGNED = {
    (8, -128): np.int8,
    (16, 32768): np.uint16,
    (32, 2**31): np.uint32,
    (64, 2**63): np.uint64,
}


def open_image(
    name: str | os.PathLike[str], hdu: int | str | None = None
) -> "ImageReader":
    """Open an image for reading by bands of rows.

    Parameters
    ----------
    name : path
        A FITS file, plain, gzipped or tile-compressed; ``FILE[N]`` names HDU N.
    hdu : int or str, optional
        HDU by its number or its EXTNAME; the first one that holds an image if neither
        tells.

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
    except OSError as error:
        msg = f"{path}: {unreadable(path, error)}"
        raise InputError(msg) from error
    except (InputError, ValueError) as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error


def extension_names(path: Path) -> list[str]:
    """List the EXTNAME of each HDU, empty where it has none.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        file, _ = open_unpacked(path)
        with file:
            return [str(header.get("EXTNAME") or "") for header, *_ in headers_of(file)]
    except (InputError, OSError) as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error


class ImageReader(Closing):
    """Rows of one image, as physical values in native byte order."""

    path: Path
    """The file."""
    shape: tuple[int, ...]
    """(ny, nx), or (nz, ny, nx) for a cube."""
    raw: RawHeader
    """The header as it stands in the file."""
    primary: RawHeader
    """The first header of the file."""

    def __init__(self, path: Path, hdu: int | str | None = None) -> None:
        self.path = path
        self._image: Any = None
        self._file, self._format = open_unpacked(path)
        try:
            self._find(hdu)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._image is not None:
            self._image.close()
        self._file.close()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: uint16 for 16-bit data with BZERO 32768."""
        if self._image is None:
            return self._dtype
        with self._decompressing():
            dtype: np.dtype[Any] = self._image.dtype
        return dtype

    @property
    def is_plain(self) -> bool:
        """Whether some rows are read without unpacking many others."""
        return self._format is PLAIN and (self._image is None or self._image.is_low)

    def release(self) -> None:
        """Close a file that is read as it is until rows are asked for again."""
        if self._format is PLAIN:
            if self._image is not None:
                self._image.release()
            self._file.close()

    @property
    def header(self) -> Any:  # noqa: ANN401 -- astropy's Header is not imported at start
        """The header, as an `astropy.io.fits.Header`."""
        from astropy.io import fits

        return fits.Header.fromstring(self.raw.block)

    @property
    def colours(self) -> str:
        """``RGB`` if the planes of a cube are red, green and blue, else empty."""
        names = (str(self.get(card) or "").strip() for card in ("PLANES", "CTYPE3"))
        is_cube = len(self.shape) == 3 and self.shape[0] == 3
        return "RGB" if is_cube and "RGB" in names else ""

    @property
    def cards(self) -> list[bytes]:
        """The header's cards as they stand in the file, END not among them."""
        return self.raw.records

    def get(self, keyword: str) -> Value:
        """Return the value of a keyword of the header, None if it has none."""
        return self.raw.get(keyword)

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
            Values with BZERO and BSCALE applied, BLANK as NaN, and what the card `FILL`
            tells.

        Raises
        ------
        InputError
            If the file ends before these rows.
        """
        nx = self.shape[-1]
        if self._image is not None:
            with self._decompressing():
                data: Array = self._image.rows(start, stop)
        else:
            whole = out is not None and out.dtype == self.dtype
            same = out if whole and self._is_shift and _contiguous(out) else None
            data = self._plain_rows(start, stop, nx, same)
        self._mark(data)
        if out is None or data is out:
            return data
        out[...] = data
        return out

    def bands(self, starts: Sequence[int], height: int) -> Array:
        """Read bands of rows: of a compressed image all tiles that they need at once.

        Parameters
        ----------
        starts : sequence of int
            First row of each, zero-based.
        height : int
            Rows of a band.

        Returns
        -------
        (len(starts) * height, nx) array
            One band after the other, the values as `rows` gives them.

        Raises
        ------
        InputError
            If the file ends before these rows.
        """
        if self._image is None:
            data = self._plain_bands(starts, height)
        else:
            with self._decompressing():
                data = self._image.bands(starts, height)
        self._mark(data)
        return data

    def read(self) -> Array:
        """Read the whole image, in its shape."""
        ny = math.prod(self.shape[:-1])
        return self.rows(0, ny).reshape(self.shape)

    def _find(self, hdu: int | str | None) -> None:
        headers = []
        for header, start, _ in headers_of(self._file):
            headers.append(header)
            if header.hdu == 0:
                self.primary = header
            name = header.get("EXTNAME") if isinstance(hdu, str) else header.hdu
            if hdu in (None, name) and (shape := image_axes(header)):
                self._set_up(header, start, shape)
                return
            if hdu == header.hdu:
                msg = f"HDU {hdu} holds no image"
                raise InputError(msg)
        msg = f"there is no HDU {hdu}; its last is {len(headers) - 1}"
        raise InputError(no_image_in(headers) if hdu is None else msg)

    def _set_up(self, header: RawHeader, start: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        if header.get("ZIMAGE") is True:
            self._open_compressed(header, start)
        else:
            self._lay_out(header, start)
        self._nan_fill = self.raw.number(FILL)

    def _mark(self, data: Array) -> None:
        """Put NaN where the card `FILL` tells."""
        if self._nan_fill is not None and data.dtype.kind == "f":
            data[data == data.dtype.type(self._nan_fill)] = np.nan

    def _lay_out(self, header: RawHeader, start: int) -> None:
        self.raw, self._start = header, start
        bitpix = pixel_bits(header)
        self._raw_type = np.dtype(_TYPES[bitpix])
        self._scale, self._zero, self._blank = pixel_scaling(header)
        self._is_shift, self._dtype = self._value_type(bitpix)
        size = os.fstat(self._file.fileno()).st_size
        wanted = math.prod(self.shape) * self._raw_type.itemsize
        if size < start + wanted:
            msg = (
                f"truncated: {max(size - start, 0)} bytes of pixels, {wanted} "
                "expected; copy it again from the camera"
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
        native = self._filled(raw, self._start + start * nx * self._raw_type.itemsize)
        return self._valued(native)

    def _plain_bands(self, starts: Sequence[int], height: int) -> Array:
        nx = self.shape[-1]
        raw = np.empty((len(starts), height * nx), self._raw_type)
        for band, start in zip(raw.view(np.uint8), starts, strict=True):
            offset = self._start + start * nx * self._raw_type.itemsize
            self._fill(band.data, offset, band.nbytes)
        return self._valued(self._turned(raw).reshape(-1, nx))

    def _valued(self, native: Array) -> Array:
        """Turn what the file holds into values."""
        if self._is_shift:
            return native.view(self._dtype)
        values: Array = native.astype(self._dtype)
        blank = native == self._blank if self._blank is not None else None
        if self._scale != 1:
            values *= self._scale
        if self._zero != 0:
            values += self._zero
        if blank is not None:
            values[blank] = np.nan
        return values

    def _filled(self, raw: Array, offset: int) -> Array:
        """Fill an array from the file, in native order; return it so."""
        stored = raw.reshape(-1).view(self._raw_type)
        size = self._raw_type.itemsize
        at_a_time = PIECE // size
        for first in range(0, stored.size, at_a_time):
            piece = slice(first, first + at_a_time)
            left = stored.nbytes - first * size
            self._fill(stored[piece].view(np.uint8).data, offset + first * size, left)
            self._turned(stored[piece])
        return stored.view(stored.dtype.newbyteorder("=")).reshape(raw.shape)

    def _turned(self, stored: Array) -> Array:
        """Bring what was read to native order, in place.

        BZERO that makes integers unsigned is applied as what it is: a flip of the
        highest bit.
        """
        native = stored.view(stored.dtype.newbyteorder("="))
        # Onto itself: several times as fast as `byteswap` in place.
        native[...] = stored
        if self._is_shift and self._zero:
            size = stored.itemsize
            bits = native.view(f"u{size}")
            bits ^= bits.dtype.type(1 << (8 * size - 1))
        return native

    def _fill(self, buffer: memoryview, offset: int, left: int) -> None:
        """Fill a buffer, the first of so many bytes that are left to read."""
        if self._file.closed:
            self._file, _ = open_unpacked(self.path)
        done = 0
        while done < len(buffer):
            n = os.preadv(self._file.fileno(), [buffer[done:]], offset + done)
            if n == 0:
                msg = f"{self.path} ended {left - done} bytes early"
                raise InputError(msg)
            done += n

    def _open_compressed(self, header: RawHeader, start: int) -> None:
        from autoreduce.fits.tiled import TiledImage

        with _decompressing(f"HDU {header.hdu}"):
            self._image = TiledImage(self._file, header, start)
        self.raw = RawHeader(header.hdu, self._image.block)

    def _decompressing(self) -> AbstractContextManager[None]:
        if self._file.closed:
            self._file, _ = open_unpacked(self.path)
            self._image.file = self._file
        return _decompressing(f"{self.path}: HDU {self.raw.hdu}")


@contextmanager
def _decompressing(image: str) -> Iterator[None]:
    """Turn what astropy and cfitsio raise, which is of many kinds, into one."""
    try:
        yield
    except Exception as error:
        msg = (
            f"{image}: the compressed image is damaged ({error}); copy it again from "
            "the camera"
        )
        raise InputError(msg) from error


def _contiguous(out: Array | None) -> bool:
    return out is not None and bool(out.flags.c_contiguous)
