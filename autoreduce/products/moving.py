"""Targets that move among the stars: what their names tell, and their lights."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from autoreduce.pixels.tracks import track
from autoreduce.products.registration import Geometry
from autoreduce.products.stack_light import StackLight
from autoreduce.products.starlist import read_stars
from autoreduce.remarks import Remark, remark

COMET = re.compile(
    r"(comet\b|\d{1,4}P($|[/ _-])|\d{1,4}[DI]/"
    r"|([CPDXAI]/-?\d{3,4}|[CPDI][ _-]?(1\d|20)\d\d)[ _-]?[A-HJ-Y][ _-]?\d{1,3}\b"
    r"|\(\d{1,7}\)($| ?[A-Z][a-z]))",
    re.IGNORECASE,
)
"""How the Minor Planet Center names comets, numbered ones and others, and numbered minor
planets, and how programs write those that do without a slash."""
MINOR_PLANET = re.compile(
    r"\d{1,7} [A-Z][a-z]+|(18|19|20)\d\d ?[A-HJ-Y][A-HJ-Z]\d{0,3}$"
)
"""A number and a name, as stars have them as well, or a year and two letters."""
WIDTHS = 1.0
"""By how many widths of the stars a target moves that is smeared."""
LONG_S = 360.0
"""Seconds of a series in which comets move by some arcseconds."""


def of_moving_target(
    lights: Sequence[StackLight], grid: Geometry, folder: Path
) -> Remark | None:
    """Say that the target of a stack moves, where its name and its lights tell so.

    Parameters
    ----------
    lights : sequence of StackLight
        With places.
    grid : Geometry
        Pixels of the stack.
    folder : Path
        Output folder, where their stars are.

    Returns
    -------
    Remark or None
        None for stars and nebulae, and if it moves by less than stars are wide.
    """
    name = str(lights[0].header.get("OBJECT") or "").strip()
    is_comet = COMET.match(name) is not None
    known = [light for light in lights if light.place and light.item.date_obs]
    if len(known) < 2 or not (is_comet or MINOR_PLANET.match(name)):
        return None
    times = [_middle(light) for light in known]
    own, places = [], []
    for light in known:
        stars = read_stars(folder / light.item.file)
        own.append(np.column_stack([stars["x"], stars["y"]]))
        x, y = light.place.on_grid(grid)(stars["x"], stars["y"])  # type: ignore[union-attr]
        places.append(np.column_stack([x, y]))
    found = track(places, own, times)
    width = float(np.median([light.statistics.get("fwhm", 3.0) for light in known]))
    if found is None:
        if not is_comet or max(times) - min(times) < LONG_S:
            return None
        return remark("moving-target", found="by how much is not known", expected=name)
    if found.length < WIDTHS * width:
        return None
    follows = found.follows < min(found.length / 4, 4 * width)
    if follows and not is_comet:
        # Nobody follows a star; hot pixels stay where they are while stars drift.
        return None
    return remark(
        "moving-target",
        found=f"by {found.length:.0f} pixels from the first light to the last",
        expected=name,
        way_out="--align none" if follows else "",
    )


def _middle(light: StackLight) -> float:
    began = datetime.fromisoformat(str(light.item.date_obs)).timestamp()
    return began + (light.item.exptime or 0.0) / 2
