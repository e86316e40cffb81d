"""All detectors of an exposure in one file, against the files of each detector."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from autoreduce.prepare import Choices
from autoreduce.reduction import Limits, reduce_night
from autoreduce.running.execute import Status
from autoreduce.running.verify import verify
from autoreduce.simulate import simulate_night

NAMES = [f"exposures/light_{n}.fits" for n in (1, 2, 3)]
PARTS = {"East": 1, "West": 3}


def reduced(folder, *, together=True):
    recipe = folder / "recipe.toml"
    recipe.write_text(f"[light]\ntogether = {str(together).lower()}\n")
    return reduce_night(
        folder / "night",
        choices=Choices(recipe=str(recipe)),
        limits=Limits(planes=True),
        page=False,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("mosaic")
    simulate_night("mosaic", root / "night")
    return reduced(root)


@pytest.fixture
def again(whole, tmp_path):
    """Copy the night and what was made of it, to change them."""
    for name in ("night", "night_reduced", "recipe.toml"):
        copy = shutil.copytree if "." not in name else shutil.copy
        copy(whole.folder.parent / name, tmp_path / name)
    return tmp_path


@pytest.mark.filterwarnings("error::astropy.io.fits.verify.VerifyWarning")
def test_each_detector_is_an_extension_with_planes_of_its_own(whole):
    path = whole.folder / NAMES[0]
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        planes = ("", "_MASK", "_UNCERT", "_STARS")
        wanted = [f"{part}{plane}" for part in PARTS for plane in planes]
        assert [hdu.name for hdu in hdus[1:]] == wanted
        assert hdus[0].header["DATE-OBS"] == hdus["West"].header["DATE-OBS"]
        assert "CCDNAME" not in hdus[0].header
        assert "BIASFILE" not in hdus[0].header
    for part, n in PARTS.items():
        found = CCDData.read(
            path, hdu=part, hdu_uncertainty=f"{part}_UNCERT", hdu_mask=f"{part}_MASK"
        )
        light = CCDData.read(whole.folder / f"calibrated/light_1_{n}.fits")
        np.testing.assert_array_equal(found.data, light.data)
        np.testing.assert_array_equal(found.uncertainty.array, light.uncertainty.array)
        np.testing.assert_array_equal(found.mask, light.mask)
        assert found.unit == light.unit
        assert found.header["CCDNAME"] == part


def test_no_detector_is_read_with_the_planes_of_another(whole):
    found = CCDData.read(whole.folder / NAMES[0], hdu="West")
    assert found.uncertainty is None
    assert found.mask is None


def test_what_stands_is_current_and_as_it_was_written(again):
    outcomes = reduced(again).report.outcomes
    assert {one.status for one in outcomes.values()} == {Status.CURRENT}
    assert verify(again / "night_reduced") == []
    path = again / "night_reduced" / NAMES[1]
    data = bytearray(path.read_bytes())
    data[-3000] ^= 1
    path.write_bytes(data)
    assert [one.code for one in verify(again / "night_reduced")] == ["changed"]
    outcomes = reduced(again).report.outcomes
    made = {name for name, one in outcomes.items() if one.status is Status.DONE}
    assert made == {NAMES[1]}


def test_files_that_are_no_longer_asked_for_are_put_aside(again):
    outcomes = reduced(again, together=False).report.outcomes
    assert {one.status for one in outcomes.values()} == {Status.CURRENT}
    left = again / "night_reduced" / "left_over"
    assert {path.name for path in (left / "exposures").iterdir()} == {
        "light_1.fits",
        "light_2.fits",
        "light_3.fits",
    }


def test_a_light_that_is_lost_is_named(again):
    compressed = again / "night" / "light_2.fits"
    with fits.open(compressed) as hdus:
        images = [fits.CompImageHDU(hdu.data, hdu.header) for hdu in hdus[1:]]
        fits.HDUList([hdus[0].copy(), *images]).writeto(compressed, overwrite=True)
    with fits.open(compressed, disable_image_compression=True) as hdus:
        place = hdus[1].fileinfo()
    data = bytearray(compressed.read_bytes())
    end = place["datLoc"] + place["datSpan"]
    data[end - 3000 : end] = bytes(3000)
    compressed.write_bytes(data)
    outcome = reduced(again).report.outcomes[NAMES[1]]
    assert [one.code for one in outcome.remarks] == ["without-light"]
    with fits.open(again / "night_reduced" / NAMES[1]) as hdus:
        assert hdus[1].name == "West"
        assert "light_2_1.fits" in str(hdus[0].header["HISTORY"])
