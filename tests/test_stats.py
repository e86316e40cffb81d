"""Statistics against numpy and astropy, and their way into headers."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import median_absolute_deviation, sigma_clipped_stats
from tool_files import command, real_night, write_fits

from autoreduce.errors import InputError
from autoreduce.fits import writer
from autoreduce.tools.regions import region_of_bounds
from autoreduce.tools.stats import (
    NAMES,
    Settings,
    image_statistics,
    statistic_names,
    statistics_table,
    store_statistics,
)

RNG = np.random.default_rng(20210227)


def statistics(path, names=("all",), **options):
    """Statistics of an image that is not taken apart."""
    (part,) = image_statistics(str(path), names, **options)
    return part.values


def make_noise(shape=(40, 50)):
    data = RNG.normal(1000, 10, shape)
    data[::7, ::9] += 500
    return data


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_every_statistic_agrees_with_numpy_and_astropy(tmp_path, dtype):
    data = make_noise().astype(dtype)
    path = write_fits(tmp_path / "a.fit", data)
    settings = Settings(quantiles=(0.1, 0.99), saturate=1400.0)
    found = statistics(path, settings=settings)
    wide = data.astype(float)
    mean, median, std = sigma_clipped_stats(wide, sigma=3, maxiters=None)
    mad = median_absolute_deviation(wide)
    expected = {
        "num": 2000,
        "sum": wide.sum(),
        "mean": wide.mean(),
        "median": np.median(wide),
        "std": wide.std(),
        "var": wide.var(),
        "min": wide.min(),
        "max": wide.max(),
        "mad": mad,
        "madstd": 1.4826 * mad,
        "clipmean": mean,
        "clipmedian": median,
        "clipstd": std,
        "saturated": (wide >= 1400).sum(),
        "q0.1": np.quantile(wide, 0.1),
        "q0.99": np.quantile(wide, 0.99),
    }
    assert {*expected, "mode"} == set(found)
    # The middle of two numbers is rounded to their type, and so is what is taken off.
    step = float(np.spacing(data[0, 0])) if dtype is np.float32 else 0.0
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=step), name


def test_the_mode_of_integers_is_the_most_frequent_one(tmp_path):
    path = write_fits(tmp_path / "a.fit", np.array([[7, 7, 7, 8, 8, 900]], np.uint16))
    assert statistics(path, ["mode"]) == {"mode": 7.0}


def test_pixels_that_are_not_finite_do_not_count(tmp_path):
    path = write_fits(tmp_path / "a.fit", np.array([[1.0, np.nan], [3.0, np.inf]]))
    assert statistics(path, ["num", "mean"]) == {"num": 2, "mean": 2.0}
    empty = write_fits(tmp_path / "b.fit", np.full((2, 2), np.nan))
    found = statistics(empty)
    assert found.pop("num") == 0
    assert all(np.isnan(value) for value in found.values())


def test_a_section_is_shown_one_based(tmp_path):
    data = np.arange(12.0).reshape(3, 4)
    path = write_fits(tmp_path / "a.fit", data)
    region = region_of_bounds((1, 3, 0, 2))
    (part,) = image_statistics(path, ["mean"], region=region)
    assert part.section == "[2:3,1:2]"
    assert part.values["mean"] == data[0:2, 1:3].mean()


def test_planes_of_a_cube_can_be_taken_apart(tmp_path):
    cube = np.arange(24.0).reshape(4, 2, 3)
    path = write_fits(tmp_path / "c.fit", cube)
    whole = statistics(path, ["mean"])
    assert whole["mean"] == cube.mean()
    region = region_of_bounds((0, 3, 0, 2, 1, 3))
    parts = image_statistics(path, ["mean"], region=region, per_plane=True)
    assert [(part.plane, part.section) for part in parts] == [
        (2, "[1:3,1:2,2:2]"),
        (3, "[1:3,1:2,3:3]"),
    ]
    assert [part.values["mean"] for part in parts] == [cube[1].mean(), cube[2].mean()]


@pytest.mark.parametrize("x", [0, 1])
@pytest.mark.parametrize("y", [0, 1])
def test_bayer_colours_keep_their_pixels_wherever_a_section_begins(tmp_path, x, y):
    mosaic = np.tile(np.array([[1, 2], [3, 4]], np.uint16), (4, 5))
    path = write_fits(tmp_path / "b.fit", mosaic, BAYERPAT="RGGB")
    region = region_of_bounds((x, 9, y, 7))
    parts = image_statistics(path, ["mean", "std"], region=region, per_colour=True)
    found = {part.colour: part.values["mean"] for part in parts}
    assert found == {"R": 1.0, "G1": 2.0, "G2": 3.0, "B": 4.0}
    assert all(part.values["std"] == 0 for part in parts)


def test_a_frame_without_a_bayer_pattern_has_no_colours(tmp_path):
    path = write_fits(tmp_path / "a.fit", np.zeros((2, 2), np.uint16))
    with pytest.raises(InputError, match=r"no Bayer pattern \(BAYERPAT says nothing\)"):
        image_statistics(path, per_colour=True)


def test_other_names_of_statistics_are_known():
    assert statistic_names(["rms", "Average", "std"]) == ["std", "mean"]
    assert statistic_names(["all"]) == list(NAMES)
    with pytest.raises(InputError, match="no statistic meen; there are num, sum"):
        statistic_names(["meen"])


def test_saturated_pixels_are_counted_by_the_header(tmp_path):
    data = np.array([[100, 65535, 60000]], np.uint16)
    path = write_fits(tmp_path / "a.fit", data, SATURATE=60000)
    assert statistics(path, ["saturated"])["saturated"] == 2
    other = write_fits(tmp_path / "b.fit", data)
    assert statistics(other, ["saturated"])["saturated"] is None


def test_the_table_goes_to_the_screen_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_fits(tmp_path / "a.fit", np.full((3, 4), 2.0))
    command("stats", "*.fit", "-s", "num,mean", "-b", "0", "2", "0", "3", "-o", "LOG")
    text = (tmp_path / "LOG").read_text().splitlines()
    assert text[0].split() == ["#Filename", "Section", "num", "mean"]
    assert text[2].split() == ["a.fit", "[1:2,1:3]", "6", "2.0"]
    (row,) = json.loads(command("stats", "a.fit", "-q", "0.5,99%", "--json"))
    assert (row["q0.5"], row["q0.99"], row["num"]) == (2.0, 2.0, 12)


def test_an_unreadable_file_is_named_and_the_others_are_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.fit").write_text("this is no FITS file")
    write_fits(tmp_path / "1.fit", np.zeros((3, 4)))
    output = command("stats", "*.fit", fails=True)
    assert "1.fit" in output.splitlines()[2]
    assert output.splitlines()[3].startswith("Error: 0.fit: ")


def data_hashes(path):
    """Hash the bytes behind each header as they lie in the file."""
    options = {"disable_image_compression": True, "do_not_scale_image_data": True}
    with fits.open(path, **options) as hdus:
        return [
            hashlib.sha256(np.asarray(hdu.data).tobytes()).hexdigest()
            for hdu in hdus
            if hdu.data is not None
        ]


@pytest.mark.parametrize("suffix", [".fit", ".fits.gz", ".fits.fz"])
def test_statistics_are_stored_in_the_header_and_pixels_stay(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    data = make_noise((20, 30)).astype(np.uint16)
    if suffix == ".fits.fz":
        image = fits.CompImageHDU(data, compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, checksum=True)
    else:
        fits.writeto(path, data)
    before = data_hashes(path)
    command("stats", path, "-s", "mean,quantile", "-q", "0.25", "-u")
    assert data_hashes(path) == before
    number = 1 if suffix == ".fits.fz" else 0
    with fits.open(path, checksum=suffix == ".fits.fz") as hdus:
        header = hdus[number].header
        np.testing.assert_array_equal(hdus[number].data, data)
    assert header["STMEAN"] == data.mean()
    assert header["STQ025"] == np.quantile(data, 0.25)
    assert header["STSECT"] == "[1:30,1:20]"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_dry_run_stores_nothing(tmp_path):
    path = tmp_path / "a.fit"
    write_fits(path, np.zeros((2, 2)))
    before = path.read_bytes()
    assert "a.fit" in command("stats", path, "-u", "-n")
    assert path.read_bytes() == before


def test_a_failure_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.fit"
    write_fits(path, np.zeros((2, 2)))
    before = path.read_bytes()
    (part,) = image_statistics(str(path), ["mean"])

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.shutil, "copyfileobj", full)
    with pytest.raises(Exception, match="No space left"):
        store_statistics(part)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_write_protected_file_keeps_its_header(tmp_path, mode):
    paths = [tmp_path / name for name in ("a.fit", "b.fit")]
    for path in paths:
        write_fits(path, np.zeros((2, 2)))
    paths[0].chmod(mode)
    before = paths[0].read_bytes()
    assert "a.fit is write-protected" in command("stats", tmp_path, "-u", fails=True)
    assert paths[0].read_bytes() == before
    assert fits.getheader(paths[1])["STNUM"] == 4


def test_the_file_that_a_symbolic_link_leads_to_is_written(tmp_path):
    path, link = tmp_path / "raw" / "a.fit", tmp_path / "night" / "link.fit"
    write_fits(path, np.zeros((2, 2)))
    link.parent.mkdir()
    link.symlink_to("../raw/a.fit")
    command("stats", link, "-u")
    assert link.is_symlink()
    assert not path.is_symlink()
    assert fits.getheader(path)["STNUM"] == 4


def test_names_of_one_file_are_not_parted(tmp_path):
    paths = [tmp_path / name for name in ("a.fit", "b.fit")]
    write_fits(paths[0], np.zeros((2, 2)))
    paths[1].hardlink_to(paths[0])
    before = paths[0].read_bytes()
    told = command("stats", paths[0], "-u", fails=True)
    assert "a.fit is one of 2 names of a file" in told
    assert paths[0].samefile(paths[1])
    assert paths[0].read_bytes() == before


def test_a_file_that_has_gone_is_told_as_gone(tmp_path):
    path = Path(write_fits(tmp_path / "a.fit", np.zeros((2, 2))))
    (part,) = image_statistics(str(path), ["mean"])
    path.unlink()
    with pytest.raises(InputError, match=r"a\.fit.*No such file"):
        store_statistics(part)


def test_quantiles_are_told_apart_in_header_and_table(tmp_path):
    path = write_fits(tmp_path / "a.fit", np.arange(12.0).reshape(3, 4))
    words = ("stats", path, "-s", "quantile", "-q")
    told = command(*words, "0.1234567,0.1234568", "--json")
    assert {"q0.1234567", "q0.1234568"} <= json.loads(told)[0].keys()
    told = command(*words, "0.123456,0.123457", "-u", fails=True)
    assert "the quantile 0.123456 has no card" in told
    command(*words, "0,1,0.0001,99.99%", "-u")
    header = fits.getheader(path)
    assert [header[f"STQ{key}"] for key in ("0", "1")] == [0, 11]
    assert header["STQ00001"] == pytest.approx(0.0011)
    assert header["STQ09999"] == pytest.approx(10.9989)


def test_columns_of_the_table_appear_where_they_are_needed(tmp_path):
    path = write_fits(tmp_path / "c.fit", np.zeros((2, 3, 4)))
    plain = statistics_table(image_statistics(path, ["mean"]))
    assert plain.columns == ("Filename", "Section", "mean")
    planes = statistics_table(image_statistics(path, ["mean"], per_plane=True))
    assert planes.columns == ("Filename", "Section", "Plane", "mean")


def test_real_frames_agree_with_numpy(tmp_path_factory):
    night = real_night("sa112_bvri_8bit", tmp_path_factory)
    for path in sorted(night.glob("darks-00?D120.fit")):
        found = statistics(path, region=region_of_bounds((600, 1100, 400, 700)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cut = fits.getdata(path)[400:700, 600:1100].astype(float)
        assert found["num"] == cut.size
        assert found["mean"] == pytest.approx(cut.mean(), rel=1e-12)
        assert found["std"] == pytest.approx(cut.std(), rel=1e-9)
        assert found["median"] == np.median(cut)


def test_colours_of_a_real_mosaic_agree_with_numpy(tmp_path_factory):
    path = real_night("colour_lights", tmp_path_factory) / "Seestar_vertical.fit"
    parts = image_statistics(str(path), ["mean"], per_colour=True)
    data = fits.getdata(path).astype(float)
    found = {part.colour: part.values["mean"] for part in parts}
    assert fits.getheader(path)["BAYERPAT"] == "GRBG"
    assert found["R"] == pytest.approx(data[0::2, 1::2].mean())
    assert found["B"] == pytest.approx(data[1::2, 0::2].mean())
    assert found["G1"] == pytest.approx(data[0::2, 0::2].mean())


def test_planes_in_colour_are_told_by_their_names(tmp_path):
    data = np.stack([np.full((4, 5), level, np.float32) for level in (1, 2, 3)])
    path = write_fits(tmp_path / "c.fits", data, PLANES="RGB")
    parts = image_statistics(path, ["mean"], per_colour=True)
    assert [(part.colour, part.values["mean"]) for part in parts] == [
        ("R", 1.0), ("G", 2.0), ("B", 3.0)
    ]  # fmt: skip
