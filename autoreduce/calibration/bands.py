"""Raw frames seen through their calibration, a band of rows at a time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.dark_rates import DarkRates, Read
from autoreduce.calibration.joined import JoinedImage, amplifier_cards
from autoreduce.calibration.store import MasterStore
from autoreduce.calibration.workspace import side_by_side
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.cards import Card
from autoreduce.fits.closing import Closing
from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import ImageReader, open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.sections import parse_section, section_shape, within
from autoreduce.pixels.calibrate import calibrate
from autoreduce.pixels.darkcurrent import DarkScaling
from autoreduce.pixels.linearity import Linearity
from autoreduce.pixels.measure import levels_of_rows, overscan_level
from autoreduce.pixels.shutter import Shutter
from autoreduce.planning.plan import FrameInput
from autoreduce.remarks import Remark, remark

Floats = NDArray[np.float32]
Raw = NDArray[Any]

BYTES_PER_SAMPLE = 16
"""Memory a sample of a stack takes on its way through a kernel, about."""
LARGEST_BAND = 48 << 20
"""Bytes beyond which a taller band gains nothing; four times as many with a halo ..."""
ENOUGH_ROWS = 16
"""... if it has this many rows: short reads of many frames cost more ..."""
HALOS = 14
"""... and so many times the rows of its halo, which are worked on twice."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The masters of a frame, with the dark's factor and offset decided."""

    bias: str | None = None
    """Output of the master bias."""
    dark: str | None = None
    """Output of the master dark."""
    dark_scale: float = 1.0
    """Factor on it."""
    dark_offset: float = 0.0
    """Added to the scaled dark, ADU."""
    flat: str | None = None
    """Output of the master flat."""
    shutter: Shutter | None = None
    """What takes the flat to the frame's exposure, if the shutter has a pattern ..."""
    shutter_exptime: float = 0.0
    """... and that exposure, s."""
    bad_pixels: str | None = None
    """The observer's map of pixels that are to have no value."""
    scale_error: float = 0.0
    """1-sigma error of the factor."""
    offset_error: float = 0.0
    """1-sigma error of what is added, ADU."""
    rates: DarkRates | None = None
    """What the dark is made from instead, pixel by pixel; factor and offset then tell
    what comes of an ordinary pixel of the master."""
    exptime: float = 0.0
    """Exposure that the dark is taken to by the rates, s."""
    linearity: Linearity | None = None
    """What makes counts above the zero level linear."""
    cuts: tuple[tuple[str, str], ...] = ()
    """Masters larger than the frame: output and the section over it, FITS text."""
    refused: tuple[Remark, ...] = ()
    """Why masters that are there are not used."""

    @property
    def scaling(self) -> DarkScaling:
        """What the dark that is read is taken to the exposure by."""
        if self.rates is not None:
            return DarkScaling(1.0, 0.0)
        return DarkScaling(self.dark_scale, self.dark_offset)

    @property
    def masters(self) -> tuple[str, ...]:
        """Outputs of the masters that are used."""
        darks = self.rates.outputs if self.rates else (self.dark,)
        return tuple(name for name in (self.bias, *darks, self.flat) if name)


class TakenOut(TypedDict):
    """What `autoreduce.pixels.calibrate.calibrate` takes out of a frame."""

    bias: Floats | None
    linearity: Linearity | None
    dark: Floats | None
    dark_scale: float
    dark_offset: float
    flat: Floats | None


class RawFrame(Closing):
    """One raw frame, trimmed, to be closed; used by one thread at a time."""

    item: FrameInput
    """The frame as the plan has it."""
    shape: tuple[int, int]
    """(ny, nx) of what is kept."""
    origin: tuple[int, int]
    """(row, column) of the raw frame, turned as it is read, at which it begins."""

    def __init__(self, root: Path, item: FrameInput, *, keep_open: bool = True) -> None:
        """Open a frame; without `keep_open` its file is open only while it is read."""
        self.item, self._root, self._keep_open = item, root, keep_open
        self.joined: JoinedImage | None = None
        self._held: Raw | None = None
        self._reader: ImageReader | JoinedImage
        if item.amplifiers:
            path, _ = split_hdu(root / item.file)
            self.joined = JoinedImage(
                path,
                item.amplifiers,
                keep_open=keep_open,
                by_rows=item.calibration.overscan_rows,
                crosstalk=item.crosstalk,
            )
            self._reader = self.joined
        else:
            self._reader = open_image(root / item.file)
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        if not keep_open:
            self._reader.release()

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the file anew where a copy is made, whenever it is read."""
        return partial(RawFrame, keep_open=False), (self._root, self.item)

    def _set_up(self) -> None:
        if len(self._reader.shape) != 2:
            msg = (
                f"{self.item.file} holds a cube of {self._reader.shape[0]} planes, one "
                "image was expected; split it, or exclude it with --exclude"
            )
            raise InputError(msg)
        ny, nx = self._reader.shape
        rows, columns = slice(0, ny), slice(0, nx)
        if self.item.calibration.trim:
            rows, columns = parse_section(self.item.calibration.trim)
        self._columns = columns
        self.origin = (rows.start, columns.start)
        self.shape = (rows.stop - rows.start, columns.stop - columns.start)
        self.overscan = self._overscan_level()
        self._row_levels = self._levels_of_rows()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    @property
    def is_plain(self) -> bool:
        """Whether rows are read without unpacking all that is before them."""
        return self._reader.is_plain

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw values."""
        return self._reader.dtype

    @property
    def saturate(self) -> float | None:
        """Level in ADU at which pixels saturate: at the latest where the type ends.

        The lowest of several amplifiers, see `saturated`.
        """
        if self.joined is not None:
            return self.joined.full
        if self.item.saturate is None and self.dtype.kind == "u":
            return float(np.iinfo(self.dtype).max)
        return self.item.saturate

    @property
    def step(self) -> float:
        """Step between floats that were whole numbers, ADU; else 0."""
        return self.joined.step if self.joined is not None else 0.0

    def fill_at(self, level: float | None) -> Remark | None:
        """Take pixels for full from a level on, and say so where it is a new one."""
        known = self.saturate
        if level is None or level == known:
            return None
        self.item = replace(self.item, saturate=level)
        expected = "none" if known is None else f"{known:.0f} ADU"
        return remark("full-at", found=f"{level:.0f} ADU", expected=expected)

    @property
    def cards(self) -> list[bytes]:
        """Cards of the raw header."""
        return self._reader.cards

    @property
    def raw(self) -> RawHeader:
        """The raw header."""
        return self._reader.raw

    @property
    def raw_shape(self) -> tuple[int, int]:
        """(ny, nx) of the raw frame."""
        ny, nx = self._reader.shape
        return ny, nx

    def rows(self, start: int, stop: int) -> Raw:
        """Read raw rows [start, stop) of the part that is kept."""
        if self._held is not None:
            return self._held[start:stop]
        first = self.origin[0]
        rows = self._read(first + start, first + stop)[:, self._columns]
        if not self._keep_open:
            self._reader.release()
        return rows

    def hold(self, rows: Raw | None) -> None:
        """Keep all of its rows, as `rows` gave them, and read none again; None: do not."""
        if rows is None:
            self._held = None
            return
        whole = rows if rows.base is None else rows.base
        self._held = rows if whole.nbytes == rows.nbytes else rows.copy()

    @property
    def held_bytes(self) -> int:
        """Bytes of the rows that it keeps."""
        return 0 if self._held is None else self._held.nbytes

    @property
    def readout_cards(self) -> list[Card]:
        """Say what was done to the pixels of each of several amplifiers."""
        return [] if self.joined is None else amplifier_cards(self.joined)

    @property
    def doubts(self) -> tuple[Remark, ...]:
        """What is doubtful of its pixels."""
        return () if self.joined is None else self.joined.doubts

    def saturated(self, start: int, stop: int) -> NDArray[np.bool_] | None:
        """Mark saturated pixels of some rows; None if no level is known."""
        level = self.saturate
        if level is None:
            return None
        rows = self.rows(start, stop)
        if self.joined is not None:
            return np.asarray(rows >= self.joined.saturation(start, stop))
        return np.asarray(rows >= level)

    def _read(self, start: int, stop: int) -> Raw:
        """Read whole rows, of a turned frame counted from its last one."""
        if not self.item.turned:
            return self._reader.rows(start, stop)
        ny = self._reader.shape[0]
        return self._reader.rows(ny - stop, ny - start)[::-1]

    @property
    def zero(self) -> float | None:
        """Level in ADU that is subtracted before the masters: overscan, or pedestal.

        An overscan has the pedestal in it.
        """
        return self.item.pedestal if self.overscan is None else self.overscan

    def zeros(self, start: int, stop: int) -> float | Floats | None:
        """Give `zero` for some rows: a level for each, where they have their own."""
        if self._row_levels is None:
            return self.zero
        first = self.origin[0]
        return self._row_levels[first + start : first + stop]

    def _levels_of_rows(self) -> Floats | None:
        """Take the overscan of each row, smoothed: (ny, 1) of the raw frame, ADU."""
        plan = self.item.calibration
        if self.joined is not None or not plan.overscan_rows or not plan.overscan:
            return None
        rows, columns = parse_section(plan.overscan)
        strip = self._read(rows.start, rows.stop)[:, columns]
        return levels_of_rows(strip, rows, self._reader.shape[0]).astype(np.float32)

    def _overscan_level(self) -> float | None:
        """Take the level of the overscan in ADU, or None where there is none.

        What several amplifiers have read is free of theirs already.
        """
        if self.joined is not None:
            return self.joined.overscan
        if not self.item.calibration.overscan:
            return None
        rows, columns = parse_section(self.item.calibration.overscan)
        strip = self._read(rows.start, rows.stop)[:, columns]
        everything = (slice(0, strip.shape[0]), slice(0, strip.shape[1]))
        return float(overscan_level(strip, everything))


class MasterRows(Closing):
    """Rows of master frames; those of the last band are kept for its other users."""

    def __init__(
        self,
        folder: Path,
        outputs: Sequence[str],
        plane: int | str = 0,
        *,
        cuts: Iterable[tuple[str, str]] = (),
        store: MasterStore | None = None,
    ) -> None:
        self._plane, self._store = plane, store or MasterStore()
        self._given = folder, tuple(outputs), plane, tuple(cuts)
        self._cuts = {output: parse_section(cut) for output, cut in self._given[-1]}
        self._stack = ExitStack()
        self._band: dict[str, tuple[int, int, Floats]] = {}
        self._dark: tuple[object, Floats] | None = None
        self._readers: dict[str, ImageReader] = {}
        try:
            for output in outputs:
                reader = open_image(folder / output, plane)
                self._readers[output] = self._stack.enter_context(reader)
        except BaseException:
            self.close()
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the files anew where a copy is made."""
        *given, cuts = self._given
        return partial(MasterRows, cuts=cuts, store=self._store), tuple(given)

    def close(self) -> None:
        """Close all files."""
        self._stack.close()

    def check(self, shape: tuple[int, int]) -> None:
        """Make sure that the masters have the size of the frames.

        Raises
        ------
        ProductError
            If one has not.
        """
        for output, reader in self._readers.items():
            found, cut = reader.shape, self._cuts.get(output)
            if cut is not None and within(cut, found):
                found = section_shape(cut)
            if found != shape:
                msg = (
                    f"{output} is {found[1]}x{found[0]} pixels, the frame "
                    f"{shape[1]}x{shape[0]}"
                )
                raise ProductError(msg)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the first master."""
        ny, nx = next(iter(self._readers.values())).shape
        return ny, nx

    def rows(self, output: str | None, start: int, stop: int) -> Floats | None:
        """Read rows of a master; None where there is no master."""
        return None if output is None else self.reader((start, stop))(output)

    def reader(self, band: tuple[int, int]) -> Read:
        """Make a function that reads a band of a master by its output."""

        def read(output: str) -> Floats:
            known = self._band.get(output)
            if known is None or known[:2] != band:
                known = (*band, self._cut_rows(output, *band))
                self._band[output] = known
            return known[2]

        return read

    def _cut_rows(self, output: str, start: int, stop: int) -> Floats:
        """Read rows of the part of a master that lies over the frame."""
        reader = self._readers[output]
        if output not in self._cuts:
            return self._store.rows(reader, self._plane, start, stop)
        rows, columns = self._cuts[output]
        first, last = rows.start + start, rows.start + stop
        data = self._store.rows(reader, self._plane, first, last)[:, columns]
        return np.ascontiguousarray(data)

    def dark(self, correction: Correction, start: int, stop: int) -> Floats | None:
        """Give rows of the dark that `Correction.scaling` goes with; None without."""
        if correction.rates is None:
            return self.rows(correction.dark, start, stop)
        key = (correction.rates.file, correction.exptime, start, stop)
        if self._dark is None or self._dark[0] != key:
            rows = correction.rates.dark(correction.exptime, self.reader((start, stop)))
            self._dark = (key, rows)
        return self._dark[1]

    def flat(self, correction: Correction, start: int, stop: int) -> Floats | None:
        """Give rows of the flat as the shutter shades it at the frame's exposure."""
        rows = self.rows(correction.flat, start, stop)
        if rows is None or correction.shutter is None or correction.flat is None:
            return rows
        y, x = self._cuts.get(correction.flat, (slice(0, None), slice(None)))
        here = slice(y.start + start, y.start + stop)
        ny, nx = self._readers[correction.flat].shape
        return rows * correction.shutter.factor(
            correction.shutter_exptime, (ny, nx), here, x
        )

    def taken_out(
        self, correction: Correction, start: int, stop: int
    ) -> tuple[TakenOut, Floats | None]:
        """Give rows of all that is taken out of a frame; not 0 where a pixel is bad."""
        masters: TakenOut = {
            "bias": self.rows(correction.bias, start, stop),
            "linearity": correction.linearity,
            "dark": self.dark(correction, start, stop),
            "dark_scale": correction.scaling.scale,
            "dark_offset": correction.scaling.offset,
            "flat": self.flat(correction, start, stop),
        }
        return masters, self.rows(correction.bad_pixels, start, stop)

    def taken(self, correction: Correction, start: int, stop: int) -> Floats:
        """Give rows of what the dark of a frame takes out of it, as the flat leaves it."""
        dark = self.dark(correction, start, stop)
        if dark is None:
            return np.zeros((stop - start, self.shape[1]), np.float32)
        zeros = np.zeros(dark.shape, np.float32)
        scale, offset = correction.scaling
        flat = self.flat(correction, start, stop)
        return -calibrate(
            zeros, dark=dark, dark_scale=scale, dark_offset=offset, flat=flat
        )

    def summed_squares(self, band: tuple[int, int]) -> Floats:
        """Add up the squares of all masters' rows; 0 without any."""
        total = np.zeros((1, 1), np.float32)
        for output in self._readers:
            rows = self.rows(output, *band)
            if rows is not None:
                total = total + rows * rows
        return total


def calibrated_rows(
    frame: RawFrame,
    correction: Correction,
    masters: MasterRows,
    start: int,
    stop: int,
    out: Floats | None = None,
) -> Floats:
    """Read rows of a frame and take its masters out of them; `out` is filled if given.

    Returns
    -------
    (stop - start, nx) float32 array, ADU
        (linear(raw - overscan or pedestal - bias) - (scale dark + offset)) / flat; NaN
        where the observer says that a pixel is bad.
    """
    taken_out = masters.taken_out(correction, start, stop)
    return _without(frame, (start, stop), taken_out, out)


def _without(
    frame: RawFrame,
    rows: tuple[int, int],
    taken_out: tuple[TakenOut, Floats | None],
    out: Floats | None = None,
) -> Floats:
    """Take rows of masters out of those of a frame, and the bad pixels."""
    masters, bad = taken_out
    zeros = frame.zeros(*rows)
    data = calibrate(frame.rows(*rows), overscan=zeros, **masters, out=out)
    if bad is not None:
        data[bad != 0] = np.nan
    return data


def side_by_side_calibrated(
    threads: int,
    frames: Sequence[tuple[RawFrame, Correction]],
    masters: MasterRows,
    start: int,
    stop: int,
    out: Floats | None = None,
) -> Iterator[Floats]:
    """Give `calibrated_rows` of several frames in their order, made in threads.

    The masters are read by the thread that asks.  A stack is filled if `out` is given.
    """

    def rows(
        given: tuple[RawFrame, tuple[TakenOut, Floats | None], Floats | None],
    ) -> Floats:
        frame, taken_out, plane = given
        return _without(frame, (start, stop), taken_out, plane)

    planes = [None] * len(frames) if out is None else out
    work = (
        (frame, masters.taken_out(correction, start, stop), plane)
        for (frame, correction), plane in zip(frames, planes, strict=True)
    )
    return side_by_side(threads, rows, work)


def bands(
    ny: int, nx: int, n_frames: int, memory: int, *, halo: int = 0
) -> Iterator[tuple[int, int]]:
    """Cut an image into bands of rows so that a stack of them fits into memory.

    Parameters
    ----------
    ny, nx : int
        Size of the image.
    n_frames : int
        Frames of the stack.
    memory : int
        Bytes that may be used.
    halo : int
        Rows that are needed above and below each band as well.

    Yields
    ------
    tuple of int
        First row and the row after the last.
    """
    row = max(n_frames, 1) * nx * BYTES_PER_SAMPLE
    largest = 4 * LARGEST_BAND if halo else LARGEST_BAND
    best = max(largest, (ENOUGH_ROWS + HALOS * halo) * row)
    tallest = min(memory, best) // row
    height = ny if tallest >= ny else max(1, tallest - 2 * halo)
    for start in range(0, ny, height):
        yield start, min(start + height, ny)
