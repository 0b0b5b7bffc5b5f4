"""Offers of another protocol (`Upgrade: h2c`), which some clients make with every first request, are not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from service.api.wire import Wire


class _Behind:
    """What a parser tells that begins in the middle: nothing of the head that it is given, everything from there on."""

    def __init__(self, protocol: Wire) -> None:
        self.skipping = True
        self.on_body, self.on_message_complete = protocol.on_body, protocol.on_message_complete
        self.on_chunk_header = protocol.on_chunk_header
        self._protocol = protocol

    def on_message_begin(self) -> None:
        if not self.skipping:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.skipping:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.skipping:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.skipping:
            self._protocol.on_headers_complete()


def behind(protocol: Wire) -> httptools.HttpRequestParser:
    """A parser for what follows the head of the protocol's request: its body, as the head frames it, and more."""
    told = _Behind(protocol)
    parser = httptools.HttpRequestParser(told)
    kept = (b"content-length", b"transfer-encoding")
    framing = b"".join(b"%b: %b\r\n" % header for header in protocol.headers if header[0] in kept)
    protocol.parser = parser  # the end of an empty body is told at once
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
    told.skipping = False
    return parser
