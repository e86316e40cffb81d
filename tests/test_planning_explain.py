"""The plan in words: group by group, and one frame in full."""

import json
from dataclasses import asdict

import pandas as pd
import pytest

from autoreduce.errors import TableError
from autoreduce.frames.schema import EVIDENCE_COLUMNS, make_frame_table
from autoreduce.planning.explain import (
    candidate_text,
    describe_plan,
    explain_frames,
    frame_stories,
)
from autoreduce.planning.focalplane import focal_plane
from autoreduce.planning.plan import Action, Verdict
from autoreduce.planning.planner import annotate, make_plan

ROWS = [
    {"file": "bias.fits", "imagetyp": "bias", "exptime": 0.0},
    {"file": "dark.fits", "imagetyp": "dark", "exptime": 80.0},
    {"file": "f1.fits", "imagetyp": "flat", "filter": "R", "exptime": 11.55},
    {"file": "f2.fits", "imagetyp": "flat", "filter": "R", "exptime": 12.08},
    {"file": "r1.fits", "imagetyp": "light", "filter": "R", "exptime": 80.0},
    {"file": "r2.fits", "imagetyp": "light", "filter": "R", "exptime": 80.0},
    {"file": "v.fits", "imagetyp": "light", "filter": "V", "exptime": 200.0},
    {"file": "x.fits", "imagetyp": "light", "use": False, "why_not": "cloudy"},
]


@pytest.fixture(scope="module")
def frames():
    common = {
        "instrume": "CAM",
        "xbinning": 1,
        "ybinning": 1,
        "set_temp": -25.0,
        "night": "2024-03-01",
        "date_obs": "2024-03-01T20:00:00",
    }
    return make_frame_table([{"object": "M13", **common, **row} for row in ROWS])


@pytest.fixture(scope="module")
def plan(frames):
    return make_plan(frames)


@pytest.fixture(scope="module")
def evidence():
    line = ("r1.fits", "imagetyp", "light", "IMAGETYP", "Light Frame", "maxim", "")
    other = ("r1.fits", "filter", "R", "FILTER", "R", "maxim", "INSFLNAM = V")
    return pd.DataFrame([line, other], columns=list(EVIDENCE_COLUMNS))


def test_the_plan_is_summed_up_group_by_group(plan):
    summary = describe_plan(plan)
    rows = {row.group: row for row in summary}
    kinds = [row.kind for row in summary]
    assert kinds == ["bias", "dark", "flat", "light", "light"]
    flat = rows["flat_R_1x1"]
    assert (flat.n_frames, flat.exposure) == (2, "11.55 - 12.08 s")
    assert flat.dark == "dark_80s_1x1_m25C (scaled x 0.144 - 0.151)"
    assert flat.level == 3
    light = rows["light_M13_R_80s_1x1"]
    assert (light.bias, light.flat) == ("bias_1x1_m25C", "flat_R_1x1")
    assert light.dark == "dark_80s_1x1_m25C (exact)"
    assert light.output == "stacks/light_M13_R_80s_1x1.fits"


def test_the_summary_says_what_is_missing(plan):
    last = describe_plan(plan)[-1]
    dark, flat = last.missing
    assert str(dark).startswith(
        "no dark: exposure 200 s wanted, there is 80 s (--extrap"
    )
    assert str(flat) == "no flat: filter V wanted, there is R"
    assert last.output == ""


def test_a_dark_that_is_fitted_is_shown_as_such():
    rows = [*ROWS[:2], {**ROWS[1], "file": "d2.fits", "exptime": 20.0}, *ROWS[2:4]]
    table = make_frame_table([{"night": "2024-03-01", **row} for row in rows])
    rows = describe_plan(make_plan(table))
    assert rows[3].dark == "dark_80s (fitted)"
    fit = rows[-1]
    assert (fit.kind, fit.group, fit.n_frames) == ("dark fit", "dark_current", 2)


def test_a_bias_in_the_dark_is_shown_as_such():
    table = make_frame_table([{"night": "2024-03-01", **row} for row in ROWS[1:6]])
    summary = describe_plan(make_plan(table))
    assert [row.bias for row in summary if row.kind == "light"] == ["in the dark"]


def test_a_frame_is_told_with_its_keywords(frames, plan, evidence):
    text = explain_frames(frames, plan, evidence, ["r1.fits"]).splitlines()
    assert text[:3] == [
        "r1.fits",
        "  group light_M13_R_80s_1x1 of 2 frames, makes calibrated/r1.fits",
        "  stacked into stacks/light_M13_R_80s_1x1.fits",
    ]
    assert "  imagetyp   light    from IMAGETYP = Light Frame" in text
    assert "  filter     R    from FILTER = R    but INSFLNAM = V" in text
    assert "What is taken out of it (level 0)" in text
    assert "  flat flat_R_1x1, same night" in text
    assert "  dark_80s_1x1_m25C: taken, level 0" in text


def test_a_rejected_candidate_is_told_with_both_values(frames, plan, evidence):
    text = explain_frames(frames, plan, evidence, ["v.fits"])
    assert "  flat_R_1x1: not fit, filter (wanted V, found R)" in text
    assert "  dark_80s_1x1_m25C: not fit, exposure (wanted 200 s, found 80 s)" in text
    assert "  no flat: filter V wanted, there is R" in text


def test_the_flats_of_one_group_are_told_each_by_its_own_exposure(
    frames, plan, evidence
):
    texts = [explain_frames(frames, plan, evidence, [f"f{i}.fits"]) for i in (1, 2)]
    assert "dark dark_80s_1x1_m25C scaled by 0.1444, same night" in texts[0]
    assert "dark dark_80s_1x1_m25C scaled by 0.151, same night" in texts[1]


def test_a_frame_that_is_left_out_says_why(frames, plan, evidence):
    text = explain_frames(frames, plan, evidence, ["x.fits"])
    assert "  is left out: cloudy" in text
    assert "Candidates" not in text


def test_a_frame_of_no_product_says_so(evidence):
    table = make_frame_table([{**ROWS[2], "night": "2024-03-01"}])
    text = explain_frames(table, make_plan(table), evidence, ["f1.fits"])
    assert "takes part in nothing that is made" in text


def test_several_frames_are_told_one_after_the_other(frames, plan, evidence):
    both = explain_frames(frames, plan, evidence, ["r1.fits", "x.fits"])
    one_by_one = [
        explain_frames(frames, plan, evidence, [f]) for f in ("r1.fits", "x.fits")
    ]
    assert both == "\n\n".join(one_by_one)


def test_an_unknown_frame_is_refused_with_the_nearest(frames, plan, evidence):
    with pytest.raises(TableError, match=r"no frame r3.fits; nearest are r[12].fits"):
        explain_frames(frames, plan, evidence, ["r3.fits"])


def test_the_machine_form_says_the_same(frames, plan, evidence):
    story, other = frame_stories(frames, plan, evidence, ["r1.fits", "x.fits"])
    stories = json.loads(json.dumps([asdict(story), asdict(other)]))
    assert stories[0]["group"] == story.group
    assert stories[0]["steps"] == list(story.steps)
    assert stories[0]["candidates"][0]["candidate"] == "masters/bias_1x1_m25C.fits"
    assert stories[0]["facts"][0] == {
        "fact": "imagetyp",
        "value": "light",
        "source": "IMAGETYP = Light Frame",
        "disagree": "",
    }
    assert (stories[1]["use"], stories[1]["why_not"]) == (False, "cloudy")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"chosen": True, "level": 2}, "d: taken, level 2"),
        (
            {"chosen": True, "level": None, "criterion": "chosen by hand"},
            "d: taken: chosen by hand",
        ),
        (
            {"chosen": False, "level": None, "criterion": "gain"},
            "d: not fit, gain (wanted 1, found 2)",
        ),
        (
            {"chosen": False, "level": 0, "criterion": "chosen by hand"},
            "d: level 0, another was chosen by hand",
        ),
        (
            {"chosen": False, "level": 1, "criterion": "time"},
            "d: level 1, another is better by time (taken: 1, this: 2)",
        ),
    ],
)
def test_each_candidate_is_one_line(fields, text):
    entry = Verdict("g", "dark", "masters/d.fits", **fields, wanted="1", found="2")
    assert candidate_text(entry) == text


def test_months_of_nights_are_told_by_the_first_masters_and_the_best_candidates():
    nights = [f"2024-03-{n:02d}" for n in range(1, 15)]
    rows = [
        {
            "file": f"{night}/{kind}{n}.fits", "imagetyp": kind, "instrume": "CAM",
            "xbinning": 1, "ybinning": 1, "set_temp": -25.0, "night": night,
            "date_obs": f"{night}T20:0{n}:00", "exptime": 60.0 * (kind == "light"),
            "object": "M13" if kind == "light" else None,
        }
        for night in nights for kind in ("bias", "light") for n in (1, 2)
    ]  # fmt: skip
    frames = make_frame_table(rows)
    plan = make_plan(frames)
    light = describe_plan(plan)[-1]
    assert light.bias.count("bias_") == 6
    assert light.bias.endswith(", and 8 more")
    empty = pd.DataFrame(columns=list(EVIDENCE_COLUMNS))
    text = explain_frames(frames, plan, empty, ["2024-03-05/light1.fits"])
    assert "Candidates for its bias, the best or closest" in text
    assert "bias_1x1_m25C_2024-03-05: taken, level 0" in text
    assert "bias_1x1_m25C_2024-03-14" not in text


def test_dark_fits_of_the_detectors_of_a_camera_share_a_line():
    common = {"instrume": "CAM", "xbinning": 1, "ybinning": 1, "night": "2024-03-01"}
    of_all = {"naxis1": 64, "naxis2": 64, "set_temp": -90.0, **common}
    exposures = [
        {"imagetyp": "bias", "exptime": 0.0},
        {"imagetyp": "dark", "exptime": 20.0},
        {"imagetyp": "dark", "exptime": 60.0},
        {"imagetyp": "dark", "exptime": 120.0},
        {"imagetyp": "light", "exptime": 300.0, "filter": "R", "object": "M13"},
    ]
    table = make_frame_table(
        [
            {"file": f"{n}.fits[{hdu}]", "detector": detector, **of_all, **row}
            for n, row in enumerate(exposures)
            for hdu, detector in enumerate(("East", "West"), start=1)
        ]
    )
    plan = make_plan(table)
    assert [task.action for task in plan.tasks].count(Action.DARK_FIT) == 2
    (row,) = (
        row
        for row in describe_plan(plan, focal_plane(annotate(table, plan)))
        if row.kind == "dark fit"
    )
    assert (row.group, row.n_frames) == ("dark_current_1x1_m90C", 3)
