"""Lights that stacks do without: found by what was measured, and never clean ones."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from simulated_groups import write_part

from autoreduce.calibration.quality import unusable_lights
from autoreduce.errors import SettingsError
from autoreduce.frames.overrides import read_frames_csv
from autoreduce.pixels.stars import find_stars
from autoreduce.planning.recipe import QualityRecipe, parse_recipe
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits, Status
from autoreduce.simulate import make_night, read_listing

LIMITS = QualityRecipe()
LIGHT = {
    "sky": 250.0,
    "sky_noise": 12.0,
    "stars": 120.0,
    "star_flux": 5e4,
    "fwhm": 3.0,
    "elongation": 1.1,
}


def lights_with(n=5, **changes):
    """Give n equal lights, the second of which is changed."""
    lights = [dict(LIGHT) for _ in range(n)]
    lights[1] |= changes
    return lights


@pytest.mark.parametrize("n", [3, 5, 20])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"elongation": 2.5},
            (
                "trailed: sources 2.5 times as long as wide, 1.1 times in the "
                "stack's median light"
            ),
        ),
        (
            {"fwhm": 8.5},
            ("out of focus: stars 8.5 pixels wide, 3.0 in the stack's median light"),
        ),
        (
            {"star_flux": 4e3},
            (
                "clouded out: bright stars have 8.0% of the flux that they have in the "
                "stack's median light"
            ),
        ),
        (
            {"stars": 20.0},
            "clouded out or not guided: stars seen: 20, 120 in the stack's median light",
        ),
        ({"sky": 2600.0}, "lit: sky 2600 ADU, 250 in the stack's median light"),
    ],
)
def test_an_unusable_light_is_found_with_the_number_that_decided(n, changes, reason):
    found = unusable_lights(lights_with(n, **changes), LIMITS)
    assert {i: str(why) for i, why in found.items()} == {1: reason}


@pytest.mark.parametrize(
    "changes",
    [
        {"elongation": 2.1},
        {"fwhm": 7.4},
        {"star_flux": 6e3},
        {"stars": 25.0},
        {"sky": 2400.0},
        {"sky": 10.0, "stars": 4000.0, "fwhm": 0.5, "elongation": 1.0},
    ],
)
def test_what_is_worse_but_usable_is_kept(changes):
    assert unusable_lights(lights_with(**changes), LIMITS) == {}


@pytest.mark.parametrize("n", [1, 2])
def test_of_one_light_or_two_none_is_blamed(n):
    lights = [dict(LIGHT), LIGHT | {"sky": 1e5, "elongation": 9.0}][:n]
    assert unusable_lights(lights, LIMITS) == {}


def test_what_was_not_measured_decides_nothing():
    lights = lights_with()
    for name in ("fwhm", "elongation", "star_flux", "stars", "sky"):
        del lights[1][name]
    assert unusable_lights(lights, LIMITS) == {}
    assert unusable_lights([{}] * 4, LIMITS) == {}


def test_a_few_stars_tell_nothing_of_clouds():
    lights = [LIGHT | {"stars": n, "star_flux": np.nan} for n in (8.0, 9.0, 1.0, 7.0)]
    assert unusable_lights(lights, LIMITS) == {}


def test_a_few_stars_tell_nothing_of_the_focus():
    lights = [LIGHT | {"stars": 4.0, "fwhm": f} for f in (3.0, 3.2, 35.0, 2.8)]
    assert unusable_lights(lights, LIMITS) == {}


def test_a_dark_sky_may_vary():
    lights = [LIGHT | {"sky": s} for s in (2.0, -1.0, 60.0, 3.0)]
    assert unusable_lights(lights, LIMITS) == {}


def test_never_half_of_the_lights_are_left_out():
    lights = [LIGHT | {"elongation": e} for e in (1.0, 1.1, 4.0, 4.0)]
    assert unusable_lights(lights, LIMITS) == {}


DARK = {"sky": 0.4, "sky_noise": 8.0, "stars": 0.0, "elongation": 1.0}
STARLESS = {"sky": 250.0, "sky_noise": 12.0, "stars": 1.0}


@pytest.mark.parametrize(
    ("lights", "unlit"),
    [
        ([LIGHT, DARK], [1]),
        ([DARK, LIGHT, DARK, LIGHT], [0, 2]),
        ([STARLESS, DARK, STARLESS], [1]),
        ([LIGHT, LIGHT, DARK | {"sky": -3.0}, LIGHT], [2]),
        # Hot pixels beside many stars; as many stars as the others have.
        ([LIGHT, LIGHT, DARK | {"stars": 2.0}, LIGHT], [2]),
        ([LIGHT, DARK | {"stars": 2.0}], [1]),
        ([LIGHT | {"stars": 4.0}, DARK | {"stars": 4.0}, LIGHT | {"stars": 4.0}], []),
        # Too little sky to tell; a planet that outshines it; which ones are right?
        ([LIGHT | {"sky": 35.0}, DARK, LIGHT | {"sky": 35.0}], []),
        ([LIGHT | {"sky": 35.0}, LIGHT | {"sky": 1.0}, LIGHT], []),
        ([STARLESS, DARK], []),
        ([LIGHT, DARK, DARK], []),
        ([DARK, DARK, DARK], []),
        ([DARK, {}], []),
    ],
)
def test_lights_without_light_are_told_from_those_with_a_sky(lights, unlit):
    found = unusable_lights(lights, LIMITS)
    assert sorted(i for i, why in found.items() if why.code == "no-light") == unlit
    assert {why.expected for why in found.values() if why.code == "no-light"} <= {"250"}


def test_lights_behind_a_cap_hide_no_other_that_is_odd():
    lights = [LIGHT, DARK, LIGHT, LIGHT | {"elongation": 2.5}, DARK, LIGHT]
    found = {i: why.code for i, why in unusable_lights(lights, LIMITS).items()}
    assert found == {1: "no-light", 3: "trailed", 4: "no-light"}


def test_two_hundred_clean_stacks_lose_no_light():
    rng = np.random.default_rng(20210227)
    for _ in range(200):
        n = int(rng.integers(3, 30))
        seeing = rng.uniform(0.8, 1.5, n)
        clear = rng.uniform(0.4, 1.0, n)
        field = rng.uniform(5, 800)
        rise = np.linspace(1, rng.uniform(0.5, 4), n)
        lights = [
            {
                "sky": LIGHT["sky"] * rise[i] * clear[i],
                "sky_noise": LIGHT["sky_noise"] * np.sqrt(rise[i]),
                "stars": float(rng.poisson(field * clear[i] / seeing[i])),
                "star_flux": LIGHT["star_flux"] * clear[i] * rng.uniform(0.8, 1.2),
                "fwhm": 3 * seeing[i],
                "elongation": 1 + abs(rng.normal(0, 0.12)),
            }
            for i in range(n)
        ]
        assert unusable_lights(lights, LIMITS) == {}


def test_limits_that_would_leave_all_out_are_refused():
    for line in ("max_fwhm = 0.9", "min_stars = 1.0", "min_flux = -0.1"):
        with pytest.raises(SettingsError, match="min_flux lie between 0 and 1"):
            parse_recipe(f"[quality]\n{line}", "mine")


def make_field(shape=(300, 400), n=40, fwhm=3.0, stretch=1.0, seed=1):
    """Draw stars, Gaussian, longer along the rows by a factor, on a noisy sky."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = rng.normal(100, 5, shape)
    sigma = fwhm / 2.3548
    for _ in range(n):
        y0, x0 = rng.uniform(20, shape[0] - 20), rng.uniform(20, shape[1] - 20)
        square = ((x - x0) / stretch) ** 2 + (y - y0) ** 2
        image += 800 * np.exp(-square / (2 * sigma**2))
    return image


@pytest.mark.parametrize("stretch", [1.0, 1.5, 3.0, 6.0])
def test_the_elongation_is_length_over_width(stretch):
    found = find_stars(make_field(stretch=stretch)).statistics
    assert found.elongation == pytest.approx(stretch, rel=0.15)


def test_faint_stars_do_not_make_a_round_image_long():
    rng = np.random.default_rng(3)
    faint = 0.06 * (make_field((600, 800), n=200, seed=4) - 100)
    image = make_field((600, 800), n=20) + faint + rng.normal(0, 4, faint.shape)
    found = find_stars(image)
    usual = np.median(found.table["elongation"])
    assert found.statistics.elongation - 1 < 0.6 * (usual - 1)


def test_structure_at_the_edge_does_not_make_a_light_trailed():
    image = make_field(n=8)
    for column in range(10, 380, 40):
        image[:3, column : column + 30] += 400
    found = find_stars(image)
    assert np.median(found.table["elongation"]) > 3
    assert found.statistics.elongation == pytest.approx(1, abs=0.05)


def test_hot_pixels_are_no_stars():
    image = make_field()
    clean = find_stars(image).statistics
    rng = np.random.default_rng(2)
    hot = rng.integers(5, 295, 200), rng.integers(5, 395, 200)
    image[hot] += rng.exponential(1000, 200)
    found = find_stars(image).statistics
    assert found.stars == pytest.approx(clean.stars, abs=6)
    assert found.fwhm_pixel == pytest.approx(clean.fwhm_pixel, rel=0.05)


def test_the_flux_of_bright_stars_follows_the_clouds():
    clear, cloudy = make_field(), 100 + 0.3 * (make_field() - 100)
    ratio = (
        find_stars(cloudy).statistics.flux_adu / find_stars(clear).statistics.flux_adu
    )
    assert ratio == pytest.approx(0.3, rel=0.05)


@pytest.fixture(scope="module")
def simulated():
    return make_night(read_listing("notes_2021"), seed=3, size=(832, 626))


def measured(night, faults):
    """Measure the three simulated lights of a stack, the last with a fault."""
    listed = [
        frame
        for frame in night.listing.frames
        if (frame.object, frame.filter) == ("cluster", "Lum")
    ]
    camera = night.cameras[""]
    found = []
    for frame in [*listed[:2], replace(listed[2], faults=faults)]:
        exposure = night.expose(frame)
        image = (exposure.raw - camera.bias_adu) / camera.response["Lum"]
        light = find_stars(image).statistics
        found.append(
            {
                "sky": light.sky_adu,
                "sky_noise": light.sky_noise_adu,
                "stars": float(light.stars),
                "star_flux": light.flux_adu,
                "fwhm": light.fwhm_pixel,
                "elongation": light.elongation,
            }
        )
    return found


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"drift": 20.0}, "trailed"),
        ({"defocus": 5.0}, "out of focus"),
        ({"clouds": 0.97}, "clouded out"),
        ({"daylight": 20000.0}, "lit"),
    ],
)
def test_simulated_unusable_lights_are_found(simulated, fault, word):
    (index,) = odd = unusable_lights(measured(simulated, fault), LIMITS)
    assert index == 2
    assert str(odd[2]).startswith(word)


@pytest.mark.parametrize(
    "fault", [{}, {"drift": 3.0}, {"defocus": 1.4}, {"clouds": 0.5}, {"satellite": 3e3}]
)
def test_simulated_usable_lights_are_kept(simulated, fault):
    assert unusable_lights(measured(simulated, fault), LIMITS) == {}


TRAILED = "20210227.0066.fit"


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Three lights of one stack, one of them trailed."""

    def keep(row):
        cluster = row["object"] == "cluster" and row["filter"] == "R"
        return cluster or row["imagetyp"] == "bias"

    return write_part(
        tmp_path_factory.mktemp("lights"),
        keep,
        size=(624, 470),
        fault=lambda row: "drift=20" if row["name"] == TRAILED else "",
    )


def reduce(night, output, **choices):
    reduced = reduce_night(
        night, output=output, choices=Choices(**choices), limits=Limits(), page=False
    )
    (stack,) = (o for o in reduced.report.outcomes if o.startswith("stacks/"))
    return reduced, stack


def test_a_trailed_light_is_calibrated_and_not_stacked(night, tmp_path):
    unaligned = {"align": "none"}
    reduced, stack = reduce(night, tmp_path / "products", **unaligned)
    outcome = reduced.report.outcomes[stack]
    light = f"calibrated/{TRAILED}"
    reason = str(outcome.left_out[light])
    assert list(outcome.left_out) == [light]
    assert reason.startswith("trailed: sources ")
    assert outcome.n_used == 2
    assert (reduced.folder / light).exists()
    header = fits.getheader(reduced.folder / stack)
    assert (header["NCOMBINE"], header["NLEFTOUT"]) == (2, 1)
    assert any("left out" in str(line) for line in header["HISTORY"])
    used = [f for f in sorted(reduced.folder.glob("calibrated/*")) if f.name != TRAILED]
    skies = [fits.getheader(f)["SKYLEVEL"] for f in used]
    planes = [
        fits.getdata(f) - (s - skies[0]) for f, s in zip(used, skies, strict=True)
    ]
    made = fits.getdata(reduced.folder / stack)
    np.testing.assert_allclose(made, np.mean(planes, axis=0), rtol=1e-5, atol=1e-2)


def close_the_cap(folder, shining=0):
    """Make the trailed light a bias frame that something shines in; give all kinds."""
    kinds = {path: fits.getheader(path)["IMAGETYP"] for path in folder.glob("*.fit")}
    closed = fits.getdata(next(path for path, kind in kinds.items() if "ias" in kind))
    pixels = np.rint(closed + shining).astype(closed.dtype)
    fits.update(folder / TRAILED, pixels, fits.getheader(folder / TRAILED))
    return kinds


def test_a_nebula_in_a_dark_sky_is_stacked(night, tmp_path):
    folder = tmp_path / "night"
    shutil.copytree(night, folder)
    y, x = np.mgrid[:470, :624]
    close_the_cap(folder, 40 * np.exp(-((y - 230) ** 2 + (x - 310) ** 2) / 2 / 40**2))
    reduced, stack = reduce(folder, tmp_path / "products", align="none")
    light = fits.getheader(reduced.folder / "calibrated" / TRAILED)
    assert (light["NSTARS"], reduced.report.outcomes[stack].n_used) == (0, 3)


@pytest.mark.parametrize("kept", [3, 2])
def test_a_light_behind_the_lens_cap_is_not_stacked(night, tmp_path, kept):
    folder = tmp_path / "night"
    shutil.copytree(night, folder)
    kinds = close_the_cap(folder)
    lights = [path for path in kinds if "ight" in kinds[path] and path.name != TRAILED]
    for path in lights[kept - 1 :]:
        path.unlink()
    reduced, stack = reduce(folder, tmp_path / "products", align="none")
    (reason,) = (
        why
        for light, why in reduced.report.outcomes[stack].left_out.items()
        if light.endswith(TRAILED)
    )
    assert str(reason).startswith("no light: sky ")
    options = {"align": "none", "include": (TRAILED,)}
    reduced, stack = reduce(folder, tmp_path / "products", **options)
    assert reduced.report.outcomes[stack].n_used == kept


def test_the_tables_say_which_light_was_not_stacked_and_why(night, tmp_path):
    reduced, stack = reduce(night, tmp_path / "products")
    rows = Table.read(reduced.folder / stack, hdu="INPUTS")
    assert min(rows["weight"]) == 0.0
    assert sum(rows["weight"]) == pytest.approx(1)
    (reason,) = rows["why_not"][rows["weight"] == 0]
    assert "trailed" in str(reason)
    frames = read_frames_csv(reduced.folder / "frames.csv").set_index("file")
    assert frames.loc[TRAILED, "unstacked"] == str(reason).strip()
    assert frames["unstacked"].notna().sum() == 1
    assert frames["use"].all()
    assert frames["why_not"].isna().all()
    assert frames.loc[TRAILED, "elongation"] > 2
    assert reduced.incomplete


def test_a_second_run_with_its_own_table_does_the_same(night, tmp_path):
    first, stack = reduce(night, tmp_path / "products")
    again, _ = reduce(
        night, tmp_path / "products", frames_csv=first.folder / "frames.csv"
    )
    assert again.report.outcomes[stack].status is Status.CURRENT
    assert again.report.frames["unstacked"].equals(first.report.frames["unstacked"])


@pytest.mark.parametrize("choices", [{"keep_all": True}, {"include": (TRAILED,)}])
def test_what_the_observer_asks_for_is_stacked(night, tmp_path, choices):
    reduced, stack = reduce(night, tmp_path / "products", **choices)
    outcome = reduced.report.outcomes[stack]
    assert outcome.left_out == {}
    assert outcome.n_used == 3
    assert reduced.report.frames["unstacked"].isna().all()
