"""The process that workers come from, started long before they are wanted.

Loaded in an instant, unlike what a night is reduced with: that is loaded meanwhile.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = [
    "autoreduce.running.tasks",
    "autoreduce.report.finished",
    "sep",
    "scipy.optimize",
    "scipy.spatial",
]
"""What every worker needs: loaded once, not by each."""
LARGE = 50_000_000
"""Pixels of lights from which processes repay their start."""
BYTES_OF_RAW_PIXEL = 2
"""Bytes of a pixel of most raw frames."""


@cache
def server_context() -> ForkServerContext:
    """Start the process that workers come from; give what starts them."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with suppress(RuntimeError, OSError):
        forkserver.ensure_running()
    return context


def start_for(folders: Iterable[Path]) -> None:
    """Start it if folders hold so many bytes that they may need workers."""
    if server_context.cache_info().currsize:
        return
    left = LARGE * BYTES_OF_RAW_PIXEL
    for folder in folders:
        for root, _, files in os.walk(folder):
            for file in files:
                with suppress(OSError):
                    left -= Path(root, file).stat().st_size
                if left < 0:
                    server_context()
                    return
