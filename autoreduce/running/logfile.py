"""The log of an output folder: what runs did there, one after the other."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from autoreduce.errors import ProductError
from autoreduce.remarks import Remark, remark

LOG = "autoreduce.log"
"""Name of the log in an output folder."""


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the log as long as the disk takes it, and remembers why it does not."""

    why_not: OSError | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.why_not = self.why_not or error


@contextmanager
def log_file(path: Path) -> Iterator[list[Remark]]:
    """Log what autoreduce does to a file, as long as the context lasts.

    A log that stands there is gone on with; a symbolic link is replaced and never
    followed.  A log that cannot be written further costs no product.  Who has set a
    level for the logger ``autoreduce`` has it respected; else it is INFO.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    list of Remark
        When the context has ended, one if the log could not be written.

    Raises
    ------
    ProductError
        If the file cannot be opened.
    """
    told: list[Remark] = []
    try:
        if path.is_symlink():
            path.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.fdopen(os.open(path, flags, 0o666), "w", encoding="utf-8")
    except OSError as error:
        msg = (
            f"{path} cannot be written: {error.strerror or error}; make room for it, "
            "or choose another output folder with -o"
        )
        raise ProductError(msg) from error
    handler = _Handler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("autoreduce")
    level = logger.level
    if level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        try:
            file.close()
        except OSError as error:
            handler.why_not = handler.why_not or error
        if handler.why_not is not None:
            why = handler.why_not.strerror or str(handler.why_not)
            told.append(remark("log-cut", path.name, found=why))
