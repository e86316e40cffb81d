"""The map of bad pixels: what the masters of a sensor flag, in one image."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import bands
from autoreduce.calibration.dark_rates import rate_map_of
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import ProductError
from autoreduce.fits.cards import Card
from autoreduce.fits.images import extension_names, open_image
from autoreduce.fits.writer import MASK, ImageWriter
from autoreduce.pixels.flags import OF_SENSOR, Flag, taken_over
from autoreduce.planning.plan import Task
from autoreduce.products.provenance import MASK_BITS, product_cards

_COUNTED = {
    "dead": (Flag.NO_VALUE, "NDEAD"),
    "hot": (Flag.HOT, "NHOT"),
    "non_linear": (Flag.NON_LINEAR, "NNONLIN"),
    "glowing": (Flag.GLOWING, "NGLOW"),
}
"""What is told of a map: name of the statistic, bit, and card."""


def make_bad_pixels(
    task: Task, workspace: Workspace, digest: str, made: Collection[str]
) -> TaskResult:
    """Join the flags of the masters of a sensor.

    Parameters
    ----------
    task : Task
        Its products are master darks, dark fits and master flats, with MASK.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    made : collection of str
        Outputs of other tasks that could be made.

    Returns
    -------
    TaskResult
        ``dead``, ``hot``, ``non_linear`` and ``glowing``: numbers of pixels.

    Raises
    ------
    ProductError
        If no master has flags, masters differ in size, or it cannot be written.
    """
    masters = [_image_of(output) for output in task.products if output in made]
    flagged = [
        output
        for output in masters
        if MASK in extension_names(workspace.folder / output)
    ]
    flags = _joined(flagged, workspace)
    counts = {
        name: int(np.count_nonzero(flags & np.uint8(flag)))
        for name, (flag, _) in _COUNTED.items()
    }
    cards = product_cards(
        task,
        [
            Card("NCOMBINE", len(flagged), "masters whose flags it joins"),
            *(
                Card(keyword, counts[name], f"pixels: {name.replace('_', '-')}")
                for name, (_, keyword) in _COUNTED.items()
            ),
            *MASK_BITS,
            Card("DIGEST", digest, "state of all that it was made from"),
        ],
        history=[f"flags of {output}" for output in flagged],
    )
    with ImageWriter(
        workspace.folder / task.output,
        flags.shape,
        header_cards=len(cards),
        dtype=np.uint8,
        overwrite=True,
    ) as writer:
        writer.write_rows(0, flags)
        writer.finish(cards)
    statistics = {name: float(number) for name, number in counts.items()}
    return TaskResult(statistics=statistics, n_used=len(flagged))


def _image_of(output: str) -> str:
    """Name the image that has a product's flags: of a dark fit the map of rates."""
    path = Path(output)
    return rate_map_of(path).as_posix() if path.suffix == ".json" else output


def _joined(flagged: list[str], workspace: Workspace) -> NDArray[np.uint8]:
    flags: NDArray[np.uint8] | None = None
    for output in flagged:
        with open_image(workspace.folder / output, MASK) as reader:
            if flags is None:
                flags = np.zeros(reader.shape, np.uint8)
            if reader.shape != flags.shape:
                msg = f"{output} is {reader.shape}, the other masters {flags.shape}"
                raise ProductError(msg)
            ny, nx = flags.shape
            for start, stop in bands(ny, nx, 1, workspace.memory):
                rows = taken_over(reader.rows(start, stop))
                flags[start:stop] |= rows & np.uint8(OF_SENSOR)
    if flags is None:
        msg = "none of the masters has a MASK plane"
        raise ProductError(msg)
    return flags
