"""Clean means: hand-worked pixels, truth with satellites, and themselves in bands."""

import tracemalloc

import numpy as np
import pytest

from autoreduce.pixels.stacking import (
    BRIGHTEST,
    FAINT,
    GROWN,
    HALO,
    MOST_IN_NETWORK,
    Band,
    LightModel,
    Limits,
    Own,
    stack,
)

PLAIN = LightModel(1.0, 10.0, 0.5, 0.08)
FOUR = Limits(4, 4)
NAN = np.nan


def column(*samples, models=None, limits=FOUR, sky=100.0):
    """Stack lights of one value each; give the middle pixel."""
    images = [np.full((9, 9), value, np.float32) for value in samples]
    made = stack(images, models or [PLAIN] * len(samples), limits, sky=sky)
    return made.data[4, 4], made.n_used[4, 4], made.rejected


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 21, 40, MOST_IN_NETWORK + 6])
def test_the_middle_is_the_lower_median_of_what_is_there(n):
    rng = np.random.default_rng(n)
    samples = rng.normal(size=(n, 30, 40)).astype(np.float32)
    samples[rng.random(samples.shape) < 0.4] = NAN
    ranked, number = np.sort(samples, axis=0), np.isfinite(samples).sum(axis=0)
    rank = np.maximum(number - 1, 0) // 2
    expected = np.take_along_axis(ranked, rank[None], 0)[0]
    middle = Band.of(list(samples), [PLAIN] * n).middle
    np.testing.assert_array_equal(middle.reshape(30, 40), expected)


@pytest.mark.parametrize("nx", [1, 5])
def test_bands_of_a_few_pixels_are_averaged_as_any(nx):
    n = MOST_IN_NETWORK + 18
    samples = np.random.default_rng(2).normal(100, 10, (n, 1, nx)).astype(np.float32)
    weights = np.linspace(1, 3, n)
    models = [PLAIN._replace(weight=weight) for weight in weights]
    made = stack(list(samples), models, None, sky=100.0)
    expected = np.average(samples, axis=0, weights=weights)
    np.testing.assert_allclose(made.data, expected, rtol=1e-5)


def test_a_mean_of_what_agrees():
    value, n, _ = column(95, 100, 108)
    assert value == pytest.approx(101)
    assert n == 3


def test_weights_count():
    models = [PLAIN, PLAIN._replace(weight=3.0)]
    assert column(100, 108, models=models)[0] == pytest.approx(106)


@pytest.mark.parametrize("odd", [5000.0, -3000.0])
def test_of_three_the_odd_one_goes_high_and_low_alike(odd):
    value, n, rejected = column(98, odd, 102)
    assert value == pytest.approx(100)
    assert n == 2
    assert rejected.tolist() == [0, 81, 0]


@pytest.mark.parametrize("weight", [1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("far", [900.0, 9900.0, 1e7, -1e7, 1e30, np.inf])
def test_what_is_rejected_leaves_nothing_in_the_mean(far, weight):
    lights = np.random.default_rng(6).normal(100, 10, (9, 12, 12)).astype(np.float32)
    others = np.delete(lights[:, 6, 6], 4).astype(float).mean()
    lights[4, 6, 6] += np.float32(far)
    models = [PLAIN] * 9
    models[4] = PLAIN._replace(weight=weight)
    sigmas = [np.full((12, 12), 10, np.float32)] * 9
    made = stack(list(lights), models, FOUR, sky=100.0, sigmas=sigmas)
    assert made.n_used[6, 6] == 8
    assert made.data[6, 6] == pytest.approx(others, abs=1e-3)
    assert made.variance[6, 6] == pytest.approx(100 / 8, rel=1e-5)


def test_of_two_that_disagree_the_brighter_goes():
    assert column(100, 5000)[:2] == (100, 1)
    assert column(5000, 100)[:2] == (100, 1)


def test_without_limits_nothing_goes():
    assert column(100, 5000, limits=None)[0] == pytest.approx(2550)


def test_limits_of_either_side():
    narrow = Limits(low=2, high=50)
    assert column(100, 60, 100, limits=narrow)[1] == 2
    assert column(100, 140, 100, limits=narrow)[1] == 3
    assert column(100, 140, 100, limits=Limits(50, 2))[1] == 2


@pytest.mark.parametrize("none", [np.inf, 1e30, 1e200])
@pytest.mark.parametrize("change", [0.0, 0.08])
def test_an_open_limit_never_rejects_and_the_other_works_as_usual(none, change):
    models = [PLAIN._replace(change=change)] * 3
    below, above = (100, -3000, 100), (100, 5000, 100)
    for limits, kept, lost in (
        (Limits(none, 4), below, above),
        (Limits(4, none), above, below),
    ):
        value, n, rejected = column(*kept, models=models, limits=limits)
        assert (value, n) == (pytest.approx(np.mean(kept)), 3)
        assert not rejected.any()
        assert column(*lost, models=models, limits=limits)[:2] == (100, 2)
    for odd in (below, above):
        value, n, _ = column(*odd, models=models, limits=Limits(none, none))
        assert (value, n) == (pytest.approx(np.mean(odd)), 3)


def test_an_open_limit_leaves_the_noise_below_the_sky_alone():
    rng = np.random.default_rng(1)
    lights = list(rng.normal(100, 5, (6, 40, 50)).astype(np.float32))
    models = [LightModel(1.0, 5.0, 0.5, 0.08)] * 6
    made = stack(lights, models, Limits(np.inf, 4), sky=100.0)
    usual = stack(lights, models, Limits(50, 4), sky=100.0)
    np.testing.assert_array_equal(made.n_used, usual.n_used)
    np.testing.assert_allclose(made.data, usual.data, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("limits", [FOUR, Limits(np.inf, 4), Limits(4, np.inf)])
def test_infinite_samples_never_count(limits):
    value, n, _ = column(100, np.inf, np.inf, limits=limits)
    assert np.isnan(value)
    assert n == 0
    assert column(100, 100, np.inf, limits=limits)[:2] == (100, 2)
    assert column(100, 100, -np.inf, limits=limits)[:2] == (100, 2)


def test_a_star_may_change_with_the_seeing_and_noise_may_not():
    assert column(10100, 11500, 9000)[1] == 3
    assert column(100, 1500, 100)[1] == 2


def test_missing_samples_do_not_count_and_nothing_gives_nan():
    assert column(NAN, 100, 104)[:2] == (102, 2)
    value, n, _ = column(NAN, NAN)
    assert np.isnan(value)
    assert n == 0


def night(n=12, shape=(120, 140), seed=5):
    """Draw lights with a star, a satellite with faint wings, rays, holes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    star = 8000 * np.exp(-((x - 70) ** 2 + (y - 60) ** 2) / 2 / 1.6**2)
    lights = [star + rng.normal(100, 10, shape) for _ in range(n)]
    distance = np.abs(y - 0.6 * x - 10) / np.hypot(1, 0.6)
    lights[3] += 400 * np.exp(-(distance**2) / 2 / 1.3**2)
    for one in lights:
        one[rng.integers(0, shape[0], 8), rng.integers(0, shape[1], 8)] += 3000
        one[:, : int(rng.integers(0, 9))] = NAN
    return [one.astype(np.float32) for one in lights], star, distance


def rejected_one_by_one(lights, models, limits, sky):
    """Judge each sample by itself, as the documents say it."""
    samples = np.array(lights, float)
    ranked, number = np.sort(samples, axis=0), np.isfinite(samples).sum(axis=0)
    middle = np.take_along_axis(ranked, (np.maximum(number - 1, 0) // 2)[None], 0)[0]
    light = np.clip(np.nan_to_num(middle - sky), 0, BRIGHTEST)
    padded = np.pad(light, 1, mode="edge")
    ny, nx = light.shape
    shifted = [padded[i : i + ny, j : j + nx] for i in range(3) for j in range(3)]
    uncertain = 1 + 1.57 / len(lights)
    found = np.zeros(samples.shape, bool)
    for one, model, out in zip(samples, models, found, strict=True):
        variance = (model.change * np.max(shifted, axis=0)) ** 2
        variance += (model.photon * light + model.noise**2) * uncertain
        off = np.nan_to_num(one - middle)
        sigmas = np.abs(off) / np.sqrt(variance)
        sigmas /= np.where(off < 0, limits.low, limits.high)
        for y, x in np.argwhere(sigmas > 1):
            near = (
                slice(max(y - GROWN, 0), y + GROWN + 1),
                slice(max(x - GROWN, 0), x + GROWN + 1),
            )
            out[near] |= sigmas[near] > FAINT
    return found & np.isfinite(samples)


@pytest.mark.parametrize("n", [3, 12, MOST_IN_NETWORK + 10])
@pytest.mark.parametrize("limits", [FOUR, Limits(3, 5), Limits(5, 3)])
def test_each_light_is_judged_by_its_own_noise(n, limits):
    rng = np.random.default_rng(n)
    lights, _, _ = night(max(n, 4), shape=(60, 90))
    lights = lights[-n:]
    models = [
        LightModel(w, noise, photon, change)
        for w, noise, photon, change in rng.uniform(
            (0.5, 6, 0.3, 0.02), (2, 14, 1, 0.15), (n, 4)
        )
    ]
    gone = rejected_one_by_one(lights, models, limits, 100.0)
    made = stack(lights, models, limits, sky=100.0)
    there = np.isfinite(lights) & ~gone
    np.testing.assert_array_equal(made.rejected, gone.sum(axis=(1, 2)))
    np.testing.assert_array_equal(made.n_used, there.sum(axis=0))
    weights = np.array([model.weight for model in models])[:, None, None] * there
    with np.errstate(invalid="ignore"):
        mean = (weights * np.nan_to_num(lights)).sum(axis=0) / weights.sum(axis=0)
    np.testing.assert_allclose(made.data, mean, rtol=2e-6)
    assert made.rejected.sum() > 3 * n


def test_a_light_that_is_off_everywhere_is_rejected_everywhere():
    lights, _, _ = night(shape=(40, 50))
    lights[5] += 500
    made = stack(lights, [PLAIN] * len(lights), FOUR, sky=100.0)
    assert made.rejected[5] == np.isfinite(lights[5]).sum()


def test_satellites_and_rays_are_gone_and_stars_are_kept():
    lights, star, distance = night()
    made = stack(lights, [PLAIN] * len(lights), FOUR, sky=100.0)
    noise = 10 / np.sqrt(len(lights))
    off = (made.data - 100 - star)[:, 10:]
    trail = (distance < 5)[:, 10:] & (star[:, 10:] < 1)
    assert abs(off[trail].mean()) < 0.3 * noise
    assert abs(off[star[:, 10:] > 100].mean()) < 3 * noise
    assert np.abs(off).max() < 7 * noise
    assert made.rejected[3] > 300


def test_the_bits_do_not_depend_on_the_bands():
    lights, _, _ = night()
    models = [PLAIN._replace(weight=1 + 0.1 * i) for i in range(len(lights))]
    whole = stack(lights, models, FOUR, sky=100.0)
    for height in (1, 13, 50):
        data, used, rejected = [], [], 0
        for start in range(0, 120, height):
            stop = min(start + height, 120)
            before, after = min(HALO, start), min(HALO, 120 - stop)
            band = [one[start - before : stop + after] for one in lights]
            made = stack(band, models, FOUR, sky=100.0, halo=(before, after))
            data.append(made.data)
            used.append(made.n_used)
            rejected = rejected + made.rejected
        np.testing.assert_array_equal(np.vstack(data), whole.data)
        np.testing.assert_array_equal(np.vstack(used), whole.n_used)
        np.testing.assert_array_equal(rejected, whole.rejected)


def test_noise_is_what_weights_allow():
    rng = np.random.default_rng(4)
    sigmas = [8.0, 10.0, 20.0, 14.0]
    lights = [rng.normal(0, s, (200, 300)).astype(np.float32) for s in sigmas]
    models = [LightModel(1 / s**2, s, 0.5, 0.08) for s in sigmas]
    made = stack(lights, models, FOUR, sky=0.0)
    ideal = sum(s**-2 for s in sigmas) ** -0.5
    assert made.data.std() == pytest.approx(ideal, rel=0.01)


def test_what_pixels_measured_counts_and_the_rest_only_fills():
    """One light measured 120 itself, the other has 100 in between: the mean is 120."""
    samples = [np.full((5, 5), level, np.float32) for level in (100.0, 110.0)]
    nothing = np.zeros((5, 5), np.float32)
    measured = np.full((5, 5), np.nan, np.float32)
    measured[2, 2] = 120.0
    own = [
        Own(np.full((5, 5), np.nan, np.float32), nothing, nothing),
        Own(measured, nothing, nothing),
    ]
    made = stack(samples, [PLAIN, PLAIN], None, sky=0.0, own=own)
    assert made.data[2, 2] == pytest.approx(120, abs=0.05)
    assert made.data[0, 0] == pytest.approx(105, abs=0.01)
    assert (made.n_used[2, 2], made.n_used[0, 0]) == (1, 0)


def test_what_pixels_measured_is_taken_to_the_places_of_the_stack():
    """On a slope of 10 along x and 4 along y, half a pixel and a quarter off."""
    y, x = np.mgrid[:6, :7].astype(np.float32)
    ramp = 10 * x + 4 * y
    own = Own(ramp - 6, np.full_like(ramp, 0.5), np.full_like(ramp, 0.25))
    made = stack([ramp, ramp], [PLAIN, PLAIN], FOUR, sky=0.0, own=[own, own])
    np.testing.assert_allclose(made.data, ramp, atol=0.01)


def test_an_outlier_is_left_out_of_what_pixels_measured_too():
    samples = [np.full((9, 9), 100.0, np.float32) for _ in range(4)]
    samples[1][4, 4] = 900.0
    nothing = np.zeros((9, 9), np.float32)
    own = [Own(one.copy(), nothing, nothing) for one in samples]
    made = stack(samples, [PLAIN] * 4, FOUR, sky=100.0, own=own)
    np.testing.assert_allclose(made.data, 100.0)
    assert (made.n_used[4, 4], made.rejected[1]) == (3, 1)


@pytest.mark.parametrize("seed", [105, 387])
def test_a_pixel_with_an_outlier_has_the_same_bits_whatever_others_have(seed):
    rng = np.random.default_rng(seed)
    samples = rng.normal(100, 4, (40, 12, 30)).astype(np.float32)
    samples[3, 5, 7] += 5000
    weights = rng.uniform(0.5, 2, 40)
    models = [PLAIN._replace(weight=float(one)) for one in weights]
    alone = stack(list(samples), models, FOUR, sky=100.0)
    samples[8, 5, 20] += 5000
    beside = stack(list(samples), models, FOUR, sky=100.0)
    assert alone.n_used[5, 7] == beside.n_used[5, 7] == 39
    assert alone.data[5, 7] == beside.data[5, 7]


@pytest.mark.parametrize("far", [0.0, 5000.0])
@pytest.mark.parametrize("limits", [FOUR, Limits(1, 1)])
def test_rejected_samples_take_no_more_memory_than_samples_do(far, limits):
    samples = np.random.default_rng(4).normal(100, 10, (30, 70, 1000))
    samples[::2][:14] += far
    lights = list(samples.astype(np.float32))
    tracemalloc.start()
    stack(lights, [PLAIN] * 30, limits, sky=100.0, halo=(3, 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * sum(one.nbytes for one in lights)
