"""Where tasks work, and what they say of their product."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from threading import Event
from typing import ParamSpec, Self, TypeVar

from autoreduce.calibration.store import MasterStore
from autoreduce.fits.closing import ended
from autoreduce.fits.names import pattern_of
from autoreduce.planning.recipe import Recipe
from autoreduce.remarks import Remark

log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Item = TypeVar("Item")
Result = TypeVar("Result")

is_ending = Event()
"""Set where a signal ends a run: what its workers have left is not done here."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a plan is carried out, and within what limits."""

    root: Path
    """Folder that the raw frames' paths are relative to: never written to."""
    folder: Path
    """Output folder."""
    recipe: Recipe
    """How pixels are treated."""
    memory: int
    """Bytes that one task may use for its bands."""
    planes: bool = False
    """Whether UNCERT and MASK are written."""
    electrons: bool = False
    """Whether lights are written in electrons, where their gain is known."""
    fill: float | None = None
    """What lights and stacks have in the place of NaN; None leaves NaN."""
    threads: int = 1
    """Threads that a task may use for itself."""
    store: MasterStore = field(default_factory=MasterStore, compare=False)
    """Masters that are kept in memory for the lights that use them."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """Digest of the content of each raw frame that is read, as the run found it."""
    frames: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    """Raw frames of each product that the plan makes of some."""
    processes: Executor | None = field(default=None, compare=False)
    """Processes that are given work which Python would let one thread do at a time;
    None if there are none."""
    whole: bool = False
    """Whether a process is given all of a task; else bands of it, where it has any."""

    @property
    def is_single(self) -> bool:
        """Whether all of a task is done by one thread."""
        return self.processes is None and self.threads == 1

    def pattern_of(self, files: Iterable[str]) -> str:
        """Write a pattern of raw frames, or of those of lights, as an option takes it."""
        raw = [self.frames.get(file, (file,))[0] for file in files]
        return pattern_of(raw, {*raw, *chain.from_iterable(self.frames.values())})

    def alone(self) -> Self:
        """Give the workspace as a worker process has it for a part of a task.

        Without any process of its own, nor the frames of the whole plan.
        """
        return replace(self, processes=None, whole=False, threads=1, frames={})

    def apart(
        self,
        function: Callable[Given, Result],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Call a function in a process of its own, if there are any, else here.

        Function, arguments and result must be able to travel between processes.
        """
        return _apart(self.processes, function, *args, **kwargs)

    def each(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        n_bytes: int = 0,
    ) -> Iterator[Result]:
        """Call a function for many items as `apart` does, side by side.

        Where a call takes `n_bytes`, no more run at once than memory has room for, and
        one at least.
        """
        if n_bytes and (room := max(self.memory // n_bytes, 1)) <= self.threads:
            return side_by_side(room, lambda item: self.apart(function, item), items)
        return each_apart(self.processes, self.threads, function, items)


def _apart(
    processes: Executor | None,
    function: Callable[Given, Result],
    *args: Given.args,
    **kwargs: Given.kwargs,
) -> Result:
    if processes is None:
        return function(*args, **kwargs)
    try:
        result = processes.submit(function, *args, **kwargs)
    except (BrokenExecutor, RuntimeError, OSError, EOFError) as error:
        if is_ending.is_set():
            raise
        log.warning("no worker process: %s", error)
        return function(*args, **kwargs)
    try:
        return result.result()
    except BrokenExecutor:
        if is_ending.is_set():
            raise
        log.warning("a worker process was killed: its work is done again here")
        return function(*args, **kwargs)


def each_apart(
    processes: Executor | None,
    at_once: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
) -> Iterator[Result]:
    """Call a function for many items in processes, if there are any, so many at once.

    Function, items and results must be able to travel between processes; the results
    come in the order of the items.
    """
    if processes is not None:
        at_once += 1  # what no process has to wait for
    return side_by_side(at_once, lambda item: _apart(processes, function, item), items)


def side_by_side(
    threads: int, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Call a function for many items in threads; yield results in their order.

    Items are made by the thread that asks for results, a few of them in advance: no
    more than there are threads, and one.  A single thread is the one that asks.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with ended(ThreadPoolExecutor(threads)) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task says of the product that it made."""

    statistics: Mapping[str, float] = field(default_factory=dict)
    """Numbers that describe the product or the way to it."""
    left_out: Mapping[str, Remark] = field(default_factory=dict)
    """Frames that were left out automatically, each with the reason."""
    remarks: tuple[Remark, ...] = ()
    """What is doubtful of it."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Numbers of each frame that went in: measured columns of the frame table for raw
    ones, of the table of lights for calibrated ones."""
    n_used: int = 0
    """Frames that went in."""
    outputs: tuple[str, ...] = ()
    """What was written, where it is not the task's output alone."""
