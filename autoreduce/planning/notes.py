"""What the observer should know of the night as a whole, in words."""

from collections import Counter, defaultdict
from difflib import SequenceMatcher

import pandas as pd

from autoreduce.frames.schema import ImageType
from autoreduce.planning.use import (
    NEEDS,
    SERVED_BY,
    Services,
    refused_flats,
)
from autoreduce.planning.words import Lack, merged_lacks

_PLURALS = {
    ImageType.BIAS: "bias frames",
    ImageType.DARK: "darks",
    ImageType.FLAT: "flats",
    ImageType.LIGHT: "lights",
}


def night_notes(
    table: pd.DataFrame,
    groups: pd.DataFrame,
    setups: pd.DataFrame,
    found: Services,
) -> tuple[str, ...]:
    """Put into words what is missing and what is mixed.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    groups : DataFrame
        Facts of each group, with ``group``.
    setups : DataFrame
        Facts of each setup, with ``group`` and ``n_frames``.
    found : mapping
        Service of each need for each setup.

    Returns
    -------
    tuple of str
        One sentence for each note, the most general first.
    """
    return (
        *_absent(groups, found),
        *_mixed(table, groups),
        *_unusable(table),
        *_lacking(setups, groups, found),
        *_likely_filters(groups),
        *_bare_flats(setups, found),
        *_single_lights(groups),
    )


def _absent(groups: pd.DataFrame, found: Services) -> list[str]:
    if groups.empty:
        return ["no frame is used"]
    there = set(groups["imagetyp"])
    return [
        f"there are no {words} among the frames that are used{_instead(kind, found)}"
        for kind, words in _PLURALS.items()
        if kind not in there
    ]


def _instead(kind: ImageType, found: Services) -> str:
    served = any(service.output for service in found.get(kind, {}).values())
    return ": masters from the library serve instead" if served else ""


def _mixed(table: pd.DataFrame, groups: pd.DataFrame) -> list[str]:
    """Name cameras and sizes, where there are several."""
    notes = []
    cameras = sorted(groups["instrume"].dropna().unique())
    if len(cameras) > 1:
        notes.append(f"frames of {len(cameras)} cameras: {', '.join(cameras)}")
    sizes = sorted(
        f"{row.naxis1}x{row.naxis2}"
        for row in groups[["naxis1", "naxis2"]].dropna().drop_duplicates().itertuples()
    )
    if len(sizes) > 1:
        notes.append(f"frames of {len(sizes)} sizes: {', '.join(sizes)}")
    nights = sorted(table.loc[table["use"].astype(bool), "night"].dropna().unique())
    if len(nights) > 1:
        notes.append(f"frames of {len(nights)} nights: {nights[0]} to {nights[-1]}")
    return notes


def _unusable(table: pd.DataFrame) -> list[str]:
    """Count frames that are to be used, but as what they are cannot be."""
    used = table[table["use"].astype(bool)]
    unknown = used[used["imagetyp"].isna()]
    notes = []
    if len(unknown):
        first = unknown["file"].iloc[0]
        notes.append(
            f"left out: {_count(len(unknown), 'frame')} of unknown type, such as "
            f"{first}: say what they are, --set '{first}: imagetyp=light'"
        )
    other = used[used["imagetyp"].isin([ImageType.MASTER, ImageType.OTHER])]
    if len(other):
        notes.append(
            f"left out: {_count(len(other), 'frame')} of type master or other, "
            f"such as {other['file'].iloc[0]}"
        )
    return notes


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _lacking(setups: pd.DataFrame, groups: pd.DataFrame, found: Services) -> list[str]:
    """Count the frames that go without a master that the night has for others."""
    there = set(groups["imagetyp"])
    counts: Counter[tuple[str, str, str]] = Counter()
    lacks: dict[tuple[str, str, str], list[Lack]] = defaultdict(list)
    for need in NEEDS:
        for row, service in found[need].items():
            if service.lack and there & set(SERVED_BY[need]):
                key = (
                    str(setups.loc[row, "imagetyp"]),
                    service.lack.before,
                    service.lack.after,
                )
                counts[key] += int(setups.loc[row, "n_frames"])
                lacks[key].append(service.lack)
    return [
        f"{_count(n, key[0])}: {merged_lacks(lacks[key])[0]}"
        for key, n in counts.items()
    ]


def _likely_filters(groups: pd.DataFrame) -> list[str]:
    """Point out filters of lights that may be another spelling of a flat's."""
    flats = set(groups.loc[groups["imagetyp"] == ImageType.FLAT, "filter"].dropna())
    lights = set(groups.loc[groups["imagetyp"] == ImageType.LIGHT, "filter"].dropna())
    notes = []
    for name in sorted(lights - flats):
        near = [flat for flat in sorted(flats - lights) if _alike(name, flat)]
        if near:
            notes.append(
                f"lights have filter {name} and flats have {', '.join(near)}: if they "
                f"are the same, --set 'PATTERN: filter={near[0]}'"
            )
    return notes


def _alike(name: str, other: str) -> bool:
    one, two = (
        "".join(letter for letter in text.casefold() if letter.isalnum())
        for text in (name, other)
    )
    if one == two or (min(len(one), len(two)) > 1 and one[:2] == two[:2]):
        return True
    return SequenceMatcher(None, one, two).ratio() > _SIMILAR


_SIMILAR = 0.7


BARE_FLAT = (
    "without bias, dark and overscan a flat keeps its zero level and would correct "
    "vignetting wrongly"
)
"""Why a flat that nothing can be taken out of is not used."""


def _bare_flats(setups: pd.DataFrame, found: Services) -> list[str]:
    """Name flats that are left out, as nothing can be taken out of them."""
    refused = sorted(refused_flats(setups, found))
    if not refused:
        return []
    n = int(setups["n_frames"].loc[refused].sum())
    names = ", ".join(dict.fromkeys(setups["group"].loc[refused]))
    return [f"{_count(n, 'flat')} of {names} left out: {BARE_FLAT}"]


def _single_lights(groups: pd.DataFrame) -> list[str]:
    """Name the lights that have nothing to be stacked with."""
    lights = groups[(groups["imagetyp"] == ImageType.LIGHT) & (groups["n_frames"] == 1)]
    if lights.empty:
        return []
    names = ", ".join(lights["group"])
    return [f"single lights are calibrated and not stacked: {names}"]
