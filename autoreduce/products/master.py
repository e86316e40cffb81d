"""A master on its way to the disk: header, table of inputs, what is told of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import (
    Floats,
)
from autoreduce.calibration.corrections import correction_cards, lost
from autoreduce.calibration.members import SAMPLED_ROWS, Members
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.fits.cards import Card
from autoreduce.fits.writer import MASK, UNCERT, ImageWriter
from autoreduce.pixels.order import median
from autoreduce.planning.plan import Task
from autoreduce.products.provenance import (
    PLANE_CARDS,
    InputRow,
    inputs_table,
    product_cards,
)
from autoreduce.remarks import Remark, joined


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
        return float(median(values[np.isfinite(values)])) if values.size else math.nan

    def rejected_fraction(self) -> float:
        """Give the fraction of all samples that was rejected."""
        return float(self.rejected.sum()) / self._samples


_EXTRA = 3
"""Cards of their own that masters have, about."""
MOST_TOLD = 100
"""Frames left out that HISTORY names; the table of inputs has all."""


@dataclass(frozen=True, slots=True)
class MasterProduct:
    """A master on its way to the disk."""

    task: Task
    workspace: Workspace
    digest: str
    members: Members

    def writer(self) -> ImageWriter:
        """Open the product for writing."""
        planes = (UNCERT, MASK) if self.workspace.planes else ()
        return ImageWriter(
            self.workspace.folder / self.task.output,
            self.members.shape,
            header_cards=len(self._cards({"level": 0.0, "rejected": 0.0}, [])) + _EXTRA,
            planes=planes,
            overwrite=True,
        )

    def finish(
        self,
        writer: ImageWriter,
        statistics: Mapping[str, float],
        extra: Sequence[Card],
        rejected: NDArray[np.int64],
        scales: Sequence[float] = (),
        *,
        doubts: Iterable[Remark] = (),
        table: bytes = b"",
    ) -> TaskResult:
        """Write header and ``INPUTS``, and move the product to its name.

        Parameters
        ----------
        writer : ImageWriter
            All its rows are written.
        statistics : mapping of str to float
            ``level`` and ``rejected`` at least.
        extra : sequence of Card
            Cards particular to this kind of master.
        rejected : (n,) array
            Samples rejected of each frame.
        scales : sequence of float
            Factor on each frame; 1 if empty.
        doubts : iterable of Remark
            What is doubtful of the product, beside what is of its frames.
        table : bytes
            A table that stands behind ``INPUTS``.

        Returns
        -------
        TaskResult
            What there is to say of the product.
        """
        told = (*self._doubts(), *doubts)
        writer.finish(
            self._cards(statistics, extra, told),
            plane_cards=PLANE_CARDS,
            table=inputs_table(self._inputs(rejected, scales)) + table,
        )
        return TaskResult(
            statistics=statistics,
            left_out=self.members.left_out,
            remarks=told,
            measured=self.members.measured(),
            n_used=len(self.members.frames),
        )

    def _cards(
        self,
        statistics: Mapping[str, float],
        extra: Sequence[Card],
        doubts: Iterable[Remark] = (),
    ) -> list[bytes]:
        recipe, members = self.workspace.recipe, self.members
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
        return product_cards(
            self.task,
            cards,
            used=members.items,
            history=[*map(str, doubts), *history[:MOST_TOLD]],
        )

    def _calibration_cards(self) -> list[Card]:
        first, correction = self.members.frames[0], self.members.corrections[0]
        cards = correction_cards(correction, first.item, self.workspace, first.overscan)
        cards += first.readout_cards
        scales = {f.dark_scale for f in self.members.corrections if f.dark}
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
                self.workspace.contents.get(item.file, ""),
                scale,
                rejected=int(n),
            )
            for item, n, scale in zip(items, rejected, weights, strict=True)
        ]
        left_out = [
            InputRow(file, weight=0.0, reason=str(why))
            for file, why in self.members.left_out.items()
        ]
        return rows + left_out

    def _doubts(self) -> list[Remark]:
        """Say what is doubtful of its frames."""
        # Of frames of unlike exposures the longest tells the most of what lacks.
        pairs = sorted(
            zip(self.members.items, self.members.corrections, strict=True),
            key=lambda pair: -(pair[0].exptime or 0.0),
        )
        lacks = (one for item, correction in pairs for one in lost(item, correction))
        told = {(one.code, one.subject, one.found): one for one in [*lacks][::-1]}
        doubts = joined([*told.values()][::-1])
        return doubts + joined(one for f in self.members.frames for one in f.doubts)
