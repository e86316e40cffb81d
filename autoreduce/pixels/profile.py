"""Profiles of stars: how wide they are, and what is too sharp to be one."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

SIGMA_TO_FWHM = 2.3548
PIXEL_VARIANCE = 1 / 12
"""Variance, along a side, of a pixel's own shape."""
NODES = np.array([-1, 1]) / np.sqrt(12)
"""Points of a pixel, along a side, whose mean is that of the pixel: exact for cubics."""
REACH = 2.5
"""Radius of the pixels that a profile is fitted to, of its width."""
LEAST_FWHM, GREATEST_FWHM = 0.4, 4.0
"""Bounds of the fitted width, of the width that is known."""
BETAS = (1.5, 100.0)
"""Exponents of a profile: from wings wider than any star's to a Gaussian's."""
USUAL_BETA = 3.5
"""Exponent of most stars, as the atmosphere blurs them."""
MODEL_ERROR = 0.02
"""What a star is off the model, of its own scatter: bright stars count alike."""
ODD = 3.0
"""A star so many times as far off the profile as others is left out: it has company."""
MOST_STEPS, ENOUGH = 12, 1e-4
"""Steps of a fit, and the change of a shape that is none."""
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps in rows and columns from a pixel to its neighbours, and back."""


class Moffat(NamedTuple):
    """A profile ``(1 + r^2 / a^2)^-beta``, before pixels average it."""

    fwhm: float
    """Full width at half maximum, in pixels."""
    beta: float
    """Exponent: small for wide wings."""

    def core(self) -> float:
        """Give the radius ``a``."""
        return float(self.fwhm / 2 / np.sqrt(2 ** (1 / self.beta) - 1))

    def averaged(self, squared: Image) -> Image:
        """Average the profile over pixels, and what it changes by with its shape.

        Parameters
        ----------
        squared : (k, ...) float32 array
            Squared distances of the k points of each pixel from the centre, in pixels.

        Returns
        -------
        (3, ...) array
            The profile, 1 at its centre; its derivatives by the logarithm of the width and
            by the reciprocal of the exponent.
        """
        found = np.empty((3, *squared.shape[1:]), np.float32)
        z = squared * np.float32(1 / self.core() ** 2)
        z += 1
        logarithm = np.log(z)
        drawn = np.exp(np.float32(-self.beta) * logarithm)
        drawn.mean(axis=0, out=found[0])
        logarithm *= drawn
        logarithm.mean(axis=0, out=found[2])
        drawn /= z
        drawn.mean(axis=0, out=found[1])
        found[1] = 2 * self.beta * (found[0] - found[1])
        # At the same width a profile of another exponent has another core.
        core = np.log(2) / 2 / (1 - 2 ** (-1 / self.beta))
        found[2] = self.beta**2 * found[2] - core * found[1]
        return found

    def width_of(self, part: Floats, core: float, whole: float) -> Floats:
        """Tell how wide stars are whose light within two radii has a ratio.

        Parameters
        ----------
        part : (n,) array
            Light within the radius `core`, of that within `whole`.
        core, whole : float
            The radii, in pixels.

        Returns
        -------
        (n,) array
            Full width at half maximum of profiles of the same exponent.
        """
        widths = np.geomspace(0.1, 10, 200)[::-1] * self.fwhm
        # The pixel widens the profile, and so does the edge of the aperture.
        seen = np.sqrt(widths**2 + 2 * PIXEL_VARIANCE * SIGMA_TO_FWHM**2)
        squared = (seen / 2) ** 2 / (2 ** (1 / self.beta) - 1)
        inner, outer = (
            1 - (1 + radius**2 / squared) ** (1 - self.beta) for radius in (core, whole)
        )
        return np.interp(part, inner / outer, widths)


def mode(values: NDArray[Any]) -> float:
    """Find where most of the values lie: the half-sample mode.

    Parameters
    ----------
    values : (n,) array
        Positive values, at least one; those that differ by the same factor are as far
        apart.

    Returns
    -------
    float
        The middle of the shortest interval that holds half of them, and of that
        again, and so on.

    References
    ----------
    .. [1] Robertson & Cryer (1974), JASA 69, 1012; Bickel & Fruehwirth (2006), Comput.
       Stat. Data Anal. 50, 3500.
    """
    ordered = np.sort(np.log(values))
    while len(ordered) > 3:
        half = (len(ordered) + 1) // 2
        start = int(np.argmin(ordered[half - 1 :] - ordered[: len(ordered) - half + 1]))
        ordered = ordered[start : start + half]
    return float(np.exp(np.median(ordered)))


def steepness(image: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> Image:
    """Compare the brightest pixels of objects with their neighbours.

    Parameters
    ----------
    image : (ny, nx) array
        Light without its sky.
    x, y : (n,) arrays of int
        The brightest pixels.

    Returns
    -------
    (4, n) float32 array
        Mean of the two neighbours on either side, of the peak; along rows, columns and
        both diagonals.  A lone pixel has 0, a line of them 0 across it.
    """
    (ny, nx), pixels = image.shape, image.ravel()
    twice = 2 * np.maximum(image[y, x], np.finfo(np.float32).tiny)
    rows = [np.clip(y + step, 0, ny - 1) * nx for step in (0, 1, -1)]
    columns = [np.clip(x + step, 0, nx - 1) for step in (0, 1, -1)]
    found = np.empty((len(DIRECTIONS), len(x)), np.float32)
    for row, (dy, dx) in zip(found, DIRECTIONS, strict=True):
        one, other = rows[dy] + columns[dx], rows[-dy] + columns[-dx]
        np.add(pixels.take(one), pixels.take(other), out=row)
    found /= twice
    return found


def least_steepness(fwhm: float) -> Floats:
    """Give the `steepness` of a star on the middle of a pixel, where it is steepest.

    Parameters
    ----------
    fwhm : float
        Width of the star, a Gaussian, in pixels.

    Returns
    -------
    (4, 1) array
        As `steepness` has it.
    """
    root = fwhm / SIGMA_TO_FWHM * math.sqrt(2)
    centre, upto = math.erf(0.5 / root), math.erf(1.5 / root)
    side = (upto - centre) / 2 / centre
    return np.array([[side], [side], [side**2], [side**2]])


def fit_moffat(
    image: NDArray[Any], x: Floats, y: Floats, fwhm: float, noise: float
) -> Moffat:
    """Fit one profile to several stars, each with a flux and a sky of its own.

    Parameters
    ----------
    image : (ny, nx) array
        Light without its sky.
    x, y : (n,) arrays
        Centres of bright stars without neighbours, their surroundings within the frame.
    fwhm : float
        About how wide they are, in pixels.
    noise : float
        1-sigma noise of a pixel.

    Returns
    -------
    Moffat
        The profile, averaged over pixels, that fits best; stars that fit it much worse
        than the others are left out.
    """
    reach = int(np.ceil(REACH * fwhm)) + 1
    ix, iy = np.rint(x).astype(np.intp), np.rint(y).astype(np.intp)
    near = np.arange(-reach, reach + 1)
    up, along = (step.ravel() for step in np.meshgrid(near, near, indexing="ij"))
    disc = up**2 + along**2 <= reach**2
    rows, columns = iy[:, None] + up[disc], ix[:, None] + along[disc]
    stamps = image[rows, columns]
    stamps -= stamps.mean(axis=1, keepdims=True)
    stamps /= np.hypot(noise, MODEL_ERROR * stamps.std(axis=1, keepdims=True))
    squared = squared_distances(columns - x[:, None], rows - y[:, None])
    found, off = _fitted(stamps, squared, Moffat(fwhm, USUAL_BETA), fwhm)
    kept = off <= ODD**2 * np.median(off)
    if kept.all() or not kept.any():
        return found
    return _fitted(stamps[kept], squared[:, kept], found, fwhm)[0]


def squared_distances(dx: Floats, dy: Floats) -> Image:
    """Give the squared distances from a centre of the `NODES` of pixels, (4, ...).

    Parameters
    ----------
    dx, dy : arrays of one shape
        Distances of the pixels' centres, in pixels.
    """
    return np.array([(dx + u) ** 2 + (dy + v) ** 2 for u in NODES for v in NODES], "f4")


def _fitted(
    stamps: Image, squared: Image, start: Moffat, known: float
) -> tuple[Moffat, Floats]:
    """Fit width and exponent by the steps of Gauss and Newton; give what is left, squared.

    Fluxes follow from the shape by themselves.  The steps are of the logarithm of the
    width and of the reciprocal of the exponent: up to the Gaussian, a profile changes
    evenly with it.  Without light to fit there is no step, and the shape stays.
    """
    width, inverse = np.log(start.fwhm), 1 / start.beta
    narrow, wide = np.log([LEAST_FWHM * known, GREATEST_FWHM * known])
    for _ in range(MOST_STEPS):
        curves = Moffat(np.exp(width), 1 / inverse).averaged(squared)
        curves -= curves.mean(axis=-1, keepdims=True)
        lines = np.stack([stamps, *curves], axis=1)
        products = (lines @ lines.swapaxes(1, 2)).astype(np.float64)
        profile = products[:, 1, :] / products[:, 1, 1, None]
        # What is left of data and slopes when the profile itself is taken out of them.
        products -= profile[:, :, None] * products[:, 1, None, :]
        flux, left = profile[:, 0], products[:, 0, 0]
        first, second = flux @ products[:, 0, 2:]
        (power, cross), (_, other) = np.tensordot(flux**2, products[:, 2:, 2:], 1)
        if not power * other > cross**2:
            break
        step = (second - first * cross / power) / (other - cross**2 / power)
        step = np.clip(inverse + step, 1 / BETAS[1], 1 / BETAS[0]) - inverse
        widening = (first - cross * step) / power
        width, inverse = np.clip(width + widening, narrow, wide), inverse + step
        if abs(widening) + abs(step) < ENOUGH:
            break
    return Moffat(float(np.exp(width)), float(1 / inverse)), left
