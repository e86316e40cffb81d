"""``autoreduce dialects``: the header tables, and how a file is read by them."""

from pathlib import Path

import click

from autoreduce.cli.options import FilePath

own_tables = click.option(
    "--dialect",
    "dialects",
    multiple=True,
    type=FilePath(exists=True, dir_okay=False),
    help="A dialect table of your own; may be given several times.",
)

_CHECK_HELP = """Show how FILE is read: every fact, and the card that gave it.

FILE is a FITS file, or a text file (.txt) with header cards, one a line.

Example:

\b
    autoreduce dialects check night/light_001.fit
    autoreduce dialects check light_001.fit --dialect my_camera.toml
"""


@click.group(
    name="dialects",
    invoke_without_command=True,
    short_help="List header dialects, or show how a file is read.",
)
@own_tables
@click.pass_context
def command(context: click.Context, dialects: tuple[Path, ...]) -> None:
    r"""List the header dialects, in the order in which they are tried.

    Example:

    \b
        autoreduce dialects
        autoreduce dialects --dialect my_camera.toml
        autoreduce dialects check night/light_001.fit
    """
    if context.invoked_subcommand is not None:
        return
    from autoreduce.frames.dialects import load_dialects

    for dialect in load_dialects(dialects):
        click.echo(f"{dialect.name:18} {dialect.title}")


@command.command(help=_CHECK_HELP)
@click.argument("file", type=FilePath(exists=True, dir_okay=False))
@own_tables
def check(file: Path, dialects: tuple[Path, ...]) -> None:
    """Show how a file is read; `_CHECK_HELP` tells the observer."""
    from autoreduce.frames.scan import read_file

    for frame in read_file(file, dialects=dialects):
        size = " x ".join(map(str, frame.shape))
        title = frame.dialect.title
        click.echo(
            f"{frame.file}: {size} pixels, read as {frame.dialect.name} ({title})"
        )
        for _, fact, value, keyword, literal, rule, disagree in frame.evidence():
            if fact == "dialect":
                continue
            source = f"{keyword} = {literal}" if keyword else "-"
            click.echo(f"  {fact:10} {value or '?':26} {source}  [{rule}]")
            if disagree:
                click.echo(f"  {'':10} {'':26} but {disagree}")
        if frame.why_not:
            click.echo(f"  left out: {frame.why_not}")
