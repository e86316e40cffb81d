"""The worked example: its commands run, and its two ways end in the same images."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.cli import cli

PAGE = Path(__file__).parents[1] / "docs" / "worked_example.md"

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


def commands():
    boxes = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for box in boxes for line in box.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Run all commands of the page; return the folder."""
    folder = tmp_path_factory.mktemp("worked_example")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in commands():
            run(line, patch)
    return folder


def run(line, patch):
    words = shlex.split(line)
    if words[0] == "cd":
        patch.chdir(words[1])
    elif words[0] == "autoreduce":
        cli.main(words[1:], prog_name="autoreduce", standalone_mode=False)
    else:
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, check=True
        )
        assert len(done.stdout.splitlines()) > 5, f"{line}\n{done.stdout}"


def test_the_page_does_the_twelve_steps():
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^### (\d+)\. ", text, re.MULTILINE) == [
        str(n) for n in range(1, 13)
    ]


def test_the_odd_dark_stands_out_in_the_statistics(night):
    table = (night / "hand" / "raw_dark_stats.log").read_text().splitlines()
    means = {row.split()[0]: float(row.split()[3]) for row in table[2:]}
    others = [means[f"bsub.{number:04d}.fit"] for number in range(52, 57)]
    assert abs(means["bsub.0051.fit"] - np.mean(others)) > 5 * np.std(others)


@pytest.mark.parametrize("by_hand", sorted(STACKS))
def test_one_command_makes_what_twelve_steps_make(night, by_hand):
    mine = fits.getdata(night / "hand" / f"{by_hand}.fit").astype(float)
    product = night / "night_reduced" / "stacks" / f"{STACKS[by_hand]}.fits"
    theirs = fits.getdata(product).astype(float)
    sky = np.median(theirs)
    difference = np.abs(mine - theirs)
    assert np.median(difference) < 1e-4 * sky
    # A few pixels are hot: there the flat is what is left of a large dark.
    assert np.quantile(difference, 0.999) < 1e-3 * sky


def test_the_difference_of_the_page_is_small(night):
    difference = fits.getdata(night / "difference.fit")
    assert np.abs(np.median(difference)) < 1.0
