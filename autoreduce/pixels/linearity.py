"""Response of a camera: whether counts are proportional to the light, and made so."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HIGHEST = 65535.0
"""Counts up to which a polynomial without a limit must rise, ADU."""
TRIED = 1024
"""Counts at which that is tried."""
FEWEST_FLATS, FEWEST_EXPOSURES, RISE = 6, 4, 5.0
"""Flats, exposures among them, and how far their levels rise, that tell a response."""
STEADY = 0.003
"""Scatter of the light of a lamp that is steady, of its brightness."""


@dataclass(frozen=True, slots=True)
class Linearity:
    """What takes counts above the zero level to counts proportional to the light.

    Either a polynomial, linear = counts (c0 + c1 counts + c2 counts**2 ...), or a table
    that is interpolated; below zero counts are multiplied as at zero, above the table as
    on its last step.

    Raises
    ------
    ValueError
        If it is both, or no rising function.
    """

    polynomial: tuple[float, ...] = ()
    """c0, c1, ...; counts in ADU."""
    counts: tuple[float, ...] = ()
    """Table: counts above the zero level, ADU, from 0 on ..."""
    linear: tuple[float, ...] = ()
    """... and what they would be, were the camera linear, ADU."""
    limit: float = 0.0
    """Counts above the zero level from which on nothing mends them: the pixel is flagged,
    ADU; 0: none is."""
    camera: str = ""
    """Camera that it holds for, as INSTRUME names it; empty: any."""

    def __post_init__(self) -> None:
        if self.polynomial and (self.counts or self.linear):
            msg = "give a polynomial, or a table of counts and linear, not both"
            raise ValueError(msg)
        if len(self.counts) != len(self.linear) or len(self.counts) == 1:
            msg = (
                "counts and linear are lists of one length, two values or more, not "
                f"{len(self.counts)} and {len(self.linear)}"
            )
            raise ValueError(msg)
        if self.counts and (self.counts[0], self.linear[0]) != (0, 0):
            msg = f"counts and linear begin with 0, not {self.counts[0]:g} and {self.linear[0]:g}"
            raise ValueError(msg)
        if self.limit < 0:
            msg = f"limit is 0 or more, not {self.limit:g}"
            raise ValueError(msg)
        knots = np.array(self.counts or np.linspace(0, self.limit or HIGHEST, TRIED))
        if self and not (np.all(np.diff(knots) > 0) and np.all(self.slope(knots) > 0)):
            msg = "what it makes of counts must rise with them, up to the limit"
            raise ValueError(msg)

    def __bool__(self) -> bool:
        """Whether it changes counts."""
        return bool(self.polynomial or self.counts)

    def holds_for(self, camera: object) -> bool:
        """Whether there is anything to say of the counts of a camera."""
        named = not self.camera or self.camera == camera
        return named and (bool(self) or self.limit > 0)

    def apply(self, counts: NDArray[np.float32]) -> None:
        """Make counts linear, in place.

        Parameters
        ----------
        counts : array, ADU
            Above the zero level; NaN stays NaN.
        """
        if self.polynomial:
            positive = np.maximum(counts, np.float32(0))
            factor = np.full(counts.shape, self.polynomial[-1], np.float32)
            for coefficient in self.polynomial[-2::-1]:
                factor *= positive
                factor += np.float32(coefficient)
            counts *= factor
        elif self.counts:
            steps = np.searchsorted(self.counts[1:-1], counts, side="right")
            start, value, slope = self._steps()
            counts -= start[steps]
            counts *= slope[steps]
            counts += value[steps]

    def slope(self, counts: NDArray[Any]) -> NDArray[np.float32]:
        """Give the linear counts that one more count is worth.

        Parameters
        ----------
        counts : array, ADU
            Above the zero level.
        """
        if self.polynomial:
            terms = [(n + 1) * c for n, c in enumerate(self.polynomial)]
            slopes = np.polynomial.Polynomial(terms)(np.maximum(counts, 0))
            return np.asarray(slopes, np.float32)
        if self.counts:
            steps = np.searchsorted(self.counts[1:-1], counts, side="right")
            _, _, slope = self._steps()
            return np.asarray(slope[steps], np.float32)
        return np.ones(np.shape(counts), np.float32)

    def of(self, counts: float) -> float:
        """Give the linear counts of some counts, ADU."""
        one = np.array([counts], np.float32)
        self.apply(one)
        return float(one[0])

    def _steps(self) -> tuple[NDArray[np.float32], ...]:
        """Give where each step of the table starts, its value there, and its slope."""
        x, y = np.array(self.counts), np.array(self.linear)
        slope = np.diff(y) / np.diff(x)
        return tuple(part.astype(np.float32) for part in (x[:-1], y[:-1], slope))

    def __str__(self) -> str:
        """Write it as it stands in a recipe."""
        if self.polynomial:
            return f"polynomial {', '.join(f'{c:g}' for c in self.polynomial)}"
        return f"table of {len(self.counts)} counts" if self.counts else "none"


class Response(NamedTuple):
    """What flats of a steady lamp tell of the response of a camera."""

    deviation: float
    """Counts at the highest level beside what the lowest promise, as a part."""
    error: float
    """1-sigma error of that."""
    levels: NDArray[np.float64]
    """(n,) levels of the flats, rising, ADU ..."""
    deviations: NDArray[np.float64]
    """... and the counts of each beside what the lowest promise, as a part."""

    @property
    def polynomial(self) -> tuple[float, float]:
        """What makes counts linear, but for the square of the deviation."""
        return 1.0, -self.deviation / float(self.levels[-1])


def find_response(
    levels: NDArray[np.float64], exptimes: NDArray[np.float64]
) -> Response | None:
    """Measure the response to a lamp that is shown to be steady.

    Counts in a second are fitted as R (1 + s/t + d level): s is what the shutter adds to
    each exposure t, d how the response bends.

    Parameters
    ----------
    levels : (n,) array, ADU
        Levels of flats above the zero level, in the order in which they were taken.
    exptimes : (n,) array, s
        Their exposures.

    Returns
    -------
    Response or None
        None unless levels rise far enough, exposures were repeated after others, and the
        lamp gave the same light.
    """
    different = np.unique(exptimes)
    if (
        len(levels) < FEWEST_FLATS
        or len(different) < FEWEST_EXPOSURES
        or not min(levels.min(), exptimes.min()) > 0
        or levels.max() < RISE * levels.min()
        or sum(_comes_back(exptimes == exptime) for exptime in different) < 2
    ):
        return None
    rates = levels / exptimes
    design = np.stack([np.ones(len(levels)), 1 / exptimes, levels], axis=1)
    scale = design.max(axis=0)
    found, *_ = np.linalg.lstsq(design / scale, rates, rcond=None)
    rate, shutter, bend = found / scale
    scatter = np.sum((rates - design @ (found / scale)) ** 2) / (len(levels) - 3)
    if not rate > 0 or scatter > (STEADY * rate) ** 2:
        return None
    covariance = np.linalg.inv((design / scale).T @ (design / scale)) * scatter
    highest, order = levels.max(), np.argsort(levels)
    deviations = levels / (rate * exptimes + shutter) - 1
    return Response(
        float(bend * highest / rate),
        float(np.sqrt(covariance[2, 2]) / scale[2] * highest / rate),
        levels[order],
        deviations[order],
    )


def _comes_back(is_there: NDArray[np.bool_]) -> bool:
    """Tell whether something is there again after it was not."""
    return int(np.count_nonzero(np.diff(is_there.astype(int), prepend=0) == 1)) > 1
