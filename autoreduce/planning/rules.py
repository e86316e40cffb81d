"""The rules: which frames are alike, and which master may serve which frame.

TOML in, frozen values out; the rules themselves stand in ``rules.toml``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from autoreduce.frames.schema import FACT_COLUMNS
from autoreduce.planning.use import DarkMethod
from autoreduce.settings import KeyPath, NotNegative, SettingsText, build, one_of

Numbers = TypeVar("Numbers", float, NDArray[np.float64])
_ROUNDING = 1e-9

TEMPERATURE = "temperature"
"""Name, in rules, of the temperature that frames are compared by."""

_COLUMNS = {column.name: column.dtype for column in FACT_COLUMNS}
_NUMBERS = frozenset(
    n for n, dtype in _COLUMNS.items() if dtype in ("Float64", "Int64")
)
Name = Annotated[str, one_of(_COLUMNS)]
"""Name of a column of the frame table."""
NumberName = Annotated[str, one_of(_NUMBERS)]
"""Name of a column of numbers."""
Combined = Annotated[str, one_of(frozenset({"bias", "dark", "flat", "light"}))]
Used = Annotated[str, one_of(frozenset({"bias", "dark", "flat"}))]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest difference between two numbers that agree."""

    absolute: NotNegative = 0.0
    """In the column's unit."""
    relative: NotNegative = 0.0
    """As a fraction of the larger number; the larger of the two limits holds."""
    period: NotNegative | None = None
    """Where the number wraps around; None if it does not."""
    at_most: NotNegative | None = None
    """As a fraction of the larger number: `absolute` is never more than that; None: it
    may be."""

    def limit(self, size: Numbers) -> Numbers:
        """Give the largest difference between numbers, the larger of which is `size`."""
        fixed = np.full_like(size, self.absolute)
        if self.at_most is not None:
            fixed = np.fmin(fixed, self.at_most * size)
        limit: Numbers = np.fmax(self.relative * size, fixed) + _ROUNDING
        return limit


@dataclass(frozen=True, slots=True)
class TemperatureRule:
    """How temperatures are read and compared; all in Celsius."""

    regulated: NotNegative
    """Largest difference in one combination where a set point is known."""
    free: NotNegative
    """Largest difference where no set point is known."""
    reached: NotNegative
    """A sensor this near to its set point is taken to be at it."""
    steady: NotNegative
    """Temperatures that hold within this of one another are a set point, though no card
    says so."""


@dataclass(frozen=True, slots=True)
class CombineRule:
    """Which frames may be combined into one product, besides the same setup."""

    equal: tuple[Name, ...] = ()
    """Columns in which they must be equal."""
    within: tuple[str, ...] = ()
    """Columns in which they must agree within the tolerance."""
    hours: NotNegative | None = None
    """How long one combination lasts at the most, in one night; None: any time."""
    loosely: Mapping[str, Tolerance] = field(default_factory=dict)
    """Columns of `within` with a tolerance of their own."""
    pointing: NotNegative | None = None
    """How far apart frames without an object may point, degrees; None: anywhere."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of a ladder: a level, and what a master must meet to stand on it."""

    level: Literal[0, 1, 2, 3]
    """0 (best) to 3."""
    same_night: bool = False
    """Whether it must be of the same night."""
    days: NotNegative | None = None
    """How far it may be in time; None: any."""
    temperature: NotNegative | None = None
    """How far its temperature may be, Celsius; None: any."""
    method: DarkMethod | None = None
    """How a dark is taken to the exposure (darks only)."""
    longer: NotNegative | None = None
    """It is for exposures longer than the dark's own, up to so many times; None: it is
    for others."""
    unconfirmed: tuple[str, ...] = ()
    """Columns, or the temperature, that the master may leave unsaid."""
    loosely: Mapping[str, Tolerance] = field(default_factory=dict)
    """Columns with a wider tolerance."""


@dataclass(frozen=True, slots=True)
class UseRule:
    """Which masters may serve a frame, besides the same setup."""

    rung: tuple[Rung, ...]
    """The ladder, best rung first."""
    equal: tuple[Name, ...] = ()
    """Columns in which the master must equal the frame."""
    within: tuple[str, ...] = ()
    """Columns in which it must agree within the tolerance."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which frames are alike, and which master may serve which frame."""

    setup: tuple[Name, ...]
    """Columns in which frames must be equal for any purpose."""
    tolerance: Mapping[NumberName, Tolerance]
    """Tolerance of each column that need not be equal."""
    temperature: TemperatureRule
    """How temperatures are read and compared."""
    combine: Mapping[Combined, CombineRule]
    """What may be combined: ``bias``, ``dark``, ``flat``, ``light``."""
    use: Mapping[Used, UseRule]
    """What may be used: ``bias``, ``dark``, ``flat``."""
    fit_ratio: NotNegative
    """Darks are fitted if the longest exposure is so many times the shortest."""


def rules_text() -> str:
    """Return the rules that come with autoreduce, as TOML text."""
    folder = resources.files("autoreduce.planning")
    return (folder / "rules.toml").read_text("utf-8")


def load_rules(path: Path | None = None) -> Rules:
    """Read the rules.

    Parameters
    ----------
    path : Path, optional
        A TOML file with what is to be different from the rules that come with
        autoreduce.

    Returns
    -------
    Rules
        The rules, those of the file in place of the built-in ones.

    Raises
    ------
    SettingsError
        If the file cannot be read or is not valid; the message names the line.
    """
    if path is None:
        return parse_rules("", "rules")
    return _rules(SettingsText.of_file(path, f"rules {path}"))


def parse_rules(text: str, name: str) -> Rules:
    """Read rules from TOML text, over the built-in ones; errors as `load_rules`.

    Parameters
    ----------
    text : str
        TOML text; may be empty.
    name : str
        Name of the source, for messages.
    """
    return _rules(SettingsText(name, text))


def _rules(source: SettingsText) -> Rules:
    own = source.table()
    base = SettingsText("rules", rules_text()).table()
    rules = build(Rules, _merged(base, own), source)
    _check(rules, source)
    return rules


def changed_rules(rules: Rules) -> list[tuple[str, str, str]]:
    """List where rules differ from the built-in ones.

    Parameters
    ----------
    rules : Rules
        Rules of the observer.

    Returns
    -------
    list of tuple of str
        Name of the rule, its built-in value and the observer's, in their order.
    """
    return list(_differences("", load_rules(), rules))


def _differences(
    name: str, base: object, own: object
) -> Iterator[tuple[str, str, str]]:
    parts, others = _parts(base), _parts(own)
    if base == own:
        return
    if not parts or not others:
        yield name, _shown(base), _shown(own)
        return
    for key in dict.fromkeys((*parts, *others)):
        inner = f"{name}.{key}" if name else key
        yield from _differences(inner, parts.get(key), others.get(key))


def _parts(value: object) -> dict[str, object]:
    """Take apart what has parts with names; a ladder is one value."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, Rung):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return {}


def _shown(value: object) -> str:
    """Write a value on one line."""
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value) or "nothing"
    if isinstance(value, Rung):
        usual = Rung(value.level)
        names = (item.name for item in fields(value))
        said = (name for name in names if getattr(value, name) != getattr(usual, name))
        words = [f"{name} {_shown(getattr(value, name))}" for name in said]
        return f"level {value.level}" + (f" ({'; '.join(words)})" if words else "")
    if isinstance(value, Mapping):
        return ", ".join(value)
    return "nothing" if value is None else str(value)


def _merged(base: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested table over another; lists are replaced whole."""
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged


def _check(rules: Rules, source: SettingsText) -> None:
    """Hold the parts of rules against one another."""
    names = frozenset((*rules.tolerance, TEMPERATURE))
    for kind, rule in rules.combine.items():
        _check_names(rule.within, names, ("combine", kind, "within"), source)
        loosely = ("combine", kind, "loosely")
        _check_names(rule.loosely, names - {TEMPERATURE}, loosely, source)
    for kind, use in rules.use.items():
        _check_names(use.within, names, ("use", kind, "within"), source)
        if not use.rung:
            raise source.wrong(("use", kind, "rung"), [], "one or more [[rung]] tables")
        for i, rung in enumerate(use.rung, 1):
            here = ("use", kind, "rung", i)
            unsaid = frozenset((*_COLUMNS, TEMPERATURE))
            _check_names(rung.unconfirmed, unsaid, (*here, "unconfirmed"), source)
            path = (*here, "loosely")
            _check_names(rung.loosely, names - {TEMPERATURE}, path, source)
            _check_method(rung.method, kind, (*here, "method"), source)


def _check_names(
    given: Iterable[str], names: frozenset[str], path: KeyPath, source: SettingsText
) -> None:
    for name in given:
        if name not in names:
            raise source.wrong(path, name, one_of(names).expected)


def _check_method(
    method: DarkMethod | None, kind: str, path: KeyPath, source: SettingsText
) -> None:
    """See that darks, and they alone, say how they are taken to an exposure."""
    if kind != "dark" and method is not None:
        raise source.error(path, "is only for darks")
    if kind == "dark" and method is None:
        raise source.error(path, f"is needed: one of {', '.join(DarkMethod)}")
