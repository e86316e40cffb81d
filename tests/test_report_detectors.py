"""Reports of cameras with several detectors: one exposure is one thing to look at."""

import io
import json

import numpy as np
import pytest
from report_night import exhibits_of

from autoreduce.cli.console import print_summary
from autoreduce.fits.sections import parse_section
from autoreduce.planning.explain import describe_plan
from autoreduce.planning.focalplane import Place, focal_plane
from autoreduce.planning.plan import Action
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.remarks import remark
from autoreduce.report.exposures import exposures_of
from autoreduce.report.gallery import assembled
from autoreduce.report.overview import light_gathered
from autoreduce.report.quality import report_data
from autoreduce.report.rows import (
    choice_rows,
    frame_rows,
    group_rows,
    light_groups,
    verdict_groups,
)
from autoreduce.report.summary import kinds, remarks
from autoreduce.simulate import simulate_night

FAMILIES = ["bias_1x1_m100C", "flat_V_1x1", "light_NGC-1_V_60s_1x1"]


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Reduce a mosaic of two detectors, of which one is left out of a light."""
    root = tmp_path_factory.mktemp("detectors")
    simulate_night("mosaic", root / "night", size=(128, 100))
    choices = Choices(exclude=("light_2.fits[3]",))
    return reduce_night(root / "night", output=root / "out", choices=choices)


@pytest.fixture(scope="module")
def seen(night):
    return exposures_of(night.report)


def test_an_exposure_is_one_row_and_its_numbers_are_those_of_its_detectors(night, seen):
    rows = {row.cells[0].text: row for row in frame_rows(night.report, seen)}
    assert len(rows) == 13
    assert "West: excluded" in rows["light_2.fits"].why_not
    assert [name for name, row in rows.items() if row.is_out] == []
    of_two = night.report.frames.set_index("file")["median"]
    shown = seen.frames.set_index("file")["median"]
    for name in ("light_1.fits", "flat_3.fits"):
        both = of_two[[f"{name}[1]", f"{name}[3]"]]
        assert shown[name] == pytest.approx(both.mean())


def test_light_is_gathered_once_whatever_the_number_of_detectors(seen):
    ((name, (through,)),) = light_gathered(seen)
    assert (name, through.words) == ("NGC 1", "3 frames, 3 min")


def test_tables_have_one_row_for_all_detectors(night, seen):
    report, plane = night.report, seen.plane
    assert [row.name for row in group_rows(report, seen)] == FAMILIES
    (lights,) = light_groups(report, plane)
    assert (lights.n_lights, lights.n_reduced, lights.n_stacked) == (5, 5, 5)
    (row,) = choice_rows(report, Action.CALIBRATE, plane)
    assert (row.group, row.n_frames) == (FAMILIES[2], 3)
    for group in verdict_groups(report.plan, plane):
        assert group.group in FAMILIES
        assert {entry.criterion for entry in group.rejected} <= {None, ""}
    rows = describe_plan(report.plan, plane)
    assert [(row.group, row.n_frames) for row in rows] == list(
        zip(FAMILIES, (5, 5, 3), strict=True)
    )
    assert (rows[2].bias, rows[2].flat) == tuple(FAMILIES[:2])


def test_products_of_all_detectors_are_one_picture_with_a_table(night):
    shown = exhibits_of(night.report, night.folder)
    n_shown = {action: len(items) for action, items in shown.items()}
    assert n_shown == {
        Action.STACK: 1, Action.BIAS: 1, Action.DARK: 0, Action.FLAT: 1,
        Action.CALIBRATE: 3,
    }  # fmt: skip
    (stack,) = shown[Action.STACK]
    assert (stack.name, stack.facts[0]) == (FAMILIES[2], "2 detectors")
    assert [part.detector for part in stack.parts] == ["East", "West"]
    assert [part.facts[0] for part in stack.parts] == ["3 combined", "2 combined"]
    # Two of 128 x 100 side by side, with a gap.
    assert stack.size[0] / stack.size[1] == pytest.approx(260 / 100, rel=0.02)
    second = shown[Action.CALIBRATE][1]
    assert [part.detector for part in second.parts] == ["East"]
    assert second.size[0] / second.size[1] == pytest.approx(260 / 100, rel=0.02)


def test_the_page_has_each_detector_once_and_the_drawing_one_dot_an_exposure(night):
    page = (night.folder / "report.html").read_text("utf-8")
    assert page.count('href="stacks/light_NGC-1_V_60s_1x1_West.fits"') == 1
    assert "detector East only" in page
    data = json.loads((night.folder / "report.json").read_text("utf-8"))
    assert len(data["frames"]["file"]) == 13
    assert report_data(night.report)["frames"]["file"] == data["frames"]["file"]


def test_the_summary_names_what_detectors_have_in_common(night):
    stream = io.StringIO()
    print_summary(night.report, night.folder, stream=stream)
    text = stream.getvalue()
    assert "From 26 frames (13 exposures of 2 detectors), 25 used" in text
    assert "flat_V_1x1 (5 frames), light_NGC-1_V_60s_1x1 (3 frames): no dark" in text
    assert "flat_V_1x1_East" not in text
    (lack,) = (one for one in remarks(night.report, detailed=True) if one.need)
    assert "flat_V_1x1_East" in lack.subject


def test_of_many_remarks_some_of_each_kind_are_shown():
    many = [remark("unread", f"{n}.fit", found=f"{n}") for n in range(30)]
    rare = remark("failed", "a.fits", found="b")
    shown, others = zip(*kinds([*many, rare]), strict=True)
    assert [len(one) for one in shown] == [5, 1]
    assert [len(one) for one in others] == [25, 0]
    assert kinds(many[:10]) == [(many[:10], [])]


def test_pictures_of_detectors_are_put_where_they_lie_turned_as_they_are():
    up = np.array([[1, 2], [3, 4]], np.uint8)
    places = {
        "low": Place(parse_section("[1:2,1:2]")),
        "high": Place(parse_section("[3:4,3:4]"), (False, True)),
        "lost": Place(parse_section("[3:4,1:2]")),
    }
    made = assembled({"low": up, "high": up * 10}, places, 4)
    wanted = [[0, 0, 20, 10], [0, 0, 40, 30], [1, 2, 0, 0], [3, 4, 0, 0]]
    assert made.tolist() == wanted
    colour = assembled({"low": np.dstack([up] * 3), "high": up}, places, 4)
    assert colour.shape == (4, 4, 3)
    assert colour[2, 1].tolist() == [2, 2, 2]


def test_a_night_of_single_detectors_is_told_frame_by_frame(night):
    frames = night.report.frames.assign(detector=None).astype({"detector": "string"})
    assert not focal_plane(frames).exposures


def test_an_exposure_without_its_first_detector_keeps_its_group(tmp_path):
    simulate_night("mosaic", tmp_path / "night", size=(128, 100))
    choices = Choices(
        exclude=("light_1.fits[1]",), settings=("light_2.fits[3]: filter=R",)
    )
    night = reduce_night(tmp_path / "night", tmp_path / "out", choices=choices)
    rows = exposures_of(night.report).frames.set_index("file")
    assert rows.loc["light_1.fits", "group"] == FAMILIES[2]
    assert rows["naxis1"].dtype == "Int64"
    # What is alone in its group is shown by itself.
    names = {
        one.name for one in exhibits_of(night.report, night.folder)[Action.CALIBRATE]
    }
    assert any("[3]" in name or "_3" in name for name in names), names
