"""Detectors that several amplifiers read out, and the images that they write."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.sections import format_section, format_turned
from autoreduce.simulate import detector as pixels
from autoreduce.simulate.listing import Amplifier, Detector

Floats = NDArray[np.float32]
Raw = NDArray[np.uint16]
Image = tuple[Raw, Mapping[str, Any]]
"""Pixels of an HDU, and its cards."""


def read_out(
    detector: Detector,
    electrons: Floats,
    bias_adu: Floats,
    level_adu: float,
    rng: np.random.Generator,
) -> tuple[Raw, ...]:
    """Turn collected electrons into what each amplifier writes.

    Parameters
    ----------
    detector : Detector
        Gain, read noise, full well, overscan and amplifiers.
    electrons : (ny, nx) float32 array, electron
        Charge of each pixel; overwritten.
    bias_adu : (ny, nx + overscan) float32 array, ADU
        Bias of this detector, from `autoreduce.simulate.detector.bias_pattern`; an
        amplifier has a level of its own instead of the detector's.
    level_adu : float
        Added to the level of this frame.
    rng : Generator
        Source of the read noise.

    Returns
    -------
    tuple of (ny, nx + overscan) uint16 arrays, ADU
        One, or one for each amplifier: its pixels, in the order in which they are
        stored, and behind them its overscan.
    """
    if not detector.amplifiers:
        return (pixels.read_out(detector, electrons, bias_adu, level_adu, rng),)
    shape, images = electrons.shape, []
    parts = [
        electrons[part_of(one, shape)][_as_stored(one)] for one in detector.amplifiers
    ]
    for number, one in enumerate(detector.amplifiers):
        rows, columns = part_of(one, shape)
        own = replace(
            detector, gain_e_per_adu=one.gain_e_per_adu, read_noise_e=one.read_noise_e
        )
        charge = parts[number][_as_stored(one)].copy()
        for times, other, part in zip(
            detector.crosstalk[number] if detector.crosstalk else (),
            detector.amplifiers,
            parts,
            strict=False,
        ):
            heard = times * one.gain_e_per_adu / other.gain_e_per_adu
            charge += np.float32(heard) * part[_as_stored(one)]
        bias = np.hstack([bias_adu[rows, columns], bias_adu[rows, shape[1] :]])
        level = level_adu + one.bias_level_adu - detector.bias_level_adu
        raw = pixels.read_out(own, charge, bias, level, rng)
        lit = raw[:, : columns.stop - columns.start]
        lit[...] = lit[_as_stored(one)].copy()
        images.append(raw)
    return tuple(images)


def _as_stored(one: Amplifier) -> tuple[slice, slice]:
    """Give the steps that turn pixels of the detector as they are stored, and back."""
    x_step, y_step = (-1 if turned else 1 for turned in one.turned)
    return slice(None, None, y_step), slice(None, None, x_step)


def part_of(one: Amplifier, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Give the rows and columns of a detector that an amplifier reads."""
    rows, columns = (
        slice(round(span[0] * size), round(span[1] * size))
        for span, size in zip((one.rows, one.columns), shape, strict=True)
    )
    return rows, columns


def images_of(
    detector: Detector,
    shape: tuple[int, int],
    images: Sequence[Raw],
    cards: Mapping[str, Any],
) -> list[Image]:
    """Give the images of a file, with their cards.

    Parameters
    ----------
    detector : Detector
        The detector.
    shape : (ny, nx)
        Its size, without overscan.
    images : sequence of (ny, nx + overscan) arrays, ADU
        What `read_out` gave.
    cards : mapping
        Cards of the frame.
    """
    if not detector.amplifiers:
        return [(images[0], cards)]
    pairs = list(zip(detector.amplifiers, images, strict=True))
    if not detector.one_image:
        return [(raw, {**cards, **_cards(one, shape, raw, 0)}) for one, raw in pairs]
    told, first = dict(cards), 0
    for name, (one, raw) in zip("ABCDEFGH", pairs, strict=False):
        own = _cards(one, shape, raw, first)
        told |= {f"{keyword}{name}": value for keyword, value in own.items()}
        first += raw.shape[1]
    return [(np.hstack(images), told)]


def _cards(
    one: Amplifier, shape: tuple[int, int], raw: Raw, first: int
) -> dict[str, Any]:
    """Tell the sections of an amplifier whose image begins at a column."""
    rows, columns = part_of(one, shape)
    here = slice(0, raw.shape[0])
    n = columns.stop - columns.start
    x_turned, y_turned = one.turned
    return {
        "DETSEC": format_turned((rows, columns), (y_turned, x_turned)),
        "DATASEC": format_section((here, slice(first, first + n))),
        "BIASSEC": format_section((here, slice(first + n, first + raw.shape[1]))),
        "GAIN": one.told_gain or one.gain_e_per_adu,
        "RDNOISE": one.read_noise_e,
    }
