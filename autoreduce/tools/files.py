"""Files that appear whole or not at all, and never in the place of another."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autoreduce.errors import ProductError
from autoreduce.fits import whole
from autoreduce.fits.names import is_fits_name, parse_name, split_hdu

_NUMBERED = re.compile(r"[^.]*\.(?P<rest>\d+\..*)")


STILL_SUFFIXES = (".png", ".pdf", ".svg")
"""Endings of a picture that stands still."""


def refuse_existing(path: Path, *, overwrite: bool, option: str = "-o") -> None:
    """Raise `ProductError` if a file stands there and may not be replaced."""
    if path.exists() and not overwrite:
        msg = f"{path} exists; give another name with {option}, or --overwrite"
        raise ProductError(msg)


def picture_format(path: Path) -> str:
    """Return the format that a picture's suffix asks for: ``png``, ``pdf`` or ``svg``.

    Raises
    ------
    ProductError
        If it is another one.
    """
    suffix = path.suffix.lower()
    if suffix not in STILL_SUFFIXES:
        msg = f"{path}: a picture is written as {', '.join(STILL_SUFFIXES)}"
        raise ProductError(msg)
    return suffix[1:]


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Lend a name beside `path`; what is written there becomes `path` at the end.

    Parameters
    ----------
    path : Path
        Where the file shall stand; its folder is made if need be.
    overwrite : bool
        Whether a file that stands there is replaced.

    Yields
    ------
    Path
        An empty file with the same suffix.  If the block fails it is removed, and
        `path` is what it was.

    Raises
    ------
    ProductError
        If the file exists and may not be replaced, or cannot be written.
    """
    refuse_existing(path, overwrite=overwrite)
    with whole.replacing(path) as part:
        yield part


def write_text(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text file, whole or not at all; errors as in `replacing`.

    Names of files in it that are not in UTF-8 are written as the bytes that they are.
    """
    refuse_existing(path, overwrite=overwrite)
    whole.write_bytes(path, [text.encode("utf-8", "surrogateescape")])


def output_names(inputs: Sequence[str], outputs: Sequence[str]) -> list[Path]:
    """Name the product of each input.

    Parameters
    ----------
    inputs : sequence of str
        Images, as `autoreduce.tools.filelists.expand` lists them.
    outputs : sequence of str
        As many names as inputs; or a folder, in which the products get the names of
        the inputs; or a root, which takes the place of what stands before the number
        (``bsub`` makes ``bsub.0041.fit`` of ``20210227.0041.fit``) or is put before a
        name that has no such number.

    Returns
    -------
    list of Path
        One name for each input, each once.

    Raises
    ------
    ProductError
        If the numbers differ, or two inputs would get the same name.
    """
    if len(outputs) == 1 and not is_fits_name(outputs[0]):
        names = [_rooted(outputs[0], name) for name in inputs]
    elif len(outputs) == len(inputs):
        names = [Path(output) for output in outputs]
    else:
        msg = (
            f"{len(outputs)} output names for {len(inputs)} images; give as many names "
            "as images, or a root without .fit that is put before each name"
        )
        raise ProductError(msg)
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        msg = f"two images would both be written to {twice[0]}; give each a name"
        raise ProductError(msg)
    return names


def _rooted(root: str, image: str) -> Path:
    path, hdu = split_hdu(image)
    parts = parse_name(path.name)
    name = parts.stem + parts.suffix if parts else path.name
    if root.endswith("/") or Path(root).is_dir():
        product = Path(root) / name
    else:
        match = _NUMBERED.fullmatch(name)
        product = Path(f"{root}.{match['rest'] if match else name}")
    if hdu is None:
        return product
    return product.with_name(f"{product.stem}.{hdu}{product.suffix}")
