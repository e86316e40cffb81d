"""Amplifiers of one detector: which pixels of a file each has read, and where they lie."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MISSING = "-"
_TIMES = "x"
_HDU = re.compile(r"(?:^|(?<=; ))\d+ ")
_FACTOR = re.compile(rf" {_TIMES}([\d.e-]+)")


@dataclass(frozen=True, slots=True)
class Amplifier:
    """A part of a detector that was read out by an amplifier of its own."""

    hdu: int
    """HDU that holds its pixels."""
    data: str
    """Section of that image that is kept, FITS text."""
    place: str
    """Where it lies on the detector, FITS text; backwards where the image is."""
    overscan: str | None = None
    """Section of that image whose level is subtracted, FITS text."""
    egain: float | None = None
    """Electrons per ADU."""
    rdnoise: float | None = None
    """Read noise, electron."""
    saturate: float | None = None
    """Level at which raw pixels saturate, ADU."""
    factor: float | None = None
    """What takes its ADU to those of the mean gain, as flats show it; None: as the gains
    that are told do."""

    def __str__(self) -> str:
        """Write it as one line of words, as a cell of the frame table has it."""
        values = (self.overscan, self.egain, self.rdnoise, self.saturate)
        words = [_MISSING if one is None else str(one) for one in values]
        if self.factor is not None:
            words.append(f"{_TIMES}{self.factor}")
        return " ".join((str(self.hdu), self.data, self.place, *words))


def write_amplifiers(amplifiers: Sequence[Amplifier]) -> str:
    """Write amplifiers as a cell of the frame table.

    Examples
    --------
    >>> write_amplifiers([Amplifier(1, "[1:8,1:4]", "[8:1,1:4]", "[9:12,1:4]", 1.5)])
    '1 [1:8,1:4] [8:1,1:4] [9:12,1:4] 1.5 - -'
    """
    return "; ".join(map(str, amplifiers))


def read_amplifiers(text: str | None) -> tuple[Amplifier, ...]:
    """Read a cell of the frame table; the inverse of `write_amplifiers`.

    Returns
    -------
    tuple of Amplifier
        Empty for a missing or empty cell.

    Raises
    ------
    ValueError
        If the text is not of that form.
    """
    return tuple(map(_read_one, text.split(";"))) if text else ()


def layout_of(text: str) -> str:
    """Leave out of a cell in which files and nights may differ: HDU and measured factor.

    Examples
    --------
    >>> layout_of("2 [1:8,1:4] [1:8,1:4] - - - - x0.9; 1 [1:8,1:4] [9:16,1:4] - - - - x1.1")
    '[1:8,1:4] [1:8,1:4] - - - -; [1:8,1:4] [9:16,1:4] - - - -'
    """
    return _FACTOR.sub("", without_hdus(text))


def without_hdus(text: str) -> str:
    """Leave out of a cell in which HDU each amplifier is."""
    return _HDU.sub("", text)


def factors_of(text: str) -> tuple[float, ...]:
    """List the measured factors of a cell, also of one without HDUs; often none.

    Examples
    --------
    >>> factors_of("[1:8,1:4] [1:8,1:4] - - - - x0.9; [1:8,1:4] [9:16,1:4] - - - - x1.1")
    (0.9, 1.1)
    """
    return tuple(map(float, _FACTOR.findall(text)))


def _read_one(text: str) -> Amplifier:
    words = text.split()
    factor = float(words.pop()[1:]) if words and words[-1].startswith(_TIMES) else None
    if len(words) != 7:
        msg = (
            f"amplifier {text.strip()!r} is not of the form "
            "'HDU DATA PLACE OVERSCAN EGAIN RDNOISE SATURATE' with - for what is missing"
        )
        raise ValueError(msg)
    hdu, data, place, overscan, *numbers = words
    egain, rdnoise, saturate = (
        None if word == _MISSING else float(word) for word in numbers
    )
    strip = None if overscan == _MISSING else overscan
    return Amplifier(int(hdu), data, place, strip, egain, rdnoise, saturate, factor)


def gain_factors(amplifiers: Sequence[Amplifier]) -> tuple[float, ...]:
    """Give what takes the ADU of each amplifier to ADU of the mean gain.

    Returns
    -------
    tuple of float
        As measured, else gain over mean gain; 1 for all where one of the gains is not
        known.
    """
    factors = [one.factor for one in amplifiers if one.factor is not None]
    if len(factors) == len(amplifiers):
        return tuple(factors)
    gains = [one.egain for one in amplifiers if one.egain is not None]
    if len(gains) < len(amplifiers):
        return (1.0,) * len(amplifiers)
    mean = sum(gains) / len(gains)
    return tuple(gain / mean for gain in gains)
