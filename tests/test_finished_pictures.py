"""The picture of an object: which images make it, and what stands in the file."""

from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from colour_nights import write_colour_lights
from PIL import Image as Png
from scipy.ndimage import center_of_mass, label, uniform_filter
from stack_fields import Pose
from stack_nights import SHAPE, Light, write_lights

from autoreduce.planning.plan import Action, Plan, Task
from autoreduce.planning.recipe import Palette, PictureRecipe, load_recipe
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.report.finished import (
    Composition,
    Field,
    Image,
    _composed,
    _of_one_detector,
    picture_outputs,
    write_picture,
)
from autoreduce.report.gallery import data_uri
from autoreduce.report.pictures import LARGEST, Small, png_texts, read_png
from autoreduce.running.verify import verify

POSES = [Pose(), Pose(4.3, -2.6), Pose(-3.2, 3.4)]


def image(band, exposure=60.0, **facts):
    usual = {"is_colour": False, "is_light": False, "digest": ""}
    return Image(f"{band}.fits", band, exposure, **{**usual, **facts})


def filters(images, asked=Palette.AUTO):
    """Give the palette, and the filters of each channel; +, then a line's."""
    palette, channels = _composed(images, asked)
    named = [
        " ".join(one.filter for one in channel.images)
        + (f" + {channel.line.filter}" if channel.line else "")
        for channel in channels
    ]
    return palette, named


@pytest.mark.parametrize(
    ("bands", "palette", "channels"),
    [
        ("R G B", "RGB", ["R", "G", "B"]),
        ("B Blue V Rc", "RGB", ["Rc", "V", "Blue"]),
        ("R G B L H-alpha", "RGB", ["R + H-alpha", "G", "B", "L"]),
        ("g r i", "RGB", ["i", "r", "g"]),
        ("u g r i z", "RGB", ["i", "r", "g"]),
        ("U B V R I", "RGB", ["R", "V", "B"]),
        ("V R I", "RGB", ["I", "R", "V"]),
        ("B V I z", "RGB", ["I", "V", "B"]),
        ("I V", "RGB", ["I", "I V", "V"]),
        ("B R Lum Ha", "RGB", ["R + Ha", "R B", "B", "Lum"]),
        ("Ha OIII SII", "SHO", ["SII", "Ha", "OIII"]),
        ("Ha OIII", "HOO", ["Ha", "OIII", "OIII"]),
        ("Ha OIII V I", "HOO", ["Ha", "OIII", "OIII"]),
        ("V Clear", "grey", ["Clear"]),
    ],
)
def test_filters_choose_the_palette(bands, palette, channels):
    images = [image(band, 60.0 + n) for n, band in enumerate(bands.split())]
    assert filters(images) == (palette, channels)


def test_the_deepest_of_a_band_is_taken_and_stacks_before_lights():
    images = [image("R", 60.0), image("Red", 600.0), image("R", 900.0, is_light=True)]
    assert filters(images) == ("grey", ["Red"])
    lights = [image("B", 90.0, is_light=True), image("G", 90.0, is_light=True)]
    assert filters([*images, *lights]) == ("RGB", ["Red", "G", "B"])


def test_of_two_as_deep_the_sharper_is_taken():
    images = [image("Red", binned=4), image("R")]
    assert filters(images) == ("grey", ["R"])
    assert filters(images[::-1]) == ("grey", ["R"])


def test_what_shows_another_field_does_not_lie_on_the_others():
    images = [image("B", 900.0, field=Field("", 2)), image("R"), image("V"), image("I")]
    assert filters(images) == ("RGB", ["I", "R", "V"])
    lights = [
        image(band, 90.0 + n, is_light=True, field=Field("other camera", 1))
        for n, band in enumerate("RGB")
    ]
    assert filters(lights) == ("RGB", ["R", "G", "B"])
    assert filters([*lights, image("V")]) == ("grey", ["V"])
    alone = [
        image(band, 90.0 + n, is_light=True, field=Field(f"{band}.fits", 0))
        for n, band in enumerate("RGB")
    ]
    assert filters(alone) == ("grey", ["B"])


def test_a_palette_can_be_asked_for():
    lines = [image(band) for band in ("Ha", "OIII", "SII")]
    assert filters(lines, Palette.HOO)[0] == "HOO"
    assert filters(lines, Palette.GREY)[0] == "grey"
    assert filters([*lines, image("R")], Palette.RGB)[0] == "SHO"  # as if not asked
    assert filters([image("R")], Palette.SHO)[0] == "grey"
    assert filters([*lines, image("R"), image("V")], Palette.RGB)[0] == "RGB"
    colour = image("", is_colour=True)
    assert filters([*lines, colour])[0] == "colour"


def test_pictures_are_named_after_their_objects_and_each_has_its_own():
    names = ("M 27", "m/27", "../x", "?", "NGC 1")
    tasks = [
        Task(f"calibrated/{n}.fits", Action.CALIBRATE, "", {"object": name})
        for n, name in enumerate(names)
    ]
    tasks.append(Task("masters/flat.fits", Action.FLAT, "", {"object": "sky"}))
    plan = Plan(root=".", recipe=load_recipe(), tasks=tuple(tasks))
    assert picture_outputs(plan) == {
        "../x": "pictures/x.png",
        "?": "pictures/unnamed.png",
        "M 27": "pictures/M-27.png",
        "NGC 1": "pictures/NGC-1.png",
        "m/27": "pictures/m-27_2.png",
    }


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
    small = Small.of(read_png(path, LARGEST))
    assert data_uri(small.jpeg) in page[: page.index('id="stacks"')]
    before = path.stat().st_mtime_ns
    again = reduce_night(night, output=tmp_path / "out", page=False)
    assert path.stat().st_mtime_ns == before  # it is current
    assert again.report.pictures[0].small is None  # no page shows it


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
    assert png_texts(path)["Description"] == "RGB of R, G, B. no bias, no dark, no flat"
    raw = path.read_bytes()
    assert (raw[24], raw[25]) == (16, 2)  # bits, kind: red, green, blue
    picture = read_png(path, 100)
    pixels, crop = picture.pixels, picture.crop
    assert picture.shape == SHAPE
    assert max(pixels.shape[:2]) <= 100
    assert crop.shape == (min(240, SHAPE[0]), min(360, SHAPE[1]), 3)
    # Blue, of coarse pixels, lies on red, of fine ones.
    pixels = read_png(path, 1000).pixels
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


def test_one_light_of_each_filter_makes_a_picture_in_colour(tmp_path):
    """Wherever the stars lie in a light, and whatever its pixels, they are white."""
    poses = [Pose(), Pose(14.3, -9.6, 1.5), Pose(-23.2, 8.4, 178.0)]
    lights = [
        Light(band, pose, filter=band, binning=2 if band == "B" else 1)
        for band, pose in zip("RGB", poses, strict=True)
    ]
    night = write_lights(tmp_path / "night", lights)
    _, path = picture_of(tmp_path, night)
    assert png_texts(path)["Description"].startswith("RGB of R, G, B. ")
    picture = read_png(path, 1000)
    pixels = picture.pixels
    assert picture.shape == SHAPE
    light = pixels[30:-30, 30:-30].astype(float)
    light = np.maximum(light - np.median(light, axis=(0, 1)) - 20, 0)
    near = [uniform_filter(light[..., i], 15) > 8 for i in range(3)]
    marks, n = label(np.all(near, axis=0))
    places = [center_of_mass(light[..., i], marks, range(1, n + 1)) for i in range(3)]
    assert n > 10
    for other in (1, 2):
        apart = np.hypot(*(np.array(places[other]) - places[0]).T)
        assert np.median(apart) < 0.4


def stacks(folder, planes, **facts):
    """Write stacks, and list the images that they are."""
    (folder / "stacks").mkdir(parents=True)
    found = []
    for band, data in planes.items():
        made = image(band, **facts)._replace(output=f"stacks/{band}.fits")
        fits.writeto(folder / made.output, data.astype(np.float32))
        found.append(made)
    return found


def drawn(folder, images):
    """Write a picture, and give its pixels, its first row at the bottom."""
    made = Composition("M 1", "pictures/M-1.png", *_composed(images, Palette.AUTO))
    write_picture(folder, made, PictureRecipe(), 1 << 20)
    pixels = read_png(folder / made.output, 10_000).pixels
    return pixels[::-1].astype(float)


def nebula_field(widths, lines, seed=5):
    """Draw white stars and a nebula that shines in some bands, each of a width."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:240, :300]
    stars = np.zeros(x.shape)
    for sx, sy, flux in zip(
        rng.uniform(10, 290, 80), rng.uniform(10, 230, 80), 10 ** rng.uniform(3, 4.3, 80),
        strict=True,
    ):  # fmt: skip
        stars += flux / 15 * np.exp(-((x - sx) ** 2 + (y - sy) ** 2) / 2 / 1.6**2)
    cloud = np.exp(-((x - 150) ** 2 + (y - 120) ** 2) / 2 / 40**2)
    planes = {
        band: 500 * width
        + stars * width
        + cloud * lines[band]
        + rng.normal(0, 4, x.shape)
        for band, width in widths.items()
    }
    return planes, stars, cloud


def test_hydrogen_makes_nebulae_redder_and_leaves_stars_white(tmp_path):
    widths = {"R": 1.0, "G": 1.0, "B": 0.8, "Ha": 0.07}
    lines = {"R": 300.0, "G": 200.0, "B": 160.0, "Ha": 250.0}
    planes, stars, cloud = nebula_field(widths, lines)
    images = stacks(tmp_path / "a", planes)
    with_line = drawn(tmp_path / "a", images)
    without = drawn(
        tmp_path / "b", stacks(tmp_path / "b", {c: planes[c] for c in "RGB"})
    )
    core = cloud > 0.9
    reds = [np.mean(p[core][:, 0] / p[core][:, 2]) for p in (without, with_line)]
    assert 1.2 < reds[0] < reds[1] / 1.1
    # It is no flat blob: brighter where there is more of it, nowhere at an end.
    for low, high in ((0.4, 0.5), (0.7, 0.75), (0.95, 1.0)):
        ring = with_line[(cloud > low) & (cloud <= high) & (stars < 5), 0]
        assert 60 < np.median(ring) < 250
    shades = [
        np.median(with_line[(cloud > t) & (stars < 5), 0]) for t in (0.4, 0.7, 0.95)
    ]
    assert shades[2] > shades[1] + 5 > shades[0] + 10
    for pixels in (with_line, without):
        bright = pixels[(stars > 300) & (cloud < 0.02)]
        assert len(bright) > 20
        np.testing.assert_allclose(bright[:, 0] / bright[:, 2], 1.0, atol=0.1)


def test_two_filters_make_a_picture_in_colour(tmp_path):
    widths = {"I": 0.6, "V": 1.0}
    planes, stars, cloud = nebula_field(widths, {"I": 300.0, "V": 200.0})
    pixels = drawn(tmp_path, stacks(tmp_path, planes))
    red, green, blue = pixels[cloud > 0.9].mean(axis=0)
    assert red > green > blue
    bright = pixels[(stars > 300) & (cloud < 0.02)]
    np.testing.assert_allclose(bright[:, 0] / bright[:, 2], 1.0, atol=0.1)


def test_where_a_filter_shows_nothing_the_picture_is_grey(tmp_path):
    """Stacks end at different places: their borders have no fringe of a colour."""
    planes, *_ = nebula_field(dict.fromkeys("RGB", 1.0), dict.fromkeys("RGB", 300.0))
    planes["R"][:, :25] = planes["B"][:, 270:] = np.nan
    planes["G"][:12] = np.nan
    for plane in planes.values():
        plane[200:, 280:] = np.nan
    pixels = drawn(tmp_path, stacks(tmp_path, planes))
    for part in (np.s_[20:, :25], np.s_[:200, 270:], np.s_[:12, 30:260]):
        colour = np.median(pixels[part], axis=(0, 1))
        assert np.ptp(colour) <= 4
    sky = np.median(pixels[20:60, 30:60], axis=(0, 1))
    np.testing.assert_allclose(pixels[210, 290], sky, atol=6)


def test_a_sky_that_rises_unlike_in_each_filter_is_neutral_and_level(tmp_path):
    planes, _, cloud = nebula_field(
        dict.fromkeys("RGB", 1.0), dict.fromkeys("RGB", 300.0)
    )
    y, x = np.mgrid[: cloud.shape[0], : cloud.shape[1]]
    rising = {"R": 0.3 * x, "G": 0.1 * y, "B": -0.2 * x}
    pixels = drawn(
        tmp_path, stacks(tmp_path, {c: planes[c] + rising[c] for c in "RGB"})
    )
    corners = [
        pixels[s, t]
        for s in (np.s_[:25], np.s_[-25:])
        for t in (np.s_[:25], np.s_[-25:])
    ]
    assert np.ptp([np.median(one, axis=(0, 1)) for one in corners]) <= 10


def test_the_picture_does_not_depend_on_memory(tmp_path):
    planes, *_ = nebula_field(dict.fromkeys("RGB", 1.0), dict.fromkeys("RGB", 300.0))
    images = stacks(tmp_path, planes)
    made = Composition("M 1", "pictures/M-1.png", *_composed(images, Palette.AUTO))
    found = []
    for memory in (1, 1 << 30):
        write_picture(tmp_path, made, PictureRecipe(), memory)
        found.append((tmp_path / made.output).read_bytes())
        (tmp_path / made.output).unlink()
    assert found[0] == found[1]


@pytest.mark.parametrize("order", ["TOP-DOWN", "BOTTOM-UP"])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("bands", ["R", "RGB"])
def test_a_new_picture_is_shown_as_it_is_read_back(tmp_path, bands, deep, order):
    y, x = np.mgrid[:290, :830]
    rng = np.random.default_rng(3)
    planes = {band: 500 + x + y + rng.normal(0, 30, x.shape) for band in bands}
    images = stacks(tmp_path, planes)
    for one in images:
        fits.setval(tmp_path / one.output, "ROWORDER", value=order)
    made = Composition("M 1", "pictures/M-1.png", *_composed(images, Palette.AUTO))
    new = write_picture(tmp_path, made, PictureRecipe(deep=deep), 1)
    again = read_png(tmp_path / made.output, LARGEST)
    assert new.shape == again.shape == x.shape
    np.testing.assert_array_equal(new.pixels, again.pixels)
    np.testing.assert_array_equal(new.crop, again.crop)
    small = Small.of(new)
    for file, pixels in ((small.jpeg, new.pixels), (small.crop, new.crop)):
        with Png.open(BytesIO(file)) as found:
            np.testing.assert_allclose(found, pixels, atol=60)
    assert new.crop.shape[:2] == (240, 360)
    assert new.pixels.shape[:2] == (145, 415)


def test_a_damaged_picture_that_no_ledger_knows_is_made_again_for_a_page(tmp_path):
    planes = {"R": np.random.default_rng(3).normal(500, 30, (290, 400))}
    images = stacks(tmp_path, planes)
    made = Composition("M 1", "pictures/M-1.png", *_composed(images, Palette.AUTO))
    path = tmp_path / made.output
    assert write_picture(tmp_path, made, PictureRecipe(), 1, shown=False) is None
    sound = path.read_bytes()
    damaged = bytearray(sound)
    damaged[len(sound) // 2] ^= 1
    path.write_bytes(damaged)
    assert write_picture(tmp_path, made, PictureRecipe(), 1, shown=False) is None
    assert path.read_bytes() == damaged  # it was not read
    assert write_picture(tmp_path, made, PictureRecipe(), 1)
    assert path.read_bytes() == sound


def test_pictures_that_are_damaged_or_belong_to_nothing_any_more_are_put_aside(
    tmp_path,
):
    night, out = tmp_path / "night", tmp_path / "out"
    write_colour_lights(night, POSES[:2], OBJECT="M 1")
    write_colour_lights(tmp_path / "more", POSES[2:3], OBJECT="M 2")
    (tmp_path / "more/c00.fits").rename(night / "d00.fits")
    reduce_night(night, output=out, page=False)
    first, second = out / "pictures/M-1.png", out / "pictures/M-2.png"
    mine = out / "pictures/mine.png"
    mine.write_bytes(first.read_bytes())
    sound = first.read_bytes()
    first.write_bytes(sound[:-100] + bytes(100))
    (night / "d00.fits").unlink()
    done = reduce_night(night, output=out, page=False)
    assert first.read_bytes() == sound
    assert (out / "left_over/pictures/M-1.png").is_file()
    assert not second.exists()
    assert (out / "left_over/pictures/M-2.png").is_file()
    (told,) = [one for one in done.report.plan.notes if one.code == "stale"]
    assert "pictures/M-2.png" in str(told)
    assert mine.is_file()
    assert verify(out) == []


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


def test_the_only_detector_of_a_camera_is_not_told():
    (alone,) = _of_one_detector([image("R", detector="CCD1")])
    assert alone.detector == ""
    two = [image("R", 0.1, detector="A"), image("R", 0.4, detector="B")]
    assert [one.detector for one in _of_one_detector(two)] == ["B"]
