"""Steps between amplifiers, and the gains that they tell."""

import numpy as np
import pytest

from autoreduce.pixels.seams import (
    BESIDE,
    NEAR,
    PIECE,
    Step,
    gain_ratios,
    levels_at_edge,
    step_between,
)

DISTANCE = np.arange(NEAR) + BESIDE + 0.5


def side(level, slope=0.0, *, noise=0.0, pieces=8, seed=1):
    noises = np.random.default_rng(seed).normal(0, noise, (pieces * PIECE, NEAR))
    return level + slope * DISTANCE + noises


def test_the_level_is_that_of_the_seam_itself():
    assert levels_at_edge(side(1000, -3.0), DISTANCE) == pytest.approx([1000] * 8)


def test_bad_columns_do_not_count():
    bad = side(1000, 2.0, noise=5.0)
    bad[:, [3, 20]] += [400, -900]
    clean = np.delete(side(1000, 2.0, noise=5.0), [3, 20], axis=1)
    wanted = levels_at_edge(clean, np.delete(DISTANCE, [3, 20]))
    assert levels_at_edge(bad, DISTANCE) == pytest.approx(wanted)


def test_a_piece_that_is_saturated_tells_nothing():
    some = side(1000)
    some[PIECE : 2 * PIECE, 5] = np.nan
    assert (
        np.isnan(levels_at_edge(some, DISTANCE)).tolist() == [False, True] + [False] * 6
    )


def test_a_step_is_the_ratio_of_levels_above_zero():
    levels = np.full((2, 5, 2), [1100.0, 600.0])
    step = step_between(0, 1, levels, np.full((5, 2), 100.0))
    assert (step.first, step.second) == (0, 1)
    assert step.log_ratio == pytest.approx(np.log(2))
    # Zero levels are good to 1 ADU.
    assert step.error == pytest.approx(1 / 750, rel=0.05)


def test_a_piece_that_one_frame_does_not_show_is_taken_from_the_others():
    levels = np.full((2, 5, 2), [1000.0, 500.0])
    levels[1, :2, 0] = np.nan
    assert step_between(0, 1, levels).log_ratio == pytest.approx(np.log(2))


@pytest.mark.parametrize("lit", [0.0, np.nan])
def test_too_few_pieces_tell_no_step(lit):
    levels = np.full((1, 6, 2), 1000.0)
    levels[0, :3, 1] = lit
    assert step_between(0, 1, levels) is None


def test_the_error_of_a_step_is_what_it_scatters_by():
    found = []
    for seed in range(60):
        sides = [
            levels_at_edge(
                side(level, noise=0.02 * level, pieces=16, seed=2 * seed + n), DISTANCE
            )
            for n, level in enumerate((20_000, 15_000))
        ]
        step = step_between(0, 1, np.column_stack(sides)[None])
        found.append((step.log_ratio - np.log(4 / 3)) / step.error)
    assert np.mean(found) == pytest.approx(0, abs=0.5)
    assert np.std(found) == pytest.approx(1, abs=0.25)


def test_steps_tell_the_gains_of_all():
    # Gains 1, 2 and 4: counts are as one over them.
    steps = [Step(0, 1, np.log(2), 1e-3), Step(1, 2, np.log(2), 1e-3)]
    made = gain_ratios(3, steps)
    assert np.exp(made.logs) == pytest.approx([0.5, 1, 2])
    # The one in the middle is known best.
    assert made.errors == pytest.approx(
        np.sqrt(np.array([5, 2, 5]) / 9) * 1e-3, rel=1e-4
    )


def test_steps_that_contradict_each_other_widen_the_errors():
    ring = [Step(0, 1, 0.0, 1e-3), Step(1, 2, 0.0, 1e-3), Step(0, 2, 0.03, 1e-3)]
    agreed = [*ring[:2], Step(0, 2, 0.0, 1e-3)]
    assert (gain_ratios(3, ring).errors > 10 * gain_ratios(3, agreed).errors).all()


def test_amplifiers_that_no_seam_connects_have_no_ratio():
    assert gain_ratios(4, [Step(0, 1, 0.0, 1e-3), Step(2, 3, 0.0, 1e-3)]) is None
    assert gain_ratios(2, []) is None
