"""The memory of this machine."""

import ctypes
import os
from pathlib import Path

_ARENA_MAX, _TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -8, -1, -2, -3
"""The numbers by which glibc knows how many heaps it may keep; what it gives back to the
machine, takes from it beforehand, and fetches from it by itself."""
_AT_ONCE, _KEPT, _ALONE = 32 << 20, 64 << 20, 128 << 20


def free_memory() -> int:
    """Tell how many bytes of memory are free for use."""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return all_memory() // 2


def all_memory() -> int:
    """Tell how many bytes of memory the machine has, whoever uses them now."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def share_one_heap() -> None:
    """Let all threads take memory from one heap.

    Each thread of glibc has its own otherwise, and what one gives back the others
    cannot use: a third more memory, and a tenth more time to have it cleared.  What is
    freed is kept for the next band or frame: a tenth of the time again.  Large frames
    stand outside: between them the heap would be full of holes.  Other C libraries have
    no such heaps.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, value in (
        (_ARENA_MAX, 1),
        (_TOP_PAD, _AT_ONCE),
        (_TRIM_THRESHOLD, _KEPT),
        (_MMAP_THRESHOLD, _ALONE),
    ):
        mallopt(name, value)


def give_back() -> None:
    """Give back what the heap keeps, also between what is in use: others need it now."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
