"""Thin samples of frames: what they show, worked by hand."""

import numpy as np
import pytest
from astropy.io import fits
from level_nights import as_floats_with_bzero
from small_night import write_frame

from autoreduce.calibration.samples import ANY, Sampled, read_some, sum_up


def read_sample(path, frame=ANY):
    return read_some([(path, frame)])[0]


RAMP = np.arange(32 * 64, dtype=np.uint16).reshape(32, 64)


def test_level_ends_and_shape_of_a_ramp():
    sample = sum_up(RAMP)
    assert (sample.level, sample.lowest, sample.highest) == (1023.5, 0, 2047)
    assert sample.ends == (0, 65535)
    assert len(sample.blocks) == 64
    # The first block holds rows 0 to 3, columns 0 to 7: medians 3.5, 67.5, 131.5, 195.5.
    assert sample.blocks[0] == 99.5
    assert sample.blocks[63] == 2047 - 99.5


@pytest.mark.parametrize(
    ("rows", "step"),
    [
        (RAMP, 1),
        (RAMP * 16, 16),
        (RAMP * 16 + 5, 16),
        ((RAMP * 3).astype(np.float32), 3),
        (RAMP / 7, None),
        (np.where(RAMP % 2, 8, 4).astype(np.uint16), None),
    ],
)
def test_the_step_is_that_of_whole_numbers_that_differ_enough(rows, step):
    assert sum_up(rows).step == step


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (RAMP, ""),
        ((RAMP % 256).astype(np.uint8), "in 8 bits"),
        ((RAMP / 2047).astype(np.float32), "from 0 to 1"),
        ((RAMP / 1000).astype(np.float32), ""),
        (np.zeros((32, 64), np.float32), ""),
    ],
)
def test_units_that_are_no_camera_s(rows, counts):
    assert sum_up(rows).counts == counts


def test_counts_below_zero_are_wrapped_but_for_the_mark_of_a_dead_pixel():
    rows = RAMP.astype(np.int16)
    assert sum_up(rows).wrapped == 0
    rows[0, 0] = -32768
    assert sum_up(rows).wrapped == 0
    rows[0, 1:5] = -30000
    assert sum_up(rows).wrapped == 4 / rows.size


def test_frames_without_two_values_tell_nothing():
    assert sum_up(np.full((32, 64), 7, np.uint16)).empty
    assert sum_up(np.full((32, 64), np.nan, np.float32)).empty
    assert not sum_up(RAMP).empty


@pytest.mark.parametrize(
    ("rows", "value", "cut"),
    [
        # Unsigned counts whose bytes were never written, and a bright row that is full.
        (RAMP.astype(np.uint16), 1 << 15, 0.25),
        (RAMP.astype(np.uint16), 65535, 0.0),
        # Other counts are 0 there, which is no brighter than anything.
        (RAMP.astype(np.float32) + 1000, 1 << 15, 0.0),
        (RAMP.astype(np.float32) - 90000, 0, 0.0),
    ],
)
def test_rows_that_were_never_written_have_no_data(rows, value, cut):
    rows = rows.copy()
    rows[24:] = value
    assert sum_up(rows).cut == cut


def test_a_frame_is_dull_only_if_all_of_it_is(tmp_path):
    pixels = np.full((400, 64), 11, np.uint8)
    path = tmp_path / "dull.fits"
    fits.writeto(path, pixels)
    assert read_sample(path).empty
    pixels[20] = 12  # between the bands that are sampled
    fits.writeto(path, pixels, overwrite=True)
    sample = read_sample(path)
    assert (sample.empty, sample.highest) == (False, 12)


def test_bands_reach_from_the_first_row_to_the_last(tmp_path):
    pixels = np.repeat(np.arange(1000, dtype=np.uint16)[:, None], 16, axis=1)
    fits.writeto(tmp_path / "rows.fits", pixels)
    blocks = read_sample(tmp_path / "rows.fits").blocks
    assert (blocks[0], blocks[-1]) == (1.5, 997.5)


def test_a_float_that_kept_bzero_is_told(tmp_path):
    path = write_frame(tmp_path, "dark.fit", "dark", 60.0)
    as_floats_with_bzero("dark")("dark", path, fits.getdata(path))
    sample = read_sample(path)
    assert sample.counts == "in floats with BZERO"
    assert sample.level == pytest.approx(33098, abs=2)


@pytest.mark.parametrize("shape", [(32, 64), (32, 61), (13, 70), (5, 3), (1, 9)])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_blocks_are_those_of_array_split(shape, kind):
    rows = np.random.default_rng(7).integers(0, 1000, shape).astype(kind)
    if kind is np.float32:
        rows[np.random.default_rng(8).random(shape) < 0.2] = np.nan
    expected = []
    for band in np.array_split(rows, 8):
        for block in np.array_split(band, 8, axis=1):
            finite = block[np.isfinite(block)]
            expected.append(np.median(finite) if finite.size else np.nan)
    assert sum_up(rows).blocks == pytest.approx(expected, nan_ok=True, abs=0)


def test_of_a_frame_is_kept_what_is_asked_of_its_type():
    dark, flat, light = (sum_up(RAMP, "", kind) for kind in ("dark", "flat", "light"))
    assert len(dark.blocks) == 64
    assert not flat.blocks
    assert not light.blocks
    assert flat.strip.size
    assert not dark.strip.size
    assert not light.strip.size
    assert dark.level == flat.level == light.level


@pytest.mark.parametrize("ny", [20, 400])
def test_the_overscan_is_sampled_where_the_header_has_it(tmp_path, ny):
    image = np.full((ny, 50), 700, np.uint16)
    image[:, 40:] = 300
    image[0, 0] = 0
    fits.writeto(tmp_path / "a.fits", image)
    assert (
        read_sample(tmp_path / "a.fits", Sampled("", f"[41:50,1:{ny}]")).overscan == 300
    )
    assert read_sample(tmp_path / "a.fits", Sampled("", "[1:40,2:5]")).overscan == 700
    assert np.isnan(read_sample(tmp_path / "a.fits").overscan)


def test_frames_that_are_read_together_have_the_samples_that_each_has_alone(tmp_path):
    rng = np.random.default_rng(3)
    files = []
    for number in range(60):
        image = rng.normal(50, 3, [(8, 8), (40, 24), (200, 700)][number % 3])
        image[: number % 2] = 0  # a row that is cut off
        if number % 5 == 1:
            image[rng.random(image.shape) < 0.1] = np.nan
        if number % 7 == 0:
            image[1:] = image[1, 0]
        kind = (np.uint16, np.float32, np.int16, np.float64)[number % 4]
        is_float = np.dtype(kind).kind == "f"
        image = image.astype(kind) if is_float else np.nan_to_num(image).astype(kind)
        header = fits.Header({"DATAMAX": 60000.0} if number % 2 else {})
        path = tmp_path / f"{number}.fits"
        fits.writeto(path, image, header)
        imagetyp = ("", "flat", "dark")[number % 3 - 1]
        files.append((path, Sampled(imagetyp, "[1:2,1:8]" if number % 4 else "")))
    files.insert(7, (tmp_path / "gone.fits", Sampled()))
    together = read_some(files)
    assert together[7] is None
    for (path, frame), found in zip(files, together, strict=True):
        alone = read_sample(path, frame)
        assert repr(found) == repr(alone)  # NaN is no NaN
        if alone is not None:
            np.testing.assert_array_equal(found.strip, alone.strip)


def with_one(counts, value):
    counts[3, 5] = value
    return counts


@pytest.mark.parametrize(
    ("rows", "noise"),
    [
        (lambda counts: counts.byteswap(), 20.0),
        (lambda counts: (counts ^ 0x8000).byteswap() ^ 0x8000, 20.0),
        (lambda counts: counts.astype(np.int16).byteswap(), 20.0),
        (lambda counts: counts, np.nan),
        (lambda counts: counts * 20, 19000.0),
        (lambda counts: counts // 4 * 256, np.nan),
        (lambda counts: with_one(counts // 4 * 256, 65535), np.nan),
        (lambda counts: with_one(counts // 4 * 256, 1), np.nan),
        (lambda counts: counts.astype(np.float32) * 20, np.nan),
    ],
    ids=[
        "unsigned",
        "with BZERO",
        "signed",
        "right",
        "noisy",
        "8 bits above",
        "8 bits above and a full pixel",
        "8 bits above and a dead pixel",
        "floats",
    ],
)
def test_pixels_tell_that_their_bytes_are_swapped(rows, noise):
    counts = np.random.default_rng(1).normal(680, 20, (32, 256)).astype(np.uint16)
    found = sum_up(rows(counts.astype(np.uint16))).swapped_noise
    assert found == pytest.approx(noise, rel=0.25, nan_ok=True)


@pytest.mark.parametrize("level", [1000, 30000, 32768, 33000, 50000])
def test_rows_that_were_never_written_are_seen_at_any_level(level):
    rows = np.random.default_rng(1).normal(level, 50, (32, 64)).astype(np.uint16)
    assert sum_up(rows).cut == 0
    rows[20:] = 32768
    assert sum_up(rows).cut == 12 / 32


def test_rows_that_are_full_are_no_unwritten_ones():
    rows = np.full((32, 64), 32768, np.uint16)
    rows[:2, :5] = 32000
    assert sum_up(rows).cut == 0
