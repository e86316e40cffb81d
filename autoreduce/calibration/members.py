"""Master frames: bias, darks and flats, combined from bands of their raw frames."""

import math
import pickle
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from autoreduce.calibration.bands import (
    BYTES_PER_SAMPLE,
    Correction,
    MasterRows,
    RawFrame,
)
from autoreduce.calibration.corrections import correction_for
from autoreduce.calibration.quality import odd_frames
from autoreduce.calibration.workspace import Workspace, side_by_side
from autoreduce.errors import AutoreduceError, NoFrameLeftError
from autoreduce.fits.images import open_image
from autoreduce.frames.measured import known
from autoreduce.pixels.measure import FrameStatistics, measure, robust_scatter
from autoreduce.planning.plan import FrameInput, Task
from autoreduce.remarks import Remark, remark

LARGEST_HELD = 128 << 20
"""Bytes of frames that stay in memory between their looks and their combination."""
MOST_OPEN = 128
"""Images of a combination whose files stay open; more would exhaust what is allowed."""
HOT_SIGMA, FEWEST_HOT = 7.0, 50
"""Noises of a single frame that a pixel of a dark stands out if it is hot: it stands out
of every raw frame; and hot pixels that tell a gain."""
MEDIAN_OF_SQUARE = 0.4549
"""Median of the square of a normal deviate ..."""
ERROR_OF_MEDIAN = 2.33
"""... and the error of one of n samples times their root, as a part of it."""
ROUNDS = 30
"""Rounds in which the noise of hot pixels is found."""
BYTES_MEASURED = 12
"""What a pixel of a frame takes while the frame is measured."""
SAMPLED_ROWS = 96
"""Rows from which the noise of a frame and the median of a flat are taken."""


@dataclass(frozen=True, slots=True)
class Members:
    """The frames of a combination that are used, and why the others are not."""

    frames: tuple[RawFrame, ...]
    """Open frames that go in."""
    corrections: tuple[Correction, ...]
    """What is taken out of each."""
    statistics: Mapping[str, FrameStatistics]
    """Statistics of every frame that could be read."""
    left_out: Mapping[str, Remark]
    """Frames that do not go in, each with the reason."""
    held: int = 0
    """Bytes of frames that stay in memory: what bands cannot have."""

    @property
    def items(self) -> tuple[FrameInput, ...]:
        """The frames that go in, as the plan has them."""
        return tuple(frame.item for frame in self.frames)

    @property
    def pairs(self) -> list[tuple[RawFrame, Correction]]:
        """Each frame that goes in, and what is taken out of it."""
        return list(zip(self.frames, self.corrections, strict=True))

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the frames."""
        return self.frames[0].shape

    @property
    def masters(self) -> list[str]:
        """Outputs of the masters that the frames use, each once."""
        names = (name for correction in self.corrections for name in correction.masters)
        return list(dict.fromkeys(names))

    @property
    def cuts(self) -> dict[str, str]:
        """Masters larger than the frames, and the section over them."""
        return {
            output: cut
            for correction in self.corrections
            for output, cut in correction.cuts
        }

    @property
    def are_plain(self) -> bool:
        """Whether it costs nothing to open the frames again."""
        return all(frame.is_plain for frame in self.frames)

    @contextmanager
    def closing(self) -> Iterator[Self]:
        """Close the frames in the end."""
        with ExitStack() as stack:
            for frame in self.frames:
                stack.enter_context(frame)
            yield self

    def without(self, reasons: Mapping[str, Remark]) -> "Members":
        """Leave more frames out.

        Raises
        ------
        NoFrameLeftError
            If no frame is left.
        """
        pairs = [
            (frame, correction)
            for frame, correction in zip(self.frames, self.corrections, strict=True)
            if frame.item.file not in reasons
        ]
        left_out = {**self.left_out, **reasons}
        if not pairs:
            raise NoFrameLeftError(left_out)
        frames, corrections = zip(*pairs, strict=True)
        return replace(self, frames=frames, corrections=corrections, left_out=left_out)

    def measured(self) -> dict[str, dict[str, float]]:
        """List the measured columns of the frame table for each frame."""
        columns = {file: raw_columns(s) for file, s in self.statistics.items()}
        for item, correction in zip(self.items, self.corrections, strict=True):
            columns[item.file] |= dark_columns(correction)
        return columns


Combined_co = TypeVar("Combined_co", covariant=True)


class Combining(Protocol[Combined_co]):
    """A combination of frames by bands; it can be packed."""

    @property
    def members(self) -> Members:
        """Frames, open."""

    @property
    def masters(self) -> MasterRows:
        """Masters that are taken out of them, open."""

    def band(self, start: int, stop: int) -> Any:  # noqa: ANN401 -- for `combined`
        """Read all that a band of the product is made from."""

    def combined(self, band: Any, /) -> Combined_co:  # noqa: ANN401 -- of `band`
        """Combine a band."""


def by_bands(
    work: Combining[Combined_co],
    workspace: Workspace,
    spans: Iterable[tuple[int, int]],
) -> Iterator[Combined_co]:
    """Combine band by band, several side by side, in processes if there are any.

    Parameters
    ----------
    work : Combining
        What is combined, its files open.
    workspace : Workspace
        Its ``threads`` are the bands that are worked on at a time; of frames that must
        be unpacked, one more is read meanwhile, unless there is one thread.
    spans : iterable of (int, int)
        First row of each band, and the row after its last.

    Returns
    -------
    iterator
        The bands, in order.
    """
    if work.members.are_plain and not workspace.is_single:
        return workspace.each(partial(_combined_of, pickle.dumps(work)), spans)
    read = (work.band(*span) for span in spans)
    return side_by_side(workspace.threads, work.combined, read)


def _combined_of(packed: bytes, span: tuple[int, int]) -> Any:  # noqa: ANN401 -- Combined_co
    """Combine a band of what is packed, from files that are opened for it."""
    work: Combining[Any] = pickle.loads(packed)
    with work.members.closing(), work.masters:
        return work.combined(work.band(*span))


def raw_columns(statistics: FrameStatistics) -> dict[str, float]:
    """Give the measured columns of the frame table that a raw frame fills."""
    return known(
        {
            "median": statistics.median,
            "noise": statistics.noise,
            "saturated": statistics.saturated,
        }
    )


def dark_columns(correction: Correction) -> dict[str, float]:
    """Give the dark's factor and offset where they are not 1 and 0."""
    if not correction.dark or (
        correction.dark_scale == 1 and not correction.dark_offset
    ):
        return {}
    return {"dark_scale": correction.dark_scale, "dark_offset": correction.dark_offset}


@contextmanager
def open_members(
    task: Task, workspace: Workspace, made: Collection[str]
) -> Iterator[Members]:
    """Open the frames of a combination, without those that cannot or should not go in.

    Parameters
    ----------
    task : Task
        The combination.
    workspace : Workspace
        Where.
    made : set of str
        Outputs of other tasks that could be made.

    Raises
    ------
    NoFrameLeftError
        If no frame is left.
    """
    with ExitStack() as stack:
        keep_open = sum(map(_n_images, task.frames)) <= MOST_OPEN
        opened: dict[str, RawFrame] = {}
        left_out: dict[str, Remark] = {}
        statistics: dict[str, FrameStatistics] = {}
        most = min(LARGEST_HELD, workspace.memory // BYTES_PER_SAMPLE)
        most = most // len(task.frames) if workspace.is_single else 0
        look = partial(_opened, workspace.root, keep_open, most)
        looks = side_by_side(_threads(task, workspace), look, task.frames)
        for item, found in zip(task.frames, looks, strict=True):
            if isinstance(found, Remark):
                left_out[item.file] = found
                continue
            frame, statistics[item.file] = found
            opened[item.file] = stack.enter_context(frame)
        frames = tuple(opened.values())
        if not frames:
            raise NoFrameLeftError(left_out)
        corrections = tuple(
            correction_for(frame.item, workspace, made) for frame in frames
        )
        held = sum(frame.held_bytes for frame in frames)
        members = Members(frames, corrections, statistics, left_out, held)
        yield members.without(_odd(task, workspace, members))


def _opened(
    root: Path, keep_open: bool, held: int, item: FrameInput
) -> tuple[RawFrame, FrameStatistics] | Remark:
    """Open a frame and measure it; say why if it cannot be read.

    Its rows stay in memory if they have no more bytes than may be `held`.
    """
    frame = None
    try:
        frame = RawFrame(root, item, keep_open=keep_open)
        rows = frame.rows(0, frame.shape[0])
        measured = measure(rows, saturate=frame.saturate, step=frame.step)
    except (AutoreduceError, OSError) as error:
        if frame is not None:
            frame.close()
        return remark("unread", item.file, found=str(error))
    frame.fill_at(measured.full_at)
    if rows.nbytes <= held:
        frame.hold(rows)
    return frame, measured


def _threads(task: Task, workspace: Workspace) -> int:
    """Say how many whole frames may be held and measured at once."""
    nx, ny = (int(task.facts.get(axis) or 0) for axis in ("naxis1", "naxis2"))
    held = max(nx * ny * BYTES_MEASURED, 1)
    return max(1, min(workspace.threads, workspace.memory // held - 1))


def _n_images(item: FrameInput) -> int:
    """Count the HDUs that a frame is read from."""
    return len({one.hdu for one in item.amplifiers}) or 1


def _odd(task: Task, workspace: Workspace, members: Members) -> dict[str, Remark]:
    limits = workspace.recipe.quality
    if not limits.check:
        return {}
    found = odd_frames(
        [members.statistics[item.file] for item in members.items],
        task.action,
        limits,
        pedestals=pedestals(workspace, members),
    )
    odd = {members.items[i].file: why for i, why in found.items()}
    keep = {item.file for item in task.frames if item.keep}
    return {file: why.about(file) for file, why in odd.items() if file not in keep}


def pedestals(workspace: Workspace, members: Members) -> list[float] | None:
    """Give the part of each frame's level that is overscan and bias, in ADU.

    None if it is not known of all of them.
    """
    masters = {correction.bias for correction in members.corrections if correction.bias}
    levels = {output: _level(workspace.folder / output) for output in sorted(masters)}
    pedestals = []
    for frame, correction in zip(members.frames, members.corrections, strict=True):
        if correction.bias is None and frame.overscan is None:
            return None
        pedestals.append(
            (frame.zero or 0.0) + (levels[correction.bias] if correction.bias else 0)
        )
    return pedestals


def _level(path: Path) -> float:
    with open_image(path) as reader:
        return float(str(reader.get("LEVEL")))


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


def pair_noise_error(members: Members, noise: float) -> float:
    """Give the 1-sigma error of `pair_noise`, ADU, from the number of its pixels."""
    ny, nx = members.shape
    return noise / math.sqrt(2 * min(ny, SAMPLED_ROWS) * nx)


class HotNoise(NamedTuple):
    """How noisy the dark counts of hot pixels are."""

    per_adu: float
    """Variance that an ADU adds, in ADU: one over the gain."""
    error: float
    """1-sigma error of that, as a part of it."""


def hot_noise(members: Members, noise: float) -> HotNoise | None:
    """Measure how noisy the dark counts of hot pixels are, in pairs of frames.

    Parameters
    ----------
    members : Members
        Darks of one exposure.
    noise : float
        Noise of a frame in ordinary pixels, ADU.

    Returns
    -------
    HotNoise or None
        None with fewer than `FEWEST_HOT` hot pixels.
    """
    ny = members.shape[0]
    start = max(0, (ny - SAMPLED_ROWS) // 2)
    stop = min(ny, start + SAMPLED_ROWS)
    rows = [frame.rows(start, stop).astype(np.float64) for frame in members.frames]
    excess, squares = [], []
    for one, other in zip(rows[::2], rows[1::2], strict=False):
        above = (one + other) / 2
        above -= np.nanmedian(above)
        hot = above > HOT_SIGMA * noise
        excess.append(above[hot])
        squares.append((one - other)[hot] ** 2 / 2)
    light, square = (
        np.concatenate([np.zeros(0), *parts]) for parts in (excess, squares)
    )
    if len(light) < FEWEST_HOT:
        return None
    # The median is that of usual pixels: some hot ones flicker.
    found = float(np.median(square) / np.median(light)) / MEDIAN_OF_SQUARE
    for _ in range(ROUNDS):
        found *= (
            float(np.median(square / (noise**2 + found * light))) / MEDIAN_OF_SQUARE
        )
    own = float(np.median(1 + noise**2 / (found * light)))
    return HotNoise(found, ERROR_OF_MEDIAN * own / math.sqrt(len(light)))
