"""The rules: which frames are alike, and which master may serve which frame.

TOML in, frozen values out; the rules themselves stand in ``rules.toml``.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from autoreduce.errors import SettingsError
from autoreduce.frames.schema import FACT_COLUMNS
from autoreduce.planning.use import DarkMethod

TEMPERATURE = "temperature"
"""Name, in rules, of the temperature that frames are compared by."""

_COLUMNS = {column.name: column.dtype for column in FACT_COLUMNS}
_NUMBERS = {name for name, dtype in _COLUMNS.items() if dtype in ("Float64", "Int64")}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest difference between two numbers that agree."""

    absolute: float = 0.0
    """In the column's unit."""
    relative: float = 0.0
    """As a fraction of the larger number; the larger of the two limits holds."""
    period: float | None = None
    """Where the number wraps around; None if it does not."""


@dataclass(frozen=True, slots=True)
class TemperatureRule:
    """How temperatures are read and compared; all in Celsius."""

    regulated: float
    """Largest difference in one combination where a set point is known."""
    free: float
    """Largest difference where no set point is known."""
    reached: float
    """A sensor this near to its set point is taken to be at it."""


@dataclass(frozen=True, slots=True)
class CombineRule:
    """Which frames may be combined into one product, besides the same setup."""

    equal: tuple[str, ...] = ()
    """Columns in which they must be equal."""
    within: tuple[str, ...] = ()
    """Columns in which they must agree within the tolerance."""
    hours: float | None = None
    """How long one combination lasts at the most, in one night; None: any time."""
    loosely: Mapping[str, Tolerance] = field(default_factory=dict)
    """Columns of `within` with a tolerance of their own."""
    pointing: float | None = None
    """How far apart frames without an object may point, degrees; None: anywhere."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of a ladder: a level, and what a master must meet to stand on it."""

    level: int
    """0 (best) to 3."""
    same_night: bool = False
    """Whether it must be of the same night."""
    days: float | None = None
    """How far it may be in time; None: any."""
    temperature: float | None = None
    """How far its temperature may be, Celsius; None: any."""
    method: DarkMethod | None = None
    """How a dark is taken to the exposure (darks only)."""
    extrapolated: bool = False
    """Whether it is for exposures longer than the dark's own."""
    unconfirmed: tuple[str, ...] = ()
    """Columns that the master may leave unsaid."""
    loosely: Mapping[str, Tolerance] = field(default_factory=dict)
    """Columns with a wider tolerance."""


@dataclass(frozen=True, slots=True)
class UseRule:
    """Which masters may serve a frame, besides the same setup."""

    rung: tuple[Rung, ...]
    """The ladder, best rung first."""
    equal: tuple[str, ...] = ()
    """Columns in which the master must equal the frame."""
    within: tuple[str, ...] = ()
    """Columns in which it must agree within the tolerance."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which frames are alike, and which master may serve which frame."""

    setup: tuple[str, ...]
    """Columns in which frames must be equal for any purpose."""
    tolerance: Mapping[str, Tolerance]
    """Tolerance of each column that need not be equal."""
    temperature: TemperatureRule
    """How temperatures are read and compared."""
    combine: Mapping[str, CombineRule]
    """What may be combined: ``bias``, ``dark``, ``flat``, ``light``."""
    use: Mapping[str, UseRule]
    """What may be used: ``bias``, ``dark``, ``flat``."""
    fit_ratio: float
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
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"rules {path} cannot be read: {error}"
        raise SettingsError(msg) from error
    return parse_rules(text, str(path))


def parse_rules(text: str, name: str) -> Rules:
    """Read rules from TOML text, over the built-in ones; errors as `load_rules`.

    Parameters
    ----------
    text : str
        TOML text; may be empty.
    name : str
        Name of the source, for messages.
    """
    try:
        own = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{name} is not valid TOML: {error}"
        raise SettingsError(msg) from error
    source = _Source(name, text)
    _check_known(own, source)
    return _rules(_merged(tomllib.loads(rules_text()), own), source)


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


@dataclass(frozen=True, slots=True)
class _Source:
    """The text that rules are read from, to say where a message belongs."""

    name: str
    text: str

    def error(self, path: tuple[str, ...], problem: str) -> SettingsError:
        """Build the error about one key, with its line where it can be found."""
        line = self._line(path)
        where = f"{self.name}, line {line}" if line else self.name
        return SettingsError(f"{where}: {'.'.join(path)}: {problem}")

    def _line(self, path: tuple[str, ...]) -> int | None:
        """Find the line of the last key of a path, after its table's header."""
        start, found = 0, None
        for key in path:
            pattern = rf"(?m)(^|[\s{{\[.,]){re.escape(key)}\s*[\]=.]"
            if match := re.compile(pattern).search(self.text, start):
                start = match.end(1)
                found = self.text.count("\n", 0, start) + 1
        return found


def _check_known(own: Mapping[str, Any], source: _Source) -> None:
    """Refuse keys that no rule has, at the two upper levels."""
    _check_keys(own, {item.name for item in fields(Rules)}, (), source)
    kinds = {
        "combine": {"bias", "dark", "flat", "light"},
        "use": {"bias", "dark", "flat"},
    }
    for key, known in kinds.items():
        table = own.get(key, {})
        if not isinstance(table, dict):
            raise source.error((key,), "must be a table")
        _check_keys(table, known, (key,), source)


def _check_keys(
    table: Mapping[str, Any], known: set[str], path: tuple[str, ...], source: _Source
) -> None:
    for key in table:
        if key not in known:
            problem = f"unknown key; there are {', '.join(sorted(known))}"
            raise source.error((*path, key), problem)


def _rules(table: Mapping[str, Any], source: _Source) -> Rules:
    tolerance = {
        key: _tolerance(value, ("tolerance", key), source)
        for key, value in _table(table["tolerance"], ("tolerance",), source).items()
    }
    for key in tolerance:
        _check_column(key, _NUMBERS, ("tolerance", key), source)
    names = {*tolerance, TEMPERATURE}
    return Rules(
        setup=_columns(table["setup"], ("setup",), source),
        fit_ratio=_number(table["fit_ratio"], ("fit_ratio",), source),
        tolerance=tolerance,
        temperature=_temperature(table["temperature"], source),
        combine={
            key: _combine(value, ("combine", key), names, source)
            for key, value in table["combine"].items()
        },
        use={
            key: _use(value, ("use", key), names, source)
            for key, value in table["use"].items()
        },
    )


def _table(value: object, path: tuple[str, ...], source: _Source) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise source.error(path, f"must be a table, not {value!r}")
    return value


def _number(value: object, path: tuple[str, ...], source: _Source) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise source.error(path, f"must be a number, 0 or more, not {value!r}")
    return float(value)


def _check_column(
    name: object, known: set[str], path: tuple[str, ...], source: _Source
) -> None:
    if name not in known:
        problem = f"{name!r} is none of {', '.join(sorted(known))}"
        raise source.error(path, problem)


def _columns(
    value: object,
    path: tuple[str, ...],
    source: _Source,
    known: set[str] | None = None,
) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise source.error(path, f"must be a list of columns, not {value!r}")
    for name in value:
        _check_column(name, known or set(_COLUMNS), path, source)
    return tuple(value)


def _tolerance(value: object, path: tuple[str, ...], source: _Source) -> Tolerance:
    table = _table(value, path, source)
    _check_keys(table, {item.name for item in fields(Tolerance)}, path, source)
    return Tolerance(
        **{key: _number(item, (*path, key), source) for key, item in table.items()}
    )


def _temperature(value: object, source: _Source) -> TemperatureRule:
    path = ("temperature",)
    table = _table(value, path, source)
    _check_keys(table, {item.name for item in fields(TemperatureRule)}, path, source)
    return TemperatureRule(
        **{key: _number(item, (*path, key), source) for key, item in table.items()}
    )


def _combine(
    value: object, path: tuple[str, ...], names: set[str], source: _Source
) -> CombineRule:
    table = _table(value, path, source)
    _check_keys(table, {item.name for item in fields(CombineRule)}, path, source)
    hours, pointing = (
        _number(table[key], (*path, key), source) if key in table else None
        for key in ("hours", "pointing")
    )
    return CombineRule(
        equal=_columns(table.get("equal", []), (*path, "equal"), source),
        within=_columns(table.get("within", []), (*path, "within"), source, names),
        hours=hours,
        loosely=_loosely(table, path, names, source),
        pointing=pointing,
    )


def _use(
    value: object, path: tuple[str, ...], names: set[str], source: _Source
) -> UseRule:
    table = _table(value, path, source)
    _check_keys(table, {item.name for item in fields(UseRule)}, path, source)
    rungs = table["rung"]
    if not isinstance(rungs, list) or not rungs:
        raise source.error((*path, "rung"), "must be one or more [[rung]] tables")
    return UseRule(
        rung=tuple(_rung(item, (*path, "rung"), names, source) for item in rungs),
        equal=_columns(table.get("equal", []), (*path, "equal"), source),
        within=_columns(table.get("within", []), (*path, "within"), source, names),
    )


def _rung(
    value: object, path: tuple[str, ...], names: set[str], source: _Source
) -> Rung:
    table = dict(_table(value, path, source))
    _check_keys(table, {item.name for item in fields(Rung)}, path, source)
    if table.get("level") not in {0, 1, 2, 3}:
        problem = f"must be 0, 1, 2 or 3, not {table.get('level')!r}"
        raise source.error((*path, "level"), problem)
    for key in ("days", "temperature"):
        if key in table:
            table[key] = _number(table[key], (*path, key), source)
    for key in ("same_night", "extrapolated"):
        if not isinstance(table.get(key, False), bool):
            raise source.error(
                (*path, key), f"must be true or false, not {table[key]!r}"
            )
    if "unconfirmed" in table:
        where = (*path, "unconfirmed")
        table["unconfirmed"] = _columns(table["unconfirmed"], where, source)
    return Rung(
        **{
            **table,
            "method": _method(table, path, source),
            "loosely": _loosely(table, path, names, source),
        }
    )


def _method(
    table: Mapping[str, Any], path: tuple[str, ...], source: _Source
) -> DarkMethod | None:
    """Read how a dark is taken to the exposure: darks only, and there always."""
    method = table.get("method")
    if "dark" not in path:
        if method is not None:
            raise source.error((*path, "method"), "is only for darks")
        return None
    if method not in list(DarkMethod):
        problem = f"must be one of {', '.join(DarkMethod)}, not {method!r}"
        raise source.error((*path, "method"), problem)
    return DarkMethod(method)


def _loosely(
    table: Mapping[str, Any],
    path: tuple[str, ...],
    names: set[str],
    source: _Source,
) -> dict[str, Tolerance]:
    """Read the tolerances that hold in one rule only."""
    path = (*path, "loosely")
    loosely = _table(table.get("loosely", {}), path, source)
    for key in loosely:
        _check_column(key, names - {TEMPERATURE}, (*path, key), source)
    return {
        key: _tolerance(item, (*path, key), source) for key, item in loosely.items()
    }
