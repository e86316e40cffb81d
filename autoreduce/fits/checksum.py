"""Whether a file of ours is as it was written, by the checksums in it."""

from pathlib import Path

from autoreduce.errors import InputError
from autoreduce.fits.cards import BLOCK, ones_complement_sum
from autoreduce.fits.header import read_headers

_PIECE = 4096 * BLOCK
_WHOLE = (0, 0xFFFFFFFF)
"""Sums of files whose checksums hold: both are 0 in ones' complement."""


def check_sums(path: Path) -> None:
    """Make sure that a product is as it was written.

    Every HDU of a product is written so that its 32-bit words add up to 0 in ones'
    complement (CHECKSUM), and so does the whole file.

    Raises
    ------
    InputError
        If it is not.
    """
    if read_headers(path)[0].get("CHECKSUM") is None:
        msg = f"{path} has no CHECKSUM: make it again"
        raise InputError(msg)
    if _sum_of(path) not in _WHOLE:
        msg = f"{path} is damaged: its checksum does not hold; make it again"
        raise InputError(msg)


def _sum_of(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            total = ones_complement_sum(piece + bytes(-len(piece) % 4), total)
    return total
