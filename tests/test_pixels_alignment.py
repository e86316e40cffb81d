"""Which lights lie on which, whatever their order, and what belongs to the detector."""

import numpy as np
import pytest
from stack_fields import Pose, draw_field
from test_pixels_register import SHAPE, seen, table_of

from autoreduce.pixels.alignment import (
    Unmatched,
    quality,
    register_all,
    static_detections,
)
from autoreduce.pixels.stars import LightStatistics, Stars


def dithered(n_lights, n_stars, rng, reach=15.0, **pose):
    """Give the field, its lights' poses and their stars."""
    field = draw_field(n_stars, SHAPE, rng, margin=200)
    poses = [Pose(*rng.uniform(-reach, reach, 2), **pose) for _ in range(n_lights)]
    return field, poses, [seen(field, one, rng, 0.1) for one in poses]


def graded(tables):
    """Give qualities and names."""
    qualities = [float(len(table)) for table in tables]
    return qualities, [f"light_{i:03d}" for i in range(len(tables))]


def off(placed, field, pose, reference):
    """Give how far a light's transform is off the truth over the field."""
    x, y = placed.transform(*pose.seen(field[0], field[1], SHAPE))
    u, v = reference.seen(field[0], field[1], SHAPE)
    return np.sqrt(np.mean((x - u) ** 2 + (y - v) ** 2))


def test_all_lights_of_a_field_lie_on_its_reference():
    rng = np.random.default_rng(1)
    field, poses, tables = dithered(12, 60, rng)
    found = register_all(tables, *graded(tables))
    (reference,) = found.references
    for placed, pose in zip(found.lights, poses, strict=True):
        assert placed.field == 1
        assert placed.reason is None
        assert off(placed, field, pose, poses[reference]) < 0.1
    assert found.lights[reference].registration is None


def test_a_richer_field_does_not_become_the_reference():
    rng = np.random.default_rng(2)
    _, _, tables = dithered(6, 40, rng)
    tables.insert(3, table_of(*draw_field(2000, SHAPE, rng), rng))
    found = register_all(tables, *graded(tables))
    assert len(found.references) == 1
    assert found.references[0] != 3
    assert [placed.field for placed in found.lights] == [1, 1, 1, 0, 1, 1, 1]
    assert found.lights[3].transform is None
    assert found.lights[3].reason is Unmatched.NO_MATCH


def test_lights_that_fit_one_another_alone_are_a_field_of_their_own():
    rng = np.random.default_rng(3)
    _, _, many = dithered(5, 40, rng)
    _, _, others = dithered(3, 300, rng)
    tables = [others[0], *many, *others[1:], many[0][:1]]
    found = register_all(tables, *graded(tables))
    assert [placed.field for placed in found.lights] == [2, 1, 1, 1, 1, 1, 2, 2, 0]
    assert found.references[0] in range(1, 6)
    assert found.references[1] in (0, 6, 7)
    assert found.lights[8].reason is Unmatched.FEW_STARS


def test_the_order_of_the_lights_changes_nothing():
    rng = np.random.default_rng(4)
    _, _, tables = dithered(8, 40, rng)
    _, _, others = dithered(2, 40, rng)
    tables += others
    names = graded(tables)[1]
    qualities = [1.0] * len(tables)
    found = register_all(tables, qualities, names)
    order = rng.permutation(len(tables))
    again = register_all(
        [tables[i] for i in order], qualities, [names[i] for i in order]
    )
    assert found.references == tuple(int(order[i]) for i in again.references)
    for place, i in enumerate(order):
        assert again.lights[place].field == found.lights[i].field
        assert again.lights[place].transform == found.lights[i].transform


def test_lights_that_drift_out_of_the_reference_hang_on_their_neighbours():
    rng = np.random.default_rng(5)
    field = draw_field(1500, SHAPE, rng, margin=3000)
    poses = [Pose(1100.0 * step, 0.0) for step in range(-2, 3)]
    tables = [seen(field, pose, rng) for pose in poses]
    found = register_all(tables, *graded(tables))
    assert [placed.field for placed in found.lights] == [1] * 5
    (reference,) = found.references
    assert any(placed.neighbour not in (None, reference) for placed in found.lights)
    for placed, pose in zip(found.lights, poses, strict=True):
        assert off(placed, field, pose, poses[reference]) < 0.6


def test_the_reference_is_good_and_in_the_middle():
    rng = np.random.default_rng(6)
    field = draw_field(400, SHAPE, rng, margin=1500)
    poses = [Pose(dx, 0.0) for dx in (0.0, 10.0, -10.0, 5.0, 900.0)]
    tables = [seen(field, pose, rng) for pose in poses]
    names = graded(tables)[1]
    found = register_all(tables, [1.0, 3.0, 2.0, 1.0, 9.0], names)
    assert found.references == (1,)
    assert [placed.field for placed in found.lights] == [1] * 5


def test_the_reference_can_be_named():
    rng = np.random.default_rng(7)
    field, poses, tables = dithered(5, 60, rng)
    found = register_all(tables, *graded(tables), reference=3)
    assert found.references[0] == 3
    assert off(found.lights[0], field, poses[0], poses[3]) < 0.1


def with_hot_pixels(tables, n, rng):
    """Add the same bright detections to all lights."""
    x, y, flux = draw_field(n, SHAPE, rng, flux=(1e4, 3e5))
    return [np.concatenate([t, table_of(x, y, flux, rng)]) for t in tables]


@pytest.mark.parametrize("n_lights", [2, 8])
def test_hot_pixels_that_agree_on_no_shift_do_not_win(n_lights):
    rng = np.random.default_rng(8)
    field, poses, tables = dithered(n_lights, 18, rng)
    tables = with_hot_pixels(tables, 25, rng)
    found = register_all(tables, *graded(tables))
    (reference,) = found.references
    for placed, pose, table, static in zip(
        found.lights, poses, tables, found.static, strict=True
    ):
        assert off(placed, field, pose, poses[reference]) < 0.3
        assert static[-25:].all()
        assert not static[: len(table) - 25].any()


def test_stars_of_guided_lights_are_not_the_detectors():
    rng = np.random.default_rng(9)
    _, _, tables = dithered(6, 60, rng, reach=0.1)
    assert not any(mask.any() for mask in static_detections(tables))
    found = register_all(tables, *graded(tables))
    assert [placed.field for placed in found.lights] == [1] * 6


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_lights_are_no_trouble(n):
    rng = np.random.default_rng(10)
    _, _, tables = dithered(n, 60, rng)
    found = register_all(tables, *graded(tables))
    assert len(found.lights) == n
    assert len(found.references) == (1 if n == 2 else 0)
    empty = [table[:0] for table in tables]
    without = register_all(empty, *graded(empty))
    assert all(p.reason is Unmatched.FEW_STARS for p in without.lights)


def test_each_table_needs_a_quality_and_a_name():
    with pytest.raises(ValueError, match="1 tables need as many"):
        register_all(
            [table_of(*draw_field(3, SHAPE, r := np.random.default_rng(1)), r)], [], []
        )


def test_deep_and_round_lights_make_better_references():
    rng = np.random.default_rng(11)
    field = draw_field(50, SHAPE, rng)

    def light(error, length, n=50):
        table = table_of(*(column[:n] for column in field), rng)
        table["error"], table["elongation"] = error, length
        return quality(Stars(table, LightStatistics(0, 1, n, 3)))

    assert light(0.05, 1.1) > light(0.2, 1.1) > light(0.2, 1.1, 20) > light(0.2, 1, 0)
    assert light(0.05, 1.1) > light(0.05, 2.0)


def test_few_things_that_agree_but_roughly_are_no_stars_in_common():
    rng = np.random.default_rng(4)
    field = draw_field(14, SHAPE, rng)
    tables = [seen(field, Pose(3.0 * i, -2.0 * i), rng, 0.1) for i in range(3)]
    for name in ("x", "y"):
        tables[2][name] += rng.normal(0, 0.7, len(tables[2]))
    found = register_all(tables, *graded(tables))
    assert [placed.field for placed in found.lights] == [1, 1, 0]
    found = register_all(tables, *graded(tables), rough=3.0)
    assert [placed.field for placed in found.lights] == [1, 1, 1]


def test_a_filter_whose_few_stars_lie_a_pixel_off_shows_the_same_field():
    rng = np.random.default_rng(6)
    field = draw_field(30, SHAPE, rng)
    few = [column[:9].copy() for column in field]
    few[0] += rng.normal(0, 0.6, 9)  # as its optics have it, alike in all its lights
    few[1] += rng.normal(0, 0.6, 9)
    poses = [Pose(3.0 * i, -2.0 * i) for i in range(5)]
    tables = [
        seen(field if i < 3 else few, pose, rng, 0.1) for i, pose in enumerate(poses)
    ]
    found = register_all(tables, *graded(tables))
    assert [placed.field for placed in found.lights] == [1] * 5
    (reference,) = found.references
    for placed, pose in zip(found.lights, poses, strict=True):
        assert off(placed, field, pose, poses[reference]) < 1.0
    third, fourth = (found.lights[i].transform for i in (3, 4))
    assert fourth.dx - third.dx == pytest.approx(-3, abs=0.2)
    alone = register_all(tables[:4], *graded(tables[:4]))
    assert [placed.field for placed in alone.lights] == [1, 1, 1, 0]


def test_a_camera_has_one_scale():
    rng = np.random.default_rng(5)
    field = draw_field(40, SHAPE, rng)
    tables = [seen(field, Pose(scale=scale), rng, 0.1) for scale in (1, 1.01, 1.04)]
    found = register_all(tables, *graded(tables))
    assert [placed.field for placed in found.lights] == [1, 1, 0]
