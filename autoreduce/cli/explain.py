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

    FRAME is a path or a name, with or without its ending, a glob, or a number or range
    such as 0051 or 0041-0050.  Only headers are read.  Products that are there are
    named by their paths.

    Example:

    \b
        autoreduce explain night/20210227.0074.fit
        autoreduce explain 20210227.0074 --night ./night/
        autoreduce explain 0074 0089 --night ./night/
    """
    from autoreduce.frames.overrides import select
    from autoreduce.planning.explain import explain_frames, explain_json
    from autoreduce.prepare import (
        night_of,
        output_folder,
        paths_of,
        prepare_night,
        with_last_run,
    )

    night = options["night"] or night_of(frames[0] if frames else "")
    prepared = prepare_night([night], choices(options))
    folder = output_folder([night])
    table, plan, evidence = prepared.frames, prepared.plan, prepared.night.evidence
    table = with_last_run(table, folder)
    if not frames and not options["everything"]:
        msg = "name a frame, or give --all"
        raise click.UsageError(msg)
    files = list(table["file"]) if options["everything"] else []
    for pattern in frames:
        files += list(
            table["file"][select(table, _below(pattern, prepared.night.root))]
        )
    explained = explain_json if options["as_json"] else explain_frames
    files = list(dict.fromkeys(files))
    click.echo(explained(table, plan, evidence, files, paths_of(prepared, folder)))


def _below(pattern: str, root: Path) -> str:
    """Name a frame as the table does, if the pattern is a path below the night."""
    path = Path(pattern)
    if len(path.parts) < 2 or not path.parent.is_dir():
        return pattern
    place = path.parent.resolve()
    if not place.is_relative_to(root.resolve()):
        return pattern
    return (place.relative_to(root.resolve()) / path.name).as_posix()
