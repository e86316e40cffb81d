"""A thin sample of each raw frame: enough rows to hold its level against others'."""

import hashlib
import math
from dataclasses import dataclass, field, replace
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.seams import Edge, read_edges
from autoreduce.errors import AutoreduceError, InputError
from autoreduce.fits.amplifiers import read_amplifiers
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.sections import parse_section
from autoreduce.frames.schema import ImageType
from autoreduce.pixels.measure import pixel_noise
from autoreduce.pixels.order import finite_medians, median, medians_of_parts
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
UNIT = 1.001
"""No pixel of a frame that counts from 0 to 1 is above this."""
UNITY, BYTES, SHIFTED = "from 0 to 1", "in 8 bits", "in floats with BZERO"
"""How frames count that do not count as cameras do."""
_EXPOSED = (ImageType.FLAT, ImageType.LIGHT)


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
    cut: float = 0.0
    """Fraction of its rows that have one value, far below the others': a download that
    broke off."""
    overscan: float = np.nan
    """Median of the overscan that the header tells; NaN without one."""
    told_highest: float = np.nan
    """Highest valid pixel by the card DATAMAX, ADU; NaN without one."""
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
    kind = rows.dtype.kind
    whole = kind in "iu"
    values = rows.ravel() if whole else rows[np.isfinite(rows)]
    is_wanted = imagetyp in ("", ImageType.FLAT)
    strip = _strip(rows) if is_wanted else np.empty((0, 0), np.float32)
    if not values.size:
        nan, ends = np.nan, (-np.inf, np.inf)
        return Sample(nan, nan, nan, nan, ends, "", None, 0.0, (), strip)
    highest = float(values.max())
    if kind == "u" and rows.dtype.itemsize == 1:
        counts = BYTES
    elif not whole and not counts and 0 < highest <= UNIT:
        counts = UNITY
    limits = np.iinfo(rows.dtype) if whole else None
    ends = (-np.inf, np.inf) if limits is None else (limits.min, limits.max)
    return Sample(
        level=float(median(values)),
        noise=pixel_noise(rows),
        lowest=float(values.min()),
        highest=highest,
        ends=(float(ends[0]), float(ends[1])),
        counts=counts,
        step=_step(values),
        wrapped=_wrapped(values),
        blocks=() if imagetyp in _EXPOSED else _blocks(rows),
        strip=strip,
        cut=_cut(rows),
        content=hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest(),
    )


def _strip(rows: NDArray[Any]) -> NDArray[Any]:
    n, nx = rows.shape
    height = min(n, max(ROWS, STRIP // nx))
    first = (n - height) // 2
    strip = rows[first : first + height, : STRIP // height]
    return strip.astype(rows.dtype if rows.dtype.itemsize < 4 else np.float32)


def _wrapped(values: NDArray[Any]) -> float:
    """Give the fraction of negative values that are no mere mark of a dead pixel."""
    if values.dtype != np.int16:
        return 0.0
    return float(np.mean((values < WRAPPED) & (values > np.iinfo(np.int16).min)))


def _cut(rows: NDArray[Any]) -> float:
    """Give the fraction of rows of one value that lie far below the others."""
    first = rows[:, 0]
    dull = first == rows[:, -1]
    if dull.any():
        dull = np.all(rows == first[:, None], axis=1)
    if not dull.any() or dull.all():
        return 0.0
    alive = rows[~dull]
    level, noise = float(np.nanmedian(alive)), pixel_noise(alive)
    return float(
        np.mean(dull & (first < level - CUT_NOISE * max(noise, 0.01 * abs(level))))
    )


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


def _blocks(rows: NDArray[Any]) -> tuple[float, ...]:
    n, nx = rows.shape
    if not (n % BANDS or nx % PARTS):
        parted = rows.reshape(BANDS, n // BANDS, PARTS, nx // PARTS).swapaxes(1, 2)
        return tuple(finite_medians(parted.reshape(BANDS * PARTS, -1)))
    medians = [medians_of_parts(band, PARTS) for band in np.array_split(rows, BANDS)]
    return tuple(np.concatenate(medians).tolist())


def read_sample(path: str | Path, frame: Sampled = ANY) -> Sample | None:
    """Read a sample of a frame.

    Parameters
    ----------
    path : path
        A FITS file; ``FILE[N]`` names HDU N.
    frame : Sampled
        What the frame table tells of it.

    Returns
    -------
    Sample or None
        None where the pixels cannot be read, or do not tell anything: what reads the
        whole frame later says why.
    """
    try:
        amplifiers = read_amplifiers(frame.amplifiers)
        if not amplifiers:
            return _sample_of(path, None, frame)
        file, _ = split_hdu(path)
        samples = (_sample_of(file, one.hdu, frame) for one in amplifiers)
        # Of an amplifier that is dead nothing is seen.
        sample = next((one for one in samples if not one.empty), None)
        if sample is None:
            return _sample_of(file, amplifiers[0].hdu, frame)
        edges: tuple[Edge, ...] = ()
        if frame.shows_seams:
            edges = read_edges(file, amplifiers, frame.crosstalk)
        return replace(sample, edges=edges)
    except (AutoreduceError, OSError, EOFError, ValueError):
        return None


def _sample_of(path: str | Path, hdu: int | None, frame: Sampled) -> Sample:
    """Sample one image; the planes of a cube follow each other."""
    with open_image(path, hdu) as reader:
        if len(reader.shape) > 2 and not frame.amplifiers:
            msg = f"{path} holds a cube"
            raise InputError(msg)
        counts = _counts_by_header(reader)
        ny = math.prod(reader.shape[:-1])
        sample = sum_up(_rows(reader, 0, ny), counts, frame.imagetyp)
        if sample.empty and ny > BANDS * ROWS:
            # Few rows of a dull frame may have one value where the whole has not.
            sample = sum_up(reader.rows(0, ny), counts, frame.imagetyp)
        told = reader.raw.number("DATAMAX")
        if told is not None:
            sample = replace(sample, told_highest=told)
        if frame.overscan:
            y, x = parse_section(frame.overscan)
            strip = _rows(reader, y.start, y.stop)[:, x]
            sample = replace(sample, overscan=float(np.nanmedian(strip)))
        return sample


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
