"""Where tasks work, and what they say of their product."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoreduce.calibration.store import MasterStore
from autoreduce.planning.recipe import Recipe
from autoreduce.remarks import Remark


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a plan is carried out, and within what limits."""

    root: Path
    """Folder that the raw frames' paths are relative to: never written to."""
    folder: Path
    """Output folder."""
    recipe: Recipe
    """How pixels are treated."""
    memory: int
    """Bytes that one task may use for its bands."""
    planes: bool = False
    """Whether UNCERT and MASK are written."""
    threads: int = 1
    """Threads that a task may use for itself."""
    store: MasterStore = field(default_factory=MasterStore, compare=False)
    """Masters that are kept in memory for the lights that use them."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """Digest of the content of each raw frame that is read, as the run found it."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a task says of the product that it made."""

    statistics: Mapping[str, float] = field(default_factory=dict)
    """Numbers that describe the product or the way to it."""
    left_out: Mapping[str, Remark] = field(default_factory=dict)
    """Frames that were left out automatically, each with the reason."""
    remarks: tuple[Remark, ...] = ()
    """What is doubtful of it."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Numbers of each frame that went in: measured columns of the frame table for raw
    ones, of the table of lights for calibrated ones."""
    n_used: int = 0
    """Frames that went in."""
    outputs: tuple[str, ...] = ()
    """What was written, where it is not the task's output alone."""
