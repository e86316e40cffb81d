"""Files of several images: amplifiers, detectors, and what is no frame at all."""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.frames.scan import scan

PIXELS = np.arange(48, dtype=np.int16).reshape(6, 8)


def write_file(path, *extensions, **cards):
    primary = fits.PrimaryHDU()
    primary.header["IMAGETYP"] = "LIGHT"
    primary.header.update(cards)
    fits.HDUList([primary, *extensions]).writeto(path)


def extension(name, **cards):
    hdu = fits.ImageHDU(PIXELS, name=name)
    hdu.header.update(cards)
    return hdu


def write_image(path, **cards):
    hdu = fits.PrimaryHDU(PIXELS)
    hdu.header["IMAGETYP"] = "LIGHT"
    hdu.header.update(cards)
    hdu.writeto(path)


def test_images_that_nothing_puts_together_are_refused_in_one_line(tmp_path):
    write_file(tmp_path / "a.fits", extension("im1"), extension("im2"))
    frames = scan(tmp_path)
    assert frames["file"].tolist() == ["a.fits"]
    assert frames["code"].tolist() == ["several-images"]
    assert frames["why_not"][0].startswith("holds 2 images")


def test_what_is_no_exposure_does_not_count(tmp_path):
    others = [extension(name) for name in ("THUMBNAIL", "WEIGHT", "SEGMENTATION")]
    write_file(tmp_path / "a.fits", extension("SCI"), *others)
    frames = scan(tmp_path).set_index("file")
    assert frames["use"].to_dict() == {
        "a.fits[1]": True,
        "a.fits[2]": False,
        "a.fits[3]": False,
        "a.fits[4]": False,
    }


@pytest.mark.parametrize(
    "cards",
    [
        {"BIASSEC": "[1:2,1:6],[7:8,1:6]"},
        {"BIASSEC": "[7:8,1:6]", "NAMPS": 2},
        {"BIASSEC1": "[5:6,1:6]", "BIASSEC2": "[7:8,1:6]"},
        {"ASEC": "[1:4,1:6]", "BSEC": "[5:8,1:6]"},
    ],
)
def test_several_strips_of_which_nothing_tells_the_pixels_are_refused(tmp_path, cards):
    write_image(tmp_path / "a.fits", **cards)
    frames = scan(tmp_path)
    assert frames["code"].tolist() == ["several-strips"]
    assert next(iter(cards)) in frames["why_not"][0] or "NAMPS" in frames["why_not"][0]
    assert "--set 'a.fits: biassec='" in frames["why_not"][0]


def test_amplifiers_without_overscan_are_one_image(tmp_path):
    write_image(tmp_path / "a.fits", NAMPS=2)
    assert scan(tmp_path)["use"].tolist() == [True]
