"""Sky and stars of a calibrated light."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LARGEST_MEASURED = 2048
"""Rows and columns, about the centre, beyond which a light is not measured."""
DETECTION_SIGMA = 5.0
SIGMA_TO_FWHM = 2.3548
FEWEST_PIXELS = 5
ROUNDEST = 4.0
"""Length over width of what is no star any more: a cosmic ray, a satellite, a trail."""
SHARPEST = 3.0
"""Peak of a source over its peak in the smoothed image.  A lone pixel, hot or struck by
a cosmic ray, has 4; a star of 1.5 pixels FWHM 2.4."""
BRIGHTEST = 5
"""Stars that are the same ones in all lights of a field, though not all stars are."""
FEWEST_SHAPES = 5
"""Sources below which their elongation tells nothing: a few may be cosmic rays."""
DEBLENDING_LEVELS = 8
"""Enough to tell stars that touch; the usual 32 take twice the time."""


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
    """Median full width at half maximum of the stars; NaN without stars."""
    elongation: float = np.nan
    """Median length over width of all sources, trailed stars included; NaN if there
    are fewer than `FEWEST_SHAPES`."""
    flux_adu: float = np.nan
    """Median flux of the `BRIGHTEST` brightest stars, which clouds make fainter; NaN if
    there are fewer stars."""


NOT_MEASURED = LightStatistics(np.nan, np.nan, None, np.nan)
"""Statistics of a light before it is measured."""


def measure_light(data: NDArray[Any]) -> LightStatistics:
    """Measure the sky and the stars of a calibrated light.

    Parameters
    ----------
    data : (ny, nx) array, ADU
        Calibrated light.  NaN pixels are left out.  Of larger images the central
        `LARGEST_MEASURED` rows and columns are measured.

    Returns
    -------
    LightStatistics
        Background after Bertin & Arnouts [1]_, stars by thresholding, widths as
        2.3548 times the geometric mean of the second moments, length and width from
        their principal axes.  Lone pixels and what overlaps are left out.

    References
    ----------
    .. [1] Bertin & Arnouts (1996), A&AS 117, 393; Barbary (2016), JOSS 1, 58.
    """
    import sep

    image = np.array(data[central_part(data.shape)], np.float32, order="C")
    mask = ~np.isfinite(image)
    if mask.all():
        return LightStatistics(np.nan, np.nan, 0, np.nan)
    image[mask] = 0.0
    background = sep.Background(image, mask=mask)
    noise = float(background.globalrms)
    sky = float(background.globalback)
    if noise <= 0:
        return LightStatistics(sky, noise, 0, np.nan)
    background.subfrom(image)
    # A crowded or trailed frame may overflow the buffers.
    try:
        found = sep.extract(
            image,
            DETECTION_SIGMA,
            err=noise,
            mask=mask,
            minarea=FEWEST_PIXELS,
            deblend_nthresh=DEBLENDING_LEVELS,
        )
    except Exception as error:
        if "limit" not in str(error) and "full" not in str(error):
            raise
        return LightStatistics(sky, noise, None, np.nan)
    alone = found[(found["flag"] == 0) & (found["peak"] < SHARPEST * found["cpeak"])]
    shapes = alone["a"] / alone["b"]
    stars = alone[shapes < ROUNDEST]
    brightest = np.sort(stars["flux"])[-BRIGHTEST:]
    widths = SIGMA_TO_FWHM * np.sqrt(stars["a"] * stars["b"])
    return LightStatistics(
        sky,
        noise,
        len(stars),
        float(np.median(widths)) if len(stars) else np.nan,
        float(np.median(shapes)) if len(shapes) >= FEWEST_SHAPES else np.nan,
        float(np.median(brightest)) if len(stars) >= BRIGHTEST else np.nan,
    )


def central_part(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Give the rows and columns that are measured of an image of some shape."""
    rows, columns = (
        slice(
            lead := max(0, (n - LARGEST_MEASURED) // 2), lead + min(n, LARGEST_MEASURED)
        )
        for n in shape
    )
    return rows, columns
