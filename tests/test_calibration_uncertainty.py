"""Errors of what is subtracted, and the planes of a light, worked by hand."""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.calibration.bands import Correction, MasterRows, RawFrame
from autoreduce.calibration.uncertainty import (
    UNCERT,
    light_uncertainty,
    shared_variance,
    subtracted_variance,
)
from autoreduce.calibration.workspace import Workspace
from autoreduce.errors import InputError
from autoreduce.fits.cards import format_card
from autoreduce.fits.writer import write_image
from autoreduce.planning.plan import FrameInput
from autoreduce.planning.recipe import load_recipe


def write_master(path, value, sigma):
    data = np.full((3, 4), value, np.float32)
    write_image(path, data, [], planes={"UNCERT": np.full_like(data, sigma)})


def test_the_variance_of_what_is_subtracted_worked_by_hand(tmp_path):
    """(1 - 2 * 0.5) * 4 + (0.5 * 6)**2 + (0.1 * 20)**2 + 3**2 = 9 + 4 + 9."""
    write_master(tmp_path / "bias.fits", 300, 2)
    write_master(tmp_path / "dark.fits", 20, 6)
    correction = Correction(
        "bias.fits", "dark.fits", 0.5, scale_error=0.1, offset_error=3.0
    )
    with (
        MasterRows(tmp_path, correction.masters) as values,
        MasterRows(tmp_path, correction.masters, UNCERT) as sigmas,
    ):
        found = subtracted_variance(correction, values, sigmas, (0, 3))
        np.testing.assert_allclose(found, 22.0)
        alone = subtracted_variance(Correction("bias.fits"), values, sigmas, (0, 3))
        np.testing.assert_allclose(alone, 4.0)
        # Two flats that share their masters, of weights 1/1000 and 1/2000.
        shared = shared_variance(
            [correction, correction], [1e-3, 5e-4], values, sigmas, (0, 3)
        )
        np.testing.assert_allclose(shared, 22.0 * 1.5e-3**2, rtol=1e-5)


def make_frame(folder, pixels, **facts):
    fits.writeto(folder / "raw.fits", pixels)
    return RawFrame(folder, FrameInput("raw.fits", **facts))


def make_space(folder):
    return Workspace(folder, folder, load_recipe(), 1 << 20, planes=True)


@pytest.mark.parametrize(
    ("egain", "rdnoise", "words"),
    [
        (None, 8.0, "the gain is unknown"),
        (1.5, None, "read noise unknown"),
        (1.5, 8.0, None),
    ],
)
def test_errors_need_gain_and_read_noise(tmp_path, egain, rdnoise, words):
    raw = np.array([[500, 1000], [1000, 65535]], np.uint16)
    with make_frame(tmp_path, raw, egain=egain, rdnoise=rdnoise) as frame:
        planes = light_uncertainty(
            Correction(), make_space(tmp_path), frame.item.egain, frame.item.rdnoise
        )
        data = np.array([[450, np.nan], [900, 65535]], np.float32)
        found = planes.rows(frame, data, 0, 2)
    assert found["MASK"].tolist() == [[0, 1], [0, 2]]
    if words:
        assert planes.unknown.found == words
        assert planes.planes == ("MASK",)
        assert set(found) == {"MASK"}
    else:
        assert planes.unknown is None
        assert planes.planes == ("UNCERT", "MASK")
        # 450 ADU / 1.5 e/ADU + (8 e / 1.5 e/ADU)**2
        assert found["UNCERT"][0, 0] == pytest.approx((300 + 64 / 2.25) ** 0.5)


def test_pixels_without_a_known_limit_are_never_called_saturated(tmp_path):
    raw = np.full((2, 2), 1e6, np.float32)
    with make_frame(tmp_path, raw) as frame:
        planes = light_uncertainty(
            Correction(), make_space(tmp_path), frame.item.egain, frame.item.rdnoise
        )
        assert not planes.rows(frame, raw, 0, 2)["MASK"].any()


def test_bias_frames_tell_the_read_noise_that_a_header_leaves_open(tmp_path):
    zeros = np.zeros((2, 2), np.float32)
    write_image(tmp_path / "b.fits", zeros, format_card("NOISEADU", 4.0))
    with make_frame(tmp_path, zeros, egain=1.5) as frame:
        correction = Correction("b.fits")
        planes = light_uncertainty(
            correction, make_space(tmp_path), frame.item.egain, frame.item.rdnoise
        )
        assert planes.rdnoise == 6.0
        write_image(tmp_path / "b.fits", zeros, [], overwrite=True)
        with pytest.raises(InputError, match="has no card NOISEADU: make it again"):
            light_uncertainty(
                correction, make_space(tmp_path), frame.item.egain, frame.item.rdnoise
            )


def test_errors_of_all_masters_worked_by_hand(tmp_path):
    """Signal 90, dark 10 (0.5 * 20), flat 0.5 with 1 %; gain 2, read noise 4 e."""
    for name, value, sigma in (("b", 300, 2), ("d", 20, 6), ("f", 0.5, 0.005)):
        write_master(tmp_path / f"{name}.fits", value, sigma)
    correction = Correction("b.fits", "d.fits", 0.5, flat="f.fits")
    raw = np.full((3, 4), 355, np.uint16)
    with make_frame(tmp_path, raw, egain=2.0, rdnoise=4.0) as frame:
        planes = light_uncertainty(
            correction, make_space(tmp_path), frame.item.egain, frame.item.rdnoise
        )
        data = np.full((3, 4), 90, np.float32)
        sigma = planes.rows(frame, data, 0, 3)["UNCERT"]
    photons, read, masters = (90 * 0.5 + 10) / 2, (4 / 2) ** 2, 0.25 * 36
    expected = (photons + read + masters) / 0.5**2 + (90 * 0.01) ** 2
    np.testing.assert_allclose(sigma, expected**0.5, rtol=1e-4)


@pytest.mark.parametrize(("done", "dark"), [("", 10.0), ("BD", 510.0)])
def test_a_zero_level_in_the_dark_has_no_noise_of_photons(tmp_path, done, dark):
    """Dark frames of 6 ADU noise, read noise 4 ADU: (36 - 16) ADU**2 * 0.5 e/ADU = 10."""
    cards = (("CALSTAT", done), ("LEVEL", 510.0), ("NOISEADU", 6.0))
    lines = [line for card in cards for line in format_card(*card)]
    level, zero = (np.full((3, 4), value, np.float32) for value in (510, 0))
    write_image(tmp_path / "d.fits", level, lines, planes={"UNCERT": zero})
    correction = Correction(dark="d.fits")
    raw = np.full((3, 4), 600, np.uint16)
    with make_frame(tmp_path, raw, egain=0.5, rdnoise=2.0) as frame:
        planes = light_uncertainty(correction, make_space(tmp_path), 0.5, 2.0)
        data = np.full((3, 4), 90, np.float32)
        sigma = planes.rows(frame, data, 0, 3)["UNCERT"]
    np.testing.assert_allclose(sigma, ((90 + dark) / 0.5 + 16) ** 0.5, rtol=1e-5)
