"""Spans by OpenTelemetry (the extra `otel`), which nothing else imports; sent by OTLP over HTTP.

Sampling, endpoint, headers, and the name of the service come from the usual variables OTEL_...
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from service import __version__

HEADER = "traceparent"


class OpenTelemetry:
    """Makes spans by a provider."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tsuika", __version__)
        self._places = TraceContextTextMapPropagator()

    @classmethod
    def exporting(cls, process: str) -> OpenTelemetry:
        """With a provider that sends spans, from a thread of its own."""
        facts = {"service.version": __version__, "tsuika.process": process}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            facts["service.name"] = "tsuika"
        provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)  # it would wait for long
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    @contextmanager
    def span(self, name: str, parent: str | None, asked: bool) -> Iterator[_Span]:
        """See `Tracer`. An exception marks the span; its message may quote data and is not told."""
        within: context.Context | None = self._places.extract({HEADER: parent}) if parent is not None else None
        kind = SpanKind.SERVER if asked else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name, within, kind, record_exception=False, set_status_on_exception=False
        ) as made:
            span = _Span(made)
            try:
                yield span
            except Exception as error:
                span.tell(failed=True, error__type=type(error).__qualname__)
                raise

    def traceparent(self) -> str | None:
        """See `Tracer`."""
        carrier: dict[str, str] = {}
        self._places.inject(carrier)
        return carrier.get(HEADER)

    def end(self, seconds: float) -> None:
        """See `Tracer`. A collector that does not answer would hold the process up for half a minute."""
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(seconds)


class _Span:
    """See `tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, name: str | None = None, failed: bool = False, **facts: AttributeValue) -> None:
        if name is not None:
            self._span.update_name(name)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        for fact, value in facts.items():
            self._span.set_attribute(fact.replace("__", "."), value)
