"""Connections: heads and bodies within bounds, requests in their order, and an end for whoever keeps still.

httptools reads, uvicorn's cycle speaks ASGI; between them stands this protocol. A request whose body is short begins to
be answered when it is whole, any other as soon as its head is. The express answers what it takes without a task or a
cycle, the application all else; a request that begins as the latest one that it took needs no parser. What a sender
sends ahead of the answers waits for those before it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import urllib.parse
from collections import deque
from typing import Any, Protocol, cast

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from service.api import problems
from service.api.connections import CLOSING_SECONDS, HEAD_BYTES, Bounds, Place
from service.api.limits import CONTENT_LENGTH, HEADERS, USUAL, Scope, header
from service.api.offers import behind

log = logging.getLogger("tsuika.requests")

SHORT_BODY_BYTES = 64 * 1024
"""A body that says to be no longer is waited for before its request begins to be answered."""
PIECE_BYTES = 16 * 1024
"""What is read at once; the same of a head is not counted until it is whole."""
MOST_WAITING = 32
"""Of the requests that a sender sends at once so many are read before the first is answered, and those of a piece."""
MOST_DIGITS = 8
REFUSALS = {
    400: ("broken-request", "The request is not HTTP"),
    408: ("too-slow", "The request came too slowly"),
    431: ("head-too-large", "The head is too large"),
    500: ("internal", "Something went wrong here"),
}
"""What the connection itself refuses: slug and title of the problem."""
UNREAD_SECONDS, UNREAD_BYTES = 30.0, 32 * 1024
"""Of an answer that waits to be taken, so many bytes must go in so long: else nobody reads it, or nobody in earnest."""
CHUNK_BYTES = 16
"""What the frame of a chunk may take: its length in digits, and two ends of lines."""


END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,8})(?=\r\n)", re.IGNORECASE)
Known = tuple[bytes, bytes, Scope, int]
"""What stands before and behind the digits of a Content-Length in a head, its scope, and the place of that header."""
LONG_HEAD, LONG_FRAMES = "Send less; rows belong into the body.", "Leave them out, or declare Content-Length."
SLOW_HEAD, SLOW_BODY = "Send it at once.", "Send it faster, or in parts."
"""What to do about a request that is too long, or too slow."""
UNREADABLE = "This cannot be read as a request: it is not HTTP/1.1."


class _TooLong(Exception):
    """A head that is whole, and longer than it may be."""


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


class Request:
    """One request. body: as much as came while nobody asked for it · whole: it is all there · cycle: of the
    application, once that answers · asking: of the express, while that does."""

    __slots__ = ("__weakref__", "_wire", "asking", "body", "cycle", "gone", "keep_alive", "scope", "whole")

    def __init__(self, wire: Wire, scope: Scope, keep_alive: bool) -> None:
        self._wire, self.scope, self.keep_alive = wire, scope, keep_alive
        self.body: bytes | bytearray = b""
        self.whole = self.gone = False
        self.cycle: RequestResponseCycle | None = None
        self.asking: Asking | None = None

    @property
    def congested(self) -> bool:
        """Whether its sender reads so slowly that answers pile up."""
        return self._wire.flow.write_paused

    @property
    def usual_headers(self) -> problems.Headers:
        """Those of every answer; another list when they have changed."""
        return self._wire.server_state.default_headers

    def reply(self, answer: bytes) -> None:
        """A whole answer, with head."""
        self._wire.reply(self, answer)

    def decline(self) -> None:
        """The application answers it."""
        self._wire.run(self)


class Wire(asyncio.Protocol):
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
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.headers: list[tuple[bytes, bytes]] = []
        self._bounds, self._keep_alive = bounds or Bounds(), config.timeout_keep_alive
        self._state, self._root_path = app_state, config.root_path
        self._asgi = {"version": config.asgi_version, "spec_version": "2.3"}
        self._url = b""
        self._within = self._headed = False  # whether the parser is in a message, and behind its head
        self._fresh = False  # whether a message or its body began in this piece
        self._carried = self._extra = 0  # bytes of bodies in this piece; those of heads and frames in the pieces before
        self._reading: Request | None = None  # whose body is read
        self._answering: Request | None = None
        self._waiting: deque[Request] = deque()  # behind it, in their order
        self._unread = b""
        self._known: Known | None = None  # what the latest request that the express took began with
        self._taken: Request | None = None  # that request, while it is read
        self._refusal = b""  # the last answer of the connection, behind those to what could be read
        self._deaf = False  # nothing more is read
        self._since: float | None = None  # when the sender had done something, or was answered
        self._until: float | None = None  # when the sender must have done something, on the clock of the loop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._unsent = 0
        self._pace: asyncio.TimerHandle | None = None  # looks whether what waits to be taken is being taken

    # of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.flow = _Flow(self.transport)
        self._server, self._client = get_local_addr(self.transport), get_remote_addr(self.transport)
        self._scheme = "https" if is_ssl(self.transport) else "http"
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        place = self._bounds.place(cast("set[Wire]", self.server_state.connections))
        if place is Place.NONE:
            self.transport.abort()
        else:
            if place is Place.SPARE:
                self.app = self.app.full
            self._expect(self._bounds.seconds_of_head(place))

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)
        self._deaf, self._until, self._unread = True, None, b""
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        left = self._answering
        self._answering = self._reading = None
        self._waiting.clear()
        if left is not None:
            left.gone = True
            if left.asking is not None:
                left.asking.leave()
            elif left.cycle is not None:
                left.cycle.disconnected = True
                left.cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._within or self._unread or self._answering is not None or self._waiting:
            self._read(self._unread + data if self._unread else data)
        elif self._known is None or not self._known_again(data, *self._known):
            self._taken = None
            self._read(data)
            if self._taken is not None:
                self._known, self._taken = _known_by(data, self._taken.scope), None

    def pause_writing(self) -> None:
        """The transport has more to write than the other side takes at once: from here on its pace is looked at."""
        self.flow.pause_writing()
        self._bounds.unsent.waits(self, self.transport.get_write_buffer_size())
        self._look_later()

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        self._bounds.unsent.goes_on(self)
        if self._pace is not None:
            self._pace.cancel()

    def cut_off(self) -> None:
        """Others need the memory that its answers wait in."""
        self.transport.abort()

    def _look_later(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._pace = self.loop.call_later(UNREAD_SECONDS, self._look_at_reader, waiting)

    def _look_at_reader(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < UNREAD_BYTES:
            self.transport.abort()  # a close would wait for it
        else:
            self._look_later()

    def shutdown(self) -> None:
        """The process stops: what is asked is answered, and no more."""
        last = self._waiting[-1] if self._waiting else self._answering
        if last is None:
            self.transport.close()
        else:
            last.keep_alive = False
            if last.cycle is not None:
                last.cycle.keep_alive = False

    # of time

    @property
    def waits_since(self) -> float | None:
        """Since when its sender has asked nothing that is whole; None where something is."""
        return self._since if self._answering is None or not self._answering.whole else None

    def give_way(self) -> None:
        """There are too many connections."""
        self.server_state.connections.discard(self)
        self.transport.abort()

    def _expect(self, seconds: float) -> None:
        """Something must have happened by then; one timer looks whether it has."""
        self._since = now = self.loop.time()
        self._until = until = now + seconds
        if self._timer is None or self._timer_at > until:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = until
            self._timer = self.loop.call_at(until, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._until is None:
            return  # something is being answered: its end sets the timer
        if self._until > self.loop.time():
            self._timer_at, self._timer = self._until, self.loop.call_at(self._until, self._look)
            return
        unsent, before = self.transport.get_write_buffer_size(), self._unsent
        self._unsent = unsent
        if unsent and unsent != before:  # the sender may still read
            self._expect(UNREAD_SECONDS)
        elif unsent or self._deaf or self.transport.is_closing():
            self.transport.abort()
        elif self._within and (not self._headed or self._is_awaited(self._reading)):
            part, remedy = ("body", SLOW_BODY) if self._headed else ("head", SLOW_HEAD)
            self._refuse(408, f"The {part} of this request was not whole in time. {remedy}")
        else:
            self.transport.close()

    # of what arrives

    def _known_again(self, data: bytes, before: bytes, behind: bytes, scope: Scope, place: int) -> bool:
        """Whether this is one whole request that begins as the known one did, but for its length, as senders
        that keep a connection send them. No parser has to read it: the next one finds it as it was."""
        end = data.find(b"\r\n", len(before), len(before) + MOST_DIGITS + 2)
        length = data[len(before) : end]
        body = end + len(behind)
        if not data.startswith(before) or not data.startswith(behind, end) or not length.isdigit():
            return False
        if len(data) != body + int(length):
            return False
        headers = scope["headers"].copy()
        headers[place] = (CONTENT_LENGTH, length)
        own = {"headers": headers, HEADERS: {**scope[HEADERS], CONTENT_LENGTH: length}, "state": self._state.copy()}
        request = Request(self, {**scope, **own}, keep_alive=True)
        request.body, request.whole = data[body:], True
        self._answering = request
        self._begin(request)
        return True

    def _read(self, data: bytes) -> None:
        """Reads on, piece by piece, until so many requests wait that these come first."""
        start = 0
        while start < len(data) and len(self._waiting) < MOST_WAITING:
            piece = data[start : start + PIECE_BYTES]  # what is short is not copied
            start += PIECE_BYTES
            if not self._parse(piece):
                return
        self._unread = data[start:]

    def _parse(self, piece: bytes) -> bool:
        """Whether there may be more of it."""
        self._fresh, self._carried = False, 0
        try:
            self._feed(piece)
        except httptools.HttpParserCallbackError as error:
            self._refuse_because(error.__context__)
            return False
        except httptools.HttpParserError:
            self._refuse(400, UNREADABLE)
            return False
        if not self._within:
            return True
        if not self._fresh:  # all of the piece is of one head, or of one body and its frames
            self._extra += len(piece) - self._carried
            if self._extra > HEAD_BYTES:
                self._refuse_long()
                return False
        elif not self._headed:
            self._expect(self._bounds.head_seconds)
        elif self._is_awaited(self._reading):
            self._expect(self._bounds.body_seconds)
        return True

    def _feed(self, data: bytes) -> None:
        """An offer of another protocol (`Upgrade: h2c`, which some clients make with every first request) is not taken:
        the request goes on as it is, and so do those behind it."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self.parser = behind(self)

    def on_message_begin(self) -> None:
        self._within = self._fresh = True
        self._headed, self._extra = False, 0
        self._url, self.headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:  # behind the body they are trailers, which nobody asked for
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._extra:  # it came in many pieces
            self._extra = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if self._extra > HEAD_BYTES:
                raise _TooLong
        self._headed = self._fresh = True
        self._extra, self._until = 0, None
        version = self.parser.get_http_version()
        request = Request(self, self._scope(version), version != "1.0" and self.parser.should_keep_alive())
        self._reading = request
        if self._answering is None and not self._waiting:
            self._turn_of(request)
        else:
            self._waiting.append(request)
            self.flow.hold()

    def _scope(self, version: str) -> Scope:
        url = self._url
        if url.startswith(b"/") and b"#" not in url:
            raw_path, _, query = url.partition(b"?")
        else:
            parts = httptools.parse_url(url)
            raw_path, query = parts.path or b"", parts.query or b""
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": self._asgi,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "root_path": self._root_path,
            "headers": self.headers,
            "state": self._state.copy(),
            "method": self.parser.get_method().decode("ascii"),
            "path": self._root_path + (urllib.parse.unquote(path) if "%" in path else path),
            "raw_path": self._root_path.encode("ascii") + raw_path,
            "query_string": query,
        }

    def on_chunk_header(self) -> None:
        self._carried += CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        self._carried += len(body)
        request = self._reading
        assert request is not None
        cycle = request.cycle
        if cycle is None:
            request.body = request.body + body if request.body else body
        elif not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # the parser skips the body of a request that offers another protocol
        request = self._reading
        assert request is not None
        self._within, self._reading = False, None
        request.whole = True
        cycle = request.cycle
        if cycle is not None:
            cycle.more_body = False
            cycle.message_event.set()
        elif request is self._answering:
            self._begin(request)

    # of answers

    def _turn_of(self, request: Request) -> None:
        """It is answered next: now, or when its body is whole if that is short."""
        self._answering = request
        if request.whole or not _is_short(request.scope):
            self._begin(request)

    def _is_awaited(self, request: Request | None) -> bool:
        """Whether it would be answered if its body were whole."""
        return request is not None and request is self._answering and not request.whole and request.cycle is None

    def _begin(self, request: Request) -> None:
        self._until = None
        express: Express | None = self.app.express
        if express is None or not request.whole or not express.takes(request):
            self.run(request)
        elif request.keep_alive:
            self._taken = request

    def run(self, request: Request) -> None:
        """The application answers it, in a task."""
        cycle = RequestResponseCycle(
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
        if cycle.body or request.whole:
            cycle.message_event.set()
        request.cycle = cycle
        task = self.loop.create_task(cycle.run_asgi(cast(ASGI3Application, self.app)))
        task.add_done_callback(self.server_state.tasks.discard)
        self.server_state.tasks.add(task)

    def reply(self, request: Request, answer: bytes) -> None:
        """A whole answer, with head."""
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
            self._expect(UNREAD_SECONDS)
        elif self._waiting or self._unread:
            self.loop.call_soon(self._next)  # answers that are there at once do not pile up on one another
        elif self._refusal:
            self._say_last(self._refusal)
        else:
            begun = self._within and not self._headed  # the next head
            self._expect(self._bounds.head_seconds if begun else self._keep_alive)
            self.flow.resume_reading()

    def _next(self) -> None:
        """What waits behind the latest answer."""
        if self.transport.is_closing():
            return
        if self._answering is None and self._waiting:
            self._turn_of(request := self._waiting.popleft())
            if self._is_awaited(request):
                self._expect(self._bounds.body_seconds)
        if unread := self._unread:
            self._unread = b""
            self._read(unread)
        if not self._waiting and not self._unread:
            self.flow.release()

    def _refuse_because(self, reason: BaseException | None) -> None:
        """What comes out of the handling of a part of a request."""
        if isinstance(reason, _TooLong):
            self._refuse_long()
        elif isinstance(reason, (UnicodeDecodeError, httptools.HttpParserError)):
            self._refuse(400, UNREADABLE)
        else:
            log.error("a connection failed", exc_info=reason)
            self._refuse(500, "The fault is ours, not yours. The log has the reason.")

    def _refuse_long(self) -> None:
        part, remedy = ("frames of the body", LONG_FRAMES) if self._headed else ("head", LONG_HEAD)
        told = f"The {part} of this request, with address and headers, may have {HEAD_BYTES:,} bytes. {remedy}"
        self._refuse(431, told)

    def _refuse(self, status: int, why: str) -> None:
        """Answer what cannot be read behind what could; then nobody knows where another request would begin."""
        log.info("a request was refused: %s", why)
        self._deaf, self._unread, self._refusal = True, b"", _last_words(self.server_state, status, why)
        broken = self._reading if self._within and self._headed else None
        if broken is not None and broken.cycle is not None:  # what the application answers, or has answered
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
        """Then read on for a moment and throw it away: a sender that is cut while it sends may never see the answer."""
        self._deaf = True
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.write_eof()
            self.flow.release()
        self._expect(CLOSING_SECONDS)


class _Flow(FlowControl):
    """As uvicorn's; while requests wait nothing more is read, whoever would."""

    _held = False

    def hold(self) -> None:
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._held:
            super().resume_reading()


def _known_by(data: bytes, scope: Scope) -> Known | None:
    """By what a request is known again that was read from these bytes, where they hold it and nothing else: a head up
    to the first empty line, in which its length stands once, and behind it so many bytes."""
    end = data.find(END) + len(END)
    lengths = list(LENGTH.finditer(data, 0, end))
    if len(lengths) != 1 or len(data) != end + int(lengths[0][1]):
        return None
    start, stop = lengths[0].span(1)
    kept = {name: told for name, told in scope.items() if not name.startswith("tsuika.") or name in (HEADERS, USUAL)}
    [place] = [k for k, (name, _) in enumerate(scope["headers"]) if name == CONTENT_LENGTH]
    return data[:start], data[stop:end], kept, place


def _is_short(scope: Scope) -> bool:
    """Whether the body comes whole, and soon: it says that it has few bytes, or there is none."""
    length = header(scope, CONTENT_LENGTH)
    if length is None:
        return header(scope, b"transfer-encoding") is None
    return len(length) <= MOST_DIGITS and int(length) <= SHORT_BODY_BYTES and header(scope, b"expect") is None


def _last_words(state: ServerState, status: int, why: str) -> bytes:
    slug, title = REFUSALS[status]
    media, data = problems.written("", problems.plain_problem(status, slug, title, why, "unread"))
    headers = [(b"content-type", media), (b"content-length", b"%d" % len(data)), (b"connection", b"close")]
    lines = [b"%b: %b\r\n" % line for line in (*state.default_headers, *headers)]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", data])
