"""Gain and read noise of a light: what its header says, else what its masters tell."""

from pathlib import Path
from typing import NamedTuple

from autoreduce.calibration.bands import Correction
from autoreduce.errors import InputError
from autoreduce.fits.cards import Card
from autoreduce.fits.images import open_image
from autoreduce.pixels.phototransfer import PhotonTransfer
from autoreduce.planning.plan import FrameInput
from autoreduce.remarks import Remark, remark

GAIN, GAIN_ERROR, READ_NOISE = "GAINPTC", "GAINPERR", "RDNPTC"
"""Cards of a master flat: photon transfer of its pairs."""
FRAME_NOISE = "NOISEADU"
"""Card of master bias and dark frames: noise of a single one."""
SIGMAS, UNLIKE = 5.0, 0.1
"""Errors, and part of the gain, by which header and flats must differ to be told."""


class Gain(NamedTuple):
    """What turns ADU into electrons."""

    egain: float | None = None
    """Electrons per ADU."""
    rdnoise: float | None = None
    """Read noise, electrons."""
    measured: bool = False
    """Whether the gain is from flats, for want of a header's."""
    flats: float | None = None
    """What the flats tell, electrons per ADU."""
    error: float | None = None
    """1-sigma error of that."""

    @property
    def disagrees(self) -> bool:
        """Whether header and flats tell what cannot both be right."""
        if self.egain is None or self.flats is None or self.error is None:
            return False
        away = abs(self.egain - self.flats)
        return away > SIGMAS * self.error and away > UNLIKE * self.flats

    def doubts(self) -> tuple[Remark, ...]:
        """Say that header and flats disagree, where they do."""
        if not self.disagrees:
            return ()
        return (
            remark(
                "gain-disagrees",
                found=f"{self.egain:.4g} electron/ADU",
                expected=f"{self.flats:.4g} +- {self.error:.2g}",
                way_out=f"--set '*: egain={self.flats:.4g}'",
            ),
        )

    def cards(self) -> list[Card]:
        """Write what was measured; a header's own cards stand where they are."""
        if not self.measured:
            return []
        cards = [Card("EGAIN", self.egain, "[electron/adu] measured from flats")]
        if self.error is not None:
            cards.append(Card("EGAINERR", self.error, "[electron/adu] 1-sigma error"))
        if self.rdnoise is not None:
            cards.append(Card("RDNOISE", self.rdnoise, "[electron] measured"))
        return cards


def gain_of(item: FrameInput, correction: Correction, folder: Path) -> Gain:
    """Find the gain of a light.

    Parameters
    ----------
    item : FrameInput
        The light as planned, with what its header says.
    correction : Correction
        Its masters.
    folder : Path
        Output folder.
    """
    keys = (GAIN, GAIN_ERROR, READ_NOISE)
    gain, error, noise = (
        (None, None, None)
        if correction.flat is None
        else (_number(folder / correction.flat, key) for key in keys)
    )
    if item.egain is not None:
        return Gain(item.egain, item.rdnoise, flats=gain, error=error)
    if gain is None:
        return Gain()
    rdnoise = noise if item.rdnoise is None else item.rdnoise
    return Gain(gain, rdnoise, measured=True, flats=gain, error=error)


def read_noise_adu(correction: Correction, folder: Path) -> float:
    """Give the noise of a read, ADU, as master bias or dark tell; 0 if neither does."""
    outputs = [output for output in (correction.bias, correction.dark) if output]
    found = (_number(folder / output, FRAME_NOISE) for output in outputs)
    return next((noise for noise in found if noise is not None), 0.0)


def transfer_cards(transfer: PhotonTransfer | None, read_noise: float) -> list[Card]:
    """Say in a master flat what its pairs tell of the camera.

    Parameters
    ----------
    transfer : PhotonTransfer or None
        None gives no cards.
    read_noise : float
        Noise of a read, ADU; 0 if it is not known.
    """
    if transfer is None:
        return []
    cards = [
        Card(GAIN, transfer.gain, "[electron/adu] measured, pairs of flats"),
        Card(GAIN_ERROR, transfer.error, "[electron/adu] its 1-sigma error"),
    ]
    if read_noise:
        noise = read_noise * transfer.gain
        cards.append(Card(READ_NOISE, noise, "[electron] read noise, measured"))
    return cards


def _number(path: Path, keyword: str) -> float | None:
    try:
        with open_image(path) as reader:
            return reader.raw.number(keyword)
    except InputError:
        return None
