"""The image of a detector that several amplifiers have read."""

import math
from collections import defaultdict
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
from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.sections import Section, parse_section, parse_turned, within
from autoreduce.pixels.measure import levels_of_rows, overscan_level, pixel_noise
from autoreduce.planning.recipe import Crosstalk
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
    levels: NDArray[np.float64] | None
    """The same for each row of its image, (ny, 1), where rows have their own; else None."""
    factor: float
    """Takes its ADU to those of the mean gain."""
    noise: float | None
    """Scatter of its overscan, ADU; None without one."""
    dead: bool
    """Whether all its pixels have one value, while those of others have not."""
    full: float | None
    """Level of the joined image at which its pixels are saturated, ADU."""

    def rdnoise(self, egain: float | None) -> float | None:
        """Give the read noise in electrons, from the header, else from the overscan.

        `egain` takes the joined image to electrons.
        """
        told = self.amplifier.rdnoise
        if told is None and egain is not None and self.noise is not None:
            return self.noise * self.factor * egain
        return told

    def zeros(self, rows: slice) -> float | NDArray[np.float64] | None:
        """Give what is subtracted from some rows of its image, ADU."""
        return self.level if self.levels is None else self.levels[rows]


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
    step: float
    """Step between the values of an amplifier, ADU: about 1 where whole numbers are
    stored; else 0."""

    def __init__(
        self,
        path: Path,
        amplifiers: Sequence[Amplifier],
        *,
        keep_open: bool = True,
        by_rows: bool = False,
        crosstalk: Sequence[Crosstalk] = (),
        strip_rows: int | None = None,
    ) -> None:
        """Open a file.

        Parameters
        ----------
        path : Path
            The file.
        amplifiers : sequence of Amplifier
            What each amplifier has read.
        keep_open : bool
            Whether it stays open, or is open only while it is read.
        by_rows : bool
            Whether each row is freed of its own level, smoothed along the rows.
        crosstalk : sequence of Crosstalk
            What amplifiers have of what others read at the same time.
        strip_rows : int, optional
            Rows in the middle of each overscan that tell its level; all if absent.

        Raises
        ------
        InputError
            If the file cannot be read, or an amplifier is not in it.
        """
        self._path, self._stack = path, ExitStack()
        self._by_rows, self._strip_rows = by_rows, strip_rows
        self._crosstalk: dict[int, list[Crosstalk]] = defaultdict(list)
        for one in crosstalk:
            self._crosstalk[one.victim - 1].append(one)
        self._open: dict[int, ImageReader] = {}
        self._keep, self.step = keep_open, 1.0
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

    def crosstalk_of(self, number: int) -> Sequence[Crosstalk]:
        """List what is subtracted of an amplifier's neighbours; 0 for the first one."""
        return self._crosstalk.get(number, ())

    @property
    def is_plain(self) -> bool:
        """Whether it costs nothing to open it again: its overscans are read then."""
        return False

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
        for number, one, mine, theirs in self._crossing(start, stop):
            if one.dead:
                continue
            part = self._freed(one, theirs)
            for told in self.crosstalk_of(number):
                part -= np.float32(told.times) * self._heard(told, theirs)
            if one.factor != 1:
                part *= np.float32(one.factor)
            out[mine, one.place[1]] = _turned(part, one.backwards)
        return out

    def _freed(self, one: Readout, rows: slice) -> Floats:
        """Read rows of an amplifier's image, freed of its overscan, as they are stored."""
        with self._reader(one.amplifier.hdu) as reader:
            part = reader.rows(rows.start, rows.stop)[:, one.data[1]].astype(np.float32)
        zeros = one.zeros(rows)
        if zeros is not None:
            part -= np.float32(zeros)
        return part

    def _heard(self, told: Crosstalk, rows: slice) -> Floats | float:
        """Give what the source read while the victim read some rows, ADU of the source.

        Amplifiers read from their corners: where nothing is stored backwards, images lie
        as on the detector, and those of its two halves are mirror images in time.
        """
        victim, source = (self.readouts[n - 1] for n in (told.victim, told.source))
        if source.dead:
            return 0.0
        mirrored = (False, False)
        if not any(any(one.backwards) for one in self.readouts):
            far = [self._is_far(one) for one in (victim, source)]
            mirrored = (far[0][0] != far[1][0], far[0][1] != far[1][1])
        first, last = (row - victim.data[0].start for row in (rows.start, rows.stop))
        if mirrored[0]:
            n = victim.data[0].stop - victim.data[0].start
            first, last = n - last, n - first
        start = source.data[0].start
        return _turned(
            self._freed(source, slice(start + first, start + last)), mirrored
        )

    def _is_far(self, one: Readout) -> tuple[bool, bool]:
        """Tell whether an amplifier reads from the last row, and from the last column."""
        rows, columns = (
            span.start + span.stop > size
            for span, size in zip(one.place, self.shape, strict=True)
        )
        return rows, columns

    def saturation(self, start: int, stop: int) -> Floats:
        """Give the level at which each pixel of rows [start, stop) is saturated, ADU."""
        return self._spread(start, stop, [one.full for one in self.readouts], np.inf)

    def rdnoise(self, start: int, stop: int, egain: float | None) -> Floats | None:
        """Give the read noise of each pixel of some rows, electron; None if not known.

        `egain` takes the joined image to electrons.
        """
        noises = [one.rdnoise(egain) for one in self.readouts]
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
        for number, one, mine, _ in self._crossing(start, stop):
            value = values[number]
            out[mine, one.place[1]] = otherwise if value is None else value
        return out

    def _crossing(
        self, start: int, stop: int
    ) -> Iterator[tuple[int, Readout, slice, slice]]:
        """Yield amplifiers in some rows: which, rows of the band and of the image."""
        for number, one in enumerate(self.readouts):
            first, last = max(start, one.place[0].start), min(stop, one.place[0].stop)
            if first >= last:
                continue
            if one.backwards[0]:
                end = one.data[0].stop + one.place[0].start
                theirs = slice(end - last, end - first)
            else:
                begin = one.data[0].start - one.place[0].start
                theirs = slice(begin + first, begin + last)
            yield number, one, slice(first - start, last - start), theirs

    def _readout(self, one: Amplifier, factor: float) -> Readout:
        data = parse_section(one.data)
        place, backwards = parse_turned(one.place)
        level = levels = noise = None
        with self._reader(one.hdu) as reader:
            # The planes of a cube follow each other.
            size = math.prod(reader.shape[:-1]), reader.shape[-1]
            for text in filter(None, (one.data, one.overscan)):
                if not within(parse_section(text), size):
                    shape = "x".join(map(str, reader.shape[::-1]))
                    msg = f"{self._path}: HDU {one.hdu} of {shape} pixels has no {text}"
                    raise InputError(msg)
            middle = (data[0].start + data[0].stop) // 2
            last = min(middle + _SAMPLED_ROWS, data[0].stop)
            samples = reader.rows(middle, last)[:, data[1]]
            strip = samples
            if one.overscan is not None:
                rows, columns = parse_section(one.overscan)
                rows = _middle(rows, self._strip_rows)
                strip = reader.rows(rows.start, rows.stop)[:, columns]
                everything = (slice(0, strip.shape[0]), slice(0, strip.shape[1]))
                level = float(overscan_level(strip, everything))
                noise = float(pixel_noise(strip))
                if self._by_rows:
                    levels = levels_of_rows(strip, rows, size[0])
            if reader.dtype.kind not in "ui":
                self.step = 0.0
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
            levels,
            factor,
            noise if noise is not None and np.isfinite(noise) else None,
            dead=dead,
            full=None if full is None else (full - (level or 0.0)) * factor,
        )

    def _read_header(self, hdu: int) -> None:
        with self._reader(hdu) as reader:
            own, primary = reader.raw, reader.primary
        self.own_keywords = own.keywords
        cards = list(own.records)
        if hdu:
            cards += without(primary.records, [*own.keywords])
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
    for number, one in enumerate(image.readouts):
        told = one.amplifier
        words = [f"HDU {told.hdu} {told.data} to {told.place}"]
        if one.dead:
            words.append("dead: no pixels")
        if one.level is not None:
            by_rows = "" if one.levels is None else " by rows"
            words.append(f"overscan {one.level:.2f} adu{by_rows}")
        words += [
            f"less {heard.times:g} of AMP{heard.source}"
            for heard in image.crosstalk_of(number)
        ]
        measured = "" if told.factor is None else ", measured"
        words.append(f"times {one.factor:.5f}{measured}")
        cards.append(Card(f"AMP{number + 1}", ", ".join(words)))
    return cards


def _middle(rows: slice, n: int | None) -> slice:
    """Give so many rows in the middle of some; all without a number."""
    if n is None or rows.stop - rows.start <= n:
        return rows
    first = (rows.start + rows.stop - n) // 2
    return slice(first, first + n)


def _turned(part: NDArray[Any], backwards: tuple[bool, bool]) -> NDArray[Any]:
    rows, columns = (slice(None, None, -1 if one else 1) for one in backwards)
    return part[rows, columns]


def _is_constant(samples: NDArray[Any]) -> bool:
    return bool((samples == samples.flat[0]).all())
