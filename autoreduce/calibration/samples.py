"""A thin sample of each raw frame: enough rows to hold its level against others'."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.seams import Edge, read_edges
from autoreduce.errors import AutoreduceError, InputError
from autoreduce.fits.amplifiers import Amplifier, read_amplifiers
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.sections import parse_section
from autoreduce.frames.pixeltype import PEAK, count_extended
from autoreduce.frames.schema import ImageType
from autoreduce.pixels.measure import pixel_noise, pixel_noises
from autoreduce.pixels.order import median, medians_of_parts
from autoreduce.planning.recipe import Crosstalk

BANDS = 8
"""Bands of rows, evenly from the first row to the last."""
ROWS = 4
"""Rows of a band: both kinds of rows of a colour filter array, twice."""
PARTS = 8
"""Parts of a band, side by side, of which each has a median."""
FEWEST_VALUES = 4
"""Values that must differ before their step is believed."""
STRIP = 4096
"""Pixels of a strip: they tell a variance to 2 %."""
STEP_PIXELS, FIRST = 4096, 16
"""Pixels from which the step is taken, and those of which it is mostly told."""
WRAPPED = -(1 << 14)
"""16-bit counts below this are none that a camera gives: they went past 32767."""
CUT_NOISE = 10.0
"""A row of one value that lies so many times the noise below the others holds no data."""
FULL = 0.1
"""Where so many pixels of the other rows hold a value, rows of that value are full."""
SCRAMBLED = 256.0
"""Noise in 16 bits that pixels have whose bytes are swapped, ADU, and few others ..."""
LOWER_BYTES = 0.1
"""... and the part of them whose lower byte is not 0: single ones are dead or full."""
UNIT = 1.001
"""No pixel of a frame that counts from 0 to 1 is above this."""
UNITY, BYTES, SHIFTED = "from 0 to 1", "in 8 bits", "in floats with BZERO"
"""How frames count that do not count as cameras do."""
_EXPOSED = (ImageType.FLAT, ImageType.LIGHT)
_SMALL = 1 << 15
"""Bytes of rows up to which frames are measured together."""


class Sampled(NamedTuple):
    """What the frame table tells of a frame that is sampled."""

    imagetyp: str = ""
    """Its type; empty where it is not known: then all is kept that any type is asked."""
    overscan: str = ""
    """Section of its overscan as the frame is stored, FITS text; empty without one."""
    amplifiers: str = ""
    """Cell of its amplifiers; empty for a single one."""
    shows_seams: bool = False
    """Whether it is to show the seams between them."""
    crosstalk: tuple[Crosstalk, ...] = ()
    """What they have of one another, taken out before seams are looked at."""


ANY = Sampled()
"""A frame of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What some rows of a raw frame are like, in its own unit."""

    level: float
    """Median of the finite pixels."""
    noise: float
    """Scatter from pixel to pixel, one sigma."""
    lowest: float
    """Lowest finite pixel."""
    highest: float
    """Highest finite pixel."""
    ends: tuple[float, float]
    """Lowest and highest number that its type of integer has; infinite for floats."""
    counts: str
    """How it counts, if that is not as cameras do: `UNITY`, `BYTES` or `SHIFTED`; else
    empty."""
    step: int | None
    """Step between its values where they are whole numbers; None where that is not
    known."""
    wrapped: float
    """Fraction of its pixels that lie below `WRAPPED`, if it holds 16-bit integers."""
    blocks: tuple[float, ...]
    """Medians of `BANDS` x `PARTS` blocks, band by band: the shape of the frame.  Empty
    of flats and lights, of which nobody asks it."""
    strip: NDArray[Any] = field(compare=False, repr=False)
    """Some pixels from the middle, for the noise of a pair of frames, as small numbers as
    hold them; none of frames that are known to be no flats."""
    stars: int = 0
    """Peaks that are wider than a pixel; 0 of flats and lights, of which nobody asks it."""
    pixels: int = 0
    """Pixels in which they were looked for."""
    cut: float = 0.0
    """Fraction of its rows that have one value, far below the others': a download that
    broke off."""
    overscan: float = np.nan
    """Median of the overscan that the header tells; NaN without one."""
    told_highest: float = np.nan
    """Highest valid pixel by the card DATAMAX, ADU; NaN without one."""
    swapped_noise: float = np.nan
    """Noise that it has once the bytes of its 16-bit pixels are swapped; NaN where nothing
    says that they might be."""
    content: str = ""
    """Digest of the rows: those of a copy are the same."""
    edges: tuple[Edge, ...] = ()
    """What it shows at the seams between its amplifiers, if that was asked."""

    @property
    def empty(self) -> bool:
        """Whether it tells nothing: all its pixels have one value, or none."""
        return not self.lowest < self.highest


def sum_up(rows: NDArray[Any], counts: str = "", imagetyp: str = "") -> Sample:
    """Measure a sample of a frame.

    Parameters
    ----------
    rows : (n, nx) array
        Rows in order, in the unit of the frame.
    counts : str
        What the header tells of how it counts; the pixels tell the rest.
    imagetyp : str
        Type of the frame, empty where it is not known: a night of thousands keeps of
        each what is asked of its type.

    Returns
    -------
    Sample
        All NaN if no pixel is finite.
    """
    return _sum_up(rows[None], [_Told(counts, imagetyp)])[0]


class _Told(NamedTuple):
    """What else is known of a frame whose rows are summed up."""

    counts: str = ""
    imagetyp: str = ""
    highest: float = np.nan
    overscan: float = np.nan


def _sum_up(frames: NDArray[Any], told: Sequence[_Told]) -> list[Sample]:
    """Measure samples of frames of one shape: small ones share numpy's calls."""
    dtype = frames.dtype
    values = frames.reshape(len(frames), -1)
    if dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        if len(frames) > 1:
            parts = zip(frames, told, strict=True)
            return [_sum_up(rows[None], [one])[0] for rows, one in parts]
        values = values[finite][None]
    strips = (_strip(*one) for one in zip(frames, told, strict=True))
    if not values.size:
        nan, ends, none = np.nan, (-np.inf, np.inf), (None, 0.0, ())
        nothing = (Sample(nan, nan, nan, nan, ends, "", *none, one) for one in strips)
        parts = zip(nothing, told, strict=True)
        return [
            replace(one, told_highest=known.highest, overscan=known.overscan)
            for one, known in parts
        ]
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    ends = (-np.inf, np.inf) if limits is None else (limits.min, limits.max)
    numbers = {
        "level": median(values, axis=1),
        "noise": pixel_noises(frames),
        "lowest": values.min(axis=1),
        "highest": values.max(axis=1),
        "wrapped": _wrapped(values),
        "cut": _cut(frames),
    }
    columns = (column.astype(np.float64).tolist() for column in numbers.values())
    of_frames = [
        dict(zip(numbers, row, strict=True)) for row in zip(*columns, strict=True)
    ]
    stars = map(_stars, frames, told, of_frames)
    has_shapes = any(one.imagetyp not in _EXPOSED for one in told)
    shapes = _blocks(frames).tolist() if has_shapes else [()] * len(frames)
    return [
        Sample(
            **found,
            ends=(float(ends[0]), float(ends[1])),
            counts=_counting(one.counts, dtype, found["highest"]),
            step=_step(pixels) if found["lowest"] < found["highest"] else None,
            blocks=() if one.imagetyp in _EXPOSED else tuple(blocks),
            strip=strip,
            stars=seen[0],
            pixels=seen[1],
            overscan=one.overscan,
            told_highest=one.highest,
            swapped_noise=_swapped_noise(rows, found["noise"]),
            content=hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest(),
        )
        for one, rows, pixels, strip, blocks, found, seen in zip(
            told, frames, values, strips, shapes, of_frames, stars, strict=True
        )
    ]


def _counting(told: str, dtype: np.dtype[Any], highest: float) -> str:
    """Tell how a frame counts that does not count as cameras do; else empty."""
    if dtype == np.uint8:
        return BYTES
    return UNITY if dtype.kind == "f" and not told and 0 < highest <= UNIT else told


def _strip(rows: NDArray[Any], told: _Told) -> NDArray[Any]:
    if told.imagetyp not in ("", ImageType.FLAT):
        return np.empty((0, 0), np.float32)
    n, nx = rows.shape
    height = min(n, max(ROWS, STRIP // nx))
    first = (n - height) // 2
    strip = rows[first : first + height, : STRIP // height]
    return strip.astype(rows.dtype if rows.dtype.itemsize < 4 else np.float32)


def _stars(
    rows: NDArray[Any], told: _Told, found: Mapping[str, float]
) -> tuple[int, int]:
    """Count stars, and the pixels that they are looked for in, of what is to see none."""
    if told.imagetyp in _EXPOSED:
        return 0, 0
    bands = np.split(rows, BANDS) if len(rows) == BANDS * ROWS else [rows]
    inside = sum(max(0, len(band) - 2) * band.shape[1] for band in bands)
    noise = max(found["noise"], 0.5)
    if found["highest"] - found["level"] <= PEAK * noise:
        return 0, inside
    found_stars = (count_extended(band.astype(np.float64), noise) for band in bands)
    return sum(found_stars), inside


def _swapped_noise(rows: NDArray[Any], noise: float) -> float:
    """Measure the noise of pixels that are read in the other order of bytes.

    Those of 8 bits that stand in the upper byte have none in the lower one.  Bytes are
    swapped with the sign that BZERO takes for a number, or before it was.
    """
    if rows.dtype.itemsize != 2 or noise < SCRAMBLED:
        return np.nan
    if np.count_nonzero(rows % 256) < LOWER_BYTES * rows.size:
        return np.nan
    plain = rows.view(np.uint16)
    ways = [plain.byteswap().view(rows.dtype)]
    if rows.dtype.kind == "u":
        sign = np.uint16(1 << 15)
        ways.append((plain ^ sign).byteswap() ^ sign)
    return min(map(pixel_noise, ways))


def _wrapped(values: NDArray[Any]) -> NDArray[np.float64]:
    """Give the fraction of negative values that are no mere mark of a dead pixel."""
    if values.dtype != np.int16:
        return np.zeros(len(values))
    is_wrapped = (values < WRAPPED) & (values > np.iinfo(np.int16).min)
    return np.asarray(is_wrapped.mean(axis=1))


def _cut(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Give the fraction of rows of one value that is far below the others, or no data.

    Bytes of a file that were never written are 0: with the sign that BZERO takes for a
    number, unsigned counts of half of their range.
    """
    kind, bits = frames.dtype.kind, 8 * frames.dtype.itemsize
    unwritten = 1 << (bits - 1) if kind == "u" and bits > 8 else np.nan
    first = frames[:, :, 0]
    dull = first == frames[:, :, -1]
    some = np.flatnonzero(dull.any(axis=1))
    dull[some] = np.all(frames[some] == first[some, :, None], axis=2)
    found = np.zeros(len(frames))
    for at in np.flatnonzero(dull.any(axis=1) & ~dull.all(axis=1)):
        alive = frames[at, ~dull[at]]
        level, noise = float(np.nanmedian(alive)), pixel_noise(alive)
        far = CUT_NOISE * max(noise, 0.01 * abs(level))
        # Rows that are full are of one value, too, but then so are pixels of the others.
        noisy = noise > 1 and np.mean(alive == unwritten) < FULL
        empty = (first[at] == unwritten) & (noisy | (unwritten > level + far))
        found[at] = np.mean(dull[at] & ((first[at] < level - far) | empty))
    return found


def _step(values: NDArray[Any]) -> int | None:
    """Give the largest number that divides all differences between whole values."""
    some = values[:: max(1, values.size // STEP_PIXELS)]
    first: list[int] = some[:FIRST].tolist() if values.dtype.kind in "iu" else []
    if len(set(first)) >= FEWEST_VALUES and gcd(*(v - first[0] for v in first)) == 1:
        return 1  # the others cannot make it larger
    return _step_of(np.unique(some))


def _step_of(values: NDArray[Any]) -> int | None:
    """Give the step between values in order; None if they do not tell."""
    if len(values) < FEWEST_VALUES or np.any(values != np.rint(values)):
        return None
    return int(np.gcd.reduce(np.diff(values.astype(np.float64)).astype(np.int64)))


def _blocks(frames: NDArray[Any]) -> NDArray[np.float64]:
    k, n, nx = frames.shape
    if not n % BANDS:
        bands = frames.reshape(k, BANDS, n // BANDS, nx)
        return medians_of_parts(bands, PARTS).reshape(k, -1)
    some = np.array_split(frames, BANDS, axis=1)
    return np.concatenate([medians_of_parts(band, PARTS) for band in some], axis=1)


def read_some(files: Iterable[tuple[str | Path, Sampled]]) -> list[Sample | None]:
    """Read a sample of each of some frames; those of small frames are measured together.

    Parameters
    ----------
    files : iterable of (path, Sampled)
        FITS files, ``FILE[N]`` names HDU N, each with what the frame table tells of it.
        Some tens: the rows of small frames are in memory together.

    Returns
    -------
    list of Sample or None
        In their order; None where the pixels cannot be read, or do not tell anything:
        what reads the whole frame later says why.
    """
    found: list[Sample | None] = []
    alike: defaultdict[object, list[tuple[int, NDArray[Any], _Told]]]
    alike = defaultdict(list)
    for path, frame in files:
        sample = None
        with suppress(AutoreduceError, OSError, EOFError, ValueError):
            if amplifiers := read_amplifiers(frame.amplifiers):
                sample = _of_amplifiers(path, amplifiers, frame)
            else:
                rows, told = _cut_out(path, None, frame)
                if rows.nbytes > _SMALL:
                    sample = _sum_up(rows[None], [told])[0]
                else:
                    alike[rows.dtype, rows.shape].append((len(found), rows, told))
        found.append(sample)
    for some in alike.values():
        places, frames, known = zip(*some, strict=True)
        with suppress(ValueError):
            samples = _sum_up(np.stack(frames), known)
            for at, sample in zip(places, samples, strict=True):
                found[at] = sample
    return found


def _of_amplifiers(
    path: str | Path, amplifiers: Sequence[Amplifier], frame: Sampled
) -> Sample:
    """Sample the first amplifier that is not dead: of one that is nothing is seen."""
    file, _ = split_hdu(path)
    cuts = (_cut_out(file, one.hdu, frame) for one in amplifiers)
    samples = (_sum_up(rows[None], [told])[0] for rows, told in cuts)
    first = next(samples)
    sample = next((one for one in chain([first], samples) if not one.empty), None)
    if sample is None:
        return first
    edges: tuple[Edge, ...] = ()
    if frame.shows_seams:
        edges = read_edges(file, amplifiers, frame.crosstalk)
    return replace(sample, edges=edges)


def _cut_out(
    path: str | Path, hdu: int | None, frame: Sampled
) -> tuple[NDArray[Any], _Told]:
    """Read some rows of one image; the planes of a cube follow each other."""
    with open_image(path, hdu) as reader:
        if len(reader.shape) > 2 and not frame.amplifiers:
            msg = f"{path} holds a cube"
            raise InputError(msg)
        ny = math.prod(reader.shape[:-1])
        rows = _rows(reader, 0, ny)
        if ny > len(rows) and not (_differ(rows[:1]) or _differ(rows)):
            # Few rows of a dull frame may have one value where the whole has not.
            rows = reader.rows(0, ny)
        highest, overscan = reader.raw.number("DATAMAX"), np.nan
        if frame.overscan:
            y, x = parse_section(frame.overscan)
            overscan = float(np.nanmedian(_rows(reader, y.start, y.stop)[:, x]))
        counts = _counts_by_header(reader) if rows.dtype.kind == "f" else ""
        told = _Told(counts, frame.imagetyp, overscan=overscan)
        return rows, told if highest is None else told._replace(highest=highest)


def _differ(values: NDArray[Any]) -> bool:
    """Tell whether finite values are not all the same."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return bool(values.size and values.min() < values.max())


def _rows(reader: ImageReader, start: int, stop: int) -> NDArray[Any]:
    if stop - start <= BANDS * ROWS:
        return reader.rows(start, stop)
    starts = np.linspace(start, stop - ROWS, BANDS).astype(int)
    return reader.bands(starts.tolist(), ROWS)


def _counts_by_header(reader: ImageReader) -> str:
    """Tell a frame of floats that kept the BZERO of the integers it was made from."""
    bitpix, zero = reader.get("BITPIX"), reader.get("BZERO")
    is_float = isinstance(bitpix, int) and bitpix < 0
    return SHIFTED if is_float and zero in (1 << 15, 1 << 31) else ""
