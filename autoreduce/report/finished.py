"""The picture of an object: its deepest stacks as one image in colour, full size.

Which images make which colour is decided first; then they are read by bands of rows.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import AutoreduceError
from autoreduce.fits.header import begins_at_top
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.whole import write_bytes
from autoreduce.pixels.bayer import RGB
from autoreduce.pixels.stretch import Tone, tone_of, whole_numbers
from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.planning.recipe import Area, Palette, PictureRecipe
from autoreduce.products.stack_light import StackLight
from autoreduce.report.colours import filter_band
from autoreduce.report.content import ObjectPicture, Outcome
from autoreduce.report.pictures import png_pieces, png_texts

Floats = NDArray[np.floating]

FOLDER = "pictures"
"""Folder of the pictures, below the output folder."""
FORMAT = 1
"""Raised whenever the same images would give another picture than before."""
BROAD = ("J", "Z", "I", "R", "V", "G", "B", "U")
"""Bands that make colours, the reddest first."""
BAND_ROWS = 128
"""Rows that are made at a time."""
SAMPLED = 3_000_000
"""Pixels, about, from which black, white and the balance of colours are taken."""
DIGEST = "Digest"
"""Keyword of PNG under which a picture carries the state of what it was made from."""


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


@dataclass(frozen=True, slots=True)
class Composition:
    """Which images make the picture of an object."""

    name: str
    """The object."""
    palette: str
    """``colour`` (of a colour camera), ``RGB``, ``SHO``, ``HOO`` or ``grey``."""
    channels: tuple[tuple[Image, ...], ...]
    """Grey; or red, green and blue, and perhaps the brightness.  Of several images the
    brighter one counts, pixel by pixel."""

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, each once."""
        return tuple(dict.fromkeys(one for channel in self.channels for one in channel))

    @property
    def output(self) -> str:
        """Where the picture stands, below the output folder."""
        name = re.sub(r"[^\w.+-]+", "-", self.name).strip("-.") or "unnamed"
        return f"{FOLDER}/{name}.png"

    @property
    def caption(self) -> str:
        """Say what it is made of."""
        filters = [image.filter or "no filter" for image in self.images]
        what = {"colour": "colours of the camera", "grey": filters[0]}
        return what.get(self.palette, f"{self.palette} of {', '.join(filters)}")


def compositions(
    plan: Plan, outcomes: Mapping[str, Outcome], digests: Mapping[str, str]
) -> list[Composition]:
    """Choose the images of each object's picture, and their colours.

    Parameters
    ----------
    plan : Plan
        The plan.
    outcomes : mapping of str to Outcome
        What came of it.
    digests : mapping of str to str
        State of each product.

    Returns
    -------
    list of Composition
        One for each object that was seen.
    """
    objects: dict[str, list[Image]] = defaultdict(list)
    for task in plan.tasks:
        if task.action not in (Action.STACK, Action.CALIBRATE):
            continue
        outcome = outcomes.get(task.output)
        if outcome is None or outcome.status not in ("done", "current"):
            continue
        name = str(task.facts.get("object") or "unnamed")
        output = (*outcome.outputs, task.output)[0]
        objects[name].append(_image(task, outcome, output, digests))
    # Stacks of other areas do not lie on one another.
    alike = plan.recipe.stack.area is Area.REFERENCE
    asked = plan.recipe.picture.palette if alike else Palette.GREY
    return [_composed(name, images, asked) for name, images in sorted(objects.items())]


def _image(
    task: Task, outcome: Outcome, output: str, digests: Mapping[str, str]
) -> Image:
    is_light = task.action is Action.CALIBRATE
    exposure = task.facts.get("exptime") if is_light else outcome.statistics["exptime"]
    return Image(
        output=output,
        filter=str(task.facts.get("filter") or ""),
        exposure=float(exposure or 0.0),
        is_colour=task.is_mosaic and task.has_known_colours,
        is_light=is_light,
        digest=digests.get(task.output, ""),
    )


def _composed(name: str, images: Sequence[Image], asked: Palette) -> Composition:
    """Choose the deepest image of each band, and the palette that they allow."""
    stacks = [image for image in images if not image.is_light]
    chosen = stacks or images
    best = max(chosen, key=_depth)
    colour = [image for image in chosen if image.is_colour]
    if colour and asked in (Palette.AUTO, Palette.RGB):
        deepest = max(colour, key=_depth)
        return Composition(name, "colour", ((deepest,),) * 3)
    bands: dict[str, Image] = {}
    for image in sorted(stacks, key=_depth):
        if not image.is_colour:
            bands[filter_band(image.filter)] = image
    for palette, channels in _palettes(bands):
        if asked in (Palette.AUTO, palette):
            return Composition(name, palette.value, channels)
    if best.is_colour:
        return Composition(name, "colour", ((best,),) * 3)
    return Composition(name, "grey", ((best,),))


def _depth(image: Image) -> tuple[float, str]:
    return image.exposure, image.output


def _palettes(
    bands: Mapping[str, Image],
) -> Iterator[tuple[Palette, tuple[tuple[Image, ...], ...]]]:
    """Give the palettes that bands allow, the best first."""
    broad = [bands[name] for name in BROAD if name in bands]
    if all(name in bands for name in RGB):
        broad = [bands[name] for name in RGB]
    if len(broad) >= 3:
        red, green, blue = broad[0], broad[len(broad) // 2], broad[-1]
        hydrogen = (bands["Ha"],) if "Ha" in bands else ()
        bright = ((bands["L"],),) if "L" in bands else ()
        yield Palette.RGB, ((red, *hydrogen), (green,), (blue,), *bright)
    if "Ha" in bands and "OIII" in bands:
        hydrogen, oxygen = (bands["Ha"],), (bands["OIII"],)
        if "SII" in bands:
            yield Palette.SHO, ((bands["SII"],), hydrogen, oxygen)
        yield Palette.HOO, (hydrogen, oxygen, oxygen)


class _Source:
    """Rows of one colour of an image, brought to the size of the picture."""

    def __init__(
        self, folder: Path, image: Image, plane: int, stack: ExitStack
    ) -> None:
        self._light: StackLight | None = None
        if image.is_light and image.is_colour:
            light = StackLight.read(folder, image.output, {}, None).modelled()
            self._light = light.in_colour(RGB[plane])
        self._reader: ImageReader = stack.enter_context(
            open_image(folder / image.output)
        )
        self.header = self._reader.raw
        self.shape = (int(self._reader.shape[-2]), int(self._reader.shape[-1]))
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


class _Channel(NamedTuple):
    """One channel: of several images the brighter one counts."""

    sources: Sequence[_Source]
    tones: Sequence[Tone] = ()
    """Sky of each, and what brings it to the first; empty if there is one."""

    def rows(self, start: int, stop: int, shape: tuple[int, int]) -> Floats:
        """Give rows of the picture."""
        found = [source.rows(start, stop, shape) for source in self.sources]
        if not self.tones:
            return found[0]
        light = [
            (rows - tone.sky[0]) * tone.scale[0]
            for rows, tone in zip(found, self.tones, strict=True)
        ]
        return np.asarray(np.fmax.reduce(light))


def write_picture(folder: Path, made: Composition, recipe: PictureRecipe) -> bool:
    """Write the picture of an object, unless it stands there already.

    Parameters
    ----------
    folder : Path
        Output folder.
    made : Composition
        What it is made of.
    recipe : PictureRecipe
        How.

    Returns
    -------
    bool
        Whether it was written.

    Raises
    ------
    AutoreduceError
        If an image cannot be read, or the picture not be written.
    """
    path = folder / made.output
    digest = _digest(made, recipe)
    if path.is_file() and png_texts(path).get(DIGEST) == digest:
        return False
    with ExitStack() as stack:
        sources = [
            [_Source(folder, image, min(i, 2), stack) for image in channel]
            for i, channel in enumerate(made.channels)
        ]
        shape = max(source.shape for channel in sources for source in channel)
        channels = [_balanced(channel, shape) for channel in sources]
        sample = [_sampled(channel, shape) for channel in channels]
        by_stars = made.palette not in (Palette.SHO, Palette.HOO)
        tone = tone_of(sample, soft=recipe.soft, by_stars=by_stars)
        from_top = begins_at_top(sources[0][0].header)
        whole = shape if len(channels) == 1 else (*shape, 3)
        bands = _bands(
            channels, shape, tone, 16 if recipe.deep else 8, from_top=from_top
        )
        words = {"Title": made.name, "Description": made.caption, DIGEST: digest}
        write_bytes(path, png_pieces(whole, bands, words))
    return True


def _digest(made: Composition, recipe: PictureRecipe) -> str:
    told = [FORMAT, asdict(recipe), made.palette, made.channels]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _balanced(sources: Sequence[_Source], shape: tuple[int, int]) -> _Channel:
    """Bring the images of a channel to one scale: that of most stars."""
    if len(sources) == 1:
        return _Channel(sources)
    samples = [_sampled(_Channel([source]), shape) for source in sources]
    tones = []
    for sample in samples:
        # The first stands where green does, to which the others are brought.
        tone = tone_of([sample, samples[0], samples[0]])
        tones.append(tone if sample is not samples[0] else tone_of([sample]))
    return _Channel(sources, tones)


def _sampled(channel: _Channel, shape: tuple[int, int]) -> Floats:
    """Read some bands of rows, evenly over the image."""
    ny, nx = shape
    step = max(ny * nx // SAMPLED, 1) * BAND_ROWS
    starts = range(0, ny, step)
    rows = [channel.rows(start, min(start + BAND_ROWS, ny), shape) for start in starts]
    return np.concatenate(rows)


def _bands(
    channels: Sequence[_Channel],
    shape: tuple[int, int],
    tone: Tone,
    bits: int,
    *,
    from_top: bool,
) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Make the rows of the picture, from its top."""
    ny = shape[0]
    for first in range(0, ny, BAND_ROWS):
        last = min(first + BAND_ROWS, ny)
        start, stop = (first, last) if from_top else (ny - last, ny - first)
        shades = tone.shades([one.rows(start, stop, shape) for one in channels])
        yield whole_numbers(shades if from_top else shades[::-1], bits)


def write_pictures(
    folder: Path,
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    digests: Mapping[str, str],
) -> list[ObjectPicture]:
    """Write the pictures of all objects.

    Parameters
    ----------
    folder : Path
        Output folder.
    plan, outcomes, digests
        As for `compositions`.

    Returns
    -------
    list of Finished
        One for each object; none if the recipe makes no pictures.
    """
    if not plan.recipe.picture.make:
        return []
    found = []
    for made in compositions(plan, outcomes, digests):
        why_not = ""
        try:
            write_picture(folder, made, plan.recipe.picture)
        except (AutoreduceError, OSError) as error:
            why_not = str(error)
        found.append(ObjectPicture(made.name, made.output, made.caption, why_not))
    return found
