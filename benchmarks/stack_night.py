"""A night to be registered and stacked, with its truth: what `bench_stack.py` reduces.

Lights are dithered, turned, flipped at half time, seen through clouds and changing
seeing, crossed by satellites and hit by cosmic rays; darks are hot in places.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EGAIN, RDNOISE, PEDESTAL, DARK_S = 1.5, 8.0, 1000.0, 0.05
"""Electrons per ADU, electrons, ADU, ADU per second."""
EXPTIME, FLAT_ADU, FULL = 60.0, 30000.0, 65535
BETA = 3.0
"""Exponent of the Moffat profile of the stars."""
DITHER_PX, TURN_DEG = 15.0, 0.5
HOT_PART, RAYS_PER_MPX = 1e-4, 60


@dataclass(frozen=True)
class Exposure:
    """How one light sees the field."""

    name: str
    dx: float
    dy: float
    turn_deg: float
    fwhm: float
    transparency: float
    sky: float
    """Adu above the dark."""
    satellite: tuple[float, float, float, float] | None
    """Its path in the light, x0 y0 x1 y1."""

    def positions(self, x: Floats, y: Floats, shape: tuple[int, int]) -> Floats:
        """Say where stars of the field stand in the light."""
        cx, cy = (shape[1] - 1) / 2, (shape[0] - 1) / 2
        angle = np.deg2rad(self.turn_deg)
        u, v = x - cx, y - cy
        return np.array(
            [
                np.cos(angle) * u - np.sin(angle) * v + cx + self.dx,
                np.sin(angle) * u + np.cos(angle) * v + cy + self.dy,
            ]
        )


def field(
    n: int, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Floats, ...]:
    """Draw stars: positions, and fluxes in ADU that are many where they are faint."""
    ny, nx = shape
    flux = 10 ** rng.uniform(3.0, 5.5, n)
    return rng.uniform(-30, nx + 30, n), rng.uniform(-30, ny + 30, n), flux


def paint(
    image: Floats, x: Floats, y: Floats, flux: Floats, fwhm: float, reach: int = 25
) -> None:
    """Add Moffat stars to an image, each averaged over the pixel by 3 x 3 points."""
    ny, nx = image.shape
    core = fwhm / 2 / np.sqrt(2 ** (1 / BETA) - 1)
    norm = (BETA - 1) / (np.pi * core**2)
    steps = (np.arange(3) - 1) / 3
    for x0, y0, f in zip(x, y, flux, strict=True):
        left, right = max(int(x0) - reach, 0), min(int(x0) + reach + 2, nx)
        low, high = max(int(y0) - reach, 0), min(int(y0) + reach + 2, ny)
        if left >= right or low >= high:
            continue
        xs = (np.arange(left, right)[:, None] + steps).ravel() - x0
        ys = (np.arange(low, high)[:, None] + steps).ravel() - y0
        fine = norm * (1 + (xs[None] ** 2 + ys[:, None] ** 2) / core**2) ** -BETA
        blocks = fine.reshape(high - low, 3, right - left, 3).mean(axis=(1, 3))
        image[low:high, left:right] += f * blocks


def exposures(
    n: int, shape: tuple[int, int], rng: np.random.Generator
) -> list[Exposure]:
    """Plan the lights: a flip at half time, clouds, two satellites."""
    ny, nx = shape
    found = []
    for i in range(n):
        crossed = i in (n // 4, n // 2 + 2)
        ends = (0.0, float(rng.uniform(0, ny)), float(nx), float(rng.uniform(0, ny)))
        found.append(
            Exposure(
                f"light_{i:04d}.fits",
                float(rng.uniform(-DITHER_PX, DITHER_PX)),
                float(rng.uniform(-DITHER_PX, DITHER_PX)),
                float(rng.uniform(-TURN_DEG, TURN_DEG)) + (180.0 if i >= n // 2 else 0),
                float(rng.uniform(2.6, 3.6)),
                float(rng.uniform(0.5, 1.0)) if i % 3 == 2 else 1.0,
                float(rng.uniform(250, 600)),
                ends if crossed else None,
            )
        )
    return found


def _satellite(image: Floats, path: tuple[float, float, float, float]) -> None:
    ny, nx = image.shape
    x0, y0, x1, y1 = path
    columns = np.arange(nx)
    middle = y0 + (y1 - y0) * (columns - x0) / (x1 - x0)
    rows = np.arange(ny)[:, None]
    image += 2000 * np.exp(-((rows - middle) ** 2) / (2 * 1.5**2))


def _rays(image: Floats, rng: np.random.Generator) -> None:
    ny, nx = image.shape
    for _ in range(int(RAYS_PER_MPX * image.size / 1e6)):
        length = int(rng.integers(1, 8))
        angle = rng.uniform(0, np.pi)
        steps = np.arange(length)
        xs = np.clip(rng.integers(0, nx) + steps * np.cos(angle), 0, nx - 1).astype(int)
        ys = np.clip(rng.integers(0, ny) + steps * np.sin(angle), 0, ny - 1).astype(int)
        image[ys, xs] += rng.uniform(200, 8000)


def _write(
    path: Path, adu: Floats, kind: str, rng: np.random.Generator, **cards
) -> None:
    from astropy.io import fits

    electrons = rng.poisson(np.maximum(adu, 0) * EGAIN) + rng.normal(
        0, RDNOISE, adu.shape
    )
    counts = np.clip(np.round(electrons / EGAIN + PEDESTAL), 0, FULL).astype(np.uint16)
    hdu = fits.PrimaryHDU(counts)
    hdu.header.update(
        IMAGETYP=kind, INSTRUME="Bench CCD", EGAIN=EGAIN, RDNOISE=RDNOISE, **cards
    )
    hdu.header["CCD-TEMP"] = -20.0
    hdu.writeto(path)


def make_night(
    folder: Path, shape: tuple[int, int], *, stars: int = 600, lights: int = 20
) -> Path:
    """Write bias, darks, flats and lights, once for a folder, and the truth beside.

    Parameters
    ----------
    folder : Path
        Where to.
    shape : (ny, nx)
        Size of a frame.
    stars, lights : int
        How many.

    Returns
    -------
    Path
        The night; ``truth.npz`` and ``truth.json`` stand beside it.
    """
    ny, nx = shape
    base = folder / f"stack_{nx}x{ny}_{stars}"
    night = base / "night"
    if (base / "truth.json").exists():
        return night
    night.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20260207)
    yy, xx = np.mgrid[0:ny, 0:nx]
    response = 1 - 0.3 * (((xx - nx / 2) / nx) ** 2 + ((yy - ny / 2) / ny) ** 2)
    response *= 1 + 0.01 * rng.standard_normal(shape)
    response /= np.median(response)
    hot = np.where(rng.random(shape) < HOT_PART, rng.uniform(1, 60, shape), 0.0)
    dark = (DARK_S + hot) * EXPTIME
    zero = np.zeros(shape)
    x, y, flux = field(stars, shape, rng)
    plan = exposures(lights, shape, rng)
    clock = np.datetime64("2026-02-07T20:00:00")

    def when(i: int) -> str:
        return str(clock + np.timedelta64(70 * i, "s"))

    for i in range(10):
        at = when(i)
        _write(
            night / f"bias_{i:02d}.fits",
            zero,
            "Bias Frame",
            rng,
            EXPTIME=0.0,
            **{"DATE-OBS": at},
        )
        _write(
            night / f"dark_{i:02d}.fits",
            dark,
            "Dark Frame",
            rng,
            EXPTIME=EXPTIME,
            **{"DATE-OBS": at},
        )
        _write(
            night / f"flat_{i:02d}.fits",
            FLAT_ADU * response,
            "Flat Field",
            rng,
            EXPTIME=2.0,
            FILTER="V",
            **{"DATE-OBS": at},
        )
    for i, one in enumerate(plan):
        scene = np.zeros(shape)
        paint(scene, *one.positions(x, y, shape), flux * one.transparency, one.fwhm)
        scene += one.sky
        if one.satellite:
            _satellite(scene, one.satellite)
        light = scene * response + dark
        _rays(light, rng)
        _write(
            night / one.name,
            light,
            "Light Frame",
            rng,
            EXPTIME=EXPTIME,
            FILTER="V",
            OBJECT="Field",
            **{"DATE-OBS": when(20 + i)},
        )
    np.savez(base / "truth.npz", x=x, y=y, flux=flux)
    (base / "truth.json").write_text(json.dumps([asdict(one) for one in plan]))
    return night
