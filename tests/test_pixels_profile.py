"""Profiles of stars against integrals worked out otherwise, and values worked by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from stack_fields import gaussian_profile, moffat_profile, paint

from autoreduce.pixels.profile import (
    USUAL_BETA,
    Moffat,
    fit_moffat,
    least_steepness,
    mode,
    squared_distances,
    steepness,
)

NEAR = np.arange(-30.0, 31)
DX, DY = np.meshgrid(NEAR - 0.3, NEAR + 0.2)


@pytest.mark.parametrize("fwhm", [2.0, 3.0, 8.0])
@pytest.mark.parametrize("beta", [2.5, 4.0])
def test_profiles_are_averaged_over_pixels(fwhm, beta):
    found = Moffat(fwhm, beta).averaged(squared_distances(DX, DY))[0]
    expected = moffat_profile(DX, DY, fwhm, beta)
    found *= expected.max() / found.max()
    assert_allclose(found, expected, atol=0.015 * found.max())


@pytest.mark.parametrize("fwhm", [1.5, 4.0])
@pytest.mark.parametrize("beta", [2.0, 30.0])
def test_a_profile_knows_what_it_changes_by(fwhm, beta):
    squared = squared_distances(DX, DY).astype(np.float64)
    _, by_width, by_inverse = Moffat(fwhm, beta).averaged(squared)
    wider, narrower = (Moffat(fwhm * np.exp(h), beta) for h in (0.01, -0.01))
    steeper, flatter = (Moffat(fwhm, 1 / (1 / beta + h)) for h in (5e-4, -5e-4))
    for found, more, less, change in (
        (by_width, wider, narrower, 0.02),
        (by_inverse, steeper, flatter, 1e-3),
    ):
        expected = (more.averaged(squared)[0] - less.averaged(squared)[0]) / change
        assert_allclose(found, expected, atol=2e-3 * abs(expected).max())


def test_half_of_the_height_lies_at_half_the_width():
    profile = Moffat(10.0, 3.0).averaged(np.array([[0.0, 25.0]], np.float32))[0]
    assert_allclose(profile, [1.0, 0.5])


@pytest.mark.parametrize("fwhm", [1.8, 2.5, 4.0, 8.0])
@pytest.mark.parametrize("beta", [2.5, 4.0])
def test_the_fit_gives_back_what_was_painted(fwhm, beta):
    x, y = np.array([40.2, 90.7, 140.5]), np.array([41.9, 50.1, 100.4])
    image = np.zeros((180, 180))
    paint(image, x, y, np.array([1e4, 5e4, 2e5]), fwhm, beta=beta)
    found = fit_moffat(image.astype(np.float32), x, y, 1.2 * fwhm, 1.0)
    assert found.fwhm == pytest.approx(fwhm, rel=0.02)
    assert found.beta == pytest.approx(beta, rel=0.15)


def test_the_fit_leaves_out_a_star_with_company():
    x, y = np.array([40.0, 90.3, 140.5, 90.6]), np.array([40.0, 40.2, 40.4, 110.0])
    image = np.zeros((150, 180))
    paint(image, x, y, np.full(4, 1e5), 4.0)
    paint(image, x[3:] + 5, y[3:], np.array([1e5]), 4.0)
    found = fit_moffat(image.astype(np.float32), x, y, 4.0, 1.0)
    assert found.fwhm == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_without_light_the_fit_stays_where_it_starts(noise):
    centre = np.array([30.0])
    found = fit_moffat(np.full((61, 61), 7, np.float32), centre, centre, 3.0, noise)
    assert_allclose(found, Moffat(3.0, USUAL_BETA))


def test_light_within_two_radii_tells_the_width():
    y, x = np.mgrid[-40:40:0.1, -40:40:0.1] + 0.05
    radius = np.hypot(x, y)
    profile = Moffat(4.0, 3.0)
    for fwhm in (3.0, 4.0, 6.0):
        light = Moffat(float(np.hypot(fwhm, 0.96)), 3.0)
        drawn = (1 + (radius / light.core()) ** 2) ** -3.0
        part = drawn[radius < 2.4].sum() / drawn[radius < 6].sum()
        (found,) = profile.width_of(np.array([part]), 2.4, 6.0)
        assert found == pytest.approx(fwhm, rel=0.02)


def test_the_mode_is_where_most_values_lie():
    rng = np.random.default_rng(1)
    stars, others = rng.normal(3.0, 0.05, 60), 10 ** rng.uniform(0, 2, 100)
    assert mode(np.concatenate([stars, others])) == pytest.approx(3.0, rel=0.03)
    assert mode(np.array([2.0])) == pytest.approx(2.0)
    assert mode(np.array([1.0, 2.0, 2.1, 9.0])) == pytest.approx(np.sqrt(2 * 2.1))


def test_steepness_is_the_mean_of_neighbours_over_the_peak():
    image = np.array([[1.0, 2, 3], [4, 10, 6], [7, 8, 9]], np.float32)
    (found,) = steepness(image, np.array([1]), np.array([1])).T
    # Rows, columns, and both diagonals: (4 + 6) / 2 / 10 and so on.
    assert_allclose(found, [0.5, 0.5, 0.5, 0.5])
    lone = np.zeros((3, 3), np.float32)
    lone[1] = 0, 8, 4
    (found,) = steepness(lone, np.array([1]), np.array([1])).T
    assert_allclose(found, [0.25, 0, 0, 0])


@pytest.mark.parametrize("fwhm", [1.5, 2.5, 5.0])
def test_stars_are_steepest_on_the_middle_of_a_pixel(fwhm):
    near = np.arange(-5.0, 6)
    image = gaussian_profile(near[None, :], near[:, None], fwhm)
    found = steepness(image, np.array([5]), np.array([5]))
    assert_allclose(found, least_steepness(fwhm), rtol=1e-4)
    aside = gaussian_profile(near[None, :] - 0.4, near[:, None] + 0.3, fwhm)
    assert np.all(steepness(aside, np.array([5]), np.array([5])) > found - 1e-9)
