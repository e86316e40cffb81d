"""The commands that reduce, plan and explain a night."""

import json
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import write_frame, write_night

from autoreduce.cli import cli
from autoreduce.fits.ledger import LEDGER
from autoreduce.frames.overrides import read_frames_csv
from autoreduce.running.lock import LOCK


def invoke(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def night(tmp_path):
    return write_night(tmp_path / "night")


def table(night):
    return read_frames_csv(night.with_name("night_reduced") / "frames.csv").set_index(
        "file"
    )


def test_one_word_reduces_a_night(night):
    output = invoke(night)
    folder = night.with_name("night_reduced")
    assert "report.html" in output
    names = ["frames.csv", "evidence.csv", "plan.json", "report.html", "autoreduce.log"]
    assert all((folder / name).is_file() for name in names)
    assert len(list(folder.glob("calibrated/*.fit"))) == 3
    assert len(list(folder.glob("stacks/*.fits"))) == 1


def test_planning_reads_no_pixel_and_writes_no_product(night):
    with (night / "light_0001.fit").open("r+b") as file:
        file.seek(2880)
        file.write(b"\xff" * 5760)
    for arguments in (["plan", night], [night, "--dry-run"], [night, "-n"]):
        output = invoke(*arguments)
        assert "flat_R" in output
        folder = night.with_name("night_reduced")
        assert sorted(p.name for p in folder.iterdir()) == [
            LOCK,
            "evidence.csv",
            "frames.csv",
            LEDGER,
            "plan.json",
        ]


def test_an_excluded_frame_takes_no_part(night):
    invoke(night, "--exclude", "flat_0002*", "--exclude", "light_0003.fit", "-q")
    frames = table(night)
    assert set(frames.index[~frames["use"]]) == {"flat_0002.fit", "light_0003.fit"}
    (flat,) = night.with_name("night_reduced").glob("masters/flat_*.fits")
    assert fits.getheader(flat)["NCOMBINE"] == 2


def test_a_frame_left_out_automatically_is_brought_back_by_include(night):
    odd = np.full((48, 64), 900, np.uint16)
    odd += np.random.default_rng(1).integers(0, 9, odd.shape).astype(np.uint16)
    write_frame(night, "dark_0009.fit", "dark", 60, pixels=odd)
    invoke(night, "-q")
    assert not table(night).loc["dark_0009.fit", "use"]
    assert "above the bias" in table(night).loc["dark_0009.fit", "why_not"]
    invoke(night, "-q", "--include", "dark_0009.fit")
    assert table(night).loc["dark_0009.fit", "use"]
    assert table(night).loc["dark_0009.fit", "why_not"]
    # The same by the table: use true beside a reason keeps the frame.
    csv = night.with_name("night_reduced") / "frames.csv"
    invoke(night, "-q", "--frames", csv)
    (dark,) = night.with_name("night_reduced").glob("masters/dark_60s*.fits")
    assert fits.getheader(dark)["NCOMBINE"] == 4
    invoke(night, "-q")
    assert fits.getheader(dark)["NCOMBINE"] == 3
    invoke(night, "-q", "--keep-all")
    assert fits.getheader(dark)["NCOMBINE"] == 4


def test_a_fact_that_is_set_counts(night):
    invoke(night, "-q", "--set", "light_*: filter=V", "--set", "flat_*: filter=V")
    assert set(table(night).loc[lambda t: t["imagetyp"] == "light", "filter"]) == {"V"}
    assert list(night.with_name("night_reduced").glob("masters/flat_V*.fits"))


def test_an_edited_table_steers_the_run(night):
    invoke("plan", night, "-q")
    path = night.with_name("night_reduced") / "frames.csv"
    text = path.read_text().replace("light_0002.fit,true", "light_0002.fit,false")
    path.write_text(text)
    invoke(night, "-q", "--frames", path)
    assert not (night.with_name("night_reduced") / "calibrated/light_0002.fit").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--exclude", "lihgt*"], ["--include", "9999"], ["--set", "x: filter=R"]],
)
def test_a_pattern_that_matches_nothing_is_an_error_with_the_nearest_names(
    night, arguments
):
    output = invoke(night, *arguments, code=2)
    assert ".fit" in output


def test_strict_fails_for_what_is_missing(night):
    invoke(night, "--strict", "-q")
    for path in night.glob("flat_*"):
        path.unlink()
    invoke(night, "-q")
    invoke(night, "--strict", "-q", code=1)


@pytest.mark.parametrize(
    "arguments",
    [["--memory", "much"], ["--jobs", "0"], ["--nonsense"], ["/no/such/place"]],
)
def test_wrong_usage_has_status_2(night, arguments):
    extra = [] if arguments[0].startswith("/") else [night]
    invoke(*extra, *arguments, code=2)


def test_a_memory_of_some_bytes_is_refused_in_words(night):
    told = " ".join(invoke(night, "--memory", "3", code=2).split())
    assert "'3' is 3 bytes, and 1MB is the least: did you mean 3GB?" in told
    assert "1MB is the least" in invoke(night, "--memory", "200kB", code=2)


def test_an_unknown_recipe_is_an_error_that_lists_the_known(night):
    assert "notes" in invoke(night, "--recipe", "nonsense", code=2)


def test_pooled_exposures_are_stacked_together(night):
    write_frame(night, "light_0009.fit", "light", 2)
    invoke(night, "-q", "--stack-by", "object,filter")
    (stack,) = night.with_name("night_reduced").glob("stacks/*.fits")
    assert fits.getheader(stack)["NCOMBINE"] == 4
    assert fits.getheader(stack)["TOTEXP"] == 182


def test_explain_tells_type_keyword_group_masters_and_rejected_candidates(night):
    output = invoke("explain", night / "light_0002.fit")
    for word in (
        "light",
        "IMAGETYP",
        "Light Frame",
        "bias_",
        "dark_60s",
        "flat_R",
        "dark_2s",
    ):
        assert word in output
    by_number = invoke("explain", "light_0002.fit", "--night", night)
    assert by_number == output
    told = json.loads(invoke("explain", "--all", "--json", "--night", night))
    assert len(told["frames"]) == 15
    invoke("explain", "--night", night, code=2)
    assert "--all --night" in invoke("explain", night, code=2)


def test_every_command_has_help_with_an_example():
    listing = invoke("--help")
    for name in cli.list_commands(None):
        assert name in listing
        output = invoke(name, "--help")
        assert "Example" in output, name


def test_the_planes_are_written_if_asked_for(night):
    invoke(night, "-q", "--planes", "--set", "*: rdnoise=4")
    with fits.open(
        night.with_name("night_reduced") / "calibrated/light_0001.fit"
    ) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "UNCERT", "STARS"]
        expected = np.sqrt(900 + 30 + 16)
        assert np.median(hdus["UNCERT"].data) == pytest.approx(expected, rel=0.1)


def test_the_module_runs_as_a_program():
    result = subprocess.run(
        [sys.executable, "-m", "autoreduce", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "autoreduce" in result.stdout


def test_help_imports_no_heavy_library():
    code = (
        "import sys\n"
        "from autoreduce.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'pandas', 'astropy', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "HEAVY []" in result.stdout


def test_a_mistyped_command_is_told_the_nearest_one():
    assert "did you mean plan?" in invoke("plna", "night", code=2)
    assert "neither a folder nor a command" in invoke("no_such_night", code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("light_0002", "--night", "night"),
        ("light_0002.fit", "--night", "night"),
        ("night/light_0002",),
        ("night/light_0002.fit",),
        ("night/light_0002*",),
        ("./night/../night/light_0002",),
    ],
)
def test_explain_takes_a_name_with_or_without_ending_and_path(
    night, monkeypatch, words
):
    monkeypatch.chdir(night.parent)
    output = invoke("explain", *words)
    assert output.splitlines()[0] == "night/light_0002.fit"
    assert len([line for line in output.splitlines() if line == "What it is"]) == 1


def paths_in(output):
    """Take the words of an explanation that look like paths of files."""
    return [
        word.rstrip(":") for word in output.split() if "/" in word and ".fit" in word
    ]


def test_explain_says_paths_that_exist(night, monkeypatch):
    monkeypatch.chdir(night.parent)
    before = invoke("explain", "light_0002", "--night", "night")
    assert "makes calibrated/light_0002.fit" in before
    assert "stacked into stacks/" in before
    invoke(night, "-q")
    after = invoke("explain", "light_0002", "--night", "night")
    assert "made night_reduced/calibrated/light_0002.fit" in after
    found = paths_in(after)
    assert len(found) == 3  # the frame, its product, its stack
    for path in found:
        assert (night.parent / path).is_file(), path
    told = json.loads(invoke("explain", "light_0002", "--night", "night", "--json"))
    (story,) = told["frames"]
    assert story["file"] == "light_0002.fit"
    assert [story[key] for key in ("path", "made", "stacked")] == found
    # From elsewhere the paths are whole ones.
    monkeypatch.chdir(night)
    for path in paths_in(invoke("explain", "light_0002", "--night", night)):
        assert path.startswith("/") or path == "light_0002.fit"
        assert fits.getheader(path)["NAXIS"] == 2


def test_explain_finds_the_night_above_a_frame_in_a_subfolder(night, monkeypatch):
    lights = night / "lights"
    lights.mkdir()
    for path in night.glob("light_*.fit"):
        path.rename(lights / path.name)
    monkeypatch.chdir(night.parent)
    assert "flat_R" not in invoke("explain", "night/lights/light_0002")
    invoke("night", "-q")
    output = invoke("explain", "night/lights/light_0002")
    assert output.splitlines()[0] == "night/lights/light_0002.fit"
    assert "flat_R" in output


@pytest.mark.parametrize("words", [("reduce", "{}/Nihgt"), ("plan", "{}/nigh")])
def test_a_mistyped_folder_is_told_the_nearest_one(night, words):
    words = [word.format(night.parent) for word in words]
    assert f"Did you mean {night}?" in invoke(*words, code=2).replace("\n", " ")


def test_a_mistyped_folder_without_a_path_is_told_as_well(night, monkeypatch):
    monkeypatch.chdir(night.parent)
    assert "did you mean night?" in invoke("nigh", code=2)


def test_a_mistyped_recipe_is_told_the_nearest_one(night, tmp_path):
    assert "did you mean notes?" in invoke(night, "--recipe", "note", code=2)
    (tmp_path / "sharp.toml").touch()
    wrong = tmp_path / "shrap.toml"
    assert f"did you mean {tmp_path}/sharp.toml?" in invoke(
        night, "--recipe", wrong, code=2
    )


def test_a_repeated_run_says_what_was_current_and_not_made(night):
    assert "made 1 master bias" in invoke(night)
    again = invoke(night)
    assert "current already: 1 master bias" in again
    assert "made" not in again.splitlines()[0]


def test_a_plan_tells_in_the_words_of_the_run(night):
    (night / "broken.fit").write_bytes(b"SIMPLE  =                    T")
    for path in night.glob("flat_*"):
        path.unlink()
    plan = invoke("plan", night).splitlines()
    told = plan[plan.index("Masters are missing") : plan.index("")]
    assert "Could not be read" in told
    assert [line for line in told if line not in invoke(night).splitlines()] == []


def test_the_report_is_opened_by_its_folder_or_its_night(night, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert "holds no products of autoreduce" in invoke("open", night, code=1)
    invoke(night, "-q")
    report = night.with_name("night_reduced") / "report.html"
    for folder in (night, report.parent):
        assert invoke("open", folder).strip() == str(report)
    assert opened == [report.as_uri()] * 2


def test_a_frame_table_without_columns_and_rows_is_as_scanned_there(night):
    invoke("plan", night)
    whole = table(night).reset_index()
    csv = night.with_name("mine.csv")
    mine = whole.loc[whole["file"].ne("bias_0002.fit"), ["file", "use"]]
    mine.loc[mine["file"].eq("flat_0001.fit"), "use"] = False
    mine.to_csv(csv, index=False)
    output = invoke("plan", night, "--frames", csv)
    assert (
        "bias_0002.fit: not listed in mine.csv, and used as the headers say "
        "(--exclude 'bias_0002.fit')"
    ) in output
    left_out = ("--frames", csv, "--exclude", "bias_0002.fit")
    assert "not listed" not in invoke("plan", night, *left_out)
    invoke("plan", night, "--frames", csv)
    planned = table(night)
    assert planned.index[~planned["use"]].tolist() == ["flat_0001.fit"]
    told = whole.set_index("file")
    for name in ("imagetyp", "exptime", "filter", "date_obs"):
        assert planned[name].sort_index().equals(told[name].sort_index())
    assert "not listed" not in invoke(
        "plan", night, "--frames", night.with_name("night_reduced") / "frames.csv"
    )


def test_a_file_that_cannot_be_read_is_explained_as_that(night):
    (night / "notes.fit").write_text("hello\n")
    why = "could not be read: not FITS: begins with 'hello\\n', expected 'SIMPLE  ='"
    assert f"{night}/notes.fit {why}" in invoke("explain", night / "notes.fit", code=1)
    output = invoke("explain", "notes.fit", "--night", night, code=1)
    assert f"notes.fit {why}" in output


def test_a_file_for_a_night_is_refused_with_its_folder(night):
    output = invoke("plan", night / "bias_0001.fit", code=2)
    assert f"is a file. Name the folder in which it lies: {night}\n" in output


def test_products_are_found_by_the_night_that_was_reduced(night, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    why = f"{night} holds no products of autoreduce: name an output folder, or a night"
    for command in ("verify", "lightcurve", "open"):
        assert why in invoke(command, night, code=1)
    invoke("-q", night)
    reduced = str(night.with_name("night_reduced"))
    assert reduced in invoke("verify", night)
    assert reduced in invoke("open", night)
    told = invoke("lightcurve", night, "--filter", "Q", code=1)
    assert f"{reduced} holds no two registered lights" in told


def test_the_list_of_commands_says_each_in_a_line():
    lines = invoke("--help").partition("Commands:\n")[2].splitlines()
    assert len(lines) == len(cli.list_commands(None))
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_the_home_folder_is_meant_where_no_shell_has_seen_to_it(night, monkeypatch):
    monkeypatch.chdir(night)
    monkeypatch.setenv("HOME", str(night.parent))
    invoke("plan", night, "--output=~/there")
    assert (night.parent / "there" / "plan.json").is_file()
    assert not (night / "~").exists()
    monkeypatch.setenv("AUTOREDUCE_LIBRARY", "~/there")
    assert "there holds no masters" in invoke("library", "list")
