"""Facts and distances in words."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from autoreduce.planning.phrases import UNKNOWN, apart_text, listed, number_text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("exptime", 60.0, "60 s"),
        ("exptime", 0.0001234567, "0.000123457 s"),
        ("temperature", -20.04, "-20.0 degC"),
        ("ccd_temp", -20.25, "-20.25 degC"),
        ("set_temp", -20.0, "-20 degC"),
        ("focallen", 1500.0, "1500 mm"),
        ("rotator", 12.5, "12.5 deg"),
        ("xbinning", 2, "2"),
        ("filter", "Ha", "Ha"),
        ("filter", None, UNKNOWN),
        ("exptime", float("nan"), UNKNOWN),
        ("exptime", np.float64("nan"), UNKNOWN),
        ("xbinning", pd.NA, UNKNOWN),
        ("date_obs", pd.NaT, UNKNOWN),
        ("filter", "nan", "nan"),
    ],
)
def test_a_fact_is_written_with_its_unit(name, value, text):
    assert number_text(name, value) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0.0, "0.0 h away"),
        (0.5, "12.0 h away"),
        (0.99, "23.8 h away"),
        (1.0, "1.0 d away"),
        (400.0, "400.0 d away"),
        (float("nan"), "at an unknown time"),
    ],
)
def test_hours_count_up_to_a_day(days, text):
    assert apart_text(days) == text


def test_values_are_listed_in_the_order_of_their_numbers_each_once():
    assert listed(["10 s", "2 s", "-1 s", "2 s", "0.5 s"]) == "-1 s, 0.5 s, 2 s, 10 s"
    assert listed(["R", "B"]) == "B, R"
    assert listed([]) == ""


def test_of_more_than_eight_only_the_ends_are_listed():
    names = [f"{n} s" for n in range(1, 9)]
    assert listed(names) == ", ".join(names)
    assert listed([*names, "9 s"]) == "1 s, 2 s, ... 9 s"


def test_pandas_is_not_loaded_for_a_word():
    code = (
        "import sys\n"
        "from autoreduce.planning.phrases import number_text\n"
        "number_text('exptime', 60.0)\n"
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
