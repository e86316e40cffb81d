"""What the images of a file are to one another: amplifiers, detectors, or neither."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple

from autoreduce.fits.amplifiers import Amplifier, write_amplifiers
from autoreduce.fits.header import RawHeader, Value
from autoreduce.fits.sections import (
    Section,
    count_sections,
    format_section,
    format_turned,
    parse_section,
    parse_turned,
    section_shape,
    within,
)
from autoreduce.frames.dialects import AmplifierRule
from autoreduce.frames.facts import Reading
from autoreduce.frames.frame import Frame
from autoreduce.frames.literals import number, whole_number
from autoreduce.remarks import ITSELF, remark, some

_COUNTS = ("NAMPS", "NAMP", "NAMPLIF")
"""Cards that count the amplifiers in use."""
_QUADRANTS = ("ASEC", "BSEC", "CSEC", "DSEC")
"""Cards that some cameras give the sections of amplifiers A to D by."""
_NUMBERS = ("egain", "rdnoise", "saturate")
_OF_PARTS = ("biassec", "trimsec", "datasec", "detsec", *_NUMBERS)
"""Facts that each amplifier has for itself."""
_PLACED = frozenset(("biassec", "detsec"))
"""Facts without which an image lies nowhere on its detector, and has one level."""
_OF_PLANES = ("cube", "three-planes")
_OF_MANY = ("no-exposure", "unplaced")
"""Reasons that are given once for all images of a file that they hold for."""
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_FEWEST_COLUMNS = 8
"""Columns beside the lit pixels that are taken for an overscan nobody names."""
_SMALL = 2
"""An image that another surpasses so many times along both axes is a thumbnail."""


class _UnclearError(Exception):
    """Why images cannot be put together."""


class _Place(NamedTuple):
    """Pixels on the detector, and whether rows and columns of the image run backwards."""

    section: Section
    backwards: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one amplifier has read, and where headers say that it lies."""

    hdu: int
    kept: Section
    """Pixels of the image that are kept."""
    lit: tuple[Section, ...]
    """Sections of the image of which one is what `chip` speaks of."""
    chip: _Place | None
    """Where it lies, in pixels without binning; None if no card tells."""
    overscan: str | None
    egain: float | None
    rdnoise: float | None
    saturate: float | None


def frames_of_detectors(name: str, images: Iterable[Frame]) -> Iterator[Frame]:
    """Tell what is a frame of its own among the images of one file.

    Amplifiers of one detector become one frame, with the fact ``amplifiers``; of
    several detectors each is a frame, with the fact ``detector``.

    Parameters
    ----------
    name : str
        The file's name in the frame table.
    images : iterable of Frame
        All its images.

    Yields
    ------
    Frame
        Every image that is left out by itself, and every detector; one whose images
        cannot be put together is left out with the reason.  The first of those that are
        no exposures stands for all of them, and so does that of those without a place.
    """
    images = list(images)
    if len(images) == 1 and _is_plain(images[0]):
        yield images[0]
        return
    images = [_of_one_port(_of_planes(image)) for image in images]
    raw: list[Frame] = []
    others: dict[str, list[Frame]] = {}
    for image in _without_thumbnails(images) if len(images) > 1 else images:
        if image.why_not is None:
            raw.append(image)
        elif image.why_not.code in _OF_MANY:
            others.setdefault(image.why_not.code, []).append(image)
        else:
            yield image
    for code, alike in others.items():
        labels = [image.why_not.found for image in alike if image.why_not]
        yield replace(alike[0], why_not=remark(code, found=some(labels)))
    yield from _detectors(name, raw)


def _is_plain(image: Frame) -> bool:
    """Tell whether no card of an image speaks of amplifiers or detectors."""
    return (
        image.why_not is None
        and _PLACED.isdisjoint(image.facts)
        and _has_one_level(image.dialect.amplifiers, image.header.keywords)
    )


@lru_cache(maxsize=512)
def _has_one_level(rules: tuple[AmplifierRule, ...], present: frozenset[str]) -> bool:
    return not _fitting(rules, present) and present.isdisjoint(_QUADRANTS)


def _of_planes(image: Frame) -> Frame:
    """Take up a cube whose planes are what amplifiers of one detector have read."""
    if image.why_not is None or image.why_not.code not in _OF_PLANES:
        return image
    return replace(image, why_not=None) if _several(image) else image


def _of_one_port(image: Frame) -> Frame:
    """Write as sections what the card of the only port of an image counts."""
    for rule in _rules_of(image):
        parts = _ports(image, rule) if rule.pixels else []
        if len(parts) != 1 or _value(image, "trimsec"):
            continue
        told = {"trimsec": format_section(parts[0].kept), "biassec": parts[0].overscan}
        keyword = next(
            rule.pixels[0].replace("*", name)
            for name in rule.names
            if _port(image, rule, name)
        )
        literal = str(image.header.get(keyword))
        facts = {
            fact: Reading(text, keyword, literal, "counted by a port")
            for fact, text in told.items()
            if text is not None
        }
        return replace(image, facts={**image.facts, **facts})
    return image


def _planes(frame: Frame) -> int:
    return math.prod(frame.shape[2:])


def _without_thumbnails(images: Sequence[Frame]) -> Iterator[Frame]:
    """Leave out images without sections beside others that have them, or are larger."""
    raw = [image for image in images if not image.why_not]
    placed = any(_value(image, "detsec") for image in raw)
    nx, ny = (max((image.shape[axis] for image in raw), default=0) for axis in (0, 1))
    for image in images:
        size = image.shape
        small = size[0] * _SMALL <= nx and size[1] * _SMALL <= ny
        if image.why_not or _value(image, "detsec") or not (placed or small):
            yield image
        else:
            label = str(image.header.get("EXTNAME") or f"HDU {image.header.hdu}")
            code = "no-exposure" if small else "unplaced"
            yield replace(image, why_not=remark(code, found=label))


def _detectors(name: str, raw: Sequence[Frame]) -> Iterator[Frame]:
    """Yield a frame for each detector among the images that are raw."""
    groups = _by_detector(raw)
    for label, frames in groups:
        parts = _parts_of_all(frames)
        first = frames[0]
        if len(groups) > 1:
            rule = "one of several detectors in the file"
            named = first.header.get("EXTNAME") == label
            card = "EXTNAME" if named else "DETSEC"
            literal = label if named else str(first.header.get(card) or label)
            reading = first.facts.get("detector") or Reading(label, card, literal)
            reading = reading._replace(value=label, rule=rule)
            facts = {**first.facts, "detector": reading}
            first = replace(first, facts=facts)
        if len(groups) == 1 and len(frames) > 1:
            first = replace(first, file=name)
        told = [part.chip for part in parts] or [
            _chip(first.header, first.facts.get("detsec"))
        ]
        if chips := [chip for chip in told if chip]:
            text = _around(chips)
            place = Reading(text, "sections", text, "around all that was read")
            first = replace(first, facts={**first.facts, "place": place})
        if not parts:
            yield _of_one_level(first)
            continue
        try:
            yield _joined(first, parts)
        except _UnclearError as error:
            if len(groups) == 1 and all(map(_is_chip, frames)):
                yield from _chips(frames)
                continue
            n = str(len(frames))
            why = remark("several-images", found=n, expected=str(error))
            yield replace(first, why_not=why)


def _around(chips: Sequence[_Place]) -> str:
    """Write the section that holds all that a detector has read; of one as it is turned."""
    rows, columns = (
        slice(
            min(chip.section[axis].start for chip in chips),
            max(chip.section[axis].stop for chip in chips),
        )
        for axis in (0, 1)
    )
    turned = chips[0].backwards if len(chips) == 1 else (False, False)
    return format_turned((rows, columns), turned)


def _is_chip(frame: Frame) -> bool:
    return "CHIP" in str(frame.header.get("EXTNAME") or "").upper()


def _chips(frames: Sequence[Frame]) -> Iterator[Frame]:
    """Take images for detectors that are called chips, since they are no amplifiers."""
    for frame in frames:
        label = str(frame.header.get("EXTNAME"))
        reading = Reading(label, "EXTNAME", label, "one of several chips in the file")
        named = replace(frame, facts={**frame.facts, "detector": reading})
        yield from _detectors(frame.file, [named])


def _by_detector(raw: Sequence[Frame]) -> list[tuple[str, list[Frame]]]:
    """Part images by the detector that they are of."""
    if len(raw) == 1:
        return [("", list(raw))]
    names = [str(frame.value("detector") or "") for frame in raw]
    if not all(names) and raw and all(map(_is_whole, raw)):
        names = [
            str(frame.header.get("EXTNAME") or f"HDU{frame.header.hdu}")
            for frame in raw
        ]
    if not all(names):
        names = _origins(raw) or names
    groups: dict[str, list[Frame]] = {}
    for frame, label in zip(raw, names, strict=True):
        groups.setdefault(label if all(names) else "", []).append(frame)
    return list(groups.items())


def _is_whole(frame: Frame) -> bool:
    """Tell whether an image is all of a detector by itself."""
    size, section = frame.header.get("CCDSIZE"), frame.header.get("CCDSEC")
    return size is not None and _blankless(size) == _blankless(section)


def _origins(raw: Sequence[Frame]) -> list[str]:
    """Name detectors by where they begin in the mosaic; empty if no card tells.

    Where DETSEC tells the place in the mosaic and CCDSEC that on the detector, images of
    one detector have the same difference, and those of several the same CCDSEC.
    """
    found: list[str] = []
    seen: dict[str, list[Section]] = {}
    for frame in raw:
        places = [frame.header.get(keyword) for keyword in ("DETSEC", "CCDSEC")]
        if not all(map(_is_section, places)):
            return []
        (mosaic, _), (own, _) = (parse_turned(str(place)) for place in places)
        y, x = (a.start - b.start for a, b in zip(mosaic, own, strict=True))
        found.append(f"{x + 1}_{y + 1}")
        if any(_overlap(own, other) for other in seen.setdefault(found[-1], [])):
            return []
        seen[found[-1]].append(own)
    like = [sorted(map(format_section, sections)) for sections in seen.values()]
    return found if len(like) > 1 and all(one == like[0] for one in like) else []


def _overlap(one: Section, other: Section) -> bool:
    return all(
        a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True)
    )


def _blankless(text: object) -> str:
    return re.sub(r"\s+", "", str(text))


def _parts_of_all(frames: Sequence[Frame]) -> list[_Part]:
    """List what the amplifiers of a detector have read; empty if there is only one."""
    told = [_several(frame) for frame in frames]
    if len(frames) == 1:
        return _with_listed(frames[0], told[0])
    parts = [
        part
        for frame, several in zip(frames, told, strict=True)
        for part in several or [_single(frame)]
    ]
    if not any(told) and all(part.chip is None for part in parts):
        parts = _in_their_places(frames, parts)
    return _with_listed(frames[0], parts)


def _in_their_places(frames: Sequence[Frame], parts: list[_Part]) -> list[_Part]:
    """Place images where the dialect says that they lie, if it says so of as many."""
    for rule in _rules_of(frames[0]):
        if len(rule.places) == len(parts):
            placed = [
                _lying(frame, place)
                for frame, place in zip(frames, rule.places, strict=True)
            ]
            if all(placed):
                return [one for one in placed if one]
    return parts


def _lying(frame: Frame, place: str, first: int = 0) -> _Part | None:
    """Give what was read of a part of the detector: first columns and rows of a plane.

    None if the plane, whose first row is `first`, is smaller than that.
    """
    chip = _Place(*parse_turned(place))
    nx, ny = frame.shape[:2]
    columns, rows = (
        (part.stop - part.start) // int(str(frame.value(f"{axis}binning") or 1))
        for axis, part in zip("xy", chip.section[::-1], strict=True)
    )
    if rows > ny or columns > nx:
        return None
    lit = slice(first, first + rows), slice(0, columns)
    numbers = (_float(frame.value(fact)) for fact in _NUMBERS)
    return _Part(frame.header.hdu, lit, (lit,), chip, _margin(lit, nx), *numbers)


def _with_listed(first: Frame, parts: list[_Part]) -> list[_Part]:
    """Give each amplifier its own of numbers that one card lists for all of them."""
    for fact in _NUMBERS:
        reading = first.facts.get(fact)
        listed = _NUMBER.findall(str(reading.literal)) if reading else []
        if len(listed) == len(parts) > 1:
            told = [{fact: float(one)} for one in listed]
            parts = [
                replace(part, **one)  # type: ignore[arg-type]  # a number each
                for part, one in zip(parts, told, strict=True)
            ]
    return parts


def _several(frame: Frame) -> list[_Part]:
    """List what the amplifiers of one image have read; empty if none are told."""
    planes = _planes(frame)
    for rule in _rules_of(frame):
        if rule.pixels:
            parts = _ports(frame, rule)
        else:
            parts = _beside(frame, rule) if rule.beside else _named(frame, rule)
        if len(parts) > 1 and planes in (1, len(parts)):
            return parts
    return []


def _rules_of(frame: Frame) -> tuple[AmplifierRule, ...]:
    """Give the rules that may fit: none for most headers."""
    return _fitting(frame.dialect.amplifiers, frame.header.keywords)


@lru_cache(maxsize=512)
def _fitting(
    rules: tuple[AmplifierRule, ...], present: frozenset[str]
) -> tuple[AmplifierRule, ...]:
    return tuple(rule for rule in rules if rule.may_fit(present))


def _single(frame: Frame) -> _Part:
    """Say what the one amplifier of an image has read."""
    ny, nx = frame.shape[1], frame.shape[0]
    data = _section(_value(frame, "datasec"), (ny, nx))
    trim = _section(_value(frame, "trimsec"), (ny, nx))
    whole = (slice(0, ny), slice(0, nx))
    lit = data or trim or whole
    overscan = _value(frame, "biassec") or _margin(lit, nx)
    return _Part(
        frame.header.hdu,
        trim or lit,
        tuple(one for one in (data, trim, whole) if one),
        _chip(frame.header, frame.facts.get("detsec")),
        overscan,
        *(_float(frame.value(fact)) for fact in ("egain", "rdnoise", "saturate")),
    )


def _named(frame: Frame, rule: AmplifierRule) -> list[_Part]:
    """Read the cards that each amplifier of an image has for itself.

    The planes of a cube follow each other: the second begins in row ny.  Where pixels of
    one lie outside of the image, as once overscans were cut out, no section is of it.
    """
    header, (nx, ny) = frame.header, frame.shape[:2]
    names = rule.names or re.findall(r"\w+", str(header.get(rule.listed) or ""))
    planes, found = _planes(frame), []
    for place, name in enumerate(names if planes == 1 else names[:planes]):
        first = 0 if planes == 1 else place * ny
        cards = {
            what: _card(header, keyword.replace("*", name))
            for what, keyword in rule.keywords.items()
        }
        data, trim, overscan = (
            _lower(_section(cards.get(what), (ny, nx)), first)
            for what in ("data", "trim", "overscan")
        )
        if (kept := trim or data) is None:
            if _is_section(cards.get("data")):
                return []
            if (
                planes > 1
                and rule.places
                and (part := _lying(frame, rule.places[place], first))
            ):
                found.append(part)
            continue
        told = cards.get("detector")
        chip = parse_turned(str(told)) if _is_section(told) else None
        strip = format_section(overscan) if overscan else None
        if planes > 1 and not strip:
            strip = _margin(kept, nx)
        found.append(
            _Part(
                header.hdu,
                kept,
                tuple(one for one in (data, trim) if one),
                _Place(*chip) if chip else None,
                strip,
                *(number(cards.get(what)) for what in _NUMBERS),
            )
        )
    return found


def _card(header: RawHeader, keywords: str) -> Value:
    """Read a card, or write a section from four: first and last column, and row."""
    if " " not in keywords:
        return header.get(keywords)
    numbers = [whole_number(header.get(keyword)) for keyword in keywords.split()]
    if None in numbers:
        return None
    x0, x1, y0, y1 = numbers
    return f"[{x0}:{x1},{y0}:{y1}]"


def _lower(section: Section | None, rows: int) -> Section | None:
    return section and (_shifted(section[0], rows), section[1])


def _side_by_side(header: RawHeader, rule: AmplifierRule) -> tuple[int, int]:
    """Read how many amplifiers lie side by side, and the overscan columns of each."""
    n, width = (
        whole_number(header.get(key)) or 0 for key in (rule.beside, rule.behind)
    )
    return n, width


def _beside(frame: Frame, rule: AmplifierRule) -> list[_Part]:
    """Part lit columns among amplifiers whose overscans stand behind all of them."""
    ny, nx = frame.shape[1], frame.shape[0]
    lit = _section(_value(frame, "datasec"), (ny, nx))
    n, width = _side_by_side(frame.header, rule)
    if lit is None or n < 2 or width < 1 or lit[1].stop + n * width > nx:
        return []
    rows, columns = lit
    edges = [columns.start + (columns.stop - columns.start) * i // n for i in range(n)]
    found = []
    for i, (start, stop) in enumerate(
        zip(edges, [*edges[1:], columns.stop], strict=True)
    ):
        kept = (rows, slice(start, stop))
        first = columns.stop + i * width
        strip = format_section((rows, slice(first, first + width)))
        found.append(
            _Part(frame.header.hdu, kept, (kept,), None, strip, None, None, None)
        )
    return found


class _Port(NamedTuple):
    """What the cards of a port count, (columns, rows)."""

    is_far: tuple[bool, ...]
    """Whether it reads at the last column, and at the last row."""
    prescan: tuple[int, ...]
    pixels: tuple[int, ...]
    postscan: tuple[int, ...]
    numbers: tuple[float | None, ...]
    """Gain, read noise and saturation."""

    def strips(self, axis: int, size: int) -> list[int]:
        """List prescan, lit pixels and postscan of an axis, from the first on.

        Some cameras count the scans among the pixels: then the image is as large.
        """
        scans = self.prescan[axis], self.postscan[axis]
        lit = self.pixels[axis] - (sum(scans) if self.pixels[axis] == size else 0)
        found = [scans[0], lit, scans[1]]
        return found[::-1] if self.is_far[axis] else found


def _ports(frame: Frame, rule: AmplifierRule) -> list[_Part]:
    """Lay out what ports have read that count their pixels; empty if that is not all.

    Each reads prescan, pixels and postscan, beginning at its corner of the detector.
    """
    ports = [port for name in rule.names if (port := _port(frame, rule, name))]
    cuts: list[dict[bool, tuple[slice, slice | None]]] = []
    for axis, size in enumerate(frame.shape[:2]):
        start, sides = 0, {}
        for is_far in (False, True):
            some = {
                tuple(p.strips(axis, size)) for p in ports if p.is_far[axis] == is_far
            }
            if len(some) > 1:
                return []
            for before, n, after in some:
                ends = [start, start + before, start + before + n]
                strips = (slice(start, ends[1]), slice(ends[2], ends[2] + after))
                post, pre = strips if is_far else strips[::-1]
                wide = (s for s in (post, pre) if s.stop - s.start >= _FEWEST_COLUMNS)
                sides[is_far] = slice(ends[1], ends[2]), next(wide, None)
                start = strips[1].stop
        if start != size or any(each.start >= each.stop for each, _ in sides.values()):
            return []
        cuts.append(sides)
    parts = []
    for port in ports:
        (columns, strip), (rows, _) = (
            sides[is_far] for sides, is_far in zip(cuts, port.is_far, strict=True)
        )
        lit: Section = rows, columns
        overscan = format_section((rows, strip)) if strip else None
        hdu = frame.header.hdu
        parts.append(_Part(hdu, lit, (lit,), None, overscan, *port.numbers))
    return parts


def _port(frame: Frame, rule: AmplifierRule, name: str) -> _Port | None:
    """Read the cards of a port; None if they do not count its pixels."""

    def told(keyword: str, name: str = name) -> Value:
        return frame.header.get(keyword.replace("*", name))

    def counts(keywords: Sequence[str], default: int = 0) -> tuple[int, ...]:
        return tuple(whole_number(told(keyword)) or default for keyword in keywords)

    pixels, corner = counts(rule.pixels), counts(rule.corner)
    if not (all(pixels) and all(corner)):
        return None
    far = []
    for at, keyword in zip(corner, rule.chip, strict=True):
        sizes = (whole_number(told(keyword, one)) for one in (name, *rule.names))
        size = next(filter(None, sizes), 2 * at)
        # Corners may be those of a mosaic of detectors.
        far.append((at - 1) % size >= size / 2 if at > 1 else False)
    numbers = (number(told(getattr(rule, what))) for what in _NUMBERS)
    scans = counts(rule.prescan), counts(rule.postscan)
    return _Port(tuple(far), scans[0], pixels, scans[1], tuple(numbers))


def _margin(lit: Section, nx: int) -> str | None:
    """Take the wider margin beside the lit columns for an overscan that is not named."""
    rows, columns = lit
    margins = (slice(columns.stop, nx), slice(0, columns.start))
    wider = max(margins, key=lambda part: part.stop - part.start)
    enough = wider.stop - wider.start >= _FEWEST_COLUMNS
    return format_section((rows, wider)) if enough else None


def _chip(header: RawHeader, told: Reading | None) -> _Place | None:
    """Read where an image lies, and whether it was read out backwards."""
    if told is None or not _is_section(told.literal):
        return None
    section, backwards = parse_turned(told.literal)
    letter = "D" if told.keyword == "DETSEC" and header.get("DTM1_1") else "L"
    steps = [number(header.get(f"{letter}TM{axis}_{axis}")) for axis in (2, 1)]
    turned = tuple(
        back or (step is not None and step < 0)
        for back, step in zip(backwards, steps, strict=True)
    )
    return _Place(section, (turned[0], turned[1]))


def _joined(first: Frame, parts: Sequence[_Part]) -> Frame:
    """Make one frame of what the amplifiers of a detector have read.

    Raises
    ------
    _UnclearError
        If they cannot be put together.
    """
    if first.value("bayerpat") is not None:
        msg = "a colour mosaic that several amplifiers have read is not understood"
        raise _UnclearError(msg)
    for part in parts:
        _refuse_lit_overscan(part)
    places, shape = _places(parts)
    ordered = sorted(
        zip(parts, places, strict=True),
        key=lambda pair: [axis.start for axis in pair[1].section],
    )
    amplifiers = [
        Amplifier(
            part.hdu,
            format_section(part.kept),
            format_turned(*place),
            part.overscan,
            part.egain,
            part.rdnoise,
            part.saturate,
        )
        for part, place in ordered
    ]
    n = len(parts)
    facts = {fact: one for fact, one in first.facts.items() if fact not in _OF_PARTS}
    text = write_amplifiers(amplifiers)
    facts["amplifiers"] = Reading(text, "sections", f"{n} amplifiers", "put together")
    for fact, value in _whole_facts(amplifiers).items():
        facts[fact] = Reading(value, "amplifiers", f"{n} amplifiers", "of all of them")
    return replace(first, facts=facts, shape=shape)


def _refuse_lit_overscan(part: _Part) -> None:
    """Refuse an overscan most of which lies among the pixels that are kept.

    Its level is a median, which some columns of light do not move.
    """
    if part.overscan is None:
        return
    overscan = parse_section(part.overscan)
    shared = [
        max(0, min(a.stop, b.stop) - max(a.start, b.start))
        for a, b in zip(overscan, part.kept, strict=True)
    ]
    if 2 * math.prod(shared) > math.prod(section_shape(overscan)):
        msg = (
            f"sections contradict each other: overscan {part.overscan} of HDU {part.hdu} "
            f"lies among its pixels {format_section(part.kept)}"
        )
        raise _UnclearError(msg)


def _whole_facts(amplifiers: Sequence[Amplifier]) -> Mapping[str, float]:
    """Give gain, noise and saturation of a detector: mean, mean square and lowest."""
    found = {}
    gains = [one.egain for one in amplifiers if one.egain is not None]
    noises = [one.rdnoise for one in amplifiers if one.rdnoise is not None]
    full = [one.saturate for one in amplifiers if one.saturate is not None]
    if len(gains) == len(amplifiers):
        found["egain"] = sum(gains) / len(gains)
    if len(noises) == len(amplifiers):
        found["rdnoise"] = math.sqrt(sum(x * x for x in noises) / len(noises))
    if full:
        found["saturate"] = min(full)
    return found


def _places(parts: Sequence[_Part]) -> tuple[list[_Place], tuple[int, int]]:
    """Find where each part is kept, and the size of the detector (nx, ny).

    Raises
    ------
    _UnclearError
        If a place is not told, or if the parts do not cover a rectangle, each pixel once;
        there may be gaps all across it that are narrower than half of a part.
    """
    if all(part.chip is None for part in parts):
        if len({part.hdu for part in parts}) > 1:
            msg = "no card such as DETSEC tells where they lie on the detector"
            raise _UnclearError(msg)
        lit = [_Place(one, (False, False)) for one in _closed_up(parts)]
        kept = lit
    else:
        both = [_on_chip(part) for part in parts]
        lit, kept = [one for one, _ in both], [one for _, one in both]
    y0, x0 = (min(place.section[axis].start for place in lit) for axis in (0, 1))
    y1, x1 = (max(place.section[axis].stop for place in lit) for axis in (0, 1))
    for one, other in combinations([place.section for place in lit], 2):
        if _overlap(one, other):
            msg = f"sections overlap: {format_section(one)} and {format_section(other)}"
            raise _UnclearError(msg)
    covered = sum(math.prod(section_shape(place.section)) for place in lit)
    whole = math.prod(
        _extent([place.section[axis] for place in lit]) for axis in (0, 1)
    )
    if covered != whole:
        share = covered / whole
        msg = f"they cover {share:.0%} of the detector: is an amplifier missing?"
        raise _UnclearError(msg)
    moved = [
        _Place((_shifted(p.section[0], -y0), _shifted(p.section[1], -x0)), p.backwards)
        for p in kept
    ]
    return moved, (x1 - x0, y1 - y0)


def _extent(parts: Sequence[slice]) -> int:
    """Give the length of what sections cover together, without narrow gaps of chips."""
    narrowest = min(part.stop - part.start for part in parts)
    ordered = sorted({(part.start, part.stop) for part in parts})
    end, length = ordered[0][0], 0
    for start, stop in ordered:
        gap = max(start - end, 0)
        length += max(stop - end, 0) - (gap if 2 * gap < narrowest else 0)
        end = max(end, stop)
    return length


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _on_chip(part: _Part) -> tuple[_Place, _Place]:
    """Give where the lit pixels of a part lie, and those that are kept, binned."""
    if part.chip is None:
        msg = f"no card such as DETSEC tells where HDU {part.hdu} lies on the detector"
        raise _UnclearError(msg)
    for lit in part.lit:
        axes = list(zip(part.chip.section, lit, strict=True))
        steps = [_binning(chip, read) for chip, read in axes]
        if None in steps:
            continue
        where, kept = [], []
        for (chip, read), step, turned, keep in zip(
            axes, steps, part.chip.backwards, part.kept, strict=True
        ):
            start = chip.start // (step or 1)
            before = read.stop - keep.stop if turned else keep.start - read.start
            where.append(slice(start, start + read.stop - read.start))
            kept.append(slice(start + before, start + before + keep.stop - keep.start))
        back = part.chip.backwards
        return _Place((where[0], where[1]), back), _Place((kept[0], kept[1]), back)
    msg = (
        f"sections contradict each other: {format_section(part.lit[0])} of HDU "
        f"{part.hdu} cannot be {format_section(part.chip.section)} of the detector"
    )
    raise _UnclearError(msg)


def _binning(chip: slice, read: slice) -> int | None:
    """Give how many pixels of the detector are one of the image; None if it is no whole number."""
    detector, image = chip.stop - chip.start, read.stop - read.start
    step = max(round(detector / image), 1)
    return step if image in (detector // step, -(-detector // step)) else None


def _closed_up(parts: Sequence[_Part]) -> list[Section]:
    """Close the gaps between sections of an image that nothing else places."""
    axes = []
    for axis in (0, 1):
        spans = sorted({(p.kept[axis].start, p.kept[axis].stop) for p in parts})
        if any(a[1] > b[0] for a, b in pairwise(spans)):
            msg = "sections of the amplifiers overlap in part"
            raise _UnclearError(msg)
        starts, at = {}, 0
        for start, stop in spans:
            starts[start, stop] = at
            at += stop - start
        axes.append(starts)
    sections = []
    for part in parts:
        rows, columns = (
            slice(at, at + span.stop - span.start)
            for span, starts in zip(part.kept, axes, strict=True)
            for at in [starts[span.start, span.stop]]
        )
        sections.append((rows, columns))
    return sections


def _of_one_level(frame: Frame) -> Frame:
    """Leave out an image that several amplifiers have read, each with its own level."""
    found = _strips(frame)
    if not found:
        return frame
    way_out = f"--include '{ITSELF}' --set '{ITSELF}: biassec='"
    return replace(
        frame, why_not=remark("several-strips", found=found, way_out=way_out)
    )


def _strips(frame: Frame) -> str:
    """Return what says that an image has several overscans; empty if nothing does."""
    header = frame.header
    if (reading := frame.facts.get("biassec")) is not None:
        if count_sections(reading.literal) > 1:
            return f"{reading.keyword} = {reading.literal}"
        for keyword in _COUNTS:
            if reading.value and (whole_number(header.get(keyword)) or 0) > 1:
                return f"{keyword} = {header.get(keyword)}"
    for rule in _rules_of(frame):
        n, width = _side_by_side(header, rule)
        if n > 1 and width and not frame.value("datasec"):
            return f"{rule.beside} = {n}, {rule.behind} = {width}"
        names = rule.names or str(header.get(rule.listed) or "").split()
        keywords = [rule.overscan.replace("*", name) for name in names]
        there = [one for one in keywords if count_sections(str(_card(header, one)))]
        if len(there) > 1:
            return ", ".join(f"{one} = {_card(header, one)}" for one in there)
    if header.keywords.isdisjoint(_QUADRANTS):
        return ""
    there = [one for one in _QUADRANTS if count_sections(str(header.get(one)))]
    return f"sections {', '.join(there)}" if len(there) > 1 else ""


def _is_section(value: object) -> bool:
    return isinstance(value, str) and count_sections(value) == 1


def _section(value: object, shape: tuple[int, int]) -> Section | None:
    """Read a section that lies inside an image (ny, nx); None if it is none."""
    try:
        section = parse_section(str(value))
    except ValueError:
        return None
    return section if within(section, shape) else None


def _value(frame: Frame, fact: str) -> str | None:
    value = frame.value(fact)
    return value if isinstance(value, str) and _is_section(value) else None


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
