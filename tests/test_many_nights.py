"""Several nights in one run: masters of each, the ladder across them, common stacks."""

from pathlib import PurePosixPath

import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import write_frame

from autoreduce.cli import cli
from autoreduce.frames.overrides import read_frames_csv
from autoreduce.prepare import Choices, output_folder, prepare_night
from autoreduce.reduction import reduce_night

FRAMES = {
    "bias": ("bias", 0.0, 5),
    "dark": ("dark", 60.0, 6),
    "flatdark": ("dark", 2.0, 7),
    "flat": ("flat", 2.0, 1),
    "light": ("light", 60.0, 3),
}
"""Type, exposure and hour after midnight of each kind of frame."""
WITHOUT = {"03-01": (), "03-02": ("dark", "flatdark"), "03-04": ("flat", "flatdark")}
"""What each evening's night goes without."""


def write_nights(tree):
    """Write three nights with frames of equal names, each in its folder."""
    for number, (night, without) in enumerate(WITHOUT.items()):
        day = int(night[-2:]) + 1
        for kind in set(FRAMES) - set(without):
            imagetyp, exptime, hour = FRAMES[kind]
            for n in range(1, 4):
                write_frame(
                    tree / f"2024-{night}",
                    f"{kind}_{n:04d}.fit",
                    imagetyp,
                    exptime,
                    DATE_OBS=f"2024-03-{day:02d}T{hour:02d}:{n:02d}:00",
                    OBJECT=("M 13", "M13", "m13")[number] if kind == "light" else None,
                )
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_nights(tmp_path_factory.mktemp("nights") / "2024")


@pytest.fixture(scope="module")
def reduced(tree):
    return reduce_night(tree)


def masters_of(frames, night):
    """Name the masters of a night's lights, with the worst level."""
    rows = frames[frames["file"].str.startswith(f"2024-{night}/light")]
    row = rows.iloc[0]
    names = (PurePosixPath(row[need]).stem for need in ("bias", "dark", "flat"))
    return (*names, row["level"])


@pytest.mark.parametrize(
    ("night", "bias", "dark", "flat", "level"),
    [
        ("03-01", "03-01", "03-01", "03-01", 0),
        ("03-02", "03-02", "03-01", "03-02", 1),
        ("03-04", "03-04", "03-04", "03-02", 1),
    ],
)
def test_each_night_gets_its_own_masters_else_the_nearest(
    reduced, night, bias, dark, flat, level
):
    assert masters_of(reduced.report.frames, night) == (
        f"bias_1x1_m10C_2024-{bias}",
        f"dark_60s_1x1_m10C_2024-{dark}",
        f"flat_R_1x1_2024-{flat}",
        level,
    )


def test_flats_of_a_night_without_darks_get_those_of_another(reduced):
    flats = reduced.report.frames.set_index("file")
    flat = flats.loc["2024-03-02/flat_0001.fit"]
    assert flat["bias"] == "masters/bias_1x1_m10C_2024-03-02.fits"
    assert "dark dark_2s_1x1_m10C, 18.0 h away" in flat["reason"]


def test_masters_are_of_one_night_and_stacks_of_all(reduced):
    assert not reduced.failed
    tasks = {task.output: task for task in reduced.report.plan.tasks}
    nights = {
        output: {PurePosixPath(item.file).parent.name for item in task.frames}
        for output, task in tasks.items()
        if output.startswith("masters/") and task.frames
    }
    assert len(nights) == 8
    assert all(len(of_one) == 1 for of_one in nights.values())
    (stack,) = (reduced.folder / "stacks").iterdir()
    header = fits.getheader(stack)
    assert (stack.name, header["NCOMBINE"]) == ("light_M-13_R_60s_1x1.fits", 9)
    assert header["TOTEXP"] == 540.0


def test_frames_of_equal_names_do_not_meet(tree, reduced):
    for raw in tree.rglob("light_*.fit"):
        product = reduced.folder / "calibrated" / raw.relative_to(tree)
        dates = [fits.getheader(path)["DATE-OBS"] for path in (raw, product)]
        assert dates[0] == dates[1][:19]


def test_folders_one_by_one_are_planned_as_the_tree(tree, reduced):
    folders = sorted(tree.iterdir())
    plan = prepare_night(folders[::-1]).plan
    assert plan.tasks == reduced.report.plan.tasks


def test_stacks_of_each_night_are_made_if_asked_for(tree):
    choices = Choices(stack_by=("object", "filter", "exptime", "night"))
    plan = prepare_night([tree], choices).plan
    stacks = [task.output for task in plan.tasks if task.output.startswith("stacks")]
    assert len(stacks) == 3
    assert "stacks/light_M-13_R_60s_1x1_2024-03-02.fits" in stacks


def test_products_of_several_folders_stand_beside_the_one_that_holds_them(tree):
    folders = sorted(tree.iterdir())
    assert output_folder(folders) == tree.with_name("2024_reduced")
    assert output_folder([folders[0]]) == tree / "2024-03-01_reduced"


def test_nights_on_the_command_line(tmp_path):
    tree = write_nights(tmp_path / "tree")
    folders = [str(folder) for folder in sorted(tree.iterdir())]
    result = CliRunner().invoke(cli, [*folders, "--no-report"])
    assert result.exit_code == 0, result.output
    output = tree.with_name("tree_reduced")
    assert read_frames_csv(output / "frames.csv")["use"].all()
    assert len(list(output.rglob("calibrated/*/light_0001.fit"))) == 3
