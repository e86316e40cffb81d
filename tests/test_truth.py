"""The default recipe against the simulated night's truth, within its noise."""

import json

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.pixels.flags import Flag
from autoreduce.running.execute import Status


def truth(night, name):
    return fits.getdata(night.truth / name).astype(float)


def product(night, name):
    (path,) = night.folder.glob(name)
    return fits.getdata(path).astype(float)


def core_width(pulls):
    """Width of the core of a distribution of pulls, in sigma."""
    low, high = np.nanpercentile(pulls, [15.87, 84.13])
    return (high - low) / 2


def test_everything_could_be_made(notes_night):
    outcomes = notes_night.reduced.report.outcomes
    assert {o.status for o in outcomes.values()} == {Status.DONE}


def test_the_master_bias_is_the_truth_within_its_noise(notes_night):
    night = notes_night
    made, real = product(night, "masters/bias_*.fits"), truth(night, "bias.fits")
    header = fits.getheader(next(night.folder.glob("masters/bias_*.fits")))
    sigma = header["NOISEADU"] / np.sqrt(header["NCOMBINE"])
    assert core_width((made - real) / sigma) == pytest.approx(1, abs=0.03)
    assert np.mean(made - real) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("t", [60, 120, 180])
def test_the_master_darks_are_the_truth_within_their_noise(notes_night, t):
    night = notes_night
    made = product(night, f"masters/dark_{t}s_*.fits")
    offset = fits.getheader(night.truth / "dark_rate.fits")["DARKOFF"]
    real = offset + t * truth(night, "dark_rate.fits")
    header = fits.getheader(next(night.folder.glob(f"masters/dark_{t}s_*.fits")))
    n = header["NCOMBINE"]
    sigma = header["NOISEADU"] * np.sqrt(1 / n + 1 / 20)
    assert core_width((made - real) / sigma) == pytest.approx(1, abs=0.05)
    assert np.median(made - real) == pytest.approx(0, abs=0.5)


def test_the_dark_fit_finds_the_offset_and_the_rate(notes_night):
    (path,) = notes_night.folder.glob("masters/*.json")
    fit = json.loads(path.read_text())
    rate = truth(notes_night, "dark_rate.fits")
    offset = fits.getheader(notes_night.truth / "dark_rate.fits")["DARKOFF"]
    assert fit["linear"]
    assert abs(fit["offset"] - offset) < 3 * fit["offset_error"]
    assert abs(fit["slope"] - np.median(rate)) < 3 * fit["slope_error"]


@pytest.mark.parametrize(
    "name", ["OIII", "SII", "Halpha", "R", "G", "B", "Lum", "open"]
)
def test_the_master_flats_are_the_truth_within_their_noise(notes_night, name):
    made = product(notes_night, f"masters/flat_{name}_*.fits")
    real = truth(notes_night, f"flat_{name}.fits")
    ratio = made / np.median(made) / (real / np.median(real))
    header = fits.getheader(
        next(notes_night.folder.glob(f"masters/flat_{name}_*.fits"))
    )
    egain, n = header["EGAIN"], header["NCOMBINE"]
    sigma = 1 / np.sqrt(n * header["LEVEL"] * egain * real / np.median(real))
    pulls = (ratio - np.median(ratio)) / sigma
    assert core_width(pulls) < 1.15


@pytest.mark.parametrize("number", [62, 74, 80, 88])
def test_a_calibrated_light_is_the_scene_within_its_uncertainty(notes_night, number):
    name = f"20210227.{number:04d}.fit"
    path = notes_night.folder / "calibrated" / name
    made = fits.getdata(path).astype(float)
    sigma = fits.getdata(path, extname="UNCERT").astype(float)
    scene = truth(notes_night, f"scene_{name}")
    # The master flat has a median of one, the true one a mean of one.
    flat = truth(notes_night, f"flat_{fits.getheader(path)['FILTER']}.fits")
    pulls = (made / np.median(flat) - scene) / sigma
    assert np.nanmedian(pulls) == pytest.approx(0, abs=0.05)
    assert core_width(pulls) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("number", [90, 95])
def test_lights_longer_than_all_darks_are_the_scene_within_their_uncertainty(
    notes_night, number
):
    """Of 300 s, with darks of up to 180 s, and without a flat."""
    name = f"20210227.{number:04d}.fit"
    path = notes_night.folder / "calibrated" / name
    header, made = fits.getheader(path), fits.getdata(path).astype(float)
    assert (header["EXPTIME"], header["DARKMETH"]) == (300.0, "fit")
    flat = truth(notes_night, f"flat_{header['FILTER']}.fits")
    error = made - truth(notes_night, f"scene_{name}") * flat
    pulls = error / fits.getdata(path, extname="UNCERT")
    assert np.nanmedian(pulls) == pytest.approx(0, abs=0.05)
    assert core_width(pulls) == pytest.approx(1, abs=0.05)
    rate = truth(notes_night, "dark_rate.fits")
    hot = rate > np.median(rate) + 20 * np.std(rate[rate < np.percentile(rate, 99)])
    assert abs(np.median(error[hot])) < 0.02 * np.median(300 * rate[hot])
    assert core_width(pulls[hot]) < 1.2
    without = np.isnan(product(notes_night, "masters/dark_current_*.fits"))
    flagged = fits.getdata(path, extname="MASK") & Flag.NON_LINEAR > 0
    assert (flagged == without).all()
    assert any("is taken to 300 s" in line for line in header["HISTORY"])


def is_hot(rate):
    return rate > np.median(rate) + 20 * np.std(rate[rate < np.percentile(rate, 99)])


def dark_pulls(night, t):
    rate = truth(night, "dark_rate.fits")
    offset = fits.getheader(night.truth / "dark_rate.fits")["DARKOFF"]
    (path,) = night.folder.glob(f"masters/dark_{t}s_*.fits")
    sigma = fits.getdata(path, extname="UNCERT")
    return (fits.getdata(path) - offset - t * rate) / sigma, is_hot(rate)


@pytest.mark.parametrize("t", [60, 120, 180])
def test_the_uncertainty_of_the_darks_predicts_their_scatter(notes_night, t):
    pulls, _ = dark_pulls(notes_night, t)
    assert core_width(pulls) == pytest.approx(1, abs=0.03)


def test_the_uncertainty_of_hot_pixels_predicts_their_scatter(notes_night):
    found = [dark_pulls(notes_night, t) for t in (60, 120, 180)]
    pulls = np.concatenate([values[hot] for values, hot in found])
    assert len(pulls) > 100
    assert core_width(pulls) == pytest.approx(1, abs=0.12)


def test_the_uncertainty_of_the_bias_predicts_its_scatter(notes_night):
    (path,) = notes_night.folder.glob("masters/bias_*.fits")
    error = fits.getdata(path) - truth(notes_night, "bias.fits")
    pulls = error / fits.getdata(path, extname="UNCERT")
    assert core_width(pulls) == pytest.approx(1, abs=0.03)


def test_hot_pixels_are_gone_from_the_lights_and_not_burnt_into_the_flats(notes_night):
    rate = truth(notes_night, "dark_rate.fits")
    hot = rate > np.median(rate) + 20 * np.std(rate[rate < np.percentile(rate, 99)])
    assert hot.sum() > 20
    name = "20210227.0080.fit"
    made = product(notes_night, f"calibrated/{name}")
    scene = truth(notes_night, f"scene_{name}")
    sigma = fits.getdata(notes_night.folder / "calibrated" / name, extname="UNCERT")
    assert np.median(np.abs((made - scene) / sigma)[hot]) < 1.5
    flat = product(notes_night, "masters/flat_Halpha_*.fits")
    real = truth(notes_night, "flat_Halpha.fits")
    ratio = flat / real / np.median(flat / real)
    assert np.median(ratio[hot]) == pytest.approx(1, abs=0.005)
