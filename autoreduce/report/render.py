"""The report of a run as one HTML file that needs nothing else."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from autoreduce.errors import InputError
from autoreduce.fits.tables import read_table
from autoreduce.fits.whole import write_text
from autoreduce.frames.measured import MEASURED
from autoreduce.frames.schema import FRAME_COLUMNS
from autoreduce.planning.focalplane import FocalPlane
from autoreduce.planning.plan import Action
from autoreduce.planning.use import stem
from autoreduce.products.gain import CURVE, LINE
from autoreduce.remarks import CODES, Remark, Severity
from autoreduce.report.content import NightReport, ObjectPicture
from autoreduce.report.exposures import Exposures, exposures_of
from autoreduce.report.gallery import (
    EachPicture,
    Exhibit,
    Gallery,
    object_exhibit,
)
from autoreduce.report.overview import (
    TYPE_ORDER,
    about,
    deviations,
    exposures,
    legend,
    light_gathered,
)
from autoreduce.report.pictures import drawn
from autoreduce.report.plots import dark_fit, levels, timeline
from autoreduce.report.quality import GLOSSARY, report_data
from autoreduce.report.rows import (
    choice_rows,
    frame_columns,
    frame_rows,
    frames_words,
    group_rows,
    light_groups,
    recipe_settings,
    verdict_groups,
)
from autoreduce.report.summary import (
    heading,
    headline,
    is_there,
    kinds,
    remarks,
    used_frames,
    verdict,
)
from autoreduce.report.words import TIMES, count, duration, level_word, number

if TYPE_CHECKING:
    from jinja2 import Template

_CONCERNS = {
    Severity.FAILED: ("Could not be made", "products", "bad"),
    Severity.BLOCKED: ("Waited for what could not be made", "products", "bad"),
    Severity.MISSING: ("Masters are missing", "groups", "poor"),
    Severity.DAMAGED: ("Files that could not be read", "files", "poor"),
    Severity.LEFT_OUT: ("Frames left out", "frames", "fair"),
    Severity.DOUBTFUL: ("To be used with care", "files", "fair"),
    Severity.NOTE: ("Good to know", "files", "calm-note"),
}
"""Title, what the items are, and style of each concern."""

_STATUS_WORDS = {
    "done": "made",
    "current": "current",
    "failed": "failed",
    "blocked": "blocked",
}
DATA = "report.json"
"""Beside the page: what it draws."""
SURE = 3.0
"""Standard deviations at which a negative dark current is none by chance."""
_CORRECTED = (
    ("Lights", Action.CALIBRATE),
    ("Flats", Action.FLAT),
    ("Darks", Action.DARK),
)
"""What masters are for."""
_NUMERIC = {"exptime", "ccd_temp", *(one.name for one in MEASURED)}


@dataclass(frozen=True, slots=True)
class ConcernBox:
    """The remarks of one concern."""

    title: str
    """Heading."""
    things: str
    """What the remarks' items are."""
    style: str
    """Class in the stylesheet."""
    remarks: tuple[Remark, ...]
    """In order."""

    @property
    def n_things(self) -> int:
        """How many items they name; a remark that names none counts as one."""
        named = {name for one in self.remarks for name in one.subject}
        return len(named) + sum(not one.subject for one in self.remarks)


@dataclass(frozen=True, slots=True)
class FitPlot:
    """One dark fit, drawn and said."""

    name: str
    """Its product."""
    svg: str
    """The plot."""
    line: str
    """The fitted line."""
    statistics: tuple[tuple[str, str], ...]
    """Its numbers."""
    verdict: str
    """Whether the line fits."""
    is_doubtful: bool
    """Whether the line does not fit."""
    is_negative: bool
    """Whether the dark current is below zero by more than its error explains."""


class Draft:
    """The report of a run, as far as it can be made without the pictures of objects.

    Parameters
    ----------
    folder : Path
        Output folder; products that are not there get no picture.
    report : NightReport
        What to tell.
    each : callable
        As `map`, by which pictures are drawn side by side.
    """

    def __init__(
        self, folder: Path, report: NightReport, each: EachPicture = map
    ) -> None:
        self._folder, self._report = folder, report
        self._gallery, self._template = Gallery.of(report), template()
        self._pictures = each(drawn, self._gallery.wanted(folder))
        night = exposures_of(report)
        self._content = {**_night(report, night), **_details(report, night)}

    def write(self, objects: Sequence[ObjectPicture]) -> Path:
        """Write the report beside the products.

        Parameters
        ----------
        objects : sequence of ObjectPicture
            The pictures of objects.

        Returns
        -------
        Path
            ``report.html`` in that folder, with what it draws in ``report.json`` beside
            it; each is written whole or not at all, and replaces what is there.

        Raises
        ------
        ProductError
            If it cannot be written.
        """
        path = self._folder / "report.html"
        page, data = self.rendered(objects)
        write_text(path, page)
        write_text(self._folder / DATA, data)
        return path

    def rendered(self, objects: Sequence[ObjectPicture]) -> tuple[str, str]:
        """Return the report as HTML, pictures and all, and what it draws as JSON."""
        made = [object_exhibit(one) for one in objects]
        shown = self._gallery.exhibits(self._pictures)
        in_order = [*made, *(item for items in shown.values() for item in items)]
        anchors = {
            one.output: f"p{index}"
            for index, item in enumerate(in_order, 1)
            for one in (item, *item.parts)
        }
        noise = {
            one.output: one.noise for item in shown[Action.STACK] for one in _each(item)
        }
        curves = (_curves(self._report, self._folder, name) for name in (CURVE, LINE))
        numbers = report_data(self._report, noise, *curves)
        data = json.dumps(numbers, separators=(",", ":"), allow_nan=False)
        content = {
            "has_quality": bool(numbers["series"] or numbers["stacks"]),
            "objects": made,
            **_pictures(shown),
            **self._content,
        }
        page = self._template.render(
            report=self._report,
            # No text of a header may end the element that holds it.
            data=data.replace("<", "\\u003c"),
            style=_text("report.css"),
            script=_text("report.js"),
            anchors=anchors,
            names={one.output: item.name for item in in_order for one in item.parts},
            sections=[
                (anchor, name) for anchor, name, key in _SECTIONS if content[key]
            ],
            glossary=sorted(MEANINGS.items()),
            **content,
        )
        return page, data


def write_report(folder: Path, report: NightReport) -> Path:
    """Write a report whose pictures are all there, as `Draft` does."""
    return Draft(folder, report).write(report.pictures)


def render_report(folder: Path, report: NightReport) -> str:
    """Return such a report as HTML."""
    return Draft(folder, report).rendered(report.pictures)[0]


def _each(item: Exhibit) -> tuple[Exhibit, ...]:
    return item.parts or (item,)


def _curves(
    report: NightReport, folder: Path, name: str
) -> dict[str, np.ndarray[Any, Any]]:
    """Read the curves of some name of the flats that have one."""
    curves = {}
    for task in report.plan.tasks:
        if task.action is Action.FLAT and is_there(report, task.output):
            with suppress(InputError, OSError):
                curves[task.output] = read_table(folder / task.output, name)
    return curves


_SECTIONS = (
    ("pictures", "Pictures", "objects"),
    ("attention", "Verdict", "verdict"),
    ("quality", "Quality", "has_quality"),
    ("stacks", "Stacks", "stacks"),
    ("timeline", "The night", "timeline"),
    ("levels", "Levels", "levels"),
    ("masters", "Masters", "masters"),
    ("lights", "Lights", "calibrated"),
    ("dark", "Dark current", "fits"),
    ("plan", "Masters taken", "choices"),
    ("groups", "Groups", "groups"),
    ("frames", "Frames", "rows"),
    ("verdicts", "Not taken", "verdicts"),
    ("recipe", "How", "provenance"),
)
"""Anchor and name of the sections, and the content without which they are empty."""


def _text(name: str) -> str:
    folder = resources.files("autoreduce.report") / "templates"
    return (folder / name).read_text("utf-8")


@cache
def template() -> "Template":
    """Load the page without its content."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["stem"] = lambda output: PurePosixPath(output).stem
    environment.filters["urlpath"] = quote
    environment.filters["level_word"] = level_word
    environment.filters["frames_words"] = frames_words
    environment.filters["kinds"] = kinds
    environment.filters["meaning"] = meaning
    environment.filters["meaning_of"] = lambda one: CODES[one.code].meaning
    return environment.from_string(_text("report.html"))


def meaning(name: str) -> str:
    """Say what a number on the page is; empty for what needs no saying."""
    return MEANINGS.get(name, MEANINGS.get(name.replace(" ", "_"), ""))


MEANINGS = {**{column.name: column.doc for column in FRAME_COLUMNS}, **GLOSSARY}
"""What each column and number is."""


def _night(report: NightReport, night: Exposures) -> dict[str, Any]:
    """Gather what the page begins with: the night, in words and on a time line."""
    frames, bars = night.frames, exposures(night)
    found = remarks(report)
    seen = set(frames["imagetyp"].dropna())
    return {
        "heading": heading(report),
        "headline": headline(report),
        "about": about(used_frames(frames, night.lost)),
        "concerns": _concerns(found),
        "verdict": verdict(report),
        "light_groups": light_groups(report, night.plane),
        "is_troubled": any(one.severity is not Severity.NOTE for one in found),
        "light": light_gathered(night),
        "timeline": timeline(bars),
        "levels": levels(deviations(report)),
        "legend": legend(frames),
        "n_left_out": sum(bar.left_out for bar in bars),
        "n_undated": len(frames) - len(bars),
        "types": [name for name in TYPE_ORDER if name in seen],
    }


def _pictures(shown: dict[Action, list[Exhibit]]) -> dict[str, Any]:
    masters = (Action.BIAS, Action.DARK, Action.FLAT)
    return {
        "stacks": shown[Action.STACK],
        "masters": [item for action in masters for item in shown[action]],
        "calibrated": shown[Action.CALIBRATE],
    }


def _details(report: NightReport, night: Exposures) -> dict[str, Any]:
    """Gather the tables, the dark fits, and how it all was done."""
    columns, plane = frame_columns(night.frames), night.plane
    names = [name for name, _, _ in columns]
    return {
        "n_lights": len(
            {
                plane.exposures.get(task.frames[0].file, task.output)
                for task in report.plan.tasks
                if task.action is Action.CALIBRATE
            }
        ),
        "fits": _fits(report, plane),
        "choices": [
            (title, rows)
            for title, action in _CORRECTED
            if (rows := choice_rows(report, action, plane))
        ],
        "groups": group_rows(report, night),
        "columns": columns,
        "numeric": [index for index, name in enumerate(names) if name in _NUMERIC],
        "level_column": names.index("level") if "level" in names else -1,
        "rows": frame_rows(report, night),
        "verdicts": verdict_groups(report.plan, plane),
        "recipe": recipe_settings(report.plan),
        "provenance": _provenance(report),
        "disagreements": disagreements(report.evidence),
        "statuses": {output: end.status for output, end in report.outcomes.items()},
        "status_words": _STATUS_WORDS,
    }


def _fits(report: NightReport, plane: FocalPlane) -> list[list[FitPlot]]:
    """List the dark fits, those of the detectors of a camera together, doubtful ones first."""
    found: dict[str, list[FitPlot]] = {}
    for task in report.plan.tasks:
        if task.action is Action.DARK_FIT and task.output in report.fits:
            darks = [plane.families.get(stem(name), name) for name in task.products]
            plot = _fit_plot(task.output, report.fits[task.output])
            found.setdefault("/".join(darks), []).append(plot)
    return [
        sorted(fits, key=lambda fit: not fit.is_doubtful) for fits in found.values()
    ]


def _concerns(found: Sequence[Remark]) -> list[ConcernBox]:
    return [
        ConcernBox(*_CONCERNS[severity], tuple(group))
        for severity, group in groupby(found, key=lambda one: one.severity)
    ]


def _fit_plot(output: str, fit: Mapping[str, Any]) -> FitPlot:
    offset, slope = fit["offset"], fit["slope"]
    n_free = len(fit["points"]) - 2
    is_negative = slope < -SURE * (fit["slope_error"] or 0.0)
    return FitPlot(
        name=PurePosixPath(output).stem,
        svg=dark_fit(fit),
        line=f"{number(offset)} ADU + {number(slope)} ADU/s {TIMES} t",
        statistics=(
            ("offset", f"{number(offset)} ± {number(fit['offset_error'], 3)} ADU"),
            ("slope", f"{number(slope)} ± {number(fit['slope_error'], 3)} ADU/s"),
            ("chi square", _chi_square(fit["chi_square"], n_free)),
            ("from", count(len(fit["points"]), "exposure")),
        ),
        verdict=_verdict(fit.get("linear"), n_free, is_negative=is_negative),
        is_doubtful=is_negative or fit.get("linear") is False,
        is_negative=is_negative,
    )


def _verdict(is_linear: bool | None, n_free: int, *, is_negative: bool) -> str:
    if is_negative:
        return (
            "The dark current is negative, which no sensor has: the level of the bias "
            "moved between the darks, or they were not all dark."
        )
    if n_free < 1:
        return "Two exposures make a line, but cannot tell whether it is one."
    if is_linear is None:
        return "The errors of the counts are not known, nor how well the line fits."
    if is_linear:
        return "The counts agree with a straight line."
    return (
        "The counts do not lie on a straight line within their errors, so that the "
        "line was not used for darks of other exposures."
    )


def _chi_square(value: float, n_free: int) -> str:
    if n_free < 1 or not math.isfinite(value):
        return "none: no degree of freedom"
    freedom = count(n_free, "degree of freedom", "degrees of freedom")
    return f"{number(value, 3)} for {freedom}"


def _provenance(report: NightReport) -> list[tuple[str, str]]:
    took = "" if report.elapsed_s is None else duration(report.elapsed_s)
    version = f"autoreduce {report.version}" if report.version else ""
    entries = (
        ("Night", report.plan.root),
        ("Command", report.command),
        ("Version", version),
        ("Recipe", report.plan.recipe.title),
        ("Duration", took),
    )
    return [(name, value) for name, value in entries if value]


def disagreements(evidence: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Count, by fact, the frames whose keywords say different things.

    Parameters
    ----------
    evidence : DataFrame or None
        Columns of `autoreduce.frames.schema.EVIDENCE_COLUMNS`.

    Returns
    -------
    list of dict
        ``fact``, ``value``, ``keyword``, ``disagree`` and ``n_frames``.
    """
    if evidence is None:
        return []
    keys = ["fact", "value", "keyword", "disagree"]
    texts = evidence[keys].fillna("").astype(str)
    counted = texts[texts["disagree"] != ""].groupby(keys, sort=True).size()
    rows: list[dict[str, Any]] = (
        counted.rename("n_frames").reset_index().to_dict("records")
    )
    return rows
