"""Garbage from outside ends in words, or is passed over; never in a traceback."""

import logging

import pytest
from fuzzing import CARDS, TARGETS, feed, fits_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NASTY = [
    b"1E999", b"-1e308", b"nan", b"inf", b"1" * 400, b"-1", b"0", b"1" * 5000,
    b"9999-12-31T23:59:60", b"0000-00-00", b"2024-02-30", b"1979-05-27T07:32:00-08:00",
    b"0001-01-01T00:00:00+14:00", b"24:00:00", b"[0:0,1:99999999999999999999]", b"[1:2",
    b"[-5:2,9:1]", b"''", b"'", b'"', b"\0", b"\n", b"\r", b"=", b",", b";", b"\t", b"{",
    b"}", b"[", b"]", b"null", b"true", b"T", b"[[", b"\xff\xfe", b"\xed\xa0\x80",
    "é".encode(), b"CONTINUE", b"HIERARCH ", b"END", b"XTENSION=",
]  # fmt: skip
"""What programs stumble over."""


@st.composite
def garbled(draw, sound):
    """Change something sound in a few places."""
    data = sound
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 12))
        put = draw(st.sampled_from(NASTY) | st.binary(max_size=8))
        data = data[:at] + put + data[at + cut :]
    return data


@pytest.fixture(autouse=True)
def _cold(monkeypatch):
    monkeypatch.setenv("AUTOREDUCE_NO_CACHE", "1")
    logging.getLogger("autoreduce").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("autoreduce").setLevel(logging.NOTSET)


@pytest.mark.parametrize("target", TARGETS)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_garbage_ends_in_words(target, data):
    sound = TARGETS[target][1]
    feed(target, data.draw(garbled(sound) | st.binary(max_size=200)))


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_sound_is_taken(target, caplog):
    logging.getLogger("autoreduce").setLevel(logging.WARNING)
    assert (feed(target, TARGETS[target][1]), caplog.text) == ("", "")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("DATE-OBS", "'9999-12-31T23:59:60'"),
        ("DATE-OBS", "'0001-01-01T00:00:00+14:00'"),
        ("EXPTIME", "1E999"),
        ("EXPTIME", "1e308"),
        ("XBINNING", "1E999"),
        ("TRIMSEC", "T"),
        ("TRIMSEC", "'[1:99999999999999999999,1:3]'"),
        ("CCD-TEMP", "'nan'"),
        ("NAXIS1", "1E999"),
        ("BZERO", "1E999"),
        ("BLANK", "1E999"),
    ],
)
def test_cards_that_were_too_much_once(keyword, value):
    lines = [line for line in CARDS.splitlines() if not line.startswith(keyword)]
    cards = "\n".join([*lines, f"{keyword:8}= {value}"])
    feed("cards", cards.encode())
    feed("fits", fits_of(cards))


@pytest.mark.parametrize("target", ["plan", "ledger", "recipe", "rules", "dialect"])
@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "a = " + "[" * 100_000, "a = 1" + "0" * 5000, '{"outcomes": 1}',
     '{"outcomes": {"a": {}}}', "1" * 5000, "\ufeff", "a = 2024-13-01", "a = inf"],
    ids=range(9),
)  # fmt: skip
def test_texts_that_were_too_much_once(target, text):
    feed(target, text.encode())
