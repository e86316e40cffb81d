"""Raw frames whose levels cannot be: held against each other before masters are made.

A thin sample of each frame tells its level, its noise and its shape.  Of one camera in
one setting a closed shutter has one level, darks lie on it or above, and lights lie
above the darks of their exposure; light and dark current bring noise with them.  What
contradicts this by far more than any drift is left out, with both numbers.  Frames that
count in different steps or units, as where one program shifts 12 bits to 16 and another
does not, are kept apart: nothing is rescaled by guess.

How frames of one group differ among themselves is left to `quality`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.samples import WRAPPED, Sample
from autoreduce.frames.overrides import pattern_of
from autoreduce.frames.schema import ImageType
from autoreduce.pixels.measure import pair_noise
from autoreduce.remarks import Remark, remark

if TYPE_CHECKING:
    import pandas as pd

SETTING = (
    "instrume",
    "naxis1",
    "naxis2",
    "xbinning",
    "ybinning",
    "xorgsubf",
    "yorgsubf",
    "readoutm",
    "gain",
    "offset",
)
"""Columns of the frame table in which frames agree whose levels are comparable."""
GROSS_NOISE, GROSS_PART = 10.0, 0.05
"""A level is out of place by so many times the noise, and by this part of the level:
bias levels drift by less from night to night."""
FULL = 0.95
"""A level at this part of the largest number is full."""
SHORTER = 0.9
"""Lights of so much of a dark's exposure are long enough to lie above it."""
NEAR_DEGC = 3.0
"""Temperatures within which darks and lights are comparable."""
FEWEST_EXPOSURES = 3
"""Exposures of darks of which one can be told to be out of line."""
LIT = 5.0
"""A dark of so many times the dark current of the other exposures is lit."""
TOO_SMOOTH = 5.0
"""A level that so many times too little noise comes with is no light."""
DEAD, PLAIN = 0.25, 3.0
"""A block with less than this part of the dark current that it should have, if that is
so many times the noise, has none; one with twice the part has some."""
FEWEST_AT_A_LEVEL = 2
"""Frames that make a level; one alone is an odd frame."""
FEWEST_BLOCKS = 4
"""Blocks without dark current, and with it, that are no accident."""
BEYOND = 1.8
"""Pixels so many times above the saturation level of a card disprove it; a limit of
linearity may be 0.6 of what pixels can hold."""
ALIKE = "alike"
"""What an observer says of frames that count alike in spite of their pixels."""
_CLOSED = (ImageType.BIAS, ImageType.DARK, ImageType.FLATDARK)
_DARKS = (ImageType.DARK, ImageType.FLATDARK)
_EXPOSED = (ImageType.LIGHT, ImageType.FLAT)


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw frame: what its header says, and what its pixels show."""

    file: str
    """Name in the frame table."""
    kind: str
    """One of `ImageType`."""
    sample: Sample
    """What its pixels show."""
    exptime: float = np.nan
    """Exposure, s; NaN where it is unknown."""
    temperature: float = np.nan
    """Of the sensor, Celsius; NaN where it is unknown."""
    saturate: float = np.nan
    """Saturation level that a card gives, ADU; NaN without one."""
    night: str | None = None
    """Local date of the evening."""

    @property
    def level(self) -> float:
        """Median, ADU."""
        return self.sample.level

    @property
    def noise(self) -> float:
        """Noise of a pixel, ADU: that of rounding at least."""
        return max(self.sample.noise, 0.5)

    @property
    def shape(self) -> NDArray[np.float64]:
        """Medians of its blocks, ADU."""
        return np.array(self.sample.blocks)


class Doubt(NamedTuple):
    """Why a frame cannot be what it is called."""

    code: str
    """Code of the remark."""
    found: float
    """What was found, ADU, or a fraction."""
    expected: float = np.nan
    """What was expected, ADU."""


@dataclass
class Judged:
    """What is to be made of the frames of a night."""

    left_out: dict[str, Doubt] = field(default_factory=dict)
    """Frames that cannot be what they are called, each with the reason."""
    counts: dict[str, str] = field(default_factory=dict)
    """How a frame counts, where the frames of its camera do not all count alike."""
    disproved: dict[str, float] = field(default_factory=dict)
    """Frames with a saturation level that pixels exceed: the highest pixel, ADU."""
    notes: list[Remark] = field(default_factory=list)
    """What is to be said of the night."""


def judge(cameras: Iterable[Sequence[Raw]]) -> Judged:
    """Hold the raw frames of a night against each other.

    Parameters
    ----------
    cameras : iterable of sequence of Raw
        Frames that agree in `SETTING`, together.

    Returns
    -------
    Judged
        Empty where nothing is out of place.
    """
    judged = Judged()
    for frames in cameras:
        _disprove_saturation(frames, judged)
        alone = {raw.file: why for raw in frames if (why := _by_itself(raw))}
        judged.left_out |= alone
        rest = [raw for raw in frames if raw.file not in alone]
        for alike in _that_count_alike(rest, judged):
            for part in _of_one_level(alike, judged):
                judged.left_out |= _out_of_place(part)
    return judged


def _out_of_place(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find frames whose levels cannot be, the plainest first."""
    found: dict[str, Doubt] = {}
    rest = list(frames)
    for rule in _RULES:
        found |= rule(rest)
        rest = [raw for raw in rest if raw.file not in found]
    return found


# ------------------------------------------------------------------ a frame by itself


def _by_itself(raw: Raw) -> Doubt | None:
    """Say why a frame is nothing, whatever the others are."""
    sample = raw.sample
    if sample.empty:
        return Doubt("no-data", sample.level)
    lowest, top = sample.ends
    if lowest < 0 and sample.level < -GROSS_NOISE * raw.noise:
        return Doubt("wrapped", sample.level, top)
    if sample.wrapped and sample.highest > -WRAPPED:
        return Doubt("wrapped", sample.lowest, top)
    if raw.kind in _CLOSED and raw.level >= FULL * top:
        return Doubt("white", raw.level, top)
    return None


def _disprove_saturation(frames: Sequence[Raw], judged: Judged) -> None:
    """Find cards of a saturation level that the pixels of like frames exceed."""
    said = defaultdict(list)
    for raw in frames:
        said[raw.saturate].append(raw)
    for level, alike in said.items():
        highest = max(raw.sample.highest for raw in alike)
        if highest > BEYOND * level:
            judged.disproved |= dict.fromkeys((raw.file for raw in alike), highest)
            judged.notes.append(
                remark(
                    "saturation-disproved",
                    *(raw.file for raw in alike),
                    found=_adu(highest),
                    expected=_adu(level),
                    way_out=f"--set '*: saturate={highest:.0f}'",
                )
            )


# --------------------------------------------------------- frames that count alike


def _that_count_alike(frames: Sequence[Raw], judged: Judged) -> list[list[Raw]]:
    """Part frames that count otherwise from each other, and say so."""
    known = {raw.file: ways for raw in frames if (ways := _counting(raw.sample))}
    if len(set(known.values())) < 2:
        return [list(frames)]
    parts: dict[str, list[Raw]] = defaultdict(list)
    for raw in frames:
        way = known.get(raw.file) or _usual(frames, known, raw.kind)
        parts[way].append(raw)
        judged.counts[raw.file] = way
    found = "; ".join(
        f"{_listed(Counter(raw.kind for raw in part))} count {way}"
        for way, part in parts.items()
    )
    judged.notes.append(
        remark("counts-differ", found=found, way_out=f"--set '*: counts={ALIKE}'")
    )
    return list(parts.values())


def _counting(sample: Sample) -> str:
    """Say how a frame counts; empty where its pixels do not tell."""
    if sample.counts or sample.step is None:
        return sample.counts
    return f"in steps of {sample.step}"


def _usual(frames: Sequence[Raw], known: Mapping[str, str], kind: str) -> str:
    """Give the way in which most frames of a type count, or most of all."""
    of_kind = [
        known[raw.file] for raw in frames if raw.file in known and raw.kind == kind
    ]
    return Counter(of_kind or known.values()).most_common(1)[0][0]


def _listed(numbers: Mapping[str, int]) -> str:
    """Write numbers of frames by type: ``5 dark and 7 bias frames``."""
    parts = [f"{n} {kind}" for kind, n in sorted(numbers.items())]
    return f"{' and '.join(parts)} frame{'s' * (sum(numbers.values()) > 1)}"


def _of_one_level(frames: Sequence[Raw], judged: Judged) -> list[list[Raw]]:
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
        if is_high and raw.kind not in _CLOSED:
            parts[""].append(raw)
            continue
        way = f"from {_adu(high if is_high else low)}"
        parts[way].append(raw)
        judged.counts[raw.file] = f"{judged.counts.get(raw.file, '')} {way}".strip()
    found = "; ".join(
        f"{_listed(Counter(raw.kind for raw in part))} count {way}"
        for way, part in sorted(parts.items())
        if way
    )
    judged.notes.append(
        remark("counts-differ", found=found, way_out=f"--set '*: counts={ALIKE}'")
    )
    return list(parts.values())


def _like_closed(frames: Sequence[Raw]) -> Iterable[list[Raw]]:
    """Give the bias frames of each night; without any, darks of each exposure, too."""
    kinds = {raw.kind for raw in frames}
    closed = (ImageType.BIAS,) if ImageType.BIAS in kinds else _DARKS
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
    least = _gross(levels[0], levels[-1], max(raw.noise for raw in closed))
    if gaps.max() < max(2 * least, GROSS_NOISE * max(np.ptp(low), np.ptp(high))):
        return None
    return float(np.median(low)), float(np.median(high))


# ------------------------------------------------------------ levels out of place


def _gross(level: float, other: float, noise: float) -> float:
    """Give the difference of two levels that only a fault makes, ADU."""
    return max(GROSS_NOISE * noise, GROSS_PART * max(abs(level), abs(other)))


def _above_lights(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find closed frames that are brighter than lights of their exposure."""
    lights = [raw for raw in frames if raw.kind == ImageType.LIGHT]
    found = {}
    for raw in frames:
        if raw.kind not in _CLOSED:
            continue
        longer = [one for one in lights if _is_above(one, raw)]
        longer = [one for one in longer if one.night == raw.night] or longer
        if not longer:
            continue
        sky = float(np.median([one.level for one in longer]))
        if raw.level - sky > _gross(raw.level, sky, raw.noise):
            found[raw.file] = Doubt("above-lights", raw.level, sky)
    return found


def _is_above(light: Raw, closed: Raw) -> bool:
    """Tell whether a light has to lie above a bias frame or a dark."""
    if closed.kind == ImageType.BIAS:
        return True
    long_enough = light.exptime >= SHORTER * closed.exptime
    return long_enough and _is_near(light, closed)


def _is_near(one: Raw, other: Raw) -> bool:
    """Tell whether nothing says that two frames were taken at other temperatures."""
    return not abs(one.temperature - other.temperature) > NEAR_DEGC


def _below_bias(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find frames that lie below the level of a closed shutter.

    Where most lights do, the closed frames are not theirs (`_above_lights`).
    """
    bias = _Bias(frames)
    darks = [raw for raw in frames if raw.kind in _DARKS]
    found = {}
    for raw in frames:
        if raw.kind == ImageType.BIAS:
            continue
        closed = bias.of(raw)
        if closed is None and raw.kind == ImageType.LIGHT:
            closed = _lowest([dark for dark in darks if _is_above(raw, dark)])
        if closed is None:
            continue
        if closed.level - raw.level > _gross(closed.level, raw.level, closed.noise):
            found[raw.file] = Doubt("below-bias", raw.level, closed.level)
    return found


class Closed(NamedTuple):
    """What frames behind a closed shutter have, ADU."""

    level: float
    noise: float


def _lowest(closed: Sequence[Raw]) -> Closed | None:
    if not closed:
        return None
    lowest = min(closed, key=lambda raw: raw.level)
    return Closed(lowest.level, lowest.noise)


class _Bias:
    """The level of the bias frames: those of a frame's night, else all."""

    def __init__(self, frames: Sequence[Raw]) -> None:
        biases = [raw for raw in frames if raw.kind == ImageType.BIAS]
        nights: dict[str | None, list[Raw]] = defaultdict(list)
        for raw in biases:
            nights[raw.night].append(raw)
        self._nights = {night: self._sum_up(some) for night, some in nights.items()}
        self._all = self._sum_up(biases) if biases else None

    @staticmethod
    def _sum_up(biases: Sequence[Raw]) -> Closed:
        return Closed(
            float(np.median([raw.level for raw in biases])),
            float(np.median([raw.noise for raw in biases])),
        )

    def of(self, raw: Raw) -> Closed | None:
        """Give level and noise of the bias frames for a frame; None without any."""
        return self._nights.get(raw.night, self._all)


def _lit_by_exposures(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find darks far above the line on which the darks of other exposures lie."""
    found = {}
    for raw, others in _other_exposures(frames):
        if len(others) < FEWEST_EXPOSURES - 1:
            continue
        times = [same[0].exptime for same in others]
        levels = [float(np.median([one.level for one in same])) for same in others]
        slope, start = np.polyfit(times, levels, 1)
        expected = start + max(slope, 0.0) * raw.exptime
        more = (LIT - 1) * max(0.0, expected - min(levels))
        if raw.level - expected > more + _gross(raw.level, expected, raw.noise):
            found[raw.file] = Doubt("lit-dark", raw.level, float(expected))
    return found


def _other_exposures(
    frames: Sequence[Raw],
) -> Iterable[tuple[Raw, list[list[Raw]]]]:
    """Give each dark with the darks of each other exposure, at its temperature."""
    darks = [raw for raw in frames if raw.kind in _DARKS and raw.exptime > 0]
    for raw in darks:
        others: dict[float, list[Raw]] = defaultdict(list)
        for one in darks:
            if abs(one.exptime / raw.exptime - 1) > 1 - SHORTER and _is_near(one, raw):
                others[one.exptime].append(one)
        yield raw, list(others.values())


def _without_noise(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find darks whose level lies above the bias without the noise of dark current.

    Counts that are exposed are as noisy as those of the lights and flats, or more, if
    pixels differ; an offset is not.  Where lights and darks agree on another level of
    the closed shutter, it is the bias frames that are off.
    """
    bias = _Bias(frames)
    shares = {
        raw.file: (raw, closed, share)
        for raw in frames
        if (closed := bias.of(raw)) is not None
        and (share := _noise_per_count(raw, closed)) is not None
    }
    exposed = [s for raw, _, s in shares.values() if raw.kind in _EXPOSED and s > 0]
    if not exposed:
        return {}
    usual = min(exposed)
    darks = [
        (raw, closed, max(share, 0.0))
        for raw, closed, share in shares.values()
        if raw.kind in _DARKS and share < usual / TOO_SMOOTH
    ]
    if closed_at := _agreed_zero([raw for raw, *_ in darks], frames, bias):
        return {
            raw.file: Doubt("offset-bias", raw.level, closed_at)
            for raw in frames
            if raw.kind == ImageType.BIAS
        }
    return {
        raw.file: Doubt("offset-dark", above, above * share / usual)
        for raw, closed, share in darks
        for above in (raw.level - closed.level,)
    }


def _agreed_zero(
    darks: Sequence[Raw], frames: Sequence[Raw], bias: _Bias
) -> float | None:
    """Give the level of the closed shutter if lights tell that of the darks, not the bias.

    Counts without their photons are left: level - variance / (variance per count).
    """
    per_count = _variance_per_count(frames, bias)
    lights = [raw for raw in frames if raw.kind == ImageType.LIGHT]
    if per_count is None or not darks or not lights:
        return None
    closed = bias.of(lights[0]) or Closed(0.0, 0.0)
    by_lights, by_darks = (
        float(
            np.median(
                [
                    raw.level - (raw.noise**2 - closed.noise**2) / per_count
                    for raw in some
                ]
            )
        )
        for some in (lights, darks)
    )
    nearer = 2 * abs(by_lights - by_darks) < abs(by_lights - closed.level)
    return by_darks if nearer else None


def _variance_per_count(frames: Sequence[Raw], bias: _Bias) -> float | None:
    """Measure the variance of light for each ADU of it, from pairs of flats.

    What pixels differ by drops out of a pair; None without a pair.
    """
    found = []
    flats = [raw for raw in frames if raw.kind == ImageType.FLAT]
    for one, other in pairwise(flats):
        closed = bias.of(one)
        if closed is None or one.sample.strip.shape != other.sample.strip.shape:
            continue
        light = one.level - closed.level, other.level - closed.level
        if min(light) > _gross(one.level, closed.level, closed.noise):
            first, second = (
                (raw.sample.strip - closed.level) / signal
                for raw, signal in zip((one, other), light, strict=True)
            )
            variance = (pair_noise(first, second) * light[0]) ** 2 - closed.noise**2
            found.append(variance / light[0])
    usual = float(np.median(found)) if found else 0.0
    return usual if usual > 0 else None


def _noise_per_count(raw: Raw, closed: Closed) -> float | None:
    """Give the variance that a frame has over the bias, for each ADU over it.

    None of frames that are not far above the bias.
    """
    above = raw.level - closed.level
    if above <= _gross(raw.level, closed.level, closed.noise):
        return None
    return (raw.noise**2 - closed.noise**2) / above


def _half_dark(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find darks a part of which has no dark current where other darks have it.

    Other exposures are asked first; else the darks of the exposure itself.  A frame
    with light in a part of it makes the others no such frames: they are even.
    """
    biases = [raw.shape for raw in frames if raw.kind == ImageType.BIAS]
    if not biases:
        return {}
    base = np.median(biases, axis=0)
    found = {}
    for raw, others in _other_exposures(frames):
        told = _by_longest(raw, others, base)
        expected = told if told.any() else _even_fellows(raw, frames, base)
        dead, alive = _dead_and_alive(raw.shape - base, expected, PLAIN * raw.noise)
        if min(np.count_nonzero(dead), np.count_nonzero(alive)) >= FEWEST_BLOCKS:
            found[raw.file] = Doubt(
                "half-dark", float(np.mean(dead)), float(np.median(expected[dead]))
            )
    return found


def _dead_and_alive(
    counts: NDArray[np.float64], expected: NDArray[np.float64], plain: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark blocks without and with dark current, by what the best of them have.

    So a dark current that is everywhere less than expected leaves none dead.
    """
    known = expected > plain
    share = np.divide(counts, expected, where=known, out=np.full(counts.shape, np.nan))
    usual = min(1.0, np.nanquantile(share, 0.9)) if known.any() else 0.0
    alive = (counts > plain) & (share > 2 * DEAD * usual)
    return share < DEAD * usual, alive


def _by_longest(
    raw: Raw, others: Sequence[Sequence[Raw]], base: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the dark current that the longest other exposure tells, block by block.

    It is 0 where its own does not stand out of the noise: else a drift of the bias would
    grow with the exposure.
    """
    if not others:
        return np.zeros(base.shape)
    longest = max(others, key=lambda same: same[0].exptime)
    counts = np.median([one.shape for one in longest], axis=0) - base
    is_plain = counts > PLAIN * max(one.noise for one in longest)
    return np.where(is_plain, counts * raw.exptime / longest[0].exptime, 0.0)


def _even_fellows(
    raw: Raw, frames: Sequence[Raw], base: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the dark current of the darks like one that are even, 0 without any."""
    fellows = [
        one.shape - base
        for one in frames
        if one.kind in _DARKS
        and one is not raw
        and abs(one.exptime - raw.exptime) <= (1 - SHORTER) * raw.exptime
        and _is_near(one, raw)
    ]
    even = [shape for shape in fellows if shape.min() > DEAD * np.median(shape)]
    return np.median(even, axis=0) if even else np.zeros_like(base)


_RULES: tuple[Callable[[Sequence[Raw]], dict[str, Doubt]], ...] = (
    _above_lights,
    _below_bias,
    _lit_by_exposures,
    _without_noise,
    _half_dark,
)


# ------------------------------------------------------------------- the frame table


def is_judged(frames: "pd.DataFrame") -> "pd.Series":
    """Mark the frames that take part and of which the observer has said nothing."""
    raw = frames["imagetyp"].isin([*_CLOSED, ImageType.FLAT, ImageType.LIGHT])
    unsaid = frames["why_not"].isna() & frames["counts"].isna()
    return (frames["use"] & raw & unsaid).fillna(value=False).astype(bool)


def with_levels(
    frames: "pd.DataFrame", samples: Mapping[str, Sample], *, leave_out: bool = True
) -> tuple["pd.DataFrame", tuple[Remark, ...]]:
    """Enter into a frame table what levels tell of frames that cannot be.

    Parameters
    ----------
    frames : DataFrame
        The frame table.
    samples : mapping of str to Sample
        What the pixels show of the frames that `is_judged` marks.
    leave_out : bool
        Whether frames are left out, or only doubted.

    Returns
    -------
    DataFrame
        A new table: frames whose level cannot be have ``use`` false and ``why_not``,
        those that do not count as others have ``counts``, and no ``saturate`` that
        pixels exceed.
    tuple of Remark
        What is to be said of the night.
    """
    rows = frames[frames["file"].isin(samples.keys())].astype(object)
    judged = judge(
        _by_camera(rows.where(rows.notna(), None).to_dict("records"), samples)
    )
    table = frames.set_index("file", drop=False)
    for file, way in judged.counts.items():
        table.loc[file, "counts"] = way
    table.loc[list(judged.disproved), "saturate"] = None
    for files, told in _told(judged.left_out, table["imagetyp"].to_dict()):
        way_out = f"--include '{pattern_of(files, table['file'])}'" if leave_out else ""
        why = replace(told, way_out=way_out)
        table.loc[files, "use"] = not leave_out
        table.loc[files, "why_not"] = str(why)
        table.loc[files, "code"] = why.code
    table = table.reset_index(drop=True)
    table.attrs.update(frames.attrs)
    return table, tuple(judged.notes)


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
        form = _FORMS.get(code, _adu)
        yield (
            files,
            remark(code, found=form(*_ends(found)), expected=_adu(*_ends(expected))),
        )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _adu(low: float, high: float | None = None) -> str:
    """Write a level, or the ends of several.  Of frames without pixels there is none.

    Examples
    --------
    >>> _adu(1000.4), _adu(30.5, 31.0)
    ('1000 ADU', '30.5 to 31 ADU')
    """
    texts = [
        f"{value:.4g}" if abs(value) < 100 else f"{value:.0f}"
        for value in (low, low if high is None else high)
    ]
    return f"{' to '.join(dict.fromkeys(texts))} ADU"


def _every_pixel(low: float, high: float) -> str:
    if np.isnan(low):
        return "no pixel is finite"
    return f"every pixel is {' or '.join(dict.fromkeys((f'{low:g}', f'{high:g}')))}"


def _percent(low: float, high: float) -> str:
    return " to ".join(dict.fromkeys((f"{low:.0%}", f"{high:.0%}")))


_FORMS = {"no-data": _every_pixel, "half-dark": _percent}
"""How what was found is written where it is no level."""


def _by_camera(
    rows: Iterable[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> list[list[Raw]]:
    """Take the rows of a frame table together that agree in `SETTING`."""
    cameras: dict[tuple[object, ...], list[Raw]] = defaultdict(list)
    for row in rows:
        exptime, temperature, saturate = (
            np.nan if row[name] is None else float(row[name])
            for name in ("exptime", "ccd_temp", "saturate")
        )
        raw = Raw(
            row["file"],
            row["imagetyp"],
            samples[row["file"]],
            exptime,
            temperature,
            saturate,
            row["night"],
        )
        cameras[tuple(row[name] for name in SETTING)].append(raw)
    return list(cameras.values())
