"""Lights of few stars or none beside a strong pattern of the sensor, with known places."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, shift
from stack_fields import add_cosmic_rays, add_hot_pixels, paint

SHAPE = (240, 280)
SKY, NOISE = 300.0, 5.0
FWHM = 3.5
MARGIN = 60


@dataclass(frozen=True)
class Field:
    """What a series of lights shows, and what the sensor adds."""

    stars: int = 0
    bright: float = 6000.0
    """Flux of the stars at most, ADU."""
    fwhm: float = FWHM
    nebula: float = 0.0
    """1-sigma contrast, ADU."""
    disc: float = 0.0
    """Radius of a planet, or of the Moon, in pixels; it is 2000 ADU bright."""
    comet: float = 0.0
    """Brightness of a coma, ADU."""
    pattern: float = 0.0
    """1-sigma contrast of pixels, columns, and of what is broader, ADU each."""
    hot: int = 0
    """Hot pixels, of which every third is a cluster as wide as a star."""
    glow: float = 0.0
    """Light of an amplifier in a corner, ADU."""
    fringes: float = 0.0
    """Amplitude of fringes, which vary from light to light by 10 %."""
    banding: float = 0.0
    """1-sigma level of each row, new in each light."""
    clouds: bool = False
    """Whether every light is dimmed, by up to four fifths."""
    trails: int = 0
    """Lights that a satellite crosses."""
    lights: int = 6
    drift: float = 8.0
    """Rms of the shifts along an axis, pixels; 0 for a guided series."""


FIELDS = {
    **{f"{n} stars": Field(stars=n) for n in (1, 2, 3, 4, 6)},
    **{
        f"{n} stars, pattern": Field(stars=n, pattern=20.0, hot=60)
        for n in (0, 1, 2, 3, 4, 6)
    },
    "3 stars, drift 1 px, pattern": Field(stars=3, drift=1.0, pattern=20.0, hot=60),
    "3 stars, 3 lights, pattern": Field(stars=3, lights=3, pattern=20.0, hot=60),
    "3 stars, 30 lights, pattern": Field(stars=3, lights=30, pattern=20.0, hot=60),
    "3 stars, drift 30 px, pattern": Field(stars=3, drift=30.0, pattern=20.0, hot=60),
    "2 lights, 3 stars, pattern": Field(stars=3, lights=2, pattern=20.0, hot=60),
    "glow": Field(stars=3, glow=2000.0, pattern=5.0),
    "fringes": Field(stars=4, fringes=40.0, pattern=5.0),
    "banding": Field(stars=4, banding=10.0, pattern=20.0),
    "clouds": Field(stars=5, clouds=True, pattern=20.0, hot=60),
    "satellites": Field(stars=4, trails=3, pattern=10.0),
    "nebula": Field(nebula=15.0),
    "nebula, pattern": Field(nebula=15.0, pattern=20.0, hot=60),
    "nebula, drift 1 px, pattern": Field(nebula=15.0, drift=1.0, pattern=20.0),
    "faint nebula, pattern": Field(nebula=4.0, pattern=20.0),
    "planet": Field(disc=20.0, pattern=20.0),
    "Moon": Field(disc=200.0, pattern=20.0),
    "comet": Field(comet=300.0, pattern=20.0),
    "comet among 3 stars": Field(comet=300.0, stars=3, pattern=20.0),
    "guided, 3 stars, pattern": Field(stars=3, drift=0.0, pattern=20.0, hot=60),
    "guided, nebula": Field(nebula=15.0, drift=0.0),
    "nothing, hot pixels": Field(hot=150),
}


def _layer(
    rng: np.random.Generator, scale: float, shape: tuple[int, int]
) -> np.ndarray:
    layer = gaussian_filter(rng.normal(size=shape), scale, mode="wrap")
    return layer / layer.std()


def _scene(field: Field, rng: np.random.Generator) -> np.ndarray:
    """Draw the sky without stars, with a margin on each side."""
    shape = (SHAPE[0] + 2 * MARGIN, SHAPE[1] + 2 * MARGIN)
    y, x = np.indices(shape)
    middle = np.array(shape) / 2 + rng.uniform(-20, 20, 2)
    if field.disc > 100:
        middle[0] += 150
    off = np.hypot(y - middle[0], x - middle[1])
    scene = np.zeros(shape)
    if field.nebula:
        for scale in (2, 5, 12, 30):
            scene += field.nebula / 2 * _layer(rng, scale, shape)
    if field.disc:
        disc = np.clip(field.disc + 0.5 - off, 0, 1)
        scene += 2000 * disc * (1 + 0.1 * _layer(rng, field.disc / 8, shape))
    if field.comet:
        scene += field.comet / (1 + off / 5)
    return gaussian_filter(scene, 1.2) if scene.any() else scene


def _pattern(field: Field, rng: np.random.Generator) -> np.ndarray:
    """Draw what stands still."""
    ny, nx = SHAPE
    pattern = field.pattern * rng.normal(size=SHAPE)
    pattern += field.pattern * rng.normal(size=nx)
    pattern += field.pattern * _layer(rng, 8, SHAPE)
    add_hot_pixels(pattern, field.hot, rng)
    n = field.hot // 3
    wide = rng.uniform(500, 6000, n)
    paint(pattern, rng.uniform(5, nx - 5, n), rng.uniform(5, ny - 5, n), wide, 2.5)
    y, x = np.indices(SHAPE)
    return pattern + field.glow * np.exp(-np.hypot(y - ny, x - nx) / 30)


def expose(field: Field, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Take a series of lights.

    Returns
    -------
    lights : (n, ny, nx) array
        Calibrated lights, ADU.
    places : (n, 2) array
        How far the sky has moved in each, x and y.
    """
    rng = np.random.default_rng(seed)
    scene, pattern = _scene(field, rng), _pattern(field, rng)
    ny, nx = SHAPE
    x = rng.uniform(25, nx - 25, field.stars)
    y = rng.uniform(25, ny - 25, field.stars)
    flux = field.bright * rng.uniform(0.3, 1, field.stars)
    places = rng.normal(0, field.drift, (field.lights, 2)).clip(-MARGIN, MARGIN)
    rows, columns = np.indices(SHAPE)
    phase = 2 * np.pi * (rows + 25 * np.sin(columns / 40)) / 22
    lights = []
    for number, (dx, dy) in enumerate(places):
        moved = shift(scene, (dy, dx), order=3) if scene.any() else scene
        sky = moved[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()
        paint(sky, x + dx, y + dy, flux, field.fwhm * rng.uniform(0.9, 1.1))
        if field.clouds:
            sky *= rng.uniform(0.2, 1)
        light = (
            SKY + sky + pattern + field.fringes * rng.uniform(0.9, 1.1) * np.sin(phase)
        )
        light += field.banding * rng.normal(size=ny)[:, None]
        if number < field.trails:
            track = rng.uniform(0, ny) + (columns - nx / 2) * rng.uniform(-1, 1) - rows
            light += 150 * np.exp(-(track**2) / 4)
        light += rng.normal(size=SHAPE) * np.sqrt(NOISE**2 + np.maximum(sky, 0) / 2)
        add_cosmic_rays(light, 10, rng)
        lights.append(light.astype(np.float32))
    return np.array(lights), places
