"""The samples of many frames: those that earlier runs have read, and the others."""

import math
import os
import struct
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autoreduce.calibration import joined, samples, seams
from autoreduce.calibration.samples import Sample, Sampled, read_some
from autoreduce.calibration.seams import Edge
from autoreduce.fits import images
from autoreduce.fits.ahead import Each, read_parts
from autoreduce.fits.ledger import Stamp
from autoreduce.fits.names import split_hdu
from autoreduce.frames import cache, pixeltype
from autoreduce.frames.cache import Part, Share
from autoreduce.pixels import measure, order
from autoreduce.pixels import seams as pixels_seams
from autoreduce.planning.recipe import Crosstalk

_THREADS = 4


def read_samples(
    root: Path,
    frames: Mapping[str, Sampled],
    kept: Path | None = None,
    each: Each = map,
) -> dict[str, Sample]:
    """Read a sample of each of some frames.

    Parameters
    ----------
    root : Path
        Folder that the frames' names are relative to.
    frames : mapping of str to Sampled
        What the frame table tells of each frame, by its name there.
    kept : Path, optional
        The user's cache, of which files that are as they were are taken; read are only
        the others.
    each : callable
        Calls a function for many items, as `map` does: in other processes, if there are
        any.

    Returns
    -------
    dict of str to Sample
        By name; frames that tell nothing are not in it.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for name in frames:
        folder, slash, base = name.rpartition("/")
        places[folder + slash].append(base)
    asked = (
        [(part, [frames[part.folder + base] for base in part.names]) for part in batch]
        for batch in cache.batches(places)
    )
    found: dict[str, Sample] = {}
    for read in each(partial(_read_parts, root, kept), asked):
        found |= read
    cache.drop_oldest(kept, SAMPLES)
    return {name: found[name] for name in frames if name in found}


def _read_parts(
    root: Path, kept: Path | None, asked: Sequence[tuple[Part, Sequence[Sampled]]]
) -> dict[str, Sample]:
    """Read the frames of some parts of folders."""
    found: dict[str, Sample] = {}
    for part, told in asked:
        place = f"{root}/{part.folder}"
        frames = dict(zip(part.names, told, strict=True))

        folder = _Folder(Path(place), part.share, kept)
        old = {base: folder.known(base, frame) for base, frame in frames.items()}
        new = [base for base, sample in old.items() if sample is None]
        files = ((place + base, frames[base]) for base in new)
        read = dict(zip(new, read_parts(_THREADS, read_some, files), strict=True))
        folder.keep(read, frames)
        found |= {part.folder + base: one for base, one in (old | read).items() if one}
    return found


class _Folder:
    """The samples that are kept of the frames of a part of a folder."""

    def __init__(self, folder: Path, share: Share, kept: Path | None) -> None:
        self._folder, self._share, self._kept = folder, share, kept
        self._start_ns = time.time_ns()
        self._stamps: dict[str, Stamp | None] = {}
        self._old = cache.load(kept, SAMPLES, folder, share) if kept else {}

    def known(self, base: str, frame: Sampled) -> Sample | None:
        """Give the sample of a frame that is as it was; None if it is to be read."""
        if self._kept is None:
            return None
        stamp = self._stamps[base] = self._stamp_of(base)
        old_stamp, old = self._old.get(base, (None, None))
        if stamp is None or old is None or stamp != old_stamp or old[0] != frame:
            return None
        return old[1]

    def keep(
        self, read: Mapping[str, Sample | None], frames: Mapping[str, Sampled]
    ) -> None:
        """Keep what was read, beside what is known of the other frames."""
        new = {}
        for base, sample in read.items():
            stamp = self._stamps.get(base)
            if sample and stamp and stamp.is_settled(self._start_ns):
                new[base] = stamp, (frames[base], sample)
        if self._kept and new:
            old = {base: old for base, old in self._old.items() if self._stands(base)}
            cache.save(self._kept, SAMPLES, self._folder, old | new, self._share)

    def _stands(self, base: str) -> bool:
        """Tell whether a frame is there as it was, asked for or not."""
        if base not in self._stamps:
            self._stamps[base] = self._stamp_of(base)
        return self._stamps[base] == self._old[base][0]

    def _stamp_of(self, base: str) -> Stamp | None:
        path: str | Path = f"{self._folder}/{base}"
        if base.endswith("]"):
            path = split_hdu(path)[0]
        try:
            return Stamp.of(os.stat(path))  # noqa: PTH116 -- of many thousand files
        except OSError:
            return None


def _packed(entries: Sequence[tuple[Sampled, Sample]]) -> tuple[Any, bytes]:
    index: list[tuple[Any, ...]] = []
    pixels: list[bytes] = []
    for frame, sample in entries:
        told = [getattr(sample, name) for name in _TOLD]
        heard = [astuple(one) for one in frame.crosstalk]
        blocks, strip = array("d", sample.blocks), sample.strip
        pixels += blocks.tobytes(), strip.tobytes()
        form = (len(blocks), strip.shape, strip.dtype.str)
        index.append(((*frame[:-1], heard), told, *form))
    return index, b"".join(pixels)


def _unpacked(index: Any, pixels: bytes) -> Iterator[tuple[Sampled, Sample]]:  # noqa: ANN401 -- JSON
    at = 0
    for frame, values, n_blocks, shape, dtype in index:
        told = dict(zip(_TOLD, values, strict=True))
        told["ends"] = tuple(told["ends"])
        told["edges"] = tuple(Edge(*one) for one in told["edges"])
        blocks = struct.unpack_from(f"{n_blocks}d", pixels, at)
        at += 8 * n_blocks
        strip = np.frombuffer(pixels, dtype, math.prod(shape), at).reshape(shape)
        at += strip.nbytes
        frame[-1] = tuple(Crosstalk(*one) for one in frame[-1])
        yield Sampled(*frame), Sample(**told, blocks=blocks, strip=strip)


_PIXELS = {"blocks", "strip"}
_TOLD = tuple(one.name for one in fields(Sample) if one.name not in _PIXELS)
_READERS = (samples, pixeltype, seams, joined, measure, order, pixels_seams, images)
SAMPLES = cache.Shelf("samples", _READERS, _packed, _unpacked)
"""The sample of each frame, with what the frame table told of it."""
