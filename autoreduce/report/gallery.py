"""The pictures of a report: which products, how large, and what stands beside them."""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autoreduce.planning.plan import Action, Task
from autoreduce.report.colours import filter_colour
from autoreduce.report.content import NightReport, ObjectPicture, Outcome
from autoreduce.report.pictures import (
    Picture,
    Stretch,
    Wanted,
    drawn,
    jpeg,
    read_png,
)
from autoreduce.report.plots import histogram
from autoreduce.report.summary import is_there, product_nouns
from autoreduce.report.words import TIMES, number

T = TypeVar("T")

Drawn = tuple[Picture | None, str]
"""A picture, or why there is none."""
EachPicture = Callable[
    [Callable[[Wanted | None], Drawn], Iterable[Wanted | None]], Iterable[Drawn]
]

TOTAL_PIXELS = 5_000_000
"""Pixels of all pictures together, about: a fifth of a byte each in the page."""
LARGEST = 800
"""Width or height of the picture of a stack, at most."""

LIGHTS_SHOWN = 200
"""Calibrated lights that are shown; of more, so many evenly over the night."""

_SHARES = {
    Action.STACK: 1.0,
    Action.BIAS: 0.4,
    Action.DARK: 0.4,
    Action.FLAT: 0.4,
    Action.CALIBRATE: 0.2,
}
"""Widths of pictures, relative to that of a stack."""

_FRACTIONS = {"rejected", "masked", "saturated", "unclean"}
"""Statistics that are fractions of all samples or pixels."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One product, with its picture or the reason why there is none."""

    output: str
    """Path below the output folder."""
    name: str
    """File name without its ending."""
    title: str
    """Object and filter of lights and stacks; empty for masters."""
    colour: str
    """Colour of the filter; empty where there is none."""
    source: str
    """The picture as a data URI; empty if there is none."""
    full: str
    """Path of the picture in full size below the output folder; empty if none is there."""
    crop: str
    """Its middle pixel by pixel, as a data URI; empty if that is not shown."""
    size: tuple[int, int]
    """Width and height of the picture, pixels."""
    alt: str
    """What the picture shows, for those who do not see it."""
    facts: tuple[str, ...]
    """What went in, and the size of the image."""
    statistics: tuple[tuple[str, str], ...]
    """Names and values."""
    histogram: str
    """The histogram as SVG."""
    remarks: tuple[str, ...]
    """Caveats, or why there is no picture."""
    noise: float = math.nan
    """Noise of a stack, pixel to pixel, ADU."""


def exhibits(
    report: NightReport, folder: Path, each: EachPicture = map
) -> dict[Action, list[Exhibit]]:
    """Make the pictures of masters, calibrated lights and stacks.

    Parameters
    ----------
    report : NightReport
        The report.
    folder : Path
        Output folder, where the products are.
    each : callable
        As `map`, by which pictures are drawn side by side.

    Returns
    -------
    dict of Action to list of Exhibit
        In the order of the plan, at most `LIGHTS_SHOWN` lights.  A product that is
        not there, or cannot be read, has no picture but says why.
    """
    lights = [t for t in report.plan.tasks if t.action is Action.CALIBRATE]
    kept = {task.output for task in evenly(lights, LIGHTS_SHOWN)}
    tasks = [
        task
        for task in report.plan.tasks
        if task.action in _SHARES
        and (task.output in kept or task.action is not Action.CALIBRATE)
    ]
    largest = picture_size([task.action for task in tasks])
    shown: dict[Action, list[Exhibit]] = {action: [] for action in _SHARES}
    outputs = [
        (task, output)
        for task in (tasks if report.outcomes else ())
        for output in _outputs(report.outcomes.get(task.output), task)
    ]
    wanted = [
        _wanted(folder / output, task.action, largest)
        if is_there(report, task.output)
        else None
        for task, output in outputs
    ]
    pictures = each(drawn, wanted)
    for (task, output), picture in zip(outputs, pictures, strict=True):
        shown[task.action].append(_exhibit(report, task, output, *picture))
    return shown


def _wanted(path: Path, action: Action, largest: int) -> Wanted:
    """Say how the picture of a product is made."""
    faint = action in (Action.CALIBRATE, Action.STACK)
    size = max(64, round(largest * _SHARES[action]))
    stretch = Stretch.FAINT if faint else Stretch.LINEAR
    return Wanted(path, size, stretch, action is Action.STACK)


def _outputs(outcome: Outcome | None, task: Task) -> tuple[str, ...]:
    """Name the products of a task."""
    return (outcome.outputs if outcome else ()) or (task.output,)


def picture_exhibits(report: NightReport, folder: Path) -> list[Exhibit]:
    """Make small versions of the pictures of objects."""
    return [_object_exhibit(picture, folder) for picture in report.pictures]


def _object_exhibit(picture: ObjectPicture, folder: Path) -> Exhibit:
    pixels, crop, shape, why = None, None, (0, 0), picture.why_not
    if not why:
        try:
            pixels, crop, shape = read_png(folder / picture.output, LARGEST)
        except OSError as error:
            why = f"no picture: {error}"
    size = f"{shape[1]}{TIMES}{shape[0]}"
    return Exhibit(
        output=picture.output,
        name=Path(picture.output).name,
        title=picture.name,
        colour="",
        source="" if pixels is None else data_uri(jpeg(pixels)),
        full="" if pixels is None else picture.output,
        crop="" if crop is None or max(shape) <= LARGEST else data_uri(jpeg(crop)),
        size=(4, 3) if pixels is None else (pixels.shape[1], pixels.shape[0]),
        alt=f"picture of {picture.name}",
        facts=(picture.caption,) if pixels is None else (picture.caption, size),
        statistics=(),
        histogram="",
        remarks=(*((why,) if why else ()), *picture.doubts),
    )


def evenly(items: Sequence[T], n: int) -> Sequence[T]:
    """Take `n` items at even distances, first and last among them; all, if fewer."""
    if len(items) <= n:
        return items
    return [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)]


def picture_size(actions: list[Action]) -> int:
    """Choose the size of the largest pictures so that all fit into one page.

    Parameters
    ----------
    actions : list of Action
        One for each picture.

    Returns
    -------
    int
        Width or height of the picture of a stack; `LARGEST` for few pictures.
    """
    shares = sum(_SHARES[action] ** 2 for action in actions)
    return min(LARGEST, int(math.sqrt(TOTAL_PIXELS / max(shares, 1e-9))))


def _exhibit(
    report: NightReport, task: Task, output: str, picture: Picture | None, why: str
) -> Exhibit:
    outcome = report.outcomes.get(task.output)
    why = why if outcome else "not made in this run"
    stem, through = Path(output).stem, str(task.facts.get("filter") or "")
    exposed = task.action in (Action.FLAT, Action.CALIBRATE, Action.STACK)
    numbers = {
        **(picture.statistics if picture else {}),
        **(outcome.statistics if outcome else {}),
    }
    return Exhibit(
        output=output,
        name=stem,
        title=_title(task, through),
        colour=filter_colour(through) if exposed and through else "",
        source=data_uri(jpeg(picture.pixels)) if picture else "",
        full="",
        crop=""
        if picture is None or picture.crop is None
        else data_uri(jpeg(picture.crop)),
        size=(picture.pixels.shape[1], picture.pixels.shape[0]) if picture else (4, 3),
        alt=f"{product_nouns(report, task)[0]} {stem}",
        facts=_facts(task, picture, _combined(report, task)),
        statistics=tuple(
            (name.replace("_", " "), _value(name, value))
            for name, value in numbers.items()
        ),
        histogram=histogram(picture.histogram, picture.span) if picture else "",
        remarks=(
            *map(str, outcome.remarks if outcome else ()),
            *([why] if why else []),
        ),
        noise=picture.noise if picture else math.nan,
    )


def _value(name: str, value: float) -> str:
    return f"{number(100 * value, 2)} %" if name in _FRACTIONS else number(value)


def _title(task: Task, through: str) -> str:
    if task.action not in (Action.CALIBRATE, Action.STACK):
        return through if task.action is Action.FLAT else ""
    parts = (str(task.facts.get("object") or ""), through)
    return " ".join(part for part in parts if part)


def _combined(report: NightReport, task: Task) -> str:
    """Say how many of its frames a product holds; none if it could not be made."""
    n_in = len(task.products) if task.action is Action.STACK else len(task.frames)
    outcome = report.outcomes.get(task.output)
    if outcome and not is_there(report, task.output):
        return f"none of {n_in} combined"
    n_out = len(outcome.left_out) if outcome else 0
    return f"{n_in - n_out} of {n_in} combined" if n_out else f"{n_in} combined"


def _facts(task: Task, picture: Picture | None, combined: str) -> tuple[str, ...]:
    exptime = task.facts.get("exptime")
    parts = [
        combined,
        "" if exptime is None else f"{number(exptime)} s",
        f"{picture.shape[1]}{TIMES}{picture.shape[0]}" if picture else "",
    ]
    if task.action is Action.CALIBRATE:
        parts = parts[1:2]
    if task.action is Action.BIAS:
        parts[1] = ""
    return tuple(part for part in parts if part)


def data_uri(image: bytes) -> str:
    """Write a JPEG as a data URI."""
    return f"data:image/jpeg;base64,{b64encode(image).decode('ascii')}"
