"""Lights on another grid: held against drawn stars, a spline, and themselves in bands."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from stack_fields import paint

from autoreduce.pixels import resample
from autoreduce.pixels.register import Transform
from autoreduce.pixels.resample import Resampler, lanczos

SHAPE, LIGHT = (160, 220), (190, 230)
TRANSFORMS = {
    "still": Transform(),
    "whole pixels": Transform(7, -3),
    "shift": Transform(3.3, -2.7),
    "turn": Transform(1.2, 5.5, 0.4),
    "flip": Transform(221.3, 163.2, 179.7),
    "large turn": Transform(-20, 40, -12.0),
    "quarter": Transform(210, 3, 88.7),
    "three quarters": Transform(3, 190, -90.4),
    "strong turn": Transform(90, -30, 38.0),
    "scale": Transform(2.0, 4, 0.3, 1.0004),
    "other scale": Transform(-3, 2, 0, 0.98),
    "other scale, turned": Transform(30, 5, 7.0, 1.01),
    "half the pixels": Transform(-100, -80, 0.5, 2.0),
    "mirror": Transform(5, 160, 2, 1.0, True),
    "mirror, turned": Transform(210, 20, 175.0, 1.0, True),
}


def by_bands(resampler, light, height, **how):
    parts = []
    for start in range(0, resampler.shape[0], height):
        stop = min(start + height, resampler.shape[0])
        first, last = resampler.light_rows(start, stop)
        parts.append(resampler.rows(light[first:last], first, start, stop, **how))
    return np.vstack(parts)


def inside(transform):
    """Tell which pixels of the grid the light covers, and where they lie in it."""
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    x, y = transform.inverse()(xx.astype(float), yy.astype(float))
    covered = (x >= -0.5) & (x <= LIGHT[1] - 0.5) & (y >= -0.5) & (y <= LIGHT[0] - 0.5)
    return covered, x, y


def drawn(transform, fwhm=3.0):
    """Draw stars on the grid, and as a light sees them."""
    rng = np.random.default_rng(3)
    gx, gy = rng.uniform(50, SHAPE[1] - 50, 25), rng.uniform(45, SHAPE[0] - 45, 25)
    truth, light = np.zeros(SHAPE), np.zeros(LIGHT)
    paint(truth, gx, gy, np.full(25, 1e4), fwhm, beta=None)
    x, y = transform.inverse()(gx, gy)
    paint(
        light,
        x,
        y,
        np.full(25, 1e4) / transform.scale**2,
        fwhm / transform.scale,
        beta=None,
    )
    return truth, light.astype(np.float32)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_stars_come_to_where_they_belong(name):
    transform = TRANSFORMS[name]
    truth, light = drawn(transform)
    made = Resampler(transform, LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    covered, x, y = inside(transform)
    np.testing.assert_array_equal(np.isfinite(made), covered)
    spline = map_coordinates(light.astype(float), [y, x], order=3, mode="nearest")
    off = np.abs(made - truth)[covered].max()
    assert off < max(1.5 * np.abs(spline - truth)[covered].max(), 0.01 * truth.max())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_bits_do_not_depend_on_the_bands(name):
    rng = np.random.default_rng(8)
    light = rng.normal(100, 10, LIGHT).astype(np.float32)
    light[rng.integers(0, LIGHT[0], 60), rng.integers(0, LIGHT[1], 60)] = np.nan
    light[80:95, 100:112] = np.nan
    light[rng.integers(0, LIGHT[0], 9), rng.integers(0, LIGHT[1], 9)] = 60000
    resampler = Resampler(TRANSFORMS[name], LIGHT, SHAPE)
    whole = by_bands(resampler, light, SHAPE[0], saturate=50000.0, sky=100.0, noise=3.0)
    for height in (1, 7, 64):
        parts = by_bands(
            resampler, light, height, saturate=50000.0, sky=100.0, noise=3.0
        )
        np.testing.assert_array_equal(parts, whole)


def test_the_bits_do_not_depend_on_how_many_columns_are_made_at_a_time(monkeypatch):
    light = np.random.default_rng(8).normal(100, 10, LIGHT).astype(np.float32)
    resampler = Resampler(TRANSFORMS["strong turn"], LIGHT, SHAPE)
    whole = by_bands(resampler, light, 64)
    monkeypatch.setattr(resample, "NARROWEST", 30)
    np.testing.assert_array_equal(by_bands(resampler, light, 64), whole)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_place_by_itself_has_the_bits_that_it_has_among_others(seed):
    """The last column is a strip by itself, the last row a band by itself."""
    light = np.random.default_rng(seed).normal(100, 30, (150, 1136)).astype(np.float32)
    resampler = Resampler(Transform(-8.149, -4.865, 0.3), light.shape, (129, 1025))
    whole = by_bands(resampler, light, 129)
    np.testing.assert_array_equal(by_bands(resampler, light, 64), whole)


@pytest.mark.parametrize("scale", [1 - 1e-7, 1 + 1e-7])
def test_a_scale_that_is_next_to_one_moves_nothing(scale):
    light = np.random.default_rng(5).normal(100, 10, LIGHT).astype(np.float32)
    made = [
        Resampler(Transform(3.3, -2.7, 0.4, one), LIGHT, SHAPE).rows(light, 0, 0, 160)
        for one in (1.0, scale)
    ]
    assert np.nanmax(np.abs(made[1] - made[0])) < 0.05


def test_two_shears_put_a_light_where_three_do(monkeypatch):
    transform = Transform(3.3, -2.7, 0.08)
    _, light = drawn(transform)
    two = Resampler(transform, LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    monkeypatch.setattr(resample, "SMALL_TURN", 0.0)
    three = Resampler(transform, LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    assert np.nanmax(np.abs(two - three)) < 0.02 * np.nanmax(three)
    places = np.arange(SHAPE[1]) * np.nansum([two, three], axis=1)
    x_two, x_three = places.sum(axis=1) / np.nansum([two, three], axis=(1, 2))
    assert x_two == pytest.approx(x_three, abs=0.02)


def test_whole_pixels_are_copied():
    light = np.random.default_rng(1).normal(size=LIGHT).astype(np.float32)
    made = Resampler(Transform(7, -3), LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    np.testing.assert_array_equal(made[:150, 7:], light[3:153, : SHAPE[1] - 7])
    assert np.isnan(made[:, :7]).all()


def test_flux_is_kept():
    truth, light = drawn(Transform(1.4, 2.6, 0.3))
    made = Resampler(Transform(1.4, 2.6, 0.3), LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    assert np.nansum(made) == pytest.approx(truth.sum(), rel=2e-4)


def test_a_missing_pixel_costs_a_pixel_and_does_not_ring():
    transform = Transform(0.3, 0.2)
    light = np.full(LIGHT, 1000, np.float32)
    light[50, 60] = np.nan
    made = Resampler(transform, LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    lost = np.argwhere(np.isnan(made[5:-5, 5:-5])) + 5
    assert [tuple(one) for one in lost] == [(50, 60)]
    np.testing.assert_allclose(made[np.isfinite(made)], 1000, rtol=1e-6)


def test_a_large_hole_is_no_larger_on_the_grid():
    light = np.full(LIGHT, 1000, np.float32)
    light[60:80, 100:130] = np.nan
    made = Resampler(Transform(2.5, 1.5), LIGHT, SHAPE).rows(light, 0, 0, SHAPE[0])
    hole = np.isnan(made[10:-10, 10:-10]).sum()
    assert 20 * 30 <= hole <= 22 * 32
    np.testing.assert_allclose(made[np.isfinite(made)], 1000, rtol=1e-6)


def test_saturated_pixels_keep_their_value_and_have_no_dark_ring():
    light = np.full(LIGHT, 300, np.float32)
    light[70:80, 90:101] = 60000
    resampler = Resampler(Transform(0.5, 0.5, 0.2), LIGHT, SHAPE)
    bare = resampler.rows(light, 0, 0, SHAPE[0])
    kept = resampler.rows(light, 0, 0, SHAPE[0], saturate=59000.0)
    assert np.nanmin(bare) < -1000
    assert np.nanmin(kept) == pytest.approx(300, rel=1e-5)
    assert np.nanmax(kept) == pytest.approx(60000)


def test_hot_pixels_and_cosmic_rays_have_no_dark_rims():
    rng = np.random.default_rng(3)
    light = rng.normal(100, 2, LIGHT).astype(np.float32)
    light[60, 80] += 5000
    light[100, 40:60] += 3000
    light[30:50, 150] += 800
    resampler = Resampler(Transform(0.4, -0.45, 0.1), LIGHT, SHAPE)
    rings = by_bands(resampler, light, 50)
    assert np.nanmin(rings) < -200
    clean = by_bands(resampler, light, 50, sky=100.0, noise=2.0)
    assert np.nanmin(clean) > 100 - 6 * 2
    np.testing.assert_array_equal(
        clean, by_bands(resampler, light, 7, sky=100.0, noise=2.0)
    )


@pytest.mark.parametrize("fwhm", [1.5, 2.5, 5.0])
def test_stars_are_not_taken_for_hot_pixels(fwhm):
    rng = np.random.default_rng(4)
    scene = np.zeros(LIGHT)
    n = 40
    paint(
        scene, rng.uniform(10, 200, n), rng.uniform(10, 180, n), np.full(n, 3e4), fwhm
    )
    light = (scene + rng.normal(100, 2, LIGHT)).astype(np.float32)
    resampler = Resampler(Transform(0.4, -0.45, 0.1), LIGHT, SHAPE)
    np.testing.assert_array_equal(
        by_bands(resampler, light, 50),
        by_bands(resampler, light, 50, sky=100.0, noise=2.0),
    )


def test_smoothing_is_what_noise_loses():
    light = np.random.default_rng(2).normal(0, 1, (600, 600)).astype(np.float32)
    for transform in (Transform(0.5, 0.5), Transform(3.2, 1.1, 0.5), Transform(4, 2)):
        resampler = Resampler(transform, light.shape, light.shape)
        made = resampler.rows(light, 0, 0, 600)
        assert np.nanstd(made) == pytest.approx(resampler.smoothing, rel=0.02)


def test_a_light_beside_the_grid_gives_nothing():
    resampler = Resampler(Transform(5000, 0), LIGHT, SHAPE)
    made = by_bands(resampler, np.ones(LIGHT, np.float32), 50)
    assert np.isnan(made).all()
    above = Resampler(Transform(0, 5000), LIGHT, SHAPE)
    assert above.light_rows(0, 50) == (0, 0)
    assert np.isnan(above.rows(np.ones((0, LIGHT[1]), np.float32), 0, 0, 50)).all()


def test_weights_of_a_line_sum_to_one():
    weights = lanczos(np.linspace(0, 0.999, 40))
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(
        lanczos(np.zeros(1))[:, 0], [0, 0, 1, 0, 0, 0], atol=1e-7
    )


def test_images_smaller_than_the_kernel():
    light = np.array([[1, 2], [3, 4]], np.float32)
    made = Resampler(Transform(), (2, 2), (3, 3)).rows(light, 0, 0, 3)
    np.testing.assert_array_equal(made[:2, :2], light)
    assert np.isnan(made[2]).all()
    half = Resampler(Transform(0.5, 0), (2, 2), (2, 2)).rows(light, 0, 0, 2)
    assert np.isfinite(half).all()


def test_the_nearest_pixels_and_how_far_off_they_lie():
    """Pixels lie 0.3 to the right of the grid's and 0.2 below them."""
    light = np.arange(20, dtype=np.float32).reshape(4, 5)
    laid = Resampler(Transform(0.3, -0.2), (4, 5), (4, 6))
    rows = laid.nearest(light[1:], 1, 1, 4)
    np.testing.assert_array_equal(rows[:, :5], light[1:])
    assert np.isnan(rows[:, 5]).all()
    x, y = laid.offsets(1, 4)
    np.testing.assert_allclose(x, -0.3, atol=1e-6)
    np.testing.assert_allclose(y, 0.2, atol=1e-6)
    turned = Resampler(Transform(4.3, 3.0, 180.0), (4, 5), (4, 5))
    np.testing.assert_array_equal(turned.nearest(light, 0, 0, 4), light[::-1, ::-1])
    np.testing.assert_allclose(turned.offsets(0, 4)[0], -0.3, atol=1e-6)
