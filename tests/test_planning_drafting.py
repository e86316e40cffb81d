"""The tasks of a plan: what each is made of, how frames are calibrated, in what order."""

import pandas as pd
import pytest
from planned_nights import plan_of

from autoreduce.errors import SettingsError
from autoreduce.fits.amplifiers import Amplifier
from autoreduce.planning.drafting import by_rows, without_crosstalk
from autoreduce.planning.plan import Action, Calibration, FrameInput
from autoreduce.planning.recipe import Crosstalk
from autoreduce.planning.use import DarkMethod

NIGHT = ("bias", "bias", "dark", "dark", "flatdark", "flat", "flat", "light", "light")
LIGHT = "stacks/light_M13_R_60s_1x1.fits"


def made(plan, action):
    return [task for task in plan.tasks if task.action is action]


def test_a_whole_night_is_drafted_masters_first():
    plan = plan_of(*NIGHT)
    assert [task.output for task in plan.tasks] == [
        "masters/bias_1x1_m20C.fits",
        "masters/dark_60s_1x1_m20C.fits",
        "masters/flatdark_2s_1x1_m20C.fits",
        "masters/flat_R_1x1.fits",
        "masters/dark_current_1x1_m20C.json",
        "calibrated/07.fit",
        "calibrated/08.fit",
        "registration/M13.json",
        LIGHT,
    ]


def test_frames_are_calibrated_by_what_serves_their_setup():
    plan = plan_of(*NIGHT)
    first, second = made(plan, Action.CALIBRATE)
    (frame,) = first.frames
    assert frame.calibration == Calibration(
        bias="masters/bias_1x1_m20C.fits",
        dark="masters/dark_60s_1x1_m20C.fits",
        dark_method=DarkMethod.EXACT,
        dark_scale=1.0,
        dark_exptime=60.0,
        flat="masters/flat_R_1x1.fits",
    )
    assert frame.calibration is second.frames[0].calibration  # shared, not copied
    assert (frame.file, frame.exptime, frame.level) == ("07.fit", 60.0, 0)
    assert frame.date_obs == "2024-03-01T20:21:00+00:00"
    assert frame.ccd_temp == -20.0
    assert (frame.egain, frame.keep) == (None, False)
    assert first.facts["object"] == "M13"
    assert (first.facts["naxis1"], first.facts["exptime"]) == (100, 60.0)
    assert isinstance(first.facts["naxis1"], int)
    assert first.facts["gain"] is None


def test_lights_without_a_flat_are_told_the_gain_by_that_of_another_filter():
    blue = ("flat", {"filter": "B"})
    plan = plan_of(*NIGHT, blue, blue, blue, ("light", {"filter": "V"}))
    *own, (lone,) = (task.frames for task in made(plan, Action.CALIBRATE))
    assert {item.gain_flat for (item,) in own} == {None}
    assert lone.calibration.flat is None
    assert lone.gain_flat == "masters/flat_B_1x1.fits"  # of three flats, not two
    assert lone.gain_flat in plan.task("calibrated/12.fit").needs


@pytest.mark.parametrize(
    "light", [{"gain": 100.0}, {"xbinning": 2, "ybinning": 2}, {"instrume": "OTHER"}]
)
def test_the_gain_of_another_setting_is_not_that_of_a_light(light):
    plan = plan_of(*NIGHT, ("light", {"filter": "V", **light}))
    *_, (lone,) = (task.frames for task in made(plan, Action.CALIBRATE))
    assert lone.gain_flat is None


def test_bias_frames_are_taken_as_they_are():
    (task,) = made(plan_of(*NIGHT), Action.BIAS)
    assert [item.file for item in task.frames] == ["00.fit", "01.fit"]
    assert {item.calibration for item in task.frames} == {Calibration()}
    assert task.frames[0].level is None
    assert (task.level, task.missing) == (0, ())


def test_the_worst_level_and_all_lacks_go_up_to_the_stack():
    lights = [("light", {"filter": "V"}), ("light", {"filter": "V"})]
    plan = plan_of("bias", ("dark", {"exptime": 120.0}), "flat", *lights)
    (stack,) = made(plan, Action.STACK)
    assert stack.level == 3  # a dark that is scaled
    assert [one.code for one in stack.missing] == ["unlike-flat"]
    assert [task.level for task in made(plan, Action.CALIBRATE)] == [3, 3]


def test_a_lone_light_is_neither_registered_nor_stacked():
    plan = plan_of("bias", "light")
    assert [task.action for task in plan.tasks] == [Action.BIAS, Action.CALIBRATE]


@pytest.mark.parametrize(
    ("facts", "registered", "stacked"),
    [
        ({}, True, True),
        ({"bayerpat": "RGGB"}, True, True),
        ({"bayerpat": "CMYG"}, True, False),  # of colours that are not told apart
        ({"ybinning": 2}, False, False),
    ],
)
def test_strange_mosaics_are_registered_only_and_spectra_not_even_that(
    facts, registered, stacked
):
    plan = plan_of(("light", facts), ("light", facts))
    assert bool(made(plan, Action.REGISTER)) == registered
    assert bool(made(plan, Action.STACK)) == stacked


def test_one_registration_for_all_filters_of_an_object():
    lights = [("light", {"filter": name}) for name in ("R", "R", "V", "V")]
    plan = plan_of(*lights)
    (registration,) = made(plan, Action.REGISTER)
    assert registration.products == tuple(f"calibrated/{n:02d}.fit" for n in range(4))
    assert registration.facts["object"] == "M13"
    assert registration.facts["filter"] is None  # they do not agree in it
    assert {task.registration for task in made(plan, Action.STACK)} == {
        "registration/M13.json"
    }


def test_objects_of_like_names_have_a_registration_each():
    names = ("M 13", "M-13", "NGC 1", "NGC 1")
    cameras = ("CAM", "CAM", "A", "B")
    lights = [
        ("light", {"object": name, "instrume": camera})
        for name, camera in zip(names, cameras, strict=True)
        for _ in range(2)
    ]
    outputs = [task.output for task in made(plan_of(*lights), Action.REGISTER)]
    assert len(outputs) == len(set(outputs)) == 3
    assert {"registration/NGC-1.json", "registration/NGC-1_2.json"} <= set(outputs)


def test_fields_without_a_name_are_registered_night_by_night():
    lights = [
        ("light", {"object": None, "night": night})
        for night in ("2024-03-01", "2024-03-01", "2024-03-02", "2024-03-02")
    ]
    found = made(plan_of(*lights), Action.REGISTER)
    assert len(found) in (1, 2)
    assert found[0].output == "registration/unnamed.json"


def test_the_reference_that_the_observer_names_is_a_light():
    plan = plan_of("light", "light", references={"01.fit"})
    (registration,) = made(plan, Action.REGISTER)
    assert registration.reference == "calibrated/01.fit"


def test_flats_that_cannot_be_corrected_do_not_go_in():
    plan = plan_of("flat", "light")
    assert made(plan, Action.FLAT) == []
    assert [note.code for note in plan.notes if note.code == "bare-flats"]


def test_the_recipe_asks_for_the_overscan_of_each_row():
    with_strip = FrameInput("a.fit", Calibration(overscan="[1:8,1:100]"))
    without = FrameInput("b.fit", Calibration())
    taken = [one.calibration.overscan_rows for one in by_rows([with_strip, without])]
    assert taken == [True, False]


HALVES = (
    Amplifier(1, "[1:8,1:9]", "[1:8,1:9]", "[9:16,1:9]"),
    Amplifier(2, "[1:8,1:9]", "[16:9,1:9]", "[9:16,1:9]"),
)


def test_the_overscan_of_several_amplifiers_is_taken_by_rows_too():
    frames = [FrameInput("a.fits", amplifiers=HALVES), FrameInput("b.fits")]
    assert [one.calibration.overscan_rows for one in by_rows(frames)] == [True, False]


def test_crosstalk_holds_for_its_own_detector_and_several_amplifiers():
    frames = [FrameInput(name, amplifiers=HALVES) for name in ("east", "west", "none")]
    frames[2] = FrameInput("none")
    everywhere, east = Crosstalk(1, 2, 1e-3), Crosstalk(2, 1, 2e-3, "East")
    detectors = pd.Series(["East", "West", None], dtype="string")
    made = without_crosstalk(frames, detectors, [everywhere, east])
    assert [one.crosstalk for one in made] == [(everywhere, east), (everywhere,), ()]


@pytest.mark.parametrize(
    ("told", "data", "message"),
    [
        (Crosstalk(1, 3, 1e-3), "[1:8,1:9]", "names amplifier 3, but a.fits has 2"),
        (
            Crosstalk(1, 2, 1e-3),
            "[1:8,2:9]",
            r"pixel for pixel: \[1:8,1:9\] and \[1:8,2:9\]",
        ),
    ],
)
def test_crosstalk_between_amplifiers_that_are_not_there_is_refused(
    told, data, message
):
    amplifiers = (HALVES[0], Amplifier(2, data, "[16:9,1:9]"))
    frame = FrameInput("a.fits", amplifiers=amplifiers)
    with pytest.raises(SettingsError, match=message):
        without_crosstalk([frame], pd.Series([None], dtype="string"), [told])
