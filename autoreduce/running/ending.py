"""How a run ends before it is done: at once, and leaving nothing half-made."""

import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util
from pathlib import Path

from autoreduce.calibration.workspace import is_ending
from autoreduce.errors import Interrupted
from autoreduce.running.folder import clear_parts


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """Clear what killed workers left unfinished, and end workers if a signal ends the run."""
    try:
        yield
    except Interrupted:
        end_workers()
        raise
    finally:
        clear_parts(folder)


def end_workers() -> None:
    """End all worker processes of a run that a signal ends."""
    is_ending.set()
    logging.disable()  # what threads say of killed workers is no news
    for worker in multiprocessing.active_children():
        worker.kill()
    # What Python does at its exit, which a run that is interrupted leaves out: else
    # semaphores are left, and complained about.
    util._exit_function()  # type: ignore[attr-defined]  # has no public name
