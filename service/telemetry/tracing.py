"""Spans from the request over the worker to the method, where OpenTelemetry is configured; else nothing is imported.

Configured means one of the standard variables: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or
otlp in OTEL_TRACES_EXPORTER. Where a span belongs to travels as `traceparent` (https://www.w3.org/TR/trace-context/):
it comes with a request, is kept with its update, and goes to the process that learns.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from service.errors import ImpossibleSettings

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Fact = str | int | float | bool

log = logging.getLogger("tsuika")


class Span(Protocol):
    """What happens for a while. Its attributes are ids, names and counts, never data."""

    def tell(self, name: str | None = None, failed: bool = False, **facts: Fact) -> None:
        """Gives it another name, marks that what it is of failed, and adds attributes; `__` in their names is a dot."""


class Tracer(Protocol):
    """Makes spans."""

    def span(self, name: str, parent: str | None, asked: bool) -> AbstractContextManager[Span]:
        """A span that lasts as long as the block, within that of the caller, or within `parent`, a traceparent.
        `asked`: whether it is a request of somebody else."""

    def traceparent(self) -> str | None:
        """Of the span at work."""

    def end(self, seconds: float) -> None:
        """Sends what is not sent yet, as far as that takes so long at most; makes no spans afterwards."""


class _NoSpan:
    def tell(self, name: str | None = None, failed: bool = False, **facts: Fact) -> None:
        pass


_NONE = _NoSpan()
_tracer: Tracer | None = None


def start(process: str, environment: Mapping[str, str] = os.environ) -> None:
    """Begins to make spans, if the environment says so. Raises ImpossibleSettings where the packages are not here."""
    global _tracer
    if not _configured(environment):
        return
    try:
        from service.telemetry.spans import OpenTelemetry
    except ImportError:
        raise ImpossibleSettings(
            "The variables OTEL_... ask for spans, and OpenTelemetry is not here: pip install -e '.[otel]'."
        ) from None
    _tracer = OpenTelemetry.exporting(process)


def end(seconds: float) -> None:
    """Sends the last spans of a process that ends, and waits so long at most for whoever takes them."""
    if _tracer is not None:
        _tracer.end(seconds)


def on() -> bool:
    return _tracer is not None


@contextmanager
def span(name: str, parent: str | None = None, asked: bool = False) -> Iterator[Span]:
    """A span that lasts as long as the block; nothing where none are made. `parent`, `asked`: as of `Tracer.span`."""
    if _tracer is None:
        yield _NONE
    else:
        with _tracer.span(name, parent, asked) as made:
            yield made


def traceparent() -> str | None:
    """The place of the span at work, for a process that goes on with it."""
    return None if _tracer is None else _tracer.traceparent()


def _configured(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporters = [name for part in environment.get("OTEL_TRACES_EXPORTER", "").split(",") if (name := part.strip())]
    if others := [name for name in exporters if name not in ("otlp", "none")]:
        log.warning("OTEL_TRACES_EXPORTER names %s, which Tsuika has not: spans go by otlp alone", ", ".join(others))
    return "otlp" in exporters or (not exporters and any(environment.get(name) for name in ENDPOINTS))
