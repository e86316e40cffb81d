"""Stacks whose target moves among the stars: told, and only then."""

import numpy as np
import pytest

from autoreduce.pixels.register import Transform
from autoreduce.products.moving import COMET, MINOR_PLANET, of_moving_target
from autoreduce.products.registration import Geometry, Means, Place

SHAPE = (200, 240)
DRIFT = np.outer(np.arange(6.0), (4.0, 1.0))
DITHER = np.random.default_rng(2).uniform(-5, 5, (6, 2))


@pytest.mark.parametrize(
    "name",
    [
        *("C/2023 A3 (Tsuchinshan-ATLAS)", "C2023A3", "C_2023_A3", "c/2020 f3", "12P"),
        *(
            "67P/Churyumov-Gerasimenko",
            "73P-C",
            "P/2010 V1",
            "3I/ATLAS",
            "1I/'Oumuamua",
        ),
        *("Comet Halley", "A/2017 U7", "(433) Eros", "D/1993 F2"),
    ],
)
def test_names_that_are_those_of_comets(name):
    assert COMET.match(name)


@pytest.mark.parametrize(
    "name",
    [
        *("M31", "NGC 7000", "C14", "C 33", "IC 1318", "Caldwell 20", "PK 164+31.1"),
        *("A 2142 A1", "A2218B2", "A 1689 D1", "X 1822 X-1", "(1) M31"),
        *("Abell 2151", "12Panel", "P1", "Panel 2020", "2P2", "3D", "Cometary globule"),
        *(
            "",
            "X-ray",
            "DSO 12",
            "IC 2177",
            "PGC 1234",
            "PN G123",
            "A2199",
            "HD 189733",
        ),
    ],
)
def test_names_that_are_none(name):
    assert not COMET.match(name)
    assert not MINOR_PLANET.match(name)


@pytest.mark.parametrize("name", ["433 Eros", "2024 YR4", "1998QE2", "61 Cygni"])
def test_names_that_may_be_those_of_minor_planets(name):
    assert MINOR_PLANET.match(name)
    assert not COMET.match(name)


def told(open_light, folder, name, shifts, body=None, minutes=5, fwhm=3.0):
    """Give what is said of lights of some stars and, at a place of its own, a body."""
    rng = np.random.default_rng(4)
    stars = rng.uniform(10, 190, (25, 2))
    lights = []
    for k, shift in enumerate(shifts):
        seen = (
            stars
            if body is None
            else [np.add(body[0], np.multiply(body[1], k)), *stars]
        )
        light = open_light(
            f"{k}.fits",
            np.zeros(SHAPE),
            {"fwhm": fwhm},
            stars=np.asarray(seen) + shift,
            date_obs=f"2024-03-02T20:{minutes * k:02d}:00+00:00",
            place=Place(
                Geometry(SHAPE),
                field=1,
                transform=Transform(*-shift),
                means=Means.STARS,
            ),
            OBJECT=name,
        )
        lights.append(light)
    return of_moving_target(lights, Geometry(SHAPE), folder)


@pytest.mark.parametrize("name", ["C/2023 A3", "433 Eros"])
def test_how_far_a_target_moves_among_the_stars_is_told(open_light, tmp_path, name):
    doubt = told(open_light, tmp_path, name, DITHER, ((60, 60), (8.0, 6.0)))
    assert (doubt.code, doubt.expected, doubt.way_out) == ("moving-target", name, "")
    assert doubt.found == "by 50 pixels from the first light to the last"


def test_a_comet_that_the_telescope_followed_has_a_way_out(open_light, tmp_path):
    doubt = told(open_light, tmp_path, "12P", DRIFT, ((60, 60), (-4.0, -1.0)))
    assert (doubt.way_out, "by 21 pixels" in doubt.found) == ("--align none", True)


def test_a_star_named_by_number_is_no_minor_planet(open_light, tmp_path):
    hot = ((60, 60), (-4.0, -1.0))
    assert told(open_light, tmp_path, "61 Cygni", DRIFT, hot) is None
    assert told(open_light, tmp_path, "61 Cygni", DITHER) is None
    assert told(open_light, tmp_path, "M31", DITHER, ((60, 60), (8.0, 6.0))) is None


@pytest.mark.parametrize(("minutes", "is_told"), [(5, True), (1, False)])
def test_of_a_comet_that_is_not_found_it_is_told_of_long_series(
    open_light, tmp_path, minutes, is_told
):
    doubt = told(open_light, tmp_path, "12P", DITHER, minutes=minutes)
    assert (doubt is not None) == is_told


def test_a_comet_that_moves_by_less_than_it_is_wide_is_no_doubt(open_light, tmp_path):
    body = ((60, 60), (1.2, 0.0))
    assert told(open_light, tmp_path, "12P", DITHER, body, fwhm=3.0) is not None
    assert told(open_light, tmp_path, "12P", DITHER, body, fwhm=8.0) is None
