"""Standard streams that may be closed, full, or read by somebody who stops."""

import os
import sys

_STANDARD = (0, 1, 2)


def open_all() -> None:
    """Open standard streams that are closed: no file of ours shall get their numbers."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 -- as long as the process lasts


def silence_output() -> None:
    """Let what is written to standard output from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def flush() -> int:
    """Write out what is waiting; the exit status if that fails, else 0."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
    except OSError as error:
        silence_output()
        tell_unwritten(error)
        return 1
    return 0


def tell_unwritten(error: OSError) -> None:
    """Say that standard output takes nothing more."""
    why = error.strerror or error
    print(f"Error: standard output could not be written: {why}", file=sys.stderr)  # noqa: T201 -- the terminal is this room's
