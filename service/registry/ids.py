"""Ids: a prefix and 24 hex digits, the first 14 of them the time in microseconds, so that they sort by age."""

from __future__ import annotations

import secrets
import threading
import time

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Makes an id such as `bat_…` or `upd_…`; within a process each sorts after all before it. Opaque to clients."""
    global _last
    with _lock:
        _last = max(_last + 1, int(time.time() * 1_000_000))
        stamp = _last
    return f"{prefix}_{stamp:014x}{secrets.token_hex(5)}"
