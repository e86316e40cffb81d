"""Registration of simulated lights with known truth: how far off, how often, how fast.

Prints, for fields of several sizes, the 2-d error of the transform over the field, what
the centres' errors allow, failures, and times; then widths of stars against the truth.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from stack_fields import (
    GAIN,
    Pose,
    add_cosmic_rays,
    add_hot_pixels,
    add_noise,
    draw_field,
    paint,
)

from autoreduce.pixels.register import Registration, match
from autoreduce.pixels.stars import Stars, find_stars

SKY = 200.0
FWHM = 3.0


@dataclass
class Trial:
    """What one pair of lights gave."""

    off: float
    """2-d rms distance from the truth over the field, in pixels; NaN if not matched."""
    allowed: float
    """The same, as the true errors of the matched centres allow."""
    finding: float
    matching: float


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw a dither, a small turn or a flip, a mirror image, a change of scale."""
    return Pose(
        *rng.uniform(-15, 15, 2),
        turn_deg=rng.uniform(-0.5, 0.5) + 180.0 * rng.integers(0, 2),
        scale=1 + rng.uniform(-0.005, 0.005),
        mirrored=rng.random() < 0.25,
    )


def expose(
    field: tuple[np.ndarray, ...], pose: Pose, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Take a light of a field, with 300 cosmic rays and the detector's 500 hot pixels."""
    scene = np.zeros((size, size))
    paint(scene, *pose.seen(field[0], field[1], scene.shape), field[2], FWHM)
    light = add_noise(scene, SKY, rng)
    add_cosmic_rays(light, 300, rng)
    add_hot_pixels(light, 500, np.random.default_rng(1))
    return light


def true_places(field: tuple[np.ndarray, ...], pose: Pose, size: int) -> np.ndarray:
    """Give where the stars are in a light, as complex numbers."""
    x, y = pose.seen(field[0], field[1], (size, size))
    return x + 1j * y


def run_trial(n: int, size: int, rng: np.random.Generator) -> Trial:
    """Register one light on another and compare with the truth."""
    field = draw_field(n, (size, size), rng)
    poses = draw_pose(rng), Pose(*rng.uniform(-15, 15, 2))
    lights = [expose(field, pose, size, rng) for pose in poses]
    start = time.perf_counter()
    stars, reference = (find_stars(light, gain=GAIN) for light in lights)
    found = time.perf_counter()
    registration = match(stars.table, reference.table)
    matched = time.perf_counter()
    times = (found - start) / 2, matched - found
    if registration is None:
        return Trial(np.nan, np.nan, *times)
    here, there = (true_places(field, pose, size) for pose in poses)
    x, y = registration.transform(here.real, here.imag)
    off = np.sqrt(np.mean(np.abs(x + 1j * y - there) ** 2))
    allowed = _allowed(registration, (stars, reference), (here, there))
    return Trial(float(off), allowed, *times)


def _allowed(
    registration: Registration,
    lights: tuple[Stars, Stars],
    truths: tuple[np.ndarray, np.ndarray],
) -> float:
    """Give the expected error of the best fit to centres as bad as those found were."""
    errors = []
    for column, (light, truth) in enumerate(zip(lights, truths, strict=True)):
        rows = light.table[registration.pairs[:, column]]
        places = rows["x"] + 1j * rows["y"]
        off = np.abs(places[:, None] - truth).min(axis=1)
        pulls = np.median(off**2 / rows["error"] ** 2) / (2 * np.log(2))
        errors.append(rows["error"] * np.sqrt(pulls))
    weight = 1 / (errors[0] ** 2 + errors[1] ** 2)
    z = lights[0].table[registration.pairs[:, 0]]
    z = z["x"] + 1j * z["y"]
    middle = np.average(z, weights=weight)
    power = np.sum(weight * np.abs(z - middle) ** 2)
    spread = np.mean(np.abs(truths[0] - middle) ** 2)
    return float(np.sqrt(2 * (1 / weight.sum() + spread / power)))


def print_registrations(trials: int, size: int) -> None:
    """Print a row for each number of stars."""
    print("stars  failed  off px   worst  allowed  ratio  find s  match s")
    for n in (12, 300, 3000):
        rng = np.random.default_rng(n)
        done = [run_trial(n, size, rng) for _ in range(trials)]
        failed = sum(not t.off < 1 for t in done)
        good = [t for t in done if t.off < 1]
        off, allowed = (
            np.sqrt(np.mean([getattr(t, name) ** 2 for t in good]))
            for name in ("off", "allowed")
        )
        worst = max(t.off for t in good)
        finding = np.median([t.finding for t in done])
        matching = np.median([t.matching for t in done])
        print(
            f"{n:5d}  {failed:2d}/{trials:<3d}  {off:.4f}  {worst:.4f}  {allowed:.4f}"
            f"   {off / allowed:5.2f}  {finding:6.3f}  {matching:7.3f}"
        )


def print_widths(size: int) -> None:
    """Print measured over true width, for profiles, widths and numbers of stars."""
    widths = 1.8, 2.5, 4.0, 6.0, 8.0
    print("\nfwhm / truth  " + "".join(f"{fwhm:7.1f}" for fwhm in widths))
    for n in (30, 300, 3000):
        for beta in (2.5, 4.0, None):
            row = []
            for fwhm in widths:
                rng = np.random.default_rng(n)
                scene = np.zeros((size, size))
                paint(scene, *draw_field(n, scene.shape, rng), fwhm, beta=beta)
                measured = find_stars(add_noise(scene, SKY, rng)).statistics
                row.append(f"{measured.fwhm_pixel / fwhm:7.3f}")
            name = "Gauss" if beta is None else f"b={beta}"
            print(f"{n:5d}  {name:7s}" + "".join(row))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--size", type=int, default=2048)
    choice = parser.parse_args()
    print_registrations(choice.trials, choice.size)
    print_widths(choice.size)


if __name__ == "__main__":
    main()
