"""Tiny FITS files for tests that read headers."""

import numpy as np
from astropy.io import fits


def write_frame(path, value=0, shape=(3, 4), **cards):
    """Write a 16-bit image; the cards' underscores stand for hyphens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(np.full(shape, value, dtype=np.int16))
    for keyword, card in cards.items():
        hdu.header[keyword.replace("_", "-")] = card
    hdu.writeto(path)
    return path
