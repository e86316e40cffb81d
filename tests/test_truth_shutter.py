"""An iris shutter and electronics that are not linear, against their simulated truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.pixels.flags import Flag
from autoreduce.prepare import Choices
from autoreduce.reduction import Limits, reduce_night
from autoreduce.simulate import simulate_night

RECIPE = "[linearity]\npolynomial = [1.0, 5e-7, 5e-13]\nlimit = 40000.0\n"
"""What inverts 3 % lost at the full well of 60000 ADU, to 1e-4."""
BIAS = 1000.0


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    root = tmp_path_factory.mktemp("iris")
    simulate_night("iris_shutter", root / "night", seed=2, truth=True)
    (root / "linear.toml").write_text(RECIPE, "utf-8")
    return root


def reduced(night, recipe):
    done = reduce_night(
        night / "night",
        output=night / recipe[:4],
        choices=Choices(
            recipe=str(night / recipe) if recipe[-4:] == "toml" else recipe
        ),
        limits=Limits(planes=True),
    )
    ends = done.report.outcomes.values()
    return done.folder, {one.code: one for end in ends for one in end.remarks}


@pytest.fixture(scope="module")
def plain(night):
    return reduced(night, "default")


@pytest.fixture(scope="module")
def mended(night):
    return reduced(night, "linear.toml")


def corners(image):
    """Give the mean of the corners beside that of the middle, and of rings."""
    ny, nx = image.shape
    y, x = np.mgrid[-1 : 1 : ny * 1j, -1 : 1 : nx * 1j]
    radius = np.hypot(x, y) / np.sqrt(2)
    rings = [(radius >= a) & (radius < a + 0.2) for a in (0.1, 0.3, 0.5, 0.7)]
    means = np.array([np.median(image[ring]) for ring in rings])
    return float(np.ptp(means) / means.mean())


def light(folder, night, name):
    """Give a calibrated light over its scene, its pulls and its mask."""
    scene = fits.getdata(night / "night_truth" / f"scene_{name}").astype(float)
    with fits.open(folder / "calibrated" / name) as hdus:
        data, sigma, mask = (
            hdus[0].data.astype(float),
            hdus["UNCERT"].data,
            hdus["MASK"].data,
        )
        return data / scene, sigma / scene, mask, hdus[0].header


@pytest.mark.parametrize(
    ("name", "limit"), [("light_1s_1.fits", 0.003), ("light_60s_1.fits", 0.001)]
)
def test_short_and_long_lights_are_flat_and_true_within_their_errors(
    night, mended, name, limit
):
    """Rings are known to 0.1 % in the noise of 1 s."""
    ratio, sigma, _, header = light(mended[0], night, name)
    assert corners(ratio) < limit
    pulls = (ratio - np.median(ratio)) / sigma
    low, high = np.percentile(pulls, [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(1, abs=0.05)
    assert header["SHUTCORR"]
    assert header["LINCORR"].startswith("polynomial 1, 5e-07")


def test_the_shutter_is_told_and_taken_out_of_the_flat(night, mended):
    folder, told = mended
    assert "shutter" in told
    assert "not-proportional" not in told
    (path,) = folder.glob("masters/flat_*.fits")
    flat = fits.getdata(night / "night_truth" / "flat_V.fits")
    assert corners(fits.getdata(path) / flat) < 0.001


def test_without_a_recipe_the_response_is_told_with_what_mends_it(plain):
    folder, told = plain
    assert "-2." in told["not-proportional"].found
    slope = float(told["not-proportional"].expected.split(",")[1])
    assert slope == pytest.approx(5e-7, rel=0.06)
    (path,) = folder.glob("masters/flat_*.fits")
    curve = fits.getdata(path, "LINEARITY")
    assert curve["DEVIATION"][-1] == pytest.approx(-0.024, abs=0.002)
    drawn = json.loads((folder / "report.json").read_text("utf-8"))["responses"]
    assert [one["output"] for one in drawn] == [f"masters/{path.name}"]
    assert drawn[0]["deviation"][-1] == pytest.approx(-2.4, abs=0.2)


def test_counts_beyond_the_limit_are_flagged(night, mended):
    """The level above the bias, 40000 ADU, is met by the brightest stars of 60 s."""
    _, _, mask, _ = light(mended[0], night, "light_60s_1.fits")
    raw = fits.getdata(Path(night) / "night" / "light_60s_1.fits").astype(float)
    beyond = raw - BIAS
    assert np.all(mask[beyond > 40010] & Flag.NON_LINEAR)
    assert not np.any(mask[beyond < 39990] & Flag.NON_LINEAR)
    assert (beyond > 40010).any()
