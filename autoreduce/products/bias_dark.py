"""Master bias and master darks, combined from bands of their raw frames."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import (
    Floats,
    MasterRows,
    Raw,
    RawFrame,
    bands,
    calibrated_rows,
)
from autoreduce.calibration.members import (
    HOT_SIGMA,
    Members,
    by_bands,
    hot_noise,
    open_members,
    pair_noise,
    pair_noise_error,
    pedestals,
)
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.fits.cards import Card
from autoreduce.fits.writer import MASK, UNCERT
from autoreduce.pixels.calibrate import calibrate
from autoreduce.pixels.combination import Combination
from autoreduce.pixels.combine import CombineResult, combine
from autoreduce.pixels.flags import Flag, no_value
from autoreduce.pixels.flatfield import impulses
from autoreduce.planning.plan import Action, Task
from autoreduce.products.dark_fit import LEVEL_ERROR
from autoreduce.products.gain import Quantity
from autoreduce.products.master import MasterProduct, Tally
from autoreduce.remarks import Remark, remark

FEWEST_TO_DRIFT = 6
"""Frames that tell a drift of the level from its scatter."""

LARGEST_APART = 0.5
"""Darks of one combination may differ by so much of their dark current: four degrees."""
LEAST_DRIFT, LARGEST_DRIFT = 1.0, 0.1
"""Drift that needs no word, in ADU and in units of a frame's noise."""


def make_plain(
    task: Task, workspace: Workspace, digest: str, made: Collection[str]
) -> TaskResult:
    """Combine bias frames or darks into a master.

    Parameters
    ----------
    task : Task
        The combination.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    made : set of str
        Outputs of other tasks that could be made.

    Returns
    -------
    TaskResult
        ``level`` (median), ``level_error``, ``noise`` (1 sigma of a single frame), all
        in ADU, and ``rejected`` (fraction of the samples) as statistics.

    Raises
    ------
    ProductError
        If no frame is fit for use, or the product cannot be written.
    """
    recipe = workspace.recipe
    how = recipe.bias if task.action is Action.BIAS else recipe.dark.combine
    with (
        open_members(task, workspace, made) as members,
        MasterRows(
            workspace.folder, members.masters, cuts=members.cuts.items()
        ) as masters,
        MasterRows(
            workspace.folder,
            members.masters * workspace.planes,
            UNCERT,
            cuts=members.cuts.items(),
        ) as sigmas,
    ):
        masters.check(members.shape)
        noise = pair_noise(members)
        photons = _photons(members, workspace, task, noise)
        result = Tally(members.shape, len(members.frames))
        product = MasterProduct(task, workspace, digest, members)
        # Of frames that must be unpacked one band more is held: it is read ahead.
        at_once = workspace.threads + (not members.are_plain)
        memory = (workspace.memory - members.held) // at_once
        spans = list(bands(*members.shape, len(members.frames), memory))
        with product.writer() as writer:
            work = _Plain(members, masters, how, noise)
            for (start, stop), combined in zip(
                spans, by_bands(work, workspace, spans), strict=True
            ):
                data, n_used, rejected = combined
                result.add(start, data, rejected)
                writer.write_rows(start, data)
                if workspace.planes:
                    expected = _expected(members, noise, start, stop)
                    variance = _variance(data, n_used, expected, photons)
                    variance += sigmas.summed_squares((start, stop))
                    writer.write_rows(start, np.sqrt(variance), plane=UNCERT)
                    writer.write_rows(start, _flags(data, noise, task), plane=MASK)
            statistics = {
                "level": result.level(),
                LEVEL_ERROR: _level_error(members),
                "noise": noise,
                "rejected": result.rejected_fraction(),
            }
            extra = [
                Card("NOISEADU", noise, "[adu] noise of a single frame"),
                Card("NOISEERR", pair_noise_error(members, noise), "[adu] its error"),
                *_saturation_card(workspace, members),
            ]
            if task.action is Action.BIAS:
                statistics["drift"] = level_drift(members)
            apart = np.ptp(_levels(members)) if task.action is Action.DARK else 0.0
            doubts = [*_drift(statistics)]
            if any(correction.bias for correction in members.corrections):
                doubts += [*_below_zero(statistics), *_unlike(float(apart), statistics)]
            return product.finish(
                writer, statistics, extra, result.rejected, doubts=doubts
            )


def _flags(data: Floats, noise: float, task: Task) -> NDArray[np.uint8]:
    """Flag pixels without a value, and those of a dark that are hot."""
    flags = no_value(data)
    if task.action is Action.DARK:
        hot = impulses(data, HOT_SIGMA, sigma=noise)
        flags[hot.y, hot.x] |= np.uint8(Flag.HOT)
    return flags


def level_drift(members: Members) -> float:
    """Measure by how much the level of the frames drifts while they are taken.

    Parameters
    ----------
    members : Members
        Frames that are to have one level, such as bias frames at dusk and at dawn.

    Returns
    -------
    float
        Mean level of the last third less that of the first third, in ADU, overscan
        taken out; 0 with fewer than `FEWEST_TO_DRIFT` dated frames.
    """
    dated = [frame for frame in members.frames if frame.item.date_obs]
    levels = _levels(members, sorted(dated, key=lambda one: one.item.date_obs or ""))
    if len(levels) < FEWEST_TO_DRIFT:
        return 0.0
    third = len(levels) // 3
    return float(np.mean(levels[-third:]) - np.mean(levels[:third]))


def _levels(members: Members, frames: Sequence[RawFrame] | None = None) -> list[float]:
    """List the levels of frames, overscan or pedestal taken out, ADU."""
    return [
        members.statistics[frame.item.file].median - (frame.zero or 0.0)
        for frame in (members.frames if frames is None else frames)
    ]


def _unlike(apart: float, statistics: Mapping[str, float]) -> Iterator[Remark]:
    """Say that darks differ by what dark currents of one temperature do not."""
    current = statistics["level"]
    if apart > max(statistics["noise"], LARGEST_APART * abs(current)):
        yield remark(
            "unlike-darks", found=f"{apart:.3g} ADU", expected=f"{current:.3g} ADU"
        )


def _drift(statistics: Mapping[str, float]) -> Iterator[Remark]:
    drift = statistics.get("drift", 0.0)
    if abs(drift) > max(LEAST_DRIFT, LARGEST_DRIFT * statistics["noise"]):
        yield remark("bias-drift", found=f"{drift:+.1f} ADU")


def _below_zero(statistics: Mapping[str, float]) -> Iterator[Remark]:
    """Say that a dark current is negative."""
    level = statistics["level"]
    if level < -max(LEAST_DRIFT, LARGEST_DRIFT * statistics["noise"]):
        yield remark("negative-dark", found=f"{level:+.1f} ADU")


@dataclass(frozen=True)
class _Plain:
    """Frames that are combined as they are, or without their bias."""

    members: Members
    masters: MasterRows
    how: Combination
    noise: float

    @property
    def _shared(self) -> bool:
        """Whether all frames share what is taken out: that is done once, afterwards."""
        return len(set(self.members.corrections)) == 1 and not any(
            frame.zero for frame in self.members.frames
        )

    def band(self, start: int, stop: int) -> "_Band":
        """Read a band of all frames."""
        span = start, stop
        expected = _expected(self.members, self.noise, *span)
        if self._shared:
            rows = [frame.rows(*span) for frame in self.members.frames]
            bias = self.masters.rows(self.members.corrections[0].bias, *span)
            return _Band(rows, expected, bias)
        pairs = self.members.pairs
        rows = [calibrated_rows(*of, self.masters, *span) for of in pairs]
        return _Band(rows, expected, None)

    def combined(self, band: "_Band") -> CombineResult:
        """Combine a band."""
        made = combine(band.rows, self.how, noise=band.noise)
        if not self._shared:
            return made
        linearity = self.members.corrections[0].linearity
        data = calibrate(made.data, bias=band.bias, linearity=linearity)
        return made._replace(data=data)


class _Band(NamedTuple):
    """A band of frames that are combined."""

    rows: list[Raw]
    noise: float | Floats
    """Of a frame, 1 sigma."""
    bias: Floats | None
    """What is taken out of the combination."""


def _expected(members: Members, noise: float, start: int, stop: int) -> float | Floats:
    """Give the noise of a frame in some rows, which each amplifier has of its own."""
    image = members.frames[0].joined
    relative = None if image is None else image.relative_noise(start, stop)
    return noise if relative is None else np.float32(noise) * relative


def _saturation_card(workspace: Workspace, members: Members) -> list[Card]:
    """Tell the level at which the pixels of a master are full, if that is known."""
    saturate = members.frames[0].saturate
    if saturate is None:
        return []
    levels = pedestals(workspace, members)
    level = saturate - (levels[0] if levels else 0.0)
    if (linearity := members.corrections[0].linearity) is not None:
        level = linearity.of(level)
    return [Card("SATURATE", level, "[adu] level of saturated pixels")]


class _Photons(NamedTuple):
    """What dark counts add to the noise of a frame."""

    per_adu: float
    """Variance of an ADU: one over the gain."""
    level: float
    """Counts of the ordinary pixels that the noise of a frame is measured in, ADU."""
    known: bool
    """Whether those are dark counts alone, the bias not among them."""


def _photons(
    members: Members, workspace: Workspace, task: Task, noise: float
) -> _Photons | None:
    """Say how noisy dark counts are, by the header's gain, or by hot pixels' noise.

    That of hot pixels is used where no gain is told, or one that it contradicts: of the
    gain that flats tell a dark knows nothing yet.
    """
    if task.action is not Action.DARK or not workspace.planes:
        return None
    hot, told = hot_noise(members, noise), task.facts.get("egain")
    gain = Quantity(
        told if isinstance(told, float) else None,
        None if hot is None else 1 / hot.per_adu,
        None if hot is None else hot.error / hot.per_adu,
        given="egain" in members.items[0].given,
    )
    if gain.value is None:
        return None
    medians = [members.statistics[item.file].median for item in members.items]
    zero = pedestals(workspace, members)
    level = float(np.median(np.subtract(medians, 0.0 if zero is None else zero)))
    return _Photons(1 / gain.value, level, zero is not None)


def _variance(
    data: Floats,
    n_used: NDArray[np.uint16],
    noise: float | Floats,
    photons: _Photons | None,
) -> Floats:
    """Propagate read noise, and photon noise where the gain is known, to the mean.

    The noise of a frame is that of its ordinary pixels, the photons of their dark
    counts among it: only what is above them adds to it.
    """
    single = np.full(data.shape, np.square(noise), np.float32)
    if photons is not None:
        single += (data - np.float32(photons.level)) * np.float32(photons.per_adu)
        least = np.maximum(data, 0) * np.float32(photons.per_adu) * photons.known
        np.maximum(single, least, out=single)
    single /= np.maximum(n_used, 1)
    return single


def _level_error(members: Members) -> float:
    """Estimate the error of the level from the frames' own levels, in ADU.

    Levels are medians of integers: they are not better known than their steps.
    """
    levels = [members.statistics[item.file].median for item in members.items]
    variance = float(np.var(levels, ddof=1)) if len(levels) > 1 else 0.0
    return math.sqrt(max(variance, 1 / 12) / len(levels))
