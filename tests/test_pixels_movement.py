"""How the sky moves beside what stands still: simulated lights of which all is known."""

import numpy as np
import pytest
from poor_fields import FIELDS, Field, expose

from autoreduce.pixels.movement import movement

PATTERN = {"pattern": 20.0, "hot": 60}


def off(found, places):
    """Give the distances of places that were found from the truth, NaN without."""
    told = np.array(
        [(-s.transform.dx, -s.transform.dy) if s else (np.nan, np.nan) for s in found]
    )
    away = told - places
    return np.hypot(*(away - np.nanmedian(away, axis=0)).T)


@pytest.mark.parametrize(
    "field",
    [
        Field(stars=2, **PATTERN),
        Field(stars=3, lights=3, **PATTERN),
        Field(stars=3, drift=1.0, **PATTERN),
        Field(stars=5, trails=3, banding=10.0, **PATTERN),
        Field(disc=20.0, **PATTERN),
        Field(nebula=15.0, fringes=40.0, **PATTERN),
    ],
    ids=["stars", "three lights", "slow drift", "satellites", "planet", "fringes"],
)
def test_the_sky_is_followed_beside_a_strong_pattern(field):
    lights, places = expose(field, 0)
    found = movement(lights)
    away = off(found, places)
    assert (away < 0.3).all()
    errors = np.array([shift.error for shift in found])
    assert (away < 5 * errors + 0.05).all()


@pytest.mark.parametrize(
    "field",
    [
        Field(**PATTERN),
        Field(stars=3, drift=0.0, **PATTERN),
        FIELDS["nothing, hot pixels"],
    ],
    ids=["no sky", "guided", "hot pixels"],
)
def test_where_nothing_moves_nothing_is_said(field):
    lights, _ = expose(field, 1)
    assert movement(lights) == [None] * len(lights)


def test_a_light_behind_clouds_is_left_out_and_the_others_are_placed():
    lights, places = expose(Field(stars=4, **PATTERN), 2)
    blind, _ = expose(Field(**PATTERN), 2)
    dark = np.median(lights, axis=0) + blind[0] - np.median(blind, axis=0)
    found = movement([*lights, dark.astype(np.float32)])
    assert found[-1] is None
    assert (off(found[:-1], places) < 0.3).all()


def test_a_pattern_takes_three_images_to_tell():
    lights, _ = expose(Field(stars=4), 0)
    assert movement(lights[:2]) == [None, None]
    assert movement([]) == []
