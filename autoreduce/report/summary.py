"""What a run came to, in plain words: for the report and for the terminal."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from autoreduce.frames.overrides import BY_HAND
from autoreduce.planning.plan import Action, Task
from autoreduce.report.content import NightReport
from autoreduce.report.words import PRODUCT_NOUNS, count, day, days, duration, listing

ITEM = "FILE"
"""Stands for the name of each item in what is said of several."""


class Concern(StrEnum):
    """What kind of thing a remark is about, gravest first."""

    FAILED = "failed"
    """A product that could not be made."""
    BLOCKED = "blocked"
    """A product whose masters could not be made."""
    MISSING = "missing"
    """A correction left out for want of a master."""
    UNREADABLE = "unreadable"
    """A file that could not be read."""
    LEFT_OUT = "left out"
    """A frame that took no part."""
    CAVEAT = "caveat"
    """A product to be used with care."""
    NOTE = "note"
    """Something to know of the night as a whole."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that the observer should know, and what it is about."""

    concern: Concern
    """Its kind."""
    text: str
    """What happened, in words."""
    items: tuple[str, ...] = ()
    """Frames, files, groups or products that it is about."""


def heading(report: NightReport) -> str:
    """Name the night: the report's title, else made from the dates."""
    if report.title:
        return report.title
    nights = sorted(report.frames["night"].dropna().unique())
    if not nights:
        return "A night without a date"
    if len(nights) == 1:
        return f"Night of {day(nights[0])}"
    return f"{len(nights)} nights, {days(nights[0], nights[-1])}"


def headline(report: NightReport) -> str:
    """Say in one sentence what went in and what came out."""
    n_frames, n_used = len(report.frames), len(report.frames) - len(left_out(report))
    if not n_frames:
        return "No frame was found."
    frames = count(n_frames, "frame")
    used = "all used" if n_used == n_frames else f"{n_used} used"
    took = "" if report.elapsed_s is None else f" in {duration(report.elapsed_s)}"
    products = [count(n, *PRODUCT_NOUNS[action]) for action, n in made(report).items()]
    came = f"made {listing(products)}{took}" if products else "nothing was made"
    return f"From {frames}, {used}: {came}.{_current(report)}"


def _current(report: NightReport) -> str:
    n = sum(outcome.status == "current" for outcome in report.outcomes.values())
    if not n:
        return ""
    return f" {count(n, 'product was', 'products were')} already up to date."


def made(report: NightReport) -> dict[Action, int]:
    """Count the products that there are now, by action, masters first."""
    there = Counter(
        task.action for task in report.plan.tasks if is_there(report, task.output)
    )
    return {action: there[action] for action in Action if there[action]}


def is_there(report: NightReport, output: str) -> bool:
    """Tell whether a product was made, or was current already."""
    outcome = report.outcomes.get(output)
    return outcome is not None and outcome.status in {"done", "current"}


def left_out(report: NightReport) -> dict[str, str]:
    """List the frames that took no part, each with its reason.

    Returns
    -------
    dict of str to str
        By file, in the order of the frame table: those left out by the table, by the
        run, and those that no task of the plan uses.
    """
    by_run = {
        file: reason
        for outcome in report.outcomes.values()
        for file, reason in outcome.left_out.items()
    }
    planned = {frame.file for task in report.plan.tasks for frame in task.frames}
    lost: dict[str, str] = {}
    for frame in report.frames[["file", "use", "why_not", "reason"]].itertuples():
        if frame.file in by_run:
            lost[frame.file] = by_run[frame.file]
        elif not frame.use:
            lost[frame.file] = _known(frame.why_not) or "no reason is given"
        elif frame.file not in planned:
            lost[frame.file] = _known(frame.reason) or "nothing could be made of it"
    return lost


def _unstacked(report: NightReport) -> Iterator[tuple[str, str]]:
    """Tell which calibrated lights their stack does without, and why."""
    for task in report.plan.tasks:
        outcome = report.outcomes.get(task.output)
        if task.action is Action.STACK and outcome is not None:
            for light, reason in outcome.left_out.items():
                yield f"not stacked, {reason}", light


def _known(value: object) -> str:
    return "" if pd.isna(value) else str(value)


def remarks(report: NightReport) -> tuple[Remark, ...]:
    """Gather what needs the observer's attention, gravest first.

    Returns
    -------
    tuple of Remark
        Equal remarks are joined, their items in the order of the plan or table.
    """
    found = [
        *_unmade(report, "failed", Concern.FAILED),
        *_unmade(report, "blocked", Concern.BLOCKED),
        *_missing(report.plan.tasks),
        *_unreadable(report),
        *_joined(
            Concern.LEFT_OUT, ((why, file) for file, why in left_out(report).items())
        ),
        *_joined(Concern.LEFT_OUT, _unstacked(report)),
        *_kept(report),
        *_caveats(report),
    ]
    return (*found, *_notes(report))


def _notes(report: NightReport) -> Iterator[Remark]:
    """Take over the plan's notes, but for lacks that are told group by group."""
    told = {
        (task.facts.get("imagetyp"), text.split(":")[0])
        for task in report.plan.tasks
        for text in task.missing
    }
    needs = {need for _, need in told}
    for note in report.plan.notes:
        lack, absence = _LACK_NOTE.match(note), _ABSENCE_NOTE.match(note)
        if lack and lack.groups() in told:
            continue
        if not (absence and absence[1] in needs):
            yield Remark(Concern.NOTE, note)


_LACK_NOTE = re.compile(r"\d+ (\w+?)s?: (no \w+)")
"""A note such as ``8 lights: no dark: ...``."""
_ABSENCE_NOTE = re.compile(r"there are (no (?:bias|dark|flat))")
"""A note such as ``there are no darks among ...``."""


def _joined(concern: Concern, pairs: Iterable[tuple[str, str]]) -> tuple[Remark, ...]:
    """Join equal remarks, also those that differ only in the name of their item."""
    told: dict[str, dict[str, str]] = {}
    for text, item in pairs:
        told.setdefault(text.replace(item, ITEM), {})[item] = text
    return tuple(
        Remark(
            concern,
            shared if len(texts) > 1 else next(iter(texts.values())),
            tuple(texts),
        )
        for shared, texts in told.items()
    )


def _unmade(report: NightReport, status: str, concern: Concern) -> tuple[Remark, ...]:
    return _joined(
        concern,
        (
            (outcome.reason or status, output)
            for output, outcome in report.outcomes.items()
            if outcome.status == status
        ),
    )


def _missing(tasks: Iterable[Task]) -> tuple[Remark, ...]:
    lacks: dict[str, Counter[str]] = {}
    for task in tasks:
        for text in task.missing if task.frames else ():
            lacks.setdefault(text, Counter())[task.group] += len(task.frames)
    return tuple(
        Remark(
            Concern.MISSING,
            text,
            tuple(f"{group} ({count(n, 'frame')})" for group, n in groups.items()),
        )
        for text, groups in lacks.items()
    )


def _unreadable(report: NightReport) -> tuple[Remark, ...]:
    table = report.unreadable
    return _joined(Concern.UNREADABLE, zip(table["reason"], table["file"], strict=True))


def _kept(report: NightReport) -> tuple[Remark, ...]:
    table = report.frames
    known = table["why_not"].notna() & ~table["why_not"].isin(["", BY_HAND])
    kept = table[table["use"] & known.fillna(value=False)]
    texts = "used in spite of this: " + kept["why_not"]
    return _joined(Concern.NOTE, zip(texts, kept["file"], strict=True))


def _caveats(report: NightReport) -> tuple[Remark, ...]:
    return _joined(
        Concern.CAVEAT,
        (
            (caveat, output)
            for output, outcome in report.outcomes.items()
            for caveat in outcome.caveats
        ),
    )
