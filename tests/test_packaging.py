"""What the package is called where it is installed from."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_its_extras_are_its_own():
    """The index holds another `autoreduce`, which has the same import name."""
    for needs in PROJECT["optional-dependencies"].values():
        own = [need for need in needs if re.match(r"autoreduce\b", need)]
        assert all(need.startswith(f"{PROJECT['name']}[") for need in own)


def test_nobody_is_told_to_install_the_other():
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.rglob("autoreduce/**/*.py"),
    ]
    named = re.compile(r"pip install [^\n`]*\bautoreduce(?!-ccd)\b(?! demo)")
    found = [
        page.name
        for page in pages
        for line in page.read_text(encoding="utf-8").splitlines()
        if named.search(line.split("&&")[0])
    ]
    assert not found
