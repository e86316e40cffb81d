"""One master serving like frames, or the lack of it, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath, PurePosixPath
from typing import Any

import pandas as pd

from autoreduce.frames.schema import ImageType
from autoreduce.planning.plan import DarkMethod
from autoreduce.planning.words import Lack, number_text

Facts = Mapping[str, Any]
"""One row of a table of setups or of masters."""

NEEDS = ("bias", "dark", "flat")
"""The masters that a frame may need, in the order in which they are taken out."""


SERVED_BY = {
    "bias": (ImageType.BIAS,),
    "dark": (ImageType.DARK, ImageType.FLATDARK),
    "flat": (ImageType.FLAT,),
}
"""Types of the frames that the master for each need is made from."""


BY_HAND = "chosen by hand"
"""What the reason says of a master that the observer named."""


NONE = "none"
"""Word in a cell of the frame table for: without this master."""


@dataclass(frozen=True, slots=True)
class Service:
    """One master and how it serves like frames, or the lack of one."""

    output: str | None
    """Output of the master; None if there is none."""
    level: int | None
    """Level on the ladder."""
    words: str
    """One short sentence."""
    lack: Lack | None = None
    """Why a step is left out for want of it; None if none is."""
    method: DarkMethod | None = None
    """How a dark is taken to the exposure."""
    scale: float | None = 1.0
    """Factor on a dark; None until its fit is known."""
    exptime: float | None = None
    """Exposure of a dark, s."""
    fit: str | None = None
    """Output of the fit that a dark is taken to the exposure by."""
    keeps_bias: bool = False
    """Whether a dark holds its bias."""
    cut: str | None = None
    """Section of a larger master that lies over the frames."""


Services = dict[str, dict[int, Service]]
"""Service of each need, for each setup that has the need."""


def refused_flats(setups: pd.DataFrame, found: Services) -> set[int]:
    """List the setups of flats whose level without light cannot be taken out.

    A flat that keeps that level turns vignetting upside down.

    Parameters
    ----------
    setups : DataFrame
        Facts of each setup.
    found : dict
        What serves them: bias and dark.

    Returns
    -------
    set of int
        Setups of flats with neither bias nor dark nor overscan.
    """
    bare = setups["imagetyp"].eq(ImageType.FLAT) & setups["biassec"].isna()
    return {
        row
        for row in setups.index[bare.astype(bool)].tolist()
        if found["bias"][row].output is None and found["dark"][row].output is None
    }


def stem(cell: str) -> str:
    """Return the name of a master from its path or name."""
    name = PurePosixPath(cell.strip()).name.removesuffix(".fits")
    return NONE if name.lower() == NONE else name


def is_absolute(cell: str) -> bool:
    """Tell whether a cell is the path of a master that stands in a library."""
    return PurePath(cell.strip()).is_absolute()


def dark_service(setup: Facts, master: Facts, method: DarkMethod) -> Service:
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
    Service
        Without a level.
    """
    words = f"dark {stem(master['output'])}"
    exptime = None if pd.isna(master["exptime"]) else float(master["exptime"])
    service = Service(
        master["output"],
        None,
        words,
        method=method,
        exptime=exptime,
        keeps_bias=bool(master["keeps_bias"]),
    )
    if method is DarkMethod.EXACT or exptime is None:
        return service
    wanted = number_text("exptime", float(setup["exptime"]))
    if method is DarkMethod.FIT:
        words = f"{words} fitted to {wanted}"
        return replace(service, words=words, scale=None, fit=str(master["fit"]))
    scale = float(setup["exptime"]) / exptime
    return replace(service, words=f"{words} scaled by {scale:.4g}", scale=scale)
