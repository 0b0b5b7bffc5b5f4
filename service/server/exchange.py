"""A request on its way to its answer, and who may answer it."""

from __future__ import annotations

from typing import Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.api.limits.request_checks import Scope
from service.api.problems import Headers


class Express(Protocol):
    """Who answers some requests at once, without a task of their own."""

    def takes(self, request: Request) -> bool:
        """Whether a request that is whole is answered by it, by `reply` or, after all, by `decline`."""
        ...


class Asking(Protocol):
    """What the express is about to answer."""

    def leave(self) -> None:
        """The sender has gone."""
        ...


class Connection(Protocol):
    """Where a request came from and its answer goes."""

    @property
    def congested(self) -> bool:
        """Whether the other side reads so slowly that answers pile up."""
        ...

    @property
    def usual_headers(self) -> Headers:
        """Those of every answer; another list when they have changed."""
        ...

    def reply(self, request: Request, answer: bytes) -> None:
        """A whole answer, with head."""
        ...

    def run(self, request: Request) -> None:
        """The application answers it."""
        ...


class Request:
    """One request. body: as much as came while nobody asked for it · whole: it is all there · cycle: of the
    application, once that answers · asking: of the express, while that does."""

    __slots__ = ("__weakref__", "_connection", "asking", "body", "cycle", "gone", "keep_alive", "scope", "whole")

    def __init__(self, connection: Connection, scope: Scope, keep_alive: bool) -> None:
        self._connection, self.scope, self.keep_alive = connection, scope, keep_alive
        self.body: bytes | bytearray = b""
        self.whole = self.gone = False
        self.cycle: RequestResponseCycle | None = None
        self.asking: Asking | None = None

    @property
    def congested(self) -> bool:
        """Whether its sender reads so slowly that answers pile up."""
        return self._connection.congested

    @property
    def usual_headers(self) -> Headers:
        """Those of every answer; another list when they have changed."""
        return self._connection.usual_headers

    def reply(self, answer: bytes) -> None:
        """A whole answer, with head."""
        self._connection.reply(self, answer)

    def decline(self) -> None:
        """The application answers it."""
        self._connection.run(self)
