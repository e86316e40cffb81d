"""What made a product: its header cards, the table of its inputs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

import numpy as np

from autoreduce.fits.amplifiers import without_hdus, write_amplifiers
from autoreduce.fits.cards import (
    Card,
    format_card,
    format_history,
    without,
    written_at,
)
from autoreduce.fits.header import RawHeader
from autoreduce.fits.sections import parse_section
from autoreduce.fits.tables import table_extension
from autoreduce.fits.writer import MASK, UNCERT
from autoreduce.frames.literals import moment
from autoreduce.pixels.flags import MEANINGS
from autoreduce.planning.plan import Action, Fact, FrameInput, Task
from autoreduce.remarks import some
from autoreduce.version import __version__

CREATOR = f"autoreduce {__version__}"

FACT_CARDS = {
    "object": ("OBJECT", "target"),
    "filter": ("FILTER", "filter"),
    "exptime": ("EXPTIME", "[s] exposure of one frame"),
    "xbinning": ("XBINNING", "binning along NAXIS1"),
    "ybinning": ("YBINNING", "binning along NAXIS2"),
    "readoutm": ("READOUTM", "readout mode"),
    "gain": ("GAIN", "gain setting of the camera"),
    "offset": ("OFFSET", "offset setting of the camera"),
    "egain": ("EGAIN", "[electron/adu] gain"),
    "rdnoise": ("RDNOISE", "[electron] read noise"),
    "ccd_temp": ("CCD-TEMP", "[Celsius] sensor temperature"),
    "set_temp": ("SET-TEMP", "[Celsius] sensor set point"),
    "instrume": ("INSTRUME", "camera"),
    "telescop": ("TELESCOP", "telescope"),
    "focallen": ("FOCALLEN", "[mm] focal length"),
    "rotator": ("ROTATANG", "[deg] rotator angle"),
    "xorgsubf": ("XORGSUBF", "first column of the subframe"),
    "yorgsubf": ("YORGSUBF", "first row of the subframe"),
    "bayerpat": ("BAYERPAT", "colour filter array"),
    "roworder": ("ROWORDER", "order of the rows"),
    "coadds": ("COADDS", "exposures added up by the camera"),
    "disperser": ("DISPERSE", "grating or grism"),
    "slit": ("SLIT", "slit"),
    "lamp": ("LAMP", "what the flats were lit by"),
    "night": ("NIGHT", "local date of the evening"),
    "naxis1": ("RAWAXIS1", "[pixel] columns of a raw frame"),
    "naxis2": ("RAWAXIS2", "[pixel] rows of a raw frame"),
    "biassec": ("RAWBIAS", "overscan section of a raw frame"),
    "trimsec": ("RAWTRIM", "section of a raw frame that is kept"),
    "counts": ("COUNTS", "how the raw frames count, unlike others"),
    "amplifiers": ("RAWAMPS", "amplifiers of a raw frame"),
    "detector": ("CCDNAME", "detector"),
}
"""Keyword and comment under which a product carries each match key."""

BUNIT = Card("BUNIT", "adu", "unit of the pixel values")
MASK_BITS = [
    Card(f"MASKBIT{flag.bit_length() - 1}", int(flag), meaning)
    for flag, meaning in MEANINGS.items()
]
"""What the bits of flags mean."""
PLANE_CARDS = {
    UNCERT: format_card(*BUNIT),
    MASK: [line for card in MASK_BITS for line in format_card(*card)],
}
"""Cards of the planes: the unit of errors, the meaning of the bits."""

OF_EACH_FRAME = ("exptime", "ccd_temp", "set_temp", "focallen", "rotator")
"""Match keys that agree within a tolerance: a light keeps its own."""

MASTER_TYPES = {
    Action.BIAS: "Master Bias",
    Action.DARK: "Master Dark",
    Action.DARK_FIT: "Master Dark Current",
    Action.FLAT: "Master Flat",
    Action.BAD_PIXELS: "Bad Pixel Map",
    Action.STACK: "Stack",
}
MASTER_FLAT_DARK = "Master Flat Dark"
_MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)
_MEANINGLESS_AFTER = (
    "CBLACK", "CWHITE", "CSTRETCH", "BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC",
    "AMPSEC", "PEDESTAL", "SNAPSHOT", "SATURATE", "BAYOFFX", "BAYOFFY",
)  # fmt: skip


OF_ONE_EXPOSURE = (
    *("DATE-AVG", "DATE-END", "MJD-AVG", "MJD-BEG", "MJD-END", "MJD-OBS", "MJD", "JD"),
    *("MIDPOINT", "TIME-END", "UT-END", "BJD*", "HJD*", "JD-*", "JD_*"),
    *("AIRMASS", "HA", "ST", "LST", "CENTALT", "CENTAZ", "OBJCTALT", "OBJCTAZ"),
    "OBJCTHA",
)
"""Cards that tell when a frame was exposed, and where in the sky its field stood then."""
_CLOCKS = ("TIME-OBS", "UT", "UTC", "UT-OBS", "UTC-OBS", "UTSTART", "UT-START", "TIME")
"""Cards with the time of day to the date in DATE-OBS."""
_OTHER_TIMES = (
    *("DATE-BEG", "DATE-END", "MJD*", "TIME-END", "JD*", "HJD*", "BJD*", "UT-END"),
    *("DATE-LOC", "HA", "OBJCTHA", "ST", "LST", *_CLOCKS),
)
"""Times of a raw header that are not its start as it is known, or of its own scale."""
_SAME_START = timedelta(seconds=1)


def product_cards(
    task: Task,
    extra: Iterable[Card],
    *,
    base: Sequence[bytes] = (),
    used: Sequence[FrameInput] = (),
    history: Sequence[str] = (),
) -> list[bytes]:
    """Assemble the cards of a product.

    Parameters
    ----------
    task : Task
        What was made.
    extra : iterable of Card
        What is particular to this product; replaces cards of the same keyword.
    base : sequence of bytes
        Cards carried over from a raw frame, unparsed.
    used : sequence of FrameInput
        Frames that went in, for the dates; empty leaves those of the base.
    history : sequence of str
        Sentences for HISTORY, after what is doubtful of all that it is made from.

    Returns
    -------
    list of bytes
        Cards of 80 characters.
    """
    extra = list(extra)
    # What is particular to the product holds, whatever its facts say.
    own = {card.keyword for card in extra}
    facts = [*_task_cards(task), *_dates(used), *_start_in_utc(task, base)]
    ours = [*(card for card in facts if card.keyword not in own), *extra]
    ours.append(Card("CREATOR", CREATOR, "program that made this file"))
    ours.append(Card("DATE", written_at(), "[UTC] when this file was made"))
    keywords = {card.keyword for card in ours}
    retold = {"TIMESYS", "DATE-OBS"} & keywords
    other_times = _OTHER_TIMES if retold else ()
    kept = without(base, [*keywords, *_MEANINGLESS_AFTER, *other_times])
    while kept and not kept[-1].strip():
        kept.pop()
    cards = [line for card in ours for line in format_card(*card)]
    doubts = (f"{some(one.subject)}: {one}" for one in task.doubts)
    past = [line for text in (*doubts, *history) for line in format_history(text)]
    return [*kept, *cards, *past]


def _amplifiers(task: Task) -> Fact:
    """Write the amplifiers of the frames, with the factors that were measured."""
    if not task.frames or not task.frames[0].amplifiers:
        return task.facts.get("amplifiers")
    return without_hdus(write_amplifiers(task.frames[0].amplifiers))


def _task_cards(task: Task) -> list[Card]:
    cards = []
    for name, (keyword, comment) in FACT_CARDS.items():
        value = _amplifiers(task) if name == "amplifiers" else task.facts.get(name)
        if task.action is Action.CALIBRATE and name in OF_EACH_FRAME:
            value = None
        if task.action is Action.STACK and name == "bayerpat":
            value = None  # its colours are apart
        if value is not None:
            cards.append(Card(keyword, value, comment))
    if task.is_mosaic and task.action is not Action.STACK:
        cards += _pattern_begin(task)
    if task.action in MASTER_TYPES:
        kind = MASTER_TYPES[task.action]
        if task.facts.get("imagetyp") == "flatdark":
            kind = MASTER_FLAT_DARK
        cards.append(Card("IMAGETYP", kind, "kind of image"))
    cards.append(Card("GROUP", task.group, "group of frames it was made from"))
    if task.missing:
        cards.append(Card("MISSING", "; ".join(map(str, task.missing))))
    if task.action is not Action.BAD_PIXELS:
        rate = task.action is Action.DARK_FIT
        cards.append(BUNIT._replace(value="adu/s") if rate else BUNIT)
    return cards


def _pattern_begin(task: Task) -> list[Card]:
    """Say where in the raw frame's Bayer pattern a product begins: where it is trimmed."""
    trim = task.facts.get("trimsec")
    y, x = (part.start for part in parse_section(str(trim))) if trim else (0, 0)
    return [
        Card("XBAYROFF", x % 2, "column of BAYERPAT that comes first"),
        Card("YBAYROFF", y % 2, "row of BAYERPAT that comes first"),
    ]


def _dates(used: Sequence[FrameInput]) -> list[Card]:
    starts = sorted(
        (datetime.fromisoformat(item.date_obs), item.exptime or 0.0)
        for item in used
        if item.date_obs
    )
    if not starts:
        return []
    begin = starts[0][0]
    spans = [((start - begin).total_seconds(), seconds) for start, seconds in starts]
    middle = sum(since + seconds / 2 for since, seconds in spans) / len(spans)
    average = begin + timedelta(seconds=middle)
    end = begin + timedelta(seconds=max(since + seconds for since, seconds in spans))
    return [
        Card("DATE-OBS", iso_text(begin), "[UTC] start of the first exposure"),
        Card("DATE-AVG", iso_text(average), "[UTC] mean middle"),
        Card("DATE-END", iso_text(end), "[UTC] end of the last exposure"),
    ]


def _start_in_utc(task: Task, base: Sequence[bytes]) -> list[Card]:
    """Tell the start in UTC where the raw header tells another one, or its own scale."""
    dated = [item.date_obs for item in task.frames if item.date_obs]
    if not dated:
        return []
    begin = datetime.fromisoformat(dated[0])
    scale = [card[10:].split(b"/")[0] for card in base if card[:8] == b"TIMESYS "]
    of_utc = not scale or scale[0].strip(b"' ").upper() in (b"UTC", b"UT")
    cards = [] if of_utc else [Card("TIMESYS", "UTC", "scale of all times")]
    if task.action is Action.CALIBRATE and not (of_utc and _tells(base, begin)):
        start = iso_text(begin)
        cards.append(Card("DATE-OBS", start, "[UTC] start of the exposure"))
    return cards


def _tells(base: Sequence[bytes], begin: datetime) -> bool:
    """Say whether DATE-OBS, with a time of day beside it, tells a start."""
    header = RawHeader(0, b"".join(base))
    date = header.get("DATE-OBS")
    clocks = [header.get(keyword) for keyword in _CLOCKS]
    told = [moment(date), *(moment(date, "date", clock) for clock in clocks)]
    first = next((one for one in told if one is not None), None)
    return first is not None and abs(first - begin) < _SAME_START


def exposure_times(item: FrameInput) -> list[Card]:
    """Give the middle of an exposure, and its start as a modified Julian date."""
    if not item.date_obs:
        return []
    begin = datetime.fromisoformat(item.date_obs)
    middle = begin + timedelta(seconds=(item.exptime or 0.0) / 2)
    return [
        Card("MJD-OBS", mjd(begin), "[d] start of the exposure, UTC"),
        Card("DATE-AVG", iso_text(middle), "[UTC] middle of the exposure"),
        Card("MJD-AVG", mjd(middle), "[d] the same"),
    ]


def mjd(moment: datetime) -> float:
    """Give the modified Julian date of a time, UTC."""
    return (moment - _MJD_0).total_seconds() / 86400


def date_of_mjd(days: float) -> datetime:
    """Give the time, UTC, of a modified Julian date, to the millisecond."""
    return _MJD_0 + timedelta(milliseconds=round(days * 86_400_000))


def iso_text(moment: datetime) -> str:
    """Write a time, UTC, as FITS has it: to the millisecond."""
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00")


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input of a combination, as the ``INPUTS`` table records it."""

    file: str
    """Raw frame or product."""
    date_obs: str = ""
    """Start of its exposure."""
    digest: str = ""
    """Digest of a product's state; of a raw file's content."""
    scale: float = 1.0
    """Factor that it was multiplied by."""
    weight: float = 1.0
    """Weight; 0 for a frame that was left out."""
    rejected: int = 0
    """Pixels of it that were rejected."""
    reason: str = ""
    """Why it was left out, if it was."""


def inputs_table(rows: Sequence[InputRow]) -> bytes:
    """Write the ``INPUTS`` binary table extension.

    Parameters
    ----------
    rows : sequence of InputRow
        One for each input.

    Returns
    -------
    bytes
        Header and data of the extension, checksums set.
    """
    columns = {
        item.name: np.array([getattr(row, item.name) for row in rows], item.type)
        for item in fields(InputRow)
    }
    return table_extension("INPUTS", columns)
