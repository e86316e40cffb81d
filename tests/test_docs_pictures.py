"""The pictures of the pages: all are made by one script, and are what it makes today."""

import re
from pathlib import Path

import make_pictures
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
CHEAP = ("transit", "notes")
"""Nights that take some seconds; `python docs/make_pictures.py --check` makes all."""


def links():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found = set()
    for page in pages:
        for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8")):
            found.add((page.parent / link).resolve())
    return found


def test_pages_show_what_the_script_makes_and_all_of_it():
    assert links() == {make_pictures.PICTURES / name for name in make_pictures.DRAWN}


def test_pictures_are_there_and_small():
    there = {path.name: path for path in make_pictures.PICTURES.iterdir()}
    assert set(there) == set(make_pictures.DRAWN)
    sizes = [path.stat().st_size for path in there.values()]
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_500_000


@pytest.mark.parametrize("night", CHEAP)
def test_pictures_are_those_of_today(night, tmp_path):
    names = []
    for name, image in make_pictures.pictures_of(night, tmp_path / night):
        with Image.open(make_pictures.PICTURES / name) as there:
            assert make_pictures.difference(image, there) < make_pictures.ALIKE, name
        names.append(name)
    assert names


def test_a_picture_of_something_else_is_noticed():
    with Image.open(make_pictures.PICTURES / "light_curve.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    turned = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]))
    narrow = Image.fromarray(np.ascontiguousarray(pixels[:, 1:]))
    own = Image.fromarray(pixels)
    assert make_pictures.difference(own, own) == 0
    assert make_pictures.difference(own, turned) > make_pictures.ALIKE
    assert make_pictures.difference(own, narrow) > make_pictures.ALIKE
