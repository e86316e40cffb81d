"""Files that appear whole or not at all."""

import errno
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoreduce.errors import ProductError

PART = ".part"
"""Ending of the name that a file has until it is whole."""


def _ask_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = _ask_umask()
"""Mode bits that new files do not get; asked for once, while there is one thread."""


_PART_NAME = re.compile(rf"\..+\.\w{{8}}{re.escape(PART)}(\.\w+){{0,2}}")


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Lend a name beside `path`; what is written there becomes `path` at the end.

    Parameters
    ----------
    path : Path
        Where the file shall stand; its folder is made if need be.  A file there is
        replaced, and its mode kept; a symbolic link is replaced and never followed.
    lasting : bool
        Whether it is on the disk before it has its name, and its name before the block
        ends, so that a loss of power leaves no empty file; what can be done without
        need not wait for that.

    Yields
    ------
    Path
        An empty file ``.NAME.xxxx.part`` with the same suffix behind it.  If the block
        fails it is removed, and `path` is what it was.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    part = _new_part(path)
    try:
        yield part
        part.chmod(_mode(path))
        if lasting:
            sync(part)
        part.replace(path)
        if lasting:
            sync(path.parent)
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parts_in(folder: Path) -> list[Path]:
    """Find the files in a folder that were never finished, by their names."""
    return [path for path in folder.iterdir() if _PART_NAME.fullmatch(path.name)]


def unwritten(path: Path, error: OSError) -> ProductError:
    """Say that a file could not be written, why, and the way out."""
    if error.errno == errno.EILSEQ:
        return ProductError(
            f"{path} could not be written: its file system takes no names in UTF-8; "
            "choose a place on another one"
        )
    return ProductError(
        f"{path} could not be written: {error.strerror or error}; nothing is left of "
        "it: free some space or make its folder writable, or choose another place"
    )


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a text file, whole or piece by piece, as UTF-8.

    Line ends are left as they are; errors as in `replacing`.
    """
    pieces = [text] if isinstance(text, str) else text
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def write_bytes(path: Path, content: Iterable[bytes], *, lasting: bool = True) -> None:
    """Write a file piece by piece; errors as in `replacing`."""
    with replacing(path, lasting=lasting) as part, part.open("wb") as file:
        file.writelines(content)


def _new_part(path: Path) -> Path:
    ending = PART + "".join(path.suffixes[-2:])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(ending, f".{path.name}.", path.parent)
    except OSError as error:
        if error.errno == errno.EILSEQ:
            raise unwritten(path, error) from error
        msg = f"{path} cannot be written: {error.strerror}; choose another place"
        raise ProductError(msg) from error
    os.close(handle)
    return Path(name)


def _mode(path: Path) -> int:
    """Keep the mode of a file that is replaced; a new one has what the umask leaves."""
    if path.is_file() and not path.is_symlink():
        return path.stat().st_mode & 0o7777
    return 0o666 & ~UMASK
