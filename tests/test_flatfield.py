"""The lit part of a flat, and pixels that stand out of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreduce.pixels.flatfield import (
    impulses,
    lit_level,
    neighbourhood,
    pixel_scatter,
)

SIGMA = 0.01


def make_flat(shape=(60, 80), seed=1):
    rng = np.random.default_rng(seed)
    return (1 + SIGMA * rng.standard_normal(shape)).astype(np.float32)


def test_the_level_is_that_of_the_lit_part():
    values = np.array([0.0] * 60 + [5.0] * 3 + [90.0, 100.0, 110.0] * 10)
    assert lit_level(values, 0.1) == 100.0
    assert lit_level(values, 0.0) == 0.0
    assert lit_level(values, 0.1, mean=True) == pytest.approx(100.0)
    assert lit_level(values, 0.0, mean=True) == pytest.approx(values.mean())


def test_a_round_field_has_the_level_of_its_disc():
    y, x = np.mgrid[:200, :300]
    disc = np.hypot(x - 150, y - 100) < 60
    rng = np.random.default_rng(2)
    frame = 20000.0 * disc + rng.normal(0, 8, disc.shape)
    assert disc.mean() < 0.2
    assert lit_level(frame.ravel(), 0.1) == pytest.approx(20000, rel=1e-3)


def test_noise_without_light_has_no_lit_part():
    noise = np.random.default_rng(3).normal(-0.5, 8, 100_000)
    assert lit_level(noise, 0.1) == np.median(noise)


def test_pixels_without_data_do_not_count():
    assert lit_level(np.array([np.nan, 2.0, 3.0, 4.0]), 0.1) == 3.0
    assert np.isnan(lit_level(np.full(3, np.nan), 0.1))


@given(factor=st.floats(0.1, 1e4), fraction=st.floats(0, 0.5))
@settings(max_examples=30)
def test_the_level_scales_with_the_light(factor, fraction):
    values = np.linspace(0.0, 1.0, 501)
    expected = factor * lit_level(values, fraction)
    # A pixel right at the limit may fall on either side of it by rounding.
    found = lit_level(factor * values, fraction)
    assert found == pytest.approx(expected, abs=2 * factor / 500)


def test_the_neighbourhood_is_the_median_of_every_second_pixel():
    data = np.arange(169.0).reshape(13, 13)
    y, x = np.array([6, 0, 12]), np.array([6, 0, 12])
    data[6, 6] = 1e6
    around = neighbourhood(data, y, x)
    assert around[0] == np.median(np.delete(data[2:11:2, 2:11:2].ravel(), 12))
    assert around[1] == np.median(np.delete(data[:5:2, :5:2].ravel(), 0))
    assert around[2] == np.median(np.delete(data[8::2, 8::2].ravel(), 8))


def test_a_pixel_without_neighbours_has_no_neighbourhood():
    data = np.full((9, 9), np.nan)
    data[4, 4] = 1.0
    assert np.isnan(neighbourhood(data, np.array([4]), np.array([4]))[0])


@pytest.mark.parametrize("place", [(30, 40), (0, 0), (59, 79), (0, 40), (30, 79)])
def test_a_hot_pixel_is_found_wherever_it_is(place):
    flat = make_flat()
    flat[place] += 12 * SIGMA
    found = impulses(flat, 7.0)
    assert (found.y.tolist(), found.x.tolist()) == ([place[0]], [place[1]])
    assert found.around[0] == pytest.approx(1, abs=0.01)
    assert found.sigma == pytest.approx(SIGMA, rel=0.1)


def test_hot_neighbours_do_not_hide_each_other():
    flat = make_flat()
    flat[20, 30:32] += 20 * SIGMA
    flat[40:42, 50:52] += 20 * SIGMA
    assert len(impulses(flat, 7.0)) == 6


def test_dark_pixels_are_found_only_if_they_are_asked_for():
    flat = make_flat()
    flat[20, 30] -= 12 * SIGMA
    assert len(impulses(flat, 7.0)) == 0
    assert impulses(flat, 7.0, below=True).x.tolist() == [30]


def test_dust_and_vignetting_are_no_impulses():
    y, x = np.mgrid[:200, :300]
    flat = make_flat((200, 300)) * (1 - 0.3 * ((x - 150) / 150) ** 2)
    flat *= 1 - 0.1 * np.exp(-(((np.hypot(x - 100, y - 80) - 15) / 4) ** 2))
    assert len(impulses(flat.astype(np.float32), 7.0, below=True)) == 0


def test_clean_flats_have_no_impulses():
    assert all(len(impulses(make_flat((400, 500), s), 7.0)) == 0 for s in range(5))


def test_the_colours_of_a_mosaic_are_no_impulses():
    flat = make_flat((100, 100)) * np.tile([[0.4, 1.0], [1.0, 0.6]], (50, 50))
    flat[50, 50] += 0.2
    found = impulses(flat.astype(np.float32), 7.0)
    assert (found.y.tolist(), found.x.tolist()) == ([50], [50])


def test_an_infinite_limit_and_a_constant_frame_have_none():
    flat = make_flat()
    flat[3, 3] = 9
    assert len(impulses(flat, np.inf)) == 0
    assert len(impulses(np.ones((20, 20)), 7.0)) == 0
    assert len(impulses(np.ones((20, 2)), 7.0)) == 0


def test_a_pattern_of_three_columns_is_a_structure_and_no_impulse():
    flat = make_flat((90, 90)) * np.tile([1.0, 1.0, 2.0], 30)
    assert len(impulses(flat.astype(np.float32), 7.0)) == 0


def test_what_pixels_differ_by_is_that_of_the_noisier_rows():
    rng = np.random.default_rng(3)
    flat = rng.normal(1, 0.03, (512, 512)).astype(np.float32)
    flat[::2] = rng.normal(1, 0.05, (256, 512))
    assert pixel_scatter(flat) == pytest.approx(0.05, rel=0.02)
    assert pixel_scatter(flat[::-1]) == pytest.approx(0.05, rel=0.02)
