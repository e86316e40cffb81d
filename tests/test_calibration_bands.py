"""Raw frames through their calibration, band by band, worked by hand."""

import numpy as np
import pytest
from astropy.io import fits
from dark_fits import make_fit

from autoreduce.calibration.bands import (
    BYTES_PER_SAMPLE,
    ENOUGH_ROWS,
    LARGEST_BAND,
    Correction,
    MasterRows,
    RawFrame,
    bands,
    calibrated_rows,
)
from autoreduce.calibration.dark_rates import DarkRates
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.writer import write_image
from autoreduce.pixels.darkcurrent import DarkScaling
from autoreduce.planning.plan import Calibration, FrameInput

RAW = np.arange(60, dtype=np.uint16).reshape(6, 10) + 1000


def open_frame(folder, pixels=RAW, *, keep_open=True, saturate=None, **plan):
    fits.writeto(folder / "raw.fits", pixels, overwrite=True)
    item = FrameInput("raw.fits", Calibration(**plan), saturate=saturate)
    return RawFrame(folder, item, keep_open=keep_open)


def write_master(folder, name, value):
    data = np.broadcast_to(np.asarray(value, np.float32), RAW.shape).copy()
    write_image(folder / name, data, [])
    return name


@pytest.mark.parametrize("keep_open", [True, False])
def test_a_frame_is_trimmed_and_its_overscan_known(tmp_path, keep_open):
    plan = {"trim": "[3:8,2:5]", "overscan": "[9:10,1:6]"}
    with open_frame(tmp_path, keep_open=keep_open, **plan) as frame:
        assert (frame.shape, frame.origin) == ((4, 6), (1, 2))
        for start, stop in ((0, 2), (2, 4)):
            rows = frame.rows(start, stop)
            np.testing.assert_array_equal(rows, RAW[1 + start : 1 + stop, 2:8])
        assert frame.overscan == pytest.approx(np.median(RAW[:, 8:]), abs=1)


def test_without_overscan_there_is_no_level(tmp_path):
    with open_frame(tmp_path) as frame:
        assert (frame.overscan, frame.shape, frame.origin) == (None, (6, 10), (0, 0))


@pytest.mark.parametrize(
    ("dtype", "told", "level"),
    [
        ("u2", None, 65535.0),
        ("u2", 60000.0, 60000.0),
        ("f4", None, None),
        ("i2", None, None),
        ("i2", 30000.0, 30000.0),
    ],
)
def test_pixels_saturate_at_the_latest_where_their_type_ends(
    tmp_path, dtype, told, level
):
    with open_frame(tmp_path, RAW.astype(dtype), saturate=told) as frame:
        assert frame.saturate == level


def test_a_cube_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(
        InputError, match=r"raw\.fits holds a cube of 3 planes.*exclude"
    ):
        open_frame(tmp_path, np.zeros((3, 4, 5), np.uint16))


def test_a_pixel_goes_through_all_corrections(tmp_path):
    """(1000 - 300 - (0.5 * 20 + 4)) / 2 = 343."""
    for name, value in (("b.fits", 300), ("d.fits", 20), ("f.fits", 2)):
        write_master(tmp_path, name, value)
    correction = Correction("b.fits", "d.fits", 0.5, 4.0, "f.fits")
    assert correction.masters == ("b.fits", "d.fits", "f.fits")
    with (
        open_frame(tmp_path) as frame,
        MasterRows(tmp_path, correction.masters) as masters,
    ):
        masters.check(frame.shape)
        rows = calibrated_rows(frame, correction, masters, 2, 5)
    np.testing.assert_allclose(rows, (RAW[2:5] - 314.0) / 2)


def test_overscan_is_subtracted_and_no_master_need_be(tmp_path):
    raw = np.full((6, 10), 500, np.uint16)
    raw[:, 8:] = 100
    plan = {"trim": "[1:8,1:6]", "overscan": "[9:10,1:6]"}
    with (
        open_frame(tmp_path, raw, **plan) as frame,
        MasterRows(tmp_path, ()) as masters,
    ):
        rows = calibrated_rows(frame, Correction(), masters, 0, 6)
        assert masters.rows(None, 0, 6) is None
        assert masters.summed_squares((0, 6)).tolist() == [[0.0]]
    np.testing.assert_array_equal(rows, np.full((6, 8), 400))


def test_a_larger_master_is_cut(tmp_path):
    write_image(tmp_path / "b.fits", RAW.astype(np.float32), [])
    cuts = (("b.fits", "[3:6,2:4]"),)
    with MasterRows(tmp_path, ["b.fits"], cuts=cuts) as masters:
        masters.check((3, 4))
        assert masters.shape == (6, 10)
        np.testing.assert_array_equal(masters.rows("b.fits", 1, 3), RAW[2:4, 2:6])


@pytest.mark.parametrize("cut", [None, "[3:6,2:5]", "[8:11,1:3]"])
def test_a_master_of_another_size_is_refused(tmp_path, cut):
    write_master(tmp_path, "b.fits", 0)
    cuts = () if cut is None else (("b.fits", cut),)
    with (
        MasterRows(tmp_path, ["b.fits"], cuts=cuts) as masters,
        pytest.raises(ProductError, match=r"b\.fits is .* pixels, the frame 4x3"),
    ):
        masters.check((3, 4))


def test_a_band_is_read_once_for_all_frames(tmp_path):
    write_master(tmp_path, "b.fits", 3)
    with MasterRows(tmp_path, ["b.fits"]) as masters:
        first = masters.rows("b.fits", 0, 2)
        assert masters.rows("b.fits", 0, 2) is first
        assert masters.rows("b.fits", 2, 4) is not first
        np.testing.assert_array_equal(
            masters.summed_squares((0, 2)), np.full((2, 10), 9)
        )


def test_masters_that_cannot_be_opened_leave_none_open(tmp_path):
    write_master(tmp_path, "b.fits", 3)
    with pytest.raises(InputError, match=r"d\.fits"):
        MasterRows(tmp_path, ["b.fits", "d.fits"])


def test_a_dark_of_rates_is_made_once_for_a_band(tmp_path):
    """5.9 + 30 s * 0.25 ADU/s; factor and offset are in it already."""
    write_master(tmp_path, "map", 0.25)
    for name in ("60", "120", "180"):
        write_master(tmp_path, name, 0)
    rates = DarkRates.from_fit(make_fit())
    correction = Correction(None, "180", 0.4, 1.0, rates=rates, exptime=30.0)
    assert correction.scaling == DarkScaling(1.0, 0.0)
    assert correction.masters == ("map", "60", "120", "180")
    with MasterRows(tmp_path, correction.masters) as masters:
        dark = masters.dark(correction, 0, 3)
        np.testing.assert_allclose(dark, np.full((3, 10), 13.4), rtol=1e-6)
        assert masters.dark(correction, 0, 3) is dark
        assert masters.dark(correction, 3, 6) is not dark


@pytest.mark.parametrize(
    ("ny", "nx", "n", "memory", "height"),
    [
        (100, 10, 4, 10 * 4 * 10 * BYTES_PER_SAMPLE, 10),
        (100, 10, 4, 1, 1),
        (100, 10, 0, 7 * 10 * BYTES_PER_SAMPLE, 7),
        (5, 10, 4, 1 << 40, 5),
        (1 << 20, 1 << 10, 1, 1 << 40, LARGEST_BAND // (BYTES_PER_SAMPLE << 10)),
        (100, 1 << 20, 100, 1 << 50, ENOUGH_ROWS),
    ],
)
def test_bands_fit_into_memory_and_cover_all_rows(ny, nx, n, memory, height):
    found = list(bands(ny, nx, n, memory))
    assert found[0] == (0, height)
    assert [start for start, _ in found[1:]] == [stop for _, stop in found[:-1]]
    assert found[-1][1] == ny


def test_a_band_of_all_rows_needs_no_halo():
    row = 4 * 10 * BYTES_PER_SAMPLE
    assert list(bands(100, 10, 4, 100 * row, halo=43)) == [(0, 100)]
    assert next(bands(100, 10, 4, 99 * row, halo=43)) == (0, 99 - 2 * 43)


def test_a_turned_frame_is_read_from_its_last_row_on(tmp_path):
    plan = Calibration(trim="[1:10,2:5]", overscan="[9:10,1:2]")
    fits.writeto(tmp_path / "raw.fits", RAW)
    with RawFrame(tmp_path, FrameInput("raw.fits", plan, turned=True)) as frame:
        np.testing.assert_array_equal(frame.rows(1, 3), RAW[::-1][2:4])
        assert frame.overscan == pytest.approx(np.median(RAW[4:, 8:]), abs=1)


def test_a_pedestal_is_taken_out_where_no_overscan_holds_it(tmp_path):
    fits.writeto(tmp_path / "raw.fits", RAW)
    item = FrameInput("raw.fits", pedestal=100.0)
    with RawFrame(tmp_path, item) as frame, MasterRows(tmp_path, []) as masters:
        rows = calibrated_rows(frame, Correction(), masters, 0, 2)
        np.testing.assert_array_equal(rows, RAW[:2] - 100.0)
    with RawFrame(
        tmp_path, FrameInput("raw.fits", Calibration(overscan="[9:10,1:6]"), pedestal=9)
    ) as frame:
        assert frame.zero == frame.overscan


def drifting(rng, shape=(400, 80), columns=24, noise=5.0):
    """Draw a frame whose level drifts while it is read, and that drift, ADU."""
    drift = 6 * np.sin(np.linspace(0, 2 * np.pi, shape[0]) + rng.uniform(0, 6))
    data = 1000 + drift[:, None] + rng.normal(0, noise, shape)
    data[:, columns:] += 300
    return np.rint(data).astype(np.uint16), drift


@pytest.mark.parametrize("by_rows", [False, True])
def test_a_level_that_drifts_is_taken_row_by_row(tmp_path, by_rows):
    pixels, drift = drifting(np.random.default_rng(2))
    plan = {
        "overscan": "[1:24,1:400]",
        "trim": "[25:80,1:400]",
        "overscan_rows": by_rows,
    }
    with (
        open_frame(tmp_path, pixels, **plan) as frame,
        MasterRows(tmp_path, ()) as none,
    ):
        parts = [
            calibrated_rows(frame, Correction(), none, start, start + 100)
            for start in range(0, 400, 100)
        ]
        assert frame.overscan == pytest.approx(1000, abs=1)
    left = np.concatenate(parts).mean(axis=1) - 300
    # 56 pixels of 5 ADU; a fifth of the noise of 24 of the strip.
    expected = np.hypot(5 / 56**0.5, 0.19 * 5 / 24**0.5)
    if by_rows:
        assert np.std(left) == pytest.approx(expected, rel=0.15)
    else:
        assert np.std(left) == pytest.approx(np.hypot(expected, np.std(drift)), rel=0.1)


def test_rows_that_the_strip_lacks_have_the_level_of_the_next(tmp_path):
    pixels, _ = drifting(np.random.default_rng(3))
    plan = {"overscan": "[1:24,11:390]", "trim": "[25:80,1:400]", "overscan_rows": True}
    with open_frame(tmp_path, pixels, **plan) as frame:
        levels = frame.zeros(0, 400)
    assert levels.shape == (400, 1)
    assert np.isfinite(levels).all()
    assert (levels[:10] == levels[10]).all()
    assert (levels[390:] == levels[389]).all()
