"""A plan holds together, has an order, and survives being written down."""

import json

import pytest

from autoreduce.errors import PlanError
from autoreduce.planning.plan import (
    PLAN_VERSION,
    Action,
    Calibration,
    FrameInput,
    Plan,
    Task,
    Verdict,
)
from autoreduce.planning.recipe import load_recipe
from autoreduce.planning.use import Use
from autoreduce.remarks import remark


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


def test_a_plan_is_written_down_with_words_for_people():
    lack = remark("unlike-flat", found="R", expected="filter V")
    light = FrameInput("l.fits", setup="light", level=1)
    task = make_task("light.fits", Action.CALIBRATE, frames=(light,), missing=(lack,))
    uses = {"light": {"flat": Use("flat", lack=lack)}}
    verdict = Verdict("light", "flat", "r.fits", chosen=False, level=None)
    plan = make_plan(
        task, uses=uses, verdicts=(verdict,), notes=(remark("single-light", found="l"),)
    )
    fields = json.loads(plan.to_json())
    assert fields["version"] == PLAN_VERSION
    assert fields["tasks"][0]["missing"][0]["text"] == (
        "no flat: filter V wanted, there is R"
    )
    assert fields["uses"]["light"]["flat"]["lack"]["code"] == "unlike-flat"
    assert fields["verdicts"][0]["candidate"] == "r.fits"
    assert fields["notes"][0]["text"].endswith("not stacked: l")
    assert fields["recipe"]["name"] == "default"
