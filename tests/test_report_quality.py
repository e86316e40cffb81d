"""The numbers that the page draws: what they are, which are odd, how noise falls."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_night import (
    DARK,
    FIT,
    STACK,
    FakeOutcome,
    calibrate,
    make_frames,
    make_outcomes,
    make_plan,
    make_report,
    write_products,
)

from autoreduce.frames.schema import FRAME_COLUMNS
from autoreduce.planning.focalplane import FocalPlane
from autoreduce.products.lightlist import LIGHT_COLUMNS
from autoreduce.remarks import remark
from autoreduce.report.exposures import exposures_of
from autoreduce.report.quality import GLOSSARY, expected_noise, is_odd, report_data
from autoreduce.report.render import MEANINGS, meaning, render_report, write_report
from autoreduce.report.rows import FRAME_COLUMNS as SHOWN
from autoreduce.report.rows import frame_rows, light_groups
from autoreduce.report.summary import verdict


def lights(**columns):
    """Make a table of three lights; what is not given is not known."""
    standard = {
        "light": [f"calibrated/l{n}.fits" for n in range(3)],
        "stack": [STACK] * 3,
        "sky_noise": [4.0, 4.0, 4.0],
        "flux_scale": [1.0, 2.0, 1.0],
        "weight": [0.25, 0.25, 0.5],
        "fwhm": [3.0, 3.1, 2.9],
    }
    names = [column.name for column in LIGHT_COLUMNS]
    return pd.DataFrame({**standard, **columns}).reindex(columns=names)


def told(table=None, **fields):
    return report_data(
        make_report(lights=lights() if table is None else table, **fields)
    )


def test_each_frame_has_a_value_in_each_column_and_nothing_stands_for_unknown():
    data = told()
    frames = data["frames"]
    assert {len(values) for values in frames.values()} == {12}
    light = frames["file"].index("l1.fit")
    assert frames["fwhm"][light] == 3.1
    assert frames["fwhm"][frames["file"].index("b0.fit")] is None
    assert frames["time"][light] == pd.Timestamp("2021-02-26T20:31Z").timestamp()
    json.dumps(data, allow_nan=False)


def test_only_what_is_known_of_a_frame_is_to_be_drawn():
    assert [one["name"] for one in told()["series"]] == [
        "fwhm",
        "transparency",
        "weight",
    ]
    wide = lights(fwhm_arcsec=[1.5, 1.55, 1.45], dx=[0.0, 1.5, -2.0])
    names = [one["name"] for one in told(wide)["series"]]
    assert names == ["fwhm_arcsec", "transparency", "dx", "weight"]


def test_widths_are_in_pixels_where_one_light_has_no_scale():
    some = lights(fwhm=[2.0, 2.1, 1.9], fwhm_arcsec=[1.5, np.nan, 1.45])
    found = told(some)
    assert "fwhm_arcsec" not in found["frames"]
    assert [v for v in found["frames"]["fwhm"] if v] == [2.0, 2.1, 1.9]


def test_lights_that_no_stack_was_planned_for_are_not_crossed():
    plan = make_plan()
    plan = replace(plan, tasks=tuple(t for t in plan.tasks if t.output != STACK))
    frames = make_frames()
    frames.loc[frames["file"] == "l2.fit", "unstacked"] = "single lights"
    found = told(plan=plan, frames=frames)["frames"]
    at = found["file"].index("l2.fit")
    assert (found["why"][at], found["out"][at]) == ("single lights", 0)


def test_transparency_is_that_of_the_clearest_light_of_the_stack():
    frames = told()["frames"]
    at = [frames["file"].index(f"l{n}.fit") for n in range(3)]
    assert [frames["transparency"][i] for i in at] == [100.0, 50.0, 100.0]


def test_transparency_is_of_the_same_exposure():
    frames = make_frames()
    frames.loc[frames["file"] == "l1.fit", "exptime"] = 30.0
    found = told(frames=frames)["frames"]
    at = [found["file"].index(f"l{n}.fit") for n in range(3)]
    assert [found["transparency"][i] for i in at] == [100.0, 100.0, 100.0]


def test_the_sky_is_that_of_a_second():
    frames = make_frames()
    frames.loc[frames["imagetyp"] == "light", "sky"] = 900.0
    found = told(frames=frames)["frames"]
    assert found["sky"][found["file"].index("l0.fit")] == 15.0


def test_frames_that_take_no_part_say_why():
    plan = make_plan()
    odd = {"d1.fit": remark("odd-level", found="1039 ADU", expected="5 have 1025")}
    frames = make_frames()
    frames.loc[frames["file"] == "l2.fit", "unstacked"] = "clouded out"
    found = told(
        plan=plan,
        frames=frames,
        outcomes=make_outcomes(plan, **{DARK: FakeOutcome(left_out=odd)}),
    )["frames"]
    why = dict(zip(found["file"], found["why"], strict=True))
    assert why["d1.fit"] == "level 1039 ADU, the other 5 have 1025"
    assert why["l2.fit"] == "clouded out"
    assert [
        file for file, out in zip(found["file"], found["out"], strict=True) if out
    ] == [
        "d1.fit",
        "l2.fit",
    ]


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        ([3.0, 3.1, 2.9, 3.05, 6.0], [4]),
        ([3.0, 3.1, 2.9, 3.05, 3.2], []),
        ([3.0, 3.0, 3.0, 3.0, 3.2], []),  # alike, but not by less than 2 %
        ([3.0, 3.0, 3.0, 3.0, 3.4], [4]),
        ([3.0, np.nan, 3.0, 3.0, 3.0, 9.0], [5]),
        ([3.0, 3.0, 9.0], []),  # who is odd of three?
        ([], []),
    ],
)
def test_a_value_far_from_the_others_is_odd(values, odd):
    assert np.flatnonzero(is_odd(np.array(values, float))).tolist() == odd


def test_odd_frames_are_marked_in_their_group_only():
    plan = make_plan(*(calibrate(f"l{n}.fit") for n in range(6)))
    frames = make_frames()
    rows = frames[frames["file"].isin(["l0.fit", "l1.fit", "l2.fit"])]
    more = rows.assign(file=["l3.fit", "l4.fit", "l5.fit"])
    table = pd.DataFrame(
        {
            "light": [f"calibrated/l{n}.fits" for n in range(6)],
            "fwhm": [3.0, 3.0, 3.1, 2.9, 3.0, 7.0],
        }
    ).reindex(columns=[column.name for column in LIGHT_COLUMNS])
    found = told(table, plan=plan, frames=pd.concat([frames, more]))["frames"]
    assert dict(zip(found["file"], found["odd"], strict=True))["l5.fit"] == ["fwhm"]
    assert sum(map(bool, found["odd"])) == 1


def test_noise_falls_with_the_square_root_of_equal_lights():
    found = expected_noise(np.full(4, 6.0), np.full(4, 0.25))
    assert found == pytest.approx([6.0, 6 / np.sqrt(2), 6 / np.sqrt(3), 3.0])


def test_noise_of_unequal_lights_goes_by_their_weights():
    # (0.8^2 2^2 + 0.2^2 4^2)^1/2 / (0.8 + 0.2)
    found = expected_noise(np.array([2.0, 9.0, 4.0]), np.array([0.8, 0.0, 0.2]))
    assert found == pytest.approx([2.0, np.sqrt(2.56 + 0.64)])


def test_the_noise_of_a_stack_stands_beside_what_it_should_be():
    report = make_report(lights=lights())
    (stack,) = report_data(report, {STACK: 2.5})["stacks"]
    assert (stack["output"], stack["filter"], stack["measured"]) == (STACK, "Ha", 2.5)
    # The second light is scaled by 2, and so is its noise.
    last = np.sqrt((0.25 * 4) ** 2 + (0.25 * 8) ** 2 + (0.5 * 4) ** 2)
    assert stack["expected"] == pytest.approx([4.0, 4.47214, last], rel=1e-5)
    assert report_data(report)["stacks"][0]["measured"] is None


def test_coarse_counts_show_no_noise_and_mosaics_have_no_one_line():
    report = make_report(lights=lights())
    assert report_data(report, {STACK: 0.001})["stacks"][0]["measured"] is None
    plan = report.plan
    tasks = [
        replace(task, facts={**task.facts, "bayerpat": "RGGB"}) for task in plan.tasks
    ]
    mosaic = make_report(replace(plan, tasks=tuple(tasks)), lights=lights())
    assert report_data(mosaic, {STACK: 2.5})["stacks"] == []


def test_the_noise_of_another_field_goes_by_its_own_lights():
    second = STACK.replace(".fits", "_field2.fits")
    report = make_report(lights=lights(stack=[STACK, second, second]))
    stacks = report_data(report, {second: 3.0})["stacks"]
    assert [(s["output"], len(s["expected"])) for s in stacks] == [
        (STACK, 1),
        (second, 2),
    ]
    assert [s["measured"] for s in stacks] == [None, 3.0]


def test_measured_noise_is_that_of_the_pixels(tmp_path):
    report = make_report(lights=lights())
    write_products(tmp_path, report.plan)
    rng = np.random.default_rng(3)
    from astropy.io import fits

    y, x = np.mgrid[:300, :400]
    sky = 100 + 0.2 * x + 0.1 * y  # a gradient is no noise
    fits.writeto(
        tmp_path / STACK,
        (sky + rng.normal(0, 7, sky.shape)).astype(np.float32),
        overwrite=True,
    )
    write_report(tmp_path, report)
    data = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert data["stacks"][0]["measured"] == pytest.approx(7, rel=0.05)


# ------------------------------------------------------------------- the verdict


def test_the_verdict_counts_lights_that_are_reduced_and_stacked():
    plan = make_plan()
    report = make_report(plan)
    assert verdict(report) == "3 of 3 lights reduced, 3 in 1 stack"
    odd = {"calibrated/l1.fits": remark("trailed", found="2", expected="1.1")}
    ends = make_outcomes(plan, **{STACK: FakeOutcome(left_out=odd)})
    assert (
        verdict(replace(report, outcomes=ends)) == "3 of 3 lights reduced, 2 in 1 stack"
    )
    ends["calibrated/l0.fits"] = FakeOutcome("failed")
    assert (
        verdict(replace(report, outcomes=ends)) == "2 of 3 lights reduced, 1 in 1 stack"
    )
    ends[STACK] = FakeOutcome("failed")
    assert (
        verdict(replace(report, outcomes=ends)) == "2 of 3 lights reduced, none stacked"
    )


LACK = remark("no-flat", found="there are no flats")


def test_a_group_has_its_worst_level_and_is_never_best_beside_incomplete(tmp_path):
    plan = make_plan(
        calibrate("l0.fit"),
        calibrate("l1.fit", level=3),
        calibrate("l2.fit", group="M1_V", missing=(LACK,)),
    )
    report = make_report(plan)
    best, lacking = light_groups(report, FocalPlane())
    assert (best.group, best.level, best.lacks) == ("M1_Ha", 3, ())
    assert (best.n_lights, best.n_reduced, best.n_stacked) == (2, 2, 2)
    assert lacking.lacks == ("flat",)
    html = render_report(tmp_path, report)
    section = html[html.index('class="verdict"') : html.index("</table>")]
    assert "3 · makeshift" in section
    assert "0 · best" not in section
    assert "incomplete" in section


def test_frames_without_a_master_are_incomplete_in_the_table_too():
    plan = make_plan(calibrate("l0.fit", missing=(LACK,)), calibrate("l1.fit"))
    frames = make_frames().assign(level=0)
    at = [name for name, _, _ in SHOWN if name != "saturated"].index("level")
    report = make_report(plan, frames=frames)
    rows = frame_rows(report, exposures_of(report))
    texts = {row.cells[0].text: [cell.text for cell in row.cells] for row in rows}
    assert "incomplete" in texts["l0.fit"]
    assert "incomplete" not in texts["l1.fit"]
    assert at > 0


@pytest.mark.parametrize(("slope", "is_marked"), [(-0.2, True), (-0.01, False)])
def test_a_negative_dark_current_is_marked(tmp_path, slope, is_marked):
    report = make_report()
    fit = {**report.fits[FIT], "slope": slope, "slope_error": 0.01}
    html = render_report(tmp_path, replace(report, fits={FIT: fit}))
    assert ("The dark current is negative" in html) == is_marked


# ------------------------------------------------------------------ the glossary


def test_every_number_of_a_product_is_explained(notes_night):
    report = notes_night.reduced.report
    names = {name for end in report.outcomes.values() for name in end.statistics}
    fits = {name for name in names if name in FIT_NUMBERS}
    assert sorted(name for name in names - fits if not meaning(name)) == []


FIT_NUMBERS = {
    "n", "linear", "chi_square", "covariance", "slope_error", "offset_error", "glowing",
    "non_linear", "placed", "fields", "lights",
}  # fmt: skip
"""Of fits and registrations, which have no picture with numbers below it."""


def test_every_column_is_explained():
    assert {column.name for column in FRAME_COLUMNS} <= set(MEANINGS)
    assert meaning("chi square") == GLOSSARY["chi square"]
    assert meaning("level error") == GLOSSARY["level_error"]
    assert meaning("nothing like it") == ""


def test_photon_transfer_is_drawn_with_the_gain_that_fits_it(notes_night):
    data = json.loads((notes_night.reduced.folder / "report.json").read_text())
    flats = [curve["output"] for curve in data["transfers"]]
    assert len(flats) == 8
    for curve in data["transfers"]:
        signal, variance = np.array(curve["signal"]), np.array(curve["variance"])
        assert 50 < len(signal) <= 200
        assert np.median(signal / variance) == pytest.approx(curve["gain"], rel=0.1)
