"""Run a plan: masters before their users, independent tasks side by side."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, NamedTuple, Self

from autoreduce.calibration.dark_rates import rate_map_of
from autoreduce.calibration.store import MasterStore
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import (
    AutoreduceError,
    InputError,
    NoFrameLeftError,
    NoStackError,
    ProductError,
)
from autoreduce.fits.closing import ended
from autoreduce.fits.ledger import LEDGER, Ledger, content_digest
from autoreduce.frames.bounds import BYTES_PER_PIXEL
from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.products.state import (
    COMBINED,
    State,
    found_digest,
    look_at_raw,
    raw_name,
    recipe_for,
    task_state,
    written_digest,
)
from autoreduce.remarks import Remark, Severity, condensed, remark
from autoreduce.running.folder import put_aside
from autoreduce.running.machine import free_memory, give_back, share_one_heap
from autoreduce.running.processes import Workers
from autoreduce.running.server import LARGE
from autoreduce.running.tasks import (
    current_digest,
    files_of,
    has_uncertainty,
    run_task,
    spoilt,
)

log = logging.getLogger(__name__)

TAKEN = 160 << 20
"""Bytes that the interpreters of a run take, whatever they work on."""
IDLE = 72 << 20
"""Bytes that a worker process takes whatever it works on."""
OF_A_PROCESS = 256 << 20
"""Bytes of the memory for each worker process at the least."""
KEPT_PART = 0.4
"""Part of the memory in which masters are kept between their users."""
LOOK_S = 1.0
"""How often signals are heard, and a cluster is looked after, while nothing comes back."""
_OF_PIXELS = COMBINED | {Action.CALIBRATE, Action.STACK}
"""Tasks of which a process may be given all."""
AGAIN = "not-as-written"
"""Code of the remark on a product that had to be made again."""
Progress = Callable[[str, Task, int, int], None]
"""Told of progress: event ("start" or "end"), task, tasks ended, tasks in all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use, and what it writes beside the data."""

    jobs: int | None = None
    """Tasks run at a time; as many as there are cores if None."""
    memory: int | None = None
    """Bytes that all bands together may use; half of what is free if None."""
    planes: bool = False
    """Whether UNCERT and MASK are written."""
    electrons: bool = False
    """Whether lights are written in electrons, where their gain is known."""
    solve: bool = False
    """Whether world coordinates are found by a solver, from the stars."""
    fill: float | None = None
    """What lights and stacks have in the place of NaN; None leaves NaN."""
    scheduler: str | None = None
    """Address of a Dask scheduler that carries the tasks out; threads if None."""
    scheduler_timeout: float = 30.0
    """Seconds that it may take to answer, and may be without workers."""
    wait: bool = False
    """Whether to wait for an output folder that another run holds."""
    prune: bool = False
    """Whether products that no plan makes any more are moved away though they are most
    of them."""
    processes: bool = False
    """Whether a large night may have processes of its own beside the threads.  They
    import the main module: a script needs ``if __name__ == "__main__"``."""

    @property
    def may_have_processes(self) -> bool:
        """Whether processes of this machine may work beside its threads."""
        return self.processes_at_most > 1

    @property
    def processes_at_most(self) -> int:
        """Processes of this machine that may work."""
        if self.scheduler is not None or not self.processes:
            return 1
        return self.jobs or os.cpu_count() or 1


class Status(StrEnum):
    """How a task ended."""

    DONE = "done"
    """Its product was made."""
    CURRENT = "current"
    """Its product was there already, made from the same inputs in the same way."""
    FAILED = "failed"
    """Its product could not be made."""
    BLOCKED = "blocked"
    """Nothing that goes into its product could be made."""


class Cause(StrEnum):
    """Why a product of an earlier run is made again."""

    UNSOUND = "unsound"
    """It does not hold what was written."""
    MISSING = "missing"
    """It, or a part of it, is not there."""
    UNTOLD = "untold"
    """It is there, and nothing tells what it was made from."""
    METHOD = "method"
    """Its kind is made in another way than it was."""
    PLAN = "plan"
    """Frames, masters or facts of it are others, or frames have other names."""
    RECIPE = "recipe"
    """A setting that counts for it is another."""
    FRAMES = "frames"
    """A raw frame of it holds something else."""
    PRODUCTS = "products"
    """A product that it is made from was made again."""
    ASKED = "asked"
    """The run asks for other planes, units or fill."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended, and for the observer why."""

    status: Status
    """How it ended."""
    remarks: tuple[Remark, ...] = ()
    """Why it failed, or what is doubtful of it."""
    left_out: Mapping[str, Remark] = field(default_factory=dict)
    """Frames that were left out automatically, each with the reason."""
    statistics: Mapping[str, float] = field(default_factory=dict)
    """Numbers that describe the product."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Measured columns of the frame table, for each raw frame."""
    n_used: int = 0
    """Frames that went in."""
    seconds: float = 0.0
    """Time it took, s."""
    digest: str = ""
    """Digest of the product."""
    outputs: tuple[str, ...] = ()
    """What was written, where it is not the task's output alone."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Digests of the parts of what it depends on: ``method``, ``plan``, ``recipe``,
    ``frames``, ``products`` and ``asked``; by these the next run tells what is another."""
    again: tuple[Cause, ...] = ()
    """Why a product that was there was made again: one of ``unsound``, ``missing``,
    ``untold``, or the parts that are others."""

    def __repr__(self) -> str:
        words = [f"{self.status}", *map(str, self.remarks)]
        words += [f"{len(self.left_out)} left out"] if self.left_out else []
        return f"<Outcome {'; '.join(words)}>"

    @property
    def reason(self) -> str:
        """Why it failed, or what is doubtful of it, in words."""
        return "; ".join(map(str, self.remarks))

    @property
    def made(self) -> bool:
        """Whether the product is there."""
        return self.status in (Status.DONE, Status.CURRENT)

    def is_of(self, files: Sequence[str]) -> bool:
        """Whether it tells of just these raw frames, in their order."""
        told = dict.fromkeys([*self.measured, *self.left_out])
        # Frames that could not be measured are told last.
        return sorted(files, key=lambda file: file not in self.measured) == [*told]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        left_out = {file: why.to_dict() for file, why in self.left_out.items()}
        remarks = [one.to_dict() for one in self.remarks]
        return {**asdict(self), "remarks": remarks, "left_out": left_out}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Rebuild an outcome from its JSON form."""
        if not isinstance(fields["left_out"], Mapping):
            msg = "left_out is no table"
            raise TypeError(msg)
        return cls(
            **{
                **fields,
                "status": Status(fields["status"]),
                "remarks": tuple(map(Remark.from_dict, fields["remarks"])),
                "outputs": tuple(fields["outputs"]),
                "again": tuple(map(Cause, fields.get("again", ()))),
                "left_out": {
                    file: Remark.from_dict(why)
                    for file, why in fields["left_out"].items()
                },
            }
        )


def run_plan(
    plan: Plan,
    folder: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    known: Mapping[str, Outcome] | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> dict[str, Outcome]:
    """Carry out every task of a plan that can be carried out.

    A failure costs only what it must: frames whose master could not be made are
    reduced without it, and say so.

    Parameters
    ----------
    plan : Plan
        What to make.
    folder : path
        Output folder.
    limits : Limits, optional
        What the run may use, and what it writes beside the data.
    known : mapping of str to Outcome, optional
        Outcomes of an earlier run in the same folder: products whose digest is the
        same are not made again.
    progress : callable, optional
        Told when a task starts and ends; called by one thread.
    workers : Workers, optional
        Worker processes that are started if the night is large, and outlast the plan.

    Returns
    -------
    dict of str to Outcome
        How each task ended, keyed by its output, in the order of the plan.

    Raises
    ------
    ProductError
        If planes are asked for, and a master from a library has none.
    PlanError
        If no scheduler answers.
    """
    share_one_heap()
    limits = limits or Limits()
    budget = limits.memory or free_memory() // 2
    budget = max(budget - TAKEN, budget // 2)
    most = max(1, budget // _largest_need(plan))
    cores = limits.jobs or os.cpu_count() or 1
    jobs = min(cores, most)
    known = known or {}
    processes = max(jobs, min(cores, budget // OF_A_PROCESS))
    apart = (
        limits.processes and processes > 1 and _pixels_to_calibrate(plan, known) > LARGE
    )
    # Where the memory holds one light only, it is made where the masters are kept.
    whole_apart = apart and jobs > 1
    if apart and not whole_apart:
        budget = max(budget - processes * IDLE, budget // 2)
    kept = int(KEPT_PART * budget)
    # One task more than there are processes: none of them waits for the next.
    at_once = jobs + (apart and jobs == processes)
    workspace = Workspace(
        Path(plan.root).resolve(),
        Path(folder).resolve(),
        plan.recipe,
        max((budget - kept) // at_once, 1 << 20),
        limits.planes,
        limits.electrons,
        limits.fill,
        cores,
        MasterStore(kept // (processes + 1) if whole_apart else kept),
        frames={
            task.output: tuple(item.file for item in task.frames)
            for task in plan.tasks
            if task.frames
        },
    )
    if limits.scheduler is not None:
        from autoreduce.running.cluster import cluster_executor

        patience = limits.scheduler_timeout
        with cluster_executor(limits.scheduler, patience) as (pool, watch):
            run = _Run(plan, workspace, known, progress)
            run.carry_out = partial(
                _ended_on_worker, limits.memory, _largest_need(plan)
            )
            return run.on(pool, watch.look)
    with ExitStack() as stack:
        if apart:
            workers = workers or stack.enter_context(Workers())
            workspace = replace(workspace, processes=workers.start(processes))
        threads = stack.enter_context(ended(ThreadPoolExecutor(at_once)))
        run = _Run(plan, workspace, known, progress)
        run.n_apart = processes if whole_apart else 0
        return run.on(threads)


def _largest_need(plan: Plan) -> int:
    """Estimate the bytes that the task with the largest frames holds at once."""
    return 1 + max(map(_pixels, plan.tasks), default=0) * BYTES_PER_PIXEL


def _pixels_to_calibrate(plan: Plan, known: Mapping[str, Outcome]) -> int:
    """Count the pixels of lights that no earlier run has made."""
    return sum(
        _pixels(task)
        for task in plan.tasks
        if task.action is Action.CALIBRATE
        and not (task.output in known and known[task.output].made)
    )


def _pixels(task: Task) -> int:
    nx, ny = task.facts.get("naxis1") or 0, task.facts.get("naxis2") or 0
    return int(nx) * int(ny)


_NAMES_FRAMES = (Action.FLAT, Action.STACK)
"""Tasks whose ways out name raw frames, and none of the others of the plan."""


class _Run:
    """One run of a plan: what is under way, and how the rest ended."""

    def __init__(
        self,
        plan: Plan,
        workspace: Workspace,
        known: Mapping[str, Outcome],
        progress: Progress | None,
    ) -> None:
        self._tasks = {task.output: task for task in plan.tasks}
        self._plan, self._workspace, self._known = plan, workspace, known
        self._progress = progress or _silent
        self._outcomes: dict[str, Outcome] = {}
        # What is doubtful of each product that is made, or of what it is made from.
        self._doubts: dict[str, tuple[Remark, ...]] = {}
        self.carry_out: Callable[..., _Ended] = _ended
        self.n_apart = 0
        """Processes that may be given all of a task, not bands of it alone."""
        self._lights_left = sum(one.action is Action.CALIBRATE for one in plan.tasks)
        self._ledger = workspace.folder / LEDGER
        self._files = Ledger.load(self._ledger)
        self._begin_ns = time.time_ns()
        # What is made again, and who waits for it.
        self._again: dict[str, list[str]] = {}
        self._done_again: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        self._ready: list[str] = []
        self._external = {
            path: _standing(path, self._files, planes=workspace.planes)
            for path in plan.external
            if path != plan.recipe.light.bad_pixels
        }
        if (path := plan.recipe.light.bad_pixels) in plan.external:
            digest = self._files.look(path, Path(path), content_digest)
            self._external[path] = Outcome(Status.CURRENT, digest=digest)

    def on(
        self, pool: Executor, look: Callable[[], None] | None = None
    ) -> dict[str, Outcome]:
        """Carry out all tasks; `look` is called while nothing comes back."""
        sorter = self._plan.sorter()
        sorter.prepare()
        running: dict[Future[_Ended], str] = {}
        try:
            while sorter.is_active():
                ready = [*sorter.get_ready(), *self._ready_again()]
                under_way = sum(map(self._work, [*running.values(), *ready]))
                for output in ready:
                    running[self._begin(output, pool, under_way)] = output
                for future in _some_done(running, look):
                    output = running.pop(future)
                    outcome, files = future.result()
                    self._files.learn(files)
                    if isinstance(outcome, _Unsound):
                        self._make_again(outcome.need, output)
                    elif self._end(output, outcome):
                        sorter.done(output)
        except BaseException:
            # An observer who interrupts does not want the rest to be made first.
            for future in running:
                future.cancel()
            raise
        finally:
            self._files.save(self._ledger)
        statuses = [outcome.status for outcome in self._outcomes.values()]
        if n_current := statuses.count(Status.CURRENT):
            log.info("%s: %d products", Status.CURRENT, n_current)
        return {output: self._outcomes[output] for output in self._tasks}

    def _work(self, output: str) -> int:
        """Count the images that go into a product of pixels."""
        task = self._tasks[output]
        return len(task.frames or task.products) if task.action in _OF_PIXELS else 0

    def _is_whole(self, output: str, under_way: int) -> bool:
        """Tell whether a process is given all of a task, not bands of it.

        Lights are; else others must have as much to do, of all that is `under_way`.
        """
        work = self.n_apart * self._work(output)
        is_light = self._tasks[output].action is Action.CALIBRATE
        return work > 0 and (is_light or work <= under_way)

    def _begin(self, output: str, pool: Executor, under_way: int) -> "Future[_Ended]":
        task = self._with_doubts(self._tasks[output])
        log.debug("%s is begun", output)
        self._progress("start", task, len(self._outcomes), len(self._tasks))
        there = {**self._external, **self._outcomes}
        needs = {name: there[name] for name in task.needs}
        before = self._known.get(output)
        names = {*files_of(task, before.outputs if before else ()), output}
        names.update(raw_name(item.file) for item in task.frames)
        names.update(*(_files_of_need(*one) for one in needs.items()))
        files, begin = self._files.part(names), self._begin_ns
        if output in self._again:
            # Here, as tasks that are under way send back what was known before.
            for name in _files_of_need(output, self._outcomes[output]):
                files.doubt(name)
        whole = self._is_whole(output, under_way)
        # What goes with each of many lights is as long as the plan.
        frames = self._workspace.frames if task.action in _NAMES_FRAMES else {}
        workspace = replace(self._workspace, whole=whole, frames=frames)
        return pool.submit(self.carry_out, task, workspace, needs, before, files, begin)

    def _with_doubts(self, task: Task) -> Task:
        """Hand a task the doubts of all that it is made from: its header is to say them."""
        handed = [one for name in task.needs for one in self._doubts.get(name, ())]
        return replace(task, doubts=tuple(condensed([*task.doubts, *handed])))

    def _make_again(self, need: str, user: str) -> None:
        """Have a product made again that its user found unsound, and then the user."""
        log.warning("%s does not hold what was written: %s waits for it", need, user)
        is_stubborn = (user, need) in self._refused
        self._refused.add((user, need))
        if need in self._external or is_stubborn:
            why = remark("failed", need, found="it does not hold what was written")
            place = self._external if need in self._external else self._outcomes
            place[need] = Outcome(Status.FAILED, (why,))
        elif need not in self._again:
            self._again[need] = [user]
            self._ready.append(need)
            return
        elif need not in self._done_again:
            self._again[need].append(user)
            return
        self._ready.append(user)

    def _ready_again(self) -> list[str]:
        ready, self._ready = self._ready, []
        return ready

    def _end(self, output: str, outcome: Outcome) -> bool:
        """Take note of how a task ended; whether that is the first time."""
        is_new = output not in self._outcomes
        self._outcomes[output] = outcome
        if is_new and self._tasks[output].action is Action.CALIBRATE:
            self._lights_left -= 1
            if not self._lights_left:
                self._workspace.store.clear()
        elif self._workspace.processes is not None:
            give_back()
        own = (one for one in outcome.remarks if one.severity is Severity.DOUBTFUL)
        self._doubts[output] = (*self._with_doubts(self._tasks[output]).doubts, *own)
        level = logging.INFO if outcome.made else logging.ERROR
        if outcome.status is not Status.CURRENT:
            words = [_reason(self._tasks[output], outcome), _again_text(outcome.again)]
            said = "; ".join(filter(None, words))
            log.log(level, "%s %s %s", outcome.status, output, said)
        log.debug("%s: %s after %.2f s", output, outcome.status, outcome.seconds)
        for file, why in outcome.left_out.items():
            log.warning("%s: %s left out: %s", output, file, why)
        if output in self._again:
            self._done_again.add(output)
            self._ready += self._again[output]
        done = len(self._outcomes)
        self._progress("end", self._tasks[output], done, len(self._tasks))
        return is_new


def _some_done(
    running: Iterable["Future[_Ended]"], look: Callable[[], None] | None
) -> "set[Future[_Ended]]":
    """Wait until a task has ended; look after those who work on it meanwhile.

    A signal that another thread has taken, as after a stop of the whole command, is
    heard when the wait is over.
    """
    while True:
        done = wait(running, LOOK_S, return_when=FIRST_COMPLETED).done
        if done:
            return done
        if look is not None:
            look()


class _Unsound(NamedTuple):
    """A task that was not begun, since what it needs is not what was written."""

    need: str
    """Output of the task that is to be carried out again."""


_Ended = tuple[Outcome | _Unsound, Ledger]


def _ended(
    task: Task,
    workspace: Workspace,
    needs: Mapping[str, Outcome],
    before: Outcome | None,
    files: Ledger,
    begin_ns: int,
) -> _Ended:
    """Carry out a task wherever this runs, and send back what was learned of files."""
    try:
        return task_outcome(task, workspace, needs, before, files, begin_ns), files
    except _UnsoundNeedError as error:
        return _Unsound(error.need), files


_TURNS: dict[int, BoundedSemaphore] = {}
"""Of a worker: who waits until so many tasks at the most are under way there."""


def _ended_on_worker(
    memory: int | None,
    need: int,
    task: Task,
    workspace: Workspace,
    needs: Mapping[str, Outcome],
    before: Outcome | None,
    files: Ledger,
    begin_ns: int,
) -> _Ended:
    """Carry out a task within what the worker may use, which its own machine knows.

    No more tasks are under way than have room for their `need` of bytes.
    """
    from autoreduce.running.cluster import worker_bounds

    budget, threads = worker_bounds(memory)
    n = min(threads, max(1, budget // need))
    kept = int(KEPT_PART * budget) // n
    own = replace(
        workspace,
        memory=max(budget // n - kept, 1 << 20),
        threads=threads,
        store=MasterStore(kept),
    )
    with _TURNS.setdefault(n, BoundedSemaphore(n)):
        return _ended(task, own, needs, before, files, begin_ns)


class _UnsoundNeedError(Exception):
    """A product that is needed does not hold what was written."""

    def __init__(self, need: str) -> None:
        self.need = need
        super().__init__(need)


def _files_of_need(need: str, outcome: Outcome) -> list[str]:
    """List the files that may belong to a product that is used."""
    names = list(outcome.outputs) or [need]
    maps = [rate_map_of(Path(name)) for name in names if name.endswith(".json")]
    return [*names, *(path.as_posix() for path in maps)]


def _check_needs(
    usable: Mapping[str, Outcome], folder: Path, files: Ledger, begin_ns: int
) -> None:
    """Make sure, just before they are read, that products hold what was written.

    Raises
    ------
    _UnsoundNeedError
        If one does not that no task of this run has made.
    """
    for need, outcome in usable.items():
        for name in _files_of_need(need, outcome):
            path = folder / name
            if name in files and not files.is_same_since(
                begin_ns, name, path, found_digest
            ):
                raise _UnsoundNeedError(need)


def task_outcome(
    task: Task,
    workspace: Workspace,
    needs: Mapping[str, Outcome],
    before: Outcome | None = None,
    files: Ledger | None = None,
    begin_ns: int = 0,
) -> Outcome:
    """Carry out one task, unless its product is current, and say how it ended.

    Parameters
    ----------
    task : Task
        What to make.
    workspace : Workspace
        Where.
    needs : mapping of str to Outcome
        How the tasks ended whose products it uses.
    before : Outcome, optional
        How it ended in an earlier run.
    files : Ledger, optional
        What is known of its raw frames and products; what is found out is remembered
        there.
    begin_ns : int
        When the run began, by `time.time_ns`: products that it uses and that were not
        looked at since are read and held against what was written.

    Returns
    -------
    Outcome
        Failures included: nothing that goes wrong with one product is raised, but for
        one that it needs and that is to be made again.
    """
    begin = time.perf_counter()
    usable = {output: outcome for output, outcome in needs.items() if outcome.made}
    digests = {output: outcome.digest for output, outcome in usable.items()}
    if blocker := _blocker(task, usable, needs):
        return Outcome(Status.BLOCKED, (blocker.about(task.output),))
    files = Ledger() if files is None else files
    contents = look_at_raw(task, workspace.root, files, workspace.threads)
    recipe = recipe_for(workspace.recipe, task.action)
    asked = {name: getattr(workspace, name) for name in ("planes", "electrons", "fill")}
    state = task_state(task, recipe, contents, digests, asked)
    workspace = replace(workspace, recipe=recipe, contents=contents)
    try:
        causes, bad = _look_at_products(task, workspace.folder, state, before, files)
        if before is not None and before.made and not causes:
            return _current(before, state)
        _check_needs(usable, workspace.folder, files, begin_ns)
        places = put_aside(workspace.folder, bad)
        made = run_task(task, workspace, state.digest, usable)
        for name in files_of(task, made.outputs):
            files.look(name, workspace.folder / name, written_digest)
    except NoFrameLeftError as error:
        why = remark("no-frame-left", task.output, found=str(error))
        return Outcome(Status.FAILED, (why,), left_out=dict(error.left_out))
    except NoStackError as error:
        why = error.why.about(task.output)
        return Outcome(Status.FAILED, (why,), left_out=dict(error.left_out))
    except (AutoreduceError, OSError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        why = remark("failed", task.output, found=reason)
    except _UnsoundNeedError:
        raise
    except Exception as error:
        # A mistake of ours must not cost the observer the rest of the night.
        log.exception("%s: internal error", task.output)
        why = remark("internal", task.output, found=repr(error))
    else:
        done = _done(task, made, state, time.perf_counter() - begin)
        return replace(done, remarks=(*_again(places), *done.remarks), again=causes)
    return Outcome(Status.FAILED, (why,), seconds=time.perf_counter() - begin)


class _Standing(NamedTuple):
    """What stands of the products of a task."""

    causes: tuple[Cause, ...]
    """Why they are not what would be made now; none of a task that never ended well."""
    bad: list[str]
    """Those that do not hold what was written."""


def _look_at_products(
    task: Task, folder: Path, state: State, before: Outcome | None, files: Ledger
) -> _Standing:
    """Tell what stands of the products of a task.

    Raises
    ------
    ProductError
        If a file that autoreduce did not make is in the way.
    """
    there = (before.outputs if before else ()) or (task.output,)
    standing = {name: current_digest(folder / name) for name in {task.output, *there}}
    names = [name for name in files_of(task, there) if (folder / name).exists()]
    bad = spoilt(names, folder, files)
    if task.output not in there and standing[task.output] is None:
        del standing[task.output]
    causes = tuple(_causes(state, before, list(standing.values()), bad))
    if not causes and before is not None and task.frames:
        # A name is no part of the digest, yet the outcome and the headers tell it.
        is_told = before.is_of([item.file for item in task.frames])
        causes = () if is_told else (Cause.PLAN,)
    return _Standing(causes, bad or [])


def _causes(
    state: State,
    before: Outcome | None,
    standing: Sequence[str | None],
    bad: Sequence[str] | None,
) -> Iterator[Cause]:
    """Tell why a product is made again, given the digests of what stands of it."""
    if bad:
        yield Cause.UNSOUND
    if before is None or not before.made:
        if any(standing) and not bad:
            yield Cause.UNTOLD
        return
    if None in standing and not bad:
        yield Cause.MISSING
    if before.digest != state.digest:
        parts = [
            name for name in state.parts if before.parts.get(name) != state.parts[name]
        ]
        yield from map(Cause, parts if before.parts and parts else [Cause.UNTOLD])
    elif bad is None or not {*standing, None} <= {state.digest, None}:
        yield Cause.UNTOLD


def _again(places: Mapping[str, str]) -> tuple[Remark, ...]:
    return tuple(remark(AGAIN, name, found=place) for name, place in places.items())


_CAUSES = {
    Cause.UNSOUND: "it does not hold what was written",
    Cause.MISSING: "it was not there",
    Cause.UNTOLD: "nothing tells what it was made from",
    Cause.METHOD: "autoreduce makes it in another way now",
    Cause.PLAN: "its frames, masters or facts are others, or have other names",
    Cause.RECIPE: "settings of the recipe are others",
    Cause.FRAMES: "raw frames hold something else",
    Cause.PRODUCTS: "products that it is made from were made again",
    Cause.ASKED: "other planes, units or fill are asked for",
}


def _again_text(causes: Sequence[Cause]) -> str:
    """Say why a product was made again, for the log."""
    words = ", ".join(_CAUSES[cause] for cause in causes)
    return f"again: {words}" if words else ""


def _current(before: Outcome, state: State) -> Outcome:
    """Tell that all is as it was; that it was once made again is no news."""
    remarks = tuple(one for one in before.remarks if one.code != AGAIN)
    return replace(
        before,
        status=Status.CURRENT,
        remarks=remarks,
        seconds=0.0,
        parts=state.parts,
        again=(),
    )


def _standing(path: str, files: Ledger, *, planes: bool) -> Outcome:
    """Tell of a master that is used and not made, as if an earlier run had made it."""
    if why := _unsound(Path(path), files):
        reason = f"{path} is not there any more, or damaged: {why}"
        log.error("the frames that need it are reduced without it: %s", reason)
        return Outcome(Status.FAILED, (remark("failed", path, found=reason),))
    if planes and not has_uncertainty(Path(path)):
        msg = (
            f"{path} has no UNCERT plane, which --planes needs of every master: "
            "leave --planes out, or make that master again with --planes"
        )
        raise ProductError(msg)
    return Outcome(Status.CURRENT, digest=files.look(path, Path(path), found_digest))


def _unsound(path: Path, files: Ledger) -> str:
    """Say why a master cannot be used; nothing if it can."""
    try:
        if not files.is_same(str(path), path, found_digest):
            found_digest(path)
    except (InputError, OSError) as error:
        return str(error)
    return ""


def _blocker(
    task: Task, usable: Mapping[str, Outcome], needs: Mapping[str, Outcome]
) -> Remark | None:
    """Say why too little is left to make a product from; None if enough is."""
    if task.registration is not None and task.registration not in usable:
        why = "; ".join(map(str, needs[task.registration].remarks))
        return remark("blocked", found=f"{task.registration}: {why}")
    of_products = (Action.STACK, Action.DARK_FIT, Action.REGISTER, Action.EXPOSURE)
    if task.action not in of_products:
        return None
    lost = [output for output in task.products if output not in usable]
    fewest = 2 if task.action is Action.DARK_FIT else 1
    if len(task.products) - len(lost) >= fewest:
        return None
    whys = (
        f"{output}: {'; '.join(map(str, needs[output].remarks))}" for output in lost[:3]
    )
    return remark("blocked", found="; needs ".join(whys))


def _reason(task: Task, outcome: Outcome) -> str:
    """Say what came of a task; a way out of a light names its raw frame."""
    if task.action is not Action.CALIBRATE:
        return outcome.reason
    return "; ".join(str(one.about(task.frames[0].file)) for one in outcome.remarks)


def _done(task: Task, made: TaskResult, state: State, seconds: float) -> Outcome:
    return Outcome(
        Status.DONE,
        remarks=tuple(one.about(task.output) for one in made.remarks),
        left_out=made.left_out,
        statistics=made.statistics,
        measured=made.measured,
        n_used=made.n_used,
        seconds=seconds,
        digest=state.digest,
        outputs=made.outputs,
        parts=state.parts,
    )


def _silent(event: str, task: Task, done: int, total: int) -> None:
    """Tell nobody."""
