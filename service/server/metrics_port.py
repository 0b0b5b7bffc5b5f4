"""The port on which a process that serves nothing else answers /metrics: `tsuika work --metrics-port`."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any

from service.api import problems
from service.api.access.keyring import Keyring
from service.errors import ImpossibleSettings, NotFound, TsuikaError
from service.registry.sql import unopened
from service.runtime import Runtime
from service.server.listening import EVERY_ANSWER, address
from service.telemetry import metrics, process

log = logging.getLogger("tsuika")

PATIENCE_SECONDS = 5.0
"""A request that takes longer, with its answer, is cut off: others wait behind it."""


@contextmanager
def answering(runtime: Runtime) -> Iterator[int]:
    """Answers while the block runs; gives the port. Raises ImpossibleSettings where the port cannot be had, or others
    would get in without a key."""
    settings = runtime.settings
    settings.check_door(unopened.any_key(settings.database_url))
    try:
        server = _Server(runtime)
    except OSError as error:
        raise ImpossibleSettings(
            f"The port {settings.metrics_port} of metrics cannot be had: {error.strerror}. Name another one in "
            "TSUIKA_METRICS_PORT, or another address in TSUIKA_HOST."
        ) from None
    with server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        log.info("metrics at %s/metrics", address(settings, server.socket))
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class _Asked(BaseHTTPRequestHandler):
    """One request: others wait for its end."""

    server: _Server

    def setup(self) -> None:
        super().setup()
        self._end = threading.Timer(PATIENCE_SECONDS, _cut_off, [self.connection])
        self._end.start()

    def finish(self) -> None:
        self._end.cancel()
        super().finish()

    def do_GET(self) -> None:
        try:
            self._send(200, metrics.MEDIA, self._figures())
        except TsuikaError as error:
            status, body, headers = problems.problem(error, "metrics")
            self._send(status, *_encoded(body), headers)

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what is no request, and what http.server finds no method for, as a problem."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            sentence = "The figures are read by GET or HEAD, and nothing else is here."
            body = problems.plain_problem(405, "method-not-allowed", "No such call", sentence, "metrics")
            self._send(405, *_encoded(body), [(b"allow", b"GET, HEAD")])
        else:
            sentence = f"{message or HTTPStatus(code).phrase}. Ask as HTTP does."
            body = problems.plain_problem(code, "bad-request", "This is no request", sentence, "metrics")
            self._send(code, *_encoded(body))

    def _figures(self) -> bytes:
        """The figures that the caller may see. Raises Unauthorized, ForbiddenHost, TooMany, NotFound."""
        runtime, keyring = self.server.runtime, self.server.keyring
        keyring.refresh()
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        caller = keyring.admit({"method": "GET", "path": "/metrics", "headers": headers})
        if self.path.partition("?")[0] != "/metrics":
            raise NotFound("There is nothing at this address. The figures are at /metrics.")
        families = [*process.families(runtime.settings.data), *metrics.counted()]
        return metrics.text_of(families if caller.models is None else metrics.of_models(families, caller.sees)).encode()

    def _send(self, status: int, media: str, data: bytes, more: problems.Headers | None = None) -> None:
        self.send_response_only(status)
        of_body = [("content-type", media), ("content-length", str(len(data))), ("connection", "close")]
        for name, value in [("date", self.date_time_string()), *EVERY_ANSWER, *of_body]:
            self.send_header(name, value)
        for field, content in more or ():
            self.send_header(field.decode(), content.decode())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass  # a scrape each few seconds is no news


class _Server(TCPServer):
    """On an address of either family. HTTPServer would ask the network for the name of the host, and wait for that."""

    allow_reuse_address = True

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.keyring = runtime, Keyring(runtime.database, runtime.settings)
        host, port = runtime.settings.host, runtime.settings.metrics_port or 0
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        super().__init__((str(place[0]), port), _Asked)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # who asked is gone, or was cut off
            log.warning("a request for metrics failed", exc_info=True)


def _encoded(body: dict[str, Any]) -> tuple[str, bytes]:
    """Media type and bytes of a problem."""
    media, data = problems.encoded_problem("/metrics", body)
    return media.decode(), data


def _cut_off(connection: socket.socket) -> None:
    with suppress(OSError):  # it has just ended
        connection.shutdown(socket.SHUT_RDWR)
