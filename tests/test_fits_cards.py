"""Header cards: what we format, astropy reads back."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.fits.cards import (
    checksummed_header,
    format_card,
    format_history,
    header_block,
    ones_complement_sum,
    without,
)

# astropy itself misreads a string in which a quote is followed by a slash.
printable = st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=300
).filter(lambda text: "'/" not in text)
values = st.one_of(
    printable,
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
)


def read(cards):
    return fits.Header.fromstring(b"".join(cards))


@given(values)
def test_astropy_reads_back_every_value(value):
    header = read(format_card("KEY", value, "a comment"))
    back = header["KEY"]
    expected = value.rstrip() if isinstance(value, str) else value
    assert back == expected
    assert isinstance(back, type(value))


@given(printable)
def test_every_card_has_80_columns(text):
    assert all(len(card) == 80 for card in format_card("KEY", text, text))
    assert all(len(card) == 80 for card in format_history(text))


def test_what_is_unknown_has_no_value():
    for unknown in (None, float("nan"), float("inf")):
        assert read(format_card("KEY", unknown))["KEY"] is None


def test_letters_outside_ascii_do_not_break_the_header():
    assert read(format_card("OBJECT", "Abell Nº 1", "ünder"))["OBJECT"] == "Abell N? 1"


def test_long_keywords_become_hierarch():
    assert read(format_card("LONG KEYWORD NAME", 3))["LONG KEYWORD NAME"] == 3


def test_history_is_broken_at_spaces():
    cards = format_history("word " * 40)
    assert len(cards) == 3
    assert all(card.startswith(b"HISTORY word ") for card in cards)


@given(st.integers(0, 0xFFFFFFFF))
def test_the_checksum_makes_the_sum_of_header_and_data_minus_zero(data_sum):
    header = checksummed_header(format_card("KEY", "value"), data_sum)
    assert ones_complement_sum(header, data_sum) == 0xFFFFFFFF
    text = fits.Header.fromstring(header)["CHECKSUM"]
    assert len(text) == 16
    assert text.isalnum()


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=9))
def test_sums_of_pieces_in_any_order_are_the_sum_of_the_whole(pieces):
    forward = ones_complement_sum(b"".join(pieces))
    backward = 0
    for piece in reversed(pieces):
        backward = ones_complement_sum(piece, backward)
    assert forward == backward


def test_a_reserved_header_is_filled_with_blank_cards():
    block = header_block(format_card("KEY", 1), reserve=5760)
    assert len(block) == 5760
    assert fits.Header.fromstring(block)["KEY"] == 1


def test_a_reserve_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        header_block(format_card("KEY", 1) * 40, reserve=2880)


def test_dropping_a_card_drops_its_continuation():
    cards = [*format_card("LONG", "x" * 200), *format_card("KEPT", np.float64(2.5))]
    assert [card[:8] for card in without(cards, ["LONG"])] == [b"KEPT    "]


def test_a_star_drops_all_keywords_that_begin_so():
    cards = [
        card for name in ("NAXIS", "NAXIS1", "NAX") for card in format_card(name, 1)
    ]
    assert [card[:8] for card in without(cards, ["NAXIS*"])] == [b"NAX     "]


def test_a_quote_is_never_cut_in_two_where_a_text_goes_on():
    for length in range(60, 75):
        text = "x" * length + "''''" + "y" * 70
        header = fits.Header.fromstring(b"".join(format_card("KEY", text)))
        assert header["KEY"] == text
