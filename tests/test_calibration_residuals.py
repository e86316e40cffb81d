"""What a calibrated light tells of its dark, on drawn skies."""

import re

import numpy as np
import pytest

from autoreduce.calibration.residuals import (
    block_levels,
    doubts_of_light,
    flat_that_fits,
)

SHAPE = (128, 256)
NOISE, CURRENT = 10.0, 30.0


def sky(rng, level=600.0):
    return level + NOISE * rng.standard_normal(SHAPE)


def hot_dark(rng, n=200, hot=1200.0):
    dark = np.full(SHAPE, CURRENT) + 2 * rng.standard_normal(SHAPE)
    dark[rng.integers(0, SHAPE[0], n), rng.integers(0, SHAPE[1], n)] += hot
    return dark


def codes(raw, dark, flat=None, pedestal=0.0):
    """Calibrate by hand, and judge."""
    shape = np.float32(1) if flat is None else flat.astype(np.float32)
    data = ((raw - pedestal - dark) / shape).astype(np.float32)
    taken = (dark / shape).astype(np.float32)
    level = float(np.median(data))
    flat = None if flat is None else shape
    found = doubts_of_light(data, taken, level, NOISE, flat, pedestal)
    return {one.code: str(one) for one in found}


def vignetting(depth=0.3, off=0.2):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    flat = 1 - depth * ((x / SHAPE[1] - 0.5) ** 2 + (y / SHAPE[0] - 0.5 - off) ** 2)
    return flat / np.median(flat)


def test_a_dark_that_fits_is_not_doubted():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        dark = hot_dark(rng)
        assert codes(sky(rng) + dark, dark) == {}


@pytest.mark.parametrize(("factor", "said"), [(0.06, "0.06"), (0.5, "0.5"), (3.0, "3")])
def test_hot_pixels_tell_a_dark_of_another_temperature(factor, said):
    rng = np.random.default_rng(1)
    dark = hot_dark(rng)
    found = codes(sky(rng) + factor * dark, dark)
    assert f"have {said} of that" in found["hot-misfit"]


def test_a_dark_that_is_scaled_to_next_to_nothing_leaves_hot_pixels_and_is_told():
    """As where the light is told to last a second, and took a minute."""
    rng = np.random.default_rng(1)
    dark = hot_dark(rng)
    raw = sky(rng) + dark
    assert "have 60 of that" in codes(raw, dark / 60)["hot-misfit"]
    # Of a light that is as short as it says, they are lost in the noise.
    assert codes(sky(rng) + dark / 60, dark / 60) == {}


def test_a_few_hot_pixels_tell_nothing():
    rng = np.random.default_rng(2)
    dark = hot_dark(rng, n=10)
    assert codes(sky(rng) + 0.1 * dark, dark) == {}


def test_a_leak_of_light_into_the_dark_makes_the_sky_uneven():
    """As at one set point five nights apart: 18 ADU with the dark, 3 without."""
    rng = np.random.default_rng(3)
    leak = 18 * np.sqrt(12) * np.linspace(-0.5, 0.5, SHAPE[1])
    dark = hot_dark(rng) + leak
    found = codes(sky(rng) + dark - leak, dark)
    assert list(found) == ["uneven-dark"]
    assert "about 20 ADU" in found["uneven-dark"]


def test_glow_that_the_dark_takes_out_is_what_it_is_for():
    rng = np.random.default_rng(4)
    dark = hot_dark(rng) + 200 * np.linspace(0, 1, SHAPE[1]) ** 4
    assert codes(sky(rng) + dark, dark) == {}


def test_a_dark_that_is_noisier_than_the_light_is_told():
    rng = np.random.default_rng(5)
    dark = CURRENT + 2 * NOISE * rng.standard_normal(SHAPE)
    found = codes(sky(rng) + CURRENT, dark)
    assert list(found) == ["noisy-dark"]
    assert "is about 20 ADU, without it about 10 ADU" in found["noisy-dark"]
    single = CURRENT + NOISE * rng.standard_normal(SHAPE)
    assert codes(sky(rng) + CURRENT, single) == {}


@pytest.mark.parametrize(
    ("level", "is_said"), [(-20.0, True), (-3.0, False), (2.0, False)]
)
def test_a_sky_below_zero_by_more_than_noise_is_told(level, is_said):
    data = sky(np.random.default_rng(6), level).astype(np.float32)
    found = {one.code: str(one) for one in doubts_of_light(data, None, level, NOISE)}
    assert ("negative-sky" in found) is is_said
    if is_said:
        assert "about -20 ADU, its noise about 10 ADU" in found["negative-sky"]


def test_what_was_not_measured_is_not_doubted():
    data = np.full(SHAPE, np.nan, np.float32)
    assert list(doubts_of_light(data, None, np.nan, np.nan)) == []


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ((-1, 1), "its rows are turned"),
        ((1, -1), "its columns are turned"),
        ((-1, -1), "its rows and columns are turned"),
    ],
)
def test_hot_pixels_tell_a_dark_that_lies_the_other_way_round(turn, words):
    rng = np.random.default_rng(7)
    dark = hot_dark(rng)
    found = codes(sky(rng) + dark[:: turn[0], :: turn[1]], dark)
    assert words in found["dark-turned"]
    assert "hot-misfit" not in found


def test_hot_pixels_of_another_sensor_fit_in_no_way_round():
    rng = np.random.default_rng(8)
    found = codes(sky(rng) + hot_dark(rng), hot_dark(rng))
    assert "hot-absent" in found
    assert not {"dark-turned", "dark-shifted"} & set(found)


@pytest.mark.parametrize(("dy", "dx"), [(0, 40), (5, -3), (1, 0)])
def test_hot_pixels_tell_how_far_a_light_was_read_from_where_the_dark_was(dy, dx):
    rng = np.random.default_rng(8)
    dark = hot_dark(rng)
    found = codes(sky(rng) + np.roll(dark, (dy, dx), (0, 1)), dark)
    assert f"{dx:+d} columns and {dy:+d} rows away" in found["dark-shifted"]
    assert not {"hot-misfit", "hot-absent"} & set(found)


@pytest.mark.parametrize("with_flat", [False, True])
@pytest.mark.parametrize(("in_light", "said"), [(1.0, set()), (0.0, {"uneven-bias"})])
def test_a_bias_of_other_amplifiers_is_told_where_there_is_no_dark(
    with_flat, in_light, said
):
    rng = np.random.default_rng(8)
    flat = (vignetting() if with_flat else np.ones(SHAPE)).astype(np.float32)
    step = np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, 0.0, 40.0)
    bias = (1000 + step + rng.normal(0, 1, SHAPE)).astype(np.float32)
    raw = sky(rng) * flat + 1000 + in_light * step
    data = ((raw - bias) / flat).astype(np.float32)
    given = flat if with_flat else None
    doubts = doubts_of_light(data, None, 600.0, NOISE, given, bias=bias)
    assert {one.code for one in doubts} == said


def test_a_light_whose_dark_is_taken_out_already_has_no_hot_pixels():
    rng = np.random.default_rng(8)
    found = codes(sky(rng), hot_dark(rng))
    assert "taken out of it already" in found["hot-absent"]


def test_a_flat_that_fits_is_not_doubted_nor_is_one_of_an_uneven_sky():
    dark, flat = np.zeros(SHAPE), vignetting()
    for seed, slope in ((1, 0.0), (2, 0.1), (3, -0.1)):
        moonlight = 1 + slope * np.linspace(-0.5, 0.5, SHAPE[1])
        raw = sky(np.random.default_rng(seed)) * moonlight * flat
        assert codes(raw, dark, flat) == {}


def test_a_flat_that_lies_the_other_way_round_is_told():
    dark, flat = np.zeros(SHAPE), vignetting(1.0, 0.4)
    found = codes(sky(np.random.default_rng(9)) * flat, dark, flat[::-1])
    assert list(found) == ["flat-turned"]
    assert "with its rows turned" in found["flat-turned"]


def test_a_flat_that_the_shutter_shaded_is_told():
    """A vane over a third of all flats: there the sky comes out twice as bright."""
    dark, flat = np.zeros(SHAPE), vignetting()
    shaded = flat.copy()
    shaded[:40] *= 0.5
    found = codes(sky(np.random.default_rng(10)) * flat, dark, shaded)
    assert list(found) == ["uneven-flat"]


@pytest.mark.parametrize("light", [60.0, 200.0])
def test_a_dark_in_the_shape_of_the_flat_has_seen_light(light):
    """The sky comes out even, and too faint: nothing else tells it."""
    rng = np.random.default_rng(12)
    flat = vignetting(1.0)
    dark = hot_dark(rng)
    found = codes(sky(rng) * flat + dark, dark + light * flat, flat)
    assert list(found) == ["light-in-dark"]
    assert f"about {50 if light == 60 else 200} ADU" in found["light-in-dark"]


@pytest.mark.parametrize(
    "shape",
    [
        lambda flat: 60 * (flat.max() - flat),
        lambda flat: 60 * np.linspace(0, 1, SHAPE[1]) ** 4 + 0 * flat,
        lambda flat: np.linspace(0, 60, SHAPE[0])[:, None] + 0 * flat,
        lambda flat: 300 * (flat - flat.min()) - 100,
    ],
)
def test_the_glow_of_an_amplifier_or_of_warmth_is_no_light_in_the_dark(shape):
    rng = np.random.default_rng(13)
    flat = vignetting(1.0)
    dark = hot_dark(rng) + shape(flat)
    assert "light-in-dark" not in codes(sky(rng) * flat + dark, dark, flat)


def test_a_pedestal_that_nobody_added_leaves_the_inverse_of_the_flat():
    flat = vignetting(1.0)
    raw = sky(np.random.default_rng(14)) * flat
    dark = np.zeros(SHAPE)
    assert list(codes(raw, dark, flat, 100.0)) == ["pedestal-not-added"]
    assert codes(raw + 100, dark, flat, 100.0) == {}
    # Nor of a sky that is uneven by itself, or a flat that is even.
    moonlight = 1 + 0.1 * np.linspace(-0.5, 0.5, SHAPE[1])
    assert codes(raw * moonlight + 100, dark, flat, 100.0) == {}
    assert codes(raw / flat, dark, np.ones(SHAPE), 100.0) == {}


def test_where_dark_and_flat_lie_otherwise_it_is_said_once():
    rng = np.random.default_rng(11)
    dark, flat = hot_dark(rng), vignetting(1.0, 0.4)
    raw = sky(rng) * flat + dark
    assert set(codes(raw, dark[::-1], flat[::-1])) >= {"dark-turned"}
    assert not set(codes(raw, dark[::-1], flat[::-1])) & {"flat-turned", "uneven-flat"}


@pytest.mark.parametrize("level", [150.0, 400.0])
def test_a_level_that_was_no_light_stands_out_where_the_flat_is_faint(level):
    """As of a light that was taken with another offset than its bias and dark."""
    rng = np.random.default_rng(4)
    flat, dark = vignetting(depth=0.9), hot_dark(rng)
    raw = sky(rng) * flat + dark + level
    found = codes(raw, dark, flat)
    assert list(found) == ["level-left"]
    (told,) = re.findall(r"without (\d+) ADU", found["level-left"])
    assert float(told) == pytest.approx(level, rel=0.1)


def test_a_sky_that_is_as_the_flat_says_has_no_level_left_in_it():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        flat, dark = vignetting(depth=0.9), hot_dark(rng)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        nebula = 200 * np.exp(-((x - 128) ** 2 + (y - 64) ** 2) / 3000)
        slope = 100 * x / SHAPE[1]
        raw = (sky(rng) + (nebula, slope, 0)[seed % 3]) * flat + dark
        assert codes(raw, dark, flat) == {}, seed


def test_a_level_that_was_no_light_is_not_more_than_all_of_the_sky():
    """An even flat, and a sky that is uneven by chance as its inverse is."""
    rng = np.random.default_rng(4)
    flat = vignetting(depth=0.02)
    raw = (sky(rng) + 12000 / flat - 12000) * flat
    assert codes(raw, np.zeros(SHAPE), flat) == {}


@pytest.mark.parametrize("seed", range(10))
def test_glow_that_does_not_go_with_the_exposure_is_told(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    glow = 60 * np.exp(-((x - 240) ** 2 + (y - 120) ** 2) / 3000)
    flat, dark = vignetting(), hot_dark(rng) + glow
    raw = sky(rng) * flat + dark
    assert codes(raw, dark, flat) == {}
    found = codes(raw + 4 * glow, dark, flat)
    assert list(found) == ["glow-misfit"]
    assert "the light has 5 times the dark's glow" in found["glow-misfit"]


def test_where_no_noise_is_known_nothing_is_doubted():
    dark = np.full(SHAPE, 30.0, np.float32)
    data = np.full(SHAPE, np.nan, np.float32)
    for flat in (None, np.ones(SHAPE, np.float32)):
        assert list(doubts_of_light(data, dark, np.nan, np.nan, flat)) == []


def test_another_flat_is_found_by_the_sky_that_it_makes_even():
    flat, other = (block_levels(vignetting(1.0, off)) for off in (0.4, -0.4))
    level = block_levels(np.full(SHAPE, 600.0))
    others = {"other": other, "small": other[:0], "half": (flat + other) / 2}
    found = flat_that_fits(level * other / flat, flat, others, 600.0, 24.0)
    assert (found.name, found.left) == ("other", pytest.approx(0.0, abs=1e-6))
    assert found.uneven > 0.05
    # A sky that is even, or not known, or that no flat makes even, tells nothing.
    assert flat_that_fits(level, flat, others, 600.0, 24.0) is None
    assert flat_that_fits(level * other / flat, flat, others, np.nan, np.nan) is None
    slope = np.tile(np.linspace(0.7, 1.3, 8), 8)
    assert flat_that_fits(level * slope, flat, others, 600.0, 24.0) is None
    assert flat_that_fits(level * other / flat, flat, {}, 600.0, 24.0) is None


def dusty(places, depth=0.15, shape=(128, 640)):
    """Shade a field by its optics, and by dust at some places."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    flat = 1.0 - 0.4 * ((x / shape[1] - 0.4) ** 2 + (y / shape[0] - 0.5) ** 2)
    for column, row in places:
        flat *= 1 - depth * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 600.0)
    return flat


DUST, MOVED = ((150, 40), (330, 90), (480, 60)), ((190, 60), (290, 50), (430, 95))


@pytest.mark.parametrize(
    ("in_light", "is_told"), [(MOVED, True), ((), True), (DUST, False)]
)
def test_shadows_of_dust_that_moved_after_the_flats_are_told(in_light, is_told):
    raw = np.random.default_rng(3).poisson(600.0 * dusty(in_light))
    found = codes(raw.astype(np.float64), 0 * raw, dusty(DUST))
    assert list(found) == ["flat-shadows"] * is_told
    assert all(re.search("of up to 1[3-6]%", words) for words in found.values())


def test_knots_of_a_nebula_a_galaxy_and_a_faint_sky_are_no_dust_that_moved():
    rng, flat = np.random.default_rng(4), dusty(DUST)
    nebula = sum(
        400.0 * (dusty([place]) < 0.95 * dusty(()))
        for place in zip(
            rng.integers(0, 640, 40), rng.integers(0, 128, 40), strict=True
        )
    )
    raw = rng.poisson((600.0 + nebula) * flat).astype(np.float64)
    assert "flat-shadows" not in codes(raw, 0 * raw, flat)
    galaxy = 2000.0 * (dusty(()) - dusty(DUST[:1]))
    raw = rng.poisson(600.0 * flat + galaxy).astype(np.float64)
    assert "flat-shadows" not in codes(raw, 0 * raw, flat)
    faint = rng.poisson(4.0 * dusty(())) + rng.normal(0.0, 5.0, flat.shape)
    assert "flat-shadows" not in codes(faint, 0 * faint, flat)
