"""Reading the headers of many files: autoreduce against its peers.

python benchmarks/bench_scan.py --frames 1000

With ``--slow`` ten times as many files are scanned as well, to see the cost of one grow.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import PEERS, Contender
from peers import KEYWORDS


def make_headers(folder: Path, n: int) -> list[Path]:
    """Write small frames with headers of about a hundred cards."""
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"h{i:06d}.fits" for i in range(n)]
    types = ["Bias Frame", "Dark Frame", "Flat Field", "Light Frame"]
    for i, path in enumerate(paths):
        if path.exists():
            continue
        header = fits.Header()
        header["IMAGETYP"] = types[i % 4]
        header["OBJECT"] = f"M{i % 110 + 1}"
        header["FILTER"] = "LRGB"[i % 4]
        header["EXPTIME"] = float(i % 7) * 30
        header["XBINNING"] = header["YBINNING"] = 1
        header["GAIN"] = 1.4
        header["CCD-TEMP"] = -20.0 + i % 3 / 10
        header["DATE-OBS"] = (
            f"2021-02-27T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}"
        )
        header["INSTRUME"] = "Simulated CCD"
        for k in range(80):
            header[f"SPARE{k:03d}"] = (k * 1.5, "one of many cards that nobody reads")
        fits.PrimaryHDU(np.zeros((8, 8), np.uint16), header).writeto(path)
    return paths


def has_rows(n: int, first: str) -> Callable[[Contender], str]:
    """Make a check that a table has a row for each file, and the first one is right."""

    def check(one: Contender) -> str:
        text = one.output.read_text() if one.output else ""
        lines = [line for line in text.splitlines() if first in line or "M" in line]
        return "" if len(lines) >= n else f"{len(lines)} rows of {n}"

    return check


def contenders(folder: Path, headers: Path) -> list[Contender]:
    found = []
    for name in (
        "autoreduce_scan",
        "autoreduce_again",
        "autoreduce_headers",
        "astropy_scan",
        "ccdproc_scan",
    ):
        out = folder / f"{name}.txt"
        command = [sys.executable, PEERS, name, str(out), str(headers)]
        found.append(Contender(name, command, out))
    nothing = [sys.executable, PEERS, "imports", "", ""]
    found.append(Contender("Python and numpy", nothing))
    out = folder / "shell.txt"
    keys = " ".join(KEYWORDS)
    for program, line in {
        "dfits": f"dfits {headers}/*.fits | fitsort {keys} > {out}",
        "astfits": f"astfits {headers}/*.fits -h0 --keyvalue={','.join(KEYWORDS)} > {out}",
    }.items():
        if bench.installed(program):
            found.append(Contender(program, ["sh", "-c", line], out))
    return found


def print_start_up_aside(found: list[Contender], n: int, repeat: int) -> None:
    """Print what headers cost us, the start of the program and its tables aside."""
    shell = next((one for one in found if one.name == "dfits" and one.runs), None)
    rows = []
    for one in found:
        notes = one.output.with_suffix(".seconds") if one.output else None
        if notes and notes.exists():
            seconds = map(float, notes.read_text().split()[-repeat:])
            cpu = statistics.median(seconds)
            ratio = f"{cpu / shell.median('cpu_s'):.1f}" if shell else ""
            rows.append([one.name, f"{cpu:.3f}", f"{1e6 * cpu / n:.0f}", ratio])
    head = ["start-up aside", "CPU s", "us of CPU for a file", "x dfits"]
    bench.print_table(head, rows)


def main() -> None:
    options = bench.parser(__doc__, frames=1000, size="8x8").parse_args()
    numbers = (
        [options.frames, 10 * options.frames] if options.slow else [options.frames]
    )
    with bench.work_folder(options) as folder:
        for number in numbers:
            run(folder, number, options)


def run(folder: Path, number: int, options: argparse.Namespace) -> None:
    headers = folder / f"headers{number}"
    paths = make_headers(headers, number)
    limits = bench.machine_limits(paths, folder)
    found = bench.chosen(contenders(folder, headers), options)
    for one in found:
        if one.output is not None:
            one.check = has_rows(len(paths), "M1")
    bench.race(found, folder, options.repeat)
    limit_s = limits.seconds(sum(path.stat().st_size for path in paths), 0)
    bench.print_race(
        f"headers of {len(paths)} files", found, len(paths), "files", limit_s
    )
    print_start_up_aside(found, len(paths), options.repeat)


if __name__ == "__main__":
    main()
