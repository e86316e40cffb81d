"""Masters kept in memory."""

import pickle

import numpy as np
import pytest

from autoreduce.calibration.store import MasterStore
from autoreduce.fits.images import open_image
from autoreduce.fits.writer import write_image

SIZE = 20 * 10 * 4


@pytest.fixture
def masters(tmp_path):
    rng = np.random.default_rng(5)
    pixels = {name: rng.normal(size=(20, 10)).astype(np.float32) for name in "abc"}
    for name, data in pixels.items():
        write_image(tmp_path / f"{name}.fits", data, [])
    readers = {name: open_image(tmp_path / f"{name}.fits") for name in pixels}
    yield pixels, readers
    for reader in readers.values():
        reader.close()


@pytest.mark.parametrize("room_for", [0, 1, 2, 5])
def test_rows_are_those_of_the_master_whatever_there_is_room_for(masters, room_for):
    pixels, readers = masters
    store = MasterStore(room_for * SIZE)
    for name in "abcabca":
        rows = store.rows(readers[name], 0, 3, 9)
        np.testing.assert_array_equal(rows, pixels[name][3:9])


def test_a_master_is_read_once_while_there_is_room_for_it(masters, monkeypatch):
    _, readers = masters
    read = []
    monkeypatch.setattr(
        type(readers["a"]),
        "read",
        lambda self: read.append(self.path.name) or np.zeros((20, 10), np.float32),
    )
    store = MasterStore(2 * SIZE)
    for name in "abcabccab":
        store.rows(readers[name], 0, 0, 1)
    assert read == ["a.fits", "b.fits"]


def test_a_master_that_is_not_used_any_more_makes_room(masters, monkeypatch):
    pixels, readers = masters
    monkeypatch.setattr("autoreduce.calibration.store.STALE", 4)
    store, read = MasterStore(2 * SIZE), []
    own = type(readers["a"]).read
    monkeypatch.setattr(
        type(readers["a"]),
        "read",
        lambda self: read.append(self.path.stem) or own(self),
    )
    for name in "ab" + "ac" * 6:
        rows = store.rows(readers[name], 0, 2, 5)
        np.testing.assert_array_equal(rows, pixels[name][2:5])
    assert read == ["a", "b", "c"]
    store.clear()
    store.rows(readers["a"], 0, 0, 1)
    assert read[3:] == ["a"]


def test_a_process_keeps_masters_from_task_to_task():
    one, other = (pickle.loads(pickle.dumps(MasterStore(SIZE))) for _ in range(2))
    assert one is other
    assert pickle.loads(pickle.dumps(MasterStore(2 * SIZE))) is not one


def test_what_is_kept_cannot_be_changed(masters):
    _, readers = masters
    rows = MasterStore(SIZE).rows(readers["a"], 0, 0, 2)
    with pytest.raises(ValueError, match="read-only"):
        rows += 1
