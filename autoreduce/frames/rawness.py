"""Why a frame is no raw exposure: calibrated already, stacked, or our own product."""

import re
from collections.abc import Iterator

from autoreduce.fits.header import RawHeader, Value
from autoreduce.frames.dialects import CalibratedRule, Dialect, StackedRule
from autoreduce.frames.literals import number
from autoreduce.remarks import Remark, remark

OWN_CARDS = ("CREATOR", "SWCREATE", "SOFTWARE", "SWMODIFY")
"""Cards that name the writer; ours begin with ``autoreduce``."""

_NOT_DONE = {
    "",
    "f",
    "0",
    "-1",
    "no",
    "none",
    "n",
    "false",
    "omit",
    "perform",
    "skipped",
    "n/a",
}
_NO_IMAGE_NAMES = re.compile(
    r"(mask|dq|err(or)?|uncert|var(iance)?|stdvar|weight|wht|bpm|cat(alog)?|inputs|coverage"
    r"|con|ctx|sci_?err|d2imarr|wcsdvarr|skyfit|thumbnail|background|bkg|provmap|segm(ap|entation)?)[\W_\d]*",
    re.IGNORECASE,
)


def keywords_of_products(dialect: Dialect) -> Iterator[str]:
    """Return every keyword that `why_not_raw` asks for."""
    yield from (*OWN_CARDS, "EXTNAME", "HISTORY")
    calibrated, stacked = dialect.calibrated, dialect.stacked
    yield from (*calibrated.letters, *calibrated.done, *calibrated.cards)
    yield from calibrated.values
    yield from (*stacked.counts, *stacked.cards)


def own_card(header: RawHeader) -> str | None:
    """Name the card that says that autoreduce wrote an image; None if there is none."""
    for card in OWN_CARDS:
        if str(header.get(card)).lower().startswith("autoreduce"):
            return card
    return None


def is_product(header: RawHeader) -> bool:
    """Tell whether a header is of a product as a reduction wrote it."""
    return own_card(header) is not None and isinstance(header.get("DIGEST"), str)


def is_plane(header: RawHeader) -> bool:
    """Tell whether an image is named for what it says of another, such as its mask."""
    name = header.get("EXTNAME")
    return isinstance(name, str) and bool(_NO_IMAGE_NAMES.fullmatch(name.strip()))


def why_not_raw(header: RawHeader, dialect: Dialect) -> Remark | None:
    """Return why an image is not a raw frame; None if nothing says so."""
    if (card := own_card(header)) is not None:
        return remark("own-product", found=card)
    if is_plane(header):
        return remark("no-exposure", found=str(header.get("EXTNAME")).strip())
    history = [str(card.value) for card in header.find("HISTORY")]
    return _why_calibrated(header, dialect.calibrated, history) or _why_stacked(
        header, dialect.stacked, history
    )


def _why_calibrated(
    header: RawHeader, rule: CalibratedRule, history: list[str]
) -> Remark | None:
    keyword = next(_calibrated_cards(header, rule), "")
    if keyword:
        return remark("calibrated", found=f"{keyword} = {header.get(keyword)}")
    for line in history:
        if any(pattern.search(line) for pattern in rule.history):
            return remark("calibrated", found=f"HISTORY {line.strip()}")
    return None


def _calibrated_cards(header: RawHeader, rule: CalibratedRule) -> Iterator[str]:
    for keyword in rule.letters:
        letters = str(header.get(keyword) or "").strip().upper()
        if set(letters) & set("BDF") and letters.isalpha() and len(letters) <= 5:
            yield keyword
    yield from (keyword for keyword in rule.done if _is_done(header.get(keyword)))
    yield from (keyword for keyword in rule.cards if header.find(keyword))
    for keyword, values in rule.values.items():
        if str(header.get(keyword)).strip().lower() in map(str.lower, values):
            yield keyword


def _is_done(value: Value) -> bool:
    if value is None or isinstance(value, bool):
        return value is True
    return str(value).strip().lower() not in _NOT_DONE


def _why_stacked(
    header: RawHeader, rule: StackedRule, history: list[str]
) -> Remark | None:
    for keyword in rule.counts:
        value = header.get(keyword)
        if value is True:
            return remark("several-exposures", found="several", expected=keyword)
        count = number(value)
        if count is not None and 1 < count < 1e6:
            return remark("several-exposures", found=f"{count:.0f}", expected=keyword)
    for keyword in rule.cards:
        if header.get(keyword) is not None:
            card = f"{keyword} = {header.get(keyword)}"
            return remark("several-exposures", found="several", expected=card)
    for line in history:
        if any(pattern.search(line) for pattern in rule.history):
            card = f"HISTORY {line.strip()}"
            return remark("several-exposures", found="several", expected=card)
    return None
