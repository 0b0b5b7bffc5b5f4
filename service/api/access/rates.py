"""How often a key may ask: a bucket of one second's requests, filled as fast as its rate, in each process."""

from __future__ import annotations

import math
import time

from service.api.access.callers import Caller
from service.errors import TooMany


class Rates:
    """The buckets of a process's keys; used by the event loop alone."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: Caller) -> None:
        """Counts a request. Raises TooMany where the key has asked too often; a refused request does not count."""
        if caller.rate is None:
            return
        most = max(1.0, caller.rate)
        now = time.monotonic()
        left, at = self._left.get(caller.name, (most, now))
        left = min(most, left + (now - at) * caller.rate)
        self._left[caller.name] = (left - 1.0 if left >= 1.0 else left), now
        if left < 1.0:
            raise TooMany(
                f"The key {caller.name} may ask {caller.rate:g} times a second. Ask more rarely: several rows fit into "
                "one request.",
                retry_after=math.ceil((1.0 - left) / caller.rate),
            )
