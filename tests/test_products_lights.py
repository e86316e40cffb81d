"""One light, calibrated: pixels, planes, header and stars, worked by hand."""

import numpy as np
import pytest
from astropy.io import fits
from small_night import make_stars
from small_products import make_space, write_product

from autoreduce.fits.images import ImageReader
from autoreduce.planning.plan import Action, Calibration, FrameInput, Task
from autoreduce.products.lights import make_light
from autoreduce.products.starlist import read_stars

SHAPE = (96, 128)
MADE = {"b.fits", "d.fits", "f.fits"}


def write_light(folder, *, width=1.1, full=False, cards=(), facts=(), **item):
    """Write a light over bias 100, dark 4 (of 8 scaled by a half) and flat 0.5."""
    for name, value, sigma in (("b", 100.0, 1), ("d", 8.0, 1), ("f", 0.5, 0.001)):
        known = {"LEVEL": value, "NOISEADU": 4.0}
        write_product(
            folder / f"{name}.fits", np.full(SHAPE, value), sigma=sigma, **known
        )
    rng = np.random.default_rng(4)
    signal = 900 + (make_stars(SHAPE, sigma=width) if width else 0)
    raw = 104 + 0.5 * signal + rng.normal(0, 3, SHAPE)
    raw = np.rint(raw).astype(np.uint16)
    if full:
        raw[5:8, 5:8] = 60000
    header = fits.Header({"OBJECT": "M13", **dict(cards)})
    fits.writeto(folder / "l.fit", raw, header)
    plan = Calibration(bias="b.fits", dark="d.fits", dark_scale=0.5, flat="f.fits")
    frame = FrameInput("l.fit", plan, **item)
    return Task("c.fits", Action.CALIBRATE, "M13", dict(facts), (frame,)), raw


def test_each_pixel_is_calibrated(tmp_path):
    task, raw = write_light(tmp_path, exptime=60.0)
    made = make_light(task, make_space(tmp_path), "abc", MADE)
    data, header = fits.getdata(tmp_path / "c.fits", header=True)
    np.testing.assert_allclose(data, (raw - 104.0) / 0.5, rtol=1e-5)
    assert (header["OBJECT"], header["CALSTAT"]) == ("M13", "BDF")
    assert (header["EXPTIME"], header["DIGEST"], header["KEEP"]) == (60.0, "abc", False)
    assert made.n_used == 1
    assert made.remarks == ()
    assert made.statistics["sky"] == pytest.approx(900, rel=0.01)
    assert made.statistics["sky_noise"] == pytest.approx(6, rel=0.1)
    assert (
        made.statistics["stars"]
        == header["NSTARS"]
        == len(read_stars(tmp_path / "c.fits"))
    )
    assert made.statistics["dark_scale"] == 0.5
    assert made.measured["l.fit"]["median"] == np.median(raw)
    assert made.measured["l.fit"]["dark_scale"] == 0.5


def test_a_hot_pixel_that_is_full_saturates_no_star(tmp_path):
    """Its dark takes 65000 of its 65535: no level at which stars are full."""
    task, raw = write_light(tmp_path)
    raw[20, 30] = 65535
    fits.writeto(tmp_path / "l.fit", raw, overwrite=True)
    dark = np.full(SHAPE, 8.0)
    dark[20, 30] = 130000.0
    write_product(tmp_path / "d.fits", dark, sigma=1, LEVEL=8.0, NOISEADU=4.0)
    made = make_light(task, make_space(tmp_path), "abc", MADE)
    assert "saturate" not in made.statistics
    stars = read_stars(tmp_path / "c.fits")
    assert len(stars) > 5
    assert not (stars["flags"] & 1).any()


def test_the_rows_of_a_raw_frame_are_read_once(tmp_path, monkeypatch):
    read, rows = [], ImageReader.rows

    def counted(reader, start, stop):
        read.extend([reader.path.name] * (stop - start))
        return rows(reader, start, stop)

    monkeypatch.setattr(ImageReader, "rows", counted)
    task, _ = write_light(tmp_path, full=True)
    make_light(task, make_space(tmp_path, planes=True), "abc", MADE)
    assert read.count("l.fit") == SHAPE[0]


def test_bands_do_not_change_a_light(tmp_path):
    task, _ = write_light(tmp_path)
    make_light(task, make_space(tmp_path), "abc", MADE)
    whole = fits.getdata(tmp_path / "c.fits")
    make_light(task, make_space(tmp_path, memory=20000), "abc", MADE)
    np.testing.assert_array_equal(fits.getdata(tmp_path / "c.fits"), whole)


def test_without_a_gain_there_are_no_errors_and_that_is_told(tmp_path):
    task, _ = write_light(tmp_path)
    made = make_light(task, make_space(tmp_path, planes=True), "abc", MADE)
    assert [one.code for one in made.remarks] == ["no-uncert"]
    with fits.open(tmp_path / "c.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "STARS"]
        assert "gain is unknown" in " ".join(hdus[0].header["HISTORY"])


def test_errors_and_saturated_pixels(tmp_path):
    task, _ = write_light(tmp_path, full=True, egain=1.5, rdnoise=6.0, saturate=60000.0)
    make_light(task, make_space(tmp_path, planes=True), "abc", MADE)
    with fits.open(tmp_path / "c.fits") as hdus:
        flags, sigma = hdus["MASK"].data, hdus["UNCERT"].data
        assert hdus[0].header["SATURATE"] == (60000 - 104) / 0.5
    assert (flags[5:8, 5:8] == 2).all()
    assert np.count_nonzero(flags) == 9
    photons, read, masters = (900 * 0.5 + 4) / 1.5, 16, 0.25
    expected = (photons + read + masters) / 0.25 + (900 * 0.002) ** 2
    assert np.median(sigma) == pytest.approx(expected**0.5, rel=0.02)


def test_what_was_not_made_is_told(tmp_path):
    task, raw = write_light(tmp_path)
    made = make_light(task, make_space(tmp_path), "abc", {"b.fits"})
    assert [one.code for one in made.remarks] == ["dark-lost", "flat-lost"]
    np.testing.assert_allclose(fits.getdata(tmp_path / "c.fits"), raw - 100.0)
    header = fits.getheader(tmp_path / "c.fits")
    assert header["CALSTAT"] == "B"
    assert "dark_scale" not in made.statistics
    assert "EXPTIME" not in header


def test_widths_are_in_arcseconds_where_the_scale_is_known(tmp_path):
    cards = {"PIXSCALE": 0.5, "AIRMASS": 1.25}
    task, _ = write_light(tmp_path, cards=cards)
    made = make_light(task, make_space(tmp_path), "abc", MADE)
    numbers = made.statistics
    assert numbers["fwhm_arcsec"] == pytest.approx(numbers["fwhm"] / 2)
    assert numbers["airmass"] == 1.25


def test_without_stars_nothing_is_told_of_their_width(tmp_path):
    task, _ = write_light(tmp_path, width=None, cards={"PIXSCALE": 0.5})
    made = make_light(task, make_space(tmp_path), "abc", MADE)
    assert made.statistics["stars"] == 0
    assert not {"fwhm", "fwhm_arcsec", "saturate"} & set(made.statistics)
    assert len(read_stars(tmp_path / "c.fits")) == 0


def test_stars_of_a_mosaic_are_told_in_its_own_pixels(tmp_path):
    task, _ = write_light(tmp_path, width=2.5)
    plain = make_light(task, make_space(tmp_path), "abc", MADE).statistics
    (tmp_path / "l.fit").unlink()
    task, _ = write_light(tmp_path, width=2.5, facts={"bayerpat": "RGGB"}, egain=1.0)
    mosaic = make_light(task, make_space(tmp_path), "abc", MADE).statistics
    assert mosaic["sky"] == pytest.approx(plain["sky"], rel=0.01)
    assert mosaic["sky_noise"] == pytest.approx(plain["sky_noise"], rel=0.15)
    assert mosaic["fwhm"] == pytest.approx(plain["fwhm"], rel=0.3)
    table = read_stars(tmp_path / "c.fits")
    assert table["x"].max() > SHAPE[1] / 2


def test_what_is_not_in_the_errors_is_told(tmp_path):
    task, _ = write_light(tmp_path, egain=1.5, rdnoise=6.0)
    space = make_space(tmp_path, planes=True)
    make_light(task, space, "abc", MADE)
    assert "NOTIN" not in fits.getheader(tmp_path / "c.fits", "UNCERT")
    make_light(task, space, "abc", {"b.fits"})
    assert fits.getheader(tmp_path / "c.fits", "UNCERT")["NOTIN"] == "dark, flat"
