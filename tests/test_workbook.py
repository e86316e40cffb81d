"""Tables that a spreadsheet has saved in a form of its own: read, or refused by name."""

import zipfile
from contextlib import suppress
from io import BytesIO
from xml.sax.saxutils import escape

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from small_night import write_night

from autoreduce.cli import cli
from autoreduce.errors import TableError
from autoreduce.frames.overrides import read_frames_csv
from autoreduce.frames.workbook import read_workbook

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def place(row, column):
    letters = chr(ord("A") + column % 26)
    return f"{chr(ord('@') + column // 26) if column > 25 else ''}{letters}{row}"


def cell_xml(row, column, value, texts):
    at = f'r="{place(row, column)}"'
    if isinstance(value, bool):
        return f'<c {at} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c {at}><v>{value!r}</v></c>"
    if value.startswith("#"):
        return f'<c {at} t="e"><v>{value}</v></c>'
    if texts is None:
        return f'<c {at} t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    texts.append(value)
    return f'<c {at} t="s"><v>{len(texts) - 1}</v></c>'


def workbook(rows, *, shared=True, name="worksheets/sheet1.xml", leave_out=()):
    """Write an .xlsx file, as spreadsheets do: empty cells and rows are not there."""
    texts = [] if shared else None
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = [
            cell_xml(number, column, value, texts)
            for column, value in enumerate(row)
            if value is not None
        ]
        if cells:
            lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    parts = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="frames" sheetId="3" r:id="rId7"/>'
        '<sheet name="notes" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}">'
        '<Relationship Id="rId1" Target="worksheets/other.xml"/>'
        f'<Relationship Id="rId7" Target="{name}"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>'
        f"{''.join(lines)}</sheetData></worksheet>",
        "xl/worksheets/other.xml": f'<worksheet xmlns="{MAIN}"/>',
    }
    if shared:
        items = "".join(
            f"<si><r><t>{escape(t[:1])}</t></r><r><t>{escape(t[1:])}</t></r>"
            "<rPh><t>no part of it</t></rPh></si>"
            for t in texts
        )
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{items}</sst>'
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in parts.items():
            if part not in leave_out:
                archive.writestr(part, text)
    return file.getvalue()


ROWS = [
    ["file", "use", "exptime", "object", "night", "date_obs", None, "xbinning"],
    ["a.fit", True, 1.5, "M 13 & <x>", 45353, "2024-03-02T01:02:03", None, 2],
    [None],
    ["b.fit", False, 0.1, None, "2024-03-02", 45353.25],
]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", ["worksheets/sheet1.xml", "/xl/worksheets/sheet1.xml"])
def test_the_cells_of_the_first_sheet_are_read(shared, name):
    assert read_workbook(workbook(ROWS, shared=shared, name=name)) == [
        ["file", "use", "exptime", "object", "night", "date_obs", "", "xbinning"],
        ["a.fit", "true", "1.5", "M 13 & <x>", "45353", "2024-03-02T01:02:03", "", "2"],
        [],
        ["b.fit", "false", "0.1", "", "2024-03-02", "45353.25"],
    ]


def test_columns_beyond_z_have_their_place():
    row = [None] * 27 + ["here"]
    assert read_workbook(workbook([row])) == [[""] * 27 + ["here"]]


def test_an_edited_frame_table_is_read(tmp_path):
    path = tmp_path / "frames.xlsx"
    rows = [[cell for at, cell in enumerate(row) if at != 6] for row in ROWS]
    path.write_bytes(workbook(rows))
    frames = read_frames_csv(path).set_index("file")
    assert frames["use"].tolist() == [True, False]
    assert frames["exptime"].tolist() == [1.5, 0.1]
    assert frames.loc["a.fit", "object"] == "M 13 & <x>"
    assert frames["night"].tolist() == ["2024-03-02", "2024-03-02"]
    assert frames.loc["b.fit", "date_obs"] == pd.Timestamp("2024-03-02T06:00Z")
    assert frames.loc["a.fit", "xbinning"] == 2


def test_what_is_wrong_in_a_sheet_is_named_with_its_row(tmp_path):
    path = tmp_path / "frames.xlsx"
    path.write_bytes(workbook([["file", "exptime"], ["a"], ["b", "long"]]))
    with pytest.raises(TableError, match="row 3: exptime is 'long', expected a number"):
        read_frames_csv(path)


def broken_archive():
    return workbook(ROWS)[:-200]


def other_archive(name):
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (workbook([["file", "object"], ["a", "#NAME?"]]), "cell B2 shows #NAME?"),
        (broken_archive(), "a damaged .xlsx file"),
        (
            workbook(ROWS, leave_out=["xl/worksheets/sheet1.xml"]),
            "a damaged .xlsx file",
        ),
        (workbook(ROWS, leave_out=["xl/sharedStrings.xml"]), "a damaged .xlsx file"),
        (other_archive("content.xml"), "an OpenDocument table, not CSV or .xlsx"),
        (other_archive("a.fit"), "a zip archive, not CSV or .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an .xls file, which is not read"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, content, complaint):
    path = tmp_path / "frames.xlsx"
    path.write_bytes(content)
    with pytest.raises(TableError, match=complaint.replace("?", r"\?")) as error:
        read_frames_csv(path)
    assert str(path) in str(error.value)


@given(st.integers(0, 2**31), st.integers(0, 255))
def test_a_spoilt_byte_is_told_in_words(at, value):
    content = bytearray(workbook(ROWS))
    content[at % len(content)] = value
    with suppress(TableError):
        read_workbook(bytes(content))


def test_a_workbook_steers_a_plan(tmp_path):
    night = write_night(tmp_path / "night")
    table = tmp_path / "edited.xlsx"
    table.write_bytes(workbook([["file", "use"], ["light_0002.fit", False]]))
    words = ["plan", str(night), "--frames", str(table), "-q"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    frames = read_frames_csv(tmp_path / "night_reduced" / "frames.csv")
    assert frames.loc[~frames["use"], "file"].tolist() == ["light_0002.fit"]
