"""The ledger: for each candidate what stopped it, or what decided, with both values."""

import pytest
from pairs import RULES, make_facts, make_masters, make_row

from autoreduce.planning.criteria import Settings
from autoreduce.planning.matching import match
from autoreduce.planning.plan import Verdict


def ledger(need, *changes, light=None, has_bias=True, **settings):
    setup = make_facts(make_row(**(light or {}))).assign(setup="s", has_bias=has_bias)
    masters = make_masters(need, *changes)
    return match(need, setup, masters, RULES, Settings(**settings)).verdicts[0]


def test_the_chosen_one_needs_no_reason():
    assert ledger("bias", {}) == (Verdict("s", "bias", "a.fits", True, 0),)


@pytest.mark.parametrize(
    ("need", "change", "criterion", "wanted", "found"),
    [
        ("bias", {"gain": 5.0}, "gain", "100", "5"),
        ("dark", {"exptime": 30.0}, "exposure", "60 s", "30 s"),
        ("dark", {"set_temp": -5.0}, "temperature", "-20.0 degC", "-5.0 degC"),
        ("flat", {"filter": None}, "filter", "R", "unknown"),
        (
            "bias",
            {"night": "2025-04-01", "date_obs": "2025-04-05T20:00:00"},
            "days",
            "within 365 d",
            "400.0 d away",
        ),
        (
            "dark",
            {"exptime": 120.0, "keeps_bias": True},
            "bias",
            "a dark without its bias",
            "a dark that holds its bias is not scaled",
        ),
    ],
)
def test_what_stopped_a_candidate(need, change, criterion, wanted, found):
    (entry,) = ledger(need, change)
    assert (entry.chosen, entry.level) == (False, None)
    assert (entry.criterion, entry.wanted, entry.found) == (criterion, wanted, found)


def test_a_frame_without_bias_is_what_stops_a_dark():
    (entry,) = ledger("dark", {"exptime": 120.0}, has_bias=False)
    assert entry.wanted == "a bias for the frames"
    assert entry.found == "without a bias no dark is scaled"


NEXT = {"night": "2024-03-02", "date_obs": "2024-03-02T20:00:00"}


@pytest.mark.parametrize(
    ("need", "better", "worse", "criterion", "wanted", "found"),
    [
        ("bias", {}, NEXT, "level", "level 0", "level 1"),
        ("bias", {"n_frames": 9}, {"n_frames": 4}, "number of frames", "9", "4"),
        ("bias", {}, {}, "name", "a.fits", "b.fits"),
        (
            "dark",
            {**NEXT, "set_temp": -19.5},
            {**NEXT, "set_temp": -18.0},
            "temperature",
            "-19.5 degC",
            "-18.0 degC",
        ),
        (
            "bias",
            {"date_obs": "2024-03-01T21:00:00"},
            {"date_obs": "2024-03-01T23:00:00"},
            "time",
            "1.0 h away",
            "3.0 h away",
        ),
        ("dark", {}, {"imagetyp": "flatdark"}, "type", "dark", "flatdark"),
    ],
)
def test_what_decided_between_two(need, better, worse, criterion, wanted, found):
    chosen, other = ledger(need, dict(better), dict(worse))
    assert chosen.chosen
    assert not other.chosen
    assert (other.criterion, other.wanted, other.found) == (criterion, wanted, found)
    assert other.level is not None


def test_the_method_decides_within_a_level():
    """A fit that is extrapolated comes before a dark that is scaled down: never."""
    fitted = {"exptime": 30.0, "fit": "fit.json"}
    down, up = ledger("dark", {"exptime": 180.0}, fitted, extrapolate=True)
    assert down.chosen
    assert (up.criterion, up.wanted, up.found) == ("method", "scaled", "fit")


def test_the_size_decides_before_the_time():
    part = {"naxis1": 40, "naxis2": 20, "xorgsubf": 10, "yorgsubf": 5}
    whole = {"naxis1": 100, "naxis2": 50, "xorgsubf": 0, "yorgsubf": 0}
    own = {**part, "date_obs": "2024-03-01T23:00:00"}
    larger, chosen = ledger("bias", whole, own, light=part)
    assert chosen.chosen
    assert larger.criterion == "size"
    assert larger.wanted == "of the frame's size"
    assert larger.found == "larger than the frame"
