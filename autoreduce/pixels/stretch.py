"""Pixels as shades: sky neutral, faint things lifted, bright stars in their colours.

References
----------
Lupton et al. (2004), PASP 116, 133: the asinh of the mean of the colours, by which all of
them are multiplied, so that a star keeps its colour however bright it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.demosaic import MAD_TO_SIGMA
from autoreduce.pixels.order import finite_median, median, quantiles

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
ENOUGH = 1 << 18
"""Pixels by which the sky is known to a thousandth of its noise or two."""
BAND_ROWS = 128
"""Rows that are made at a time."""
SAMPLED = 1_000_000
"""Pixels, about, from which black, white and the balance of colours are taken."""
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
        light = [
            np.maximum((channel - sky) * scale + self.noise * SKY_SIGMAS, 0)
            for channel, sky, scale in zip(channels, self.sky, self.scale, strict=True)
        ]
        if len(light) == 1:
            return np.asarray(np.minimum(self._shade(self._filled(light[0])), 1))
        colours = _neutral_gaps(light[:3])
        brightness, peak = _bright(colours, *light[3:])
        brightness, peak = self._filled(brightness), self._filled(peak)
        above = np.maximum(brightness - self.noise * SKY_SIGMAS, 0)
        part = above / (above + self.noise * GREYING)
        top = colours.max(axis=0)
        hue = np.divide(colours, top, out=np.ones_like(colours), where=top > 0)
        shades = part * np.minimum(self._shade(peak), 1) * hue
        shades += (1 - part) * self._shade(brightness)
        return np.asarray(np.moveaxis(np.minimum(shades, 1), 0, -1))

    def _filled(self, light: Floats) -> Floats:
        """Give what is missing the light of the sky."""
        return np.asarray(np.where(np.isnan(light), self.noise * SKY_SIGMAS, light))

    def _shade(self, light: Floats) -> Floats:
        return np.asarray(
            np.arcsinh(light / self.soft) / math.asinh(self.white / self.soft)
        )


class Slope(NamedTuple):
    """How the sky of an image rises from one side to the other."""

    up: float = 0.0
    """ADU a row ..."""
    along: float = 0.0
    """... and a column."""
    middle: tuple[float, float] = (0.0, 0.0)
    """(y, x) of the place at which nothing is taken away."""

    def levelled(self, values: Floats, rows: NDArray[np.integer]) -> Floats:
        """Take from (n, nx) values of some rows what the sky has more than in the middle."""
        y, x = self.middle
        columns = np.arange(values.shape[1])
        risen = self.up * (rows[:, None] - y) + self.along * (columns - x)
        return np.asarray(values - risen.astype(np.float32))


def slope_of(channel: Floats, rows: NDArray[np.integer]) -> Slope:
    """Find how the sky of an image rises, as twilight, the moon and towns have it.

    Parameters
    ----------
    channel : (n, nx) array
        Some rows of the image.
    rows : (n,) array
        Which they are, in order.

    Returns
    -------
    Slope
        A plane through the medians of squares, those that something shines in clipped
        off; none if these are many.
    """
    parts = [np.array_split(np.arange(n), min(SQUARES, n)) for n in channel.shape]
    at_y, at_x = ([float(part.mean()) for part in one] for one in parts)
    medians = np.array(
        [
            [
                finite_median(channel[y[0] : y[-1] + 1, x[0] : x[-1] + 1])
                for x in parts[1]
            ]
            for y in parts[0]
        ]
    ).ravel()
    middle = (float(rows[0] + rows[-1]) / 2, (channel.shape[1] - 1) / 2)
    y = np.interp(at_y, np.arange(len(rows)), rows) - middle[0]
    places = np.c_[
        np.repeat(y, len(at_x)), np.tile(np.array(at_x) - middle[1], len(at_y)),
        np.ones(len(medians)),
    ]  # fmt: skip
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
    gaps = np.isnan(stack)
    if not gaps.any():
        mean: Floats = stack.mean(axis=0)
        return mean
    known = (~gaps).sum(axis=0)
    total = np.where(gaps, 0, stack).sum(axis=0)
    mean = np.full_like(total, np.nan)
    np.divide(total, known, out=mean, where=known > 0)
    return mean


def _neutral_gaps(colours: Sequence[Floats]) -> Floats:
    """Give a colour that is missing the mean of those that are there."""
    stack = np.stack(colours)
    gaps = np.isnan(stack)
    return np.where(gaps, mean_of_known(colours), stack) if gaps.any() else stack


def _bright(colours: Floats, luminance: Floats | None = None) -> tuple[Floats, Floats]:
    """Give the brightness of pixels, and what of it their brightest colour has.

    By the latter bright parts are stretched: they keep their structure in any hue.
    """
    mean = colours.mean(axis=0)
    brightness = mean
    if luminance is not None:
        brightness = np.where(np.isnan(luminance), mean, luminance)
    top = colours.max(axis=0)
    peak = np.divide(top, mean, out=np.ones_like(top), where=mean > 0) * brightness
    return brightness, np.asarray(peak)


def sampled_rows(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Choose rows from which `tone_of` may be taken: bands, evenly over the image.

    Returns
    -------
    list of (start, stop)
        All rows of an image of fewer than two million pixels.
    """
    ny, nx = shape
    step = max(ny * nx // SAMPLED, 1) * BAND_ROWS
    return [(start, min(start + BAND_ROWS, ny)) for start in range(0, ny, step)]


def rows_of(bands: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """List the rows of bands."""
    return np.concatenate([np.arange(start, stop) for start, stop in bands])


def tone_of(
    channels: Sequence[Floats], *, soft: float = SOFT, by_stars: bool = True
) -> Tone:
    """Find black, white and the balance of colours.

    Parameters
    ----------
    channels : sequence of 1, 3 or 4 (n, nx) arrays
        As `Tone.shades` takes them; some rows of the image will do.
    soft : float
        Brightness, of the sky's noise, up to which shades are proportional to light:
        smaller values lift what is faint.
    by_stars : bool
        Whether most stars shall be white; else, as where filters pass lines only, the
        brightest parts are.
    """
    skies = [_sky(channel) for channel in channels]
    light = [channel - sky for channel, (sky, _) in zip(channels, skies, strict=True)]
    middle = min(1, len(channels) - 1)
    scale = [_scale(one, light[middle], by_stars=by_stars) for one in light]
    noises = [noise * factor for (_, noise), factor in zip(skies, scale, strict=True)]
    noise = math.hypot(*noises[:3]) / min(len(noises), 3)
    noise = noises[3] if len(light) == 4 else noise
    balanced = [one * factor for one, factor in zip(light, scale, strict=True)]
    peak = balanced[0]
    if len(balanced) > 1:
        _, peak = _bright(np.maximum(np.stack(balanced[:3]), 0), *balanced[3:])
    known = peak[np.isfinite(peak)]
    noise = noise if noise > 0 else 1.0
    white = float(quantiles(known, [WHITEST])[0]) if known.size else 0.0
    return Tone(
        sky=tuple(sky for sky, _ in skies),
        scale=tuple(scale),
        noise=noise,
        white=max(white, LEAST_RANGE * noise),
        soft=soft * noise,
    )


def _scale(light: Floats, green: Floats, *, by_stars: bool) -> float:
    """Tell what a channel is multiplied by to be as bright as green."""
    if light is green:
        return 1.0
    ratio = _ratio_of_stars(light, green) if by_stars else 0.0
    if ratio > 0:
        return 1 / ratio
    high = [_high(light), _high(green)]
    return high[1] / high[0] if min(high) > 0 else 1.0


def _high(light: Floats) -> float:
    """Give a level that only bright parts reach; NaN if nothing is known."""
    known = light[np.isfinite(light)]
    return float(quantiles(known, [BALANCED_AT])[0]) if known.size else math.nan


def _ratio_of_stars(light: Floats, green: Floats) -> float:
    """Compare the light of stars, free of what is around them; 0 if there are few."""
    own, other = _stars(light), _stars(green)
    noise = MAD_TO_SIGMA * float(median(np.abs(other)))
    bright = other > BRIGHT_SIGMAS * noise
    if np.count_nonzero(bright) < FEWEST_BRIGHT:
        return 0.0
    return float(median(own[bright] / other[bright]))


def _stars(image: Floats) -> NDArray[np.float32]:
    """Give the light near each pixel, without that of its surroundings."""
    from scipy.ndimage import uniform_filter

    known = np.nan_to_num(image).astype(np.float32)
    near, wide = (uniform_filter(known, size) for size in (NEAR, AROUND))
    return np.asarray(near - wide)


def _sky(channel: Floats) -> tuple[float, float]:
    """Give level and noise of the sky, what shines clipped off."""
    values = channel[np.isfinite(channel)]
    values = values[:: max(1, values.size // ENOUGH)].astype(np.float64)
    if not values.size:
        return 0.0, 0.0
    every, level, noise = values, 0.0, 0.0
    for _ in range(ROUNDS):
        level = float(median(values))
        below = values[values <= level]
        noise = MAD_TO_SIGMA * float(median(level - below))
        kept = values[values < level + CLIPPED * noise]
        if not kept.size or kept.size == values.size:
            break
        values = kept
    return level, max(noise, _noise_of_steps(every, level, noise))


def _noise_of_steps(values: Floats, level: float, noise: float) -> float:
    """Give the noise of a sky of whole numbers, most of which are alike; 0 of others.

    The half that is nearest to the level tells nothing of it then.
    """
    low, high = quantiles(values, [BULK, 1 - BULK])
    above = values[(values >= low) & (values <= high)] - level
    sides = (np.square(clip(above, 0)).mean() for clip in (np.minimum, np.maximum))
    # Borders without light are on the one side alone, nebulae on the other.
    if math.sqrt(min(map(float, sides))) <= STEPS * noise:
        return 0.0
    return float(np.std(above))


def whole_numbers(shades: NDArray[np.floating], bits: int = 8) -> Shades:
    """Turn shades from 0 to 1 into those of a file: 0 to 255, or of 16 bits to 65535."""
    numbers: NDArray[np.floating] = shades * (2**bits - 1) + 0.5
    if bits == 8:
        return numbers.astype(np.uint8)
    return numbers.astype(np.uint16)
