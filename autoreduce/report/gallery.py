"""The pictures of a report: which products, how large, and what stands beside them."""

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from autoreduce.fits.names import stem
from autoreduce.fits.sections import section_shape
from autoreduce.planning.focalplane import (
    FocalPlane,
    Place,
    around,
    focal_plane,
)
from autoreduce.planning.plan import Action, Task
from autoreduce.report.caveats import Caveats
from autoreduce.report.colours import filter_colour
from autoreduce.report.content import NightReport, ObjectPicture, Outcome
from autoreduce.report.pictures import (
    LARGEST,
    Bytes,
    Picture,
    Stretch,
    Wanted,
    jpeg,
)
from autoreduce.report.plots import histogram
from autoreduce.report.summary import is_there, product_nouns
from autoreduce.report.words import TIMES, count, number, scale_words

T = TypeVar("T")

Drawn = tuple[Picture | None, str]
"""A picture, or why there is none."""
EachPicture = Callable[
    [Callable[[Wanted | None], Drawn], Iterable[Wanted | None]], Iterable[Drawn]
]

TOTAL_PIXELS = 5_000_000
"""Pixels of all pictures together, about: a fifth of a byte each in the page."""

LIGHTS_SHOWN = 200
"""Exposures whose calibrated lights are shown; of more, so many evenly over the night."""
LIGHTS_READ = 1600
"""Calibrated lights that are read for that; of exposures of many detectors fewer are shown."""

_SHARES = {
    Action.STACK: 1.0,
    Action.BIAS: 0.4,
    Action.DARK: 0.4,
    Action.FLAT: 0.4,
    Action.CALIBRATE: 0.2,
}
"""Widths of pictures, relative to that of a stack."""
_WIDER = 2
"""How much wider the picture of several detectors is."""
_SMALLEST = 64
"""Width or height of a picture, at least."""

_FRACTIONS = {"rejected", "masked", "saturated", "unclean"}
"""Statistics that are fractions of all samples or pixels."""


_NAMES = {"exptime": "exposure"}
"""Statistics that the page calls by a plainer name."""
_UNITS = {"exptime": " s", "gain": " e/ADU"}
"""Units of those that have the same one in every product."""


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
    detector: str = ""
    """Detector; empty if the picture is of all of them."""
    parts: tuple["Exhibit", ...] = ()
    """The same of each detector, where the picture shows all of them in their places."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Which pictures are shown, and how large: decided before any is drawn."""

    report: NightReport
    """What is told of the night."""
    panels: Sequence["_Panel"]
    """Products, in the order of the plan."""
    largest: int
    """Width or height of the picture of a stack."""

    @classmethod
    def of(cls, report: NightReport) -> "Gallery":
        """Choose masters, stacks, and lights of at most `LIGHTS_SHOWN` exposures.

        Products that are alike but for their detectors are one exhibit.
        """
        plane = focal_plane(report.frames)
        panels = _panels(report, plane)
        lights = [panel for panel in panels if panel.action is Action.CALIBRATE]
        n_read = sum(len(panel.products) for panel in lights)
        n_shown = LIGHTS_READ * len(lights) // max(1, n_read)
        kept = {id(one) for one in evenly(lights, max(2, min(LIGHTS_SHOWN, n_shown)))}
        panels = [
            p for p in panels if p.action is not Action.CALIBRATE or id(p) in kept
        ]
        return cls(report, panels, picture_size([panel.share for panel in panels]))

    def wanted(self, folder: Path) -> list[Wanted | None]:
        """Say how the pictures are made.

        Parameters
        ----------
        folder : Path
            Output folder, where the products are.
        """
        return [
            one
            for panel in self.panels
            for one in _wanted(self.report, folder, panel, self.largest)
        ]

    def exhibits(self, pictures: Iterable[Drawn]) -> dict[Action, list[Exhibit]]:
        """Label the pictures.

        Parameters
        ----------
        pictures : iterable of Drawn
            Those that are `wanted`, in their order.

        Returns
        -------
        dict of Action to list of Exhibit
            In the order of the plan.  A product that is not there, or cannot be read, has
            no picture but says why.
        """
        pictures = iter(pictures)
        caveats = Caveats(self.report.plan, self.report.outcomes)
        shown: dict[Action, list[Exhibit]] = {action: [] for action in _SHARES}
        for panel in self.panels:
            found = [next(pictures) for _ in panel.products]
            parts = [
                _exhibit(self.report, caveats, task, output, *one)
                for (task, output), one in zip(panel.products, found, strict=True)
            ]
            if panel.places:
                seen = [picture for picture, _ in found]
                pixels = _assembled(panel, seen, round(self.largest * panel.share))
                parts = [_exhibit_of_all(panel, parts, pixels)]
            shown[panel.action] += parts
        return shown


@dataclass(frozen=True, slots=True)
class _Panel:
    """What is shown in one picture: a product, or those of all detectors of a camera."""

    action: Action
    name: str
    places: Mapping[str, Place]
    """Where the detectors lie; empty for a product that is shown by itself."""
    products: list[tuple[Task, str]]
    """Each product with its task."""

    @property
    def share(self) -> float:
        """Width of the picture, relative to that of a stack."""
        return min(1.0, _SHARES[self.action] * (_WIDER if self.places else 1))


def _panels(report: NightReport, plane: FocalPlane) -> list[_Panel]:
    """Tell which products are shown together, in the order of the plan."""
    panels: dict[tuple[Action, str, int], _Panel] = {}
    seen: Counter[tuple[Action, str, str]] = Counter()
    for task in report.plan.tasks if report.outcomes else ():
        for output in _outputs(report.outcomes.get(task.output), task):
            if task.action not in _SHARES:
                continue
            family = plane.families.get(task.group, "")
            name, detector = family or output, str(task.facts.get("detector"))
            if family and task.action is Action.CALIBRATE:
                exposure = plane.exposures.get(task.frames[0].file)
                # A frame may be alone in its group: others of its file are not alike.
                family = family if exposure else ""
                name = stem(PurePosixPath(exposure).name) if exposure else output
            # A stack of several fields has several products of one detector.
            seen[task.action, name, detector] += 1
            panels.setdefault(
                (task.action, name, seen[task.action, name, detector]),
                _Panel(task.action, name, plane.places.get(family, {}), []),
            ).products.append((task, output))
    return list(panels.values())


def _wanted(
    report: NightReport, folder: Path, panel: _Panel, largest: int
) -> Iterator[Wanted | None]:
    """Say how the pictures of its products are made."""
    faint = panel.action in (Action.CALIBRATE, Action.STACK)
    stretch = Stretch.FAINT if faint else Stretch.LINEAR
    crop = panel.action is Action.STACK and not panel.places
    for task, output in panel.products:
        size = max(_SMALLEST, round(largest * panel.share))
        if panel.places:
            size = max(8, round(size * _part(panel, task)))
        there = is_there(report, task.output)
        yield Wanted(folder / output, size, stretch, crop) if there else None


def _detector(task: Task) -> str:
    return str(task.facts.get("detector"))


def _part(panel: _Panel, task: Task) -> float:
    """Give the size of a detector in terms of the whole."""
    own = panel.places[_detector(task)].section
    return max(section_shape(own)) / max(section_shape(around(panel.places)))


def _assembled(
    panel: _Panel, pictures: Sequence[Picture | None], largest: int
) -> Bytes | None:
    """Put the pictures of detectors in their places; None if there is none."""
    there = {
        _detector(task): picture.pixels
        for (task, _), picture in zip(panel.products, pictures, strict=True)
        if picture
    }
    return assembled(there, panel.places, largest) if there else None


def assembled(
    pictures: Mapping[str, Bytes], places: Mapping[str, Place], largest: int
) -> Bytes:
    """Put pictures of detectors where they lie in the focal plane.

    Parameters
    ----------
    pictures : mapping of str to (ny, nx) or (ny, nx, 3) array of uint8
        By detector; first row at the top.
    places : mapping of str to Place
        Where all detectors lie; those without a picture stay black.
    largest : int
        Width or height of the whole, pixels.

    Returns
    -------
    (ny, nx) or (ny, nx, 3) array of uint8
        Grey if all pictures are; first row at the top.
    """
    from PIL import Image

    rows, columns = around(places)
    scale = largest / max(section_shape((rows, columns)))
    ny, nx = (max(1, round(size * scale)) for size in section_shape((rows, columns)))
    grey = all(pixels.ndim == 2 for pixels in pictures.values())
    whole = Image.new("L" if grey else "RGB", (nx, ny))
    for name, pixels in pictures.items():
        section, (y_back, x_back) = places[name].section, places[name].backwards
        top, bottom = (
            round((rows.stop - y) * scale) for y in (section[0].stop, section[0].start)
        )
        left, right = (
            round((x - columns.start) * scale)
            for x in (section[1].start, section[1].stop)
        )
        shown = pixels[:: -1 if y_back else 1, :: -1 if x_back else 1]
        part = Image.fromarray(np.ascontiguousarray(shown))
        size = max(1, right - left), max(1, bottom - top)
        whole.paste(part.resize(size, Image.Resampling.BOX), (left, top))
    return np.asarray(whole)


def _exhibit_of_all(
    panel: _Panel, parts: Sequence[Exhibit], pixels: Bytes | None
) -> Exhibit:
    """Show the products of all detectors of a camera as one."""
    n_doubtful = sum(bool(part.remarks) for part in parts)
    alike = [fact for fact in parts[0].facts if all(fact in p.facts for p in parts)]
    n = count(len(parts), "detector")
    return replace(
        parts[0],
        name=panel.name,
        source="" if pixels is None else data_uri(jpeg(pixels)),
        size=(4, 3) if pixels is None else (pixels.shape[1], pixels.shape[0]),
        alt=f"{panel.name}, {n}",
        facts=(n, *alike),
        statistics=(),
        histogram="",
        remarks=(f"see the table for {n_doubtful} of {n}",) if n_doubtful else (),
        noise=math.nan,
        detector="",
        parts=tuple(parts),
    )


def _outputs(outcome: Outcome | None, task: Task) -> tuple[str, ...]:
    """Name the products of a task."""
    return (outcome.outputs if outcome else ()) or (task.output,)


def object_exhibit(made: ObjectPicture) -> Exhibit:
    """Show the picture of an object, or say why there is none."""
    small, source, full, crop, size = made.small, "", "", "", (4, 3)
    facts: tuple[str, ...] = (made.caption,)
    if small:
        source, full, size = data_uri(small.jpeg), made.output, small.size
        crop = data_uri(small.crop) if small.crop else ""
        ny, nx = small.shape
        facts = (made.caption, f"{nx}{TIMES}{ny}")
    return Exhibit(
        output=made.output,
        name=Path(made.output).name,
        title=made.name,
        colour="",
        source=source,
        full=full,
        crop=crop,
        size=size,
        alt=f"picture of {made.name}",
        facts=facts,
        statistics=(),
        histogram="",
        remarks=(*((made.why_not,) if made.why_not else ()), *made.doubts),
    )


def evenly(items: Sequence[T], n: int) -> Sequence[T]:
    """Take `n` items at even distances, first and last among them; all, if fewer."""
    if len(items) <= n:
        return items
    return [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)]


def picture_size(shares: list[float]) -> int:
    """Choose the size of the largest pictures so that all fit into one page.

    Parameters
    ----------
    shares : list of float
        Width of each picture, relative to that of a stack.

    Returns
    -------
    int
        Width or height of the picture of a stack; `LARGEST` for few pictures.
    """
    area = sum(share**2 for share in shares)
    return min(LARGEST, int(math.sqrt(TOTAL_PIXELS / max(area, 1e-9))))


def _exhibit(
    report: NightReport,
    caveats: Caveats,
    task: Task,
    output: str,
    picture: Picture | None,
    why: str,
) -> Exhibit:
    outcome = report.outcomes.get(task.output)
    why = why if outcome else "not made in this run"
    name, through = Path(output).stem, str(task.facts.get("filter") or "")
    exposed = task.action in (Action.FLAT, Action.CALIBRATE, Action.STACK)
    is_stack = task.action is Action.STACK
    scale = caveats.scale_arcsec(caveats.lights([task])) if is_stack else None
    numbers = {
        **(picture.statistics if picture else {}),
        **(outcome.statistics if outcome else {}),
    }
    return Exhibit(
        output=output,
        name=name,
        title=_title(task, through),
        colour=filter_colour(through) if exposed and through else "",
        source=data_uri(jpeg(picture.pixels)) if picture else "",
        full="",
        crop=""
        if picture is None or picture.crop is None
        else data_uri(jpeg(picture.crop)),
        size=(picture.pixels.shape[1], picture.pixels.shape[0]) if picture else (4, 3),
        alt=f"{product_nouns(report, task)[0]} {name}",
        facts=_facts(task, picture, _combined(report, task), scale),
        statistics=_statistics(numbers),
        histogram=histogram(picture.histogram, picture.span) if picture else "",
        remarks=(
            *_remarks(report, caveats, task),
            *([why] if why else []),
        ),
        noise=picture.noise if picture else math.nan,
        detector=str(task.facts.get("detector") or ""),
    )


def _remarks(report: NightReport, caveats: Caveats, task: Task) -> Iterator[str]:
    """Say what a product lacks, and what is told of it; of a stack also of its lights."""
    is_stack = task.action is Action.STACK
    lights = caveats.lights([task]) if is_stack else [task]
    outcome = report.outcomes.get(task.output)
    if is_there(report, task.output):
        yield from caveats.missing(lights)
    for one in outcome.remarks if outcome else ():
        # What can be typed of a light names its raw frame.
        is_light = task.action is Action.CALIBRATE
        yield str(one.about(task.frames[0].file) if is_light else one)
    if is_stack:
        yield from caveats.doubts(lights)


def _statistics(numbers: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """Write numbers under their names, each with its error and its unit."""
    return tuple(
        (_NAMES.get(name, name.replace("_", " ")), _value(name, numbers))
        for name in numbers
        if name.removesuffix("_error") not in numbers or not name.endswith("_error")
    )


def _value(name: str, numbers: Mapping[str, float]) -> str:
    if name in _FRACTIONS:
        return f"{number(100 * numbers[name], 2)} %"
    error = numbers.get(f"{name}_error")
    spread = "" if error is None else f" ± {number(error, 2)}"
    return f"{number(numbers[name])}{spread}{_UNITS.get(name, '')}"


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


def _facts(
    task: Task, picture: Picture | None, combined: str, scale: float | None
) -> tuple[str, ...]:
    exptime = task.facts.get("exptime")
    parts = [
        combined,
        "" if exptime is None else f"{number(exptime)} s",
        f"{picture.shape[1]}{TIMES}{picture.shape[0]}" if picture else "",
        "" if scale is None else scale_words(scale),
    ]
    if task.action is Action.CALIBRATE:
        parts = parts[1:2]
    if task.action is Action.BIAS:
        parts[1] = ""
    return tuple(part for part in parts if part)


def data_uri(image: bytes) -> str:
    """Write a JPEG as a data URI."""
    return f"data:image/jpeg;base64,{b64encode(image).decode('ascii')}"
