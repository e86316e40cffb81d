"""What the report says in words, and in what colours."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_night import (
    BIAS,
    DARK,
    FLAT,
    STACK,
    FakeOutcome,
    calibrate,
    doubt,
    failed,
    inputs,
    make_frame,
    make_frames,
    make_outcomes,
    make_plan,
    make_report,
)

from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.plan import Calibration
from autoreduce.remarks import remark
from autoreduce.report.colours import filter_colour, frame_colour
from autoreduce.report.summary import (
    heading,
    headline,
    left_out,
    remarks,
)
from autoreduce.report.words import (
    NOTHING,
    count,
    day,
    days,
    duration,
    level_word,
    listing,
    number,
    size,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (65535.2, "65535"),
        (1013.46, "1013"),
        (0.254823, "0.2548"),
        (-20.0, "-20"),
        (5.9333, "5.933"),
        (1e-7, "1.000e-07"),
        (2.5e12, "2.500e+12"),
        (np.int64(107), "107"),
        (np.float32(0.5), "0.5"),
        (None, NOTHING),
        (pd.NA, NOTHING),
        (float("nan"), NOTHING),
        (float("inf"), NOTHING),
        ("12", NOTHING),
    ],
)
def test_a_number_is_as_long_as_it_needs_to_be(value, text):
    assert number(value) == text


@given(st.floats(-1e300, 1e300), st.integers(2, 9))
def test_a_number_is_off_by_less_than_half_its_last_digit(value, digits):
    written = float(number(value, digits))
    assert abs(written - value) <= abs(value) * 0.5000001 * 10.0 ** (1 - digits)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (14.2, "14 s"), (119, "119 s"), (600, "10 min"),
     (3 * 3600, "3 h"), (4 * 86400, "4 d")],
)  # fmt: skip
def test_a_duration_is_in_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text


def test_counts_lists_dates_and_levels_read_like_a_sentence():
    assert count(1, "master bias", "master biases") == "1 master bias"
    assert count(0, "frame") == "0 frames"
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert day("2021-02-26") == "26 February 2021"
    assert day("last night") == "last night"
    assert [level_word(level) for level in (0, 1, 2, 3)] == [
        "best", "good", "fair", "makeshift"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2022-10-22", "2022-10-23", "22 to 23 October 2022"),
        ("2025-05-31", "2025-06-04", "31 May to 4 June 2025"),
        ("2016-09-08", "2024-09-08", "8 September 2016 to 8 September 2024"),
        ("tonight", "2024-09-01", "tonight to 1 September 2024"),
    ],
)
def test_a_span_of_dates_says_nothing_twice(first, last, text):
    assert days(first, last) == text


@pytest.mark.parametrize(
    "names",
    [
        ("Ha", "Halpha", "H-Alpha", "H_alpha", "ha 7nm"),
        ("OIII", "O3", "[OIII]", "oiii 3nm"),
        ("L", "Lum", "Luminance"),
        ("r", "sdss_r", "Red", "R"),
    ],
)
def test_spellings_of_a_filter_have_one_colour(names):
    assert len({filter_colour(name) for name in names}) == 1


def test_filters_that_are_seen_together_differ_in_colour():
    for night in ("Ha OIII SII L R G B", "U B V R I", "g r i z", "Ha Hb OIII"):
        colours = [filter_colour(name) for name in night.split()]
        assert len(set(colours)) == len(colours)


def test_of_wheels_in_series_the_filter_that_is_known_counts():
    assert filter_colour("Block 7+OIII") == filter_colour("OIII")


@given(st.text(max_size=12))
def test_any_filter_has_a_colour_and_keeps_it(name):
    assert re.fullmatch("#[0-9a-f]{6}", filter_colour(name))
    assert filter_colour(name) == filter_colour(name)


def test_biases_and_darks_have_no_filter_colour():
    assert frame_colour("dark", "R") == frame_colour("dark", None)
    assert frame_colour("flat", "R") == filter_colour("R")
    assert frame_colour(None, "R") != filter_colour("R")


def test_the_heading_is_the_title_or_the_night():
    assert heading(make_report(title="M1 & friends")) == "M1 & friends"
    assert heading(make_report()) == "Night of 26 February 2021"
    frames = make_frames().assign(use=lambda table: table["imagetyp"] != "bias")
    frames.loc[~frames["use"], "night"] = "1999-12-31"
    assert heading(make_report(frames=frames)) == "Night of 26 February 2021"
    frames = make_frames().assign(night=pd.NA)
    assert heading(make_report(frames=frames)) == "A night without a date"
    nights = ["2021-02-26"] * 11 + ["2021-03-02"]
    frames = make_frames().assign(night=nights)
    expected = "2 nights, 26 February to 2 March 2021"
    assert heading(make_report(frames=frames)) == expected


def test_the_headline_says_what_went_in_and_what_came_out():
    assert headline(make_report()) == (
        "From 12 frames, all used: made 1 master bias, 1 master dark, 1 dark fit, "
        "1 master flat, 3 calibrated lights and 1 stack in 3.2 s."
    )


def test_a_light_that_nothing_was_done_to_is_not_called_calibrated():
    bare = [calibrate(f"l{i}.fit", frames=inputs([f"l{i}.fit"])) for i in range(2)]
    plan = make_plan(*bare, calibrate("l2.fit"))
    told = headline(make_report(plan))
    assert "1 calibrated light" in told
    assert "2 lights without any correction" in told


def test_a_light_whose_masters_were_lost_is_not_called_calibrated():
    plan = make_plan(
        calibrate("l0.fit", frames=inputs(["l0.fit"], Calibration(bias=BIAS)))
    )
    lost = FakeOutcome(remarks=(remark("bias-lost", found="damaged"),))
    outcomes = make_outcomes(plan, **{"calibrated/l0.fits": lost})
    told = headline(make_report(plan, outcomes=outcomes))
    assert "1 light without any correction" in told


def test_the_headline_counts_what_was_current_and_not_what_failed():
    plan = make_plan()
    changes = {FLAT: FakeOutcome("failed"), BIAS: FakeOutcome("current")}
    report = make_report(plan, outcomes=make_outcomes(plan, **changes))
    assert "1 master bias" in headline(report)
    assert "master flat" not in headline(report)
    assert headline(report).endswith(" in 3.2 s; current already: 1 master bias.")


def test_a_night_without_frames_has_a_headline():
    plan = make_plan()
    empty = make_frame_table([])
    assert headline(make_report(plan, frames=empty)) == "No frame was found."
    assert "nothing was made" in headline(make_report(plan, outcomes={}))


def test_frames_left_out_by_table_run_and_plan_are_told_in_order():
    frames = make_frames()
    extra = make_frame("zz.fit", "light", 50, reason="no partner")
    frames = pd.concat([frames, make_frame_table([extra])], ignore_index=True)
    frames.loc[frames["file"] == "l1.fit", ["use", "why_not"]] = [False, "clouds"]
    frames.loc[frames["file"] == "l2.fit", "use"] = False
    plan = make_plan()
    odd = FakeOutcome(left_out={"b1.fit": remark("left-out", found="odd level")})
    report = make_report(
        plan, frames=frames, outcomes=make_outcomes(plan, **{BIAS: odd})
    )
    assert [(file, str(why)) for file, why in left_out(report).items()] == [
        ("b1.fit", "odd level"),
        ("l1.fit", "clouds"),
        ("l2.fit", "no reason is given"),
        ("zz.fit", "no partner"),
    ]


def test_a_night_in_which_all_went_well_needs_no_remark():
    assert remarks(make_report()) == ()


def test_remarks_come_gravest_first_and_equal_ones_are_joined():
    lack = remark("unlike-flat", found="R", expected="filter V")
    plan = make_plan(
        calibrate("l0.fit", missing=(lack,)),
        calibrate("l1.fit", missing=(lack,)),
        calibrate("l2.fit", group="M1_R"),
        notes=(remark("several", found="2 nights"),),
    )
    outcomes = make_outcomes(
        plan,
        **{
            STACK: FakeOutcome(remarks=(doubt("l9", STACK),)),
            FLAT: failed("all flats are saturated"),
            "calibrated/l2.fits": failed("masters/flat_Ha.fits", "blocked"),
        },
    )
    unreadable = pd.DataFrame({"file": ["x.fit", "y.fit"], "reason": ["empty"] * 2})
    report = make_report(plan, outcomes=outcomes, unreadable=unreadable)
    assert [(one.severity, str(one), one.subject) for one in remarks(report)] == [
        ("failed", "all flats are saturated", ()),
        ("blocked", "needs masters/flat_Ha.fits", ()),
        ("missing", "no flat: filter V wanted, there is R", ("M1_Ha (2 frames)",)),
        ("damaged", "empty", ("x.fit", "y.fit")),
        ("doubtful", "without l9, which could not be made", (STACK,)),
        ("note", "frames of 2 nights", ()),
    ]


def test_notes_that_repeat_what_is_missing_are_not_told_twice():
    lack = remark("unlike-flat", found="R", expected="filter V")
    notes = (
        lack.about("2 lights"),
        remark("absent-flat"),
        remark("absent-dark"),
    )
    plan = make_plan(calibrate("l0.fit", missing=(lack,)), notes=notes)
    told = [one for one in remarks(make_report(plan)) if one.severity == "note"]
    assert told == [notes[2]]


def test_a_frame_kept_in_spite_of_a_reason_is_noted_but_not_the_observers_word():
    frames = make_frames()
    frames.loc[0, "why_not"] = "odd level"
    frames.loc[1, ["why_not", "code"]] = ["included by hand", "included"]
    told = remarks(make_report(frames=frames))
    file = frames["file"].iloc[0]
    (one,) = told
    assert (str(one), one.subject) == ("used in spite of this: odd level", (file,))


def test_reasons_that_differ_only_in_the_name_of_the_file_are_told_once():
    files = ["a b.fit", "c.fit", "d.fit"]
    reasons = [f"unknown: --set '{file}: imagetyp=light'" for file in files[:2]]
    unreadable = pd.DataFrame({"file": files, "reason": [*reasons, "d.fit is empty"]})
    told = remarks(make_report(unreadable=unreadable))
    assert [(str(one), one.subject) for one in told] == [
        ("unknown: --set 'FILE: imagetyp=light'", ("a b.fit", "c.fit")),
        ("d.fit is empty", ("d.fit",)),
    ]


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (812_300, "812 kB"),
        (3.4e9, "3.4 GB"),
    ],
)
def test_small_amounts_are_no_zeros(n_bytes, text):
    assert size(n_bytes) == text


def test_a_judgement_comes_with_the_option_that_overrules_it():
    plan = make_plan()
    trailed = remark("trailed", found="2.0", expected="1.1")
    lost = remark("no-place", found="3", expected="M1")
    odd = remark("odd-level", found="9 ADU", expected="7 have 5")
    ends = make_outcomes(
        plan,
        **{
            DARK: FakeOutcome(left_out={"d1.fit": odd}),
            STACK: FakeOutcome(
                left_out={"calibrated/l0.fits": trailed, "calibrated/l1.fits": lost}
            ),
        },
    )
    told = {one.subject: one.flag for one in remarks(make_report(plan, outcomes=ends))}
    assert told == {
        ("d1.fit",): "--include 'd1.fit'",
        ("calibrated/l0.fits",): "--include 'l0.fit'",
        ("calibrated/l1.fits",): "",
    }
