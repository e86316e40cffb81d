"""The command ``open``: the report of a night, in the browser."""

import webbrowser
from pathlib import Path

import click

from autoreduce.cli.options import night_folder
from autoreduce.errors import InputError


@click.command()
@click.argument("folder", type=night_folder)
def command(folder: Path) -> None:
    r"""Show the report of FOLDER, an output folder or the night that was reduced.

    Prints where the report is, and opens it in the browser, if there is one.

    Example:

    \b
        autoreduce open ./night_reduced
        autoreduce open ./night
    """
    from autoreduce.prepare import output_folder

    report = folder / "report.html"
    if not report.is_file():
        report = output_folder([folder]) / report.name
    if not report.is_file():
        msg = (
            f"there is no report.html in {folder}, nor in {report.parent}: run "
            "autoreduce on the night without --no-report"
        )
        raise InputError(msg)
    click.echo(report)
    webbrowser.open(report.resolve().as_uri())
