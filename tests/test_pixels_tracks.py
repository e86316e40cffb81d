"""What moves evenly among stars, and what only seems to."""

import numpy as np
import pytest

from autoreduce.pixels.tracks import track

SHIFTS = np.random.default_rng(5).uniform(-6, 6, (10, 2))
DRIFT = np.outer(np.arange(10.0), (5.0, 2.0))


def series(*moving, shifts=SHIFTS, n=10, seed=1):
    """Give things on the grid and on the sensor; what moves is the brightest."""
    rng = np.random.default_rng(seed)
    stars = rng.uniform(0, 400, (60, 2))
    places, own = [], []
    for k in range(n):
        noise = rng.uniform(0, 400, (4, 2))
        bodies = [np.add(start, np.multiply(rate, k)) for start, rate in moving]
        every = np.concatenate([np.reshape(bodies, (-1, 2)), stars, noise])
        every = every + rng.normal(0, 0.1, every.shape)
        places.append(every)
        own.append(every + shifts[k])
    return places, own


def test_how_far_a_body_moves_is_measured():
    found = track(*series(((100, 150), (4.0, 3.0))), range(10))
    assert found.length == pytest.approx(45, abs=0.5)
    assert found.follows > 30


def test_a_body_that_the_telescope_follows_stays_on_the_sensor():
    found = track(*series(((200, 200), (-5.0, -2.0)), shifts=DRIFT), range(10))
    assert found.length == pytest.approx(9 * np.hypot(5, 2), abs=0.5)
    assert found.follows < 1


def test_the_order_of_the_lights_changes_nothing():
    places, own = series(((100, 150), (4.0, 3.0)))
    turned = track(places[::-1], own[::-1], range(9, -1, -1))
    assert turned == track(places, own, range(10))


@pytest.mark.parametrize("moving", [(), [((100, 150), (0.2, 0.1))]])
def test_stars_and_what_hardly_moves_have_no_track(moving):
    assert track(*series(*moving), range(10)) is None


def test_many_things_alike_are_the_pattern_of_the_sensor():
    hot = np.random.default_rng(8).uniform(50, 350, (12, 2))
    found = track(*series(*((at, (-5.0, -2.0)) for at in hot), shifts=DRIFT), range(10))
    assert found is None


@pytest.mark.parametrize(("n", "times"), [(3, range(3)), (10, [0.0] * 10)])
def test_three_lights_or_no_times_tell_no_track(n, times):
    assert track(*series(((100, 150), (9.0, 3.0)), n=n), times) is None
