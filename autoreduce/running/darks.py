"""The night's dark current, fitted against exposure, as a product."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoreduce.errors import ProductError
from autoreduce.pixels.darkcurrent import (
    DarkFit,
    fit_dark_counts,
)
from autoreduce.pixels.sections import (
    Section,
    central_section,
    parse_section,
    within,
)
from autoreduce.planning.plan import Task
from autoreduce.planning.recipe import DarkRecipe
from autoreduce.running.images import open_image
from autoreduce.running.made import Made, Workspace
from autoreduce.running.text import write_text

LEVEL_ERROR = "level_error"
"""Statistic of a master dark: 1-sigma error of its level, ADU."""

LARGEST_MISFIT = 0.02
"""Residual, as a fraction of the counts' range, that is never called non-linear."""


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


def make_dark_fit(
    task: Task,
    space: Workspace,
    digest: str,
    statistics: Mapping[str, Mapping[str, float]],
) -> Made:
    """Fit dark counts against exposure and write the fit as JSON.

    Parameters
    ----------
    task : Task
        Its products are the master darks.
    space : Workspace
        Where.
    digest : str
        Digest of the task.
    statistics : mapping of str to mapping
        Statistics of the master darks that could be made.

    Returns
    -------
    Made
        ``offset``, ``slope``, their errors and ``chi_square`` as statistics.

    Raises
    ------
    ProductError
        If fewer than two exposures are there to fit.
    """
    points = sorted(
        (_measure(space, output, statistics[output]) for output in statistics),
        key=lambda point: (point.exptime, point.file),
    )
    if len({point.exptime for point in points}) < 2:
        msg = f"{task.output} needs darks of two exposures, {len(points)} could be made"
        raise ProductError(msg)
    fit = _fit(points, weighted=space.recipe.dark.weighted)
    content = {**_fields(fit), "linear": _linear(fit, points)}
    points_json = [asdict(point) for point in points]
    text = json.dumps({"digest": digest, **content, "points": points_json}, indent=1)
    write_text(space.folder / task.output, text)
    numbers = {name: float(value) for name, value in content.items()}
    return Made(statistics=numbers, n_used=len(points), caveats=_caveats(content))


def _measure(
    space: Workspace, output: str, statistics: Mapping[str, float]
) -> DarkPoint:
    recipe = space.recipe.dark
    with open_image(space.folder / output) as reader:
        rows, columns = _section(recipe, reader.shape)
        data = reader.rows(rows.start, rows.stop)[:, columns].astype(np.float64)
        exptime = float(str(reader.get("EXPTIME")))
    statistic = np.nanmean if recipe.statistic == "mean" else np.nanmedian
    error = statistics.get(LEVEL_ERROR)
    return DarkPoint(output, exptime, float(statistic(data)), error)


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


def _caveats(content: Mapping[str, float]) -> tuple[str, ...]:
    if content["linear"]:
        return ()
    caveat = (
        f"the darks do not lie on a line within their errors (chi-square "
        f"{content['chi_square']:.1f}, {content['n']:.0f} exposures): darks are scaled "
        "by the ratio of exposures instead"
    )
    return (caveat,)


def read_fit(path: Path) -> dict[str, Any]:
    """Read a fit of dark counts that `make_dark_fit` wrote."""
    fit: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return fit
