"""What the README shows works."""

import re
from pathlib import Path

from small_night import write_night

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_in_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    write_night(tmp_path / "night", without=["flat"])
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README", "exec"), {})  # noqa: S102 -- our own example
    printed = capsys.readouterr().out
    assert "no flat" in printed
    assert len(list((tmp_path / "products" / "calibrated").iterdir())) == 3


def test_the_pages_that_it_links_to_are_there():
    links = re.findall(r"\]\(([\w/.]+)\)", README)
    assert len(links) > 5
    root = Path(__file__).parents[1]
    assert [link for link in links if not (root / link).is_file()] == []


def test_it_begins_with_a_demonstration_and_the_tests():
    demo, tests = re.findall(r"<!-- (?:demo|test) -->\n```sh\n(.*?)\n```", README)
    assert demo.endswith("autoreduce demo")
    assert tests.endswith("python -m pytest -n auto --dist worksteal")
