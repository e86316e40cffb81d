"""Nights whose setups are easily confused, and what a careful person would use.

The truth is written down while the frames are made: which batches of calibration
frames exist is known here by construction, and the choice among them is looked up by
setup, night and exposure.  Nothing of the planner is used.
"""

import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product

from autoreduce.frames.schema import make_frame_table

FIRST_NIGHT = date(2024, 3, 1)
NIGHT_STEPS = (0, 3, 13, 52, 210)
"""Days after the first night: no two pairs are equally far apart."""

DAYS_BIAS, DAYS_DARK, DAYS_FLAT = 365, 365, 180


@dataclass(frozen=True)
class Setup:
    """One way in which the camera was used."""

    instrume: str = "QHY268M"
    naxis1: int = 3000
    naxis2: int = 2000
    binning: int = 1
    gain: float | None = 56.0
    offset: float | None = 30.0
    readoutm: str | None = "High Gain"
    set_temp: float = -10.0
    telescop: str = "RC10"
    focallen: float = 2000.0

    @property
    def electronics(self):
        """What a bias depends on."""
        names = ("instrume", "naxis1", "binning", "gain", "offset", "readoutm")
        return tuple(getattr(self, name) for name in names)

    @property
    def optics(self):
        """What a flat depends on besides."""
        return (self.telescop, self.focallen)


TWINS = {
    "gain": {"gain": 0.0},
    "offset": {"offset": 50.0},
    "binning": {"binning": 2, "naxis1": 1500, "naxis2": 1000},
    "camera": {"instrume": "QHY600M"},
    "readout": {"readoutm": "Extended Full Well"},
    "temperature": {"set_temp": -20.0},
    "near temperature": {"set_temp": -14.0},
    "telescope": {"telescop": "FSQ106", "focallen": 530.0},
}
"""What sets a second setup apart from the first: one thing each."""


@dataclass(frozen=True)
class Batch:
    """Frames taken one after the other, alike in everything."""

    kind: str
    setup: Setup
    night: int
    exptime: float = 0.0
    filter: str | None = None


@dataclass(frozen=True)
class Truth:
    """What a careful person would take out of a light."""

    bias: Batch | None
    dark: Batch | None
    method: str | None
    flat: Batch | None


@dataclass
class Folder:
    """Frames of several nights and setups in one folder."""

    rows: list = field(default_factory=list)
    batch_of: dict = field(default_factory=dict)
    truth: dict = field(default_factory=dict)
    nights: tuple = ()
    unsaid: tuple = ()
    """Facts that the lights' headers leave out."""

    def frames(self, rng):
        """Build the frame table, its rows in a random order."""
        table = make_frame_table(self.rows)
        order = list(table.index)
        rng.shuffle(order)
        return table.loc[order].reset_index(drop=True)

    def batches(self, kind):
        """List the batches of one kind."""
        return [batch for batch in set(self.batch_of.values()) if batch.kind == kind]


def confusable_folder(seed):
    """Make one folder; the same seed makes the same frames.

    Returns
    -------
    folder : Folder
        Its frames and the truth for each light.
    frames : DataFrame
        The frame table, rows in random order.
    """
    rng = random.Random(seed)
    folder = Folder(nights=_nights(rng))
    setups = _setups(rng)
    _take_calibration_frames(folder, setups, rng)
    folder.unsaid = _unsaid(setups, rng)
    lights = [
        _take_lights(folder, setup, night, name, rng)
        for setup, night, name in product(setups, folder.nights, ("L", "R"))
    ]
    for light in lights:
        truth = _careful_choice(folder, light)
        for file, batch in folder.batch_of.items():
            if batch == light:
                folder.truth[file] = truth
    return folder, folder.frames(rng)


def _nights(rng):
    return tuple(sorted(rng.sample(NIGHT_STEPS, rng.choice((1, 2, 3)))))


def _setups(rng):
    first = Setup()
    if rng.random() < 0.2:
        first = replace(first, gain=None, offset=None, readoutm=None)
    setups = [first]
    for name in rng.sample(sorted(TWINS), rng.choice((1, 2, 3))):
        if first.gain is None and name in {"gain", "offset", "readout"}:
            continue
        setups.append(replace(rng.choice(setups), **TWINS[name]))
    return list(dict.fromkeys(setups))


def _unsaid(setups, rng):
    """Choose facts that lights may leave out, since they tell no setups apart."""
    alike = [
        name
        for name in ("gain", "offset", "readoutm", "telescop", "focallen")
        if len({getattr(setup, name) for setup in setups}) == 1
    ]
    return tuple(name for name in alike if rng.random() < 0.15)


def _take_calibration_frames(folder, setups, rng):
    """Take bias, darks and flats; now and then something is forgotten."""
    for electronics in sorted({setup.electronics for setup in setups}, key=str):
        alike = [setup for setup in setups if setup.electronics == electronics]
        temperatures = {setup.set_temp: setup for setup in reversed(alike)}
        optics = {setup.optics: setup for setup in reversed(alike)}
        for night in folder.nights:
            with_bias = rng.random() < 0.75
            for setup in temperatures.values():
                _take(folder, Batch("bias", setup, night), 3 * with_bias, rng)
                _take_darks(folder, setup, night, rng)
            for setup, name in product(optics.values(), ("L", "R")):
                if rng.random() < 0.7:
                    written = f"{name}um" if rng.random() < 0.1 else name
                    _take(folder, Batch("flat", setup, night, 4.0, written), 3, rng)


def _take_darks(folder, setup, night, rng):
    for exptime in _dark_exposures(rng):
        _take(folder, Batch("dark", setup, night, exptime), 2, rng)
    if rng.random() < 0.2:
        _take(folder, Batch("flatdark", setup, night, 60.0), 2, rng)


def _dark_exposures(rng):
    return rng.choice(
        ((), (60.0,), (300.0,), (60.0, 300.0), (30.0, 180.0), (30.0,), (120.0,))
    )


def _take_lights(folder, setup, night, name, rng):
    light = Batch("light", setup, night, rng.choice((60.0, 120.0, 180.0)), name)
    _take(folder, light, 2, rng)
    return light


_MINUTES = {"flat": 0, "bias": 60, "flatdark": 90, "light": 200, "dark": 600}


def _take(folder, batch, n, rng):
    """Take the frames of a batch: temperatures and exposures jitter as they do."""
    evening = datetime.combine(
        FIRST_NIGHT + timedelta(days=batch.night), datetime.min.time(), tzinfo=UTC
    ) + timedelta(hours=18)
    for _ in range(n):
        number = len(folder.rows)
        file = f"{batch.kind}/{number:05d}.fits"
        when = evening + timedelta(minutes=_MINUTES[batch.kind], seconds=7 * number)
        setup = batch.setup
        flat = batch.kind == "flat"
        jitter = rng.uniform(-2.0, 6.0) if flat else rng.uniform(-0.01, 0.01)
        row = {
            "file": file,
            "imagetyp": batch.kind,
            "object": "M13" if batch.kind == "light" else None,
            "filter": batch.filter,
            "exptime": round(batch.exptime + jitter, 3) if batch.exptime else 0.0,
            "instrume": setup.instrume,
            "naxis1": setup.naxis1,
            "naxis2": setup.naxis2,
            "xbinning": setup.binning,
            "ybinning": setup.binning,
            "gain": setup.gain,
            "offset": setup.offset,
            "readoutm": setup.readoutm,
            "set_temp": setup.set_temp,
            "ccd_temp": setup.set_temp + rng.uniform(-0.4, 0.4),
            "telescop": setup.telescop,
            "focallen": setup.focallen + rng.uniform(-0.2, 0.2),
            "date_obs": when.isoformat(),
            "night": (FIRST_NIGHT + timedelta(days=batch.night)).isoformat(),
        }
        if batch.kind == "light":
            row |= dict.fromkeys(folder.unsaid)
        folder.rows.append(row)
        folder.batch_of[file] = batch


# ---------------------------------------------------------------- the careful person


def _careful_choice(folder, light):
    """Look up what serves a light best among the batches that were taken."""
    bias = _bias_for(folder, light)
    dark, method = _dark_for(folder, light, has_bias=bias is not None)
    if dark is not None and _bias_for(folder, dark) is None:
        bias = None  # the dark holds it
    flats = [
        batch
        for batch in folder.batches("flat")
        if batch.setup.electronics == light.setup.electronics
        and batch.setup.optics == light.setup.optics
        and batch.filter == light.filter
        and _bias_for(folder, batch) is not None
    ]
    return Truth(bias, dark, method, _nearest(light, flats, DAYS_FLAT))


def _bias_for(folder, batch):
    alike = [
        bias
        for bias in folder.batches("bias")
        if bias.setup.electronics == batch.setup.electronics
        and bias.setup.set_temp == batch.setup.set_temp
    ]
    if found := _nearest(batch, alike, DAYS_BIAS):
        return found
    warmer = [
        bias
        for bias in folder.batches("bias")
        if bias.setup.electronics == batch.setup.electronics
    ]
    return _nearest(batch, warmer, DAYS_BIAS)


def _dark_for(folder, light, *, has_bias):
    alike = [
        dark
        for dark in (*folder.batches("dark"), *folder.batches("flatdark"))
        if dark.setup.electronics == light.setup.electronics
        and dark.setup.set_temp == light.setup.set_temp
    ]
    exact = [dark for dark in alike if dark.exptime == light.exptime]
    if exact := _nearest(light, exact, DAYS_DARK):
        return exact, "exact"
    scalable = [
        dark for dark in alike if has_bias and _bias_for(folder, dark) is not None
    ]
    tonight = [dark for dark in scalable if dark.night == light.night]
    longest = max(
        tonight, key=lambda dark: (dark.exptime, dark.kind == "dark"), default=None
    )
    is_fit = len({d.exptime for d in tonight}) > 1
    times = light.exptime / longest.exptime if is_fit else math.inf
    if times <= 1.501:
        return longest, "fit"
    longer = [dark for dark in scalable if dark.exptime > light.exptime]
    if scaled := _nearest(light, longer, DAYS_DARK):
        return scaled, "scaled"
    if times <= 3.003:
        return longest, "fit"
    shorter = [dark for dark in scalable if light.exptime <= 2.001 * dark.exptime]
    scaled = _nearest(light, shorter, DAYS_DARK)
    return scaled, "scaled" if scaled else None


def _nearest(batch, candidates, days):
    near = [other for other in candidates if abs(other.night - batch.night) <= days]
    # a dark is a light's own, a flat-dark the second choice
    return min(
        near,
        key=lambda other: (
            other.night != batch.night,
            other.kind == "flatdark",
            abs(other.night - batch.night),
        ),
        default=None,
    )
