"""Statistics of images, of their sections, planes and Bayer colours."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.cards import format_card
from autoreduce.fits.images import open_image
from autoreduce.fits.names import split_hdu
from autoreduce.fits.writer import put_cards
from autoreduce.frames.frame import Facts
from autoreduce.pixels.bayer import by_place, mosaic
from autoreduce.pixels.clipping import MAD_TO_SIGMA
from autoreduce.pixels.measure import measure
from autoreduce.pixels.order import median, quantiles
from autoreduce.tools.filelists import short_names
from autoreduce.tools.headers import read_facts, read_header
from autoreduce.tools.listing import Cell, Table
from autoreduce.tools.regions import Region

Array = NDArray[Any]
Floats = NDArray[np.float64]

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

CLIP_SIGMA = 3.0
CLIP_PASSES = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What statistics are taken with."""

    quantiles: tuple[float, ...] = (0.5,)
    """Which quantiles, from 0 to 1."""
    n_sigma: float = CLIP_SIGMA
    """Limit of the clipped statistics, in standard deviations from the median."""
    saturate: float | None = None
    """Saturation level; that of the header (SATURATE) if None."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The finite pixels of a part of an image, and what is asked of them."""

    pixels: Array
    settings: Settings
    saturate: float | None

    def clipped(self) -> Array:
        """Drop pixels far from the median, until none is."""
        kept = self.pixels
        for _ in range(CLIP_PASSES):
            centre, scale = median(kept), np.std(kept, dtype=np.float64)
            near = np.abs(kept - centre.astype(np.float64)) <= self._limit(scale)
            if near.all() or not near.any():
                break
            kept = kept[near]
        return kept

    def _limit(self, scale: float) -> float:
        return self.settings.n_sigma * float(scale)


Statistic = Callable[[_Sample], float | int | None]


def _mad(sample: _Sample) -> float:
    centre = median(sample.pixels).astype(np.float64)
    return float(median(np.abs(sample.pixels - centre)))


def _mode(sample: _Sample) -> float:
    return measure(sample.pixels.reshape(1, -1)).mode


def _saturated(sample: _Sample) -> int | None:
    if sample.saturate is None:
        return None
    return int(np.count_nonzero(sample.pixels >= sample.saturate))


def _mean(pixels: Array) -> float:
    return float(np.mean(pixels, dtype=np.float64))


def _std(pixels: Array) -> float:
    return float(np.std(pixels, dtype=np.float64))


STATISTICS: dict[str, tuple[str, str, Statistic]] = {
    "num": ("STNUM", "finite pixels", lambda s: s.pixels.size),
    "sum": ("STSUM", "sum", lambda s: float(np.sum(s.pixels, dtype=np.float64))),
    "mean": ("STMEAN", "mean", lambda s: _mean(s.pixels)),
    "median": ("STMEDIAN", "median", lambda s: float(median(s.pixels))),
    "mode": ("STMODE", "most frequent value", _mode),
    "std": ("STSTD", "standard deviation", lambda s: _std(s.pixels)),
    "var": ("STVAR", "variance", lambda s: _std(s.pixels) ** 2),
    "min": ("STMIN", "lowest", lambda s: float(s.pixels.min())),
    "max": ("STMAX", "highest", lambda s: float(s.pixels.max())),
    "mad": ("STMAD", "median absolute deviation", _mad),
    "madstd": ("STMADSTD", "1.4826 mad", lambda s: MAD_TO_SIGMA * _mad(s)),
    "clipmean": ("STCMEAN", "clipped mean", lambda s: _mean(s.clipped())),
    "clipmedian": ("STCMED", "clipped median", lambda s: float(median(s.clipped()))),
    "clipstd": ("STCSTD", "clipped std", lambda s: _std(s.clipped())),
    "saturated": ("STSAT", "saturated pixels", _saturated),
}
"""Keyword, meaning and function of each statistic; quantiles come on top."""

ALIASES = {"rms": "std", "average": "mean", "npix": "num", "minimum": "min",
           "maximum": "max", "percentile": "quantile"}  # fmt: skip
"""Other names that people give to statistics."""

DEFAULT_STATISTICS = ("num", "mean", "median", "std", "min", "max")
NAMES = (*STATISTICS, "quantile")


def statistic_names(names: Sequence[str]) -> list[str]:
    """Return the statistics that names, or their aliases, mean; ``all`` is all.

    Raises
    ------
    InputError
        If there is no such statistic.
    """
    if "all" in names:
        return list(NAMES)
    known = [ALIASES.get(name.lower(), name.lower()) for name in names]
    for name in known:
        if name not in NAMES:
            msg = f"there is no statistic {name}; there are {', '.join(NAMES)}, all"
            raise InputError(msg)
    return list(dict.fromkeys(known))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an image and its statistics."""

    image: str
    """Name of the image."""
    section: str
    """The part as FITS text."""
    plane: int | None
    """Plane of a cube, from one; None if it is not taken apart."""
    colour: str | None
    """Bayer colour; None if the mosaic is not taken apart."""
    values: Mapping[str, float | int | None]
    """Statistics by name; a quantile is named as in ``q0.25``."""


def image_statistics(
    image: str,
    names: Sequence[str] = DEFAULT_STATISTICS,
    *,
    region: Region | None = None,
    per_plane: bool = False,
    per_colour: bool = False,
    settings: Settings | None = None,
) -> list[Part]:
    """Take statistics of an image over its finite pixels.

    Parameters
    ----------
    image : str
        File, or ``FILE[N]`` for HDU N.
    names : sequence of str
        Of `NAMES` and `ALIASES`.
    region : Region, optional
        Section; the whole image if absent.
    per_plane : bool
        Whether each plane of a cube counts by itself.
    per_colour : bool
        Whether each colour of the header's BAYERPAT counts by itself; the two
        greens are ``G1`` (in the first row) and ``G2``.  Of a cube in colour, each
        plane.
    settings : Settings, optional
        Quantiles, limits.

    Returns
    -------
    list of Part
        One for each part; statistics of a part without finite pixels are NaN.

    Raises
    ------
    InputError
        If the image cannot be read, the region does not lie within it, it has no
        Bayer pattern, or there is no such statistic.
    """
    settings = Settings() if settings is None else settings
    wanted = statistic_names(names)
    with open_image(image) as reader:
        data, names = reader.read(), reader.colours
    per_plane |= bool(names) and per_colour
    facts = read_facts(image)
    whole = Region((slice(0, data.shape[-2]), slice(0, data.shape[-1])))
    region = whole if region is None else region
    saturate = settings.saturate
    if saturate is None:
        saturate = facts.number("saturate")
    parts = []
    for plane, text, pixels in _planes(data, region, image, per_plane=per_plane):
        split = per_colour and not names
        for place, some in _colours(pixels, facts, region, image, split=split):
            colour = names[plane - 1] if names and plane else place
            finite = some[np.isfinite(some)]
            values = _values(_Sample(finite, settings, saturate), wanted)
            parts.append(Part(image, text, plane, colour, values))
    return parts


def _planes(
    data: Array, region: Region, image: str, *, per_plane: bool
) -> Iterator[tuple[int | None, str, Array]]:
    cut = region.cut(data, image)
    if not per_plane or data.ndim == 2:
        yield None, region.text, cut
        return
    first = region.planes.start if region.planes else 0
    for number, plane in enumerate(cut, start=first + 1):
        yield number, Region(region.section, slice(number - 1, number)).text, plane


def _colours(
    pixels: Array, facts: Facts, region: Region, image: str, *, split: bool
) -> Iterator[tuple[str | None, Array]]:
    if not split:
        yield None, pixels
        return
    pattern = facts.value("bayerpat")
    if pattern is None:
        said = facts.header.get("BAYERPAT") or "nothing"
        msg = f"{image} has no Bayer pattern (BAYERPAT says {said})"
        raise InputError(msg)
    places = by_place(mosaic(str(pattern)))
    rows, columns = region.section
    for colour, name in enumerate(places.colours):
        ((y, x),) = places.places(colour)
        top, left = (y - rows.start) % 2, (x - columns.start) % 2
        yield name, pixels[..., top::2, left::2]


def _values(sample: _Sample, names: Sequence[str]) -> dict[str, float | int | None]:
    values: dict[str, float | int | None] = {}
    for name in names:
        if name == "quantile":
            for q in sample.settings.quantiles:
                values[quantile_name(q)] = _quantile(sample.pixels, q)
        elif sample.pixels.size or name == "num":
            values[name] = STATISTICS[name][2](sample)
        else:
            values[name] = float("nan")
    return values


def quantile_name(q: float) -> str:
    """Return the name of a quantile, as in ``q0.25``."""
    return f"q{q:.15g}"


def _quantile(pixels: Array, q: float) -> float:
    return float(quantiles(pixels, [q])[0]) if pixels.size else float("nan")


def statistics_table(parts: Sequence[Part]) -> Table:
    """Arrange parts as a table; planes and colours only where there are some."""
    columns: dict[str, list[Cell]] = {
        "Filename": [*short_names([part.image for part in parts])],
        "Section": [part.section for part in parts],
    }
    if any(part.plane is not None for part in parts):
        columns["Plane"] = [part.plane for part in parts]
    if any(part.colour is not None for part in parts):
        columns["Colour"] = [part.colour for part in parts]
    for name in dict.fromkeys(name for part in parts for name in part.values):
        columns[name] = [part.values.get(name) for part in parts]
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)))


def store_statistics(part: Part) -> None:
    """Write statistics into the header of their file; its pixels stay as they are.

    The file is written anew beside itself and moved into place: whole or not at all.
    Of a symbolic link that is the file that it leads to.

    Parameters
    ----------
    part : Part
        Statistics of a whole image or of a section.

    Raises
    ------
    InputError
        If the file cannot be read, or a quantile has no card.
    ProductError
        If it is write-protected, has a second name, or cannot be written.
    """
    hdu = read_header(part.image).hdu
    path = split_hdu(part.image)[0]
    status = path.stat()
    if not (os.access(path, os.W_OK) and status.st_mode & _WRITABLE):
        msg = (
            f"{path} is write-protected: nothing is stored in it; `chmod u+w` allows it"
        )
        raise ProductError(msg)
    if status.st_nlink > 1:
        msg = (
            f"{path} is one of {status.st_nlink} names of a file (hard links), of which "
            "only this one would have the statistics: nothing is stored; make it a copy, "
            "or the others symbolic links (`ln -s`)"
        )
        raise ProductError(msg)
    cards = format_card("STSECT", part.section, "section of the statistics")
    for name, value in part.values.items():
        keyword, meaning = card_of(name)
        finite = value is not None and np.isfinite(value)
        cards += format_card(
            keyword, value if finite else None, f"statistics: {meaning}"
        )
    put_cards(path.resolve(), hdu, cards)


def card_of(name: str) -> tuple[str, str]:
    """Return keyword and meaning of a statistic, named as in `Part.values`.

    Raises
    ------
    InputError
        If it is a quantile of so many digits that no keyword tells it from others.
    """
    if name in STATISTICS:
        return STATISTICS[name][:2]
    digits = name[1:].replace(".", "")
    if not digits.isdecimal() or len(digits) > 5:
        msg = f"the quantile {name[1:]} has no card: only those of 4 decimals have"
        raise InputError(msg)
    return f"STQ{digits}", f"quantile {name[1:]}"
