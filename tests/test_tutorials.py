"""Tutorials: their commands print what they say, their pictures are what is made today."""

import re
import shutil
from pathlib import Path

import make_pictures
import numpy as np
import pytest
from page_boxes import alike, boxes, run_page
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = {
    "first_night.md": ("demo", "autoreduce_demo", "night"),
    "colour.md": ("colour", "colour_demo", ""),
    "light_curves.md": ("transit", "", ""),
    "worked_example.md": ("notes", "", ""),
}
"""The night that each tutorial makes, of which its pictures are, and where; and what makes
it anew where the page goes on to change it."""


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


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_shows_what_is_printed_and_drawn_today(page, tmp_path):
    night, place, anew = PAGES[page]
    assert run_page(page, tmp_path) == []
    drawn = [re.findall(r'savefig\("(.+?)"', text) for _, text in boxes(page)]
    assert all((tmp_path / name).is_file() for names in drawn for name in names)
    home = tmp_path / place
    if anew:
        shutil.rmtree(home / "night_reduced")
        make_pictures.carry_out([anew], home)
    make_pictures.carry_out(make_pictures.NIGHTS[night][1:], home)
    assert unlike(night, home) == []


@pytest.mark.parametrize("name", sorted(PAGES))
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
