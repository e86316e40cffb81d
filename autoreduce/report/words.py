"""Numbers, counts, dates and levels as a person would say them."""

import math
from datetime import date
from numbers import Real

from autoreduce.planning.plan import Action

NOTHING = "\N{EN DASH}"
"""Stands where a fact is missing."""

TIMES = "\N{MULTIPLICATION SIGN}"
"""Stands between factors, columns and rows."""

PRODUCT_NOUNS = {
    Action.BIAS: ("master bias", "master biases"),
    Action.DARK: ("master dark", "master darks"),
    Action.DARK_FIT: ("dark fit", "dark fits"),
    Action.FLAT: ("master flat", "master flats"),
    Action.BAD_PIXELS: ("map of bad pixels", "maps of bad pixels"),
    Action.CALIBRATE: ("calibrated light", "calibrated lights"),
    Action.REGISTER: ("registration", "registrations"),
    Action.STACK: ("stack", "stacks"),
    Action.EXPOSURE: ("exposure in one file", "exposures in one file"),
}
"""What each action makes: one of them, several of them."""

UNTOUCHED_NOUNS = ("light without any correction", "lights without any correction")
"""A light that had no overscan and no master: it is no calibrated one."""

LEVELS = ("best", "good", "fair", "makeshift")
"""One word for each level at which masters fit, 0 to 3."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August",
    "September", "October", "November", "December",
)  # fmt: skip


def count(n: int, one: str, several: str | None = None) -> str:
    """Say how many there are: ``1 frame``, ``3 frames``."""
    return f"{n} {one if n == 1 else several or one + 's'}"


def listing(parts: list[str]) -> str:
    """Join words as in a sentence: ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def number(value: object, digits: int = 4) -> str:
    """Write a number with so many significant digits, or `NOTHING` for no number.

    Digits before the point are never rounded away: 65535.2 is ``65535``.
    """
    if not isinstance(value, Real) or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude <= 7:
        return f"{value:.{digits - 1}e}"
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scale_words(arcsec: float) -> str:
    """Say how wide a pixel is: ``0.392 arcsec/px``."""
    return f"{number(arcsec, 3)} arcsec/px"


def duration(seconds: float) -> str:
    """Write a span of time in the unit that suits it: ``0.8 s`` to ``3 d``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} d"


def size(n_bytes: float) -> str:
    """Write a number of bytes in the unit that suits it: ``812 kB``, ``3.4 GB``."""
    if n_bytes < 999.5:
        return count(round(n_bytes), "byte")
    amount, unit = n_bytes / 1e3, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1e3, larger
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:.0f} {unit}"


def day(iso: str) -> str:
    """Write an ISO date as ``26 February 2021``; other text stays as it is."""
    try:
        when = date.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def days(first: str, last: str) -> str:
    """Write two ISO dates as ``22 to 23 October 2022``, nothing said twice."""
    begin, end = day(first).split(), day(last).split()
    if len(begin) == len(end) == 3 and begin != end:
        while begin and begin[-1] == end[len(begin) - 1]:
            begin.pop()
    return f"{' '.join(begin)} to {' '.join(end)}"


def level_word(level: int) -> str:
    """Say in one word how well the masters of a level fit."""
    return LEVELS[min(max(level, 0), len(LEVELS) - 1)]
