"""Rows of compressed images, held against astropy."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.fits.images import open_image
from autoreduce.fits.tiled import TiledImage


def make_pixels(dtype):
    return np.random.default_rng(3).uniform(0, 3e4, (400, 23)).astype(dtype)


@pytest.mark.parametrize(
    ("kind", "tile"), [("RICE_1", (1, 23)), ("RICE_1", (3, 9)), ("GZIP_2", (7, 23))]
)
@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_compressed_rows_are_those_of_astropy_whatever_is_asked_first(
    tmp_path, kind, tile, dtype
):
    pixels = make_pixels(dtype)
    options = {"quantize_method": 1, "dither_seed": 9990} if dtype == "f4" else {}
    hdu = fits.CompImageHDU(pixels, compression_type=kind, tile_shape=tile, **options)
    hdu.writeto(tmp_path / "a.fits.fz")
    expected = fits.getdata(tmp_path / "a.fits.fz")
    for spans in ([(0, 400)], [(3, 5), (200, 399), (390, 400), (0, 400), (7, 9)]):
        with open_image(tmp_path / "a.fits.fz") as reader:
            for start, stop in spans:
                rows = reader.rows(start, stop)
                assert rows.dtype == expected.dtype.newbyteorder("=")
                np.testing.assert_array_equal(rows, expected[start:stop])


def test_tiles_are_unpacked_once_and_again_where_there_is_little_room(
    tmp_path, monkeypatch
):
    pixels = make_pixels("u2")
    fits.CompImageHDU(pixels).writeto(tmp_path / "a.fits.fz")
    unpacked = []
    real = TiledImage._unpacked

    def count(image, first, last):
        unpacked.append(last - first)
        return real(image, first, last)

    monkeypatch.setattr(TiledImage, "_unpacked", count)
    for room in (True, False):
        if not room:
            monkeypatch.setattr(shutil, "disk_usage", full)
        unpacked.clear()
        with open_image(tmp_path / "a.fits.fz") as reader:
            for _ in range(3):
                np.testing.assert_array_equal(reader.read(), pixels)
        assert sum(unpacked) == 1 + (400 if room else 1200)


def full(_):
    return SimpleNamespace(free=50_000)
