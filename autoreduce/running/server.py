"""The process that workers come from, started long before they are wanted.

Loaded in an instant, unlike what a night is reduced with: that is loaded meanwhile.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = (
    "autoreduce.cli",
    "autoreduce.running.tasks",
    "autoreduce.report.finished",
    "sep",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.spatial",
)
"""What every worker of a night needs: loaded once, not by each ..."""
COMBINING = ("autoreduce.cli", "autoreduce.tools.combine")
"""... and what one needs that combines images."""
LARGE = 50_000_000
"""Pixels of lights from which processes repay their start."""
BYTES_OF_RAW_PIXEL = 2
"""Bytes of a pixel of most raw frames."""


@cache
def server_context(preloaded: Sequence[str] = PRELOADED) -> ForkServerContext:
    """Start the process that workers come from; give what starts them."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(preloaded))
    with suppress(RuntimeError, OSError):
        forkserver.ensure_running()
    return context


def start_for(paths: Iterable[Path], preloaded: Sequence[str] = PRELOADED) -> None:
    """Start it if files and folders hold so many bytes that they may need workers."""
    if server_context.cache_info().currsize:
        return
    left = LARGE * BYTES_OF_RAW_PIXEL
    for file in _files(paths):
        with suppress(OSError):
            left -= file.stat().st_size
        if left < 0:
            server_context(preloaded)
            return


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
        for root, _, files in os.walk(path):
            yield from (Path(root, file) for file in files)
