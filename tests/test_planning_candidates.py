"""Masters that may serve: of the frames at hand, and of a library."""

import pandas as pd
import pytest

from autoreduce.errors import TableError
from autoreduce.frames.schema import FACT_COLUMNS, ImageType
from autoreduce.planning.candidates import (
    HERE,
    LIBRARY,
    LIBRARY_DTYPES,
    dark_use,
    library_candidates,
    masters_of_frames,
    with_library,
    with_zero_level,
)
from autoreduce.planning.rules import load_rules
from autoreduce.planning.use import DarkMethod, Use

TEMPERATURE = load_rules().temperature


def make_library(*rows):
    empty = dict.fromkeys((*(column.name for column in FACT_COLUMNS), *LIBRARY_DTYPES))
    return pd.DataFrame([{**empty, **row} for row in rows])


def make_groups(*kinds):
    outputs = pd.array([f"masters/{kind}.fits" for kind in kinds], "string")
    return pd.DataFrame({"imagetyp": pd.array(kinds, "string"), "output": outputs})


@pytest.mark.parametrize(
    ("need", "kinds"),
    [("bias", ["bias"]), ("dark", ["dark", "flatdark"]), ("flat", ["flat"])],
)
def test_each_need_is_served_by_frames_of_its_types(need, kinds):
    groups = make_groups("bias", "dark", "flatdark", "flat", "light")
    masters = masters_of_frames(groups, need)
    assert masters["imagetyp"].tolist() == kinds
    assert masters["origin"].unique().tolist() == [HERE]


def test_a_library_is_described_as_a_night_is():
    start = "2024-03-01T12:00:00+00:00"
    library = make_library(
        {"output": "/l/d.fits", "imagetyp": "dark", "set_temp": -20.0, "ccd_temp": -19.0,
         "exptime": 60.0, "date_obs": pd.Timestamp(start), "n_frames": 5},
        {"output": "/l/b.fits", "imagetyp": "bias", "keeps_bias": True},
    )  # fmt: skip
    found = library_candidates(library, TEMPERATURE)
    assert found["origin"].unique().tolist() == [LIBRARY]
    assert found["temperature"].iloc[0] == -20.0  # the set point was reached
    assert found["keeps_bias"].tolist() == [False, True]
    later = library.assign(date_obs=pd.Timestamp("2024-03-02T00:00:00+00:00"))
    hours = library_candidates(later, TEMPERATURE)["hours"] - found["hours"]
    assert hours.iloc[0] == pytest.approx(12)


def test_without_a_library_there_are_no_candidates_of_it():
    assert library_candidates(None, TEMPERATURE).empty


def test_a_library_without_a_column_is_refused_by_its_name():
    library = make_library({"output": "/l/d.fits"}).drop(columns="n_frames")
    with pytest.raises(TableError, match="no column n_frames: make its index anew"):
        library_candidates(library, TEMPERATURE)


def test_a_library_stands_behind_what_is_at_hand():
    masters = masters_of_frames(make_groups("dark"), "dark")
    library = library_candidates(
        make_library(
            {"output": "/l/d.fits", "imagetyp": "dark"},
            {"output": "/l/b.fits", "imagetyp": "bias"},
        ),
        TEMPERATURE,
    )
    both = with_library(masters, library, "dark")
    assert both["output"].tolist() == ["masters/dark.fits", "/l/d.fits"]
    assert list(both) == list(masters)
    assert with_library(masters, library.iloc[1:], "dark") is masters
    alone = with_library(masters.iloc[:0], library, "dark")
    assert alone["output"].tolist() == ["/l/d.fits"]


@pytest.mark.parametrize(
    ("kind", "overscan", "amplifiers", "bias", "dark", "refused"),
    [
        ("flat", None, None, None, None, True),
        ("flat", None, None, "b.fits", None, False),
        ("flat", None, None, None, "d.fits", False),
        ("flat", "[1:9,1:9]", None, None, None, False),
        ("flat", None, "[1:9,1:9] [1:9,1:9] [10:12,1:9] - - -", None, None, False),
        ("flat", None, "[1:9,1:9] [1:9,1:9] - 1.5 4 -", None, None, True),
        ("light", None, None, None, None, True),
        ("light", None, None, "b.fits", None, False),
    ],
)
def test_frames_whose_zero_level_stays_are_known(
    kind, overscan, amplifiers, bias, dark, refused
):
    columns = {"biassec": overscan, "amplifiers": amplifiers}
    texts = {name: pd.array([cell], "string") for name, cell in columns.items()}
    setups = pd.DataFrame({"imagetyp": [kind], **texts})
    found = {"bias": {0: Use("bias", bias)}, "dark": {0: Use("dark", dark)}}
    assert with_zero_level(setups, found, kind) == ({0} if refused else set())
    other = ImageType.LIGHT if kind == "flat" else ImageType.FLAT
    assert with_zero_level(setups, found, other) == set()


@pytest.mark.parametrize(
    ("method", "scale", "wanted", "fit"),
    [
        (DarkMethod.EXACT, 1.0, None, None),
        (DarkMethod.SCALED, 0.25, 30.0, None),
        (DarkMethod.FIT, None, 30.0, "fit.json"),
    ],
)
def test_how_a_dark_is_taken_to_the_exposure(method, scale, wanted, fit):
    master = {"output": "d", "exptime": 120.0, "keeps_bias": 1, "fit": "fit.json"}
    use = dark_use({"exptime": 30.0}, master, method)
    assert (use.scale, use.wanted, use.fit) == (scale, wanted, fit)
    assert (use.exptime, use.method, use.keeps_bias) == (120.0, method, True)


def test_a_dark_of_unknown_exposure_is_not_scaled():
    master = {"output": "d", "exptime": pd.NA, "keeps_bias": False, "fit": None}
    use = dark_use({"exptime": 30.0}, master, DarkMethod.SCALED)
    assert (use.exptime, use.scale, use.wanted) == (None, 1.0, None)
