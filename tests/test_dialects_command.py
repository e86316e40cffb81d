"""``autoreduce dialects``: whole answers."""

from click.testing import CliRunner
from fits_files import write_frame

from autoreduce.cli.dialects import command
from autoreduce.frames.dialects import load_dialects


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_list_names_every_dialect():
    result = run()
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines()]
    assert names == [dialect.name for dialect in load_dialects()]


def test_own_table_stands_first_in_the_list(tmp_path):
    table = tmp_path / "mine.toml"
    table.write_text('title = "My camera"\nrecognise = [{ INSTRUME = "C*" }]\n')
    assert run("--dialect", table).output.startswith("mine               My camera\n")


def test_check_shows_each_fact_with_its_card(tmp_path):
    path = write_frame(
        tmp_path / "flat_1.fits",
        IMAGETYP="Light Frame",
        EXPTIME=2.0,
        SWCREATE="MaxIm DL",
    )
    lines = run("check", path).output.splitlines()
    assert lines == [
        "flat_1.fits: 4 x 3 pixels, read as maxim (MaxIm DL (also driven by ACP))",
        "  exptime    2.0                        EXPTIME = 2.0  [seconds]",
        "  software   MaxIm DL                   SWCREATE = MaxIm DL  [text]",
        "  imagetyp   flat                       file name = flat_1  "
        + "[typed as light, but named as a calibration]",
        "                                        but IMAGETYP=Light Frame",
    ]


def test_check_says_why_a_frame_is_left_out(tmp_path):
    path = write_frame(tmp_path / "a.fits", IMAGETYP="focus")
    last = run("check", path).output.splitlines()[-1]
    assert last == "  left out: type other, not for imaging (IMAGETYP = focus)"


def test_check_reads_cards_from_a_text_file(tmp_path):
    path = tmp_path / "header.txt"
    path.write_text("IMAGETYP= 'DARK'\nEXPTIME = 5\n")
    assert "imagetyp   dark" in run("check", path).output
