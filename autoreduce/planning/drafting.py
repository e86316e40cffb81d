"""The tasks of a plan, drafted from groups and from what serves their frames."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from autoreduce.errors import SettingsError, TableError
from autoreduce.fits.amplifiers import Amplifier, read_amplifiers
from autoreduce.fits.names import split_hdu
from autoreduce.fits.sections import parse_section, section_shape
from autoreduce.frames.schema import ImageType, cells_of, iso_texts, rows_of
from autoreduce.pixels.linearity import Linearity
from autoreduce.planning.candidates import Facts, with_zero_level
from autoreduce.planning.grouping import FACT_NAMES, Codes, group_codes
from autoreduce.planning.lacks import merged
from autoreduce.planning.naming import calibrated_outputs, slug
from autoreduce.planning.plan import Action, Calibration, Fact, FrameInput, Task
from autoreduce.planning.recipe import Crosstalk
from autoreduce.planning.rules import Rules
from autoreduce.planning.setups import NightSetups
from autoreduce.planning.use import NEEDS, Use, Uses
from autoreduce.remarks import Remark, joined

_ACTIONS = {
    ImageType.BIAS: Action.BIAS,
    ImageType.DARK: Action.DARK,
    ImageType.FLATDARK: Action.DARK,
    ImageType.FLAT: Action.FLAT,
}


def facts_of(row: Facts) -> dict[str, Fact]:
    """Write the facts of a group as JSON scalars."""
    return {name: _scalar(row[name]) for name in FACT_NAMES}


def _scalar(value: object) -> Fact:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    number = float(value)  # type: ignore[arg-type]
    return int(number) if isinstance(value, int | np.integer) else number


def frame_inputs(
    night: NightSetups, found: Uses, given: Mapping[str, Collection[str]]
) -> list[FrameInput]:
    """Say how each frame is calibrated, in the order of `night.frames`.

    Parameters
    ----------
    night : NightSetups
        Frames and their setups.
    found : mapping
        How each need of each setup is served.
    given : mapping of str to collection of str
        Facts that the observer gave, and of which frames.
    """
    labels = night.setups["setup"].tolist()
    columns = ["file", "setup_code", "biassec", "trimsec", *_COPIED]
    values = {name: cells_of(night.frames[name]) for name in columns}
    starts = iso_texts(night.frames["date_obs"])
    values["date_obs"] = [start and f"{start}+00:00" for start in starts]
    values["amplifiers"] = _amplifiers(night.frames["readout"])
    values["given"] = _given(night.frames["file"], given)
    values["keep"] = night.frames["why_not"].fillna("").ne("").tolist()
    calibrations: dict[tuple[object, ...], Calibration] = {}
    levels = [_level(setup, found) for setup in range(len(labels))]
    inputs = []
    for row in zip(*values.values(), strict=True):
        frame = dict(zip(values, row, strict=True))
        setup, overscan, trim = (frame.pop(n) for n in columns[1:4])
        key = (setup, overscan, trim)
        if key not in calibrations:
            calibrations[key] = _calibration(setup, overscan, trim, found)
        inputs.append(
            FrameInput(
                **frame,
                calibration=calibrations[key],
                setup=labels[setup],
                level=levels[setup],
            )
        )
    return inputs


_COPIED = (
    *("exptime", "egain", "rdnoise", "saturate", "ccd_temp"),
    *("pedestal", "turned", "ra", "dec"),
    *("latitude", "longitude", "height"),
)


def _given(files: pd.Series, given: Mapping[str, Collection[str]]) -> list[object]:
    of_files = {name: set(named) for name, named in given.items()}
    if not of_files:
        return [()] * len(files)
    return [
        tuple(name for name, named in of_files.items() if file in named)
        for file in files
    ]


def _amplifiers(cells: pd.Series) -> list[object]:
    try:
        known = {text: read_amplifiers(text) for text in cells.dropna().unique()}
    except ValueError as error:
        msg = f"column amplifiers: {error}"
        raise TableError(msg) from error
    return [known.get(text, ()) for text in cells_of(cells)]


def uses_of(night: NightSetups, found: Uses) -> dict[str, dict[str, Use]]:
    """Gather how each setup is served, by its label and the need."""
    return {
        label: {need: found[need][row] for need in NEEDS if row in found[need]}
        for row, label in night.setups["setup"].items()
    }


def _level(setup: int, found: Uses) -> int | None:
    """Give the worst level of what serves a setup."""
    uses = [found[need][setup] for need in NEEDS if setup in found[need]]
    return max((use.level for use in uses if use.level is not None), default=None)


def _calibration(
    setup: int, overscan: str | None, trim: str | None, found: Uses
) -> Calibration:
    bias, dark, flat = (found[need].get(setup, Use(need)) for need in NEEDS)
    cuts = tuple(
        (item.output, item.cut)
        for item in (bias, dark, flat)
        if item.output and item.cut
    )
    calibration = Calibration(
        overscan, trim, bias=bias.output, flat=flat.output, cuts=cuts
    )
    if dark.output is None:
        return calibration
    return replace(
        calibration,
        dark=dark.output,
        dark_method=dark.method,
        dark_scale=dark.scale,
        dark_exptime=dark.exptime,
        dark_fit=dark.fit,
        dark_unasked=dark.unasked,
    )


def _missing(setups: Iterable[int], found: Uses) -> tuple[Remark, ...]:
    """List the steps that any of the setups goes without."""
    different = sorted(set(setups))
    uses = (
        found[need][setup]
        for need in NEEDS
        for setup in different
        if setup in found[need]
    )
    return tuple(merged(use.lack for use in uses if use.lack))


def _worst(inputs: Iterable[FrameInput]) -> int:
    return max((item.level or 0 for item in inputs), default=0)


def master_tasks(
    night: NightSetups, inputs: Sequence[FrameInput], found: Uses
) -> list[Task]:
    """Plan a master for each group of calibration frames that can make one."""
    tasks = []
    members = night.frames.groupby("group_code", sort=True).indices
    setups = night.frames["setup_code"].to_numpy()
    refused = list(with_zero_level(night.setups, found, ImageType.FLAT))
    goes_in = ~np.isin(setups, refused)
    for code, group in enumerate(rows_of(night.groups)):
        rows = members[code][goes_in[members[code]]]
        if group["imagetyp"] != ImageType.LIGHT and len(rows):
            frames = tuple(inputs[row] for row in rows)
            task = Task(
                output=group["output"],
                action=_ACTIONS[ImageType(group["imagetyp"])],
                group=group["group"],
                facts=facts_of(group),
                frames=frames,
                level=_worst(frames),
                missing=_missing(setups[rows], found),
            )
            tasks.append(task)
    return sorted(
        tasks, key=lambda task: (list(Action).index(task.action), task.output)
    )


def light_tasks(
    night: NightSetups,
    inputs: Sequence[FrameInput],
    found: Uses,
    bad_pixels: str = "",
) -> list[Task]:
    """Plan a calibrated frame for each light, in order of time."""
    is_light = night.frames["imagetyp"].eq(ImageType.LIGHT).to_numpy(dtype=bool)
    rows = [int(row) for row in is_light.nonzero()[0]]
    outputs = calibrated_outputs([inputs[row].file for row in rows])
    setups = night.frames["setup_code"].tolist()
    wanted = sorted({setups[row] for row in rows})
    described = rows_of(night.setups)
    facts = {setup: facts_of(described[setup]) for setup in wanted}
    missing = {setup: _missing([setup], found) for setup in wanted}
    groups = night.setups["group"].tolist()
    return [
        Task(
            output=output,
            action=Action.CALIBRATE,
            group=groups[setups[row]],
            facts=facts[setups[row]],
            frames=(_without_bad_pixels(inputs[row], bad_pixels),),
            level=inputs[row].level or 0,
            missing=missing[setups[row]],
        )
        for row, output in zip(rows, outputs, strict=True)
    ]


def with_gains(
    lights: Sequence[Task], masters: Iterable[Task], rules: Rules
) -> list[Task]:
    """Have lights without a flat told the gain by a flat of another filter.

    The gain is the camera's: pairs of flats of any filter measure it.

    Parameters
    ----------
    lights : sequence of Task
        Calibrated lights.
    masters : iterable of Task
        Master flats, and other masters, of the night.
    rules : Rules
        Their columns of a camera's setting count.
    """
    alike = (*rules.setup, "counts")
    flats: dict[tuple[Fact, ...], str] = {}
    for task in sorted(masters, key=lambda one: len(one.frames)):
        if task.action is Action.FLAT and len(task.frames) > 1:
            flats[tuple(task.facts.get(name) for name in alike)] = task.output
    told = []
    for task in lights:
        (item,) = task.frames
        plan = item.calibration
        if not plan.flat and (plan.bias or plan.dark or item.has_overscan):
            flat = flats.get(tuple(task.facts.get(name) for name in alike))
            if flat:
                task = replace(task, frames=(replace(item, gain_flat=flat),))  # noqa: PLW2901 -- the same light
        told.append(task)
    return told


def exposure_tasks(lights: Sequence[Task]) -> list[Task]:
    """Plan one file for the calibrated lights of each exposure of several detectors.

    Parameters
    ----------
    lights : sequence of Task
        Calibrated lights, each of which tells its detector if its file has several.
    """
    exposures: dict[str, list[Task]] = defaultdict(list)
    for task in lights:
        if task.facts["detector"] is not None:
            path, _ = split_hdu(task.frames[0].file)
            exposures[path.as_posix()].append(task)
    several = {file: tasks for file, tasks in exposures.items() if len(tasks) > 1}
    outputs = calibrated_outputs(list(several), "exposures")
    return [
        Task(
            output=output,
            action=Action.EXPOSURE,
            group=PurePosixPath(output).stem,
            facts=_in_common(tasks),
            products=tuple(task.output for task in tasks),
            level=max(task.level for task in tasks),
            missing=tuple(joined(one for task in tasks for one in task.missing)),
        )
        for output, tasks in zip(outputs, several.values(), strict=True)
    ]


def _in_common(tasks: Sequence[Task]) -> dict[str, Fact]:
    """Give the facts in which all tasks agree; None for the others."""
    agreed = {
        key: value
        for key, value in tasks[0].facts.items()
        if all(task.facts[key] == value for task in tasks)
    }
    return {**dict.fromkeys(FACT_NAMES), **agreed}


def by_rows(inputs: Sequence[FrameInput]) -> list[FrameInput]:
    """Take the overscan of each row by itself, where frames have one."""
    return [
        replace(item, calibration=replace(item.calibration, overscan_rows=True))
        if item.has_overscan
        else item
        for item in inputs
    ]


def made_linear(
    night: NightSetups, inputs: Sequence[FrameInput], linearity: Linearity
) -> list[FrameInput]:
    """Make the counts of all frames linear that have light or dark current in them."""
    kinds, cameras = (night.frames[name].tolist() for name in ("imagetyp", "instrume"))
    return [
        replace(item, calibration=replace(item.calibration, linearity=linearity))
        if kind != ImageType.BIAS and linearity.holds_for(camera)
        else item
        for item, kind, camera in zip(inputs, kinds, cameras, strict=True)
    ]


def without_crosstalk(
    inputs: Sequence[FrameInput], detectors: pd.Series, told: Sequence[Crosstalk]
) -> list[FrameInput]:
    """Have amplifiers freed of what they have of others.

    Parameters
    ----------
    inputs : sequence of FrameInput
        All frames.
    detectors : Series of str
        The detector of each; missing where it has no name.
    told : sequence of Crosstalk
        What the recipe tells.

    Raises
    ------
    SettingsError
        If an amplifier is named that a frame does not have, or two whose pixels are not
        as many.
    """
    made = []
    for item, detector in zip(inputs, cells_of(detectors), strict=True):
        here = crosstalk_of(item.file, item.amplifiers, detector, told)
        made.append(replace(item, crosstalk=here) if here else item)
    return made


def crosstalk_of(
    file: str,
    amplifiers: Sequence[Amplifier],
    detector: object,
    told: Sequence[Crosstalk],
) -> tuple[Crosstalk, ...]:
    """Choose what a recipe tells of crosstalk that holds for a frame.

    Parameters
    ----------
    file : str
        Its name.
    amplifiers : sequence of Amplifier
        What has read it; empty for a single one.
    detector : object
        Its detector, if that has a name.
    told : sequence of Crosstalk
        What the recipe tells.

    Raises
    ------
    SettingsError
        If an amplifier is named that it does not have, or two whose pixels are not as
        many.
    """
    n = len(amplifiers)
    here = tuple(one for one in told if n and one.detector in ("", detector))
    for one in here:
        if max(one.victim, one.source) > n:
            msg = (
                f"recipe: amplifiers.crosstalk names amplifier "
                f"{max(one.victim, one.source)}, but {file} has {n}; `detector` says "
                "which frames it holds for"
            )
            raise SettingsError(msg)
        victim, source = (amplifiers[i - 1].data for i in (one.victim, one.source))
        shapes = {section_shape(parse_section(data)) for data in (victim, source)}
        if len(shapes) > 1:
            msg = (
                f"recipe: amplifiers.crosstalk names amplifiers {one.victim} and "
                f"{one.source}, but those of {file} do not read pixel for pixel: "
                f"{victim} and {source}"
            )
            raise SettingsError(msg)
    return here


def _without_bad_pixels(item: FrameInput, file: str) -> FrameInput:
    if not file:
        return item
    return replace(item, calibration=replace(item.calibration, bad_pixels=file))


def registration_tasks(
    night: NightSetups,
    lights: Sequence[Task],
    rules: Rules,
    references: Collection[str],
) -> list[Task]:
    """Plan, for each object, camera and light path, where its lights lie.

    Parameters
    ----------
    night : NightSetups
        Frames, of which the lights are those of `lights`, in their order.
    lights : sequence of Task
        Calibrated lights.
    rules : Rules
        Their tolerance of focal lengths counts, and their pointing of unnamed fields.
    references : collection of str
        Raw frames on which the observer wants others to be registered.

    Returns
    -------
    list of Task
        Over all filters, binnings, exposures and nights of an object; those of fields
        without a name, night by night.  None for a lone light.
    """
    frames = _lights(night)
    codes = _one_light_path(frames, rules)
    names: list[str] = []
    tasks = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code).tolist()
        members = [lights[row] for row in rows if not lights[row].is_spectrum]
        if len(members) < 2:
            continue
        first = frames.iloc[rows[0]]
        name = "unnamed" if pd.isna(first["object"]) else slug(str(first["object"]))
        names.append(name.casefold())
        number = names.count(name.casefold())
        label = name if number == 1 else f"{name}_{number}"
        wanted = [task for task in members if task.frames[0].file in references]
        tasks.append(
            Task(
                output=f"registration/{label}.json",
                action=Action.REGISTER,
                group=label,
                facts=_in_common(members),
                products=tuple(task.output for task in members),
                reference=wanted[0].output if wanted else None,
                level=0,
            )
        )
    return tasks


def _lights(night: NightSetups) -> pd.DataFrame:
    is_light = night.frames["imagetyp"].eq(ImageType.LIGHT)
    return night.frames[is_light.astype(bool)].reset_index(drop=True)


def _one_light_path(frames: pd.DataFrame, rules: Rules) -> Codes:
    """Label lights of one object, camera and light path; those of a stack alike."""
    frames = frames.copy()
    unnamed = frames["object"].isna()
    frames["night"] = frames["night"].where(unnamed, other=pd.NA)
    rule = rules.combine["light"]
    columns = ("object", "night", *rule.equal)
    one_path = replace(rule, equal=tuple(dict.fromkeys(columns)))
    codes = group_codes(
        frames, one_path, replace(rules, setup=("instrume", "detector"))
    )
    for members in frames.groupby("group_code").indices.values():
        first = codes[members].min()
        codes[np.isin(codes, codes[members])] = first
    return codes


def stack_tasks(
    night: NightSetups, lights: Sequence[Task], registrations: Sequence[Task]
) -> list[Task]:
    """Plan a stack for each group of two lights or more.

    Parameters
    ----------
    night : NightSetups
        Frames and their groups.
    lights : sequence of Task
        Calibrated lights.
    registrations : sequence of Task
        Where they lie on one another; a stack without one is not aligned.
    """
    members: dict[str, list[Task]] = defaultdict(list)
    for task in lights:
        members[task.group].append(task)
    groups = {group["group"]: group for group in rows_of(night.groups)}
    placed = {light: task.output for task in registrations for light in task.products}
    return [
        Task(
            output=groups[name]["output"],
            action=Action.STACK,
            group=name,
            facts=facts_of(groups[name]),
            products=tuple(task.output for task in tasks),
            registration=placed.get(tasks[0].output),
            level=max(task.level for task in tasks),
            missing=tuple(joined(one for task in tasks for one in task.missing)),
        )
        for name, tasks in sorted(members.items())
        if len(tasks) > 1 and tasks[0].has_known_colours and not tasks[0].is_spectrum
    ]
