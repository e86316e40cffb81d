"""Worker processes on this machine.

Finding stars, and arithmetic on the few rows that stay in the cache, let one thread of
an interpreter work at a time: two processes do twice as much as two threads.
"""

import gc
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver, get_context, parent_process
from threading import Thread

from autoreduce.running.ending import ended
from autoreduce.running.machine import share_one_heap

PRELOADED = ["autoreduce.running.tasks", "sep", "scipy.optimize"]
"""What every worker needs: loaded once, not by each."""


def start_server() -> None:
    """Start the process that workers come from, long before they are wanted.

    What it loads, it loads beside what this process does meanwhile.
    """
    get_context("forkserver").set_forkserver_preload(PRELOADED)
    with suppress(RuntimeError, OSError):
        forkserver.ensure_running()


@contextmanager
def worker_processes(n: int) -> Iterator[Executor]:
    """Lend worker processes.

    They start in the background, and end with this process whatever ends it.

    Parameters
    ----------
    n : int
        How many.

    Yields
    ------
    Executor
        Functions and arguments that it is given, and results, must be picklable.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ended(ProcessPoolExecutor(n, context, initializer=_begin)) as pool:
        start = Thread(target=_start, args=(pool, n), name="start-workers")
        start.start()
        try:
            yield pool
        finally:
            start.join()


def _start(pool: Executor, n: int) -> None:
    """Have processes started while there is other work to do."""
    # Where none can be started, whoever wants one first learns why.
    with suppress(RuntimeError, OSError):
        for _ in range(n):
            pool.submit(os.getpid)


def _begin() -> None:
    """Leave an interrupt to the process that waits for this one, and end with it."""
    share_one_heap()
    # What is loaded stays: it need not be looked through for what is in circles.
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
