"""The map of bad pixels: what its masters flag, and what lights take over."""

import numpy as np
import pytest
from astropy.io import fits
from small_night import make_pixels, write_frame
from small_products import make_space

from autoreduce.cli import cli
from autoreduce.errors import ProductError
from autoreduce.fits.writer import write_image
from autoreduce.library.masters import masters_of
from autoreduce.pixels.flags import Flag
from autoreduce.planning.plan import Action, Task
from autoreduce.prepare import Choices
from autoreduce.products.bad_pixels import make_bad_pixels
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

SHAPE = (48, 64)
HOT, DEAD, MINE = (10, 20), (30, 40), (5, 6)
"""(row, column) of a hot pixel, of one without response, and of the observer's."""


def write_master(path, flags):
    data = np.zeros((2, 3), np.float32)
    mask = np.array([flags, [0, 0, 0]], np.uint8)
    write_image(path, data, [], planes={"MASK": mask})


def make_map(folder, *products, made=None):
    task = Task("m.fits", Action.BAD_PIXELS, "bad_pixels", {}, products=products)
    made = set(products) if made is None else made
    return make_bad_pixels(task, make_space(folder), "abc", made)


def test_flags_of_the_sensor_are_joined(tmp_path):
    """Those of what was exposed are not: stars in a flat, values that were repaired."""
    write_master(tmp_path / "d.fits", [Flag.HOT, 0, 0])
    write_master(tmp_path / "f.fits", [Flag.REPAIRED, Flag.NO_VALUE, Flag.FEW_SAMPLES])
    write_master(tmp_path / "line.fits", [Flag.NON_LINEAR, 0, Flag.SATURATED])
    write_image(tmp_path / "plain.fits", np.zeros((2, 3), np.float32), [])
    told = make_map(tmp_path, "d.fits", "line.json", "plain.fits", "f.fits")
    with fits.open(tmp_path / "m.fits") as hdus:
        expected = [[Flag.HOT | Flag.NON_LINEAR, Flag.NO_VALUE, Flag.HOT], [0, 0, 0]]
        assert hdus[0].data.tolist() == expected
        header = hdus[0].header
        assert hdus[0].data.dtype == np.uint8
    assert (header["NHOT"], header["NDEAD"], header["NNONLIN"]) == (2, 1, 1)
    assert header["MASKBIT2"] == 4
    assert header["IMAGETYP"] == "Bad Pixel Map"
    assert "BUNIT" not in header
    assert told.n_used == 3
    assert told.statistics == {"hot": 2, "dead": 1, "non_linear": 1, "glowing": 0}


def test_masters_that_were_not_made_are_left_out(tmp_path):
    write_master(tmp_path / "d.fits", [Flag.HOT, 0, 0])
    assert make_map(tmp_path, "d.fits", "f.fits", made={"d.fits"}).n_used == 1


def test_what_cannot_be_a_map_is_said(tmp_path):
    write_image(tmp_path / "plain.fits", np.zeros((2, 3), np.float32), [])
    with pytest.raises(ProductError, match="none of the masters has a MASK plane"):
        make_map(tmp_path, "plain.fits")
    write_master(tmp_path / "d.fits", [0, 0, 0])
    zeros = np.zeros((4, 4), np.float32)
    write_image(tmp_path / "f.fits", zeros, [], planes={"MASK": np.zeros_like(zeros)})
    with pytest.raises(ProductError, match=r"f.fits is \(4, 4\), the other"):
        make_map(tmp_path, "d.fits", "f.fits")


# ------------------------------------------------------------------ a night


def write_night(folder):
    """Write a night of a sensor with a hot pixel, and one without response."""
    rng = np.random.default_rng(3)
    groups = (("bias", 0.0, 5), ("dark", 60.0, 5), ("flat", 0.0, 4), ("light", 60.0, 2))
    for kind, exptime, number in groups:
        for i in range(number):
            pixels = make_pixels(kind, exptime, rng)
            if exptime:
                pixels[HOT] += 3000
            if kind in ("flat", "light"):
                pixels[DEAD] = 300 + (30 if exptime else 0)
            write_frame(folder, f"{kind}{i}.fit", kind, exptime, pixels=pixels)
    return folder


def reduced(folder, *, recipe="", **limits):
    night = folder / "night"
    if not night.exists():
        write_night(night)
    (folder / "mine.toml").write_text(recipe)
    choices = Choices(recipe=str(folder / "mine.toml"))
    limits = Limits(jobs=1, **limits)
    return reduce_night(night, output=folder / "out", choices=choices, limits=limits)


def test_a_light_takes_over_the_flags_of_its_masters(tmp_path):
    done = reduced(tmp_path, planes=True)
    assert not done.failed
    folder = done.folder
    with fits.open(folder / "masters/bad_pixels_1x1.fits") as hdus:
        bad = hdus[0].data
    assert bad[HOT] == Flag.HOT
    assert bad[DEAD] == Flag.NO_VALUE
    assert np.count_nonzero(bad) == 2
    with fits.open(folder / "calibrated/light0.fit") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "UNCERT", "STARS"]
        flags, data = hdus["MASK"].data, hdus[0].data
    assert flags[HOT] == Flag.HOT
    assert flags[DEAD] == Flag.NO_VALUE
    assert np.isnan(data[DEAD])
    assert np.isfinite(data[HOT])
    # A map serves no lights of another night as a master.
    names = {path.name for path in masters_of(folder)}
    assert "bad_pixels_1x1.fits" not in names
    assert len(names) == 3


def test_without_planes_there_is_no_map(tmp_path):
    folder = reduced(tmp_path).folder
    assert not list((folder / "masters").glob("bad_pixels*"))


def write_mine(path, shape=SHAPE):
    bad = np.zeros(shape, np.uint8)
    bad[MINE] = 1
    fits.writeto(path, bad)


def test_the_observers_bad_pixels_have_no_value(tmp_path):
    (tmp_path / "maps").mkdir()
    write_mine(tmp_path / "maps" / "mine.fits")
    recipe = '[light]\nbad_pixels = "maps/mine.fits"\n'
    done = reduced(tmp_path, recipe=recipe, planes=True)
    with fits.open(done.folder / "calibrated/light0.fit") as hdus:
        data, flags = hdus[0].data, hdus["MASK"].data
        assert hdus[0].header["BADFILE"].endswith("maps/mine.fits")
    assert np.isnan(data[MINE])
    assert flags[MINE] == Flag.NO_VALUE
    assert np.isnan(data).sum() == 2
    # The flats are not asked: a pixel that is bad may still respond.
    assert np.isfinite(fits.getdata(done.folder / "masters/flat_R_1x1.fits")[MINE])


def test_lights_are_made_anew_when_the_map_changes(tmp_path):
    write_mine(tmp_path / "mine.fits")
    recipe = '[light]\nbad_pixels = "mine.fits"\n'
    folder = reduced(tmp_path, recipe=recipe).folder
    bad = np.zeros(SHAPE, np.uint8)
    bad[0, 0] = 1
    fits.writeto(tmp_path / "mine.fits", bad, overwrite=True)
    reduced(tmp_path, recipe=recipe)
    data = fits.getdata(folder / "calibrated/light0.fit")
    assert np.isnan(data[0, 0])
    assert np.isfinite(data[MINE])


@pytest.mark.parametrize("shape", [(20, 20), None])
def test_a_map_that_does_not_fit_is_told(tmp_path, shape):
    if shape:
        write_mine(tmp_path / "mine.fits", shape)
    else:
        (tmp_path / "mine.fits").write_text("no image")
    done = reduced(tmp_path, recipe='[light]\nbad_pixels = "mine.fits"\n')
    told = [one for end in done.report.outcomes.values() for one in end.remarks]
    lost = [one for one in told if one.code == "no-bad-pixels"]
    assert len(lost) == 2
    assert "mine.fits are not taken out" in str(lost[0])
    data = fits.getdata(done.folder / "calibrated/light0.fit")
    assert np.isnan(data).sum() == 1


def test_a_map_that_is_not_there_stops_the_run(tmp_path):
    from click.testing import CliRunner

    write_night(tmp_path / "night")
    (tmp_path / "mine.toml").write_text('[light]\nbad_pixels = "mine.fits"\n')
    arguments = [str(tmp_path / "night"), "--recipe", str(tmp_path / "mine.toml")]
    found = CliRunner().invoke(cli, ["plan", *arguments])
    assert found.exit_code == 2
    assert "there is no file" in found.output
    assert "light.bad_pixels" in found.output


# ------------------------------------------------------------------ other programs


def test_nan_is_told_and_filled_where_that_is_asked_for(tmp_path):
    done = reduced(tmp_path)
    (note,) = (one for one in done.report.plan.notes if one.code == "lights-nan")
    assert str(note).startswith("2 of 2 calibrated lights hold pixels without a value")
    assert note.way_out == "--fill 0"
    plain = fits.getdata(done.folder / "calibrated/light0.fit")
    filled = reduced(tmp_path, fill=-1.5)
    assert not [one for one in filled.report.plan.notes if one.code == "lights-nan"]
    data, header = fits.getdata(done.folder / "calibrated/light0.fit", header=True)
    assert header["NANFILL"] == -1.5
    assert data[DEAD] == -1.5
    others = np.ones(SHAPE, bool)
    others[DEAD] = False
    np.testing.assert_array_equal(data[others], plain[others])
    # The stack was made without the pixel, not with the number in its place.
    (stack,) = done.folder.glob("stacks/*.fits")
    told = fits.getdata(stack), fits.getheader(stack)["NANFILL"]
    assert told[1] == -1.5
    row, column = DEAD
    around = told[0][row - 1 : row + 2, column - 1 : column + 2]
    assert (around[around != -1.5] > 500).all()
