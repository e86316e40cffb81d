"""The command ``simulate``: a night with known truth."""

from pathlib import Path

import click


class _Size(click.ParamType[tuple[int, int]]):
    """Columns and rows, as in 1663x1252."""

    name = "NXxNY"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        columns, _, rows = value.lower().partition("x")
        if not (columns.isdecimal() and rows.isdecimal()):
            self.fail(f"{value!r} is not a size such as 1663x1252", param, ctx)
        if min(int(columns), int(rows)) < 16:
            self.fail("a frame needs at least 16 columns and rows", param, ctx)
        return int(columns), int(rows)


@click.command()
@click.argument("listing", required=False)
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option(
    "--seed", default=1, show_default=True, help="The same seed: the same night."
)
@click.option(
    "--size", type=_Size(), help="Size of the frames instead of the listing's."
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
