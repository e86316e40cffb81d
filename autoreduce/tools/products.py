"""Images of any type, with their planes, in and out whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.cards import (
    CardValue,
    format_card,
    format_history,
    without,
    written_at,
)
from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import extension_names, open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.sections import moved_pattern
from autoreduce.fits.writer import STRUCTURE
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import FrameReader
from autoreduce.pixels.flags import Flag
from autoreduce.version import __version__

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Image:
    """An image and what is known of its errors."""

    name: str
    """Name of the file, with its HDU if that was given."""
    data: Array
    """(ny, nx), or (nz, ny, nx) for a cube."""
    cards: tuple[bytes, ...]
    """Cards of its header."""
    uncert: Array | None = None
    """One sigma of the data, in their unit and shape; None if unknown."""
    mask: NDArray[np.uint8] | None = None
    """Not 0 where the data are bad: bits of `autoreduce.pixels.flags.Flag`; None if
    nothing is."""


def read_image(name: str) -> Image:
    """Read an image with its ``UNCERT`` and ``MASK`` planes, where it has them.

    Parameters
    ----------
    name : str
        File, or ``FILE[N]`` for HDU N.

    Raises
    ------
    InputError
        If the file cannot be read or holds no image.
    """
    with open_image(name) as reader:
        data, cards = reader.read(), tuple(reader.cards)
    path, hdu = split_hdu(name)
    if hdu is not None:
        return Image(name, data, cards)
    planes = {
        title: _read_plane(path, number, title, data.shape)
        for number, title in enumerate(extension_names(path))
        if title in ("UNCERT", "MASK")
    }
    mask = planes.get("MASK")
    flags = None if mask is None else flags_of(mask)
    return Image(name, data, cards, planes.get("UNCERT"), flags)


def flags_of(mask: Array) -> NDArray[np.uint8]:
    """Take a MASK plane as flags; of another type all that is not 0 is no value."""
    if mask.dtype == np.uint8:
        return mask
    return np.where(mask != 0, np.uint8(Flag.NO_VALUE), np.uint8(0))


def _read_plane(path: Path, number: int, title: str, shape: tuple[int, ...]) -> Array:
    with open_image(path, number) as reader:
        if reader.shape != shape:
            msg = f"{path}: its {title} is {reader.shape}, its image {shape}"
            raise InputError(msg)
        return reader.read()


def product_cards(
    base: Sequence[bytes],
    cards: Mapping[str, tuple[CardValue, str]],
    history: Sequence[str],
) -> list[bytes]:
    """Assemble the header of a product.

    Parameters
    ----------
    base : sequence of bytes
        Cards that are carried over.
    cards : mapping of str to (value, comment)
        Cards of this product, by keyword; they replace those of the base.
    history : sequence of str
        Sentences for HISTORY, dated and behind those of the base.

    Returns
    -------
    list of bytes
        Cards of 80 characters; the product's structure is not among them.
    """
    ours: dict[str, tuple[CardValue, str]] = {
        **cards,
        "CREATOR": (f"autoreduce {__version__}", "program that made this file"),
        "DATE": (written_at(), "[UTC] when this file was made"),
    }
    kept = without(base, [*STRUCTURE, *ours])
    while kept and not kept[-1].strip():
        kept.pop()
    past = (f"{written_at()} autoreduce {__version__}: {text}" for text in history)
    return [
        *kept,
        *(card for key, pair in ours.items() for card in format_card(key, *pair)),
        *(line for text in past for line in format_history(text)),
    ]


def without_levels(cards: Sequence[bytes]) -> list[bytes]:
    """Drop the cards that tell levels of raw pixels: they no longer hold."""
    return without(cards, ("CBLACK", "CWHITE", "PEDESTAL", "SATURATE"))


def trimmed_cards(cards: Sequence[bytes], rows: slice, columns: slice) -> list[bytes]:
    """Return the cards of a section: its coordinates begin where the section does.

    Parameters
    ----------
    cards : sequence of bytes
        Cards of the whole image.
    rows, columns : slice
        The section.
    """
    from autoreduce.products.wcs import moved_wcs

    kept = without(cards, ("BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC", "AMPSEC"))
    return _moved_mosaic(
        moved_wcs(kept, columns.start, rows.start), rows.start, columns.start
    )


def _moved_mosaic(cards: list[bytes], row: int, column: int) -> list[bytes]:
    """Tell the Bayer pattern of an image from the pixel on with which it now begins."""
    header = RawHeader(0, b"".join(cards))
    facts = FrameReader(load_dialects()).read_facts(header)
    told = facts.readings.get("bayerpat")
    if told is None:
        return cards
    pattern = moved_pattern(str(told.value), row, column)
    stale = (told.keyword, "BAYERPAT", *facts.keywords("xbayroff", "ybayroff"))
    card = format_card("BAYERPAT", pattern, "colours from the first pixel on")
    return [*without(cards, stale), *card]
