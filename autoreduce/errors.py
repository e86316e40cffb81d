"""Errors meant for the observer: what was found, what was expected, the way out.

Programmers' mistakes in kernels are `ValueError` and `TypeError`; everything that
an observer can cause, see and mend is one of these.
"""

from collections.abc import Mapping
from typing import ClassVar

from autoreduce.remarks import Remark


class AutoreduceError(Exception):
    """An error whose message is written for the observer."""

    exit_status: ClassVar[int] = 1
    """With which the command ends: 1 failed, 2 wrong usage, 3 folder held."""


class InputError(AutoreduceError):
    """A folder or file that cannot be read as what it should be."""


class TableError(AutoreduceError):
    """A frame table, or an override of one, that does not hold together."""

    exit_status = 2


class SettingsError(AutoreduceError):
    """Rules, a recipe or a dialect table that is not valid."""

    exit_status = 2


class PlanError(AutoreduceError):
    """A plan that cannot be made or carried out."""


class ProductError(AutoreduceError):
    """A product that cannot be made from the frames at hand."""


class FolderHeldError(AutoreduceError):
    """An output folder that another run owns."""

    exit_status = 3


class NoFrameLeftError(ProductError):
    """A combination of which every frame was left out."""

    left_out: Mapping[str, Remark]
    """The frames, each with the reason."""

    def __init__(self, left_out: Mapping[str, Remark]) -> None:
        """Take the frames and their reasons."""
        self.left_out = left_out
        super().__init__(left_out)  # by which it travels between processes

    def __str__(self) -> str:
        """Name the first frames and their reasons."""
        frames = self.left_out.items()
        shown = [f"{file}: {reason}" for file, reason in list(frames)[:3]]
        more = len(frames) - len(shown)
        rest = f"; and {more} more" if more > 0 else ""
        return f"{'; '.join(shown)}{rest}"


class NoStackError(ProductError):
    """Lights that cannot be laid on one another, or should not be."""

    why: Remark
    """The reason."""
    left_out: Mapping[str, Remark]
    """The lights, each with its reason."""

    def __init__(self, why: Remark, left_out: Mapping[str, Remark]) -> None:
        """Take the reason, and those of the lights."""
        self.why, self.left_out = why, left_out
        super().__init__(why, left_out)

    def __str__(self) -> str:
        """Say why."""
        return str(self.why)


class Interrupted(BaseException):
    """A signal that ends the command at once: nobody waits for what is under way."""

    signal: int
    """Its number."""

    def __init__(self, signal: int) -> None:
        """Take its number."""
        self.signal = signal
        super().__init__(signal)
