"""Nights with something wrong: a clear message or a named skipped step, nothing lost."""

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import SHAPE, hashes, write_frame, write_night

from autoreduce.cli import cli
from autoreduce.errors import AutoreduceError
from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night
from autoreduce.report.summary import remarks
from autoreduce.running.execute import Status


def reduce(folder, **choices):
    before = hashes(folder)
    output = folder.with_name("products")
    reduced = reduce_night(
        folder, output=output, choices=Choices(**choices), page=False
    )
    assert hashes(folder) == before
    return reduced


def statuses(reduced):
    return {name: o.status for name, o in reduced.report.outcomes.items()}


def left_out(reduced):
    frames = reduced.report.frames
    out = frames[~frames["use"]]
    return dict(zip(out["file"], out["why_not"], strict=True))


def notes(reduced):
    return " | ".join(map(str, reduced.report.plan.notes))


def lights(reduced):
    return sorted((reduced.folder / "calibrated").rglob("*.fit"))


def test_a_clean_night_is_reduced_completely(tmp_path):
    reduced = reduce(write_night(tmp_path / "night"))
    assert set(statuses(reduced).values()) == {Status.DONE}
    assert left_out(reduced) == {}
    for path in lights(reduced):
        assert fits.getheader(path)["CALSTAT"] == "BDF"
        assert np.median(fits.getdata(path)) == pytest.approx(900, rel=0.05)
    assert not reduced.incomplete


@pytest.mark.parametrize("content", [(), ("readme.txt",)])
def test_a_folder_without_fits_is_an_error_with_the_way_out(tmp_path, content):
    folder = tmp_path / "night"
    folder.mkdir()
    for name in content:
        (folder / name).write_text("nothing here")
    with pytest.raises(AutoreduceError) as caught:
        prepare_night([folder])
    assert str(folder) in str(caught.value)


def test_only_calibration_frames_give_masters(tmp_path):
    reduced = reduce(write_night(tmp_path / "night", without=["light"]))
    assert set(statuses(reduced).values()) == {Status.DONE}
    assert sorted(p.name[:4] for p in (reduced.folder / "masters").glob("*.fits")) == [
        "bias",
        "dark",
        "dark",
        "dark",  # the map of the dark current
        "flat",
    ]


def test_without_bias_the_dark_keeps_it_and_lights_come_out_right(tmp_path):
    reduced = reduce(write_night(tmp_path / "night", without=["bias"]))
    assert set(statuses(reduced).values()) == {Status.DONE}
    for path in lights(reduced):
        header = fits.getheader(path)
        assert header["CALSTAT"] == "DF"
        assert np.median(fits.getdata(path)) == pytest.approx(900, rel=0.05)
    assert "bias" in notes(reduced)


def test_without_darks_lights_are_bias_subtracted_and_flattened(tmp_path):
    folder = write_night(tmp_path / "night", without=["dark", "flatdark"])
    reduced = reduce(folder)
    for path in lights(reduced):
        header = fits.getheader(path)
        assert header["CALSTAT"] == "BF"
        assert "dark" in header["MISSING"]
    assert "dark" in notes(reduced)


def test_flats_that_keep_their_zero_level_are_told_once(tmp_path):
    night = write_night(tmp_path / "night", without=["bias", "dark", "flatdark"])
    told = [one for one in remarks(reduce(night).report) if "keeps its" in str(one)]
    assert [sorted(one.subject) for one in told] == [
        ["flat_0001.fit", "flat_0002.fit", "flat_0003.fit"]
    ]


def test_without_flats_lights_are_left_unflattened_and_say_so(tmp_path):
    reduced = reduce(write_night(tmp_path / "night", without=["flat"]))
    for path in lights(reduced):
        header = fits.getheader(path)
        assert header["CALSTAT"] == "BD"
        assert "flat" in header["MISSING"]
    assert "flat" in notes(reduced)


def test_one_frame_per_group_is_enough(tmp_path):
    folder = tmp_path / "night"
    for name, t in (("bias", 0), ("dark", 60), ("flat", 2), ("light", 60)):
        write_frame(folder, f"{name}.fit", name, t)
    reduced = reduce(folder)
    assert Status.FAILED not in statuses(reduced).values()
    assert len(lights(reduced)) == 1


@pytest.mark.parametrize("kind", ["camera", "size"])
def test_two_cameras_or_sizes_are_never_mixed(tmp_path, kind):
    folder = write_night(tmp_path / "night")
    other = {"INSTRUME": "Other"} if kind == "camera" else {}
    shape = SHAPE if kind == "camera" else (32, 40)
    rng = np.random.default_rng(1)
    for n in range(3):
        pixels = rng.normal(500, 4, shape).astype(np.uint16)
        write_frame(folder, f"other_bias_{n}.fit", "bias", pixels=pixels, **other)
    pixels = rng.normal(1400, 30, shape).astype(np.uint16)
    write_frame(folder, "other_light.fit", "light", 60, pixels=pixels, **other)
    reduced = reduce(folder)
    assert Status.FAILED not in statuses(reduced).values()
    odd = fits.open(reduced.folder / "calibrated" / "other_light.fit")
    with odd:
        assert odd[0].header["CALSTAT"] == "B"
        assert np.median(odd[0].data) == pytest.approx(900, abs=10)


def damage(path, how):
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"<html>404</html>" * 400)


@pytest.mark.parametrize("how", ["truncated", "empty", "no fits"])
@pytest.mark.parametrize("name", ["bias_0002.fit", "flat_0001.fit", "light_0003.fit"])
def test_a_damaged_file_is_named_and_the_others_go_on(tmp_path, how, name):
    folder = write_night(tmp_path / "night")
    damage(folder / name, how)
    reduced = reduce(folder)
    unreadable = dict(reduced.report.unreadable.itertuples(index=False))
    named = {**unreadable, **left_out(reduced)}
    assert name in named
    assert named[name]
    assert len(lights(reduced)) == (2 if name.startswith("light") else 3)
    assert (folder / name).exists()


def test_a_file_that_is_truncated_after_the_scan_costs_only_itself(tmp_path):
    from autoreduce.reduction import run_prepared

    folder = write_night(tmp_path / "night")
    prepared = prepare_night([folder])
    damage(folder / "light_0001.fit", "truncated")
    damage(folder / "dark_0001.fit", "truncated")
    reduced = run_prepared(prepared, tmp_path / "products", page=False)
    assert statuses(reduced)["calibrated/light_0001.fit"] is Status.FAILED
    assert "truncated" in reduced.report.outcomes["calibrated/light_0001.fit"].reason
    assert "dark_0001.fit" in left_out(reduced)
    assert len(lights(reduced)) == 2
    assert reduced.failed == ["calibrated/light_0001.fit"]


@pytest.mark.parametrize("imagetyp", ["bias", "dark", "flat"])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_frames_of_zeros_or_nan_are_left_out_with_the_reason(tmp_path, imagetyp, value):
    folder = write_night(tmp_path / "night")
    exptime = {"bias": 0, "dark": 60, "flat": 2}[imagetyp]
    pixels = np.full(SHAPE, value, np.float32)
    write_frame(folder, f"{imagetyp}_0009.fit", imagetyp, exptime, pixels=pixels)
    reduced = reduce(folder)
    assert list(left_out(reduced)) == [f"{imagetyp}_0009.fit"]
    assert len(lights(reduced)) == 3
    assert np.median(fits.getdata(lights(reduced)[0])) == pytest.approx(900, rel=0.05)


def test_a_flat_darker_than_its_bias_is_left_out(tmp_path):
    folder = write_night(tmp_path / "night")
    pixels = np.full(SHAPE, 200, np.uint16)
    write_frame(folder, "flat_0009.fit", "flat", 2, pixels=pixels)
    reduced = reduce(folder)
    assert list(left_out(reduced)) == ["flat_0009.fit"]


def test_saturated_flats_are_left_out_and_lights_go_on_without(tmp_path):
    folder = write_night(tmp_path / "night", without=["flat"])
    pixels = np.full(SHAPE, 65535, np.uint16)
    pixels[0] = 65000
    for n in range(3):
        write_frame(folder, f"flat_{n:04d}.fit", "flat", 2, pixels=pixels)
    reduced = reduce(folder)
    assert len(left_out(reduced)) == 3
    (flat,) = [name for name in statuses(reduced) if "flat_R" in name]
    assert statuses(reduced)[flat] is Status.FAILED
    assert len(lights(reduced)) == 3
    header = fits.getheader(lights(reduced)[0])
    assert header["CALSTAT"] == "BD"
    assert "not flat-fielded" in " ".join(str(header["HISTORY"]).split())


def test_a_frame_that_does_not_say_what_it_is_is_not_taken_for_a_light(tmp_path):
    folder = write_night(tmp_path / "night")
    write_frame(folder, "x1.fit", "other", 5, IMAGETYP=None, OBJECT=None, FILTER=None)
    reduced = reduce(folder)
    out = left_out(reduced)
    assert list(out) == ["x1.fit"]
    assert "--set" in out["x1.fit"]
    again = reduce_night(
        folder,
        output=tmp_path / "again",
        choices=Choices(settings=["x1.fit: imagetyp=light, filter=R"]),
        page=False,
    )
    assert (again.folder / "calibrated" / "x1.fit").exists()


def test_a_light_without_exposure_gets_no_dark_and_says_so(tmp_path):
    folder = write_night(tmp_path / "night")
    write_frame(folder, "poor_light.fit", "light", EXPTIME=None)
    reduced = reduce(folder)
    header = fits.getheader(reduced.folder / "calibrated" / "poor_light.fit")
    assert header["CALSTAT"] == "BF"
    assert "dark" in header["MISSING"]


def test_a_light_without_filter_is_flattened_and_the_table_says_it_is_a_guess(tmp_path):
    folder = write_night(tmp_path / "night")
    write_frame(folder, "poor_light.fit", "light", 60, FILTER=None)
    reduced = reduce(folder)
    frames = reduced.report.frames.set_index("file")
    header = fits.getheader(reduced.folder / "calibrated" / "poor_light.fit")
    assert header["CALSTAT"] == "BDF"
    assert "filter" in frames.loc["poor_light.fit", "reason"]


ODD_NAMES = [
    "with space.fit",
    "quote'\".fit",
    "brackets[1].fit",
    "Düne-Ω.fit",
    "a,b;c.fit",
]


def test_odd_file_names_work_everywhere(tmp_path):
    folder = write_night(tmp_path / "nächt of 'x'")
    for name in ODD_NAMES:
        write_frame(folder / "sub dir", name, "light", 60)
        write_frame(folder, f"bias {name}", "bias")
    reduced = reduce_night(folder, output=tmp_path / "out dir")
    assert not reduced.failed
    lights = reduced.folder / "calibrated" / "sub dir"
    assert {path.name for path in lights.iterdir()} == set(ODD_NAMES)
    assert reduced.page.exists()
    again = reduce_night(
        folder,
        output=tmp_path / "out dir",
        choices=Choices(frames_csv=reduced.folder / "frames.csv"),
    )
    assert {o.status for o in again.report.outcomes.values()} == {Status.CURRENT}


def test_a_night_that_may_not_be_written_to_is_reduced_beside_it(tmp_path):
    folder = write_night(tmp_path / "night")
    before = hashes(folder)
    folder.chmod(0o500)
    try:
        reduced = reduce_night(folder, page=False)
    finally:
        folder.chmod(0o700)
    assert reduced.folder == tmp_path / "night_reduced"
    assert not reduced.failed
    assert hashes(folder) == before


def test_an_output_folder_inside_the_night_is_refused(tmp_path):
    folder = write_night(tmp_path / "night")
    result = CliRunner().invoke(cli, [str(folder), "-o", str(folder / "out")])
    assert result.exit_code == 1
    assert "-o" in result.output
    assert not (folder / "out").exists()


def test_a_folder_with_other_files_is_not_used_for_output(tmp_path):
    folder = write_night(tmp_path / "night")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    result = CliRunner().invoke(cli, [str(folder), "-o", str(other)])
    assert result.exit_code == 1
    assert "autoreduce did not make" in result.output
    assert (other / "thesis.txt").read_text() == "precious"


def test_a_product_that_somebody_else_put_there_is_not_overwritten(tmp_path):
    folder = write_night(tmp_path / "night")
    first = reduce_night(folder, page=False)
    alien = first.folder / "calibrated" / "light_0001.fit"
    alien.unlink()
    fits.writeto(alien, np.zeros((2, 2)))
    again = reduce_night(folder, page=False)
    assert again.failed == ["calibrated/light_0001.fit"]
    assert fits.getdata(alien).shape == (2, 2)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(
    tmp_path, monkeypatch
):
    import shutil

    folder = write_night(tmp_path / "night")
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(AutoreduceError, match="free some space"):
        reduce_night(folder, page=False)
    assert not (tmp_path / "night_reduced" / "masters").exists()
