"""What is measured stands in one table, and everything is taken from it."""

import math
from pathlib import Path

from autoreduce.frames.measured import MEASURED, keywords, known
from autoreduce.frames.schema import MEASURED_COLUMNS
from autoreduce.products.lightlist import LIGHT_COLUMNS, WHOLE
from autoreduce.report.rows import FRAME_COLUMNS


def test_names_and_cards_are_there_once():
    names = [one.name for one in MEASURED]
    cards = [one.keyword for one in MEASURED if one.keyword]
    assert len(set(names)) == len(names)
    assert len(set(cards)) == len(cards) == len(keywords())
    assert all(len(card) <= 8 for card in cards)


def test_every_number_is_shown_somewhere():
    for one in MEASURED:
        assert one.of_frames or one.of_lights or one.keyword
        assert bool(one.keyword) == bool(one.comment)


def test_columns_are_those_of_the_table():
    frames = [column.name for column in MEASURED_COLUMNS]
    assert frames == [
        "median", "noise", "saturated", "sky", "stars", "fwhm", "elongation",
        "unstacked",
    ]  # fmt: skip
    lights = [column.name for column in LIGHT_COLUMNS]
    own = [
        "airmass",
        "focus",
        "sky",
        "sky_noise",
        "stars",
        "fwhm",
        "fwhm_arcsec",
        "elongation",
    ]
    assert [name for name in lights if name in own] == own
    assert {"stars", "matched"} <= WHOLE
    shown = {name: (heading, unit) for name, heading, unit in FRAME_COLUMNS}
    assert shown["saturated"] == ("Saturated", "%")
    assert shown["fwhm"] == ("FWHM", "px")
    assert shown["sky"] == ("Sky", "ADU")


def test_what_is_not_known_is_left_out():
    numbers = {"a": 1, "b": None, "c": math.nan, "d": math.inf, "e": 0.0}
    assert known(numbers) == {"a": 1.0, "e": 0.0}


def test_the_documentation_has_the_columns_of_the_table_of_lights():
    page = (Path(__file__).parents[1] / "docs" / "stacks.md").read_text()
    for one in LIGHT_COLUMNS:
        assert f"| `{one.name}` | {one.unit} | {one.doc} |" in page
