"""Master frames: bias, darks and flats, combined from bands of their raw frames."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import AutoreduceError, NoFrameLeftError
from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.combination import Combination
from autoreduce.pixels.combine import combine
from autoreduce.pixels.measure import FrameStatistics, measure
from autoreduce.planning.plan import Action, FrameInput, Task
from autoreduce.quality import odd_frames
from autoreduce.running.bands import (
    Correction,
    Floats,
    MasterRows,
    Raw,
    RawFrame,
    bands,
    calibrated_rows,
)
from autoreduce.running.cards import format_card
from autoreduce.running.corrections import correction, correction_cards, lost
from autoreduce.running.darks import LEVEL_ERROR
from autoreduce.running.images import ProductWriter, open_image
from autoreduce.running.made import Made, Workspace
from autoreduce.running.provenance import (
    Card,
    InputRow,
    file_digest,
    inputs_table,
    product_cards,
)
from autoreduce.running.uncertainty import UNCERT_HDU

MOST_OPEN = 128
"""Frames of a combination whose files stay open; more would exhaust what is allowed."""
FEWEST_TO_DRIFT = 6
"""Frames that tell a drift of the level from its scatter."""
LEAST_DRIFT, LARGEST_DRIFT = 1.0, 0.1
"""Drift that needs no word, in ADU and in units of a frame's noise."""
SAMPLED_ROWS = 96
"""Rows from which the noise of a frame and the median of a flat are taken."""


@dataclass(frozen=True, slots=True)
class Members:
    """The frames of a combination that are used, and why the others are not."""

    frames: tuple[RawFrame, ...]
    """Open frames that go in."""
    fixes: tuple[Correction, ...]
    """What is taken out of each."""
    statistics: Mapping[str, FrameStatistics]
    """Statistics of every frame that could be read."""
    left_out: Mapping[str, str]
    """Frames that do not go in, each with the reason."""

    @property
    def items(self) -> tuple[FrameInput, ...]:
        """The frames that go in, as the plan has them."""
        return tuple(frame.item for frame in self.frames)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the frames."""
        return self.frames[0].shape

    @property
    def masters(self) -> list[str]:
        """Outputs of the masters that the frames use, each once."""
        names = (name for fix in self.fixes for name in fix.masters)
        return list(dict.fromkeys(names))

    @property
    def cuts(self) -> dict[str, str]:
        """Masters larger than the frames, and the section over them."""
        return {output: cut for fix in self.fixes for output, cut in fix.cuts}

    def without(self, reasons: Mapping[str, str]) -> "Members":
        """Leave more frames out.

        Raises
        ------
        NoFrameLeftError
            If no frame is left.
        """
        pairs = [
            (frame, fix)
            for frame, fix in zip(self.frames, self.fixes, strict=True)
            if frame.item.file not in reasons
        ]
        left_out = {**self.left_out, **reasons}
        if not pairs:
            raise NoFrameLeftError(left_out)
        frames, fixes = zip(*pairs, strict=True)
        return replace(self, frames=frames, fixes=fixes, left_out=left_out)

    def measured(self) -> dict[str, dict[str, float]]:
        """List the measured columns of the frame table for each frame."""
        columns = {file: raw_columns(s) for file, s in self.statistics.items()}
        for item, fix in zip(self.items, self.fixes, strict=True):
            columns[item.file] |= dark_columns(fix)
        return columns


def raw_columns(statistics: FrameStatistics) -> dict[str, float]:
    """Give the measured columns of the frame table that a raw frame fills."""
    columns = {
        "median": statistics.median,
        "noise": statistics.noise,
        "saturated": statistics.saturated,
    }
    return {
        name: value
        for name, value in columns.items()
        if value is not None and math.isfinite(value)
    }


def dark_columns(fix: Correction) -> dict[str, float]:
    """Give the dark's factor and offset where they are not 1 and 0."""
    if not fix.dark or (fix.dark_scale == 1 and not fix.dark_offset):
        return {}
    return {"dark_scale": fix.dark_scale, "dark_offset": fix.dark_offset}


@contextmanager
def open_members(
    task: Task, space: Workspace, made: Collection[str]
) -> Iterator[Members]:
    """Open the frames of a combination, without those that cannot or should not go in.

    Parameters
    ----------
    task : Task
        The combination.
    space : Workspace
        Where.
    made : set of str
        Outputs of other tasks that could be made.

    Raises
    ------
    NoFrameLeftError
        If no frame is left.
    """
    with ExitStack() as stack:
        keep_open = len(task.frames) <= MOST_OPEN
        opened: dict[str, RawFrame] = {}
        left_out: dict[str, str] = {}
        statistics: dict[str, FrameStatistics] = {}
        for item in task.frames:
            try:
                frame = stack.enter_context(
                    RawFrame(space.root, item, keep_open=keep_open)
                )
                data = frame.rows(0, frame.shape[0])
                statistics[item.file] = measure(data, saturate=frame.saturate)
                opened[item.file] = frame
            except (AutoreduceError, OSError) as error:
                left_out[item.file] = f"cannot be read: {error}"
        frames = tuple(opened.values())
        if not frames:
            raise NoFrameLeftError(left_out)
        fixes = tuple(correction(frame.item, space, made) for frame in frames)
        members = Members(frames, fixes, statistics, left_out)
        yield members.without(_odd(task, space, members))


def _odd(task: Task, space: Workspace, members: Members) -> dict[str, str]:
    limits = space.recipe.quality
    if not limits.check:
        return {}
    found = odd_frames(
        [members.statistics[item.file] for item in members.items],
        task.action,
        limits,
        pedestals=_pedestals(space, members),
    )
    odd = {members.items[i].file: reason for i, reason in found.items()}
    keep = {item.file for item in task.frames if item.keep}
    return {file: reason for file, reason in odd.items() if file not in keep}


def _pedestals(space: Workspace, members: Members) -> list[float] | None:
    """Give the part of each frame's level that is overscan and bias, in ADU.

    None if it is not known of all of them.
    """
    masters = {fix.bias for fix in members.fixes if fix.bias}
    levels = {output: _level(space.folder / output) for output in sorted(masters)}
    pedestals = []
    for frame, fix in zip(members.frames, members.fixes, strict=True):
        if fix.bias is None and frame.overscan is None:
            return None
        pedestals.append(
            (frame.overscan or 0.0) + (levels[fix.bias] if fix.bias else 0)
        )
    return pedestals


def _level(path: Path) -> float:
    with open_image(path) as reader:
        return float(str(reader.get("LEVEL")))


def make_plain(
    task: Task, space: Workspace, digest: str, made: Collection[str]
) -> Made:
    """Combine bias frames or darks into a master.

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
        ``level`` (median), ``level_error``, ``noise`` (1 sigma of a single frame), all
        in ADU, and ``rejected`` (fraction of the samples) as statistics.

    Raises
    ------
    ProductError
        If no frame is fit for use, or the product cannot be written.
    """
    recipe = space.recipe
    how = recipe.bias if task.action is Action.BIAS else recipe.dark.combine
    with (
        open_members(task, space, made) as members,
        MasterRows(space.folder, members.masters, cuts=members.cuts.items()) as masters,
        MasterRows(
            space.folder,
            members.masters * space.planes,
            UNCERT_HDU,
            cuts=members.cuts.items(),
        ) as sigmas,
    ):
        masters.check(members.shape)
        noise = pair_noise(members)
        result = Tally(members.shape, len(members.frames))
        product = MasterProduct(task, space, digest, members)
        with product.writer() as writer:
            for start, stop in bands(*members.shape, len(members.frames), space.memory):
                data, n_used, rejected = _combined_rows(
                    members, masters, how, noise, (start, stop)
                )
                result.add(start, data, rejected)
                writer.write_rows(start, data)
                if space.planes:
                    variance = _variance(data, n_used, noise, task)
                    variance += sigmas.summed_squares((start, stop))
                    writer.write_rows(start, np.sqrt(variance), plane="UNCERT")
                    writer.write_rows(start, np.isnan(data), plane="MASK")
            statistics = {
                "level": result.level(),
                LEVEL_ERROR: _level_error(members),
                "noise": noise,
                "rejected": result.rejected_fraction(),
            }
            extra = [
                Card("NOISEADU", noise, "[adu] noise of a single frame"),
                *_saturation_card(space, members),
            ]
            if task.action is Action.BIAS:
                statistics["drift"] = level_drift(members)
            product.finish(writer, statistics, extra, result.rejected)
    told = product.made(statistics)
    return replace(told, caveats=(*told.caveats, *_drift_caveat(statistics)))


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
    levels = [
        members.statistics[frame.item.file].median - (frame.overscan or 0.0)
        for frame in sorted(members.frames, key=lambda f: f.item.date_obs or "")
        if frame.item.date_obs
    ]
    if len(levels) < FEWEST_TO_DRIFT:
        return 0.0
    third = len(levels) // 3
    return float(np.mean(levels[-third:]) - np.mean(levels[:third]))


def _drift_caveat(statistics: Mapping[str, float]) -> Iterator[str]:
    drift = statistics.get("drift", 0.0)
    if abs(drift) > max(LEAST_DRIFT, LARGEST_DRIFT * statistics["noise"]):
        yield (
            f"the level of the bias drifts by {drift:+.1f} ADU from its first frames to "
            "its last: frames without overscan are off by up to as much"
        )


def _combined_rows(
    members: Members,
    masters: MasterRows,
    how: Combination,
    noise: float,
    band: tuple[int, int],
) -> tuple[Floats, NDArray[np.uint16], NDArray[np.int64]]:
    """Combine a band; what all frames share is subtracted once, afterwards."""
    shared = len(set(members.fixes)) == 1 and members.frames[0].overscan is None
    if not shared:
        frames = zip(members.frames, members.fixes, strict=True)
        stack: list[Raw] = [
            calibrated_rows(f, fix, masters, *band) for f, fix in frames
        ]
        combined = combine(stack, how, noise=noise)
        return combined.data, combined.n_used, combined.rejected
    combined = combine([f.rows(*band) for f in members.frames], how, noise=noise)
    fix = members.fixes[0]
    bias = masters.rows(fix.bias, *band)
    data = combined.data if bias is None else combined.data - bias
    return data, combined.n_used, combined.rejected


def _saturation_card(space: Workspace, members: Members) -> list[Card]:
    """Tell the level at which the pixels of a master are full, if that is known."""
    saturate, pedestals = members.frames[0].saturate, _pedestals(space, members)
    if saturate is None:
        return []
    level = saturate - (pedestals[0] if pedestals else 0.0)
    return [Card("SATURATE", level, "[adu] level of saturated pixels")]


def _variance(
    data: Floats, n_used: NDArray[np.uint16], noise: float, task: Task
) -> Floats:
    """Propagate read noise, and photon noise where the gain is known, to the mean."""
    single = np.full(data.shape, noise**2, np.float32)
    egain = task.facts.get("egain")
    if task.action is Action.DARK and isinstance(egain, float):
        single += np.maximum(data, 0) / np.float32(egain)
    single /= np.maximum(n_used, 1)
    return single


def _level_error(members: Members) -> float:
    """Estimate the error of the level from the frames' own levels, in ADU.

    Levels are medians of integers: they are not better known than their steps.
    """
    levels = [members.statistics[item.file].median for item in members.items]
    variance = float(np.var(levels, ddof=1)) if len(levels) > 1 else 0.0
    return math.sqrt(max(variance, 1 / 12) / len(levels))


def pair_noise(members: Members) -> float:
    """Measure the noise of a single frame in ADU.

    Two frames are subtracted from each other, so that fixed patterns do not count; a
    lone frame gives its own scatter.  Frames without a finite pixel give 0.
    """
    first = members.frames[0]
    if len(members.frames) < 2:
        noise = members.statistics[first.item.file].noise
        return noise if math.isfinite(noise) else 0.0
    ny = first.shape[0]
    start = max(0, (ny - SAMPLED_ROWS) // 2)
    stop = min(ny, start + SAMPLED_ROWS)
    pair = [frame.rows(start, stop).astype(np.float64) for frame in members.frames[:2]]
    difference = pair[0] - pair[1]
    return robust_scatter(difference) / math.sqrt(2)


def robust_scatter(values: NDArray[np.floating], step: float = 1.0) -> float:
    """Measure the 1-sigma scatter about the median of quantised values.

    Parameters
    ----------
    values : array
        Values; those that are not finite are left out.
    step : float
        Their quantum, in their unit.  The median absolute deviation jumps by it, or is
        0, where the noise is small: so the deviations within 5 scales, or 5 steps, are
        averaged.

    Returns
    -------
    float
        1 sigma; 0 if no value is finite.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    deviation = np.abs(finite - np.median(finite))
    scale = MAD_TO_SIGMA * float(np.median(deviation))
    core = deviation[deviation <= 5 * max(scale, step)]
    return float(np.sqrt(np.mean(core**2)))


class Tally:
    """What is learned of a product while it is made band by band."""

    def __init__(self, shape: tuple[int, int], n_frames: int) -> None:
        self._stride = max(1, shape[0] // (2 * SAMPLED_ROWS))
        self._samples = shape[0] * shape[1] * n_frames
        self._sampled: list[Floats] = []
        self.rejected = np.zeros(n_frames, np.int64)

    def add(self, start: int, data: Floats, rejected: NDArray[np.int64]) -> None:
        """Take in a band that begins at row `start`."""
        first = -start % self._stride
        self._sampled.append(data[first :: self._stride].copy())
        self.rejected += rejected

    def level(self) -> float:
        """Give the median of the rows that were sampled, NaN if none is finite."""
        values = np.concatenate(self._sampled)
        return (
            float(np.median(values[np.isfinite(values)])) if values.size else math.nan
        )

    def rejected_fraction(self) -> float:
        """Give the fraction of all samples that was rejected."""
        return float(self.rejected.sum()) / self._samples


@dataclass(frozen=True, slots=True)
class MasterProduct:
    """A master on its way to the disk."""

    task: Task
    space: Workspace
    digest: str
    members: Members

    def writer(self) -> ProductWriter:
        """Open the product for writing."""
        planes = ("UNCERT", "MASK") if self.space.planes else ()
        return ProductWriter(
            self.space.folder / self.task.output,
            self.members.shape,
            header_cards=100,
            planes=planes,
            overwrite=True,
        )

    def finish(
        self,
        writer: ProductWriter,
        statistics: Mapping[str, float],
        extra: Sequence[Card],
        rejected: NDArray[np.int64],
        scales: Sequence[float] = (),
    ) -> None:
        """Write header and ``INPUTS``, and move the product to its name.

        Parameters
        ----------
        writer : ProductWriter
            All its rows are written.
        statistics : mapping of str to float
            ``level`` and ``rejected`` at least.
        extra : sequence of Card
            Cards particular to this kind of master.
        rejected : (n,) array
            Samples rejected of each frame.
        scales : sequence of float
            Factor on each frame; 1 if empty.
        """
        recipe, members = self.space.recipe, self.members
        cards = [
            Card("NCOMBINE", len(members.frames), "frames combined"),
            Card("NLEFTOUT", len(members.left_out), "frames left out automatically"),
            Card("RECIPE", recipe.name, "recipe"),
            Card("LEVEL", statistics["level"], "[adu] median"),
            Card("REJECTED", statistics["rejected"], "fraction of samples rejected"),
            *self._calibration_cards(),
            *extra,
            Card("DIGEST", self.digest, "state of all that it was made from"),
        ]
        history = [f"left out {f}: {why}" for f, why in members.left_out.items()]
        writer.finish(
            product_cards(self.task, cards, used=members.items, history=history[:100]),
            plane_cards=format_card("BUNIT", "adu", "unit of the pixel values"),
            table=inputs_table(self._inputs(rejected, scales)),
        )

    def _calibration_cards(self) -> list[Card]:
        first, fix = self.members.frames[0], self.members.fixes[0]
        cards = correction_cards(fix, first.item, self.space, first.overscan)
        scales = {f.dark_scale for f in self.members.fixes if f.dark}
        if len(scales) < 2:
            return cards
        text = f"{min(scales):.4f} to {max(scales):.4f}"
        kept = [card for card in cards if card.keyword not in ("DARKSCAL", "DARKOFFS")]
        return [*kept, Card("DARKSCAL", text, "factors, one for each exposure")]

    def _inputs(
        self, rejected: NDArray[np.int64], scales: Sequence[float]
    ) -> list[InputRow]:
        items = self.members.items
        weights = scales or [1.0] * len(items)
        rows = [
            InputRow(
                item.file,
                item.date_obs or "",
                file_digest(self.space.root, item.file),
                scale,
                rejected=int(n),
            )
            for item, n, scale in zip(items, rejected, weights, strict=True)
        ]
        left_out = [
            InputRow(file, weight=0.0, reason=reason)
            for file, reason in self.members.left_out.items()
        ]
        return rows + left_out

    def made(self, statistics: Mapping[str, float]) -> Made:
        """Say what there is to say of the product."""
        pairs = zip(self.members.items, self.members.fixes, strict=True)
        caveats = dict.fromkeys(text for item, fix in pairs for text in lost(item, fix))
        return Made(
            statistics=statistics,
            left_out=self.members.left_out,
            caveats=tuple(caveats),
            measured=self.members.measured(),
            n_used=len(self.members.frames),
        )
