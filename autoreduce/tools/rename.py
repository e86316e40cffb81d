"""Files renamed into one sequence: all or none, and back again."""

import csv
import errno
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.names import is_fits_name, split_hdu, stem
from autoreduce.frames import literals
from autoreduce.frames.frame import Facts
from autoreduce.tools.filelists import NaturalKey, distinct, natural_key
from autoreduce.tools.files import refuse_existing, write_text
from autoreduce.tools.headers import (
    is_file_name,
    no_such_keyword,
    read_facts,
    unknown_keywords,
)

DEFAULT_KEYS = ("DATE-OBS",)
_BEGUN, _DONE = "begun", "done"
_NO_DATE = datetime.min.replace(tzinfo=UTC)
_NO_TEXT: NaturalKey = ((), "")
_PACKED = re.compile(r"\.(gz|fz)$", re.IGNORECASE)


class Transfer(StrEnum):
    """How a file gets its new name."""

    MOVE = "move"
    COPY = "copy"
    LINK = "link"
    """A symbolic link; the file keeps its name."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """One file's old and new name."""

    old: Path
    new: Path

    @property
    def between(self) -> Path:
        """A third name, held while the others of the sequence still move."""
        return self.new.with_name(f".{self.new.name}.renaming")


def plan_renaming(
    images: Sequence[str],
    *,
    keys: Sequence[str] = DEFAULT_KEYS,
    root: str | None = None,
    tail: str = ".fit",
    width: int = 4,
    sidecars: bool = False,
) -> list[Renaming]:
    """Decide the new name of each file; nothing is renamed.

    Parameters
    ----------
    images : sequence of str
        Files.
    keys : sequence of str
        Keywords to sort by, the first one first (``Filename`` too), by what they mean
        to the header's dialect; numbers, dates and texts sort as what they are, a
        missing value comes last, and files that are still equal are in the natural
        order of their names.
    root : str, optional
        What stands before the number, with a folder if they shall go to another
        one; the date of the first file if absent, or if it is a folder alone
        (``sorted/``).
    tail : str
        What stands behind the number; compressed files keep their ``.gz`` or ``.fz``.
    width : int
        Digits of the number at least; more where the sequence needs them.
    sidecars : bool
        Whether files that differ from an image only in what follows its name or its
        stem (``a.fit.txt``, ``a.xml``) are renamed with it.

    Returns
    -------
    list of Renaming
        In the new order.

    Raises
    ------
    InputError
        If a header cannot be read, no file has a keyword to sort by, or a default
        root is asked for and the first file has no date.
    ProductError
        If a new name belongs to a file that is not itself renamed.
    """
    paths = list(map(Path, distinct(str(split_hdu(image)[0]) for image in images)))
    facts = {path: read_facts(str(path)) for path in paths}
    _check_keys(keys, facts)
    paths.sort(key=lambda path: _sort_key(path, facts[path], keys))
    if root is not None and not root.strip():
        msg = "the root (-o) is empty: is a variable of the shell not set?"
        raise InputError(msg)
    if root is None or root.rpartition("/")[2] in ("", ".", ".."):
        folder = "" if root is None else f"{root}/"
        root = folder + _date_root(paths[0], facts[paths[0]])
    width = max(width, len(str(len(paths))))
    names = {
        path: _new_path(path, f"{root}.{number:0{width}d}", tail)
        for number, path in enumerate(paths, start=1)
    }
    followers = _sidecars(names) if sidecars else []
    renamings = [*(Renaming(old, new) for old, new in names.items()), *followers]
    _check(renamings)
    return renamings


def _check_keys(keys: Sequence[str], facts: Mapping[Path, Facts]) -> None:
    """Refuse keywords that no file has: they would sort nothing."""
    named = [key for key in keys if key.upper() not in DEFAULT_KEYS]
    lacking = [
        key for key in named if all(one.meaning(key) is None for one in facts.values())
    ]
    headers = {str(path): one.header for path, one in facts.items()}
    for keyword, near in unknown_keywords(headers, lacking).items():
        msg = f"{no_such_keyword(keyword, near)}; nothing is renamed"
        raise InputError(msg)


def _sort_key(path: Path, facts: Facts, keys: Iterable[str]) -> tuple[object, ...]:
    values = (path.name if is_file_name(key) else facts.meaning(key) for key in keys)
    return *map(sort_value, values), natural_key(str(path))


def sort_value(value: object) -> tuple[int, float, datetime, NaturalKey]:
    """Return a sort key in which numbers, dates and texts sort as what they are.

    Parameters
    ----------
    value : object
        What a card means, or None.

    Returns
    -------
    tuple
        Numbers come first, then dates, then texts in natural order; None and blank
        texts come last.
    """
    if isinstance(value, datetime):
        return 1, 0.0, value, _NO_TEXT
    if isinstance(value, bool | int | float):
        return 0, float(value), _NO_DATE, _NO_TEXT
    text = "" if value is None else str(value).strip()
    if not text:
        return 3, 0.0, _NO_DATE, _NO_TEXT
    number = literals.lone_number(text)
    if number is not None:
        return 0, number, _NO_DATE, _NO_TEXT
    moment = literals.moment(text) or literals.day(text)
    if moment is not None:
        return 1, 0.0, moment, _NO_TEXT
    return 2, 0.0, _NO_DATE, natural_key(text)


def _date_root(path: Path, facts: Facts) -> str:
    if facts.date is None:
        msg = (
            f"{path} has no date in DATE-OBS to name the sequence by; give a root (-o)"
        )
        raise InputError(msg)
    return f"{facts.date:%Y%m%d}"


def _new_path(old: Path, stem: str, tail: str) -> Path:
    packed = _PACKED.search(old.name)
    if packed and not _PACKED.search(tail):
        tail += packed[0].lower()
    new = Path(stem + tail)
    return new if "/" in stem else old.parent / new


def _sidecars(names: dict[Path, Path]) -> list[Renaming]:
    """Find files that share an image's name, or its stem, up to one more suffix."""
    beginnings: dict[Path, Path] = {}
    for old, new in names.items():
        beginnings[old] = new
        beginnings[old.with_name(_stem(old.name))] = new.with_name(_stem(new.name))
    found = []
    for folder in dict.fromkeys(old.parent for old in names):
        for other in sorted(folder.iterdir(), key=lambda item: natural_key(item.name)):
            begin = beginnings.get(other.with_suffix(""))
            is_image = other in names or is_fits_name(other.name)
            if begin is not None and not is_image and other.is_file():
                new = begin.with_name(begin.name + other.suffix)
                found.append(Renaming(other, new))
    return found


def _stem(name: str) -> str:
    bare = stem(name)
    return bare if bare != name else name.rpartition(".")[0] or name


def _check(renamings: Sequence[Renaming]) -> None:
    old = {renaming.old.absolute() for renaming in renamings}
    seen: set[Path] = set()
    for renaming in renamings:
        new = renaming.new.absolute()
        if new in seen:
            msg = f"two files would both be named {renaming.new}; nothing is renamed"
            raise ProductError(msg)
        seen.add(new)
        if _exists(new) and new not in old:
            msg = f"{renaming.new} exists; nothing is renamed, give another root (-o)"
            raise ProductError(msg)


def rename(
    renamings: Sequence[Renaming], log: Path, *, how: Transfer = Transfer.MOVE
) -> None:
    """Give files their new names: all of them, or none.

    Parameters
    ----------
    renamings : sequence of Renaming
        As `plan_renaming` returns them.
    log : Path
        Written before the first file is touched; `undo` reads it.  A shell script
        that does the same is written beside it, see `script_name`.
    how : Transfer
        Whether files are moved, copied, or linked to.

    Raises
    ------
    ProductError
        If a file could not be renamed, or the log or the script exists; the others
        have their old names again.
    """
    if how is not Transfer.MOVE:
        _check_copies(renamings)
    script = script_name(log)
    for path in (log, script):
        refuse_existing(path, overwrite=False)
    try:
        with ExitStack() as back:
            back.callback(_forget, renamings, log)
            write_text(log, _log_text(renamings, how, _BEGUN))
            write_text(script, _script_text(renamings, how))
            script.chmod(script.stat().st_mode | 0o111)
            for item in renamings:
                _begin(item, how, back)
            for item in renamings:
                _move(item.between, item.new, back)
            write_text(log, _log_text(renamings, how, _DONE), overwrite=True)
            back.pop_all()
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}; nothing is renamed"
        raise ProductError(msg) from error


def _forget(renamings: Sequence[Renaming], log: Path) -> None:
    """Remove the log of a renaming that was taken back, if really all of it was."""
    if all(_exists(item.old) for item in renamings):
        log.unlink(missing_ok=True)
        script_name(log).unlink(missing_ok=True)


def _check_copies(renamings: Sequence[Renaming]) -> None:
    """Refuse a copy onto a name of the old sequence, whose file stays there."""
    for renaming in renamings:
        if _exists(renaming.new):
            msg = f"{renaming.new} exists; give another root or folder (-o)"
            raise ProductError(msg)


def _begin(item: Renaming, how: Transfer, back: ExitStack) -> None:
    item.new.parent.mkdir(parents=True, exist_ok=True)
    if how is Transfer.MOVE:
        _move(item.old, item.between, back)
        return
    back.callback(item.between.unlink, missing_ok=True)
    if how is Transfer.COPY:
        shutil.copy2(item.old, item.between)
    else:
        item.between.symlink_to(item.old.absolute())


def _move(old: Path, new: Path, back: ExitStack | None = None) -> None:
    """Move a file, and put the way back on the stack."""
    if _exists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    if old.parent.stat().st_dev == new.parent.stat().st_dev:
        old.rename(new)
    else:
        shutil.move(old, new)
    if back is not None:
        back.callback(_move, new, old)


def log_name(renamings: Sequence[Renaming]) -> Path:
    """Return a name for the log that is not taken: ``ROOT.rename.log``."""
    first = renamings[0].new
    root = re.sub(r"\.\d+$", "", _stem(first.name))
    candidates = (f"{root}.rename{n}.log" for n in ("", *map(str, range(2, 10000))))
    paths = (first.with_name(name) for name in candidates)
    return next(path for path in paths if not path.exists())


def _log_text(renamings: Sequence[Renaming], how: Transfer, state: str) -> str:
    lines = [f"{how}\t{state}\n", "old\tnew\n"]
    lines += [
        "\t".join(_quoted(path.absolute()) for path in (item.old, item.new)) + "\n"
        for item in renamings
    ]
    return "".join(lines)


def _quoted(path: Path) -> str:
    text = str(path)
    return '"' + text.replace('"', '""') + '"' if set(text) & set('\t\n\r"') else text


def _script_text(renamings: Sequence[Renaming], how: Transfer) -> str:
    lines = ["#!/bin/sh", "# Undoes a renaming by autoreduce.", "set -eu"]
    if how is Transfer.MOVE:
        lines += [
            "move() {",
            '    [ ! -e "$2" ] || { echo "$2 exists" >&2; exit 1; }',
            '    mv -- "$1" "$2"',
            "}",
        ]
        steps = [(item.new, item.between) for item in renamings]
        steps += [(item.between, item.old) for item in renamings]
        lines += [f"move {_shell(old)} {_shell(new)}" for old, new in steps]
    else:
        lines += [f"rm -- {_shell(item.new)}" for item in renamings]
    return "\n".join(lines) + "\n"


def _shell(path: Path) -> str:
    return shlex.quote(str(path.absolute()))


@dataclass(frozen=True, slots=True)
class Log:
    """What `rename` wrote down before and after its work."""

    how: Transfer
    """How files got their new names."""
    done: bool
    """Whether it came to its end; false after a crash."""
    renamings: tuple[Renaming, ...]
    """The files in their new order."""


def read_log(log: Path) -> Log:
    """Read a log that `rename` wrote.

    Raises
    ------
    InputError
        If the file is not such a log.
    """
    try:
        with log.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            (how, state), _, *rows = csv.reader(file, delimiter="\t")
        renamings = tuple(Renaming(Path(old), Path(new)) for old, new in rows)
        return Log(Transfer(how), state == _DONE, renamings)
    except OSError as error:
        msg = f"{log} cannot be read: {error.strerror}"
        raise InputError(msg) from error
    except (ValueError, csv.Error) as error:
        msg = f"{log} is not a log that autoreduce rename wrote (ROOT.rename.log)"
        raise InputError(msg) from error


def undo(path: Path) -> tuple[Renaming, ...]:
    """Give files their old names back: all of them, or none.

    A renaming that was broken off in the middle, by a crash of the machine, is
    undone as well.  The log and its script are removed at the end.

    Parameters
    ----------
    path : Path
        The log, as `rename` wrote it.

    Returns
    -------
    tuple of Renaming
        What was undone.

    Raises
    ------
    InputError
        If it is not such a log, or one of its files is no longer there.
    ProductError
        If an old name is taken by another file, or a file could not be renamed.
    """
    log = read_log(path)
    if log.how is Transfer.MOVE:
        _move_back(log)
    else:
        _remove_copies(log)
    path.unlink()
    script_name(path).unlink(missing_ok=True)
    return log.renamings


def script_name(log: Path) -> Path:
    """Return the name of the script that belongs to a log."""
    return log.with_name(f"{log.name.removesuffix('.log')}.undo.sh")


def _move_back(log: Log) -> None:
    places = _places(log)
    freed = set(places.values())
    for item, place in places.items():
        if not _exists(place):
            msg = f"{place} is no longer there; nothing is renamed back"
            raise InputError(msg)
        if _exists(item.old) and item.old not in freed:
            msg = f"{item.old} exists; nothing is renamed back"
            raise ProductError(msg)
    try:
        with ExitStack() as back:
            for item, place in places.items():
                if place != item.between:
                    _move(place, item.between, back)
            for item in places:
                _move(item.between, item.old, back)
            back.pop_all()
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}; nothing is renamed back"
        raise ProductError(msg) from error


def _places(log: Log) -> dict[Renaming, Path]:
    """Tell where each file is that still has to move to its old name.

    Files move one after the other, first to the name between and then on.  After a
    crash the names between that exist tell how far it came.
    """
    moving = [i for i, item in enumerate(log.renamings) if _exists(item.between)]
    places = {}
    for i, item in enumerate(log.renamings):
        if i in moving:
            places[item] = item.between
        elif moving:
            # Files in front of the moving ones have come to their end.
            if (i < moving[0]) is not log.done:
                places[item] = item.new
        elif log.done or not _exists(item.old):
            places[item] = item.new
    return places


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _remove_copies(log: Log) -> None:
    for item in log.renamings:
        if not item.old.exists():
            msg = f"{item.old} is no longer there; its {log.how} {item.new} is kept"
            raise InputError(msg)
        if log.how is Transfer.COPY and item.new.exists() and not _same_size(item):
            msg = f"{item.new} was changed since it was copied; nothing is removed"
            raise ProductError(msg)
    for item in log.renamings:
        item.between.unlink(missing_ok=True)
        item.new.unlink(missing_ok=True)


def _same_size(item: Renaming) -> bool:
    return item.old.stat().st_size == item.new.stat().st_size
