"""Gain and read noise of a light: what its header says, else what flats tell."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autoreduce.calibration.bands import Correction
from autoreduce.errors import InputError
from autoreduce.fits.cards import Card
from autoreduce.fits.images import open_image
from autoreduce.fits.tables import table_extension
from autoreduce.pixels.linearity import Response
from autoreduce.pixels.phototransfer import PhotonTransfer
from autoreduce.planning.plan import FrameInput
from autoreduce.remarks import Remark, remark

GAIN, GAIN_ERROR = "GAINPTC", "GAINPERR"
READ_NOISE, READ_NOISE_ERROR = "RDNPTC", "RDNPERR"
"""Cards of a master flat: photon transfer of its pairs."""
FRAME_NOISE, FRAME_NOISE_ERROR = "NOISEADU", "NOISEERR"
"""Cards of master bias and dark frames: noise of a single one."""
CURVE = "PHOTON_TRANSFER"
"""Table of a master flat: signal and variance, block by block."""
LINE = "LINEARITY"
"""Table of a master flat: how counts deviate from the light, level by level."""
BENT = 0.01
"""Part of the counts by which a response may deviate before it is told."""
SIGMAS, UNLIKE = 5.0, 0.1
"""Errors, and part of what is measured, by which a header must differ to be overruled."""


class Quantity(NamedTuple):
    """A number that a header tells, and that is measured as well."""

    told: float | None = None
    """By the header, or by the observer."""
    measured: float | None = None
    """From flats and bias frames."""
    error: float | None = None
    """1-sigma error of that."""
    given: bool = False
    """Whether it is the observer who told it."""

    @property
    def disagrees(self) -> bool:
        """Whether what was told and what is measured cannot both be right."""
        if self.told is None or self.measured is None or self.error is None:
            return False
        away = abs(self.told - self.measured)
        return away > SIGMAS * self.error and away > UNLIKE * self.measured

    @property
    def is_measured(self) -> bool:
        """Whether the measured one is used: nothing else is told, or it cannot be."""
        if self.measured is None:
            return False
        return self.told is None or (self.disagrees and not self.given)

    @property
    def value(self) -> float | None:
        """The one that is used."""
        return self.measured if self.is_measured else self.told


class Gain(NamedTuple):
    """What turns ADU into electrons."""

    gain: Quantity = Quantity()
    """Electrons per ADU."""
    noise: Quantity = Quantity()
    """Read noise, electrons."""
    flat: str | None = None
    """Master flat that is not the light's own and tells them."""

    @property
    def egain(self) -> float | None:
        """Electrons per ADU that are used."""
        return self.gain.value

    @property
    def rdnoise(self) -> float | None:
        """Read noise that is used, electrons."""
        return self.noise.value

    def doubts(self) -> tuple[Remark, ...]:
        """Say that what is told and what is measured disagree, where they do."""
        pairs = (
            ("gain", "egain", "electron/ADU", self.gain),
            ("read-noise", "rdnoise", "electron", self.noise),
        )
        return tuple(
            _doubt(name, fact, unit, one)
            for name, fact, unit, one in pairs
            if one.disagrees
        )

    def cards(self) -> list[Card]:
        """Write what was measured; a header's own cards stand where they are."""
        cards = []
        if self.gain.is_measured:
            cards += [
                Card("EGAIN", self.egain, "[electron/adu] measured from flats"),
                Card("EGAINERR", self.gain.error, "[electron/adu] 1-sigma error"),
            ]
            if self.gain.told is not None:
                told = Card("EGAINHDR", self.gain.told, "[electron/adu] as was told")
                cards.append(told)
        if self.noise.is_measured:
            cards += [
                Card("RDNOISE", self.rdnoise, "[electron] read noise, measured"),
                Card("RDNERR", self.noise.error, "[electron] 1-sigma error"),
            ]
            if self.noise.told is not None:
                cards.append(Card("RDNHDR", self.noise.told, "[electron] as was told"))
        if cards:
            cards.append(
                Card("GAINFILE", self.flat, "flat that told, not used otherwise")
            )
        return [card for card in cards if card.value is not None]


def _doubt(name: str, fact: str, unit: str, one: Quantity) -> Remark:
    """Say that two values disagree, and how the other one is chosen."""
    other = one.told if one.is_measured else one.measured
    return remark(
        f"{name}-overruled" if one.is_measured else f"{name}-disagrees",
        found=f"{one.told:.4g} {unit}",
        expected=f"{one.measured:.4g} +- {one.error:.2g}",
        way_out=f"--set '*: {fact}={other:.4g}'",
    )


def gain_of(
    item: FrameInput,
    correction: Correction,
    folder: Path,
    made: Collection[str] = (),
) -> Gain:
    """Find gain and read noise of a light.

    Parameters
    ----------
    item : FrameInput
        The light as planned, with what its header, or the observer, says.
    correction : Correction
        Its masters.
    folder : Path
        Output folder.
    made : collection of str
        Outputs of other tasks that could be made.
    """
    other = item.gain_flat if item.gain_flat in made else None
    flat = correction.flat or other
    keys = (GAIN, GAIN_ERROR, READ_NOISE, READ_NOISE_ERROR)
    gain, error, noise, noise_error = (
        (None, None, None, None) if flat is None else _numbers(folder / flat, *keys)
    )
    found = Quantity(item.egain, gain, error, given="egain" in item.given)
    if found.told is not None and not found.is_measured:
        # The noise in electrons goes by the gain that is used.
        factor = found.told / gain if gain else 1.0
        noise, noise_error = (one and one * factor for one in (noise, noise_error))
    noise_found = Quantity(
        item.rdnoise, noise, noise_error, given="rdnoise" in item.given
    )
    return Gain(found, noise_found, None if correction.flat else other)


class ReadNoise(NamedTuple):
    """Noise of a read."""

    adu: float = 0.0
    """1 sigma, ADU; 0 if it is not known."""
    error: float = 0.0
    """1-sigma error of that, ADU."""


def read_noise(correction: Correction, folder: Path) -> ReadNoise:
    """Give the noise of a read, as master bias or dark tell."""
    for output in (correction.bias, correction.dark):
        if output is None:
            continue
        noise, error = _numbers(folder / output, FRAME_NOISE, FRAME_NOISE_ERROR)
        if noise is not None:
            return ReadNoise(noise, error or 0.0)
    return ReadNoise()


def transfer_cards(transfer: PhotonTransfer | None, noise: ReadNoise) -> list[Card]:
    """Say in a master flat what its pairs tell of the camera.

    Parameters
    ----------
    transfer : PhotonTransfer or None
        None gives no cards.
    noise : ReadNoise
        Of the frames.
    """
    if transfer is None:
        return []
    cards = [
        Card(GAIN, transfer.gain, "[electron/adu] measured, pairs of flats"),
        Card(GAIN_ERROR, transfer.error, "[electron/adu] its 1-sigma error"),
    ]
    if noise.adu:
        value = noise.adu * transfer.gain
        error = math.hypot(noise.error * transfer.gain, noise.adu * transfer.error)
        cards += [
            Card(READ_NOISE, value, "[electron] read noise, measured"),
            Card(READ_NOISE_ERROR, error, "[electron] its 1-sigma error"),
        ]
    return cards


def transfer_table(transfer: PhotonTransfer | None) -> bytes:
    """Write the photon transfer curve as the table `CURVE`; nothing without one."""
    if transfer is None:
        return b""
    signal, variance = transfer.points[np.argsort(transfer.points[:, 0])].T
    return table_extension(
        CURVE,
        {"SIGNAL": signal.astype("f4"), "VARIANCE": variance.astype("f4")},
        units={"SIGNAL": "adu", "VARIANCE": "adu2"},
        comments={"VARIANCE": "of a frame; read noise is taken out"},
    )


def response_cards(response: Response | None) -> list[Card]:
    """Say in a master flat how counts follow the light; nothing without a response."""
    if response is None:
        return []
    return [
        Card("LINDEV", response.deviation, "counts off the line at the highest level"),
        Card("LINERR", response.error, "its 1-sigma error"),
        Card("LINLEVEL", float(response.levels[-1]), "[adu] that level"),
    ]


def response_table(response: Response | None) -> bytes:
    """Write a response as the table `LINE`; nothing without one."""
    if response is None:
        return b""
    return table_extension(
        LINE,
        {
            "LEVEL": response.levels.astype("f4"),
            "DEVIATION": response.deviations.astype("f4"),
        },
        units={"LEVEL": "adu"},
        comments={"DEVIATION": "part of the counts beside what the lowest promise"},
    )


def doubts_of_response(response: Response | None) -> tuple[Remark, ...]:
    """Say that counts do not follow the light, and what mends them."""
    if response is None or abs(response.deviation) < max(BENT, SIGMAS * response.error):
        return ()
    found = f"{response.deviation:+.1%} +- {response.error:.1%}"
    level = f"{response.levels[-1]:.0f} ADU"
    polynomial = ", ".join(f"{c:.4g}" for c in response.polynomial)
    return (
        remark("not-proportional", found=f"{found} at {level}", expected=polynomial),
    )


def _numbers(path: Path, *keywords: str) -> list[float | None]:
    """Read some cards of a product; none of one that cannot be read."""
    try:
        with open_image(path) as reader:
            return [reader.raw.number(keyword) for keyword in keywords]
    except InputError:
        return [None] * len(keywords)
