"""Reads the requests of a connection piece by piece, within limits and by the rules of RFC 9112.

httptools parses the bytes; here they become the scope of a request.
"""

from __future__ import annotations

import logging
import urllib.parse
from typing import Any, Protocol

import httptools
from starlette.types import Scope

from service.api.limits.connections import HEAD_BYTES
from service.api.limits.request_checks import HOST
from service.server import unreadable
from service.server.unreadable import Unreadable

log = logging.getLogger("tsuika.requests")

CHUNK_BYTES = 16
"""Bytes allowed for the frame of a chunk: its length in digits, and two ends of lines."""
VERSIONS = ("1.0", "1.1")
OTHER_VERSIONS = ("Invalid HTTP version", "Pause on PRI/Upgrade")
"""The parser's messages for an unknown version, and for the first line of HTTP/2."""


class Receiver(Protocol):
    """Takes requests part by part."""

    def begins(self, scope: Scope, keep_alive: bool) -> None:
        """Takes a whole head. keep_alive: more requests may follow on the connection."""

    def brings(self, body: bytes) -> None:
        """Takes the next bytes of the body."""

    def ends(self) -> None:
        """Takes the end of the body."""


class Incoming:
    """The reading end of one connection.

    usual: entries of every scope. within: the parser is inside a message. headed: and after its head.
    fresh: a message or its body began in the latest piece.
    """

    def __init__(self, receiver: Receiver, usual: dict[str, Any], state: dict[str, Any]) -> None:
        self._receiver, self._usual, self._state = receiver, usual, state
        self._root_path: str = usual["root_path"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.headers: list[tuple[bytes, bytes]] = []
        self.within = self.headed = self.fresh = False
        self._url = b""
        self._carried = self._extra = 0  # bytes of bodies in this piece; bytes of heads and frames before
        self._trailers = 0  # bytes
        self._hosts: list[bytes] | None = None  # of the latest request

    def parse(self, piece: bytes) -> None:
        """Parses the next piece. Raises Unreadable."""
        self.fresh, self._carried = False, 0
        try:
            self._feed(piece)
        except httptools.HttpParserCallbackError as error:
            raise _reason(error.__context__) from None
        except httptools.HttpParserError as error:
            raise unreadable.other_version() if str(error) in OTHER_VERSIONS else unreadable.broken() from None
        # The whole piece belongs to one head, or to one body and its frames. Pieces in which one begins or ends are not
        # counted here: a head is counted when it is whole, trailers to the byte.
        if self.within and not self.fresh:
            self._extra += len(piece) - self._carried
            if self._extra > HEAD_BYTES:
                raise unreadable.too_long(self.headed)

    def _feed(self, data: bytes) -> None:
        """Parses, and ignores offers of another protocol (`Upgrade: h2c`, which some clients send with every first
        request): this request and those after it go on."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self.parser = _after_upgrade(self)

    # called by the parser

    def on_message_begin(self) -> None:
        self.within = self.fresh = True
        self.headed, self._extra, self._trailers = False, 0, 0
        self._url, self.headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.headed:
            self.headers.append((name.lower(), value))
            return
        self._trailers += len(name) + len(value) + 4  # they are dropped
        if self._trailers > HEAD_BYTES:
            raise unreadable.too_long(headed=True)

    def on_headers_complete(self) -> None:
        if self._extra:  # it came in several pieces
            self._extra = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if self._extra > HEAD_BYTES:
                raise unreadable.too_long(headed=False)
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            raise unreadable.other_version()
        self._check_host(version)
        self.headed = self.fresh = True
        self._extra = 0
        self._receiver.begins(self._scope(version), version != "1.0" and self.parser.should_keep_alive())

    def on_chunk_header(self) -> None:
        self._carried += CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        self._carried += len(body)
        self._receiver.brings(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # the parser skips the body of such a request
        self.within = False
        self._receiver.ends()

    def _check_host(self, version: str) -> None:
        """Raises Unreadable unless there is one Host header, valid or empty; HTTP/1.0 may have none (RFC 9112, 3.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if hosts == self._hosts:
            return  # checked before
        if len(hosts) > 1:
            raise unreadable.broken(f"it has {len(hosts)} headers Host, and needs one")
        if not hosts and version != "1.0":
            raise unreadable.broken("it has no header Host, and needs one")
        if hosts and hosts[0] and not HOST.fullmatch(hosts[0].decode("latin-1")):
            raise unreadable.broken("its header Host names no host")
        self._hosts = hosts or None

    def _scope(self, version: str) -> Scope:
        url = self._url
        if url.startswith(b"/") and b"#" not in url:
            raw_path, _, query = url.partition(b"?")
        else:
            parts = httptools.parse_url(url)
            raw_path, query = parts.path or b"", parts.query or b""
        path = raw_path.decode("ascii")
        scope = self._usual.copy()
        scope["http_version"] = version
        scope["headers"] = self.headers
        scope["state"] = self._state.copy()
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = self._root_path + (urllib.parse.unquote(path) if "%" in path else path)
        scope["raw_path"] = self._root_path.encode("ascii") + raw_path
        scope["query_string"] = query
        return scope


def _reason(error: BaseException | None) -> Unreadable:
    """The error to report for one that a callback of the parser raised."""
    if isinstance(error, Unreadable):
        return error
    if isinstance(error, (UnicodeDecodeError, httptools.HttpParserError)):
        return unreadable.broken()
    log.error("a connection failed", exc_info=error)
    return unreadable.fault()


class _AfterUpgrade:
    """Callbacks of a parser that begins in the middle: they skip the head that it is fed, and pass on all after it."""

    def __init__(self, incoming: Incoming) -> None:
        self.skipping = True
        self.on_body, self.on_message_complete = incoming.on_body, incoming.on_message_complete
        self.on_chunk_header = incoming.on_chunk_header
        self._incoming = incoming

    def on_message_begin(self) -> None:
        if not self.skipping:
            self._incoming.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.skipping:
            self._incoming.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.skipping:
            self._incoming.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.skipping:
            self._incoming.on_headers_complete()


def _after_upgrade(incoming: Incoming) -> httptools.HttpRequestParser:
    """Makes a parser for the bytes after the head of the latest request: its body, as the head frames it, and more."""
    callbacks = _AfterUpgrade(incoming)
    parser = httptools.HttpRequestParser(callbacks)
    kept = (b"content-length", b"transfer-encoding")
    framing = b"".join(b"%b: %b\r\n" % header for header in incoming.headers if header[0] in kept)
    incoming.parser = parser  # now: an empty body ends at once
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
    callbacks.skipping = False
    return parser
