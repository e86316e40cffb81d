"""``autoreduce stats``: statistics of images."""

from pathlib import Path

import click

from autoreduce.cli.options import (
    chosen_form,
    chosen_region,
    deliver,
    files_argument,
    section_options,
    split_commas,
    table_options,
    tell_failures,
    tell_first_of_several,
)
from autoreduce.errors import InputError, ProductError


@click.command("stats")
@files_argument
@click.option(
    "-s",
    "--statistics",
    multiple=True,
    metavar="S1,S2,...",
    help="num, sum, mean (average), median, mode, std (rms), var, min, max, quantile, "
    "mad, madstd, clipmean, clipmedian, clipstd, saturated, or all "
    "[default: num,mean,median,std,min,max].",
)
@click.option(
    "-q",
    "--quantile",
    multiple=True,
    metavar="Q1,Q2,...",
    help="Quantiles, 0 to 1; those from 1 to 100 with a % are percentiles.",
)
@click.option(
    "--sigma",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Limit of the clipped statistics, in standard deviations.",
)
@click.option(
    "--saturate", type=float, help="Saturation level [default: the header's SATURATE]."
)
@section_options
@click.option(
    "-t", "--per-plane", is_flag=True, help="Statistics of each plane of a cube."
)
@click.option(
    "--per-colour",
    "--per-color",
    is_flag=True,
    help="Statistics of each colour of a Bayer mosaic.",
)
@click.option(
    "-u",
    "--update",
    is_flag=True,
    help="Store the statistics in the header of each file.",
)
@table_options
def command(  # noqa: PLR0913 -- one parameter for each option
    *,
    files: tuple[str, ...],
    statistics: tuple[str, ...],
    quantile: tuple[str, ...],
    sigma: float,
    saturate: float | None,
    section: str | None,
    bounds: tuple[int, ...] | None,
    cube_bounds: tuple[int, ...] | None,
    per_plane: bool,
    per_colour: bool,
    update: bool,
    dry_run: bool,
    output: Path | None,
    as_csv: bool,
    as_json: bool,
    overwrite: bool,
) -> None:
    r"""Print statistics of images as a table.

    They are taken over the finite pixels of the image, or of a section.  Files that
    cannot be read, or with -u written, are named at the end, and the exit status is 1.

    Example:

    \b
        autoreduce stats 'bsub.005[1-9].fit' -b 600 1100 400 700 -o dark_stats.log
        autoreduce stats light.fit -s median,mad,quantile -q 0.01,0.99 --json
        autoreduce stats cube.fits -t --section '[101:200,101:200]'
    """
    from autoreduce.tools import stats as tool
    from autoreduce.tools.filelists import expand

    form = chosen_form(as_csv=as_csv, as_json=as_json)
    names = split_commas(statistics) or list(tool.DEFAULT_STATISTICS)
    quantiles = tuple(_quantile(text) for text in split_commas(quantile))
    if quantiles and "quantile" not in tool.statistic_names(names):
        names.append("quantile")
    if update and (per_plane or per_colour):
        msg = "-u stores one set of statistics; leave -t and --per-colour out"
        raise click.UsageError(msg)
    for q in quantiles if update else ():
        tool.card_of(tool.quantile_name(q))
    settings = tool.Settings(
        quantiles=quantiles or (0.5,), n_sigma=sigma, saturate=saturate
    )
    region = chosen_region(section, bounds, cube_bounds)
    parts: list[tool.Part] = []
    reasons = []
    images = expand(files)
    tell_first_of_several(images)
    for image in images:
        try:
            parts += tool.image_statistics(
                image,
                names,
                region=region,
                per_plane=per_plane,
                per_colour=per_colour,
                settings=settings,
            )
        except InputError as error:
            reasons.append(str(error))
    table = tool.statistics_table(parts)
    deliver(table, form, None if dry_run else output, overwrite=overwrite)
    if update and not dry_run:
        for part in parts:
            try:
                tool.store_statistics(part)
            except (InputError, ProductError) as error:
                reasons.append(str(error))
    tell_failures(reasons)


def _quantile(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        msg = f"-q {text}: write a quantile from 0 to 1, or a percentile such as 99%"
        raise click.UsageError(msg)
    return value
