"""The command ``plan``: what would be done, from headers only."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreduce.cli.night_options import choices, night_options
from autoreduce.cli.options import (
    FilePath,
    errors_told,
    json_option,
    logging_options,
    night_folder,
)

if TYPE_CHECKING:
    from autoreduce.prepare import Choices, PlannedNight


@click.command(short_help="Tell what would be done, from headers and a few rows.")
@click.argument(
    "nights",
    nargs=-1,
    required=True,
    type=night_folder,
)
@click.option(
    "-o",
    "--output",
    type=FilePath(),
    help="Folder for frames.csv and plan.json; NIGHT_reduced if not given.",
)
@night_options
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@json_option
@logging_options
def command(nights: tuple[Path, ...], **options: Any) -> None:
    r"""Plan the reduction of NIGHTS from headers and a few rows of each frame.

    Prints each group of frames and what it will be calibrated with, and writes
    frames.csv, evidence.csv and plan.json.  Edit frames.csv and give it back with
    --frames to steer the reduction.

    Example:

    \b
        autoreduce plan ./night/
        autoreduce plan ./night/ --set '*_flat_*: imagetyp=flat'
    """
    quiet, as_json = options.pop("quiet"), options.pop("as_json")
    output = options.pop("output")
    plan_only(nights, output, choices(options), quiet=quiet, as_json=as_json)


def plan_only(
    nights: Sequence[Path],
    output: Path | None,
    chosen: "Choices",
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Plan a night, write the plan, and print it unless `quiet`."""
    from autoreduce.running.server import READING, start_for

    start_for(nights, READING)
    from autoreduce.cli import console
    from autoreduce.planning.explain import describe_plan
    from autoreduce.planning.focalplane import focal_plane
    from autoreduce.prepare import output_folder
    from autoreduce.report.results import plan_document

    with errors_told("plan", as_json=as_json):
        folder = output_folder(nights, output)
        prepared = _written_plan(nights, folder, chosen)
    if as_json:
        click.echo(plan_document(prepared.report, folder))
    elif not quiet:
        report = prepared.report
        rows = describe_plan(prepared.plan, focal_plane(report.frames))
        console.print_plan(rows, report)
        click.echo(f"\nWritten: {folder}/frames.csv, evidence.csv, plan.json")


def _written_plan(
    nights: Sequence[Path], folder: Path, chosen: "Choices"
) -> "PlannedNight":
    """Plan a night, and write the plan to the output folder."""
    from autoreduce.prepare import (
        earlier_outcomes,
        make_folder,
        prepare_night,
        write_plan,
    )
    from autoreduce.running.lock import held

    prepared = prepare_night(nights, chosen, jobs=os.cpu_count() or 1)
    make_folder(folder)
    with held(folder):
        return write_plan(prepared, folder, earlier_outcomes(folder))
