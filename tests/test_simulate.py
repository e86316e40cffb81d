"""Simulated nights: as listed, reproducible, and true to their truth."""

import csv
import hashlib
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from autoreduce.cli import cli
from autoreduce.cli.simulate import command
from autoreduce.errors import InputError, ProductError, SettingsError, TableError
from autoreduce.simulate import (
    listing_names,
    make_night,
    read_listing,
    simulate_night,
)
from autoreduce.simulate.detector import cosmic_rays, photon_noise, read_out
from autoreduce.simulate.listing import Detector, Stars, listing_folder
from autoreduce.simulate.sky import Catalogue, add_stars, add_trails, star_catalogue

SMALL = (166, 125)
GAIN = 0.37

LISTING = """\
# a short night
name,imagetyp,object,filter,exptime,ccd_temp,date_obs,fault,AIRMASS
b1.fit,bias,,,0,-10,2024-01-01T20:00:00,,
d1.fit,dark,,,60,-10,2024-01-01T20:01:00,warm=6,
l1.fit,light,M 1,R,60,-10,2024-01-01T21:00:00,,1.25
"""
CAMERA = """\
[detector]
size = [40, 30]
gain_e_per_adu = 1.0
read_noise_e = 5.0
full_well_e = 60000.0
set_temp_c = -10.0
bias_level_adu = 100.0
[filters]
R = { sky = 1.0 }
[objects."M 1"]
[keywords]
imagetyp = ["IMAGETYP"]
exptime = ["EXPTIME"]
[imagetyp]
bias = "Bias"
dark = "Dark"
light = "Light"
"""


def write_listing(folder, listing=LISTING, camera=CAMERA):
    path = folder / "short.csv"
    path.write_text(listing)
    path.with_suffix(".toml").write_text(camera)
    return path


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Simulate the night of the notes with its truth, small."""
    out = tmp_path_factory.mktemp("simulate") / "night"
    simulate_night("notes_2021", out, seed=5, size=SMALL, truth=True)
    return out


def night_of(notes):
    return make_night(read_listing("notes_2021"), seed=5, size=SMALL)


def truth_of(notes, name):
    return fits.getdata(notes.with_name("night_truth") / name)


def raw(notes, number):
    return fits.getdata(notes / f"20210227.{number:04d}.fit").astype(float)


def groups(frames):
    """Return the runs of like frames: (type, object, filter, exposure, how many)."""
    runs = []
    for frame in frames:
        key = (frame.imagetyp, frame.object, frame.filter, frame.exptime_s)
        if runs and runs[-1][:4] == key:
            runs[-1] = (*key, runs[-1][4] + 1)
        else:
            runs.append((*key, 1))
    return runs


def test_the_night_of_the_notes_has_its_107_frames_in_their_order():
    frames = read_listing("notes_2021").frames
    assert [f.name for f in frames] == [f"20210227.{n:04d}.fit" for n in range(1, 108)]
    assert [f.date_obs for f in frames] == sorted(f.date_obs for f in frames)
    exposures = {"OIII": 2, "SII": 5, "Halpha": 10}
    bands = ("OIII", "SII", "Halpha", "R", "G", "B", "Lum", "open")
    flats = [("flat", "twilight", b, exposures.get(b, 1), 5) for b in bands]
    assert groups(frames[:40]) == flats
    assert groups(frames[40:61]) == [
        ("bias", "", "", 0, 10),
        ("dark", "", "", 60, 6),
        ("dark", "", "", 120, 2),
        ("dark", "", "", 180, 3),
    ]
    cluster = [("light", "cluster", b, 60, 3) for b in ("Lum", "R", "G", "B")]
    assert groups(frames[61:73]) == cluster
    crab = [(b, 120 if b == "Lum" else 180) for b in ("Lum", "R", "G", "B")] * 3
    assert [(f.filter, f.exptime_s) for f in frames[73:85]] == crab
    assert {f.object for f in frames[73:89]} == {"Crab"}
    assert groups(frames[85:88]) == [("light", "Crab", "Halpha", 180, 3)]
    assert groups(frames[97:]) == [("bias", "", "", 0, 10)]
    assert [i + 1 for i, f in enumerate(frames) if f.faults] == [51]
    assert not {f.filter for f in frames[88:97]} & set(bands)
    assert {f.exptime_s for f in frames[89:97]} == {300}


@pytest.mark.parametrize("name", listing_names())
def test_every_listing_that_comes_along_can_be_simulated(name, tmp_path):
    written = simulate_night(name, tmp_path / "night", size=(96, 64), truth=True)
    assert len(written) == len(read_listing(name).frames)
    assert all(path.is_file() for path in written)


def test_listings_are_in_the_source_tree():
    assert listing_folder().name in ("nights", "listings")
    assert "notes_2021" in listing_names()


def test_the_wheel_takes_the_listings_along():
    project = tomllib.loads(
        (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    )
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    taken = wheel["force-include"]["sample_headers/nights"]
    assert taken == "autoreduce/simulate/listings"


def test_frames_are_unsigned_16_bit_with_the_cards_of_the_camera(notes):
    with fits.open(notes / "20210227.0074.fit") as hdus:
        assert hdus[0].data.dtype == np.uint16
        assert hdus[0].data.shape == SMALL[::-1]
        header = hdus[0].header
    assert header["BITPIX"] == 16
    assert header["BZERO"] == 32768
    expected = {
        "IMAGETYP": "Light Frame",
        "OBJECT": "Crab",
        "FILTER": "Lum",
        "EXPTIME": 120.0,
        "XBINNING": 2,
        "READOUTM": "Normal",
        "EGAIN": 0.37,
    }
    assert {key: header[key] for key in expected} == expected
    assert header["DATE-OBS"].startswith("2021-02-27T0")
    assert "OBJECT" not in fits.getheader(notes / "20210227.0041.fit")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(notes, tmp_path):
    simulate_night("notes_2021", tmp_path / "same", seed=5, size=SMALL)
    assert digests(tmp_path / "same") == digests(notes)
    simulate_night("notes_2021", tmp_path / "other", seed=6, size=SMALL)
    ours, others = digests(notes), digests(tmp_path / "other")
    assert not any(ours[name] == others[name] for name in ours)


def test_a_frame_does_not_depend_on_what_was_exposed_before(notes):
    night = night_of(notes)
    frames = night.listing.frames
    for index in (80, 3, 52):
        np.testing.assert_array_equal(
            night.expose(frames[index]).raw, raw(notes, index + 1)
        )


def test_mean_bias_is_the_true_bias_within_its_noise(notes):
    mean = np.mean([raw(notes, n) for n in [*range(41, 51), *range(98, 108)]], axis=0)
    noise = np.sqrt((8.0 / GAIN) ** 2 + 1 / 12) / np.sqrt(20)
    pull = (mean - truth_of(notes, "bias.fits")) / noise
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert np.std(pull) == pytest.approx(1.0, abs=0.02)


def test_darks_have_the_offset_and_the_rate_of_the_notes(notes):
    rate = truth_of(notes, "dark_rate.fits")
    with fits.open(notes.with_name("night_truth") / "dark_rate.fits") as hdus:
        offset = hdus[0].header["DARKOFF"]
    assert offset == pytest.approx(5.9)
    assert rate.mean() == pytest.approx(0.098, abs=0.004)
    hits = read_rows(notes.with_name("night_truth") / "cosmics.csv")
    for number in (52, 57, 59):
        name = f"20210227.{number:04d}.fit"
        seconds = read_listing("notes_2021").frames[number - 1].exptime_s
        counts = raw(notes, number) - truth_of(notes, "bias.fits") - offset
        photons = rate * seconds / GAIN  # their variance, ADU^2
        pull = (counts - rate * seconds) / np.sqrt((8.0 / GAIN) ** 2 + photons)
        for hit in hits:
            if hit["name"] == name:
                pull[int(hit["row"]), int(hit["column"])] = 0
        assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
        assert np.std(pull) == pytest.approx(1.0, abs=0.03)


def test_hot_pixels_stand_out_of_the_dark_current(notes):
    rate = truth_of(notes, "dark_rate.fits")
    hot = (rate > 5 * np.median(rate)).mean()
    assert 0.001 < hot < 0.002  # of 0.002, the faintest are hidden in the others


def test_lights_are_bias_plus_dark_plus_flat_times_scene(notes):
    seconds, offset = 180, 5.9
    flat, scene = (
        truth_of(notes, "flat_R.fits"),
        truth_of(notes, "scene_20210227.0075.fit"),
    )
    assert flat.mean() == pytest.approx(1.0, abs=1e-4)
    dark = truth_of(notes, "dark_rate.fits") * seconds
    expected = truth_of(notes, "bias.fits") + offset + dark + scene * flat
    variance = (8.0 / GAIN) ** 2 + (dark + scene * flat) / GAIN
    pull = (raw(notes, 75) - expected) / np.sqrt(variance)
    untouched = (np.abs(pull) < 6) & (expected < 50000)
    assert untouched.mean() > 0.995  # all but cosmic rays and saturated stars
    assert np.std(pull[untouched]) == pytest.approx(1.0, abs=0.02)
    assert abs(np.mean(pull[untouched])) < 0.03


def test_trails_move_between_the_flats_and_fade_with_the_filter(notes):
    trails = [truth_of(notes, f"trails_20210227.{n:04d}.fit") for n in range(36, 41)]
    bright = [trail > 0.5 * trail.max() for trail in trails]
    assert all(mask.any() for mask in bright)
    for one, other in pairwise(bright):
        assert (one & other).sum() < 0.5 * one.sum()
    narrow = truth_of(notes, "trails_20210227.0001.fit")
    assert narrow.max() < trails[0].max()


def test_the_twilight_fades(notes):
    levels = [np.median(raw(notes, n)) for n in range(11, 16)]
    assert levels == sorted(levels, reverse=True)
    listing = read_listing("notes_2021")
    seconds = (
        listing.frames[14].date_obs - listing.frames[10].date_obs
    ).total_seconds()
    fading = (levels[0] - 1017) / (levels[4] - 1017)
    assert fading == pytest.approx(np.exp(seconds / 450), rel=0.01)


def test_stars_are_the_same_in_every_light_of_a_target(notes):
    rows = {
        r["name"]: r for r in read_rows(notes.with_name("night_truth") / "truth.csv")
    }
    shifts, peaks = [], []
    for number in (65, 66, 67):
        name = f"20210227.{number:04d}.fit"
        scene = truth_of(notes, f"scene_{name}")
        y, x = np.unravel_index(np.argmax(scene), scene.shape)
        peaks.append((x, y))
        shifts.append((float(rows[name]["dx"]), float(rows[name]["dy"])))
    moved = np.array(peaks) - np.array(shifts)
    assert np.ptp(moved, axis=0).max() < 1.5
    assert np.ptp(np.array(shifts), axis=0).max() > 1


def test_the_odd_dark_is_brighter_than_its_companions(notes):
    levels = {n: np.median(raw(notes, n)) for n in range(51, 57)}
    odd = levels.pop(51)
    assert odd - max(levels.values()) > 8


def test_a_warmer_sensor_has_more_dark_current():
    night = make_night(read_listing("cmos_narrowband"), size=(96, 64))
    darks = [f for f in night.listing.frames if f.imagetyp == "dark"]
    assert darks[0].faults == {"warm": 6.0}
    cool = replace(darks[0], faults={})
    ratio = np.mean(night.expose(darks[0]).raw - 640.0) / np.mean(
        night.expose(cool).raw - 640.0
    )
    assert ratio == pytest.approx(2 ** (6 / 6.5), abs=0.1)
    colder = replace(cool, set_temp_c=-16.5)
    ratio = np.mean(night.expose(cool).raw - 640.0) / np.mean(
        night.expose(colder).raw - 640.0
    )
    assert ratio == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    ("fault", "number", "effect"),
    [
        ({"light_leak": 500.0}, 52, lambda ok, bad: (bad - ok)[:20, :20].mean() > 300),
        ({"level": 40.0}, 41, lambda ok, bad: abs((bad - ok).mean() - 40) < 1),
        ({"clouds": 0.5}, 62, lambda ok, bad: np.median(ok) - np.median(bad) > 300),
        ({"glare": 10.0}, 1, lambda ok, bad: (bad - ok > 40000).mean() > 0.9),
        ({"satellite": 900.0}, 86, lambda ok, bad: ((bad - ok) > 500).sum() > 150),
        ({"zero": 1.0}, 41, lambda ok, bad: ok.all() and not bad.any()),
    ],
)
def test_faults_do_what_they_say(notes, fault, number, effect):
    night = night_of(notes)
    frame = night.listing.frames[number - 1]
    bad = night.expose(replace(frame, faults=fault)).raw.astype(float)
    assert effect(night.expose(frame).raw.astype(float), bad)


def test_an_eclipse_takes_light_from_the_brightest_star_alone():
    night = make_night(read_listing("transit"), seed=2)
    frame = next(f for f in night.listing.frames if f.name == "light_036.fit")
    bare = replace(frame, faults={})
    full = night.expose(bare)
    lost = full.scene_e - night.expose(replace(bare, faults={"eclipse": 0.2})).scene_e
    stars = night.cameras[""].targets["WX-9"][0]
    assert lost.sum() == pytest.approx(0.2 * stars.rate_e_per_s.max() * 60, rel=0.01)
    brightest = np.argmax(stars.rate_e_per_s)
    y, x = np.unravel_index(lost.argmax(), lost.shape)
    assert x == pytest.approx(stars.x[brightest] + full.shift[0], abs=0.6)
    assert y == pytest.approx(stars.y[brightest] + full.shift[1], abs=0.6)


def test_setups_have_their_own_size_and_overscan(tmp_path):
    out = tmp_path / "two"
    simulate_night("two_binnings", out, size=(400, 300), truth=True)
    with fits.open(out / "Light_037.fits") as hdus:
        fine, header = hdus[0].data.astype(float), hdus[0].header
    assert fine.shape == (300, 432)
    assert (header["XBINNING"], header["GAIN"]) == (1, 120)
    assert header["BIASSEC"] == "[401:432,1:300]"
    assert header["TRIMSEC"] == "[1:400,1:300]"
    assert fine[:, :400].mean() - fine[:, 400:].mean() > 100
    fast = fits.getheader(out / "Light_038.fits")
    assert (fast["NAXIS1"], fast["NAXIS2"]) == (216, 150)
    assert fits.getdata(out.with_name("two_truth") / "flat_V_fast.fits").shape == (
        150,
        200,
    )


@pytest.mark.parametrize("size", [(400, 300), (500, 333), (106, 79)])
def test_setups_look_at_the_same_stars(size):
    night = make_night(read_listing("two_binnings"), size=size)
    fine, fast = (night.cameras[setup] for setup in ("fine", "fast"))
    ratio = np.divide(fine.shape, fast.shape)
    (fine, _), (fast, _) = (one.targets["M 15"] for one in (fine, fast))
    np.testing.assert_allclose(fast.rate_e_per_s, fine.rate_e_per_s)
    # the lower left quarter of a binned pixel is the first unbinned one
    np.testing.assert_allclose(ratio[1] * (fast.x + 0.5) - 0.5, fine.x)
    np.testing.assert_allclose(ratio[0] * (fast.y + 0.5) - 0.5, fine.y)


def test_the_level_of_a_drifting_bias_is_seen_in_the_overscan(tmp_path):
    simulate_night("two_binnings", tmp_path / "two", size=(400, 300), truth=True)
    truth = tmp_path / "two_truth"
    bias = fits.getdata(truth / "bias_fine.fits")
    for row in read_rows(truth / "truth.csv"):
        if row["imagetyp"] == "bias" and row["setup"] == "fine":
            frame = fits.getdata(tmp_path / "two" / row["name"]).astype(float)
            level = (frame - bias)[:, 400:].mean()
            assert level == pytest.approx(float(row["level_adu"]), abs=0.3)


def test_photon_noise_is_poisson_at_any_level():
    rng = np.random.default_rng(1)
    for mean in (0.5, 30.0, 5000.0):
        drawn = photon_noise(np.full((200, 200), mean, np.float32), rng)
        assert drawn.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean) / 200)
        assert drawn.var() == pytest.approx(mean, rel=0.03)


def test_reading_out_clips_at_full_well_and_at_16_bits():
    detector = make_detector(full_well_e=5000.0, gain_e_per_adu=2.0, read_noise_e=0.01)
    electrons = np.array([[0.0, 100.0, 9000.0]], np.float32)
    bias = np.full((1, 3), 10.0, np.float32)
    rng = np.random.default_rng(1)
    frame = read_out(detector, electrons.copy(), bias, 0.0, rng)
    np.testing.assert_array_equal(frame, [[10, 60, 2510]])
    frame = read_out(detector, electrons.copy(), bias, 65000.0, rng)
    np.testing.assert_array_equal(frame, [[65010, 65060, 65535]])
    frame = read_out(detector, electrons.copy(), bias, -100.0, rng)
    np.testing.assert_array_equal(frame, [[0, 0, 2410]])


def make_detector(**changes):
    base = Detector(
        size=(10, 10),
        gain_e_per_adu=1.0,
        read_noise_e=5.0,
        full_well_e=5e4,
        set_temp_c=-10.0,
        bias_level_adu=100.0,
    )
    return replace(base, **changes)


def test_cosmic_rays_come_at_their_rate_and_stay_inside():
    detector = make_detector(cosmics_per_mpix_s=1.0)
    rows, columns, charge = cosmic_rays(
        detector, (1000, 500), 600.0, np.random.default_rng(1)
    )
    assert 250 < len(rows) < 2500  # 300 of them, some pixels each
    assert rows.max() < 1000
    assert columns.max() < 500
    assert (charge > 0).all()


def one_star(x, y, rate=1000.0):
    return Catalogue(np.array([x]), np.array([y]), np.array([rate]))


def test_a_star_has_its_flux_its_place_and_its_width():
    image = np.zeros((101, 121), np.float32)
    add_stars(image, one_star(60.25, 40.0), 100.0, 4.0, shift=(0.0, 10.0))
    y, x = np.indices(image.shape)
    assert image.sum() == pytest.approx(1e5, rel=0.01)
    assert (x * image).sum() / image.sum() == pytest.approx(60.25, abs=0.01)
    assert (y * image).sum() / image.sum() == pytest.approx(50.0, abs=0.01)
    half = image[50] > image.max() / 2
    assert half.sum() in (3, 4, 5)


def test_a_trail_has_the_flux_of_its_star_and_the_length_of_its_motion():
    image = np.zeros((80, 200), np.float32)
    # 200 columns and half of 80 rows left and below of the image begins the catalogue
    add_trails(image, one_star(200 + 50, 40 + 30, 10.0), 20.0, 4.0, (0, 0), (60, 8))
    assert image.sum() == pytest.approx(200.0, rel=1e-3)
    y, x = np.indices(image.shape)
    assert (x * image).sum() / image.sum() == pytest.approx(80.0, abs=0.05)
    assert (y * image).sum() / image.sum() == pytest.approx(34.0, abs=0.05)
    assert (image.max(axis=0) > image.max() / 2).sum() == pytest.approx(60, abs=2)


def test_catalogues_hold_as_many_stars_as_asked_within_their_rates():
    stars = Stars(stars_per_mpix=500.0, faintest_e_per_s=10.0, brightest_e_per_s=1e4)
    drawn = star_catalogue(stars, (1000, 2000), np.random.default_rng(1))
    assert len(drawn.x) == 1000
    assert drawn.rate_e_per_s.min() >= 10
    assert drawn.rate_e_per_s.max() <= 1e4
    assert (np.diff(drawn.rate_e_per_s) <= 0).all()


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_listing_of_ones_own_can_be_simulated(tmp_path):
    written = simulate_night(write_listing(tmp_path), tmp_path / "out")
    assert [path.name for path in written] == ["b1.fit", "d1.fit", "l1.fit"]
    header = fits.getheader(written[2])
    assert header["AIRMASS"] == 1.25
    assert header["IMAGETYP"] == "Light"
    assert fits.getdata(written[0]).shape == (30, 40)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("b1.fit,bias", "b1.fit,zero", TableError, "imagetyp is 'zero'; there are"),
        ("d1.fit,dark", "b1.fit,dark", TableError, "lists b1.fit twice"),
        ("d1.fit", "../d1.fit", TableError, "must be a plain file name"),
        ("warm=6", "frozen=6", TableError, "there is no fault 'frozen'"),
        (",60,-10,2024-01-01T20:01:00", ",x,-10,2024-01-01T20:01:00", TableError, "d1"),
        ("exptime", "seconds", TableError, "has no column exptime"),
        ("AIRMASS", "air mass", TableError, "column 'air mass' is neither one of"),
        (",,1.25", ",,1.25,7", TableError, "more values than there are columns"),
        ("M 1,R", "M 2,R", SettingsError, r"needs 'M 2' in table \[objects\]"),
        ("M 1,R", "M 1,B", SettingsError, r"needs 'B' in table \[filters\]"),
    ],
)
def test_a_wrong_listing_is_refused_with_its_reason(tmp_path, old, new, error, message):
    path = write_listing(tmp_path, listing=LISTING.replace(old, new, 1))
    with pytest.raises(error, match=message):
        simulate_night(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "gain_e_per_adu = 1.0",
            "",
            "detector.gain_e_per_adu: is needed and not there",
        ),
        ("gain_e_per_adu", "gains", "line 3: detector.gains: unknown key"),
        ("[filters]", "[filter]", "filter: unknown key"),
        ("size = [40, 30]", "size = [40, 30", "not valid TOML"),
        ('["EXPTIME"]', '["EXPOSURETIME"]', "EXPOSURETIME = '' cannot be a card"),
        ('bias = "Bias"', "", r"needs 'bias' in table \[imagetyp\]"),
    ],
)
def test_a_wrong_camera_is_refused_with_its_reason(tmp_path, old, new, message):
    path = write_listing(tmp_path, camera=CAMERA.replace(old, new, 1))
    with pytest.raises(SettingsError, match=message):
        read_listing(path)


def test_a_listing_without_camera_or_without_rows_is_refused(tmp_path):
    path = write_listing(tmp_path)
    path.with_suffix(".toml").unlink()
    with pytest.raises(SettingsError, match=r"needs a file short\.toml beside it"):
        read_listing(path)
    header = LISTING.splitlines()[1] + "\n"
    with pytest.raises(TableError, match="lists no frames"):
        read_listing(write_listing(tmp_path, listing=header))
    with pytest.raises(TableError, match="there is no listing nowhere"):
        read_listing("nowhere")


def test_a_folder_with_files_is_not_written_to(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    path = write_listing(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        simulate_night(path, out)
    with pytest.raises(InputError, match=r"holds mine\.txt, which is not of this"):
        simulate_night(path, out, overwrite=True)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="is a file"):
        simulate_night(path, out / "mine.txt")


def test_a_frame_of_a_camera_is_never_replaced(tmp_path):
    path, out = write_listing(tmp_path), tmp_path / "out"
    simulate_night(path, out, truth=True)
    raw = fits.PrimaryHDU(np.ones((30, 40), np.uint16))
    raw.writeto(out / "d1.fit", overwrite=True)
    with pytest.raises(InputError, match=r"out holds d1\.fit, which does not say that"):
        simulate_night(path, out, overwrite=True)
    assert (fits.getdata(out / "d1.fit") == 1).all()
    (out / "d1.fit").unlink()
    raw.writeto(tmp_path / "out_truth" / "flat_R.fits", overwrite=True)
    with pytest.raises(InputError, match=r"out_truth holds flat_R\.fits"):
        simulate_night(path, out, truth=True, overwrite=True)


def test_the_demonstration_takes_no_folder_with_frames_of_a_camera(tmp_path):
    frame = tmp_path / "demo" / "night" / "20210227.0001.fit"
    frame.parent.mkdir(parents=True)
    fits.writeto(frame, np.ones((30, 40), np.uint16))
    result = CliRunner().invoke(cli, ["demo", str(tmp_path / "demo")])
    assert result.exit_code == 1
    assert "does not say that it was simulated" in result.output
    assert (fits.getdata(frame) == 1).all()


def test_a_simulated_night_can_be_replaced(tmp_path):
    path, out = write_listing(tmp_path), tmp_path / "out"
    simulate_night(path, out, seed=1, truth=True)
    before = digests(out)
    simulate_night(path, out, seed=2, truth=True, overwrite=True)
    after = digests(out)
    assert before.keys() == after.keys()
    assert before != after


def test_a_night_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch):
    path = write_listing(tmp_path)

    def full_disk(*arguments):
        msg = "no space left on device"
        raise OSError(msg)

    monkeypatch.setattr("autoreduce.simulate.night._write_fits", full_disk)
    with pytest.raises(ProductError, match="no space left"):
        simulate_night(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["short.csv", "short.toml"]


def test_the_command_writes_a_night(tmp_path):
    out = tmp_path / "night"
    options = ["--size", "96x64", "--seed", "2", "--truth"]
    result = CliRunner().invoke(command, ["two_binnings", str(out), *options])
    assert result.exit_code == 0
    assert result.output == f"45 frames written to {out}\n"
    assert len(list(out.iterdir())) == 45
    assert (tmp_path / "night_truth" / "truth.csv").is_file()


def test_the_command_lists_the_nights_and_wants_both_arguments():
    result = CliRunner().invoke(command, ["--list"])
    assert result.output.split() == listing_names()
    result = CliRunner().invoke(command, ["two_binnings"])
    assert result.exit_code == 2
    assert "give a listing and a folder" in result.output


@pytest.mark.parametrize("size", ["100", "100x", "axb", "8x8"])
def test_the_command_refuses_a_size_that_is_none(tmp_path, size):
    arguments = ["two_binnings", str(tmp_path / "x"), "--size", size]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert not (tmp_path / "x").exists()


def test_a_colour_camera_sees_each_colour_with_its_own_pixels(tmp_path):
    """Panel and sky of R, G and B are as the listing says, whatever the place."""
    from autoreduce.pixels.bayer import mosaic

    listing = read_listing("osc_dithered")
    night = make_night(listing, size=(96, 64))
    of = mosaic("GRBG")
    flat = next(frame for frame in listing.frames if frame.imagetyp == "flat")
    light = next(frame for frame in listing.frames if frame.imagetyp == "light")
    for frame, number in ((flat, "twilight"), (light, "sky")):
        scene = night.expose(frame).scene_e
        for index, name in enumerate(of.colours):
            level = getattr(listing.filters[name], number) * frame.exptime_s
            for part in of.of_colour(scene, index):
                assert np.percentile(part, 10) == pytest.approx(level, rel=0.05)


def test_a_flip_turns_stars_and_nebula_about_the_centre():
    listing = read_listing("osc_dithered")
    detector = replace(listing.detectors[""], pointing_pixels=0.0, mosaic="")
    listing = replace(listing, detectors={"": detector})
    night = make_night(listing, size=(96, 64))
    light = next(frame for frame in listing.frames if frame.imagetyp == "light")
    plain, turned = (
        night.expose(replace(light, filter="G", rotation_deg=angle)).scene_e
        for angle in (0.0, 180.0)
    )
    np.testing.assert_allclose(turned, plain[::-1, ::-1], rtol=1e-3)


def test_red_stars_are_bright_in_red():
    listing = read_listing("osc_dithered")
    stars = make_night(listing, size=(96, 64)).cameras[""].targets["M 27"][0]
    assert np.std(stars.colour) == pytest.approx(0.7, rel=0.5)
    ratio = (
        stars.through(listing.filters["R"]).rate_e_per_s
        / stars.through(listing.filters["B"]).rate_e_per_s
    )
    np.testing.assert_allclose(
        ratio, 0.22 / 0.24 * 10 ** (0.4 * 1.1 * stars.colour), rtol=1e-9
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    with pytest.raises(
        ProductError, match=f"folder {out} cannot be written: Not a dir"
    ):
        simulate_night(write_listing(tmp_path), out)
