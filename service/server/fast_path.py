"""The fast path: usual predictions are answered on the event loop without a task, in one write.

The application answers all other requests (another route, a header that asks for more, a long body, a version that is
not loaded) and reports the faults of invalid ones. Overload is refused here, since refusing must cost less than
answering.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api import problems
from service.api.bodies import prediction_bodies
from service.api.bodies.prediction_bodies import SMALL_BODY_BYTES
from service.api.context import Context, request_id
from service.api.limits import bodies, request_checks
from service.api.limits.request_checks import TRACE
from service.api.problems import Headers
from service.api.routes.predicting import predictions
from service.contract.keys import PREDICT
from service.errors import Busy, DeadlinePassed, TsuikaError
from service.intake.kinds.rows import NO_NAMES
from service.server.exchange import Request
from service.serving.answers import Answer, check_knows, is_long
from service.serving.kinds.kind import USUAL, RowAnswers
from service.serving.loaded_versions import Loaded
from service.telemetry import tracing
from service.telemetry.requests import MODEL_ERRORS, of_route

log = logging.getLogger("tsuika.requests")

HEAD = "tsuika.head"
"""In the scope: what `Head` says, which holds as long as the head is repeated."""


class Head(NamedTuple):
    """What the head of a usual prediction says: the model and the version (None: the live one) that it asks, the media
    type of its body, and the seconds that its sender waits, if it names them. It does not say who calls: a key may have
    been revoked since it was last shown."""

    model: str
    version: str | None
    media: str
    patience: float | None


class FastPath:
    """The fast path of a process. `open_requests` counts the requests that it is answering."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open_requests = 0
        self.figures = [of_route("POST", route) for route in predictions.ROUTES]
        self._refused: dict[type[TsuikaError], tuple[int, str]] = {}
        self._head: tuple[Headers, tuple[Any, ...], bytes] = ([], (), b"")

    def takes(self, request: Request) -> bool:
        """Takes a whole request if it is a usual prediction; it may be declined after all."""
        scope = request.scope
        try:
            head: Head | None = scope.get(HEAD) or self._read_head(scope)
            loaded = None if head is None else self._version(head, scope, len(request.body))
        except TsuikaError:
            return False
        if head is None or loaded is None:
            return False
        _Prediction(self, request, loaded).ask(head)
        return True

    def head(self, usual: Headers, own: tuple[int, bytes, *tuple[tuple[bytes, bytes], ...]]) -> bytes:
        """The first lines of an answer: status, `usual` headers, which change each second, media type and more headers.
        They are kept, since most answers repeat those of the one before. `own`: status, media type and more headers."""
        if self._head[0] is not usual or self._head[1] != own:
            status, media, *more = own
            headers = (*usual, (b"content-type", media), *more)
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._head = (usual, own, STATUS_LINE[status] + lines)
        return self._head[2]

    def log_refusal(self, error: TsuikaError) -> None:
        """Counts a refusal by its reason. What came within a second is logged in a line a reason: a line for each
        would take longer than the refusal, and fill a disk."""
        if not self._refused:
            asyncio.get_running_loop().call_later(1.0, self.log_refusals)
        count, _ = self._refused.get(type(error), (0, ""))
        self._refused[type(error)] = count + 1, error.detail

    def log_refusals(self) -> None:
        """Logs the refusals that were counted; as the process stops, those of the last second."""
        refused, self._refused = self._refused, {}
        for count, latest in refused.values():
            log.info("%d request%s refused: %s", count, "" if count == 1 else "s", latest)

    def _version(self, head: Head, scope: Scope, length: int) -> Loaded | None:
        """The version that answers a usual request; None where the application does. Raises TsuikaError for one that is
        refused."""
        context = self.context
        if not 0 < length <= SMALL_BODY_BYTES or context.health.stopping:
            return None
        context.keyring.admit(scope).require(PREDICT, head.model)
        loaded = context.runtime.live.ready(head.model, head.version)
        if loaded is not None:
            check_knows(loaded)
        return loaded

    def _read_head(self, scope: Scope) -> Head | None:
        """The head of a usual prediction; None for any other. Raises TsuikaError for one that is refused."""
        if scope["method"] != "POST" or (target := predictions.target(scope)) is None:
            return None
        if log.isEnabledFor(logging.DEBUG) or (tracing.on() and request_checks.header(scope, TRACE)):
            return None  # the application logs each, and makes spans
        bodies.check_content_type(scope)
        head = Head(*target, bodies.media_type(scope), prediction_bodies.patience(scope))
        scope[HEAD] = head
        return head


class _Prediction:
    """One request on the fast path. The batcher gives it the answer as it would give it to a future."""

    __slots__ = ("__weakref__", "_began", "_fast_path", "_loaded", "_names", "_notes", "_options", "_request")

    def __init__(self, fast_path: FastPath, request: Request, loaded: Loaded) -> None:
        self._fast_path, self._request, self._loaded = fast_path, request, loaded
        self._began = time.perf_counter()
        self._options, self._names = USUAL, NO_NAMES
        self._notes: Sequence[str] = ()
        request.pending = self
        fast_path.open_requests += 1

    def ask(self, head: Head) -> None:
        """Reads the question and submits it."""
        request, loaded, batcher = self._request, self._loaded, self._fast_path.context.batcher
        scope = request.scope
        try:
            batcher.admit(loaded.predictor)
            until = None if head.patience is None else asyncio.get_running_loop().time() + head.patience
            question = prediction_bodies.read_at_once(scope, head.media, bytes(request.body), loaded)
            if question is not None:
                self._options = loaded.settled(question.options, question.names)
                self._names, self._notes = question.names, question.notes
        except Busy as busy:
            self.refuse(busy)
            return
        except Exception:  # the application meets it again, and reports it
            question = None
        if question is not None and len(question.rows) > loaded.most_rows:
            question = None
        if question is not None and is_long(loaded, len(question.rows), self._options):
            scope[prediction_bodies.READ], question = question, None
        if question is None:
            self._decline()
            return
        batcher.submit(self, loaded.predictor, question.rows, self._options, until)

    def leave(self) -> None:
        """The client has disconnected."""
        self._end()

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._request.pending is None

    def set_result(self, result: RowAnswers, /) -> None:
        """Writes the answer, or leaves it to the application if the client reads too slowly."""
        if self._request.connection.congested:
            self._decline()
        else:
            self._write(Answer(self._loaded, result, self._options, self._names, self._notes))

    def set_exception(self, exception: Exception, /) -> None:
        """Refuses a question that is too late; the application reports faults of the rows."""
        if isinstance(exception, DeadlinePassed):
            self.refuse(exception)
        else:
            self._decline()

    def _write(self, answer: Answer) -> None:
        self._loaded.answered += 1
        headers = [predictions.version_header(answer)]
        self._send(request_id(self._request.scope), 200, b"application/json", answer.json(), headers)

    def refuse(self, error: Busy | DeadlinePassed) -> None:
        self._fast_path.log_refusal(error)
        MODEL_ERRORS.add(self._loaded.model, str(problems.status_of(type(error))))
        own_id = request_id(self._request.scope)
        kind = cast(Hashable, type(error))  # it is, though mypy takes the instances' method for the class's
        after = error.retry_after if isinstance(error, Busy) else None
        status, media, around, headers = problems.frequent(kind, error.detail, after, self._request.scope["path"])
        self._send(own_id, status, media, own_id.encode().join(around), headers)

    def _send(self, own_id: str, status: int, media: bytes, data: bytes, headers: Headers) -> None:
        request = self._request
        self._end()
        head_says: Head = request.scope[HEAD]
        self._fast_path.figures[head_says.version is not None].add(status, time.perf_counter() - self._began)
        if self._fast_path.context.health.stopping:
            request.keep_alive = False
        head = self._fast_path.head(request.connection.usual_headers, (status, media, *headers))
        end = b"\r\n" if request.keep_alive else b"connection: close\r\n\r\n"
        own = b"content-length: %d\r\nx-request-id: %b\r\n%b" % (len(data), own_id.encode(), end)
        request.connection.reply(request, b"".join((head, own, data)))

    def _decline(self) -> None:
        """Leaves the request to the application."""
        self._end()
        self._request.connection.run(self._request)

    def _end(self) -> None:
        """Breaks the cycle with the request, so that both are freed without the collector."""
        if self._request.pending is not None:
            self._request.pending = None
            self._fast_path.open_requests -= 1
