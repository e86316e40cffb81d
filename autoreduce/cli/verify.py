"""The command ``verify``: whether an output folder holds what was written there."""

import os
import sys
from pathlib import Path

import click

from autoreduce.cli.options import (
    errors_told,
    json_option,
    logging_options,
    night_folder,
)


@click.command(
    short_help="Read products again, and name those that are not as written."
)
@click.argument("folder", type=night_folder)
@click.option(
    "--inputs",
    is_flag=True,
    help="Read the raw frames and the masters of a library as well.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but what is wrong.")
@json_option
@logging_options
def command(folder: Path, *, inputs: bool, quiet: bool, as_json: bool) -> None:
    r"""Read all that was written to FOLDER, and hold it against that.

    FOLDER is an output folder, or the night that was reduced.

    Names what is damaged, was changed or is gone; frames.csv is yours and passed over.
    Nothing is written: `autoreduce NIGHT` makes again what is named.

    Exit status: 0 all is well, 1 something is not, 2 wrong usage.

    Example:

    \b
        autoreduce verify ./night_reduced
        autoreduce verify ./night_reduced --inputs
    """
    from autoreduce.cli import console
    from autoreduce.prepare import products_of
    from autoreduce.running.verify import read_back

    folder = products_of(folder)
    with errors_told("verify", as_json=as_json):
        files, found = read_back(folder, inputs=inputs, jobs=os.cpu_count() or 1)
    if as_json:
        from autoreduce.report.results import check_document

        click.echo(check_document(folder, files, found))
    else:
        console.print_remarks(found)
    if found:
        sys.exit(1)
    if not (quiet or as_json):
        click.echo(f"{folder}: all is as it was written")
