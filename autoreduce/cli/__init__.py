"""Command line: parse, call the library, print.  Nothing is decided here."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, cast

import click

from autoreduce import __version__
from autoreduce.cli import streams
from autoreduce.errors import AutoreduceError, Interrupted

_NOT_COMMANDS = {"options", "console", "night_options", "streams"}
"""Modules of this folder that hold no command."""
_DEFAULT = "reduce"
_INTERRUPTED = "interrupted: nothing half-made is left"
_GOES_ON = {"reduce", "demo"}
"""Commands that do not make again what they have made."""
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    # Tasks run side by side: threads within their linear algebra only wait, busily.
    os.environ.setdefault(_name, "1")
# A large night is many small objects, hardly any in a circle: to look through all of
# them as often as Python does takes a fifth of the time of its plan.  What is loaded
# before, 125 000 of them, stays: a seventh of the time to load it.
gc.set_threshold(200_000, 10, 20)


def _verbatim(command: click.Command) -> click.Command:
    r"""Let the paragraphs behind ``\b`` keep their lines.

    In a raw docstring, as docstrings with a backslash are, click does not know it.
    """
    command.help = (command.help or "").replace(r"\b", "\b")
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _verbatim(inner)
    return command


def _folder_hint(command: str | None) -> str:
    """Say how a folder is reduced that is named like the command."""
    if command is None or not Path(command).is_dir():
        return ""
    return f" To reduce the folder {command}: autoreduce ./{command}"


class _ObserverGroup(click.Group):
    """Commands by the name of their module, read when they are needed.

    The first word that is no command is the night: ``autoreduce ./night/`` reduces it.
    Errors meant for the observer are shown as one message; bugs show a traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        names = (module.name for module in iter_modules(__path__))
        return sorted(name for name in names if name not in _NOT_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"autoreduce.cli.{cmd_name}")
        return _verbatim(cast("click.Command", module.command))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] not in names:
            if not Path(args[0]).exists() and Path(args[0]).name == args[0]:
                folders = [one.name for one in Path().iterdir() if one.is_dir()]
                near = get_close_matches(args[0], [*names, *folders], 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                msg = f"{args[0]!r} is neither a folder nor a command{hint}"
                raise click.UsageError(msg, ctx)
            args = [_DEFAULT, *args]
        name, command, rest = super().resolve_command(ctx, args)
        _running.update({name} if name else ())
        return name, command, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0].startswith("-") and args[0] not in own:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AutoreduceError as error:
            click.ClickException(str(error)).show()
            ctx.exit(error.exit_status)
        except click.UsageError as error:
            message = error.format_message() + _folder_hint(ctx.invoked_subcommand)
            raise click.UsageError(message, error.ctx) from error


@click.group(
    cls=_ObserverGroup, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="autoreduce")
def cli() -> None:
    r"""Reduce a night of CCD frames, and say what was done and why.

    `autoreduce NIGHT` reduces a folder in one go; it is short for `autoreduce reduce
    NIGHT`, whose --help lists all options.

    Example:

    \b
        autoreduce ./night/
        autoreduce ./night/ --dry-run
        autoreduce ./night/ --exclude 0051 --set '0016-0020: filter=R'
    """


_verbatim(cli)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the console script's entry point.

    Exit status: 0 done, 1 something failed, 2 wrong usage, 3 another run holds the
    output folder, 130 and 143 ended by SIGINT and SIGTERM.
    """
    streams.open_all()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    status = 0
    try:
        status = _status(arguments)
    except BaseException:
        if not _received:
            raise
    if _received:
        signal.setitimer(signal.ITIMER_REAL, 0)
        on = "; the same command goes on from here" if _running & _GOES_ON else ""
        click.echo(_INTERRUPTED + on, err=True)
        streams.flush()
        # Threads are not waited for: what they write appears whole or not at all.
        os._exit(128 + _received[0])
    # What still lives goes with the process: it need not be looked through once more.
    gc.freeze()
    sys.exit(streams.flush() or status)


def _status(arguments: Sequence[str] | None) -> int:
    """Run the command line; the exit status."""
    try:
        ended = cli.main(arguments, prog_name="autoreduce", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        click.echo(f"Error: {streams.told(error)}", err=True)
        return 1
    except SystemExit as error:
        ended = error.code
    return ended if isinstance(ended, int) else 0


_running: set[str] = set()
"""The command that has begun, once its name is known."""
_received: list[int] = []
"""Signals that end the command.  As an exception one may be caught on its way, or come
out as another, where a module is loaded that knows nothing of it."""
_PATIENCE_S = 2.0
"""Time after which one that was caught is raised again, unless it is ending the run."""


def _interrupt(number: int, _frame: object) -> None:
    _received.append(number)
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, _remind)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S, _PATIENCE_S)
    raise Interrupted(number)


def _remind(_number: int, _frame: object) -> None:
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    if error is None:
        raise Interrupted(_received[0])
