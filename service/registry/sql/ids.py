"""Ids: a prefix and 24 hex digits, the first twelve of them the time, so that they sort by age."""

from __future__ import annotations

import secrets
import threading
import time

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """`bat_…`, `upd_…`: time-ordered within a process to the microsecond, opaque to everybody else."""
    global _last
    with _lock:
        _last = max(_last + 1, int(time.time() * 1_000_000))
        stamp = _last
    return f"{prefix}_{stamp:014x}{secrets.token_hex(5)}"
