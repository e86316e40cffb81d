"""Cards of a stack, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.pixels.stacking import LightModel
from autoreduce.products.stack_cards import (
    Shares,
    exposure_cards,
    grid_cards,
    noise_cards,
    saturation_cards,
    time_cards,
)

PIXELS = np.zeros((4, 5))
ONE_TO_THREE = Shares((0.25, 0.75))


def values(cards):
    return {card.keyword: card.value for card in cards}


def two_lights(open_light, *others, statistics=({}, {}), **cards):
    others = others or ({}, {})
    return [
        open_light(f"{n}.fits", PIXELS, known, **{**cards, **own})
        for n, (own, known) in enumerate(zip(others, statistics, strict=True))
    ]


def test_shares_are_weights_that_add_up_to_one():
    weights = (1.0, 3.0)
    assert Shares.of([LightModel(w, 0, 0, 0) for w in weights]) == ONE_TO_THREE


@pytest.mark.parametrize(
    ("numbers", "mean"),
    [
        ((1.0, 2.0), 1.75),
        ((1.0, None), 1.0),
        ((float("nan"), 2.0), 2.0),
        ((None, None), None),
    ],
)
def test_means_are_of_what_is_known(numbers, mean):
    assert ONE_TO_THREE.mean(numbers) == mean


def test_gain_and_noise_of_a_mean_of_equals(open_light):
    """A mean of two like lights counts twice the electrons."""
    lights = two_lights(open_light, EGAIN=1.5, RDNOISE=8.0)
    cards = values(noise_cards(lights, Shares((0.5, 0.5))))
    assert cards["EGAIN"] == pytest.approx(3.0)
    assert cards["RDNOISE"] == pytest.approx(8 * 2**0.5)


def test_gain_and_noise_of_scaled_lights(open_light):
    """1 / (1/16 / 2 + 9/16 * 2 / 2) and its read noise, by the formula."""
    lights = two_lights(open_light, EGAIN=2.0, RDNOISE=6.0)
    lights[1] = replace(lights[1], factor=2.0)
    cards = values(noise_cards(lights, ONE_TO_THREE))
    gain = 1 / (0.0625 / 2 + 0.5625)
    assert cards["EGAIN"] == pytest.approx(gain)
    read = ((0.25 * 3) ** 2 + (0.75 * 2 * 3) ** 2) ** 0.5
    assert cards["RDNOISE"] == pytest.approx(gain * read)


def test_noise_is_told_only_where_all_lights_tell_it(open_light):
    half = two_lights(open_light, {"EGAIN": 1.5, "RDNOISE": 8.0}, {"EGAIN": 1.5})
    assert set(values(noise_cards(half, ONE_TO_THREE))) == {"EGAIN"}
    none = two_lights(open_light, {"EGAIN": 1.5}, {})
    assert noise_cards(none, ONE_TO_THREE) == []


def test_times_are_of_all_exposures(open_light):
    """60 s from 20:00 and 20:10; the middle lies at 30 s + 3/4 of 600 s."""
    dates = [{"date_obs": f"2024-03-02T20:{m}:00+00:00"} for m in ("00", "10")]
    cards = values(time_cards(two_lights(open_light, *dates), ONE_TO_THREE))
    assert cards["DATE-OBS"] == "2024-03-02T20:00:00.000"
    assert cards["DATE-AVG"] == "2024-03-02T20:08:00.000"
    assert cards["DATE-END"] == "2024-03-02T20:11:00.000"
    assert cards["MJD-AVG"] == pytest.approx(60371 + (20 + 8 / 60) / 24)
    dates[0] = {}
    alone = values(time_cards(two_lights(open_light, *dates), ONE_TO_THREE))
    assert alone["DATE-AVG"] == "2024-03-02T20:10:30.000"
    assert time_cards(two_lights(open_light), ONE_TO_THREE) == []


def test_exposures_and_airmass(open_light):
    known = ({"airmass": 1.0}, {"airmass": 2.0})
    lights = two_lights(
        open_light, {"exptime": 60.0}, {"exptime": 30.0}, statistics=known
    )
    cards = values(exposure_cards(lights, ONE_TO_THREE, lights[1]))
    assert cards == {"EXPTIME": 30.0, "TOTEXP": 90.0, "AIRMASS": 1.75}
    bare = two_lights(open_light, {"exptime": None}, {})
    assert values(exposure_cards(bare, ONE_TO_THREE, bare[1])) == {
        "EXPTIME": 60.0,
        "TOTEXP": 60.0,
    }


def test_coordinates_are_those_of_the_grid():
    def cards(**values):
        header = fits.Header(values.items()).tostring(padding=False, endcard=False)
        return [header[at : at + 80].encode() for at in range(0, len(header), 80)]

    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4}
    base = cards(OBJECT="M13", CRPIX1=1.0, CRPIX2=2.0, **sky)
    grid = cards(OBJECT="other", CRPIX1=10.0, CRPIX2=20.0, **sky)
    lines = b"".join(grid_cards(base, grid, (3.0, 5.0), 1.0))
    found = fits.Header.fromstring(lines)
    assert (found["OBJECT"], found["CRPIX1"], found["CRPIX2"]) == ("M13", 7.0, 15.0)
    # Pixel 4 of the light is the first of the grid, pixel 6 its first row.
    assert (found["LTV1"], found["LTV2"]) == (-3.0, -5.0)


def test_pixels_are_full_from_the_lowest_level_on_at_which_those_of_a_light_are(
    open_light,
):
    first, second = two_lights(open_light, statistics=({"saturate": 50e3}, {}))
    third = replace(first, factor=0.5, offset=100.0)
    assert values(saturation_cards([first, second], "adu")) == {"SATURATE": 50e3}
    assert values(saturation_cards([first, third], "adu")) == {"SATURATE": 25.1e3}
    assert saturation_cards([second], "adu") == []
    ny, nx = first.grid_shape
    sloped = replace(first, slope=(0.5, -1.0))
    least = 50e3 - (0.5 * (nx - 1) + ny - 1) / 2
    assert values(saturation_cards([first, sloped], "adu")) == {"SATURATE": least}
