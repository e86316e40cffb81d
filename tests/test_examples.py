"""The examples run, and what they say of small nights is true."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stack_nights
from small_night import write_night
from stack_fields import Pose
from stack_nights import SHAPE, Light, stars_of, write_light, write_lights

from autoreduce import reduce_night
from autoreduce.products.registration import read_registration

EXAMPLES = Path(__file__).parents[1] / "examples"
POSES = {
    "first": Pose(),
    "moved": Pose(7.3, -4.6, 0.2),
    "turned": Pose(2.6, 8.1, 179.8),
    "mirrored": Pose(-5.2, 3.4, -0.3, mirrored=True),
}
FACTORS = {"first": 1.0, "moved": 0.8, "turned": 0.6, "mirrored": 1.3}
"""What the light of the variable star is multiplied by."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example in an empty folder; give what it prints."""
    monkeypatch.chdir(tmp_path)

    def example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return example


def write_variable(folder, star, monkeypatch):
    """Write lights, some behind clouds, in which one star varies."""
    for number, (name, pose) in enumerate(POSES.items()):
        x, y, flux = stars_of(1, 60)
        flux[star] *= FACTORS[name]
        monkeypatch.setattr(stack_nights, "stars_of", lambda *_, s=(x, y, flux): s)
        light = Light(name, pose, dim=1.0 - 0.15 * number)
        write_light(folder, light, number, minute=2 * number)
    return folder


def lone_star():
    """Find a bright star with no other near it, far from the edges."""
    x, y, flux = stars_of(1, 60)
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e3 * np.eye(len(x))
    inside = (abs(x - SHAPE[1] / 2) < 80) & (abs(y - SHAPE[0] / 2) < 60)
    return int(np.argmax(np.where(inside & (apart.min(axis=0) > 12), flux, 0)))


def test_the_light_curve_is_that_of_the_star(run, tmp_path, monkeypatch):
    star = lone_star()
    night = write_variable(tmp_path / "night", star, monkeypatch)
    folder = reduce_night(night, page=False).folder
    (path,) = (folder / "registration").glob("*.json")
    reference = Path(read_registration(path).references[0]).stem
    x, y, _ = (values[star] for values in stars_of(1, 60))
    x, y = POSES[reference].seen(x, y, SHAPE)
    run("light_curve.py", night, "Field", "R", x + 1, y + 1)
    curve = pd.read_csv("light_curve.csv")
    names = [Path(light).stem for light in curve["light"]]
    assert names == list(POSES)
    wanted = -2.5 * np.log10([FACTORS[name] for name in names])
    off = curve["magnitude"] - wanted
    off -= off.mean()
    assert abs(off).max() < 0.02
    assert (abs(off) < 4 * curve["error"]).all()
    assert (curve["error"] < 0.02).all()


def test_the_plan_says_what_serves_each_light_and_what_is_missing(run, tmp_path):
    night = write_night(tmp_path / "night", without=["flat"])
    (night / "rest.fit").write_bytes((night / "light_0001.fit").read_bytes())
    told = run("inspect_plan.py", night)
    lights = re.findall(r"light_000\d\.fit", told)
    assert sorted(set(lights)) == [f"light_000{n}.fit" for n in (1, 2, 3)]
    assert re.search(r"dark +masters/dark_60s\S*\.fits +level 0", told)
    assert re.search(r"missing: .*flat.*\(no-flat\)", told)
    assert re.search(r"left out: \S+: .*\(copy\)", told)
    assert not (tmp_path / "night_reduced").exists()


def test_stacks_are_made_by_a_recipe_of_ones_own(run, tmp_path):
    lights = [Light(name, pose) for name, pose in POSES.items()]
    lights.append(Light("blurred", fwhm=5.4))
    night = write_lights(tmp_path / "night", lights)
    told = run("stacks_by_night.py", night, EXAMPLES / "sharp.toml")
    (row,) = re.findall(r"light_Field_R\S* +(\d+) +(\S+) +(\w+) +(\S+)\n", told)
    assert (int(row[0]), float(row[1]), row[2]) == (4, 240.0, "True")
    assert float(row[3]) == pytest.approx(3.0, rel=0.1)
    assert re.search(r"without calibrated/blurred\.fits: .*5\.\d pixels", told)


def test_a_light_curve_of_nothing_is_refused(run, tmp_path):
    night = write_lights(tmp_path / "night", [Light("one"), Light("two")])
    with pytest.raises(SystemExit, match="no light of Field in B is registered"):
        run("light_curve.py", night, "Field", "B", 10, 10)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_an_example_is_read_at_a_glance(path):
    assert len(path.read_text("utf-8").splitlines()) < 60
