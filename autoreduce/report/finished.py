"""The picture of an object: its deepest stacks as one image in colour, full size.

Which images make which colour is decided first; then they are read by bands of rows.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import AutoreduceError
from autoreduce.fits.header import begins_at_top
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.whole import write_bytes
from autoreduce.pixels.bayer import RGB
from autoreduce.pixels.stretch import (
    BAND_PIXELS,
    Sample,
    Shades,
    Slope,
    Tone,
    levels_of,
    mean_of_known,
    slope_of,
    tone_of,
    whole_numbers,
)
from autoreduce.planning.naming import stack_field
from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.planning.recipe import Area, Palette, PictureRecipe
from autoreduce.planning.use import stem
from autoreduce.products.registration import read_registration
from autoreduce.products.stack_light import StackLight
from autoreduce.remarks import Severity
from autoreduce.report.caveats import Caveats
from autoreduce.report.colours import filter_band
from autoreduce.report.content import ObjectPicture, Outcome
from autoreduce.report.pictures import (
    AT_ONCE,
    LARGEST,
    Picture,
    Shrunk,
    Small,
    png_pieces,
    png_texts,
    read_png,
)
from autoreduce.report.words import scale_words
from autoreduce.running.folder import PICTURES

Floats = NDArray[np.floating]

FORMAT = 8
"""Raised whenever the same images would give another picture than before."""
BROAD = ("J", "Z", "I", "R", "V", "G", "B", "U")
"""Bands that make colours, the reddest first."""
LEAVING = ("J", "U", "Z", "I")
"""Those that are done without, in turn, where there are more than three."""
LINE_SHARE = 0.1
"""What a narrow band shows beyond stars counts so much of what it would if it were as
wide as a broad one: about the ratio of their widths."""
_SHOWN = (Action.STACK, Action.CALIBRATE)
"""Tasks whose products are images of objects."""
FEWEST_ROWS = 8
"""Rows that are made at a time, at least."""
ROW_BYTES = 160
"""Bytes that a pixel takes on its way into the picture."""
DIGEST = "Digest"
"""Keyword of PNG under which a picture carries the state of what it was made from."""


class Field(NamedTuple):
    """What an image shows."""

    registration: str
    """Below the output folder; of a light that lies on no other, the light."""
    number: int
    """From 1; 0 if the light has no place there."""


class Image(NamedTuple):
    """An image of an object that could go into its picture."""

    output: str
    """Below the output folder."""
    filter: str
    """Filter; empty if there is none."""
    exposure: float
    """Exposure of all its lights, s."""
    is_colour: bool
    """Whether it has colours of its own."""
    is_light: bool
    """Whether it is a single light."""
    digest: str
    """State of the product."""
    field: Field = Field("", 1)
    """Others do not lie on it."""
    binned: int = 1
    """Pixels of the camera that are one of its pixels."""
    detector: str = ""
    """Detector of a camera of several: others show another part of the sky."""


class Channel(NamedTuple):
    """What makes a colour of a picture, or its brightness."""

    images: tuple[Image, ...]
    """The mean of these, on the scale of their stars ..."""
    line: Image | None = None
    """... and what shines in this narrow band beyond the light of stars."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Which images make the picture of an object."""

    name: str
    """The object."""
    output: str
    """Where the picture stands, below the output folder."""
    palette: str
    """``colour`` (of a colour camera), ``RGB``, ``SHO``, ``HOO`` or ``grey``."""
    channels: tuple[Channel, ...]
    """Grey; or red, green and blue, and perhaps the brightness."""
    doubts: tuple[str, ...] = ()
    """What is doubtful of the images."""
    scale_arcsec: float | None = None
    """Width of a pixel, arcsec; None if that is not known."""

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, each once."""
        lines = (one.line for one in self.channels if one.line is not None)
        broad = (image for one in self.channels for image in one.images)
        return tuple(dict.fromkeys((*broad, *lines)))

    @property
    def caption(self) -> str:
        """Say what it is made of."""
        filters = [image.filter or "no filter" for image in self.images]
        what = {"colour": "colours of the camera", "grey": filters[0]}
        words = what.get(self.palette, f"{self.palette} of {', '.join(filters)}")
        detector = self.images[0].detector
        words += f", detector {detector} only" if detector else ""
        scale = self.scale_arcsec
        return words if scale is None else f"{words}; {scale_words(scale)}"


def picture_outputs(plan: Plan) -> dict[str, str]:
    """Name the picture of each object of a plan; none if the recipe makes none.

    Returns
    -------
    dict of str to str
        Where the picture of an object stands, below the output folder.
    """
    if not plan.recipe.picture.make:
        return {}
    objects = {_object_of(task) for task in plan.tasks if task.action in _SHOWN}
    outputs: dict[str, str] = {}
    # There are file systems to which m31 and M31 are one.
    taken: Counter[str] = Counter()
    for name in sorted(objects):
        plain = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"
        taken[plain.lower()] += 1
        n = taken[plain.lower()]
        outputs[name] = f"{PICTURES}/{plain if n == 1 else f'{plain}_{n}'}.png"
    return outputs


def _object_of(task: Task) -> str:
    return str(task.facts.get("object") or "unnamed")


def compositions(
    folder: Path,
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    digests: Mapping[str, str],
) -> list[Composition]:
    """Choose the images of each object's picture, and their colours.

    Parameters
    ----------
    folder : Path
        Output folder, where the registrations are.
    plan : Plan
        The plan.
    outcomes : mapping of str to Outcome
        What came of it.
    digests : mapping of str to str
        State of each product.

    Returns
    -------
    list of Composition
        One for each object of which there is an image.
    """
    outputs = picture_outputs(plan)
    if not outputs:
        return []
    made = [task for task in plan.tasks if _is_made(outcomes.get(task.output))]
    fields = _fields(folder, [t for t in made if t.action is Action.REGISTER])
    objects: dict[str, list[Image]] = defaultdict(list)
    for task in made:
        if task.action in _SHOWN:
            image = _image(task, outcomes[task.output], digests, fields)
            objects[_object_of(task)].append(image)
    # Stacks of other areas do not lie on one another.
    alike = plan.recipe.stack.area is Area.REFERENCE
    asked = plan.recipe.picture.palette if alike else Palette.GREY
    found = [
        Composition(name, outputs[name], *_composed(images, asked))
        for name, images in sorted(objects.items())
    ]
    caveats = Caveats(plan, outcomes)
    return [_described(one, plan, outcomes, caveats) for one in found]


def _described(
    made: Composition, plan: Plan, outcomes: Mapping[str, Outcome], caveats: Caveats
) -> Composition:
    """Say what the lights of a picture lack, what is doubtful of them and its stacks."""
    images = {image.output for image in made.images}
    shown = [
        task
        for task in plan.tasks
        if (end := outcomes.get(task.output)) and images & {task.output, *end.outputs}
    ]
    lights = caveats.lights(shown)
    doubts = (
        *caveats.missing(lights),
        *caveats.doubts(lights),
        *(
            f"{stem(task.output)}: {one.sentence}"
            for task in shown
            if task.action is Action.STACK
            for one in outcomes[task.output].remarks
            if one.severity is Severity.DOUBTFUL
        ),
    )
    return replace(made, doubts=doubts, scale_arcsec=caveats.scale_arcsec(lights))


def _is_made(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status in ("done", "current")


def _fields(folder: Path, registrations: Iterable[Task]) -> dict[str, Field]:
    """Tell what lights show that lie on others."""
    return {
        light: Field(task.output, place.field)
        for task in registrations
        for light, place in read_registration(folder / task.output).places.items()
        if place.field
    }


def _image(
    task: Task,
    outcome: Outcome,
    digests: Mapping[str, str],
    fields: Mapping[str, Field],
) -> Image:
    output = (*outcome.outputs, task.output)[0]
    is_light = task.action is Action.CALIBRATE
    exposure = task.facts.get("exptime") if is_light else outcome.statistics["exptime"]
    digest = digests.get(task.output, "")
    if is_light:
        field = fields.get(output, Field(output, 0))
        digest += digests.get(field.registration, "")
    else:
        field = Field(task.registration or "", stack_field(task.output, output))
    return Image(
        output=output,
        filter=str(task.facts.get("filter") or ""),
        exposure=float(exposure or 0.0),
        is_colour=task.is_mosaic and task.has_known_colours,
        is_light=is_light,
        digest=digest,
        field=field,
        binned=int(task.facts.get("xbinning") or 1)
        * int(task.facts.get("ybinning") or 1),
        detector=str(task.facts.get("detector") or ""),
    )


def _composed(
    images: Sequence[Image], asked: Palette
) -> tuple[str, tuple[Channel, ...]]:
    """Choose the deepest image of each band, and the palette that they allow."""
    chosen = sorted(_of_one_field(_of_one_detector(images)), key=_depth)
    best = chosen[-1]
    colour = [image for image in chosen if image.is_colour]
    if colour and asked in (Palette.AUTO, Palette.RGB):
        return "colour", (Channel((colour[-1],)),) * 3
    bands = {filter_band(one.filter): one for one in chosen if not one.is_colour}
    possible = dict(_palettes(bands))
    if possible and asked is not Palette.GREY:
        palette = asked if asked in possible else next(iter(possible))
        return palette.value, possible[palette]
    if best.is_colour:
        return "colour", (Channel((best,)),) * 3
    return "grey", (Channel((best,)),)


def _of_one_detector(images: Sequence[Image]) -> list[Image]:
    """Keep the images of the detector that has gathered most light, in stacks if any."""
    gathered: dict[str, float] = defaultdict(float)
    for image in [one for one in images if not one.is_light] or images:
        gathered[image.detector] += image.exposure
    deepest = min(gathered, key=lambda name: (-gathered[name], name))
    if all(image.detector == deepest for image in images):
        # The only one: the picture is of all that the camera has seen.
        return [image._replace(detector="") for image in images]
    return [image for image in images if image.detector == deepest]


def _of_one_field(images: Sequence[Image]) -> list[Image]:
    """Keep the images of one field: of those with stacks, that of most filters."""
    fields: dict[Field, list[Image]] = defaultdict(list)
    for image in images:
        fields[image.field].append(image)
    return max(fields.values(), key=_worth)


def _worth(images: Sequence[Image]) -> tuple[bool, int, tuple[bool, float, int, str]]:
    bands = {filter_band(image.filter) for image in images if not image.is_colour}
    n_colours = len(RGB) if any(image.is_colour for image in images) else 0
    deepest = max(map(_depth, images))
    return deepest[0], max(n_colours, len(bands)), deepest


def _depth(image: Image) -> tuple[bool, float, int, str]:
    """Order images: stacks come before single lights, of equals the sharper."""
    return not image.is_light, image.exposure, -image.binned, image.output


def _palettes(
    bands: Mapping[str, Image],
) -> Iterator[tuple[Palette, tuple[Channel, ...]]]:
    """Give the palettes that bands allow, the best first."""
    broad = _broad(bands)
    bright = (Channel((bands["L"],)),) if "L" in bands else ()
    natural = ()
    if len(broad) >= 2:
        red, *middle, blue = broad
        between = tuple(middle) or (red, blue)
        reddest = Channel((red,), bands.get("Ha"))
        natural = (reddest, Channel(between), Channel((blue,)), *bright)
    if len(broad) == 3:
        yield Palette.RGB, natural
    if "Ha" in bands and "OIII" in bands:
        hydrogen, oxygen = Channel((bands["Ha"],)), Channel((bands["OIII"],))
        if "SII" in bands:
            yield Palette.SHO, (Channel((bands["SII"],)), hydrogen, oxygen)
        yield Palette.HOO, (hydrogen, oxygen, oxygen)
    if len(broad) == 2:
        yield Palette.RGB, natural


def _broad(bands: Mapping[str, Image]) -> list[Image]:
    """Choose the bands that make colours, three at the most, by their wavelengths."""
    if all(name in bands for name in RGB):
        return [bands[name] for name in RGB]
    names = [name for name in BROAD if name in bands]
    for name in LEAVING:
        if len(names) > 3 and name in names:
            names.remove(name)
    return [bands[name] for name in names]


class _Source:
    """Rows of one colour of an image, brought to the size of the picture."""

    def __init__(
        self, folder: Path, image: Image, plane: int, stack: ExitStack, *, alone: bool
    ) -> None:
        self._reader: ImageReader = stack.enter_context(
            open_image(folder / image.output)
        )
        self.header = self._reader.raw
        self.shape = (int(self._reader.shape[-2]), int(self._reader.shape[-1]))
        self._light: StackLight | None = None
        if image.is_light and not alone:
            self._light, self.shape = _laid(folder, image)
        elif image.is_light and image.is_colour:
            light = StackLight.read(folder, image.output, None).modelled()
            self._light = light.in_colour(RGB[plane])
        self._first = plane * self.shape[0] if len(self._reader.shape) == 3 else 0

    def rows(self, start: int, stop: int, shape: tuple[int, int]) -> Floats:
        """Give rows of the picture, interpolated if the image has another size."""
        if shape == self.shape:
            return self._read(start, stop)
        ny, nx = self.shape
        y = _places(np.arange(start, stop), shape[0], ny)
        x = _places(np.arange(shape[1]), shape[1], nx)
        low = int(y[0])
        rows = self._read(low, min(int(y[-1]) + 2, ny))
        return _between(_between(rows, y - low, 0), x, 1)

    def _read(self, start: int, stop: int) -> Floats:
        if self._light is not None:
            return self._light.rows(start, stop)
        rows = self._reader.rows(self._first + start, self._first + stop)
        return np.asarray(rows, np.float32)


def _laid(folder: Path, image: Image) -> tuple[StackLight, tuple[int, int]]:
    """Lay a light on the grid that a stack of it would have; tell its size."""
    found = read_registration(folder / image.field.registration)
    place = found.places[image.output]
    reference = found.places[found.references[image.field.number - 1]].geometry
    grid = reference.binned(place.geometry.binning)
    return StackLight.read(folder, image.output, place).on_grid(grid), grid.shape


def _places(index: NDArray[np.intp], n: int, n_own: int) -> Floats:
    """Say where pixels of n lie among n_own: both fill the same square."""
    return np.clip((index + 0.5) * n_own / n - 0.5, 0, n_own - 1)


def _between(values: Floats, at: Floats, axis: int) -> Floats:
    """Interpolate along an axis."""
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    part = np.expand_dims(at - low, 1 - axis).astype(np.float32)
    below, above = values.take(low, axis), values.take(high, axis)
    return np.asarray(below * (1 - part) + above * part)


class _Mixed(NamedTuple):
    """A channel that is read: images above their sky, on the scale of the first."""

    sources: Sequence[_Source]
    slopes: Sequence[Slope]
    """How the sky of each rises."""
    skies: Sequence[float] = (0.0,)
    """Sky of each, ADU."""
    scales: Sequence[float] = (1.0,)
    """What brings each to the first."""
    line_share: float = 0.0
    """Of how much the last one counts beyond the others; 0 if all make a mean."""

    def rows(self, start: int, stop: int, shape: tuple[int, int]) -> Floats:
        """Give rows of the picture."""
        read = [source.rows(start, stop, shape) for source in self.sources]
        return self.of(read, np.arange(start, stop), np.arange(shape[1]))

    def of(
        self,
        read: Sequence[Floats],
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
    ) -> Floats:
        """Mix rows and columns of the picture that were read of each image."""
        light = []
        each = zip(read, self.slopes, self.skies, self.scales, strict=True)
        for values, slope, sky, scale in each:
            own = slope.levelled(values, rows, columns, sky)
            if scale != 1:
                own *= np.float32(scale)
            light.append(own)
        if not self.line_share:
            return mean_of_known(light)
        *broad, line = light
        mean = mean_of_known(broad)
        return mean + np.float32(self.line_share) * np.nan_to_num(line - mean)


def write_picture(
    folder: Path,
    made: Composition,
    recipe: PictureRecipe,
    memory: int,
    *,
    shown: bool = True,
) -> Picture | None:
    """Write the picture of an object, unless it stands there already.

    Parameters
    ----------
    folder : Path
        Output folder.
    made : Composition
        What it is made of.
    recipe : PictureRecipe
        How.
    memory : int
        Bytes that rows on their way into the picture may take.
    shown : bool
        Whether a page shows it: one that cannot be read is then made again.

    Returns
    -------
    Picture or None
        A small version, `LARGEST` pixels at most; None if it is not shown.

    Raises
    ------
    AutoreduceError, OSError
        If an image cannot be read, or the picture not be written.
    """
    path = folder / made.output
    digest = _digest(made, recipe)
    if path.is_file() and png_texts(path).get(DIGEST) == digest:
        if not shown:
            return None
        with suppress(OSError):  # of a damaged one, which is made again
            return read_png(path, LARGEST)
    with ExitStack() as stack:
        sources = [
            [
                _Source(folder, image, min(i, 2), stack, alone=len(made.images) == 1)
                for image in _read_for(channel)
            ]
            for i, channel in enumerate(made.channels)
        ]
        shape = max(source.shape for channel in sources for source in channel)
        sample = Sample.of(shape)
        mixed = [
            _mixed(found, shape, sample, has_line=channel.line is not None)
            for found, channel in zip(sources, made.channels, strict=True)
        ]
        channels = [channel for channel, _ in mixed]
        tone = tone_of(
            [pixels for _, pixels in mixed],
            soft=recipe.soft,
            by_stars=made.palette not in (Palette.SHO, Palette.HOO),
            apart=sample.apart,
        )
        from_top = begins_at_top(sources[0][0].header)
        whole = shape if len(channels) == 1 else (*shape, 3)
        pixels = min(memory // ROW_BYTES, BAND_PIXELS)
        height = max(pixels // shape[1], FEWEST_ROWS)
        bands = _bands(channels, shape, tone, height, from_top=from_top)
        bits = 16 if recipe.deep else 8
        small = Shrunk(whole, LARGEST) if shown else None
        numbers = _passed(small, (whole_numbers(shades, bits) for shades in bands))
        about = ". ".join((made.caption, *made.doubts))
        words = {"Title": made.name, "Description": about, DIGEST: digest}
        write_bytes(path, png_pieces(whole, numbers, words))
    return small.picture() if small else None


def _passed(small: Shrunk | None, bands: Iterable[Shades]) -> Iterator[Shades]:
    """Show bands to what makes them small, on their way."""
    for band in bands:
        if small:
            small.add(band)
        yield band


def _digest(made: Composition, recipe: PictureRecipe) -> str:
    told = [FORMAT, asdict(recipe), made.palette, made.channels]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _read_for(channel: Channel) -> tuple[Image, ...]:
    return (*channel.images, *([channel.line] if channel.line else []))


def _mixed(
    sources: Sequence[_Source],
    shape: tuple[int, int],
    sample: Sample,
    *,
    has_line: bool,
) -> tuple[_Mixed, Floats]:
    """Bring the images of a channel to one scale, that of most stars; sample it."""
    places = sample.rows, sample.columns
    read = [sample.read(partial(source.rows, shape=shape)) for source in sources]
    slopes = [slope_of(pixels, *places) for pixels in read]
    if len(sources) == 1:
        alone = _Mixed(sources, slopes)
        return alone, alone.of(read, *places)
    level = [
        slope.levelled(pixels, *places)
        for slope, pixels in zip(slopes, read, strict=True)
    ]
    skies, noises, scales = zip(*levels_of(level, apart=sample.apart), strict=True)
    share = 0.0
    if has_line:
        # A line adds no more noise than there is.
        own, other = (noises[i] * scales[i] for i in (0, -1))
        share = min(LINE_SHARE, own / other if other else LINE_SHARE)
    mixed = _Mixed(sources, slopes, skies, scales, share)
    return mixed, mixed.of(read, *places)


def _bands(
    channels: Sequence[_Mixed],
    shape: tuple[int, int],
    tone: Tone,
    height: int,
    *,
    from_top: bool,
) -> Iterator[Floats]:
    """Make the shades of the picture, some rows at a time from its top."""
    ny = shape[0]
    for first in range(0, ny, height):
        last = min(first + height, ny)
        start, stop = (first, last) if from_top else (ny - last, ny - first)
        shades = tone.shades([one.rows(start, stop, shape) for one in channels])
        yield shades if from_top else shades[::-1]


EachObject = Callable[
    [Callable[[Composition], ObjectPicture], Iterable[Composition]],
    Iterable[ObjectPicture],
]


def write_pictures(
    folder: Path,
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    digests: Mapping[str, str],
    memory: int,
    each: EachObject = map,
    *,
    shown: bool = True,
) -> Iterable[ObjectPicture]:
    """Write the pictures of all objects.

    Parameters
    ----------
    folder : Path
        Output folder.
    plan, outcomes, digests
        As for `compositions`.
    memory : int
        Bytes that rows on their way into a picture may take.
    each : callable
        As `map`, by which pictures are made side by side.
    shown : bool
        Whether a page shows them: if not none is made small.

    Returns
    -------
    iterable of ObjectPicture
        One for each object; none if the recipe makes no pictures.
    """
    write = partial(
        _written, folder, plan.recipe.picture, memory // AT_ONCE, shown=shown
    )
    return each(write, compositions(folder, plan, outcomes, digests))


def _written(
    folder: Path, recipe: PictureRecipe, memory: int, made: Composition, *, shown: bool
) -> ObjectPicture:
    """Write a picture; say why if it could not be."""
    small, why_not = None, ""
    try:
        picture = write_picture(folder, made, recipe, memory, shown=shown)
        small = Small.of(picture) if picture else None
    except (AutoreduceError, OSError) as error:
        why_not = str(error)
    told = made.name, made.output, made.caption, why_not, made.doubts
    return ObjectPicture(*told, small)
