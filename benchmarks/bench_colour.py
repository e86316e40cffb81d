"""Stacks of colour cameras, ours and Siril's script for them, on the same frames.

    python benchmarks/bench_colour.py --folder ./bench
    python benchmarks/bench_colour.py --lights ./night_of_a_colour_camera

Without `--lights` the simulated night `osc_dithered` is reduced, whose stars are known in
every colour; lights of a folder (no calibration frames) are held against themselves: stars
are fitted in each light with the pixels that saw their colour, and only those.

Both stacks are measured alike.  Widths are those of Moffat profiles that stars of a plane
share; light, and colours but for one factor, are sums of circles, in lights of those
pixels that saw the colour.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import AUTOREDUCE, Contender

from autoreduce.pixels.bayer import RGB, mosaic
from autoreduce.pixels.register import match
from autoreduce.pixels.stars import find_stars
from autoreduce.simulate.listing import read_listing
from autoreduce.simulate.night import make_night, simulate_night

LISTING = "osc_dithered"
BETA = 3.0
"""Exponent of the profile that is fitted."""
HALF, ALONE, EDGE = 8, 16.0, 40.0
"""Pixels: half of the side of the square that is fitted, distance to the next star, and to
the edges."""
FEWEST_PIXELS = 30
"""Pixels that a star is fitted to."""
WIDTHS = (1.0, 2.0 * HALF)
"""FWHM, pixels, between which that of stars is sought."""
APERTURE = 5.0
"""Radius, pixels, within which the light of stars is added up."""
STARS, FITTED = 40, 60
"""Bright stars whose colours are told, and that are tried."""
BLOCKS = (4, 16)
"""Sides of the squares of sky whose means are compared: interpolated colours are smooth
over more than the smaller ones."""
LONE_SIGMAS = 8.0
"""Height of a point that shines in one colour only, of the noise."""
FULL = 50_000.0
"""ADU of the brightest pixel of a star that is used."""


@dataclass(frozen=True)
class Field:
    """Stars, in the coordinates of one image, and what they are in each colour."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    """(n, 3): within circles of `APERTURE`."""
    fwhm: np.ndarray
    """(3,) of the lights."""


def _stamp(plane: np.ndarray, x: float, y: float) -> tuple[np.ndarray, ...]:
    """Cut out the pixels around a star that are not NaN: columns, rows, values."""
    x0, y0 = round(x), round(y)
    stamp = plane[y0 - HALF : y0 + HALF + 1, x0 - HALF : x0 + HALF + 1]
    if stamp.shape != (2 * HALF + 1,) * 2:
        return (np.empty(0),) * 3
    yy, xx = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    known = np.isfinite(stamp)
    return xx[known] + x0 - x, yy[known] + y0 - y, stamp[known]


def _profile(dx: np.ndarray, dy: np.ndarray, fwhm: float) -> np.ndarray:
    """Give a profile of unit flux."""
    core = fwhm / 2 / np.sqrt(2 ** (1 / BETA) - 1)
    return (1 + (dx**2 + dy**2) / core**2) ** -BETA * (BETA - 1) / (np.pi * core**2)


def shape_of(plane: np.ndarray, x: float, y: float) -> tuple[float, float, float]:
    """Fit place and FWHM of a star."""
    from scipy.optimize import least_squares

    dx, dy, values = _stamp(plane, x, y)
    if len(values) < FEWEST_PIXELS:
        return np.nan, np.nan, np.nan
    sky = np.median(values)

    def misfit(p: np.ndarray) -> np.ndarray:
        made = _profile(dx - p[0], dy - p[1], abs(p[2]))
        return p[3] * made / made.max() + p[4] - values

    start = [0.0, 0.0, 3.0, values.max() - sky, sky]
    fit = least_squares(misfit, start, x_scale=[0.1, 0.1, 0.5, start[3], 10])
    return x + fit.x[0], y + fit.x[1], abs(fit.x[2])


def width_of(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Fit the FWHM that stars share whose places are known.

    Each star has a light, a sky and a noise of its own.  Of stars that are fitted one by
    one in a quarter of the pixels, the median is 1 to 3 % too narrow where noise counts.
    """
    from scipy.optimize import minimize_scalar

    stamps = [_stamp(plane, *at) for at in zip(x, y, strict=True)]
    stamps = [stamp for stamp in stamps if len(stamp[2]) >= FEWEST_PIXELS]

    def misfit(fwhm: float) -> float:
        total = 0.0
        for dx, dy, values in stamps:
            model = np.c_[_profile(dx, dy, fwhm), np.ones(len(dx))]
            rest = model @ np.linalg.lstsq(model, values)[0] - values
            total += len(rest) * np.log(np.sum(rest**2))
        return total

    if not stamps:
        return np.nan
    found = minimize_scalar(misfit, bounds=WIDTHS, method="bounded")
    return float(found.x)


def sum_of(plane: np.ndarray, x: float, y: float) -> float:
    """Add up the light of a star within a circle, of those pixels that are known."""
    dx, dy, values = _stamp(plane, x, y)
    if len(values) < FEWEST_PIXELS:
        return np.nan
    radius = np.hypot(dx, dy)
    sky = np.median(values[radius > APERTURE + 1])
    return float(np.mean(values[radius < APERTURE] - sky) * np.pi * APERTURE**2)


def sums_of(planes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Add up the light, (n, 3), of stars within circles."""
    return np.array([[sum_of(p, *at) for p in planes] for at in zip(x, y, strict=True)])


def widths_of(planes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit the widths, (3,), of bright stars; the brightest come first."""
    return np.array([width_of(plane, x[:STARS], y[:STARS]) for plane in planes])


def laid_on(field: Field, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say where the stars of a field lie in a plane, flipped and turned as it may be."""
    found = find_stars(np.ascontiguousarray(plane, np.float32)).table
    known = np.zeros(len(field.x), found.dtype)
    known["x"], known["y"], known["flux"] = field.x, field.y, field.flux[:, 1]
    known["error"] = 0.02
    known = known[np.argsort(-known["flux"])]
    registration = match(known, found)
    if registration is None:
        msg = "the stars of a stack are not those of the field"
        raise RuntimeError(msg)
    x, y = registration.transform(field.x, field.y)
    return np.asarray(x), np.asarray(y)


def chosen_stars(
    field: Field, x: np.ndarray, y: np.ndarray, cube: np.ndarray
) -> np.ndarray:
    """Choose bright stars that stand alone and are not saturated."""
    from scipy.spatial import cKDTree

    ny, nx = cube.shape[1:]
    at = np.c_[x, y]
    near, _ = cKDTree(at).query(at, k=2)
    good = (near[:, 1] > ALONE) & (x > EDGE) & (x < nx - EDGE)
    good &= (y > EDGE) & (y < ny - EDGE)
    order = [i for i in np.argsort(-field.flux[:, 1]) if good[i]]
    peaks = [np.nanmax(cube[:, round(y[i]) - 2 : round(y[i]) + 3,
                            round(x[i]) - 2 : round(x[i]) + 3]) for i in order]  # fmt: skip
    return np.array(
        [i for i, peak in zip(order, peaks, strict=True) if peak < FULL][:FITTED]
    )


def places_in(
    plane: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the places of stars."""
    found = np.array([shape_of(plane, *at)[:2] for at in zip(x, y, strict=True)])
    return found[:, 0], found[:, 1]


def noise_of(plane: np.ndarray, block: int) -> float:
    """Noise of means of the sky, as that of a pixel if pixels were independent."""
    edge = int(EDGE)
    inner = plane[edge:-edge, edge:-edge]
    ny, nx = (n // block * block for n in inner.shape)
    cells = inner[:ny, :nx].reshape(ny // block, block, nx // block, block)
    means = cells.mean(axis=(1, 3))
    # Neighbouring means have the same sky, nebula or gradient.
    differences = (means[:, 1:] - means[:, :-1])[
        np.isfinite(means[:, 1:] - means[:, :-1])
    ]
    sigma = 1.4826 * np.median(np.abs(differences - np.median(differences)))
    return float(sigma / np.sqrt(2) * block)


def lone_points(cube: np.ndarray) -> float:
    """Count what shines in one colour only, as hot pixels do: in a million pixels."""
    from scipy.ndimage import maximum_filter, median_filter

    pulls = []
    for plane in np.nan_to_num(cube, nan=float(np.nanmedian(cube))):
        above = plane - median_filter(plane, 9)
        pulls.append(above / (1.4826 * np.median(np.abs(above))))
    edge = int(EDGE)
    pulls = np.array(pulls)[:, edge:-edge, edge:-edge]
    count = 0
    for i in range(3):
        others = np.delete(pulls, i, axis=0).max(axis=0)
        alone = (pulls[i] > LONE_SIGMAS) & (others < 2)
        # What is brighter beside it is a star whose wings they are.
        count += np.count_nonzero(alone & (pulls[i] == maximum_filter(pulls[i], 3)))
    return 1e6 * count / pulls[0].size


def measured(cube: np.ndarray, field: Field) -> list[str]:
    """Hold a stack against a field."""
    x, y = laid_on(field, cube[1])
    chosen = chosen_stars(field, x, y, cube)
    x, y = places_in(cube[1], x[chosen], y[chosen])
    ratio = sums_of(cube, x, y) / field.flux[chosen]
    known = np.isfinite(ratio).all(axis=1)
    scale = np.median(ratio[known], axis=0)
    colour = ratio[known][:STARS]
    colour /= colour[:, 1:2]
    colour /= np.median(colour, axis=0)
    spread = 1.4826 * np.median(np.abs(colour - 1), axis=0)[[0, 2]]
    widths = widths_of(cube, x, y) / field.fwhm
    noises = [
        [noise_of(plane, block) / s for plane, s in zip(cube, scale, strict=True)]
        for block in BLOCKS
    ]
    return [
        str(len(colour)),
        ", ".join(f"{one:.3f}" for one in scale),
        ", ".join(f"{one:.3f}" for one in widths),
        *(", ".join(f"{one:.1f}" for one in noise) for noise in noises),
        ", ".join(f"{100 * one:.1f} %" for one in spread),
        f"{lone_points(cube):.1f}",
    ]


HEAD = (
    "stars", "light R, G, B", "width R, G, B", "noise of 4x4 means", "of 16x16", "scatter of R/G, B/G",
    "points of one colour / Mpx",
)  # fmt: skip


# ------------------------------------------------------------------ what they are held to


def simulated_field() -> Field:
    """Give the stars of the simulated night: where they are, and their light in ADU."""
    listing = read_listing(LISTING)
    night = make_night(listing)
    (camera,) = night.cameras.values()
    ((stars, _),) = camera.targets.values()
    light = next(one for one in listing.frames if one.imagetyp == "light")
    gain = camera.detector.gain_e_per_adu
    flux = [
        stars.through(listing.filters[c]).rate_e_per_s * light.exptime_s / gain
        for c in RGB
    ]
    width = camera.detector.fwhm_pixels
    core = width / 2 / np.sqrt(2 ** (1 / BETA) - 1)
    share = 1 - (1 + (APERTURE / core) ** 2) ** (1 - BETA)
    return Field(stars.x, stars.y, share * np.array(flux).T, np.full(3, width))


def own_field(reduced: Path) -> Field:
    """Fit the stars of all lights of a stack, in each colour's own pixels.

    They lie where the stack has them in green.  The light of a star is the mean of those
    that the lights show, on the scale of the one whose scale the stack has, and the width
    of the stars the mean over the lights, as they are weighed.
    """
    import pandas as pd
    from astropy.io import fits

    from autoreduce.products.registration import read_registration

    lights = pd.read_csv(reduced / "lights.csv")
    lights = lights[lights["weight"].fillna(0) > 0]
    (path,) = (reduced / "registration").glob("*.json")
    registration = read_registration(path)
    geometry = registration.places[registration.references[0]].geometry
    (path,) = (reduced / "stacks").glob("*.fits")
    green = fits.getdata(path)[1]
    stars = find_stars(green).table
    ny, nx = geometry.shape
    inside = (stars["x"] > EDGE) & (stars["x"] < nx - EDGE)
    inside &= (stars["y"] > EDGE) & (stars["y"] < ny - EDGE)
    stars = stars[inside][: 2 * FITTED]
    x, y = places_in(green.astype(np.float64), stars["x"], stars["y"])
    fluxes, widths = [], []
    for light in lights.itertuples():
        place = registration.places[light.light].on_grid(geometry).inverse()
        planes, at = own_planes(reduced / light.light), place(x, y)
        widths.append(widths_of(planes, *at))
        fluxes.append(sums_of(planes, *at) * light.flux_scale)
    flux = np.nanmean(fluxes, axis=0)
    good = (flux > 0).all(axis=1)
    width = np.average(widths, axis=0, weights=lights["weight"])
    return Field(x[good], y[good], flux[good], width)


def own_planes(path: Path) -> np.ndarray:
    """Read a light: in each colour the pixels that saw it, and NaN."""
    from astropy.io import fits

    data, header = fits.getdata(path).astype(np.float64), fits.getheader(path)
    row, column = (int(header.get(f"{axis}BAYROFF") or 0) for axis in "YX")
    of = mosaic(str(header["BAYERPAT"]).strip(), (row, column))
    planes = np.full((3, *data.shape), np.nan)
    for i, name in enumerate(RGB):
        for y, x in of.places(of.colours.index(name)):
            planes[i, y::2, x::2] = data[y::2, x::2]
    return planes


# ------------------------------------------------------------------------------- Siril


def siril_script(frames: dict[str, Sequence[Path]], place: Path) -> str:
    """Write what Siril's scripts for one-shot colour do; link the frames."""
    for kind, paths in frames.items():
        for i, path in enumerate(paths, 1):
            (place / f"{kind}_{i:05d}.fit").symlink_to(path.resolve())
    lines = ["requires 1.0.0", f"cd {place}", "set32bits", "setext fit"]
    if "flat" in frames:
        lines += [
            "stack flatdark_ rej 3 3 -nonorm -out=m_flatdark",
            "stack dark_ rej 3 3 -nonorm -out=m_dark",
            "preprocess flat_ -dark=m_flatdark",
            "stack pp_flat_ rej 3 3 -norm=mul -out=m_flat",
            "preprocess light_ -dark=m_dark -flat=m_flat -cfa -equalize_cfa -debayer",
        ]
    else:
        lines += ["preprocess light_ -cfa -debayer"]
    return "\n".join(
        [
            *lines,
            "register pp_light_",
            "stack r_pp_light_ rej 3 3 -norm=addscale -output_norm -out=result",
            "",
        ]
    )


def siril_frames(night: Path, *, calibrated: bool) -> dict[str, Sequence[Path]]:
    """Sort the frames of a night by their names."""
    paths = sorted(path for path in night.iterdir() if path.is_file())
    if not calibrated:
        return {"light": paths}
    kinds = {
        "light": "_LIGHT_",
        "flatdark": "_DARKFLAT_",
        "dark": "_DARK_",
        "flat": "_FLAT_",
    }
    return {
        kind: [path for path in paths if part in path.name]
        for kind, part in kinds.items()
    }


def siril_cube(path: Path) -> np.ndarray:
    """Read Siril's stack, in ADU: it writes from 0 to 1."""
    from astropy.io import fits

    data = fits.getdata(path).astype(np.float64) * 65535
    # Where no light lies Siril writes zeros.
    return np.where((data == 0).all(axis=0), np.nan, data)


def contenders(night: Path, folder: Path, *, calibrated: bool) -> list[Contender]:
    """Give the command line of ours, and Siril's script."""
    out, place = folder / "reduced", folder / "siril"
    ours = Contender(
        "autoreduce, pictures and report included",
        [AUTOREDUCE, str(night), "-o", str(out)],
        prepare=lambda: shutil.rmtree(out, ignore_errors=True),
    )
    if not bench.installed("siril-cli"):
        return [ours]

    def clear() -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        script = siril_script(siril_frames(night, calibrated=calibrated), place)
        (place / "night.ssf").write_text(script)

    siril = Contender(
        "siril-cli", ["siril-cli", "-s", str(place / "night.ssf")], prepare=clear
    )
    return [ours, siril]


def main() -> None:
    parser = bench.parser(__doc__, frames=24, size="960x640")
    parser.add_argument("--lights", type=Path, help="a folder of lights, nothing else")
    options = parser.parse_args()
    with bench.work_folder(options) as folder:
        night = options.lights
        if night is None:
            night = folder / "night"
            if not night.exists():
                simulate_night(LISTING, night)
        paths = sorted(path for path in night.iterdir() if path.is_file())
        limits = bench.machine_limits(paths, folder)
        found = bench.chosen(
            contenders(night, folder, calibrated=options.lights is None), options
        )
        bench.race(found, folder, options.repeat)
        size = sum(path.stat().st_size for path in paths)
        bench.print_race(
            f"{night.name}: {len(paths)} frames of a colour camera, stacked",
            found,
            size / 2e6,
            "Mpx-frames",
            limits.seconds(size, 2 * size),
        )
        report(folder, options.lights is not None)


def report(folder: Path, is_real: bool) -> None:
    """Print how the stacks compare."""
    from astropy.io import fits

    field = own_field(folder / "reduced") if is_real else simulated_field()
    (stack,) = (folder / "reduced/stacks").glob("*.fits")
    cubes = {"autoreduce": fits.getdata(stack).astype(np.float64)}
    if (folder / "siril/result.fit").exists():
        cubes["siril-cli"] = siril_cube(folder / "siril/result.fit")
    rows = []
    for name, cube in cubes.items():
        try:
            rows.append([name, *measured(cube, field)])
        except RuntimeError as error:
            print(f"{name}: {error}", file=sys.stderr)
    bench.print_table(["", *HEAD], rows)


if __name__ == "__main__":
    main()
