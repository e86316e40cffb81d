"""The surface for Python: what it takes, what it gives, how results look."""

import re
from pathlib import Path

import pytest
from small_night import write_frame, write_night

import autoreduce
from autoreduce.errors import InputError

PAGE = (Path(__file__).parents[1] / "docs/python.md").read_text("utf-8")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    night = write_night(folder / "night", without=["flat"])
    return autoreduce.reduce_night(night, folder / "products", page=False)


def test_the_second_argument_is_the_output(done):
    assert done.folder.name == "products"
    assert (done.folder / "lights.csv").is_file()
    assert not done.folder.with_name("night_reduced").exists()


def test_a_result_shows_what_came_of_the_night(done):
    assert (
        repr(done)
        == f"<ReducedNight {done.folder}: 9 done, {len(done.remarks)} remarks>"
    )
    assert sorted(done.lights["light"]) == [
        f"calibrated/light_000{n}.fit" for n in (1, 2, 3)
    ]
    assert len(done.frames) == 12
    assert done.remarks[0].code == "no-flat"
    stack = next(name for name in done.outcomes if name.startswith("stacks/"))
    assert repr(done.outcomes[stack]).startswith("<Outcome done")
    assert repr(done.report) == "<NightReport of 12 frames, 9 outcomes>"


def test_a_plan_shows_what_it_makes_in_one_line(done):
    night = done.folder.with_name("night")
    prepared = autoreduce.prepare_night(str(night))
    assert repr(prepared) == (
        f"<PlannedNight {night}: 12 frames, 0 left out, 9 products>"
    )
    assert re.fullmatch(
        rf"<Plan of {night}: 9 products, \d+ notes>", repr(prepared.plan)
    )
    assert repr(prepared.night) == f"<ScannedNight {night}: 12 frames, 0 unreadable>"


def test_several_folders_are_one_night(tmp_path):
    for name in ("evening", "morning"):
        write_frame(tmp_path / name, f"{name}.fit", "light", 60.0)
    folders = [tmp_path / "evening", tmp_path / "morning"]
    assert len(autoreduce.prepare_night(folders).frames) == 2
    done = autoreduce.reduce_night(folders, tmp_path / "out", page=False)
    assert len(done.lights) == 2
    with pytest.raises(InputError, match="no folder is named"):
        autoreduce.reduce_night([])


def test_a_night_given_as_the_output_is_never_written_to(tmp_path):
    for name in ("one", "two"):
        write_frame(tmp_path / name, f"{name}.fit", "light", 60.0)
    with pytest.raises(InputError, match="holds files that autoreduce did not make"):
        autoreduce.reduce_night(tmp_path / "one", tmp_path / "two")
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["two.fit"]


def test_the_page_names_all_that_there_is():
    named = set(re.findall(r"`(\w+)", PAGE))
    assert set(autoreduce.__all__) - {"__version__"} <= named
