"""Real headers of many cameras: the facts that a person reads in them.

The expectations in ``data/real_headers.csv`` were written down from the headers,
fact by fact; the headers themselves are not part of the project.
"""

import csv
import math
import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from autoreduce.calibration.joined import JoinedImage
from autoreduce.errors import InputError
from autoreduce.fits.amplifiers import read_amplifiers
from autoreduce.fits.header import RawHeader, headers_from_text, image_shape
from autoreduce.frames.detectors import frames_of_detectors
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import frames_of_file, is_image
from autoreduce.frames.scan import scan
from autoreduce.frames.together import decide_together

HEADERS = Path(__file__).parents[2] / "shared" / "data" / "headers"
EXPECTED = Path(__file__).parent / "data" / "real_headers.csv"
FACTS = [
    "imagetyp",
    "object",
    "filter",
    "exptime",
    "xbinning",
    "ybinning",
    "ccd_temp",
    "set_temp",
    "gain",
    "offset",
    "egain",
    "rdnoise",
    "date_obs",
    "night",
    "instrume",
    "bayerpat",
]

if not HEADERS.is_dir():
    pytest.skip(
        "the collection of real headers is not on this machine", allow_module_level=True
    )


@cache
def source_names():
    with (HEADERS / "INDEX.csv").open(newline="", encoding="utf-8") as file:
        return {
            row["header_file"]: Path(row["source_path"]).name or row["header_file"]
            for row in csv.DictReader(file)
        }


def read_headers_of(text):
    parts = re.split(r"^--- HDU \d+ ---\n", text, flags=re.MULTILINE)
    headers = [
        RawHeader(hdu, b"".join(one.block for one in headers_from_text(part)))
        for hdu, part in enumerate(parts)
    ]
    if len(headers) == 1 and not shows_image(headers[0]):
        # A header without its structure is read as that of an image.
        start = "SIMPLE  = T\nNAXIS   = 2\nNAXIS1  = 4\nNAXIS2  = 3"
        headers = [RawHeader(0, headers_from_text(start)[0].block + headers[0].block)]
    return headers


def shows_image(header):
    try:
        return is_image(image_shape(header))
    except InputError:
        return False


def read_frames(header_file):
    text = (HEADERS / header_file).read_text(encoding="utf-8", errors="replace")
    name = source_names()[header_file]
    path = HEADERS / header_file
    frames = list(frames_of_file(name, path, read_headers_of(text), load_dialects()))
    decide_together(frames)
    return frames


def rows():
    with EXPECTED.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def agrees(value, wanted):
    if value is None or wanted == "":
        return value is None and wanted == ""
    if isinstance(value, datetime):
        moment = datetime.fromisoformat(wanted).replace(tzinfo=UTC)
        return abs(value - moment).total_seconds() < 0.002
    if isinstance(value, int | float):
        return math.isclose(value, float(wanted), rel_tol=1e-6, abs_tol=1e-6)
    return str(value) == wanted


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["header_file"])
def test_facts_are_those_that_a_person_reads(row):
    frames = {frame.header.hdu: frame for frame in read_frames(row["header_file"])}
    frame = frames[int(row["hdu"])]
    wrong = {
        fact: (frame.value(fact), row[fact])
        for fact in FACTS
        if not agrees(frame.value(fact), row[fact])
    }
    assert wrong == {}
    assert (not frame.why_not) == (row["raw"] == "yes"), frame.why_not
    assert row["dialect"] in ("", frame.dialect.name)


def test_expectations_cover_many_cameras():
    folders = {row["header_file"].partition("/")[0] for row in rows()}
    assert len(rows()) >= 150
    assert len(folders) >= 70


def test_no_real_header_makes_reading_fail():
    for header_file in source_names():
        read_frames(header_file)


@pytest.mark.parametrize(
    ("header_file", "size", "shape", "wanted"),
    [
        (
            "lsst_amt__decam-raw_dec050441_25/fitsheader-decam-raw_dec050441_25.txt",
            (2160, 4146),
            (2048, 4096),
            [
                ("[57:1080,51:4146]", "[1:1024,1:4096]", "[7:56,51:4146]"),
                ("[1081:2104,51:4146]", "[1025:2048,1:4096]", "[2105:2154,51:4146]"),
            ],
        ),
        (
            "pypeit_headers_pypeit_headers_NEWCAM/OBJECT_nofilt_30s_b1.fits.txt",
            (2112, 350),
            (2048, 350),
            [
                ("[1:1024,1:350]", "[1:1024,1:350]", "[2049:2080,1:350]"),
                ("[1025:2048,1:350]", "[1025:2048,1:350]", "[2081:2112,1:350]"),
            ],
        ),
    ],
)
def test_amplifiers_of_real_cameras_are_found(header_file, size, shape, wanted):
    text = (HEADERS / header_file).read_text(encoding="utf-8", errors="replace")
    nx, ny = size
    start = f"SIMPLE  = T\nNAXIS   = 2\nNAXIS1  = {nx}\nNAXIS2  = {ny}\n"
    block = b"".join(one.block for one in headers_from_text(start + text))
    headers = [RawHeader(0, block)]
    images = frames_of_file("a", Path("a"), headers, load_dialects())
    (frame,) = frames_of_detectors("a", images)
    told = read_amplifiers(str(frame.value("amplifiers")))
    assert frame.shape == shape
    assert [(one.data, one.place, one.overscan) for one in told] == wanted


def test_segments_of_a_real_detector_are_one_frame(tmp_path):
    """Two files of 16 amplifiers, which differ in their overscans and detectors."""
    nights = HEADERS.parent / "nights"
    command = [nights / "unpack", tmp_path, "lsst_16_amplifiers"]
    if not nights.is_dir():
        pytest.skip("the collection of real nights is not on this machine")
    subprocess.run(command, check=True, capture_output=True)
    frames = scan(tmp_path)
    assert frames["use"].tolist() == [True, True]
    assert frames["imagetyp"].tolist() == ["flat", "light"]
    assert frames["naxis1"].tolist() == [4096, 4072]
    assert frames["naxis2"].tolist() == [4004, 4000]
    for row in frames.to_dict("records"):
        told = read_amplifiers(row["amplifiers"])
        with JoinedImage(tmp_path / row["file"], told) as image:
            rows = image.rows(1000, 1002)
            # Pixels of some segments were set to zero before the files were published.
            for one in image.readouts[:8]:
                assert np.isnan(rows[:, one.place[1]]).all() == one.dead
        assert len(told) == 16
