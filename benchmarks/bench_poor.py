"""Registration of fields of few stars, or none, beside a pattern: how often it is right.

Prints, for each kind of field, how many lights lie where they belong (within 0.3 pixels of
the others of their field), how many do not, how many of these are told of in the stack's
remarks, and how many lights are refused.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from poor_fields import FIELDS, expose

from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.writer import write_image
from autoreduce.pixels.stars import find_stars
from autoreduce.planning.plan import Action, Task
from autoreduce.planning.recipe import parse_recipe
from autoreduce.products.registration import make_registration, read_registration
from autoreduce.products.starlist import stars_extension

RIGHT = 0.3
"""Distance from the truth, in pixels, of a light that lies where it belongs."""


def registered(folder: Path, lights: np.ndarray) -> list[tuple[int, np.ndarray, bool]]:
    """Give of each light its field, 0 without, and how far its sky has moved (x, y).

    And whether its place is told to be doubtful.
    """
    names = []
    for number, light in enumerate(lights):
        names.append(f"{number:03d}.fits")
        table = stars_extension(find_stars(light).table)
        write_image(folder / names[-1], light, [], table=table, overwrite=True)
    workspace = Workspace(folder, folder, parse_recipe("", "default"), 1 << 26)
    task = Task("r.json", Action.REGISTER, "field", {}, products=tuple(names))
    make_registration(task, workspace, "", {name: {} for name in names})
    ny, nx = lights[0].shape
    middle = np.array([(nx - 1) / 2, (ny - 1) / 2])
    places = [read_registration(folder / "r.json").places[name] for name in names]
    return [
        (
            p.field,
            middle - p.transform(*middle) if p.transform else middle,
            p.sky_moves or (p.is_still and not p.is_firm),
        )
        for p in places
    ]


def judged(found: list[tuple[int, np.ndarray, bool]], truth: np.ndarray) -> np.ndarray:
    """Count the lights that are right, wrong and silent, wrong and told, and refused."""
    fields = np.array([field for field, *_ in found])
    counts = np.array([0, 0, 0, np.sum(fields == 0)])
    for field in set(fields) - {0}:
        members = np.flatnonzero(fields == field)
        away = np.array([found[i][1] for i in members]) - truth[members]
        away = np.hypot(*(away - np.median(away, axis=0)).T)
        wrong = away >= RIGHT
        # The reference has no place of its own: it is told of with the others.
        told = any(found[i][2] for i in members)
        counts += [sum(~wrong), sum(wrong) * (not told), sum(wrong) * told, 0]
    return counts


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=5, help="of each kind of field")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    options = parser.parse_args()
    print(f"{'':34s} right wrong  told refused")
    for name, field in FIELDS.items():
        if options.only not in name:
            continue
        counts = np.zeros(4, int)
        for seed in range(options.series):
            lights, truth = expose(field, seed)
            with tempfile.TemporaryDirectory() as folder:
                counts += judged(registered(Path(folder), lights), truth)
        print(f"{name:34s}", *(f"{count:5d}" for count in counts), flush=True)


if __name__ == "__main__":
    main()
