"""Counts made linear: polynomials and tables worked by hand."""

import numpy as np
import pytest

from autoreduce.errors import SettingsError
from autoreduce.pixels.calibrate import calibrate
from autoreduce.pixels.linearity import Linearity, find_response
from autoreduce.planning.recipe import parse_recipe

POLYNOMIAL = Linearity(polynomial=(1.0, 1e-5, 2e-10))
TABLE = Linearity(counts=(0, 100, 300), linear=(0, 100, 340))


def test_a_polynomial_worked_by_hand():
    """10000 (1 + 0.1 + 0.02), and below zero nothing but the first term."""
    counts = np.array([[10000, 0, -50, np.nan]], np.float32)
    POLYNOMIAL.apply(counts)
    np.testing.assert_allclose(counts, [[11200, 0, -50, np.nan]], rtol=1e-6)
    assert POLYNOMIAL.of(10000) == pytest.approx(11200)


def test_a_table_worked_by_hand():
    """Between its counts on the line, beyond them on the last one."""
    counts = np.array([[-10, 50, 100, 200, 400, np.nan]], np.float32)
    TABLE.apply(counts)
    np.testing.assert_allclose(counts, [[-10, 50, 100, 220, 460, np.nan]])


@pytest.mark.parametrize("linearity", [POLYNOMIAL, TABLE, Linearity()])
def test_the_slope_is_that_of_the_counts(linearity):
    for at in (-20.0, 40.0, 250.0, 5000.0):
        step = linearity.of(at + 4) - linearity.of(at - 4)
        assert linearity.slope(np.array([at])) == pytest.approx(step / 8, rel=1e-3)


def test_it_comes_between_bias_and_dark():
    """(11200 - 200) / 0.5, of a raw frame of 10300 with a bias of 300."""
    raw, bias, dark, flat = (np.full((2, 3), v, "f4") for v in (10300, 300, 200, 0.5))
    made = calibrate(raw, bias=bias, linearity=POLYNOMIAL, dark=dark, flat=flat)
    np.testing.assert_allclose(made, 22000, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("polynomial = [1.0]\ncounts = [0, 1]\nlinear = [0, 1]", "not both"),
        ("counts = [0, 1]", "lists of one length"),
        ("counts = [5, 9]\nlinear = [0, 9]", "begin with 0, not 5"),
        ("counts = [0, 9, 8]\nlinear = [0, 9, 10]", "must rise"),
        ("counts = [0, 9, 12]\nlinear = [0, 9, 8]", "must rise"),
        ("polynomial = [1.0, -1e-5]", "must rise"),
        ("polynomial = [1.0]\nlimit = -3", "limit is 0 or more"),
        ('polynomial = "flat"', "expected a list"),
    ],
)
def test_what_is_no_response_is_refused_with_its_line(text, message):
    with pytest.raises(SettingsError, match=f"linearity.*{message}"):
        parse_recipe(f"[linearity]\n{text}", "mine")


def test_a_polynomial_need_rise_to_its_limit_only():
    found = parse_recipe("[linearity]\npolynomial = [1.0, -1e-5]\nlimit = 40000", "x")
    assert found.linearity.of(10000) == pytest.approx(9000)


def test_it_holds_for_the_camera_that_is_named():
    named = Linearity((1.0, 1e-6), camera="ST-8")
    assert named.holds_for("ST-8")
    assert not named.holds_for("ST-10")
    assert Linearity(limit=50000.0).holds_for(None)
    assert not Linearity().holds_for("ST-8")


EXPTIMES = np.array([1, 2, 4, 8, 16, 1, 2, 4, 8, 16], float)


def levels_of(exptimes, *, lost=0.0, delay=0.0, drift=0.0):
    """Draw the levels of a lamp of 3000 ADU a second, in the order of exposures."""
    rng = np.random.default_rng(8)
    light = 3000.0 * (exptimes + delay) * (1 + drift * np.arange(len(exptimes)))
    light *= rng.normal(1, 2e-4, len(exptimes))
    return light * (1 - lost * light / light.max())


@pytest.mark.parametrize("delay", [0.0, -0.03])
@pytest.mark.parametrize("lost", [0.0, 0.02, -0.01])
def test_a_steady_lamp_tells_the_response(lost, delay):
    """Within its error, and the shutter is no bent response."""
    levels = levels_of(EXPTIMES, lost=lost, delay=delay)
    found = find_response(levels, EXPTIMES)
    assert found.deviation == pytest.approx(-lost, abs=max(5 * found.error, lost**2))
    assert found.error < 0.001
    assert found.deviations[-1] == pytest.approx(-lost, abs=0.001)
    mended = levels.copy().astype(np.float32)
    Linearity(polynomial=found.polynomial).apply(mended)
    rates = mended / (EXPTIMES + delay)
    assert np.ptp(rates) / rates.mean() < 0.002


@pytest.mark.parametrize(
    ("exptimes", "drift"),
    [
        (EXPTIMES, 0.01),  # twilight
        (np.sort(EXPTIMES), 0.0),  # no exposure comes back
        (np.tile([1.0, 2.0, 3.0], 3), 0.0),  # too few of them
        (EXPTIMES[[1, 2, 1, 2, 2, 1]], 0.0),
        (np.linspace(4, 8, 10), 0.0),  # too even
    ],
)
def test_what_is_no_test_of_linearity_tells_nothing(exptimes, drift):
    assert find_response(levels_of(exptimes, drift=drift), exptimes) is None
