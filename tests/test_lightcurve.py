"""Light curves of a simulated night, from raw lights to the table."""

import shutil

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from stack_fields import Pose, add_noise, draw_field, paint
from tool_files import command

from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.running.lock import held
from autoreduce.running.verify import verify

SHAPE = (240, 260)
LIGHTS = 14
FADED = 5
"""The star that varies, and is looked at."""
SITE = {"SITELAT": 46.0, "SITELONG": 7.0, "RA": 83.6, "DEC": 22.0}
WORLD = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 83.6, "CRVAL2": 22.0,
    "CRPIX1": 130.5, "CRPIX2": 120.5, "CD1_1": -3e-4, "CD1_2": 0.0, "CD2_1": 0.0,
    "CD2_2": 3e-4,
}  # fmt: skip


def truth():
    """Give places, fluxes and the change of one star in each light."""
    rng = np.random.default_rng(11)
    x, y, flux = draw_field(45, SHAPE, rng, flux=(4e3, 2e5), margin=-30)
    bright = np.argsort(-flux)
    change = 1 + 0.2 * np.sin(np.linspace(0, 5, LIGHTS))
    return x, y, flux, bright[FADED], change


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reduce a night under clouds, dithered and turned."""
    home = tmp_path_factory.mktemp("curve")
    (home / "night").mkdir()
    rng = np.random.default_rng(12)
    x, y, flux, faded, change = truth()
    for number in range(LIGHTS):
        pose = Pose(*rng.uniform(-6, 6, 2), rng.uniform(-0.2, 0.2))
        pose = pose if number else Pose()
        seen = flux * (0.7 + 0.3 * np.cos(number))
        seen[faded] *= change[number]
        scene = np.zeros(SHAPE)
        paint(scene, *pose.seen(x, y, SHAPE), seen, 3.0)
        data = np.clip(np.rint(add_noise(scene, 400.0, rng)), 0, 65535)
        cards = {
            "IMAGETYP": "Light Frame", "EXPTIME": 60.0, "FILTER": "R",
            "OBJECT": "Field", "DATE-OBS": f"2024-03-02T20:{2 * number:02d}:00",
            "INSTRUME": "Camera", "EGAIN": 1.5, "RDNOISE": 8.0, **SITE,
            **(WORLD if number == 0 else {}),
        }  # fmt: skip
        fits.writeto(
            home / "night" / f"r{number:02d}.fits",
            data.astype(np.uint16),
            fits.Header(cards),
        )
    choices = Choices(references=["r00.fits"])
    reduce_night(home / "night", output=home / "out", choices=choices, page=False)
    return home / "out"


def tables(folder, *options):
    told = command("lightcurve", folder, *options)
    paths = (folder / "lightcurves").glob("*.csv")
    return told, {path.stem.rpartition("_")[2]: pd.read_csv(path) for path in paths}


def test_the_scatter_is_that_of_photons(folder):
    _, found = tables(folder)
    stars = found["stars"]
    ratio = (stars["scatter"] / stars["limit"])[stars["comparison"] == 1]
    assert len(ratio) > 20
    assert 0.85 < ratio.median() < 1.1


def test_a_star_that_varies_is_measured_as_it_does(folder):
    x, y, _, faded, change = truth()
    told, found = tables(folder, "--target", f"{x[faded] + 1},{y[faded] + 1}")
    curve = found["curve"]
    assert len(curve) == LIGHTS
    expected = -2.5 * np.log10(change)
    wrong = curve["mag"] - (expected - expected.mean())
    assert np.std(wrong / curve["mag_error"]) == pytest.approx(1, abs=0.45)
    assert np.std(wrong) < 0.1 * np.std(expected)
    assert "against" in told


def test_fluxes_are_those_that_were_painted(folder):
    x, y, flux, faded, _ = truth()
    _, found = tables(folder, "--radius", "9")
    rows = found["fluxes"]
    first = rows[rows["light"].str.contains("r00")]
    ratios = []
    for row in first.itertuples():
        near = np.hypot(x - row.x + 1, y - row.y + 1)
        if near.min() < 0.5 and near.argmin() != faded:
            ratios.append(row.flux / flux[near.argmin()])
    # The light that is left outside nine pixels of a Moffat profile of 3 is 2 %.
    assert np.median(ratios) == pytest.approx(0.98, abs=0.03)


def test_dates_are_barycentric(folder):
    _, found = tables(folder)
    later = (found["curve"]["bjd_tdb"] - found["curve"]["jd_utc"]) * 1440
    assert later.between(-8, 9).all()
    assert later.notna().all()
    with fits.open(next((folder / "calibrated").glob("*r00*"))) as hdus:
        assert hdus[0].header["BJD_TDB"] in found["curve"]["bjd_tdb"].to_numpy()


def test_a_star_that_saturates_in_some_lights_is_no_target_unless_asked_for(
    folder, tmp_path
):
    """The brightest star is full in three lights, two of which do not say from where."""
    shutil.copytree(folder, tmp_path / "out")
    before = tables(folder)[1]
    stars, fluxes = before["stars"], before["fluxes"]
    mean = fluxes.groupby("star")["flux"].mean()
    brightest, second = mean.sort_values().index[::-1][:2]
    for n, path in enumerate(sorted((tmp_path / "out/calibrated").iterdir())[3:6]):
        place = fluxes[
            (fluxes["star"] == brightest) & fluxes["light"].str.contains(path.name)
        ]
        with fits.open(path, mode="update") as hdus:
            x, y = (round(float(place[axis].iloc[0])) - 1 for axis in "xy")
            hdus[0].data[y, x] = 1e5
            if n == 0:
                hdus[0].header["SATURATE"] = 9e4
    told, found = tables(tmp_path / "out")
    assert "not measured" not in told
    assert f"star {second}" in told
    row = stars[stars["star"] == brightest].iloc[0]
    told, found = tables(tmp_path / "out", "--target", f"{row.x},{row.y}")
    assert f"not measured in 3 of {LIGHTS} lights" in told
    assert len(found["curve"].dropna(subset="mag")) == LIGHTS - 3


def test_a_target_of_the_sky_is_found(folder):
    from astropy.wcs import WCS

    x, y, _, faded, _ = truth()
    ra, dec = WCS(fits.Header(WORLD)).pixel_to_world_values(x[faded], y[faded])
    by_pixel = tables(folder, "--target", f"{x[faded] + 1},{y[faded] + 1}")[1]["curve"]
    by_sky = tables(folder, "--target", f"{ra:.6f}d,{dec:.6f}d")[1]["curve"]
    pd.testing.assert_frame_equal(by_sky, by_pixel)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "900,9"), "is not in"),
        (("--target", "here"), "write X,Y"),
        (("--filter", "B"), "there is --object Field --filter R"),
    ],
)
def test_what_cannot_be_done_is_said(folder, options, words):
    assert words in command("lightcurve", folder, *options, fails=True)
    assert verify(folder) == []


def test_a_star_without_any_other_has_no_curve_and_it_is_said(folder):
    """Circles as wide as the field leave no star measured in every light."""
    told, found = tables(folder, "--radius", "80", "--target", "193.5,53.8")
    assert "no curve" in told
    assert "nan" not in told
    assert found["curve"]["mag"].isna().all()


def test_curves_are_read_when_the_folder_is_verified(folder):
    paths = [
        folder / "lightcurves" / f"Field_R_{part}.csv"
        for part in ("stars", "fluxes", "curve")
    ]
    tables(folder)
    assert verify(folder) == []
    rng = np.random.default_rng(14)
    for path in paths:
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        (told,) = verify(folder)
        assert (told.code, told.subject) == ("changed", (f"lightcurves/{path.name}",))
        path.write_bytes(content)
    paths[0].unlink()
    assert [told.code for told in verify(folder)] == ["lost"]


def test_curves_stay_sound_when_the_night_is_reduced_again(folder):
    tables(folder)
    before = {path: path.read_bytes() for path in (folder / "lightcurves").iterdir()}
    reduce_night(
        folder.with_name("night"),
        choices=Choices(references=["r00.fits"]),
        output=folder,
        page=False,
    )
    assert verify(folder) == []
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_that_another_run_holds_is_left_alone(folder):
    with held(folder):
        assert "is held by" in command("lightcurve", folder, fails=True)


def test_another_folder_is_refused_and_left_as_it_is(tmp_path):
    told = command("lightcurve", tmp_path, fails=True)
    assert "holds no products of autoreduce" in " ".join(told.split())
    assert not list(tmp_path.iterdir())


def test_a_curve_is_out_of_date_once_its_lights_are_made_again(folder, tmp_path):
    home = shutil.copytree(folder.parent, tmp_path / "home")
    choices = Choices(references=["r00.fits"])

    def told():
        run = reduce_night(home / "night", home / "out", choices=choices, page=False)
        notes = run.report.plan.notes
        return [one.subject for one in notes if one.code == "curves-outdated"]

    command("lightcurve", home / "out")
    assert told() == []
    light = home / "night" / "r03.fits"
    with fits.open(light, mode="update") as hdus:
        hdus[0].data[0, 0] += 1
    curve = ("lightcurves/Field_R_curve.csv",)
    assert told() == [curve]
    assert told() == [curve]  # for as long as it is
    command("lightcurve", home / "out")
    assert told() == []
