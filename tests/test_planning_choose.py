"""Which master serves: the ladder's, unless the observer names another."""

import numpy as np
import pandas as pd
import pytest
from pairs import RULES, make_masters, make_row, make_setup

from autoreduce.errors import TableError
from autoreduce.frames.schema import make_frame_table
from autoreduce.planning import choose
from autoreduce.planning.candidates import LIBRARY
from autoreduce.planning.choose import serve
from autoreduce.planning.criteria import Settings
from autoreduce.planning.lacks import Table
from autoreduce.planning.planner import make_plan
from autoreduce.planning.use import BY_HAND, DarkMethod

LATER = {"night": "2024-03-03", "date_obs": "2024-03-03T20:00:00"}


def served(need, *changes, cell=None, light=None, **settings):
    setup = make_setup(**(light or {}))
    cells = {one: pd.array([cell if one == need else None], "string") for one in
             ("bias", "dark", "flat")}  # fmt: skip
    setup = setup.assign(file="l.fit", **cells)
    masters = make_masters(need, *changes)
    return serve(need, setup, masters, RULES, Settings(**settings), Table())


def test_the_ladder_decides_and_the_use_tells_how():
    (use,) = served("flat", {"filter": "V"}, LATER).uses
    assert (use.output, use.level, use.same_night, use.days) == (
        "b.fits",
        1,
        False,
        2.0,
    )
    assert not use.by_hand
    assert use.method is None


def test_a_dark_is_exact_or_taken_to_the_exposure():
    (use,) = served("dark", {}).uses
    assert (use.method, use.scale, use.level) == (DarkMethod.EXACT, 1.0, 0)
    (use,) = served("dark", {"exptime": 240.0}).uses
    assert (use.method, use.scale, use.level) == (DarkMethod.SCALED, 0.25, 3)
    (use,) = served("dark", {"exptime": 240.0, "fit": "f.json"}).uses
    assert (use.method, use.fit, use.wanted) == (DarkMethod.FIT, "f.json", 60.0)


def test_an_unknown_time_is_none():
    light = {"night": None, "date_obs": None}
    (use,) = served("bias", {}, light=light).uses
    assert use.days is None


def test_where_a_master_stands_and_what_is_unconfirmed_is_told():
    (use,) = served("flat", {"telescop": None, "origin": LIBRARY}).uses
    assert use.from_library
    assert use.unconfirmed == ("telescop",)
    assert not served("flat", {}).uses[0].from_library


def test_where_nothing_serves_the_lack_is_told():
    served_by_none = served("flat", {"filter": "V"})
    (use,) = served_by_none.uses
    assert (use.output, use.lack.code, use.lack.found) == (None, "unlike-flat", "V")
    assert not any(entry.chosen for entry in served_by_none.verdicts)


def test_the_observers_choice_overrules_the_ladder_and_the_ledger():
    found = served("flat", {}, LATER, cell="b")
    (use,) = found.uses
    assert (use.output, use.level, use.by_hand) == ("b.fits", 1, True)
    assert [entry.chosen for entry in found.verdicts] == [False, True]
    assert {entry.criterion for entry in found.verdicts} == {BY_HAND}


def test_a_choice_that_the_ladder_shares_is_the_ladders():
    (use,) = served("flat", {}, LATER, cell="a.fits").uses
    assert not use.by_hand
    assert use.same_night


def test_a_refused_master_may_be_chosen_at_the_last_level():
    (use,) = served("flat", {"filter": "V"}, cell="a").uses
    assert (use.output, use.level) == ("a.fits", 3)


def test_without_a_master_by_hand():
    found = served("flat", {}, cell="none")
    (use,) = found.uses
    assert (use.output, use.by_hand) == (None, True)
    assert not found.verdicts[0].chosen
    assert served("flat", {"filter": "V"}, cell="none").uses[0].lack is not None


def test_a_larger_master_chosen_by_hand_is_cut():
    whole = {"naxis1": 100, "naxis2": 50, "xorgsubf": 0, "yorgsubf": 0}
    part = {"naxis1": 40, "naxis2": 20, "xorgsubf": 10, "yorgsubf": 5}
    (use,) = served("bias", whole, part, light=part, cell="a").uses
    assert (use.output, use.cut) == ("a.fits", "[11:50,6:25]")


def test_darks_by_hand_keep_their_exposure_where_the_recipe_says_so():
    found = served("dark", {"exptime": 240.0}, cell="a", other_exposures=False)
    assert found.uses[0].method is DarkMethod.EXACT
    assert served("dark", {"exptime": 30.0}, cell="a").uses[0].scale == 2.0


def test_a_master_that_is_not_made_is_refused():
    with pytest.raises(TableError, match="flat names c, which is not made"):
        served("flat", {}, cell="c")


def test_each_setup_has_its_own_part_of_the_ledger():
    two = pd.concat([make_setup(), make_setup(filter="V")], ignore_index=True)
    none = pd.array([None, None], "string")
    two = two.assign(
        setup=["x", "y"], file="l.fit", bias=none, dark=none,
        flat=pd.array([None, "a"], "string"),
    )  # fmt: skip
    masters = make_masters("flat", {}, {"filter": "V"})
    found = serve("flat", two, masters, RULES, Settings(), Table())
    assert [use.output for use in found.uses] == ["a.fits", "a.fits"]
    chosen = [
        (entry.setup, entry.candidate) for entry in found.verdicts if entry.chosen
    ]
    assert chosen == [("x", "a.fits"), ("y", "a.fits")]


def test_setups_are_decided_alike_however_many_are_judged_at_once(monkeypatch):
    lights = [make_setup(filter=name) for name in "RVRBV"]
    setups = pd.concat(lights, ignore_index=True)
    none = pd.array([None] * 5, "string")
    setups = setups.assign(
        setup=list("abcde"), file="l.fit", bias=none, dark=none,
        flat=pd.array([None, None, "b", None, "none"], "string"),
    )  # fmt: skip
    masters = make_masters("flat", {}, {"filter": "V"}, LATER.copy())
    asked = ("flat", setups, masters, RULES, Settings(), Table())
    whole = serve(*asked)
    monkeypatch.setattr(choose, "_PAIRS", 6)
    assert serve(*asked) == whole
    assert [use.output for use in whole.uses] == [
        "a.fits", "b.fits", "b.fits", None, None
    ]  # fmt: skip


def months(rng):
    """Describe nights of which some lack masters, and frames that leave things unsaid."""
    rows = []
    for n in range(20):
        night = f"2024-03-{n + 1:02d}"
        gain = rng.choice([100.0, 200.0])
        for kind in ("bias", "dark", "flat", "light", "light"):
            if kind != "light" and rng.random() < 0.4:
                continue
            untold = rng.random() < 0.15
            row = make_row(
                file=f"{night}/{len(rows)}.fits",
                imagetyp=kind,
                night=None if rng.random() < 0.1 else night,
                date_obs=f"{night}T{20 + len(rows) % 4}:00:00",
                gain=None if untold else gain,
                exptime={"bias": 0.0, "flat": 2.0}.get(kind, 60.0),
                filter=rng.choice(list("RV")) if kind in ("flat", "light") else None,
                ccd_temp=rng.choice([-20.0, -21.5, -25.0]),
                set_temp=None,
            )
            rows.append(row)
    return make_frame_table(rows)


@pytest.mark.parametrize("seed", range(6))
def test_masters_of_their_own_night_serve_alike_whatever_they_are_held_against(
    seed, monkeypatch
):
    frames = months(np.random.default_rng(seed))
    expected = make_plan(frames)
    assert sum(use.level == 0 for uses in expected.uses.values()
               for use in uses.values()) > 5  # fmt: skip
    monkeypatch.setattr(choose, "_PAIRS", 1)
    monkeypatch.setattr(choose, "_NIGHTS", 2)
    monkeypatch.setattr(choose, "_NEAR_NIGHTS", 1)
    found = make_plan(frames)
    assert found.uses == expected.uses
    assert found.tasks == expected.tasks
    # Of other nights only those are told that are near.
    assert len(found.verdicts) < len(expected.verdicts)
    assert _chosen(found) == _chosen(expected)


def _chosen(plan):
    return {(one.setup, one.candidate) for one in plan.verdicts if one.chosen}
