"""Odd and damaged files: none may stop the scan or pass for what it is not."""

import csv
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from autoreduce.frames.scan import scan_night

TORTURE = Path(__file__).parents[2] / "shared" / "data" / "torture"

if not TORTURE.is_dir():
    pytest.skip(
        "the collection of odd files is not on this machine", allow_module_level=True
    )


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture")
    with tarfile.open(TORTURE / "odd_files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def night(odd_files):
    return scan_night([odd_files])


def test_scan_ends_soon(odd_files):
    start = time.perf_counter()
    scan_night([odd_files])
    assert time.perf_counter() - start < 10


def test_every_file_with_a_fits_name_is_accounted_for(odd_files, night):
    endings = (".fits", ".fit", ".fts", ".gz", ".fz", ".bz2", ".z")
    named = {
        path.relative_to(odd_files).as_posix()
        for path in odd_files.rglob("*")
        if path.is_file() and path.name.lower().endswith(endings)
    }
    in_table = {str(file).partition("[")[0] for file in night.frames["file"]}
    assert in_table | set(night.unreadable["file"]) == named


def test_every_unreadable_file_has_its_reason(night):
    assert night.unreadable["reason"].str.len().min() > 8


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("derived/empty.fit", "empty file"),
        ("derived/html_error.fit", "not FITS"),
        ("derived/bad_naxis.fit", "truncated"),
        ("derived/gz_truncated.fit.gz", "damaged gzip"),
        ("astropy/btable.fits", "no image in it: 1 BINTABLE"),
        ("astropy/random_groups.fits", "no image in it"),
        ("astropy/history_header.fits", "headers only"),
        ("astropy/lzw.fits.Z", "compress"),
        ("nomtam/test.fits.bz2", "bzip2"),
        ("appledouble/uw_ccdchar/._bias2.FIT", "AppleDouble"),
        ("lfs_pointers_corgidrp/medcombined-uranus_band_1.fits", "Git LFS"),
    ],
)
def test_unreadable_file_is_named_with_the_reason(night, name, reason):
    reasons = night.unreadable.set_index("file")["reason"]
    match = [text for file, text in reasons.items() if file.endswith(name)]
    assert len(match) == 1
    assert reason in match[0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("derived/extra_garbage.fit", (765, 510)),
        ("derived/non_ascii_header.fit", (765, 510)),
        ("derived/trunc_padding.fit", (765, 510)),
        ("astropy/m13_rice.fits", (300, 300)),
        ("astropy/compressed_image.fits", (10, 10)),
    ],
)
def test_odd_but_sound_image_is_read(night, name, shape):
    rows = night.frames[night.frames["file"].str.endswith(name)]
    assert [tuple(row) for row in rows[["naxis1", "naxis2"]].to_numpy()] == [shape]


def test_images_that_nothing_tells_apart_are_left_out_in_one_line(night):
    rows = night.frames[night.frames["file"].str.contains("astropy/test0.fits")]
    assert rows["code"].tolist() == ["several-images"]


def test_frames_in_use_have_a_type(night):
    used = night.frames[night.frames["use"]]
    assert used["imagetyp"].isin(["bias", "dark", "flat", "flatdark", "light"]).all()


def test_images_that_astropy_finds_are_in_the_table(night):
    with (TORTURE / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        manifest = [row for row in csv.DictReader(file) if row["image_shapes"]]
    in_table = {str(file).partition("[")[0] for file in night.frames["file"]}
    for row in manifest:
        planes = [one for one in row["image_shapes"].split(";") if one.count(",") == 1]
        is_plane = any(not one.endswith(",)") for one in planes)
        named = row["file"].lower().endswith((".fits", ".fit", ".fits.gz", ".fits.fz"))
        if is_plane and named and row["astropy_8.0.2_result"] == "ok":
            found = any(file.endswith(row["file"]) for file in in_table)
            assert found or _is_no_image(night, row["file"]), row["file"]


def _is_no_image(night, name):
    """Tables with one row and images of one pixel are shapes for astropy too."""
    reasons = night.unreadable.set_index("file")["reason"]
    return any(
        file.endswith(name) and text.startswith("no image")
        for file, text in reasons.items()
    )


def test_scan_leaves_the_files_as_they_were(odd_files, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(odd_files / "odd_files" / "derived", copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    scan_night([copy])
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
