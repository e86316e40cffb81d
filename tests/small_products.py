"""Products written by hand, for tests of what is made of them."""

from dataclasses import replace

import numpy as np

from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.cards import format_card
from autoreduce.fits.writer import write_image
from autoreduce.pixels.stars import STAR
from autoreduce.planning.plan import FrameInput
from autoreduce.planning.recipe import parse_recipe
from autoreduce.products.stack_light import StackLight
from autoreduce.products.starlist import stars_extension


def make_space(folder, recipe="", *, memory=1 << 24, planes=False):
    return Workspace(folder, folder, parse_recipe(recipe, "mine"), memory, planes)


def write_product(path, data, stars=None, *, sigma=None, **cards):
    """Write an image with cards, a table of stars and a plane of errors."""
    data = np.asarray(data, np.float32)
    lines = [
        line
        for key, value in cards.items()
        for line in format_card(key.replace("_", "-"), value)
    ]
    table = b"" if stars is None else stars_extension(stars)
    planes = None if sigma is None else {"UNCERT": np.full_like(data, sigma)}
    write_image(path, data, lines, planes=planes, table=table, overwrite=True)
    return path.name


def make_stars(places, flux=1000.0):
    """Give stars of a flux each, none of them special."""
    table = np.zeros(len(places), STAR)
    if len(places):
        table["x"], table["y"] = np.transpose(places)
    table["flux"], table["flux_error"] = flux, 1.0
    table["error"], table["snr"], table["fwhm"], table["elongation"] = 0.05, 500, 3, 1
    return table


def make_light(folder, name, data, statistics=None, **facts):
    """Write a light and give it as a stack sees it."""
    stars = make_stars(facts.pop("stars", ()), facts.pop("flux", 1000.0))
    item = FrameInput(
        name, exptime=facts.pop("exptime", 60.0), date_obs=facts.pop("date_obs", None)
    )
    place = facts.pop("place", None)
    write_product(folder / name, data, stars, **facts)
    light = StackLight.read(folder, name, place, statistics or {})
    return replace(light, item=item)
