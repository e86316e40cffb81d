"""The same tasks on a Dask cluster on this machine."""

import signal
import subprocess
import sys
import time
import warnings
from threading import Lock, Thread
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_night

from autoreduce.errors import PlanError
from autoreduce.reduction import reduce_night
from autoreduce.running import execute
from autoreduce.running.cluster import Watch
from autoreduce.running.execute import Limits

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture
def scheduler():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            protocol="tcp://",
            host="127.0.0.1",
        )
    with cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_cluster_makes_the_same_products(tmp_path, scheduler):
    night = write_night(tmp_path / "night")
    here = reduce_night(night, output=tmp_path / "here", page=False)
    there = reduce_night(
        night,
        output=tmp_path / "there",
        limits=Limits(scheduler=scheduler),
        page=False,
    )
    assert not there.failed
    for path in sorted(here.folder.rglob("*.fit*")):
        other = there.folder / path.relative_to(here.folder)
        np.testing.assert_array_equal(fits.getdata(path), fits.getdata(other))
        assert fits.getheader(path)["DIGEST"] == fits.getheader(other)["DIGEST"]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    night = write_night(tmp_path / "night")
    limits = Limits(scheduler="tcp://127.0.0.1:9", scheduler_timeout=1)
    with pytest.raises(PlanError, match=r"no Dask scheduler answers at tcp://127"):
        reduce_night(night, limits=limits, page=False)


@pytest.fixture
def bare_scheduler():
    """Start a scheduler without workers, in a process of its own."""
    code = (
        "import asyncio, distributed\n"
        "async def main():\n"
        "    async with distributed.Scheduler(\n"
        "        host='127.0.0.1', port=0, dashboard_address=None\n"
        "    ) as one:\n"
        "        print(one.address, flush=True)\n"
        "        await one.finished()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.address = process.stdout.readline().strip()
        yield process
        process.kill()


QUIET = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::RuntimeWarning"
)


@QUIET
def test_a_cluster_without_workers_ends_the_run_in_words(tmp_path, bare_scheduler):
    night = write_night(tmp_path / "night")
    limits = Limits(scheduler=bare_scheduler.address, scheduler_timeout=1)
    begin = time.monotonic()
    with pytest.raises(PlanError, match=r"is lost .no worker for 1 s"):
        reduce_night(night, limits=limits, page=False)
    assert time.monotonic() - begin < 15


PAUSED = {"status": "paused", "metrics": {"task_counts": {"ready": 3}}}
BUSY = {"status": "paused", "metrics": {"task_counts": {"executing": 1}}}


def newer(workers):
    """Tell of workers as Dask does: of some only, if it is not asked for all."""
    return lambda n_workers=5: workers[: None if n_workers < 0 else n_workers]


def older(workers):
    return lambda: workers


def looked_at(workers, dask=newer):
    """Look after a cluster with such workers for longer than it may be without any."""
    tell = dask(workers)

    def scheduler_info(**asked):
        return {"workers": dict(enumerate(tell(**asked)))}

    client = SimpleNamespace(status="running", scheduler_info=scheduler_info)
    watch = Watch(client, "tcp://there", 0.01)
    watch.look()
    time.sleep(0.03)
    watch.look()


@pytest.mark.parametrize("dask", [newer, older])
def test_workers_that_all_pause_for_want_of_memory_end_the_run_in_words(dask):
    with pytest.raises(PlanError, match=r"all workers pause.*--memory-limit"):
        looked_at([PAUSED] * 7, dask)


@pytest.mark.parametrize("other", [{"status": "running"}, BUSY])
def test_workers_that_work_or_may_do_so_are_waited_for(other):
    looked_at([PAUSED] * 6 + [other])


@QUIET
def test_a_scheduler_that_is_killed_ends_the_run_in_words(
    tmp_path, bare_scheduler, caplog
):
    night = write_night(tmp_path / "night")
    limits = Limits(scheduler=bare_scheduler.address, scheduler_timeout=3)

    def kill(*_):
        bare_scheduler.kill()

    begin = time.monotonic()
    with pytest.raises(PlanError, match=r"is lost .(no|its) scheduler"):
        reduce_night(night, limits=limits, page=False, progress=kill)
    assert time.monotonic() - begin < 20
    assert not [one for one in caplog.records if one.name == "distributed.client"]


@QUIET
def test_an_address_that_is_none_is_named(tmp_path):
    night = write_night(tmp_path / "night")
    for address in ("nonsense", "tcp://127.0.0.1:port", "x://y"):
        limits = Limits(scheduler=address, scheduler_timeout=1)
        with pytest.raises(PlanError, match="no Dask scheduler answers"):
            reduce_night(night, limits=limits, page=False)


@pytest.fixture
def stuck_worker(bare_scheduler, tmp_path):
    """Start a worker whose tasks never end; ``begun`` tells when it has one."""
    code = (
        "import asyncio, pathlib, sys, time, distributed\n"
        "from autoreduce.running import execute\n"
        "def endless(*_):\n"
        "    pathlib.Path(sys.argv[2]).touch()\n"
        "    time.sleep(600)\n"
        "execute._ended = endless\n"
        "async def main():\n"
        "    async with distributed.Worker(sys.argv[1], nthreads=1) as one:\n"
        "        await one.finished()\n"
        "asyncio.run(main())\n"
    )
    begun = tmp_path / "begun"
    command = [sys.executable, "-W", "ignore", "-c", code]
    with subprocess.Popen(
        [*command, bare_scheduler.address, str(begun)], stderr=subprocess.DEVNULL
    ) as process:
        process.begun = begun
        yield process
        process.kill()


def when_begun(worker, act):
    """Act as soon as a worker has a task, in a thread of its own."""

    def watch():
        while not worker.begun.exists():
            time.sleep(0.05)
        act()

    Thread(target=watch, daemon=True).start()


@QUIET
def test_workers_that_are_killed_in_mid_run_end_it_in_words(
    tmp_path, bare_scheduler, stuck_worker
):
    night = write_night(tmp_path / "night")
    limits = Limits(scheduler=bare_scheduler.address, scheduler_timeout=3)
    half = tmp_path / "night_reduced" / "masters" / ".bias.fits.abcd1234.part.fits"

    def kill():
        half.parent.mkdir(exist_ok=True)
        half.touch()
        stuck_worker.kill()

    when_begun(stuck_worker, kill)
    begin = time.monotonic()
    with pytest.raises(PlanError, match=r"is lost .no worker for 3 s.*same command"):
        reduce_night(night, limits=limits, page=False)
    assert stuck_worker.begun.exists()
    assert not half.exists()
    assert time.monotonic() - begin < 30
    # What the words promise: it goes on from here.
    assert not reduce_night(night, page=False).failed


@QUIET
def test_sigint_ends_a_run_on_a_cluster(tmp_path, bare_scheduler, stuck_worker):
    night = write_night(tmp_path / "night")
    words = [str(night), "--scheduler", bare_scheduler.address, "--no-report"]
    command = [sys.executable, "-W", "ignore", "-m", "autoreduce", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        when_begun(stuck_worker, lambda: run.send_signal(signal.SIGINT))
        told = run.communicate(timeout=60)[1]
    assert run.returncode == 130
    assert "Traceback" not in told
    assert not list((tmp_path / "night_reduced").rglob("*.part"))


@pytest.fixture
def two_threads():
    """Lend a worker of two threads in this process, with a limit of its own.

    What the suite holds in this process is not to make it pause.
    """
    never = {"distributed.worker.memory.pause": False}
    with warnings.catch_warnings(), dask.config.set(never):
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            memory_limit="400MiB",
            dashboard_address=None,
            protocol="tcp://",
            host="127.0.0.1",
        )
    with cluster:
        yield cluster.scheduler_address


MIB = 1 << 20


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("memory", "need", "share", "most"),
    [
        (None, MIB, 100 * MIB, 2),
        (60 * MIB, MIB, 30 * MIB, 2),
        (60 * MIB, 40 * MIB, 60 * MIB, 1),
    ],
    ids=["half of its limit", "what is given", "no room for two frames"],
)
def test_tasks_of_a_worker_share_what_it_may_use(
    tmp_path, two_threads, monkeypatch, memory, need, share, most
):
    night = write_night(tmp_path / "night")
    under_way, seen, lock = [], [], Lock()
    real = execute._ended

    def watched(task, workspace, *rest):
        with lock:
            under_way.append(task.output)
            seen.append((workspace.memory, workspace.store._capacity, len(under_way)))
        time.sleep(0.05)
        try:
            return real(task, workspace, *rest)
        finally:
            with lock:
                under_way.remove(task.output)

    monkeypatch.setattr(execute, "_ended", watched)
    monkeypatch.setattr(execute, "_largest_need", lambda _plan: need)
    limits = Limits(scheduler=two_threads, memory=memory)
    assert not reduce_night(night, limits=limits, page=False).failed
    assert {bands + kept for bands, kept, _ in seen} == {share}
    assert max(n for *_, n in seen) == most
