"""The table ``STARS`` of a calibrated light."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.tables import read_table, table_extension
from autoreduce.pixels.stars import STAR

if TYPE_CHECKING:
    import pandas as pd

EXTNAME = "STARS"


class _Column(NamedTuple):
    """How a field of `STAR` stands in the file."""

    name: str
    dtype: str
    unit: str
    comment: str
    first: int = 0
    """What the first pixel is called."""


_COLUMNS = {
    "x": _Column("X_IMAGE", "f8", "pixel", "the centre of the first pixel is 1", 1),
    "y": _Column("Y_IMAGE", "f8", "pixel", "the centre of the first pixel is 1", 1),
    "error": _Column("ERR_IMAGE", "f4", "pixel", "1-sigma error of x and of y"),
    "flux": _Column("FLUX", "f4", "adu", "within two widths of the stars"),
    "flux_error": _Column("FLUX_ERR", "f4", "adu", "1-sigma error"),
    "peak": _Column("PEAK", "f4", "adu", "brightest pixel, above the sky"),
    "snr": _Column("SNR", "f4", "", "flux of the core over its error"),
    "fwhm": _Column("FWHM", "f4", "pixel", "full width at half maximum"),
    "elongation": _Column("ELONGAT", "f4", "", "length over width"),
    "angle": _Column("ANGLE", "f4", "deg", "long axis, from x towards y"),
    "flags": _Column("FLAGS", "i2", "", "1 saturated 2 cut 4 blended 8 incomplete"),
}


def stars_extension(
    stars: NDArray[Any], unit: str = "adu", scale: float = 1.0
) -> bytes:
    """Write stars as the extension ``STARS``.

    Parameters
    ----------
    stars : (n,) array of `STAR`
        Stars, in pixels counted from 0, their fluxes in ADU.
    unit : str
        Unit that their fluxes are written in ...
    scale : float
        ... and how many of it are an ADU.
    """
    factors = {one.name: scale for one in _COLUMNS.values() if one.unit == "adu"}
    units = {one.name: one.unit for one in _COLUMNS.values() if one.unit}
    return table_extension(
        EXTNAME,
        {
            column.name: (
                (stars[field] + column.first) * factors.get(column.name, 1)
            ).astype(column.dtype)
            for field, column in _COLUMNS.items()
        },
        units=units | dict.fromkeys(factors, unit),
        comments={one.name: one.comment for one in _COLUMNS.values()},
    )


def read_stars(path: Path) -> NDArray[Any]:
    """Read the stars of a calibrated light.

    Returns
    -------
    (n,) array of `STAR`
        In pixels counted from 0, the brightest first.

    Raises
    ------
    InputError
        If it has no such table.
    """
    table = read_table(path, EXTNAME)
    stars = np.zeros(len(table), STAR)
    for field, column in _COLUMNS.items():
        stars[field] = table[column.name] - column.first
    return stars


def stars(path: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read the stars that were found in a calibrated light.

    Parameters
    ----------
    path : path
        A calibrated light that autoreduce made.

    Returns
    -------
    DataFrame
        One row for each star, the brightest first: ``x``, ``y`` (pixel, the first one
        is 0, as arrays are indexed), ``error`` (of either, pixel), ``flux``,
        ``flux_error``, ``peak`` (ADU), ``snr``, ``fwhm`` (pixel), ``elongation``,
        ``angle`` (deg, from x towards y), ``flags`` (1 saturated, 2 cut by the edge,
        4 blended, 8 incomplete).

    Raises
    ------
    InputError
        If the file has no table ``STARS``.

    Examples
    --------
    >>> from autoreduce import stars
    >>> stars("night_reduced/calibrated/m13_0074.fits").head()  # doctest: +SKIP
    """
    import pandas as pd

    return pd.DataFrame(read_stars(Path(path)))
