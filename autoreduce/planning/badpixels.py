"""Maps of bad pixels, added to a plan: one for the lights of each sensor and binning."""

from collections import defaultdict
from dataclasses import replace

import pandas as pd

from autoreduce.planning.grouping import FACT_NAMES
from autoreduce.planning.naming import group_names
from autoreduce.planning.plan import Action, Calibration, Fact, Plan, Task

OF_SENSOR = (
    *("instrume", "detector", "naxis1", "naxis2", "xbinning", "ybinning"),
    *("xorgsubf", "yorgsubf", "trimsec", "amplifiers"),
)
"""Facts in which lights agree that look through the same pixels."""


def with_bad_pixels(plan: Plan) -> Plan:
    """Plan a map of bad pixels for each sensor and binning, as its lights' masters tell.

    Parameters
    ----------
    plan : Plan
        A plan whose masters have planes.

    Returns
    -------
    Plan
        The same, with the maps behind the masters.
    """
    masters: dict[tuple[Fact, ...], dict[str, None]] = defaultdict(dict)
    for task in plan.tasks:
        if task.action is Action.CALIBRATE:
            key = tuple(task.facts.get(name) for name in OF_SENSOR)
            masters[key].update(dict.fromkeys(_of_size(task.frames[0].calibration)))
    wanted = [key for key in masters if masters[key]]
    if not wanted:
        return plan
    rows = [
        {
            **dict.fromkeys(FACT_NAMES),
            **dict(zip(OF_SENSOR, key, strict=True)),
            "imagetyp": str(Action.BAD_PIXELS),
        }
        for key in wanted
    ]
    names = group_names(pd.DataFrame(rows, dtype=object))
    maps = [
        Task(
            output=f"masters/{name}.fits",
            action=Action.BAD_PIXELS,
            group=name,
            facts=row,
            products=tuple(masters[key]),
        )
        for key, row, name in zip(wanted, rows, names, strict=True)
    ]
    order = list(Action)
    tasks = sorted((*plan.tasks, *maps), key=lambda one: order.index(one.action))
    return replace(plan, tasks=tuple(tasks))


def _of_size(calibration: Calibration) -> list[str]:
    """List the masters that flag pixels, and are no larger than the light."""
    cut = dict(calibration.cuts)
    fit = None if calibration.dark in cut else calibration.dark_fit
    found = (calibration.dark, fit, calibration.flat)
    return [output for output in found if output and output not in cut]
