"""``autoreduce show``: pictures of images."""

import math
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreduce.cli.options import (
    FilePath,
    chosen_region,
    counted,
    dry_run_option,
    files_argument,
    overwrite_option,
    refuse_idle,
    section_options,
    tell_first_of_several,
)

if TYPE_CHECKING:
    from autoreduce.tools.show import Display, Picture


def _complete_cmaps(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    from matplotlib import colormaps

    return [name for name in colormaps if name.startswith(incomplete)]


@click.command("show")
@files_argument
@click.option(
    "-l",
    "--limits",
    type=click.Choice(["zscale", "rms", "minmax", "percentile"]),
    help="How black and white are chosen [default: zscale; colours as in pictures].",
)
@click.option(
    "-r", "--rms", type=float, metavar="N", help="Limits: the mean +/- N rms."
)
@click.option(
    "--percentile",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="P",
    help="Limits: P % of the pixels lie between them.",
)
@click.option(
    "-m",
    "--range",
    "span",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="Limits: these two numbers.",
)
@click.option(
    "--stretch",
    type=click.Choice(["linear", "sqrt", "log", "asinh"]),
    default="linear",
    show_default=True,
    help="How values become shades.",
)
@click.option(
    "-c",
    "--cmap",
    default="gray",
    show_default=True,
    shell_complete=_complete_cmaps,
    help="Colour map of matplotlib.",
)
@section_options
@click.option(
    "-y",
    "--y-scale",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Height of a pixel in widths.",
)
@click.option(
    "-s", "--marginals", is_flag=True, help="Plot the means along x and y beside it."
)
@click.option("--histogram", is_flag=True, help="Plot a histogram below it.")
@click.option("-t", "--title", help="Title [default: the name of the file].")
@click.option(
    "--rgb", is_flag=True, help="Three planes, or files, as red, green and blue."
)
@click.option(
    "-a",
    "--animate",
    "--blink",
    type=click.IntRange(min=1),
    metavar="MS",
    help="Show files, or planes, one after the other, each for MS milliseconds.",
)
@click.option(
    "-z",
    "--stride",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Take every n-th plane, or file.",
)
@click.option("--term", is_flag=True, help="Draw in the terminal, with half blocks.")
@click.option(
    "-o",
    "--output",
    type=FilePath(dir_okay=False),
    help="PNG, PDF or SVG file; a TIFF has 16 bits, full size and no axes; GIF or MP4 "
    "with --animate [default: the screen, "
    "or NAME.png where there is none].",
)
@click.option(
    "--dpi",
    type=click.IntRange(min=1),
    default=120,
    show_default=True,
    help="Dots per inch.",
)
@overwrite_option
@dry_run_option
def command(  # noqa: PLR0913 -- one parameter for each option
    *,
    files: tuple[str, ...],
    limits: str | None,
    rms: float | None,
    percentile: float | None,
    span: tuple[float, float] | None,
    stretch: str,
    cmap: str,
    section: str | None,
    bounds: tuple[int, ...] | None,
    cube_bounds: tuple[int, ...] | None,
    y_scale: float,
    marginals: bool,
    histogram: bool,
    title: str | None,
    rgb: bool,
    animate: int | None,
    stride: int,
    term: bool,
    output: Path | None,
    dpi: int,
    overwrite: bool,
    dry_run: bool,
) -> None:
    r"""Show images: on the screen, in a file, or in the terminal.

    Several files, and the planes of a cube, stand side by side, or follow each other
    with --animate.  Without a screen a PNG file is written.

    Example:

    \b
        autoreduce show light.fit -o light.png --stretch asinh
        autoreduce show spectrum.fit -s --histogram -r 5 -y 2 -o spectrum.pdf
        autoreduce show 'light.00*.fit' -a 300 -o blink.gif
        autoreduce show red.fit,green.fit,blue.fit --rgb -o colour.png
        autoreduce show night_reduced/stacks/light_M27.fits -o m27.tif
        autoreduce show light.fit --term
    """
    from autoreduce.fits.names import stem as stem_of
    from autoreduce.tools import show as tool
    from autoreduce.tools.filelists import expand

    shown = ("animate", "marginals", "histogram", "title", "dpi")
    if term:
        refuse_idle("--term", "output", *shown)
    elif output is not None and output.suffix.lower() in tool.TIFF_SUFFIXES:
        lit = ("limits", "rms", "percentile", "span", "stretch", "cmap", "y_scale")
        refuse_idle("a TIFF", *lit, *shown)
    chosen = _limits(limits, rms, percentile, span)
    display = tool.Display(
        limits=tool.Limits(chosen),
        n_rms=3.0 if rms is None else rms,
        percentile=99.5 if percentile is None else percentile,
        span=span or (0.0, 1.0),
        stretch=tool.Stretch(stretch),
        cmap=_checked_cmap(cmap),
        y_scale=y_scale,
        title=title,
        marginals=marginals,
        histogram=histogram,
    )
    images = expand(files)
    tell_first_of_several(images)
    if output is None and not term and not tool.has_screen():
        stem = stem_of(Path(images[0]).name)
        output = Path(f"{stem}{'.gif' if animate else '.png'}")
    if output is not None:
        tool.check_suffix(output, moving=animate is not None)
    pictures = tool.read_pictures(images, chosen_region(section, bounds, cube_bounds))
    is_colour = len(pictures) == 1 and pictures[0].data.ndim == 3
    merge = rgb and not is_colour
    pictures = [tool.merge_rgb(pictures)] if merge else pictures[::stride]
    for picture in filter(tool.is_empty, pictures):
        click.echo(f"{picture.name}: no pixel here has a value", err=True)
    if term:
        for picture in pictures:
            click.echo(tool.terminal_preview(picture, display), nl=False, color=True)
        return
    if dry_run:
        _tell(pictures, display, output)
    elif animate is not None:
        _animate(pictures, display, output, animate, overwrite=overwrite)
    else:
        _draw(pictures, display, output, dpi, overwrite=overwrite)


def _limits(
    limits: str | None,
    rms: float | None,
    percentile: float | None,
    span: tuple[float, float] | None,
) -> str:
    """Return the kind of limits that the options ask for."""
    values = {"rms": rms, "percentile": percentile, "range": span}
    asked = {kind for kind, value in values.items() if value is not None}
    asked |= {limits} if limits else set()
    if len(asked) > 1:
        msg = f"give one kind of limits, not {' and '.join(sorted(asked))}"
        raise click.UsageError(msg)
    if span is not None and not -math.inf < span[0] < span[1] < math.inf:
        msg = f"-m {span[0]:g} {span[1]:g}: give two numbers, the lower limit first"
        raise click.UsageError(msg)
    if rms is not None and not 0 < rms < math.inf:
        msg = f"-r {rms:g}: give a number above 0"
        raise click.UsageError(msg)
    return asked.pop() if asked else "zscale"


def _checked_cmap(name: str) -> str:
    # Importing matplotlib to check the usual one would slow down --term.
    if name == "gray":
        return name
    from matplotlib import colormaps

    if name not in colormaps:
        near = get_close_matches(name, colormaps) or ["viridis", "magma", "gray_r"]
        msg = f"there is no colour map {name}; try {', '.join(near)}"
        raise click.BadParameter(msg, param_hint="--cmap")
    return name


def _tell(pictures: "list[Picture]", display: "Display", output: Path | None) -> None:
    from autoreduce.tools.show import display_limits

    for picture in pictures:
        low, high = display_limits(picture.data, display)
        click.echo(f"{picture.name}: {low:.6g} to {high:.6g}")
    click.echo(f"{counted(len(pictures), 'picture')} -> {output or 'the screen'}")


def _animate(
    pictures: "list[Picture]",
    display: "Display",
    output: Path | None,
    interval_ms: int,
    *,
    overwrite: bool,
) -> None:
    from autoreduce.tools.show import animate

    if output is None:
        msg = "--animate writes a file: give -o NAME.gif (or .mp4)"
        raise click.UsageError(msg)
    animate(pictures, output, display, interval_ms=interval_ms, overwrite=overwrite)
    click.echo(output)


def _draw(
    pictures: "list[Picture]",
    display: "Display",
    output: Path | None,
    dpi: int,
    *,
    overwrite: bool,
) -> None:
    from autoreduce.tools.show import (
        TIFF_SUFFIXES,
        draw,
        save_figure,
        save_tiff,
        show_figure,
    )

    if output is not None and output.suffix.lower() in TIFF_SUFFIXES:
        if len(pictures) != 1:
            msg = f"a TIFF holds one image, not {len(pictures)}"
            raise click.UsageError(msg)
        save_tiff(pictures[0], output, overwrite=overwrite)
        click.echo(output)
        return
    figure = draw(pictures, display, screen=output is None)
    if output is None:
        show_figure(figure)
    else:
        save_figure(figure, output, dpi=dpi, overwrite=overwrite)
        click.echo(output)
