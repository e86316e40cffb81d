"""The masters that may serve: those of the frames at hand, and those of a library."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from autoreduce.errors import TableError
from autoreduce.frames.schema import FACT_COLUMNS, ImageType, rows_of
from autoreduce.planning.grouping import FACT_NAMES, LIMIT, TIME, comparable, hours_of
from autoreduce.planning.rules import TEMPERATURE, TemperatureRule
from autoreduce.planning.use import DarkMethod, Use, Uses

Facts = Mapping[str, Any]
"""One row of a table of setups or of masters."""

SERVED_BY = {
    "bias": (ImageType.BIAS,),
    "dark": (ImageType.DARK, ImageType.FLATDARK),
    "flat": (ImageType.FLAT,),
}
"""Types of the frames that the master for each need is made from."""

ORIGIN = "origin"
"""Column that tells where a master comes from."""
HERE = "these frames"
"""Origin of a master that is made by the plan."""
LIBRARY = "library"
"""Origin of a master that stands in a library."""

LIBRARY_DTYPES = {
    "output": "string",
    **{column.name: column.dtype for column in FACT_COLUMNS},
    "n_frames": "Int64",
    "keeps_bias": "boolean",
}
"""Columns of a table of a library's masters that planning reads: ``output`` (absolute
path), `FACT_NAMES`, ``date_obs`` (start, UTC), ``n_frames``, ``keeps_bias`` (whether a
dark holds its bias)."""


def masters_of_frames(groups: pd.DataFrame, need: str) -> pd.DataFrame:
    """Take the groups that the masters for a need are made from."""
    masters = groups[groups["imagetyp"].isin(SERVED_BY[need])]
    return masters.assign(origin=pd.Series(HERE, masters.index, dtype="string"))


def library_candidates(
    library: pd.DataFrame | None, rule: TemperatureRule
) -> pd.DataFrame:
    """Describe the masters of a library as the groups of a night are described.

    Parameters
    ----------
    library : DataFrame or None
        One row for each master, with the columns of `LIBRARY_DTYPES`.
    rule : TemperatureRule
        How temperatures are read.

    Returns
    -------
    DataFrame
        `FACT_NAMES`, ``temperature``, ``temperature_limit``, ``hours``, ``n_frames``,
        ``output``, ``keeps_bias``, ``origin``; empty without a library.

    Raises
    ------
    TableError
        If a column is missing.
    """
    names = [*FACT_NAMES, TIME, "n_frames", "keeps_bias", "output"]
    if library is None:
        return pd.DataFrame(columns=[*names, TEMPERATURE, LIMIT, "hours", ORIGIN])
    if lost := sorted(set(names) - set(library)):
        msg = (
            f"the library's table has no column {', '.join(lost)}: make its index anew"
        )
        raise TableError(msg)
    table = library[names].astype({name: LIBRARY_DTYPES[name] for name in names})
    table = comparable(table.reset_index(drop=True), rule)
    origin = pd.Series(LIBRARY, table.index, dtype="string")
    return table.assign(
        hours=hours_of(table[TIME]),
        keeps_bias=table["keeps_bias"].fillna(value=False).astype(bool),
        origin=origin,
    )


def with_library(
    masters: pd.DataFrame, library: pd.DataFrame, need: str
) -> pd.DataFrame:
    """Put the masters of a library behind those of the frames at hand."""
    more = library[library["imagetyp"].isin(SERVED_BY[need])]
    if more.empty:
        return masters
    columns = [name for name in masters if name in more]
    more = more.astype({name: masters[name].dtype for name in columns})
    parts = [part for part in (masters, more) if len(part)]
    return pd.concat(parts, ignore_index=True).reindex(columns=list(masters))


def with_zero_level(setups: pd.DataFrame, found: Uses, kind: ImageType) -> set[int]:
    """List the setups whose level without light cannot be taken out.

    A flat that keeps that level turns vignetting upside down, and a light that keeps it
    would have it divided by the flat.

    Parameters
    ----------
    setups : DataFrame
        Facts of each setup.
    found : dict
        What serves them: bias and dark.
    kind : ImageType
        Flats or lights.

    Returns
    -------
    set of int
        Setups of that type with neither bias nor dark nor overscan.
    """
    own = setups.loc[setups["imagetyp"].eq(kind).astype(bool), [*_OVERSCANS]]
    return {
        row
        for row, setup in zip(own.index, rows_of(own), strict=True)
        if found["bias"][row].output is None
        and found["dark"][row].output is None
        and not has_overscan(setup)
    }


_OVERSCANS = ("biassec", "amplifiers")
"""Columns that tell of an overscan."""


def has_overscan(setup: Facts) -> bool:
    """Tell whether frames have an overscan, or amplifiers that have one each."""
    if pd.notna(setup["biassec"]):
        return True
    cell = setup["amplifiers"]
    layouts = () if pd.isna(cell) else cell.split(";")
    return any(one.split()[2] != "-" for one in layouts)


def dark_use(setup: Facts, master: Facts, method: DarkMethod) -> Use:
    """Describe how a dark is taken to the exposure of a setup.

    Parameters
    ----------
    setup : mapping
        The frames; their ``exptime`` is known unless the method is EXACT.
    master : mapping
        The dark, with ``output``, ``exptime``, ``keeps_bias`` and ``fit``.
    method : DarkMethod
        How it is taken to the exposure.

    Returns
    -------
    Use
        Without a level.
    """
    exptime = None if pd.isna(master["exptime"]) else float(master["exptime"])
    use = Use(
        "dark",
        master["output"],
        method=method,
        exptime=exptime,
        keeps_bias=bool(master["keeps_bias"]),
    )
    if method is DarkMethod.EXACT or exptime is None:
        return use
    wanted = float(setup["exptime"])
    if method is DarkMethod.FIT:
        return replace(use, wanted=wanted, scale=None, fit=str(master["fit"]))
    return replace(use, wanted=wanted, scale=wanted / exptime)
