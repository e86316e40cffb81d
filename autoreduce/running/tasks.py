"""One task: where its product is made, and which product stands there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autoreduce.calibration.dark_rates import rate_map_of
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.images import extension_names, open_image
from autoreduce.fits.ledger import Ledger
from autoreduce.fits.writer import UNCERT
from autoreduce.planning.plan import Action, Task
from autoreduce.products.state import found_digest

if TYPE_CHECKING:
    from autoreduce.running.making import Product


def run_task(
    task: Task, workspace: Workspace, digest: str, products: Mapping[str, "Product"]
) -> TaskResult:
    """Make one product.

    Parameters
    ----------
    task : Task
        What to make.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task, written into the product.
    products : mapping of str to Product
        The products that it uses, as far as they could be made.

    Returns
    -------
    TaskResult
        What there is to say of the product.

    Raises
    ------
    AutoreduceError
        If it cannot be made.
    """
    if workspace.whole:
        alone = replace(workspace.alone(), frames=workspace.frames)
        return workspace.apart(run_task, task, alone, digest, products)
    from autoreduce.running.making import make_product

    return make_product(task, workspace, digest, products)


def current_digest(path: Path) -> str | None:
    """Read the digest of the product that stands at a path.

    Parameters
    ----------
    path : Path
        Where a product is to be made.

    Returns
    -------
    str or None
        Its digest; None if there is no file, or only the damaged rest of one.

    Raises
    ------
    ProductError
        If there is a file that autoreduce did not make: it is not overwritten.
    """
    if not path.exists():
        return None
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text("utf-8"))
            digest = content.get("digest")
            is_ours = "product" in content or "rate_map" in content
            is_fit = content.get("product") is None
            if digest and is_fit and current_digest(rate_map_of(path)) != digest:
                return None
        else:
            with open_image(path) as reader:
                digest = reader.get("DIGEST")
                is_ours = str(reader.get("CREATOR")).startswith("autoreduce")
    except (InputError, ValueError, AttributeError):
        return None
    if digest is None and is_ours:
        return None
    if digest is None:
        msg = (
            f"{path} was not made by autoreduce and is not overwritten: move it away, "
            "or name another output folder with -o"
        )
        raise ProductError(msg)
    return str(digest)


def files_of(task: Task, outputs: Iterable[str] = ()) -> list[str]:
    """List the files that a task writes: more than its output if that was told."""
    names = list(dict.fromkeys(outputs)) or [task.output]
    if task.action is Action.DARK_FIT:
        names.append(rate_map_of(Path(task.output)).as_posix())
    return names


def spoilt(names: Iterable[str], folder: Path, files: Ledger) -> list[str] | None:
    """Find products that do not hold what was written.

    Parameters
    ----------
    names : iterable of str
        Products that are there.
    folder : Path
        Output folder.
    files : Ledger
        What was written; of a product that it does not know, the checksums count.

    Returns
    -------
    list of str or None
        Their names; None if nothing tells what was written of one of them.
    """
    bad = []
    for name in names:
        path = folder / name
        if name not in files:
            if name.endswith(".json") or not files.look(name, path, found_digest):
                return None
        elif not files.is_same(name, path, found_digest):
            bad.append(name)
    return bad


def has_uncertainty(path: Path) -> bool:
    """Tell whether a product has the plane ``UNCERT``."""
    try:
        return UNCERT in extension_names(path)
    except InputError:
        return False
