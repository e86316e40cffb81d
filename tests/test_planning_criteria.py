"""Each criterion for all pairs, worked by hand at its limits."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest
from pairs import RULES, make_facts, make_masters, make_row

from autoreduce.planning.criteria import Judgement, Settings, column_of
from autoreduce.planning.rules import Rung, Tolerance
from autoreduce.planning.use import DarkMethod


def judge(need, lights, *masters, **settings):
    has_bias = [light.get("has_bias", True) for light in lights]
    facts = [{k: v for k, v in one.items() if k != "has_bias"} for one in lights]
    setups = make_facts(*(make_row(**one) for one in facts))
    labels = [str(n) for n in range(len(lights))]
    setups = setups.assign(setup=labels, has_bias=has_bias)
    candidates = make_masters(need, *(dict(master) for master in masters))
    return Judgement(setups, candidates, RULES, RULES.use[need], Settings(**settings))


def outcome(judged, rung):
    """Give what each criterion of a rung says of the first pair."""
    return {one.name: bool(one.holds[0, 0]) for one in judged.criteria(rung)}


def exposures(method, light, dark, *, longer=None, fit=None, upto=1.0, **settings):
    judged = judge(
        "dark",
        [{"exptime": light}],
        {"exptime": dark, "fit": fit},
        longer=upto,
        longer_alone=upto,
        **settings,
    )
    rung = Rung(3, method=method, longer=longer)
    return outcome(judged, rung)


def test_settings_scale_down_and_never_up_unless_asked():
    assert Settings() == Settings(
        other_exposures=True, longer=1.0, longer_alone=1.0, extrapolate=False
    )
    both = Settings(longer=3.0, longer_alone=2.0)
    assert (both.longest(DarkMethod.FIT), both.longest(DarkMethod.SCALED)) == (3, 2)


def test_criteria_come_in_the_order_in_which_they_are_told():
    rung = Rung(0, True, 9.0, 1.0, DarkMethod.FIT)
    names = [one.name for one in judge("dark", [{}], {}).criteria(rung)]
    assert names.pop(0) == "roworder"
    assert names[:16] == list(RULES.setup)
    wanted = ["counts", "fit", "exposure", "bias", "temperature", "night", "days"]
    assert names[16:] == wanted
    names = [one.name for one in judge("flat", [{}], {}).criteria(Rung(0))]
    assert names[17:] == [
        *("filter", "telescop", "disperser", "slit"),
        *("focallen", "rotator"),
    ]


def test_rows_in_the_other_order_are_told_and_silent_headers_lie_as_they_lie():
    """Frames of a night are turned to one order; masters of a library are not."""
    up, down, silent = ({"roworder": one} for one in ("BOTTOM-UP", "TOP-DOWN", None))
    judged = judge("bias", [up, down, silent], up, down, silent)
    order = judged.criteria(Rung(0))[0]
    assert order.holds.tolist() == [
        [True, False, True],
        [False, True, True],
        [True, True, True],
    ]


def test_every_pair_is_judged():
    judged = judge("bias", [{}, {"gain": 5.0}, {"gain": None}], {}, {"gain": 5.0})
    (gain,) = (one for one in judged.criteria(Rung(0)) if one.name == "gain")
    assert gain.holds.tolist() == [[True, False], [False, True], [True, True]]
    assert judged.shape == (3, 2)


@pytest.mark.parametrize(
    ("method", "light", "dark", "holds"),
    [
        (DarkMethod.EXACT, 60.0, 60.06, True),
        (DarkMethod.EXACT, 60.0, 60.07, False),
        (DarkMethod.EXACT, 0.0, 0.0, True),
        (DarkMethod.EXACT, 0.0, 0.05, False),
        (DarkMethod.EXACT, 2.5, 2.55, True),
        (DarkMethod.EXACT, 1.0, 1.02, True),
        (DarkMethod.EXACT, 1.0, 1.04, False),
        (DarkMethod.EXACT, 0.010, 0.012, False),
        (DarkMethod.EXACT, None, 60.0, False),
        (DarkMethod.EXACT, 60.0, None, False),
        (DarkMethod.SCALED, 60.0, 120.0, True),
        (DarkMethod.SCALED, 60.0, 60.0, True),
        (DarkMethod.SCALED, 120.0, 60.0, False),
        (DarkMethod.SCALED, 60.05, 60.0, True),
        (DarkMethod.SCALED, 0.0, 0.0, False),
        (DarkMethod.SCALED, None, 60.0, False),
        (DarkMethod.SCALED, 60.0, None, False),
        (DarkMethod.FIT, 60.0, 120.0, True),
    ],
)
def test_exposures(method, light, dark, holds):
    assert exposures(method, light, dark)["exposure"] == holds


def test_an_exposure_may_be_nearly_the_darks_where_rung_and_recipe_bear_it():
    nearly = Rung(3, method=DarkMethod.EXACT, loosely={"exptime": Tolerance(0, 0.02)})
    for light, other_exposures, holds in (
        (61.0, True, True),
        (59.0, True, True),
        (62.0, True, False),
        (None, True, False),
        (61.0, False, False),
        (60.0, False, True),
    ):
        judged = judge(
            "dark",
            [{"exptime": light}],
            {"exptime": 60.0},
            other_exposures=other_exposures,
        )
        assert outcome(judged, nearly)["exposure"] == holds
    judged = judge("dark", [{"exptime": 61.0}], {"exptime": 60.0})
    assert not outcome(judged, Rung(3, method=DarkMethod.EXACT))["exposure"]


def test_darks_of_less_than_a_second_are_scaled_too():
    assert exposures(DarkMethod.SCALED, 0.25, 0.5)["exposure"]
    found = exposures(DarkMethod.SCALED, 0.5, 0.25, longer=inf, upto=2.0)
    assert found["exposure"]


@pytest.mark.parametrize(
    ("light", "dark", "extrapolate", "holds"),
    [
        (120.0, 60.0, True, True),
        (120.0, 60.0, False, False),
        (60.0, 120.0, True, False),
        (60.0, 60.0, True, False),
        (120.0, 0.0, True, False),
    ],
)
def test_a_rung_for_longer_exposures_is_for_these_alone(
    light, dark, extrapolate, holds
):
    found = exposures(
        DarkMethod.SCALED, light, dark, longer=inf, extrapolate=extrapolate
    )
    assert found["exposure"] == holds


@pytest.mark.parametrize(
    ("light", "rung", "recipe", "holds"),
    [
        (90.0, 1.5, 3.0, True),
        (90.1, 1.5, 3.0, False),
        (180.0, inf, 3.0, True),
        (180.2, inf, 3.0, False),
        (90.0, inf, 1.0, False),
        (60.0 * (1.5 * 1.001), 1.5, 3.0, True),
    ],
)
def test_longer_exposures_up_to_what_rung_and_recipe_allow(light, rung, recipe, holds):
    found = exposures(DarkMethod.FIT, light, 60.0, longer=rung, upto=recipe, fit="f")
    assert found["exposure"] == holds


def test_no_other_exposure_where_the_recipe_forbids_it():
    for method, holds in ((DarkMethod.SCALED, False), (DarkMethod.EXACT, True)):
        found = exposures(method, 60.0, 60.0, other_exposures=False)
        assert found["exposure"] == holds


@pytest.mark.parametrize(("fit", "holds"), [("fit.json", True), (None, False)])
def test_only_a_fit_asks_for_a_fit(fit, holds):
    assert exposures(DarkMethod.FIT, 60.0, 120.0, fit=fit)["fit"] == holds
    assert "fit" not in exposures(DarkMethod.SCALED, 60.0, 120.0, fit=fit)


@pytest.mark.parametrize("method", [DarkMethod.FIT, DarkMethod.SCALED])
@pytest.mark.parametrize(
    ("has_bias", "keeps_bias", "holds"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_to_scale_a_dark_both_are_without_bias(method, has_bias, keeps_bias, holds):
    judged = judge("dark", [{"has_bias": has_bias}], {"keeps_bias": keeps_bias})
    assert outcome(judged, Rung(3, method=method))["bias"] == holds
    assert "bias" not in outcome(judged, Rung(0, method=DarkMethod.EXACT))


def test_who_has_a_fit_or_a_bias_is_told_for_each_pair():
    lights = [{}, {"has_bias": False}]
    judged = judge("dark", lights, {"fit": "f"}, {"keeps_bias": True}, {})
    found = {c.name: c.holds for c in judged.criteria(Rung(2, method=DarkMethod.FIT))}
    assert found["fit"].tolist() == [[True, False, False]] * 2
    assert found["bias"].tolist() == [[True, False, True], [False] * 3]


@pytest.mark.parametrize(
    ("light", "master", "holds"),
    [
        (-20.0, -19.0, True),
        (-20.0, -18.9, False),
        (None, -5.0, True),
        (-20.0, None, False),
    ],
)
def test_temperatures_within_the_rungs_limit(light, master, holds):
    judged = judge("bias", [{"set_temp": light}], {"set_temp": master})
    assert outcome(judged, Rung(0, temperature=1.0))["temperature"] == holds


@pytest.mark.parametrize(
    ("light", "master", "holds"),
    [
        ("2024-03-01T00:00:00", "2024-03-08T00:00:00", True),
        ("2024-03-08T00:00:00", "2024-03-01T00:00:00", True),
        ("2024-03-01T00:00:00", "2024-03-08T01:00:00", False),
        (None, "2024-03-08T01:00:00", True),
        ("2024-03-01T00:00:00", None, False),
    ],
)
def test_days_between_them(light, master, holds):
    judged = judge("bias", [{"date_obs": light}], {"date_obs": master})
    assert outcome(judged, Rung(1, days=7.0))["days"] == holds


def test_distances_are_in_days():
    judged = judge("bias", [{}], {"date_obs": "2024-03-02T02:00:00"})
    assert judged.apart_days[0, 0] == pytest.approx(0.25)


NIGHT, NEXT, DAY = "2024-03-01", "2024-03-02", "2024-03-01T20:00:00"


@pytest.mark.parametrize(
    ("light", "master", "same"),
    [
        ((NIGHT, DAY), (NIGHT, "2024-03-02T19:00:00"), True),
        ((NIGHT, DAY), (NEXT, "2024-03-01T21:00:00"), False),
        ((NIGHT, DAY), (None, DAY), False),
        ((None, DAY), (NIGHT, DAY), False),
        ((None, DAY), (None, "2024-03-02T08:00:00"), True),
        ((None, DAY), (None, "2024-03-02T08:01:00"), False),
        ((None, None), (None, None), True),
        ((None, None), (None, DAY), True),
        ((None, DAY), (None, None), False),
        ((None, None), (NIGHT, DAY), False),
    ],
)
def test_of_one_night(light, master, same):
    """Half a day makes a night where no night is known."""
    sides = [
        dict(zip(("night", "date_obs"), one, strict=True)) for one in (light, master)
    ]
    judged = judge("bias", sides[:1], sides[1])
    assert judged.same_night[0, 0] == same
    assert outcome(judged, Rung(0, same_night=True))["night"] == same
    assert "night" not in outcome(judged, Rung(0))


@pytest.mark.parametrize(
    ("tolerance", "wanted", "found", "close"),
    [
        (Tolerance(absolute=2.0), 10.0, 12.0, True),
        (Tolerance(absolute=2.0), 10.0, 12.1, False),
        (Tolerance(absolute=2.0), None, 12.1, True),
        (Tolerance(absolute=2.0), 10.0, None, False),
        (Tolerance(relative=0.1), 9.0, 10.0, True),
        (Tolerance(relative=0.1), 10.0, 9.0, True),
        (Tolerance(relative=0.1), 8.9, 10.0, False),
        (Tolerance(relative=0.1), -10.0, -9.0, True),
        (Tolerance(absolute=1.5, relative=0.1), 9.0, 10.5, True),
        (Tolerance(absolute=0.5, relative=0.1), 9.0, 10.0, True),
        (Tolerance(absolute=2.0, period=360.0), 359.0, 1.0, True),
        (Tolerance(absolute=2.0, period=360.0), 1.0, 719.0, True),
        (Tolerance(absolute=2.0, period=360.0), 358.9, 1.0, False),
        (Tolerance(absolute=2.0, period=180.0), 10.0, 191.0, True),
        (Tolerance(absolute=2.0, period=360.0), 10.0, 191.0, False),
    ],
)
def test_numbers_that_agree(tolerance, wanted, found, close):
    judged = judge("flat", [{"rotator": wanted}], {"rotator": found})
    assert judged.closeness("rotator", tolerance)[0, 0] == close


def test_a_rung_may_bear_what_is_unsaid_or_nearly_alike():
    judged = judge("flat", [{}], {"telescop": None, "focallen": 1800.0})
    strict = outcome(judged, Rung(0))
    assert not strict["telescop"]
    assert not strict["focallen"]
    lenient = Rung(
        3, unconfirmed=("telescop",), loosely={"focallen": Tolerance(relative=0.15)}
    )
    assert outcome(judged, lenient) == {**strict, "telescop": True, "focallen": True}
    assert not judged.agrees("telescop", 0, 0)
    assert not judged.agrees("focallen", 0, 0)
    assert judged.agrees("filter", 0, 0)
    assert judged.agrees("rotator", 0, 0)
    assert judged.agrees("a column that no rule names", 0, 0)


@pytest.mark.parametrize(
    ("exptime", "agrees"), [(60.0, True), (60.06, True), (61.0, False), (None, False)]
)
def test_exposures_agree_by_the_tolerance_itself(exptime, agrees):
    judged = judge("dark", [{"exptime": 60.0}], {"exptime": exptime})
    assert judged.agrees("exptime", 0, 0) == agrees


def test_temperatures_agree_where_both_are_known():
    """How far they are from one another is told apart from that."""
    judged = judge("bias", [{}, {"set_temp": None}], {"set_temp": 5.0})
    assert judged.agrees("temperature", 0, 0)
    assert not judged.agrees("temperature", 1, 0)
    assert judged.warmer_degc(0, 0) == 25.0
    assert np.isnan(judged.warmer_degc(1, 0))


def test_what_is_unsaid_by_the_master_is_borne_and_what_differs_is_not():
    judged = judge("flat", [{}], {"telescop": "FSQ"})
    assert not outcome(judged, Rung(3, unconfirmed=("telescop",)))["telescop"]


def test_a_missing_column_is_nan():
    values = column_of(pd.Series([1, None, 3], dtype="Int64"))
    np.testing.assert_array_equal(values, [1, np.nan, 3])
    assert column_of(pd.Series([1, 2], dtype="Int64")).dtype == np.float64


WHOLE = {"naxis1": 100, "naxis2": 50, "xorgsubf": 0, "yorgsubf": 0}
PART = {"naxis1": 40, "naxis2": 20, "xorgsubf": 10, "yorgsubf": 5}


@pytest.mark.parametrize(
    ("part", "master", "cut"),
    [
        ({}, {}, "[11:50,6:25]"),
        ({"xorgsubf": 0, "yorgsubf": 0}, {}, "[1:40,1:20]"),
        ({"xorgsubf": 60, "yorgsubf": 30}, {}, "[61:100,31:50]"),
        ({"xorgsubf": 61}, {}, None),
        ({"yorgsubf": 31}, {}, None),
        ({}, {"xorgsubf": 10, "yorgsubf": 5}, "[1:40,1:20]"),
        ({}, {"xorgsubf": 11}, None),
        ({}, {"yorgsubf": 6}, None),
        ({"naxis1": 100, "xorgsubf": 0}, {}, "[1:100,6:25]"),
        ({"naxis2": 50, "yorgsubf": 0}, {}, "[11:50,1:50]"),
        ({"biassec": "[1:9,1:9]"}, {}, None),
        ({"trimsec": "[1:9,1:9]"}, {}, None),
        ({"xorgsubf": None}, {}, None),
        ({}, {"yorgsubf": None}, None),
    ],
)
def test_the_section_of_a_larger_master(part, master, cut):
    judged = judge("bias", [{**PART, **part}], {**WHOLE, **master})
    assert judged.cut(0, 0) == cut
    assert judged.larger[0, 0] == (cut is not None)
    geometry = ("naxis1", "naxis2", "xorgsubf", "yorgsubf")
    found = outcome(judged, Rung(0))
    assert cut is None or all(found[name] for name in geometry)


def test_a_master_of_the_frames_own_size_is_not_cut():
    judged = judge("bias", [PART], PART, WHOLE)
    assert judged.larger.tolist() == [[False, True]]
    assert judged.cut(0, 0) is None


@pytest.mark.parametrize(
    ("pattern", "master", "holds"),
    [
        ("GRBG", WHOLE, True),
        ("GRBG", {**WHOLE, "bayerpat": None}, False),
        ("GRBG", PART, False),
        ("RGGB", PART, True),
        (None, {**WHOLE, "bayerpat": None}, True),
    ],
)
def test_what_is_cut_out_of_a_mosaic_may_begin_with_another_colour(
    pattern, master, holds
):
    light, mosaic = {**PART, "bayerpat": pattern}, {"bayerpat": "RGGB", **master}
    assert outcome(judge("bias", [light], mosaic), Rung(0))["bayerpat"] == holds


@pytest.mark.parametrize(
    ("telescope", "same"), [("rc-10", True), ("RC12", False), ("RC1", False)]
)
def test_a_filter_and_a_telescope_may_be_spelt_otherwise(telescope, same):
    light = {"filter": "R_Bessel", "telescop": "RC10"}
    flat = {"filter": "r bessel", "telescop": telescope}
    found = outcome(judge("flat", [light], flat), Rung(0))
    assert (found["filter"], found["telescop"]) == (True, same)


def test_limits_of_temperature_are_those_of_one_combination():
    warmer = [{"set_temp": temperature} for temperature in (-19.0, -18.9, -21.0, None)]
    judged = judge("dark", [{}, {"set_temp": None}], *warmer)
    assert judged.as_warm.tolist() == [[True, False, True, False], [False] * 4]


@pytest.mark.parametrize("name", ["biassec", "trimsec"])
@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [(None, None, True), (None, "[1:9,1:9]", False), ("[1:9,1:9]", None, False)],
)
def test_a_section_that_no_card_names_is_none(name, wanted, found, same):
    judged = judge("bias", [{name: wanted}], {name: found})
    assert outcome(judged, Rung(0))[name] == same


def test_the_columns_that_must_be_equal_are_those_of_setup_and_need():
    assert judge("flat", [{}], {}).equal_columns == (
        *RULES.setup,
        *("filter", "telescop", "disperser", "slit"),
    )
    own = replace(RULES, setup=("gain",))
    judged = judge("flat", [{}], {})
    again = Judgement(judged.setups, judged.masters, own, own.use["flat"], Settings())
    assert again.equal_columns == ("gain", "filter", "telescop", "disperser", "slit")
