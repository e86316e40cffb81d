"""Dialects of headers: tables that say which card gives which fact.

``dialects/general.toml`` reads any header; each other table there belongs to one
program or observatory, is recognised by what its headers say of themselves, and
adds to the general one or overrides it.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from autoreduce.errors import SettingsError
from autoreduce.fits.header import RawHeader
from autoreduce.frames.schema import ImageType

GENERAL = "general"

FACTS = (
    "object",
    "filter",
    "exptime",
    "xbinning",
    "ybinning",
    "readoutm",
    "gain",
    "offset",
    "egain",
    "rdnoise",
    "ccd_temp",
    "set_temp",
    "date_obs",
    "date_loc",
    "longitude",
    "instrume",
    "telescop",
    "focallen",
    "rotator",
    "xorgsubf",
    "yorgsubf",
    "biassec",
    "trimsec",
    "bayerpat",
    "saturate",
    "ra",
    "dec",
    "software",
    "filename",
    "imagetyp",
)
"""Facts that a table can speak of."""

_SECTIONS = (
    "title",
    "order",
    "recognise",
    "missing",
    "gain_card",
    "calibrated",
    "stacked",
)
_UNITS = (
    *("", "us", "ms", "s", "min", "h", "d"),
    *("date", "mjd", "jd", "unix", "west", "adu/electron"),
)
_GAIN_CARD = {"setting": "gain", "electrons per ADU": "egain"}


@dataclass(frozen=True, slots=True)
class Source:
    """One card that may give a fact."""

    keyword: str
    """In capitals; HIERARCH keywords without HIERARCH."""
    unit: str = ""
    """Unit of the literal, where it is not the frame table's."""
    item: int = 0
    """Which number of a list such as ``2 2``, from 1; 0 for a single value."""
    comment: re.Pattern[str] | None = None
    """What the card's comment must hold."""
    without: re.Pattern[str] | None = None
    """What the card's comment must not hold."""
    only: str = ""
    """``whole`` or ``fraction``: the numbers that the source is good for."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What its literals mean, where only this card uses them so."""


@dataclass(frozen=True, slots=True)
class FactRule:
    """Where a fact is found, and what it may be."""

    sources: tuple[Source, ...] = ()
    """In order of trust."""
    range: tuple[float, float] | None = None
    """Least and largest number that can be true."""
    missing: frozenset[str] = frozenset()
    """Texts that say nothing, in small letters."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What a literal means; image types are keyed by `type_key`."""
    wheels: tuple[tuple[str, ...], ...] = ()
    """Keywords of filter wheels in series."""
    clear: frozenset[str] = frozenset()
    """Wheel positions that change nothing."""
    closed: frozenset[str] = frozenset()
    """Wheel positions that let no light through."""
    clock: tuple[str, ...] = ()
    """Keywords of the time of day, for a date that stands alone."""
    always: str = ""
    """Value of every header of the dialect, whatever it says."""
    otherwise: str = ""
    """Value where nothing else gives one."""


@dataclass(frozen=True, slots=True)
class CalibratedRule:
    """What tells that a frame was calibrated already."""

    letters: tuple[str, ...] = ()
    """Keywords of which the letters B, D, F say what was done."""
    done: tuple[str, ...] = ()
    """Keywords that are true, or hold a text, when it was done."""
    cards: tuple[str, ...] = ()
    """Keywords that only calibrated frames have."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keywords, with the values that only calibrated frames have."""
    history: tuple[re.Pattern[str], ...] = ()
    """Patterns of HISTORY cards."""


@dataclass(frozen=True, slots=True)
class StackedRule:
    """What tells that a file is made of several exposures."""

    counts: tuple[str, ...] = ()
    """Keywords of a number of exposures."""
    cards: tuple[str, ...] = ()
    """Keywords that only such files have."""
    history: tuple[re.Pattern[str], ...] = ()
    """Patterns of HISTORY cards."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the headers of one writer are read."""

    name: str
    """Stem of its file."""
    title: str
    """Program or observatory, for people."""
    order: int
    """Tables with smaller numbers are tried first."""
    recognise: tuple[Mapping[str, str], ...]
    """Sets of keyword and glob; a header that fulfils one whole set is known."""
    facts: Mapping[str, FactRule]
    """What every fact is read from; the general table is merged in."""
    calibrated: CalibratedRule
    """What tells that a frame was calibrated already."""
    stacked: StackedRule
    """What tells that a file is made of several exposures."""


def load_dialects(extra: Sequence[Path] = ()) -> tuple[Dialect, ...]:
    """Load the tables that come with autoreduce, and the observer's own.

    Parameters
    ----------
    extra : sequence of Path
        Tables of the observer; they are tried before all others.

    Returns
    -------
    tuple of Dialect
        In the order in which they are tried; the general one, last, knows all.

    Raises
    ------
    SettingsError
        If a table of the observer is not valid.
    """
    built_in = _built_in()
    own = [_load_own(path, built_in[-1]) for path in extra]
    return (*own, *built_in)


def recognise(header: RawHeader, dialects: Iterable[Dialect]) -> Dialect:
    """Return the first dialect that a header fulfils."""
    for dialect in dialects:
        if not dialect.recognise or any(
            _fulfils(header, wanted) for wanted in dialect.recognise
        ):
            return dialect
    msg = "no general dialect among those given"
    raise ValueError(msg)


def possible(keywords: AbstractSet[str], dialects: Iterable[Dialect]) -> list[Dialect]:
    """Return the dialects that a header with these keywords may fulfil."""
    return [
        dialect
        for dialect in dialects
        if not dialect.recognise
        or any(wanted.keys() <= keywords for wanted in dialect.recognise)
    ]


def type_key(literal: str) -> str:
    """Return an image type's literal without what has no meaning.

    Examples
    --------
    >>> type_key("Light Frame"), type_key("bias (  5 )"), type_key("FLAT,LAMP")
    ('lightframe', 'bias', 'flatlamp')
    """
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\(\s*\d*\s*\)", "", literal.lower()))


@cache
def _built_in() -> tuple[Dialect, ...]:
    folder = resources.files("autoreduce.frames") / "dialects"
    tables = {
        entry.name.removesuffix(".toml"): tomllib.loads(entry.read_text("utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
    general = _make_dialect(GENERAL, tables.pop(GENERAL), None)
    others = [_make_dialect(name, table, general) for name, table in tables.items()]
    return (*sorted(others, key=lambda one: (one.order, one.name)), general)


def _load_own(path: Path, general: Dialect) -> Dialect:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        own = _make_dialect(path.stem, table, general)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"dialect table {path} cannot be read: {error}"
        raise SettingsError(msg) from error
    except (ValueError, TypeError, AttributeError, re.error) as error:
        msg = f"dialect table {path}: {error}; see `autoreduce dialects --help`"
        raise SettingsError(msg) from error
    return own


def _fulfils(header: RawHeader, wanted: Mapping[str, str]) -> bool:
    if not wanted.keys() <= header.keywords:
        return False
    for keyword, glob in wanted.items():
        if not any(_matches(card.value, glob) for card in header.find(keyword)):
            return False
    return True


def _matches(value: object, glob: str) -> bool:
    return fnmatchcase(str(value).strip().lower(), glob.lower())


def _make_dialect(
    name: str, table: Mapping[str, Any], general: Dialect | None
) -> Dialect:
    if strange := sorted(set(table) - set(_SECTIONS) - set(FACTS)):
        known = ", ".join((*_SECTIONS, *FACTS))
        msg = f"{strange[0]!r} is not a fact; known are {known}"
        raise ValueError(msg)
    if general is not None and not _is_list_of_tables(table.get("recognise")):
        msg = "`recognise` must say which headers are of this dialect, as in "
        msg += '[{ SWCREATE = "MyProgram*" }]'
        raise ValueError(msg)
    nothing = frozenset(text.lower() for text in table.get("missing", ()))
    facts = {
        fact: _merge(
            _make_rule(fact, table.get(fact, {}), nothing),
            general.facts[fact] if general else FactRule(),
            replaces=bool(table.get(fact, {}).get("replace", False)),
        )
        for fact in FACTS
    }
    _apply_gain_card(facts, table.get("gain_card", ""))
    return Dialect(
        name=name,
        title=str(table.get("title", name)),
        order=int(table.get("order", 0)),
        recognise=tuple(
            {str(keyword).upper(): str(glob) for keyword, glob in wanted.items()}
            for wanted in table.get("recognise", ())
        ),
        facts=facts,
        calibrated=_make_calibrated(table.get("calibrated", {}), general),
        stacked=_make_stacked(table.get("stacked", {}), general),
    )


def _is_list_of_tables(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and one for one in value)


def _apply_gain_card(facts: dict[str, FactRule], meaning: str) -> None:
    """Give the card GAIN, which means two things, to the fact that it is here."""
    if meaning not in ("", *_GAIN_CARD):
        msg = f"gain_card is {meaning!r}, expected one of {', '.join(_GAIN_CARD)}"
        raise ValueError(msg)
    if not meaning:
        return
    for fact in ("gain", "egain"):
        rule = facts[fact]
        others = tuple(one for one in rule.sources if one.keyword != "GAIN")
        own = (Source("GAIN"),) if _GAIN_CARD[meaning] == fact else ()
        first = own + others if fact == "gain" else others + own
        facts[fact] = replace(rule, sources=first)


def _make_rule(
    fact: str, table: Mapping[str, Any], nothing: frozenset[str]
) -> FactRule:
    allowed = {each.name for each in fields(FactRule)} - {"sources"}
    if strange := sorted(set(table) - allowed - {"keywords", "replace"}):
        msg = f"[{fact}] has {strange[0]!r}; known are keywords, {sorted(allowed)}"
        raise ValueError(msg)
    limits = table.get("range")
    return FactRule(
        sources=tuple(_make_source(entry) for entry in table.get("keywords", ())),
        range=(float(limits[0]), float(limits[1])) if limits else None,
        missing=nothing | _small(table.get("missing", ())),
        values=_make_values(fact, table.get("values", {})),
        wheels=tuple(tuple(wheel) for wheel in table.get("wheels", ())),
        clear=_small(table.get("clear", ())),
        closed=_small(table.get("closed", ())),
        clock=tuple(table.get("clock", ())),
        always=str(table.get("always", "")),
        otherwise=str(table.get("otherwise", "")),
    )


def _small(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(text.lower() for text in texts)


def _make_values(fact: str, table: Mapping[str, Any]) -> dict[str, str]:
    if fact != "imagetyp":
        return {literal.lower(): str(value) for literal, value in table.items()}
    return {
        type_key(literal): ImageType(kind).value
        for kind, literals in table.items()
        for literal in literals
    }


def _make_source(entry: str | Mapping[str, Any]) -> Source:
    if isinstance(entry, str):
        return Source(entry.upper())
    settings = dict(entry)
    allowed = [each.name for each in fields(Source)]
    if "keyword" not in settings or not set(settings) <= set(allowed):
        msg = f"{settings} is no keyword; expected some of {', '.join(allowed)}"
        raise ValueError(msg)
    if settings.get("unit", "") not in _UNITS:
        msg = f"unit is {settings['unit']!r}, expected one of {', '.join(_UNITS)}"
        raise ValueError(msg)
    settings["keyword"] = str(settings["keyword"]).upper()
    for name in ("comment", "without"):
        if name in settings:
            settings[name] = re.compile(settings[name])
    return Source(**settings)


def _merge(own: FactRule, general: FactRule, *, replaces: bool) -> FactRule:
    own_keywords = {source.keyword for source in own.sources}
    others = tuple(
        source for source in general.sources if source.keyword not in own_keywords
    )
    return replace(
        own,
        sources=own.sources if replaces else (*own.sources, *others),
        range=own.range or general.range,
        missing=own.missing | general.missing,
        values={**general.values, **own.values},
        wheels=own.wheels if replaces else (*own.wheels, *general.wheels),
        clear=own.clear | general.clear,
        closed=own.closed | general.closed,
        clock=(*own.clock, *general.clock),
        always=own.always,
        otherwise=own.otherwise,
    )


def _make_calibrated(
    table: Mapping[str, Any], general: Dialect | None
) -> CalibratedRule:
    base = general.calibrated if general else CalibratedRule()
    return CalibratedRule(
        letters=(*base.letters, *table.get("letters", ())),
        done=(*base.done, *table.get("done", ())),
        cards=(*base.cards, *table.get("cards", ())),
        values={
            **base.values,
            **{name: tuple(texts) for name, texts in table.get("values", {}).items()},
        },
        history=(*base.history, *map(re.compile, table.get("history", ()))),
    )


def _make_stacked(table: Mapping[str, Any], general: Dialect | None) -> StackedRule:
    base = general.stacked if general else StackedRule()
    return StackedRule(
        counts=(*base.counts, *table.get("counts", ())),
        cards=(*base.cards, *table.get("cards", ())),
        history=(*base.history, *map(re.compile, table.get("history", ()))),
    )
