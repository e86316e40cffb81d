"""Images of any type, with their planes, in and out whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.cards import (
    BLOCK,
    CardValue,
    checksummed_header,
    format_card,
    format_history,
    ones_complement_sum,
    without,
)
from autoreduce.fits.header import read_headers
from autoreduce.fits.images import open_image, split_hdu
from autoreduce.fits.writer import STRUCTURE
from autoreduce.tools.files import replacing
from autoreduce.version import __version__

Array = NDArray[Any]

_BITPIX = {
    "uint8": 8, "int16": 16, "int32": 32, "int64": 64, "float32": -32, "float64": -64,
}  # fmt: skip
_ZERO = {"int8": -128, "uint16": 2**15, "uint32": 2**31, "uint64": 2**63}


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
    mask: NDArray[np.bool_] | None = None
    """True where the data are bad; None if nothing is."""


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
        for number, title in enumerate(_titles(path))
        if title in ("UNCERT", "MASK")
    }
    mask = planes.get("MASK")
    return Image(
        name, data, cards, planes.get("UNCERT"), None if mask is None else mask != 0
    )


def _read_plane(path: Path, number: int, title: str, shape: tuple[int, ...]) -> Array:
    with open_image(path, number) as reader:
        if reader.shape != shape:
            msg = f"{path}: its {title} is {reader.shape}, its image {shape}"
            raise InputError(msg)
        return reader.read()


def _titles(path: Path) -> list[str]:
    """List the EXTNAME of each HDU."""
    if path.suffix.lower() == ".gz":
        # Headers behind pixels are not read there without unpacking them.
        from astropy.io import fits

        with fits.open(path) as hdus:
            return [hdu.name for hdu in hdus]
    return [str(header.get("EXTNAME") or "") for header in read_headers(path)]


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
    now = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    ours: dict[str, tuple[CardValue, str]] = {
        **cards,
        "CREATOR": (f"autoreduce {__version__}", "program that made this file"),
        "DATE": (now, "[UTC] when this file was made"),
    }
    kept = without(base, [*STRUCTURE, *ours])
    while kept and not kept[-1].strip():
        kept.pop()
    past = (f"{now} autoreduce {__version__}: {text}" for text in history)
    return [
        *kept,
        *(card for key, pair in ours.items() for card in format_card(key, *pair)),
        *(line for text in past for line in format_history(text)),
    ]


def write_product(
    path: Path,
    data: Array,
    cards: Sequence[bytes],
    *,
    planes: Mapping[str, Array] | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image of any type, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    data : (ny, nx) or (nz, ny, nx) array
        Integers are written as integers, unsigned ones with BZERO.
    cards : sequence of bytes
        As `product_cards` returns them.
    planes : mapping of str to array, optional
        Planes of the same shape: ``UNCERT`` (float), ``MASK`` (bool).
    overwrite : bool
        Whether a file that stands there is replaced.

    Raises
    ------
    ProductError
        If it exists and may not be replaced, or the disk does not take it.
    """
    with replacing(path, overwrite=overwrite) as part, part.open("wb") as file:
        _write_hdu(file, data, [_card("SIMPLE", value=True)], cards)
        for name, plane in (planes or {}).items():
            own = [_card("EXTNAME", value=name)]
            if name == "UNCERT":
                own.append(_card("UTYPE", value="StdDevUncertainty"))
            stored = plane.astype(np.uint8) if plane.dtype == np.bool_ else plane
            _write_hdu(file, stored, [_card("XTENSION", value="IMAGE")], own)


def _write_hdu(
    file: Any,  # noqa: ANN401 -- an open binary file
    data: Array,
    begin: Sequence[bytes],
    cards: Sequence[bytes],
) -> None:
    raw, zero = _stored(data)
    padded = np.zeros(-(-raw.nbytes // BLOCK) * BLOCK, np.uint8)
    padded[: raw.nbytes] = raw.reshape(-1).view(np.uint8)
    structure = [
        *begin,
        _card("BITPIX", value=_BITPIX[raw.dtype.newbyteorder("=").name]),
        _card("NAXIS", value=raw.ndim),
        *(_card(f"NAXIS{n}", value=size) for n, size in _axes(raw)),
    ]
    if begin[0].startswith(b"XTENSION"):
        structure += [_card("PCOUNT", value=0), _card("GCOUNT", value=1)]
    else:
        structure += [_card("EXTEND", value=True)]
    if zero:
        structure += [_card("BZERO", value=zero), _card("BSCALE", value=1)]
    total = ones_complement_sum(padded)
    file.write(checksummed_header([*structure, *cards], total))
    file.write(padded.data)


def _axes(raw: Array) -> list[tuple[int, int]]:
    return list(enumerate(reversed(raw.shape), start=1))


def _card(keyword: str, *, value: CardValue) -> bytes:
    return format_card(keyword, value)[0]


def _stored(data: Array) -> tuple[Array, int]:
    """Return the data as they lie in the file, and their BZERO."""
    zero = _ZERO.get(data.dtype.name, 0)
    if zero:
        # A shift by half the range is a flip of the highest bit.
        bits = data.dtype.itemsize * 8
        unsigned = np.dtype(f"u{data.dtype.itemsize}")
        flipped = data.view(unsigned) ^ unsigned.type(1 << (bits - 1))
        kind = "u" if data.dtype == np.int8 else "i"
        data = flipped.view(np.dtype(f"{kind}{data.dtype.itemsize}"))
    return np.ascontiguousarray(data, data.dtype.newbyteorder(">")), zero


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
    from autoreduce.products.provenance import shifted_wcs

    kept = without(cards, ("BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC", "AMPSEC"))
    return shifted_wcs(kept, columns.start, rows.start)
