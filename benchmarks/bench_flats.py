"""Master flats with star trails against the truth: our recipes and peers.

    python benchmarks/bench_flats.py --size 1663x1252 --frames 5

Errors are in units of the master's photon noise: 1 is what the light allows.  Peers get
frames without bias and dark, taken from the truth: they do no more than combine.
"""

import argparse
import importlib.util
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import AUTOREDUCE

Stack = np.ndarray
FAINTEST = 0.3
"""Trail that counts, of the noise of a pixel of one frame."""
FREE = 0.02
"""Trail that does not count, likewise."""


@dataclass(frozen=True)
class Group:
    """The flats of one filter, free of bias and dark, and what they should become."""

    band: str
    frames: Stack
    """(n, ny, nx), scaled to unit level."""
    truth: np.ndarray
    sigma: np.ndarray
    """Photon and read noise of the master, relative to its level."""
    touched: np.ndarray
    free: np.ndarray
    excess: Stack
    """(n, ny, nx), trails in units of the noise of a pixel of their frame."""


def make_night(folder: Path, size: str, n_flats: int) -> Path:
    """Simulate the night of the notes with its truth, once for a folder."""
    night = folder / f"flats_{size}_{n_flats}"
    if night.exists():
        return night
    command = [AUTOREDUCE, "simulate", "notes_2021", str(night), "--size", size]
    subprocess.run([*command, "--truth"], check=True, stdout=subprocess.DEVNULL)
    for paths in flat_files(night).values():
        for path in paths[n_flats:]:
            path.unlink()
    return night


def flat_files(night: Path) -> dict[str, list[Path]]:
    from astropy.io import fits

    found = defaultdict(list)
    for path in sorted(night.glob("*.fit")):
        header = fits.getheader(path)
        if header["IMAGETYP"].startswith("Flat"):
            found[header["FILTER"]].append(path)
    return dict(found)


def read_group(band: str, paths: list[Path], truth: Path) -> Group:
    from astropy.io import fits

    bias, header = fits.getdata(truth / "bias.fits", header=True)
    rate, dark = fits.getdata(truth / "dark_rate.fits", header=True)
    gain, read_noise = header["EGAIN"], header["RDNOISE"]
    flat = fits.getdata(truth / f"flat_{band}.fits")
    flat = flat / np.median(flat)
    frames, excess, variance = [], [], np.zeros(flat.shape)
    for path in paths:
        seconds = fits.getheader(path)["EXPTIME"]
        light = fits.getdata(path) - bias - dark["DARKOFF"] - seconds * rate
        level = float(np.median(light))
        noise = np.sqrt(level * flat / gain + (read_noise / gain) ** 2) / level
        frames.append((light / level).astype(np.float32))
        trail = fits.getdata(truth / f"trails_{path.name}")
        excess.append((trail * flat / level / noise).astype(np.float32))
        variance += noise**2
    strongest = np.max(excess, axis=0)
    return Group(
        band,
        np.array(frames),
        flat,
        np.sqrt(variance) / len(frames),
        strongest > FAINTEST,
        strongest < FREE,
        np.array(excess),
    )


def reduced_flats(night: Path, recipe: str, folder: Path) -> Callable[[Group], Stack]:
    """Reduce the night; return what gives the master of a group."""
    from astropy.io import fits

    out = folder / f"{night.name}_{recipe}"
    command = [AUTOREDUCE, str(night), "-o", str(out), "--recipe", recipe]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)

    def master(group: Group) -> Stack:
        (path,) = out.glob(f"masters/flat_{group.band}_*.fits")
        return fits.getdata(path)

    return master


def sigma_clipped(group: Group) -> Stack:
    """Combine as ccdproc's documentation does: scaled by the median, 3 sigma, mean."""
    from astropy.nddata import CCDData
    from astropy.stats import mad_std
    from ccdproc import Combiner

    combiner = Combiner([CCDData(frame, unit="adu") for frame in group.frames])
    combiner.scaling = lambda frame: 1 / np.ma.median(frame)
    combiner.sigma_clipping(3, 3, func=np.ma.median, dev_func=mad_std)
    return np.asarray(combiner.average_combine())


def best_mask(group: Group) -> Stack:
    """Leave out what truth says to be brighter than its bias is worth.

    A sample of excess e is worth keeping while e**2 < n / (n - 1): its bias e / n then
    costs less than the noise of having one sample less.  No mask is better than this.
    """
    n = len(group.frames)
    bright = group.excess**2 > n / (n - 1)
    bright &= bright.sum(axis=0) < n
    return np.mean(group.frames, axis=0, where=~bright)


def errors(master: Stack, group: Group) -> np.ndarray:
    """Give the error of each pixel in units of the photon noise."""
    error = master / np.median(master[group.free]) - group.truth / np.median(
        group.truth[group.free]
    )
    return error / group.sigma


def print_errors(title: str, found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    print(f"### {title}\n")
    rows = [
        [
            name,
            f"{np.mean(on):+.3f}",
            f"{np.sqrt(np.mean(on**2)):.3f}",
            f"{np.quantile(np.abs(on), 0.999):.1f}",
            f"{np.sqrt(np.mean(off**2)):.3f}",
        ]
        for name, (on, off) in found.items()
    ]
    head = ["", "mean on trails", "rms on trails", "99.9 % below", "rms elsewhere"]
    bench.print_table(head, rows)


def run(options: argparse.Namespace, folder: Path) -> None:
    night = make_night(folder, options.size, options.frames)
    truth = night.with_name(f"{night.name}_truth")
    makers: dict[str, Callable[[Group], Stack]] = {
        "autoreduce": reduced_flats(night, "default", folder),
        "autoreduce, notes": reduced_flats(night, "notes", folder),
        "mask by the truth": best_mask,
        "plain median": lambda group: np.median(group.frames, axis=0),
    }
    if importlib.util.find_spec("ccdproc"):
        makers["ccdproc, 3 sigma"] = sigma_clipped
    every: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for band, paths in flat_files(night).items():
        group = read_group(band, paths, truth)
        found = {}
        for name, make in makers.items():
            error = errors(make(group), group)
            found[name] = (error[group.touched], error[group.free])
            every[name].append(found[name])
        share = group.touched.mean()
        print_errors(f"{band}: {len(paths)} flats, trails on {share:.1%}", found)
    pooled = {
        name: (np.concatenate([a for a, _ in of]), np.concatenate([b for _, b in of]))
        for name, of in every.items()
    }
    print_errors("all filters", pooled)


if __name__ == "__main__":
    options = bench.parser(__doc__ or "", frames=5, size="1663x1252").parse_args()
    with bench.work_folder(options) as folder:
        run(options, folder)
