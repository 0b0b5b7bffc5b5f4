"""Memory that is freed is kept for the next pass instead of being given back to the system.

glibc gives back what is free at the end of its heap beyond a few megabytes, and a pass over images needs and frees more
than that: every page would be asked for anew, and cleared, by the next one, which takes a quarter of the time.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, as malloc.h numbers them."""
KEPT_BYTES = 64 * 2**20
"""Free memory at the end of a heap that stays with the process."""
APART_BYTES = 32 * 2**20
"""Larger pieces are asked of the system one by one, and given back: the most that glibc takes for this."""


def keep_freed() -> bool:
    """In this process from now on. -> whether its C library can: glibc does, others are left as they are."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(name, size) == 1 for name, size in ((TRIM_THRESHOLD, KEPT_BYTES), (MMAP_THRESHOLD, APART_BYTES)))
