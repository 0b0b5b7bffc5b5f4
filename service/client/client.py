"""The Python client: one service, its models, and waiting for updates."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Self

import httpx

from service.client.errors import StillRunning
from service.client.model import OnProgress, RemoteModel
from service.client.transport import Transport
from service.contract.enums import UpdateState, Verdict
from service.contract.resources import MethodInfo, Methods, Model, Page, Update

DEFAULT_URL = "http://127.0.0.1:8000"
FINAL = (UpdateState.SUCCEEDED, UpdateState.FAILED, UpdateState.CANCELLED)


class Client:
    """Talks to one service.

        with Client() as tsuika:
            digits = tsuika.create_model("digits", {"kind": "vector", "size": 64})
            update = digits.update(rows, labels, new_classes="allow")
            update.verdict, update.why
            digits.predict(rows[:3]).predictions

    `url` and `key` default to TSUIKA_URL and TSUIKA_KEY, then to http://127.0.0.1:8000 without a key.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        address = url or os.environ.get("TSUIKA_URL") or DEFAULT_URL
        self.transport = Transport(address, key or os.environ.get("TSUIKA_KEY") or None, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self.transport.close()

    def create_model(self, name: str, input: dict[str, Any], **settings: Any) -> RemoteModel:
        """A new model. `settings`: architecture, classes, method, gate, promotion, retention."""
        self.transport.call("POST", "/v1/models", Model, {"name": name, "input": input, **settings})
        return self.model(name)

    def model(self, name: str) -> RemoteModel:
        """A handle on a model; nothing is sent yet."""
        return RemoteModel(self, name)

    def models(self) -> Iterator[Model]:
        """All models, newest first."""
        return self.transport.each("/v1/models", Page[Model])

    def methods(self) -> list[MethodInfo]:
        """How it can learn: each method with its parameters, needs and limits."""
        return self.transport.call("GET", "/v1/methods", Methods).items

    def update(self, id: str) -> Update:
        """An update as it is now."""
        return self.transport.call("GET", f"/v1/updates/{id}", Update)

    def cancel(self, id: str) -> Update:
        """Ask an update to stop."""
        return self.transport.call("POST", f"/v1/updates/{id}/cancel", Update)

    def retry(self, id: str) -> Update:
        """Queue an update again that failed or was cancelled."""
        return self.transport.call("POST", f"/v1/updates/{id}/retry", Update)

    def wait(self, update: Update | str, seconds: float = 600.0, on_progress: OnProgress | None = None) -> Update:
        """The update once it is final and what it promoted is served. Raises StillRunning when `seconds` are over."""
        until = time.monotonic() + seconds
        pause = 0.02
        asked = update if isinstance(update, Update) else self.update(update)
        current = asked
        while current.state not in FINAL:
            if on_progress:
                on_progress(current)
            if time.monotonic() > until:
                raise StillRunning(f"{current.id} is {current.state} after {seconds:g} s. Ask again with wait().")
            time.sleep(pause)
            pause = min(1.5 * pause, 0.25)
            current = self.update(current.id)
        if current is not asked and current.verdict is Verdict.PROMOTED:
            self._until_served(current, until)
        return current

    def _until_served(self, update: Update, until: float) -> None:
        """The pointer has moved; replicas follow it within one poll."""
        while time.monotonic() < until:
            model = self.model(update.model).info()
            if model.serving_version == model.live_version:
                return
            time.sleep(0.05)
