"""What names of files say where headers say nothing: filter, exposure, night, object.

A name is a witness of little weight: it is asked only for what no card gives, and only
words that stand by themselves count.  What it gave is in the evidence, with the keyword
``name``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from autoreduce.fits.names import stem
from autoreduce.frames.facts import Reading
from autoreduce.frames.frame import Frame
from autoreduce.frames.imagetype import without_words
from autoreduce.frames.literals import evening_of_name, seconds_of_name
from autoreduce.frames.pixeltype import look_at
from autoreduce.frames.schema import ImageType
from autoreduce.frames.spelling import spelling_key

KEYWORD = "name"
"""Stands in the evidence where a card's keyword would."""
UNNAMED = "unnamed"
"""Begins the filter of flats that neither card nor name give one."""
LIKE_LEVEL = 0.15
"""Flats of one filter, taken one after the other, differ by less than this part."""

_EXPOSED = (ImageType.FLAT, ImageType.LIGHT)
_WORD = re.compile(r"[^\W_]+'?")
_USUAL = frozenset(
    map(
        spelling_key,
        [
            "L",
            "R",
            "G",
            "B",
            "U",
            "V",
            "I",
            "u",
            "g",
            "r",
            "i",
            "z",
            "y",
            "Rc",
            "Ic",
            "Lum",
            "Luminance",
            "Red",
            "Green",
            "Blue",
            "Clear",
            "Ha",
            "Hb",
            "OIII",
            "SII",
            "NII",
            "gp",
            "rp",
            "ip",
            "zs",
            "g'",
            "r'",
            "i'",
            "z'",
            "IRCUT",
            "LP",
            "CLS",
        ],
    )
)
"""Filters that names may hold though no header of the night names them."""
_TARGET = re.compile(
    r"(?<![A-Za-z0-9])((?:M|NGC|IC|UGC|Sh2|LDN|LBN|PGC|Abell|HD|TrES|WASP|HAT-P|TOI)"
    r"[\s_-]?\d{1,7})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_ASIAIR = re.compile(r"Light_(?P<target>[^_]+)_[\d.]+m?s_", re.IGNORECASE)


_LIT_BY = re.compile(
    r"(dome|sky|twi|twilight|panel|led|screen|halogen|quartz|tungsten|deuterium|xenon)"
    r"(flats?)?"
)
_LETTERS = re.compile(r"[a-z]+")
_ONE_LAMP = {"twi": "sky", "twilight": "sky"}


def hear_names(frames: Sequence[Frame]) -> None:
    """Take from the names of files what the headers do not say."""
    for frame in frames:
        if frame.value("exptime") is None:
            _from_name(frame, "exptime", seconds_of_name(_name(frame)), "exposure, s")
        if "date_obs" not in frame.facts:
            night = evening_of_name(_name(frame))
            _from_name(frame, "night", night, "local date of the evening")
        kind = frame.value("imagetyp")
        if kind == ImageType.LIGHT and frame.value("object") is None:
            _from_name(frame, "object", _target(frame), "object")
        if kind == ImageType.FLAT and frame.value("lamp") is None:
            _name_lamp(frame)
    for alike in _by_camera(frames).values():
        _name_filters(alike)
        _part_unnamed_flats(alike)


def _name(frame: Frame) -> str:
    return stem(PurePosixPath(frame.file).name)


def _from_name(frame: Frame, fact: str, value: str | float | None, what: str) -> None:
    if value is not None and frame.value(fact) is None:
        rule = f"no card gives it; {what} in the name"
        frame.facts[fact] = Reading(value, KEYWORD, _name(frame), rule)


def _name_lamp(frame: Frame) -> None:
    """Tell what a flat was lit by: its object says so, else its name, else its folder."""
    path = PurePosixPath(frame.file)
    object_, kind = frame.facts.get("object"), frame.facts["imagetyp"]
    texts = (
        ("object", str(object_.value) if object_ else ""),
        (KEYWORD, stem(path.name)),
        ("folder name", path.parent.name),
        (kind.keyword, kind.literal),
    )
    for keyword, text in texts:
        found = map(_LIT_BY.fullmatch, _LETTERS.findall(text.lower()))
        lamps = {_ONE_LAMP.get(one[1], one[1]) for one in found if one}
        if len(lamps) == 1:
            rule = "no card gives it; a word says what the flat was lit by"
            frame.facts["lamp"] = Reading(lamps.pop(), keyword, text, rule)
            return


def _by_camera(frames: Iterable[Frame]) -> dict[tuple[object, ...], list[Frame]]:
    cameras: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.value("imagetyp") in _EXPOSED and not frame.why_not:
            cameras[frame.value("instrume"), frame.shape[:2]].append(frame)
    return cameras


def _target(frame: Frame) -> str | None:
    name = _name(frame)
    if told := _ASIAIR.match(name):
        return told["target"]
    targets = {spelling_key(one): one for one in _TARGET.findall(name)}
    return next(iter(targets.values())) if len(targets) == 1 else None


def _name_filters(frames: Sequence[Frame]) -> None:
    """Name filters by the words that headers, or the names of flats, know as such.

    Names of flats hold no target, so that a letter there is a filter.
    """
    known = {spelling_key(name) for frame in frames if (name := _filter(frame))}
    silent = [frame for frame in frames if _filter(frame) is None]
    for frame in silent:
        if frame.value("imagetyp") == ImageType.FLAT:
            known |= _keys(frame) & _USUAL
    for frame in silent:
        words = [word for word in _words(frame) if spelling_key(word) in known]
        if len({spelling_key(word) for word in words}) == 1:
            _from_name(frame, "filter", words[0], "filter")


def _filter(frame: Frame) -> str | None:
    name = frame.value("filter")
    return None if name is None else str(name)


def _keys(frame: Frame) -> set[str]:
    return set(map(spelling_key, _words(frame)))


def _words(frame: Frame) -> list[str]:
    """List the words of a name; those of the object's own name are none."""
    target = frame.value("object")
    return _WORD.findall(without_words(_name(frame), str(target or "").lower()))


def _part_unnamed_flats(frames: Sequence[Frame]) -> None:
    """Keep flats without a filter apart, run by run, where the night has several.

    In the order of time a run ends where a named filter begins or the level changes.
    """
    named = {spelling_key(name) for frame in frames if (name := _filter(frame))}
    flats = [frame for frame in frames if frame.value("imagetyp") == ImageType.FLAT]
    if len(named) < 2 or all(_filter(frame) for frame in flats):
        return
    run, last = 0, None
    for frame in sorted(flats, key=lambda one: (str(one.value("date_obs")), one.file)):
        if _filter(frame) is not None:
            last = None
            continue
        look = look_at(frame.path, frame.header)
        level = look.level if look else 0.0
        if last is None or abs(level - last) > LIKE_LEVEL * max(level, last):
            run += 1
        last = level
        rule = "neither card nor name give the filter: a run of flats of like level"
        literal = f"level {level:.0f}"
        frame.facts["filter"] = Reading(f"{UNNAMED}{run}", "pixels", literal, rule)
