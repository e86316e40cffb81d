"""Nights of several amplifiers and detectors against their simulated truth."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from autoreduce.reduction import Limits, reduce_night
from autoreduce.simulate import simulate_night

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


def reduced(night, **choices):
    return reduce_night(night, limits=Limits(planes=True), page=False, **choices)


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


def test_a_dead_amplifier_costs_its_own_pixels_only(bent, nights):
    for path in bent.glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            hdus[3].data[:] = 0
    outcomes = reduced(bent).report.outcomes
    doubts = outcomes["calibrated/light_1.fits"].remarks
    assert [one.code for one in doubts] == ["dead-amplifier"]
    dead = np.zeros((200, 256), bool)
    dead[:100, 128:] = True
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
