"""A camera whose headers tell no gain: errors by the gain of its flats, against truth."""

import numpy as np
import pytest
from astropy.io import fits
from small_night import SKY, make_pixels, make_stars, write_frame

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


def test_a_header_that_is_wrong_is_told(tmp_path):
    _, told = reduced(tmp_path, EGAIN=2.0, RDNOISE=4.0)
    found = [one for one in told if one.code == "gain-disagrees"]
    assert len(found) == 2
    for one in found:
        assert "2 electron/ADU" in str(one)
        assert one.way_out.startswith("--set '*: egain=")
        assert float(one.way_out[:-1].rpartition("=")[2]) == pytest.approx(1, abs=0.05)
