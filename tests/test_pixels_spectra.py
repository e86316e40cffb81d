"""Spectra are told from pictures of the sky by their shape."""

import numpy as np
import pytest

from autoreduce.pixels.spectra import is_drawn_out

SHAPE = (300, 700)


def sky(rng):
    return 100 + 5 * rng.standard_normal(SHAPE)


def trace(image, y0, slope, height, width=3.0, start=0.1, stop=0.95):
    ny, nx = image.shape
    x = np.arange(nx)
    y = np.arange(ny)[:, None]
    shape = np.exp(-((y - y0 - slope * x) ** 2) / (2 * width**2))
    image += height * shape * ((x > start * nx) & (x < stop * nx))


def stars(image, n, rng, length=0.0):
    y, x = np.indices(image.shape)
    for x0, y0, flux in zip(
        rng.uniform(0, 700, n), rng.uniform(0, 300, n), rng.exponential(200, n) + 50,
        strict=True,
    ):  # fmt: skip
        along = np.clip(x - x0, 0, length)
        image += flux * np.exp(-((x - x0 - along) ** 2 + (y - y0) ** 2) / 8)


@pytest.mark.parametrize("slope", [0.0, 0.02, -0.02])
def test_a_trace_is_a_spectrum_along_either_axis(slope):
    image = sky(np.random.default_rng(1))
    trace(image, 150, slope, 40)
    assert is_drawn_out(image)
    assert is_drawn_out(image.T)
    image[20:40, 100:200] = np.nan
    assert is_drawn_out(image)


def test_lines_of_a_lamp_are_a_spectrum():
    image = sky(np.random.default_rng(2))
    for x in (50, 120, 300, 333, 610):
        trace(image.T, x, 0.0, 300, width=1.5, start=0.0, stop=1.0)
    assert is_drawn_out(image)


def test_stars_trails_and_nebulae_are_none():
    rng = np.random.default_rng(3)
    image = sky(rng)
    assert not is_drawn_out(image)
    stars(image, 60, rng)
    assert not is_drawn_out(image)
    trailed = sky(rng)
    stars(trailed, 30, rng, length=60)
    assert not is_drawn_out(trailed)
    y, x = np.indices(SHAPE)
    nebula = sky(rng) + 80 * np.exp(-((x - 350) ** 2 / 150**2 + (y - 150) ** 2 / 80**2))
    assert not is_drawn_out(nebula)


def test_a_satellite_that_crosses_is_none():
    image = sky(np.random.default_rng(4))
    trace(image, 20, 0.35, 200, start=0.0, stop=1.0)
    assert not is_drawn_out(image)


def test_an_image_of_nothing_is_none():
    assert not is_drawn_out(np.full(SHAPE, np.nan))
    assert not is_drawn_out(np.zeros(SHAPE))


def test_a_glowing_edge_is_none():
    image = sky(np.random.default_rng(6))
    trace(image, 9, 0.0, 40, start=0.0, stop=1.0)
    assert not is_drawn_out(image)
    assert not is_drawn_out(image[::-1])
    trace(image, 60, 0.0, 40)
    assert is_drawn_out(image)
