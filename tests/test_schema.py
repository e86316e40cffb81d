"""Cells of a frame table in other forms."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.frames.schema import iso_texts, make_frame_table, rows_of


def test_rows_are_those_of_pandas():
    table = make_frame_table(
        [
            {"file": "a"},
            {"file": "b", "exptime": 3.0, "turned": True, "naxis1": 5},
            {"file": "c", "imagetyp": "light", "date_obs": "2024-01-01T00:00:00.25"},
        ]
    )
    table["number"], table["parts"] = [np.nan, 1.0, np.inf], [(1,), None, ()]
    rows, expected = rows_of(table), table.to_dict("records")
    assert repr(rows) == repr(expected)  # NaN is no NaN
    for row, other in zip(rows, expected, strict=True):
        assert [*map(type, row.values())] == [*map(type, other.values())]
    assert rows_of(table[:0]) == []


@given(st.lists(st.none() | st.datetimes()))
def test_times_are_written_as_python_does(times):
    column = pd.Series(times, dtype="datetime64[us]").dt.tz_localize("UTC")
    assert iso_texts(column) == [time and time.isoformat() for time in times]
