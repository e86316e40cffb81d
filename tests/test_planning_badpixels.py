"""Maps of bad pixels: which are planned, and from which masters."""

import pytest

from autoreduce.planning.badpixels import with_bad_pixels
from autoreduce.planning.plan import Action, Calibration, FrameInput, Plan, Task
from autoreduce.planning.recipe import load_recipe

SENSOR = {
    "instrume": "Camera",
    "naxis1": 64,
    "naxis2": 48,
    "xbinning": 1,
    "ybinning": 1,
}


def light(name, *, facts=SENSOR, **calibration):
    item = FrameInput(f"{name}.fit", Calibration(**calibration))
    return Task(f"calibrated/{name}.fit", Action.CALIBRATE, name, facts, (item,))


def plan_of(*lights):
    outputs = {output for task in lights for output in task.needs}
    return Plan(".", load_recipe(), lights, external=tuple(sorted(outputs)))


def maps(plan):
    tasks = with_bad_pixels(plan).tasks
    return {t.output: t.products for t in tasks if t.action is Action.BAD_PIXELS}


def test_lights_of_a_sensor_share_a_map_of_all_their_masters():
    plan = plan_of(
        light("a", bias="b.fits", dark="d60.fits", flat="R.fits"),
        light("b", dark="d120.fits", dark_fit="line.json", flat="R.fits"),
    )
    products = ("d60.fits", "R.fits", "d120.fits", "line.json")
    assert maps(plan) == {"masters/bad_pixels_1x1.fits": products}
    order = [task.action for task in with_bad_pixels(plan).tasks]
    assert order == [Action.BAD_PIXELS, Action.CALIBRATE, Action.CALIBRATE]


def test_each_binning_has_a_map_of_its_own():
    binned = {**SENSOR, "naxis1": 32, "naxis2": 24, "xbinning": 2, "ybinning": 2}
    plan = plan_of(light("a", flat="f1.fits"), light("b", facts=binned, flat="f2.fits"))
    assert maps(plan) == {
        "masters/bad_pixels_1x1.fits": ("f1.fits",),
        "masters/bad_pixels_2x2.fits": ("f2.fits",),
    }


@pytest.mark.parametrize(
    "masters",
    [
        {},
        {"bias": "b.fits"},
        {"flat": "f.fits", "cuts": (("f.fits", "[1:64,1:48]"),)},
        {"dark": "d.fits", "dark_fit": "l.json", "cuts": (("d.fits", "[1:64,1:48]"),)},
    ],
)
def test_without_masters_of_the_size_of_the_lights_there_is_no_map(masters):
    plan = plan_of(light("a", **masters))
    assert with_bad_pixels(plan) == plan
