"""The command ``explain``: what a frame is, and why it gets the masters it gets."""

from pathlib import Path
from typing import Any

import click

from autoreduce.cli.night_options import choices, night_options
from autoreduce.cli.options import complete_frames


@click.command()
@click.argument(
    "frames", nargs=-1, metavar="[FRAME]...", shell_complete=complete_frames
)
@click.option(
    "--night",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The night's folder; that of the first FRAME, or this one, if not given.",
)
@click.option("--all", "everything", is_flag=True, help="Explain every frame.")
@click.option("--json", "as_json", is_flag=True, help="For programs, as JSON.")
@night_options
def command(frames: tuple[str, ...], **options: Any) -> None:
    r"""Explain FRAMES: type, group, masters, and every master that was not taken.

    FRAME is a path, a glob, or a number or range such as 0051 or 0041-0050.  Only
    headers are read.

    Example:

    \b
        autoreduce explain night/20210227.0074.fit
        autoreduce explain 0074 0089 --night ./night/
    """
    from autoreduce.frames.overrides import select
    from autoreduce.planning.explain import explain_frames, explain_json
    from autoreduce.prepare import output_folder, prepare_night, with_last_run

    night = options["night"] or _night_of(frames)
    prepared = prepare_night([night], choices(options))
    table, plan, evidence = prepared.frames, prepared.plan, prepared.night.evidence
    table = with_last_run(table, output_folder([night]))
    if not frames and not options["everything"]:
        msg = "name a frame, or give --all"
        raise click.UsageError(msg)
    files = list(table["file"]) if options["everything"] else []
    for pattern in frames:
        files += list(
            table["file"][select(table, _below(pattern, prepared.night.root))]
        )
    files = list(dict.fromkeys(files))
    if options["as_json"]:
        click.echo(explain_json(table, plan, evidence, files))
        return
    click.echo(explain_frames(table, plan, evidence, files))


def _night_of(frames: tuple[str, ...]) -> Path:
    """Take the folder that the first frame lies in, where it is a path."""
    if frames and (path := Path(frames[0])).is_file():
        return path.resolve().parent
    return Path()


def _below(pattern: str, root: Path) -> str:
    """Name a frame as the table does, if the pattern is the path of a file."""
    path = Path(pattern)
    if path.is_file() and path.resolve().is_relative_to(root.resolve()):
        return path.resolve().relative_to(root.resolve()).as_posix()
    return pattern
