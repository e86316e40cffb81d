"""Running a plan: order, failures, and what is current."""

import json
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_frame, write_night

from autoreduce.calibration.store import MasterStore
from autoreduce.calibration.workspace import Workspace
from autoreduce.planning.plan import Action
from autoreduce.prepare import Choices, prepare_night
from autoreduce.products import state
from autoreduce.reduction import reduce_night
from autoreduce.remarks import remark
from autoreduce.running import execute
from autoreduce.running.execute import (
    Cause,
    Limits,
    Outcome,
    Status,
    free_memory,
    run_plan,
)
from autoreduce.running.processes import Workers
from autoreduce.running.tasks import run_task


@pytest.fixture
def night(tmp_path):
    return write_night(tmp_path / "night")


def run(night, **options):
    return reduce_night(
        night, output=night.with_name("products"), page=False, **options
    )


def made_again(reduced):
    outcomes = reduced.report.outcomes.items()
    return sorted(name for name, o in outcomes if o.status is Status.DONE)


def test_a_second_run_makes_nothing_and_tells_the_same(night):
    first, second = run(night), run(night)
    assert made_again(second) == []
    for name, outcome in first.report.outcomes.items():
        again = second.report.outcomes[name]
        assert again.statistics == outcome.statistics
        assert again.measured == outcome.measured
    columns = ["file", "use", "why_not", "median", "sky", "stars"]
    assert first.report.frames[columns].equals(second.report.frames[columns])


def test_a_lost_master_is_made_again_and_nothing_else(night):
    first = run(night)
    (flat,) = first.folder.glob("masters/flat_*.fits")
    before = flat.read_bytes()
    flat.unlink()
    assert made_again(run(night)) == [f"masters/{flat.name}"]
    assert (
        fits.getdata(flat).tobytes()
        == fits.HDUList.fromstring(before)[0].data.tobytes()
    )


def test_a_damaged_product_is_made_again(night):
    first = run(night)
    light = first.folder / "calibrated" / "light_0001.fit"
    light.write_bytes(light.read_bytes()[:4000])
    assert made_again(run(night)) == ["calibrated/light_0001.fit"]


def test_a_changed_raw_frame_redoes_what_depends_on_it(night):
    run(night)
    write = (night / "flat_0001.fit").unlink
    write()
    write_frame(night, "flat_0001.fit", "flat", 2.0, pixels=None, NEWCARD=1)
    redone = made_again(run(night))
    assert any("flat_R" in name for name in redone)
    assert any("calibrated" in name for name in redone)
    assert not any("bias" in name or "dark" in name for name in redone)


def test_another_stack_recipe_redoes_only_the_stack(night, tmp_path):
    run(night)
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[stack.combine]\nmethod='median'\n")
    redone = made_again(run(night, choices=Choices(recipe=str(recipe))))
    assert redone
    assert all(name.startswith("stacks/") for name in redone)


def test_what_is_as_long_as_the_plan_does_not_go_with_each_light(night, monkeypatch):
    carried = {}

    def seen(task, workspace, *rest):
        carried.setdefault(task.action, set()).add(len(workspace.frames))
        return task_outcome(task, workspace, *rest)

    task_outcome = execute.task_outcome
    monkeypatch.setattr(execute, "task_outcome", seen)
    run(night)
    n_products = len(carried.pop("flat") | carried.pop("stack"))
    assert n_products == 1
    assert set.union(*carried.values()) == {0}


FLAT = "masters/flat_R_1x1.fits"
LIGHT = "calibrated/light_0001.fit"


def lost(night, tmp_path, monkeypatch):
    (night.with_name("products") / FLAT).unlink()


def spoilt(night, tmp_path, monkeypatch):
    path = night.with_name("products") / FLAT
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)


def newer(night, tmp_path, monkeypatch):
    monkeypatch.setitem(state.METHODS, Action.FLAT, 1000)


def changed_frame(night, tmp_path, monkeypatch):
    (night / "flat_0001.fit").unlink()
    write_frame(night, "flat_0001.fit", "flat", 2.0, pixels=None, NEWCARD=1)


def fewer_frames(night, tmp_path, monkeypatch):
    return {"choices": Choices(exclude=["flat_0001"])}


def other_setting(night, tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text("[flat.combine]\nlow = 5.0\n")
    return {"choices": Choices(recipe=str(path))}


def other_planes(night, tmp_path, monkeypatch):
    return {"limits": Limits(planes=True)}


def no_plan(night, tmp_path, monkeypatch):
    (night.with_name("products") / "plan.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "cause", "words"),
    [
        (lost, Cause.MISSING, "it was not there"),
        (spoilt, Cause.UNSOUND, "it does not hold what was written"),
        (newer, Cause.METHOD, "autoreduce makes it in another way now"),
        (changed_frame, Cause.FRAMES, "raw frames hold something else"),
        (fewer_frames, Cause.PLAN, "its frames, masters or facts are others, or"),
        (other_setting, Cause.RECIPE, "settings of the recipe are others"),
        (other_planes, Cause.ASKED, "other planes, units or fill are asked for"),
        (no_plan, Cause.UNTOLD, "nothing tells what it was made from"),
    ],
)
def test_the_log_says_why_a_product_is_made_again(
    night, tmp_path, monkeypatch, change, cause, words
):
    first = run(night)
    assert not any(one.again for one in first.report.outcomes.values())
    again = run(night, **(change(night, tmp_path, monkeypatch) or {}))
    assert cause in again.report.outcomes[FLAT].again
    log = (again.folder / "autoreduce.log").read_text("utf-8").splitlines()
    (line,) = [one for one in log if f"done {FLAT}" in one and "again: " in one]
    assert words in line
    if again.report.outcomes[FLAT].digest != first.report.outcomes[FLAT].digest:
        assert Cause.PRODUCTS in again.report.outcomes[LIGHT].again
    last = run(night, **(change(night, tmp_path, monkeypatch) or {}))
    if change not in (lost, spoilt, no_plan):
        assert not any(one.again for one in last.report.outcomes.values())


def move_one(night):
    (night / "bias_0001.fit").rename(night / "zero_0001.fit")


def move_into_folder(night):
    (night / "sub").mkdir()
    for path in night.glob("flat_*.fit"):
        path.rename(night / "sub" / path.name)


def swap_names(night):
    one, other, between = (night / f"flat_{name}.fit" for name in ("0001", "0002", "x"))
    one.rename(between)
    other.rename(one)
    between.rename(other)


def copy_before(night):
    shutil.copy(night / "dark_0001.fit", night / "a_dark.fit")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (move_one, "bias"),
        (move_into_folder, "flat"),
        (swap_names, "flat"),
        (copy_before, "dark"),
    ],
)
def test_a_run_after_frames_have_other_names_is_as_a_first_run(night, change, kind):
    run(night)
    change(night)
    again = run(night)
    fresh = reduce_night(night, output=night.with_name("fresh"), page=False)
    assert again.report.frames.equals(fresh.report.frames)
    redone = made_again(again)
    assert redone
    assert all(name.startswith(f"masters/{kind}_") for name in redone)
    for name in redone:
        inputs = [fits.getdata(one.folder / name, "INPUTS") for one in (again, fresh)]
        assert inputs[0].tobytes() == inputs[1].tobytes()
    assert made_again(run(night)) == []


def test_the_result_does_not_depend_on_memory_or_jobs(night):
    small = reduce_night(
        night,
        output=night.with_name("small"),
        limits=Limits(jobs=1, memory=1 << 20),
        page=False,
    )
    large = reduce_night(night, output=night.with_name("large"), page=False)
    for path in sorted(small.folder.rglob("*.fit*")):
        other = large.folder / path.relative_to(small.folder)
        np.testing.assert_array_equal(fits.getdata(path), fits.getdata(other))


def test_a_failure_costs_only_what_it_must(night):
    prepared = prepare_night([night])
    for n in (1, 2, 3):
        (night / f"dark_{n:04d}.fit").write_bytes(b"")
    outcomes = run_plan(prepared.plan, night.with_name("products"))
    failed = [name for name, o in outcomes.items() if o.status is Status.FAILED]
    assert len(failed) == 1
    assert "dark_60s" in failed[0]
    light = outcomes["calibrated/light_0001.fit"]
    assert light.status is Status.DONE
    assert "dark not subtracted" in " ".join(map(str, light.remarks))
    header = fits.getheader(night.with_name("products") / "calibrated/light_0001.fit")
    assert header["CALSTAT"] == "BF"


def test_a_stack_of_nothing_is_blocked(night):
    prepared = prepare_night([night])
    for n in (1, 2, 3):
        (night / f"light_{n:04d}.fit").unlink()
    outcomes = run_plan(prepared.plan, night.with_name("products"))
    (stack,) = [o for name, o in outcomes.items() if name.startswith("stacks/")]
    assert stack.status is Status.BLOCKED
    assert "light_0001" in stack.reason


def test_progress_is_told_task_by_task(night):
    events = []
    prepared = prepare_night([night])
    run_plan(
        prepared.plan,
        night.with_name("products"),
        progress=lambda event, task, done, total: events.append(
            (event, task.output, done, total)
        ),
    )
    n = len(prepared.plan.tasks)
    assert [event for event, *_ in events].count("start") == n
    assert events[-1][0] == "end"
    assert events[-1][2:] == (n, n)


def test_a_mistake_of_ours_costs_one_product_and_is_named(night, monkeypatch):
    from autoreduce.products import lights

    real = lights.find_stars

    def broken(image, **how):
        if image.shape[0] and float(image.flat[0]) > -1e9 and broken.first:
            broken.first = False
            raise ZeroDivisionError
        return real(image, **how)

    broken.first = True
    monkeypatch.setattr(lights, "find_stars", broken)
    reduced = run(night, limits=Limits(jobs=1))
    (name,) = reduced.failed
    assert "internal error" in reduced.report.outcomes[name].reason
    assert "ZeroDivisionError" in (reduced.folder / "autoreduce.log").read_text()


def test_outcomes_survive_their_json_form():
    outcome = Outcome(
        Status.DONE,
        remarks=(remark("without-light", "s", found="a"),),
        left_out={"f": remark("odd-level", "f", found="1 ADU", expected="2")},
        statistics={"x": 1.5},
        measured={"f": {"median": 2.0}},
        n_used=3,
        seconds=0.5,
        digest="d",
    )
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_memory_that_is_free_is_known():
    assert free_memory() > 1 << 20


HOLES = """
from autoreduce.running.machine import give_back, share_one_heap

def held():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

share_one_heap()
bands = [b"x" * (1 << 20) for _ in range(200)]
del bands[::2]
full = held()
give_back()
print(full - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heap is glibc's")
def test_memory_between_what_is_in_use_is_given_back():
    command = [sys.executable, "-c", HOLES]
    freed = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert freed > 90 << 10


def test_what_an_earlier_run_left_is_named_and_moved(night):
    run(night)
    again = run(night, choices=Choices(exclude=["light_0003*"]))
    assert any(
        "calibrated/light_0003.fit" in note
        for note in map(str, again.report.plan.notes)
    )
    assert not (again.folder / "calibrated" / "light_0003.fit").exists()
    assert (again.folder / "left_over/calibrated/light_0003.fit").exists()


def test_a_light_keeps_its_own_temperature_and_gets_what_was_set(night):
    write_frame(night, "light_0004.fit", "light", 60, CCD_TEMP=-10.4)
    reduced = run(night, choices=Choices(settings=["light_*: object=M 92"]))
    header = fits.getheader(reduced.folder / "calibrated" / "light_0004.fit")
    assert header["CCD-TEMP"] == -10.4
    assert header["OBJECT"] == "M 92"
    assert header["EXPTIME"] == 60


def test_more_frames_than_files_may_be_open_are_combined(tmp_path):
    import resource

    folder = tmp_path / "many"
    for n in range(200):
        write_frame(folder, f"bias_{n:04d}.fit", "bias")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, hard))
    try:
        reduced = reduce_night(folder, page=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not reduced.failed
    (bias,) = reduced.folder.glob("masters/bias_*.fits")
    assert fits.getheader(bias)["NCOMBINE"] == 200


@pytest.mark.parametrize(("step", "told"), [(0.0, False), (1.0, True)])
def test_a_bias_that_drifts_through_the_night_is_told(tmp_path, step, told):
    folder = tmp_path / "night"
    rng = np.random.default_rng(2)
    for n in range(9):
        pixels = rng.normal(300 + step * n, 4, (48, 64)).round().astype(np.uint16)
        date = f"2024-03-02T0{n}:00:00"
        write_frame(
            folder, f"bias_{n}.fit", "bias", pixels=pixels, **{"DATE-OBS": date}
        )
    reduced = reduce_night(folder, page=False)
    (outcome,) = reduced.report.outcomes.values()
    assert outcome.n_used == 9
    assert outcome.statistics["drift"] == pytest.approx(6 * step, abs=0.7)
    assert any("drifts by" in caveat for caveat in map(str, outcome.remarks)) is told


def test_however_many_frames_are_left_out_the_master_is_made_and_names_them(tmp_path):
    folder = tmp_path / "night"
    saturated = np.full((48, 64), 65535, np.uint16)
    saturated[0] = 65000
    for n in range(150):
        write_frame(folder, f"flat_{n:04d}.fit", "flat", 2, pixels=saturated)
    for n in range(4):
        write_frame(folder, f"flat_{n:04d}.fits", "flat", 2)
        write_frame(folder, f"bias_{n:04d}.fit", "bias")
    reduced = reduce_night(folder, page=False)
    assert not reduced.failed
    (flat,) = reduced.folder.glob("masters/flat_*.fits")
    assert fits.getheader(flat)["NLEFTOUT"] == 150
    assert (fits.getdata(flat, extname="INPUTS")["weight"] == 0).sum() == 150


@pytest.mark.parametrize(
    ("need", "processes", "shares", "idle"),
    [(100_000_000, 8, 9, 0), (400_000_000, 3, 4, 0), (900_000_000, 3, 1, 3)],
)
def test_processes_and_the_masters_that_each_keeps_fit_into_the_memory(
    tmp_path, monkeypatch, need, processes, shares, idle
):
    """Of 1 GiB 0.91 GB are left for pixels on eight cores: 8, 2 or 1 lights at a time.

    A single one is made in the first process, and what the others take is not kept.
    """
    started, kept, memories = [], [], []

    class NoWorkers(Workers):
        def start(self, n):
            started.append(n)

    def store(capacity=0):
        kept.append(capacity)
        return MasterStore(capacity)

    def workspace(*words, **more):
        memories.append(words[3])
        return Workspace(*words, **more)

    place = "autoreduce.running.execute"
    monkeypatch.setattr(f"{place}.Workspace", workspace)
    monkeypatch.setattr(f"{place}.os.cpu_count", lambda: 8)
    monkeypatch.setattr(f"{place}.LARGE", 0)
    monkeypatch.setattr(f"{place}._largest_need", lambda _: need)
    monkeypatch.setattr(f"{place}.Workers", NoWorkers)
    monkeypatch.setattr(f"{place}.MasterStore", store)
    prepared = prepare_night(write_night(tmp_path / "night"))
    limits = Limits(memory=1 << 30, processes=True)
    (tmp_path / "out").mkdir()
    outcomes = run_plan(prepared.plan, tmp_path / "out", limits=limits)
    assert all(outcome.made for outcome in outcomes.values())
    assert started == [processes]
    room = (1 << 30) - (160 << 20) - idle * (72 << 20)
    assert kept[0] == int(0.4 * room) // shares
    if shares == 1:
        assert memories[0] + kept[0] == room


@pytest.mark.parametrize("filters", ["R", "RV"])
def test_a_process_is_given_all_of_a_stack_while_others_have_as_much_to_do(
    tmp_path, monkeypatch, filters
):
    """Two stacks of three lights are made side by side, a single one in bands."""
    whole = {}

    class NoWorkers(Workers):
        def start(self, n):
            """Leave the work to this process."""

    def noting(task, workspace, *rest):
        whole.setdefault(task.action, set()).add(workspace.whole)
        return run_task(task, workspace, *rest)

    place = "autoreduce.running.execute"
    monkeypatch.setattr(f"{place}.os.cpu_count", lambda: 2)
    monkeypatch.setattr(f"{place}.LARGE", 0)
    monkeypatch.setattr(f"{place}.Workers", NoWorkers)
    monkeypatch.setattr(f"{place}.run_task", noting)
    night = tmp_path / "night"
    for n in range(3):
        for name in filters:
            write_frame(night, f"{name}_{n}.fit", "light", 60.0, FILTER=name)
    prepared = prepare_night(night)
    (tmp_path / "out").mkdir()
    run_plan(prepared.plan, tmp_path / "out", limits=Limits(processes=True))
    assert whole[Action.CALIBRATE] == {True}
    assert whole[Action.REGISTER] == {False}
    assert whole[Action.STACK] == {len(filters) == 2}


TAKEN_ELSEWHERE = """
import os, signal, threading, time
from concurrent.futures import Future
from autoreduce.cli import _interrupt
from autoreduce.errors import Interrupted
from autoreduce.running.execute import _some_done

def send():
    time.sleep(0.5)
    signal.raise_signal(signal.SIGTERM)
    time.sleep(60)

signal.signal(signal.SIGTERM, _interrupt)
threading.Thread(target=send, daemon=True).start()
try:
    _some_done([Future()], None)
except Interrupted:
    print("heard", flush=True)
os._exit(0)
"""
"""Waits for a task that never ends while another thread takes a signal."""


def test_a_signal_that_another_thread_takes_ends_the_wait_for_tasks():
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_ELSEWHERE],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "heard\n", done.stderr
