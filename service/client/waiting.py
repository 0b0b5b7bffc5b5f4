"""Waits until an update is final, and until what it promoted is served."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

from service.client.errors import StillRunning
from service.client.transport import Transport
from service.contract.enums import UpdateState, Verdict
from service.contract.resources import Model, Update

FINAL = (UpdateState.SUCCEEDED, UpdateState.FAILED, UpdateState.CANCELLED)

OnProgress = Callable[[Update], None]


def until_final(
    transport: Transport, update: Update | str, seconds: float, on_progress: OnProgress | None = None
) -> Update:
    """The update once it is final and what it promoted is served. Raises StillRunning when `seconds` are over."""
    until = time.monotonic() + seconds
    pause = 0.02
    first = update if isinstance(update, Update) else now(transport, update)
    current = first
    while current.state not in FINAL:
        if on_progress:
            on_progress(current)
        if time.monotonic() > until:
            raise StillRunning(f"{current.id} is {current.state} after {seconds:g} s. Ask again with wait().")
        time.sleep(pause)
        pause = min(1.5 * pause, 0.25)
        current = now(transport, current.id)
    if current is not first and current.verdict is Verdict.PROMOTED:
        _until_served(transport, current, until)
    return current


def now(transport: Transport, id: str) -> Update:
    """An update as it is now."""
    return transport.call("GET", f"/v1/updates/{id}", Update)


def _until_served(transport: Transport, update: Update, until: float) -> None:
    """The pointer has moved; replicas follow it within one poll."""
    while time.monotonic() < until:
        model = transport.call("GET", f"/v1/models/{quote(update.model, safe='')}", Model)
        if model.serving_version == model.live_version:
            return
        time.sleep(0.05)
