"""Options that commands share: declared once, so that they mean the same everywhere."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from autoreduce.errors import AutoreduceError
from autoreduce.remarks import Severity, remark
from autoreduce.tools.files import write_text
from autoreduce.tools.listing import Table, TableForm

FAIL_ON = (
    Severity.DAMAGED,
    Severity.MISSING,
    Severity.LEFT_OUT,
    Severity.DOUBTFUL,
)
"""What a run may fail on."""
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def complete_images(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Offer FITS files and folders, for the word that is being typed.

    In a comma separated list it is the last name that is completed.
    """
    from autoreduce.fits.names import is_fits_name
    from autoreduce.tools.filelists import natural_key

    before, comma, last = incomplete.rpartition(",")
    folder, name = Path(last).parent, Path(last).name
    if last.endswith("/"):
        folder, name = Path(last), ""
    if not folder.is_dir():
        return []
    found = sorted(
        (item for item in folder.iterdir() if item.name.startswith(name)),
        key=lambda item: natural_key(item.name),
    )
    lead = last[: len(last) - len(name)]
    return [
        f"{before}{comma}{lead}{item.name}{'/' * item.is_dir()}"
        for item in found
        if item.is_dir() or is_fits_name(item.name)
    ]


def complete_keywords(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Offer the keywords of the first image on the command line."""
    from autoreduce.tools.filelists import expand
    from autoreduce.tools.headers import header_table, read_each

    before, comma, last = incomplete.rpartition(",")
    files = _words(context, "files")
    if not files:
        return []
    headers, _ = read_each(expand(files)[:1])
    keywords = header_table(headers).columns
    return [
        f"{before}{comma}{keyword}"
        for keyword in keywords
        if keyword.casefold().startswith(last.casefold())
    ]


def complete_frames(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Offer the frames of a night."""
    files = _night_values(context, "file")
    return [file for file in files if file.startswith(incomplete)]


def complete_settings(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Offer frames for what stands before a colon, values of a column behind it.

    ``'0016-0020: filter='`` is completed with the filters of the night.
    """
    pattern, colon, setting = incomplete.partition(":")
    if not colon:
        return [f"{file}:" for file in complete_frames(context, _parameter, pattern)]
    column, equals, value = setting.strip().partition("=")
    if not equals:
        columns = ("imagetyp", "object", "filter", "exptime")
        return [f"{pattern}: {name}=" for name in columns if name.startswith(column)]
    values = _night_values(context, column)
    return [f"{pattern}: {column}={v}" for v in values if v.startswith(value)]


def _night_values(context: click.Context, column: str) -> list[str]:
    """Return the values of a column of the night that the command line names."""
    from autoreduce.frames.scan import scan
    from autoreduce.tools.filelists import natural_key

    words = _words(context, "nights") or _words(context, "night")
    folders = [Path(word) for word in words if Path(word).is_dir()]
    frames = scan(*(folders or [Path()]))
    if column not in frames:
        return []
    values = {str(value) for value in frames[column].dropna()}
    return sorted(values, key=natural_key)


def _words(context: click.Context, name: str) -> list[str]:
    """Return what stands on the command line for a parameter, in words.

    While an option lacks its value the words for an argument are not yet its own.
    """
    value = context.params.get(name)
    if value:
        return [str(word) for word in (value if isinstance(value, tuple) else (value,))]
    return [word for word in context.args if not word.startswith("-")]


def from_home(text: str) -> str:
    """Return a name, ``~`` in it as the home folder; what is not known stays."""
    return os.path.expanduser(text)  # noqa: PTH111 -- keeps the slash at the end


class FilePath(click.Path):
    """A file or folder; ``~`` is the home folder also where no shell has seen to it.

    Shells leave it alone in ``--library=~/masters`` and in files of systemd.
    """

    def __init__(
        self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True
    ) -> None:
        super().__init__(
            exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path
        )

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path; as in click, whose type it is."""
        return super().convert(from_home(value), param, ctx)


class _Folder(FilePath):
    """A folder that is there; one that is not is told with the nearest that are."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            path = Path(value)
            hint = nearest_folder(str(value))
            if os.path.isfile(path):  # noqa: PTH113 -- no error if it may not be looked at
                hint = f" Name the folder in which it lies: {path.parent}"
            raise click.BadParameter(error.message + hint, ctx, param) from error


def nearest_folder(name: str) -> str:
    """Ask whether a folder was meant that is called almost like it; empty if none is."""
    path = Path(name)
    if path.exists() or not path.parent.is_dir():
        return ""
    by_key = {one.name.casefold(): one for one in path.parent.iterdir() if one.is_dir()}
    near = get_close_matches(path.name.casefold(), by_key, 1)
    return f" Did you mean {by_key[near[0]]}?" if near else ""


night_folder = _Folder(exists=True, file_okay=False)
"""Type of a folder that is read."""


_LEAST_MEMORY = 1 << 20
"""Bytes without which not even a few rows of a frame can be held."""


def size_in_bytes(text: str) -> int:
    """Read an amount of memory, as in 500MB, 2G or 1.5GiB; a type of click."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None or not float(match[1]):
        msg = f"{text!r} is not a size such as 500MB or 2GB"
        raise click.BadParameter(msg)
    size = int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))
    if size < _LEAST_MEMORY:
        meant = f": did you mean {match[1]}GB?" if not match[2] else ""
        msg = (
            f"{text!r} is {size} bytes, and {_LEAST_MEMORY >> 20}MB is the least{meant}"
        )
        raise click.BadParameter(msg)
    return size


def severities(text: str) -> list[Severity]:
    """Read what a run may fail on, as in ``damaged,missing``; a type of click."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in FAIL_ON:
            msg = f"{word!r} is none of {', '.join(FAIL_ON)}"
            raise click.BadParameter(msg)
    return [Severity(word) for word in words]


files_argument: Decorator = click.argument(
    "files", nargs=-1, required=True, shell_complete=complete_images
)

json_option: Decorator = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Write what came of it to standard output, for programs, and nothing else.",
)

overwrite_option: Decorator = click.option(
    "--overwrite", is_flag=True, help="Replace files that exist."
)

dry_run_option: Decorator = click.option(
    "-n", "--dry-run", is_flag=True, help="Say what would be done, write nothing."
)

memory_option: Decorator = click.option(
    "--memory",
    type=size_in_bytes,
    metavar="SIZE",
    help="Memory that bands of rows may take, as 500M or 2G.",
)


class _StandardError(logging.StreamHandler[Any]):
    """Writes to standard error as it is now: a progress bar puts lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _be_verbose(_context: click.Context, _option: click.Parameter, on: bool) -> None:
    """Show what is logged; a command that is called again has one handler still."""
    logger = logging.getLogger("autoreduce")
    for handler in list(logger.handlers):
        if isinstance(handler, _StandardError):
            logger.removeHandler(handler)
    if on:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)


def _set_level(
    _context: click.Context, _option: click.Parameter, level: str | None
) -> None:
    logging.getLogger("autoreduce").setLevel((level or "notset").upper())


def logging_options(command: Command) -> Command:
    """Add how much is logged, and whether it is shown as well."""
    for option in (
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            expose_value=False,
            is_eager=True,
            callback=_set_level,
            help="How much is logged; info if not given.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_be_verbose,
            help="Show on standard error what is logged.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def errors_told(command: str, *, as_json: bool) -> Iterator[None]:
    """Tell programs, too, of an error that ends a command; it is raised again."""
    try:
        yield
    except AutoreduceError as error:
        if as_json:
            from autoreduce.report.results import document

            why = remark("refused", found=str(error))
            status = error.exit_status
            click.echo(document(command, exit_status=status, attention=[why]))
        raise


def table_options(command: Command) -> Command:
    """Add what commands that print a table share: where it goes, and in what form."""
    for option in (
        dry_run_option,
        overwrite_option,
        click.option(
            "-o",
            "--output",
            type=FilePath(dir_okay=False),
            help="Write the table to this file instead of the screen.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Write the table as JSON."
        ),
        click.option("--csv", "as_csv", is_flag=True, help="Write the table as CSV."),
    ):
        command = option(command)
    return command


def section_options(command: Command) -> Command:
    """Add the ways to name a section: -b, -B and --section."""
    for option in (
        click.option(
            "--section",
            metavar="[X1:X2,Y1:Y2]",
            help="Section as FITS text: one based, both ends included; [,Z1:Z2] too.",
        ),
        click.option(
            "-B",
            "--cube-bounds",
            type=int,
            nargs=6,
            metavar="XMIN XMAX YMIN YMAX ZMIN ZMAX",
            help="Section of a cube: zero based, upper ends exclusive.",
        ),
        click.option(
            "-b",
            "--bounds",
            type=int,
            nargs=4,
            metavar="XMIN XMAX YMIN YMAX",
            help="Section: zero based, upper ends exclusive.",
        ),
    ):
        command = option(command)
    return command


def chosen_region(
    section: str | None, bounds: tuple[int, ...] | None, cube: tuple[int, ...] | None
) -> Any:
    """Return the `Region` that the section options name, or None."""
    from autoreduce.tools.regions import region_of_bounds, region_of_text

    numbers = [value for value in (bounds, cube) if value]
    if len(numbers) + bool(section) > 1:
        msg = "give one of --section, -b and -B"
        raise click.UsageError(msg)
    if section:
        return region_of_text(section)
    return region_of_bounds(numbers[0]) if numbers else None


def chosen_form(*, as_csv: bool, as_json: bool) -> TableForm:
    """Return the form that --csv and --json ask for."""
    if as_csv and as_json:
        msg = "give one of --csv and --json"
        raise click.UsageError(msg)
    if as_csv:
        return TableForm.CSV
    return TableForm.JSON if as_json else TableForm.TEXT


def deliver(
    table: Table, form: TableForm, output: Path | None, *, overwrite: bool
) -> None:
    """Print a table, or write it to a file."""
    text = table.render(form)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text, overwrite=overwrite)


def tell_first_of_several(images: Iterable[str]) -> None:
    """Say, on standard error, that of some files only the first image is read."""
    from autoreduce.tools.headers import first_of_several

    if found := first_of_several(images):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        holds = "hold" if more else "holds"
        msg = f"{found[0]}{more} {holds} several images: the first is taken; FILE[2] is HDU 2"
        click.echo(msg, err=True)


def tell_failures(reasons: Sequence[str]) -> None:
    """Name what could not be read, and exit with status 1, if there is any."""
    for reason in reasons:
        click.echo(f"Error: {reason}", err=True)
    if reasons:
        raise click.exceptions.Exit(1)


def refuse_idle(beside: str, *parameters: str) -> None:
    """Refuse options that would do nothing beside what else is asked for.

    Parameters
    ----------
    beside : str
        What is asked for, in words.
    *parameters : str
        Names of the command's parameters.

    Raises
    ------
    click.UsageError
        If one of them stands on the command line.
    """
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in parameters and source is ParameterSource.COMMANDLINE:
            msg = f"{option.opts[0]} does nothing with {beside}: leave one of them out"
            raise click.UsageError(msg)


def counted(n: int, thing: str) -> str:
    """Write how many there are of a thing: ``1 frame``, ``2 frames``."""
    return f"{n} {thing}{'s' * (n != 1)}"


def split_commas(values: tuple[str, ...]) -> list[str]:
    """Split option values at commas: ``-k A,B -k C`` names three."""
    return [
        word for value in values for part in value.split(",") if (word := part.strip())
    ]
