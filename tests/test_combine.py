"""Combining against hand-worked pixels, plain loops, peers and its own symmetries."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoreduce.pixels import combine as combine_module
from autoreduce.pixels.clipping import clipped, clipped_ends
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.combine import combine
from autoreduce.pixels.network import merge_exchange, ordered, pruned_network

TYPES = [np.uint16, np.float32, np.float64]
CLIPPING = [Rejection.SIGMA, Rejection.WINSORIZED, Rejection.PERCENTILE]


def make_stack(*pixels, dtype=np.float32):
    """Make one column of samples for each pixel: (n_frames, 1, n_pixels)."""
    return np.array(pixels, dtype=dtype).T[:, None, :]


def make_noise_stack(shape=(10, 40, 50), *, level=1000.0, sigma=5.0, seed=1):
    return np.random.default_rng(seed).normal(level, sigma, shape)


def sigma_clip(**limits):
    return Combination(rejection=Rejection.SIGMA, **limits)


# ------------------------------------------------------------- the reference: a loop


def reference(samples, how, noise=0.0, weights=None):
    """Combine one pixel by a plain loop: its value and the frames that were used."""
    used = [i for i, x in enumerate(samples) if np.isfinite(x)]
    if how.rejection is Rejection.MINMAX:
        ranked = sorted(used, key=lambda i: (samples[i], i))
        used = sorted(ranked[how.drop_low : len(ranked) - how.drop_high])
    elif how.rejection is not Rejection.NONE:
        used = reference_clip(samples, used, how, np.broadcast_to(noise, len(samples)))
    if not used:
        return np.nan, []
    kept = samples[used]
    if weights is not None:
        return np.average(kept, weights=weights[used]), used
    statistic = {
        Method.MEAN: np.mean,
        Method.MEDIAN: np.median,
        Method.SUM: np.sum,
        Method.MIN: np.min,
        Method.MAX: np.max,
        Method.STD: np.std,
        Method.VAR: np.var,
        Method.QUANTILE: lambda x: np.quantile(x, how.quantile),
    }[how.method]
    return statistic(kept), used


def reference_clip(samples, used, how, noise):
    once = how.rejection is Rejection.PERCENTILE
    for _ in range(1 if once else how.iterations):
        if not used:
            break
        kept = samples[used]
        centre, scale = np.median(kept), reference_scale(kept, how)
        left = []
        for i in used:
            own = scale if once else max(scale, noise[i])
            near = -how.low * own <= samples[i] - centre <= how.high * own
            if near or own == 0:
                left.append(i)
        if left in (used, []):
            break
        used = left
    return used


def reference_scale(kept, how):
    centre = np.median(kept)
    scale = 1.4826 * np.median(np.abs(kept - centre))
    if how.rejection is Rejection.PERCENTILE:
        return abs(centre)
    if how.rejection is Rejection.WINSORIZED:
        for _ in range(10):
            near = np.clip(kept, centre - 1.5 * scale, centre + 1.5 * scale)
            scale = 1.134 * np.std(near, ddof=1) if len(kept) > 1 else 0.0
    return scale


def assert_agrees_with_reference(stack, how, *, mask=None, noise=None, weights=None):
    found = combine(stack, how, mask=mask, noise=noise, weights=weights)
    samples = np.where(False if mask is None else mask, np.nan, stack.astype(float))
    floor = (1.0 if stack.dtype.kind == "u" else 0.0) if noise is None else noise
    floor = np.broadcast_to(floor, stack.shape)
    rejected = np.zeros(len(stack), int)
    for y, x in np.ndindex(stack.shape[1:]):
        pixel = samples[:, y, x]
        value, used = reference(pixel, how, floor[:, y, x], weights)
        assert found.n_used[y, x] == len(used)
        np.testing.assert_allclose(found.data[y, x], value, rtol=3e-7, atol=1e-6)
        rejected += np.isfinite(pixel)
        rejected[used] -= 1
    np.testing.assert_array_equal(found.rejected, rejected)


combinations = st.builds(
    Combination,
    method=st.sampled_from(Method),
    rejection=st.sampled_from(Rejection),
    low=st.floats(0.5, 5),
    high=st.floats(0.5, 5),
    drop_low=st.integers(0, 1),
    drop_high=st.integers(0, 1),
    iterations=st.integers(1, 4),
    quantile=st.floats(0, 1),
)


def stacks(dtype, elements, least_frames=3):
    shape = st.tuples(st.integers(least_frames, 9), st.just(2), st.just(3))
    return arrays(dtype, shape, elements=elements)


@given(stacks(np.uint16, st.integers(90, 110) | st.integers(0, 65535)), combinations)
def test_integers_agree_with_a_plain_loop(stack, how):
    assert_agrees_with_reference(stack, how)


# Multiples of 1/8 keep every sum, median and deviation exact: no verdict of the loop
# hangs on a rounding.
EIGHTHS = st.integers(-800, 800).map(lambda k: k / 8)


@given(stacks(np.float32, EIGHTHS | st.just(np.nan)), combinations)
def test_floats_with_gaps_agree_with_a_plain_loop(stack, how):
    assert_agrees_with_reference(stack, how)


@given(
    stacks(np.float64, EIGHTHS, least_frames=6),
    combinations,
    st.sampled_from([0.0, 0.5, 4.0]),
    arrays(bool, (6, 2, 3)),
)
def test_masks_and_noise_agree_with_a_plain_loop(stack, how, noise, mask):
    assert_agrees_with_reference(stack[:6], how, mask=mask, noise=noise)


@given(
    stacks(np.float32, EIGHTHS | st.just(np.nan), least_frames=5),
    st.sampled_from(Rejection),
    arrays(np.float64, 5, elements=st.integers(1, 9)),
)
def test_weighted_means_agree_with_a_plain_loop(stack, rejection, weights):
    how = Combination(rejection=rejection, low=2, high=2, drop_low=1, drop_high=1)
    assert_agrees_with_reference(stack[:5], how, weights=weights)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("rejection", [Rejection.NONE, *CLIPPING])
@pytest.mark.parametrize("method", Method)
def test_few_frames_agree_with_a_plain_loop(n, rejection, method):
    stack = np.random.default_rng(n).integers(95, 105, (n, 5, 7), dtype=np.uint16)
    how = Combination(method, rejection, low=0.02, high=0.02, quantile=0.7)
    assert_agrees_with_reference(stack, how, noise=1.0)


def test_many_frames_with_gaps_agree_with_a_plain_loop():
    stack = make_noise_stack((40, 4, 5)).astype(np.float32)
    stack[np.random.default_rng(3).random(stack.shape) < 0.2] = np.nan
    assert_agrees_with_reference(stack, sigma_clip(low=2, high=2), noise=1.0)
    assert_agrees_with_reference(stack, Combination(Method.MEDIAN))


def test_noise_of_its_own_for_each_sample_agrees_with_a_plain_loop():
    stack = make_noise_stack((8, 6, 7)).astype(np.float32)
    noise = np.random.default_rng(2).uniform(1, 10, stack.shape)
    assert_agrees_with_reference(stack, sigma_clip(low=1.5, high=1.5), noise=noise)


# --------------------------------------------------------------- hand-worked pixels


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Method.MEAN, 28.0),
        (Method.MEDIAN, 10.0),
        (Method.SUM, 140.0),
        (Method.MIN, 9.0),
        (Method.MAX, 100.0),
        (Method.VAR, 1296.4),
        (Method.STD, 1296.4**0.5),
        (Method.QUANTILE, 10.5),
    ],
)
def test_each_method_on_five_samples(method, expected, dtype):
    stack = make_stack([10, 100, 9, 11, 10], dtype=dtype)
    found = combine(stack, Combination(method, quantile=0.625))
    assert found.data.dtype == np.float32
    assert found.data.item() == pytest.approx(expected, rel=1e-6)
    assert found.n_used.item() == 5


def test_the_median_of_an_even_number_of_integers_is_not_truncated():
    stack = make_stack([65534, 65535], dtype=np.uint16)
    assert combine(stack, Combination(Method.MEDIAN)).data.item() == 65534.5


def test_sums_of_integers_do_not_wrap_around():
    stack = np.full((300, 1, 1), 65535, np.uint16)
    assert combine(stack, Combination(Method.SUM)).data.item() == 300 * 65535
    assert combine(stack, Combination(Method.MEAN)).data.item() == 65535


def test_sums_of_floats_are_accurate_to_double_precision():
    stack = np.full((1000, 1, 1), 0.1, np.float32)
    stack[0] = 1e6
    expected = np.float32(stack.astype(np.float64).mean())
    assert combine(stack, Combination(Method.MEAN)).data.item() == expected


def test_a_cosmic_ray_in_one_of_five_frames_is_rejected():
    stack = make_stack([100, 101, 99, 100, 5000])
    found = combine(stack, sigma_clip(), noise=2.0)
    assert found.data.item() == 100
    assert found.n_used.item() == 4
    assert found.rejected.tolist() == [0, 0, 0, 0, 1]


def test_a_second_outlier_falls_when_the_first_is_gone():
    """Median 3 and MAD 2 reach to 20.8 and spare the 20; then 2.5 and 1.5 do not."""
    stack = make_stack([0, 1, 2, 3, 4, 20, 30])
    once = combine(stack, sigma_clip(low=6, high=6, iterations=1))
    often = combine(stack, sigma_clip(low=6, high=6))
    assert once.rejected.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert often.rejected.tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_limits_below_and_above_differ():
    stack = make_stack([90, 99, 100, 100, 100, 101, 110])
    only_high = combine(stack, sigma_clip(low=50, high=3), noise=1.0)
    assert only_high.rejected.tolist() == [0, 0, 0, 0, 0, 0, 1]
    only_low = combine(stack, sigma_clip(low=3, high=50), noise=1.0)
    assert only_low.rejected.tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_noise_is_the_floor_of_the_scale():
    stack = make_stack([100, 100, 100, 100, 106])
    kept = combine(stack, sigma_clip(), noise=2.0)
    dropped = combine(stack, sigma_clip(), noise=1.9)
    assert (kept.n_used.item(), dropped.n_used.item()) == (5, 4)


def test_samples_that_are_all_alike_but_one_are_kept_without_a_noise():
    found = combine(make_stack([100.25, 100.25, 100.25, 101.25]), sigma_clip())
    assert found.n_used.item() == 4


@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("n", [5, 10, 20])
def test_quantised_bias_frames_are_not_over_clipped(n, sigma):
    """A normal distribution loses 6e-5 of its samples beyond 4 sigma."""
    stack = make_noise_stack((n, 100, 100), sigma=sigma).round().astype(np.uint16)
    noise = np.hypot(sigma, 12**-0.5)
    found = combine(stack, sigma_clip(low=4, high=4), noise=noise)
    assert found.rejected.sum() <= 5e-4 * stack.size


def test_percentile_rejects_by_the_fraction_of_the_median():
    how = Combination(rejection=Rejection.PERCENTILE, low=0.2, high=0.1)
    found = combine(make_stack([79, 81, 100, 109, 111]), how)
    assert found.rejected.tolist() == [1, 0, 0, 0, 1]


def test_winsorized_scale_is_right_for_normal_samples():
    """With limits of 2 scales a normal distribution loses 4.6 %."""
    stack = make_noise_stack((200, 10, 10))
    how = Combination(rejection=Rejection.WINSORIZED, low=2, high=2, iterations=1)
    lost = combine(stack, how).rejected.sum() / stack.size
    assert lost == pytest.approx(0.0455, abs=0.01)


def test_minmax_drops_the_lowest_and_the_highest():
    how = Combination(rejection=Rejection.MINMAX, drop_low=1, drop_high=2)
    found = combine(make_stack([5, 1, 9, 8, 4]), how)
    assert found.data.item() == 4.5
    assert found.n_used.item() == 2
    assert found.rejected.tolist() == [0, 1, 1, 1, 0]


def test_of_equal_samples_the_first_counts_as_lowest_and_the_last_as_highest():
    how = Combination(rejection=Rejection.MINMAX, drop_low=2, drop_high=1)
    assert combine(make_stack([7, 7, 7, 7]), how).rejected.tolist() == [1, 1, 0, 1]


def test_minmax_leaves_nothing_of_a_pixel_with_too_few_samples():
    how = Combination(rejection=Rejection.MINMAX, drop_high=1)
    found = combine(make_stack([1.0, np.nan, np.nan]), how)
    assert np.isnan(found.data.item())
    assert found.n_used.item() == 0


def test_weights_count():
    found = combine(make_stack([10, 20]), Combination(), weights=[3, 1])
    assert found.data.item() == 12.5


# ------------------------------------------------------------------- missing samples


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("rejection", [Rejection.NONE, *CLIPPING])
def test_a_pixel_without_samples_is_nan(method, rejection):
    stack = make_stack([1, 2, 3], [4, 5, 6])
    mask = np.zeros(stack.shape, bool)
    mask[:, 0, 1] = True
    found = combine(stack, Combination(method, rejection), mask=mask)
    assert np.isnan(found.data[0]).tolist() == [False, True]
    assert found.n_used.tolist() == [[3, 0]]
    assert found.rejected.tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_left_out(bad):
    found = combine(make_stack([1, bad, 5]), Combination(Method.MEDIAN))
    assert found.data.item() == 3
    assert found.n_used.item() == 2


@pytest.mark.parametrize("dtype", TYPES)
def test_a_mask_that_masks_nothing_changes_nothing(dtype):
    stack = make_noise_stack().astype(dtype)
    plain = combine(stack, sigma_clip())
    masked = combine(stack, sigma_clip(), mask=np.zeros(stack.shape, bool))
    for one, other in zip(plain, masked, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mask_for_one_frame_is_one_for_all():
    stack = make_stack([1, 2], [3, 4])
    found = combine(stack, Combination(), mask=[[False, True]])
    assert found.n_used.tolist() == [[2, 0]]


@given(stacks(np.float32, EIGHTHS), st.sampled_from(CLIPPING), st.floats(0.01, 3))
def test_clipping_always_leaves_something(stack, rejection, limit):
    how = Combination(rejection=rejection, low=limit, high=limit)
    found = combine(stack, how)
    assert (found.n_used > 0).all()
    assert np.isfinite(found.data).all()


# ------------------------------------------------------------------------ symmetries


@given(
    stacks(np.float32, EIGHTHS | st.just(np.nan)),
    combinations,
    st.randoms(use_true_random=False),
)
def test_order_of_frames_does_not_matter(stack, how, random):
    order = list(range(len(stack)))
    random.shuffle(order)
    found, shuffled = combine(stack, how), combine(stack[order], how)
    np.testing.assert_allclose(found.data, shuffled.data, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.n_used, shuffled.n_used)
    if how.rejection is not Rejection.MINMAX:  # of equal samples it takes the first
        np.testing.assert_array_equal(found.rejected[order], shuffled.rejected)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rejection", Rejection)
@pytest.mark.parametrize("method", Method)
def test_bits_do_not_depend_on_the_height_of_a_band(method, rejection, dtype):
    stack = make_noise_stack((7, 23, 31)).astype(dtype)
    stack[3, 5:9] += 100
    how = Combination(
        method, rejection, low=2, high=2, drop_low=1, drop_high=1, quantile=0.3
    )
    whole = combine(stack, how, noise=3.0)
    bands = [combine(stack[:, y : y + 1], how, noise=3.0) for y in range(23)]
    np.testing.assert_array_equal(whole.data, np.vstack([b.data for b in bands]))
    np.testing.assert_array_equal(whole.n_used, np.vstack([b.n_used for b in bands]))
    np.testing.assert_array_equal(whole.rejected, sum(b.rejected for b in bands))


@pytest.mark.parametrize("row_bytes", [1, 40, 500])
@pytest.mark.parametrize("dtype", TYPES)
def test_bits_do_not_depend_on_the_size_of_a_tile(monkeypatch, dtype, row_bytes):
    stack = make_noise_stack((6, 9, 11)).astype(dtype)
    stack[1, 2, 3] = 60000
    whole = combine(stack, sigma_clip(), noise=np.full((9, 11), 4.0))
    monkeypatch.setattr(combine_module, "ROW_BYTES", row_bytes)
    tiled = combine(stack, sigma_clip(), noise=np.full((9, 11), 4.0))
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rejection", CLIPPING)
def test_bits_do_not_depend_on_how_many_pixels_are_doubtful(
    monkeypatch, rejection, dtype
):
    """The cheap tests only find work; what they pass over has no outlier."""
    stack = make_noise_stack((12, 30, 30)).astype(dtype)
    how = Combination(rejection=rejection, low=2.5, high=2.5)
    found = combine(stack, how, noise=1.0)
    monkeypatch.setattr(
        combine_module, "suspects", lambda rows, *_: np.ones(rows[0].shape, bool)
    )
    for one, other in zip(found, combine(stack, how, noise=1.0), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rejection", Rejection)
def test_bits_do_not_depend_on_threads(rejection):
    stack = make_noise_stack((9, 40, 50)).astype(np.float32)
    stack[2, 3] = np.nan
    how = Combination(rejection=rejection, low=2, high=2, drop_high=1)

    def combined(y):
        return combine(stack[:, y : y + 5], how, noise=3.0).data

    starts = range(0, 40, 5)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(combined, starts))
    np.testing.assert_array_equal(np.vstack(found), combine(stack, how, noise=3.0).data)


def test_a_list_of_bands_is_a_stack():
    stack = make_noise_stack()
    views = [frame[::-1, ::2] for frame in stack]
    found = combine(views, sigma_clip())
    expected = combine(stack[:, ::-1, ::2].copy(), sigma_clip())
    np.testing.assert_array_equal(found.data, expected.data)


def test_frames_of_foreign_byte_order_are_read_right():
    stack = make_noise_stack().astype(np.float32)
    foreign = combine(stack.astype(">f4"), Combination(Method.MEDIAN))
    native = combine(stack, Combination(Method.MEDIAN))
    np.testing.assert_array_equal(foreign.data, native.data)


def test_frames_are_not_changed():
    stack = make_noise_stack().round().astype(np.uint16)
    before = stack.copy()
    for rejection in Rejection:
        combine(stack, Combination(Method.MEDIAN, rejection, drop_high=1))
    np.testing.assert_array_equal(stack, before)


# ----------------------------------------------------------------------------- peers


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 20, 33])
def test_median_is_numpys(n, dtype):
    stack = make_noise_stack((n, 20, 20)).astype(dtype)
    found = combine(stack, Combination(Method.MEDIAN)).data
    expected = np.median(stack.astype(np.float64), axis=0).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_agrees_with_ccdproc():
    ccdproc = pytest.importorskip("ccdproc")
    from astropy.nddata import CCDData

    stack = make_noise_stack((7, 20, 20))
    combiner = ccdproc.Combiner([CCDData(frame, unit="adu") for frame in stack])
    median = combine(stack, Combination(Method.MEDIAN)).data
    np.testing.assert_allclose(median, combiner.median_combine().data, rtol=1e-6)
    combiner.clip_extrema(nlow=1, nhigh=2)
    how = Combination(rejection=Rejection.MINMAX, drop_low=1, drop_high=2)
    found = combine(stack, how).data
    np.testing.assert_allclose(found, combiner.average_combine().data, rtol=1e-6)


def test_one_pass_of_clipping_agrees_with_astropy():
    """One pass: later ones of astropy's fast path let rejected samples in again."""
    from astropy.stats import sigma_clip as astropy_clip

    stack = make_noise_stack((15, 30, 30))
    stack[4, ::7, ::5] += 500
    clipped = astropy_clip(
        stack, sigma=3, maxiters=1, cenfunc="median", stdfunc="mad_std", axis=0
    )
    found = combine(stack, sigma_clip(iterations=1))
    np.testing.assert_allclose(found.data, clipped.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.n_used, clipped.count(axis=0))


@pytest.mark.parametrize("n", [1, 2, 3, 8, 21, 60])
@pytest.mark.parametrize("iterations", [1, 5])
def test_samples_in_order_are_clipped_like_others(n, iterations):
    rng = np.random.default_rng(n)
    samples = rng.standard_normal((n, 4000)).round(1)
    outliers = rng.random(samples.shape) < 0.05
    samples[outliers] += 20 * rng.standard_normal(outliers.sum()).round(1)
    how, noise = sigma_clip(iterations=iterations), rng.choice([0.0, 0.5], 4000)
    good = rng.random(samples.shape) < 0.9
    good[0] = True
    kept = clipped(samples, good, how, noise[None])
    table = np.sort(np.where(good, samples, np.inf), axis=0).T.copy()
    first, end = clipped_ends(table, good.sum(axis=0), how, noise)
    for pixel, column in enumerate(samples.T):
        expected = np.sort(column[kept[:, pixel]])
        np.testing.assert_array_equal(table[pixel, first[pixel] : end[pixel]], expected)


# -------------------------------------------------------------------------- networks


@pytest.mark.parametrize("n", range(1, 17))
def test_a_network_that_orders_zeros_and_ones_orders_everything(n):
    """Knuth's zero-one principle, for every column of n zeros and ones."""
    columns = np.arange(2**n)
    rows = [(columns >> i & 1).astype(np.uint8) for i in range(n)]
    spare = np.empty((n + 2, 2**n), np.uint8)
    found = ordered(rows, tuple(range(n)), list(spare))
    assert all((a <= b).all() for a, b in pairwise(found))
    np.testing.assert_array_equal(sum(map(np.int64, found)), sum(map(np.int64, rows)))


@given(st.data())
def test_a_pruned_network_serves_its_groups(data):
    n = data.draw(st.integers(1, 12))
    labels = st.sampled_from([None, 0, 1])
    groups = tuple(data.draw(st.lists(labels, min_size=n, max_size=n)))
    stack = data.draw(arrays(np.uint16, (n, 4), elements=st.integers(0, 20)))
    found = ordered(list(stack), groups, list(np.empty((n + 2, 4), np.uint16)))
    expected = np.sort(stack, axis=0)
    for group in (0, 1):
        ranks = [i for i in range(n) if groups[i] == group]
        if ranks:
            ours = np.sort([found[i] for i in ranks], axis=0)
            np.testing.assert_array_equal(ours, expected[ranks])


def test_pruning_leaves_out_what_a_median_does_not_need():
    full = sum(1 for _ in merge_exchange(range(20)))
    groups = tuple(0 if rank in (9, 10) else None for rank in range(20))
    assert len(pruned_network(groups)) < 0.9 * full
    assert pruned_network((0,) * 20) == ()


# ------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "stack",
    [
        [],
        np.zeros((3, 4)),
        [np.zeros((2, 2)), np.zeros((2, 3))],
    ],
)
def test_frames_that_do_not_fit_together_are_refused(stack):
    with pytest.raises(ValueError, match="one two-dimensional shape"):
        combine(stack, Combination())


def test_complex_frames_are_refused():
    with pytest.raises(ValueError, match="real numbers"):
        combine(np.zeros((2, 2, 2), complex), Combination())


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be 2 numbers"):
        combine(make_stack([1, 2]), Combination(), weights=weights)


def test_weights_of_a_median_are_refused():
    with pytest.raises(ValueError, match="for a mean"):
        combine(make_stack([1, 2]), Combination(Method.MEDIAN), weights=[1, 1])


def test_dropping_every_sample_is_refused():
    how = Combination(rejection=Rejection.MINMAX, drop_low=1, drop_high=1)
    with pytest.raises(ValueError, match=r"cannot drop 1 \+ 1 samples of 2"):
        combine(make_stack([1, 2]), how)


@pytest.mark.parametrize("noise", [-1.0, np.nan])
def test_noise_that_cannot_be_is_refused(noise):
    with pytest.raises(ValueError, match="zero or more"):
        combine(make_stack([1, 2]), Combination(), noise=noise)


@pytest.mark.parametrize("limits", [(0, 3), (3, -1), (3, np.nan), (np.nan, 3)])
def test_limits_of_rejection_are_positive_numbers(limits):
    with pytest.raises(ValueError, match="must be positive"):
        Combination(low=limits[0], high=limits[1])
