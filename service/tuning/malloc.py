"""Keeps freed memory in the process for the next pass, instead of giving it back to the system.

glibc returns free memory beyond a few megabytes at the end of its heap, and a pass over images needs and frees more:
the next pass would fault in every page again. Without it a serving process answers a quarter fewer images a second.
TSUIKA_TUNING_OFF=malloc switches it off.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, as malloc.h numbers them."""
KEPT_BYTES = 64 * 2**20
"""Free memory at the end of a heap that stays with the process."""
MAPPED_BYTES = 32 * 2**20
"""Larger allocations are mapped one by one and returned when freed: the most that glibc takes for this."""


def keep_freed() -> bool:
    """Sets this in the process; returns whether its C library supports it. glibc does."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return all(
        mallopt(name, size) == 1 for name, size in ((TRIM_THRESHOLD, KEPT_BYTES), (MMAP_THRESHOLD, MAPPED_BYTES))
    )
