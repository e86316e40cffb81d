"""Small nights of a colour camera whose truth is known, and how its stacks are held to it."""

from typing import NamedTuple

import numpy as np
from astropy.io import fits
from stack_fields import add_noise, draw_field, paint
from stack_nights import SHAPE, SKY

from autoreduce.pixels.bayer import mosaic

LIGHT = {"R": 0.55, "G": 1.0, "B": 0.7}
"""Light of the sky and of a white star in each colour."""
FWHM = 2.6
RADIUS = 6.0
FAINTEST = 2e4
"""Flux from which a star tells more than its noise."""


class Field(NamedTuple):
    """Stars, and their flux in each colour, ADU."""

    x: np.ndarray
    y: np.ndarray
    flux: dict


def field(n=60, seed=4):
    rng = np.random.default_rng(seed)
    x, y, green = draw_field(n, SHAPE, rng, flux=(8e3, 2e5), margin=25.0)
    red = 10 ** rng.uniform(-0.2, 0.2, n)
    flux = {"R": green * LIGHT["R"] * red, "G": green, "B": green * LIGHT["B"] / red}
    return Field(x, y, flux)


def cube_of(pose, stars, fwhm=FWHM):
    """Draw what a light of that pose would show in red, green and blue, without sky."""
    x, y = pose.seen(stars.x, stars.y, SHAPE)
    cube = np.zeros((3, *SHAPE))
    for plane, name in zip(cube, "RGB", strict=True):
        paint(plane, x, y, stars.flux[name], fwhm)
    return cube


def mosaic_of(cube, pattern):
    """Let each pixel see its own colour only."""
    of = mosaic(pattern)
    seen = np.empty(cube.shape[1:])
    for y, x in np.ndindex(2, 2):
        plane = "RGB".index(of.colours[of.cell[y][x]])
        seen[y::2, x::2] = cube[plane, y::2, x::2]
    return seen


def write_colour_lights(folder, poses, *, pattern="GRBG", stars=None, hot=(), **cards):
    """Write raw lights that need no calibration; `hot` are pixels, and their ADU."""
    folder.mkdir(parents=True)
    stars = stars or field()
    for number, pose in enumerate(poses):
        cube = cube_of(pose, stars)
        cube += SKY * np.array([LIGHT[name] for name in "RGB"])[:, None, None]
        data = mosaic_of(cube, pattern)
        data = add_noise(data, 0.0, np.random.default_rng(100 + number))
        for row, column, level in hot:
            data[row, column] += level
        header = fits.Header()
        for keyword, value in {
            "IMAGETYP": "LIGHT", "EXPTIME": 60.0, "OBJECT": "Field", "XBINNING": 1,
            "DATE-OBS": f"2024-03-02T{20 + number // 30}:{2 * number % 60:02d}:00",
            "YBINNING": 1, "INSTRUME": "Camera", "EGAIN": 1.5, "RDNOISE": 8.0,
            "BAYERPAT": pattern, **cards,
        }.items():  # fmt: skip
            header[keyword] = value
        pixels = np.clip(np.rint(data), 0, 65535).astype(np.uint16)
        fits.writeto(folder / f"c{number:02d}.fits", pixels, header)
    return folder


class MeasuredColumn(NamedTuple):
    """What stars of a cube are like: (n_stars, 3) arrays."""

    flux: np.ndarray
    x: np.ndarray
    y: np.ndarray
    width: np.ndarray
    """Root mean square radius within a few pixels."""


def measure_stars(cube, pose, stars):
    """Measure the bright lone stars of a cube in the pose of a light."""
    x, y = pose.seen(stars.x, stars.y, SHAPE)
    rows = []
    for i in range(len(x)):
        apart = np.hypot(x - x[i], y - y[i])
        alone = np.sum(apart < 2.2 * RADIUS) == 1
        inside = 12 < x[i] < SHAPE[1] - 13 and 12 < y[i] < SHAPE[0] - 13
        if alone and inside and min(stars.flux[c][i] for c in "RGB") > FAINTEST:
            rows.append([_star(plane, x[i], y[i]) for plane in cube])
    return MeasuredColumn(*np.moveaxis(np.array(rows), 2, 0))


def _star(plane, x, y):
    yy, xx = np.mgrid[: plane.shape[0], : plane.shape[1]]
    radius = np.hypot(xx - x, yy - y)
    light = plane - np.median(plane[(radius > 8) & (radius < 11)])
    near = radius < RADIUS
    flux = light[near].sum()
    # Centre and width from the core, where the light is more than the noise.
    core = np.exp(-(radius**2) / 2 / 2.0**2) * light
    weight = core[radius < 5].sum()
    cx, cy = ((at - c)[radius < 5] @ core[radius < 5] / weight
              for at, c in ((xx, x), (yy, y)))  # fmt: skip
    square = (radius**2 * core)[radius < 5].sum() / weight - cx**2 - cy**2
    return flux, x + 2 * cx, y + 2 * cy, _unweighted(square / 2)


def _unweighted(variance):
    """Give the width of a Gaussian that was multiplied by one of two pixels sigma."""
    return np.sqrt(1 / (1 / variance - 1 / 4))
