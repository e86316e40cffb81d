"""Stars of a calibrated light: where they are, how bright, how wide; and its sky.

Stars are looked for at a scale at which they are two to three pixels wide: an image
out of focus is binned first, so that a ring of light is one object and not its pieces.
What is narrower than the frame's own stars is a hot pixel or a cosmic ray.  Their width
is that of the mode of all widths, so that it is right where stars are outnumbered.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.flags import marked_pixels
from autoreduce.pixels.order import median
from autoreduce.pixels.profile import (
    PIXEL_VARIANCE,
    REACH,
    SIGMA_TO_FWHM,
    USUAL_BETA,
    Moffat,
    fit_moffat,
    least_steepness,
    mode,
    steepness,
)

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

STAR = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("error", np.float64),
        ("flux", np.float64),
        ("flux_error", np.float64),
        ("peak", np.float64),
        ("snr", np.float64),
        ("fwhm", np.float64),
        ("elongation", np.float64),
        ("angle", np.float64),
        ("flags", np.uint16),
    ]
)
"""A star.  ``x`` and ``y`` count from the centre of the first pixel, which is 0;
``error`` is the 1-sigma error of either; ``flux`` (ADU) is the light within
`APERTURE` widths of the frame's stars; ``peak`` is its brightest pixel, above the sky;
``angle`` (degrees) is that of the long axis, from x towards y."""

SATURATED, EDGE, BLENDED, MASKED = (np.uint16(1 << bit) for bit in range(4))
"""Flags of a star: its peak is at the saturation level; its aperture is cut by the edge
of the frame; its light overlaps that of a neighbour; pixels of it are missing."""

DETECTION_SIGMA = 3.0
FEWEST_PIXELS, FEWEST_BINNED = 5, 3
DEBLENDING_LEVELS = 8
"""Enough to tell stars that touch; the usual 32 take twice the time."""
APERTURE = 2.0
"""Radius within which light is summed, of the width of the stars: the same part of each
star whatever the seeing."""
CORE, WHOLE = 0.6, 1.5
"""Radii whose light tells the width of a star, of the width of the frame's stars."""
COARSE = (4, 12, 36)
"""Factors by which an image is binned to learn how wide its stars are."""
BLUR = 0.5 + PIXEL_VARIANCE
"""Variance, along a side, that sep's smoothing and a pixel's shape add to an object."""
CROWDED = 0.2
"""Part of an image that objects cover, from which most of them are blends."""
FOUND_AT = 2.5
"""Width of the stars, in binned pixels, at the scale at which they are looked for."""
MEASURED_WIDTHS = 200
"""Brightest objects from which the width of the stars is learned."""
FITTED_STARS = 40
"""Bright stars that the profile is fitted to, at the most."""
FITTED_SNR = 15.0
ALONE = 4.0
"""Distance, in widths, at which a neighbour does not harm the fit."""
ALIKE = 1.3
"""Factor by which a star's width may differ from the usual one to be fitted."""
CENTRE_ERROR = 0.6
"""Error of a centre, of width over signal-to-noise: that of a Gaussian on a sky."""
LEAST_RADIUS = 0.65
"""Radius of half the light, in pixels, below which a thing is but one pixel."""
SPIKE_SIGMA, SPIKES_DEEP = 5.0, 3
"""Noise above which a pixel may be a spike; how often what one hid is looked at again."""
TOGETHER = 8192
"""Pixels that are held against their neighbours at a time: what that takes fits a cache."""
SPIKE_FWHM = 0.9
"""Width, in pixels, of what is so sharp that its pixels are filled before stars are
looked for."""
SHARPEST_FWHM = 1.2
"""Width of the sharpest stars that can be told from hot pixels, in pixels."""
WIDER = 1.4
"""Outer radius of the ring about an object in which its surroundings are measured."""
RADII = 12
"""Circles in which the light of an object is summed to see how it grows."""
COARSELY = 9.0
"""Radius, in pixels, from which circles need no parts of pixels."""
STEEPER, NARROWER = 0.5, 0.6
"""How much steeper, how much narrower than a star of the frame is no star."""
LONGER = 2.0
"""How much longer, for its width, than the frame's stars is no star: a satellite."""
ROUNDEST = 4.0
"""Length over width that any object may have."""
BRIGHTEST = 5
"""Stars that are the same ones in all lights of a field, though not all stars are."""
FEWEST_SHAPES = 5
"""Stars below which their elongation tells nothing: a few may be cosmic rays."""
SHAPED_SNR = 100.0
"""Up to here a star tells the more of shapes the brighter it is: noise makes round ones of
10 longer by 10 %, of 50 by 3 %."""
SKY_BOX = 64
"""Rows and columns of the boxes in which the sky is taken."""
SPARSE, SPARSELY = 2, 1024
"""Of images larger than this, every so manieth row and column tells the sky."""
SUBTRACTED = 1 << 15
"""Pixels whose sky is subtracted at a time, about: what that takes fits a cache."""
LEAST_ROOM = 1 << 17
"""Pixels of objects that sep always has room for: some MB."""
PARTS_OF_OBJECT = 8192
"""Objects that touch, of which sep holds so many."""
MOST_ROOM = 1 << 22
"""... and at the most, as of 27 bytes each: larger objects are blends of thousands."""
ATTEMPTS = ((1 / 32, 1.0), (1 / 4, 1.0), (1.0, 1.0), (1.0, 4.0), (1.0, 16.0))
"""Part of the pixels that may belong to objects (sep makes room for them beforehand),
and how much the threshold is raised: where one attempt fails, the next is made."""


class LightStatistics(NamedTuple):
    """Sky and stars of a light."""

    sky_adu: float
    """Level of the sky; NaN if no pixel is finite."""
    sky_noise_adu: float
    """1-sigma scatter of the sky from pixel to pixel."""
    stars: int | None
    """Stars brighter than `DETECTION_SIGMA` times that scatter; None if there are too
    many sources to count them."""
    fwhm_pixel: float
    """Full width at half maximum of the stars, free of the pixel's own width; NaN
    without stars."""
    elongation: float = np.nan
    """Length over width of the stars, trailed ones included: median by their brightness, of
    those that are whole; NaN if these are fewer than `FEWEST_SHAPES`."""
    flux_adu: float = np.nan
    """Median flux of the `BRIGHTEST` brightest stars, which clouds make fainter; NaN if
    there are fewer stars."""


NOT_MEASURED = LightStatistics(np.nan, np.nan, None, np.nan)
"""Statistics of a light before it is measured."""


class Stars(NamedTuple):
    """Stars of a light, and what they and the sky are like."""

    table: NDArray[Any]
    """(n,) of `STAR`, the brightest first."""
    statistics: LightStatistics


class _Light(NamedTuple):
    """A light without its sky."""

    image: Image
    mask: Mask | None
    """Pixels that are left out; None where all are seen."""
    sky: float
    noise: float


def find_stars(
    data: NDArray[Any],
    *,
    saturate: float | None = None,
    gain: float | None = None,
    least_noise: float = 0.0,
) -> Stars:
    """Find and measure the stars of a calibrated light.

    Parameters
    ----------
    data : (ny, nx) array, ADU
        Calibrated light.  Lone pixels that are not finite get the mean of their
        neighbours; larger holes are left out.
    saturate : float, optional
        Level of the light, in ADU, from which a peak counts as saturated.
    gain : float, optional
        Electrons per ADU, for the photons' part of the errors; without it errors are
        those of the sky's noise alone.
    least_noise : float
        Noise that a pixel has at the least, ADU: that of rounding to whole numbers.

    Returns
    -------
    Stars
        Stars found by thresholding [1]_, centres by the iterative windowed centroid of
        SExtractor, the width of the frame's stars by a Moffat profile, averaged over
        pixels, that fits the bright ones [2]_, and that of a single star by how much of
        its light lies in its core.

    References
    ----------
    .. [1] Bertin & Arnouts (1996), A&AS 117, 393; Barbary (2016), JOSS 1, 58.
    .. [2] Moffat (1969), A&A 3, 455.
    """
    light = _without_sky(data)
    if light.noise < least_noise:
        light = light._replace(noise=least_noise)
    nothing = np.empty(0, STAR)
    if not light.noise > 0:
        return Stars(nothing, LightStatistics(light.sky, light.noise, 0, np.nan))
    objects = _objects(light)
    if objects is None:
        return Stars(nothing, LightStatistics(light.sky, light.noise, None, np.nan))
    objects, fwhm = _starlike(light, objects)
    table = np.empty(0, STAR)
    if fwhm > 0:
        table = _placed(light, objects, fwhm)
        if saturate is not None:
            table["flags"][table["peak"] + light.sky >= saturate] |= SATURATED
        profile = _profile(light, table, fwhm)
        _add_light(light, table, profile, gain)
        table, fwhm = _only_stars(table, profile.fwhm), profile.fwhm
    table = table[np.argsort(-table["flux"], kind="stable")]
    return Stars(table, _statistics(light, table, fwhm))


def superpixels(data: NDArray[Any]) -> NDArray[np.float32]:
    """Average each two by two pixels: the light of a colour mosaic without its colours.

    Parameters
    ----------
    data : (ny, nx) array
        Colour mosaic; an odd last row or column is left out.

    Returns
    -------
    (ny // 2, nx // 2) array
        NaN where one of the four is.  `on_sensor` with a binning of 2 gives the
        places of its stars in the mosaic.
    """
    return _binned(np.asarray(data, np.float32), 2)


def on_sensor(
    table: NDArray[Any],
    binning: float | tuple[float, float] = 1,
    origin: tuple[float, float] = (0, 0),
) -> NDArray[Any]:
    """Give stars of a binned image or a subframe in pixels of the whole sensor.

    Parameters
    ----------
    table : (n,) array of `STAR`
        Stars, in pixels of the image.
    binning : float or (x, y)
        Pixels of the sensor in one of the image, along a side.
    origin : (x, y)
        Pixel of the sensor, from 0, with which the image begins.

    Returns
    -------
    (n,) array of `STAR`
        A copy; positions, their errors and widths in pixels of the sensor.
    """
    bx, by = np.broadcast_to(binning, 2)
    found = table.copy()
    found["x"] = table["x"] * bx + (bx - 1) / 2 + origin[0]
    found["y"] = table["y"] * by + (by - 1) / 2 + origin[1]
    found["error"] *= np.sqrt(bx * by)
    found["fwhm"] *= np.sqrt(bx * by)
    return found


def sky_of(data: NDArray[Any], box: int = SKY_BOX) -> tuple[float, float]:
    """Measure the sky of an image.

    Parameters
    ----------
    data : (ny, nx) array, ADU
        A light, or the pixels of one colour; NaN where nothing was measured.
    box : int
        Rows and columns of the boxes in which the sky is taken.

    Returns
    -------
    tuple of float
        Its level and its 1-sigma scatter from pixel to pixel, ADU; NaN if no pixel is
        finite.
    """
    every = _sparse(data.shape)
    sample = np.array(data[::every, ::every], np.float32, order="C")
    unseen = _hidden(sample)
    if unseen is not None and unseen.all():
        return np.nan, np.nan
    background = _background(sample, unseen, box // every)
    return float(background.globalback), float(background.globalrms)


def _sparse(shape: tuple[int, ...]) -> int:
    """Give the distance of the pixels that tell the sky: sep lets nobody work beside it."""
    return SPARSE if min(shape) > SPARSELY else 1


def _hidden(data: Image) -> Mask | None:
    """Mark what is not finite; None where all is."""
    with np.errstate(invalid="ignore", over="ignore"):
        # A sum is finite only if all that goes into it is.
        if data.size and np.isfinite(data.sum()):
            return None
    hidden = np.isfinite(data)
    np.logical_not(hidden, out=hidden)
    return hidden if hidden.any() or not data.size else None


def _background(sample: Image, unseen: Mask | None, box: int) -> Any:  # noqa: ANN401 -- sep's
    """Measure the sky of what is seen of a sample, in boxes of its pixels; fill it by 0."""
    import sep

    if unseen is not None:
        sample[unseen] = 0.0
    return sep.Background(sample, mask=unseen, bw=box, bh=box)


def _without_sky(data: NDArray[Any]) -> _Light:
    data = np.asarray(data, np.float32)
    hidden = _hidden(data)
    if hidden is not None and hidden.all():
        return _Light(data, hidden, np.nan, np.nan)
    every = _sparse(data.shape)
    sample = data[::every, ::every].copy()
    unseen = None if hidden is None else hidden[::every, ::every].copy()
    background = _background(sample, unseen, SKY_BOX // every)
    level = background.back()
    image = np.empty(data.shape, np.float32)
    height = max(SUBTRACTED // data.shape[1], 1)
    for start in range(0, len(level), height):
        strip = np.repeat(level[start : start + height], every, axis=1)
        for row in range(every):
            rows = slice(start * every + row, (start + height) * every, every)
            own = data[rows]
            np.subtract(own, strip[: len(own), : data.shape[1]], out=image[rows])
    if hidden is not None:
        _fill_lone(image, hidden)
        hidden = hidden if hidden.any() else None
    noise, sky = float(background.globalrms), float(background.globalback)
    return _Light(image, hidden, sky, noise)


def _fill_lone(image: Image, hidden: Mask) -> None:
    """Give hidden pixels with at least five seen neighbours the mean of these; others 0."""
    ys, xs = marked_pixels(hidden)
    image[ys, xs] = 0.0
    if not len(ys) or min(image.shape) < 3:
        return
    seen = ~_neighbours(hidden, ys, xs)
    n_seen = seen.sum(axis=0)
    lone = n_seen >= 5
    total = np.where(seen, _neighbours(image, ys, xs), 0).sum(axis=0)
    image[ys, xs] = np.where(lone, total / np.maximum(n_seen, 1), 0)
    hidden[ys[lone], xs[lone]] = False


def _neighbours(
    image: NDArray[Any], ys: NDArray[np.intp], xs: NDArray[np.intp]
) -> NDArray[Any]:
    """Give the eight pixels about each of n: (8, n); those of the edge count again."""
    ny, nx = image.shape
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    rows = np.clip([ys + dy for dy, _ in around], 0, ny - 1)
    columns = np.clip([xs + dx for _, dx in around], 0, nx - 1)
    found: NDArray[Any] = image[rows, columns]
    return found


def _objects(light: _Light) -> NDArray[Any] | None:
    """Find all objects, at the scale of the stars; None if there are too many."""
    bright = np.flatnonzero(light.image > SPIKE_SIGMA * light.noise)
    _fill_spikes(light, bright, SPIKE_FWHM)
    fwhm = _rough_width(light)
    # An image that is binned makes sharp stars up to three times as wide.
    if fwhm > 3 * SPIKE_FWHM:
        _fill_spikes(light, bright, fwhm / 3)
    factor = max(int(fwhm / FOUND_AT), 1)
    objects = _extracted(light, factor)
    if objects is not None:
        _to_whole_pixels(objects, light.image, factor)
    return objects


def _fill_spikes(light: _Light, suspects: NDArray[np.intp], fwhm: float) -> None:
    """Give pixels that rise too steeply for a star the median of their neighbours.

    So hot pixels and cosmic rays within the light of a star take no part in its width.
    Suspects, counted along the rows, are the pixels that may be high enough.
    """
    least = SPIKE_SIGMA * light.noise
    nx = light.image.shape[1]
    pixels = light.image.ravel()
    suspects = suspects[pixels[suspects] > least]
    for _ in range(SPIKES_DEEP):
        y, x = np.divmod(suspects, nx)
        spikes = ~_not_steeper(light, x, y, fwhm)
        if not spikes.any():
            break
        y, x = y[spikes], x[spikes]
        light.image[y, x] = median(_neighbours(light.image, y, x), axis=0)
        # Only these pixels change: no other becomes high, or steeper far from them.
        near = (y * nx + x)[:, None] + np.add.outer((-nx, 0, nx), (-1, 0, 1)).ravel()
        near = np.unique(near.clip(0, len(pixels) - 1))
        suspects = near[pixels[near] > least]


def _rough_width(light: _Light) -> float:
    """Learn about how wide the stars are, on the image binned."""
    fwhm = 0.0
    for factor in COARSE:
        if min(light.image.shape) < 8 * factor:
            break
        found = _extracted(light, factor)
        if found is None or not len(found):
            break
        if found["npix"].sum() > CROWDED * light.image.size / factor**2:
            break
        x, y = (found[name] * factor + (factor - 1) / 2 for name in ("x", "y"))
        reach = 3.0 * factor
        chosen = _brightest_alone(x, y, found["flux"], reach)
        fwhm = _usual_width(_half_radii(light, x[chosen], y[chosen], reach))
        # A trail is long, but binned by its length it would lose its shape.
        across = np.median(_unblurred(found["b"][chosen], factor)) * SIGMA_TO_FWHM
        fwhm = min(fwhm, float(across))
        if fwhm < FOUND_AT * factor:
            break
    return fwhm


def _unblurred(sigma: NDArray[Any], factor: int) -> Floats:
    """Give sizes measured on a binned image, in whole pixels, without its blur."""
    squared = np.asarray(sigma, np.float64) ** 2 * factor**2
    return np.sqrt(np.maximum(squared - BLUR * (factor**2 - 1), squared / 4))


def _brightest_alone(
    x: Floats, y: Floats, flux: Floats, distance: float
) -> NDArray[np.intp]:
    """Give the brightest objects without neighbours; with them, if too few are alone."""
    from scipy.spatial import cKDTree

    places = np.column_stack([x, y])
    near = cKDTree(places).query(places, k=2)[0][:, 1]
    alone = near > distance
    if alone.sum() < FEWEST_SHAPES:
        alone[:] = True
    order = np.argsort(np.where(alone, -flux, np.inf), kind="stable")
    return order[: min(int(alone.sum()), MEASURED_WIDTHS)]


def _extracted(light: _Light, factor: int) -> NDArray[Any] | None:
    """Extract objects from the image, binned; None if sep cannot hold them."""
    import sep

    image, mask = light.image, light.mask
    if factor > 1:
        image = _binned(image, factor)
        mask = None if mask is None else _mostly(mask, factor)
    sep.set_sub_object_limit(PARTS_OF_OBJECT)
    attempts = dict.fromkeys(
        (min(max(int(part * image.size), LEAST_ROOM), MOST_ROOM), raised)
        for part, raised in ATTEMPTS
    )
    for room, raised in attempts:
        sep.set_extract_pixstack(room)
        # sep tells a frame with too many sources by a bare Exception.
        try:
            found: NDArray[Any] = sep.extract(
                image,
                raised * DETECTION_SIGMA * light.noise / factor,
                mask=mask,
                minarea=FEWEST_PIXELS if factor == 1 else FEWEST_BINNED,
                deblend_nthresh=DEBLENDING_LEVELS,
            )
        except Exception:  # noqa: BLE001, S112 -- see above
            continue
        return found
    return None


def _binned(image: Image, factor: int) -> Image:
    """Average blocks of pixels; rows and columns that fill no block are left out."""
    ny, nx = (n // factor for n in image.shape)
    whole = image[: ny * factor, : nx * factor]
    rows = np.add.reduce(whole.reshape(ny, factor, nx * factor), axis=1)
    part = np.full(factor, 1 / factor**2, np.float32)
    blocks: Image = rows.reshape(ny, nx, factor) @ part
    return blocks


def _mostly(mask: Mask, factor: int) -> Mask:
    """Mark the blocks of pixels of which more than half are marked."""
    ny, nx = (n // factor for n in mask.shape)
    y, x = (index // factor for index in marked_pixels(mask))
    inside = (y < ny) & (x < nx)
    marked = np.bincount(y[inside] * nx + x[inside], minlength=ny * nx)
    return np.asarray(marked.reshape(ny, nx) > factor * factor / 2)


def _to_whole_pixels(objects: NDArray[Any], image: Image, factor: int) -> None:
    """Give objects of a binned image in pixels of the image, in place."""
    if factor > 1:
        for name in ("x", "y"):
            objects[name] = objects[name] * factor + (factor - 1) / 2
        for name in ("a", "b"):
            objects[name] = _unblurred(objects[name], factor)
        rows, columns = (
            (objects[name] * factor)[:, None] + np.arange(factor)
            for name in ("ypeak", "xpeak")
        )
        blocks = image[rows[:, :, None], columns[:, None, :]].reshape(len(objects), -1)
        brightest = blocks.argmax(axis=1)
        objects["ypeak"] = rows[:, 0] + brightest // factor
        objects["xpeak"] = columns[:, 0] + brightest % factor
    objects["peak"] = image[objects["ypeak"], objects["xpeak"]]


def _starlike(light: _Light, objects: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Take the objects that are no steeper than stars; give these' width, roughly."""
    objects = objects[
        _not_steeper(light, objects["xpeak"], objects["ypeak"], SHARPEST_FWHM)
    ]
    bright = objects[np.argsort(-objects["flux"], kind="stable")[:MEASURED_WIDTHS]]
    sizes = SIGMA_TO_FWHM * np.sqrt(bright["a"] * bright["b"])
    reach = 3 * max(float(np.median(sizes)), 1.0) if len(bright) else 3.0
    fwhm = _usual_width(_half_radii(light, bright["x"], bright["y"], reach))
    if fwhm > 0:
        objects = objects[_not_steeper(light, objects["xpeak"], objects["ypeak"], fwhm)]
    return objects, fwhm


def _not_steeper(light: _Light, x: NDArray[Any], y: NDArray[Any], fwhm: float) -> Mask:
    """Mark the pixels that do not rise much steeper than a star does."""
    least = np.float32(STEEPER) * least_steepness(fwhm).astype(np.float32)
    kept = np.empty(len(x), np.bool_)
    for start in range(0, len(x), TOGETHER):
        some = slice(start, start + TOGETHER)
        found = steepness(light.image, x[some], y[some])
        height = np.maximum(light.image[y[some], x[some]], light.noise)
        # Twice the error of the mean of two neighbours.
        found += math.sqrt(2) * light.noise / height
        kept[some] = (found > least).all(axis=0)
    return kept


def _half_radii(light: _Light, x: Floats, y: Floats, reach: float) -> Floats:
    """Give the radius of half the light of objects, above what is around them.

    Objects whose light does not grow outwards have NaN.
    """
    import sep

    reach = min(reach, min(light.image.shape) / 4)
    radii = np.linspace(0, reach, RADII + 1)[1:]
    fine = 5 if reach < COARSELY else 1
    outer = WIDER * reach
    rim, _, _ = sep.sum_circann(
        light.image, x, y, reach, outer, mask=light.mask, subpix=fine
    )
    around = rim / (np.pi * (outer**2 - reach**2))

    def within(radius: float, chosen: NDArray[np.intp]) -> Floats:
        total, _, _ = sep.sum_circle(
            light.image, x[chosen], y[chosen], radius, mask=light.mask, subpix=fine
        )
        return np.asarray(total - around[chosen] * np.pi * radius**2)

    found = np.full(len(x), np.nan)
    whole = within(reach, np.arange(len(x)))
    # A negative whole, or a neighbour's wing, gives no radius.
    left = np.flatnonzero(whole > 0)
    below = np.zeros(len(left))
    for inner in range(RADII):
        part = within(radii[inner], left) / whole[left]
        half = part >= 0.5
        share = (0.5 - below[half]) / (part[half] - below[half])
        found[left[half]] = (inner + share) * reach / RADII
        left, below = left[~half], part[~half]
        if not len(left):
            break
    return found


def _usual_width(radii: Floats) -> float:
    """Give twice the mode of the radii that are no lone pixels', 0 without any."""
    wide = radii[radii > LEAST_RADIUS]
    return 2 * mode(wide) if len(wide) else 0.0


def _placed(light: _Light, objects: NDArray[Any], fwhm: float) -> NDArray[Any]:
    """Begin the table of stars with what is known: places, shapes, flags."""
    import sep

    # The window leaves nothing of the pixels at its rim, whose parts are not asked for.
    x, y, _ = sep.winpos(
        light.image,
        objects["x"],
        objects["y"],
        np.full(len(objects), fwhm / SIGMA_TO_FWHM),
        mask=light.mask,
        subpix=1,
    )
    # The window of a star beside a brighter one, or of a trail, may wander off.
    moved = np.hypot(x - objects["x"], y - objects["y"])
    length = np.maximum(objects["a"] / np.maximum(objects["b"], 0.1), 1.0)
    good = (moved < fwhm / 2) & (length < LONGER)
    table = np.zeros(len(objects), STAR)
    table["x"], table["y"] = (
        np.where(good, *pair) for pair in ((x, objects["x"]), (y, objects["y"]))
    )
    table["peak"], table["elongation"] = objects["peak"], length
    table["angle"] = np.rad2deg(objects["theta"])
    table["flags"][(objects["flag"] & sep.OBJ_MERGED) > 0] |= BLENDED
    table["flags"][(objects["flag"] & sep.OBJ_TRUNC) > 0] |= EDGE
    return table


def _profile(light: _Light, table: NDArray[Any], fwhm: float) -> Moffat:
    """Fit the profile of bright stars that stand alone."""
    from scipy.spatial import cKDTree

    places = np.column_stack([table["x"], table["y"]])
    near = cKDTree(places).query(places, k=2)[0][:, 1]
    table["flags"][near < APERTURE * fwhm] |= BLENDED
    edge = REACH * fwhm + 3
    upto = np.array(light.image.shape[::-1]) - edge
    inside = np.all((places > edge) & (places < upto), axis=1)
    alone = inside & (near > ALONE * fwhm) & (table["flags"] == 0)
    chosen = np.flatnonzero(alone & (table["peak"] > FITTED_SNR * light.noise))
    chosen = chosen[np.argsort(-table["peak"][chosen], kind="stable")]
    chosen = chosen[: 3 * FITTED_STARS]
    x, y = places[:, 0], places[:, 1]
    widths = 2 * _half_radii(light, x[chosen], y[chosen], 3 * fwhm)
    alike = np.abs(np.log(widths / fwhm)) < np.log(ALIKE)
    chosen = chosen[alike][:FITTED_STARS]
    if not len(chosen):
        own = max(fwhm**2 - 2 * PIXEL_VARIANCE * SIGMA_TO_FWHM**2, 0.25 * fwhm**2)
        return Moffat(float(np.sqrt(own)), USUAL_BETA)
    return fit_moffat(light.image, x[chosen], y[chosen], fwhm, light.noise)


def _add_light(
    light: _Light, table: NDArray[Any], profile: Moffat, gain: float | None
) -> None:
    """Add to stars what sums of their light tell: flux, errors, width; flag holes."""
    import sep

    seen = np.hypot(profile.fwhm, np.sqrt(PIXEL_VARIANCE) * SIGMA_TO_FWHM)
    radii = [factor * seen for factor in (APERTURE, CORE, WHOLE)]
    sums = [
        sep.sum_circle(
            light.image,
            table["x"],
            table["y"],
            radius,
            err=light.noise,
            gain=gain,
            mask=light.mask,
        )
        for radius in radii
    ]
    (flux, error, flags), (core, core_error, _), (whole, _, _) = sums
    table["flux"], table["flux_error"] = flux, error
    table["snr"] = core / core_error
    snr = np.maximum(table["snr"], 1.0)
    table["error"] = CENTRE_ERROR * seen / snr
    part = core / np.where(whole > 0, whole, np.nan)
    table["fwhm"] = profile.width_of(part, *radii[1:])
    # The fit knows the width best, all the more that of discs, which are no Moffat's.
    clear = (table["flags"] == 0) & (table["snr"] > FITTED_SNR) & np.isfinite(part)
    if clear.any():
        table["fwhm"] *= profile.fwhm / np.median(table["fwhm"][clear])
    table["flags"][(flags & sep.APER_TRUNC) > 0] |= EDGE
    table["flags"][(flags & sep.APER_HASMASKED) > 0] |= MASKED


def _only_stars(table: NDArray[Any], fwhm: float) -> NDArray[Any]:
    """Leave out what is narrower, or much longer for its width, than stars are."""
    snr = np.maximum(table["snr"], 1.0)
    wide = table["fwhm"] * (1 + 2 / snr) > NARROWER * fwhm
    length = table["elongation"]
    longest = max(
        ROUNDEST, LONGER * float(np.median(length[wide])) if wide.any() else 0
    )
    kept: NDArray[Any] = table[wide & (length < longest) & (table["flux"] > 0)]
    return kept


def _statistics(light: _Light, table: NDArray[Any], fwhm: float) -> LightStatistics:
    brightest = table["flux"][:BRIGHTEST]
    return LightStatistics(
        light.sky,
        light.noise,
        len(table),
        fwhm if len(table) else np.nan,
        _elongation(table[(table["flags"] & (SATURATED | EDGE | MASKED)) == 0]),
        float(np.median(brightest)) if len(brightest) >= BRIGHTEST else np.nan,
    )


def _elongation(whole: NDArray[Any]) -> float:
    if len(whole) < FEWEST_SHAPES:
        return np.nan
    order = np.argsort(whole["elongation"], kind="stable")
    told = np.cumsum(np.minimum(whole["snr"][order], SHAPED_SNR))
    return float(whole["elongation"][order[np.searchsorted(told, told[-1] / 2)]])
