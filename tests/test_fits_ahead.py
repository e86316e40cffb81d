"""Reading ahead: order, overlap, and errors where they belong."""

import threading

import pytest

from autoreduce.fits.ahead import read_ahead


def test_pieces_come_in_order_with_what_was_read():
    assert list(read_ahead(str, [3, 1, 2])) == [(3, "3"), (1, "1"), (2, "2")]


def test_nothing_comes_of_nothing():
    assert list(read_ahead(str, [])) == []


def test_the_next_piece_is_read_while_one_is_worked_on():
    second_began = threading.Event()

    def read(piece):
        if piece == 2:
            second_began.set()
        return piece

    pieces = read_ahead(read, [1, 2])
    next(pieces)
    assert second_began.wait(timeout=10)
    assert list(pieces) == [(2, 2)]


def test_two_buffers_in_turn_are_enough():
    """While a piece is worked on no more than the next one is read."""
    buffers = [[], []]

    def read(piece):
        buffer = buffers[piece % 2]
        buffer[:] = [piece] * 1000
        return buffer

    for piece, buffer in read_ahead(read, range(50)):
        assert set(buffer) == {piece}


def test_an_error_of_reading_is_raised_at_its_piece():
    def read(piece):
        if piece == 2:
            msg = "cannot be read"
            raise OSError(msg)
        return piece

    pieces = read_ahead(read, [1, 2, 3])
    assert next(pieces) == (1, 1)
    with pytest.raises(OSError, match="cannot be read"):
        next(pieces)


def test_leaving_early_leaves_no_thread_behind():
    pieces = read_ahead(str, range(10))
    next(pieces)
    pieces.close()
    assert not any(t.name.startswith("read-ahead") for t in threading.enumerate())
