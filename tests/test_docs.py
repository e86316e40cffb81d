"""The documentation holds every command and option; help and completion work."""

import re
import shlex
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from click.shell_completion import BashComplete, FishComplete, ZshComplete
from tool_files import command, write_fits

from autoreduce.cli import cli

ROOT = Path(__file__).parents[1]


def all_commands(group, before=""):
    """List the commands of a group by name, with those of the groups in it."""
    context, found = click.Context(group), {}
    for name in group.list_commands(context):
        item = group.get_command(context, name)
        found[f"{before}{name}"] = item
        if isinstance(item, click.Group):
            found |= all_commands(item, f"{name} ")
    return found


COMMANDS = all_commands(cli)
NAMES = list(COMMANDS)
OPTIONS = [
    (name, option)
    for name, item in COMMANDS.items()
    for parameter in item.params
    if isinstance(parameter, click.Option)
    for option in (*parameter.opts, *parameter.secondary_opts)
]


@cache
def pages():
    return "\n".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    )


def section(name):
    """Return what stands under the heading of a command; all pages if it has none."""
    found = re.search(
        rf"^##+ `?autoreduce {name}`?$(.*?)(?=^##+ |\Z)",
        pages(),
        re.DOTALL | re.MULTILINE,
    )
    return found[1] if found else pages()


def test_commands_are_found():
    assert {"reduce", "rename", "log", "arith", "stats", "combine", "show"} <= set(
        NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_stands_in_the_documentation(name):
    assert re.search(rf"\bautoreduce {name}\b", pages())


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_stands_in_the_documentation(name, option):
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", section(name)), option


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_an_option_is_one_that_the_command_takes(name):
    rows = re.findall(
        r"^\| `(-.*)`.* \| .* \| `(.*?)`.* \|$", section(name), re.MULTILINE
    )
    item = COMMANDS[name]
    context = click.Context(item)
    for options, example in rows if section(name) != pages() else ():
        words = shlex.split(example.removeprefix("autoreduce "))
        given, _, order = item.make_parser(context).parse_args(words)
        of_row = set(re.findall(r"-[\w-]+", options))
        taken = [one for one in order if isinstance(one, click.Option)]
        assert any(of_row & {*one.opts, *one.secondary_opts} for one in taken), example
        for one in taken:
            if not isinstance(one.type, click.Path):
                one.type_cast_value(context, given[one.name])


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(name):
    text = command(*name.split(), "--help")
    example = text.partition("Example:\n")[2]
    assert re.match(r"\n      autoreduce .*\n", example), text


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_help_text(name):
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_line_of_each_shell_is_documented(shell):
    assert f"_AUTOREDUCE_COMPLETE={shell}_source autoreduce" in pages()
    kind = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    script = kind(cli, {}, "autoreduce", "_AUTOREDUCE_COMPLETE").source_vars()
    assert script["complete_var"] == "_AUTOREDUCE_COMPLETE"


def completions(*words):
    shell = BashComplete(cli, {}, "autoreduce", "_AUTOREDUCE_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, filter_name in ((9, "R"), (10, "Halpha")):
        write_fits(
            tmp_path / "night" / f"f.{number}.fit",
            np.zeros((4, 4), np.uint16),
            IMAGETYP="Light Frame",
            FILTER=filter_name,
            EXPTIME=60.0,
            DATE_OBS=f"2021-02-27T01:00:{number:02d}",
        )
    (tmp_path / "night" / "notes.txt").touch()
    return tmp_path


def test_commands_and_options_are_completed():
    assert completions("re") == ["reduce", "rename"]
    assert "--keywords" in completions("log", "--k")


def test_files_are_completed_also_behind_a_comma(night):
    assert completions("log", "ni") == ["night/"]
    assert completions("log", "night/") == ["night/f.9.fit", "night/f.10.fit"]
    assert completions("stats", "night/f.9.fit,night/f.1") == [
        "night/f.9.fit,night/f.10.fit"
    ]


def test_keywords_are_completed_from_the_first_file(night):
    assert completions("log", "night/f.9.fit", "-k", "EXP") == ["EXPTIME"]
    assert completions("log", "night/f.9.fit", "-k", "FILTER,date") == [
        "FILTER,DATE-OBS"
    ]


def test_frames_and_filters_of_a_night_are_completed(night):
    assert completions("reduce", "night", "--exclude", "f.1") == ["f.10.fit"]
    assert completions("reduce", "night", "--set", "0009: fi") == ["0009: filter="]
    assert completions("reduce", "night", "--set", "0009: filter=") == [
        "0009: filter=Halpha",
        "0009: filter=R",
    ]


def test_functions_that_the_documentation_names_exist():
    names = set(re.findall(r"`(autoreduce(?:\.\w+)+)\.(\w+)`", pages()))
    assert len(names) > 5
    for module, name in sorted(names):
        assert hasattr(import_module(module), name) or import_module(f"{module}.{name}")


def anchors(page):
    """List the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize(
    "page",
    sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]),
    ids=lambda page: page.name,
)
def test_links_between_pages_lead_somewhere(page):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        there = (page.parent / path) if path else page
        if not there.is_file() or (anchor and anchor not in anchors(there)):
            wrong.append(link)
    assert wrong == []


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^` ]+)` \| (.*) \|$", CONTRIBUTING, re.MULTILINE)


def test_files_that_a_contribution_touches_exist():
    links = re.findall(r"\]\(([\w/.]+)\)", CONTRIBUTING)
    paths = re.findall(r"`([\w.*/]*/[\w.*/]*)`", CONTRIBUTING)
    assert len(links) > 3
    assert len(paths) > 60
    # NAME stands for any name.
    globs = {path.replace("NAME", "*") for path in (*links, *paths)}
    assert sorted(path for path in globs if not any(ROOT.glob(path))) == []


@pytest.mark.parametrize(("path", "words"), [r for r in ROWS if r[0].endswith(".py")])
def test_names_that_a_contribution_touches_stand_in_their_file(path, words):
    text = (ROOT / path).read_text(encoding="utf-8")
    names = re.findall(r"`(\w+)`", words)
    assert [n for n in names if not re.search(rf"\b{n}\b", text)] == []
