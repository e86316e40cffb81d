"""The night's dark current, fitted against exposure, as a product."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autoreduce.calibration.bands import MasterRows, bands
from autoreduce.calibration.dark_rates import DarkRates, rate_map_of
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.cards import Card, format_card
from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import open_image
from autoreduce.fits.sections import (
    Section,
    central_section,
    parse_section,
    within,
)
from autoreduce.fits.whole import write_text
from autoreduce.fits.writer import MASK, UNCERT, ImageWriter
from autoreduce.pixels.darkcurrent import (
    DarkFit,
    Doubling,
    fit_dark_counts,
    fit_doubling,
)
from autoreduce.pixels.darkrates import (
    BLOCK,
    GLOWING,
    NON_LINEAR,
    SATURATED,
    RateMap,
)
from autoreduce.pixels.order import finite_median
from autoreduce.planning.plan import Task
from autoreduce.planning.recipe import DarkModel, DarkRecipe
from autoreduce.products.provenance import PLANE_CARDS, product_cards
from autoreduce.remarks import Remark, remark

LEVEL_ERROR = "level_error"
"""Statistic of a master dark: 1-sigma error of its level, ADU."""

LARGEST_MISFIT = 0.02
"""Residual, as a fraction of the counts' range, that is never called non-linear."""
STEP_VARIANCE = 1 / 12
"""Variance of the rounding of a frame to integers, ADU**2."""


@dataclass(frozen=True, slots=True)
class DarkPoint:
    """Dark counts of one master dark."""

    file: str
    """Output of the master dark."""
    exptime: float
    """Exposure, s."""
    counts: float
    """Level in the section, ADU."""
    error: float | None
    """1-sigma error of the level, ADU; None where the frames do not tell."""
    variance: float
    """Variance of a pixel, ADU**2."""
    n_frames: int
    """Frames that went into it."""
    saturate: float | None
    """Level at which pixels are saturated, ADU; None if unknown."""
    ccd_temp: float | None = None
    """Temperature of the sensor, Celsius; None if unknown."""


def make_dark_fit(
    task: Task,
    workspace: Workspace,
    digest: str,
    statistics: Mapping[str, Mapping[str, float]],
) -> TaskResult:
    """Fit dark counts against exposure: their level, and each pixel.

    The fit of the level is written as JSON, the rates of the pixels as a map beside
    it, the map first: where the JSON stands both are whole.

    Parameters
    ----------
    task : Task
        Its products are the master darks.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    statistics : mapping of str to mapping
        Statistics of the master darks that could be made.

    Returns
    -------
    TaskResult
        ``offset``, ``slope``, their errors and ``chi_square``, and the numbers of
        pixels that are ``non_linear``, ``saturated`` and ``glowing`` as statistics.

    Raises
    ------
    ProductError
        If fewer than two exposures are there to fit, or a product cannot be written.
    """
    points = sorted(
        (_measure(workspace, output, statistics[output]) for output in statistics),
        key=lambda point: (point.exptime, point.file),
    )
    if len({point.exptime for point in points}) < 2:
        msg = f"{task.output} needs darks of two exposures, {len(points)} could be made"
        raise ProductError(msg)
    doubling = _doubling(points) if workspace.recipe.dark.temperature else None
    if doubling is not None:
        points = _at_one_temperature(points, doubling)
    fit = _fit(points, weighted=workspace.recipe.dark.weighted)
    numbers = {**_fields(fit), "linear": _linear(fit, points)}
    content = {
        "digest": digest,
        **numbers,
        "rate_map": rate_map_of(Path(task.output)).as_posix(),
        "bias_variance": _bias_variance(workspace, points[0].file),
        "egain": task.facts.get("egain"),
        "doubling": None if doubling is None else doubling._asdict(),
        "points": [asdict(point) for point in points],
    }
    doubts = _doubts(content, workspace.recipe.dark.model)
    rates = DarkRates.from_fit(content)
    pixels = _write_rates(task, workspace, digest, rates, doubts)
    content = {**content, **pixels}
    write_text(workspace.folder / task.output, json.dumps(content, indent=1))
    found = {name: float(value) for name, value in {**numbers, **pixels}.items()}
    return TaskResult(statistics=found, n_used=len(points), remarks=doubts)


def _measure(
    workspace: Workspace, output: str, statistics: Mapping[str, float]
) -> DarkPoint:
    recipe = workspace.recipe.dark
    with open_image(workspace.folder / output) as reader:
        rows, columns = _section(recipe, reader.shape)
        data = reader.rows(rows.start, rows.stop)[:, columns].astype(np.float64)
        header = reader.raw
    statistic = np.nanmean if recipe.statistic == "mean" else finite_median
    return DarkPoint(
        file=output,
        exptime=_told(header, "EXPTIME"),
        counts=float(statistic(data)),
        error=statistics.get(LEVEL_ERROR),
        variance=_pixel_variance(header),
        n_frames=int(_told(header, "NCOMBINE")),
        saturate=header.number("SATURATE"),
        ccd_temp=header.number("CCD-TEMP"),
    )


def _told(header: RawHeader, keyword: str) -> float:
    """Give a number that a master dark tells of itself.

    Raises
    ------
    InputError
        If it does not tell it.
    """
    number = header.number(keyword)
    if number is None:
        msg = f"a master dark tells {keyword}, this one has no such number"
        raise InputError(msg)
    return number


def _pixel_variance(header: RawHeader) -> float:
    """Give the variance of an ordinary pixel of a master, in ADU**2.

    A master of another program that does not tell how many frames went into it has
    its own noise as that of a single frame.
    """
    noise = max(_told(header, "NOISEADU") ** 2, STEP_VARIANCE)
    return noise / (header.number("NCOMBINE") or 1.0)


def _bias_variance(workspace: Workspace, output: str) -> float:
    """Give the variance of a pixel of the bias that a master dark is without."""
    with open_image(workspace.folder / output) as reader:
        bias = reader.get("BIASFILE")
    if bias is None:
        return 0.0
    with open_image(workspace.folder / str(bias)) as reader:
        return _pixel_variance(reader.raw)


def _write_rates(
    task: Task,
    workspace: Workspace,
    digest: str,
    rates: DarkRates,
    doubts: Iterable[Remark],
) -> dict[str, int]:
    """Write the map of rates by bands, and count the pixels that are flagged."""
    counts = dict.fromkeys(_FLAGS, 0)
    masters = [point.file for point in rates.points]
    with MasterRows(workspace.folder, masters) as darks:
        darks.check(darks.shape)
        with ImageWriter(
            workspace.folder / rates.file,
            darks.shape,
            header_cards=100,
            planes=(UNCERT, MASK),
            overwrite=True,
        ) as writer:
            memory = workspace.memory // workspace.threads
            spans = list(_whole_blocks(*darks.shape, len(masters), memory))
            fitted = workspace.each(partial(_fitted, workspace.folder, rates), spans)
            for (start, _), found in zip(spans, fitted, strict=True):
                writer.write_rows(start, found.rate)
                writer.write_rows(start, found.error, plane=UNCERT)
                writer.write_rows(start, found.flags, plane=MASK)
                for name, flag in _FLAGS.items():
                    counts[name] += int(np.count_nonzero(found.flags & flag))
            own = _map_cards(rates, counts, digest)
            cards = product_cards(task, own, history=[*map(str, doubts)])
            writer.finish(cards, plane_cards={**PLANE_CARDS, UNCERT: BUNIT})
    return counts


def _fitted(folder: Path, rates: DarkRates, band: tuple[int, int]) -> RateMap:
    """Fit the rates of a band of the master darks."""
    with MasterRows(folder, [point.file for point in rates.points]) as darks:
        return rates.fit(darks.reader(band))


def _whole_blocks(
    ny: int, nx: int, n_darks: int, memory: int
) -> Iterator[tuple[int, int]]:
    """Cut an image into bands, all but the last of a multiple of `BLOCK` rows."""
    _, stop = next(bands(ny, nx, 2 * n_darks, memory))
    height = max(stop // BLOCK, 1) * BLOCK
    for start in range(0, ny, height):
        yield start, min(start + height, ny)


BUNIT = format_card("BUNIT", "adu/s", "unit of the pixel values")
_FLAGS = {"non_linear": NON_LINEAR, "saturated": SATURATED, "glowing": GLOWING}


def _map_cards(
    rates: DarkRates, counts: Mapping[str, int], digest: str
) -> Sequence[Card]:
    return [
        Card("DFOFFSET", rates.offset, "[adu] offset that all pixels share"),
        Card("DFPOINTS", len(rates.points), "master darks"),
        Card("NNONLIN", counts["non_linear"], "pixels off the line"),
        Card("NSATUR", counts["saturated"], "pixels saturated in some"),
        Card("NGLOW", counts["glowing"], "pixels of blocks that glow"),
        Card("DIGEST", digest, "state of all that it was made from"),
    ]


def _section(recipe: DarkRecipe, shape: tuple[int, ...]) -> Section:
    """Take the recipe's section, or the central one where it does not fit."""
    if recipe.section == "central":
        return central_section(shape)
    section = parse_section(recipe.section)
    return section if within(section, shape) else central_section(shape)


def _fit(points: list[DarkPoint], *, weighted: bool) -> DarkFit:
    exptimes = [point.exptime for point in points]
    counts = [point.counts for point in points]
    errors = [point.error for point in points if point.error]
    known = weighted and len(errors) == len(points)
    return fit_dark_counts(exptimes, counts, errors if known else None)


def _doubling(points: list[DarkPoint]) -> Doubling | None:
    """Fit the doubling temperature, if every dark tells its temperature and error."""
    known = [
        (p.error, p.ccd_temp) for p in points if p.error and p.ccd_temp is not None
    ]
    if len(known) < len(points):
        return None
    errors, temperatures = zip(*known, strict=True)
    exptimes, counts = [p.exptime for p in points], [p.counts for p in points]
    return fit_doubling(exptimes, counts, errors, temperatures)


def _at_one_temperature(points: list[DarkPoint], doubling: Doubling) -> list[DarkPoint]:
    """Replace exposures by those that make as many counts at one temperature."""
    moved = [
        replace(p, exptime=doubling.equivalent_s(p.exptime, p.ccd_temp or 0.0))
        for p in points
    ]
    return sorted(moved, key=lambda point: (point.exptime, point.file))


def _linear(fit: DarkFit, points: list[DarkPoint]) -> bool:
    """Judge the line by chi-square; a misfit that does not matter is none."""
    counts = [point.counts for point in points]
    misfit = max(
        abs(point.counts - fit.offset - fit.slope * point.exptime) for point in points
    )
    if misfit <= LARGEST_MISFIT * (max(counts) - min(counts)):
        return True
    return fit.linear is not False


def _fields(fit: DarkFit) -> dict[str, float]:
    return {
        "offset": fit.offset,
        "slope": fit.slope,
        "offset_error": fit.offset_error,
        "slope_error": fit.slope_error,
        "covariance": fit.covariance,
        "chi_square": fit.chi_square,
        "n": fit.n,
    }


def _doubts(content: Mapping[str, Any], model: DarkModel) -> tuple[Remark, ...]:
    if content["linear"]:
        return ()
    way = "darks are scaled by the ratio of exposures instead"
    if model is DarkModel.RATE_MAP:
        way = "each pixel goes by its own counts, from 0 ADU at no exposure"
    numbers = f"chi-square {content['chi_square']:.1f}, {content['n']} exposures"
    return (remark("not-linear", found=numbers, expected=way),)
