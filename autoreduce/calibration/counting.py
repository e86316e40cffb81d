"""Frames that do not count alike, found from their pixels and kept apart.

One program shifts 12 bits to 16 and another does not, one saves from 0 to 1, a level of
the closed shutter is set anew in the middle of the night: nothing is rescaled by guess,
and bias and darks serve their like only.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from autoreduce.calibration.levels import (
    CLOSED,
    DARKS,
    GROSS_NOISE,
    Raw,
    adu_text,
    gross,
    out_of_place,
)
from autoreduce.calibration.samples import BYTES, SHIFTED, UNITY
from autoreduce.fits.names import pattern_of
from autoreduce.frames.schema import ImageType
from autoreduce.remarks import Remark, remark

FEWEST_AT_A_LEVEL = 2
"""Frames that make a level; one alone is an odd frame."""
BEYOND = 1.8
"""Pixels so many times above the saturation level of a card disprove it; a limit of
linearity may be 0.6 of what pixels can hold."""
UNSIGNED = 1 << 15
"""BZERO of unsigned integers of 16 bits."""
ALIKE = "alike"
"""What an observer says of frames that count alike in spite of their pixels."""
LIT_OVERSCAN = 0.2
"""An overscan that has so much of the light beside it is none; a real one has what a
readout trails, less than a hundredth."""


@dataclass
class Counting:
    """How the frames of a night count, as far as they do not count alike."""

    files: Sequence[str] = ()
    """All frames of the night, among which patterns name some."""
    n_frames: int = 0
    """How many of them are held against each other."""
    ways: dict[str, str] = field(default_factory=dict)
    """How a frame counts, where the frames of its camera do not all count alike."""
    disproved: dict[str, float] = field(default_factory=dict)
    """Frames with a saturation level that pixels exceed: the highest pixel, ADU."""
    lit_overscans: dict[str, None] = field(default_factory=dict)
    """Frames whose overscan sees light."""
    notes: list[Remark] = field(default_factory=list)
    """What is to be said of the night."""


def disprove_saturation(frames: Sequence[Raw], counting: Counting) -> None:
    """Find cards of a saturation level that the pixels of like frames exceed.

    Where no card tells one, DATAMAX, the highest valid pixel, is asked.

    Parameters
    ----------
    frames : sequence of Raw
        Frames of one camera and setting.
    counting : Counting
        Where those are entered whose level is disproved.
    """
    said = defaultdict(list)
    for raw in frames:
        told = raw.saturate if math.isfinite(raw.saturate) else raw.sample.told_highest
        said[told].append(raw)
    for level, alike in said.items():
        highest = max(raw.sample.highest for raw in alike)
        if highest > BEYOND * level > 0:
            counting.disproved |= dict.fromkeys((raw.file for raw in alike), highest)
            end = max(raw.sample.ends[1] for raw in alike)
            files = [raw.file for raw in alike]
            is_all = len(files) == counting.n_frames
            meant = "*" if is_all else pattern_of(files, counting.files)
            way_out = f"--set '{meant}: saturate={end:.0f}'"
            counting.notes.append(
                remark(
                    "saturation-disproved",
                    *files,
                    found=adu_text(highest),
                    expected=adu_text(level),
                    way_out=way_out if math.isfinite(end) else "",
                )
            )


def disprove_overscan(frames: Sequence[Raw], counting: Counting) -> None:
    """Find overscans that are as bright as the image beside them: windows of the sensor.

    Parameters
    ----------
    frames : sequence of Raw
        Frames of one camera and setting.
    counting : Counting
        Where those are entered whose overscan is disproved.
    """
    kinds = defaultdict(list)
    for raw in frames:
        if math.isfinite(raw.sample.overscan):
            kinds[raw.kind].append(raw)
    if len(kinds) < 2:
        return
    ends = sorted(
        (
            float(np.median([raw.sample.level for raw in alike])),
            float(np.median([raw.sample.overscan for raw in alike])),
        )
        for alike in kinds.values()
    )
    (faint, below), (bright, above) = ends[0], ends[-1]
    noise = max(raw.noise for alike in kinds.values() for raw in alike)
    if bright - faint < gross(bright, faint, noise):
        return
    if above - below > LIT_OVERSCAN * (bright - faint):
        files = [raw.file for alike in kinds.values() for raw in alike]
        counting.lit_overscans |= dict.fromkeys(files)
        found, expected = adu_text(below, above), adu_text(faint, bright)
        counting.notes.append(
            remark("overscan-lit", *files, found=found, expected=expected)
        )


def parts_that_count_alike(
    frames: Sequence[Raw], counting: Counting
) -> list[list[Raw]]:
    """Part the frames of a camera into those that count alike, and say so.

    Parameters
    ----------
    frames : sequence of Raw
        Frames of one camera and setting.
    counting : Counting
        Where it is entered how they count, if not alike.

    Returns
    -------
    list of list of Raw
        Parts of one window whose levels are comparable; one part where all are alike.
    """
    return [
        part
        for same in _parts_of_one_way(frames, counting)
        for window in of_one_window(same)
        for part in _parts_of_one_level(window, counting)
    ]


def of_one_window(frames: Sequence[Raw]) -> list[list[Raw]]:
    """Part frames by the window of the sensor that was read."""
    windows: dict[tuple[object, ...], list[Raw]] = defaultdict(list)
    for raw in frames:
        windows[raw.window].append(raw)
    return list(windows.values())


def _parts_of_one_way(frames: Sequence[Raw], counting: Counting) -> list[list[Raw]]:
    """Part frames that count in other steps or units from each other, and say so."""
    known = {raw.file: ways for raw in frames if (ways := _counting(raw))}
    if len(set(known.values())) < 2:
        return [list(frames)]
    parts: dict[str, list[Raw]] = defaultdict(list)
    for raw in frames:
        way = known.get(raw.file) or _usual(frames, known, raw)
        parts[way].append(raw)
        counting.ways[raw.file] = way
    if _are_strangers(parts.values()):
        return list(parts.values())
    found = "; ".join(
        f"{_listed(Counter(raw.kind for raw in part))} {way}"
        for way, part in parts.items()
    )
    way_out = _way_out(frames, parts, counting.files)
    counting.notes.append(remark("counts-differ", *known, found=found, way_out=way_out))
    return list(parts.values())


def _are_strangers(parts: Collection[Sequence[Raw]]) -> bool:
    """Tell whether parts are of several cameras of one name, as drivers give it.

    They have no window of the sensor in common, and a closed shutter of their own.
    """
    windows = [{raw.window for raw in part} for part in parts]
    is_apart = len(set().union(*windows)) == sum(map(len, windows))
    return is_apart and all(any(raw.kind in CLOSED for raw in part) for part in parts)


def _way_out(
    frames: Sequence[Raw], parts: Mapping[str, Sequence[Raw]], files: Sequence[str]
) -> str:
    """Write what makes frames count alike; empty where nothing that can be typed does."""
    shifted = parts.get(SHIFTED, ())
    if shifted and all(UNSIGNED <= raw.level < 4 * UNSIGNED for raw in shifted):
        pattern = pattern_of([raw.file for raw in shifted], files)
        return f"--set '{pattern}: pedestal={UNSIGNED}'"
    if {UNITY, BYTES} & parts.keys() or any(map(out_of_place, of_one_window(frames))):
        return ""
    return _AS_ALIKE


_AS_ALIKE = f"--set '*: counts={ALIKE}'"


def _counting(raw: Raw) -> str:
    """Say how a frame counts; empty where its pixels do not tell."""
    counts, step = raw.sample.counts, raw.sample.step
    if counts == SHIFTED and raw.pedestal >= UNSIGNED:
        counts = ""  # what BZERO added is taken out
    return counts if counts or step is None else f"in steps of {step}"


def told_by_hand(frames: Sequence[Raw]) -> list[Remark]:
    """Say what is against taking frames for alike, where the observer does."""
    if not any(raw.by_hand for raw in frames):
        return []
    told = Counting()
    parts_that_count_alike(frames, told)
    return [
        remark("counts-by-hand", *one.subject, found=one.found) for one in told.notes
    ]


def _usual(frames: Sequence[Raw], known: Mapping[str, str], raw: Raw) -> str:
    """Give the way in which most frames of a window and type count, or most of all."""
    told = [one for one in frames if one.file in known]
    told = [one for one in told if one.window == raw.window] or told
    told = [one for one in told if one.kind == raw.kind] or told
    return Counter(known[one.file] for one in told).most_common(1)[0][0]


def _listed(numbers: Mapping[str, int]) -> str:
    """Write what frames of some types do: ``7 bias and 5 dark frames count``."""
    *parts, last = (f"{n} {kind}" for kind, n in sorted(numbers.items()))
    kinds = f"{', '.join(parts)} and {last}" if parts else last
    verb = "frame counts" if sum(numbers.values()) == 1 else "frames count"
    return f"{kinds} {verb}"


def _parts_of_one_level(frames: Sequence[Raw], counting: Counting) -> list[list[Raw]]:
    """Part frames of a night whose closed shutter has two levels, and say so.

    A closed frame belongs to the level that it lies next to, other frames to the lower
    one where they lie below the higher one; else that is not known.
    """
    levels = next((two for same in _like_closed(frames) if (two := _two(same))), None)
    if levels is None:
        return [list(frames)]
    low, high = levels
    parts: dict[str, list[Raw]] = defaultdict(list)
    for raw in frames:
        is_high = raw.level > (low + high) / 2
        if is_high and raw.kind not in CLOSED:
            parts[""].append(raw)
            continue
        way = f"from {adu_text(high if is_high else low)}"
        parts[way].append(raw)
        counting.ways[raw.file] = f"{counting.ways.get(raw.file, '')} {way}".strip()
    found = "; ".join(
        f"{_listed(Counter(raw.kind for raw in part))} {way}"
        for way, part in sorted(parts.items())
        if way
    )
    told = (raw.file for way, part in parts.items() if way for raw in part)
    counting.notes.append(
        remark("counts-differ", *told, found=found, way_out=_AS_ALIKE)
    )
    return list(parts.values())


def _like_closed(frames: Sequence[Raw]) -> Iterable[list[Raw]]:
    """Give the bias frames of each night; without any, darks of each exposure, too."""
    kinds = {raw.kind for raw in frames}
    closed = (ImageType.BIAS,) if ImageType.BIAS in kinds else DARKS
    alike: dict[object, list[Raw]] = defaultdict(list)
    for raw in frames:
        if raw.kind in closed:
            degrees = None if np.isnan(raw.temperature) else round(raw.temperature)
            exptime = None if raw.kind == ImageType.BIAS else raw.exptime
            alike[raw.night, degrees, exptime].append(raw)
    return alike.values()


def _two(closed: Sequence[Raw]) -> tuple[float, float] | None:
    """Give the two levels of frames that should have one; None if they have."""
    if len(closed) < 2 * FEWEST_AT_A_LEVEL:
        return None
    levels = np.sort([raw.level for raw in closed])
    gaps = np.diff(levels)
    cut = int(np.argmax(gaps)) + 1
    low, high = levels[:cut], levels[cut:]
    if min(len(low), len(high)) < FEWEST_AT_A_LEVEL:
        return None
    least = gross(levels[0], levels[-1], max(raw.noise for raw in closed))
    if gaps.max() < max(2 * least, GROSS_NOISE * max(np.ptp(low), np.ptp(high))):
        return None
    return float(np.median(low)), float(np.median(high))
