"""All detectors of an exposure in one file, as the camera wrote them."""

from collections.abc import Collection
from pathlib import Path

from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.fits.cards import Card, without
from autoreduce.fits.header import read_headers
from autoreduce.fits.writer import gather_images
from autoreduce.planning.plan import Task
from autoreduce.products.provenance import product_cards
from autoreduce.remarks import remark, some


def make_exposure(
    task: Task, workspace: Workspace, digest: str, made: Collection[str]
) -> TaskResult:
    """Put the calibrated lights of the detectors of an exposure into one file.

    Parameters
    ----------
    task : Task
        The exposure; its products are the lights.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    made : collection of str
        Lights that could be made; the others are told as missing.

    Returns
    -------
    TaskResult
        Without statistics: they are those of the lights.

    Raises
    ------
    InputError
        If a light cannot be read.
    ProductError
        If the file cannot be written.
    """
    files: dict[str, Path] = {}
    headers = []
    for light in filter(made.__contains__, task.products):
        path = workspace.folder / light
        header = read_headers(path)[0]
        name = str(header.get("CCDNAME"))
        files[f"{name}_{len(files) + 1}" if name in files else name] = path
        headers.append(header.records)
    lost = [light for light in task.products if light not in made]
    remarks = (remark("without-light", found=some(lost)),) if lost else ()
    mark = Card("DIGEST", digest, "state of all that it was made from")
    alike = set(headers[0]).intersection(*headers)
    base = [card for card in headers[0] if card in alike]
    cards = product_cards(
        task, [mark], base=base, history=[str(one) for one in remarks]
    )
    cards = without(cards, ["BUNIT"])
    gather_images(workspace.folder / task.output, cards, files, [mark])
    return TaskResult(remarks=remarks, n_used=len(files))
