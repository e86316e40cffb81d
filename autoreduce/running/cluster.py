"""The same tasks on the machines of a Dask cluster that is there already."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import cast

from autoreduce.errors import PlanError

SECONDS_TO_ANSWER = 10


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """Lend an executor that runs on a Dask cluster.

    Parameters
    ----------
    address : str
        Address of the scheduler, as in ``tcp://10.0.0.1:8786``.  Its workers must see
        the night and the output folder under the same paths, and have autoreduce.

    Yields
    ------
    Executor
        As those of `concurrent.futures`.

    Raises
    ------
    PlanError
        If `distributed` is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        msg = "--scheduler needs Dask: pip install 'autoreduce-ccd[cluster]'"
        raise PlanError(msg) from error
    try:
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = (
            f"no Dask scheduler answers at {address} ({error}); start one with `dask "
            "scheduler` and workers with `dask worker`, or leave --scheduler out"
        )
        raise PlanError(msg) from error
    with client:
        yield cast("Executor", client.get_executor(pure=False))
