"""Master flats: scaled to unit level, cleaned of what moves, combined, normalised."""

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.combine import combine
from autoreduce.pixels.trails import HALO, mask_moving
from autoreduce.planning.plan import Task
from autoreduce.planning.recipe import FlatLevel
from autoreduce.running.bands import (
    Floats,
    MasterRows,
    bands,
    calibrated_rows,
)
from autoreduce.running.combining import (
    SAMPLED_ROWS,
    MasterProduct,
    Members,
    open_members,
    robust_scatter,
)
from autoreduce.running.made import Made, Workspace
from autoreduce.running.provenance import Card

FEWEST_TO_MASK = 3
"""With fewer frames nothing tells which of them a star has touched."""

LARGEST_MASKED = 0.05
"""Fraction of masked samples that needs no word."""
LEAST_NOISE = 1e-6
"""Relative noise that single precision leaves at the least."""


def make_flat(task: Task, space: Workspace, digest: str, made: Collection[str]) -> Made:
    """Combine flats into a master of unit level.

    Each frame is calibrated with its own bias and dark and scaled to unit level; stars
    and trails that move between the frames are masked if the recipe says so.

    Parameters
    ----------
    task : Task
        The combination.
    space : Workspace
        Where.
    digest : str
        Digest of the task.
    made : set of str
        Outputs of other tasks that could be made.

    Returns
    -------
    Made
        ``level`` (median of the frames' levels, ADU), ``masked`` and ``rejected``
        (fractions of the samples), ``dead`` (pixels without response) as statistics.

    Raises
    ------
    ProductError
        If no frame is fit for use, or the product cannot be written.
    """
    with (
        open_members(task, space, made) as opened,
        MasterRows(space.folder, opened.masters) as masters,
    ):
        masters.check(opened.shape)
        levels = _levels(opened, masters, space)
        members = opened.without(_too_dark(levels))
        stack = _FlatStack(members, masters, space, levels)
        return _write(stack, MasterProduct(task, space, digest, members))


def _levels(
    members: Members, masters: MasterRows, space: Workspace
) -> dict[str, float]:
    """Measure the level of each frame once it is calibrated, in ADU."""
    ny, nx = members.shape
    mean = space.recipe.flat.level is FlatLevel.MEAN
    samples: dict[str, list[Floats]] = {item.file: [] for item in members.items}
    sums = {item.file: (0.0, 0) for item in members.items}
    stride = max(1, ny // (2 * SAMPLED_ROWS))
    for start, stop in bands(ny, nx, 1, space.memory):
        for frame, fix in zip(members.frames, members.fixes, strict=True):
            rows = calibrated_rows(frame, fix, masters, start, stop)
            if mean:
                finite = np.isfinite(rows)
                total, n = sums[frame.item.file]
                total += float(np.sum(rows, where=finite, dtype=np.float64))
                sums[frame.item.file] = (total, n + int(finite.sum()))
            else:
                samples[frame.item.file].append(rows[-start % stride :: stride].copy())
    if mean:
        return {file: total / n if n else math.nan for file, (total, n) in sums.items()}
    return {file: _median(np.concatenate(rows)) for file, rows in samples.items()}


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def _too_dark(levels: dict[str, float]) -> dict[str, str]:
    return {
        file: f"no light in it: its level is {level:.1f} ADU once bias and dark are out"
        for file, level in levels.items()
        if not level > 0
    }


class _FlatStack:
    """Flats scaled to unit level, by bands."""

    def __init__(
        self,
        members: Members,
        masters: MasterRows,
        space: Workspace,
        levels: dict[str, float],
    ) -> None:
        self.members, self._masters, self.space = members, masters, space
        self.levels = [levels[item.file] for item in members.items]
        self.noise = self._relative_noise()
        self._masking = (
            space.recipe.flat.mask_moving and len(self.levels) >= FEWEST_TO_MASK
        )
        self.masked = 0
        self.rejected = np.zeros(len(self.levels), np.int64)

    def _scaled(self, start: int, stop: int) -> Floats:
        """Read rows of all frames, each divided by its level: (n, rows, nx)."""
        stack = np.empty(
            (len(self.levels), stop - start, self.members.shape[1]), np.float32
        )
        triples = zip(self.members.frames, self.members.fixes, self.levels, strict=True)
        for plane, (frame, fix, level) in zip(stack, triples, strict=True):
            rows = calibrated_rows(frame, fix, self._masters, start, stop)
            np.divide(rows, np.float32(level), out=plane)
        return stack

    def _relative_noise(self) -> NDArray[np.float32]:
        """Measure each frame's noise at unit level, from what it differs by from all.

        Returns
        -------
        (n, 1, 1) float32 array
            1 sigma, at least `LEAST_NOISE`.
        """
        n, ny = len(self.levels), self.members.shape[0]
        if n < 2:
            return np.full((1, 1, 1), LEAST_NOISE, np.float32)
        start = max(0, (ny - SAMPLED_ROWS) // 2)
        stack = self._scaled(start, min(ny, start + SAMPLED_ROWS))
        reference = np.mean(stack, axis=0)
        # The mean holds the frame itself, which takes 1/n off the variance.
        factor = math.sqrt(n / (n - 1))
        scatter = [
            max(factor * robust_scatter(plane - reference, 1 / level), LEAST_NOISE)
            for plane, level in zip(stack, self.levels, strict=True)
        ]
        return np.array(scatter, np.float32).reshape(n, 1, 1)

    def combined_rows(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Combine a band.

        Returns
        -------
        data : (stop - start, nx) float32 array
            Near unit level.
        variance : (stop - start, nx) float32 array
            Its expected variance.
        """
        halo = HALO if self._masking else 0
        first = max(0, start - halo)
        last = min(self.members.shape[0], stop + halo)
        stack = self._scaled(first, last)
        mask = None
        if self._masking:
            mask = mask_moving(
                stack, self.noise, above=start - first, below=last - stop
            )
            self.masked += int(mask.sum())
        stack = stack[:, start - first : stop - first]
        how = self.space.recipe.flat.combine
        combined = combine(stack, how, mask=mask, noise=self.noise)
        self.rejected += combined.rejected
        single = np.float32(np.mean(self.noise**2))
        variance = single / np.maximum(combined.n_used, 1).astype(np.float32)
        return combined.data, variance


def _write(stack: _FlatStack, product: MasterProduct) -> Made:
    """Combine all bands, normalise, flag what has no response, write."""
    recipe, (ny, nx) = stack.space.recipe.flat, stack.members.shape
    flat = np.empty((ny, nx), np.float32)
    planes = stack.space.planes
    variance = np.empty((ny, nx), np.float32) if planes else None
    for start, stop in bands(ny, nx, 2 * len(stack.levels), stack.space.memory):
        flat[start:stop], band = stack.combined_rows(start, stop)
        if variance is not None:
            variance[start:stop] = band
    unit = _unit(flat, mean=recipe.level is FlatLevel.MEAN)
    flat /= np.float32(unit)
    dead = flat < recipe.smallest
    flat[dead] = np.nan
    samples = ny * nx * len(stack.levels)
    statistics = {
        "level": float(np.median(stack.levels)),
        "noise": float(np.median(stack.noise)),
        "unit": unit,
        "masked": stack.masked / samples,
        "rejected": float(stack.rejected.sum()) / samples,
        "dead": float(dead.sum()),
    }
    extra = [
        Card("MASKED", statistics["masked"], "fraction of samples touched by stars"),
        Card("NDEAD", int(dead.sum()), "pixels without response, NaN"),
    ]
    with product.writer() as writer:
        writer.write_rows(0, flat)
        if variance is not None:
            writer.write_rows(0, np.sqrt(variance) / np.float32(unit), plane="UNCERT")
            writer.write_rows(0, np.isnan(flat), plane="MASK")
        scales = [1 / level for level in stack.levels]
        product.finish(writer, statistics, extra, stack.rejected, scales)
    made = product.made(statistics)
    if statistics["masked"] <= LARGEST_MASKED:
        return made
    caveat = (
        f"{statistics['masked']:.0%} of the samples differ between the frames by more "
        "than noise, as stars or clouds do, and are masked"
    )
    return replace(made, caveats=(*made.caveats, caveat))


def _unit(flat: Floats, *, mean: bool) -> float:
    finite = flat[np.isfinite(flat)]
    if mean:
        return float(np.mean(finite, dtype=np.float64))
    return float(np.median(finite))
