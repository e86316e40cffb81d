"""When and where exposures were taken: cards and series that contradict themselves."""

import shlex
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from small_night import write_frame

from autoreduce.frames.overrides import apply_overrides
from autoreduce.frames.scan import scan_night
from autoreduce.planning.whenwhere import (
    ends_for_starts,
    stopped_dates,
    turned_longitudes,
    unlike_places,
    unlike_times,
)
from autoreduce.prepare import prepare_night

EVENING = datetime(2024, 3, 2, 22, tzinfo=UTC)


def write_lights(folder, starts, cards=None, exptimes=None):
    for n, moment in enumerate(starts):
        pixels = np.random.default_rng(n).poisson(900, (8, 10)).astype(np.uint16)
        start = moment.replace(tzinfo=None)  # as cards have it
        exptime = exptimes[n] if exptimes else 60.0
        more = {"DATE-OBS": start.isoformat(), **(cards(start) if cards else {})}
        name = f"light_{n + 1:04d}.fit"
        write_frame(folder, name, "light", exptime, pixels=pixels, **more)
    return folder


def every(seconds, n=5, first=EVENING):
    return [first + timedelta(seconds=seconds * i) for i in range(n)]


def table_of(night, *settings):
    scanned = scan_night([night])
    return scanned, apply_overrides(scanned.frames, settings=settings)


def told(night, *settings):
    scanned, frames = table_of(night, *settings)
    of = scanned.readings.table
    return [
        *unlike_times(frames, of("date_obs")),
        *unlike_places(frames, of("ra"), of("dec")),
        *turned_longitudes(frames, of("longitude")),
        *stopped_dates(frames),
        *ends_for_starts(frames),
    ]


def mjd(start, hours=0.0):
    return (start.replace(tzinfo=UTC) - datetime(1858, 11, 17, tzinfo=UTC)) / timedelta(
        days=1
    ) + hours / 24


@pytest.mark.parametrize(
    ("cards", "expected", "setting"),
    [
        (lambda t: {"MJD-OBS": mjd(t, 7)}, "MJD-OBS=60372.2083", "date_obs=+7h"),
        (lambda t: {"JD": mjd(t, -7) + 2400000.5}, "JD=2460372.125", "date_obs=-7h"),
        (
            lambda t: {"UT": (t + timedelta(hours=7)).time().isoformat()},
            "UT=05:00:00",
            "date_obs=+7h",
        ),
    ],
)
def test_two_times_are_told_and_the_way_out_moves_to_the_other(
    tmp_path, cards, expected, setting
):
    night = write_lights(tmp_path / "night", every(70), cards)
    (note,) = told(night)
    assert note.code == "two-times"
    assert len(note.subject) == 5
    assert note.found == "DATE-OBS = 2024-03-02T22:00:00"
    assert note.expected.startswith(expected)
    way = shlex.split(note.way_out)[1]
    assert way.endswith(setting)
    _, moved = table_of(night, way)
    hours = (moved["date_obs"][0].to_pydatetime().hour - 22) % 24
    assert hours == float(setting[9:-1]) % 24
    assert not told(night, way)


@pytest.mark.parametrize(
    "cards",
    [
        lambda t: {"MJD-OBS": mjd(t, 1 / 60)},  # the end of the exposure
        lambda t: {"UT": t.time().isoformat(), "TIME-OBS": t.time().isoformat()},
        lambda _: {"TIME-OBS": "2024-02-28T01:02:03"},
        lambda _: {"TIME": ("15:00:00", "MST at start")},
        lambda _: {"TIME": ("07:13:00", "sidereal time")},
        lambda _: {"TIME": ("00:01:00", "exposure time")},
        lambda _: {"UT": "00:00:00"},  # nobody filled it in
        lambda t: {"MJD-OBS": int(mjd(t))},  # of the day
        lambda t: {"MJD-OBS": round(mjd(t), 2)},
        lambda t: {"JD": float(np.float32(mjd(t) + 2400000.5))},
        lambda _: {
            "RA": 240.5,
            "OBJCTRA": "00 00 00",  # nobody filled it in
            "DEC": 28,
            "OBJCTDEC": "+00 00 00",
        },
        lambda _: {
            "RA": 240.5,
            "OBJCTRA": "16 02 11",
            "DEC": 28,
            "OBJCTDEC": "28 10 00",
        },
        lambda _: {
            "RA": 240.5,
            "TELRA": (16.06, "[hours] of date"),
            "DEC": 28,
            "TELDEC": 27.9,
        },
        lambda _: {
            "OBJCTRA": "16 02 00",
            "TELRA": 16.06,
            "OBJCTDEC": "28 10 00",
            "TELDEC": 27.9,
        },
        lambda _: {"RA": 240.5, "TELRA": (4.2, "[rad]"), "DEC": 28, "TELDEC": 27.9},
        lambda _: {
            "RA": 359.9,
            "OBJCTRA": "00 00 11",
            "DEC": 28,
            "OBJCTDEC": "28 10 00",
        },
        lambda _: {
            "RA": 240.5,
            "OBJCTRA": "20 02 11",
            "DEC": 89.5,
            "OBJCTDEC": "89 10",
        },
    ],
)
def test_cards_of_one_exposure_and_field_contradict_nothing(tmp_path, cards):
    assert not told(write_lights(tmp_path / "night", every(70), cards))


def test_two_places_are_told_and_the_way_out_takes_the_other(tmp_path):
    cards = {"RA": 240.55, "DEC": 28.17, "OBJCTRA": "05 34 31", "OBJCTDEC": "28 10 00"}
    night = write_lights(tmp_path / "night", every(70), lambda _: cards)
    (note,) = told(night)
    assert (note.code, note.found) == ("two-places", "RA = 240.55")
    assert note.expected == "OBJCTRA=05 34 31"
    way = shlex.split(note.way_out)[1]
    assert way == "*: ra=83.6292"
    assert not told(night, way)


@pytest.mark.parametrize(("dec", "n_notes"), [(28.0, 1), (89.7, 0)])
def test_degrees_that_no_hours_are_stay_what_they_are(tmp_path, dec, n_notes):
    """50 h would be 750 deg, which is 30 deg, as the other card has it."""
    cards = {"RA": 50.0, "DEC": dec, "OBJCTRA": "02 00 00"}
    night = write_lights(tmp_path / "night", every(70), lambda _: cards)
    assert len(told(night)) == n_notes
    assert set(table_of(night)[1]["ra"]) == {50.0}


def test_the_first_card_that_is_elsewhere_is_told(tmp_path):
    cards = {"RA": 240.55, "DEC": 28.0, "OBJCTRA": "16 02 30", "TELRA": "05 34 31"}
    night = write_lights(tmp_path / "night", every(70), lambda _: cards)
    assert [note.expected for note in told(night)] == ["TELRA=05 34 31"]


def test_a_date_that_stopped_at_midnight_is_told_and_advanced_by_the_way_out(tmp_path):
    starts = every(70, 8, datetime(2024, 3, 2, 23, 56, tzinfo=UTC))
    stopped = [start.replace(day=2) for start in starts]
    night = write_lights(tmp_path / "night", stopped)
    (note,) = told(night)
    assert note.code == "date-stopped"
    assert note.subject == tuple(f"light_{n:04d}.fit" for n in (5, 6, 7, 8))
    way = shlex.split(note.way_out)[1]
    _, frames = table_of(night, way)
    assert set(frames["night"]) == {"2024-03-02"}
    assert sorted(frames["date_obs"]) == starts
    assert not told(night, way)


@pytest.mark.parametrize(
    ("longitude", "codes"), [(105, ["counted-westward"]), (-105, [])]
)
def test_a_longitude_that_was_turned_is_told(tmp_path, longitude, codes):
    starts = every(70, first=datetime(2024, 3, 2, 5, tzinfo=UTC))
    site = {"SITELAT": 32.0, "SITELONG": longitude}
    night = write_lights(tmp_path / "night", starts, lambda _: site)
    notes = told(night)
    assert [note.code for note in notes] == codes
    assert set(table_of(night)[1]["longitude"]) == {-105.0}
    for note in notes:
        way = shlex.split(note.way_out)[1]
        assert (note.found, way) == ("105", "*: longitude=-105")
        assert not told(night, "*: longitude=105")


@pytest.mark.parametrize(("hour", "longitude"), [(19, -105.0), (3, 150.0)])
def test_pictures_of_the_sun_are_of_the_day(tmp_path, hour, longitude):
    starts = every(70, first=datetime(2024, 6, 2, hour, tzinfo=UTC))
    site = {"SITELAT": 32.0, "SITELONG": longitude}
    night = write_lights(tmp_path / "night", starts, lambda _: site, [0.002] * 5)
    assert set(table_of(night)[1]["longitude"]) == {longitude}
    assert not told(night)


def test_a_series_over_midnight_whose_date_advances_is_right(tmp_path):
    starts = every(70, 8, datetime(2024, 3, 2, 23, 56, tzinfo=UTC))
    assert not told(write_lights(tmp_path / "night", starts))


@pytest.mark.parametrize(
    ("at_end", "codes"), [(True, ["ends-for-starts"]), (False, [])]
)
def test_times_of_the_ends_are_told_by_exposures_of_unlike_length(
    tmp_path, at_end, codes
):
    lengths, start, starts = [60.0, 10.0] * 4, EVENING, []
    for length in lengths:
        end = start + timedelta(seconds=length)
        starts.append(end if at_end else start)
        start = end + timedelta(seconds=3)
    night = write_lights(tmp_path / "night", starts, exptimes=lengths)
    assert [note.code for note in told(night)] == codes


@pytest.mark.parametrize("card", ["TELESCOP", "FOCALLEN"])
def test_two_telescopes_with_cameras_of_one_name_may_expose_at_once(tmp_path, card):
    """One has long exposures, the other short ones that begin after it."""
    starts, telescopes = [], {}
    for start in every(400, 5):
        pair = [start, start + timedelta(seconds=20)]
        starts += pair
        telescopes |= {moment.replace(tzinfo=None): n for n, moment in enumerate(pair)}
    night = write_lights(
        tmp_path / "night",
        starts,
        lambda t: {card: 500 + telescopes[t]},
        [300.0, 10.0] * 5,
    )
    assert not told(night)


def test_a_plan_tells_what_contradicts_itself(tmp_path):
    cards = {"RA": 240.5, "DEC": 28, "OBJCTRA": "05 34 31"}
    starts = [
        start.replace(day=2)
        for start in every(70, 4, datetime(2024, 3, 2, 23, 58, tzinfo=UTC))
    ]
    night = write_lights(
        tmp_path / "night", starts, lambda t: {**cards, "MJD-OBS": mjd(t, 7)}
    )
    codes = {note.code for note in prepare_night(night).plan.notes}
    assert {"two-times", "two-places", "date-stopped"} <= codes


def test_a_plan_tells_a_turned_longitude_and_times_of_the_ends(tmp_path):
    lengths = [60.0, 10.0] * 4
    first, ends = (
        datetime(2024, 3, 2, 5, tzinfo=UTC),
        np.cumsum([t + 3 for t in lengths]),
    )
    starts = [first + timedelta(seconds=end) for end in ends]
    site = {"SITELAT": 32.0, "SITELONG": 105.0}
    night = write_lights(tmp_path / "night", starts, lambda _: site, lengths)
    codes = {note.code for note in prepare_night(night).plan.notes}
    assert {"counted-westward", "ends-for-starts"} <= codes
