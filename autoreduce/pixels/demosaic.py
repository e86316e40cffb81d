"""Colours of a mosaic: three images from pixels that saw one colour each.

The fine structure of stars is told by green, which half of the pixels see, and where they
do not by what is seen there, in its usual proportion; what red and blue differ from their
usual share of green is smooth, and is interpolated between their own pixels [1]_.  Their own pixels keep what they measured, so that the light of a star in a
colour is that of its own pixels, whatever its colour.

References
----------
.. [1] Malvar, He & Cutler (2004), Proc. IEEE ICASSP 3, 485, with kernels for stars and
   with the ratio of the colours in place of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.bayer import CELL, RGB, Mosaic
from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.order import finite_median, median
from autoreduce.pixels.stars import SKY_BOX, sky_of

Image = NDArray[np.float32]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

GREEN_TAPS = {(1, 0): 0.3165, (2, 1): -0.0544, (3, 0): 0.0609, (3, 2): -0.0093}
"""Weights of the green pixels around one of another colour, for steps along and across,
in all directions ..."""
OWN_TAPS = {(0, 0): 0.2499, (2, 0): -0.1174, (2, 2): 0.0549}
"""... and of this pixel and those of its colour around it, in units of green: together
those that best restore the images of stars some two pixels wide."""
ALONE_TAPS = {(1, 0): 0.3786, (2, 1): -0.0969, (3, 0): 0.0118, (3, 2): 0.0267}
"""Weights of the green pixels where nothing tells the ratio of the colours."""
BETWEEN = (-1 / 16, 9 / 16, 9 / 16, -1 / 16)
"""Weights of four pixels of a colour in a row between whose middle ones a place lies."""
MARGIN = 12
"""Rows beyond a band on which the band depends."""
HOT_SIGMAS = 8.0
"""Height above the sky, of its noise, from which a pixel may be a hot one ..."""
HOT_NEIGHBOURS = 0.12
"""... if the brightest of its eight neighbours has less of its light: stars of 1.8 pixels
in three colours have a fifth or more."""
UNLIKE, SURELY = 0.01, 5.0
"""Two greens differ by less of the sky's level; those that a pattern has elsewhere differ
by so many times less."""
NEAR = 5
"""Side of the square, in pixels of one place of the cell, that tells how sharp a star is."""
SHARP_SIGMAS = 3.0
"""How sharp it is, of what noise does, if it tells the ratio of colours."""
MAD_TO_SIGMA = 1.4826
FEWEST_SHARP = 5
"""Stars that tell a ratio."""


class Level(NamedTuple):
    """The sky in one colour."""

    sky: float
    """ADU."""
    noise: float
    """1-sigma scatter from pixel to pixel, ADU."""


@dataclass(frozen=True, slots=True)
class ColourModel:
    """What is alike in all of a mosaic."""

    of: Mosaic
    """Which pixels see which colour."""
    levels: tuple[Level, ...]
    """The sky in red, green and blue."""
    ratios: tuple[float, ...] = (0.0, 1.0, 0.0)
    """Light of most stars in each colour, of that in green; 0 if not known."""
    places: tuple[float, ...] = ()
    """The sky at each place of a cell, ADU; row by row."""

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the pixels show their two greens where red and blue should be."""
        if not self.places:
            return False
        green = self.of.colours.index("G")
        is_green = [colour == green for row in self.of.cell for colour in row]
        known = [p for p, yes in zip(self.places, is_green, strict=True) if yes]
        others = [p for p, yes in zip(self.places, is_green, strict=True) if not yes]
        apart, alike = abs(known[0] - known[1]), abs(others[0] - others[1])
        level = self.levels[1]
        return apart > UNLIKE * abs(level.sky) and alike < apart / SURELY


def colour_model(data: NDArray[np.float32], of: Mosaic, saturate: float) -> ColourModel:
    """Measure the sky of each colour, and the usual ratios of colours.

    Parameters
    ----------
    data : (ny, nx) array, ADU
        A whole calibrated mosaic.
    of : Mosaic
        Its pattern; see `autoreduce.pixels.bayer.is_known`.
    saturate : float
        Level from which pixels are saturated.

    Returns
    -------
    ColourModel
        A ratio is the median of stars that stand well above their surroundings; 0 with
        fewer than `FEWEST_SHARP` of them.
    """
    levels = []
    for name in RGB:
        parts = of.of_colour(data, of.colours.index(name))
        found = np.mean([sky_of(part, SKY_BOX // CELL) for part in parts], axis=0)
        levels.append(Level(float(found[0]), float(found[1])))
    model = ColourModel(of, tuple(levels))
    excess, _ = _above_sky(data, 0, model)
    full = saturate - max(level.sky for level in levels)
    red, green, blue = (
        [excess[y::CELL, x::CELL] for y, x in of.places(of.colours.index(name))]
        for name in RGB
    )
    ratios = [sharp_ratio(own, green, full) for (own,) in (red, blue)]
    places = tuple(
        finite_median(data[y::CELL, x::CELL]) for y, x in np.ndindex(CELL, CELL)
    )
    return ColourModel(of, tuple(levels), (ratios[0], 1.0, ratios[1]), places)


def sharp_ratio(own: Image, others: Sequence[Image], full: float) -> float:
    """Compare what is sharp, as stars are, in two colours: nebulae have colours apart.

    Parameters
    ----------
    own : (ny, nx) array
        Pixels of the one colour, without sky.
    others : sequence of (ny, nx) arrays
        Those of the other at each of its places in the cell, as far apart: stars that are
        narrower than that fall between the pixels of both alike.
    full : float
        Level from which pixels are saturated.

    Returns
    -------
    float
        Sharp light in the one over that in the other, of most stars; 0 with fewer than
        `FEWEST_SHARP` of them.
    """
    power, noise = _sharp_power(own)
    pairs = [_sharp_power(one) for one in others]
    other = np.mean([one for one, _ in pairs], axis=0)
    total = power + other
    least = SHARP_SIGMAS**2 * (noise + np.mean([one for _, one in pairs]))
    y, x = marked_pixels((total > least) & (other > 0))
    # Each star counts once, and not the more the sharper the other colour shows it.
    first = total[y, x] == _largest_around(total, y, x)
    y, x = y[first], x[first]
    fainter = [_largest_around(one, y, x) < full for one in (own, *others)]
    whole = np.logical_and.reduce(fainter)
    good = y[whole], x[whole]
    if len(good[0]) < FEWEST_SHARP:
        return 0.0
    # One place against one place: their mean would be less in doubt than the one colour,
    # and a star that falls between the pixels of that one alone be the rule.
    each = np.stack([one[good] for one, _ in pairs])
    ratios = np.divide(
        power[good], each, out=np.full_like(each, np.inf), where=each > 0
    )
    return float(np.sqrt(max(float(np.median(ratios)), 0.0)))


def _largest_around(image: Image, y: Indices, x: Indices) -> Image:
    """Give the largest pixel of the squares of side `NEAR` around some."""
    steps = np.arange(NEAR) - NEAR // 2
    rows = np.clip(y[:, None, None] + steps[:, None], 0, image.shape[0] - 1)
    columns = np.clip(x[:, None, None] + steps, 0, image.shape[1] - 1)
    return np.asarray(image[rows, columns].max(axis=(1, 2)))


def _sharp_power(image: Image) -> tuple[Image, float]:
    """Tell how much pixels around each stand out of the four beside them, squared.

    Returns
    -------
    power : (ny, nx) array
        Without what noise does.
    noise : float
        What noise does.
    """
    from scipy.ndimage import uniform_filter

    wide = np.pad(image, 1, mode="edge")
    sides = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    sharp = image - sides / 4
    noise = (MAD_TO_SIGMA * float(median(np.abs(sharp)))) ** 2
    return np.asarray(uniform_filter(sharp**2, NEAR) - noise, np.float32), noise


def demosaic(
    rows: NDArray[np.float32], start: int, model: ColourModel, name: str
) -> Image:
    """Interpolate one colour of a band.

    Parameters
    ----------
    rows : (n, nx) array, ADU
        Rows of a mosaic; NaN where nothing was measured.  Rows of the result that are
        nearer than `MARGIN` to an end that is not the image's depend on that end.
    start : int
        Row of the mosaic with which they begin.
    model : ColourModel
        Of the whole mosaic.
    name : str
        R, G or B.

    Returns
    -------
    (n, nx) array, ADU
        NaN where a pixel of that colour is missing.  Hot pixels have the mean of their
        neighbours in the same colour.
    """
    excess, _ = _above_sky(rows, start, model)
    plane = _green(excess, start, model)
    colour = model.of.colours.index(name)
    if name != "G":
        ((y, x),) = model.of.places(colour)
        usual = np.float32(model.ratios[RGB.index(name)]) * plane
        plane = usual + _grown(excess - usual, (y - start) % CELL, x)
    plane += np.float32(model.levels[RGB.index(name)].sky)
    missing = ~np.isfinite(rows)
    if missing.any():
        plane[missing & _of_colour(model.of, name, start, rows.shape)] = np.nan
    return plane


def neighbours_of_colour(
    rows: NDArray[np.float32], start: int, model: ColourModel, name: str
) -> Image:
    """Give each pixel the mean of those of one colour among it and its neighbours.

    What differs from one colour to the other, as errors do, is that of the colour then.

    Parameters
    ----------
    rows, start, model, name
        As for `demosaic`.

    Returns
    -------
    (n, nx) array
        NaN where none is known.
    """
    from scipy.ndimage import uniform_filter

    known = _of_colour(model.of, name, start, rows.shape) & np.isfinite(rows)
    total = uniform_filter(np.where(known, rows, np.float32(0)), 3, mode="constant")
    share = uniform_filter(known.astype(np.float32), 3, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / share
    # What is none but for rounding is none.
    return np.where(share > 0.5 / 9, mean, np.float32(np.nan))


def own_pixels(
    rows: NDArray[np.float32], start: int, model: ColourModel, name: str
) -> Image:
    """Leave the pixels of one colour only.

    Parameters
    ----------
    rows, start, model, name
        As for `demosaic`.

    Returns
    -------
    (n, nx) array, ADU
        NaN where pixels are of another colour, missing or hot.
    """
    _, hot = _above_sky(rows, start, model)
    own = _of_colour(model.of, name, start, rows.shape)
    return np.where(own & ~hot, rows, np.float32(np.nan))


def _of_colour(of: Mosaic, name: str, start: int, shape: tuple[int, int]) -> Mask:
    """Tell which pixels of a band see a colour."""
    chosen = np.array([one == name for one in of.colours])
    return np.asarray(of.spread(chosen, start, shape))


def _above_sky(
    rows: NDArray[np.float32], start: int, model: ColourModel
) -> tuple[Image, Mask]:
    """Take the sky out of each colour; fill what is missing or hot within its colour."""
    order = [RGB.index(name) for name in model.of.colours]
    sky = np.array([model.levels[i].sky for i in order], np.float32)
    noise = np.array([model.levels[i].noise for i in order], np.float32)
    excess = rows - model.of.spread(sky, start, rows.shape)
    missing = ~np.isfinite(excess)
    excess[missing] = 0
    hot = _hot(excess, model.of.spread(noise, start, rows.shape))
    _fill(excess, hot | missing, model.of, start)
    return excess, hot & ~missing


def _hot(excess: Image, noise: Image) -> Mask:
    """Find pixels that stand out alone: no neighbour has a part of their light."""
    hot = excess > HOT_SIGMAS * noise
    y, x = marked_pixels(hot)
    padded = np.pad(excess, 1, mode="reflect")
    around = [
        padded[y + dy, x + dx]
        for dy in range(3)
        for dx in range(3)
        if (dy, dx) != (1, 1)
    ]
    # Where the neighbours' own noise may reach, a pixel is not called hot.
    limit = HOT_NEIGHBOURS * excess[y, x] + noise[y, x]
    hot[y, x] = np.max(around, axis=0, initial=-np.inf) < limit
    return hot


def _fill(excess: Image, gone: Mask, of: Mosaic, start: int) -> None:
    """Give pixels the mean of the nearest ones of their colour that are there."""
    y, x = marked_pixels(gone)
    if not len(y):
        return
    ny, nx = excess.shape
    green = of.colours.index("G")
    cell = np.array(of.cell)
    is_green = (cell[(y + start) % CELL, x % CELL] == green)[:, None]
    plain = np.array([(-2, 0), (2, 0), (0, -2), (0, 2)])
    diagonal = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
    steps = np.where(is_green[..., None], diagonal, plain)
    rows, columns = y[:, None] + steps[..., 0], x[:, None] + steps[..., 1]
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    rows, columns = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    seen = inside & ~gone[rows, columns]
    total = np.where(seen, excess[rows, columns], 0).sum(axis=1)
    excess[y, x] = total / np.maximum(seen.sum(axis=1), 1)


def _green(excess: Image, start: int, model: ColourModel) -> Image:
    """Interpolate green where another colour was seen."""
    reach = max(max(step) for step in GREEN_TAPS)
    # An even number of steps beyond an edge is a pixel of the same colour.
    padded = np.pad(excess, reach, mode="reflect")
    # Side by side, pixels of one place of the cell are added many times as fast.
    parts = {
        (y, x): np.ascontiguousarray(padded[y::CELL, x::CELL])
        for y, x in np.ndindex(CELL, CELL)
    }
    out = excess.copy()
    for y, x in np.ndindex(CELL, CELL):
        name = model.of.colours[model.of.cell[(y + start) % CELL][x]]
        if name == "G":
            continue
        total = np.zeros_like(out[y::CELL, x::CELL], order="C")
        ny, nx = total.shape
        term = np.empty_like(total)
        for step, weight in _taps(model.ratios[RGB.index(name)]):
            for dy, dx in _all_ways(*step):
                row, column = y + reach + dy, x + reach + dx
                near = parts[row % CELL, column % CELL]
                top, left = row // CELL, column // CELL
                near = near[top : top + ny, left : left + nx]
                total += np.multiply(near, np.float32(weight), out=term)
        out[y::CELL, x::CELL] = total
    return out


def _taps(ratio: float) -> list[tuple[tuple[int, int], float]]:
    """Weigh the pixels around one of a colour that has so much of green's light."""
    if ratio <= 0:
        return list(ALONE_TAPS.items())
    own = [(step, weight / ratio) for step, weight in OWN_TAPS.items()]
    return [*GREEN_TAPS.items(), *own]


def _all_ways(along: int, across: int) -> list[tuple[int, int]]:
    """List a step in all directions, each once."""
    signs = (1, -1)
    found = [(i * a, j * b) for a, b in ((along, across), (across, along))
             for i in signs for j in signs]  # fmt: skip
    return sorted(set(found))


def _grown(values: Image, row: int, column: int) -> Image:
    """Interpolate between every second pixel of every second row, from some on."""
    ny, nx = values.shape
    along = _between(values[row::CELL, column::CELL].T, column, nx).T
    return _between(along, row, ny)


def _between(own: Image, first: int, n: int) -> Image:
    """Interpolate n rows of which `own` are number `first`, `first` + 2, and so on."""
    reach = len(BETWEEN) - 1
    wide = np.pad(own, ((reach, reach), (0, 0)), mode="edge")
    out = np.empty((n, own.shape[1]), np.float32)
    out[first::CELL] = own
    other = out[1 - first :: CELL]
    other[...] = 0
    for tap, weight in enumerate(BETWEEN):
        begin = reach - 1 - first + tap
        other += np.float32(weight) * wide[begin : begin + len(other)]
    return out
