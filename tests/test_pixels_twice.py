"""Lights that show each star twice, and those that only seem to."""

import numpy as np
import pytest
from stack_fields import draw_field
from test_pixels_register import SHAPE, table_of

from autoreduce.pixels.alignment import quality
from autoreduce.pixels.stars import NOT_MEASURED, Stars
from autoreduce.pixels.twice import seen_twice


def stars(n=60, *, second=0.0, apart=(9.0, 2.0), scatter=0.0, seed=1):
    """Give n stars, and of each a second image with a part of its light."""
    rng = np.random.default_rng(seed)
    x, y, flux = draw_field(n, SHAPE, rng)
    if second:
        x, y = np.append(x, x + apart[0]), np.append(y, y + apart[1])
        share = second * np.exp(rng.normal(0, scatter, n))
        flux = np.append(flux, flux * share)
    table = table_of(x, y, flux, rng, 0.1)
    table["fwhm"], table["elongation"] = 3.0, 1.0
    return table[np.argsort(-table["flux"])]


@pytest.mark.parametrize("second", [0.2, 0.66, 0.99])
def test_second_images_are_seen_wherever_they_are(second):
    for apart in ((9.0, 2.0), (-6.0, 8.0), (0.0, -20.0)):
        found = seen_twice(stars(second=second, apart=apart))
        assert found.distance == pytest.approx(np.hypot(*apart), abs=0.2)
        assert found.share == pytest.approx(second, rel=0.05)


@pytest.mark.parametrize(
    "table",
    [
        stars(),
        stars(2000),
        stars(10),
        stars(0),
        stars(second=0.03),  # a ghost of the filter
        stars(second=0.7, scatter=0.6),  # neighbours of any brightness
        stars(second=0.7, apart=(150.0, 0.0)),
        stars(6, second=0.7),
    ],
)
def test_stars_that_stand_there_once(table):
    assert seen_twice(table) is None


def test_a_light_with_two_images_of_each_star_makes_no_good_reference():
    def worth(table):
        return quality(Stars(table, NOT_MEASURED))

    assert worth(stars(second=0.7)) < worth(stars())
