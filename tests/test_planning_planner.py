"""Frame tables in, plans out: the observer's night, real habits, and lies."""

import json
import time
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from confusable_nights import confusable_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreduce.errors import SettingsError, TableError
from autoreduce.frames.schema import MEASURED_COLUMNS, make_frame_table
from autoreduce.planning.plan import PLAN_VERSION, Action, Calibration
from autoreduce.planning.planner import annotate, make_plan
from autoreduce.planning.recipe import load_recipe, parse_recipe
from autoreduce.planning.rules import load_rules, parse_rules
from autoreduce.planning.use import DarkMethod

START = datetime(2021, 2, 27, 1, 0, tzinfo=UTC)


def make_night(*rows, **common):
    """Build a frame table: frames in order of time, all of one night and setup."""
    table = []
    for i, row in enumerate(rows):
        table.append(
            {
                "file": f"20210227.{i + 1:04d}.fit",
                "instrume": "CAM",
                "naxis1": 1663,
                "naxis2": 1252,
                "xbinning": 2,
                "ybinning": 2,
                "set_temp": -20.0,
                "ccd_temp": -20.0 + 0.1 * (i % 5 - 2),
                "telescop": "RC10",
                "night": "2021-02-26",
                "date_obs": (START + timedelta(minutes=3 * i)).isoformat(),
                **common,
                **row,
            }
        )
    return make_frame_table(table)


def bias(n=1, **facts):
    return [{"imagetyp": "bias", "exptime": 0.0, **facts}] * n


def dark(exptime, n=1, **facts):
    return [{"imagetyp": "dark", "exptime": exptime, **facts}] * n


def flat(name, exptime, n=1, **facts):
    return [{"imagetyp": "flat", "filter": name, "exptime": exptime, **facts}] * n


def light(name="R", exptime=60.0, n=1, **facts):
    facts = {"object": "M13", "filter": name, "exptime": exptime, **facts}
    return [{"imagetyp": "light", **facts}] * n


def notes_night():
    """List the 107 frames of the observer's night in their order."""
    rows = [
        *flat("OIII", 2.0, 5),
        *flat("SII", 5.0, 5),
        *flat("Halpha", 10.0, 5),
        *[row for name in ("R", "G", "B", "L", "open") for row in flat(name, 1.0, 5)],
        *bias(10),
        *dark(60.0, use=False, why_not="odd: its level"),
        *dark(60.0, 5),
        *dark(120.0, 2),
        *dark(180.0, 3),
        *[row for name in "LRGB" for row in light(name, 60.0, 3, object="cluster")],
        *[row for _ in range(3) for row in crab_colours()],
        *light("Halpha", 180.0, 3, object="Crab"),
        *light("V", 180.0, object="Crab"),
        *light("V", 300.0, 8, object="Crab"),
        *bias(10),
    ]
    return make_night(*rows)


def crab_colours():
    colours = [row for name in "RGB" for row in light(name, 180.0, object="Crab")]
    return [*light("L", 120.0, object="Crab"), *colours]


@pytest.fixture(scope="module")
def notes_plan():
    return make_plan(notes_night())


def numbers(task):
    """List the frame numbers that go into a task."""
    return [int(item.file.split(".")[1]) for item in task.frames]


def calibration_of(plan, file):
    frames = (item for task in plan.tasks for item in task.frames)
    return next(item.calibration for item in frames if item.file == file)


def calibration_of_light(*rows, **options):
    """Plan a night whose last frame is a light, and say how that is calibrated."""
    frames = make_night(*rows)
    return calibration_of(make_plan(frames, **options), frames["file"].iloc[-1])


def test_the_night_of_the_notes_ends_in_the_observers_masters(notes_plan):
    masters = {
        task.group: numbers(task)
        for task in notes_plan.tasks
        if task.action in (Action.BIAS, Action.DARK, Action.FLAT)
    }
    assert masters == {
        "bias_2x2_m20C": [*range(41, 51), *range(98, 108)],
        "dark_60s_2x2_m20C": [52, 53, 54, 55, 56],
        "dark_120s_2x2_m20C": [57, 58],
        "dark_180s_2x2_m20C": [59, 60, 61],
        "flat_OIII_2x2": [1, 2, 3, 4, 5],
        "flat_SII_2x2": [6, 7, 8, 9, 10],
        "flat_Halpha_2x2": [11, 12, 13, 14, 15],
        "flat_R_2x2": [16, 17, 18, 19, 20],
        "flat_G_2x2": [21, 22, 23, 24, 25],
        "flat_B_2x2": [26, 27, 28, 29, 30],
        "flat_L_2x2": [31, 32, 33, 34, 35],
        "flat_open_2x2": [36, 37, 38, 39, 40],
    }


def test_the_night_of_the_notes_ends_in_the_observers_stacks(notes_plan):
    stacks = {
        task.group: [int(output.split(".")[1]) for output in task.products]
        for task in notes_plan.tasks
        if task.action is Action.STACK
    }
    assert stacks == {
        "light_cluster_L_60s_2x2": [62, 63, 64],
        "light_cluster_R_60s_2x2": [65, 66, 67],
        "light_cluster_G_60s_2x2": [68, 69, 70],
        "light_cluster_B_60s_2x2": [71, 72, 73],
        "light_Crab_L_120s_2x2": [74, 78, 82],
        "light_Crab_R_180s_2x2": [75, 79, 83],
        "light_Crab_G_180s_2x2": [76, 80, 84],
        "light_Crab_B_180s_2x2": [77, 81, 85],
        "light_Crab_Halpha_180s_2x2": [86, 87, 88],
        "light_Crab_V_300s_2x2": list(range(90, 98)),
    }


@pytest.mark.parametrize("first", [1, 6, 11, 16, 21, 26, 31, 36])
def test_flats_of_the_notes_get_the_long_dark_by_the_fit(notes_plan, first):
    for number in range(first, first + 5):
        found = calibration_of(notes_plan, f"20210227.{number:04d}.fit")
        assert found == Calibration(
            bias="masters/bias_2x2_m20C.fits",
            dark="masters/dark_180s_2x2_m20C.fits",
            dark_method=DarkMethod.FIT,
            dark_scale=None,
            dark_exptime=180.0,
            dark_fit="masters/dark_current_2x2_m20C.json",
        )


@pytest.mark.parametrize(
    ("number", "exptime", "name"),
    [(62, 60, "L"), (73, 60, "B"), (78, 120, "L"), (83, 180, "R"), (88, 180, "Halpha")],
)
def test_lights_of_the_notes_get_darks_of_their_exposure(
    notes_plan, number, exptime, name
):
    found = calibration_of(notes_plan, f"20210227.{number:04d}.fit")
    assert (found.dark_method, found.dark_scale) == (DarkMethod.EXACT, 1.0)
    assert found.dark == f"masters/dark_{exptime}s_2x2_m20C.fits"
    assert found.flat == f"masters/flat_{name}_2x2.fits"


def test_lights_of_the_notes_without_a_master_are_reduced_as_far_as_possible(
    notes_plan,
):
    unflattened = calibration_of(notes_plan, "20210227.0089.fit")
    assert (unflattened.flat, unflattened.dark_exptime) == (None, 180.0)
    longer = calibration_of(notes_plan, "20210227.0090.fit")
    assert (longer.dark_method, longer.dark_exptime) == (DarkMethod.FIT, 180.0)
    assert (longer.dark_unasked, longer.flat) == (True, None)
    flat = notes_plan.notes[0]
    assert (flat.code, flat.subject) == ("unlike-flat", ("9 lights",))
    assert flat.found == "B, G, Halpha, L, OIII, R, SII, open"
    (single,) = notes_plan.notes[1:]
    assert (single.code, single.found) == ("single-light", "light_Crab_V_180s_2x2")
    assert single.way_out == "--stack-by object,filter"


def test_the_fit_of_the_notes_takes_all_darks_the_longest_last(notes_plan):
    fit = notes_plan.task("masters/dark_current_2x2_m20C.json")
    assert fit.products == tuple(
        f"masters/dark_{t}s_2x2_m20C.fits" for t in (60, 120, 180)
    )
    assert fit.action is Action.DARK_FIT


def test_a_plan_holds_every_match_key_as_json_scalars(notes_plan):
    facts = notes_plan.task("masters/dark_180s_2x2_m20C.fits").facts
    assert facts["exptime"] == 180.0
    assert facts["xbinning"] == 2
    assert type(facts["xbinning"]) is int
    assert facts["instrume"] == "CAM"
    assert facts["gain"] is None
    assert json.loads(notes_plan.to_json())["version"] == PLAN_VERSION


def test_the_order_of_rows_changes_nothing(notes_plan):
    frames = notes_night()
    shuffled = frames.sample(frac=1, random_state=1)
    assert make_plan(shuffled).to_json() == notes_plan.to_json()


def test_an_annotated_table_plans_the_same_again(notes_plan):
    table = annotate(notes_night(), notes_plan)
    assert make_plan(table) == notes_plan
    assert annotate(table, make_plan(table)).equals(table)


def test_annotation_tells_what_was_decided(notes_plan):
    table = annotate(notes_night(), notes_plan).set_index("file")
    row = table.loc["20210227.0011.fit"]
    assert row["group"] == "flat_Halpha_2x2"
    assert row["dark"] == "masters/dark_180s_2x2_m20C.fits"
    assert row["level"] == 2
    assert row["reason"] == (
        "bias bias_2x2_m20C, same night; "
        "dark dark_180s_2x2_m20C fitted to 10 s, same night"
    )
    left_out = table.loc["20210227.0051.fit"]
    assert left_out[["group", "bias", "dark", "level", "reason"]].isna().all()
    assert left_out["why_not"] == "odd: its level"


def test_a_frame_kept_by_hand_is_never_left_out():
    frames = make_night(*bias(2, why_not="odd: its level"), *bias())
    task = make_plan(frames).tasks[0]
    assert [item.keep for item in task.frames] == [True, True, False]


# ---------------------------------------------------------------- darks


def test_one_longer_dark_is_scaled_per_flat():
    exposures = (11.55, 11.93, 12.08)
    rows = [*bias(), *dark(80.0), *[r for t in exposures for r in flat("g", t)]]
    plan = make_plan(make_night(*rows))
    scales = [item.calibration for item in plan.task("masters/flat_g_2x2.fits").frames]
    assert [c.dark_scale for c in scales] == pytest.approx([t / 80 for t in exposures])
    assert {c.dark_method for c in scales} == {DarkMethod.SCALED}
    assert {c.dark_offset for c in scales} == {0.0}


@pytest.mark.parametrize(
    ("exposure", "darks", "method", "level"),
    [
        (121.0, (60.0, 120.0), DarkMethod.FIT, 2),
        (180.0, (60.0, 120.0), DarkMethod.FIT, 2),
        (181.0, (60.0, 120.0), DarkMethod.FIT, 3),
        (360.0, (60.0, 120.0), DarkMethod.FIT, 3),
        (361.0, (60.0, 120.0), None, None),
        (30.3, (30.0,), DarkMethod.SCALED, 3),
        (60.0, (30.0,), DarkMethod.SCALED, 3),
        (60.5, (30.0,), None, None),
    ],
)
def test_darks_serve_longer_lights_as_far_as_their_dark_current_is_known(
    exposure, darks, method, level
):
    rows = [*bias(), *(row for t in darks for row in dark(t)), *light(exptime=exposure)]
    frames = make_night(*rows)
    plan = make_plan(frames)
    found = calibration_of(plan, frames["file"].iloc[-1])
    use = plan.uses[plan.tasks[-1].frames[0].setup]["dark"]
    assert (found.dark_method, use.level) == (method, level)
    assert found.dark_unasked == (method is not None)
    asked = calibration_of_light(*rows, extrapolate_darks=True)
    assert asked.dark_method is not None
    assert not asked.dark_unasked


@pytest.mark.parametrize(
    ("recipe", "exposure", "method"),
    [
        ("longer = 2.0", 200.0, DarkMethod.FIT),
        ("longer = 1.5", 200.0, DarkMethod.SCALED),
        ("longer = 1.5\nlonger_alone = 1.6", 200.0, None),
        ('model = "rate"', 200.0, DarkMethod.SCALED),
        ('model = "rate"', 250.0, None),
        ('model = "exact"', 121.0, None),
    ],
)
def test_the_recipe_says_how_much_longer(recipe, exposure, method):
    rows = [*bias(), *dark(60.0), *dark(120.0), *light(exptime=exposure)]
    mine = parse_recipe(f"[dark]\n{recipe}", "mine")
    assert calibration_of_light(*rows, recipe=mine).dark_method == method


def test_without_a_bias_no_dark_serves_longer_lights():
    found = calibration_of_light(*dark(60.0), *light(exptime=62.0))
    assert found.dark is None


def test_without_a_bias_a_dark_of_nearly_this_exposure_serves_and_it_is_said():
    frames = make_night(*dark(30.0), *light(exptime=30.3))
    plan = make_plan(frames)
    found = calibration_of(plan, frames["file"].iloc[-1])
    assert (found.dark_method, found.dark_scale) == (DarkMethod.EXACT, 1.0)
    use = plan.uses[plan.tasks[-1].frames[0].setup]["dark"]
    assert (use.level, use.unconfirmed) == (3, ("exptime",))
    exact = parse_recipe('[dark]\nmodel = "exact"', "mine")
    rows = [*dark(30.0), *light(exptime=30.3)]
    assert calibration_of_light(*rows, recipe=exact).dark is None


def test_the_recipe_exact_scales_nothing():
    recipe = parse_recipe('[dark]\nmodel = "exact"', "mine")
    rows = [*bias(), *dark(60.0), *dark(180.0), *light(exptime=120.0)]
    plan = make_plan(make_night(*rows), recipe=recipe)
    assert not [task for task in plan.tasks if task.action is Action.DARK_FIT]
    assert plan.tasks[-1].frames[0].calibration.dark is None
    assert (
        next(map(str, plan.tasks[-1].missing))
        == "no dark: exposure 120 s wanted, there is 60 s, 180 s"
    )


def test_without_a_bias_darks_keep_it_and_serve_their_own_exposure_only():
    rows = [*dark(60.0), *dark(180.0), *light(exptime=120.0), *light(exptime=60.0)]
    frames = make_night(*rows)
    plan = make_plan(frames)
    assert not [task for task in plan.tasks if task.action is Action.DARK_FIT]
    assert calibration_of(plan, frames["file"].iloc[2]) == Calibration()
    exact = calibration_of(plan, frames["file"].iloc[3])
    assert (exact.bias, exact.dark_exptime, exact.dark_scale) == (None, 60.0, 1.0)
    assert "no bias, as dark dark_60s_2x2_m20C holds it" in plan.reason(
        [t for t in plan.tasks if t.action is Action.CALIBRATE][-1].frames[0]
    )


def test_a_light_with_a_bias_leaves_it_to_a_dark_that_kept_its_own():
    """The dark is of a night from which no bias is within reach."""
    old = {"night": "2020-03-10", "date_obs": "2020-03-10T20:00:00"}
    rows = [*dark(60.0, **old), *bias(), *light()]
    rules = parse_rules("[[use.bias.rung]]\nlevel = 0\nsame_night = true\n", "mine")
    found = calibration_of_light(*rows, rules=rules)
    assert (found.bias, found.dark) == (None, "masters/dark_60s_2x2_m20C.fits")


def test_flat_darks_serve_flats_and_darks_serve_lights():
    both = [*dark(60.0, imagetyp="flatdark"), *dark(60.0)]
    plan = make_plan(make_night(*bias(), *both, *flat("R", 60.0), *light()))
    flat_dark = plan.task("masters/flat_R_2x2.fits").frames[0].calibration.dark
    assert flat_dark == "masters/flatdark_60s_2x2_m20C.fits"
    light_dark = plan.tasks[-1].frames[0].calibration.dark
    assert light_dark == "masters/dark_60s_2x2_m20C.fits"


def test_exposures_that_hardly_differ_make_no_fit():
    plan = make_plan(make_night(*bias(), *dark(60.0), *dark(60.5), *light(exptime=5.0)))
    assert not [task for task in plan.tasks if task.action is Action.DARK_FIT]
    assert plan.tasks[-1].frames[0].calibration.dark_method is DarkMethod.SCALED


def test_darks_of_two_temperatures_are_fitted_apart():
    cold = {"set_temp": -25.0, "ccd_temp": -25.1}
    rows = [*dark(60.0), *dark(180.0), *dark(60.0, **cold), *dark(180.0, **cold)]
    plan = make_plan(make_night(*bias(), *rows))
    fits = [task.group for task in plan.tasks if task.action is Action.DARK_FIT]
    assert fits == ["dark_current_2x2_m20C", "dark_current_2x2_m25C"]


# ---------------------------------------------------------------- flats


def test_a_flat_from_which_nothing_can_be_taken_is_not_made():
    plan = make_plan(make_night(*flat("R", 5.0, 3), *light()))
    assert [task.action for task in plan.tasks] == [Action.CALIBRATE]
    assert any(
        "3 flats of flat_R_2x2 left out" in note for note in map(str, plan.notes)
    )


@pytest.mark.parametrize(
    "helps", [bias(), dark(5.0)], ids=["bias", "dark of its exposure"]
)
def test_a_flat_is_made_when_bias_or_dark_can_be_taken_out(helps):
    plan = make_plan(make_night(*helps, *flat("R", 5.0, 3), *light()))
    assert "masters/flat_R_2x2.fits" in [task.output for task in plan.tasks]


def test_a_light_that_keeps_its_zero_level_is_not_divided_by_a_flat():
    rows = [*dark(5.0), *flat("R", 5.0, 3), *light()]
    frames = make_night(*rows)
    plan = make_plan(frames)
    assert calibration_of(plan, frames["file"].iloc[-1]) == Calibration()
    (why,) = (one for one in plan.tasks[-1].missing if one.need == "flat")
    assert "zero level" in str(why)
    frames["flat"] = frames["flat"].mask(frames["imagetyp"].eq("light"), "flat_R_2x2")
    by_hand = make_plan(frames)
    assert calibration_of(by_hand, frames["file"].iloc[-1]).flat is not None


def test_overscan_makes_a_flat_worth_making():
    sections = {"biassec": "[1601:1663,1:1252]", "trimsec": "[1:1600,1:1252]"}
    found = calibration_of_light(*flat("R", 5.0, 3, **sections), *light(**sections))
    assert found.flat == "masters/flat_R_2x2.fits"
    assert (found.overscan, found.trim) == tuple(sections.values())


def test_only_the_flats_that_can_be_corrected_go_in():
    plan = make_plan(
        make_night(*dark(5.0), *flat("R", 5.0, 2), *flat("R", 9.0), *light())
    )
    assert numbers(plan.task("masters/flat_R_2x2.fits")) == [2, 3]


def test_of_many_filters_only_the_ends_are_listed():
    flats = [row for name in "ABCDEFGHIJ" for row in flat(name, 5.0)]
    plan = make_plan(make_night(*bias(), *flats, *light("V")))
    assert tuple(map(str, plan.tasks[-1].missing))[-1].endswith(
        "wanted, there is A, B, ... J"
    )


def test_another_spelling_of_a_filter_is_pointed_out_and_not_guessed():
    plan = make_plan(make_night(*bias(), *flat("H-Alpha 7nm", 5.0), *light("Ha", n=2)))
    assert (
        tuple(map(str, plan.tasks[-1].missing))[-1]
        == "no flat: filter Ha wanted, there is H-Alpha 7nm"
    )
    assert (
        "lights have filter Ha and flats have H-Alpha 7nm: if they are the same, say so "
        "(--set '20210227.0003.fit,20210227.0004.fit: filter=H-Alpha 7nm')"
    ) in tuple(map(str, plan.notes))


def test_each_night_gets_its_own_flat_and_one_stack():
    later = {"night": "2021-02-27", "date_obs": "2021-02-28T02:00:00"}
    rows = [
        *bias(),
        *flat("R", 5.0),
        *flat("R", 5.0, **later),
        *light(),
        *light(**later),
    ]
    plan = make_plan(make_night(*rows))
    lights = [task for task in plan.tasks if task.action is Action.CALIBRATE]
    assert [task.frames[0].calibration.flat for task in lights] == [
        "masters/flat_R_2x2_2021-02-26.fits",
        "masters/flat_R_2x2_2021-02-27.fits",
    ]
    assert plan.task("stacks/light_M13_R_60s_2x2.fits").products == tuple(
        task.output for task in lights
    )
    assert "frames of 2 nights: 2021-02-26 to 2021-02-27" in tuple(map(str, plan.notes))


# ---------------------------------------------------------------- stacks and notes


def test_stacks_may_pool_exposures():
    frames = make_night(*light(exptime=60.0), *light(exptime=120.0))
    assert not [t for t in make_plan(frames).tasks if t.action is Action.STACK]
    pooled = make_plan(frames, stack_by=("object", "filter"))
    assert len(pooled.task("stacks/light_M13_R_2x2.fits").products) == 2


def test_a_focal_length_that_jitters_does_not_part_a_stack():
    rows = [row for f in (526.0, 530.0, 535.0) for row in light(focallen=f)]
    plan = make_plan(make_night(*rows))
    assert len(plan.task("stacks/light_M13_R_60s_2x2.fits").products) == 3


def test_lights_of_two_focal_lengths_are_not_stacked():
    plan = make_plan(make_night(*light(focallen=530.0), *light(focallen=2000.0)))
    assert not [task for task in plan.tasks if task.action is Action.STACK]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ((10.0, 20.0), (10.1, 20.1), True),
        ((10.0, 20.0), (11.0, 20.0), False),
        ((359.95, 20.0), (0.05, 20.0), True),
        ((10.0, 89.9), (100.0, 89.9), True),
    ],
)
def test_lights_without_a_name_are_stacked_by_where_they_point(first, second, same):
    pointings = [{"ra": ra, "dec": dec} for ra, dec in (first, first, second)]
    rows = [row for place in pointings for row in light(object=None, **place)]
    frames = make_night(*rows)
    assert annotate(frames, make_plan(frames))["group"].nunique() == (1 if same else 2)


def test_unnamed_fields_are_told_apart_by_their_place():
    places = [{"ra": 10.0, "dec": 20.0}, {"ra": 83.6, "dec": -5.4}]
    rows = [row for place in places for row in light(object=None, n=2, **place)]
    tasks = make_plan(make_night(*rows)).tasks
    stacks = [t.group for t in tasks if t.action is Action.STACK]
    assert len([t for t in tasks if t.action is Action.REGISTER]) == 2
    assert stacks == [
        "light_unnamed_R_60s_2x2_at10.0+20.0",
        "light_unnamed_R_60s_2x2_at83.6-5.4",
    ]


def test_lights_with_a_name_are_stacked_wherever_they_point():
    rows = [row for ra in (10.0, 12.0) for row in light(ra=ra, dec=20.0)]
    plan = make_plan(make_night(*rows))
    assert len(plan.task("stacks/light_M13_R_60s_2x2.fits").products) == 2


def test_lights_are_stacked_only_by_what_makes_sense():
    with pytest.raises(
        SettingsError, match="cannot be stacked by colour; give some of"
    ):
        make_plan(make_night(), stack_by=("colour",))


def test_two_cameras_are_reduced_apart_and_told():
    other = {"instrume": "OTHER", "naxis1": 800}
    plan = make_plan(make_night(*bias(), *light(), *bias(**other), *light(**other)))
    served = {
        (task.facts["instrume"], task.frames[0].calibration.bias)
        for task in plan.tasks
        if task.action is Action.CALIBRATE
    }
    assert served == {
        ("CAM", "masters/bias_2x2_m20C_CAM.fits"),
        ("OTHER", "masters/bias_2x2_m20C_OTHER.fits"),
    }
    assert "frames of 2 cameras: CAM, OTHER" in tuple(map(str, plan.notes))
    assert "frames of 2 sizes: 1663x1252, 800x1252" in tuple(map(str, plan.notes))


@pytest.mark.parametrize(
    ("rows", "n_tasks", "note"),
    [
        ([], 0, "no frame is used"),
        ([{"imagetyp": None}], 0, "left out: 1 frame of unknown type, such as "),
        (
            [{"imagetyp": "master"}],
            0,
            "left out: 1 frame of type master or other, such",
        ),
        (bias(3), 1, "there are no lights among the frames that are used"),
        (light(), 1, "there are no bias frames among the frames that are used"),
        (
            [{"imagetyp": "light"}, *dark(5.0)],
            2,
            "no dark: exposure is unknown",
        ),
    ],
)
def test_poor_nights_are_planned_as_far_as_they_go(rows, n_tasks, note):
    plan = make_plan(make_night(*rows))
    assert len(plan.tasks) == n_tasks
    assert any(words.startswith(note) for words in map(str, plan.notes))


def test_frames_that_are_not_used_take_no_part():
    unused = {"use": False, "why_not": "cloudy"}
    plan = make_plan(make_night(*bias(**unused), *light()))
    assert [task.action for task in plan.tasks] == [Action.CALIBRATE]


def test_a_camera_that_misses_its_set_point_is_matched_by_what_it_measured():
    missed = {"set_temp": -27.2, "ccd_temp": -18.8}
    warm = {"set_temp": -27.2, "ccd_temp": -22.3}
    rows = [*bias(**missed), *dark(60.0, **missed), *light(**missed)]
    assert calibration_of_light(*rows).dark == "masters/dark_60s_2x2_m19C.fits"
    assert calibration_of_light(*rows[:2], *light(**warm)).dark is None


def test_the_root_is_the_scanned_folder_unless_told():
    frames = make_night(*bias())
    frames.attrs["root"] = "/data/night"
    assert make_plan(frames).root == "/data/night"
    assert make_plan(frames, root="/else").root == "/else"


# ---------------------------------------------------------------- chosen by hand


def with_cell(frames, number, **cells):
    """Write into the cells of one frame as an observer does."""
    row = frames["file"].eq(f"20210227.{number:04d}.fit")
    for name, value in cells.items():
        frames.loc[row, name] = value
    return frames


def choosing_night():
    rows = [*bias(), *dark(60.0), *dark(180.0), *flat("R", 5.0), *flat("V", 5.0)]
    return make_night(*rows, *light(n=2))


def test_a_master_chosen_by_hand_is_taken():
    frames = with_cell(choosing_night(), 6, flat="masters/flat_V_2x2.fits")
    plan = make_plan(frames)
    chosen, other = (
        task.frames[0] for task in plan.tasks if task.action == "calibrate"
    )
    assert chosen.calibration.flat == "masters/flat_V_2x2.fits"
    assert (chosen.level, other.level) == (3, 0)
    assert "flat flat_V_2x2, chosen by hand" in plan.reason(chosen)
    assert other.calibration.flat == "masters/flat_R_2x2.fits"
    flats = [e for e in plan.verdicts if (e.setup, e.need) == (chosen.setup, "flat")]
    assert [(e.chosen, e.level, e.criterion) for e in flats] == [
        (False, 0, "chosen by hand"),
        (True, 3, "chosen by hand"),
    ]


def test_a_dark_chosen_by_hand_is_taken_to_the_exposure():
    frames = with_cell(choosing_night(), 6, dark="dark_180s_2x2_m20C")
    found = calibration_of(make_plan(frames), "20210227.0006.fit")
    assert (found.dark_exptime, found.dark_method) == (180.0, DarkMethod.FIT)


@pytest.mark.parametrize("need", ["bias", "dark", "flat"])
def test_the_word_none_goes_without(need):
    frames = with_cell(choosing_night(), 6, **{need: "none"})
    plan = make_plan(frames)
    assert getattr(calibration_of(plan, "20210227.0006.fit"), need) is None
    assert not [
        word for task in plan.tasks for word in map(str, task.missing) if need == word
    ]
    table = annotate(frames, plan)
    assert table.set_index("file").loc["20210227.0006.fit", need] == "none"


def test_a_dark_of_the_same_exposure_chosen_by_hand_is_taken_as_it_is():
    later = {"night": "2021-02-27", "date_obs": "2021-02-28T02:00:00"}
    rows = [*bias(), *dark(60.0), *dark(60.0, **later), *light()]
    frames = with_cell(make_night(*rows), 4, dark="dark_60s_2x2_m20C_2021-02-27")
    found = calibration_of(make_plan(frames), "20210227.0004.fit")
    assert found.dark == "masters/dark_60s_2x2_m20C_2021-02-27.fits"
    assert (found.dark_method, found.dark_scale) == (DarkMethod.EXACT, 1.0)


def test_a_dark_that_holds_its_bias_is_not_scaled_by_hand_either():
    frames = with_cell(make_night(*dark(180.0), *light()), 2, dark="dark_180s_2x2_m20C")
    found = calibration_of(make_plan(frames), "20210227.0002.fit")
    assert (found.dark_method, found.dark_scale) == (DarkMethod.EXACT, 1.0)


def test_darks_of_one_master_have_their_bias_all_or_none():
    frames = with_cell(make_night(*bias(), *dark(60.0, n=2), *light()), 2, bias="none")
    plan = make_plan(frames)
    darks = plan.task("masters/dark_60s_2x2_m20C.fits")
    assert [item.calibration.bias for item in darks.frames] == [None, None]
    assert "no bias: not every dark of its group has one" in tuple(
        map(str, darks.missing)
    )
    assert plan.tasks[-1].frames[0].calibration.bias is None


def test_a_choice_by_hand_survives_being_written_and_read_again():
    frames = with_cell(choosing_night(), 6, flat="flat_V_2x2", dark="none")
    plan = make_plan(frames)
    assert make_plan(annotate(frames, plan)) == plan


def test_a_choice_for_a_frame_that_takes_no_part_is_kept():
    frames = make_night(*dark(60.0), *flat("R", 60.0, dark="none"), *light())
    plan = make_plan(frames)
    table = annotate(frames, plan)
    assert table["dark"].tolist()[1] == "none"
    assert make_plan(table) == plan


def test_a_cell_of_an_earlier_plan_is_no_choice():
    """Names may change as frames do; only what the observer wrote must hold."""
    table = annotate(choosing_night(), make_plan(choosing_night()))
    without = table[table["filter"].ne("R") | table["imagetyp"].ne("flat")]
    assert calibration_of(make_plan(without), "20210227.0006.fit").flat is None


def test_a_choice_that_the_ladder_shares_keeps_its_level():
    frames = with_cell(choosing_night(), 6, flat="flat_R_2x2")
    plan = make_plan(frames)
    chosen = plan.tasks[-3].frames[0]
    assert (chosen.level, "by hand" in plan.reason(chosen)) == (0, False)


def test_a_master_that_is_not_made_is_refused_with_the_nearest():
    frames = with_cell(choosing_night(), 6, flat="masters/flat_W_2x2.fits")
    message = (
        r"20210227.0006.fit: flat names flat_W_2x2, which is not made "
        r"from these frames; nearest are flat_V_2x2, flat_R_2x2. Give"
    )
    with pytest.raises(TableError, match=message):
        make_plan(frames)


def test_a_master_of_another_size_is_refused():
    frames = make_night(
        *bias(naxis1=800), *bias(), *light(bias="bias_2x2_m20C_800x1252")
    )
    with pytest.raises(
        TableError, match="whose naxis1 is 800, not 1663; choose one of"
    ):
        make_plan(frames)


# ---------------------------------------------------------------- many confusable nights


def products_of(plan, folder):
    """Say which batches each master is made of."""
    return {
        task.output: {folder.batch_of[item.file] for item in task.frames}
        for task in plan.tasks
        if task.action in (Action.BIAS, Action.DARK, Action.FLAT)
    }


def mistakes(seed, rules):
    """Plan a folder, and count the lights that a careful person would serve else."""
    folder, frames = confusable_folder(seed)
    plan = make_plan(frames, rules=rules)
    made = products_of(plan, folder)
    n = 0
    for task in plan.tasks:
        if task.action is Action.CALIBRATE:
            found, truth = task.frames[0].calibration, folder.truth[task.frames[0].file]
            wanted = (truth.bias, truth.dark, truth.flat)
            served = (found.bias, found.dark, found.flat)
            n += found.dark_method != truth.method or any(
                made.get(output, {None}) != {batch}
                for output, batch in zip(served, wanted, strict=True)
            )
    return n


@pytest.mark.parametrize("decade", range(5))
def test_every_light_of_fifty_confusable_nights_gets_what_a_careful_person_takes(
    decade,
):
    rules = load_rules()
    seeds = range(10 * decade, 10 * decade + 10)
    assert {seed: n for seed in seeds if (n := mistakes(seed, rules))} == {}


@pytest.mark.parametrize("column", ["gain", "instrume", "readoutm", "offset"])
def test_the_comparison_notices_a_rule_that_is_left_out(column):
    setup = [name for name in load_rules().setup if name != column]
    rules = parse_rules(f"setup = {setup}", "careless")
    assert any(mistakes(seed, rules) for seed in range(25))


def test_no_master_mixes_batches_that_are_alike_but_for_one_thing():
    for seed in range(50, 54):
        folder, frames = confusable_folder(seed)
        made = products_of(make_plan(frames), folder)
        assert all(len(batches) == 1 for batches in made.values())


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=4)
def test_any_confusable_night_plans_the_same_in_any_order(seed):
    _, frames = confusable_folder(seed)
    text = make_plan(frames).to_json()
    assert make_plan(frames.iloc[::-1]).to_json() == text
    assert json.loads(text)["tasks"]


def maybe(*values):
    return st.sampled_from([None, *values])


odd_rows = st.fixed_dictionaries(
    {
        "imagetyp": maybe(
            "bias", "dark", "flatdark", "flat", "light", "light", "other"
        ),
        "object": maybe("M13", "m 13", "M\N{DEGREE SIGN}/..\\31"),
        "filter": maybe("R", "r", "H\N{GREEK SMALL LETTER ALPHA}"),
        "exptime": maybe(0.0, 0.001, 5.0, 60.0, 60.04, 300.0),
        "xbinning": maybe(1, 2),
        "gain": maybe(0.0, 100.0),
        "set_temp": maybe(-20.0, -10.0),
        "ccd_temp": maybe(-20.3, -9.0, 15.0),
        "date_obs": maybe("2024-03-01T20:00:00", "2024-03-02T02:00:00", "2023-01-01"),
        "night": maybe("2024-03-01", "2023-01-01"),
        "instrume": maybe("A", "B"),
        "telescop": maybe("T", "U"),
        "focallen": maybe(500.0, 520.0),
        "rotator": maybe(359.5, 0.5, 180.0),
        "naxis1": maybe(100),
        "biassec": maybe("[91:100,1:50]"),
        "ra": maybe(10.0, 200.0),
        "dec": maybe(20.0),
        "bias": maybe("none"),
        "dark": maybe("none"),
    }
)


@given(st.lists(odd_rows, max_size=25), st.booleans())
@settings(deadline=None, max_examples=15)
def test_whatever_headers_leave_out_the_plan_holds_together(rows, extrapolate):
    frames = make_frame_table([{**r, "file": f"{i}.fits"} for i, r in enumerate(rows)])
    plan = make_plan(frames, extrapolate_darks=extrapolate)
    inputs = [item for task in plan.tasks for item in task.frames]
    assert len({item.file for item in inputs}) == len(inputs)
    for item in inputs:
        found = item.calibration
        assert (found.dark_method is DarkMethod.FIT) == (found.dark_fit is not None)
        assert (found.dark_scale is None) == (
            found.dark_fit is not None or not found.dark
        )
        if found.dark_method is DarkMethod.SCALED:
            assert found.dark_scale == pytest.approx(item.exptime / found.dark_exptime)
            assert extrapolate or found.dark_scale < 1
        if found.dark and found.dark_method is not DarkMethod.EXACT:
            assert found.bias is not None
        if found.dark and found.bias is None and "by hand" not in plan.reason(item):
            dark_frames = plan.task(found.dark).frames
            assert not any(dark.calibration.bias for dark in dark_frames) or (
                "no bias" in plan.reason(item)
            )
    chosen = [(entry.setup, entry.need) for entry in plan.verdicts if entry.chosen]
    assert len(set(chosen)) == len(chosen)
    assert json.loads(plan.to_json())["root"] == plan.root
    table = annotate(frames, plan)
    assert make_plan(table, extrapolate_darks=extrapolate) == plan
    assert all(task.output.isascii() for task in plan.tasks if task.facts)


def test_ten_thousand_frames_and_two_hundred_masters_are_planned_in_seconds():
    """Two seconds on a quiet machine; the test allows for a busy one."""
    rows = []
    for n in range(25):
        day = START + timedelta(days=n)
        common = {"night": str(day.date()), "date_obs": day.isoformat()}
        kinds = [
            *bias(20, **common),
            *[row for t in (60.0, 180.0, 300.0) for row in dark(t, 20, **common)],
            *[row for name in "LRGB" for row in flat(name, 3.0, 10, **common)],
            *[row for name in "LRGB" for row in light(name, 60.0, 70, **common)],
        ]
        rows += kinds
    frames = make_night(*rows)
    recipe, rules = load_recipe(), load_rules()
    start = time.process_time()
    plan = make_plan(frames, recipe=recipe, rules=rules)
    assert time.process_time() - start < 6
    assert len(frames) == 10_000
    masters = (Action.BIAS, Action.DARK, Action.FLAT)
    assert sum(task.action in masters for task in plan.tasks) == 200


MEASURED = [column.name for column in MEASURED_COLUMNS]


def notes_like_night():
    rows = [*bias(3), *dark(60.0, 3), *dark(180.0, 3), *flat("R", 5.0, 3)]
    return make_night(*rows, *flat("V", 9.0, 3), *light(n=3), *light("V", n=2))


OWN = ("group", "bias", "dark", "dark_scale", "flat", "planned", "level", "reason")
"""Columns of a frame table that a plan writes."""


@cache
def annotated(by_hand):
    """Annotate a night, with choices by hand or without; plan it as annotated."""
    frames = notes_like_night()
    if by_hand:
        last = len(frames) - 1
        frames = with_cell(frames, last, dark="dark_60s_2x2_m20C", bias="none")
    table = annotate(frames, make_plan(frames))
    return table, make_plan(table)


@pytest.mark.parametrize("column", [*OWN, "why_not", "code", *MEASURED])
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_table_without_a_column_plans_as_the_whole_one(column, by_hand):
    if by_hand and column in ("bias", "dark"):
        pytest.skip("the column holds the observer's choice")
    table, plan = annotated(by_hand)
    assert make_plan(table.drop(columns=column)) == plan


def test_without_the_note_of_what_was_planned_the_observers_choice_is_still_found():
    frames = with_cell(choosing_night(), 6, flat="masters/flat_V_2x2.fits")
    table = annotate(frames, make_plan(frames)).drop(columns="planned")
    plan = make_plan(table)
    by_hand = [
        use for uses in plan.uses.values() for use in uses.values() if use.by_hand
    ]
    assert [(use.need, use.name) for use in by_hand] == [("flat", "flat_V_2x2")]
