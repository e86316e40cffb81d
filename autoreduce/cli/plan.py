"""The command ``plan``: what would be done, from headers only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreduce.cli.night_options import choices, night_options

if TYPE_CHECKING:
    from autoreduce.prepare import Choices


@click.command()
@click.argument(
    "nights",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for frames.csv and plan.json; NIGHT_reduced if not given.",
)
@night_options
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(nights: tuple[Path, ...], **options: Any) -> None:
    r"""Plan the reduction of NIGHTS without reading a pixel.

    Prints each group of frames and what it will be calibrated with, and writes
    frames.csv, evidence.csv and plan.json.  Edit frames.csv and give it back with
    --frames to steer the reduction.

    Example:

    \b
        autoreduce plan ./night/
        autoreduce plan ./night/ --set '*_flat_*: imagetyp=flat'
    """
    plan_only(nights, options["output"], choices(options), quiet=options["quiet"])


def plan_only(
    nights: Sequence[Path], output: Path | None, chosen: "Choices", *, quiet: bool
) -> None:
    """Plan a night, write the plan, and print it unless `quiet`."""
    from autoreduce.cli import console
    from autoreduce.planning.explain import describe_plan
    from autoreduce.prepare import (
        earlier_outcomes,
        make_folder,
        output_folder,
        prepare_night,
        write_plan,
    )
    from autoreduce.running.lock import held

    folder = output_folder(nights, output)
    prepared = prepare_night(nights, chosen)
    make_folder(folder)
    with held(folder):
        prepared = write_plan(prepared, folder, earlier_outcomes(folder))
    if not quiet:
        console.print_plan(describe_plan(prepared.frames, prepared.plan))
        click.echo(f"\nWritten: {folder}/frames.csv, evidence.csv, plan.json")
