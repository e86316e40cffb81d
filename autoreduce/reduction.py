"""A night from plan to report: everything carried out, and what came of it."""

import logging
import os
import shlex
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pandas as pd

from autoreduce.calibration.dark_rates import read_fit
from autoreduce.errors import ProductError
from autoreduce.fits.ledger import LEDGER, Ledger
from autoreduce.fits.spreadsheet import frame_text
from autoreduce.fits.whole import write_text
from autoreduce.frames.schema import MEASURED_COLUMNS, typed
from autoreduce.planning.badpixels import with_bad_pixels
from autoreduce.planning.naming import stack_output
from autoreduce.planning.notes import without_stack
from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.prepare import (
    Choices,
    Folders,
    PlannedNight,
    earlier_outcomes,
    keeping_edits,
    make_folder,
    output_folder,
    paths_of_night,
    prepare_night,
    write_frames,
    write_plan,
    write_plan_json,
)
from autoreduce.products.lightlist import LIGHT_COLUMNS, WHOLE, light_row
from autoreduce.products.other_flats import other_flats
from autoreduce.remarks import Remark, Severity, remark, some
from autoreduce.report import content
from autoreduce.report.content import NightReport, ObjectPicture
from autoreduce.report.summary import (
    headline,
    is_there,
    made,
    remarks,
    wanted_lights,
)
from autoreduce.report.words import size
from autoreduce.running.ending import tidied
from autoreduce.running.execute import (
    Limits,
    Outcome,
    Progress,
    Status,
    run_plan,
)
from autoreduce.running.folder import (
    LEFT_OVER,
    clear_parts,
    forget,
    no_longer_planned,
    outdated_curves,
    put_aside,
    remember,
)
from autoreduce.running.lock import held
from autoreduce.running.logfile import LOG, log_file
from autoreduce.running.machine import free_memory
from autoreduce.running.processes import Workers
from autoreduce.running.server import start_for
from autoreduce.running.tasks import spoilt
from autoreduce.version import __version__

if TYPE_CHECKING:
    from autoreduce.report.render import Draft

log = logging.getLogger(__name__)


MOST_STALE = 0.5
"""Part of the products above which those that no plan makes are not moved away."""
FILLED = {"dark_scale", *(column.name for column in MEASURED_COLUMNS)}
"""Columns of the frame table that a run fills."""
_HEADER_BYTES = 32 * 2880


@dataclass(frozen=True, slots=True)
class ReducedNight:
    """A night that is reduced."""

    folder: Path
    """Output folder."""
    report: NightReport = field(repr=False)
    """Tables, plan and outcomes."""
    page: Path | None = None
    """The report's page, if one was asked for and could be written."""

    def __repr__(self) -> str:
        ends = [outcome.status for outcome in self.report.outcomes.values()]
        counts = ((status, ends.count(status)) for status in Status)
        words = [f"{n} {status}" for status, n in counts if n]
        words += [f"{len(self.remarks)} remarks"]
        return f"<ReducedNight {self.folder}: {', '.join(words)}>"

    @property
    def frames(self) -> pd.DataFrame:
        """The frame table, with what was measured: as ``frames.csv``."""
        return self.report.frames

    @property
    def lights(self) -> pd.DataFrame:
        """The calibrated lights: as ``lights.csv``."""
        return light_table(self.report.plan, self.report.outcomes)

    @property
    def outcomes(self) -> Mapping[str, content.Outcome]:
        """How each product came about, by its path below `folder`."""
        return self.report.outcomes

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What the observer is told, gravest first."""
        return remarks(self.report)

    @property
    def failed(self) -> list[str]:
        """Outputs that could not be made."""
        bad = (Status.FAILED, Status.BLOCKED)
        outcomes = self.report.outcomes.items()
        return [output for output, outcome in outcomes if outcome.status in bad]

    @property
    def failed_altogether(self) -> bool:
        """Whether something could not be made, or nothing at all, or no light."""
        failed = self.failed or self.told(Severity.FAILED)
        return bool(failed) or not made(self.report) or self.lost_lights

    @property
    def lost_lights(self) -> bool:
        """Whether the night holds lights that were not excluded, and none was made."""
        tasks = self.report.plan.tasks
        lights = (task.output for task in tasks if task.action is Action.CALIBRATE)
        is_any = any(is_there(self.report, output) for output in lights)
        return bool(wanted_lights(self.report)) and not is_any

    def told(self, *severities: Severity) -> list[Remark]:
        """List the remarks of some severities; see `autoreduce.remarks.Severity`."""
        return [one for one in self.remarks if one.severity in severities]

    @property
    def incomplete(self) -> bool:
        """Whether a frame was left out, or a master is missing."""
        return bool(self.told(*(set(Severity) - {Severity.NOTE})))


def reduce_night(
    night: Folders,
    output: str | os.PathLike[str] | None = None,
    *,
    choices: Choices | None = None,
    limits: Limits | None = None,
    page: bool = True,
    command: str = "",
    progress: Progress | None = None,
    planned: Callable[[Plan], None] | None = None,
) -> ReducedNight:
    """Reduce a night in one go.

    Parameters
    ----------
    night : path, or sequence of path
        The night's folder or folders, searched with all their subfolders.
    output : path, optional
        Output folder; ``NIGHT_reduced`` beside the night if absent, of several
        folders beside the one that holds them all.
    choices : Choices, optional
        What the observer asks for.
    limits : Limits, optional
        What the run may use.
    page : bool
        Whether ``report.html`` is written.
    command : str
        The command line, for the report.
    progress : callable, optional
        Told of progress, as in `autoreduce.running.execute.run_plan`.
    planned : callable, optional
        Told the plan before it is carried out.

    Returns
    -------
    ReducedNight
        Where the products are, and what came of each.

    Raises
    ------
    AutoreduceError
        If nothing can be reduced at all; a single frame or product that fails is an
        outcome, not an error.
    """
    begin = time.perf_counter()
    target = None if output is None else Path(output)
    folders = paths_of_night(night)
    folder = output_folder(folders, target)
    limits = limits or Limits()
    if limits.may_have_processes:
        start_for(folders)
    prepared = prepare_night(night, choices, jobs=limits.processes_at_most)
    if planned is not None:
        planned(prepared.plan)
    return run_prepared(
        prepared,
        folder,
        limits=limits,
        page=page,
        command=command,
        progress=progress,
        begin=begin,
    )


def run_prepared(
    prepared: PlannedNight,
    folder: Path,
    *,
    limits: Limits | None = None,
    page: bool = True,
    command: str = "",
    progress: Progress | None = None,
    begin: float | None = None,
) -> ReducedNight:
    """Carry out a plan and write all products, tables and the report.

    Parameters
    ----------
    prepared : PlannedNight
        The planned night.
    folder : Path
        Output folder.
    limits, page, command, progress
        As in `reduce_night`.
    begin : float, optional
        When the run began, by `time.perf_counter`.

    Returns
    -------
    ReducedNight
        Where the products are, and what came of each.

    Raises
    ------
    ProductError
        If the output folder cannot be written to, or the disk is too small.
    FolderHeldError
        If another run holds the output folder, and is not waited for.
    """
    begin = time.perf_counter() if begin is None else begin
    limits = limits or Limits()
    make_folder(folder)
    with held(folder, wait=limits.wait), Workers() as workers:
        if limits.planes:
            prepared = replace(prepared, plan=with_bad_pixels(prepared.plan))
        _check_space(prepared, folder, planes=limits.planes)
        earlier = earlier_outcomes(folder)
        known = known_outcomes(earlier)
        clear_parts(folder)
        prepared = _with_stale(prepared, folder, known, prune=limits.prune)
        prepared = write_plan(prepared, folder, earlier)
        with tidied(folder):
            with log_file(folder / LOG) as cut:
                if page:
                    Thread(target=_load_page, name="load-page").start()
                log.info(
                    "autoreduce %s: %s", __version__, command or prepared.plan.root
                )
                for row in prepared.night.unreadable.itertuples():
                    log.warning("%s is not used: %s", row.file, row.reason)
                outcomes = run_plan(
                    prepared.plan,
                    folder,
                    limits=limits,
                    known=known,
                    progress=progress,
                    workers=workers,
                )
                if limits.solve:
                    from autoreduce.running.solving import solve_night

                    made = {
                        output: outcome.outputs
                        for output, outcome in outcomes.items()
                        if outcome.made
                    }
                    notes = solve_night(prepared.plan, made, folder)
                    prepared = prepared.noting(*notes)
                memory = limits.memory or free_memory() // 2
                pictures = _pictures(
                    prepared.plan, outcomes, folder, memory, workers, shown=page
                )
            prepared = prepared.noting(*cut, *_outdated(folder))
            there = {one: end.statistics for one, end in outcomes.items() if end.made}
            prepared = prepared.noting(*other_flats(prepared.plan, there, folder))
            if limits.fill is None:
                prepared = prepared.noting(*_without_value(prepared.plan, outcomes))
            report = _tables(prepared, outcomes, folder, command, begin)
            # The page is drafted while pictures are made.
            draft = _draft(report, folder, workers) if page else None
            report = replace(report, pictures=tuple(pictures))
        remember(folder, [one.output for one in report.pictures if not one.why_not])
        is_new = any(outcome.status != Status.CURRENT for outcome in outcomes.values())
        if is_new or any(one.why_not for one in report.pictures):
            _log_summary(report, folder)
        if draft is None:
            return ReducedNight(folder, report)
        return _with_page(report, folder, draft)


def _log_summary(report: NightReport, folder: Path) -> None:
    """End the log with what the observer is told of the run."""
    with log_file(folder / LOG):
        for picture in report.pictures:
            if picture.why_not:
                log.warning("no picture of %s: %s", picture.name, picture.why_not)
        log.info("%s", headline(report))
        for one in remarks(report):
            level = logging.INFO if one.severity is Severity.NOTE else logging.WARNING
            log.log(level, "%s: %s", one.severity, one.line)


def _tables(
    prepared: PlannedNight,
    outcomes: Mapping[str, Outcome],
    folder: Path,
    command: str,
    begin: float,
) -> NightReport:
    """Write the tables of a run, and gather what the report tells."""
    prepared = keeping_edits(prepared, folder)
    frames = with_outcomes(prepared.frames, prepared.plan, outcomes)
    write_frames(frames, folder)
    lights = light_table(prepared.plan, outcomes)
    write_text(folder / "lights.csv", frame_text(lights))
    write_plan_json(prepared.plan, folder, _as_json(outcomes))
    remember(folder, ("lights.csv", "plan.json"))
    return NightReport(
        frames=frames,
        plan=prepared.plan,
        outcomes=outcomes,
        unreadable=prepared.night.unreadable,
        fits=_fits(prepared.plan, outcomes, folder),
        evidence=prepared.night.evidence,
        lights=lights,
        version=__version__,
        command=command,
        elapsed_s=time.perf_counter() - begin,
    )


def _pictures(
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    folder: Path,
    memory: int,
    workers: Workers,
    *,
    shown: bool,
) -> Iterable[ObjectPicture]:
    """Begin to write the pictures of all objects; what fails stands in the report."""
    from autoreduce.report.finished import picture_outputs, write_pictures

    # Those that are damaged, or were changed by hand, are made again.
    files = Ledger.load(folder / LEDGER)
    there = [one for one in picture_outputs(plan).values() if one in files]
    spoilt_ones = spoilt(
        [one for one in there if (folder / one).is_file()], folder, files
    )
    for name, place in put_aside(folder, spoilt_ones or ()).items():
        log.warning("%s", remark("not-as-written", name, found=place))
    digests = {output: outcome.digest for output, outcome in outcomes.items()}
    return write_pictures(
        folder, plan, outcomes, digests, memory, workers.each, shown=shown
    )


def _without_value(plan: Plan, outcomes: Mapping[str, Outcome]) -> tuple[Remark, ...]:
    """Say that lights hold NaN, where their flats have pixels without response."""
    dead = [
        outcomes[flat].statistics.get("dead", 0.0)
        for task in plan.tasks
        if task.action is Action.CALIBRATE and outcomes[task.output].made
        for flat in (task.frames[0].calibration.flat,)
        if flat is not None and flat in outcomes
    ]
    n = sum(number > 0 for number in dead)
    if not n:
        return ()
    found, most = f"{n} of {len(dead)}", f"{max(dead):.0f}"
    return (remark("lights-nan", found=found, expected=most, way_out="--fill 0"),)


def _outdated(folder: Path) -> tuple[Remark, ...]:
    """Tell of light curves that are out of date."""
    curves = outdated_curves(folder)
    way_out = f"autoreduce lightcurve {shlex.quote(str(folder))}"
    return (remark("curves-outdated", *curves, way_out=way_out),) if curves else ()


def known_outcomes(earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, Outcome]:
    """Read the outcomes of an earlier run; those of another form count as none."""
    known = {}
    for output, fields in earlier.items():
        try:
            known[output] = Outcome.from_dict(fields)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("the outcome of %s is made anew: %r", output, error)
    return known


def _as_json(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, Any]]:
    return {output: outcome.to_dict() for output, outcome in outcomes.items()}


def _load_page() -> None:
    """Load what makes the page, while products are made."""
    from autoreduce.report.render import template

    template()


def _draft(report: NightReport, folder: Path, workers: Workers) -> "Draft":
    from autoreduce.report.render import Draft

    return Draft(folder, report, workers.each)


def _with_page(report: NightReport, folder: Path, draft: "Draft") -> ReducedNight:
    """Write the report; one that cannot be written is told with all that it would tell."""
    from autoreduce.report.render import DATA

    try:
        path = draft.write(report.pictures)
        remember(folder, [path.name, DATA])
    except ProductError as error:
        notes = (*report.plan.notes, remark("no-report", found=str(error)))
        plan = replace(report.plan, notes=notes)
        return ReducedNight(folder, replace(report, plan=plan))
    return ReducedNight(folder, report, path)


def _with_stale(
    prepared: PlannedNight, folder: Path, known: Mapping[str, Outcome], *, prune: bool
) -> PlannedNight:
    """Move the products of earlier runs away that the plan no longer makes."""
    from autoreduce.report.finished import picture_outputs

    made = {task.output for task in prepared.plan.tasks}
    more = (known[output].outputs for output in made if output in known)
    pictures = picture_outputs(prepared.plan).values()
    stale, n_products = no_longer_planned(folder, (*made, *chain(*more), *pictures))
    if not stale:
        return prepared
    if len(stale) > MOST_STALE * n_products and not prune:
        note = remark("stale-most", found=some(stale), way_out="--prune")
        return prepared.noting(note)
    put_aside(folder, stale)
    forget(folder, stale)
    return prepared.noting(remark("stale", found=some(stale), expected=LEFT_OVER))


def _check_space(prepared: PlannedNight, folder: Path, *, planes: bool) -> None:
    """Refuse to begin what the disk cannot hold."""
    frames = prepared.frames.set_index("file")
    pixels = (frames["naxis1"] * frames["naxis2"]).fillna(0).to_dict()
    sizes: dict[str, float] = {}
    for task in prepared.plan.tasks:
        inputs = [pixels[item.file] for item in task.frames]
        inputs += [sizes.get(output, 0) for output in task.products]
        colours = 3 if task.action is Action.STACK and task.is_mosaic else 1
        one = sum if task.action is Action.EXPOSURE else partial(max, default=0)
        sizes[task.output] = colours * one(inputs)
        if task.action is Action.REGISTER:
            sizes[task.output] = 0
    per_pixel = 9 if planes else 4
    made = [name for name in sizes if not (folder / name).exists()]
    needed = sum(sizes[name] * per_pixel + _HEADER_BYTES for name in made)
    free = shutil.disk_usage(folder).free
    if needed > free:
        msg = (
            f"the products need {size(needed)} and {folder} has {size(free)} free: "
            "free some space, or name a folder on a larger disk with -o"
        )
        raise ProductError(msg)


def with_outcomes(
    frames: pd.DataFrame, plan: Plan, outcomes: Mapping[str, Outcome]
) -> pd.DataFrame:
    """Enter into the frame table what a run measured, and what it left out.

    Parameters
    ----------
    frames : DataFrame
        Frame table with the plan's columns.
    plan : Plan
        The plan.
    outcomes : mapping of str to Outcome
        What came of it.

    Returns
    -------
    DataFrame
        A new table: the measured columns are filled, frames that were left out have
        ``use`` false and ``why_not``, lights the dark's factor that was used, and
        ``unstacked`` if no stack is made of them, or theirs does without them.
    """
    table = frames.set_index("file").assign(unstacked=pd.NA)
    lights = {
        task.output: task.frames[0].file
        for task in plan.tasks
        if task.action is Action.CALIBRATE
    }
    for output, why in without_stack(plan).items():
        table.loc[lights[output], "unstacked"] = str(why)
    filled: dict[str, dict[str, Any]] = defaultdict(dict)
    for task in plan.tasks:
        outcome = outcomes[task.output]
        if task.action is Action.STACK:
            for output, why in outcome.left_out.items():
                table.loc[lights[output], "unstacked"] = str(why)
        if task.action in (Action.REGISTER, Action.STACK):
            continue
        for file, values in outcome.measured.items():
            for column in FILLED.intersection(values):
                filled[column][file] = values[column]
        for file, why in outcome.left_out.items():
            table.loc[file, ["use", "why_not", "code"]] = [False, str(why), why.code]
    for column, by_file in filled.items():
        table.loc[list(by_file), column] = list(by_file.values())
    entered = typed(table.reset_index())
    entered.attrs = dict(frames.attrs)
    return entered


def light_table(plan: Plan, outcomes: Mapping[str, content.Outcome]) -> pd.DataFrame:
    """Tell of each calibrated light what was measured, and what became of it.

    Parameters
    ----------
    plan : Plan
        The plan.
    outcomes : mapping of str to Outcome
        What came of it.

    Returns
    -------
    DataFrame
        The columns of `autoreduce.products.lightlist.LIGHT_COLUMNS`, a row for each
        calibrated light that was made, in the order of the plan.
    """
    places: dict[str, Mapping[str, float]] = {}
    stacks: dict[str, Task] = {}
    apart = without_stack(plan)
    for task in plan.tasks:
        outcome = outcomes[task.output]
        if task.action is Action.REGISTER:
            places.update(outcome.measured)
        if task.action is Action.STACK:
            stacks.update(dict.fromkeys(task.products, task))
    rows = []
    for task in plan.tasks:
        if task.action is not Action.CALIBRATE or not outcomes[task.output].made:
            continue
        (item,) = task.frames
        place, stack = places.get(task.output, {}), stacks.get(task.output)
        end = outcomes[stack.output] if stack else None
        share = end.measured.get(task.output, {}) if end else {}
        left = end.left_out.get(task.output) if end else apart.get(task.output)
        where = stack_output(stack.output, int(place.get("field", 1))) if stack else ""
        rows.append(
            light_row(
                task.output,
                {**task.facts, "exptime": item.exptime},
                item.date_obs,
                outcomes[task.output].statistics,
                place,
                share or ({"weight": 0.0} if end and left else {}),
                stack=where if share else "",
                why_not=str(left) if left else "",
            )
        )
    columns = [column.name for column in LIGHT_COLUMNS]
    table = pd.DataFrame.from_records(rows, columns=columns)
    return table.astype(dict.fromkeys(WHOLE, "Int64"))


def _fits(
    plan: Plan, outcomes: Mapping[str, Outcome], folder: Path
) -> dict[str, dict[str, Any]]:
    outputs = [task.output for task in plan.tasks if task.action is Action.DARK_FIT]
    return {name: read_fit(folder / name) for name in outputs if outcomes[name].made}
