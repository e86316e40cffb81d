"""What is doubtful of a frame or product is said in the header of all made from it."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import make_pixels, write_frame, write_night

from autoreduce.cli import cli
from autoreduce.planning.notes import with_doubts
from autoreduce.prepare import prepare_night
from autoreduce.remarks import CODES, Severity, remark
from autoreduce.running.execute import run_plan

DOUBTS = sorted(
    code for code, one in CODES.items() if one.severity is Severity.DOUBTFUL
)


def history(path):
    """Join HISTORY, whose long sentences go over several cards."""
    return " ".join(" ".join(map(str, fits.getheader(path)["HISTORY"])).split())


def products(folder):
    return {
        path.relative_to(folder).as_posix(): history(path)
        for path in sorted(folder.glob("*/*.fit*"))
        if "HISTORY" in fits.getheader(path)
    }


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """Reduce a night in which every doubt that there is is one of a bias frame."""
    root = tmp_path_factory.mktemp("doubts")
    plan = prepare_night(write_night(root / "night")).plan
    notes = [remark(code, "bias_0001.fit", found="a", expected="b") for code in DOUBTS]
    run_plan(with_doubts(replace(plan, notes=(*plan.notes, *notes))), root / "out")
    return products(root / "out")


@pytest.mark.parametrize("code", DOUBTS)
def test_each_doubt_of_a_frame_stands_in_all_that_is_made_from_it(code, reduced):
    sentence = (
        f"bias_0001.fit: {remark(code, 'bias_0001.fit', found='a', expected='b')}"
    )
    wanted = "".join(sentence.split())
    silent = [n for n, told in reduced.items() if wanted not in "".join(told.split())]
    assert not silent
    kinds = {name.split("/")[0] for name in reduced}
    assert kinds == {"masters", "calibrated", "stacks"}


def test_a_frame_of_another_task_makes_no_doubt(tmp_path):
    plan = prepare_night(write_night(tmp_path / "night")).plan
    note = remark("overlapping", "light_0002.fit", found="60 s", expected="1 s")
    plan = with_doubts(replace(plan, notes=(note,)))
    told = {task.output for task in plan.tasks if task.doubts}
    assert told == {"calibrated/light_0002.fit"}


def test_what_is_found_while_a_master_is_made_goes_on_to_the_stack(tmp_path):
    night = write_night(tmp_path / "night", without=("dark",))
    rng = np.random.default_rng(3)
    for n in (1, 2, 3):
        pixels = make_pixels("dark", 60.0, rng) - np.uint16(60)
        write_frame(night, f"dark_{n:04d}.fit", "dark", 60.0, pixels=pixels)
    run = CliRunner().invoke(cli, [str(night), "-q", "-o", str(tmp_path / "out")])
    told = products(tmp_path / "out")
    sentence = "its dark current is negative"
    assert sentence in run.output
    assert sentence in told["masters/dark_60s_1x1_m10C.fits"]
    assert sentence in told["calibrated/light_0001.fit"]
    (stack,) = (text for name, text in told.items() if name.startswith("stacks/"))
    assert "masters/dark_60s_1x1_m10C.fits: its dark current is negative" in stack


def test_every_doubt_of_a_plan_names_frames(tmp_path):
    """Those of the night as a whole, too: no header would say it otherwise."""
    night = write_night(tmp_path / "night")
    for n in (1, 2, 3):
        pixels = make_pixels("bias", 0.0, np.random.default_rng(n)) * np.uint16(16)
        write_frame(night, f"shifted_{n:04d}.fit", "bias", pixels=pixels)
        write_frame(
            night, f"fast_{n:04d}.fit", "light", 6e4, DATE_OBS=f"2024-03-02T20:00:0{n}"
        )
        write_frame(night, f"bare_{n:04d}.fit", "flat", 2.0, FILTER=None)
    write_frame(night, "undated.fit", "light", 60.0, DATE_OBS="yesterday")
    prepared = prepare_night(night)
    doubts = [one for one in prepared.plan.notes if one.severity is Severity.DOUBTFUL]
    files = set(prepared.frames["file"])
    assert {one.code for one in doubts} >= {
        "counts-differ",
        "overlapping",
        "no-date",
        "unnamed-filter",
    }
    assert all(one.subject and files.issuperset(one.subject) for one in doubts)
