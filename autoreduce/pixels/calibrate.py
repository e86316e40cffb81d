"""Calibrate a frame: overscan, bias, dark and flat in one pass over its tiles."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreduce.pixels.linearity import Linearity
from autoreduce.pixels.tiles import tiles

Image = NDArray[np.float32]
"""(ny, nx)"""

TILE_PIXELS = 32 * 1024
"""Pixels of a tile: its raw samples, masters, buffer and result fit an L2 cache."""


def calibrate(  # noqa: PLR0913 -- each step of a frame's way is an argument
    raw: NDArray[Any],
    *,
    overscan: ArrayLike | None = None,
    bias: NDArray[Any] | None = None,
    linearity: Linearity | None = None,
    dark: NDArray[Any] | None = None,
    dark_scale: float = 1.0,
    dark_offset: float = 0.0,
    flat: NDArray[Any] | None = None,
    out: Image | None = None,
) -> Image:
    """Give (linear(raw - overscan - bias) - (scale * dark + offset)) / flat.

    Parameters
    ----------
    raw : (ny, nx) array, ADU
        Raw frame, or a band of it, in the camera's integers or as floats.
    overscan : float or (ny, 1) array, ADU, optional
        Level that is subtracted from all of the frame, or from each row.
    bias : (ny, nx) array, ADU, optional
        Master bias, treated with its own overscan as the frame is.
    linearity : Linearity, optional
        What makes counts above the zero level linear; those of dark and flat are.
    dark : (ny, nx) array, ADU, optional
        Master dark; without its bias if `bias` is given.
    dark_scale, dark_offset : float, 1 and ADU
        What takes the master dark to the frame's exposure; see
        `autoreduce.pixels.darkcurrent`.  They are used only with `dark`.
    flat : (ny, nx) array, optional
        Master flat of unit level.
    out : (ny, nx) float32 array, optional
        Where the result goes.  It may be `raw`.

    Returns
    -------
    (ny, nx) float32 array, ADU
        The calibrated frame, NaN where the flat is not above zero.  It is worked
        out in single precision: each step rounds to 6e-8 of the sample.

    Raises
    ------
    ValueError
        If a master, the overscan or `out` does not have the shape of the frame.
    """
    masters = {"bias": bias, "dark": dark, "flat": flat}
    _check(raw, {**masters, "out": out})
    result = np.empty(raw.shape, np.float32) if out is None else out
    level = _overscan(overscan, raw.shape[0])
    buffer = np.empty(min(TILE_PIXELS, raw.size), np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for tile in tiles(raw.shape, TILE_PIXELS):
            part = result[tile]
            # A cast by assignment is twice as fast as one inside a subtraction.
            part[...] = raw[tile]
            if overscan is not None:
                np.subtract(part, level[tile[0]], out=part)
            if bias is not None:
                np.subtract(part, bias[tile], out=part, dtype=np.float32)
            if linearity is not None:
                linearity.apply(part)
            if dark is not None:
                scaled = dark[tile]
                if dark_scale != 1 or dark_offset:
                    room = buffer[: part.size].reshape(part.shape)
                    scaled = _scaled_dark(scaled, dark_scale, dark_offset, room)
                np.subtract(part, scaled, out=part, dtype=np.float32)
            if flat is not None:
                _divide(part, flat[tile])
    return result


def _check(raw: NDArray[Any], others: dict[str, NDArray[Any] | None]) -> None:
    if raw.ndim != 2:
        msg = f"a frame has rows and columns, not the shape {raw.shape}"
        raise ValueError(msg)
    for name, other in others.items():
        if other is not None and other.shape != raw.shape:
            msg = f"{name} has shape {other.shape}, the frame {raw.shape}"
            raise ValueError(msg)


def _overscan(overscan: ArrayLike | None, ny: int) -> Image:
    """Give the overscan level of each row, (ny, 1)."""
    level = np.asarray(0.0 if overscan is None else overscan, np.float32)
    if level.ndim and level.shape != (ny, 1):
        msg = f"overscan must be a number or {(ny, 1)} levels, not {level.shape}"
        raise ValueError(msg)
    return np.broadcast_to(level, (ny, 1))


def _scaled_dark(dark: NDArray[Any], scale: float, offset: float, out: Image) -> Image:
    np.multiply(dark, np.float32(scale), out=out, dtype=np.float32)
    if offset:
        np.add(out, np.float32(offset), out=out)
    return out


def _divide(part: Image, flat: NDArray[Any]) -> None:
    np.divide(part, flat, out=part, dtype=np.float32)
    if not flat.min() > 0:  # also where it is NaN
        part[~(flat > 0)] = np.nan


def calibrated_variance(
    calibrated: NDArray[Any],
    *,
    egain: float,
    rdnoise: ArrayLike,
    dark: ArrayLike | None = None,
    subtracted_variance: ArrayLike | None = None,
    flat: ArrayLike | None = None,
    flat_variance: ArrayLike | None = None,
) -> Image:
    """Propagate photon noise, read noise and the masters' noise to a light.

    Before the flat a light is raw - bias - dark.  Its photons are those of the sky and
    of the dark current, so the dark counts are put back before they are counted;
    negative counts have no photon noise.  The flat divides the variance by its square
    and adds its own relative variance.

    Parameters
    ----------
    calibrated : (ny, nx) array, ADU
        Calibrated frame, as from `calibrate`.
    egain : float, electron/ADU
        Electrons per ADU.
    rdnoise : float or (ny, nx) array, electron
        Read noise.
    dark : (ny, nx) array, ADU, optional
        Dark counts that were subtracted, those of the bias not among them.
    subtracted_variance : array, ADU**2, optional
        Variance of all that was subtracted, bias and dark together.
    flat, flat_variance : (ny, nx) arrays, optional
        Master flat, and its variance.

    Returns
    -------
    (ny, nx) float32 array, ADU**2
        Variance of the calibrated frame, NaN where the frame is NaN.

    Raises
    ------
    ValueError
        If `egain` is not positive or `rdnoise` is negative.
    """
    if not (egain > 0 and not np.any(np.less(rdnoise, 0))):
        msg = (
            f"egain must be positive and rdnoise not negative, not {egain}, {rdnoise!r}"
        )
        raise ValueError(msg)
    read_noise = (np.asarray(rdnoise, np.float64) / egain) ** 2
    zero, one = np.zeros(()), np.ones(())
    masters = [
        np.broadcast_to(default if part is None else part, calibrated.shape)
        for part, default in (
            (read_noise, zero),
            (dark, zero),
            (subtracted_variance, zero),
            (flat, one),
            (flat_variance, zero),
        )
    ]
    result = np.empty(calibrated.shape, np.float32)
    for tile in tiles(calibrated.shape, TILE_PIXELS):
        read, dark_adu, subtracted, response, response_var = (
            part[tile] for part in masters
        )
        light = calibrated[tile].astype(np.float64)
        counts = light * response + dark_adu
        variance = np.maximum(counts, 0) / egain + read
        variance += np.maximum(subtracted, 0)
        result[tile] = (variance + light**2 * response_var) / response**2
    return result
