"""Rows of compressed images, held against astropy."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.fits import tiled
from autoreduce.fits.header import padded
from autoreduce.fits.images import open_image
from autoreduce.fits.tiled import TiledImage


def make_pixels(dtype):
    return np.random.default_rng(3).uniform(0, 3e4, (400, 23)).astype(dtype)


TILES = [("RICE_1", (1, 23)), ("RICE_1", (3, 9)), ("GZIP_2", (7, 23))]


def write_tiles(path, kind, tile, dtype):
    """Write an image of tiles, with dither if it is one of floats."""
    options = {"quantize_method": 1, "dither_seed": 9990} if dtype == "f4" else {}
    fits.CompImageHDU(
        make_pixels(dtype), compression_type=kind, tile_shape=tile, **options
    ).writeto(path)
    return fits.getdata(path)


@pytest.mark.parametrize(("kind", "tile"), TILES)
@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_compressed_rows_are_those_of_astropy_whatever_is_asked_first(
    tmp_path, kind, tile, dtype
):
    expected = write_tiles(tmp_path / "a.fits.fz", kind, tile, dtype)
    for spans in ([(0, 400)], [(3, 5), (200, 399), (390, 400), (0, 400), (7, 9)]):
        with open_image(tmp_path / "a.fits.fz") as reader:
            for start, stop in spans:
                rows = reader.rows(start, stop)
                assert rows.dtype == expected.dtype.newbyteorder("=")
                np.testing.assert_array_equal(rows, expected[start:stop])


@pytest.mark.parametrize(("kind", "tile"), [*TILES, ("GZIP_1", (400, 23))])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("most", [1 << 22, 1])
def test_bands_are_those_of_astropy(tmp_path, monkeypatch, kind, tile, dtype, most):
    monkeypatch.setattr(tiled, "_AT_ONCE", most)
    expected = write_tiles(tmp_path / "a.fits.fz", kind, tile, dtype)
    for starts in ([0, 5, 6, 200, 396], [396], [101, 3]):
        with open_image(tmp_path / "a.fits.fz") as reader:
            rows = reader.bands(starts, 4)
        assert rows.dtype == expected.dtype.newbyteorder("=")
        wanted = [expected[start : start + 4] for start in starts]
        np.testing.assert_array_equal(rows, np.concatenate(wanted))


def test_bands_of_a_cube_are_those_of_astropy(tmp_path):
    cube = make_pixels("u2").reshape(4, 100, 23)
    fits.CompImageHDU(cube, tile_shape=(1, 7, 23)).writeto(tmp_path / "a.fits.fz")
    with open_image(tmp_path / "a.fits.fz") as reader:
        rows = reader.bands([98, 300], 4)
    np.testing.assert_array_equal(
        rows, cube.reshape(400, 23)[[98, 99, 100, 101, 300, 301, 302, 303]]
    )


def test_bands_are_unpacked_once_and_nothing_else(tmp_path, monkeypatch):
    expected = write_tiles(tmp_path / "a.fits.fz", "RICE_1", (3, 23), "u2")
    asked = []
    real = TiledImage._alone
    monkeypatch.setattr(
        TiledImage,
        "_alone",
        lambda image, *runs: asked.append(runs) or real(image, *runs),
    )
    with open_image(tmp_path / "a.fits.fz") as reader:
        rows = reader.bands([0, 4, 300], 4)
    assert asked == [((0, 3), (100, 102))]
    np.testing.assert_array_equal(rows, expected[[*range(8), *range(300, 304)]])


@pytest.mark.parametrize("n_rows", [4, 400])
def test_a_gap_before_the_heap_is_left_out(tmp_path, n_rows):
    expected = write_tiles(tmp_path / "a.fits.fz", "RICE_1", (1, 23), "u2")
    with fits.open(tmp_path / "a.fits.fz", disable_image_compression=True) as hdus:
        header, start = hdus[1].header, hdus[1].fileinfo()["datLoc"]
    n_table, n_heap = 400 * header["NAXIS1"], header["PCOUNT"]
    header["THEAP"], header["PCOUNT"] = n_table + 64, 64 + n_heap
    file = (tmp_path / "a.fits.fz").read_bytes()
    heap = file[start + n_table :][:n_heap]
    data = b"".join((file[start : start + n_table], bytes(64), heap))
    moved = (
        file[:2880],
        header.tostring().encode(),
        data.ljust(padded(len(data)), b"\0"),
    )
    (tmp_path / "b.fits.fz").write_bytes(b"".join(moved))
    np.testing.assert_array_equal(fits.getdata(tmp_path / "b.fits.fz"), expected)
    with open_image(tmp_path / "b.fits.fz") as reader:
        np.testing.assert_array_equal(reader.rows(0, n_rows), expected[:n_rows])
        np.testing.assert_array_equal(
            reader.bands([n_rows - 4], 4), expected[n_rows - 4 : n_rows]
        )


def make_header():
    header = fits.Header()
    header["FOO"], header["ZD"], header["TFOO"] = (1.5, "mm"), 31.5, "no column"
    header["LONG"] = ("a" * 90, "in two cards")
    header["HIERARCH ZEN ANGLE"] = 3
    header["HIERARCH ESO DET X"] = 4
    header.add_history("how it was made")
    header.add_blank()
    header.add_comment("what it is like")
    return header


@pytest.mark.parametrize(
    ("name", "of_table", "removed"),
    [
        ("S1", {}, ()),
        (None, {"ZSIMPLE": True, "ZEXTEND": True}, ("ZTENSION", "ZPCOUNT", "ZGCOUNT")),
        (None, {"ZHECKSUM": "abc", "ZDATASUM": "12", "CHECKSUM": "no"}, ("ZTENSION",)),
    ],
)
@pytest.mark.parametrize("pixels", [np.eye(9, dtype="i2"), np.zeros((2, 5, 9), "f4")])
def test_cards_of_the_image_are_those_that_astropy_tells(
    tmp_path, name, of_table, removed, pixels
):
    hdu = fits.CompImageHDU(pixels, make_header(), name=name)
    hdu.writeto(tmp_path / "a.fits.fz")
    with fits.open(
        tmp_path / "a.fits.fz", mode="update", disable_image_compression=True
    ) as hdus:
        hdus[1].header.update(of_table)
        for keyword in removed:
            hdus[1].header.remove(keyword, ignore_missing=True)
    with fits.open(tmp_path / "a.fits.fz") as hdus:
        text = hdus[1].header.tostring(endcard=False, padding=False).encode()
    expected = [text[at : at + 80] for at in range(0, len(text), 80)]
    with open_image(tmp_path / "a.fits.fz") as reader:
        found = reader.cards
        assert reader.header == fits.Header.fromstring(reader.raw.block)
    n_first = 3 + pixels.ndim + 2 * ("ZSIMPLE" not in of_table)
    assert [card[:8] for card in found[:n_first]] == [
        card[:8] for card in expected[:n_first]
    ]
    assert sorted(found) == sorted(expected)


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


def open_files():
    """Count the files of this process, where the system tells."""
    return len([*Path("/proc/self/fd").glob("*")])


def test_a_compressed_image_is_let_go_and_opened_again(tmp_path):
    pixels = make_pixels("u2")
    fits.CompImageHDU(pixels).writeto(tmp_path / "a.fits.fz")
    before = open_files()
    with open_image(tmp_path / "a.fits.fz") as reader:
        for _ in range(2):
            np.testing.assert_array_equal(reader.rows(3, 390), pixels[3:390])
            reader.release()
            assert open_files() == before
        np.testing.assert_array_equal(reader.bands([5, 200], 4)[:4], pixels[5:9])


@pytest.mark.parametrize(("height", "is_plain"), [(1, True), (400, False)])
def test_images_of_tall_tiles_are_not_opened_for_each_band(tmp_path, height, is_plain):
    hdu = fits.CompImageHDU(
        make_pixels("i2"), compression_type="RICE_1", tile_shape=(height, 23)
    )
    hdu.writeto(tmp_path / "a.fits.fz")
    with open_image(tmp_path / "a.fits.fz") as reader:
        assert reader.is_plain is is_plain
