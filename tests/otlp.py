"""A receiver of spans, as OpenTelemetry sends them: OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """A span as it arrived. `process`: what its resource calls the process."""

    name: str
    trace: str
    id: str
    parent: str
    process: str
    facts: dict[str, Any]


@dataclass
class Receiver:
    """Listens on loopback."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        message = ExportTraceServiceRequest.FromString(data)
        for resource in message.resource_spans:
            of_process = _facts(resource.resource.attributes)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    self.spans.append(Received(span.name, *ids, of_process["tsuika.process"], _facts(span.attributes)))


def _facts(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """While the block runs."""
    receiver = Receiver()

    class Asked(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.take(gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Asked) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()
