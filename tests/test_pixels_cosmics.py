"""Cosmic rays in single lights, against truth: found, and stars left alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage
from small_night import make_pixels, write_frame
from stack_fields import draw_field, paint
from tool_files import command

from autoreduce.errors import SettingsError
from autoreduce.pixels.flags import Flag
from autoreduce.pixels.stars import find_stars
from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits
from autoreduce.simulate.detector import cosmic_rays

pytest.importorskip("astroscrappy")

from autoreduce.pixels.cosmics import find_cosmics

SHAPE = (512, 512)
GAIN, READ_NOISE, SKY, FULL = 1.5, 8.0, 400.0, 40000.0


def scene(fwhm, seed):
    """Draw a light of 100 stars, and the charge that cosmic rays leave, electrons."""
    rng = np.random.default_rng(seed)
    light = np.zeros(SHAPE)
    x, y, flux = draw_field(100, SHAPE, rng, flux=(1e3, 6e5))
    paint(light, x, y, flux, fwhm)
    rate = SimpleNamespace(cosmics_per_mpix_s=1.0)
    row, column, charge = cosmic_rays(rate, SHAPE, 240.0, rng)
    hit = np.zeros(SHAPE)
    np.add.at(hit, (row, column), charge)
    electrons = rng.poisson((light + SKY) * GAIN) + hit
    data = (electrons + rng.normal(0, READ_NOISE, SHAPE)) / GAIN
    return np.minimum(data, FULL).astype(np.float32), hit, light


@pytest.mark.parametrize("gain", [GAIN, None])
@pytest.mark.parametrize("fwhm", [1.8, 2.5, 3.5, 5.0])
def test_rays_are_found_and_star_cores_are_not(fwhm, gain):
    data, hit, light = scene(fwhm, 1)
    stars = find_stars(data, saturate=FULL, gain=gain)
    found = find_cosmics(data, stars, gain=gain, saturate=FULL)
    marked = np.zeros(SHAPE, bool)
    marked[found.y, found.x] = True
    noise = np.sqrt((light + SKY) * GAIN + READ_NOISE**2)
    strong = hit > 8 * noise
    assert strong.sum() > 150
    assert marked[strong].mean() > 0.98
    near = ndimage.binary_dilation(hit > 0, np.ones((3, 3)))
    # 20 a megapixel.
    assert (marked & ~near).sum() <= 5
    # What is put there is what shines there.
    dark = strong & (light < 10)
    values = np.full(SHAPE, np.nan)
    values[found.y, found.x] = found.value
    assert np.nanmedian(values[dark]) == pytest.approx(SKY, abs=8)


def test_missing_pixels_are_no_rays_and_bands_hold_their_own():
    data, _, _ = scene(2.5, 2)
    stars = find_stars(data, saturate=FULL, gain=GAIN)
    data[100, 100:110] = np.nan
    found = find_cosmics(data, stars, gain=GAIN, saturate=FULL)
    assert np.isfinite(found.value).all()
    parts = [found.within(start, start + 128) for start in range(0, 512, 128)]
    assert sum(len(part.y) for part in parts) == len(found.y)
    assert all((part.y >= 0).all() and (part.y < 128).all() for part in parts)


def test_without_a_sky_nothing_is_found():
    flat = np.full(SHAPE, 100.0, np.float32)
    stars = find_stars(flat, saturate=None)
    assert len(find_cosmics(flat, stars, gain=None, saturate=None).y) == 0


# ------------------------------------------------------------------ a night

HIT = (60, 90)


def write_night(folder):
    rng = np.random.default_rng(4)
    shape = (96, 128)
    groups = (("bias", 0.0, 3), ("dark", 60.0, 3), ("flat", 0.0, 3), ("light", 60.0, 2))
    for kind, exptime, number in groups:
        for i in range(number):
            pixels = make_pixels(kind, exptime, rng, shape)
            if kind == "light":
                pixels[HIT] += 5000
            write_frame(folder, f"{kind}{i}.fit", kind, exptime, pixels=pixels)
    return folder


def test_a_night_with_cosmics(tmp_path):
    night = write_night(tmp_path / "night")
    plain = reduce_night(night, output=tmp_path / "plain", page=False)
    limits, choices = Limits(planes=True, jobs=1), Choices(cosmics=True)
    done = reduce_night(
        night, output=tmp_path / "out", limits=limits, choices=choices, page=False
    )
    before = fits.getdata(plain.folder / "calibrated/light0.fit")
    with fits.open(done.folder / "calibrated/light0.fit") as hdus:
        data, flags, header = hdus[0].data, hdus["MASK"].data, hdus[0].header
    assert before[HIT] > 5000
    around = before[HIT[0] - 2 : HIT[0] + 3, HIT[1] - 2 : HIT[1] + 3]
    assert data[HIT] == pytest.approx(np.median(around), abs=150)
    assert flags[HIT] == Flag.COSMIC_RAY | Flag.REPAIRED
    assert header["NCOSMIC"] == np.count_nonzero(flags & Flag.COSMIC_RAY) < 20
    same = (flags & Flag.COSMIC_RAY) == 0
    np.testing.assert_array_equal(data[same], before[same])
    assert "NCOSMIC" not in fits.getheader(plain.folder / "calibrated/light0.fit")
    (cost,) = (one for one in done.report.plan.notes if one.code == "cosmics-cost")
    assert str(cost) == "looking for cosmic rays in 2 lights takes about 0 s of a core"


def test_the_cost_is_told_before_anything_is_done(tmp_path):
    night = write_night(tmp_path / "night")
    words = "looking for cosmic rays in 2 lights takes about 0 s of a core"
    options = "--cosmics", "--no-report", "-o"
    assert command(night, *options, tmp_path / "out").startswith(words)
    assert words not in command(night, "-q", *options, tmp_path / "quiet")


def test_without_astroscrappy_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("autoreduce.prepare.find_spec", lambda _: None)
    night = write_night(tmp_path / "night")
    with pytest.raises(SettingsError, match=r"pip install 'autoreduce-ccd\[cosmics\]'"):
        prepare_night([night], Choices(cosmics=True))
    assert prepare_night([night]).plan.tasks


def test_mosaics_are_told(tmp_path):
    night = write_night(tmp_path / "night")
    choices = Choices(cosmics=True, settings=["light*: bayerpat=RGGB"])
    notes = {one.code for one in prepare_night([night], choices).plan.notes}
    assert "no-cosmics" in notes
    assert "cosmics-cost" not in notes
