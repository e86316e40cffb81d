"""What a header literal says: numbers, texts, times, angles in every usual form.

Each function takes the literal as it stands in the header and returns its value in
the frame table's unit, or None where it says nothing that can be relied on.
"""

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta, timezone
from statistics import fmean

from autoreduce.fits.header import Value

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""No CCD frame is older."""
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SET = EARLIEST + _DAY
"""A clock that shows less counts from where all begin: nobody has set it."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?"
_LEADING_NUMBER = re.compile(rf"\s*({_NUMBER})\s*([^\d\s.].*)?$", re.DOTALL)
_LIST = re.compile(rf"[\[(]\s*{_NUMBER}(?:\s*[,; ]\s*{_NUMBER})*\s*[\])]")
_KELVIN = re.compile(r"kelvin|\bk\b|\[k\]", re.IGNORECASE)
_SEXAGESIMAL = re.compile(
    r"\s*([NSEW]?)\s*([+-]?)\s*(\d{1,3})[:hd° ]+(\d{1,2})(?:[:m' ]+(\d{1,2}(?:[.:]\d*)?))?"
    r"\s*([s\"]?)\s*([NSEW]?)\s*$",
    re.IGNORECASE,
)
_SECONDS = {
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_UNIT_WORDS = {
    "s": "s",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "ms": "ms",
    "msec": "ms",
    "millisec": "ms",
    "milliseconds": "ms",
    "us": "us",
    "usec": "us",
    "microseconds": "us",
    "m": "min",
    "min": "min",
    "minutes": "min",
    "d": "d",
    "day": "d",
    "days": "d",
}
_MILLISECONDS = re.compile(r"\[ms\]|\bms\b|\bmsec|milli-?sec", re.IGNORECASE)
_MICROSECONDS = re.compile(r"\[us\]|\bus\b|\busec|micro-?sec", re.IGNORECASE)
_MINUTES = re.compile(r"\[min\]|\bminutes\b", re.IGNORECASE)
_DAYS = re.compile(r"\[d\]|\bin days\b", re.IGNORECASE)
_EXPOSURE_IN_NAME = re.compile(
    r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)[ _]?(ms|msec|s|sec|secs|seconds|min)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_DATE_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)"
    r"(?:[-_T .]+([0-2]\d)[-_:.hH]?[0-5]\d[-_:.mM]?[0-5]\d)?(?!\d)"
)
_NOON = 12
_MONTHS = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_MONTHS_OF_YEAR = len(_MONTHS)
_AHEAD_OF_TAI_S = {
    "TAI": 0.0, "IAT": 0.0, "GPS": -19.0, "TT": 32.184, "TDT": 32.184, "ET": 32.184,
    "TDB": 32.184,
}  # fmt: skip
_TAI_AHEAD_IN_1972_S = 10.0
_LEAP_SECONDS = (
    (1972, 7), (1973, 1), (1974, 1), (1975, 1), (1976, 1), (1977, 1), (1978, 1), (1979, 1),
    (1980, 1), (1981, 7), (1982, 7), (1983, 7), (1985, 7), (1988, 1), (1990, 1), (1991, 1),
    (1992, 7), (1993, 7), (1994, 7), (1996, 1), (1997, 7), (1999, 1), (2006, 1), (2009, 1),
    (2012, 7), (2015, 7), (2017, 1),
)  # fmt: skip
"""Years and months before which a leap second was inserted into UTC."""
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_JD_OF_MJD = 2400000.5

_FRACTION = re.compile(r"(\d+)\s*/\s*([1-9]\d*)\s*(?:s|sec|seconds?)?", re.IGNORECASE)
_HOURS_MINUTES_SECONDS = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d(?:\.\d*)?)")

_ISO_DATE = r"(\d{3,5})[-/.:](\d{1,2}|[A-Za-z]{3,9})[-/.:](\d{1,2})"
_COMPACT_DATE = r"(\d{4})(\d{2})(\d{2})"
_DAY_OF_YEAR = r"(\d{4})[-/:. ](\d{3})"
_DAY_FIRST = r"(\d{1,2})[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/., ]+(\d{4}|\d{2,3})"
_TIME = (
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:[.,:]\d*)?))?"
    r"\s*(Z|UTC?|GMT|[+-]\d{1,2}(?::?\d{2})?)?"
)
_YEAR_FIRST_TIME = re.compile(rf"{_ISO_DATE}(?:[T _]+{_TIME})?", re.IGNORECASE)
_DAY_FIRST_TIME = re.compile(rf"{_DAY_FIRST}(?:[T ]+{_TIME})?", re.IGNORECASE)
_DAY_OF_YEAR_TIME = re.compile(rf"{_DAY_OF_YEAR}(?:[T _:]+{_TIME})?", re.IGNORECASE)
_COMPACT_TIME = re.compile(rf"{_COMPACT_DATE}(?:T?(\d{{2}})(\d{{2}})(\d{{2}}))?(Z?)")
_OF_C = re.compile(
    r"(?:[A-Z][a-z]{2},?\s+)([A-Z][a-z]{2})\s+(\d{1,2})\s+(\d{1,2}:\d{2}:\d{2}(?:\.\d*)?)\s+(\d{4})"
)
"""As C writes a time: ``Mon Jan  1 22:00:00 2024``."""
_ONLY_TIME = re.compile(_TIME, re.IGNORECASE)


def number(value: Value) -> float | None:
    """Return the number that a literal begins with.

    A list of numbers (one for each amplifier) gives their mean.

    Examples
    --------
    >>> number("'40'"), number("060.00"), number("3.0D+02"), number("11 C")
    (40.0, 60.0, 300.0, 11.0)
    >>> number("[2.01, 1.99]")
    2.0
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _finite(float(value))
    text = value.strip().strip("'\"").strip()
    if _LIST.fullmatch(text):
        return _finite(fmean(_to_float(item) for item in re.findall(_NUMBER, text)))
    match = _LEADING_NUMBER.match(text.replace(",", ".") if "." not in text else text)
    return _finite(_to_float(match[1])) if match else None


def lone_number(value: Value) -> float | None:
    """Return a number, or a sexagesimal value in its first unit, with nothing else.

    Examples
    --------
    >>> lone_number(" 1.5D3 "), lone_number("-00:30:00"), lone_number("47 Tuc")
    (1500.0, -0.5, None)
    """
    if not isinstance(value, str):
        return number(value)
    if re.fullmatch(_NUMBER, value.strip()):
        return _finite(_to_float(value.strip()))
    return degrees(value) if _SEXAGESIMAL.match(value) else None


def whole_number(value: Value) -> int | None:
    """Return a whole number; None for a fraction."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def text(value: Value, missing: Collection[str] = ()) -> str | None:
    """Return a text with its white space put in order.

    Parameters
    ----------
    value : str, bool, int, float or None
        The literal.
    missing : collection of str
        Texts, in small letters, that say nothing (``unknown``).
    """
    if value is None or isinstance(value, bool):
        return None
    words = " ".join(_unquoted(str(value)).split())
    words = "".join(letter for letter in words if letter.isprintable())
    return words if words and words.lower() not in missing else None


def seconds(value: Value, unit: str = "s", comment: str = "") -> float | None:
    """Return a duration in seconds.

    The literal's own unit comes first (``2.0 ms``), then the one in the card's
    comment (``[ms]``), then the dialect's.

    Examples
    --------
    >>> seconds("2.0 ms"), seconds("1/4"), seconds("00:05:00"), seconds("5m")
    (0.002, 0.25, 300.0, 300.0)
    """
    text = value.strip() if isinstance(value, str) else ""
    if match := _FRACTION.fullmatch(text):
        return _finite(float(match[1]) / float(match[2]))
    if match := _HOURS_MINUTES_SECONDS.fullmatch(text):
        return 3600.0 * int(match[1]) + 60.0 * int(match[2]) + float(match[3])
    found = number(value)
    if found is None:
        return None
    return found * _SECONDS[_own_unit(value) or _comment_unit(comment) or unit]


_ABSOLUTE_ZERO = 273.15
"""Kelvin of 0 Celsius."""
_COLDEST, _NO_TEMPERATURE = -273.0, 500.0
"""Celsius: no sensor is as cold, nor as hot."""


def celsius(value: Value, comment: str = "") -> float | None:
    """Return a temperature in degrees Celsius.

    It is taken for Kelvin where literal or comment say so, or where it is above
    100: no camera is that hot.  What stands for no temperature (999, absolute zero) is
    none.
    """
    found = number(value)
    if found is None or abs(found) >= _NO_TEMPERATURE:
        return None
    own_unit = value if isinstance(value, str) else ""
    if found > 100 or (found > 0 and _KELVIN.search(f"{own_unit} {comment}")):
        found -= _ABSOLUTE_ZERO
    elif found == 0 and _KELVIN.search(f"{own_unit} {comment}"):
        return None
    return round(found, 6) if found > _COLDEST else None


def degrees(value: Value, *, hours: bool = False) -> float | None:
    """Return an angle in degrees, from a number or from sexagesimal text.

    Parameters
    ----------
    value : str, bool, int, float or None
        A number is degrees; text may be ``+12 34 56.7``, ``12:34:56`` or
        ``105 49 13 W`` (west and south are negative).
    hours : bool
        Whether sexagesimal text is hours, minutes, seconds.
    """
    if isinstance(value, str) and (match := _SEXAGESIMAL.match(value)):
        before, sign, whole, minutes, rest, unit, after = match.groups()
        angle = int(whole) + int(minutes) / 60
        angle += float((rest or "0").replace(":", ".")) / 3600
        # Seconds have an S where minutes have an M; else it is that of the south.
        is_south = unit == "S" and "M" not in value and not hours
        side = (before or after or "S" * is_south).upper()
        negative = (sign == "-") != (side in ("S", "W") and bool(side))
        return (-angle if negative else angle) * (15 if hours else 1)
    found = number(value)
    if (
        found is not None
        and isinstance(value, str)
        and re.search(r"\d\s*[WS]\s*$", value)
    ):
        return -abs(found)
    return found


_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
"""How most programs write date and time."""


def moment(value: Value, unit: str = "date", clock: Value = None) -> datetime | None:
    """Return a time in UTC.

    Parameters
    ----------
    value : str, bool, int, float or None
        A date in any usual order, with or without a time; or a day number.
    unit : str
        ``date``, ``mjd``, ``jd`` or ``unix``.
    clock : str, bool, int, float or None
        The time of day, where it stands apart from the date.

    Returns
    -------
    datetime or None
        None without a time of day, or outside of 1970 to 2100; of the first of January
        1970 too, on which clocks begin that nobody has set.
    """
    if unit == "date":
        found = _date_and_time(value, clock)
    else:
        found = _day_number(number(value), unit)
    return found if found is not None and _SET <= found < LATEST else None


def to_utc(time: datetime, scale: str) -> datetime | None:
    """Return a time of another scale in UTC.

    Parameters
    ----------
    time : datetime
        As the clock of that scale shows it, from 1972 on.
    scale : str
        TIMESYS of the FITS standard: ``TAI``, ``TT``, ``GPS`` and their like.

    Returns
    -------
    datetime or None
        None for a scale that is not known here, as for local time.

    Examples
    --------
    >>> to_utc(datetime(2024, 3, 1, 0, 0, 37, tzinfo=UTC), "TAI").isoformat()
    '2024-03-01T00:00:00+00:00'
    """
    if scale in ("UTC", "UT", "UT1", "GMT"):
        return time
    if scale not in _AHEAD_OF_TAI_S:
        return None
    leaps = sum(time >= datetime(*one, 1, tzinfo=UTC) for one in _LEAP_SECONDS)
    ahead = _AHEAD_OF_TAI_S[scale] + _TAI_AHEAD_IN_1972_S + leaps
    return time - timedelta(seconds=ahead)


def clock_text(seconds_of_day: Value) -> str | None:
    """Return seconds since midnight as a time of day; None where they are none.

    Examples
    --------
    >>> clock_text(3723.5)
    '01:02:03.500'
    """
    found = number(seconds_of_day)
    if found is None or not 0 <= found < _DAY.total_seconds():
        return None
    return (EARLIEST + timedelta(seconds=found)).time().isoformat("milliseconds")


def day(value: Value) -> datetime | None:
    """Return midnight (UTC) of a date, whether or not it has a time."""
    parts = _split_date(str(value).strip()) if isinstance(value, str) else None
    return parts[0] if parts and _SET <= parts[0] < LATEST else None


def seconds_of_name(name: str) -> float | None:
    """Return the exposure that a name holds, None where it holds none or two.

    Examples
    --------
    >>> seconds_of_name("dark_60s_001"), seconds_of_name("Flat-250ms"), seconds_of_name("s2")
    (60.0, 0.25, None)
    """
    found = {
        float(number) * _SECONDS[_UNIT_WORDS[unit.lower()]]
        for number, unit in _EXPOSURE_IN_NAME.findall(name)
    }
    return found.pop() if len(found) == 1 else None


def evening_of_name(name: str) -> str | None:
    """Return the local date of the evening that a name holds, as ``2024-03-01``.

    A time of day before noon belongs to the evening before.

    Examples
    --------
    >>> evening_of_name("M31_2024-03-02_01-30-00_0001"), evening_of_name("20240301-f7")
    ('2024-03-01', '2024-03-01')
    """
    for year, month, date, hour in _DATE_IN_NAME.findall(name):
        midnight = _midnight(year, month, date)
        if midnight is not None and EARLIEST <= midnight < LATEST:
            morning = bool(hour) and int(hour) < _NOON
            return (midnight - timedelta(days=morning)).date().isoformat()
    return None


def _unquoted(literal: str) -> str:
    # Some writers put quotes within the quotes; a prime as in r' is none of them.
    literal = literal.strip()
    if len(literal) >= 2 and literal[0] == literal[-1] and literal[0] in "'\"":
        return literal[1:-1]
    return literal


def _finite(found: float) -> float | None:
    return found if math.isfinite(found) else None


def _to_float(literal: str) -> float:
    return float(literal.upper().replace("D", "E"))


def _own_unit(value: Value) -> str | None:
    if not isinstance(value, str) or not (match := _LEADING_NUMBER.match(value)):
        return None
    return _UNIT_WORDS.get((match[2] or "").strip(" .[]()").lower())


def _comment_unit(comment: str) -> str | None:
    for unit, pattern in (
        ("us", _MICROSECONDS),
        ("ms", _MILLISECONDS),
        ("min", _MINUTES),
        ("d", _DAYS),
    ):
        if pattern.search(comment):
            return unit
    return None


def _day_number(days: float | None, unit: str) -> datetime | None:
    if days is None or abs(days) > 1e10:
        return None
    if unit == "unix":
        return EARLIEST + timedelta(seconds=days)
    # A number this large is a Julian date, whatever its card is called.
    mjd = days - _JD_OF_MJD if unit == "jd" or days > _JD_OF_MJD else days
    if not 40000 < mjd < 90000:
        return None
    # To the millisecond: a Julian date in double precision holds no more.
    return _MJD_EPOCH + timedelta(milliseconds=round(mjd * 86400000))


def _date_and_time(value: Value, clock: Value) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _ISO.fullmatch(value):
        try:
            return datetime.fromisoformat(f"{value}Z")
        except ValueError:
            pass  # an hour of 24, the 13th month: read as others write dates
    parts = _split_date(value.strip()) if isinstance(value, str) else None
    if parts is None:
        return None
    date, time = parts
    if time is None:
        time = _time_of_day(clock)
    if time is None:
        return None
    if not EARLIEST - _DAY <= date < LATEST:
        # Beyond the calendar's ends a shift of a second is an overflow.
        return None
    found = date + (time.replace(tzinfo=UTC) - EARLIEST)
    offset = time.utcoffset()
    return found - offset if offset else found


def _time_of_day(clock: Value) -> datetime | None:
    if isinstance(clock, str):
        clock = clock.strip()
        if match := _ONLY_TIME.fullmatch(clock):
            return _clock(*match.groups())
        parts = _split_date(clock)
        return parts[1] if parts else None
    return None


def _split_date(literal: str) -> tuple[datetime, datetime | None] | None:
    """Split a date from its time of day (as time since `EARLIEST`)."""
    literal = _OF_C.sub(r"\2-\1-\4T\3", literal)
    if match := _YEAR_FIRST_TIME.fullmatch(literal):
        year, month, date, *time = match.groups()
        if month.isdigit() and int(month) > _MONTHS_OF_YEAR:
            month, date = date, month
    elif match := _DAY_FIRST_TIME.fullmatch(literal):
        date, month, year, *time = match.groups()
        if month.isdigit() and int(month) > _MONTHS_OF_YEAR:
            month, date = date, month
    elif match := _COMPACT_TIME.fullmatch(literal):
        year, month, date, *time = match.groups()
    elif match := _DAY_OF_YEAR_TIME.fullmatch(literal):
        year, date, *time = match.groups()
        month = ""
    else:
        return None
    midnight = _midnight(year, month, date) if month else _of_year(year, date)
    if midnight is None:
        return None
    return midnight, _clock(*time) if time[0] else None


def _midnight(year: str, month: str, date: str) -> datetime | None:
    number_of_month = (
        int(month) if month.isdigit() else _month_number(month[:3].lower())
    )
    try:
        return datetime(_full_year(year), number_of_month, int(date), tzinfo=UTC)
    except ValueError:
        return None


def _of_year(year: str, date: str) -> datetime | None:
    """Return midnight of a day that is counted from the first of January, day 1."""
    first = _midnight(year, "1", "1")
    found = first and first + timedelta(days=int(date) - 1)
    return found if found and found.year == int(year) else None


def _month_number(name: str) -> int:
    return _MONTHS.index(name) + 1 if name in _MONTHS else 0


def _full_year(year: str) -> int:
    # Two digits mean 19xx in old FITS; below 50 they are a year 2000 fault, as are
    # 101 and 19101 for 2001.
    found = int(year)
    if len(year) == 2:
        return found + (1900 if found >= 50 else 2000)
    if len(year) == 3:
        return found + 1900
    return found - 19000 + 1900 if len(year) == 5 and found >= 19100 else found


def _clock(
    hour: str, minute: str, second: str | None, zone: str | None
) -> datetime | None:
    rest = float((second or "0").replace(",", ".").replace(":", "."))
    if int(hour) > 24 or int(minute) > 60 or rest > 61:
        return None
    elapsed = timedelta(hours=int(hour), minutes=int(minute), seconds=rest)
    time = datetime(1970, 1, 1, tzinfo=UTC) + elapsed
    if zone and zone[0] in "+-":
        shift = _zone_shift(zone)
        return time.replace(tzinfo=timezone(shift)) if shift else time
    return time if zone else time.replace(tzinfo=None)


def _zone_shift(zone: str) -> timedelta | None:
    digits = re.sub(r"\D", "", zone)
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    if shift >= timedelta(hours=24):
        return None
    return -shift if zone[0] == "-" else shift
