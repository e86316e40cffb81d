"""The command ``reduce``: a night in one go."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from autoreduce.cli.night_options import choices, night_options
from autoreduce.cli.options import (
    FilePath,
    errors_told,
    json_option,
    logging_options,
    night_folder,
    severities,
)


@click.command(short_help="Reduce a night: masters, calibrated lights, stacks, report.")
@click.argument(
    "nights",
    nargs=-1,
    required=True,
    type=night_folder,
)
@click.option(
    "-o",
    "--output",
    type=FilePath(),
    help="Folder for the products; NIGHT_reduced beside the night if not given.",
)
@click.option(
    "-n", "--dry-run", is_flag=True, help="Only plan, as `autoreduce plan` does."
)
@night_options
@click.option(
    "--planes", is_flag=True, help="Write UNCERT and MASK beside the data as well."
)
@click.option(
    "--electrons",
    is_flag=True,
    help="Write lights and their stacks in electrons, not ADU, where the gain is known.",
)
@click.option(
    "--fill",
    type=float,
    metavar="VALUE",
    help="Write VALUE for pixels of lights and stacks that have none (NaN), for programs "
    "that cannot bear NaN.",
)
@click.option(
    "--solve",
    is_flag=True,
    help="Find the world coordinates of lights and stacks from their stars, with an "
    "installed solve-field (astrometry.net) or ASTAP.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Tasks at a time; all cores.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Carry the tasks out on a Dask cluster that is there, as in tcp://host:8786.",
)
@click.option(
    "--scheduler-timeout",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a Dask cluster may take to answer, and be without workers.",
)
@click.option(
    "--wait",
    is_flag=True,
    help="Wait for a run that holds the output folder, instead of exit status 3.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Move products that are no longer planned to left_over/, though they are most.",
)
@click.option("--no-report", is_flag=True, help="Do not write report.html.")
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with status 1 also if a frame was left out or a master is missing.",
)
@click.option(
    "--fail-on",
    type=severities,
    default="",
    metavar="WORDS",
    help="Exit with status 1 also if the run tells of damaged, missing, left-out or "
    "doubtful things; words with commas between them.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print nothing but what failed, is left out or is doubtful.",
)
@json_option
@logging_options
def command(nights: tuple[Path, ...], **options: Any) -> None:
    r"""Reduce the frames in NIGHTS: masters, calibrated lights, stacks, report.

    The folders are searched with all their subfolders, and never written to.  What was
    made before from the same frames in the same way is not made again.

    Exit status: 0 done, 1 something failed or nothing came of the lights, 2 wrong usage,
    3 another run holds the output folder, 130 and 143 ended by SIGINT and SIGTERM.

    Example:

    \b
        autoreduce ./night/
        autoreduce ./night/ -o ./products --recipe notes --exclude 0051
        autoreduce ./night/ --frames night_reduced/frames.csv
    """
    as_json, output = options.pop("as_json"), options.pop("output")
    if options["dry_run"]:
        from autoreduce.cli.plan import plan_only

        quiet = options["quiet"]
        plan_only(nights, output, choices(options), quiet=quiet, as_json=as_json)
        return
    with errors_told("reduce", as_json=as_json):
        status = _reduce(nights, output, options, as_json=as_json)
    if status:
        sys.exit(status)


def _reduce(
    nights: Sequence[Path],
    output: Path | None,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> int:
    """Reduce the nights, and tell how it ended; the exit status."""
    if options["scheduler"] is None and options["jobs"] != 1:
        from autoreduce.running.server import start_for

        start_for(nights)
    from autoreduce.cli import console
    from autoreduce.reduction import reduce_night
    from autoreduce.running.execute import Limits

    limits = Limits(
        options.pop("jobs"),
        options["memory"],
        options.pop("planes"),
        options.pop("electrons"),
        options.pop("solve"),
        options.pop("fill"),
        options.pop("scheduler"),
        options.pop("scheduler_timeout"),
        options.pop("wait"),
        prune=options.pop("prune"),
        processes=True,
    )
    quiet = options["quiet"]
    with console.progress(quiet=quiet, jobs=limits.jobs) as report:
        reduced = reduce_night(
            nights,
            output,
            choices=choices(options),
            limits=limits,
            page=not options["no_report"],
            command=shlex.join(["autoreduce", *sys.argv[1:]]),
            progress=report,
            planned=None if quiet or as_json else console.tell_cost,
        )
    strict = options["strict"] and reduced.incomplete
    failed = strict or reduced.failed_altogether or reduced.told(*options["fail_on"])
    status = int(bool(failed))
    if as_json:
        from autoreduce.report.results import run_document

        click.echo(run_document(reduced.report, reduced.folder, exit_status=status))
    else:
        console.print_summary(reduced.report, reduced.folder, quiet=quiet)
    return status
