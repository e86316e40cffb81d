"""Frames that are too large for the memory are named, and not a pixel of them is read."""

import gzip
import os
import shlex

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import write_frame, write_night

from autoreduce.cli import cli
from autoreduce.errors import InputError
from autoreduce.fits import formats
from autoreduce.fits.images import open_image
from autoreduce.frames.scan import scan_night
from autoreduce.prepare import Choices, prepare_night

HUGE = 200_000


def write_sparse(folder, name):
    """Write a light that declares 40 GB of pixels, and takes a few kB of disk."""
    path = write_frame(folder, name, "light", 60, pixels=np.zeros((2, 2), np.uint8))
    cards = fits.getheader(path)
    cards["NAXIS1"] = cards["NAXIS2"] = HUGE
    path.write_bytes(cards.tostring().encode())
    os.truncate(path, len(cards.tostring()) + HUGE**2)
    return path


def test_a_size_that_does_not_fit_is_refused_by_name(tmp_path):
    """Two sparse lights with like headers: read, they would take minutes."""
    night = write_night(tmp_path / "night")
    good = scan_night([night]).frames
    for name in ("huge_1.fit", "huge_2.fit"):
        write_sparse(night, name)
    frames = prepare_night([night]).frames.set_index("file")
    assert frames.loc[list(good["file"]), "use"].all()
    for name in ("huge_1.fit", "huge_2.fit"):
        assert frames.loc[name, "code"] == "too-large"
        assert "200000 x 200000 pixels take 895GB" in frames.loc[name, "why_not"]


@pytest.mark.parametrize("declared", [1, 1000])
def test_packed_frames_count_unpacked(tmp_path, declared):
    night = write_night(tmp_path / "night")
    path = write_frame(
        night, "packed.fit", "light", 60, pixels=np.zeros((declared, 1000), np.uint16)
    )
    path.write_bytes(gzip.compress(path.read_bytes()))
    frames = prepare_night([night], Choices(memory=1 << 20)).frames.set_index("file")
    assert (frames.loc["packed.fit", "code"] == "too-large") == (declared == 1000)
    assert frames["use"].drop("packed.fit").all()


def test_the_way_out_works_when_it_is_pasted(tmp_path):
    night = write_night(tmp_path / "night")
    write_frame(night, "wide.fit", "light", 60, pixels=np.ones((300, 1000), np.uint16))

    def why_not(*words):
        words = ["explain", "--night", str(night), "wide.fit", *words]
        return CliRunner().invoke(cli, words).output

    told = why_not("--memory", "1MB")
    assert "1000 x 300 pixels take 7MB of memory, 1MB are allowed" in told
    way_out = shlex.split(told[told.index("(--memory") + 1 :].partition(")")[0])
    assert way_out == ["--memory", "7MB"]
    assert "are allowed" not in why_not(*way_out)


def test_nothing_is_unpacked_where_there_is_no_room(tmp_path, monkeypatch):
    path = tmp_path / "a.fits.gz"
    fits.writeto(path, np.zeros((100, 100), np.uint16))
    usage = formats.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        formats.shutil, "disk_usage", lambda _: usage._replace(free=20_000)
    )
    with pytest.raises(InputError, match=r"has room for 20000: set TMPDIR"):
        open_image(path)
