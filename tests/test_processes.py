"""Worker processes: the same products, whatever becomes of the workers."""

import gc
import gzip
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, call

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from small_night import write_night

from autoreduce.calibration.workspace import Workspace, side_by_side
from autoreduce.planning.plan import Action
from autoreduce.planning.recipe import load_recipe
from autoreduce.prepare import prepare_night
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits, Status, run_plan
from autoreduce.running.machine import share_one_heap
from autoreduce.running.processes import worker_processes
from autoreduce.running.server import PRELOADED, READING, server_context, start_for
from autoreduce.running.tasks import run_task


def own_process():
    return os.getpid()


def die_elsewhere(process):
    if os.getpid() != process:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done here"


def keep_memory():
    """Fill a heap, and free all of it but its end: what is below stays in the process."""
    share_one_heap()
    blocks = [np.ones(1 << 17) for _ in range(200)]
    rest[:] = blocks[-1:]
    del blocks
    return os.getpid()


rest = []


def resident_mb(process):
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def make_workspace(folder, processes):
    return Workspace(
        folder, folder, load_recipe("default"), 1 << 20, processes=processes
    )


def products_of(night):
    return sorted(night.folder.rglob("*.fit*"))


@pytest.fixture
def workers():
    with worker_processes(1) as pool:
        yield pool


def test_workers_look_for_garbage_as_python_does(workers):
    assert workers.submit(gc.get_threshold).result() == (700, 10, 10)


@pytest.mark.parametrize("packed", [False, True])
def test_processes_make_the_same_products(tmp_path, monkeypatch, packed):
    night = write_night(tmp_path / "night")
    for path in night.rglob("*.fit") if packed else ():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    here = reduce_night(night, output=tmp_path / "here")
    monkeypatch.setattr("autoreduce.running.execute.LARGE", 0)
    started = []
    monkeypatch.setattr(
        "autoreduce.running.processes.worker_processes",
        lambda n: started.append(n) or worker_processes(n),
    )
    given_back = []
    monkeypatch.setattr(
        "autoreduce.running.execute.give_back", lambda: given_back.append(1)
    )
    limits = Limits(jobs=2, processes=True)
    there = reduce_night(night, output=tmp_path / "there", limits=limits)
    assert started == [2]
    assert not there.failed
    assert len(given_back) >= len(list(there.folder.glob("masters/*.fits"))) > 0
    drawn = [re.findall('src="data:[^"]*"', night.page.read_text())
             for night in (here, there)]  # fmt: skip
    assert len(drawn[0]) >= len(products_of(here))
    assert drawn[0] == drawn[1]
    products = products_of(here)
    assert any("stacks" in path.parts for path in products)
    for path in products:
        other = there.folder / path.relative_to(here.folder)
        np.testing.assert_array_equal(fits.getdata(path), fits.getdata(other))
        assert fits.getheader(path)["DIGEST"] == fits.getheader(other)["DIGEST"]
    # What is current needs no processes.
    reduce_night(night, output=tmp_path / "there", limits=limits, page=False)
    assert started == [2]


def test_masters_without_a_frame_left_are_told_by_processes_too(
    tmp_path, monkeypatch, caplog
):
    """Darks of 2 and 60 s: a master for each of two processes."""
    night = write_night(tmp_path / "night", without=("flat",))
    prepared = prepare_night(night)
    for path in night.glob("*dark*"):
        os.truncate(path, 2880)
    monkeypatch.setattr("autoreduce.running.execute.LARGE", 0)
    given, apart = [], Workspace.apart

    def noted(self, function, *args):
        given.extend([args[0].action] if function is run_task else [])
        return apart(self, function, *args)

    monkeypatch.setattr(Workspace, "apart", noted)
    (tmp_path / "out").mkdir()
    limits = Limits(jobs=2, processes=True)
    outcomes = run_plan(prepared.plan, tmp_path / "out", limits=limits)
    assert sorted(given) == [Action.CALIBRATE] * 3 + [Action.DARK] * 2
    failed = [one for one in outcomes.values() if one.status is Status.FAILED]
    assert [why.code for one in failed for why in one.remarks] == ["no-frame-left"] * 2
    assert sorted(file for one in failed for file in one.left_out) == sorted(
        path.name for path in night.glob("*dark*")
    )
    assert "killed" not in caplog.text


def test_only_large_nights_have_the_server_started(tmp_path, monkeypatch):
    started = []
    started_already = SimpleNamespace(currsize=0)
    server = lambda _preloaded: started.append(1)
    server.cache_info = lambda: started_already
    monkeypatch.setattr("autoreduce.running.server.server_context", server)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "frame.fits").write_bytes(bytes(1000))
    start_for([tmp_path])
    assert not started
    monkeypatch.setattr("autoreduce.running.server.LARGE", 499)
    start_for([tmp_path])
    assert started == [1]
    started_already.currsize = 1
    start_for([tmp_path])
    assert started == [1]


def test_many_files_have_the_server_started(tmp_path, monkeypatch):
    server = Mock()
    server.cache_info.return_value = SimpleNamespace(currsize=0)
    monkeypatch.setattr("autoreduce.running.server.server_context", server)
    monkeypatch.setattr("autoreduce.running.server.MANY", 3)
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(10))
    start_for([tmp_path], READING)
    assert not server.called
    (tmp_path / "d").write_bytes(bytes(10))
    start_for([tmp_path])
    start_for([tmp_path], READING)
    assert server.call_args_list == [call(PRELOADED), call(READING)]


@pytest.fixture
def in_parts(monkeypatch):
    """Read two files at a time, and list the processes that are started for it."""
    monkeypatch.setattr("autoreduce.frames.cache._TOGETHER", 2)
    started = []
    monkeypatch.setattr(
        "autoreduce.running.processes.worker_processes",
        lambda n, preloaded: started.append(n) or worker_processes(n, preloaded),
    )
    return started


def assert_planned_alike(one, other):
    pd.testing.assert_frame_equal(one.frames, other.frames)
    pd.testing.assert_frame_equal(one.night.evidence, other.night.evidence)
    pd.testing.assert_frame_equal(one.night.unreadable, other.night.unreadable)
    assert one.plan == other.plan


def test_many_files_are_read_by_processes_with_the_same_plan(tmp_path, in_parts):
    night = write_night(tmp_path / "night")
    first = min(night.rglob("*.fit"))
    first.with_name(f"copy_of_{first.name}").write_bytes(first.read_bytes())
    first.with_name("notes.fit").write_text("no FITS file")
    here = prepare_night(night)
    assert not in_parts
    assert "copy" in set(here.frames["code"].dropna())
    assert len(here.night.unreadable) == 1
    assert_planned_alike(prepare_night(night, jobs=2), here)
    assert in_parts == [2]


def test_files_of_killed_readers_are_read_here(tmp_path, in_parts, monkeypatch, caplog):
    night = write_night(tmp_path / "night")
    here = prepare_night(night)

    def killed(n, preloaded):
        pool = worker_processes(n, preloaded)
        return _killed_at_once(pool)

    monkeypatch.setattr("autoreduce.running.processes.worker_processes", killed)
    assert_planned_alike(prepare_night(night, jobs=2), here)
    assert "no worker process" in caplog.text


@contextmanager
def _killed_at_once(lent):
    with lent as pool:
        with suppress(BrokenExecutor):
            pool.submit(die_elsewhere, os.getpid()).result()
        yield pool


def die_while_sending():
    """Have this worker killed in the middle of its result, as where memory runs out."""

    def half(self, buf, *_):
        os.write(self.fileno(), bytes(buf[: len(buf) // 2]))
        os.kill(os.getpid(), signal.SIGKILL)

    connection.Connection._send = half


def test_a_worker_that_is_killed_while_it_sends_a_result_is_noticed(monkeypatch):
    monkeypatch.setattr("autoreduce.running.processes._NOTICED_S", 0.5)
    with worker_processes(2) as pool:
        doomed = pool.submit(die_while_sending)
        with pytest.raises(BrokenExecutor):
            doomed.result(timeout=60)
    with worker_processes(2) as pool:
        doomed = pool.submit(die_while_sending)
    assert isinstance(doomed.exception(timeout=1), BrokenExecutor)


def fill_with_holes():
    """Fill a heap with so many holes that it takes a while to look through them."""
    rest[:] = [bytes(9000) for _ in range(20000)][::2]


def cpu_s(process):
    used = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="needs the heap of glibc")
def test_a_worker_without_work_looks_for_memory_once(workers):
    process = workers.submit(own_process).result()
    workers.submit(fill_with_holes).result()
    time.sleep(1)
    before = cpu_s(process)
    time.sleep(2)
    assert cpu_s(process) - before < 0.04


def descendants(pid):
    """List the processes that a process has started, and those that they have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(
                stat.read_text().rpartition(")")[2].split()[1]
            )
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_plan_that_is_interrupted_leaves_no_reader(tmp_path):
    night = tmp_path / "night"
    night.mkdir()
    frame = min(write_night(tmp_path / "one").rglob("*.fit")).read_bytes()
    for n in range(3000):
        (night / f"{n:04d}.fit").write_bytes(frame)
    command = [sys.executable, "-m", "autoreduce", "plan", night, "-q"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        # One that watches resources, one that others come from, and two of these.
        while len(begun := descendants(process.pid)) < 4:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 143
    assert "Traceback" not in told
    assert "semaphore" not in told
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in begun):
        assert time.monotonic() < deadline
        time.sleep(0.05)


INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
from autoreduce.cli import _interrupt
from autoreduce.errors import Interrupted
from autoreduce.running.processes import reading_processes

def slow(item):
    Path(sys.argv[1], f"{item}.{os.getpid()}").touch()
    time.sleep(6)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, _interrupt)
    try:
        with reading_processes(2) as each:
            list(each(slow, range(6)))
    except Interrupted:
        print(os.getpid(), flush=True)
        time.sleep(1)
        os._exit(130)
"""
"""Has six items of six seconds done by two processes."""


@pytest.mark.parametrize("to_group", [False, True])
def test_an_interrupt_waits_for_no_reader_and_nothing_is_done_again(tmp_path, to_group):
    script, begun = tmp_path / "script.py", tmp_path / "begun"
    script.write_text(INTERRUPTED)
    begun.mkdir()
    with subprocess.Popen(
        [sys.executable, script, begun],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while len(list(begun.iterdir())) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        send = os.killpg if to_group else os.kill
        send(process.pid, signal.SIGINT)
        at = time.monotonic()
        own = process.stdout.readline().strip()
        assert time.monotonic() - at < 4
        assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 130
    assert len(list(begun.iterdir())) == 2
    assert not list(begun.glob(f"*.{own}"))


def run_script(script):
    return subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


STARTING = """
import os
from autoreduce.errors import Interrupted
from autoreduce.running.processes import worker_processes

if __name__ == "__main__":
    try:
        with worker_processes(4):
            raise Interrupted(2)
    except Interrupted:
        os._exit(130)
"""
"""Is interrupted while its workers are being started."""


def test_no_worker_is_started_behind_an_interrupt(tmp_path):
    """It would not find what it shares with the others, and complain."""
    script = tmp_path / "script.py"
    script.write_text(STARTING)
    done = run_script(script)
    assert (done.returncode, done.stderr) == (130, "")


def interrupt_itself():
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_ends_no_worker_that_has_hardly_begun():
    """It would be found killed, and its work done again, before the run is ended."""
    worker = server_context(PRELOADED).Process(target=interrupt_itself)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0


def test_work_is_done_in_another_process(tmp_path, workers):
    workspace = make_workspace(tmp_path, workers)
    assert workspace.apart(own_process) != os.getpid()
    assert workspace.alone().apart(own_process) == os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the heap of glibc")
def test_a_worker_without_work_gives_its_memory_back(workers):
    process = workers.submit(keep_memory).result()
    assert resident_mb(process) > 200
    deadline = time.monotonic() + 10
    while resident_mb(process) > 150 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert resident_mb(process) < 150


def test_work_of_a_killed_worker_is_done_here(tmp_path, workers, caplog):
    workspace = make_workspace(tmp_path, workers)
    assert workspace.apart(die_elsewhere, os.getpid()) == "done here"
    assert "killed" in caplog.text
    assert workspace.apart(own_process) == os.getpid()
    assert "no worker process" in caplog.text


def test_work_is_done_here_where_nothing_starts_workers_any_more(tmp_path, caplog):
    pool = Mock()
    pool.submit.side_effect = EOFError("unexpected EOF")  # of a server that was killed
    assert make_workspace(tmp_path, pool).apart(own_process) == os.getpid()
    assert "no worker process" in caplog.text


def test_errors_of_a_worker_are_raised_here(tmp_path, workers):
    with pytest.raises(ZeroDivisionError):
        make_workspace(tmp_path, workers).apart(divmod, 1, 0)


def test_a_script_without_a_guard_works_without_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from autoreduce.running.processes import worker_processes\n"
        "from test_processes import make_workspace, own_process\n"
        "with worker_processes(1) as pool:\n"
        "    found = make_workspace(Path(), pool).apart(own_process)\n"
        "print(found == os.getpid(), 'started')\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "True started" in done.stdout


def test_workers_end_with_the_process_that_has_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\n"
        "from autoreduce.running.processes import worker_processes\n"
        "if __name__ == '__main__':\n"
        "    with worker_processes(1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = run_script(script)
    assert done.returncode == -signal.SIGKILL
    worker = int(done.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"worker {worker} is still there")


def test_side_by_side_keeps_the_order_and_makes_few_items_in_advance():
    made = []

    def items():
        for i in range(20):
            made.append(i)
            yield i

    results = side_by_side(2, lambda i: i**2, items())
    assert next(results) == 0
    assert made == [0, 1, 2]
    assert list(results) == [i**2 for i in range(1, 20)]


def test_the_error_of_an_item_is_raised_in_its_turn():
    results = side_by_side(2, lambda i: 1 / i, [1, 2, 0, 4])
    assert next(results) == 1
    assert next(results) == 0.5
    with pytest.raises(ZeroDivisionError):
        next(results)
