"""The header of a stack: what is true of it, on the scale of its reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from autoreduce.fits.cards import Card, format_card
from autoreduce.frames.measured import keywords
from autoreduce.pixels.stacking import LightModel
from autoreduce.products.provenance import OF_ONE_EXPOSURE, iso_text, mjd
from autoreduce.products.stack_light import StackLight
from autoreduce.products.wcs import is_wcs, moved_wcs

OF_ONE_LIGHT = {
    "KEEP",
    "OVERSCAN", "DARKSCAL", "DARKOFFS", "DARKMETH", *OF_ONE_EXPOSURE, "EGAIN",
    "TIME-OBS", "UT", "DATE-LOC", "DATE-BEG", "ALTITUDE", "AZIMUTH", "SECZ", "ZD",
    "RDNOISE", "BAYERPAT", "XBAYROFF", "YBAYROFF", "COLORTYP", "CFAPATT", "BAYERPATTERN",
    "BAYER", "CFA", "CFAIMAGE", "EGAINERR", "EGAINHDR", "RDNERR", "RDNHDR", "GAINUSED", *(keywords() - {"SATURATE"}),
}  # fmt: skip
"""Cards of the first light that do not hold for the stack."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much each light counts in a mean."""

    weights: tuple[float, ...]
    """Sum 1."""

    @classmethod
    def of(cls, models: Sequence[LightModel]) -> "Shares":
        """Take them from weights."""
        total = sum(model.weight for model in models)
        return cls(tuple(model.weight / total for model in models))

    def mean(self, values: Sequence[float | None]) -> float | None:
        """Average what is known of the lights; None if nothing is."""
        known = [
            (share, value)
            for share, value in zip(self.weights, values, strict=True)
            if value is not None and math.isfinite(value)
        ]
        total = sum(share for share, _ in known)
        return sum(share * value for share, value in known) / total if total else None


def grid_cards(
    base: Sequence[bytes],
    grid: Sequence[bytes],
    origin: tuple[float, float],
    binning: float,
) -> list[bytes]:
    """Give the cards of a light, with the coordinates of the grid.

    Parameters
    ----------
    base : sequence of bytes
        Cards of the light whose scale the stack has.
    grid : sequence of bytes
        Cards of the light whose pixels are the grid's.
    origin : (x, y)
        Pixel of the latter with which the grid begins.
    binning : float
        Its pixels in one of the grid's.

    Returns
    -------
    list of bytes
        Where the grid does not begin with the light's first pixel, LTV1 and LTV2 tell
        with which, also where there are no celestial coordinates.
    """
    others = [card for card in base if not is_wcs(card)]
    own = [card for card in grid if is_wcs(card)]
    if any(origin) and not any(card.startswith(b"LTV") for card in own):
        for axis in (1, 2):
            comment = f"[pixel] axis {axis} of the stack - of the light GRID"
            own += format_card(*Card(f"LTV{axis}", 0.0, comment))
    return [*others, *moved_wcs(own, *origin, binning)]


def noise_cards(lights: Sequence[StackLight], shares: Shares) -> list[Card]:
    """Give the gain and the read noise with which the stack's noise comes out right.

    A sample of light i, scaled by f, counts with share w.  A signal S of the stack is
    S / f in that light, of variance S / (f g), so that the stack's is S times the sum
    of w^2 f / g: one over its gain.  Read noise adds up as w^2 f^2 r^2.
    """
    gains = [light.gain for light in lights]
    known = [gain for gain in gains if gain]
    if len(known) < len(gains):
        return []
    triples = list(
        zip(shares.weights, (one.factor for one in lights), known, strict=True)
    )
    gain = 1 / sum(w * w * f / g for w, f, g in triples)
    cards = [Card("EGAIN", gain, "electrons for each unit of the stack")]
    reads = [light.read_noise for light in lights]
    if all(reads):
        square = sum(
            (w * f * (r or 0.0) / g) ** 2
            for (w, f, g), r in zip(triples, reads, strict=True)
        )
        noise = gain * math.sqrt(square)
        cards.append(Card("RDNOISE", noise, "[electron] of the stack: read noise"))
    return cards


def saturation_cards(lights: Sequence[StackLight], unit: str) -> list[Card]:
    """Give the level from which pixels of some light are full, on the stack's scale.

    Lights tell it where they have full pixels.
    """
    levels = [
        light.factor * light.statistics["saturate"] + light.least_offset
        for light in lights
        if "saturate" in light.statistics
    ]
    if not levels:
        return []
    return [
        Card("SATURATE", min(levels), f"[{unit}] pixels of a light are full from here")
    ]


def time_cards(lights: Sequence[StackLight], shares: Shares) -> list[Card]:
    """Give the beginning, the weighted middle and the end of all exposures."""
    dated = [
        (datetime.fromisoformat(light.item.date_obs), light.item.exptime or 0.0, share)
        for light, share in zip(lights, shares.weights, strict=True)
        if light.item.date_obs
    ]
    if not dated:
        return []
    begin = min(start for start, _, _ in dated)
    end = max(start + timedelta(seconds=t) for start, t, _ in dated)
    total = sum(share for _, _, share in dated)
    middle = sum(
        share * ((start - begin).total_seconds() + t / 2) for start, t, share in dated
    )
    average = begin + timedelta(seconds=middle / total)
    return [
        Card("DATE-OBS", iso_text(begin), "[UTC] start of the first exposure"),
        Card("DATE-AVG", iso_text(average), "[UTC] weighted middle of the exposures"),
        Card("MJD-AVG", mjd(average), "[d] the same"),
        Card("DATE-END", iso_text(end), "[UTC] end of the last exposure"),
    ]


def exposure_cards(
    lights: Sequence[StackLight], shares: Shares, reference: StackLight
) -> list[Card]:
    """Give exposures and airmass."""
    airmass = shares.mean([light.statistics.get("airmass") for light in lights])
    cards = [
        Card("EXPTIME", reference.item.exptime, "[s] that pixel values are for"),
        Card("TOTEXP", total_exposure(lights), "[s] exposure of all lights together"),
    ]
    if airmass is not None:
        cards.append(Card("AIRMASS", airmass, "weighted mean"))
    return cards


def total_exposure(lights: Sequence[StackLight]) -> float:
    """Add up the exposures of lights, in seconds."""
    return sum(light.item.exptime or 0.0 for light in lights)
