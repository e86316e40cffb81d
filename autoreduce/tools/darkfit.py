"""Dark counts against exposure: the observer's check, and the scale factors."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.images import open_image
from autoreduce.fits.sections import central_section
from autoreduce.frames.frame import Facts
from autoreduce.pixels.darkcurrent import DarkFit, fit_dark_counts, ratio_scaling
from autoreduce.pixels.order import median
from autoreduce.tools.filelists import short_names
from autoreduce.tools.files import picture_format, replacing
from autoreduce.tools.headers import read_facts
from autoreduce.tools.listing import Cell, Table
from autoreduce.tools.regions import Region

ALIKE_DEGC = 2.0
"""Difference of temperatures over which dark current changes by a quarter or so."""


@dataclass(frozen=True, slots=True)
class DarkCounts:
    """Level of one dark."""

    image: str
    """Name of the image; empty for counts that were given as numbers."""
    exptime_s: float
    """Exposure, seconds."""
    counts: float
    """Level in the section, ADU."""
    error: float | None = None
    """One sigma of the level, ADU; None if unknown."""
    temperature_degc: float | None = None
    """What the detector was cooled to, else measured at; None if unknown."""


@dataclass(frozen=True, slots=True)
class Line:
    """Dark counts as a straight line of the exposure."""

    offset: float
    """Counts at no exposure, ADU."""
    slope: float
    """Dark current, ADU/s."""


def measure_darks(
    images: Sequence[str], *, region: Region | None = None, statistic: str = "mean"
) -> list[DarkCounts]:
    """Measure the level of darks in a section.

    Parameters
    ----------
    images : sequence of str
        Bias-subtracted darks, as a rule masters of one exposure each.
    region : Region, optional
        Section; the middle quarter if absent.
    statistic : str
        ``mean`` or ``median``.

    Returns
    -------
    list of DarkCounts
        Sorted by exposure; errors are those of a mean of the section's pixels.

    Raises
    ------
    InputError
        If an image cannot be read or its header has no exposure.
    """
    darks = []
    for image in images:
        with open_image(image) as reader:
            data = reader.read()
        place = Region(central_section(data.shape)) if region is None else region
        pixels = place.cut(data, image)
        pixels = pixels[np.isfinite(pixels)].astype(np.float64)
        if not pixels.size:
            msg = f"{image} has no finite pixel in {place.text}"
            raise InputError(msg)
        level = median(pixels) if statistic == "median" else np.mean(pixels)
        error = float(np.std(pixels) / np.sqrt(pixels.size))
        facts = read_facts(image)
        set_to, measured = facts.number("set_temp"), facts.number("ccd_temp")
        cooled = measured if set_to is None else set_to
        seconds = _exposure(image, facts)
        darks.append(DarkCounts(image, seconds, float(level), error, cooled))
    return sorted(darks, key=lambda dark: dark.exptime_s)


def _exposure(image: str, facts: Facts) -> float:
    seconds = facts.number("exptime")
    if seconds is None:
        said = facts.header.get("EXPTIME")
        msg = f"{image} has no exposure: EXPTIME is {said!r}, expected seconds"
        raise InputError(msg)
    return seconds


def unlike_temperatures(darks: Iterable[DarkCounts]) -> tuple[float, float] | None:
    """Return the lowest and highest temperature (degC) of darks that one line cannot hold.

    None if they are within `ALIKE_DEGC`, or do not tell.
    """
    told = [d.temperature_degc for d in darks if d.temperature_degc is not None]
    if not told or max(told) - min(told) <= ALIKE_DEGC:
        return None
    return min(told), max(told)


def fit_darks(darks: Sequence[DarkCounts], *, weighted: bool = False) -> DarkFit:
    """Fit counts = offset + slope * exposure.

    Parameters
    ----------
    darks : sequence of DarkCounts
        Of two different exposures at least.
    weighted : bool
        Whether the errors of the counts are used; else each has the error 1 ADU.

    Raises
    ------
    ProductError
        If no line can be fitted.
    """
    errors = [dark.error for dark in darks] if weighted else None
    try:
        return fit_dark_counts(
            [dark.exptime_s for dark in darks],
            [dark.counts for dark in darks],
            None if errors is None else np.array(errors, float),
        )
    except ValueError as error:
        raise ProductError(str(error)) from error


def counts_table(darks: Sequence[DarkCounts], fit: DarkFit) -> Table:
    """Arrange counts and their distance from the line as a table."""
    names = short_names([dark.image for dark in darks])
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            dark.exptime_s,
            dark.counts,
            dark.error,
            dark.counts - (fit.offset + fit.slope * dark.exptime_s),
        )
        for name, dark in zip(names, darks, strict=True)
    ]
    return Table(("Filename", "EXPTIME", "counts", "error", "residual"), tuple(rows))


def scale_factors(
    line: Line, exptimes_s: Sequence[float], reference_s: float
) -> list[tuple[float, float]]:
    """Return the factor on a dark of the reference exposure for each exposure.

    It is (offset + slope t) / (offset + slope t0).

    Raises
    ------
    ProductError
        If an exposure is negative, or the line predicts no counts at one of them.
    """
    for t in (*exptimes_s, reference_s):
        if not 0 <= t < math.inf:
            msg = f"an exposure of {t:g} s: expected a number from 0 on"
            raise ProductError(msg)
    try:
        return [
            (
                t,
                ratio_scaling(
                    t, reference_s, offset=line.offset, slope=line.slope
                ).scale,
            )
            for t in exptimes_s
        ]
    except ValueError as error:
        raise ProductError(str(error)) from error


def plot_fit(
    darks: Sequence[DarkCounts], fit: DarkFit, path: Path, *, overwrite: bool = False
) -> None:
    """Draw counts against exposure, and the line with its one-sigma band.

    Parameters
    ----------
    darks : sequence of DarkCounts
        The counts.
    fit : DarkFit
        The line.
    path : Path
        PNG, PDF or SVG, by its suffix.
    overwrite : bool
        Whether a file that stands there is replaced.

    Raises
    ------
    ProductError
        If the suffix is another one, or the file exists or cannot be written.
    """
    form = picture_format(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes: Any = figure.add_subplot()
    times = np.array([dark.exptime_s for dark in darks])
    line = np.linspace(0, 1.05 * times.max(), 200)
    counts = fit.offset + fit.slope * line
    variance = (
        fit.offset_error**2 + (fit.slope_error * line) ** 2 + 2 * fit.covariance * line
    )
    width = np.sqrt(np.maximum(variance, 0))
    axes.fill_between(line, counts - width, counts + width, alpha=0.2, lw=0)
    axes.plot(line, counts, label=_formula(fit))
    axes.plot(times, [dark.counts for dark in darks], "o", color="black")
    axes.set(xlabel="Exposure (s)", ylabel="Counts (ADU)", xlim=(0, line[-1]))
    axes.legend()
    with replacing(path, overwrite=overwrite) as part:
        figure.savefig(part, format=form)


def with_error(value: float, error: float) -> str:
    """Write a number and its error, to two digits of the error and 3 decimals at least.

    Examples
    --------
    >>> with_error(5.93333, 1.52753), with_error(0.000312, 0.0000021)
    ('5.933 +/- 1.528', '0.0003120 +/- 0.0000021')
    """
    digits = 1 - math.floor(math.log10(error)) if 0 < error < math.inf else 3
    digits = max(3, digits)
    return f"{value:.{digits}f} +/- {error:.{digits}f}"


def _formula(fit: DarkFit) -> str:
    offset = with_error(fit.offset, fit.offset_error)
    slope = with_error(fit.slope, fit.slope_error)
    return f"({offset}) + ({slope}) t".replace("+/-", "±")
