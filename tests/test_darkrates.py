"""Rates of single pixels by hand, against numpy, and what has no rate against truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.pixels.darkrates import (
    BEND_ERROR,
    BLOCK,
    GLOWING,
    NON_LINEAR,
    SATURATED,
    bias_share,
    fit_rates,
    grow,
)

EXPOSURES = np.array([60.0, 120.0, 180.0])


def make_darks(counts, *, pixels=1):
    """Put the same counts into every pixel of a row."""
    darks = np.asarray(counts, np.float32)[:, None, None]
    return np.repeat(darks, pixels, axis=2)


def rates(counts, *, sigma=1.0, exptime=EXPOSURES, **options):
    variance = np.full((len(exptime), 1, 1), sigma**2)
    return fit_rates(make_darks(counts), exptime, variance, **options)


def test_a_rate_worked_by_hand():
    """(60 * 6 + 120 * 13 + 180 * 17) / (60**2 + 120**2 + 180**2)."""
    found = rates([6, 13, 17])
    assert found.rate.item() == pytest.approx(4980 / 50400)
    assert found.error.item() == pytest.approx(50400**-0.5)
    assert found.flags.item() == 0


def test_a_common_error_of_the_bias_is_allowed_for_as_generalised_least_squares():
    covariance = np.diag([4.0, 9.0, 1.0]) + 2.5
    inverse = np.linalg.inv(covariance)
    counts = np.array([6.0, 13.0, 17.0])
    tt = EXPOSURES @ inverse @ EXPOSURES
    variance = np.array([4.0, 9.0, 1.0])
    found = fit_rates(
        make_darks(counts),
        EXPOSURES,
        variance[:, None, None],
        offset_variance=2.5,
    )
    assert found.rate.item() == pytest.approx(EXPOSURES @ inverse @ counts / tt)
    assert found.error.item() == pytest.approx(tt**-0.5)
    share = bias_share(EXPOSURES, variance, 2.5)
    assert share == pytest.approx(EXPOSURES @ inverse @ np.ones(3) / tt)


def test_without_its_own_offset_numpy_finds_the_same_rate():
    rng = np.random.default_rng(3)
    darks = rng.normal(0.1 * EXPOSURES[:, None, None], 2, (3, 4, 5))
    found = fit_rates(darks, EXPOSURES, np.full((3, 1, 1), 4.0))
    expected, *_ = np.linalg.lstsq(EXPOSURES[:, None], darks.reshape(3, -1))
    np.testing.assert_allclose(found.rate.ravel(), expected[0], rtol=1e-5)


@given(st.floats(-5, 500), st.permutations(range(3)))
def test_proportional_counts_give_their_rate_in_any_order(rate, order):
    order = list(order)
    found = rates(rate * EXPOSURES[order], exptime=EXPOSURES[order])
    assert found.rate.item() == pytest.approx(rate, rel=1e-5, abs=1e-6)


def test_a_pixel_that_bends_has_no_rate():
    found = rates([60, 70, 75])
    assert np.isnan(found.rate.item())
    assert np.isnan(found.error.item())
    assert found.flags.item() & NON_LINEAR


def test_a_saturated_exposure_is_left_out():
    full = np.array([False, False, True])[:, None, None]
    found = rates([6000, 12000, 15000], saturated=full)
    assert found.rate.item() == pytest.approx(100)
    assert found.flags.item() == SATURATED


def test_a_pixel_that_is_always_saturated_has_no_rate():
    found = rates([15000] * 3, saturated=np.ones((3, 1, 1), bool))
    assert np.isnan(found.rate.item())


def test_a_missing_sample_is_not_used():
    found = rates([6, np.nan, 18])
    assert found.rate.item() == pytest.approx(0.1)
    assert found.error.item() == pytest.approx((60**2 + 180**2) ** -0.5)


def test_exposures_must_belong_to_the_darks():
    with pytest.raises(ValueError, match="as many exposures"):
        fit_rates(np.zeros((2, 3, 4)), EXPOSURES, np.ones((2, 1, 1)))


def noisy(rng, counts, sigma, shape):
    return counts[:, None, None] + rng.normal(0, sigma, (len(counts), *shape))


def test_errors_of_rates_predict_their_scatter_and_few_are_refused():
    rng = np.random.default_rng(20210227)
    darks = noisy(rng, 0.1 * EXPOSURES, 2.0, (200, 200))
    darks += rng.normal(0, 1.5, (200, 200))
    variance = np.full((3, 1, 1), 4.0)
    found = fit_rates(darks, EXPOSURES, variance, offset_variance=1.5**2)
    pulls = (found.rate - 0.1) / found.error
    assert np.nanstd(pulls) == pytest.approx(1, abs=0.02)
    assert np.nanmean(pulls) == pytest.approx(0, abs=0.02)
    assert np.isnan(pulls).mean() == pytest.approx(0.001, abs=0.0006)
    assert not (found.flags & GLOWING).any()


def test_faint_glow_is_found_by_its_neighbourhood():
    """Each pixel bends by 2 sigma only; together they leave no doubt."""
    rng = np.random.default_rng(5)
    counts = 0.1 * EXPOSURES[:, None, None] * np.ones((3, 64, 64))
    counts[0, :32, :32] += 7.0
    darks = counts + rng.normal(0, 2, counts.shape)
    found = fit_rates(darks, EXPOSURES, np.full((3, 1, 1), 4.0))
    glowing = (found.flags & GLOWING).astype(bool)
    assert glowing[:32, :32].all()
    assert not glowing[32:].any()
    assert not glowing[:, 32:].any()
    assert np.isnan(found.rate[glowing]).all()


def test_bands_of_whole_blocks_give_the_same_bits():
    rng = np.random.default_rng(6)
    darks = noisy(rng, 3 * EXPOSURES**0.9, 2.0, (5 * BLOCK + 3, 40)).astype(np.float32)
    darks[0, 20:50, :9] += 8
    variance = np.full((3, 1, 1), 4.0)
    whole = fit_rates(darks, EXPOSURES, variance)
    for start in range(0, darks.shape[1], BLOCK):
        rows = slice(start, start + BLOCK)
        part = fit_rates(darks[:, rows], EXPOSURES, variance)
        for name in ("rate", "error", "flags"):
            np.testing.assert_array_equal(
                getattr(part, name), getattr(whole, name)[rows]
            )


# --------------------------------------------------------- pixels without a rate

SURE = 1e-6
GROWTH_EXPOSURES = np.array([3.0, 60.0, 300.0])


def grown(counts, wanted, *, exptime=GROWTH_EXPOSURES, sigma=SURE):
    excess = np.asarray(counts, float)[:, None]
    found = grow(excess, exptime, np.full(excess.shape, sigma**2), wanted)
    return found.counts.item(), np.sqrt(found.variance.item())


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.4])
@pytest.mark.parametrize("wanted", [10.0, 60.0, 120.0, 300.0, 400.0])
def test_a_power_of_time_is_followed_between_exposures_and_beyond(exponent, wanted):
    counts, error = grown(7 * GROWTH_EXPOSURES**exponent, wanted)
    assert counts == pytest.approx(7 * wanted**exponent, rel=1e-3)
    assert (error < 1e-3) == (exponent == 1.0 or wanted in GROWTH_EXPOSURES)


@given(st.floats(0, 400))
def test_growth_in_proportion_is_kept_at_any_exposure(wanted):
    counts, _ = grown(0.5 * GROWTH_EXPOSURES, wanted)
    assert counts == pytest.approx(0.5 * wanted, rel=1e-6, abs=1e-6)


def test_below_the_shortest_exposure_the_mean_rate_changes_on():
    """1 ADU/s at 60 s and 0.5 at 300 s: 1.0625 at 30 s."""
    counts, error = grown([60, 150], 30.0, exptime=np.array([60.0, 300.0]))
    assert counts == pytest.approx(30 * 1.0625)
    assert error == pytest.approx(BEND_ERROR * 30 * 0.0625)


def test_counts_lost_in_noise_are_joined_by_a_straight_line():
    counts, error = grown([2, 8], 180.0, exptime=np.array([60.0, 300.0]), sigma=4)
    assert counts == pytest.approx(5.0)
    assert error == pytest.approx(4 / 2**0.5)


def test_a_short_noisy_dark_is_steadied_by_the_longer_ones():
    excess = np.array([[9.0], [60.0], [300.0]])
    found = grow(excess, GROWTH_EXPOSURES, np.full((3, 1), 4.0), 3.0)
    assert found.counts.item() == pytest.approx(3.0, abs=0.1)
    assert found.variance.item() < 0.1


def test_two_darks_of_one_exposure_are_no_obstacle():
    exptime = np.array([60.0, 60.0, 180.0])
    for wanted in (1.0, 60.0, 100.0, 180.0, 300.0):
        counts, _ = grown(0.2 * exptime, wanted, exptime=exptime)
        assert counts == pytest.approx(0.2 * wanted)


GROWTH = {
    "fades, as an amplifier does that is switched down": lambda t: (
        100 * (1 - np.exp(-t / 100))
    ),
    "grows faster as the sensor warms": lambda t: 60 * (t / 60) ** 1.4,
}


@pytest.mark.parametrize("growth", GROWTH.values(), ids=list(GROWTH))
@pytest.mark.parametrize("wanted", [1.0, 10.0, 30.0, 120.0])
def test_errors_of_glowing_pixels_cover_the_truth(wanted, growth):
    rng = np.random.default_rng(8)
    peak, sigma = rng.uniform(0.5, 5, 20_000), 4.0
    excess = np.stack([peak * growth(t) for t in GROWTH_EXPOSURES])
    noisy_excess = excess + rng.normal(0, sigma, excess.shape)
    variance = np.full(excess.shape, sigma**2)
    found = grow(noisy_excess, GROWTH_EXPOSURES, variance, wanted)
    error = found.counts - peak * growth(wanted)
    assert np.mean(np.abs(error) < 2 * np.sqrt(found.variance)) > 0.9
    scaled = noisy_excess[-1] * wanted / 300 - peak * growth(wanted)
    assert np.sqrt(np.mean(error**2)) < 0.8 * np.sqrt(np.mean(scaled**2))
