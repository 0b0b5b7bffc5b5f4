"""What the store of this process takes, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import TsuikaError
from service.telemetry.metrics import Counter, Histogram

SECONDS = Histogram("tsuika_store_duration_seconds", "Time of one call of the store.", ["operation"])
ERRORS = Counter("tsuika_store_errors_total", "Calls that the store failed, by the slug.", ["operation", "reason"])


@contextmanager
def observed(operation: str) -> Iterator[None]:
    """Counts a call of the store; decorates it, too."""
    began = time.perf_counter()
    try:
        yield
    except TsuikaError as error:
        ERRORS.add(operation, error.slug)
        raise
    finally:
        SECONDS.observe(time.perf_counter() - began, operation)
