"""What a run came to, in plain words: for the report and for the terminal."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import pandas as pd

from autoreduce.fits.names import pattern_of
from autoreduce.frames.overrides import EXCLUDED, INCLUDED
from autoreduce.frames.schema import ImageType
from autoreduce.planning.focalplane import FocalPlane, focal_plane
from autoreduce.planning.plan import Action, Task
from autoreduce.planning.use import NEEDS
from autoreduce.remarks import ITSELF, Remark, Severity, condensed, joined, remark
from autoreduce.report.content import NightReport
from autoreduce.report.words import (
    PRODUCT_NOUNS,
    UNTOUCHED_NOUNS,
    count,
    day,
    days,
    duration,
    listing,
)


def heading(report: NightReport) -> str:
    """Name the night: the report's title, else made from the dates of what is used."""
    if report.title:
        return report.title
    frames = used_frames(report.frames, left_out(report))
    nights = sorted(frames["night"].dropna().unique())
    if not nights:
        return "A night without a date"
    if len(nights) == 1:
        return f"Night of {day(nights[0])}"
    return f"{len(nights)} nights, {days(nights[0], nights[-1])}"


def used_frames(frames: pd.DataFrame, lost: Mapping[str, object]) -> pd.DataFrame:
    """Give the frames that took part; all of them if none did."""
    used = ~frames["file"].isin(lost)
    return frames[used] if used.any() else frames


def headline(report: NightReport) -> str:
    """Say in one sentence what went in and what came out."""
    n_frames, n_used = len(report.frames), len(report.frames) - len(left_out(report))
    if not n_frames:
        return "No frame was found."
    plane = focal_plane(report.frames)
    exposures, detectors = len(set(plane.exposures.values())), len(plane.detectors)
    of_several = f"{count(exposures, 'exposure')} of {count(detectors, 'detector')}"
    frames = count(n_frames, "frame") + (f" ({of_several})" if exposures else "")
    used = "all used" if n_used == n_frames else f"{n_used} used"
    took = "" if report.elapsed_s is None else f" in {duration(report.elapsed_s)}"
    there = (
        ("made", _products(report, "done")),
        ("current already:", _products(report, "current")),
    )
    parts = [f"{words} {listing(things)}" for words, things in there if things]
    first, *rest = parts or ["nothing was made"]
    return f"From {frames}, {used}: {'; '.join([first + took, *rest])}."


def _products(report: NightReport, status: str) -> list[str]:
    """Count what ended in some way, masters first."""
    nouns = Counter(
        product_nouns(report, task)
        for action in Action
        for task in report.plan.tasks
        if task.action is action
        and task.output in report.outcomes
        and report.outcomes[task.output].status == status
    )
    return [count(n, *names) for names, n in nouns.items()]


def product_nouns(report: NightReport, task: Task) -> tuple[str, str]:
    """Say what a task makes, one and several: nothing done to a light is no calibration."""
    if task.action is Action.CALIBRATE and _is_untouched(report, task):
        return UNTOUCHED_NOUNS
    return PRODUCT_NOUNS[task.action]


def _is_untouched(report: NightReport, task: Task) -> bool:
    """Tell whether a light had neither an overscan nor any master."""
    frame, outcome = task.frames[0], report.outcomes.get(task.output)
    planned = {need for need in NEEDS if getattr(frame.calibration, need)}
    codes = {one.code for one in outcome.remarks} if outcome else set()
    gone = {need for need in planned if codes & {f"{need}-lost", f"{need}-refused"}}
    return not frame.has_overscan and planned == gone


def made(report: NightReport) -> dict[Action, int]:
    """Count the products that there are now, by action, masters first."""
    there = Counter(
        task.action for task in report.plan.tasks if is_there(report, task.output)
    )
    return {action: there[action] for action in Action if there[action]}


def stacked_lights(report: NightReport) -> dict[str, str]:
    """Tell in which stack each light is that is in one: both by their outputs."""
    return {
        light: task.output
        for task in report.plan.tasks
        if task.action is Action.STACK and is_there(report, task.output)
        for light in task.products
        if light not in report.outcomes[task.output].left_out
        and is_there(report, light)
    }


def verdict(report: NightReport) -> str:
    """Say in a few words what became of the lights."""
    n_lights = len(wanted_lights(report))
    if not n_lights:
        return "No lights"
    reduced = [
        task.output
        for task in report.plan.tasks
        if task.action is Action.CALIBRATE and is_there(report, task.output)
    ]
    placed = stacked_lights(report)
    words = f"{len(reduced)} of {count(n_lights, 'light')} reduced"
    if not placed:
        return f"{words}, none stacked"
    n_stacks = len(set(placed.values()))
    return f"{words}, {len(placed)} in {count(n_stacks, 'stack')}"


def is_there(report: NightReport, output: str) -> bool:
    """Tell whether a product was made, or was current already."""
    outcome = report.outcomes.get(output)
    return outcome is not None and outcome.status in {"done", "current"}


def wanted_lights(report: NightReport) -> list[str]:
    """List the files of the lights that nobody has excluded by hand."""
    frames = report.frames
    is_excluded = frames["code"].fillna("").eq(EXCLUDED)
    is_wanted = (
        frames["imagetyp"].eq(ImageType.LIGHT).fillna(value=False) & ~is_excluded
    )
    return [str(file) for file in frames.loc[is_wanted, "file"]]


def left_out(report: NightReport) -> dict[str, Remark]:
    """List the frames that took no part, each with its reason.

    Returns
    -------
    dict of str to Remark
        By file, in the order of the frame table: those left out by the table, by the
        run, and those that no task of the plan uses.
    """
    by_run = {
        file: why
        for outcome in report.outcomes.values()
        for file, why in outcome.left_out.items()
    }
    planned = {frame.file for task in report.plan.tasks for frame in task.frames}
    lost: dict[str, Remark] = {}
    columns = (report.frames[name] for name in ("file", "use", "why_not", "reason"))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for file, use, why_not, reason in rows:
        if file in by_run:
            lost[file] = by_run[file].about(file)
        elif not use:
            why = _known(why_not) or "no reason is given"
            lost[file] = _of_file("left-out", file, why)
        elif file not in planned:
            why = _known(reason) or "nothing could be made of it"
            lost[file] = _of_file("left-out", file, why)
    return lost


def _left_out(report: NightReport) -> Iterator[Remark]:
    """Tell of frames that took no part; in a judgement the observer has the last word."""
    for why in left_out(report).values():
        is_final = why.code not in _JUDGEMENTS or why.way_out
        yield why if is_final else replace(why, way_out=_BACK)


_BACK = f"--include '{ITSELF}'"
"""Brings a frame back."""
_JUDGEMENTS = frozenset(
    [
        "odd-level",
        "odd-noise",
        "odd-pattern",
        "odd-shape",
        "dim-flat",
        "full-flat",
        "no-light",
        "lit",
        "trailed",
        "out-of-focus",
        "faint",
        "few-stars",
    ]
)
"""Why frames are left out that are odd among their like: an observer may differ."""


def _of_file(code: str, file: str, why: str) -> Remark:
    """Say something of a file so that it is said once of all for which it holds."""
    for end in "':":
        why = why.replace(f"'{file}{end}", f"'{ITSELF}{end}")
    return remark(code, file, found=why)


def _unstacked(report: NightReport) -> Iterator[Remark]:
    """Tell which calibrated lights their stack does without, and why."""
    for task in report.plan.tasks:
        outcome = report.outcomes.get(task.output)
        if task.action is Action.STACK and outcome is not None:
            for light, why in outcome.left_out.items():
                way_out = _BACK if why.code in _JUDGEMENTS and not why.way_out else ""
                yield remark("not-stacked", light, found=str(why), way_out=way_out)


def _known(value: object) -> str:
    return "" if pd.isna(value) else str(value)


def remarks(report: NightReport, *, detailed: bool = False) -> tuple[Remark, ...]:
    """Gather what needs the observer's attention, gravest first.

    Parameters
    ----------
    report : NightReport
        The run; of one without outcomes what the plan alone tells.
    detailed : bool
        Whether each frame's own numbers are told, for programs.  Else one trouble of
        many frames is told once, with the range of its numbers, and groups that lack
        a master are named with the number of their frames.

    Returns
    -------
    tuple of Remark
        Equal remarks are joined, their subjects in the order of the plan or table.
    """
    join = joined if detailed else condensed
    plane = FocalPlane() if detailed else focal_plane(report.frames)
    found = [
        *_missing(report.plan.tasks, plane, counted=not detailed),
        *join(_unreadable(report)),
        *join(_left_out(report)),
        *join(_unstacked(report)),
        *join(_kept(report)),
        *join(one for end in report.outcomes.values() for one in end.remarks),
        *_notes(report),
    ]
    order = list(Severity)
    told = (_named_together(one, plane) for one in _with_patterns(report, found))
    return tuple(sorted(told, key=lambda one: order.index(one.severity)))


def _with_patterns(report: NightReport, found: Iterable[Remark]) -> Iterator[Remark]:
    """Name frames in a way out so that it can be pasted, however many they are."""
    files = report.frames["file"].tolist()
    raw = {file: file for file in files} | {
        task.output: task.frames[0].file
        for task in report.plan.tasks
        if task.action is Action.CALIBRATE
    }
    for one in found:
        meant = [raw[name] for name in one.subject if name in raw]
        if meant and (ITSELF in one.way_out or ITSELF in one.found):
            pattern = pattern_of(meant, files)
            texts = (text.replace(ITSELF, pattern) for text in (one.way_out, one.found))
            way_out, words = texts
            yield replace(one, way_out=way_out, found=words)
        else:
            yield one


def _named_together(one: Remark, plane: FocalPlane) -> Remark:
    """Name what is said of many detectors by what they have in common."""
    if len(one.subject) < 2 or not plane.exposures:
        return one
    named: dict[str, list[str]] = {}
    for name in one.subject:
        product = PurePosixPath(name)
        family = plane.families.get(product.stem)
        whole = str(product.with_name(family)) if family else plane.exposures.get(name)
        named.setdefault(whole or name, []).append(name)
    return one.about(
        *(
            names[0]
            if len(names) == 1
            else f"{whole} ({count(len(names), 'detector')})"
            for whole, names in named.items()
        )
    )


def kinds(remarks: Sequence[Remark]) -> list[tuple[list[Remark], list[Remark]]]:
    """Gather remarks of one code: those that are shown, and those that are like them.

    All are shown where they are few, else as many of each kind, in the order in which
    kinds were first told.
    """
    found: dict[str, list[Remark]] = {}
    for one in remarks:
        found.setdefault(one.code, []).append(one)
    most = max(1, REMARKS_SHOWN // max(1, len(found)))
    n = len(remarks) if len(remarks) <= REMARKS_SHOWN else most
    return [(kind[:n], kind[n:]) for kind in found.values()]


REMARKS_SHOWN = 10
"""Remarks of one heading that are in view, about."""


def _notes(report: NightReport) -> Iterator[Remark]:
    """Take over the plan's notes, but for what is told group by group or by frame."""
    told = [one for task in report.plan.tasks for one in task.missing]
    needs = {one.need for one in told}
    lacks = {_without_wanted(one) for one in told}
    for note in report.plan.notes:
        is_absence = note.severity is Severity.NOTE and note.need
        if (
            note.code not in _TOLD_BY_FRAME
            and _without_wanted(note) not in lacks
            and not (is_absence and note.need in needs)
        ):
            yield note


_TOLD_BY_FRAME = {"bare-flats"}
"""Notes of the plan whose frames `left_out` names."""


def _without_wanted(lack: Remark) -> Remark:
    """Return a lack as it is said of frames that wanted something else."""
    return replace(lack, expected="", subject=())


def _missing(
    tasks: Iterable[Task], plane: FocalPlane, *, counted: bool
) -> Iterator[Remark]:
    lacks: dict[Remark, dict[str, set[str]]] = {}
    for task in tasks:
        for one in task.missing if task.frames else ():
            groups = lacks.setdefault(one, {})
            files = groups.setdefault(plane.family(task.group), set())
            files |= {plane.exposures.get(item.file, item.file) for item in task.frames}
    for one, groups in lacks.items():
        named = (f"{name} ({count(len(of), 'frame')})" for name, of in groups.items())
        yield one.about(*(named if counted else groups))


def _unreadable(report: NightReport) -> list[Remark]:
    table = report.unreadable
    pairs = zip(table["reason"], table["file"], strict=True)
    return [_of_file("unreadable", file, why) for why, file in pairs]


def _kept(report: NightReport) -> Iterator[Remark]:
    table = report.frames
    against = table["why_not"].fillna("").ne("") & table["code"].fillna("").ne(INCLUDED)
    kept = table[table["use"] & against]
    for why, file in zip(kept["why_not"], kept["file"], strict=True):
        yield remark("kept", file, found=why)
