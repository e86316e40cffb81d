"""Where tasks work: masters in memory do not make two workspaces differ."""

import pickle

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


def test_each_task_has_its_own_say():
    first, second = TaskResult(), TaskResult()
    assert first == second
    assert first.statistics is not second.statistics
