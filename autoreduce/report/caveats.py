"""What stands beside an image of the sky: what it lacks, what is doubtful, its scale.

The verdict names frames and gives the ways out; beside a picture it is told how many
lights a thing holds for.
"""

from collections.abc import Iterable, Mapping, Sequence

from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.planning.use import NEEDS
from autoreduce.remarks import Severity, condensed
from autoreduce.report.content import Outcome
from autoreduce.report.words import count

ALIKE = 1.01
"""Scales of one image differ by a factor that is below this."""


class Caveats:
    """What is to be said beside the images of a run.

    Parameters
    ----------
    plan : Plan
        What was to be made.
    outcomes : mapping of str to Outcome
        How each task ended, by the task's output.
    """

    def __init__(self, plan: Plan, outcomes: Mapping[str, Outcome]) -> None:
        self._tasks = {task.output: task for task in plan.tasks}
        self._outcomes = outcomes

    def lights(self, tasks: Iterable[Task]) -> list[Task]:
        """List the lights that images hold: those of a stack, or a light itself."""
        found: dict[str, Task] = {}
        for task in tasks:
            outcome = self._outcomes.get(task.output)
            lost = outcome.left_out if outcome else {}
            held = task.products if task.action is Action.STACK else (task.output,)
            found |= {name: self._tasks[name] for name in held if name not in lost}
        return list(found.values())

    def missing(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Say which masters some of the tasks do without: ``no dark, no flat``."""
        lacking: dict[int, list[str]] = {}
        for need in NEEDS:
            n = sum(any(one.need == need for one in task.missing) for task in tasks)
            lacking.setdefault(n, []).append(f"no {need}")
        lacking.pop(0, None)
        return _told((", ".join(no), n, len(tasks)) for n, no in lacking.items())

    def doubts(self, lights: Sequence[Task]) -> tuple[str, ...]:
        """Say what is doubtful of lights; one trouble of many of them is told once."""
        there = (self._outcomes.get(task.output) for task in lights)
        found = condensed(
            one
            for outcome in there
            for one in (outcome.remarks if outcome else ())
            if one.severity is Severity.DOUBTFUL
        )
        return _told((one.sentence, len(one.subject), len(lights)) for one in found)

    def scale_arcsec(self, lights: Sequence[Task]) -> float | None:
        """Tell how wide a pixel is, arcsec; None if lights do not tell, or not alike."""
        there = (self._outcomes.get(task.output) for task in lights)
        numbers = [outcome.statistics for outcome in there if outcome]
        found = [
            wide / one["fwhm"] for one in numbers if (wide := one.get("fwhm_arcsec"))
        ]
        is_one = found and max(found) < ALIKE * min(found)
        return found[0] if is_one else None


def _told(found: Iterable[tuple[str, int, int]]) -> tuple[str, ...]:
    """Join what holds for equally many lights of all."""
    return tuple(
        words if n >= n_all else f"{n} of {count(n_all, 'light')}: {words}"
        for words, n, n_all in found
    )
