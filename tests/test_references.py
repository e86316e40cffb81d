"""Pages of reference are made from the code, and docstrings say what they should."""

import csv
import importlib.util
import inspect
import re
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
from make_pictures import carry_out
from numpydoc.validate import validate

import autoreduce
from autoreduce.fits.header import read_headers

DOCS = Path(__file__).parents[1] / "docs"

UNASKED = {"SA01", "EX01", "ES01", "PR04"}
"""See Also, Examples and a longer summary are written where they help; a parameter that is
"as for" another function's has its type there."""
SHORT = {"PR01", "RT01", "YD01"}
"""What is said in one line, with types in the signature, needs no sections, unless it is
part of what the package offers."""


def _script():
    spec = importlib.util.spec_from_file_location(
        "make_references", DOCS / "make_references.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()


@pytest.mark.parametrize("name", SCRIPT.PAGES)
def test_references_are_those_of_the_code(name):
    page = (DOCS / "reference" / f"{name}.md").read_text("utf-8")
    assert page == SCRIPT.PAGES[name](), "run python docs/make_references.py"


def test_references_hold_what_the_code_knows():
    assert "`jd_utc`" in SCRIPT.tables()
    assert "`MASKBIT1` | 2 | saturated" in SCRIPT.cards()
    assert "## [flat.combine]" in SCRIPT.recipe()
    assert "One of `auto`, `wcs`, `none`." in SCRIPT.recipe()
    assert "## autoreduce library add" in SCRIPT.options()
    assert SCRIPT.main(["--check"]) == 0


def test_a_page_that_is_out_of_date_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(SCRIPT, "FOLDER", tmp_path / "reference")
    assert SCRIPT.main(["--check"]) == 1
    assert "tables.md" in capsys.readouterr().out
    assert SCRIPT.main([]) == 0
    assert SCRIPT.main(["--check"]) == 0


OF_FITS = r"SIMPLE|XTENSION|COMMENT|HISTORY|CHECKSUM|DATASUM|T(TYPE|FORM|UNIT|DISP)\d+|"
"""Cards that the standard defines, for any file."""


@pytest.fixture(scope="session")
def reduced(tmp_path_factory):
    """Reduce a night of a colour camera and one of a mosaic, with all planes."""
    colour, mosaic = (tmp_path_factory.mktemp(name) for name in ("colour", "mosaic"))
    size = "--size 300x200"
    commands = f"simulate osc_dithered night {size}", "night --planes --cosmics"
    carry_out(commands, colour)
    (mosaic / "recipe.toml").write_text("[light]\ntogether = true\n")
    more = "--planes --electrons --recipe recipe.toml"
    carry_out(("simulate mosaic night", f"night {more}"), mosaic)
    return colour, mosaic


def _keywords(folder):
    return {
        card.keyword
        for path in sorted(folder.rglob("*.fi*"))
        for header in read_headers(path)
        for card in header.cards
    }


def test_every_card_of_a_product_is_in_the_reference(reduced):
    told = re.findall(r"^\| `([^`]+)`", SCRIPT.cards(), re.MULTILINE)
    numbered = (re.sub(r"n$|n(?=_)", r"(\\d+|\\w)", card) for card in told)
    known = re.compile("|".join((OF_FITS, *numbered)))
    for home in reduced:
        own = _keywords(home / "night_reduced") - _keywords(home / "night")
        assert {card for card in own if not known.fullmatch(card)} == set()


@pytest.mark.parametrize("table", ["frames.csv", "lights.csv", "evidence.csv"])
def test_every_column_of_a_table_is_in_the_reference(reduced, table):
    page = SCRIPT.tables().partition(f"## {table}")[2].partition("\n## ")[0]
    for home in reduced:
        with (home / "night_reduced" / table).open(encoding="utf-8") as file:
            columns = next(csv.reader(line for line in file if line[0] != "#"))
        assert {name for name in columns if f"`{name}`" not in page} == set()


def _public():
    for module in walk_packages(autoreduce.__path__, "autoreduce."):
        if not module.name.endswith("__main__"):
            for name, thing in vars(import_module(module.name)).items():
                is_own = getattr(thing, "__module__", None) == module.name
                is_one = inspect.isfunction(thing) or inspect.isclass(thing)
                if is_own and is_one and not name.startswith("_"):
                    yield f"{module.name}.{name}"


def _faults(name, unasked):
    return [
        f"{name}: {code} {words}"
        for code, words in validate(name)["errors"]
        if code not in unasked
    ]


def test_docstrings_are_numpydoc():
    faults = [one for name in _public() for one in _faults(name, UNASKED | SHORT)]
    assert not faults


@pytest.mark.parametrize("name", [n for n in autoreduce.__all__ if n[0] != "_"])
def test_what_the_package_offers_says_all(name):
    thing = getattr(autoreduce, name)
    if not callable(thing):
        return
    home = f"{thing.__module__}.{thing.__name__}"
    # Fields of dataclasses are told where they stand.
    faults = _faults(home, UNASKED | ({"PR01"} if is_dataclass(thing) else set()))
    assert not faults


def test_methods_are_numpydoc():
    faults = []
    for name in _public():
        home, _, last = name.rpartition(".")
        thing = getattr(import_module(home), last)
        for method, one in vars(thing).items() if inspect.isclass(thing) else ():
            own = inspect.unwrap(getattr(one, "__func__", one))
            if inspect.isfunction(own) and not method.startswith("_"):
                known = UNASKED | (set() if last in autoreduce.__all__ else SHORT)
                faults += _faults(f"{name}.{method}", known)
    assert not faults
