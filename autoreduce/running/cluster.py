"""The same tasks on the machines of a Dask cluster that is there already."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from autoreduce.errors import PlanError
from autoreduce.running.machine import free_memory

PATIENCE_S = 30.0
"""How long a cluster may be without scheduler or workers."""
PAUSED = "paused"
"""Status of a worker that begins nothing until some of its memory is free."""
CLOSING_S = 2.0
"""How long it may take to take leave of a cluster."""


@dataclass(slots=True)
class Watch:
    """Looks after a cluster while nothing comes back from it."""

    client: Any
    """Client of the cluster."""
    address: str
    """Address of its scheduler."""
    patience_s: float
    """How long it may have no worker that works."""
    _sound: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Make sure that somebody works.

        Raises
        ------
        PlanError
            If there was no scheduler, or no worker that works, for too long.
        """
        is_there = self.client.status == "running"
        workers = self._workers() if is_there else []
        if not all(map(_is_stuck, workers)):
            self._sound = time.monotonic()
        elif time.monotonic() - self._sound > self.patience_s:
            what = "no worker" if is_there else "no scheduler"
            if workers:
                what = (
                    "all workers pause, since the memory that they were started with is "
                    "full; give them more by --memory-limit of dask worker"
                )
            raise _lost(self.address, f"{what} for {self.patience_s:g} s")

    def _workers(self) -> Collection[Mapping[str, Any]]:
        try:
            told = self.client.scheduler_info(n_workers=-1)
        except TypeError:  # older versions of Dask tell of all anyway
            told = self.client.scheduler_info()
        workers: Mapping[str, Mapping[str, Any]] = told["workers"]
        return workers.values()


def _is_stuck(worker: Mapping[str, Any]) -> bool:
    """Tell whether a worker pauses, and carries nothing out that may free its memory."""
    counts = worker.get("metrics", {}).get("task_counts", {})
    return worker.get("status") == PAUSED and not counts.get("executing")


@contextmanager
def cluster_executor(
    address: str, patience_s: float = PATIENCE_S
) -> Iterator[tuple[Executor, Watch]]:
    """Lend an executor that runs on a Dask cluster.

    Parameters
    ----------
    address : str
        Address of the scheduler, as in ``tcp://10.0.0.1:8786``.  Its workers must see
        the night and the output folder under the same paths, and have autoreduce.
    patience_s : float
        Seconds that it may take to answer, and be without workers.

    Yields
    ------
    Executor
        As those of `concurrent.futures`.
    Watch
        To be asked to `look` every few seconds.

    Raises
    ------
    PlanError
        If `distributed` is not installed, no scheduler answers, or the cluster is lost.
    """
    try:
        from distributed import Client
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        msg = "--scheduler needs Dask: pip install 'autoreduce-ccd[cluster]'"
        raise PlanError(msg) from error
    try:
        client = Client(address, timeout=patience_s, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        msg = (
            f"no Dask scheduler answers at {address} ({error}); start one with `dask "
            "scheduler` and workers with `dask worker`, or leave --scheduler out"
        )
        raise PlanError(msg) from error
    try:
        executor = cast("Executor", client.get_executor(pure=False))
        yield executor, Watch(client, address, patience_s)
    except CancelledError as error:
        raise _lost(address, "its scheduler does not answer any more") from error
    except (CommClosedError, KilledWorker) as error:
        raise _lost(address, str(error)) from error
    finally:
        with _silenced("distributed.client"):
            client.close(timeout=CLOSING_S)


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Keep a logger silent: what it would tell has been told in words of ours."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class WorkerBounds(NamedTuple):
    """What the tasks of one worker may use together."""

    memory: int
    """Bytes for pixels."""
    threads: int
    """Tasks that it carries out at a time."""


def worker_bounds(memory: int | None) -> WorkerBounds:
    """Tell, on a worker, what it may use.

    Parameters
    ----------
    memory : int or None
        Bytes that the observer gives each worker; if None, half of the limit that the
        worker was started with, or of what is free on its machine if it has none.
    """
    from distributed import get_worker

    worker = get_worker()
    limit = worker.memory_manager.memory_limit
    return WorkerBounds(memory or (limit or free_memory()) // 2, worker.state.nthreads)


def _lost(address: str, why: str) -> PlanError:
    return PlanError(
        f"the Dask cluster at {address} is lost ({why}): start it again and run the "
        "same command, which goes on from here; --scheduler-timeout gives it more time"
    )
