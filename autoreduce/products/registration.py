"""Where the lights of an object lie on one another: one grid over all its filters.

Places are in pixels of the sensor as the finest binning of the object sees it, so that
lights of other binnings lie on the same grid.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.fits.images import open_image
from autoreduce.fits.whole import write_text
from autoreduce.pixels.alignment import ROUGH, Alignment, quality, register_all
from autoreduce.pixels.correlation import correlate
from autoreduce.pixels.movement import FEWEST_IMAGES, movement
from autoreduce.pixels.order import median
from autoreduce.pixels.register import FEWEST, Transform, match
from autoreduce.pixels.spectra import is_drawn_out
from autoreduce.pixels.stars import NOT_MEASURED, Stars, on_sensor, superpixels
from autoreduce.planning.plan import Task
from autoreduce.planning.recipe import Align
from autoreduce.products.pointing import coordinates_transform
from autoreduce.products.starlist import read_stars
from autoreduce.remarks import Remark, remark

FORMAT = 1
FEW = 20
"""Stars up to which a light that does not match may be placed by its whole image."""
BROAD = 12.0
"""Width, in pixels, from which most stars of a light may be none."""
PROBES = 3
"""Lights that are tried as reference of images without stars."""
STILL, MOVED = 0.1, 0.5
"""Shifts, in pixels, that may be those of the sensor's pattern, and that cannot be."""
AGREE, KEPT = 1.0, 0.3
"""Distances, in pixels, at which a place agrees with how the sky moves, and at which that
of a light's stars is kept."""
FIRM, FIRM_TURNED = 6, 4
"""Stars in common from which a place is that of the sky, whatever images do; and of a light
that is turned, as no pattern of the sensor is."""
TURNED = 1.0
"""Degrees by which no pattern is turned."""
AT_ONCE = 12
"""Images in which it is seen at once how the sky moves."""
TELESCOPES = (0.3, 3.3)
"""Sizes of pixels, of others, by reducers, Barlow lenses and binning."""
LOOKED_AT = 5
"""Images, at the most, that tell whether they are spectra."""


class Means(StrEnum):
    """What a place was found by."""

    REFERENCE = "reference"
    STARS = "stars"
    IMAGE = "image"
    WCS = "wcs"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Which pixels of the sensor the pixels of a light are."""

    shape: tuple[int, int]
    """(ny, nx)."""
    binning: float = 1.0
    """Pixels of the grid in one of the light, along a side."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Pixel of the sensor (x, y) with which it begins."""

    @property
    def to_sensor(self) -> Transform:
        """Take pixels of the light to those of the sensor."""
        middle = (self.binning - 1) / 2
        return Transform(
            self.origin[0] + middle, self.origin[1] + middle, 0.0, self.binning
        )

    def binned(self, binning: float) -> "Geometry":
        """Give the same part of the sensor with other pixels."""
        ratio = binning / self.binning
        ny, nx = (max(int(n / ratio), 1) for n in self.shape)
        return Geometry((ny, nx), binning, self.origin)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a light lies."""

    geometry: Geometry
    """Its pixels."""
    field: int = 0
    """Number of the field that it shows, from 1; 0 if it fits no other light."""
    transform: Transform | None = None
    """From its pixels of the sensor to those of the field's reference."""
    means: Means = Means.NONE
    """What it was found by."""
    matched: int = 0
    """Stars in common with the light that it was matched with."""
    rms: float = math.nan
    """Distance of those stars from one another, 2-d, pixels of the sensor."""
    quality: float = 0.0
    """How good a reference it would make."""
    why_not: Remark | None = None
    """Why it has no place."""
    sky_moves: bool = False
    """Whether something moves in its image, while the stars that it lies by do not."""

    @property
    def is_still(self) -> bool:
        """Whether it may be that of the sensor's pattern, or of a few hot pixels."""
        by_sky = self.means in (Means.STARS, Means.IMAGE) and self.matched <= FEW
        return by_sky and _off(self, Transform()) < STILL

    @property
    def is_firm(self) -> bool:
        """Whether its stars tell where it lies, however its image seems to move."""
        move = self.transform
        if self.means is not Means.STARS or move is None:
            return False
        is_turned = move.mirrored or abs(move.rotation) > TURNED
        return self.matched >= (FIRM_TURNED if is_turned else FIRM)

    @property
    def to_reference(self) -> Transform:
        """Take pixels of the light to those of the sensor, as the reference lies on it."""
        if self.transform is None:
            msg = "a light without a place lies on no other"
            raise ValueError(msg)
        return self.geometry.to_sensor.then(self.transform)

    def on_grid(self, grid: Geometry) -> Transform:
        """Take pixels of the light to those of a grid on the field's reference."""
        return self.to_reference.then(grid.to_sensor.inverse())


class RegistrationProduct(NamedTuple):
    """What a registration tells."""

    references: tuple[str, ...]
    """Reference of each field."""
    places: Mapping[str, Place]
    """Where each light lies."""
    scales: tuple[float | None, ...] = ()
    """Size of the pixels of each field, of those of the first, whose stars it shows; None
    where it shows others."""


class _Light(NamedTuple):
    """A light that is to be registered."""

    output: str
    stars: NDArray[Any]
    geometry: Geometry
    pixel: float = 1.0
    """Pixels of the sensor in one of the image that its stars were found in."""
    filter: str = ""
    """Its filter, as the header has it."""

    @property
    def has_stars(self) -> bool:
        """Whether it shows many stars, and no clumps of a nebula that are taken for some."""
        wide = np.median(self.stars["fwhm"]) if len(self.stars) else 0.0
        return len(self.stars) > FEW and bool(wide < BROAD * self.pixel)


def make_registration(
    task: Task,
    workspace: Workspace,
    digest: str,
    lights: Mapping[str, Mapping[str, float]],
) -> TaskResult:
    """Find where the lights of an object lie, and write it down.

    Parameters
    ----------
    task : Task
        The registration.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    lights : mapping of str to mapping
        Statistics of the lights that could be made.

    Returns
    -------
    TaskResult
        ``fields``, ``lights`` and ``placed`` (numbers) as statistics; for each light
        ``field``, ``dx``, ``dy`` (where its centre lies, from that of the reference,
        pixel), ``rotation`` (deg), ``mirrored``, ``scale``, ``matched``, ``rms``
        (pixel).

    Raises
    ------
    ProductError
        If the product cannot be written.
    """
    there = sorted(output for output in task.products if output in lights)
    found = _opened(workspace.folder, there)
    wanted = there.index(task.reference) if task.reference in there else None
    if workspace.recipe.stack.align is Align.WCS:
        registration = _by_coordinates(workspace.folder, found, wanted)
    else:
        registration = _by_stars(workspace, found, wanted, task)
    _write(workspace.folder / task.output, registration, digest)
    return TaskResult(
        statistics={
            "fields": float(len(registration.references)),
            "lights": float(len(there)),
            "placed": float(sum(p.field > 0 for p in registration.places.values())),
        },
        measured={
            output: measured
            for output, place in registration.places.items()
            if (measured := place_numbers(place, registration))
        },
        n_used=len(there),
    )


def _opened(folder: Path, outputs: Sequence[str]) -> list[_Light]:
    """Read the stars of lights and what their pixels are, on a common sensor."""
    headers = []
    for output in outputs:
        with open_image(folder / output) as reader:
            shape = reader.shape[-2], reader.shape[-1]
            headers.append((reader.raw, (int(shape[0]), int(shape[1]))))
    binnings = [header.number("XBINNING") or 1.0 for header, _ in headers]
    finest = min(binnings, default=1.0)
    lights = []
    for output, (header, shape), own in zip(outputs, headers, binnings, strict=True):
        binning = own / finest
        x0, y0 = (header.number(name) or 0.0 for name in ("XORGSUBF", "YORGSUBF"))
        geometry = Geometry(shape, binning, (binning * x0, binning * y0))
        stars = on_sensor(read_stars(folder / output), binning, geometry.origin)
        pixel = 2 * binning if header.get("BAYERPAT") else binning
        seen_by = str(header.get("FILTER"))
        lights.append(_Light(output, stars, geometry, pixel, seen_by))
    return lights


def _by_stars(
    workspace: Workspace, lights: Sequence[_Light], wanted: int | None, task: Task
) -> RegistrationProduct:
    """Register lights by their stars; those with few, by their whole images."""
    folder = workspace.folder
    qualities = [quality(Stars(light.stars, NOT_MEASURED)) for light in lights]
    alignment = register_all(
        [light.stars for light in lights],
        qualities,
        [light.output for light in lights],
        reference=wanted,
        rough=ROUGH * max((light.pixel for light in lights), default=1.0),
        each=workspace.each,
    )
    places = [
        _placed(light, i, alignment, worth, task)
        for i, (light, worth) in enumerate(zip(lights, qualities, strict=True))
    ]
    references = [lights[i].output for i in alignment.references]
    rest = [
        i
        for i, place in enumerate(places)
        if not place.field and not lights[i].has_stars
    ]
    if are_drawn_out([folder / lights[i].output for i in rest]):
        for i in rest:
            why = remark("drawn-out", lights[i].output)
            places[i] = replace(places[i], why_not=why)
    elif rest and (first := _image_reference(folder, lights, alignment, rest, wanted)):
        at, shifts = first
        if not references:
            references = [lights[at].output]
            places[at] = _as_reference(places[at], 1)
        for i, shift in shifts.items():
            places[i] = _by_image(places[i], 1, shift)
    for group in _poor(lights, places):
        _place_moving(folder, lights, group, places, references)
    filled = sorted({place.field for place in places} - {0})
    references = [references[field - 1] for field in filled]
    places = [
        replace(place, field=filled.index(place.field) + 1) if place.field else place
        for place in places
    ]
    stars = {light.output: light.stars for light in lights}
    scales = _scales([stars[output] for output in references])
    return RegistrationProduct(
        tuple(references), dict(zip(stars, places, strict=True)), scales
    )


def _scales(references: Sequence[NDArray[Any]]) -> tuple[float | None, ...]:
    """Give the size of the pixels of fields that show the stars of the first."""
    found: list[float | None] = [1.0 for _ in references[:1]]
    for stars in references[1:]:
        same = match(stars, references[0], scales=TELESCOPES)
        found.append(None if same is None else same.transform.scale)
    return tuple(found)


def _as_reference(place: Place, field: int) -> Place:
    return replace(_by_image(place, field, Transform()), means=Means.REFERENCE)


def _by_image(place: Place, field: int, shift: Transform) -> Place:
    return replace(
        place,
        field=field,
        transform=shift,
        means=Means.IMAGE,
        matched=0,
        rms=math.nan,
        why_not=None,
    )


def _poor(lights: Sequence[_Light], places: Sequence[Place]) -> list[list[int]]:
    """Give the lights with few stars that share a pattern of the sensor."""
    groups: dict[tuple[Geometry, str], list[int]] = {}
    for i, light in enumerate(lights):
        why = places[i].why_not
        if not light.has_stars and not (why and why.code == "drawn-out"):
            groups.setdefault((light.geometry, light.filter), []).append(i)
    return [group for group in groups.values() if len(group) >= FEWEST_IMAGES]


def _place_moving(
    folder: Path,
    lights: Sequence[_Light],
    group: Sequence[int],
    places: list[Place],
    references: list[str],
) -> None:
    """Place the lights of a group as the sky moves beside what stands still in them.

    Few stars may be hot pixels, and what images share the sensor's pattern: such places
    are kept where they agree with the movement, and else are mended, in place.  Those
    that more stars tell are kept: guided stars stand still as well, while an asteroid
    moves.  That both may be is said.
    """
    fixed = [i for i in group if places[i].means is Means.REFERENCE]
    firm = [i for i in group if places[i].is_firm]
    loose = [i for i in group if i not in {*fixed, *firm}]
    still = [i for i in firm if places[i].is_still]
    if not loose and 2 * len(still) <= len(firm):
        return
    best = max(firm or loose, key=lambda i: places[i].quality)
    at = min(fixed, key=lambda i: places[i].field, default=best)
    few = firm[:: max(len(firm) // PROBES, 1)][:PROBES] if loose else firm[:AT_ONCE]
    first, moves = _moves(folder, lights, [*loose, *few], at)
    moving = [i for i, move in moves.items() if move.length > MOVED]
    if not moving:
        return
    field, origin = _joined(places, moves, first)
    if not field and moves.keys() & set(firm):
        for i in still if 2 * len(moving) >= len(moves) - 1 else ():
            places[i] = replace(places[i], sky_moves=True)
        return
    others = (place for i, place in enumerate(places) if i not in moves)
    elsewhere = {one.field for one in others if one.means is Means.STARS} - {field}
    held = {i for i in group if places[i].field in elsewhere and not places[i].is_still}
    if not field:
        if first in held:
            return
        references.append(lights[first].output)
        field, origin = len(references), Transform()
        places[first] = _as_reference(places[first], field)
    for i in set(loose) - {first, *held}:
        if i in moves:
            places[i] = _mended(places[i], field, moves[i].then(origin))
        elif places[i].field == field or places[i].is_still:
            begin = origin if places[i].field == field else Transform()
            places[i] = _unless_still(places[i], begin, lights[i])


def _mended(place: Place, field: int, shift: Transform) -> Place:
    """Give a place as the sky moves, if not the one that its stars tell as well."""
    by_stars = place.field == field and place.means is Means.STARS
    if by_stars and _off(place, shift) < KEPT:
        return place
    return _by_image(place, field, shift)


def _unless_still(place: Place, origin: Transform, light: _Light) -> Place:
    """Give no place to what lies on the first as the sensor does, though the sky moves."""
    if _off(place, origin) >= STILL:
        return place
    why = remark("no-stars-to-place", light.output, found=str(len(light.stars)))
    return Place(place.geometry, quality=place.quality, why_not=why)


def _joined(
    places: Sequence[Place], moves: Mapping[int, Transform], first: int
) -> tuple[int, Transform]:
    """Give the field to which what moves belongs, and where the first light lies in it.

    That is where most places agree that many stars tell, or else all that are known; 0
    if they do not.
    """
    place, firm = places[first], [i for i in moves if places[i].is_firm]
    known = firm or [i for i in moves if places[i].field]
    field = place.field or min((places[i].field for i in known), default=0)
    known = [i for i in known if places[i].field == field]
    if not field or not known:
        return 0, Transform()
    if place.means is Means.REFERENCE or place.is_firm:
        origin = place.transform or Transform()
        if not firm:
            return field, origin
    else:
        origins = [_centred(places[i], moves[i]) for i in known]
        dx, dy = median(np.array(origins), axis=0)
        origin = Transform(float(dx), float(dy))
    near = [_off(places[i], moves[i].then(origin)) < AGREE for i in known]
    return (field if 2 * sum(near) > len(near) else 0), origin


def _centred(place: Place, move: Transform) -> NDArray[np.float64]:
    """Tell where the middle of a light lies, from where a movement puts it (x, y)."""
    ny, nx = place.geometry.shape
    middle = np.float64((nx - 1) / 2), np.float64((ny - 1) / 2)
    moved = place.geometry.to_sensor.then(move)
    return np.subtract(place.to_reference(*middle), moved(*middle))


def _off(place: Place, move: Transform) -> float:
    """Tell how far the middle of a light lies from where a movement puts it."""
    return float(np.hypot(*_centred(place, move)))


def _moves(
    folder: Path, lights: Sequence[_Light], group: Sequence[int], first: int
) -> tuple[int, dict[int, Transform]]:
    """Give the shifts of a group's lights to a first one: those that are clear.

    The first is another one if that as asked for is not clear itself.
    """
    others = [i for i in group if i != first]
    n = -(-len(others) // (AT_ONCE - 1))
    moves: dict[int, Transform] = {}
    for start in range(n):
        batch = [first, *others[start::n]]
        found = movement(_image(folder, lights[i]) for i in batch)
        clear = {i: shift for i, shift in zip(batch, found, strict=True) if shift}
        if clear and first not in clear and not moves:
            clearest = min(clear, key=lambda i: clear[i].error)
            left = [i for i in group if i in clear or i not in batch]
            return _moves(folder, lights, left, clearest)
        if first in clear:
            back = clear[first].transform.inverse()
            moves |= {
                i: _sensor_shift(shift.transform.then(back), lights[i], lights[first])
                for i, shift in clear.items()
            }
    return first, moves


def _placed(
    light: _Light, i: int, alignment: Alignment, worth: float, task: Task
) -> Place:
    """Write down what is known of a light's place."""
    found = alignment.lights[i]
    bare = Place(light.geometry, quality=worth)
    if found.transform is None:
        n = len(light.stars)
        code = "no-place" if n >= FEWEST else "no-stars-to-place"
        why = remark(code, light.output, found=str(n), expected=task.group)
        return replace(bare, why_not=why)
    match = found.registration
    return replace(
        bare,
        field=found.field,
        transform=found.transform,
        means=Means.STARS if match else Means.REFERENCE,
        matched=match.n if match else len(light.stars),
        rms=match.rms if match else 0.0,
    )


def are_drawn_out(paths: Sequence[Path]) -> bool:
    """Tell whether most of some lights look like spectra, as a few of them do."""
    steps = np.linspace(0, len(paths) - 1, min(len(paths), LOOKED_AT))
    drawn = [is_drawn_out(_read_image(paths[round(step)])) for step in steps]
    return sum(drawn) > len(drawn) / 2


def _image_reference(
    folder: Path,
    lights: Sequence[_Light],
    alignment: Alignment,
    rest: Sequence[int],
    wanted: int | None,
) -> tuple[int, dict[int, Transform]] | None:
    """Place lights by their whole images: on the reference, or on the best of some."""
    if alignment.references:
        tried = [alignment.references[0]]
    elif wanted is not None:
        tried = [wanted]
    else:
        steps = np.linspace(0, len(rest) - 1, PROBES + 2)[1:-1]
        tried = [rest[round(step)] for step in steps]
    best: tuple[int, dict[int, Transform]] | None = None
    for first in dict.fromkeys(tried):
        like = lights[first].geometry.shape
        others = [i for i in rest if i != first and lights[i].geometry.shape == like]
        shifts = _shifts(folder, lights, first, others)
        if shifts and (best is None or len(shifts) > len(best[1])):
            best = first, shifts
    return best


def _shifts(
    folder: Path, lights: Sequence[_Light], first: int, others: Sequence[int]
) -> dict[int, Transform]:
    """Correlate the images of lights with that of another."""
    image = _image(folder, lights[first])
    found = {i: correlate(_image(folder, lights[i]), image) for i in others}
    return {
        i: _sensor_shift(shift.transform, lights[i], lights[first])
        for i, shift in found.items()
        if shift is not None
    }


def _image(folder: Path, light: _Light) -> NDArray[Any]:
    return _read_image(folder / light.output)


def _read_image(path: Path) -> NDArray[Any]:
    with open_image(path) as reader:
        data = np.asarray(reader.read(), np.float32)
        return superpixels(data) if reader.get("BAYERPAT") else data


def _sensor_shift(shift: Transform, light: _Light, reference: _Light) -> Transform:
    """Take a shift between images to one between pixels of the sensor."""
    pixel = light.pixel / light.geometry.binning
    shift = Transform(pixel * shift.dx, pixel * shift.dy)
    before = light.geometry.to_sensor.inverse()
    return before.then(shift).then(reference.geometry.to_sensor)


def _by_coordinates(
    folder: Path, lights: Sequence[_Light], wanted: int | None
) -> RegistrationProduct:
    """Register lights by the coordinates in their headers."""
    headers = []
    for light in lights:
        with open_image(folder / light.output) as reader:
            headers.append(reader.raw)
    qualities = [quality(Stars(light.stars, NOT_MEASURED)) for light in lights]
    order = sorted(
        range(len(lights)), key=lambda i: (i != wanted, -qualities[i], lights[i].output)
    )
    usable = [i for i in order if coordinates_transform(headers[i], headers[i], (9, 9))]
    places = {}
    for i, light in enumerate(lights):
        found = None
        if usable:
            first = lights[usable[0]]
            found = coordinates_transform(
                headers[i], headers[usable[0]], light.geometry.shape
            )
        if found is None:
            why = remark("no-coordinates", light.output, found="no celestial WCS")
            places[light.output] = Place(
                light.geometry, quality=qualities[i], why_not=why
            )
            continue
        transform = (
            light.geometry.to_sensor.inverse()
            .then(found.transform)
            .then(first.geometry.to_sensor)
        )
        is_reference = i == usable[0]
        places[light.output] = Place(
            light.geometry,
            field=1,
            transform=Transform() if is_reference else transform,
            means=Means.REFERENCE if is_reference else Means.WCS,
            rms=0.0 if is_reference else found.rms,
            quality=qualities[i],
        )
    references = (lights[usable[0]].output,) if usable else ()
    return RegistrationProduct(references, places)


def place_numbers(place: Place, registration: RegistrationProduct) -> dict[str, float]:
    """Give the numbers of a place, none without one.

    Returns
    -------
    dict of str to float
        ``field``; ``dx``, ``dy``: where the light's centre lies, from that of the
        reference, in its pixels; ``rotation`` (deg), ``mirrored``, ``scale``,
        ``matched``, ``rms`` (pixel).
    """
    if place.transform is None:
        return {}
    reference = registration.places[registration.references[place.field - 1]]
    shown = place.on_grid(reference.geometry)
    ny, nx = place.geometry.shape
    x, y = shown(np.float64((nx - 1) / 2), np.float64((ny - 1) / 2))
    rows, columns = reference.geometry.shape
    numbers = {
        "field": float(place.field),
        "dx": float(x) - (columns - 1) / 2,
        "dy": float(y) - (rows - 1) / 2,
        "rotation": place.transform.rotation,
        "mirrored": float(place.transform.mirrored),
        "scale": place.transform.scale,
        "matched": float(place.matched),
        "rms": place.rms,
    }
    return {name: n for name, n in numbers.items() if math.isfinite(n)}


def _write(path: Path, registration: RegistrationProduct, digest: str) -> None:
    content = {
        "product": "registration",
        "format": FORMAT,
        "references": registration.references,
        "scales": registration.scales,
        "lights": {
            output: {
                **asdict(place),
                "rms": place.rms if math.isfinite(place.rms) else None,
                "why_not": place.why_not.to_dict() if place.why_not else None,
            }
            for output, place in registration.places.items()
        },
        "digest": digest,
    }
    write_text(path, json.dumps(content, indent=1))


def read_registration(path: Path) -> RegistrationProduct:
    """Read what `make_registration` wrote.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError
        If it cannot be read, or is none.
    """
    content = json.loads(path.read_text("utf-8"))
    places = {output: _read(fields) for output, fields in content["lights"].items()}
    return RegistrationProduct(
        tuple(content["references"]), places, tuple(content["scales"])
    )


def _read(fields: dict[str, Any]) -> Place:
    shape, geometry = fields["geometry"].pop("shape"), fields["geometry"]
    origin = geometry["origin"]
    transform, why_not = fields["transform"], fields["why_not"]
    return Place(
        **{
            **fields,
            "geometry": Geometry(
                (shape[0], shape[1]), geometry["binning"], (origin[0], origin[1])
            ),
            "transform": None if transform is None else Transform(**transform),
            "means": Means(fields["means"]),
            "rms": math.nan if fields["rms"] is None else fields["rms"],
            "why_not": None if why_not is None else Remark.from_dict(why_not),
        }
    )
