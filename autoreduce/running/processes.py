"""Worker processes on this machine.

Finding stars, and arithmetic on the few rows that stay in the cache, let one thread of
an interpreter work at a time: two processes do twice as much as two threads.
"""

import gc
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import connection, parent_process
from threading import Event, Thread
from types import TracebackType
from typing import Self, TypeVar

from autoreduce.calibration.workspace import each_apart, is_ending
from autoreduce.errors import Interrupted
from autoreduce.fits.ahead import Each
from autoreduce.fits.closing import ended
from autoreduce.running.ending import end_workers
from autoreduce.running.machine import give_back, share_one_heap
from autoreduce.running.server import PRELOADED, READING, server_context

_MOST_READERS = 8
"""Processes that read headers: one takes what they have read in, and cannot keep up with
more."""
_FEWEST_BATCHES = 3
"""Batches of files for which processes are started."""
_NOTICED_S = 5.0
"""After how long a pool has noticed that a worker is dead, unless it never will."""
_WAITED_S = 0.2
"""After how long a worker that has nothing to do gives back what its heap keeps."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Worker processes of a run: none until they are started, and none after it."""

    def __init__(self) -> None:
        self._stack, self._n = ExitStack(), 1
        self._pool: Executor | None = None
        self._aside: Executor

    def start(self, n: int) -> Executor:
        """Start so many, in the background."""
        self._n = n
        self._pool = self._stack.enter_context(worker_processes(n))
        self._aside = self._stack.enter_context(ended(ThreadPoolExecutor()))
        return self._pool

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterable[Result]:
        """Call a function for many items, in their order.

        In the processes, if there are any: there it is begun at once, and goes on until
        somebody asks for the results.
        """
        if self._pool is None:
            return map(function, items)
        results = each_apart(self._pool, self._n, function, items)
        return _waited_for(self._aside.submit(list, results))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def _waited_for(results: Future[list[Result]]) -> Iterator[Result]:
    yield from results.result()


@contextmanager
def worker_processes(
    n: int, preloaded: Sequence[str] = PRELOADED
) -> Iterator[Executor]:
    """Lend worker processes.

    They start in the background, and end with this process whatever ends it.

    Parameters
    ----------
    n : int
        How many.
    preloaded : sequence of str
        Modules that they need.

    Yields
    ------
    Executor
        Functions and arguments that it is given, and results, must be picklable.
    """
    context = server_context(preloaded)
    pool = ProcessPoolExecutor(n, context, initializer=_begin)
    with _watched(pool), ended(pool):
        start = Thread(target=_start, args=(pool, n), name="start-workers")
        start.start()
        try:
            yield pool
        except Interrupted:
            is_ending.set()
            pool.shutdown(wait=False, cancel_futures=True)  # which starts none any more
            end_workers()
            raise
        finally:
            start.join()


@contextmanager
def _watched(pool: ProcessPoolExecutor) -> Iterator[None]:
    """Have a pool looked after until it has ended."""
    done = Event()
    watch = Thread(target=_watch, args=(pool, done), name="watch-workers")
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()


@contextmanager
def reading_processes(n: int) -> Iterator[Each]:
    """Lend what calls a function for many batches of files: in processes, if many.

    Parameters
    ----------
    n : int
        Processes, at the most.

    Yields
    ------
    callable
        As `map`; functions, items and results must be picklable.
    """
    n = min(n, _MOST_READERS)
    with ExitStack() as stack:
        pools: list[Executor] = []

        def each(
            function: Callable[[Item], Result], items: Iterable[Item]
        ) -> Iterable[Result]:
            batches = list(items)
            if n < 2 or len(batches) < _FEWEST_BATCHES:
                return map(function, batches)
            if not pools:
                pools.append(stack.enter_context(worker_processes(n, READING)))
            return each_apart(pools[0], n, function, batches)

        yield each


def _start(pool: Executor, n: int) -> None:
    """Have processes started while there is other work to do."""
    # Where none can be started, whoever wants one first learns why.
    with suppress(RuntimeError, OSError, EOFError):
        for _ in range(n):
            pool.submit(os.getpid)


def _watch(pool: ProcessPoolExecutor, done: Event) -> None:
    """Break a pool that does not notice the death of a worker.

    Of one that is killed while it sends a result the pool waits for the rest of that, for
    ever: until nobody is left who could send it.
    """
    before: set[object] = set()
    while not done.wait(_NOTICED_S):
        # A pool that is broken or at its end has none, or lets go of them meanwhile.
        with suppress(AttributeError, OSError, RuntimeError, ValueError):
            sentinels = {one.sentinel: one for one in pool._processes.values()}
            dead: set[object] = {*connection.wait(list(sentinels), 0)}
            if before & dead and not pool._broken and not done.is_set():
                for sentinel in sentinels.keys() - dead:
                    sentinels[sentinel].kill()
                pool._result_queue._writer.close()  # type: ignore[attr-defined]
                return
            before = dead


def _begin() -> None:
    """Leave an interrupt to the process that waits for this one, and end with it."""
    share_one_heap()
    # What is loaded stays: it need not be looked through for what is in circles.
    gc.freeze()
    gc.set_threshold(700, 10, 10)  # as Python has it: what tasks leave may be large
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Wait for the end; meanwhile, keep no memory while there is nothing to do."""
    used, is_clean = time.process_time(), False
    while not connection.wait([sentinel], _WAITED_S):
        before, used = used, time.process_time()
        is_idle = used - before < _WAITED_S / 20
        if is_idle and not is_clean:
            give_back()
            used = time.process_time()  # without what that took
        is_clean = is_idle
    os._exit(1)
