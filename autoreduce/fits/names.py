"""How FITS files are named: their endings, those of what packs them, and ``FILE[N]``."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import chain, groupby, product, takewhile
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
NUMBERS = re.compile(r"(\d+)(?:-(\d+))?")
"""A frame's number in a pattern, or the first and the last of several."""
_UNTYPED = re.compile(r"[',]|\[(?!\d+\]$)|(?<!\d)\]|\](?!$)")
"""What ends the quotes around a pattern, or means something else in it."""


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


def is_meant(name: str, pattern: str) -> bool:
    """Tell whether a pattern means a frame.

    Parameters
    ----------
    name : str
        The frame's path.
    pattern : str
        A path or a file name, with or without its ending and ``[N]``, a folder, a
        glob, a frame number (``0051``) or a range of them (``0041-0050``).

    Examples
    --------
    >>> is_meant("mon/dark_0051.fits", "dark*"), is_meant("dark_0051.fits", "0052-0060")
    (True, False)
    """
    base = name.rpartition("/")[2]
    if pattern in (name, base) or name.startswith(pattern.rstrip("/") + "/"):
        return True
    if pattern in (*_without_ending(name), *_without_ending(base)):
        return True
    if match := NUMBERS.fullmatch(pattern):
        number = frame_number(base)
        first, last = int(match[1]), int(match[2] or match[1])
        return number is not None and first <= number <= last
    of_hdu = _HDU.sub(r"\1[[]\2]", pattern)
    files = (_without_ending(one)[0] for one in (name, base))
    pairs = product((name, base, *files), (pattern, of_hdu))
    return any(fnmatchcase(*pair) for pair in pairs)


def frame_number(name: str) -> int | None:
    """Return the last number in the stem of a file's name; None if there is none."""
    numbers = re.findall(r"\d+", stem(name))
    return int(numbers[-1]) if numbers else None


def _without_ending(name: str) -> tuple[str, ...]:
    """Return a name without ``[N]``, without the ending of its file, too, and with ``[N]``."""
    parts = parse_name(name)
    if parts is None:
        return (name,)
    hdu = (f"{parts.stem}[{parts.hdu}]",) if parts.hdu else ()
    return f"{parts.stem}{parts.suffix}{parts.packed}", parts.stem, *hdu


MOST_PATTERNS = 20
"""More than these are no shorter to type than names, and long to look for."""


def pattern_of(files: Sequence[str], among: Iterable[str]) -> str:
    """Write a pattern that ``--exclude`` takes for some frames, and for no others.

    It can stand between single quotes.

    Examples
    --------
    >>> night = ["dark_1.fits", "dark_2.fits", "dark_3.fits", "light_1.fits"]
    >>> pattern_of(night[:3], night), pattern_of(night[:2], night)
    ('dark_*', 'dark_1.fits,dark_2.fits')
    >>> night = ["01-03_L_R_001.fits", "01-04_L_R_002.fits", "01-05_L_V_003.fits"]
    >>> pattern_of(night[:2], night)
    '*-*_L_R_*.fits'
    >>> night = [f"dark_{t}s_{n}.fits" for t in (5, 60, 300) for n in (1, 2, 3)]
    >>> pattern_of(night[3:8], night)
    'dark_60s_*.fits,dark_300s_1.fits,dark_300s_2.fits'
    >>> pattern_of(["M31, R.fits"], ["M31, R.fits", "M31, V.fits"])
    'M31? R.fits'
    >>> night = [f"20210227.{n:04d}.fit" for n in range(1, 108)]
    >>> pattern_of([*night[39:50], *night[51:]], night)
    '0040-0050,0052-0107'
    """
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*files, strict=False))
    begin = "".join(letters[0] for letters in same).rstrip("0123456789")
    globs = (f"{begin}*", re.sub(r"\d+", "*", files[0]))
    among = list(among)
    for glob in map(_typed, globs) if len(files) > 1 else ():
        if glob != "*" and _is_exact(glob, files, among):
            return glob
    patterns = min(_counted(files, among), _ranges(files, among), key=len)
    return ",".join(map(_typed, patterns))


def _counted(files: Sequence[str], among: Collection[str]) -> list[str]:
    """Write a glob for files that differ in one number, where all such files are meant.

    Of the numbers in the names it is the one that leaves the fewest patterns.
    """
    parts = [re.split(r"(\d+)", name) for name in files]
    found = list(files)
    for place in range(1, min(map(len, parts)), 2):
        alike: dict[str, list[str]] = {}
        for name, own in zip(files, parts, strict=True):
            glob = "".join([*own[:place], "*", *own[place + 1 :]])
            alike.setdefault(glob, []).append(name)
        if len(alike) > MOST_PATTERNS:
            continue
        patterns = [
            pattern
            for glob, names in alike.items()
            for pattern in (
                [glob]
                if len(names) > 1 and _is_exact(_typed(glob), names, among)
                else names
            )
        ]
        found = min(found, patterns, key=len)
    return found


def _ranges(files: Sequence[str], among: Iterable[str]) -> list[str]:
    """Write ranges of frame numbers, where the night has no other frames between them."""
    meant = set(files)
    by_number: dict[int | None, list[str]] = {}
    for name in among:
        by_number.setdefault(frame_number(name.rpartition("/")[2]), []).append(name)
    numberless = by_number.pop(None, [])
    others = [names for names in by_number.values() if not meant.issuperset(names)]
    if not meant.isdisjoint(chain(numberless, *others)):
        return list(files)
    numbered = [names for _, names in sorted(by_number.items())]
    runs = [
        list(chain.from_iterable(run))
        for is_run, run in groupby(numbered, meant.issuperset)
        if is_run
    ]
    return [one for run in runs for one in ([_range(run)] if len(run) > 2 else run)]


def _range(names: Sequence[str]) -> str:
    first, last = (re.findall(r"\d+", stem(names[i]))[-1] for i in (0, -1))
    return f"{first}-{last}"


def _typed(pattern: str) -> str:
    """Write a pattern without what cannot be typed in one."""
    return _UNTYPED.sub("?", pattern)


def _is_exact(glob: str, names: Sequence[str], among: Iterable[str]) -> bool:
    meant = set(names)
    return all(is_meant(one, glob) == (one in meant) for one in among)
