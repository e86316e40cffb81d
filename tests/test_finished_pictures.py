"""The picture of an object: which images make it, and what stands in the file."""

import numpy as np
import pytest
from astropy.io import fits
from colour_nights import write_colour_lights
from PIL import Image as Png
from stack_fields import Pose
from stack_nights import SHAPE, Light, write_lights

from autoreduce.planning.recipe import Palette
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.report.finished import Image, _composed
from autoreduce.report.pictures import png_texts, read_png

POSES = [Pose(), Pose(4.3, -2.6), Pose(-3.2, 3.4)]


def image(band, exposure=60.0, **facts):
    usual = {"is_colour": False, "is_light": False, "digest": ""}
    return Image(f"{band}.fits", band, exposure, **{**usual, **facts})


def filters(made):
    return [[one.filter for one in channel] for channel in made.channels]


@pytest.mark.parametrize(
    ("bands", "palette", "channels"),
    [
        ("R G B", "RGB", [["R"], ["G"], ["B"]]),
        ("B Blue V Rc", "RGB", [["Rc"], ["V"], ["Blue"]]),
        ("R G B L H-alpha", "RGB", [["R", "H-alpha"], ["G"], ["B"], ["L"]]),
        ("g r i z", "RGB", [["z"], ["r"], ["g"]]),
        ("Ha OIII SII", "SHO", [["SII"], ["Ha"], ["OIII"]]),
        ("Ha OIII", "HOO", [["Ha"], ["OIII"], ["OIII"]]),
        ("R V", "grey", [["V"]]),
    ],
)
def test_filters_choose_the_palette(bands, palette, channels):
    images = [image(band, 60.0 + n) for n, band in enumerate(bands.split())]
    made = _composed("M 1", images, Palette.AUTO)
    assert (made.palette, filters(made)) == (palette, channels)


def test_the_deepest_of_a_band_is_taken_and_stacks_before_lights():
    images = [image("R", 60.0), image("Red", 600.0), image("R", 900.0, is_light=True)]
    assert filters(_composed("M 1", images, Palette.AUTO)) == [["Red"]]
    lights = [image("R", 60.0, is_light=True), image("B", 90.0, is_light=True)]
    assert filters(_composed("M 1", lights, Palette.AUTO)) == [["B"]]


def test_a_palette_can_be_asked_for():
    lines = [image(band) for band in ("Ha", "OIII", "SII")]
    assert _composed("M 1", lines, Palette.HOO).palette == "HOO"
    assert _composed("M 1", lines, Palette.GREY).palette == "grey"
    assert _composed("M 1", [*lines, image("R")], Palette.RGB).palette == "grey"
    colour = image("", is_colour=True)
    assert _composed("M 1", [*lines, colour], Palette.AUTO).palette == "colour"


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("M 27", "pictures/M-27.png"),
        ("../x", "pictures/x.png"),
        ("?", "pictures/unnamed.png"),
    ],
)
def test_pictures_are_named_after_their_objects(name, output):
    assert _composed(name, [image("R")], Palette.AUTO).output == output


def picture_of(folder, night, recipe=None):
    choices = Choices(recipe=str(recipe)) if recipe else Choices()
    reduced = reduce_night(night, output=folder / "out", choices=choices)
    (picture,) = reduced.report.pictures
    assert not picture.why_not
    return reduced, folder / "out" / picture.output


def test_a_colour_camera_has_a_picture_in_colour_and_the_report_shows_it(tmp_path):
    night = write_colour_lights(tmp_path / "night", POSES, ROWORDER="TOP-DOWN")
    reduced, path = picture_of(tmp_path, night)
    with Png.open(path) as found:
        assert (found.mode, found.size) == ("RGB", SHAPE[::-1])
        pixels = np.asarray(found)
    with fits.open(next((tmp_path / "out/stacks").glob("*.fits"))) as stack:
        y, x = np.unravel_index(np.nanargmax(stack[0].data[1]), SHAPE)
    assert pixels[y, x].max() > 200  # top-down, as the file is
    assert np.ptp(np.median(pixels, axis=(0, 1))) <= 3  # a neutral sky
    page = reduced.page.read_text()
    assert page.index("pictures/Field.png") < page.index('id="stacks"')
    before = path.stat().st_mtime_ns
    reduce_night(night, output=tmp_path / "out", page=False)
    assert path.stat().st_mtime_ns == before  # it is current


def test_filters_of_unlike_binnings_make_one_picture_of_16_bits(tmp_path):
    lights = [
        Light(f"{band}{n}", pose, filter=band, binning=2 if band == "B" else 1)
        for band in "RGB"
        for n, pose in enumerate(POSES)
    ]
    recipe = tmp_path / "deep.toml"
    recipe.write_text("[picture]\ndeep = true\n")
    night = write_lights(tmp_path / "night", lights)
    _, path = picture_of(tmp_path, night, recipe)
    assert png_texts(path)["Description"] == "RGB of R, G, B"
    raw = path.read_bytes()
    assert (raw[24], raw[25]) == (16, 2)  # bits, kind: red, green, blue
    pixels, crop, shape = read_png(path, 100)
    assert shape == SHAPE
    assert max(pixels.shape[:2]) <= 100
    assert crop.shape == (min(240, SHAPE[0]), min(360, SHAPE[1]), 3)
    # Blue, of coarse pixels, lies on red, of fine ones.
    pixels, _, _ = read_png(path, 1000)
    inner = pixels[20:-20, 20:-20, 0]
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    near = pixels[y + 12 : y + 29, x + 12 : x + 29].astype(float)
    light = near - np.median(pixels, axis=(0, 1))
    rows, columns = np.mgrid[:17, :17]
    for places in (rows, columns):
        red, blue = (
            (places * light[..., i]).sum() / light[..., i].sum() for i in (0, 2)
        )
        assert blue == pytest.approx(red, abs=0.4)


def test_a_single_light_of_a_colour_camera_has_a_picture(tmp_path):
    night = write_colour_lights(tmp_path / "night", POSES[:1])
    _, path = picture_of(tmp_path, night)
    with Png.open(path) as found:
        assert (found.mode, found.size) == ("RGB", SHAPE[::-1])


def test_no_pictures_where_none_are_asked_for(tmp_path):
    recipe = tmp_path / "none.toml"
    recipe.write_text("[picture]\nmake = false\n")
    night = write_colour_lights(tmp_path / "night", POSES[:1])
    reduced = reduce_night(
        night, output=tmp_path / "out", choices=Choices(recipe=str(recipe)), page=False
    )
    assert reduced.report.pictures == ()
    assert not (tmp_path / "out/pictures").exists()
