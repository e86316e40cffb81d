"""Masters that other programs made, taken over into the form of autoreduce."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoreduce.calibration.bands import Floats
from autoreduce.errors import InputError
from autoreduce.fits.cards import Card
from autoreduce.fits.images import open_image
from autoreduce.fits.writer import MASK, ImageWriter
from autoreduce.frames.frame import Frame
from autoreduce.frames.imagetype import type_of_words
from autoreduce.frames.literals import number
from autoreduce.frames.rawness import is_plane
from autoreduce.frames.scan import read_file
from autoreduce.frames.schema import ImageType, make_frame_table
from autoreduce.pixels.flags import Flag
from autoreduce.pixels.measure import robust_scatter
from autoreduce.pixels.order import finite_median, median
from autoreduce.planning.grouping import FACT_NAMES, comparable
from autoreduce.planning.naming import group_names
from autoreduce.planning.plan import Action, Fact, FrameInput, Task
from autoreduce.planning.rules import load_rules
from autoreduce.products.provenance import product_cards

UNIT_LEVEL = 0.2
"""How far the level of a master flat may be from 1 before it is divided out."""
SUBTRACTED = 1e-3
"""Part of the pixels of a dark below zero that only a subtracted bias leaves there."""
HELD, NOT_HELD = 0.9, 0.5
"""Parts of the bias level above which a dark holds it, and below which it does not."""
_ACTIONS = {
    ImageType.BIAS: Action.BIAS,
    ImageType.DARK: Action.DARK,
    ImageType.FLATDARK: Action.DARK,
    ImageType.FLAT: Action.FLAT,
}
Bias = tuple[Mapping[str, object], float]
"""Facts of a master bias, and its level in ADU."""
_SETTING = (
    "instrume",
    "detector",
    "xbinning",
    "ybinning",
    "readoutm",
    "gain",
    "offset",
)
"""Facts in which darks and bias frames of one level agree."""
_TOLD_BY_ALL = ("instrume", "xbinning", "date_obs")
_TOLD_BY = {
    ImageType.BIAS: ("gain", "ccd_temp"),
    ImageType.DARK: ("exptime", "gain", "ccd_temp"),
    ImageType.FLATDARK: ("exptime", "gain", "ccd_temp"),
    ImageType.FLAT: ("filter", "telescop"),
}
"""Facts that masters are chosen by and that most headers tell, by type."""
_MASTER_WORDS = re.compile(r"master|super|mean|median|stacked", re.IGNORECASE)


class UnknownBiasError(InputError):
    """Nothing tells whether a dark holds its bias."""


@dataclass(frozen=True, slots=True)
class ForeignMaster:
    """A master of another program, read."""

    source: Path
    """Where it is."""
    kind: ImageType
    """Type of the frames that it was made from."""
    facts: Mapping[str, Fact]
    """Match keys, as far as the header tells."""
    date_obs: str | None
    """Start of the exposures, ISO 8601 UTC."""
    n_frames: int | None
    """Frames that went in; None if unknown."""
    calstat: str
    """Letters of what was taken out of its frames."""
    program: str
    """What made it."""
    group: str
    """Name, as autoreduce would give it."""
    digest: str
    """Digest of the file and of what was read from it."""
    data: Floats
    """Pixels, (ny, nx)."""
    level: float
    """Median."""
    remarks: tuple[str, ...]
    """What the header does not tell, in words."""


def read_foreign(
    path: Path,
    *,
    dialects: Sequence[Path] = (),
    keeps_bias: bool | None = None,
    biases: Sequence[Bias] = (),
) -> ForeignMaster:
    """Read a master of another program, its match keys by the tables of dialects.

    Parameters
    ----------
    path : Path
        A FITS file.
    dialects : sequence of Path
        The observer's own dialect tables.
    keeps_bias : bool, optional
        Whether a dark holds its bias, where its header does not tell.
    biases : sequence of (mapping, float)
        Facts and level (ADU) of master bias frames: where neither tells, its level is
        held against that of its camera and setting.

    Returns
    -------
    ForeignMaster
        The master.

    Raises
    ------
    InputError
        If it is not one image, no master, or cannot be used as it is.
    """
    images = read_file(path, dialects=dialects)
    frames = [one for one in images if not is_plane(one.header)] or images
    if len(frames) != 1:
        msg = f"{path} holds {len(frames)} images, one master was expected"
        raise InputError(msg)
    (frame,) = frames
    kind = _kind(path, frame)
    _check_sections(path, frame)
    with open_image(path, frame.header.hdu) as reader:
        data = np.array(reader.read(), np.float32)
    for plane in images:
        if plane.header.get("EXTNAME") == MASK and plane.shape == frame.shape:
            data[_no_value(path, plane)] = np.nan
    finite = data[np.isfinite(data)]
    if data.ndim != 2 or not finite.size:
        msg = f"{path} holds no image of two axes with finite pixels"
        raise InputError(msg)
    level = float(median(finite))
    _check_level(path, kind, finite, level)
    if kind is ImageType.FLAT and abs(level - 1) > UNIT_LEVEL:
        data = data / np.float32(level)
    table = make_frame_table([{**frame.row(), "imagetyp": kind.value}])
    table = comparable(table, load_rules().temperature)
    date_obs = frame.value("date_obs")
    facts = {name: _fact(table[name].iloc[0]) for name in FACT_NAMES}
    calstat, told = _calstat(frame, kind, keeps_bias), ""
    if calstat is None:
        calstat, told = _by_level(path, finite, level, _bias_level(facts, biases))
    return ForeignMaster(
        source=path,
        kind=kind,
        facts=facts,
        date_obs=date_obs.isoformat() if isinstance(date_obs, datetime) else None,
        n_frames=_count(frame),
        calstat=calstat,
        program=str(frame.value("software") or frame.dialect.title),
        group=group_names(table)[0],
        digest=_digest(path, table, calstat),
        data=data,
        level=finite_median(data),
        remarks=tuple(filter(None, (told, *_remarks(frame, kind, level)))),
    )


def _no_value(path: Path, plane: Frame) -> NDArray[np.bool_]:
    """Mark the pixels of which a MASK says that they have no value.

    Bytes are flags; of another type all that is not 0 is no value.
    """
    with open_image(path, plane.header.hdu) as reader:
        mask = reader.read()
    flags = mask & np.uint8(Flag.NO_VALUE) if mask.dtype == np.uint8 else mask
    return np.asarray(flags != 0)


def _kind(path: Path, frame: Frame) -> ImageType:
    """Say what frames a master was made from."""
    reading = frame.facts["imagetyp"]
    kind = None if reading.value is None else ImageType(str(reading.value))
    if kind is ImageType.MASTER:
        card = str(frame.header.get("IMAGETYP") or "")
        texts = (reading.literal, card, path.stem)
        kinds = (type_of_words(_MASTER_WORDS.sub(" ", text)) for text in texts)
        kind = next((found for found in kinds if found in _ACTIONS), None)
    elif kind in _ACTIONS and not frame.why_not and _is_raw(frame):
        msg = (
            f"{path} is a raw frame, no master: reduce it with its night, and add the "
            "output folder"
        )
        raise InputError(msg)
    if kind not in _ACTIONS:
        found = kind or "of unknown type"
        msg = (
            f"{path} is {found}; a library holds master bias, dark and flat frames: "
            "say what it is in its card IMAGETYP, as in 'Master Dark'"
        )
        raise InputError(msg)
    return ImageType(kind)


def _is_raw(frame: Frame) -> bool:
    bits = frame.header.get("ZBITPIX") or frame.header.get("BITPIX")
    return isinstance(bits, int) and bits > 0


def _check_sections(path: Path, frame: Frame) -> None:
    for name in ("biassec", "trimsec", "amplifiers"):
        if frame.value(name) is not None:
            msg = (
                f"{path} has an overscan or a margin ({name} {frame.value(name)}), and "
                "nothing tells whether it was subtracted: make it with autoreduce from "
                "its raw frames"
            )
            raise InputError(msg)


def _check_level(path: Path, kind: ImageType, finite: Floats, level: float) -> None:
    if kind is ImageType.FLAT:
        if not level > 0:
            msg = f"{path} has the level {level:.6g}: a master flat is lit"
            raise InputError(msg)
    elif finite.min() >= 0 and finite.max() <= 1:
        msg = (
            f"{path} has values from {finite.min():.3g} to {finite.max():.3g}, not ADU: "
            f"its program scaled them; autoreduce arith {path.name} x 65535 -o adu.fits "
            "undoes that for 16 bits"
        )
        raise InputError(msg)


def _calstat(frame: Frame, kind: ImageType, keeps_bias: bool | None) -> str | None:
    """Give the letters of what was taken out of a master's frames; None: not told."""
    if kind not in (ImageType.DARK, ImageType.FLATDARK):
        return ""
    keywords = frame.dialect.calibrated.letters
    letters = "".join(str(frame.header.get(keyword) or "") for keyword in keywords)
    if "B" in letters.upper():
        return "B"
    if keeps_bias is None:
        return None
    return "" if keeps_bias else "B"


def _by_level(
    path: Path, finite: Floats, level: float, bias: float | None
) -> tuple[str, str]:
    """Tell from the level of a dark whether it holds its bias: letters, and how.

    Raises
    ------
    UnknownBiasError
        If the level leaves it open.
    """
    negative = float(np.mean(finite < 0))
    if negative > SUBTRACTED:
        return "B", f"{negative:.1%} of its pixels are below zero: its bias is out"
    if bias is not None:
        held = f"its level is {level:.6g} ADU, that of the bias {bias:.6g}"
        if level >= HELD * bias:
            return "", f"{held}: it holds its bias (else --dark-bias subtracted)"
        if level < NOT_HELD * bias:
            return "B", f"{held}: its bias is out (else --dark-bias kept)"
    msg = (
        f"{path}: nothing tells whether this dark holds its bias; add the master bias of "
        "its camera too, or say so with --dark-bias kept or --dark-bias subtracted"
    )
    raise UnknownBiasError(msg)


def _bias_level(facts: Mapping[str, Fact], biases: Sequence[Bias]) -> float | None:
    """Give the level of the bias of a camera and setting; None if none is known."""
    levels = [
        level
        for bias, level in biases
        if all(bias.get(name) == facts.get(name) for name in _SETTING)
    ]
    return float(np.median(levels)) if levels else None


def _fact(value: object) -> Fact:
    if pd.isna(value):
        return None
    if isinstance(value, str):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]


def _count(frame: Frame) -> int | None:
    """Find the number of frames that went in."""
    for keyword in frame.dialect.stacked.counts:
        value = frame.header.get(keyword)
        n = None if isinstance(value, bool) else number(value)
        if n is not None and n >= 1:
            return int(n)
    return None


def _digest(path: Path, table: pd.DataFrame, calstat: str) -> str:
    content = hashlib.sha256(path.read_bytes())
    facts = table[["date_obs", *FACT_NAMES]]
    content.update(facts.to_json(orient="records", date_format="iso").encode())
    content.update(calstat.encode())
    return content.hexdigest()[:32]


def _remarks(frame: Frame, kind: ImageType, level: float) -> Iterator[str]:
    """Say what a header does not tell, and what that means."""
    if kind is ImageType.FLAT and abs(level - 1) > UNIT_LEVEL:
        yield (
            f"its level of {level:.6g} is divided out; if it holds a bias it corrects "
            "vignetting too little"
        )
    wanted = (*_TOLD_BY_ALL, *_TOLD_BY[kind])
    unknown = [name for name in wanted if frame.value(name) is None]
    if unknown:
        yield (
            f"its header does not tell {', '.join(unknown)}: it serves only frames whose "
            "headers do not tell either"
        )
    if _count(frame) is None:
        yield "its header does not tell of how many frames it was made"


def write_foreign(master: ForeignMaster, target: Path) -> None:
    """Write a master of another program as autoreduce writes its own.

    The noise of a single frame is estimated from the scatter of the master's pixels,
    which has its fixed pattern in it: an upper limit.

    Parameters
    ----------
    master : ForeignMaster
        The master.
    target : Path
        Where to; nothing is there yet.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    task = Task(target.name, _ACTIONS[master.kind], master.group, master.facts)
    exptime = master.facts["exptime"]
    used = FrameInput(
        master.source.name,
        exptime=float(exptime) if isinstance(exptime, int | float) else None,
        date_obs=master.date_obs,
    )
    count = master.n_frames
    noise = robust_scatter(master.data) * math.sqrt(count or 1)
    cards = [
        *([Card("NCOMBINE", count, "frames combined")] if count else []),
        Card("NOISEADU", noise, "[adu] noise of a single frame, or less"),
        Card("CALSTAT", master.calstat, "O overscan B bias D dark F flat: done"),
        Card("LEVEL", master.level, "[adu] median"),
        Card("PROGRAM", master.program, "program that made the master"),
        Card("DIGEST", master.digest, "state of all that it was made from"),
    ]
    history = [f"taken over from {master.source.name}, made by {master.program}"]
    with ImageWriter(target, master.data.shape, header_cards=100) as writer:
        writer.write_rows(0, master.data)
        writer.finish(product_cards(task, cards, used=[used], history=history))
