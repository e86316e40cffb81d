"""Header blocks that earlier runs have read, kept for each folder in the user's cache.

A file's blocks are used again only if its size and its times of change are still the
same and the reader is still the same.  What they mean is worked out anew each time,
so that no dialect, option or name can be out of date.  Nothing depends on the cache:
whatever is wrong with it, the files are read.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from autoreduce.errors import ProductError
from autoreduce.fits import header
from autoreduce.fits.header import RawHeader
from autoreduce.fits.ledger import Stamp
from autoreduce.fits.whole import write_bytes

log = logging.getLogger(__name__)

LARGEST = 256 << 20
"""Size of all cached headers, bytes, above which the oldest folders are dropped."""
_FILES_IN_PART = 1024
_LENGTH_BYTES = 8
_DAMAGED = (OSError, ProductError, ValueError, TypeError, zlib.error)


Entry = tuple[Stamp, list[RawHeader]]
"""A file's stamp from before it was read, and its headers."""


def cache_folder(nights: Sequence[Path] = ()) -> Path | None:
    """Return where headers are kept; None if they are not to be.

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
    folder = (base / "autoreduce" / "headers").resolve()
    inside = any(folder.is_relative_to(night.resolve()) for night in nights)
    return None if inside else folder


def load(kept: Path, folder: Path) -> dict[str, Entry]:
    """Load what is known of the files of a folder.

    Parameters
    ----------
    kept : Path
        Where headers are kept.
    folder : Path
        The folder, absolute.

    Returns
    -------
    dict of str to Entry
        By file name; empty if nothing is known, or what is kept cannot be used.
    """
    file = _file_of(kept, folder)
    try:
        data = file.read_bytes()
        return dict(_unpacked(data, _beginning(folder)))
    except FileNotFoundError:
        return {}
    except _DAMAGED as error:
        log.debug("headers kept in %s are not used: %s", file, error)
        return {}


def save(kept: Path, folder: Path, entries: Mapping[str, Entry]) -> None:
    """Keep the headers of a folder's files in place of what was known of them.

    Parameters
    ----------
    kept : Path
        Where headers are kept.
    folder : Path
        The folder, absolute.
    entries : mapping of str to Entry
        By file name.
    """
    try:
        kept.mkdir(parents=True, exist_ok=True)
        kept.chmod(0o700)  # headers may tell where an observatory stands
        packed = _packed(entries, _beginning(folder))
        write_bytes(_file_of(kept, folder), packed, lasting=False)
        _drop_oldest(kept)
    except _DAMAGED as error:
        log.debug("headers of %s are not kept: %s", folder, error)


def _file_of(kept: Path, folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return kept / name


def _beginning(folder: Path) -> bytes:
    return f"autoreduce {_reader_version()} {str(folder)!r}\n".encode()


@cache
def _reader_version() -> str:
    return hashlib.sha256(Path(header.__file__).read_bytes()).hexdigest()[:32]


def _packed(entries: Mapping[str, Entry], beginning: bytes) -> Iterator[bytes]:
    """Pack headers; those of like files take little room behind one another."""
    yield beginning
    items = list(entries.items())
    for start in range(0, len(items), _FILES_IN_PART):
        part = items[start : start + _FILES_IN_PART]
        index = [
            (name, stamp, [(header.hdu, len(header.block)) for header in headers])
            for name, (stamp, headers) in part
        ]
        blocks = (header.block for _, (_, headers) in part for header in headers)
        raw = b"\n".join((json.dumps(index).encode(), b"".join(blocks)))
        packed = zlib.compress(raw, 1)
        yield len(packed).to_bytes(_LENGTH_BYTES, "big")
        yield packed


def _unpacked(data: bytes, beginning: bytes) -> Iterator[tuple[str, Entry]]:
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
        for name, stamp, lengths in index:
            headers = []
            for hdu, length in lengths:
                headers.append(RawHeader(hdu, raw[place : place + length]))
                place += length
            yield name, (Stamp(*stamp), headers)


def _drop_oldest(kept: Path) -> None:
    known = [(file, file.stat()) for file in kept.iterdir()]
    total = sum(status.st_size for _, status in known)
    for file, status in sorted(known, key=lambda one: one[1].st_mtime_ns):
        if total <= LARGEST:
            return
        file.unlink(missing_ok=True)
        total -= status.st_size
