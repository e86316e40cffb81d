"""The pattern of a shutter, found in the shapes of flats."""

import numpy as np
import pytest

from autoreduce.pixels.shutter import Shutter, block_medians, find_pattern, may_tell
from autoreduce.simulate.detector import shutter_delay
from autoreduce.simulate.listing import read_listing

SHAPE = (240, 312)
NOISE = 3e-4
EXPTIMES = np.array([0.5, 1, 2, 4, 8, 16, 0.5, 1, 2, 4, 8, 16])
DETECTOR = read_listing("iris_shutter").detectors[""]


def blocks(flat):
    """Cut a flat into blocks, as medians of pixels."""
    rows = np.split(flat.astype(np.float32), 24)
    return np.stack([block_medians(part) for part in rows])


def make_flats(delay, exptimes, *, slope=0.0):
    """Draw flats of unit level behind a shutter, the sky of each with another slope."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    response = 1 - 0.2 * (x**2 + y**2)
    flats = []
    for n, exptime in enumerate(exptimes):
        flat = response * (1 + delay / exptime) * (1 + slope * n * x)
        flats.append(blocks(flat / np.median(flat)))
    flats = np.array(flats)
    return flats * (1 + rng.normal(0, NOISE, flats.shape))


def found_in(delay, exptimes=EXPTIMES, **sky):
    noise = np.full(len(exptimes), NOISE)
    return find_pattern(make_flats(delay, exptimes, **sky), noise, exptimes)


DELAY = shutter_delay(DETECTOR, SHAPE).astype(float)


@pytest.mark.parametrize("slope", [0.0, 0.003])
def test_flats_of_unlike_exposure_tell_the_pattern(slope):
    """What is left of 8 % at 0.5 s is a tenth of a percent; slopes of the sky are not."""
    found = found_in(DELAY, slope=slope)
    assert found.amplitude == pytest.approx(0.06, abs=0.015)
    for exptime in (0.5, 2.0):
        factor = found.shutter.factor(exptime, SHAPE, slice(0, SHAPE[0]))
        left = factor / (1 + DELAY / exptime)
        assert np.std(left / np.median(left)) < 0.0015 / exptime
        assert np.median(factor) == pytest.approx(1, abs=1e-3)


def test_a_part_of_the_sensor_has_its_part_of_the_pattern():
    shutter = found_in(DELAY).shutter
    rows, columns = slice(20, 60), slice(100, 220)
    whole = shutter.factor(1.0, SHAPE, slice(None))
    part = shutter.factor(1.0, SHAPE, rows, columns)
    np.testing.assert_array_equal(part, whole[rows, columns])


def test_without_a_shutter_nothing_is_found():
    assert found_in(np.zeros(SHAPE)).amplitude == 0


def test_two_exposures_tell_that_something_changes_but_not_what():
    found = found_in(DELAY, np.array([1.0, 1.0, 1.0, 10.0, 10.0, 10.0]))
    assert found.amplitude > 0.02
    assert found.shutter is None


def test_a_change_that_does_not_go_as_one_over_the_exposure_is_no_shutter():
    """A vignetting that comes and goes, whatever the exposure."""
    exptimes = np.array([1.0, 3.0, 9.0, 1.0, 3.0, 9.0])
    growth = np.array([0.0, 0.1, 0.3, 0.1, 0.2, 0.05])[:, None, None]
    y, x = np.mgrid[-1:1:24j, -1:1:24j]
    flats = make_flats(np.zeros(SHAPE), exptimes) * (1 - growth * (x**2 + y**2))
    found = find_pattern(flats, np.full(6, NOISE), exptimes)
    assert found.shutter is None


@pytest.mark.parametrize(
    ("exptimes", "tells"),
    [
        ([1, 1, 1], False),
        ([1, 1.1], False),
        ([1, 2], True),
        ([0, 5], False),
        ([], False),
    ],
)
def test_which_exposures_may_tell(exptimes, tells):
    assert may_tell(np.array(exptimes, float)) is tells


def test_a_factor_is_never_negative():
    shutter = Shutter(((-0.5, 0.0), (0.0, 0.2)))
    assert shutter.factor(0.4, (8, 8), slice(None)).min() >= 0
