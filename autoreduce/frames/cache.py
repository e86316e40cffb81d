"""What earlier runs have read of files, kept in the user's cache, part by part of folders.

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
import struct
import sys
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from autoreduce.errors import ProductError
from autoreduce.fits import header
from autoreduce.fits.cards import CARD
from autoreduce.fits.header import RawHeader
from autoreduce.fits.ledger import Stamp
from autoreduce.fits.whole import write_bytes

log = logging.getLogger(__name__)

LARGEST = 256 << 20
"""Size of all that a shelf holds, bytes, above which the oldest parts are dropped."""
_TOGETHER = 512
"""Files that are read at a time, by one process: of a large folder about a part."""
_FORM = f"2{sys.byteorder}"
"""How it is kept: in the machine's own order of bytes."""
_DAMAGED = (
    *(OSError, ProductError, ValueError, TypeError, LookupError),
    *(struct.error, zlib.error),
)

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Shelf(Generic[Kept]):
    """One kind of thing that is kept of files."""

    name: str
    """Of its folder in the cache."""
    readers: tuple[ModuleType, ...]
    """Modules that read it: after a change of one of them the files are read again."""
    pack: Callable[[Sequence[Kept]], tuple[Any, bytes]]
    """Parts what is kept of some files into what JSON can hold, and bytes."""
    unpack: Callable[[Any, bytes], Iterable[Kept]]
    """Puts it together again."""


def _packed_headers(files: Sequence[list[RawHeader]]) -> tuple[Any, bytes]:
    """Pack headers as numbers of cards, since most cards stand in most of them."""
    numbers: defaultdict[bytes, int] = defaultdict(count().__next__)
    told, order = [], array("I")
    for headers in files:
        told.append([(one.hdu, len(one.block) // CARD) for one in headers])
        for one in headers:
            order.extend(map(numbers.__getitem__, _cards(one.block)))
    return (len(numbers), told), b"".join((*numbers, order.tobytes()))


def _unpacked_headers(told: Any, data: bytes) -> Iterator[list[RawHeader]]:  # noqa: ANN401 -- JSON
    n_cards, files = told
    cards = _cards(data[: n_cards * CARD])
    left = map(cards.__getitem__, array("I", data[n_cards * CARD :]))
    for headers in files:
        yield [RawHeader(hdu, b"".join(islice(left, n))) for hdu, n in headers]


def _cards(block: bytes) -> tuple[bytes, ...]:
    return struct.unpack(f"{CARD}s" * (len(block) // CARD), block)


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


class Share(NamedTuple):
    """Some of the names that files of a folder may have: told by the name alone.

    So a file stays in its part whatever others come and go.
    """

    number: int = 0
    """Which it is, from 0 on ..."""
    of: int = 1
    """... of how many, a power of two."""

    @classmethod
    def of_name(cls, name: str, of: int) -> Self:
        """Tell which of some shares a name belongs to."""
        return cls(zlib.crc32(os.fsencode(name)) * of >> 32, of)

    def has(self, name: str) -> bool:
        """Tell whether a name belongs to it."""
        return self.of_name(name, self.of) == self

    @property
    def others(self) -> Iterator["Share"]:
        """Those with names in common, of fewer and of twice as many."""
        for halvings in reversed(range(1, self.of.bit_length())):
            yield Share(self.number >> halvings, self.of >> halvings)
        for number in (2 * self.number, 2 * self.number + 1):
            yield Share(number, 2 * self.of)


class Part(NamedTuple):
    """Some files of a folder."""

    folder: str
    """The folder."""
    share: Share
    """Which of the folder's names are in it."""
    names: list[str]
    """Names of its files, in order."""


_ALL = Share()


def batches(folders: Mapping[str, Iterable[str]]) -> Iterator[list[Part]]:
    """Share files out: large folders in parts, small ones together.

    Parameters
    ----------
    folders : mapping of str to iterable of str
        Names of files by their folder, without it.

    Yields
    ------
    list of Part
        About as many files as are read at a time.
    """
    batch: list[Part] = []
    n_files = 0
    for folder, names in folders.items():
        for part in _parts(folder, sorted(names)):
            batch.append(part)
            n_files += len(part.names)
            if n_files >= _TOGETHER:
                yield batch
                batch, n_files = [], 0
    if batch:
        yield batch


def _parts(folder: str, names: Sequence[str]) -> Iterator[Part]:
    of = 1 << ((len(names) - 1) // _TOGETHER).bit_length()
    parts: defaultdict[Share, list[str]] = defaultdict(list)
    for name in names:
        parts[Share.of_name(name, of)].append(name)
    for share in sorted(parts):
        yield Part(folder, share, parts[share])


def load(
    kept: Path, shelf: Shelf[Kept], folder: Path, share: Share = _ALL
) -> dict[str, tuple[Stamp, Kept]]:
    """Load what is known of the files of a part of a folder.

    If nothing is, since the folder had fewer parts or twice as many, what those know is
    taken over.

    Parameters
    ----------
    kept : Path
        Where all shelves are.
    shelf : Shelf
        What is looked for.
    folder : Path
        The folder, absolute.
    share : Share
        Which of its names.

    Returns
    -------
    dict of str to (Stamp, what the shelf keeps)
        By name, each with the file's stamp from before it was read; empty if nothing is
        known, or what is kept cannot be used.
    """
    known = _loaded(kept, shelf, folder, share)
    if known is None:
        known = {
            name: entry
            for other in share.others
            for name, entry in (_loaded(kept, shelf, folder, other) or {}).items()
            if share.has(name)
        }
        if known:
            save(kept, shelf, folder, known, share)
    return known


def _loaded(
    kept: Path, shelf: Shelf[Kept], folder: Path, share: Share
) -> dict[str, tuple[Stamp, Kept]] | None:
    """Load a part; None if it is not there."""
    file = _file_of(kept, shelf, folder, share)
    try:
        data = file.read_bytes()
        return dict(_unpacked(data, shelf, folder))
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        log.debug("what is kept in %s is not used: %s", file, error)
        return {}


def save(
    kept: Path,
    shelf: Shelf[Kept],
    folder: Path,
    entries: Mapping[str, tuple[Stamp, Kept]],
    share: Share = _ALL,
) -> None:
    """Keep what was read of a part's files in place of what was known of them.

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
    share : Share
        Which of its names.
    """
    file = _file_of(kept, shelf, folder, share)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.parent.chmod(0o700)  # headers may tell where an observatory stands
        write_bytes(file, _packed(entries, shelf, folder), lasting=False)
    except _DAMAGED as error:
        log.debug("the %s of %s are not kept: %s", shelf.name, folder, error)


def drop_oldest(kept: Path | None, shelf: Shelf[Any]) -> None:
    """Drop the oldest parts of a shelf that is full.

    Parameters
    ----------
    kept : Path, optional
        Where all shelves are; None if nothing is kept.
    shelf : Shelf
        The shelf.
    """
    if kept is None:
        return
    try:
        known = [(file, file.stat()) for file in (kept / shelf.name).iterdir()]
        total = sum(status.st_size for _, status in known)
        for file, status in sorted(known, key=lambda one: one[1].st_mtime_ns):
            if total <= LARGEST:
                return
            file.unlink(missing_ok=True)
            total -= status.st_size
    except OSError as error:
        log.debug("the %s that are kept are not tidied: %s", shelf.name, error)


def _file_of(kept: Path, shelf: Shelf[Any], folder: Path, share: Share) -> Path:
    part = os.fsencode(folder) + b"\0%d/%d" % share
    return kept / shelf.name / hashlib.sha256(part).hexdigest()[:32]


def _beginning(shelf: Shelf[Kept], folder: Path) -> bytes:
    version = _version_of(shelf.readers)
    return f"autoreduce {_FORM} {version} {str(folder)!r}\n".encode()


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
    stamps = [(name, *stamp) for name, (stamp, _) in entries.items()]
    told, data = shelf.pack([thing for _, thing in entries.values()])
    index = json.dumps((stamps, told)).encode()
    yield zlib.compress(b"\n".join((index, data)), 1)


def _unpacked(
    data: bytes, shelf: Shelf[Kept], folder: Path
) -> Iterator[tuple[str, tuple[Stamp, Kept]]]:
    beginning = _beginning(shelf, folder)
    if not data.startswith(beginning):
        msg = "it is of another version"
        raise ValueError(msg)
    unpacking = zlib.decompressobj()
    raw = unpacking.decompress(data[len(beginning) :])
    if not unpacking.eof or unpacking.unused_data:
        msg = "it is cut off, or there is more behind it"
        raise ValueError(msg)
    at = raw.index(b"\n") + 1
    stamps, told = json.loads(raw[:at])
    things = shelf.unpack(told, raw[at:])
    for (name, *stamp), thing in zip(stamps, things, strict=True):
        yield name, (Stamp(*stamp), thing)
