"""Frames whose rows were stored in the other order, with and without a card that says so."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from level_nights import write_level_night
from small_night import SHAPE

from autoreduce.frames.turning import TURNED_WITH_ROWS, with_rows_turned
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.remarks import Severity

HOT = np.zeros(SHAPE)
HOT.flat[np.random.default_rng(5).integers(0, HOT.size, 60)] = 900.0


def with_hot_pixels(*turned):
    """Give darks and lights hot pixels, and turn the rows of frames of some types."""

    def change(kind, n, pixels):
        pixels = pixels + HOT if kind in ("dark", "light") else pixels
        return pixels[::-1] if kind in turned else pixels

    return change


def reduce(folder, *settings):
    choices = Choices(settings=settings)
    reduced = reduce_night(folder, choices=choices, page=False)
    told = {one.code: one for one in reduced.told(Severity.DOUBTFUL)}
    return told, sorted((reduced.folder / "calibrated").glob("*"))


def left_of_hot_pixels(lights):
    """Give how much of their hot pixels lights have, at the places of the masters."""
    hot, images = HOT > 0, [fits.getdata(path) for path in lights]
    return np.median([np.median(one[hot]) - np.median(one) for one in images]) / 900


def test_without_a_card_frames_lie_as_they_lie_and_hot_pixels_are_heard(tmp_path):
    night = write_level_night(tmp_path / "night", with_hot_pixels("light"))
    told, lights = reduce(night)
    assert left_of_hot_pixels(lights) == pytest.approx(-1, abs=0.1)
    doubt = told["dark-turned"]
    assert "its rows are turned" in str(doubt)
    assert doubt.way_out == "--set 'light_60s_*: turned=yes'"
    told, lights = reduce(night, "light_60s_*: turned=yes")
    assert "dark-turned" not in told
    assert left_of_hot_pixels(lights) == pytest.approx(0, abs=0.1)


def test_a_card_that_hot_pixels_contradict_is_told(tmp_path):
    def card(kind, path, pixels):
        order = "TOP-DOWN" if kind == "light" else "BOTTOM-UP"
        fits.setval(path, "ROWORDER", value=order)

    told, _ = reduce(
        write_level_night(tmp_path / "night", with_hot_pixels(), write=card)
    )
    assert "dark-turned" in told


def test_frames_that_lie_alike_are_not_doubted(tmp_path):
    told, lights = reduce(write_level_night(tmp_path / "night", with_hot_pixels()))
    assert told == {}
    assert left_of_hot_pixels(lights) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    "matrix",
    [
        {"CD1_1": -2e-4, "CD1_2": 3e-5, "CD2_1": 3e-5, "CD2_2": 2e-4},
        {"CDELT1": -2e-4, "CDELT2": 2e-4, "CROTA2": 20.0},
    ],
)
def test_the_sky_is_where_it_was_in_a_light_that_is_turned(tmp_path, matrix):
    cards = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 200.0,
        "CRVAL2": 30.0,
    }
    cards |= {"CRPIX1": 20.0, "CRPIX2": 11.0, **matrix}

    def place(kind, path, pixels):
        with fits.open(path, mode="update") as hdus:
            hdus[0].header.update(cards)
            del hdus[0].header["DATE-OBS"]

    night = write_level_night(tmp_path / "night", with_hot_pixels(), write=place)
    _, (light, *_) = reduce(night, "light_*: turned=yes")
    (raw,) = night.glob(light.name)
    before, after = WCS(fits.getheader(raw)), WCS(fits.getheader(light))
    for x, y in ((3, 5), (50, 40)):
        was = before.all_pix2world(x, y, 0)
        now = after.all_pix2world(x, SHAPE[0] - 1 - y, 0)
        np.testing.assert_allclose(now, was, atol=1e-9)


def test_facts_turn_with_the_rows_and_back():
    facts = {
        "biassec": "[3:9,1:4]",
        "trimsec": "[1:8,5:10]",
        "bayerpat": "RGGB",
        "roworder": "TOP-DOWN",
    }
    turned = {"biassec": "[3:9,7:10]", "trimsec": "[1:8,1:6]", "bayerpat": "GBRG"}
    turned["roworder"] = "BOTTOM-UP"
    assert {name: with_rows_turned(name, facts[name], 10) for name in facts} == turned
    assert set(facts) == set(TURNED_WITH_ROWS)
    for name, value in facts.items():
        assert with_rows_turned(name, turned[name], 10) == value
