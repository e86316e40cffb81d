"""Masters kept in memory: every light of a night reads the same few."""

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.images import ImageReader

Floats = NDArray[np.float32]


class MasterStore:
    """The masters used last, as far as they fit; shared by all threads of a run.

    A master does not change while a run lasts, so that its path names its content.
    """

    def __init__(self, capacity: int = 0) -> None:
        """Make room for `capacity` bytes; 0 keeps nothing."""
        self._capacity = capacity
        self._kept: OrderedDict[tuple[Path, int | str], Floats] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type["MasterStore"], tuple[int]]:
        """Travel to another process empty."""
        return MasterStore, (self._capacity,)

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
        size = 4 * reader.shape[0] * reader.shape[1]
        if size > self._capacity:
            return reader.rows(start, stop)
        with self._lock:
            whole = self._whole(reader, plane, size)
        return whole[start:stop]

    def _whole(self, reader: ImageReader, plane: int | str, size: int) -> Floats:
        key = (reader.path, plane)
        known = self._kept.pop(key, None)
        if known is None:
            while self._held() + size > self._capacity:
                self._kept.popitem(last=False)
            known = reader.read()
            known.flags.writeable = False
        self._kept[key] = known
        return known

    def _held(self) -> int:
        return sum(master.nbytes for master in self._kept.values())
