"""What the observer should know of the night as a whole."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from autoreduce.fits.names import pattern_of
from autoreduce.frames.facts import NO_SECTION
from autoreduce.frames.frame import shown, told_otherwise
from autoreduce.frames.literals import number, seconds
from autoreduce.frames.names import UNNAMED
from autoreduce.frames.schema import ImageType, rows_of
from autoreduce.frames.spelling import SPELT, with_one_spelling
from autoreduce.planning.candidates import SERVED_BY, with_zero_level
from autoreduce.planning.grouping import comparable
from autoreduce.planning.lacks import merged
from autoreduce.planning.phrases import together
from autoreduce.planning.plan import Action, Plan, Task, shows_spectrum
from autoreduce.planning.recipe import Align, Recipe
from autoreduce.planning.rules import TemperatureRule
from autoreduce.planning.use import NEEDS, Uses
from autoreduce.remarks import Remark, Severity, joined, remark, some, typed

GROUPS_NAMED = 8
"""Groups that a sentence names; of more it says how many."""
SECONDS_A_PIXEL = 1e-6
"""Time of a core that looking for cosmic rays takes; within a half on most machines."""
COST = "cosmics-cost"
"""Code of the remark that tells it."""
_INSTEAD = ": masters from the library serve instead"


def night_notes(
    table: pd.DataFrame,
    groups: pd.DataFrame,
    setups: pd.DataFrame,
    found: Uses,
    rules: TemperatureRule,
    root: str | Path,
    pooled: Sequence[str],
) -> tuple[Remark, ...]:
    """Remark on what is missing and what is mixed.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    groups : DataFrame
        Facts of each group, with ``group``.
    setups : DataFrame
        Facts of each setup, with ``group`` and ``n_frames``.
    found : mapping
        How each need of each setup is served.
    rules : TemperatureRule
        How temperatures are read.
    root : str or Path
        Folder that the frames' paths are relative to.
    pooled : sequence of str
        Columns in which lights of one stack agree whatever their exposures.

    Returns
    -------
    tuple of Remark
        The most general first.
    """
    table = table[list(dict.fromkeys((*_NOTED, *SPELT)))]
    return (
        *_absent(groups, found),
        *_mixed(table, groups),
        *_foreign_masters(table, Path(root)),
        *_without_detectors(table),
        *_unusable(table),
        *_off_set_point(table, rules),
        *_overlapping(table),
        *_lacking(setups, groups, found),
        *_turned(table),
        *_pedestals(table),
        *_unnamed_filters(table),
        *_likely_filters(table),
        *_bare_flats(setups, found),
        *_single_lights(groups, pooled),
    )


_NOTED = (
    *("file", "use", "code", "imagetyp", "object", "filter", "exptime", "date_obs"),
    *("night", "ccd_temp", "set_temp", "instrume", "detector", "amplifiers"),
    *("turned", "roworder", "pedestal", "naxis1", "naxis2"),
)
"""Columns of the frame table that the remarks on a night look at, beside `SPELT`."""


def stack_notes(lights: Sequence[Task], recipe: Recipe) -> tuple[Remark, ...]:
    """Remark on lights that are not stacked, or not aligned, as things are asked for."""
    found = []
    if not recipe.stack.make:
        found.append(remark("no-stacks"))
    elif recipe.stack.align is Align.NONE and len(lights) > 1:
        found.append(remark("align-none", found=recipe.title, way_out="--align auto"))
    if recipe.light.cosmics:
        found += _cosmics(lights)
    spectra = {task.group: None for task in lights if task.is_spectrum}
    if spectra and recipe.stack.make:
        found.append(remark("spectra", found=some([*spectra], GROUPS_NAMED)))
    mosaics = {task.group: None for task in lights if not task.has_known_colours}
    if mosaics and recipe.stack.make:
        found.append(remark("mosaics", found=some([*mosaics], GROUPS_NAMED)))
    return tuple(found)


def _cosmics(lights: Sequence[Task]) -> Iterator[Remark]:
    """Say what looking for cosmic rays costs, and where they are not looked for."""
    plain = [task for task in lights if not task.is_mosaic]
    sizes = [task.facts.get("naxis1", 0) or 0 for task in plain]
    heights = [task.facts.get("naxis2", 0) or 0 for task in plain]
    pixels = sum(int(x) * int(y) for x, y in zip(sizes, heights, strict=True))
    if plain:
        seconds = f"{pixels * SECONDS_A_PIXEL:.0f} s"
        yield remark(COST, found=f"{len(plain)} lights", expected=seconds)
    if len(plain) < len(lights):
        yield remark("no-cosmics", found=str(len(lights) - len(plain)))


def with_doubts(plan: Plan) -> Plan:
    """Hand what is doubtful of frames on to the tasks that they go into."""
    of_file: dict[str, list[Remark]] = defaultdict(list)
    for note in plan.notes:
        if note.severity is Severity.DOUBTFUL:
            for file in note.subject:
                of_file[file].append(note)
    if not of_file:
        return plan
    return replace(
        plan, tasks=tuple(replace(t, doubts=_doubts(t, of_file)) for t in plan.tasks)
    )


def _doubts(task: Task, of_file: Mapping[str, list[Remark]]) -> tuple[Remark, ...]:
    """Gather the doubts of a task's frames, each of which names them."""
    told = (
        note.about(item.file)
        for item in task.frames
        for note in of_file.get(item.file, ())
    )
    return tuple(joined(told))


def without_stack(plan: Plan) -> dict[str, Remark]:
    """Say of each calibrated light that no stack is planned for why that is so.

    Returns
    -------
    dict of str to Remark
        Outputs of the lights, in the order of the plan.
    """
    stacked = {
        output
        for task in plan.tasks
        if task.action is Action.STACK
        for output in task.products
    }
    return {
        task.output: remark(_why_apart(task, plan.recipe), found=task.group)
        for task in plan.tasks
        if task.action is Action.CALIBRATE and task.output not in stacked
    }


def _why_apart(light: Task, recipe: Recipe) -> str:
    """Give the code for why a light goes into no stack."""
    if not recipe.stack.make:
        return "no-stacks"
    if light.is_spectrum:
        return "spectra"
    return "single-light" if light.has_known_colours else "mosaics"


def _absent(groups: pd.DataFrame, found: Uses) -> list[Remark]:
    if groups.empty:
        return [remark("no-frames")]
    there = set(groups["imagetyp"])
    return [
        remark(f"absent-{kind}", found=_INSTEAD if _is_served(kind, found) else "")
        for kind in (ImageType.BIAS, ImageType.DARK, ImageType.FLAT, ImageType.LIGHT)
        if kind not in there
    ]


def _is_served(kind: ImageType, found: Uses) -> bool:
    return any(use.output for use in found.get(kind, {}).values())


def _mixed(table: pd.DataFrame, groups: pd.DataFrame) -> list[Remark]:
    """Name cameras and sizes, where there are several."""
    notes = []
    cameras = sorted(groups["instrume"].dropna().unique())
    if len(cameras) > 1:
        notes.append(_several("cameras", cameras))
    sizes = sorted(
        f"{row.naxis1}x{row.naxis2}"
        for row in groups[["naxis1", "naxis2"]].dropna().drop_duplicates().itertuples()
    )
    if len(sizes) > 1:
        notes.append(_several("sizes", sizes))
    nights = sorted(table.loc[table["use"].astype(bool), "night"].dropna().unique())
    if len(nights) > 1:
        found = f"{len(nights)} nights: {nights[0]} to {nights[-1]}"
        notes.append(remark("several", found=found))
    return notes


def _several(what: str, names: list[str]) -> Remark:
    return remark("several", found=f"{len(names)} {what}: {', '.join(names)}")


def _unusable(table: pd.DataFrame) -> list[Remark]:
    """Count frames that are to be used, but as what they are cannot be."""
    used = table[table["use"].astype(bool)]
    unknown = used[used["imagetyp"].isna()]
    notes = []
    if len(unknown):
        first = unknown["file"].iloc[0]
        pattern = pattern_of([first], table["file"])
        notes.append(
            remark(
                "type-unknown",
                found=_count(len(unknown), "frame"),
                expected=first,
                way_out=typed("--set", f"{pattern}: imagetyp=light"),
            )
        )
    other = used[used["imagetyp"].isin([ImageType.MASTER, ImageType.OTHER])]
    if len(other):
        found = _count(len(other), "frame")
        first = other["file"].iloc[0]
        notes.append(remark("not-reduced", found=found, expected=first))
    return notes


def _foreign_masters(table: pd.DataFrame, root: Path) -> Iterator[Remark]:
    """Name the way of masters of other programs into a library."""
    masters = table["file"][table["code"].eq("typed-master").fillna(value=False)]
    if masters.empty:
        return
    files = " ".join(f"'{root / file}'" for file in masters)
    yield remark(
        "foreign-masters",
        found=_count(len(masters), "master"),
        expected=masters.iloc[0],
        way_out=f"autoreduce library add {files} --library masters",
    )


def _without_detectors(table: pd.DataFrame) -> Iterator[Remark]:
    """Tell files that lack detectors which the camera's other files have."""
    told = table[table["detector"].notna()]
    for _, part in told.groupby("instrume", dropna=False):
        files = part["file"].str.replace(r"\[\d+\]$", "", regex=True)
        there = part.groupby(files, sort=False)["detector"].agg(frozenset)
        ((whole, n),) = Counter(there).most_common(1)
        lacking: dict[frozenset[str], list[str]] = defaultdict(list)
        for file, detectors in there.items():
            if whole > detectors:
                lacking[whole - detectors].append(str(file))
        for lost, of in lacking.items():
            yield remark(
                "detector-missing", *of, found=some(sorted(lost)), expected=str(n)
            )


def _off_set_point(table: pd.DataFrame, rules: TemperatureRule) -> Iterator[Remark]:
    """Tell frames at another temperature than that which the camera was to hold."""
    used = comparable(table[table["use"].astype(bool)], rules)
    unreached = (used["ccd_temp"] - used["set_point"]).abs() > rules.reached
    if not (unreached | used["set_point"].isna()).fillna(value=False).any():
        return
    for _, part in used.groupby(["instrume", "night"], dropna=False):
        points = part["set_point"].dropna()
        held = points.mode()
        if len(points) < len(part) / 2 or held.empty:
            continue
        point = part["set_point"].fillna(float(held.iloc[0]))
        measured = part["ccd_temp"].astype(float)
        off = (measured - point).abs() > rules.reached
        said = part["set_temp"].notna()
        closed = part["imagetyp"].isin([ImageType.BIAS, *SERVED_BY["dark"]])
        reached = ((measured - point).abs() <= rules.reached).any()
        if not off.any() or not reached:
            continue
        for code, these in (("off-set-point", said), ("off-the-others", ~said)):
            # Without a set point it matters to those alone who have masters to choose.
            if (off & these).any() and (code == "off-set-point" or closed.any()):
                far = measured[off & these]
                low, high = f"{far.min():.1f}", f"{far.max():.1f}"
                points = sorted(set(point[off & these]))
                yield remark(
                    code,
                    *part.loc[off & these, "file"],
                    found=f"{low if low == high else f'{low} to {high}'} degC",
                    expected=", ".join(f"{one:.1f}" for one in points) + " degC",
                )


_OVERLAP = 5.0
"""Exposures so many times longer than the steps in which they began cannot be; several
cameras of one name take turns."""
_MS = 1000.0


def _overlapping(table: pd.DataFrame) -> Iterator[Remark]:
    """Tell exposures that are longer than the time in which they were taken."""
    used = table[table["use"].astype(bool) & (table["exptime"] > 0).fillna(value=False)]
    alike = ["imagetyp", "instrume", "exptime", "filter"]
    groups = used.groupby(alike, dropna=False, sort=False)
    spans, numbers = groups["date_obs"].agg(["min", "max", "nunique"]), groups.ngroup()
    for group, (key, first, last, n) in enumerate(spans.itertuples()):
        exptime, step = key[2], (last - first).total_seconds() / max(n - 1, 1)
        if n < 2 or step * _OVERLAP > exptime:
            continue
        part = used[numbers.eq(group)]
        way_out = ""
        if exptime / _MS < step:
            pattern = pattern_of(part["file"].tolist(), table["file"])
            way_out = f"--set '{pattern}: exptime={exptime / _MS:g}'"
        found, expected = f"{exptime:g} s", f"{step:.3g} s"
        yield remark(
            "overlapping",
            *part["file"],
            found=found,
            expected=expected,
            way_out=way_out,
        )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _lacking(setups: pd.DataFrame, groups: pd.DataFrame, found: Uses) -> list[Remark]:
    """Count the frames that go without a master that the night has for others."""
    there = set(groups["imagetyp"])
    counts: Counter[str] = Counter()
    lacks: dict[str, list[Remark]] = defaultdict(list)
    for need in NEEDS:
        if not there & set(SERVED_BY[need]):
            continue
        for row, use in found[need].items():
            if use.lack:
                kind = str(setups.loc[row, "imagetyp"])
                key = f"{kind} {use.lack.code} {use.lack.found} {use.lack.way_out}"
                counts[key] += int(setups.loc[row, "n_frames"])
                lacks[key].append(use.lack.about(kind))
    return [
        one.about(_count(n, one.subject[0]))
        for key, n in counts.items()
        for one in merged(lacks[key])
    ]


def _turned(table: pd.DataFrame) -> list[Remark]:
    """Tell of frames whose rows are turned to those of the lights."""
    turned = table[table["use"].astype(bool) & table["turned"].fillna(value=False)]
    if turned.empty:
        return []
    types = turned["imagetyp"].value_counts(sort=False)
    found = together([_count(int(n), f"{kind} frame") for kind, n in types.items()])
    order = turned["roworder"].dropna().unique()
    expected = f", to ROWORDER {order[0]}" if len(order) == 1 else ""
    return [remark("turned", found=found, expected=expected)]


def _pedestals(table: pd.DataFrame) -> list[Remark]:
    """Tell of pedestals that some frames have, or that differ."""
    used = table[table["use"].astype(bool)]
    levels = used["pedestal"].astype("Float64").fillna(0.0)
    if levels.nunique() < 2:
        return []
    parts = [
        f"{_count(int(n), 'frame')} with {level:g} ADU"
        for level, n in levels.value_counts().sort_index().items()
    ]
    return [remark("pedestals", found=", ".join(parts))]


def _unnamed_filters(table: pd.DataFrame) -> Iterator[Remark]:
    """Name flats without a filter, run by run, where lights of their camera have one."""
    used = table[table["use"].astype(bool)]
    is_flat = used["imagetyp"].eq(ImageType.FLAT).fillna(value=False)
    unnamed = used["filter"].isna() | used["filter"].str.startswith(UNNAMED)
    lights, flats = used[~unnamed & ~is_flat], used[is_flat & unnamed]
    by = ["instrume", "naxis1", "naxis2"]
    for (camera, nx, ny), of_camera in flats.groupby(by, dropna=False):
        # Where nobody names the camera, frames of another size are of another one.
        is_other = lights["naxis1"].ne(nx) | lights["naxis2"].ne(ny)
        is_alike = ~is_other.fillna(value=False)
        may_be = (lights["instrume"].isna() | pd.isna(camera)) & is_alike
        named = sorted(
            lights.loc[may_be | (lights["instrume"] == camera), "filter"].unique()
        )
        parts = of_camera.groupby("filter", dropna=False) if named else ()
        runs = [part["file"].tolist() for _, part in parts]
        # Which run is of which filter is not known: only of one of each it is plain.
        meant = named[0] if len(named) == len(runs) == 1 else "NAME"
        for files in runs:
            yield remark(
                "unnamed-filter",
                *files,
                found=_count(len(files), "flat"),
                expected=", ".join(named),
                way_out=typed(
                    "--set", f"{pattern_of(files, table['file'])}: filter={meant}"
                ),
            )


def _likely_filters(table: pd.DataFrame) -> list[Remark]:
    """Point out filters of lights that may be another spelling of a flat's."""
    used = with_one_spelling(table[table["use"].astype(bool)])
    flats, lights = (
        used[used["imagetyp"].eq(kind).fillna(value=False) & used["filter"].notna()]
        for kind in (ImageType.FLAT, ImageType.LIGHT)
    )
    served, asked = set(flats["filter"]), set(lights["filter"])
    notes = []
    for name in sorted(asked - served):
        near = [flat for flat in sorted(served - asked) if _alike(name, flat)]
        if near:
            files = lights.loc[lights["filter"] == name, "file"].tolist()
            pattern = pattern_of(files, table["file"])
            notes.append(
                remark(
                    "likely-filter",
                    found=name,
                    expected=", ".join(near),
                    way_out=typed("--set", f"{pattern}: filter={near[0]}"),
                )
            )
    return notes


def _alike(name: str, other: str) -> bool:
    """Guess whether two names may mean the same, though they are spelt as two."""
    one, two = (
        "".join(letter for letter in text.casefold() if letter.isalnum())
        for text in (name, other)
    )
    if one == two or (min(len(one), len(two)) > 1 and one[:2] == two[:2]):
        return True
    return SequenceMatcher(None, one, two).ratio() > _SIMILAR


_SIMILAR = 0.7


def _bare_flats(setups: pd.DataFrame, found: Uses) -> list[Remark]:
    """Name flats that are left out, as nothing can be taken out of them."""
    refused = sorted(with_zero_level(setups, found, ImageType.FLAT))
    if not refused:
        return []
    n = int(setups["n_frames"].loc[refused].sum())
    names = ", ".join(dict.fromkeys(setups["group"].loc[refused]))
    return [remark("bare-flats", found=f"{_count(n, 'flat')} of {names}")]


def undated(table: pd.DataFrame, evidence: pd.DataFrame) -> list[Remark]:
    """Name the lights whose start no card tells in a form that can be read.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave each fact, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    told = evidence[evidence["fact"].eq("date_obs") & evidence["value"].eq("")]
    is_light = (
        table["imagetyp"].eq(ImageType.LIGHT) & table["use"] & table["date_obs"].isna()
    )
    lights = set(table.loc[is_light.fillna(value=False).astype(bool), "file"])
    notes = []
    for (keyword, rule), rows in told[told["file"].isin(lights)].groupby(
        ["keyword", "rule"], sort=False
    ):
        card = f"{keyword} = {rows['literal'].iloc[0]}"
        notes.append(remark("no-date", *rows["file"], found=card, expected=str(rule)))
    return notes


def unusable_sections(table: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[Remark]:
    """Name the frames whose overscan, or what is to be kept, no card tells rightly.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave each fact, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    used = table[table["use"].astype(bool)].set_index("file")
    told = evidence[evidence["rule"].eq(NO_SECTION)]
    told = told[told["file"].isin(used.index)]
    for (fact, keyword, literal), rows in told.groupby(
        ["fact", "keyword", "literal"], sort=False
    ):
        # What the observer has set is not doubted.
        files = [file for file in rows["file"] if pd.isna(used.loc[file, fact])]
        if files:
            first = used.loc[files[0]]
            size = f"{first['naxis1']} x {first['naxis2']} pixels"
            card = f"{keyword} = {literal}"
            yield remark("no-section", *files, found=card, expected=size)


def unlike_exposures(table: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[Remark]:
    """Name the frames whose cards tell two exposures.

    The same time in other units, and that of each of several coadds, are no other one.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave each fact, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    told = evidence[evidence["fact"].eq("exptime")]
    for (frame, _, _, keyword, literal, others), files in _grouped(
        contradicted(table, told)
    ):
        other = _other_exposure(literal, others[0], frame["coadds"] or 1)
        if other is not None:
            pattern = pattern_of(files, table["file"])
            yield remark(
                "two-exposures",
                *files,
                found=f"{keyword} = {literal}",
                expected="; ".join(map("=".join, others)),
                way_out=f"--set '{pattern}: exptime={other:g}'",
            )


def doubled_cards(table: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[Remark]:
    """Name the frames that have one card twice, with unlike values.

    Other keywords may tell something else: the wheels of a camera have one each.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave a fact, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    for (_, fact, value, keyword, literal, others), files in _grouped(
        contradicted(table, evidence)
    ):
        key = SPELT.get(fact, str)
        twins = [
            text
            for name, text in others
            if name == keyword
            and key(text) != key(value)
            # A name beside a number is that of the number's place in the wheel.
            and (fact != "filter" or (number(text) is None) == (number(value) is None))
        ]
        if twins:
            pattern = pattern_of(files, table["file"])
            yield remark(
                "doubled-card",
                *files,
                found=f"{keyword} = {literal}",
                expected=f"{keyword}={twins[0]}",
                way_out=typed("--set", f"{pattern}: {fact}={twins[0]}"),
            )


class Contradicted(NamedTuple):
    """A fact of a frame that other cards tell otherwise."""

    frame: Mapping[str, Any]
    """Row of the frame, None where a cell is missing."""
    fact: str
    value: str
    keyword: str
    """Card that was believed, ..."""
    literal: str
    """... and what stands there."""
    others: tuple[tuple[str, str], ...]
    """Keyword and literal of the others."""


def contradicted(table: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[Contradicted]:
    """Give the facts of used frames that other cards tell otherwise.

    What the observer has set is not doubted.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave each fact, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    told = evidence[evidence["disagree"].ne("")]
    used = table[table["use"].astype(bool) & table["file"].isin(told["file"])]
    frames = {row["file"]: row for row in rows_of(used)}
    for one in told.to_dict("records"):
        frame = frames.get(one["file"])
        if frame is not None and shown(frame[one["fact"]]) == one["value"]:
            others = (text.partition("=") for text in told_otherwise(one["disagree"]))
            yield Contradicted(
                frame,
                one["fact"],
                one["value"],
                one["keyword"],
                one["literal"],
                tuple((keyword, text) for keyword, _, text in others),
            )


def _grouped(
    found: Iterable[Contradicted],
) -> Iterator[tuple[Contradicted, list[str]]]:
    """Give contradictions once, each with all frames that have it."""
    files: dict[object, list[str]] = {}
    first: dict[object, Contradicted] = {}
    for one in found:
        files.setdefault(one[1:], []).append(one.frame["file"])
        first.setdefault(one[1:], one)
    for key, one in first.items():
        yield one, files[key]


def _other_exposure(
    literal: str, other_card: tuple[str, str], coadds: int
) -> float | None:
    """Read the exposure that another card tells, if that contradicts the first."""
    keyword, text = other_card
    own, other = seconds(literal), seconds(text)
    if keyword not in _EXPOSURES or own is None or not other:
        return None
    same = (1.0, _MS, _MS**2, float(coadds))
    ratio = max(own, other) / min(own, other) if own > 0 else math.inf
    if any(math.isclose(ratio, n, rel_tol=_SAME_EXPOSURE) for n in same):
        return None
    return other


_EXPOSURES = ("EXPTIME", "EXPOSURE", "EXP_TIME", "EXP-TIME")
"""Cards of the time for which pixels were exposed: what was asked for, and what a whole
sequence took, stand in others."""
_SAME_EXPOSURE = 0.02
"""Exposures that agree within this part are one, rounded or with the shutter's delay."""


def _single_lights(groups: pd.DataFrame, pooled: Sequence[str]) -> list[Remark]:
    """Name the lights that have nothing to be stacked with, without spectra.

    Where there are others that only their exposure keeps apart, stacking can pool them.
    """
    pictures = [
        row["imagetyp"] == ImageType.LIGHT and not shows_spectrum(row)
        for row in rows_of(groups)
    ]
    lights = groups[pd.Series(pictures, groups.index, dtype=bool)]
    single = lights["n_frames"] == 1
    if not single.any():
        return []
    exposures = lights.groupby([*pooled], dropna=False)["exptime"]
    pools = single & (exposures.transform("nunique") > 1)
    names = some(lights["group"][single].tolist(), GROUPS_NAMED)
    way_out = "--stack-by object,filter" if pools.any() else ""
    return [remark("single-light", found=names, way_out=way_out)]
