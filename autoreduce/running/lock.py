"""One run owns an output folder: a lock that ends with the process that holds it."""

import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from autoreduce.errors import FolderHeldError, InputError, ProductError

log = logging.getLogger(__name__)

LOCK = ".autoreduce.lock"
"""Name of the lock in an output folder."""
ASK_AGAIN_S = 0.5
"""How often a run that waits asks again."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}
"""What a file system answers that knows no locks."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that owns a folder."""

    process: int
    """Its number."""
    host: str
    """The machine that it runs on."""
    start: str
    """When it took the folder, ISO 8601 UTC."""

    @classmethod
    def this(cls) -> "Holder":
        """Describe the process that asks."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), now)

    def is_alive(self) -> bool:
        """Tell whether it may still run: a process of another host always may."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return self.process != os.getpid()

    def __str__(self) -> str:
        """Name it as an observer looks for it."""
        return f"process {self.process} on {self.host}, since {self.start}"


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Own an output folder as long as the context lasts.

    The operating system keeps the lock and frees it when the process ends, however
    that happens: a lock of a dead process holds nobody up.  The file only tells who
    has it, or had it and died; a refusal (`InputError`) is no such end.  Where the file
    system knows no locks, what the file tells decides.

    Parameters
    ----------
    folder : Path
        Output folder; it exists.
    wait : bool
        Whether to wait until the folder is free.

    Raises
    ------
    FolderHeldError
        If another run owns it, and is not waited for.
    ProductError
        If the folder cannot be written to.
    """
    path, told = folder / LOCK, False
    while True:
        file = _open(path)
        try:
            if _is_taken(file, path):
                _tell(file)
                yield
                file.truncate(0)
                return
            holder = _holder(file)
        except InputError:
            file.truncate(0)
            raise
        finally:
            file.close()
        if not wait:
            raise FolderHeldError(_refusal(folder, holder))
        if not told:
            who = holder or "another run"
            log.warning("%s is held by %s: waiting until it has ended", folder, who)
            told = True
        time.sleep(ASK_AGAIN_S)


def holder_of(folder: Path) -> Holder | None:
    """Tell which run holds a folder, or ended before it was done; None if none."""
    try:
        with (folder / LOCK).open(encoding="utf-8") as file:
            return _holder(file)
    except OSError:
        return None


def _open(path: Path) -> IO[str]:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.fdopen(os.open(path, flags, 0o666), "r+", encoding="utf-8")
    except OSError as error:
        msg = (
            f"the output folder {path.parent} cannot be written to: {error.strerror}; "
            "allow it, or reduce the night to another one with -o"
        )
        raise ProductError(msg) from error


def _is_taken(file: IO[str], path: Path) -> bool:
    """Try to take the lock, and make sure that it is the one that others see."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        holder = _holder(file)
        return holder is None or not holder.is_alive()
    return path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino


def _tell(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    json.dump(asdict(Holder.this()), file)
    file.flush()


def _holder(file: IO[str]) -> Holder | None:
    """Read who holds the lock; None if nobody does, or it is just being taken."""
    file.seek(0)
    try:
        return Holder(**json.loads(file.read()))
    except (ValueError, TypeError):
        return None


def _refusal(folder: Path, holder: Holder | None) -> str:
    who = "another run" if holder is None else str(holder)
    return (
        f"{folder} is held by {who}: try again when it has ended; `autoreduce NIGHT` "
        "waits for that with --wait, or writes into another folder with -o"
    )
