"""Settings: TOML text in, frozen dataclasses out.

The types of a dataclass say what its settings may be: ``Annotated[float, Limit(...)]``
for numbers within limits, ``Literal`` and `StrEnum` for words, tuples for lists,
mappings and dataclasses for tables.  What is wrong is named with its file, its line,
what was found and what was expected.
"""

import math
import re
import tomllib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from autoreduce.errors import SettingsError

T = TypeVar("T")
KeyPath = tuple[str | int, ...]
"""Keys from the outermost table to a value; numbers count the tables of a list."""


class Limit(NamedTuple):
    """What a value must be besides its type, for `Annotated`."""

    expected: str
    """For people, after "expected"."""
    holds: Callable[[Any], bool]
    """Tells whether a value is so."""


NotNegative = Annotated[float, Limit("a number, 0 or more", lambda v: v >= 0)]


def one_of(names: Mapping[str, object] | frozenset[str]) -> Limit:
    """Limit a text to some names."""
    return Limit(f"one of {', '.join(sorted(names))}", lambda v: v in names)


@dataclass(frozen=True, slots=True)
class SettingsText:
    """The text that settings are read from, to say where a message belongs."""

    name: str
    """File, or what it is called."""
    text: str

    @classmethod
    def of_file(cls, path: Path, name: str | None = None) -> "SettingsText":
        """Read a file.

        Raises
        ------
        SettingsError
            If it cannot be read as text.
        """
        try:
            return cls(name or str(path), path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            msg = f"{name or path} cannot be read: {why}"
            raise SettingsError(msg) from error

    def table(self) -> dict[str, Any]:
        """Parse the text.

        Raises
        ------
        SettingsError
            If it is not valid TOML; the message names the line.
        """
        try:
            return tomllib.loads(self.text)
        except (ValueError, RecursionError) as error:
            msg = f"{self.name} is not valid TOML: {error}"
            raise SettingsError(msg) from error

    def error(self, path: KeyPath, problem: str) -> SettingsError:
        """Build the error about one key, with its line where it can be found."""
        line = self._line(path)
        where = f"{self.name}, line {line}" if line else self.name
        keys = ".".join(str(key) for key in path if isinstance(key, str))
        return SettingsError(
            f"{where}: {keys}: {problem}" if keys else f"{where}: {problem}"
        )

    def wrong(self, path: KeyPath, found: object, expected: str) -> SettingsError:
        """Build the error about a value that is not what was expected."""
        return self.error(path, f"expected {expected}, not {_shown(found)}")

    def _line(self, path: KeyPath) -> int | None:
        """Find the line of the last key of a path, after its table's header."""
        start, found, pattern = 0, None, re.compile("")
        for key in path:
            times = key if isinstance(key, int) else 1
            if isinstance(key, str):
                word = rf"(?m)(^|[\s{{\[.,])[\"']?{re.escape(key)}[\"']?\s*[\]=.]"
                pattern = re.compile(word)
            for _ in range(times):
                if match := pattern.search(self.text, start):
                    start = match.end() - 1
                    found = self.text.count("\n", 0, start) + 1
        return found


def build(
    kind: type[T],
    table: object,
    source: SettingsText,
    path: KeyPath = (),
    **given: object,
) -> T:
    """Build a dataclass from a table.

    Parameters
    ----------
    kind : type
        The dataclass.
    table : object
        What TOML gave for it.
    source : Source
        Where it was read.
    path : tuple, optional
        Keys that lead to the table.
    **given
        Fields that the table has no say in.

    Returns
    -------
    dataclass
        What the table does not say has the default of the dataclass.

    Raises
    ------
    SettingsError
        If a key is unknown or lacking, or a value is not what its type says.
    """
    if not isinstance(table, dict):
        raise source.wrong(path, table, "a table")
    hints: dict[str, Any] = _types(kind)  # type: ignore[arg-type]  # classes are hashable
    types = {name: hint for name, hint in hints.items() if name not in given}
    check_keys(table, types, source, path)
    values = {
        key: _value(types[key], value, source, (*path, key))
        for key, value in table.items()
    }
    needed = (f.name for f in fields(kind) if f.default is f.default_factory is MISSING)  # type: ignore[arg-type]  # dataclasses only
    if lacking := sorted(set(needed) - {*values, *given}):
        raise source.error((*path, lacking[0]), "is needed and not there")
    try:
        return kind(**values, **given)
    except ValueError as error:
        raise source.error(path, str(error)) from error


def check_keys(
    table: Mapping[str, object],
    known: Mapping[str, object] | frozenset[str],
    source: SettingsText,
    path: KeyPath = (),
) -> None:
    """Refuse a key that nobody would read; raises `SettingsError`."""
    for key in table:
        if key not in known:
            problem = f"unknown key; there are {', '.join(sorted(known))}"
            raise source.error((*path, key), problem)


@cache
def _types(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _value(hint: Any, value: object, source: SettingsText, path: KeyPath) -> object:  # noqa: ANN401, PLR0911 -- a type, or what typing makes of types; one return for each kind
    """Make of a value what a type says it is."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (hint,) = (part for part in parts if part is not NoneType)
        return _value(hint, value, source, path)
    if origin is Annotated:
        return _limited(parts, value, source, path)
    if origin in (tuple, frozenset):
        return _several(origin, parts, value, source, path)
    if origin is Mapping:
        return _mapping(parts, value, source, path)
    if not is_dataclass(hint):
        return _plain(hint, value, source, path)
    if isinstance(value, str) and hasattr(hint, "of_text"):
        return hint.of_text(value)
    return build(hint, value, source, path)  # type: ignore[arg-type]  # a class


def _limited(
    parts: tuple[Any, ...], value: object, source: SettingsText, path: KeyPath
) -> object:
    made = _value(parts[0], value, source, path)
    for limit in parts[1:]:
        if not limit.holds(made):
            raise source.wrong(path, value, limit.expected)
    return made


def _several(
    kind: type,
    parts: tuple[Any, ...],
    value: object,
    source: SettingsText,
    path: KeyPath,
) -> object:
    """Read a list: of any number of one type, or of so many of a type each."""
    if not isinstance(value, list):
        raise source.wrong(path, value, "a list")
    n_types = len(parts) if kind is tuple and parts[-1] is not Ellipsis else 0
    if n_types and len(value) != n_types:
        raise source.wrong(path, value, f"a list of {n_types} values")
    return kind(
        _value(parts[i] if n_types else parts[0], one, source, (*path, i + 1))
        for i, one in enumerate(value)
    )


def _mapping(
    parts: tuple[Any, ...], value: object, source: SettingsText, path: KeyPath
) -> dict[object, object]:
    if not isinstance(value, dict):
        raise source.wrong(path, value, "a table")
    made = {}
    for key, one in value.items():
        name = _value(parts[0], key, source, (*path, key))
        made[name] = _value(parts[1], one, source, (*path, key))
    return made


def _plain(hint: Any, value: object, source: SettingsText, path: KeyPath) -> object:  # noqa: ANN401 -- as above
    """Read a number, a text, a word of several, a pattern."""
    if get_origin(hint) is Literal:
        return _word(get_args(hint), value, source, path)
    if hint is float and _is_number(value):
        return _number(value, source, path)
    if hint is re.Pattern or get_origin(hint) is re.Pattern:
        return _pattern(value, source, path)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(str(_word(tuple(one.value for one in hint), value, source, path)))
    if hint in (Any, object) or (type(value) is hint):
        return value
    expected = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a text",
    }
    raise source.wrong(path, value, expected.get(hint, str(hint)))


def _number(value: object, source: SettingsText, path: KeyPath) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # a number, as was seen
    except OverflowError:
        number = math.nan
    if math.isnan(number):
        raise source.wrong(path, value, "a number")
    return number


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _word(
    words: tuple[object, ...], value: object, source: SettingsText, path: KeyPath
) -> object:
    if value not in words or isinstance(value, bool):
        raise source.wrong(path, value, f"one of {', '.join(map(str, words))}")
    return value


def _pattern(value: object, source: SettingsText, path: KeyPath) -> re.Pattern[str]:
    try:
        return re.compile(str(value))
    except re.error as error:
        problem = f"a regular expression ({error})"
        raise source.wrong(path, value, problem) from error


def _shown(value: object) -> str:
    """Write a value as TOML has it, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
