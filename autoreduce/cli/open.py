"""The command ``open``: the report of a night, in the browser."""

import webbrowser
from pathlib import Path

import click

from autoreduce.cli.options import night_folder
from autoreduce.errors import InputError


@click.command(short_help="Show the report of a reduced night in the browser.")
@click.argument("folder", type=night_folder)
def command(folder: Path) -> None:
    r"""Show the report of FOLDER, an output folder or the night that was reduced.

    Prints where the report is, and opens it in the browser, if there is one.

    Example:

    \b
        autoreduce open ./night_reduced
        autoreduce open ./night
    """
    from autoreduce.prepare import is_output, products_of

    folder = products_of(folder)
    report = folder / "report.html"
    if not report.is_file():
        msg = (
            f"there is no report.html in {folder}: run autoreduce on the night without "
            "--no-report"
        )
        if not is_output(folder):
            msg = (
                f"{folder} holds no products of autoreduce: name an output folder, or a "
                "night that was reduced"
            )
        raise InputError(msg)
    click.echo(report)
    webbrowser.open(report.resolve().as_uri())
