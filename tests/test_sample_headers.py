"""Sample headers of every dialect: exactly the facts stated beside them."""

import math
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoreduce.fits.header import headers_from_text
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import frames_of_file
from autoreduce.frames.together import decide_together

SAMPLES = Path(__file__).parents[1] / "sample_headers"
NOT_COLUMNS = {
    "date_loc",
    "filename",
    "raw",
    "file",
    "datasec",
    "detsec",
    "detector",
}


def samples():
    for table in sorted(SAMPLES.glob("*/expected.toml")):
        for name, facts in tomllib.loads(table.read_text("utf-8")).items():
            yield pytest.param(
                table.parent / name, facts, id=f"{table.parent.name}-{name}"
            )


def read_frame(path, file):
    headers = headers_from_text(path.read_text("utf-8"))
    frames = list(frames_of_file(file, path, headers, load_dialects()))
    decide_together(frames)
    assert len(frames) == 1
    return frames[0]


def agrees(value, wanted):
    if isinstance(value, datetime):
        moment = datetime.fromisoformat(wanted).replace(tzinfo=UTC)
        return abs(value - moment).total_seconds() < 1e-5
    if isinstance(value, int | float):
        return math.isclose(value, wanted, rel_tol=1e-6)
    return value == wanted


@pytest.mark.parametrize(("path", "wanted"), list(samples()))
def test_sample_header_gives_exactly_the_expected_facts(path, wanted):
    frame = read_frame(path, wanted.get("file", "frame_0001.fits"))
    found = {
        fact: frame.value(fact)
        for fact in frame.facts
        if frame.value(fact) is not None and fact not in NOT_COLUMNS
    }
    assert sorted(found) == sorted(set(wanted) - NOT_COLUMNS)
    wrong = {
        fact: (value, wanted[fact])
        for fact, value in found.items()
        if not agrees(value, wanted[fact])
    }
    assert wrong == {}
    assert (not frame.why_not) == wanted["raw"], frame.why_not


@pytest.mark.parametrize(("path", "wanted"), list(samples()))
def test_sample_header_is_recognised_as_its_dialect(path, wanted):
    assert read_frame(path, "frame_0001.fits").dialect.name == path.parent.name


def test_every_dialect_has_a_sample_header():
    folders = {table.parent.name for table in SAMPLES.glob("*/expected.toml")}
    assert {dialect.name for dialect in load_dialects()} == folders


def test_every_sample_header_has_expected_facts():
    for folder in {table.parent for table in SAMPLES.glob("*/expected.toml")}:
        table = tomllib.loads((folder / "expected.toml").read_text("utf-8"))
        assert {path.name for path in folder.glob("*.txt")} == set(table)
