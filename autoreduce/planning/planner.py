"""Frame table, rules and recipe in; plan out.  No pixel is read."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from autoreduce.errors import SettingsError
from autoreduce.frames.overrides import GIVEN
from autoreduce.frames.schema import PLAN_COLUMNS, ImageType, rows_of, typed
from autoreduce.planning.byhand import is_by_hand
from autoreduce.planning.candidates import (
    SERVED_BY,
    Facts,
    library_candidates,
    masters_of_frames,
    with_library,
    with_zero_level,
)
from autoreduce.planning.choose import serve
from autoreduce.planning.criteria import Settings
from autoreduce.planning.drafting import (
    by_rows,
    exposure_tasks,
    facts_of,
    frame_inputs,
    light_tasks,
    made_linear,
    master_tasks,
    registration_tasks,
    stack_tasks,
    uses_of,
    with_gains,
    without_crosstalk,
)
from autoreduce.planning.grouping import group_codes
from autoreduce.planning.lacks import NO_BIAS_FRAMES, Table, is_one_camera
from autoreduce.planning.naming import group_names
from autoreduce.planning.notes import night_notes, stack_notes
from autoreduce.planning.plan import Action, FrameInput, Plan, Task, Verdict
from autoreduce.planning.recipe import Align, DarkModel, DarkRecipe, Recipe, load_recipe
from autoreduce.planning.rules import TEMPERATURE, CombineRule, Rules, load_rules
from autoreduce.planning.setups import NightSetups, make_night
from autoreduce.planning.use import NEEDS, NONE, Use, Uses, planned_text
from autoreduce.remarks import remark

STACK_BY = ("object", "filter", "exptime")
"""Columns in which the lights of one stack agree, unless the observer says else."""


_STACK_COLUMNS = (*STACK_BY, "night", "telescop")


def make_plan(
    frames: pd.DataFrame,
    *,
    rules: Rules | None = None,
    recipe: Recipe | None = None,
    root: str | Path | None = None,
    extrapolate_darks: bool = False,
    stack_by: Sequence[str] = STACK_BY,
    library: pd.DataFrame | None = None,
    references: Collection[str] = (),
) -> Plan:
    """Plan which products are made from the frames, and by which masters.

    Parameters
    ----------
    frames : DataFrame
        A frame table.  Frames with ``use`` false take no part.  A path in ``bias``,
        ``dark`` or ``flat`` that an earlier plan did not write is the observer's
        choice of a master; the word ``none`` goes without.
    rules : Rules, optional
        Which frames are alike and which masters may serve them; default: the rules
        that come with autoreduce.
    recipe : Recipe, optional
        How pixels are treated; default: the recipe ``default``.
    root : str or Path, optional
        Folder that the frames' paths are relative to; default: what scanning noted
        in ``frames.attrs["root"]``, else the current folder.  What the observer
        ``given`` of facts that are measured as well is told there, too.
    extrapolate_darks : bool
        Whether darks may be taken to longer exposures without a limit, and whatever
        they are like.
    stack_by : sequence of str
        Columns in which the lights of one stack agree.
    library : DataFrame, optional
        Masters made before, with the columns of
        `autoreduce.planning.candidates.LIBRARY_DTYPES`.
    references : collection of str
        Lights (``file`` of the table) that the others of their object are to be
        registered on.

    Returns
    -------
    Plan
        The same for the same frames, whatever their order.

    Raises
    ------
    TableError
        If the table does not hold together, or names a master that is not made.
    SettingsError
        If `stack_by` names a column that lights cannot be stacked by.
    """
    rules = load_rules() if rules is None else rules
    recipe = load_recipe() if recipe is None else recipe
    root = frames.attrs.get("root", ".") if root is None else root
    table = typed(frames)
    if _is_unaccounted(table):
        bare = table.assign(**dict.fromkeys(NEEDS, pd.NA))
        ladder = make_plan(
            bare,
            rules=rules,
            recipe=recipe,
            root=root,
            extrapolate_darks=extrapolate_darks,
            stack_by=stack_by,
            library=library,
            references=references,
        )
        table["planned"] = annotate(bare, ladder)["planned"]
    night = make_night(table, rules, _stack_rule(rules, stack_by))
    settings = _settings(recipe.dark, extrapolate=extrapolate_darks)
    there = library_candidates(library, rules.temperature)
    uses, fits, verdicts = _uses(night, there, rules, settings, _others(table))
    inputs = frame_inputs(night, uses, frames.attrs.get(GIVEN, {}))
    inputs = by_rows(inputs) if recipe.overscan.rows else inputs
    inputs = made_linear(night, inputs, recipe.linearity)
    crosstalk = recipe.amplifiers.crosstalk
    if crosstalk:
        inputs = without_crosstalk(inputs, night.frames["detector"], crosstalk)
    masters = master_tasks(night, inputs, uses)
    bad_pixels = recipe.light.bad_pixels
    lights = light_tasks(night, inputs, uses, bad_pixels)
    lights = with_gains(lights, masters, rules)
    aligned = recipe.stack.align is not Align.NONE
    places = registration_tasks(night, lights, rules, references) if aligned else []
    stacked = stack_tasks(night, lights, places) if recipe.stack.make else []
    whole = exposure_tasks(lights) if recipe.light.together else []
    tasks = (*masters, *fits, *lights, *whole, *places, *stacked)
    needed = {output for task in tasks for output in task.needs}
    return Plan(
        root=str(root),
        recipe=recipe,
        tasks=tasks,
        external=tuple(sorted(needed & {*there["output"], bad_pixels})),
        uses=uses_of(night, uses),
        verdicts=tuple(verdicts),
        notes=(
            *night_notes(
                table,
                night.groups,
                night.setups,
                uses,
                rules.temperature,
                root,
                (*rules.setup, *_stack_rule(rules, ("object", "filter")).equal),
            ),
            *stack_notes(lights, recipe),
        ),
    )


def _is_unaccounted(table: pd.DataFrame) -> bool:
    """Tell whether masters are named and nothing says if a plan named them.

    What the ladder would choose is then no choice of the observer.
    """
    named = table[list(NEEDS)].notna().to_numpy().any()
    return bool(named) and bool(table["planned"].isna().all())


def _settings(recipe: DarkRecipe, *, extrapolate: bool) -> Settings:
    """Say how far darks may be taken to other exposures: as the recipe has it."""
    by_rates = recipe.model is DarkModel.RATE_MAP
    return Settings(
        other_exposures=recipe.model is not DarkModel.EXACT,
        longer=recipe.longer if by_rates else 1.0,
        longer_alone=recipe.longer_alone,
        extrapolate=extrapolate,
    )


def _stack_rule(rules: Rules, stack_by: Sequence[str]) -> CombineRule:
    """Say which lights are stacked: as the rules and the observer ask."""
    if strange := sorted(set(stack_by) - set(_STACK_COLUMNS)):
        msg = (
            f"lights cannot be stacked by {', '.join(strange)}; "
            f"give some of {', '.join(_STACK_COLUMNS)}"
        )
        raise SettingsError(msg)
    rule = rules.combine["light"]
    equal = tuple(name for name in stack_by if name != "exptime")
    within = ("exptime",) if "exptime" in stack_by else ()
    return replace(
        rule,
        pointing=rule.pointing if "object" in stack_by else None,
        equal=tuple(dict.fromkeys((*rule.equal, *equal))),
        within=tuple(dict.fromkeys((*rule.within, *within))),
    )


def _others(table: pd.DataFrame) -> Table:
    """Gather what reasons may name of the frames that take no part."""
    kinds = table["imagetyp"][~table["use"].fillna(value=False).astype(bool)]
    left_out = {need: int(kinds.isin(SERVED_BY[need]).sum()) for need in NEEDS}
    return Table(tuple(table["file"]), left_out)


def _uses(
    night: NightSetups,
    library: pd.DataFrame,
    rules: Rules,
    settings: Settings,
    table: Table,
) -> tuple[Uses, list[Task], list[Verdict]]:
    """Decide in the order of the corrections: bias, then darks, then flats."""
    setups, groups = night.setups, night.groups
    kind = setups["imagetyp"]
    found: Uses = {}
    verdicts: list[Verdict] = []

    def decide(need: str, asking: pd.DataFrame, masters: pd.DataFrame) -> pd.DataFrame:
        masters = with_library(masters, library, need)
        served = serve(need, asking, masters, rules, settings, table)
        found[need] = dict(zip(asking.index.tolist(), served.uses, strict=True))
        verdicts.extend(served.verdicts)
        return masters

    bias = masters_of_frames(groups, "bias")
    bias = decide("bias", setups[kind != ImageType.BIAS], bias)
    darks = masters_of_frames(groups, "dark")
    darks = _with_keeps_bias(darks, setups, found["bias"])
    fits = _fits(darks, rules) if settings.other_exposures else []
    longest = {task.products[-1]: task.output for task in fits}
    darks["fit"] = darks["output"].map(longest).astype("string")
    asking = setups[kind.isin([ImageType.FLAT, ImageType.LIGHT])]
    has_bias = [found["bias"][row].output is not None for row in asking.index]
    decide("dark", asking.assign(has_bias=has_bias), darks)
    _hold_bias(found, setups, () if table.left_out["bias"] else bias["instrume"])
    bare = with_zero_level(setups, found, ImageType.FLAT)
    n_bare = int(setups["n_frames"].loc[sorted(bare)].sum())
    left_out = {**table.left_out, "flat": table.left_out["flat"] + n_bare}
    table = replace(table, left_out=left_out)
    made = setups[kind.eq("flat") & ~setups.index.isin(bare)]
    flats = masters_of_frames(groups, "flat")
    flats = flats[flats.index.isin(made["group_code"])]
    lights = setups[kind == ImageType.LIGHT]
    bare = with_zero_level(setups, found, ImageType.LIGHT)
    kept = lights.index.isin(bare) & lights["flat"].isna()
    decide("flat", lights[~kept], flats)
    for row in lights.index[kept].tolist():
        found["flat"][row] = Use("flat", lack=remark("no-flat", found=_SCALED))
    return found, fits, verdicts


_SCALED = "without bias, dark and overscan a flat would scale the zero level"


def _with_keeps_bias(
    darks: pd.DataFrame, setups: pd.DataFrame, bias: dict[int, Use]
) -> pd.DataFrame:
    """Note which master darks keep their bias, for want of a master bias.

    The frames of one master are treated alike: where one has no bias, none has.
    """
    of_dark = setups.index[setups["group_code"].isin(darks.index)]
    codes = setups["group_code"]
    without = {int(codes[row]) for row in of_dark if bias[row].output is None}
    for row in of_dark:
        if codes[row] in without and bias[row].output is not None:
            why = remark("no-bias", found="not every dark of its group has one")
            bias[row] = Use("bias", lack=why)
    return darks.assign(keeps_bias=darks.index.isin(without))


def _hold_bias(found: Uses, setups: pd.DataFrame, cameras: Iterable[object]) -> None:
    """Take no bias out of a frame whose dark holds it already.

    Where there are no bias frames at all, or only some of other `cameras`, darks that hold
    theirs lack nothing.
    """
    others = [None if pd.isna(name) else str(name) for name in cameras]
    darks = setups[setups["imagetyp"].isin(SERVED_BY["dark"])]
    for row, camera in zip(darks.index.tolist(), darks["instrume"], strict=True):
        why = found["bias"][row].lack
        if why is None:
            continue
        is_alone = (
            bool(others)
            and pd.notna(camera)
            and not any(
                other is None or is_one_camera(str(camera), other) for other in others
            )
        )
        if why.found == NO_BIAS_FRAMES or is_alone:
            found["bias"][row] = Use("bias")
    for row, dark in found["dark"].items():
        if dark.keeps_bias and dark.output is not None:
            found["bias"][row] = Use("bias", held_by=dark.output)


def _fits(darks: pd.DataFrame, rules: Rules) -> list[Task]:
    """Plan a fit for darks of two exposures or more, alike in all else.

    Exposures that hardly differ tell nothing of the dark current.
    """
    usable = darks[~darks["keeps_bias"] & (darks["exptime"] > 0)].reset_index(drop=True)
    alike = CombineRule(equal=("night",), within=(TEMPERATURE,))
    codes = group_codes(usable, alike, rules)
    usable["is_dark"] = usable["imagetyp"].eq(ImageType.DARK)
    order = ["cluster", "exptime", "is_dark", "output"]
    ordered = usable.assign(cluster=codes).sort_values(order)
    members = [
        cluster
        for _, cluster in ordered[["exptime", "output"]].groupby(ordered["cluster"])
        if cluster["exptime"].max() >= rules.fit_ratio * cluster["exptime"].min()
        and len(cluster) > 1
    ]
    if not members:
        return []
    facts = usable.loc[[cluster.index[-1] for cluster in members]]
    facts = facts.assign(imagetyp="dark_current", exptime=pd.NA)
    tasks = [
        Task(
            output=f"masters/{name}.json",
            action=Action.DARK_FIT,
            group=name,
            facts=facts_of(row),
            products=tuple(part["output"]),
        )
        for name, (_, row), part in zip(
            group_names(facts), facts.iterrows(), members, strict=True
        )
    ]
    return sorted(tasks, key=lambda task: task.output)


def annotate(frames: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Write what the plan decided for each frame into the frame table.

    Parameters
    ----------
    frames : DataFrame
        The frame table that the plan was made from.
    plan : Plan
        The plan.

    Returns
    -------
    DataFrame
        The table with ``group``, ``bias``, ``dark``, ``dark_scale``, ``flat``,
        ``level`` and ``reason`` filled in; all missing for frames that take no part,
        but for masters that the observer chose.
    """
    alike: dict[tuple[str, str, int], dict[str, object]] = {}
    decided: dict[str, dict[str, object]] = {}
    for task in plan.tasks:
        for item in task.frames:
            key = task.group, item.setup, id(item.calibration)
            if key not in alike:
                alike[key] = _cells(plan, task, item)
            decided[item.file] = alike[key]
    table = frames.reindex(columns=list(dict.fromkeys([*frames, *_NO_CELLS])))
    others = table[~table["file"].isin(decided.keys())]
    for row in rows_of(others[["file", "use", "imagetyp", *_NO_CELLS]]):
        decided[row["file"]] = _kept_cells(row)
    rows = [decided[file] for file in table["file"]]
    cells = pd.DataFrame(rows, columns=list(_NO_CELLS), index=frames.index)
    for column in PLAN_COLUMNS:
        table[column.name] = cells[column.name].astype(column.dtype)
    return table


def _kept_cells(row: Facts) -> dict[str, object]:
    """Keep the observer's choices for a frame that takes no part this time."""
    chosen = {
        need: row[need] for need in NEEDS if is_by_hand(need, row[need], row["planned"])
    }
    # A flat that could take part and does not is one that nothing is taken out of.
    bare = row["use"] is not False and row["imagetyp"] == ImageType.FLAT
    return {**_NO_CELLS, "reason": str(remark("bare-flat")) if bare else None, **chosen}


_NO_CELLS: dict[str, object] = dict.fromkeys(column.name for column in PLAN_COLUMNS)


def _cells(plan: Plan, task: Task, item: FrameInput) -> dict[str, object]:
    calibration, uses = item.calibration, plan.uses.get(item.setup, {})
    scale = calibration.dark_scale if calibration.dark else None
    cells: dict[str, object] = {
        "group": task.group,
        "dark_scale": None if scale == 1 else scale,
        "planned": planned_text(uses),
        "level": item.level,
        "reason": plan.reason(item) or None,
    }
    for need in NEEDS:
        without = need in uses and uses[need].by_hand and uses[need].output is None
        cells[need] = NONE if without else getattr(calibration, need)
    return cells
