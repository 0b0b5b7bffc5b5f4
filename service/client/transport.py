"""One request to the service: address, key, retries that are safe, answers as resources or typed errors.

Written once, as coroutines; the two kinds of connection differ in how they deliver a request and how they pause.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from service import __version__
from service.client.errors import ClientError, InvalidContent, Unreachable, refuse, starting
from service.client.rows.csv_file import CsvFile
from service.client.rows.values import Bytes, find_not_finite, not_finite
from service.contract.resources import Page

R = TypeVar("R", bound=BaseModel)
T = TypeVar("T")

ATTEMPTS = 4
STARTING_SECONDS = 60.0
"""So long a service is waited for that says it is starting."""
READ_SECONDS = 90.0
"""Longer than the longest `?wait`."""
TIMEOUT = httpx.Timeout(READ_SECONDS, connect=5.0)
KEY = re.compile("[!-~]+")
NO_NAMES = frozenset({"", ".", ".."})
"""Parts of a path that stand for another path."""


class Transport(ABC):
    """Sends requests. A POST carries an Idempotency-Key, so that sending it again after a broken connection is safe."""

    _http: httpx.Client | httpx.AsyncClient

    def __init__(self, url: str, key: str | None) -> None:
        """Raises ClientError for what is no address or no key."""
        address = service_address(url)
        self.url = shown_address(address)
        self._settings: dict[str, Any] = {
            "base_url": self.url,
            "auth": (address.username, address.password) if address.userinfo else None,
            "headers": key_header(key),
            "timeout": TIMEOUT,
        }

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connections."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Returns after that time."""

    @abstractmethod
    async def aside(self, work: Callable[[], T]) -> T:
        """What a function returns that works for long, without holding up others."""

    @abstractmethod
    async def _deliver(self, request: httpx.Request) -> httpx.Response:
        """The answer of the service. Raises httpx.TransportError."""

    async def call(self, method: str, path: str, answer: type[R], body: Any = None, /, **params: Any) -> R:
        """Sends and reads one resource. Raises Refused, Unreachable, and ClientError for another kind of answer."""
        response = await self.send(method, path, body, **params)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as fault:
            raise ClientError(
                f"What {self.url} answered to {method} {path} is not what Tsuika {__version__} answers. Is that the "
                "address of a service, and of this version?"
            ) from fault

    async def send(self, method: str, path: str, body: Any = None, /, **params: Any) -> httpx.Response:
        """Sends JSON, a file or bytes, again after a broken connection or a Retry-After; params that are None are left
        out. Raises ValueError for what JSON does not have."""
        if not NO_NAMES.isdisjoint(path.split("/")[1:]):
            raise ClientError(f'{path} names nothing: no name, id or version is empty, "." or "..".')
        present = {name: value for name, value in params.items() if value is not None}
        if isinstance(body, CsvFile | Bytes):
            content = body.data if isinstance(body, Bytes) else body
            request = self._http.build_request(method, path, params=present, content=content, headers=body.headers)
            if isinstance(body, CsvFile):
                request.stream = body  # of either client
        else:
            try:
                request = self._http.build_request(method, path, params=present, json=body)
            except (TypeError, ValueError) as wrong:
                if (found := find_not_finite(body)) is not None:
                    raise not_finite(*found) from None
                raise ValueError(f"This cannot be sent as JSON: {wrong}. Send lists, dicts or a frame.") from None
        try:
            return await self._sent(request)
        except InvalidContent as refused:
            refused.file = body.name if isinstance(body, CsvFile) else ""
            raise

    async def upload(self, path: str, file: bytes, fields: dict[str, Any], **params: Any) -> httpx.Response:
        """POSTs a file of weights; each of `fields` goes beside it as a part of JSON."""
        parts = {name: (None, json.dumps(value)) for name, value in fields.items()}
        files: Any = {"weights": ("weights.safetensors", file, "application/octet-stream"), **parts}
        request = self._http.build_request("POST", path, params=params, files=files)
        request.read()  # so that it can be sent again
        return await self._sent(request)

    async def each(self, path: str, page: type[Page[R]], cursor: str | None = None, **params: Any) -> AsyncIterator[R]:
        """All items of a list, page by page, from a cursor on."""
        while True:
            answer = await self.call("GET", path, page, cursor=cursor, **params)
            for item in answer.items:
                yield item
            cursor = answer.next_cursor
            if cursor is None:
                return

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            request.headers["Idempotency-Key"] = uuid.uuid4().hex
        attempt, until = 0, None
        while True:
            last = attempt == ATTEMPTS - 1
            try:
                response = await self._deliver(request)
            except httpx.TransportError as broken:
                if last:
                    raise Unreachable(
                        f"No answer from {self.url}: {broken}. Is `tsuika serve` running there?"
                    ) from broken
                await self.pause(0.2 * 2**attempt)
                attempt += 1
                continue
            if response.is_success:
                return response
            wait = _retry_after(response)
            if wait is not None and (sentence := starting(response)) is not None:
                if until is None:
                    until = time.monotonic() + STARTING_SECONDS
                    _say(f"{sentence} It is asked again, for {STARTING_SECONDS:g} s at most.")
                last = time.monotonic() >= until
            else:
                attempt += 1
            if last or wait is None:
                refuse(response)
            await self.pause(wait)


class BlockingTransport(Transport):
    """Does its work before it returns: its coroutines never wait."""

    def __init__(self, url: str, key: str | None, transport: httpx.BaseTransport | None = None) -> None:
        super().__init__(url, key)
        self._http: httpx.Client = httpx.Client(**self._settings, transport=transport)
        weakref.finalize(self, self._http.close)  # where nobody closes it

    async def close(self) -> None:
        self._http.close()

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        return work()

    async def _deliver(self, request: httpx.Request) -> httpx.Response:
        return self._http.send(request)


class AsyncTransport(Transport):
    """Waits on the event loop, of asyncio or trio."""

    def __init__(self, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(url, key)
        self._http: httpx.AsyncClient = httpx.AsyncClient(**self._settings, transport=transport)

    async def close(self) -> None:
        await self._http.aclose()

    async def pause(self, seconds: float) -> None:
        import anyio  # httpx brings it, and needs it here alone

        await anyio.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        import anyio.to_thread

        return await anyio.to_thread.run_sync(work)

    async def _deliver(self, request: httpx.Request) -> httpx.Response:
        return await self._http.send(request)


def key_header(key: str | None) -> dict[str, str]:
    """The header that a key travels in. Raises ClientError, which does not say the key."""
    if key is not None and KEY.fullmatch(key) is None:
        raise ClientError(
            "This is no key: it has a space, a line break or another character that no key has. Read from a file, it "
            "may have the line break at its end."
        )
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def service_address(url: str) -> httpx.URL:
    """The address of a service. Raises ClientError."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise ClientError(
            "This is no address of a service: it begins with http:// or https://, such as http://127.0.0.1:8000."
        )
    return address


def shown_address(address: httpx.URL) -> str:
    """Without user and password, as answers, errors and logs name it."""
    return str(address.copy_with(userinfo=b"")).rstrip("/")


def _say(sentence: str) -> None:
    """Prints it for whoever looks on at a terminal."""
    if sys.stderr.isatty():
        print(sentence, file=sys.stderr)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait before the request is sent again; None where that is of no use."""
    header = response.headers.get("retry-after", "")
    return min(float(header), 10.0) if response.status_code in (409, 429, 503) and header.isdigit() else None
