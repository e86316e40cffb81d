"""The lights of a stack, brought to one grid, one scale and one sky."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autoreduce.fits.images import open_image
from autoreduce.pixels.bayer import RGB
from autoreduce.pixels.fluxscale import FEWEST
from autoreduce.pixels.stacking import LightModel
from autoreduce.pixels.stars import SHARPEST_FWHM
from autoreduce.pixels.twice import seen_twice
from autoreduce.planning.recipe import Align, Area, Recipe, StackLevel
from autoreduce.products.moving import of_moving_target
from autoreduce.products.registration import (
    Geometry,
    Means,
    Place,
    RegistrationProduct,
    are_drawn_out,
)
from autoreduce.products.stack_cards import grid_cards
from autoreduce.products.stack_light import (
    Plane,
    StackLight,
    gain_from_sky,
    levelled,
    models,
    planes,
    scaled,
)
from autoreduce.products.starlist import read_stars
from autoreduce.remarks import Remark, remark, some

UNCERTAIN = 0.03
"""Relative error of a light's flux scale, from which it is told."""
LONG, FEWEST_LONG = 2.0, 10
"""Length over width of stars, from which it is told: none of a guided light have it; of how
many stars, as a few may be galaxies."""
BENT, LEAST_BENT, MANY_MATCHED = 0.2, 0.5, 21
"""Distance of stars in common (rms), of their width, and in pixels, that no errors of their
centres make, and how many of them tell."""
UNLIKE, WIDER = 2.5, 2.0
"""Widest stars of a stack over its narrowest, from which it is told, and from which a light
is named."""
TRIED = 16
"""Places along each side of a light that tell how much of it a grid shows."""


@dataclass(frozen=True, slots=True)
class StackMembers:
    """Lights that are ready to be combined."""

    lights: Sequence[StackLight]
    """The lights, on the grid and on the scale of the reference."""
    models: Sequence[LightModel]
    """How good each is."""
    reference: StackLight
    """The one whose scale the stack has."""
    grid: Geometry
    """Pixels of the stack."""
    cards: Sequence[bytes]
    """Header of the reference, with the coordinates of the grid."""
    remarks: tuple[Remark, ...] = ()
    """What is doubtful of them."""
    gain: float | None = None
    """Electrons per ADU of lights whose header does not tell; None where all lights
    count alike."""

    @property
    def is_mosaic(self) -> bool:
        """Whether the lights are mosaics, of which each colour is stacked by itself."""
        return all(light.model for light in self.lights)

    def in_colours(self, recipe: Recipe) -> "tuple[StackMembers, ...]":
        """Give red, green and blue of mosaics; other lights as they are."""
        if not self.is_mosaic:
            return (self,)
        return tuple(self._in_colour(name, recipe) for name in RGB)

    def smoothed(self) -> "StackMembers":
        """Measure what becomes of the noise of lights whose colour is interpolated."""
        return replace(self, lights=[light.smoothed() for light in self.lights])

    def planes(self) -> list[Plane]:
        """Tell how the sky of each light slopes otherwise than that of the reference.

        A nebula would be in that where the flux scale is uncertain: such lights get none.
        """
        at = self._reference_at
        return [
            Plane() if light.n_common is None or _is_uncertain(light) else plane
            for light, plane in zip(self.lights, planes(self.lights, at), strict=True)
        ]

    def sloped(self, planes: Sequence[Plane], chosen: Sequence[bool]) -> "StackMembers":
        """Add planes to the lights that are chosen."""
        each = zip(self.lights, planes, chosen, strict=True)
        return replace(self, lights=[
            light.sloped(plane) if is_chosen else light
            for light, plane, is_chosen in each
        ])  # fmt: skip

    @property
    def _reference_at(self) -> int:
        files = [light.item.file for light in self.lights]
        return files.index(self.reference.item.file)

    def _in_colour(self, name: str, recipe: Recipe) -> "StackMembers":
        at = self._reference_at
        lights = [light.in_colour(name) for light in self.lights]
        if recipe.stack.level is StackLevel.SKY:
            lights = levelled(lights, at)
        good = self.models
        if self.gain is not None:
            good = models(lights, self.gain, recipe.stack.change)
        return replace(self, lights=lights, models=good, reference=lights[at])


def unaligned(lights: Sequence[StackLight], recipe: Recipe) -> StackMembers:
    """Leave lights pixel on pixel, of equal weight, and say so.

    Parameters
    ----------
    lights : sequence of StackLight
        Lights of one shape.
    recipe : Recipe
        Whether their sky is brought to that of the first.
    """
    skies = [light.statistics.get("sky", math.nan) for light in lights]
    if recipe.stack.level is StackLevel.NONE or not np.isfinite(skies).all():
        skies = [0.0] * len(skies)
    level = [
        replace(light, offset=skies[0] - sky)
        for light, sky in zip(lights, skies, strict=True)
    ]
    asked = recipe.stack.align is Align.NONE
    why = f"recipe {recipe.title} asks" if asked else "nothing tells where"
    return StackMembers(
        level,
        [LightModel(1.0, 0.0, 0.0, 0.0)] * len(lights),
        level[0],
        Geometry(level[0].shape),
        level[0].header.records,
        (remark("not-aligned", found=why), *_long_stars(lights)),
    )


def aligned(
    lights: Sequence[StackLight],
    field: int,
    registration: RegistrationProduct,
    recipe: Recipe,
    folder: Path,
) -> StackMembers:
    """Lay the lights of a field on its grid, and bring them to one scale and sky.

    Parameters
    ----------
    lights : sequence of StackLight
        Lights of the field, with their places.
    field : int
        Number of the field, from 1.
    registration : RegistrationProduct
        Its reference fixes the grid, and the scale where it is one of the lights.
    recipe : Recipe
        How lights are stacked.
    folder : Path
        Output folder.
    """
    first = registration.references[field - 1]
    files = [light.item.file for light in lights]
    at = files.index(first) if first in files else _best(lights)
    sky = recipe.stack.level is StackLevel.SKY
    level = scaled(lights, at, folder, sky=sky)
    grid, cards = _grid(registration, first, level, at, folder, recipe.stack.area)
    laid = [light.on_grid(grid) for light in level]
    gain, doubts = 1.0, [*_doubts(laid), *_of_stars(laid, folder), *_of_widths(laid)]
    outside = [light for light in laid if _shown(light, grid) < 0.5]
    if outside and recipe.stack.area is Area.REFERENCE:
        names = [Path(light.item.file).name for light in outside]
        doubts.append(remark("mostly-outside", found=some(names)))
    moving = of_moving_target(laid, grid, folder)
    doubts += [moving] if moving else []
    if not all(light.gain for light in laid):
        gain = gain_from_sky(laid)
        doubts.append(remark("gain-from-sky", found=f"{gain:.3g}"))
    return StackMembers(
        laid,
        models(laid, gain, recipe.stack.change),
        laid[at],
        grid,
        cards,
        tuple(doubts),
        gain,
    )


def _is_uncertain(light: StackLight) -> bool:
    """Tell whether the stars of a light disagree on its flux scale."""
    return light.factor_error > UNCERTAIN * light.factor


def _doubts(lights: Sequence[StackLight]) -> Iterator[Remark]:
    """Tell of lights whose scale, or whose place, is not from their stars."""
    guessed = [light.item.file for light in lights if light.n_common is None]
    if guessed:
        names = [Path(file).name for file in guessed]
        yield remark("flux-by-exposure", found=some(names), expected=str(FEWEST))
    doubtful = [
        f"{Path(light.item.file).name} by {100 * light.factor_error / light.factor:.0f} %"
        for light in lights
        if _is_uncertain(light)
    ]
    if doubtful:
        yield remark("flux-uncertain", found=some(doubtful))
    yield from _long_stars(lights)
    imaged = [
        Path(light.item.file).name
        for light in lights
        if light.place and light.place.means is Means.IMAGE
    ]
    if imaged:
        yield remark("by-image", found=some(imaged))
    others = [
        (Path(light.item.file).name, light.place)
        for light in lights
        if light.place and light.place.means is not Means.REFERENCE
    ]
    still = [name for name, place in others if place.is_still and not place.is_firm]
    if 2 * len(still) > len(others):
        yield remark("nothing-moves", found=some(still))
    beside = [(name, place.matched) for name, place in others if place.sky_moves]
    if beside:
        found, most = some([name for name, _ in beside]), max(n for _, n in beside)
        yield remark("sky-moves", found=found, expected=str(most))


def _of_stars(lights: Sequence[StackLight], folder: Path) -> Iterator[Remark]:
    """Tell of lights that show each star twice, and whose stars no place fits."""
    twice = {
        Path(light.item.file).name: found.distance
        for light in lights
        if (found := seen_twice(read_stars(folder / light.item.file)))
    }
    if twice:
        yield remark(
            "double-stars", found=some([*twice]), expected=_span(twice.values())
        )
    bent = {
        Path(light.item.file).name: light.place.rms
        for light in lights
        if light.place and _is_bent(light.place, light.statistics.get("fwhm", math.nan))
    }
    if bent:
        expected = f"{max(bent.values()):.1f}"
        yield remark("bent-field", found=some([*bent]), expected=expected)


def _of_widths(lights: Sequence[StackLight]) -> Iterator[Remark]:
    """Tell of stars as sharp as pixels, and of lights whose stars are far wider than others'."""
    known = {
        Path(light.item.file).name: light.statistics["fwhm"]
        for light in lights
        if light.statistics.get("fwhm", 0.0) > 0
        and light.statistics.get("stars", 0.0) >= FEWEST_LONG
    }
    if len(known) < 2:
        return
    widths = np.array([*known.values()])
    if (usual := float(np.median(widths))) < SHARPEST_FWHM:
        yield remark("sharp-stars", found=f"{usual:.1f}", expected=f"{SHARPEST_FWHM:g}")
    if widths.max() > UNLIKE * widths.min():
        wide = [name for name, own in known.items() if own > WIDER * widths.min()]
        yield remark("unlike-widths", found=some(wide), expected=_span(widths))


def _is_bent(place: Place, fwhm: float) -> bool:
    """Tell whether many stars in common lie farther apart than their errors have it."""
    width = fwhm * place.geometry.binning
    return place.matched >= MANY_MATCHED and place.rms > max(BENT * width, LEAST_BENT)


def _span(values: Iterable[float]) -> str:
    """Write the least and the greatest of some values, once if they read alike."""
    values = list(values)
    return " to ".join(dict.fromkeys(f"{end(values):.1f}" for end in (min, max)))


def _long_stars(lights: Sequence[StackLight]) -> Iterator[Remark]:
    """Tell of lights with long stars, if these are stars and no spectra."""
    length = [light.statistics.get("elongation", 0.0) for light in lights]
    stars = [light.statistics.get("stars", 0.0) for light in lights]
    long = [i for i, n in enumerate(length) if n >= LONG and stars[i] >= FEWEST_LONG]
    if not long or are_drawn_out([lights[i].path for i in long]):
        return
    names = [Path(lights[i].item.file).name for i in long]
    expected = _span(length[i] for i in long)
    yield remark("long-stars", found=some(names), expected=expected)


def _shown(light: StackLight, grid: Geometry) -> float:
    """Give the part of a light that lies on a grid."""
    if light.place is None:
        return 1.0
    ny, nx = light.shape
    y, x = np.meshgrid(np.linspace(0, ny - 1, TRIED), np.linspace(0, nx - 1, TRIED))
    u, v = light.place.on_grid(grid)(x, y)
    rows, columns = grid.shape
    inside = (u > -0.5) & (u < columns - 0.5) & (v > -0.5) & (v < rows - 0.5)
    return float(np.mean(inside))


def _grid(
    registration: RegistrationProduct,
    first: str,
    lights: Sequence[StackLight],
    at: int,
    folder: Path,
    area: Area,
) -> tuple[Geometry, list[bytes]]:
    """Take the pixels of the field's reference, in the stack's own binning."""
    reference = registration.places[first].geometry
    own = lights[at].place
    binning = own.geometry.binning if own else reference.binning
    grid = reference.binned(binning)
    if area is not Area.REFERENCE:
        grid = _area(lights, grid, area)
    with open_image(folder / first) as reader:
        cards = reader.cards
    x0, y0 = (
        (new - old) / reference.binning
        for new, old in zip(grid.origin, reference.origin, strict=True)
    )
    return grid, grid_cards(
        lights[at].header.records, cards, (x0, y0), binning / reference.binning
    )


def _best(lights: Sequence[StackLight]) -> int:
    """Give the light that would make the best reference."""
    worth = [light.place.quality if light.place else 0.0 for light in lights]
    return worth.index(max(worth))


def _area(lights: Sequence[StackLight], grid: Geometry, area: Area) -> Geometry:
    """Cut the grid to what all lights show, or widen it to what any of them shows."""
    boxes = []
    for light in lights:
        if light.place is None:
            continue
        ny, nx = light.shape
        ends = [(-0.5, -0.5), (nx - 0.5, -0.5), (nx - 0.5, ny - 0.5), (-0.5, ny - 0.5)]
        transform = light.place.on_grid(grid)
        corners = np.array([transform(np.float64(x), np.float64(y)) for x, y in ends])
        ordered = np.sort(corners, axis=0)
        inner = 1 if area is Area.COMMON else 0
        boxes.append((ordered[inner], ordered[3 - inner]))
    lows, highs = (np.array([box[i] for box in boxes]) for i in (0, 1))
    if area is Area.COMMON:
        low, high = np.ceil(lows.max(axis=0) + 0.5), np.floor(highs.min(axis=0) - 0.5)
    else:
        low, high = np.floor(lows.min(axis=0) + 0.5), np.ceil(highs.max(axis=0) - 0.5)
    (x0, y0), (nx, ny) = low.astype(int), (high - low).astype(int) + 1
    if min(nx, ny) < 1:
        return grid
    binning = grid.binning
    origin = grid.origin[0] + binning * x0, grid.origin[1] + binning * y0
    return Geometry((int(ny), int(nx)), binning, (float(origin[0]), float(origin[1])))
