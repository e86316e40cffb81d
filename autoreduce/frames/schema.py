"""The frame table: one row per raw image, one typed column per fact.

Every step from scanning to reporting takes a frame table and returns one, so this
module is the contract that the rest of the package is written against.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from autoreduce.errors import TableError
from autoreduce.frames.measured import MEASURED

if TYPE_CHECKING:
    import pandas as pd


class ImageType(StrEnum):
    """What a frame was taken for."""

    BIAS = "bias"
    DARK = "dark"
    FLATDARK = "flatdark"
    FLAT = "flat"
    LIGHT = "light"
    MASTER = "master"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the frame table, with its unit and its meaning."""

    name: str
    dtype: str
    unit: str
    doc: str


UTC = "datetime64[us, UTC]"

FACT_COLUMNS = (
    Column("file", "string", "", "Path below the night's folder; [N] names HDU N."),
    Column("use", "boolean", "", "Whether the frame takes part in the reduction."),
    Column(
        "why_not",
        "string",
        "",
        "Why it is left out; with use true: kept in spite of this reason.",
    ),
    Column(
        "code", "string", "", "Stable word for why_not, as docs/messages.md has it."
    ),
    Column("imagetyp", "string", "", "One of ImageType; missing if nothing tells."),
    Column("object", "string", "", "What the telescope pointed at."),
    Column("filter", "string", "", "Filter; wheels in series are joined by '+'."),
    Column("exptime", "Float64", "s", "Time that the shutter was open."),
    Column("xbinning", "Int64", "pixel", "Binning along NAXIS1."),
    Column("ybinning", "Int64", "pixel", "Binning along NAXIS2."),
    Column("readoutm", "string", "", "Readout mode."),
    Column("gain", "Float64", "", "Gain setting of the camera (not e-/ADU)."),
    Column("offset", "Float64", "", "Offset (black level) setting of the camera."),
    Column("egain", "Float64", "electron/adu", "Electrons per data number."),
    Column("rdnoise", "Float64", "electron", "1-sigma noise of one read."),
    Column("ccd_temp", "Float64", "deg_C", "Sensor temperature, measured."),
    Column("set_temp", "Float64", "deg_C", "Sensor temperature asked for."),
    Column("date_obs", UTC, "", "Start of the exposure, UTC."),
    Column("night", "string", "", "Local date of the evening (YYYY-MM-DD)."),
    Column("instrume", "string", "", "Camera, as the header names it."),
    Column("telescop", "string", "", "Telescope, as the header names it."),
    Column("focallen", "Float64", "mm", "Focal length."),
    Column("rotator", "Float64", "deg", "Position angle of the rotator."),
    Column("disperser", "string", "", "Grating or grism in the beam."),
    Column("naxis1", "Int64", "pixel", "Columns of the raw image."),
    Column("naxis2", "Int64", "pixel", "Rows of the raw image."),
    Column("xorgsubf", "Int64", "pixel", "First column of a subframe, zero-based."),
    Column("yorgsubf", "Int64", "pixel", "First row of a subframe, zero-based."),
    Column("biassec", "string", "", "Overscan section, FITS text [x1:x2,y1:y2]."),
    Column("trimsec", "string", "", "Section that is kept, FITS text."),
    Column(
        "amplifiers",
        "string",
        "",
        "Amplifiers of the detector, each as HDU DATA PLACE OVERSCAN EGAIN RDNOISE "
        "SATURATE; missing for a single one.",
    ),
    Column("detector", "string", "", "Which detector of the camera."),
    Column(
        "place",
        "string",
        "",
        "What was read of the detector, or where it lies in the focal plane, FITS text, "
        "in pixels without binning.",
    ),
    Column("bayerpat", "string", "", "Colour filter array, such as RGGB."),
    Column("roworder", "string", "", "TOP-DOWN or BOTTOM-UP: which row is the first."),
    Column(
        "turned", "boolean", "", "Whether its rows are read from the last to the first."
    ),
    Column("pedestal", "Float64", "adu", "Level that the writer added to all pixels."),
    Column("coadds", "Int64", "", "Exposures that the camera added up, if several."),
    Column("slit", "string", "", "Slit in the beam."),
    Column("lamp", "string", "", "What a flat was lit by."),
    Column("saturate", "Float64", "adu", "Level at which pixels saturate."),
    Column(
        "counts",
        "string",
        "",
        "How its pixels count, where the night's frames do not count alike.",
    ),
    Column("ra", "Float64", "deg", "Right ascension of the pointing."),
    Column("dec", "Float64", "deg", "Declination of the pointing."),
    Column("latitude", "Float64", "deg", "Latitude of the telescope, north positive."),
    Column("longitude", "Float64", "deg", "Longitude of the telescope, east positive."),
    Column("height", "Float64", "m", "Height of the telescope above the sea."),
    Column("software", "string", "", "Program that wrote the file."),
)
"""What headers tell, and whether the frame is used."""

PLAN_COLUMNS = (
    Column("group", "string", "", "Group of like frames; stem of its product."),
    Column(
        "bias",
        "string",
        "",
        "Master bias: path below the output folder, or of a library.",
    ),
    Column(
        "dark",
        "string",
        "",
        "Master dark: path below the output folder, or of a library.",
    ),
    Column("dark_scale", "Float64", "", "Factor on the master dark where not 1."),
    Column(
        "flat",
        "string",
        "",
        "Master flat: path below the output folder, or of a library.",
    ),
    Column("planned", "string", "", "Masters that the plan itself chose."),
    Column("level", "Int64", "", "Worst level among its masters, 0 (best) to 3."),
    Column("reason", "string", "", "One short sentence for each master, or lack."),
)
"""What the plan decided for the frame."""

MEASURED_COLUMNS = (
    *(Column(m.name, m.dtype, m.unit, m.doc) for m in MEASURED if m.of_frames),
    Column("unstacked", "string", "", "Why no stack has the light."),
)
"""What a run measured."""

FRAME_COLUMNS = FACT_COLUMNS + PLAN_COLUMNS + MEASURED_COLUMNS

UNREADABLE_COLUMNS = ("file", "reason")
"""Columns of the table of files that could not be taken into the frame table."""

EVIDENCE_COLUMNS = ("file", "fact", "value", "keyword", "literal", "rule", "disagree")
"""Columns of the evidence: which keyword gave a fact, and which say otherwise."""


def make_frame_table(rows: Iterable[Mapping[str, object]]) -> "pd.DataFrame":
    """Build a frame table in which every column has its declared type.

    Parameters
    ----------
    rows : iterable of mapping
        Facts about each frame, keyed by column name.  A fact that is left out
        becomes a missing value: never a guess.

    Returns
    -------
    DataFrame
        The columns of `FRAME_COLUMNS` in that order, one row per frame, sorted by
        time and then by file (undated frames last).

    Raises
    ------
    TableError
        If a fact is not a column, does not fit its column's type, or if two rows
        claim the same frame.
    """
    import pandas as pd

    columns: dict[str, list[object]] = {"file": []}
    left = iter(rows)
    while some := list(islice(left, _ROWS_AT_A_TIME)):
        n = len(columns["file"])
        for name in set().union(*some) - columns.keys():
            columns[name] = [None] * n
        for name, cells in columns.items():
            cells += [row.get(name) for row in some]
    if strange := columns.keys() - {column.name for column in FRAME_COLUMNS}:
        msg = f"not columns of the frame table: {', '.join(sorted(strange))}"
        raise TableError(msg)
    told = {name: pd.Series(cells, dtype=object) for name, cells in columns.items()}
    return _typed(told, len(columns["file"]))


_ROWS_AT_A_TIME = 1000


def typed(table: "pd.DataFrame") -> "pd.DataFrame":
    """Give every column of a frame table its declared type, and sort by time.

    Parameters
    ----------
    table : DataFrame
        Any subset of `FRAME_COLUMNS` (at least ``file``), of any type.

    Returns
    -------
    DataFrame
        As `make_frame_table` returns; columns not present are all missing, and
        ``use`` is true where it was missing.

    Raises
    ------
    TableError
        As `make_frame_table`.
    """
    made = _typed({name: table[name].copy() for name in table}, len(table))
    made.attrs.update(table.attrs)
    return made


def _typed(told: "Mapping[str, pd.Series]", n: int) -> "pd.DataFrame":
    """Make a frame table of `n` rows, which takes the columns that are told."""
    import pandas as pd

    columns = {
        column.name: _cast(told[column.name], column).array
        if column.name in told
        else pd.array([None], dtype=column.dtype).repeat(n)
        for column in FRAME_COLUMNS
    }
    columns["use"] = columns["use"].fillna(value=True)
    table = pd.DataFrame(columns, copy=False)
    twice = table["file"][table["file"].duplicated()]
    if not twice.empty:
        msg = f"frame {twice.iloc[0]} is listed twice; keep one of its rows"
        raise TableError(msg)
    return table.sort_values(
        ["date_obs", "file"], na_position="last", kind="stable", ignore_index=True
    )


def rows_of(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Give the rows of a table by column, None where a cell is missing.

    It is what `DataFrame.to_dict` gives, in half the time.
    """
    names = list(table)
    columns = (cells_of(table[name]) for name in names)
    return [
        dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)
    ]


def cells_of(column: "pd.Series") -> list[Any]:
    """Give the cells of a column, None where one is missing."""
    import pandas as pd

    missing = pd.NA
    return [None if cell is missing else cell for cell in column.tolist()]


def iso_texts(times: "pd.Series") -> list[str | None]:
    """Write times (UTC) as `datetime.isoformat` does, without the zone; None: missing."""
    texts = np.datetime_as_string(times.to_numpy("datetime64[us]")).tolist()
    return [None if text == "NaT" else text.removesuffix(".000000") for text in texts]


def _cast(values: "pd.Series", column: Column) -> "pd.Series":
    import pandas as pd

    if str(values.dtype) == column.dtype:
        return values
    try:
        if column.dtype == UTC:
            parsed = pd.to_datetime(values, utc=True, format="ISO8601")
            return parsed.astype(UTC)
        if column.dtype == "boolean":
            return values.map(_truth, na_action="ignore").astype("boolean")
        if column.dtype in ("Float64", "Int64"):
            return pd.to_numeric(values).astype(column.dtype)
        return values.astype(column.dtype)
    except (TypeError, ValueError) as error:
        msg = f"column {column.name} must hold {column.dtype}: {error}"
        raise TableError(msg) from error


def _truth(value: object) -> bool:
    word = str(value).strip().lower()
    if word in {"true", "yes", "y", "t", "1", "1.0"}:
        return True
    if word in {"false", "no", "n", "f", "0", "0.0"}:
        return False
    msg = f"{value!r} is neither true nor false"
    raise ValueError(msg)
