"""The report's tables as plain rows of text: groups, masters chosen, frames, verdicts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from autoreduce.frames.measured import MEASURED, MeasuredColumn
from autoreduce.planning.focalplane import FocalPlane
from autoreduce.planning.plan import (
    Action,
    FrameInput,
    Plan,
    Task,
    Verdict,
)
from autoreduce.planning.use import DarkMethod, Use, stem
from autoreduce.report.colours import frame_colour
from autoreduce.report.content import NightReport
from autoreduce.report.exposures import Exposures
from autoreduce.report.overview import TYPE_ORDER
from autoreduce.report.summary import is_there, stacked_lights
from autoreduce.report.words import NOTHING, TIMES, count, duration, number

_UNITS = {"adu": "ADU", "pixel": "px"}


def _unit(one: MeasuredColumn) -> str:
    return "%" if one.percent else _UNITS.get(one.unit, one.unit)


FRAME_COLUMNS = (
    ("file", "File", ""),
    ("imagetyp", "Type", ""),
    ("object", "Object", ""),
    ("filter", "Filter", ""),
    ("exptime", "Exposure", "s"),
    ("date_obs", "Time", "UTC"),
    ("ccd_temp", "Sensor", "°C"),
    ("group", "Group", ""),
    ("level", "Masters", ""),
    *((m.name, m.heading, _unit(m)) for m in MEASURED if m.heading),
    ("unstacked", "Not stacked", ""),
)
"""Columns of the frame table that the report shows: name, heading, unit."""
_MEASURED = {one.name: one for one in MEASURED}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the frame table."""

    text: str
    """What is shown."""
    order: str
    """What the column is sorted by: a number as text, or the text; empty: last."""


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame."""

    cells: tuple[Cell, ...]
    """In the order of the columns that are shown."""
    colour: str
    """Colour of its filter or type."""
    why_not: str
    """Why it, or a detector of it, was left out; empty if it was used."""
    is_out: bool
    """Whether no detector of it was used."""
    remark: str
    """Its masters in words."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Frames alike enough to be combined."""

    name: str
    """Name of the group."""
    imagetyp: str
    """Their type."""
    colour: str
    """Colour of their filter or type."""
    n_frames: int
    """Frames in it."""
    n_left_out: int
    """Those of them that took no part."""
    facts: tuple[str, ...]
    """Object, filter, exposure, binning, temperature and size, where known."""
    begin: str
    """When the first of them was taken, UTC."""
    within: str
    """How long it was from the first to the last; empty for one alone."""
    outputs: tuple[str, ...]
    """Products made from it, a calibrated light of each frame not counted; of those of
    several detectors that ended alike the first."""


@dataclass(frozen=True, slots=True)
class MasterChoice:
    """What was chosen for one correction."""

    need: str
    """``bias``, ``dark`` or ``flat``."""
    output: str
    """The master; empty if there is none."""
    level: int
    """Level at which it fits, 0 to 3."""
    words: str
    """How it fits, or why there is none."""
    is_lacking: bool
    """Whether there should be one and is not."""


@dataclass(frozen=True, slots=True)
class LightGroup:
    """What became of the lights of a group."""

    group: str
    """Name of the group."""
    colour: str
    """Colour of their filter."""
    n_lights: int
    """Lights that the plan takes."""
    n_reduced: int
    """Those of them that were calibrated."""
    n_stacked: int
    """Those of them that are in a stack."""
    level: int | None
    """Worst level among their masters; None if they have none."""
    lacks: tuple[str, ...]
    """Masters that some of them should have and do not."""


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """Frames of a group that are corrected in the same way."""

    group: str
    """Name of the group."""
    colour: str
    """Colour of their filter or type."""
    imagetyp: str
    """Their type."""
    n_frames: int
    """How many."""
    choices: tuple[MasterChoice, ...]
    """Bias, dark and flat, as far as frames of this type need them."""
    level: int
    """Worst level among the masters."""
    complete: bool
    """Whether no correction was left out for want of a master."""
    reason: str
    """Why these masters, in words."""


@dataclass(frozen=True, slots=True)
class VerdictGroup:
    """Every candidate that was considered for one group."""

    group: str
    """Name of the group."""
    chosen: tuple[Verdict, ...]
    """Those taken."""
    rejected: tuple[Verdict, ...]
    """The others, with the first criterion that failed."""


def light_groups(report: NightReport, plane: FocalPlane) -> list[LightGroup]:
    """Tell what became of the lights, group by group in the order of the plan."""
    placed = stacked_lights(report)
    groups: dict[str, list[Task]] = {}
    for task in report.plan.tasks:
        if task.action is Action.CALIBRATE:
            groups.setdefault(plane.family(task.group), []).append(task)
    rows = []
    for group, tasks in groups.items():
        levels = [
            task.level
            for task in tasks
            if any(item.calibration.masters for item in task.frames)
        ]
        through = tasks[0].facts.get("filter")
        needs = (one.need for task in tasks for one in task.missing)
        rows.append(
            LightGroup(
                group=group,
                colour=frame_colour("light", None if through is None else str(through)),
                n_lights=len(tasks),
                n_reduced=sum(is_there(report, task.output) for task in tasks),
                n_stacked=sum(task.output in placed for task in tasks),
                level=max(levels, default=None),
                lacks=tuple(dict.fromkeys(filter(None, needs))),
            )
        )
    return rows


def frame_columns(frames: pd.DataFrame) -> tuple[tuple[str, str, str], ...]:
    """Choose the columns of `FRAME_COLUMNS` in which at least one frame has a value."""
    return tuple(
        column
        for column in FRAME_COLUMNS
        if column[0] == "file" or frames[column[0]].notna().any()
    )


def frame_rows(report: NightReport, night: Exposures) -> list[FrameRow]:
    """List the exposures in the order of the table, with the columns that are shown."""
    frames, reasons = night.frames, {**night.partly, **night.lost}
    columns = [name for name, _, _ in frame_columns(frames)]
    cells = {name: _cells(name, frames[name]) for name in columns}
    if "level" in cells:
        cells["level"] = _levels(report, night, cells["level"])
    return [
        FrameRow(
            cells=tuple(cells[name][row] for name in columns),
            colour=frame_colour(_text(imagetyp), _text(filter_name)),
            why_not=reasons.get(file, ""),
            is_out=file in night.lost,
            remark=_text(remark),
        )
        for row, (file, imagetyp, filter_name, remark) in enumerate(
            zip(
                *(frames[name] for name in ("file", "imagetyp", "filter", "reason")),
                strict=True,
            )
        )
    ]


def _levels(report: NightReport, night: Exposures, cells: list[Cell]) -> list[Cell]:
    """Put ``incomplete`` where a master is missing: what is there is not the worst."""
    lacking = {
        night.plane.exposures.get(frame.file, frame.file)
        for task in report.plan.tasks
        if task.missing
        for frame in task.frames
    }
    return [
        Cell("incomplete", "4") if file in lacking else cell
        for file, cell in zip(night.frames["file"], cells, strict=True)
    ]


def _cells(name: str, values: pd.Series) -> list[Cell]:
    if name == "date_obs":
        texts = values.dt.strftime("%Y-%m-%d %H:%M:%S")
        return [_cell(text, text) for text in texts]
    if one := _MEASURED.get(name):
        factor = 100 if one.percent else 1
        return [_number_cell(factor * value, one.digits) for value in values]
    if pd.api.types.is_numeric_dtype(values.dtype):
        return [_number_cell(value, 4) for value in values]
    return [_cell(value, value) for value in values]


def _number_cell(value: object, digits: int) -> Cell:
    return (
        Cell(NOTHING, "")
        if pd.isna(value)
        else Cell(number(value, digits), f"{value:.9g}")
    )


def _cell(text: object, order: object) -> Cell:
    return Cell(_text(text) or NOTHING, _text(order))


def _text(value: object) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def group_rows(report: NightReport, night: Exposures) -> list[GroupRow]:
    """List the groups: biases first, then darks, flats and lights, each by name."""
    outputs: dict[str, dict[tuple[str, str | None], str]] = {}
    for task in report.plan.tasks:
        if task.action is not Action.CALIBRATE:
            family = outputs.setdefault(night.plane.family(task.group), {})
            end = report.outcomes.get(task.output)
            status = end.status if end else None
            alike = night.plane.family(stem(task.output)), status
            family.setdefault(alike, task.output)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for frame in night.frames[["group", *_TOLD]].to_dict("records"):
        groups[_text(frame["group"])].append(frame)
    rows = [
        _group_row(name, members, night.lost, tuple(outputs.get(name, {}).values()))
        for name, members in groups.items()
        if name
    ]
    return sorted(rows, key=lambda row: (_type_rank(row.imagetyp), row.name))


_TOLD = ("file", "imagetyp", "object", "filter", "exptime", "date_obs", "ccd_temp",
         "xbinning", "ybinning", "naxis1", "naxis2")  # fmt: skip
"""Columns that a group is told from."""


def _type_rank(imagetyp: str) -> int:
    return TYPE_ORDER.index(imagetyp) if imagetyp in TYPE_ORDER else len(TYPE_ORDER)


def _group_row(
    name: str,
    members: Sequence[dict[str, Any]],
    lost: Mapping[str, str],
    outputs: tuple[str, ...],
) -> GroupRow:
    first = members[0]
    times = sorted(one["date_obs"] for one in members if not pd.isna(one["date_obs"]))
    length = (times[-1] - times[0]).total_seconds() if times else 0.0
    return GroupRow(
        name=name,
        imagetyp=_text(first["imagetyp"]),
        colour=frame_colour(_text(first["imagetyp"]), _text(first["filter"])),
        n_frames=len(members),
        n_left_out=sum(one["file"] in lost for one in members),
        facts=_facts(members),
        begin=f"{times[0]:%Y-%m-%d %H:%M}" if times else "",
        within="" if length <= 0 else duration(length),
        outputs=outputs,
    )


def _facts(members: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    first = members[0]
    lights = first["imagetyp"] == "light"
    exposed = first["imagetyp"] in ("flat", "light")
    parts = (
        _text(first["object"]) if lights else "",
        _text(first["filter"]) if exposed else "",
        _range((one["exptime"] for one in members), " s"),
        _pair(first["xbinning"], first["ybinning"]),
        _range((one["ccd_temp"] for one in members), " °C", 1),
        _pair(first["naxis1"], first["naxis2"]),
    )
    return tuple(part for part in parts if part)


def _range(values: Iterable[float], unit: str, decimals: int = 9) -> str:
    known = [np.round(value, decimals) for value in values if not pd.isna(value)]
    if not known:
        return ""
    ends = dict.fromkeys(number(end) for end in (min(known), max(known)))
    return f"{' to '.join(ends)}{unit}"


def _pair(first: object, second: object) -> str:
    return (
        f"{_text(first)}{TIMES}{_text(second)}"
        if _text(first) and _text(second)
        else ""
    )


@dataclass(slots=True)
class _Alike:
    """Frames with the same masters, while they are gathered."""

    task: Task
    first: FrameInput
    group: str
    level: int = 0
    files: list[str] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)


def choice_rows(
    report: NightReport, action: Action, plane: FocalPlane
) -> list[ChoiceRow]:
    """List which masters the frames of an action get, group by group.

    Parameters
    ----------
    report : NightReport
        The report.
    action : Action
        CALIBRATE for lights, FLAT for flats, DARK for darks.
    plane : FocalPlane
        Which groups are those of several detectors: they share rows.

    Returns
    -------
    list of ChoiceRow
        In the order of the plan; frames of one group that get different masters
        stand in rows of their own.
    """
    told = (report.frames[name] for name in ("file", "imagetyp", "filter"))
    looks = {file: look for file, *look in zip(*told, strict=True)}
    rows: dict[tuple[object, ...], _Alike] = {}
    for task in report.plan.tasks:
        for frame in task.frames if task.action is action else ():
            taken = frame.calibration
            family = plane.family(task.group)
            masters = [plane.families.get(stem(name), name) for name in taken.masters]
            key = (family, *masters, taken.dark_method, task.missing)
            alike = rows.setdefault(key, _Alike(task, frame, family))
            alike.files.append(plane.exposures.get(frame.file, frame.file))
            alike.level = max(alike.level, task.level)
            scaling = _scaling(report, task, frame)
            alike.scales += scaling[:1]
            alike.offsets += scaling[1:]
    return [_choice_row(report.plan, alike, looks) for alike in rows.values()]


def _scaling(report: NightReport, task: Task, frame: FrameInput) -> list[float]:
    """Find factor and offset on a frame's dark: as used, else as planned."""
    outcome = report.outcomes.get(task.output)
    used = dict(outcome.measured.get(frame.file, {})) if outcome else {}
    if outcome and task.action is Action.CALIBRATE:
        used = {**outcome.statistics, **used}
    scale = used.get("dark_scale", frame.calibration.dark_scale)
    if scale is None:
        return []
    return [scale, used.get("dark_offset", frame.calibration.dark_offset)]


def _choice_row(
    plan: Plan, alike: _Alike, looks: Mapping[str, Sequence[object]]
) -> ChoiceRow:
    task, first = alike.task, alike.first
    imagetyp, through = map(_text, looks.get(first.file, ("", "")))
    uses = plan.uses.get(first.setup, {})
    return ChoiceRow(
        group=alike.group,
        colour=frame_colour(imagetyp, through),
        imagetyp=imagetyp,
        n_frames=len(set(alike.files)),
        choices=tuple(
            _choice(alike, uses.get(need, Use(need))) for need in _NEEDS[task.action]
        ),
        level=alike.level,
        complete=not task.missing,
        reason=plan.reason(first),
    )


def _choice(alike: _Alike, use: Use) -> MasterChoice:
    return MasterChoice(
        need=use.need,
        output=getattr(alike.first.calibration, use.need) or "",
        level=use.level or 0,
        words=", ".join(_choice_words(alike, use)),
        is_lacking=any(one.need == use.need for one in alike.task.missing),
    )


def _choice_words(alike: _Alike, use: Use) -> list[str]:
    """Say how a master fits, or why there is none."""
    if use.output is None:
        return [words for words in (_lack_words(use),) if words]
    words = [use.how, *use.fit_words]
    if use.need == "dark" and (factor := _factor(alike)):
        # The factor of the use is that of the first frame, one of several.
        scaled = use.method is DarkMethod.SCALED
        words = ["scaled" if scaled else use.how, *use.fit_words, factor]
    return [word for word in words if word]


def _lack_words(use: Use) -> str:
    lack = use.lack
    if lack is None:
        return str(use)
    words = f"{lack.expected} wanted, there is {lack.found}" if lack.expected else ""
    way_out = f" ({lack.way_out})" if lack.way_out else ""
    return f"{words or lack.found}{way_out}"


_NEEDS = {
    Action.CALIBRATE: ("bias", "dark", "flat"),
    Action.FLAT: ("bias", "dark"),
    Action.DARK: ("bias",),
}


def _factor(alike: _Alike) -> str:
    """Say the factor on the dark, or its range, and what is added; empty if neither."""
    scale, offset = _span(alike.scales), _span(alike.offsets)
    if not scale or (scale, offset) == ("1", "0"):
        return ""
    return f"{TIMES} {scale}" + ("" if offset == "0" else f" + {offset} ADU")


def _span(values: list[float]) -> str:
    ends = sorted(values)[:: max(1, len(values) - 1)]
    return " to ".join(dict.fromkeys(number(value, 3) for value in ends))


def verdict_groups(plan: Plan, plane: FocalPlane) -> list[VerdictGroup]:
    """Gather the verdicts by group, of groups for which a master was not taken.

    Of several detectors those of each are given once, and none on masters of another.
    """
    groups: dict[str, dict[Verdict, Verdict]] = {}
    for entry in plan.verdicts:
        family = plane.families.get(stem(entry.candidate), entry.candidate)
        if entry.criterion != "detector" or family not in plane.places:
            alike = groups.setdefault(plane.family(entry.setup), {})
            alike.setdefault(replace(entry, setup="", candidate=family), entry)
    return [
        VerdictGroup(
            group,
            chosen=tuple(entry for entry in entries.values() if entry.chosen),
            rejected=tuple(entry for entry in entries.values() if not entry.chosen),
        )
        for group, entries in groups.items()
        if not all(entry.chosen for entry in entries.values())
    ]


def recipe_settings(plan: Plan) -> list[tuple[str, list[tuple[str, str]]]]:
    """List the recipe's settings under the name of the part that they belong to."""
    return [
        (part, list(_flat_settings(settings)))
        for part, settings in asdict(plan.recipe).items()
        if isinstance(settings, dict)
    ]


def _flat_settings(settings: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat_settings(value)
        else:
            yield key.replace("_", " "), str(value)


def frames_words(row: ChoiceRow) -> str:
    """Say how many frames a row is about, and what they are."""
    kind = row.imagetyp or "frame"
    return count(row.n_frames, kind)
