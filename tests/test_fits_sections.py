"""Sections against FITS's own definition, and as their own inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.fits.sections import (
    central_section,
    format_section,
    moved_pattern,
    parse_section,
    section_shape,
    within,
)


def test_columns_come_first_and_count_from_one():
    assert parse_section("[3:10,1:2]") == (slice(0, 2), slice(2, 10))


def test_both_ends_belong_to_a_section():
    frame = np.arange(12).reshape(3, 4)
    assert frame[parse_section("[4:4,2:2]")].tolist() == [[7]]


def test_blanks_do_not_matter():
    assert parse_section(" [1:2 , 3:4] ") == parse_section("[1:2,3:4]")


@pytest.mark.parametrize(
    "text",
    ["", "1:2,3:4", "[1:2]", "[1:2,3:4,5:6]", "[*,*]", "[-1:2,1:2]", "[a:b,1:2]"],
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="not of the form"):
        parse_section(text)


@pytest.mark.parametrize("text", ["[2:1,1:1]", "[1:1,2:1]", "[0:1,1:1]", "[1:1,0:1]"])
def test_reversed_or_zero_sections_are_refused(text):
    with pytest.raises(ValueError, match="must start at 1"):
        parse_section(text)


@pytest.mark.parametrize(
    "section",
    [
        (slice(None), slice(0, 1)),
        (slice(0, 1), slice(1, 1)),
        (slice(-1, 1), slice(0, 1)),
        (slice(0, 4, 2), slice(0, 1)),
    ],
)
def test_slices_without_a_fits_form_are_refused(section):
    with pytest.raises(ValueError, match="no FITS form"):
        format_section(section)


parts = st.tuples(st.integers(0, 9999), st.integers(1, 9999)).map(
    lambda pair: slice(pair[0], sum(pair))
)


@given(parts, parts)
def test_format_and_parse_are_inverse(rows, columns):
    section = (rows, columns)
    assert parse_section(format_section(section)) == section
    assert section_shape(section) == (
        rows.stop - rows.start,
        columns.stop - columns.start,
    )


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("[1:4,1:3]", True),
        ("[4:4,3:3]", True),
        ("[1:5,1:3]", False),
        ("[1:4,1:4]", False),
    ],
)
def test_within_knows_rows_from_columns(text, inside):
    assert within(parse_section(text), (3, 4)) is inside


def test_within_looks_at_the_last_two_axes_of_a_cube():
    assert within(parse_section("[1:4,1:3]"), (1, 3, 4))


def test_central_section_is_the_middle_quarter():
    assert central_section((100, 40)) == (slice(25, 75), slice(10, 30))


@given(st.integers(1, 50), st.integers(1, 50))
def test_central_section_always_lies_within(ny, nx):
    assert within(central_section((ny, nx)), (ny, nx))


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG", "CMYG"])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 0), (0, 1), (3, 5), (-1, -2)])
def test_a_moved_pattern_is_that_of_the_pixels_from_there_on(pattern, row, column):
    mosaic = np.tile(np.array(list(pattern)).reshape(2, 2), (8, 8))
    begun = mosaic[6 + row :, 6 + column :][:2, :2]
    assert moved_pattern(pattern, row, column) == "".join(begun.ravel())
