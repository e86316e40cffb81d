"""Saturation that no card tells: found where it is, and nowhere else."""

import numpy as np
import pytest

from autoreduce.pixels.measure import measure

SHAPE = (200, 240)


def starry(rng, *, peaks, sky=500.0, sigma=1.8):
    """Draw a field of stars, noise included."""
    ny, nx = SHAPE
    y, x = np.mgrid[:ny, :nx]
    scene = np.full(SHAPE, sky)
    for peak in peaks:
        cx, cy = rng.uniform(8, nx - 8), rng.uniform(8, ny - 8)
        scene += peak * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2 / sigma**2)
    return rng.poisson(scene) + 1000.0 + rng.normal(0, 4, SHAPE)


def whole(pixels, top=65535, dtype=np.uint16):
    return np.clip(np.rint(pixels), 0, top).astype(dtype)


@pytest.mark.parametrize("top", [4095, 16383])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_counts_that_are_cut_off_pile_up_at_one_value(top, dtype):
    rng = np.random.default_rng(1)
    pixels = whole(starry(rng, peaks=[8e3, 2e4, 4e4]), top, dtype)
    found = measure(pixels)
    assert found.full_at == top
    assert found.saturated == np.mean(pixels == top) > 0


def test_steps_of_16_pile_up_below_the_end_of_the_type():
    rng = np.random.default_rng(2)
    pixels = whole(starry(rng, peaks=[9e4, 2e5]) / 16, 4095) * np.uint16(16)
    assert measure(pixels, saturate=65535).full_at == 65520


def test_an_anti_blooming_gate_holds_pixels_at_no_number_s_end():
    """Full wells of 46000 ADU that differ by a percent from pixel to pixel."""
    rng = np.random.default_rng(3)
    wells = 46000 * (1 + 0.01 * rng.standard_normal(SHAPE))
    pixels = whole(np.minimum(starry(rng, peaks=[2e5] * 6 + [2e4] * 10), wells))
    found = measure(pixels, saturate=65535)
    assert 43000 < found.full_at < 46500
    assert found.saturated == pytest.approx(np.mean(pixels > 43500), rel=0.05)


def test_stars_below_the_end_of_the_range_are_not_full():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pixels = whole(starry(rng, peaks=rng.uniform(500, 2e4, 25)))
        assert measure(pixels).full_at is None
        assert measure(pixels, saturate=60000).full_at == 60000


def test_the_disc_of_a_planet_is_one_place_and_not_full():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = 30000.0 * ((x - 120) ** 2 + (y - 100) ** 2 < 40**2)
    assert (
        measure(whole(starry(rng, peaks=[500] * 5) + rng.poisson(disc))).full_at is None
    )


def test_flats_and_closed_frames_are_not_full():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shape = 1 - 0.3 * ((x / 240 - 0.5) ** 2 + (y / 200 - 0.5) ** 2)
    for level, dtype in ((20000, np.uint16), (60, np.uint16), (0.3, np.uint8)):
        pixels = whole(
            rng.poisson(level * shape) + 30.0,
            255 if dtype == np.uint8 else 65535,
            dtype,
        )
        assert measure(pixels).full_at is None


def test_a_lower_limit_that_a_card_gives_stays():
    rng = np.random.default_rng(6)
    pixels = whole(starry(rng, peaks=[9e4, 2e5]), 16383)
    assert measure(pixels, saturate=12000).full_at == 12000
    assert measure(pixels, saturate=65535).full_at == 16383
