"""Setups and masters described by hand, for tests of what serves what."""

from functools import cache

from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.candidates import HERE
from autoreduce.planning.grouping import comparable, group_facts
from autoreduce.planning.rules import load_rules

RULES = load_rules()


def make_row(**facts):
    return {
        "imagetyp": "light",
        "filter": "R",
        "exptime": 60.0,
        "instrume": "CAM",
        "naxis1": 100,
        "naxis2": 50,
        "xbinning": 1,
        "gain": 100.0,
        "set_temp": -20.0,
        "ccd_temp": None,
        "date_obs": "2024-03-01T20:00:00",
        "night": "2024-03-01",
        "telescop": "RC10",
        "focallen": 2000.0,
        "rotator": 10.0,
        **facts,
    }


def make_facts(*rows):
    """Describe groups of one frame each, as the planner does."""
    return _facts(*(tuple(row.items()) for row in rows)).copy()


@cache
def _facts(*rows):
    """Describe them once: many tests ask for the same few, and it takes most of their time."""
    named = [{"file": f"{i}.fits", **dict(row)} for i, row in enumerate(rows)]
    table = make_frame_table(named).sort_values("file", ignore_index=True)
    table = comparable(table, RULES.temperature)
    return group_facts(table, table.index.to_numpy())


def make_setup(**facts):
    has_bias = facts.pop("has_bias", True)
    return make_facts(make_row(**facts)).assign(setup="light", has_bias=has_bias)


def make_masters(kind, *changes):
    """Describe masters named a, b, c, ... that differ from the light as told."""
    extras = [
        {"keeps_bias": change.pop("keeps_bias", False), "fit": change.pop("fit", None)}
        for change in changes
    ]
    frames = [change.pop("n_frames", 1) for change in changes]
    origins = [change.pop("origin", HERE) for change in changes]
    masters = make_facts(*(make_row(**{"imagetyp": kind, **c}) for c in changes))
    return masters.assign(
        output=[f"{letter}.fits" for letter, _ in zip("abcdef", changes, strict=False)],
        keeps_bias=[extra["keeps_bias"] for extra in extras],
        fit=[extra["fit"] for extra in extras],
        n_frames=frames,
        origin=origins,
    )
