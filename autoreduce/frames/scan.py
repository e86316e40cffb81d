"""A folder's frames as a table, and the files that are none, with the reason."""

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from autoreduce.errors import InputError
from autoreduce.fits.ahead import Each
from autoreduce.fits.header import RawHeader, headers_from_text
from autoreduce.fits.names import OTHERS, SUFFIXES, is_fits_name, stem
from autoreduce.frames import cache
from autoreduce.frames.detectors import frames_of_detectors
from autoreduce.frames.dialects import load_dialects, own_tables
from autoreduce.frames.evidence import Evidence
from autoreduce.frames.frame import Frame, frames_of_file
from autoreduce.frames.reading import FileReader, headers_or_why, state_of, uncollected
from autoreduce.frames.schema import (
    UNREADABLE_COLUMNS,
    make_frame_table,
)
from autoreduce.frames.together import decide_together


@dataclass(frozen=True)
class ScannedNight:
    """What a night's folders hold."""

    frames: pd.DataFrame
    """The frame table; frames that are left out have ``use`` false."""
    readings: Evidence
    """Which card gave each fact."""
    unreadable: pd.DataFrame
    """Files that are no frames, and why."""
    root: Path
    """Folder that the frames' paths are relative to."""
    others: tuple[str, ...] = ()
    """Raw images in formats that are not read, of which no FITS file has the name."""

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """Which card gave each fact, as a table with `EVIDENCE_COLUMNS`."""
        return self.readings.table()

    def __repr__(self) -> str:
        n_frames, n_lost = len(self.frames), len(self.unreadable)
        return f"<ScannedNight {self.root}: {n_frames} frames, {n_lost} unreadable>"


def scan(*folders: str | Path, dialects: Sequence[Path] = ()) -> pd.DataFrame:
    """Read the headers of a night into a frame table.

    Parameters
    ----------
    *folders : str or Path
        Folders, searched with all that is below them.
    dialects : sequence of Path
        The observer's own dialect tables.

    Returns
    -------
    DataFrame
        The frame table; ``attrs["root"]`` is the folder that paths are relative to.

    Raises
    ------
    InputError
        If a folder does not exist, or none of them holds a FITS image.
    """
    night = scan_night([Path(folder) for folder in folders], dialects=dialects)
    return night.frames


def scan_night(
    folders: Sequence[Path],
    *,
    dialects: Sequence[Path] = (),
    memory: float = math.inf,
    each: Each = map,
) -> ScannedNight:
    """Read the headers of a night: frames, evidence, and what could not be read.

    Parameters
    ----------
    folders : sequence of Path
        Folders, searched with all that is below them; output folders of autoreduce
        are passed over.
    dialects : sequence of Path
        The observer's own dialect tables; ``autoreduce.toml`` in a folder or in the
        user's configuration folder is one as well.
    memory : float
        Bytes that one frame may take; larger ones are left out unread.
    each : callable
        Calls a function for many items, as `map` does: in other processes, if there are
        any.

    Returns
    -------
    ScannedNight
        Nothing is lost: every file with a FITS name is in one of its tables.

    Raises
    ------
    InputError
        If a folder does not exist, or none of them holds a FITS image.
    SettingsError
        If a dialect table is not valid.
    """
    with uncollected():
        return _scanned(folders, dialects, memory, each)


def _scanned(
    folders: Sequence[Path], dialects: Sequence[Path], memory: float, each: Each
) -> ScannedNight:
    folders = [Path(os.path.normpath(folder.absolute())) for folder in folders]
    root = _root(folders)
    kept = cache.cache_folder(folders)
    tables = (*dialects, *own_tables(folders))
    reader = FileReader(str(root), tables, memory, kept, time.time_ns())
    reader.frame_reader()
    unreadable: list[tuple[str, str]] = []
    places, others = _files(folders, unreadable)
    if not places:
        raise InputError(_nothing_found(folders, others))
    frames: list[Frame] = []
    for read in each(reader, cache.batches(places)):
        frames += read.frames
        unreadable += read.unreadable
    reader.forget()
    cache.drop_oldest(kept, cache.HEADERS)
    unreadable.sort(key=lambda one: one[0].split("/"))
    frames.sort(key=lambda frame: str(frame.path).split("/"))
    if not frames:
        name, reason = unreadable[0]
        msg = (
            f"none of the {sum(map(len, places.values()))} FITS files in {root} holds "
            f"an image that can be read ({name}: {reason}); "
            "point autoreduce at a folder of raw frames"
        )
        raise InputError(msg)
    decide_together(frames)
    table, readings = _tables(frames)
    table.attrs["root"] = str(root)
    return ScannedNight(
        frames=table,
        readings=readings,
        unreadable=_table(map(list, zip(*unreadable, strict=True)), UNREADABLE_COLUMNS),
        root=root,
        others=tuple(os.path.relpath(path, root) for path in others),
    )


def _tables(frames: list[Frame]) -> tuple[pd.DataFrame, Evidence]:
    """Make the frame table and the evidence; frames are let go one by one."""
    readings = Evidence()

    def rows() -> Iterator[Mapping[str, object]]:
        frames.reverse()
        while frames:
            frame = frames.pop()
            readings.add(frame)
            yield frame.row()

    return make_frame_table(rows()), readings


def read_file(path: Path, *, dialects: Sequence[Path] = ()) -> list[Frame]:
    """Read the frames of one file as a night with nothing else in it would.

    Parameters
    ----------
    path : Path
        A FITS file; or a text file with header cards, one a line.
    dialects : sequence of Path
        The observer's own dialect tables; ``autoreduce.toml`` beside the file or in
        the user's configuration folder is one as well.

    Returns
    -------
    list of Frame
        At least one.

    Raises
    ------
    InputError
        If the file holds no image that can be read.
    SettingsError
        If a dialect table is not valid.
    """
    headers = _text_headers(path) or headers_or_why((str(path), state_of(str(path))))
    if isinstance(headers, str):
        msg = f"{path}: {headers}"
        raise InputError(msg)
    tables = load_dialects((*dialects, *own_tables([path.absolute().parent])))
    images = frames_of_file(path.name, path, headers, tables)
    frames = list(frames_of_detectors(path.name, images))
    decide_together(frames)
    return frames


def _text_headers(path: Path) -> list[RawHeader]:
    """Return headers of a text file; a header without a shape gets one."""
    if path.suffix.lower() not in (".txt", ".hdr", ".head"):
        return []
    try:
        headers = headers_from_text(path.read_text("utf-8", errors="replace"))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise InputError(msg) from error
    if all(header.get("NAXIS") is None for header in headers):
        shape = headers_from_text("NAXIS   = 2\nNAXIS1  = 2\nNAXIS2  = 2")[0]
        headers = [RawHeader(0, shape.block + headers[0].block)]
    return headers


def _root(folders: Sequence[Path]) -> Path:
    for folder in folders:
        if not folder.is_dir():
            kind = "is a file" if folder.exists() else "does not exist"
            msg = f"{folder} {kind}; expected a folder of FITS frames"
            raise InputError(msg)
    if not folders:
        msg = "no folder given; name the folder that holds the night's frames"
        raise InputError(msg)
    return Path(os.path.commonpath(folders))


def _nothing_found(folders: Sequence[Path], others: Sequence[str]) -> str:
    named = ", ".join(map(str, folders))
    endings = " ".join(SUFFIXES)
    if others:
        return (
            f"no FITS files in {named} or below, but {len(others)} of another format, such "
            f"as {Path(others[0]).name}; convert them to FITS"
        )
    return (
        f"no FITS files ({endings}, also .gz and .fz) in {named} or below; "
        "point autoreduce at the folder that holds the night's raw frames"
    )


def _files(
    folders: Sequence[Path], lost: list[tuple[str, str]]
) -> tuple[dict[str, set[str]], list[str]]:
    """Walk folders: names of FITS files by their folder, and raw images that are none.

    Folders that cannot be read are put on the list of what is lost.
    """
    places: dict[str, set[str]] = {}
    others: set[str] = set()
    for folder in folders:
        for place, names in _walk(folder, lost):
            if found := set(filter(is_fits_name, names)):
                places.setdefault(str(place), set()).update(found)
            others.update(str(place / n) for n in names if n.lower().endswith(OTHERS))
    if others:
        known = {stem(name) for names in places.values() for name in names}
        others = {path for path in others if Path(path).stem not in known}
    return places, sorted(others)


def _walk(
    folder: Path, lost: list[tuple[str, str]]
) -> Iterator[tuple[Path, list[str]]]:
    """Walk a folder; a folder is entered once, whatever links lead to it."""

    def lose(error: OSError) -> None:
        lost.append((str(error.filename), f"folder cannot be read: {error.strerror}"))

    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, onerror=lose, followlinks=True):
        status = Path(place).stat()
        key = (status.st_dev, status.st_ino)
        if key in seen or _is_output(names):
            folders.clear()
            continue
        seen.add(key)
        folders.sort()
        yield Path(place), names


def _is_output(names: Iterable[str]) -> bool:
    return {"plan.json", "frames.csv"} <= set(names)


def _table(columns: Iterable[list[str]], names: Sequence[str]) -> pd.DataFrame:
    """Make a table of texts; columns are emptied one by one."""
    told = {}
    for name, cells in zip(names, columns, strict=False):
        told[name] = pd.array(cells, dtype="string")
        cells.clear()
    return pd.DataFrame(told, columns=list(names), dtype="string", copy=False)
