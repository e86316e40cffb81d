"""The frames of a combination: which go in, and what is known of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.calibration.bands import Correction
from autoreduce.calibration.members import (
    dark_columns,
    open_members,
    pair_noise,
    pedestals,
    raw_columns,
)
from autoreduce.calibration.workspace import Workspace
from autoreduce.errors import NoFrameLeftError
from autoreduce.fits.cards import format_card
from autoreduce.fits.images import ImageReader
from autoreduce.fits.writer import write_image
from autoreduce.pixels.measure import measure
from autoreduce.planning.plan import Action, Calibration, FrameInput, Task
from autoreduce.planning.recipe import load_recipe
from autoreduce.remarks import remark


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, tmp_path, load_recipe(), 1 << 20)


def make_task(folder, levels, *, noise=4.0, action=Action.DARK, **item):
    """Write frames of some levels, named after them in their order."""
    rng = np.random.default_rng(1)
    frames = []
    for n, level in enumerate(levels):
        pixels = rng.normal(level, noise, (64, 64)).round().astype(np.uint16)
        fits.writeto(folder / f"{n}.fits", pixels)
        frames.append(FrameInput(f"{n}.fits", **item))
    return Task("m.fits", action, "g", {}, tuple(frames))


def test_frames_that_cannot_be_read_are_left_out_by_name(tmp_path, workspace):
    task = make_task(tmp_path, [300, 300, 300])
    (tmp_path / "1.fits").write_bytes(b"<html>")
    with open_members(task, workspace, ()) as members:
        assert [item.file for item in members.items] == ["0.fits", "2.fits"]
        (why,) = members.left_out.values()
        assert (why.code, why.subject) == ("unread", ("1.fits",))
        assert members.shape == (64, 64)
        assert set(members.statistics) == {"0.fits", "2.fits"}


def test_without_a_frame_that_can_be_read_there_is_nothing_to_combine(
    tmp_path, workspace
):
    task = make_task(tmp_path, [300])
    (tmp_path / "0.fits").unlink()
    with pytest.raises(NoFrameLeftError), open_members(task, workspace, ()):
        pass


@pytest.mark.parametrize(
    ("check", "keep"), [(True, False), (True, True), (False, False)]
)
def test_an_odd_frame_is_left_out_unless_it_is_asked_for(
    tmp_path, workspace, check, keep
):
    task = make_task(tmp_path, [300, 300, 300, 300, 900])
    if keep:
        kept = (*task.frames[:4], replace(task.frames[4], keep=True))
        task = replace(task, frames=kept)
    recipe = replace(
        workspace.recipe, quality=replace(workspace.recipe.quality, check=check)
    )
    with open_members(task, replace(workspace, recipe=recipe), ()) as members:
        odd = [] if keep or not check else ["4.fits"]
        assert list(members.left_out) == odd
        assert len(members.frames) == 5 - len(odd)
        assert "4.fits" in members.statistics
        if odd:
            assert members.left_out["4.fits"].subject == ("4.fits",)


def test_leaving_all_out_leaves_nothing(tmp_path, workspace):
    task = make_task(tmp_path, [300, 300])
    with open_members(task, workspace, ()) as members:
        why = remark("unread", found="x")
        assert members.without({}).frames == members.frames
        with pytest.raises(NoFrameLeftError):
            members.without({"0.fits": why, "1.fits": why})


def test_masters_and_cuts_are_gathered_each_once(tmp_path, workspace):
    write_image(tmp_path / "b.fits", np.zeros((64, 64)), format_card("LEVEL", 250.5))
    cuts = (("b.fits", "[1:64,1:64]"),)
    plan = Calibration(bias="b.fits", cuts=cuts)
    task = make_task(tmp_path, [300, 300], calibration=plan)
    with open_members(task, workspace, {"b.fits"}) as members:
        assert members.masters == ["b.fits"]
        assert members.cuts == dict(cuts)
        assert pedestals(workspace, members) == [250.5, 250.5]
    with open_members(task, workspace, set()) as members:
        assert members.masters == []
        assert pedestals(workspace, members) is None


def test_the_pedestal_is_overscan_and_bias(tmp_path, workspace):
    plan = Calibration(overscan="[61:64,1:64]", trim="[1:60,1:64]")
    task = make_task(tmp_path, [300, 302], noise=0.0, calibration=plan)
    with open_members(task, workspace, ()) as members:
        assert pedestals(workspace, members) == [300.0, 302.0]


@pytest.mark.parametrize(
    ("threads", "memory", "reads"),
    [(1, 1 << 20, 2), (1, 1 << 17, 4), (2, 1 << 20, 4)],
)
def test_frames_that_one_thread_has_room_for_are_read_once(
    tmp_path, workspace, monkeypatch, threads, memory, reads
):
    """Two frames of 60 x 64 x 2 bytes, of which a 16th of the memory may be held."""
    read, asked = ImageReader.rows, []
    monkeypatch.setattr(
        ImageReader, "rows", lambda *args: asked.append(args) or read(*args)
    )
    plan = Calibration(trim="[1:64,3:62]")
    task = make_task(tmp_path, [300, 400], calibration=plan)
    workspace = replace(workspace, threads=threads, memory=memory)
    with open_members(task, workspace, ()) as members:
        for n, frame in enumerate(members.frames):
            raw = fits.getdata(tmp_path / f"{n}.fits")
            np.testing.assert_array_equal(frame.rows(10, 20), raw[12:22])
    assert len(asked) == reads


@pytest.mark.parametrize("trim", ["[1:64,1:64]", "[1:32,1:64]", "[1:64,1:32]"])
def test_rows_that_stay_in_memory_are_counted_as_they_lie_there(
    tmp_path, workspace, trim
):
    plan = Calibration(trim=trim)
    task = make_task(tmp_path, [300, 301, 900], calibration=plan)
    with open_members(task, workspace, ()) as members:
        assert len(members.frames) == 2  # the odd one stays open with the others
        ny, nx = members.shape
        assert members.held == 3 * ny * nx * 2
        for frame in members.frames:
            rows = frame.rows(0, ny)
            while rows.base is not None:
                rows = rows.base
            assert rows.nbytes == frame.held_bytes
    with open_members(task, replace(workspace, threads=2), ()) as members:
        assert members.held == 0


def test_noise_is_that_of_a_single_frame(tmp_path, workspace):
    with open_members(make_task(tmp_path, [300, 300]), workspace, ()) as members:
        assert pair_noise(members) == pytest.approx(4, rel=0.03)
    pattern = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    for n in range(2):
        fits.writeto(tmp_path / f"{n}.fits", pattern + n, overwrite=True)
    frames = (FrameInput("0.fits"), FrameInput("1.fits"))
    task = Task("m.fits", Action.DARK, "g", {}, frames)
    with open_members(task, workspace, ()) as members:
        assert pair_noise(members) == 0  # a fixed pattern is no noise


def test_a_lone_frame_tells_its_own_scatter(tmp_path, workspace):
    with open_members(make_task(tmp_path, [300]), workspace, ()) as members:
        assert pair_noise(members) == pytest.approx(4, rel=0.05)
    fits.writeto(tmp_path / "0.fits", np.full((64, 64), np.nan, "f4"), overwrite=True)
    task = Task("m.fits", Action.DARK, "g", {}, (FrameInput("0.fits"),))
    recipe = replace(
        workspace.recipe, quality=replace(workspace.recipe.quality, check=False)
    )
    with open_members(task, replace(workspace, recipe=recipe), ()) as members:
        assert pair_noise(members) == 0


def test_measured_columns_hold_what_could_be_measured():
    full = measure(np.full((64, 64), 500.0, np.float32), saturate=500.0)
    columns = raw_columns(full)
    assert columns["median"] == 500
    assert columns["saturated"] > 0
    nothing = raw_columns(measure(np.full((64, 64), np.nan, np.float32), saturate=None))
    assert all(math.isfinite(value) for value in nothing.values())
    assert "median" not in nothing


@pytest.mark.parametrize(
    ("correction", "columns"),
    [
        (Correction(), {}),
        (Correction(dark="d"), {}),
        (Correction(dark="d", dark_scale=0.5), {"dark_scale": 0.5, "dark_offset": 0.0}),
        (
            Correction(dark="d", dark_offset=2.0),
            {"dark_scale": 1.0, "dark_offset": 2.0},
        ),
        (Correction(dark_scale=0.5), {}),
    ],
)
def test_a_dark_that_is_taken_as_it_is_needs_no_column(correction, columns):
    assert dark_columns(correction) == columns
