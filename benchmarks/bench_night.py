"""The whole night of the notes: 107 frames, in one command, against Siril's pixel work.

    python benchmarks/bench_night.py --size 1663x1252

Siril gets a script that already knows which frames belong together and which masters
they need: it does no more than the arithmetic.  A second script registers the lights
before it stacks them, as ours does.
"""

import argparse
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import AUTOREDUCE, Contender

Group = tuple[str, str, str, float]
"""Type, filter, object and exposure of frames."""

BIAS: Group = ("Bias Frame", "", "", 0.0)
CHECKED = "20210227.0062.fit"
"""A light of the cluster, through Lum, 60 s."""


def night_frames(folder: Path, size: str) -> Path:
    """Simulate the night, once for a folder."""
    night = folder / f"night_{size}"
    if not night.exists():
        command = [AUTOREDUCE, "simulate", "notes_2021", str(night), "--size", size]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return night


def grouped(night: Path) -> dict[Group, list[Path]]:
    """Group frames by their headers; the first dark is the odd one, and left out."""
    from astropy.io import fits

    groups = defaultdict(list)
    for path in sorted(night.glob("*.fit")):
        header = fits.getheader(path)
        kind, seconds = header["IMAGETYP"], header["EXPTIME"]
        target = header.get("OBJECT", "") if kind.startswith("Light") else ""
        groups[kind, header.get("FILTER", ""), target, seconds].append(path)
    darks = next(paths for group, paths in groups.items() if group[0] == "Dark Frame")
    del darks[0]
    return dict(groups)


def siril_script(
    groups: dict[Group, list[Path]], place: Path, *, registered: bool
) -> str:
    """Write the commands of the reduction, and link the frames of each group."""
    names = {group: f"g{i:02d}_" for i, group in enumerate(groups)}
    for group, paths in groups.items():
        for i, path in enumerate(paths, 1):
            link = place / f"{names[group]}{i:05d}.fit"
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    lines = ["requires 1.0.0", f"cd {place}", "set32bits", "setext fit"]
    for group, name in names.items():
        if group[0] in ("Bias Frame", "Dark Frame"):
            lines.append(f"stack {name} rej 3 3 -nonorm -out=m_{name}")
    for group, name in names.items():
        if group[0] == "Flat Field":
            lines.append(f"preprocess {name} -bias=m_{names[BIAS]}")
            lines.append(f"stack pp_{name} rej 3 3 -norm=mul -out=m_{name}")
    for group, name in names.items():
        if group[0] == "Light Frame":
            n = len(groups[group])
            lines += _siril_lights(group, name, names, n, registered=registered)
    return "\n".join([*lines, ""])


def _siril_lights(
    group: Group, name: str, names: dict[Group, str], n: int, *, registered: bool
) -> list[str]:
    _, band, _, seconds = group
    dark = names.get(("Dark Frame", "", "", seconds))
    flat = next((v for k, v in names.items() if k[:2] == ("Flat Field", band)), None)
    masters = f"-dark=m_{dark}" if dark else f"-bias=m_{names[BIAS]}"
    if flat:
        masters += f" -flat=m_{flat}"
    if n == 1:
        subtract = f"isub m_{dark}" if dark else f"isub m_{names[BIAS]}"
        divide = [f"fdiv m_{flat} 1"] if flat else []
        return [f"load {name}00001", subtract, *divide, f"save pp_{name}00001"]
    steps = [f"preprocess {name} {masters}"]
    if registered:
        steps.append(f"register pp_{name}")
    lights = f"r_pp_{name}" if registered else f"pp_{name}"
    return [*steps, f"stack {lights} rej 3 3 -norm=addscale -out=s_{name}"]


def expected_light(groups: dict[Group, list[Path]]) -> np.ndarray:
    """Calibrate the checked light by a few lines of numpy in double precision."""
    from astropy.io import fits

    def mean(paths: Sequence[Path]) -> np.ndarray:
        return np.mean(
            [fits.getdata(path).astype(np.float64) for path in paths], axis=0
        )

    light = next(p for paths in groups.values() for p in paths if p.name == CHECKED)
    dark = mean(groups["Dark Frame", "", "", 60.0])
    flats = groups["Flat Field", "Lum", "", 1.0]
    bias = mean(groups[BIAS])
    levelled = [fits.getdata(path) - bias for path in flats]
    flat = np.median([flat / np.median(flat) for flat in levelled], axis=0)
    return (fits.getdata(light) - dark) / flat


def agrees(
    expected: np.ndarray, find: Callable[[], Path]
) -> Callable[[Contender], str]:
    """Make a check of the light, up to the factor by which flats are normalised.

    The masters are combined in different ways, and so a light may differ by part of
    its own noise.
    """
    noise = np.median(np.abs(np.diff(expected, axis=1))) * 1.4826 / 2**0.5

    def check(_: Contender) -> str:
        from astropy.io import fits

        found = fits.getdata(find()).astype(np.float64)
        found *= np.nanmedian(expected) / np.nanmedian(found)
        error = np.nanmedian(np.abs(found - expected)) * 1.4826
        return (
            ""
            if error < 0.5 * noise
            else f"a light is off by {error / noise:.2f} sigma"
        )

    return check


def contenders(
    night: Path, folder: Path, options: argparse.Namespace
) -> list[Contender]:
    groups = grouped(night)
    expected = expected_light(groups)
    out = folder / "reduced"
    command = [AUTOREDUCE, str(night), "-o", str(out)]
    ours = Contender(
        "autoreduce, report included",
        command,
        check=agrees(expected, lambda: out / "calibrated" / CHECKED),
        prepare=lambda: shutil.rmtree(out, ignore_errors=True),
    )
    if not bench.installed("siril-cli"):
        return [ours]
    names = list(groups)
    light = next(i for i, g in enumerate(names) if groups[g][0].name == CHECKED)

    def siril(words: str, place: Path, *, registered: bool) -> Contender:
        def clear() -> None:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            script = siril_script(groups, place, registered=registered)
            (place / "night.ssf").write_text(script)

        return Contender(
            f"siril-cli, {words}",
            ["siril-cli", "-s", str(place / "night.ssf")],
            check=agrees(expected, lambda: place / f"pp_g{light:02d}_00001.fit"),
            prepare=clear,
        )

    peers = [
        siril("pixel work only", folder / "siril", registered=False),
        siril("lights registered", folder / "siril_r", registered=True),
    ]
    return bench.chosen([ours, *peers], options)


def main() -> None:
    options = bench.parser(__doc__, frames=107, size="1663x1252").parse_args()
    with bench.work_folder(options) as folder:
        night = night_frames(folder, options.size)
        paths = sorted(night.glob("*.fit"))
        limits = bench.machine_limits(paths, folder)
        found = contenders(night, folder, options)
        bench.race(found, folder, options.repeat)
        ny, nx = bench.shape_of(options)
        written = 4 * nx * ny * 70
        limit_s = limits.seconds(sum(path.stat().st_size for path in paths), written)
        title = f"the night of the notes, {len(paths)} frames of {options.size}"
        bench.print_race(
            title, found, len(paths) * nx * ny / 1e6, "Mpx-frames", limit_s
        )


if __name__ == "__main__":
    main()
