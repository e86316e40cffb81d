"""The commands ``library add``, ``list`` and ``check``: masters of other nights."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from autoreduce.cli.options import FilePath

_FOLDER = FilePath(file_okay=False)
_SOURCE = FilePath(exists=True)


def _library_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that names the library."""
    return click.option(
        "--library",
        required=True,
        type=_FOLDER,
        envvar="AUTOREDUCE_LIBRARY",
        show_envvar=True,
        help="Folder of the library.",
    )(function)


@click.group(short_help="Keep masters of other nights, for nights that lack their own.")
def command() -> None:
    r"""Keep masters of other nights in one folder, for nights that lack their own.

    `autoreduce NIGHT --library DIR` may then use them; what is newer and nearer comes
    first, as the rules say.

    Example:

    \b
        autoreduce library add night_reduced --library ~/masters
        autoreduce library list --library ~/masters
        autoreduce ./other_night/ --library ~/masters
    """


@command.command()
@click.argument("sources", nargs=-1, required=True, type=_SOURCE)
@_library_option
@click.option(
    "--dialect",
    "dialects",
    multiple=True,
    type=FilePath(exists=True, dir_okay=False),
    metavar="TOML",
    help="A dialect table for headers that autoreduce does not know.",
)
@click.option(
    "--dark-bias",
    type=click.Choice(["kept", "subtracted"]),
    help="Whether darks of other programs hold their bias, if headers do not tell.",
)
def add(
    sources: tuple[Path, ...],
    library: Path,
    dialects: tuple[Path, ...],
    dark_bias: str | None,
) -> None:
    r"""Copy masters into the library; what is there is never replaced.

    SOURCES are output folders, whose masters are all taken, and FITS files, also
    masters of other programs.

    Exit status: 0 done, 1 a master was refused, 2 wrong usage.

    Example:

    \b
        autoreduce library add night_reduced --library ~/masters
        autoreduce library add MasterDark_300s.fit --dark-bias kept --library ~/masters
    """
    from autoreduce.library.masters import add_to_library

    keeps_bias = None if dark_bias is None else dark_bias == "kept"
    added = add_to_library(library, sources, dialects=dialects, keeps_bias=keeps_bias)
    for master in added:
        if master.reason:
            click.echo(f"refused: {master.reason}", err=True)
            continue
        click.echo(f"{'added' if master.is_new else 'there already'}: {master.file}")
        for remark in master.remarks:
            click.echo(f"  note: {remark}")
    if any(master.reason for master in added):
        sys.exit(1)


@command.command("list")
@_library_option
@click.option("--json", "as_json", is_flag=True, help="For programs, as JSON.")
def list_masters(library: Path, *, as_json: bool) -> None:
    r"""List the masters of the library, with what they are and how old.

    Example:

    \b
        autoreduce library list --library ~/masters
        autoreduce library list --library ~/masters --json
    """
    from datetime import UTC, datetime

    from autoreduce.library.masters import listing, read_library

    found = read_library(library)
    table = listing(found, datetime.now(UTC))
    if as_json:
        click.echo(table.to_json(orient="records", indent=1))
    elif len(table):
        shown = table.dropna(axis="columns", how="all")
        click.echo(shown.round(3).astype("string").fillna("-").to_string(index=False))
    else:
        click.echo(f"{library} holds no masters")
    for file, reason in found.unreadable.items():
        click.echo(f"not used: {file}: {reason}", err=True)


@command.command()
@_library_option
@click.option(
    "--rebuild", is_flag=True, help="Write the index anew from the masters' headers."
)
def check(library: Path, *, rebuild: bool) -> None:
    r"""Find masters that are damaged, lost, replaced, or there twice.

    Exit status: 0 all is well, 1 something is wrong, 2 wrong usage.

    Example:

    \b
        autoreduce library check --library ~/masters
        autoreduce library check --rebuild --library ~/masters
    """
    from autoreduce.library.masters import check_library, read_library, write_index

    problems = check_library(library)
    for file, problem in problems.items():
        click.echo(f"{file}: {problem}")
    found = read_library(library, trust_index=False)
    if rebuild:
        write_index(found)
    click.echo(f"{len(found.masters)} masters, {len(problems)} problems")
    if problems:
        sys.exit(1)
