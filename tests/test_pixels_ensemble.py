"""Light curves of simulated fluxes whose truth is known."""

import numpy as np
import pytest

from autoreduce.pixels.ensemble import ensemble


def fluxes(lights=60, stars=25, seed=2, relative=0.01):
    rng = np.random.default_rng(seed)
    bright = 10 ** rng.uniform(3, 5, stars)
    clouds = rng.uniform(0.5, 1.0, (lights, 1))
    true = bright * clouds
    error = relative * true
    return true + rng.normal(0, error), error, clouds[:, 0], rng


def test_clouds_are_taken_out_and_errors_are_what_is_left():
    flux, error, clouds, _ = fluxes()
    found = ensemble(flux, error, np.ones(25, bool))
    assert np.median(found.scatter / found.limit) == pytest.approx(1, abs=0.03)
    fainter = -2.5 * np.log10(clouds)
    wrong = found.zero_point - fainter
    assert np.std(wrong) < 1.5 * 0.0109 / 5


def test_a_variable_star_weighs_less_and_keeps_its_curve():
    flux, error, _, _ = fluxes()
    curve = 0.3 * np.sin(np.linspace(0, 12, 60))
    flux[:, 3] *= 10 ** (-0.4 * curve)
    error[:, 3] *= 10 ** (-0.4 * curve)
    found = ensemble(flux, error, np.ones(25, bool))
    amplitude = np.polyfit(curve, found.magnitude[:, 3], 1)[0]
    assert amplitude == pytest.approx(1, abs=0.02)
    others = np.arange(25) != 3
    ratio = (found.scatter / found.limit)[others]
    assert np.median(ratio) == pytest.approx(1, abs=0.03)


def test_two_stars_are_compared_with_each_other():
    flux = np.array([[100.0, 200.0], [50.0, 100.0], [100.0, 100.0]])
    found = ensemble(flux, flux * 0.01, np.array([False, True]))
    step = 2.5 * np.log10(2)
    assert found.magnitude[:, 0] == pytest.approx(
        [step / 3, step / 3, -2 * step / 3], abs=1e-9
    )
    assert np.isnan(found.magnitude[:, 1]).all()


def test_stars_that_were_not_measured_have_no_magnitude():
    flux, error, _, _ = fluxes()
    flux[4, 2] = np.nan
    flux[7] = np.nan
    found = ensemble(flux, error, np.ones(25, bool))
    assert np.isnan(found.magnitude[4, 2])
    assert np.isnan(found.magnitude[7]).all()
    assert np.isnan(found.zero_point[7])
    assert np.isfinite(found.magnitude).sum() == 60 * 25 - 26
