"""Tiny nights written by hand, for tests that bend one thing at a time."""

import hashlib

import numpy as np
from astropy.io import fits

BIAS, RATE, SKY = 300.0, 0.5, 900.0
SHAPE = (48, 64)


def make_flat_field(shape=SHAPE):
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx]
    return 1.0 - 0.2 * (((x - nx / 2) / nx) ** 2 + ((y - ny / 2) / ny) ** 2)


STARS = ((9, 8), (52, 11), (30, 19), (14, 35), (57, 37), (38, 40), (23, 27), (44, 28))
"""Places of the stars of a light, x and y, for frames of `SHAPE`."""


def make_stars(shape=SHAPE, flux=20000.0, sigma=1.1):
    """Draw a few stars, at the same places in every light."""
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx]
    scene = np.zeros(shape)
    for n, (cx, cy) in enumerate(STARS):
        square = (x - cx * nx / SHAPE[1]) ** 2 + (y - cy * ny / SHAPE[0]) ** 2
        scene += flux * (1 + 0.2 * n) * np.exp(-square / 2 / sigma**2)
    return scene / (2 * np.pi * sigma**2)


def make_pixels(imagetyp, exptime, rng, shape=SHAPE):
    light = {
        "flat": 20000.0 * np.ones(shape),
        "light": SKY * np.ones(shape) + make_stars(shape),
    }
    signal = light.get(imagetyp, np.zeros(shape)) * make_flat_field(shape)
    ideal = BIAS + RATE * exptime + rng.poisson(signal) + rng.normal(0, 4, shape)
    return np.clip(np.rint(ideal), 0, 65535).astype(np.uint16)


def write_frame(folder, name, imagetyp, exptime=0.0, *, pixels=None, **cards):
    """Write one frame; a card given as None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    if pixels is None:
        pixels = make_pixels(imagetyp, exptime, np.random.default_rng(seed))
    second = seed % 40000
    defaults = {
        "IMAGETYP": {
            "bias": "Bias Frame",
            "dark": "Dark Frame",
            "flat": "Flat Field",
        }.get(imagetyp, "Light Frame"),
        "EXPTIME": float(exptime),
        "FILTER": "R" if imagetyp in ("flat", "light") else None,
        "OBJECT": "M 13" if imagetyp == "light" else None,
        "DATE-OBS": f"2024-03-02T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}",
        "XBINNING": 1,
        "YBINNING": 1,
        "CCD-TEMP": -10.0,
        "SET-TEMP": -10.0,
        "EGAIN": 1.0,
        "INSTRUME": "Camera",
        "SWCREATE": "MaxIm DL Version 6.20",
    }
    header = fits.Header()
    for keyword, value in {**defaults, **cards}.items():
        if value is not None:
            header[keyword.replace("_", "-")] = value
    path = folder / name
    fits.writeto(path, pixels, header)
    return path


def write_night(folder, *, without=()):
    """Write 3 bias, 3 darks of 60 s, 3 flats of 2 s, 3 darks of 2 s, 3 lights of 60 s."""
    groups = {
        "bias": ("bias", 0.0),
        "dark": ("dark", 60.0),
        "flatdark": ("dark", 2.0),
        "flat": ("flat", 2.0),
        "light": ("light", 60.0),
    }
    for group, (imagetyp, exptime) in groups.items():
        if group in without:
            continue
        for n in range(1, 4):
            write_frame(folder, f"{group}_{n:04d}.fit", imagetyp, exptime)
    return folder


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
