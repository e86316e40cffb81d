"""The observer's word: patterns, flags, and an edited frames.csv."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreduce.errors import TableError
from autoreduce.frames.overrides import (
    apply_overrides,
    read_frames_csv,
    select,
    write_frames_csv,
)
from autoreduce.frames.schema import make_frame_table

NAMES = (
    "20210227.0041.fit",
    "20210227.0051.fit",
    "flats/domeflat_R_007.fits",
    "flats/x.00000003.DARK.FIT",
    "odd[1].fits[2]",
)


def make_frames(**columns):
    table = make_frame_table({"file": name} for name in NAMES)
    for name, value in columns.items():
        table[name] = pd.Series([value] * len(table), dtype=table[name].dtype)
    table.attrs["root"] = "/data/night"
    return table


def chosen(pattern):
    frames = make_frames()
    return frames["file"][select(frames, pattern)].tolist()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("20210227.0041.fit", [NAMES[0]]),
        ("0051", [NAMES[1]]),
        ("51", [NAMES[1]]),
        ("0040-0051", [NAMES[0], NAMES[1]]),
        ("3", [NAMES[3]]),
        ("7", [NAMES[2]]),
        ("0041,0007", [NAMES[0], NAMES[2]]),
        ("flats", [NAMES[2], NAMES[3]]),
        ("flats/", [NAMES[2], NAMES[3]]),
        ("flats/*.fits", [NAMES[2]]),
        ("*.fit", [NAMES[0], NAMES[1]]),
        ("domeflat_R_007.fits", [NAMES[2]]),
        ("/data/night/flats/domeflat_R_007.fits", [NAMES[2]]),
        ("./20210227.0041.fit", [NAMES[0]]),
        ("odd[1].fits[2]", [NAMES[4]]),
        ("odd[1][2]", [NAMES[4]]),
        ("*.fits[2]", [NAMES[4]]),
        ("*.fits", [NAMES[2], NAMES[4]]),
        ("*", list(NAMES)),
    ],
)
def test_pattern_means_these_frames(pattern, names):
    assert sorted(chosen(pattern)) == sorted(names)


def test_pattern_without_a_match_lists_the_nearest_names():
    with pytest.raises(TableError, match=r"'domeflat_R_008.fits'.*domeflat_R_007.fits"):
        chosen("domeflat_R_008.fits")


def test_number_without_a_match_lists_the_nearest_numbers():
    with pytest.raises(
        TableError, match=r"'0049'.*nearest names are 20210227.0051.fit"
    ):
        chosen("0049")


def test_excluded_frames_say_so():
    frames = apply_overrides(make_frames(), exclude=["0051"])
    row = frames.set_index("file").loc[NAMES[1]]
    assert (row["use"], row["why_not"]) == (False, "excluded by hand")
    assert frames["use"].sum() == len(NAMES) - 1


def test_included_frame_is_used_and_keeps_its_reason():
    left_out = make_frames(use=False, why_not="odd")
    frames = apply_overrides(left_out, include=["0051"]).set_index("file")
    assert frames.loc[NAMES[1], "use"]
    assert frames.loc[NAMES[1], "why_not"] == "odd"
    assert not frames.loc[NAMES[0], "use"]


def test_included_frame_without_a_reason_is_marked():
    frames = apply_overrides(make_frames(), include=["0051"]).set_index("file")
    assert frames.loc[NAMES[1], "why_not"] == "included by hand"
    assert pd.isna(frames.loc[NAMES[0], "why_not"])


def test_inclusion_comes_after_exclusion():
    frames = apply_overrides(make_frames(), exclude=["*"], include=["0051"])
    assert frames["file"][frames["use"]].tolist() == [NAMES[1]]
    assert frames.set_index("file").loc[NAMES[1], "why_not"] == "included by hand"


def test_settings_are_typed():
    frames = apply_overrides(
        make_frames(),
        settings=[
            "0051: filter=R, object=M 13, exptime=60, xbinning=2",
            "0041: date_obs=2021-02-27T20:00:00",
        ],
    ).set_index("file")
    row = frames.loc[NAMES[1]]
    facts = (row["filter"], row["object"], row["exptime"], row["xbinning"])
    assert facts == ("R", "M 13", 60.0, 2)
    assert frames.loc[NAMES[0], "date_obs"] == pd.Timestamp("2021-02-27T20:00Z")
    assert frames.dtypes.equals(make_frames().set_index("file").dtypes)


@pytest.mark.parametrize(
    ("step", "moved", "night"),
    [
        ("+7h", "2021-02-28T04:00Z", "2021-02-27"),
        ("-90 min", "2021-02-27T19:30Z", "2021-02-27"),
        ("+1.5s", "2021-02-27T21:00:01.5Z", "2021-02-27"),
        ("+24h", "2021-02-28T21:00Z", "2021-02-28"),
        ("-1d", "2021-02-26T21:00Z", "2021-02-26"),
    ],
)
def test_a_date_may_be_moved(step, moved, night):
    """By whole days the night moves with it."""
    told = make_frames(date_obs=pd.Timestamp("2021-02-27T21:00Z"), night="2021-02-27")
    frames = apply_overrides(told, settings=[f"0051: date_obs={step}, filter=R"])
    row = frames.set_index("file").loc[NAMES[1]]
    assert (row["date_obs"], row["night"]) == (pd.Timestamp(moved), night)
    assert row["filter"] == "R"
    other = frames.set_index("file").loc[NAMES[0], "date_obs"]
    assert other == pd.Timestamp("2021-02-27T21:00Z")


@pytest.mark.parametrize(
    ("longitude", "start", "step", "night"),
    [
        (175.0, "2021-02-27T20:00Z", "-13h", "2021-02-27"),
        (175.0, "2021-02-28T02:00Z", "-13h", "2021-02-27"),
        (-105.0, "2021-02-27T18:30Z", "+7h", "2021-02-27"),
        (None, "2021-02-27T20:00Z", "-13h", "2021-02-27"),
    ],
)
def test_a_night_is_that_of_the_moved_date_at_the_site(longitude, start, step, night):
    """Local times that were taken for UTC, with the nights that they seem to be of."""
    start, hours = pd.Timestamp(start), round((longitude or 0) / 15) - 12
    seemed = (start + pd.Timedelta(hours=hours)).date().isoformat()
    told = make_frames(date_obs=start, night=seemed, longitude=longitude)
    frames = apply_overrides(told, settings=[f"0051: date_obs={step}"])
    assert frames.set_index("file").loc[NAMES[1], "night"] == night


def test_a_night_is_that_of_the_longitude_that_is_set_before():
    told = make_frames(
        date_obs=pd.Timestamp("2021-02-28T06:00Z"), night="2021-02-28", longitude=105.0
    )
    frames = apply_overrides(told, settings=["0051: longitude=-105, date_obs=+7h"])
    assert frames.set_index("file").loc[NAMES[1], "night"] == "2021-02-27"


def test_a_date_that_is_not_known_stays_so():
    frames = apply_overrides(make_frames(), settings=["0051: date_obs=+1d"])
    assert frames["date_obs"].isna().all()


def test_value_may_hold_colons_and_commas():
    frames = apply_overrides(make_frames(), settings=["0051: object=a: b, c"])
    assert frames.set_index("file").loc[NAMES[1], "object"] == "a: b, c"


def test_empty_value_makes_a_fact_missing():
    frames = apply_overrides(make_frames(filter="R"), settings=["0051: filter="])
    assert frames["filter"].isna().sum() == 1


def test_type_by_hand_brings_back_what_the_type_left_out():
    frames = make_frames(use=False, why_not="type unknown: no witness", code="untyped")
    frames = apply_overrides(frames, settings=["0051: imagetyp=Light"])
    row = frames.set_index("file").loc[NAMES[1]]
    assert (row["use"], row["imagetyp"]) == (True, "light")
    assert frames["use"].sum() == 1


def test_type_by_hand_does_not_bring_back_what_is_calibrated():
    frames = make_frames(use=False, why_not="calibrated already (CALSTAT = BDF)")
    frames = apply_overrides(frames, settings=["*: imagetyp=light"])
    assert not frames["use"].any()


def test_type_other_by_hand_leaves_a_frame_out():
    frames = apply_overrides(make_frames(), settings=["0051: imagetyp=other"])
    row = frames.set_index("file").loc[NAMES[1]]
    assert (row["use"], row["why_not"]) == (False, "type other by hand")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("0051", "cannot read the setting"),
        ("0051: filtre=R", "did you mean 'filter'"),
        ("0051: file=x", "'file' is no column that can be set"),
        ("0051: imagetyp=biased", "expected one of bias, dark"),
        ("0051: exptime=long", "exptime is 'long', expected a number"),
        ("0051: exptime=nan", "expected a number"),
        ("0051: exptime=1e308", r"exptime is 1e\+308, expected 0 to 1e\+06"),
        ("0051: trimsec=T", "section 'T' is not of the form"),
        ("0051: biassec=[9:1,1:2]", "must not run backwards"),
        ("0051: xbinning=1.5", "expected a whole number"),
        ("0051: date_obs=today", "expected a date in UTC"),
        ("9999: filter=R", "no frame matches '9999'"),
    ],
)
def test_setting_that_does_not_fit_is_refused(setting, complaint):
    with pytest.raises(TableError, match=complaint):
        apply_overrides(make_frames(), settings=[setting])


def test_overrides_leave_the_table_given_as_it_was():
    frames = make_frames()
    before = frames.copy()
    after = apply_overrides(frames, exclude=["*"], settings=["*: filter=R"])
    pd.testing.assert_frame_equal(frames, before)
    assert after.attrs == frames.attrs


printable = st.text(
    st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12
).map(str.strip)
texts = st.one_of(st.none(), printable.filter(bool))
floats = st.one_of(st.none(), st.floats(0.0, 1e6))
rows = st.fixed_dictionaries(
    {
        "file": printable.filter(bool),
        "use": st.booleans(),
        "why_not": texts,
        "imagetyp": st.sampled_from([None, "bias", "light"]),
        "object": texts,
        "filter": texts,
        "exptime": floats,
        "xbinning": st.one_of(st.none(), st.integers(1, 8)),
        "date_obs": st.one_of(
            st.none(),
            st.datetimes(pd.Timestamp("1971-01-01"), pd.Timestamp("2099-12-31")),
        ),
    }
)


@settings(deadline=None)
@given(st.lists(rows, min_size=1, max_size=5, unique_by=lambda row: row["file"]))
def test_frames_csv_comes_back_unchanged(tmp_path_factory, rows):
    frames = make_frame_table(rows)
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    write_frames_csv(frames, path)
    pd.testing.assert_frame_equal(read_frames_csv(path), frames)


def test_a_formula_in_a_header_is_no_formula_in_the_table(tmp_path):
    frames = make_frames(object="=1+1", filter="-R")
    write_frames_csv(frames, tmp_path / "frames.csv")
    assert ",'=1+1,'-R," in (tmp_path / "frames.csv").read_text()
    pd.testing.assert_frame_equal(read_frames_csv(tmp_path / "frames.csv"), frames)


def test_missing_facts_are_empty_cells(tmp_path):
    write_frames_csv(make_frames(filter="R"), tmp_path / "frames.csv")
    line = (tmp_path / "frames.csv").read_text().splitlines()[1]
    assert line.startswith("20210227.0041.fit,true,,,,,R,,")


def read_text(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "frames.csv"
    path.write_bytes(text.encode(encoding))
    return read_frames_csv(path).set_index("file")


def test_table_of_a_spreadsheet_is_read(tmp_path):
    text = (
        "file;use;exptime;object;date_obs\r\n"
        "a.fit;FALSE;1,5;Caf\xe9 1,5 x;27.02.2021 20:15:00\r\n"
        "b.fit;TRUE;;;\r\n;;;;\r\n"
    )
    for encoding in ("utf-8-sig", "cp1252"):
        frames = read_text(tmp_path, text, encoding)
        assert frames["use"].tolist() == [False, True]
        assert frames.loc["a.fit", "exptime"] == 1.5
        assert frames.loc["a.fit", "object"] == "Caf\xe9 1,5 x"
        assert frames.loc["a.fit", "date_obs"] == pd.Timestamp("2021-02-27T20:15Z")
        assert frames.loc["b.fit"].isna()["exptime"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a column 'file'"),
        ("object\nM 13\n", "expected a column 'file'"),
        ("file,filtre\na,R\n", "'filtre' is no column.*did you mean 'filter'"),
        ("file,file\na,b\n", "every column once"),
        ("file,use\na,perhaps\n", "row 2: use is 'perhaps', expected true or false"),
        ("file,exptime\na,long\n", "row 2: exptime is 'long', expected a number"),
        ("file,use\na,true,x\n", "row 2 has 3 cells, expected 2"),
        ("file,imagetyp\na,biased\n", "expected one of bias, dark"),
        ("file\na\na\n", "listed twice"),
    ],
)
def test_table_that_does_not_hold_together_is_refused(tmp_path, text, complaint):
    with pytest.raises(TableError, match=complaint):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    ("true", "false"),
    [("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("VERO", "FALSO"), ("WAAR", "ONWAAR")],
)
@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_truth_is_read_in_the_words_of_spreadsheets(tmp_path, true, false, delimiter):
    lines = [("file", "use"), ("a.fit", true), ("b.fit", false.capitalize())]
    frames = read_text(tmp_path, "\n".join(delimiter.join(line) for line in lines))
    assert frames["use"].tolist() == [True, False]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("text", "number"),
    [("1,5", 1.5), ("-20,25", -20.25), ("1,5E-2", 0.015), ("1.234,5", 1234.5),
     ("0,001", 0.001), ("60", 60.0)],
)  # fmt: skip
def test_decimal_commas_are_read(tmp_path, text, number, encoding):
    table = f"file\texptime\tmedian\tobject\na.fit\t2,5\t{text}\tNGC 1,5\n"
    frames = read_text(tmp_path, table, encoding)
    assert frames.loc["a.fit", ["exptime", "median"]].tolist() == [2.5, number]
    assert frames.loc["a.fit", "object"] == "NGC 1,5"


def test_a_line_that_tells_spreadsheets_the_separator_is_passed_over(tmp_path):
    frames = read_text(tmp_path, "sep=;\nfile;exptime\na.fit;1,5\n")
    assert frames.loc["a.fit", "exptime"] == 1.5
    with pytest.raises(TableError, match="row 3: exptime is 'long'"):
        read_text(tmp_path, "sep=;\nfile;exptime\na.fit;long\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "file;exptime;median\na;1,5;1.234\n",
            "row 2: median is '1.234'.*1234 or 1.234",
        ),
        ('file,exptime\na,"1,234"\n', "row 2: exptime is '1,234'.*1234 or 1.234"),
        ("file;exptime\na;1,2,3\n", "row 2: exptime is '1,2,3', expected a number"),
    ],
)
def test_a_number_that_may_be_two_is_refused(tmp_path, text, complaint):
    with pytest.raises(TableError, match=complaint):
        read_text(tmp_path, text)


def test_numbers_with_points_are_read_as_they_are_beside_semicolons(tmp_path):
    frames = read_text(tmp_path, "file;exptime;median\na;1.5;1.234\n")
    assert frames.loc["a", ["exptime", "median"]].tolist() == [1.5, 1.234]


def test_missing_table_is_refused(tmp_path):
    with pytest.raises(TableError, match="cannot be read"):
        read_frames_csv(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("m13.0001", ["a/m13.0001.fits.gz"]),
        ("a/m13.0001", ["a/m13.0001.fits.gz"]),
        ("chips", ["chips.fits[1]", "chips.fits[2]"]),
        ("chips.fits", ["chips.fits[1]", "chips.fits[2]"]),
        ("chips.fits[2]", ["chips.fits[2]"]),
        (
            "m13.0001.fits.gz,chips",
            ["a/m13.0001.fits.gz", "chips.fits[1]", "chips.fits[2]"],
        ),
    ],
)
def test_a_name_may_lack_its_ending(pattern, files):
    names = ["a/m13.0001.fits.gz", "a/m13.0011.fits", "chips.fits[1]", "chips.fits[2]"]
    frames = make_frame_table([{"file": name} for name in names])
    assert list(frames["file"][select(frames, pattern)]) == files
