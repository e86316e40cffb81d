"""The night's dark fit as a product: the line as JSON, the rates beside it."""

import json

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_frame, write_night
from small_products import make_space, write_product

from autoreduce.errors import ProductError
from autoreduce.planning.plan import Action, Task
from autoreduce.prepare import Choices
from autoreduce.products.dark_fit import make_dark_fit
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Status


def test_the_fit_keeps_what_the_report_draws(notes_night):
    (path,) = notes_night.folder.glob("masters/*.json")
    fit = json.loads(path.read_text())
    line = {"offset", "slope", "offset_error", "slope_error", "covariance"}
    assert line | {"chi_square", "n", "linear"} <= set(fit)
    assert [point["exptime"] for point in fit["points"]] == [60, 120, 180]
    assert all({"counts", "error"} <= set(point) for point in fit["points"])


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


def write_darks(folder, exposures, *, level=lambda t: 6 + 0.1 * t, **cards):
    """Write master darks of constant levels."""
    cards = {"NCOMBINE": 4, "NOISEADU": 2.0, **cards}
    names = []
    for n, t in enumerate(exposures):
        data = np.full((64, 64), level(t))
        name = f"d{n}.fits"
        names.append(write_product(folder / name, data, sigma=1, EXPTIME=t, **cards))
    return names


def fitted(folder, names, recipe="", errors=0.5):
    task = Task("fit.json", Action.DARK_FIT, "g", {}, products=tuple(names))
    known = {} if errors is None else {"level_error": errors}
    made = make_dark_fit(
        task, make_space(folder, recipe), "digest", dict.fromkeys(names, known)
    )
    return made, json.loads((folder / "fit.json").read_text())


def test_a_line_worked_by_hand(tmp_path):
    made, fit = fitted(tmp_path, write_darks(tmp_path, [60.0, 120.0, 180.0]))
    assert fit["slope"] == pytest.approx(0.1)
    assert fit["offset"] == pytest.approx(6, abs=1e-4)
    assert fit["linear"]
    assert fit["bias_variance"] == 0  # they were made without one
    assert (made.n_used, made.remarks) == (3, ())
    np.testing.assert_allclose(fits.getdata(tmp_path / "fit.fits"), 0.1, rtol=1e-4)
    # variance of a pixel of a mean of four frames of 2 ADU of noise
    assert {point["variance"] for point in fit["points"]} == {1.0}


def test_the_bias_of_the_darks_is_known_by_its_noise(tmp_path):
    write_product(tmp_path / "b.fits", np.zeros((64, 64)), NCOMBINE=16, NOISEADU=4.0)
    names = write_darks(tmp_path, [60.0, 120.0], BIASFILE="b.fits")
    assert fitted(tmp_path, names)[1]["bias_variance"] == 1.0


def test_one_exposure_is_not_enough(tmp_path):
    names = write_darks(tmp_path, [60.0, 60.0])
    with pytest.raises(ProductError, match=r"fit\.json needs darks of two exposures"):
        fitted(tmp_path, names)


@pytest.mark.parametrize(
    ("model", "words"),
    [("rate_map", "each pixel goes by its own"), ("rate", "by the ratio")],
)
def test_levels_off_a_line_are_doubtful(tmp_path, model, words):
    names = write_darks(
        tmp_path, [60.0, 120.0, 180.0, 240.0], level=lambda t: t**2 / 100
    )
    made, fit = fitted(tmp_path, names, f'[dark]\nmodel = "{model}"')
    assert not fit["linear"]
    (doubt,) = made.remarks
    assert doubt.code == "not-linear"
    assert words in doubt.expected


@pytest.mark.parametrize(("cards", "errors"), [({}, 0.5), ({"CCD_TEMP": -10.0}, None)])
def test_without_temperatures_or_errors_there_is_no_doubling(tmp_path, cards, errors):
    names = write_darks(tmp_path, [60.0, 120.0, 180.0], **cards)
    recipe = "[dark]\ntemperature = true\n"
    assert fitted(tmp_path, names, recipe, errors)[1]["doubling"] is None


@pytest.mark.parametrize(
    ("section", "statistic", "offset"),
    [
        ("[1:10,1:10]", "median", 6),
        ("[1:10,1:10]", "mean", 7),
        ("[100:200,1:10]", "mean", 106),
        ("central", "median", 106),
    ],
)
def test_counts_are_those_of_the_section(tmp_path, section, statistic, offset):
    """One of the hundred pixels of the corner is 100 ADU too bright."""
    names = []
    for t in (60.0, 120.0):
        data = np.full((64, 64), 106 + 0.1 * t)
        data[:10, :10] -= 100
        data[0, 0] += 100
        cards = {"EXPTIME": t, "NCOMBINE": 4, "NOISEADU": 2.0}
        names.append(write_product(tmp_path / f"{t:g}.fits", data, sigma=1, **cards))
    recipe = f'[dark]\nsection = "{section}"\nstatistic = "{statistic}"\n'
    _, fit = fitted(tmp_path, names, recipe)
    assert fit["offset"] == pytest.approx(offset, abs=1e-3)
