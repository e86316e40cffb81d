"""Shifts of images without stars against the simulated truth; noise has none."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import fourier_shift, gaussian_filter

from autoreduce.pixels.correlation import correlate

SIZE = 400


def nebula(rng, size=SIZE):
    """Draw structure of all scales upon a slope of the sky, without a star."""
    scene = np.zeros((size, size))
    for scale in (2, 5, 12, 30):
        layer = gaussian_filter(rng.normal(size=(size, size)), scale, mode="wrap")
        scene += layer / layer.std() * 15
    return scene + np.linspace(0, 30, size)


def moved(scene, dx, dy):
    """Move a scene by parts of pixels."""
    return np.fft.ifft2(fourier_shift(np.fft.fft2(scene), (dy, dx))).real


def exposed(scene, rng, noise=10.0):
    """Give the middle of a scene, with the noise of an exposure."""
    middle = scene[50:-50, 50:-50]
    return (middle + 200 + rng.normal(0, noise, middle.shape)).astype(np.float32)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.4, -7.7), (-31.3, 22.5)])
def test_the_shift_of_a_nebula_is_found(shift):
    rng = np.random.default_rng(1)
    scene = nebula(rng)
    scene -= np.linspace(0, 30, SIZE)
    found = correlate(exposed(scene, rng), exposed(moved(scene, *shift), rng))
    assert_allclose((found.transform.dx, found.transform.dy), shift, atol=0.3)
    assert (found.transform.rotation, found.transform.scale) == (0.0, 1.0)


def test_the_shift_of_a_planet_is_found():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIZE, :SIZE]

    def planet(x0, y0):
        disc = np.clip(30.5 - np.hypot(x - x0, (y - y0) * 1.1), 0, 1)
        return exposed(2000 * disc * (1 + 0.3 * np.sin((y - y0) / 3)), rng)

    found = correlate(planet(190.0, 200.0), planet(207.5, 195.2))
    assert_allclose((found.transform.dx, found.transform.dy), (17.5, -4.8), atol=0.3)


def test_missing_and_hot_pixels_of_the_detector_do_not_hold_the_shift_at_zero():
    rng = np.random.default_rng(3)
    scene = nebula(rng)
    scene -= np.linspace(0, 30, SIZE)
    image, reference = exposed(scene, rng), exposed(moved(scene, 9.0, 4.0), rng)
    hot = rng.integers(0, 300, (2, 300))
    for light in (image, reference):
        light[tuple(hot)] += 3000
        light[:, 150] = np.nan
    found = correlate(image, reference)
    assert_allclose((found.transform.dx, found.transform.dy), (9, 4), atol=0.3)


def test_noise_and_different_images_have_no_shift():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        flat = np.zeros((SIZE, SIZE))
        assert correlate(exposed(flat, rng), exposed(flat, rng)) is None
        assert correlate(exposed(nebula(rng), rng), exposed(nebula(rng), rng)) is None


def test_images_that_show_nothing_have_no_shift():
    nothing = np.full((100, 100), np.nan)
    assert correlate(nothing, nothing) is None
    assert correlate(np.zeros((100, 100)), np.zeros((100, 100))) is None


def test_images_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(100, 100\) and \(100, 90\)"):
        correlate(np.zeros((100, 100)), np.zeros((100, 90)))
