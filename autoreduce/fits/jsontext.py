"""JSON of many like objects, written piece by piece."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

_LEAVES = (str, int, float, type(None))
_SHARED_FROM = 3
"""Depth from which an object may stand in many others, and is written down once."""


class JsonWriter:
    """Writes what `json.dumps` writes with an indent of 1, ten times as fast.

    `json.dumps` leaves its compiled encoder aside where it is to indent.  Here that
    encoder writes what holds no other object, with a separator that indents.

    Parameters
    ----------
    fields : callable
        Takes an object apart that is none of JSON's, into a mapping.  What an object
        holds must not change while it is written.
    """

    def __init__(self, fields: Callable[[Any], Mapping[str, Any]]) -> None:
        self._fields = fields
        self._encoders: dict[int, json.JSONEncoder] = {}
        self._known: dict[tuple[int, int], tuple[object, str]] = {}

    def pieces(self, content: Mapping[str, Any]) -> Iterator[str]:
        """Yield the text of a mapping; of long values in it item by item."""
        before = "{\n "
        for name, value in content.items():
            yield f"{before}{json.dumps(name)}: "
            before = ",\n "
            if isinstance(value, list | tuple) and value:
                yield from self._items(value)
            else:
                yield self._text(value, 1)
        yield "\n}" if content else "{}"

    def _items(self, items: Sequence[Any]) -> Iterator[str]:
        before = "[\n  "
        for item in items:
            yield before
            yield self._text(item, 2)
            before = ",\n  "
        yield "\n ]"

    def _text(self, value: object, depth: int) -> str:
        """Write a value; what is inside of it begins `depth` + 1 blanks from the left."""
        if isinstance(value, _LEAVES):
            return self._encoder(depth).encode(value)
        known = self._known.get((id(value), depth))
        if known is not None:
            return known[1]
        if isinstance(value, list | tuple):
            return self._bracketed("[]", self._list_parts(value, depth), depth)
        parts = self._dict_parts(
            value if isinstance(value, dict) else self._fields(value), depth
        )
        text = self._bracketed("{}", parts, depth)
        if depth >= _SHARED_FROM:
            # With the object, so that no other one can get its number.
            self._known[id(value), depth] = value, text
        return text

    def _list_parts(self, items: Sequence[Any], depth: int) -> Iterator[str]:
        for is_leaf, run in groupby(items, lambda item: isinstance(item, _LEAVES)):
            if is_leaf:
                yield self._encoder(depth).encode(list(run))[1:-1]
            else:
                yield from (self._text(item, depth + 1) for item in run)

    def _dict_parts(self, members: Mapping[str, Any], depth: int) -> Iterator[str]:
        encoder = self._encoder(depth)
        leaves: dict[str, Any] = {}
        for name, value in members.items():
            if isinstance(value, _LEAVES):
                leaves[name] = value
                continue
            if leaves:
                yield encoder.encode(leaves)[1:-1]
                leaves = {}
            yield f"{encoder.encode(name)}: {self._text(value, depth + 1)}"
        if leaves:
            yield encoder.encode(leaves)[1:-1]

    def _encoder(self, depth: int) -> json.JSONEncoder:
        if depth not in self._encoders:
            separators = (_line(depth + 1, ","), ": ")
            self._encoders[depth] = json.JSONEncoder(separators=separators)
        return self._encoders[depth]

    def _bracketed(self, brackets: str, parts: Iterator[str], depth: int) -> str:
        inside = _line(depth + 1, ",").join(parts)
        if not inside:
            return brackets
        return f"{brackets[0]}{_line(depth + 1)}{inside}{_line(depth)}{brackets[1]}"


def _line(depth: int, end: str = "") -> str:
    return f"{end}\n{' ' * depth}"
