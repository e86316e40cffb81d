"""Subframes get the part of the whole frame's masters that lies over them."""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.reduction import reduce_night

SHAPE = (60, 80)
ROWS, COLUMNS = slice(10, 40), slice(20, 70)
KINDS = (("Bias Frame", 0.0, 3), ("Dark Frame", 60.0, 3), ("Flat Field", 60.0, 3))


def write_frame(path, data, imagetyp, exptime, number):
    """Write a raw frame; its corner is where the data were cut from the sensor."""
    header = fits.Header()
    header["IMAGETYP"], header["EXPTIME"] = imagetyp, exptime
    header["DATE-OBS"] = f"2024-03-01T20:{number:02d}:00"
    header["FILTER"], header["INSTRUME"], header["OBJECT"] = "R", "CAM", "M13"
    header["XBINNING"] = header["YBINNING"] = 1
    header["XORGSUBF"] = COLUMNS.start if data.shape != SHAPE else 0
    header["YORGSUBF"] = ROWS.start if data.shape != SHAPE else 0
    fits.PrimaryHDU(data, header).writeto(path)


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Reduce a night with one light twice: whole, and as a subframe."""
    night = tmp_path_factory.mktemp("subframes") / "night"
    night.mkdir()
    rng = np.random.default_rng(20240301)
    pattern = rng.normal(1000.0, 20.0, SHAPE)
    levels = {"Bias Frame": 0.0, "Dark Frame": 50.0, "Flat Field": 20_000.0}
    number = 0
    for imagetyp, exptime, n in KINDS:
        for _ in range(n):
            noise = rng.normal(0.0, 5.0, SHAPE)
            data = np.round(pattern + levels[imagetyp] + noise).astype(np.uint16)
            number += 1
            path = night / f"{imagetyp[:4]}{number}.fits"
            write_frame(path, data, imagetyp, exptime, number)
    light = np.round(pattern + rng.normal(300.0, 20.0, SHAPE)).astype(np.uint16)
    write_frame(night / "whole.fits", light, "Light Frame", 60.0, 20)
    part = light[ROWS, COLUMNS]
    write_frame(night / "part.fits", part, "Light Frame", 60.0, 21)
    output = night.with_name("products")
    reduce_night(night, output=output, page=False)
    return output / "calibrated"


def test_a_subframe_is_calibrated_as_the_same_part_of_the_whole(products):
    whole = fits.getdata(products / "whole.fits")
    part = fits.getdata(products / "part.fits")
    np.testing.assert_array_equal(part, whole[ROWS, COLUMNS])
    assert np.median(part) == pytest.approx(250.0, abs=10.0)


def test_nothing_was_left_out_of_the_subframe(products):
    assert fits.getheader(products / "part.fits")["CALSTAT"] == "BDF"
