"""Stacks of calibrated lights."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import Floats, bands
from autoreduce.calibration.members import MOST_OPEN
from autoreduce.calibration.quality import unusable_lights
from autoreduce.calibration.workspace import Made, Workspace
from autoreduce.fits.cards import Card
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.writer import MASK, ImageWriter
from autoreduce.pixels.combine import combine
from autoreduce.pixels.flags import no_value
from autoreduce.planning.plan import FrameInput, Task
from autoreduce.planning.recipe import StackLevel
from autoreduce.products.lights import KEEP
from autoreduce.products.provenance import (
    PLANE_CARDS,
    InputRow,
    inputs_table,
    product_cards,
)
from autoreduce.remarks import Remark, remark

_OF_ONE_LIGHT = {
    "SKYLEVEL", "SKYNOISE", "NSTARS", "FWHM", "ELONGAT", "STARFLUX", "KEEP", "OVERSCAN",
    "DARKSCAL", "DARKOFFS", "DARKMETH", "AIRMASS", "JD", "JD-HELIO", "MJD-OBS",
    "TIME-OBS", "UT", "DATE-LOC",
}  # fmt: skip
"""Cards of the first light that do not hold for the stack."""
MOST_TOLD = 100
"""Lights left out that HISTORY names; the table of inputs has all."""


def make_stack(
    task: Task,
    space: Workspace,
    digest: str,
    lights: Mapping[str, Mapping[str, float]],
    digests: Mapping[str, str],
) -> Made:
    """Combine calibrated lights of one object and filter, without aligning them.

    Lights that would only harm the stack are left out of it, unless the observer asked
    for them; see `autoreduce.calibration.quality.unusable_lights`.

    Parameters
    ----------
    task : Task
        The stack.
    space : Workspace
        Where.
    digest : str
        Digest of the task.
    lights : mapping of str to mapping
        Statistics of the lights that could be made.
    digests : mapping of str to str
        Digests of those lights.

    Returns
    -------
    Made
        ``exptime`` (total, s) and ``rejected`` (fraction) as statistics; lights that
        were left out, each with the reason.

    Raises
    ------
    ProductError
        If the product cannot be written.
    """
    with ExitStack() as stack:
        readers = {}
        for output in task.products:
            if output in lights:
                reader = stack.enter_context(open_image(space.folder / output))
                readers[output] = reader
                if len(lights) > MOST_OPEN:
                    reader.release()
        inputs = {output: _input(output, reader) for output, reader in readers.items()}
        left_out = _left_out(space, inputs, readers, lights)
        used = [item for output, item in inputs.items() if output not in left_out]
        product = _Stack(
            task,
            space,
            digest,
            used,
            [readers[item.file] for item in used],
            _offsets(space, [lights[item.file] for item in used]),
            left_out,
        )
        return product.write(digests)


def _rows(reader: ImageReader, band: tuple[int, int], n_files: int) -> Floats:
    """Read rows; with too many files none stays open."""
    rows = reader.rows(*band)
    if n_files > MOST_OPEN:
        reader.release()
    return rows


def _left_out(
    space: Workspace,
    inputs: Mapping[str, FrameInput],
    readers: Mapping[str, ImageReader],
    lights: Mapping[str, Mapping[str, float]],
) -> dict[str, Remark]:
    """Find the unusable lights, those of each exposure among themselves."""
    if not space.recipe.quality.check:
        return {}
    exposures: dict[float | None, list[str]] = {}
    for output, item in inputs.items():
        exposures.setdefault(item.exptime, []).append(output)
    found = {
        outputs[i]: why.about(outputs[i])
        for outputs in exposures.values()
        for i, why in unusable_lights(
            [lights[output] for output in outputs], space.recipe.quality
        ).items()
    }
    return {o: why for o, why in found.items() if readers[o].get(KEEP) is not True}


@dataclass(frozen=True, slots=True)
class _Stack:
    """A stack on its way to the disk."""

    task: Task
    space: Workspace
    digest: str
    inputs: list[FrameInput]
    readers: list[ImageReader]
    offsets: list[float]
    """What is taken off each light, ADU."""
    left_out: Mapping[str, Remark]

    def write(self, digests: Mapping[str, str]) -> Made:
        """Combine band by band, and write everything."""
        task, space, readers = self.task, self.space, self.readers
        doubts = tuple(
            remark("without-light", found=output)
            for output in task.products
            if output not in digests
        )
        ny, nx = readers[0].shape
        rejected = np.zeros(len(readers), np.int64)
        planes = (MASK,) if space.planes else ()
        with ImageWriter(
            space.folder / task.output,
            (ny, nx),
            header_cards=len(self._cards({"exptime": 0.0, "rejected": 0.0}, doubts)),
            planes=planes,
            overwrite=True,
        ) as writer:
            for start, stop in bands(ny, nx, len(readers), space.memory):
                band = [
                    _rows(reader, (start, stop), len(readers)) - np.float32(offset)
                    for reader, offset in zip(readers, self.offsets, strict=True)
                ]
                combined = combine(band, space.recipe.stack.combine)
                rejected += combined.rejected
                writer.write_rows(start, combined.data)
                if planes:
                    writer.write_rows(start, no_value(combined.data), plane=MASK)
            statistics = {
                "exptime": sum(item.exptime or 0.0 for item in self.inputs),
                "rejected": float(rejected.sum()) / (ny * nx * len(readers)),
            }
            writer.finish(
                self._cards(statistics, doubts),
                plane_cards=PLANE_CARDS,
                table=inputs_table(self._rows(digests, rejected)),
            )
        return Made(
            statistics=statistics,
            left_out=self.left_out,
            remarks=doubts,
            n_used=len(readers),
        )

    def _rows(
        self, digests: Mapping[str, str], rejected: NDArray[np.int64]
    ) -> list[InputRow]:
        used = [
            InputRow(
                item.file,
                item.date_obs or "",
                digests[item.file],
                rejected=int(n),
            )
            for item, n in zip(self.inputs, rejected, strict=True)
        ]
        return used + [
            InputRow(output, digest=digests[output], weight=0.0, reason=str(why))
            for output, why in self.left_out.items()
        ]

    def _cards(
        self, statistics: Mapping[str, float], doubts: tuple[Remark, ...]
    ) -> list[bytes]:
        n = len(self.left_out)
        extra = [
            Card("NCOMBINE", len(self.inputs), "lights combined"),
            Card("NLEFTOUT", n, "lights left out automatically"),
            Card(
                "TOTEXP", statistics["exptime"], "[s] exposure of all lights together"
            ),
            Card("REJECTED", statistics["rejected"], "fraction of samples rejected"),
            Card("ALIGNED", False, "whether the lights were aligned"),
            Card("RECIPE", self.space.recipe.name, "recipe"),
            Card("DIGEST", self.digest, "state of all that it was made from"),
        ]
        cards = self.readers[0].cards
        base = [card for card in cards if _keyword(card) not in _OF_ONE_LIGHT]
        history = [f"left out {o}: {why}" for o, why in self.left_out.items()]
        return product_cards(
            self.task,
            extra,
            base=base,
            used=self.inputs,
            history=(*map(str, doubts), *history[:MOST_TOLD]),
        )


def _offsets(space: Workspace, lights: list[Mapping[str, float]]) -> list[float]:
    """Say what takes each light's sky to that of the first, in ADU."""
    skies = [light.get("sky") for light in lights]
    if space.recipe.stack.level is StackLevel.NONE or None in skies:
        return [0.0] * len(lights)
    known = [sky for sky in skies if sky is not None]
    return [sky - known[0] for sky in known]


def _input(output: str, reader: ImageReader) -> FrameInput:
    date, exptime = reader.get("DATE-OBS"), reader.get("EXPTIME")
    return FrameInput(
        output,
        exptime=float(exptime) if isinstance(exptime, int | float) else None,
        date_obs=f"{date}+00:00" if isinstance(date, str) and "T" in date else None,
    )


def _keyword(card: bytes) -> str:
    return card[:8].decode("ascii", "replace").strip()
