from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.calibration import kept_samples
from autoreduce.calibration.kept_samples import read_samples
from autoreduce.calibration.samples import Sampled
from autoreduce.frames import cache
from autoreduce.planning.recipe import Crosstalk

PIXELS = np.random.default_rng(5).integers(900, 1100, (40, 50)).astype(np.uint16)


@pytest.fixture
def night(tmp_path):
    night = tmp_path / "night"
    (night / "sub").mkdir(parents=True)
    for name in ("dark.fits", "flat.fits", "sub/dark.fits"):
        fits.writeto(night / name, PIXELS + len(name))
    return night


@pytest.fixture
def is_old(monkeypatch):
    """Let files be as old as they need to be to be believed."""
    monkeypatch.setattr(kept_samples.Stamp, "is_settled", lambda *_: True)


@pytest.fixture
def reads(monkeypatch):
    """List the files that are read."""
    read = []

    def read_some(files):
        read.extend(Path(path).name for path, _ in files)
        return real(files)

    real = kept_samples.read_some
    monkeypatch.setattr(kept_samples, "read_some", read_some)
    return read


DARK, FLAT = Sampled("dark"), Sampled("flat")
KINDS = {"dark.fits": DARK, "flat.fits": FLAT, "sub/dark.fits": DARK}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, sample in found.items():
        assert repr(sample) == repr(expected[name])  # NaN is no NaN
        np.testing.assert_array_equal(sample.strip, expected[name].strip)


def test_what_cannot_be_read_is_left_to_those_who_say_why(tmp_path):
    (tmp_path / "bad.fits").write_bytes(b"nothing")
    fits.writeto(tmp_path / "cube.fits", np.zeros((3, 8, 8)))
    fits.writeto(tmp_path / "good.fits", PIXELS)
    names = ["bad.fits", "cube.fits", "good.fits", "gone.fits"]
    kinds = dict.fromkeys(names, DARK)
    for kept in (None, tmp_path / "kept", tmp_path / "kept"):
        assert list(read_samples(tmp_path, kinds, kept)) == ["good.fits"]


def test_files_that_are_as_they_were_are_not_read_again(night, tmp_path, is_old, reads):
    expected = read_samples(night, KINDS)
    kept = tmp_path / "kept"
    assert_same(read_samples(night, KINDS, kept), expected)
    reads.clear()
    assert_same(read_samples(night, KINDS, kept), expected)
    assert not reads


def test_a_file_that_has_changed_is_read_again(night, tmp_path, is_old, reads):
    kept = tmp_path / "kept"
    before = read_samples(night, KINDS, kept)
    fits.writeto(night / "dark.fits", PIXELS + 500, overwrite=True)
    reads.clear()
    after = read_samples(night, KINDS, kept)
    assert reads == ["dark.fits"]
    assert after["dark.fits"].level > before["dark.fits"].level + 400
    reads.clear()
    assert_same(read_samples(night, KINDS, kept), after)
    assert not reads


def test_a_frame_of_another_type_is_read_again(night, tmp_path, is_old, reads):
    kept = tmp_path / "kept"
    assert read_samples(night, KINDS, kept)["flat.fits"].strip.size
    found = read_samples(night, KINDS | {"flat.fits": DARK}, kept)
    assert found["flat.fits"].blocks
    assert not found["flat.fits"].strip.size


def test_what_some_frames_told_is_kept_while_others_are_asked(
    night, tmp_path, is_old, reads
):
    kept = tmp_path / "kept"
    read_samples(night, {"dark.fits": DARK}, kept)
    read_samples(night, {"flat.fits": FLAT}, kept)
    reads.clear()
    read_samples(night, {"dark.fits": DARK, "flat.fits": FLAT}, kept)
    assert not reads


def test_a_file_that_was_just_written_is_not_kept(night, tmp_path, reads):
    kept = tmp_path / "kept"
    read_samples(night, KINDS, kept)
    reads.clear()
    read_samples(night, KINDS, kept)
    assert len(reads) == 3


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 40])
def test_a_spoilt_cache_costs_nothing_but_time(night, tmp_path, is_old, damage):
    kept = tmp_path / "kept"
    expected = read_samples(night, KINDS, kept)
    for file in (kept / "samples").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:150] + damage)
    assert_same(read_samples(night, KINDS, kept), expected)


def test_a_frame_of_another_overscan_is_read_again(night, tmp_path, is_old, reads):
    kept = tmp_path / "kept"
    read_samples(night, KINDS, kept)
    frames = {"dark.fits": Sampled("dark", "[1:10,1:40]")}
    for _ in range(2):
        assert np.isfinite(read_samples(night, frames, kept)["dark.fits"].overscan)
    assert reads.count("dark.fits") == 3  # with the one in sub


def test_frames_that_are_gone_are_forgotten(night, tmp_path, is_old):
    kept = tmp_path / "kept"
    read_samples(night, KINDS, kept)
    (night / "flat.fits").unlink()
    fits.writeto(night / "new.fits", PIXELS)
    read_samples(night, {"new.fits": DARK}, kept)
    known = cache.load(kept, kept_samples.SAMPLES, night)
    assert sorted(known) == ["dark.fits", "new.fits"]


def test_what_is_asked_moves_no_frame_into_another_part(
    tmp_path, is_old, reads, monkeypatch
):
    monkeypatch.setattr(cache, "_TOGETHER", 4)
    kept = tmp_path / "kept"
    night = tmp_path / "night"
    night.mkdir()
    names = [f"dark_{i:02}.fits" for i in range(12)]
    for i, name in enumerate(names):
        fits.writeto(night / name, PIXELS + i)
    kinds = dict.fromkeys(names, DARK)
    expected = read_samples(night, kinds)
    for some in (kinds, names[1:], names[7:], names[::3], kinds):
        found = read_samples(night, dict.fromkeys(some, DARK), kept)
        assert_same(found, {name: expected[name] for name in some})
    assert len(reads) == 2 * len(names)
    for name in names[4:]:
        (night / name).unlink()
    fits.writeto(night / "new.fits", PIXELS)
    read_samples(night, dict.fromkeys([*names[:2], "new.fits"], DARK), kept)
    known = cache.load(kept, kept_samples.SAMPLES, night)
    assert set(names[:2]) < set(known) <= {*names[:4], "new.fits"}


def test_hdus_of_one_file_are_kept_apart(tmp_path, is_old, reads):
    file = tmp_path / "two.fits"
    images = [fits.ImageHDU(PIXELS + add) for add in (0, 300)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(file)
    kinds = {"two.fits[1]": DARK, "two.fits[2]": DARK}
    expected = read_samples(tmp_path, kinds)
    for _ in range(2):
        assert_same(read_samples(tmp_path, kinds, tmp_path / "kept"), expected)
    assert len(reads) == 4
    assert expected["two.fits[2]"].level == expected["two.fits[1]"].level + 300


def test_a_frame_of_other_crosstalk_is_read_again(tmp_path, is_old, reads):
    strips = [fits.ImageHDU(PIXELS), fits.ImageHDU(PIXELS)]
    fits.HDUList([fits.PrimaryHDU(), *strips]).writeto(tmp_path / "two.fits")
    halves = "1 [1:50,1:40] [1:50,1:40] - - - -; 2 [1:50,1:40] [51:100,1:40] - - - -"
    for times in (0.02, 0.03, 0.03):
        heard = (Crosstalk(1, 2, times),)
        frames = {"two.fits": Sampled("flat", "", halves, True, heard)}
        read_samples(tmp_path, frames, tmp_path / "kept")
    assert len(reads) == 2
