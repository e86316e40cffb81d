"""Colours of a mosaic: which pixels they are, whatever the band and the trim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.pixels.bayer import WHITE, agrees, by_place, mosaic, seen_patterns

PATTERNS = st.sampled_from(["RGGB", "BGGR", "GRBG", "GBRG", "CMYG", "RGBG"])


def letters(pattern, shape):
    """Write the letter of each pixel out, one by one."""
    ny, nx = shape
    return np.array(
        [[pattern[2 * (y % 2) + x % 2] for x in range(nx)] for y in range(ny)]
    )


def test_the_pixels_of_a_pattern_are_where_its_letters_are():
    of = mosaic("RGGB")
    assert of.colours == ("R", "G", "B")
    data = np.arange(16).reshape(4, 4)
    red, green, blue = (of.of_colour(data, colour) for colour in range(3))
    np.testing.assert_array_equal(red, [[[0, 2], [8, 10]]])
    np.testing.assert_array_equal(green, [[[1, 3], [9, 11]], [[4, 6], [12, 14]]])
    np.testing.assert_array_equal(blue, [[[5, 7], [13, 15]]])


def test_a_frame_without_a_pattern_has_one_colour():
    assert mosaic(None) is mosaic("") is WHITE
    data = np.arange(12).reshape(3, 4)
    (everything,) = WHITE.of_colour(data, 0, start=5)
    np.testing.assert_array_equal(everything, data)
    assert WHITE.spread(np.array([[3.0], [4.0]]), 7, (9, 9)).shape == (2, 1, 1)


@given(
    pattern=PATTERNS,
    start=st.integers(0, 5),
    ny=st.integers(1, 7),
    nx=st.integers(2, 7),
)
def test_every_pixel_of_a_band_belongs_to_the_colour_of_its_letter(
    pattern, start, ny, nx
):
    of = mosaic(pattern)
    band = np.full((ny, nx), "")
    for index, name in enumerate(of.colours):
        for part in of.of_colour(band, index, start=start):
            assert (part == "").all()
            part[...] = name
    np.testing.assert_array_equal(band, letters(pattern, (start + ny, nx))[start:])
    spread = of.spread(np.arange(len(of.colours)), start, (ny, nx))
    np.testing.assert_array_equal(np.array(of.colours)[spread], band)


@given(pattern=PATTERNS, origin=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_a_trimmed_frame_begins_inside_the_pattern(pattern, origin):
    of, (y, x) = mosaic(pattern, origin), origin
    whole = letters(pattern, (16, 16))[y:, x:]
    found = np.array(of.colours)[of.spread(np.arange(len(of.colours)), 0, whole.shape)]
    np.testing.assert_array_equal(found, whole)


def test_rows_are_sampled_by_whole_cells():
    of, data = mosaic("RGGB"), np.repeat(np.arange(20)[:, None], 2, axis=1)
    (red,) = of.of_colour(data[3:], 0, start=3, every=3)
    np.testing.assert_array_equal(red[:, 0], [6, 12, 18])
    green = of.of_colour(data[3:], 1, start=3, every=3)
    np.testing.assert_array_equal(green[0][:, 0], [6, 12, 18])
    np.testing.assert_array_equal(green[1][:, 0], [7, 13, 19])


def test_each_place_can_have_a_level_of_its_own():
    of = by_place(mosaic("RGGB"))
    assert of.colours == ("R", "G1", "G2", "B")
    assert of.cell == ((0, 1), (2, 3))


@pytest.mark.parametrize(("shift", "expected"), [(0, True), (1, False)])
def test_a_flat_shows_whether_the_pattern_begins_where_it_should(shift, expected):
    flat = np.tile([[0.5, 1.0], [1.02, 0.7]], (20, 20))
    assert agrees(mosaic("RGGB"), flat[:, shift:]) is expected


def test_a_word_that_is_no_pattern_is_refused():
    with pytest.raises(ValueError, match="four letters, not by 'RGB'"):
        mosaic("RGB")


@pytest.mark.parametrize(
    ("levels", "origin", "seen"),
    [
        ((0.7, 1.0, 1.0, 0.8), (0, 0), ["RGGB", "BGGR"]),
        ((1.0, 0.7, 0.8, 1.0), (0, 0), ["GRBG", "GBRG"]),
        ((1.0, 0.7, 0.8, 1.0), (0, 1), ["RGGB", "BGGR"]),
        ((1.0, 1.0, 1.0, 0.8), (0, 0), ["RGGB", "BGGR"]),
        # Of red and blue that are alike green is the brighter one.
        ((0.7, 1.0, 1.0, 0.7), (2, 4), ["RGGB", "BGGR"]),
        # Columns, rows and single places of other gain, and nearly alike ones.
        ((0.9, 1.0, 0.9, 1.0), (0, 0), []),
        ((0.9, 0.9, 1.0, 1.0), (0, 0), []),
        ((0.91, 0.94, 0.97, 1.0), (0, 0), []),
        ((0.985, 1.0, 1.0, 0.99), (0, 0), []),
        ((0.96, 1.0, 1.0, 1.04), (0, 0), []),
    ],
)
def test_colours_that_no_card_tells_are_seen_where_they_are(levels, origin, seen):
    rng = np.random.default_rng(5)
    flat = np.tile(np.reshape(levels, (2, 2)), (40, 60)) * np.linspace(0.8, 1.2, 120)
    flat += rng.normal(0, 0.01, flat.shape)
    flat[::7, ::9] = np.nan
    assert seen_patterns(flat.astype(np.float32), origin) == seen


def test_noise_shows_no_colours():
    """A sky of nearly nothing is of no colour, however unlike its levels are in per cent."""
    sky = np.tile([[0.2, 1.0], [1.0, 0.4]], (50, 50)).astype(np.float32)
    noise = np.random.default_rng(6).normal(0, 30, sky.shape).astype(np.float32)
    assert seen_patterns(sky) == ["RGGB", "BGGR"]
    assert seen_patterns(sky + noise) == []
    # Rows and columns of a bias that nobody took away.
    bias = np.tile([[0.0, 2.0], [2.1, 4.1]], (50, 50)).astype(np.float32)
    assert seen_patterns(10 + bias + noise / 2.5) == []
    assert seen_patterns(np.ones((5, 1), np.float32)) == []
