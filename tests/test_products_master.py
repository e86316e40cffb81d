"""A master on its way to the disk: what is tallied, and its header and inputs."""

import math

import numpy as np
import pytest
from astropy.io import fits
from small_products import make_space, write_product

from autoreduce.planning.plan import Action, Calibration, FrameInput, Task
from autoreduce.planning.use import DarkMethod
from autoreduce.products.bias_dark import make_plain
from autoreduce.products.flats import make_flat
from autoreduce.products.master import MOST_TOLD, Tally


def test_levels_are_medians_of_finite_pixels():
    tally = Tally((4, 3), 2)
    tally.add(0, np.array([[1, 2, 3], [4, np.nan, 9]], np.float32), np.array([1, 0]))
    tally.add(2, np.array([[5, 6, 7], [8, 9, 9]], np.float32), np.array([2, 0]))
    assert tally.level() == 6  # of 1 2 3 4 5 6 7 8 9 9 9
    assert tally.rejected.tolist() == [3, 0]
    assert tally.rejected_fraction() == 3 / 24


def test_without_a_finite_pixel_there_is_no_level():
    tally = Tally((2, 3), 1)
    tally.add(0, np.empty((0, 3), np.float32), np.array([0]))
    assert math.isnan(tally.level())


@pytest.mark.parametrize("height", [7, 64, 1000])
def test_the_rows_that_are_sampled_do_not_depend_on_the_bands(height):
    image = np.random.default_rng(1).normal(size=(1000, 4)).astype(np.float32)
    levels = []
    for step in (height, 1000):
        tally = Tally(image.shape, 1)
        for start in range(0, 1000, step):
            tally.add(start, image[start : start + step], np.array([0]))
        levels.append(tally.level())
    assert levels[0] == levels[1]


def write_frames(folder, levels):
    for n, level in enumerate(levels):
        fits.writeto(folder / f"{n}.fit", np.full((48, 48), level, np.uint16))
    return tuple(FrameInput(f"{n}.fit") for n in range(len(levels)))


def test_header_and_inputs_tell_what_went_in_and_what_did_not(tmp_path):
    frames = write_frames(tmp_path, [300, 300, 300])
    (tmp_path / "1.fit").write_bytes(b"<html>")
    task = Task("m.fits", Action.BIAS, "bias", {"gain": 2.0}, frames)
    told = make_plain(task, make_space(tmp_path), "abc", set())
    assert list(told.left_out) == ["1.fit"]
    with fits.open(tmp_path / "m.fits") as hdus:
        header, inputs = hdus[0].header, hdus["INPUTS"].data
    assert (header["NCOMBINE"], header["NLEFTOUT"], header["RECIPE"]) == (2, 1, "mine")
    assert (header["DIGEST"], header["GROUP"], header["GAIN"]) == ("abc", "bias", 2.0)
    assert "left out 1.fit" in " ".join(header["HISTORY"])
    assert inputs["file"].tolist() == ["0.fit", "2.fit", "1.fit"]
    assert inputs["weight"].tolist() == [1, 1, 0]
    assert inputs["scale"].tolist() == [1, 1, 1]
    assert "1.fit" not in inputs["reason"][0]
    assert inputs["reason"][2]


def test_of_many_frames_left_out_history_names_some(tmp_path):
    frames = write_frames(tmp_path, [300])
    lost = tuple(FrameInput(f"lost_{n}.fit") for n in range(MOST_TOLD + 5))
    task = Task("m.fits", Action.BIAS, "bias", {}, frames + lost)
    make_plain(task, make_space(tmp_path), "abc", set())
    history = str(fits.getheader(tmp_path / "m.fits")["HISTORY"])
    assert history.count("left out lost_") == MOST_TOLD


def test_factors_of_several_exposures_stand_as_a_range(tmp_path):
    write_product(tmp_path / "d.fits", np.full((48, 48), 8.0))
    frames = []
    for n, t in enumerate((2.0, 4.0)):
        fits.writeto(tmp_path / f"{n}.fit", np.full((48, 48), 1000 + 2 * n, np.uint16))
        scale = t / 8
        plan = Calibration(
            dark="d.fits",
            dark_method=DarkMethod.SCALED,
            dark_scale=scale,
            dark_exptime=8,
        )
        frames.append(FrameInput(f"{n}.fit", plan, exptime=t))
    task = Task("f.fits", Action.FLAT, "flat", {}, tuple(frames))
    workspace = make_space(tmp_path, "[quality]\ncheck = false\n")
    make_flat(task, workspace, "abc", {"d.fits"})
    header = fits.getheader(tmp_path / "f.fits")
    assert header["DARKSCAL"] == "0.2500 to 0.5000"
    assert "DARKOFFS" not in header
    assert header["CALSTAT"] == "D"
