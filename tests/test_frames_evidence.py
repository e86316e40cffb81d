"""The evidence of a night: as a table, and as CSV."""

import csv
import io

from small_night import write_frame

from autoreduce.fits.spreadsheet import frame_text
from autoreduce.frames.scan import scan_night
from autoreduce.frames.schema import EVIDENCE_COLUMNS


def a_night(folder):
    write_frame(folder, "a.fits", "light", 60.0, OBJECT='M 13, "core"', FILTER="=1+1")
    write_frame(folder, "b, c.fits", "light", 60.0, OBJECT="-M 13", EXPOSURE=61.0)
    write_frame(folder, "100%.fits", "light", 60.0, OBJECT="5 % {moon}", CCD_TEMP=-9.5)
    return scan_night([folder])


def test_csv_is_that_of_the_table(tmp_path):
    night = a_night(tmp_path)
    text = "".join(night.readings.csv_pieces())
    assert text == frame_text(night.evidence)
    assert "'=1+1" in text


def test_each_fact_has_a_row_with_its_card_and_the_dialect_comes_last(tmp_path):
    night = a_night(tmp_path)
    assert list(night.evidence) == list(EVIDENCE_COLUMNS)
    rows = list(csv.DictReader(io.StringIO("".join(night.readings.csv_pieces()))))
    of_b = [row for row in rows if row["file"] == "b, c.fits"]
    assert of_b[-1]["fact"] == "dialect"
    exposure = next(row for row in of_b if row["fact"] == "exptime")
    assert (exposure["value"], exposure["keyword"]) == ("60.0", "EXPTIME")
    assert exposure["disagree"] == "EXPOSURE=61.0"


def test_a_single_fact_may_be_asked_for(tmp_path):
    night = a_night(tmp_path)
    table = night.readings.table("filter")
    assert table["value"].tolist() == ["R", "=1+1", "R"]
    assert set(table["fact"]) == {"filter"}


def test_readings_of_a_fact_may_be_chosen(tmp_path):
    readings = a_night(tmp_path).readings
    table = readings.table("exptime", lambda reading: reading.disagree)
    assert table["file"].tolist() == ["b, c.fits"]
    assert readings.table("no fact").empty
