"""Stacks of a colour camera, held against fields that are known in every colour."""

from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from astropy.io import fits
from colour_nights import cube_of, field, measure_stars, write_colour_lights
from stack_fields import Pose
from stack_nights import SHAPE

from autoreduce.fits.sections import moved_pattern
from autoreduce.prepare import Choices
from autoreduce.products.stack_light import StackLight
from autoreduce.reduction import reduce_night
from autoreduce.remarks import Severity
from autoreduce.running.execute import Limits

RNG = np.random.default_rng(8)
POSES = [
    Pose(*RNG.uniform(-6, 6, 2), RNG.uniform(-0.3, 0.3) + 180 * (n % 3 == 2))
    for n in range(24)
]
HOT = ((100, 130, 4000.0), (57, 40, 3000.0))


def stack_of(folder, poses, *, limits=None, **options):
    night = write_colour_lights(folder / "night", poses, **options)
    reduced = reduce_night(
        night,
        output=folder / "out",
        limits=limits or Limits(planes=True),
        page=False,
    )
    (path,) = (reduced.folder / "stacks").glob("*.fits")
    return fits.open(path)


def check(stack, width):
    """Hold colours, places and widths of stars against the truth."""
    cube, stars = stack[0].data, field()
    grid = Path(stack[0].header["GRID"]).stem
    pose = POSES[int(grid.removeprefix("c"))]
    seen, wanted = (
        measure_stars(one, pose, stars) for one in (cube, cube_of(pose, stars))
    )
    assert len(wanted.flux) >= 8
    for plane in (0, 2):
        colour = seen.flux[:, plane] / seen.flux[:, 1]
        colour /= wanted.flux[:, plane] / wanted.flux[:, 1]
        np.testing.assert_allclose(colour / np.median(colour), 1.0, atol=0.02)
        for at in (seen.x, seen.y):
            assert np.median(at[:, plane] - at[:, 1]) == pytest.approx(0, abs=0.08)
    np.testing.assert_allclose(np.median(seen.flux / wanted.flux, axis=0), 1, atol=0.02)
    assert (np.median(seen.width / wanted.width, axis=0) < width).all()


@pytest.mark.parametrize(("n", "source"), [(8, "interpolated"), (24, "own")])
def test_errors_of_each_colour_are_true(tmp_path, n, source):
    with stack_of(tmp_path, POSES[:n]) as stack:
        header, cube, sigma = stack[0].header, stack[0].data, stack["UNCERT"].data
    assert header["COLOURS"] == source
    pose = POSES[int(Path(header["GRID"]).stem.removeprefix("c"))]
    sky = cube_of(pose, field()).max(axis=0) < 3
    sky[:20] = sky[-20:] = sky[:, :20] = sky[:, -20:] = False
    ny, nx = (size // 4 for size in SHAPE)
    for number, (plane, error) in enumerate(zip(cube, sigma, strict=True), start=1):
        pulls = (plane - np.median(plane[sky])) / error
        low, high = np.percentile(pulls[sky], [15.87, 84.13])
        assert (high - low) / 2 == pytest.approx(1, abs=0.05)
        cut = (one[: 4 * ny, : 4 * nx].reshape(ny, 4, nx, 4) for one in (pulls, sky))
        blocks, whole = (one.swapaxes(1, 2).reshape(-1, 16) for one in cut)
        means = blocks[whole.all(axis=1)].mean(axis=1)
        low, high = np.percentile(means, [15.87, 84.13])
        assert 2 * (high - low) == pytest.approx(header[f"CORRNOI{number}"], rel=0.1)


def stored(path, pattern, *, order="TOP-DOWN", offset=(0, 0), trim=False):
    """Store a light of a pattern in another way: nothing of it changes on the sky."""
    with fits.open(path) as hdus:
        data, header = hdus[0].data.copy(), hdus[0].header
    if order == "BOTTOM-UP":
        data, pattern = data[::-1], moved_pattern(pattern, len(data) - 1, 0)
    if trim:  # a column and a row more, which do not count
        data, pattern = np.pad(data, ((1, 0), (1, 0))), moved_pattern(pattern, 1, 1)
        header["TRIMSEC"] = f"[2:{data.shape[1]},2:{data.shape[0]}]"
    header["ROWORDER"] = order
    header["YBAYROFF"], header["XBAYROFF"] = offset
    header["BAYERPAT"] = moved_pattern(pattern, *offset)
    fits.writeto(path, data, header, overwrite=True)


@pytest.mark.parametrize(
    ("orders", "ways"),
    [
        (("TOP-DOWN",), {"offset": (1, 0)}),
        (("TOP-DOWN",), {"trim": True, "offset": (0, 1)}),
        (("BOTTOM-UP",), {"offset": (1, 1)}),
        (("BOTTOM-UP",), {"trim": True}),
        (("TOP-DOWN", "TOP-DOWN", "BOTTOM-UP"), {"offset": (0, 1)}),
        (("BOTTOM-UP", "TOP-DOWN", "BOTTOM-UP"), {"offset": (1, 0)}),
    ],
)
def test_a_red_star_stays_red_however_lights_are_stored(tmp_path, orders, ways):
    poses, stars = POSES[:3], field()
    night = write_colour_lights(tmp_path / "night", poses, pattern="GBRG")
    for n, path in enumerate(sorted(night.iterdir())):
        stored(path, "GBRG", order=orders[n % len(orders)], **ways)
    reduce_night(night, output=tmp_path / "out", page=False)
    (path,) = (tmp_path / "out/stacks").glob("*.fits")
    with fits.open(path) as stack:
        header, cube = stack[0].header, stack[0].data
    most = max(orders, key=orders.count)
    assert (header["NCOMBINE"], header["ROWORDER"]) == (3, most)
    upright = cube if most == "TOP-DOWN" else cube[:, ::-1]
    pose = poses[int(Path(header["GRID"]).stem.removeprefix("c"))]
    seen, wanted = (
        measure_stars(one, pose, stars) for one in (upright, cube_of(pose, stars))
    )
    assert np.ptp(wanted.flux[:, 0] / wanted.flux[:, 2]) > 0.5
    colour = (seen.flux / seen.flux[:, 1:2]) / (wanted.flux / wanted.flux[:, 1:2])
    np.testing.assert_allclose(colour, 1.0, atol=0.06)


def test_a_few_lights_are_interpolated(tmp_path):
    with stack_of(tmp_path, POSES[:5], hot=HOT, ROWORDER="TOP-DOWN") as stack:
        header, cube = stack[0].header, stack[0].data
        assert cube.shape == (3, *SHAPE)
        assert (header["PLANES"], header["COLOURS"]) == ("RGB", "interpolated")
        assert not {"BAYERPAT", "XBAYROFF", "YBAYROFF"} & set(header)
        assert stack["NUSED"].data.shape == cube.shape
        check(stack, 1.10)


def test_many_dithered_lights_are_stacked_from_their_own_pixels(tmp_path):
    with stack_of(tmp_path, POSES, hot=HOT) as stack:
        cube, used = stack[0].data, stack["NUSED"].data
        assert stack[0].header["COLOURS"] == "own"
        assert np.isfinite(cube).all()
        middle = used[:, 30:-30, 30:-30].mean(axis=(1, 2))
        assert middle == pytest.approx([6, 12, 6], rel=0.05)  # of 24 lights
        check(stack, 1.05)
        for row, column, _ in HOT:
            near = cube[:, row - 2 : row + 3, column - 2 : column + 3]
            sky = np.median(cube, axis=(1, 2))[:, None, None]
            assert (np.abs(near - sky) < 60).all()


def test_the_bits_do_not_depend_on_memory_and_jobs(tmp_path):
    found = []
    for n, limits in enumerate(
        (Limits(jobs=1), Limits(jobs=2, memory=4 << 20, processes=False))
    ):
        with stack_of(tmp_path / str(n), POSES[:18], limits=limits) as stack:
            found.append(stack[0].data.copy())
    np.testing.assert_array_equal(*found)


def test_colours_are_measured_as_memory_has_room(tmp_path, monkeypatch):
    lock, modelled = Lock(), StackLight.modelled

    def alone(light):
        assert lock.acquire(blocking=False)
        try:
            return modelled(light)
        finally:
            lock.release()

    monkeypatch.setattr(StackLight, "modelled", alone)
    limits = Limits(jobs=3, memory=1 << 20, processes=False)
    stack_of(tmp_path, POSES[:6], limits=limits).close()


def test_a_pattern_that_the_greens_contradict_is_told_with_those_that_may_be(tmp_path):
    night = write_colour_lights(tmp_path / "night", POSES[:2], BAYERPAT="RGGB")
    reduced = reduce_night(night, page=False)
    (told,) = (
        one
        for one in reduced.told(Severity.DOUBTFUL)
        if one.code == "pattern-elsewhere"
    )
    assert told.expected == "GBRG or GRBG"  # it is the second
    setting = told.way_out.removeprefix("--set ").strip("'")
    again = reduce_night(night, choices=Choices(settings=(setting,)), page=False)
    assert "pattern-elsewhere" not in {
        one.code for one in again.told(Severity.DOUBTFUL)
    }
    assert set(again.report.frames["bayerpat"]) == {"GBRG"}


def test_colours_of_which_no_card_tells_are_told_and_the_way_out_leads_out(tmp_path):
    night = write_colour_lights(tmp_path / "night", POSES[:2], BAYERPAT="")
    reduced = reduce_night(night, page=False)
    told = [one for one in reduced.told(Severity.DOUBTFUL) if "colours" in one.code]
    assert [(one.code, one.expected) for one in told] == [("untold-colours", "")]
    assert told[0].found == "GRBG or GBRG"  # it is the first
    assert sorted(told[0].subject) == ["calibrated/c00.fits", "calibrated/c01.fits"]
    setting = told[0].way_out.removeprefix("--set ").strip("'")
    again = reduce_night(night, choices=Choices(settings=(setting,)), page=False)
    assert "untold-colours" not in {one.code for one in again.told(Severity.DOUBTFUL)}
    assert set(again.report.frames["bayerpat"]) == {"GRBG"}


@pytest.mark.parametrize(
    ("told", "origin", "code", "expected"),
    [
        (moved_pattern("GRBG", 1, 0), {}, "pattern-elsewhere", "GRBG or RBGG"),
        (moved_pattern("GRBG", 1, 0), {"YORGSUBF": 3}, "pattern-elsewhere", "GRBG"),
        ("GRBG", {"XORGSUBF": 5, "YORGSUBF": 3}, "odd-origin", "GBRG"),
        ("GRBG", {"XORGSUBF": 4, "YORGSUBF": 2}, None, ""),
    ],
)
def test_a_pattern_that_may_lie_elsewhere_is_told_of_lights_stack_and_picture(
    tmp_path, told, origin, code, expected
):
    night = write_colour_lights(tmp_path / "night", POSES[:2], BAYERPAT=told, **origin)
    reduced = reduce_night(night, output=tmp_path / "out", page=False)
    found = [
        one
        for one in reduced.remarks
        if one.code in ("pattern-elsewhere", "odd-origin")
    ]
    pictures = reduced.report.pictures
    headers = [
        str(fits.getheader(path)["HISTORY"]).replace("\n", "")
        for path in sorted(reduced.folder.glob("*/*.fits"))
    ]
    if code is None:
        assert not found
        assert not any("pattern" in text for text in headers)
        assert pictures[0].doubts == ("no bias, no dark, no flat",)
        return
    (doubt,) = found
    assert (doubt.code, doubt.found) == (code, told)
    assert doubt.expected.split(" or ")[0] == expected.split(" or ")[0]
    assert doubt.way_out == f"--set '*: bayerpat={expected.split(' or ')[0]}'"
    assert len(headers) == 3
    assert all("pattern" in text for text in headers)
    assert any("pattern" in text for text in pictures[0].doubts)
