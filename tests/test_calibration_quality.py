"""Odd frames are found, and clean ones are left in peace."""

from dataclasses import replace

import numpy as np
import pytest

from autoreduce.calibration.quality import odd_frames, two_shapes
from autoreduce.pixels.measure import FrameStatistics, block_medians, measure
from autoreduce.planning.plan import Action
from autoreduce.planning.recipe import QualityRecipe
from autoreduce.simulate import make_night, read_listing

LIMITS = QualityRecipe()
SHAPE = (160, 160)
READ_NOISE = 8.0


def said(odd):
    return {i: str(why) for i, why in odd.items()}


def make_statistics(median=1000.0, noise=READ_NOISE, **changes):
    base = FrameStatistics(
        mean=median,
        median=median,
        mode=median,
        noise=noise,
        spread=noise,
        minimum=median - 5 * noise,
        maximum=median + 5 * noise,
        saturated=0.0,
        finite=1.0,
        blocks=(median,) * 64,
    )
    return replace(base, **changes)


def make_frames(rng, n, level=1000.0, jitter=0.0, light=None):
    """Make raw frames: a level, a gradient, noise, and for flats photon noise."""
    pattern = np.linspace(0, 6, SHAPE[1])
    frames = []
    for _ in range(n):
        noise = READ_NOISE * rng.standard_normal(SHAPE)
        frame = level + pattern + noise + jitter * rng.standard_normal()
        if light is not None:
            share = light * rng.uniform(0.5, 1.0)
            vignetting = 1 - 0.2 * np.linspace(-1, 1, SHAPE[1]) ** 2
            frame = frame + rng.poisson(share * vignetting, SHAPE)
        frames.append(np.clip(np.rint(frame), 0, 65535).astype(np.uint16))
    return frames


def found(frames, action, **options):
    statistics = [measure(frame, saturate=65535) for frame in frames]
    return said(odd_frames(statistics, action, LIMITS, **options))


def test_two_hundred_clean_nights_lose_no_frame():
    rng = np.random.default_rng(20210227)
    for _ in range(200):
        n = int(rng.integers(3, 12))
        bias = drawn_statistics(rng, n, 1000.0)
        assert odd_frames(bias, Action.BIAS, LIMITS) == {}
        darks = drawn_statistics(rng, n, rng.uniform(1000, 1300))
        assert odd_frames(darks, Action.DARK, LIMITS) == {}
        assert odd_frames(darks, Action.DARK, LIMITS, pedestals=[1000.0] * n) == {}
        flats = [
            with_gradient(rng, drawn_statistics(rng, 1, m)[0])
            for m in rng.uniform(8e3, 4e4, n)
        ]
        assert odd_frames(flats, Action.FLAT, LIMITS, pedestals=[1000.0] * n) == {}
        assert two_shapes(flats, LIMITS, [1000.0] * n) is None


def with_gradient(rng, flat, sigma=0.015):
    """Tilt the sky of a flat by some percent from edge to edge."""
    y, x = np.divmod(np.arange(64), 8) / np.float64(7) - 0.5
    tilt = 1 + rng.normal(0, sigma) * x + rng.normal(0, sigma) * y
    return replace(flat, blocks=tuple(1000 + (np.array(flat.blocks) - 1000) * tilt))


def drawn_statistics(rng, n, level):
    """Draw statistics as frames of one level with photon noise have them."""
    noise = np.sqrt(READ_NOISE**2 + (level - 1000) / 2)
    wanders = 0.03 * READ_NOISE * rng.standard_normal(n)
    return [
        make_statistics(
            np.rint(level + wander),
            noise * (1 + 0.005 * rng.standard_normal()),
            blocks=tuple(level + wander + 0.05 * noise * rng.standard_normal(64)),
        )
        for wander in wanders
    ]


def test_clean_frames_are_all_kept():
    rng = np.random.default_rng(20210227)
    for n in (3, 3, 3, 4, 5, 8):
        assert found(make_frames(rng, n, jitter=0.4), Action.BIAS) == {}
        darks = make_frames(rng, n, level=1012.0, jitter=0.4)
        assert found(darks, Action.DARK) == {}
        assert found(darks, Action.DARK, pedestals=[1000.0] * n) == {}
        flats = make_frames(rng, n, light=20000.0)
        assert found(flats, Action.FLAT, pedestals=[1000.0] * n) == {}


@pytest.mark.parametrize("n", [3, 4, 6, 20])
@pytest.mark.parametrize("pedestal", [None, 1000.0])
def test_a_dark_with_twice_the_dark_counts_is_found(n, pedestal):
    frames = make_frames(np.random.default_rng(1), n, level=1012.0)
    frames[1] = frames[1] + np.uint16(12)
    pedestals = None if pedestal is None else [pedestal] * n
    odd = found(frames, Action.DARK, pedestals=pedestals)
    assert list(odd) == [1]
    assert odd[1].startswith("level 102")
    assert f"the other {n - 1}" in odd[1]


def test_the_reason_tells_the_numbers():
    statistics = [make_statistics(m) for m in (301.0, 312.0, 301.5, 301.0, 301.0)]
    odd = said(odd_frames(statistics, Action.DARK, LIMITS))
    assert odd == {1: "level 312.0 ADU, the other 4 301.0 to 301.5"}
    statistics[2] = statistics[0]
    odd = said(odd_frames(statistics, Action.DARK, LIMITS))
    assert odd == {1: "level 312.0 ADU, the other 4 have 301.0"}


def test_a_level_within_the_tolerance_is_never_odd():
    levels = (1000.0, 1000.0, 1000.0, 1015.0)
    statistics = [make_statistics(m) for m in levels]
    assert odd_frames(statistics, Action.BIAS, LIMITS) == {}
    strict = replace(LIMITS, tolerance=0.01)
    assert list(odd_frames(statistics, Action.BIAS, strict)) == [3]


def test_overscan_taken_off_makes_drifting_bias_frames_alike():
    levels = np.array([420.0, 450.0, 421.0, 422.0, 480.0])
    statistics = [make_statistics(m) for m in levels]
    assert odd_frames(statistics, Action.BIAS, LIMITS, pedestals=list(levels)) == {}


def test_scatter_of_the_group_itself_is_believed():
    statistics = [make_statistics(m) for m in (1000.0, 1012.0, 991.0, 1025.0, 1004.0)]
    assert odd_frames(statistics, Action.DARK, LIMITS) == {}


def test_no_more_than_a_third_is_left_out_for_being_different():
    statistics = [make_statistics(m) for m in (1114, 1115, 1115, 1130, 1136)]
    assert odd_frames(statistics, Action.DARK, LIMITS) == {}
    statistics += [make_statistics(1115.0)]
    assert list(odd_frames(statistics, Action.DARK, LIMITS)) == [3, 4]


def test_of_two_frames_none_is_blamed():
    statistics = [make_statistics(1000.0), make_statistics(2000.0)]
    assert odd_frames(statistics, Action.DARK, LIMITS) == {}


def test_a_frame_with_more_noise_is_found():
    statistics = [make_statistics(noise=s) for s in (8.0, 8.1, 12.0, 7.9)]
    odd = said(odd_frames(statistics, Action.BIAS, LIMITS))
    assert odd == {2: "noise 12.0 ADU, the other 3 7.9 to 8.1"}


def test_light_in_a_corner_of_a_dark_is_found():
    frames = make_frames(np.random.default_rng(2), 5)
    frames[3][:40, :40] += 15
    odd = found(frames, Action.DARK)
    assert list(odd) == [3]
    assert "a part is" in odd[3]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_frame_of_zeros_or_without_data_is_always_left_out(n):
    frames = make_frames(np.random.default_rng(3), n)
    frames[0] = np.zeros(SHAPE, np.uint16)
    assert found(frames, Action.BIAS) == {0: "no data: every pixel is 0"}
    frames[0] = np.full(SHAPE, np.nan, np.float32)
    odd = found(frames, Action.BIAS)
    assert odd == {0: "no data: no pixel is finite"}


def test_one_constant_frame_among_others_is_left_out():
    frames = make_frames(np.random.default_rng(4), 3)
    frames[2] = np.full(SHAPE, 1000, np.uint16)
    assert found(frames, Action.BIAS) == {2: "no data: every pixel is 1000"}


def test_frames_that_are_all_constant_are_kept():
    frames = [np.full(SHAPE, 1000, np.uint16)] * 3
    assert found(frames, Action.BIAS) == {}


@pytest.mark.parametrize("n", [1, 2, 5])
def test_saturated_flats_are_left_out_even_if_all_are(n):
    statistics = [make_statistics(60000.0, saturated=0.4)] * n
    odd = said(odd_frames(statistics, Action.FLAT, LIMITS))
    assert list(odd) == list(range(n))
    assert odd[0] == "40.0% of the pixels are saturated, at most 2.0% may be"


def test_a_saturated_light_leak_is_no_reason_to_drop_a_dark():
    statistics = [make_statistics(saturated=0.4)] * 3
    assert odd_frames(statistics, Action.DARK, LIMITS) == {}


def test_a_flat_darker_than_its_bias_is_left_out():
    statistics = [make_statistics(995.0)]
    odd = said(odd_frames(statistics, Action.FLAT, LIMITS, pedestals=[1000.0]))
    expected = "no light: level 995.0 ADU, within its noise of the 1000.0 ADU of bias"
    assert odd == {0: expected}


def test_flats_of_a_fading_sky_are_all_kept():
    rng = np.random.default_rng(5)
    flats = [make_frames(rng, 1, light=level)[0] for level in (9000, 21000, 45000)]
    assert found(flats, Action.FLAT, pedestals=[1000.0] * 3) == {}


def test_a_flat_with_hardly_any_light_is_found():
    rng = np.random.default_rng(6)
    flats = make_frames(rng, 4, light=20000.0) + make_frames(rng, 1, light=150.0)
    odd = found(flats, Action.FLAT, pedestals=[1000.0] * 5)
    assert list(odd) == [4]
    assert odd[4].startswith("too little light: noise")


def test_a_flat_that_is_clipped_below_the_type_is_found():
    rng = np.random.default_rng(7)
    flats = make_frames(rng, 5, light=30000.0)
    full_well = np.percentile(flats[2], 10).astype(np.uint16)
    flats[2] = np.minimum(flats[2], full_well)
    odd = found(flats, Action.FLAT, pedestals=[1000.0] * 5)
    assert list(odd) == [2]
    assert odd[2].startswith("90.0% of the pixels are saturated")


def test_a_flat_lit_from_the_side_is_found():
    rng = np.random.default_rng(8)
    flats = make_frames(rng, 5, light=20000.0)
    flats[1] = (flats[1] * np.linspace(0.8, 1.2, SHAPE[1])).astype(np.uint16)
    odd = found(flats, Action.FLAT, pedestals=[1000.0] * 5)
    assert list(odd) == [1]
    assert "lit otherwise" in odd[1]


def test_a_slightly_steeper_sky_is_no_reason():
    rng = np.random.default_rng(9)
    flats = make_frames(rng, 5, light=20000.0)
    flats[1] = (flats[1] * np.linspace(0.985, 1.015, SHAPE[1])).astype(np.uint16)
    assert found(flats, Action.FLAT, pedestals=[1000.0] * 5) == {}


def shapes_of(slopes):
    """Tell flats whose light falls off from one side to the other apart."""
    rng = np.random.default_rng(10)
    side = np.linspace(-1, 1, SHAPE[1])
    flats = [
        1000 + rng.poisson(20000.0 * (1 + slope * side), SHAPE) for slope in slopes
    ]
    statistics = [measure(flat.astype(np.uint16)) for flat in flats]
    return two_shapes(statistics, LIMITS, [1000.0] * len(flats))


@pytest.mark.parametrize(
    ("slopes", "those"),
    [
        ([0.1, 0.1, -0.1, -0.1], [2, 3]),
        ([-0.1, 0.1, -0.1, 0.1, 0.1], [0, 2]),
        ([0.1, -0.1], [1]),
        ([0.09, 0.11, 0.1, -0.09, -0.1, -0.11], [3, 4, 5]),
    ],
)
def test_flats_of_two_shapes_are_told_apart(slopes, those):
    apart, places = shapes_of(slopes)
    assert places == those
    assert apart == pytest.approx(0.2 / 3**0.5, rel=0.15)


@pytest.mark.parametrize(
    "slopes",
    [
        [0.0],
        [0.1] * 5,
        [0.01, -0.01, 0.0, 0.01],
        np.linspace(-0.2, 0.2, 9),
        [0.02, 0.0],
        [0.08, 0.0],
        [0.08, 0.0, 0.0],
    ],
)
def test_flats_of_one_shape_or_of_a_sky_that_drifts_are_not(slopes):
    assert shapes_of(slopes) is None


def half_dark(share):
    """Make statistics of a flat of which a share of the blocks has no light at all."""
    lit = np.arange(64) >= 64 * share
    flat = make_statistics(1000.0 + 20000.0 * (share < 0.5), 50.0)
    return replace(flat, blocks=tuple(1000.0 + 20000.0 * lit))


def test_a_flat_without_light_in_its_middle_is_told_apart():
    flats = [half_dark(0.0), half_dark(0.8)]
    assert two_shapes(flats, LIMITS, [1000.0] * 2) == (pytest.approx(2.0), [1])


def test_flats_without_light_have_no_shape():
    flats = [half_dark(0.8), half_dark(0.0)]
    assert two_shapes(flats, LIMITS, [30000.0] * 2) is None


def test_a_flat_without_light_in_its_middle_is_lit_otherwise_than_the_others():
    flats = [half_dark(share) for share in (0.0, 0.0, 0.8, 0.0)]
    odd = said(odd_frames(flats, Action.FLAT, LIMITS, pedestals=[1000.0] * 4))
    assert list(odd) == [2]
    assert "lit otherwise" in odd[2]


def make_lit_frames(seed, shares, light=20000.0):
    """Make flats of which each is lit by a share of the light, pixel by pixel."""
    rng = np.random.default_rng(seed)
    frames = [1000 + rng.poisson(light * share, SHAPE) for share in shares]
    return [frame.astype(np.uint16) for frame in frames]


def test_the_edge_of_a_cloud_is_found_though_it_takes_only_five_percent():
    edge = 1 - 0.05 / (1 + np.exp((np.arange(SHAPE[1]) - 80) / 8.0))
    whole = np.ones(SHAPE)
    flats = make_lit_frames(10, [whole, whole, whole * edge, whole, whole])
    odd = found(flats, Action.FLAT, pedestals=[1000.0] * 5)
    assert list(odd) == [2]
    assert "lit otherwise" in odd[2]


def test_a_cloud_that_dims_the_whole_sky_is_no_reason():
    flats = make_lit_frames(11, [np.full(SHAPE, s) for s in (1.0, 0.4, 0.9)])
    assert found(flats, Action.FLAT, pedestals=[1000.0] * 3) == {}


def test_a_bright_star_is_left_to_the_mask():
    shares = [np.ones(SHAPE) for _ in range(4)]
    shares[1][70:80, 70:80] = 3.0
    assert found(make_lit_frames(12, shares), Action.FLAT) == {}


def test_a_round_field_that_fills_a_fifth_of_the_frame_has_light_and_a_shape():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = (np.hypot(x - 80, y - 80) < 40).astype(float)
    assert disc.mean() < 0.2
    shares = [disc, 0.8 * disc, 0.9 * disc, disc]
    pedestals = [1000.5] * 4
    flats = make_lit_frames(13, shares)
    assert found(flats, Action.FLAT, pedestals=pedestals) == {}
    shares[3] = disc * np.linspace(0.6, 1.4, SHAPE[1])
    flats = make_lit_frames(13, shares)
    assert list(found(flats, Action.FLAT, pedestals=pedestals)) == [3]


def test_every_frame_needs_its_pedestal():
    with pytest.raises(ValueError, match="3 frames need a pedestal each, not 2"):
        odd_frames([make_statistics()] * 3, Action.BIAS, LIMITS, pedestals=[1.0, 2.0])


def test_block_medians_follow_the_blocks():
    frame = np.kron(np.arange(64.0).reshape(8, 8), np.ones((20, 30)))
    assert block_medians(frame) == tuple(np.arange(64.0))
    frame[:20, :30] = np.nan
    assert np.isnan(block_medians(frame)[0])


def test_blocks_without_pixels_do_not_hide_an_odd_flat():
    blind = (np.nan,) * 32
    good = [make_statistics(20000.0, blocks=(*blind, *(20000.0,) * 32))] * 5
    tilted = (*blind, *np.linspace(18000.0, 22000.0, 32))
    flats = [*good, make_statistics(20000.0, blocks=tilted)]
    found = odd_frames(flats, Action.FLAT, LIMITS, pedestals=[1000.0] * 6)
    assert {n: why.code for n, why in found.items()} == {5: "odd-shape"}


def test_frames_too_small_for_blocks_have_none():
    assert block_medians(np.zeros((100, 100))) == ()


@pytest.fixture(scope="module")
def night():
    return make_night(read_listing("notes_2021"), seed=3, size=(320, 240))


def group_of(night, numbers, **faults):
    """Expose frames of the night, the last of them with faults."""
    frames = [night.listing.frames[number - 1] for number in numbers]
    frames[-1] = replace(frames[-1], faults=frames[-1].faults | faults)
    return [night.expose(frame).raw for frame in frames]


@pytest.mark.parametrize("pedestals", [None, [1013.0] * 6])
def test_the_odd_dark_of_the_notes_is_found(night, pedestals):
    darks = group_of(night, range(51, 57))
    assert list(found(darks, Action.DARK, pedestals=pedestals)) == [0]


@pytest.mark.parametrize(
    ("numbers", "action"),
    [
        (range(41, 51), Action.BIAS),
        (range(52, 57), Action.DARK),
        (range(59, 62), Action.DARK),
        (range(1, 6), Action.FLAT),
        (range(11, 16), Action.FLAT),
        (range(36, 41), Action.FLAT),
    ],
)
def test_the_clean_groups_of_the_notes_stay_whole(night, numbers, action):
    assert found(group_of(night, numbers), action) == {}


@pytest.mark.parametrize(
    ("faults", "numbers", "action"),
    [
        ({"level": 60.0}, range(41, 51), Action.BIAS),
        ({"zero": 1.0}, range(41, 44), Action.BIAS),
        ({"light_leak": 120.0}, range(52, 57), Action.DARK),
        ({"afterglow": 30.0}, range(59, 62), Action.DARK),
        ({"warm": 12.0}, range(59, 62), Action.DARK),
        ({"glare": 8.0}, range(1, 6), Action.FLAT),
        ({"clouds": 0.999}, range(1, 6), Action.FLAT),
    ],
)
def test_faults_of_a_frame_are_found(night, faults, numbers, action):
    frames = group_of(night, numbers, **faults)
    assert list(found(frames, action)) == [len(frames) - 1]


@pytest.mark.parametrize("full_scale", [1, 65535])
def test_frames_of_fractions_are_judged_and_told_as_those_of_counts(full_scale):
    """Some programs write raw frames as floats, 65535 as 1."""
    frames = make_frames(np.random.default_rng(8), 6)
    frames[4][:60, :60] += 40
    frames[2] += 60
    scaled = [np.float32(frame / full_scale) for frame in frames]
    statistics = [measure(frame) for frame in scaled]
    odd = said(odd_frames(statistics, Action.DARK, LIMITS))
    assert sorted(odd) == [2, 4]
    level, part = odd[2].split()[1], odd[4].split()[3]
    assert float(level) == pytest.approx(1063 / full_scale, rel=1e-3)
    assert float(part) == pytest.approx(40 / full_scale, rel=0.05)
