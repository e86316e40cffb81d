"""``autoreduce combine``: images combined into one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreduce.cli.options import (
    FilePath,
    counted,
    dry_run_option,
    files_argument,
    memory_option,
    overwrite_option,
    tell_first_of_several,
)

if TYPE_CHECKING:
    from autoreduce.pixels.combination import Combination
    from autoreduce.tools.combine import Combining, Level

METHODS = (
    "average", "mean", "median", "quantile", "min", "max", "std", "rms", "var", "sum",
)  # fmt: skip
CLIPPINGS = ("none", "min", "max", "minmax", "sigma", "winsorized", "percentile")
LEVELS = ("none", "mean", "median", "sum")


@click.command("combine")
@files_argument
@click.option(
    "-o",
    "--output",
    type=FilePath(dir_okay=False),
    required=True,
    help="The product.",
)
@click.option(
    "-m",
    "--method",
    type=click.Choice(METHODS),
    default="median",
    show_default=True,
    help="What is computed from the samples of each pixel; rms is std.",
)
@click.option(
    "-a",
    "--argument",
    metavar="LEVEL|Q",
    help="For average: weigh frames by their mean, median or sum. "
    "For quantile: which one, 0 to 1 [default: 0.5].",
)
@click.option(
    "-c",
    "--clip",
    type=click.Choice(CLIPPINGS),
    default="none",
    show_default=True,
    help="Samples to drop first.",
)
@click.option(
    "-d",
    "--drop",
    metavar="N|LOW,HIGH",
    help="For min, max, minmax: how many samples [default: 1]. For sigma and "
    "winsorized: limits in sigma [default: 3]. For percentile: limits as fractions "
    "of the median [default: 0.1].",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Passes of sigma and winsorized clipping at most.",
)
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    help="Noise of a sample, one sigma: clipping takes no scatter for less "
    "[default: as pairs of the frames show it].",
)
@click.option(
    "-N",
    "--normalize",
    "--normalise",
    type=click.Choice(LEVELS),
    default="none",
    show_default=True,
    help="Scale every frame to this level of the first one before clipping.",
)
@click.option("-u", "--unit-mean", is_flag=True, help="Divide the result by its mean.")
@click.option(
    "-s",
    "--shift",
    type=click.IntRange(-63, 47),
    default=0,
    metavar="BITS",
    help="Shift integer pixels left (+) or right (-) first.",
)
@click.option(
    "-r",
    "--reduce-cubes",
    is_flag=True,
    help="Combine the planes of cubes along their first axis, to a 2-D image.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Bands of large images combined at a time; all cores.",
)
@memory_option
@overwrite_option
@dry_run_option
def command(  # noqa: PLR0913 -- one parameter for each option
    *,
    files: tuple[str, ...],
    output: Path,
    method: str,
    argument: str | None,
    clip: str,
    drop: str | None,
    iterations: int,
    noise: float | None,
    normalize: str,
    shift: int,
    jobs: int | None,
    memory: int | None,
    unit_mean: bool,
    reduce_cubes: bool,
    overwrite: bool,
    dry_run: bool,
) -> None:
    r"""Combine images pixel by pixel into one.

    Any number of FILES fits into the memory: bands of rows are read, combined and
    written one after the other.

    Example:

    \b
        autoreduce combine 'bias.00[1-5]*.fit' -m mean -o mean_bias.fit
        autoreduce combine 'flat.*.fit' -N mean -c max -d 1 -m median -u -o flat.fit
        autoreduce combine a.fit,b.fit,c.fit -m average -a mean -o mean.fit
        autoreduce combine cube.fits -r -m mean -o mean.fits
    """
    from autoreduce.running.server import COMBINING, start_for
    from autoreduce.tools.filelists import expand

    images = expand(files)
    tell_first_of_several(images)
    jobs = jobs or os.cpu_count() or 1
    if jobs > 1 and not dry_run:
        start_for(map(Path, images), COMBINING)
    from autoreduce.tools.combine import Combining, Level, combine_images

    choices = Combining(
        how=_combination(method, argument, clip, drop, iterations),
        weight=_weight(method, argument),
        normalize=None if normalize == "none" else Level(normalize),
        unit_mean=unit_mean,
        shift=shift,
        reduce_cubes=reduce_cubes,
        noise=noise,
    )
    if dry_run:
        _tell(images, output, choices)
        return
    summary = combine_images(
        images, output, choices, memory=memory, jobs=jobs, overwrite=overwrite
    )
    rejected = sum(summary.n_rejected)
    words = [f"{counted(summary.n_frames, 'frame')} -> {summary.output}"]
    words += [f"{counted(rejected, 'sample')} rejected"] if rejected else []
    if summary.n_empty:
        words.append(f"{counted(summary.n_empty, 'pixel')} without samples")
    if summary.unit_factor is not None:
        words.append(f"divided by its mean {summary.unit_factor:.6g}")
    click.echo("; ".join(words))
    if len(summary.filters) > 1:
        told = ", ".join(summary.filters)
        click.echo(f"the frames are of several filters: {told}", err=True)


def _tell(images: list[str], output: Path, choices: "Combining") -> None:
    for image in images:
        click.echo(image)
    click.echo(f"{counted(len(images), 'file')} -> {output} ({choices.how.method})")


def _combination(
    method: str, argument: str | None, clip: str, drop: str | None, iterations: int
) -> "Combination":
    from autoreduce.pixels.combination import Combination, Method, Rejection

    plain = {"average": "mean", "rms": "std"}.get(method, method)
    quantile = 0.5
    if method == "quantile" and argument is not None:
        quantile = _number(argument, "-a")
    rejection = Rejection.MINMAX if clip in ("min", "max", "minmax") else clip
    is_clip = clip not in ("none", "min", "max", "minmax")
    low, high = _limits(clip, drop)
    try:
        return Combination(
            method=Method(plain),
            rejection=Rejection(rejection),
            low=low if is_clip else 3.0,
            high=high if is_clip else 3.0,
            drop_low=0 if is_clip or clip in ("none", "max") else int(low),
            drop_high=0 if is_clip or clip in ("none", "min") else int(high),
            iterations=iterations,
            quantile=quantile,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _weight(method: str, argument: str | None) -> "Level | None":
    from autoreduce.tools.combine import Level

    if argument is None or method == "quantile":
        return None
    if method != "average" or argument not in LEVELS[1:]:
        msg = "-a is mean, median or sum for -m average, and a number for -m quantile"
        raise click.UsageError(msg)
    return Level(argument)


def _limits(clip: str, drop: str | None) -> tuple[float, float]:
    """Read N or LOW,HIGH; the defaults differ between the kinds of clipping."""
    defaults = {"sigma": 3.0, "winsorized": 3.0, "percentile": 0.1}
    if drop is None:
        default = defaults.get(clip, 1.0)
        return default, default
    if clip == "none":
        msg = "-d needs a clipping (-c)"
        raise click.UsageError(msg)
    numbers = [_number(part, "-d") for part in drop.split(",")]
    whole = clip in ("min", "max", "minmax")
    if len(numbers) > 2 or (whole and any(n % 1 or n < 0 for n in numbers)):
        form = ", whole numbers" if whole else ""
        msg = f"-d {drop}: write N or LOW,HIGH{form} for -c {clip}"
        raise click.UsageError(msg)
    return numbers[0], numbers[-1]


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"{option} {text}: not a number"
        raise click.UsageError(msg) from error
