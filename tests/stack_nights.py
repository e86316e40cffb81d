"""Small nights of lights with known places, for tests of registration and stacks."""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from stack_fields import Pose, add_noise, draw_field, paint

SHAPE = (220, 260)
SKY = 400.0
STILL = Pose()


@dataclass(frozen=True)
class Light:
    """A light that is to be written."""

    name: str
    pose: Pose = STILL
    filter: str = "R"
    exptime: float = 60.0
    binning: int = 1
    seed: int = 1
    """Seed of the field that it shows."""
    fwhm: float = 3.0
    dim: float = 1.0
    stars: int = 60
    cards: tuple = ()


def stars_of(seed, n):
    return draw_field(
        n, SHAPE, np.random.default_rng(seed), flux=(8e3, 2e5), margin=30.0
    )


def picture(light):
    """Draw a light without noise: unbinned positions, ADU of one binned pixel."""
    ny, nx = (n // light.binning for n in SHAPE)
    scene = np.zeros((ny, nx))
    x, y, flux = stars_of(light.seed, light.stars)
    x, y = light.pose.seen(x, y, SHAPE)
    b = light.binning
    paint(
        scene,
        (x - (b - 1) / 2) / b,
        (y - (b - 1) / 2) / b,
        flux * light.dim * light.exptime / 60,
        light.fwhm / b,
    )
    return scene


def write_light(folder, light, number=0, minute=0):
    """Write a raw light that needs no calibration but a constant bias of nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1000 + number)
    data = add_noise(picture(light), SKY * light.exptime / 60, rng)
    header = fits.Header()
    cards = {
        "IMAGETYP": "Light Frame",
        "EXPTIME": light.exptime,
        "FILTER": light.filter,
        "OBJECT": "Field",
        "DATE-OBS": f"2024-03-02T{20 + minute // 60}:{minute % 60:02d}:00",
        "XBINNING": light.binning,
        "YBINNING": light.binning,
        "INSTRUME": "Camera",
        "EGAIN": 1.5,
        "RDNOISE": 8.0,
        "AIRMASS": 1.2,
        **dict(light.cards),
    }
    for keyword, value in cards.items():
        if value is not None:
            header[keyword] = value
    path = folder / f"{light.name}.fits"
    fits.writeto(path, np.clip(np.rint(data), 0, 65535).astype(np.uint16), header)
    return path


def write_lights(folder, lights):
    for number, light in enumerate(lights):
        write_light(folder, light, number, minute=2 * number)
    return folder
