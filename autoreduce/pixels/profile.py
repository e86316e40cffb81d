"""Profiles of stars: how wide they are, and what is too sharp to be one."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGMA_TO_FWHM = 2.3548
PIXEL_VARIANCE = 1 / 12
"""Variance, along a side, of a pixel's own shape."""
NODES = np.array([-1, 1]) / np.sqrt(12)
"""Points of a pixel, along a side, whose mean is that of the pixel: exact for cubics."""
FINE_BELOW = 5.0
"""Width of stars, in pixels, above which a pixel's centre stands for the pixel."""
REACH = 2.5
"""Radius of the pixels that a profile is fitted to, of its width."""
LEAST_FWHM, GREATEST_FWHM = 0.4, 4.0
"""Bounds of the fitted width, of the width that is known."""
BETAS = (1.5, 30.0)
"""Exponents of a profile: from wings wider than any star's to a Gaussian's."""
USUAL_BETA = 3.5
"""Exponent of most stars, as the atmosphere blurs them."""
MODEL_ERROR = 0.02
"""What a star's shape is off the model's, of its flux: bright stars count alike."""
ODD = 3.0
"""A star so many times as far off the profile as others is left out: it has company."""
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

    def averaged(self, dx: Floats, dy: Floats) -> Floats:
        """Average the profile, of unit flux, over pixels at a distance from its centre."""
        core = self.core()
        norm = (self.beta - 1) / (np.pi * core**2)
        if self.fwhm > FINE_BELOW:
            return np.asarray(norm * (1 + (dx**2 + dy**2) / core**2) ** -self.beta)
        total = np.zeros(np.broadcast_shapes(dx.shape, dy.shape))
        for u in NODES:
            for v in NODES:
                squared = (dx + u) ** 2 + (dy + v) ** 2
                total += (1 + squared / core**2) ** -self.beta
        return total * (norm / len(NODES) ** 2)

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


def steepness(image: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> Floats:
    """Compare the brightest pixels of objects with their neighbours.

    Parameters
    ----------
    image : (ny, nx) array
        Light without its sky.
    x, y : (n,) arrays of int
        The brightest pixels.

    Returns
    -------
    (4, n) array
        Mean of the two neighbours on either side, of the peak; along rows, columns and
        both diagonals.  A lone pixel has 0, a line of them 0 across it.
    """
    ny, nx = image.shape
    peak = np.maximum(image[y, x], np.finfo(np.float32).tiny)
    found = np.empty((len(DIRECTIONS), len(x)))
    for row, (dy, dx) in zip(found, DIRECTIONS, strict=True):
        ahead = image[np.clip(y + dy, 0, ny - 1), np.clip(x + dx, 0, nx - 1)]
        behind = image[np.clip(y - dy, 0, ny - 1), np.clip(x - dx, 0, nx - 1)]
        row[:] = (ahead + behind) / 2 / peak
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
    from scipy.special import erf

    root = fwhm / SIGMA_TO_FWHM * np.sqrt(2)
    centre, upto = erf(0.5 / root), erf(1.5 / root)
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
    stamps = image[rows, columns].astype(np.float64)
    dx, dy = columns - x[:, None], rows - y[:, None]
    found, off = _fitted(stamps, dx, dy, fwhm, noise)
    kept = off <= ODD * np.median(off)
    if kept.all() or not kept.any():
        return found
    return _fitted(stamps[kept], dx[kept], dy[kept], found.fwhm, noise)[0]


def _fitted(
    stamps: Floats, dx: Floats, dy: Floats, fwhm: float, noise: float
) -> tuple[Moffat, Floats]:
    """Fit width and exponent; for each of them fluxes and skies follow by themselves."""
    from scipy.optimize import least_squares

    n = stamps.shape[1]
    d = stamps - stamps.mean(axis=1, keepdims=True)

    def misfit(shape: Floats) -> Floats:
        m = Moffat(*np.exp(shape)).averaged(dx, dy)
        m -= m.mean(axis=1, keepdims=True)
        power = np.einsum("ij,ij->i", m, m)[:, None]
        flux = np.einsum("ij,ij->i", m, d)[:, None] / power
        scale = np.sqrt(noise**2 + (MODEL_ERROR * flux) ** 2 * power / n)
        return np.asarray((d - flux * m) / scale)

    low = np.log([LEAST_FWHM * fwhm, BETAS[0]])
    high = np.log([GREATEST_FWHM * fwhm, BETAS[1]])
    fit = least_squares(
        lambda shape: misfit(shape).ravel(),
        np.log([fwhm, USUAL_BETA]),
        bounds=(low, high),
        xtol=1e-4,
        ftol=1e-5,
    )
    off = np.sqrt((misfit(fit.x) ** 2).mean(axis=1))
    return Moffat(*(float(v) for v in np.exp(fit.x))), off
