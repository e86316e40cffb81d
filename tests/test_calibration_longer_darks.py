"""Darks are taken to longer exposures where they bear it, and it is said."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from dark_fits import make_fit, make_item, make_space

from autoreduce.calibration.corrections import correction_for, lost
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.use import DarkMethod


@pytest.mark.parametrize("linear", [True, False])
def test_darks_off_a_line_are_not_taken_to_longer_exposures_unasked(tmp_path, linear):
    workspace = make_space(
        tmp_path, "rate_map", make_fit(linear=linear, chi_square=40, n=3)
    )
    item = make_item(300.0)
    unasked = replace(item.calibration, dark_unasked=True, bias="b", flat="f")
    made = {"b", "180", "fit.json", "f"}
    fits.PrimaryHDU(np.ones((4, 4), np.float32)).writeto(tmp_path / "f")
    asked = correction_for(item, workspace, made)
    assert asked.rates is not None
    item = replace(item, calibration=unasked)
    correction = correction_for(item, workspace, made)
    assert (correction.bias, correction.flat) == ("b", "f")
    assert (correction.rates is not None) == linear
    (told,) = lost(item, correction)
    assert told.code == ("longer-dark" if linear else "dark-refused")
    if not linear:
        assert "chi-square 40.0, 3 exposures" in told.found
        assert told.way_out == "--extrapolate-darks"


def test_without_its_fit_no_dark_is_taken_to_a_longer_exposure_unasked(tmp_path):
    workspace = make_space(tmp_path, "rate_map", make_fit())
    item = make_item(300.0)
    item = replace(item, calibration=replace(item.calibration, dark_unasked=True))
    correction = correction_for(item, workspace, {"180"})
    assert correction.dark is None
    assert [one.code for one in lost(item, correction)] == ["dark-lost"]


def make_dark(tmp_path, glow):
    """Write a dark of 20 ADU +- 4, a corner of which is brighter."""
    data = np.random.default_rng(1).normal(20, 4, (128, 160)).astype(np.float32)
    data[:24, :24] += glow
    data[::7, ::11] += 3000
    hdu = fits.PrimaryHDU(data, fits.Header({"NOISEADU": 8.0, "NCOMBINE": 4}))
    hdu.writeto(tmp_path / "d.fits")


@pytest.mark.parametrize(
    ("glow", "wanted", "used"),
    [(0, 120, True), (50, 120, False), (50, 60.6, True), (30, 120, True)],
)
def test_one_dark_that_glows_is_not_taken_to_a_longer_exposure_unasked(
    tmp_path, glow, wanted, used
):
    make_dark(tmp_path, glow)
    workspace = make_space(tmp_path, "rate_map", make_fit())
    plan = Calibration(
        bias="b",
        dark="d.fits",
        dark_method=DarkMethod.SCALED,
        dark_scale=wanted / 60,
        dark_exptime=60.0,
    )
    item = FrameInput("l.fit", replace(plan, dark_unasked=True), exptime=wanted)
    correction = correction_for(item, workspace, {"b", "d.fits"})
    assert (correction.dark is not None) == used
    (told,) = lost(item, correction)
    assert told.code == ("longer-dark" if used else "dark-refused")
    if not used:
        assert "50." in told.found or "49." in told.found
    asked = correction_for(replace(item, calibration=plan), workspace, {"b", "d.fits"})
    assert asked.dark_scale == wanted / 60


@pytest.mark.parametrize(("t", "told"), [(300.0, 1), (180.0, 0), (30.0, 0)])
def test_only_a_longer_exposure_needs_a_word(tmp_path, t, told):
    workspace = make_space(tmp_path, "rate_map", make_fit())
    item = make_item(t)
    found = lost(item, correction_for(item, workspace, {"180", "fit.json"}))
    assert len(found) == told
    if told:
        assert str(found[0]) == "the dark is taken to 300 s from darks of up to 180 s"
