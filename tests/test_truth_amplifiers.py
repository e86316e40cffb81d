"""Nights of several amplifiers and detectors against their simulated truth."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

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
        scene = fits.getdata(root / f"{name}_truth" / f"scene{chip}_light_{n}.fits")
        yield made / np.median(flat), sigma, scene.astype(float)


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
    assert header["AMP1"].startswith("HDU 1 [1:128,1:100] to [256:129,200:101]")
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
            assert hdus[0].header["NCOMBINE"] == (3 if "light" in path.name else 5)
            assert path.stem.endswith(hdus[0].header["CCDNAME"])
