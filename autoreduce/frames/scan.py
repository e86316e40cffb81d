"""A folder's frames as a table, and the files that are none, with the reason."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from autoreduce.errors import InputError
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import Frame, frames_of_file, is_image
from autoreduce.frames.night import decide_together
from autoreduce.frames.reader import (
    RawHeader,
    headers_from_text,
    image_shape,
    read_headers,
)
from autoreduce.frames.schema import (
    EVIDENCE_COLUMNS,
    UNREADABLE_COLUMNS,
    make_frame_table,
)

SUFFIXES = (".fits", ".fit", ".fts")
COMPRESSED = ("", ".gz", ".fz", ".bz2", ".xz", ".z")
"""Unreadable compressions are listed too, so that the observer hears of them."""
OWN_TABLE = "autoreduce.toml"
"""Name of a dialect table that is used without being asked for."""

_READERS = 8


@dataclass(frozen=True)
class Night:
    """What a night's folders hold."""

    frames: pd.DataFrame
    """The frame table; frames that are left out have ``use`` false."""
    evidence: pd.DataFrame
    """Which card gave each fact, with `EVIDENCE_COLUMNS`."""
    unreadable: pd.DataFrame
    """Files that are no frames, and why."""
    root: Path
    """Folder that the frames' paths are relative to."""


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


def scan_night(folders: Sequence[Path], *, dialects: Sequence[Path] = ()) -> Night:
    """Read the headers of a night: frames, evidence, and what could not be read.

    Parameters
    ----------
    folders : sequence of Path
        Folders, searched with all that is below them; output folders of autoreduce
        are passed over.
    dialects : sequence of Path
        The observer's own dialect tables; ``autoreduce.toml`` in a folder or in the
        user's configuration folder is one as well.

    Returns
    -------
    Night
        Nothing is lost: every file with a FITS name is in one of its tables.

    Raises
    ------
    InputError
        If a folder does not exist, or none of them holds a FITS image.
    SettingsError
        If a dialect table is not valid.
    """
    folders = [Path(os.path.normpath(folder.absolute())) for folder in folders]
    root = _root(folders)
    tables = load_dialects((*dialects, *_own_tables(folders)))
    unreadable: list[tuple[str, str]] = []
    found_files = (_fits_files(folder, unreadable) for folder in folders)
    files = sorted({file for found in found_files for file in found})
    if not files:
        raise InputError(_nothing_found(folders))
    frames: list[Frame] = []
    with ThreadPoolExecutor(_READERS) as pool:
        for path, found in zip(files, pool.map(_try_headers, files), strict=True):
            name = _printable(path.relative_to(root).as_posix())
            if isinstance(found, str):
                unreadable.append((name, found))
            else:
                frames.extend(frames_of_file(name, path, found, tables))
    if not frames:
        name, reason = unreadable[0]
        msg = (
            f"none of the {len(files)} FITS files in {root} holds an image that can "
            f"be read ({name}: {reason}); point autoreduce at a folder of raw frames"
        )
        raise InputError(msg)
    decide_together(frames)
    table = make_frame_table(frame.row() for frame in frames)
    table.attrs["root"] = str(root)
    rows = [row for frame in frames for row in frame.evidence()]
    return Night(
        frames=table,
        evidence=_table(rows, EVIDENCE_COLUMNS),
        unreadable=_table(unreadable, UNREADABLE_COLUMNS),
        root=root,
    )


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
    headers = _text_headers(path) or _try_headers(path)
    if isinstance(headers, str):
        msg = f"{path}: {headers}"
        raise InputError(msg)
    tables = load_dialects((*dialects, *_own_tables([path.absolute().parent])))
    frames = list(frames_of_file(path.name, path, headers, tables))
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


def _own_tables(folders: Iterable[Path]) -> list[Path]:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = [*folders, config / "autoreduce", config]
    tables = dict.fromkeys(place / OWN_TABLE for place in places)
    return [table for table in tables if table.is_file()]


def _nothing_found(folders: Sequence[Path]) -> str:
    named = ", ".join(map(str, folders))
    endings = " ".join(SUFFIXES)
    return (
        f"no FITS files ({endings}, also .gz and .fz) in {named} or below; "
        "point autoreduce at the folder that holds the night's raw frames"
    )


def _fits_files(folder: Path, lost: list[tuple[str, str]]) -> Iterator[Path]:
    """Walk a folder; a folder is entered once, whatever links lead to it.

    Folders that cannot be read are put on the list of what is lost.
    """

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
        yield from (Path(place) / name for name in sorted(names) if _is_fits(name))


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_output(names: Iterable[str]) -> bool:
    return {"plan.json", "frames.csv"} <= set(names)


def _is_fits(name: str) -> bool:
    small = name.lower()
    return any(
        small.endswith(suffix + packed) for suffix in SUFFIXES for packed in COMPRESSED
    )


def _try_headers(path: Path) -> list[RawHeader] | str:
    try:
        if path.as_posix() != _printable(path.as_posix()):
            return "its name is no text (not UTF-8); rename it"
        # Opening a pipe would wait for ever for someone to write to it.
        if path.exists() and not path.is_file():
            return "not a file"
        headers = read_headers(path)
        if any(is_image(image_shape(header)) for header in headers):
            return headers
    except InputError as error:
        return str(error)
    return "no image in it: " + _contents(headers)


def _contents(headers: list[RawHeader]) -> str:
    if len(headers) > 1:
        kinds = Counter(str(header.get("XTENSION")) for header in headers[1:])
        return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    shape = image_shape(headers[0])
    axes = " x ".join(map(str, shape))
    return f"an array of {axes}" if shape else "headers only"


def _table(rows: Sequence[tuple[str, ...]], names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names), dtype="string")
