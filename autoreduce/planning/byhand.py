"""Masters that the observer names in the frame table."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

import pandas as pd

from autoreduce.errors import TableError
from autoreduce.planning.candidates import Facts, dark_use
from autoreduce.planning.plan import Verdict
from autoreduce.planning.rules import Tolerance
from autoreduce.planning.use import (
    BY_HAND,
    NONE,
    DarkMethod,
    Use,
    is_absolute,
    is_planned,
    stem,
)


def is_by_hand(need: str, cell: object, planned: object) -> bool:
    """Tell whether a cell of the frame table is the observer's own choice.

    A plan writes its choices into the same cells, and notes in ``planned`` which it
    wrote.

    Parameters
    ----------
    need : str
        One of `NEEDS`.
    cell : str or missing
        What the table says.
    planned : str or missing
        What the plan noted; missing where no plan did: then every cell counts as the
        observer's, and one that names what the ladder chooses changes nothing.
    """
    if pd.isna(cell) or not str(cell).strip():
        return False
    return pd.isna(planned) or not is_planned(need, str(cell), str(planned))


def chosen_output(need: str, setup: Facts, masters: Sequence[Facts]) -> str | None:
    """Find the master that the observer names, by path or by name.

    Parameters
    ----------
    need : str
        ``bias``, ``dark`` or ``flat``: the column that holds the name.
    setup : mapping
        The frames, with one of them in ``file``.
    masters : sequence of mapping
        The candidates.

    Returns
    -------
    str or None
        Its output; None for the word ``none``.

    Raises
    ------
    TableError
        If no such master is made.
    """
    cell = str(setup[need])
    name = stem(cell)
    if name == NONE:
        return None
    paths = [str(master["output"]) for master in masters]
    if cell in paths:
        return cell
    # Where a library has a master of the same name, the night's own is meant.
    paths.sort(key=is_absolute, reverse=True)
    outputs = {stem(path): path for path in paths}
    if name in outputs:
        return outputs[name]
    near = get_close_matches(name, outputs, n=3, cutoff=0.0)
    there = f"nearest are {', '.join(near)}" if near else "none is made"
    msg = (
        f"{setup['file']}: {need} names {name}, which is not made from these frames; "
        f"{there}. Give the name of one that is, or {NONE}, or leave the cell empty"
    )
    raise TableError(msg)


def use_by_hand(
    need: str,
    setup: Facts,
    master: Facts | None,
    level: int | None,
    exposure: Tolerance | None,
) -> Use:
    """Serve frames by the master that the observer chose.

    Parameters
    ----------
    need : str
        ``bias``, ``dark`` or ``flat``.
    setup : mapping
        The frames.
    master : mapping or None
        The master, with ``cut`` (section of a larger one that lies over the frames, or
        None); None to go without.
    level : int or None
        Level that the ladder gives it; None counts as 3.
    exposure : Tolerance or None
        Within what exposures are the same; None if darks serve as they are.

    Returns
    -------
    Use
        With `Use.by_hand`.

    Raises
    ------
    TableError
        If the master is not of the frames' size.
    """
    if master is None:
        return Use(need, by_hand=True)
    cut = master["cut"]
    if not cut:
        _check_shape(need, setup, master)
    level = _LAST if level is None else level
    use = Use(need, str(master["output"]))
    if need == "dark":
        use = dark_use(setup, master, _method(setup, master, exposure))
    return replace(use, level=level, by_hand=True, cut=cut)


def _method(setup: Facts, master: Facts, exposure: Tolerance | None) -> DarkMethod:
    """Take a dark to the exposure, as far as that is right."""
    known = pd.notna(setup["exptime"]) and pd.notna(master["exptime"])
    scalable = setup["has_bias"] and not master["keeps_bias"]
    if exposure is None or not known or not scalable:
        return DarkMethod.EXACT
    wanted, found = float(setup["exptime"]), float(master["exptime"])
    if abs(wanted - found) <= exposure.limit(max(wanted, found)) or found <= 0:
        return DarkMethod.EXACT
    return DarkMethod.FIT if pd.notna(master["fit"]) else DarkMethod.SCALED


def _check_shape(need: str, setup: Facts, master: Facts) -> None:
    for name in ("naxis1", "naxis2", "xbinning", "ybinning"):
        wanted, found = setup[name], master[name]
        if pd.notna(wanted) and pd.notna(found) and wanted != found:
            msg = (
                f"{setup['file']}: {need} names {master['output']}, whose {name} is "
                f"{found}, not {wanted}; choose one of the same size, or {NONE}"
            )
            raise TableError(msg)


def overruled(entries: Sequence[Verdict], chosen: str | None) -> tuple[Verdict, ...]:
    """Write into the verdicts of one setup that the observer decided.

    Parameters
    ----------
    entries : sequence of Verdict
        As the ladder has it.
    chosen : str or None
        Output of the observer's choice.
    """
    return tuple(
        _taken_by_hand(entry)
        if entry.candidate == chosen
        else replace(entry, chosen=False, criterion=entry.criterion or BY_HAND)
        for entry in entries
    )


def _taken_by_hand(entry: Verdict) -> Verdict:
    level = _LAST if entry.level is None else entry.level
    return replace(
        entry, chosen=True, level=level, criterion=BY_HAND, wanted="", found=""
    )


_LAST = 3
"""Level of a master that the ladder would have refused."""
