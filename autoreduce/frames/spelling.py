"""How names are spelt: which of them mean the same, and which one is used.

Names that differ only in case, blanks, hyphens and underscores are one name, as in
``M 13``, ``m13`` and ``M-13``, and the commonest of them stands for all; so are the
spellings of emission lines, as ``Ha`` and ``H-alpha``, and names of cameras with and
without their maker's.  One letter is not enough to tell a misspelling: R and r are two
filters.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = re.compile(r"[\s_-]+")
_LINES = {
    "halpha": "ha",
    "h\N{GREEK SMALL LETTER ALPHA}": "ha",
    "hbeta": "hb",
    "h\N{GREEK SMALL LETTER BETA}": "hb",
    "o3": "oiii",
    "s2": "sii",
    "n2": "nii",
}
"""Emission lines, by the names that they have besides."""

# INDI puts "ZWO CCD", "QHY CCD", "SX CCD", "PlayerOne CCD" or "Canon DSLR" before the
# model, makers' own drivers "ZWO", "Player One" or "Moravian Instruments,", ASCOM's of
# QHY "QHYCCD-Cameras-Capture"; EXIF has "NIKON CORPORATION NIKON D750".
MAKERS = (
    *("ZWO", "QHYCCD", "QHY", "Player One", "ToupTek", "Toupcam", "Altair", "Atik"),
    *("Moravian Instruments", "Moravian", "MI", "SBIG", "FLI", "Starlight Xpress"),
    *("SX", "Canon", "Nikon Corporation", "Nikon", "Sony"),
)
"""Makers of cameras, as programs write them before the names of their models."""


def spelling_key(name: str) -> str:
    """Return what all spellings of a name have in common.

    Examples
    --------
    >>> spelling_key("R_Bessel") == spelling_key("r bessel ")
    True
    >>> spelling_key("R") == spelling_key("r")
    False
    >>> spelling_key("HA") == spelling_key("H-alpha")
    True
    """
    letters = _SEPARATORS.sub("", name)
    key = letters.casefold() if len(letters) > 1 else letters or name
    return _LINES.get(key, key)


_WHOLE = re.compile(r"\d+\.0+")


def filter_key(name: str) -> str:
    """Return what all spellings of a filter have in common: slot 3.0 of a wheel is slot 3.

    Examples
    --------
    >>> filter_key("3.0") == filter_key("3")
    True
    """
    return spelling_key(name.partition(".")[0] if _WHOLE.fullmatch(name) else name)


_MAKER = re.compile(
    rf"(?:(?:{'|'.join(map(spelling_key, MAKERS))})"
    r"(?:ccd|cmos|dslr|camerascapture|camera)?+,?)+(?=[a-z])(?=.*[a-z]\d)"
)
"""Makers before what is the name of a model: letters first, and a number."""


def camera_key(name: str) -> str:
    """Return what all spellings of a camera's name have in common.

    Examples
    --------
    >>> camera_key("ZWO CCD ASI1600MM Pro") == camera_key("ASI1600MM Pro")
    True
    >>> camera_key("QHY CCD QHY268M") == camera_key("QHY268M")
    True
    >>> camera_key("Atik 460EX") == camera_key("Altair 460EX")
    False
    """
    key = spelling_key(name)
    maker = _MAKER.match(key)
    return key[maker.end() :] if maker else key


SPELT = {
    "object": spelling_key,
    "filter": filter_key,
    "instrume": camera_key,
    "telescop": spelling_key,
}
"""Columns of the frame table in which names are compared, and by which rule."""


def commonest_spellings(
    names: Iterable[str], key: Callable[[str], str] = spelling_key
) -> dict[str, str]:
    """Choose one spelling for each name.

    Parameters
    ----------
    names : iterable of str
        Names, each as often as it occurs.
    key : callable
        What all spellings of a name have in common.

    Returns
    -------
    dict of str to str
        For each spelling the commonest one of the same name; of equally common ones
        the first in the order of their characters.
    """
    counts = Counter(names)
    best: dict[str, str] = {}
    for name in sorted(counts, key=lambda one: (-counts[one], one)):
        best.setdefault(key(name), name)
    return {name: best[key(name)] for name in counts}


def with_one_spelling(frames: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame table with one spelling for each name in the columns `SPELT`.

    Parameters
    ----------
    frames : DataFrame
        A table with the columns `SPELT`; it is not changed.
    """
    return frames.assign(
        **{name: _unified(frames[name], SPELT[name]) for name in SPELT}
    )


def _unified(names: "pd.Series", key: Callable[[str], str]) -> "pd.Series":
    best = commonest_spellings(map(str, names.dropna().tolist()), key)
    if any(name != spelling for name, spelling in best.items()):
        names = names.map(best, na_action="ignore")
    return names.astype("string")
