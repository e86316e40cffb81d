"""The raw frames of a frame table, screened: what cannot be is left out or kept apart."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autoreduce.calibration.counting import (
    ALIKE,
    Counting,
    disprove_overscan,
    disprove_saturation,
    of_one_window,
    parts_that_count_alike,
    told_by_hand,
)
from autoreduce.calibration.levels import (
    CLOSED,
    Doubt,
    Raw,
    adu_text,
    by_itself,
    out_of_place,
    unlike_rates,
)
from autoreduce.calibration.samples import Sample, Sampled
from autoreduce.calibration.seams import shown_by
from autoreduce.fits.amplifiers import read_amplifiers
from autoreduce.fits.names import pattern_of
from autoreduce.frames.schema import ImageType
from autoreduce.planning.drafting import crosstalk_of
from autoreduce.planning.recipe import Crosstalk
from autoreduce.remarks import Remark, remark

if TYPE_CHECKING:
    import pandas as pd

_LACKING = {"shifted": 1 << 15, "all-wrapped": 1 << 16}
"""What all counts lack, ADU, of unsigned ones that were written as signed ones: BZERO, or
the range of 16 bits."""
_TRULY = {"starry": ImageType.LIGHT, "closed-flat": ImageType.FLATDARK}
"""What frames are, most likely, that cannot be what they are called."""
_LOST = {"no-data", "wrapped", "bytes-swapped"}
"""Nothing can be made of a frame without data, nor of counts that are not known."""
SETTING = (
    "instrume",
    "detector",
    "xbinning",
    "ybinning",
    "readoutm",
    "gain",
    "offset",
)
"""Columns of the frame table in which frames agree that count alike."""
WINDOW = ("naxis1", "naxis2", "xorgsubf", "yorgsubf")
"""Columns in which they agree, too, if their levels are comparable: a master of the
whole sensor serves lights of a part of it."""


@dataclass
class Screened:
    """What is to be made of the frames of a night."""

    left_out: dict[str, Doubt] = field(default_factory=dict)
    """Frames that cannot be what they are called, each with the reason."""
    copies: dict[str, str] = field(default_factory=dict)
    """Frames with the pixels of another, which has fewer cards or a plainer name."""
    counting: Counting = field(default_factory=Counting)
    """How frames count that do not count as others do."""


def screen(cameras: Sequence[Sequence[Raw]], files: Sequence[str] = ()) -> Screened:
    """Hold the raw frames of a night against each other.

    Parameters
    ----------
    cameras : sequence of sequence of Raw
        Frames that agree in `SETTING`, together.
    files : sequence of str
        All frames of the night, among which patterns name some.

    Returns
    -------
    Screened
        Empty where nothing is out of place.
    """
    screened = Screened(counting=Counting(files, sum(map(len, cameras))))
    for frames in cameras:
        disprove_saturation(frames, screened.counting)
        for window in of_one_window(frames):
            disprove_overscan(window, screened.counting)
        alone = {raw.file: why for raw in frames if (why := by_itself(raw))}
        if any(why.code == "shifted" for why in alone.values()):
            alone = {
                file: why._replace(code="shifted") if "wrapped" in why.code else why
                for file, why in alone.items()
            }
        screened.left_out |= alone
        some = [raw for raw in frames if raw.file not in alone]
        screened.copies |= copies_in(some)
        screened.counting.notes += told_by_hand(some)
        rest = [raw for raw in some if not raw.by_hand]
        for part in parts_that_count_alike(rest, screened.counting):
            screened.left_out |= (odd := out_of_place(part))
            told = unlike_rates([raw for raw in part if raw.file not in odd])
            screened.counting.notes += _rates_told(told, files)
    return screened


def _rates_told(doubts: Mapping[str, Doubt], files: Sequence[str]) -> list[Remark]:
    """Say once of darks that their dark current is not that of the other exposure."""
    if not doubts:
        return []
    found, expected = (
        adu_text(*_ends(values)) + "/s"
        for values in zip(*(doubt[1:] for doubt in doubts.values()), strict=True)
    )
    way_out = f"--exclude '{pattern_of(list(doubts), files)}'"
    return [
        remark("unlike-rates", *doubts, found=found, expected=expected, way_out=way_out)
    ]


def copies_in(frames: Iterable[Raw]) -> dict[str, str]:
    """Find frames that are others with changed headers, as a solver of plates saves them.

    Parameters
    ----------
    frames : iterable of Raw
        Frames of one camera and setting.

    Returns
    -------
    dict of str to str
        Frames of one type and start whose pixels are those of another: its name, which
        is the shortest.
    """
    first: dict[tuple[object, ...], str] = {}
    found = {}
    for raw in sorted(frames, key=lambda one: (len(one.file), one.file)):
        if raw.start is None:
            continue
        key = (raw.kind, raw.start, raw.exptime, raw.sample.content)
        original = first.setdefault(key, raw.file)
        if original != raw.file:
            found[raw.file] = original
    return found


def judged(
    frames: "pd.DataFrame", crosstalk: Sequence[Crosstalk] = ()
) -> dict[str, Sampled]:
    """List the frames that take part and of which the observer has said nothing.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    crosstalk : sequence of Crosstalk
        What the recipe tells of amplifiers that have something of one another.

    Returns
    -------
    dict of str to Sampled
        By file.

    Raises
    ------
    SettingsError
        If an amplifier of the recipe is not in a frame that is to show gains.
    """
    raw = frames["imagetyp"].isin([*CLOSED, ImageType.FLAT, ImageType.LIGHT])
    unsaid = frames["counts"].isna() | frames["counts"].eq(ALIKE)
    chosen = frames["use"] & raw & frames["why_not"].isna() & unsaid
    rows = frames[chosen.fillna(value=False).astype(bool)]
    sections = rows["biassec"].where(~rows["turned"].fillna(value=False), None)
    told = map(
        Sampled,
        rows["imagetyp"],
        sections.fillna("").astype(str),
        rows["amplifiers"].fillna("").astype(str),
        rows["file"].isin(shown_by(rows)),
    )
    found = dict(zip(rows["file"], told, strict=True))
    if crosstalk:
        detectors = rows["detector"].fillna("").astype(str)
        for (file, one), detector in zip(found.items(), detectors, strict=True):
            if one.shows_seams:
                parts = read_amplifiers(one.amplifiers)
                heard = crosstalk_of(file, parts, detector, crosstalk)
                found[file] = one._replace(crosstalk=heard)
    return found


def with_levels(
    frames: "pd.DataFrame", samples: Mapping[str, Sample], *, leave_out: bool = True
) -> tuple["pd.DataFrame", tuple[Remark, ...]]:
    """Enter into a frame table what levels tell of frames that cannot be.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    samples : mapping of str to Sample
        What the pixels show of the frames that `judged` lists.
    leave_out : bool
        Whether frames are left out, or only doubted.

    Returns
    -------
    DataFrame
        A new table: frames whose level cannot be have ``use`` false and ``why_not``,
        those that do not count as others have ``counts``, and no ``saturate`` that
        pixels exceed, nor a ``biassec`` that sees light.
    tuple of Remark
        What is to be said of the night.
    """
    names = frames["file"].tolist()
    asked = frames[frames["file"].isin(samples.keys())]
    screened = screen(_by_camera(asked, samples), names)
    table = frames.set_index("file", drop=False)
    for file, way in screened.counting.ways.items():
        table.loc[file, "counts"] = way
    table.loc[list(screened.counting.disproved), "saturate"] = None
    table.loc[list(screened.counting.lit_overscans), "biassec"] = None
    for file, original in screened.copies.items():
        way_out = f"--include '{pattern_of([file], names)}'" if leave_out else ""
        told = remark("same-pixels", found=original, way_out=way_out)
        table.loc[file, ["use", "why_not", "code"]] = [
            not leave_out,
            str(told),
            told.code,
        ]
    for files, told in _told(screened.left_out, table["imagetyp"]):
        offered = leave_out and told.code not in _LOST
        pattern = pattern_of(files, names)
        way_out = f"--include '{pattern}'" if offered else ""
        if told.code in _LACKING:
            way_out = f"--set '{pattern}: pedestal={-_LACKING[told.code]}'"
        if told.code in _TRULY:
            way_out = f"--set '{pattern}: imagetyp={_TRULY[told.code]}'"
        why = replace(told, way_out=way_out)
        table.loc[files, "use"] = not leave_out
        table.loc[files, "why_not"] = str(why)
        table.loc[files, "code"] = why.code
    table = table.reset_index(drop=True)
    table.attrs.update(frames.attrs)
    return table, tuple(screened.counting.notes)


def _told(
    doubts: Mapping[str, Doubt], kinds: Mapping[str, str]
) -> Iterator[tuple[list[str], Remark]]:
    """Say once of all frames of a type what is wrong with them, with both values."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, doubt in doubts.items():
        alike[doubt.code, kinds[file]].append(file)
    for (code, _), files in alike.items():
        found = [doubts[file].found for file in files]
        expected = [doubts[file].expected for file in files]
        form = _FORMS.get(code, adu_text)
        yield (
            files,
            remark(
                code, found=form(*_ends(found)), expected=adu_text(*_ends(expected))
            ),
        )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _every_pixel(low: float, high: float) -> str:
    if np.isnan(low):
        return "no pixel is finite"
    return f"every pixel is {' or '.join(dict.fromkeys((f'{low:g}', f'{high:g}')))}"


def _per_megapixel(low: float, high: float) -> str:
    ends = " to ".join(dict.fromkeys((f"{low:.0f}", f"{high:.0f}")))
    return f"{ends} per megapixel"


def _percent(low: float, high: float) -> str:
    return " to ".join(dict.fromkeys((f"{low:.0%}", f"{high:.0%}")))


_FORMS = {
    "no-data": _every_pixel,
    "half-dark": _percent,
    "cut-off": _percent,
    "starry": _per_megapixel,
}
"""How what was found is written where it is no level."""


def _by_camera(
    frames: "pd.DataFrame", samples: Mapping[str, Sample]
) -> list[list[Raw]]:
    """Take the rows of a frame table together that agree in `SETTING`.

    Where nobody names the camera, another window may be that of another one.
    """

    def cells(*names: str) -> Iterator[tuple[Any, ...]]:
        some = frames[list(names)].astype(object)
        columns = some.where(some.notna(), None)
        return zip(*(columns[name].tolist() for name in names), strict=True)

    def numbers(name: str, missing: float = np.nan) -> list[float]:
        found: list[float] = frames[name].to_numpy(float, na_value=missing).tolist()
        return found

    cameras: dict[tuple[object, ...], list[Raw]] = defaultdict(list)
    rows = zip(
        cells("file", "imagetyp", "night", "date_obs", "counts"),
        numbers("exptime"),
        numbers("ccd_temp"),
        numbers("saturate"),
        numbers("pedestal", 0.0),
        cells(*WINDOW),
        cells(*SETTING),
        strict=True,
    )
    for told, exptime, temperature, saturate, pedestal, window, camera in rows:
        file, kind, night, start, counts = told
        raw = Raw(
            file,
            kind,
            samples[file],
            exptime,
            temperature,
            saturate,
            night,
            pedestal,
            start,
            window,
            by_hand=counts == ALIKE,
        )
        own = window if camera[0] is None else ()
        cameras[camera + own].append(raw)
    return list(cameras.values())
