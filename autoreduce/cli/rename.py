"""``autoreduce rename``: files renamed into one sequence, and back."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreduce.cli.options import (
    FilePath,
    complete_images,
    complete_keywords,
    counted,
    dry_run_option,
    from_home,
    split_commas,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoreduce.tools.rename import Renaming


@click.command("rename")
@click.argument("files", nargs=-1, shell_complete=complete_images)
@click.option(
    "-o",
    "--output",
    metavar="ROOT",
    help="What stands before the number; may begin with a folder, or be one: FOLDER/ "
    "[default: the date of the first frame].",
)
@click.option(
    "-s",
    "--sort",
    multiple=True,
    metavar="K1,K2,...",
    shell_complete=complete_keywords,
    help="Keywords to sort by, Filename too [default: DATE-OBS].",
)
@click.option(
    "-t", "--tail", default=".fit", show_default=True, help="Ending of names."
)
@click.option(
    "-w",
    "--width",
    type=click.IntRange(1, 9),
    default=4,
    show_default=True,
    help="Digits of the number; more where the sequence needs them.",
)
@click.option(
    "--sidecars",
    is_flag=True,
    help="Rename files such as NAME.txt along with NAME.fit.",
)
@click.option("--copy", is_flag=True, help="Copy the files; the old ones stay.")
@click.option("--link", is_flag=True, help="Make symbolic links; the files stay.")
@click.option(
    "--log",
    type=FilePath(dir_okay=False),
    help="File for old and new names [default: ROOT.rename.log].",
)
@click.option(
    "--undo",
    type=FilePath(exists=True, dir_okay=False),
    metavar="LOG",
    help="Give the files of this log their old names back.",
)
@dry_run_option
def command(  # noqa: PLR0913 -- one parameter for each option
    files: tuple[str, ...],
    output: str | None,
    sort: tuple[str, ...],
    tail: str,
    width: int,
    log: Path | None,
    undo: Path | None,
    *,
    sidecars: bool,
    copy: bool,
    link: bool,
    dry_run: bool,
) -> None:
    r"""Rename FITS files into one sequence, sorted in time.

    ROOT.0001.fit, ROOT.0002.fit, ...: all files are renamed, or none.  Old and new
    names go to a log; `--undo LOG`, or the shell script beside it, takes all back.

    Example:

    \b
        autoreduce rename '*.fit'
        autoreduce rename '*.fit' -s IMAGETYP,DATE-OBS -o sorted/m13 --copy
        autoreduce rename --undo 20210227.rename.log
    """
    from autoreduce.tools import rename as tool
    from autoreduce.tools.filelists import expand

    if undo is not None:
        if files:
            msg = "--undo takes a log and no files"
            raise click.UsageError(msg)
        _undo(undo, dry_run=dry_run)
        return
    if not files or (copy and link):
        msg = "give files to rename" if not files else "give one of --copy and --link"
        raise click.UsageError(msg)
    renamings = tool.plan_renaming(
        expand(files),
        keys=split_commas(sort) or tool.DEFAULT_KEYS,
        root=output and from_home(output),
        tail=tail,
        width=width,
        sidecars=sidecars,
    )
    pairs = [(item.old, item.new) for item in renamings]
    if dry_run:
        _show(pairs)
        return
    how = tool.Transfer.LINK if link else tool.Transfer.MOVE
    log = log or tool.log_name(renamings)
    tool.rename(renamings, log, how=tool.Transfer.COPY if copy else how)
    _show(pairs)
    undoing = shlex.join(["autoreduce", "rename", "--undo", str(log)])
    click.echo(f"{counted(len(renamings), 'file')}; undo with: {undoing}")


def _undo(log: Path, *, dry_run: bool) -> None:
    from autoreduce.tools import rename as tool

    renamings: Sequence[Renaming] = (
        tool.read_log(log).renamings if dry_run else tool.undo(log)
    )
    _show([(item.new, item.old) for item in renamings])


def _show(pairs: list[tuple[Path, Path]]) -> None:
    for old, new in pairs:
        click.echo(f"{old} -> {new}")
