"""How facts, distances and lacks are put into words."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

_UNITS = {
    "exptime": " s",
    "ccd_temp": " degC",
    "set_temp": " degC",
    "focallen": " mm",
    "rotator": " deg",
}


def number_text(name: str, value: object) -> str:
    """Write a fact with its unit; ``unknown`` where it is missing.

    Examples
    --------
    >>> number_text("exptime", 60.0), number_text("filter", None)
    ('60 s', 'unknown')
    """
    if pd.isna(value):
        return "unknown"
    if name == "temperature":
        return f"{float(str(value)):.1f} degC"
    if isinstance(value, float):
        return f"{value:.6g}{_UNITS.get(name, '')}"
    return f"{value}{_UNITS.get(name, '')}"


def apart_text(days: float) -> str:
    """Write a distance in time.

    Examples
    --------
    >>> apart_text(0.125), apart_text(12.04), apart_text(float("nan"))
    ('3.0 h away', '12.0 d away', 'at an unknown time')
    """
    if np.isnan(days):
        return "at an unknown time"
    if days < 1:
        return f"{days * 24:.1f} h away"
    return f"{days:.1f} d away"


@dataclass(frozen=True, slots=True)
class Lack:
    """A sentence about what is missing, around the value that was wanted."""

    before: str
    wanted: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.wanted}{self.after}"


def merged_lacks(lacks: Iterable[Lack]) -> list[str]:
    """Write lacks as sentences, one for all that differ only in what was wanted.

    Examples
    --------
    >>> merged_lacks([Lack("no dark: ", "5 s", " wanted"), Lack("no dark: ", "2 s", " wanted")])
    ['no dark: 2 s, 5 s wanted']
    """
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for lack in lacks:
        wanted[lack.before, lack.after].add(lack.wanted)
    return [
        f"{before}{listed(values)}{after}" for (before, after), values in wanted.items()
    ]


def listed(values: Iterable[str]) -> str:
    """List values in the order in which a person counts; of many, the ends."""
    ordered = sorted(set(values), key=_natural)
    if len(ordered) <= _SHOWN:
        return ", ".join(ordered)
    return f"{ordered[0]}, {ordered[1]}, ... {ordered[-1]}"


def _natural(text: str) -> tuple[float, str]:
    number = re.match(r"-?\d+(\.\d+)?", text)
    return (float(number[0]) if number else 0.0, text)


_SHOWN = 8
