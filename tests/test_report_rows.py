"""The rows of the report's tables, and its drawings."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_night import (
    BIAS,
    DARK,
    DARK_FIT,
    FIT,
    FLAT,
    LEDGER,
    FakeOutcome,
    calibrate,
    inputs,
    make_frames,
    make_outcomes,
    make_plan,
    make_report,
)

from autoreduce.planning.focalplane import FocalPlane
from autoreduce.planning.plan import Action, Calibration, FrameInput, Verdict
from autoreduce.planning.use import DarkMethod, Use
from autoreduce.remarks import remark
from autoreduce.report.exposures import exposures_of
from autoreduce.report.overview import (
    about,
    deviations,
    exposures,
    legend,
    light_gathered,
)
from autoreduce.report.plots import (
    Deviation,
    Exposure,
    dark_fit,
    histogram,
    levels,
    ticks,
    timeline,
)
from autoreduce.report.rows import (
    choice_rows,
    frame_columns,
    frame_rows,
    group_rows,
    recipe_settings,
    verdict_groups,
)
from autoreduce.report.words import NOTHING, TIMES

NIGHT = datetime(2021, 2, 26, 20, tzinfo=UTC)


def both(report):
    return report, exposures_of(report)


def make_exposure(minute, lane="light", **changes):
    fields = {"seconds": 60.0, "colour": "#123456", "words": "a frame"}
    start = NIGHT + timedelta(minutes=minute)
    return Exposure(lane, start, **{**fields, **changes})


def elements(svg, kind, name):
    found = ET.fromstring(svg).iter(kind)
    return [item for item in found if name in item.get("class", "").split()]


# ------------------------------------------------------------------- tables


def test_only_columns_with_a_value_are_shown():
    names = [name for name, _, _ in frame_columns(make_frames())]
    assert names == [
        "file", "imagetyp", "object", "filter", "exptime", "date_obs", "group"
    ]  # fmt: skip


def test_a_row_of_the_frame_table_shows_and_sorts_each_fact():
    frames = make_frames().assign(saturated=0.00123, median=1013.4567)
    rows = frame_rows(*both(make_report(frames=frames)))
    shown = dict(
        zip((n for n, _, _ in frame_columns(frames)), rows[6].cells, strict=True)
    )
    assert (shown["file"].text, shown["filter"].text) == ("f0.fit", "Ha")
    assert (shown["exptime"].text, shown["exptime"].order) == ("10", "10")
    assert (shown["saturated"].text, shown["saturated"].order) == ("0.12", "0.123")
    assert (shown["median"].text, shown["median"].order) == ("1013", "1013.4567")
    assert shown["date_obs"].text == "2021-02-26 20:20:00"
    assert (shown["object"].text, shown["object"].order) == (NOTHING, "")


def test_a_frame_that_was_left_out_says_why_in_its_row():
    plan = make_plan()
    odd = FakeOutcome(left_out={"d1.fit": remark("left-out", found="odd level")})
    report = make_report(plan, outcomes=make_outcomes(plan, **{DARK: odd}))
    reasons = {row.cells[0].text: row.why_not for row in frame_rows(*both(report))}
    assert reasons.pop("d1.fit") == "odd level"
    assert not any(reasons.values())


def test_groups_come_by_type_with_their_facts_and_products():
    frames = make_frames().assign(ccd_temp=[-20.0, -20.04, -19.91] * 4)
    bias, dark, flat, light = group_rows(*both(make_report(frames=frames)))
    assert [row.imagetyp for row in (bias, dark, flat, light)] == [
        "bias", "dark", "flat", "light"
    ]  # fmt: skip
    assert light.facts == ("M1", "Ha", "60 s", f"1{TIMES}1", "-20 to -19.9 °C")
    assert flat.facts[:2] == ("Ha", "10 s")
    assert (bias.begin, bias.within) == ("2021-02-26 20:00", "2 min")
    assert dark.outputs == (DARK, FIT)
    assert (light.n_frames, light.n_left_out) == (3, 0)


def test_lights_of_a_group_with_the_same_masters_share_a_row():
    plan = make_plan(verdicts=LEDGER)
    (row,) = choice_rows(make_report(plan), Action.CALIBRATE, FocalPlane())
    assert (row.group, row.n_frames, row.level) == ("M1_Ha", 3, 0)
    assert [choice.output for choice in row.choices] == [BIAS, DARK, FLAT]
    assert row.complete


def test_lights_of_a_group_with_other_masters_stand_in_a_row_of_their_own():
    bare = inputs(["l2.fit"], Calibration(bias=BIAS))
    lacks = tuple(remark(f"no-{need}", found="none") for need in ("dark", "flat"))
    plan = make_plan(
        calibrate("l0.fit"),
        calibrate("l1.fit"),
        calibrate("l2.fit", frames=bare, missing=lacks),
    )
    full, poor = choice_rows(make_report(plan), Action.CALIBRATE, FocalPlane())
    assert (full.n_frames, poor.n_frames) == (2, 1)
    assert (full.complete, poor.complete) == (True, False)
    assert [choice.is_lacking for choice in poor.choices] == [False, True, True]


def uses_of(*uses):
    return {"M1_Ha": {use.need: use for use in uses}}


def test_a_master_is_said_to_fit_as_its_use_says():
    taken = calibrate("l0.fit").frames[0].calibration
    light = FrameInput("l0.fit", taken, setup="M1_Ha")
    uses = uses_of(
        Use("bias", BIAS, 0, same_night=True),
        Use("dark", DARK, 0, days=3.0, method=DarkMethod.EXACT),
        Use("flat", FLAT, 1, days=0.375, unconfirmed=("telescop",)),
    )
    plan = make_plan(calibrate("l0.fit", frames=(light,)), uses=uses)
    (row,) = choice_rows(make_report(plan), Action.CALIBRATE, FocalPlane())
    said = [(choice.level, choice.words) for choice in row.choices]
    assert said == [
        (0, "same night"),
        (0, "3.0 d away"),
        (1, "9.0 h away, telescope not confirmed"),
    ]


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ([(0.25, 0.0)] * 3, f"{TIMES} 0.25"),
        ([(0.25, 0.0), (0.31, 0.0), (0.28, 0.0)], f"{TIMES} 0.25 to 0.31"),
        ([(0.0056, 5.9), (0.0111, 5.8)], f"{TIMES} 0.0056 to 0.0111 + 5.8 to 5.9 ADU"),
        ([(1.0, 0.0)], ""),
        ([], ""),
    ],
)
def test_factor_and_offset_of_a_dark_are_shown_as_the_run_used_them(used, words):
    plan = make_plan(uses={"": {"dark": Use("dark", DARK, by_hand=True)}})
    words = ", ".join(word for word in ("chosen by hand", words) if word)
    measured = {
        f"f{i}.fit": {"dark_scale": scale, "dark_offset": offset}
        for i, (scale, offset) in enumerate(used)
    }
    outcomes = make_outcomes(plan, **{FLAT: FakeOutcome(measured=measured)})
    (row,) = choice_rows(
        make_report(plan, outcomes=outcomes), Action.FLAT, FocalPlane()
    )
    assert row.choices[1].output == DARK
    assert row.choices[1].words == words


def test_a_factor_that_the_reason_gives_for_one_frame_is_not_said_twice():
    taken = Calibration(dark=DARK, dark_method=DarkMethod.SCALED, dark_scale=0.75)
    light = FrameInput("l0.fit", taken, setup="M1_Ha")
    use = Use("dark", DARK, 2, DarkMethod.SCALED, 0.75, 60.0, 45.0, days=2.0)
    plan = make_plan(calibrate("l0.fit", frames=(light,)), uses=uses_of(use))
    (row,) = choice_rows(make_report(plan), Action.CALIBRATE, FocalPlane())
    assert row.choices[1].words == f"scaled, 2.0 d away, {TIMES} 0.75"


def test_why_there_is_no_master_is_told_without_saying_so_twice():
    lack = remark("unlike-flat", found="R", expected="filter V", way_out="with a word")
    light = FrameInput("l0.fit", Calibration(), setup="M1_Ha")
    uses = uses_of(Use("flat", lack=lack), Use("bias", held_by=DARK))
    plan = make_plan(calibrate("l0.fit", frames=(light,), missing=(lack,)), uses=uses)
    (row,) = choice_rows(make_report(plan), Action.CALIBRATE, FocalPlane())
    assert row.choices[0].words == "no bias, as dark dark_60s holds it"
    assert row.choices[2].words == "filter V wanted, there is R (with a word)"
    assert [choice.is_lacking for choice in row.choices] == [False, False, True]


def test_the_ledger_is_told_by_group_with_the_chosen_ones_apart():
    (group,) = verdict_groups(make_plan(verdicts=LEDGER), FocalPlane())
    assert group.group == "M1_Ha"
    assert [entry.candidate for entry in group.chosen] == [DARK]
    assert [entry.found for entry in group.rejected] == ["180 s"]


def test_a_group_that_took_every_candidate_is_not_in_the_ledger():
    taken = replace(LEDGER[0], setup="M1_V")
    groups = verdict_groups(make_plan(verdicts=(taken, *LEDGER)), FocalPlane())
    assert [group.group for group in groups] == ["M1_Ha"]


def test_masters_of_one_name_in_two_libraries_are_told_apart():
    entries = [
        Verdict(
            "M1_Ha", "flat", f"{place}/flat_V.fits", False, None, "filter", "Ha", "V"
        )
        for place in ("/one", "/other", "/other")
    ]
    (group,) = verdict_groups(make_plan(verdicts=entries), FocalPlane())
    found = [entry.candidate for entry in group.rejected]
    assert found == ["/one/flat_V.fits", "/other/flat_V.fits"]


def test_every_setting_of_the_recipe_is_listed_under_its_part():
    settings = dict(recipe_settings(make_plan()))
    parts = [
        "overscan", "linearity", "amplifiers", "bias", "dark", "flat", "light", "stack", "picture", "quality"
    ]  # fmt: skip
    assert list(settings) == parts
    assert ("mask moving", "True") in settings["flat"]
    assert ("model", "rate_map") in settings["dark"]
    assert ("rejection", "sigma") in settings["dark"]


# ---------------------------------------------------------------- the night


def test_the_light_gathered_is_summed_by_object_and_filter_without_lost_frames():
    frames = make_frames()
    frames.loc[frames["file"] == "l2.fit", "use"] = False
    ((name, (through,)),) = light_gathered(exposures_of(make_report(frames=frames)))
    assert (name, through.name) == ("M1", "Ha")
    assert through.words == "2 frames, 2 min"


def test_the_night_says_its_cameras_and_hours():
    frames = make_frames().assign(instrume=["B", "A"] * 6, telescop="T")
    assert about(frames) == ["A and B", "T", "2021-02-26 20:00 to 20:32 UTC"]


def test_every_dated_frame_is_a_bar_in_the_lane_of_its_type_or_object():
    frames = make_frames()
    frames.loc[frames["file"] == "b0.fit", "date_obs"] = None
    bars = exposures(exposures_of(make_report(frames=frames)))
    assert len(bars) == 11
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    assert lanes == ["bias", "dark", "flat", "M1"]
    assert "l0.fit · light · M1 · Ha · 60 s" in bars[-3].words


def test_the_legend_names_each_colour_that_is_drawn():
    frames = make_frames()
    frames.loc[frames["file"] == "l2.fit", "filter"] = None
    named = dict(legend(frames))
    assert list(named) == ["bias", "dark", "Ha", "light, no filter named"]
    drawn = {bar.colour for bar in exposures(exposures_of(make_report(frames=frames)))}
    assert drawn == set(named.values())


def test_levels_are_compared_with_the_middle_of_their_group():
    frames = make_frames()
    frames["median"] = [1000.0, 1000.0, 1010.0, 0.0, 0.0, 0.0, *[5.0] * 5, None]
    plan = make_plan()
    odd = FakeOutcome(left_out={"b2.fit": remark("left-out", found="odd level")})
    report = make_report(
        plan, frames=frames, outcomes=make_outcomes(plan, **{BIAS: odd})
    )
    found = deviations(report)
    lanes = [deviation.lane for deviation in found]  # the darks have no scale
    assert lanes == ["bias"] * 3 + ["flat_Ha"] * 3 + ["M1_Ha"] * 2
    assert [deviation.value for deviation in found[:3]] == pytest.approx([0, 0, 0.01])
    assert [deviation.left_out for deviation in found[:3]] == [False, False, True]
    assert found[2].words == "b2.fit · 1010 ADU · +1 % · left out: odd level"


def test_a_group_of_one_frame_has_no_middle():
    frames = make_frames().assign(median=100.0)
    frames["group"] = frames["file"]
    assert deviations(make_report(frames=frames)) == []


def test_levels_below_the_noise_of_a_pixel_are_no_scale():
    frames = make_frames().assign(median=[0.01, 0.03, -0.02] * 4, noise=3.7)
    assert deviations(make_report(frames=frames)) == []


# ----------------------------------------------------------------- drawings


def test_a_timeline_has_a_bar_for_every_exposure_and_marks_those_left_out():
    bars = [make_exposure(0), make_exposure(5, "bias", left_out=True)]
    svg = timeline(bars)
    assert len(elements(svg, "rect", "bar")) == 2
    assert len(elements(svg, "path", "cross")) == 1


def test_bars_are_as_long_as_their_exposures_and_in_order_of_time():
    svg = timeline([make_exposure(0, seconds=600.0), make_exposure(20, seconds=1200.0)])
    first, second = elements(svg, "rect", "bar")
    ratio = (float(second.get("width")) + 0.6) / (float(first.get("width")) + 0.6)
    assert ratio == pytest.approx(2.0, rel=0.01)
    assert float(second.get("x")) > float(first.get("x")) + float(first.get("width"))


def test_days_without_a_frame_take_no_room():
    bars = [make_exposure(minute) for minute in (0, 10, 4 * 1440, 4 * 1440 + 10)]
    svg = timeline(bars)
    assert len(elements(svg, "rect", "break")) == 1
    assert "4 d later" in svg
    xs = [float(bar.get("x")) for bar in elements(svg, "rect", "bar")]
    assert xs == sorted(xs)
    assert xs[1] - xs[0] > 200


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_whatever_the_times_all_bars_lie_within_the_drawing(minutes):
    svg = timeline([make_exposure(minute) for minute in minutes])
    for bar in elements(svg, "rect", "bar"):
        left, width = float(bar.get("x")), float(bar.get("width"))
        assert left >= 100
        assert width > 0
        assert left + width <= 1003


def test_levels_are_drawn_around_the_middle_and_marked_where_left_out():
    values = (-0.5, -0.01, 0.0, 0.01, 0.5)
    svg = levels(
        [Deviation("g", value, "#123456", "w", value > 0.1) for value in values]
    )
    xs = [float(dot.get("cx")) for dot in elements(svg, "circle", "dot")]
    assert xs == sorted(xs)
    middle = xs[2]
    assert [x - middle for x in xs] == pytest.approx(
        [middle - x for x in xs[::-1]], abs=0.11
    )
    assert xs[3] - middle > (xs[4] - middle) / 50  # small differences are seen
    assert len(elements(svg, "path", "cross")) == 1
    assert levels([]) == ""


def test_of_a_long_name_the_end_is_drawn_too():
    names = [
        f"light_NGC-7000-North-Am-c16a5e_{band}_60s_1x1" for band in ("Blue", "Red")
    ]
    found = [Deviation(name, 0.0, "#000000", name, False) for name in names]
    labels = [one.text for one in elements(levels(found), "text", "tick")][-2:]
    assert labels == [
        "light_NGC-7000-Nor…Blue_60s_1x1",
        "light_NGC-7000-Nor…_Red_60s_1x1",
    ]


@given(st.lists(st.floats(-0.999, 1e4), min_size=1, max_size=9))
def test_whatever_the_levels_all_dots_lie_within_the_drawing(values):
    svg = levels([Deviation("g", value, "#123456", "w") for value in values])
    xs = [float(dot.get("cx")) for dot in elements(svg, "circle", "dot")]
    assert len(xs) == len(values)
    assert min(xs) >= 230
    assert max(xs) <= 996


def test_a_night_without_dated_frames_has_no_timeline():
    assert timeline([]) == ""


def test_names_in_drawings_are_escaped():
    svg = timeline([make_exposure(0, lane="<b>&'\"", words="<script>")])
    texts = [item.text for item in ET.fromstring(svg).iter("text")]
    assert "<b>&'\"" in texts


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_evenly_spaced_and_within_the_ends(low, length, n):
    found = ticks(low, low + length, n)
    steps = [b - a for a, b in pairwise(found)]
    assert all(step == pytest.approx(steps[0], rel=1e-3, abs=1e-9) for step in steps)
    slack = 1e-6 * length + 1e-15 * abs(low)  # as exact as such numbers are
    assert all(low - slack <= t <= low + length + slack for t in found)
    assert len(found) <= n + 1


def test_the_dark_fit_shows_every_point_twice_with_its_error():
    svg = dark_fit(DARK_FIT)
    points = elements(svg, "circle", "point")
    assert len(points) == 6  # with the residuals
    heights = [float(point.get("cy")) for point in points[:3]]
    assert heights == sorted(heights, reverse=True)
    errors = elements(svg, "line", "error")
    assert errors[0].get("y1") != errors[0].get("y2")
    assert errors[1].get("y1") == errors[1].get("y2")  # an error that is not known


def test_the_line_of_the_dark_fit_goes_through_points_that_lie_on_it():
    points = [
        {"exptime": t, "counts": 2.0 + 0.1 * t, "error": None} for t in (30.0, 90.0)
    ]
    svg = dark_fit({**DARK_FIT, "points": points, "offset": 2.0, "slope": 0.1})
    line = elements(svg, "line", "fit")[0]
    x1, y1, x2, y2 = (float(line.get(name)) for name in ("x1", "y1", "x2", "y2"))
    for point in elements(svg, "circle", "point")[:2]:
        x, y = float(point.get("cx")), float(point.get("cy"))
        assert y == pytest.approx(y1 + (y2 - y1) * (x - x1) / (x2 - x1), abs=0.2)


def test_a_fit_of_which_nothing_is_known_but_points_can_be_drawn():
    nan = float("nan")
    unknown = dict.fromkeys(("offset_error", "slope_error", "covariance"), nan)
    svg = dark_fit({**DARK_FIT, **unknown})
    assert "nan" not in svg
    assert elements(svg, "polygon", "band") == []
    assert dark_fit({**DARK_FIT, "points": []}) == ""


def test_a_histogram_rises_to_its_tallest_bin():
    svg = histogram([1, 4, 0], (0.0, 3.0))
    (path,) = ET.fromstring(svg).iter("path")
    assert path.get("d") == "M0 30V16.0H1V2.0H2V30.0H3V30Z"
    assert histogram([], (0.0, 1.0)) == ""
