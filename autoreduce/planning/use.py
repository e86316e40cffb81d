"""How one master serves like frames, or the lack of it, as a value.

Everything that carries out a plan reads this, so it needs no pandas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import PurePath, PurePosixPath

from autoreduce.planning.phrases import apart_text, number_text, spoken
from autoreduce.remarks import Remark

NEEDS = ("bias", "dark", "flat")
"""The masters that a frame may need, in the order in which they are taken out."""

BY_HAND = "chosen by hand"
"""Criterion of a verdict that is the observer's."""

NONE = "none"
"""Word in a cell of the frame table for: without this master."""


class DarkMethod(StrEnum):
    """How a master dark serves an exposure."""

    EXACT = "exact"
    """The master has the frame's exposure."""
    FIT = "fit"
    """The master is taken to the frame's exposure by the night's dark fit."""
    SCALED = "scaled"
    """The master is scaled by the ratio of the exposures."""


@dataclass(frozen=True, slots=True)
class Use:
    """How one master serves like frames, or why none does."""

    need: str
    """One of `NEEDS`."""
    output: str | None = None
    """Output of the master; None if there is none."""
    level: int | None = None
    """Level on the ladder, 0 (best) to 3; None without a master."""
    method: DarkMethod | None = None
    """How a dark is taken to the exposure."""
    scale: float | None = 1.0
    """Factor on a dark; None until its fit is known."""
    exptime: float | None = None
    """Exposure of a dark, s."""
    wanted: float | None = None
    """Exposure that a dark is taken to, s."""
    fit: str | None = None
    """Output of the fit that a dark is taken to the exposure by."""
    unasked: bool = False
    """Whether a dark is taken to a longer exposure though nobody asked for it: only if
    its pixels bear it."""
    keeps_bias: bool = False
    """Whether a dark holds its bias."""
    cut: str | None = None
    """Section of a larger master that lies over the frames."""
    by_hand: bool = False
    """Whether the observer chose it, or chose to go without."""
    same_night: bool = False
    """Whether it is of the frames' night."""
    days: float | None = None
    """How far it is in time; None if that is unknown, or does not matter."""
    warmer: float | None = None
    """By how much it is warmer than the frames, Celsius; None if that is unknown, or does
    not matter."""
    unconfirmed: tuple[str, ...] = ()
    """Facts that should agree and that the master leaves unsaid, or only nearly."""
    from_library: bool = False
    """Whether it stands in a library."""
    held_by: str | None = None
    """Output of the dark that holds the bias, which therefore is not taken out."""
    lack: Remark | None = None
    """Why a step is left out for want of a master; None if none is."""

    def __str__(self) -> str:
        """Say in a short sentence which master serves, and how well it fits."""
        if self.output is None:
            return self._without()
        head = " ".join(part for part in (self.need, self.name, self.how) if part)
        return ", ".join((head, *self.fit_words))

    @property
    def fit_words(self) -> tuple[str, ...]:
        """Say how well the master fits: when it was taken, what is not confirmed."""
        parts = []
        if self.by_hand:
            parts.append(BY_HAND)
        elif self.same_night:
            parts.append("same night")
        else:
            parts.append(apart_text(float("nan") if self.days is None else self.days))
        if self.warmer is not None:
            side = "warmer" if self.warmer > 0 else "colder"
            parts.append(f"{abs(self.warmer):.1f} degC {side}")
        if self.cut:
            parts.append(f"cut to {self.cut}")
        if self.unconfirmed:
            parts.append(f"{' and '.join(map(spoken, self.unconfirmed))} not confirmed")
        if self.from_library:
            parts.append("from the library")
        return tuple(parts)

    def _without(self) -> str:
        if self.by_hand:
            return f"{self.need} {NONE}, {BY_HAND}"
        if self.held_by is not None:
            return f"no {self.need}, as dark {stem(self.held_by)} holds it"
        return "" if self.lack is None else str(self.lack)

    @property
    def name(self) -> str:
        """Name of the master; empty without one."""
        return "" if self.output is None else stem(self.output)

    @property
    def how(self) -> str:
        """How a dark is taken to the exposure; empty if it serves as it is."""
        if self.method is DarkMethod.FIT:
            return f"fitted to {number_text('exptime', self.wanted)}"
        if self.method is DarkMethod.SCALED:
            return f"scaled by {self.scale:.4g}"
        return ""


Uses = dict[str, dict[int, Use]]
"""How each need of each setup that has it is served."""


@lru_cache(maxsize=4096)
def stem(cell: str) -> str:
    """Return the name of a master from its path or name."""
    name = PurePosixPath(cell.strip()).name.removesuffix(".fits")
    return NONE if name.lower() == NONE else name


@lru_cache(maxsize=1024)
def is_absolute(cell: str) -> bool:
    """Tell whether a cell is the path of a master that stands in a library."""
    return PurePath(cell.strip()).is_absolute()


PLANNED = "|"
"""What stands between the masters in the column ``planned``."""


def planned_text(uses: Mapping[str, Use]) -> str:
    """Write down which masters the plan itself chose: ``bias=masters/b.fits|...``."""
    own = (use for use in uses.values() if use.output and not use.by_hand)
    return PLANNED.join(f"{use.need}={use.output}" for use in own)


def is_planned(need: str, cell: str, planned: str) -> bool:
    """Tell whether a cell holds what the plan itself wrote into it."""
    return f"{need}={cell.strip()}" in planned.split(PLANNED)
