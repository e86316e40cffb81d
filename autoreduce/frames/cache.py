"""What earlier runs have read of files, kept for each folder in the user's cache.

Of a file is used again what was read of it only if its size and its times of change are
still the same and the reader is still the same.  Headers are kept as they stand in the
file: what they mean is worked out anew each time, so that no dialect, option or name can
be out of date.  Nothing depends on the cache: whatever is wrong with it, the files are
read.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from autoreduce.errors import ProductError
from autoreduce.fits import header
from autoreduce.fits.header import RawHeader
from autoreduce.fits.ledger import Stamp
from autoreduce.fits.whole import write_bytes

log = logging.getLogger(__name__)

LARGEST = 256 << 20
"""Size of all that a shelf holds, bytes, above which the oldest folders are dropped."""
_FILES_IN_PART = 1024
_LENGTH_BYTES = 8
_DAMAGED = (OSError, ProductError, ValueError, TypeError, KeyError, zlib.error)

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Shelf(Generic[Kept]):
    """One kind of thing that is kept of files."""

    name: str
    """Of its folder in the cache."""
    readers: tuple[ModuleType, ...]
    """Modules that read it: after a change of one of them the files are read again."""
    pack: Callable[[Kept], tuple[Any, bytes]]
    """Parts it into what JSON can hold, and bytes."""
    unpack: Callable[[Any, bytes], Kept]
    """Puts it together again."""


def _packed_headers(headers: list[RawHeader]) -> tuple[Any, bytes]:
    lengths = [(one.hdu, len(one.block)) for one in headers]
    return lengths, b"".join(one.block for one in headers)


def _unpacked_headers(lengths: Any, blocks: bytes) -> list[RawHeader]:  # noqa: ANN401 -- JSON
    headers, at = [], 0
    for hdu, length in lengths:
        headers.append(RawHeader(hdu, blocks[at : at + length]))
        at += length
    return headers


HEADERS = Shelf("headers", (header,), _packed_headers, _unpacked_headers)
"""The headers of each file."""


def cache_folder(nights: Sequence[Path] = ()) -> Path | None:
    """Return where all shelves are; None if nothing is to be kept.

    Parameters
    ----------
    nights : sequence of Path
        Folders in which nothing may be written.
    """
    if os.environ.get("AUTOREDUCE_NO_CACHE"):
        return None
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:  # a user without a home
            return None
    folder = (base / "autoreduce").resolve()
    inside = any(folder.is_relative_to(night.resolve()) for night in nights)
    return None if inside else folder


def load(kept: Path, shelf: Shelf[Kept], folder: Path) -> dict[str, tuple[Stamp, Kept]]:
    """Load what is known of the files of a folder.

    Parameters
    ----------
    kept : Path
        Where all shelves are.
    shelf : Shelf
        What is looked for.
    folder : Path
        The folder, absolute.

    Returns
    -------
    dict of str to (Stamp, what the shelf keeps)
        By name, each with the file's stamp from before it was read; empty if nothing is
        known, or what is kept cannot be used.
    """
    file = _file_of(kept, shelf, folder)
    try:
        data = file.read_bytes()
        return dict(_unpacked(data, shelf, folder))
    except FileNotFoundError:
        return {}
    except _DAMAGED as error:
        log.debug("what is kept in %s is not used: %s", file, error)
        return {}


def save(
    kept: Path,
    shelf: Shelf[Kept],
    folder: Path,
    entries: Mapping[str, tuple[Stamp, Kept]],
) -> None:
    """Keep what was read of a folder's files in place of what was known of them.

    Parameters
    ----------
    kept : Path
        Where all shelves are.
    shelf : Shelf
        What is kept.
    folder : Path
        The folder, absolute.
    entries : mapping of str to (Stamp, what the shelf keeps)
        By name.
    """
    file = _file_of(kept, shelf, folder)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.parent.chmod(0o700)  # headers may tell where an observatory stands
        write_bytes(file, _packed(entries, shelf, folder), lasting=False)
        _drop_oldest(file.parent)
    except _DAMAGED as error:
        log.debug("the %s of %s are not kept: %s", shelf.name, folder, error)


def _file_of(kept: Path, shelf: Shelf[Kept], folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return kept / shelf.name / name


def _beginning(shelf: Shelf[Kept], folder: Path) -> bytes:
    return f"autoreduce {_version_of(shelf.readers)} {str(folder)!r}\n".encode()


@cache
def _version_of(readers: tuple[ModuleType, ...]) -> str:
    version = hashlib.sha256()
    for module in readers:
        version.update(Path(str(module.__file__)).read_bytes())
    return version.hexdigest()[:32]


def _packed(
    entries: Mapping[str, tuple[Stamp, Kept]], shelf: Shelf[Kept], folder: Path
) -> Iterator[bytes]:
    """Pack what is kept; that of like files takes little room behind one another."""
    yield _beginning(shelf, folder)
    items = list(entries.items())
    for start in range(0, len(items), _FILES_IN_PART):
        index, blocks = [], []
        for name, (stamp, thing) in items[start : start + _FILES_IN_PART]:
            told, block = shelf.pack(thing)
            index.append((name, stamp, told, len(block)))
            blocks.append(block)
        raw = b"\n".join((json.dumps(index).encode(), b"".join(blocks)))
        packed = zlib.compress(raw, 1)
        yield len(packed).to_bytes(_LENGTH_BYTES, "big")
        yield packed


def _unpacked(
    data: bytes, shelf: Shelf[Kept], folder: Path
) -> Iterator[tuple[str, tuple[Stamp, Kept]]]:
    beginning = _beginning(shelf, folder)
    if not data.startswith(beginning):
        msg = "it is of another version"
        raise ValueError(msg)
    at = len(beginning)
    while at < len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        raw = zlib.decompress(data[start:at])
        place = raw.index(b"\n")
        index = json.loads(raw[:place])
        place += 1
        for name, stamp, told, length in index:
            thing = shelf.unpack(told, raw[place : place + length])
            place += length
            yield name, (Stamp(*stamp), thing)


def _drop_oldest(kept: Path) -> None:
    known = [(file, file.stat()) for file in kept.iterdir()]
    total = sum(status.st_size for _, status in known)
    for file, status in sorted(known, key=lambda one: one[1].st_mtime_ns):
        if total <= LARGEST:
            return
        file.unlink(missing_ok=True)
        total -= status.st_size
