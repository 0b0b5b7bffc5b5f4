"""Asks the service's own API in this process, with the key of the browser: what a page shows is what the API answers.

Access, limits, audit and idempotency are those of the API, since each request passes the same door as one from outside.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode

import anyio.from_thread
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope

from service.contract.enums import JSON
from service.contract.resources import Problem
from service.errors import InvalidContent

R = TypeVar("R", bound=BaseModel)

COUNTED = "tsuika.counted"
"""In the scope: keys for which this page has counted among what they may ask a second, as the API knows it."""
CHUNKED = (b"transfer-encoding", b"chunked")
REPLAYED, RETRY_AFTER = b"idempotency-replayed", b"retry-after"
HIDDEN = (403, 404)
"""Statuses of what the key may not read, or what is not there for it."""


class Refused(Exception):
    """The API said no: its problem, with a sentence that says what to do, and its Retry-After."""

    def __init__(self, problem: Problem, retry_after: str | None = None) -> None:
        super().__init__(problem.detail)
        self.problem, self.retry_after = problem, retry_after


@dataclass(frozen=True)
class Sent:
    """What the API answered. `replayed`: to a second try of what was done before."""

    status: int
    body: bytes
    replayed: bool = False
    retry_after: str | None = None

    def taken(self) -> bytes:
        """The body of an answer that is none of a refusal. Raises Refused."""
        if self.status >= 400:
            raise Refused(Problem.model_validate_json(self.body), self.retry_after)
        return self.body

    def read(self, kind: type[R]) -> R:
        """The resource. Raises Refused."""
        return kind.model_validate_json(self.taken())


@dataclass(frozen=True)
class Sending:
    """Where a file goes: a path of the API, the media type, and what is said in the query, a list where a name stands
    there several times. `model`: a new one that it is the first of, as the API takes it. `classes`: declared of a
    model that is there."""

    path: str
    media: str
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    model: Mapping[str, Any] | None = None
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class ApiClient:
    """Calls of the API on behalf of one request of a page, from the thread that answers it.

    origin: the scope of that request · key: what the browser signed in with · attempt: of the form that was sent; a
    second click on its button repeats the Idempotency-Key, so that it happens once.
    """

    door: ASGIApp
    origin: Scope
    key: str | None = None
    attempt: str | None = None

    def get(self, path: str, kind: type[R], **query: Any) -> R:
        """Reads a resource. Raises Refused."""
        return kind.model_validate_json(self.send("GET", path, query=query))

    def find(self, path: str, kind: type[R], **query: Any) -> R | None:
        """As `get`; None for what is not there, or what the key may not read. Raises Refused for all else."""
        try:
            return self.get(path, kind, **query)
        except Refused as refused:
            if refused.problem.status in HIDDEN:
                return None
            raise

    def health(self) -> dict[str, Any]:
        """How the service is, as probes are told; of models, those that the key sees."""
        health: dict[str, Any] = json.loads(anyio.from_thread.run(self._send, "GET", "/readyz").body)
        return health

    def post(self, path: str, kind: type[R], body: Any = None) -> R:
        """Makes the change of a form. Raises Refused."""
        return kind.model_validate_json(self.send("POST", path, body))

    def send(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> bytes:
        """-> the body of the answer. `path`: made by `address`; members of `query` that are None are left out. Raises
        Refused."""
        content = b"" if body is None else json.dumps(body).encode()
        return anyio.from_thread.run(self._send, method, path, content, query).taken()

    async def _send(self, method: str, path: str, content: bytes = b"", query: dict[str, Any] | None = None) -> Sent:
        of_body = [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(content))] if content else []
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        scope = self._scope(method, path, asked, of_body)
        return await _ask(self.door, scope, _whole(content))

    async def stream(self, to: Sending, receive: Receive) -> Sent:
        """Sends a body as it comes, in the event loop. Once it is whole, a new model that it begins is made, or
        classes are declared. Where it is refused, the model is archived: it had no rows, so its name is free again.
        Classes stay, since somebody said that they are meant. Raises InvalidContent where the body is cut off."""
        made = list[Sent]()

        async def received() -> Message:
            message = await receive()
            begins = to.model or to.classes
            if not begins or message["type"] != "http.request" or message.get("more_body", False):
                return message
            made.append(await asyncio.create_task(self._first(to)))
            return message if made[0].status < 400 else {"type": "http.disconnect"}

        scope = self._scope("POST", to.path, dict(to.query), [(b"content-type", to.media.encode()), CHUNKED])
        answer = await _ask(self.door, scope, received)
        if made and made[0].status >= 400:
            return made[0]
        if to.model is not None and made and not made[0].replayed and answer.status >= 400:
            await self._send("DELETE", address("models", to.model["name"]))
        if not answer.body:
            raise InvalidContent("The file was cut off. Send it again.")
        return answer

    async def _first(self, to: Sending) -> Sent:
        """Makes the model; anew, where this is a second try of one that is gone since its file was refused. Or declares
        classes, as often as the form is sent: those that are there stay as they are."""
        once = replace(self, attempt=None)
        if to.model is None:
            classes = json.dumps({"names": [*to.classes]}).encode()
            return await once._send("POST", to.path.rpartition("/")[0] + "/classes", classes)
        model, attempt = json.dumps(to.model).encode(), None if self.attempt is None else f"{self.attempt}-model"
        made = await replace(self, attempt=attempt)._send("POST", address("models"), model)
        return await once._send("POST", address("models"), model) if made.status == 404 else made

    def _scope(self, method: str, path: str, query: dict[str, Any], of_body: Sequence[tuple[bytes, bytes]]) -> Scope:
        headers = [header for header in self.origin["headers"] if header[0] in (b"host", b"x-request-id")]
        if self.key is not None:
            headers.append((b"authorization", b"Bearer " + self.key.encode("latin-1", "replace")))
        headers += of_body
        if self.attempt is not None and method != "GET":
            headers.append((b"idempotency-key", self.attempt.encode("latin-1", "replace")))
        same = {name: self.origin[name] for name in ("type", "asgi", "http_version", "scheme", "server", "client")}
        return {
            **same,
            COUNTED: self.origin.setdefault(COUNTED, set()),
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(query, doseq=True).encode(),
            "headers": headers,
        }


def address(*parts: str | int) -> str:
    """ "models", "digits", "versions", 3 -> "/v1/models/digits/versions/3", whatever stands in the parts."""
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def _whole(content: bytes) -> Receive:
    """Receives a body in one piece."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # the browser waits as long as its page does
        sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    return receive


async def _ask(door: ASGIApp, scope: Scope, receive: Receive) -> Sent:
    """The answer; without a body where the sender hung up."""
    status, headers, pieces = 500, dict[bytes, bytes](), list[bytes]()

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.update((name.lower(), value) for name, value in message["headers"])
        else:
            pieces.append(message.get("body", b""))

    await door(scope, receive, send)
    after = headers.get(RETRY_AFTER)
    return Sent(status, b"".join(pieces), REPLAYED in headers, None if after is None else after.decode())
