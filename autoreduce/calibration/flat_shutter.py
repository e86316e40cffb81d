"""The pattern of the shutter that a master flat tells, as its table ``SHUTTER``."""

from pathlib import Path

import numpy as np

from autoreduce.errors import InputError
from autoreduce.fits.tables import read_table, table_extension
from autoreduce.pixels.shutter import Shutter

EXTNAME = "SHUTTER"


def shutter_table(shutter: Shutter | None) -> bytes:
    """Write a pattern as the table ``SHUTTER``; nothing without one."""
    if shutter is None:
        return b""
    terms = np.array(shutter.terms)
    x, y = np.meshgrid(*(np.arange(n) for n in terms.shape[::-1]))
    return table_extension(
        EXTNAME,
        {
            "X": x.ravel().astype("i2"),
            "Y": y.ravel().astype("i2"),
            "DELAY": terms.ravel().astype("f8"),
        },
        units={"DELAY": "s"},
        comments={
            "X": "degree of the Legendre polynomial of x",
            "Y": "... of y; both run from -1 to 1",
            "DELAY": "exposure beyond what the header tells",
        },
    )


def read_shutter(path: Path) -> Shutter | None:
    """Read the pattern that a master flat tells; None if it tells none."""
    try:
        table = read_table(path, EXTNAME)
    except InputError:
        return None
    terms = np.zeros((table["Y"].max() + 1, table["X"].max() + 1))
    terms[table["Y"], table["X"]] = table["DELAY"]
    return Shutter(tuple(map(tuple, terms.tolist())))
