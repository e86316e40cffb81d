"""The ladder, rung by rung, and the first criterion that a candidate fails."""

import math

import numpy as np
import pandas as pd
import pytest
from pairs import RULES, make_facts, make_masters, make_row, make_setup

from autoreduce.planning.candidates import LIBRARY
from autoreduce.planning.criteria import Settings
from autoreduce.planning.matching import match
from autoreduce.planning.rules import parse_rules
from autoreduce.planning.use import DarkMethod


def matched(need, *changes, light=None, rules=RULES, kind=None, **settings):
    """Match one light; return the choice, the chosen name and the verdicts by name."""
    masters = make_masters(kind or need, *changes)
    setup = make_setup(**(light or {}))
    matches = match(need, setup, masters, rules, Settings(**settings))
    choice = matches.choices[0]
    name = None if choice is None else "abcdef"[choice.candidate]
    verdicts = {entry.candidate[0]: entry for entry in matches.verdicts[0]}
    return choice, name, verdicts


def level_of(need, change, **options):
    choice, _, _ = matched(need, change, **options)
    return None if choice is None else choice.rung.level


LATER = {
    1: {"night": "2024-03-02", "date_obs": "2024-03-02T20:00:00"},
    6: {"night": "2024-03-07", "date_obs": "2024-03-07T20:00:00"},
    20: {"night": "2024-03-21", "date_obs": "2024-03-21T20:00:00"},
    100: {"night": "2024-06-09", "date_obs": "2024-06-09T20:00:00"},
    400: {"night": "2025-04-05", "date_obs": "2025-04-05T20:00:00"},
}


@pytest.mark.parametrize(
    ("need", "days", "level"),
    [
        ("bias", None, 0),
        ("bias", 20, 1),
        ("bias", 100, 2),
        ("bias", 400, None),
        ("dark", None, 0),
        ("dark", 1, 1),
        ("dark", 100, 1),
        ("dark", 400, None),
        ("flat", None, 0),
        ("flat", 6, 1),
        ("flat", 20, 2),
        ("flat", 100, 3),
        ("flat", 400, None),
    ],
)
def test_the_level_follows_the_distance_in_time(need, days, level):
    assert level_of(need, LATER.get(days, {}).copy()) == level


@pytest.mark.parametrize(
    ("warmer", "level"), [(0.9, 0), (1.1, 1), (2.9, 1), (3.1, None)]
)
def test_the_level_of_a_dark_follows_its_temperature(warmer, level):
    assert level_of("dark", {"set_temp": -20 + warmer}) == level


@pytest.mark.parametrize(
    ("exptime", "level"), [(60.06, 0), (59.95, 0), (60.2, 3), (59.9, 3), (50, None)]
)
def test_the_same_exposure_is_within_a_thousandth(exptime, level):
    assert level_of("dark", {"exptime": exptime}) == level


@pytest.mark.parametrize(
    ("need", "column", "other"),
    [
        ("bias", "instrume", "OTHER"),
        ("bias", "naxis1", 99),
        ("bias", "xbinning", 2),
        ("bias", "gain", 0.0),
        ("dark", "offset", 30.0),
        ("dark", "readoutm", "fast"),
        ("flat", "filter", "V"),
        ("flat", "telescop", "FSQ"),
        ("flat", "focallen", 1000.0),
        ("flat", "rotator", 13.0),
    ],
)
def test_what_must_agree_is_the_criterion_that_fails(need, column, other):
    light = {"offset": 10.0, "readoutm": "slow"}
    same = {"offset": 10.0, "readoutm": "slow"}
    _, name, verdicts = matched(need, {**same, column: other}, light=light)
    assert name is None
    assert verdicts["a"].criterion == column
    assert verdicts["a"].level is None
    assert (verdicts["a"].wanted, verdicts["a"].found) != ("", "")


def test_both_values_of_the_criterion_are_in_the_ledger():
    _, _, verdicts = matched("dark", {"exptime": 30.0}, {"set_temp": -10.0})
    entry = verdicts["a"]
    assert (entry.criterion, entry.wanted, entry.found) == ("exposure", "60 s", "30 s")
    entry = verdicts["b"]
    assert (entry.wanted, entry.found) == ("-20.0 degC", "-10.0 degC")


@pytest.mark.parametrize("column", ["gain", "instrume", "xbinning"])
def test_missing_on_the_candidate_disqualifies(column):
    _, name, verdicts = matched("bias", {column: None})
    assert name is None
    assert (verdicts["a"].criterion, verdicts["a"].found) == (column, "unknown")


@pytest.mark.parametrize("need", ["bias", "dark", "flat"])
def test_missing_on_both_agrees(need):
    nothing = dict.fromkeys(("gain", "instrume", "set_temp", "focallen", "rotator"))
    assert level_of(need, nothing.copy(), light=nothing.copy()) == 0


def test_missing_on_the_frame_is_compatible():
    nothing = dict.fromkeys(("gain", "focallen", "rotator", "telescop", "filter"))
    assert level_of("flat", {}, light=nothing) == 0


@pytest.mark.parametrize("column", ["biassec", "trimsec"])
def test_a_section_that_is_not_there_is_not_unknown(column):
    trimmed = {column: "[1:90,1:50]"}
    assert level_of("bias", trimmed.copy()) is None
    assert level_of("bias", {}, light=trimmed.copy()) is None
    assert level_of("bias", trimmed.copy(), light=trimmed.copy()) == 0


WHOLE = {"naxis1": 100, "naxis2": 50, "xorgsubf": 0, "yorgsubf": 0}
PART = {"naxis1": 40, "naxis2": 20, "xorgsubf": 10, "yorgsubf": 5}


@pytest.mark.parametrize("need", ["bias", "dark", "flat"])
def test_a_subframe_is_cut_out_of_a_larger_master(need):
    choice, _, _ = matched(need, WHOLE.copy(), light=PART.copy())
    assert (choice.rung.level, choice.cut) == (0, "[11:50,6:25]")


def test_a_master_of_the_frames_own_size_is_taken_first():
    choice, name, verdicts = matched(
        "bias", WHOLE.copy(), PART.copy(), light=PART.copy()
    )
    assert (name, choice.cut) == ("b", None)
    assert (verdicts["a"].criterion, verdicts["a"].found) == (
        "size",
        "larger than the frame",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"xorgsubf": 61},
        {"yorgsubf": 31},
        {"xorgsubf": None},
        {"naxis1": 120},
        {"xbinning": 2},
        {"trimsec": "[1:30,1:20]"},
    ],
)
def test_nothing_is_cut_where_the_geometry_does_not_fit(change):
    assert level_of("bias", WHOLE.copy(), light={**PART, **change}) is None


def test_nothing_is_cut_out_of_a_master_that_does_not_say_where_it_begins():
    assert level_of("bias", {**WHOLE, "xorgsubf": None}, light=PART.copy()) is None


def test_missing_on_the_frame_does_not_choose_between_two():
    light = {"filter": None}
    _, name, verdicts = matched("flat", {"filter": "R"}, {"filter": "V"}, light=light)
    assert name is None
    assert {entry.criterion for entry in verdicts.values()} == {"filter"}
    assert (verdicts["a"].wanted, verdicts["a"].found) == ("unknown", "R")


def test_missing_on_the_frame_takes_what_does_not_say_it_either():
    light = {"gain": None}
    _, name, _ = matched("bias", {}, {"gain": 0.0}, {"gain": None}, light=light)
    assert name == "c"


@pytest.mark.parametrize("side", ["light", "dark"])
def test_an_unknown_exposure_fits_no_dark(side):
    unknown = {"exptime": None}
    light, dark = (unknown, {}) if side == "light" else ({}, unknown)
    assert level_of("dark", dark, light=light) is None


def test_the_rotator_wraps_around():
    assert level_of("flat", {"rotator": 359.5}, light={"rotator": 0.5}) == 0


def test_a_flat_that_does_not_name_its_telescope_serves_near_nights_at_the_last_level():
    unsaid = {"telescop": None, "focallen": 2200.0}
    choice, _, _ = matched("flat", unsaid.copy())
    assert choice.rung.level == 3
    assert choice.unconfirmed == ("telescop", "focallen")
    assert level_of("flat", {**unsaid, "focallen": 1500.0}) is None
    assert level_of("flat", {**unsaid, **LATER[1]}) is None
    unsaid = {"telescop": None, "focallen": None, "rotator": None}
    choice, _, _ = matched("flat", {**unsaid, **LATER[20]})
    assert choice.rung.level == 3
    assert choice.unconfirmed == ("telescop", "focallen", "rotator")
    assert level_of("flat", {**unsaid, **LATER[100]}) is None


@pytest.mark.parametrize("other", [{"rotator": 190.0}, {"telescop": "FSQ"}])
def test_old_flats_are_of_the_same_telescope_and_angle(other):
    assert level_of("flat", {**LATER[100], **other}) is None


@pytest.mark.parametrize(
    ("warmer", "days", "level"),
    [(2.9, None, 0), (3.1, None, 3), (2.9, 20, 1), (0.0, 100, 2), (-9.0, 100, 3)],
)
def test_a_bias_of_another_temperature_comes_after_one_of_another_night(
    warmer, days, level
):
    master = {**LATER.get(days, {}), "set_temp": -20 + warmer}
    choice, _, _ = matched("bias", master)
    assert choice.rung.level == level
    if abs(warmer) > 1:
        assert choice.warmer == pytest.approx(warmer)


def test_a_bias_of_this_temperature_is_taken_before_one_of_this_night():
    assert matched("bias", {"set_temp": -10.0}, LATER[100].copy())[1] == "b"


def test_a_bias_that_does_not_tell_its_temperature_serves_and_it_is_said():
    choice, _, _ = matched("bias", {"set_temp": None})
    assert (choice.rung.level, choice.unconfirmed) == (0, ("temperature",))


def test_a_flat_of_the_other_side_of_the_mount_serves_the_same_night_only():
    """The angle on the sky turns by 180 degrees, the camera does not."""
    flipped = {"rotator": 190.5}
    assert level_of("flat", flipped.copy()) == 3
    assert level_of("flat", {**flipped, **LATER[1]}) is None
    assert level_of("flat", {"rotator": 100.0}) is None


def test_without_nights_half_a_day_is_the_same_night():
    light = {"night": None}
    near = {"night": None, "date_obs": "2024-03-02T05:00:00"}
    far = {"night": None, "date_obs": "2024-03-02T15:00:00"}
    assert level_of("bias", near, light=light.copy()) == 0
    assert level_of("bias", far, light=light.copy()) == 1


def test_the_best_level_wins_over_the_nearest():
    near_in_time = {"set_temp": -18.0}
    _, name, verdicts = matched("dark", near_in_time, {})
    assert name == "b"
    assert (verdicts["a"].criterion, verdicts["a"].level) == ("level", 1)
    assert (verdicts["a"].wanted, verdicts["a"].found) == ("level 0", "level 1")


def test_within_a_level_the_temperature_decides_before_the_time():
    other, near = {"set_temp": -18.0}, LATER[6].copy()
    _, name, verdicts = matched("dark", other, near)
    assert name == "b"
    assert verdicts["a"].criterion == "temperature"


def test_then_the_nearest_in_time():
    _, name, verdicts = matched("flat", LATER[6].copy(), LATER[1].copy())
    assert name == "b"
    assert verdicts["a"].criterion == "time"
    assert (verdicts["a"].wanted, verdicts["a"].found) == ("1.0 d away", "6.0 d away")


def test_then_the_one_of_most_frames():
    _, name, verdicts = matched("bias", {"n_frames": 5}, {"n_frames": 9})
    assert name == "b"
    assert verdicts["a"].criterion == "number of frames"


def test_then_the_name():
    _, name, verdicts = matched("bias", {}, {})
    assert name == "a"
    assert (verdicts["b"].criterion, verdicts["b"].found) == ("name", "b.fits")


def test_a_fit_serves_between_and_below_its_exposures():
    fitted = {"exptime": 180.0, "fit": "fit.json"}
    choice, _, _ = matched("dark", fitted)
    assert (choice.rung.level, choice.rung.method) == (2, DarkMethod.FIT)


def test_a_fit_is_of_the_night_and_the_temperature():
    fitted = {"exptime": 180.0, "fit": "fit.json"}
    other_night = {**fitted, **LATER[1]}
    assert matched("dark", other_night)[0].rung.method is DarkMethod.SCALED
    warmer = {**fitted, "set_temp": -18.0}
    assert matched("dark", warmer)[0].rung.method is DarkMethod.SCALED


def test_a_longer_dark_is_scaled_down():
    choice, _, _ = matched("dark", {"exptime": 180.0})
    assert (choice.rung.level, choice.rung.method) == (3, DarkMethod.SCALED)


def test_no_dark_is_scaled_up_farther_than_the_recipe_has_it_unless_asked_for():
    assert level_of("dark", {"exptime": 30.0}) is None
    assert level_of("dark", {"exptime": 30.0}, longer_alone=2.0) == 3
    assert level_of("dark", {"exptime": 29.0}, longer_alone=2.0) is None
    assert level_of("dark", {"exptime": 29.0}, extrapolate=True) == 3


@pytest.mark.parametrize(("exptime", "level"), [(40, 2), (39, 3), (20, 3), (19, None)])
def test_the_level_of_a_fit_follows_how_far_it_is_extrapolated(exptime, level):
    fitted = {"exptime": float(exptime), "fit": "fit.json"}
    assert level_of("dark", fitted, longer=3.0, longer_alone=2.0) == level


def test_a_fit_is_extrapolated_before_a_dark_is_scaled_up():
    fitted = {"exptime": 30.0, "fit": "fit.json"}
    choice, _, _ = matched("dark", fitted, extrapolate=True)
    assert (choice.rung.level, choice.rung.method) == (3, DarkMethod.FIT)


def test_the_recipe_may_keep_darks_to_their_own_exposure():
    assert level_of("dark", {"exptime": 180.0}, other_exposures=False) is None
    assert level_of("dark", {}, other_exposures=False) == 0


@pytest.mark.parametrize("where", ["light", "dark"])
def test_without_a_bias_no_dark_is_scaled(where):
    light = {"has_bias": where != "light"}
    dark = {"exptime": 180.0, "keeps_bias": where == "dark"}
    _, name, verdicts = matched("dark", dark, light=light)
    assert name is None
    assert verdicts["a"].criterion == "bias"


def test_without_a_bias_a_dark_of_the_same_exposure_serves():
    assert level_of("dark", {"keeps_bias": True}, light={"has_bias": False}) == 0


@pytest.mark.parametrize(("imagetyp", "chosen"), [("flat", "b"), ("light", "a")])
def test_flat_darks_serve_flats_first(imagetyp, chosen):
    _, name, verdicts = matched(
        "dark", {}, {"imagetyp": "flatdark"}, light={"imagetyp": imagetyp}
    )
    assert name == chosen
    assert verdicts[{"a": "b", "b": "a"}[chosen]].criterion == "type"


def test_a_ladder_without_scaling_asks_for_a_fit():
    fit_only = '[[use.dark.rung]]\nlevel = 2\nmethod = "fit"\nsame_night = true\n'
    rules = parse_rules(fit_only, "my.toml")
    _, name, verdicts = matched("dark", {"exptime": 180.0}, rules=rules)
    assert name is None
    assert (verdicts["a"].criterion, verdicts["a"].found) == (
        "fit",
        "no fit with this dark",
    )


def test_a_dark_without_exposure_time_is_never_scaled():
    light = {"exptime": 60.0}
    assert level_of("dark", {"exptime": 0.0}, light=light, extrapolate=True) is None


def test_an_undated_frame_takes_a_master_of_any_night():
    assert level_of("bias", {}, light={"night": None, "date_obs": None}) == 1
    undated = {"night": None, "date_obs": None}
    assert level_of("bias", undated.copy(), light=undated.copy()) == 0


def test_an_undated_master_serves_no_dated_frame():
    _, name, verdicts = matched("bias", {"night": None, "date_obs": None})
    assert name is None
    assert verdicts["a"].criterion == "days"


def test_every_candidate_has_an_entry_and_one_is_chosen():
    masters = make_masters("bias", {}, {"gain": 0.0}, LATER[1].copy())
    setups = make_facts(make_row(), make_row(gain=0.0)).assign(setup=["x", "y"])
    matches = match("bias", setups, masters, RULES, Settings())
    assert [
        (e.setup, e.candidate, e.chosen)
        for entries in matches.verdicts
        for e in entries
    ] == [
        ("x", "a.fits", True),
        ("x", "b.fits", False),
        ("x", "c.fits", False),
        ("y", "a.fits", False),
        ("y", "b.fits", True),
        ("y", "c.fits", False),
    ]


def test_of_many_candidates_the_best_are_told_and_all_where_one_is_chosen_by_hand():
    masters = pd.concat([make_masters("bias", {})] * 30, ignore_index=True)
    masters["output"] = [f"{n:02d}.fits" for n in range(30)]
    masters["n_frames"] = np.arange(5, 35)
    (told,) = match("bias", make_setup(), masters, RULES, Settings()).verdicts
    assert [entry.candidate for entry in told] == [f"{n}.fits" for n in range(18, 30)]
    assert [entry.candidate for entry in told if entry.chosen] == ["29.fits"]
    by_hand = make_setup().assign(bias=pd.array(["03"], "string"))
    (told,) = match("bias", by_hand, masters, RULES, Settings()).verdicts
    assert len(told) == 30


def test_without_candidates_there_is_no_choice_and_no_entry():
    masters = make_masters("bias", {}).iloc[:0]
    matches = match("bias", make_setup(), masters, RULES, Settings())
    assert (matches.choices, matches.verdicts, matches.misses) == (
        (None,),
        ((),),
        ((),),
    )


@pytest.mark.parametrize("need", ["bias", "dark", "flat"])
def test_without_setups_nothing_is_chosen(need):
    setups = make_setup().iloc[:0].assign(has_bias=[])
    matches = match(need, setups, make_masters(need, {}), RULES, Settings())
    assert (matches.choices, matches.verdicts, matches.misses) == ((), (), ())


def test_those_that_came_closest_are_told_first():
    masters = make_masters("flat", {"gain": 0.0}, {"filter": "V"}, {"filter": "B"})
    matches = match("flat", make_setup(), masters, RULES, Settings())
    assert [entry.candidate for entry in matches.misses[0]] == ["b.fits", "c.fits"]


def test_a_master_of_the_frames_at_hand_comes_before_its_copy_in_the_library():
    copy = {"origin": LIBRARY, "n_frames": 99}
    _, name, verdicts = matched("bias", copy, {})
    assert name == "b"
    assert (verdicts["a"].criterion, verdicts["a"].found) == ("origin", "library")


def test_the_nearest_of_other_nights_serves_wherever_it_comes_from():
    near = {"date_obs": "2024-03-04T20:00:00", "night": "2024-03-04", "origin": LIBRARY}
    far = {"date_obs": "2024-03-20T20:00:00", "night": "2024-03-20"}
    choice, name, _ = matched("bias", far, near)
    assert (name, choice.rung.level) == ("b", 1)


def test_a_library_makes_no_master_of_the_frames_at_hand_doubtful():
    def other():
        return {"filter": "V", "origin": LIBRARY}

    _, name, verdicts = matched("flat", {}, other(), light={"filter": None})
    assert name == "a"
    assert verdicts["b"].criterion == "filter"
    _, name, _ = matched("flat", {"origin": LIBRARY}, other(), light={"filter": None})
    assert name is None


def test_a_rule_of_ones_own_widens_the_ladder():
    rules = parse_rules("[[use.flat.rung]]\nlevel = 2\ndays = 500.0\n", "my.toml")
    assert level_of("flat", LATER[400].copy(), rules=rules) == 2


@pytest.mark.parametrize(("warmer", "chosen"), [(1.0, "b"), (1.1, "a")])
def test_the_limit_of_a_regulated_sensor_is_as_good_as_none(warmer, chosen):
    """Within a degree the time decides, beyond it the temperature."""
    other, near = {"set_temp": -20 + warmer, **LATER[1]}, LATER[6].copy()
    _, name, _ = matched("dark", near, other)
    assert name == chosen


def test_a_master_of_another_night_is_not_made_before():
    """Of one night the frames at hand come first; of others the nearest."""
    own = {"date_obs": "2024-03-01T23:00:00"}
    library = {"origin": LIBRARY, "date_obs": "2024-03-01T20:30:00"}
    _, name, verdicts = matched("bias", dict(library), own)
    assert name == "b"
    assert verdicts["a"].criterion == "origin"
    _, name, _ = matched("bias", {**library, **LATER[1]}, LATER[6].copy())
    assert name == "a"


def test_the_candidate_that_fails_fewest_criteria_is_the_nearest():
    """A dark of this exposure at gain 100, and one of another at another temperature."""
    light = {"gain": 0.0}
    changes = ({"gain": 100.0}, {"gain": 0.0, "exptime": 5.0, "set_temp": -5.0})
    masters = make_masters("dark", *(dict(one) for one in changes))
    matches = match("dark", make_setup(**light), masters, RULES, Settings())
    (nearest,) = matches.misses[0]
    assert (nearest.criterion, nearest.wanted, nearest.found) == ("gain", "0", "100")
    _, _, verdicts = matched("dark", *(dict(one) for one in changes), light=light)
    assert verdicts["b"].criterion == "exposure"


def test_choices_name_the_rows_of_the_masters_as_they_are_sorted():
    masters = make_masters("bias", {"gain": 0.0}, {}).set_axis([7, 5]).iloc[::-1]
    matches = match("bias", make_setup(), masters, RULES, Settings())
    assert matches.masters["output"].to_dict() == {0: "a.fits", 1: "b.fits"}
    assert matches.masters["output"][matches.choices[0].candidate] == "b.fits"
    assert matches.judged.shape == (1, 2)
    assert {entry.need for entry in matches.verdicts[0]} == {"bias"}
    assert matches.misses == ((),)


@pytest.mark.parametrize(
    ("change", "same_night", "days", "warmer"),
    [
        ({}, True, 0.0, None),
        (LATER[20], False, 20.0, None),
        ({"set_temp": -19.0}, True, 0.0, None),
        ({"set_temp": -18.5}, True, 0.0, 1.5),
        ({"set_temp": -22.0}, True, 0.0, -2.0),
        ({"set_temp": None}, True, 0.0, None),
    ],
)
def test_a_choice_tells_how_far_the_master_is(change, same_night, days, warmer):
    """The temperature only where it is farther off than in one combination."""
    choice, _, _ = matched("bias", dict(change))
    assert (choice.same_night, choice.days) == (same_night, days)
    assert choice.warmer == pytest.approx(
        math.nan if warmer is None else warmer, nan_ok=True
    )


def test_what_the_master_says_and_the_frames_do_not_is_unconfirmed():
    rows = make_row(), make_row(gain=None, instrume=None), make_row(gain=None)
    setups = make_facts(*rows).assign(setup=["x", "y", "z"])
    choices = match("bias", setups, make_masters("bias", {}), RULES, Settings()).choices
    said = [choice.unconfirmed for choice in choices]
    assert said == [(), ("instrume", "gain"), ("gain",)]
    nothing = {"gain": None}
    assert matched("bias", nothing.copy(), light=nothing)[0].unconfirmed == ()


def test_masters_of_a_library_that_say_the_same_serve_frames_that_do_not():
    library = {"origin": LIBRARY, "n_frames": 9}
    _, name, _ = matched("flat", {"origin": LIBRARY}, library, light={"filter": None})
    assert name == "b"


def test_of_two_that_only_the_frames_could_tell_apart_this_is_told_first():
    """They fit in all that the header tells; the other one fails before that."""
    masters = make_masters("flat", {"gain": 0.0}, {"filter": "R"}, {"filter": "V"})
    setup = make_setup(filter=None)
    (missed,) = match("flat", setup, masters, RULES, Settings()).misses
    assert [(entry.candidate, entry.criterion) for entry in missed] == [
        ("b.fits", "filter"),
        ("c.fits", "filter"),
    ]


def ladder(need, *rungs):
    """Read a ladder of one's own."""
    return parse_rules("\n".join(f"[[use.{need}.rung]]\n{rung}" for rung in rungs), "")


def test_of_rungs_on_which_as_much_fails_the_one_got_farthest_on_says_what():
    """Without a bias the dark of 180 s is not scaled; nor has it the exposure."""
    scaled, exact = 'level = 1\nmethod = "scaled"', 'level = 2\nmethod = "exact"'
    for rungs in ((scaled, exact), (exact, scaled)):
        _, _, verdicts = matched(
            "dark",
            {"exptime": 180.0},
            light={"has_bias": False},
            rules=ladder("dark", *rungs),
        )
        assert verdicts["a"].criterion == "bias"


def test_of_rungs_got_equally_far_on_the_last_says_what_failed():
    """Not that the bias is of another night: so may it be, up to 30 days."""
    rules = ladder("bias", "level = 0\nsame_night = true", "level = 1\ndays = 30.0")
    _, _, verdicts = matched("bias", LATER[100].copy(), rules=rules)
    assert (verdicts["a"].criterion, verdicts["a"].wanted) == ("days", "within 30 d")


def test_the_level_counts_and_not_the_place_on_the_ladder():
    rules = ladder("bias", "level = 2\ndays = 30.0", "level = 1\nsame_night = true")
    choice, name, _ = matched("bias", LATER[20].copy(), rules=rules)
    assert (name, choice.rung.level) == ("a", 2)
    choice, name, _ = matched("bias", {"gain": 0.0}, LATER[20].copy(), rules=rules)
    assert (name, choice.rung.level) == ("b", 2)


def test_a_master_of_unknown_time_comes_after_those_that_tell_theirs():
    undated = {"night": None, "date_obs": None, "n_frames": 9}
    rules = ladder("bias", "level = 1")
    _, name, verdicts = matched("bias", undated, LATER[100].copy(), rules=rules)
    assert name == "b"
    assert (verdicts["a"].criterion, verdicts["a"].found) == (
        "time",
        "at an unknown time",
    )


def test_a_master_of_a_library_was_made_before_only_if_the_frames_make_it_anew():
    """Of two setups one has a master of its own, for the other that has another gain."""
    copy = {"origin": LIBRARY, "gain": 0.0}
    masters = make_masters(
        "bias", copy, {**copy, **LATER[20]}, {"origin": LIBRARY}, {"n_frames": 1}
    )
    setups = make_facts(make_row(), make_row(gain=0.0)).assign(setup=["x", "y"])
    rules = ladder("bias", "level = 1\ndays = 30.0")
    choices = match("bias", setups, masters, rules, Settings()).choices
    assert ["abcd"[choice.candidate] for choice in choices] == ["d", "a"]


STRICT = "level = 2\nsame_night = true"
UNSAID = 'level = 2\ndays = 1.0\nunconfirmed = ["telescop"]'
NEARLY = "level = 2\ndays = 1.0\nloosely.focallen = { relative = 0.5 }"


@pytest.mark.parametrize(
    ("lenient", "change", "column"),
    [
        (UNSAID, {"telescop": None}, "telescop"),
        (NEARLY, {"focallen": 1500.0}, "focallen"),
    ],
)
def test_what_a_lenient_rung_relaxes_is_told_by_the_strict_one(lenient, change, column):
    change = {**change, **LATER[20]}
    for rungs in ((STRICT, lenient), (lenient, STRICT)):
        _, _, verdicts = matched("flat", dict(change), rules=ladder("flat", *rungs))
        assert verdicts["a"].criterion == column
    _, _, verdicts = matched("flat", change, rules=ladder("flat", lenient))
    assert (verdicts["a"].criterion, verdicts["a"].wanted) == ("days", "within 1 d")


def test_nothing_has_failed_of_a_master_that_stands_on_a_lenient_rung():
    """It is as good as one that stands on a strict rung of the same level."""
    rules = ladder("flat", UNSAID, "level = 2\ndays = 30.0")
    unsaid = {"telescop": None}
    _, name, verdicts = matched("flat", unsaid, LATER[20].copy(), rules=rules)
    assert name == "a"
    assert (verdicts["a"].chosen, verdicts["a"].criterion) == (True, "")
    assert verdicts["b"].level == 2


def test_of_masters_on_one_rung_it_does_not_matter_which_others_they_reach():
    """The dark comes before the flat-dark, which the second rung would bear too."""
    exact = 'level = 0\nmethod = "exact"'
    rules = ladder("dark", exact, f"{exact}\ntemperature = 1.0")
    _, name, verdicts = matched(
        "dark", {"set_temp": -5.0}, {"imagetyp": "flatdark"}, rules=rules
    )
    assert name == "a"
    assert verdicts["b"].criterion == "type"


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        (({"gain": 0.0, "filter": "V"}, {}), "b"),
        (({"gain": 0.0}, {"origin": LIBRARY}), "b"),
        (({"filter": "V", **LATER[1]}, LATER[1]), None),
    ],
)
def test_only_masters_that_would_serve_make_one_another_doubtful(changes, chosen):
    light = {"filter": None}
    _, name, _ = matched("flat", *(dict(one) for one in changes), light=light)
    assert name == chosen


def test_what_a_library_leaves_unsaid_is_not_refused():
    unsaid = {"filter": None, "origin": LIBRARY}
    _, name, verdicts = matched("flat", {}, unsaid, light={"filter": None})
    assert (name, verdicts["b"].criterion) == ("a", "origin")


def test_a_dark_of_nearly_the_exposure_is_not_confirmed_in_it():
    choice, _, _ = matched("dark", {"exptime": 60.5, "keeps_bias": True})
    assert (choice.rung.level, choice.unconfirmed) == (3, ("exptime",))


@pytest.mark.parametrize(
    "farther", [{"filter": "V"}, {"telescop": "FSQ", "rotator": 90.0}]
)
def test_those_that_failed_otherwise_or_in_more_are_not_the_nearest(farther):
    masters = make_masters("flat", {"telescop": "FSQ"}, dict(farther))
    (missed,) = match("flat", make_setup(), masters, RULES, Settings()).misses
    assert [entry.candidate for entry in missed] == ["a.fits"]
