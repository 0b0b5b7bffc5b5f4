"""The Python client: one service, its models, and waiting for updates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Self

import httpx

from service.client import waiting
from service.client.model import RemoteModel
from service.client.transport import Transport
from service.client.waiting import OnProgress
from service.contract.resources import MethodInfo, Methods, Model, Page, Update

DEFAULT_URL = "http://127.0.0.1:8000"


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
        """A new model. `settings`: target (by default a class; {"kind": "number"} predicts numbers), architecture,
        classes, method, gate, promotion, retention."""
        made = self.transport.call("POST", "/v1/models", Model, {"name": name, "input": input, **settings})
        return RemoteModel(self.transport, name, made.target.kind, made.input.kind)

    def model(self, name: str) -> RemoteModel:
        """A handle on a model; nothing is sent yet."""
        return RemoteModel(self.transport, name)

    def models(self) -> Iterator[Model]:
        """All models, newest first."""
        return self.transport.each("/v1/models", Page[Model])

    def methods(self) -> list[MethodInfo]:
        """How it can learn: each method with its parameters, needs and limits."""
        return self.transport.call("GET", "/v1/methods", Methods).items

    def update(self, id: str) -> Update:
        """An update as it is now."""
        return waiting.now(self.transport, id)

    def cancel(self, id: str) -> Update:
        """Ask an update to stop."""
        return self.transport.call("POST", f"/v1/updates/{id}/cancel", Update)

    def retry(self, id: str) -> Update:
        """Queue an update again that failed or was cancelled."""
        return self.transport.call("POST", f"/v1/updates/{id}/retry", Update)

    def wait(self, update: Update | str, seconds: float = 600.0, on_progress: OnProgress | None = None) -> Update:
        """The update once it is final and what it promoted is served. Raises StillRunning when `seconds` are over."""
        return waiting.until_final(self.transport, update, seconds, on_progress)
