"""Lay a light on the grid of another: shifted, turned, scaled or mirrored.

A turn is three shears, of rows, of columns, and of rows again [1]_ [2]_, and two if it
is small.  Within a shear every line moves by one amount, so that the weights of its
Lanczos kernel are constants; of another scale, by one amount in a block of places.
Mirror images and quarter turns are views.  What is missing is filled for the kernel's
sake and marked apart, so that nothing spreads or rings; about saturated pixels, hot ones
and cosmic rays, whose edges would ring, the light is interpolated between neighbours.

A row depends on the light alone, not on the band that it is made in.

References
----------
.. [1] Paeth (1986), Proc. Graphics Interface, 77.
.. [2] Unser, Thevenaz & Yaroslavsky (1995), IEEE Trans. Image Process. 4, 1371.
"""

import math
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.register import Transform

Image = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Pixels = tuple[Indices, ...]
"""Rows and columns of some pixels."""

LOBES = 3
"""Pixels that the kernel reaches to either side."""
STEP = 0.01
"""Pixels by which a line of another scale is off the place that its weights are for."""
WIDEST, BEFORE = 4096, 64
"""Places that are moved alike at the most, and how many before the grid begin with it."""
STEPS = 1024
"""Parts of a pixel that weights are for where few places are moved alike."""
NARROW, FEW = 16, 1024
"""Places of a line, and samples in all, that move alike, of which fewer are gathered one
by one."""
SHORT = 6
"""Lines that move alike, to a pixel, of which fewer are not made side by side."""
BESIDE, ALONG = 256, 16
"""Lines that are moved at a time, side by side or in a row each ..."""
MOST_APART = 7
"""... if they do not move by more pixels than that from one to the other."""
NARROWEST = 512
"""Columns that are made at a time at least."""
SMALL_TURN = 1.5e-3
"""Turn, in radians, up to which two shears do: places of a block, which then move alike,
are off by 0.002 of a pixel."""
PIECE = 1 << 16
"""Samples that are made at a time: they and their source stay in the cache."""
WHOLE = 1e-6
"""Part of a pixel that is as good as none."""
LOST = 0.3
"""Part of a pixel, between its neighbours, that may come of missing ones."""
RINGING = LOBES + 1
"""Pixels about a saturated one in which the kernel would ring."""
SHARP_SIGMAS = 20.0
"""Height above the sky, of its noise, from which the ringing of a hot pixel is seen."""
SHARP = 0.2
"""Light of the neighbours on two sides, of a pixel's own, that no star falls short of:
one of 1.3 pixels width has a quarter."""
DEPTH = 3
"""Pixels from its rim to which a hole is filled from what is around it."""
MARGIN = LOBES + RINGING + DEPTH
"""Rows of the light beyond a band, on which the band depends."""


class Resampler:
    """How a light is laid on a grid."""

    shape: tuple[int, int]
    """(ny, nx) of the grid."""

    def __init__(
        self,
        transform: Transform,
        light_shape: tuple[int, int],
        shape: tuple[int, int],
    ) -> None:
        """Work out the shears.

        Parameters
        ----------
        transform : Transform
            From pixels of the light to those of the grid.
        light_shape, shape : (ny, nx)
            Sizes of the light and of the grid.
        """
        self.shape, self._light_shape = shape, light_shape
        self._forward, back = transform, transform.inverse()
        self._matrix = back.matrix
        self._view, turn, shift = _oriented(back, light_shape)
        self._shears = _shears(turn, back.scale, shift, (shape[0] - 1) / 2)
        self._columns = self._in_between((0, shape[1]), (0, shape[0]))

    def light_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Tell which rows of the light the rows [start, stop) of the grid come from.

        Returns
        -------
        tuple of int
            First row and the row after the last; equal where there are none.
        """
        ny = self._light_shape[0]
        if self._view.quarters % 2:
            return 0, ny
        low, high = self._shears[1].reach((start, stop), self._columns)
        if self._view.upside_down:
            low, high = ny - high, ny - low
        low, high = max(low - MARGIN, 0), min(high + MARGIN, ny)
        return (low, high) if low < high else (0, 0)

    @property
    def smoothing(self) -> float:
        """What the noise of a pixel is multiplied by."""
        reach = np.arange(max(self.shape), dtype=np.float64)
        factor = 1.0
        for shear in self._shears:
            moves = shear.across * reach + (shear.along - 1) * reach + shear.shift
            squares = lanczos(moves - np.floor(moves)) ** 2
            factor *= float(squares.sum(axis=0).mean())
        return math.sqrt(factor)

    def rows(
        self,
        light: NDArray[Any],
        first: int,
        start: int,
        stop: int,
        *,
        saturate: float = math.inf,
        sky: float = 0.0,
        noise: float = math.inf,
    ) -> Image:
        """Make rows of the grid.

        Parameters
        ----------
        light : (n, nx) array
            The rows of the light that `light_rows` tells; NaN where nothing was
            measured.
        first : int
            Row of the light with which they begin.
        start, stop : int
            Rows of the grid.
        saturate : float
            Level from which pixels of the light are saturated.
        sky : float
            What stands in the midst of large holes.
        noise : float
            Scatter of the sky from pixel to pixel, by which hot pixels and cosmic rays
            are told.

        Returns
        -------
        (stop - start, nx) float32 array
            NaN where the light was not measured, or ends.
        """
        out = np.empty((stop - start, self.shape[1]), np.float32)
        if not len(light) or start >= stop:
            out[...] = np.nan
            return out
        whole, holes = _filled(np.asarray(light, np.float32), sky)
        self._shear(whole, first, start, out)
        hard = _hard(whole, saturate, sky, noise)
        if len(hard[0]):
            self._smooth(whole, hard, first, start, out)
        if len(holes[0]):
            self._lose(holes, first, start, out)
        self._cut(start, out)
        return out

    def nearest(self, light: NDArray[Any], first: int, start: int, stop: int) -> Image:
        """Make rows of the grid of which each pixel is the nearest of the light.

        Parameters
        ----------
        light, first, start, stop
            As for `rows`.

        Returns
        -------
        (stop - start, nx) float32 array
            NaN beyond the light.
        """
        if not len(light):
            return np.full((stop - start, self.shape[1]), np.nan, np.float32)
        x, y = self._sources(start, stop)
        x, y = np.rint(x, out=x), np.rint(y, out=y)
        y -= first
        beyond = (x < 0) | (x >= light.shape[-1]) | (y < 0) | (y >= len(light))
        near = (y * light.shape[-1] + x).astype(np.intp)
        out: Image = np.asarray(light, np.float32).take(near, mode="clip")
        out[beyond] = np.nan
        return out

    def offsets(self, start: int, stop: int) -> tuple[Image, Image]:
        """Tell how far pixels of the grid lie from the light's nearest ones.

        Returns
        -------
        two (stop - start, nx) float32 arrays
            Steps along x and y from where the nearest pixel of the light lies to the
            pixel of the grid, in pixels of the grid.
        """
        x, y = self._sources(start, stop)
        x, y = x - np.rint(x), y - np.rint(y)
        (a, b, _), (c, d, _) = self._forward.matrix
        return (a * x + b * y).astype(np.float32), (c * x + d * y).astype(np.float32)

    def _sources(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Tell where in the light pixels of the grid lie."""
        (a, b, x0), (c, d, y0) = self._matrix
        grid_y, grid_x = np.arange(start, stop)[:, None], np.arange(self.shape[1])
        return a * grid_x + b * grid_y + x0, c * grid_x + d * grid_y + y0

    def _shear(self, light: Image, first: int, start: int, out: Image) -> None:
        """Shear rows, columns and rows of the light as it is seen.

        The more it is turned, the fewer columns at a time: rows from which many come
        are far apart.
        """
        seen = self._view(light)
        top = 0
        if self._view.upside_down and not self._view.quarters % 2:
            top = self._light_shape[0] - first - len(light)
        elif not self._view.quarters % 2:
            top = first
        (one, two, *last), (height, nx) = self._shears, out.shape
        width = min(nx, max(int(height * two.alike / 4), NARROWEST))
        for edge in range(0, nx, width):
            part = out[:, edge : edge + width]
            lines, places = (start, start + height), (edge, edge + part.shape[1])
            left, right = self._in_between(places, lines)
            low, high = two.reach(lines, (left, right))
            rows: slice | Indices = slice(low - top, high - top)
            if low < top or high - top > len(seen):
                rows = np.clip(np.arange(low, high) - top, 0, len(seen) - 1)
            once = np.empty((high - low, right - left), np.float32)
            _resample(seen[rows], one, _Corner(low, left, 0), once)
            twice = np.empty((height, right - left), np.float32) if last else part
            _resample(once.T, two, _Corner(left, start, low), twice.T)
            for three in last:
                _resample(twice, three, _Corner(start, edge, left), part)

    def _in_between(
        self, columns: tuple[int, int], rows: tuple[int, int]
    ) -> tuple[int, int]:
        """Give the columns, before the last shear, that a part of the grid is made of."""
        last = self._shears[2:]
        return last[0].reach(columns, rows) if last else columns

    def _smooth(
        self, light: Image, bright: Pixels, first: int, start: int, out: Image
    ) -> None:
        """Interpolate between neighbours wherever a hard pixel would ring."""
        marked = np.zeros(light.shape, np.bool_)
        y, x = (index[:, None, None] for index in bright)
        reach = np.arange(-RINGING, RINGING + 1)
        rows = np.clip(y + reach[:, None], 0, light.shape[0] - 1)
        marked[rows, np.clip(x + reach, 0, light.shape[1] - 1)] = True
        low, left, _, _ = self._below(marked_pixels(marked), first, start)
        inside = (low >= -1) & (low < len(out)) & (left >= -1) & (left < out.shape[1])
        below = np.zeros((len(out) + 1, out.shape[1] + 1), np.bool_)
        below[low[inside] + 1, left[inside] + 1] = True
        touched = below[1:] | below[:-1]
        row, column = marked_pixels(touched[:, 1:] | touched[:, :-1])
        (a, b, x0), (c, d, y0) = self._matrix
        x = a * column + b * (row + start) + x0
        y = c * column + d * (row + start) + y0
        out[row, column] = _between(light, x, y - first)

    def _lose(self, holes: Pixels, first: int, start: int, out: Image) -> None:
        """Lose the pixels that come to a good part of missing ones."""
        lost = np.zeros(out.shape, np.float32)
        low, left, above, right = self._below(holes, first, start)
        for dy in (0, 1):
            for dx in (0, 1):
                row, column = low + dy, left + dx
                part = np.abs(1 - dx - right) * np.abs(1 - dy - above)
                inside = (row >= 0) & (row < len(out)) & (column >= 0)
                inside &= column < out.shape[1]
                np.add.at(lost, (row[inside], column[inside]), part[inside])
        out[lost > LOST * min(self._forward.scale**2, 1.0)] = np.nan

    def _below(
        self, pixels: Pixels, first: int, start: int
    ) -> tuple[Indices, Indices, Floats, Floats]:
        """Give the pixel of a band below and left of some of the light, and how far."""
        y, x = (index.astype(np.float64) for index in pixels)
        gx, gy = (np.asarray(g) for g in self._forward(x, y + first))
        left, low = np.floor(gx), np.floor(gy)
        row = low.astype(np.intp) - start
        return row, left.astype(np.intp), gy - low, gx - left

    def _cut(self, start: int, out: Image) -> None:
        """Lose what lies beyond the edges of the light."""
        rows, nx = np.arange(start, start + len(out)), out.shape[1]
        low, high = np.zeros(len(rows)), np.full(len(rows), nx - 1.0)
        sizes = self._light_shape[::-1]
        for (along, across, shift), n in zip(self._matrix, sizes, strict=True):
            edges = [edge - across * rows - shift for edge in (-0.5, n - 0.5)]
            if abs(along) < 1e-9:
                high[(edges[0] > 0) | (edges[1] < 0)] = -1.0
                continue
            ends = np.sort([edge / along for edge in edges], axis=0)
            low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
        begin = np.maximum(np.ceil(low - WHOLE), 0).astype(int)
        end = np.maximum(np.floor(high + WHOLE).astype(int) + 1, begin)
        changes = np.flatnonzero(np.diff(begin) | np.diff(end)) + 1
        for first, stop in pairwise([0, *changes.tolist(), len(rows)]):
            out[first:stop, : begin[first]] = np.nan
            out[first:stop, end[first] :] = np.nan


def _hard(light: Image, saturate: float, sky: float, noise: float) -> Pixels:
    """Find the pixels that would ring: saturated, or sharper than any star."""
    y, x = marked_pixels(light >= min(saturate, sky + SHARP_SIGMAS * noise))
    own = light[y, x]
    hard = own >= saturate
    if math.isfinite(noise):
        ny, nx = light.shape
        above, below = np.maximum(y - 1, 0), np.minimum(y + 1, ny - 1)
        left, right = np.maximum(x - 1, 0), np.minimum(x + 1, nx - 1)
        sides = light[above, x] + light[below, x], light[y, left] + light[y, right]
        hard |= np.minimum(*sides) / 2 - sky < SHARP * (own - sky)
    return y[hard], x[hard]


class _Shear(NamedTuple):
    """Where a place of a line comes from: along * place + across * line + shift."""

    along: float
    across: float
    shift: float

    @property
    def width(self) -> int:
        """Places of a line that are moved alike, to `STEP`."""
        return max(int(STEP / max(abs(self.along - 1), STEP / WIDEST)), 1)

    @property
    def alike(self) -> float:
        """Lines beside one another that move alike, to a pixel."""
        return 1 / max(abs(self.across), 1 / WIDEST)

    def moves(self, lines: Indices, block: int) -> NDArray[np.floating[Any]]:
        """Tell how far lines move in a block of places that are moved alike."""
        middle = block + (self.width - 1) / 2
        return (self.along - 1) * middle + self.across * lines + self.shift

    def reach(self, places: tuple[int, int], lines: tuple[int, int]) -> tuple[int, int]:
        """Give the range that ranges of places and of lines are made of."""
        found = [
            self.along * place + self.across * line + self.shift
            for place in (places[0], places[1] - 1)
            for line in (lines[0], lines[1] - 1)
        ]
        return math.floor(min(found)) - LOBES, math.ceil(max(found)) + LOBES + 1


class _Corner(NamedTuple):
    """Where an array of lines begins, and where the array does that it is made of."""

    line: int
    place: int
    source: int


class _View(NamedTuple):
    """A light as it is seen: upside down, then turned by quarters."""

    mirrored: bool
    quarters: int

    @property
    def upside_down(self) -> bool:
        """Whether rows, where they stay rows, are seen in reverse order."""
        return self.mirrored != (self.quarters == 2)

    def __call__(self, light: Image) -> Image:
        return np.rot90(light[::-1] if self.mirrored else light, self.quarters)


def _oriented(
    back: Transform, shape: tuple[int, int]
) -> tuple[_View, float, tuple[float, float]]:
    """Take mirroring and quarter turns out of a transform from the grid.

    Returns
    -------
    view : _View
        How the light is seen.
    turn : float
        What is left to turn, in radians.
    shift : (x, y)
        Where pixel (0, 0) of the grid lies in the light as it is seen.
    """
    ny, nx = shape
    x, y, turn = back.dx, back.dy, back.rotation
    if back.mirrored:
        y, turn = ny - 1 - y, -turn
    quarters = round(turn / 90) % 4
    for _ in range(quarters):
        x, y = y, nx - 1 - x
        ny, nx = nx, ny
    rest = (turn - 90 * quarters + 180) % 360 - 180
    return _View(back.mirrored, quarters), math.radians(rest), (x, y)


def _shears(
    turn: float, scale: float, shift: tuple[float, float], middle: float
) -> tuple[_Shear, ...]:
    """Write ``scale * rotation(turn) * place + shift`` as three shears.

    Two do for a small turn: they have another scale each, but hardly so, and places of a
    block move alike.
    """
    sine, tangent = math.sin(turn), math.tan(turn / 2)
    x, y = shift
    if abs(turn) < SMALL_TURN:
        slope = math.tan(turn)
        return (
            _Shear(scale / math.cos(turn), -slope, x + slope * y),
            _Shear(scale * math.cos(turn), scale * sine, y),
        )
    last = tangent * middle
    return (
        _Shear(scale, -tangent, x - scale * last + tangent * y),
        _Shear(scale, scale * sine, y - scale * sine * last),
        _Shear(1.0, -tangent, last),
    )


def _resample(source: Image, shear: _Shear, corner: _Corner, out: Image) -> None:
    """Move every line along itself; lines are rows of both arrays."""
    beside = out.strides[0] < out.strides[1]
    if beside and (shear.alike < SHORT or shear.width * shear.alike < FEW):
        # Few lines that lie beside each other are alike: better they lie in a row each.
        made = np.empty(out.shape, np.float32)
        _resample(np.ascontiguousarray(source), shear, corner, made)
        out[...] = made
        return
    if not beside and shear.width < NARROW:
        _gather(source, shear, corner, out)
        return
    lines = np.arange(corner.line, corner.line + len(out))
    n, last, width = out.shape[1], source.shape[1] - 1, shear.width
    span = min(int((BESIDE if beside else ALONG) / shear.alike), MOST_APART)
    edge = corner.place
    while edge < corner.place + n:
        # Blocks end at the same places, wherever the band begins.
        block = (edge + BEFORE) // width * width - BEFORE
        stop = min(block + width, corner.place + n)
        for group, whole, weights in _groups(shear, lines, block, span):
            at = edge + whole - corner.source
            part = out[group, edge - corner.place : stop - corner.place]
            _weigh(source[group], at, last, weights, part)
        edge = stop


def _gather(source: Image, shear: _Shear, corner: _Corner, out: Image) -> None:
    """Move every line along itself where hardly any places have weights in common."""
    (n_lines, n), last = out.shape, source.shape[1] - 1
    places = shear.along * np.arange(corner.place, corner.place + n) - corner.source
    step = max(PIECE // n, 1)
    for first in range(0, n_lines, step):
        made = out[first : first + step]
        lines = np.arange(first, first + len(made))[:, None]
        at = places + (shear.across * (corner.line + lines) + shear.shift)
        whole = np.floor(at)
        steps = np.rint((at - whole) * STEPS).astype(np.intp)
        begin, end = int(whole.min()), int(whole.max())
        near = _nearby(source[first : first + step], begin, end + 1 - begin, last)
        index = (whole - begin).astype(np.intp) + near.shape[1] * (lines - first)
        near = near.ravel()
        made[...] = 0
        for weights in _stepped():
            made += weights.take(steps) * near.take(index)
            index += 1


def _groups(
    shear: _Shear, lines: Indices, block: int, span: int
) -> Iterator[tuple[slice, int, Image | None]]:
    """Part lines into runs that move by nearly as many whole pixels.

    Yields
    ------
    lines : slice
    whole : int
        Pixels that the first of the taps of all of them moves by.
    weights : (taps, n) array or None
        Those of each line, among zeros; None where all move by whole pixels.
    """
    moves = shear.moves(lines, block)
    whole = np.floor(moves + WHOLE)
    part = moves - whole
    part[np.abs(part) <= WHOLE] = 0
    if shear.width < WIDEST:
        weights = _stepped().take(np.rint(part * STEPS).astype(np.intp), axis=1)
    else:
        weights = lanczos(part)
    apart = (whole - whole.min()).astype(np.intp)
    least = int(whole.min())
    edges = np.flatnonzero(np.diff(apart // (span + 1))) + 1
    for start, stop in pairwise([0, *edges.tolist(), len(lines)]):
        run = slice(start, stop)
        low, high = sorted((int(apart[start]), int(apart[stop - 1])))
        if low == high:
            moved = bool(part[run].any())
            yield run, least + low, weights[:, run] if moved else None
            continue
        taps = np.zeros((2 * LOBES + high - low, stop - start), np.float32)
        at = apart[run] - low + np.arange(2 * LOBES)[:, None]
        taps[at, np.arange(stop - start)] = weights[:, run]
        yield run, least + low, taps


@cache
def _stepped() -> Image:
    """Give the weights of places that lie 0, 1, ... `STEPS` parts behind a pixel."""
    return lanczos(np.linspace(0, 1, STEPS + 1))


def lanczos(parts: NDArray[np.floating[Any]]) -> Image:
    """Give the weights of a Lanczos kernel of `LOBES` lobes.

    Parameters
    ----------
    parts : (n,) array
        How far, in pixels, a place lies behind a pixel.

    Returns
    -------
    (2 * LOBES, n) float32 array
        Weights of the pixels about it, the first `LOBES` - 1 before that pixel; each
        column sums to one.
    """
    taps = np.arange(1 - LOBES, LOBES + 1)[:, None]
    distance = parts - taps
    # The sines of places a pixel apart follow from each other.
    sign, turn = np.where(taps % 2, -1.0, 1.0), np.pi / LOBES * taps
    slow = np.pi / LOBES * parts
    sines = np.sin(slow) * np.cos(turn) - np.cos(slow) * np.sin(turn)
    weights = np.full(distance.shape, np.pi**2 / LOBES)
    np.divide(
        sign * np.sin(np.pi * parts) * sines,
        distance**2,
        out=weights,
        where=np.abs(distance) > WHOLE,
    )
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def _weigh(
    source: Image, at: int, last: int, weights: Image | None, out: Image
) -> None:
    """Sum a run of lines, moved by nearly as many whole pixels, with its weights."""
    n_lines, n = out.shape
    if weights is None:
        out[...] = _nearby(source, at, n, last)[:, LOBES - 1 : LOBES - 1 + n]
        return
    beside, taps = out.strides[0] < out.strides[1], len(weights)
    # Lines that lie beside each other are taken tap by tap, place by place; others,
    # tap by tap, as many at a time as stay in the cache.
    step = n_lines if beside else max(PIECE // n, 1)
    for line in range(0, n_lines, step):
        some = slice(line, line + step)
        near = _nearby(source[some], at, n + taps - 2 * LOBES, last)
        if len(near) == n == 1:
            # Tap by tap, as einsum sums many places, but not a single one.
            out[some] = np.cumsum(near[0] * weights[:, line])[-1]
            continue
        seen = as_strided(
            near, (n, len(near), taps), (near.strides[::-1] + near.strides[1:])
        )
        np.einsum(
            "plt,tl->pl",
            seen,
            weights[:, some],
            out=out[some].T,
            order="K" if beside else "F",
        )


def _nearby(lines: Image, at: int, n: int, last: int) -> Image:
    """Give what a kernel sees for n places; beyond an edge, the pixel at the edge."""
    begin, end = at - LOBES + 1, at + n + LOBES
    if begin >= 0 and end <= last + 1:
        return lines[:, begin:end]
    before, after = np.clip([-begin, end - last - 1], 0, end - begin)
    near = np.empty_like(lines, shape=(len(lines), end - begin))
    near[:, :before] = lines[:, :1]
    near[:, len(near[0]) - after :] = lines[:, last : last + 1]
    near[:, before : len(near[0]) - after] = lines[:, begin + before : end - after]
    return near


def _filled(light: Image, sky: float) -> tuple[Image, Pixels]:
    """Fill what is missing from its neighbours, rim by rim; tell what was missing."""
    if np.isfinite(light.sum()):
        return light, (np.empty(0, np.intp), np.empty(0, np.intp))
    missing = ~np.isfinite(light)
    y, x = holes = marked_pixels(missing)
    whole = np.where(missing, np.float32(sky), light).astype(np.float32)
    ny, nx = light.shape
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    for _ in range(DEPTH):
        rows = np.clip([y + dy for dy, _ in steps], 0, ny - 1)
        columns = np.clip([x + dx for _, dx in steps], 0, nx - 1)
        seen = ~missing[rows, columns]
        number = seen.sum(axis=0)
        rim = number > 0
        total = np.where(seen, whole[rows, columns], 0).sum(axis=0, dtype=np.float64)
        whole[y[rim], x[rim]] = total[rim] / number[rim]
        missing[y[rim], x[rim]] = False
        y, x = y[~rim], x[~rim]
        if not len(y):
            break
    return whole, holes


def _between(light: Image, x: Floats, y: Floats) -> Floats:
    """Interpolate between the four neighbours of places."""
    ny, nx = light.shape
    left = np.clip(np.floor(x), 0, max(nx - 2, 0)).astype(np.intp)
    low = np.clip(np.floor(y), 0, max(ny - 2, 0)).astype(np.intp)
    right, high = np.minimum(left + 1, nx - 1), np.minimum(low + 1, ny - 1)
    u, v = np.clip(x - left, 0, 1), np.clip(y - low, 0, 1)
    lower = light[low, left] * (1 - u) + light[low, right] * u
    upper = light[high, left] * (1 - u) + light[high, right] * u
    return np.asarray(lower * (1 - v) + upper * v)
