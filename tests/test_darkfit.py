"""The observer's check of dark counts against exposure, and his numbers."""

import json

import numpy as np
import pytest
from astropy.io import fits
from tool_files import command, real_night, write_fits

from autoreduce.errors import InputError, ProductError
from autoreduce.tools.darkfit import (
    DarkCounts,
    Line,
    fit_darks,
    measure_darks,
    plot_fit,
    scale_factors,
    with_error,
)

NOTES = ("--counts", "60:11.8,120:17.8,180:23.6")


def write_darks(folder, offset=5.0, rate=0.1, times=(180, 60, 120)):
    rng = np.random.default_rng(3)
    for t in times:
        data = (offset + rate * t + rng.normal(0, 1, (40, 50))).astype(np.float32)
        write_fits(folder / f"dark{t}.fit", data, EXPTIME=float(t))


def test_the_numbers_of_the_notes_come_out():
    output = command("darkfit", *NOTES)
    assert "Offset = 5.933 +/- 1.528\nSlope = 0.098 +/- 0.012\nnpts = 3\n" in output


def test_the_scale_factors_of_the_notes_come_out():
    words = ("--line", "5.9", "0.098", "-r", "180", "-e", "1,2,5,10,60,120", "--json")
    rows = json.loads(command("darkfit", *words))
    factors = {row["EXPTIME"]: row["factor"] for row in rows}
    expected = {1: 0.2548, 2: 0.2590, 5: 0.2714, 10: 0.2923, 60: 0.5004, 120: 0.7502}
    assert factors == pytest.approx(expected, abs=1.01e-4)
    assert [f"{factor:.2f}" for factor in factors.values()] == [
        "0.25", "0.26", "0.27", "0.29", "0.50", "0.75",
    ]  # fmt: skip


def test_darks_are_measured_in_their_section_and_sorted(tmp_path):
    write_darks(tmp_path)
    darks = measure_darks([str(path) for path in sorted(tmp_path.iterdir())])
    assert [dark.exptime_s for dark in darks] == [60, 120, 180]
    data = fits.getdata(tmp_path / "dark60.fit")[10:30, 12:38].astype(float)
    assert darks[0].counts == pytest.approx(data.mean(), abs=1e-6)
    assert darks[0].error == pytest.approx(data.std() / np.sqrt(data.size))


def test_the_fit_finds_offset_and_slope_within_their_errors(tmp_path):
    write_darks(tmp_path)
    output = command(
        "darkfit", f"{tmp_path}/dark*.fit", "-b", 0, 50, 0, 40, "--weighted", "--json"
    )
    fit = json.loads(output)["fit"]
    assert abs(fit["offset"] - 5.0) < 4 * fit["offset_error"]
    assert abs(fit["slope"] - 0.1) < 4 * fit["slope_error"]
    assert fit["offset_error"] < 0.2


def test_the_report_is_a_table_the_line_and_the_factors():
    lines = command("darkfit", *NOTES, "-e", "60,120").splitlines()
    assert lines[0].split() == ["#Filename", "EXPTIME", "counts", "error", "residual"]
    assert lines[2].split()[1:3] == ["60.0", "11.8"]
    assert "Factors on a dark of 180 s:" in lines
    assert lines[-1].split() == ["120.0", "0.7504"]


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_fit_is_drawn(tmp_path, suffix):
    path = tmp_path / f"fit.{suffix}"
    command("darkfit", *NOTES, "-p", path)
    begin = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert path.read_bytes().startswith(begin)
    darks = [DarkCounts("", 1, 2), DarkCounts("", 2, 3)]
    with pytest.raises(ProductError, match="exists"):
        plot_fit(darks, fit_darks(darks), path)


def test_one_exposure_is_no_line():
    with pytest.raises(ProductError, match="two different exposures, and all are 60 s"):
        fit_darks([DarkCounts("", 60, 11), DarkCounts("", 60, 12)])


def test_a_line_that_predicts_no_counts_gives_no_factor():
    with pytest.raises(ProductError, match="positive counts"):
        scale_factors(Line(-5.0, 0.01), [1.0], 60.0)


def test_a_dark_without_exposure_is_named(tmp_path):
    path = write_fits(tmp_path / "d.fit", np.zeros((8, 8)))
    with pytest.raises(InputError, match=r"d\.fit has no exposure"):
        measure_darks([path])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a.fit", *NOTES),
        ("--counts", "60"),
        ("--line", "1", "2"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(words):
    command("darkfit", *words, fails=True)


@pytest.mark.parametrize(
    "words",
    [
        (*NOTES, "--weighted"),
        (*NOTES, "-s", "median"),
        (*NOTES, "-b", "0", "9", "0", "9"),
        ("--line", "5.9", "0.1", "-r", "180", "-e", "60", "-p", "fit.png"),
        ("--line", "5.9", "0.1", "-r", "180", "-e", "60", "--section", "[1:9,1:9]"),
        ("--line", "5.9", "0.1", "-r", "180", "-e", "60", "--weighted"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words):
    assert "does nothing with" in command("darkfit", *words, fails=True)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fit.png", "exists; give another name with -p"),
        ("fit.xyz", "is written as .png, .pdf, .svg"),
        ("fit", "is written as .png, .pdf, .svg"),
    ],
)
def test_a_plot_that_cannot_be_written_is_told_before_anything_is(tmp_path, name, told):
    (tmp_path / "fit.png").touch()
    words = ("-o", tmp_path / "table", "-p", tmp_path / name)
    assert told in command("darkfit", *NOTES, *words, fails=True)
    assert not (tmp_path / "table").exists()


def test_a_file_gets_what_the_screen_shows(tmp_path):
    command("darkfit", *NOTES, "-o", tmp_path / "fit.log")
    assert (tmp_path / "fit.log").read_text() == command("darkfit", *NOTES)


def test_real_darks_lie_on_the_line_that_numpy_fits(tmp_path_factory):
    night = real_night("st402_spectra_ccdsoft", tmp_path_factory)
    found = measure_darks([str(path) for path in sorted(night.glob("*dark*.FIT"))])
    fit = fit_darks(found)
    slope, offset = np.polyfit(
        [dark.exptime_s for dark in found], [dark.counts for dark in found], 1
    )
    assert len({dark.exptime_s for dark in found}) >= 2
    assert (fit.slope, fit.offset) == pytest.approx((slope, offset), rel=1e-6)


def test_a_line_is_told_to_the_digits_of_its_error():
    words = ("--counts", "10:1.001,20:1.002,30:1.0031", "-e", "1")
    output = command("darkfit", *words)
    assert "Offset = 1.000 +/- 1.528" in output
    darks = [DarkCounts("", t, 1 + 1e-4 * t, 1e-5) for t in (10.0, 20.0, 30.0)]
    fit = fit_darks(darks, weighted=True)
    assert with_error(fit.slope, fit.slope_error) == "0.00010000 +/- 0.00000071"


@pytest.mark.parametrize("exposure", ["-1", "nan", "inf"])
def test_an_exposure_that_is_none_gives_no_factor(exposure):
    message = command("darkfit", *NOTES, f"--exposures={exposure}", fails=True)
    assert f"an exposure of {exposure} s: expected a number from 0 on" in message


@pytest.mark.parametrize(
    ("temperatures", "apart"),
    [((-10.0, -5.0), True), ((-10.0, -8.5), False), ((None, -5.0), False)],
)
def test_darks_of_several_temperatures_are_told(tmp_path, temperatures, apart):
    for seconds, degrees in zip((60.0, 120.0), temperatures, strict=True):
        cards = {} if degrees is None else {"SET_TEMP": degrees}
        path = tmp_path / f"d{seconds:g}.fit"
        write_fits(path, np.full((8, 8), seconds), EXPTIME=seconds, **cards)
    told = "the darks are of -10 to -5 degC, and no one line holds for all"
    assert (told in command("darkfit", tmp_path / "d*.fit")) is apart
