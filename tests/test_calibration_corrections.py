"""What is taken out of a frame once the masters are there, and its cards."""

from dataclasses import replace

import numpy as np
import pytest
from dark_fits import OFFSET, RATE, make_fit, make_item, make_space

from autoreduce.calibration.bands import Correction
from autoreduce.calibration.corrections import correction_cards, correction_for, lost
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.recipe import DarkModel

LINE_ERRORS = {"offset_error": 1.2, "slope_error": 0.01, "covariance": -0.009}


@pytest.mark.parametrize("model", ["rate", "ratio"])
def test_the_error_of_a_scaled_dark_is_that_of_the_line(tmp_path, model):
    """Against many lines drawn with the covariance of the fit."""
    workspace = make_space(tmp_path, model, make_fit(**LINE_ERRORS))
    correction = correction_for(make_item(30.0), workspace, {"180", "fit.json"})
    covariance = [[1.44, -0.009], [-0.009, 1e-4]]
    rng = np.random.default_rng(4)
    offset, slope = rng.multivariate_normal([OFFSET, RATE], covariance, 20_000).T
    if model == "rate":
        drawn = offset * (1 - 30 / 180)
        assert correction.offset_error == pytest.approx(np.std(drawn), rel=0.03)
    else:
        drawn = (offset + slope * 30) / (offset + slope * 180)
        assert correction.scale_error == pytest.approx(np.std(drawn), rel=0.05)


def test_a_fit_that_was_not_made_leaves_the_ratio_of_exposures(tmp_path):
    workspace = make_space(tmp_path, "rate_map", make_fit())
    correction = correction_for(make_item(30.0), workspace, {"180"})
    assert (correction.dark_scale, correction.dark_offset) == (
        pytest.approx(30 / 180),
        0,
    )
    assert correction.rates is None


def test_the_model_decides_whether_rates_are_used(tmp_path):
    for model in (DarkModel.RATE_MAP, DarkModel.RATE, DarkModel.RATIO):
        workspace = make_space(tmp_path, model, make_fit())
        correction = correction_for(make_item(30.0), workspace, {"180", "fit.json"})
        assert (correction.rates is not None) == (model is DarkModel.RATE_MAP)


def make_warm_fit():
    """Make a fit at -10 C of darks between -12 and -8 C; 6 degrees double."""
    doubling = {"degrees": 6.0, "degrees_error": 0.5, "reference": -10.0}
    return make_fit(doubling={**doubling, "low": -12.0, "high": -8.0})


@pytest.mark.parametrize(
    ("ccd_temp", "factor"),
    [(-10.0, 1), (-8.0, 2 ** (1 / 3)), (-11.0, 2 ** (-1 / 6)), (5, 2 ** (1 / 3))],
)
def test_a_dark_is_taken_to_the_lights_temperature_within_the_range(
    tmp_path, ccd_temp, factor
):
    workspace = make_space(tmp_path, "rate_map", make_warm_fit())
    item = replace(make_item(30.0), ccd_temp=ccd_temp)
    correction = correction_for(item, workspace, {"180", "fit.json"})
    assert correction.exptime == pytest.approx(30 * factor)
    masters = {"map": np.full((2, 2), RATE, np.float32)}
    dark = correction.rates.dark(correction.exptime, masters.__getitem__)
    np.testing.assert_allclose(dark, OFFSET + RATE * 30 * factor, rtol=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_without_a_temperature_or_a_doubling_the_exposure_counts_as_it_is(
    tmp_path, known
):
    fit = make_fit() if known else make_warm_fit()
    item = replace(make_item(30.0), ccd_temp=-8.0 if known else None)
    workspace = make_space(tmp_path, "rate_map", fit)
    assert correction_for(item, workspace, {"180", "fit.json"}).exptime == 30.0


@pytest.mark.parametrize(
    ("made", "used", "words"),
    [
        ({"b", "d", "f"}, ("b", "d", "f"), []),
        ({"b", "d"}, ("b", "d", None), ["flat-lost"]),
        ({"d", "f"}, (None, None, None), ["bias-lost", "dark-lost", "flat-refused"]),
        ({"b", "f"}, ("b", None, "f"), ["dark-lost"]),
        (set(), (None, None, None), ["bias-lost", "dark-lost", "flat-lost"]),
    ],
)
def test_what_was_not_made_is_left_out_and_told(tmp_path, made, used, words):
    """A dark without its bias would take the bias out not at all, or twice."""
    workspace = make_space(tmp_path, "rate", make_fit())
    item = FrameInput("l.fit", Calibration(bias="b", dark="d", flat="f"))
    correction = correction_for(item, workspace, made)
    assert (correction.bias, correction.dark, correction.flat) == used
    assert [one.code for one in lost(item, correction)] == words


def test_a_master_of_a_library_is_read_not_made():
    plan = Calibration(bias="/lib/b.fits", flat="masters/f.fits")
    bias, flat = lost(FrameInput("l.fit", plan), Correction())
    assert bias.found == "/lib/b.fits could not be read"
    assert flat.found == "masters/f.fits could not be made"


def test_a_line_that_is_none_gives_the_ratio_of_exposures(tmp_path):
    for model in ("rate", "ratio"):
        workspace = make_space(
            tmp_path, model, make_fit(linear=False, offset_error=3.0)
        )
        correction = correction_for(make_item(30.0), workspace, {"180", "fit.json"})
        assert correction.dark_scale == pytest.approx(30 / 180)
        assert (correction.dark_offset, correction.offset_error) == (0, 0)


def test_rates_are_cut_as_the_dark_is(tmp_path):
    workspace = make_space(tmp_path, "rate_map", make_fit())
    item = make_item(30.0)
    plan = replace(item.calibration, cuts=(("180", "[1:9,1:9]"),))
    correction = correction_for(
        replace(item, calibration=plan), workspace, {"180", "fit.json"}
    )
    assert dict(correction.cuts) == dict.fromkeys(
        ("180", "map", "60", "120"), "[1:9,1:9]"
    )


def cards_of(correction, workspace, item=None, overscan=None):
    cards = correction_cards(
        correction, item or FrameInput("l.fit"), workspace, overscan
    )
    return {card.keyword: card.value for card in cards}


def test_cards_say_what_was_taken_out(tmp_path):
    workspace = make_space(tmp_path, "rate", make_fit())
    assert cards_of(Correction(), workspace) == {"CALSTAT": ""}
    correction = Correction("b", "d", 0.5, 2.0, "f", cuts=(("f", "[1:9,1:9]"),))
    assert cards_of(correction, workspace, overscan=101.5) == {
        "CALSTAT": "OBDF",
        "OVERSCAN": 101.5,
        "BIASFILE": "b",
        "DARKFILE": "d",
        "FLATFILE": "f",
        "FLATCUT": "[1:9,1:9]",
        "DARKSCAL": 0.5,
        "DARKOFFS": 2.0,
        "DARKMETH": None,
    }


def test_cards_hold_the_fit_that_gave_the_dark(tmp_path):
    fit = make_fit(chi_square=1.5, n=3, **LINE_ERRORS)
    workspace = make_space(tmp_path, "rate_map", fit)
    item = make_item(30.0)
    correction = correction_for(item, workspace, {"180", "fit.json"})
    cards = cards_of(correction, workspace, item)
    assert cards["DARKRATE"] == "map"
    assert (cards["DFOFFSET"], cards["DFOFFERR"]) == (OFFSET, 1.2)
    assert (cards["DFSLOPE"], cards["DFSLOERR"]) == (RATE, 0.01)
    assert (cards["DFCHISQ"], cards["DFPOINTS"]) == (1.5, 3)
