"""Files that appear whole or not at all, with the mode that they should have."""

import os
import stat

import pytest

from autoreduce.errors import ProductError
from autoreduce.fits.whole import (
    PART,
    parts_in,
    replacing,
    unwritten,
    write_bytes,
    write_text,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_text_is_written_as_it_is_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "notes.txt"
    write_text(path, "one\r\ntwo\n\N{GREEK SMALL LETTER ALPHA}")
    assert path.read_bytes() == b"one\r\ntwo\n\xce\xb1"
    assert [one.name for one in path.parent.iterdir()] == ["notes.txt"]


def test_bytes_are_written_piece_by_piece(tmp_path):
    write_bytes(tmp_path / "a.bin", iter([b"one", b"", b"two"]))
    assert (tmp_path / "a.bin").read_bytes() == b"onetwo"


def test_the_lent_name_stands_beside_with_the_same_suffix(tmp_path):
    path = tmp_path / "a.fits.gz"
    with replacing(path) as part:
        assert part.parent == tmp_path
        assert part.name.startswith(".a.fits.gz.")
        assert part.name.endswith(PART + ".fits.gz")
        assert part.read_bytes() == b""
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]


def fail(path, error):
    with replacing(path) as part:
        part.write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(type(error)):
        fail(path, error)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_is_named_with_the_way_out(tmp_path):
    with pytest.raises(ProductError, match=r"No space left.*free some space"):
        fail(tmp_path / "a.txt", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_an_error_without_words_of_the_system_is_told_as_it_is(tmp_path):
    assert "broken; nothing is left" in str(unwritten(tmp_path, OSError("broken")))


def test_a_place_that_is_none_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ProductError, match=r"cannot be written.*choose another place"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    path.chmod(0o640)
    write_text(path, "new")
    assert mode(path) == 0o640


def test_a_new_file_has_the_mode_that_others_get(tmp_path):
    (tmp_path / "other").touch()
    write_text(tmp_path / "a.txt", "new")
    assert mode(tmp_path / "a.txt") == mode(tmp_path / "other")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_text(link, "new")
    assert (target.read_text(), link.read_text()) == ("old", "new")
    assert not link.is_symlink()


def test_content_is_on_the_disk_before_the_name_and_the_name_at_the_end(
    tmp_path, monkeypatch
):
    path, synced = tmp_path / "a.txt", []

    def record(handle):
        synced.append((os.fstat(handle).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", record)
    write_text(path, "new")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
    write_bytes(path, iter([b"newer"]), lasting=False)
    assert len(synced) == 2


def test_unfinished_files_are_known_by_their_names(tmp_path):
    with replacing(tmp_path / "a.fits.gz") as part:
        for name in (".hidden", "a.part", ".part", ".a.part"):
            (tmp_path / name).touch()
        assert parts_in(tmp_path) == [part]
