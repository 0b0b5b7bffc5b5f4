"""One request to the service: address, key, retries that are safe, answers as resources or typed errors."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from service.client.csv_file import CsvFile
from service.client.errors import Unreachable, refuse
from service.contract.enums import RAW
from service.contract.resources import Page

R = TypeVar("R", bound=BaseModel)

ATTEMPTS = 4
READ_SECONDS = 90.0
"""Longer than the longest `?wait`."""


class Transport:
    """Sends requests. A POST carries an Idempotency-Key, so that sending it again after a broken connection is safe."""

    def __init__(
        self,
        url: str,
        key: str | None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(READ_SECONDS, connect=5.0),
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, answer: type[R], body: Any = None, /, **params: Any) -> R:
        """Sends and reads one resource. Raises Refused and Unreachable."""
        return answer.model_validate_json(self.send(method, path, body, **params).content)

    def send(self, method: str, path: str, body: Any = None, /, **params: Any) -> httpx.Response:
        """Sends JSON, a file or bytes, again after a broken connection or a Retry-After; params that are None are left
        out."""
        present = {name: value for name, value in params.items() if value is not None}
        if isinstance(body, CsvFile | bytes):
            headers = body.headers if isinstance(body, CsvFile) else {"Content-Type": RAW}
            return self._sent(self._http.build_request(method, path, params=present, content=body, headers=headers))
        try:
            request = self._http.build_request(method, path, params=present, json=body)
        except (TypeError, ValueError) as wrong:
            ask = (
                "Are there missing values (NaN)?" if isinstance(wrong, ValueError) else "Send lists, dicts or a frame."
            )
            raise ValueError(f"This cannot be sent as JSON: {wrong}. {ask}") from None
        return self._sent(request)

    def upload(self, path: str, file: bytes, fields: dict[str, Any], **params: Any) -> httpx.Response:
        """POSTs a file of weights; each of `fields` goes beside it as a part of JSON."""
        parts = {name: (None, json.dumps(value)) for name, value in fields.items()}
        files: Any = {"weights": ("weights.safetensors", file, "application/octet-stream"), **parts}
        request = self._http.build_request("POST", path, params=params, files=files)
        request.read()  # so that it can be sent again
        return self._sent(request)

    def _sent(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            request.headers["Idempotency-Key"] = uuid.uuid4().hex
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                response = self._http.send(request)
            except httpx.TransportError as broken:
                if last:
                    raise Unreachable(
                        f"No answer from {self.url}: {broken}. Is `tsuika serve` running there?"
                    ) from broken
                self._sleep(0.2 * 2**attempt)
                continue
            if response.is_success:
                return response
            wait = _retry_after(response)
            if last or wait is None:
                refuse(response)
            self._sleep(wait)
        raise AssertionError("the last attempt answers or raises")

    def each(self, path: str, page: type[Page[R]], **params: Any) -> Iterator[R]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            answer = self.call("GET", path, page, cursor=cursor, **params)
            yield from answer.items
            cursor = answer.next_cursor
            if cursor is None:
                return


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait before the request is sent again; None where that is of no use."""
    header = response.headers.get("retry-after", "")
    return min(float(header), 10.0) if response.status_code in (409, 429, 503) and header.isdigit() else None
