"""Medians and quantiles against numpy's own."""

import math

import numpy as np
import pytest

from autoreduce.pixels.order import (
    finite_median,
    median,
    medians_of_parts,
    quantiles,
    quantiles_of_rows,
)

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 4097, 65536])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int16, bool])
def test_the_median_is_that_of_numpy_to_the_bit(n, dtype):
    values = RNG.normal(100, 30, n).astype(dtype)
    before = values.copy()
    assert median(values) == np.median(values)
    assert median(values).dtype == np.median(values).dtype
    assert (values == before).all()


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(4, 7), (5, 6), (1, 3)])
def test_along_an_axis_too(axis, shape):
    values = RNG.normal(size=shape).astype(np.float32)
    assert np.array_equal(median(values, axis), np.median(values, axis))


def test_of_whole_numbers_it_cannot_wrap():
    assert median(np.array([3, 5, 9], np.uint16)) - 6 == -1


@pytest.mark.parametrize("n", [4, 5])
def test_one_nan_makes_it_nan_as_in_numpy(n):
    values = np.arange(n, dtype=float)
    values[1] = np.nan
    assert math.isnan(median(values))
    rows = np.array([values, np.arange(n)])
    assert np.array_equal(median(rows, 1), np.median(rows, 1), equal_nan=True)


def test_infinities_are_numbers():
    assert median(np.array([1.0, np.inf, np.inf])) == np.inf
    assert median(np.array([-np.inf, 1.0, 2.0])) == 1.0


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_nothing_has_no_median():
    assert math.isnan(median(np.empty(0)))
    assert math.isnan(finite_median(np.array([np.nan, np.inf])))


def test_the_finite_median_leaves_out_what_is_not_finite():
    assert finite_median(np.array([np.nan, 1.0, 2.0, 4.0, -np.inf])) == 2.0
    assert finite_median(np.array([[1, 2], [3, 9]])) == 2.5


@pytest.mark.parametrize("n", [1, 2, 5, 1000, 4097])
@pytest.mark.parametrize("parts", [(0, 0.5, 1), (0.25, 0.75), (0.9, 0.1, 0.001)])
def test_quantiles_are_those_of_numpy(n, parts):
    values = RNG.normal(100, 30, n)
    assert quantiles(values, parts) == pytest.approx(np.quantile(values, parts))
    rows = RNG.normal(100, 30, (3, n)).astype(np.float32)
    expected = np.quantile(rows.astype(np.float64), parts, axis=1)
    assert quantiles_of_rows(rows, parts) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(4, 64), (4, 61), (3, 70), (5, 3), (1, 9), (0, 9)])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_medians_of_parts_are_those_of_array_split(shape, kind):
    rows = RNG.integers(0, 1000, shape).astype(kind)
    if kind is np.float32:
        rows[RNG.random(shape) < 0.2] = np.nan
    expected = [finite_median(part) for part in np.array_split(rows, 8, axis=1)]
    found = medians_of_parts(rows, 8)
    assert found.tolist() == pytest.approx(expected, nan_ok=True, abs=0)
    several = medians_of_parts(np.stack([rows[::-1], rows, rows // 2]), 8)
    assert several[1].tolist() == pytest.approx(expected, nan_ok=True, abs=0)
    assert several.shape == (3, 8)
