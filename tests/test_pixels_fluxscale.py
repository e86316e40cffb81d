"""Ratios of fluxes against the simulated truth."""

import numpy as np
import pytest
from stack_fields import add_noise, draw_field, paint

from autoreduce.pixels.fluxscale import flux_scale
from autoreduce.pixels.register import Transform, match_near
from autoreduce.pixels.stars import SATURATED, STAR, find_stars


def light(flux, error, rng):
    """Give stars with the noise of their errors."""
    table = np.zeros(len(flux), STAR)
    table["flux"] = flux + rng.normal(0, error, len(flux))
    table["flux_error"] = error
    table["snr"] = table["flux"] / table["flux_error"]
    table["x"], table["fwhm"] = 50 * np.arange(len(flux)), 3
    return table


def same(n):
    """Pair the rows of equal number."""
    return np.column_stack([np.arange(n)] * 2)


@pytest.mark.parametrize("factor", [0.2, 1.0, 1.7])
def test_the_factor_and_its_error_are_right(factor):
    pulls = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        flux = 10 ** rng.uniform(3.5, 5.5, 30)
        found = flux_scale(
            light(flux / factor, 50 / factor, rng), light(flux, 50.0, rng), same(30)
        )
        assert found.factor == pytest.approx(factor, rel=0.02)
        pulls.append((found.factor - factor) / found.error)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.35)


def test_variable_and_saturated_stars_are_left_out():
    rng = np.random.default_rng(1)
    flux = 10 ** rng.uniform(4, 5, 20)
    stars, reference = light(flux / 2, 20.0, rng), light(flux, 20.0, rng)
    reference["flux"][3] *= 2
    stars["flux"][5] *= 0.3
    stars["flags"][5] = SATURATED
    found = flux_scale(stars, reference, same(20))
    assert found.factor == pytest.approx(2, rel=0.005)
    assert found.n <= 18


def test_rows_are_those_of_the_pairs():
    rng = np.random.default_rng(2)
    flux = 10 ** rng.uniform(4, 5, 20)
    order = rng.permutation(20)
    pairs = np.column_stack([order, np.arange(20)])
    found = flux_scale(light(3 * flux, 1.0, rng), light(flux[order], 1.0, rng), pairs)
    assert found.factor == pytest.approx(1 / 3, rel=1e-3)


def test_fewer_than_five_stars_tell_no_factor():
    rng = np.random.default_rng(3)
    flux = np.full(6, 1e5)
    stars, reference = light(flux, 10.0, rng), light(flux, 10.0, rng)
    assert flux_scale(stars, reference, same(5)).n == 5
    assert flux_scale(stars, reference, same(4)) is None
    stars["flux"][:2] = -1
    assert flux_scale(stars, reference, same(6)) is None


def test_equal_fluxes_have_the_factor_one():
    rng = np.random.default_rng(4)
    stars = light(np.full(8, 1e4), 10.0, rng)
    assert flux_scale(stars, stars, same(8)).factor == 1.0


def test_seeing_changes_no_factor_in_a_crowded_field():
    rng = np.random.default_rng(6)
    x, y, flux = draw_field(400, (420, 420), rng, flux=(3e3, 2e5))
    tables = []
    for fwhm in (2.8, 4.2):
        scene = np.zeros((420, 420))
        paint(scene, x, y, flux, fwhm)
        tables.append(find_stars(add_noise(scene, 300.0, rng), gain=1.5).table)
    pairs = match_near(tables[1], tables[0], Transform()).pairs
    assert flux_scale(tables[1], tables[0], pairs).factor == pytest.approx(1, rel=0.01)
