"""The Python client: one service, its models, and waiting for updates; with coroutines and without."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any, Self
from urllib.parse import quote

import httpx

from service.client import waiting
from service.client.blocking import Blocking, blocking, blocking_list, finish
from service.client.handle import Facts
from service.client.model import AsyncModel, RemoteModel
from service.client.transport import AsyncTransport, BlockingTransport, Transport
from service.client.waiting import OnProgress
from service.contract.keys import CurrentKey
from service.contract.resources import MethodInfo, Methods, Model, Page, Update

DEFAULT_URL = "http://127.0.0.1:8000"


class _Service:
    """The calls to a service, over either transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """The address of the service."""
        return self.transport.url

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self.transport.close()

    def model(self, name: str) -> AsyncModel:
        """A handle on a model, which the first `push` makes where there is none; nothing is sent yet. "digits@3" (or
        "digits:3"), "digits@live" and "digits@previous" are pinned to that version."""
        name, pinned, version = name.replace(":", "@", 1).partition("@")
        model = AsyncModel(self.transport, name)
        return model.at(int(version) if version.isdecimal() else version) if pinned else model

    async def create_model(self, name: str, input: dict[str, Any], **settings: Any) -> AsyncModel:
        """A new model. `settings`: target (by default a class; {"kind": "number"} predicts numbers), architecture,
        classes, method, gate, promotion, retention, leave_out (columns of CSV files that it does not look at)."""
        made = await self.transport.call("POST", "/v1/models", Model, {"name": name, "input": input, **settings})
        return AsyncModel(self.transport, name, Facts.of(made))

    def models(self) -> AsyncIterator[Model]:
        """All models, newest first."""
        return self.transport.each("/v1/models", Page[Model])

    async def methods(self) -> list[MethodInfo]:
        """How it can learn: each method with its parameters, needs and limits."""
        return (await self.transport.call("GET", "/v1/methods", Methods)).items

    async def key(self) -> CurrentKey:
        """What this client's key may do, of which models, and until when."""
        return await self.transport.call("GET", "/v1/keys/current", CurrentKey)

    async def update(self, id: str) -> Update:
        """An update as it is now."""
        return await waiting.now(self.transport, id)

    async def cancel(self, id: str, reason: str = "") -> Update:
        """Ask an update to stop."""
        path = f"/v1/updates/{quote(id, safe='')}/cancel"
        return await self.transport.call("POST", path, Update, {"reason": reason} if reason else None)

    async def retry(self, id: str) -> Update:
        """Queue an update again that failed or was cancelled."""
        return await self.transport.call("POST", f"/v1/updates/{quote(id, safe='')}/retry", Update)

    async def wait(self, update: Update | str, seconds: float = 600.0, on_progress: OnProgress | None = None) -> Update:
        """The update once it is final and what it promoted is served. Raises StillRunning when `seconds` are over."""
        return await waiting.until_final(self.transport, update, seconds, on_progress)


class AsyncClient(_Service):
    """Talks to one service, with coroutines; all else as `Client`.

    async with AsyncClient() as tsuika:
        result = await tsuika.model("digits").push(rows, labels)
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(AsyncTransport(_address(url), _key(key), transport))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Client(Blocking[_Service]):
    """Talks to one service.

        with Client() as tsuika:
            digits = tsuika.model("digits")
            result = digits.push(rows, labels)
            result.verdict, result.reason
            digits.predict(rows[:3]).classes

    `url` and `key` default to TSUIKA_URL and TSUIKA_KEY, then to http://127.0.0.1:8000 without a key.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        super().__init__(_Service(BlockingTransport(_address(url), _key(key), transport)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._core.url

    def model(self, name: str) -> RemoteModel:
        """A handle on a model, which the first `push` makes where there is none; nothing is sent yet. "digits@3" (or
        "digits:3"), "digits@live" and "digits@previous" are pinned to that version."""
        return RemoteModel(self._core.model(name))

    def create_model(self, name: str, input: dict[str, Any], **settings: Any) -> RemoteModel:
        """A new model. `settings`: target (by default a class; {"kind": "number"} predicts numbers), architecture,
        classes, method, gate, promotion, retention, leave_out (columns of CSV files that it does not look at)."""
        return RemoteModel(finish(self._core.create_model(name, input, **settings)))

    close = blocking(_Service.aclose)
    models = blocking_list(_Service.models)
    methods = blocking(_Service.methods)
    key = blocking(_Service.key)
    update = blocking(_Service.update)
    cancel = blocking(_Service.cancel)
    retry = blocking(_Service.retry)
    wait = blocking(_Service.wait)


def _address(url: str | None) -> str:
    return url or os.environ.get("TSUIKA_URL") or DEFAULT_URL


def _key(key: str | None) -> str | None:
    return key or os.environ.get("TSUIKA_KEY") or None
