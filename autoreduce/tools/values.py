"""Numbers, sexagesimal values and dates in the forms that headers hold."""

import re
from datetime import UTC, date, datetime

from autoreduce.tools.filelists import NaturalKey, natural_key

_SEXAGESIMAL = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>\d+)[: hd](?P<minutes>\d{1,2})"
    r"([: m'](?P<seconds>\d{1,2}(\.\d*)?)[s\"]?)?"
)
_ISO_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(.+))?")
_COMPACT_DATE = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2}))?")
_OLD_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2})")  # before 1998: day/month/year
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d*))?)?Z?")

SortValue = tuple[int, float, datetime, NaturalKey]
_NO_DATE = datetime.min.replace(tzinfo=UTC)
_NO_TEXT: NaturalKey = ((), "")


def parse_number(text: str) -> float | None:
    """Read a number, with the exponent of Fortran (``1.5D3``) too; None if it is none.

    Examples
    --------
    >>> parse_number(" 1.5D3 ")
    1500.0
    """
    try:
        return float(re.sub("[dD]", "e", text.strip()))
    except ValueError:
        return None


def parse_sexagesimal(text: str) -> float | None:
    """Read ``-05:30:00``, ``5h30m`` or ``12 34 56.7`` in its first unit.

    Examples
    --------
    >>> parse_sexagesimal("-00:30:00")
    -0.5
    """
    match = _SEXAGESIMAL.fullmatch(text.strip())
    if match is None:
        return None
    minutes, seconds = float(match["minutes"]), float(match["seconds"] or 0)
    if minutes >= 60 or seconds >= 60:
        return None
    value = float(match["whole"]) + minutes / 60 + seconds / 3600
    return -value if match["sign"] == "-" else value


def parse_date(text: str, time: str = "") -> datetime | None:
    """Read a date, with or without a time of day, as UTC.

    Parameters
    ----------
    text : str
        ``2021-02-27T01:02:03.5``, ``2021/02/27``, ``20210227T010203`` or, as headers
        had it before 1998, ``27/02/98``.
    time : str
        Time of day (``01:02:03``) that belongs to a date without one.

    Returns
    -------
    datetime or None
        None if the text is not a date.

    Examples
    --------
    >>> parse_date("27/02/98", "01:02:03").isoformat()
    '1998-02-27T01:02:03+00:00'
    """
    text = text.strip()
    if match := _ISO_DATE.fullmatch(text):
        year, month, day, clock = *map(int, match.group(1, 2, 3)), match[4] or time
    elif match := _COMPACT_DATE.fullmatch(text):
        year, month, day = map(int, match.group(1, 2, 3))
        clock = ":".join(match.group(4, 5, 6)) if match[4] else time
    elif match := _OLD_DATE.fullmatch(text):
        day, month, year = map(int, match.groups())
        year, clock = year + 1900, time
    else:
        return None
    return _moment(year, month, day, clock)


def _moment(year: int, month: int, day: int, clock: str) -> datetime | None:
    match = _TIME.fullmatch(clock.strip() or "00:00")
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    fraction = int((match[4] or "").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, minute, second, fraction, UTC)
    except ValueError:
        return None


def date_digits(moment: date) -> str:
    """Write a date as in ``20210227``."""
    return f"{moment:%Y%m%d}"


def sort_value(value: object, time: str = "") -> SortValue:
    """Return a sort key in which numbers, dates and texts sort as what they are.

    Parameters
    ----------
    value : object
        A value of a header, or None.
    time : str
        Time of day that belongs to a date without one.

    Returns
    -------
    tuple
        Numbers come first, then dates, then texts in natural order; None and blank
        texts come last.
    """
    if isinstance(value, bool | int | float):
        return 0, float(value), _NO_DATE, _NO_TEXT
    text = "" if value is None else str(value).strip()
    if not text:
        return 3, 0.0, _NO_DATE, _NO_TEXT
    if (moment := parse_date(text, time)) is not None:
        return 1, 0.0, moment, _NO_TEXT
    number = parse_number(text)
    if number is None:
        number = parse_sexagesimal(text)
    if number is not None and number == number:  # noqa: PLR0124 -- not NaN
        return 0, number, _NO_DATE, _NO_TEXT
    return 2, 0.0, _NO_DATE, natural_key(text)
