"""Combination of files against numpy: each option of the observer's program."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from tool_files import command, real_night, write_fits

from autoreduce.cli import options
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.writer import write_image
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.flags import Flag
from autoreduce.tools import combine as tool
from autoreduce.tools.combine import Combining, Level, combine_images

RNG = np.random.default_rng(20210227)
SHAPE = (13, 17)


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """Five frames of rising brightness, one with an outlier."""
    monkeypatch.chdir(tmp_path)
    stack = RNG.poisson(1000, (5, *SHAPE)) * np.arange(1, 6)[:, None, None]
    stack[2, 4, 5] = 60000
    for n, data in enumerate(stack.astype(np.uint16), start=1):
        date = f"2021-02-27T01:0{n}:00"
        write_fits(tmp_path / f"f.{n}.fit", data, DATE_OBS=date, EXPTIME=30.0)
    return stack.astype(float)


def combined(*words):
    command("combine", "f.*.fit", "-o", "out.fit", *words)
    return fits.getdata("out.fit")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), lambda s: np.median(s, axis=0)),
        (("-m", "mean"), lambda s: s.mean(axis=0)),
        (("-m", "average"), lambda s: s.mean(axis=0)),
        (("-m", "sum"), lambda s: s.sum(axis=0)),
        (("-m", "min"), lambda s: s.min(axis=0)),
        (("-m", "max"), lambda s: s.max(axis=0)),
        (("-m", "std"), lambda s: s.std(axis=0)),
        (("-m", "rms"), lambda s: s.std(axis=0)),
        (("-m", "var"), lambda s: s.var(axis=0)),
        (("-m", "quantile"), lambda s: np.quantile(s, 0.5, axis=0)),
        (("-m", "quantile", "-a", "0.3"), lambda s: np.quantile(s, 0.3, axis=0)),
        (
            ("-m", "average", "-a", "mean"),
            lambda s: np.average(s, axis=0, weights=s.mean(axis=(1, 2))),
        ),
        (
            ("-m", "average", "-a", "median"),
            lambda s: np.average(s, axis=0, weights=np.median(s, axis=(1, 2))),
        ),
        (
            ("-m", "average", "-a", "sum"),
            lambda s: np.average(s, axis=0, weights=s.sum(axis=(1, 2))),
        ),
        (("-m", "mean", "-c", "max"), lambda s: np.sort(s, axis=0)[:4].mean(axis=0)),
        (
            ("-m", "mean", "-c", "min", "-d", "2"),
            lambda s: np.sort(s, axis=0)[2:].mean(axis=0),
        ),
        (
            ("-m", "mean", "-c", "minmax", "-d", "1,2"),
            lambda s: np.sort(s, axis=0)[1:3].mean(axis=0),
        ),
        (("-u",), lambda s: np.median(s, axis=0) / np.median(s, axis=0).mean()),
        (("-m", "mean", "-s", "2"), lambda s: 4 * s.mean(axis=0)),
        (("-m", "mean", "-s", "-3"), lambda s: (s // 8).mean(axis=0)),
    ],
)
def test_each_option_agrees_with_numpy(frames, words, expected):
    np.testing.assert_allclose(combined(*words), expected(frames), rtol=2e-7)


@pytest.mark.parametrize("level", ["mean", "median", "sum"])
def test_frames_are_scaled_to_the_level_of_the_first(frames, level):
    levels = getattr(np, level)(frames, axis=(1, 2))
    scaled = frames * (levels[0] / levels)[:, None, None]
    result = combined("-N", level, "-m", "mean")
    np.testing.assert_allclose(result, scaled.mean(axis=0), rtol=1e-6)
    assert fits.getheader("out.fit")["SCAL0003"] == pytest.approx(levels[0] / levels[2])


def test_the_observer_s_flat_recipe(frames):
    scale = frames[0].mean() / frames.mean(axis=(1, 2))
    kept = np.sort(frames * scale[:, None, None], axis=0)[:-1]
    expected = np.median(kept, axis=0)
    result = combined("-m", "median", "-c", "max", "-d", "1", "-N", "mean", "-u")
    np.testing.assert_allclose(result, expected / expected.mean(), rtol=1e-6)
    header = fits.getheader("out.fit")
    assert header["UNITMEAN"] == pytest.approx(expected.mean(), rel=1e-6)


@pytest.mark.parametrize("clip", ["sigma", "winsorized", "percentile"])
def test_an_outlier_is_clipped(frames, clip):
    words = ("-m", "mean", "-N", "median", "-c", clip)
    drop = ("-d", "0.5") if clip == "percentile" else ("-d", "4", "--noise", "40")
    result = combined(*words, *drop)
    others = np.delete(frames, 2, axis=0)
    scale = np.median(frames[0]) / np.median(others, axis=(1, 2))
    expected = (others[:, 4, 5] * scale).mean()
    assert result[4, 5] == pytest.approx(expected, rel=0.01)
    assert fits.getheader("out.fit")["NREJECT"] >= 1


def test_good_samples_of_few_frames_are_kept_by_the_noise_that_two_frames_show(
    tmp_path,
):
    data = RNG.normal(1000, 10, (4, 60, 70)).astype(np.float32)
    data[1, 5, 6] = 2000
    names = [write_fits(tmp_path / f"{n}.fit", item) for n, item in enumerate(data)]
    choices = Combining(Combination(Method.MEAN, Rejection.SIGMA, low=4, high=4))
    summary = combine_images(names, tmp_path / "out.fit", choices)
    assert fits.getheader(tmp_path / "out.fit")["COMBNOIS"] == pytest.approx(
        10, rel=0.05
    )
    assert summary.n_rejected[1] >= 1
    assert sum(summary.n_rejected) < 0.001 * data.size


def test_the_header_tells_what_was_combined_and_how(frames):
    combined("-m", "mean", "-c", "minmax", "-d", "1,2", "-N", "mean")
    with fits.open("out.fit", checksum=True) as hdus:
        hdus.verify("exception")
        header = hdus[0].header
        assert hdus[0].data.dtype == ">f4"
    assert header["NCOMBINE"] == 5
    assert (header["COMBMETH"], header["COMBCLIP"]) == ("mean", "minmax 1,2")
    assert (header["COMBNORM"], header["COMBARG"]) == ("mean", "none")
    assert header["FILE0002"] == "f.2.fit"
    assert header["DATE0002"] == "2021-02-27T01:02:00"
    assert header["DATE-OBS"] == "2021-02-27T01:01:00.000"
    assert header["DATE-END"] == "2021-02-27T01:05:30.000"
    assert header["EXPTIME"] == 30.0
    assert "combined 5 frames" in " ".join(header["HISTORY"])
    assert "BZERO" not in header


def test_a_sum_has_the_exposure_of_all(frames):
    combined("-m", "sum")
    assert fits.getheader("out.fit")["EXPTIME"] == 150.0


@pytest.mark.parametrize(
    ("cards", "begin", "end"),
    [
        (
            {"DATE_OBS": "27/02/98", "TIME_OBS": "23:59:50", "EXPTIME": "20"},
            "1998-02-27T23:59:50.000",
            "1998-02-28T00:00:10.000",
        ),
        ({"DATE_OBS": "1998-02-27", "EXPTIME": 20.0}, "1998-02-27", None),
        ({"DATE_OBS": "1998-02-27T01:00:00"}, "1998-02-27T01:00:00", None),
    ],
)
def test_dates_are_told_as_far_as_they_are_known(tmp_path, cards, begin, end):
    name = write_fits(tmp_path / "a.fit", np.zeros((2, 3), np.uint16), **cards)
    combine_images([name], tmp_path / "out.fit")
    header = fits.getheader(tmp_path / "out.fit")
    assert (header["DATE-OBS"], header.get("DATE-END")) == (begin, end)


def test_a_product_is_not_overwritten_unless_told(frames):
    combined()
    assert "exists" in command("combine", "f.*.fit", "-o", "out.fit", fails=True)
    assert combined("--overwrite", "-m", "min").max() < 1200


def test_a_dry_run_lists_the_frames_and_writes_nothing(frames, tmp_path):
    output = command("combine", "f.*.fit", "-o", "out.fit", "-n")
    assert "5 files -> out.fit (median)" in output
    assert not (tmp_path / "out.fit").exists()


@pytest.mark.parametrize("words", [("-m", "mean"), ("-c", "max"), ("-N", "median")])
def test_the_memory_does_not_change_the_result(frames, words, monkeypatch):
    whole = combined(*words)
    monkeypatch.setattr(tool, "MAX_OPEN", 2)
    monkeypatch.setattr(options, "_LEAST_MEMORY", 1)
    np.testing.assert_array_equal(
        combined("--memory", "1k", "--overwrite", *words), whole
    )


def test_only_so_many_files_are_open_at_a_time(frames, monkeypatch):
    monkeypatch.setattr(tool, "MAX_OPEN", 2)
    now, most = [0], [0]

    class Counting(tool.ImageReader):
        def __init__(self, path, hdu=None):
            super().__init__(path, hdu)
            now[0] += 1
            most[0] = max(most[0], now[0])

        def close(self):
            super().close()
            now[0] -= 1

    monkeypatch.setattr(tool, "open_image", lambda name: Counting(tool.Path(name)))
    np.testing.assert_array_equal(combined(), np.median(frames, axis=0))
    assert most[0] <= 3
    assert now[0] == 0


@pytest.mark.parametrize("names", [["c.fit"], ["c.fit", "f.1.fit"]])
def test_planes_of_a_cube_are_frames_if_asked_for(frames, names):
    cube = RNG.integers(0, 5000, (3, *SHAPE)).astype(np.uint16)
    write_fits(tool.Path("c.fit"), cube)
    command("combine", *names, "-r", "-m", "mean", "-o", "out.fit")
    stack = cube if len(names) == 1 else np.concatenate([cube, frames[:1]])
    np.testing.assert_allclose(fits.getdata("out.fit"), stack.mean(axis=0), rtol=1e-7)
    assert fits.getheader("out.fit")["FILE0002"] == "c.fit plane 2"


def test_cubes_are_combined_plane_by_plane(frames, monkeypatch):
    monkeypatch.setattr(options, "_LEAST_MEMORY", 1)
    cubes = RNG.integers(0, 5000, (3, 2, *SHAPE)).astype(np.int16)
    for n, cube in enumerate(cubes):
        write_fits(tool.Path(f"c.{n}.fit"), cube)
    command("combine", "c.*.fit", "-o", "out.fit", "--memory", "2k")
    np.testing.assert_array_equal(fits.getdata("out.fit"), np.median(cubes, axis=0))


def test_pixels_without_samples_are_nan_and_counted(tmp_path):
    data = np.ones((2, 3), np.float32)
    data[0, 0] = np.nan
    names = [write_fits(tmp_path / f"{n}.fit", data) for n in (1, 2)]
    summary = combine_images(names, tmp_path / "out.fit")
    assert summary.n_empty == 1
    assert np.isnan(fits.getdata(tmp_path / "out.fit")[0, 0])


def test_hdus_gz_and_fz_are_frames_like_others(tmp_path):
    data = RNG.integers(0, 60000, (3, *SHAPE)).astype(np.uint16)
    write_fits(tmp_path / "a.fits.gz", data[0])
    packed = fits.CompImageHDU(data[1], compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "b.fits.fz")
    chips = [fits.ImageHDU(np.zeros(SHAPE)), fits.ImageHDU(data[2])]
    fits.HDUList([fits.PrimaryHDU(), *chips]).writeto(tmp_path / "c.fits")
    names = [str(tmp_path / name) for name in ("a.fits.gz", "b.fits.fz", "c.fits[2]")]
    combine_images(names, tmp_path / "out.fit")
    np.testing.assert_array_equal(
        fits.getdata(tmp_path / "out.fit"), np.median(data, axis=0)
    )


def test_frames_of_different_sizes_are_refused(tmp_path):
    names = [
        write_fits(tmp_path / f"{n}.fit", np.zeros((2, n), np.uint16)) for n in (3, 4)
    ]
    with pytest.raises(InputError, match=r"4\.fit is 4x2 pixels, .*3\.fit is 3x2"):
        combine_images(names, tmp_path / "out.fit")


def test_what_cannot_be_done_is_refused_in_plain_words(tmp_path):
    dark = write_fits(tmp_path / "a.fit", np.zeros((2, 3), np.float32))
    for choices, words in (
        (Combining(normalize=Level.MEAN), "mean of a.fit is 0.0"),
        (Combining(unit_mean=True), "cannot be scaled to unit mean"),
        (Combining(shift=2), "must be integers"),
        (
            Combining(Combination(rejection=Rejection.MINMAX, drop_high=1)),
            "cannot drop 0 \\+ 1 samples of 1",
        ),
    ):
        with pytest.raises(ProductError, match=words):
            combine_images([dark], tmp_path / "out.fit", choices)
        assert [path.name for path in tmp_path.iterdir()] == ["a.fit"]


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "median", "-a", "mean"),
        ("-m", "quantile", "-a", "2"),
        ("-m", "quantile", "-a", "mean"),
        ("-d", "1"),
        ("-c", "max", "-d", "1.5"),
        ("--memory", "many"),
    ],
)
@pytest.mark.usefixtures("frames")
def test_options_that_do_not_fit_together_are_refused(words, tmp_path):
    command("combine", "f.*.fit", "-o", "out.fit", *words, fails=True)
    assert not (tmp_path / "out.fit").exists()


def test_real_frames_agree_with_numpy(tmp_path, tmp_path_factory):
    night = real_night("tircam2_ic310", tmp_path_factory)
    names = sorted(night.glob("IC310*.fits"))
    stack = np.array([fits.getdata(path).astype(float) for path in names])
    for method, expected in (
        (Method.MEDIAN, np.median(stack, axis=0)),
        (Method.MEAN, stack.mean(axis=0)),
        (Method.STD, stack.std(axis=0)),
    ):
        output = tmp_path / f"{method}.fit"
        combine_images(
            [str(path) for path in names], output, Combining(Combination(method))
        )
        np.testing.assert_allclose(fits.getdata(output), expected, rtol=3e-7)


def test_real_flats_by_the_observer_s_recipe_agree_with_numpy(
    tmp_path, tmp_path_factory
):
    night = real_night("kast_blue_spectra", tmp_path_factory)
    names = [night / f"b1{n}.fits.gz" for n in (1, 2, 3)]
    stack = np.array([fits.getdata(path).astype(float) for path in names])
    words = ("-c", "max", "-N", "mean", "-u", "-o", tmp_path / "flat.fit")
    command("combine", ",".join(map(str, names)), *words)
    scale = stack[0].mean() / stack.mean(axis=(1, 2))
    kept = np.sort(stack * scale[:, None, None], axis=0)[:-1]
    expected = np.median(kept, axis=0)
    flat = fits.getdata(tmp_path / "flat.fit")
    np.testing.assert_allclose(flat, expected / expected.mean(), rtol=1e-5)


# ------------------------------------------------------------------ planes


@pytest.fixture
def with_planes(tmp_path, monkeypatch):
    """Three frames of 10, 20 and 90; the last is hit, one has no value, one is full."""
    monkeypatch.chdir(tmp_path)
    values, sigmas = (10, 20, 90), (1, 2, 4)
    for n, (value, sigma) in enumerate(zip(values, sigmas, strict=True)):
        data = np.full((2, 3), value, np.float32)
        mask = np.zeros((2, 3), np.uint8)
        if n == 2:
            mask[0] = [Flag.COSMIC_RAY, 0, 0]
        if n == 1:
            mask[1] = [Flag.NO_VALUE, Flag.SATURATED, Flag.HOT]
        planes = {"UNCERT": np.full_like(data, sigma), "MASK": mask}
        write_image(tmp_path / f"f.{n}.fit", data, [], planes=planes)


def planes_of(*words):
    command("combine", "f.*.fit", "-o", "out.fit", "--overwrite", *words)
    with fits.open("out.fit") as hdus:
        return {hdu.name: hdu.data.copy() for hdu in hdus}


def test_masked_samples_are_left_out_and_errors_propagated(with_planes):
    """Mean of 10, 20, 90: 40 +- sqrt(1 + 4 + 16) / 3; of 10 and 20: 15."""
    found = planes_of("-m", "mean")
    assert list(found) == ["PRIMARY", "MASK", "UNCERT"]
    assert found["PRIMARY"].tolist() == [[15, 40, 40], [50, 40, 40]]
    assert found["MASK"].tolist() == [[0, 0, 0], [0, Flag.SATURATED, Flag.HOT]]
    sigma = (21**0.5) / 3
    np.testing.assert_allclose(found["UNCERT"][0, 1:], sigma, rtol=1e-6)
    # One of three is left out: that it is the noisiest is not known.
    np.testing.assert_allclose(found["UNCERT"][0, 0], sigma * 1.5**0.5, rtol=1e-6)


def test_errors_of_sums_medians_and_scaled_frames(with_planes):
    total = planes_of("-m", "sum")
    np.testing.assert_allclose(total["UNCERT"][0, 1], 21**0.5, rtol=1e-6)
    median = planes_of("-m", "median")
    expected = (np.pi / 2 * 21) ** 0.5 / 3
    np.testing.assert_allclose(median["UNCERT"][0, 1], expected, rtol=1e-6)
    # Scaled to the first: errors of 1, 1 and 4/9.
    scaled = planes_of("-m", "mean", "--normalize", "median")
    expected = (1 + 1 + (4 / 9) ** 2) ** 0.5 / 3
    np.testing.assert_allclose(scaled["UNCERT"][0, 1], expected, rtol=1e-6)
    unit = planes_of("-m", "mean", "-u")
    factor = fits.getheader("out.fit")["UNITMEAN"]
    np.testing.assert_allclose(unit["UNCERT"][0, 1], 21**0.5 / 3 / factor, rtol=1e-5)


def test_planes_that_are_not_of_all_frames_or_not_of_the_method_are_none(with_planes):
    assert list(planes_of("-m", "max")) == ["PRIMARY", "MASK"]
    write_fits(Path("f.3.fit"), np.full((2, 3), 5, np.float32))
    assert list(planes_of("-m", "mean")) == ["PRIMARY"]


@pytest.mark.parametrize("words", [("-m", "median"), ("-m", "mean", "-c", "sigma")])
def test_bands_combined_by_processes_are_the_same_to_the_bit(
    frames, monkeypatch, words
):
    alone = combined(*words, "-j", "1")
    rejected = fits.getheader("out.fit")["NREJECT"]
    used = []
    monkeypatch.setattr(tool, "LARGE", 0)
    monkeypatch.setattr(tool, "LARGEST_BAND", 4000)
    each = tool.each_apart
    monkeypatch.setattr(tool, "each_apart", lambda *a: used.append(1) or each(*a))
    side_by_side = combined(*words, "-j", "2", "--overwrite")
    assert used
    np.testing.assert_array_equal(side_by_side, alone)
    assert fits.getheader("out.fit")["NREJECT"] == rejected


def test_what_is_told_of_the_first_frame_alone_is_not_carried_over(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ours = {
        "AIRMASS": 1.2,
        "DATE_AVG": "2021-02-27T01:00:15",
        "MJD_END": 1.0,
        "BJD_TDB": 2.0,
    }
    inner = {"FILE0003": "c.fit", "DATE0003": "x", "UNITMEAN": 16021.0, "SKYLEVEL": 3.0}
    for n in (1, 2):
        write_fits(tmp_path / f"f.{n}.fit", np.ones(SHAPE), FILTER="V", **ours, **inner)
    combined("-m", "mean")
    header = fits.getheader("out.fit")
    gone = {name.replace("_", "-") for name in (*ours, *inner)}
    assert not gone & set(header)
    assert header["FILTER"] == "V"
    assert header["FILE0002"] == "f.2.fit"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("-m", "mean"), True),
        (("-m", "median"), True),
        (("-m", "sum"), False),
        (("-m", "std"), False),
        (("-m", "var"), False),
        (("-N", "mean"), False),
        (("-s", "2"), False),
        (("-u",), False),
    ],
)
def test_the_level_of_full_pixels_is_told_where_it_still_holds(
    tmp_path, monkeypatch, words, kept
):
    monkeypatch.chdir(tmp_path)
    for n in (1, 2):
        data = np.full(SHAPE, 300, np.uint16)
        write_fits(
            tmp_path / f"f.{n}.fit", data, SATURATE=65535, EGAIN=1.5, BUNIT="adu"
        )
    combined(*words)
    header = fits.getheader("out.fit")
    assert ("SATURATE" in header) is kept
    gain = {("-s", "2"): 1.5 / 4, ("-u",): None, ("-m", "var"): None}.get(words, 1.5)
    assert header.get("EGAIN") == gain
    assert ("BUNIT" in header) is (gain is not None)


def test_a_sum_has_the_light_of_all_frames_where_samples_are_left_out(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = np.full((3, 4, 5), 100, np.float32)
    data[0, 1, 1] = np.nan
    data[:, 2, 2] = np.nan
    for n, frame in enumerate(data, start=1):
        errors = {"UNCERT": np.full(frame.shape, 2, np.float32)}
        write_image(tmp_path / f"f.{n}.fit", frame, [], planes=errors)
    found = combined("-m", "sum")
    assert found[1, 1] == found[0, 0] == 300
    assert np.isnan(found[2, 2])
    sigma = fits.getdata("out.fit", "UNCERT")
    assert sigma[0, 0] == pytest.approx(2 * 3**0.5)
    assert sigma[1, 1] == pytest.approx(3 * 2 / 2**0.5)


def test_cubes_have_their_planes_taken_into_account(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cube = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for n in (1, 2, 3):
        data, mask = cube + n, np.zeros(cube.shape, np.uint8)
        if n == 1:
            data[1, 2, 3], mask[1, 2, 3] = 9999, Flag.NO_VALUE
        write_image(tmp_path / f"f.{n}.fit", data, [], planes={"MASK": mask})
    found = combined("-m", "mean")
    assert found[1, 2, 3] == cube[1, 2, 3] + 2.5
    assert found[0, 0, 0] == cube[0, 0, 0] + 2
    (tmp_path / "f.2.fit").unlink()
    (tmp_path / "f.3.fit").unlink()
    flat = combined("-m", "mean", "-r", "--overwrite")
    assert flat[2, 3] == 12
    assert flat[0, 0] == 7


def test_a_cube_that_is_taken_apart_is_no_picture_in_colour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cards = {"CTYPE3": "RGB", "CRPIX3": 1.0, "PLANES": "RGB", "CTYPE1": "RA---TAN"}
    write_fits(tmp_path / "f.1.fit", np.ones((3, 4, 5)), **cards)
    combined("-r")
    header = fits.getheader("out.fit")
    assert not {"CTYPE3", "CRPIX3", "PLANES"} & set(header)
    assert header["CTYPE1"] == "RA---TAN"


def test_variances_beside_frames_are_read_as_errors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in (1, 2):
        errors = VarianceUncertainty(np.full((3, 4), 9.0))
        CCDData(np.ones((3, 4)), unit="adu", uncertainty=errors).write(f"f.{n}.fit")
    combined("-m", "mean")
    np.testing.assert_allclose(fits.getdata("out.fit", "UNCERT"), 3 / 2**0.5)


def test_one_mask_beside_a_cube_is_that_of_each_of_its_planes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cube, mask = np.full((3, 4, 5), 10, np.float32), np.zeros((4, 5), np.uint8)
    mask[1, 2] = Flag.NO_VALUE
    for n in (1, 2):
        planes = [
            fits.ImageHDU(mask, name="MASK"),
            fits.ImageHDU(cube / 5, name="UNCERT"),
        ]
        fits.HDUList([fits.PrimaryHDU(cube), *planes]).writeto(f"f.{n}.fit")
    found = combined("-m", "mean")
    assert np.isnan(found[:, 1, 2]).all()
    assert np.count_nonzero(np.isnan(found)) == 3
    flat = combined("-m", "mean", "-r", "--overwrite")
    assert np.argwhere(np.isnan(flat)).tolist() == [[1, 2]]
    np.testing.assert_allclose(fits.getdata("out.fit", "UNCERT")[0], 2 / 6**0.5)


def test_planes_of_another_size_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = fits.ImageHDU(np.zeros((6, 5), np.uint8), name="MASK")
    fits.HDUList([fits.PrimaryHDU(np.ones((4, 5))), mask]).writeto("f.1.fit")
    told = command("combine", "f.1.fit", "-o", "out.fit", fails=True)
    assert "f.1.fit: its MASK is 5x6 pixels, its image 5x4" in told


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (("sigma", "-d", "3,3,3"), "N or LOW,HIGH for -c sigma"),
        (("max", "-d", "1.5"), "N or LOW,HIGH, whole numbers for -c max"),
        (("minmax", "-d", "1,nan"), "N or LOW,HIGH, whole numbers for -c minmax"),
    ],
)
@pytest.mark.usefixtures("frames")
def test_limits_that_are_none_are_told_with_their_form(words, form):
    message = command("combine", "*.fit", "-o", "out.fits", "-c", *words, fails=True)
    assert f"write {form}\n" in message


def test_one_frame_is_one(tmp_path):
    path = write_fits(tmp_path / "a.fit", np.zeros((4, 4), np.uint16))
    output = command("combine", path, "-o", tmp_path / "out.fits")
    assert output == f"1 frame -> {tmp_path / 'out.fits'}\n"


def test_frames_of_several_filters_are_told(tmp_path):
    for name, told in (("a", "R"), ("b", "V"), ("c", "R")):
        write_fits(tmp_path / f"{name}.fit", np.ones((4, 4), np.uint16), FILTER=told)
    write_fits(tmp_path / "d.fit", np.ones((4, 4), np.uint16))
    message = "the frames are of several filters: R, V\n"
    output = command("combine", tmp_path / "*.fit", "-o", tmp_path / "1.fits")
    assert output.endswith(message)
    output = command("combine", tmp_path / "[acd].fit", "-o", tmp_path / "2.fits", "-u")
    assert "the frames are of" not in output
