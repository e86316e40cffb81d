import json
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.fits.jsontext import JsonWriter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def written(content, fields=vars):
    return "".join(JsonWriter(fields).pieces(content))


@given(st.dictionaries(st.text(), JSON))
def test_text_is_that_of_the_standard_library(content):
    assert written(content) == json.dumps(content, indent=1)


class Kind(StrEnum):
    """A text that is more than that."""

    DARK = "dark"


@dataclass
class Thing:
    """What JSON does not know."""

    kind: Kind
    parts: tuple = ()
    facts: dict = field(default_factory=dict)


def test_objects_are_taken_apart_and_shared_ones_written_in_every_place():
    facts = {"filter": "R", "exptime": 2.5, "nothing": None}
    inner = Thing(Kind.DARK, facts=facts)
    things = [Thing(Kind.DARK, (inner, 1, inner), facts) for _ in range(3)]
    content = {"version": 2, "things": things, "none": [], "one": things[0]}
    assert written(content) == json.dumps(content, indent=1, default=vars)


def test_what_is_made_while_it_is_written_is_not_mistaken_for_another():
    """Objects of short life get the place in memory of others before them."""
    content = {"all": [[[Thing(Kind.DARK, ([n],))]] for n in range(200)]}

    def fields(thing):
        return {"kind": thing.kind, "parts": [list(part) for part in thing.parts]}

    assert written(content, fields) == json.dumps(content, indent=1, default=fields)


def test_what_cannot_be_taken_apart_is_an_error():
    with pytest.raises(TypeError):
        written({"a": {1, 2}})
