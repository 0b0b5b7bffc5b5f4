"""What lasts is kept out of the garbage collector's rounds, which are what the slowest answers wait for."""

from __future__ import annotations

import gc

YOUNG = 20_000
"""Objects that come before the collector walks through them. Requests of a crowd wait by the thousand, hold some thirty
objects each and go by their references alone: at Python's 700 a tenth of the time went into walking through them."""


def freeze() -> None:
    """Collect once, then never walk again through what is there now: libraries, applications, loaded versions.

    The next call walks only through what came since. What is frozen and dropped later goes by its references alone, so
    nothing that is dropped may hold itself: a version's modules do not.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
