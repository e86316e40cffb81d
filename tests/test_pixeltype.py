"""Types told by pixels: right, or not told at all."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.fits.header import read_headers
from autoreduce.frames.pixeltype import (
    Known,
    Look,
    count_extended,
    judge,
    look_at,
    sum_up,
)
from autoreduce.frames.scan import scan, scan_night
from autoreduce.frames.schema import ImageType

SHAPE = (256, 256)


def make_pixels(level, noise=5.0, stars=0, hot=0, seed=1):
    rng = np.random.default_rng(seed)
    data = rng.normal(level, noise, SHAPE)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for _ in range(stars):
        row, column = rng.uniform(5, 250, 2)
        distance2 = (y - row) ** 2 + (x - column) ** 2
        data += 2000 * np.exp(-distance2 / (2 * 1.5**2))
    data.ravel()[rng.choice(data.size, hot, replace=False)] += 3000
    return data


def write_frame(path, pixels, **cards):
    pixels = np.clip(np.round(pixels), 0, 65535).astype(np.uint16)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update({"INSTRUME": "C", **cards})
    hdu.writeto(path)
    return path


def make_known(**looks):
    looks = {"bias": Look(1000, 5, 0), **looks}
    return [
        Known(ImageType(kind.rstrip("_")), 60.0, look) for kind, look in looks.items()
    ]


def test_look_measures_level_noise_and_stars():
    look = sum_up([make_pixels(1000.0, stars=100)[16:240]])
    assert look.level == pytest.approx(1000, abs=3)
    assert look.noise == pytest.approx(5, rel=0.25)
    assert look.stars > 1000


def test_hot_pixels_are_no_stars():
    assert sum_up([make_pixels(1000.0, hot=500)]).stars == 0


@pytest.mark.parametrize("leak", [0.01, 0.03, 0.05])
def test_hot_pixels_whose_charge_leaks_to_their_neighbours_are_no_stars(leak):
    """As in infrared arrays, whose pixels couple to each other."""
    rng = np.random.default_rng(3)
    hot = np.zeros(SHAPE)
    hot[8::16, 8::16] = 30000.0
    sides = sum(np.roll(hot, by, axis) for by in (-1, 1) for axis in (0, 1))
    data = rng.normal(1000.0, 5.0, SHAPE) + (1 - 4 * leak) * hot + leak * sides
    assert count_extended(data, 5.0) == 0


def test_stars_of_little_more_than_a_pixel_are_stars():
    """A full width of 1.3 pixels, wherever in its pixel each lies."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    data = rng.normal(1000.0, 5.0, SHAPE)
    for row, column in rng.uniform(-0.2, 0.2, (20, 2)) + 12 * np.arange(1, 21)[:, None]:
        data += 2000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / 0.55**2)
    assert count_extended(data, 5.0) >= 18


def test_stars_of_a_mosaic_are_counted_among_pixels_of_their_colour():
    """Of a star with a sigma of 0.85 pixels the second one has 6 % of the peak."""
    y, x = np.mgrid[:64, :64]
    star = 2000 * np.exp(-((y - 24) ** 2 + (x - 24) ** 2) / 2 / 0.85**2)
    data = np.random.default_rng(3).normal(1000.0, 5.0, y.shape) + star
    assert count_extended(data, 5.0, step=2) == 1


def test_a_row_of_bright_pixels_is_no_star():
    """A cosmic ray that runs along a row has little beside it."""
    data = np.random.default_rng(3).normal(1000.0, 5.0, SHAPE)
    data[100, 40:60] += 2000 * np.exp(-np.abs(np.arange(20) - 10) / 5)
    data[(99, 101), 40:60] += 60
    assert count_extended(data, 5.0) == 0


@pytest.mark.parametrize("packed", [False, True])
def test_look_at_a_file_reads_the_values_that_astropy_reads(tmp_path, packed):
    path = write_frame(tmp_path / "a.fits", make_pixels(20000.0))
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    look = look_at(path, read_headers(path)[0])
    assert look.level == pytest.approx(np.median(fits.getdata(path)), abs=1)


def test_frame_of_nan_is_not_judged(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.full((20, 20), np.nan, np.float32)).writeto(path)
    assert look_at(path, read_headers(path)[0]) is None


@pytest.mark.parametrize(
    ("look", "known", "kind"),
    [
        (Look(1300, 15, 900), make_known(), "light"),
        (Look(1300, 15, 900), make_known(flat=Look(20000, 100, 300)), None),
        (Look(20000, 100, 0), make_known(light=Look(1100, 8, 900)), "flat"),
        # a bright sky may look like a flat: with no light to compare nothing is said
        (Look(20000, 100, 0), make_known(), None),
        (Look(20000, 100, 0), make_known(light=Look(8000, 80, 0)), None),
        (Look(1010, 5, 0), make_known(dark=Look(1010, 5, 10)), "dark"),
        (Look(1016, 5, 0), make_known(dark=Look(1010, 5, 10)), None),
        (Look(1010, 5, 0), make_known(), None),
    ],
)
def test_type_is_given_only_without_a_doubt(look, known, kind):
    assert judge(look, 60.0, known, 65535.0)[0] == kind


def test_without_a_closed_shutter_to_compare_nothing_is_said():
    known = [Known(ImageType.LIGHT, 60.0, Look(1300, 15, 900))]
    assert judge(Look(1300, 15, 900), 60.0, known, 65535.0) == (None, "")


def test_silent_frames_of_a_night_get_their_types(tmp_path):
    write_frame(tmp_path / "bias_1.fits", make_pixels(1000.0), EXPTIME=0.0)
    write_frame(tmp_path / "dark_1.fits", make_pixels(1050.0, hot=50), EXPTIME=60.0)
    write_frame(
        tmp_path / "M13.fits",
        make_pixels(1300.0, stars=100),
        EXPTIME=60.0,
        IMAGETYP="LIGHT",
    )
    silent = {
        "0001.fits": (make_pixels(1300.0, 15.0, stars=100, seed=2), 60.0, "light"),
        "0002.fits": (make_pixels(25000.0, 150.0, seed=3), 5.0, "flat"),
        "0003.fits": (make_pixels(1050.0, hot=50, seed=4), 60.0, "dark"),
        "0004.fits": (make_pixels(1060.0, seed=5), 33.0, "?"),
    }
    for name, (pixels, exptime, _) in silent.items():
        write_frame(tmp_path / name, pixels, EXPTIME=exptime)
    frames = scan(tmp_path).set_index("file")
    found = frames["imagetyp"].fillna("?").loc[list(silent)].to_dict()
    assert found == {name: kind for name, (_, _, kind) in silent.items()}
    evidence = scan_night([tmp_path]).evidence.set_index(["file", "fact"])
    row = evidence.loc[("0001.fits", "imagetyp")]
    assert row["keyword"] == "pixels"
    assert "stars per megapixel" in row["rule"]
