"""Levels that cannot be, on frames drawn by hand; clean nights lose no frame."""

from zlib import crc32

import numpy as np
import pytest

from autoreduce.calibration.levels import Raw
from autoreduce.calibration.samples import sum_up
from autoreduce.calibration.screening import screen

BIAS, NOISE = 1000.0, 6.0


def raw(file, kind, level=BIAS, exptime=0.0, noise=NOISE, **more):
    """Make a frame of one level and noise from 32 rows that are drawn."""
    rng = np.random.default_rng(crc32(file.encode()))
    shape = more.pop("shape", np.zeros((32, 64)))
    rows = np.rint(level + shape + noise * rng.standard_normal((32, 64)))
    return Raw(file, kind, sum_up(rows.astype(np.uint16)), exptime, **more)


def bias_frames(n=3):
    return [raw(f"bias{i}", "bias") for i in range(n)]


def dark(name, exptime, rate=2.0, **more):
    level = BIAS + rate * exptime
    noise = np.sqrt(NOISE**2 + rate * exptime)
    return raw(name, "dark", level, exptime, noise, **more)


def test_a_dark_with_many_times_the_dark_current_of_others_is_lit():
    darks = [dark(f"d{t}", t, rate=20.0 if t == 100 else 1.0) for t in (50, 100, 300)]
    found = screen([[*bias_frames(), *darks]]).left_out
    assert list(found) == ["d100"]
    assert found["d100"].code == "lit-dark"
    assert found["d100"].found == pytest.approx(3000, rel=0.02)
    assert found["d100"].expected == pytest.approx(1100, rel=0.02)


@pytest.mark.parametrize(
    ("bias", "dark_level", "blamed"),
    [
        (600.0, 1030.0, "offset-bias"),
        (1300.0, 1030.0, "offset-bias"),
        (1000.0, 1430.0, "offset-dark"),
        (1000.0, 630.0, "below-bias"),
    ],
)
def test_lights_tell_whether_bias_or_darks_have_another_offset(
    bias, dark_level, blamed
):
    """Lights of 600 ADU of sky on 1000, at 1 electron/ADU, and two flats of 20000."""
    frames = [
        *(raw(f"b{i}", "bias", bias) for i in range(3)),
        *(
            raw(f"d{i}", "dark", dark_level, 60.0, np.hypot(6, 30**0.5))
            for i in range(3)
        ),
        *(raw(f"l{i}", "light", 1630.0, 60.0, np.hypot(6, 630**0.5)) for i in range(3)),
        *(raw(f"f{i}", "flat", 21000.0, 2.0, 20000**0.5) for i in range(2)),
    ]
    found = screen([frames]).left_out
    assert {doubt.code for doubt in found.values()} == {blamed}
    assert len(found) == 3


def test_of_two_exposures_nobody_can_tell_which_is_lit():
    darks = [dark("d50", 50, rate=1.0), dark("d100", 100, rate=20.0)]
    screened = screen([[*bias_frames(), *darks]], ["b0", "b1", "b2", "d50", "d100"])
    assert screened.left_out == {}
    (told,) = screened.counting.notes
    assert (told.code, told.subject) == ("unlike-rates", ("d100",))
    assert (told.found, told.expected) == ("20 ADU/s", "1 ADU/s")
    assert told.way_out == "--exclude 'd100'"


@pytest.mark.parametrize("rates", [(1.0, 1.5), (1.5, 1.0), (0.0, 0.4)])
def test_dark_currents_that_temperature_or_a_drift_explain_are_not_told(rates):
    darks = [dark(f"d{t}", t, rate=r) for t, r in zip((50, 100), rates, strict=True)]
    assert screen([[*bias_frames(), *darks]]).counting.notes == []


@pytest.mark.parametrize("others", [True, False])
def test_the_faulty_darks_are_found_though_they_are_the_majority(others):
    """As a set of 5 long darks of which 3 have no dark current in their lower part."""
    half = np.zeros((32, 64))
    half[16:] = -766.0
    long = [
        dark(f"d300_{i}", 300, rate=766 / 300, shape=half if i < 3 else 0 * half)
        for i in range(5)
    ]
    short = [dark(f"d100_{i}", 100, rate=766 / 300) for i in range(3)]
    frames = [*bias_frames(), *long, *(short if others else [])]
    found = screen([frames]).left_out
    assert sorted(found) == ["d300_0", "d300_1", "d300_2"]
    assert {doubt.code for doubt in found.values()} == {"half-dark"}
    assert found["d300_0"].found == 0.5
    assert found["d300_0"].expected == pytest.approx(766, rel=0.02)


def test_light_in_a_part_of_one_dark_does_not_condemn_its_fellows():
    lit = np.zeros((32, 64))
    lit[16:] = 800.0
    darks = [dark("lit", 60, shape=lit), *(dark(f"d{i}", 60) for i in range(3))]
    assert screen([[*bias_frames(), *darks]]).left_out == {}


def test_warm_darks_are_not_held_against_cold_lights():
    warm = [dark(f"d{i}", 60, rate=100.0, temperature=25.0) for i in range(3)]
    lights = [
        raw(f"l{i}", "light", 1400.0, 60.0, 20.0, temperature=-10.0) for i in range(3)
    ]
    assert screen([[*bias_frames(), *warm, *lights]]).left_out == {}
    cold = [dark(f"d{i}", 60, rate=100.0, temperature=-10.0) for i in range(3)]
    found = screen([[*bias_frames(), *cold, *lights]]).left_out
    assert {doubt.code for doubt in found.values()} == {"above-lights"}


def test_bias_levels_of_other_nights_are_not_mixed():
    old = [raw(f"old{i}", "bias", 1500.0, night="2024-03-01") for i in range(3)]
    new = [raw(f"new{i}", "bias", 1000.0, night="2024-03-02") for i in range(3)]
    darks = [dark(f"d{i}", 60, night="2024-03-02") for i in range(3)]
    lights = [
        raw(f"l{i}", "light", 1700.0, 60.0, 25.0, night="2024-03-02") for i in range(3)
    ]
    judged = screen([[*old, *new, *darks, *lights]])
    assert (judged.left_out, judged.counting.ways) == ({}, {})


def test_a_hundred_clean_nights_lose_no_frame():
    rng = np.random.default_rng(7)
    for n in range(300):
        level, read, rate = (
            rng.uniform(100, 3000),
            rng.uniform(1, 30),
            rng.uniform(0, 3),
        )
        drift, sky = level * rng.uniform(-0.04, 0.04), rng.uniform(0, 3000)
        frames = [raw(f"{n}b{i}", "bias", level, noise=read) for i in range(3)]
        for t in (10.0, 60.0, 300.0):
            noise = np.hypot(read, np.sqrt(rate * t))
            name = f"{n}d{t}"
            frames.append(raw(name, "dark", level + drift + rate * t, t, noise))
            up = level + drift + rate * t + sky
            noise = np.sqrt(read**2 + rate * t + sky)
            frames.append(raw(f"{n}l{t}", "light", up, t, noise))
        for some in (frames, [one for one in frames if one.exptime != 10.0]):
            screened = screen([some])
            assert (screened.left_out, screened.counting.notes) == ({}, []), n


def test_a_dark_above_those_of_a_longer_exposure_is_lit():
    lit = [raw(f"lit{i}", "dark", BIAS + 600.0, 2.0, 20.0) for i in range(5)]
    long = [dark(f"d{i}", 60) for i in range(3)]
    found = screen([[*bias_frames(), *lit, *long]]).left_out
    assert sorted(found) == [f"lit{i}" for i in range(5)]
    assert {doubt.code for doubt in found.values()} == {"lit-dark"}
    # Where the bias level of another night was another one, nothing is lit.
    other = [
        raw(f"{kind}{i}", kind, 1500.0, exptime, night="2024-03-02")
        for kind, exptime in (("bias", 0.0), ("dark", 2.0))
        for i in range(3)
    ]
    assert screen([[*bias_frames(), *other, *long]]).left_out == {}


@pytest.mark.parametrize("kind", ["light", "flat", "dark"])
def test_frames_without_data_in_rows_where_the_camera_has_some_are_left_out(kind):
    def frame(name, cut):
        whole = raw(name, kind, 3000.0, 60.0, 40.0)
        rows = np.rint(3000 + 40 * np.random.default_rng(3).standard_normal((32, 64)))
        rows[32 - cut :] = 0
        sample = sum_up(rows.astype(np.uint16))
        return Raw(whole.file, kind, sample, 60.0)

    several = [frame(f"{n}_{i}", n) for n in (0, 16, 24) for i in range(2)]
    found = screen([several]).left_out
    assert {file: (doubt.code, doubt.found) for file, doubt in found.items()} == {
        "16_0": ("cut-off", 0.5),
        "16_1": ("cut-off", 0.5),
        "24_0": ("cut-off", 0.75),
        "24_1": ("cut-off", 0.75),
    }
    # Rows that no frame of the camera has are no fault.
    assert screen([several[2:4]]).left_out == {}


def test_one_long_dark_that_was_not_exposed_condemns_no_shorter_ones():
    good = [raw(f"d{i}", "dark", BIAS, 60.0, 20.0) for i in range(20)]
    unexposed = raw("long", "dark", BIAS - 900.0, 300.0)
    assert screen([[*good, unexposed]]).left_out == {}


def test_rows_behind_a_mask_are_no_broken_download():
    def frame(name, kind, level, cut):
        noise = np.random.default_rng(3).standard_normal((32, 64))
        rows = np.clip(np.rint(level + 10 * noise), 0, None).astype(np.uint16)
        rows[32 - cut :] = 0
        return Raw(name, kind, sum_up(rows), 60.0)

    lights = [frame(f"l{i}", "light", 3000.0, 10) for i in range(5)]
    darks = [frame(f"d{i}", "dark", 0.0, 0) for i in range(5)]
    assert screen([[*lights, *darks]]).left_out == {}


def starry(n_stars, width=1.0):
    """Draw stars, one in each of some bands of 4 rows; hot pixels if they have no width."""
    y, x = np.mgrid[:32, :64]
    scene = np.zeros((32, 64))
    for n in range(n_stars):
        square = (x - 5 - 7 * n) ** 2 + (y - 1 - 4 * n) ** 2
        scene += 2000.0 * np.exp(-square / 2 / max(width, 0.01) ** 2)
    return scene


@pytest.mark.parametrize("level", [BIAS + 120.0, BIAS + 630.0])
@pytest.mark.parametrize("n_dark", [2, 9])
def test_darks_that_show_stars_are_lights_however_many_they_are(n_dark, level):
    """They were taken with an open telescope, or the type was not set back."""
    shown = [
        raw(f"open{n}", "dark", level, 60.0, 26.0, shape=starry(6)) for n in range(5)
    ]
    darks = [dark(f"d{n}", 60) for n in range(n_dark)]
    found = screen([[*bias_frames(), *darks, *shown]]).left_out
    assert found.keys() == {one.file for one in shown}
    assert {doubt.code for doubt in found.values()} == {"starry"}
    assert all(doubt.found > 4 * doubt.expected for doubt in found.values())


@pytest.mark.parametrize("few", [starry(8, width=0.0), starry(2)])
def test_hot_pixels_and_a_few_cosmic_rays_are_no_stars(few):
    darks = [raw(f"d{n}", "dark", BIAS + 120, 60.0, 12.0, shape=few) for n in range(3)]
    assert screen([[*bias_frames(), *darks]]).left_out == {}


def test_long_darks_have_more_cosmic_rays_and_are_left_alone():
    """Six on the 1000 pixels drawn: as many as a thick sensor has in some hours."""
    darks = [
        raw(f"d{n}", "dark", BIAS + 120, 6 * 3600.0, 12.0, shape=starry(6))
        for n in range(3)
    ]
    assert screen([[*bias_frames(), *darks]]).left_out == {}


def test_peaks_that_bias_frames_have_too_are_the_sensor_s():
    biases = [raw(f"b{n}", "bias", shape=starry(6)) for n in range(3)]
    darks = [raw(f"d{n}", "dark", BIAS + 120, 60.0, shape=starry(7)) for n in range(3)]
    assert screen([[*biases, *darks]]).left_out == {}


def test_darks_for_flats_that_are_called_flats_are_told_where_there_is_no_bias():
    closed = [dark(f"d{n}", 60) for n in range(3)]
    flats = [raw(f"f{n}", "flat", 21000.0, 2.0, 140.0) for n in range(3)]
    darks = [raw(f"fd{n}", "flat", BIAS + 4, 2.0) for n in range(3)]
    found = screen([[*closed, *flats, *darks]]).left_out
    assert found.keys() == {"fd0", "fd1", "fd2"}
    assert {doubt.code for doubt in found.values()} == {"closed-flat"}
    # With bias frames flats do without them; faint flats, and those of an exposure that
    # has no others, are left to their group.
    assert screen([[*bias_frames(), *flats, *darks]]).left_out == {}
    faint = [raw(f"faint{n}", "flat", BIAS + 400, 2.0, 20.0) for n in range(3)]
    assert screen([[*closed, *flats, *faint]]).left_out == {}
    assert screen([[*closed, *darks]]).left_out == {}


def test_faint_flats_below_long_darks_are_lit():
    """The darks of a warm camera have 12000 ADU; a flat of 4000 has the noise of light."""
    darks = [dark(f"d{n}", 600, rate=20) for n in range(3)]
    flats = [
        raw(f"f{n}", "flat", BIAS + light, 2.0, np.hypot(NOISE, light**0.5))
        for n, light in enumerate((59000, 58000, 57000, 4000, 4100, 9000))
    ]
    assert screen([[*darks, *flats]]).left_out == {}
    fading = [
        raw(f"s{n}", "flat", BIAS + light, 2.0, np.hypot(NOISE, light**0.5))
        for n, light in enumerate((30000, 15000, 8000, 1000, 250))
    ]
    assert screen([[*(dark(f"e{n}", 60) for n in range(3)), *fading]]).left_out == {}
