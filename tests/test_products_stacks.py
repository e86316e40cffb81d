"""Registration and stacks of small nights whose truth is known."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from stack_fields import Pose
from stack_nights import SHAPE, SKY, Light, picture, stars_of, write_lights

from autoreduce import stars
from autoreduce.errors import TableError
from autoreduce.pixels.stars import find_stars
from autoreduce.planning.plan import Action
from autoreduce.prepare import Choices, prepare_night
from autoreduce.products.registration import read_registration
from autoreduce.reduction import reduce_night
from autoreduce.remarks import remark
from autoreduce.running.execute import Limits, Status

DITHERS = [Pose(), Pose(7.3, -4.6, 0.2), Pose(-5.2, 3.4, -0.3), Pose(2.6, 8.1, 179.8)]
DITHERED = [Light(f"r{i}", pose) for i, pose in enumerate(DITHERS)]


def reduce(folder, lights, *, limits=None, **choices):
    night = write_lights(folder / "night", lights)
    return reduce_night(
        night,
        output=folder / "out",
        choices=Choices(**choices),
        limits=limits or Limits(),
        page=False,
    )


def table(reduced):
    return pd.read_csv(reduced.folder / "lights.csv").set_index("light")


def stack_of(reduced, name="light_Field_R_60s_1x1"):
    return fits.open(reduced.folder / "stacks" / f"{name}.fits")


def codes(reduced):
    return {one.code for end in reduced.report.outcomes.values() for one in end.remarks}


@pytest.fixture(scope="module")
def dithered(tmp_path_factory):
    return reduce(
        tmp_path_factory.mktemp("dithered"), DITHERED, limits=Limits(planes=True)
    )


def test_lights_lie_where_they_were_put(dithered):
    (path,) = (dithered.folder / "registration").glob("*.json")
    registration = read_registration(path)
    first = registration.references[0]
    grid = registration.places[first].geometry
    pose = {f"calibrated/{one.name}.fits": one.pose for one in DITHERED}
    x, y = np.meshgrid(np.linspace(20, 240, 6), np.linspace(20, 200, 6))
    expected = np.array(pose[first].seen(x, y, SHAPE))
    for output, place in registration.places.items():
        seen = pose[output].seen(x, y, SHAPE)
        found = np.array(place.on_grid(grid)(*seen))
        assert np.sqrt(((found - expected) ** 2).sum(axis=0)).max() < 0.1


def test_a_stack_has_each_star_once_as_sharp_as_its_lights(dithered):
    with stack_of(dithered) as hdus:
        data, header = hdus[0].data, hdus[0].header
    lights = table(dithered)
    assert header["ALIGNED"] is True
    assert header["NCOMBINE"] == 4
    found = find_stars(data)
    assert found.statistics.fwhm_pixel == pytest.approx(lights["fwhm"].mean(), rel=0.05)
    reference = next(
        o for o in DITHERED if header["REFERENC"].endswith(f"{o.name}.fits")
    )
    scene = picture(reference)
    bright = scene > 300
    off = (data - np.nanmedian(data) - scene)[bright & np.isfinite(data)]
    assert abs(off.sum()) < 0.01 * scene[bright].sum()


def test_wide_dithers_turns_and_hot_pixels_are_no_trouble(tmp_path):
    poses = [Pose(42 * np.cos(i), 42 * np.sin(2 * i), 0.2 * i) for i in range(6)]
    night = write_lights(
        tmp_path / "night", [Light(f"r{i}", pose) for i, pose in enumerate(poses)]
    )
    rng = np.random.default_rng(4)
    hot = tuple(rng.integers(5, 215, (2, 25)))
    for path in night.iterdir():
        with fits.open(path, mode="update") as hdus:
            hdus[0].data[hot] += 9000
    reduced = reduce_night(night, output=tmp_path / "out", page=False)
    lights = table(reduced)
    assert lights["weight"].min() > 0.1
    with stack_of(reduced) as hdus:
        data, reference = hdus[0].data, hdus[0].header["REFERENC"]
    width = find_stars(data).statistics.fwhm_pixel
    assert width < 1.03 * lights["fwhm"].mean()
    pose = poses[list(lights.index).index(reference)]
    dark = (picture(Light("", pose)) < 1)[45:-45, 45:-45]
    sky = data[45:-45, 45:-45][dark]
    noise = 1.4826 * np.median(np.abs(sky - np.median(sky)))
    assert np.abs(sky - np.median(sky)).max() < 7 * noise


def test_noise_goes_down_as_it_should(dithered):
    with stack_of(dithered) as hdus:
        data, used = hdus[0].data, hdus["NUSED"].data
    lights = table(dithered)
    empty = picture(DITHERED[0]) < 1
    everywhere = used == 4
    blocks = data[20:200, 20:240].reshape(45, 4, 55, 4)
    good = (empty & everywhere)[20:200, 20:240].reshape(45, 4, 55, 4).all(axis=(1, 3))
    means = blocks.mean(axis=(1, 3))[good]
    spread = 1.4826 * np.median(np.abs(means - np.median(means))) * 4
    assert spread == pytest.approx(lights["sky_noise"].mean() / 2, rel=0.35)


def test_the_table_of_lights_tells_of_each(dithered):
    lights = table(dithered)
    assert len(lights) == 4
    assert lights["stack"].eq("stacks/light_Field_R_60s_1x1.fits").all()
    assert lights["weight"].sum() == pytest.approx(1)
    assert lights["why_not"].isna().all()
    assert sorted(lights["rotation"].abs().round(-1)) == [0, 0, 0, 180]
    assert lights["airmass"].eq(1.2).all()
    first = lights["jd_utc"].iloc[0]
    assert first == pytest.approx(2460372.33333 + 30 / 86400, abs=1e-4)
    inputs = Table.read(dithered.folder / lights["stack"].iloc[0], hdu="INPUTS")
    assert {*lights.columns, "light", "rejected", "digest"} == set(inputs.colnames)
    np.testing.assert_allclose(sorted(inputs["dx"]), sorted(lights["dx"]), rtol=1e-6)


def test_cards_hold_for_the_stack(dithered):
    with stack_of(dithered) as hdus:
        header = hdus[0].header
    assert header["EXPTIME"] == 60
    assert header["TOTEXP"] == 240
    assert header["EGAIN"] == pytest.approx(4 * 1.5, rel=0.02)
    assert header["RDNOISE"] == pytest.approx(4 * 8 / 2, rel=0.03)
    assert header["DATE-OBS"] == "2024-03-02T20:00:00.000"
    assert header["DATE-AVG"].startswith("2024-03-02T20:03:3")
    assert header["DATE-END"] == "2024-03-02T20:07:00.000"
    assert header["AIRMASS"] == pytest.approx(1.2)
    light = fits.getheader(dithered.folder / header["REFERENC"])
    assert "DATE-AVG" in light
    assert "MJD-OBS" in light


def test_stars_of_a_light_are_a_table(dithered):
    found = stars(dithered.folder / "calibrated/r0.fits")
    x, y, flux = stars_of(1, 60)
    brightest = int(
        np.argmax(np.where((x > 5) & (x < 250) & (y > 5) & (y < 210), flux, 0))
    )
    near = np.hypot(found["x"] - x[brightest], found["y"] - y[brightest])
    assert near.min() < 0.1
    with fits.open(dithered.folder / "calibrated/r0.fits") as hdus:
        rows = hdus["STARS"].data
        assert rows["X_IMAGE"][0] == found["x"].iloc[0] + 1


def test_the_bits_depend_on_nothing_but_the_lights(dithered, tmp_path):
    small = reduce(
        tmp_path, DITHERED[::-1], limits=Limits(jobs=1, memory=1 << 20, planes=True)
    )
    # The same frames: the number in the night decides their noise, so write them alike.
    again = reduce_night(
        dithered.folder.with_name("night"),
        output=tmp_path / "again",
        limits=Limits(jobs=1, memory=1 << 20, planes=True),
        page=False,
    )
    assert not small.failed
    with stack_of(dithered) as one, stack_of(again) as other:
        np.testing.assert_array_equal(one[0].data, other[0].data)


def test_one_reference_for_all_filters_and_binnings(tmp_path):
    lights = [
        *(Light(f"l{i}", pose, "L") for i, pose in enumerate(DITHERS[:3])),
        *(Light(f"b{i}", pose, "B", binning=2) for i, pose in enumerate(DITHERS[1:])),
    ]
    reduced = reduce(tmp_path, lights)
    assert not reduced.failed
    (path,) = (reduced.folder / "registration").glob("*.json")
    assert len(read_registration(path).places) == 6
    with stack_of(reduced, "light_Field_L_60s_1x1") as fine:
        whole, reference = fine[0].data, fine[0].header["GRID"]
    with stack_of(reduced, "light_Field_B_60s_2x2") as coarse:
        half = coarse[0].data
        assert coarse[0].header["GRID"] == reference
    assert [n // 2 for n in whole.shape] == list(half.shape)
    one, other = find_stars(whole).table[:8], find_stars(half).table
    distance = np.hypot(
        (other["x"] * 2 + 0.5)[:, None] - one["x"],
        (other["y"] * 2 + 0.5)[:, None] - one["y"],
    )
    assert np.median(distance.min(axis=0)) < 0.15


def test_another_focal_length_is_no_other_field(tmp_path):
    """A reducer was put in: the same stars, on pixels that are 1.25 times as large."""
    reduced = [Pose(pose.dx, pose.dy, pose.turn_deg, 0.8) for pose in DITHERS]
    lights = [*DITHERED, *(Light(f"s{i}", pose) for i, pose in enumerate(reduced))]
    told = reduce(tmp_path, lights).remarks
    (one,) = [one for one in told if one.code.startswith("other-")]
    assert one.code == "other-scale"
    assert one.found in {
        "4 of 8 lights with pixels 0.8 times as large",
        "4 of 8 lights with pixels 1.25 times as large",
    }


def test_panels_under_one_object_get_a_stack_each(tmp_path):
    panels = [
        *DITHERED,
        *(Light(f"p{i}", DITHERS[i], seed=2) for i in range(2)),
        Light("alone", seed=3),
    ]
    reduced = reduce(tmp_path, panels)
    outcome = reduced.report.outcomes["stacks/light_Field_R_60s_1x1.fits"]
    second = "stacks/light_Field_R_60s_1x1_field2.fits"
    assert outcome.outputs == ("stacks/light_Field_R_60s_1x1.fits", second)
    assert "other-field" in codes(reduced)
    with fits.open(reduced.folder / second) as hdus:
        assert hdus[0].header["NCOMBINE"] == 2
        assert hdus[0].header["FIELD"] == 2
    assert [why.code for why in outcome.left_out.values()] == ["no-place"]
    lights = table(reduced)
    assert "no other light" in lights.loc["calibrated/alone.fits", "why_not"]
    assert "no other light" in (reduced.folder / "frames.csv").read_text()
    again = reduce_night(
        tmp_path / "night", output=reduced.folder, page=False, choices=Choices()
    )
    assert {end.status for end in again.report.outcomes.values()} == {Status.CURRENT}
    (reduced.folder / second).unlink()
    third = reduce_night(tmp_path / "night", output=reduced.folder, page=False)
    assert third.report.outcomes[outcome.outputs[0]].status is Status.DONE
    assert (reduced.folder / second).exists()


def test_where_nothing_fits_there_is_no_stack_and_a_reason(tmp_path):
    reduced = reduce(tmp_path, [Light(f"x{i}", seed=10 + i) for i in range(3)])
    assert reduced.failed == ["stacks/light_Field_R_60s_1x1.fits"]
    (told,) = [
        one
        for end in reduced.report.outcomes.values()
        for one in end.remarks
        if one.code == "nothing-fits"
    ]
    alike = r"3 of 3 lights: \d+( to \d+)? stars, which fit those of no other light of Field"
    assert re.fullmatch(alike, told.found.split(" (")[0])
    assert not (reduced.folder / "stacks").exists()
    assert len(list((reduced.folder / "calibrated").glob("*.fits"))) == 3


def test_clouds_are_scaled_and_weighed(tmp_path):
    lights = [*DITHERED[:3], Light("dim", DITHERS[1], dim=0.5)]
    reduced = reduce(tmp_path, lights)
    found = table(reduced)
    assert found.loc["calibrated/dim.fits", "flux_scale"] == pytest.approx(2, rel=0.03)
    others = found["weight"].drop("calibrated/dim.fits")
    assert found.loc["calibrated/dim.fits", "weight"] < 0.35 * others.mean()


def test_pooled_exposures_are_scaled_to_the_reference(tmp_path):
    lights = [*DITHERED[:2], Light("long", DITHERS[2], exptime=120.0)]
    reduced = reduce(tmp_path, lights, stack_by=["object", "filter"])
    (path,) = (reduced.folder / "stacks").glob("*.fits")
    header = fits.getheader(path)
    assert header["TOTEXP"] == 240
    found = table(reduced)
    ratio = found["flux_scale"] * found["exptime"]
    np.testing.assert_allclose(ratio, header["EXPTIME"], rtol=0.03)


@pytest.mark.parametrize(("area", "smaller"), [("common", True), ("all", False)])
def test_the_area_can_be_chosen(tmp_path, area, smaller):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f"[stack]\narea = '{area}'\n")
    with stack_of(reduce(tmp_path, DITHERED[:3], recipe=str(recipe))) as hdus:
        data = hdus[0].data
    assert (data.size < SHAPE[0] * SHAPE[1]) is smaller
    if smaller:
        assert np.isfinite(data).all()


def test_a_light_that_loses_far_more_samples_than_noise_explains_is_named(tmp_path):
    night = write_lights(tmp_path / "night", DITHERED)
    rng = np.random.default_rng(9)
    with fits.open(night / "r2.fits", mode="update") as hdus:
        hdus[0].data[rng.random(SHAPE) < 0.02] += 3000
    (told,) = [
        one
        for end in reduce_night(
            night, output=tmp_path / "out", page=False
        ).report.outcomes.values()
        for one in end.remarks
        if one.code == "many-rejected"
    ]
    assert told.found.endswith(" % of r2.fits")
    assert told.way_out == "--exclude 'r2.fits'"
    # Each bad pixel spoils its neighbours' samples, too, when the light is turned.
    assert 2 < float(told.found.split()[0]) < 40


@pytest.mark.parametrize(("area", "is_told"), [("reference", True), ("all", False)])
def test_panels_that_overlap_by_less_than_half_are_told(tmp_path, area, is_told):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f"[stack]\narea = '{area}'\n")
    panels = [
        *(Light(f"l{i}", pose) for i, pose in enumerate(DITHERS)),
        Light("right", Pose(dx=150.0)),
        Light("near", Pose(dx=90.0)),
    ]
    (end,) = [
        end
        for output, end in reduce(
            tmp_path, panels, recipe=str(recipe)
        ).report.outcomes.items()
        if output.startswith("stacks/")
    ]
    told = [one.found for one in end.remarks if one.code == "mostly-outside"]
    assert told == ["right.fits"] * is_told


def test_lights_that_are_trailed_are_told_where_none_can_be_blamed(tmp_path):
    night = write_lights(tmp_path / "night", DITHERED[:4])
    for name in ("r0.fits", "r2.fits"):
        with fits.open(night / name, mode="update") as hdus:
            data = hdus[0].data.astype(float)
            trail = np.mean([np.roll(data, n, axis=1) for n in range(-8, 9)], axis=0)
            hdus[0].data = trail.astype(hdus[0].data.dtype)
    reduced = reduce_night(night, output=tmp_path / "out", page=False)
    (told,) = [
        one
        for end in reduced.report.outcomes.values()
        for one in end.remarks
        if one.code == "long-stars"
    ]
    assert told.found == "r0.fits, r2.fits"
    assert 2 < float(told.expected.split()[0]) < 6


@pytest.mark.parametrize("colour", [{}, {"BAYERPAT": "RGGB"}])
def test_a_sky_that_slopes_otherwise_in_each_light_costs_no_samples(tmp_path, colour):
    """The Moon's gradient turns while the field does not; a nebula keeps its light."""
    lights = [Light(f"r{i}", Pose(3.0 * i, -2.0 * i)) for i in range(6)]
    night = write_lights(tmp_path / "night", lights)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for i, light in enumerate(lights):
        angle = 0.25 * i**2
        x0, y0 = light.pose.seen(180.0, 70.0, SHAPE)
        added = 150 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 1800)
        added += 250 * (np.cos(angle) * (x / SHAPE[1] - 0.5))
        added += 250 * (np.sin(angle) * (y / SHAPE[0] - 0.5))
        with fits.open(night / f"{light.name}.fits", mode="update") as hdus:
            hdus[0].data = np.rint(hdus[0].data + added).astype(np.uint16)
            hdus[0].header.update(colour)
    reduced = reduce_night(night, output=tmp_path / "out", page=False)
    assert "sky-slopes" in codes(reduced)
    assert "many-rejected" not in codes(reduced)
    with stack_of(reduced) as hdus:
        data, header = hdus[0].data, hdus[0].header
    assert header["REJECTED"] < 0.002
    with fits.open(reduced.folder / header["REFERENC"]) as hdus:
        off = data - hdus[0].data
    # Where a light of a colour camera has that colour, or everywhere.
    planes = [off[0, ::2, ::2], off[2, 1::2, 1::2]] if colour else [off]
    for plane in planes:
        blocks = [
            np.nanmedian(block)
            for rows in np.array_split(plane, 5)
            for block in np.array_split(rows, 5, axis=1)
        ]
        assert np.ptp(blocks) < (8 if colour else 4)
        assert abs(np.median(blocks)) < 3


def test_a_comet_is_taken_for_no_slope_of_the_sky(tmp_path):
    """Its coma is as wide as a third of the field, and moves over an even sky."""
    lights = [Light(f"r{i}", Pose(3.0 * i, -2.0 * i)) for i in range(6)]
    night = write_lights(tmp_path / "night", lights)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for i, light in enumerate(lights):
        far = np.hypot(x - 40 - 30 * i, y - 110)
        with fits.open(night / f"{light.name}.fits", mode="update") as hdus:
            coma = 600 * np.exp(-far / 40)
            hdus[0].data = np.rint(hdus[0].data + coma).astype(np.uint16)
    reduced = reduce_night(night, output=tmp_path / "out", page=False)
    assert "sky-slopes" not in codes(reduced)
    assert "many-rejected" in codes(reduced)
    left, right = np.s_[5:35, 5:35], np.s_[5:35, -35:-5]
    tilts = [
        np.nanmedian(data[right]) - np.nanmedian(data[left])
        for data in map(fits.getdata, reduced.folder.glob("calibrated/*.fits"))
    ]
    with stack_of(reduced) as hdus:
        data = hdus[0].data
    tilt = np.nanmedian(data[right]) - np.nanmedian(data[left])
    assert min(tilts) < tilt < max(tilts)


def test_a_stack_that_is_not_aligned_says_so(tmp_path):
    reduced = reduce(tmp_path, DITHERED, align="none")
    with stack_of(reduced) as hdus:
        header = hdus[0].header
        assert header["ALIGNED"] is False
        assert header["RECIPE"] == "default with --align none"
        told = " ".join(" ".join(header["HISTORY"]).split())
    assert "NOT ALIGNED: the lights lie pixel on pixel" in told
    assert "as recipe default with --align none asks" in told
    assert "not-aligned" in codes(reduced)
    for light in reduced.folder.glob("calibrated/*.fits"):
        assert fits.getheader(light)["RECIPE"] == "default"  # --align is not its affair
    assert not (reduced.folder / "registration").exists()


def test_the_reference_can_be_named(tmp_path):
    reduced = reduce(tmp_path, DITHERED, references=["r2.fits"])
    with stack_of(reduced) as hdus:
        assert hdus[0].header["REFERENC"] == "calibrated/r2.fits"
    with pytest.raises(TableError, match="names 4 lights that are used, expected one"):
        prepare_night([tmp_path / "night"], Choices(references=["r*"]))
    without = Choices(references=["r2"], exclude=["r2"])
    with pytest.raises(TableError, match=r"r2\.fits is left out: excluded by hand"):
        prepare_night([tmp_path / "night"], without)


def test_without_stacks(tmp_path):
    reduced = reduce(tmp_path, DITHERED, stacks=False)
    assert not (reduced.folder / "stacks").exists()
    assert table(reduced)["matched"].min() > 10
    assert "no-stacks" in {note.code for note in reduced.report.plan.notes}
    assert set(table(reduced)["why_not"]) == {str(remark("no-stacks"))}


def test_a_single_light_has_no_stack_and_is_told_why(tmp_path):
    reduced = reduce(tmp_path, [*DITHERED[:2], Light("v", filter="V")])
    why = table(reduced)["why_not"].fillna("")
    assert why["calibrated/v.fits"].startswith("single lights are calibrated")
    assert set(why.drop("calibrated/v.fits")) == {""}
    frames = reduced.report.frames.set_index("file")["unstacked"]
    assert frames["v.fits"] == why["calibrated/v.fits"]


def celestial(pose):
    """Give the coordinates of a light of that pose: a tangent plane, 1 arcsec pixels."""
    ny, nx = SHAPE
    angle, step = np.deg2rad(pose.turn_deg), 1 / 3600
    return (
        ("CTYPE1", "RA---TAN"),
        ("CTYPE2", "DEC--TAN"),
        ("CRVAL1", 150.0),
        ("CRVAL2", 20.0),
        ("CRPIX1", (nx + 1) / 2 + pose.dx),
        ("CRPIX2", (ny + 1) / 2 + pose.dy),
        ("CD1_1", -step * np.cos(angle)),
        ("CD1_2", -step * np.sin(angle)),
        ("CD2_1", -step * np.sin(angle)),
        ("CD2_2", step * np.cos(angle)),
    )


def test_coordinates_align_where_they_are_asked_for(tmp_path):
    solved = [
        Light(one.name, one.pose, cards=celestial(one.pose)) for one in DITHERED[:3]
    ]
    blind = Light("blind", DITHERS[1])
    reduced = reduce(tmp_path, [*solved, blind], align="wcs")
    found = table(reduced)
    assert "no coordinates" in found.loc["calibrated/blind.fits", "why_not"]
    assert found["fwhm_arcsec"].notna().sum() == 3
    with stack_of(reduced) as hdus:
        data = hdus[0].data
    assert find_stars(data).statistics.fwhm_pixel == pytest.approx(
        found["fwhm"].mean(), rel=0.06
    )


def test_a_focus_run_is_not_stacked(tmp_path):
    run = [
        Light(
            f"f{i}",
            DITHERS[i % 3],
            fwhm=3 + 0.9 * i,
            cards=(("FOCUSPOS", 1000 + 50 * i),),
        )
        for i in range(5)
    ]
    reduced = reduce(tmp_path, run)
    assert "focus-run" in codes(reduced)
    assert not (reduced.folder / "stacks").exists()


@pytest.mark.parametrize("cards", [(("GRISM", "Gr7"),), (("YBINNING", 2),)])
def test_spectra_are_not_stacked(tmp_path, cards):
    night = write_lights(
        tmp_path / "night", [Light(f"s{i}", cards=cards) for i in range(3)]
    )
    plan = prepare_night([night]).plan
    assert {task.action for task in plan.tasks} == {Action.CALIBRATE}
    assert "spectra" in {note.code for note in plan.notes}


@pytest.mark.parametrize("grating", ["Gr7", "Open"])
def test_spectra_have_a_sky_and_no_stars(tmp_path, grating):
    lights = [Light(f"s{i}", cards=(("GRISM", grating),)) for i in range(2)]
    reduced = reduce(tmp_path, lights)
    is_picture = grating == "Open"
    frames = pd.read_csv(reduced.folder / "frames.csv")
    seen = ["stars", "fwhm", "elongation"]
    assert (frames.reindex(columns=seen).notna() == is_picture).all(axis=None)
    assert frames["sky"].notna().all()
    found = stars(reduced.folder / "calibrated" / "s0.fits")
    assert bool(len(found)) == is_picture


def test_an_open_slot_for_gratings_is_no_grating(tmp_path):
    night = write_lights(
        tmp_path / "night",
        [Light(f"s{i}", cards=(("GRISM", "Open"),)) for i in range(3)],
    )
    assert any(t.action is Action.STACK for t in prepare_night([night]).plan.tasks)


def test_mosaics_are_stacked_colour_by_colour_and_it_is_said(tmp_path):
    bayer = (("BAYERPAT", "RGGB"),)
    colour = [Light(f"c{i}", DITHERS[i], fwhm=4.5, cards=bayer) for i in range(3)]
    reduced = reduce(tmp_path, colour)
    assert "between-colours" in codes(reduced)
    with stack_of(reduced) as stack:
        red, green, blue = stack[0].data
        truth = picture(Light("t", stack_pose(stack), fwhm=4.5)) + SKY
        for plane in (red, green, blue):
            off = plane[20:-20, 20:-20] - truth[20:-20, 20:-20]
            assert np.nanmedian(np.abs(off)) < 15  # three lights of grey stars
    found = table(reduced)
    assert found["matched"].min() > 10
    assert found["dx"].abs().min() == 0
    assert found["fwhm"].between(3.8, 5.5).all()


def stack_pose(stack):
    """Give the pose of the light whose pixels a stack of `DITHERS` has."""
    return DITHERS[int(stack[0].header["GRID"][-6])]


def test_registrations_are_plain_json(dithered):
    (path,) = (dithered.folder / "registration").glob("*.json")
    content = json.loads(path.read_text())
    assert content["product"] == "registration"
    assert set(content["lights"]) == set(table(dithered).index)


def test_the_sky_of_the_reference_is_kept(dithered):
    with stack_of(dithered) as hdus:
        assert np.nanmedian(hdus[0].data) == pytest.approx(SKY, rel=0.02)


def test_a_light_of_another_field_is_left_alone_and_the_others_stacked(tmp_path):
    """Positions of the focuser that change no star are no focus run."""
    same = [
        Light(f"r{i}", pose, cards=(("FOCUSPOS", 1000 + i),))
        for i, pose in enumerate(DITHERS)
    ]
    other = [Light("x", seed=5), Light("y", Pose(4.0, 3.0), filter="V", seed=5)]
    (tmp_path / "mine.toml").write_text('[stack]\nlevel = "none"\n')
    reduced = reduce(tmp_path, [*same, *other], recipe=str(tmp_path / "mine.toml"))
    found = table(reduced)
    assert found.loc["calibrated/x.fits", "field"] == 2
    assert found.loc["calibrated/x.fits", "why_not"] == str(
        remark("alone", "calibrated/x.fits", found="light_Field_R_60s_1x1")
    )
    with stack_of(reduced) as hdus:
        assert hdus[0].header["NCOMBINE"] == 4
        assert "SKYLEVEL" not in hdus[0].header
        assert np.median(hdus[0].data) == pytest.approx(SKY, rel=0.02)
