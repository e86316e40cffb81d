"""Whether an output folder holds what was written there: everything is read."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from autoreduce.errors import InputError
from autoreduce.fits.checksum import check_hdus
from autoreduce.fits.ledger import LEDGER, Ledger, content_digest
from autoreduce.products.state import RAW, found_digest
from autoreduce.remarks import Remark, remark
from autoreduce.running.folder import FRAMES, NEXT
from autoreduce.running.lock import holder_of

PLAN = "plan.json"
_UNREADABLE = (OSError, InputError)


class Verified(NamedTuple):
    """What was read of an output folder."""

    files: list[str]
    """All files, by their names below the folder; inputs by their paths."""
    remarks: list[Remark]
    """What is not as it was written; empty if all is well."""


def verify(folder: Path, *, inputs: bool = False, jobs: int = 1) -> list[Remark]:
    """Tell what is not as it was written to a folder; as `read_back` does."""
    return read_back(folder, inputs=inputs, jobs=jobs).remarks


def read_back(folder: Path, *, inputs: bool = False, jobs: int = 1) -> Verified:
    """Read all that runs have written to a folder, and tell what is not as it was.

    The observer's frame table is passed over.

    Parameters
    ----------
    folder : Path
        Output folder.
    inputs : bool
        Whether raw frames and masters of a library are read as well.
    jobs : int
        Files that are read at a time.

    Returns
    -------
    Verified
        What was read, and what is wrong.

    Raises
    ------
    InputError
        If the folder is none that a run has written to.
    """
    if not ((folder / LEDGER).exists() or (folder / PLAN).exists()):
        msg = f"{folder} holds no products of autoreduce: name an output folder, or a night that was reduced"
        raise InputError(msg)
    found = []
    if holder := holder_of(folder):
        found.append(remark("interrupted", str(folder), found=str(holder)))
    try:
        ledger = Ledger.read(folder / LEDGER)
    except _UNREADABLE as error:
        ledger = Ledger()
        found.append(remark("no-ledger", LEDGER, found=str(error)))
    outcomes, root = _told(folder, ledger, found)
    written = [name for name in ledger if not _is_input(name)]
    written = [name for name in written if name not in (FRAMES, NEXT)]
    names = dict.fromkeys([*written, *outcomes])
    if inputs and root is None:
        names[PLAN] = None  # nothing else tells where the night is
    checks = {name: _check_of(folder / name, name, ledger) for name in names}
    if inputs and root is not None:
        for name in filter(_is_input, ledger):
            path = root / name.removeprefix(RAW)
            checks[str(path)] = _check_of_input(path, name, ledger)
    with ThreadPoolExecutor(jobs) as pool:
        answers = pool.map(lambda check: check(), checks.values())
        found += [one for one in answers if one is not None]
    return Verified(list(checks), found)


def _is_input(name: str) -> bool:
    return name.startswith(RAW) or Path(name).is_absolute()


def _told(
    folder: Path, ledger: Ledger, found: list[Remark]
) -> tuple[list[str], Path | None]:
    """Read from the plan which products there should be, and where the night is."""
    try:
        plan = json.loads((folder / PLAN).read_text("utf-8"))
        return list(_made(plan["outcomes"])), Path(plan["root"])
    except FileNotFoundError:  # `run_plan` writes none; else the ledger knows of it
        return [], None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if PLAN not in ledger:
            found.append(remark("changed", PLAN, found=f"it is no plan ({error})"))
        return [], None


def _made(outcomes: dict[str, dict[str, object]]) -> Iterator[str]:
    for output, outcome in outcomes.items():
        if outcome["status"] in ("done", "current"):
            names = outcome["outputs"]
            yield from names if isinstance(names, list) and names else [output]


Check = Callable[[], Remark | None]


def _check_of(path: Path, name: str, ledger: Ledger) -> Check:
    """Make what tells whether a file is as it was written."""

    def check() -> Remark | None:
        try:
            found = found_digest(path)
        except FileNotFoundError:
            return remark("lost", name)
        except _UNREADABLE as error:
            why = str(error) if path.exists() else ""
            return remark("changed", name, found=why) if why else remark("lost", name)
        if name in ledger and found != ledger.digest(name):
            return remark("changed", name, found="it holds something else")
        return None

    return check


def _check_of_input(path: Path, name: str, ledger: Ledger) -> Check:
    """Make what tells whether an input is as it was read, and as its camera wrote it."""
    is_raw = name.startswith(RAW)

    def check() -> Remark | None:
        try:
            found = content_digest(path) if is_raw else found_digest(path)
            if is_raw:
                check_hdus(path)
        except _UNREADABLE as error:
            return remark("input-changed", str(path), found=str(error))
        if found != ledger.digest(name):
            return remark("input-changed", str(path), found="it holds something else")
        return None

    return check
