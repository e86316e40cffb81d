"""The state of a product: the digest of all that it is made from.

A task is given a recipe that holds no more than what counts for its products
(`recipe_for`), so that no setting can change a product without changing its state.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from autoreduce.fits.checksum import check_sums
from autoreduce.fits.header import read_headers
from autoreduce.fits.ledger import Ledger, content_digest, digest_of
from autoreduce.fits.names import split_hdu
from autoreduce.planning.plan import Action, FrameInput, Task
from autoreduce.planning.recipe import Recipe

METHODS: Mapping[Action, int] = {
    Action.BIAS: 14,
    Action.DARK: 14,
    Action.DARK_FIT: 10,
    Action.FLAT: 19,
    Action.BAD_PIXELS: 10,
    Action.CALIBRATE: 26,
    Action.REGISTER: 16,
    Action.STACK: 22,
    Action.EXPOSURE: 1,
}
"""How each kind of product is made, as a number: raised whenever the same task would give
other pixels or cards than before.  Products that stand are then made again, and with
them all that is made from them."""
RAW = "raw/"
"""What the names of raw frames begin with in the ledger of an output folder; products go
by their outputs, masters of a library by their paths."""

WITHOUT_SUMS = {".json", ".csv", ".html", ".png"}
"""Endings of what has no checksums in it."""

COMBINED = frozenset({Action.BIAS, Action.DARK, Action.FLAT})
"""What makes a master from raw frames."""
_ASKED = {"fill": {Action.CALIBRATE, Action.STACK}, "electrons": {Action.CALIBRATE}}
"""What a run may ask for, and of which products."""
_PLANNING: frozenset[Action] = frozenset()
SETTINGS: Mapping[str, frozenset[Action]] = {
    "overscan.rows": _PLANNING,
    "linearity": _PLANNING,
    "amplifiers.crosstalk": _PLANNING,
    "amplifiers.measure": _PLANNING,
    "bias": frozenset({Action.BIAS}),
    "dark.combine": frozenset({Action.DARK}),
    "dark.model": frozenset({Action.DARK_FIT, Action.FLAT, Action.CALIBRATE}),
    "dark.section": frozenset({Action.DARK_FIT}),
    "dark.statistic": frozenset({Action.DARK_FIT}),
    "dark.weighted": frozenset({Action.DARK_FIT}),
    "dark.longer": _PLANNING,
    "dark.longer_alone": _PLANNING,
    "dark.temperature": frozenset({Action.DARK_FIT}),
    "flat": frozenset({Action.FLAT}),
    "light.bad_pixels": _PLANNING,
    "light.cosmics": frozenset({Action.CALIBRATE}),
    "light.together": _PLANNING,
    "stack.make": _PLANNING,
    "stack.combine": frozenset({Action.STACK}),
    "stack.level": frozenset({Action.STACK}),
    "stack.align": frozenset({Action.REGISTER, Action.STACK}),
    "stack.area": frozenset({Action.STACK}),
    "stack.change": frozenset({Action.STACK}),
    "stack.colours": frozenset({Action.STACK}),
    "picture.make": _PLANNING,
    "picture.palette": _PLANNING,
    "picture.soft": _PLANNING,
    "picture.deep": _PLANNING,
    "quality.check": COMBINED | {Action.STACK},
    "quality.n_sigma": COMBINED,
    "quality.tolerance": COMBINED,
    "quality.max_saturated": frozenset({Action.FLAT}),
    "quality.max_elongation": frozenset({Action.STACK}),
    "quality.max_fwhm": frozenset({Action.STACK}),
    "quality.min_stars": frozenset({Action.STACK}),
    "quality.min_flux": frozenset({Action.STACK}),
    "quality.max_sky": frozenset({Action.STACK}),
}
"""Which products each setting of a recipe changes; a table stands for all its settings.
`Recipe.name` and `Recipe.options` are told in headers and change nothing."""


def recipe_for(recipe: Recipe, action: Action) -> Recipe:
    """Return the part of a recipe that an action may use.

    Parameters
    ----------
    recipe : Recipe
        The recipe of the night.
    action : Action
        What is made.

    Returns
    -------
    Recipe
        What does not count for the action's products is as in any recipe.
    """
    options = recipe.options if action in SETTINGS["stack.align"] else ""
    usual = Recipe(recipe.name, options=options)
    part: Recipe = _part(recipe, usual, "", action)
    return part


def _part(given: Any, usual: Any, at: str, action: Action) -> Any:  # noqa: ANN401 -- a recipe or a table of it
    chosen = {}
    for field in fields(given):
        name, value = f"{at}{field.name}", getattr(given, field.name)
        if name in SETTINGS:
            if action in SETTINGS[name]:
                chosen[field.name] = value
        elif is_dataclass(value):
            below = getattr(usual, field.name)
            chosen[field.name] = _part(value, below, f"{name}.", action)
    return replace(usual, **chosen)


def look_at_raw(
    task: Task, root: Path, files: Ledger, threads: int = 1
) -> dict[str, str]:
    """Tell what the raw frames of a task hold.

    They are read just before the task reads them, so that it finds them in memory.

    Parameters
    ----------
    task : Task
        The task.
    root : Path
        Folder that the frames' paths are relative to.
    files : Ledger
        What is known of them; what is found is remembered there.
    threads : int
        Frames that are read at a time.

    Returns
    -------
    dict of str to str
        Digest of each frame's file; empty for one that cannot be read.
    """
    names = [item.file for item in task.frames]
    with ThreadPoolExecutor(threads) as pool:
        paths = (split_hdu(root / name)[0] for name in names)
        digests = pool.map(files.look, map(raw_name, names), paths)
        return dict(zip(names, digests, strict=True))


def raw_name(file: str) -> str:
    """Name a raw frame's file in the ledger of an output folder."""
    return f"{RAW}{split_hdu(file)[0].as_posix()}"


def written_digest(path: Path) -> str:
    """Tell what a product holds that was just written.

    Returns
    -------
    str
        Digest of the headers of a FITS file, in which the checksums stand for the
        pixels; of the content of another file.

    Raises
    ------
    InputError, OSError
        If it cannot be read.
    """
    if path.suffix in WITHOUT_SUMS:
        return content_digest(path)
    return digest_of(b"".join(header.block for header in read_headers(path)))


def found_digest(path: Path) -> str:
    """Tell what a product holds, as `written_digest`, if its checksums hold.

    Raises
    ------
    InputError, OSError
        If they do not, or it cannot be read.
    """
    if path.suffix not in WITHOUT_SUMS:
        check_sums(path)
    return written_digest(path)


class State(NamedTuple):
    """What a product's content depends on, digested."""

    digest: str
    """All of it: 32 hexadecimal digits."""
    parts: Mapping[str, str]
    """By the names of `PARTS`, 8 hexadecimal digits each: which of them is another."""


def task_state(
    task: Task,
    recipe: Recipe,
    contents: Mapping[str, str],
    needs: Mapping[str, str],
    asked: Mapping[str, bool | float | None],
) -> State:
    """Digest everything that a product's content depends on.

    Parameters
    ----------
    task : Task
        What is made.
    recipe : Recipe
        The part of it that the task's action may use counts.
    contents : mapping of str to str
        Digest of the content of each raw frame.
    needs : mapping of str to str
        Digest of each product that the task uses; those not made are absent.
    asked : mapping
        What the run asks for: whether there are ``planes`` and lights in ``electrons``,
        and the ``fill`` of lights and stacks.

    Returns
    -------
    State
        The digest of all, and those of its parts.
    """
    content = {
        "format": METHODS[task.action],
        "action": task.action,
        "facts": {name: v for name, v in task.facts.items() if v is not None},
        "frames": [_told(item) for item in task.frames],
        "products": task.products,
        "registration": task.registration,
        "reference": task.reference,
        "doubts": [str(one) for one in task.doubts],
        "recipe": _used(recipe, task.action),
        "files": [contents[item.file] for item in task.frames],
        "needs": dict(sorted(needs.items())),
        "planes": asked["planes"],
        **{name: asked[name] for name, of in _ASKED.items() if task.action in of},
    }
    parts = {
        part: _digest({name: content.get(name) for name in names})[:8]
        for part, names in PARTS.items()
    }
    return State(_digest(content), parts)


PARTS: Mapping[str, tuple[str, ...]] = {
    "method": ("format",),
    "plan": (
        "action",
        "facts",
        "frames",
        "products",
        "registration",
        "reference",
        "doubts",
    ),
    "recipe": ("recipe",),
    "frames": ("files",),
    "products": ("needs",),
    "asked": ("planes", *_ASKED),
}
"""What a product's content depends on: how its kind is made, what the plan says of it, the
settings that count, what its raw frames hold and the products that it uses, and what the
run asks for."""


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _used(recipe: Recipe, action: Action) -> dict[str, Any]:
    """List the settings that count for an action, by their names in `SETTINGS`."""
    settings = asdict(recipe)
    return {
        name: _at(settings, name)
        for name, actions in SETTINGS.items()
        if action in actions
    }


def _at(settings: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- any setting
    first, _, rest = name.partition(".")
    return _at(settings[first], rest) if rest else settings[first]


def _told(item: FrameInput) -> dict[str, Any]:
    """List what is particular to a frame: what is not told is not part of its state."""
    usual = asdict(FrameInput(item.file))
    return {name: v for name, v in asdict(item).items() if v != usual[name]}
