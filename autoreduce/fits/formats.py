"""What a file is, seen from its first bytes: for headers and pixels alike.

A name tells nothing: gzipped files are called ``.fits`` and plain ones ``.gz``.
"""

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from autoreduce.errors import InputError

_PIECE = 1 << 20


class Format(NamedTuple):
    """One kind of file."""

    magic: bytes
    """How it begins."""
    words: str
    """What it is and, where it cannot be read, the way out."""
    unpack: Callable[[Path], io.FileIO] | None
    """Opens it as plain FITS; None if it cannot be read."""


def _open_plain(path: Path) -> io.FileIO:
    return io.FileIO(path)


class Unpacking:
    """A packed file that is unpacked into a plain one as far as it is asked for."""

    def __init__(self, packed: gzip.GzipFile, plain: io.FileIO) -> None:
        self._packed, self._plain = packed, plain
        self._at = self._there = 0

    def seek(self, at: int) -> int:
        """Go to a byte."""
        self._at = at
        return at

    def read(self, n_bytes: int) -> bytes:
        """Read some bytes, fewer at the end."""
        self.unpack(self._at + n_bytes)
        self._plain.seek(self._at)
        data = self._plain.read(n_bytes)
        self._at += len(data)
        return data

    def unpack(self, end: int) -> None:
        """Unpack up to a byte, or to the end of what is there."""
        self._plain.seek(self._there)
        while self._there < end:
            piece = self._packed.read(min(_PIECE, end - self._there))
            if not piece:
                return
            written = 0
            while written < len(piece):
                written += self._plain.write(memoryview(piece)[written:])
            self._there += len(piece)


@contextmanager
def unpacking() -> Iterator[None]:
    """Turn what a damaged gzip file raises, which is of many kinds, into one.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"damaged gzip file: {error}"
        raise InputError(msg) from error


@unpacking()
def _unpack_gzip(path: Path) -> io.FileIO:
    """Unpack a file once, into one without a name that goes when it is closed.

    No more is unpacked than its headers declare, as what follows may have no end, and
    nothing for which there is no room.
    """
    from autoreduce.fits.header import FIRST_READ, headers_of

    plain = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- its reader closes it
    try:
        with gzip.open(path, "rb") as packed:
            file = Unpacking(packed, plain)
            for _, start, n_bytes in headers_of(file, file.read(FIRST_READ)):
                _check_room(start + n_bytes)
                file.unpack(start + n_bytes)
        plain.seek(0)
    except BaseException:
        plain.close()
        raise
    return plain


def _check_room(n_bytes: int) -> None:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        msg = (
            f"unpacked it has {n_bytes} bytes, and {place} has room for {free}: set "
            "TMPDIR to a folder with more, or unpack the file"
        )
        raise InputError(msg)


PLAIN = Format(b"SIMPLE  =", "a FITS file", _open_plain)
GZIP = Format(b"\x1f\x8b", "a gzipped file", _unpack_gzip)
FORMATS = (
    PLAIN,
    GZIP,
    Format(
        b"\0\5\x16\7",
        "an AppleDouble file (macOS keeps notes in it), not an image",
        None,
    ),
    Format(
        b"version https://git-lfs",
        "a Git LFS pointer; fetch the file: `git lfs pull`",
        None,
    ),
    Format(b"BZh", "compressed with bzip2; unpack it with `bunzip2`", None),
    Format(b"\x1f\x9d", "compressed with compress (.Z); unpack it with `gunzip`", None),
    Format(b"\xfd7zXZ", "compressed with xz; unpack it with `unxz`", None),
    Format(b"PK\3\4", "a zip archive; unpack it with `unzip`", None),
    Format(b"XISF0100", "an XISF image; save it as FITS", None),
)
"""Every kind of file that is known; one more is a line here, and a function that opens
it as plain FITS."""


def recognise(beginning: bytes) -> Format:
    """Tell what a file is.

    Parameters
    ----------
    beginning : bytes
        Its first bytes, some tens at least.

    Returns
    -------
    Format
        One that can be read.

    Raises
    ------
    InputError
        If it is empty, of a kind that cannot be read, or unknown; the message says so.
    """
    for one in FORMATS:
        if beginning.startswith(one.magic):
            if one.unpack is None:
                raise InputError(one.words)
            return one
    if not beginning.strip(b"\0"):
        msg = "nothing but zero bytes" if beginning else "empty file"
        raise InputError(msg)
    shown = beginning[:24].decode("latin-1")
    msg = f"not FITS: begins with {shown!r}, expected 'SIMPLE  ='"
    raise InputError(msg)


def unreadable(path: str | Path, error: OSError) -> str:
    """Say why a file cannot be read."""
    if isinstance(error, FileNotFoundError) and Path(path).is_symlink():
        return f"cannot be read: a broken link to {Path(path).readlink()}"
    return f"cannot be read: {error.strerror or error}"


def open_unpacked(path: Path) -> tuple[io.FileIO, Format]:
    """Open a file so that plain FITS is read from it, whatever it is packed with.

    Raises
    ------
    InputError
        As `recognise`, or if it is damaged where it is packed.
    OSError
        If the file cannot be read.
    """
    file = io.FileIO(path)
    try:
        kind = recognise(file.read(64))
        if kind is PLAIN:
            file.seek(0)
            return file, kind
    except BaseException:
        file.close()
        raise
    file.close()
    if kind.unpack is None:
        raise InputError(kind.words)
    return kind.unpack(path), kind


def open_named(path: Path) -> io.FileIO:
    """Open a file as `open_unpacked` does; what is wrong with it is told with its name.

    Raises
    ------
    InputError
        If it cannot be read, or is damaged where it is packed.
    """
    try:
        return open_unpacked(path)[0]
    except InputError as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error
    except OSError as error:
        msg = f"{path}: {unreadable(path, error)}"
        raise InputError(msg) from error
