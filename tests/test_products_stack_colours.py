"""What the colours of a stack are made of: by number and spread of its lights."""

import numpy as np
import pytest
from small_products import make_space

from autoreduce.pixels.register import Transform
from autoreduce.planning.recipe import ColourSource
from autoreduce.products.registration import Geometry, Place
from autoreduce.products.stack_colours import colour_source

SHAPE = (60, 80)
DITHERS = np.random.default_rng(2).uniform(-3, 3, (30, 2))


def source_of(folder, open_light, shifts, recipe=""):
    lights = [
        open_light(
            f"{n}.fits",
            np.zeros(SHAPE),
            place=Place(Geometry(SHAPE), field=1, transform=Transform(*shift)),
            BAYERPAT="RGGB",
        )
        for n, shift in enumerate(shifts)
    ]
    return colour_source(lights, Geometry(SHAPE), make_space(folder, recipe).recipe)


@pytest.mark.parametrize(
    ("shifts", "source"),
    [
        (DITHERS[:4], ColourSource.INTERPOLATED),  # too few
        (DITHERS, ColourSource.OWN),
        (np.zeros((30, 2)), ColourSource.INTERPOLATED),  # not dithered
        (2.0 * np.round(DITHERS), ColourSource.INTERPOLATED),  # always the same colour
        # Two lights at each place of the cell: as few as can do.
        ([(x, y) for x in (0, 1) for y in (0, 1)] * 2, ColourSource.OWN),
    ],
)
def test_number_and_spread_decide(tmp_path, open_light, shifts, source):
    found, why = source_of(tmp_path, open_light, shifts)
    assert found is source
    own = source is ColourSource.OWN
    assert why.code == ("own-colours" if own else "between-colours")
    assert f"{len(shifts)} lights give" in str(why)


@pytest.mark.parametrize("asked", ["own", "interpolated"])
def test_a_recipe_may_ask_for_either(tmp_path, open_light, asked):
    recipe = f'[stack]\ncolours = "{asked}"'
    found, why = source_of(tmp_path, open_light, DITHERS[:4], recipe)
    assert found.value == asked
    assert "recipe mine asks" in str(why)
