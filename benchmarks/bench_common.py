"""What the benchmarks share: processes that are measured, limits, tables, options."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent
AUTOREDUCE = str(SCRIPTS / "autoreduce")
PEERS = str(HERE / "peers.py")
MEBI = 1 << 20


@dataclass(frozen=True)
class Run:
    """One run of a process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass
class Contender:
    """A program that does the job, and where it leaves the result."""

    name: str
    command: Sequence[str]
    output: Path | None = None
    check: Callable[["Contender"], str] = lambda _: ""
    """Returns what is wrong with the output; nothing if it is right."""
    prepare: Callable[[], None] = lambda: None
    """Called before each run, and not timed."""
    folder: Path | None = None
    runs: list[Run] = field(default_factory=list)
    fault: str = ""

    def median(self, what: str) -> float:
        """Give the median of a field of the runs."""
        return statistics.median(getattr(run, what) for run in self.runs)


LAUNCHER = """
import ctypes, json, os, sys, threading, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans of the program become children of this one
own, peak, over = os.getpid(), 0, threading.Event()

def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])

def memory(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))

def watch():
    global peak
    while not over.wait(0.1):
        total, parents = 0, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                parents[int(pid)] = parent(pid)
            except OSError:
                pass
        family, size = {own}, 0
        while size != len(family):
            size = len(family)
            family |= {pid for pid, above in parents.items() if above in family}
        if len(family) == 2:
            continue
        for pid in family - {own}:
            try:
                total += memory(pid)
            except OSError:
                pass
        peak = max(peak, total)

start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
watcher = threading.Thread(target=watch)
watcher.start()
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - start
over.set()
watcher.join()
cpu = used.ru_utime + used.ru_stime
while True:
    try:
        _, _, rest = os.wait4(-1, 0)
    except ChildProcessError:
        break
    cpu += rest.ru_utime + rest.ru_stime
found = [os.waitstatus_to_exitcode(status), wall, cpu, max(used.ru_maxrss, peak)]
print(json.dumps(found), file=sys.stderr)
"""
"""A process inherits the peak memory of the one that starts it: this one is small.  Where
there are several processes, what they hold together is looked at ten times a second."""


def measured(command: Sequence[str], folder: Path) -> Run:
    """Run a process with all its children, and say what it took."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "pycache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    log = folder / "last.log"
    with log.open("w") as sink:
        launcher = subprocess.run(
            [sys.executable, "-ISc", LAUNCHER, *command],
            cwd=folder,
            env=environment,
            stdout=sink,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    code, wall, cpu, peak = json.loads(launcher.stderr.splitlines()[-1])
    if code:
        tail = log.read_text(errors="replace")[-500:] + launcher.stderr[-1500:]
        msg = f"{' '.join(map(str, command))[:100]} ended with {code}:\n{tail}"
        raise RuntimeError(msg)
    return Run(wall, cpu, peak / 1024)


def race(contenders: list[Contender], folder: Path, repeat: int) -> list[Contender]:
    """Run all in turn; a first round warms up and is checked, and not timed.

    Taking turns, a machine that slows down for a while slows all of them.
    """
    for one in contenders:
        try:
            one.prepare()
            measured(one.command, one.folder or folder)
            one.fault = one.check(one)
        except (RuntimeError, OSError) as error:
            one.fault = f"failed: {error}"
        print(f"checked {one.name}: {one.fault or 'right'}", file=sys.stderr)
    right = [one for one in contenders if not one.fault]
    for _ in range(repeat):
        for one in right:
            one.prepare()
            one.runs.append(measured(one.command, one.folder or folder))
    return contenders


def print_table(head: Sequence[str], rows: list[Sequence[str]]) -> None:
    """Print a table as Markdown, aligned."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("| " + " | ".join(cells) + " |")
    print()


def print_race(
    title: str, contenders: list[Contender], work: float, unit: str, limit_s: float
) -> None:
    """Print what a race came to.

    Parameters
    ----------
    title : str
        What was done.
    contenders : list of Contender
        The first one is ours; the others are compared with it.
    work : float
        How much was done, in `unit`.
    unit : str
        Unit of the work.
    limit_s : float
        What the machine itself needs to read the input and write the output.
    """
    print(f"### {title}\n")
    ours, rows = contenders[0], []
    for one in contenders:
        if one.fault:
            rows.append([one.name, *["-"] * 6, one.fault.splitlines()[0][:60]])
            continue
        wall, cpu = one.median("wall_s"), one.median("cpu_s")
        rows.append(
            [
                one.name,
                f"{wall:.2f}",
                f"{cpu:.2f}",
                f"{work / wall:.3g}",
                f"{one.median('peak_mb'):.0f}",
                f"{wall / limit_s:.1f}",
                _ratio(ours, one),
                "",
            ]
        )
    head = ["", "wall s", "CPU s", f"{unit}/s", "peak MB", "x limit"]
    print_table([*head, "ours / theirs, wall (CPU)", "fault"], rows)


def _ratio(ours: Contender, other: Contender) -> str:
    if ours is other or ours.fault:
        return ""
    wall = statistics.median(
        a.wall_s / b.wall_s for a, b in zip(ours.runs, other.runs, strict=True)
    )
    cpu = statistics.median(
        a.cpu_s / b.cpu_s for a, b in zip(ours.runs, other.runs, strict=True)
    )
    return f"{wall:.2f} ({cpu:.2f})"


# ---------------------------------------------------------------- the machine's limits


@dataclass(frozen=True)
class Limits:
    """What the machine can do, measured now."""

    copy: float
    """Memory copied, read and written, byte/s."""
    read: float
    """Files that are in the page cache read into one small buffer, byte/s."""
    write: float
    """A new file written from one small buffer, byte/s."""

    def seconds(self, read: float, written: float) -> float:
        """Give the time to read and to write so many bytes."""
        return read / self.read + written / self.write


def machine_limits(files: Sequence[Path], folder: Path) -> Limits:
    """Measure the machine with the files of the benchmark."""
    source, target = np.ones(64 * MEBI, np.uint8), np.ones(64 * MEBI, np.uint8)
    copy = _best(lambda: np.copyto(target, source))
    buffer = bytearray(MEBI)

    def read() -> None:
        for path in files:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def write() -> None:
        (folder / "limit.bin").unlink(missing_ok=True)
        with (folder / "limit.bin").open("wb", buffering=0) as file:
            for _ in range(256):
                file.write(buffer)

    size = sum(path.stat().st_size for path in files)
    limits = Limits(
        copy=2 * source.nbytes / copy,
        read=size / _best(read),
        write=256 * MEBI / _best(write),
    )
    (folder / "limit.bin").unlink()
    print(
        f"{os.cpu_count()} cores; copy {limits.copy / 1e9:.1f} GB/s, "
        f"read {limits.read / 1e9:.1f} GB/s, write {limits.write / 1e9:.1f} GB/s\n"
    )
    return limits


def _best(work: Callable[[], object], times: int = 3) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


# --------------------------------------------------------------------------- options


def parser(description: str, *, frames: int, size: str) -> argparse.ArgumentParser:
    """Make the command line that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--frames", type=int, default=frames, help="number of frames")
    options.add_argument("--size", default=size, help="columns x rows of a frame")
    options.add_argument("--repeat", type=int, default=3, help="timed runs of each")
    options.add_argument(
        "--folder", type=Path, help="where to work, and to keep frames"
    )
    options.add_argument("--slow", action="store_true", help="peers of minutes as well")
    options.add_argument("--only", help="contenders whose name holds this, and ours")
    return options


def shape_of(options: argparse.Namespace) -> tuple[int, int]:
    nx, ny = map(int, options.size.lower().split("x"))
    return ny, nx


def chosen(contenders: list[Contender], options: argparse.Namespace) -> list[Contender]:
    """Leave out what is not asked for."""
    ours, *peers = contenders
    return [ours, *(p for p in peers if not options.only or options.only in p.name)]


@contextmanager
def work_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Give the folder to work in; a temporary one is removed."""
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        yield options.folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="autoreduce-bench-") as name:
        yield Path(name)


def installed(program: str) -> bool:
    return shutil.which(program) is not None


def removed(*paths: Path) -> Callable[[], None]:
    """Make a preparation that removes files."""
    return lambda: [path.unlink(missing_ok=True) for path in paths] and None


# ---------------------------------------------------------------------------- frames


def make_frames(folder: Path, n: int, shape: tuple[int, int]) -> list[Path]:
    """Write raw frames with pattern, noise and cosmic rays, once for a folder."""
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"f{i:05d}.fits" for i in range(1, n + 1)]
    truth = true_level(shape)
    for i, path in enumerate(paths):
        if path.exists() and fits.getheader(path)["NAXIS2"] == shape[0]:
            continue
        rng = np.random.default_rng(i)
        frame = truth + NOISE * rng.standard_normal(shape, dtype=np.float32)
        hits = rng.integers(0, frame.size, frame.size // 5000)
        frame.reshape(-1)[hits] += rng.uniform(100, 30000, hits.size)
        data = np.clip(frame.round(), 0, 65535).astype(np.uint16)
        fits.PrimaryHDU(data).writeto(path, overwrite=True)
    return paths


NOISE = 8.0
"""Noise of a frame, one sigma, ADU."""


def true_level(shape: tuple[int, int]) -> np.ndarray:
    """Give what all frames have in common."""
    rng = np.random.default_rng(20210227)
    return 1000 + 10 * rng.standard_normal(shape, dtype=np.float32)
