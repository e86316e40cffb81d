"""Header cards as bytes: 80 columns each, the way they stand in the file.

Raw headers are carried over card by card, unparsed, so that nothing a camera wrote is
lost or reworded; only the cards that this module formats are ours.

References
----------
FITS Standard 4.0 (2018), sections 4.1-4.2 (cards, CONTINUE) and 4.4.2.7, appendix J
(CHECKSUM, DATASUM).
"""

import math
import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CARD = 80
BLOCK = 2880
CardValue = str | bool | int | float | None


class Card(NamedTuple):
    """One header card."""

    keyword: str
    """In capitals; words of a HIERARCH keyword are joined by single blanks."""
    value: CardValue
    """None where the card has no value; the text of COMMENT and HISTORY."""
    comment: str = ""
    """Text behind the slash."""


_PLAIN_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_STRING_CHUNK = 66


def format_card(keyword: str, value: CardValue, comment: str = "") -> list[bytes]:
    """Format a keyword, its value and a comment as one card, or more with CONTINUE.

    Parameters
    ----------
    keyword : str
        Upper case; longer than 8 characters or with other letters it becomes a
        HIERARCH card.
    value : str, bool, int, float or None
        None, and a float that is not finite, gives a card without a value.
    comment : str
        Cut to the room that is left.

    Returns
    -------
    list of bytes
        Cards of 80 ASCII characters; characters outside ASCII become "?".
    """
    head = f"{keyword:<8}= "
    if not _PLAIN_KEYWORD.fullmatch(keyword):
        head = f"HIERARCH {keyword} = "
    if isinstance(value, str):
        return _string_cards(head, value, comment)
    return [_card(f"{head}{_literal(value):>20}", comment)]


def format_history(text: str) -> list[bytes]:
    """Format text as HISTORY cards, 72 characters each, broken at spaces."""
    words, lines = text.split(), [""]
    for word in words:
        for piece in (word[at : at + 72] for at in range(0, len(word), 72)):
            if len(lines[-1]) + len(piece) + 1 > 72:
                lines.append("")
            lines[-1] = f"{lines[-1]} {piece}".strip()
    return [_ascii(f"HISTORY {line}") for line in lines]


def header_block(cards: Sequence[bytes], *, reserve: int = 0) -> bytes:
    """Join cards to a header: END, and blanks up to a multiple of 2880 bytes.

    Parameters
    ----------
    cards : sequence of bytes
        Cards of 80 characters, END not among them.
    reserve : int
        Length in bytes that the header is padded to at least, with blank cards in
        front of END.

    Raises
    ------
    ValueError
        If the cards need more than `reserve`, where that is given.
    """
    needed = -(-(len(cards) + 1) * CARD // BLOCK) * BLOCK
    if reserve and needed > reserve:
        msg = f"{len(cards)} cards do not fit into the {reserve} bytes reserved"
        raise ValueError(msg)
    size = max(needed, reserve)
    blank = size // CARD - len(cards) - 1 if reserve else 0
    body = b"".join(cards) + b" " * CARD * blank + b"END"
    return body.ljust(size)


def ones_complement_sum(data: bytes | NDArray[np.uint8], start: int = 0) -> int:
    """Add 32-bit big-endian words in ones' complement, as CHECKSUM and DATASUM do.

    Parameters
    ----------
    data : bytes or array of uint8
        A multiple of 4 bytes.
    start : int
        Sum of what came before; the order of pieces does not matter.
    """
    words = np.frombuffer(data, dtype=">u4")
    total = start + int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def encode_checksum(total: int) -> str:
    """Encode the complement of a sum as the 16 characters of CHECKSUM."""
    value = 0xFFFFFFFF - total
    columns = [_encode_byte((value >> shift) & 0xFF) for shift in (24, 16, 8, 0)]
    rows = [columns[byte][part] for part in range(4) for byte in range(4)]
    return "".join(rows[-1:] + rows[:-1])


def checksummed_header(
    cards: Sequence[bytes], data_sum: int, *, reserve: int = 0
) -> bytes:
    """Build a header with DATASUM and a CHECKSUM that makes its HDU sum to -0."""
    data_card = format_card("DATASUM", str(data_sum), "data unit checksum")
    zero_card = format_card("CHECKSUM", "0" * 16, "HDU checksum")
    zeroed = header_block([*cards, *data_card, *zero_card], reserve=reserve)
    total = ones_complement_sum(zeroed, data_sum)
    full_card = format_card("CHECKSUM", encode_checksum(total), "HDU checksum")
    return header_block([*cards, *data_card, *full_card], reserve=reserve)


def written_at() -> str:
    """Give the time for DATE: now, or that of SOURCE_DATE_EPOCH if it is set.

    Returns
    -------
    str
        UTC, ISO 8601 in whole seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal():
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(epoch))
    else:
        moment = datetime.now(UTC)
    return moment.isoformat(timespec="seconds").removesuffix("+00:00")


def without(cards: Iterable[bytes], keywords: Iterable[str]) -> list[bytes]:
    """Drop the cards of some keywords, with their CONTINUE cards.

    Parameters
    ----------
    cards : iterable of bytes
        Cards of 80 characters.
    keywords : iterable of str
        Keywords; one that ends in "*" stands for all that begin so.
    """
    names = tuple(keywords)
    exact = {name for name in names if not name.endswith("*")}
    stems = tuple(name[:-1] for name in names if name.endswith("*"))
    kept: list[bytes] = []
    dropping = False
    for card in cards:
        keyword = card[:8].decode("ascii", "replace").strip().upper()
        if keyword != "CONTINUE":
            dropping = keyword in exact or (bool(stems) and keyword.startswith(stems))
        if not dropping:
            kept.append(card)
    return kept


def _literal(value: bool | int | float | None) -> str:  # noqa: PYI041 -- the kinds of FITS value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "T" if value else "F"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    text = repr(float(value)).upper()
    return text if "." in text or "E" in text else f"{text}.0"


def _string_cards(head: str, value: str, comment: str) -> list[bytes]:
    quoted = value.replace("'", "''")
    room = CARD - len(head) - 2
    if len(quoted) <= room:
        return [_card(f"{head}'{quoted:<8}'", comment)]
    pieces = _split_quoted(quoted, room - 1, _STRING_CHUNK)
    first = _ascii(f"{head}'{pieces[0]}&'")
    middle = [_ascii(f"CONTINUE  '{piece}&'") for piece in pieces[1:-1]]
    return [first, *middle, _card(f"CONTINUE  '{pieces[-1]}'", comment)]


def _split_quoted(quoted: str, first: int, others: int) -> list[str]:
    """Cut a string whose quotes are doubled, never between the two of a pair."""
    pieces, room = [], first
    while len(quoted) > room:
        cut = room
        while (len(quoted[:cut]) - len(quoted[:cut].rstrip("'"))) % 2:
            cut -= 1
        pieces.append(quoted[:cut])
        quoted, room = quoted[cut:], others
    return [*pieces, quoted]


def _card(text: str, comment: str) -> bytes:
    if comment and len(text) < CARD - 4:
        text = f"{text:<30} / {comment}"
    return _ascii(text)


def _ascii(text: str) -> bytes:
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text[:CARD].ljust(CARD).encode("ascii")


def _encode_byte(value: int) -> list[str]:
    """Spread one byte over four characters whose sum it is (standard, appendix J)."""
    quarter, rest = divmod(value, 4)
    codes = [quarter + rest, quarter, quarter, quarter]
    codes = [code + 48 for code in codes]
    excluded = {*range(0x3A, 0x41), *range(0x5B, 0x61)}
    while excluded & set(codes):
        for first, second in ((0, 1), (2, 3)):
            if {codes[first], codes[second]} & excluded:
                codes[first] += 1
                codes[second] -= 1
    return [chr(code) for code in codes]
