"""The order in which rooms may use each other, lowest first.

A module imports only from its own room and from those before it.  Rooms marked pure
touch no file, apart from the tables that come with the package.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from autoreduce.running.server import COMBINING, PRELOADED, READING

PACKAGE = Path(__file__).parent.parent / "autoreduce"
ROOMS = (
    "remarks",
    "errors",
    "version",
    "settings",
    "fits",
    "pixels",
    "frames",
    "planning",
    "calibration",
    "products",
    "library",
    "running",
    "report",
    "tools",
    "simulate",
    "prepare",
    "reduction",
    "cli",
)
"""A room is a folder or a module of the package."""
UNRELATED = {("frames", "pixels"), ("tools", "report"), ("simulate", "tools")}
"""Pairs that do not use each other, although their order would allow it."""
PURE = {"pixels"}
IMPURE_IMPORTS = {"os", "pathlib", "shutil", "subprocess", "astropy.io", "tempfile"}
HEAVY = {"matplotlib", "scipy", "astropy", "jinja2", "rich", "sep", "distributed"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree, *, top_only=False):
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def own_rooms(path):
    names = imports(ast.parse(path.read_text()))
    return {name.split(".")[1] for name in names if name.startswith("autoreduce.")}


def test_every_room_has_a_place():
    assert {room(path) for path in MODULES} == {*ROOMS, "__init__", "__main__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = room(path)
    if own.startswith("__"):
        pytest.skip("the package's facade loads everything, lazily")
    allowed = set(ROOMS[: ROOMS.index(own) + 1])
    allowed -= {b for a, b in UNRELATED if a == own}
    assert own_rooms(path) <= allowed


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room(p) in PURE], ids=lambda p: p.stem
)
def test_pure_rooms_touch_no_files(path):
    assert not set(imports(ast.parse(path.read_text()))) & IMPURE_IMPORTS


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in MODULES
        if room(p) in {"cli", "__init__", "errors", "version", "remarks"}
    ],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_the_command_line_starts_without_heavy_libraries(path):
    top = {
        name.split(".")[0]
        for name in imports(ast.parse(path.read_text()), top_only=True)
    }
    assert not top & HEAVY


@pytest.mark.parametrize(
    "modules", [PRELOADED, COMBINING, READING, ("autoreduce.tools.arith",)]
)
def test_what_works_on_pixels_starts_without_pandas(modules):
    code = f"import sys, {', '.join(modules)}; sys.exit('pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


TESTED_ONE_BY_ONE = ("fits", "planning", "calibration", "products")
"""Rooms in which each module has a test module of its own."""


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if room(p) in TESTED_ONE_BY_ONE and p.stem != "__init__"],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_every_module_has_its_test_module(path):
    module = Path(__file__).with_name(f"test_{room(path)}_{path.stem}.py")
    assert module.is_file(), f"{module.name} is to test {path.relative_to(PACKAGE)}"
    assert "\ndef test_" in module.read_text("utf-8")


def test_every_test_module_of_a_room_has_its_module():
    for path in Path(__file__).parent.glob("test_*.py"):
        first, _, rest = path.stem.removeprefix("test_").partition("_")
        if first in TESTED_ONE_BY_ONE:
            assert (PACKAGE / first / f"{rest}.py").is_file(), path.name
