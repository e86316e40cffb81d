"""What files hold: digests of their content, and a ledger that remembers them.

A file is what its bytes are, whatever it is called, wherever it lies and whenever it was
copied there.  To know the bytes it must be read, some tenths of a second for a gigabyte:
a ledger remembers the digest of each file with its size, times and inode, and only where
one of these has changed the file is read again.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from xxhash import xxh3_128

from autoreduce.errors import InputError
from autoreduce.fits.whole import write_text

log = logging.getLogger(__name__)

LEDGER = "ledger.json"
"""Name of a ledger in its folder."""
SETTLED_S = 3.0
"""Clocks of file systems are coarse: a file that was changed less than that before it
was looked at may be changed again without a trace."""
_FORM = 3
_UNREADABLE = (OSError, InputError)
_SPOILT = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def content_digest(path: Path) -> str:
    """Digest what a file holds, byte by byte.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        # Long pieces are digested without the interpreter's lock.
        return hashlib.file_digest(file, xxh3_128).hexdigest()


def digest_of(content: bytes) -> str:
    """Digest some bytes as `content_digest` does those of a file."""
    return xxh3_128(content).hexdigest()


Digest = Callable[[Path], str]
"""Reads a file and tells what it holds; OSError or InputError if it cannot."""


class Stamp(NamedTuple):
    """What is never the same after a file was changed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Take it from what the file system says."""
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        )

    def is_settled(self, now_ns: int) -> bool:
        """Tell whether a change from now on would show."""
        return max(self.mtime_ns, self.ctime_ns) < now_ns - SETTLED_S * 1e9


class Entry(NamedTuple):
    """What is remembered of one file."""

    stamp: Stamp
    """Its stamp from before it was read."""
    looked_ns: int
    """When it was read."""
    digest: str
    """Digest of its content."""

    def holds_for(self, stamp: Stamp) -> bool:
        """Tell whether a file of this stamp must hold the same without reading it."""
        return stamp == self.stamp and stamp.is_settled(self.looked_ns)


@lru_cache(maxsize=64)
def _tell_of_unused(path: Path, why: str) -> None:
    """Say once what a run, which looks at its ledger several times, finds each time."""
    log.warning("%s is not used, and files are read instead: %s", path, why)


class Ledger:
    """Digests of what files hold, by names that stay when a folder is moved.

    Files may be looked at by several threads at once.  A ledger can be sent to another
    process, and what it learned there be taken over with `learn`.
    """

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self._entries = dict(entries or {})

    def __eq__(self, other: object) -> bool:
        """Tell whether another ledger remembers the same."""
        return isinstance(other, Ledger) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, name: str) -> bool:
        """Tell whether anything is remembered of a file."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the files that are remembered."""
        return iter(self._entries)

    def digest(self, name: str) -> str:
        """Give the digest that is remembered of a file; KeyError if none is."""
        return self._entries[name].digest

    def forget(self, name: str) -> None:
        """Remember nothing of a file any more."""
        self._entries.pop(name, None)

    def doubt(self, name: str) -> None:
        """Have a file read again when it is next asked for, whatever its stamp."""
        if name in self._entries:
            self._entries[name] = self._entries[name]._replace(looked_ns=0)

    def look(self, name: str, path: Path, digest: Digest = content_digest) -> str:
        """Tell what a file holds, and remember it.

        Parameters
        ----------
        name : str
            Under which it is remembered.
        path : Path
            The file.
        digest : callable
            Reads it, unless its stamp is as it was.

        Returns
        -------
        str
            Digest of its content; empty if it cannot be read.
        """
        try:
            entry = self._entries[name] = self._entry(name, path, digest)
        except _UNREADABLE:
            self._entries.pop(name, None)
            return ""
        return entry.digest

    def is_same(self, name: str, path: Path, digest: Digest = content_digest) -> bool:
        """Tell whether a file holds what is remembered of it, which is not forgotten.

        Parameters
        ----------
        name, path, digest
            As in `look`.
        """
        known = self._entries.get(name)
        if known is None:
            return False
        try:
            entry = self._entry(name, path, digest)
        except _UNREADABLE:
            return False
        if entry.digest != known.digest:
            return False
        self._entries[name] = entry
        return True

    def is_same_since(
        self, begin_ns: int, name: str, path: Path, digest: Digest = content_digest
    ) -> bool:
        """Tell the same of a file that is trusted only if it was looked at lately.

        A disk that loses a bit changes no stamp: what was looked at before `begin_ns`
        is read again.

        Parameters
        ----------
        begin_ns : int
            By `time.time_ns`.
        name, path, digest
            As in `look`.
        """
        known = self._entries.get(name)
        if known is None or known.looked_ns < begin_ns:
            self.doubt(name)
            return self.is_same(name, path, digest)
        try:
            return known.stamp == Stamp.of(path.stat())
        except OSError:
            return False

    def is_untouched(self, name: str, path: Path) -> bool:
        """Tell by its stamp alone whether a file holds what is remembered of it.

        Raises
        ------
        OSError
            If it is not there.
        """
        known = self._entries.get(name)
        return known is not None and known.holds_for(Stamp.of(path.stat()))

    def part(self, names: Iterable[str]) -> "Ledger":
        """Copy what is remembered of some files."""
        known = self._entries
        return Ledger({name: known[name] for name in names if name in known})

    def learn(self, other: "Ledger") -> None:
        """Take over what another ledger remembers, where it has looked later."""
        for name, entry in other._entries.items():
            known = self._entries.get(name)
            if known is None or known.looked_ns <= entry.looked_ns:
                self._entries[name] = entry

    def _entry(self, name: str, path: Path, digest: Digest) -> Entry:
        known = self._entries.get(name)
        looked_ns, stamp = time.time_ns(), Stamp.of(path.stat())
        if known is not None and known.holds_for(stamp):
            return known
        return Entry(stamp, looked_ns, digest(path))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a ledger; an empty one if there is none, or it is of no use.

        Parameters
        ----------
        path : Path
            Where it was saved.
        """
        try:
            return cls.read(path)
        except FileNotFoundError:
            return cls()
        except (OSError, InputError) as error:
            _tell_of_unused(path, str(error))
            return cls()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ledger that was saved.

        Raises
        ------
        OSError
            If it cannot be read.
        InputError
            If it is not as it was written.
        """
        raw = path.read_bytes()
        try:
            content = json.loads(raw)
            if content["form"] != _FORM:
                msg = f"of form {content['form']}, expected {_FORM}"
                raise InputError(msg)
            told = content["digest"]
            if told != digest_of(raw.replace(told.encode(), b"", 1)):
                msg = "not as it was written: its digest does not hold"
                raise InputError(msg)
            files = dict(content["files"])
            return cls({name: _parsed(fields) for name, fields in files.items()})
        except _SPOILT as error:
            log.debug("%s: %r", path, error)
            msg = "not as it was written: it holds something else"
            raise InputError(msg) from error

    def save(self, path: Path) -> None:
        """Write the ledger, whole or not at all, a line for each file.

        Raises
        ------
        ProductError
            If it cannot be written.
        """
        columns = [*Stamp._fields, "looked_ns", "digest"]
        lines = ",\n".join(
            f"{json.dumps(name)}: {json.dumps([*stamp, looked_ns, digest])}"
            for name, (stamp, looked_ns, digest) in sorted(self._entries.items())
        )
        before = f'{{"form": {_FORM}, "digest": "'
        after = f'", "columns": {json.dumps(columns)}, "files": {{\n{lines}\n}}}}\n'
        digest = digest_of(f"{before}{after}".encode())
        write_text(path, f"{before}{digest}{after}")


def _parsed(fields: Sequence[Any]) -> Entry:
    *numbers, digest = fields
    if [type(field) for field in fields] != [*[int] * (len(Stamp._fields) + 1), str]:
        msg = f"{fields} is no entry of a ledger"
        raise ValueError(msg)
    return Entry(Stamp(*numbers[:-1]), numbers[-1], digest)
