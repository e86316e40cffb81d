"""Why no master serves, in one sentence with the way out."""

import pandas as pd
import pytest

from autoreduce.planning.criteria import Settings
from autoreduce.planning.lacks import NO_BIAS_FRAMES, Table, lack, merged
from autoreduce.planning.plan import Verdict
from autoreduce.remarks import remark

NIGHT = ("dark_1.fit", "dark_2.fit", "flat_1.fit", "light_1.fit", "light_2.fit")
DARKS = {"exptime": 60.0, "filter": "R", "files": NIGHT[:2]}


def missed(criterion, wanted, *found, **master):
    return [
        (
            Verdict("s", "dark", str(n), False, None, criterion, wanted, one),
            {**DARKS, **master},
        )
        for n, one in enumerate(found)
    ]


def lacking(
    misses,
    need="dark",
    *,
    kind="light",
    biassec=None,
    out=0,
    filter=None,
    naxis1=None,
    **settings,
):
    files = NIGHT[3:] if kind == "light" else NIGHT[2:3]
    setup = {
        "biassec": biassec,
        "amplifiers": pd.NA,
        "instrume": "Cam 1",
        "imagetyp": kind,
        "exptime": 120.0,
        "files": files,
        "filter": filter,
        "naxis1": naxis1,
    }
    there = Table(NIGHT, {need: out})
    return lack(need, setup, misses, Settings(**settings), there)


@pytest.mark.parametrize(
    ("need", "words"),
    [("bias", "bias frames"), ("dark", "darks"), ("flat", "flats")],
)
def test_none_at_all(need, words):
    found = lacking([], need)
    assert (found.code, found.found) == (f"no-{need}", f"there are no {words}")


def test_what_the_frame_does_not_say_can_be_set():
    found = lacking(missed("exposure", "unknown", "60 s"))
    assert found.found == "exposure is unknown"
    assert found.way_out == "--set 'light_*: exptime=60'"
    told = lacking(missed("filter", "unknown", "R"))
    assert told.way_out == "--set 'light_*: filter=R'"


def test_what_the_masters_do_not_say_can_be_set():
    found = lacking(missed("instrume", "Cam 1", "unknown"))
    assert str(found) == (
        "no dark: instrume Cam 1 wanted, there is unknown "
        "(--set 'dark_*: instrume=Cam 1')"
    )
    # How many exposures were added up is no matter of a card that was forgotten.
    assert lacking(missed("coadds", "4", "unknown")).way_out == ""
    assert lacking(missed("instrume", "Cam 1", "Cam 2")).way_out == ""


@pytest.mark.parametrize(
    ("name", "other", "offered"),
    [
        ("Ares-M PRO", "Player One Ares-M PRO", True),
        ("Canon 6D", "6D", True),
        ("ASI1600MM Pro", "ASI1600MM Pro CCD", True),
        ("Ares-M PRO", "Player One Ares-C PRO", False),
        ("Canon 6D", "60D", False),
        ("ASI2600MM Pro", "ASI2600MM Duo", False),
        ("ZWO CCD", "QHY CCD", False),
    ],
)
def test_what_may_be_one_camera_of_two_names_can_be_set(name, other, offered):
    way_out = f"--set 'light_*: instrume={other}'" if offered else ""
    assert lacking(missed("instrume", name, other)).way_out == way_out


@pytest.mark.parametrize(
    ("need", "criterion", "master", "way_out"),
    [
        ("flat", "offset", {}, "--set 'light_*: flat=flat_R_1x1'"),
        ("flat", "gain", {}, "--set 'light_*: flat=flat_R_1x1'"),
        ("flat", "gain", {"filter": "V"}, ""),
        ("flat", "gain", {"naxis1": 50}, ""),
        ("flat", "telescop", {}, ""),
        ("dark", "offset", {}, ""),
    ],
)
def test_a_flat_that_was_read_otherwise_can_be_taken_by_hand(
    need, criterion, master, way_out
):
    """It is made with its own bias and dark; a dark of another offset serves nobody."""
    flat = {"output": "masters/flat_R_1x1.fits", "filter": "R", "naxis1": 100, **master}
    misses = missed(criterion, "50", "10", **flat)
    found = lacking(misses, need, filter="R", naxis1=100)
    assert found.found == "10"
    assert found.way_out == way_out


def test_masters_in_the_other_order_of_rows_are_met_by_turning_the_night():
    found = lacking(missed("roworder", "TOP-DOWN", "BOTTOM-UP"))
    assert found.way_out == "--set '*: turned=yes'"


def test_frames_that_count_otherwise_are_told_in_words():
    assert str(lacking(missed("counts", "from 0 to 1", "in steps of 1"))) == (
        "no dark: one that counts from 0 to 1 wanted, there is one that counts in "
        "steps of 1"
    )


def test_frames_that_were_left_out_are_not_denied():
    one = lacking([], "flat", out=1)
    assert str(one) == "no flat: there are no flats but 1 that is left out"
    found = lacking([], "flat", out=3)
    assert str(found) == "no flat: there are no flats but 3 that are left out"
    assert lacking([], "bias").found == NO_BIAS_FRAMES


@pytest.mark.parametrize(("exptime", "words"), [(0.0, "0 s"), (None, "unknown")])
def test_darks_that_do_not_tell_their_exposure_can_be_given_one(exptime, words):
    misses = missed("exposure", "120 s", words, exptime=exptime)
    found = lacking(misses)
    assert found.found == f"the exposure of the darks is {words}"
    assert found.way_out == "--set 'dark_*: exptime=120'"
    assert lacking(misses, kind="flat").way_out == ""


def test_the_nearest_is_too_far_in_time():
    found = lacking(missed("days", "within 365 d", "400.0 d away"))
    assert (found.code, found.found) == ("no-dark", "the nearest is 400.0 d away")


@pytest.mark.parametrize("criterion", ["bias", "fit"])
def test_of_another_exposure_and_not_to_be_scaled(criterion):
    found = lacking(missed(criterion, "a bias", "without a bias no dark is scaled"))
    assert found.found == "none of this exposure, and without a bias no dark is scaled"


@pytest.mark.parametrize(
    ("criterion", "others", "told"),
    [("exposure", True, True), ("exposure", False, False), ("gain", True, False)],
)
def test_what_there_is_instead(criterion, others, told):
    misses = missed(criterion, "60 s", "30 s", "5 s")
    found = lacking(misses, other_exposures=others)
    assert (found.code, found.found) == ("unlike-dark", "5 s, 30 s")
    assert found.expected == f"{criterion} 60 s"
    assert ("--extrapolate-darks" in found.way_out) == told


def test_a_bias_may_be_replaced_by_the_overscan():
    found = lacking([], "bias", biassec="[1:9,1:9]")
    assert found.found == "there are no bias frames, overscan only"
    assert lacking([], "dark", biassec="[1:9,1:9]").found == "there are no darks"


def test_lacks_that_differ_in_what_was_wanted_are_told_once():
    lacks = [
        remark("unlike-dark", found="9 s", expected="exposure 10 s"),
        remark("no-flat", found="there are no flats"),
        remark("unlike-dark", found="9 s", expected="exposure 2 s"),
        remark("unlike-dark", found="8 s", expected="exposure 2 s"),
    ]
    assert [(one.code, one.found, one.expected) for one in merged(lacks)] == [
        ("unlike-dark", "9 s", "exposure 2 s, 10 s"),
        ("no-flat", "there are no flats", ""),
        ("unlike-dark", "8 s", "exposure 2 s"),
    ]


def test_wants_of_different_kinds_are_listed_in_full():
    lacks = [
        remark("unlike-dark", found="9 s", expected=one)
        for one in ("gain 1", "filter R")
    ]
    assert [one.expected for one in merged(lacks)] == ["filter R, gain 1"]
