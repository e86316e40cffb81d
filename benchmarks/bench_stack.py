"""Registered stacks against the truth, and a whole night against Siril's script.

    python benchmarks/bench_stack.py --size 2048x2048 --stars 600
    python benchmarks/bench_stack.py --size 4096x4096 --repeat 1
    python benchmarks/bench_stack.py --size 9576x6388 --frames 60 --memory 2GB --repeat 1

The night is reduced by the bare command, without a flag, and the stack is held against
the field that it was made from.  Siril gets a script that knows which frames belong
together: calibration, registration, stacking.
"""

import argparse
import json
import shutil
from pathlib import Path

import bench_common as bench
import numpy as np
import pandas as pd
from bench_common import AUTOREDUCE, Contender
from stack_night import (
    DARK_S,
    EGAIN,
    EXPTIME,
    RDNOISE,
    Exposure,
    make_night,
    paint,
)

from autoreduce.products.registration import RegistrationProduct, read_registration

MEASURED_STARS = 200
BLOCK = 4


def siril_script(night: Path, place: Path) -> str:
    """Write the commands of calibration, registration and stacking; link the frames."""
    for kind in ("bias", "dark", "flat", "light"):
        for i, path in enumerate(sorted(night.glob(f"{kind}_*.fits")), 1):
            link = place / f"{kind}_{i:05d}.fit"
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    return "\n".join(
        [
            "requires 1.0.0",
            f"cd {place}",
            "set32bits",
            "setext fit",
            "stack bias_ rej 3 3 -nonorm -out=m_bias",
            "stack dark_ rej 3 3 -nonorm -out=m_dark",
            "preprocess flat_ -bias=m_bias",
            "stack pp_flat_ rej 3 3 -norm=mul -out=m_flat",
            "preprocess light_ -dark=m_dark -flat=m_flat",
            "register pp_light_",
            "stack r_pp_light_ rej 3 3 -norm=addscale -out=stack",
            "",
        ]
    )


class Truth:
    """The field as the reference light sees it."""

    def __init__(self, base: Path, reference: str, shape: tuple[int, int]) -> None:
        stars = np.load(base / "truth.npz")
        plan = [
            Exposure(**one) for one in json.loads((base / "truth.json").read_text())
        ]
        self.lights = {Path(one.name).stem: one for one in plan}
        self.reference = self.lights[Path(reference).stem.split(".")[0]]
        self.shape = shape
        self.x, self.y = self.reference.positions(stars["x"], stars["y"], shape)
        self.flux = stars["flux"] * self.reference.transparency

    def scene(self, fwhm: float) -> np.ndarray:
        """Paint the stars without noise, in ADU of the reference."""
        image = np.zeros(self.shape)
        paint(image, self.x, self.y, self.flux, fwhm)
        return image

    def sky_sigma(self, light: Exposure) -> float:
        """Noise of a light's sky in units of the reference's flux, ADU."""
        level = light.sky + DARK_S * EXPTIME
        sigma = np.sqrt(level / EGAIN + (RDNOISE / EGAIN) ** 2)
        return float(sigma * self.reference.transparency / light.transparency)


def read_stack(folder: Path) -> tuple[np.ndarray, dict]:
    """Read the one stack of a reduced night."""
    from astropy.io import fits

    (path,) = sorted((folder / "stacks").glob("*.fits"))
    with fits.open(path) as hdus:
        return hdus[0].data.astype(np.float64), dict(hdus[0].header)


def report(folder: Path, base: Path) -> None:
    """Print how the stack compares with the truth."""
    image, header = read_stack(folder)
    lights = pd.read_csv(folder / "lights.csv")
    (path,) = (folder / "registration").glob("*.json")
    registration = read_registration(path)
    used = lights[lights["weight"].fillna(0) > 0]
    truth = Truth(base, str(header["REFERENC"]), image.shape)
    plan = [truth.lights[Path(name).stem] for name in used["light"]]
    weights = used["weight"].to_numpy()
    width = float(np.average([one.fwhm for one in plan], weights=weights))
    rows = [
        ["lights used", f"{len(used)} of {len(lights)}", ""],
        ["rms of registration, median", f"{used['rms'].median():.3f} px", ""],
        _error_row(truth, used, plan, registration),
        _width_row(image, truth, width),
        _noise_row(image, truth, plan, width),
        *_flux_rows(image, truth, width),
        _satellite_row(image, truth, plan, width),
        _outlier_row(image, truth, plan, weights),
    ]
    bench.print_table(["", "found", "to reach"], rows)


def _error_row(
    truth: Truth,
    used: pd.DataFrame,
    plan: list[Exposure],
    registration: RegistrationProduct,
) -> list[str]:
    """Compare where lights were put with where they are, over the field."""
    ny, nx = truth.shape
    errors = []
    gx, gy = np.meshgrid(np.linspace(0, nx - 1, 9), np.linspace(0, ny - 1, 9))
    grid = registration.places[registration.references[0]].geometry
    for name, one in zip(used["light"], plan, strict=True):
        in_light = one.positions(gx, gy, truth.shape)
        in_reference = truth.reference.positions(gx, gy, truth.shape)
        found = np.array(registration.places[name].on_grid(grid)(*in_light))
        errors.append(np.sqrt(((found - in_reference) ** 2).sum(axis=0).mean()))
    return [
        "error of registration, 2-d",
        f"{np.median(errors):.4f}, worst {np.max(errors):.4f} px",
        "0.013 (300 stars)",
    ]


def _isolated(truth: Truth, distance: float, edge: int = 60) -> np.ndarray:
    from scipy.spatial import cKDTree

    ny, nx = truth.shape
    tree = cKDTree(np.c_[truth.x, truth.y])
    near, _ = tree.query(np.c_[truth.x, truth.y], k=2)
    inside = (truth.x > edge) & (truth.x < nx - edge)
    inside &= (truth.y > edge) & (truth.y < ny - edge)
    return np.flatnonzero((near[:, 1] > distance) & inside)


def _width_row(image: np.ndarray, truth: Truth, width: float) -> list[str]:
    """Fit Moffat profiles to bright stars of the stack."""
    sky = np.nanmedian(image)
    chosen = _isolated(truth, 25)
    bright = chosen[np.argsort(truth.flux[chosen])[::-1]]
    bright = bright[truth.flux[bright] < 1e5][:40]
    found = [_fitted_width(image - sky, truth, int(i), width) for i in bright]
    ratio = np.median(found) / width
    return [
        "width of stars / that of the lights",
        f"{ratio:.3f} ({np.median(found):.2f} px)",
        "1.03",
    ]


def _fitted_width(image: np.ndarray, truth: Truth, i: int, start: float) -> float:
    from scipy.optimize import least_squares

    x0, y0 = round(truth.x[i]), round(truth.y[i])
    stamp = image[y0 - 9 : y0 + 10, x0 - 9 : x0 + 10]

    def misfit(p: np.ndarray) -> np.ndarray:
        made = np.zeros((19, 19))
        paint(made, p[:1] + 9, p[1:2] + 9, p[2:3], abs(p[3]) + 0.5)
        return (made - stamp + p[4]).ravel()

    guess = [truth.x[i] - x0, truth.y[i] - y0, truth.flux[i], start - 0.5, 0.0]
    fit = least_squares(misfit, guess, x_scale=[0.1, 0.1, truth.flux[i], 0.5, 10])
    return abs(fit.x[3]) + 0.5


def _noise_row(
    image: np.ndarray, truth: Truth, plan: list[Exposure], width: float
) -> list[str]:
    """Compare the noise of 4 x 4 means far from stars with what weights allow."""
    ideal = sum(truth.sky_sigma(one) ** -2 for one in plan) ** -0.5
    empty = truth.scene(width) < 0.05 * ideal
    edge = 60
    inner = np.where(empty, image, np.nan)[edge:-edge, edge:-edge]
    ny, nx = (n // BLOCK * BLOCK for n in inner.shape)
    blocks = inner[:ny, :nx].reshape(ny // BLOCK, BLOCK, nx // BLOCK, BLOCK)
    means = blocks.mean(axis=(1, 3))
    means = means[np.isfinite(means)]
    sigma = 1.4826 * np.median(np.abs(means - np.median(means))) * BLOCK
    return ["noise of 4 x 4 means / ideal", f"{sigma / ideal:.3f}", "1.05"]


def _flux_rows(image: np.ndarray, truth: Truth, width: float) -> list[list[str]]:
    """Compare the flux of stars in apertures with the truth, bright and faint."""
    chosen = _isolated(truth, 18)[:MEASURED_STARS]
    yy, xx = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    scene = truth.scene(width)
    sky = np.nanmedian(image[scene < 1])
    ratios = []
    for i in chosen:
        x0, y0 = round(truth.x[i]), round(truth.y[i])
        part = np.s_[y0 - 12 : y0 + 13, x0 - 12 : x0 + 13]
        inside = np.hypot(xx[part] - truth.x[i], yy[part] - truth.y[i]) < 2 * width
        ratios.append(np.sum((image[part] - sky)[inside]) / np.sum(scene[part][inside]))
    ratios, flux = np.array(ratios), truth.flux[chosen]
    bright = flux > np.median(flux)
    rows = []
    for words, part in (("bright", bright), ("faint", ~bright)):
        error = np.std(ratios[part]) / np.sqrt(part.sum())
        rows.append(
            [
                f"flux of {words} stars / truth",
                f"{np.median(ratios[part]):.4f} +- {error:.4f}",
                "1 +- 0.005",
            ]
        )
    return rows


def _satellite_row(
    image: np.ndarray, truth: Truth, plan: list[Exposure], width: float
) -> list[str]:
    """Average what is left along the satellites' paths, in units of the noise."""
    ideal = sum(truth.sky_sigma(one) ** -2 for one in plan) ** -0.5
    scene = truth.scene(width)
    sky = np.nanmedian(image[scene < 1])
    rest = []
    for one in plan:
        if not one.satellite:
            continue
        x0, y0, x1, y1 = one.satellite
        steps = np.linspace(0.03, 0.97, 4000)
        xs, ys = _to_reference(
            one, truth, x0 + steps * (x1 - x0), y0 + steps * (y1 - y0)
        )
        ok = (
            (xs > 20)
            & (xs < truth.shape[1] - 20)
            & (ys > 20)
            & (ys < truth.shape[0] - 20)
        )
        ix, iy = np.round(xs[ok]).astype(int), np.round(ys[ok]).astype(int)
        free = scene[iy, ix] < 0.2 * ideal
        rest.append(np.nanmean(image[iy, ix][free] - sky) / ideal)
    return ["rest of satellites / noise", ", ".join(f"{r:+.2f}" for r in rest), "0.3"]


def _to_reference(
    one: Exposure, truth: Truth, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    ny, nx = truth.shape
    cx, cy = (nx - 1) / 2, (ny - 1) / 2
    angle = -np.deg2rad(one.turn_deg)
    u, v = x - cx - one.dx, y - cy - one.dy
    fx = np.cos(angle) * u - np.sin(angle) * v + cx
    fy = np.sin(angle) * u + np.cos(angle) * v + cy
    return truth.reference.positions(fx, fy, truth.shape)


def _outlier_row(
    image: np.ndarray, truth: Truth, plan: list[Exposure], weights: np.ndarray
) -> list[str]:
    """Count pixels beyond 7 sigma of the noise, the stars' own photons in it."""
    scene = np.zeros(truth.shape)
    for one, weight in zip(plan, weights / weights.sum(), strict=True):
        paint(scene, truth.x, truth.y, truth.flux * weight, one.fwhm)
    variance = sum(truth.sky_sigma(one) ** -2 for one in plan) ** -1.0
    variance = variance + np.maximum(scene, 0) / EGAIN / len(plan) + (0.02 * scene) ** 2
    sky = np.nanmedian((image - scene)[scene < 1])
    pull = ((image - sky - scene) / np.sqrt(variance))[60:-60, 60:-60]
    high, low = np.mean(pull > 7) * 1e6, np.mean(pull < -7) * 1e6
    return [
        "pixels in a million beyond 7 sigma",
        f"{high:.0f} high, {low:.0f} low",
        "20",
    ]


def contenders(
    night: Path, folder: Path, options: argparse.Namespace
) -> list[Contender]:
    out, place = folder / "reduced", folder / "siril"
    memory = ["--memory", options.memory] if options.memory else []
    ours = Contender(
        "autoreduce, report included",
        [AUTOREDUCE, str(night), "-o", str(out), *memory],
        prepare=lambda: shutil.rmtree(out, ignore_errors=True),
    )
    if not bench.installed("siril-cli"):
        return [ours]

    def clear() -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        (place / "night.ssf").write_text(siril_script(night, place))

    siril = Contender(
        "siril-cli", ["siril-cli", "-s", str(place / "night.ssf")], prepare=clear
    )
    return bench.chosen([ours, siril], options)


def main() -> None:
    options = bench.parser(__doc__, frames=20, size="2048x2048")
    options.add_argument("--stars", type=int, default=600, help="stars of the field")
    options.add_argument("--memory", help="memory that ours may take, as 2GB")
    options.add_argument("--no-race", action="store_true", help="truth only")
    options = options.parse_args()
    shape = bench.shape_of(options)
    with bench.work_folder(options) as folder:
        night = make_night(folder, shape, stars=options.stars, lights=options.frames)
        found = contenders(night, folder, options)
        paths = sorted(night.glob("*.fits"))
        limits = bench.machine_limits(paths, folder)
        bench.race(found[:1] if options.no_race else found, folder, options.repeat)
        read = sum(path.stat().st_size for path in paths)
        written = 4 * shape[0] * shape[1] * (options.frames + 4)
        title = f"a night of {len(paths)} frames of {options.size}, stacked"
        work = len(paths) * shape[0] * shape[1] / 1e6
        bench.print_race(
            title, found, work, "Mpx-frames", limits.seconds(read, written)
        )
        report(folder / "reduced", night.parent)


if __name__ == "__main__":
    main()
