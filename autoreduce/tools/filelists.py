"""Lists of image files as a person types them: names, globs, commas, HDUs, @lists."""

import difflib
import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from autoreduce.errors import InputError
from autoreduce.fits.names import is_fits_name

_HDU = re.compile(r"^(?P<file>.+?)(?P<hdu>\[\d+\])$")
_COMMA = re.compile(r",(?![^\[\]]*\])")  # not the comma of [1,2]
_DIGITS = re.compile(r"(\d+)")

NaturalKey = tuple[tuple[str | int, ...], str]


def natural_key(text: str) -> NaturalKey:
    """Return a sort key that puts ``frame10`` after ``frame9``.

    Runs of digits are compared as numbers, the rest without regard to case;
    names that differ in nothing else are in the order of their characters.
    """
    parts: list[str | int] = list(_DIGITS.split(text.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return tuple(parts), text


def expand(patterns: Iterable[str], *, repeats: bool = False) -> list[str]:
    """List the images that names and patterns stand for.

    Parameters
    ----------
    patterns : iterable of str
        Each a file, a glob (``*``, ``?``, ``[1-5]``, ``**`` for folders at any depth),
        a folder (its FITS files), or several of them joined by commas, as the shell
        leaves them when they are quoted.  ``[1]`` after a file or a glob names an HDU.
        ``@LIST`` stands for the lines of a text file, each a pattern; what begins with
        ``#`` is none.
    repeats : bool
        Whether an image that is named twice is listed twice; as it is named does not
        matter (``a.fit``, ``/night/a.fit``).

    Returns
    -------
    list of str
        Images in the order of the patterns; those of one pattern in natural order.

    Raises
    ------
    InputError
        If a name is empty, a name or a pattern matches no file, or a list or a folder
        cannot be read.
    """
    pieces = [piece for pattern in patterns for piece in _pieces(pattern)]
    images = [image for piece in pieces for image in _matches(piece)]
    return images if repeats else distinct(images)


def distinct(images: Iterable[str]) -> list[str]:
    """Return each image once, however often and by whatever path it is named."""
    first: dict[str, str] = {}
    for image in images:
        first.setdefault(os.path.abspath(image), image)  # noqa: PTH100 -- `..` counts
    return list(first.values())


def short_names(images: Sequence[str]) -> list[str]:
    """Name images by their files, those of one name by their whole paths.

    Examples
    --------
    >>> short_names(["mon/a.fit", "tue/a.fit", "tue/b.fit[2]"])
    ['mon/a.fit', 'tue/a.fit', 'b.fit[2]']
    """
    paths: dict[str, set[str]] = {}
    for image in images:
        paths.setdefault(Path(image).name, set()).add(image)
    names = (Path(image).name for image in images)
    return [
        name if len(paths[name]) == 1 else image
        for name, image in zip(names, images, strict=True)
    ]


def _pieces(pattern: str) -> list[str]:
    if pattern and os.path.lexists(pattern):
        return [pattern]
    if pattern.startswith("@"):
        return [piece for line in _lines(pattern[1:]) for piece in _parts(line)]
    return _parts(pattern)


def _lines(name: str) -> list[str]:
    """Read the lines of a list of files; in IRAF and elsewhere it is named ``@LIST``."""
    try:
        text = Path(name).expanduser().read_text("utf-8-sig", "surrogateescape")
    except OSError as error:
        msg = f"the list of files {name} cannot be read: {error.strerror}"
        raise InputError(msg) from error
    if "\0" in text or text.startswith("SIMPLE  ="):
        msg = f"{name} is no list of files: @ stands before the name of a text file"
        raise InputError(msg)
    lines = [line.strip() for line in text.split("\n")]
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        msg = f"the list of files {name} names none"
        raise InputError(msg)
    return named


def _parts(pattern: str) -> list[str]:
    if pattern and os.path.lexists(pattern):
        return [pattern]
    pieces = [part.strip() for part in _COMMA.split(pattern)]
    if not all(pieces):
        msg = (
            f"{pattern!r} holds an empty name, which stands for no file: is a variable "
            "of the shell not set, or a comma too many?"
        )
        raise InputError(msg)
    return pieces


def _matches(piece: str) -> list[str]:
    if found := _existing(piece):
        return found
    if match := _HDU.match(piece):
        return [name + match["hdu"] for name in _required(match["file"], piece)]
    return _required(piece, piece)


def _existing(piece: str) -> list[str]:
    path = Path(piece).expanduser()
    if os.path.isdir(path):  # noqa: PTH112 -- no error if it may not be looked at
        files = [str(item) for item in _inside(path) if is_fits_name(item.name)]
        return sorted(files, key=natural_key)
    if os.path.lexists(path):
        return [str(path)]
    found = sorted(glob.glob(str(path), recursive=True), key=natural_key)  # noqa: PTH207 -- also absolute
    return [image for match in found for image in _existing(match)]


def _inside(folder: Path) -> list[Path]:
    """List what a folder holds; one that may not be looked into is named."""
    try:
        return list(folder.iterdir())
    except OSError as error:
        msg = f"the folder {folder} cannot be read: {error.strerror}"
        raise InputError(msg) from error


def _required(name: str, piece: str) -> list[str]:
    if found := _existing(name):
        return found
    before, bracket, _ = piece.partition("[")
    if bracket and os.path.isfile(Path(before).expanduser()):  # noqa: PTH113 -- no error if it may not be looked at
        msg = (
            f"{piece}: {before} is there, and what stands in brackets behind a file is "
            "the number of an HDU, as in [1]; pixels are chosen by --section"
        )
        raise InputError(msg)
    folder = Path(name).expanduser().parent
    there = []
    if os.path.isdir(folder):  # noqa: PTH112
        there = [item.name for item in _inside(folder)]
    plain = re.sub(r"[*?\[\]]", "", Path(name).name)
    near = difflib.get_close_matches(plain, there, n=3, cutoff=0.4)
    hint = f"; the nearest names are {', '.join(sorted(near))}" if near else ""
    msg = f"{piece} matches no file in {folder.absolute()}{hint}"
    raise InputError(msg)
