"""Faults that take long to try: kills at random moments, failing disks, moving files.

``python -m pytest -m faults`` runs them; the suite alone has short versions of most.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from small_night import hashes, write_frame, write_night

from autoreduce.fits.whole import parts_in
from autoreduce.running.verify import verify

pytestmark = pytest.mark.faults

N_KILLS = 12
EIO = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int is_bad(int fd) {
    char link[64], name[4096];
    const char *word = getenv("BAD_NAME");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n < 0 || word == NULL) return 0;
    name[n] = 0;
    return strstr(name, word) != NULL;
}
#define FAIL(fd) if (is_bad(fd)) { errno = EIO; return -1; }
typedef ssize_t (*reads)(int, void *, size_t);
typedef ssize_t (*preads)(int, const struct iovec *, int, off_t);
ssize_t read(int fd, void *to, size_t n) {
    FAIL(fd) return ((reads)dlsym(RTLD_NEXT, "read"))(fd, to, n);
}
ssize_t preadv64(int fd, const struct iovec *to, int n, off_t at) {
    FAIL(fd) return ((preads)dlsym(RTLD_NEXT, "preadv64"))(fd, to, n, at);
}
typedef ssize_t (*pwrites)(int, const void *, size_t, off_t);
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) {
    FAIL(fd) return ((pwrites)dlsym(RTLD_NEXT, "pwrite64"))(fd, from, n, at);
}
"""
"""Makes reading and writing files of a name fail as on a broken disk."""


def start(night, folder, *words, **environ):
    return subprocess.Popen(
        [sys.executable, "-m", "autoreduce", night, "-o", folder, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **environ},
    )


def run(night, folder, *words, **environ):
    process = start(night, folder, *words, **environ)
    told, _ = process.communicate(timeout=120)
    assert "Traceback" not in told, told
    return process.returncode, told


def products(folder):
    """Digest what a run makes of frames, by name."""
    return {
        name: digest
        for name, digest in hashes(folder).items()
        if name.endswith((".fit", ".fits")) or name in ("frames.csv", "lights.csv")
    }


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = write_night(tmp_path_factory.mktemp("faults") / "night")
    for n in (1, 2):
        write_frame(folder, f"short_{n:04d}.fit", "light", 30.0)
    return folder


@pytest.fixture(scope="module")
def sound(night):
    """Reduce the night without a fault: how long it takes, and what is made."""
    folder, begin = night.with_name("sound"), time.monotonic()
    assert run(night, folder)[0] == 0
    return time.monotonic() - begin, products(folder)


def test_a_run_that_is_killed_at_any_moment_is_gone_on_with(night, sound, tmp_path):
    seconds, expected = sound
    rng = np.random.default_rng(89)
    for n in range(N_KILLS):
        folder = tmp_path / f"{n}"
        process = start(night, folder)
        time.sleep(rng.uniform(0, seconds))
        process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        process.communicate()
        assert run(night, folder)[0] == 0
        assert products(folder) == expected
        assert verify(folder) == []
        places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        assert not any(parts_in(place) for place in places)


def test_two_unlike_runs_at_once_leave_what_one_of_them_makes(night, sound, tmp_path):
    del sound
    for n in range(3):
        folder = tmp_path / f"{n}"
        words = ["--wait"], ["--wait", "--exclude", "bias_0001"]
        both = [start(night, folder, *one) for one in words]
        for process in both:
            assert "Traceback" not in process.communicate(timeout=120)[0]
            assert process.returncode == 0
        assert verify(folder) == []
        run(night, folder)
        clean = tmp_path / f"{n}_clean"
        run(night, clean)
        assert products(folder).items() >= products(clean).items()


def test_frames_that_vanish_or_grow_cost_only_themselves(night, tmp_path):
    for n in range(4):
        copy = tmp_path / f"{n}" / "night"
        shutil.copytree(night, copy)

        def change(copy=copy, n=n):
            time.sleep(0.3 + 0.3 * n)
            (copy / "light_0001.fit").unlink()
            with (copy / "light_0002.fit").open("ab") as file:
                file.write(bytes(2880))

        thread = Thread(target=change)
        thread.start()
        status, told = run(copy, copy.with_name("products"))
        thread.join()
        assert status in (0, 1), told
        assert verify(copy.with_name("products")) == []


@pytest.fixture(scope="module")
def broken_disk(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/proc/self/fd").is_dir():
        pytest.skip("needs a C compiler and /proc")
    folder = tmp_path_factory.mktemp("shim")
    source, library = folder / "eio.c", folder / "eio.so"
    source.write_text("#include <sys/uio.h>\n" + EIO)
    command = [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return str(library)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("light_0002.fit", 0),
        ("flat_0001.fit", 0),
        (".bias_1x1_m10C.fits", 1),
        (".light_0001.fit", 1),
    ],
)
def test_a_disk_that_fails_is_told_and_costs_only_the_file(
    night, broken_disk, tmp_path, name, status
):
    folder = tmp_path / "products"
    # Without a cache the header is asked for, too: a frame is then one that cannot be read.
    disk = {"LD_PRELOAD": broken_disk, "BAD_NAME": f"/{name}"}
    found, told = run(night, folder, AUTOREDUCE_NO_CACHE="1", **disk)
    assert (found, "Input/output error" in told) == (status, True), told
    assert run(night, folder)[0] == 0
    assert verify(folder) == []


def test_a_small_file_system_that_is_full_is_told(night, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", place]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        # Room that is there when the run begins, and gone in the middle of it.
        for room in (0, 20, 60, 100):
            folder = place / f"{room}"
            with (place / "ballast").open("wb") as ballast:
                ballast.write(bytes(room << 10))
            status, told = run(night, folder)
            assert status == 1
            assert "No space left" in told or "free some space" in told
            shutil.rmtree(folder, ignore_errors=True)
            (place / "ballast").unlink()
    finally:
        subprocess.run(["umount", place], check=True)
