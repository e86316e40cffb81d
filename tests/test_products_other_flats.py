"""Flats that suit lights better than those that the headers name, on a small night."""

import shlex

import numpy as np
import pytest
from small_night import BIAS, RATE, make_pixels, make_stars, write_frame

from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night

SHAPE = 128, 144
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def optics(x, y):
    """Shade a field whose brightest place lies off its middle."""
    shading = 1.0 - 1.2 * ((X / SHAPE[1] - x) ** 2 + (Y / SHAPE[0] - y) ** 2)
    return shading / np.median(shading)


OPTICS = {"R": optics(0.35, 0.6), "B": optics(0.6, 0.35)}


def write_night(folder, flats, sky=1.0):
    """Write flats and lights of two filters; `flats` names the filter that each has."""
    rng = np.random.default_rng(5)
    for kind, exptime in (("bias", 0.0), ("dark", 60.0)):
        for n in range(3):
            pixels = make_pixels(kind, exptime, rng, SHAPE)
            write_frame(folder, f"{kind}_{n}.fit", kind, exptime, pixels=pixels)
    for called, band in flats.items():
        for n in range(3):
            level = BIAS + RATE * 2
            pixels = level + rng.poisson(20000.0 * OPTICS[band])
            name = f"flat_{called}_{n}.fit"
            write_frame(folder, name, "flat", 2.0, pixels=whole(pixels), FILTER=called)
            light = (900.0 * sky + make_stars(SHAPE)) * OPTICS[called]
            pixels = BIAS + RATE * 60 + rng.poisson(light)
            name = f"light_{called}_{n}.fit"
            write_frame(
                folder, name, "light", 60.0, pixels=whole(pixels), FILTER=called
            )
    return folder


def whole(pixels):
    return np.rint(pixels).astype(np.uint16)


def told(folder, out, choices=None):
    done = reduce_night(folder, out, choices=choices, page=False)
    return [one for one in done.remarks if one.code == "other-flat"]


def test_flats_whose_filters_were_swapped_are_told_and_the_way_out_is_right(tmp_path):
    night = write_night(tmp_path / "night", {"R": "B", "B": "R"})
    found = {one.way_out: sorted(one.subject) for one in told(night, tmp_path / "out")}
    assert found == {
        f"--set 'light_{light}_*: flat=flat_{flat}_1x1'": [
            f"light_{light}_{n}.fit" for n in range(3)
        ]
        for light, flat in (("R", "B"), ("B", "R"))
    }
    ways = [shlex.split(way_out)[1] for way_out in found]
    assert told(night, tmp_path / "out", Choices(settings=ways)) == []


@pytest.mark.parametrize("sky", [1.0, 0.8 + 0.4 * X / SHAPE[1]])
def test_flats_that_are_right_are_not_doubted_beside_others_and_under_moonlight(
    sky, tmp_path
):
    night = write_night(tmp_path / "night", {"R": "R", "B": "B"}, sky)
    assert told(night, tmp_path / "out") == []
