"""A plan holds together, has an order, and survives being written down."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.errors import PlanError
from autoreduce.planning.plan import (
    Action,
    Calibration,
    DarkMethod,
    FrameInput,
    LedgerEntry,
    Plan,
    Task,
)
from autoreduce.planning.recipe import load_recipe, recipe_names


def make_task(output="bias.fits", action=Action.BIAS, **fields):
    return Task(output, action, **{"group": "g", "facts": {}, **fields})


def make_plan(*tasks, **fields):
    return Plan(**{"root": "/night", "recipe": load_recipe(), "tasks": tasks, **fields})


def test_masters_come_before_their_users():
    light = FrameInput("l.fits", Calibration(bias="bias.fits", flat="flat.fits"))
    flat = FrameInput("f.fits", Calibration(bias="bias.fits"))
    plan = make_plan(
        make_task("stack.fits", Action.STACK, products=("light.fits",)),
        make_task("light.fits", Action.CALIBRATE, frames=(light,)),
        make_task("flat.fits", Action.FLAT, frames=(flat,)),
        make_task("bias.fits"),
    )
    order = ["bias.fits", "flat.fits", "light.fits", "stack.fits"]
    assert list(plan.sorter().static_order()) == order


def test_a_frame_waits_for_all_its_masters_once():
    calibration = Calibration(bias="b", dark="d", dark_fit="fit", flat="f")
    task = make_task(
        frames=(FrameInput("1", calibration), FrameInput("2", calibration))
    )
    assert task.needs == ("b", "d", "fit", "f")


def test_two_tasks_cannot_make_one_product():
    with pytest.raises(PlanError, match=r"more than one task makes bias.fits"):
        make_plan(make_task(), make_task())


def test_a_master_that_nobody_makes_is_refused():
    with pytest.raises(PlanError, match=r"s.fits needs x.fits, which no task makes"):
        make_plan(make_task("s.fits", Action.STACK, products=("x.fits",)))


def test_tasks_that_wait_for_each_other_are_refused():
    with pytest.raises(PlanError, match="wait for each other"):
        make_plan(
            make_task("a", Action.STACK, products=("b",)),
            make_task("b", Action.STACK, products=("a",)),
        )


def test_a_task_is_found_by_its_output():
    plan = make_plan(make_task())
    assert plan.task("bias.fits") is plan.tasks[0]
    with pytest.raises(PlanError, match=r"no task of the plan makes flat.fits"):
        plan.task("flat.fits")


words = st.text(max_size=8)
numbers = st.none() | st.floats(-1e6, 1e6)
calibrations = st.builds(
    Calibration,
    overscan=st.none() | words,
    dark_method=st.none() | st.sampled_from(DarkMethod),
    dark_scale=numbers,
    dark_exptime=numbers,
)
frames = st.builds(
    FrameInput,
    file=words,
    calibration=calibrations,
    exptime=numbers,
    date_obs=st.none() | words,
    keep=st.booleans(),
    setup=words,
    level=st.none() | st.integers(0, 3),
    reason=words,
)
tasks = st.builds(
    Task,
    output=words,
    action=st.sampled_from(Action),
    group=words,
    facts=st.dictionaries(words, numbers | words | st.integers()),
    frames=st.lists(frames, max_size=3).map(tuple),
    level=st.integers(0, 3),
    missing=st.lists(words, max_size=2).map(tuple),
)
entries = st.builds(
    LedgerEntry,
    group=words,
    need=st.sampled_from(["bias", "dark", "flat"]),
    candidate=words,
    chosen=st.booleans(),
    level=st.none() | st.integers(0, 3),
)


@given(
    st.lists(tasks, max_size=4, unique_by=lambda task: task.output),
    st.lists(entries, max_size=3),
    st.sampled_from(recipe_names()),
    st.lists(words, max_size=2),
)
def test_a_plan_reads_back_as_it_was_written(tasks, ledger, recipe, notes):
    plan = make_plan(
        *tasks, ledger=tuple(ledger), recipe=load_recipe(recipe), notes=tuple(notes)
    )
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "not json"])
def test_text_that_is_no_plan_is_refused(text):
    with pytest.raises(PlanError, match="not a plan that autoreduce wrote"):
        Plan.from_json(text)


def test_a_plan_of_another_version_is_refused():
    fields = json.loads(make_plan().to_json()) | {"version": 99}
    with pytest.raises(PlanError, match="has version 99; this autoreduce reads 1"):
        Plan.from_json(json.dumps(fields))
