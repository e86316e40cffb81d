"""The frames that take part: their groups, and the sets of like frames in them.

A *group* is what is combined into one product.  Its frames may still need different
masters (flats of several exposures, lights of several nights): a *setup* is a part
of a group whose frames are alike in all that masters are chosen by.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from autoreduce.frames.schema import ImageType
from autoreduce.planning.byhand import is_by_hand
from autoreduce.planning.grouping import (
    Codes,
    comparable,
    equal_codes,
    group_codes,
    group_facts,
)
from autoreduce.planning.naming import group_names
from autoreduce.planning.phrases import number_text
from autoreduce.planning.rules import TEMPERATURE, CombineRule, Rules
from autoreduce.planning.use import NEEDS, is_absolute, stem

_TYPES = (
    ImageType.BIAS,
    ImageType.DARK,
    ImageType.FLATDARK,
    ImageType.FLAT,
    ImageType.LIGHT,
)


@dataclass(frozen=True, slots=True)
class NightSetups:
    """Frames that take part, their groups, and the sets of like frames in them."""

    frames: pd.DataFrame
    """Frames in order of time, with ``group_code`` and ``setup_code``."""
    groups: pd.DataFrame
    """Facts of each group, with ``group`` (its name), ``output`` and ``files``."""
    setups: pd.DataFrame
    """Facts of each setup, with ``setup``, ``group_code``, ``file``, ``files`` and a column
    for each of `NEEDS` (the observer's choice)."""


def make_night(
    table: pd.DataFrame, rules: Rules, stack_rule: CombineRule
) -> NightSetups:
    """Group the frames that take part, and part the groups into setups.

    Parameters
    ----------
    table : DataFrame
        A frame table, sorted by time.
    rules : Rules
        Which frames are alike.
    stack_rule : CombineRule
        Which lights are stacked.

    Returns
    -------
    NightSetups
        Frames, groups and setups; each is empty if no frame takes part.
    """
    takes_part = table["use"] & table["imagetyp"].isin(_TYPES)
    frames = comparable(table[takes_part.astype(bool)], rules.temperature)
    frames = frames.reset_index(drop=True)
    combine = {**rules.combine, "light": stack_rule, "flatdark": rules.combine["dark"]}
    groups = _codes_by_type(frames, combine, rules)
    facts = group_facts(frames, groups)
    facts["exptime"] = _of_like_exposures(frames, groups, facts["exptime"], rules)
    facts["files"] = _files(frames, groups)
    facts["group"] = group_names(facts)
    folder = (
        facts["imagetyp"].eq(ImageType.LIGHT).map({True: "stacks", False: "masters"})
    )
    facts["output"] = folder + "/" + facts["group"] + ".fits"
    frames = _with_choices(frames.assign(group_code=groups))
    used_within = [name for use in rules.use.values() for name in use.within]
    like = CombineRule(
        equal=("night", "telescop", *NEEDS),
        within=tuple(dict.fromkeys([TEMPERATURE, "exptime", *used_within])),
    )
    frames["setup_code"] = group_codes(frames, like, rules, within=groups)
    return NightSetups(frames, facts, _setups(frames, facts))


def _of_like_exposures(
    frames: pd.DataFrame, groups: Codes, exptime: pd.Series, rules: Rules
) -> pd.Series:
    """Keep the exposures of groups whose frames agree in it: a mean is none."""
    found = frames["exptime"].astype("Float64").groupby(groups)
    limit = rules.tolerance["exptime"].limit(
        found.max().to_numpy(float, na_value=np.nan)
    )
    spread = (found.max() - found.min()).to_numpy(float, na_value=np.nan)
    return exptime.where(~(spread > limit))


def _files(frames: pd.DataFrame, codes: Codes) -> pd.Series:
    """List the frames of each group, as a tuple."""
    of_group: list[list[str]] = [[] for _ in range(int(codes.max(initial=-1)) + 1)]
    for file, code in zip(frames["file"].tolist(), codes.tolist(), strict=True):
        of_group[code].append(file)
    return pd.Series([tuple(files) for files in of_group], dtype=object)


def _codes_by_type(
    frames: pd.DataFrame, combine: Mapping[str, CombineRule], rules: Rules
) -> Codes:
    """Group the frames of each type by the type's own rule."""
    codes = equal_codes(frames["imagetyp"])
    grouped = codes.copy()
    offset = 0
    for kind in _TYPES:
        members = frames["imagetyp"].eq(kind).to_numpy(dtype=bool)
        if members.any():
            part = group_codes(frames[members], combine[kind], rules)
            grouped[members] = part + offset
            offset += int(part.max()) + 1
    return grouped


def _with_choices(frames: pd.DataFrame) -> pd.DataFrame:
    """Keep in `NEEDS` only what the observer wrote there, not an earlier plan."""
    planned = frames["planned"].tolist()
    for need in NEEDS:
        cells = zip(frames[need].tolist(), frames[need].notna(), planned, strict=True)
        by_hand = [told and is_by_hand(need, cell, plan) for cell, told, plan in cells]
        frames[need] = frames[need].where(by_hand).map(_named, na_action="ignore")
    return frames


def _named(cell: str) -> str:
    """Write a choice as a name; that of a library's master as a path."""
    return cell.strip() if is_absolute(cell) else stem(cell)


def _setups(frames: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Describe each set of like frames, and label it after its group."""
    codes = frames["setup_code"].to_numpy()
    setups = group_facts(frames, codes).assign(files=_files(frames, codes))
    first = frames.groupby("setup_code")[["group_code", "file", *NEEDS]].first()
    setups = setups.join(first)
    setups["group"] = groups["group"].to_numpy()[setups["group_code"]]
    setups["setup"] = _labels(setups)
    return setups


_LABEL_COLUMNS = ("night", "exptime", TEMPERATURE, "focallen", "rotator", *NEEDS)


def _labels(setups: pd.DataFrame) -> list[str]:
    """Label setups by their group and the facts in which they differ within it."""
    labels = setups["group"].tolist()
    for rows in setups.groupby("group_code", sort=True).indices.values():
        if len(rows) == 1:
            continue
        part = setups.iloc[rows]
        differing = [
            name for name in _LABEL_COLUMNS if len(set(equal_codes(part[name]))) > 1
        ]
        for row in rows:
            facts = [_label_part(name, setups[name].iloc[row]) for name in differing]
            labels[row] += f" [{', '.join(facts)}]"
    return _numbered(labels)


def _label_part(name: str, value: object) -> str:
    text = number_text(name, value)
    return text if text != "unknown" else f"{name} unknown"


def _numbered(labels: Sequence[str]) -> list[str]:
    """Append numbers to labels that are still equal, so that each names one setup."""
    seen: dict[str, int] = defaultdict(int)
    unique = []
    for label in labels:
        seen[label] += 1
        unique.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return unique
