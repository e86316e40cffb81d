"""Gain from pairs of flats of simulated detectors."""

import numpy as np
import pytest

from autoreduce.pixels.phototransfer import photon_transfer


def flat(level, gain, rng, *, read=8.0, shape=(512, 512), stars=0, pattern=None):
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx]
    lit = level * (1 - 0.3 * ((x / nx - 0.5) ** 2 + (y / ny - 0.5) ** 2))
    if pattern is not None:
        lit = lit * pattern
    made = rng.poisson(lit * gain) / gain + rng.normal(0, read / gain, shape)
    made[rng.integers(0, ny, stars), rng.integers(0, nx, stars)] += 5000
    return np.rint(made)


@pytest.mark.parametrize("gain", [0.25, 1.5, 6.0])
def test_the_gain_is_found_to_a_percent(gain):
    rng = np.random.default_rng(1)
    pattern = rng.normal(1, 0.02, (512, 512))
    pairs = [
        tuple(flat(20000, gain, rng, pattern=pattern, stars=300) for _ in range(2))
        for _ in range(2)
    ]
    found = photon_transfer(pairs, read_noise=8.0 / gain)
    assert found.gain == pytest.approx(gain, rel=0.01)
    assert abs(found.gain - gain) < 4 * found.error
    assert found.points.shape[1] == 2


def test_flats_of_a_pair_may_differ_in_brightness():
    rng = np.random.default_rng(2)
    pairs = [(flat(30000, 1.5, rng), flat(18000, 1.5, rng))]
    assert photon_transfer(pairs).gain == pytest.approx(1.5, rel=0.02)


def test_read_noise_is_taken_out():
    rng = np.random.default_rng(3)
    pairs = [tuple(flat(300, 1.5, rng, read=12) for _ in range(2)) for _ in range(3)]
    assert photon_transfer(pairs, read_noise=8.0).gain == pytest.approx(1.5, rel=0.03)
    assert photon_transfer(pairs).gain < 1.2


def test_what_tells_too_little_gives_nothing():
    rng = np.random.default_rng(4)
    assert photon_transfer([]) is None
    dark = [tuple(flat(5, 1.5, rng, read=30) for _ in range(2))]
    assert photon_transfer(dark, read_noise=20.0) is None
    small = [tuple(flat(20000, 1.5, rng, shape=(40, 40)) for _ in range(2))]
    assert photon_transfer(small) is None
    same = flat(20000, 1.5, rng)
    assert photon_transfer([(same, same)]) is None


def test_blocks_with_holes_are_left_out():
    rng = np.random.default_rng(5)
    one, other = flat(20000, 1.5, rng), flat(20000, 1.5, rng)
    one[:100] = np.nan
    assert photon_transfer([(one, other)]).gain == pytest.approx(1.5, rel=0.02)


def transfer_of(level, well, *, scatter=8.0, share=0.0, multiplied=1.0):
    """Measure four flats with wells of a depth, two of which a camera multiplies."""
    rng = np.random.default_rng(6)
    flats = [flat(level * (1 - 0.02 * n), 1.0, rng) for n in range(4)]
    wells = well + scatter * rng.normal(size=(4, 512, 512))
    flats = [np.minimum(one, most) for one, most in zip(flats, wells, strict=True)]
    flats = [(1 - share) * one + share * np.roll(one, 1, axis=1) for one in flats]
    pairs = [flats[:2], [multiplied * one for one in flats[2:]]]
    return photon_transfer(pairs)


def full_of(*args, **how):
    return transfer_of(*args, **how).full_from


@pytest.mark.parametrize("level", [62000, 64000, 66000])
def test_pixels_that_are_full_tell_nothing_of_the_gain(level):
    assert transfer_of(level, 58000).gain == pytest.approx(1.0, rel=0.04)


def test_full_wells_are_told_by_noise_that_does_not_grow():
    assert full_of(63000, 58000) == pytest.approx(58000, rel=0.05)


@pytest.mark.parametrize("how", [{}, {"share": 0.02}, {"multiplied": 2.5}])
def test_noise_that_follows_the_light_tells_of_no_full_well(how):
    assert full_of(50000, 58000, **how) is None


def test_where_everything_is_full_nothing_is_told():
    assert full_of(90000, 58000) is None
