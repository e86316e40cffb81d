"""The process that workers come from, started long before they are wanted.

Loaded in an instant, unlike what a night is reduced with: that is loaded meanwhile.
"""

import math
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = (
    "autoreduce.cli",
    "autoreduce.running.execute",
    "autoreduce.running.making",
    "autoreduce.report.finished",
    "sep",
    "scipy.ndimage",
    "scipy.spatial",
)
"""What every worker of a night needs: loaded once, not by each ..."""
COMBINING = ("autoreduce.cli", "autoreduce.tools.combine")
"""... what one needs that combines images, ..."""
READING = (
    "autoreduce.cli",
    "autoreduce.frames.reading",
    "autoreduce.calibration.kept_samples",
)
"""... and what one needs that reads headers and samples of pixels."""
MANY = 1024
"""Files from which processes repay their start when headers and samples are read."""
LARGE = 50_000_000
"""Pixels of lights from which processes repay their start."""
BYTES_OF_RAW_PIXEL = 2
"""Bytes of a pixel of most raw frames."""


@cache
def server_context(preloaded: Sequence[str] = PRELOADED) -> ForkServerContext:
    """Start the process that workers come from; give what starts them.

    It, and what comes from it, leave an interrupt to this process.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(preloaded))
    with suppress(RuntimeError, OSError, EOFError):
        resource_tracker.ensure_running()  # else it lets interrupts through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def start_for(paths: Iterable[Path], preloaded: Sequence[str] = PRELOADED) -> None:
    """Start it if files and folders hold so much that they may need workers.

    Many bytes do, or many files; of those that are only read (`READING`) many files.
    """
    if server_context.cache_info().currsize:
        return
    left = math.inf if preloaded is READING else LARGE * BYTES_OF_RAW_PIXEL
    for n, file in enumerate(_files(paths), 1):
        if preloaded is not READING:
            with suppress(OSError):
                left -= file.stat().st_size
        if left < 0 or n > MANY:
            server_context(preloaded)
            return


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
        for root, _, files in os.walk(path):
            yield from (Path(root, file) for file in files)
