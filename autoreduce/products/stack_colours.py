"""Where the colours of a stack of mosaics come from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoreduce.planning.recipe import ColourSource, Recipe
from autoreduce.products.registration import Geometry
from autoreduce.products.stack_light import StackLight
from autoreduce.remarks import Remark, remark

PROBES = 48
"""Places along rows and along columns at which pixels are counted."""
ENOUGH = 2
"""Pixels of each colour that a place of the stack should have of its own ..."""
NEARLY_ALL = 0.9
"""... in such a part of all places."""
MOSTLY = 0.5
"""Part of the lights that must show a place for it to count."""


def colour_source(
    lights: Sequence[StackLight], grid: Geometry, recipe: Recipe
) -> tuple[ColourSource, Remark]:
    """Decide whether colours are interpolated, or those of each colour's own pixels.

    Lights that are dithered, and enough of them, show each place of the stack with
    pixels of each colour: nothing needs to be interpolated.

    Parameters
    ----------
    lights : sequence of StackLight
        Mosaics, laid on the grid.
    grid : Geometry
        Pixels of the stack.
    recipe : Recipe
        What was asked for.

    Returns
    -------
    source : ColourSource
        `ColourSource.OWN` or `ColourSource.INTERPOLATED`.
    remark : Remark
        What was decided, and why.
    """
    asked = recipe.stack.colours
    part = _covered(lights, grid)
    source = ColourSource.OWN if part >= NEARLY_ALL else ColourSource.INTERPOLATED
    source = source if asked is ColourSource.AUTO else asked
    found = (
        f"{len(lights)} lights give {100 * part:.0f} % of the stack {ENOUGH} pixels or "
        "more of each colour"
    )
    if asked is not ColourSource.AUTO:
        found = f"recipe {recipe.name} asks; {found}"
    code = "own-colours" if source is ColourSource.OWN else "between-colours"
    return source, remark(code, found=found, expected=f"{100 * NEARLY_ALL:.0f} %")


def _covered(lights: Sequence[StackLight], grid: Geometry) -> float:
    """Tell what part of the stack has `ENOUGH` pixels of each colour."""
    ny, nx = grid.shape
    # Odd steps: probes fall on all places of a cell.
    steps = [max(n // PROBES, 1) | 1 for n in (ny, nx)]
    y, x = np.meshgrid(*(np.arange(0, n, s) for n, s in zip((ny, nx), steps, strict=True)),
                       indexing="ij")  # fmt: skip
    seen = np.zeros(y.shape, np.int64)
    counts = np.zeros((3, *y.shape), np.int64)
    for light in lights:
        colour = _colour_at(light, grid, x.astype(np.float64), y.astype(np.float64))
        seen += colour >= 0
        for i in range(len(counts)):
            counts[i] += colour == i
    shown = seen > MOSTLY * len(lights)
    if not shown.any():
        return 0.0
    return float(np.mean(counts.min(axis=0)[shown] >= ENOUGH))


def _colour_at(
    light: StackLight, grid: Geometry, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Tell which colour the nearest pixel of a light has; -1 beyond it."""
    if light.place is not None:
        x, y = (np.asarray(at) for at in light.place.on_grid(grid).inverse()(x, y))
    column, row = (np.rint(at).astype(np.int64) for at in (x, y))
    ny, nx = light.shape
    inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    colours = np.array(light.pattern.cell)[row % 2, column % 2]
    return np.where(inside, colours, -1)
