"""The combine kernels alone, on stacks in memory: what decided how they are built.

python benchmarks/bench_kernels.py            # methods, tiles and clipping
python benchmarks/bench_kernels.py --only tiles
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from bench_common import NOISE, print_table

from autoreduce.pixels import combine as kernel
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.network import ordered, pruned_network

TYPES = (np.uint16, np.float32)
COMBINATIONS = {
    "mean": Combination(),
    "median": Combination(Method.MEDIAN),
    "drop highest": Combination(rejection=Rejection.MINMAX, drop_high=1),
    "clip 4 sigma": Combination(rejection=Rejection.SIGMA, low=4, high=4),
    "clip 3 sigma": Combination(rejection=Rejection.SIGMA),
    "3 sigma, noise unknown": Combination(rejection=Rejection.SIGMA),
    "winsorized": Combination(rejection=Rejection.WINSORIZED),
    "std": Combination(Method.STD),
}


def make_stack(n: int, dtype: type, rows: int = 64, columns: int = 4096) -> np.ndarray:
    """Make frames with one pattern, noise and cosmic rays."""
    rng = np.random.default_rng(1)
    stack = rng.normal(0, NOISE, (n, rows, columns))
    stack += rng.normal(1000, 10, (rows, columns))
    hits = rng.integers(0, stack.size, stack.size // 5000)
    stack.reshape(-1)[hits] += rng.uniform(100, 30000, hits.size)
    return stack.round().astype(dtype) if dtype is np.uint16 else stack.astype(dtype)


def speed(work: Callable[[], object], samples: int, times: int = 3) -> str:
    """Give the best rate in millions of samples a CPU second."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return f"{samples / min(found) / 1e6:.0f}"


def methods(counts: list[int]) -> None:
    """Print the rate of each way to combine, and of numpy's median and sort."""
    rows = []
    for n in counts:
        for dtype in TYPES:
            stack = make_stack(n, dtype)
            cells = [
                speed(
                    partial(kernel.combine, stack, how, noise=_noise(name)),
                    stack.size,
                )
                for name, how in COMBINATIONS.items()
            ]
            numpy = speed(lambda s=stack: np.median(s, axis=0), stack.size, times=1)
            rows.append([str(n), dtype.__name__, *cells, numpy])
    print("### Mpx-frames per CPU second\n")
    print_table(["frames", "type", *COMBINATIONS, "np.median"], rows)


def _noise(name: str) -> float | None:
    return None if "unknown" in name else NOISE


def tiles() -> None:
    """Print the rate of a median network for rows of several lengths."""
    rows = []
    for n in (5, 20, 60):
        middle = {(n - 1) // 2, n // 2}
        groups = tuple(0 if rank in middle else None for rank in range(n))
        operations = sum(c.wants_low + c.wants_high for c in pruned_network(groups))
        for dtype in TYPES:
            stack = make_stack(n, dtype).reshape(n, -1)
            cells = []
            for kib in (8, 32, 128, 512):
                width = kib * 1024 // stack.itemsize
                work = partial(_network, stack, groups, width)
                cells.append(speed(work, stack.size))
            rows.append([str(n), dtype.__name__, str(operations), *cells])
    print("### Median network: Mpx-frames per CPU second by the length of a row\n")
    print_table(["frames", "type", "operations", "8 KiB", "32", "128", "512"], rows)


def _network(stack: np.ndarray, groups: tuple[int | None, ...], width: int) -> None:
    spare = np.empty((len(stack) + 2, width), stack.dtype)
    for start in range(0, stack.shape[1], width):
        rows = [row[start : start + width] for row in stack]
        ordered(rows, groups, [buffer[: rows[0].size] for buffer in spare])


def scales() -> None:
    """Print what clipping at 4 scales loses and catches, by the scale it uses."""
    rng = np.random.default_rng(2)
    rows = []
    for n in (3, 5, 7, 10, 20, 40):
        clean = rng.normal(0, 1, (n, 1, 20000))
        hit = clean.copy()
        hit[0] += 15
        how = Combination(rejection=Rejection.SIGMA, low=4, high=4)
        cells = []
        for floor in (1.0, 0.5, 0.0):
            lost = kernel.combine(clean, how, noise=floor).rejected.sum() / clean.size
            caught = kernel.combine(hit, how, noise=floor).rejected[0] / 20000
            cells.append(f"{lost:.3%} / {caught:.1%}")
        deviation = np.abs(hit[0] - np.median(hit, axis=0))
        about_median = (hit - np.median(hit, axis=0)) ** 2
        std = np.sqrt(about_median.sum(axis=0) / (n - 1))
        cells.append(f"{np.mean(deviation > 4 * std):.1%}")
        rows.append([str(n), *cells])
    print("### Good samples lost / rays of 15 sigma caught, at 4 scales\n")
    head = ["MAD, floor right", "MAD, floor half", "MAD alone", "std (caught)"]
    print_table(["frames", *head], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=("methods", "tiles", "scales"))
    options.add_argument("--frames", default="5,20,60,200", help="sizes of the stacks")
    chosen = options.parse_args()
    counts = [int(n) for n in chosen.frames.split(",")]
    if chosen.only in (None, "methods"):
        methods(counts)
    if chosen.only in (None, "tiles"):
        tiles()
    if chosen.only in (None, "scales"):
        scales()


if __name__ == "__main__":
    main()
