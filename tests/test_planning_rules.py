"""The rules: what is built in, what a file of one's own changes, what is refused."""

import math

import pytest
from click.testing import CliRunner

from autoreduce.cli.rules import command
from autoreduce.errors import SettingsError
from autoreduce.planning.rules import (
    Rung,
    Tolerance,
    changed_rules,
    load_rules,
    parse_rules,
    rules_text,
)
from autoreduce.planning.use import DarkMethod


def test_the_built_in_ladders_have_the_documented_levels():
    use = load_rules().use
    assert [rung.level for rung in use["bias"].rung] == [0, 1, 2, 3]
    assert [rung.days for rung in use["bias"].rung] == [None, 30, 365, 365]
    assert [rung.days for rung in use["flat"].rung] == [None, 7, 30, None, 30, 180]
    assert [(rung.level, rung.method) for rung in use["dark"].rung] == [
        (0, DarkMethod.EXACT),
        (1, DarkMethod.EXACT),
        (2, DarkMethod.FIT),
        (2, DarkMethod.FIT),
        (3, DarkMethod.SCALED),
        (3, DarkMethod.FIT),
        (3, DarkMethod.SCALED),
        (3, DarkMethod.EXACT),
    ]
    longer = [rung.longer for rung in use["dark"].rung]
    assert longer == [None, None, None, 1.5, None, math.inf, math.inf, None]


def test_the_built_in_tolerances_are_the_documented_ones():
    rules = load_rules()
    assert rules.tolerance["exptime"] == Tolerance(0.05, 0.001, at_most=0.02)
    assert rules.tolerance["rotator"].period == 360
    assert (rules.temperature.regulated, rules.temperature.free) == (1, 5)
    assert {rules.combine[kind].hours for kind in ("bias", "dark", "flat")} == {24}
    assert rules.combine["light"].hours is None


def test_the_text_that_is_shown_is_the_text_that_is_read():
    assert parse_rules(rules_text(), "shown") == load_rules()


def test_a_file_changes_only_what_it_says(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("[tolerance]\nexptime = { absolute = 2.0 }\n", "utf-8")
    rules = load_rules(path)
    assert rules.tolerance["exptime"] == Tolerance(2.0, 0.001, at_most=0.02)
    assert rules.use == load_rules().use


def test_a_ladder_is_replaced_as_a_whole():
    text = "[[use.flat.rung]]\nlevel = 1\ndays = 90.0\n"
    rules = parse_rules(text, "my.toml")
    assert rules.use["flat"].rung == (Rung(1, days=90.0),)
    assert rules.use["flat"].equal == ("filter", "telescop", "disperser", "slit")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = = 1", "my.toml is not valid TOML: .*line 1"),
        ("fit_ratio = '2'", "line 1: fit_ratio: expected a number"),
        ("colour = 1", r"my.toml, line 1: colour: unknown key; there are combine, "),
        ("[combine.lights]\n", "line 1: combine.lights: expected one of bias"),
        ("combine = 3", "line 1: combine: expected a table, not 3"),
        (
            "\nsetup = ['camera']",
            "line 2: setup: expected one of .*instrume.*, not 'camera'",
        ),
        ("setup = 'gain'", "line 1: setup: expected a list, not 'gain'"),
        (
            "[tolerance]\nfilter = {absolute = 1}",
            "line 2: tolerance.filter: expected one of .*exptime",
        ),
        (
            "[tolerance]\n\nexptime = {absolute = -1}",
            "line 3: tolerance.exptime.absolute: expected a number, 0 or more, not -1",
        ),
        (
            "[tolerance]\nexptime = {seconds = 1}",
            "tolerance.exptime.seconds: unknown key; there are absolute, at_most, period",
        ),
        ("[temperature]\nfree = 'warm'", "line 2: temperature.free: expected a number"),
        ("[temperature]\ncold = 1", "line 2: temperature.cold: unknown key"),
        ("[combine.bias]\nhours = true", "line 2: combine.bias.hours: expected a num"),
        (
            "[combine.flat]\nwithin = ['ra']",
            "line 2: combine.flat.within: expected one of exptime, focallen, rotator",
        ),
        ("[use.dark]\nrung = []", "line 2: use.dark.rung: expected one or more"),
        (
            "[[use.bias.rung]]\nlevel = 4",
            "line 2: use.bias.rung.level: expected one of 0, 1, 2",
        ),
        (
            "[[use.bias.rung]]\nlevel = 1\nmethod = 'exact'",
            "line 3: use.bias.rung.method: is only for darks",
        ),
        (
            "[[use.dark.rung]]\nlevel = 1",
            "is needed: one of exact, fit, scaled",
        ),
        (
            "[[use.dark.rung]]\nlevel = 1\nmethod = 'guess'",
            "line 3: .*method: expected one of exact, fit, scaled, not 'guess'",
        ),
        (
            "[[use.flat.rung]]\nlevel = 1\nsame_night = 1",
            "line 3: use.flat.rung.same_night: expected true or false, not 1",
        ),
        (
            "[[use.flat.rung]]\nlevel = 1\nloosely = {ra = {absolute = 1}}",
            "line 3: use.flat.rung.loosely: expected one of exptime, focallen, rot",
        ),
        (
            "[[use.flat.rung]]\nlevel = 1\nunconfirmed = ['tube']",
            "line 3: use.flat.rung.unconfirmed: expected one of .*, not 'tube'",
        ),
        ("[use.bias]\nladder = 1", "line 2: use.bias.ladder: unknown key"),
        ("[tolerance]\nexptime = 3", "line 2: tolerance.exptime: expected a table"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_key(text, message):
    with pytest.raises(SettingsError, match=message):
        parse_rules(text, "my.toml")


def test_what_a_file_changes_is_listed():
    text = "[tolerance]\nexptime = {absolute = 0.5}\n[[use.flat.rung]]\nlevel = 1\n"
    assert changed_rules(parse_rules(text, "my.toml"))[0] == (
        "tolerance.exptime.absolute",
        "0.05",
        "0.5",
    )
    name, built_in, own = changed_rules(parse_rules(text, "my.toml"))[1]
    assert (name, own) == ("use.flat.rung", "level 1")
    assert built_in.startswith("level 0 (same_night True), level 1 (days 7.0), ")
    assert changed_rules(load_rules()) == []


def test_the_command_shows_what_is_read():
    shown = CliRunner().invoke(command, ["show"], catch_exceptions=False)
    assert shown.output == rules_text()


def test_the_command_checks_a_file(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("[temperature]\nfree = 8.0\n", "utf-8")
    checked = CliRunner().invoke(command, ["check", str(path)], catch_exceptions=False)
    assert checked.output == "temperature.free: 5.0 -> 8.0\n"
    path.write_text("", "utf-8")
    checked = CliRunner().invoke(command, ["check", str(path)], catch_exceptions=False)
    assert checked.output == f"{path} is valid and changes nothing.\n"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"rules .*none.toml cannot be read"):
        load_rules(tmp_path / "none.toml")
