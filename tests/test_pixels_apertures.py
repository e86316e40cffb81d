"""Apertures, by hand and against photutils."""

import numpy as np
import pytest
from stack_fields import GAIN, READ_NOISE, add_noise, draw_field, paint

from autoreduce.pixels.apertures import aperture_fluxes


def field(seed=3, n=40, sky=300.0, shape=(200, 220)):
    rng = np.random.default_rng(seed)
    x, y, flux = draw_field(n, shape, rng, margin=-25)
    scene = np.zeros(shape)
    paint(scene, x, y, flux, 3.0)
    return add_noise(scene, sky, rng), x, y


def test_fluxes_are_those_of_photutils():
    photutils = pytest.importorskip(
        "photutils.aperture", reason="photutils is not installed"
    )
    data, x, y = field()
    found = aperture_fluxes(data, x, y, 4.3, (9.0, 15.0))
    circles = photutils.CircularAperture(np.transpose([x, y]), 4.3)
    sums = photutils.aperture_photometry(
        data.astype(float) - 300.0, circles, method="exact"
    )["aperture_sum"]
    ours = found.flux + np.pi * 4.3**2 * (found.sky - 300.0)
    assert ours == pytest.approx(np.asarray(sums), rel=1e-9, abs=1e-6)


def test_a_circle_cuts_pixels():
    data = np.zeros((60, 60))
    data[30, 30], data[30, 33] = 100.0, 10.0
    found = aperture_fluxes(data, np.array([30.0]), np.array([30.0]), 3.0, (8, 14))
    # Of the pixel at x from 2.5 to 3.5 the circle holds what lies left of it.
    h = np.linspace(-0.5, 0.5, 100001)
    part = np.mean(np.sqrt(9 - h**2) - 2.5)
    assert found.flux[0] == pytest.approx(100 + 10 * part, abs=1e-4)
    assert found.sky[0] == 0


def test_errors_are_those_that_repeated_lights_show():
    shape, at = (60, 60), np.array([30.2])
    scene = np.zeros(shape)
    paint(scene, at, at, np.array([2e4]), 3.0)
    rng = np.random.default_rng(5)
    found = [
        aperture_fluxes(add_noise(scene, 500.0, rng), at, at, 5.0, (10, 16), gain=GAIN)
        for _ in range(400)
    ]
    flux = np.array([one.flux[0] for one in found])
    error = np.mean([one.error[0] for one in found])
    assert np.std(flux) == pytest.approx(error, rel=0.1)
    area = np.pi * 25
    sky = 500 / GAIN + (READ_NOISE / GAIN) ** 2
    by_hand = np.sqrt(flux.mean() / GAIN + sky * area * (1 + area / (np.pi * 156)))
    assert error == pytest.approx(by_hand, rel=0.02)


def test_what_cannot_be_measured_is_no_number():
    data = np.full((60, 60), 10.0)
    data[10, 10], data[30, 30] = np.nan, 6e4
    x = np.array([10.0, 30.0, 1.0, 45.0, 200.0])
    found = aperture_fluxes(data, x, x, 3.0, (6, 9), saturate=5e4)
    assert np.isfinite(found.flux).tolist() == [False, False, False, True, False]
    assert found.flux[3] == pytest.approx(0, abs=1e-9)
