"""Facts of one header, each with the card that gave it and those that disagree."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import NamedTuple

from autoreduce.fits.cards import Card
from autoreduce.fits.header import RawHeader, Value
from autoreduce.fits.sections import moved_pattern
from autoreduce.frames import literals
from autoreduce.frames.dialects import Dialect, FactRule, Source, fulfils
from autoreduce.frames.memory import CardMemory

Fact = str | float | int | datetime

BAYER_PATTERN = re.compile(r"[RGBCMYW]{4}|RGBG")
_RANGE = r"(?:(\d+)\s*:\s*(\d+)|[*:])"
_SECTION = re.compile(rf"\[\s*{_RANGE}\s*,\s*{_RANGE}\s*\]")
NO_SECTION = "lies outside of the image, or is no section"
"""Rule of a section that is of no use."""
_ITEMS = re.compile(r"\d+")
_NO_LETTER = re.compile(r"[^a-z0-9]")
_HOURS = re.compile(r"hours|\[h\]|\bhms\b", re.IGNORECASE)
_RADIANS = re.compile(r"\bradians\b", re.IGNORECASE)
_CLEAR = re.compile(r"(clear|open|empty|air|nofilter)\d*[a-z]?")
_SLOT = re.compile(
    r"^\[(?P<held>[^\[\]]+)\]$"
    r"|^(?:#\s*\d+\s*[:.)-]?|(?:slot|pos(?:ition)?|filter)\s*#?\d+\s*[:.)-]"
    r"|(?:slot|pos(?:ition)?)\s*#?\d+\s|\d+\s*[:.)]|\d+\s+-\s)\s*(?P<after>[a-z].*)$"
    r"|^(?P<before>.*?[^\s(\[])\s*(?:[(\[]\s*(?:slot|pos(?:ition)?|wheel)?\s*#?\d+\s*[)\]]"
    r"|\s(?:slot|pos(?:ition)?)\s*#?\d+|\s#\d+)$",
    re.IGNORECASE,
)
_SECONDS_OF_DAY = ("TM-START", "TM_START")
"""Cards that tell the time of day in seconds where they hold a number."""
_ROW_ORDERS = {"topdown": "TOP-DOWN", "bottomup": "BOTTOM-UP"}
_SECOND_OF_TIME = timedelta(seconds=1.5)
_LOCAL = re.compile(r"\b(local|sidereal|lst|[ECMP][SD]T|CES?T)\b", re.IGNORECASE)
"""Comments of clocks that show no UT: of the place, of its zone, of the stars."""
_LENGTH = re.compile(r"\b(exposure time|duration|elapsed)\b", re.IGNORECASE)
NEGATIVE = "a negative exposure marks a dark"
"""Rule of an exposure that also tells what the frame was taken for."""
_NO_EXPOSURE_S = (-1.0, -9.0, -99.0, -999.0, -9999.0)
"""Written where the exposure is not known."""
_FAR_FROM_0_C = 5.0
_SETTING = "a whole number is a setting"
CHANGING = ("ccd_temp", "date_obs", "date_loc", "rotator", "ra", "dec", "filename")
"""Facts that differ from frame to frame."""
_MOST_ELECTRONS = 20.0
"""Electrons per ADU: converters of CCDs have no more."""


class Reading(NamedTuple):
    """A fact, and how it came about."""

    value: Fact | None
    """In the frame table's unit; None where nothing usable was found."""
    keyword: str = ""
    """Card, or other source, that gave it."""
    literal: str = ""
    """What stands there."""
    rule: str = ""
    """How the value follows from the literal."""
    disagree: tuple[str, ...] = ()
    """Other sources that say something else, as ``KEYWORD=literal``."""


class FactReader:
    """Reads the facts of many headers of one dialect.

    Parameters
    ----------
    dialect : Dialect
        How the headers are read.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._rules = dialect.facts
        self._steady = {
            fact: _memory(fact, self._rules[fact])
            for fact in _PARSERS
            if fact not in CHANGING
        }
        self._present: dict[AbstractSet[str], _PresentFacts] = {}

    def read(self, header: RawHeader) -> dict[str, Reading]:
        """Read every fact but the image type.

        Parameters
        ----------
        header : RawHeader
            Header of the image; of an extension, followed by the primary one's cards.

        Returns
        -------
        dict of str to Reading
            Facts that were found, always in the same order; ``bayerpat`` from the
            image's first pixel on.  ``biassec`` and ``trimsec`` may still lie outside
            of the image.
        """
        present = self._present.get(header.keywords)
        if present is None:
            present = _PresentFacts(self._facts_of(header.keywords))
            self._present[header.keywords] = present
        facts = present.read(header)
        for place in (("ra", "dec"), ("latitude", "longitude")):
            _forget_no_place(facts, *place)
        if "ccd_temp" in facts and "set_temp" in facts:
            _settle_temperature(facts)
        if "TIMESYS" in header.keywords:
            _settle_time_scale(facts, str(header.get("TIMESYS")).strip().upper())
        if "date_obs" not in facts:
            unread = _unread_date(header, self._rules["date_obs"])
            facts |= {"date_obs": unread} if unread else {}
        return facts

    def _facts_of(
        self, present: AbstractSet[str]
    ) -> dict[str, CardMemory[Reading | None]]:
        """Give what reads the facts that headers with these keywords may tell."""
        reading = {
            fact: self._steady.get(fact)
            or _memory(fact, _narrowed(self._rules[fact], present))
            for fact in _PARSERS
        }
        return {
            fact: read
            for fact, read in reading.items()
            if not present.isdisjoint(read.keywords)
        }


def _memory(fact: str, rule: FactRule) -> CardMemory["Reading | None"]:
    parse, keywords = _PARSERS[fact], _keywords(rule)
    keywords = chain(keywords, _BESIDE_OF.get(parse, ()))
    return CardMemory(keywords, partial(_read, parse, rule))


def _narrowed(rule: FactRule, present: AbstractSet[str]) -> FactRule:
    """Leave out of a rule what headers with these keywords do not have."""
    return replace(
        rule,
        sources=tuple(one for one in rule.sources if one.keyword in present),
        clock=tuple(keyword for keyword in rule.clock if keyword in present),
        unless=tuple(wanted for wanted in rule.unless if wanted.keys() <= present),
    )


_CHANGES = Reading(None)
"""Stands for what is read of each frame."""


class _PresentFacts:
    """The facts that headers with the same keywords may tell.

    Most of them are the same on many frames of a night: these are read together, once
    for all headers that agree in the cards of all of them.
    """

    def __init__(self, facts: Mapping[str, CardMemory[Reading | None]]) -> None:
        self._facts = facts
        self._changing = {fact: facts[fact] for fact in CHANGING if fact in facts}
        keywords = (
            read.keywords for fact, read in facts.items() if fact not in self._changing
        )
        self._steady = CardMemory(chain.from_iterable(keywords), self._read_steady)

    def read(self, header: RawHeader) -> dict[str, Reading]:
        """Read what is found of them, always in the same order."""
        facts = self._steady(header).copy()
        for fact, read in self._changing.items():
            if (reading := read(header)) is None:
                del facts[fact]
            else:
                facts[fact] = reading
        return facts

    def _read_steady(self, header: RawHeader) -> dict[str, Reading]:
        """Read all but those that change from frame to frame, which get a place."""
        facts = {}
        for fact, read in self._facts.items():
            reading = _CHANGES if fact in self._changing else read(header)
            if reading is not None:
                facts[fact] = reading
        _settle_gain(facts)
        offsets = [facts.pop(fact, None) for fact in ("ybayroff", "xbayroff")]
        if "bayerpat" in facts:
            facts["bayerpat"] = _from_first_pixel(facts["bayerpat"], *offsets)
        return facts


def _forget_no_place(facts: dict[str, Reading], *place: str) -> None:
    """Drop a position that nobody filled in: 0, 0 is a spot in Pisces, or in the sea."""
    if all(name in facts and facts[name].value == 0 for name in place):
        for name in place:
            del facts[name]


def _settle_gain(facts: dict[str, Reading]) -> None:
    """Take a small whole GAIN beside a read noise for electrons per ADU, or EGAIN for none.

    Who writes the read noise describes the detector; cameras with a setting do not.
    """
    told = facts.get("egain")
    if told is not None and told.keyword == "EGAIN" and _is_setting(told.value):
        setting = facts.pop("egain")
        rule = "a whole number above 20 is a setting, and no electrons per ADU"
        facts.setdefault("gain", setting._replace(rule=rule))
    told = facts.get("gain")
    if told is None or told.rule != _SETTING or "egain" in facts:
        return
    if "rdnoise" in facts and 0 < float(str(told.value)) <= _MOST_ELECTRONS:
        rule = "GAIN beside a read noise is electrons per ADU"
        facts["egain"] = facts.pop("gain")._replace(rule=rule)


def _is_setting(value: Fact | None) -> bool:
    found = float(str(value))
    return found > _MOST_ELECTRONS and found == int(found)


def _settle_temperature(facts: dict[str, Reading]) -> None:
    """Drop a bare 0 that set point or sensor contradict: nobody filled that card in."""
    names = ("ccd_temp", "set_temp")
    measured, asked = (float(str(facts[name].value)) for name in names)
    if abs(measured - asked) > _FAR_FROM_0_C:
        for name, value in zip(names, (measured, asked), strict=True):
            if value == 0:
                del facts[name]


def _settle_time_scale(facts: dict[str, Reading], scale: str) -> None:
    """Bring a date to UTC from the scale that the header names for all its times."""
    told = facts.get("date_obs")
    if told is None or not isinstance(told.value, datetime) or "UT" in told.keyword:
        return
    found = literals.to_utc(told.value, scale)
    if found is None and scale == "LOCAL":
        facts.setdefault("date_loc", told._replace(rule="local time, by TIMESYS"))
        rule = "TIMESYS = LOCAL: what time it is in UTC is not known"
        facts["date_obs"] = told._replace(value=None, rule=rule)
    elif found is not None and found != told.value:
        facts["date_obs"] = told._replace(value=found, rule=f"{scale}, taken to UTC")


def _unread_date(header: RawHeader, rule: FactRule) -> Reading | None:
    """Name the card that should tell when the exposure began, and does not."""
    for source in rule.sources:
        literal = str(header.get(source.keyword) or "").strip()
        if literal:
            how = "no date with a time of day that can be read"
            return Reading(None, source.keyword, literal, how)
    return None


def _from_first_pixel(told: Reading, *offsets: Reading | None) -> Reading:
    """Tell the pattern from the image's first pixel on, which may lie within it."""
    row, column = (int(str(one.value)) if one else 0 for one in offsets)
    pattern = moved_pattern(str(told.value), row, column)
    if pattern == told.value:
        return told
    rule = f"Bayer pattern, begun at row {row}, column {column} of it"
    return told._replace(value=pattern, rule=rule)


def lone_date(header: RawHeader, rule: FactRule) -> Reading | None:
    """Read the date of an exposure of which no time of day is known: its midnight."""
    for source in rule.sources:
        literal = header.get(source.keyword)
        if not source.unit and (date := literals.day(literal)) is not None:
            how = "date without a time of day, taken as it stands"
            return Reading(date, source.keyword, str(literal), how)
    return None


def is_closed(filter_name: str, rule: FactRule) -> bool:
    """Tell whether a filter lets no light through."""
    return any(part.lower() in rule.closed for part in filter_name.split("+"))


def binned_section(section: str, binning: tuple[int, int]) -> str:
    """Return the section of a binned image that one of the unbinned chip is.

    Examples
    --------
    >>> binned_section("[1:2048, 5:1024]", (2, 2))
    '[1:1024,3:512]'
    """
    if (ends := _ends(section)) is None:
        return section
    columns, rows = (
        f"{(part[0] - 1) // factor + 1}:{part[1] // factor}" if part else "*"
        for part, factor in zip(ends, binning, strict=True)
    )
    return f"[{columns},{rows}]"


def valid_section(section: str, shape: tuple[int, ...]) -> str | None:
    """Return a FITS section without blanks if it lies in an image of that shape.

    One that runs backwards names the same pixels.

    Parameters
    ----------
    section : str
        Such as ``[1:2048, 1:512]``.
    shape : tuple of int
        NAXIS1, NAXIS2.
    """
    ends = _ends(section)
    if ends is None:
        return None
    parts = []
    for part, size in zip(ends, shape[:2], strict=True):
        first, last = part or (1, size)
        if not 1 <= first <= last <= size:
            return None
        parts.append(f"{first}:{last}")
    return f"[{','.join(parts)}]"


def is_cut_off(section: str, shape: tuple[int, ...]) -> bool:
    """Tell whether a section is that of columns or rows which were not saved.

    It begins beyond one edge of the image, and is as long as the other.
    """
    ends = _ends(section)
    if ends is None:
        return False
    beyond = [
        part is not None and part[0] > n for part, n in zip(ends, shape, strict=False)
    ]
    whole = [part in (None, (1, n)) for part, n in zip(ends, shape, strict=False)]
    return any(map(all, zip(beyond, reversed(whole), strict=True)))


def _ends(section: str) -> tuple[tuple[int, int] | None, tuple[int, int] | None] | None:
    """Give first and last column, first and last row; None of all, and of no section."""
    match = _SECTION.fullmatch(section.strip())
    if match is None:
        return None
    x, x_other, y, y_other = match.groups()
    return _in_order(x, x_other), _in_order(y, y_other)


def _in_order(one: str | None, other: str | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return None
    return min(int(one), int(other)), max(int(one), int(other))


Readings = Iterator[Reading]
Parser = Callable[[RawHeader, FactRule], Readings]


def _keywords(rule: FactRule) -> Iterator[str]:
    """Return every keyword that is asked for when a fact is read."""
    yield from rule.keywords
    yield from rule.clock
    yield from chain.from_iterable(rule.unless)
    if rule.wheels:
        yield from chain(_BESIDE, *rule.wheels)


def _read(parse: Parser, rule: FactRule, header: RawHeader) -> Reading | None:
    if any(fulfils(header, wanted) for wanted in rule.unless):
        return None
    readings = parse(header, rule)
    found = [reading for reading in readings if _in_range(reading.value, rule)]
    if not found:
        return None
    best, *others = found
    if not others:
        return best
    disagree = tuple(
        dict.fromkeys(
            f"{other.keyword}={other.literal}"
            for other in others
            if not _agree(best.value, other.value)
        )
    )
    return Reading(best.value, best.keyword, best.literal, best.rule, disagree)


def _in_range(value: Fact | None, rule: FactRule) -> bool:
    if value is None:
        return False
    if rule.range is None or not isinstance(value, int | float):
        return True
    return rule.range[0] <= value <= rule.range[1]


def _agree(one: Fact | None, other: Fact | None) -> bool:
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs(one - other) < _SECOND_OF_TIME
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-3)
    return str(one).casefold() == str(other).casefold()


def _sources(header: RawHeader, rule: FactRule) -> Iterator[tuple[Source, Card]]:
    present = header.keywords
    for source in rule.sources:
        if source.keyword not in present:
            continue
        for card in header.find(source.keyword):
            if card.value is not None and _accepts(source, card):
                yield source, card


def _accepts(source: Source, card: Card) -> bool:
    if source.comment and not source.comment.search(card.comment):
        return False
    if source.without and source.without.search(card.comment):
        return False
    if not source.only:
        return True
    found = literals.number(card.value)
    return found is not None and (found == int(found)) == (source.only == "whole")


def _texts(header: RawHeader, rule: FactRule) -> Readings:
    for _, card in _sources(header, rule):
        found = literals.text(card.value, rule.missing)
        if found is not None:
            value = rule.values.get(found.lower(), found)
            yield Reading(value or None, card.keyword, str(card.value), "text")


def _sections(header: RawHeader, rule: FactRule) -> Readings:
    """Read a section; what lies outside of the image hides none that lies in it."""
    shape = tuple(
        literals.whole_number(header.get(f"Z{axis}") or header.get(axis)) or 0
        for axis in ("NAXIS1", "NAXIS2")
    )
    found = list(_texts(header, rule))
    yield from sorted(
        found, key=lambda one: valid_section(str(one.value), shape) is None
    )


def _numbers(header: RawHeader, rule: FactRule) -> Readings:
    for source, card in _sources(header, rule):
        found = literals.number(card.value)
        how = "number"
        if found and source.unit == "adu/electron":
            found, how = 1 / found, "inverse of ADU per electron"
        elif source.only == "fraction":
            how = "GAIN with a fraction is electrons per ADU"
        elif source.only == "whole":
            how = _SETTING
        if isinstance(card.value, str) and card.value.lstrip().startswith(("[", "(")):
            how = "mean of a list"
        yield Reading(found, card.keyword, str(card.value), how)


def _whole_numbers(header: RawHeader, rule: FactRule) -> Readings:
    for source, card in _sources(header, rule):
        found = _item(card.value, source.item) if source.item else None
        if not source.item:
            found = literals.whole_number(card.value)
        how = f"number {source.item} of the card" if source.item else "number"
        yield Reading(found, card.keyword, str(card.value), how)


def _item(value: Value, item: int) -> int | None:
    if isinstance(value, float):
        return literals.whole_number(value)
    numbers = _ITEMS.findall(str(value))
    if not numbers or len(numbers) > 2:
        return None
    return int(numbers[min(item, len(numbers)) - 1])


def _seconds(header: RawHeader, rule: FactRule) -> Readings:
    for source, card in _sources(header, rule):
        found = literals.seconds(card.value, source.unit or "s", card.comment)
        how = "seconds" if found == literals.number(card.value) else "to seconds"
        if found is not None and found < 0 and found not in _NO_EXPOSURE_S:
            found, how = -found, NEGATIVE
        yield Reading(found, card.keyword, str(card.value), how)


def _temperatures(header: RawHeader, rule: FactRule) -> Readings:
    """Read temperatures; a bare 0 is what cards hold that nobody filled in."""
    yield from sorted(_all_temperatures(header, rule), key=lambda one: one.value == 0)


def _all_temperatures(header: RawHeader, rule: FactRule) -> Readings:
    for _, card in _sources(header, rule):
        found = literals.celsius(card.value, card.comment)
        same = found is None or found == round(literals.number(card.value) or 0.0, 6)
        how = "degrees Celsius" if same else "Kelvin to degrees Celsius"
        yield Reading(found, card.keyword, str(card.value), how)


def _right_ascensions(header: RawHeader, rule: FactRule) -> Readings:
    """Read right ascensions; a bare number is in hours where others agree with that."""
    told = _all_right_ascensions(header, rule)
    readings = [one for one in told if one.value is not None]
    centre = header.number(_CENTRE)
    if centre is not None and str(header.get(_CELESTIAL)).startswith("RA--"):
        readings.append(Reading(centre))
    for n, reading in enumerate(readings):
        others = [float(str(one.value)) for one in readings[:n] + readings[n + 1 :]]
        found = float(str(reading.value))
        near = any(map(partial(_is_one_place, found), others))
        as_hours = found * _DEGREES_OF_HOUR
        in_hours = as_hours < _CIRCLE and any(
            map(partial(_is_one_place, as_hours), others)
        )
        if reading.rule == _BARE_DEGREES and in_hours and not near:
            how = "hours to degrees, as other cards tell"
            yield reading._replace(value=as_hours, rule=how)
        elif reading.keyword:
            yield reading


def _is_one_place(one: float, other: float) -> bool:
    half = _CIRCLE / 2
    return abs((one - other + half) % _CIRCLE - half) < _ONE_PLACE_DEG


_CELESTIAL, _CENTRE = "CTYPE1", "CRVAL1"
_BARE_DEGREES = "degrees"
_DEGREES_OF_HOUR, _CIRCLE = 15, 360
_ONE_PLACE_DEG = 2.0
"""Right ascensions so near are of one field, as its centre, its target and the mount's."""


def _all_right_ascensions(header: RawHeader, rule: FactRule) -> Readings:
    for _, card in _sources(header, rule):
        found = literals.degrees(card.value, hours=True)
        decimal = literals.number(card.value) == found
        if found is not None and _RADIANS.search(card.comment):
            how = "radians to degrees"
            yield Reading(math.degrees(found), card.keyword, str(card.value), how)
        elif found is not None and decimal and _HOURS.search(card.comment):
            yield Reading(found * 15, card.keyword, str(card.value), "hours to degrees")
        else:
            how = _BARE_DEGREES if decimal else "hours, minutes, seconds to degrees"
            yield Reading(found, card.keyword, str(card.value), how)


def _angles(header: RawHeader, rule: FactRule) -> Readings:
    for source, card in _sources(header, rule):
        found, how = literals.degrees(card.value), "degrees"
        if found is not None and _RADIANS.search(card.comment):
            found, how = math.degrees(found), "radians to degrees"
        if found and source.unit == "west":
            found, how = -found, "degrees west to degrees east"
        yield Reading(found, card.keyword, str(card.value), how)


def _times(header: RawHeader, rule: FactRule) -> Readings:
    told = list(_sources(header, rule))
    if len(told) > 1:
        told.sort(key=lambda pair: _is_local(pair[1]))
    for source, card in told:
        unit = source.unit or "date"
        found = literals.moment(card.value, unit)
        if found is not None:
            how = "date and time, UTC" if unit == "date" else f"from {unit.upper()}"
            yield Reading(found, card.keyword, str(card.value), how)
            if unit == "date":
                yield from _clocks_beside(found, header, rule)
        elif unit == "date":
            yield from _joined_times(card, header, rule)


def _clocks_beside(found: datetime, header: RawHeader, rule: FactRule) -> Readings:
    """Read the times of day beside a date that has its own, on the nearest day.

    One that has a date is no time of day: nobody knows what it is of.  One of 00:00:00
    was not filled in.
    """
    midnight = found.replace(hour=0, minute=0, second=0, microsecond=0)
    for keyword in rule.clock:
        for clock in header.find(keyword):
            if _is_local(clock) or _LENGTH.search(clock.comment):
                continue
            told = literals.moment(midnight.date().isoformat(), "date", clock.value)
            is_dated = literals.moment(clock.value) is not None
            if told not in (None, midnight) and not is_dated:
                told += timedelta(days=round((found - told) / timedelta(days=1)))
                yield Reading(told, clock.keyword, str(clock.value), "time of day")


def _is_local(card: Card) -> bool:
    """Tell whether a card's comment calls its time local: one in UT goes before it."""
    return bool(_LOCAL.search(card.comment))


def _joined_times(card: Card, header: RawHeader, rule: FactRule) -> Readings:
    clocks = [clock for keyword in rule.clock for clock in header.find(keyword)]
    for clock in sorted(clocks, key=_is_local):
        time = clock.value
        if clock.keyword in _SECONDS_OF_DAY and not isinstance(time, str):
            time = literals.clock_text(time)
        if not isinstance(time, str):
            continue
        found = literals.moment(card.value, "date", time)
        if found is not None:
            keyword = f"{card.keyword}+{clock.keyword}"
            literal = f"{card.value} {clock.value}"
            yield Reading(found, keyword, literal, "date and time of two cards, UTC")
            return


def _filters(header: RawHeader, rule: FactRule) -> Readings:
    """Read the filter: a wheel that is open says less than another that is not."""
    told = [
        reading._replace(value=without_slot(str(reading.value)))
        for reading in _texts(header, rule)
        if not BAYER_PATTERN.fullmatch(str(reading.value))
    ]
    series = [
        reading for wheel in rule.wheels for reading in _joined(header, rule, wheel)
    ]
    beside = list(_joined(header, rule, _BESIDE)) if _is_beside(header) else []
    if told and _is_clear(str(told[0].value), rule):
        filled = [one for one in series if not _is_clear(str(one.value), rule)]
        beside += filled
    return iter(dict.fromkeys((*beside, *told, *series)))


_BESIDE = ("FILTER", "FILTER2", "FILTER3")
"""Wheels of which the first is called FILTER; beside FILTER1 that is their summary."""


def _is_beside(header: RawHeader) -> bool:
    present = header.keywords
    return {"FILTER", "FILTER2"} <= present and "FILTER1" not in present


def without_slot(name: str) -> str:
    """Return the name of a filter without the slot of the wheel that it is in.

    Examples
    --------
    >>> without_slot("#2 G"), without_slot("G (slot 2)"), without_slot("[G0]")
    ('G', 'G', 'G0')
    """
    found = _SLOT.match(name)
    held = found and next(part for part in found.groups() if part is not None)
    return held.strip() if held else name


def _is_clear(name: str, rule: FactRule) -> bool:
    key = _NO_LETTER.sub("", name.lower())
    cleared = (_NO_LETTER.sub("", one) for one in rule.clear)
    return bool(_CLEAR.fullmatch(key)) or key in cleared


def _joined(header: RawHeader, rule: FactRule, wheel: tuple[str, ...]) -> Readings:
    cards = [card for keyword in wheel for card in header.find(keyword)[:1]]
    names = {
        card.keyword: without_slot(name)
        for card in cards
        if isinstance(card.value, str)
        and (name := literals.text(card.value, rule.missing)) is not None
    }
    if not names:
        return
    in_the_way = {k: name for k, name in names.items() if not _is_clear(name, rule)}
    literal = ", ".join(str(card.value) for card in cards)
    if in_the_way:
        value = "+".join(dict.fromkeys(in_the_way.values()))
        how = "filter wheels in series"
    else:
        value, how = next(iter(names.values())), "every filter wheel is open"
    yield Reading(value, "+".join(names), literal, how)


def _bayer_patterns(header: RawHeader, rule: FactRule) -> Readings:
    for _, card in _sources(header, rule):
        pattern = str(card.value).strip().upper()
        if BAYER_PATTERN.fullmatch(pattern):
            yield Reading(pattern, card.keyword, str(card.value), "Bayer pattern")


def _row_orders(header: RawHeader, rule: FactRule) -> Readings:
    for reading in _texts(header, rule):
        order = _NO_LETTER.sub("", str(reading.value).lower())
        if order in _ROW_ORDERS:
            yield reading._replace(value=_ROW_ORDERS[order], rule="order of the rows")


def _pedestals(header: RawHeader, rule: FactRule) -> Readings:
    """Read what was added: some write that, others what brings the level back to zero."""
    for reading in _numbers(header, rule):
        if isinstance(reading.value, float) and reading.value:
            how = "level that was added, of either sign"
            yield reading._replace(value=abs(reading.value), rule=how)


def _coadds(header: RawHeader, rule: FactRule) -> Readings:
    """Read how many exposures were added up; one is none."""
    for reading in _whole_numbers(header, rule):
        yield reading._replace(value=None if reading.value == 1 else reading.value)


_BESIDE_OF: Mapping[Parser, tuple[str, ...]] = {
    _sections: ("NAXIS1", "NAXIS2", "ZNAXIS1", "ZNAXIS2"),
    _right_ascensions: (_CELESTIAL, _CENTRE),
}
"""Cards that are asked beside those of a fact."""

_PARSERS: Mapping[str, Parser] = {
    "object": _texts,
    "filter": _filters,
    "exptime": _seconds,
    "xbinning": _whole_numbers,
    "ybinning": _whole_numbers,
    "readoutm": _texts,
    "gain": _numbers,
    "offset": _numbers,
    "egain": _numbers,
    "rdnoise": _numbers,
    "ccd_temp": _temperatures,
    "set_temp": _temperatures,
    "date_obs": _times,
    "date_loc": _times,
    "latitude": _angles,
    "longitude": _angles,
    "height": _numbers,
    "instrume": _texts,
    "telescop": _texts,
    "focallen": _numbers,
    "rotator": _angles,
    "disperser": _texts,
    "xorgsubf": _whole_numbers,
    "yorgsubf": _whole_numbers,
    "biassec": _sections,
    "trimsec": _sections,
    "datasec": _texts,
    "detsec": _texts,
    "detector": _texts,
    "bayerpat": _bayer_patterns,
    "xbayroff": _whole_numbers,
    "ybayroff": _whole_numbers,
    "roworder": _row_orders,
    "pedestal": _pedestals,
    "coadds": _coadds,
    "slit": _texts,
    "lamp": _texts,
    "saturate": _numbers,
    "ra": _right_ascensions,
    "dec": _angles,
    "software": _texts,
    "filename": _texts,
}
