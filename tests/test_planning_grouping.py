"""Which frames are combined: equal in setup, close in the rest, in any order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned_nights import dark_of, dark_table

from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.grouping import comparable, group_codes, group_facts
from autoreduce.planning.naming import group_names
from autoreduce.planning.rules import CombineRule, load_rules

RULES = load_rules()


def codes_of(*rows, kind="dark"):
    return group_codes(dark_table(*rows), RULES.combine[kind], RULES).tolist()


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("instrume", "OTHER"),
        ("naxis1", 99),
        ("xorgsubf", 10),
        ("ybinning", 2),
        ("readoutm", "fast"),
        ("gain", 100.0),
        ("offset", 30.0),
        ("bayerpat", "RGGB"),
        ("trimsec", "[1:90,1:50]"),
        ("biassec", "[91:100,1:50]"),
        ("night", "2024-03-02"),
        ("exptime", 60.2),
    ],
)
def test_frames_that_differ_in_setup_are_not_combined(column, other):
    assert codes_of(dark_of(), dark_of(**{column: other})) == [0, 1]


def test_frames_of_two_set_points_are_not_combined():
    cold = dark_of(set_temp=-22.0, ccd_temp=-21.9)
    assert codes_of(dark_of(), cold) == [0, 1]


@pytest.mark.parametrize("column", ["readoutm", "gain", "bayerpat", "filter", "egain"])
def test_missing_equals_missing(column):
    assert codes_of(dark_of(), dark_of(**{column: None})) == [0, 0]


def test_darks_of_any_filter_are_combined():
    assert codes_of(dark_of(filter="R"), dark_of(filter="V")) == [0, 0]


def test_exposures_that_jitter_are_one_group():
    rows = [dark_of(exptime=t) for t in (300.0, 300.1, 300.2, 301.0)]
    assert codes_of(*rows) == [0, 0, 0, 1]


def test_a_set_point_that_was_reached_stands_for_the_measured_temperature():
    rows = [dark_of(ccd_temp=t) for t in (-20.9, -19.1, -21.2)]
    assert codes_of(*rows) == [0, 0, 0]


def test_a_set_point_that_was_not_reached_does_not_count():
    rows = [dark_of(set_temp=-27.2, ccd_temp=t) for t in (-18.6, -18.9, -22.3)]
    assert codes_of(*rows) == [0, 0, 1]


def test_without_a_set_point_five_degrees_are_alike():
    rows = [dark_of(set_temp=None, ccd_temp=t) for t in (8.0, 12.9, 13.1)]
    assert codes_of(*rows) == [0, 1, 1]


@pytest.mark.parametrize(
    ("measured", "groups"),
    [
        ((-10.0, -10.1, -12.0, -12.1), [0, 0, 1, 1]),
        ((-10.0, -10.1, -9.9, -11.5), [0, 0, 0, 1]),
        ((20.0, 21.0, 22.0, 23.0), [0, 0, 0, 0]),  # a camera without a cooler
        ((20.0, 20.4, 20.8, 21.2, 21.6, 22.0), [0, 0, 0, 0, 0, 0]),
    ],
)
def test_temperatures_that_hold_are_a_set_point(measured, groups):
    """Those that drift are alike within 5 degrees, those that hold within 1."""
    rows = [dark_of(set_temp=None, ccd_temp=t) for t in measured]
    assert codes_of(*rows) == groups


def test_a_set_point_is_found_in_the_frames_of_its_camera_and_night():
    held = [dark_of(set_temp=None, ccd_temp=t) for t in (-10.1, -10.0, -9.9, 3.0)]
    other = dark_of(set_temp=None, ccd_temp=-10.0, instrume="B")
    said = dark_of()
    table = dark_table(*held, other, said)
    found = table["set_point"].tolist()
    np.testing.assert_array_equal(found, [-10, -10, -10, np.nan, np.nan, -20])
    assert table["temperature"].tolist() == [-10, -10, -10, 3, -10, -20]


@pytest.mark.parametrize("column", ["filter", "telescop", "focallen", "rotator"])
@pytest.mark.parametrize("kind", ["bias", "dark"])
def test_bias_and_darks_are_not_split_by_what_is_before_the_shutter(kind, column):
    other = {column: 45.0 if column in ("focallen", "rotator") else "X"}
    assert codes_of(dark_of(), dark_of(**other), kind=kind) == [0, 0]


def test_flats_of_all_exposures_pool_and_filters_do_not():
    rows = [dark_of(filter=f, exptime=t) for f, t in (("R", 1), ("R", 9), ("V", 1))]
    assert codes_of(*rows, kind="flat") == [0, 0, 1]


def test_the_rotator_wraps_around():
    rows = [dark_of(rotator=angle) for angle in (359.5, 0.5, 180.0)]
    assert codes_of(*rows, kind="flat") == [0, 0, 1]


def test_bias_at_dusk_and_dawn_are_one_group():
    dusk, dawn = "2024-03-01T18:00:00", "2024-03-02T06:00:00"
    rows = [dark_of(date_obs=dusk), dark_of(date_obs=dawn)]
    assert codes_of(*rows, kind="bias") == [0, 0]


def test_no_combination_lasts_longer_than_a_day():
    rows = [
        dark_of(night=None, date_obs=f"2024-03-0{day}T20:00:00") for day in (1, 2, 4)
    ]
    assert codes_of(*rows, kind="bias") == [0, 0, 1]


def test_spellings_of_an_object_are_one():
    table = dark_table(*(dark_of(object=o) for o in ("M 13", "m13", "M13", "M13")))
    assert set(table["object"]) == {"M13"}


values = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=30)


@given(values)
@settings(deadline=None)
def test_clusters_fit_their_tolerance_and_do_not_overlap(angles):
    table = dark_table(*(dark_of(focallen=value) for value in angles))
    rule = CombineRule(within=("focallen",))
    codes = group_codes(table, rule, RULES)
    spans = [
        (part.min(), part.max())
        for part in (
            table["focallen"].to_numpy(float)[codes == code] for code in set(codes)
        )
    ]
    assert all(high - low <= max(1.0, 0.001 * high) + 1e-6 for low, high in spans)
    spans.sort()
    assert all(a[1] < b[0] for a, b in pairwise(spans))


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_the_order_of_rows_does_not_matter(random):
    rows = [
        dark_of(exptime=t, gain=g, file=f"{t}{g}.fits")
        for t in (1.0, 1.04, 60.0, 60.05)
        for g in (None, 100.0)
    ]
    shuffled = random.sample(rows, len(rows))
    found = []
    for order in (rows, shuffled):
        table = comparable(make_frame_table(order), RULES.temperature)
        codes = group_codes(table, RULES.combine["dark"], RULES)
        names = group_names(group_facts(table, codes))
        found.append({f: names[c] for f, c in zip(table["file"], codes, strict=True)})
    assert found[0] == found[1]


def test_facts_are_medians_and_agreements():
    table = dark_table(
        dark_of(exptime=60.0, filter="R", egain=1.5),
        dark_of(exptime=60.04, filter="V", egain=1.5),
    )
    facts = group_facts(table, np.zeros(2, dtype=np.intp)).iloc[0]
    assert facts["exptime"] == pytest.approx(60.02)
    assert facts["egain"] == 1.5
    assert facts["xbinning"] == 1
    assert facts[["filter", "object"]].isna().all()
