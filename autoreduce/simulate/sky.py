"""The light that falls on a detector: stars, their trails, nebulae, satellites.

Pure arrays, noiseless, in electrons.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from autoreduce.simulate.listing import Filter, Stars, Target, Twilight

Floats = NDArray[np.float32]

BETA = 3.0
"""Exponent of the Moffat profile of a star."""
SLOPE = 0.8
"""Slope of the number of stars against their rate: N(> f) ~ f**-SLOPE."""
FWHM_TO_SIGMA = 1 / 2.3548200450309493


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Stars: positions in pixels from the centre of the first pixel, and rates."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    rate_e_per_s: NDArray[np.float64]
    colour: NDArray[np.float64] | float = 0.0
    """Colours in magnitudes: what is above 0 is red."""

    def through(self, band: Filter) -> Self:
        """Give the stars as they shine through a filter."""
        return replace(
            self, rate_e_per_s=self.rate_e_per_s * band.light_of(self.colour)
        )

    def on_pixels(self, ratio: tuple[float, float]) -> Self:
        """Give the stars on pixels that are so many times as high and wide."""
        high, wide = ratio
        return replace(
            self, x=(self.x + 0.5) / wide - 0.5, y=(self.y + 0.5) / high - 0.5
        )

    def turned(self, degrees: float, shape: tuple[int, int]) -> Self:
        """Turn the stars about the centre of a frame, from x towards y."""
        if not degrees:
            return self
        cx, cy = (shape[1] - 1) / 2, (shape[0] - 1) / 2
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        x, y = self.x - cx, self.y - cy
        return replace(self, x=cx + c * x - s * y, y=cy + s * x + c * y)

    def eclipsed(self, fraction: float) -> Self:
        """Take a fraction of its light from the brightest star, the first."""
        rate = self.rate_e_per_s.copy()
        rate[:1] *= 1 - fraction
        return replace(self, rate_e_per_s=rate)


def star_catalogue(
    stars: Stars, shape: tuple[int, int], rng: np.random.Generator, crowding: float = 0
) -> Catalogue:
    """Draw stars with a power law of rates.

    Parameters
    ----------
    stars : Stars
        Their number per megapixel, and the range of their rates.
    shape : (ny, nx)
        Area in which they lie.
    rng : Generator
        Where they come from.
    crowding : float
        Fraction of them that is drawn towards the centre.

    Returns
    -------
    Catalogue
        The stars, the brightest first.
    """
    ny, nx = shape
    n = round(stars.stars_per_mpix * nx * ny / 1e6)
    x, y = rng.uniform(0, nx, n), rng.uniform(0, ny, n)
    drawn = rng.uniform(size=n) < crowding
    x = np.where(drawn, nx / 2 + rng.standard_cauchy(n) * nx * 0.05, x)
    y = np.where(drawn, ny / 2 + rng.standard_cauchy(n) * nx * 0.05, y)
    ratio = (stars.brightest_e_per_s / stars.faintest_e_per_s) ** -SLOPE
    rate = stars.faintest_e_per_s * rng.uniform(ratio, 1, n) ** (-1 / SLOPE)
    order = np.argsort(-rate, kind="stable")
    colour = rng.normal(0, stars.colours, n) if stars.colours else np.zeros(n)
    return Catalogue(x[order], y[order], rate[order], colour)


def add_stars(
    image: Floats,
    catalogue: Catalogue,
    exposure: float,
    fwhm: float,
    shift: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Add the images of stars, Moffat profiles, to a frame.

    Parameters
    ----------
    image : (ny, nx) float32 array, electron
        Frame that the stars are added to, in place.
    catalogue : Catalogue
        The stars.
    exposure : float
        Seconds, times the fraction of the light that gets through.
    fwhm : float
        Full width at half maximum, pixels.
    shift : (dx, dy)
        Pointing of this frame, pixels.
    """
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / BETA) - 1)
    for x0, y0, rate in zip(
        catalogue.x + shift[0],
        catalogue.y + shift[1],
        catalogue.rate_e_per_s,
        strict=True,
    ):
        peak = rate * exposure * (BETA - 1) / (np.pi * alpha**2)
        # out to where less than a twentieth of an electron is left
        reach = alpha * np.sqrt(max(2.0, (20 * peak) ** (1 / BETA) - 1))
        box = box_around(image.shape, x0, y0, reach, reach)
        y, x = np.ogrid[box]
        square = ((x - x0) ** 2 + (y - y0) ** 2) / alpha**2
        image[box] += (peak * (1 + square) ** -BETA).astype(np.float32)


def box_around(
    shape: tuple[int, ...], x0: float, y0: float, reach_x: float, reach_y: float
) -> tuple[slice, slice]:
    """Return the rows and columns within reach of a point, inside the frame."""
    ny, nx = shape
    rows = np.clip([np.floor(y0 - reach_y), np.ceil(y0 + reach_y) + 1], 0, ny)
    cols = np.clip([np.floor(x0 - reach_x), np.ceil(x0 + reach_x) + 1], 0, nx)
    return slice(int(rows[0]), int(rows[1])), slice(int(cols[0]), int(cols[1]))


def add_trails(
    image: Floats,
    catalogue: Catalogue,
    exposure: float,
    fwhm: float,
    start: tuple[float, float],
    motion: tuple[float, float],
) -> None:
    """Add the trails of stars that move during an exposure.

    A trail is the line from where the star was when the shutter opened to where
    it was when it closed, blurred by a Gaussian.  The catalogue repeats itself on
    the sky with three frames' width and two frames' height.

    Parameters
    ----------
    image : (ny, nx) float32 array, electron
        Frame that the trails are added to, in place.
    catalogue : Catalogue
        Stars of an area of (2 ny, 3 nx) pixels.
    exposure : float
        Seconds, times the fraction of the light that gets through.
    fwhm : float
        Full width at half maximum, pixels.
    start : (dx, dy)
        Displacement of the stars when the shutter opened, pixels.
    motion : (dx, dy)
        Their displacement during the exposure, pixels.
    """
    ny, nx = image.shape
    x0 = (catalogue.x + start[0]) % (3 * nx) - nx
    y0 = (catalogue.y + start[1]) % (2 * ny) - ny / 2
    sigma = fwhm * FWHM_TO_SIGMA
    for x, y, rate in zip(x0, y0, catalogue.rate_e_per_s, strict=True):
        _add_trail(image, (x, y), motion, rate * exposure, sigma)


def _add_trail(
    image: Floats,
    start: tuple[float, float],
    motion: tuple[float, float],
    electrons: float,
    sigma: float,
) -> None:
    from scipy.special import erf

    length = float(np.hypot(*motion)) or 1e-6
    dx, dy = motion[0] / length, motion[1] / length
    x0, y0 = start[0] + motion[0] / 2, start[1] + motion[1] / 2
    reach_x = abs(motion[0]) / 2 + 6 * sigma
    reach_y = abs(motion[1]) / 2 + 6 * sigma
    box = box_around(image.shape, x0, y0, reach_x, reach_y)
    y, x = np.ogrid[box]
    along = (x - x0) * dx + (y - y0) * dy
    across = (y - y0) * dx - (x - x0) * dy
    width = np.sqrt(2) * sigma
    ends = erf((along + length / 2) / width) - erf((along - length / 2) / width)
    profile = np.exp(-((across / width) ** 2)) / (sigma * np.sqrt(2 * np.pi))
    image[box] += (electrons / length / 2 * ends * profile).astype(np.float32)


def nebula(target: Target, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw a nebula: an ellipse with brighter and darker patches in it.

    Parameters
    ----------
    target : Target
        Brightness and extent.
    shape : (ny, nx)
        Size of the frame.
    rng : Generator
        Where the patches lie.

    Returns
    -------
    (ny, nx) float32 array, e/s/pixel
        Surface brightness; all 0 for a target without a nebula.
    """
    ny, nx = shape
    total = np.zeros(shape, np.float32)
    if not target.nebula_e_per_s:
        return total
    size = target.nebula_size * nx
    total += _blob(shape, nx / 2, ny / 2, size, 0.7 * size)
    for _ in range(12):
        x0 = nx / 2 + rng.normal(0, 0.8 * size)
        y0 = ny / 2 + rng.normal(0, 0.5 * size)
        width, height = size * rng.uniform(0.05, 0.3, 2)
        total += np.float32(rng.uniform(-0.4, 0.6)) * _blob(
            shape, x0, y0, width, height
        )
    np.maximum(total, 0, out=total)
    total *= np.float32(target.nebula_e_per_s / total.max())
    return total


def turned(image: Floats, degrees: float) -> Floats:
    """Turn an image about its centre, from x towards y; dark beyond its edges."""
    from scipy.ndimage import affine_transform

    if not degrees:
        return image
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[c, -s], [s, c]])
    centre = (np.array(image.shape) - 1) / 2
    found = affine_transform(image, matrix, centre - matrix @ centre, order=1)
    return np.asarray(found, np.float32)


def _blob(
    shape: tuple[int, int], x0: float, y0: float, width: float, height: float
) -> Floats:
    across = np.exp(-(((np.arange(shape[1]) - x0) / width) ** 2) / 2)
    along = np.exp(-(((np.arange(shape[0]) - y0) / height) ** 2) / 2)
    return np.outer(along, across).astype(np.float32)


def twilight_sky(
    twilight: Twilight, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """Draw the relative brightness of the twilight sky across one frame.

    Parameters
    ----------
    twilight : Twilight
        How steep the sky may be.
    shape : (ny, nx)
        Size of the frame.
    rng : Generator
        The frame's own source of numbers.

    Returns
    -------
    (ny, nx) float32 array
        A tilted plane with a mean of 1.
    """
    ny, nx = shape
    slope_x, slope_y = rng.normal(0, twilight.gradient, 2)
    across = slope_x * np.linspace(-0.5, 0.5, nx)
    along = slope_y * np.linspace(-0.5, 0.5, ny)
    plane: Floats = (1 + along[:, None] + across).astype(np.float32)
    return plane
