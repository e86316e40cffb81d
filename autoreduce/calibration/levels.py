"""Raw frames whose levels cannot be: held against each other before masters are made.

A thin sample of each frame tells its level, its noise and its shape.  Of one camera in
one setting a closed shutter has one level, darks lie on it or above, and lights lie
above the darks of their exposure; light and dark current bring noise with them.  What
contradicts this by far more than any drift cannot be what it is called.

How frames of one group differ among themselves is left to `quality`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.samples import WRAPPED, Sample
from autoreduce.frames.schema import ImageType
from autoreduce.pixels.measure import pair_noise
from autoreduce.pixels.order import median

GROSS_NOISE, GROSS_PART = 10.0, 0.05
"""A level is out of place by so many times the noise, and by this part of the level:
bias levels drift by less from night to night."""
UNSCRAMBLED = 16.0
"""Pixels that have so much less noise with their bytes swapped were written so."""
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
UNLIKE_RATES = 2.0
"""Dark currents of two exposures do not differ by so much: 3 degrees make 1.4."""
TOO_SMOOTH = 5.0
"""A level that so many times too little noise comes with is no light."""
DEAD, PLAIN = 0.25, 3.0
"""A block with less than this part of the dark current that it should have, if that is
so many times the noise, has none; one with twice the part has some."""
UNEXPOSED = 0.125
"""A dark with less than this part of the others' dark current was not exposed: 20
degrees would make it as little, and headers tell those."""
FEWEST_BLOCKS = 4
"""Blocks without dark current, and with it, that are no accident."""
STARRY, FEWEST_STARS = 200.0, 5
"""Stars per megapixel from which a frame has seen the sky, as `autoreduce.frames.pixeltype`
has it, and how many tell: cosmic rays in a dark of 1200 s are a quarter of them ..."""
HITS = 0.3
"""... and in a thick sensor, or on a mountain, up to so many in each second."""
LIT_FLAT = 10.0
"""A flat so many times as far above a closed shutter as a fault would be is lit."""
FEWEST_LONGER = 3
"""Longer darks that tell of a shorter one that it is lit: one of them may be at fault."""
LEAST_CUT = 0.05
"""Part of the rows that no shutter or window leaves without data in some frames only."""
MOST_FELLOWS = 50
"""Darks of one exposure that tell well enough what another should have."""
CLOSED = (ImageType.BIAS, ImageType.DARK, ImageType.FLATDARK)
DARKS = (ImageType.DARK, ImageType.FLATDARK)
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
    pedestal: float = 0.0
    """Level that the writer added and tells, ADU."""
    start: object = None
    """When the exposure began; None where it is unknown."""
    window: tuple[object, ...] = ()
    """Part of the sensor that was read: of one window, blocks lie at the same place."""
    by_hand: bool = False
    """Whether the observer says that it counts as others do."""

    @property
    def level(self) -> float:
        """Median without the pedestal, ADU."""
        return self.sample.level - self.pedestal

    @property
    def noise(self) -> float:
        """Noise of a pixel, ADU: that of rounding at least."""
        return max(self.sample.noise, 0.5)

    @property
    def shape(self) -> NDArray[np.float64]:
        """Medians of its blocks without the pedestal, ADU."""
        return np.array(self.sample.blocks) - self.pedestal


class Doubt(NamedTuple):
    """Why a frame cannot be what it is called."""

    code: str
    """Code of the remark."""
    found: float
    """What was found, ADU, or a fraction."""
    expected: float = np.nan
    """What was expected, ADU."""


def by_itself(raw: Raw) -> Doubt | None:
    """Say why a frame is nothing, whatever the others are; None if it is something."""
    sample = raw.sample
    if sample.empty:
        return Doubt("no-data", sample.level)
    if sample.swapped_noise < sample.noise / UNSCRAMBLED:
        return Doubt("bytes-swapped", sample.noise, sample.swapped_noise)
    lowest, top = sample.ends
    if lowest < 0 and raw.level < -GROSS_NOISE * raw.noise:
        # Behind a closed shutter no count is large enough to have wrapped.
        exposed = "all-wrapped" if sample.highest < 0 else "wrapped"
        code = "shifted" if raw.kind in CLOSED else exposed
        return Doubt(code, sample.level, top)
    if sample.wrapped and sample.highest > -WRAPPED:
        return Doubt("wrapped", sample.lowest, top)
    if raw.kind in CLOSED and raw.level >= FULL * top:
        return Doubt("white", raw.level, top)
    return None


def out_of_place(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find frames whose levels cannot be, the plainest first.

    Parameters
    ----------
    frames : sequence of Raw
        Frames of one camera and setting that count alike.

    Returns
    -------
    dict of str to Doubt
        By file; empty where nothing is out of place.
    """
    found: dict[str, Doubt] = {}
    rest = list(frames)
    for rule in _RULES:
        found |= rule(rest)
        rest = [raw for raw in rest if raw.file not in found]
    return found


def gross(level: float, other: float, noise: float) -> float:
    """Give the difference of two levels that only a fault makes, ADU."""
    return max(GROSS_NOISE * noise, GROSS_PART * max(abs(level), abs(other)))


def _cut_off(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find frames without data in rows in which the camera gives some.

    Rows that see no light, behind a mask, are no fault: several lit frames tell them.
    """
    exposed = [raw for raw in frames if raw.kind in _EXPOSED]
    closed = [raw for raw in frames if raw.kind in CLOSED]
    found: dict[str, Doubt] = {}
    for some in (exposed, closed) if len(exposed) > 1 else (frames,):
        usual = min((raw.sample.cut for raw in some), default=0.0)
        found |= {
            raw.file: Doubt("cut-off", raw.sample.cut, usual)
            for raw in some
            if raw.sample.cut > usual + LEAST_CUT
        }
    return found


def _starry(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find closed frames that show stars: lights, or taken with an open telescope.

    What bias frames have of such peaks is the sensor's own.
    """
    closed = [raw for raw in frames if raw.kind in CLOSED and raw.sample.pixels]
    density = {raw.file: 1e6 * raw.sample.stars / raw.sample.pixels for raw in closed}
    own = [density[raw.file] for raw in closed if raw.kind == ImageType.BIAS]
    least = max(STARRY, 5 * float(np.median(own)) if own else 0.0)
    limits = {raw.file: float(np.fmax(least, HITS * raw.exptime)) for raw in closed}
    return {
        raw.file: Doubt("starry", density[raw.file], limits[raw.file])
        for raw in closed
        if raw.sample.stars >= FEWEST_STARS and density[raw.file] >= limits[raw.file]
    }


def _closed_flats(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find flats as dark as a closed shutter beside lit ones of their exposure.

    A program that knows no darks for flats calls them flats, and without bias frames
    flats need them.  Long darks may lie above a faint flat, which has the noise of light.
    """
    if any(raw.kind == ImageType.BIAS for raw in frames):
        return {}  # they are told when flats are combined, and others do without them
    flats = _Many([raw for raw in frames if raw.kind == ImageType.FLAT])
    closed = min((raw.level for raw in frames if raw.kind in DARKS), default=np.nan)
    found = {}
    for raw in flats.frames:
        plain = gross(raw.level, closed, raw.noise)
        alike = np.abs(flats.exptime - raw.exptime) <= (1 - SHORTER) * raw.exptime
        is_lit = alike & (flats.level - closed > LIT_FLAT * plain)
        if raw.level - closed <= plain and is_lit.any():
            lit = float(np.median(flats.level[is_lit]))
            found[raw.file] = Doubt("closed-flat", raw.level, lit)
    if not found:
        return {}
    low = [raw for raw in flats.frames if raw.file in found]
    others = [raw for raw in flats.frames if raw.file not in found]
    darkest = min(low, key=lambda raw: raw.level)
    zero = Closed(darkest.level, darkest.noise)
    per_count = _variance_per_count(others, lambda _: zero) or 0.0
    return {
        raw.file: found[raw.file]
        for raw in low
        if raw.noise**2 < per_count * gross(raw.level, closed, raw.noise)
    }


def _above_lights(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find closed frames that are brighter than lights of their exposure.

    Every light has to lie above a bias frame.
    """
    lights = _Many([raw for raw in frames if raw.kind == ImageType.LIGHT])
    found = {}
    skies: dict[tuple[object, ...], float | None] = {}
    for raw in frames:
        if raw.kind not in CLOSED:
            continue
        # Most closed frames of a night are held against the same lights.
        is_bias = raw.kind == ImageType.BIAS
        key = raw.night, (None if is_bias else (raw.exptime, lights.window(raw)))
        if key not in skies:
            skies[key] = _sky(lights, raw)
        sky = skies[key]
        if sky is not None and raw.level - sky > gross(raw.level, sky, raw.noise):
            found[raw.file] = Doubt("above-lights", raw.level, sky)
    return found


def _sky(lights: "_Many", raw: Raw) -> float | None:
    """Give the level of the lights that a closed frame is held against."""
    is_long = lights.exptime >= SHORTER * raw.exptime
    longer = is_long & lights.near(raw) | (raw.kind == ImageType.BIAS)
    tonight = longer & lights.of_night(raw)
    longer = tonight if tonight.any() else longer
    return float(np.median(lights.level[longer])) if longer.any() else None


class _Many:
    """Frames as arrays: a night of thousands is asked all at once."""

    def __init__(self, frames: Sequence[Raw]) -> None:
        self.frames = frames
        self.exptime = np.array([raw.exptime for raw in frames], float)
        self.level = np.array([raw.level for raw in frames], float)
        self._temperature = np.array([raw.temperature for raw in frames], float)
        self._night = np.array([raw.night or "" for raw in frames], str)
        self._in_order = np.sort(self._temperature)  # unknown ones last
        self._windows: dict[float, tuple[int, int]] = {}

    def near(self, raw: Raw) -> NDArray[np.bool_]:
        """Mark those that nothing says were taken at another temperature."""
        return ~(np.abs(self._temperature - raw.temperature) > NEAR_DEGC)

    def window(self, raw: Raw) -> tuple[int, int] | None:
        """Give a key that is the same for frames to which the same ones are near."""
        if math.isnan(raw.temperature):
            return None
        if raw.temperature not in self._windows:
            apart = self._in_order - raw.temperature
            self._windows[raw.temperature] = (
                int(np.searchsorted(apart, -NEAR_DEGC, "left")),
                int(np.searchsorted(apart, NEAR_DEGC, "right")),
            )
        return self._windows[raw.temperature]

    def of_night(self, raw: Raw) -> NDArray[np.bool_]:
        """Mark those of the same night."""
        return np.asarray(self._night == (raw.night or ""))

    def lowest(self, chosen: NDArray[np.bool_]) -> "Closed | None":
        """Give the lowest of some; None without any."""
        if not chosen.any():
            return None
        places = np.flatnonzero(chosen)
        lowest = self.frames[places[np.argmin(self.level[places])]]
        return Closed(lowest.level, lowest.noise)


def _below_bias(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find frames that lie below the level of a closed shutter.

    Where most lights do, the closed frames are not theirs (`_above_lights`); where darks
    and lights agree on a lower level, the bias frames are not.
    """
    bias = _Bias(frames)
    darks = _Many([raw for raw in frames if raw.kind in DARKS])
    found = {}
    for raw in frames:
        if raw.kind == ImageType.BIAS:
            continue
        closed = bias.of(raw)
        if closed is None and raw.kind == ImageType.LIGHT:
            is_short = raw.exptime >= SHORTER * darks.exptime
            closed = darks.lowest(is_short & darks.near(raw))
        if closed is None:
            continue
        if closed.level - raw.level > gross(closed.level, raw.level, closed.noise):
            found[raw.file] = Doubt("below-bias", raw.level, closed.level)
    low = [raw for raw in frames if raw.file in found and raw.kind in DARKS]
    closed_at = _agreed_zero(low, frames, bias)
    # What is left once the bias is out is near 0, not at the level of another offset.
    highest = max((found[raw.file].expected for raw in low), default=0.0)
    if closed_at is None or closed_at < highest / 2:
        return found
    return {
        raw.file: Doubt("offset-bias", raw.level, closed_at)
        for raw in frames
        if raw.kind == ImageType.BIAS
        and raw.level - closed_at > gross(raw.level, closed_at, raw.noise)
    }


class Closed(NamedTuple):
    """What frames behind a closed shutter have, ADU."""

    level: float
    noise: float


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
        times = [same.exptime for same in others]
        levels = [same.level for same in others]
        slope, start = np.polyfit(times, levels, 1)
        expected = start + max(slope, 0.0) * raw.exptime
        more = (LIT - 1) * max(0.0, expected - min(levels))
        if raw.level - expected > more + gross(raw.level, expected, raw.noise):
            found[raw.file] = Doubt("lit-dark", raw.level, float(expected))
    return found


def _above_longer(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find darks above those of a longer exposure: dark current only adds."""
    darks = _Many([raw for raw in frames if raw.kind in DARKS])
    found = {}
    levels: dict[tuple[object, ...], float] = {}
    for raw in darks.frames:
        # All darks of an exposure are held against the same ones.
        key = raw.night, raw.exptime, darks.window(raw)
        if key not in levels:
            is_longer = SHORTER * darks.exptime > raw.exptime
            longer = is_longer & darks.near(raw) & darks.of_night(raw)
            enough = np.count_nonzero(longer) >= FEWEST_LONGER
            levels[key] = float(np.median(darks.level[longer])) if enough else np.inf
        level = levels[key]
        if raw.level - level > gross(raw.level, level, raw.noise):
            found[raw.file] = Doubt("lit-dark", raw.level, level)
    return found


def unlike_rates(frames: Sequence[Raw]) -> dict[str, Doubt]:
    """Find darks of two exposures whose dark currents cannot both be right.

    Nobody can tell whether those with the larger one are lit, or the others were not
    exposed; of three exposures `out_of_place` tells, and a fit of their counts.

    Parameters
    ----------
    frames : sequence of Raw
        Frames of one camera and setting that count alike.

    Returns
    -------
    dict of str to Doubt
        The larger current and the smaller one, ADU/s, by the file of the larger.
    """
    bias = _Bias(frames)
    found = {}
    for raw, others in _other_exposures(frames):
        closed = bias.of(raw)
        if closed is None or len(others) != 1:
            continue
        (other,) = others
        current, above = other.level - closed.level, raw.level - closed.level
        drift, least = (
            gross(level, closed.level, raw.noise) for level in (other.level, raw.level)
        )
        most = max(UNLIKE_RATES * current, current + drift)
        if above > most * raw.exptime / other.exptime + least:
            rate = max(0.0, current) / other.exptime
            found[raw.file] = Doubt("unlike-rates", above / raw.exptime, rate)
    return found


class _Same(NamedTuple):
    """Darks of one exposure, taken together."""

    exptime: float
    """Exposure, s."""
    level: float
    """Their median level, ADU."""
    shape: NDArray[np.float64]
    """Medians of their blocks, ADU."""
    noise: float
    """That of the noisiest, ADU."""

    @classmethod
    def of(cls, darks: Sequence[Raw]) -> Self:
        """Take darks together."""
        return cls(
            darks[0].exptime,
            float(np.median([one.level for one in darks])),
            np.median([one.shape for one in darks], axis=0),
            max(one.noise for one in darks),
        )


def _other_exposures(frames: Sequence[Raw]) -> Iterable[tuple[Raw, list[_Same]]]:
    """Give each dark with the darks of each other exposure, at its temperature."""
    darks = [raw for raw in frames if raw.kind in DARKS and raw.exptime > 0]
    many = _Many(darks)
    times = dict.fromkeys(many.exptime.tolist())
    of_time = {time: many.exptime == time for time in times}
    # Most darks of a night are near the same others.
    known: dict[tuple[object, ...], list[_Same]] = {}
    for raw in darks:
        key = raw.exptime, many.window(raw)
        if key not in known:
            near = many.near(raw)
            chosen = [
                np.flatnonzero(near & is_of_time)
                for time, is_of_time in of_time.items()
                if not abs(time / raw.exptime - 1) <= 1 - SHORTER
            ]
            known[key] = [
                _Same.of([darks[n] for n in some]) for some in chosen if len(some)
            ]
        yield raw, known[key]


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
        if raw.kind in DARKS and share < usual / TOO_SMOOTH
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
    lights = [raw for raw in frames if raw.kind == ImageType.LIGHT]
    per_count = _variance_per_count(frames, bias.of) if darks and lights else None
    if per_count is None:
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


def _variance_per_count(
    frames: Sequence[Raw], closed_of: Callable[[Raw], Closed | None]
) -> float | None:
    """Measure the variance of light for each ADU of it, from pairs of flats.

    `closed_of` gives the level of a frame without light, and its noise.

    What pixels differ by drops out of a pair; None without a pair.
    """
    found = []
    flats = [raw for raw in frames if raw.kind == ImageType.FLAT]
    for one, other in pairwise(flats):
        closed = closed_of(one)
        if closed is None or one.sample.strip.shape != other.sample.strip.shape:
            continue
        light = one.level - closed.level, other.level - closed.level
        if min(light) > gross(one.level, closed.level, closed.noise):
            first, second = (
                (raw.sample.strip.astype(np.float32) - closed.level) / signal
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
    if above <= gross(raw.level, closed.level, closed.noise):
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
    even = _Even(frames, base)
    for raw, others in _other_exposures(frames):
        told = _by_longest(raw, others, base)
        expected = told if told.any() else even.fellows_of(raw)
        counts, plain = raw.shape - base, PLAIN * raw.noise
        dead, alive = _dead_and_alive(counts, expected, plain)
        if _is_unexposed(counts, even.fellows_of(raw, fewest=2), plain):
            dead = alive = np.ones(dead.shape, bool)
        if min(np.count_nonzero(dead), np.count_nonzero(alive)) >= FEWEST_BLOCKS:
            found[raw.file] = Doubt(
                "half-dark", float(np.mean(dead)), float(np.median(expected[dead]))
            )
    return found


def _is_unexposed(
    counts: NDArray[np.float64], expected: NDArray[np.float64], plain: float
) -> bool:
    """Tell a dark that is a bias frame: nowhere a trace of what others have all over."""
    return bool(np.all(expected > plain) and np.all(counts < UNEXPOSED * expected))


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
    raw: Raw, others: Sequence[_Same], base: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the dark current that the longest other exposure tells, block by block.

    It is 0 where its own does not stand out of the noise: else a drift of the bias would
    grow with the exposure.
    """
    if not others:
        return np.zeros(base.shape)
    longest = max(others, key=lambda same: same.exptime)
    counts = longest.shape - base
    is_plain = counts > PLAIN * longest.noise
    return np.where(is_plain, counts * raw.exptime / longest.exptime, 0.0)


class _Even:
    """The darks whose dark current is everywhere, none without it in a part."""

    def __init__(self, frames: Sequence[Raw], base: NDArray[np.float64]) -> None:
        self._none = np.zeros_like(base)
        known = [(raw, raw.shape - base) for raw in frames if raw.kind in DARKS]
        even = [one for one in known if one[1].min() > DEAD * median(one[1])]
        self._shapes = [shape for _, shape in even]
        self._many = _Many([raw for raw, _ in even])

        self._places = {raw.file: n for n, (raw, _) in enumerate(even)}
        # Most darks of a night have the same fellows.
        self._known: dict[tuple[object, ...], list[int]] = {}
        self._medians: dict[tuple[int, ...], NDArray[np.float64]] = {}

    def fellows_of(self, raw: Raw, fewest: int = 1) -> NDArray[np.float64]:
        """Give the dark current of some darks like one, 0 of fewer than so many."""
        key = raw.exptime, self._many.window(raw)
        if key not in self._known:
            far = np.abs(self._many.exptime - raw.exptime)
            alike = (far <= (1 - SHORTER) * raw.exptime) & self._many.near(raw)
            self._known[key] = np.flatnonzero(alike)[: MOST_FELLOWS + 1].tolist()
        own = self._places.get(raw.file)
        chosen = tuple(n for n in self._known[key] if n != own)
        if len(chosen) < fewest:
            return self._none
        if chosen not in self._medians:
            shapes = [self._shapes[n] for n in chosen]
            self._medians[chosen] = np.median(shapes, axis=0)
        return self._medians[chosen]


_RULES: tuple[Callable[[Sequence[Raw]], dict[str, Doubt]], ...] = (
    _cut_off,
    _starry,
    _closed_flats,
    _above_lights,
    _below_bias,
    _lit_by_exposures,
    _above_longer,
    _without_noise,
    _half_dark,
)


def adu_text(low: float, high: float | None = None) -> str:
    """Write a level, or the ends of several.  Of frames without pixels there is none.

    Examples
    --------
    >>> adu_text(1000.4), adu_text(30.5, 31.0)
    ('1000 ADU', '30.5 to 31 ADU')
    """
    texts = [
        f"{value:.4g}" if abs(value) < 100 else f"{value:.0f}"
        for value in (low, low if high is None else high)
    ]
    return f"{' to '.join(dict.fromkeys(texts))} ADU"
