"""Renaming: one sequence, all or nothing, and back again."""

import shlex
import subprocess

import numpy as np
import pytest
from tool_files import command, real_night, write_fits

from autoreduce.errors import InputError, ProductError
from autoreduce.tools.rename import (
    Renaming,
    Transfer,
    log_name,
    plan_renaming,
    read_log,
    rename,
    script_name,
    undo,
)


def write_frame(path, date="2021-02-27T01:00:00", **cards):
    return write_fits(path, np.zeros((2, 2), np.uint16), DATE_OBS=date, **cards)


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """Three frames whose order of names is not that of their times."""
    monkeypatch.chdir(tmp_path)
    write_frame(tmp_path / "a.fit", "2021-02-27T03:00:00", EXPTIME=10)
    write_frame(tmp_path / "b.fit", "2021-02-27T01:00:00", EXPTIME=2)
    write_frame(tmp_path / "c.fit", "2021-02-27T02:00:00", EXPTIME=2)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".fit")


def test_frames_are_numbered_in_the_order_of_their_times(frames):
    output = command("rename", "*.fit")
    assert "b.fit -> 20210227.0001.fit" in output
    assert "c.fit -> 20210227.0002.fit" in output
    assert "a.fit -> 20210227.0003.fit" in output
    assert names(frames) == [f"20210227.000{n}.fit" for n in (1, 2, 3)]


def test_keys_sort_as_what_they_are(frames):
    write_frame(frames / "d.fit", "2021-02-27T00:00:00", EXPTIME=9)
    plan = plan_renaming(
        ["a.fit", "b.fit", "c.fit", "d.fit"], keys=["EXPTIME", "DATE-OBS"]
    )
    assert [item.old.name for item in plan] == ["b.fit", "c.fit", "d.fit", "a.fit"]


def test_a_missing_key_sorts_last(frames):
    write_frame(frames / "d.fit", "2021-02-26T00:00:00")
    plan = plan_renaming(["a.fit", "d.fit"], keys=["EXPTIME"], root="x")
    assert [item.old.name for item in plan] == ["a.fit", "d.fit"]


def test_old_dates_take_their_time_of_day_from_another_keyword(tmp_path):
    late = write_frame(tmp_path / "1.fit", "27/02/98", TIME_OBS="03:00:00")
    early = write_frame(tmp_path / "2.fit", "27/02/98", TIME_OBS="01:00:00")
    plan = plan_renaming([late, early])
    assert [item.old.name for item in plan] == ["2.fit", "1.fit"]
    assert plan[0].new.name == "19980227.0001.fit"


def test_numbers_get_wider_where_the_sequence_needs_it(frames):
    plan = plan_renaming(["a.fit"], width=6, tail=".fits", root="m13")
    assert plan[0].new.name == "m13.000001.fits"


def test_all_numbers_are_as_wide_as_the_last_one(tmp_path):
    images = [write_frame(tmp_path / f"{n}.fit") for n in range(11)]
    plan = plan_renaming(images, width=1, root="m13")
    assert [item.new.name for item in plan][::10] == ["m13.01.fit", "m13.11.fit"]


def test_compressed_files_keep_their_suffix(tmp_path):
    name = write_frame(tmp_path / "a.fits.gz")
    assert plan_renaming([name])[0].new.name == "20210227.0001.fit.gz"


def test_names_that_overlap_are_exchanged(frames):
    contents = {name: (frames / name).read_bytes() for name in names(frames)}
    swap = [
        Renaming(frames / "a.fit", frames / "b.fit"),
        Renaming(frames / "b.fit", frames / "a.fit"),
    ]
    rename(swap, frames / "log")
    assert (frames / "b.fit").read_bytes() == contents["a.fit"]
    assert (frames / "a.fit").read_bytes() == contents["b.fit"]
    undo(frames / "log")
    assert {name: (frames / name).read_bytes() for name in names(frames)} == contents


def test_a_taken_name_is_refused_before_anything_happens(frames):
    write_frame(frames / "20210227.0002.fit")
    with pytest.raises(ProductError, match=r"20210227\.0002\.fit exists"):
        plan_renaming(["a.fit", "b.fit", "c.fit"])


def test_a_failure_half_way_leaves_everything_as_it_was(frames, monkeypatch):
    plan = plan_renaming(["a.fit", "b.fit", "c.fit"])
    before = {path.name: path.read_bytes() for path in frames.iterdir()}
    blocked = plan[2].new
    original = type(blocked).rename

    def failing(path, target):
        if target == blocked:
            raise PermissionError(13, "Permission denied", str(target))
        return original(path, target)

    monkeypatch.setattr(type(blocked), "rename", failing)
    with pytest.raises(ProductError, match="nothing is renamed"):
        rename(plan, frames / "log")
    assert {path.name: path.read_bytes() for path in frames.iterdir()} == before


@pytest.mark.parametrize("moves", range(7))
def test_a_crash_at_any_moment_can_be_undone(frames, moves):
    plan = plan_renaming(["a.fit", "b.fit", "c.fit"], root="a")
    plan = [*plan, Renaming(frames / "x.fit", frames / "b.fit")]
    (frames / "x.fit").write_text("x")
    before = {path.name: path.read_bytes() for path in frames.iterdir()}
    rename(plan, frames / "log")
    command("rename", "--undo", frames / "log")
    # The machine stops after some moves: nothing is taken back, the log stays.
    text = ["move\tbegun\n", "old\tnew\n"]
    text += [f"{item.old.absolute()}\t{item.new.absolute()}\n" for item in plan]
    (frames / "log").write_text("".join(text))
    steps = [(item.old, item.between) for item in plan]
    steps += [(item.between, item.new) for item in plan]
    for old, new in steps[:moves]:
        old.rename(new)
    undo(frames / "log")
    assert {path.name: path.read_bytes() for path in frames.iterdir()} == before


def test_the_log_undoes_it_and_is_gone(frames):
    before = {path.name: path.read_bytes() for path in frames.iterdir()}
    command("rename", "*.fit", "-o", "m13")
    assert read_log(frames / "m13.rename.log").done
    command("rename", "--undo", "m13.rename.log")
    assert {path.name: path.read_bytes() for path in frames.iterdir()} == before


def test_the_script_undoes_it(frames):
    before = names(frames)
    (frames / "a.fit").rename(frames / "a'b c.fit")
    command("rename", "*.fit", "-o", "m13")
    subprocess.run(["sh", "m13.rename.undo.sh"], check=True)
    assert names(frames) == sorted([*before[1:], "a'b c.fit"])


def test_undo_refuses_what_is_no_log(frames):
    with pytest.raises(InputError, match="not a log"):
        undo(frames / "a.fit")


def test_undo_never_overwrites(frames):
    command("rename", "a.fit", "-o", "m13")
    write_frame(frames / "a.fit")
    output = command("rename", "--undo", "m13.rename.log", fails=True)
    assert "a.fit exists" in output
    assert (frames / "m13.0001.fit").exists()


def test_copies_and_links_leave_the_frames(frames):
    for how in (Transfer.COPY, Transfer.LINK):
        command("rename", "*.fit", "-o", f"{how}/m13", f"--{how}")
        assert names(frames) == ["a.fit", "b.fit", "c.fit"]
        made = sorted((frames / how).glob("*.fit"))
        assert [path.name for path in made] == [f"m13.000{n}.fit" for n in (1, 2, 3)]
        assert made[0].read_bytes() == (frames / "b.fit").read_bytes()
        assert made[0].is_symlink() is (how is Transfer.LINK)
        command("rename", "--undo", frames / how / "m13.rename.log")
        assert list((frames / how).iterdir()) == []


def test_sidecars_follow_their_frame(frames):
    for name in ("a.txt", "a.fit.xml", "a.more.txt", "ab.txt"):
        (frames / name).write_text(name)
    command("rename", "a.fit", "-o", "m13", "--sidecars")
    found = sorted(path.name for path in frames.iterdir() if path.suffix != ".fit")
    kept = ["a.more.txt", "ab.txt"]
    moved = ["m13.0001.fit.xml", "m13.0001.txt"]
    logs = ["m13.rename.log", "m13.rename.undo.sh"]
    assert found == sorted([*kept, *moved, *logs])
    assert (frames / "m13.0001.txt").read_text() == "a.txt"


@pytest.mark.parametrize("root", ["sorted/", "./sorted/", "sorted/."])
def test_a_folder_alone_is_where_the_sequence_goes(frames, root):
    command("rename", "a.fit", "-o", root, "--copy")
    assert names(frames / "sorted") == ["20210227.0001.fit"]
    assert (frames / "sorted" / "20210227.rename.log").is_file()


def test_a_root_with_a_folder_is_not_beside_the_frames(frames):
    write_frame(frames / "night" / "d.fit")
    (here,) = plan_renaming(["night/d.fit"], root="./m13")
    (beside,) = plan_renaming(["night/d.fit"], root="m13")
    assert [str(here.new), str(beside.new)] == ["m13.0001.fit", "night/m13.0001.fit"]


def test_an_empty_root_is_refused(frames):
    assert "the root (-o) is empty" in command("rename", "*.fit", "-o", "", fails=True)
    assert names(frames) == ["a.fit", "b.fit", "c.fit"]


def test_a_frame_that_is_named_twice_gets_one_name(frames):
    plan = plan_renaming(["a.fit[0]", f"{frames}/a.fit", "b.fit"], root="m13")
    assert [item.old.name for item in plan] == ["b.fit", "a.fit"]


def test_a_keyword_that_no_file_has_sorts_nothing(frames):
    told = command("rename", "*.fit", "-s", "EXPTIMES,DATE-OBS", fails=True)
    assert "no file has the keyword EXPTIMES; did you mean EXPTIME?" in told
    assert names(frames) == ["a.fit", "b.fit", "c.fit"]
    command("rename", "*.fit", "-s", "exptime,Filename", "-o", "x")


def test_a_dry_run_renames_nothing(frames):
    before = sorted(frames.iterdir())
    assert "b.fit -> 20210227.0001.fit" in command("rename", "*.fit", "-n")
    assert sorted(frames.iterdir()) == before


def test_without_a_date_a_root_is_asked_for(tmp_path):
    path = write_fits(tmp_path / "a.fit", np.zeros((2, 2), np.uint16))
    with pytest.raises(InputError, match="no date in DATE-OBS"):
        plan_renaming([path])


def test_every_log_has_a_name_of_its_own(frames):
    plan = plan_renaming(["a.fit"], root="m13")
    (frames / "m13.rename.log").touch()
    assert log_name(plan).name == "m13.rename2.log"
    assert script_name(log_name(plan)).name == "m13.rename2.undo.sh"


def test_a_real_night_is_renamed_and_renamed_back(tmp_path, tmp_path_factory):
    night = real_night("tircam2_ic310", tmp_path_factory)
    before = {path.name: path.read_bytes() for path in night.iterdir()}
    root = tmp_path / "seq" / "ic310"
    command("rename", night, "-o", root, "-s", "Filename", "--copy")
    copies = sorted((tmp_path / "seq").glob("*.fit"))
    assert len(copies) == len(before)
    assert {path.read_bytes() for path in copies} == set(before.values())
    command(
        "rename",
        f"{tmp_path}/seq/*.fit",
        "-o",
        tmp_path / "seq" / "t",
        "-s",
        "DATE-OBS",
    )
    command("rename", "--undo", tmp_path / "seq" / "t.rename.log")
    assert sorted((tmp_path / "seq").glob("*.fit")) == copies


def test_the_line_that_undoes_a_renaming_can_be_pasted(frames):
    line = command("rename", "*.fit", "-o", "M 13/it's").splitlines()[-1]
    undoing = line.partition("undo with: autoreduce ")[2]
    command(*shlex.split(undoing))
    assert names(frames) == ["a.fit", "b.fit", "c.fit"]


def test_a_root_may_lie_in_the_home_folder(frames, monkeypatch):
    monkeypatch.setenv("HOME", str(frames / "home"))
    command("rename", "*.fit", "-o", "~/sorted/", "--copy")
    command("arith", "a.fit", "+", "1", "-o", "~/sum.fit")
    assert len(list((frames / "home" / "sorted").glob("*.fit"))) == 3
    assert (frames / "home" / "sum.fit").is_file()


def test_nothing_is_told_as_renamed_if_nothing_is(frames):
    (frames / "sorted").touch()
    output = command("rename", "*.fit", "-o", "sorted/m13", fails=True)
    assert "->" not in output


@pytest.mark.parametrize("content", ["", "a\n", "move\tdone\textra\n", "x" * 140_000])
def test_a_file_that_is_no_log_is_named(frames, content):
    (frames / "a.txt").write_text(content)
    message = command("rename", "--undo", "a.txt", fails=True)
    assert message == (
        "Error: a.txt is not a log that autoreduce rename wrote (ROOT.rename.log)\n"
    )
