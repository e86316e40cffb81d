"""Darks of any exposure from the night's rate map and the master darks behind it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.darkcurrent import Doubling
from autoreduce.pixels.darkrates import Grown, RateMap, bias_share, fit_rates, grow

Floats = NDArray[np.float32]
AnyFloat = TypeVar("AnyFloat", np.float32, np.float64)
Read = Callable[[str], Floats]
"""Gives the rows of a product that are wanted."""

NEARLY_SATURATED = 0.98
"""A master dark above this part of the saturation level was full in some frames."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One of the master darks that the rates come from."""

    file: str
    """Output of the master dark."""
    exptime: float
    """Exposure, s; at one temperature, where that is known."""
    counts: float
    """Level, ADU."""
    shift: float
    """How far its level is above the line of the fit, ADU."""
    variance: float
    """Variance of an ordinary pixel, ADU**2."""
    n_frames: int
    """Frames that went into it."""
    saturate: float | None
    """Level at which its pixels are saturated, ADU; None if unknown."""


@dataclass(frozen=True, slots=True)
class DarkRates:
    """All that a dark of any exposure is made from: offset + rate * exposure."""

    file: str
    """Output of the rate map."""
    offset: float
    """Counts at no exposure, which all pixels share, ADU."""
    offset_variance: float
    """Variance of `offset`, ADU**2."""
    slope_variance: float
    """Variance of the mean rate, (ADU/s)**2."""
    covariance: float
    """Covariance of the two, ADU**2/s."""
    bias_variance: float
    """Variance of a pixel of the master bias in the darks, ADU**2."""
    egain: float | None
    """Electrons per ADU; None if unknown."""
    points: tuple[RatePoint, ...]
    """The master darks, by exposure."""
    doubling: Doubling | None = None
    """What takes exposures to one temperature; None if they are taken as they are."""

    @classmethod
    def from_fit(cls, fit: Mapping[str, Any]) -> Self:
        """Take it out of a fit of dark counts, in its JSON form.

        Where the levels do not lie on a line there is no offset: 0 is what the bias
        says of no exposure.
        """
        linear = bool(fit["linear"])
        return cls(
            file=fit["rate_map"],
            offset=fit["offset"] * linear,
            offset_variance=fit["offset_error"] ** 2 * linear,
            slope_variance=fit["slope_error"] ** 2 * linear,
            covariance=fit["covariance"] * linear,
            bias_variance=fit["bias_variance"],
            egain=fit["egain"],
            points=tuple(_rate_point(point, fit) for point in fit["points"]),
            doubling=_doubling(fit),
        )

    def equivalent_s(self, exptime_s: float, temperature_c: float | None) -> float:
        """Give the exposure that the rates are to be multiplied by, in s."""
        if self.doubling is None or temperature_c is None:
            return exptime_s
        return self.doubling.equivalent_s(exptime_s, temperature_c)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of the products that are read."""
        return (self.file, *(point.file for point in self.points))

    @property
    def exptimes(self) -> NDArray[np.float64]:
        """(n,), exposures in s, ascending."""
        return np.array([point.exptime for point in self.points])

    def unproven(self, exptime_s: float, read: Read) -> NDArray[np.bool_]:
        """Mark pixels without a rate, if the exposure is longer than all measured.

        If it is not, none: such pixels then lie between what was measured.
        """
        beyond = bool(exptime_s > self.exptimes[-1])
        return np.asarray(np.isnan(read(self.file)) & beyond)

    @property
    def bias_share(self) -> float:
        """Error of a rate for an error of the bias, 1/s."""
        variance = np.array([point.variance for point in self.points])
        return bias_share(self.exptimes, variance, self.bias_variance)

    def fit(self, read: Read) -> RateMap:
        """Fit the rates of some rows of the master darks."""
        darks = [read(point.file) for point in self.points]
        bases = [np.float32(self._base(point)) for point in self.points]
        excess = np.stack(
            [dark - base for dark, base in zip(darks, bases, strict=True)]
        )
        full = [
            math.inf if point.saturate is None else NEARLY_SATURATED * point.saturate
            for point in self.points
        ]
        saturated = np.stack(
            [dark >= level for dark, level in zip(darks, full, strict=True)]
        )
        return fit_rates(
            excess,
            self.exptimes,
            self._variance(excess),
            offset_variance=self.bias_variance,
            saturated=saturated,
        )

    def dark(self, exptime_s: float, read: Read) -> Floats:
        """Make some rows of a dark.

        Parameters
        ----------
        exptime_s : float, second
            Its exposure.
        read : callable
            Gives these rows of a product.

        Returns
        -------
        (rows, nx) float32 array, ADU
            Offset + rate * exposure; what has no rate as `grow` estimates it.
        """
        rate = read(self.file)
        dark = rate * np.float32(exptime_s)
        dark += np.float32(self.offset)
        without = np.isnan(rate)
        if without.any():
            grown = self._grown(exptime_s, read, without)
            dark[without] = self.offset + grown.counts
        return dark

    def variance(
        self, exptime_s: float, read: Read, read_sigma: Read, bias_variance: Floats
    ) -> Floats:
        """Give the variance that bias and dark together bring into a frame.

        The error of the master bias enters twice: directly, and with the opposite
        sign through the darks that it was subtracted from.  The error of the line at
        this exposure is common to all pixels.

        Parameters
        ----------
        exptime_s : float, second
            Exposure of the frame.
        read, read_sigma : callable
            Give the rows that are wanted, of a product and of its UNCERT plane.
        bias_variance : array, ADU**2, broadcastable to the rows
            Variance of the master bias.

        Returns
        -------
        (rows, nx) float32 array, ADU**2
            Never negative.
        """
        t = exptime_s
        sigma = read_sigma(self.file)
        common = self.offset_variance + t * (
            2 * self.covariance + t * self.slope_variance
        )
        variance = (sigma * np.float32(t)) ** 2
        variance += (1 - 2 * t * self.bias_share) * bias_variance
        without = np.isnan(sigma)
        if without.any():
            bias = np.broadcast_to(bias_variance, sigma.shape)[without]
            variance[without] = self._grown(t, read, without).variance + bias
        return np.asarray(np.maximum(variance, 0) + max(common, 0.0), np.float32)

    def _grown(self, exptime_s: float, read: Read, without: NDArray[np.bool_]) -> Grown:
        """Estimate the pixels without a rate from the master darks themselves."""
        darks = [read(p.file)[without].astype(np.float64) for p in self.points]
        bases = [self._base(point) for point in self.points]
        excess = np.stack(darks) - np.reshape(bases, (-1, 1))
        return grow(excess, self.exptimes, self._variance(excess), exptime_s)

    def _base(self, point: RatePoint) -> float:
        """Give what is subtracted from a master dark before its rates are fitted.

        The levels of the masters scatter about the line, all pixels alike, as the
        bias drifts: that has no part in the pixels' rates.
        """
        return self.offset + point.shift

    def _variance(self, excess: NDArray[AnyFloat]) -> NDArray[AnyFloat]:
        """Add the photon noise of hot pixels to the noise of ordinary ones."""
        shape = (-1,) + (1,) * (excess.ndim - 1)

        def column(values: list[float]) -> NDArray[AnyFloat]:
            return np.reshape(values, shape).astype(excess.dtype)

        ordinary = column([point.variance for point in self.points])
        if not self.egain:
            return np.broadcast_to(ordinary, excess.shape)
        above = excess - column([p.counts - self._base(p) for p in self.points])
        electrons = column([self.egain * point.n_frames for point in self.points])
        # fmax takes a sample that is missing, NaN, for an ordinary one.
        variance: NDArray[AnyFloat] = np.fmax(above, 0) / electrons + ordinary
        return variance


def _doubling(fit: Mapping[str, Any]) -> Doubling | None:
    found = fit.get("doubling")
    return None if found is None else Doubling(**found)


def _rate_point(point: Mapping[str, Any], fit: Mapping[str, Any]) -> RatePoint:
    t, counts = point["exptime"], point["counts"]
    return RatePoint(
        file=point["file"],
        exptime=t,
        counts=counts,
        shift=counts - fit["offset"] - fit["slope"] * t if fit["linear"] else 0.0,
        variance=point["variance"],
        n_frames=point["n_frames"],
        saturate=point["saturate"],
    )


def rate_map_of(fit: Path) -> Path:
    """Name the map of rates that stands beside a fit."""
    return fit.with_suffix(".fits")


def read_fit(path: Path) -> dict[str, Any]:
    """Read a fit of dark counts that `make_dark_fit` wrote."""
    fit: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return fit
