"""Sky and stars of a calibrated light."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LARGEST_MEASURED = 4096
"""Rows and columns, about the centre, beyond which a light is not measured."""
DETECTION_SIGMA = 5.0
SIGMA_TO_FWHM = 2.3548
FEWEST_PIXELS = 5
DEBLENDING_LEVELS = 8
"""Enough to tell stars that touch; the usual 32 take twice the time."""


class LightStatistics(NamedTuple):
    """Sky and stars of a light."""

    sky_adu: float
    """Level of the sky; NaN if no pixel is finite."""
    sky_noise_adu: float
    """1-sigma scatter of the sky from pixel to pixel."""
    stars: int
    """Stars brighter than `DETECTION_SIGMA` times that scatter."""
    fwhm_pixel: float
    """Median full width at half maximum of the stars; NaN without stars."""


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
        2.3548 times the geometric mean of the second moments.

    References
    ----------
    .. [1] Bertin & Arnouts (1996), A&AS 117, 393; Barbary (2016), JOSS 1, 58.
    """
    import sep

    image = _centre(data)
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
    # A crowded or trailed frame may overflow the buffers: then it has no count.
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
        return LightStatistics(sky, noise, 0, np.nan)
    stars = found[(found["flag"] == 0) & (found["a"] < 4 * found["b"])]
    if not len(stars):
        return LightStatistics(sky, noise, 0, np.nan)
    fwhm = float(np.median(SIGMA_TO_FWHM * np.sqrt(stars["a"] * stars["b"])))
    return LightStatistics(sky, noise, len(stars), fwhm)


def _centre(data: NDArray[Any]) -> NDArray[np.float32]:
    slices = []
    for n in data.shape:
        lead = max(0, (n - LARGEST_MEASURED) // 2)
        slices.append(slice(lead, lead + min(n, LARGEST_MEASURED)))
    return np.array(data[tuple(slices)], dtype=np.float32, order="C")
