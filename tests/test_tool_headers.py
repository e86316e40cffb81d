"""Headers mean to the small programs what they mean to a reduction."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from tool_files import command, write_fits

from autoreduce.errors import InputError
from autoreduce.frames.scan import scan
from autoreduce.tools.headers import first_of_several, read_facts

PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4)
START = "2021-02-27T20:15:30"
DIALECTS = {
    "milliseconds": ({"EXPTIME": (90000, "[ms] exposure"), "DATE_OBS": START}, {}),
    "text": ({"EXPTIME": "90.0", "DATE_OBS": START}, {}),
    "spelling": ({"EXPOSURE": 90.0, "DATE_OBS": START}, {}),
    "apart": ({"EXPTIME": 90.0, "DATE_OBS": "2021-02-27", "UT": "20:15:30"}, {}),
    "old": ({"EXPTIME": 90.0, "DATE_OBS": "27/02/21", "TIME_OBS": "20:15:30"}, {}),
    "julian": ({"EXPTIME": 90.0, "MJD_OBS": Time(START).mjd}, {}),
    "small": ({"EXPTIME": 90.0, "DATE_OBS": START}, {b"EXPTIME ": b"exptime "}),
}


@pytest.fixture(params=sorted(DIALECTS))
def written(request, tmp_path, monkeypatch):
    """Write three frames of 90 s, a minute apart, in one way of writing headers."""
    monkeypatch.chdir(tmp_path)
    cards, changes = DIALECTS[request.param]
    for n in range(3):
        later = {
            key: value.replace(":15:", f":{15 + n}:")
            if isinstance(value, str)
            else value
            for key, value in cards.items()
        }
        if "MJD_OBS" in cards:
            later["MJD_OBS"] = cards["MJD_OBS"] + n / 1440
        path = tmp_path / f"f{n}.fit"
        write_fits(path, PIXELS, IMAGETYP="Dark", **later)
        content = path.read_bytes()
        for old, new in changes.items():
            assert old in content
            content = content.replace(old, new)
        path.write_bytes(content)
    return tmp_path


def test_facts_are_those_of_the_frame_table(written):
    facts = read_facts("f1.fit")
    row = scan(written).set_index("file").loc["f1.fit"]
    assert facts.number("exptime") == row["exptime"] == 90.0
    assert facts.start == row["date_obs"].to_pydatetime()
    assert facts.start.isoformat() == "2021-02-27T20:16:30+00:00"


def test_a_sum_has_the_seconds_of_all_and_no_card_says_otherwise(written):
    command("combine", "f*.fit", "-m", "sum", "-o", "out.fit")
    header = fits.getheader("out.fit")
    assert header["EXPTIME"] == 270.0
    assert header.comments["EXPTIME"] == "[s] total of all frames"
    assert header["DATE-OBS"] == "2021-02-27T20:15:30.000"
    assert header["DATE-END"] == "2021-02-27T20:19:00.000"
    assert header["DATE0002"] == "2021-02-27T20:16:30"
    other = {"EXPOSURE", "UT", "TIME-OBS", "MJD-OBS"}
    assert not other & set(header)
    facts = read_facts("out.fit")
    assert facts.number("exptime") == 270.0
    assert facts.start.isoformat() == "2021-02-27T20:15:30+00:00"
    assert facts.readings["exptime"].disagree == ()
    assert facts.readings["date_obs"].disagree == ()


def test_a_dark_is_put_where_its_seconds_are(written):
    rows = command("darkfit", "f*.fit", "--csv", fails=True)  # one exposure: no line
    assert "two" in rows or "exposure" in rows
    write_fits(written / "g.fit", PIXELS + np.uint16(90), EXPTIME=180.0)
    told = command("darkfit", "f0.fit", "g.fit", "--csv")
    lines = told.splitlines()
    assert [float(line.split(",")[1]) for line in lines[1:3]] == [90.0, 180.0]
    assert "# Slope = 1.000 +/- 0.016" in lines


def test_files_are_renamed_in_the_order_of_their_starts(written):
    write_fits(written / "a_late.fit", PIXELS, DATE_OBS="2021-02-27T23:00:00")
    output = command("rename", "*.fit", "-n")
    assert "f0.fit -> 20210227.0001.fit" in output
    assert "f2.fit -> 20210227.0003.fit" in output
    assert "a_late.fit -> 20210227.0004.fit" in output


def test_exposures_in_different_units_are_sorted_by_their_seconds(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_fits(tmp_path / "a.fit", PIXELS, EXPTIME=(90000, "[ms]"))
    write_fits(tmp_path / "b.fit", PIXELS, EXPOSURE="60")
    write_fits(tmp_path / "c.fit", PIXELS, EXPTIME=120.0)
    output = command("rename", "*.fit", "-s", "exptime", "-o", "x", "-n")
    assert [f"{name}.fit -> x.000{n}.fit" in output for n, name in
            enumerate("bac", start=1)] == [True] * 3  # fmt: skip


def test_a_product_tells_no_exposure_where_a_frame_tells_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_fits(tmp_path / "a.fit", PIXELS, EXPTIME=60.0, DATE_OBS=START)
    write_fits(tmp_path / "b.fit", PIXELS, DATE_OBS=START)
    command("combine", "a.fit", "b.fit", "-m", "sum", "-o", "out.fit")
    header = fits.getheader("out.fit")
    assert "EXPTIME" not in header
    assert header["DATE-OBS"] == START


def test_local_time_goes_where_the_first_frame_is_not_the_first_exposure(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    local = {"EXPTIME": 60.0, "DATE_LOC": "2021-02-27T21:15:30"}
    write_fits(tmp_path / "a.fit", PIXELS, DATE_OBS=START, **local)
    write_fits(tmp_path / "b.fit", PIXELS, DATE_OBS="2021-02-27T23:00:00", **local)
    command("combine", "a.fit", "b.fit", "-o", "one.fit")
    command("combine", "b.fit", "a.fit", "-o", "two.fit")
    assert "DATE-LOC" in fits.getheader("one.fit")
    assert "DATE-LOC" not in fits.getheader("two.fit")


def test_saturation_is_read_by_its_other_names(tmp_path):
    path = write_fits(tmp_path / "a.fit", PIXELS, SATLEVEL="9.0")
    assert (
        command("stats", path, "-s", "saturated", "--csv").splitlines()[1].endswith("3")
    )


def test_cards_of_the_primary_header_hold_for_an_extension(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header["EXPTIME"] = (2000, "[ms]")
    path = tmp_path / "m.fits"
    fits.HDUList([primary, fits.ImageHDU(PIXELS)]).writeto(path)
    for name in (path, f"{path}[1]"):
        assert read_facts(str(name)).number("exptime") == 2.0
    with pytest.raises(InputError, match="has no HDU 5"):
        read_facts(f"{path}[5]")


def test_the_observer_s_own_table_is_heard(tmp_path):
    path = write_fits(tmp_path / "a.fit", PIXELS, MYCAM="yes", SHUT=1500)
    (tmp_path / "autoreduce.toml").write_text(
        'recognise = [{ MYCAM = "yes" }]\n'
        '[exptime]\nkeywords = [{ keyword = "SHUT", unit = "ms" }]\n'
    )
    assert read_facts(path).number("exptime") == 1.5


def test_a_card_means_the_fact_that_it_gives(tmp_path):
    path = write_fits(
        tmp_path / "a.fit",
        PIXELS,
        EXPOSURE=(500, "[ms]"),
        CCD_TEMP=253.15,
        AIRMASS=1.5,
        OBJECT="M  13 ",
    )
    facts = read_facts(path)
    assert facts.meaning("EXPOSURE") == facts.meaning("exptime") == 0.5
    assert facts.meaning("ccd-temp") == pytest.approx(-20.0)
    assert facts.meaning("AIRMASS") == 1.5
    assert facts.meaning("OBJECT") == "M 13"
    assert facts.meaning("DATE-OBS") is None


def test_files_of_several_images_are_named_where_the_first_is_taken(tmp_path):
    pixels = np.ones((4, 5), np.float32)
    several, planes = tmp_path / "several.fits", tmp_path / "planes.fits"
    chips = [fits.ImageHDU(pixels, name=f"CHIP{n}") for n in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *chips]).writeto(several)
    beside = [fits.ImageHDU(pixels, name=name) for name in ("UNCERT", "MASK")]
    fits.HDUList([fits.PrimaryHDU(pixels), *beside]).writeto(planes)
    (tmp_path / "none.fits").touch()
    named = [str(several), f"{several}[2]", str(planes), str(tmp_path / "none.fits")]
    assert first_of_several(named) == [str(several)]


@pytest.mark.parametrize(
    "words",
    [
        ("log", "{}"),
        ("stats", "{}"),
        ("combine", "{}", "-o", "o.fits"),
        ("arith", "{}", "+", "1", "-o", "o.fits"),
        ("show", "{}", "-n", "-o", "o.png"),
    ],
)
def test_each_command_tells_that_it_takes_the_first_of_several(
    tmp_path, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    chips = [fits.ImageHDU(np.ones((4, 5), np.float32)) for _ in range(2)]
    fits.HDUList([fits.PrimaryHDU(), *chips]).writeto("a.fits")
    told = "a.fits holds several images: the first is taken; FILE[2] is HDU 2\n"
    assert told in command(*(word.format("a.fits") for word in words))
    chosen = [word.format("a.fits[2]").replace("o.", "p.") for word in words]
    assert "several images" not in command(*chosen)
