"""Several amplifiers and detectors against simulated truth: noise, steps and fluxes.

    python benchmarks/bench_amplifiers.py
    python benchmarks/bench_amplifiers.py --size 1024x800 --only four_amplifiers

Three lights, of two amplifiers in one image, four in extensions, and two detectors of two
each, whose headers tell the gains rightly, wrongly by 3 % up and down by turns, or not
at all.  Figures are those of the amplifier that is worst.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits
from bench_science import Array, Row, plane, reduced, width

from autoreduce.fits.sections import Section, parse_turned
from autoreduce.simulate import simulate_night
from autoreduce.simulate.listing import read_listing

NIGHTS = {
    "two_amplifiers": {"": "light_{}.fits"},
    "four_amplifiers": {"": "light_{}.fits"},
    "mosaic": {"_east": "light_{}_1.fits", "_west": "light_{}_3.fits"},
}
"""Listings: for each detector, as truth calls it, its calibrated lights."""
LIGHTS = (1, 2, 3)
CASES = {"right": (1.0, 1.0), "off by 3 %": (1.03, 0.97), "not told": None}
"""What headers tell of the gains: by turns so many times the true one."""
FAINTEST_STAR = 0.05
"""Part of the sky from which a pixel is one of a star."""


def tell_gains(night: Path, name: str, factors: tuple[float, float] | None) -> None:
    """Write the gains of amplifiers into the headers, or take them out."""
    detectors = read_listing(name).detectors
    gains = [
        one.gain_e_per_adu for camera in detectors.values() for one in camera.amplifiers
    ]
    for path in night.glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            cards = [
                (hdu.header, keyword)
                for hdu in hdus
                for keyword in hdu.header
                if re.fullmatch("GAIN[A-H]?", keyword)
            ]
            for n, ((header, keyword), gain) in enumerate(
                zip(cards, gains, strict=True)
            ):
                if factors is None:
                    del header[keyword]
                else:
                    header[keyword] = gain * factors[n % 2]


def amplifiers(header: fits.Header) -> list[Section]:
    """Give the part of a light that each amplifier has read."""
    places = (text.split(" to ")[1].split("]")[0] for text in header["AMP?"].values())
    return [parse_turned(f"{place}]")[0] for place in places]


def of_detector(folder: Path, truth: Path, chip: str, lights: str) -> Iterator[Array]:
    """Measure pulls, offset from the scene and fluxes of stars, for each amplifier."""
    pulls, offsets, fluxes, errors = [], [], [], []
    for n in LIGHTS:
        path = folder / "calibrated" / lights.format(n)
        scene, header = (
            plane(truth / f"scene{chip}_light_{n}.fits"),
            fits.getheader(path),
        )
        # A flat whose median is 1, and gains as told, are another scale than the truth's.
        made, sigma = plane(path), plane(path, "UNCERT")
        scale = np.median(scene) / np.median(made)
        made, sigma, sky = made * scale, sigma * scale, np.median(scene)
        star = np.where(scene > sky * (1 + FAINTEST_STAR), scene - sky, 0) / sigma
        parts = amplifiers(header)
        rest = made - scene
        pulls.append([width(rest[part] / sigma[part]) for part in parts])
        offsets.append([np.mean(rest[part]) / sky for part in parts])
        excess = (made - sky) / sigma * star
        fluxes.append([np.sum(excess[part]) for part in parts])
        errors.append([np.sum(star[part] ** 2) for part in parts])
    mean = np.mean(offsets, axis=0)
    power = np.sum(errors, axis=0)
    flux = np.sum(fluxes, axis=0) / power
    yield np.mean(pulls, axis=0)
    yield mean - mean.mean()
    yield flux / flux.mean() - 1
    yield power**-0.5


def of_night(folder: Path, name: str, size: tuple[int, int]) -> Iterator[Row]:
    for case, factors in CASES.items():
        night = folder / f"{name}_{case.split()[0]}"
        simulate_night(name, night, seed=3, truth=True, size=size)
        tell_gains(night, name, factors)
        done = reduced(night, night.with_name(f"{night.name}_out"))
        truth = night.with_name(f"{night.name}_truth")
        found = [
            of_detector(done.folder, truth, *chip) for chip in NIGHTS[name].items()
        ]
        pulls, steps, flux, error = (
            np.concatenate(one) for one in zip(*found, strict=True)
        )
        what = f"{name}, gains {case}"
        worst = np.abs(pulls - 1).argmax()
        yield f"{what}: pulls", f"{pulls[worst]:.3f}", "1"
        yield (
            f"{what}: offset from the others in a mean of {len(LIGHTS)} lights",
            f"{100 * np.abs(steps).max():.3f} %",
            "0.1 %",
        )
        worst = np.abs(flux).argmax()
        yield (
            f"{what}: flux of stars beside the others",
            f"{100 * flux[worst]:+.2f} +- {100 * error[worst]:.2f} %",
            "1 %",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="512x400", help="COLUMNSxROWS of a detector")
    parser.add_argument("--only", choices=NIGHTS, help="one night")
    asked = parser.parse_args()
    nx, ny = map(int, asked.size.split("x"))
    print("| what | figure | should be |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in [asked.only] if asked.only else NIGHTS:
            for row in of_night(Path(folder), name, (nx, ny)):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
