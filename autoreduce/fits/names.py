"""How FITS files are named: their endings, those of what packs them, and ``FILE[N]``."""

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from autoreduce.errors import ProductError

SUFFIXES = (".fits", ".fit", ".fts")
"""Endings of a FITS file, whatever their case."""
PACKED = (".gz", ".fz", ".bz2", ".xz", ".zip", ".z")
"""Endings that a program which packs files puts behind them; not all can be read."""
OTHERS = (
    ".xisf",
    ".ser",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".raf",
    ".orf",
    ".rw2",
)
"""Endings of raw images in formats that are not read."""

_ENDING = re.compile(
    rf"({'|'.join(map(re.escape, SUFFIXES))})({'|'.join(map(re.escape, PACKED))})?"
    r"(?:\[(\d+)\])?\Z",
    re.IGNORECASE,
)
_HDU = re.compile(r"(.+)\[(\d+)\]$", re.DOTALL)


class Name(NamedTuple):
    """The name of a FITS file, taken apart."""

    stem: str
    """What stands before the ending, folders included."""
    suffix: str
    """``.fits`` or another of `SUFFIXES`, as it is written."""
    packed: str
    """``.gz`` or another of `PACKED`; empty for a plain file."""
    hdu: str
    """Number in ``FILE[N]``; empty without."""


def parse_name(name: str) -> Name | None:
    """Take the name of a FITS file apart; None if it does not end like one.

    Examples
    --------
    >>> parse_name("night/m13.FIT.gz[2]")
    Name(stem='night/m13', suffix='.FIT', packed='.gz', hdu='2')
    >>> parse_name("notes.txt") is None
    True
    """
    match = _ENDING.search(name)
    return match and Name(name[: match.start()], *match.groups(""))


def is_fits_name(name: str) -> bool:
    """Tell whether a file's name ends like that of a FITS file, packed or not."""
    parts = parse_name(name)
    return parts is not None and not parts.hdu


def stem(name: str) -> str:
    """Return a name without the endings of a FITS file, of packing, and ``[N]``.

    Examples
    --------
    >>> stem("M13.0041.fits.fz"), stem("notes.txt")
    ('M13.0041', 'notes.txt')
    """
    match = _ENDING.search(name)
    return name[: match.start()] if match else name


def refuse_packed(path: Path) -> None:
    """Raise `ProductError` for the name of a packed file: images are written plain."""
    name = parse_name(path.name)
    if name is not None and name.packed:
        msg = (
            f"{path}: images are written as plain FITS: leave {name.packed} out, and "
            "pack the file afterwards"
        )
        raise ProductError(msg)


def split_hdu(name: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """Split ``FILE[N]`` into the file and the HDU; a file so named stays whole."""
    text = os.fspath(name)
    match = _HDU.match(text)
    if match and not Path(text).exists():
        return Path(match[1]), int(match[2])
    return Path(text), None


def pattern_of(files: Sequence[str], among: Iterable[str]) -> str:
    """Write a pattern that ``--exclude`` takes for some frames, and for no others.

    Examples
    --------
    >>> night = ["dark_1.fits", "dark_2.fits", "dark_3.fits", "light_1.fits"]
    >>> pattern_of(night[:3], night), pattern_of(night[:2], night)
    ('dark_*', 'dark_1.fits,dark_2.fits')
    >>> night = ["01-03_L_R_001.fits", "01-04_L_R_002.fits", "01-05_L_V_003.fits"]
    >>> pattern_of(night[:2], night)
    '*-*_L_R_*.fits'
    """
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*files, strict=False))
    begin = "".join(letters[0] for letters in same).rstrip("0123456789")
    globs = (f"{begin}*", re.sub(r"\d+", "*", files[0]))
    for glob in globs if len(files) > 1 else ():
        is_meant = re.compile(translate(glob)).match
        meant = {name for name in among if is_meant(name)}
        if glob != "*" and meant == set(files):
            return glob
    return ",".join(files)
