"""What a report is made from: the night's tables, its plan, and what came of it.

Plain values.  Nothing here reads a file or knows how a report looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from autoreduce.planning.plan import Plan
from autoreduce.remarks import Remark

if TYPE_CHECKING:
    import pandas as pd

    from autoreduce.report.pictures import Small


class Outcome(Protocol):
    """How a task ended, as the report needs to know it."""

    @property
    def status(self) -> str:
        """``done``, ``current`` (nothing to do), ``failed`` or ``blocked``."""

    @property
    def made(self) -> bool:
        """Whether the product is there."""

    @property
    def reason(self) -> str:
        """Why it failed, or what is doubtful of it, in words."""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Why it failed, or what the observer should know of the product."""

    @property
    def left_out(self) -> Mapping[str, Remark]:
        """Frames that the run itself left out, and why."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What was written, where it is not the task's output alone."""

    @property
    def seconds(self) -> float:
        """How long the task took, s."""

    @property
    def statistics(self) -> Mapping[str, float]:
        """Numbers that describe the product.

        Of a light also ``dark_scale`` and ``dark_offset``: scale * dark + offset.
        """

    @property
    def measured(self) -> Mapping[str, Mapping[str, float]]:
        """What was measured of each raw frame, by its file.

        Also ``dark_scale`` and ``dark_offset``, where a master dark was taken to the
        frame's exposure.
        """


@dataclass(frozen=True, slots=True)
class ObjectPicture:
    """The picture of an object, in the output folder."""

    name: str
    """The object."""
    output: str
    """Where it stands, below the output folder."""
    caption: str
    """What it is made of."""
    why_not: str = ""
    """Why there is none."""
    doubts: tuple[str, ...] = ()
    """What is doubtful of the images that it is made of."""
    small: "Small | None" = None
    """How the page shows it; None if there is none."""


@dataclass(frozen=True, slots=True)
class NightReport:
    """One run over one night, ready to be told."""

    frames: "pd.DataFrame"
    """Frame table with the plan's and the measured columns."""
    plan: Plan
    """What was to be made, and why so."""
    outcomes: Mapping[str, Outcome]
    """How each task ended, by the task's output."""
    unreadable: "pd.DataFrame"
    """Files that could not be taken into the frame table: file, reason."""
    fits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Dark fits by output, as their JSON products hold them: ``points`` (each with
    ``exptime`` s, ``counts`` and ``error`` ADU), ``offset``, ``slope``,
    ``offset_error``, ``slope_error``, ``covariance``, ``chi_square``, ``linear``."""
    lights: "pd.DataFrame | None" = None
    """The calibrated lights, as ``lights.csv`` holds them."""
    pictures: tuple[ObjectPicture, ...] = ()
    """Pictures of the objects."""
    evidence: "pd.DataFrame | None" = None
    """Which keyword gave each fact, and which others say otherwise."""
    title: str = ""
    """Heading; empty: made from the dates of the night."""
    version: str = ""
    """Version of autoreduce."""
    command: str = ""
    """Command line that made the run; empty if there was none."""
    elapsed_s: float | None = None
    """Duration of the run, s."""

    def __repr__(self) -> str:
        n_frames, n_made = len(self.frames), len(self.outcomes)
        return f"<NightReport of {n_frames} frames, {n_made} outcomes>"
