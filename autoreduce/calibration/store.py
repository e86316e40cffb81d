"""Masters kept in memory: every light of a night reads the same few."""

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
masters of one light must not drive each other out, band by band."""
_Key = tuple[Path, int | str]
"""A master's file, and its HDU or plane."""


class MasterStore:
    """The masters in use, as far as they fit; shared by all threads of a run.

    A master does not change while a run lasts, so that its path names its content.
    """

    def __init__(self, capacity: int = 0) -> None:
        """Make room for `capacity` bytes; 0 keeps nothing."""
        self._capacity = capacity
        self._kept: dict[_Key, tuple[Floats, int]] = {}
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

    def _whole(self, reader: ImageReader, key: _Key) -> Floats | None:
        self._uses += 1
        known, _ = self._kept.pop(key, (None, 0))
        if known is None:
            if not self._make_room(4 * reader.shape[0] * reader.shape[1]):
                return None
            known = reader.read()
            known.flags.writeable = False
        self._kept[key] = known, self._uses
        return known

    def _make_room(self, size: int) -> bool:
        """Let go what is stale as far as it must be; whether there is room then."""
        free = self._capacity - sum(master.nbytes for master, _ in self._kept.values())
        stale = []
        for key, (master, used) in self._kept.items():  # what was used last is last
            if free >= size or self._uses - used <= STALE:
                break
            free += master.nbytes
            stale.append(key)
        if free < size:
            return False
        for key in stale:
            del self._kept[key]
        return True


@cache
def _store_of_process(capacity: int) -> MasterStore:
    return MasterStore(capacity)
