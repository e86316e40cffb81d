"""Dialect tables: what they say, how they are chosen, and what is refused."""

from pathlib import Path

import pytest

from autoreduce.errors import SettingsError
from autoreduce.fits.header import headers_from_text
from autoreduce.frames.dialects import load_dialects, recognise, type_key
from autoreduce.frames.facts import FactReader, is_cut_off, valid_section


def facts_of(cards, extra=()):
    header = headers_from_text(cards)[0]
    dialect = recognise(header, load_dialects(extra))
    return {
        fact: reading.value
        for fact, reading in FactReader(dialect).read(header).items()
    }


def readings_of(cards):
    header = headers_from_text(cards)[0]
    return FactReader(recognise(header, load_dialects())).read(header)


def write_table(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("card", "gain", "egain"),
    [
        ("GAIN    = 120", 120.0, None),
        ("GAIN    = 1.7", None, 1.7),
        ("GAIN    = 2 / [e-/ADU]", None, 2.0),
        ("GAIN    = 2 / electrons per ADU", None, 2.0),
        ("GAIN    = 0.5 / ADU/e-", None, 2.0),
        ("GAIN    = 2 / CCD gain (e/ADU)", None, 2.0),
        ("GAIN    = '[2.0, 4.0]' / [electrons/count]", None, 3.0),
        ("ISO     = 800", 800.0, None),
        ("EGAIN   = 0.0", None, None),
        ("GAIN    = 2\nRDNOISE = 6.5", None, 2.0),
        ("GAIN    = 2\nRDNOISE = 6.5\nEGAIN   = 1.3", 2.0, 1.3),
        ("GAIN    = 120\nRDNOISE = 1.5", 120.0, None),
        ("GAIN    = 0\nRDNOISE = 1.5", 0.0, None),
    ],
)
def test_gain_is_a_setting_or_electrons_per_adu(card, gain, egain):
    facts = facts_of(card)
    assert (facts.get("gain"), facts.get("egain")) == (gain, egain)


def test_writer_decides_what_gain_means():
    assert facts_of("SWCREATE= 'SharpCap'\nGAIN    = 1.5")["gain"] == 1.5
    assert facts_of("ORIGIN  = 'LCOGT'\nGAIN    = 2")["egain"] == 2.0


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        ("FILTER  = ' V '", "V"),
        ("FILTER  = 'None'", None),
        ("FILTER  = 'RGGB'", None),
        ("FILTER1 = 'J'\nFILTER2 = 'None'", "J"),
        ("FILTER1 = 'Open'\nFILTER2 = 'V'\nFILTER3 = 'ND1'", "V+ND1"),
        ("FILTER1 = 'open1-6'\nFILTER2 = 'CLEAR'", "open1-6"),
        ("FILTER1 = 33\nFILTER2 = 0", None),
        ("FILTER01= 'W-C-RC'", "W-C-RC"),
        ("FILTER  = 'r'\nFILTER1 = 'air'\nFILTER2 = 'r'", "r"),
    ],
)
def test_filter_wheels_are_joined(cards, name):
    assert facts_of(cards).get("filter") == name


def test_bayer_pattern_is_found_even_in_filter():
    assert facts_of("FILTER  = 'RGGB'")["bayerpat"] == "RGGB"
    assert "bayerpat" not in facts_of("BAYERPAT= 'INVALID'")


@pytest.mark.parametrize(
    ("cards", "pattern"),
    [
        ("XBAYROFF= 1", "GRBG"),
        ("YBAYROFF= '1'", "GBRG"),
        ("XBAYROFF= 1.0\nYBAYROFF= 3", "BGGR"),
        ("BAYOFFX = 1\nBAYOFFY = 0", "GRBG"),
        ("XBAYROFF= 2", "RGGB"),
    ],
)
def test_the_pattern_is_told_from_the_first_pixel_on(cards, pattern):
    reading = readings_of(f"BAYERPAT= 'RGGB'\n{cards}")["bayerpat"]
    assert (reading.value, reading.literal) == (pattern, "RGGB")
    assert ("begun at row" in reading.rule) == (pattern != "RGGB")


@pytest.mark.parametrize(
    "cards",
    [
        "XBINNING= 2\nYBINNING= 3",
        "CCDSUM  = '2 3'",
        "BINNING = '2x3'",
        "BINNING = '2,3'",
    ],
)
def test_binning_in_every_form(cards):
    facts = facts_of(cards)
    assert (facts["xbinning"], facts["ybinning"]) == (2, 3)


def test_binning_of_one_number_is_the_same_both_ways():
    facts = facts_of("BINNING = 2")
    assert (facts["xbinning"], facts["ybinning"]) == (2, 2)


def test_binning_of_zero_says_nothing():
    assert "xbinning" not in facts_of("XBINNING= 0")


def test_microseconds_and_other_units_become_seconds():
    assert facts_of("EXPOINUS= 1500000")["exptime"] == 1.5
    assert facts_of("EXPTIME = 250 / [ms]")["exptime"] == 0.25


@pytest.mark.parametrize(
    ("cards", "exptime"),
    [
        ("EXPTIME = -60.0", 60.0),
        ("EXPTIME = -1", None),
        ("EXPTIME = -999", None),
    ],
)
def test_a_negative_exposure_is_one_of_a_dark_but_for_what_stands_for_none(
    cards, exptime
):
    assert facts_of(cards).get("exptime") == exptime


@pytest.mark.parametrize(
    ("cards", "measured", "wanted"),
    [
        ("CCD-TEMP= 0.0\nDETTEMP = 163.15", -110.0, None),
        ("CCD-TEMP= 0.0", 0.0, None),
        ("CCD-TEMP= 0.0\nSET-TEMP= -20.0", None, -20.0),
        ("CCD-TEMP= -20.0\nSET-TEMP= 0.0", -20.0, None),
        ("CCD-TEMP= 0.0\nSET-TEMP= 0.0", 0.0, 0.0),
        ("CCD-TEMP= 0.0\nSET-TEMP= -0.5", 0.0, -0.5),
    ],
)
def test_a_temperature_of_0_gives_way_to_one_that_was_filled_in(
    cards, measured, wanted
):
    facts = facts_of(cards)
    assert (facts.get("ccd_temp"), facts.get("set_temp")) == (measured, wanted)


@pytest.mark.parametrize(
    ("cards", "keyword"),
    [
        (
            (
                "DATE-OBS= '2003-03-21'\nTIME-OBS= '22:04:05' / Local time\n"
                "UT      = '03:04:05'"
            ),
            "DATE-OBS+UT",
        ),
        (
            (
                "DATE-OBS= '2003-03-20T22:04:05' / local date and time\n"
                "UT-DATE = '2003-03-21'\nUT      = '03:04:05'"
            ),
            "UT-DATE+UT",
        ),
    ],
)
def test_a_time_in_ut_goes_before_one_that_is_called_local(cards, keyword):
    reading = readings_of(cards)["date_obs"]
    assert reading.keyword == keyword
    assert str(reading.value) == "2003-03-21 03:04:05+00:00"


def test_value_outside_its_range_says_nothing():
    facts = facts_of(
        "EXPTIME = -1\nEXPOSURE= 30\nRA      = 654.5\nOBJCTRA = '12 00 00'"
    )
    assert (facts["exptime"], facts["ra"]) == (30.0, 180.0)


def test_other_keywords_that_disagree_are_kept():
    reading = readings_of("EXPTIME = 30\nEXPOSURE= 60\nEXPOS   = 30")["exptime"]
    assert (reading.value, reading.keyword) == (30.0, "EXPTIME")
    assert reading.disagree == ("EXPOSURE=60",)


def test_right_ascension_in_radians_hours_and_degrees():
    assert facts_of("RA      = 12.5 / [hours]")["ra"] == 187.5
    assert facts_of("RA      = '12:30:00'")["ra"] == 187.5
    assert facts_of("RA      = 187.5 / degrees")["ra"] == 187.5
    assert facts_of("RA = 3.0 / RA in radians")["ra"] == pytest.approx(
        171.887, abs=1e-3
    )


@pytest.mark.parametrize(
    ("section", "shape", "found"),
    [
        ("[1538:1541, 1:1024]", (1542, 1024), "[1538:1541,1:1024]"),
        ("[1:2048,1:512]", (1024, 512), None),
        ("[0:10,1:5]", (20, 20), None),
        ("[10:1,1:5]", (20, 20), "[1:10,1:5]"),
        ("Unknown", (20, 20), None),
        ("[1:4096, :]", (4096, 20), "[1:4096,1:20]"),
        ("[*,2:5]", (20, 20), "[1:20,2:5]"),
        ("[:,0:5]", (20, 20), None),
    ],
)
def test_section_must_lie_in_the_image(section, shape, found):
    assert valid_section(section, shape) == found


@pytest.mark.parametrize(
    ("section", "cut_off"),
    [
        ("[101:120,1:80]", True),
        ("[101:120,*]", True),
        ("[1:100,81:90]", True),
        ("[1:80,101:120]", False),
        ("[91:110,1:80]", False),
        ("[101:120,81:90]", False),
    ],
)
def test_a_section_beyond_one_edge_was_not_saved(section, cut_off):
    assert is_cut_off(section, (100, 80)) == cut_off


def test_own_table_comes_before_those_that_are_built_in(tmp_path):
    table = write_table(
        tmp_path,
        'recognise = [{ SWCREATE = "MaxIm*", INSTRUME = "Foo*" }]\n'
        '[exptime]\nkeywords = [{ keyword = "MYEXP", unit = "min" }]\n',
    )
    cards = (
        "SWCREATE= 'MaxIm DL Version 6'\nINSTRUME= 'foo 1'\nMYEXP   = 2\nEXPTIME = 5"
    )
    assert facts_of(cards, [table])["exptime"] == 120.0
    assert facts_of(cards.replace("foo", "bar"), [table])["exptime"] == 5.0


def test_own_table_may_replace_the_general_keywords(tmp_path):
    table = write_table(
        tmp_path,
        'recognise = [{ INSTRUME = "*" }]\n'
        '[object]\nreplace = true\nkeywords = ["TITLE"]\nvalues = { m42 = "Orion" }\n',
    )
    assert "object" not in facts_of("INSTRUME= 'a'\nOBJECT  = 'b'", [table])
    assert facts_of("INSTRUME= 'a'\nTITLE   = 'M42'", [table])["object"] == "Orion"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = [", "not valid TOML"),
        ("[exptime]\nkeywords = ['A']", "recognise: must say"),
        (
            "recognise = [{ A = '*' }]\n[exposure]\nkeywords = []",
            "line 2: exposure: unknown key",
        ),
        (
            "recognise = [{ A = '*' }]\n[exptime]\nkeyword = ['A']",
            "line 3: exptime.keyword: unknown key",
        ),
        (
            "recognise = [{ A = '*' }]\ngain_card = 'e'",
            "line 2: gain_card: expected one of .*setting.*, not 'e'",
        ),
        (
            "recognise = [{ A = '*' }]\n[imagetyp.values]\nscience = ['x']",
            "line 3: imagetyp.values.science: expected one of",
        ),
        (
            "recognise = [{ A = '*' }]\n[exptime]\nkeywords = [{ key = 'A' }]",
            "line 3: exptime.keywords.key: unknown key; there are .*keyword",
        ),
        (
            "recognise = [{ A = '*' }]\n[exptime]\nkeywords = [{keyword='A',unit='x'}]",
            "line 3: exptime.keywords.unit: expected one of .*, not 'x'",
        ),
        ("recognise = 'A'", "line 1: recognise: expected a list"),
    ],
)
def test_table_that_is_not_valid_is_refused_by_name(tmp_path, text, complaint):
    table = write_table(tmp_path, text)
    with pytest.raises(SettingsError, match=complaint) as refused:
        load_dialects([table])
    assert "mine.toml" in str(refused.value)


def test_missing_table_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_dialects([tmp_path / "absent.toml"])


def test_example_of_the_documentation_is_valid(tmp_path):
    page = Path(__file__).parents[1] / "docs" / "dialects.md"
    example = page.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    table = write_table(tmp_path, example)
    cards = "SWCREATE= 'SkyGrab 2'\nINTTIME = 250\nGAIN    = 1.5\nWHEELPOS= 2"
    facts = facts_of(cards, [table])
    assert (facts["exptime"], facts["gain"], facts["filter"]) == (0.25, 1.5, "R")


def test_general_dialect_is_tried_last():
    assert load_dialects()[-1].name == "general"


def test_every_dialect_says_for_whom_it_is():
    dialects = load_dialects()
    assert all(dialect.title != dialect.name for dialect in dialects)
    assert all(dialect.recognise for dialect in dialects[:-1])


def test_type_key_drops_what_has_no_meaning():
    keys = [type_key(text) for text in ("Light Frame", "LIGHTFRAME", "bias (  5 )")]
    assert keys == ["lightframe", "lightframe", "bias"]
