"""True errors, gain, flags, cosmic rays and coordinates against simulated truth.

    python benchmarks/bench_science.py
    python benchmarks/bench_science.py --size 1663x1252

All figures of docs/errors.md, and those of gain and calibration beside them: a pull is
an error over the sigma that was told for it, and its width is that of the middle 68 %.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import bench_common as bench
import numpy as np
import pandas as pd
from astropy.io import fits
from scipy import ndimage
from stack_fields import add_noise, draw_field, paint

from autoreduce.pixels.calibrate import calibrate
from autoreduce.pixels.stars import find_stars
from autoreduce.prepare import Choices
from autoreduce.reduction import ReducedNight, reduce_night
from autoreduce.running.execute import Limits
from autoreduce.simulate import simulate_night
from autoreduce.simulate.detector import cosmic_rays
from autoreduce.simulate.listing import read_listing

Row = tuple[str, str, str]
"""What, the figure, and what it should be."""
Array = np.ndarray

SKY, EGAIN, RDNOISE, FULL = 400.0, 1.5, 8.0, 40000.0
SHIFTS = [(0, 0), (7.3, -4.6), (-5.2, 3.4), (2.6, 8.1), (-8.5, -2.3), (4.4, 1.7)]
CAMERA = read_listing("notes_2021").detectors[""]
"""Camera of the night."""
STRONG = 8.0
"""Sigmas of a cosmic ray that counts."""
WIDTHS = (1.8, 2.5, 3.5, 5.0)
"""Widths of stars, pixel, among which cosmic rays are looked for."""


def width(pulls: Array) -> float:
    low, high = np.nanpercentile(pulls, [15.87, 84.13])
    return (high - low) / 2


def reduced(night: Path, output: Path) -> ReducedNight:
    return reduce_night(night, output=output, limits=Limits(planes=True), page=False)


def plane(path: Path, name: str | int = 0) -> Array:
    return fits.getdata(path, name).astype(float)


def of_masters(folder: Path, truth: Path) -> Iterator[Row]:
    """Hold bias, darks and their hot pixels, gain and read noise against the truth."""
    (bias,) = folder.glob("masters/bias_*.fits")
    pulls = (plane(bias) - plane(truth / "bias.fits")) / plane(bias, "UNCERT")
    yield "pulls, master bias", f"{width(pulls):.3f}", "1"
    rate = plane(truth / "dark_rate.fits")
    offset = fits.getheader(truth / "dark_rate.fits")["DARKOFF"]
    usual = np.std(rate[rate < np.percentile(rate, 99)])
    hot, found = rate > np.median(rate) + 20 * usual, []
    for t in (60, 120, 180):
        (path,) = folder.glob(f"masters/dark_{t}s_*.fits")
        pulls = (plane(path) - offset - t * rate) / plane(path, "UNCERT")
        found.append(pulls[hot])
        yield f"pulls, master dark of {t} s", f"{width(pulls):.3f}", "1"
    text = f"{width(np.concatenate(found)):.3f}"
    yield f"pulls, {hot.sum()} hot pixels of these darks", text, "1"
    for path in sorted(folder.glob("masters/flat_*.fits")):
        card = fits.getheader(path)
        if "GAINPTC" in card:
            text = f"{card['GAINPTC']:.4g} +- {card['GAINPERR']:.2g}"
            yield f"gain from {path.stem}, e/ADU", text, f"{CAMERA.gain_e_per_adu:g}"
        if "RDNPTC" in card:
            text = f"{card['RDNPTC']:.4g} +- {card['RDNPERR']:.2g}"
            yield f"read noise from {path.stem}, e", text, f"{CAMERA.read_noise_e:g}"


def of_lights(folder: Path, truth: Path) -> Iterator[Row]:
    """Hold calibrated lights against the scenes that they show."""
    for number in (62, 74, 80, 88, 90, 95):
        path = folder / "calibrated" / f"20210227.{number:04d}.fit"
        card = fits.getheader(path)
        flat = plane(truth / f"flat_{card['FILTER']}.fits")
        scene = plane(truth / f"scene_{path.name}")
        made = plane(path)
        made = made / np.median(flat) if "FLATFILE" in card else made / flat
        sigma = plane(path, "UNCERT")
        sigma = sigma / np.median(flat) if "FLATFILE" in card else sigma / flat
        name = f"pulls, light of {card['EXPTIME']:g} s, {card['FILTER']}"
        yield name, f"{width((made - scene) / sigma):.3f}", "1"
    bad = plane(next(folder.glob("masters/bad_pixels_*.fits"))).astype(int)
    rate = plane(truth / "dark_rate.fits")
    (dark,) = folder.glob("masters/dark_180s_*.fits")
    limit = 10 * fits.getheader(dark)["NOISEADU"] / 180
    hot = rate - ndimage.median_filter(rate, 5) > limit
    yield (
        "hot pixels of more than 10 sigma in the map",
        f"{(bad[hot] > 0).mean():.1%}",
        "100 %",
    )


def of_stack(folder: Path, shape: tuple[int, int] = (440, 520)) -> Iterator[Row]:
    """Hold a stack of dithered lights against its sky."""
    rng = np.random.default_rng(1)
    x, y, flux = draw_field(120, shape, rng, flux=(8e3, 2e5), margin=30.0)
    (folder / "night").mkdir(parents=True)
    for n, (dx, dy) in enumerate(SHIFTS):
        scene = np.zeros(shape)
        paint(scene, x + dx, y + dy, flux, 3.0)
        data = np.clip(np.rint(add_noise(scene, SKY, rng)), 0, 65535)
        cards = {
            "IMAGETYP": "Light Frame",
            "OBJECT": "Field",
            "FILTER": "R",
            "EXPTIME": 60.0,
            "DATE-OBS": f"2024-03-02T20:{n:02d}:00",
            "EGAIN": EGAIN,
            "RDNOISE": RDNOISE,
            "INSTRUME": "Camera",
        }
        path = folder / "night" / f"l{n}.fits"
        fits.writeto(path, data.astype(np.uint16), fits.Header(cards))
    done = reduced(folder / "night", folder / "out")
    (path,) = done.folder.glob("stacks/*.fits")
    data, sigma, card = plane(path), plane(path, "UNCERT"), fits.getheader(path)
    away = plane(path, "NUSED") == len(SHIFTS)
    lit = data > SKY + 5 * np.median(sigma)
    away &= ~ndimage.binary_dilation(lit, iterations=8)
    pulls = (data - np.median(data[away])) / sigma
    yield "pulls, stack of 6 dithered lights", f"{width(pulls[away]):.3f}", "1"
    ny, nx = (n // 4 * 4 for n in shape)
    cut = [one[:ny, :nx].reshape(ny // 4, 4, nx // 4, 4) for one in (data, away)]
    means = cut[0].mean(axis=(1, 3))[cut[1].all(axis=(1, 3))]
    ratio = 4 * width(means) / width(data[away])
    yield (
        "noise of 4x4 means times 4 over that of pixels",
        f"{ratio:.3f}",
        (f"CORRNOIS {card['CORRNOIS']:.3f}"),
    )


def of_cosmics(shape: tuple[int, int] = (1024, 1024)) -> Iterator[Row]:
    """Look for cosmic rays among stars."""
    if not find_spec("astroscrappy"):
        return
    from astroscrappy import detect_cosmics

    from autoreduce.pixels.cosmics import find_cosmics

    figures, seconds = [], 0.0
    for fwhm in WIDTHS:
        rng = np.random.default_rng(1)
        light = np.zeros(shape)
        x, y, flux = draw_field(400, shape, rng, flux=(1e3, 6e5))
        paint(light, x, y, flux, fwhm)
        rays = SimpleNamespace(cosmics_per_mpix_s=1.0)
        row, column, charge = cosmic_rays(rays, shape, 120.0, rng)
        hit = np.zeros(shape)
        np.add.at(hit, (row, column), charge)
        electrons = rng.poisson((light + SKY) * EGAIN) + hit
        data = (electrons + rng.normal(0, RDNOISE, shape)) / EGAIN
        data = np.minimum(data, FULL).astype(np.float32)
        begin = time.perf_counter()
        found = find_cosmics(
            data,
            find_stars(data, saturate=FULL, gain=EGAIN),
            gain=EGAIN,
            saturate=FULL,
        )
        seconds += time.perf_counter() - begin
        ours = np.zeros(shape, bool)
        ours[found.y, found.x] = True
        plain, _ = detect_cosmics(data, gain=EGAIN, readnoise=RDNOISE, satlevel=FULL)
        noise = np.sqrt((light + SKY) * EGAIN + RDNOISE**2)
        strong, free = (
            hit > STRONG * noise,
            ~ndimage.binary_dilation(hit > 0, np.ones((3, 3))),
        )
        figures.append([(m[strong].mean(), (m & free).sum()) for m in (ours, plain)])
    mean = np.mean(figures, axis=0) / [1, np.prod(shape) / 1e6]
    for name, (part, false) in zip(
        ("--cosmics", "astroscrappy as it comes"), mean, strict=True
    ):
        yield (
            f"{name}: pixels found, false ones a Mpx",
            f"{part:.1%}, {false:.0f}",
            "98 %, 20",
        )
    cost = seconds / len(WIDTHS) / np.prod(shape) * 1e6
    yield "--cosmics: seconds a Mpx", f"{cost:.1f}", ""


def of_ccdproc() -> Iterator[Row]:
    """Calibrate as ccdproc does."""
    if not find_spec("ccdproc"):
        return
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    rng = np.random.default_rng(3)
    raw, bias, dark = (rng.normal(m, 5, (200, 300)) for m in (2000, 300, 40))
    flat = rng.normal(1, 0.05, (200, 300))
    as_ccd = [CCDData(one, unit=u.adu) for one in (raw, bias, dark)]
    theirs = ccdproc.subtract_bias(as_ccd[0], as_ccd[1])
    t = 60 * u.s
    theirs = ccdproc.subtract_dark(
        theirs, as_ccd[2], dark_exposure=t, data_exposure=t / 2, scale=True
    )
    theirs = ccdproc.flat_correct(theirs, CCDData(flat, unit=""), norm_value=1.0)
    ours = calibrate(raw, bias=bias, dark=dark, dark_scale=0.5, flat=flat)
    apart = np.abs(ours / theirs.data - 1).max()
    yield (
        "largest relative difference from ccdproc",
        f"{apart:.1e}",
        "2e-7 (single precision)",
    )


def of_shutter(folder: Path) -> Iterator[Row]:
    """Hold flats and lights of an iris shutter and bent electronics against the truth."""
    simulate_night("iris_shutter", folder / "night", seed=2, truth=True)
    recipe = folder / "linear.toml"
    recipe.write_text("[linearity]\npolynomial = [1.0, 5e-7, 5e-13]\n")
    done = reduce_night(
        folder / "night",
        output=folder / "out",
        choices=Choices(recipe=str(recipe)),
        page=False,
    )
    for name in ("light_1s_1.fits", "light_60s_1.fits"):
        scene = plane(folder / "night_truth" / f"scene_{name}")
        ratio = plane(done.folder / "calibrated" / name) / scene
        ny, nx = ratio.shape
        y, x = np.mgrid[-1 : 1 : ny * 1j, -1 : 1 : nx * 1j]
        radius = np.hypot(x, y) / np.sqrt(2)
        rings = [(radius >= a) & (radius < a + 0.2) for a in (0.1, 0.3, 0.5, 0.7)]
        means = np.array([np.median(ratio[ring]) for ring in rings])
        yield (
            f"iris shutter: unevenness of {name.split('_')[1]} lights, of 3.8 %",
            f"{np.ptp(means) / means.mean():.2%}",
            "0",
        )
    plain = reduced(folder / "night", folder / "plain")
    (flat,) = plain.folder.glob("masters/flat_*.fits")
    card = fits.getheader(flat)
    yield (
        "counts off the line at the highest level, of -2.4 %",
        f"{card['LINDEV']:.2%} +- {card['LINERR']:.2%}",
        "-2.4 %",
    )


def of_colours(folder: Path) -> Iterator[Row]:
    """Hold errors of colour stacks against the difference of two halves of a night."""
    simulate_night("osc_dithered", folder / "night", seed=1, size=(600, 400))
    lights = sorted(path.name for path in (folder / "night").glob("*LIGHT*"))
    shared = lights[4]
    for source in ("own", "interpolated"):
        recipe = folder / f"{source}.toml"
        recipe.write_text(f'[stack]\ncolours = "{source}"\n')
        halves = []
        for first in (0, 1):
            out = [name for name in lights[first::2] if name != shared]
            choices = Choices(
                recipe=str(recipe), exclude=tuple(out), references=[shared]
            )
            done = reduce_night(
                folder / "night",
                output=folder / f"{source}_{first}",
                choices=choices,
                limits=Limits(planes=True),
                page=False,
            )
            halves.append(next(done.folder.glob("stacks/*.fits")))
        data, sigma = ([plane(path, name) for path in halves] for name in (0, "UNCERT"))
        numbers = [fits.getheader(path)["NCOMBINE"] for path in halves]
        # One light is in both.
        alike = 1 - 2 / np.prod(numbers) / np.sum(1 / np.array(numbers))
        pulls = (data[0] - data[1]) / np.hypot(*sigma) / np.sqrt(alike)
        found = [width(one[40:-40, 40:-40]) for one in pulls]
        figures = ", ".join(f"{one:.3f}" for one in found)
        yield f"pulls, colour stacks, {source}, R G B", figures, "1"


def of_curves(folder: Path) -> Iterator[Row]:
    """Hold the scatter of light curves against that of photons."""
    simulate_night("transit", folder / "night", seed=1)
    done = reduce_night(folder / "night", output=folder / "out", page=False)
    command = [bench.AUTOREDUCE, "lightcurve", str(done.folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (path,) = done.folder.glob("lightcurves/*_stars.csv")
    stars = pd.read_csv(path)
    ratio = (stars["scatter"] / stars["limit"])[stars["comparison"] == 1]
    figure = f"{ratio.median():.2f} ({len(ratio)} stars)"
    yield "scatter of light curves over that of photons", figure, "1.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="416x313", help="COLUMNSxROWS of the night")
    nx, ny = map(int, parser.parse_args().size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_night(
            "notes_2021", folder / "night", seed=7, size=(nx, ny), truth=True
        )
        night = reduced(folder / "night", folder / "out")
        truth = folder / "night_truth"
        print("| what | figure | should be |\n| --- | --- | --- |")
        for rows in (
            of_masters(night.folder, truth),
            of_lights(night.folder, truth),
            of_stack(folder / "stack"),
            of_colours(folder / "colours"),
            of_shutter(folder / "shutter"),
            of_curves(folder / "curves"),
            of_cosmics(),
            of_ccdproc(),
        ):
            for row in rows:
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
