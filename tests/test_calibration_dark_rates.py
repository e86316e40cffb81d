"""Dark current of a night: the map of rates, and the lights and flats made by it."""

import csv
import json
import shutil

import numpy as np
import pytest
from astropy.io import fits
from dark_fits import BIASES, EXPOSURES, OFFSET, RATE, SIGMA, make_fit

from autoreduce.calibration.dark_rates import DarkRates
from autoreduce.pixels.flags import Flag
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
    made, sigma, flags = (fits.getdata(path, one) for one in (0, "UNCERT", "MASK"))
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
