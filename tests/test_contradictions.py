"""Cards that contradict each other or the pixels: what is said, and the way out."""

import re
import shlex

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import write_frame, write_night

from autoreduce.cli import cli
from autoreduce.prepare import Choices, prepare_night

KINDS = {"bias": 0.0, "dark": 60.0, "flatdark": 2.0, "flat": 2.0, "light": 60.0}


def reduce(night, out, *words):
    return CliRunner().invoke(cli, [str(night), "-q", "-o", str(out), *words])


def sky(out):
    """Give the median of calibrated lights, which is 900 ADU once the flat is out."""
    paths = sorted((out / "calibrated").glob("*.fit"))
    return float(np.median([np.median(fits.getdata(path)) for path in paths]))


def pasted(output, option="--set"):
    """Take the ways out from what is printed, as a shell would."""
    words = (shlex.split(text) for text in re.findall(r"\((--[^()]*)\)", output))
    return [word for one in words if one[0] == option for word in one]


def notes(night, code, **choices):
    plan = prepare_night(night, Choices(**choices)).plan
    return [note for note in plan.notes if note.code == code]


def rewrite(night, pattern, change):
    for path in sorted(night.glob(pattern)):
        data, header = fits.getdata(path), fits.getheader(path)
        for keyword in ("BZERO", "BSCALE"):
            header.remove(keyword, ignore_missing=True)
        data = change(data, header)
        path.unlink()
        fits.writeto(path, data, header)


def test_signed_counts_without_bzero_are_called_that_and_mended_by_the_way_out(
    tmp_path,
):
    night, out = write_night(tmp_path / "night"), tmp_path / "out"
    rewrite(night, "*.fit", lambda data, _: (data.astype(int) - 32768).astype("i2"))
    first = reduce(night, out)
    assert first.exit_code == 1
    assert "without the BZERO = 32768 that says so" in first.output
    assert "wrapped" not in first.output
    ways = pasted(first.output)
    assert ways
    assert reduce(night, out, *ways).exit_code == 0
    assert sky(out) == pytest.approx(900, rel=0.03)


def test_counts_of_a_light_that_wrapped_are_not_taken_for_shifted_ones(tmp_path):
    night = write_night(tmp_path / "night")

    def wrap(data, _header):
        return (data.astype(int) + 40000).astype("u2").astype("i2")

    rewrite(night, "light_*.fit", wrap)

    def lights(**choices):
        frames = prepare_night(night, Choices(**choices)).frames.set_index("file")
        return frames.filter(like="light", axis=0)

    assert set(lights()["code"]) == {"all-wrapped"}
    (_, setting) = pasted(lights()["why_not"].iloc[0])
    assert setting == "light_*: pedestal=-65536"
    assert lights(settings=(setting,))["use"].all()


def test_a_section_that_runs_backwards_names_the_same_pixels(tmp_path):
    night = tmp_path / "night"
    for kind, exptime in KINDS.items():
        for n in (1, 2, 3):
            imagetyp = "dark" if kind == "flatdark" else kind
            write_frame(
                night, f"{kind}_{n}.fit", imagetyp, exptime, TRIMSEC="[60:5,48:1]"
            )
    assert set(prepare_night(night).frames["trimsec"]) == {"[5:60,1:48]"}


def test_two_exposures_are_told_and_the_way_out_takes_the_other(tmp_path):
    night = write_night(tmp_path / "night")
    for kind, exposure in (("light", 30.0), ("dark", 60000.0), ("bias", 0.0)):

        def say(data, header, exposure=exposure):
            header["EXPOSURE"] = exposure
            return data

        rewrite(night, f"{kind}_*.fit", say)
    (told,) = notes(night, "two-exposures")
    assert told.subject == ("light_0001.fit", "light_0002.fit", "light_0003.fit")
    assert (told.found, told.expected) == ("EXPTIME = 60.0", "EXPOSURE=30.0")
    setting = shlex.split(told.way_out)[1]
    assert setting == "light_*: exptime=30"
    assert not notes(night, "two-exposures", settings=(setting,))


@pytest.mark.parametrize(
    ("keyword", "value", "fact", "other"),
    [
        ("FILTER", "B", "filter", "B"),
        ("FILTER", "OIII; 7nm", "filter", "OIII; 7nm"),
        ("GAIN", 200, "gain", "200"),
    ],
)
def test_a_card_that_stands_twice_is_told_and_the_way_out_takes_the_other(
    tmp_path, keyword, value, fact, other
):
    night = write_night(tmp_path / "night")
    for path in night.glob("light_*.fit"):
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            header = hdus[0].header
            header["GAIN"] = 100
            header["WHEEL"] = header["FILTER"]  # another keyword is no other value
            header.append(fits.Card(keyword, value), end=True)
    (told,) = notes(night, "doubled-card")
    assert told.subject == ("light_0001.fit", "light_0002.fit", "light_0003.fit")
    assert told.expected == f"{keyword}={other}"
    setting = shlex.split(told.way_out)[1]
    assert setting == f"light_*: {fact}={other}"
    assert not notes(night, "doubled-card", settings=(setting,))


@pytest.mark.parametrize("names", [(3.0, "3"), ("Red", 1), (4, "SII")])
def test_a_filter_that_stands_twice_in_two_spellings_is_one(tmp_path, names):
    """Or by its name, and its place in the wheel."""
    night = write_night(tmp_path / "night")
    for path in night.glob("light_*.fit"):
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            hdus[0].header["FILTER"] = names[0]
            hdus[0].header.append(fits.Card("FILTER", names[1]), end=True)
    assert not notes(night, "doubled-card")


LARGE = (136, 200)


def write_vignetted_night(folder, *, leak=0.0, **cards):
    """Write a night whose corners have half of the light; cards are those of lights."""
    ny, nx = LARGE
    y, x = np.mgrid[:ny, :nx]
    shape = 1 - (x / nx - 0.45) ** 2 - (y / ny - 0.6) ** 2
    shape /= np.median(shape)
    for kind, light in (("bias", 0), ("dark", leak), ("flat", 2e4), ("light", 900.0)):
        for n in range(1, 4):
            rng = np.random.default_rng([n, int(light)])
            current = 30.0 if kind in ("dark", "light") else 0.0
            ideal = 300 + current + rng.poisson(light * shape) + rng.normal(0, 4, LARGE)
            pixels = np.rint(ideal).astype(np.uint16)
            exptime = {"bias": 0.0, "flat": 2.0}.get(kind, 60.0)
            more = cards if kind == "light" else {}
            name = f"{kind}_{n}.fit"
            write_frame(folder, name, kind, exptime, pixels=pixels, **more)
    return folder


@pytest.mark.parametrize(
    ("fault", "words", "setting"),
    [
        ({"leak": 200.0}, "it has seen light", "light_*: dark=none"),
        ({"PEDESTAL": -100}, "nobody had added it", "light_*: pedestal=0"),
    ],
)
def test_a_level_that_was_not_there_is_told_by_the_flat_and_put_back_by_the_way_out(
    tmp_path, fault, words, setting
):
    night = write_vignetted_night(tmp_path / "night", **fault)
    out = tmp_path / "out"
    first = reduce(night, out, "--no-stack")
    assert words in first.output
    assert sky(out) < 830
    ways = pasted(first.output)
    assert ways == ["--set", setting]
    assert words not in reduce(night, out, "--no-stack", *ways).output
    assert sky(out) == pytest.approx(900, rel=0.05)
