"""Masters kept in memory: every light of a night reads the same few."""

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.images import ImageReader

Floats = NDArray[np.float32]

STALE = 64
"""Uses of other masters after which one that was not used makes room for another: the
masters of one light must not drive each other out, band by band.
"""


class MasterStore:
    """The masters in use, as far as they fit; shared by all threads of a run.

    A master does not change while a run lasts, so that its path names its content.
    """

    def __init__(self, capacity: int = 0) -> None:
        """Make room for `capacity` bytes; 0 keeps nothing."""
        self._capacity = capacity
        self._kept: OrderedDict[tuple[Path, int | str], Floats] = OrderedDict()
        self._used: dict[tuple[Path, int | str], int] = {}
        self._uses = 0
        self._lock = Lock()

    def __reduce__(self) -> tuple[Callable[[int], "MasterStore"], tuple[int]]:
        """Travel to another process as what that one keeps, from task to task."""
        return _store_of_process, (self._capacity,)

    def rows(
        self, reader: ImageReader, plane: int | str, start: int, stop: int
    ) -> Floats:
        """Give rows of a master, from memory if there is room for it.

        Parameters
        ----------
        reader : ImageReader
            The open master.
        plane : int
            Its HDU, or the name of its plane.
        start, stop : int
            Rows, the upper end exclusive.

        Returns
        -------
        (stop - start, nx) array
            Not to be written to.
        """
        with self._lock:
            whole = self._whole(reader, (reader.path, plane))
        return reader.rows(start, stop) if whole is None else whole[start:stop]

    def clear(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._kept.clear()

    def _whole(self, reader: ImageReader, key: tuple[Path, int | str]) -> Floats | None:
        self._uses += 1
        if key not in self._kept:
            if not self._make_room(4 * reader.shape[0] * reader.shape[1]):
                return None
            self._kept[key] = reader.read()
            self._kept[key].flags.writeable = False
        self._kept.move_to_end(key)
        self._used[key] = self._uses
        return self._kept[key]

    def _make_room(self, size: int) -> bool:
        """Let go what is stale as far as it must be; whether there is room then."""
        kept = {key: master.nbytes for key, master in self._kept.items()}
        stale = [key for key in kept if self._uses - self._used[key] > STALE]
        if sum(kept.values()) - sum(kept[key] for key in stale) + size > self._capacity:
            return False
        for key in stale:
            if (
                sum(master.nbytes for master in self._kept.values()) + size
                > self._capacity
            ):
                del self._kept[key]
        return True


@cache
def _store_of_process(capacity: int) -> MasterStore:
    return MasterStore(capacity)
