"""The command ``simulate``: a night with known truth."""

from pathlib import Path

import click

from autoreduce.cli.options import FilePath


def _size(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    """Read columns and rows, as in 1663x1252."""
    if text is None:
        return None
    columns, _, rows = text.lower().partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        msg = f"{text!r} is not a size such as 1663x1252"
        raise click.BadParameter(msg)
    if min(int(columns), int(rows)) < 16:
        msg = "a frame needs at least 16 columns and rows"
        raise click.BadParameter(msg)
    return int(columns), int(rows)


@click.command()
@click.argument("listing", required=False)
@click.argument("out", required=False, type=FilePath())
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="The same seed: the same night.",
)
@click.option(
    "--size",
    metavar="NXxNY",
    callback=_size,
    help="Size of the largest frames, instead of the listing's.",
)
@click.option("--truth", is_flag=True, help="Write the noiseless truth to OUT_truth.")
@click.option("--overwrite", is_flag=True, help="Replace a simulated night in OUT.")
@click.option(
    "--list", "only_list", is_flag=True, help="List the nights that come along."
)
def command(
    listing: str | None,
    out: Path | None,
    *,
    seed: int,
    size: tuple[int, int] | None,
    truth: bool,
    overwrite: bool,
    only_list: bool,
) -> None:
    r"""Simulate the frames of LISTING in the folder OUT.

    LISTING is the name of a night that comes with autoreduce (see --list), or a CSV
    file with one row per frame and a TOML file of the same name beside it.

    Example:

    \b
        autoreduce simulate notes_2021 night --size 416x313 --truth
    """
    from autoreduce.simulate import listing_names, simulate_night

    if only_list:
        click.echo("\n".join(listing_names()))
        return
    if listing is None or out is None:
        msg = "give a listing and a folder for the frames, or --list"
        raise click.UsageError(msg)
    written = simulate_night(
        listing, out, seed=seed, size=size, truth=truth, overwrite=overwrite
    )
    click.echo(f"{len(written)} frames written to {out}")
