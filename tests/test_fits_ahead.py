"""Reading ahead: order, overlap, and errors where they belong."""

import threading
import time

import pytest

from autoreduce.errors import Interrupted
from autoreduce.fits.ahead import read_ahead, read_many


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


def threads_of(work, n=200):
    """Read numbers; return what came of it, and how many threads read."""
    readers = set()

    def read(number):
        readers.add(threading.get_ident())
        work()
        return -number

    return list(read_many(4, read, range(n))), len(readers)


def test_what_is_read_fast_is_read_by_one_thread():
    assert threads_of(lambda: None) == ([-n for n in range(200)], 1)


def work_for_a_while():
    end = time.thread_time() + 3e-3
    while time.thread_time() < end:
        pass


@pytest.mark.parametrize("work", [lambda: time.sleep(1e-3), work_for_a_while])
def test_others_are_called_where_one_waits_or_works_long(work):
    found, n_readers = threads_of(work)
    assert found == [-n for n in range(200)]
    assert n_readers > 1


def test_errors_of_reading_many_are_raised():
    with pytest.raises(ZeroDivisionError):
        list(read_many(4, lambda n: 1 // n, [2, 1, 0]))


@pytest.mark.parametrize("calls_others", [False, True])
def test_a_signal_does_not_wait_for_what_is_being_read(calls_others):
    may_go_on, read = threading.Event(), []
    last = 64 if calls_others else 1

    def wait(n):
        if n >= last:
            may_go_on.wait(10)
        time.sleep(0.003)
        read.append(n)

    pieces = range(last + 1)
    reading = read_many(2, wait, pieces) if calls_others else read_ahead(wait, pieces)
    for _ in range(last // 2 + 1):
        next(reading)
    with pytest.raises(Interrupted):
        reading.throw(Interrupted(2))
    assert last not in read
    may_go_on.set()
