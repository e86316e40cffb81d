"""Frame tables of one night and setup, for tests of what is planned of them."""

from datetime import UTC, datetime, timedelta

from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.grouping import comparable
from autoreduce.planning.planner import make_plan
from autoreduce.planning.rules import load_rules
from autoreduce.planning.setups import make_night

RULES = load_rules()
START = datetime(2024, 3, 1, 20, 0, tzinfo=UTC)
FRAME = {
    "instrume": "CAM", "naxis1": 100, "naxis2": 50, "xbinning": 1, "ybinning": 1,
    "set_temp": -20.0, "ccd_temp": -20.0, "telescop": "RC10", "night": "2024-03-01",
}  # fmt: skip
KINDS = {
    "bias": {"exptime": 0.0},
    "dark": {"exptime": 60.0},
    "flatdark": {"exptime": 2.0},
    "flat": {"exptime": 2.0, "filter": "R"},
    "light": {"exptime": 60.0, "filter": "R", "object": "M13"},
}


def table_of(*frames):
    """Build a frame table of kinds, or pairs of a kind and what is different."""
    rows = []
    for n, frame in enumerate(frames):
        kind, facts = (frame, {}) if isinstance(frame, str) else frame
        began = (START + timedelta(minutes=3 * n)).isoformat()
        row = {"file": f"{n:02d}.fit", "imagetyp": kind, "date_obs": began}
        rows.append({**FRAME, **KINDS.get(kind, {}), **row, **facts})
    return make_frame_table(rows)


def night_of(*frames):
    """Group frames as the planner does."""
    return make_night(table_of(*frames), RULES, RULES.combine["light"])


def plan_of(*frames, **options):
    """Plan a night."""
    return make_plan(table_of(*frames), **options)


def dark_of(**facts):
    """Give the facts of a dark, some of them bent."""
    return {
        "imagetyp": "dark",
        "exptime": 60.0,
        "instrume": "CAM",
        "naxis1": 100,
        "naxis2": 50,
        "xbinning": 1,
        "ybinning": 1,
        "set_temp": -20.0,
        "ccd_temp": -20.1,
        "date_obs": "2024-03-01T20:00:00",
        "night": "2024-03-01",
        **facts,
    }


def dark_table(*rows):
    """Build a table of frames that are ready to be compared."""
    named = [{"file": f"{i:04d}.fits", **row} for i, row in enumerate(rows)]
    return comparable(make_frame_table(named), RULES.temperature)
