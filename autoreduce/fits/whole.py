"""Text files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from autoreduce.errors import ProductError


def _ask_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = _ask_umask()
"""Mode bits that new files do not get; asked for once, while there is one thread."""


def write_text(path: Path, text: str) -> None:
    """Write a text file to a temporary name and move it into place.

    Parameters
    ----------
    path : Path
        Where to; its folder is made if need be, a file there is replaced.
    text : str
        Content, written as UTF-8.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise ProductError(msg) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o666 & ~UMASK)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        msg = f"{path} could not be written: {error.strerror}"
        raise ProductError(msg) from error
