"""What files hold, and what a ledger remembers of it."""

import json
import logging
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xxhash

from autoreduce.errors import InputError, ProductError
from autoreduce.fits import ledger
from autoreduce.fits.ledger import Entry, Ledger, Stamp, content_digest


class Reader:
    """Digests files, and counts how often."""

    def __init__(self):
        self.read = []

    def __call__(self, path):
        """Digest a file."""
        self.read.append(path.name)
        return content_digest(path)


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def settled(monkeypatch):
    """Take files for old that a test has just written."""
    monkeypatch.setattr(ledger, "SETTLED_S", 0.0)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "light.fit"
    path.write_bytes(b"light of a star")
    time.sleep(0.02)  # longer than a tick of the file system's clock
    return path


@pytest.mark.parametrize("size", [0, 1, 2880, 1 << 18, (1 << 20) + 7])
def test_the_digest_is_that_of_all_bytes(tmp_path, size):
    content = bytes(i % 251 for i in range(size))
    (tmp_path / "file").write_bytes(content)
    expected = xxhash.xxh3_128(content).hexdigest()
    assert content_digest(tmp_path / "file") == expected
    if not size:  # as its author has it
        assert expected == "99aa06d3014798d86001c324468d497f"


# ------------------------------------------------------------------ the shortcut


@pytest.mark.usefixtures("settled")
def test_a_file_that_was_not_touched_is_read_once(file, reader):
    known = Ledger()
    digests = {known.look("light", file, reader) for _ in range(3)}
    assert digests == {content_digest(file)}
    assert known.is_same("light", file, reader)
    assert known.is_untouched("light", file)
    assert reader.read == ["light.fit"]


def touch(file):
    os.utime(file)


def chmod(file):
    file.chmod(0o600)


def copy(file):
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [touch, chmod, copy])
def test_a_file_that_was_touched_is_read_once_more_and_is_the_same(
    file, reader, change
):
    known = Ledger()
    before = known.look("light", file, reader)
    change(file)
    time.sleep(0.02)
    assert not known.is_untouched("light", file)
    assert known.is_same("light", file, reader)
    assert known.look("light", file, reader) == before
    assert len(reader.read) == 2


@pytest.mark.usefixtures("settled")
def test_a_change_that_keeps_size_and_time_of_writing_is_seen(file):
    known = Ledger()
    before, status = known.look("light", file), file.stat()
    file.write_bytes(b"light of a lamp")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert not known.is_same("light", file)
    assert known.look("light", file) != before


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("field", Stamp._fields)
def test_every_part_of_the_stamp_counts(file, reader, field):
    stamp = Stamp.of(file.stat())
    other = stamp._replace(**{field: getattr(stamp, field) - 1})
    known = Ledger({"light": Entry(other, time.time_ns(), "of another day")})
    assert known.look("light", file, reader) == content_digest(file)
    assert reader.read == ["light.fit"]


def test_a_file_written_just_before_it_was_read_is_read_again(file, reader):
    known = Ledger()
    for _ in range(2):
        known.look("light", file, reader)
    assert not known.is_untouched("light", file)
    assert len(reader.read) == 2


def test_a_change_within_a_tick_of_a_coarse_clock_is_seen(file, monkeypatch):
    """A file system that counts whole seconds stamps both versions alike."""
    second = time.time_ns() // 10**9 * 10**9
    stamp = Stamp(15, second, second, 7)
    monkeypatch.setattr(Stamp, "of", lambda _: stamp)
    known = Ledger()
    before = known.look("light", file)
    file.write_bytes(b"light of a lamp")
    assert known.look("light", file) != before


def test_old_files_are_settled_and_those_from_the_future_never():
    now = 10**18
    assert Stamp(1, now - 4 * 10**9, now - 4 * 10**9, 1).is_settled(now)
    assert not Stamp(1, now - 4 * 10**9, now - 2 * 10**9, 1).is_settled(now)
    assert not Stamp(1, now + 10**9, now - 4 * 10**9, 1).is_settled(now)


# ------------------------------------------------------------------ what is remembered


def test_what_a_file_held_is_not_forgotten_when_it_no_longer_does(file):
    known = Ledger()
    known.look("light", file)
    content = file.read_bytes()
    file.write_bytes(b"nothing")
    assert not known.is_same("light", file)
    file.write_bytes(content)
    assert known.is_same("light", file)


def test_nothing_is_the_same_as_what_was_never_seen(file):
    assert "light" not in Ledger()
    assert not Ledger().is_same("light", file)
    assert not Ledger().is_untouched("light", file)


def test_a_file_that_cannot_be_read_has_no_digest(file):
    def refuse(path):
        raise InputError(str(path))

    known = Ledger()
    known.look("light", file)
    assert not known.is_same("light", file, refuse)
    file.unlink()
    assert not known.is_same("light", file)
    assert "light" in known
    assert known.look("light", file) == ""
    assert "light" not in known


def test_a_ledger_travels_and_what_it_learned_comes_back(file, tmp_path):
    other = tmp_path / "dark.fit"
    other.write_bytes(b"no light")
    known = Ledger()
    known.look("light", file)
    known.look("dark", other)
    part = pickle.loads(pickle.dumps(known.part(["light", "flat"])))
    assert "dark" not in part
    file.write_bytes(b"light of a lamp")
    part.look("light", file)
    known.learn(part)
    assert known.is_same("light", file)
    assert known.is_same("dark", other)


def test_threads_may_look_at_once(tmp_path):
    names = [f"{n:03d}" for n in range(200)]
    for name in names:
        (tmp_path / name).write_text(name)
    known = Ledger()
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda name: known.look(name, tmp_path / name), names))
    assert digests == [content_digest(tmp_path / name) for name in names]
    assert all(name in known for name in names)


# ------------------------------------------------------------------ on the disk


NAMES = ["raw/light 1.fit", 'quo"ted\\', "two\nlines", "Gänseblümchen", "bad\udcff"]


def filled(n=7):
    return Ledger(
        {name: Entry(Stamp(n, n + 10**18, n, n), 2, "ab" * 16) for name in NAMES}
    )


def test_a_ledger_is_read_as_it_was_saved(tmp_path):
    filled().save(tmp_path / "ledger.json")
    assert Ledger.load(tmp_path / "ledger.json") == filled()
    assert Ledger.load(tmp_path / "ledger.json") != filled(8)
    Ledger().save(tmp_path / "empty.json")
    assert Ledger.load(tmp_path / "empty.json") == Ledger()


def test_a_ledger_tells_what_its_numbers_are(tmp_path):
    filled().save(tmp_path / "ledger.json")
    content = json.loads((tmp_path / "ledger.json").read_text())
    row = dict(zip(content["columns"], content["files"]["two\nlines"], strict=True))
    assert row["mtime_ns"] == 7 + 10**18
    assert row["digest"] == "ab" * 16


def test_a_ledger_that_is_not_there_is_empty(tmp_path, caplog):
    assert Ledger.load(tmp_path / "ledger.json") == Ledger()
    assert not caplog.records


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\x00",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"form": 1}',
        b'{"form": 99, "files": {}}',
        b'{"form": 1, "files": 3}',
        b'{"form": 1, "files": ["ab"]}',
        b'{"form": 1, "files": {"a": null}}',
        b'{"form": 1, "files": {"a": []}}',
        b'{"form": 1, "files": {"a": [1, 2, 3, 4, "digest"]}}',
        b'{"form": 1, "files": {"a": [1, 2, 3, 4, 5.5, "digest"]}}',
        b'{"form": 1, "files": {"a": [1, 2, 3, 4, true, "digest"]}}',
        b'{"form": 1, "files": {"a": [1, 2, 3, 4, 5, 6]}}',
        b'{"form": 1, "files": {"a": [1, 2, 3, 4, NaN, "digest"]}}',
        b'{"form": 1, "files": {"a": "123456"}}',
        b"[" * 200_000,
    ],
    ids=range(20),
)
def test_a_spoilt_ledger_is_empty_and_told(tmp_path, caplog, text):
    (tmp_path / "ledger.json").write_bytes(text)
    with caplog.at_level(logging.WARNING):
        assert Ledger.load(tmp_path / "ledger.json") == Ledger()
    assert "ledger.json is not used" in caplog.text


def test_failed_writing_leaves_the_old_ledger(tmp_path, monkeypatch):
    filled().save(tmp_path / "ledger.json")

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ProductError, match="No space left"):
        filled(8).save(tmp_path / "ledger.json")
    assert Ledger.load(tmp_path / "ledger.json") == filled()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.json"]


SAVER = """
import sys
from pathlib import Path
from autoreduce.fits.ledger import Entry, Ledger, Stamp
n = int(sys.argv[2])
entries = {f"{i}": Entry(Stamp(n, n, n, n), n, "d" * 32) for i in range(300)}
for _ in range(100):
    Ledger(entries).save(Path(sys.argv[1]))
"""


def test_processes_that_save_at_once_leave_one_ledger_whole(tmp_path, caplog):
    path = tmp_path / "ledger.json"
    command = [sys.executable, "-c", SAVER, str(path)]
    savers = [subprocess.Popen([*command, str(n)]) for n in (1, 2)]
    while any(saver.poll() is None for saver in savers):
        found = Ledger.load(path)
        assert found == Ledger() or "299" in found
    assert [saver.returncode for saver in savers] == [0, 0]
    rows = json.loads(path.read_text())["files"].values()
    assert len({row[0] for row in rows}) == 1
    assert not caplog.records
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.json"]


def test_what_was_looked_at_before_a_moment_is_read_again(tmp_path, settled, reader):
    path, known = tmp_path / "a", Ledger()
    path.write_bytes(b"one")
    known.look("a", path)
    assert known.is_same("a", path, reader)
    assert known.is_same_since(0, "a", path, reader)
    assert reader.read == []
    begin = time.time_ns()
    assert known.is_same_since(begin, "a", path, reader)
    assert known.is_same_since(begin, "a", path, reader)
    assert reader.read == ["a"]
    assert not known.is_same_since(begin, "b", path, reader)


def test_a_file_that_is_doubted_is_read_again(tmp_path, settled, reader):
    path, known = tmp_path / "a", Ledger()
    path.write_bytes(b"one")
    known.look("a", path)
    known.doubt("a")
    assert known.is_same("a", path, reader)
    assert known.is_same("a", path, reader)
    assert reader.read == ["a"]
    known.forget("a")
    assert list(known) == []


@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_bit_of_a_ledger_is_found(tmp_path, seed):
    path, ledger = tmp_path / "ledger.json", Ledger()
    for name in ("a", "raw/b"):
        (tmp_path / "one").write_text(name)
        ledger.look(name, tmp_path / "one")
    ledger.save(path)
    assert Ledger.read(path) == ledger
    content, rng = path.read_bytes(), np.random.default_rng(seed)
    for at in rng.integers(0, len(content), 100):
        spoilt = bytearray(content)
        spoilt[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        with pytest.raises(InputError, match="not as it was written"):
            Ledger.read(path)
