"""Header keywords as a table: for people, awk, spreadsheets and programs."""

import csv
import io
import json
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from tool_files import command, real_night, write_fits

from autoreduce.cli import cli
from autoreduce.errors import InputError
from autoreduce.tools.headers import header_table, read_each, read_header
from autoreduce.tools.listing import Table, TableForm


@pytest.fixture
def frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((2, 3), np.uint16)
    write_fits(
        tmp_path / "a.fit", pixels, IMAGETYP="Bias Frame", EXPTIME=0.0, OBJECT=""
    )
    write_fits(tmp_path / "b.fit", pixels, IMAGETYP="Dark", EXPTIME=60.0, COOLED=True)
    return tmp_path


def test_the_table_is_aligned_and_numbered(frames):
    output = command("log", "*.fit", "-k", "Filename,IMAGETYP,OBJECT,EXPTIME,COOLED")
    assert output == (
        "#Filename  IMAGETYP    OBJECT  EXPTIME  COOLED\n"
        "#1         2           3             4  5\n"
        "a.fit      Bias_Frame  ....        0.0  ....\n"
        "b.fit      Dark        ....       60.0  T\n"
    )


def test_awk_and_grep_can_split_it(frames):
    command("log", "*.fit", "-k", "Filename,IMAGETYP,EXPTIME", "-o", "LOG")
    line = "grep -E '#|Bias' LOG | awk '{print $1,$3}'"
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True
    )
    assert done.stdout == "#Filename EXPTIME\n#1 3\na.fit 0.0\n"


def test_csv_and_json_hold_the_values_as_they_are(frames):
    words = ("log", "*.fit", "-k", "Filename", "-k", "imagetyp,OBJECT")
    rows = list(csv.reader(io.StringIO(command(*words, "--csv"))))
    assert rows[1] == ["a.fit", "Bias Frame", ""]
    table = json.loads(command(*words, "--json"))
    assert table[1] == {"Filename": "b.fit", "imagetyp": "Dark", "OBJECT": None}


def test_without_keywords_all_of_them_are_listed(frames):
    heads = command("log", "*.fit").splitlines()[0].split()
    assert heads[:4] == ["#Filename", "SIMPLE", "BITPIX", "NAXIS"]
    assert {"IMAGETYP", "COOLED"} <= set(heads)


def test_a_log_is_not_overwritten_unless_told(frames):
    command("log", "a.fit", "-o", "LOG")
    assert "exists" in command("log", "b.fit", "-o", "LOG", fails=True)
    command("log", "b.fit", "-o", "LOG", "--overwrite")
    assert (frames / "LOG").read_text().splitlines()[2].startswith("b.fit")
    assert "a.fit" in command("log", "a.fit", "-o", "OTHER", "-n")
    assert not (frames / "OTHER").exists()


def test_an_hdu_can_be_named(tmp_path):
    path = tmp_path / "m.fits"
    extension = fits.ImageHDU(np.zeros((4, 5)), name="CHIP2")
    fits.HDUList([fits.PrimaryHDU(np.zeros((2, 3))), extension]).writeto(path)
    headers, _ = read_each([f"{path}[1]"])
    table = header_table(headers, ["EXTNAME", "NAXIS1"])
    assert table.rows == (("CHIP2", 5),)
    with pytest.raises(InputError, match="has no HDU 7"):
        read_header(f"{path}[7]")


def test_an_unreadable_file_is_named_and_the_others_are_listed(frames):
    (frames / "broken.fit").write_text("this is no FITS file")
    output = command("log", "*.fit", "-k", "Filename", fails=True)
    assert output.splitlines()[:4] == ["#Filename", "#1", "a.fit", "b.fit"]
    assert "broken.fit: not FITS" in output.splitlines()[4]
    with pytest.raises(InputError, match=r"broken\.fit: not FITS"):
        read_header("broken.fit")


def test_missing_and_infinite_numbers_have_a_form_everywhere():
    table = Table(("a", "b"), ((None, float("nan")), (1, 2.5)))
    assert json.loads(table.render(TableForm.JSON))[0] == {"a": None, "b": None}
    assert table.render().splitlines()[2].split() == ["....", "nan"]


@pytest.mark.parametrize("night", ["kast_blue_spectra", "tircam2_ic310"])
def test_real_headers_read_as_astropy_reads_them(night, tmp_path_factory):
    folder = real_night(night, tmp_path_factory)
    keys = ["EXPTIME", "NAXIS", "NAXIS1", "DATE-OBS", "OBJECT"]
    for path in sorted(folder.iterdir()):
        (row,) = header_table({"": read_header(str(path))}, keys).rows
        header = fits.getheader(path)
        assert list(row) == [header.get(key) for key in keys]


def test_a_compressed_image_shows_the_header_of_the_image(tmp_path_factory):
    folder = real_night("colour_lights", tmp_path_factory)
    header = read_header(str(folder / "solved.fits.fz"))
    (row,) = header_table({"": header}, ["ZNAXIS1", "EXPTIME"]).rows
    assert row == tuple(
        fits.getheader(folder / "solved.fits.fz", 1, disable_image_compression=True)[
            key
        ]
        for key in ("ZNAXIS1", "EXPTIME")
    )


def test_shape_and_type_are_those_of_the_image_though_it_is_compressed(tmp_path):
    path = tmp_path / "a.fits.fz"
    image = fits.CompImageHDU(np.zeros((20, 30), np.int16), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    keys = ["NAXIS", "naxis1", "NAXIS2", "BITPIX", "XTENSION"]
    (row,) = header_table({"": read_header(str(path))}, keys).rows
    assert row == (2, 30, 20, 16, "BINTABLE")


def test_files_are_named_though_nobody_asks_for_it(frames):
    lines = command("log", "*.fit", "-k", "IMAGETYP").splitlines()
    assert lines[0].split() == ["#Filename", "IMAGETYP"]
    assert lines[2].split() == ["a.fit", "Bias_Frame"]
    placed = command("log", "*.fit", "-k", "IMAGETYP,filename").splitlines()
    assert placed[0].split() == ["#IMAGETYP", "filename"]


def test_a_keyword_that_no_file_has_is_named_with_the_nearest(frames):
    result = CliRunner().invoke(cli, ["log", "a.fit", "b.fit", "-k", "imagetpy,COOLED"])
    assert result.exit_code == 0
    assert result.stderr == (
        "no file has the keyword imagetpy; did you mean IMAGETYP?\n"
    )
    assert "no file has the keyword QQQQ\n" in command("log", "a.fit", "-k", "QQQQ")


def test_files_of_one_name_are_told_apart_by_their_folders(frames):
    for folder in ("mon", "tue"):
        write_fits(frames / folder / "a.fit", np.zeros((2, 3), np.uint16), NIGHT=folder)
    output = command("log", "mon/a.fit,tue/a.fit,b.fit", "-k", "NIGHT")
    rows = [line.split()[0] for line in output.splitlines()[2:]]
    assert rows == ["mon/a.fit", "tue/a.fit", "b.fit"]
    output = command("stats", "mon/a.fit,tue/a.fit,b.fit", "--csv")
    rows = [line.split(",")[0] for line in output.splitlines()[1:]]
    assert rows == ["mon/a.fit", "tue/a.fit", "b.fit"]
