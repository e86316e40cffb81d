"""Stacks of calibrated lights."""

from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from autoreduce.pixels.combine import combine
from autoreduce.planning.plan import FrameInput, Task
from autoreduce.planning.recipe import StackLevel
from autoreduce.running.bands import bands
from autoreduce.running.cards import format_card
from autoreduce.running.images import ImageReader, ProductWriter, open_image
from autoreduce.running.made import Made, Workspace
from autoreduce.running.provenance import Card, InputRow, inputs_table, product_cards

_OF_ONE_LIGHT = {
    "SKYLEVEL", "SKYNOISE", "NSTARS", "FWHM", "OVERSCAN", "DARKSCAL", "DARKOFFS",
    "DARKMETH", "AIRMASS", "JD", "JD-HELIO", "MJD-OBS", "TIME-OBS", "UT", "DATE-LOC",
}  # fmt: skip
"""Cards of the first light that do not hold for the stack."""


def make_stack(
    task: Task,
    space: Workspace,
    digest: str,
    lights: Mapping[str, Mapping[str, float]],
    digests: Mapping[str, str],
) -> Made:
    """Combine calibrated lights of one object and filter, without aligning them.

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
        ``exptime`` (total, s) and ``rejected`` (fraction) as statistics.

    Raises
    ------
    ProductError
        If the product cannot be written.
    """
    outputs = [output for output in task.products if output in lights]
    lost = [output for output in task.products if output not in lights]
    caveats = tuple(f"without {output}, which could not be made" for output in lost)
    offsets = _offsets(space, [lights[output] for output in outputs])
    with ExitStack() as stack:
        readers = [
            stack.enter_context(open_image(space.folder / name)) for name in outputs
        ]
        inputs = [
            _input(name, reader) for name, reader in zip(outputs, readers, strict=True)
        ]
        ny, nx = readers[0].shape
        rejected = np.zeros(len(readers), np.int64)
        planes = ("MASK",) if space.planes else ()
        writer = stack.enter_context(
            ProductWriter(
                space.folder / task.output,
                (ny, nx),
                header_cards=len(readers[0].cards) + 60,
                planes=planes,
                overwrite=True,
            )
        )
        for start, stop in bands(ny, nx, len(readers), space.memory):
            band = [
                reader.rows(start, stop) - np.float32(offset)
                for reader, offset in zip(readers, offsets, strict=True)
            ]
            combined = combine(band, space.recipe.stack.combine)
            rejected += combined.rejected
            writer.write_rows(start, combined.data)
            if planes:
                writer.write_rows(start, np.isnan(combined.data), plane="MASK")
        statistics = {
            "exptime": sum(item.exptime or 0.0 for item in inputs),
            "rejected": float(rejected.sum()) / (ny * nx * len(readers)),
        }
        rows = [
            InputRow(
                item.file, item.date_obs or "", digests[item.file], 1.0, 1.0, int(n)
            )
            for item, n in zip(inputs, rejected, strict=True)
        ]
        writer.finish(
            _cards(task, space, digest, readers[0], inputs, statistics, caveats),
            plane_cards=format_card("BUNIT", "adu", "unit of the pixel values"),
            table=inputs_table(rows),
        )
    return Made(statistics=statistics, caveats=caveats, n_used=len(outputs))


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


def _cards(
    task: Task,
    space: Workspace,
    digest: str,
    first: ImageReader,
    inputs: list[FrameInput],
    statistics: Mapping[str, float],
    caveats: tuple[str, ...],
) -> list[bytes]:
    extra = [
        Card("NCOMBINE", len(inputs), "lights combined"),
        Card("TOTEXP", statistics["exptime"], "[s] exposure of all lights together"),
        Card("REJECTED", statistics["rejected"], "fraction of samples rejected"),
        Card("ALIGNED", False, "whether the lights were aligned"),
        Card("RECIPE", space.recipe.name, "recipe"),
        Card("DIGEST", digest, "state of all that it was made from"),
    ]
    base = [card for card in first.cards if _keyword(card) not in _OF_ONE_LIGHT]
    return product_cards(task, extra, base=base, used=inputs, history=caveats)


def _keyword(card: bytes) -> str:
    return card[:8].decode("ascii", "replace").strip()
