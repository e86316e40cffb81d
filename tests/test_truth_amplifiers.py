"""Nights of several amplifiers and detectors against their simulated truth."""

import re
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from autoreduce.library.masters import add_to_library
from autoreduce.prepare import Choices
from autoreduce.reduction import Limits, reduce_night
from autoreduce.simulate import simulate_night
from autoreduce.simulate.listing import listing_folder

DETECTORS = {
    "two_amplifiers": {"": "light_{}.fits"},
    "four_amplifiers": {"": "light_{}.fits"},
    "mosaic": {"_east": "light_{}_1.fits", "_west": "light_{}_3.fits"},
}
CASES = [(name, chip) for name, chips in DETECTORS.items() for chip in chips]


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    root = tmp_path_factory.mktemp("amplifiers")
    for name in DETECTORS:
        simulate_night(name, root / name, truth=True)
        reduce_night(
            root / name,
            output=root / f"{name}_reduced",
            limits=Limits(planes=True),
            page=False,
        )
    return root


def reduced(night, **choices):
    return reduce_night(night, limits=Limits(planes=True), page=False, **choices)


def lights(root, name, chip):
    """Yield image, UNCERT and truth of each light, ADU."""
    flat = fits.getdata(root / f"{name}_truth" / f"flat_V{chip}.fits")
    for n in (1, 2, 3):
        file = DETECTORS[name][chip].format(n)
        with fits.open(root / f"{name}_reduced" / "calibrated" / file) as hdus:
            made, sigma = hdus[0].data.astype(float), hdus["UNCERT"].data.astype(float)
            # The scene is in ADU of the true gain, the light in those of the told one.
            scale = hdus[0].header["EGAIN"] / 1.3 / np.median(flat)
        scene = fits.getdata(root / f"{name}_truth" / f"scene{chip}_light_{n}.fits")
        yield made * scale, sigma, scene.astype(float)


def quarters(image):
    ny, nx = image.shape
    for rows in (slice(0, ny // 2), slice(ny // 2, ny)):
        for columns in (slice(0, nx // 2), slice(nx // 2, nx)):
            yield image[rows, columns]


@pytest.mark.parametrize(("name", "chip"), CASES)
def test_a_light_is_the_scene_within_its_uncertainty(nights, name, chip):
    for made, sigma, scene in lights(nights, name, chip):
        for pulls in quarters((made - scene) / sigma):
            low, high = np.percentile(pulls, [15.87, 84.13])
            assert (high - low) / 2 == pytest.approx(1, abs=0.05)
            assert np.median(pulls) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(("name", "chip"), CASES)
def test_no_step_between_amplifiers(nights, name, chip):
    differences = [made - scene for made, _, scene in lights(nights, name, chip)]
    sky = np.median([scene for *_, scene in lights(nights, name, chip)])
    means = [part.mean() / sky for part in quarters(np.mean(differences, axis=0))]
    # The flats of the quarters are good to 3e-4, three lights to 2e-4.
    assert np.abs(means).max() < 1e-3


@pytest.mark.parametrize(("name", "chip"), CASES)
def test_the_master_bias_tells_the_noise_of_each_amplifier(nights, name, chip):
    tail = chip.replace("_", "_").title() if chip else ""
    (path,) = (nights / f"{name}_reduced" / "masters").glob(f"bias*{tail}.fits")
    with fits.open(path) as hdus:
        pairs = list(
            zip(quarters(hdus[0].data), quarters(hdus["UNCERT"].data), strict=True)
        )
    for made, sigma in pairs:
        # Fixed offsets of the pixels, 0.5 ADU, are part of the bias.
        scatter = np.hypot(np.median(sigma), 0.5)
        assert np.std(made) == pytest.approx(scatter, rel=0.08)


GAINLESS = """
[overscan]
rows = true
"""


@pytest.fixture(scope="module")
def gainless(tmp_path_factory):
    """Reduce a night without gains, with levels that drift, and one light without a flat."""
    root = tmp_path_factory.mktemp("gainless")
    night = root / "night"
    paths = simulate_night("four_amplifiers", night, truth=True, size=(512, 400))
    rng = np.random.default_rng(7)
    for path in paths:
        with fits.open(path, mode="update") as hdus:
            if path.name == "light_3.fits":
                hdus[0].header["FILTER"] = "R"
            for hdu in hdus[1:]:
                del hdu.header["GAIN"]
                del hdu.header["RDNOISE"]
                drift = rng.uniform(-30, 30) * np.linspace(-1, 1, hdu.shape[0])
                hdu.data[:] += np.rint(drift[:, None] + 30).astype(np.uint16)
    (root / "mine.toml").write_text(GAINLESS)
    choices = Choices(recipe=str(root / "mine.toml"))
    reduced(night, choices=choices)
    return root


def gainless_light(root, n):
    """Give a light of that night and its UNCERT, electrons, beside the scene."""
    flat = fits.getdata(root / "night_truth" / "flat_V.fits")
    scene = 1.3 * fits.getdata(root / "night_truth" / f"scene_light_{n}.fits")
    with fits.open(root / "night_reduced" / "calibrated" / f"light_{n}.fits") as hdus:
        made = hdus[0].data.astype(float)
        if "FLATFILE" not in hdus[0].header:
            return made * np.median(scene * flat) / np.median(made), None, scene * flat
        scale = hdus[0].header["EGAIN"] / np.median(flat)
        return made * scale, hdus["UNCERT"].data * scale, scene


def test_gains_that_no_card_tells_are_those_of_the_amplifiers(gainless):
    header = fits.getheader(gainless / "night_reduced" / "calibrated" / "light_1.fits")
    factors = [
        float(header[f"AMP{n}"].split("times ")[1].split(",")[0]) for n in range(1, 5)
    ]
    assert np.multiply(factors, 1.3) == pytest.approx([1.2, 1.4, 1.5, 1.1], rel=1e-3)
    assert header["EGAIN"] == pytest.approx(1.3, rel=0.02)


@pytest.mark.parametrize("n", [1, 2])
def test_errors_are_right_where_no_card_tells_gain_and_noise(gainless, n):
    made, sigma, scene = gainless_light(gainless, n)
    for pulls in quarters((made - np.median(made - scene) - scene) / sigma):
        low, high = np.percentile(pulls, [15.87, 84.13])
        assert (high - low) / 2 == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_step_where_no_card_tells_the_gains(gainless, n):
    """The third light has no flat that could take the step out."""
    made, _, scene = gainless_light(gainless, n)
    means = [np.mean(part) for part in quarters(made / scene)]
    # The sky of a single light is good to 2e-4 on each of them.
    assert means / np.mean(means) == pytest.approx(np.ones(4), abs=1e-3)


def test_stars_have_the_same_flux_on_all_amplifiers(gainless):
    fluxes = []
    for n in (1, 2):
        made, sigma, scene = gainless_light(gainless, n)
        star = (scene - np.median(scene)) / np.median(scene)
        star[star < 0.05] = 0
        of_stars = [
            [np.sum(a * s / e**2) for a, s, e in zip(*parts, strict=True)]
            for image in (made - np.median(made), scene - np.median(scene))
            for parts in [[[*quarters(one)] for one in (image, star, sigma)]]
        ]
        fluxes.append(np.divide(*of_stars))
    flux = np.mean(fluxes, axis=0)
    assert flux / flux.mean() == pytest.approx(np.ones(4), abs=0.01)


CROSSTALK = """
[amplifiers]
crosstalk = [
  { victim = 4, source = 1, times = 0.03 },
  { victim = 2, source = 3, times = 0.02 },
]
"""


def test_crosstalk_is_taken_out_as_the_recipe_tells(tmp_path):
    listing = tmp_path / "crosstalk.csv"
    source = listing_folder() / "four_amplifiers.csv"
    listing.write_text(source.read_text())
    camera = source.with_suffix(".toml").read_text()
    # In the order of the extensions: top right, bottom left, bottom right, top left.
    heard = "crosstalk = [[0, 0.03, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.02], [0, 0, 0, 0]]"
    camera = re.sub("told_gain.*", "", camera)
    camera = camera.replace("[[detector", f"{heard}\n\n[[detector", 1)
    listing.with_suffix(".toml").write_text(camera)
    simulate_night(listing, tmp_path / "night", truth=True, size=(512, 400))
    (tmp_path / "mine.toml").write_text(CROSSTALK)
    choices = Choices(recipe=str(tmp_path / "mine.toml"))
    night = reduced(tmp_path / "night", choices=choices)
    # Freed of it, flats show the gains that headers tell: none is overruled.
    assert "amplifiers-overruled" not in {one.code for one in night.report.plan.notes}
    folder, truth = tmp_path / "night_reduced" / "calibrated", tmp_path / "night_truth"
    flat = fits.getdata(truth / "flat_V.fits")
    with fits.open(folder / "light_1.fits") as hdus:
        made, sigma = hdus[0].data / np.median(flat), [*quarters(hdus["UNCERT"].data)]
    scene = fits.getdata(truth / "scene_light_1.fits").astype(float)
    rest = [*quarters(made - scene)]
    for victim, source in ((3, 0), (1, 2)):
        # They are read from opposite corners.
        ghost = [*quarters(scene)][source][::-1, ::-1] - np.median(scene)
        weight = 1 / sigma[victim] ** 2
        error = np.sum(weight * ghost**2) ** -0.5
        assert error < 0.004
        assert abs(np.sum(weight * ghost * rest[victim])) * error**2 < 4 * error
    assert "less 0.03 of AMP1" in fits.getheader(folder / "light_1.fits")["AMP4"]


def test_a_product_says_what_was_done(nights):
    path = nights / "four_amplifiers_reduced" / "calibrated" / "light_1.fits"
    header = fits.getheader(path)
    assert header["AMP1"].startswith("HDU 2 [1:128,1:100] to [1:128,1:100]")
    assert "AMP5" not in header
    assert header["CALSTAT"] == "OBF"
    assert header["EGAIN"] == pytest.approx((1.1 + 1.236 + 1.358 + 1.5) / 4)
    assert CCDData.read(path).shape == (200, 256)


def test_detectors_are_never_combined_with_one_another(nights):
    folder = nights / "mosaic_reduced"
    names = sorted(path.name for path in (folder / "stacks").iterdir())
    assert names == [
        "light_NGC-1_V_60s_1x1_East.fits",
        "light_NGC-1_V_60s_1x1_West.fits",
    ]
    for path in (*(folder / "masters").iterdir(), *(folder / "stacks").iterdir()):
        with fits.open(path) as hdus:
            n = {"light": 3, "bad": 1}.get(path.name.split("_")[0], 5)
            assert hdus[0].header["NCOMBINE"] == n
            assert path.stem.endswith(hdus[0].header["CCDNAME"])


@pytest.fixture
def bent(nights, tmp_path):
    """Copy the night of four amplifiers, to bend its files."""
    return shutil.copytree(nights / "four_amplifiers", tmp_path / "night")


def rewrite(path, order):
    with fits.open(path) as hdus:
        kept = fits.HDUList([hdus[n].copy() for n in order])
    kept.writeto(path, overwrite=True)


def test_extensions_may_stand_in_any_order(bent, nights):
    rewrite(bent / "light_2.fits", [0, 3, 1, 4, 2])
    reduced(bent)
    made = fits.getdata(bent.parent / "night_reduced" / "calibrated" / "light_2.fits")
    usual = nights / "four_amplifiers_reduced" / "calibrated" / "light_2.fits"
    assert np.array_equal(made, fits.getdata(usual))


def test_a_file_without_one_amplifier_is_named_and_nothing_else_is_lost(bent):
    rewrite(bent / "light_2.fits", [0, 1, 2, 4])
    frames = reduced(bent).report.frames.set_index("file")
    assert "75% of the detector" in frames["why_not"]["light_2.fits"]
    assert frames["use"].sum() == 12


@pytest.mark.parametrize(
    ("hdu", "rows", "columns"),
    [
        (3, slice(None, 100), slice(128, None)),
        (2, slice(None, 100), slice(None, 128)),
    ],
    ids=["second", "first"],
)
def test_a_dead_amplifier_costs_its_own_pixels_only(bent, nights, hdu, rows, columns):
    for path in bent.glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            hdus[hdu].data[:] = 0
    outcomes = reduced(bent).report.outcomes
    doubts = outcomes["calibrated/light_1.fits"].remarks
    assert [one.code for one in doubts] == ["dead-amplifier"]
    dead = np.zeros((200, 256), bool)
    dead[rows, columns] = True
    path = bent.parent / "night_reduced" / "calibrated" / "light_1.fits"
    with fits.open(path) as hdus:
        assert np.array_equal(np.isnan(hdus[0].data), dead)
        assert np.array_equal(hdus["MASK"].data & 1, dead)
        made = hdus[0].data[~dead]
    usual = nights / "four_amplifiers_reduced" / "calibrated" / "light_1.fits"
    ratio = made / fits.getdata(usual)[~dead]
    # The unit of a flat is the median of its pixels, of which some are missing.
    assert np.std(ratio / np.median(ratio)) < 1e-3
    assert np.median(ratio) == pytest.approx(1, abs=0.02)


def test_a_frame_of_which_one_amplifier_is_alive_is_not_lost(bent):
    for path in bent.glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            for hdu in hdus[1:4]:
                hdu.data[:] = 0
    assert reduced(bent).report.frames["use"].all()
    path = bent.parent / "night_reduced" / "calibrated" / "light_1.fits"
    assert np.isfinite(fits.getdata(path)[100:, :128]).mean() > 0.99


def test_a_flat_of_a_library_takes_frames_as_its_own_were(bent, nights, tmp_path):
    """A night without flats could not tell that two gains are wrong by 3 %."""
    library = tmp_path / "library"
    add_to_library(library, [nights / "four_amplifiers_reduced"])
    for path in bent.glob("flat*"):
        path.unlink()
    result = reduced(bent, choices=Choices(library=library))
    assert "amplifiers-kept" in [one.code for one in result.report.plan.notes]
    made, usual = (
        fits.getdata(folder / "calibrated" / "light_1.fits")
        for folder in (tmp_path / "night_reduced", nights / "four_amplifiers_reduced")
    )
    assert made == pytest.approx(usual, rel=1e-4, abs=1e-2)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_coordinates_of_an_amplifier_become_those_of_the_whole(bent):
    whole = fits.Header()
    whole["CTYPE1"], whole["CTYPE2"] = "RA---TAN", "DEC--TAN"
    whole["CRVAL1"], whole["CRVAL2"] = 150.0, 20.0
    whole["CRPIX1"], whole["CRPIX2"] = 100.0, 80.0
    whole["CD1_1"], whole["CD1_2"] = -2e-4, 1e-5
    whole["CD2_1"], whole["CD2_2"] = 1e-5, 2e-4
    with fits.open(bent / "light_1.fits", mode="update") as hdus:
        for hdu in hdus[1:]:
            hdu.header.update(whole)
            columns, rows = hdu.header["DETSEC"].strip("[]").split(",")
            for axis, span in (("1", columns), ("2", rows)):
                first, last = map(int, span.split(":"))
                if first > last:
                    hdu.header[f"CRPIX{axis}"] = first + 1 - whole[f"CRPIX{axis}"]
                    for n in "12":
                        hdu.header[f"CD{n}_{axis}"] *= -1
                else:
                    hdu.header[f"CRPIX{axis}"] -= first - 1
    reduced(bent)
    path = bent.parent / "night_reduced" / "calibrated" / "light_1.fits"
    points = np.array([[1, 1], [256, 1], [130, 150]])
    made = WCS(fits.getheader(path)).all_pix2world(points, 1)
    assert np.allclose(made, WCS(whole).all_pix2world(points, 1), atol=1e-9)
