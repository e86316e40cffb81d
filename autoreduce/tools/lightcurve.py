"""``lightcurve``: fluxes of the stars of a night's lights, and curves against an ensemble.

Stars are measured on the calibrated lights as they are, where the registration puts them:
pixels that were resampled are not measured.
"""

import csv
import math
import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.images import open_image
from autoreduce.fits.whole import write_text
from autoreduce.frames import literals
from autoreduce.pixels.apertures import Fluxes, aperture_fluxes
from autoreduce.pixels.ensemble import Ensemble, ensemble
from autoreduce.pixels.register import Transform
from autoreduce.pixels.stars import superpixels
from autoreduce.planning.naming import slug
from autoreduce.products.pointing import celestial
from autoreduce.products.registration import RegistrationProduct, read_registration
from autoreduce.products.starlist import read_stars
from autoreduce.remarks import Remark, remark
from autoreduce.running.folder import CURVES, INPUTS, note_inputs, remember
from autoreduce.tools.listing import Table, TableForm

Floats = NDArray[np.float64]

RADIUS_WIDTHS = 1.5
"""Radius of the circles, in widths (FWHM) of the stars."""
SKY_FROM, SKY_TO = 2.5, 4.0
"""Radii of the ring of sky, in radii of the circle."""
FAINTEST = 10.0
"""Signal to noise that a star of the reference has at the least."""
UNFIT = 1 | 2
"""Flags of stars that are not measured: saturated, cut by the edge."""
COMPLETE = 0.9
"""Part of the lights that a star of the comparison is measured in."""
FEWEST_LIGHTS = 2
COLUMNS = ("jd_utc", "bjd_tdb", "airmass", "fwhm")
"""What ``lights.csv`` tells of a light."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How light curves are measured."""

    target: str | None = None
    """``X,Y`` on the reference, from 1; ``RA,DEC``; None for the brightest star."""
    object: str | None = None
    """Only of this object."""
    filter: str | None = None
    """Only in this filter."""
    radius: float | None = None
    """Of the circles, pixels of the reference; None for `RADIUS_WIDTHS`."""
    comparison: int = 50
    """Stars, at the most, that the curve is taken against."""


class LightCurve(NamedTuple):
    """The curve of a target in one filter, and what it was taken from."""

    name: str
    """What its files are called."""
    stars: Table
    fluxes: Table
    curve: Table
    radius: float
    """Of the circles, pixel."""
    target: int
    """Number of the target among the stars, from 1."""
    compared: int
    """Stars of the comparison."""
    scatter: float
    """Of the target about its mean, mag; NaN if nothing serves to compare it with."""
    limit: float
    """What photons and sky alone would make of it, mag."""
    ratio: float
    """Median of scatter over limit of the comparison's stars; NaN if none has both."""
    remarks: tuple[Remark, ...]
    inputs: tuple[str, ...]
    """What it was taken from: registration and lights, below the output folder."""

    def write(self, folder: Path) -> list[Path]:
        """Write the three tables, and enter them into the ledger; return where.

        Parameters
        ----------
        folder : Path
            Output folder, which the caller holds.

        Raises
        ------
        ProductError
            If they cannot be written.
        """
        parts = {"stars": self.stars, "fluxes": self.fluxes, "curve": self.curve}
        names = [f"{CURVES}/{self.name}_{part}.csv" for part in parts]
        for name, table in zip(names, parts.values(), strict=True):
            write_text(folder / name, table.render(TableForm.CSV))
        remember(folder, names)
        note_inputs(folder, f"{CURVES}/{self.name}{INPUTS}", self.inputs)
        return [folder / name for name in names]


class _Series(NamedTuple):
    """Lights of one object and filter that show one field."""

    name: str
    reference: str
    lights: list[dict[str, str]]
    registration: RegistrationProduct
    path: str
    """The registration, below the output folder."""
    unplaced: list[str]


class _Stars(NamedTuple):
    """Stars that are measured, in pixels of the reference."""

    x: Floats
    y: Floats
    clean: NDArray[np.bool_]
    """Whether a star may be one of the comparison."""
    target: int


class _Measured(NamedTuple):
    """Stars of a light."""

    x: Floats
    y: Floats
    fluxes: Fluxes
    gain: float | None


def light_curves(folder: Path, settings: Settings) -> list[LightCurve]:
    """Measure the light curves of an output folder.

    Parameters
    ----------
    folder : Path
        Output folder of a night.
    settings : Settings
        How.

    Returns
    -------
    list of LightCurve
        One for each object, filter and field that two lights show.

    Raises
    ------
    InputError
        If the folder holds no registered lights, or the target is not in the field.
    """
    series = _series(folder, settings)
    if not series:
        there = {
            f"--object {shlex.quote(row['object'])} --filter {shlex.quote(row['filter'])}"
            for one in _series(folder, Settings())
            for row in one.lights
        }
        msg = f"{folder} holds no two registered lights of " + (
            f"what is asked for; there is {', '.join(sorted(there))}"
            if there
            else "one object and filter; lightcurve reads what `autoreduce NIGHT` made"
        )
        raise InputError(msg)
    return [_light_curve(folder, one, settings) for one in series]


def _series(folder: Path, settings: Settings) -> list[_Series]:
    """Find which lights belong together."""
    try:
        with (folder / "lights.csv").open(encoding="utf-8", newline="") as file:
            rows = {row["light"]: row for row in csv.DictReader(file)}
    except (OSError, KeyError) as error:
        msg = f"{folder} is no output folder of autoreduce: no lights.csv ({error})"
        raise InputError(msg) from error
    found = []
    for path in sorted((folder / "registration").glob("*.json")):
        registration = read_registration(path)
        groups: dict[tuple[str, int], list[str]] = defaultdict(list)
        for output, place in registration.places.items():
            if output in rows and _wanted(rows[output], settings):
                groups[rows[output]["filter"], place.field].append(output)
        for (filter_, field), members in sorted(groups.items()):
            if field == 0 or len(members) < FEWEST_LIGHTS:
                continue
            parts = [path.stem, filter_, str(field) if field > 1 else ""]
            found.append(
                _Series(
                    "_".join(slug(part) for part in parts if part),
                    registration.references[field - 1],
                    sorted((rows[m] for m in members), key=lambda r: r["jd_utc"]),
                    registration,
                    path.relative_to(folder).as_posix(),
                    groups.get((filter_, 0), []),
                )
            )
    return found


def _wanted(row: Mapping[str, str], settings: Settings) -> bool:
    return (settings.object or row["object"]) == row["object"] and (
        settings.filter or row["filter"]
    ) == row["filter"]


def _light_curve(folder: Path, series: _Series, settings: Settings) -> LightCurve:
    widths = [width for row in series.lights if (width := _number(row, "fwhm"))]
    width = float(np.median(widths)) if widths else 0.0
    radius = settings.radius or RADIUS_WIDTHS * width
    if radius <= 0:
        msg = f"{series.name}: no light shows stars; give the aperture: --radius 5"
        raise InputError(msg)
    stars = _stars(folder, series, settings, reach=max(width, 2.0))
    full = _full_levels(folder, series)
    lights = [
        _measure(folder, series, row, stars, radius, level)
        for row, level in zip(series.lights, full, strict=True)
    ]
    flux = np.array([one.fluxes.flux for one in lights])
    error = np.array([one.fluxes.error for one in lights])
    if settings.target is None:
        stars = stars._replace(target=_brightest(flux, stars.target))
    compared = _comparison(flux, error, stars, settings.comparison)
    curves = ensemble(flux, error, compared)
    at = stars.target
    ratios = (curves.scatter / np.maximum(curves.limit, 1e-9))[compared]
    ratios = ratios[np.isfinite(ratios)]
    gone = [
        row["light"]
        for row, value in zip(series.lights, flux[:, at], strict=True)
        if not math.isfinite(value)
    ]
    alone = not np.isfinite(curves.scatter[at])
    return LightCurve(
        name=series.name,
        stars=_star_table(stars, curves, compared),
        fluxes=_flux_table(series, lights),
        curve=_curve_table(series, curves, flux[:, at], error[:, at], at),
        radius=radius,
        target=at + 1,
        compared=int(compared.sum()),
        scatter=float(curves.scatter[at]),
        limit=float(curves.limit[at]),
        ratio=float(np.median(ratios)) if len(ratios) else math.nan,
        remarks=_doubts(series, lights, gone, alone=alone),
        inputs=(series.path, *(row["light"] for row in series.lights)),
    )


def _brightest(flux: Floats, otherwise: int) -> int:
    """Give the star of most light among those that most lights measure."""
    measured = np.isfinite(flux)
    light = _mean_light(flux, measured)
    fit = measured.mean(axis=0) >= COMPLETE
    return int(np.argmax(np.where(fit, light, -np.inf))) if fit.any() else otherwise


def _mean_light(flux: Floats, measured: NDArray[np.bool_]) -> Floats:
    """Give the mean light of each star over the lights that measure it."""
    total = np.where(measured, flux, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(measured.sum(axis=0), 1))


def _full_levels(folder: Path, series: _Series) -> list[float | None]:
    """Give the level of full pixels of each light: where it is not known, the lowest.

    A light whose few full pixels do not pile up tells none of its own.
    """
    levels = []
    for row in series.lights:
        with open_image(folder / row["light"]) as reader:
            levels.append(reader.raw.number("SATURATE"))
    lowest = min((level for level in levels if level is not None), default=None)
    return [lowest if level is None else level for level in levels]


def _doubts(
    series: _Series, lights: Sequence[_Measured], gone: Sequence[str], *, alone: bool
) -> tuple[Remark, ...]:
    found = []
    if gone:
        n = f"{len(gone)} of {len(lights)}"
        found.append(remark("target-unmeasured", *gone, found=n))
    if alone:
        found.append(remark("no-curve", series.name))
    if series.unplaced:
        found.append(remark("not-in-curve", *series.unplaced, found=series.name))
    if any(one.gain is None for one in lights):
        way_out = "--set '*: egain=1.5'"
        found.append(remark("no-photon-limit", series.name, way_out=way_out))
    return tuple(found)


def _stars(folder: Path, series: _Series, settings: Settings, reach: float) -> _Stars:
    """List the stars of the reference, and the target among them."""
    table = read_stars(folder / series.reference)
    table = table[(table["flags"] & UNFIT == 0) & (table["snr"] >= FAINTEST)]
    x, y, clean = table["x"], table["y"], table["flags"] == 0
    if settings.target is None:
        if not len(table):
            msg = f"{series.reference} shows no star; give a place: --target X,Y"
            raise InputError(msg)
        return _Stars(x, y, clean, int(np.argmax(table["flux"])))
    place = _target(folder / series.reference, settings.target)
    away = np.hypot(x - place[0], y - place[1])
    if len(table) and away.min() <= reach:
        return _Stars(x, y, clean, int(np.argmin(away)))
    return _Stars(
        np.append(x, place[0]), np.append(y, place[1]), np.append(clean, False), len(x)
    )


def _target(path: Path, text: str) -> tuple[float, float]:
    """Give the pixel of the reference, from 0, that a target is at."""
    words = [word.strip() for word in text.split(",")]
    sky = [_SKY.fullmatch(word) for word in words]
    with open_image(path) as reader:
        header, (ny, nx) = reader.raw, (int(n) for n in reader.shape[-2:])
    try:
        if len(words) == 2 and all(sky):
            ra, dec = (
                literals.degrees(word.removesuffix("d"), hours=first)
                for word, first in zip(words, (True, False), strict=True)
            )
            world = celestial(header)
            if world is None:
                msg = f"{path}: no WCS tells where {text} is; give --target X,Y"
                raise InputError(msg)
            x, y = (float(one) for one in world.world_to_pixel_values(ra, dec))
        else:
            x, y = (float(word) - 1 for word in words)
    except ValueError as error:
        msg = f"--target {text}: write X,Y or 05:34:31.9,+22:00:52 or 83.633d,22.014d"
        raise InputError(msg) from error
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        msg = (
            f"the target {text} is not in {path}: at x {x + 1:.1f}, y {y + 1:.1f} of a "
            f"light of {nx} x {ny} pixels"
        )
        raise InputError(msg)
    return x, y


_SKY = re.compile(r"[-+]?\d+[: ]\d+[: ][\d.]+|[-+]?[\d.]+d")


def _measure(
    folder: Path,
    series: _Series,
    row: Mapping[str, str],
    stars: _Stars,
    radius: float,
    full: float | None,
) -> _Measured:
    places = series.registration.places
    reference = places[series.reference].geometry
    back = places[row["light"]].on_grid(reference).inverse()
    with open_image(folder / row["light"]) as reader:
        data, header = np.asarray(reader.read()), reader.raw
    gain = header.number("EGAIN")
    x, y = (np.asarray(one, np.float64) for one in back(stars.x, stars.y))
    mosaic = bool(header.get("BAYERPAT"))
    if mosaic:
        data, back = superpixels(data), back.then(Transform(-0.25, -0.25, 0.0, 0.5))
    seen = back(stars.x, stars.y)
    circle = radius * back.scale
    fluxes = aperture_fluxes(
        data,
        np.asarray(seen[0], np.float64),
        np.asarray(seen[1], np.float64),
        circle,
        (SKY_FROM * circle, SKY_TO * circle),
        gain=gain * 4 if gain and mosaic else gain,
        saturate=full,
    )
    if mosaic:
        fluxes = fluxes._replace(flux=fluxes.flux * 4, error=fluxes.error * 4)
    return _Measured(x, y, fluxes, gain)


def _comparison(
    flux: Floats, error: Floats, stars: _Stars, most: int
) -> NDArray[np.bool_]:
    """Choose the brightest stars that nearly all lights show, the target left out."""
    seen = np.isfinite(flux) & (flux > 0) & (error > 0)
    fit = stars.clean & (seen.mean(axis=0) >= COMPLETE)
    fit[stars.target] = False
    brightness = _mean_light(flux, seen)
    chosen = np.zeros(len(fit), bool)
    chosen[np.argsort(-np.where(fit, brightness, -np.inf), kind="stable")[:most]] = True
    return np.asarray(chosen & fit)


def _star_table(stars: _Stars, curves: Ensemble, compared: NDArray[np.bool_]) -> Table:
    seen = np.isfinite(curves.magnitude).sum(axis=0)
    columns: dict[str, Sequence[Any]] = {
        "star": range(1, len(stars.x) + 1),
        "x": _rounded(stars.x + 1, 3),
        "y": _rounded(stars.y + 1, 3),
        "lights": seen.tolist(),
        "mag": _rounded(curves.mean, 5),
        "scatter": _rounded(curves.scatter, 5),
        "limit": _rounded(curves.limit, 5),
        "comparison": compared.astype(int).tolist(),
    }
    return _table(columns)


def _flux_table(series: _Series, lights: Sequence[_Measured]) -> Table:
    rows = []
    for row, light in zip(series.lights, lights, strict=True):
        about = (row["light"], *(_number(row, name) for name in COLUMNS[:2]))
        columns = (
            _rounded(light.x + 1, 3),
            _rounded(light.y + 1, 3),
            *(_rounded(one, 3) for one in light.fluxes),
        )
        for number, values in enumerate(zip(*columns, strict=True), 1):
            rows.append((*about, number, *values))
    names = ("light", *COLUMNS[:2], "star", "x", "y", "flux", "flux_error", "sky")
    return Table(names, tuple(rows))


def _curve_table(
    series: _Series, curves: Ensemble, flux: Floats, error: Floats, at: int
) -> Table:
    columns: dict[str, Sequence[Any]] = {
        "light": [row["light"] for row in series.lights],
        **{name: [_number(r, name) for r in series.lights] for name in COLUMNS},
        "mag": _rounded(curves.magnitude[:, at], 5),
        "mag_error": _rounded(curves.error[:, at], 5),
        "flux": _rounded(flux, 3),
        "flux_error": _rounded(error, 3),
        "zero_point": _rounded(curves.zero_point, 5),
    }
    return _table(columns)


def _table(columns: Mapping[str, Sequence[Any]]) -> Table:
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)))


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in values]


def _number(row: Mapping[str, str], name: str) -> float | None:
    text = row.get(name)
    return float(text) if text else None
