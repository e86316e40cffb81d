"""World coordinates of products: moved by a trim, taken to another binning."""

import re
from collections.abc import Mapping, Sequence

from autoreduce.fits.cards import CARD, Card, format_card

_WCS = re.compile(
    r"(WCSAXES|CTYPE\d|CUNIT\d|CRVAL\d|CRPIX\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|PV\d_\d+"
    r"|PS\d_\d+|LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX|WCSNAME)[A-Z]?"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|LTV\d|LTM\d_\d"
)
_PIXEL = re.compile(r"CRPIX[12][A-Z]?")
_STEP = re.compile(r"(CDELT[12]|CD[12]_[12])[A-Z]?")
_PER_PIXEL = re.compile(r"(A|B|AP|BP)_(\d)_(\d)")
_PC = re.compile(r"PC[12]_([12])([A-Z]?)")
_PLACE = re.compile(r"(?:CRPIX|LTV)([12])[A-Z]?")
"""Cards that hold a pixel, with its axis ..."""
_PER_STEP = re.compile(r"(?:CDELT|(?:CD|PC)[12]_|LTM[12]_)([12])[A-Z]?")
"""... and those that say what a step along the axis means."""
_SHIFT, _UNIT = re.compile(r"LTV[12]"), re.compile(r"LTM[12]_[12]")


def is_wcs(card: bytes) -> bool:
    """Tell whether a card belongs to the world coordinates, or to those of a mosaic."""
    return bool(_WCS.fullmatch(_keyword(card)))


def is_shift(card: bytes) -> bool:
    """Tell whether a card says where an image lies in a larger one, not on the sky."""
    return _keyword(card).startswith(("LTV", "LTM"))


def moved_wcs(
    cards: Sequence[bytes], x0: float, y0: float, binning: float = 1.0
) -> list[bytes]:
    """Take world coordinates to where the pixels are.

    Parameters
    ----------
    cards : sequence of bytes
        Cards of a header; those that are no coordinates stay.
    x0, y0 : float
        Pixel, from 0, whose lower left corner is that of the new first pixel.
    binning : float
        Pixels in one of the new ones, along a side.

    Returns
    -------
    list of bytes
        With CRPIX of every alternate, CD or CDELT, SIP, LTV and LTM changed.
    """
    moved = list(cards)
    if not x0 and not y0 and binning == 1:
        return moved
    for at, card in enumerate(moved):
        keyword = _keyword(card)
        value = _float(card[10:CARD].split(b"/")[0]) if card[8:10] == b"= " else None
        if value is None:
            continue
        first = y0 if keyword[4:6].startswith("X2") or keyword == "LTV2" else x0
        new = _changed(keyword, value, first, binning)
        if new is not None:
            comment = card[10:CARD].partition(b"/")[2].decode("ascii", "replace")
            moved[at] = format_card(*Card(keyword, new, comment.strip()))[0]
    return moved


def turned_wcs(
    cards: Sequence[bytes], x_sum: float | None, y_sum: float | None
) -> list[bytes]:
    """Take world coordinates to an image that is turned over.

    Parameters
    ----------
    cards : sequence of bytes
        Cards of a header; those that are no coordinates stay.
    x_sum, y_sum : float or None
        Sum of the old and the new column, or row, of any pixel, counted from 1; None
        for an axis that is not turned.

    Returns
    -------
    list of bytes
        With CRPIX of every alternate, CD or CDELT, SIP, LTV and LTM changed.
    """
    sums = {"1": x_sum, "2": y_sum}
    turned = list(cards)
    matrices = {match[2] for card in cards if (match := _PC.fullmatch(_keyword(card)))}
    for at, card in enumerate(turned):
        keyword = _keyword(card)
        value = _float(card[10:CARD].split(b"/")[0]) if card[8:10] == b"= " else None
        if value is None or (keyword.startswith("CDELT") and keyword[6:] in matrices):
            continue
        if (new := _turned(keyword, value, sums)) is not None:
            comment = card[10:CARD].partition(b"/")[2].decode("ascii", "replace")
            turned[at] = format_card(*Card(keyword, new, comment.strip()))[0]
    return turned


def _turned(
    keyword: str, value: float, sums: Mapping[str, float | None]
) -> float | None:
    """Give the new value of a card, None where it stays."""
    if match := _PLACE.fullmatch(keyword):
        total = sums[match[1]]
        return None if total is None else total - value
    if match := _PER_STEP.fullmatch(keyword):
        return None if sums[match[1]] is None else -value
    if match := _PER_PIXEL.fullmatch(keyword):
        powers = {"1": int(match[2]), "2": int(match[3])}
        own = "1" if match[1].startswith("A") else "2"
        flips = sum(powers[axis] + (axis == own) for axis in sums if sums[axis])
        return -value if flips % 2 else None
    return None


def _changed(keyword: str, value: float, first: float, binning: float) -> float | None:
    """Give the new value of a card, None where it stays."""
    if _PIXEL.fullmatch(keyword):
        return (value - 0.5 - first) / binning + 0.5
    if _SHIFT.fullmatch(keyword):
        return (value - 0.5 - first) / binning + 0.5
    if _UNIT.fullmatch(keyword):
        return value / binning
    if _STEP.fullmatch(keyword):
        return value * binning
    if match := _PER_PIXEL.fullmatch(keyword):
        return float(value * binning ** (int(match[2]) + int(match[3]) - 1))
    return None


def _keyword(card: bytes) -> str:
    return card[:8].decode("ascii", "replace").strip().upper()


def _float(text: bytes) -> float | None:
    try:
        return float(text.replace(b"D", b"E"))
    except ValueError:
        return None
