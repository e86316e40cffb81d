"""What holds files open until a ``with`` block ends."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Something to be used in a ``with`` statement, at the end of which it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of all files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
