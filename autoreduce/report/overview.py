"""The night at a glance: who, when, how much light, and every frame on a time line."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from autoreduce.pixels.order import median
from autoreduce.planning.focalplane import FocalPlane, focal_plane
from autoreduce.remarks import Remark
from autoreduce.report.colours import filter_colour, frame_colour
from autoreduce.report.content import NightReport
from autoreduce.report.exposures import Exposures
from autoreduce.report.plots import Deviation, Exposure
from autoreduce.report.summary import left_out
from autoreduce.report.words import count, duration, listing, number

TYPE_ORDER = ("bias", "dark", "flatdark", "flat", "light", "master", "other")
"""Order in which types of frames are listed."""
MAX_OBJECTS = 8
"""Objects that get a lane of their own in the timeline."""


@dataclass(frozen=True, slots=True)
class FilterTime:
    """Light gathered through one filter."""

    name: str
    """Filter."""
    colour: str
    """Its colour."""
    words: str
    """Number of exposures and their sum."""


def about(frames: pd.DataFrame) -> list[str]:
    """Say which cameras and telescopes, and from when to when."""
    devices = [
        listing([str(name) for name in sorted(frames[column].dropna().unique())])
        for column in ("instrume", "telescop")
    ]
    times = frames["date_obs"].dropna()
    return [part for part in (*devices, _span(times)) if part]


def _span(times: pd.Series) -> str:
    if times.empty:
        return ""
    begin, end = times.min(), times.max()
    form = "%H:%M" if begin.date() == end.date() else "%Y-%m-%d %H:%M"
    return f"{begin:%Y-%m-%d %H:%M} to {end.strftime(form)} UTC"


def light_gathered(night: Exposures) -> list[tuple[str, list[FilterTime]]]:
    """Sum up the lights that were used, by object and filter, in order of time."""
    frames = night.frames
    used = (frames["imagetyp"] == "light") & ~frames["file"].isin(night.lost)
    lights = frames[used.fillna(value=False)]
    objects = lights["object"].fillna("no object named")
    filters = lights["filter"].fillna("no filter named")
    return [
        (
            str(name),
            [
                _filter_time(str(through), exposures)
                for through, exposures in members.groupby(filters, sort=False)
            ],
        )
        for name, members in lights["exptime"].groupby(objects, sort=False)
    ]


def _filter_time(name: str, exposures: pd.Series) -> FilterTime:
    total = duration(float(exposures.sum())) if exposures.notna().any() else ""
    words = ", ".join(part for part in (count(len(exposures), "frame"), total) if part)
    return FilterTime(name, filter_colour(name), words)


def exposures(night: Exposures) -> list[Exposure]:
    """List the exposures that have a time as bars, lane by lane."""
    dated = night.frames[night.frames["date_obs"].notna()]
    lights = dated[dated["imagetyp"] == "light"]["object"].dropna()
    objects = list(dict.fromkeys(lights))[:MAX_OBJECTS]
    lanes = [*TYPE_ORDER[:4], *objects, "light", *TYPE_ORDER[5:], "type unknown"]
    told = dated[["file", "imagetyp", "object", "filter", "exptime", "date_obs"]]
    bars = [_bar(frame, objects, night.lost) for frame in told.to_dict("records")]
    return sorted(bars, key=lambda bar: lanes.index(bar.lane))


def _bar(
    frame: dict[str, Any], objects: list[str], lost: Mapping[str, str]
) -> Exposure:
    known = {key: value for key, value in frame.items() if not pd.isna(value)}
    imagetyp, through = known.get("imagetyp"), known.get("filter")
    seconds = float(known.get("exptime", 0.0))
    is_light = imagetyp == "light" and known.get("object") in objects
    words = [known["file"], imagetyp, known.get("object"), through]
    words += [f"{number(seconds)} s", f"{known['date_obs']:%H:%M:%S}"]
    if frame["file"] in lost:
        words.append(f"left out: {lost[frame['file']]}")
    return Exposure(
        lane=str(known["object"] if is_light else imagetyp or "type unknown"),
        start=known["date_obs"].to_pydatetime(),
        seconds=seconds,
        colour=frame_colour(imagetyp, through),
        words=" · ".join(str(word) for word in words if word),
        left_out=frame["file"] in lost,
    )


def deviations(report: NightReport) -> list[Deviation]:
    """Compare the measured level of each frame with the middle of its group.

    Groups of one frame have no middle, and those whose middle is not above the noise of
    a pixel no scale (bias frames without their overscan): they are passed over.  Biases come first, then darks, flats and lights.
    Detectors that take exposures together share a row.
    """
    lost, plane = left_out(report), focal_plane(report.frames)
    told = report.frames[["file", "group", "median", "noise", *_LOOKS]]
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    measured = told[told["median"].notna() & told["group"].notna()]
    for row in measured.to_dict("records"):
        groups[row["group"]].append(row)
    dots, ranks = [], {}
    order = {name: rank for rank, name in enumerate(TYPE_ORDER)}
    for name, members in sorted(groups.items()):
        middle = float(median(np.array([one["median"] for one in members])))
        noises = np.array([one["noise"] for one in members], np.float64)
        if len(members) > 1 and middle > median(np.nan_to_num(noises)):
            dots += [_dot(one, middle, lost, plane) for one in members]
        ranks[plane.family(name)] = order.get(members[-1]["imagetyp"], 9)
    return sorted(dots, key=lambda dot: (ranks[dot.lane], dot.lane))


def _dot(
    frame: dict[str, Any], middle: float, lost: Mapping[str, Remark], plane: FocalPlane
) -> Deviation:
    file, level = str(frame["file"]), float(frame["median"])
    words = [file, f"{number(level)} ADU", f"{100 * (level / middle - 1):+.2g} %"]
    if file in lost:
        words.append(f"left out: {lost[file]}")
    known = {key: None if pd.isna(frame[key]) else frame[key] for key in _LOOKS}
    return Deviation(
        lane=plane.family(str(frame["group"])),
        value=level / middle - 1,
        colour=frame_colour(known["imagetyp"], known["filter"]),
        words=" · ".join(words),
        left_out=file in lost,
    )


_LOOKS = ("imagetyp", "filter")


def legend(frames: pd.DataFrame) -> list[tuple[str, str]]:
    """Name the colours of the timeline: types that see no light, then filters."""
    looks = frames[frames["date_obs"].notna()][["imagetyp", "filter"]]
    named: dict[str, str] = {}
    for imagetyp, through in looks.drop_duplicates().itertuples(index=False):
        kind = "type unknown" if pd.isna(imagetyp) else str(imagetyp)
        exposed = kind in ("flat", "light")
        if exposed and not pd.isna(through):
            named[str(through)] = frame_colour(kind, str(through))
        else:
            name = f"{kind}, no filter named" if exposed else kind
            named[name] = frame_colour(kind, None)
    types = [name for name in TYPE_ORDER if name in named]
    return [(name, named[name]) for name in dict.fromkeys([*types, *named])]
