"""The command ``demo``: a simulated night, reduced."""

import shlex
import sys
from pathlib import Path

import click

from autoreduce.cli.options import FilePath

LISTING, COLOUR = "notes_2021", "osc_dithered"


@click.command()
@click.argument("folder", default="autoreduce_demo", type=FilePath())
@click.option(
    "--seed", default=1, show_default=True, help="Another seed: other pixels."
)
@click.option(
    "--colour", "--color", is_flag=True, help="The night of a colour camera instead."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(folder: Path, *, seed: int, colour: bool, quiet: bool) -> None:
    r"""Make a demonstration night in FOLDER and reduce it.

    The night is the one of the observer's notes: 107 frames of bias, darks, twilight
    flats and lights, one dark of which is odd.  It is simulated in FOLDER/night and
    reduced to FOLDER/night_reduced; the truth is in FOLDER/night_truth.

    With --colour it is that of a colour camera: 24 dithered lights with a meridian flip,
    darks, flats and flat darks; the picture is in FOLDER/night_reduced/pictures.

    Example:

    \b
        autoreduce demo
        autoreduce demo colour_demo --colour
    """
    from autoreduce.cli import console
    from autoreduce.reduction import reduce_night
    from autoreduce.simulate import simulate_night

    night, listing = folder / "night", COLOUR if colour else LISTING
    if not quiet:
        click.echo(f"Simulating the night {listing} in {night} ...")
    simulate_night(listing, night, seed=seed, truth=True, overwrite=True)
    with console.progress(quiet=quiet) as report:
        reduced = reduce_night(
            night, command=shlex.join(["autoreduce", *sys.argv[1:]]), progress=report
        )
    if not quiet:
        console.print_summary(reduced.report, reduced.folder)
        click.echo(f"\nThe truth to compare with: {folder / 'night_truth'}")
    if reduced.failed:
        sys.exit(1)
