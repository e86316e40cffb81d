"""The uncertainty and mask planes of calibrated lights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import Correction, Floats, MasterRows, RawFrame
from autoreduce.calibration.workspace import Workspace
from autoreduce.errors import InputError
from autoreduce.fits.images import extension_names, open_image
from autoreduce.fits.writer import MASK, UNCERT
from autoreduce.pixels.calibrate import calibrate, calibrated_variance
from autoreduce.pixels.darkcurrent import DarkScaling
from autoreduce.pixels.flags import Flag, no_value, taken_over
from autoreduce.remarks import Remark, remark


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What the planes of a light are computed from."""

    folder: Path
    """Output folder."""
    correction: Correction
    """What was taken out of the light."""
    egain: float | None
    """Electrons per ADU; None if the header does not tell."""
    rdnoise: float | None
    """Read noise in electrons, from the header or measured from the bias frames."""
    flagged: tuple[str, ...] = ()
    """Masters that have a MASK plane, which the light takes over."""
    pedestal: float = 0.0
    """Zero level that the dark holds, ADU: it has no photons' noise."""

    @property
    def unknown(self) -> Remark | None:
        """Say why there is no UNCERT plane; None if there is one."""
        if self.egain is None:
            way_out = "--set '*: egain=1.5'"
            return remark("no-uncert", found="the gain is unknown", way_out=way_out)
        if self.rdnoise is None:
            way_out = "--set '*: rdnoise=8'"
            return remark("no-uncert", found="read noise unknown", way_out=way_out)
        return None

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes."""
        return (MASK,) if self.unknown else (UNCERT, MASK)

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
            ``UNCERT``: one sigma in ADU, float32; ``MASK``: uint8, bits of `Flag`:
            no value, saturated, beyond the limit of linear counts, all that its masters
            flag, and without a rate that tells their dark at a longer exposure than was
            measured.
        """
        flags = no_value(data)
        if (full := frame.saturated(start, stop)) is not None:
            flags[full] |= np.uint8(Flag.SATURATED)
        correction = self.correction
        with MasterRows(self.folder, self.flagged, MASK, cuts=correction.cuts) as masks:
            for output in self.flagged:
                flags |= taken_over(masks.reader((start, stop))(output))
        planes: dict[str, NDArray[Any]] = {MASK: flags}
        with MasterRows(
            self.folder, correction.masters, cuts=correction.cuts
        ) as values:
            read = values.reader((start, stop))
            if correction.rates is not None:
                unproven = correction.rates.unproven(correction.exptime, read)
                flags[unproven] |= np.uint8(Flag.NON_LINEAR)
            own = (
                None
                if frame.joined is None
                else frame.joined.rdnoise(start, stop, self.egain)
            )
            rdnoise: float | Floats = (self.rdnoise or 0.0) if own is None else own
            if (linearity := correction.linearity) is not None:
                counts = self._counts(frame, values, (start, stop))
                if linearity.limit:
                    beyond = counts >= linearity.limit
                    flags[beyond] |= np.uint8(Flag.NON_LINEAR)
                rdnoise = rdnoise * linearity.slope(counts)
            if not self.unknown:
                planes[UNCERT] = self._sigma(data, values, (start, stop), rdnoise)
        return planes

    def _counts(
        self, frame: RawFrame, values: MasterRows, band: tuple[int, int]
    ) -> Floats:
        """Give the counts of some rows above the zero level, as they were read."""
        bias = values.rows(self.correction.bias, *band)
        return calibrate(frame.rows(*band), overscan=frame.zeros(*band), bias=bias)

    def _sigma(
        self,
        data: Floats,
        values: MasterRows,
        band: tuple[int, int],
        rdnoise: float | Floats,
    ) -> Floats:
        correction = self.correction
        with MasterRows(
            self.folder, correction.masters, UNCERT, cuts=correction.cuts
        ) as sigmas:
            variance = calibrated_variance(
                data,
                egain=self.egain or 0.0,
                rdnoise=rdnoise,
                dark=self._dark_counts(values.dark(correction, *band)),
                subtracted_variance=subtracted_variance(
                    correction, values, sigmas, band
                ),
                flat=values.flat(correction, *band),
                flat_variance=_square(sigmas.rows(correction.flat, *band)),
            )
        return np.sqrt(variance)

    def _dark_counts(self, dark: Floats | None) -> Floats | None:
        """Give the counts of the dark current that was taken out."""
        scaled = _scaled(dark, self.correction.scaling)
        if scaled is None or not self.pedestal:
            return scaled
        return scaled - np.float32(self.pedestal)


def _square(sigma: Floats | None) -> Floats | None:
    return None if sigma is None else sigma**2


def _scaled(dark: Floats | None, scaling: DarkScaling) -> Floats | None:
    if dark is None or scaling == (1, 0):
        return dark
    return dark * np.float32(scaling.scale) + np.float32(scaling.offset)


def subtracted_variance(
    correction: Correction,
    values: MasterRows,
    sigmas: MasterRows,
    band: tuple[int, int],
) -> Floats:
    """Give the variance that bias and dark together bring into a frame.

    Where the bias was taken out of the dark too, it is subtracted 1 - scale times.

    Parameters
    ----------
    correction : Correction
        What is taken out of the frame.
    values, sigmas : MasterRows
        The masters, and their UNCERT planes.
    band : tuple of int
        First row and the row after the last.

    Returns
    -------
    array, ADU**2, broadcastable to the rows
        Noise of the masters and the errors of the fit at the frame's exposure.
    """
    bias = _square(sigmas.rows(correction.bias, *band))
    of_bias = np.zeros((1, 1), np.float32) if bias is None else bias
    if correction.rates is not None:
        read, read_sigma = values.reader(band), sigmas.reader(band)
        return correction.rates.variance(correction.exptime, read, read_sigma, of_bias)
    dark, sigma = (
        values.rows(correction.dark, *band),
        sigmas.rows(correction.dark, *band),
    )
    if dark is None or sigma is None:
        return of_bias
    scale = np.float32(correction.dark_scale)
    variance = np.maximum((1 - 2 * scale) * of_bias + (scale * sigma) ** 2, 0)
    if correction.scale_error or correction.offset_error:
        variance += (dark * np.float32(correction.scale_error)) ** 2
        variance += np.float32(correction.offset_error) ** 2
    return variance


def shared_variance(
    corrections: Sequence[Correction],
    weights: Sequence[float],
    values: MasterRows,
    sigmas: MasterRows,
    band: tuple[int, int],
) -> Floats:
    """Give the variance that bias and dark bring into a combination of frames.

    Frames that are treated alike share the error, those of other exposures nearly so,
    as their darks come from the same masters: it does not average out.

    Parameters
    ----------
    corrections : sequence of Correction
        What is taken out of each frame.
    weights : sequence of float
        Factor of each frame in the combination.
    values, sigmas : MasterRows
        The masters, and their UNCERT planes.
    band : tuple of int
        First row and the row after the last.

    Returns
    -------
    array, broadcastable to the rows
        In the squared unit of the combination.
    """
    total: dict[Correction, float] = {}
    for correction, weight in zip(corrections, weights, strict=True):
        total[correction] = total.get(correction, 0.0) + weight
    sigma: Floats = np.zeros((1, 1), np.float32)
    for correction, weight in total.items():
        variance = subtracted_variance(correction, values, sigmas, band)
        sigma = np.asarray(sigma + weight * np.sqrt(variance), np.float32)
    return np.asarray(sigma**2, np.float32)


def light_uncertainty(
    correction: Correction,
    workspace: Workspace,
    egain: float | None,
    rdnoise: float | None,
) -> Uncertainty:
    """Collect what the planes of a light need.

    Parameters
    ----------
    correction : Correction
        What is taken out of it.
    workspace : Workspace
        Where the masters are.
    egain : float, optional
        Electrons per ADU.
    rdnoise : float, optional
        Read noise, electron.

    Returns
    -------
    Uncertainty
        With the read noise that the bias frames showed where it is not told.
    """
    if rdnoise is None and egain is not None and correction.bias is not None:
        rdnoise = egain * _noise_adu(workspace.folder / correction.bias)
    rates = correction.rates.file if correction.rates else None
    masters = (correction.bias, correction.dark, rates, correction.flat)
    flagged = tuple(
        output
        for output in masters
        if output and MASK in extension_names(workspace.folder / output)
    )
    pedestal = 0.0
    if correction.dark is not None and egain is not None and rdnoise is not None:
        pedestal = _pedestal(workspace.folder / correction.dark, egain, rdnoise)
    return Uncertainty(workspace.folder, correction, egain, rdnoise, flagged, pedestal)


def _pedestal(dark: Path, egain: float, rdnoise: float) -> float:
    """Find the zero level that a master dark holds, ADU, if it holds one.

    Its level is that, and the dark current, whose noise is beyond that of the readout.
    """
    with open_image(dark) as reader:
        done = set(str(reader.get("CALSTAT") or ""))
        level, noise = (reader.raw.number(card) for card in ("LEVEL", "NOISEADU"))
    if done & set("BO") or level is None:
        return 0.0
    of_current = egain * ((noise or 0.0) ** 2 - (rdnoise / egain) ** 2)
    return max(level - max(of_current, 0.0), 0.0)


def _noise_adu(path: Path) -> float:
    with open_image(path) as reader:
        noise = reader.get("NOISEADU")
    if not isinstance(noise, int | float):
        msg = f"{path} has no card NOISEADU: make it again"
        raise InputError(msg)
    return float(noise)
