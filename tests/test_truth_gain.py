"""A camera whose headers tell no gain: errors by the gain of its flats, against truth."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from small_night import SKY, make_pixels, make_stars, write_frame

from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

SHAPE = (192, 256)
FRAMES = (("bias", 0.0, 9), ("dark", 60.0, 9), ("flat", 0.0, 6), ("light", 60.0, 2))
TRUE_GAIN, TRUE_READ_NOISE = 1.0, 4.0
"""Of small nights, electron/ADU and electron."""


def reduced(folder, **cards):
    rng = np.random.default_rng(21)
    for kind, exptime, number in FRAMES:
        for i in range(number):
            pixels = make_pixels(kind, exptime, rng, SHAPE)
            more = cards if kind == "light" else {}
            name = f"{kind}{i}.fits"
            write_frame(folder / "night", name, kind, exptime, pixels=pixels, **more)
    night = reduce_night(
        folder / "night", output=folder / "out", limits=Limits(planes=True), page=False
    )
    ends = night.report.outcomes.values()
    return night.folder, [one for end in ends for one in end.remarks]


def test_errors_are_true_where_no_header_tells_the_gain(tmp_path):
    folder, told = reduced(tmp_path, EGAIN=None, RDNOISE=None, GAIN=None)
    assert "no-uncert" not in {one.code for one in told}
    with fits.open(folder / "calibrated" / "light0.fits") as hdus:
        header, data, sigma = hdus[0].header, hdus[0].data, hdus["UNCERT"].data
    assert header["EGAIN"] == pytest.approx(TRUE_GAIN, abs=5 * header["EGAINERR"])
    assert header["EGAINERR"] < 0.05
    assert header["RDNOISE"] == pytest.approx(TRUE_READ_NOISE, rel=0.05)
    sky = make_stars(SHAPE) < 1
    pulls = (data[sky] - np.median(data[sky])) / sigma[sky]
    low, high = np.percentile(pulls, [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(1, abs=0.03)
    assert np.median(data[sky]) == pytest.approx(SKY, rel=0.1)


def test_a_light_without_a_flat_has_errors_by_the_gain_of_another_filters(tmp_path):
    folder, told = reduced(tmp_path, EGAIN=None, RDNOISE=None, GAIN=None, FILTER="V")
    codes = {one.code for one in told}
    assert "no-uncert" not in codes
    with fits.open(folder / "calibrated" / "light0.fits") as hdus:
        header = hdus[0].header
    assert "FLATFILE" not in header
    assert header["GAINFILE"] == "masters/flat_R_1x1.fits"
    assert header["EGAIN"] == pytest.approx(TRUE_GAIN, abs=5 * header["EGAINERR"])
    assert width_of_pulls(folder, make_stars(SHAPE) < 1) == pytest.approx(1, abs=0.2)


def width_of_pulls(folder, sky):
    with fits.open(folder / "calibrated" / "light0.fits") as hdus:
        data, sigma = hdus[0].data[sky], hdus["UNCERT"].data[sky]
    low, high = np.percentile((data - np.median(data)) / sigma, [15.87, 84.13])
    return (high - low) / 2


def test_a_header_that_is_wrong_is_overruled_and_told(tmp_path):
    folder, told = reduced(tmp_path, EGAIN=2.0, RDNOISE=9.0)
    found = {one.code: one for one in told}
    gain, noise = found["gain-overruled"], found["read-noise-overruled"]
    assert "2 electron/ADU" in str(gain)
    assert gain.way_out == "--set '*: egain=2'"
    assert noise.way_out == "--set '*: rdnoise=9'"
    header = fits.getheader(folder / "calibrated" / "light0.fits")
    assert header["EGAIN"] == pytest.approx(TRUE_GAIN, abs=5 * header["EGAINERR"])
    assert header["RDNOISE"] == pytest.approx(TRUE_READ_NOISE, rel=0.05)
    assert (header["EGAINHDR"], header["RDNHDR"]) == (2, 9)
    sky = make_stars(SHAPE) < 1
    assert width_of_pulls(folder, sky) == pytest.approx(1, abs=0.03)
    # The way out works as it is pasted: the header's gain, and errors that go by it.
    choices = Choices(settings=["*: egain=2", "*: rdnoise=9"])
    again = reduce_night(
        tmp_path / "night", output=folder, choices=choices, limits=Limits(planes=True)
    )
    ends = again.report.outcomes.values()
    told = {one.code: one for end in ends for one in end.remarks}
    assert told["gain-disagrees"].way_out.startswith("--set '*: egain=")
    assert fits.getheader(folder / "calibrated" / "light0.fits")["EGAIN"] == 2
    assert width_of_pulls(folder, sky) > 1.1
    # So does a frame table in which the gain is changed.
    edited = pd.read_csv(folder / "frames.csv").assign(egain=3.0)
    edited.to_csv(tmp_path / "mine.csv", index=False)
    table = Choices(frames_csv=tmp_path / "mine.csv")
    reduce_night(
        tmp_path / "night", output=folder, choices=table, limits=Limits(planes=True)
    )
    assert fits.getheader(folder / "calibrated" / "light0.fits")["EGAIN"] == 3


def test_lights_in_electrons_are_those_in_adu_times_the_gain(tmp_path):
    folder, _ = reduced(tmp_path, EGAIN=None, RDNOISE=None, GAIN=None)
    limits = Limits(planes=True, electrons=True)
    other = reduce_night(tmp_path / "night", output=tmp_path / "e", limits=limits)
    assert not other.failed
    name = "calibrated/light0.fits"
    with fits.open(folder / name) as adu, fits.open(other.folder / name) as electrons:
        gain, header = adu[0].header["EGAIN"], electrons[0].header
        assert header["GAINUSED"] == gain
        assert (header["EGAIN"], header["BUNIT"]) == (1, "electron")
        assert electrons["UNCERT"].header["BUNIT"] == "electron"
        for plane in (0, "UNCERT"):
            expected = adu[plane].data * gain
            np.testing.assert_allclose(electrons[plane].data, expected, rtol=1e-5)
        for card in ("SKYLEVEL", "SKYNOISE", "STARFLUX"):
            assert header[card] == pytest.approx(adu[0].header[card] * gain, rel=1e-4)
            assert header.comments[card].startswith("[electron]")
        for column in ("FLUX", "FLUX_ERR", "PEAK"):
            expected = adu["STARS"].data[column] * gain
            found = electrons["STARS"].data[column]
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert electrons["STARS"].columns["FLUX"].unit == "electron"
        np.testing.assert_allclose(
            electrons["STARS"].data["X_IMAGE"], adu["STARS"].data["X_IMAGE"]
        )
    (stack,), (plain,) = (
        list(one.glob("stacks/*.fits")) for one in (other.folder, folder)
    )
    assert fits.getheader(stack)["BUNIT"] == "electron"
    ratio = np.nanmedian(fits.getdata(stack) / fits.getdata(plain))
    assert ratio == pytest.approx(gain, rel=1e-3)


def test_electrons_without_a_gain_are_adu_and_that_is_told(tmp_path):
    for kind, exptime, number in (("bias", 0.0, 3), ("light", 60.0, 1)):
        for i in range(number):
            name = f"{kind}{i}.fits"
            write_frame(tmp_path / "night", name, kind, exptime, EGAIN=None)
    done = reduce_night(
        tmp_path / "night", output=tmp_path / "o", limits=Limits(electrons=True)
    )
    told = {one.code for end in done.report.outcomes.values() for one in end.remarks}
    assert "no-electrons" in told
    header = fits.getheader(tmp_path / "o" / "calibrated" / "light0.fits")
    assert header["BUNIT"] == "adu"
