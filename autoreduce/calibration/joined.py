"""The image of a detector that several amplifiers have read."""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.fits.amplifiers import Amplifier, gain_factors
from autoreduce.fits.cards import Card, without
from autoreduce.fits.closing import Closing
from autoreduce.fits.header import RawHeader, read_headers
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.sections import Section, parse_section, parse_turned, within
from autoreduce.pixels.measure import overscan_level, pixel_noise
from autoreduce.remarks import Remark, remark, some

Floats = NDArray[np.float32]

_SAMPLED_ROWS = 8
"""Rows from which it is seen whether an amplifier is dead."""


@dataclass(frozen=True, slots=True)
class Readout:
    """One amplifier, and what is done to its pixels."""

    amplifier: Amplifier
    """What it has read."""
    data: Section
    """Pixels of its image."""
    place: Section
    """Where they go."""
    backwards: tuple[bool, bool]
    """Whether rows and columns of its image run backwards."""
    level: float | None
    """Level of its overscan, ADU; None without one."""
    factor: float
    """Takes its ADU to those of the mean gain."""
    noise: float | None
    """Scatter of its overscan, ADU; None without one."""
    dead: bool
    """Whether all its pixels have one value, while those of others have not."""
    full: float | None
    """Level of the joined image at which its pixels are saturated, ADU."""

    @property
    def rdnoise(self) -> float | None:
        """Read noise in electrons, from the header, else from the overscan."""
        one = self.amplifier
        if one.rdnoise is None and one.egain is not None and self.noise is not None:
            return self.noise * one.egain
        return one.rdnoise


class JoinedImage(Closing):
    """Rows of a joined image, each amplifier freed of its own overscan.

    Values are ADU of the mean gain; where nothing was read, and where an amplifier is
    dead, they are NaN.
    """

    shape: tuple[int, int]
    """(ny, nx) of the detector."""
    dtype = np.dtype(np.float32)
    """Type of the values."""
    readouts: tuple[Readout, ...]
    """The amplifiers."""
    own_keywords: AbstractSet[str]
    """Keywords of the first amplifier's own header."""
    raw: RawHeader
    """Header of the first amplifier, followed by the primary one's cards."""

    def __init__(
        self, path: Path, amplifiers: Sequence[Amplifier], *, keep_open: bool = True
    ) -> None:
        """Open a file; without `keep_open` it is open only while it is read.

        Raises
        ------
        InputError
            If the file cannot be read, or an amplifier is not in it.
        """
        self._path, self._stack = path, ExitStack()
        self._open: dict[int, ImageReader] = {}
        self._keep = keep_open
        try:
            pairs = zip(amplifiers, gain_factors(amplifiers), strict=True)
            readouts = [self._readout(one, factor) for one, factor in pairs]
            self._read_header(amplifiers[0].hdu)
        except BaseException:
            self.close()
            raise
        if all(one.dead for one in readouts):
            readouts = [replace(one, dead=False) for one in readouts]
        self.readouts = tuple(readouts)
        ny, nx = (max(one.place[axis].stop for one in readouts) for axis in (0, 1))
        self.shape = (ny, nx)

    def close(self) -> None:
        """Close the file."""
        self._stack.close()
        self._open.clear()

    def release(self) -> None:
        """Close the file until rows are asked for again."""
        self.close()

    @property
    def cards(self) -> list[bytes]:
        """Cards of the first amplifier and of the primary header."""
        return self.raw.records

    @property
    def doubts(self) -> tuple[Remark, ...]:
        """Name the amplifiers that are dead."""
        places = [one.amplifier.place for one in self.readouts if one.dead]
        return (remark("dead-amplifier", found=some(places)),) if places else ()

    @property
    def overscan(self) -> float | None:
        """Level that is left of the overscans: 0, or None if any has none."""
        levels = [one.level for one in self.readouts]
        return None if None in levels else 0.0

    @property
    def full(self) -> float | None:
        """Lowest level at which pixels are saturated, ADU."""
        known = [one.full for one in self.readouts if one.full is not None]
        return min(known, default=None)

    def rows(self, start: int, stop: int) -> Floats:
        """Read rows [start, stop) of the detector, ADU of the mean gain.

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        out = np.full((stop - start, self.shape[1]), np.nan, np.float32)
        for one, mine, theirs in self._crossing(start, stop):
            if one.dead:
                continue
            with self._reader(one.amplifier.hdu) as reader:
                part = reader.rows(theirs.start, theirs.stop)[:, one.data[1]]
            part = _turned(part, one.backwards).astype(np.float32)
            if one.level is not None:
                part -= np.float32(one.level)
            if one.factor != 1:
                part *= np.float32(one.factor)
            out[mine, one.place[1]] = part
        return out

    def saturation(self, start: int, stop: int) -> Floats:
        """Give the level at which each pixel of rows [start, stop) is saturated, ADU."""
        return self._spread(start, stop, [one.full for one in self.readouts], np.inf)

    def rdnoise(self, start: int, stop: int) -> Floats | None:
        """Give the read noise of each pixel of some rows, electron; None if not known."""
        noises = [one.rdnoise for one in self.readouts]
        if None in noises:
            return None
        return self._spread(start, stop, noises, np.nan)

    def relative_noise(self, start: int, stop: int) -> Floats | None:
        """Give the read noise of each pixel of some rows, ADU, over that of all.

        None where it is not known.
        """
        noises = [one.noise and one.noise * one.factor for one in self.readouts]
        known = [noise for noise in noises if noise]
        if len(known) < len(noises):
            return None
        mean = math.sqrt(sum(noise**2 for noise in known) / len(known))
        return self._spread(start, stop, [noise / mean for noise in known], 1.0)

    def _spread(
        self, start: int, stop: int, values: Sequence[float | None], otherwise: float
    ) -> Floats:
        """Give each pixel of some rows what its amplifier has."""
        out = np.full((stop - start, self.shape[1]), otherwise, np.float32)
        known = dict(zip(map(id, self.readouts), values, strict=True))
        for one, mine, _ in self._crossing(start, stop):
            value = known[id(one)]
            out[mine, one.place[1]] = otherwise if value is None else value
        return out

    def _crossing(
        self, start: int, stop: int
    ) -> Iterator[tuple[Readout, slice, slice]]:
        """Yield amplifiers in some rows: rows of the band, and those of the image."""
        for one in self.readouts:
            first, last = max(start, one.place[0].start), min(stop, one.place[0].stop)
            if first >= last:
                continue
            if one.backwards[0]:
                end = one.data[0].stop + one.place[0].start
                theirs = slice(end - last, end - first)
            else:
                begin = one.data[0].start - one.place[0].start
                theirs = slice(begin + first, begin + last)
            yield one, slice(first - start, last - start), theirs

    def _readout(self, one: Amplifier, factor: float) -> Readout:
        data = parse_section(one.data)
        place, backwards = parse_turned(one.place)
        level = noise = None
        with self._reader(one.hdu) as reader:
            for text in filter(None, (one.data, one.overscan)):
                if len(reader.shape) != 2 or not within(
                    parse_section(text), reader.shape
                ):
                    shape = "x".join(map(str, reader.shape[::-1]))
                    msg = f"{self._path}: HDU {one.hdu} of {shape} pixels has no {text}"
                    raise InputError(msg)
            middle = (data[0].start + data[0].stop) // 2
            last = min(middle + _SAMPLED_ROWS, data[0].stop)
            samples = reader.rows(middle, last)[:, data[1]]
            strip = samples
            if one.overscan is not None:
                rows, columns = parse_section(one.overscan)
                strip = reader.rows(rows.start, rows.stop)[:, columns]
                everything = (slice(0, strip.shape[0]), slice(0, strip.shape[1]))
                level = float(overscan_level(strip, everything))
                noise = float(pixel_noise(strip))
            dead = _is_constant(samples) and _is_constant(strip)
            if dead:
                rows, columns = data
                dead = _is_constant(reader.rows(rows.start, rows.stop)[:, columns])
            full = one.saturate
            if full is None and reader.dtype.kind == "u":
                full = float(np.iinfo(reader.dtype).max)
        return Readout(
            one,
            data,
            place,
            backwards,
            level,
            factor,
            noise if noise is not None and np.isfinite(noise) else None,
            dead=dead,
            full=None if full is None else (full - (level or 0.0)) * factor,
        )

    def _read_header(self, hdu: int) -> None:
        with self._reader(hdu) as reader:
            own = reader.raw
        self.own_keywords = own.keywords
        cards = list(own.records)
        if hdu:
            primary = read_headers(self._path)[0].records
            cards += without(primary, [*own.keywords])
        self.raw = RawHeader(hdu, b"".join(cards))

    @contextmanager
    def _reader(self, hdu: int) -> Iterator[ImageReader]:
        """Lend a reader of an HDU."""
        if not self._keep:
            with open_image(self._path, hdu) as reader:
                yield reader
            return
        if hdu not in self._open:
            reader = open_image(self._path, hdu)
            self._open[hdu] = self._stack.enter_context(reader)
        yield self._open[hdu]


def amplifier_cards(image: JoinedImage) -> list[Card]:
    """Say what was done to the pixels of each amplifier: AMP1, AMP2 and so on."""
    cards = []
    for number, one in enumerate(image.readouts, start=1):
        told = one.amplifier
        words = [f"HDU {told.hdu} {told.data} to {told.place}"]
        if one.dead:
            words.append("dead: no pixels")
        if one.level is not None:
            words.append(f"overscan {one.level:.2f} adu")
        words.append(f"times {one.factor:.5f}")
        cards.append(Card(f"AMP{number}", ", ".join(words)))
    return cards


def _turned(part: NDArray[Any], backwards: tuple[bool, bool]) -> NDArray[Any]:
    rows, columns = (slice(None, None, -1 if one else 1) for one in backwards)
    return part[rows, columns]


def _is_constant(samples: NDArray[Any]) -> bool:
    return bool((samples == samples.flat[0]).all())
