"""Shades: a neutral sky, stars in their colours, nothing clipped to white."""

import numpy as np
import pytest

from autoreduce.pixels.stretch import Sample, Slope, slope_of, tone_of, whole_numbers

SHAPE = (300, 320)
BALANCE = (0.5, 1.0, 0.7)
SKIES = (300.0, 700.0, 420.0)


def scene(reds=(1.0, 1.6, 0.6), n=60):
    """Draw stars of some colours, most of them white, above three skies."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    places = rng.uniform(15, 285, (n, 2))
    flux = 10 ** rng.uniform(2.5, 5, n)
    tints = rng.choice(len(reds), n, p=[0.6, 0.2, 0.2])
    planes = []
    for plane, (balance, sky) in enumerate(zip(BALANCE, SKIES, strict=True)):
        image = rng.normal(sky, 5, SHAPE)
        for (sx, sy), f, tint in zip(places, flux, tints, strict=True):
            colour = reds[tint] ** (1 - plane)
            square = (x - sx) ** 2 + (y - sy) ** 2
            image += f * balance * colour * np.exp(-square / 2 / 1.5**2)
        planes.append(image.astype(np.float32))
    return planes, places, flux, tints


def test_the_sky_is_neutral_and_dark_and_white_stars_are_white():
    planes, places, flux, tints = scene()
    tone = tone_of(planes)
    assert tone.sky == pytest.approx(SKIES, abs=1)
    assert tone.scale == pytest.approx([1 / one for one in BALANCE], rel=0.1)
    shades = tone.shades(planes)
    sky = np.median(shades, axis=(0, 1))
    assert np.ptp(sky) < 0.01
    assert 0.02 < sky[0] < 0.2
    for (x, y), tint in zip(places[flux > 3e4], tints[flux > 3e4], strict=True):
        red, green, blue = shades[round(y), round(x)]
        if tint == 0:
            assert red == pytest.approx(blue, rel=0.25)
        else:
            assert (red > blue) == (tint == 1)
        assert green > 0.4


def test_bright_stars_are_not_clipped_to_white():
    planes, places, flux, tints = scene()
    shades = tone_of(planes).shades(planes)
    assert shades.max() <= 1
    red_stars = (tints == 1) & (flux > 1e4)
    assert red_stars.any()
    for x, y in places[red_stars]:
        red, _, blue = shades[round(y), round(x)]
        assert blue < 0.8 * red


def test_what_is_missing_has_the_shade_of_the_sky_and_bands_are_as_the_whole():
    planes, *_ = scene()
    for plane in planes:
        plane[40:50, 60:70] = np.nan
    tone = tone_of(planes)
    whole = tone.shades(planes)
    np.testing.assert_allclose(whole[45, 65], np.median(whole, axis=(0, 1)), atol=0.02)
    band = tone.shades([plane[30:60] for plane in planes])
    np.testing.assert_array_equal(band, whole[30:60])


def test_a_gap_in_one_image_is_filled_from_the_others():
    planes, *_ = scene()
    tone = tone_of([*planes, planes[1]])
    whole = tone.shades([*planes, planes[1]])
    y, x = np.unravel_index(np.argmax(planes[1]), SHAPE)
    without_red = [plane.copy() for plane in (*planes, planes[1])]
    without_red[0][y, x] = np.nan
    found = tone.shades(without_red)
    light = [(planes[i][y, x] - tone.sky[i]) * tone.scale[i] for i in range(3)]
    red, green, blue = found[y, x]
    assert min(green, blue) < red < max(green, blue)
    assert light[0] != pytest.approx((light[1] + light[2]) / 2, rel=0.01)
    dull = [*planes, planes[1].copy()]
    dull[3][y, x] = np.nan
    assert (tone.shades(dull)[y, x] > 0.5).any()
    found[y, x] = whole[y, x]
    np.testing.assert_array_equal(found, whole)


def test_grey_lines_and_brightness():
    planes, *_ = scene()
    grey = tone_of(planes[:1]).shades(planes[:1])
    assert grey.shape == SHAPE
    assert grey.max() == 1
    # Lines are balanced by what is brightest: twice as much of one is taken back.
    lines = [planes[1], 2 * planes[1] - SKIES[1], planes[1]]
    tone = tone_of(lines, by_stars=False)
    assert tone.scale == pytest.approx((2.0, 1.0, 2.0), rel=0.02)
    # Brightness of its own: with no light in it there is none in the picture.
    dark = np.full(SHAPE, 100.0, np.float32)
    shades = tone_of([*planes, dark]).shades([*planes, dark])
    assert np.ptp(shades.max(axis=-1)) < 0.05


def test_an_image_of_one_value_is_dark():
    flat = np.full((20, 20), 7.0, np.float32)
    assert np.ptp(tone_of([flat]).shades([flat])) == 0
    empty = np.full((20, 20), np.nan, np.float32)
    assert np.isfinite(tone_of([empty]).shades([empty])).all()


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (16, 65535)])
def test_shades_are_whole_numbers_in_a_file(bits, white):
    found = whole_numbers(np.array([0.0, 0.5, 1.0]), bits)
    assert found.tolist() == [0, (white + 1) // 2, white]
    assert found.dtype.itemsize == bits // 8


def test_a_sky_of_steps_shows_no_glaring_specks():
    """Nine of ten pixels alike, as of cameras of 8 bits: the others are its noise."""
    rng = np.random.default_rng(9)
    steps = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=(300, 400))
    steps += rng.normal(0, 1e-5, steps.shape)
    channel = steps.astype(np.float32)
    channel[100:104, 100:104] = 60.0
    tone = tone_of([channel])
    assert tone.noise == pytest.approx(0.1**0.5, rel=0.1)
    shades = tone.shades([channel])
    assert shades[channel > 50].min() > 2 * shades[channel > 0.5].min()


def test_stars_whose_faint_light_the_steps_swallow_are_white_by_the_bright_ones():
    """Most stars are below one step of a blue filter of an eighth of the light."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:500, :500]
    heights = 10 ** np.append(rng.uniform(0.5, 0.9, 300), rng.uniform(1.9, 2.5, 25))
    light = np.zeros((500, 500))
    for height, (sx, sy) in zip(heights, rng.uniform(10, 490, (325, 2)), strict=True):
        light += height * np.exp(-((x - sx) ** 2 + (y - sy) ** 2) / 2 / 1.8**2)
    planes = []
    for share in (1.0, 1.0, 0.125):
        sky = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=light.shape)
        image = np.floor(light * share) + sky + rng.normal(0, 1e-4, light.shape)
        planes.append(image.astype(np.float32))
    red, _, blue = tone_of(planes).scale
    assert red == pytest.approx(1, abs=0.01)
    assert blue == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("border", [0.0, -1000.0])
@pytest.mark.parametrize("nebula", [0.0, 40.0])
def test_borders_and_nebulae_are_no_noise_of_the_sky(border, nebula):
    rng = np.random.default_rng(9)
    channel = rng.normal(0, 1, (300, 400)).astype(np.float32)
    channel[100:150, 100:180] += np.float32(nebula)
    channel[:, :20] += np.float32(border)
    # What is on one side of the sky widens its middle half a little.
    assert tone_of([channel]).noise == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("centre", [(40, 40), (150, 160)])
def test_the_slope_of_a_sky_is_found_beside_what_shines(centre):
    """A nebula on one side is no part of it, nor are stars, nor a border without light."""
    planes, *_ = scene()
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    square = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    sloping = planes[0] + 0.05 * y - 0.1 * x + 300 * np.exp(-square / 2 / 30**2)
    sloping[:9] = sloping[:, -30:] = np.nan
    rows = np.r_[0:128, 200:300]
    columns = np.arange(0, SHAPE[1], 2)
    found = slope_of(sloping[np.ix_(rows, columns)], rows, columns)
    assert found.up == pytest.approx(0.05, abs=0.006)
    assert found.along == pytest.approx(-0.1, abs=0.006)
    level = found.levelled(sloping, *map(np.arange, SHAPE))
    sky = found.levelled(sloping, *map(np.arange, SHAPE), 7.0)
    np.testing.assert_allclose(sky, level - 7, atol=1e-3)
    parts = [level[200:, :60], level[200:, 220:280], level[20:60, 220:280]]
    np.testing.assert_allclose([np.median(part) for part in parts], np.median(
        sloping[145:155, 155:165] - 300 * np.exp(-square / 2 / 30**2)[145:155, 155:165]
    ), atol=2)  # fmt: skip


def test_a_sky_that_is_not_seen_has_no_slope():
    for image in (np.full((40, 50), np.nan, np.float32), np.ones((1, 1), np.float32)):
        assert slope_of(image, *map(np.arange, image.shape)) == Slope()


@pytest.mark.parametrize(
    "shape", [(1, 1), (300, 320), (800, 900), (1252, 1663), (9, 2_000_000), (4000, 600)]
)
def test_a_sample_is_spread_evenly_over_the_image(shape):
    image = np.arange(np.prod(shape)).reshape(shape)
    sample = Sample.of(shape)
    read = sample.read(lambda start, stop: image[start:stop])
    np.testing.assert_array_equal(read, image[np.ix_(sample.rows, sample.columns)])
    assert min(image.size, 125_000) <= read.size <= 500_000 or shape[0] < 32
    for places, n in zip((sample.rows, sample.columns), shape, strict=True):
        middle = (places[0] + places[-1]) / 2
        assert middle == pytest.approx((n - 1) / 2, abs=max(1, n * 0.03))


def test_a_sample_tells_the_tone_of_the_whole():
    planes, *_ = scene(n=400)
    big = [np.tile(plane, (4, 4)) for plane in planes]
    sample = Sample.of(big[0].shape)
    assert sample.apart == 2
    read = [sample.read(lambda *band, of=one: of[slice(*band)]) for one in big]
    found, whole = tone_of(read, apart=2), tone_of(big)
    assert found.scale == pytest.approx(whole.scale, rel=0.03)
    assert found.sky == pytest.approx(whole.sky, abs=0.5)
    assert found.noise == pytest.approx(whole.noise, rel=0.05)
    assert found.white == pytest.approx(whole.white, rel=0.1)
