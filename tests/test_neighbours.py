"""Nights as public reports of faults tell them: right, or said with its code.

Each night is small and its truth known: an even sky once it is calibrated.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from click.testing import CliRunner
from level_nights import PLAN, on, write_level_night
from small_night import BIAS, RATE, SKY, make_pixels

from autoreduce.cli import cli

SHAPE = 128, 144
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
VIGNETTING = 1.0 - 1.2 * ((X / SHAPE[1] - 0.4) ** 2 + (Y / SHAPE[0] - 0.6) ** 2)
VIGNETTING /= np.median(VIGNETTING)
HOT = np.zeros(SHAPE)
HOT[np.random.default_rng(3).integers(0, SHAPE[0], 60), np.arange(2, 122, 2)] = 20.0
"""Dark current of hot pixels, ADU/s."""
OFFSET = 5000
"""ADU, of a camera that counts from far above 0."""
EXPTIME = {kind: exptime for kind, exptime, _ in PLAN}


def scene(kind, n):
    """Draw a frame of a camera whose optics shade, and that has hot pixels."""
    rng = np.random.default_rng([n, *kind.encode()])
    pixels = make_pixels(kind, EXPTIME[kind], rng, SHAPE).astype(np.float64)
    if kind in ("flat", "light"):
        dark = BIAS + RATE * EXPTIME[kind]
        pixels = dark + (pixels - dark) * VIGNETTING
    return pixels + (HOT * EXPTIME[kind] if kind != "bias" else 0.0)


def write_night(folder, fault=None, *, header=None, **cards):
    """Write a night; `fault(kind, n, pixels)` spoils pixels, `header(kind, n)` cards."""

    def change(kind, n, _):
        pixels = scene(kind, n)
        return pixels if fault is None else fault(kind, n, pixels)

    write_level_night(folder, change, **cards)
    for path in sorted(folder.iterdir()) if header else ():
        kind = path.name.split("_")[0]
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            for keyword, value in header(kind, path).items():
                if value is None:
                    hdus[0].header.remove(keyword, ignore_missing=True)
                else:
                    hdus[0].header[keyword] = value
    return folder


def reduced(folder, out, *more):
    """Reduce as a program would: exit status, the codes of all that is told, the sky."""
    words = [str(folder), "-q", "--json", "-o", str(out), *more]
    ended = CliRunner().invoke(cli, words, catch_exceptions=False)
    told = {one["code"] for one in json.loads(ended.stdout)["attention"]}
    told |= set(pd.read_csv(out / "frames.csv")["code"].dropna())
    lights = [fits.getdata(path) for path in sorted(out.glob("calibrated/*.fit"))]
    blocks = [
        float(np.nanmedian(block))
        for light in lights
        for rows in np.array_split(light, 3)
        for block in np.array_split(rows, 4, axis=1)
    ]
    return ended.exit_code, told, blocks


def torn(pixels):
    """Leave the last third of the rows without data."""
    pixels[2 * SHAPE[0] // 3 :] = 0.0
    return pixels


def amplified(pixels):
    """Count as a camera with four times the conversion gain."""
    return BIAS + (pixels - BIAS) * 4


def unlit(pixels):
    rng = np.random.default_rng(int(pixels.sum()))
    return BIAS + RATE * EXPTIME["flat"] + rng.normal(0.0, 4.0, SHAPE)


def full_wells(pixels):
    """Fill the brighter pixels up; charge has one electron an ADU."""
    rng = np.random.default_rng(int(pixels.sum()))
    light = 3.2 * np.median(pixels - BIAS) * VIGNETTING
    return BIAS + np.minimum(rng.poisson(light), 57000 + 8 * rng.normal(size=SHAPE))


def with_stars(pixels):
    """Let a field of stars shine on a frame."""
    stars = np.zeros(SHAPE)
    rows, columns = np.random.default_rng(8).integers(4, 124, (2, 250))
    stars[rows, columns] = 9000.0
    for axis in (0, 1):
        stars = (np.roll(stars, 1, axis) + 2 * stars + np.roll(stars, -1, axis)) / 4
    return pixels + stars


def repeated():
    """Return what saves the pixels of the first light again as those of the second."""
    kept = {}

    def fault(kind, n, pixels):
        if kind == "light" and n < 2:
            return kept.setdefault("light", pixels)
        return pixels

    return fault


SAID = {
    "a download that broke off, one of each type": (
        on(("light 1", "flat 1", "dark 1"), torn),
        {"cut-off"},
    ),
    "downloads of all lights that broke off": (
        on(("light",), torn),
        {"cut-off"},
    ),
    "flats behind a closed shutter": (on(("flat",), unlit), {"unlit", "flat-lost"}),
    "lights of another offset": (on(("light",), lambda p: p + 400), {"level-left"}),
    "half of the lights of another offset": (
        on(("light 2", "light 3"), lambda p: p + 400),
        {"level-left"},
    ),
    "lights of another conversion gain": (on(("light",), amplified), {"hot-misfit"}),
    "lights that the driver mirrors": (
        on(("light",), lambda p: p[:, ::-1]),
        {"dark-turned", "flat-turned"},
    ),
    "darks of half the exposure": (
        on(("dark",), lambda p: BIAS + (p - BIAS) / 2),
        {"hot-misfit"},
    ),
    "lights whose bytes are in the order of processors": (
        on(("light",), lambda p: np.rint(p).astype(np.uint16).byteswap()),
        {"bytes-swapped"},
    ),
    "darks that were taken with an open telescope": (
        on(("dark",), with_stars),
        {"starry", "no-dark"},
    ),
    "flats whose wells are full, each a little otherwise": (
        on(("flat",), full_wells),
        {"flat-full"},
    ),
    "half of the flats after the camera was turned": (
        on(("flat 2", "flat 3"), lambda p: p[::-1, ::-1]),
        {"unlike-flats"},
    ),
    "lights of another window, which no card tells": (
        on(("light",), lambda p: np.roll(p, 20, axis=1)),
        {"dark-shifted"},
    ),
    "one light whose transfer lost pixels": (
        on(("light 1",), lambda p: np.roll(p, 300)),
        {"dark-shifted"},
    ),
    "lights whose dark the camera has taken out": (
        on(("light",), lambda p: p - (RATE + HOT) * EXPTIME["light"]),
        {"hot-absent"},
    ),
    "lights that the camera has divided by a flat": (
        on(("light",), lambda p: BIAS + (p - BIAS) / VIGNETTING),
        {"uneven-flat"},
    ),
}


NOT_SAID = {
    "flats whose wells are full, each a little otherwise": {"gain-overruled"},
    "half of the flats after the camera was turned": {"flat-full"},
}
"""What would be wrong of the same nights."""


@pytest.mark.parametrize("fault", SAID)
def test_what_comes_out_wrong_is_said(fault, tmp_path):
    spoil, codes = SAID[fault]
    _, told, _ = reduced(write_night(tmp_path / "night", spoil), tmp_path / "out")
    assert codes <= told
    assert not told & NOT_SAID.get(fault, set())


def test_flats_are_full_at_the_level_of_the_raw_frames_also_without_bias(tmp_path):
    folder = write_night(
        tmp_path / "night",
        lambda kind, _, p: (full_wells(p) if kind == "flat" else p) + OFFSET,
        header=lambda kind, _: (
            {"IMAGETYP": "Dark Frame", "EXPTIME": EXPTIME["flat"]}
            if kind == "bias"
            else {}
        ),
    )
    for path in folder.glob("bias*"):
        path.rename(path.with_name(path.name.replace("bias", "dark")))
    said = CliRunner().invoke(cli, [str(folder), "-q", "-o", str(tmp_path / "out")])
    (level,) = set(re.findall(r"'flat_2s_\*: saturate=(\d+)'", said.output))
    assert int(level) == pytest.approx(BIAS + OFFSET + 57000, rel=0.02)


@pytest.mark.parametrize(
    ("exptimes", "code"),
    [((0.5, 0.5, 5, 5), "shutter-unknown"), ((0.35, 8, 0.46, 12), "shutter")],
)
def test_flats_that_the_shutter_makes_unlike_are_not_of_two_runs(
    exptimes, code, tmp_path
):
    delay = -0.12 * ((X / SHAPE[1] - 0.5) ** 2 + (Y / SHAPE[0] - 0.5) ** 2)
    delay -= np.median(delay)

    def shaded(kind, n, pixels):
        if kind != "flat":
            return pixels
        light = 20000 * (1 + delay / exptimes[n]) * VIGNETTING
        return BIAS + np.random.default_rng(n).poisson(light)

    folder = write_night(tmp_path / "night", shaded)
    for path, exptime in zip(sorted(folder.glob("flat*")), exptimes, strict=True):
        fits.setval(path, "EXPTIME", value=exptime)
    _, told, _ = reduced(folder, tmp_path / "out")
    assert code in told
    assert "unlike-flats" not in told


RIGHT = {
    "as it should be": {},
    "a type keyword that says light of everything, and another one that knows": {
        "header": lambda kind, _: {
            "IMAGETYP": "Light",
            "FRAME": kind.capitalize(),
            "OBJECT": "M 13",
        },
    },
    "a clock that nobody has set": {
        "header": lambda kind, path: (
            {"DATE-OBS": f"1970-01-01T00:{path.stem[-2:]}:00"}
            if kind == "light"
            else {}
        ),
    },
    "a mount and a driver that write names otherwise now and then": {
        "header": lambda kind, _: {
            "TELESCOP": f"EQMo{'d' if kind == 'flat' else 'D'} HEQ5",
            "INSTRUME": f"ZWO ASI1600MM{'-' if kind == 'dark' else ' '}Pro",
        },
    },
    "bias frames of -1 s": {
        "header": lambda kind, _: {"EXPTIME": -1.0} if kind == "bias" else {},
    },
    "no temperature in lights, 999 in the others": {
        "header": lambda kind, _: {
            "CCD-TEMP": None if kind == "light" else 999,
            "SET-TEMP": None,
        },
    },
    "exposures as text": {
        "header": lambda kind, _: {
            "EXPTIME": f"00:{EXPTIME[kind] // 60:02.0f}:{EXPTIME[kind] % 60:02.0f}"
        },
    },
    "a time of day of another date": {
        "header": lambda _, __: {"TIME-OBS": "2024-02-28T01:02:03"},
    },
    "a section of all columns but for the overscan's, whose axes are swapped": {
        "header": lambda _, __: {"BIASSEC": "[1:128,137:144]"},
        "told": {"no-section"},
    },
    "sections that count from 0": {
        "header": lambda _, __: {"TRIMSEC": "[0:143,0:127]"},
        "told": {"no-section"},
    },
    "the driver gives a frame again": {"fault": repeated()},
    "flats of a panel that are called lights": {
        "header": lambda kind, _: {"IMAGETYP": "Light Frame"} if kind == "flat" else {},
        "rename": lambda name: name.replace("flat_", "panel_R_"),
    },
}


@pytest.mark.parametrize("night", RIGHT)
def test_what_is_odd_and_comes_out_right_costs_no_doubt(night, tmp_path):
    how = dict(RIGHT[night])
    expected = how.pop("told", set())
    rename = how.pop("rename", str)
    folder = write_night(tmp_path / "night", how.pop("fault", None), **how)
    for path in sorted(folder.iterdir()):
        path.rename(path.with_name(rename(path.name)))
    status, told, blocks = reduced(folder, tmp_path / "out")
    assert (status, told - {"no-date"}) == (0, expected)
    assert blocks
    assert np.median(blocks) == pytest.approx(SKY, rel=0.1)  # scaled as the flat is
    assert blocks == pytest.approx([np.median(blocks)] * len(blocks), rel=0.03)


WAYS_OUT = {
    "lights of another offset": (
        {"fault": on(("light",), lambda p: p + 400)},
        r"light\S+: pedestal=\d+",
    ),
    "a driver that calls the camera otherwise": (
        {
            "header": lambda kind, _: {
                "INSTRUME": f"ZWO ASI1600MM Pro{' CCD' * (kind == 'light')}"
            }
        },
        r"light\S+: instrume=ZWO ASI1600MM Pro",
    ),
}


@pytest.mark.parametrize("night", WAYS_OUT)
def test_the_way_out_makes_it_right(night, tmp_path):
    how, way = WAYS_OUT[night]
    folder = write_night(tmp_path / "night", **how)
    said = CliRunner().invoke(cli, [str(folder), "-q", "-o", str(tmp_path / "first")])
    ways = [
        w for one in set(re.findall(f"'({way})'", said.output)) for w in ("--set", one)
    ]
    assert ways
    status, told, blocks = reduced(folder, tmp_path / "out", *ways)
    assert (status, told - {"pedestals"}) == (0, set())
    assert np.median(blocks) == pytest.approx(SKY, rel=0.1)
    assert blocks == pytest.approx([np.median(blocks)] * len(blocks), rel=0.03)


def test_a_master_of_another_program_is_called_that_though_it_was_calibrated(tmp_path):
    folder = write_night(tmp_path / "night")
    master = folder / "master_dark.fit"
    fits.writeto(master, scene("dark", 1).astype(np.float32))
    fits.setval(master, "CALSTAT", value="BM")
    _, told, _ = reduced(folder, tmp_path / "out")
    assert "typed-master" in told
    assert "calibrated" not in told


def test_no_exposure_of_0_s_is_offered_to_lights(tmp_path):
    def without(_, __):
        return {"EXPTIME": 0.0}

    folder = write_night(tmp_path / "night", header=without)
    said = CliRunner().invoke(cli, [str(folder), "-q", "-o", str(tmp_path / "out")])
    assert "exposure is unknown (--set 'light_60s_*: exptime=...')" in said.output
