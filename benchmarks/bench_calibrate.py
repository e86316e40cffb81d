"""Calibrating lights, (raw - bias - 0.5 dark) / flat: our kernel against peers.

python benchmarks/bench_calibrate.py --frames 20 --size 4096x4096
"""

import sys
from collections.abc import Callable
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import PEERS, Contender

FLOORS = ("read_and_write", "read_and_write_durably")
"""What does no arithmetic at all; products of a run are on the disk, as of the second."""


def make_masters(folder: Path, shape: tuple[int, int]) -> list[Path]:
    """Write a bias, a dark and a flat."""
    from astropy.io import fits

    rng = np.random.default_rng(7)
    levels = {"bias": (1000, 2), "dark": (20, 2), "flat": (1, 0.03)}
    paths = []
    for name, (level, sigma) in levels.items():
        path = folder / f"{name}.fits"
        data = level + sigma * rng.standard_normal(shape, dtype=np.float32)
        fits.writeto(path, data.astype(np.float32), overwrite=True)
        paths.append(path)
    return paths


def right_in(
    lights: list[Path], masters: list[Path], rows: slice
) -> Callable[[Contender], str]:
    """Make a check of the last light against double precision."""
    from astropy.io import fits

    raw, bias, dark, flat = (
        fits.getdata(path)[rows].astype(np.float64) for path in (lights[-1], *masters)
    )
    expected = (raw - bias - 0.5 * dark) / flat

    def check(one: Contender) -> str:
        if one.output is None:
            return "no output"
        found = fits.getdata(one.output / lights[-1].name)[rows]
        worst = float(np.abs(found - expected).max())
        return "" if worst < 0.02 else f"differs from the reference by {worst:.3g} ADU"

    return check


def contenders(
    lights: list[Path], masters: list[Path], folder: Path
) -> list[Contender]:
    files = [str(path) for path in (*lights, *masters)]
    found = []
    names = ("autoreduce_calibrate", *FLOORS, "numpy_calibrate")
    for name in (*names, "ccdproc_calibrate"):
        out = folder / name
        out.mkdir(exist_ok=True)
        command = [sys.executable, PEERS, name, str(out), *files]
        clear = bench.removed(*(out / light.name for light in lights))
        found.append(Contender(name, command, out, prepare=clear))
    if bench.installed("astarithmetic"):
        found.append(_gnuastro(lights, masters, folder))
    return found


def _gnuastro(lights: list[Path], masters: list[Path], folder: Path) -> Contender:
    out = folder / "gnuastro"
    out.mkdir(exist_ok=True)
    bias, dark, flat = masters
    script = folder / "gnuastro.sh"
    script.write_text(
        "".join(
            f"astarithmetic {light} float32 {bias} - {dark} 0.5 x - {flat} / -g0 "
            f"--output={out / light.name} || exit 1\n"
            for light in lights
        )
    )
    outputs = [out / light.name for light in lights]
    return Contender(
        "gnuastro", ["sh", str(script)], out, prepare=bench.removed(*outputs)
    )


def main() -> None:
    options = bench.parser(__doc__, frames=20, size="4096x4096").parse_args()
    shape = bench.shape_of(options)
    with bench.work_folder(options) as folder:
        lights = bench.make_frames(folder / "frames", options.frames, shape)
        masters = make_masters(folder, shape)
        limits = bench.machine_limits(lights, folder)
        n_pixels = shape[0] * shape[1]
        limit_s = limits.seconds(
            sum(path.stat().st_size for path in (*lights, *masters)),
            4 * n_pixels * len(lights),
        )
        found = bench.chosen(contenders(lights, masters, folder), options)
        rows = slice(shape[0] // 2, shape[0] // 2 + 64)
        for one in found:
            if one.name not in FLOORS:
                one.check = right_in(lights, masters, rows)
        bench.race(found, folder, options.repeat)
        title = f"calibrate {options.frames} lights of {options.size} uint16"
        bench.print_race(title, found, len(lights) * n_pixels / 1e6, "Mpx", limit_s)


if __name__ == "__main__":
    main()
