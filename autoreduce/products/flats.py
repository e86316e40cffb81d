"""Master flats: scaled to unit level, cleaned of what moves, combined, normalised."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import (
    BYTES_PER_SAMPLE,
    Correction,
    Floats,
    MasterRows,
    bands,
    side_by_side_calibrated,
)
from autoreduce.calibration.flat_shutter import shutter_table
from autoreduce.calibration.members import (
    SAMPLED_ROWS,
    Members,
    by_bands,
    open_members,
    pedestals,
)
from autoreduce.calibration.quality import two_shapes
from autoreduce.calibration.uncertainty import shared_variance
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import ProductError
from autoreduce.fits.cards import Card
from autoreduce.fits.writer import MASK, UNCERT
from autoreduce.pixels.bayer import WHITE, Mosaic, agrees, by_place, mosaic
from autoreduce.pixels.combine import combine
from autoreduce.pixels.flags import Flag
from autoreduce.pixels.flatfield import (
    REACH,
    Impulses,
    impulses,
    lit_level,
    neighbourhood,
    pixel_scatter,
)
from autoreduce.pixels.linearity import Response, find_response
from autoreduce.pixels.measure import robust_scatter
from autoreduce.pixels.phototransfer import PhotonTransfer, photon_transfer
from autoreduce.pixels.shutter import (
    BLOCKS,
    Pattern,
    Shutter,
    block_medians,
    find_pattern,
    may_tell,
)
from autoreduce.pixels.trails import CLEAN, HALO, mask_moving
from autoreduce.planning.plan import Task
from autoreduce.planning.recipe import FlatLevel
from autoreduce.products.gain import (
    ReadNoise,
    doubts_of_response,
    read_noise,
    response_cards,
    response_table,
    transfer_cards,
    transfer_table,
)
from autoreduce.products.master import MasterProduct
from autoreduce.remarks import Remark, remark

BYTES_OF_SAMPLE, BYTES_OF_PIXEL = 11, 30
"""Bytes of a band for each sample, and for each pixel, at the most."""
FEWEST_TO_MASK = 3
"""With fewer frames nothing tells which of them a star has touched."""

ROWS_AT_A_PLACE = 8
"""Rows read together where the level of a frame is taken in many places."""
ENOUGH_PIXELS = 1 << 23
"""Pixels whose median is the master's level: it is known to 1e-5 then."""
BELOW_FULL = 0.99
"""Part of the level at which wells are full that hardly any full one is below."""
LARGEST_MASKED = 0.05
"""Fraction of masked samples that needs no word."""
TRANSFER_ROWS = 256
"""Rows in the middle of the flats from which the gain is measured ..."""
MOST_IN_PAIRS = 6
"""... and flats that are paired for it."""
ROWS_OF_BLOCK = 16
"""Rows of a block of a flat whose median tells of the shutter."""
MEDIAN_ERROR = 1.25
"""Error of a median, of that of a mean."""
LEAST_NOISE = 1e-6
"""Relative noise that single precision leaves at the least."""

Levels = dict[str, list[float]]
"""Level of each colour of each frame, ADU."""
Mask = NDArray[np.bool_]


def make_flat(
    task: Task, workspace: Workspace, digest: str, made: Collection[str]
) -> TaskResult:
    """Combine flats into a master of unit level.

    Each frame is calibrated with its own bias and dark and scaled to unit level, in
    each colour; stars and trails that move between the frames are masked if the
    recipe says so; hot pixels get the median of their neighbours.

    Parameters
    ----------
    task : Task
        The combination.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    made : set of str
        Outputs of other tasks that could be made.

    Returns
    -------
    TaskResult
        ``level`` (median of the frames' levels, ADU), ``noise`` (relative, of a
        frame), ``unit`` (that the master was divided by), ``masked`` and ``rejected``
        (fractions of the samples), ``unclean`` (fraction of the pixels), ``dead``
        (pixels without response) and ``hot`` (pixels repaired) as statistics; of a
        colour filter array also ``level_R`` and so on.

    Raises
    ------
    ProductError
        If no frame is fit for use, stars leave too few clean samples, or the product
        cannot be written.
    """
    with (
        open_members(task, workspace, made) as opened,
        MasterRows(
            workspace.folder,
            opened.masters,
            cuts=opened.cuts.items(),
            # Others who work on bands of it would each keep the masters for themselves.
            store=workspace.store if workspace.is_single else None,
        ) as masters,
    ):
        masters.check(opened.shape)
        flats = _Flats(opened, masters, workspace)
        flats.hold()
        colours = _colours(task, flats)
        levels = _levels(flats, colours)
        flats = flats.without(_too_dark(levels))
        stack = _FlatStack(flats, colours, levels)
        product = MasterProduct(task, workspace, digest, stack.members)
        return _write(stack, stack.look_at_shutter(), product)


class _Flats:
    """Flats free of bias and dark, by rows."""

    def __init__(
        self, members: Members, masters: MasterRows, workspace: Workspace
    ) -> None:
        self.members, self.masters, self.workspace = members, masters, workspace
        self.masking = (
            workspace.recipe.flat.mask_moving and len(members.items) >= FEWEST_TO_MASK
        )
        self.halo = HALO if self.masking else 0
        """Rows that are needed above and below a band."""
        self._held: Floats | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Travel without what is not for others."""
        return {**vars(self), "workspace": self.workspace.alone()}

    def hold(self) -> None:
        """Calibrate all rows once, where a thread has them in memory as one band."""
        if self.workspace.is_single and len(self.spans(1)) == 1:
            self._held = self.stack(0, self.members.shape[0])
            for frame in self.members.frames:
                frame.hold(None)

    def without(self, reasons: Mapping[str, Remark]) -> "_Flats":
        """Leave frames out.

        Raises
        ------
        NoFrameLeftError
            If no frame is left.
        """
        if not reasons:
            return self
        return _Flats(self.members.without(reasons), self.masters, self.workspace)

    def rows(
        self, start: int, stop: int, n: int | None = None, out: Floats | None = None
    ) -> Iterator[Floats]:
        """Give rows of all frames, or of the first n, in a stack if it is given."""
        if self._held is not None:
            return iter(self._held[:n, start:stop])
        threads, pairs = self.workspace.threads, self.members.pairs[:n]
        return side_by_side_calibrated(threads, pairs, self.masters, start, stop, out)

    def stack(self, start: int, stop: int) -> Floats:
        """Give rows of all frames to be changed: those that are held, if it is all."""
        ny, nx = self.members.shape
        if self._held is None:
            stack = np.empty((len(self.members.items), stop - start, nx), np.float32)
            for _ in self.rows(start, stop, out=stack):
                pass
            return stack
        stack = self._held[:, start:stop]
        if stop - start < ny:
            return stack.copy()
        self._held = None
        return stack

    def spans(self, threads: int) -> list[tuple[int, int]]:
        """Cut the image into bands of like height, as many for each of some threads."""
        ny, nx = self.members.shape
        n_bytes = BYTES_OF_SAMPLE * len(self.members.items) + BYTES_OF_PIXEL
        # Of frames that must be unpacked one band more is held: it is read ahead.
        at_once = threads + (not self.members.are_plain)
        memory = (self.workspace.memory - self.members.held) // at_once
        n_frames = math.ceil(n_bytes / BYTES_PER_SAMPLE)
        _, tallest = next(bands(ny, nx, n_frames, memory, halo=self.halo))
        height = math.ceil(ny / (threads * math.ceil(ny / (threads * tallest))))
        return [(y, min(y + height, ny)) for y in range(0, ny, height)]


def _colours(task: Task, flats: _Flats) -> Mosaic:
    """Say which pixels share a level: those of a colour, if the flats show the colours.

    If they do not show the pattern that the header tells, each place of it has a
    level of its own, which is right for any pattern.
    """
    pattern = task.facts.get("bayerpat")
    if not flats.workspace.recipe.flat.per_colour or not isinstance(pattern, str):
        return WHITE
    ny = flats.members.shape[0]
    told = mosaic(pattern, flats.members.frames[0].origin)
    start = max(0, (ny - SAMPLED_ROWS) // 2)
    stop = min(ny, start + SAMPLED_ROWS)
    rows = next(flats.rows(start, stop, 1))
    return told if agrees(told, rows, start=start) else by_place(told)


def _levels(flats: _Flats, colours: Mosaic) -> Levels:
    """Measure the level of each colour of each frame once it is calibrated, in ADU."""
    recipe = flats.workspace.recipe.flat
    mean = recipe.level is FlatLevel.MEAN
    if mean and not recipe.illuminated:
        return _mean_levels(flats, colours)
    samples: dict[tuple[str, int], list[Floats]] = {}
    spans = _spread_spans(flats.members.shape[0], colours.step)
    for file, start, rows in _calibrated(flats, spans):
        for colour in range(len(colours.colours)):
            found = colours.of_colour(rows, colour, start=start)
            kept = samples.setdefault((file, colour), [])
            kept += [pixels.ravel() for pixels in found]
    levels: Levels = {}
    for (file, _), parts in samples.items():
        level = lit_level(np.concatenate(parts), recipe.illuminated, mean=mean)
        levels.setdefault(file, []).append(level)
    return levels


def _mean_levels(flats: _Flats, colours: Mosaic) -> Levels:
    """Average all pixels, which need not be held for that."""
    n, members, workspace = len(colours.colours), flats.members, flats.workspace
    sums = {item.file: np.zeros((n, 2)) for item in members.items}
    memory = (workspace.memory - members.held) // (workspace.threads + 2)
    spans = bands(*members.shape, 1, memory)
    for file, start, rows in _calibrated(flats, spans):
        for colour in range(n):
            for pixels in colours.of_colour(rows, colour, start=start):
                finite = np.isfinite(pixels)
                total = np.sum(pixels, where=finite, dtype=np.float64)
                sums[file][colour] += total, finite.sum()
    return {
        file: [total / n if n else math.nan for total, n in of.tolist()]
        for file, of in sums.items()
    }


def _spread_spans(ny: int, step: int) -> Iterator[tuple[int, int]]:
    """Spread the rows from which levels are taken over a frame; all, if it is low."""
    height = step * math.ceil(ROWS_AT_A_PLACE / step)
    n = 2 * SAMPLED_ROWS // height
    if ny <= n * height:
        yield 0, ny
        return
    for place in np.linspace(0, ny - height, n):
        start = int(place) // step * step
        yield start, start + height


def _calibrated(
    flats: _Flats, spans: Iterable[tuple[int, int]]
) -> Iterator[tuple[str, int, Floats]]:
    """Read rows of the calibrated frames: file, first row, rows."""
    for span in spans:
        for item, rows in zip(flats.members.items, flats.rows(*span), strict=True):
            yield item.file, span[0], rows


def _too_dark(levels: Levels) -> dict[str, Remark]:
    return {
        file: remark("too-dark", file, found=f"{min(of):.1f} ADU")
        for file, of in levels.items()
        if not min(of) > 0
    }


class _FlatStack:
    """Flats scaled to unit level, by bands."""

    def __init__(self, flats: _Flats, colours: Mosaic, levels: Levels) -> None:
        self.flats, self.colours = flats, colours
        self.levels = np.array([levels[item.file] for item in self.members.items])
        """(n, n_colours), ADU."""
        self.shutter: Shutter | None = None
        """What the frames are free of by their exposures, once it is found."""
        self.noise = self._relative_noise()
        """(n, n_colours): of each frame at unit level."""
        self.masked = 0
        self.rejected = np.zeros(len(self.levels), np.int64)

    @property
    def members(self) -> Members:
        """The frames."""
        return self.flats.members

    @property
    def masters(self) -> MasterRows:
        """What is taken out of them."""
        return self.flats.masters

    @property
    def workspace(self) -> Workspace:
        """Where."""
        return self.flats.workspace

    def look_at_shutter(self) -> Pattern:
        """Look for the pattern of the shutter; from now on the frames are free of it."""
        exptimes = np.array([item.exptime or 0.0 for item in self.members.items])
        ny, nx = self.members.shape
        if not may_tell(exptimes) or min(ny, nx) < BLOCKS:
            return Pattern()
        height = min(ROWS_OF_BLOCK, ny // BLOCKS)
        centres = ((2 * np.arange(BLOCKS) + 1) * ny / (2 * BLOCKS)).astype(int)
        starts = (centres - height // 2).tolist()
        rows = [block_medians(self._scaled(y, y + height)) for y in starts]
        flats = np.stack(rows, axis=1)
        flats[:, flats.mean(axis=0) <= self.workspace.recipe.flat.illuminated] = np.nan
        pixels = height * nx / BLOCKS
        noise = MEDIAN_ERROR * self.noise.mean(axis=1) / math.sqrt(pixels)
        pattern = find_pattern(flats, noise, exptimes)
        self.shutter = pattern.shutter
        if self.shutter is not None:
            self.noise = self._relative_noise()
        return pattern

    def _scaled(self, start: int, stop: int) -> Floats:
        """Read rows of all frames, each divided by its level: (n, rows, nx)."""
        stack, shape = self.flats.stack(start, stop), self.members.shape
        for item, rows, levels in zip(
            self.members.items, stack, self.levels, strict=True
        ):
            if self.shutter is not None and item.exptime:
                factor = self.shutter.factor(item.exptime, shape, slice(start, stop))
                np.divide(rows, factor, out=rows)
            for colour, level in enumerate(levels.astype(np.float32)):
                for part in self.colours.of_colour(rows, colour, start=start):
                    np.divide(part, level, out=part)
        return stack

    def _relative_noise(self) -> NDArray[np.float32]:
        """Measure each frame's noise at unit level, from what it differs by from all.

        Returns
        -------
        (n, n_colours) float32 array
            1 sigma, at least `LEAST_NOISE`.
        """
        n, ny = len(self.levels), self.members.shape[0]
        noise = np.full(self.levels.shape, LEAST_NOISE, np.float32)
        if n < 2:
            return noise
        start = max(0, (ny - SAMPLED_ROWS) // 2)
        stack = self._scaled(start, min(ny, start + SAMPLED_ROWS))
        reference = np.mean(stack, axis=0)
        stack -= reference
        # What is not lit has the noise of the readout only.
        stack[:, reference <= self.workspace.recipe.flat.illuminated] = np.nan
        # The mean holds the frame itself, which takes 1/n off the variance.
        factor = math.sqrt(n / (n - 1))
        for (i, colour), level in np.ndenumerate(self.levels):
            parts = self.colours.of_colour(stack[i], colour, start=start)
            scatter = robust_scatter(_joined(parts), 1 / level)
            noise[i, colour] = max(factor * scatter, LEAST_NOISE)
        return noise

    def gain(self) -> PhotonTransfer | None:
        """Measure the gain from pairs of flats, in their middle rows."""
        ny, pairs = self.members.shape[0], []
        step = self.colours.step
        start = max(0, (ny - TRANSFER_ROWS) // 2) // step * step
        stop = min(ny, start + TRANSFER_ROWS)
        rows = list(self.flats.rows(start, stop, MOST_IN_PAIRS))
        for one, other in zip(rows[::2], rows[1::2], strict=False):
            phases = [(y, x) for y in range(step) for x in range(step)]
            pairs += [
                (one[y::step, x::step], other[y::step, x::step]) for y, x in phases
            ]
        return photon_transfer(pairs, read_noise=self.read_noise().adu)

    def response(self) -> Response | None:
        """Measure how counts follow the light, if a steady lamp shows it."""
        frames = [
            (item.date_obs, item.exptime, level)
            for item, level in zip(
                self.members.items, self.levels.mean(axis=1).tolist(), strict=True
            )
            if item.date_obs and item.exptime
        ]
        if not frames:
            return None
        _, exptimes, levels = zip(*sorted(frames), strict=True)
        return find_response(np.array(levels), np.array(exptimes))

    def read_noise(self) -> ReadNoise:
        """Give the noise of a read."""
        return read_noise(self.members.corrections[0], self.workspace.folder)

    def middle_of_dark(self, correction: Correction) -> Floats | None:
        """Read the middle rows of the dark that is subtracted, ADU; None without one."""
        ny = self.members.shape[0]
        start = max(0, (ny - SAMPLED_ROWS) // 2)
        return self.masters.dark(correction, start, min(ny, start + SAMPLED_ROWS))

    def band(self, start: int, stop: int) -> "_Band":
        """Read a band of all frames, with what is needed about it."""
        ny = self.members.shape[0]
        halo = self.flats.halo
        first, last = max(0, start - halo), min(ny, stop + halo)
        return _Band(start, stop, first, last, self._scaled(first, last))

    def combined(self, band: "_Band") -> "_FlatBand":
        """Combine a band."""
        start, stop, stack = band.start, band.stop, band.stack
        nx = self.members.shape[1]
        noise = self.colours.spread(
            self.noise, band.first, (band.last - band.first, nx)
        )
        inner = slice(start - band.first, stop - band.first)
        mask, unclean = None, np.zeros((stop - start, nx), np.bool_)
        if self.flats.masking:
            mask, wings, unclean = mask_moving(
                stack, noise, above=start - band.first, below=band.last - stop
            )
            stack[:, inner][wings.at] -= wings.light
        noise = noise[:, inner] if noise.shape[1] > 1 else noise
        how = self.workspace.recipe.flat.combine
        combined = combine(stack[:, inner], how, mask=mask, noise=noise)
        variance = None
        if self.workspace.planes:
            single = np.mean(self.noise**2, axis=0)
            variance = self.colours.spread(single, start, (stop - start, nx))
            variance = variance / np.maximum(combined.n_used, 1).astype(np.float32)
        masked = 0 if mask is None else int(np.count_nonzero(mask))
        return _FlatBand(combined.data, variance, unclean, masked, combined.rejected)


class _Band(NamedTuple):
    """A band of scaled flats."""

    start: int
    stop: int
    """Its rows."""
    first: int
    last: int
    """Rows that are read for it."""
    stack: Floats
    """(n, last - first, nx), near unit level."""


class _FlatBand(NamedTuple):
    """A band of a master flat."""

    data: Floats
    """(stop - start, nx), near unit level."""
    variance: Floats | None
    """Its expected variance; None unless planes are written."""
    unclean: Mask
    """Where too few samples are free of stars."""
    masked: int
    """Samples that are masked."""
    rejected: NDArray[np.int64]
    """(n,), samples rejected of each frame."""


def _joined(parts: list[Floats]) -> Floats:
    """Put the pixels of a colour in a row."""
    return np.concatenate([part.ravel() for part in parts])


@dataclass(frozen=True, slots=True)
class _Master:
    """A master flat as it is written, and what was done to it."""

    data: Floats
    variance: Floats | None
    """None unless planes are written."""
    flags: NDArray[np.uint8]
    """Bits of MASK."""
    statistics: Mapping[str, float]


def _write(stack: _FlatStack, pattern: Pattern, product: MasterProduct) -> TaskResult:
    transfer, response = stack.gain(), stack.response()
    # Flats of two shapes differ by more than their noise, as full ones do by less.
    unlike = () if pattern.amplitude else tuple(_of_shapes(stack))
    master = _finished(stack, product, *_combined(stack))
    statistics = dict(master.statistics)
    with product.writer() as writer:
        writer.write_rows(0, master.data)
        if master.variance is not None:
            writer.write_rows(0, np.sqrt(master.variance), plane=UNCERT)
            writer.write_rows(0, master.flags, plane=MASK)
        scales = (1 / stack.levels.mean(axis=1)).tolist()
        extra = [
            *_cards(statistics),
            *transfer_cards(transfer, stack.read_noise()),
            *response_cards(response),
        ]
        if response is not None:
            statistics["linearity"] = response.deviation
        if transfer is not None:
            statistics |= {"gain": transfer.gain, "gain_error": transfer.error}
        return product.finish(
            writer,
            statistics,
            extra,
            stack.rejected,
            scales,
            doubts=(
                *_doubts(stack, statistics),
                *(unlike or _of_full_wells(stack, transfer)),
                *_of_shutter(pattern),
                *doubts_of_response(response),
            ),
            table=transfer_table(transfer)
            + response_table(response)
            + shutter_table(pattern.shutter),
        )


def _of_full_wells(
    stack: _FlatStack, transfer: PhotonTransfer | None
) -> Iterator[Remark]:
    """Say that the brightest pixels of the flats are full, by their noise."""
    if transfer is None or transfer.full_from is None:
        return
    members = stack.members
    zeros = pedestals(stack.workspace, members) or [0.0]
    dark = stack.middle_of_dark(members.corrections[0])
    # Without bias frames the dark holds their level.
    full = transfer.full_from + zeros[0]
    full += 0.0 if dark is None else float(np.nanmedian(dark))
    pattern = stack.workspace.pattern_of(item.file for item in members.items)
    way_out = f"--set '{pattern}: saturate={BELOW_FULL * full:.0f}'"
    yield remark("flat-full", found=f"{full:.0f} ADU", way_out=way_out)


def _of_shutter(pattern: Pattern) -> Iterator[Remark]:
    """Say that the shape of the flats depends on their exposure."""
    if pattern.amplitude:
        code = "shutter-unknown" if pattern.shutter is None else "shutter"
        yield remark(code, found=f"{pattern.amplitude:.1%}")


def _combined(stack: _FlatStack) -> tuple[Floats, Floats | None, Mask]:
    """Combine all bands: data, variance, and where it is unclean."""
    ny, nx = stack.members.shape
    flat = np.empty((ny, nx), np.float32)
    variance = np.empty((ny, nx), np.float32) if stack.workspace.planes else None
    unclean = np.empty((ny, nx), np.bool_)
    outputs = stack.members.masters * stack.workspace.planes
    weights = (1 / stack.levels.mean(axis=1) / len(stack.levels)).tolist()
    cuts = stack.members.cuts.items()
    with MasterRows(stack.workspace.folder, outputs, UNCERT, cuts=cuts) as sigmas:
        for start, stop, band in _by_bands(stack):
            flat[start:stop], unclean[start:stop] = band.data, band.unclean
            stack.masked += band.masked
            stack.rejected += band.rejected
            if variance is not None and band.variance is not None:
                shared = shared_variance(
                    stack.members.corrections,
                    weights,
                    stack.masters,
                    sigmas,
                    (start, stop),
                )
                variance[start:stop] = band.variance + shared
    return flat, variance, unclean


def _by_bands(stack: _FlatStack) -> Iterator[tuple[int, int, _FlatBand]]:
    """Combine band by band, several side by side."""
    tried = range(1, stack.workspace.threads + 1)
    threads, spans = max(
        ((n, stack.flats.spans(n)) for n in tried), key=lambda one: _speed(stack, *one)
    )
    workspace = replace(stack.workspace, threads=threads)
    combined = by_bands(stack, workspace, spans)
    for span, band in zip(spans, combined, strict=True):
        yield *span, band


def _speed(stack: _FlatStack, threads: int, spans: Sequence[tuple[int, int]]) -> float:
    """Say how fast bands are worked on: threads, less what goes into the halos."""
    height = max(stop - start for start, stop in spans)
    return threads / (1 + 2 * stack.flats.halo / height)


def _finished(
    stack: _FlatStack,
    product: MasterProduct,
    flat: Floats,
    variance: Floats | None,
    unclean: Mask,
) -> _Master:
    """Normalise the combined frames, repair hot pixels, flag what is no response."""
    units = _normalise(flat, variance, stack)
    unclean = unclean & (flat >= stack.workspace.recipe.flat.smallest)
    part_unclean = np.count_nonzero(unclean) / flat.size
    _refuse_unclean(stack, product, part_unclean)
    flags = np.where(unclean, np.uint8(Flag.FEW_SAMPLES), np.uint8(0))
    hot = _hot(flat, stack)
    flat[hot.y, hot.x] = hot.around
    flags[hot.y, hot.x] |= np.uint8(Flag.REPAIRED)
    if variance is not None:
        variance[hot.y, hot.x] = np.maximum(variance[hot.y, hot.x], hot.sigma**2)
    dead = flat < stack.workspace.recipe.flat.smallest
    flat[dead] = np.nan
    flags[np.isnan(flat)] |= np.uint8(Flag.NO_VALUE)
    samples = flat.size * len(stack.levels)
    statistics = {
        **_levels_told(stack, units),
        "noise": float(np.median(stack.noise)),
        "masked": stack.masked / samples,
        "rejected": float(stack.rejected.sum()) / samples,
        "unclean": part_unclean,
        "hot": float(len(hot)),
        "dead": float(np.count_nonzero(dead)),
    }
    return _Master(flat, variance, flags, statistics)


def _refuse_unclean(stack: _FlatStack, product: MasterProduct, unclean: float) -> None:
    """Refuse a master that would hold the stars of its frames.

    Raises
    ------
    ProductError
        If too many pixels are touched by stars in nearly all frames.
    """
    limit = stack.workspace.recipe.flat.max_unclean
    if unclean > limit:
        msg = (
            f"{product.task.output}: in {unclean:.1%} of the pixels fewer than {CLEAN} "
            f"of the {len(stack.levels)} flats are free of stars or clouds, at most "
            f"{limit:.1%} may be. Take more flats, and let the sky move on between "
            "them; exclude those that clouds crossed with --exclude; or raise "
            "max_unclean in the recipe's [flat]"
        )
        raise ProductError(msg)


def _normalise(flat: Floats, variance: Floats | None, stack: _FlatStack) -> list[float]:
    """Bring each colour to unit level, in place; return what it was divided by."""
    colours = range(len(stack.colours.colours))
    units = [_unit(flat, stack, colour) for colour in colours]
    of_pixels = stack.colours.spread(np.array(units, np.float32), 0, flat.shape)
    flat /= of_pixels
    if variance is not None:
        variance /= of_pixels**2
    return units


def _unit(flat: Floats, stack: _FlatStack, colour: int) -> float:
    """Measure the level of a colour: a mean of all pixels, a median of enough."""
    recipe = stack.workspace.recipe.flat
    mean = recipe.level is FlatLevel.MEAN
    if not mean or recipe.illuminated:
        every = max(1, flat.size // ENOUGH_PIXELS)
        pixels = _joined(stack.colours.of_colour(flat, colour, every=every))
        return lit_level(pixels, recipe.illuminated, mean=mean)
    parts = stack.colours.of_colour(flat, colour)
    total = sum(float(np.nansum(part, dtype=np.float64)) for part in parts)
    return total / sum(int(np.isfinite(part).sum()) for part in parts)


def _hot(flat: Floats, stack: _FlatStack) -> Impulses:
    """Find hot pixels that are left in a flat.

    A pixel that stands out of its neighbourhood is hot if it does so in the dark that
    was subtracted as well; without a dark, if it is brighter than its neighbours: no
    pixel's response is so far above theirs.
    """
    n_sigma = stack.workspace.recipe.flat.hot_sigma
    corrections = {
        correction.dark: correction for correction in stack.members.corrections
    }
    found = impulses(flat, n_sigma or math.inf, below=None not in corrections)
    if None in corrections or not len(found):
        return found
    hot = np.zeros(len(found), np.bool_)
    for correction in corrections.values():
        hot |= _hot_in_dark(found, correction, stack, n_sigma)
    return found.only(hot)


def _hot_in_dark(
    found: Impulses, correction: Correction, stack: _FlatStack, n_sigma: float
) -> Mask:
    """Say which of the pixels stand out of the dark that was subtracted, too."""
    (ny, nx), masters = stack.members.shape, stack.masters
    sample = stack.middle_of_dark(correction)
    hot = np.zeros(len(found), np.bool_)
    if sample is None:
        return hot
    limit = n_sigma * pixel_scatter(sample)
    memory = stack.workspace.memory - stack.members.held
    for start, stop in bands(ny, nx, 4, memory):
        here = np.flatnonzero((found.y >= start) & (found.y < stop))
        first = max(0, start - REACH)
        dark = (
            masters.dark(correction, first, min(ny, stop + REACH))
            if len(here)
            else None
        )
        if dark is not None:
            y, x = found.y[here] - first, found.x[here]
            hot[here] = dark[y, x] - neighbourhood(dark, y, x) > limit
    return hot


def _levels_told(stack: _FlatStack, units: list[float]) -> dict[str, float]:
    """Tell the levels: all in all, and of each colour."""
    told = {
        "level": float(np.median(stack.levels.mean(axis=1))),
        "unit": float(np.mean(units)),
    }
    names = stack.colours.colours
    if len(names) > 1:
        of_colours = np.median(stack.levels, axis=0).tolist()
        told |= {f"level_{c}": v for c, v in zip(names, of_colours, strict=True)}
    return told


def _cards(statistics: Mapping[str, float]) -> list[Card]:
    colours = [
        Card(f"LEVEL_{colour}", value, "[adu] median level of a colour")
        for name, value in statistics.items()
        if (colour := name.removeprefix("level_")) != name
    ]
    return [
        *colours,
        Card("MASKED", statistics["masked"], "fraction of samples left out for stars"),
        Card("UNCLEAN", statistics["unclean"], "fraction of pixels never free of them"),
        Card("NHOT", int(statistics["hot"]), "hot pixels, median of neighbours"),
        Card("NDEAD", int(statistics["dead"]), "pixels without response, NaN"),
    ]


def _doubts(stack: _FlatStack, statistics: Mapping[str, float]) -> Iterator[Remark]:
    """Say what the observer should know of a master."""
    if statistics["masked"] > LARGEST_MASKED:
        yield remark("flat-masked", found=f"{statistics['masked']:.0%}")
    if statistics["unclean"] > stack.workspace.recipe.flat.warn_unclean:
        few = f"{CLEAN} of the {len(stack.levels)}"
        found = f"{statistics['unclean']:.1%}"
        yield remark("flat-unclean", found=found, expected=few)
    if any(len(name) > 1 for name in stack.colours.colours):
        yield remark("flat-pattern")


def _of_shapes(stack: _FlatStack) -> Iterator[Remark]:
    """Say that the flats are of two runs, lit otherwise by other reasons than a shutter."""
    members = stack.members
    of_frames = [members.statistics[item.file] for item in members.items]
    levels = pedestals(stack.workspace, members)
    split = two_shapes(of_frames, stack.workspace.recipe.quality, levels)
    if split is not None:
        apart, places = split
        files = [item.file for item in members.items]
        some = stack.workspace.pattern_of(files[i] for i in places)
        how_many = f"{len(places)} of its {len(files)}"
        way_out = f"--exclude '{some}'"
        yield remark(
            "unlike-flats", found=f"{apart:.1%}", expected=how_many, way_out=way_out
        )
