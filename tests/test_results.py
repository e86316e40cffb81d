"""What commands tell programs: one form of JSON, on standard output."""

import json
import logging
import math

import pytest
from click.testing import CliRunner
from report_night import FLAT, STACK, FakeOutcome, failed, make_outcomes, make_report
from small_night import write_frame, write_night

from autoreduce.cli import cli
from autoreduce.remarks import CODES
from autoreduce.report.results import document, run_document


def told(*arguments, code=0):
    """Run a command and read its standard output."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    night = write_night(tmp_path_factory.mktemp("results") / "night", without=["flat"])
    write_frame(night, "light_0004.fit", "light", 60.0, FILTER="V")
    (night / "broken.fit").write_bytes(b"SIMPLE  =                    T")
    return night


@pytest.fixture(scope="module")
def run(night):
    return told(night, "--json", "--jobs", 1)


def by_code(content):
    return {one["code"]: one for one in content["attention"]}


def test_a_run_tells_counts_products_and_what_needs_attention(run, night):
    assert list(run)[:3] == ["schema_version", "autoreduce", "command"]
    assert run["schema_version"] == 1
    assert run["folder"] == str(night.with_name("night_reduced"))
    assert run["exit_status"] == 0
    assert run["counts"] == {
        "frames": 13, "frames_used": 13, "frames_left_out": 0, "unreadable": 1,
        "lights": 4, "lights_calibrated": 4, "lights_stacked": 3,
        "products": 10, "made": 10, "current": 0, "failed": 0, "blocked": 0,
    }  # fmt: skip
    for one in run["attention"]:
        assert {"code", "severity", "subject", "text", "way_out"} <= set(one)
        assert one["severity"] == CODES[one["code"]].severity
    assert by_code(run)["unreadable"]["subject"] == ["broken.fit"]


def test_groups_that_lack_a_master_are_named_as_the_products_name_them(run):
    lack = by_code(run)["no-flat"]
    lights = [one for one in run["products"] if one["kind"] == "calibrate"]
    assert set(lack["subject"]) == {one["group"] for one in lights}
    assert all(one["missing"] == ["no-flat"] for one in lights)


def test_products_hold_numbers_and_name_files_that_are_there(run, night):
    folder = night.with_name("night_reduced")
    for one in run["products"]:
        assert one["status"] == "done"
        assert one["files"]
        assert all((folder / file).is_file() for file in one["files"])
        assert all(isinstance(n, int | float) for n in one["statistics"].values())
        assert isinstance(one["seconds"], float)
    (stack,) = (one for one in run["products"] if one["kind"] == "stack")
    assert stack["n_frames"] == 3
    assert stack["level"] is None
    (dark,) = (one for one in run["products"] if one["output"].count("dark_60s"))
    assert dark["level"] == 0
    assert dark["statistics"]["level"] == pytest.approx(30, abs=2)


def test_a_run_that_makes_nothing_says_that_all_is_current(run, night):
    again = told(night, "--json", "--jobs", 1)
    assert (again["counts"]["made"], again["counts"]["current"]) == (0, 10)


def test_a_plan_has_the_same_form_and_the_same_remarks(run, night):
    for words in (("plan", night, "--json"), (night, "--dry-run", "--json")):
        plan = told(*words)
        assert {one["status"] for one in plan["products"]} == {"planned"}
        assert (plan["counts"]["products"], plan["exit_status"]) == (10, 0)
        # What only pixels tell a plan cannot know.
        assert set(by_code(plan)) <= set(by_code(run))
        assert {"no-flat", "unreadable", "single-light"} <= set(by_code(plan))


def test_an_explanation_has_facts_as_numbers_and_only_what_concerns_the_frame(night):
    found = told("explain", "light_0002", "bias_0001", "--night", night, "--json")
    assert found["exit_status"] == 0
    light, bias = found["frames"]
    facts = {line["fact"]: line["value"] for line in light["facts"]}
    assert facts["exptime"] == 60.0
    assert facts["xbinning"] == 1
    assert facts["filter"] == "R"
    assert facts["date_obs"].startswith("2024-03-02T")
    assert bias["level"] is None
    outputs = [one["output"] for one in found["products"]]
    assert outputs == [bias["output"], light["output"], light["stack"]]
    assert found["counts"] == {"frames": 2, "frames_left_out": 0, "products": 3}
    assert set(by_code(found)) == {"no-flat"}


def test_verify_tells_of_each_file(run, night, tmp_path):
    folder = night.with_name("night_reduced")
    sound = told("verify", folder, "--json", "--inputs")
    assert sound["counts"]["wrong"] == 0
    statuses = {one["output"]: one["status"] for one in sound["products"]}
    assert set(statuses.values()) == {"sound"}
    assert {"lights.csv", str(night / "light_0001.fit")} <= set(statuses)
    kept = (folder / "lights.csv").read_bytes()
    (folder / "lights.csv").write_bytes(kept + b"\n")
    bad = told("verify", folder, "--json", code=1)
    (folder / "lights.csv").write_bytes(kept)
    assert bad["exit_status"] == 1
    assert [one["output"] for one in bad["products"] if one["status"] != "sound"] == [
        "lights.csv"
    ]
    assert by_code(bad)["changed"]["subject"] == ["lights.csv"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("reduce", "{}/empty"), 1),
        (("plan", "{}/empty"), 1),
        (("explain", "x", "--night", "{}/empty"), 1),
        (("verify", "{}/empty"), 1),
        (("reduce", "{}/night", "--recipe", "no_such"), 2),
        (("reduce", "{}/night", "--exclude", "nothing_like_it"), 2),
    ],
)
def test_an_error_is_json_as_well_and_said_on_standard_error(
    night, tmp_path, words, status
):
    (night.parent / "empty").mkdir(exist_ok=True)
    arguments = [word.format(night.parent) for word in words]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == status, result.output
    content = json.loads(result.stdout)
    (why,) = content["attention"]
    assert (why["code"], content["exit_status"]) == ("refused", status)
    assert why["found"] in result.stderr


def test_a_failure_is_counted_and_makes_the_exit_status(tmp_path):
    report = make_report()
    ends = make_outcomes(
        report.plan,
        **{FLAT: failed("saturated", output=FLAT), STACK: FakeOutcome("blocked")},
    )
    report = make_report(report.plan, outcomes=ends)
    content = json.loads(run_document(report, tmp_path, exit_status=1))
    counts = content["counts"]
    assert (counts["failed"], counts["blocked"], counts["made"]) == (1, 1, 6)
    assert counts["lights_stacked"] == 0
    files = {one["output"]: one["files"] for one in content["products"]}
    assert files[FLAT] == []
    assert content["attention"][0]["severity"] == "failed"


def test_what_is_no_number_becomes_null():
    text = document("x", worst=math.nan, deep=[{"far": (math.inf, 1.5)}])
    content = json.loads(text, parse_constant=pytest.fail)
    assert content["worst"] is None
    assert content["deep"] == [{"far": [None, 1.5]}]


# ----------------------------------------------------------------- what is logged


@pytest.fixture
def logger():
    logger = logging.getLogger("autoreduce")
    before = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(before[0])
    logger.handlers = before[1]


def test_verbose_shows_the_log_on_standard_error(night, run, logger):
    result = CliRunner().invoke(cli, [str(night), "-v", "--json", "--jobs", "1"])
    assert "INFO: current: 10 products" in result.stderr
    assert json.loads(result.stdout)["counts"]["current"] == 10
    quiet = CliRunner().invoke(cli, [str(night), "-q", "--jobs", "1"])
    assert "INFO" not in quiet.output


@pytest.mark.parametrize(
    ("level", "is_begun", "is_current"),
    [("debug", True, True), ("info", False, True), ("warning", False, False)],
)
def test_the_level_decides_what_is_logged(
    night, run, logger, level, is_begun, is_current
):
    log = night.with_name("night_reduced") / "autoreduce.log"
    size = log.stat().st_size
    told(night, "--json", "--jobs", 1, "--log-level", level)
    added = log.read_bytes()[size:].decode()
    assert ("is begun" in added) == is_begun
    assert ("current: 10 products" in added) == is_current
