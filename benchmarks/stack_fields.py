"""Fields of stars of which everything is known: for tests and benchmarks of stacks.

Stars are averaged over their pixels; lights see the field dithered, turned, scaled or
mirrored, with the noise of sky, photons and readout, cosmic rays and hot pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Floats = NDArray[np.float64]

GAIN = 1.5
"""Electrons per ADU."""
READ_NOISE = 8.0
"""Electrons."""
NODES = np.polynomial.legendre.leggauss(3)
"""Points and weights by which a profile is averaged over a pixel."""


@dataclass(frozen=True)
class Pose:
    """How a light sees the field: turned, scaled and mirrored about its centre."""

    dx: float = 0.0
    dy: float = 0.0
    turn_deg: float = 0.0
    scale: float = 1.0
    mirrored: bool = False

    def seen(self, x: Floats, y: Floats, shape: tuple[int, int]) -> tuple[Floats, ...]:
        """Say where points of the field stand in the light."""
        cx, cy = (shape[1] - 1) / 2, (shape[0] - 1) / 2
        angle = np.deg2rad(self.turn_deg)
        u, v = x - cx, (y - cy) * (-1 if self.mirrored else 1)
        return (
            self.scale * (np.cos(angle) * u - np.sin(angle) * v) + cx + self.dx,
            self.scale * (np.sin(angle) * u + np.cos(angle) * v) + cy + self.dy,
        )


def draw_field(
    n: int,
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    flux: tuple[float, float] = (1e3, 3e5),
    margin: float = 0.0,
) -> tuple[Floats, Floats, Floats]:
    """Draw positions and fluxes (ADU), as many from 1e3 to 1e4 as from 1e4 to 1e5."""
    ny, nx = shape
    x = rng.uniform(-margin, nx - 1 + margin, n)
    y = rng.uniform(-margin, ny - 1 + margin, n)
    return x, y, 10 ** rng.uniform(*np.log10(flux), n)


def gaussian_profile(dx: Floats, dy: Floats, fwhm: float) -> Floats:
    """Average a Gaussian of unit flux over each pixel."""
    root = fwhm / 2.3548 * np.sqrt(2)

    def along(u: Floats) -> Floats:
        return (erf((u + 0.5) / root) - erf((u - 0.5) / root)) / 2

    return along(dx) * along(dy)


def moffat_profile(dx: Floats, dy: Floats, fwhm: float, beta: float) -> Floats:
    """Average a Moffat profile of unit flux over each pixel."""
    core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    total = np.zeros(np.broadcast_shapes(dx.shape, dy.shape))
    for u, wu in zip(*NODES, strict=True):
        for v, wv in zip(*NODES, strict=True):
            squared = (dx + u / 2) ** 2 + (dy + v / 2) ** 2
            total += wu * wv / 4 * (1 + squared / core**2) ** -beta
    return total * (beta - 1) / (np.pi * core**2)


def disc_profile(dx: Floats, dy: Floats, diameter: float) -> Floats:
    """Average a disc with a hole of two fifths, as of a star out of focus."""
    fine = (np.arange(9) - 4) / 9
    xs = (dx[:, :, None] + fine).reshape(1, -1)
    ys = (dy[:, :, None] + fine).reshape(-1, 1)
    radius = np.hypot(xs, ys)
    edge = np.clip(0.5 + (diameter / 2 - radius) / 1.5, 0, 1)
    hole = np.clip(0.5 + (0.2 * diameter - radius) / 1.5, 0, 1)
    light = (edge - hole).reshape(dy.shape[0], 9, dx.shape[1], 9).mean(axis=(1, 3))
    return light / light.sum()


def paint(  # a star has a place, a flux and a profile
    image: Floats,
    x: Floats,
    y: Floats,
    flux: Floats,
    fwhm: float,
    *,
    beta: float | None = 3.0,
    disc: bool = False,
) -> None:
    """Add stars to an image: Moffat profiles, Gaussian ones (no `beta`) or discs."""
    ny, nx = image.shape
    reach = int(np.ceil(6 * fwhm)) + 2
    for x0, y0, f in zip(x, y, flux, strict=True):
        left, right = max(round(x0) - reach, 0), min(round(x0) + reach + 1, nx)
        low, high = max(round(y0) - reach, 0), min(round(y0) + reach + 1, ny)
        if left >= right or low >= high:
            continue
        dx = np.arange(left, right)[None, :] - x0
        dy = np.arange(low, high)[:, None] - y0
        if disc:
            profile = disc_profile(dx, dy, fwhm)
        elif beta is None:
            profile = gaussian_profile(dx, dy, fwhm)
        else:
            profile = moffat_profile(dx, dy, fwhm, beta)
        image[low:high, left:right] += f * profile


def add_noise(scene: Floats, sky: float, rng: np.random.Generator) -> NDArray[Any]:
    """Take an exposure of a scene (ADU) on a sky: photons and readout, float32."""
    electrons = rng.poisson(np.maximum(scene + sky, 0) * GAIN)
    noisy = electrons + rng.normal(0, READ_NOISE, scene.shape)
    return (noisy / GAIN).astype(np.float32)


def add_cosmic_rays(image: NDArray[Any], n: int, rng: np.random.Generator) -> None:
    """Let cosmic rays strike: tracks of one to eight pixels, at all angles."""
    ny, nx = image.shape
    for _ in range(n):
        steps = np.arange(int(rng.integers(1, 9)))
        angle = rng.uniform(0, 2 * np.pi)
        x = (rng.uniform(0, nx) + steps * np.cos(angle)).astype(int)
        y = (rng.uniform(0, ny) + steps * np.sin(angle)).astype(int)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        charge = rng.uniform(200, 8000) * rng.lognormal(0, 0.5, len(steps))
        image[y[inside], x[inside]] += charge[inside].astype(np.float32)


def add_hot_pixels(image: NDArray[Any], n: int, rng: np.random.Generator) -> None:
    """Add hot pixels: the same ones for the same state of the generator."""
    ny, nx = image.shape
    y, x = rng.integers(0, ny, n), rng.integers(0, nx, n)
    image[y, x] += rng.uniform(100, 20000, n).astype(np.float32)
