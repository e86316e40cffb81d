"""Dialects of headers: tables that say which card gives which fact.

``dialects/general.toml`` reads any header; each other table there belongs to one
program or observatory, is recognised by what its headers say of themselves, and
adds to the general one or overrides it.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from autoreduce.fits.header import RawHeader
from autoreduce.frames.schema import ImageType
from autoreduce.settings import SettingsText, build, check_keys, one_of

R = TypeVar("R", "CalibratedRule", "StackedRule")

GENERAL = "general"

OWN_TABLE = "autoreduce.toml"
"""Name of a dialect table that is used without being asked for."""

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
    "latitude",
    "longitude",
    "height",
    "instrume",
    "telescop",
    "focallen",
    "rotator",
    "disperser",
    "xorgsubf",
    "yorgsubf",
    "biassec",
    "trimsec",
    "datasec",
    "detsec",
    "detector",
    "bayerpat",
    "roworder",
    "pedestal",
    "coadds",
    "slit",
    "lamp",
    "xbayroff",
    "ybayroff",
    "saturate",
    "ra",
    "dec",
    "software",
    "filename",
    "imagetyp",
)
"""Facts that a table can speak of."""

_UNITS = frozenset(
    (
        *("", "us", "ms", "s", "min", "h", "d"),
        *("date", "mjd", "jd", "unix", "west", "adu/electron"),
    )
)
_GAIN_CARD = {"setting": "gain", "electrons per ADU": "egain"}


@dataclass(frozen=True, slots=True)
class Source:
    """One card that may give a fact."""

    keyword: str
    """In capitals; HIERARCH keywords without HIERARCH."""
    unit: Annotated[str, one_of(_UNITS)] = ""
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

    @classmethod
    def of_text(cls, keyword: str) -> "Source":
        """Make a source of what most of them are: a keyword alone."""
        return cls(keyword)


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
    unless: tuple[Mapping[str, str], ...] = ()
    """Sets of keyword and glob; a header that fulfils one whole set tells nothing."""
    always: str = ""
    """Value of every header of the dialect, whatever it says."""
    otherwise: str = ""
    """Value where nothing else gives one."""
    keywords: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Those of its sources."""

    def __post_init__(self) -> None:
        """Take the keywords together."""
        keywords = tuple(source.keyword for source in self.sources)
        object.__setattr__(self, "keywords", keywords)


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


@dataclass(frozen=True, slots=True, eq=False)
class AmplifierRule:
    """Cards of an image that several amplifiers have read: one set for each.

    In keywords the asterisk stands for the name of the amplifier.
    """

    names: tuple[str, ...] = ()
    """What amplifiers may be called ..."""
    listed: str = ""
    """... or the card that lists their names."""
    data: str = ""
    """Keyword of the section with its pixels."""
    trim: str = ""
    """Keyword of the part of it that is kept."""
    overscan: str = ""
    """Keyword of its overscan section."""
    detector: str = ""
    """Keyword of the section of the detector where its pixels lie."""
    egain: str = ""
    """Keyword of its electrons per ADU."""
    rdnoise: str = ""
    """Keyword of its read noise, electron."""
    saturate: str = ""
    """Keyword of its level of saturation, ADU."""
    places: tuple[str, ...] = ()
    """Where amplifiers lie, in pixels of the detector without binning: of a cube whose
    planes they are, or of a file with an image for each, where no card tells."""
    corner: tuple[str, ...] = ()
    """Instead of sections: keywords of the corner of the detector at which it reads,
    column and row without binning, ..."""
    chip: tuple[str, ...] = ()
    """... of the columns and rows of the detector, without binning, ..."""
    pixels: tuple[str, ...] = ()
    """... of those that were lit, as the image has them, ..."""
    prescan: tuple[str, ...] = ()
    """... of those read before them, and ..."""
    postscan: tuple[str, ...] = ()
    """... of those read after them."""
    beside: str = ""
    """Instead of all these: card that counts amplifiers side by side, ..."""
    behind: str = ""
    """... and the one with the overscan columns of each, which stand behind the pixels
    of all of them (``datasec``), in the same order."""

    @property
    def keywords(self) -> Mapping[str, str]:
        """Keywords of what is told of each amplifier."""
        told = {
            "data": self.data,
            "trim": self.trim,
            "overscan": self.overscan,
            "detector": self.detector,
            "egain": self.egain,
            "rdnoise": self.rdnoise,
            "saturate": self.saturate,
        }
        return {what: keyword for what, keyword in told.items() if keyword}

    def may_fit(self, present: AbstractSet[str]) -> bool:
        """Tell whether a header with these keywords may tell of several amplifiers."""
        if not self.names:
            return (self.beside or self.listed) in present
        sections = (self.data, self.trim, self.overscan)
        cards = [section.split()[0] for section in sections if section]
        return bool(self.places) or any(
            card.replace("*", name) in present
            for card in (*cards, *self.pixels[:1])
            for name in self.names
        )


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
    amplifiers: tuple[AmplifierRule, ...] = ()
    """How several amplifiers in one image are told; the first that fits holds."""


@dataclass(frozen=True, slots=True)
class _Sections:
    """What a table says besides its facts."""

    title: str = ""
    order: int = 0
    recognise: tuple[Mapping[str, Any], ...] = ()
    missing: tuple[str, ...] = ()
    gain_card: Literal["", "setting", "electrons per ADU"] = ""
    calibrated: CalibratedRule = field(default_factory=CalibratedRule)
    stacked: StackedRule = field(default_factory=StackedRule)
    amplifiers: tuple[AmplifierRule, ...] = ()


@dataclass(frozen=True, slots=True)
class _OneFact:
    """What a table says of one fact; see `FactRule`."""

    keywords: tuple[Source, ...] = ()
    replace: bool = False
    range: tuple[float, float] | None = None
    missing: tuple[str, ...] = ()
    wheels: tuple[tuple[str, ...], ...] = ()
    clear: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    clock: tuple[str, ...] = ()
    unless: tuple[Mapping[str, Any], ...] = ()
    always: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class _FactTable(_OneFact):
    """What a table says of any fact but the type."""

    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _TypeTable(_OneFact):
    """What a table says of the image type."""

    values: Mapping[ImageType, tuple[str, ...]] = field(default_factory=dict)


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


def own_tables(folders: Iterable[Path]) -> list[Path]:
    """List the observer's dialect tables that hold for files of some folders."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = [*folders, config / "autoreduce", config]
    tables = dict.fromkeys(place / OWN_TABLE for place in places)
    return [table for table in tables if table.is_file()]


def recognise(header: RawHeader, dialects: Iterable[Dialect]) -> Dialect:
    """Return the first dialect that a header fulfils."""
    for dialect in dialects:
        if not dialect.recognise or any(
            fulfils(header, wanted) for wanted in dialect.recognise
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
        entry.name.removesuffix(".toml"): SettingsText(
            entry.name, entry.read_text("utf-8")
        )
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
    general = _make_dialect(GENERAL, tables.pop(GENERAL))
    silent = _silent(general)
    others = [
        _make_dialect(name, table, general, silent) for name, table in tables.items()
    ]
    return (*sorted(others, key=lambda one: (one.order, one.name)), general)


def _load_own(path: Path, general: Dialect) -> Dialect:
    text = SettingsText.of_file(path, f"dialect table {path}")
    return _make_dialect(path.stem, text, general, _silent(general))


def fulfils(header: RawHeader, wanted: Mapping[str, str]) -> bool:
    """Tell whether cards of all keywords match their globs, in any case of letters."""
    if not wanted.keys() <= header.keywords:
        return False
    for keyword, glob in wanted.items():
        if not any(_matches(card.value, glob) for card in header.find(keyword)):
            return False
    return True


def _matches(value: object, glob: str) -> bool:
    return fnmatchcase(str(value).strip().lower(), glob.lower())


def _make_dialect(
    name: str,
    text: SettingsText,
    general: Dialect | None = None,
    silent: Mapping[str, FactRule] = MappingProxyType({}),
) -> Dialect:
    table = text.table()
    sections = frozenset(item.name for item in fields(_Sections))
    check_keys(table, sections | frozenset(FACTS), text)
    own = build(_Sections, {k: table[k] for k in table if k in sections}, text)
    if general is not None and not all((own.recognise, *own.recognise)):
        problem = "must say which headers are of this dialect, as in "
        problem += '[{ SWCREATE = "MyProgram*" }]'
        raise text.error(("recognise",), problem)
    usual = general.facts if general else dict.fromkeys(FACTS, FactRule())
    missing = _small(own.missing)
    facts = {
        fact: silent[fact]
        if fact in silent and fact not in table and not missing
        else _rule(fact, table.get(fact, {}), text, missing, usual[fact])
        for fact in FACTS
    }
    _apply_gain_card(facts, own.gain_card)
    return Dialect(
        name=name,
        title=own.title or name,
        order=own.order,
        recognise=_globs(own.recognise),
        facts=facts,
        calibrated=_with(general.calibrated, own.calibrated)
        if general
        else own.calibrated,
        stacked=_with(general.stacked, own.stacked) if general else own.stacked,
        amplifiers=(*own.amplifiers, *(general.amplifiers if general else ())),
    )


def _rule(
    fact: str,
    table: object,
    text: SettingsText,
    nothing: frozenset[str],
    general: FactRule,
) -> FactRule:
    """Make the rule of a fact from a dialect's table and the general rule."""
    own = _fact_table(fact, table, text)
    return _merge(_make_rule(fact, own, nothing), general, replaces=own.replace)


def _silent(general: Dialect) -> dict[str, FactRule]:
    """Make the rules of a dialect that says nothing: most do, of most facts."""
    text = SettingsText("", "")
    return {
        fact: _rule(fact, {}, text, frozenset(), general.facts[fact]) for fact in FACTS
    }


def _fact_table(
    fact: str, table: object, text: SettingsText
) -> "_FactTable | _TypeTable":
    if fact == "imagetyp":
        return build(_TypeTable, table, text, (fact,))
    return build(_FactTable, table, text, (fact,))


def _apply_gain_card(facts: dict[str, FactRule], meaning: str) -> None:
    """Give the card GAIN, which means two things, to the fact that it is here."""
    if not meaning:
        return
    for fact in ("gain", "egain"):
        rule = facts[fact]
        others = tuple(one for one in rule.sources if one.keyword != "GAIN")
        own = (Source("GAIN"),) if _GAIN_CARD[meaning] == fact else ()
        first = own + others if fact == "gain" else others + own
        facts[fact] = replace(rule, sources=first)


def _make_rule(
    fact: str, table: "_FactTable | _TypeTable", nothing: frozenset[str]
) -> FactRule:
    return FactRule(
        sources=tuple(
            replace(one, keyword=one.keyword.upper()) for one in table.keywords
        ),
        range=table.range,
        missing=nothing | _small(table.missing),
        values=_make_values(fact, table.values),
        wheels=table.wheels,
        clear=_small(table.clear),
        closed=_small(table.closed),
        clock=table.clock,
        unless=_globs(table.unless),
        always=table.always,
        otherwise=table.otherwise,
    )


def _globs(sets: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], ...]:
    return tuple(
        {keyword.upper(): str(glob) for keyword, glob in wanted.items()}
        for wanted in sets
    )


def _small(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(text.lower() for text in texts)


def _make_values(fact: str, table: Mapping[Any, Any]) -> dict[str, str]:
    if fact != "imagetyp":
        return {literal.lower(): str(value) for literal, value in table.items()}
    return {
        type_key(literal): str(kind)
        for kind, literals in table.items()
        for literal in literals
    }


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
        unless=(*own.unless, *general.unless),
        always=own.always,
        otherwise=own.otherwise,
    )


def _with(base: R, own: R) -> R:
    """Add what one table's rule says to another's."""
    return type(base)(
        **{
            item.name: _both(getattr(base, item.name), getattr(own, item.name))
            for item in fields(base)
        }
    )


def _both(first: Any, second: Any) -> Any:  # noqa: ANN401 -- tables or lists
    if isinstance(first, Mapping):
        return {**first, **second}
    return (*first, *second)
