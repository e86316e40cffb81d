"""Combining raw frames, files in and file out: autoreduce against its peers.

python benchmarks/bench_combine.py --frames 20 --size 4096x4096
"""

import sys
from collections.abc import Callable
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import AUTOREDUCE, NOISE, PEERS, Contender


def reference(job: str, paths: list[Path], rows: slice) -> np.ndarray:
    """Combine some rows in double precision by plain numpy."""
    from astropy.io import fits

    stack = np.stack([fits.getdata(path)[rows] for path in paths]).astype(np.float64)
    if job == "median":
        return np.median(stack, axis=0)
    if job == "drop":
        return np.sort(stack, axis=0)[:-1].mean(axis=0)
    return clipped_mean(stack)


def clipped_mean(stack: np.ndarray) -> np.ndarray:
    """Clip at 3 scales of max(1.4826 MAD, noise) about the median, five passes."""
    kept = stack.copy()
    for _ in range(5):
        deviation = kept - np.nanmedian(kept, axis=0)
        mad = np.nanmedian(np.abs(deviation), axis=0)
        bad = np.abs(deviation) > 3 * np.maximum(1.4826 * mad, NOISE)
        if not bad.any():
            break
        kept[bad] = np.nan
    return np.nanmean(kept, axis=0)


def exact(expected: np.ndarray, rows: slice) -> Callable[[Contender], str]:
    """Make a check that the output is the reference, to the rounding of float32."""

    def check(one: Contender) -> str:
        worst = float(np.abs(_read(one, rows) - expected).max())
        return "" if worst < 2e-3 else f"differs from the reference by {worst:.3g} ADU"

    return check


def near_truth(
    rows: slice, n: int, shape: tuple[int, int]
) -> Callable[[Contender], str]:
    """Make a check for clipping, which everybody defines differently.

    The result must be as near to the truth as a mean of clean frames is, but for a
    tenth, and no pixel may keep a cosmic ray.
    """
    truth = bench.true_level(shape)[rows]

    def check(one: Contender) -> str:
        error = _read(one, rows) - truth
        excess = float(np.sqrt(np.mean(error**2)) / (NOISE / n**0.5))
        return "" if excess < 1.1 else f"error is {excess:.2f} that of clean frames"

    return check


def _read(one: Contender, rows: slice) -> np.ndarray:
    from astropy.io import fits

    with fits.open(one.output) as hdus:
        data = next(hdu.data for hdu in hdus if hdu.data is not None)
    data = data[rows].astype(np.float64)
    return data * 65535 if data.max() <= 1 else data


def contenders(
    job: str, paths: list[Path], folder: Path, *, slow: bool
) -> list[Contender]:
    """List the programs on this machine that can do a job; ours is the first."""
    files = [str(path) for path in paths]
    ours = {
        "median": ["-m", "median"],
        "clip": ["-m", "mean", "-c", "sigma"],
        "drop": ["-m", "mean", "-c", "max", "-d", "1"],
    }[job]
    out = folder / "ours.fits"
    command = [AUTOREDUCE, "combine", *files, "-o", str(out), "--overwrite", *ours]
    found = [Contender("autoreduce combine", command, out)]
    found += _siril(job, paths, folder)
    found += _gnuastro(job, files, folder)
    found += _fitsh(job, files, folder)
    python = {"median": ["numpy_median"], "drop": ["numpy_drop"], "clip": []}[job]
    if slow:
        python += {"median": ["ccdproc_median"], "drop": []}.get(
            job, ["astropy_clip", "ccdproc_clip"]
        )
    for name in python:
        out = folder / f"{name}.fits"
        found.append(
            Contender(name, [sys.executable, PEERS, name, str(out), *files], out)
        )
    return found


def _siril(job: str, paths: list[Path], folder: Path) -> list[Contender]:
    stack = {"median": "med", "clip": "rej 3 3"}.get(job)
    if stack is None or not bench.installed("siril-cli"):
        return []
    place = folder / "siril"
    place.mkdir(exist_ok=True)
    for i, path in enumerate(paths, 1):
        link = place / f"s_{i:05d}.fit"
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    script = place / f"{job}.ssf"
    script.write_text(
        f"requires 1.0.0\ncd {place}\nset32bits\nsetext fit\n"
        f"stack s_ {stack} -nonorm -out=out_{job}\n"
    )
    out = place / f"out_{job}.fit"
    command = ["siril-cli", "-s", str(script)]
    return [Contender("siril-cli", command, out, prepare=bench.removed(out))]


def _gnuastro(job: str, files: list[str], folder: Path) -> list[Contender]:
    if not bench.installed("astarithmetic"):
        return []
    n, out = str(len(files)), folder / "gnuastro.fits"
    # It takes 65535 for blank in uint16, and truncates a median of integers.
    images = [word for file in files for word in (file, "float32")]
    operators = {
        "median": [*images, n, "median"],
        "clip": [*images, n, "3", "0.2", "sigclip-mean"],
        "drop": [
            *(*images, n, "sum", *images, n, "max", "-"),
            *(str(len(files) - 1), "/"),
        ],
    }[job]
    command = ["astarithmetic", *operators, "-g0", f"--output={out}"]
    return [Contender("gnuastro", command, out, prepare=bench.removed(out))]


def _fitsh(job: str, files: list[str], folder: Path) -> list[Contender]:
    if job != "median" or not bench.installed("ficombine"):
        return []
    out = folder / "fitsh.fits"
    command = ["ficombine", "--mode", "median", *files, "-o", str(out)]
    return [Contender("fitsh", command, out)]


def main() -> None:
    options = bench.parser(__doc__, frames=20, size="4096x4096")
    options.add_argument("--jobs", default="median,clip,drop", help="what to do")
    options = options.parse_args()
    shape = bench.shape_of(options)
    with bench.work_folder(options) as folder:
        paths = bench.make_frames(folder / "frames", options.frames, shape)
        limits = bench.machine_limits(paths, folder)
        n_pixels = shape[0] * shape[1]
        limit_s = limits.seconds(sum(p.stat().st_size for p in paths), 4 * n_pixels)
        rows = slice(shape[0] // 2, shape[0] // 2 + 64)
        for job in options.jobs.split(","):
            found = contenders(job, paths, folder, slow=options.slow)
            found = bench.chosen(found, options)
            expected = reference(job, paths, rows)
            for one in found:
                one.check = exact(expected, rows)
                if job == "clip" and one is not found[0]:
                    one.check = near_truth(rows, len(paths), shape)
            bench.race(found, folder, options.repeat)
            title = f"{job}, {options.frames} frames of {options.size} uint16"
            work = options.frames * n_pixels / 1e6
            bench.print_race(title, found, work, "Mpx-frames", limit_s)


if __name__ == "__main__":
    main()
