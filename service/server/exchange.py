"""A request between its connection and what answers it."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.api.problems import Headers


class RequestHandler(Protocol):
    """Answers some requests at once, without a task of their own."""

    def takes(self, request: Request) -> bool:
        """Takes a whole request if it can; its connection then hears `reply`, or `run` after all."""


class PendingAnswer(Protocol):
    """A request that the fast path is about to answer."""

    def leave(self) -> None:
        """Called when the client has disconnected."""


class Connection(Protocol):
    """The connection of a request, as the request sees it."""

    @property
    def congested(self) -> bool:
        """Whether the client reads so slowly that answers pile up."""

    @property
    def usual_headers(self) -> Headers:
        """The headers of every answer; a new list object when they have changed."""

    def reply(self, request: Request, answer: bytes) -> None:
        """Writes a whole answer, with its head."""

    def run(self, request: Request) -> None:
        """Lets the application answer the request."""


class Request:
    """One request.

    body: what has arrived and was not read yet. whole: all of it has arrived. gone: the client has disconnected.
    cycle: uvicorn's, once the application answers. pending: the fast path's, while that answers.
    """

    __slots__ = ("__weakref__", "body", "connection", "cycle", "gone", "keep_alive", "pending", "scope", "whole")

    def __init__(self, connection: Connection, scope: Scope, keep_alive: bool) -> None:
        self.connection, self.scope, self.keep_alive = connection, scope, keep_alive
        self.body: bytes | bytearray = b""
        self.whole = self.gone = False
        self.cycle: RequestResponseCycle | None = None
        self.pending: PendingAnswer | None = None
