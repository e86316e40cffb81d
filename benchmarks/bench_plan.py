"""Planning months of nights from many small files, with headers unread and kept.

python benchmarks/bench_plan.py --frames 20000

With ``--slow`` five times as many files are planned as well, to see the cost of one grow.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bench_common as bench
import numpy as np
from bench_common import AUTOREDUCE, Contender

OBJECTS = ("M 13", "M 51", "NGC 6946")
FILTERS = "BVR"
NIGHT = (
    *[("Bias Frame", 0.0, "", "")] * 20,
    *[("Dark Frame", 60.0, "", "")] * 20,
    *[("Dark Frame", 2.0, "", "")] * 10,
    *[("Flat Field", 2.0, name, "") for name in FILTERS for _ in range(10)],
    *[
        ("Light Frame", 60.0, name, target)
        for target in OBJECTS
        for name in FILTERS
        for _ in range(13)
    ],
)
"""Type, exposure, filter and object of the frames of one night."""
LEVELS = {"Bias Frame": 300, "Dark Frame": 330, "Flat Field": 22000, "Light Frame": 900}
SHAPE = (32, 64)
CARD, BLOCK = 80, 2880


def make_nights(folder: Path, n: int) -> list[Path]:
    """Write small frames of as many nights as it takes, each night in its folder."""
    paths = []
    rng = np.random.default_rng(1)
    pixels = {kind: rng.poisson(level, SHAPE) for kind, level in LEVELS.items()}
    for i in range(n):
        night, number = divmod(i, len(NIGHT))
        kind, exptime, filter_name, target = NIGHT[number]
        evening = datetime(2024, 1, 1, 18, tzinfo=UTC) + timedelta(days=night)
        path = folder / f"{evening:%Y-%m-%d}" / f"{kind.split()[0]}_{number:04d}.fit"
        paths.append(path)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        start = evening + timedelta(seconds=75 * number)
        cards = list(_cards(kind, exptime, filter_name, target, start, number))
        header = "".join(cards).ljust(-(-len(cards) // 36) * BLOCK)
        # BZERO of unsigned numbers: the highest bit is turned.
        data = (np.roll(pixels[kind], i) ^ 0x8000).astype(">u2").tobytes()
        path.write_bytes(header.encode() + data.ljust(-(-len(data) // BLOCK) * BLOCK))
    return paths


def _cards(
    kind: str,
    exptime: float,
    filter_name: str,
    target: str,
    start: datetime,
    number: int,
) -> Iterator[str]:
    """Yield the cards of a header as a camera's program writes them."""
    values: dict[str, object] = {
        "SIMPLE": True,
        "BITPIX": 16,
        "NAXIS": 2,
        "NAXIS1": SHAPE[1],
        "NAXIS2": SHAPE[0],
        "BZERO": 32768,
        "BSCALE": 1,
        "IMAGETYP": kind,
        "EXPTIME": exptime,
        "EXPOSURE": exptime,
        "DATE-OBS": f"{start:%Y-%m-%dT%H:%M:%S}",
        "CCD-TEMP": -20 + number % 5 / 10,
        "SET-TEMP": -20.0,
        "XBINNING": 1,
        "YBINNING": 1,
        "XORGSUBF": 0,
        "YORGSUBF": 0,
        "XPIXSZ": 9.0,
        "YPIXSZ": 9.0,
        "EGAIN": 1.4,
        "READOUTM": "1x1",
        "INSTRUME": "Camera of a benchmark",
        "TELESCOP": "Telescope of a benchmark",
        "FOCALLEN": 1000.0,
        "APTDIA": 200.0,
        "SITELAT": "+50 00 00",
        "SITELONG": "+11 00 00",
        "SWCREATE": "MaxIm DL Version 6.20",
        "JD": 2451545.0
        + (start - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1),
        "FOCUSPOS": 12000 + number,
        "OBSERVER": "Somebody",
        "NOTES": "",
        "ROWORDER": "TOP-DOWN",
    }
    if filter_name:
        values["FILTER"] = filter_name
    if target:
        place = OBJECTS.index(target)
        minute, second = divmod(number, 60)
        values |= {
            "OBJECT": target,
            "OBJCTRA": f"{16 + place} {41 + minute % 10} {second:02d}",
            "OBJCTDEC": f"+{36 + place} 27 {second:02d}",
            "AIRMASS": 1.1 + number / 1000,
        }
    for keyword, value in values.items():
        if isinstance(value, str):
            text = f"{repr(value) if value else chr(39) * 2:20}"
        else:
            text = f"{'T' if value is True else value:>20}"
        yield f"{keyword:8}= {text} / as cameras have it".ljust(CARD)[:CARD]
    yield "END".ljust(CARD)


def contenders(folder: Path, nights: Path) -> list[Contender]:
    """Plan with nothing kept, then with what that run has kept of headers and samples."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    found = []
    for name in ("nothing kept", "headers kept"):
        out = folder / name.replace(" ", "_")
        command = [AUTOREDUCE, "plan", str(nights), "-o", str(out)]
        found.append(Contender(f"autoreduce plan, {name}", command, out / "plan.json"))
    found[0].prepare = lambda: shutil.rmtree(folder / "cache", ignore_errors=True)
    return found


def is_whole(n: int) -> Callable[[Contender], str]:
    """Make a check that every frame has a part in the plan."""

    def check(one: Contender) -> str:
        assert one.output is not None
        tasks = json.loads(one.output.read_text())["tasks"]
        planned = {item["file"] for task in tasks for item in task["frames"]}
        return "" if len(planned) == n else f"{len(planned)} frames of {n}"

    return check


def main() -> None:
    options = bench.parser(__doc__, frames=20000, size="64x32").parse_args()
    numbers = [options.frames, 5 * options.frames] if options.slow else [options.frames]
    with bench.work_folder(options) as folder:
        for number in numbers:
            run(folder, number, options)


def run(folder: Path, number: int, options: argparse.Namespace) -> None:
    nights = folder / f"nights{number}"
    paths = make_nights(nights, number)
    limits = bench.machine_limits(paths, folder)
    found = bench.chosen(contenders(folder, nights), options)
    for one in found:
        one.check = is_whole(len(paths))
    bench.race(found, folder, options.repeat)
    limit_s = limits.seconds(sum(path.stat().st_size for path in paths), 0)
    bench.print_race(
        f"a plan of {len(paths)} frames", found, len(paths), "files", limit_s
    )


if __name__ == "__main__":
    main()
