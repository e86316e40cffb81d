"""How a command ends: by signals, by full disks and closed pipes, in words."""

import errno
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_night import write_frame, write_night
from tool_files import write_fits

from autoreduce.cli import cli
from autoreduce.errors import ProductError
from autoreduce.fits.whole import parts_in, write_text
from autoreduce.prepare import make_folder
from autoreduce.reduction import reduce_night
from autoreduce.running.verify import verify

SLOW = """
import sys, time
from autoreduce.running import making
from autoreduce.cli import main

def slow(*args, make=making.make_plain):
    from autoreduce.fits.whole import replacing
    with replacing(args[1].folder / "masters" / "half.fits"):
        print("begun", flush=True)
        time.sleep(30)

making.make_plain = slow
main(sys.argv[1:])
"""
"""Reduces a night whose first master takes long."""


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return write_night(tmp_path_factory.mktemp("ending") / "night")


@pytest.fixture(scope="module")
def reduced(night):
    folder = night.with_name("reduced")
    reduce_night(night, output=folder, page=False)
    return folder


def start(*words, **options):
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*words, redirect="", **options):
    """Run the command in a shell, as an observer does."""
    command = f"{sys.executable} -m autoreduce {' '.join(map(str, words))} {redirect}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


# ------------------------------------------------------------------ signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_at_once_and_leaves_nothing_half_made(
    night, tmp_path, number
):
    process = start("-c", SLOW, night, "-o", tmp_path / "products")
    assert process.stdout.readline() == "begun\n"
    begin = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5
    assert process.returncode == 128 + number
    assert told.startswith("interrupted: ")
    assert told.endswith("; the same command goes on from here\n")
    assert "Traceback" not in told
    assert parts_in(tmp_path / "products" / "masters") == []
    done = CliRunner().invoke(cli, [str(night), "-o", str(tmp_path / "products")])
    assert done.exit_code == 0
    assert verify(tmp_path / "products") == []


# ------------------------------------------------------------------ disks


@pytest.mark.parametrize("n_bytes", [2_000, 40_000])
def test_a_disk_that_is_full_is_told(night, tmp_path, n_bytes):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    done = run(night, "-o", tmp_path / "products", preexec_fn=limit)
    assert done.returncode == 1
    assert "could not be written: File too large" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    assert all(
        not parts_in(folder)
        for folder in (tmp_path / "products").rglob("*")
        if folder.is_dir()
    )


@pytest.mark.parametrize(
    "name", ["autoreduce.log", "report.html", "lights.csv", "plan.json", "ledger.json"]
)
def test_what_cannot_be_written_is_named(night, tmp_path, name):
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / ".autoreduce.lock").touch()
    (tmp_path / "products" / name).mkdir()
    done = CliRunner().invoke(cli, [str(night), "-o", str(tmp_path / "products")])
    assert done.exit_code == 1
    assert f"{name} c" in done.output  # cannot, or could not
    assert isinstance(done.exception, SystemExit)


def test_without_a_report_the_summary_is_told_all_the_same(night, tmp_path):
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / ".autoreduce.lock").touch()
    (tmp_path / "products" / "report.html").mkdir()
    words = [str(night), "-o", str(tmp_path / "products")]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "no report: " in done.output
    assert "3 calibrated lights" in done.output
    (tmp_path / "products" / "report.html").rmdir()
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert (tmp_path / "products" / "report.html").is_file()


@pytest.mark.parametrize("name", ["output", "product"])
def test_a_file_system_without_utf_8_names_is_called_that(tmp_path, monkeypatch, name):
    def refuse(*_, **__):
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ))

    monkeypatch.setattr(Path, "mkdir", refuse)
    write = make_folder if name == "output" else partial(write_text, text="")
    with pytest.raises(ProductError, match="file system takes no names in UTF-8"):
        write(tmp_path / "Müller" / name)


def test_a_log_that_ends_early_costs_no_product(night, tmp_path):
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / ".autoreduce.lock").touch()
    log = tmp_path / "products" / "autoreduce.log"
    log.write_bytes(b"x" * 200_000)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = run(night, "-o", tmp_path / "products", preexec_fn=limit)
    assert done.returncode == 0
    assert "autoreduce.log: is not complete: File too large" in done.stdout
    assert done.stderr == ""


def test_a_log_that_is_a_link_is_replaced_and_not_followed(night, tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / ".autoreduce.lock").touch()
    log = tmp_path / "products" / "autoreduce.log"
    log.symlink_to(tmp_path / "precious")
    done = CliRunner().invoke(cli, [str(night), "-o", str(tmp_path / "products")])
    assert done.exit_code == 0
    assert (tmp_path / "precious").read_text() == "mine"
    assert not log.is_symlink()


# ------------------------------------------------------------------ standard output


@pytest.mark.parametrize(
    ("redirect", "status", "told"),
    [
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("| true", 0, ""),
        ("| head -1", 0, ""),
        ("> /dev/full", 1, "No space left on device"),
    ],
)
def test_standard_output_may_be_closed_full_or_cut(
    night, tmp_path, redirect, status, told
):
    if "full" in redirect and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = ("plan", night) if "1" in redirect else (night, "--no-report")
    done = run(*words, "-o", tmp_path / "a", redirect=redirect)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == bool(told)
    assert verify(tmp_path / "a") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("n_cards", [1, 300])
def test_a_full_standard_output_is_told_once_whatever_is_written(tmp_path, n_cards):
    cards = {f"K{n}": "x" * 60 for n in range(n_cards)}
    path = write_fits(tmp_path / "a.fit", np.zeros((2, 2)), **cards)
    done = run("log", path, redirect="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: standard output: No space left on device"
    ]


@pytest.mark.parametrize("redirect", ["| true", "2>&1 | true"])
def test_work_goes_on_though_nobody_reads_what_is_told(night, tmp_path, redirect):
    words = ("rename", night, "--copy", "-o", tmp_path / "new")
    done = run(*words, redirect=redirect)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.glob("new.*.fit"))) == len(list(night.iterdir()))


def test_names_that_are_not_in_utf_8_are_told_as_they_are(night, tmp_path):
    odd = os.fsencode(tmp_path) + b"/Andr\xe9.fit"
    shutil.copy(next(night.iterdir()), odd)
    done = run("rename", tmp_path, "-o", tmp_path / "new", redirect="| od -An -v -tx1")
    assert (done.returncode, done.stderr) == (0, "")
    assert b"/Andr\xe9.fit -> " in bytes.fromhex(done.stdout)
    assert not os.path.lexists(odd)
    done = run("rename", "--undo", tmp_path / "new.rename.log", redirect="> /dev/null")
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.lexists(odd)


def test_names_that_are_not_in_utf_8_are_escaped_in_json(tmp_path):
    odd = tmp_path / os.fsdecode(b"Andr\xe9.fit")
    shutil.copy(write_fits(tmp_path / "a.fit", np.zeros((2, 2)), OBJECT="a"), odd)
    table = tmp_path / "t.json"
    done = run("log", tmp_path, "-k", "OBJECT", "--json", "-o", table)
    assert (done.returncode, done.stderr) == (0, "")
    told = run("log", tmp_path, "-k", "OBJECT", "--json", redirect="| od -An -v -tx1")
    assert bytes.fromhex(told.stdout) == table.read_bytes()
    assert b"Andr\\udce9.fit" in table.read_bytes()
    names = [row["Filename"] for row in json.loads(table.read_text("utf-8"))]
    assert sorted(map(os.fsencode, names)) == [b"Andr\xe9.fit", b"a.fit"]


# ------------------------------------------------------------------ exit status


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 0),
        (["--exclude", "*"], 1),
        (["--exclude", "nope"], 2),
        (["--set", "*: nope=3"], 2),
        (["--set", "*: trimsec=T"], 2),
        (["--set", "*: exptime=1e308"], 2),
        (["--recipe", "nope"], 2),
        (["--fail-on", "nope"], 2),
        (["--fail-on", "left-out,missing"], 0),
        (["--fail-on", "left-out", "--exclude", "light_0001"], 1),
        (["--fail-on", "missing", "--exclude", "light_0001"], 0),
        (["--fail-on", "missing", "--exclude", "flat_*"], 1),
        (["--strict", "--exclude", "flat_*"], 1),
    ],
)
def test_the_exit_status_tells_what_came_of_it(night, tmp_path, words, status):
    arguments = [str(night), "-o", str(tmp_path / "products"), "-q", *words]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == status, done.output
    assert (status == 2) == ("Error:" in done.output)


def test_damaged_frames_are_told_though_it_is_quiet(tmp_path):
    night = write_night(tmp_path / "night")
    (night / "torn.fit").write_bytes((night / "light_0001.fit").read_bytes()[:5000])
    words = [str(night), "-q", "--no-report"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "torn.fit: truncated" in done.stderr
    assert CliRunner().invoke(cli, [*words, "--fail-on", "damaged"]).exit_code == 1


def test_a_folder_named_like_a_command_is_reduced_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frame(tmp_path / "plan", "light_0001.fit", "light", 60.0)
    done = CliRunner().invoke(cli, ["plan"])
    assert done.exit_code == 2
    assert "To reduce the folder plan: autoreduce ./plan" in done.output
    assert CliRunner().invoke(cli, ["./plan", "-q"]).exit_code == 0


# ------------------------------------------------------------------ spoilt files of ours

BIAS = "masters/bias_1x1_m10C.fits"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\1",
        "[]",
        "3",
        "[" * 100_000,
        '{"outcomes": []}',
        '{"outcomes": 3}',
        json.dumps({"outcomes": {BIAS: 3}}),
        json.dumps({"outcomes": {BIAS: {"status": "done", "remarks": [3]}}}),
        json.dumps(
            {
                "outcomes": {
                    BIAS: {
                        "status": "done",
                        "remarks": [],
                        "outputs": [],
                        "left_out": [],
                    }
                }
            }
        ),
    ],
)
def test_a_spoilt_plan_has_all_made_again(night, reduced, tmp_path, caplog, text):
    words = [str(night), "-o", str(tmp_path / "products"), "-q", "--no-report"]
    shutil.copytree(reduced, tmp_path / "products")
    (tmp_path / "products" / "plan.json").write_text(text)
    with caplog.at_level(logging.WARNING, "autoreduce"):
        done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert verify(tmp_path / "products") == []
    told = [one for one in caplog.messages if "is not used" in one or "anew" in one]
    assert len(told) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[dark]\nsection = '[1:2]'",
        "[bias]\nlow = nan",
        f"[bias]\nlow = 1{'0' * 400}",
        f"a = {'[' * 10_000}",
        f"a = 1{'0' * 5000}",
    ],
)
def test_a_recipe_that_makes_no_sense_is_wrong_usage(night, tmp_path, text):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    words = [str(night), "-o", str(tmp_path / "products"), "--recipe", str(recipe)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "Error: recipe" in done.output
    assert not os.path.lexists(tmp_path / "products")


SWALLOWED = """
import os, signal, sys, time
from autoreduce import cli

def planned(*args, **options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        {then}
    time.sleep(20)

cli.cli.main = planned
cli.main()
"""
"""Code that loses an interrupt, or gives it another name."""


@pytest.mark.parametrize("then", ["pass", "raise RuntimeError('wrapped') from error"])
def test_an_interrupt_that_is_lost_on_its_way_ends_the_command(then):
    with start("-c", SWALLOWED.format(then=then)) as process:
        told = process.communicate(timeout=15)[1]
    assert process.returncode == 130
    assert told.startswith("interrupted")
    assert len(told.splitlines()) == 1


def test_an_interrupt_leaves_what_tidies_up_behind_it_alone():
    """It takes longer than an interrupt that is lost is waited for."""
    script = SWALLOWED.replace("import os", "import contextlib, os").format(
        then="raise"
    )
    script = script.replace("    time.sleep(20)\n", "")
    slow = """
@contextlib.contextmanager
def tidied():
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            time.sleep(3)
            raise ValueError
        print("tidied", flush=True)

cli.cli.main = lambda *a, **k: tidied()(planned)(*a, **k)
cli.main()
"""
    with start("-c", script.replace("cli.main()\n", "", 1) + slow) as process:
        done, told = process.communicate(timeout=15)
    assert process.returncode == 130
    assert done == "tidied\n"
    assert told.startswith("interrupted")


SLOW_TOOL = """
import time
from autoreduce.cli import main
from autoreduce.tools import headers

def slow(images):
    print("begun", flush=True)
    time.sleep(30)

headers.read_each = slow
main(["log", "."])
"""


def test_only_commands_that_go_on_say_that_they_do(tmp_path):
    write_fits(tmp_path / "a.fit", np.zeros((2, 2), np.uint16))
    process = start("-c", SLOW_TOOL, cwd=tmp_path)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert told == "interrupted: nothing half-made is left\n"
