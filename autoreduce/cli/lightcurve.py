"""The command ``lightcurve``: stars of a night's lights, measured one light at a time."""

import math
from pathlib import Path

import click

from autoreduce.cli.options import night_folder


@click.command(
    "lightcurve",
    short_help="Measure the stars of a reduced night, and the curve of one.",
)
@click.argument("folder", type=night_folder)
@click.option(
    "--target",
    metavar="X,Y|RA,DEC",
    help="Pixel of the reference, from 1; or hours and degrees with colons, or degrees "
    "with a d behind them [default: the brightest star that is not saturated].",
)
@click.option("--object", "object_", help="Only lights of this object.")
@click.option("--filter", "filter_", help="Only lights in this filter.")
@click.option(
    "--radius",
    type=click.FloatRange(min=0, min_open=True),
    help="Radius of the apertures, pixel [default: 1.5 widths of the stars].",
)
@click.option(
    "--comparison",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Stars that the curve is taken against, at the most.",
)
def command(
    *,
    folder: Path,
    target: str | None,
    object_: str | None,
    filter_: str | None,
    radius: float | None,
    comparison: int,
) -> None:
    r"""Measure the stars of FOLDER, and the curve of one of them.

    FOLDER is an output folder, or the night that was reduced.

    Apertures lie on the calibrated lights as they are, where the registration puts the
    stars.  Three tables for each object and filter go to FOLDER/lightcurves: NAME_fluxes.csv
    (all stars in all lights), NAME_stars.csv (their scatter, and what photons and sky
    alone make of it) and NAME_curve.csv (the target against the ensemble).

    Example:

    \b
        autoreduce lightcurve ./night_reduced
        autoreduce lightcurve ./night_reduced --target 512.3,488.0 --filter V
        autoreduce lightcurve ./night_reduced --target 05:34:31.9,+22:00:52
    """
    from autoreduce.cli import console
    from autoreduce.errors import InputError
    from autoreduce.prepare import is_output, products_of
    from autoreduce.report.words import count
    from autoreduce.running.lock import held
    from autoreduce.tools.lightcurve import Settings, light_curves

    folder = products_of(folder)
    if not is_output(folder):
        msg = (
            f"{folder} holds no products of autoreduce: name an output folder, or a night "
            "that was reduced"
        )
        raise InputError(msg)
    settings = Settings(target, object_, filter_, radius, comparison)
    with held(folder):
        written = [(one, one.write(folder)) for one in light_curves(folder, settings)]
    for one, paths in written:
        against = count(one.compared, "star")
        click.echo(
            f"{one.name}: star {one.target} in {len(one.curve.rows)} lights, against "
            f"{against}, apertures of {one.radius:.2f} px"
        )
        others = f"; the comparison's stars {one.ratio:.2f} (median)"
        if math.isfinite(one.scatter):
            click.echo(
                f"  scatter {1e3 * one.scatter:.2f} mmag, photons and sky "
                f"{1e3 * one.limit:.2f} mmag: {one.scatter / one.limit:.2f}"
                f"{others if math.isfinite(one.ratio) else ''}"
            )
        click.echo(f"  {paths[-1]}")
        console.print_remarks(one.remarks)
