"""Frame statistics against numpy and against frames of known noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoreduce.pixels.measure import (
    measure,
    overscan_level,
    pair_noise,
    pixel_noise,
    pixel_noises,
)


def make_frame(shape=(200, 300), *, level=1000.0, sigma=5.0, dtype=np.uint16, seed=1):
    frame = np.random.default_rng(seed).normal(level, sigma, shape)
    return (
        frame.round().astype(dtype)
        if np.dtype(dtype).kind in "ui"
        else frame.astype(dtype)
    )


shapes = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(arrays(np.uint16, shapes, elements=st.integers(0, 20) | st.integers(0, 65535)))
def test_integers_agree_with_numpy(frame):
    found = measure(frame, saturate=15)
    values = frame.astype(np.float64)
    median = np.median(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.median == median
    assert found.spread == pytest.approx(1.4826 * np.median(np.abs(values - median)))
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.saturated == np.mean(values >= 15)
    assert found.finite == 1


@given(
    arrays(
        np.float32, shapes, elements=st.floats(-1e4, 1e4, width=32) | st.just(np.nan)
    )
)
def test_floats_with_gaps_agree_with_numpy(frame):
    found = measure(frame)
    values = frame[np.isfinite(frame)].astype(np.float64)
    assert found.finite == values.size / frame.size
    if values.size:
        assert found.median == pytest.approx(np.median(values))
        assert found.mean == pytest.approx(values.mean(), abs=1e-6)
        assert (found.minimum, found.maximum) == (values.min(), values.max())


def test_a_frame_without_finite_pixels_has_no_statistics():
    found = measure(np.full((3, 4), np.nan, np.float32), saturate=100.0)
    assert np.isnan([found.mean, found.median, found.noise, found.maximum]).all()
    assert (found.finite, found.saturated) == (0, 0)


def test_without_a_saturation_level_its_fraction_is_unknown():
    assert measure(make_frame()).saturated is None


def test_saturated_pixels_are_those_at_the_level_or_above():
    frame = np.array([[64999, 65000, 65535, 0]], np.uint16)
    assert measure(frame, saturate=65000).saturated == 0.5


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_mode_of_a_frame_with_many_stars_is_its_sky(dtype):
    frame = make_frame(dtype=dtype)
    frame[:, ::3] += (
        np.random.default_rng(2).integers(10, 500, frame[:, ::3].shape).astype(dtype)
    )
    found = measure(frame)
    assert found.mode == pytest.approx(1000, abs=2)
    assert found.median > 1001


def test_mode_of_integers_is_the_most_frequent_value():
    assert measure(np.array([[5, 7, 7, 9, 9]], np.uint16)).mode == 7


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 5.0, 40.0])
def test_noise_is_measured_even_below_one_unit(sigma, dtype):
    found = pixel_noise(make_frame(sigma=sigma, dtype=dtype))
    rounding = 0.0 if dtype == np.float32 else 12**-0.5
    assert 0.97 * sigma < found < 1.05 * np.hypot(sigma, rounding)


@pytest.mark.parametrize("sigma", [0.7, 1.1, 1.45, 1.55, 2.0, 9.0])
@pytest.mark.parametrize("factor", [1.0, 0.95, 1.2])
def test_noise_of_whole_numbers_that_became_floats_does_not_jump(sigma, factor):
    """Two amplifiers, freed of their levels and taken to the mean gain."""
    frame = make_frame(sigma=sigma).astype(np.float32)
    parts = (frame - np.float32(997.3)) * factor, (frame - 990) * (2 - factor)
    found = pixel_noise(np.hstack(parts).astype(np.float32), step=1.0)
    assert found == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.06)


def test_noise_is_blind_to_gradients_and_stars():
    frame = make_frame(dtype=np.float32)
    frame += 20 * np.arange(300, dtype=np.float32)
    frame += 7 * np.arange(200, dtype=np.float32)[:, None]
    frame[::20, ::20] += 30000
    found = measure(frame)
    assert found.noise == pytest.approx(5, rel=0.05)
    assert found.spread > 1000


def test_noise_is_blind_to_the_colours_of_a_mosaic():
    frame = make_frame()
    frame[::2, ::2] += 3000
    frame[1::2, 1::2] += 1500
    assert pixel_noise(frame) == pytest.approx(5, rel=0.05)


def test_noise_of_a_large_frame_comes_from_rows_all_over_it():
    frame = make_frame((3000, 1000), dtype=np.float32)
    assert pixel_noise(frame) == pytest.approx(5, rel=0.015)


@pytest.mark.parametrize("side", [512, 1024, 2048])
def test_noise_is_that_of_even_and_of_odd_rows(side):
    frame = make_frame((side, side), dtype=np.float32)
    frame[::2] = 0
    assert 0 < pixel_noise(frame) < 4
    frame[1::2] = frame[0]
    assert pixel_noise(frame) == 0


def test_noise_needs_two_columns_to_compare():
    assert np.isnan(pixel_noise(np.ones((5, 2), np.float32)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_noise_of_several_frames_is_that_of_each(dtype, step):
    frames = make_frame((5, 8, 9), level=100, sigma=7, dtype=dtype)
    frames[1] = 90
    frames[2] += np.arange(8, dtype=dtype)[:, None]
    if np.dtype(dtype).kind == "f":
        frames[3, 2:4] = np.nan
        frames[4] = np.nan
    found = pixel_noises(frames, step)
    assert found.tolist() == pytest.approx(
        [pixel_noise(one, step) for one in frames], abs=0, rel=0, nan_ok=True
    )
    assert len(set(found)) > 3


@pytest.mark.parametrize("shape", [(0, 4), (4,), (2, 3, 4)])
def test_what_is_not_a_frame_is_refused(shape):
    with pytest.raises(ValueError, match="rows and columns"):
        measure(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_noise_of_a_pair_does_not_see_what_both_frames_show(dtype):
    pattern = np.random.default_rng(9).normal(0, 50, (200, 300)).round()
    first, second = (make_frame(seed=seed) + pattern for seed in (1, 2))
    found = pair_noise(first.astype(dtype), second.astype(dtype))
    assert found == pytest.approx(5, rel=0.05)
    assert pixel_noise(first) > 40


def test_noise_of_a_pair_does_not_wrap_around():
    first, second = np.zeros((3, 9), np.uint16), np.ones((3, 9), np.uint16)
    assert pair_noise(first, second) < 1


OVERSCAN = (slice(0, 200), slice(280, 300))


def test_overscan_level_resolves_fractions_of_a_unit():
    frame = make_frame(level=1000.3, sigma=2.0)
    assert overscan_level(frame, OVERSCAN) == pytest.approx(1000.3, abs=0.15)


def test_overscan_level_does_not_see_cosmic_rays_or_bleeding():
    frame = make_frame()
    frame[::10, 285] = 65535
    assert overscan_level(frame, OVERSCAN) == pytest.approx(1000, abs=0.5)


def test_overscan_level_of_each_row_follows_a_drift():
    drift = np.linspace(0, 100, 200)
    frame = make_frame(dtype=np.float64, sigma=2.0) + drift[:, None]
    frame[50, 290] = 1e6
    found = overscan_level(frame, OVERSCAN, per_row=True)
    assert found.shape == (200, 1)
    np.testing.assert_allclose(found[:, 0], 1000 + drift, atol=2.5)


def test_overscan_level_is_nan_where_nothing_is_finite():
    frame = make_frame(dtype=np.float32)
    frame[3] = np.nan
    found = overscan_level(frame, OVERSCAN, per_row=True)
    assert np.flatnonzero(np.isnan(found)).tolist() == [3]


def test_an_overscan_outside_the_frame_is_refused():
    with pytest.raises(ValueError, match="does not lie inside"):
        overscan_level(make_frame(), (slice(0, 200), slice(280, 301)))
