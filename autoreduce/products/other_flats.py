"""Flats of the night that suit lights better than the one that was taken for them.

Nothing in a header says that filters were swapped, or that the camera was turned between
two nights of flats.  The sky does: it is uneven with one flat, and even with another.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from autoreduce.calibration.residuals import (
    Levels,
    block_levels,
    flat_that_fits,
    is_uneven,
)
from autoreduce.errors import AutoreduceError
from autoreduce.fits.images import open_image
from autoreduce.fits.names import pattern_of
from autoreduce.planning.badpixels import OF_SENSOR
from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.products.lights import spans
from autoreduce.remarks import Remark, remark

_SKY = ("sky", "sky_noise")


def other_flats(
    plan: Plan, made: Mapping[str, Mapping[str, float]], folder: Path
) -> Iterator[Remark]:
    """Say which other flat of the night makes the sky of lights even.

    Parameters
    ----------
    plan : Plan
        What was carried out.
    made : mapping of str to mapping
        What was measured of each product that could be made, by its output; of a light
        ``sky`` and ``sky_noise``.
    folder : Path
        Where the products are.

    Yields
    ------
    Remark
        One for the lights of a group and night that one flat serves, if the first of them,
        the last, and the one between agree.
    """
    flats: dict[object, list[str]] = defaultdict(list)
    served: dict[tuple[str, str, str], list[Task]] = defaultdict(list)
    for task in plan.tasks:
        if task.output not in made:
            continue
        if task.action is Action.FLAT:
            flats[_sensor(task)].append(task.output)
        elif task.action is Action.CALIBRATE and not task.is_spectrum:
            how = task.frames[0].calibration
            if how.flat and not how.cuts:
                # Of a group of several nights one flat may suit the lights of some only.
                served[task.frames[0].setup, task.group, how.flat].append(task)
    levels = _Levels(folder)
    names = [item.file for task in plan.tasks for item in task.frames]
    for (*_, flat), lights in served.items():
        others = [one for one in flats[_sensor(lights[0])] if one != flat]
        some = [lights[0], lights[len(lights) // 2], lights[-1]]
        skies = {
            light.output: [made[light.output].get(name, np.nan) for name in _SKY]
            for light in some
        }
        with suppress(AutoreduceError, OSError):
            # Most skies are even: then no flat is read.
            if not all(is_uneven(levels.of(one), *sky) for one, sky in skies.items()):
                continue
            told = [
                flat_that_fits(
                    levels.of(light),
                    levels.of(flat),
                    {one: levels.of(one) for one in others},
                    *sky,
                )
                for light, sky in skies.items()
            ]
            if len({one.name if one else "" for one in told}) == 1 and told[0]:
                files = [light.frames[0].file for light in lights]
                yield _told(told[0].name, told[0].uneven, told[0].left, files, names)


def _told(
    name: str, uneven: float, left: float, files: Sequence[str], among: Sequence[str]
) -> Remark:
    flat = Path(name).stem
    way_out = f"--set '{pattern_of(files, among)}: flat={flat}'"
    found, expected = f"{uneven:.0%}", f"{left:.0%} with {flat}"
    return remark("other-flat", *files, found=found, expected=expected, way_out=way_out)


def _sensor(task: Task) -> object:
    return tuple(task.facts.get(name) for name in OF_SENSOR)


class _Levels:
    """Medians of blocks of products, of which each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Levels] = {}

    def of(self, output: str) -> Levels:
        """Give the medians of the rows by which lights are judged."""
        if output not in self._known:
            with open_image(self._folder / output) as image:
                rows = [image.rows(*span) for span in spans(image.shape[-2])]
            self._known[output] = block_levels(np.concatenate(rows))
        return self._known[output]
