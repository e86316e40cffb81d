"""Where lights lie: by images and coordinates, and what is written of it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from small_products import make_space, make_stars, write_product

from autoreduce.fits.cards import format_card
from autoreduce.fits.images import open_image
from autoreduce.fits.writer import ImageWriter
from autoreduce.pixels.correlation import Shift
from autoreduce.pixels.register import Transform
from autoreduce.pixels.stars import STAR
from autoreduce.planning.plan import Action, Task
from autoreduce.products import registration
from autoreduce.products.registration import (
    Geometry,
    Means,
    Place,
    RegistrationProduct,
    _by_stars,
    _Light,
    _moves,
    _place_moving,
    _shifts,
    make_registration,
    place_numbers,
    read_registration,
)
from autoreduce.remarks import remark

SIZE = 300
SHAPE = (200, 200)


def nebula(seed=1):
    rng = np.random.default_rng(seed)
    scene = np.zeros((SIZE, SIZE))
    for scale in (2, 5, 12):
        layer = gaussian_filter(rng.normal(size=(SIZE, SIZE)), scale, mode="wrap")
        scene += layer / layer.std() * 15
    return scene


def write_lights(folder, *shifts, stars=(), seed=1, **cards):
    """Write views of a nebula, each begun so many pixels (x, y) later."""
    rng = np.random.default_rng(9)
    scene = nebula(seed)
    names = []
    for n, (x, y) in enumerate(shifts):
        view = scene[50 + y : 50 + y + SHAPE[0], 50 + x : 50 + x + SHAPE[1]]
        noisy = view + 200 + rng.normal(0, 5, SHAPE)
        table = make_stars(stars)
        names.append(write_product(folder / f"{n}.fits", noisy, table, **cards))
    return names


def registered(folder, names, recipe="", reference=None):
    task = Task(
        "r.json",
        Action.REGISTER,
        "nebula",
        {},
        products=tuple(names),
        reference=reference,
    )
    workspace = make_space(folder, recipe)
    made = make_registration(task, workspace, "digest", {name: {} for name in names})
    return made, read_registration(folder / "r.json")


@pytest.mark.parametrize("reference", [None, "1.fits"])
def test_lights_without_stars_are_placed_by_their_images(tmp_path, reference):
    shifts = [(0, 0), (7, -4), (-11, 5)]
    names = write_lights(tmp_path, *shifts)
    made, found = registered(tmp_path, names, reference=reference)
    (first,) = found.references
    assert reference in (None, first)
    assert made.statistics == {"fields": 1.0, "lights": 3.0, "placed": 3.0}
    at = names.index(first)
    for name, (x, y) in zip(names, shifts, strict=True):
        place = found.places[name]
        wanted = x - shifts[at][0], y - shifts[at][1]
        assert (place.transform.dx, place.transform.dy) == pytest.approx(
            wanted, abs=0.3
        )
        assert place.means is (Means.REFERENCE if name == first else Means.IMAGE)
        assert place.why_not is None
        assert made.measured[name]["dx"] == pytest.approx(wanted[0], abs=0.3)


def test_clumps_of_a_nebula_are_no_stars(tmp_path):
    shifts = [(0, 0), (7, -4), (-11, 5)]
    names = write_lights(tmp_path, *shifts)
    rng = np.random.default_rng(3)
    clumps = rng.uniform(20, 180, (30, 2))
    for name, shift in zip(names, shifts, strict=True):
        # What is wide has no sharp place: it lies where noise has it.
        table = make_stars(clumps - shift + rng.normal(0, 1.5, clumps.shape))
        table["fwhm"] = 20.0
        with open_image(tmp_path / name) as reader:
            image = reader.read()
        write_product(tmp_path / name, image, table[:18])
    _, found = registered(tmp_path, names, reference="0.fits")
    for name, shift in zip(names, shifts, strict=True):
        place = found.places[name]
        assert (place.transform.dx, place.transform.dy) == pytest.approx(shift, abs=0.3)
        assert place.means in (Means.REFERENCE, Means.IMAGE)


def test_of_a_mosaic_the_places_are_in_its_own_pixels(tmp_path):
    names = write_lights(tmp_path, (0, 0), (8, -4), BAYERPAT="RGGB")
    _, found = registered(tmp_path, names, reference="0.fits")
    place = found.places["1.fits"]
    assert (place.transform.dx, place.transform.dy) == pytest.approx((8, -4), abs=0.5)


def test_images_that_show_nothing_in_common_have_no_place(tmp_path):
    names = write_lights(tmp_path, (0, 0))
    names += [write_product(tmp_path / "x.fits", nebula(5)[:200, :200], make_stars([]))]
    names += [write_product(tmp_path / "y.fits", np.ones((50, 50)), make_stars([]))]
    made, found = registered(tmp_path, names)
    assert found.references == ()
    assert made.statistics["placed"] == 0
    assert made.measured == {}
    assert {place.why_not.code for place in found.places.values()} == {
        "no-stars-to-place"
    }


def sky(x, y):
    """Give coordinates of a light that is so many pixels off."""
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
        "CRPIX1": 100.0 + x, "CRPIX2": 100.0 + y, "CDELT1": -3e-4, "CDELT2": 3e-4,
    }  # fmt: skip


def test_coordinates_place_lights_where_they_are_asked_for(tmp_path):
    for name, cards in (("0", sky(0, 0)), ("1", sky(-6, 9)), ("2", {})):
        write_product(
            tmp_path / f"{name}.fits", np.ones(SHAPE), make_stars([]), **cards
        )
    names = [f"{n}.fits" for n in range(3)]
    _, found = registered(tmp_path, names, '[stack]\nalign = "wcs"', "0.fits")
    assert found.references == ("0.fits",)
    place = found.places["1.fits"]
    assert (place.transform.dx, place.transform.dy) == pytest.approx((6, -9), abs=1e-3)
    assert place.means is Means.WCS
    lost = found.places["2.fits"]
    assert (lost.field, lost.why_not.code) == (0, "no-coordinates")


def test_without_any_coordinates_nothing_is_placed(tmp_path):
    names = write_lights(tmp_path, (0, 0), (7, -4))
    _, found = registered(tmp_path, names, '[stack]\nalign = "wcs"')
    assert found.references == ()
    assert all(place.why_not is not None for place in found.places.values())


def test_a_light_without_a_place_lies_on_no_grid():
    with pytest.raises(ValueError, match="without a place"):
        Place(Geometry(SHAPE)).on_grid(Geometry(SHAPE))


def test_binned_pixels_lie_in_the_middle_of_those_they_are_made_of():
    """Pixel 0 of a light binned by 3 that begins at 10 covers 10, 11 and 12."""
    transform = Geometry(SHAPE, 3.0, (10.0, 20.0)).to_sensor
    assert transform(np.float64(0), np.float64(0)) == (11.0, 21.0)
    assert transform(np.float64(1), np.float64(2)) == (14.0, 27.0)


def test_numbers_of_a_place_are_about_its_centre():
    reference = Place(Geometry((100, 200)), 1, Transform(), Means.REFERENCE, rms=0.0)
    moved = Place(Geometry((100, 200)), 1, Transform(5.0, -3.0), Means.STARS, 12)
    product = RegistrationProduct(("a",), {"a": reference, "b": moved})
    numbers = place_numbers(moved, product)
    assert (numbers["dx"], numbers["dy"]) == (5.0, -3.0)
    assert (numbers["field"], numbers["matched"], numbers["scale"]) == (1.0, 12.0, 1.0)
    assert "rms" not in numbers  # unknown
    assert place_numbers(Place(Geometry((9, 9))), product) == {}


def test_what_is_written_comes_back(tmp_path):
    names = write_lights(tmp_path, (0, 0), (7, -4), XBINNING=1)
    _, found = registered(tmp_path, names)
    again = registered(tmp_path, names)[1]
    assert again.references == found.references
    assert again.scales == found.scales == (1.0,)
    for name in names:
        one, two = found.places[name], again.places[name]
        assert (one.geometry, one.transform) == (two.geometry, two.transform)
        assert math.isnan(one.rms) == math.isnan(two.rms)


def test_a_reason_survives_its_json_form(tmp_path):
    write_product(tmp_path / "0.fits", np.ones(SHAPE), make_stars([]))
    _, found = registered(tmp_path, ["0.fits"])
    why = found.places["0.fits"].why_not
    assert why == remark("no-stars-to-place", "0.fits", found="0", expected="nebula")


SMALL = (160, 192)


def blobs(dx, dy, width):
    y, x = np.indices(SMALL, dtype=float)
    x, y = x - 90 - dx, y - 80 - dy
    image = np.zeros(SMALL)
    for ox, oy, flux in ((0, 0, 60), (14, 5, 40), (-9, 16, 30), (-20, -12, 35)):
        image += flux * np.exp(-((x - ox) ** 2 + (y - oy) ** 2) / (2 * width**2))
    return image


def write_blobs(folder, shifts, *, pattern, width=4.0, dark=()):
    rng = np.random.default_rng(3)
    fixed = gaussian_filter(np.random.default_rng(1).standard_normal(SMALL), 1.5)
    fixed *= pattern / np.std(fixed)
    lights = []
    for i, (dx, dy) in enumerate(shifts):
        data = (i not in dark) * blobs(dx, dy, width)
        data = data + fixed + 3 * rng.standard_normal(SMALL)
        with ImageWriter(folder / f"{i}.fits", SMALL, header_cards=1) as writer:
            writer.write_rows(0, data.astype(np.float32))
            writer.finish(format_card("NUMBER", i))
        lights.append(_Light(f"{i}.fits", np.empty(0, STAR), Geometry(SMALL)))
    return lights


DITHERS = [(0, 0), (20, -15), (-18, 12), (25, 22), (-24, -20), (6, 30)]


def test_a_nebula_is_found(tmp_path):
    lights = write_blobs(tmp_path, DITHERS, pattern=0.0)
    found = _shifts(tmp_path, lights, 0, range(1, 6))
    assert sorted(found) == [1, 2, 3, 4, 5]
    for i, shift in found.items():
        assert shift.dx == pytest.approx(-DITHERS[i][0], abs=0.3)
        assert shift.dy == pytest.approx(-DITHERS[i][1], abs=0.3)


@pytest.mark.parametrize("pattern", [0.0, 30.0])
def test_lights_that_do_not_move_lie_on_one_another(tmp_path, pattern):
    lights = write_blobs(tmp_path, [(0, 0)] * 6, pattern=pattern)
    task = Task("x.json", Action.REGISTER, "x", {})
    found = _by_stars(make_space(tmp_path), lights, 0, task)
    assert found.references == ("0.fits",)
    assert max(place.transform.length for place in found.places.values()) < 0.3


@pytest.mark.parametrize("shifts", [DITHERS, [(x / 6, y / 6) for x, y in DITHERS]])
def test_lights_are_placed_as_the_sky_moves_beside_a_pattern(tmp_path, shifts):
    lights = write_blobs(tmp_path, shifts, pattern=30.0)
    task = Task("x.json", Action.REGISTER, "x", {})
    found = _by_stars(make_space(tmp_path), lights, None, task)
    (first,) = (int(name.split(".")[0]) for name in found.references)
    for i, (dx, dy) in enumerate(shifts):
        place = found.places[f"{i}.fits"].transform
        assert place.dx == pytest.approx(shifts[first][0] - dx, abs=0.3)
        assert place.dy == pytest.approx(shifts[first][1] - dy, abs=0.3)


@pytest.mark.parametrize("drift", [0.0, 3.0])
def test_stars_are_believed_where_something_else_moves(tmp_path, drift):
    rng = np.random.default_rng(4)
    xy = rng.uniform(10, min(SMALL) - 10, (12, 2))
    lights = [
        light._replace(stars=make_stars(xy + np.array([drift, -drift]) * i))
        for i, light in enumerate(write_blobs(tmp_path, DITHERS, pattern=30.0))
    ]
    task = Task("x.json", Action.REGISTER, "x", {})
    found = _by_stars(make_space(tmp_path), lights, 0, task)
    for i, (name, place) in enumerate(found.places.items()):
        assert name == f"{i}.fits"
        assert place.transform.dx == pytest.approx(-drift * i, abs=0.05)
        assert place.transform.dy == pytest.approx(drift * i, abs=0.05)
        assert place.sky_moves == (drift == 0 and i > 0)


def test_a_cloud_before_the_reference_costs_no_other_light(tmp_path):
    shifts = [(0, 0), *np.random.default_rng(6).uniform(-25, 25, (15, 2))]
    lights = write_blobs(tmp_path, shifts, pattern=30.0, dark=(0,))
    task = Task("x.json", Action.REGISTER, "x", {})
    found = _by_stars(make_space(tmp_path), lights, 0, task)
    places = [found.places[f"{i}.fits"].transform for i in range(1, 16)]
    off = [
        (place.dx + dx, place.dy + dy)
        for place, (dx, dy) in zip(places, shifts[1:], strict=True)
    ]
    assert np.ptp(off, axis=0).max() < 0.6


def test_no_light_lies_where_the_pattern_has_it_once_the_sky_is_seen_to_move(tmp_path):
    """Lights in Ha, one behind clouds, beside those in V that stars place."""
    shifts = [*DITHERS, (0, 0), (5, 5), (-5, 3)]
    lights = write_blobs(tmp_path, shifts, pattern=30.0, dark=(5,))
    xy = np.random.default_rng(4).uniform(20, 140, (30, 2))
    for i in (6, 7, 8):
        lights[i] = lights[i]._replace(stars=make_stars(xy + shifts[i]), filter="V")
    task = Task("x.json", Action.REGISTER, "x", {})
    found = _by_stars(make_space(tmp_path), lights, None, task)
    places = list(found.places.values())
    assert [place.field for place in places] == [2] * 5 + [0] + [1] * 3
    first = int(found.references[1].removesuffix(".fits"))
    for place, (dx, dy) in zip(places[:5], shifts, strict=False):
        assert place.transform.dx == pytest.approx(shifts[first][0] - dx, abs=0.3)
        assert place.transform.dy == pytest.approx(shifts[first][1] - dy, abs=0.3)
    assert places[5].why_not.code == "no-stars-to-place"


def lone(field=1, shift=(0.0, 0.0), means=Means.IMAGE, matched=0):
    """Give a light of few stars, and its place."""
    geometry = Geometry(SMALL)
    place = Place(geometry, field, Transform(*shift), means, matched, quality=1.0)
    return _Light("", np.empty(0, STAR), geometry), place


def as_the_sky_moves(monkeypatch, told, placed, references=("0",)):
    """Place lights by their numbers, of which it is told how the sky moves."""
    numbers = (str(i) for i in range(len(placed)))
    lights = [
        light._replace(output=name)
        for (light, _), name in zip(placed, numbers, strict=True)
    ]
    monkeypatch.setattr(registration, "_image", lambda _, light: int(light.output))
    monkeypatch.setattr(
        registration,
        "movement",
        lambda images: [told[i] and Shift(Transform(*told[i]), 0.1, 9) for i in images],
    )
    places, references = [place for _, place in placed], list(references)
    _place_moving(Path(), lights, range(len(told)), places, references)
    return places, references


def test_places_of_few_stars_are_kept_where_the_sky_moves_as_they_say(monkeypatch):
    """Five stars are kept within 0.3 pixels of the movement, and are hot pixels beyond."""
    five = {"means": Means.STARS, "matched": 5}
    placed = [
        lone(means=Means.REFERENCE),
        lone(shift=(10.2, 0), **five),
        lone(shift=(20, 0.4), **five),
        lone(shift=(30.2, 0)),
    ]
    told = [(0, 0), (10, 0), (20, 0), (30, 0)]
    places, references = as_the_sky_moves(monkeypatch, told, placed)
    assert references == ["0"]
    assert [place.means for place in places[1:]] == ["stars", "image", "image"]
    assert [place.transform.dx for place in places[1:]] == [10.2, 20, 30]
    assert (places[1], places[2].transform.dy) == (placed[1][1], 0)


def test_a_light_of_which_nothing_is_seen_to_move_is_none_of_the_pattern_s(monkeypatch):
    """The fourth lies on the first as the sensor does; the fifth lies elsewhere."""
    placed = [
        lone(means=Means.REFERENCE),
        *(lone() for _ in range(3)),
        lone(shift=(3, 0)),
    ]
    told = [(0, 0), (10, 0), (20, 0), None, None]
    places, _ = as_the_sky_moves(monkeypatch, told, placed)
    assert [place.field for place in places] == [1, 1, 1, 0, 1]
    assert [place.transform.dx for place in places[:3]] == [0, 10, 20]
    assert places[3].why_not == remark("no-stars-to-place", "3", found="0")
    assert places[4] == placed[4][1]


@pytest.mark.parametrize("dx", [0.0, 5.0])
def test_the_pattern_is_no_place_in_another_field_wherever_that_of_the_sky_begins(
    monkeypatch, dx
):
    """The last of five in B lies on the first field, of V, as the sensor does.

    The others are of the second field, in which their first lies at `dx`.
    """
    pattern = lone(means=Means.STARS, matched=4)
    placed = [*(lone(2, (dx + 3 * i, 0)) for i in range(4)), pattern]
    placed.append(lone(means=Means.STARS, matched=30))
    told = [*((3 * i, 0) for i in range(4)), None]
    places, _ = as_the_sky_moves(monkeypatch, told, placed, ("5", "6"))
    assert [place.field for place in places] == [2, 2, 2, 2, 0, 1]
    assert [place.transform.dx for place in places[:4]] == [
        dx + 3 * i for i in range(4)
    ]
    assert places[4].why_not == remark("no-stars-to-place", "4", found="0")


def test_lights_that_lie_elsewhere_by_their_images_stay_with_those_of_the_stars(
    monkeypatch,
):
    """The movement has all their places wrong, and may be wrong as well."""
    stars = {"means": Means.STARS, "matched": 40}
    placed = [*(lone(shift=(9.0 * i, 5)) for i in range(3)), lone(**stars)]
    told = [(0, 0), (0, 10), (0, 20)]
    places, references = as_the_sky_moves(monkeypatch, told, placed)
    assert (places, references) == ([place for _, place in placed], ["0"])


def test_lights_that_nothing_has_placed_are_a_field_as_the_sky_moves(monkeypatch):
    nowhere = lone(field=0, means=Means.NONE)
    nowhere = nowhere[0], replace(nowhere[1], transform=None)
    told = [(0, 0), (0, 10), (0, 20)]
    places, references = as_the_sky_moves(monkeypatch, told, [nowhere] * 3, ())
    assert references == ["0"]
    assert [(place.field, place.means) for place in places] == [
        (1, Means.REFERENCE), (1, Means.IMAGE), (1, Means.IMAGE),
    ]  # fmt: skip
    assert [place.transform.dy for place in places] == [0, 10, 20]


def test_a_batch_in_which_nothing_is_clear_costs_no_light_of_another(monkeypatch):
    """Of fifteen lights the first goes with two batches of seven."""
    told = [(i, 0) if i in (0, *range(1, 15, 2)) else None for i in range(15)]
    seen = []

    def move(images):
        seen.append(list(images))
        clear = all(told[i] for i in seen[-1])
        return [Shift(Transform(*told[i]), 0.1, 9) if clear else None for i in seen[-1]]

    monkeypatch.setattr(registration, "_image", lambda _, light: int(light.output))
    monkeypatch.setattr(registration, "movement", move)
    lights = [lone()[0]._replace(output=str(i)) for i in range(15)]
    first, moves = _moves(Path(), lights, range(15), 0)
    assert seen == [[0, *range(1, 15, 2)], [0, *range(2, 15, 2)]]
    assert first == 0
    assert {i: move.dx for i, move in moves.items()} == {i: i for i in seen[0]}


def test_spectra_without_a_word_in_their_headers_are_not_placed(tmp_path):
    rng = np.random.default_rng(5)
    y = np.arange(SMALL[0])[:, None]
    lights = []
    for i in range(3):
        data = 40 * np.exp(-((y - 70 - i) ** 2) / 8) + 3 * rng.standard_normal(SMALL)
        with ImageWriter(tmp_path / f"{i}.fits", SMALL, header_cards=1) as writer:
            writer.write_rows(0, data.astype(np.float32))
            writer.finish(format_card("NUMBER", i))
        lights.append(_Light(f"{i}.fits", np.empty(0, STAR), Geometry(SMALL)))
    task = Task("x.json", Action.REGISTER, "x", {})
    workspace = make_space(tmp_path)
    found = _by_stars(workspace, lights, None, task)
    assert found.references == ()
    codes = {place.why_not.code for place in found.places.values() if place.why_not}
    assert codes == {"drawn-out"}
