"""Files read into frames, some at a time: what may be done in many processes."""

import gc
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from autoreduce.errors import InputError
from autoreduce.fits.ahead import read_many
from autoreduce.fits.header import RawHeader, image_shape, no_image_in, read_headers
from autoreduce.fits.ledger import Stamp
from autoreduce.frames import cache
from autoreduce.frames.bounds import within
from autoreduce.frames.cache import Part
from autoreduce.frames.detectors import frames_of_detectors
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import Frame, FrameReader, is_image
from autoreduce.frames.together import without_cards

File = tuple[str, os.stat_result | None]
"""Path of a file and what the file system says of it."""

_READERS = 8


class Read(NamedTuple):
    """What some files hold."""

    frames: list[Frame]
    """Their frames, without the cards that nobody asks for any more."""
    unreadable: list[tuple[str, str]]
    """Files that are no frames, and why."""


@dataclass(frozen=True)
class FileReader:
    """How the files of a night are read: the same in each process.

    Each loads the observer's tables once for each scan.
    """

    root: str
    """Folder that names are relative to."""
    dialects: tuple[Path, ...]
    """The observer's dialect tables."""
    memory: float
    """Bytes that one frame may take."""
    kept: Path | None
    """The user's cache."""
    begun_ns: int
    """When the scan began."""

    def frame_reader(self) -> FrameReader:
        """Give what reads frames from headers.

        Raises
        ------
        SettingsError
            If a dialect table is not valid.
        """
        return _frame_reader(self)

    def forget(self) -> None:
        """Let go what this process has loaded."""
        _frame_reader.cache_clear()

    def __call__(self, batch: Sequence[Part]) -> Read:
        """Read some parts of folders."""
        below = len(str(Path(self.root, "_"))) - 1
        read = Read([], [])
        # Where threads stand in for processes, they share a reader's memory.
        with _ONE_AT_A_TIME, uncollected():
            reader = self.frame_reader()
            for part in batch:
                for path, found in _headers_of(part, self.kept):
                    name = _printable(path[below:])
                    if isinstance(found, str):
                        read.unreadable.append((name, found))
                        continue
                    images = reader.frames_of_file(name, path, found)
                    of_file = within(frames_of_detectors(name, images), self.memory)
                    read.frames.extend(map(without_cards, of_file))
        return read


_ONE_AT_A_TIME = Lock()


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles of garbage: frames have none, and there are many of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@lru_cache(maxsize=1)
def _frame_reader(reader: FileReader) -> FrameReader:
    return FrameReader(load_dialects(reader.dialects))


def _headers_of(
    part: Part, kept: Path | None
) -> Iterator[tuple[str, list[RawHeader] | str]]:
    """Yield the paths and headers, or what is wrong, of some files, in order.

    Read are those that have changed.
    """
    start_ns = time.time_ns()
    place, folder = part.folder, Path(part.folder)
    known = cache.load(kept, cache.HEADERS, folder, part.share) if kept else {}
    states = {name: state_of(f"{place}/{name}") for name in part.names}
    old = {
        name: known[name]
        for name, state in states.items()
        if state and name in known and known[name][0] == Stamp.of(state)
    }
    new = {name: state for name, state in states.items() if name not in old}
    files = ((f"{place}/{name}", state) for name, state in new.items())
    read = dict(zip(new, read_many(_READERS, headers_or_why, files), strict=True))
    added = {
        name: (stamp, headers)
        for name, state in new.items()
        if kept
        and state
        and not isinstance(headers := read[name], str)
        and (stamp := Stamp.of(state)).is_settled(start_ns)
    }
    if kept and (added or len(old) < len(known)):
        cache.save(kept, cache.HEADERS, folder, old | added, part.share)
    for name in states:
        yield f"{place}/{name}", read.pop(name) if name in read else old.pop(name)[1]


def state_of(path: str) -> os.stat_result | None:
    """Ask the file system for a file; None if it says nothing."""
    try:
        return os.stat(path)  # noqa: PTH116 -- of many thousand files
    except OSError:
        return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def headers_or_why(file: File) -> list[RawHeader] | str:
    """Read the headers of a file; return why there is no image in it."""
    path, state = file
    try:
        if path != _printable(path):
            return "its name is no text (not UTF-8); rename it"
        # Opening a pipe would wait for ever for someone to write to it.
        if state and not stat.S_ISREG(state.st_mode):
            return "not a file"
        headers = read_headers(path)
        if any(is_image(image_shape(header)) for header in headers):
            return headers
    except InputError as error:
        return str(error)
    return no_image_in(headers)
