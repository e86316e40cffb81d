"""World coordinates of a night: each field solved once, and carried to all its products."""

import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from autoreduce.errors import InputError
from autoreduce.fits.cards import Card, format_card, without
from autoreduce.fits.images import open_image
from autoreduce.fits.writer import with_cards
from autoreduce.pixels.register import Transform
from autoreduce.planning.plan import Action, FrameInput, Plan
from autoreduce.products.pointing import pixel_scale_arcsec
from autoreduce.products.registration import Geometry, read_registration
from autoreduce.products.solution import Hints, Solution, is_installed, solve
from autoreduce.products.starlist import read_stars
from autoreduce.products.wcs import is_shift, is_wcs
from autoreduce.remarks import Remark, remark
from autoreduce.running.folder import remember

log = logging.getLogger(__name__)

SOLVED = "SOLVED"
"""Card of a product with solved coordinates: the light whose stars were matched."""
INSTALL = (
    "apt install astrometry.net astrometry-data-tycho2, or astap-cli and one of its star "
    "databases"
)


class _Field(NamedTuple):
    """What is solved once."""

    reference: str
    """Light whose stars are matched."""
    lights: Mapping[str, Transform]
    """The lights, with what takes their pixels to those of the reference."""


def solve_night(
    plan: Plan, made: Mapping[str, Collection[str]], folder: Path
) -> list[Remark]:
    """Solve the fields of a night, and write the coordinates into lights and stacks.

    Products that hold the solution of their field are left as they are.

    Parameters
    ----------
    plan : Plan
        The plan.
    made : mapping of str to collection of str
        Outputs of the tasks that could be made, with the files of each.
    folder : Path
        Output folder, which the caller holds.

    Returns
    -------
    list of Remark
        What could not be solved.
    """
    lights = {
        task.output: task.frames[0]
        for task in plan.tasks
        if task.action is Action.CALIBRATE and task.output in made
    }
    if not lights:
        return []
    if not is_installed():
        return [remark("no-solver", found=INSTALL)]
    told: list[Remark] = []
    for field in _fields(plan, made, lights, folder):
        solution, fresh = _solution(folder, field.reference, lights[field.reference])
        if solution is None:
            told.append(remark("not-solved", *field.lights, found=field.reference))
            continue
        written = []
        for light, transform in field.lights.items():
            if fresh or not _is_solved(folder / light, field.reference):
                _write(folder / light, solution.carried(transform), field.reference)
                written.append(light)
        for stack in _stacks(plan, made, folder, field.reference):
            if fresh or not _is_solved(folder / stack, field.reference):
                _write_stack(folder / stack, folder / field.reference, solution)
                written.append(stack)
        remember(folder, written)
        log.info("coordinates of %s: %d products", field.reference, len(written))
    return told


def _fields(
    plan: Plan,
    made: Mapping[str, Collection[str]],
    lights: Mapping[str, FrameInput],
    folder: Path,
) -> Iterator[_Field]:
    """Give the fields of all registrations, then the lights that have no place."""
    placed: set[str] = set()
    for task in plan.tasks:
        if task.action is not Action.REGISTER or task.output not in made:
            continue
        found = read_registration(folder / task.output)
        for number, reference in enumerate(found.references, start=1):
            grid: Geometry = found.places[reference].geometry
            members = {
                light: place.on_grid(grid)
                for light, place in found.places.items()
                if place.field == number and light in lights
            }
            placed |= set(members)
            if reference in members:
                yield _Field(reference, members)
    for task in plan.tasks:
        if task.output in lights.keys() - placed and not task.is_spectrum:
            yield _Field(task.output, {task.output: Transform()})


def _is_solved(path: Path, reference: str) -> bool:
    with open_image(path) as reader:
        return reader.get(SOLVED) == reference


def _solution(
    folder: Path, reference: str, item: FrameInput
) -> tuple[Solution | None, bool]:
    """Take the solution that the reference has, or have it found; tell which."""
    with open_image(folder / reference) as reader:
        header, shape = reader.raw, reader.shape
    if header.get(SOLVED) == reference:
        return Solution.of_header(header), False
    hints = Hints(pixel_scale_arcsec(header), item.ra, item.dec)
    try:
        stars = read_stars(folder / reference)
    except InputError:
        return None, True
    found = solve(stars, (shape[-2], shape[-1]), hints) if len(stars) else None
    return found, True


def _stacks(
    plan: Plan, made: Mapping[str, Collection[str]], folder: Path, reference: str
) -> Iterator[str]:
    """Give the stacks that lie on the pixels of a reference."""
    for task in plan.tasks:
        if task.action is Action.STACK and task.output in made:
            for output in made[task.output] or (task.output,):
                with open_image(folder / output) as reader:
                    if reader.get("GRID") == reference:
                        yield output


def _write_stack(path: Path, reference: Path, solution: Solution) -> None:
    """Take the solution to a stack: cut, widened or binned as its header tells."""
    with open_image(reference) as reader:
        own = reader.raw
    with open_image(path) as reader:
        header, name = reader.raw, str(reader.get("GRID"))
    ratio = (header.number("XBINNING") or 1.0) / (own.number("XBINNING") or 1.0)
    shifts = []
    for axis in (1, 2):
        before, after = own.number(f"LTV{axis}"), header.number(f"LTV{axis}")
        first = 0.0 if after is None else (before or 0.0) - (after - 0.5) * ratio - 0.5
        shifts.append(first + (ratio - 1) / 2)
    transform = Transform(shifts[0], shifts[1], 0.0, ratio)
    _write(path, solution.carried(transform), name)


def _write(path: Path, solution: Solution, reference: str) -> None:
    """Write coordinates into a header."""
    with open_image(path) as reader:
        cards = reader.cards
    kept = [card for card in cards if not is_wcs(card) or is_shift(card)]
    ours = format_card(*Card(SOLVED, reference, "light whose stars were matched"))
    with_cards(path, [*without(kept, [SOLVED]), *solution.cards(), *ours])
