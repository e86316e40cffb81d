"""A plan: the tasks that turn raw frames into products, and their order.

A plan is plain data.  It can be written down, and read by the observer before any
pixel is touched.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from graphlib import CycleError, TopologicalSorter
from operator import attrgetter
from typing import Any

from autoreduce.errors import PlanError
from autoreduce.fits.amplifiers import Amplifier
from autoreduce.fits.jsontext import JsonWriter
from autoreduce.pixels.bayer import is_known, mosaic
from autoreduce.pixels.linearity import Linearity
from autoreduce.planning.recipe import Crosstalk, Recipe
from autoreduce.planning.use import DarkMethod, Use
from autoreduce.remarks import Remark

PLAN_VERSION = 2
"""Version of the JSON form; raised when what stands in it means something else."""

Fact = str | float | int | None


class Action(StrEnum):
    """What a task makes."""

    BIAS = "bias"
    """A master bias from bias frames."""
    DARK = "dark"
    """A master dark from darks (or flat-darks) of one exposure."""
    DARK_FIT = "dark_fit"
    """The fit of dark counts against exposure, from master darks."""
    FLAT = "flat"
    """A master flat from flats."""
    BAD_PIXELS = "bad_pixels"
    """A map of the pixels that the masters of like lights flag."""
    CALIBRATE = "calibrate"
    """One calibrated light."""
    REGISTER = "register"
    """Where each light of an object lies on the others."""
    STACK = "stack"
    """A stack of calibrated lights."""
    EXPOSURE = "exposure"
    """The calibrated lights of all detectors of an exposure, in one file."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is taken out of one raw frame, by which products of the plan."""

    overscan: str | None = None
    """Section whose level is subtracted, FITS text."""
    trim: str | None = None
    """Section that is kept, FITS text."""
    bias: str | None = None
    """Output of the master bias."""
    dark: str | None = None
    """Output of the master dark."""
    dark_method: DarkMethod | None = None
    """How that master is taken to the frame's exposure."""
    dark_scale: float | None = None
    """Factor on the master dark; None until the fit is known."""
    dark_offset: float = 0.0
    """Added to the scaled master dark, ADU; 0 until the fit is known."""
    dark_exptime: float | None = None
    """Exposure of the master dark, s."""
    dark_fit: str | None = None
    """Output of the dark fit (FIT)."""
    dark_unasked: bool = False
    """Whether the dark is taken to a longer exposure though nobody asked for it: only if
    its pixels bear it."""
    flat: str | None = None
    """Output of the master flat."""
    bad_pixels: str | None = None
    """The observer's map of bad pixels: an absolute path."""
    cuts: tuple[tuple[str, str], ...] = ()
    """Masters larger than the frame: output and the section over it, FITS text."""
    overscan_rows: bool = False
    """Whether the overscan of each row is taken by itself."""
    linearity: Linearity | None = None
    """What makes counts above the zero level linear."""

    @property
    def masters(self) -> tuple[str, ...]:
        """Outputs of other tasks that the frame waits for."""
        needed = (self.bias, self.dark, self.dark_fit, self.flat, self.bad_pixels)
        return tuple(output for output in needed if output)


@dataclass(frozen=True, slots=True)
class FrameInput:
    """One raw frame of a task, and how it is calibrated."""

    file: str
    """Path below the plan's root, as in the frame table."""
    calibration: Calibration = field(default_factory=Calibration)
    """What is taken out of it."""
    exptime: float | None = None
    """Exposure, s."""
    date_obs: str | None = None
    """Start of the exposure, ISO 8601 UTC."""
    egain: float | None = None
    """Electrons per ADU."""
    rdnoise: float | None = None
    """Read noise, electron."""
    given: tuple[str, ...] = ()
    """Facts that the observer gave: they hold whatever is measured."""
    saturate: float | None = None
    """Saturation level, ADU."""
    amplifiers: tuple[Amplifier, ...] = ()
    """Amplifiers of the detector; empty for a single one."""
    crosstalk: tuple[Crosstalk, ...] = ()
    """What is taken out of them of each other."""
    ccd_temp: float | None = None
    """Temperature of the sensor, Celsius."""
    pedestal: float | None = None
    """Level that its writer added to all pixels, ADU."""
    turned: bool | None = None
    """Whether its rows are read from the last to the first."""
    ra: float | None = None
    """Right ascension that it was pointed at, deg."""
    dec: float | None = None
    """The same: declination."""
    latitude: float | None = None
    """Latitude of the telescope, deg."""
    longitude: float | None = None
    """The same: longitude, east positive."""
    height: float | None = None
    """Its height above the sea, m."""
    keep: bool = False
    """Never left out automatically: the observer asked for it."""
    gain_flat: str | None = None
    """Output of a master flat that tells the gain of a light which no flat serves."""
    setup: str = ""
    """Like frames that it was matched with; `Verdict.setup`, key of `Plan.uses`."""
    level: int | None = None
    """Worst level among its masters; None if it has none."""

    @property
    def has_overscan(self) -> bool:
        """Whether a level is taken from its overscan."""
        return bool(self.calibration.overscan) or any(
            one.overscan for one in self.amplifiers
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One product, and everything that is needed to make it."""

    output: str
    """Path of the product below the output folder; also names the task."""
    action: Action
    """What is made."""
    group: str
    """Group of frames that it is made from."""
    facts: Mapping[str, Fact]
    """Frame-table columns in which the group agrees: the product's match keys."""
    frames: tuple[FrameInput, ...] = ()
    """Raw frames that go in, in the order in which they are read."""
    products: tuple[str, ...] = ()
    """Outputs of other tasks that go in: lights of a stack, darks of a fit."""
    registration: str | None = None
    """Output that tells where the lights of a stack lie on one another."""
    reference: str | None = None
    """Light that the observer wants the others to be registered on."""
    level: int = 0
    """Worst level among the masters, 0 to 3."""
    missing: tuple[Remark, ...] = ()
    """Steps that are left out for want of a master."""
    doubts: tuple[Remark, ...] = ()
    """What is doubtful of its frames; while it is carried out, also of all products that
    it is made from."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Outputs of other tasks that must come first, each once."""
        # Most frames of a task are calibrated alike.
        plans = {id(item.calibration): item.calibration for item in self.frames}
        masters = [output for plan in plans.values() for output in plan.masters]
        flats = [item.gain_flat for item in self.frames if item.gain_flat]
        told = [self.registration] if self.registration else []
        return tuple(dict.fromkeys([*masters, *self.products, *flats, *told]))

    @property
    def is_mosaic(self) -> bool:
        """Whether its pixels lie under a colour filter array."""
        return self.facts.get("bayerpat") is not None

    @property
    def has_known_colours(self) -> bool:
        """Whether it is no mosaic, or one whose colours can be told apart."""
        return not self.is_mosaic or is_known(mosaic(str(self.facts["bayerpat"])))

    @property
    def is_spectrum(self) -> bool:
        """Whether its pixels lie behind a grating: it is no picture of stars."""
        return shows_spectrum(self.facts)


def shows_spectrum(facts: Mapping[str, Any]) -> bool:
    """Tell whether a light of these facts is a spectrum: no picture of stars.

    Cameras are binned unlike along rows and columns behind a slit only.
    """
    binning = facts.get("xbinning"), facts.get("ybinning")
    uneven = None not in binning and binning[0] != binning[1]
    return uneven or facts.get("disperser") is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one candidate was, or was not, chosen for one group."""

    setup: str
    """Like frames that need a master; `FrameInput.setup`."""
    need: str
    """``bias``, ``dark`` or ``flat``."""
    candidate: str
    """Output of the candidate master."""
    chosen: bool
    """Whether it was taken."""
    level: int | None
    """Level at which it is eligible; None if it is not."""
    criterion: str = ""
    """First criterion that failed, or what decided between eligible ones."""
    wanted: str = ""
    """The group's value."""
    found: str = ""
    """The candidate's value."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Tasks whose outputs differ and whose inputs the plan makes, or a library holds."""

    root: str
    """Folder that the frames' paths are relative to."""
    recipe: Recipe
    """How pixels are treated."""
    tasks: tuple[Task, ...]
    """What is made."""
    uses: Mapping[str, Mapping[str, Use]] = field(default_factory=dict)
    """How each need of each setup is served."""
    verdicts: tuple[Verdict, ...] = ()
    """Why each candidate was, or was not, chosen."""
    notes: tuple[Remark, ...] = ()
    """What the observer should know of the night as a whole."""
    external: tuple[str, ...] = ()
    """Masters that are used and not made: absolute paths, which stand for them
    wherever the output of a task would."""

    def __post_init__(self) -> None:
        counts = Counter(task.output for task in self.tasks)
        if twice := sorted(output for output, n in counts.items() if n > 1):
            msg = f"more than one task makes {', '.join(twice)}"
            raise PlanError(msg)
        made = {*counts, *self.external}
        needs = self._needs()
        for output, needed in needs.items():
            if unmade := needed - made:
                msg = f"{output} needs {min(unmade)}, which no task makes"
                raise PlanError(msg)
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            msg = f"tasks wait for each other: {' <- '.join(error.args[1])}"
            raise PlanError(msg) from error

    def __repr__(self) -> str:
        return f"<Plan of {self.root}: {len(self.tasks)} products, {len(self.notes)} notes>"

    def sorter(self) -> TopologicalSorter[str]:
        """Sort the outputs, masters before their users.

        Returns
        -------
        TopologicalSorter of str
            A fresh one.
        """
        return TopologicalSorter(self._needs())

    def _needs(self) -> dict[str, set[str]]:
        """List what each output needs of other tasks."""
        external = set(self.external)
        return {task.output: set(task.needs) - external for task in self.tasks}

    def task(self, output: str) -> Task:
        """Find the task that makes a product.

        Parameters
        ----------
        output : str
            Path of the product below the output folder.

        Returns
        -------
        Task
            The task.

        Raises
        ------
        PlanError
            If no task makes it.
        """
        for task in self.tasks:
            if task.output == output:
                return task
        msg = f"no task of the plan makes {output}"
        raise PlanError(msg)

    def to_json(self) -> str:
        """Write the plan down.

        Returns
        -------
        str
            JSON, as ``plan.json`` has it before a run.
        """
        return "".join(self.json_pieces())

    def json_pieces(self, **more: object) -> Iterator[str]:
        """Write the plan down, piece by piece.

        Parameters
        ----------
        **more : object
            What stands beside its fields.

        Returns
        -------
        iterator of str
            JSON.
        """
        content = {"version": PLAN_VERSION, **_fields(self), **more}
        return JsonWriter(_fields).pieces(content)

    def reason(self, item: FrameInput) -> str:
        """Write a short sentence for each master of a frame, or for the lack of it.

        Parameters
        ----------
        item : FrameInput
            A frame of the plan.

        Returns
        -------
        str
            The sentences, joined by semicolons; empty if it needs no master.
        """
        uses = self.uses.get(item.setup, {}).values()
        return "; ".join(words for use in uses if (words := str(use)))


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 -- any of the plan's classes
    """Take a dataclass apart, one level deep: `asdict` copies all below it."""
    if isinstance(value, Remark):
        return value.to_dict()
    names, values_of = _names(value.__class__)
    return dict(zip(names, values_of(value), strict=True))


@cache
def _names(kind: type) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """List the fields of a dataclass, and give what takes their values out."""
    names = tuple(item.name for item in fields(kind))
    if len(names) == 1:
        return names, lambda value: (getattr(value, names[0]),)
    return names, attrgetter(*names)
