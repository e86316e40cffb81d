"""The quality of a night as numbers: what the page draws, and ``report.json`` holds.

Each frame is a row; each column says what it is, in which unit.  Nothing is drawn here.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from autoreduce.frames.measured import MEASURED
from autoreduce.pixels.order import median
from autoreduce.planning.notes import without_stack
from autoreduce.planning.plan import Action, Task
from autoreduce.report.colours import frame_colour
from autoreduce.report.content import NightReport
from autoreduce.report.exposures import Exposures, exposures_of

SCHEMA_VERSION = 1
"""Raised when a name in ``report.json`` goes, or comes to mean something else."""
ODD = 5.0
"""Robust standard deviations from its group's median at which a value is odd."""
LEAST_ODD = 0.02
"""Part of the median that the scatter of a group is taken for at least."""
FEWEST = 4
"""Values of a group from which one of them can be odd."""
SHOWN_POINTS = 100
"""Points of a photon transfer curve that are drawn, about."""
LEAST_NOISE = 0.1
"""Part of the expected noise that a measured one has at least, to be one."""
_DIGITS = 6
MAD_TO_SIGMA = 1.4826  # 1 / Phi^-1(3/4), for a normal distribution


class Series(NamedTuple):
    """A number of each frame that is drawn against time."""

    name: str
    """What tables call it."""
    title: str
    """Heading of its plot."""
    unit: str
    """Unit that is shown; empty for pure numbers."""
    doc: str
    """What it is."""
    is_judged: bool = False
    """Whether frames that are odd in it are marked."""


SERIES = (
    Series(
        "fwhm_arcsec",
        "FWHM",
        "arcsec",
        "Width of the stars at half of their height: seeing, focus and guiding.",
        is_judged=True,
    ),
    Series(
        "fwhm",
        "FWHM",
        "px",
        "Width of the stars at half of their height; not all headers tell a scale.",
        is_judged=True,
    ),
    Series(
        "elongation",
        "Elongation",
        "",
        "Length over width of the stars: 1 is round, more is trailed.",
        is_judged=True,
    ),
    Series(
        "stars", "Stars", "", "Stars found in the calibrated light.", is_judged=True
    ),
    Series(
        "transparency",
        "Transparency",
        "%",
        "Flux of the stars in common, of that of the clearest light of its stack: "
        "clouds, haze and airmass take the rest.",
        is_judged=True,
    ),
    Series(
        "sky",
        "Sky",
        "ADU/s",
        "Level of the calibrated sky by exposure: moon, twilight, clouds, lamps.",
        is_judged=True,
    ),
    Series("airmass", "Airmass", "", "Through how much air the lights were taken."),
    Series(
        "ccd_temp", "Sensor", "\N{DEGREE SIGN}C", "Temperature of the sensor, measured."
    ),
    Series("focus", "Focus", "", "Position of the focuser, from the header."),
    Series("dx", "Shift in x", "px", "Where its centre lies, from the reference's."),
    Series("dy", "Shift in y", "px", "Where its centre lies, from the reference's."),
    Series("rotation", "Rotation", "deg", "Angle by which it is turned."),
    Series(
        "rms",
        "Misfit",
        "px",
        "Distance of its stars from those of the reference once it lies on it, rms.",
    ),
    Series("weight", "Weight", "", "Its share in the stack; 0 if left out."),
)
"""What is drawn, in order."""


def report_data(
    report: NightReport,
    measured_noise: Mapping[str, float] | None = None,
    transfers: Mapping[str, np.ndarray[Any, Any]] | None = None,
    responses: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> dict[str, Any]:
    """Gather what the page draws.

    Parameters
    ----------
    report : NightReport
        The run.
    measured_noise : mapping of str to float, optional
        Noise of stacks by output, pixel to pixel, ADU.
    transfers : mapping of str to structured array, optional
        Photon transfer curves by the flat that they were measured in: ``SIGNAL``, ADU,
        and ``VARIANCE``, ADU^2.
    responses : mapping of str to structured array, optional
        Responses by the flat that they were measured in: ``LEVEL``, ADU, and
        ``DEVIATION``, a part.

    Returns
    -------
    dict
        Values of JSON: ``series`` (what there is to draw), ``frames`` (a list of
        values for each column, all of one length; null where nothing is known),
        ``stacks`` (noise against the number of lights), ``transfers`` (variance of
        flats against their signal), ``responses`` (deviation of their counts, %).
    """
    columns = _columns(report, exposures_of(report))
    return {
        "schema_version": SCHEMA_VERSION,
        "series": [
            series._asdict()
            for series in SERIES
            if series.name in columns
            and any(v is not None for v in columns[series.name])
        ],
        "frames": columns,
        "stacks": _stack_noise(report, measured_noise or {}),
        "transfers": _transfers(report, transfers or {}),
        "responses": _responses(report, responses or {}),
    }


def _columns(report: NightReport, night: Exposures) -> dict[str, list[Any]]:
    """Make the columns: facts of all exposures, numbers of those that have them."""
    frames = report.frames.reset_index(drop=True)
    lights = _lights_of(report)
    files = frames["file"].astype(str)
    exptime = frames["exptime"].astype("float64")
    numbers = {
        name: files.map(lights[name]).astype("float64")
        for name in ("fwhm", "fwhm_arcsec", "elongation", "stars", "airmass", "focus",
                     "dx", "dy", "rotation", "rms", "weight", "flux_scale")
        if name in lights
    }  # fmt: skip
    numbers["sky"] = frames["sky"].astype("float64") / exptime.where(exptime > 0)
    numbers["ccd_temp"] = frames["ccd_temp"].astype("float64")
    stacks = (
        files.map(lights["stack"]).astype("string").fillna("")
        if "stack" in lights
        else files * 0
    )
    if "flux_scale" in numbers:
        flux = 1 / (numbers.pop("flux_scale") * exptime)
        numbers["transparency"] = 100 * flux / flux.groupby(stacks).transform("max")
    if {"fwhm", "fwhm_arcsec"} <= set(numbers):
        unscaled = numbers["fwhm"].notna() & numbers["fwhm_arcsec"].isna()
        numbers.pop("fwhm_arcsec" if unscaled.any() else "fwhm")
    of, seen = night.of.reset_index(drop=True), night.frames
    of_each = pd.DataFrame(numbers).groupby(of, sort=False).median()
    numbers = dict(of_each.reset_index(drop=True).items())
    unstacked = seen["unstacked"].fillna("").astype(str)
    raw = _raw_lights(report)
    planned_apart = {raw[light] for light in without_stack(report.plan)}
    apart = set(of[files.isin(planned_apart)])
    whys = [
        night.lost.get(file, why)
        for file, why in zip(seen["file"], unstacked, strict=True)
    ]
    return {
        **_facts(seen),
        "why": whys,
        "out": [
            int(bool(why) and (file in night.lost or file not in apart))
            for file, why in zip(seen["file"], whys, strict=True)
        ],
        "odd": _odd(numbers, seen["group"].fillna("").astype(str)),
        **{name: _plain(values) for name, values in numbers.items()},
    }


def _facts(frames: pd.DataFrame) -> dict[str, list[Any]]:
    looks = zip(frames["imagetyp"], frames["filter"], strict=True)
    texts = (
        (None if pd.isna(a) else str(a), None if pd.isna(b) else str(b))
        for a, b in looks
    )
    return {
        "file": frames["file"].astype(str).tolist(),
        "type": frames["imagetyp"].fillna("").astype(str).tolist(),
        "object": frames["object"].fillna("").astype(str).tolist(),
        "filter": frames["filter"].fillna("").astype(str).tolist(),
        "exptime": _plain(frames["exptime"].astype("float64")),
        "time": [
            None if pd.isna(when) else round(when.timestamp(), 3)
            for when in frames["date_obs"]
        ],
        "colour": [frame_colour(*pair) for pair in texts],
    }  # fmt: skip


def _lights_of(report: NightReport) -> pd.DataFrame:
    """Give the table of lights by the raw frame that each was made from."""
    if report.lights is None or not len(report.lights):
        return pd.DataFrame()
    raw = report.lights["light"].map(_raw_lights(report))
    return report.lights.assign(file=raw).set_index("file")


def _raw_lights(report: NightReport) -> dict[str, str]:
    """Give the raw frame of each calibrated light."""
    return {
        task.output: task.frames[0].file
        for task in report.plan.tasks
        if task.action is Action.CALIBRATE
    }


def _plain(values: Iterable[float]) -> list[float | None]:
    """Write numbers with a few digits; None for what is none."""
    return [
        float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
        for value in values
    ]


def _odd(numbers: Mapping[str, pd.Series], groups: pd.Series) -> list[list[str]]:
    """Name, for each frame, the columns in which it is unlike its group."""
    found: list[list[str]] = [[] for _ in groups]
    members = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    for series in SERIES:
        if not series.is_judged or series.name not in numbers:
            continue
        values = numbers[series.name].to_numpy("float64")
        for rows in members.values():
            for row in np.asarray(rows)[is_odd(values[rows])]:
                found[row].append(series.name)
    return found


def is_odd(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    """Tell which of some values are far from the others.

    Parameters
    ----------
    values : (n,) array of float
        NaN where nothing is known.

    Returns
    -------
    (n,) array of bool
        More than `ODD` robust standard deviations from the median; none of fewer
        than `FEWEST`.
    """
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.zeros(len(values), bool)
    middle = float(median(known))
    scatter = MAD_TO_SIGMA * float(median(np.abs(known - middle)))
    scatter = max(scatter, LEAST_ODD * abs(middle))
    with np.errstate(invalid="ignore"):
        far: np.ndarray[Any, Any] = np.abs(values - middle) > ODD * scatter
    return far


def _stack_noise(
    report: NightReport, measured: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Tell how the noise of each stack should fall with its lights, and how it did."""
    if report.lights is None:
        return []
    tasks = [task for task in report.plan.tasks if task.action is Action.STACK]
    found = []
    for output, lights in report.lights.groupby("stack", sort=False):
        task = _task_of(tasks, str(output))
        noise = expected_noise(
            lights["sky_noise"].to_numpy("float64") * _or_one(lights["flux_scale"]),
            lights["weight"].to_numpy("float64"),
        )
        # Pixels of a mosaic have unlike numbers of samples in each colour.
        if task is None or task.is_mosaic or not len(noise):
            continue
        through = str(task.facts.get("filter") or "")
        seen = measured.get(str(output), math.nan)
        found.append(
            {
                "output": str(output),
                "filter": through,
                "colour": frame_colour("light", through or None),
                "expected": _plain(noise),
                "measured": _believed(seen, noise[-1]),
            }
        )
    return found


def _transfers(
    report: NightReport, curves: Mapping[str, np.ndarray[Any, Any]]
) -> list[dict[str, Any]]:
    """Give some points of each photon transfer curve, and the gain that fits it."""
    found = []
    for task in report.plan.tasks:
        curve, outcome = curves.get(task.output), report.outcomes.get(task.output)
        gain = outcome.statistics.get("gain") if outcome else None
        if curve is None or not len(curve) or not gain:
            continue
        some = curve[:: max(1, len(curve) // SHOWN_POINTS)]
        through = str(task.facts.get("filter") or "")
        found.append(
            {
                "output": task.output,
                "colour": frame_colour("flat", through or None),
                "signal": _plain(some["SIGNAL"].astype(float)),
                "variance": _plain(some["VARIANCE"].astype(float)),
                "gain": gain,
            }
        )
    return found


def _responses(
    report: NightReport, curves: Mapping[str, np.ndarray[Any, Any]]
) -> list[dict[str, Any]]:
    """Give how the counts of flats deviate from the light, level by level."""
    return [
        {
            "output": task.output,
            "colour": frame_colour("flat", str(task.facts.get("filter") or "") or None),
            "level": _plain(curves[task.output]["LEVEL"].astype(float)),
            "deviation": _plain(100 * curves[task.output]["DEVIATION"].astype(float)),
        }
        for task in report.plan.tasks
        if task.output in curves
    ]


def _believed(measured: float, expected: float) -> float | None:
    """Give a measured noise, unless most pixels have one value: coarse counts show none."""
    is_known = math.isfinite(measured) and measured > LEAST_NOISE * expected
    return _plain([measured])[0] if is_known else None


def _or_one(values: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(values.astype("float64").fillna(1.0))


def _task_of(tasks: Sequence[Task], output: str) -> Task | None:
    """Find the task of a stack, whose name may have that of a field at its end."""
    fits = (t for t in tasks if output.startswith(t.output.rpartition(".")[0]))
    return (
        max(fits, key=lambda task: len(task.output), default=None) if output else None
    )


def expected_noise(
    noise: np.ndarray[Any, np.dtype[np.float64]],
    weight: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give the noise of the weighted mean of the first lights, the first two and so on.

    Parameters
    ----------
    noise : (n,) array of float
        Of each light on the scale of the stack, ADU.
    weight : (n,) array of float
        Its share.

    Returns
    -------
    (m,) array of float
        ``sqrt(sum w^2 s^2) / sum w``, ADU; lights without either are passed over.
    """
    good = np.isfinite(noise) & np.isfinite(weight) & (weight > 0)
    noise, weight = noise[good], weight[good]
    mean: np.ndarray[Any, np.dtype[np.float64]]
    mean = np.sqrt(np.cumsum((weight * noise) ** 2)) / np.cumsum(weight)
    return mean


GLOSSARY = {
    **{one.name: one.doc for one in MEASURED},
    **{series.name: series.doc for series in SERIES},
    "level": "Median of all pixels, ADU; of a flat that of its frames, before they are "
    "brought to unit level.",
    "level_error": "1-sigma error of that level, ADU.",
    "noise": "Robust scatter from pixel to pixel, 1 sigma.",
    "rejected": "Part of the samples that the combination dropped.",
    "drift": "Change of the level from the first frames to the last, ADU.",
    "masked": "Part of the samples that were hidden before the combination: stars, clouds.",
    "unclean": "Part of the pixels that stars never left.",
    "unit": "What the combined flat was divided by; its frames are near 1 already.",
    "hot": "Hot pixels that were replaced by their neighbours.",
    "dead": "Pixels without response: NaN.",
    "gain": "Gain measured from pairs of flats, electrons per ADU.",
    "gain_error": "1-sigma error of that gain, electrons per ADU.",
    "dark_scale": "Factor on the master dark.",
    "dark_offset": "Level added to the scaled master dark, ADU.",
    "star_flux": "Median flux of the brightest stars, ADU.",
    "saturate": "Level from which pixels count as saturated, calibrated, ADU.",
    "exposure": "Exposure, seconds; of a stack that of all its lights together.",
    "min": "Smallest of the pixels that were looked at.",
    "max": "Largest of the pixels that were looked at.",
    "offset": "Counts of a dark of no exposure, once the bias is out, ADU.",
    "slope": "Dark current, ADU per second: growth of the counts with exposure.",
    "chi square": "Misfit of the line in units of the errors; about as large as the "
    "degrees of freedom where the line fits.",
    "from": "Exposures that the line goes through.",
}
"""What each number on the page is."""
