"""Gains of the amplifiers of a detector, as the seams between them show in flats."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.joined import JoinedImage, Readout
from autoreduce.fits.amplifiers import (
    Amplifier,
    factors_of,
    layout_of,
    read_amplifiers,
    write_amplifiers,
)
from autoreduce.fits.sections import section_shape
from autoreduce.frames.schema import ImageType
from autoreduce.pixels.seams import (
    BESIDE,
    FEWEST_PIECES,
    NEAR,
    PIECE,
    Ratios,
    Step,
    gain_ratios,
    levels_at_edge,
    step_between,
)
from autoreduce.planning.recipe import Crosstalk
from autoreduce.remarks import Remark, remark

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]

_PIECES = 8
"""Pieces of a seam between columns that are read: each of them costs rows of its own."""
_GAP = 16
"""Pixels that may lie between two amplifiers that are neighbours."""
_STRIP_ROWS = 64
"""Rows of an overscan: they tell its level to a tenth of an ADU."""
_MOST = {ImageType.FLAT: 4, ImageType.LIGHT: 4, ImageType.BIAS: 3}
"""Frames of a type that are looked at."""
_SIGMAS, _LEAST = 4.0, 1e-3
"""Errors, and part of itself, by which a gain must be off before flats overrule it."""
_SHOWN = 2
"""Detectors whose gains are shown."""
_WORST = 0.01
"""Error of a ratio from which it is not believed."""


class Edge(NamedTuple):
    """What one frame shows on both sides of a seam."""

    first: int
    """Amplifier on the lower side, by its place in the list."""
    second: int
    """The other one."""
    levels: Sequence[Sequence[float]]
    """(n, 2): levels of pieces of the seam on the first's side and on the second's, ADU."""


def read_edges(
    path: Path, amplifiers: Sequence[Amplifier], crosstalk: Sequence[Crosstalk] = ()
) -> tuple[Edge, ...]:
    """Read what a frame shows at the seams between its amplifiers.

    Parameters
    ----------
    path : Path
        The file.
    amplifiers : sequence of Amplifier
        They are taken as they count, whatever gains are told.
    crosstalk : sequence of Crosstalk
        What they have of one another: it would pass for light at the seams.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    bare = [replace(one, egain=None, factor=None) for one in amplifiers]
    with JoinedImage(path, bare, crosstalk=crosstalk, strip_rows=_STRIP_ROWS) as image:
        bands: dict[tuple[int, ...], Floats] = {}

        def rows(*spans: int) -> Floats:
            """Read pairs of first row and end, without saturated pixels."""
            if spans not in bands:
                parts = [
                    _unsaturated(image, *span)
                    for span in zip(spans[::2], spans[1::2], strict=True)
                ]
                bands[spans] = np.concatenate(parts)
            return bands[spans]

        return tuple(_edges(image, rows))


def _unsaturated(image: JoinedImage, start: int, stop: int) -> Floats:
    values = image.rows(start, stop)
    values[values >= image.saturation(start, stop)] = np.nan
    return values


def _edges(image: JoinedImage, rows: Callable[..., Floats]) -> Iterator[Edge]:
    for (i, one), (j, other) in permutations(enumerate(image.readouts), 2):
        if one.dead or other.dead:
            continue
        for axis in (1, 0):
            along = _common(one, other, 1 - axis)
            end, start = one.place[axis].stop, other.place[axis].start
            if along is None or not 0 <= start - end <= _GAP:
                continue
            near = min(NEAR, *(_length(each, axis) - BESIDE for each in (one, other)))
            first, last = end - BESIDE - near, start + BESIDE + near
            if axis:
                spans = _pieces(along)
                strip = rows(*spans)[:, first:last]
            else:
                strip = rows(first, last)[:, along].T
            distance = np.arange(near) + BESIDE + 0.5 + (start - end) / 2
            sides = (strip[:, :near][:, ::-1], strip[:, -near:])
            levels = [levels_at_edge(side, distance) for side in sides]
            yield Edge(i, j, np.column_stack(levels).round(4).tolist())


def _length(one: Readout, axis: int) -> int:
    return section_shape(one.place)[axis]


def _common(one: Readout, other: Readout, axis: int) -> slice | None:
    """Give the part of an axis that two amplifiers share, if it is long enough."""
    first = max(one.place[axis].start, other.place[axis].start)
    last = min(one.place[axis].stop, other.place[axis].stop)
    return slice(first, last) if last - first >= FEWEST_PIECES * PIECE else None


def _pieces(rows: slice) -> list[int]:
    """Choose rows of a seam: first row and end of each piece."""
    n = min(_PIECES, (rows.stop - rows.start) // PIECE)
    starts = np.linspace(rows.start, rows.stop - PIECE, n).astype(int)
    return [int(row) for start in starts for row in (start, start + PIECE)]


def shown_by(frames: "pd.DataFrame") -> list[str]:
    """Choose the frames that are to show the seams.

    Parameters
    ----------
    frames : DataFrame
        Those of the frame table that take part.

    Returns
    -------
    list of str
        Some flats; without any, lights where gains are not told.  Frames without light
        beside lights, and where an amplifier has no overscan.
    """
    found: list[str] = []
    for _, alike in _cameras(frames):
        amplifiers = read_amplifiers(alike["amplifiers"].iloc[0])
        kinds = [ImageType.FLAT]
        if not alike["imagetyp"].eq(ImageType.FLAT).any():
            told = all(one.egain is not None for one in amplifiers)
            kinds = [] if told else [ImageType.LIGHT, ImageType.BIAS]
        elif any(one.overscan is None for one in amplifiers):
            kinds.append(ImageType.BIAS)
        for kind in kinds:
            rows = alike[alike["imagetyp"].eq(kind)]
            some = np.linspace(0, len(rows) - 1, min(len(rows), _MOST[kind]))
            found += rows["file"].iloc[some.astype(int)].tolist()
    return found


_CAMERA = (
    *("instrume", "detector", "xbinning", "ybinning", "readoutm", "gain", "offset"),
    "layout",
)


def _cameras(frames: "pd.DataFrame") -> Iterator[tuple[object, "pd.DataFrame"]]:
    """Take frames together that the same amplifiers have read in the same way."""
    several = frames[frames["amplifiers"].notna()]
    if len(several):
        several = several.assign(layout=several["amplifiers"].map(layout_of))
        yield from several.groupby(list(_CAMERA), dropna=False, sort=False)


def with_measured_gains(
    frames: "pd.DataFrame",
    edges: Mapping[str, Sequence[Edge]],
    library: "pd.DataFrame | None" = None,
) -> tuple["pd.DataFrame", tuple[Remark, ...]]:
    """Enter into a frame table what seams tell of the gains of amplifiers.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    edges : mapping of str to sequence of Edge
        What `read_edges` has given for some of its frames.
    library : DataFrame, optional
        Masters of a library: what its flats were made with holds, whatever is measured,
        since they are to serve.

    Returns
    -------
    DataFrame
        A new table, in which ``amplifiers`` has measured factors where gains are not
        told, or told wrongly; and ``egain`` where that of some amplifiers is told.
    tuple of Remark
        What is to be said of that.

    Notes
    -----
    Factors that the table has already are those that an observer, or an earlier run,
    has entered: they stand.
    """
    cells, gains = frames["amplifiers"].copy(), frames["egain"].copy()
    found = []
    for _, alike in _cameras(frames):
        one = _entered(alike) or _kept(alike, library) or _measured(alike, edges)
        if one is None or not one.factors:
            continue
        for at in alike.index:
            both = zip(read_amplifiers(cells[at]), one.factors, strict=True)
            cells[at] = write_amplifiers([replace(a, factor=f) for a, f in both])
        gains[alike.index] = gains[alike.index].fillna(one.egain)
        found.append(one)
    table = frames.assign(amplifiers=cells, egain=gains)
    table.attrs.update(frames.attrs)
    return table, tuple(_notes(found))


@dataclass(frozen=True, slots=True)
class _Found:
    """What takes the amplifiers of a detector to the mean gain."""

    code: str
    """Remark that tells of it; empty if none does."""
    factors: Sequence[float]
    """Empty where gains that are told stand."""
    egain: float
    """Electrons per ADU of the joined image; NaN if no gain is told."""
    detector: object = None
    """Its name."""
    files: Sequence[str] = ()
    """Frames that show it."""
    told: Sequence[float | None] = ()
    """Gains that are told."""
    error: float = 0.0
    """Relative 1-sigma error of the worst factor."""

    @property
    def found(self) -> str:
        """The gains, those of a mean of 1 where not all are told."""
        gains = [gain for gain in self.told if gain]
        scale = float(np.mean(gains)) if len(gains) == len(self.told) else 1.0
        error = f" (+- {self.error:.2%})" if self.error else ""
        return f"{_listed([scale * one for one in self.factors])}{error}"

    @property
    def expected(self) -> str:
        """Gains that are told and not used."""
        return _listed([gain for gain in self.told if gain])


def _entered(alike: "pd.DataFrame") -> _Found | None:
    """Take the factors that some of the frames have in the table."""
    cells = map(factors_of, alike["amplifiers"])
    factors = next(filter(None, cells), None)
    return None if factors is None else _Found("", factors, math.nan)


def _kept(alike: "pd.DataFrame", library: "pd.DataFrame | None") -> _Found | None:
    """Take the factors with which the last flat of a library was made, if there is one."""
    if library is None:
        return None
    frame = alike.iloc[0]
    flats = library[library["imagetyp"].eq(ImageType.FLAT)]
    layouts = flats["amplifiers"].map(layout_of, na_action="ignore")
    same = layouts.eq(frame["layout"]).fillna(value=False)
    for name in ("instrume", "detector"):
        if isinstance(frame[name], str):
            same &= flats[name].eq(frame[name]).fillna(value=False)
    flats = flats[same.astype(bool)].sort_values("date_obs")
    if flats.empty:
        return None
    told = [one.egain for one in read_amplifiers(frame["amplifiers"])]
    factors = factors_of(flats["amplifiers"].iloc[-1])
    return _Found(
        "amplifiers-kept",
        factors,
        _gain_of(told, factors) if factors else math.nan,
        frame["detector"],
        flats["file"].tolist()[-1:],
        told,
    )


def _measured(
    alike: "pd.DataFrame", edges: Mapping[str, Sequence[Edge]]
) -> _Found | None:
    """Measure factors, if gains that are told do not stand."""
    amplifiers = read_amplifiers(alike["amplifiers"].iloc[0])
    shown = alike[alike["use"] & alike["file"].isin(edges.keys())]
    is_dark = shown["imagetyp"].eq(ImageType.BIAS)
    lit, dark = shown[~is_dark], shown[is_dark]
    steps = _steps(
        [edges[file] for file in lit["file"]],
        [edges[file] for file in dark["file"]],
        may_float=any(one.overscan is None for one in amplifiers),
    )
    ratios = gain_ratios(len(amplifiers), steps)
    told = [one.egain for one in amplifiers]
    if ratios is None or ratios.errors.max() > _WORST or _holds(told, ratios):
        return None
    factors = np.exp(ratios.logs)
    factors /= factors.mean()
    egain, code = _gain_of(told, factors.tolist()), "amplifiers-measured"
    gains = [gain for gain in told if gain]
    if len(gains) == len(told):
        # The mean of what is told is the gain of the detector.
        code, factors = "amplifiers-overruled", factors * egain / np.mean(gains)
    return _Found(
        code,
        factors.round(5).tolist(),
        egain,
        lit["detector"].iloc[0],
        lit["file"].tolist(),
        told,
        float(ratios.errors.max()),
    )


def _gain_of(told: Sequence[float | None], factors: Sequence[float]) -> float:
    """Give the gain of a joined image by those that are told; NaN if none is."""
    gains = [gain / one for gain, one in zip(told, factors, strict=True) if gain]
    return float(np.mean(gains)) if gains else math.nan


def _steps(
    lit: Sequence[Sequence[Edge]], dark: Sequence[Sequence[Edge]], *, may_float: bool
) -> list[Step]:
    """Measure the steps that some frames show."""
    if may_float and not dark:
        return []
    zeros = _by_seam(dark)
    steps = [
        step_between(*seam, np.array(levels), _mean(zeros.get(seam)))
        for seam, levels in _by_seam(lit).items()
    ]
    return [step for step in steps if step is not None]


def _by_seam(
    frames: Sequence[Sequence[Edge]],
) -> dict[tuple[int, int], list[Sequence[Sequence[float]]]]:
    found: dict[tuple[int, int], list[Sequence[Sequence[float]]]] = {}
    for edges in frames:
        for one in edges:
            found.setdefault((one.first, one.second), []).append(one.levels)
    return found


def _mean(
    levels: Sequence[Sequence[Sequence[float]]] | None,
) -> NDArray[np.float64] | None:
    return np.mean(levels, axis=0) if levels else None


def _holds(told: Sequence[float | None], ratios: Ratios) -> bool:
    """Tell whether gains that are told agree with the steps."""
    gains = [gain for gain in told if gain]
    if len(gains) < len(told):
        return False
    logs = np.log(gains)
    off = np.abs(logs - logs.mean() - ratios.logs)
    return bool(np.all(off < np.maximum(_SIGMAS * ratios.errors, _LEAST)))


def _notes(found: Sequence[_Found]) -> Iterator[Remark]:
    """Say what was found, of all detectors of a camera at once."""
    for code in dict.fromkeys(one.code for one in found if one.code):
        some = [one for one in found if one.code == code]
        names = [f"{one.detector} " if len(some) > 1 else "" for one in some]
        told = [name + one.expected for name, one in zip(names, some, strict=True)]
        yield remark(
            code,
            *dict.fromkeys(file for one in some for file in one.files),
            found=_first([n + one.found for n, one in zip(names, some, strict=True)]),
            expected=_first(told) if code == "amplifiers-overruled" else "",
        )


def _first(texts: Sequence[str]) -> str:
    more = [f"{len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return "; ".join((*texts[:_SHOWN], *more))


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
