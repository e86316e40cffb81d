"""Where tasks work: masters in memory do not make two workspaces differ."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import sleep

import pytest

from autoreduce.calibration.store import MasterStore
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.planning.recipe import load_recipe


def test_a_workspace_is_known_by_what_decides_the_pixels(tmp_path):
    one, two = (
        Workspace(tmp_path, tmp_path, load_recipe(), 1 << 20, store=MasterStore(size))
        for size in (0, 1 << 20)
    )
    assert one == two
    assert one != Workspace(tmp_path, tmp_path, load_recipe(), 1 << 20, planes=True)


def test_a_workspace_travels_to_another_process(tmp_path):
    workspace = Workspace(tmp_path, tmp_path, load_recipe(), 1 << 20)
    assert pickle.loads(pickle.dumps(workspace)) == workspace


def test_patterns_name_raw_frames_and_none_of_other_products(tmp_path):
    frames = {
        "masters/flat_R.fits": ("evening_1.fit", "evening_2.fit", "morning_5.fit"),
        "masters/flat_V.fits": ("evening_3.fit", "morning_4.fit"),
        "calibrated/M13.fits": ("mon/M13.fits.gz",),
    }
    workspace = Workspace(tmp_path, tmp_path, load_recipe(), 100, frames=frames)
    assert workspace.pattern_of(["evening_1.fit", "evening_2.fit"]) == (
        "evening_1.fit,evening_2.fit"
    )
    assert workspace.pattern_of(["calibrated/M13.fits"]) == "mon/M13.fits.gz"


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("n_bytes", "most"), [(33, 3), (50, 2), (1000, 1)])
def test_no_more_run_at_once_than_memory_has_room_for(tmp_path, apart, n_bytes, most):
    running, seen, lock = [], [], Lock()

    def work(item):
        with lock:
            running.append(item)
            seen.append(len(running))
        sleep(0.05)
        with lock:
            running.remove(item)
        return item

    with ThreadPoolExecutor(4) as pool:
        processes = pool if apart else None
        workspace = Workspace(
            tmp_path, tmp_path, load_recipe(), 100, threads=3, processes=processes
        )
        assert list(workspace.each(work, range(9), n_bytes=n_bytes)) == list(range(9))
    assert max(seen) <= most


def test_each_task_has_its_own_say():
    first, second = TaskResult(), TaskResult()
    assert first == second
    assert first.statistics is not second.statistics
