"""Spans, and that nothing is imported for them unless somebody asks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.errors import ImpossibleSettings
from service.telemetry import tracing
from service.telemetry.spans import OpenTelemetry

PLACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Spans that have ended, in place of sending them."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", OpenTelemetry(provider))
    yield exporter
    provider.shutdown()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_spans_stand_within_one_another_and_within_the_place_that_came_in(ended: InMemorySpanExporter) -> None:
    with tracing.span("POST", PLACE, asked=True) as request:
        request.tell("POST /v1/models", http__route="/v1/models", http__response__status_code=201)
        kept = tracing.traceparent()
        with tracing.span("inside"):
            pass
    with tracing.span("update", kept):
        pass
    assert tracing.traceparent() is None
    spans = by_name(ended)
    request_span = spans["POST /v1/models"]
    assert request_span.kind is SpanKind.SERVER
    assert request_span.attributes == {"http.route": "/v1/models", "http.response.status_code": 201}
    assert f"{request_span.parent.span_id:x}" == "b7ad6b7169203331"
    for child in ("inside", "update"):
        parent = spans[child].parent
        assert (parent.span_id, parent.trace_id) == (request_span.context.span_id, request_span.context.trace_id)
    assert kept.split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


def test_of_an_exception_a_span_has_the_type_alone(ended: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError), tracing.span("learn"):
        raise KeyError("a class of theirs")
    span = by_name(ended)["learn"]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {"error.type": "KeyError"}
    assert "theirs" not in span.to_json()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "shop"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_imported_unless_somebody_asks_for_spans(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "service.telemetry.spans", None)  # its import would raise
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.start("serve", environment)
    assert not tracing.on()
    with tracing.span("POST") as span:
        span.tell("POST /v1/models", http__route="/v1/models")
    assert tracing.traceparent() is None


@pytest.mark.parametrize(("exporters", "on"), [("otlp, console", True), ("console", False)])
def test_what_would_take_spans_in_another_way_is_named(
    exporters: str, on: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.start("serve", {"OTEL_TRACES_EXPORTER": exporters})
    assert tracing.on() is on
    tracing.end(1.0)
    assert [record.message for record in caplog.records] == [
        "OTEL_TRACES_EXPORTER names console, which Tsuika has not: spans go by otlp alone"
    ]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_who_asks_for_spans_without_the_packages_is_told_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "service.telemetry.spans", None)
    with pytest.raises(ImpossibleSettings, match=r"pip install -e '\.\[otel\]'"):
        tracing.start("serve", {name: "http://collector:4318"})


def test_a_process_ends_though_nobody_takes_its_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    class Deaf(SimpleSpanProcessor):
        def shutdown(self) -> None:
            assert answered.wait(60)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Deaf(InMemorySpanExporter()))
    monkeypatch.setattr(tracing, "_tracer", OpenTelemetry(provider))
    tracing.end(0.01)
    assert not answered.is_set()
    answered.set()
