"""autoreduce: a night of CCD frames, reduced in one command.

The public functions are loaded when they are first used, so that importing the
package costs nothing.
"""

from typing import TYPE_CHECKING, Any

from autoreduce.version import __version__

if TYPE_CHECKING:
    from autoreduce.frames.scan import scan
    from autoreduce.frames.schema import FRAME_COLUMNS
    from autoreduce.planning.plan import Plan
    from autoreduce.planning.planner import annotate, make_plan
    from autoreduce.planning.recipe import load_recipe
    from autoreduce.prepare import Choices, prepare_night
    from autoreduce.products.starlist import stars
    from autoreduce.reduction import reduce_night
    from autoreduce.running.execute import Limits, run_plan
    from autoreduce.simulate import simulate_night

_HOME = {
    "FRAME_COLUMNS": "autoreduce.frames.schema",
    "Choices": "autoreduce.prepare",
    "Limits": "autoreduce.running.execute",
    "Plan": "autoreduce.planning.plan",
    "annotate": "autoreduce.planning.planner",
    "load_recipe": "autoreduce.planning.recipe",
    "make_plan": "autoreduce.planning.planner",
    "prepare_night": "autoreduce.prepare",
    "reduce_night": "autoreduce.reduction",
    "run_plan": "autoreduce.running.execute",
    "scan": "autoreduce.frames.scan",
    "simulate_night": "autoreduce.simulate",
    "stars": "autoreduce.products.starlist",
}

__all__ = [
    "FRAME_COLUMNS",
    "Choices",
    "Limits",
    "Plan",
    "__version__",
    "annotate",
    "load_recipe",
    "make_plan",
    "prepare_night",
    "reduce_night",
    "run_plan",
    "scan",
    "simulate_night",
    "stars",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- whatever the name stands for
    if name not in _HOME:
        msg = f"module 'autoreduce' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
