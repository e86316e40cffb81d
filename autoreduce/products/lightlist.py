"""What there is to say of each light: the columns of ``lights.csv`` and ``INPUTS``."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from autoreduce.frames.measured import MEASURED, known
from autoreduce.planning.plan import Fact
from autoreduce.products.provenance import mjd

JD_OF_MJD = 2400000.5


class LightColumn(NamedTuple):
    """A column of the table of lights."""

    name: str
    unit: str
    doc: str
    text: bool = False


LIGHT_COLUMNS = (
    LightColumn("light", "", "Calibrated light, below the output folder.", True),
    LightColumn("object", "", "Target.", True),
    LightColumn("filter", "", "Filter.", True),
    LightColumn("exptime", "s", "Exposure."),
    LightColumn("jd_utc", "d", "Julian date of the middle of the exposure, UTC."),
    *(LightColumn(m.name, m.unit, m.doc) for m in MEASURED if m.of_lights),
    LightColumn("field", "", "Number of the field that it shows."),
    LightColumn("dx", "pixel", "Where its centre lies, from the reference's: x."),
    LightColumn("dy", "pixel", "The same: y."),
    LightColumn("rotation", "deg", "Angle by which it is turned."),
    LightColumn("mirrored", "", "Whether it is a mirror image."),
    LightColumn("scale", "", "Size of its pixels, of the reference's."),
    LightColumn("matched", "", "Stars in common with what it was matched with."),
    LightColumn("rms", "pixel", "Distance of those stars from one another."),
    LightColumn("flux_scale", "", "What it was multiplied by in the stack."),
    LightColumn("weight", "", "Its share in the stack; 0 if left out."),
    LightColumn("stack", "", "Stack that it went into.", True),
    LightColumn("why_not", "", "Why no stack has it.", True),
)
"""Columns, units and meaning."""

WHOLE = frozenset(
    {"field", "mirrored", "matched", *(m.name for m in MEASURED if m.whole)}
)
"""Columns of whole numbers."""


def light_row(
    output: str,
    facts: Mapping[str, Fact],
    date_obs: str | None,
    *numbers: Mapping[str, float],
    stack: str = "",
    why_not: str = "",
) -> dict[str, str | float]:
    """Gather what is known of a light.

    Parameters
    ----------
    output : str
        The calibrated light.
    facts : mapping of str to fact
        ``object``, ``filter`` and ``exptime`` (s) of it.
    date_obs : str, optional
        Start of the exposure, ISO 8601 UTC.
    *numbers : mappings of str to float
        What was measured of it; other columns are passed over.
    stack, why_not : str
        Where it went in, or why it did not.
    """
    row: dict[str, str | float] = {"light": output}
    for name in ("object", "filter", "exptime"):
        if (value := facts.get(name)) is not None:
            row[name] = value
    if date_obs:
        exptime = float(facts.get("exptime") or 0.0)
        row["jd_utc"] = julian_date(date_obs, exptime / 2)
    names = {column.name for column in LIGHT_COLUMNS}
    for source in numbers:
        row |= {name: n for name, n in known(source).items() if name in names}
    return row | {"stack": stack, "why_not": why_not}


def julian_date(date_obs: str, later_s: float = 0.0) -> float:
    """Give the Julian date of a time, UTC, and so many seconds.

    Examples
    --------
    >>> julian_date("2000-01-01T12:00:00+00:00")
    2451545.0
    """
    moment = datetime.fromisoformat(date_obs) + timedelta(seconds=later_s)
    return JD_OF_MJD + mjd(moment)
