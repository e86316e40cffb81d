"""Tutorials: their commands print what they say, their pictures are what is made today.

The two ways of the worked example, by hand and by one command, end in the same images.
"""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import make_pictures
import numpy as np
import pytest
from astropy.io import fits
from page_boxes import DOCS, alike, boxes, run_page
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

STACKS = {
    "cluster_lumin": "light_cluster_Lum_60s_2x2",
    "cluster_red": "light_cluster_R_60s_2x2",
    "cluster_green": "light_cluster_G_60s_2x2",
    "cluster_blue": "light_cluster_B_60s_2x2",
    "crab_lumin": "light_Crab_Lum_120s_2x2",
    "crab_red": "light_Crab_R_180s_2x2",
    "crab_green": "light_Crab_G_180s_2x2",
    "crab_blue": "light_Crab_B_180s_2x2",
}
"""What the worked example makes by hand, and what one command makes."""


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    """Carry out a page, once: its folder, and lines that it shows and did not print."""

    @cache
    def folder_and_wrong(page):
        folder = tmp_path_factory.mktemp("tutorial")
        return folder, run_page(page, folder)

    return folder_and_wrong


@pytest.fixture
def worked(carried_out):
    return carried_out("worked_example.md")[0]


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
def test_a_page_shows_what_is_printed_and_drawn_today(page, carried_out):
    night, place, anew = PAGES[page]
    folder, wrong = carried_out(page)
    assert wrong == []
    drawn = [re.findall(r'savefig\("(.+?)"', text) for _, text in boxes(page)]
    assert all((folder / name).is_file() for names in drawn for name in names)
    home = folder / place
    if anew:
        shutil.rmtree(home / "night_reduced")
        make_pictures.carry_out([anew], home)
    make_pictures.carry_out(make_pictures.NIGHTS[night][1:], home)
    assert unlike(night, home) == []


def test_the_worked_example_does_the_twelve_steps():
    text = (DOCS / "worked_example.md").read_text("utf-8")
    assert re.findall(r"^### (\d+)\. ", text, re.MULTILINE) == [
        str(n) for n in range(1, 13)
    ]


def test_the_lists_of_headers_are_long(worked):
    lines = "".join(text for _, text in boxes("worked_example.md")).splitlines()
    lists = [line for line in lines if line.startswith("grep ")]
    assert lists
    for line in lists:
        listed = subprocess.check_output(["sh", "-c", line], cwd=worked / "hand")
        assert len(listed.splitlines()) > 5, line


def test_the_odd_dark_stands_out_in_the_statistics(worked):
    table = (worked / "hand" / "raw_dark_stats.log").read_text().splitlines()
    means = {row.split()[0]: float(row.split()[3]) for row in table[2:]}
    others = [means[f"bsub.{number:04d}.fit"] for number in range(52, 57)]
    assert abs(means["bsub.0051.fit"] - np.mean(others)) > 5 * np.std(others)


@pytest.mark.parametrize("by_hand", sorted(STACKS))
def test_one_command_makes_what_twelve_steps_make(worked, by_hand):
    mine = fits.getdata(worked / "hand" / f"{by_hand}.fit").astype(float)
    product = worked / "night_reduced" / "stacks" / f"{STACKS[by_hand]}.fits"
    theirs = fits.getdata(product).astype(float)
    sky = np.median(theirs)
    difference = np.abs(mine - theirs)
    assert np.median(difference) < 1e-4 * sky
    # A few pixels are hot: there the flat is what is left of a large dark.
    assert np.quantile(difference, 0.999) < 1e-3 * sky


def test_the_difference_of_the_page_is_small(worked):
    difference = fits.getdata(worked / "difference.fit")
    assert np.abs(np.median(difference)) < 1.0


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
