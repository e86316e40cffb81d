"""Headers of earlier runs: never used when they may be wrong, never in the way."""

import json
import logging
import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import pandas as pd
import pytest
from astropy.io import fits

from autoreduce.fits import ahead, ledger
from autoreduce.fits import header as reader
from autoreduce.fits.header import read_headers
from autoreduce.frames import cache, reading
from autoreduce.frames.scan import scan_night


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Take files for old that a test has just written."""
    monkeypatch.setattr(ledger, "SETTLED_S", 0.0)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "autoreduce" / "headers"


@pytest.fixture
def reads(monkeypatch):
    """List the names of files whose headers are read."""
    names = []

    def read(path):
        names.append(Path(path).name)
        return read_headers(path)

    monkeypatch.setattr(reading, "read_headers", read)
    return names


def write_frame(path, *, imagetyp="Light Frame", exptime=30.0, **cards):
    header = fits.Header()
    header["IMAGETYP"], header["EXPTIME"] = imagetyp, exptime
    header.update(cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(header=header)
    hdu.data = [[1, 2], [3, 4]]
    hdu.writeto(path, overwrite=True)


def a_night(folder, n=3):
    for i in range(n):
        write_frame(folder / f"light_{i}.fits", exptime=10.0 + i)
    return folder


def assert_same(one, other):
    pd.testing.assert_frame_equal(one.frames, other.frames)
    pd.testing.assert_frame_equal(one.evidence, other.evidence)
    pd.testing.assert_frame_equal(one.unreadable, other.unreadable)


def test_second_run_reads_no_header_and_says_the_same(tmp_path, kept, reads):
    night = a_night(tmp_path / "night")
    first = scan_night([night])
    assert sorted(reads) == ["light_0.fits", "light_1.fits", "light_2.fits"]
    reads.clear()
    assert_same(scan_night([night]), first)
    assert reads == []
    assert len(list(kept.iterdir())) == 1
    assert kept.stat().st_mode & 0o777 == 0o700


def test_headers_of_extensions_are_kept_in_their_order(tmp_path, kept, reads):
    image = fits.ImageHDU([[1, 2], [3, 4]], fits.Header({"CCDNAME": "1"}))
    other = fits.ImageHDU([[5, 6], [7, 8]], fits.Header({"CCDNAME": "2"}))
    (tmp_path / "night").mkdir()
    primary = fits.PrimaryHDU(header=fits.Header({"EXPTIME": 5.0}))
    fits.HDUList([primary, image, other]).writeto(tmp_path / "night" / "two.fits")
    first = scan_night([tmp_path / "night"])
    assert first.frames["file"].tolist() == ["two.fits[1]", "two.fits[2]"]
    reads.clear()
    assert_same(scan_night([tmp_path / "night"]), first)
    assert reads == []


def test_only_changed_new_and_renamed_files_are_read_again(tmp_path, kept, reads):
    night = a_night(tmp_path / "night")
    scan_night([night])
    reads.clear()
    write_frame(night / "light_1.fits", exptime=99.0)
    write_frame(night / "light_3.fits", exptime=55.0)
    (night / "light_2.fits").rename(night / "light_4.fits")
    frames = scan_night([night]).frames.set_index("file")
    assert sorted(reads) == ["light_1.fits", "light_3.fits", "light_4.fits"]
    assert frames["exptime"].to_dict() == {
        "light_0.fits": 10.0,
        "light_1.fits": 99.0,
        "light_3.fits": 55.0,
        "light_4.fits": 12.0,
    }


def test_change_that_keeps_size_and_time_of_writing_is_seen(tmp_path, kept):
    night = a_night(tmp_path / "night", 1)
    file = night / "light_0.fits"
    before = file.stat()
    scan_night([night])
    write_frame(file, exptime=77.0)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert scan_night([night]).frames["exptime"].tolist() == [77.0]


def test_file_cut_short_after_a_run_is_reported(tmp_path, kept):
    night = a_night(tmp_path / "night", 2)
    scan_night([night])
    with (night / "light_1.fits").open("r+b") as file:
        file.truncate(2883)
    assert "truncated" in scan_night([night]).unreadable["reason"].item()


def test_file_changed_just_now_is_not_kept(tmp_path, kept, reads, monkeypatch):
    monkeypatch.setattr(ledger, "SETTLED_S", 3600.0)
    night = a_night(tmp_path / "night", 1)
    scan_night([night])
    scan_night([night])
    assert reads == ["light_0.fits"] * 2
    assert not kept.exists()


def test_what_is_unreadable_is_looked_at_again_and_changes_nothing(
    tmp_path, kept, reads
):
    night = a_night(tmp_path / "night", 1)
    (night / "notes.fits").write_text("no FITS file")
    first = scan_night([night])
    (written,) = kept.iterdir()
    stamp = written.stat().st_mtime_ns
    reads.clear()
    assert_same(scan_night([night]), first)
    assert reads == ["notes.fits"]
    assert written.stat().st_mtime_ns == stamp


def test_changed_dialect_is_heard_without_reading_again(tmp_path, kept, reads):
    night = a_night(tmp_path / "night", 1)
    write_frame(night / "light_0.fits", SWCREATE="SkyGrab 1", INTTIME=1500)
    assert scan_night([night]).frames["exptime"].tolist() == [30.0]
    reads.clear()
    table = tmp_path / "mine.toml"
    table.write_text(
        'recognise = [{ SWCREATE = "SkyGrab*" }]\n'
        '[exptime]\nkeywords = [{ keyword = "INTTIME", unit = "ms" }]\n'
    )
    assert scan_night([night], dialects=[table]).frames["exptime"].tolist() == [1.5]
    table.write_text(table.read_text().replace('"ms"', '"s"'))
    assert scan_night([night], dialects=[table]).frames["exptime"].tolist() == [1500.0]
    assert reads == []


def test_changed_reader_reads_again(tmp_path, kept, reads, monkeypatch):
    night = a_night(tmp_path / "night", 1)
    scan_night([night])
    other = tmp_path / "reader.py"
    other.write_text("# another one")
    monkeypatch.setattr(reader, "__file__", str(other))
    cache._version_of.cache_clear()
    try:
        scan_night([night])
    finally:
        cache._version_of.cache_clear()
    assert reads == ["light_0.fits"] * 2


def flipped(data):
    middle = len(data) * 2 // 3
    return data[:middle] + bytes([data[middle] ^ 0x40]) + data[middle + 1 :]


def with_index(index):
    """Make a damage that is sound in all but what the index holds."""

    def damage(data):
        packed = zlib.compress(json.dumps(index).encode() + b"\n")
        beginning = data[: data.index(b"\n") + 1]
        return beginning + packed

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"\xff" * 1000,
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"more",
        flipped,
        with_index(7),
        with_index([["light_0.fits"]]),
        with_index([["light_0.fits", [1], []]]),
        with_index([["light_0.fits", [1, 2, 3], 4]]),
        with_index([[["light_0.fits", 1, 2, 3, 4]], [0, []]]),
        with_index({"light_0.fits": 1}),
    ],
)
def test_damaged_cache_is_passed_over_and_made_again(
    tmp_path, kept, reads, damage, caplog
):
    night = a_night(tmp_path / "night")
    first = scan_night([night])
    (file,) = kept.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    reads.clear()
    with caplog.at_level(logging.DEBUG, "autoreduce.frames.cache"):
        assert_same(scan_night([night]), first)
    assert len(reads) == 3
    assert "is not used" in caplog.text
    reads.clear()
    assert_same(scan_night([night]), first)
    assert reads == []


def test_cache_that_cannot_be_written_is_no_hindrance(tmp_path, monkeypatch, caplog):
    night = a_night(tmp_path / "night")
    (tmp_path / "file").write_text("a file where the cache's folder would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.DEBUG, "autoreduce.frames.cache"):
        assert len(scan_night([night]).frames) == 3
    assert "are not kept" in caplog.text


def test_cache_without_permission_to_write_still_serves(
    tmp_path, kept, reads, monkeypatch
):
    night = a_night(tmp_path / "night")
    scan_night([night])
    write_frame(night / "light_1.fits", exptime=99.0)
    reads.clear()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert 99.0 in scan_night([night]).frames["exptime"].tolist()
    assert reads == ["light_1.fits"]


def test_failed_writing_leaves_no_half_file(tmp_path, kept, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.Path, "replace", fail)
    assert len(scan_night([a_night(tmp_path / "night")]).frames) == 3
    assert list(kept.iterdir()) == []


def test_cache_can_be_turned_off(tmp_path, kept, reads, monkeypatch):
    monkeypatch.setenv("AUTOREDUCE_NO_CACHE", "1")
    night = a_night(tmp_path / "night", 1)
    scan_night([night])
    scan_night([night])
    assert reads == ["light_0.fits"] * 2
    assert not kept.exists()


def test_nothing_is_kept_in_the_night_itself(tmp_path, monkeypatch):
    night = a_night(tmp_path / "night", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(night / "cache"))
    before = sorted(night.rglob("*"))
    scan_night([night])
    assert sorted(night.rglob("*")) == before


def test_relative_cache_folder_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "autoreduce"


def test_oldest_folders_are_dropped_when_the_cache_is_full(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(cache, "LARGEST", 1)
    for name in ("one", "two"):
        scan_night([a_night(tmp_path / name, 1)])
        assert list(kept.iterdir()) == []
    monkeypatch.setattr(cache, "LARGEST", 1 << 20)
    for name in ("one", "two"):
        scan_night([a_night(tmp_path / name, 1)])
    size = max(file.stat().st_size for file in kept.iterdir())
    oldest = min(kept.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    monkeypatch.setattr(cache, "LARGEST", 2 * size + 10)
    scan_night([a_night(tmp_path / "three", 1)])
    assert len(list(kept.iterdir())) == 2
    assert not oldest.exists()


def test_more_files_than_one_part_holds_are_kept(tmp_path, kept, reads, monkeypatch):
    monkeypatch.setattr(cache, "_TOGETHER", 2)
    night = a_night(tmp_path / "night", 5)
    first = scan_night([night])
    reads.clear()
    assert_same(scan_night([night]), first)
    assert reads == []
    assert len(list(kept.iterdir())) > 1
    (night / "light_0.fits").unlink()
    assert (
        scan_night([night]).frames["file"].tolist() == first.frames["file"].tolist()[1:]
    )
    assert reads == []


@pytest.mark.parametrize("others", [3, 6, 24])
def test_a_file_is_read_once_whatever_others_come_and_go(
    tmp_path, kept, reads, monkeypatch, others
):
    monkeypatch.setattr(cache, "_TOGETHER", 4)
    night = a_night(tmp_path / "night", 12)
    first = scan_night([night])
    new = [f"dark_{i}.fits" for i in range(others)]  # these sort first
    for name in new:
        write_frame(night / name, imagetyp="Dark Frame")
    reads.clear()
    more = scan_night([night])
    assert more.frames["file"].tolist() == sorted([*first.frames["file"], *new])
    assert sorted(reads) == sorted(new)
    reads.clear()
    assert_same(scan_night([night]), more)
    for name in new:
        (night / name).unlink()
    assert_same(scan_night([night]), first)
    assert reads == []


def test_what_a_folder_of_fewer_files_knew_is_taken_over_once(
    tmp_path, kept, monkeypatch
):
    monkeypatch.setattr(cache, "_TOGETHER", 4)
    night = a_night(tmp_path / "night", 4)
    scan_night([night])
    (whole,) = kept.iterdir()
    write_frame(night / "light_4.fits")
    scan_night([night])
    whole.unlink()
    names = [f"light_{i}.fits" for i in range(5)]
    asked = [part for batch in cache.batches({str(night): names}) for part in batch]
    found = [
        cache.load(kept.parent, cache.HEADERS, night, part.share) for part in asked
    ]
    assert [sorted(known) for known in found] == [part.names for part in asked]


def test_small_folders_are_read_together_and_large_ones_in_parts(monkeypatch):
    monkeypatch.setattr(cache, "_TOGETHER", 3)
    folders = {"a": "1", "b": "32", "c": "7654321", "d": "1", "e": "123"}
    batches = list(cache.batches(folders))
    parts = [part for batch in batches for part in batch]
    assert [part.folder for part in parts] == sorted(part.folder for part in parts)
    assert parts[:2] == [("a", (0, 1), ["1"]), ("b", (0, 1), ["2", "3"])]
    assert batches[0] == parts[:2]
    assert (
        batches[-1]
        == parts[-2:]
        == [("d", (0, 1), ["1"]), ("e", (0, 1), ["1", "2", "3"])]
    )
    for batch in batches:
        n_files = [len(part.names) for part in batch]
        assert sum(n_files) >= 3 > sum(n_files[:-1])
    large = [part for part in parts if part.folder == "c"]
    assert sorted(name for part in large for name in part.names) == list("1234567")
    assert {part.share.of for part in large} == {4}
    for part in large:
        assert part.names == sorted(filter(part.share.has, "1234567"))


def test_names_of_a_night_fill_parts_evenly():
    names = [f"20210227.{n:04}.fit" for n in range(2000)]
    sizes = [len(p.names) for batch in cache.batches({"n": names}) for p in batch]
    assert len(sizes) == 4
    assert max(sizes) < 1.1 * min(sizes)


def test_slow_disk_is_read_by_threads_with_the_same_result(
    tmp_path, kept, reads, monkeypatch
):
    monkeypatch.setenv("AUTOREDUCE_NO_CACHE", "1")
    night = a_night(tmp_path / "night", 7)
    monkeypatch.setattr(ahead, "_PART", 2)
    by_one = scan_night([night])
    monkeypatch.setattr(ahead, "_WAITS", -1)
    assert_same(scan_night([night]), by_one)
    assert len(reads) == 14


PROGRAM = """
import sys
from pathlib import Path
from autoreduce.fits import ahead, ledger
from autoreduce.frames.scan import scan_night
ledger.SETTLED_S = 0.0
for _ in range(20):
    for file in Path(sys.argv[2]).glob("*"):
        if sys.argv[3] == "spoil":
            file.unlink(missing_ok=True)
    night = scan_night([Path(sys.argv[1])])
    assert sorted(night.frames["exptime"]) == [10.0 + i for i in range(40)]
"""


def test_two_processes_at_once_do_not_disturb_each_other(tmp_path, kept):
    night = a_night(tmp_path / "night", 40)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(night), str(kept), what],
            stderr=subprocess.PIPE,
        )
        for what in ("spoil", "use")
    ]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    # What is left is whole.
    assert len(list(kept.iterdir())) == 1
    assert len(cache.load(kept.parent, cache.HEADERS, night)) == 40
