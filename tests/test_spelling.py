"""One rule for the spelling of objects and filters, wherever names are compared."""

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from small_night import write_night

from autoreduce.frames.overrides import apply_overrides
from autoreduce.frames.scan import scan
from autoreduce.frames.spelling import commonest_spellings, spelling_key
from autoreduce.library.masters import add_to_library, read_library
from autoreduce.planning.planner import make_plan
from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("M 13", "m13", True),
        ("M13 ", "M-13", True),
        ("R_Bessel", "r bessel", True),
        ("H-alpha", "Halpha", True),
        ("R", "r", False),
        ("R ", "R", True),
        ("R", "R_Bessel", False),
        ("M 13", "M 31", False),
        ("-", "_", False),
    ],
)
def test_case_and_separators_do_not_tell_names_apart(one, other, same):
    assert (spelling_key(one) == spelling_key(other)) is same


def test_the_commonest_spelling_stands_for_all():
    names = ["m13", "M 13", "M 13", "m 31", "M31"]
    assert commonest_spellings(names) == {
        "m13": "M 13",
        "M 13": "M 13",
        "m 31": "M31",
        "M31": "M31",
    }


@given(st.lists(st.text("Mm1 _-", min_size=1), max_size=12))
def test_spellings_of_one_name_get_one_spelling_which_is_among_them(names):
    best = commonest_spellings(names)
    assert set(best) == set(names)
    for name, chosen in best.items():
        assert chosen in names
        assert spelling_key(chosen) == spelling_key(name)
    assert len(set(best.values())) == len({spelling_key(name) for name in names})


def respell(path, **cards):
    with fits.open(path, mode="update") as hdus:
        for keyword, value in cards.items():
            hdus[0].header[keyword] = value


@pytest.fixture
def night(tmp_path):
    """Write a night whose lights are spelt in three ways."""
    night = write_night(tmp_path / "night")
    for path in sorted(night.glob("*.fit")):
        if path.name.startswith(("flat", "light")):
            respell(path, FILTER="R_Bessel")
    for n, (target, through) in enumerate(
        (("M 13", "R_Bessel"), ("m13", "r bessel"), ("M 13 ", "R-BESSEL")), start=1
    ):
        respell(night / f"light_000{n}.fit", OBJECT=target, FILTER=through)
    return night


def lights(frames):
    return frames[frames["imagetyp"] == "light"]


def test_headers_spelt_otherwise_make_one_group(night):
    frames = lights(scan(night))
    assert set(frames["object"]) == {"M 13"}
    assert set(frames["filter"]) == {"R_Bessel"}
    stacks = [t.output for t in make_plan(scan(night)).tasks if "stacks/" in t.output]
    assert len(stacks) == 1
    assert "_R-Bessel_" in stacks[0]


def test_names_given_by_hand_are_folded_as_those_of_headers(night):
    setting = "light_0002.fit: object=m_13, filter=R BESSEL"
    prepared = prepare_night([night], Choices(settings=[setting]))
    frames = lights(prepared.frames)
    assert set(frames["object"]) == {"M 13"}
    assert set(frames["filter"]) == {"R_Bessel"}
    assert frames["group"].nunique() == 1
    # A plan from the table alone folds them, too.
    table = apply_overrides(scan(night), settings=[setting])
    assert {t.group for t in make_plan(table).tasks if "stacks/" in t.output} == set(
        frames["group"]
    )


def test_single_letters_are_taken_as_they_are_in_planning_as_in_the_table(night):
    for n, name in enumerate("Rr", start=1):
        respell(night / f"light_000{n}.fit", OBJECT=name, FILTER=name)
    prepared = prepare_night([night])
    frames = lights(prepared.frames).set_index("file")
    assert list(frames.loc[["light_0001.fit", "light_0002.fit"], "object"]) == [
        "R",
        "r",
    ]
    assert frames["group"].nunique() == 3


def test_a_library_s_flat_is_found_though_its_filter_is_spelt_otherwise(
    night, tmp_path
):
    made = reduce_night(night)
    add_to_library(tmp_path / "library", [made.folder])
    assert set(read_library(tmp_path / "library").masters["filter"].dropna()) == {
        "R_Bessel"
    }
    for path in night.glob("*.fit"):
        if path.name.startswith("flat"):
            path.unlink()
        elif path.name.startswith("light"):
            respell(path, FILTER="r-bessel")
    prepared = prepare_night([night], Choices(library=tmp_path / "library"))
    flats = lights(prepared.frames)["flat"]
    assert flats.notna().all()
    assert flats.str.startswith(str(tmp_path / "library")).all()
