"""Master flats of nights with trails, hot pixels, colour filters and round fields."""

import tracemalloc
from importlib import resources

import numpy as np
import pytest
from astropy.io import fits
from simulated_groups import write_part
from small_night import BIAS, RATE, make_flat_field, write_frame
from small_products import make_space, write_product

from autoreduce.pixels.flags import Flag
from autoreduce.planning.plan import Action, Calibration, FrameInput, Task
from autoreduce.planning.use import DarkMethod
from autoreduce.prepare import Choices
from autoreduce.products import flats
from autoreduce.products.flats import make_flat
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits, Status
from autoreduce.tools.stats import image_statistics

SHAPE = (120, 160)


def reduce(night, *, recipe=()):
    """Reduce a night with the default recipe, a text in it replaced by another."""
    name = "default"
    if recipe:
        text, (old, new) = default_recipe(), recipe
        assert old in text
        path = night.with_name("mine.toml")
        path.write_text(text.replace(old, new), "utf-8")
        name = str(path)
    reduced = reduce_night(
        night,
        output=night.with_name("products"),
        choices=Choices(recipe=name),
        limits=Limits(planes=True),
        page=False,
    )
    (output,) = (o for o in reduced.report.outcomes if "masters/flat_" in o)
    return reduced, output, reduced.report.outcomes[output]


def default_recipe():
    folder = resources.files("autoreduce.planning") / "recipes"
    return (folder / "default.toml").read_text("utf-8")


def make_raw_flat(name, light, shape=SHAPE):
    """Make a raw flat of 2 s that holds some light in ADU, of an array or a number."""
    rng = np.random.default_rng(sum(name.encode()) * 1000 + len(name))
    signal = rng.poisson(np.broadcast_to(light, shape))
    raw = BIAS + 2 * RATE + signal + rng.normal(0, 4, shape)
    return np.clip(np.rint(raw), 0, 65535).astype(np.uint16)


def write_flats(night, lights, shape=SHAPE, **cards):
    """Write bias frames, flats with given light, and a light frame."""
    for n in range(3):
        pixels = make_raw_flat(f"bias{n}", 0, shape) - np.uint16(2 * RATE)
        write_frame(night, f"b{n}.fit", "bias", pixels=pixels, **cards)
    for n, light in enumerate(lights):
        pixels = make_raw_flat(f"flat{n}", light, shape)
        write_frame(night, f"f{n}.fit", "flat", 2.0, pixels=pixels, **cards)
    pixels = make_raw_flat("light", 0.02 * np.asarray(lights[0]), shape)
    write_frame(night, "l0.fit", "light", 60.0, pixels=pixels, **cards)
    return night


def planes_of(reduced, output):
    with fits.open(reduced.folder / output) as hdus:
        return [hdus[name].data.copy() for name in (0, "UNCERT", "MASK")]


def trailed(n_starry, n=5, reach=slice(20, 110)):
    """Give flats of which the first ones have a bright band, each of its own height."""
    lights = [np.full(SHAPE, 20000.0) for _ in range(n)]
    for i in range(n_starry):
        lights[i][reach] *= 1.2 + 0.1 * i
    return lights


def test_a_flat_that_stars_never_leave_is_refused_with_the_way_out(tmp_path):
    night = write_flats(tmp_path / "night", trailed(4, reach=slice(20, 36)))
    reduced, output, outcome = reduce(
        night, recipe=("max_unclean = 0.25", "max_unclean = 0.02")
    )
    assert outcome.status is Status.FAILED
    assert f"{output}: in " in outcome.reason
    assert "fewer than 2 of the 5 flats are free of stars or clouds" in outcome.reason
    assert "Take more flats" in outcome.reason
    assert "max_unclean" in outcome.reason
    light = reduced.report.outcomes["calibrated/l0.fit"]
    assert tuple(map(str, light.remarks)) == (
        f"not flat-fielded: {output} could not be made",
    )


def test_less_of_it_is_a_caveat(tmp_path):
    night = write_flats(tmp_path / "night", trailed(4, reach=slice(20, 36)))
    reduced, output, outcome = reduce(night)
    assert outcome.status is Status.DONE
    unclean = (planes_of(reduced, output)[2] & Flag.FEW_SAMPLES) > 0
    assert unclean.mean() == outcome.statistics["unclean"]
    assert fits.getheader(reduced.folder / output)["UNCLEAN"] == unclean.mean()
    assert unclean[22:34].mean() > 0.9
    assert not unclean[:10].any()
    assert not unclean[50:].any()
    assert any(
        "traces of them may be left" in text for text in map(str, outcome.remarks)
    )
    assert 0.05 < outcome.statistics["unclean"] < 0.25


def test_clean_flats_have_no_unclean_pixel_and_no_caveat(notes_night):
    for output, outcome in notes_night.reduced.report.outcomes.items():
        if "masters/flat_" in output:
            assert outcome.statistics["unclean"] < 1e-3
            assert outcome.statistics["hot"] == 0
            assert tuple(map(str, outcome.remarks)) == ()


@pytest.fixture(scope="module")
def hot_night(tmp_path_factory):
    """Flats of 10 s with hot pixels and without darks, and their truth."""

    def keep(row):
        flat = row["imagetyp"] == "flat" and row["filter"] == "Halpha"
        return flat or row["imagetyp"] == "bias"

    camera = [("hot_e_per_s = 1.0", "hot_e_per_s = 150.0")]
    return write_part(tmp_path_factory.mktemp("hot"), keep, camera=camera)


def flat_error(night, reduced, output, hot):
    """Compare a master flat with the truth: rms error of hot pixels and of others."""
    made = fits.getdata(reduced.folder / output).astype(float)
    truth = fits.getdata(night.with_name("night_truth") / "flat_Halpha.fits")
    ratio = made / truth / np.median(made / truth) - 1
    return np.sqrt(np.mean(ratio[hot] ** 2)), np.sqrt(np.mean(ratio[~hot] ** 2))


def test_hot_pixels_are_not_burnt_into_flats_without_darks(hot_night):
    rate = fits.getdata(hot_night.with_name("night_truth") / "dark_rate.fits")
    hot = rate * 10 / 28000 > 0.1
    assert hot.sum() > 50
    reduced, output, outcome = reduce(hot_night)
    repaired, others = flat_error(hot_night, reduced, output, hot)
    _, sigma, mask = planes_of(reduced, output)
    assert ((mask & Flag.REPAIRED) > 0).sum() == outcome.statistics["hot"] > 50
    assert ((mask & Flag.REPAIRED) > 0)[hot].all()
    # What is left is what pixels differ by, and UNCERT says so.
    assert repaired < 0.012
    assert 0.007 < np.median(sigma[hot]) < 0.012
    reduced, output, outcome = reduce(
        hot_night, recipe=("hot_sigma = 7.0", "hot_sigma = 0.0")
    )
    burnt, same = flat_error(hot_night, reduced, output, hot)
    assert outcome.statistics["hot"] == 0
    assert burnt > 20 * repaired
    assert others <= same


@pytest.mark.parametrize(("hot_dark", "expected"), [(True, 1), (False, 0)])
def test_with_a_dark_only_what_is_hot_in_it_is_repaired(tmp_path, hot_dark, expected):
    night = write_flats(tmp_path / "night", [star_free()] * 3)
    for n in range(3):
        dark = make_raw_flat(f"dark{n}", 0)
        dark[50, 60] += 900 * hot_dark
        write_frame(night, f"d{n}.fit", "dark", 2.0, pixels=dark)
    _, _, outcome = reduce(night)
    assert outcome.statistics["hot"] == expected


def star_free():
    """Give the light of a flat with one pixel that is brighter than its neighbours."""
    light = np.full(SHAPE, 20000.0)
    light[50, 60] *= 1.2
    return light


def test_a_round_field_has_unit_level_over_its_disc(tmp_path):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = np.hypot(x - 80, y - 60) < 40
    lights = [20000.0 * 0.95**i * disc for i in range(3)]
    night = write_flats(tmp_path / "night", lights)
    reduced, output, outcome = reduce(night)
    data, _, mask = planes_of(reduced, output)
    assert outcome.status is Status.DONE
    assert outcome.left_out == {}
    assert np.nanmedian(data[disc]) == pytest.approx(1, abs=1e-3)
    assert outcome.statistics["level"] == pytest.approx(19000, rel=0.01)
    np.testing.assert_array_equal((mask & Flag.NO_VALUE) > 0, ~disc)
    assert outcome.statistics["unclean"] < 1e-3
    assert outcome.statistics["masked"] < 0.05


CELL = np.array([[0.5, 1.0], [1.02, 0.7]])


def test_each_colour_of_a_mosaic_has_unit_level_though_the_sky_changes(tmp_path):
    field = make_flat_field(SHAPE)
    dusk = [np.array([[1 - d, 1.0], [1.0, 1 + d]]) for d in (-0.1, 0.0, 0.15)]
    lights = [20000 * field * np.tile(CELL * c, (60, 80)) for c in dusk]
    night = write_flats(tmp_path / "night", lights, BAYERPAT="RGGB")
    reduced, output, outcome = reduce(night)
    data, _, _ = planes_of(reduced, output)
    green = np.concatenate([data[::2, 1::2], data[1::2, ::2]])
    for colour in (data[::2, ::2], green, data[1::2, 1::2]):
        assert np.median(colour) == pytest.approx(1, abs=1e-3)
    # Pixels of one colour keep what they differ by.
    ratio = np.median(data[1::2, ::2]) / np.median(data[::2, 1::2])
    assert ratio == pytest.approx(1.02, abs=1e-3)
    levels = [outcome.statistics[f"level_{c}"] for c in "RGB"]
    middle = np.median(field)
    expected = [20000 * middle * v for v in (0.5, 1.01, 0.7)]
    assert levels == pytest.approx(expected, rel=0.01)
    assert outcome.statistics["masked"] < 1e-3
    assert tuple(map(str, outcome.remarks)) == ()


def test_calibrated_lights_keep_the_colour_balance_of_the_sensor(tmp_path):
    light = 20000 * make_flat_field(SHAPE) * np.tile(CELL, (60, 80))
    night = write_flats(tmp_path / "night", [light] * 3, BAYERPAT="RGGB")
    reduced, _, _ = reduce(night)
    made = fits.getdata(reduced.folder / "calibrated" / "l0.fit")
    levels = [np.median(made[y::2, x::2]) for y, x in ((0, 0), (0, 1), (1, 1))]
    assert levels[0] / levels[1] == pytest.approx(0.5, abs=0.05)
    assert levels[2] / levels[1] == pytest.approx(0.7, abs=0.05)


def test_a_mosaic_can_be_taken_as_one_colour(tmp_path):
    light = 20000 * np.tile(CELL, (60, 80))
    night = write_flats(tmp_path / "night", [light] * 3, BAYERPAT="RGGB")
    recipe = ("per_colour = true", "per_colour = false")
    reduced, output, outcome = reduce(night, recipe=recipe)
    data, _, _ = planes_of(reduced, output)
    ratio = np.median(data[::2, ::2]) / np.median(data[::2, 1::2])
    assert ratio == pytest.approx(0.5, abs=1e-3)
    assert "level_R" not in outcome.statistics


def test_a_pattern_that_begins_elsewhere_is_noticed(tmp_path):
    light = 20000 * np.roll(np.tile(CELL, (60, 80)), 1, axis=1)
    night = write_flats(tmp_path / "night", [light] * 3, BAYERPAT="RGGB")
    reduced, output, outcome = reduce(night)
    data, _, _ = planes_of(reduced, output)
    for y, x in np.ndindex(2, 2):
        assert np.median(data[y::2, x::2]) == pytest.approx(1, abs=1e-3)
    assert any("do not show the colours" in text for text in map(str, outcome.remarks))
    card = fits.getheader(reduced.folder / output)
    for name in ("R", "G1", "G2", "B"):
        assert card[f"LEVEL_{name}"] == outcome.statistics[f"level_{name}"]


def test_a_flat_shows_colours_that_no_card_of_its_light_tells(tmp_path):
    field = make_flat_field(SHAPE)
    for name, light in (("white", field), ("colours", field * np.tile(CELL, (60, 80)))):
        night = write_flats(tmp_path / name / "night", [20000 * light] * 3)
        reduced, _, _ = reduce(night)
        told = [one for one in reduced.remarks if one.code == "untold-colours"]
        assert [one.found for one in told] == ["RGGB or BGGR"] * (name == "colours")


def colours_of(path):
    """Take the median of each place of a mosaic: a 2 x 2 array."""
    data = fits.getdata(path)
    return np.array([[np.median(data[y::2, x::2]) for x in (0, 1)] for y in (0, 1)])


@pytest.mark.parametrize(
    ("cards", "letters"),
    [
        # The frame begins in the second column of RGGB; its first row reads G R.
        ({"XBAYROFF": 1}, "GRBG"),
        ({"YBAYROFF": 1}, "GBRG"),
        ({"BAYOFFX": 1, "BAYOFFY": "1"}, "BGGR"),
        ({"XBAYROFF": 2, "YBAYROFF": 4}, "RGGB"),
    ],
)
def test_a_mosaic_that_begins_within_its_pattern_is_understood(
    tmp_path, cards, letters
):
    # Light that the colours pass: R 0.5, G 1.0 (and 1.02 in the other row), B 0.7.
    passed = {"R": [0.5], "G": [1.0, 1.02], "B": [0.7]}
    cell = np.array([passed[c].pop(0) for c in letters]).reshape(2, 2)
    light = 20000 * np.tile(cell, (60, 80))
    night = write_flats(tmp_path / "night", [light] * 3, BAYERPAT="RGGB", **cards)
    reduced, output, outcome = reduce(night)
    assert tuple(map(str, outcome.remarks)) == ()
    levels = [outcome.statistics[f"level_{c}"] for c in "RGB"]
    assert levels == pytest.approx([10000, 20200, 14000], rel=0.01)
    # The two greens share a level, so that what they differ by stays.
    expected = np.array([[1.0 if c != "G" else 0 for c in letters]]).reshape(2, 2)
    greens = [1 / 1.01, 1.02 / 1.01]
    expected[expected == 0] = greens
    assert colours_of(reduced.folder / output) == pytest.approx(expected, abs=2e-3)
    header = fits.getheader(reduced.folder / "calibrated" / "l0.fit")
    assert header["BAYERPAT"] == letters
    assert (header["XBAYROFF"], header["YBAYROFF"]) == (0, 0)
    assert "BAYOFFX" not in header


def test_an_odd_trim_shifts_the_pattern_of_the_products(tmp_path):
    cell = np.array([[0.5, 1.0], [1.02, 0.7]])
    light = 20000 * np.tile(cell, (60, 80))
    cards = {"BAYERPAT": "RGGB", "TRIMSEC": "[2:159,4:119]"}  # column 1, row 3
    night = write_flats(tmp_path / "night", [light] * 3, **cards)
    reduced, output, outcome = reduce(night)
    assert tuple(map(str, outcome.remarks)) == ()
    # Trimmed, the mosaic reads B G / G R.
    expected = [[1.0, 1.02 / 1.01], [1 / 1.01, 1.0]]
    assert colours_of(reduced.folder / output) == pytest.approx(
        np.array(expected), abs=2e-3
    )
    made = reduced.folder / "calibrated" / "l0.fit"
    header = fits.getheader(made)
    assert header["BAYERPAT"] == "RGGB"
    assert (header["XBAYROFF"], header["YBAYROFF"]) == (1, 1)
    parts = image_statistics(str(made), ["median"], per_colour=True)
    levels = {part.colour: part.values["median"] for part in parts}
    assert [part.colour for part in parts] == ["B", "G1", "G2", "R"]
    assert levels["R"] / levels["G1"] == pytest.approx(0.5, abs=0.05)
    assert levels["B"] / levels["G1"] == pytest.approx(0.7, abs=0.05)


def test_a_simulated_mosaic_is_flat_fielded_within_its_noise(tmp_path):
    def keep(row):
        flat = row["imagetyp"] == "flat" and row["filter"] == "R"
        return flat or row["imagetyp"] == "bias"

    camera = [
        ("dust_rings = 14", "dust_rings = 14\nbayer = [0.5, 1.0, 1.0, 0.7]"),
        ("SET-TEMP = -20.0", 'SET-TEMP = -20.0\nBAYERPAT = "RGGB"'),
    ]
    night = write_part(tmp_path, keep, camera=camera)
    reduced, output, outcome = reduce(night)
    made, sigma, _ = planes_of(reduced, output)
    truth = fits.getdata(tmp_path / "night_truth" / "flat_R.fits")
    assert outcome.left_out == {}
    for y, x in np.ndindex(2, 2):
        real = truth[y::2, x::2] / np.median(truth[y::2, x::2])
        pulls = (made[y::2, x::2] - real) / sigma[y::2, x::2]
        low, high = np.percentile(pulls, [15.87, 84.13])
        assert (high - low) / 2 == pytest.approx(1, abs=0.15)
        assert abs(np.median(pulls)) < 0.3


@pytest.mark.parametrize("hot", [True, False])
def test_bands_do_not_change_a_flat(tmp_path, hot):
    """A pixel that is hot in the dark is repaired, whichever band it lies in."""
    rng = np.random.default_rng(2)
    shape = (96, 64)
    dark = np.full(shape, 10.0) + rng.normal(0, 1, shape)
    if hot:
        dark[[20, 70], 30] += 3000
    write_product(tmp_path / "d.fits", dark, sigma=1)
    plan = Calibration(dark="d.fits", dark_method=DarkMethod.EXACT, dark_scale=1.0)
    for n in range(3):
        raw = rng.poisson(20000, shape) + dark
        raw[[20, 70], 30] += 5000
        fits.writeto(tmp_path / f"{n}.fit", np.rint(raw).astype(np.uint16))
    frames = tuple(FrameInput(f"{n}.fit", plan, exptime=2.0) for n in range(3))
    task = Task("f.fits", Action.FLAT, "flat", {}, frames)
    made = []
    for memory in (1 << 24, 100_000):
        workspace = make_space(tmp_path, "[quality]\ncheck = false\n", memory=memory)
        told = make_flat(task, workspace, "abc", {"d.fits"})
        assert told.statistics["hot"] == (2 if hot else 0)
        made.append(fits.getdata(tmp_path / "f.fits"))
    np.testing.assert_array_equal(made[0], made[1])
    assert made[0][20, 30] == pytest.approx(1 if hot else 1.25, abs=0.03)


@pytest.mark.parametrize("level", ["mean", "median"])
def test_bands_share_the_memory_with_flats_that_stay_in_it(
    tmp_path, monkeypatch, level
):
    shape = (96, 64)
    for n in range(3):
        pixels = make_raw_flat(f"flat{n}", 20000, shape)
        fits.writeto(tmp_path / f"{n}.fit", pixels)
    frames = tuple(FrameInput(f"{n}.fit", exptime=2.0) for n in range(3))
    task = Task("f.fits", Action.FLAT, "flat", {}, frames)
    given = []

    def spied(ny, nx, n_frames, memory, **options):
        given.append(memory)
        return bands(ny, nx, n_frames, memory, **options)

    bands = flats.bands
    monkeypatch.setattr(flats, "bands", spied)
    recipe = f'[quality]\ncheck = false\n[flat]\nlevel = "{level}"\nilluminated = 0.0\n'
    memory = 60 * pixels.nbytes
    make_flat(task, make_space(tmp_path, recipe, memory=memory), "abc", set())
    assert max(given) == memory - 3 * pixels.nbytes


def test_errors_of_colour_flats_keep_to_the_memory_of_a_band(tmp_path, monkeypatch):
    n, shape = 20, (400, 1000)
    for i in range(n):
        fits.writeto(tmp_path / f"{i}.fit", make_raw_flat(f"flat{i}", 20000, shape))
    frames = tuple(FrameInput(f"{i}.fit", exptime=2.0) for i in range(n))
    task = Task("f.fits", Action.FLAT, "flat", {"bayerpat": "RGGB"}, frames)
    peaks = []

    def traced(stack, band):
        tracemalloc.start()
        try:
            return combined(stack, band)
        finally:
            taken = band.stack.nbytes + tracemalloc.get_traced_memory()[1]
            peaks.append(taken / band.stack[0].size)
            tracemalloc.stop()

    combined = flats._FlatStack.combined
    monkeypatch.setattr(flats._FlatStack, "combined", traced)
    # By its places, since nothing shows the pattern.
    recipe = "[quality]\ncheck = false\n"
    workspace = make_space(tmp_path, recipe, memory=1 << 28, planes=True)
    make_flat(task, workspace, "abc", set())
    assert 8 * n < max(peaks) < flats.BYTES_OF_SAMPLE * n + flats.BYTES_OF_PIXEL
