"""Dark current of a night: the map of rates, and the lights and flats made by it."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_frame, write_night

from autoreduce.calibration.bands import Correction, MasterRows
from autoreduce.calibration.corrections import correction
from autoreduce.calibration.dark_rates import DarkRates
from autoreduce.calibration.uncertainty import (
    UNCERT_HDU,
    shared_variance,
    subtracted_variance,
)
from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.writer import write_image
from autoreduce.pixels.flags import Flag
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.recipe import DarkModel, parse_recipe
from autoreduce.planning.use import DarkMethod
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits, Status
from autoreduce.simulate import simulate_night
from autoreduce.simulate.listing import listing_folder

LIGHT_EXPTIME = 90

NONE = Flag.NON_LINEAR | Flag.GLOWING
"""Pixels without a rate."""


def core_width(pulls):
    low, high = np.nanpercentile(pulls, [15.87, 84.13])
    return (high - low) / 2


# ------------------------------------------------------------ rates, from arrays

EXPOSURES = {60.0: 5, 120.0: 2, 180.0: 3}
BIASES, SIGMA, OFFSET, RATE = 20, 8.0, 5.9, 0.1


def make_fit(**changes):
    points = [
        {
            "file": f"{t:g}",
            "exptime": t,
            "counts": OFFSET + RATE * t,
            "variance": SIGMA**2 / n,
            "n_frames": n,
            "saturate": 60_000.0,
        }
        for t, n in EXPOSURES.items()
    ]
    fit = {
        "linear": True,
        "offset": OFFSET,
        "slope": RATE,
        "offset_error": 0.0,
        "slope_error": 0.0,
        "covariance": 0.0,
        "bias_variance": SIGMA**2 / BIASES,
        "egain": 1.5,
        "rate_map": "map",
        "points": points,
    }
    return {**fit, **changes}


def make_masters(rng, shape=(160, 160), rate=RATE):
    """Draw a master bias's error, and master darks that it was subtracted from."""
    bias_error = rng.normal(0, SIGMA / BIASES**0.5, shape)
    darks = {
        f"{t:g}": OFFSET
        + rate * t
        + rng.normal(0, SIGMA / n**0.5, shape)
        + rng.normal(0, 1, shape)
        * np.sqrt(np.maximum(rate * t - RATE * t, 0) / 1.5 / n)
        - bias_error
        for t, n in EXPOSURES.items()
    }
    return bias_error, {name: dark.astype(np.float32) for name, dark in darks.items()}


def fitted(rates, masters):
    found = rates.fit(masters.__getitem__)
    values = {**masters, "map": found.rate}
    return values.__getitem__, {"map": found.error}.__getitem__


@pytest.mark.parametrize("rate", [RATE, 3.0], ids=["ordinary", "hot"])
@pytest.mark.parametrize("t", [1.0, 30.0, 90.0, 300.0])
def test_the_variance_of_bias_and_dark_predicts_their_error(t, rate):
    """What a light without noise would be wrong by: -bias error - dark error."""
    rates = DarkRates.from_fit(make_fit())
    bias_error, masters = make_masters(np.random.default_rng(20210227), rate=rate)
    read, read_sigma = fitted(rates, masters)
    error = bias_error + rates.dark(t, read) - (OFFSET + rate * t)
    bias_variance = np.full((1, 1), SIGMA**2 / BIASES, np.float32)
    variance = rates.variance(t, read, read_sigma, bias_variance)
    # Hot pixels weight the exposures differently; the bias counts as in ordinary ones.
    width = 0.03 if rate == RATE else 0.05
    assert core_width(error / np.sqrt(variance)) == pytest.approx(1, abs=width)
    assert np.mean(error) == pytest.approx(0, abs=0.05 * max(1, t / 50))


def test_the_error_of_the_line_at_the_exposure_is_common_to_all_pixels():
    """0.5**2 + 2 * 90 * -0.004 + (90 * 0.005)**2, worked by hand: common to all."""
    _, masters = make_masters(np.random.default_rng(1))
    plain = DarkRates.from_fit(make_fit())
    line = {"offset_error": 1.0, "slope_error": 0.01, "covariance": -0.008}
    unsure = DarkRates.from_fit(make_fit(**line))
    nothing = np.zeros((1, 1), np.float32)
    added = [
        rates.variance(90.0, *fitted(rates, masters), nothing)
        for rates in (unsure, plain)
    ]
    expected = 1.0 - 2 * 90 * 0.008 + (90 * 0.01) ** 2
    np.testing.assert_allclose(added[0] - added[1], expected, rtol=1e-3)


def test_levels_off_the_line_do_not_bend_the_pixels():
    """A bias that drifts by 6 ADU between exposures bends no pixel."""
    _, masters = make_masters(np.random.default_rng(2))
    fit = make_fit()
    for point, shift in zip(fit["points"], (6, -6, 3), strict=True):
        masters[point["file"]] = masters[point["file"]] + np.float32(shift)
        point["counts"] += shift
    found = DarkRates.from_fit(fit).fit(masters.__getitem__)
    assert np.isnan(found.rate).mean() < 0.003
    assert np.nanmedian(found.rate) == pytest.approx(RATE, abs=0.001)


def test_darks_off_a_line_are_taken_from_nothing_at_no_exposure():
    rates = DarkRates.from_fit(make_fit(linear=False, offset_error=3.0))
    assert (rates.offset, rates.offset_variance) == (0, 0)
    masters = {f"{t:g}": np.full((16, 16), t**0.5, np.float32) for t in EXPOSURES}
    masters = {name: 40 * dark for name, dark in masters.items()}
    read, _ = fitted(rates, masters)
    assert np.isnan(read("map")).all()
    np.testing.assert_allclose(rates.dark(90.0, read), 40 * 90**0.5, rtol=1e-3)


def test_pixels_full_in_the_long_darks_go_by_the_short_one():
    _, masters = make_masters(np.random.default_rng(3), rate=400.0)
    for name in ("180", "120"):
        masters[name] = np.minimum(masters[name], 40_000)
    fit = make_fit()
    for point in fit["points"]:
        point["saturate"] = 40_000
    found = DarkRates.from_fit(fit).fit(masters.__getitem__)
    assert np.median(found.rate) == pytest.approx(400, rel=1e-3)
    assert (found.flags == 2).all()


# ------------------------------------------------------------ the night of the notes


def test_the_map_holds_the_true_rates_within_its_errors(notes_night):
    (path,) = notes_night.folder.glob("masters/dark_current_*.fits")
    made, sigma, flags = (fits.getdata(path, i) for i in range(3))
    real = fits.getdata(notes_night.truth / "dark_rate.fits")
    (json_path,) = notes_night.folder.glob("masters/*.json")
    fit = json.loads(json_path.read_text())
    pulls = (made - real - (fit["slope"] - np.median(real))) / sigma
    assert core_width(pulls) == pytest.approx(1, abs=0.05)
    assert np.nanmedian(pulls) == pytest.approx(0, abs=0.1)
    assert np.isnan(made).mean() < 0.005
    np.testing.assert_array_equal(np.isnan(made), (flags & NONE) > 0)
    assert fit["non_linear"] == np.count_nonzero(flags & Flag.NON_LINEAR)
    header = fits.getheader(path)
    assert header["IMAGETYP"] == "Master Dark Current"
    assert (header["BUNIT"], header["NNONLIN"]) == ("adu/s", fit["non_linear"])


def test_the_fit_keeps_what_the_report_draws(notes_night):
    (path,) = notes_night.folder.glob("masters/*.json")
    fit = json.loads(path.read_text())
    line = {"offset", "slope", "offset_error", "slope_error", "covariance"}
    assert line | {"chi_square", "n", "linear"} <= set(fit)
    assert [point["exptime"] for point in fit["points"]] == [60, 120, 180]
    assert all({"counts", "error"} <= set(point) for point in fit["points"])


def test_flats_say_which_rates_they_were_made_by(notes_night):
    (path,) = notes_night.folder.glob("masters/flat_Halpha_*.fits")
    header = fits.getheader(path)
    assert header["DARKMETH"] == "fit"
    assert header["DARKRATE"].startswith("masters/dark_current_")
    assert header["DARKSCAL"] == pytest.approx(10 / 180)


# ------------------------------------------------------ lights without a dark of theirs


@pytest.fixture(scope="module")
def without_darks_of_theirs(tmp_path_factory):
    """Simulate biases, darks of 60, 120 and 180 s, and three lights of 90 s."""
    folder = tmp_path_factory.mktemp("other_exposure")
    source = listing_folder() / "notes_2021.csv"
    lines = [x for x in source.read_text().splitlines() if not x.startswith("#")]
    rows = list(csv.DictReader(lines))
    kept = [row for row in rows if row["imagetyp"] in ("bias", "dark")]
    lights = [row for row in rows if row["imagetyp"] == "light"][:3]
    kept += [{**row, "exptime": str(LIGHT_EXPTIME)} for row in lights]
    with (folder / "other.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
    shutil.copy(source.with_suffix(".toml"), folder / "other.toml")
    simulate_night(
        folder / "other.csv", folder / "night", seed=3, size=(240, 180), truth=True
    )
    return folder


def reduced(folder, model):
    (folder / f"{model}.toml").write_text(f'[dark]\nmodel = "{model}"\n')
    return reduce_night(
        folder / "night",
        output=folder / model,
        choices=Choices(recipe=str(folder / f"{model}.toml")),
        limits=Limits(planes=True),
        page=False,
    )


@pytest.mark.parametrize("model", ["rate_map", "rate", "ratio", "exact"])
def test_lights_of_another_exposure_are_the_truth_within_their_errors(
    without_darks_of_theirs, model
):
    night = reduced(without_darks_of_theirs, model)
    assert {o.status for o in night.report.outcomes.values()} == {Status.DONE}
    truth = without_darks_of_theirs / "night_truth"
    pulls = []
    for path in sorted(night.folder.glob("calibrated/*.fit")):
        made, sigma = fits.getdata(path), fits.getdata(path, extname="UNCERT")
        name = fits.getheader(path)["FILTER"]
        scene = fits.getdata(truth / f"scene_{path.name}")
        scene = scene * fits.getdata(truth / f"flat_{name}.fits")
        pulls.append((made - scene) / sigma)
    header = fits.getheader(path)
    if model == "exact":
        assert header["CALSTAT"] == "B"
        assert np.median(pulls) > 0.2
        return
    assert header["CALSTAT"] == "BD"
    assert ("DARKRATE" in header) == (model == "rate_map")
    assert header["DARKOFFS"] == (0 if model == "ratio" else pytest.approx(3, abs=2))
    assert core_width(pulls) == pytest.approx(1, abs=0.05)
    assert np.median(pulls) == pytest.approx(0, abs=0.1)


# ------------------------------------------------------------ scaled by one number


def make_space(tmp_path, model, fit):
    (tmp_path / "fit.json").write_text(json.dumps(fit))
    recipe = parse_recipe(f'[dark]\nmodel = "{model}"', "mine")
    return Workspace(tmp_path, tmp_path, recipe, memory=1 << 20, planes=True)


def make_item(t):
    plan = Calibration(
        dark="180", dark_method=DarkMethod.FIT, dark_exptime=180.0, dark_fit="fit.json"
    )
    return FrameInput("light.fit", plan, exptime=t)


LINE_ERRORS = {"offset_error": 1.2, "slope_error": 0.01, "covariance": -0.009}


@pytest.mark.parametrize("model", ["rate", "ratio"])
def test_the_error_of_a_scaled_dark_is_that_of_the_line(tmp_path, model):
    """Against many lines drawn with the covariance of the fit."""
    space = make_space(tmp_path, model, make_fit(**LINE_ERRORS))
    fix = correction(make_item(30.0), space, {"180", "fit.json"})
    covariance = [[1.44, -0.009], [-0.009, 1e-4]]
    rng = np.random.default_rng(4)
    offset, slope = rng.multivariate_normal([OFFSET, RATE], covariance, 20_000).T
    if model == "rate":
        drawn = offset * (1 - 30 / 180)
        assert fix.offset_error == pytest.approx(np.std(drawn), rel=0.03)
    else:
        drawn = (offset + slope * 30) / (offset + slope * 180)
        assert fix.scale_error == pytest.approx(np.std(drawn), rel=0.05)


def test_a_fit_that_was_not_made_leaves_the_ratio_of_exposures(tmp_path):
    space = make_space(tmp_path, "rate_map", make_fit())
    fix = correction(make_item(30.0), space, {"180"})
    assert (fix.dark_scale, fix.dark_offset) == (pytest.approx(30 / 180), 0)
    assert fix.rates is None


def test_the_model_decides_whether_rates_are_used(tmp_path):
    for model in (DarkModel.RATE_MAP, DarkModel.RATE, DarkModel.RATIO):
        space = make_space(tmp_path, model, make_fit())
        fix = correction(make_item(30.0), space, {"180", "fit.json"})
        assert (fix.rates is not None) == (model is DarkModel.RATE_MAP)


def write_master(path, value, sigma):
    data = np.full((3, 4), value, np.float32)
    write_image(path, data, [], planes={"UNCERT": np.full_like(data, sigma)})


def test_the_variance_of_what_is_subtracted_worked_by_hand(tmp_path):
    """(1 - 2 * 0.5) * 4 + (0.5 * 6)**2 + (0.1 * 20)**2 + 3**2 = 9 + 4 + 9."""
    write_master(tmp_path / "bias.fits", 300, 2)
    write_master(tmp_path / "dark.fits", 20, 6)
    fix = Correction("bias.fits", "dark.fits", 0.5, scale_error=0.1, offset_error=3.0)
    with (
        MasterRows(tmp_path, fix.masters) as values,
        MasterRows(tmp_path, fix.masters, UNCERT_HDU) as sigmas,
    ):
        found = subtracted_variance(fix, values, sigmas, (0, 3))
        np.testing.assert_allclose(found, 22.0)
        alone = subtracted_variance(Correction("bias.fits"), values, sigmas, (0, 3))
        np.testing.assert_allclose(alone, 4.0)
        # Two flats that share their masters, of weights 1/1000 and 1/2000.
        shared = shared_variance([fix, fix], [1e-3, 5e-4], values, sigmas, (0, 3))
        np.testing.assert_allclose(shared, 22.0 * 1.5e-3**2, rtol=1e-5)


# ------------------------------------------------------------ darks of other warmth


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
    space = make_space(tmp_path, "rate_map", make_warm_fit())
    item = replace(make_item(30.0), ccd_temp=ccd_temp)
    fix = correction(item, space, {"180", "fit.json"})
    assert fix.exptime == pytest.approx(30 * factor)
    masters = {"map": np.full((2, 2), RATE, np.float32)}
    dark = fix.rates.dark(fix.exptime, masters.__getitem__)
    np.testing.assert_allclose(dark, OFFSET + RATE * 30 * factor, rtol=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_without_a_temperature_or_a_doubling_the_exposure_counts_as_it_is(
    tmp_path, known
):
    fit = make_fit() if known else make_warm_fit()
    item = replace(make_item(30.0), ccd_temp=-8.0 if known else None)
    space = make_space(tmp_path, "rate_map", fit)
    assert correction(item, space, {"180", "fit.json"}).exptime == 30.0


@pytest.mark.parametrize("asked", [True, False])
def test_darks_of_a_sensor_that_warms_up_are_fitted_only_if_asked(tmp_path, asked):
    night = tmp_path / "night"
    rng = np.random.default_rng(9)
    free = {"SET-TEMP": None, "INSTRUME": "Uncooled"}
    warmth = {60: -2.0, 120: 1.0, 240: -1.0, 480: 2.0}
    for n in range(5):
        raw = rng.normal(300, 4, (64, 64)).round().astype(np.uint16)
        write_frame(night, f"bias_{n}.fit", "bias", CCD_TEMP=0.0, pixels=raw, **free)
        for t, celsius in warmth.items():
            mean = 300 + 3 * t * 2 ** (celsius / 6)
            raw = rng.normal(mean, 4, (64, 64)).round().astype(np.uint16)
            name = f"dark_{t}_{n}.fit"
            write_frame(night, name, "dark", t, CCD_TEMP=celsius, pixels=raw, **free)
    (tmp_path / "mine.toml").write_text(f"[dark]\ntemperature = {str(asked).lower()}\n")
    choices = Choices(recipe=str(tmp_path / "mine.toml"))
    made = reduce_night(night, output=tmp_path / "out", choices=choices, page=False)
    (path,) = made.folder.glob("masters/*.json")
    fit = json.loads(path.read_text())
    assert len(fit["points"]) == 4
    assert fit["linear"] == asked
    if asked:
        assert fit["doubling"]["degrees"] == pytest.approx(6, rel=0.02)
        assert fit["slope"] == pytest.approx(3, rel=0.02)
    else:
        assert fit["doubling"] is None


# ------------------------------------------------------------ two files, one product


def run(night):
    return reduce_night(night, output=night.with_name("products"), page=False)


@pytest.mark.parametrize("damage", ["lost", "cut off"])
def test_a_map_that_is_not_whole_is_made_again(tmp_path, damage):
    night = write_night(tmp_path / "night")
    (path,) = run(night).folder.glob("masters/dark_current_*.fits")
    before = fits.getdata(path).copy()
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:4000])
    again = run(night).report
    done = [n for n, o in again.outcomes.items() if o.status is Status.DONE]
    assert done == [f"masters/{path.stem}.json"]
    np.testing.assert_array_equal(fits.getdata(path), before)
    assert not any("earlier run" in note for note in map(str, again.plan.notes))
