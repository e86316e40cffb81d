"""The uncertainty and mask planes of calibrated lights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError
from autoreduce.pixels.calibrate import calibrated_variance
from autoreduce.running.bands import Correction, Floats, MasterRows, RawFrame
from autoreduce.running.images import open_image
from autoreduce.running.made import Workspace

UNCERT_HDU = 1
"""Where a master keeps its UNCERT plane."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What the planes of a light are computed from."""

    folder: Path
    """Output folder."""
    fix: Correction
    """What was taken out of the light."""
    egain: float | None
    """Electrons per ADU; None if the header does not tell."""
    rdnoise: float | None
    """Read noise in electrons, from the header or measured from the bias frames."""

    @property
    def unknown(self) -> str:
        """Say why there is no UNCERT plane; empty if there is one."""
        if self.egain is None:
            return "no UNCERT: the gain is unknown, give it with --set '*: egain=1.5'"
        if self.rdnoise is None:
            return "no UNCERT: read noise unknown, give it with --set '*: rdnoise=8'"
        return ""

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes."""
        return ("MASK",) if self.unknown else ("UNCERT", "MASK")

    def rows(
        self, frame: RawFrame, data: Floats, start: int, stop: int
    ) -> Mapping[str, NDArray[Any]]:
        """Compute rows [start, stop) of the planes.

        Parameters
        ----------
        frame : RawFrame
            The raw light.
        data : (stop - start, nx) array, ADU
            The calibrated light.
        start, stop : int
            Rows.

        Returns
        -------
        mapping
            ``UNCERT``: one sigma in ADU, float32; ``MASK``: uint8, nonzero where the
            pixel has no value or is saturated.
        """
        bad = ~np.isfinite(data)
        if frame.saturate is not None:
            bad |= frame.rows(start, stop) >= frame.saturate
        planes: dict[str, NDArray[Any]] = {"MASK": bad.view(np.uint8)}
        if not self.unknown:
            planes["UNCERT"] = self._sigma(data, start, stop)
        return planes

    def _sigma(self, data: Floats, start: int, stop: int) -> Floats:
        fix = self.fix
        with (
            MasterRows(self.folder, fix.masters) as values,
            MasterRows(self.folder, fix.masters, UNCERT_HDU) as sigmas,
        ):
            variance = calibrated_variance(
                data,
                egain=self.egain or 0.0,
                rdnoise=self.rdnoise or 0.0,
                bias_variance=_square(sigmas.rows(fix.bias, start, stop)),
                dark=values.rows(fix.dark, start, stop),
                dark_variance=_square(sigmas.rows(fix.dark, start, stop)),
                dark_scale=fix.dark_scale,
                dark_offset=fix.dark_offset,
                flat=values.rows(fix.flat, start, stop),
                flat_variance=_square(sigmas.rows(fix.flat, start, stop)),
            )
        return np.sqrt(variance)


def _square(sigma: Floats | None) -> Floats | None:
    return None if sigma is None else sigma**2


def light_uncertainty(
    frame: RawFrame, fix: Correction, space: Workspace
) -> Uncertainty:
    """Collect what the planes of a light need.

    Parameters
    ----------
    frame : RawFrame
        The raw light.
    fix : Correction
        What is taken out of it.
    space : Workspace
        Where the masters are.

    Returns
    -------
    Uncertainty
        With the read noise that the bias frames showed where the header has none.
    """
    egain, rdnoise = frame.item.egain, frame.item.rdnoise
    if rdnoise is None and egain is not None and fix.bias is not None:
        rdnoise = egain * _noise_adu(space.folder / fix.bias)
    return Uncertainty(space.folder, fix, egain, rdnoise)


def _noise_adu(path: Path) -> float:
    with open_image(path) as reader:
        noise = reader.get("NOISEADU")
    if not isinstance(noise, int | float):
        msg = f"{path} has no card NOISEADU: make it again"
        raise InputError(msg)
    return float(noise)
