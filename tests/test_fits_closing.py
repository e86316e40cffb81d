"""What holds files open is closed at the end of its block, however that ends."""

import pytest

from autoreduce.fits.closing import Closing


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
