"""What the terminal shows, on every kind of terminal."""

import io
import re

import pandas as pd
import pytest
from report_night import (
    BIAS,
    DARK,
    FIT,
    FLAT,
    STACK,
    FakeOutcome,
    calibrate,
    failed,
    make_frames,
    make_outcomes,
    make_plan,
    make_report,
)

from autoreduce.cli.console import (
    PIPE_WIDTH,
    plain,
    print_plan,
    print_summary,
    progress,
)
from autoreduce.planning.explain import GroupRow
from autoreduce.remarks import remark
from autoreduce.report.summary import headline
from autoreduce.report.words import NOTHING, TIMES

LONG = remark(
    "unlike-flat", found="B, G, Halpha, Lum, OIII, R, SII, open", expected="filter V"
)


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, or not, of some encoding."""

    def __init__(self, encoding="utf-8", *, is_terminal=True):
        super().__init__(io.BytesIO(), encoding)
        self._is_terminal = is_terminal

    def isatty(self):  # noqa: D102
        return self._is_terminal

    @property
    def shown(self):  # noqa: D102
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)

    @property
    def words(self):  # noqa: D102
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown)


@pytest.fixture
def terminal(monkeypatch):
    """Open terminals of a given width."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def open_terminal(columns=80, encoding="utf-8", *, is_terminal=True):
        monkeypatch.setenv("COLUMNS", str(columns))
        return Terminal(encoding, is_terminal=is_terminal)

    return open_terminal


def make_row(**changes):
    fields = {
        "kind": "light", "group": "light_M1_V", "n_frames": 3, "exposure": "60 s",
        "bias": "bias_1x1", "dark": "dark_60s (exact)", "flat": "", "level": 1,
        "missing": (LONG,), "output": STACK,
    }  # fmt: skip
    return GroupRow(**{**fields, **changes})


def planned():
    """Tell of a plan with one frame that is left out, and one note."""
    frames = make_frames()
    frames.loc[0, ["use", "why_not"]] = [False, "calibrated already"]
    plan = make_plan(notes=(remark("several", found="2 nights"),))
    return make_report(plan, frames=frames, outcomes={})


def troubled_report():
    plan = make_plan(
        calibrate("l0.fit", missing=(LONG,)),
        notes=(remark("several", found="2 nights"),),
    )
    odd = remark("odd-level", found="9 ADU", expected="7 have 5")
    many = dict.fromkeys(("b0.fit", "b1.fit", "b2.fit", "d0.fit"), odd)
    outcomes = make_outcomes(
        plan,
        **{
            BIAS: FakeOutcome(left_out=many),
            FLAT: failed("all flats are saturated", output=FLAT),
        },
    )
    unreadable = pd.DataFrame({"file": ["[red]x[/red].fit"], "reason": ["truncated"]})
    return make_report(plan, outcomes=outcomes, unreadable=unreadable)


# --------------------------------------------------------------------- plan


def test_a_plan_in_a_pipe_is_a_table_with_one_line_for_each_group(terminal):
    pipe = terminal(40, is_terminal=False)
    print_plan([make_row(), make_row(group="light_M1_R")], planned(), stream=pipe)
    head, first, second, *rest = pipe.shown.splitlines()
    titles, cells = (" ".join(line.split()) for line in (head, first))
    assert titles == "group frames exposure bias dark flat level"
    assert cells == "light_M1_V 3 60 s bias_1x1 dark_60s (exact) none incomplete"
    assert second.startswith("light_M1_R")
    assert rest == [
        "Left out",
        "  b0.fit: calibrated already",
        "Good to know",
        "  frames of 2 nights",
    ]


def test_a_plan_on_a_narrow_terminal_is_a_few_lines_for_each_group(terminal):
    narrow = terminal(40)
    print_plan([make_row()], planned(), stream=narrow)
    lines = narrow.words.splitlines()
    assert lines[:4] == [
        "light_M1_V (3 frames, 60 s)",
        "  bias bias_1x1",
        "  dark dark_60s (exact)",
        "  flat none",
    ]
    assert max(map(len, lines)) <= 40


def test_a_group_without_masters_has_no_level_and_lacks_nothing(terminal):
    pipe = terminal(is_terminal=False)
    bare = {"bias": "", "dark": "", "flat": "", "missing": ()}
    rows = (
        make_row(**bare, group="bias_1x1", exposure="0 s"),
        make_row(**bare, group="dark_current", exposure="", kind="dark fit"),
    )
    print_plan(rows, planned(), stream=pipe)
    _, bias, fit, *_ = pipe.shown.splitlines()
    assert bias.split() == ["bias_1x1", "3", "0", "s"]
    assert fit.split() == ["dark_current", "3", "dark", "fit"]


def test_names_that_look_like_markup_are_shown_as_they_are(terminal):
    pipe = terminal(is_terminal=False)
    print_plan([make_row(group="[bold]x:smile:")], planned(), stream=pipe)
    assert "[bold]x:smile:" in pipe.shown


# ------------------------------------------------------------------ summary


def test_the_summary_tells_everything_in_order(terminal, tmp_path):
    for name in ("report.html", "frames.csv"):
        (tmp_path / name).touch()
    pipe = terminal(is_terminal=False)
    report = troubled_report()
    print_summary(report, tmp_path, stream=pipe)
    assert pipe.shown.splitlines() == [
        headline(report),
        "Could not be made",
        f"  {FLAT}: all flats are saturated",
        "Masters are missing",
        f"  M1_Ha (1 frame): {LONG}",
        "Could not be read",
        "  [red]x[/red].fit: truncated",
        "Left out",
        (
            "  b0.fit, b1.fit, b2.fit and 1 more: level 9 ADU, the other 7 have 5 "
            "(--include 'b*.fit,d0.fit')"
        ),
        "  l1.fit, l2.fit: nothing could be made of it",
        "Good to know",
        "  frames of 2 nights",
        f"Products {tmp_path}",
        f"Look at  {tmp_path / 'report.html'}",
        f"Change   {tmp_path / 'frames.csv'} and run again with --frames",
    ]


def test_the_summary_points_only_to_what_is_there(terminal, tmp_path):
    pipe = terminal(is_terminal=False)
    print_summary(make_report(), tmp_path, stream=pipe)
    assert pipe.shown.splitlines()[1:] == [f"Products {tmp_path}"]


def test_one_trouble_of_many_frames_is_one_line(terminal, tmp_path):
    plan = make_plan()
    odd = {
        f"d{n}.fit": remark(
            "odd-level", found=f"{1030 + n} ADU", expected="25 have 1011"
        )
        for n in range(5)
    }
    outcomes = make_outcomes(plan, **{DARK: FakeOutcome(left_out=odd)})
    pipe = terminal(is_terminal=False)
    print_summary(make_report(plan, outcomes=outcomes), tmp_path, stream=pipe)
    assert (
        "  d0.fit, d1.fit, d2.fit: level 1030 to 1032 ADU, the other 25 have 1011 "
        "(--include 'd*')" in pipe.shown.splitlines()
    )


def test_of_very_many_remarks_the_summary_tells_some(terminal, tmp_path):
    names = [f"{i}.fit" for i in range(13)]
    reasons = [f"reason {chr(97 + i)}" for i in range(13)]
    unreadable = pd.DataFrame({"file": names, "reason": reasons})
    pipe = terminal(is_terminal=False)
    print_summary(make_report(unreadable=unreadable), tmp_path, stream=pipe)
    assert "  9.fit: reason j" in pipe.shown.splitlines()
    assert "  ... and 3 more like it" in pipe.shown.splitlines()
    assert "10.fit" not in pipe.shown


def test_the_summary_is_wrapped_to_a_terminal_but_paths_are_not(terminal, tmp_path):
    narrow = terminal(40)
    print_summary(troubled_report(), tmp_path, stream=narrow)
    *told, last = narrow.words.splitlines()
    assert max(map(len, told)) <= 40
    assert last.endswith(str(tmp_path))


def test_colours_are_for_terminals_that_want_them(terminal, tmp_path, monkeypatch):
    colours = re.compile(r"\x1b\[[0-9;]*3[13]m")
    for is_terminal, wanted in ((True, True), (False, False)):
        stream = terminal(is_terminal=is_terminal)
        print_summary(troubled_report(), tmp_path, stream=stream)
        assert bool(colours.search(stream.shown)) == wanted
    monkeypatch.setenv("NO_COLOR", "1")
    stream = terminal()
    print_summary(troubled_report(), tmp_path, stream=stream)
    assert not colours.search(stream.shown)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_ascii_terminal_gets_ascii(terminal, tmp_path, is_terminal):
    frames = make_frames()
    frames.loc[0, ["use", "why_not"]] = [False, f"5 {TIMES} 3 {NOTHING} Straße"]
    stream = terminal(200, "ascii", is_terminal=is_terminal)
    print_summary(make_report(frames=frames), tmp_path, stream=stream)
    assert r"5 x 3 - Stra\xdfe" in stream.words
    with progress(stream=stream) as tell:
        tell("start", make_plan().tasks[0], 0, 1)
    assert stream.shown.isascii()


def test_text_that_an_encoding_can_hold_is_left_alone():
    text = f"5 {TIMES} 3 ±"
    assert plain(text, "utf-8") == text
    assert plain(text, "latin-1") == text
    assert plain(text, "ascii") == "5 x 3 +/-"


# ----------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("is_terminal", "quiet"), [(False, False), (False, True), (True, True)]
)
def test_progress_is_shown_only_where_it_is_wanted(terminal, is_terminal, quiet):
    stream = terminal(is_terminal=is_terminal)
    with progress(quiet, stream=stream) as tell:
        tell("start", make_plan().tasks[0], 0, 7)
        tell("end", make_plan().tasks[0], 1, 7)
    assert stream.shown == ""


def test_progress_names_what_is_being_made_and_counts_what_is_done(terminal):
    stream = terminal(120)
    bias, dark, *_ = make_plan().tasks
    with progress(jobs=3, stream=stream) as tell:
        tell("start", bias, 0, 7)
        tell("start", dark, 0, 7)
        tell("end", bias, 1, 7)
        tell("end", dark, 2, 7)
        tell("start", make_plan().task(FIT), 2, 7)
        tell("start", make_plan().task(STACK), 2, 7)
    *_, bar, fit, stack = stream.words.rstrip().splitlines()
    assert "2/7" in bar
    assert bar.rstrip().endswith("left")
    assert fit.strip() == "dark fit darkfit"
    assert stack.strip() == "stack M1_Ha (3)"
    assert BIAS not in stream.words
    assert DARK not in stream.words


@pytest.mark.parametrize("columns", [40, 80])
def test_the_bar_and_the_time_stay_however_much_is_under_way(terminal, columns):
    stream = terminal(columns)
    with progress(jobs=6, stream=stream) as tell:
        for n in range(7):
            tell("start", calibrate(f"a_frame_with_quite_a_long_name_{n}.fit"), n, 107)
    lines = [line.strip("\r") for line in stream.words.splitlines()]
    (bar,) = (line for line in lines if "6/107" in line)
    assert "left" in bar
    assert "  and 2 more" in [line.rstrip() for line in lines]
    assert max(map(len, lines)) <= columns


def test_progress_shows_names_that_look_like_markup_as_they_are(terminal):
    stream = terminal(120)
    odd = calibrate("[bold]x.fit")
    with progress(stream=stream) as tell:
        tell("start", odd, 0, 1)
    assert "light [bold]x" in stream.words


def test_tasks_that_wait_are_not_said_to_be_made(terminal):
    stream = terminal()
    with progress(jobs=1, stream=stream) as tell:
        tell("start", calibrate("l0.fit"), 0, 2)
        tell("start", calibrate("l1.fit"), 0, 2)
        assert "l1" not in stream.words
        tell("end", calibrate("l0.fit"), 1, 2)
    assert "light l1" in stream.words


def test_when_all_is_made_pictures_and_report_are_named(terminal):
    stream = terminal()
    with progress(stream=stream) as tell:
        tell("end", calibrate("l0.fit"), 2, 2)
    assert "pictures and report" in stream.words


@pytest.mark.parametrize(
    ("n_done", "there"), [(None, "headers and plan"), (1, "left"), (2, "2/2")]
)
def test_time_is_left_while_things_are_made_not_before_and_not_after(
    terminal, n_done, there
):
    stream = terminal(120)
    with progress(stream=stream) as tell:
        if n_done:
            tell("end", calibrate("l0.fit"), n_done, 2)
    *_, bar, below = stream.words.rstrip().splitlines()
    shown = bar + below
    assert there in shown
    assert ("left" in shown) == (n_done == 1)
    assert "?" not in shown


def test_progress_clears_its_line_when_it_ends(terminal):
    stream = terminal()
    with progress(stream=stream):
        pass
    assert stream.shown.rstrip().endswith("\x1b[2K")


def test_a_pipe_is_wide_enough_for_any_usual_plan(terminal):
    pipe = terminal(20, is_terminal=False)
    row = make_row(group="light_" + "x" * 60, dark="dark_180s (scaled x 0.25 - 0.29)")
    print_plan([row], planned(), stream=pipe)
    assert max(map(len, pipe.shown.splitlines())) <= PIPE_WIDTH
    assert row.dark in pipe.shown
