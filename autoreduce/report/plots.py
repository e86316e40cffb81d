"""Plots as inline SVG: text in, text out, coloured by the page's own stylesheet."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from typing import Any

from autoreduce.report.words import duration, number

WIDTH = 1000
"""Width of a drawing over the whole page, in its own units."""
LANE_HEIGHT = 30
LABEL_WIDTH = 132
BREAK_WIDTH = 46
LONGEST_GAP_S = 2 * 3600
"""Without a frame for longer than this, the time axis is broken."""
_CLOCK_STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A frame as a bar of the timeline."""

    lane: str
    """Row of the timeline that it is drawn in."""
    start: datetime
    """Start of the exposure, UTC."""
    seconds: float
    """How long it took."""
    colour: str
    """``#rrggbb``."""
    words: str
    """What is said of it when pointed at."""
    left_out: bool = False
    """Whether it took no part."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the time axis without a long gap."""

    begin: datetime
    end: datetime
    left: float
    width: float

    def x(self, when: datetime) -> float:
        span = (self.end - self.begin).total_seconds()
        return self.left + self.width * (when - self.begin).total_seconds() / span


def timeline(exposures: Sequence[Exposure]) -> str:
    """Draw a night: a bar for every exposure, a lane for every kind of frame.

    Parameters
    ----------
    exposures : sequence of Exposure
        In any order; lanes are drawn in the order in which they first appear here.

    Returns
    -------
    str
        An ``svg`` element; empty without exposures.
    """
    if not exposures:
        return ""
    lanes = list(dict.fromkeys(exposure.lane for exposure in exposures))
    stretches = _stretches(exposures)
    bottom = 14 + LANE_HEIGHT * len(lanes)
    parts = [
        *(_lane(name, 14 + LANE_HEIGHT * row) for row, name in enumerate(lanes)),
        *(_clock(stretch, bottom) for stretch in stretches),
        *(_break(before, after, bottom) for before, after in pairwise(stretches)),
        *(
            _bar(exposure, stretches, 14 + LANE_HEIGHT * lanes.index(exposure.lane))
            for exposure in exposures
        ),
    ]
    title = f"Timeline of {len(exposures)} frames in {len(lanes)} rows"
    return _svg(WIDTH, bottom + 40, title, parts)


def _stretches(exposures: Sequence[Exposure]) -> list[_Stretch]:
    spans: list[tuple[datetime, datetime]] = []
    for exposure in sorted(exposures, key=lambda exposure: exposure.start):
        end = exposure.start + timedelta(seconds=max(exposure.seconds, 1))
        if spans and (exposure.start - spans[-1][1]).total_seconds() <= LONGEST_GAP_S:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((exposure.start, end))
    room = WIDTH - LABEL_WIDTH - 12 - BREAK_WIDTH * (len(spans) - 1)
    lengths = [(end - begin).total_seconds() for begin, end in spans]
    weights = [max(length, 0.16 * max(lengths)) for length in lengths]
    stretches, left = [], float(LABEL_WIDTH)
    for (begin, end), weight in zip(spans, weights, strict=True):
        width = room * weight / sum(weights)
        stretches.append(_Stretch(begin, end, left, width))
        left += width + BREAK_WIDTH
    return stretches


def _shortened(name: str, most: int) -> str:
    """Leave out the middle of a long name: groups are told apart by its end, too.

    Examples
    --------
    >>> _shortened("light_Hercules-cluster_R_300s_1x1", 24)
    'light_Hercules…_300s_1x1'
    """
    end = most * 2 // 5
    return name if len(name) <= most else f"{name[: most - end - 1]}…{name[-end:]}"


def _lane(name: str, top: float) -> str:
    short = _shortened(name, 16)
    middle = top + LANE_HEIGHT / 2
    return (
        f'<line class="rule" x1="{LABEL_WIDTH}" x2="{WIDTH}" '
        f'y1="{top + LANE_HEIGHT}" y2="{top + LANE_HEIGHT}"/>'
        f'<text class="label" x="{LABEL_WIDTH - 14}" y="{middle + 4.5}" '
        f'text-anchor="end">{escape(short)}</text>'
    )


def _bar(exposure: Exposure, stretches: Sequence[_Stretch], top: float) -> str:
    stretch = next(part for part in stretches if exposure.start <= part.end)
    x = stretch.x(exposure.start)
    end = stretch.x(exposure.start + timedelta(seconds=exposure.seconds))
    width = max(end - x - 0.6, 2.4)
    mark = ""
    if exposure.left_out:
        middle = x + width / 2
        mark = f'<path class="cross" d="M{middle - 4:.1f} {top - 2}l8 8m0 -8l-8 8"/>'
    return (
        f'<g class="{"out" if exposure.left_out else "used"}">'
        f"<title>{escape(exposure.words)}</title>"
        f'<rect class="bar" x="{x:.1f}" y="{top + 6}" width="{width:.1f}" '
        f'height="{LANE_HEIGHT - 11}" rx="1.5" style="--c:{exposure.colour}"/>{mark}</g>'
    )


def _clock(stretch: _Stretch, bottom: float) -> str:
    span = (stretch.end - stretch.begin).total_seconds()
    n_labels = max(1.0, stretch.width / 90)
    step = next((s for s in _CLOCK_STEPS_S if span / s <= n_labels), 86400)
    first = math.ceil(stretch.begin.timestamp() / step) * step
    date = f"{stretch.begin:%Y-%m-%d}"
    parts = [
        f'<text class="date" x="{stretch.left:.1f}" y="{bottom + 34}">{date}</text>'
    ]
    for second in range(first, math.floor(stretch.end.timestamp()) + 1, step):
        when = datetime.fromtimestamp(second, UTC)
        x = stretch.x(when)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="10" y2="{bottom}"/>'
            f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" '
            f'text-anchor="middle">{when:%H:%M}</text>'
        )
    return "".join(parts)


def _break(before: _Stretch, after: _Stretch, bottom: float) -> str:
    middle = (before.left + before.width + after.left) / 2
    gap = duration((after.begin - before.end).total_seconds())
    return (
        f'<rect class="break" x="{middle - BREAK_WIDTH / 2 + 8:.1f}" y="10" '
        f'width="{BREAK_WIDTH - 16}" height="{bottom - 10}"/>'
        f'<text class="tick" x="{middle:.1f}" y="{(10 + bottom) / 2}" '
        f'text-anchor="middle" transform="rotate(-90 {middle:.1f} '
        f'{(10 + bottom) / 2})" dy="4">{escape(gap)} later</text>'
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """A linear map from values to drawing units."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.stop - self.start)


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Choose about `n` round values between two ends (1, 2 or 5 times a power of 10).

    Parameters
    ----------
    low, high : float
        Ends, ``low < high``.
    n : int
        How many are wanted.

    Returns
    -------
    list of float
        Ascending multiples of one step, none of them outside the ends.
    """
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def dark_fit(fit: Mapping[str, Any]) -> str:
    """Draw dark counts against exposure, the fitted line, and what is left over.

    Parameters
    ----------
    fit : mapping
        ``points``, each with ``exptime`` (s), ``counts`` and ``error`` (ADU; None
        if unknown), and the line's ``offset`` (ADU), ``slope`` (ADU/s),
        ``offset_error``, ``slope_error`` and ``covariance``.

    Returns
    -------
    str
        An ``svg`` element; empty without a point.
    """
    points = [
        (float(point["exptime"]), float(point["counts"]), float(point["error"] or 0))
        for point in fit["points"]
    ]
    if not points:
        return ""
    offset, slope = float(fit["offset"]), float(fit["slope"])
    residuals = [(t, n - offset - slope * t, error) for t, n, error in points]
    longest = 1.06 * max(t for t, _, _ in points) or 1.0
    x = _Axis(0.0, longest, 66, 600)
    y = _Axis(*_range([offset, offset + slope * longest, *_ends(points)]), 226, 14)
    rest = _Axis(*_range([0.0, *_ends(residuals)]), 336, 250)
    parts = [
        *(_y_tick(y, value) for value in ticks(y.low, y.high)),
        *(_y_tick(rest, value) for value in ticks(rest.low, rest.high, 3)),
        *(_x_tick(x, value, 336) for value in ticks(x.low, x.high, 6)),
        _error_band(fit, x, y),
        _line("fit", x(0.0), y(offset), x(longest), y(offset + slope * longest)),
        _line("fit", x(0.0), rest(0.0), x(longest), rest(0.0)),
        *(_point(x, y, point) for point in points),
        *(_point(x, rest, point) for point in residuals),
        '<text class="axis" x="333" y="374" text-anchor="middle">exposure / s</text>',
        _upright("dark counts / ADU", 120),
        _upright("residual / ADU", 293),
    ]
    title = f"Dark counts of {len(points)} exposures, the fitted line, and residuals"
    return _svg(612, 382, title, parts)


def _error_band(fit: Mapping[str, Any], x: _Axis, y: _Axis) -> str:
    """Draw the line's 1-sigma range, cut off at the plot's edges."""
    errors = (fit["offset_error"], fit["slope_error"], fit["covariance"])
    if not all(map(math.isfinite, errors)):
        return ""
    upper: list[str] = []
    lower: list[str] = []
    for step in range(41):
        t = x.high * step / 40
        variance = (
            fit["offset_error"] ** 2
            + 2 * t * fit["covariance"]
            + (t * fit["slope_error"]) ** 2
        )
        error = math.sqrt(max(variance, 0.0))
        level = fit["offset"] + fit["slope"] * t
        for side, value in ((upper, level + error), (lower, level - error)):
            side.append(f"{x(t):.1f},{y(min(max(value, y.low), y.high)):.1f}")
    return f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>'


def _ends(points: Sequence[tuple[float, float, float]]) -> list[float]:
    return [n + sign * error for _, n, error in points for sign in (-1, 1)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def _point(x: _Axis, y: _Axis, point: tuple[float, float, float]) -> str:
    t, value, error = point
    words = f"{number(t)} s: {number(value)} ± {number(error, 2)} ADU"
    return (
        f"<g><title>{escape(words)}</title>"
        + _line("error", x(t), y(value - error), x(t), y(value + error))
        + f'<circle class="point" cx="{x(t):.1f}" cy="{y(value):.1f}" r="4.5"/></g>'
    )


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" '
        f'x2="{x2:.1f}" y2="{y2:.1f}"/>'
    )


def _y_tick(y: _Axis, value: float) -> str:
    return _line("grid", 66, y(value), 600, y(value)) + (
        f'<text class="tick" x="58" y="{y(value) + 4:.1f}" text-anchor="end">'
        f"{number(value)}</text>"
    )


def _x_tick(x: _Axis, value: float, bottom: float) -> str:
    return (
        f'<text class="tick" x="{x(value):.1f}" y="{bottom + 18}" '
        f'text-anchor="middle">{number(value)}</text>'
    )


def _upright(text: str, y: float) -> str:
    return (
        f'<text class="axis" x="14" y="{y}" text-anchor="middle" '
        f'transform="rotate(-90 14 {y})">{escape(text)}</text>'
    )


@dataclass(frozen=True, slots=True)
class Deviation:
    """A frame as a dot in the plot of levels."""

    lane: str
    """Group, a row of the plot."""
    value: float
    """How far its level is from the middle of its group, as a fraction of that."""
    colour: str
    """``#rrggbb``."""
    words: str
    """What is said of it when pointed at."""
    left_out: bool = False
    """Whether it took no part."""


def levels(deviations: Sequence[Deviation]) -> str:
    """Draw how far each frame's level is from the middle of its group.

    Parameters
    ----------
    deviations : sequence of Deviation
        In any order; rows are drawn in the order in which they first appear here.
        The scale is linear within 1 per cent and logarithmic beyond.

    Returns
    -------
    str
        An ``svg`` element; empty without frames.
    """
    if not deviations:
        return ""
    lanes = {name: row for row, name in enumerate(_lanes(deviations))}
    farthest = max(abs(deviation.value) for deviation in deviations)
    marks = [mark for mark in _LEVEL_MARKS if mark <= farthest] or [_LEVEL_MARKS[0]]
    end = _bent(max(farthest, marks[-1])) * 1.06
    x = _Axis(-end, end, _GROUP_WIDTH, WIDTH - 14)
    bottom = 10 + _ROW_HEIGHT * len(lanes)
    parts = [
        *(_level_mark(x, mark, bottom) for mark in (0.0, *marks, *(-m for m in marks))),
        *(_group_label(name, row) for name, row in lanes.items()),
        *(_dot(deviation, x, lanes[deviation.lane]) for deviation in deviations),
    ]
    title = f"Levels of {len(deviations)} frames relative to their {len(lanes)} groups"
    return _svg(WIDTH, bottom + 26, title, parts)


_LEVEL_MARKS = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
_GROUP_WIDTH = 236
_ROW_HEIGHT = 20


def _lanes(deviations: Sequence[Deviation]) -> list[str]:
    return list(dict.fromkeys(deviation.lane for deviation in deviations))


def _bent(fraction: float) -> float:
    """Bend the scale: straight within a per cent, then ever slower."""
    return math.asinh(100 * fraction)


def _level_mark(x: _Axis, mark: float, bottom: float) -> str:
    at = x(_bent(mark))
    text = f"{100 * mark:+g} %" if mark else "0"
    return _line("grid" if mark else "middle", at, 4, at, bottom) + (
        f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" '
        f'text-anchor="middle">{text}</text>'
    )


def _group_label(name: str, row: int) -> str:
    short = _shortened(name, 31)
    return (
        f'<text class="tick" x="{_GROUP_WIDTH - 16}" '
        f'y="{14 + _ROW_HEIGHT * (row + 0.5)}" text-anchor="end">{escape(short)}</text>'
    )


def _dot(deviation: Deviation, x: _Axis, row: int) -> str:
    at, y = x(_bent(deviation.value)), 10 + _ROW_HEIGHT * (row + 0.5)
    mark = f'<circle class="dot" cx="{at:.1f}" cy="{y}" r="4.2"/>'
    if deviation.left_out:
        mark += f'<path class="cross" d="M{at - 4:.1f} {y - 4}l8 8m0 -8l-8 8"/>'
    return (
        f'<g class="{"out" if deviation.left_out else "used"}" '
        f'style="--c:{deviation.colour}"><title>{escape(deviation.words)}</title>'
        f"{mark}</g>"
    )


def histogram(counts: Sequence[int], span: tuple[float, float]) -> str:
    """Draw a small histogram, the heights as square roots of the counts.

    Parameters
    ----------
    counts : sequence of int
        Pixels in equal bins.
    span : (low, high)
        Values at the ends.

    Returns
    -------
    str
        An ``svg`` element; empty without counts.
    """
    if not counts or not max(counts):
        return ""
    tallest, n = math.sqrt(max(counts)), len(counts)
    tops = [30 - 28 * math.sqrt(count) / tallest for count in counts]
    steps = "".join(f"V{top:.1f}H{i + 1}" for i, top in enumerate(tops))
    words = f"Histogram from {number(span[0])} to {number(span[1])}"
    return (
        f'<svg class="histogram" viewBox="0 0 {n} 30" role="img" '
        f'preserveAspectRatio="none" aria-label="{escape(words)}">'
        f'<title>{escape(words)}</title><path d="M0 30{steps}V30Z"/></svg>'
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
