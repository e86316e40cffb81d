"""Options of the commands that read a night: reduce, plan and explain."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from autoreduce.cli.options import (
    FilePath,
    complete_frames,
    complete_settings,
    size_in_bytes,
)

if TYPE_CHECKING:
    from autoreduce.prepare import Choices

Command = Callable[..., Any]

_FILE = FilePath(exists=True, dir_okay=False)

_OPTIONS = (
    click.option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        shell_complete=complete_frames,
        help="Leave frames out: a glob, a path, or a number or range such as 0051 or "
        "0041-0050.  May be repeated, as all options with patterns.",
    ),
    click.option(
        "--include",
        multiple=True,
        metavar="PATTERN",
        shell_complete=complete_frames,
        help="Bring frames back that were left out automatically.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="'PATTERN: COLUMN=VALUE'",
        shell_complete=complete_settings,
        help="Correct what the headers say, as in --set '0016-0020: filter=R'.",
    ),
    click.option(
        "--frames",
        "frames_csv",
        type=_FILE,
        metavar="CSV",
        help="Use this frame table, as edited, instead of the one made from headers.",
    ),
    click.option(
        "--recipe",
        default="default",
        show_default=True,
        metavar="NAME|TOML",
        help="How pixels are treated: default, notes, or a file of your own.",
    ),
    click.option(
        "--rules",
        type=_FILE,
        metavar="TOML",
        help="Rules of grouping and matching that differ from the built-in ones.",
    ),
    click.option(
        "--dialect",
        "dialects",
        multiple=True,
        type=_FILE,
        metavar="TOML",
        help="A dialect table for headers that autoreduce does not know.",
    ),
    click.option(
        "--extrapolate-darks",
        is_flag=True,
        help="Take darks to exposures however much longer than their own, and whatever "
        "they are like.",
    ),
    click.option(
        "--stack-by",
        metavar="COLUMNS",
        default="object,filter,exptime",
        show_default=True,
        help="Columns that the lights of a stack share; object,filter pools exposures.",
    ),
    click.option(
        "--align",
        type=click.Choice(["auto", "wcs", "none"]),
        help="How the lights of a stack are laid on one another: by their stars or "
        "images (auto), by the coordinates in their headers, or not at all; as the "
        "recipe has it if not given.",
    ),
    click.option(
        "--reference",
        "references",
        multiple=True,
        metavar="FRAME",
        shell_complete=complete_frames,
        help="Lay the other lights of its object on this one; one for each object.",
    ),
    click.option(
        "--cosmics",
        is_flag=True,
        help="Find and repair cosmic rays in each light, for light curves and pairs that "
        "no stack cleans; needs astroscrappy, and some seconds a megapixel.",
    ),
    click.option(
        "--no-stack",
        is_flag=True,
        help="Make no stacks: calibrated lights, their stars and places only.",
    ),
    click.option(
        "--keep-all",
        is_flag=True,
        help="Leave no frame out automatically, however odd it is.",
    ),
    click.option(
        "--library",
        type=FilePath(exists=True, file_okay=False),
        envvar="AUTOREDUCE_LIBRARY",
        show_envvar=True,
        help="Use masters of other nights from this folder, too; `autoreduce library` "
        "fills it.",
    ),
    click.option(
        "--memory",
        type=size_in_bytes,
        metavar="SIZE",
        help="Memory for pixels, as in 2GB; half of what is free.  Frames that do not "
        "fit into it, or into the whole machine if not given, are left out.",
    ),
)


def night_options(command: Command) -> Command:
    """Give a command the options by which an observer steers a night."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choices(options: dict[str, Any]) -> "Choices":
    """Collect the values of `night_options`, and take them out of `options`."""
    from autoreduce.prepare import Choices

    names = (
        "exclude", "include", "settings", "frames_csv", "recipe", "rules", "dialects",
        "extrapolate_darks", "keep_all", "library", "align", "references",
        "memory", "cosmics",
    )  # fmt: skip
    stacks = not options.pop("no_stack")
    stack_by = [name.strip() for name in options.pop("stack_by").split(",")]
    chosen = {name: options.pop(name) for name in names}
    return Choices(**chosen, stack_by=stack_by, stacks=stacks)
