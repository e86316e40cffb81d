"""What holds files open is closed at the end of its block, however that ends."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer

import pytest

from autoreduce.errors import Interrupted
from autoreduce.fits.closing import Closing, ended


class Door(Closing):
    """What can be shut, and counts how often it was."""

    shut = 0

    def close(self):
        """Shut it."""
        self.shut += 1


def test_the_end_of_the_block_closes():
    with Door() as door:
        assert isinstance(door, Door)
        assert not door.shut
    assert door.shut == 1


def test_an_error_in_the_block_closes_and_goes_on():
    door = Door()
    with pytest.raises(ZeroDivisionError), door:
        door.shut /= 0
    assert door.shut == 1


def test_it_takes_a_way_of_closing():
    with pytest.raises(TypeError):
        Closing()


@pytest.mark.parametrize(
    ("error", "done"), [(None, "ab"), (ZeroDivisionError(), "a"), (Interrupted(2), "")]
)
def test_the_end_waits_for_what_is_under_way_unless_a_signal_ends_it(error, done):
    """Of two tasks of one thread the first is under way."""
    begun, may_go_on, found = Event(), Event(), []

    def work(name):
        begun.set()
        may_go_on.wait(10)
        found.append(name)

    try:
        with ended(ThreadPoolExecutor(1)) as pool:
            given = [pool.submit(work, name) for name in "ab"]
            begun.wait()
            if not isinstance(error, Interrupted):
                Timer(0.1, may_go_on.set).start()
            if error:
                raise error
    except (ZeroDivisionError, Interrupted):
        assert given[1].cancelled()
    assert "".join(found) == done
    may_go_on.set()
