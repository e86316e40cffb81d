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
Mask = NDArray[np.bool_]

GREEN_TAPS = ((0.3165, 0.0609), (-0.0544, -0.0093))
"""Weights of the green pixels around one of another colour: of those 1 and 3 pixels along,
without a step across and with one of 2; in all directions ..."""
OWN_TAPS = ((0.2499, -0.1174), (-0.1174, 0.0549))
"""... and of this pixel and those of its colour around it, 0 and 2 pixels along and across,
in units of green: together those that best restore the images of stars some two pixels
wide."""
ALONE_TAPS = ((0.3786, 0.0118), (-0.0969, 0.0267))
"""Weights of the green pixels where nothing tells the ratio of the colours."""
TAPS_REACH = 3
"""Pixels along that they reach."""
BETWEEN = (-1 / 16, 9 / 16, 9 / 16, -1 / 16)
"""Weights of four pixels of a colour in a row between whose middle ones a place lies."""
PLACES_PIXELS = 1024 * 1024
"""Pixels of a mosaic, in whole rows, whose medians tell the levels of its places."""
STRIP_PIXELS = 256 * 1024
"""Pixels of a strip that stays in the cache while green is interpolated."""
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
        [
            _Sharp.of(excess[y::CELL, x::CELL])
            for y, x in of.places(of.colours.index(name))
        ]
        for name in RGB
    )
    ratios = [_sharp_ratio(own, green, full) for (own,) in (red, blue)]
    every = max(data.size // PLACES_PIXELS, 1) * CELL
    places = tuple(
        finite_median(data[y::every, x::CELL]) for y, x in np.ndindex(CELL, CELL)
    )
    return ColourModel(of, tuple(levels), (ratios[0], 1.0, ratios[1]), places)


class _Sharp(NamedTuple):
    """The pixels of one place of the cell, and how much they stand out."""

    image: Image
    """(ny, nx), without sky."""
    power: Image
    """How much the pixels around each stand out of the four beside them, squared; without
    what noise does."""
    noise: float
    """What noise does."""

    @classmethod
    def of(cls, image: Image) -> "_Sharp":
        """Measure them."""
        from scipy.ndimage import uniform_filter

        wide = np.pad(image, 1, mode="edge")
        sides = wide[:-2, 1:-1] + wide[2:, 1:-1]
        sides += wide[1:-1, :-2]
        sides += wide[1:-1, 2:]
        sharp = image - sides / 4
        noise = (MAD_TO_SIGMA * float(median(np.abs(sharp)))) ** 2
        power = uniform_filter(np.square(sharp, out=sharp), NEAR)
        return cls(image, np.asarray(power - np.float32(noise)), noise)


def _sharp_ratio(own: _Sharp, others: Sequence[_Sharp], full: float) -> float:
    """Compare what is sharp, as stars are, in two colours: nebulae have colours apart.

    Parameters
    ----------
    own : _Sharp
        Pixels of the one colour.
    others : sequence of _Sharp
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
    other = np.mean([one.power for one in others], axis=0)
    total = own.power + other
    noise = own.noise + np.mean([one.noise for one in others])
    y, x = marked_pixels(total > SHARP_SIGMAS**2 * noise)
    # Each star counts once, and not the more the sharper the other colour shows it.
    good = total[y, x] == _highest_near(total, y, x)
    good &= other[y, x] > 0
    y, x = y[good], x[good]
    brightest = [_highest_near(one.image, y, x) for one in (own, *others)]
    good = np.max(brightest, axis=0) < full
    y, x = y[good], x[good]
    if len(y) < FEWEST_SHARP:
        return 0.0
    # One place against one place: their mean would be less in doubt than the one colour,
    # and a star that falls between the pixels of that one alone be the rule.
    each = np.stack([one.power[y, x] for one in others])
    ratios = np.divide(
        own.power[y, x], each, out=np.full_like(each, np.inf), where=each > 0
    )
    return float(np.sqrt(max(float(np.median(ratios)), 0.0)))


def _highest_near(
    image: Image, y: NDArray[np.intp], x: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Give the highest of the `NEAR` by `NEAR` pixels around each of some."""
    (ny, nx), steps = image.shape, range(-(NEAR // 2), NEAR // 2 + 1)
    rows = [np.clip(y + step, 0, ny - 1) for step in steps]
    columns = [np.clip(x + step, 0, nx - 1) for step in steps]
    found = image[y, x]
    for row in rows:
        for column in columns:
            np.maximum(found, image[row, column], out=found)
    return found


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
    levels = np.array([model.levels[i] for i in order], np.float32).T
    # Of two rows of cells: all others are like them.
    sky, noise = model.of.spread(levels, start, (CELL, rows.shape[1]))
    excess = np.empty(rows.shape, np.float32)
    for row in range(CELL):
        np.subtract(rows[row::CELL], sky[row], out=excess[row::CELL])
    missing = ~np.isfinite(excess)
    excess[missing] = 0
    hot = _hot(excess, noise)
    _fill(excess, hot | missing, model.of, start)
    return excess, hot & ~missing


def _hot(excess: Image, noise: Image) -> Mask:
    """Find pixels that stand out alone: no neighbour has a part of their light.

    The noise is that of the first two rows, and of all others.
    """
    ny, nx = excess.shape
    hot = np.empty(excess.shape, np.bool_)
    for row in range(CELL):
        np.greater(excess[row::CELL], HOT_SIGMAS * noise[row], out=hot[row::CELL])
    y, x = marked_pixels(hot)
    rows, columns = _mirrored(y, ny), _mirrored(x, nx)
    around = [
        excess[row, column]
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if (i, j) != (1, 1)
    ]
    # Where the neighbours' own noise may reach, a pixel is not called hot.
    limit = HOT_NEIGHBOURS * excess[y, x] + noise[y % CELL, x]
    hot[y, x] = np.max(around, axis=0, initial=-np.inf) < limit
    return hot


def _mirrored(at: NDArray[np.intp], n: int) -> list[NDArray[np.intp]]:
    """Give the places before, at and after some of n, mirrored at both ends."""
    before, after = np.abs(at - 1), n - 1 - np.abs(n - 2 - at)
    return [np.minimum(before, n - 1), at, np.maximum(after, 0)]


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
    ny, nx = excess.shape
    # An even number of steps beyond an edge is a pixel of the same colour.
    padded = np.pad(excess, TAPS_REACH, mode="reflect")
    out = excess.copy()
    height = max(STRIP_PIXELS // nx // CELL, 1) * CELL
    for top in range(0, ny, height):
        strip = out[top : top + height]
        around = padded[top : top + height + 2 * TAPS_REACH]
        apart = [[around[y::CELL, x::CELL].copy() for x in (0, 1)] for y in (0, 1)]
        for y, x in np.ndindex(CELL, CELL):
            name = model.of.colours[model.of.cell[(y + start) % CELL][x]]
            place = strip[y::CELL, x::CELL]
            if name == "G":
                continue
            (n, width), ratio = place.shape, model.ratios[RGB.index(name)]
            taps = GREEN_TAPS if ratio > 0 else ALONE_TAPS
            above, beside = apart[y][1 - x], apart[1 - y][x].T
            place[...] = _crossed(taps, *_one_and_three(above, n), x + 1, width)
            place += _crossed(taps, *_one_and_three(beside, width), y + 1, n).T
            if ratio > 0:
                own = apart[1 - y][1 - x] / np.float32(ratio)
                two = own[y : y + n] + own[y + 2 : y + 2 + n]
                place += _crossed(OWN_TAPS, own[y + 1 : y + 1 + n], two, x + 1, width)
    return out


def _one_and_three(plane: Image, n: int) -> tuple[Image, Image]:
    """Add the pixels 1 and 3 rows above and below n rows that lie between a plane's own."""
    return plane[1 : n + 1] + plane[2 : n + 2], plane[:n] + plane[3 : n + 3]


def _crossed(
    taps: Sequence[Sequence[float]], near: Image, far: Image, first: int, n: int
) -> Image:
    """Weigh what is near and far along columns: in n columns from one on, and beside them."""
    middle, sides = (one * near + other * far for one, other in taps)
    found = middle[:, first : first + n]
    found += sides[:, first - 1 : first - 1 + n]
    found += sides[:, first + 1 : first + 1 + n]
    return found


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
