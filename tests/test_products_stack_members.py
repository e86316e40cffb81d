"""Lights brought to one grid: what is shown, and what is doubtful."""

import math

import numpy as np
import pytest
from small_products import make_space

from autoreduce.pixels.register import Transform
from autoreduce.products.registration import (
    Geometry,
    Means,
    Place,
    RegistrationProduct,
)
from autoreduce.products.stack_members import aligned, unaligned

SHAPE = (40, 60)
STARS = np.array([(10 + 13 * (i % 4), 8 + 12 * (i // 4)) for i in range(12)])
STARS = STARS + np.random.default_rng(3).uniform(-2, 2, STARS.shape)


def place(dx=0.0, dy=0.0, **others):
    means = Means.STARS if dx or dy else Means.REFERENCE
    facts = {"field": 1, "transform": Transform(dx, dy), "means": means, **others}
    return Place(Geometry(SHAPE), **facts)


def lights_at(open_light, *places, statistics=None, **cards):
    known = statistics or {"sky": 100.0, "sky_noise": 10.0, "fwhm": 3.0}
    lights = []
    for n, where in enumerate(places):
        shift = (where.transform.dx, where.transform.dy) if where else (0, 0)
        stars = cards.get("stars", STARS) - shift
        light = open_light(
            f"{n}.fits",
            np.full(SHAPE, 100.0 + n),
            known,
            stars=stars,
            place=where,
            EGAIN=cards.get("EGAIN", 1.5),
        )
        lights.append(light)
    return lights


def lay(folder, lights, recipe="", references=("0.fits",)):
    places = {"0.fits": place()}
    places |= {light.item.file: light.place or place() for light in lights}
    product = RegistrationProduct(references, places)
    return aligned(lights, 1, product, make_space(folder, recipe).recipe, folder)


@pytest.mark.parametrize(
    ("recipe", "sky", "offset", "word"),
    [
        ("", 120.0, -20.0, "nothing tells where"),
        ('[stack]\nlevel = "none"', 120.0, 0.0, "nothing tells where"),
        ("", math.nan, 0.0, "nothing tells where"),
        ('[stack]\nalign = "none"', 120.0, -20.0, "recipe mine asks"),
    ],
)
def test_lights_that_are_not_aligned_get_one_sky(
    open_light, tmp_path, recipe, sky, offset, word
):
    lights = [
        open_light(f"{n}.fits", np.zeros(SHAPE), {"sky": level})
        for n, level in enumerate((100.0, sky))
    ]
    members = unaligned(lights, make_space(tmp_path, recipe).recipe)
    assert [light.offset for light in members.lights] == [0.0, offset]
    assert members.grid == Geometry(SHAPE)
    assert members.reference.item.file == "0.fits"
    assert [model.weight for model in members.models] == [1.0, 1.0]
    assert [(one.code, one.found) for one in members.remarks] == [("not-aligned", word)]


@pytest.mark.parametrize("is_aligned", [True, False])
@pytest.mark.parametrize(
    ("lengths", "found", "expected"),
    [
        ((1.2, 1.99), None, None),
        ((1.2, 2.4), "L.fits", "2.4"),
        ((2.4, 3.1), "L.fits, L.fits", "2.4 to 3.1"),
        ((2.41, 2.44), "L.fits, L.fits", "2.4"),
    ],
)
def test_long_stars_are_told_of_each_light(
    open_light, tmp_path, is_aligned, lengths, found, expected
):
    """Both lights have one name, in the folders of two nights."""
    lights = []
    for n, length in enumerate(lengths):
        (tmp_path / f"n{n}").mkdir()
        seen = {"sky": 100.0, "sky_noise": 10.0, "stars": 12.0, "elongation": length}
        where = place(3.0 * n) if is_aligned else None
        light = open_light(f"n{n}/L.fits", np.full(SHAPE, 100.0), seen, place=where)
        lights.append(light)
    if is_aligned:
        members = lay(tmp_path, lights, references=("n0/L.fits",))
    else:
        members = unaligned(lights, make_space(tmp_path).recipe)
    told = [one for one in members.remarks if one.code == "long-stars"]
    assert [(one.found, one.expected) for one in told] == [(found, expected)] * bool(
        found
    )


def test_a_light_that_shows_each_star_twice_is_told(open_light, tmp_path):
    twice = np.concatenate([STARS, STARS + np.array([5.0, 3.0])])
    known = {"sky": 100.0, "sky_noise": 10.0, "fwhm": 3.0}
    lights = [
        open_light(
            f"{n}.fits", np.full(SHAPE, 100.0), known, stars=stars, place=place()
        )
        for n, stars in enumerate((STARS, twice))
    ]
    told = {one.code: one for one in lay(tmp_path, lights).remarks}
    assert (told["double-stars"].found, told["double-stars"].expected) == (
        "1.fits",
        "5.8",
    )


@pytest.mark.parametrize(
    ("rms", "matched", "fwhm", "is_told"),
    [
        (0.9, 60, 3.0, True),
        (0.4, 60, 1.5, False),
        (0.9, 12, 3.0, False),
        (0.9, 60, 6.0, False),
    ],
)
def test_stars_that_no_shift_and_turn_lay_on_one_another_are_told(
    open_light, tmp_path, rms, matched, fwhm, is_told
):
    known = {"sky": 100.0, "sky_noise": 10.0, "fwhm": fwhm}
    bent = place(3.0, 2.0, rms=rms, matched=matched)
    lights = lights_at(open_light, place(), bent, statistics=known)
    told = {one.code: one for one in lay(tmp_path, lights).remarks}
    assert ("bent-field" in told) == is_told
    if is_told:
        assert (told["bent-field"].found, told["bent-field"].expected) == (
            "1.fits",
            "0.9",
        )


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        ((3.0, 3.1, 5.9), {}),
        ((1.3, 1.2, 1.1), {}),
        ((1.1, 1.2, 1.1), {"sharp-stars": ("1.1", "1.2")}),
        ((3.0, 6.2, 7.8), {"unlike-widths": ("1.fits, 2.fits", "3.0 to 7.8")}),
    ],
)
def test_stars_as_sharp_as_pixels_and_of_unlike_widths_are_told(
    open_light, tmp_path, widths, told
):
    lights = [
        open_light(
            f"{n}.fits",
            np.full(SHAPE, 100.0),
            {"sky": 100.0, "sky_noise": 10.0, "stars": 12.0, "fwhm": width},
            stars=STARS,
            place=place(),
            EGAIN=1.5,
        )
        for n, width in enumerate(widths)
    ]
    found = lay(tmp_path, lights).remarks
    assert {one.code: (one.found, one.expected) for one in found} == told


def test_a_few_galaxies_are_no_long_stars(open_light, tmp_path):
    seen = {"sky": 100.0, "stars": 7.0, "elongation": 3.3}
    lights = [open_light(f"{n}.fits", np.full(SHAPE, 100.0), seen) for n in range(2)]
    members = unaligned(lights, make_space(tmp_path).recipe)
    assert [one.code for one in members.remarks] == ["not-aligned"]


def test_spectra_that_are_not_aligned_have_no_long_stars(open_light, tmp_path):
    rng = np.random.default_rng(4)
    trace = 400 * np.exp(-((np.arange(160)[:, None] - 70) ** 2) / 8)
    data = trace + 3 * rng.standard_normal((160, 200))
    seen = {"sky": 0.0, "elongation": 5.0}
    lights = [open_light(f"{n}.fits", data, seen) for n in range(2)]
    members = unaligned(lights, make_space(tmp_path).recipe)
    assert [one.code for one in members.remarks] == ["not-aligned"]


def test_the_grid_is_that_of_the_reference(open_light, tmp_path):
    members = lay(tmp_path, lights_at(open_light, place(), place(3.0, 2.0)))
    assert members.grid == Geometry(SHAPE)
    assert members.reference.item.file == "0.fits"
    assert members.remarks == ()
    assert [light.n_common for light in members.lights] == [12, 12]


def test_without_the_reference_the_best_light_gives_the_scale(open_light, tmp_path):
    lights = lights_at(open_light, place(), place(3, 2), place(5, 5, quality=2.0))
    members = lay(tmp_path, lights[1:])
    assert members.reference.item.file == "2.fits"
    assert members.grid == Geometry(SHAPE)


@pytest.mark.parametrize(
    ("area", "shape", "origin"),
    [
        ("reference", (40, 60), (0.0, 0.0)),
        ("common", (38, 57), (3.0, 2.0)),
        ("all", (42, 63), (0.0, 0.0)),
    ],
)
def test_the_area_that_is_shown(open_light, tmp_path, area, shape, origin):
    lights = lights_at(open_light, place(), place(3.0, 2.0))
    members = lay(tmp_path, lights, f'[stack]\narea = "{area}"')
    assert (members.grid.shape, members.grid.origin) == (shape, origin)


def test_lights_that_show_nothing_in_common_keep_the_references_area(
    open_light, tmp_path
):
    lights = lights_at(open_light, place(), place(100.0, 0.0))
    members = lay(tmp_path, lights, '[stack]\narea = "common"')
    assert members.grid == Geometry(SHAPE)


def test_a_gain_that_no_header_tells_is_told_from_the_sky(open_light, tmp_path):
    members = lay(tmp_path, lights_at(open_light, place(), place(3.0, 2.0), EGAIN=None))
    (doubt,) = members.remarks
    assert (doubt.code, doubt.found) == ("gain-from-sky", "1")
    assert members.models[0].photon == pytest.approx(1.0)


def test_a_scale_or_a_place_without_stars_is_doubtful(open_light, tmp_path):
    imaged = place(3.0, 2.0, means=Means.IMAGE)
    members = lay(tmp_path, lights_at(open_light, place(), imaged, stars=STARS[:2]))
    found = {one.code: one.found for one in members.remarks}
    assert found == {"flux-by-exposure": "1.fits", "by-image": "1.fits"}


@pytest.mark.parametrize(
    ("dx", "matched", "still"), [(0.05, 4, True), (0.05, 12, False), (0.5, 4, False)]
)
def test_that_nothing_moves_is_said_of_few_stars(
    open_light, tmp_path, dx, matched, still
):
    places = [place(), *(place(dx, matched=matched) for _ in range(2))]
    members = lay(tmp_path, lights_at(open_light, *places))
    told = {one.code: one.found for one in members.remarks}
    assert told == ({"nothing-moves": "1.fits, 2.fits"} if still else {})


def test_a_scale_on_which_the_stars_do_not_agree_is_doubtful(open_light, tmp_path):
    fluxes = 1000 * np.random.default_rng(2).lognormal(0, 0.3, len(STARS))
    known = {"sky": 100.0, "sky_noise": 10.0, "fwhm": 3.0}
    lights = [
        open_light(
            f"{n}.fits",
            np.full(SHAPE, 100.0),
            known,
            stars=STARS - (3.0 * n, 2.0 * n),
            flux=flux,
            place=place(3.0 * n, 2.0 * n),
            EGAIN=1.5,
        )
        for n, flux in enumerate((1000.0, fluxes))
    ]
    (doubt,) = lay(tmp_path, lights).remarks
    assert doubt.code == "flux-uncertain"
    name, _, error, unit = doubt.found.split()
    assert (name, unit) == ("1.fits", "%")
    # Twelve stars that scatter by 0.3 tell the scale to 0.3 / sqrt(12).
    assert 5 < float(error) < 13
