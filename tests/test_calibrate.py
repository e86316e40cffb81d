"""Calibration against double precision, and its variance against simulated scatter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoreduce.pixels import calibrate as calibrate_module
from autoreduce.pixels.calibrate import calibrate, calibrated_variance

EGAIN = 1.6
RDNOISE = 8.0


def make_frames(shape=(30, 40), *, dtype=np.uint16, seed=1):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 65536, shape).astype(dtype)
    bias = rng.normal(1000, 5, shape).astype(np.float32)
    dark = rng.normal(20, 3, shape).astype(np.float32)
    flat = rng.normal(1, 0.05, shape).astype(np.float32)
    return raw, {"bias": bias, "dark": dark, "flat": flat}


def in_double_precision(
    raw, *, overscan=0.0, dark_scale=1.0, dark_offset=0.0, **masters
):
    bias, dark, flat = (
        np.float64(masters.get(name, default))
        for name, default in (("bias", 0), ("dark", 0), ("flat", 1))
    )
    return (raw - overscan - bias - (dark_scale * dark + dark_offset)) / flat


def test_a_pixel_worked_by_hand():
    found = calibrate(
        np.array([[1500]], np.uint16),
        overscan=100.0,
        bias=np.array([[200.0]]),
        dark=np.array([[40.0]]),
        dark_scale=0.5,
        dark_offset=4.0,
        flat=np.array([[0.8]]),
    )
    assert found.dtype == np.float32
    assert found.item() == pytest.approx((1500 - 100 - 200 - 24) / 0.8)


@pytest.mark.parametrize(
    "dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64]
)
def test_agrees_with_double_precision(dtype):
    raw, masters = make_frames(dtype=dtype)
    options = {"overscan": 301.25, "dark_scale": 0.2548, "dark_offset": 4.4}
    found = calibrate(raw, **masters, **options)
    expected = in_double_precision(raw, **masters, **options)
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=0.01)


@pytest.mark.parametrize("absent", ["bias", "dark", "flat"])
def test_each_master_may_be_absent(absent):
    raw, masters = make_frames()
    del masters[absent]
    expected = in_double_precision(raw, **masters)
    np.testing.assert_allclose(
        calibrate(raw, **masters), expected, rtol=3e-7, atol=0.01
    )


def test_without_anything_the_frame_is_the_same_in_floats():
    raw, _ = make_frames()
    np.testing.assert_array_equal(calibrate(raw), raw.astype(np.float32))


def test_nothing_wraps_around_below_zero():
    raw = np.array([[10]], np.uint16)
    assert calibrate(raw, bias=np.array([[20.0]], np.float32)).item() == -10


def test_overscan_may_differ_from_row_to_row():
    raw = np.full((3, 4), 500, np.uint16)
    found = calibrate(raw, overscan=np.array([[100.0], [200.0], [300.0]]))
    assert found[:, 0].tolist() == [400, 300, 200]
    assert (found == found[:, :1]).all()


def test_dark_offset_is_nothing_without_a_dark():
    raw = np.full((2, 2), 500, np.uint16)
    assert (calibrate(raw, dark_offset=5.0) == 500).all()


@pytest.mark.parametrize("response", [0.0, -0.5, np.nan])
def test_where_the_flat_is_not_above_zero_there_is_no_value(response):
    raw = np.full((1, 2), 500, np.uint16)
    found = calibrate(raw, flat=np.array([[1.0, response]], np.float32))
    assert found[0, 0] == 500
    assert np.isnan(found[0, 1])


def test_gaps_in_masters_stay_gaps():
    raw, masters = make_frames()
    masters["bias"][3, 4] = masters["dark"][5, 6] = np.nan
    bad = np.isnan(calibrate(raw, **masters))
    assert np.argwhere(bad).tolist() == [[3, 4], [5, 6]]


def test_result_goes_where_it_is_asked_to_go():
    raw, masters = make_frames()
    out = np.empty(raw.shape, np.float32)
    assert calibrate(raw, **masters, out=out) is out
    np.testing.assert_array_equal(out, calibrate(raw, **masters))


def test_a_float_frame_may_be_calibrated_in_place():
    raw, masters = make_frames(dtype=np.float32)
    expected = calibrate(raw, **masters)
    np.testing.assert_array_equal(calibrate(raw, **masters, out=raw), expected)


def test_frames_and_masters_are_not_changed():
    raw, masters = make_frames()
    before = raw.copy(), {name: master.copy() for name, master in masters.items()}
    calibrate(raw, **masters, dark_scale=0.5)
    np.testing.assert_array_equal(raw, before[0])
    for name, master in masters.items():
        np.testing.assert_array_equal(master, before[1][name])


@pytest.mark.parametrize("n_pixels", [1, 7, 100])
def test_bits_depend_neither_on_band_nor_on_tile(monkeypatch, n_pixels):
    raw, masters = make_frames()
    whole = calibrate(raw, **masters, dark_scale=0.3)
    bands = [
        calibrate(
            raw[y : y + 1],
            **{k: m[y : y + 1] for k, m in masters.items()},
            dark_scale=0.3,
        )
        for y in range(len(raw))
    ]
    np.testing.assert_array_equal(whole, np.vstack(bands))
    monkeypatch.setattr(calibrate_module, "TILE_PIXELS", n_pixels)
    np.testing.assert_array_equal(whole, calibrate(raw, **masters, dark_scale=0.3))


@given(
    arrays(np.uint16, (2, 3)),
    arrays(np.float32, (2, 3), elements=st.floats(0.125, 8, width=16)),
)
def test_a_frame_divided_by_its_flat_times_the_flat_is_the_frame(raw, flat):
    found = calibrate(raw, flat=flat).astype(np.float64) * flat
    np.testing.assert_allclose(found, raw, rtol=1e-6)


@pytest.mark.parametrize("name", ["bias", "dark", "flat", "out"])
def test_a_master_of_another_shape_is_refused(name):
    raw, _ = make_frames()
    with pytest.raises(ValueError, match=rf"{name} has shape \(30, 41\)"):
        calibrate(raw, **{name: np.ones((30, 41), np.float32)})


def test_an_overscan_of_another_length_is_refused():
    raw, _ = make_frames()
    with pytest.raises(ValueError, match="overscan"):
        calibrate(raw, overscan=np.ones((29, 1)))


def test_a_cube_is_refused():
    with pytest.raises(ValueError, match="rows and columns"):
        calibrate(np.zeros((2, 3, 4), np.uint16))


# -------------------------------------------------------------------------- variance


def test_variance_worked_by_hand():
    """1000 ADU behind a flat of 0.5, and 20 of the dark: 520 ADU of photons."""
    found = calibrated_variance(
        np.array([[1000.0]], np.float32),
        egain=2.0,
        rdnoise=6.0,
        dark=np.array([[20.0]]),
        subtracted_variance=1.0,
        flat=np.array([[0.5]]),
        flat_variance=1e-4,
    )
    expected = (520 / 2 + 9 + 1 + 1000**2 * 1e-4) / 0.25
    assert found.dtype == np.float32
    assert found.item() == pytest.approx(expected)


def test_negative_counts_have_read_noise_only():
    found = calibrated_variance(np.array([[-50.0]]), egain=2.0, rdnoise=6.0)
    assert found.item() == pytest.approx(9.0)


def test_variance_is_nan_where_the_frame_is():
    found = calibrated_variance(np.array([[np.nan, 1.0]]), egain=2.0, rdnoise=6.0)
    assert np.isnan(found).tolist() == [[True, False]]


@pytest.mark.parametrize(("egain", "rdnoise"), [(0.0, 8.0), (1.5, -1.0), (np.nan, 8.0)])
def test_a_detector_that_cannot_be_is_refused(egain, rdnoise):
    with pytest.raises(ValueError, match="egain must be positive"):
        calibrated_variance(np.ones((1, 1)), egain=egain, rdnoise=rdnoise)


def exposed(rng, electrons, *, bias_adu=1000.0):
    """Expose a raw frame of a camera with these mean electrons in each pixel."""
    noise = rng.normal(0, RDNOISE, electrons.shape)
    return (bias_adu + (rng.poisson(electrons) + noise) / EGAIN).round()


@pytest.mark.parametrize("dark_scale", [1.0, 0.25])
def test_variance_predicts_the_scatter_of_calibrated_lights(dark_scale):
    """Masters of few frames, so that their own noise counts; pulls of unit width."""
    rng = np.random.default_rng(5)
    shape, n, t = (150, 150), 3, 400.0
    response = rng.uniform(0.5, 1.5, shape)
    frame_variance = (RDNOISE / EGAIN) ** 2 + 1 / 12
    bias = np.mean([exposed(rng, np.zeros(shape)) for _ in range(n)], axis=0)
    bias_variance = np.full(shape, frame_variance / n)
    darks = [exposed(rng, np.full(shape, t)) - bias for _ in range(n)]
    dark = np.mean(darks, axis=0)
    dark_variance = (t / EGAIN**2 + frame_variance) / n + bias_variance
    flat_sigma = 0.02
    flat = response * (1 + rng.normal(0, flat_sigma, shape))
    raw = exposed(rng, 3000 * response + t * dark_scale)
    light = calibrate(raw, bias=bias, dark=dark, dark_scale=dark_scale, flat=flat)
    variance = calibrated_variance(
        light,
        egain=EGAIN,
        rdnoise=np.hypot(RDNOISE, EGAIN * 12**-0.5),
        dark=dark_scale * dark,
        # raw - bias - scale * (dark + bias - bias): the master bias enters twice.
        subtracted_variance=(1 - 2 * dark_scale) * bias_variance
        + dark_scale**2 * dark_variance,
        flat=flat,
        flat_variance=(flat_sigma * response) ** 2,
    )
    pull = (light - 3000 / EGAIN) / np.sqrt(variance)
    assert np.std(pull) == pytest.approx(1, abs=0.02)
    assert np.mean(pull) == pytest.approx(0, abs=0.06)
