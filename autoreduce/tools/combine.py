"""Images combined into one, a band of rows at a time."""

import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache, partial
from itertools import chain, cycle
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import LARGEST_BAND, bands
from autoreduce.calibration.workspace import each_apart
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.ahead import read_ahead
from autoreduce.fits.cards import CardValue, without
from autoreduce.fits.closing import Closing
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.writer import (
    MASK,
    PLANE_TYPES,
    UNCERT,
    ImageWriter,
    write_image,
)
from autoreduce.frames.frame import Facts
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.combine import CombineResult, combine
from autoreduce.pixels.flags import Flag, no_value
from autoreduce.pixels.measure import pair_noise
from autoreduce.pixels.order import median
from autoreduce.products.provenance import OF_ONE_EXPOSURE
from autoreduce.products.stack_errors import variance_of
from autoreduce.running.processes import worker_processes
from autoreduce.running.server import COMBINING, LARGE
from autoreduce.tools.files import refuse_existing
from autoreduce.tools.headers import read_facts
from autoreduce.tools.products import (
    all_cards,
    flags_of,
    planes_beside,
    product_cards,
    sigma_of,
    with_gain,
    without_levels,
    without_unit,
)

Array = NDArray[Any]

NOISE_ROWS = 64
"""Rows in the middle of the frames in which their noise is measured."""
NOISE_PAIRS = 8
"""Pairs of frames in which it is measured, about."""
_NEED_NOISE = (Rejection.SIGMA, Rejection.WINSORIZED)

LEFT_OUT = Flag.NO_VALUE | Flag.COSMIC_RAY
"""Flags of samples that are left out; the others stay, and their flags with them."""
OF_SUM = {
    Method.MEAN: Method.MEAN,
    Method.SUM: Method.MEAN,
    Method.MEDIAN: Method.MEDIAN,
}
"""Methods whose errors are known, each with that whose variance is theirs."""

_OF_PLANES = (
    "CTYPE3",
    "CRPIX3",
    "CRVAL3",
    "CDELT3",
    "CUNIT3",
    "CD3_*",
    "PC3_*",
    "PLANES",
)
"""Cards that tell what the planes of a cube are."""

TURNS = 8
"""Times that a process is given bands to combine, about."""

FILES_FOR_OTHERS = 64
"""Files that a process may open, less those that frames are left."""
MAX_OPEN = max(getrlimit(RLIMIT_NOFILE)[0] - FILES_FOR_OTHERS, FILES_FOR_OTHERS) // 2
"""Frames that are open at a time, a compressed one with two files; those beyond them are
opened anew for each band."""


class Level(StrEnum):
    """What stands for the brightness of a frame."""

    MEAN = "mean"
    MEDIAN = "median"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Combining:
    """All choices of a combination of files."""

    how: Combination = field(default_factory=lambda: Combination(Method.MEDIAN))
    """Method and rejection."""
    weight: Level | None = None
    """A mean is weighted by this level of each frame; None: all weights are equal."""
    normalize: Level | None = None
    """Every frame is scaled to this level of the first one, before clipping."""
    unit_mean: bool = False
    """Whether the result is divided by its mean."""
    shift: int = 0
    """Bits that integers are shifted by first: left if positive, right if negative."""
    reduce_cubes: bool = False
    """Whether each plane of a cube counts as a frame, so that the result is 2-D."""
    noise: float | None = None
    """Noise expected of a sample, one sigma: clipping takes no scatter for less.

    Where clipping needs it and it is not given it is measured.
    """


@dataclass(frozen=True, slots=True)
class Summary:
    """What came out of a combination."""

    output: Path
    """The product."""
    n_frames: int
    """Frames that went in; each plane of a reduced cube is one."""
    n_rejected: tuple[int, ...]
    """Samples of each frame that were rejected as outliers."""
    n_empty: int
    """Pixels without any sample: they are NaN."""
    unit_factor: float | None
    """What the result was divided by, with `Combining.unit_mean`."""
    filters: tuple[str, ...]
    """Filters of the frames, each once."""


def combine_images(
    images: Sequence[str],
    output: Path,
    choices: Combining | None = None,
    *,
    memory: int | None = None,
    jobs: int = 1,
    overwrite: bool = False,
) -> Summary:
    """Combine images pixel by pixel.

    Bands of rows of all frames are read, combined and written one after the other,
    so that any number of frames fits into the memory.  Only a median level, a
    product that is rescaled to unit mean, and a cube are held whole, one at a time.

    Parameters
    ----------
    images : sequence of str
        As `autoreduce.tools.filelists.expand` lists them; images of one shape.
    output : Path
        The product: float32, with the first frame's header.
    choices : Combining, optional
        What is done; a plain median by default.
    memory : int, optional
        Bytes that bands may take.
    jobs : int
        Bands of many pixels that are combined at a time, each by a process of its own.
        A script that asks for several must guard what it does itself by
        ``if __name__ == "__main__"``, as `multiprocessing` tells.
    overwrite : bool
        Whether a product that stands there is replaced.

    Returns
    -------
    Summary
        What came out.

    Raises
    ------
    InputError
        If an image cannot be read, shapes differ, or there is nothing to combine.
    ProductError
        If the product exists, or cannot be made in the way that is asked for.
    """
    refuse_existing(output, overwrite=overwrite)
    choices = Combining() if choices is None else choices
    with FrameStack(images, choices) as stack, _processes(stack, jobs) as processes:
        scales, weights = _scales(stack, choices), _weights(stack, choices)
        noise = _noise(stack, choices, scales)
        job = _Job(stack, choices, scales, weights, noise)
        memory = memory or LARGEST_BAND
        made = (
            _by_bands(job, memory)
            if processes is None
            else _side_by_side(job, memory, jobs, processes)
        )
        if len(stack.shape) == 2 and not choices.unit_mean:
            return _stream(job, made, output, overwrite=overwrite)
        return _collect(job, made, output, overwrite=overwrite)


def _processes(
    stack: "FrameStack", jobs: int
) -> AbstractContextManager[Executor | None]:
    """Lend processes for a stack that is worth their start.

    Of what must be unpacked each would unpack all.
    """
    if jobs > 1 and stack.are_plain and len(stack) * np.prod(stack.shape) > LARGE:
        return worker_processes(jobs, COMBINING)
    return nullcontext()


class FrameStack(Closing):
    """The frames of a combination; to be used in a ``with`` statement."""

    shape: tuple[int, ...]
    """Shape of the result."""
    dtype: np.dtype[Any]
    """Type in which all frames can be stacked."""
    names: list[str]
    """One name a frame; that of a plane of a cube ends in its number, from one."""
    facts: list[Facts]
    """What the header of each frame means."""
    cards: list[bytes]
    """Cards of the first frame."""
    are_plain: bool
    """Whether it costs nothing to open the images again."""

    def __init__(self, images: Sequence[str], choices: Combining) -> None:
        self._open = ExitStack()
        self._readers: dict[str, ImageReader] = {}
        self._shift = choices.shift
        self.names, self.facts, self.cards = [], [], []
        self._places: list[tuple[str, int]] = []
        self._planes: list[frozenset[str]] = []
        self.are_plain = True
        try:
            shapes, types = self._look(images, reduce=choices.reduce_cubes)
            self.shape = _common_shape(images, shapes)
            self.dtype = _stack_type(types, choices)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all files."""
        self._open.close()

    def __len__(self) -> int:
        return len(self._places)

    def _look(
        self, images: Sequence[str], *, reduce: bool
    ) -> tuple[list[tuple[int, ...]], list[np.dtype[Any]]]:
        shapes, types = [], []
        for image in images:
            with self._reader(image) as reader:
                self.cards = self.cards or all_cards(reader)
                self.are_plain &= reader.is_plain
                self._planes.append(_planes_beside(image, reader.shape))
                shape, dtype = reader.shape, reader.dtype
            facts = read_facts(image)
            shapes.append(shape[-2:] if reduce else shape)
            types.append(dtype)
            planes = shape[0] if reduce and len(shape) == 3 else 1
            for plane in range(planes):
                self.facts.append(facts)
                self._places.append((image, plane))
                name = Path(image).name
                self.names.append(f"{name} plane {plane + 1}" if planes > 1 else name)
        return shapes, types

    def __getstate__(self) -> dict[str, Any]:
        """Travel without open files: they are opened when rows are asked for."""
        return {**vars(self), "_open": ExitStack(), "_readers": {}}

    @contextmanager
    def _reader(self, image: str) -> Iterator[ImageReader]:
        """Open an image, and leave it open unless too many are."""
        if image not in self._readers and len(self._readers) < MAX_OPEN:
            self._readers[image] = self._open.enter_context(open_image(image))
        if image in self._readers:
            yield self._readers[image]
            return
        with open_image(image) as reader:
            yield reader

    def rows(self, frame: int, start: int, stop: int, out: Array) -> None:
        """Read rows of a frame, shifted; rows of a cube's planes follow each other."""
        image, plane = self._places[frame]
        first = plane * self.shape[-2]
        with self._reader(image) as reader:
            reader.rows(first + start, first + stop, out)
        if self._shift > 0:
            out *= 2**self._shift
        elif self._shift < 0:
            np.floor_divide(out, 2**-self._shift, out=out)

    def has(self, plane: str) -> bool:
        """Tell whether all images have a plane beside their data."""
        return all(plane in planes for planes in self._planes)

    def plane(self, frame: int, name: str, start: int, stop: int) -> Array:
        """Read rows of a plane beside the data of a frame; of ``UNCERT`` one sigma."""
        image, plane = self._places[frame]
        path, _ = split_hdu(image)
        ny = self.shape[-2]
        with open_image(path, name) as reader:
            read = partial(sigma_of, reader) if name == UNCERT else reader.rows
            if len(reader.shape) == 3 or len(self.shape) == 2:
                first = plane * ny if len(reader.shape) == 3 else 0
                return read(first + start, first + stop)
            # One plane beside a cube is that of each plane of it.
            return read(0, ny)[np.arange(start, stop) % ny]


def _planes_beside(image: str, shape: tuple[int, ...]) -> frozenset[str]:
    """List the planes beside an image.

    Raises
    ------
    InputError
        If one has neither the shape of the image nor that of a plane of it.
    """
    path, _ = split_hdu(image)
    found = planes_beside(image)
    for name in found:
        with open_image(path, name) as reader:
            beside = reader.shape
        if beside not in (shape, shape[-2:]):
            sizes = ["x".join(map(str, reversed(size))) for size in (beside, shape)]
            msg = (
                f"{path}: its {name} is {sizes[0]} pixels, its image {sizes[1]}; "
                "remove the one or the other"
            )
            raise InputError(msg)
    return found


def _common_shape(
    images: Sequence[str], shapes: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    if not shapes:
        msg = "there are no images to combine"
        raise InputError(msg)
    for image, shape in zip(images, shapes, strict=True):
        if shape != shapes[0]:
            first, other = (
                "x".join(str(size) for size in reversed(item))
                for item in (shapes[0], shape)
            )
            msg = (
                f"{image} is {other} pixels, {images[0]} is {first}; "
                "combine images of one size (-r takes cubes apart)"
            )
            raise InputError(msg)
    return shapes[0]


def _stack_type(types: Sequence[np.dtype[Any]], choices: Combining) -> np.dtype[Any]:
    """Return the type in which frames are stacked: unsigned integers stay as they are.

    The others become floats that hold every value.
    """
    common = np.result_type(*types)
    if choices.shift and common.kind not in "iu":
        msg = f"bits of {common} pixels cannot be shifted; they must be integers"
        raise ProductError(msg)
    if common in (np.uint8, np.uint16) and choices.shift <= 0 and not choices.normalize:
        return np.dtype(np.uint16)
    exact = common.itemsize <= 2 or common == np.float32
    return np.dtype(np.float32 if exact else np.float64)


@dataclass(frozen=True, slots=True)
class _Job:
    """A stack and what is done with it."""

    stack: FrameStack
    choices: Combining
    scales: list[float]
    weights: list[float] | None
    noise: float | None

    @property
    def planes(self) -> tuple[str, ...]:
        """Planes that the product gets: those that all frames have, if they can be."""
        stack = self.stack
        errors = stack.has(UNCERT) and self.choices.how.method in OF_SUM
        return (MASK,) * stack.has(MASK) + (UNCERT,) * errors

    def read(self, start: int, stop: int, buffer: Array) -> list[Array]:
        """Read a band of all frames, each scaled, into an (n, rows, nx) array."""
        frames = [frame[: stop - start] for frame in buffer]
        for i, (frame, scale) in enumerate(zip(frames, self.scales, strict=True)):
            self.stack.rows(i, start, stop, frame)
            if scale != 1:
                np.multiply(frame, scale, out=frame)
        return frames

    def combined(self, start: int, stop: int, frames: list[Array]) -> "_Combined":
        """Combine a band that was read."""
        flags = self._flags(start, stop) if MASK in self.planes else None
        made = self._combine(frames, flags)
        planes = {}
        if flags is not None:
            planes[MASK] = _joined_flags(made, flags)
        if UNCERT in self.planes:
            planes[UNCERT] = np.sqrt(self._variance(start, stop, made.n_used))
        if self.choices.how.method is Method.SUM:
            _fill_up(made, len(self.stack))
        return _Combined(start, made.data, planes, made.rejected)

    def bands(self, memory: int) -> list[tuple[int, int]]:
        """Cut the frames into bands."""
        ny, nx = int(np.prod(self.stack.shape[:-1])), self.stack.shape[-1]
        return list(bands(ny, nx, len(self.stack), memory))

    def buffer(self, height: int) -> Array:
        """Take memory for a band."""
        shape = (len(self.stack), height, self.stack.shape[-1])
        return np.empty(shape, self.stack.dtype)

    def _flags(self, start: int, stop: int) -> Array:
        """Read the flags of a band of all frames: (n, rows, nx)."""
        frames = range(len(self.stack))
        planes = (self.stack.plane(i, MASK, start, stop) for i in frames)
        return np.stack([flags_of(plane) for plane in planes])

    def _variance(self, start: int, stop: int, n_used: Array) -> Array:
        method, frames = self.choices.how.method, range(len(self.stack))
        sigmas = [
            np.float32(self.scales[i]) * self.stack.plane(i, UNCERT, start, stop)
            for i in frames
        ]
        variance = variance_of(OF_SUM[method], sigmas, self.weights, n_used)
        if method is Method.SUM:
            variance *= np.float32(len(self.stack)) ** 2
        return variance * np.float32(4.0**self.choices.shift)

    def _combine(self, frames: list[Array], flags: Array | None) -> CombineResult:
        try:
            return combine(
                frames,
                self.choices.how,
                mask=None if flags is None else (flags & np.uint8(LEFT_OUT)) != 0,
                weights=self.weights,
                noise=self.noise,
            )
        except ValueError as error:
            raise ProductError(str(error)) from error


def _fill_up(made: CombineResult, n_frames: int) -> None:
    """Scale a sum to the light of all frames where some of its samples are left out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.float32(n_frames) / made.n_used.astype(np.float32)
    np.multiply(made.data, factor, out=made.data, where=made.n_used < n_frames)


class _Combined(NamedTuple):
    """A band of the product."""

    start: int
    """Its first row."""
    data: NDArray[np.float32]
    planes: Mapping[str, Array]
    """MASK, if the frames have one, and UNCERT, if it can be told."""
    rejected: NDArray[np.int64]
    """(n_frames,), samples of each frame that were rejected."""


def _by_bands(job: _Job, memory: int) -> Iterator[_Combined]:
    """Combine band by band; one is read while the other is combined."""
    pieces = job.bands(memory)
    height = max(stop - start for start, stop in pieces)
    buffers = cycle([job.buffer(height), job.buffer(height)])
    for band, frames in read_ahead(lambda band: job.read(*band, next(buffers)), pieces):
        yield job.combined(*band, frames)


def _side_by_side(
    job: _Job, memory: int, jobs: int, processes: Executor
) -> Iterator[_Combined]:
    """Combine bands in processes, several in turn by each."""
    apart = partial(_combined_apart, pickle.dumps(job))
    pieces = job.bands(memory // jobs)
    n = math.ceil(len(pieces) / (TURNS * jobs))
    turns = [pieces[i : i + n] for i in range(0, len(pieces), n)]
    return chain.from_iterable(each_apart(processes, jobs, apart, turns))


def _combined_apart(packed: bytes, bands: list[tuple[int, int]]) -> list[_Combined]:
    """Combine bands of what is packed."""
    job = _unpacked(packed)
    buffer = job.buffer(max(stop - start for start, stop in bands))
    return [job.combined(*band, job.read(*band, buffer)) for band in bands]


@lru_cache(1)
def _unpacked(packed: bytes) -> _Job:
    """Unpack a job once for all its bands; its files stay open."""
    job: _Job = pickle.loads(packed)
    return job


def _joined_flags(made: CombineResult, flags: Array) -> Array:
    """Give a pixel all flags of the samples that may have gone into it."""
    gone = (flags & np.uint8(LEFT_OUT)) != 0
    used = np.where(gone, np.uint8(0), flags)
    joined = np.bitwise_or.reduce(used, axis=0)
    return np.asarray(joined | no_value(made.data))


@dataclass(slots=True)
class _Count:
    """What is counted while bands go by."""

    rejected: NDArray[np.int64]
    empty: int = 0

    def add(self, band: _Combined) -> None:
        self.rejected += band.rejected
        self.empty += int(np.count_nonzero(np.isnan(band.data)))


def _stream(
    job: _Job, bands: Iterable[_Combined], output: Path, *, overwrite: bool
) -> Summary:
    count = _Count(np.zeros(len(job.stack), np.int64))
    ny, nx = job.stack.shape
    n_cards = len(_cards(job, count, None))
    with ImageWriter(
        output,
        (ny, nx),
        header_cards=n_cards,
        planes=job.planes,
        overwrite=overwrite,
    ) as writer:
        for band in bands:
            writer.write_rows(band.start, band.data)
            for name, plane in band.planes.items():
                writer.write_rows(band.start, plane, plane=name)
            count.add(band)
        writer.finish(_cards(job, count, None))
    return _summary(output, job.stack, count, None)


def _collect(
    job: _Job, bands: Iterable[_Combined], output: Path, *, overwrite: bool
) -> Summary:
    count = _Count(np.zeros(len(job.stack), np.int64))
    data = np.empty(job.stack.shape, np.float32)
    flat = data.reshape(-1, data.shape[-1])
    planes = {name: np.empty(flat.shape, PLANE_TYPES[name]) for name in job.planes}
    for band in bands:
        rows = slice(band.start, band.start + len(band.data))
        flat[rows] = band.data
        for name, plane in band.planes.items():
            planes[name][rows] = plane
        count.add(band)
    factor = _unit_factor(data) if job.choices.unit_mean else None
    if factor is not None:
        data /= np.float32(factor)
        if UNCERT in planes:
            planes[UNCERT] /= np.float32(abs(factor))
    cards = _cards(job, count, factor)
    write_image(output, data, cards, planes=planes, overwrite=overwrite)
    return _summary(output, job.stack, count, factor)


def _unit_factor(data: Array) -> float:
    factor = float(np.nanmean(data, dtype=np.float64))
    if not (np.isfinite(factor) and factor != 0):
        msg = f"the mean of the result is {factor}: it cannot be scaled to unit mean"
        raise ProductError(msg)
    return factor


def _summary(
    output: Path, stack: FrameStack, count: _Count, factor: float | None
) -> Summary:
    rejected = tuple(int(n) for n in count.rejected)
    told = {
        str(facts.value("filter")) for facts in stack.facts if facts.value("filter")
    }
    filters = tuple(sorted(told))
    return Summary(output, len(rejected), rejected, count.empty, factor, filters)


_LEVELS: dict[Level, Callable[[Array], float]] = {
    Level.MEAN: lambda data: float(np.mean(data, dtype=np.float64)),
    Level.MEDIAN: lambda data: float(median(data)),
    Level.SUM: lambda data: float(np.sum(data, dtype=np.float64)),
}


def _levels(stack: FrameStack, level: Level) -> list[float]:
    """Measure each frame's level, over its finite pixels."""
    ny, nx = int(np.prod(stack.shape[:-1])), stack.shape[-1]
    whole = np.empty((ny, nx), stack.dtype)
    levels = []
    for i, name in enumerate(stack.names):
        stack.rows(i, 0, ny, whole)
        finite = whole[np.isfinite(whole)] if whole.dtype.kind == "f" else whole
        value = _LEVELS[level](finite) if finite.size else float("nan")
        if not (np.isfinite(value) and value > 0):
            msg = f"the {level} of {name} is {value}: a frame cannot be scaled by it"
            raise ProductError(msg)
        levels.append(value)
    return levels


def _scales(stack: FrameStack, choices: Combining) -> list[float]:
    if choices.normalize is None:
        return [1.0] * len(stack)
    levels = _levels(stack, choices.normalize)
    return [levels[0] / level for level in levels]


def _weights(stack: FrameStack, choices: Combining) -> list[float] | None:
    return None if choices.weight is None else _levels(stack, choices.weight)


def _noise(
    stack: FrameStack, choices: Combining, scales: Sequence[float]
) -> float | None:
    """Measure the noise of a sample in pairs of frames, if clipping has to know it."""
    if choices.noise is not None or choices.how.rejection not in _NEED_NOISE:
        return choices.noise
    nx, ny = stack.shape[-1], int(np.prod(stack.shape[:-1]))
    start = max(0, (ny - NOISE_ROWS) // 2)
    strips = np.empty((2, min(ny, NOISE_ROWS), nx), stack.dtype)

    def scaled_rows(frame: int, strip: Array) -> Array:
        stack.rows(frame, start, start + len(strip), strip)
        return strip if scales[frame] == 1 else strip * scales[frame]

    every = max(len(stack) // NOISE_PAIRS, 1)
    found = [
        pair_noise(*(scaled_rows(i + k, strips[k]) for k in range(2)))
        for i in range(0, len(stack) - 1, every)
    ]
    known = [noise for noise in found if np.isfinite(noise)]
    return float(np.median(known)) if known else None


def _cards(job: _Job, count: _Count, factor: float | None) -> list[bytes]:
    how, choices = job.choices.how, job.choices
    cards: dict[str, tuple[CardValue, str]] = {
        "NCOMBINE": (len(job.stack), "frames combined"),
        "COMBMETH": (str(how.method), "method of combination"),
        "COMBARG": (_argument(choices), "argument of the method"),
        "COMBCLIP": (_clipping(how), "clipping of samples"),
        "COMBNOIS": (job.noise, "noise of a sample, least scale of clipping"),
        "COMBNORM": (str(choices.normalize or "none"), "frames were scaled to first's"),
        "UNITMEAN": (factor, "result was divided by this (its mean)"),
        "BITSHIFT": (choices.shift, "bits that pixels were shifted by"),
        "NREJECT": (int(count.rejected.sum()), "samples rejected"),
        "NEMPTY": (count.empty, "pixels without samples (NaN)"),
        **_dates(job),
    }
    if factor is None:
        del cards["UNITMEAN"]
    if job.noise is None:
        del cards["COMBNOIS"]
    history = (
        f"combined {len(job.stack)} frames: {how.method}, clipping {_clipping(how)}, "
        f"normalised by {choices.normalize or 'nothing'}"
    )
    base = without(job.stack.cards, _no_longer_true(job))
    if not _keeps_levels(choices):
        base = without_levels(base)
    if factor is not None or how.method is Method.VAR:
        base = without_unit(base)
    base = with_gain(base, 2.0**choices.shift)
    return product_cards(base, cards | _input_cards(job), [history])


def _input_cards(job: _Job) -> dict[str, tuple[CardValue, str]]:
    """Return one card a frame with its name and date, its scale and its weight."""
    cards: dict[str, tuple[CardValue, str]] = {}
    for i, (name, facts) in enumerate(
        zip(job.stack.names, job.stack.facts, strict=True)
    ):
        cards[f"FILE{i + 1:04d}"] = (name, "combined frame")
        date = facts.header.get("DATE-OBS")
        if facts.start is not None:
            date = facts.start.isoformat().removesuffix("+00:00")
        if date:
            cards[f"DATE{i + 1:04d}"] = (str(date), "[UTC] its DATE-OBS")
        if job.scales[i] != 1:
            cards[f"SCAL{i + 1:04d}"] = (job.scales[i], "factor on this frame")
        if job.weights:
            cards[f"WGHT{i + 1:04d}"] = (job.weights[i], "weight of this frame")
    return cards


def _argument(choices: Combining) -> str:
    if choices.how.method is Method.QUANTILE:
        return f"{choices.how.quantile:g}"
    return f"weights {choices.weight}" if choices.weight else "none"


def _clipping(how: Combination) -> str:
    if how.rejection is Rejection.NONE:
        return "none"
    if how.rejection is Rejection.MINMAX:
        return f"minmax {how.drop_low},{how.drop_high}"
    return f"{how.rejection} {how.low:g},{how.high:g}"


def _dates(job: _Job) -> dict[str, tuple[CardValue, str]]:
    """Return the cards of the exposure: its total or mean, its begin and its end."""
    seconds, begins = _exposures(job)
    cards: dict[str, tuple[CardValue, str]] = {}
    if not seconds:
        return cards
    if job.choices.how.method is Method.SUM:
        cards["EXPTIME"] = (sum(seconds), "[s] total of all frames")
    else:
        cards["EXPTIME"] = (sum(seconds) / len(seconds), "[s] mean of all frames")
    if begins:
        spans = zip(begins, seconds, strict=True)
        end = max(begin + timedelta(seconds=t) for begin, t in spans)
        cards["DATE-OBS"] = (_iso(min(begins)), "[UTC] start of the first exposure")
        cards["DATE-END"] = (_iso(end), "[UTC] end of the last exposure")
    return cards


def _exposures(job: _Job) -> tuple[list[float], list[datetime]]:
    """Return exposures (s) and starts; none if one of the frames does not tell its own."""
    frames = job.stack.facts
    seconds = [t for facts in frames if (t := facts.number("exptime")) is not None]
    begins = [facts.start for facts in frames if facts.start is not None]
    return (
        seconds if len(seconds) == len(frames) else [],
        begins if len(begins) == len(frames) else [],
    )


def _keeps_levels(choices: Combining) -> bool:
    """Tell whether pixels are full in the product where they are in a frame."""
    spread = choices.how.method in (Method.SUM, Method.STD, Method.VAR)
    return not (spread or choices.shift or choices.normalize or choices.unit_mean)


def _no_longer_true(job: _Job) -> tuple[str, ...]:
    """List keywords that tell exposure and time, and place, of the first frame alone.

    All that may give these facts goes, as what is written anew is the one thing that
    still holds: a header with EXPTIME of all and EXPOSURE of one would contradict itself.
    """
    first = job.stack.facts[0]
    seconds, begins = _exposures(job)
    gone = first.keywords("exptime")
    if len(job.stack) > 1:
        gone += OF_ONE_EXPOSURE
    if job.choices.reduce_cubes:
        gone += _OF_PLANES
    if seconds and begins:
        gone += first.keywords("date_obs")
        if begins[0] != min(begins):
            gone += first.keywords("date_loc")
    return gone


def _iso(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00")
