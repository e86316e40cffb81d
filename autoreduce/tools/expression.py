"""Expressions of images and numbers, read by a small parser of our own.

The grammar, in which names of images may hold any character, so that operators
stand between blanks (or are words of their own on the command line)::

    statement = sum ["=" sum]
    sum       = product {("+" | "-") product}
    product   = signed {("x" | "*" | "/") signed}
    signed    = "-" signed | operand
    operand   = number | image {image} | "(" sum ")"
"""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoreduce.errors import InputError


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written; without a decimal point it is an integer."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Images:
    """One image, or a list of images that is worked through one by one."""

    patterns: tuple[str, ...]
    """Names and globs, as `autoreduce.tools.filelists.expand` takes them."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands and what is done with them."""

    operator: str
    """One of ``+ - x / =``."""
    left: "Node"
    right: "Node"


Node = Number | Images | Operation

_SAME = {"+": "+", "-": "-", "x": "x", "X": "x", "*": "x", "/": "/", "=": "="}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # operator, number, image, ( or )
    text: str


def parse(words: Sequence[str]) -> Node:
    """Read an expression.

    Parameters
    ----------
    words : sequence of str
        The words of a command line.  A word that is not a file and holds an
        operator between blanks is itself an expression.

    Returns
    -------
    Node
        The expression as a tree.

    Raises
    ------
    InputError
        If the words are not an expression.
    """
    tokens = [token for word in words for token in _tokens(word)]
    parser = _Parser(tokens)
    node = parser.statement()
    if parser.here is not None:
        msg = f"expected an operator (+ - x / =) {parser.where()}"
        raise InputError(msg)
    return node


def leaves(node: Node) -> Iterator[Images]:
    """Yield the images of an expression from left to right."""
    if isinstance(node, Images):
        yield node
    elif isinstance(node, Operation):
        yield from leaves(node.left)
        yield from leaves(node.right)


def _tokens(word: str) -> Iterator[_Token]:
    if Path(word).exists() or not _is_expression(word):
        yield from _word_tokens(word)
        return
    try:
        parts = shlex.split(word)
    except ValueError as error:
        msg = f"cannot read {word!r}: {error}"
        raise InputError(msg) from error
    for part in parts:
        yield from _word_tokens(part)


def _is_expression(word: str) -> bool:
    parts = word.split()
    return len(parts) > 1 and any(part in _SAME for part in parts)


def _word_tokens(word: str) -> Iterator[_Token]:
    """Yield a word without the brackets around it: ``(a(1).fit`` is ( and a(1).fit."""
    if word in _SAME:
        yield _Token("operator", _SAME[word])
        return
    while word.startswith("(") and not Path(word).exists():
        yield _Token("(", "(")
        word = word[1:]
    closing = 0
    while word.endswith(")") and word.count(")") > word.count("("):
        closing += 1
        word = word[:-1]
    if word:
        number = _NUMBER.fullmatch(word) and not Path(word).exists()
        yield _Token("number" if number else "image", word)
    for _ in range(closing):
        yield _Token(")", ")")


class _Parser:
    """The rules of the grammar, one method each, over a list of tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._index = 0

    @property
    def here(self) -> _Token | None:
        return self._tokens[self._index] if self._index < len(self._tokens) else None

    def where(self) -> str:
        before = " ".join(token.text for token in self._tokens[: self._index])
        found = f"found {self.here.text}" if self.here else "found the end"
        return f"after {before!r}, {found}" if before else f"first, {found}"

    def _take(self, kind: str, texts: str = "") -> str | None:
        token = self.here
        if token is None or token.kind != kind or (texts and token.text not in texts):
            return None
        self._index += 1
        return token.text

    def statement(self) -> Node:
        node = self._sum()
        if self._take("operator", "="):
            return Operation("=", node, self._sum())
        return node

    def _sum(self) -> Node:
        node = self._product()
        while operator := self._take("operator", "+-"):
            node = Operation(operator, node, self._product())
        return node

    def _product(self) -> Node:
        node = self._signed()
        while operator := self._take("operator", "x/"):
            node = Operation(operator, node, self._signed())
        return node

    def _signed(self) -> Node:
        if self._take("operator", "-"):
            return Operation("-", Number(0), self._signed())
        return self._operand()

    def _operand(self) -> Node:
        if self._take("("):
            node = self._sum()
            if not self._take(")"):
                msg = f"expected ) {self.where()}"
                raise InputError(msg)
            return node
        if text := self._take("number"):
            return Number(float(text) if set(text) & set(".eE") else int(text))
        images = []
        while image := self._take("image"):
            images.append(image)
        if not images:
            msg = f"expected an image or a number {self.where()}"
            raise InputError(msg)
        return Images(tuple(images))


Kind = tuple[int, int] | np.dtype[np.floating]
"""What a value can be: whole numbers from lowest to highest, or a float type."""

_INT64 = np.iinfo(np.int64)
_WHOLE = ("uint8", "int16", "uint16", "int32", "uint32", "int64")
_EXACT_IN_FLOAT32 = 2**24


def kind_of_type(dtype: np.dtype[np.generic]) -> Kind:
    """Return what an image of this type can hold."""
    if dtype.kind in "iu" and dtype != np.uint64:
        limits = np.iinfo(dtype.name)
        return int(limits.min), int(limits.max)
    return np.dtype(np.float32 if dtype in (np.float32, np.bool_) else np.float64)


def kind_of(node: Node, kinds: Mapping[Images, Kind]) -> Kind:
    """Return what the value of an expression can be, so that nothing wraps around.

    Whole numbers stay whole where their lowest and highest possible values fit into
    64 bits; a quotient, and everything that meets a float, is a float.
    """
    if isinstance(node, Number):
        if isinstance(node.value, float):
            return _kind_of_float(node.value)
        return _bounded(node.value, node.value)
    if isinstance(node, Images):
        return kinds[node]
    left, right = kind_of(node.left, kinds), kind_of(node.right, kinds)
    if node.operator == "/" or not (
        isinstance(left, tuple) and isinstance(right, tuple)
    ):
        return np.result_type(_float_kind(left), _float_kind(right))
    ends = _ends(node.operator, left, right)
    return _bounded(min(ends), max(ends))


def _kind_of_float(value: float) -> np.dtype[np.floating]:
    """Return the type of a number: single precision where it holds a whole one."""
    with np.errstate(over="ignore"):
        single = float(np.float32(value))
    is_held = math.isfinite(single) and (single == value or not value.is_integer())
    return np.dtype(np.float32 if is_held else np.float64)


def factor_of(node: Node) -> float:
    """Return what an expression multiplies its leftmost image by, without its sign.

    A flat, as any other image, is no factor: it has unit level.
    """
    factor = abs(_factor(node)) if _number_of(node) is None else 1.0
    return factor if math.isfinite(factor) and factor else 1.0


def _factor(node: Node) -> float:
    """Return the number that an expression is, or that it multiplies images by."""
    number = _number_of(node)
    if number is not None or not isinstance(node, Operation):
        return 1.0 if number is None else number
    if node.operator in "x/":
        left, right = _factor(node.left), _factor(node.right)
        return left * right if node.operator == "x" else left / (right or math.nan)
    if node.operator == "=":
        return 1.0
    inner = node.left if _number_of(node.left) is None else node.right
    return _factor(inner)


def _number_of(node: Node) -> float | None:
    """Return the value of an expression without images; None if there are any."""
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Images):
        return None
    left, right = _number_of(node.left), _number_of(node.right)
    if left is None or right is None:
        return None
    if node.operator == "x":
        return left * right
    if node.operator == "/":
        return left / right if right else math.nan
    return left - right if node.operator == "-" else left + right


def _ends(
    operator: str, left: tuple[int, int], right: tuple[int, int]
) -> tuple[int, ...]:
    if operator == "+":
        return left[0] + right[0], left[1] + right[1]
    if operator == "-":
        return left[0] - right[1], left[1] - right[0]
    if operator == "x":
        return tuple(a * b for a in left for b in right)
    return left + right


def _bounded(low: int, high: int) -> Kind:
    if low < _INT64.min or high > _INT64.max:
        return np.dtype(np.float64)
    return low, high


def _float_kind(kind: Kind) -> np.dtype[np.floating]:
    if isinstance(kind, np.dtype):
        return kind
    small = max(abs(kind[0]), abs(kind[1])) <= _EXACT_IN_FLOAT32
    return np.dtype(np.float32 if small else np.float64)


def storage_type(kind: Kind) -> np.dtype[np.generic]:
    """Return the smallest type of a FITS image that holds every possible value."""
    if isinstance(kind, np.dtype):
        return kind
    return next(
        np.dtype(name)
        for name in _WHOLE
        if np.iinfo(name).min <= kind[0] and kind[1] <= np.iinfo(name).max
    )
