"""How names are spelt: which of them mean the same, and which one is used.

Names that differ only in case, blanks, hyphens and underscores are one name, as in
``M 13``, ``m13`` and ``M-13``, and the commonest of them stands for all; so are the
spellings of emission lines, as ``Ha`` and ``H-alpha``.  One letter is not enough to tell
a misspelling: R and r are two filters.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SPELT = ("object", "filter", "instrume", "telescop")
"""Columns of the frame table in which names are compared by this rule."""

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


def commonest_spellings(names: Iterable[str]) -> dict[str, str]:
    """Choose one spelling for each name.

    Parameters
    ----------
    names : iterable of str
        Names, each as often as it occurs.

    Returns
    -------
    dict of str to str
        For each spelling the commonest one of the same name; of equally common ones
        the first in the order of their characters.
    """
    counts = Counter(names)
    best: dict[str, str] = {}
    for name in sorted(counts, key=lambda one: (-counts[one], one)):
        best.setdefault(spelling_key(name), name)
    return {name: best[spelling_key(name)] for name in counts}


def with_one_spelling(frames: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame table with one spelling for each name in the columns `SPELT`.

    Parameters
    ----------
    frames : DataFrame
        A table with the columns `SPELT`; it is not changed.
    """
    return frames.assign(**{name: _unified(frames[name]) for name in SPELT})


def _unified(names: "pd.Series") -> "pd.Series":
    best = commonest_spellings(map(str, names.dropna().tolist()))
    if any(name != spelling for name, spelling in best.items()):
        names = names.map(best, na_action="ignore")
    return names.astype("string")
