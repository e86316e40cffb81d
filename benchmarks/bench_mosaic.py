"""A night of a large mosaic, fpacked, within a memory: time, peak, and the truth.

    python benchmarks/bench_mosaic.py --detectors 62 --size 256x512 --folder ./bench
    python benchmarks/bench_mosaic.py --detectors 62 --size 2048x4096 --memory 1GB

Each detector is an extension that two amplifiers have read, with sections as DECam writes
them.  Their true gains are those that flats must show; headers tell one gain for both.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import AUTOREDUCE

Image = np.ndarray
SCANS = 56
"""Columns on each side that are no pixels: 50 of them overscan."""
ROWS = 50
"""Rows before the pixels."""
TOLD = 4.5
TRUE = (4.4, 4.6)
"""Electrons per ADU of the left and of the right amplifier."""
READ_NOISE = 7.0
"""Electrons."""
FLAT, SKY = 60_000.0, 4_000.0
"""Electrons per pixel."""
STARS, SIGMA = 100, 2.0
"""Stars of a detector, and how wide they are, pixel."""
FLATS, LIGHTS = "dome flat", "object"


@dataclass(frozen=True)
class Detector:
    """One detector, and the truth of it."""

    number: int
    shape: tuple[int, int]

    @property
    def response(self) -> Image:
        """Electrons for each photon, of mean one."""
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        waves = np.sin(x / 50 + self.number) * np.cos(y / 70)
        return (1 + 0.05 * waves).astype(np.float32)

    def scene(self, exposure: int) -> Image:
        """Give the photons of each pixel of a light, which is a little elsewhere."""
        ny, nx = self.shape
        rng = np.random.default_rng([7, self.number])
        light = np.full(self.shape, SKY, np.float32)
        places = rng.uniform(20, (nx - 20, ny - 20), (STARS, 2))
        places += np.array((2.3, -1.4)) * exposure
        for (x, y), flux in zip(places, rng.uniform(2e4, 3e5, STARS), strict=True):
            rows, columns = (slice(max(int(at) - 12, 0), int(at) + 13) for at in (y, x))
            part = light[rows, columns]
            j, i = np.ogrid[: part.shape[0], : part.shape[1]]
            far = (j + rows.start - y) ** 2 + (i + columns.start - x) ** 2
            part += flux / (2 * np.pi * SIGMA**2) * np.exp(-far / (2 * SIGMA**2))
        return light

    def raw(self, photons: Image | float, rng: np.random.Generator) -> Image:
        """Read out: each amplifier with its level, gain and scans."""
        ny, nx = self.shape
        raw = np.full((ny + ROWS, nx + 2 * SCANS), 1000.0 + 7 * self.number, np.float32)
        raw[:, : nx // 2 + SCANS] += 60
        light = (photons * self.response).astype(np.float32)
        light += np.sqrt(light) * rng.standard_normal(self.shape, np.float32)
        light[:, : nx // 2] /= TRUE[0]
        light[:, nx // 2 :] /= TRUE[1]
        raw[ROWS:, SCANS : SCANS + nx] += light
        raw += READ_NOISE / TOLD * rng.standard_normal(raw.shape, np.float32)
        return raw.round().clip(0, 65535).astype(np.uint16)

    def cards(self) -> dict[str, object]:
        """Give the sections, as DECam has them: B is left, A is right."""
        ny, nx = self.shape
        half, last = nx // 2, SCANS + nx
        x, y = 1 + self.number % 8 * nx, 1 + self.number // 8 * ny

        def section(first: int, end: int) -> str:
            return f"[{first}:{end},{ROWS + 1}:{ROWS + ny}]"

        def place(first: int, end: int) -> str:
            return f"[{x + first - 1}:{x + end - 1},{y}:{y + ny - 1}]"

        return {
            "EXTNAME": f"X{self.number + 1}",
            "CCDNUM": self.number + 1,
            "DETSEC": place(1, nx),
            "DATASEC": section(SCANS + 1, last),
            "TRIMSEC": section(SCANS + 1, last),
            "DATASECA": section(SCANS + half + 1, last),
            "DATASECB": section(SCANS + 1, SCANS + half),
            "DETSECA": place(half + 1, nx),
            "DETSECB": place(1, half),
            "BIASSECA": section(last + 1, last + 50),
            "BIASSECB": section(7, 56),
            "GAINA": TOLD,
            "GAINB": TOLD,
        }


def write_night(
    night: Path, detectors: list[Detector], counts: Mapping[str, int]
) -> None:
    """Write bias frames, flats and lights, once for a folder."""
    from astropy.io import fits

    if night.exists():
        return
    begun = night.with_suffix(".begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    number = 0
    for kind, count in counts.items():
        for exposure in range(count):
            number += 1
            primary = fits.PrimaryHDU()
            primary.header.update(
                {
                    "INSTRUME": "DECam",
                    "OBSTYPE": kind,
                    "OBJECT": "NGC 1" if kind == LIGHTS else kind,
                    "FILTER": "g",
                    "EXPTIME": {"zero": 0.0, FLATS: 10.0}.get(kind, 30.0),
                    "DATE-OBS": f"2013-02-13T01:{number:02d}:00",
                }
            )
            hdus = [primary]
            for detector in detectors:
                photons = {"zero": 0.0, FLATS: FLAT}.get(kind)
                if photons is None:
                    photons = detector.scene(exposure)
                rng = np.random.default_rng([number, detector.number])
                header = fits.Header(detector.cards())
                hdus.append(fits.CompImageHDU(detector.raw(photons, rng), header))
            fits.HDUList(hdus).writeto(begun / f"{number:03d}.fits.fz")
            print(f"{kind} {exposure + 1} of {count}", file=sys.stderr)
    begun.rename(night)


@dataclass(frozen=True)
class Truth:
    """How far the lights of a detector are from the truth."""

    pull: float
    """Scatter of the sky, in errors of photons and read noise."""
    step: float
    """What the right half is brighter by than the left one, relative."""
    flux: float
    """Light of all stars over what it is to be."""


def held_against_truth(
    detector: Detector, reduced: Path, counts: Mapping[str, int]
) -> Truth:
    """Hold the mean of the lights of a detector against its scenes."""
    from astropy.io import fits

    found = []
    first = sum(n for kind, n in counts.items() if kind != LIGHTS) + 1
    for exposure in range(counts[LIGHTS]):
        path = (
            reduced
            / "calibrated"
            / f"{first + exposure:03d}_{detector.number + 1}.fits"
        )
        made = fits.getdata(path).astype(float)
        scene = detector.scene(exposure).astype(float)
        sky = scene < 1.001 * SKY
        scale = np.median(scene[sky]) / np.median(made[sky])
        rest = made * scale - scene
        half = detector.shape[1] // 2
        left, right = sky.copy(), sky.copy()
        left[:, half:], right[:, :half] = False, False
        step = (rest[right].mean() - rest[left].mean()) / SKY
        variance = SKY / detector.response + (READ_NOISE / detector.response) ** 2
        # The flat's own noise is in each light.
        variance += SKY**2 / (FLAT * detector.response * counts[FLATS])
        pull = np.std(rest[sky] / np.sqrt(variance[sky]))
        stars = scene > 1.05 * SKY
        flux = 1 + rest[stars].sum() / (scene - SKY)[stars].sum()
        found.append((pull, step, flux))
    return Truth(*np.mean(found, axis=0).tolist())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--detectors", type=int, default=62)
    options.add_argument("--size", default="256x512", help="columns x rows of each")
    options.add_argument("--frames", default="5,5,4", help="bias frames, flats, lights")
    options.add_argument("--memory", default="1GB")
    options.add_argument(
        "--folder", type=Path, help="where to work, and to keep frames"
    )
    given = options.parse_args()
    shape = bench.shape_of(given)
    detectors = [Detector(number, shape) for number in range(given.detectors)]
    numbers = map(int, given.frames.split(","))
    counts = dict(zip(("zero", FLATS, LIGHTS), numbers, strict=True))
    with bench.work_folder(given) as folder:
        night = folder / f"mosaic_{given.detectors}_{given.size}_{given.frames}"
        write_night(night, detectors, counts)
        reduced = folder / "reduced"
        rows = []
        for name, command in (
            ("plan", ["plan", str(night), "-o", str(reduced)]),
            ("reduce", [str(night), "-o", str(reduced), "--memory", given.memory]),
        ):
            if name == "reduce":
                shutil.rmtree(reduced, ignore_errors=True)
            run = bench.measured([AUTOREDUCE, *command], folder)
            times = f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}"
            rows.append((name, *times, f"{run.peak_mb:.0f}"))
        title = (
            f"### {given.detectors} detectors of {given.size}, --memory {given.memory}"
        )
        print(f"{title}\n")
        bench.print_table(("", "wall s", "CPU s", "peak MB"), rows)
        found = [held_against_truth(one, reduced, counts) for one in detectors]
    print(
        f"pull {np.mean([one.pull for one in found]):.3f} "
        f"(worst {max((one.pull for one in found), key=lambda p: abs(p - 1)):.3f}), "
        f"step {max((one.step for one in found), key=abs):+.2%} at worst, stars "
        f"{min(one.flux for one in found):.4f} to {max(one.flux for one in found):.4f}"
    )


if __name__ == "__main__":
    main()
