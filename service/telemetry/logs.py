"""The log of a process: one formatter, lines of text or of JSON, with the ids of what is at work and never with data.

Messages and fields name routes, ids, counts and reasons of ours. The message of an exception may quote a row, a class
or a parameter of a query, so only the messages of the system are written; of any other one its type and its frames are.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

from service.telemetry import tracing

LogFormat = Literal["text", "json"]
Ids = Mapping[str, str]

QUIET = ("alembic", "uvicorn.error", "httpx", "asyncio")
"""Loggers of libraries of which only warnings are of use."""
SPANS = "opentelemetry"
"""Its warnings are attempts that it repeats, with the whole address; its errors say that spans are lost."""
SYSTEM: tuple[type[BaseException], ...] = (OSError, MemoryError, RuntimeError)
"""Errors whose messages name files, addresses, shapes and states: those of the system, and of torch."""
DRIVERS = ("sqlite3", "psycopg")
"""Drivers of databases: what they say of an operation that failed names no value, of a statement it may."""
NOTHING: Ids = {}

_at_work: ContextVar[Ids] = ContextVar("tsuika.at_work", default=NOTHING)


def name_work(**ids: str) -> None:
    """Names what is at work from now on, in this task and in the threads that it asks."""
    _at_work.set(ids)


@contextmanager
def at_work(**ids: str) -> Iterator[None]:
    """Names what is at work while the block runs, in this thread."""
    before = _at_work.set(ids)
    try:
        yield
    finally:
        _at_work.reset(before)


def ids_at_work() -> Ids:
    """The ids of what is at work: request, update, model."""
    return _at_work.get()


def set_up(form: LogFormat, process: str, every_request: bool = False) -> None:
    """Sends all logs of this process to standard error, unless somebody takes them already. `process`: what it does ·
    `every_request`: with a line for each request, else for those that failed or took long."""
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(form, process))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(SPANS).setLevel(logging.ERROR)
    if every_request:
        logging.getLogger("tsuika.requests").setLevel(logging.DEBUG)
    sys.excepthook = _ended
    threading.excepthook = lambda error: _ended(error.exc_type, error.exc_value, error.exc_traceback)


class Formatter(logging.Formatter):
    """Writes a record as a line: text, or an object of JSON. A record may bring `fields` of its own."""

    def __init__(self, form: LogFormat, process: str) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._process, self._json = process, form == "json"

    def format(self, record: logging.LogRecord) -> str:
        return self._object(record) if self._json else self._text(record)

    def formatException(self, ei: Any) -> str:
        """As usual, without the messages that may quote data."""
        return "\n".join(line for error in _chain(ei[1]) for line in (*_frames(error), _named(error)))

    def _text(self, record: logging.LogRecord) -> str:
        first, line, rest = super().format(record).partition("\n")
        ids = [f"{name}={value}" for name, value in ids_at_work().items() if value not in first]
        return f"{first} [{' '.join(ids)}]{line}{rest}" if ids else f"{first}{line}{rest}"

    def _object(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
            **_trace(),
            **ids_at_work(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = [{"type": _named(e), "frames": _frames(e)} for e in _chain(record.exc_info[1])]
        return json.dumps(line)


def _trace() -> Ids:
    place = tracing.traceparent()
    return {} if place is None else {"trace_id": place.split("-")[1]}


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and those that it came from, first cause first."""
    errors: list[BaseException] = []
    while error is not None and error not in errors:
        errors.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return errors[::-1]


def _frames(error: BaseException) -> list[str]:
    """Where it went, the outermost call first: file, line and function, without the text of the line."""
    return [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]


def _named(error: BaseException) -> str:
    """Its type, and its message where that cannot quote data."""
    kind, driver = type(error), type(error).__module__.partition(".")[0] in DRIVERS
    if isinstance(error, SYSTEM) or (driver and kind.__name__ == "OperationalError"):
        return f"{kind.__module__}.{kind.__qualname__}: {error}"
    return f"{kind.__module__}.{kind.__qualname__}"


def _ended(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Logs an exception that nobody caught, as Python would print it."""
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger("tsuika").critical("nobody caught an error", exc_info=error)
