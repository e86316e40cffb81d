"""Transforms between lights against the simulated truth, and matches that are none."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from stack_fields import Pose, add_noise, draw_field, paint

from autoreduce.pixels.register import Transform, match, match_near, match_shift
from autoreduce.pixels.stars import STAR, find_stars

SHAPE = (2048, 2048)
ERROR = 0.05


def table_of(x, y, flux, rng, error=ERROR):
    """Give the stars of a light, with errors of their centres."""
    table = np.zeros(len(x), STAR)
    table["x"] = x + rng.normal(0, error, len(x))
    table["y"] = y + rng.normal(0, error, len(x))
    table["flux"], table["error"] = flux, error
    return table


def seen(field, pose, rng, lost=0.0):
    """Give the stars of a field that lie in a light; some of them are not found."""
    x, y = pose.seen(field[0], field[1], SHAPE)
    inside = (np.abs(x - 1023.5) < 1023.5) & (np.abs(y - 1023.5) < 1023.5)
    inside &= rng.random(len(x)) >= lost
    return table_of(x[inside], y[inside], field[2][inside], rng)


def with_others(table, n, rng):
    """Add detections, faint and bright, that no other light has."""
    other = table_of(*draw_field(n, SHAPE, rng), rng)
    return np.concatenate([table, other])


def off(registration, field, here, there):
    """Give how far the transform is off the truth over the field: 2-d rms."""
    x, y = registration.transform(*here.seen(field[0], field[1], SHAPE))
    u, v = there.seen(field[0], field[1], SHAPE)
    return np.sqrt(np.mean((x - u) ** 2 + (y - v) ** 2))


POSES = {
    "dither": Pose(12.3, -7.1),
    "turn": Pose(-3.3, 4.4, turn_deg=0.5),
    "flip": Pose(10.2, 14.9, turn_deg=180.3),
    "quarter": Pose(1.0, 2.0, turn_deg=-90.0),
    "mirror": Pose(5.0, -5.0, turn_deg=33.0, mirrored=True),
    "scale": Pose(8.0, 8.0, scale=1.005),
    "reducer": Pose(0.0, 40.0, turn_deg=7.0, scale=0.82),
    "half away": Pose(900.0, 300.0, turn_deg=1.0),
}


@pytest.mark.parametrize("pose", POSES.values(), ids=POSES)
@pytest.mark.parametrize("n", [40, 300])
def test_lights_are_registered_as_the_centres_allow(n, pose):
    rng = np.random.default_rng(n)
    field = draw_field(n, SHAPE, rng)
    here, there = Pose(2.0, 1.0), pose
    found = match(seen(field, here, rng, 0.1), seen(field, there, rng, 0.1))
    # Four parameters of two places a star; twice for the stars out of the overlap.
    allowed = ERROR * np.sqrt(2) * np.sqrt(4 / found.n)
    assert off(found, field, here, there) < 2.5 * allowed
    assert off(found, field, here, there) < 3 * found.error
    assert found.transform.mirrored is pose.mirrored
    assert found.rms == pytest.approx(2 * ERROR, rel=0.4)
    assert found.chance < 1e-6


def test_the_errors_of_registrations_are_as_stated():
    squares = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        field = draw_field(30, SHAPE, rng)
        here, there = Pose(), Pose(7.0, -9.0, turn_deg=0.4)
        found = match(seen(field, here, rng), seen(field, there, rng))
        squares.append((off(found, field, here, there) / found.error) ** 2)
    assert np.sqrt(np.mean(squares)) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("n", [12, 20])
def test_few_stars_among_many_impostors_are_matched(n):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        field = draw_field(n, SHAPE, rng, flux=(1e4, 3e5), margin=-60)
        here, there = Pose(), Pose(11.0, -8.0, turn_deg=0.3)
        stars = with_others(seen(field, here, rng), 20, rng)
        reference = with_others(seen(field, there, rng), 20, rng)
        found = match(stars, reference)
        assert off(found, field, here, there) < 0.3


def test_most_lights_of_a_frame_of_64_by_48_pixels_match():
    """Of fifteen stars three pixels wide ten are seen, five to eight widths apart."""
    shape, (u, v) = (48, 64), np.meshgrid([10.0, 32.0, 54.0], [8.0, 24.0, 40.0])
    matched, away = 0, []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        field = draw_field(15, shape, rng, flux=(2e3, 5e4), margin=6.0)
        tables = []
        for pose in (Pose(), Pose(2.3, -1.6, 0.2), Pose(1.6, 3.1, 179.8)):
            scene = np.zeros(shape)
            paint(scene, *pose.seen(*field[:2], shape), field[2], 3.0)
            tables.append(find_stars(add_noise(scene, 100.0, rng)).table)
            if len(tables) > 1 and (one := match(tables[-1], tables[0])):
                matched += 1
                x, y = one.transform(*pose.seen(u, v, shape))
                away.append(np.sqrt(np.mean((x - u) ** 2 + (y - v) ** 2)))
    assert matched > 16
    assert max(away) < 0.6


def test_thousands_of_stars_are_matched_quickly():
    rng = np.random.default_rng(1)
    field = draw_field(5000, SHAPE, rng)
    here, there = Pose(), Pose(14.0, 3.0, turn_deg=180.5)
    found = match(seen(field, here, rng, 0.2), seen(field, there, rng, 0.2))
    assert found.n > 2500
    assert off(found, field, here, there) < 0.01


@pytest.mark.parametrize("n", [3, 5, 12, 40, 300, 2000])
def test_different_fields_do_not_match(n):
    for seed in range(5):
        rng = np.random.default_rng(100 + seed)
        stars, reference = (table_of(*draw_field(n, SHAPE, rng), rng) for _ in range(2))
        assert match(stars, reference) is None


@pytest.mark.parametrize("n", [0, 1, 2])
def test_less_than_three_stars_are_no_match(n):
    rng = np.random.default_rng(1)
    few = table_of(*draw_field(n, SHAPE, rng), rng)
    many = table_of(*draw_field(50, SHAPE, rng), rng)
    for stars, reference in [(few, many), (many, few), (few, few)]:
        assert match(stars, reference) is None
        assert match_near(stars, reference, Transform()) is None
        assert match_shift(stars, reference, Transform()) is None


def test_stars_in_a_line_or_in_one_place_do_no_harm():
    rng = np.random.default_rng(1)
    flux = rng.uniform(1, 2, 10)
    line = table_of(np.arange(10) * 50.0, np.full(10, 9.0), flux, rng)
    assert match(line, line) is None or match(line, line).rms < 0.01
    spot = table_of(np.full(10, 5.0), np.full(10, 5.0), flux, rng, error=0)
    assert match(spot, spot) is None


def test_pairs_are_the_rows_of_the_same_stars():
    rng = np.random.default_rng(3)
    field = draw_field(60, SHAPE, rng, margin=-100)
    stars = seen(field, Pose(), rng)
    reference = seen(field, Pose(20.0, 0.0), rng)
    order = rng.permutation(60)
    found = match(stars, reference[order])
    assert found.n > 55
    assert np.array_equal(found.pairs[:, 0], order[found.pairs[:, 1]])


def test_a_moving_object_is_left_out():
    rng = np.random.default_rng(4)
    field = draw_field(30, SHAPE, rng)
    stars, reference = seen(field, Pose(), rng), seen(field, Pose(), rng)
    brightest = int(np.argmax(stars["flux"]))
    reference["x"][brightest] += 1.5
    found = match(stars, reference)
    assert brightest not in found.pairs[:, 0]
    assert off(found, field, Pose(), Pose()) < 0.05


def test_a_few_wrong_pairs_of_faint_stars_do_not_make_the_rms():
    rng = np.random.default_rng(12)
    field = draw_field(30, SHAPE, rng)
    tables = [table_of(*field, rng) for _ in range(2)]
    faint = np.argsort(field[2])[:3]
    tables[1]["x"][faint] += 1.5
    for table in tables:
        table["error"][faint] = 0.5
    found = match(*tables)
    assert found.n == 30
    # Both centres are off by 0.05 along each axis.
    assert found.rms == pytest.approx(2 * ERROR, rel=0.25)


def test_a_shift_is_found_from_three_stars_where_all_else_is_known():
    rng = np.random.default_rng(5)
    field = draw_field(60, SHAPE, rng)
    here, there = Pose(-31.0, 12.0, turn_deg=179.8), Pose()
    like = match(seen(field, Pose(0, 0, 179.8), rng), seen(field, there, rng))
    few = seen(field, here, rng)
    few = few[np.argsort(-few["flux"])[:5]]
    found = match_shift(few, seen(field, there, rng), like.transform)
    assert off(found, field, here, there) < 0.3
    elsewhere = table_of(*draw_field(5, SHAPE, rng), rng)
    assert match_shift(elsewhere, seen(field, there, rng), like.transform) is None


def test_a_transform_known_to_a_pixel_is_refined():
    rng = np.random.default_rng(6)
    field = draw_field(60, SHAPE, rng)
    stars, reference = seen(field, Pose(), rng), seen(field, Pose(30.0, -10.0), rng)
    found = match_near(stars, reference, Transform(29.0, -9.5))
    assert off(found, field, Pose(), Pose(30.0, -10.0)) < 0.05
    assert match_near(stars, reference, Transform(500.0, 0.0)) is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_transforms_turn_from_x_towards_y(mirrored):
    x, y = Transform(10.0, 20.0, 90.0, 2.0, mirrored)(np.array([1.0]), np.array([3.0]))
    # (1, 3), or (1, -3) mirrored, turned by 90 degrees and doubled.
    assert_allclose((x[0], y[0]), (16.0, 22.0) if mirrored else (4.0, 22.0))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_transforms_are_undone_and_joined(mirrored, other):
    first = Transform(5.0, -7.0, 33.0, 1.1, mirrored)
    second = Transform(-4.0, 9.0, 170.0, 0.9, other)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1000, (2, 5))
    assert_allclose(first.inverse()(*first(x, y)), (x, y), atol=1e-9)
    assert_allclose(first.then(second)(x, y), second(*first(x, y)), atol=1e-9)
    assert -180 < first.then(second).rotation <= 180
