"""``autoreduce darkfit``: dark counts against exposure."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreduce.cli.options import (
    FilePath,
    chosen_form,
    chosen_region,
    complete_images,
    refuse_idle,
    section_options,
    split_commas,
    table_options,
)
from autoreduce.tools.files import picture_format, refuse_existing, write_text
from autoreduce.tools.listing import Table, TableForm

if TYPE_CHECKING:
    from autoreduce.pixels.darkcurrent import DarkFit
    from autoreduce.tools.darkfit import DarkCounts


@click.command(
    "darkfit", short_help="Fit dark counts against exposure, and tell scale factors."
)
@click.argument("files", nargs=-1, shell_complete=complete_images)
@click.option(
    "--counts",
    multiple=True,
    metavar="T:COUNTS,...",
    help="Counts at exposures, instead of files: 60:11.8,120:17.8,180:23.6.",
)
@click.option(
    "--line",
    type=float,
    nargs=2,
    metavar="OFFSET SLOPE",
    help="Take this line instead of fitting one, for scale factors.",
)
@click.option(
    "-s",
    "--statistic",
    type=click.Choice(["mean", "median"]),
    default="mean",
    show_default=True,
    help="What stands for the counts of a dark.",
)
@section_options
@click.option(
    "--weighted",
    is_flag=True,
    help="Weigh counts by the errors of their means [default: 1 ADU each].",
)
@click.option(
    "-e",
    "--exposures",
    multiple=True,
    metavar="T1,T2,...",
    help="Exposures to give scale factors for, in seconds.",
)
@click.option(
    "-r",
    "--reference",
    type=float,
    metavar="T0",
    help="Exposure of the dark that is scaled [default: the longest].",
)
@click.option(
    "-p",
    "--plot",
    type=FilePath(dir_okay=False),
    help="Draw the fit to this PNG, PDF or SVG file.",
)
@table_options
def command(  # noqa: PLR0913 -- one parameter for each option
    *,
    files: tuple[str, ...],
    counts: tuple[str, ...],
    line: tuple[float, float] | None,
    statistic: str,
    section: str | None,
    bounds: tuple[int, ...] | None,
    cube_bounds: tuple[int, ...] | None,
    weighted: bool,
    exposures: tuple[str, ...],
    reference: float | None,
    plot: Path | None,
    dry_run: bool,
    output: Path | None,
    as_csv: bool,
    as_json: bool,
    overwrite: bool,
) -> None:
    r"""Fit dark counts against exposure: counts = offset + slope * exposure.

    FILES are bias-subtracted (master) darks of two exposures or more.  Their levels
    in a section [default: the middle quarter] are fitted by a straight line, which
    tells by what a long dark is to be multiplied for another exposure.

    Example:

    \b
        autoreduce darkfit 'mean_dark*.fit' -b 600 1100 400 700 -e 1,2,5,10 -p fit.png
        autoreduce darkfit --counts 60:11.8,120:17.8,180:23.6 -e 60
        autoreduce darkfit --line 5.9 0.098 -r 180 -e 1,2,5,10,60,120
    """
    from autoreduce.tools import darkfit as tool
    from autoreduce.tools.filelists import expand

    form = chosen_form(as_csv=as_csv, as_json=as_json)
    measuring = ("statistic", "section", "bounds", "cube_bounds", "weighted")
    if line is not None:
        refuse_idle("--line", *measuring, "plot")
    elif counts:
        refuse_idle("--counts", *measuring)
    if plot is not None:
        picture_format(plot)
        refuse_existing(plot, overwrite=overwrite, option="-p")
    times = [_number(text, "-e") for text in split_commas(exposures)]
    if line is not None:
        if files or counts or not times or reference is None:
            msg = "--line takes -e and -r, and neither files nor --counts"
            raise click.UsageError(msg)
        factors = tool.scale_factors(tool.Line(*line), times, reference)
        _put(
            _factors_text(factors, form),
            None if dry_run else output,
            overwrite=overwrite,
        )
        return
    if bool(files) is bool(counts):
        msg = "give files, or --counts, or --line"
        raise click.UsageError(msg)
    region = chosen_region(section, bounds, cube_bounds)
    if files:
        darks = tool.measure_darks(expand(files), region=region, statistic=statistic)
    else:
        darks = [_given(text) for text in split_commas(counts)]
    _tell_temperatures(darks)
    fit = tool.fit_darks(darks, weighted=weighted)
    if reference is None:
        reference = max(dark.exptime_s for dark in darks)
    factors = tool.scale_factors(tool.Line(fit.offset, fit.slope), times, reference)
    text = _report(tool.counts_table(darks, fit), fit, factors, reference, form)
    _put(text, None if dry_run else output, overwrite=overwrite)
    if plot is not None and not dry_run:
        tool.plot_fit(darks, fit, plot, overwrite=overwrite)


def _tell_temperatures(darks: "list[DarkCounts]") -> None:
    from autoreduce.tools.darkfit import unlike_temperatures

    if apart := unlike_temperatures(darks):
        low, high = apart
        msg = (
            f"the darks are of {low:g} to {high:g} degC, and no one line holds for all: "
            "give those of one temperature"
        )
        click.echo(msg, err=True)


def _put(text: str, output: Path | None, *, overwrite: bool) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text, overwrite=overwrite)


def _factors_text(factors: list[tuple[float, float]], form: TableForm) -> str:
    rounded = tuple((t, round(factor, 4)) for t, factor in factors)
    return Table(("EXPTIME", "factor"), rounded).render(form)


def _report(
    table: Table,
    fit: "DarkFit",
    factors: list[tuple[float, float]],
    reference: float,
    form: TableForm,
) -> str:
    """Write counts, fit and factors: a table each, or one JSON object."""
    from autoreduce.tools.darkfit import with_error

    if form is TableForm.JSON:
        content = {
            "counts": json.loads(table.render(form)),
            "fit": asdict(fit),
            "reference": reference,
            "factors": json.loads(_factors_text(factors, form)),
        }
        return json.dumps(content, indent=2) + "\n"
    line = (
        "Counts = Offset + Slope * ExpTime",
        f"Offset = {with_error(fit.offset, fit.offset_error)}",
        f"Slope = {with_error(fit.slope, fit.slope_error)}",
        f"npts = {fit.n}",
        f"chi2 = {fit.chi_square:.4g}",
    )
    mark = "# " if form is TableForm.CSV else ""
    text = table.render(form) + "".join(f"{mark}{item}\n" for item in line)
    if not factors:
        return text
    told = f"{mark}Factors on a dark of {reference:g} s:\n"
    return text + told + _factors_text(factors, form)


def _given(text: str) -> "DarkCounts":
    from autoreduce.tools.darkfit import DarkCounts

    time, colon, level = text.partition(":")
    if not colon:
        msg = f"--counts {text}: write EXPOSURE:COUNTS, as in 60:11.8"
        raise click.UsageError(msg)
    return DarkCounts("", _number(time, "--counts"), _number(level, "--counts"))


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"{option} {text}: not a number"
        raise click.UsageError(msg) from error
