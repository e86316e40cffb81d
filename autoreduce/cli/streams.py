"""Standard streams that may be closed, full, or read by somebody who stops."""

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES = ("standard input", "standard output", "standard error")


class _Output(io.FileIO):
    """Output that fails once, by its name: what follows goes nowhere.

    If its reader has gone it does not fail: work does not end with it.
    """

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            _silence(self.fileno())
            return memoryview(data).nbytes
        except OSError as error:
            _silence(self.fileno())
            error.filename = _NAMES[self.fileno()]
            raise


def open_all() -> None:
    """Make standard streams ready: closed ones, too, and those whose reader stops.

    No file of ours shall get the number of a closed one.  Names of files that are not
    in the stream's encoding are written as the bytes that they are.
    """
    for number in range(len(_NAMES)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 -- as long as the process lasts
        elif stream is getattr(sys, f"__{name}__"):
            wrapped = io.TextIOWrapper(
                io.BufferedWriter(_Output(number, "w", closefd=False)),
                encoding=stream.encoding,
                errors="surrogateescape"
                if stream.errors == "strict"
                else stream.errors,
                line_buffering=stream.line_buffering,
            )
            setattr(sys, name, wrapped)


def _silence(number: int) -> None:
    """Let what is written to a standard stream from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def told(error: OSError) -> str:
    """Say what the operating system refused, without the number of the error."""
    # Products and streams name themselves: what has no name is unpacked for a while.
    name = error.filename or "a temporary file could not be written"
    return f"{name}: {error.strerror or error}"


def flush() -> int:
    """Write out what is waiting; the exit status if that fails, else 0."""
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"Error: {told(error)}", file=sys.stderr)  # noqa: T201 -- the terminal is this room's
        return 1
    return 0
