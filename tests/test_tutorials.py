"""Tutorials: their commands print what they say, their pictures are what is made today.

Nights that take long are left to `-m pages` and `python docs/make_pictures.py --check`.
"""

import re
from pathlib import Path

import make_pictures
import numpy as np
import pytest
from page_boxes import alike, boxes, run_page
from PIL import Image

ROOT = Path(__file__).parents[1]
LONG = ["first_night.md", "colour.md", "worked_example.md"]


@pytest.fixture(scope="module")
def light_curve(tmp_path_factory):
    """Carry out the page of the light curve; return the folder, and what is untrue."""
    folder = tmp_path_factory.mktemp("light_curve")
    return folder, run_page("light_curves.md", folder)


def links():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found = set()
    for page in pages:
        for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8")):
            found.add((page.parent / link).resolve())
    return found


def unlike(night, folder):
    """List the pictures of a night that are not what is made today."""
    wrong, made = [], 0
    for name, image in make_pictures.pictures_of(night, folder):
        made += 1
        with Image.open(make_pictures.PICTURES / name) as there:
            if make_pictures.difference(image, there) > make_pictures.ALIKE:
                wrong.append(name)
    assert made
    return wrong


def test_what_a_page_shows_of_a_light_curve_is_printed(light_curve):
    folder, untrue = light_curve
    assert untrue == []
    assert (folder / "curve.png").is_file()


def test_the_picture_of_the_light_curve_is_that_of_today(light_curve):
    assert unlike("transit", light_curve[0]) == []


@pytest.mark.pages
@pytest.mark.parametrize("night", sorted(make_pictures.NIGHTS))
def test_pictures_are_those_of_today(night, tmp_path):
    make_pictures.make_night(night, tmp_path / night)
    assert unlike(night, tmp_path / night) == []


@pytest.mark.pages
@pytest.mark.parametrize("name", LONG)
def test_what_a_page_shows_is_printed(name, tmp_path):
    assert run_page(name, tmp_path) == []


@pytest.mark.parametrize("name", [*LONG, "light_curves.md"])
def test_tutorials_show_what_is_printed(name):
    assert [text for language, text in boxes(name) if language == "text"]


def test_only_times_and_places_may_differ():
    assert alike("3 stacks in 22 s.") == alike("3 stacks in 1.5 min.")
    assert alike("3 stacks in 22 s.") != alike("4 stacks in 22 s.")


def test_pages_show_what_the_script_makes_and_all_of_it():
    assert links() == {make_pictures.PICTURES / name for name in make_pictures.DRAWN}


def test_pictures_are_there_and_small():
    there = {path.name: path for path in make_pictures.PICTURES.iterdir()}
    assert set(there) == set(make_pictures.DRAWN)
    sizes = [path.stat().st_size for path in there.values()]
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_500_000


def test_a_picture_of_something_else_is_noticed():
    with Image.open(make_pictures.PICTURES / "light_curve.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    turned = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]))
    narrow = Image.fromarray(np.ascontiguousarray(pixels[:, 1:]))
    own = Image.fromarray(pixels)
    assert make_pictures.difference(own, own) == 0
    assert make_pictures.difference(own, turned) > make_pictures.ALIKE
    assert make_pictures.difference(own, narrow) > make_pictures.ALIKE
