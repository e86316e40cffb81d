"""Cells that a spreadsheet does not run, and that come back as they were."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.fits.spreadsheet import csv_text, frame_text, guarded, unguarded


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "'=1"]
)
def test_a_formula_gets_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", ["M 13", "-12:34:56.7", "+5", "-", "'tis", "", "a=b", -3.5, None, True]
)
def test_what_is_not_run_stays_as_it_is(cell):
    assert guarded(cell) is cell


@given(st.one_of(st.text(), st.from_regex(r"'*[=+\-@\t\r].*")))
def test_every_text_comes_back_and_none_is_run(text):
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not cell.startswith(("=", "@", "\t", "\r"))


def test_a_table_of_cells_is_guarded():
    text = csv_text(["object", "x"], [["=A1", -1.5], ["M 13", None]])
    assert list(csv.reader(io.StringIO(text))) == [
        ["object", "x"],
        ["'=A1", "-1.5"],
        ["M 13", ""],
    ]


def test_a_data_frame_is_guarded_and_not_changed():
    columns = {"object": ["=A1", None, "M 13", "=A1"], "dec": ["-1:02"] * 4}
    table = pd.DataFrame(columns, dtype="string").assign(x=[-1.5, 2, None, 4])
    before = table.copy()
    assert frame_text(table) == (
        "object,dec,x\n'=A1,-1:02,-1.5\n,-1:02,2.0\nM 13,-1:02,\n'=A1,-1:02,4.0\n"
    )
    pd.testing.assert_frame_equal(table, before)
