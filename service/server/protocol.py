"""The protocol of a connection: requests are answered one after the other, and idle connections are closed.

It stands between the parser in `incoming` and uvicorn's ASGI cycle. A request with a short body is answered once it is
whole, any other as soon as its head is. The fast path answers what it takes without a task or a cycle, the application
all else; a request that repeats the head of the latest one that the fast path took needs no parser. Pipelined requests
wait for the answers before theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, cast

from starlette.types import Scope
from uvicorn import Config
from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from service.api import problems
from service.api.limits import connections
from service.api.limits.connections import CLOSING_SECONDS, Bounds, Place
from service.api.limits.request_checks import CONTENT_LENGTH, header
from service.server import unreadable
from service.server.exchange import Request, RequestHandler
from service.server.flow import UNTAKEN_BYTES, Flow, IdleTimer, LongBodies, UnreadWatch
from service.server.incoming import Incoming
from service.server.known_heads import MOST_DIGITS, KnownHead, known_by, read_again
from service.server.unreadable import Unreadable, last_answer
from service.telemetry.requests import UNREAD, of_route

log = logging.getLogger("tsuika.requests")

SHORT_BODY_BYTES = 64 * 1024
"""Longest body that must be whole before its request is answered."""
PIECE_BYTES = 16 * 1024
"""Bytes that are parsed at once. So many of a head may pass uncounted until it is whole."""
MOST_WAITING = 32
"""Pipelined requests that are read before the first is answered; the rest of a piece comes on top."""


class HttpProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.app: Any = config.loaded_app
        self.server_state = server_state
        self.loop = _loop or asyncio.get_event_loop()
        self._bounds, self._keep_alive = bounds or Bounds(), config.timeout_keep_alive
        self._state, self._root_path = app_state, config.root_path
        self._asgi = {"version": config.asgi_version, "spec_version": "2.3"}
        self._timer = IdleTimer(self.loop, self._on_timeout)
        self._reading: Request | None = None  # the one whose body is arriving
        self._answering: Request | None = None
        self._waiting: deque[Request] = deque()  # pipelined, in their order
        self._unread = b""
        self._known: KnownHead | None = None  # the head of the latest request that the fast path took
        self._taken: Request | None = None  # that request, while its bytes are parsed
        self._refusal = b""  # the last answer of the connection, after those to readable requests
        self._ignores_input = False
        self._unsent = 0  # bytes of answers that waited when the timer fired last

    # calls of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.flow, self._unread_watch = Flow(self.transport), UnreadWatch(self.loop, self.transport)
        usual = {
            "type": "http",
            "asgi": self._asgi,
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "https" if is_ssl(self.transport) else "http",
            "root_path": self._root_path,
        }
        self._incoming = Incoming(self, usual, self._state)
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        place = self._bounds.place(cast("set[HttpProtocol]", self.server_state.connections))
        if place is Place.NONE:
            self.transport.abort()
        else:
            if place is Place.SPARE:
                self.app = self.app.full
            self._timer.expect(self._bounds.seconds_of_head(place))

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)
        self._ignores_input, self._unread = True, b""
        self._timer.end()
        self.resume_writing()
        left = self._answering
        self._answering = self._reading = None
        self._waiting.clear()
        if left is not None:
            left.gone = True
            if left.pending is not None:
                left.pending.leave()
            elif left.cycle is not None:
                left.cycle.disconnected = True
                left.cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._ignores_input:
            return
        if self._incoming.within or self._unread or self._answering is not None or self._waiting:
            self._read(self._unread + data if self._unread else data)
        elif self._known is None or not self._is_known(data, self._known):
            self._taken = None
            self._read(data)
            if self._taken is not None:
                self._known, self._taken = known_by(data, self._taken.scope), None

    def pause_writing(self) -> None:
        """Called when the client takes answers more slowly than they come: from here on it is watched."""
        self.flow.pause_writing()
        self._bounds.unsent.waits(self, self.transport.get_write_buffer_size())
        self._unread_watch.watch()

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        self._bounds.unsent.goes_on(self)
        self._unread_watch.stop()

    def shutdown(self) -> None:
        """Closes the connection after the requests that have arrived are answered."""
        last = self._waiting[-1] if self._waiting else self._answering
        if last is None:
            self.transport.close()
        else:
            last.keep_alive = False
            if last.cycle is not None:
                last.cycle.keep_alive = False

    # limits

    @property
    def waits_since(self) -> float | None:
        """Since when the connection has had no whole request; None while it has one."""
        return self._timer.since if self._answering is None or not self._answering.whole else None

    def give_way(self) -> None:
        """Aborts: there are too many connections."""
        self.server_state.connections.discard(self)
        self.transport.abort()

    def cut_off(self) -> None:
        """Aborts: others need the memory of its unsent answers."""
        self.transport.abort()

    def _on_timeout(self) -> None:
        """Closes the connection, or answers that the request came too slowly."""
        unsent, before = self.transport.get_write_buffer_size(), self._unsent
        self._unsent = unsent
        if unsent and unsent != before:  # the client is still reading
            self._timer.expect(connections.UNREAD_SECONDS)
        elif unsent or self._ignores_input or self.transport.is_closing():
            self.transport.abort()
        elif self._incoming.within and (not self._incoming.headed or self._is_awaited(self._reading)):
            self._refuse(unreadable.too_slow(self._incoming.headed))
        else:
            self.transport.close()

    # input

    def _is_known(self, data: bytes, known: KnownHead) -> bool:
        """Whether the data is one whole request that repeats the known head; if so, answers it. The parser's state does
        not change."""
        body = read_again(data, known)
        if body is None:
            return False
        self._answering = request = Request(self, known.scope, keep_alive=True)
        request.body, request.whole = body, True
        self._begin(request)
        return True

    def _read(self, data: bytes) -> None:
        """Parses piece by piece, until too many requests wait."""
        start = 0
        while start < len(data) and len(self._waiting) < MOST_WAITING:
            piece = data[start : start + PIECE_BYTES]  # what is short is not copied
            start += PIECE_BYTES
            try:
                self._incoming.parse(piece)
            except Unreadable as error:
                self._refuse(error)
                return
            if not self._incoming.within or not self._incoming.fresh:
                continue
            if not self._incoming.headed:
                self._timer.expect(self._bounds.head_seconds)
            elif self._is_awaited(self._reading):
                self._timer.expect(self._bounds.body_seconds)
        self._unread = data[start:]

    def begins(self, scope: Scope, keep_alive: bool) -> None:
        """Takes a request whose head is whole."""
        self._timer.until = None
        self._reading = request = Request(self, scope, keep_alive)
        if self._answering is None and not self._waiting:
            self._turn_of(request)
        else:
            self._waiting.append(request)
            self.flow.hold()

    def brings(self, body: bytes) -> None:
        request = self._reading
        assert request is not None
        cycle = request.cycle
        if cycle is None:
            request.body = request.body + body if request.body else body
        elif not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > UNTAKEN_BYTES:
                self.flow.pause_reading()
            cycle.message_event.set()

    def ends(self) -> None:
        request = self._reading
        assert request is not None
        self._reading = None
        request.whole = True
        cycle = request.cycle
        if cycle is not None:
            cycle.more_body = False
            cycle.message_event.set()
        elif request is self._answering:
            self._begin(request)

    # answers

    @property
    def congested(self) -> bool:
        """Whether the client reads so slowly that answers pile up."""
        return self.flow.write_paused

    @property
    def usual_headers(self) -> problems.Headers:
        """The headers of every answer; a new list object when they have changed."""
        return self.server_state.default_headers

    def _turn_of(self, request: Request) -> None:
        """Answers a request next: now, or once its body is whole if that is short."""
        self._answering = request
        if request.whole or not _is_short(request.scope):
            self._begin(request)

    def _is_awaited(self, request: Request | None) -> bool:
        """Whether a request waits only for the rest of its body."""
        return request is not None and request is self._answering and not request.whole and request.cycle is None

    def _begin(self, request: Request) -> None:
        self._timer.until = None
        fast_path: RequestHandler | None = self.app.fast_path
        if fast_path is None or not request.whole or not fast_path.takes(request):
            self.run(request)
        elif request.keep_alive and request.cycle is None:
            self._taken = request

    def run(self, request: Request) -> None:
        """Lets the application answer a request, in a task. Its scope is the application's from then on."""
        self._known = None
        cycle = _Cycle(
            scope=cast(HTTPScope, request.scope),
            transport=self.transport,
            flow=self.flow,
            logger=log,
            access_logger=log,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=request.scope["http_version"] != "1.0"
            and (header(request.scope, b"expect") or "").lower() == "100-continue",
            keep_alive=request.keep_alive,
            on_response=self._answered,
        )
        cycle.body, request.body = bytearray(request.body), b""
        cycle.more_body = not request.whole
        if not request.whole:
            self.transport.set_protocol(LongBodies(self))
        if cycle.body or request.whole:
            cycle.message_event.set()
        request.cycle = cycle
        task = self.loop.create_task(cycle.run_asgi(cast(ASGI3Application, self.app)))
        task.add_done_callback(self.server_state.tasks.discard)
        self.server_state.tasks.add(task)

    def reply(self, request: Request, answer: bytes) -> None:
        """Writes a whole answer, with its head."""
        if request.gone:
            return
        self.transport.write(answer)
        if not request.keep_alive:
            self.transport.close()
        self._answered()

    def _answered(self) -> None:
        self.server_state.total_requests += 1
        self._answering = None
        if self.transport.is_closing():
            self._timer.expect(connections.UNREAD_SECONDS)
        elif self._waiting or self._unread:
            self.loop.call_soon(self._next)  # by the loop, so that many quick answers do not recurse
        elif self._refusal:
            self._say_last(self._refusal)
        else:
            head_begun = self._incoming.within and not self._incoming.headed
            self._timer.expect(self._bounds.head_seconds if head_begun else self._keep_alive)
            self.flow.resume_reading()

    def _next(self) -> None:
        """Goes on with what waits after the latest answer."""
        if self.transport.is_closing():
            return
        if self._answering is None and self._waiting:
            self._turn_of(request := self._waiting.popleft())
            if self._is_awaited(request):
                self._timer.expect(self._bounds.body_seconds)
        if unread := self._unread:
            self._unread = b""
            self._read(unread)
        if not self._waiting and not self._unread:
            self.flow.release()

    # errors

    def _refuse(self, error: Unreadable) -> None:
        """Reports an error after the answers to readable requests, and ends the connection: where another request would
        begin is unknown."""
        log.info("a request was refused: %s", error.detail)
        of_route("", UNREAD).add(error.status, 0.0)
        self._ignores_input, self._unread = True, b""
        self._refusal = last_answer(error, self.server_state.default_headers)
        broken = self._reading if self._incoming.within and self._incoming.headed else None
        if broken is not None and broken.cycle is not None:  # the application answers it, or has answered
            begun, broken.cycle.disconnected = broken.cycle.response_started, True
            broken.cycle.message_event.set()
            self._answering = None
            self._say_last(b"" if begun else self._refusal)
            return
        if broken is not None and broken is self._answering:
            self._answering = None
        elif broken is not None:
            self._waiting.remove(broken)
        if self._answering is None and not self._waiting:
            self._say_last(self._refusal)

    def _say_last(self, answer: bytes) -> None:
        """Writes the last answer, then discards input for a moment: a client that is still sending might not see it."""
        self._ignores_input = True
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.write_eof()
            self.flow.release()
        self._timer.expect(CLOSING_SECONDS)


class _Cycle(RequestResponseCycle):
    """One answer of the application."""

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message.get("headers", ())}
            if b"cache-control" in own:  # a file that browsers may keep
                self.default_headers = [field for field in self.default_headers if field[0] not in own]
        await super().send(message)


def _is_short(scope: Scope) -> bool:
    """Whether the body is short by its Content-Length, or there is none."""
    length = header(scope, CONTENT_LENGTH)
    if length is None:
        return header(scope, b"transfer-encoding") is None
    return len(length) <= MOST_DIGITS and int(length) <= SHORT_BODY_BYTES and header(scope, b"expect") is None
