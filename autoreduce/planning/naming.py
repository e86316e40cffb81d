"""Names of groups and of products: file-system safe, short and understandable."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from autoreduce.fits.names import Name, parse_name
from autoreduce.frames.schema import rows_of
from autoreduce.planning.rules import TEMPERATURE

if TYPE_CHECKING:
    import pandas as pd

_LONGEST = 24


_LETTERS = {
    "\N{GREEK SMALL LETTER ALPHA}": "alpha",
    "\N{GREEK SMALL LETTER BETA}": "beta",
    "\N{GREEK SMALL LETTER GAMMA}": "gamma",
    "\N{GREEK SMALL LETTER DELTA}": "delta",
    "\N{GREEK SMALL LETTER LAMDA}": "lambda",
    "\N{GREEK SMALL LETTER MU}": "mu",
    "\N{MICRO SIGN}": "mu",
    "\N{LATIN SMALL LETTER O WITH STROKE}": "o",
    "\N{LATIN SMALL LETTER AE}": "ae",
    "\N{LATIN SMALL LETTER SHARP S}": "ss",
    "\N{LATIN SMALL LETTER L WITH STROKE}": "l",
}
"""Letters that Unicode does not take apart, as they are spelt out."""

_QUOTES = "'`\N{RIGHT SINGLE QUOTATION MARK}\N{PRIME}"


@lru_cache(maxsize=4096)
def slug(text: str) -> str:
    r"""Write a name with letters, digits, ``.``, ``+`` and ``-`` only.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        At most 24 characters.  Accents are dropped, Greek letters spelt out, and
        what has no counterpart, or is too long, ends in a short hash of the text.

    Examples
    --------
    >>> slug("H\N{GREEK SMALL LETTER ALPHA} 3nm"), slug("sdss_g"), slug("Cat's Eye Nebula")
    ('Halpha-3nm', 'sdss-g', 'Cats-Eye-Nebula')
    """
    spelt = "".join(
        _LETTERS.get(letter, _LETTERS.get(letter.lower(), letter)) for letter in text
    )
    plain = unicodedata.normalize("NFKD", spelt)
    plain = "".join(
        c for c in plain if not unicodedata.combining(c) and c not in _QUOTES
    )
    lost = bool(re.search(r"[^\x00-\x7f]", plain))
    name = re.sub(r"[^A-Za-z0-9.+]+", "-", plain).strip("-.")
    if not lost and 0 < len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{name[: _LONGEST - 7].strip('-.')}-{digest}".lstrip("-")


def group_names(facts: "pd.DataFrame") -> list[str]:
    """Name groups: file-system safe, short, unique and understandable.

    Parameters
    ----------
    facts : DataFrame
        One row for each group, as `group_facts` returns, of all types of a plan.

    Returns
    -------
    list of str
        A name for each row, such as ``flat_Halpha_1x1``: type, object, filter,
        exposure, binning and temperature as they matter for the type, the camera if
        there are several, and what else is needed to tell groups apart.
    """
    rows = rows_of(facts)
    cameras = {row["instrume"] for row in rows if not _is_missing(row["instrume"])}
    names = [_base_name(row, several_cameras=len(cameras) > 1) for row in rows]
    for same in _alike(names):
        _tell_apart([rows[i] for i in same], same, names)
    for same in _alike(names):
        for number, i in enumerate(same[1:], start=2):
            names[i] = f"{names[i]}_{number}"
    return names


def _alike(names: Sequence[str]) -> list[list[int]]:
    """List the positions of names that one file system or other takes for equal."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        found[name.casefold()].append(i)
    return [same for same in found.values() if len(same) > 1]


def _tell_apart(
    rows: Sequence[Mapping[str, object]], same: Sequence[int], names: list[str]
) -> None:
    """Append to alike names the facts in which their groups differ, until unique."""
    unnamed = rows[0]["imagetyp"] == "light" and _is_missing(rows[0]["object"])
    for part in ("ra", *_PARTS) if unnamed else _PARTS:
        values = [_part(row, part) for row in rows]
        if len(set(values)) == 1:
            continue
        for i, value in zip(same, values, strict=True):
            names[i] += f"_{value}" if value else ""
        if len({names[i].casefold() for i in same}) == len(same):
            return


_PARTS = (
    "instrume",
    "detector",
    "telescop",
    "lamp",
    "naxis1",
    "xorgsubf",
    "readoutm",
    "gain",
    "offset",
    "bayerpat",
    TEMPERATURE,
    "focallen",
    "rotator",
    "exptime",
    "night",
    "trimsec",
    "counts",
)


def _part(row: Mapping[str, object], part: str) -> str:
    value = row[part]
    if _is_missing(value):
        return ""
    if part in _PAIR_FORMS:
        return _PAIR_FORMS[part].format_map(row)
    if part in _NUMBER_FORMS:
        before, after, digits = _NUMBER_FORMS[part]
        number = round(float(str(value)), digits) + 0.0  # no "-0"
        return f"{before}{number:.10g}{after}".replace("-", "m")
    return slug(_first_words(str(value)) if part == "instrume" else str(value))


def _first_words(text: str) -> str:
    """Shorten a camera's name to the words that fit, which tell most."""
    words = text.split()
    while len(words) > 1 and len(" ".join(words)) > _LONGEST:
        words.pop()
    return " ".join(words)


_PAIR_FORMS = {
    "naxis1": "{naxis1}x{naxis2}",
    "xorgsubf": "at{xorgsubf}-{yorgsubf}",
    "ra": "at{ra:.1f}{dec:+.1f}",
}
_NUMBER_FORMS = {
    "gain": ("gain", "", 2),
    "offset": ("offset", "", 2),
    TEMPERATURE: ("", "C", 0),
    "focallen": ("f", "mm", 0),
    "rotator": ("rot", "", 0),
    "exptime": ("", "s", 5),
}


def _base_name(row: Mapping[str, object], *, several_cameras: bool) -> str:
    kind = str(row["imagetyp"])
    parts = [kind]
    if kind == "light":
        parts.append(_part(row, "object") or "unnamed")
    if kind in {"light", "flat"}:
        parts.append(_part(row, "filter") or "nofilter")
    if kind in {"light", "dark", "flatdark"}:
        parts.append(_part(row, "exptime"))
    if not _is_missing(row["xbinning"]):
        parts.append(f"{row['xbinning']}x{_known(row['ybinning'], row['xbinning'])}")
    if kind in {"bias", "dark", "flatdark", "dark_current"}:
        parts.append(_part(row, TEMPERATURE))
    if several_cameras:
        parts.append(_part(row, "instrume"))
    return "_".join(part for part in parts if part)


def _known(value: object, otherwise: object) -> object:
    return otherwise if _is_missing(value) else value


def _is_missing(value: object) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def calibrated_outputs(files: Sequence[str], folder: str = "calibrated") -> list[str]:
    """Name the calibrated frames after their raw frames.

    Parameters
    ----------
    files : sequence of str
        Raw frames, as in the frame table.
    folder : str
        Where they lie below the output folder.

    Returns
    -------
    list of str
        Paths below the output folder, each different (also where upper and lower
        case are the same): without the suffix of a compression, with ``_N`` for HDU
        N, and with a number where two frames would share a name.

    Examples
    --------
    >>> calibrated_outputs(["a/m13.fits.gz", "a/M13.fits", "b.FIT[2]"])
    ['calibrated/a/m13_2.fits', 'calibrated/a/M13.fits', 'calibrated/b_2.FIT']
    """
    taken: set[str] = set()
    outputs = {}
    for file in sorted(files):
        parts = parse_name(file) or Name(file, "", "", "")
        stem, end = parts.stem + (f"_{parts.hdu}" if parts.hdu else ""), parts.suffix
        name, number = f"{folder}/{stem}{end}", 1
        while name.casefold() in taken:
            number += 1
            name = f"{folder}/{stem}_{number}{end}"
        taken.add(name.casefold())
        outputs[file] = name
    return [outputs[file] for file in files]


def stack_output(output: str, number: int) -> str:
    """Name the stack of a field: that of the first has no number.

    Examples
    --------
    >>> stack_output("stacks/light_M31_R.fits", 2)
    'stacks/light_M31_R_field2.fits'
    """
    if number <= 1:
        return output
    path = PurePosixPath(output)
    return path.with_name(f"{path.stem}_field{number}{path.suffix}").as_posix()


def stack_field(task_output: str, output: str) -> int:
    """Tell the number of the field whose stack has a name; see `stack_output`.

    Examples
    --------
    >>> stack_field("stacks/light_M31_R.fits", "stacks/light_M31_R_field2.fits")
    2
    """
    rest = PurePosixPath(output).stem.removeprefix(PurePosixPath(task_output).stem)
    return int(rest.removeprefix("_field") or 1)
