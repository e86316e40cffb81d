"""An output folder: which files in it are ours, and what is put aside."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from autoreduce.calibration.dark_rates import rate_map_of
from autoreduce.fits.ledger import LEDGER, Ledger, content_digest
from autoreduce.fits.whole import parts_in, sync, unwritten, write_text
from autoreduce.products.state import written_digest

log = logging.getLogger(__name__)

PRODUCT_FOLDERS = ("masters", "calibrated", "exposures", "registration", "stacks")
"""Folders of products, below the output folder."""
PICTURES = "pictures"
"""Folder of finished pictures, below the output folder."""
CURVES = "lightcurves"
"""Folder of light curves, below the output folder: made when the observer asks."""
INPUTS = "_inputs.json"
"""Ends the name of what a light curve was taken from."""
LEFT_OVER = "left_over"
"""Folder of what we made and do not need, below the output folder."""
FRAMES, EDITED = "frames.csv", "frames.edited.csv"
"""The frame table, which the observer may edit, and where an edit of it is kept."""
NEXT = f"next {FRAMES}"
"""Under which the ledger has the frame table that is about to be written."""


def clear_parts(folder: Path) -> None:
    """Remove the unfinished files of runs and workers that were killed.

    The folder is held, and no task is under way.
    """
    names = (*PRODUCT_FOLDERS, PICTURES, CURVES)
    for place in (folder, *(folder / name for name in names)):
        for path in parts_in(place) if place.is_dir() else ():
            log.info("%s, left by a run or worker that was killed, is removed", path)
            path.unlink(missing_ok=True)


def remember(folder: Path, names: Iterable[str]) -> None:
    """Enter files that were just written into the folder's ledger.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    ledger = Ledger.load(folder / LEDGER)
    for name in names:
        ledger.look(name, folder / name, written_digest)
    ledger.save(folder / LEDGER)


def announce(folder: Path, part: Path) -> None:
    """Enter a frame table into the folder's ledger before it has its name.

    What a run has written that was killed before it could `remember` it is then no edit.

    Raises
    ------
    ProductError
        If the ledger cannot be written.
    """
    ledger = Ledger.load(folder / LEDGER)
    ledger.look(NEXT, part, content_digest)
    ledger.save(folder / LEDGER)


def note_inputs(folder: Path, name: str, inputs: Iterable[str]) -> None:
    """Write down what a light curve was taken from, so that a later run sees if it is new.

    Parameters
    ----------
    folder : Path
        Output folder, which the caller holds.
    name : str
        Where to, below it, in `CURVES`.
    inputs : iterable of str
        Products below the folder.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    ledger = Ledger.load(folder / LEDGER)
    digests = {one: ledger.look(one, folder / one, written_digest) for one in inputs}
    write_text(folder / name, json.dumps({"inputs": digests}, indent=1))
    remember(folder, [name])


def outdated_curves(folder: Path) -> list[str]:
    """List the light curves that were taken from products which are other ones now."""
    ledger = Ledger.load(folder / LEDGER)
    found = []
    for name in sorted(ledger):
        if not (name.startswith(f"{CURVES}/") and name.endswith(INPUTS)):
            continue
        try:
            text = (folder / name).read_text("utf-8")
            inputs = json.loads(text)["inputs"].items()
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue
        if any(one not in ledger or ledger.digest(one) != old for one, old in inputs):
            found.append(f"{name.removesuffix(INPUTS)}_curve.csv")
    return found


def put_aside(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Move files out of the way, to where nobody takes them for products.

    Parameters
    ----------
    folder : Path
        Output folder.
    names : iterable of str
        Files below it; those that are not there are passed over.

    Returns
    -------
    dict of str to str
        Where each lies now, below the output folder.

    Raises
    ------
    ProductError
        If one cannot be moved.
    """
    places = {}
    for name in names:
        path = folder / name
        if not os.path.lexists(path):
            continue
        place = _free(folder / LEFT_OVER / name)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
            sync(place.parent)
            sync(path.parent)
        except OSError as error:
            raise unwritten(place, error) from error
        places[name] = place.relative_to(folder).as_posix()
    return places


def _free(path: Path) -> Path:
    """Return a path, numbered if something stands there."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return free


def keep_edited(folder: Path) -> bool:
    """Copy the frame table to `EDITED` if it is not as we wrote it.

    Returns
    -------
    bool
        Whether it was; a table that no ledger knows counts as ours.

    Raises
    ------
    ProductError
        If the copy cannot be written.
    """
    path, ledger = folder / FRAMES, Ledger.load(folder / LEDGER)
    if FRAMES not in ledger or not path.is_file():
        return False
    if any(ledger.is_same(name, path, content_digest) for name in (FRAMES, NEXT)):
        return False
    put_aside(folder, [EDITED])
    try:
        path.rename(folder / EDITED)
    except OSError as error:
        raise unwritten(folder / EDITED, error) from error
    return True


def no_longer_planned(folder: Path, planned: Iterable[str]) -> tuple[list[str], int]:
    """Find the products that we made and that no plan makes any more.

    Parameters
    ----------
    folder : Path
        Output folder.
    planned : iterable of str
        Files that the plan may make, pictures among them; of a fit its map as well.

    Returns
    -------
    stale : list of str
        Those that are there, by name.
    n_products : int
        Products that are there, these and the others.
    """
    wanted = set(planned)
    wanted |= {
        rate_map_of(Path(name)).as_posix() for name in wanted if name.endswith(".json")
    }
    ours = [
        name
        for name in sorted(Ledger.load(folder / LEDGER))
        if name.startswith(tuple(f"{one}/" for one in (*PRODUCT_FOLDERS, PICTURES)))
        and (folder / name).is_file()
    ]
    return [name for name in ours if name not in wanted], len(ours)


def forget(folder: Path, names: Iterable[str]) -> None:
    """Strike files out of the folder's ledger."""
    ledger = Ledger.load(folder / LEDGER)
    for name in names:
        ledger.forget(name)
    ledger.save(folder / LEDGER)
