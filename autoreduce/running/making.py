"""What makes each kind of product: all that is done to pixels, loaded when it begins."""

from collections.abc import Mapping
from typing import Protocol

from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.planning.plan import Action, Task
from autoreduce.products.bad_pixels import make_bad_pixels
from autoreduce.products.bias_dark import make_plain
from autoreduce.products.dark_fit import make_dark_fit
from autoreduce.products.exposures import make_exposure
from autoreduce.products.flats import make_flat
from autoreduce.products.lights import make_light
from autoreduce.products.registration import make_registration
from autoreduce.products.stacks import make_stack


class Product(Protocol):
    """What a task needs to know of a product that it uses."""

    @property
    def statistics(self) -> Mapping[str, float]:
        """Numbers that describe it."""
        ...

    @property
    def digest(self) -> str:
        """Its digest."""
        ...


def make_product(
    task: Task, workspace: Workspace, digest: str, products: Mapping[str, Product]
) -> TaskResult:
    """Make one product here; as `autoreduce.running.tasks.run_task`, which says where."""
    statistics = {output: product.statistics for output, product in products.items()}
    if task.action is Action.DARK_FIT:
        return make_dark_fit(task, workspace, digest, statistics)
    if task.action is Action.REGISTER:
        return make_registration(task, workspace, digest, statistics)
    if task.action is Action.STACK:
        digests = {output: product.digest for output, product in products.items()}
        return make_stack(task, workspace, digest, statistics, digests)
    make = _MAKERS.get(task.action, make_plain)
    return make(task, workspace, digest, set(products))


_MAKERS = {
    Action.BAD_PIXELS: make_bad_pixels,
    Action.CALIBRATE: make_light,
    Action.EXPOSURE: make_exposure,
    Action.FLAT: make_flat,
}
"""What makes a product from others, where that is no plain combination."""
