"""One builder from TOML to dataclasses: what is wrong is named with file and line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest

from autoreduce.errors import SettingsError
from autoreduce.settings import Limit, NotNegative, SettingsText, build, one_of


class Shape(StrEnum):
    """A choice of words."""

    ROUND = "round"
    LONG = "long"


@dataclass(frozen=True)
class Part:
    """A table, or a text."""

    name: str
    weight: NotNegative = 1.0

    @classmethod
    def of_text(cls, name: str) -> "Part":
        """Make a part of its name."""
        return cls(name.upper())


@dataclass(frozen=True)
class Thing:
    """One field of each kind."""

    size: tuple[int, float]
    shape: Shape = Shape.ROUND
    parts: tuple[Part, ...] = ()
    words: frozenset[str] = frozenset()
    look: re.Pattern[str] | None = None
    level: Literal[0, 1, 2] = 0
    good: bool = True
    colour: Annotated[str, one_of(frozenset({"red", "blue"}))] = "red"
    limits: Mapping[str, NotNegative] = field(default_factory=dict)
    even: Annotated[int, Limit("an even number", lambda n: n % 2 == 0)] = 2
    rest: Any = None

    def __post_init__(self) -> None:
        if self.size[0] > 99:
            msg = "too large"
            raise ValueError(msg)


def made(text: str) -> Thing:
    source = SettingsText("my.toml", text)
    return build(Thing, source.table(), source)


def test_every_kind_of_value_is_built():
    thing = made(
        """
        size = [3, 4]
        shape = "long"
        parts = ["a", { name = "b", weight = 2 }]
        words = ["x", "y"]
        look = "^a+$"
        level = 2
        good = false
        colour = "blue"
        limits = { low = 1, high = 2.5 }
        even = 4
        rest = [1, "two"]
        """
    )
    assert thing == Thing(
        size=(3, 4.0),
        shape=Shape.LONG,
        parts=(Part("A"), Part("b", 2.0)),
        words=frozenset({"x", "y"}),
        look=re.compile("^a+$"),
        level=2,
        good=False,
        colour="blue",
        limits={"low": 1.0, "high": 2.5},
        even=4,
        rest=[1, "two"],
    )
    assert isinstance(thing.size[1], float)


def test_what_is_not_said_has_its_default_and_what_is_given_is_not_read():
    source = SettingsText("my.toml", "weight = 3")
    part = build(Part, source.table(), source, name="given")
    assert part == Part("given", 3.0)
    own_name = SettingsText("my.toml", "name = 'other'")
    with pytest.raises(SettingsError, match="name: unknown key; there are weight"):
        build(Part, own_name.table(), own_name, name="given")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size = [3, 4", "my.toml is not valid TOML: "),
        ("shape = 'long'", "my.toml: size: is needed and not there"),
        ("size = 3", "my.toml, line 1: size: expected a list, not 3"),
        ("size = [3]", r"line 1: size: expected a list of 2 values, not \[3\]"),
        ("size = [3.5, 1]", "line 1: size: expected a whole number, not 3.5"),
        ("size = [true, 1]", "size: expected a whole number, not true"),
        ("size = [100, 1]", "my.toml: too large|my.toml, line .*too large"),
        ("\nshape = 'flat'", "line 2: shape: expected one of round, long, not 'flat'"),
        ("look = '('", r"line 1: look: expected a regular expression \(.*, not '\('"),
        ("level = 3", "level: expected one of 0, 1, 2, not 3"),
        ("level = true", "level: expected one of 0, 1, 2, not true"),
        ("good = 1", "good: expected true or false, not 1"),
        ("colour = 'green'", "colour: expected one of blue, red, not 'green'"),
        ("even = 3", "even: expected an even number, not 3"),
        ("limits = 1", "limits: expected a table, not 1"),
        ("[limits]\nlow = -1", "line 2: limits.low: expected a number, 0 or more, "),
        ("wait = 1", "line 1: wait: unknown key; there are colour, even"),
        (
            "[[parts]]\nname = 'a'\n[[parts]]\nname = 'b'\nwait = 1",
            "line 5: parts.wait: unknown key; there are name, weight",
        ),
        (
            "[[parts]]\nname = 'a'\n[[parts]]\nname = 7",
            "line 4: parts.name: expected a text, not 7",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message):
    with pytest.raises(SettingsError, match=message):
        made(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"rules .*none.toml cannot be read"):
        SettingsText.of_file(tmp_path / "none.toml", f"rules {tmp_path / 'none.toml'}")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"odd.toml cannot be read"):
        SettingsText.of_file(tmp_path / "odd.toml")


def test_a_long_value_is_shortened():
    with pytest.raises(SettingsError, match=r"not 'a+\.\.\.$"):
        made(f"good = '{'a' * 500}'")
