"""One run owns an output folder, and a dead one owns nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner
from small_night import write_night

from autoreduce.cli import cli
from autoreduce.errors import FolderHeldError, InputError, ProductError
from autoreduce.running import lock
from autoreduce.running.lock import LOCK, Holder, held

HOLD = """
import sys, time
from pathlib import Path
from autoreduce.running.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Start another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_free_folder_is_held_and_freed(tmp_path):
    with held(tmp_path):
        told = json.loads((tmp_path / LOCK).read_text())
        assert told["process"] == os.getpid()
    assert (tmp_path / LOCK).read_text() == ""
    with held(tmp_path):
        pass


def test_what_is_refused_is_not_taken_for_broken_off(tmp_path):
    for error, told in ((InputError, False), (ProductError, True), (OSError, True)):
        with pytest.raises(error), held(tmp_path):
            raise error
        assert bool((tmp_path / LOCK).read_text()) is told


def test_a_second_run_says_who_holds_the_folder(tmp_path, other):
    with pytest.raises(FolderHeldError, match=rf"process {other.pid} .*--wait"):
        held(tmp_path).__enter__()


def test_within_a_process_a_folder_is_held_once(tmp_path):
    with held(tmp_path), pytest.raises(FolderHeldError):
        held(tmp_path).__enter__()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()


def test_a_run_that_waits_gets_the_folder(tmp_path, other, monkeypatch):
    monkeypatch.setattr(lock, "ASK_AGAIN_S", 0.02)
    threading.Timer(0.3, other.kill).start()
    begin = time.monotonic()
    with held(tmp_path, wait=True):
        assert time.monotonic() - begin >= 0.25


def test_a_spoilt_lock_file_holds_nobody_up(tmp_path):
    (tmp_path / LOCK).write_text('{"process": ')
    with held(tmp_path):
        pass


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(ProductError, match="cannot be written"):
        held(tmp_path).__enter__()
    assert (tmp_path / "precious").read_text() == "mine"


def no_locks(*_):
    raise OSError(37, "No locks available")


@pytest.mark.parametrize(
    ("process", "host", "is_free"),
    [(1, None, False), (2**22 - 1, None, True), (2**22 - 1, "elsewhere", False)],
)
def test_without_locks_of_the_file_system_the_process_is_looked_for(
    tmp_path, monkeypatch, process, host, is_free
):
    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    this = Holder.this()
    told = {"process": process, "host": host or this.host, "start": this.start}
    (tmp_path / LOCK).write_text(json.dumps(told))
    if is_free:
        with held(tmp_path):
            pass
    else:
        with pytest.raises(FolderHeldError, match=f"process {process} on"):
            held(tmp_path).__enter__()


def test_a_second_reduction_ends_with_status_3_and_touches_nothing(tmp_path):
    night = write_night(tmp_path / "night")
    folder = tmp_path / "products"
    folder.mkdir()
    with held(folder):
        done = CliRunner().invoke(cli, [str(night), "-o", str(folder), "-q"])
    assert done.exit_code == 3
    assert f"process {os.getpid()}" in done.output
    assert [path.name for path in folder.iterdir()] == [LOCK]
    done = CliRunner().invoke(cli, [str(night), "-o", str(folder), "-q", "--wait"])
    assert done.exit_code == 0


def test_a_folder_whose_first_run_was_killed_at_once_is_ours(tmp_path):
    night = write_night(tmp_path / "night")
    folder = tmp_path / "products"
    folder.mkdir()
    with held(folder):
        pass
    done = CliRunner().invoke(cli, [str(night), "-o", str(folder), "-q"])
    assert done.exit_code == 0
    (folder / LOCK).unlink()
    for path in folder.glob("*.csv"):
        path.unlink()
    done = CliRunner().invoke(cli, [str(night), "-o", str(folder), "-q"])
    assert done.exit_code == 1
    assert "did not make" in done.output
