"""The dark fit against the observer's numbers, numpy and its own errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.pixels.darkcurrent import (
    fit_dark_counts,
    fit_doubling,
    large_scale_structure,
    rate_scaling,
    ratio_error,
    ratio_scaling,
)

EXPOSURES = [60.0, 120.0, 180.0]
COUNTS = [11.8, 17.8, 23.6]


def test_the_observers_fit_is_reproduced():
    fit = fit_dark_counts(EXPOSURES, COUNTS)
    assert (round(fit.offset, 3), round(fit.offset_error, 3)) == (5.933, 1.528)
    assert (round(fit.slope, 3), round(fit.slope_error, 3)) == (0.098, 0.012)
    assert fit.n == 3


@pytest.mark.parametrize(
    ("exptime_s", "scale"),
    [(1, 0.2548), (2, 0.2590), (5, 0.2714), (10, 0.2923), (60, 0.5004), (120, 0.7502)],
)
def test_the_observers_scale_factors_are_reproduced(exptime_s, scale):
    found = ratio_scaling(exptime_s, 180.0, offset=5.9, slope=0.098)
    assert found.scale == pytest.approx(scale, abs=1e-4)
    assert found.offset == 0


def test_ratio_is_one_at_the_masters_own_exposure():
    assert ratio_scaling(180.0, 180.0, offset=5.9, slope=0.098) == (1.0, 0.0)


@given(st.floats(0, 1e4), st.floats(-50, 50), st.floats(0, 10))
def test_rate_gives_each_pixel_its_own_current(exptime_s, offset, rate):
    dark = offset + rate * 180.0
    scale, shift = rate_scaling(exptime_s, 180.0, offset=offset)
    expected = offset + rate * exptime_s
    assert scale * dark + shift == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_ratio_refuses_a_line_without_counts():
    with pytest.raises(ValueError, match="positive counts"):
        ratio_scaling(10.0, 60.0, offset=-6.0, slope=0.1)


@pytest.mark.parametrize(("wanted", "at_hand"), [(10.0, 0.0), (-1.0, 60.0)])
def test_rate_refuses_exposures_that_cannot_be(wanted, at_hand):
    with pytest.raises(ValueError, match="cannot take a dark"):
        rate_scaling(wanted, at_hand, offset=0.0)


def test_two_exposures_give_the_line_through_them():
    fit = fit_dark_counts([60, 180], [10.0, 22.0], [0.1, 0.1])
    assert (fit.offset, fit.slope) == pytest.approx((4.0, 0.1))
    assert fit.linear is None


def test_without_errors_linearity_is_unknown():
    assert fit_dark_counts(EXPOSURES, COUNTS).linear is None


def test_counts_on_a_line_are_linear():
    fit = fit_dark_counts(EXPOSURES, COUNTS, [0.1, 0.1, 0.1])
    assert fit.linear is True
    assert fit.chi_square == pytest.approx(0.667, abs=1e-3)
    assert fit.probability == pytest.approx(0.414, abs=1e-3)


def test_counts_off_the_line_by_their_errors_are_not_linear():
    fit = fit_dark_counts(EXPOSURES, [11.8, 19.8, 23.6], [0.1, 0.1, 0.1])
    assert fit.linear is False


@pytest.mark.parametrize("errors", [None, [0.3, 0.1, 0.2, 0.5]])
def test_agrees_with_numpy_polyfit(errors):
    t, counts = [1.0, 30.0, 60.0, 300.0], [3.2, 5.9, 9.4, 33.0]
    weights = None if errors is None else 1 / np.array(errors)
    (slope, offset), covariance = np.polyfit(t, counts, 1, w=weights, cov="unscaled")
    fit = fit_dark_counts(t, counts, errors)
    assert (fit.offset, fit.slope) == pytest.approx((offset, slope))
    errors_found = (fit.slope_error, fit.offset_error)
    assert errors_found == pytest.approx(np.sqrt(np.diag(covariance)))
    assert fit.covariance == pytest.approx(covariance[0, 1])


def test_errors_of_the_line_predict_its_scatter():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(400):
        counts = 6 + 0.1 * np.array(EXPOSURES) + rng.normal(0, 0.5, 3)
        fit = fit_dark_counts(EXPOSURES, counts, [0.5] * 3)
        pulls.append(
            [(fit.offset - 6) / fit.offset_error, (fit.slope - 0.1) / fit.slope_error]
        )
    assert np.std(pulls, axis=0) == pytest.approx([1, 1], abs=0.1)


@given(st.permutations(range(3)))
def test_order_of_exposures_does_not_matter(order):
    straight = fit_dark_counts(EXPOSURES, COUNTS)
    turned = fit_dark_counts([EXPOSURES[i] for i in order], [COUNTS[i] for i in order])
    assert (turned.offset, turned.slope) == pytest.approx(
        (straight.offset, straight.slope)
    )


@pytest.mark.parametrize(
    ("exposures", "counts", "errors", "message"),
    [
        ([60, 120], [1.0], None, "equally long"),
        ([60, 60], [1.0, 2.0], None, "two different exposures"),
        ([60], [1.0], None, "two different exposures"),
        ([60, 120], [1.0, np.nan], None, "finite"),
        ([60, 120], [1.0, 2.0], [0.0, 1.0], "must be positive"),
    ],
)
def test_input_without_a_line_is_refused(exposures, counts, errors, message):
    with pytest.raises(ValueError, match=message):
        fit_dark_counts(exposures, counts, errors)


def test_the_error_of_the_ratio_worked_by_hand():
    """The factor (o + s) / (o + 3 s) at o = 1, s = 1: df/do = 2/16, df/ds = -2/16."""
    found = ratio_error(1.0, 3.0, (1.0, 1.0), (0.8, 0.6, 0.1))
    assert found == pytest.approx(((0.64 + 0.36 - 2 * 0.1) / 64) ** 0.5)
    assert ratio_error(3.0, 3.0, (1.0, 1.0), (0.8, 0.6, 0.1)) == 0


def make_warm_darks(rng=None, doubling=6.3, error=0.5):
    t = np.array([60.0, 60.0, 120.0, 120.0, 240.0, 240.0])
    temperature = np.array([-12.0, -8.0, -8.0, -12.0, -11.0, -9.0])
    counts = 6 + 0.5 * t * 2 ** ((temperature + 10) / doubling)
    if rng is not None:
        counts = counts + rng.normal(0, error, len(t))
    return t, counts, np.full(len(t), error), temperature


def test_the_doubling_temperature_is_found_without_noise():
    found = fit_doubling(*make_warm_darks())
    assert found.degrees == pytest.approx(6.3, rel=0.01)
    assert (found.low, found.high, found.reference) == (-12, -8, -10)
    assert found.equivalent_s(100.0, -10.0) == 100.0
    assert found.equivalent_s(100.0, -8.0) == pytest.approx(
        100 * 2 ** (2 / 6.3), rel=0.01
    )
    assert found.equivalent_s(100.0, 20.0) == found.equivalent_s(100.0, -8.0)


def test_the_error_of_the_doubling_temperature_predicts_its_scatter():
    rng = np.random.default_rng(2)
    found = [fit_doubling(*make_warm_darks(rng)) for _ in range(60)]
    pulls = [(one.degrees - 6.3) / one.degrees_error for one in found]
    assert np.std(pulls) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    "darks",
    [
        [column[:3] for column in make_warm_darks()],
        [*make_warm_darks()[:3], np.linspace(-10, -9, 6)],
        make_warm_darks(error=200.0),
        make_warm_darks(doubling=-6.0),
    ],
    ids=["too few", "too close", "too uncertain", "colder when warmer"],
)
def test_darks_that_do_not_tell_have_no_doubling_temperature(darks):
    assert fit_doubling(*darks) is None


def test_structure_on_large_scales_is_that_of_blocks_not_of_pixels():
    dark = np.full((64, 80), 10.0, np.float32)
    dark[::5, ::5] = 9000
    dark[0, 0] = np.nan
    assert large_scale_structure(dark) == (10, 0)
    dark[:16, 64:] += 7
    assert large_scale_structure(dark) == (10, 7)
    dark[48:] -= 10  # what is darker does not glow
    assert large_scale_structure(dark) == (10, 7)


def test_a_small_dark_is_one_block():
    assert large_scale_structure(np.array([[1.0, 2.0, 9.0]])) == (2, 0)
