"""The command ``plan``: what would be done, from headers only."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreduce.cli.night_options import choices, night_options
from autoreduce.cli.options import (
    errors_told,
    json_option,
    logging_options,
    night_folder,
)

if TYPE_CHECKING:
    from autoreduce.prepare import Choices


@click.command()
@click.argument(
    "nights",
    nargs=-1,
    required=True,
    type=night_folder,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
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
    from autoreduce.prepare import (
        earlier_outcomes,
        make_folder,
        output_folder,
        prepare_night,
        writing_plan,
    )
    from autoreduce.report.results import plan_document
    from autoreduce.running.ending import tidied
    from autoreduce.running.lock import held

    text = ""
    with errors_told("plan", as_json=as_json):
        folder = output_folder(nights, output)
        prepared = prepare_night(nights, chosen, jobs=os.cpu_count() or 1)
        make_folder(folder)
        with (
            held(folder),
            tidied(folder),
            writing_plan(prepared, folder, earlier_outcomes(folder)) as written,
        ):
            report = written.report
            if as_json:
                text = plan_document(report, folder)
            elif not quiet:
                rows = describe_plan(written.plan, focal_plane(report.frames))
                console.print_plan(rows, report)
                text = f"\nWritten: {folder}/frames.csv, evidence.csv, plan.json"
    if text:
        click.echo(text)
