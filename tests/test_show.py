"""Pictures: limits against astropy, files that others can open, the terminal."""

import os
import re
import shutil

import numpy as np
import pytest
from astropy.visualization import AsinhStretch, LogStretch, ZScaleInterval
from matplotlib import pyplot as plt
from PIL import Image
from tool_files import command, real_night, write_fits

from autoreduce.errors import InputError, ProductError
from autoreduce.tools.regions import region_of_bounds
from autoreduce.tools.show import (
    Display,
    Limits,
    Picture,
    Stretch,
    _coloured,
    animate,
    display_limits,
    draw,
    marginals,
    merge_rgb,
    read_pictures,
    save_tiff,
    shades,
    terminal_preview,
)

RNG = np.random.default_rng(20210227)


def make_data(shape=(40, 60)):
    data = RNG.normal(1000, 10, shape)
    data[5, 7] = 9000
    data[0, 0] = np.nan
    return data


def width_of(path):
    with Image.open(path) as image:
        return image.size[0]


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """Three frames, a cube, and a machine without a screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    for n in (1, 2, 3):
        write_fits(tmp_path / f"f.{n}.fit", make_data().astype(np.float32))
    write_fits(tmp_path / "cube.fits", RNG.normal(100, 5, (3, 20, 30)))
    return tmp_path


def test_limits_are_those_of_their_definitions():
    data = make_data()
    good = data[np.isfinite(data)]
    assert display_limits(data, Display()) == pytest.approx(
        ZScaleInterval().get_limits(good)
    )
    low, high = display_limits(data, Display(Limits.RMS, n_rms=2))
    assert (low + high) / 2 == pytest.approx(good.mean())
    assert high - low == pytest.approx(4 * good.std())
    assert display_limits(data, Display(Limits.MINMAX)) == (good.min(), good.max())
    assert display_limits(data, Display(Limits.PERCENTILE, percentile=90)) == (
        pytest.approx(tuple(np.percentile(good, [5, 95])))
    )
    assert display_limits(data, Display(Limits.RANGE, span=(1, 2))) == (1, 2)


@pytest.mark.parametrize("limits", [Limits.ZSCALE, Limits.MINMAX, Limits.RMS])
@pytest.mark.parametrize("value", [5.0, np.nan])
def test_limits_of_a_constant_or_empty_frame_are_apart(limits, value):
    low, high = display_limits(np.full((10, 10), value), Display(limits))
    assert high > low


def test_stretches_are_those_of_astropy():
    data = np.linspace(0, 10, 50).reshape(5, 10)
    scaled = data / 10
    for stretch, expected in (
        (Stretch.LINEAR, scaled),
        (Stretch.SQRT, np.sqrt(scaled)),
        (Stretch.LOG, LogStretch()(scaled.copy())),
        (Stretch.ASINH, AsinhStretch()(scaled.copy())),
    ):
        display = Display(Limits.MINMAX, stretch=stretch)
        np.testing.assert_allclose(shades(data, display), expected, atol=1e-12)


def test_marginals_are_means_over_finite_pixels():
    data = np.array([[1.0, 2.0, np.nan], [3.0, 6.0, 5.0]])
    along_x, along_y = marginals(data)
    np.testing.assert_array_equal(along_x, [2, 4, 5])
    np.testing.assert_array_equal(along_y, [1.5, 14 / 3])


def test_pictures_know_where_a_section_begins(frames):
    region = region_of_bounds((10, 30, 5, 15, 1, 3))
    first, second = read_pictures(["cube.fits"], region)
    assert (first.name, second.name) == ("cube.fits plane 2", "cube.fits plane 3")
    assert first.corner == (10, 5)
    figure = draw([first], Display())
    image = figure.axes[0].images[0]
    assert image.get_extent() == [10.5, 30.5, 5.5, 15.5]
    assert image.origin == "lower"


def test_marginals_and_histogram_stand_beside_the_image(frames):
    (picture,) = read_pictures(["f.1.fit"])
    assert len(draw([picture], Display()).axes) == 1
    plotted = draw([picture], Display(marginals=True, histogram=True, title="M 13"))
    assert len(plotted.axes) == 4
    above = plotted.axes[1].lines[0]
    np.testing.assert_allclose(above.get_ydata(), marginals(picture.data)[0])
    assert plotted.get_suptitle() == "M 13"


@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")]
)
def test_pictures_are_written_as_their_suffix_says(frames, name, begin):
    command("show", "f.1.fit", "-o", name, "--stretch", "asinh", "-c", "magma", "-y", 2)
    assert (frames / name).read_bytes().startswith(begin)
    assert "exists" in command("show", "f.1.fit", "-o", name, fails=True)


def test_without_a_screen_a_file_is_written(frames):
    assert command("show", "f.1.fit").strip() == "f.1.png"
    assert width_of(frames / "f.1.png") > 300


def test_with_a_screen_a_window_is_opened(frames, monkeypatch):
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    assert command("show", "f.1.fit") == ""
    assert shown == [[1]]
    assert plt.get_fignums() == []
    assert not (frames / "f.1.png").exists()


def test_many_files_stand_side_by_side(frames):
    command("show", "f.*.fit", "-o", "all.png", "-r", "3", "--dpi", "50")
    one, many = (read_pictures([name]) for name in ("f.1.fit", "f.2.fit"))
    assert len(draw([*one, *many, *one], Display()).axes) == 3
    assert width_of(frames / "all.png") > 400


def test_three_planes_or_files_are_colours(frames):
    command("show", "cube.fits", "--rgb", "-o", "c.png", "-l", "minmax")
    with Image.open(frames / "c.png") as drawn:
        red, green, blue = drawn.convert("RGB").split()[:3]
        assert red.tobytes() != green.tobytes() != blue.tobytes()
    picture = merge_rgb(read_pictures(["f.1.fit", "f.2.fit", "f.3.fit"]))
    drawn = draw([picture], Display()).axes[0].images[0].get_array()
    assert drawn.shape == (40, 60, 3)
    with pytest.raises(InputError, match="three images"):
        merge_rgb(read_pictures(["f.1.fit", "f.2.fit"]))


def test_planes_follow_each_other_in_an_animation(frames):
    command("show", "cube.fits", "-a", "200", "-o", "c.gif")
    with Image.open(frames / "c.gif") as moving:
        assert moving.n_frames == 3
        assert moving.info["duration"] == 200
    command("show", "f.*.fit", "--blink", "100", "-z", "2", "-o", "f.gif")
    with Image.open(frames / "f.gif") as moving:
        assert moving.n_frames == 2


def test_an_animation_has_one_size_and_a_known_suffix(frames):
    small = [Picture("a", np.zeros((3, 4))), Picture("b", np.zeros((3, 5)))]
    with pytest.raises(InputError, match="one size"):
        animate(small, frames / "x.gif", Display())
    with pytest.raises(ProductError, match=r"\.gif, \.mp4"):
        animate(small[:1], frames / "x.avi", Display())


def test_an_mp4_needs_ffmpeg(frames):
    words = ("show", "cube.fits", "-a", "200", "-o", "c.mp4")
    if shutil.which("ffmpeg"):
        command(*words)
        assert b"ftyp" in (frames / "c.mp4").read_bytes()[:16]
    else:
        assert "needs ffmpeg" in command(*words, fails=True)
        assert not (frames / "c.mp4").exists()


def test_the_terminal_shows_the_last_row_on_top():
    data = np.zeros((4, 3))
    data[3] = 1.0
    display = Display(Limits.MINMAX)
    text = terminal_preview(Picture("a", data), display, columns=3, true_colour=True)
    lines = text.splitlines()
    white, black = "255;255;255", "0;0;0"
    assert lines[0] == f"\x1b[38;2;{white};48;2;{black}m▀" * 3 + "\x1b[0m"
    assert lines[1] == f"\x1b[38;2;{black};48;2;{black}m▀" * 3 + "\x1b[0m"
    assert lines[2] == "a: 3 x 4, 0 to 1"


def test_the_terminal_preview_fits_the_width(frames):
    (picture,) = read_pictures(["f.1.fit"])
    text = terminal_preview(picture, Display(), columns=20, true_colour=False)
    assert [line.count("▀") for line in text.splitlines()] == [20] * 7 + [0]
    codes = {int(code) for code in re.findall(r"[34]8;5;(\d+)", text)}
    assert codes <= set(range(232, 256))
    assert "▀" in command("show", "cube.fits", "--term", "--rgb")


def test_a_dry_run_tells_the_limits_and_writes_nothing(frames):
    output = command("show", "f.1.fit", "-m", "900", "1100", "-n")
    assert "f.1.fit: 900 to 1100" in output
    assert not (frames / "f.1.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("-r", "3", "-l", "minmax"),
        ("-m", "5", "1"),
        ("-m", "nan", "5"),
        ("-m", "0", "inf"),
        ("-r", "-3"),
        ("-r", "nan"),
        ("--dpi", "0"),
        ("-c", "no_such_map"),
        ("-o", "a.bmp"),
        ("-b", "0", "100", "0", "10"),
    ],
)
def test_what_cannot_be_shown_is_refused(frames, words):
    command("show", "f.1.fit", *words, fails=True)


@pytest.mark.parametrize(
    "words",
    [
        ("--term", "-o", "t.png"),
        ("--term", "--histogram"),
        ("-o", "t.tif", "-m", "0", "1"),
        ("-o", "t.TIFF", "--stretch", "linear"),
        ("-o", "t.tif", "-t", "M 13"),
    ],
)
def test_options_that_would_do_nothing_are_refused(frames, words):
    told = command("show", "f.1.fit", *words, fails=True)
    assert "does nothing with" in told
    assert not list(frames.glob("t.*"))


@pytest.mark.parametrize(
    "name", [r"x$\frac$.fit", "$1$.fit", os.fsdecode(b"A\xe9.fit")]
)
def test_a_name_is_drawn_as_it_is(frames, name):
    (frames / "f.1.fit").rename(frames / name)
    command("show", name, "-o", "name.png")
    command("show", f"{name},f.2.fit", "-a", "100", "-o", "two.gif")
    command("show", "f.2.fit", "-t", r"$\oops$", "-s", "-o", "title.png")
    figure = draw(read_pictures([name]), Display())
    assert figure.axes[0].get_title() == name.replace(
        "\udce9", "\N{REPLACEMENT CHARACTER}"
    )


def test_real_frames_are_shown(tmp_path, tmp_path_factory):
    night = real_night("colour_lights", tmp_path_factory)
    command("show", night / "solved.fits.fz", "-o", tmp_path / "a.png", "-s")
    picture = read_pictures([str(night / "solved.fits.fz")])[0]
    expected = ZScaleInterval().get_limits(picture.data)
    assert display_limits(picture.data, Display()) == pytest.approx(expected)
    assert width_of(tmp_path / "a.png") > 300


def test_colours_are_shown_with_a_neutral_sky_unless_limits_are_asked_for():
    rng = np.random.default_rng(1)
    sky = np.array([300.0, 700.0, 420.0])[:, None, None]
    data = (sky + rng.normal(0, 5, (3, 60, 80))).astype(np.float32)
    data[:, 20:24, 30:34] += 500
    picture = Picture("x", data)
    shown = _coloured(picture, Display())
    assert shown.shape == (60, 80, 3)
    assert np.ptp(np.median(shown, axis=(0, 1))) < 0.02
    assert shown[20:24, 30:34].min() > 2 * np.median(shown)  # and not upside down
    asked = _coloured(picture, Display(limits=Limits.RANGE, span=(0.0, 1000.0)))
    np.testing.assert_allclose(
        np.median(asked, axis=(0, 1)), sky.ravel() / 1000, atol=0.01
    )


def test_planes_that_are_colours_are_one_picture_and_a_tiff_has_16_bits(frames):
    tifffile = pytest.importorskip("tifffile")
    data = np.arange(3 * 6 * 8, dtype=np.float32).reshape(3, 6, 8)
    data[:, 5, 2] = 5000  # in the last row, which is on top
    write_fits(frames / "rgb.fits", data, PLANES="RGB")
    (picture,) = read_pictures(["rgb.fits"])
    assert picture.data.shape == (3, 6, 8)
    command("show", "rgb.fits", "-o", "c.tif")
    found = tifffile.imread("c.tif")
    assert (found.shape, found.dtype) == ((6, 8, 3), np.uint16)
    assert np.unravel_index(found.sum(axis=2).argmax(), (6, 8)) == (0, 2)
    command("show", "rgb.fits", "-b", "2", "7", "1", "6", "-o", "cut.tif")
    assert tifffile.imread("cut.tif").shape == (5, 5, 3)
    with pytest.raises(ProductError, match="exists"):
        save_tiff(picture, frames / "c.tif")


def test_plots_of_one_picture_do_not_cover_the_next():
    pictures = [Picture(f"f.{n}.fit", make_data((60, 60))) for n in range(3)]
    figure = draw(pictures, Display(marginals=True, histogram=True))
    figure.draw_without_rendering()
    drawn = [(axes, axes.get_tightbbox()) for axes in figure.axes]
    below = [box for axes, box in drawn if axes.get_xlabel() == "value"]
    above = [box for axes, box in drawn if axes.get_title()]
    assert len(below) == len(above) == 3
    assert not any(one.overlaps(other) for one in below for other in above)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "f.jpg"), "written as .png, .pdf, .svg, .tif\n"),
        (
            ("-o", "f.gif"),
            "written as .png, .pdf, .svg, .tif; with --animate as .gif, ",
        ),
        (("-o", "f.png", "-a", "5"), "pictures in motion are written as .gif, .mp4\n"),
    ],
)
@pytest.mark.usefixtures("frames")
def test_a_dry_run_refuses_the_names_that_a_run_would(words, message):
    assert message in command("show", "f.1.fit", *words, fails=True)
    assert message in command("show", "f.1.fit", *words, "-n", fails=True)


def test_a_picture_too_large_for_the_memory_is_refused(frames):
    words = ("show", "f.1.fit", "-o", "f.png", "--dpi", "100000")
    message = "f.png would have 600000 x 500000 pixels; give a smaller --dpi"
    assert message in command(*words, fails=True)
    assert not (frames / "f.png").exists()


def test_an_image_without_values_is_told(frames):
    write_fits(frames / "nan.fit", np.full((4, 5), np.nan, np.float32))
    assert "nan.fit: no pixel here has a value" in command("show", "nan.fit", "-n")


@pytest.mark.usefixtures("frames")
def test_the_nearest_colour_maps_are_named():
    message = command("show", "f.1.fit", "-c", "virids", "-o", "f.png", fails=True)
    assert "no colour map virids; try viridis" in message
