"""Lights placed by their whole images, beside what the sensor adds to all of them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.cards import format_card
from autoreduce.fits.writer import ImageWriter
from autoreduce.pixels.stars import STAR
from autoreduce.planning.plan import Action, Task
from autoreduce.planning.recipe import load_recipe
from autoreduce.products.registration import Geometry, _by_stars, _Light, _shifts

SHAPE = (160, 192)


def nebula(dx, dy, width):
    y, x = np.indices(SHAPE, dtype=float)
    x, y = x - 90 - dx, y - 80 - dy
    image = np.zeros(SHAPE)
    for ox, oy, flux in ((0, 0, 60), (14, 5, 40), (-9, 16, 30), (-20, -12, 35)):
        image += flux * np.exp(-((x - ox) ** 2 + (y - oy) ** 2) / (2 * width**2))
    return image


def write_lights(folder, shifts, *, pattern, width=4.0):
    rng = np.random.default_rng(3)
    fixed = gaussian_filter(np.random.default_rng(1).standard_normal(SHAPE), 1.5)
    fixed *= pattern / np.std(fixed)
    lights = []
    for i, (dx, dy) in enumerate(shifts):
        data = nebula(dx, dy, width) + fixed + 3 * rng.standard_normal(SHAPE)
        with ImageWriter(folder / f"{i}.fits", SHAPE, header_cards=1) as writer:
            writer.write_rows(0, data.astype(np.float32))
            writer.finish(format_card("NUMBER", i))
        lights.append(_Light(f"{i}.fits", np.empty(0, STAR), Geometry(SHAPE)))
    return lights


SHIFTS = [(0, 0), (20, -15), (-18, 12), (25, 22), (-24, -20), (6, 30)]


def test_a_nebula_is_found(tmp_path):
    lights = write_lights(tmp_path, SHIFTS, pattern=0.0)
    found = _shifts(tmp_path, lights, 0, range(1, 6))
    assert sorted(found) == [1, 2, 3, 4, 5]
    for i, shift in found.items():
        assert shift.dx == pytest.approx(-SHIFTS[i][0], abs=0.3)
        assert shift.dy == pytest.approx(-SHIFTS[i][1], abs=0.3)


@pytest.mark.parametrize("pattern", [0.0, 30.0])
def test_lights_that_do_not_move_lie_on_one_another(tmp_path, pattern):
    lights = write_lights(tmp_path, [(0, 0)] * 6, pattern=pattern)
    found = _shifts(tmp_path, lights, 0, range(1, 6))
    assert sorted(found) == [1, 2, 3, 4, 5]
    assert max(shift.length for shift in found.values()) < 0.3


@pytest.mark.parametrize("shifts", [SHIFTS, [(x / 6, y / 6) for x, y in SHIFTS]])
def test_a_pattern_of_the_sensor_is_not_taken_for_no_move(tmp_path, shifts):
    lights = write_lights(tmp_path, shifts, pattern=30.0)
    assert _shifts(tmp_path, lights, 0, range(1, 6)) == {}


def test_spectra_without_a_word_in_their_headers_are_not_placed(tmp_path):
    rng = np.random.default_rng(5)
    y = np.arange(SHAPE[0])[:, None]
    lights = []
    for i in range(3):
        data = 40 * np.exp(-((y - 70 - i) ** 2) / 8) + 3 * rng.standard_normal(SHAPE)
        with ImageWriter(tmp_path / f"{i}.fits", SHAPE, header_cards=1) as writer:
            writer.write_rows(0, data.astype(np.float32))
            writer.finish(format_card("NUMBER", i))
        lights.append(_Light(f"{i}.fits", np.empty(0, STAR), Geometry(SHAPE)))
    task = Task("x.json", Action.REGISTER, "x", {})
    space = Workspace(tmp_path, tmp_path, load_recipe("default"), 1 << 20)
    found = _by_stars(space, lights, None, task)
    assert found.references == ()
    codes = {place.why_not.code for place in found.places.values() if place.why_not}
    assert codes == {"drawn-out"}
