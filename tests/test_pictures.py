"""Small pictures of images, decoded by an outside PNG reader."""

import io
import re

import matplotlib.image
import numpy as np
import pytest
from astropy.io import fits

from autoreduce.errors import InputError
from autoreduce.report.pictures import (
    HISTOGRAM_BINS,
    Stretch,
    _block_means,
    png,
    png_pieces,
    read_picture,
    read_png,
)


def write(path, data, **cards):
    header = fits.Header({name.upper(): value for name, value in cards.items()})
    fits.writeto(path, np.asarray(data), header)
    return path


def decode(image):
    """Shades of a PNG from 0 to 255."""
    return np.rint(matplotlib.image.imread(io.BytesIO(image)) * 255).astype(int)


def ramp(ny, nx):
    return np.arange(ny * nx, dtype=np.float32).reshape(ny, nx)


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (1, 1)])
def test_a_png_holds_the_pixels_it_was_given(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert decode(png(pixels)).tolist() == pixels.tolist()


@pytest.mark.parametrize("shape", [(400, 300, 3), (500, 600), (7, 5)])
def test_a_png_does_not_depend_on_the_height_of_its_bands(shape):
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    for height in (1, 32, 333):
        bands = (pixels[i : i + height] for i in range(0, len(pixels), height))
        assert b"".join(png_pieces(shape, bands)) == png(pixels)
    assert decode(png(pixels)).tolist() == pixels.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(21, 34), (21, 34, 3), (2, 90), (1, 1, 3)])
def test_a_png_of_ours_is_read_and_binned(tmp_path, shape, dtype):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(2).integers(0, top, shape, dtype=dtype)
    path = tmp_path / "x.png"
    bands = [pixels[:13], pixels[13:]] if shape[0] > 13 else [pixels]
    path.write_bytes(b"".join(png_pieces(shape, bands, {"Title": "x"})))
    shades = (pixels >> (8 * (dtype().itemsize - 1))).astype(np.uint8)
    found = read_png(path, 100)
    assert found.shape == shape[:2]
    np.testing.assert_array_equal(found.pixels, shades)
    small = read_png(path, 10).pixels
    assert max(small.shape[:2]) <= 10
    if shape[0] == 21:  # binned by four, what is left over is cut off
        cells = shades[:20, :32].reshape(5, 4, 8, 4, *shape[2:]).mean(axis=(1, 3))
        np.testing.assert_allclose(small, cells, atol=0.51)


def test_a_png_that_is_cut_or_not_ours_is_refused(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 255, (40, 30), dtype=np.uint8)
    path, whole = tmp_path / "x.png", png(pixels)
    damaged = (
        whole[:-300],
        whole[:300] + bytes(400) + whole[700:],
        b"GIF89a" + whole[6:],
        whole[:20],
        whole.replace(b"\x08\x00\x00\x00\x00", b"\x08\x03\x00\x00\x00", 1),
    )
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(OSError, match=r"x\.png"):
            read_png(path, 100)
    matplotlib.image.imsave(path, np.tile(pixels, (9, 9)))
    with pytest.raises(OSError, match="not as it was written"):
        read_png(path, 100)


def test_the_largest_side_of_a_picture_is_as_asked(tmp_path):
    path = write(tmp_path / "wide.fits", ramp(100, 640))
    assert decode(png(read_picture(path, largest=320).pixels)).shape == (50, 320)
    assert decode(png(read_picture(path, largest=300).pixels)).shape == (33, 213)


def test_a_small_image_is_not_enlarged(tmp_path):
    assert read_picture(write(tmp_path / "s.fits", ramp(9, 12))).pixels.shape == (9, 12)


def test_a_pixel_of_the_picture_is_the_mean_of_its_block(tmp_path):
    data = np.kron([[0.0, 100.0], [50.0, 25.0]], np.ones((4, 4)))
    data[:4:2] += 10.0  # within the blocks: gone in their means
    data[1:4:2] -= 10.0
    path = write(tmp_path / "blocks.fits", data.astype(np.float32))
    shades = read_picture(path, largest=2).pixels
    assert shades.tolist() == [[128, 64], [0, 255]]


def test_the_first_row_is_at_the_bottom_unless_the_header_says_otherwise(tmp_path):
    data = np.zeros((8, 8), np.float32)
    data[0] = 1.0
    plain = read_picture(write(tmp_path / "up.fits", data)).pixels
    turned = read_picture(
        write(tmp_path / "down.fits", data, roworder="TOP-DOWN")
    ).pixels
    assert plain[-1].min() == 255
    assert plain[0].max() == 0
    np.testing.assert_array_equal(turned, plain[::-1])


def test_rows_left_unread_do_not_matter_to_the_shape_or_the_level(tmp_path):
    data = np.full((600, 900), 1000.0, np.float32)
    data[:, 450:] = 2000.0
    picture = read_picture(write(tmp_path / "tall.fits", data), largest=30)
    assert picture.shape == (600, 900)
    assert picture.pixels.shape == (20, 30)
    assert set(picture.pixels[:, :15].ravel()) == {0}
    assert set(picture.pixels[:, 15:].ravel()) == {255}


def test_blank_pixels_are_black_and_do_not_spoil_their_block(tmp_path):
    data = np.tile(np.linspace(0.0, 10.0, 40, dtype=np.float32), (40, 1))
    data[5, :] = np.nan
    data[:20, 30:] = np.nan
    picture = read_picture(write(tmp_path / "nan.fits", data), largest=20)
    assert (picture.pixels[10:, 15:] == 0).all()  # blank, in the lower right
    assert (np.diff(picture.pixels[0].astype(int)) >= 0).all()
    assert (np.diff(picture.pixels[-3, :15].astype(int)) >= 0).all()
    assert picture.statistics["max"] == pytest.approx(10.0)


@pytest.mark.parametrize("stretch", list(Stretch))
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -5.0, 3e38])
def test_an_image_of_one_value_is_one_shade(tmp_path, value, stretch):
    path = write(tmp_path / "flat.fits", np.full((20, 30), value, np.float32))
    picture = read_picture(path, stretch=stretch)
    assert np.ptp(picture.pixels) == 0
    assert picture.pixels.shape == (20, 30)


@pytest.mark.parametrize("stretch", list(Stretch))
def test_values_that_span_single_precision_have_shades(tmp_path, stretch):
    data = np.full((20, 30), -3.3e38, np.float32)
    data[:, 15:] = 3.3e38
    wide = read_picture(write(tmp_path / "wide.fits", data), stretch=stretch).pixels
    dark, bright = wide[:, :15].astype(int), wide[:, 15:].astype(int)
    assert np.ptp(dark) == np.ptp(bright) == 0
    assert bright[0, 0] > dark[0, 0] + 30


@pytest.mark.parametrize("stretch", list(Stretch))
def test_one_value_beyond_single_precision_leaves_the_others_their_shades(
    tmp_path, stretch
):
    data = np.random.default_rng(2).normal(-1e38, 1e36, (100, 100)).astype(np.float32)
    data[50, 50] = 3.3e38
    path = write(tmp_path / "one.fits", data)
    pixels = read_picture(path, stretch=stretch).pixels
    assert pixels[49, 50] == 255
    assert 20 < np.median(pixels) < 200


def test_an_image_without_numbers_has_no_statistics(tmp_path):
    path = write(tmp_path / "nan.fits", np.full((4, 4), np.nan, np.float32))
    picture = read_picture(path)
    assert picture.statistics == {}
    assert picture.histogram == ()


def test_statistics_of_a_small_image_are_those_of_numpy(tmp_path):
    data = np.random.default_rng(2).normal(100.0, 5.0, (40, 50)).astype(np.float32)
    picture = read_picture(write(tmp_path / "n.fits", data))
    assert picture.statistics["min"] == data.min()
    assert picture.statistics["max"] == data.max()
    assert picture.statistics["median"] == pytest.approx(np.median(data))
    expected, _ = np.histogram(data, HISTOGRAM_BINS, picture.span)
    assert picture.histogram == tuple(expected)


def test_the_sky_is_dark_grey_and_a_faint_star_stands_out_of_it(tmp_path):
    rng = np.random.default_rng(3)
    data = rng.normal(500.0, 10.0, (100, 100)).astype(np.float32)
    data[50:53, 50:53] += 100.0
    data[20:22, 20:22] = 60000.0
    path = write(tmp_path / "sky.fits", data)
    shades = read_picture(path, stretch=Stretch.FAINT).pixels[::-1].astype(int)
    assert 30 < np.median(shades) < 80
    assert shades[51, 51] > np.median(shades) + 50
    assert shades[20, 20] == 255
    straight = read_picture(path, stretch=Stretch.LINEAR).pixels
    assert np.ptp(straight) == 255


@pytest.mark.parametrize(
    ("cards", "brightest"),
    [
        ({"bayerpat": "RGGB"}, 0),
        ({"bayerpat": "BGGR"}, 2),
        ({"bayerpat": "RGGB", "xbayroff": 1, "ybayroff": 1}, 2),
    ],
)
def test_a_colour_filter_array_is_shown_in_colour(tmp_path, cards, brightest):
    data = np.full((80, 120), 100, np.uint16)
    data[20:40:2, 30:60:2] = 5000  # the first site of some cells
    path = write(tmp_path / "cfa.fits", data, **cards)
    pixels = read_picture(path, largest=60).pixels[::-1]
    assert pixels.shape == (40, 60, 3)
    inside = pixels[12:18, 18:28].reshape(-1, 3)
    others = [channel for channel in range(3) if channel != brightest]
    assert (inside[:, brightest] == 255).all()
    assert np.ptp(pixels[..., others]) == 0


def test_an_unknown_filter_array_is_shown_in_grey(tmp_path):
    path = write(tmp_path / "x.fits", ramp(8, 8), bayerpat="WRGB")
    assert read_picture(path).pixels.ndim == 2


def test_a_cube_of_three_planes_is_red_green_blue_and_another_its_first(tmp_path):
    planes = np.stack([ramp(10, 10), np.zeros((10, 10)), np.ones((10, 10))])
    colour = read_picture(write(tmp_path / "rgb.fits", planes.astype(np.float32)))
    assert colour.pixels.shape == (10, 10, 3)
    first = read_picture(write(tmp_path / "two.fits", planes[:2].astype(np.float32)))
    np.testing.assert_array_equal(first.pixels, colour.pixels[..., 0])


def test_the_sky_of_a_picture_in_colour_is_level(tmp_path):
    rng = np.random.default_rng(5)
    planes = rng.normal(500.0, 10.0, (3, 120, 160))
    planes[0] += np.linspace(0, 60, 160)
    planes[2] -= np.linspace(0, 60, 120)[:, None]
    path = write(tmp_path / "rgb.fits", planes.astype(np.float32))
    shades = read_picture(path, stretch=Stretch.FAINT).pixels.astype(float)
    corners = [
        shades[rows, columns].mean(axis=(0, 1))
        for rows in (slice(30), slice(-30, None))
        for columns in (slice(40), slice(-40, None))
    ]
    assert np.ptp(corners) < 4


def test_very_long_and_very_thin_images_have_pictures(tmp_path):
    path = write(tmp_path / "long.fits", ramp(2, 5000), bayerpat="RGGB")
    assert read_picture(path, largest=100).pixels.shape == (1, 100, 3)
    path = write(tmp_path / "line.fits", ramp(1, 5000), bayerpat="RGGB")
    assert read_picture(path, largest=100).pixels.shape == (1, 100)


def test_only_a_sample_of_the_rows_is_read(tmp_path, monkeypatch):
    from autoreduce.fits.images import ImageReader

    path = write(tmp_path / "tall.fits", np.zeros((4000, 50), np.float32))
    n_read, fill = [], ImageReader._fill

    def counted(reader, buffer, offset, left):
        n_read.append(len(buffer) / (50 * 4))
        fill(reader, buffer, offset, left)

    monkeypatch.setattr(ImageReader, "_fill", counted)
    read_picture(path, largest=100)
    assert sum(n_read) == 400


def test_a_missing_product_is_an_error_that_names_it(tmp_path):
    with pytest.raises(InputError, match=re.escape("gone.fits")):
        read_picture(tmp_path / "gone.fits")


@pytest.mark.parametrize(
    "level", [np.int64(2**62), np.float32(3e38), np.float64(-1.5), np.uint16(65535)]
)
def test_means_of_blocks_hold_any_pixels(level):
    bands = np.full((2, 3, 8), level)
    np.testing.assert_allclose(_block_means(bands, 4), float(level), rtol=1e-6)
