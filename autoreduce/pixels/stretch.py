"""Pixels as shades: sky neutral, faint things lifted, bright stars in their colours.

References
----------
Lupton et al. (2004), PASP 116, 133: the asinh of the mean of the colours, by which all of
them are multiplied, so that a star keeps its colour however bright it is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.demosaic import MAD_TO_SIGMA
from autoreduce.pixels.order import finite_median, median, medians_of_parts, quantiles

Floats = NDArray[np.floating]
Shades = NDArray[np.uint8] | NDArray[np.uint16]

SKY_SIGMAS = 3.0
"""Height of the sky above black, of its noise."""
SOFT = 6.0
"""Brightness, of the sky's noise, up to which shades are proportional to light."""
WHITEST = 0.999
"""Part of the pixels that are darker than white."""
LEAST_RANGE = 100.0
"""White is so many times the noise at the least."""
BALANCED_AT = 0.995
"""Part of the pixels that are darker than those by which nebulae are balanced."""
NEAR, AROUND = 7, 25
"""Sides of the squares, in pixels, in which the light of stars and of their surroundings
is compared."""
BRIGHT_SIGMAS, FEWEST_BRIGHT = 10.0, 50
"""Pixels by which colours are balanced: their height, of its scatter, and number."""
GREYING = 4.0
"""Brightness, of the noise, at which half of a colour is shown: noise has no colour."""
ENOUGH = 1 << 15
"""Pixels, about, by which the sky is known to a hundredth of its noise."""
BLACKEST = 1e-6
"""Brightness, of the sky's noise, of black: its colour is known, too."""
BAND_PIXELS = 1 << 16
"""Pixels whose shades are made at a time, about: they stay in the cache."""
SAMPLED = 1_000_000
"""Pixels, about, that a sample spreads over."""
SAMPLED_ROWS, APART = 32, 2
"""Rows of each of its bands; of them, and of their columns, every second one is taken."""
SQUARES = 12
"""Squares along a side, in which the sky is taken to find how it rises."""
ROUNDS = 5
CLIPPED = 2.5
BULK = 0.01
"""Part of the pixels, at either end, that is not of the sky."""
STEPS = 100.0
"""Scatter on either side of the sky, of what its middle half shows, from which that half
is one step of whole numbers."""


@dataclass(frozen=True, slots=True)
class Tone:
    """How the channels of an image become shades."""

    sky: tuple[float, ...]
    """Level of the sky in each channel."""
    scale: tuple[float, ...]
    """What light above it is multiplied by, to be white where it is that of most stars."""
    noise: float
    """Noise of the sky in the brightness of the picture."""
    white: float
    """Brightness of white."""
    soft: float
    """Brightness up to which shades are proportional to light."""

    def shades(self, channels: Sequence[Floats]) -> Floats:
        """Turn a band of channels into shades.

        Parameters
        ----------
        channels : sequence of 1, 3 or 4 (n, nx) arrays
            Grey; or red, green and blue; or these and their brightness.  NaN has the
            shade of the sky.

        Returns
        -------
        (n, nx) or (n, nx, 3) array
            0 (black) to 1 (white).
        """
        light = np.stack(channels)
        floor = self.noise * SKY_SIGMAS
        scale = np.array(self.scale)[:, None, None]
        black = np.array(self.sky)[:, None, None] - floor / scale
        light -= black.astype(light.dtype)
        light *= scale.astype(light.dtype)
        np.maximum(light, self.noise * BLACKEST, out=light)
        if math.isnan(light.min()):
            gaps = np.isnan(light).any(axis=0)
            light[:, gaps] = _without_gaps(light[:, gaps], floor)
        if len(light) == 1:
            return np.asarray(np.minimum(self._shade(light[0]), 1))
        colours, mean = light[:3], light[:3].mean(axis=0)
        top = peak = colours.max(axis=0)
        brightness = mean
        if len(light) > 3:
            brightness = light[3]
            peak = top * (brightness / mean)
        above = np.maximum(brightness - floor, 0)
        part = above / (above + self.noise * GREYING)
        shades = colours * (part * np.minimum(self._shade(peak), 1) / top)
        shades += (1 - part) * self._shade(brightness)
        np.minimum(shades, 1, out=shades)
        return np.asarray(np.moveaxis(shades, 0, -1))

    def _shade(self, light: Floats) -> Floats:
        shade: Floats = np.arcsinh(light / self.soft)
        shade /= math.asinh(self.white / self.soft)
        return shade


class Slope(NamedTuple):
    """How the sky of an image rises from one side to the other."""

    up: float = 0.0
    """ADU a row ..."""
    along: float = 0.0
    """... and a column."""
    middle: tuple[float, float] = (0.0, 0.0)
    """(y, x) of the place at which nothing is taken away."""

    def levelled(
        self,
        values: Floats,
        rows: NDArray[np.integer],
        columns: NDArray[np.integer],
        sky: float = 0.0,
    ) -> Floats:
        """Take from (ny, nx) values of some rows and columns what the sky rises there.

        The whole of it, if the level in the middle is told, too.
        """
        y, x = self.middle
        up = (self.up * (rows - y) + sky).astype(np.float32)
        along = (self.along * (columns - x)).astype(np.float32)
        level = np.asarray(values - up[:, None])
        level -= along
        return level


def slope_of(
    channel: Floats, rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> Slope:
    """Find how the sky of an image rises, as twilight, the moon and towns have it.

    Parameters
    ----------
    channel : (ny, nx) array
        Some rows and columns of the image.
    rows : (ny,) array
        Which they are, in order.
    columns : (nx,) array
        The same of columns.

    Returns
    -------
    Slope
        A plane through the medians of squares, those that something shines in clipped
        off; none if these are many.
    """
    parts = [np.array_split(np.arange(n), min(SQUARES, n)) for n in channel.shape]
    at_y, at_x = ([float(part.mean()) for part in one] for one in parts)
    medians = np.concatenate(
        [medians_of_parts(channel[y[0] : y[-1] + 1], len(at_x)) for y in parts[0]]
    )
    middle = (
        float(rows[0] + rows[-1]) / 2,
        float(columns[0] + columns[-1]) / 2,
    )
    y = np.interp(at_y, np.arange(len(rows)), rows) - middle[0]
    x = np.interp(at_x, np.arange(len(columns)), columns) - middle[1]
    places = np.c_[np.repeat(y, len(x)), np.tile(x, len(y)), np.ones(len(medians))]
    known = np.isfinite(medians)
    # The lower half of a plane tells the plane as well, and less of it shines.
    kept = known & (medians <= finite_median(medians))
    if np.count_nonzero(kept) < places.shape[1]:
        return Slope()
    for _ in range(ROUNDS):
        plane = np.linalg.lstsq(places[kept], medians[kept])[0]
        rest = medians - places @ plane
        level = float(median(rest[kept]))
        noise = MAD_TO_SIGMA * float(median(level - rest[kept & (rest <= level)]))
        kept = known & (rest <= level + CLIPPED * noise)
    if np.count_nonzero(kept) < np.count_nonzero(known) / 2:
        return Slope()
    return Slope(float(plane[0]), float(plane[1]), middle)


def mean_of_known(images: Sequence[Floats]) -> Floats:
    """Average images pixel by pixel, over those that are not NaN there; NaN if all are."""
    if len(images) == 1:
        return images[0]
    stack = np.stack(images)
    mean = np.asarray(stack.mean(axis=0))
    gaps = np.isnan(mean)
    if gaps.any():
        some = stack[:, gaps]
        known = np.count_nonzero(~np.isnan(some), axis=0)
        total = np.nansum(some, axis=0)
        mean[gaps] = np.where(known, total / np.maximum(known, 1), np.nan)
    return mean


def _without_gaps(light: Floats, sky: float) -> Floats:
    """Give a colour that is missing the mean of the others, and without any the sky's.

    A brightness that is missing is that of the colours.
    """
    colours = light[:3]
    colours = np.where(np.isnan(colours), mean_of_known(list(colours)), colours)
    colours[np.isnan(colours)] = sky
    rest = np.where(np.isnan(light[3:]), colours.mean(axis=0), light[3:])
    return np.concatenate([colours, rest])


class Sample(NamedTuple):
    """Pixels of an image from which its `Slope` and `Tone` may be taken."""

    bands: Sequence[tuple[int, int]]
    """First row, and the one after the last, of bands evenly over the image."""
    rows: NDArray[np.intp]
    """Those that are taken ..."""
    columns: NDArray[np.intp]
    """... and the columns."""
    apart: int
    """From one of them to the next."""

    @classmethod
    def of(cls, shape: tuple[int, int]) -> "Sample":
        """Choose the pixels; all of a small image."""
        ny, nx = shape
        apart = APART if ny * nx * APART > SAMPLED else 1
        every = max(ny * nx // SAMPLED, 1) * SAMPLED_ROWS
        first = min((every - SAMPLED_ROWS) // 2, max(ny - SAMPLED_ROWS, 0))
        starts = range(first, ny, every)
        bands = [(start, min(start + SAMPLED_ROWS, ny)) for start in starts]
        rows = np.concatenate([np.arange(*band, apart) for band in bands])
        return cls(bands, rows, np.arange(0, nx, apart), apart)

    def read(self, rows: Callable[[int, int], Floats]) -> Floats:
        """Take them from what gives the rows of the image."""
        every = self.apart
        return np.concatenate([rows(*one)[::every, ::every] for one in self.bands])


def tone_of(
    channels: Sequence[Floats],
    *,
    soft: float = SOFT,
    by_stars: bool = True,
    apart: int = 1,
) -> Tone:
    """Find black, white and the balance of colours.

    Parameters
    ----------
    channels : sequence of 1, 3 or 4 (n, nx) arrays
        As `Tone.shades` takes them; a `Sample` of the image will do.
    soft : float
        Brightness, of the sky's noise, up to which shades are proportional to light:
        smaller values lift what is faint.
    by_stars : bool
        Whether most stars shall be white; else, as where filters pass lines only, the
        brightest parts are.
    apart : int
        Pixels of the image from one of theirs to the next.
    """
    middle = min(1, len(channels) - 1)
    levels = levels_of(channels, middle, by_stars=by_stars, apart=apart)
    noises = [level.noise * level.scale for level in levels]
    noise = math.hypot(*noises[:3]) / min(len(noises), 3)
    noise = noises[3] if len(levels) == 4 else noise
    noise = noise if noise > 0 else 1.0
    light = [
        (channel - level.sky) * level.scale
        for channel, level in zip(channels, levels, strict=True)
    ]
    peak = light[0]
    if len(light) > 1:
        colours = np.maximum(np.stack(light[:3]), noise * BLACKEST)
        peak = colours.max(axis=0)
        if len(light) > 3:
            mean = colours.mean(axis=0)
            peak *= np.where(np.isnan(light[3]), mean, light[3]) / mean
    return Tone(
        sky=tuple(level.sky for level in levels),
        scale=tuple(level.scale for level in levels),
        noise=noise,
        white=max(LEAST_RANGE * noise, _quantile(peak, WHITEST)),
        soft=soft * noise,
    )


class Level(NamedTuple):
    """The sky of an image, and what brings its light to that of another."""

    sky: float
    """Level of the sky."""
    noise: float
    """Noise of the sky."""
    scale: float
    """What light above the sky is multiplied by."""


def levels_of(
    images: Sequence[Floats],
    reference: int = 0,
    *,
    by_stars: bool = True,
    apart: int = 1,
) -> list[Level]:
    """Tell what brings the light of images to that of one of them.

    Parameters
    ----------
    images : sequence of (n, nx) arrays
        The same pixels of each.
    reference : int
        Index of the one that the others are brought to.
    by_stars, apart
        As in `tone_of`.
    """
    skies, noises, steps = zip(*(_sky(image) for image in images), strict=True)
    ratios = [0.0] * len(images)
    if by_stars and len(images) > 1:
        ratios = _ratios_of_stars(images, skies, reference, apart, any(steps))
    if min(ratios) <= 0:
        high = [
            _quantile(image, BALANCED_AT) - sky
            for image, sky in zip(images, skies, strict=True)
        ]
        for index, ratio in enumerate(ratios):
            if ratio <= 0:
                is_seen = high[index] > 0 and high[reference] > 0
                ratios[index] = high[index] / high[reference] if is_seen else 1.0
    return [
        Level(sky, noise, 1 / ratio)
        for sky, noise, ratio in zip(skies, noises, ratios, strict=True)
    ]


def _ratios_of_stars(
    images: Sequence[Floats],
    skies: Sequence[float],
    reference: int,
    apart: int,
    steps: bool,
) -> list[float]:
    """Compare the light of stars, free of what is around them; 0 if there are few.

    Steps as high as the sky swallow light of faint stars: half of all light then counts,
    not half of the pixels.
    """
    sizes = [side // apart | 1 for side in (NEAR, AROUND)]
    stars = _stars(images[reference], skies[reference], sizes)
    noise = MAD_TO_SIGMA * float(median(np.abs(_some_of(stars))))
    bright = np.flatnonzero(stars > BRIGHT_SIGMAS * noise)
    if bright.size < FEWEST_BRIGHT:
        return [0.0] * len(images)
    light = stars[bright]
    weights = light if steps else np.ones_like(light)
    return [
        1.0
        if index == reference
        else _weighted_median(_stars(image, sky, sizes)[bright] / light, weights)
        for index, (image, sky) in enumerate(zip(images, skies, strict=True))
    ]


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _stars(image: Floats, sky: float, sizes: Sequence[int]) -> NDArray[np.float32]:
    """Give the light near each pixel, without that of its surroundings, as one row."""
    from scipy.ndimage import uniform_filter

    known = np.where(np.isfinite(image), image, sky).astype(np.float32, copy=False)
    near, wide = (uniform_filter(known, size) for size in sizes)
    near -= wide
    return np.asarray(near.ravel())


def _quantile(values: Floats, part: float) -> float:
    """Give a quantile of the values that are finite; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(quantiles(known, [part])[0]) if known.size else math.nan


def _some_of(values: Floats) -> Floats:
    """Give as many values as are enough, evenly over all."""
    return values.ravel()[:: max(1, values.size // ENOUGH) | 1]


def _sky(channel: Floats) -> tuple[float, float, bool]:
    """Give level and noise of the sky, what shines clipped off; whether it is of steps."""
    some = _some_of(channel)
    ordered = np.sort(some[np.isfinite(some)].astype(np.float64))
    if not ordered.size:
        return 0.0, 0.0, False
    values, level, noise = ordered, 0.0, 0.0
    for _ in range(ROUNDS):
        level = _middle(values)
        below = values[: np.searchsorted(values, level, "right")]
        noise = MAD_TO_SIGMA * (level - _middle(below))
        n_kept = np.searchsorted(values, level + CLIPPED * noise)
        if n_kept in (0, values.size):
            break
        values = values[:n_kept]
    of_steps = _noise_of_steps(ordered, level, noise)
    return level, max(noise, of_steps), of_steps > noise


def _middle(ordered: NDArray[np.float64]) -> float:
    """Give the median of values that are in order."""
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _noise_of_steps(ordered: NDArray[np.float64], level: float, noise: float) -> float:
    """Give the noise of a sky of whole numbers, most of which are alike; 0 of others.

    The half that is nearest to the level tells nothing of it then.
    """
    low, high = quantiles(ordered, [BULK, 1 - BULK])
    ends = np.searchsorted(ordered, low), np.searchsorted(ordered, high, "right")
    above = ordered[slice(*ends)] - level
    sides = (np.square(clip(above, 0)).mean() for clip in (np.minimum, np.maximum))
    # Borders without light are on the one side alone, nebulae on the other.
    if math.sqrt(min(map(float, sides))) <= STEPS * noise:
        return 0.0
    return float(np.std(above))


def whole_numbers(shades: NDArray[np.floating], bits: int = 8) -> Shades:
    """Turn shades from 0 to 1 into those of a file: 0 to 255, or of 16 bits to 65535."""
    numbers: NDArray[np.floating] = shades * (2**bits - 1)
    numbers += 0.5
    if bits == 8:
        return numbers.astype(np.uint8)
    return numbers.astype(np.uint16)
