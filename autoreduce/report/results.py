"""What was planned, made or found, for programs: one form of JSON for all commands.

``schema_version``, ``counts``, ``products`` and ``attention`` are there whatever the
command; what else there is only adds to them.  docs/unattended.md tells of it.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoreduce.planning.explain import FrameStory
from autoreduce.planning.plan import Action, Task
from autoreduce.remarks import Remark
from autoreduce.report.content import NightReport, Outcome
from autoreduce.report.summary import (
    is_there,
    left_out,
    remarks,
    stacked_lights,
    wanted_lights,
)
from autoreduce.version import __version__

SCHEMA_VERSION = 1
"""Raised when a name goes, or what it stands for means something else."""
_STATUSES = {"made": "done", **{s: s for s in ("current", "failed", "blocked")}}


def document(
    command: str,
    *,
    counts: Mapping[str, int] | None = None,
    products: Iterable[Mapping[str, Any]] = (),
    attention: Iterable[Remark] = (),
    **more: Any,  # noqa: ANN401 -- whatever else a command has to tell
) -> str:
    """Write what a command came to.

    Parameters
    ----------
    command : str
        Name of the command.
    counts : mapping of str to int, optional
        How many there are of what.
    products : iterable of mapping
        What was made, or would be.
    attention : iterable of Remark
        What the observer is told, gravest first.
    **more : values of JSON
        What only this command tells.  A number that is none becomes null.

    Returns
    -------
    str
        One JSON object.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "autoreduce": __version__,
        "command": command,
        **more,
        "counts": dict(counts or {}),
        "products": list(products),
        "attention": [one.to_dict() for one in attention],
    }
    return json.dumps(_finite(content), indent=1, allow_nan=False)


def run_document(report: NightReport, folder: Path, *, exit_status: int) -> str:
    """Write what a run came to.

    Parameters
    ----------
    report : NightReport
        The run.
    folder : Path
        Output folder.
    exit_status : int
        With which the command ends.
    """
    ends = report.outcomes
    statuses = [end.status for end in ends.values()]
    counts = {
        **_counts(report),
        "lights_calibrated": _n_made(report, Action.CALIBRATE),
        "lights_stacked": len(stacked_lights(report)),
        **{name: statuses.count(status) for name, status in _STATUSES.items()},
    }
    return document(
        "reduce",
        night=report.plan.root,
        folder=str(folder),
        exit_status=exit_status,
        seconds=report.elapsed_s,
        counts=counts,
        products=[_product(task, ends.get(task.output)) for task in report.plan.tasks],
        attention=remarks(report, detailed=True),
    )


def plan_document(report: NightReport, folder: Path) -> str:
    """Write what would be made.

    Parameters
    ----------
    report : NightReport
        The plan, without outcomes.
    folder : Path
        Output folder.
    """
    return document(
        "plan",
        night=report.plan.root,
        folder=str(folder),
        exit_status=0,
        counts=_counts(report),
        products=[_product(task, None) for task in report.plan.tasks],
        attention=remarks(report, detailed=True),
    )


def explanation_document(report: NightReport, stories: Sequence[FrameStory]) -> str:
    """Write what a plan says of some frames.

    Parameters
    ----------
    report : NightReport
        The plan, without outcomes.
    stories : sequence of FrameStory
        One for each frame.
    """
    outputs = {name for story in stories for name in (story.output, story.stack)}
    tasks = [task for task in report.plan.tasks if task.output in outputs]
    names = {story.file for story in stories} | outputs
    names |= {task.group for task in tasks}
    return document(
        "explain",
        night=report.plan.root,
        exit_status=0,
        counts={
            "frames": len(stories),
            "frames_left_out": sum(not story.use for story in stories),
            "products": len(tasks),
        },
        products=[_product(task, None) for task in tasks],
        attention=[
            one
            for one in remarks(report, detailed=True)
            if names.intersection(one.subject)
        ],
        frames=[asdict(story) for story in stories],
    )


def check_document(folder: Path, files: Sequence[str], found: Sequence[Remark]) -> str:
    """Write what was found in an output folder.

    Parameters
    ----------
    folder : Path
        Output folder.
    files : sequence of str
        All files that were read.
    found : sequence of Remark
        What is not as it was written.
    """
    wrong = {name: one.code for one in found for name in one.subject}
    return document(
        "verify",
        folder=str(folder),
        exit_status=int(bool(found)),
        counts={"files": len(files), "wrong": len(found)},
        products=[
            {"output": name, "status": wrong.get(name, "sound")} for name in files
        ],
        attention=found,
    )


def _counts(report: NightReport) -> dict[str, int]:
    """Count the frames, and what is to be made of them."""
    n_frames = len(report.frames)
    n_lost = len(left_out(report))
    return {
        "frames": n_frames,
        "frames_used": n_frames - n_lost,
        "frames_left_out": n_lost,
        "unreadable": len(report.unreadable),
        "lights": len(wanted_lights(report)),
        "products": len(report.plan.tasks),
    }


def _n_made(report: NightReport, action: Action) -> int:
    tasks = (task for task in report.plan.tasks if task.action is action)
    return sum(is_there(report, task.output) for task in tasks)


def _product(task: Task, end: Outcome | None) -> dict[str, Any]:
    """Tell of a product: what it is, what it needs, and how its making ended."""
    product: dict[str, Any] = {
        "output": task.output,
        "kind": task.action,
        "group": task.group,
        "status": "planned" if end is None else end.status,
        "n_frames": len(task.frames) or len(task.products),
        "level": _level(task),
        "missing": [one.code for one in task.missing],
        "needs": list(task.needs),
    }
    if end is None:
        return product
    files = list(end.outputs) or [task.output]
    return product | {
        "files": files if end.status in ("done", "current") else [],
        "n_left_out": len(end.left_out),
        "seconds": end.seconds,
        "statistics": dict(end.statistics),
    }


def _level(task: Task) -> int | None:
    """Give the worst level among the masters of a task; None if it has none."""
    has_masters = any(item.calibration.masters for item in task.frames)
    return task.level if has_masters else None


def _finite(value: Any) -> Any:  # noqa: ANN401 -- any value of JSON
    """Replace numbers that JSON does not know by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
