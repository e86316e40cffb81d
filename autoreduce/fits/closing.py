"""What holds files, or threads and processes, until a ``with`` block ends."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Self, TypeVar

from autoreduce.errors import Interrupted

Pool = TypeVar("Pool", bound=Executor)


@contextmanager
def ended(pool: Pool) -> Iterator[Pool]:
    """Lend an executor, and end it: a signal does not wait for what is under way."""
    try:
        yield pool
    except Interrupted:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


class Closing(ABC):
    """Something to be used in a ``with`` statement, at the end of which it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of all files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
