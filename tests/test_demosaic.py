"""Colours of a mosaic, held against images that are known in every colour."""

import warnings

import numpy as np
import pytest
from colour_nights import FWHM, cube_of, field, measure_stars, mosaic_of
from stack_fields import Pose

from autoreduce.pixels import demosaic as module
from autoreduce.pixels.bayer import is_known, mosaic
from autoreduce.pixels.demosaic import (
    MARGIN,
    ColourModel,
    Level,
    colour_model,
    demosaic,
    neighbours_of_colour,
    own_pixels,
)

PATTERNS = ("RGGB", "GRBG", "GBRG", "BGGR")
SKIES = np.array([300.0, 500.0, 400.0])[:, None, None]


def plain(pattern, ratios=(0.0, 1.0, 0.0)):
    levels = tuple(Level(sky, 10.0) for sky in SKIES.ravel())
    return ColourModel(mosaic(pattern), levels, ratios)


def planes(data, model, start=0):
    return np.array([demosaic(data, start, model, name) for name in "RGB"])


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("start", [0, 3])
def test_neighbours_of_a_colour_are_of_that_colour(pattern, start):
    data = mosaic_of(np.broadcast_to(SKIES, (3, 12, 13)), pattern).astype(np.float32)
    data[6, 5] = np.nan
    for name, sky in zip("RGB", SKIES.ravel(), strict=True):
        found = neighbours_of_colour(data[start:], start, plain(pattern), name)
        there = np.isfinite(found)
        np.testing.assert_allclose(found[there], sky, rtol=1e-6)
        # Red and blue stand alone among the eight about them.
        assert (~there).sum() <= (name != "G")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_even_sky_stays_even_in_each_colour(pattern):
    data = mosaic_of(np.broadcast_to(SKIES, (3, 10, 13)), pattern).astype(np.float32)
    found = planes(data, plain(pattern))
    np.testing.assert_allclose(found, np.broadcast_to(SKIES, found.shape), rtol=1e-6)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("shape", "start"), [((11, 14), 0), ((16, 9), 3)])
def test_green_is_the_weighted_sum_of_what_is_around(
    monkeypatch, pattern, shape, start
):
    monkeypatch.setattr(module, "STRIP_PIXELS", 4 * shape[1])
    of, rng = mosaic(pattern), np.random.default_rng(4)
    model = ColourModel(of, (Level(0.0, 1e6),) * 3, (0.5, 1.0, 0.0))
    data = rng.normal(0, 10, shape).astype(np.float32)
    found = demosaic(data, start, model, "G")
    near = np.pad(data, 3, mode="reflect")
    for y, x in np.ndindex(shape):
        name = of.colours[of.cell[(y + start) % 2][x % 2]]
        if name == "G":
            assert found[y, x] == data[y, x]
            continue
        green = module.GREEN_TAPS if name == "R" else module.ALONE_TAPS
        expected = 0.0
        for dy, dx in np.ndindex(7, 7):
            steps = sorted((abs(dy - 3), abs(dx - 3)))
            if sum(steps) % 2:
                odd, even = sorted(steps, key=lambda step: step % 2 == 0)
                expected += green[even // 2][odd // 2] * near[y + dy, x + dx]
            elif name == "R" and steps[0] % 2 == 0:
                own = module.OWN_TAPS[steps[0] // 2][steps[1] // 2]
                expected += own / 0.5 * near[y + dy, x + dx]
        assert found[y, x] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_pixel_keeps_what_it_measured_in_its_own_colour(pattern):
    rng = np.random.default_rng(1)
    sky = mosaic_of(np.broadcast_to(SKIES, (3, 16, 18)), pattern)
    data = (sky + rng.normal(0, 8, sky.shape)).astype(np.float32)
    found = planes(data, plain(pattern, (0.5, 1.0, 0.7)))
    np.testing.assert_allclose(mosaic_of(found, pattern), data, rtol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_colours_places_and_widths_of_stars_are_right_wherever_they_lie(pattern):
    """Fluxes are known; noise there is none, so that what is left is the pattern's."""
    pose, stars = Pose(0.3, 0.4), field()
    truth = cube_of(pose, stars)
    data = (mosaic_of(truth + SKIES, pattern)).astype(np.float32)
    data += np.random.default_rng(1).normal(0, 1, data.shape)
    found = planes(data, colour_model(data, mosaic(pattern), np.inf))
    seen, wanted = (measure_stars(cube, pose, stars) for cube in (found, truth))
    assert len(wanted.flux) >= 8
    for plane in (0, 2):
        colour = seen.flux[:, plane] / seen.flux[:, 1]
        colour /= wanted.flux[:, plane] / wanted.flux[:, 1]
        # What is one factor for all stars is the balance of colours.
        assert np.median(colour) == pytest.approx(1.0, abs=0.015)
        np.testing.assert_allclose(colour / np.median(colour), 1.0, atol=0.02)
    np.testing.assert_allclose(seen.x, wanted.x, atol=0.08)
    np.testing.assert_allclose(seen.y, wanted.y, atol=0.08)
    assert (np.median(seen.width / wanted.width, axis=0) < 1.10).all()


def library_planes(data, pattern):
    """Demosaic with each of the methods of a well-kept library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what else it could use
        library = pytest.importorskip("colour_demosaicing")
        return {
            name: np.moveaxis(
                getattr(library, f"demosaicing_CFA_Bayer_{name}")(data, pattern), -1, 0
            )
            for name in ("bilinear", "Malvar2004", "Menon2007")
        }


@pytest.mark.parametrize(
    ("fwhm", "pattern"), [(2.0, "BGGR"), (2.6, "GRBG"), (3.5, "RGGB")]
)
def test_no_method_of_a_library_is_nearer_to_the_truth(fwhm, pattern):
    pose, stars = Pose(0.3, 0.4), field(120)
    truth = cube_of(pose, stars, fwhm)
    data = (mosaic_of(truth + SKIES, pattern)).astype(np.float32)
    data += np.random.default_rng(1).normal(0, 5, data.shape)
    model = colour_model(data, mosaic(pattern), np.inf)
    own, peers = planes(data, model), library_planes(data.astype(float), pattern)
    wanted, near = measure_stars(truth, pose, stars), truth.sum(axis=0) > 30

    def errors(cube):
        """Of pixels near stars, of colours and of widths, in each plane."""
        seen = measure_stars(cube - SKIES, pose, stars)
        colour = (seen.flux / seen.flux[:, 1:2]) / (wanted.flux / wanted.flux[:, 1:2])
        scatter = np.std(colour / np.median(colour, axis=0), axis=0)[[0, 2]]
        pixels = np.sqrt(np.mean((cube - SKIES - truth)[:, near] ** 2, axis=1))
        width = np.abs(np.median(seen.width / wanted.width, axis=0) - 1)
        return pixels, scatter, width

    pixels, scatter, width = errors(own)
    for name, cube in peers.items():
        others = errors(cube)
        assert (pixels < others[0]).all(), name
        # Stars of a single light tell their colours no better than their own pixels do.
        assert (scatter < others[1] + 0.002).all(), name
        assert (width < others[2] + 0.01).all(), name


def test_ratios_are_those_of_stars_whatever_a_nebula_is_like():
    """Stars have 0.55, 1 and 0.7 of green's light, the nebula five times its red."""
    stars = field(80)
    cube = cube_of(Pose(), stars, FWHM)
    ny, nx = cube.shape[1:]
    y, x = np.ogrid[:ny, :nx]
    cloud = 3000 * np.exp(-((x - nx / 2) ** 2 + (y - ny / 2) ** 2) / 2 / 50**2)
    cube += SKIES + np.array([5.0, 1.0, 1.0])[:, None, None] * cloud
    rng = np.random.default_rng(2)
    data = (mosaic_of(cube, "RGGB") + rng.normal(0, 5, (ny, nx))).astype(np.float32)
    model = colour_model(data, mosaic("RGGB"), np.inf)
    assert model.ratios == pytest.approx((0.55, 1.0, 0.7), rel=0.3)
    assert colour_model(data[:20, :20], mosaic("RGGB"), np.inf).ratios[1] == 1.0


@pytest.mark.parametrize("fwhm", [2.0, 3.0, 5.0])
def test_ratios_do_not_depend_on_how_narrow_stars_are(fwhm):
    stars = field(120)
    data = mosaic_of(cube_of(Pose(), stars, fwhm) + SKIES, "GBRG").astype(np.float32)
    data += np.random.default_rng(3).normal(0, 5, data.shape)
    red, _, blue = colour_model(data, mosaic("GBRG"), np.inf).ratios
    bright = stars.flux["G"] > 2e4
    for found, name in ((red, "R"), (blue, "B")):
        usual = np.median((stars.flux[name] / stars.flux["G"])[bright])
        assert found == pytest.approx(usual, rel=0.2)


def test_hot_pixels_get_the_mean_of_their_colour_and_stars_do_not():
    truth = cube_of(Pose(), field())
    data = mosaic_of(truth + SKIES, "RGGB").astype(np.float32)
    spoilt, at = data.copy(), (100, 130)  # red
    spoilt[at] += 900
    model = plain("RGGB", (0.55, 1.0, 0.7))
    around = data[[98, 102, 100, 100], [130, 130, 128, 132]].mean()
    assert demosaic(spoilt, 0, model, "R")[at] == pytest.approx(around, abs=1)
    assert np.isnan(own_pixels(spoilt, 0, model, "R")[at])
    own = own_pixels(data, 0, model, "R")
    assert np.isfinite(own[::2, ::2]).all()
    assert np.isnan(own[1::2]).all()
    np.testing.assert_array_equal(own[::2, ::2], data[::2, ::2])


def test_a_missing_pixel_is_missing_in_its_own_colour_only():
    data = mosaic_of(np.broadcast_to(SKIES, (3, 12, 12)), "RGGB").astype(np.float32)
    data[4, 6] = np.nan  # red
    found = planes(data, plain("RGGB"))
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 4, 6]]
    np.testing.assert_allclose(found[0, 4, 5], 300, rtol=1e-6)


@pytest.mark.parametrize("start", [30, 31])
def test_a_band_with_its_margin_is_as_in_the_whole(start):
    data = mosaic_of(cube_of(Pose(), field()) + SKIES, "GBRG").astype(np.float32)
    data[40:44, 50:53] = np.nan
    data[35, 61] += 5000
    model = plain("GBRG", (0.5, 1.0, 0.6))
    low = start - MARGIN
    for name in "RGB":
        whole = demosaic(data, 0, model, name)[start : start + 20]
        band = demosaic(data[low : start + 20 + MARGIN], low, model, name)
        np.testing.assert_array_equal(band[MARGIN:-MARGIN], whole)


@pytest.mark.parametrize(
    ("pattern", "known"),
    [*((one, True) for one in PATTERNS), ("RGBG", False), ("CMYG", False), ("", False)],
)
def test_which_mosaics_have_known_colours(pattern, known):
    assert is_known(mosaic(pattern)) is known
