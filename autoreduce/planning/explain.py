"""What a plan does, in words: the whole night as a table, one frame in full."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import pandas as pd

from autoreduce.errors import TableError
from autoreduce.frames.schema import FACT_COLUMNS
from autoreduce.planning.focalplane import FocalPlane, in_common
from autoreduce.planning.matching import MOST_VERDICTS
from autoreduce.planning.notes import without_stack
from autoreduce.planning.phrases import number_text
from autoreduce.planning.plan import (
    Action,
    Calibration,
    Fact,
    FrameInput,
    Plan,
    Task,
    Verdict,
)
from autoreduce.planning.use import BY_HAND, NEEDS, DarkMethod, is_absolute, stem
from autoreduce.remarks import Remark, joined


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One line of the table that shows a plan: one group of frames."""

    kind: str
    """bias, dark, flatdark, flat, light, or dark fit."""
    group: str
    """Name of the group."""
    n_frames: int
    """How many frames (of a fit: master darks) go in."""
    exposure: str
    """Exposures, such as ``60 s`` or ``11.55 - 12.08 s``."""
    bias: str
    """Master bias, or what is done instead."""
    dark: str
    """Master dark, and how it is taken to the exposure."""
    flat: str
    """Master flat."""
    level: int
    """Worst level among the masters."""
    missing: tuple[Remark, ...]
    """What is left out for want of a master."""
    output: str
    """Product; empty if the frames are calibrated and not stacked."""


@dataclass(frozen=True, slots=True)
class FactLine:
    """One fact of a frame and where it comes from."""

    fact: str
    value: Fact
    """A number, a text, or a time as ISO 8601."""
    source: str
    """Keyword and what it said literally; empty if it was not read from a header."""
    disagree: str
    """Keywords that say otherwise."""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return number_text(self.fact, self.value)


@dataclass(frozen=True, slots=True)
class FrameStory:
    """Everything that the plan says of one frame."""

    file: str
    path: str
    """Where its file lies; empty if that is not known."""
    use: bool
    why_not: str
    """Why it is left out."""
    facts: tuple[FactLine, ...]
    group: str
    """Group of like frames; empty if it takes no part."""
    n_group: int
    """How many frames the group has."""
    output: str
    """Product that the frame goes into."""
    made: str
    """Path of that product; empty if it is not there."""
    stack: str
    """Stack that its calibrated frame goes into; empty if none."""
    stacked: str
    """Path of that stack; empty if it is not there."""
    unstacked: str
    """Why no stack has it: none is planned, or that of the last run does without it."""
    level: int | None
    """Worst level among its masters."""
    steps: tuple[str, ...]
    """One sentence for each master, or for the lack of it."""
    candidates: tuple[Verdict, ...]
    """Every master that was considered, the chosen one first."""


def describe_plan(plan: Plan, plane: FocalPlane | None = None) -> list[GroupRow]:
    """Sum up a plan group by group.

    Parameters
    ----------
    plan : Plan
        The plan.
    plane : FocalPlane, optional
        What its frames are to one another: groups of the detectors of a camera share a
        line.

    Returns
    -------
    list of GroupRow
        In the order bias, darks, fits, flats, lights, by name within each.
    """
    plane = plane or FocalPlane()
    masters: dict[tuple[Action, tuple[str, ...]], list[Task]] = defaultdict(list)
    lights: dict[str, list[Task]] = defaultdict(list)
    stacks: dict[str, Task] = {}
    for task in plan.tasks:
        family = plane.family(task.group)
        if task.action is Action.CALIBRATE:
            lights[family].append(task)
        elif task.action is Action.STACK:
            stacks.setdefault(family, task)
        elif task.action not in (Action.REGISTER, Action.EXPOSURE):
            masters[task.action, _kin(task, plane)].append(task)
    return [
        *(_master_row(plan, tasks, plane) for tasks in masters.values()),
        *(
            _light_row(plan, tasks, plane, stacks.get(family))
            for family, tasks in sorted(lights.items())
        ),
    ]


def _kin(task: Task, plane: FocalPlane) -> tuple[str, ...]:
    """Name what tasks of the detectors of a camera share: masters, where it has no frames."""
    families = {plane.families.get(stem(name)) for name in task.products}
    if task.frames or None in families or not families:
        return (plane.family(task.group),)
    return tuple(sorted(filter(None, families)))


def _master_row(plan: Plan, tasks: Sequence[Task], plane: FocalPlane) -> GroupRow:
    task, named = (
        tasks[0],
        {Action.DARK_FIT: "dark fit", Action.BAD_PIXELS: "bad pixels"},
    )
    of_masters = task.action in named
    masters = {
        plane.families.get(stem(name), name) for task in tasks for name in task.products
    }
    row = _row(plan, tasks, plane)
    return replace(
        row,
        kind=named.get(task.action, str(task.facts["imagetyp"])),
        n_frames=len(masters) if of_masters else row.n_frames,
        exposure="" if of_masters else row.exposure,
        output=task.output,
    )


def _light_row(
    plan: Plan, tasks: Sequence[Task], plane: FocalPlane, stack: Task | None
) -> GroupRow:
    row = _row(plan, tasks, plane)
    return replace(row, kind="light", output=stack.output if stack else "")


def _row(plan: Plan, tasks: Sequence[Task], plane: FocalPlane) -> GroupRow:
    """Say of the tasks of a group what does not depend on what they make."""
    frames = [item for task in tasks for item in task.frames]
    return GroupRow(
        kind="",
        group=in_common(sorted({plane.family(task.group) for task in tasks})),
        n_frames=len({plane.exposures.get(item.file, item.file) for item in frames}),
        exposure=_exposures(frames),
        **_masters_of(plan, frames, plane),
        level=max(task.level for task in tasks),
        missing=tuple(joined(one for task in tasks for one in task.missing)),
        output="",
    )


def _exposures(frames: Sequence[FrameInput]) -> str:
    known = sorted({item.exptime for item in frames if item.exptime is not None})
    if not known:
        return "unknown" if frames else ""
    if len(known) == 1:
        return number_text("exptime", known[0])
    return f"{known[0]:.6g} - {number_text('exptime', known[-1])}"


def _masters_of(
    plan: Plan, frames: Sequence[FrameInput], plane: FocalPlane
) -> dict[str, str]:
    """Say in a few words which masters the frames of a group get."""
    texts: dict[str, list[str]] = {need: [] for need in NEEDS}
    served: dict[str, list[Calibration]] = defaultdict(list)
    for item in frames:
        calibration = item.calibration
        bias = _name(calibration.bias, plane) or _instead_of_bias(plan, item)
        texts["bias"].append(bias)
        texts["flat"].append(_name(calibration.flat, plane))
        if calibration.dark is not None:
            served[_name(calibration.dark, plane)].append(calibration)
    texts["dark"] = [_dark_text(dark, those) for dark, those in served.items()]
    return {need: _few(dict.fromkeys(found)) for need, found in texts.items()}


_SHOWN = 6
"""Masters of a group that are named; of those of more nights the first."""


def _few(names: Iterable[str]) -> str:
    """List names, of many the first."""
    known = [name for name in names if name]
    n_more = len(known) - _SHOWN
    more = [f"and {n_more} more"] if n_more > 0 else []
    return ", ".join([*known[:_SHOWN], *more])


def _name(output: str | None, plane: FocalPlane) -> str:
    if output is None:
        return ""
    name = plane.family(stem(output))
    return f"{name} (library)" if is_absolute(output) else name


def _instead_of_bias(plan: Plan, item: FrameInput) -> str:
    use = plan.uses.get(item.setup, {}).get("bias")
    if use is not None and use.held_by is not None:
        return "in the dark"
    return "overscan" if item.has_overscan else ""


def _dark_text(name: str, served: Sequence[Calibration]) -> str:
    """Say how a dark serves those frames of a group that get it."""
    methods = dict.fromkeys(item.dark_method for item in served)
    scales = sorted({item.dark_scale for item in served if item.dark_scale is not None})
    words = []
    for method in methods:
        if method is DarkMethod.SCALED:
            factors = f"{scales[0]:.3g}"
            if f"{scales[-1]:.3g}" != factors:
                factors += f" - {scales[-1]:.3g}"
            words.append(f"scaled x {factors}")
        else:
            words.append("fitted" if method is DarkMethod.FIT else "exact")
    return f"{name} ({', '.join(words)})"


# ---------------------------------------------------------------- one frame


def frame_stories(
    frames: pd.DataFrame,
    plan: Plan,
    evidence: pd.DataFrame,
    files: Sequence[str],
    paths: Mapping[str, str] | None = None,
) -> list[FrameStory]:
    """Collect everything that table, evidence and plan say of some frames.

    Parameters
    ----------
    frames : DataFrame
        The frame table that the plan was made from.
    plan : Plan
        The plan.
    evidence : DataFrame
        Which keyword gave each fact; may be empty.
    files : sequence of str
        The frames, as in the column ``file``.
    paths : mapping of str to str, optional
        Where frames and products lie, by name; of those that are there.

    Returns
    -------
    list of FrameStory
        For each frame what it is, its group and masters, and every candidate.

    Raises
    ------
    TableError
        If the table has no such frame.
    """
    book = _Book(plan, evidence, paths or {})
    table = frames.set_index("file", drop=False)
    return [book.story(_row_of(table, file)) for file in files]


class _Book:
    """A plan and the evidence, opened at the frame."""

    def __init__(
        self, plan: Plan, evidence: pd.DataFrame, paths: Mapping[str, str]
    ) -> None:
        self._plan, self._paths = plan, paths
        self._inputs: dict[str, tuple[Task, FrameInput]] = {}
        self._stacks: dict[str, str] = {}
        self._sizes: Counter[str] = Counter()
        self._verdicts: dict[str, list[Verdict]] = defaultdict(list)
        self._sources: dict[str, dict[str, Any]] = defaultdict(dict)
        for task in plan.tasks:
            self._sizes[task.group] += len(task.frames)
            self._inputs.update({item.file: (task, item) for item in task.frames})
            if task.action is Action.STACK:
                self._stacks.update(dict.fromkeys(task.products, task.output))
        self._apart = without_stack(plan)
        for entry in plan.verdicts:
            self._verdicts[entry.setup].append(entry)
        for line in evidence.itertuples():
            self._sources[line.file][line.fact] = line

    def story(self, row: pd.Series) -> FrameStory:
        """Tell of the frame of one row of the table."""
        task, item = self._inputs.get(row["file"], (None, None))
        output = task.output if task else ""
        stack = self._stacks.get(output, "")
        return FrameStory(
            file=row["file"],
            path=self._paths.get(row["file"], ""),
            use=bool(row["use"]),
            why_not="" if pd.isna(row["why_not"]) else str(row["why_not"]),
            facts=_fact_lines(row, self._sources[row["file"]]),
            group=task.group if task else "",
            n_group=self._sizes[task.group] if task else 0,
            output=output,
            made=self._paths.get(output, ""),
            stack=stack,
            stacked=self._paths.get(stack, ""),
            unstacked=self._unstacked(row["unstacked"], output),
            level=item.level if item else None,
            steps=self._steps(item) if item else (),
            candidates=self._candidates(item.setup) if item else (),
        )

    def _unstacked(self, last_run: object, output: str) -> str:
        """Say why no stack has a light: as it is planned, or as the last run found."""
        if output in self._apart:
            return str(self._apart[output])
        return "" if pd.isna(last_run) else str(last_run)

    def _steps(self, item: FrameInput) -> tuple[str, ...]:
        uses = self._plan.uses.get(item.setup, {}).values()
        return tuple(words for use in uses if (words := str(use)))

    def _candidates(self, setup: str) -> tuple[Verdict, ...]:
        """List the entries of a setup by need, the chosen one first, then by level."""

        def rank(entry: Verdict) -> tuple[int, bool, int, str]:
            level = 9 if entry.level is None else entry.level
            return (
                NEEDS.index(entry.need), not entry.chosen, level, entry.candidate
            )  # fmt: skip

        return tuple(sorted(self._verdicts[setup], key=rank))


def _row_of(table: pd.DataFrame, file: str) -> pd.Series:
    if file not in table.index:
        near = get_close_matches(file, table["file"].tolist(), n=3, cutoff=0.3)
        hint = f"; nearest are {', '.join(near)}" if near else ""
        msg = f"the table has no frame {file}{hint}"
        raise TableError(msg)
    return table.loc[file]


_NOT_FACTS = {"file", "use", "why_not"}


def _fact_lines(row: pd.Series, sources: Mapping[str, Any]) -> tuple[FactLine, ...]:
    """List the known facts of a frame, with the keyword that gave each."""
    lines = []
    for column in FACT_COLUMNS:
        fact, value = column.name, row[column.name]
        if fact in _NOT_FACTS or pd.isna(value):
            continue
        line = sources.get(fact)
        source = f"{line.keyword} = {line.literal}" if line else ""
        disagree = "" if line is None or pd.isna(line.disagree) else str(line.disagree)
        lines.append(FactLine(fact, _plain_value(value), source, disagree))
    return tuple(lines)


def _plain_value(value: Any) -> Fact:  # noqa: ANN401 -- a cell of any column
    """Take a value out of the table: neither numpy nor pandas has a part in it."""
    if isinstance(value, pd.Timestamp):
        return str(value.isoformat())
    plain: Fact = value.item() if hasattr(value, "item") else value
    return plain


def explain_frames(
    frames: pd.DataFrame,
    plan: Plan,
    evidence: pd.DataFrame,
    files: Sequence[str],
    paths: Mapping[str, str] | None = None,
) -> str:
    """Explain frames in words; parameters and errors as `frame_stories`.

    Returns
    -------
    str
        For each frame what it is and which keyword said so, its group, its masters
        with level and reason, and why each other candidate was not taken.
    """
    stories = frame_stories(frames, plan, evidence, files, paths)
    return "\n\n".join(_story_text(story) for story in stories)


def _story_text(story: FrameStory) -> str:
    lines = [story.path or story.file, *_headline(story), "", "What it is"]
    lines += [f"  {_fact_text(line)}" for line in story.facts]
    if story.steps:
        level = "" if story.level is None else f" (level {story.level})"
        lines += ["", f"What is taken out of it{level}"]
        lines += [f"  {step}" for step in story.steps]
    for need in NEEDS:
        entries = [entry for entry in story.candidates if entry.need == need]
        if entries:
            which = ", the best or closest" if len(entries) == MOST_VERDICTS else ""
            lines += ["", f"Candidates for its {need}{which}"]
            lines += [f"  {candidate_text(entry)}" for entry in entries]
    return "\n".join(lines)


def _headline(story: FrameStory) -> list[str]:
    if not story.use:
        return [f"  is left out: {story.why_not or 'no reason given'}"]
    if not story.output:
        why = f": {story.why_not}" if story.why_not else ""
        return [f"  takes part in nothing that is made{why}"]
    number = "1 frame" if story.n_group == 1 else f"{story.n_group} frames"
    kept = f"  is kept although: {story.why_not}"
    lines = [
        f"  group {story.group} of {number}, {_product(story)}",
        _stacked(story),
        kept if story.why_not else "",
    ]
    return [line for line in lines if line]


def _product(story: FrameStory) -> str:
    return f"made {story.made}" if story.made else f"makes {story.output}"


def _stacked(story: FrameStory) -> str:
    """Say into which stack a light goes, or why it does not."""
    stack = story.stacked or story.stack
    if story.unstacked:
        return f"  not in {stack or 'a stack'}: {story.unstacked}"
    return f"  stacked into {stack}" if stack else ""


def _fact_text(line: FactLine) -> str:
    text = f"{line.fact:10} {line.text}"
    if line.source:
        text += f"    from {line.source}"
    return f"{text}    but {line.disagree}" if line.disagree else text


def candidate_text(entry: Verdict) -> str:
    """Say in one line why a candidate was, or was not, taken."""
    name = _name(entry.candidate, FocalPlane())
    if entry.chosen:
        how = f": {entry.criterion}" if entry.criterion else ""
        level = "" if entry.level is None else f", level {entry.level}"
        return f"{name}: taken{level}{how}"
    if entry.level is None:
        values = (
            f" (wanted {entry.wanted}, found {entry.found})" if entry.wanted else ""
        )
        return f"{name}: not fit, {entry.criterion}{values}"
    if entry.criterion == BY_HAND:
        return f"{name}: level {entry.level}, another was {BY_HAND}"
    values = f" (taken: {entry.wanted}, this: {entry.found})" if entry.wanted else ""
    return (
        f"{name}: level {entry.level}, another is better by {entry.criterion}{values}"
    )
