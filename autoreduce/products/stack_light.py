"""A light as a stack sees it: laid on its grid, on its scale, above its sky."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.header import RawHeader
from autoreduce.fits.images import extension_names, open_image
from autoreduce.fits.writer import UNCERT
from autoreduce.frames.measured import known, of_cards
from autoreduce.pixels.bayer import CELL, RGB, Mosaic, is_known, mosaic
from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.demosaic import (
    MARGIN,
    ColourModel,
    colour_model,
    demosaic,
    neighbours_of_colour,
    own_pixels,
)
from autoreduce.pixels.fluxscale import FluxScale, flux_scale
from autoreduce.pixels.order import finite_median, medians_of_parts
from autoreduce.pixels.register import Transform, match_near
from autoreduce.pixels.resample import Resampler
from autoreduce.pixels.stacking import LightModel
from autoreduce.planning.plan import FrameInput
from autoreduce.products.provenance import date_of_mjd
from autoreduce.products.registration import Geometry, Place
from autoreduce.products.starlist import read_stars

Image = NDArray[np.float32]
TakeColour = Callable[[Image, int, ColourModel, str], Image]

MOST_MODELLED = 1 << 23
"""Pixels in the middle of a mosaic that tell what is alike in all of it."""
MODELLED_BYTES = 20
"""Bytes that each of them takes while it is measured."""
TRIED_ROWS = 64
"""Rows on which noise is tried."""
MOST_COMPARED = 1000
"""Brightest stars of a light whose fluxes are compared."""
BLOCK = 16
"""Least side of the blocks in which something is looked for that shines."""
SLOPE_BANDS, SLOPE_ROWS, SLOPE_BLOCKS = 8, 16, 8
"""Bands of the grid, rows of each, and blocks along these whose medians tell how the sky
slopes."""
FEWEST_BLOCKS = 2 * SLOPE_BANDS * SLOPE_BLOCKS // 3
"""Blocks that both lights must show: nothing tells of the sky beside them."""
FAR_OFF, PLANES_TRIED = 3.0, 5
"""Scatters beyond which a block takes no part in a plane; how often that is asked."""
LEAST_GAIN = 0.02
"""Electrons per ADU below which a dark sky tells nothing of the gain."""
SEEING = 0.5
"""Part of the difference in the peaks of stars, as their widths have it, that a sample
may be off by (1 sigma)."""


@dataclass(frozen=True, slots=True)
class StackLight:
    """A light of a stack, and how it is brought to the others."""

    item: FrameInput
    """Its file, date and exposure."""
    path: Path
    """Where its pixels are."""
    header: RawHeader
    """Its header."""
    shape: tuple[int, int]
    """Its (ny, nx)."""
    statistics: Mapping[str, float]
    """What was measured of it."""
    place: Place | None = None
    """Where it lies; None in a stack that is not aligned."""
    resampler: Resampler | None = None
    """How it is laid on the grid; None where it lies there pixel on pixel."""
    factor: float = 1.0
    """What it is multiplied by."""
    offset: float = 0.0
    """What is added then, ADU ..."""
    slope: tuple[float, float] = (0.0, 0.0)
    """... and for each pixel of the grid along x and y, from its middle on."""
    n_common: int | None = None
    """Stars that the factor is from; None if it is not from stars."""
    factor_error: float = 0.0
    """1-sigma error of the factor, as its stars agree; 0 if it is not from stars."""
    model: ColourModel | None = None
    """What is alike in all of it, if it is a mosaic of which the colours are known."""
    colour: str = ""
    """R, G or B: the colour that is taken from a mosaic."""
    smoothing: float | None = None
    """Noise of `rows` over that of the pixels of its colour; None if it is that of the
    resampling alone."""

    @classmethod
    def read(
        cls,
        folder: Path,
        output: str,
        place: Place | None,
        statistics: Mapping[str, float] | None = None,
    ) -> Self:
        """Read the header of a calibrated light.

        Its exposure and date are those that the frame table had; what was measured of
        it is what it says itself, unless that is given.
        """
        path = folder / output
        with open_image(path) as reader:
            header, (ny, nx) = reader.raw, reader.shape[-2:]
        began = header.number("MJD-OBS")
        date_obs = None if began is None else date_of_mjd(began).isoformat()
        item = FrameInput(output, exptime=header.number("EXPTIME"), date_obs=date_obs)
        if statistics is None:
            statistics = of_cards(header.number)
        return cls(item, path, header, (ny, nx), statistics, place)

    @property
    def pattern(self) -> Mosaic:
        """Which of its pixels see which colour, counted from its first pixel."""
        begin = (int(self.header.number(f"{axis}BAYROFF") or 0) for axis in "YX")
        told = str(self.header.get("BAYERPAT") or "")
        return mosaic(told.strip(), (next(begin), next(begin)))

    @property
    def modelled_bytes(self) -> int:
        """About how much memory `modelled` takes."""
        return MODELLED_BYTES * min(math.prod(self.shape), MOST_MODELLED)

    def modelled(self) -> Self:
        """Measure what is alike in all of a mosaic; other lights stay as they are.

        Of a large one its middle tells, so that `modelled_bytes` has a bound.
        """
        if not is_known(self.pattern):
            return self
        ny, nx = self.shape
        height = min(ny, MOST_MODELLED // nx)
        start = (ny - height) // (2 * CELL) * CELL
        data = self._read(start, start + height)
        saturate = self.statistics.get("saturate", math.inf)
        return replace(self, model=colour_model(data, self.pattern, saturate))

    def in_colour(self, name: str) -> Self:
        """Give one colour of a mosaic, with the sky that it has there."""
        if self.model is None:
            return self
        level = self.model.levels[RGB.index(name)]
        seen = {**self.statistics, "sky": level.sky, "sky_noise": level.noise}
        return replace(self, statistics=known(seen), colour=name)

    @property
    def gain(self) -> float | None:
        """Electrons per ADU, if its header tells."""
        return _positive(self.number("EGAIN"))

    @property
    def read_noise(self) -> float | None:
        """Read noise in electrons, if its header tells."""
        return _positive(self.number("RDNOISE"))

    def number(self, *keywords: str) -> float | None:
        """Give the first number that some cards have."""
        return self.header.number(*keywords)

    def on_grid(self, grid: Geometry) -> Self:
        """Lay it on a grid, from its place."""
        if self.place is None:
            return self
        transform = self.place.on_grid(grid)
        if transform == Transform() and grid.shape == self.shape:
            return self
        return replace(self, resampler=Resampler(transform, self.shape, grid.shape))

    def sloped(self, plane: "Plane") -> "StackLight":
        """Add a plane over the grid."""
        return replace(self, offset=self.offset + plane.level, slope=plane.slope)

    def shows_something(self) -> bool:
        """Tell whether anything wide shines in it: a planet, a comet, a nebula.

        Hot pixels and cosmic rays do not lift the median of a block.
        """
        ny, nx = self.shape
        height = self.statistics.get("sky", 0.0) + self.statistics.get("sky_noise", 0.0)
        n_down, n_across = max(ny // BLOCK, 1), max(nx // BLOCK, 1)
        edges = [ny * i // n_down for i in range(n_down + 1)]
        return any(
            bool((medians_of_parts(self.rows(*span), n_across) > height).any())
            for span in pairwise(edges)
        )

    @property
    def least_offset(self) -> float:
        """What is added at the least, anywhere on the grid."""
        spans = zip(self.slope, self.grid_shape[::-1], strict=True)
        return self.offset - sum(abs(slope) * (n - 1) for slope, n in spans) / 2

    @property
    def grid_shape(self) -> tuple[int, int]:
        """The (ny, nx) of the grid."""
        return self.shape if self.resampler is None else self.resampler.shape

    def rows(self, start: int, stop: int) -> Image:
        """Make rows of the grid, on the scale of the stack."""
        if self.resampler is None:
            values = self._plane(start, stop, demosaic)
        else:
            first, last = self.resampler.light_rows(start, stop)
            noise = self.statistics.get("sky_noise", 0.0) or math.inf
            values = self.resampler.rows(
                self._plane(first, last, demosaic),
                first,
                start,
                stop,
                saturate=self.statistics.get("saturate", math.inf),
                sky=self.statistics.get("sky", 0.0),
                # Single pixels of a colour are wider once they are interpolated.
                noise=math.inf if self.colour else noise,
            )
        return self._scaled(values, start)

    def own_offsets(self, start: int, stop: int) -> tuple[Image, Image]:
        """Tell how far the grid's pixels lie from those that `own_rows` gives."""
        if self.resampler is None:
            nothing = np.zeros((stop - start, self.shape[1]), np.float32)
            return nothing, nothing
        return self.resampler.offsets(start, stop)

    def own_rows(self, start: int, stop: int) -> Image:
        """Give what the nearest pixels of its colour measured, on the stack's scale.

        NaN where the nearest pixel has another colour.
        """
        if self.resampler is None:
            return self._scaled(self._plane(start, stop, own_pixels), start)
        first, last = self.resampler.light_rows(start, stop)
        values = self._plane(first, last, own_pixels)
        return self._scaled(self.resampler.nearest(values, first, start, stop), start)

    @property
    def has_errors(self) -> bool:
        """Whether the errors of its pixels are known."""
        return UNCERT in extension_names(self.path)

    def sigma(self, start: int, stop: int, *, measured: bool) -> Image:
        """Give 1-sigma errors on the grid: those of the nearest pixels.

        Parameters
        ----------
        start, stop : int
            Rows of the grid.
        measured : bool
            Whether it is for what pixels measured themselves, as `own_rows` gives it;
            else for `rows`, whose noise the interpolation smoothes.
        """
        take = None if measured else neighbours_of_colour
        first, last = self._light_rows(start, stop)
        near = self._plane(first, last, take, partial(self._read, plane=UNCERT))
        if self.resampler is not None:
            near = self.resampler.nearest(near, first, start, stop)
        smoothing = 1.0 if measured else self._smoothing
        return near * np.float32(self.factor * smoothing)

    @property
    def _smoothing(self) -> float:
        """What becomes of the noise of a pixel in `rows`."""
        if self.smoothing is not None:
            return self.smoothing
        return 1.0 if self.resampler is None else self.resampler.smoothing

    def smoothed(self) -> Self:
        """Measure what becomes of the noise of a colour that is interpolated."""
        if not self.colour:
            return self
        noise = self.noise(0)
        own = self.factor * self.statistics.get("sky_noise", 1.0)
        rms = math.sqrt(float(np.nanmean(np.square(noise, dtype=np.float64))))
        return replace(self, smoothing=rms / own)

    def noise(self, seed: int, *, measured: bool = False) -> Image:
        """Lay the noise of an empty sky on the grid, as the light is laid.

        Parameters
        ----------
        seed : int
            Of the noise.
        measured : bool
            Whether as `own_rows` lays it; else as `rows`.

        Returns
        -------
        (TRIED_ROWS, nx) array, ADU
            In the middle rows of the grid, or all if it is lower.
        """
        ny = self.grid_shape[0]
        start = max(0, (ny - TRIED_ROWS) // 2)
        stop = min(ny, start + TRIED_ROWS)
        first, last = self._light_rows(start, stop)
        take = own_pixels if measured else demosaic
        values = self._plane(first, last, take, partial(self._drawn, seed))
        if self.model is not None and self.colour:
            values -= np.float32(self.model.levels[RGB.index(self.colour)].sky)
        if self.resampler is not None:
            lay = self.resampler.nearest if measured else self.resampler.rows
            values = lay(values, first, start, stop)
        return values * np.float32(self.factor)

    def _drawn(self, seed: int, start: int, stop: int) -> Image:
        """Draw rows of a light of an empty sky; of a mosaic, with the sky itself."""
        shape = stop - start, self.shape[1]
        drawn = np.random.default_rng(seed).standard_normal(shape, np.float32)
        if self.model is None or not self.colour:
            return drawn * np.float32(self.statistics.get("sky_noise", 1.0))
        for colour, name in enumerate(self.model.of.colours):
            level = self.model.levels[RGB.index(name)]
            for part in self.model.of.of_colour(drawn, colour, start=start):
                np.multiply(part, np.float32(level.noise), out=part)
                np.add(part, np.float32(level.sky), out=part)
        return drawn

    def _light_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Say which of its rows rows of the grid are made from."""
        if self.resampler is None:
            return start, stop
        return self.resampler.light_rows(start, stop)

    def _scaled(self, values: Image, start: int) -> Image:
        if self.factor != 1:
            values *= np.float32(self.factor)
        if self.offset:
            values += np.float32(self.offset)
        if any(self.slope):
            y, x = (
                (np.arange(begin, begin + n) - (whole - 1) / 2) * slope
                for begin, n, whole, slope in zip(
                    (start, 0),
                    values.shape,
                    self.grid_shape,
                    self.slope[::-1],
                    strict=True,
                )
            )
            values += np.add.outer(y, x).astype(np.float32)
        return values

    def _plane(
        self,
        start: int,
        stop: int,
        take: TakeColour | None,
        read: Callable[[int, int], Image] | None = None,
    ) -> Image:
        """Read rows; of a mosaic, take its colour from them."""
        read = read or self._read
        if self.model is None or not self.colour or take is None or start >= stop:
            return read(start, stop)
        low, high = max(start - MARGIN, 0), min(stop + MARGIN, self.shape[0])
        rows = take(read(low, high), low, self.model, self.colour)
        return np.ascontiguousarray(rows[start - low : stop - low])

    def _read(self, start: int, stop: int, plane: str | None = None) -> Image:
        if start >= stop:
            return np.empty((0, self.shape[1]), np.float32)
        # Files are opened anew for each band: any thread or process can make one, and
        # there may be more lights than files that may be open.
        with open_image(self.path, plane) as reader:
            return np.asarray(reader.rows(start, stop), np.float32)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def scaled(
    lights: Sequence[StackLight], reference: int, folder: Path, *, sky: bool
) -> list[StackLight]:
    """Bring lights to the scale, and to the sky, of one of them.

    Parameters
    ----------
    lights : sequence of StackLight
        With places.
    reference : int
        Index of the one whose scale and sky the others get.
    folder : Path
        Output folder, where their stars are.
    sky : bool
        Whether the sky is brought to one level.

    Returns
    -------
    list of StackLight
        Scaled by the stars in common; with too few, by the exposures.
    """
    first = lights[reference]
    tables = [read_stars(folder / light.item.file)[:MOST_COMPARED] for light in lights]
    found = []
    for light, stars in zip(lights, tables, strict=True):
        common = None
        if light is not first:
            common = _flux_scale(light, stars, first, tables[reference])
        factor = _by_exposure(light, first) if common is None else common.factor
        if light is first:
            factor = 1.0
        n = common.n if common else len(stars) if light is first else None
        error = common.error if common else 0.0
        found.append(replace(light, factor=factor, n_common=n, factor_error=error))
    return levelled(found, reference) if sky else found


def levelled(lights: Sequence[StackLight], reference: int) -> list[StackLight]:
    """Bring the sky of scaled lights to that of one of them, where it is known."""
    wanted = lights[reference].statistics.get("sky")
    found = []
    for light in lights:
        sky = light.statistics.get("sky")
        offset = 0.0
        if sky is not None and wanted is not None:
            offset = wanted - light.factor * sky
        found.append(replace(light, offset=offset))
    return found


class Plane(NamedTuple):
    """What the sky of a light lacks of that of another: linear over the grid."""

    level: float = 0.0
    """In the middle of the grid, ADU."""
    slope: tuple[float, float] = (0.0, 0.0)
    """For each pixel along x and y, ADU."""
    sigmas: float = 0.0
    """From one corner of the grid to the other, of the noise of the light's sky."""


def planes(lights: Sequence[StackLight], reference: int) -> list[Plane]:
    """Tell how the sky of levelled lights slopes otherwise than that of one of them.

    What lights of one flux scale differ by is their sky, and what moves: a nebula, which
    all of them show, is not in it.

    Parameters
    ----------
    lights : sequence of StackLight
        On the grid, on one scale and level.
    reference : int
        Index of the one whose sky the others are to get.

    Returns
    -------
    list of Plane
        For each light; a level one where too little of the grid tells.
    """
    first = lights[reference]
    ny, nx = first.grid_shape
    starts = np.linspace(0, max(ny - SLOPE_ROWS, 0), SLOPE_BANDS).astype(int).tolist()
    spans = [(start, min(start + SLOPE_ROWS, ny)) for start in starts]
    theirs = [first.rows(*span) for span in spans]
    y = np.array([(sum(span) - ny) / 2 for span in spans])
    edges = np.linspace(0, nx, SLOPE_BLOCKS + 1).astype(int)
    x = (edges[:-1] + edges[1:] - nx) / 2
    found = []
    for light in lights:
        off = [
            [_level_of(block) for block in np.split(rows, edges[1:-1], axis=1)]
            for rows in (
                sky - light.rows(*span) for sky, span in zip(theirs, spans, strict=True)
            )
        ]
        level, along_x, along_y = _plane(np.array(off), y, x)
        across = abs(along_x) * nx + abs(along_y) * ny
        noise = light.factor * light.statistics.get("sky_noise", math.inf)
        sigmas = across / noise if noise > 0 else 0.0
        found.append(Plane(level, (along_x, along_y), sigmas))
    return found


def _level_of(block: Image) -> float:
    """Give the level of a block of which both lights show half at the least."""
    is_seen = 2 * np.count_nonzero(np.isfinite(block)) >= max(block.size, 1)
    return float(finite_median(block)) if is_seen else math.nan


def _plane(
    off: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> list[float]:
    """Fit a plane to medians of blocks: its level in the middle, slopes along x and y."""
    terms = np.stack([np.ones(off.shape), *np.broadcast_arrays(x, y[:, None])], axis=-1)
    good = np.isfinite(off)
    plane = np.zeros(3)
    for _ in range(PLANES_TRIED):
        if good.sum() < FEWEST_BLOCKS:
            return [0.0, 0.0, 0.0]
        plane = np.linalg.lstsq(terms[good], off[good], rcond=None)[0]
        left = np.abs(off - terms @ plane)
        good = left <= FAR_OFF * MAD_TO_SIGMA * np.nanmedian(left)
    found: list[float] = plane.tolist()
    return found


def _flux_scale(
    light: StackLight,
    stars: NDArray[Any],
    first: StackLight,
    reference: NDArray[Any],
) -> FluxScale | None:
    """Compare the stars that two lights have in common."""
    if light.place is None or first.place is None:
        return None
    about = light.place.on_grid(first.place.geometry).then(
        first.place.on_grid(first.place.geometry).inverse()
    )
    match = match_near(stars, reference, about)
    found = None if match is None else flux_scale(stars, reference, match.pairs)
    # Resampling keeps the light of a pixel, not of a star.
    size = about.scale**2
    return found and found._replace(
        factor=found.factor / size, error=found.error / size
    )


def _by_exposure(light: StackLight, first: StackLight) -> float:
    own, other = light.item.exptime, first.item.exptime
    return other / own if own and other else 1.0


def models(
    lights: Sequence[StackLight], gain: float, change: float
) -> list[LightModel]:
    """Say how good each light is, on the scale of the stack.

    Parameters
    ----------
    lights : sequence of StackLight
        Scaled.
    gain : float
        Electrons per ADU of lights whose header does not tell.
    change : float
        Part of a star's light by which seeing and guiding may change it.
    """
    noises = [light.statistics.get("sky_noise", 0.0) for light in lights]
    usual = float(np.median([n for n in noises if n > 0] or [1.0]))
    widths = [light.statistics.get("fwhm", math.nan) for light in lights]
    known = [width for width in widths if width > 0]
    middle = float(np.median(known)) if known else math.nan
    found = []
    for light, noise, width in zip(lights, noises, widths, strict=True):
        own = light.factor * (noise if noise > 0 else usual)
        peak = (middle / width) ** 2 if width > 0 else 1.0
        smoothing = light.resampler.smoothing if light.resampler else 1.0
        found.append(
            LightModel(
                weight=1 / own**2,
                noise=own * smoothing,
                photon=light.factor / (light.gain or gain),
                change=math.hypot(change, SEEING * (peak - 1)),
            )
        )
    return found


def gain_from_sky(lights: Sequence[StackLight]) -> float:
    """Take the gain from the noise of the sky: electrons per ADU, at least.

    All of the noise is taken to be that of photons, so that star light is allowed too
    much noise rather than too little.  Where nothing tells, 1.
    """
    found = []
    for light in lights:
        sky = light.statistics.get("sky", 0.0)
        noise = light.statistics.get("sky_noise", 0.0)
        if sky > 0 and noise > 0:
            found.append(sky / noise**2)
    return min(max(float(np.median(found)), LEAST_GAIN), 1.0) if found else 1.0
