"""Recipes: the two that come with autoreduce, one's own, and what is refused."""

from dataclasses import replace

import pytest

from autoreduce.errors import SettingsError
from autoreduce.pixels.combination import Method, Rejection
from autoreduce.planning.recipe import (
    DarkModel,
    FlatLevel,
    StackLevel,
    load_recipe,
    parse_recipe,
    recipe_names,
)


def test_the_recipes_that_come_with_autoreduce_are_listed_and_read():
    assert recipe_names() == ["default", "notes"]
    assert [load_recipe(name).name for name in recipe_names()] == recipe_names()


def test_the_notes_are_followed_step_by_step():
    notes = load_recipe("notes")
    assert (notes.bias.method, notes.bias.rejection) == (Method.MEAN, Rejection.NONE)
    assert notes.dark.combine == notes.bias
    assert (notes.dark.model, notes.dark.statistic) == (DarkModel.RATIO, "mean")
    assert notes.dark.section == "[601:1100,401:700]"
    flat = notes.flat
    assert (flat.combine.method, flat.level) == (Method.MEDIAN, FlatLevel.MEAN)
    assert (flat.combine.rejection, flat.combine.drop_high) == (Rejection.MINMAX, 1)
    assert not flat.mask_moving
    assert not flat.per_colour
    assert (flat.smallest, flat.illuminated, flat.hot_sigma) == (0, 0, 0)
    assert (notes.stack.combine, notes.stack.level) == (notes.bias, StackLevel.NONE)


@pytest.mark.parametrize("base", ["default", "notes"])
def test_what_a_file_does_not_say_is_as_in_the_recipe_that_it_begins_with(
    tmp_path, base
):
    path = tmp_path / "mine.toml"
    begin = f'recipe = "{base}"\n' if base != "default" else ""
    path.write_text(f'{begin}[dark]\nmodel = "exact"\n[bias]\nlow = 5.0', "utf-8")
    recipe, usual = load_recipe(str(path)), load_recipe(base)
    dark = replace(usual.dark, model=DarkModel.EXACT)
    bias = replace(usual.bias, low=5.0)
    assert recipe == replace(usual, name="mine", dark=dark, bias=bias)


@pytest.mark.parametrize("base", ['"nites"', "1", "[1]"])
def test_a_recipe_that_begins_with_none_that_comes_along_is_refused(tmp_path, base):
    path = tmp_path / "mine.toml"
    path.write_text(f"\nrecipe = {base}", "utf-8")
    with pytest.raises(SettingsError, match=r"mine.toml, line 2: recipe: expected one"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[flat", "recipe mine is not valid TOML"),
        (
            "colour = 1",
            "recipe mine, line 1: colour: unknown key; there are amplifiers, bias",
        ),
        (
            "[flat]\nlevels = 1",
            "line 2: flat.levels: unknown key; there are combine, hot_sigma",
        ),
        (
            '[flat]\nlevel = "mode"',
            "line 2: flat.level: expected one of mean, median, not 'mode'",
        ),
        (
            '[bias]\nmethod = "guess"',
            "line 2: bias.method: expected one of mean, median.*, not 'guess'",
        ),
        (
            "[amplifiers]\ncrosstalk = [{ victim = 0, source = 1, times = 1e-3 }]",
            "line 2: amplifiers.crosstalk.victim: expected the number of an amplifier",
        ),
        (
            "[amplifiers]\ncrosstalk = [{ victim = 2, source = 2, times = 1e-3 }]",
            "amplifiers.crosstalk: amplifier 2 is no victim of itself",
        ),
        (
            "[amplifiers]\ncrosstalk = [{ victim = 2, source = 1 }]",
            "amplifiers.crosstalk.times: is needed and not there",
        ),
        ("[bias]\nlow = -1.0", "rejection limits must be positive"),
        ("[flat.smallest]\nx = 1", "flat.smallest: expected a number, not {'x': 1}"),
        ("[flat]\nilluminated = 2.0", "illuminated, warn_unclean and max_unclean lie"),
        ("[flat]\nhot_sigma = -1.0", "hot_sigma is 0 or more, not .* and -1.0"),
        (
            '[flat]\nmax_unclean = "few"',
            "line 2: flat.max_unclean: expected a number, not 'few'",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_place(text, message):
    with pytest.raises(SettingsError, match=message):
        parse_recipe(text, "mine")


def test_an_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="no recipe best: give one of default, no"):
        load_recipe("best")
