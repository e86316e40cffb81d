"""Names of groups and products: safe for any file system, short, understandable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned_nights import dark_of, dark_table

from autoreduce.planning.grouping import group_codes, group_facts
from autoreduce.planning.naming import (
    calibrated_outputs,
    group_names,
    slug,
    stack_field,
    stack_output,
)
from autoreduce.planning.rules import load_rules

RULES = load_rules()


def names_of(*rows, kind="dark"):
    table = dark_table(*rows)
    codes = group_codes(table, RULES.combine[kind], RULES)
    return group_names(group_facts(table, codes))


@pytest.mark.parametrize(
    ("facts", "kind", "name"),
    [
        (
            {"imagetyp": "bias", "set_temp": -25.0, "ccd_temp": -25},
            "bias",
            "bias_1x1_m25C",
        ),
        ({"set_temp": None, "ccd_temp": 5.2}, "dark", "dark_60s_1x1_5C"),
        (
            {"set_temp": 0.0, "ccd_temp": -0.2, "exptime": 0.5},
            "dark",
            "dark_0.5s_1x1_0C",
        ),
        ({"imagetyp": "flatdark", "exptime": 2.0}, "dark", "flatdark_2s_1x1_m20C"),
        ({"imagetyp": "flat", "filter": "Halpha"}, "flat", "flat_Halpha_1x1"),
        ({"imagetyp": "flat", "xbinning": None}, "flat", "flat_nofilter"),
        (
            {"imagetyp": "light", "object": "M13", "filter": "sdss_g", "ybinning": 2},
            "light",
            "light_M13_sdss-g_60s_1x2",
        ),
        ({"imagetyp": "light"}, "light", "light_unnamed_nofilter_60s_1x1"),
    ],
)
def test_groups_have_names_that_a_person_understands(facts, kind, name):
    assert names_of(dark_of(**facts), kind=kind) == [name]


@pytest.mark.parametrize(
    ("column", "others", "added"),
    [
        ("gain", [0.0, 100.0], ["gain0", "gain100"]),
        ("readoutm", ["Low Gain", "HDR"], ["Low-Gain", "HDR"]),
        ("offset", [None, 30.0], ["", "offset30"]),
        ("night", ["2024-03-01", "2024-03-02"], ["2024-03-01", "2024-03-02"]),
        ("instrume", ["ASI 1600", "QHY"], ["ASI-1600", "QHY"]),
        (
            "instrume",
            ["SBIG STL-1001 3 CCD Camera", "SBIG ST-8"],
            ["SBIG-STL-1001-3-CCD", "SBIG-ST-8"],
        ),
        ("naxis1", [100, 80], ["100x50", "80x50"]),
    ],
)
def test_names_say_what_sets_groups_apart_and_only_then(column, others, added):
    names = names_of(*(dark_of(**{column: value}) for value in others))
    expected = ["_".join(filter(None, ["dark_60s_1x1_m20C", part])) for part in added]
    assert names == expected


def test_names_that_only_case_tells_apart_get_numbers():
    rows = [dark_of(imagetyp="flat", filter=name) for name in ("R", "r")]
    assert names_of(*rows, kind="flat") == ["flat_R_1x1", "flat_r_1x1_2"]


@given(st.text(min_size=1))
def test_a_slug_is_safe_for_any_file_system(text):
    assert slug(text).isascii()
    assert 0 < len(slug(text)) <= 24
    assert not set(slug(text)) & set(" /\\:*?\"<>|_'\n")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Sloan r'", "Sloan-r"),
        ("Cat's Eye Nebula", "Cats-Eye-Nebula"),
        ("H\N{GREEK SMALL LETTER ALPHA}", "Halpha"),
        ("M\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen", "Munchen"),
        ("../x", "x"),
    ],
)
def test_slugs_of_real_names(text, name):
    assert slug(text) == name


def test_names_without_a_counterpart_stay_different():
    one, two = "\u732b", "\u72ac"
    assert slug(one) != slug(two)


def test_long_names_stay_different():
    assert slug("a" * 30 + "b") != slug("a" * 30 + "c")


@pytest.mark.parametrize(
    ("files", "outputs"),
    [
        (["a/b.fit"], ["a/b.fit"]),
        (["b.fits.gz", "c.FITS.fz", "d.fts"], ["b.fits", "c.FITS", "d.fts"]),
        (["cube.fits[2]", "weird[1].fits"], ["cube_2.fits", "weird[1].fits"]),
        (["x.00000003.DARK.FIT"], ["x.00000003.DARK.FIT"]),
        (["b.fits", "b.fits.gz", "B.FITS"], ["b_2.fits", "b_3.fits", "B.FITS"]),
        (["a_2.fits", "a.fits[2]"], ["a_2_2.fits", "a_2.fits"]),
    ],
)
def test_calibrated_frames_keep_their_names(files, outputs):
    assert calibrated_outputs(files) == [f"calibrated/{name}" for name in outputs]


def test_names_of_fields():
    assert stack_output("stacks/a.fits", 1) == "stacks/a.fits"
    assert stack_output("stacks/a.fits", 3) == "stacks/a_field3.fits"
    for number in (1, 3, 12):
        assert (
            stack_field("stacks/a.fits", stack_output("stacks/a.fits", number))
            == number
        )
