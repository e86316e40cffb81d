"""The shutter's pattern, written beside a flat and read back."""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.calibration.bands import Correction, MasterRows
from autoreduce.calibration.corrections import correction_for
from autoreduce.calibration.flat_shutter import read_shutter, shutter_table
from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.writer import write_image
from autoreduce.pixels.shutter import Shutter
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.recipe import load_recipe

SHUTTER = Shutter(((-0.02, 0.0, -0.004), (0.0, 0.001, 0.0), (-0.005, 0.0, 0.0)))
SHAPE = (12, 20)


def write_flat(folder, shutter):
    path = folder / "flat.fits"
    data = np.full(SHAPE, 2.0, np.float32)
    write_image(path, data, [], table=shutter_table(shutter))
    return path


def test_what_is_written_reads_back(tmp_path):
    path = write_flat(tmp_path, SHUTTER)
    assert read_shutter(path) == SHUTTER
    assert fits.getheader(path, "SHUTTER")["TUNIT3"] == "s"


def test_a_flat_of_other_programs_has_none(tmp_path):
    assert read_shutter(write_flat(tmp_path, None)) is None


@pytest.mark.parametrize("cut", [(), (("flat.fits", "[5:16,3:10]"),)])
def test_rows_of_the_flat_are_those_of_the_exposure(tmp_path, cut):
    """2 (t + s) / (t + usual s), also of a part of the sensor."""
    write_flat(tmp_path, SHUTTER)
    item = FrameInput(
        "light.fits", Calibration(overscan="[1:2,1:2]", flat="flat.fits"), exptime=0.5
    )
    space = Workspace(tmp_path, tmp_path, load_recipe(), 1 << 20)
    correction = correction_for(item, space, {"flat.fits"})
    assert (correction.shutter, correction.shutter_exptime) == (SHUTTER, 0.5)
    with MasterRows(tmp_path, ["flat.fits"], cuts=cut) as masters:
        found = masters.flat(correction, 2, 6)
        plain = masters.flat(Correction(flat="flat.fits"), 2, 6)
    whole = (0.5 + SHUTTER.delay(SHAPE, slice(None))) / (0.5 + SHUTTER.usual)
    expected = 2 * (whole[4:8, 4:16] if cut else whole[2:6])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.all(plain == 2)
    assert np.ptp(whole) > 0.02


def test_without_an_exposure_the_flat_is_as_it_is(tmp_path):
    write_flat(tmp_path, SHUTTER)
    item = FrameInput("light.fits", Calibration(flat="flat.fits"))
    space = Workspace(tmp_path, tmp_path, load_recipe(), 1 << 20)
    assert correction_for(item, space, {"flat.fits"}).shutter is None
