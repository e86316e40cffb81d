"""How facts and distances are put into words."""

import math
import re
from collections.abc import Iterable, Sequence

UNKNOWN = "unknown"
"""What stands for a fact that is missing."""
_MISSING = {"None", "nan", "<NA>", "NaT"}
"""How values that are missing call themselves; pandas need not be loaded to know them."""
_UNITS = {
    "exptime": " s",
    "ccd_temp": " degC",
    "set_temp": " degC",
    "focallen": " mm",
    "rotator": " deg",
}

_SPOKEN = {
    "exptime": "exposure",
    "focallen": "focal length",
    "instrume": "camera",
    "readoutm": "readout mode",
    "rotator": "camera angle",
    "telescop": "telescope",
}


def spoken(name: str) -> str:
    """Call a fact as an observer does, not by its column.

    Examples
    --------
    >>> spoken("focallen"), spoken("gain")
    ('focal length', 'gain')
    """
    return _SPOKEN.get(name, name)


def number_text(name: str, value: object) -> str:
    """Write a fact with its unit; ``unknown`` where it is missing.

    Examples
    --------
    >>> number_text("exptime", 60.0), number_text("filter", None)
    ('60 s', 'unknown')
    """
    if not isinstance(value, str) and str(value) in _MISSING:
        return UNKNOWN
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
    if math.isnan(days):
        return "at an unknown time"
    if days < 1:
        return f"{days * 24:.1f} h away"
    return f"{days:.1f} d away"


def listed(values: Iterable[str]) -> str:
    """List values in the order in which a person counts; of many, the ends."""
    ordered = sorted(set(values), key=_natural)
    if len(ordered) <= _SHOWN:
        return ", ".join(ordered)
    return f"{ordered[0]}, {ordered[1]}, ... {ordered[-1]}"


def together(parts: Sequence[str]) -> str:
    """Join parts of a sentence in their order.

    Examples
    --------
    >>> together(["1 bias frame"]), together(["5 darks", "7 flats", "2 lights"])
    ('1 bias frame', '5 darks, 7 flats and 2 lights')
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def _natural(text: str) -> tuple[float, str]:
    number = re.match(r"-?\d+(\.\d+)?", text)
    return (float(number[0]) if number else 0.0, text)


_SHOWN = 8
