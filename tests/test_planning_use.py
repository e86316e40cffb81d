"""How a master serves frames: one value, and the sentence that is written from it."""

from dataclasses import FrozenInstanceError, asdict

import pytest

from autoreduce.planning.use import (
    NONE,
    DarkMethod,
    Use,
    is_absolute,
    is_planned,
    planned_text,
    stem,
)
from autoreduce.remarks import remark

DARK = "masters/dark_60s.fits"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (Use("bias", "masters/b.fits", same_night=True), "bias b, same night"),
        (
            Use("dark", DARK, 1, DarkMethod.SCALED, 0.5, 60.0, 30.0, days=2.0),
            "dark dark_60s scaled by 0.5, 2.0 d away",
        ),
        (
            Use("dark", DARK, 1, DarkMethod.FIT, None, 60.0, 30.0, by_hand=True),
            "dark dark_60s fitted to 30 s, chosen by hand",
        ),
        (
            Use("flat", "/lib/f.fits", 3, unconfirmed=("telescop",), from_library=True),
            "flat f, at an unknown time, telescope not confirmed, from the library",
        ),
        (
            Use("flat", "f.fits", days=0.5, cut="[1:9,1:9]"),
            "flat f, 12.0 h away, cut to [1:9,1:9]",
        ),
        (
            Use("bias", "b.fits", same_night=True, warmer=0.5),
            "bias b, same night, 0.5 degC warmer",
        ),
        (
            Use("bias", "b.fits", same_night=True, warmer=-0.52),
            "bias b, same night, 0.5 degC colder",
        ),
        (Use("flat", by_hand=True), "flat none, chosen by hand"),
        (Use("bias", held_by=DARK), "no bias, as dark dark_60s holds it"),
        (
            Use("flat", lack=remark("unlike-flat", found="R", expected="filter V")),
            "no flat: filter V wanted, there is R",
        ),
        (Use("flat"), ""),
    ],
)
def test_a_use_is_said_in_a_sentence(use, words):
    assert str(use) == words


def test_what_the_plan_chose_is_noted_and_what_the_observer_chose_is_not():
    uses = {
        "bias": Use("bias", "masters/b.fits", 0),
        "dark": Use("dark", DARK, 3, by_hand=True),
        "flat": Use("flat", lack=remark("no-flat", found="there are no flats")),
    }
    planned = planned_text(uses)
    assert planned == "bias=masters/b.fits"
    assert is_planned("bias", " masters/b.fits ", planned)
    assert not is_planned("dark", DARK, planned)
    assert not is_planned("dark", "masters/b.fits", planned)
    assert not is_planned("bias", "masters/b.fit", planned)
    uses["dark"] = Use("dark", "/my lib/d.fits", 0)
    planned = planned_text(uses)
    assert planned == "bias=masters/b.fits|dark=/my lib/d.fits"
    assert is_planned("bias", "masters/b.fits", planned)
    assert is_planned("dark", "/my lib/d.fits", planned)


def test_a_use_is_a_value_that_stays_as_it_is():
    use = Use("dark")
    assert {name: value for name, value in asdict(use).items() if value} == {
        "need": "dark",
        "scale": 1.0,
    }
    assert len({use, Use("dark")}) == 1
    with pytest.raises(FrozenInstanceError):
        use.output = "d.fits"


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("masters/flat_R.fits", "flat_R"),
        (" /lib/zebra.fits ", "zebra"),
        ("abell.2.fit", "abell.2.fit"),
        ("None", NONE),
        (" NONE ", NONE),
    ],
)
def test_a_master_is_named_by_its_stem(cell, name):
    assert stem(cell) == name


def test_a_path_from_the_root_is_of_a_library():
    assert is_absolute(" /lib/a.fits")
    assert not is_absolute("masters/a.fits")
