"""A night from folder to plan: what the observer asks for, and what will be done."""

import errno
import json
import logging
import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autoreduce.calibration.kept_samples import read_samples
from autoreduce.calibration.screening import judged, with_levels
from autoreduce.calibration.seams import with_measured_gains
from autoreduce.errors import InputError, ProductError, SettingsError, TableError
from autoreduce.fits.names import pattern_of, split_hdu
from autoreduce.fits.whole import replacing, unwritten, write_text
from autoreduce.frames.cache import cache_folder
from autoreduce.frames.facts import Reading
from autoreduce.frames.overrides import (
    GIVEN,
    MEASURABLE,
    apply_overrides,
    give,
    read_frames_csv,
    select,
    write_frames_csv,
)
from autoreduce.frames.scan import ScannedNight, scan_night
from autoreduce.frames.schema import ImageType, typed
from autoreduce.frames.spelling import with_one_spelling
from autoreduce.frames.together import COUNTED_WESTWARD
from autoreduce.library.masters import read_library
from autoreduce.planning.notes import (
    doubled_cards,
    undated,
    unlike_exposures,
    unusable_sections,
    with_doubts,
)
from autoreduce.planning.plan import Plan
from autoreduce.planning.planner import STACK_BY, annotate, make_plan
from autoreduce.planning.recipe import Align, Recipe, load_recipe
from autoreduce.planning.rules import load_rules
from autoreduce.planning.whenwhere import (
    ends_for_starts,
    stopped_dates,
    turned_longitudes,
    unlike_places,
    unlike_times,
)
from autoreduce.remarks import Remark, remark
from autoreduce.report.content import NightReport
from autoreduce.running.folder import EDITED, FRAMES, announce, keep_edited, remember
from autoreduce.running.lock import LOCK
from autoreduce.running.machine import all_memory
from autoreduce.running.processes import reading_processes

log = logging.getLogger(__name__)

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""The night's folder, or several of them."""
SUFFIX = "_reduced"
"""What the output folder's name adds to the night's."""
_SPOILT = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_OUTCOMES = b'\n "outcomes": '
_MARKERS = ("plan.json", "frames.csv")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the observer asks for, beyond the folder."""

    exclude: Sequence[str] = ()
    """Patterns of frames to leave out."""
    include: Sequence[str] = ()
    """Patterns of frames to bring back."""
    settings: Sequence[str] = ()
    """Facts to set: ``PATTERN: column=value, ...``."""
    frames_csv: Path | None = None
    """An edited frame table that replaces the scanned one."""
    recipe: str = "default"
    """Name of a recipe, or path of a TOML file."""
    rules: Path | None = None
    """Rules to plan by; those of autoreduce if absent."""
    dialects: Sequence[Path] = ()
    """Dialect tables of the observer."""
    extrapolate_darks: bool = False
    """Whether darks may be scaled to longer exposures."""
    stack_by: Sequence[str] = STACK_BY
    """Columns that the lights of one stack share."""
    align: str | None = None
    """How lights are laid on one another: ``auto``, ``wcs`` or ``none``; as the recipe
    has it if absent."""
    references: Sequence[str] = ()
    """Patterns of the lights that others are registered on."""
    stacks: bool = True
    """Whether lights are stacked."""
    cosmics: bool = False
    """Whether cosmic rays are looked for in each light, though the recipe does not."""
    keep_all: bool = False
    """Whether no frame is left out automatically."""
    library: Path | None = None
    """Folder with masters of other nights."""
    memory: int | None = None
    """Bytes that one frame may take; all that the machine has if absent."""


@dataclass(frozen=True, slots=True)
class PlannedNight:
    """A night that is planned and not yet reduced."""

    night: ScannedNight
    """What the folder holds."""
    frames: pd.DataFrame
    """Frame table after overrides, with the plan's columns."""
    plan: Plan
    """What will be made."""
    table: Path | None = None
    """The observer's frame table that it was planned by."""

    def __repr__(self) -> str:
        n_left_out = int((~self.frames["use"]).sum())
        return (
            f"<PlannedNight {self.night.root}: {len(self.frames)} frames, {n_left_out} "
            f"left out, {len(self.plan.tasks)} products>"
        )

    @property
    def report(self) -> NightReport:
        """What there is to tell before anything is made."""
        return NightReport(self.frames, self.plan, {}, self.night.unreadable)

    def noting(self, *notes: Remark) -> "PlannedNight":
        """Return the same night with more notes in its plan."""
        plan = replace(self.plan, notes=(*self.plan.notes, *notes))
        return replace(self, plan=plan)


def output_folder(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Decide where the products go.

    Parameters
    ----------
    folders : sequence of Path
        The night's folders.
    output : Path, optional
        What the observer asked for.  If absent, ``NIGHT_reduced`` beside the night;
        of several folders, beside the folder that holds them all.

    Returns
    -------
    Path
        Absolute path, not yet made.

    Raises
    ------
    InputError
        If it lies in the night's own folder, or holds files that are not ours.
    """
    nights = [folder.resolve() for folder in folders]
    if output is None:
        root = Path(os.path.commonpath(nights))
        output = root.with_name(f"{root.name or 'night'}{SUFFIX}")
    output = output.resolve()
    for night in nights:
        if output.is_relative_to(night):
            msg = (
                f"the products cannot go to {output}, which lies in the night's own "
                f"folder {night}: name another folder with -o"
            )
            raise InputError(msg)
    if output.exists() and not output.is_dir():
        msg = f"{output} is a file: name another output folder with -o"
        raise InputError(msg)
    if output.is_dir() and any(output.iterdir()) and not _is_ours(output):
        msg = (
            f"{output} exists and holds files that autoreduce did not make: "
            "name another output folder with -o"
        )
        raise InputError(msg)
    return output


def is_output(folder: Path) -> bool:
    """Say whether a folder holds products of an earlier run."""
    return all((folder / marker).is_file() for marker in _MARKERS)


def products_of(folder: Path) -> Path:
    """Find the products that an output folder, or the night that was reduced, stands for.

    Parameters
    ----------
    folder : Path
        An output folder; or a night with one beside it, by the name that it has if the
        observer gives none.

    Returns
    -------
    Path
        The output folder; `folder` itself if there is none.
    """
    beside = folder.absolute().with_name(f"{folder.absolute().name}{SUFFIX}")
    return beside if not is_output(folder) and is_output(beside) else folder


def _is_ours(folder: Path) -> bool:
    """Say whether a run has owned a folder, though it may have ended before long."""
    return is_output(folder) or (folder / LOCK).is_file()


def paths_of_night(night: Folders) -> list[Path]:
    """List the folders of a night, one or several of them.

    Raises
    ------
    InputError
        If there is none.
    """
    if isinstance(night, str | os.PathLike):
        return [Path(night)]
    folders = [Path(folder) for folder in night]
    if not folders:
        msg = "no folder is named: give that of the night's raw frames"
        raise InputError(msg)
    return folders


def prepare_night(
    night: Folders, choices: Choices | None = None, *, jobs: int = 1
) -> PlannedNight:
    """Read headers and samples of pixels, group frames, and plan; nothing is written.

    Parameters
    ----------
    night : path, or sequence of path
        The night's folder or folders, searched with all their subfolders.
    choices : Choices, optional
        What the observer asks for.
    jobs : int
        Processes that may read the files of a large night.  They import the main
        module: a script needs ``if __name__ == "__main__"``.

    Returns
    -------
    PlannedNight
        The night with its plan.

    Raises
    ------
    AutoreduceError
        If there is nothing to reduce, or a choice does not hold together.
    """
    choices = choices or Choices()
    paths = paths_of_night(night)
    recipe = _recipe(choices)
    with reading_processes(jobs) as each:
        scanned = scan_night(
            paths,
            dialects=choices.dialects,
            memory=choices.memory or all_memory(),
            each=each,
        )
        frames: pd.DataFrame = scanned.frames
        unlisted: list[str] = []
        if choices.frames_csv is not None:
            frames, unlisted = _edited(scanned, choices.frames_csv)
        frames = apply_overrides(
            frames,
            exclude=choices.exclude,
            include=choices.include,
            settings=choices.settings,
        )
        given = frames.attrs.get(GIVEN, {})
        asked = judged(frames, recipe.amplifiers.crosstalk)
        samples = read_samples(scanned.root, asked, cache_folder(paths), each)
    frames, doubts = with_levels(
        with_one_spelling(frames), samples, leave_out=recipe.quality.check
    )
    library = None if choices.library is None else _library(choices.library)
    if recipe.amplifiers.measure:
        edges = {file: one.edges for file, one in samples.items() if one.edges}
        frames, measured = with_measured_gains(frames, edges, library)
        doubts = (*doubts, *measured)
    del samples  # of thousands of flats it is a tenth of the memory
    frames.attrs[GIVEN] = given
    plan = make_plan(
        frames,
        rules=load_rules(choices.rules),
        recipe=recipe,
        root=scanned.root,
        extrapolate_darks=choices.extrapolate_darks,
        stack_by=choices.stack_by,
        library=library,
        references=_references(frames, choices.references),
    )
    told = scanned.readings.table
    cards = (
        *undated(frames, told("date_obs", _is_unread)),
        *unlike_exposures(frames, told("exptime", _is_contradicted)),
        *unlike_times(frames, told("date_obs", _is_contradicted)),
        *unlike_places(
            frames, *(told(fact, _is_contradicted) for fact in ("ra", "dec"))
        ),
        *turned_longitudes(frames, told("longitude", _is_turned)),
        *stopped_dates(frames),
        *ends_for_starts(frames),
        *(
            note
            for fact in ("filter", "gain", "offset")
            for note in doubled_cards(frames, told(fact, _is_contradicted))
        ),
        *unusable_sections(frames, told("biassec", _is_unread)),
        *unusable_sections(frames, told("trimsec", _is_unread)),
    )
    notes = (
        *doubts,
        *cards,
        *plan.notes,
        *_of_unlisted(frames, unlisted, choices.frames_csv),
        *_of_others(scanned.others),
    )
    plan = with_doubts(replace(plan, notes=notes))
    log.info("%s: %d frames, %d products", scanned.root, len(frames), len(plan.tasks))
    return PlannedNight(scanned, annotate(frames, plan), plan, choices.frames_csv)


def _of_others(files: Sequence[str]) -> Iterator[Remark]:
    """Tell of raw images among the frames that are not read."""
    if files:
        yield remark("other-formats", found=f"{len(files)}", expected=files[0])


def _is_unread(reading: Reading) -> bool:
    return reading.value is None


def _is_turned(reading: Reading) -> bool:
    return reading.rule == COUNTED_WESTWARD


def _is_contradicted(reading: Reading) -> bool:
    return bool(reading.disagree)


def _library(folder: Path) -> pd.DataFrame:
    """Read the masters of a library, and tell of those that cannot be used."""
    library = read_library(folder)
    for file, reason in library.unreadable.items():
        log.warning("%s in the library %s is not used: %s", file, folder, reason)
    return library.masters


def _edited(night: ScannedNight, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Take the observer's table, with the frames that it does not list, which are named.

    They are new since it was written, or their rows were deleted.
    """
    edited = read_frames_csv(path, night.frames)
    unknown = sorted(set(edited["file"]) - set(night.frames["file"]))
    if unknown:
        msg = (
            f"{path} lists {unknown[0]}, which is not in {night.root} "
            f"({len(unknown)} such rows): was it written for another folder?"
        )
        raise TableError(msg)
    scanned = night.frames.set_index("file").loc[edited["file"], list(MEASURABLE)]
    new = night.frames[~night.frames["file"].isin(edited["file"])]
    table = typed(pd.concat([edited, new])) if len(new) else edited
    for name in MEASURABLE:
        own = edited[name].to_numpy(float, na_value=math.nan)
        told = scanned[name].to_numpy(float, na_value=math.nan)
        changed = np.isfinite(own) & ~np.isclose(own, told, rtol=1e-9)
        give(table, name, edited["file"][changed])
    return table, new["file"].tolist()


def _of_unlisted(
    frames: pd.DataFrame, unlisted: Sequence[str], path: Path | None
) -> Iterator[Remark]:
    """Tell of frames that the observer's table does not list, and that are used."""
    files = frames["file"][frames["use"] & frames["file"].isin(unlisted)].tolist()
    if path and files:
        way_out = f"--exclude '{pattern_of(files, frames['file'])}'"
        yield remark("not-in-table", *files, found=path.name, way_out=way_out)


def _references(frames: pd.DataFrame, patterns: Sequence[str]) -> list[str]:
    """Find the lights that others are to be registered on, one for each pattern."""
    found = []
    for pattern in patterns:
        chosen = frames[select(frames, pattern)]
        lights = chosen[chosen["imagetyp"].eq(ImageType.LIGHT) & chosen["use"]]
        if len(lights) != 1:
            raise TableError(_no_reference(pattern, chosen, len(lights), frames))
        found.append(str(lights["file"].iloc[0]))
    return found


def _no_reference(
    pattern: str, chosen: pd.DataFrame, n_lights: int, frames: pd.DataFrame
) -> str:
    """Say why frames that a pattern chooses cannot be the reference."""
    why = f"--reference {pattern} names {n_lights} lights that are used, expected one"
    if len(chosen) == 1:
        row = chosen.iloc[0]
        what = f"is left out: {row['why_not']}" if not row["use"] else "is no light"
        why = f"--reference {pattern}: {row['file']} {what}"
    return f"{why}; give the name of one light, such as {_first_light(frames)}"


def _first_light(frames: pd.DataFrame) -> str:
    lights = frames[frames["imagetyp"].eq(ImageType.LIGHT) & frames["use"]]
    return str(lights["file"].iloc[0]) if len(lights) else "FILE"


def _recipe(choices: Choices) -> Recipe:
    recipe = load_recipe(choices.recipe)
    stack = replace(recipe.stack, make=recipe.stack.make and choices.stacks)
    options = ""
    if choices.align not in (None, stack.align):
        stack = replace(stack, align=Align(choices.align))
        options = f"--align {choices.align}"
    light = replace(recipe.light, cosmics=recipe.light.cosmics or choices.cosmics)
    if light.cosmics and not find_spec("astroscrappy"):
        msg = (
            "cosmic rays are found by astroscrappy, which is not installed: "
            "pip install 'autoreduce-ccd[cosmics]'"
        )
        raise SettingsError(msg)
    recipe = replace(recipe, options=options, stack=stack, light=light)
    if choices.keep_all:
        return replace(recipe, quality=replace(recipe.quality, check=False))
    return recipe


def write_plan(
    prepared: PlannedNight, folder: Path, outcomes: Mapping[str, Mapping[str, Any]]
) -> PlannedNight:
    """Write ``frames.csv``, ``evidence.csv`` and ``plan.json``.

    A frame table that was edited since it was written, and was not asked for, is kept.

    Parameters
    ----------
    prepared : PlannedNight
        The night.
    folder : Path
        Output folder, which the caller holds.
    outcomes : mapping of str to mapping
        What `earlier_outcomes` tells, which the plan keeps.

    Returns
    -------
    PlannedNight
        The night, with a note if an edit was kept.

    Raises
    ------
    ProductError
        If the folder cannot be written to.
    """
    if not _is_used(prepared.table, folder):
        prepared = keeping_edits(prepared, folder)
    write_frames(prepared.frames, folder)
    write_text(folder / "evidence.csv", prepared.night.readings.csv_pieces())
    write_plan_json(prepared.plan, folder, outcomes)
    remember(folder, ("evidence.csv", "plan.json"))
    return prepared


def write_frames(frames: pd.DataFrame, folder: Path) -> None:
    """Write the frame table of an output folder, so that an edit of it is seen."""
    with replacing(folder / FRAMES) as part:
        write_frames_csv(frames, part)
        announce(folder, part)
    remember(folder, [FRAMES])


def keeping_edits(prepared: PlannedNight, folder: Path) -> PlannedNight:
    """Keep the frame table if it was edited since it was written, and note that.

    Raises
    ------
    ProductError
        If it cannot be kept.
    """
    if not keep_edited(folder):
        return prepared
    way_out = f"--frames {shlex.quote(str(folder / EDITED))}"
    return prepared.noting(
        remark("frames-edited", FRAMES, found=EDITED, way_out=way_out)
    )


def _is_used(table: Path | None, folder: Path) -> bool:
    """Tell whether the frame table of a folder is the one that was asked for."""
    return table is not None and table.resolve() == (folder / FRAMES).resolve()


def make_folder(folder: Path) -> None:
    """Make the output folder.

    Raises
    ------
    ProductError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.EILSEQ:
            raise unwritten(folder, error) from error
        msg = (
            f"the output folder {folder} cannot be made: {error.strerror}; "
            "name another one with -o"
        )
        raise ProductError(msg) from error


def write_plan_json(
    plan: Plan, folder: Path, outcomes: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write ``plan.json``, with the outcomes of its tasks as far as they are known."""
    write_text(folder / "plan.json", plan.json_pieces(outcomes=outcomes))


def with_last_run(frames: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Enter into a frame table why the last run did not stack lights.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    folder : Path
        Output folder; without a run in it nothing is entered.
    """
    if not is_output(folder):
        return frames
    try:
        last = read_frames_csv(folder / "frames.csv").set_index("file")["unstacked"]
    except TableError as error:
        log.warning("the last run tells nothing: %s", error)
        return frames
    return frames.assign(unstacked=frames["file"].map(last).astype("string"))


def night_of(frame: str) -> Path:
    """Find the night that a frame belongs to.

    Parameters
    ----------
    frame : str
        Path of a frame, with or without its ending, or a mere name.

    Returns
    -------
    Path
        The folder above it that was reduced; else that in which it lies; of a mere
        name, this folder.
    """
    path = split_hdu(frame)[0]
    if len(path.parts) < 2 and not path.is_file():
        return Path()
    place = path.parent.resolve()
    if not place.is_dir():
        return Path()
    above = (one for one in (place, *place.parents) if one.name)
    return next(
        (one for one in above if is_output(one.with_name(f"{one.name}{SUFFIX}"))),
        place,
    )


def paths_of(prepared: PlannedNight, folder: Path) -> dict[str, str]:
    """Tell where frames and products lie, of those that are there.

    Parameters
    ----------
    prepared : PlannedNight
        A night with its plan.
    folder : Path
        Output folder.

    Returns
    -------
    dict of str to str
        By name in the frame table or plan: the path from this folder, or the whole
        one of what does not lie below it.
    """
    places = [(str(file), prepared.night.root) for file in prepared.frames["file"]]
    places += [(task.output, folder) for task in prepared.plan.tasks]
    return {
        name: _from_here(root / name)
        for name, root in places
        if split_hdu(root / name)[0].is_file()
    }


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def earlier_outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the outcomes of an earlier run, in JSON form, from its ``plan.json``.

    Parameters
    ----------
    folder : Path
        Output folder.

    Returns
    -------
    dict
        By output; empty if there was no run, or its plan cannot be read.
    """
    path = folder / "plan.json"
    if not path.exists():
        return {}
    try:
        outcomes = json.loads(_from_outcomes(path))["outcomes"]
        return {str(name): dict(fields) for name, fields in outcomes.items()}
    except _SPOILT as error:
        why = error.strerror if isinstance(error, OSError) else "it is no plan of ours"
        log.warning("%s is not used, and all is made again: %s", path, why)
        log.debug("%s: %r", path, error)
        return {}


def _from_outcomes(path: Path) -> bytes:
    """Read of a plan the outcomes alone: they are its end, and the rest may be long.

    No other line of what `write_plan_json` has written begins as theirs does.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        start = text.rfind(_OUTCOMES)
        return b"{" + text[start:] if start >= 0 else text[:]
