"""The command ``explain``: what a frame is, and why it gets the masters it gets."""

from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import Any

import click

from autoreduce.cli.night_options import choices, night_options
from autoreduce.cli.options import (
    complete_frames,
    errors_told,
    json_option,
    logging_options,
    night_folder,
)
from autoreduce.errors import InputError


@click.command(short_help="Tell what frames are, and why they get their masters.")
@click.argument(
    "frames", nargs=-1, metavar="[FRAME]...", shell_complete=complete_frames
)
@click.option(
    "--night",
    type=night_folder,
    help="The night's folder; that of the first FRAME, or this one, if not given.",
)
@click.option("--all", "everything", is_flag=True, help="Explain every frame.")
@night_options
@json_option
@logging_options
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
    if not frames and not options["everything"]:
        msg = "name a frame, or give --all"
        raise click.UsageError(msg)
    if folder := next(filter(_is_folder, frames), ""):
        msg = f"{folder} is a folder: name a frame, or `explain --all --night {folder}`"
        raise click.UsageError(msg)
    as_json = options.pop("as_json")
    with errors_told("explain", as_json=as_json):
        click.echo(_explained(frames, options, as_json=as_json))


def _is_folder(name: str) -> bool:
    """Tell a folder, not the name of a frame without its ending beside a folder."""
    path = Path(name)
    beside = path.parent.glob(f"{escape(path.name)}.*")
    return path.is_dir() and not any(one.is_file() for one in beside)


def _explained(frames: Sequence[str], options: dict[str, Any], *, as_json: bool) -> str:
    """Write what the plan says of frames, for people or for programs."""
    from autoreduce.frames.overrides import select
    from autoreduce.planning.explain import explain_frames, frame_stories
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
    files = list(table["file"]) if options["everything"] else []
    unreadable = prepared.night.unreadable.set_index("file")["reason"]
    for pattern in frames:
        name = _below(pattern, prepared.night.root)
        if name in unreadable:
            msg = f"{pattern} could not be read: {unreadable[name]}"
            raise InputError(msg)
        files += list(table["file"][select(table, name)])
    files = list(dict.fromkeys(files))
    paths = paths_of(prepared, folder)
    if not as_json:
        return explain_frames(table, plan, evidence, files, paths)
    from autoreduce.report.results import explanation_document

    stories = frame_stories(table, plan, evidence, files, paths)
    return explanation_document(prepared.report, stories)


def _below(pattern: str, root: Path) -> str:
    """Name a frame as the table does, if the pattern is a path below the night."""
    path = Path(pattern)
    if len(path.parts) < 2 or not path.parent.is_dir():
        return pattern
    place = path.parent.resolve()
    if not place.is_relative_to(root.resolve()):
        return pattern
    return (place.relative_to(root.resolve()) / path.name).as_posix()
