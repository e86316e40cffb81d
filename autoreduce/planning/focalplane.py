"""Detectors that see one exposure together: which frames, groups and places are theirs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pandas as pd

from autoreduce.fits.sections import Section, parse_turned

_HDU = r"^(.*)\[(\d+)\]$"
_ALIKE = ("imagetyp", "object", "filter", "exptime")
"""What frames of one exposure agree in; one of which the observer says otherwise is another."""
_COLUMNS = (
    *("file", "group", "detector", "place", *_ALIKE),
    *("naxis1", "naxis2", "xbinning", "ybinning"),
)
_GAP = 0.03
"""Between detectors of which no card tells where they lie, of the width of one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a detector lies among the others."""

    section: Section
    """Rows and columns of the focal plane, in pixels without binning."""
    backwards: tuple[bool, bool] = (False, False)
    """Whether rows and columns of its image run backwards there."""


@dataclass(frozen=True, slots=True)
class FocalPlane:
    """What the frames of several detectors are to one another."""

    exposures: Mapping[str, str] = field(default_factory=dict)
    """By frame of one of several detectors: the file that all of them stand in."""
    families: Mapping[str, str] = field(default_factory=dict)
    """By group: the name that the groups of those exposures share."""
    places: Mapping[str, Mapping[str, Place]] = field(default_factory=dict)
    """By that name: where each detector lies."""
    detectors: frozenset[str] = frozenset()
    """All detectors, those of frames without a group among them."""

    def family(self, group: str) -> str:
        """Name a group, or a master, of all detectors; one of a single detector as it is."""
        return self.families.get(group, group)


def around(places: Mapping[str, Place]) -> Section:
    """Give the rows and columns that hold all detectors."""
    rows, columns = (
        slice(
            min(place.section[axis].start for place in places.values()),
            max(place.section[axis].stop for place in places.values()),
        )
        for axis in (0, 1)
    )
    return rows, columns


def focal_plane(frames: pd.DataFrame) -> FocalPlane:
    """Find out which frames, and which groups, are one exposure seen by several detectors.

    Parameters
    ----------
    frames : DataFrame
        A frame table with the plan's columns.

    Returns
    -------
    FocalPlane
        Empty if each file has one detector.
    """
    told = frames.loc[frames["detector"].notna(), list(_COLUMNS)]
    parts = told["file"].astype("string").str.extract(_HDU)
    if parts[0].isna().all():
        return FocalPlane()
    told = told.assign(exposure=parts[0], hdu=parts[1].astype("Int64"))
    told = _alike(told[parts[0].notna()])
    grouped = told[told["group"].fillna("").ne("")].sort_values("hdu")
    families = _families(grouped["group"].tolist(), grouped["exposure"].tolist())
    members: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in grouped.drop_duplicates(["group", "detector"]).to_dict("records"):
        of_family = members.setdefault(families[str(row["group"])], {})
        of_family.setdefault(str(row["detector"]), row)
    return FocalPlane(
        exposures=dict(zip(told["file"], told["exposure"], strict=True)),
        families=families,
        places={family: _laid_out(rows) for family, rows in members.items()},
        detectors=frozenset(told["detector"]),
    )


def _alike(told: pd.DataFrame) -> pd.DataFrame:
    """Keep the frames of each file that are alike, most of them if there are several kinds."""
    kinds = told.groupby(["exposure", *_ALIKE], dropna=False)["file"]
    told = told.assign(kind=kinds.ngroup(), n=kinds.transform("size"))
    first = told.sort_values(["n", "hdu"], ascending=[False, True])
    kept = first.drop_duplicates("exposure").set_index("exposure")["kind"]
    return told[(told["n"] > 1) & (told["kind"] == told["exposure"].map(kept))]


def _families(groups: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Join groups that have an exposure in common, and name what they are together."""
    joined: dict[str, set[str]] = {}
    begun: dict[str, set[str]] = {}
    for group, file in zip(groups, files, strict=True):
        mine = joined.setdefault(group, {group})
        other = begun.setdefault(file, mine)
        if other is not mine:
            other |= mine
            joined.update(dict.fromkeys(mine, other))
            begun.update({f: other for f, found in begun.items() if found is mine})
    names: dict[str, str] = {}
    taken: dict[str, int] = {}
    for members in {id(found): found for found in joined.values()}.values():
        name = in_common(sorted(members))
        taken[name] = taken.get(name, 0) + 1
        tail = f"_{taken[name]}" if taken[name] > 1 else ""
        names.update(dict.fromkeys(members, name + tail))
    return names


def in_common(names: Sequence[str]) -> str:
    """Give the parts that names of groups share: what is left out is the detector's."""
    parts = [name.split("_") for name in names]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return "_".join(shared) or names[0]


def _laid_out(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Place]:
    """Put detectors where their cards say, or in rows if these cannot all be so."""
    told = {name: row["place"] for name, row in rows.items()}
    if not any(pd.isna(text) for text in told.values()):
        places = {name: Place(*parse_turned(str(text))) for name, text in told.items()}
        if not _overlap(place.section for place in places.values()):
            return places
    sizes = [_size(row) for row in rows.values()]
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    step_y, step_x = (math.ceil(size * (1 + _GAP)) for size in (height, width))
    across = math.ceil(math.sqrt(len(rows)))
    found = {}
    for n, (name, (ny, nx)) in enumerate(zip(rows, sizes, strict=True)):
        y, x = (n // across) * step_y, (n % across) * step_x
        found[name] = Place((slice(y, y + ny), slice(x, x + nx)))
    return found


def _overlap(sections: Iterable[Section]) -> bool:
    return any(
        all(a.start < b.stop and b.start < a.stop for a, b in zip(*pair, strict=True))
        for pair in combinations(sections, 2)
    )


def _size(row: Mapping[str, Any]) -> tuple[int, int]:
    """Give rows and columns of a detector, in pixels without binning."""
    ny, nx = (
        int(row[size]) * (1 if pd.isna(row[step]) else int(row[step]))
        for size, step in (("naxis2", "ybinning"), ("naxis1", "xbinning"))
    )
    return ny, nx
