"""Gains of the amplifiers of a detector, as the seams between them show in flats."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.joined import JoinedImage, Readout
from autoreduce.fits.amplifiers import (
    Amplifier,
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
from autoreduce.remarks import Remark, remark

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]

_PIECES = 16
"""Pieces of a seam between columns that are read: each of them costs rows of its own."""
_GAP = 16
"""Pixels that may lie between two amplifiers that are neighbours."""
_STRIP_ROWS = 256
"""Rows of an overscan: they tell its level to a tenth of an ADU."""
_MOST = {ImageType.FLAT: 6, ImageType.LIGHT: 4, ImageType.BIAS: 3}
"""Frames of a type that are looked at."""
_SIGMAS, _LEAST = 4.0, 1e-3
"""Errors, and part of itself, by which a gain must be off before flats overrule it."""
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


def read_edges(path: Path, amplifiers: Sequence[Amplifier]) -> tuple[Edge, ...]:
    """Read what a frame shows at the seams between its amplifiers.

    Parameters
    ----------
    path : Path
        The file.
    amplifiers : sequence of Amplifier
        They are taken as they count, whatever gains are told.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    bare = [replace(one, egain=None, factor=None) for one in amplifiers]
    with JoinedImage(path, bare, strip_rows=_STRIP_ROWS) as image:
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
    frames: "pd.DataFrame", edges: Mapping[str, Sequence[Edge]]
) -> tuple["pd.DataFrame", tuple[Remark, ...]]:
    """Enter into a frame table what seams tell of the gains of amplifiers.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    edges : mapping of str to sequence of Edge
        What `read_edges` has given for some of its frames.

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
    notes = []
    for _, alike in _cameras(frames):
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
            continue
        factors, egain = _factors(told, ratios)
        for at in alike.index:
            both = zip(read_amplifiers(cells[at]), factors, strict=True)
            cells[at] = write_amplifiers([replace(a, factor=f) for a, f in both])
        if egain is not None:
            gains[alike.index] = gains[alike.index].fillna(egain)
        notes.append(_note(told, factors, ratios, lit))
    table = frames.assign(amplifiers=cells, egain=gains)
    table.attrs.update(frames.attrs)
    return table, tuple(notes)


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


def _factors(
    told: Sequence[float | None], ratios: Ratios
) -> tuple[list[float], float | None]:
    """Give the factors, and the gain of what is joined where it is not the mean told one."""
    factors = np.exp(ratios.logs)
    factors /= factors.mean()
    gains = np.array([gain or np.nan for gain in told])
    if np.isnan(gains).all():
        return factors.round(5).tolist(), None
    egain = float(np.nanmean(gains / factors))
    if np.isnan(gains).any():
        return factors.round(5).tolist(), egain
    # The mean of what is told is the gain of the detector.
    return (factors * egain / gains.mean()).round(5).tolist(), None


def _note(
    told: Sequence[float | None],
    factors: Sequence[float],
    ratios: Ratios,
    lit: "pd.DataFrame",
) -> Remark:
    """Say what was measured."""
    gains = [gain for gain in told if gain]
    known = len(gains) == len(told)
    scale = float(np.mean(gains)) if known else 1.0
    found = _listed([factor * scale for factor in factors])
    return remark(
        "amplifiers-overruled" if known else "amplifiers-measured",
        *lit["file"],
        found=f"{found} (+- {ratios.errors.max():.2%})",
        expected=_listed(gains) if known else "",
    )


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
