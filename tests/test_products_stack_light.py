"""A light on the grid, the scale and the sky of a stack, worked by hand."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from autoreduce.pixels.register import Transform
from autoreduce.pixels.resample import Resampler
from autoreduce.products.registration import Geometry, Place
from autoreduce.products.stack_light import (
    LEAST_GAIN,
    SEEING,
    gain_from_sky,
    models,
    scaled,
)

SHAPE = (40, 60)
RAMP = np.arange(2400.0).reshape(SHAPE)
HERE = Place(Geometry(SHAPE), 1, Transform())


def spread(n=12):
    """Give places of stars that tell of scale and turn."""
    rng = np.random.default_rng(3)
    grid = np.array([(8 + 14 * (i % 4), 8 + 12 * (i // 4)) for i in range(n)])
    return grid + rng.uniform(-2, 2, (n, 2))


def test_a_planet_shines_and_hot_pixels_do_not(open_light):
    rng = np.random.default_rng(8)
    dark = rng.normal(0, 8, (70, 90))
    dark[::5, ::5] = 900.0
    dark[:, 40] = np.nan
    seen = {"sky": 0.3, "sky_noise": 8.0}
    assert not open_light("dark.fits", dark, seen).shows_something()
    dark[20:60, 30:70] += 40.0
    assert open_light("planet.fits", dark, seen).shows_something()


def test_a_hot_last_row_is_no_light(open_light):
    dark = np.random.default_rng(8).normal(0, 8, (65, 90))
    dark[64] += 100.0
    seen = {"sky": 0.3, "sky_noise": 8.0}
    assert not open_light("dark.fits", dark, seen).shows_something()


@pytest.mark.parametrize("keep_open", [True, False])
def test_rows_are_scaled_and_then_shifted(open_light, keep_open):
    light = open_light("a.fits", RAMP, keep_open=keep_open)
    np.testing.assert_array_equal(light.rows(3, 5), RAMP[3:5])
    brighter = replace(light, factor=2.0, offset=-7.0)
    for _ in range(2):
        np.testing.assert_array_equal(brighter.rows(3, 5), 2 * RAMP[3:5] - 7)
    assert light.shape == SHAPE


def test_a_light_is_laid_where_it_lies(open_light):
    place = replace(HERE, transform=Transform(3.0, 2.0))
    light = open_light("a.fits", RAMP, place=place)
    laid = light.on_grid(Geometry(SHAPE))
    rows = laid.rows(10, 12)
    np.testing.assert_allclose(rows[:, 10:50], RAMP[8:10, 7:47], rtol=1e-5)
    assert np.isnan(laid.rows(0, 1)).all()  # beyond its edge
    unplaced = replace(light, place=None)
    assert unplaced.on_grid(Geometry(SHAPE)) is unplaced


def test_a_light_that_lies_on_the_grid_is_the_same_laid_or_not(open_light):
    data = np.random.default_rng(1).normal(500, 10, SHAPE).astype(np.float32)
    data[5, 7], data[9, 30] = np.nan, 9000
    light = open_light("a.fits", data, place=HERE)
    assert light.on_grid(Geometry(SHAPE)) is light
    resampler = Resampler(Transform(), SHAPE, SHAPE)
    laid = replace(light, resampler=resampler, statistics={"sky": 500, "sky_noise": 10})
    np.testing.assert_array_equal(laid.rows(0, 40), data)
    lower = light.on_grid(Geometry((30, 60)))
    np.testing.assert_array_equal(lower.rows(0, 30), data[:30])


def test_measuring_colours_takes_no_more_memory_than_is_told(open_light):
    data = np.random.default_rng(2).normal(500, 10, (2000, 2000))
    light = open_light("a.fits", data, BAYERPAT="RGGB", keep_open=False)
    tracemalloc.start()
    light.modelled()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.7 * light.modelled_bytes < peak < light.modelled_bytes


@pytest.mark.parametrize(
    ("cards", "gain", "noise"),
    [
        ({"EGAIN": 1.5, "RDNOISE": 8.0}, 1.5, 8.0),
        ({"EGAIN": 0.0, "RDNOISE": -1.0}, None, None),
        ({}, None, None),
    ],
)
def test_gain_and_read_noise_are_positive_or_unknown(open_light, cards, gain, noise):
    light = open_light("a.fits", RAMP, **cards)
    assert (light.gain, light.read_noise) == (gain, noise)


def pair(open_light, *, flux=0.5, exptimes=(60.0, 60.0), places=(HERE, HERE), **others):
    """Open two lights of the same stars, the second of `flux` times the light."""
    at = others.get("stars", spread())
    found = []
    for n, (place, exptime) in enumerate(zip(places, exptimes, strict=True)):
        light = open_light(
            f"{n}.fits",
            RAMP,
            {"sky": 100.0 * (n + 1)},
            stars=at,
            place=place,
            exptime=exptime,
            flux=1000.0 * flux**n,
        )
        found.append(light)
    return found


def test_stars_in_common_give_the_scale_and_the_sky_follows(open_light, tmp_path):
    """Half the light: times 2; its sky 200 becomes 400, that of the first is 100."""
    first, second = scaled(pair(open_light), 0, tmp_path, sky=True)
    assert (first.factor, first.offset, first.n_common) == (1.0, 0.0, 12)
    assert second.factor == pytest.approx(2.0, rel=1e-3)
    assert second.offset == pytest.approx(100 - 2 * 200, abs=0.5)
    assert second.n_common == 12


def test_the_sky_is_left_where_it_is_not_asked_for_or_unknown(open_light, tmp_path):
    lights = pair(open_light)
    assert scaled(lights, 0, tmp_path, sky=False)[1].offset == 0
    lights[1] = replace(lights[1], statistics={})
    assert scaled(lights, 0, tmp_path, sky=True)[1].offset == 0


@pytest.mark.parametrize(
    ("places", "n"), [((HERE, HERE), 2), ((HERE, None), 12), ((None, HERE), 12)]
)
def test_without_stars_in_common_the_exposures_count(open_light, tmp_path, places, n):
    lights = pair(open_light, exptimes=(60.0, 15.0), places=places, stars=spread(n))
    second = scaled(lights, 0, tmp_path, sky=False)[1]
    assert (second.factor, second.n_common) == (4.0, None)


def test_unknown_exposures_leave_the_scale(open_light, tmp_path):
    lights = pair(open_light, exptimes=(None, 15.0), stars=spread(2))
    assert scaled(lights, 0, tmp_path, sky=False)[1].factor == 1.0


def lights_of(open_light, *statistics, **cards):
    return [
        open_light(f"{n}.fits", RAMP, one, **cards) for n, one in enumerate(statistics)
    ]


def test_how_good_lights_are_worked_by_hand(open_light):
    sharp, wide = lights_of(
        open_light,
        {"sky_noise": 4.0, "fwhm": 2.0},
        {"sky_noise": 8.0, "fwhm": 4.0},
        EGAIN=1.5,
    )
    first, second = models([sharp, replace(wide, factor=2.0)], 1.0, 0.08)
    assert first.weight == pytest.approx(1 / 16)
    assert second.weight == pytest.approx(1 / 256)
    assert (first.noise, second.noise) == (4.0, 16.0)
    assert first.photon == pytest.approx(1 / 1.5)
    assert second.photon == pytest.approx(2 / 1.5)
    # Widths of 2 and 4 about their middle of 3: peaks of 9/4 and 9/16.
    assert first.change == pytest.approx(math.hypot(0.08, SEEING * (9 / 4 - 1)))
    assert second.change == pytest.approx(math.hypot(0.08, SEEING * (9 / 16 - 1)))


def test_what_was_not_measured_is_taken_as_usual(open_light):
    """Noise that is unknown is that of the others; width that is unknown, the middle."""
    known, unknown = lights_of(open_light, {"sky_noise": 4.0, "fwhm": 3.0}, {})
    first, second = models([known, unknown], 2.0, 0.1)
    assert (second.weight, second.noise) == (first.weight, first.noise)
    assert (second.photon, second.change) == (0.5, 0.1)
    (alone,) = models([unknown], 2.0, 0.1)
    assert (alone.weight, alone.noise) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("skies", "gain"),
    [
        ([(100.0, 20.0), (100.0, 25.0), (100.0, 10.0)], 0.25),
        ([(900.0, 10.0)], 1.0),
        ([(1.0, 100.0)], LEAST_GAIN),
        ([(0.0, 10.0), (100.0, 0.0)], 1.0),
        ([], 1.0),
    ],
)
def test_the_sky_tells_the_least_gain(open_light, skies, gain):
    """Photons alone: variance in ADU is sky over gain."""
    statistics = [{"sky": sky, "sky_noise": noise} for sky, noise in skies]
    assert gain_from_sky(lights_of(open_light, *statistics)) == pytest.approx(gain)
