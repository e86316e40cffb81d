"""Frames that are too large for the memory, known from their headers alone."""

import math
from collections.abc import Iterator

from autoreduce.frames.frame import Frame
from autoreduce.remarks import Remark, remark

BYTES_PER_PIXEL = 24
"""What a light, the largest of all tasks, takes while its stars are looked for."""
TOO_LARGE = "too-large"
"""Code of frames that are left out for their size: no byte of their pixels is read."""
_MB = 1 << 20


def within(frames: Iterator[Frame], memory: float) -> Iterator[Frame]:
    """Leave out the frames that do not fit into the memory, before a pixel is read.

    Parameters
    ----------
    frames : iterator of Frame
        Frames as their headers have them, unpacked.
    memory : float
        Bytes that one frame may take, `BYTES_PER_PIXEL` for each pixel.

    Yields
    ------
    Frame
        Each of them; one that is too large has the reason.
    """
    for frame in frames:
        needed = math.prod(frame.shape) * BYTES_PER_PIXEL
        if needed > memory:
            frame.why_not = _why_not(frame.shape, needed, memory)
        yield frame


def _why_not(shape: tuple[int, ...], needed: int, memory: float) -> Remark:
    expected = f"{_size(needed)} of memory, {_size(memory)}"
    way_out = f"--memory {_size(needed)}"
    found = " x ".join(map(str, shape))
    return remark(TOO_LARGE, found=found, expected=expected, way_out=way_out)


def _size(n_bytes: float) -> str:
    """Write a size as `--memory` takes it, rounded up."""
    amount = math.ceil(n_bytes / _MB)
    return f"{amount}MB" if amount < 10240 else f"{math.ceil(amount / 1024)}GB"
