"""Subframes get the part of the whole frame's masters that lies over them."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

SHAPE = (60, 80)
ROWS, COLUMNS = slice(10, 40), slice(20, 70)
CUT = "[21:70,11:40]"
RATE = 0.5


def write_frame(path, data, imagetyp, exptime, number):
    """Write a raw frame; its corner is where the data were cut from the sensor."""
    header = fits.Header()
    header["IMAGETYP"], header["EXPTIME"] = imagetyp, exptime
    header["DATE-OBS"] = f"2024-03-01T20:{number:02d}:00"
    header["FILTER"], header["INSTRUME"], header["OBJECT"] = "R", "CAM", "M13"
    header["XBINNING"] = header["YBINNING"] = 1
    header["EGAIN"], header["RDNOISE"] = 1.0, 5.0
    header["XORGSUBF"] = COLUMNS.start if data.shape != SHAPE else 0
    header["YORGSUBF"] = ROWS.start if data.shape != SHAPE else 0
    fits.PrimaryHDU(data, header).writeto(path)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Write masters' frames of the whole sensor, and lights whole and cut from it."""
    folder = tmp_path_factory.mktemp("subframes") / "night"
    folder.mkdir()
    rng = np.random.default_rng(20240301)
    bias = rng.normal(1000.0, 20.0, SHAPE)
    rate = np.where(rng.random(SHAPE) < 0.02, 20.0, RATE)
    number = 0

    def frame(level, exptime):
        signal = rng.poisson(level + rate * exptime)
        return np.round(bias + signal + rng.normal(0.0, 5.0, SHAPE)).astype(np.uint16)

    kinds = (
        ("Bias Frame", 0.0, 0.0),
        ("Dark Frame", 60.0, 0.0),
        ("Dark Frame", 120.0, 0.0),
        ("Flat Field", 2.0, 20_000.0),
    )
    for imagetyp, exptime, level in kinds:
        for _ in range(5):
            number += 1
            path = folder / f"{imagetyp[:4]}{number}.fits"
            write_frame(path, frame(level, exptime), imagetyp, exptime, number)
    for exptime in (60.0, 90.0):
        light = frame(300.0, exptime)
        for name, part in (("whole", light), ("part", light[ROWS, COLUMNS])):
            number += 1
            path = folder / f"{name}{exptime:.0f}.fits"
            write_frame(path, part, "Light Frame", exptime, number)
    return folder


@pytest.fixture(scope="module")
def reduced(night):
    return reduce_night(night, limits=Limits(planes=True), page=False)


@pytest.mark.parametrize("exptime", [60, 90])
@pytest.mark.parametrize("plane", [0, "UNCERT", "MASK"])
def test_a_subframe_is_calibrated_as_the_same_part_of_the_whole(
    reduced, exptime, plane
):
    folder = reduced.folder / "calibrated"
    whole = fits.getdata(folder / f"whole{exptime}.fits", plane)
    part = fits.getdata(folder / f"part{exptime}.fits", plane)
    np.testing.assert_array_equal(part, whole[ROWS, COLUMNS])
    if plane == 0:
        assert np.median(part) == pytest.approx(300.0, abs=15.0)


def test_the_part_that_is_used_stands_in_reason_and_header(reduced):
    light = reduced.report.frames.set_index("file").loc["part90.fits"]
    assert light["reason"].count(f"cut to {CUT}") == 3
    header = fits.getheader(reduced.folder / "calibrated" / "part90.fits")
    assert header["CALSTAT"] == "BDF"
    assert {header[card] for card in ("BIASCUT", "DARKCUT", "FLATCUT")} == {CUT}
    assert "BIASCUT" not in fits.getheader(
        reduced.folder / "calibrated" / "whole90.fits"
    )


def test_a_larger_master_that_is_chosen_by_hand_is_cut_as_well(night):
    choices = Choices(settings=["part90.fits: dark=dark_60s_1x1"])
    frames = prepare_night([night], choices).frames.set_index("file")
    reason = frames.loc["part90.fits", "reason"]
    assert f"dark dark_60s_1x1 scaled by 1.5, chosen by hand, cut to {CUT}" in reason


def test_flats_of_a_subframe_take_bias_and_darks_of_the_whole(night, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    for number, path in enumerate(sorted(night.glob("*.fits"))):
        data, header = fits.getdata(path), fits.getheader(path)
        imagetyp = header["IMAGETYP"]
        if imagetyp == "Flat Field":
            write_frame(part / path.name, data[ROWS, COLUMNS], imagetyp, 2.0, number)
        elif not path.name.startswith("whole"):
            (part / path.name).write_bytes(path.read_bytes())
    flat = reduce_night(part, limits=Limits(planes=True), page=False)
    header = fits.getheader(flat.folder / "masters" / "flat_R_1x1.fits")
    assert (header["NAXIS1"], header["NAXIS2"]) == (50, 30)
    assert (header["BIASCUT"], header["DARKCUT"]) == (CUT, CUT)
    light = fits.getheader(flat.folder / "calibrated" / "part90.fits")
    assert "FLATCUT" not in light
    assert light["CALSTAT"] == "BDF"


@pytest.mark.parametrize(("card", "served"), [("RGGB", True), (None, False)])
def test_a_subframe_of_a_mosaic_may_begin_with_another_colour(tmp_path, card, served):
    """The whole frame reads R G / G B, its part from column 1 on G R / B G."""
    data = np.full(SHAPE, 1000, np.uint16)
    data[::2] += 1
    for n in range(3):
        write_frame(tmp_path / f"b{n}.fits", data, "Bias Frame", 0.0, n)
        if card is not None:
            fits.setval(tmp_path / f"b{n}.fits", "BAYERPAT", value=card)
    part = tmp_path / "part.fits"
    write_frame(part, data[ROWS, COLUMNS], "Light Frame", 60.0, 5)
    for keyword, value in (("BAYERPAT", "RGGB"), ("XBAYROFF", 1), ("XORGSUBF", 21)):
        fits.setval(part, keyword, value=value)
    frames = prepare_night([tmp_path]).frames.set_index("file")
    assert frames.loc["part.fits", "bayerpat"] == "GRBG"
    assert pd.notna(frames.loc["part.fits", "bias"]) is served
