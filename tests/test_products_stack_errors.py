"""Errors of stacks against truth, and what resampling correlates."""

import numpy as np
import pytest
from astropy.io import fits
from small_products import make_light
from stack_fields import Pose
from stack_nights import SHAPE, SKY, Light, stars_of, write_lights

from autoreduce.pixels.combination import Method
from autoreduce.prepare import Choices
from autoreduce.products.stack_errors import correlation, variance_of, why_no_errors
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

SHIFTS = [(0, 0), (7.3, -4.6), (-5.2, 3.4), (2.6, 8.1), (-8.5, -2.3), (4.4, 1.7)]
STACK = "stacks/light_Field_R_60s_1x1.fits"


def reduced(folder, *, recipe="", **limits):
    lights = [Light(f"r{i}", Pose(*shift)) for i, shift in enumerate(SHIFTS)]
    night = folder / "night"
    if not night.exists():
        write_lights(night, lights)
    (folder / "mine.toml").write_text(recipe)
    choices = Choices(recipe=str(folder / "mine.toml"))
    limits = Limits(planes=True, **limits)
    done = reduce_night(
        night, output=folder / "out", choices=choices, limits=limits, page=False
    )
    assert not done.failed
    return done


def sky_pixels(n=60):
    """Mark pixels without star light, and far from the edges that some lights lack."""
    away = np.ones(SHAPE, bool)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for sx, sy, _ in zip(*stars_of(1, n), strict=True):
        away &= np.hypot(x - sx, y - sy) > 15
    away[:15] = away[-15:] = away[:, :15] = away[:, -15:] = False
    return away


def core_width(pulls):
    low, high = np.percentile(pulls, [15.87, 84.13])
    return (high - low) / 2


@pytest.fixture(scope="module")
def dithered(tmp_path_factory):
    return reduced(tmp_path_factory.mktemp("dithered"))


def test_errors_of_a_stack_are_true(dithered):
    sky = sky_pixels()
    with fits.open(dithered.folder / STACK) as hdus:
        assert [hdu.name for hdu in hdus] == [
            *("PRIMARY", "MASK", "UNCERT", "NUSED", "INPUTS")
        ]
        data, sigma = hdus[0].data[sky], hdus["UNCERT"].data[sky]
        assert hdus["UNCERT"].header["BUNIT"] == "adu"
    pulls = (data - np.median(data)) / sigma
    assert core_width(pulls) == pytest.approx(1, abs=0.05)
    assert np.median(data) == pytest.approx(SKY, abs=1)
    # Six lights of photons and read noise, smoothed a little.
    single = (SKY / 1.5 + (8 / 1.5) ** 2) ** 0.5
    assert 0.75 < np.median(sigma) / (single / 6**0.5) < 1


def test_errors_are_larger_where_stars_shine_and_where_lights_are_few(dithered):
    with fits.open(dithered.folder / STACK) as hdus:
        sigma, used, scene = (hdus[one].data for one in ("UNCERT", "NUSED", 0))
        scene = scene - np.float32(SKY)
    sky = np.median(sigma[sky_pixels()])
    bright = (scene > 3000) & (used == 6)
    expected = np.sqrt((scene[bright] + SKY + 64 / 1.5) / (SKY + 64 / 1.5))
    assert np.median(sigma[bright] / sky / expected) == pytest.approx(1, abs=0.05)
    few = (scene < 50) & (used == 3)
    assert np.median(sigma[few]) / sky == pytest.approx(2**0.5, rel=0.05)


def test_the_card_tells_how_noisy_means_are(dithered):
    with fits.open(dithered.folder / STACK) as hdus:
        data, header = hdus[0].data, hdus[0].header
    sky = sky_pixels()
    ny, nx = (n // 4 * 4 for n in SHAPE)
    cut = [one[:ny, :nx].reshape(ny // 4, 4, nx // 4, 4) for one in (data, sky)]
    whole = cut[1].all(axis=(1, 3))
    means = cut[0].mean(axis=(1, 3))[whole]
    ratio = 4 * core_width(means) / core_width(data[sky])
    assert header["CORRNOIS"] == pytest.approx(ratio, rel=0.08)
    assert header["CORRNOIS"] > 1.02


def test_errors_of_a_median_are_those_of_a_median(tmp_path):
    done = reduced(tmp_path, recipe='[stack.combine]\nmethod = "median"\n')
    sky = sky_pixels()
    with fits.open(done.folder / STACK) as hdus:
        data, sigma = hdus[0].data[sky], hdus["UNCERT"].data[sky]
    # Of six samples a median is a little better than of many: 1.14 to 1.25.
    width = core_width((data - np.median(data)) / sigma)
    assert 0.85 < width < 1.02


def test_where_errors_cannot_be_worked_out_that_is_told(tmp_path):
    done = reduced(tmp_path, recipe='[stack.combine]\nmethod = "max"\n')
    with fits.open(done.folder / STACK) as hdus:
        assert "UNCERT" not in hdus
        assert "CORRNOIS" not in hdus[0].header
    told = [one for end in done.report.outcomes.values() for one in end.remarks]
    assert "no UNCERT: lights are combined by max" in map(str, told)


# ------------------------------------------------------------------ by hand


def test_lights_without_errors_are_counted(tmp_path):
    zeros = np.zeros((4, 5), np.float32)
    good = make_light(tmp_path, "a.fits", zeros, sigma=2.0)
    bad = make_light(tmp_path, "b.fits", zeros)
    assert why_no_errors([good], Method.MEAN) is None
    told = why_no_errors([good, bad], Method.MEAN)
    assert told.found == "1 of its 2 lights have none"


def test_the_variance_of_a_combination_worked_by_hand():
    """(1 * 2**2 + 1 * 4**2) / 2**2 = 5; of weights 1 and 3: (4 + 144) / 16 = 9.25."""
    sigmas = [np.full((1, 2), s, np.float32) for s in (2, 4)]
    sigmas[1][0, 1] = np.nan
    used = np.array([[2, 1]], np.uint16)
    found = variance_of(Method.MEAN, sigmas, None, used)
    np.testing.assert_allclose(found, [[5, 4]])
    found = variance_of(Method.MEAN, sigmas, [1.0, 3.0], used)
    np.testing.assert_allclose(found, [[9.25, 4]])
    found = variance_of(Method.MEDIAN, sigmas, None, used)
    np.testing.assert_allclose(found, [[5 * np.pi / 2, 4 * np.pi / 2]], rtol=1e-6)
    # One of two was left out: twice the variance of both.
    one = variance_of(Method.MEAN, sigmas[:1] * 2, None, np.array([[1, 2]], np.uint16))
    np.testing.assert_allclose(one, [[4, 2]])


def test_lights_that_are_not_resampled_correlate_nothing(tmp_path):
    light = make_light(tmp_path, "a.fits", np.zeros((8, 8)), sigma=1.0)
    assert correlation([light], [1.0]) == 1.0
