"""Images of any type, with their planes, in and out whole."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.cards import (
    Card,
    CardValue,
    format_card,
    format_history,
    without,
    written_at,
)
from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import ImageReader, extension_names, open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.sections import moved_pattern
from autoreduce.fits.writer import MASK, STRUCTURE, UNCERT
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import Facts, FrameReader
from autoreduce.frames.measured import MEASURED
from autoreduce.frames.measured import keywords as measured_keywords
from autoreduce.frames.rawness import is_product
from autoreduce.pixels.flags import Flag
from autoreduce.version import __version__

Array = NDArray[Any]

_OF_THE_TOOLS = (
    "COMBMETH", "COMBARG", "COMBCLIP", "COMBNOIS", "COMBNORM", "UNITMEAN", "BITSHIFT",
    "NREJECT", "NEMPTY", "ARITHMET", "ARITHSEC", "NDIVZERO", "NOVERFLO",
    *(f"{stem}{digit}*" for stem in ("FILE", "DATE", "SCAL", "WGHT") for digit in range(10)),
    *("STSECT", "STNUM", "STSUM", "STMEAN", "STMEDIAN", "STMODE", "STSTD", "STVAR"),
    *("STMIN", "STMAX", "STMAD", "STMADSTD", "STCMEAN", "STCMED", "STCSTD", "STSAT"),
    "STQ*",
)  # fmt: skip
"""Cards by which a tool tells of the pixels that it was given or made."""
_OF_A_PRODUCT = ("DIGEST", "GROUP", "LEVEL")
"""Cards by which a product of a reduction is known: what is made of it is another."""
_OF_PIXELS = tuple(one for one in MEASURED if one.name not in ("bjd_tdb", "saturate"))
"""What a reduction measures in the pixels of a light."""


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
        data, cards = reader.read(), tuple(all_cards(reader))
    path, _ = split_hdu(name)
    planes = {
        title: _read_plane(path, title, data.shape) for title in planes_beside(name)
    }
    mask = planes.get(MASK)
    flags = None if mask is None else flags_of(mask)
    return Image(name, data, cards, planes.get(UNCERT), flags)


def all_cards(reader: ImageReader) -> list[bytes]:
    """Give the cards of an image, and those of the primary header that it lacks."""
    cards = reader.cards
    if not reader.raw.hdu:
        return cards
    first = without(reader.primary.records, (*STRUCTURE, "COMMENT", "HISTORY", ""))
    names = {card[:8].decode("ascii", "replace").strip() for card in cards}
    return [*cards, *without(first, names)]


def planes_beside(name: str) -> frozenset[str]:
    """List the planes beside an image; none if it is an extension that is named."""
    path, hdu = split_hdu(name)
    if hdu:
        return frozenset()
    return frozenset({MASK, UNCERT} & set(extension_names(path)))


_SIGMA_OF: Mapping[str, Callable[[Array], Array]] = {
    "": lambda plane: plane,
    "stddevuncertainty": lambda plane: plane,
    "varianceuncertainty": np.sqrt,
    "inversevariance": lambda plane: 1 / np.sqrt(plane),
}
"""What makes one sigma of an ``UNCERT``, by its UTYPE as `astropy.nddata` writes it."""


def sigma_of(reader: ImageReader, start: int, stop: int) -> Array:
    """Read rows of an ``UNCERT`` as one sigma, whatever it is told as.

    Raises
    ------
    InputError
        If it is none of what `astropy.nddata` knows.
    """
    told = str(reader.get("UTYPE") or "").strip()
    if told.lower() not in _SIGMA_OF:
        msg = (
            f"{reader.path}: its UNCERT is UTYPE = {told}; StdDevUncertainty, "
            "VarianceUncertainty or InverseVariance was expected: write it as one of "
            "them, or remove it"
        )
        raise InputError(msg)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _SIGMA_OF[told.lower()](reader.rows(start, stop))


def flags_of(mask: Array) -> NDArray[np.uint8]:
    """Take a MASK plane as flags; of another type all that is not 0 is no value."""
    if mask.dtype == np.uint8:
        return mask
    return np.where(mask != 0, np.uint8(Flag.NO_VALUE), np.uint8(0))


def _read_plane(path: Path, title: str, shape: tuple[int, ...]) -> Array:
    with open_image(path, title) as reader:
        if reader.shape != shape:
            msg = f"{path}: its {title} is {reader.shape}, its image {shape}"
            raise InputError(msg)
        if title == UNCERT:
            return sigma_of(reader, 0, math.prod(shape[:-1])).reshape(shape)
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
        Cards that are carried over, but for those that told of the pixels of the input.
    cards : mapping of str to (value, comment)
        Cards of this product, by keyword; they replace those of the base.
    history : sequence of str
        Sentences for HISTORY, dated and behind those of the base.

    Returns
    -------
    list of bytes
        Cards of 80 characters; the product's structure is not among them.
    """
    header = RawHeader(0, b"".join(base))
    creator = str(header.get("CREATOR") or "autoreduce")
    # Another program's name tells how its header is to be read.
    writer = "CREATOR" if creator.startswith("autoreduce") else "SWMODIFY"
    ours: dict[str, tuple[CardValue, str]] = {
        **cards,
        writer: (f"autoreduce {__version__}", "program that made this file"),
        "DATE": (written_at(), "[UTC] when this file was made"),
    }
    stale = (*_OF_THE_TOOLS, *measured_keywords(_OF_PIXELS))
    if is_product(header):
        stale += _OF_A_PRODUCT
    kept = without(base, [*STRUCTURE, *stale, *ours])
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
    told = _facts_of(cards).keywords("saturate", "pedestal")
    return without(cards, ("CBLACK", "CWHITE", *told))


def without_unit(cards: Sequence[bytes]) -> list[bytes]:
    """Drop the cards that tell what a unit of the pixels is: it is another."""
    told = _facts_of(cards).readings
    names = [told[fact].keyword for fact in ("egain", "rdnoise") if fact in told]
    return without(cards, ("BUNIT", "EGAIN", "RDNOISE", *names))


def with_gain(cards: Sequence[bytes], factor: float) -> list[bytes]:
    """Tell the gain of pixels that have been multiplied by a factor."""
    told = _facts_of(cards).readings.get("egain")
    if factor == 1 or told is None or not isinstance(told.value, int | float):
        return list(cards)
    gain = format_card("EGAIN", told.value / factor, "[electron/adu] gain")
    return [*without(cards, ("EGAIN", told.keyword)), *gain]


def _facts_of(cards: Sequence[bytes]) -> Facts:
    return FrameReader(load_dialects()).read_facts(RawHeader(0, b"".join(cards)))


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

    first = {"x": columns.start, "y": rows.start}
    kept = without(cards, ("BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC", "AMPSEC"))
    kept = moved_wcs(kept, first["x"], first["y"])
    facts = _facts_of(kept)
    for axis, start in first.items():
        told = facts.readings.get(f"{axis}orgsubf")
        if told is not None and isinstance(told.value, int):
            origin = Card(f"{axis.upper()}ORGSUBF", told.value + start, "first pixel")
            stale = (origin.keyword, told.keyword)
            kept = [*without(kept, stale), *format_card(*origin)]
    return _moved_mosaic(kept, first["y"], first["x"])


def _moved_mosaic(cards: list[bytes], row: int, column: int) -> list[bytes]:
    """Tell the Bayer pattern of an image from the pixel on with which it now begins."""
    facts = _facts_of(cards)
    told = facts.readings.get("bayerpat")
    if told is None:
        return cards
    pattern = moved_pattern(str(told.value), row, column)
    stale = (told.keyword, "BAYERPAT", *facts.keywords("xbayroff", "ybayroff"))
    card = format_card("BAYERPAT", pattern, "colours from the first pixel on")
    return [*without(cards, stale), *card]
