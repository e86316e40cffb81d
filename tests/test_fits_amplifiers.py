"""Amplifiers as a cell of the frame table."""

import pytest

from autoreduce.fits.amplifiers import (
    Amplifier,
    gain_factors,
    layout_of,
    read_amplifiers,
    write_amplifiers,
)

ONE = Amplifier(1, "[1:8,1:4]", "[8:1,1:4]", "[9:12,1:4]", 1.5, 4.0, 60000.0)
OTHER = Amplifier(2, "[5:12,1:4]", "[9:16,1:4]", factor=1.0123)


def test_what_is_written_is_read_again():
    assert read_amplifiers(write_amplifiers([ONE, OTHER])) == (ONE, OTHER)


def test_an_empty_cell_has_no_amplifiers():
    assert read_amplifiers(None) == read_amplifiers("") == ()


@pytest.mark.parametrize("text", ["1 [1:8,1:4]", "one [1:8,1:4] [1:8,1:4] - - - -"])
def test_what_is_no_amplifier_is_refused(text):
    with pytest.raises(ValueError, match=r"not of the form|invalid literal"):
        read_amplifiers(text)


def test_factors_take_all_to_the_mean_gain():
    gains = [Amplifier(1, "", "", egain=gain) for gain in (1.0, 2.0)]
    assert gain_factors(gains) == pytest.approx((2 / 3, 4 / 3))


def test_one_gain_that_is_not_known_leaves_all_as_they_are():
    assert gain_factors([ONE, OTHER]) == (1.0, 1.0)


def test_measured_factors_go_before_gains():
    both = [Amplifier(1, "", "", egain=9.0, factor=f) for f in (0.9, 1.1)]
    assert gain_factors(both) == (0.9, 1.1)


def test_layouts_are_alike_whatever_factors_were_measured():
    one, other = (
        write_amplifiers([Amplifier(1, "d", "p", factor=f)] * 2) for f in (1e-5, 0.98)
    )
    assert layout_of(one) == layout_of(other) == "d p - - - -; d p - - - -"


def test_layouts_are_alike_whatever_the_order_of_extensions():
    one, other = (write_amplifiers([Amplifier(n, "d", "p")] * 2) for n in (1, 12))
    assert layout_of(one) == layout_of(other) == layout_of(layout_of(one))
