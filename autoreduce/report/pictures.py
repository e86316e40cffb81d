"""Small pictures of large images: a sample of the rows, binned and stretched.

A product of sixty million pixels is not read to show four hundred of its columns:
of the rows that fall into one row of the picture a few are read, and their pixels
averaged.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.header import RawHeader, begins_at_top
from autoreduce.fits.sections import moved_pattern
from autoreduce.pixels.order import median, quantiles
from autoreduce.pixels.stretch import (
    Shades,
    mean_of_known,
    slope_of,
    tone_of,
    whole_numbers,
)

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
ROWS_READ = 4
"""Rows of the image that are read for one row of the picture, at most."""
SAMPLE_SIZE = 30_000
"""Pixels that statistics, histogram and shades are made from, about."""
LARGEST = 800
"""Width or height of the picture of a stack, or of an object made small, at most."""
CHUNK_ROWS = 64
"""Rows that are read at once, about: they stay in the cache."""
CROP = (240, 360)
"""Rows and columns of the part that is shown pixel by pixel."""
PNG_LEVEL = 1
"""Effort of PNG: noise hardly shrinks, 6 takes three times as long for 6 % of it."""
PNG_PIECE = 1 << 16
"""Bytes of a chunk of packed pixels of a PNG file."""
JPEG_QUALITY = 85
NOISE_APART = 4
"""Columns between the pixels that noise is taken from: resampling has not mixed them."""
AT_ONCE = 4
"""Pictures that are made at a time."""
HISTOGRAM_BINS = 48
SKY_SHADE = 0.2
"""Shade of the sky where faint things are lifted; white is 1."""
MIDDLE_GREY = 128
"""Shade of an image whose pixels are all the same."""
MAD_TO_SIGMA = 1.4826  # 1 / Phi^-1(3/4), for a normal distribution


class Stretch(StrEnum):
    """How pixel values become shades of grey."""

    LINEAR = "linear"
    """Straight between the 0.5 and 99.5 per cent quantiles: for masters."""
    FAINT = "faint"
    """From just below the sky, faint things lifted: for lights and stacks."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of an image, and what was seen while making it."""

    pixels: Bytes
    """(ny, nx) grey or (ny, nx, 3) red, green, blue; first row at the top."""
    shape: tuple[int, int]
    """Rows and columns of the image itself."""
    statistics: dict[str, float]
    """``min``, ``median``, ``max`` of the pixels that were read; empty if all of
    them are blank."""
    histogram: tuple[int, ...]
    """Counts of the pixels that were read, in equal bins over `span`."""
    span: tuple[float, float]
    """Values at the ends of the histogram: 0.1 per cent of the pixels are darker, 0.5
    per cent brighter."""
    crop: Bytes | None = None
    """Its middle pixel by pixel, in the form of `pixels`; None if it was not asked for."""
    noise: float = math.nan
    """Scatter from pixel to pixel, 1 sigma, in the image's unit; NaN if not known."""


class Wanted(NamedTuple):
    """A picture that is wanted, as `read_picture` makes it."""

    path: Path
    largest: int
    stretch: Stretch
    crop: bool


def drawn(wanted: Wanted | None) -> tuple[Picture | None, str]:
    """Make a picture, if there is a file to make it of; else say why there is none."""
    if wanted is None:
        return None, ""
    path, largest, stretch, crop = wanted
    try:
        return read_picture(path, largest=largest, stretch=stretch, crop=crop), ""
    except (InputError, OSError) as error:
        return None, f"no picture: {error}"


def read_picture(
    path: Path,
    *,
    largest: int = 320,
    stretch: Stretch = Stretch.LINEAR,
    crop: bool = False,
) -> Picture:
    """Read a sample of an image's rows and make a picture of it.

    Pixels of a colour filter array (header BAYERPAT) are shown in colour, each
    channel with its own limits, or those of lights and stacks so that the sky is grey
    and most stars are white.  The first row is at the bottom, as FITS viewers
    draw it, unless ROWORDER says that the file begins with the top.

    Parameters
    ----------
    path : Path
        FITS image; of a cube the first plane is shown, of one with three planes
        all of them as red, green and blue.
    largest : int
        Width or height that the picture does not exceed, pixels.
    stretch : Stretch
        How values become shades.
    crop : bool
        Whether its middle is wanted pixel by pixel, `CROP` at most; not of pixels under
        a colour filter array, nor of an image that is shown so anyway.

    Returns
    -------
    Picture
        The picture, with statistics and a histogram of the pixels that were read;
        `png` makes a file of its pixels.

    Raises
    ------
    InputError
        If there is no such file, or no image in it.
    """
    from autoreduce.fits.images import open_image

    with open_image(path) as image:
        ny, nx = image.shape[-2:]
        pattern = _bayer_pattern(image.raw) if min(ny, nx) > 1 else ""
        n_planes = image.shape[0] if len(image.shape) == 3 else 1
        planes = range(3 if n_planes == 3 else 1)
        read = [_read_plane(image, plane, pattern, largest) for plane in planes]
        from_top = begins_at_top(image.raw)
        is_cut = crop and not pattern and max(ny, nx) > largest
        middle = _middle(image, planes) if is_cut else None
    channels = [channel for plane in read for channel in _merged(plane.binned, pattern)]
    pixels = _shown(channels, stretch)
    part = None if middle is None else _shown(middle, stretch)
    values = np.sort(_known(np.concatenate([plane.sample for plane in read])))
    histogram, span = _histogram(values)
    return Picture(
        pixels=pixels if from_top else pixels[::-1],
        shape=(ny, nx),
        statistics=_statistics(values),
        histogram=histogram,
        span=span,
        crop=part if part is None or from_top else part[::-1],
        noise=_noise(read[0].steps) if crop else math.nan,
    )


def _shown(channels: list[Floats], stretch: Stretch) -> Bytes:
    """Turn one channel, or red, green and blue, into shades."""
    if stretch is Stretch.FAINT and len(channels) == 3:
        rows, columns = (np.arange(n) for n in channels[0].shape)
        slopes = [slope_of(one, rows, columns) for one in channels]
        level = [
            slope.levelled(one, rows, columns)
            for slope, one in zip(slopes, channels, strict=True)
        ]
        shown = tone_of(level).shades(level)
        return whole_numbers(shown).astype(np.uint8, copy=False)
    shades = [_shades(channel, stretch) for channel in channels]
    return np.stack(shades, axis=-1) if len(shades) == 3 else shades[0]


def _middle(
    image: Any,  # noqa: ANN401 -- an ImageReader, whose module is imported when needed
    planes: range,
) -> list[Floats]:
    """Read the middle of some planes of an image, pixel by pixel."""
    ny, nx = image.shape[-2:]
    height, width = min(CROP[0], ny), min(CROP[1], nx)
    top, left = (ny - height) // 2, (nx - width) // 2
    return [
        image.rows(plane * ny + top, plane * ny + top + height)[
            :, left : left + width
        ].astype(np.result_type(image.dtype, np.float32))
        for plane in planes
    ]


def _noise(steps: Floats) -> float:
    """Take the noise from differences of pixels in a row: the sky cancels."""
    known = steps[np.isfinite(steps)]
    if not known.size:
        return math.nan
    return MAD_TO_SIGMA * float(median(np.abs(known))) / math.sqrt(2)


class Small(NamedTuple):
    """A finished picture as a page shows it."""

    shape: tuple[int, int]
    """Rows and columns of the picture itself."""
    size: tuple[int, int]
    """Width and height of the small one."""
    jpeg: bytes
    """The small one, a file."""
    crop: bytes
    """Its middle pixel by pixel, a file; empty if the small one is as large."""

    @classmethod
    def of(cls, picture: Picture) -> "Small":
        """Write what a `Shrunk` picture shows."""
        ny, nx = picture.pixels.shape[:2]
        is_cut = picture.shape != (ny, nx)
        crop = b"" if picture.crop is None or not is_cut else jpeg(picture.crop)
        return cls(picture.shape, (nx, ny), jpeg(picture.pixels), crop)


def jpeg(pixels: Bytes) -> bytes:
    """Write pixels as a JPEG file.

    Parameters
    ----------
    pixels : (ny, nx) or (ny, nx, 3) array of uint8
        Grey, or red, green and blue; first row at the top.

    Returns
    -------
    bytes
        The file.
    """
    from PIL import Image

    file = BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def png(pixels: Shades) -> bytes:
    """Write pixels as a PNG file.

    Parameters
    ----------
    pixels : (ny, nx) or (ny, nx, 3) array of uint8 or uint16
        Grey, or red, green and blue; first row at the top.

    Returns
    -------
    bytes
        The file.
    """
    return b"".join(png_pieces(pixels.shape, [pixels]))


def png_pieces(
    shape: tuple[int, ...],
    bands: Iterable[Shades],
    texts: Mapping[str, str] | None = None,
) -> Iterator[bytes]:
    """Write a PNG file piece by piece.

    Parameters
    ----------
    shape : (ny, nx) or (ny, nx, 3)
        Of the whole image.
    bands : iterable of (n, nx) or (n, nx, 3) arrays of uint8 or uint16
        Its rows, from the top.
    texts : mapping of str to str, optional
        Words that the file carries, by their PNG keywords.

    Yields
    ------
    bytes
        The file.

    References
    ----------
    ISO/IEC 15948:2003, Portable Network Graphics.
    """
    ny, nx = shape[:2]
    bands = iter(bands)
    first = next(bands)
    bits, colour_type = 8 * first.dtype.itemsize, 2 if len(shape) == 3 else 0
    header = struct.pack(">IIBBBBB", nx, ny, bits, colour_type, 0, 0, 0)
    yield PNG_BEGIN + _chunk(b"IHDR", header)
    for keyword, text in (texts or {}).items():
        words = f"{keyword}\0".encode("latin-1") + text.encode("latin-1", "replace")
        yield _chunk(b"tEXt", words)
    held = bytearray()
    for packed in _packed(chain([first], bands)):
        held += packed
        # Pieces of one size: the file does not depend on how high the bands are.
        while len(held) > PNG_PIECE:
            yield _chunk(b"IDAT", bytes(held[:PNG_PIECE]))
            del held[:PNG_PIECE]
    yield _chunk(b"IDAT", bytes(held)) + _chunk(b"IEND", b"")


def _packed(bands: Iterable[Shades]) -> Iterator[bytes]:
    """Pack the rows of a PNG file."""
    pack = zlib.compressobj(PNG_LEVEL)
    for band in bands:
        big = band.dtype.newbyteorder(">")
        # Each row is led by its filter: none.
        row = np.dtype([("filter", np.uint8), ("pixels", big, band.shape[1:])])
        lines = np.zeros(len(band), row)
        places, colours = (
            np.moveaxis(np.atleast_3d(one), -1, 0) for one in (lines["pixels"], band)
        )
        # One colour after the other: three neighbours at a time take seven times as long.
        for place, colour in zip(places, colours, strict=True):
            place[...] = colour
        yield pack.compress(lines.data)
    yield pack.flush()


def png_texts(path: Path) -> dict[str, str]:
    """Read the words that a PNG file carries before its pixels; none if it is no PNG."""
    found = {}
    with path.open("rb") as file:
        if file.read(len(PNG_BEGIN)) != PNG_BEGIN:
            return {}
        for name, body in _chunks(file):
            if name == b"IDAT":
                break
            if name == b"tEXt":
                keyword, _, text = body.partition(b"\0")
                found[keyword.decode("latin-1")] = text.decode("latin-1")
    return found


class Shrunk:
    """A finished picture, made small while its rows go by.

    Parameters
    ----------
    shape : (ny, nx) or (ny, nx, 3)
        Of the whole picture.
    largest : int
        Width or height that the small one does not exceed, pixels.
    """

    def __init__(self, shape: tuple[int, ...], largest: int) -> None:
        self._shape, (ny, nx) = shape, shape[:2]
        factor = -(-max(ny, nx) // largest)
        self._high, self._wide = min(factor, ny), min(factor, nx)
        rows, columns = min(CROP[0], ny), min(CROP[1], nx)
        top, left = (ny - rows) // 2, (nx - columns) // 2
        self._middle = slice(top, top + rows), slice(left, left + columns)
        self._rest = np.empty((0, *shape[1:]), np.uint8)
        self._binned: list[Bytes] = []
        self._crop: list[Bytes] = []
        self._n = 0

    def add(self, rows: Shades) -> None:
        """Take the next rows, from the top: (n, nx) or (n, nx, 3) shades."""
        from PIL import Image

        deep = 8 * (rows.dtype.itemsize - 1)
        shades = (rows >> deep if deep else rows).astype(np.uint8, copy=False)
        lines, columns = self._middle
        part = shades[max(0, lines.start - self._n) : max(0, lines.stop - self._n)]
        self._crop.append(part[:, columns].copy())
        self._n += len(shades)
        shades = np.concatenate([self._rest, shades])
        whole = len(shades) // self._high * self._high
        self._rest = shades[whole:]
        if whole:
            width = self._shape[1] // self._wide * self._wide
            image = Image.fromarray(np.ascontiguousarray(shades[:whole, :width]))
            self._binned.append(np.asarray(image.reduce((self._wide, self._high))))

    def picture(self) -> Picture:
        """Give what has come, with its middle pixel by pixel, and without statistics."""
        return Picture(
            pixels=np.concatenate(self._binned),
            shape=(self._shape[0], self._shape[1]),
            statistics={},
            histogram=(),
            span=(0.0, 0.0),
            crop=np.concatenate(self._crop),
        )


def read_png(path: Path, largest: int) -> Picture:
    """Read a PNG file of ours, made small.

    Returns
    -------
    Picture
        As `Shrunk` makes it.

    Raises
    ------
    OSError
        If it cannot be read, or is not as `png_pieces` writes it.
    """
    with path.open("rb") as file:
        nx, ny, bits, kind = _png_header(file, path)
        depth, n_bytes = (3 if kind == 2 else 1), bits // 8
        line = 1 + nx * depth * n_bytes
        small = Shrunk((ny, nx, 3) if depth == 3 else (ny, nx), largest)
        blocks = _unpacked(file, path, CHUNK_ROWS * line)
        for first in range(0, ny, CHUNK_ROWS):
            n = min(CHUNK_ROWS, ny - first)
            lines = np.frombuffer(next(blocks, b""), np.uint8)[: n * line]
            if lines.size < n * line or lines[::line].any():
                raise _not_ours(path)
            upper = lines.reshape(n, line)[:, 1::n_bytes]
            small.add(upper.reshape(n, nx, depth) if depth == 3 else upper)
    return small.picture()


def _png_header(file: BinaryIO, path: Path) -> tuple[int, int, int, int]:
    """Read columns, rows, bits and the kind of colours; the pixels follow."""
    if file.read(len(PNG_BEGIN)) != PNG_BEGIN:
        raise _not_ours(path)
    for name, body in _chunks(file):
        if name == b"IHDR" and len(body) == 13:
            nx, ny, bits, kind, *rest = struct.unpack(">IIBBBBB", body)
            if bits in (8, 16) and kind in (0, 2) and not any(rest) and nx and ny:
                return nx, ny, bits, kind
    raise _not_ours(path)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Read the pieces of a PNG file, from where it stands."""
    while len(begin := file.read(8)) == 8:
        body = file.read(int.from_bytes(begin[:4]))
        file.read(4)
        yield begin[4:], body


def _unpacked(file: BinaryIO, path: Path, size: int) -> Iterator[bytes]:
    """Unpack the pixels of a PNG file, so many bytes at a time."""
    unpack, held = zlib.decompressobj(), b""
    try:
        for name, body in _chunks(file):
            rest = body if name == b"IDAT" else b""
            while rest:
                held += unpack.decompress(rest, size - len(held))
                rest = unpack.unconsumed_tail
                if len(held) == size:
                    yield held
                    held = b""
    except zlib.error as error:
        msg = f"{path}: {error}"
        raise OSError(msg) from error
    if held:
        yield held


def _not_ours(path: Path) -> OSError:
    return OSError(f"{path} is not as it was written")


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _bayer_pattern(header: RawHeader) -> str:
    """Say the colours of the first two by two pixels, row by row; empty if grey."""
    pattern = str(header.get("BAYERPAT") or "").strip().upper()
    if sorted(pattern) != sorted("RGGB"):
        return ""
    row, column = (int(header.number(key) or 0) for key in ("YBAYROFF", "XBAYROFF"))
    return moved_pattern(pattern, row, column)


class _Plane(NamedTuple):
    """What is read of one plane of an image."""

    binned: Floats
    """(n_sites, ny, nx): the four pixels of a cell of a colour filter array, else one."""
    sample: Floats
    """Some of its pixels."""
    steps: Floats
    """Differences of some pixels that are `NOISE_APART` columns apart."""


def _read_plane(
    image: Any,  # noqa: ANN401 -- an ImageReader, whose module is imported when needed
    plane: int,
    pattern: str,
    largest: int,
) -> _Plane:
    """Read one plane of an image, of most rows a part."""
    cell = 2 if pattern else 1
    ny, nx = image.shape[-2:]
    factor = -(-max(ny, nx) // (largest * cell)) * cell
    height, width = min(factor, ny // cell * cell), min(factor, nx // cell * cell)
    n_rows = min(height, ROWS_READ)
    step = max(1, (ny // height) * n_rows * nx // SAMPLE_SIZE) | 1  # odd: both colours
    binned = np.empty(
        (cell * cell, ny // height, nx // width),
        np.result_type(image.dtype, np.float32),
    )
    sample, steps = [], []
    # Of rows far apart only those that count are read.
    is_dense = height <= 2 * ROWS_READ
    together = max(1, CHUNK_ROWS // (height if is_dense else n_rows))
    skipped = (height - n_rows) // 2 // cell * cell
    for row in range(0, ny // height, together):
        n = min(together, ny // height - row)
        start = plane * ny + row * height
        stop = start + n * height
        if is_dense:
            bands = image.rows(start, stop).reshape(n, height, nx)
            bands = bands[:, skipped : skipped + n_rows]
        else:
            starts = range(start + skipped, stop, height)
            bands = image.bands(starts, n_rows).reshape(n, n_rows, nx)
        sample.append(bands[:, :, ::step].ravel())
        ends = (bands[:, 0, NOISE_APART::step], bands[:, 0, :-NOISE_APART:step])
        with np.errstate(invalid="ignore"):
            steps.append(np.subtract(*ends, dtype=np.float64))
        for site in range(cell * cell):
            part = bands[:, site // 2 :: cell, site % 2 :: cell]
            binned[site, row : row + n] = _block_means(part, width // cell)
    return _Plane(
        binned,
        np.concatenate(sample),
        np.concatenate(steps).ravel(),
    )


def _block_means(bands: NDArray[Any], width: int) -> Floats:
    """Average blocks of so many columns over the rows of each band; NaN for no number.

    Parameters
    ----------
    bands : (n, rows, nx) array
        Bands.
    width : int
        Columns of a block.

    Returns
    -------
    (n, nx // width) array of float
        The means.
    """
    n_bands, n_rows, nx = bands.shape
    n = nx // width
    bands = bands[:, :, : n * width]
    means = np.empty((n_bands, n), np.result_type(bands, np.float32))
    # As a product of matrices sums of few columns take a tenth of the time.
    total = np.float64 if bands.dtype.itemsize == np.int64().itemsize else None
    with np.errstate(over="ignore", invalid="ignore"):
        columns = bands.sum(axis=1, dtype=total).reshape(n_bands, n, width)
        means[...] = columns @ np.ones(width, np.float32) / (n_rows * width)
    gaps = ~np.isfinite(means)
    if gaps.any():
        blocks = bands.reshape(n_bands, n_rows, n, width).swapaxes(1, 2)[gaps]
        some = blocks.reshape(len(blocks), -1).astype(np.float64)
        means[gaps] = mean_of_known(list(np.where(np.isfinite(some), some, np.nan).T))
    return means


def _merged(binned: Floats, pattern: str) -> list[Floats]:
    """Average the sites of each colour: red, green, blue, or the one of a grey image."""
    if not pattern:
        return [binned[0]]
    return [
        binned[[site == colour for site in pattern]].mean(axis=0) for colour in "RGB"
    ]


def _shades(values: Floats, stretch: Stretch) -> Bytes:
    """Turn values into shades, 0 to 255; what holds no number is black."""
    some = _known(values.ravel()[:: max(1, values.size // SAMPLE_SIZE) | 1])
    black, white = _limits(some, stretch)
    if not white > black:  # all but a few pixels have one value
        some = _known(values)
        black, white = (some.min(), some.max()) if some.size else (0.0, 0.0)
        if black == white:
            return np.where(np.isfinite(values), MIDDLE_GREY, 0).astype(np.uint8)
    if white - black > float(np.finfo(values.dtype).max) / 2:
        values = values.astype(np.float64)
    with np.errstate(over="ignore"):  # far beyond black and white
        scaled = values - black
        scaled /= white - black
    np.fmax(scaled, 0, out=scaled)  # of a number and NaN the number
    np.minimum(scaled, 1, out=scaled)
    if stretch is Stretch.FAINT:
        sky = np.clip([(median(some) - black) / (white - black)], 1e-6, 1 - 1e-6)
        scaled = _midtones(scaled, float(_midtones(sky, SKY_SHADE)[0]))
    return whole_numbers(scaled).astype(np.uint8, copy=False)


def _known(values: Floats) -> Floats:
    """Give the values that are numbers, as one row: means of them may exceed float32."""
    return values[np.isfinite(values)].astype(np.float64, copy=False)


def _limits(known: Floats, stretch: Stretch) -> tuple[float, float]:
    """Choose which of some values shall be black and white; 0 both if there is none."""
    if not known.size:
        return 0.0, 0.0
    if stretch is not Stretch.FAINT:
        black, white = map(float, quantiles(known, (0.005, 0.995)))
        return black, white
    middle = float(median(known))
    noise = MAD_TO_SIGMA * float(median(np.abs(known - middle)))
    black = max(middle - 3 * noise, float(known.min()))
    return black, max(float(quantiles(known, [0.999])[0]), middle + 8 * noise)


def _midtones(values: Floats, middle: float) -> Floats:
    """Bend shades so that 0 and 1 stay and `middle` becomes one half."""
    bent = values * (2 * middle - 1)
    bent -= middle
    return (middle - 1) * values / bent


def _statistics(ordered: Floats) -> dict[str, float]:
    if not ordered.size:
        return {}
    return {
        "min": float(ordered[0]),
        "median": float(median(ordered)),
        "max": float(ordered[-1]),
    }


def _histogram(ordered: Floats) -> tuple[tuple[int, ...], tuple[float, float]]:
    if not ordered.size:
        return (), (0.0, 0.0)
    low, high = (float(end) for end in quantiles(ordered, (0.001, 0.995)))
    if not high > low:
        margin = max(0.5, 1e-3 * abs(low))
        low, high = low - margin, high + margin
    ends = np.searchsorted(ordered, np.linspace(low, high, HISTOGRAM_BINS + 1))
    ends[-1] = np.searchsorted(ordered, high, "right")
    return tuple(np.diff(ends).tolist()), (low, high)
