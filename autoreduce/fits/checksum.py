"""Whether a file of ours is as it was written, by the checksums in it."""

import os
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from autoreduce.errors import InputError
from autoreduce.fits.cards import BLOCK, ones_complement_sum
from autoreduce.fits.formats import open_named, open_unpacked, unreadable
from autoreduce.fits.header import headers_of, read_headers

_PIECE = 4096 * BLOCK
_WHOLE = (0, 0xFFFFFFFF)
"""Sums of files whose checksums hold: both are 0 in ones' complement."""


def check_sums(path: Path) -> None:
    """Make sure that a product is as it was written.

    Every HDU of a product is written so that its 32-bit words add up to 0 in ones'
    complement (CHECKSUM), and so does the whole file, unpacked if it is gzipped.

    Raises
    ------
    InputError
        If it is not, or cannot be read.
    """
    if read_headers(path)[0].get("CHECKSUM") is None:
        msg = f"{path} has no CHECKSUM: make it again"
        raise InputError(msg)
    try:
        total = _sum_of(path)
    except OSError as error:
        msg = f"{path}: {unreadable(path, error)}"
        raise InputError(msg) from error
    if total not in _WHOLE:
        msg = f"{path} is damaged: its checksum does not hold; make it again"
        raise InputError(msg)


def check_hdus(path: Path) -> None:
    """Make sure that each HDU with a CHECKSUM card is as that says.

    A camera's file, unlike a product, may have them in some HDUs, or none.

    Raises
    ------
    InputError
        If one is not, or the file cannot be read.
    """
    file, _ = open_unpacked(path)
    with file:
        at = 0
        for header, start, n_bytes in headers_of(file):
            end = start + -(-n_bytes // BLOCK) * BLOCK
            if header.get("CHECKSUM") is not None:
                file.seek(at)
                if _sum_of_next(file, end - at) not in _WHOLE:
                    msg = f"the CHECKSUM of HDU {header.hdu} does not hold"
                    raise InputError(msg)
            at = end


def _sum_of_next(file: BinaryIO | FileIO, n_bytes: int) -> int:
    total = 0
    while n_bytes > 0 and (piece := file.read(min(_PIECE, n_bytes))):
        n_bytes -= len(piece)
        total = ones_complement_sum(piece + bytes(-len(piece) % 4), total)
    return total


def _sum_of(path: Path) -> int:
    with open_named(path) as file:
        return _sum_of_next(file, os.fstat(file.fileno()).st_size)
