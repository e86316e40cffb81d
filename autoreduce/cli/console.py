"""What the terminal shows: the plan, the progress of long work, how it ended.

Wide or narrow, in colour or without, in UTF-8 or ASCII, on a terminal or in a pipe:
the words are the same.
"""

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.remarks import Remark, Severity
from autoreduce.report.words import count, level_word

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.table import Table

    from autoreduce.planning.explain import GroupRow
    from autoreduce.report.content import NightReport

Callback = Callable[[str, Task, int, int], None]
"""Told of progress: event (``start`` or ``end``), task, tasks ended, tasks in all."""

RUNNING_SHOWN = 4
"""Tasks under way that are named below the bar."""
WIDE = 60
"""Columns from which the bar is a long one."""
PIPE_WIDTH = 200
"""Columns of a table that is not shown on a terminal."""
_ASCII = str.maketrans(
    {"\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "x", "\N{PLUS-MINUS SIGN}": "+/-"}
)
_MAKING = {
    Action.BIAS: "master bias",
    Action.DARK: "master dark",
    Action.DARK_FIT: "dark fit",
    Action.FLAT: "master flat",
    Action.BAD_PIXELS: "bad pixels",
    Action.CALIBRATE: "light",
    Action.REGISTER: "registration",
    Action.STACK: "stack",
    Action.EXPOSURE: "exposure",
}


def make_console(stream: TextIO) -> "Console":
    """Set up rich for a stream: colours only for a terminal that wants them.

    Parameters
    ----------
    stream : file
        Where to write.

    Returns
    -------
    Console
        Of the terminal's width, else `PIPE_WIDTH` columns wide.  NO_COLOR is obeyed.
    """
    from rich.console import Console

    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, emoji=False)


def plain(text: str, encoding: str) -> str:
    """Write text so that a stream's encoding can hold it.

    What ASCII has a likeness of is replaced by that, anything else by an escape.
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        likeness = text.translate(_ASCII)
        return likeness.encode(encoding, "backslashreplace").decode(encoding)
    return text


@contextmanager
def progress(
    quiet: bool = False, *, jobs: int | None = None, stream: TextIO | None = None
) -> Iterator[Callback]:
    """Show what is being made, as long as the context lasts.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    jobs : int, optional
        Tasks at a time; all cores if absent.
    stream : file, optional
        Where to; standard error if absent.  Nothing is shown on what is no terminal.

    Yields
    ------
    callable
        To be called with each event; see `Callback`.
    """
    stream = stream or sys.stderr
    if quiet or not stream.isatty():
        yield _show_nothing
        return
    tally = _Tally(jobs or os.cpu_count() or 1)
    with _display(make_console(stream), tally) as display:
        tally.row, tally.update = display.add_task("", total=None), display.update
        yield tally.tell


def tell_cost(plan: Plan) -> None:
    """Tell what takes long before it begins, on standard error."""
    from autoreduce.planning.notes import COST

    for note in plan.notes:
        if note.code == COST:
            _say(make_console(sys.stderr), str(note))


def _display(console: "Console", tally: "_Tally") -> "Progress":
    """Make the bar, the count and the time, and below them what is being made."""
    from rich import progress as columns
    from rich.text import Text

    class Count(columns.MofNCompleteColumn):
        def render(self, task: columns.Task) -> Text:
            return Text() if task.total is None else super().render(task)

    class Remaining(columns.TimeRemainingColumn):
        def render(self, task: columns.Task) -> Text:
            if task.total is None or task.finished:
                return Text()
            return super().render(task).append(" left", "default")

    class Display(columns.Progress):
        def get_renderables(self) -> "Iterable[RenderableType]":
            yield self.make_tasks_table(self.tasks)
            for line in tally.lines():
                shown = plain(f"  {line}", console.encoding)
                yield Text(shown, no_wrap=True, overflow="crop")

    is_wide = console.width >= WIDE
    return Display(
        columns.SpinnerColumn("line" if console.options.ascii_only else "dots"),
        columns.BarColumn(24 if is_wide else 8),
        Count(),
        columns.TimeElapsedColumn(),
        Remaining(compact=True),
        console=console,
        transient=True,
    )


def _show_nothing(_event: str, _task: Task, _done: int, _total: int) -> None:
    """Take note of nothing."""


class _Tally:
    """The tasks that are under way, in the order in which they began."""

    row: int
    """The display's row."""
    update: Callable[..., None]
    """Brings that row up to date."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._running: dict[str, str] = {}
        self._has_begun = self._is_over = False

    def lines(self) -> list[str]:
        """Say what is being made, one line each, of many the first.

        Tasks are begun in the order in which they are given out: the others wait.
        """
        if not self._has_begun:
            return ["headers and plan"]
        if self._is_over:
            return ["pictures and report"]
        names = list(self._running.values())[: self._jobs]
        n_more = len(names) - RUNNING_SHOWN
        return names[:RUNNING_SHOWN] + [f"and {n_more} more"] * (n_more > 0)

    def tell(self, event: str, task: Task, done: int, total: int) -> None:
        """Bring the display up to date."""
        if event == "start":
            self._running[task.output] = _making(task)
        else:
            self._running.pop(task.output, None)
        self._has_begun, self._is_over = True, done == total
        self.update(self.row, completed=done, total=total)


def _making(task: Task) -> str:
    name = Path(task.output).stem
    n = len(task.frames) or len(task.products)
    return f"{_MAKING[task.action]} {name}" + (f" ({n})" if n > 1 else "")


def print_plan(
    rows: Sequence["GroupRow"],
    report: "NightReport",
    *,
    stream: TextIO | None = None,
) -> None:
    """Print a plan as a table: what each group of frames is and which masters it gets.

    What the observer should know follows in the words in which the end of the run
    tells it.

    Parameters
    ----------
    rows : sequence of GroupRow
        From `autoreduce.planning.explain.describe_plan`.
    report : NightReport
        The plan, without outcomes.
    stream : file, optional
        Where to; standard output if absent.  A terminal too narrow for the table gets
        a few lines for each group instead.
    """
    console = make_console(stream or sys.stdout)
    table = _plan_table(console, rows)
    wide = console.options.update(width=PIPE_WIDTH)
    if console.measure(table, options=wide).minimum <= console.width:
        console.print(table)
    else:
        for row in rows:
            _print_row(console, row)
    _print_concerns(console, report, notes=True)


def _plan_table(console: "Console", rows: Sequence["GroupRow"]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("group", "frames", "exposure", "bias", "dark", "flat", "level"):
        right = title in ("frames", "exposure")
        table.add_column(
            title, justify="right" if right else "left", no_wrap=title != "dark"
        )
    for row in rows:
        facts = (row.group, str(row.n_frames), row.exposure or _kind(row))
        texts = (*facts, *_masters(row), _level(row))
        cells = (plain(text, console.encoding) for text in texts)
        table.add_row(*map(Text, cells, _styles(row)))
    return table


def _kind(row: "GroupRow") -> str:
    return row.kind if row.kind == "dark fit" else ""


def _print_row(console: "Console", row: "GroupRow") -> None:
    facts = (count(row.n_frames, "frame"), row.exposure or _kind(row))
    words = ", ".join(fact for fact in facts if fact)
    _say(console, f"{row.group} ({words})", style="bold")
    for need, text in zip(("bias", "dark", "flat"), _masters(row), strict=True):
        if text:
            _say(console, f"{need} {text}", indent="  ")


def _masters(row: "GroupRow") -> list[str]:
    """Name the three masters; ``none`` where there should be one."""
    texts = {"bias": row.bias, "dark": row.dark, "flat": row.flat}
    return [
        text or ("none" if _lacks(row, need) else "") for need, text in texts.items()
    ]


def _lacks(row: "GroupRow", need: str) -> bool:
    return any(one.need == need for one in row.missing)


def _level(row: "GroupRow") -> str:
    if not any((row.bias, row.dark, row.flat)):
        return ""
    return "incomplete" if row.missing else f"{row.level} {level_word(row.level)}"


def _styles(row: "GroupRow") -> tuple[str, ...]:
    needs = ("bias", "dark", "flat")
    masters = ("red" if _lacks(row, need) else "" for need in needs)
    level = ("green", "cyan", "yellow", "yellow")[row.level]
    return ("", "", "", *masters, "red" if row.missing else level)


def print_summary(
    report: "NightReport",
    folder: Path,
    *,
    quiet: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Print how a run ended: what was made, what was left out and why, where to look.

    Parameters
    ----------
    report : NightReport
        The run.
    folder : Path
        Output folder.
    quiet : bool
        Whether only what failed, is left out or is doubtful is told.
    stream : file, optional
        Where to; if absent standard output, of what is told in any case standard error.
    """
    from autoreduce.report.summary import headline

    console = make_console(stream or (sys.stderr if quiet else sys.stdout))
    if not quiet:
        _say(console, headline(report), style="bold")
    _print_concerns(console, report, notes=not quiet)
    for what, place in () if quiet else _places(folder):
        _say(console, f"{what:<9}{place}", wrap=False)


def _print_concerns(console: "Console", report: "NightReport", *, notes: bool) -> None:
    from autoreduce.report.summary import kinds

    for title, style, remarks in _concerns(report, notes=notes):
        _say(console, title, style=style)
        for shown, others in kinds(remarks):
            for remark in shown:
                _say(console, remark.line, indent="  ")
            if others:
                _say(console, f"... and {len(others)} more like it", indent="  ")


def print_remarks(remarks: Sequence[Remark], *, stream: TextIO | None = None) -> None:
    """Print remarks, one after the other.

    Parameters
    ----------
    remarks : sequence of Remark
        All of them are told.
    stream : file, optional
        Where to; standard output if absent.
    """
    console = make_console(stream or sys.stdout)
    for remark in remarks:
        _say(console, remark.line)


def _concerns(
    report: "NightReport", *, notes: bool
) -> Iterator[tuple[str, str, Sequence[Remark]]]:
    from autoreduce.report.summary import remarks

    titles = {
        Severity.FAILED: ("Could not be made", "bold red"),
        Severity.BLOCKED: ("Waited for what could not be made", "bold red"),
        Severity.MISSING: ("Masters are missing", "bold yellow"),
        Severity.DAMAGED: ("Could not be read", "bold yellow"),
        Severity.LEFT_OUT: ("Left out", "bold yellow"),
        Severity.DOUBTFUL: ("To be used with care", "bold yellow"),
        Severity.NOTE: ("Good to know", "bold"),
    }
    found = [
        one for one in remarks(report) if notes or one.severity is not Severity.NOTE
    ]
    for severity, (title, style) in titles.items():
        if about := [one for one in found if one.severity is severity]:
            yield title, style, about


def _places(folder: Path) -> Iterator[tuple[str, str]]:
    yield "Products", str(folder)
    if (folder / "report.html").exists():
        yield "Look at", str(folder / "report.html")
    if (folder / "frames.csv").exists():
        yield "Change", f"{folder / 'frames.csv'} and run again with --frames"


def _say(
    console: "Console",
    text: str,
    *,
    style: str = "",
    indent: str = "",
    wrap: bool = True,
) -> None:
    """Print one paragraph, wrapped to a terminal's width and nowhere else."""
    from rich.text import Text

    lines = [indent + text]
    if wrap and console.is_terminal:
        lines = textwrap.wrap(
            text,
            max(20, console.width),
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    for line in lines:
        console.print(Text(plain(line, console.encoding), style), soft_wrap=True)
