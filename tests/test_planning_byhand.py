"""Masters that the observer names: found by path or name, taken as far as is right."""

import pandas as pd
import pytest

from autoreduce.errors import TableError
from autoreduce.planning.byhand import (
    chosen_output,
    is_by_hand,
    overruled,
    use_by_hand,
)
from autoreduce.planning.plan import Verdict
from autoreduce.planning.rules import Tolerance
from autoreduce.planning.use import BY_HAND, DarkMethod

SAME = Tolerance(absolute=0.05, relative=0.001)
OUTPUTS = ("masters/dark_60s.fits", "masters/dark_120s.fits", "/lib/dark_60s.fits")


def make_setup(cell="dark_60s", **facts):
    known = {"naxis1": 100, "naxis2": 50, "xbinning": 1, "ybinning": pd.NA}
    frames = {"file": "l.fit", "exptime": 60.0, "has_bias": True}
    return {**known, **frames, "dark": cell, **facts}


def make_master(output="masters/dark_120s.fits", **facts):
    known = {"naxis1": 100, "naxis2": 50, "xbinning": 1, "ybinning": 1}
    dark = {"exptime": 120.0, "keeps_bias": False, "fit": None, "cut": None}
    return {**known, **dark, "output": output, **facts}


@pytest.mark.parametrize(
    ("cell", "planned", "by_hand"),
    [
        (None, None, False),
        ("  ", None, False),
        ("dark_60s", None, True),
        ("masters/a.fits", "dark=masters/a.fits", False),
        ("masters/a.fits", "bias=masters/a.fits", True),
        ("masters/b.fits", "bias=b|dark=masters/a.fits", True),
    ],
)
def test_a_cell_is_the_observers_unless_a_plan_wrote_it(cell, planned, by_hand):
    assert is_by_hand("dark", cell, planned) == by_hand


@pytest.mark.parametrize(
    ("cell", "output"),
    [
        ("none", None),
        ("None", None),
        ("masters/dark_120s.fits", "masters/dark_120s.fits"),
        ("dark_120s", "masters/dark_120s.fits"),
        ("dark_60s", "masters/dark_60s.fits"),  # not the library's of the same name
        ("/lib/dark_60s.fits", "/lib/dark_60s.fits"),
    ],
)
def test_a_master_is_found_by_path_or_name(cell, output):
    masters = [make_master(one) for one in OUTPUTS]
    assert chosen_output("dark", make_setup(cell), masters) == output


def test_a_name_that_is_not_there_is_refused_with_the_nearest():
    masters = [make_master(one) for one in OUTPUTS]
    with pytest.raises(TableError, match=r"l\.fit: dark names dark_61s.*dark_60s"):
        chosen_output("dark", make_setup("dark_61s"), masters)
    with pytest.raises(TableError, match="none is made"):
        chosen_output("dark", make_setup("dark_61s"), [])


def used(setup=(), master=(), *, level=1, exposure=SAME):
    setup, master = make_setup(**dict(setup)), make_master(**dict(master))
    return use_by_hand("dark", setup, master, level, exposure)


@pytest.mark.parametrize(
    ("setup", "master", "method"),
    [
        ({}, {}, DarkMethod.SCALED),
        ({}, {"fit": "fit.json"}, DarkMethod.FIT),
        ({}, {"exptime": 60.05}, DarkMethod.EXACT),
        ({}, {"exptime": 60.07}, DarkMethod.SCALED),
        ({"exptime": 1000.0}, {"exptime": 1001.0}, DarkMethod.EXACT),
        ({}, {"exptime": 0.0}, DarkMethod.EXACT),
        ({}, {"exptime": None}, DarkMethod.EXACT),
        ({"exptime": None}, {}, DarkMethod.EXACT),
        ({"has_bias": False}, {}, DarkMethod.EXACT),
        ({}, {"keeps_bias": True}, DarkMethod.EXACT),
    ],
)
def test_a_dark_is_taken_to_the_exposure_as_far_as_that_is_right(setup, master, method):
    assert used(setup, master).method is method


def test_darks_serve_as_they_are_where_the_recipe_keeps_them_so():
    assert used(exposure=None).method is DarkMethod.EXACT


def test_a_choice_has_the_level_of_the_ladder_or_the_last():
    assert used().level == 1
    assert used(level=0).level == 0
    assert used(level=None).level == 3
    assert used().by_hand
    assert used().scale == 0.5


def test_going_without_has_no_level():
    use = use_by_hand("flat", make_setup(), None, None, SAME)
    assert (use.output, use.level, use.by_hand) == (None, None, True)


def test_a_master_of_another_size_is_refused_unless_it_is_cut():
    larger = {"naxis1": 200}
    with pytest.raises(TableError, match=r"whose naxis1 is 200, not 100"):
        used(master=larger)
    assert used(master={**larger, "cut": "[1:100,1:50]"}).cut == "[1:100,1:50]"
    assert used({"naxis1": None}, larger).output == "masters/dark_120s.fits"


def test_the_ledger_says_that_the_observer_decided():
    ladder = [
        Verdict("s", "dark", "a", True, 0),
        Verdict("s", "dark", "b", False, None, "exposure", "60 s", "30 s"),
        Verdict("s", "dark", "c", False, 1, "level", "level 0", "level 1"),
    ]
    assert overruled(ladder, "b") == (
        Verdict("s", "dark", "a", False, 0, BY_HAND),
        Verdict("s", "dark", "b", True, 3, BY_HAND),
        Verdict("s", "dark", "c", False, 1, "level", "level 0", "level 1"),
    )
    (first, *_) = overruled(ladder, "a")
    assert (first.chosen, first.level) == (True, 0)
    assert not any(entry.chosen for entry in overruled(ladder, None))
