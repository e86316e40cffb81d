"""Images in and out, held against astropy."""

import gzip
import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from autoreduce.errors import InputError, ProductError
from autoreduce.fits import images
from autoreduce.fits.cards import format_card
from autoreduce.fits.images import extension_names, open_image
from autoreduce.fits.writer import ImageWriter, write_image

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")


def make_pixels(dtype, shape=(37, 23)):
    rng = np.random.default_rng(3)
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    low, high = max(info.min, -3e4), min(info.max, 6e4)
    return rng.uniform(low, high, shape).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ending", ["fits", "fits.gz", "fits.fz"])
def test_reads_every_type_as_astropy_does(tmp_path, dtype, ending):
    pixels = make_pixels(dtype)
    path = tmp_path / f"a.{ending}"
    if ending == "fits.fz":
        if np.dtype(dtype).kind == "f":
            pytest.skip("tile compression of floats loses digits")
        fits.CompImageHDU(pixels).writeto(path)
        pixels = fits.getdata(path)  # astropy before 7.1 writes int8 wrongly
    else:
        fits.writeto(path, pixels)
    with open_image(path) as reader:
        assert reader.shape == pixels.shape
        band = reader.rows(5, 11)
        assert band.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(band, pixels[5:11])
        np.testing.assert_array_equal(reader.read(), pixels)
        bands = reader.bands([5, 30], 3)
        assert bands.dtype == band.dtype
        np.testing.assert_array_equal(bands, np.r_[pixels[5:8], pixels[30:33]])


@pytest.fixture
def compressed_extensions(tmp_path):
    """Write three compressed images; tell where the second one lies."""
    images = [make_pixels("u2") + n for n in range(3)]
    hdus = [fits.CompImageHDU(one, name=f"CCD{n}") for n, one in enumerate(images)]
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    with fits.open(path, disable_image_compression=True) as file:
        place = file[2].fileinfo()
    return path, images, place


@pytest.mark.parametrize("ending", ["fits.fz", "fits.fz.gz"])
def test_reads_one_compressed_image_among_others(compressed_extensions, ending):
    path, images, _ = compressed_extensions
    if ending == "fits.fz.gz":
        packed = path.with_name("b.fits.fz.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    for n, pixels in enumerate(images):
        with open_image(path, n + 1) as reader, open_image(f"{path}[{n + 1}]") as same:
            np.testing.assert_array_equal(reader.rows(3, 9), pixels[3:9])
            np.testing.assert_array_equal(same.read(), pixels)
            assert reader.get("EXTNAME") == f"CCD{n}"


@pytest.mark.parametrize("where", ["header", "first rows", "last rows"])
def test_a_damaged_compressed_image_costs_only_itself(compressed_extensions, where):
    path, images, place = compressed_extensions
    data = bytearray(path.read_bytes())
    if where == "header":
        at = data.index(b"ZVAL1   =", place["hdrLoc"])
        data[at : at + 9] = b"COMMENT  "
    else:
        heap, end = place["datLoc"] + 37 * 8, place["datLoc"] + place["datSpan"]
        at = heap if where == "first rows" else heap + 500
        data[at:end] = bytes(end - at)
    path.write_bytes(data)
    with (
        pytest.raises(InputError, match=r"damaged.*copy it again") as caught,
        open_image(path, 2) as reader,
    ):
        reader.read()
    assert str(caught.value).startswith(f"{path}: HDU 2: ")
    assert str(caught.value).count(str(path)) == 1
    for n in (0, 2):
        with open_image(path, n + 1) as reader:
            np.testing.assert_array_equal(reader.read(), images[n])


def test_fills_the_array_it_is_given(tmp_path):
    pixels = make_pixels("u2")
    fits.writeto(tmp_path / "a.fits", pixels)
    out = np.empty((4, 23), np.float32)
    with open_image(tmp_path / "a.fits") as reader:
        assert reader.rows(1, 5, out) is out
    np.testing.assert_array_equal(out, pixels[1:5])


def test_applies_scale_and_blank(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, -9], [3, 4]], np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 10.0, -9
    hdu.writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="update", do_not_scale_image_data=True):
        pass
    raw = (tmp_path / "a.fits").read_bytes()
    assert b"BSCALE" in raw
    with open_image(tmp_path / "a.fits") as reader:
        values = reader.read()
    np.testing.assert_array_equal(values, [[10.5, np.nan], [11.5, 12.0]])


def test_finds_the_first_image_of_many_and_the_one_that_is_named(tmp_path):
    path = tmp_path / "a.fits"
    planes = [make_pixels("i2"), make_pixels("f4", (5, 6))]
    table = fits.BinTableHDU.from_columns([fits.Column("x", "D", array=[1.0, 2.0])])
    images = [fits.ImageHDU(plane) for plane in planes]
    fits.HDUList([fits.PrimaryHDU(), table, *images]).writeto(path)
    with open_image(path) as reader:
        np.testing.assert_array_equal(reader.read(), planes[0])
    with open_image(f"{path}[3]") as reader:
        np.testing.assert_array_equal(reader.read(), planes[1])
    with pytest.raises(InputError, match="HDU 1 holds no image"):
        open_image(path, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"<html>not found</html>" * 200, "not FITS: begins with"),
        (b"SIMPLE  =                    T" + b" " * 5000, "no image|no END"),
    ],
)
def test_what_is_no_image_is_named_with_its_reason(tmp_path, content, message):
    path = tmp_path / "odd.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_image(path)
    assert "odd.fits" in str(caught.value)


def test_a_truncated_file_is_refused_with_both_sizes(tmp_path):
    path = tmp_path / "a.fits"
    fits.writeto(path, make_pixels("u2", (100, 100)))
    with path.open("r+b") as file:
        file.truncate(2880 + 5000)
    with pytest.raises(InputError, match=r"truncated: 5000 bytes of pixels, 20000"):
        open_image(path)


def test_a_damaged_gzip_is_refused(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(b"SIMPLE  =" * 1000)[:-20])
    with pytest.raises(InputError, match=r"a\.fits\.gz"):
        open_image(path)


def test_a_product_reads_back_with_checksums_planes_and_cards(tmp_path):
    path = tmp_path / "deep" / "p.fits"
    data = make_pixels("f4")
    cards = [*format_card("OBJECT", "M 13"), *format_card("BUNIT", "adu")]
    planes = {"UNCERT": np.abs(data), "MASK": data > 0}
    write_image(path, data, cards, planes=planes)
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum is a warning
        for hdu in hdus:
            hdu.verify("exception")
            assert hdu.verify_checksum() == hdu.verify_datasum() == 1
        assert hdus[0].header["OBJECT"] == "M 13"
        assert "BZERO" not in hdus[0].header
    ccd = CCDData.read(path)
    np.testing.assert_array_equal(ccd.data, data)
    np.testing.assert_array_equal(ccd.uncertainty.array, np.abs(data))
    np.testing.assert_array_equal(ccd.mask, data > 0)
    assert ccd.unit == "adu"


def test_bands_written_in_any_order_give_the_same_bytes(tmp_path):
    data = make_pixels("f4", (30, 7))
    for name, starts in (("a", (0, 10, 20)), ("b", (20, 0, 10))):
        path = tmp_path / f"{name}.fits"
        with ImageWriter(path, data.shape, header_cards=1, planes=["MASK"]) as writer:
            for start in starts:
                band = data[start : start + 10]
                writer.write_rows(start, band)
                writer.write_rows(start, band > 0, plane="MASK")
            writer.finish(format_card("KEY", 1))
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()


def half_a_product(path):
    with ImageWriter(path, (4, 4), header_cards=1) as writer:
        writer.write_rows(0, np.zeros((2, 4)))
        raise KeyboardInterrupt


def test_an_interrupted_product_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        half_a_product(tmp_path / "p.fits")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unless_allowed(tmp_path):
    path = tmp_path / "p.fits"
    write_image(path, np.zeros((2, 2)), [])
    with pytest.raises(ProductError, match="exists"):
        write_image(path, np.ones((2, 2)), [])
    write_image(path, np.ones((2, 2)), [], overwrite=True)
    assert fits.getdata(path).sum() == 4


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 -- a device, not a path of ours
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    full = os.open("/dev/full", os.O_WRONLY)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda _fd, data, _at: os.write(full, data))
    with pytest.raises(ProductError, match="No space left"):
        write_image(tmp_path / "p.fits", np.zeros((20, 20)), [])
    monkeypatch.setattr(os, "pwrite", real)
    os.close(full)
    assert list(tmp_path.iterdir()) == []


def test_the_cards_of_a_raw_frame_are_carried_over_unchanged(tmp_path):
    path = tmp_path / "raw.fits"
    fits.writeto(path, make_pixels("u2"))
    odd = b"ODD CARD  without a value, \xb0C                       ".ljust(80)
    raw = path.read_bytes()
    path.write_bytes(
        raw.replace(b"END" + b" " * 77, odd + b"END" + b" " * 77, 1)[:2880] + raw[2880:]
    )
    with open_image(path) as reader:
        assert odd in reader.cards


@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
def test_a_released_file_is_opened_again_when_rows_are_asked_for(tmp_path, ending):
    pixels = make_pixels("u2")
    path = tmp_path / f"a.{ending}"
    fits.writeto(path, pixels)
    with open_image(path) as reader:
        for start in (0, 8, 3):
            band = reader.rows(start, start + 5)
            np.testing.assert_array_equal(band, pixels[start : start + 5])
            reader.release()


def test_a_header_longer_than_foreseen_moves_the_data_on(tmp_path):
    data = make_pixels("f4", (50, 31))
    cards = [card for n in range(500) for card in format_card(f"KEY{n}", n)]
    path = tmp_path / "p.fits"
    with ImageWriter(path, data.shape, header_cards=1, planes=["MASK"]) as writer:
        writer.write_rows(0, data)
        writer.write_rows(0, data > 0, plane="MASK")
        writer.finish(cards, table=b"")
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header["KEY499"] == 499
        np.testing.assert_array_equal(hdus[0].data, data)
        np.testing.assert_array_equal(hdus["MASK"].data, data > 0)
        assert hdus[0].verify_datasum() == hdus[1].verify_datasum() == 1


def test_the_names_of_extensions_of_what_is_no_fits_are_refused(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"a\.fits: not FITS"):
        extension_names(tmp_path / "a.fits")


def test_an_hdu_that_is_not_there_is_named(tmp_path):
    fits.writeto(tmp_path / "a.fits", make_pixels("u2"))
    with pytest.raises(InputError, match="there is no HDU 4; its last is 0"):
        open_image(tmp_path / "a.fits", 4)


@pytest.mark.parametrize(
    ("hdus", "found"),
    [
        ([fits.PrimaryHDU()], "headers only"),
        ([fits.PrimaryHDU(np.zeros(170))], "1 array of 170"),
        ([fits.PrimaryHDU(np.zeros((2, 3, 4, 5)))], "1 array of 5 x 4 x 3 x 2"),
        (
            [
                fits.PrimaryHDU(),
                fits.BinTableHDU.from_columns([fits.Column("a", "D", array=[1.0])]),
                fits.ImageHDU(np.zeros(7)),
                fits.ImageHDU(np.zeros(7)),
            ],
            "2 arrays of 7, 1 BINTABLE",
        ),
    ],
)
def test_a_file_without_image_is_refused_with_what_it_holds(tmp_path, hdus, found):
    fits.HDUList(hdus).writeto(tmp_path / "b.fits")
    with pytest.raises(InputError) as error:
        open_image(tmp_path / "b.fits")
    assert str(error.value).endswith(f"no image in it: {found}")


def test_a_file_that_is_cut_off_while_it_is_read_is_named(tmp_path):
    path = tmp_path / "a.fits"
    fits.writeto(path, make_pixels("u2"))
    with open_image(path) as reader:
        os.truncate(path, 2880 + 100)
        with pytest.raises(InputError, match=r"a\.fits ended \d+ bytes early"):
            reader.read()


@pytest.mark.parametrize(
    ("scale", "zero", "blank", "expected"),
    [
        (2.0, 0.0, None, [[2.0, -18.0]]),
        (1.0, 0.5, None, [[1.5, -8.5]]),
        (1.0, 0.0, -9, [[1.0, np.nan]]),
    ],
)
def test_scale_zero_and_blank_count_each_by_itself(
    tmp_path, scale, zero, blank, expected
):
    hdu = fits.PrimaryHDU(np.array([[1, -9]], np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"] = scale, zero
    if blank is not None:
        hdu.header["BLANK"] = blank
    hdu.writeto(tmp_path / "a.fits")
    with open_image(tmp_path / "a.fits") as reader:
        np.testing.assert_array_equal(reader.read(), expected)


def test_planes_of_a_compressed_cube_are_read_in_their_order(tmp_path):
    pixels = make_pixels("i2", (3, 20, 23))
    fits.CompImageHDU(pixels).writeto(tmp_path / "a.fits.fz")
    with open_image(tmp_path / "a.fits.fz") as reader:
        assert reader.shape == (3, 20, 23)
        np.testing.assert_array_equal(reader.read(), pixels)
        np.testing.assert_array_equal(reader.rows(25, 30), pixels[1, 5:10])


def test_bytes_that_lack_are_those_of_all_that_was_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "PIECE", 64)
    path = tmp_path / "a.fits"
    pixels = make_pixels("u2")
    fits.writeto(path, pixels)
    with open_image(path) as reader:
        os.truncate(path, 2880 + 100)
        with pytest.raises(
            InputError, match=f"ended {pixels.nbytes - 100} bytes early"
        ):
            reader.read()
