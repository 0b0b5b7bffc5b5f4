"""The usual prediction, answered by the loop itself: no task, no messages between coroutines, one write.

Whatever it does not take (another route, a header that asks for more, a long body, a version that is not loaded) goes
the way of all requests, and so does a question with a fault: that way tells which. What comes when there is too much to
do is refused here, since refusing must cost less than answering.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api import auth, problems
from service.api.bodies import prediction_bodies
from service.api.context import Context, request_id
from service.api.limits import request_checks
from service.api.limits.request_checks import Scope
from service.api.problems import Headers
from service.api.routes import predictions
from service.errors import Busy, DeadlinePassed, TsuikaError
from service.server.exchange import Request
from service.serving.answers import Answer, check_classes, is_long
from service.serving.loaded_versions import Loaded
from service.serving.predictor import Shares

log = logging.getLogger("tsuika.requests")


class Express:
    """Of one process. `open_requests` counts what is being answered."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open_requests = 0
        self._refused, self._told_at = 0, 0.0
        self._started: tuple[Headers, tuple[Any, ...], bytes] = ([], (), b"")

    def takes(self, request: Request) -> bool:
        """Whether a request that is whole is answered here; it may be declined after all."""
        try:
            loaded = self._version(request.scope, len(request.body))
        except TsuikaError:
            return False
        if loaded is None:
            return False
        _Asking(self, request, loaded).ask()
        return True

    def start(self, usual: Headers, told: tuple[int, bytes, *tuple[tuple[bytes, bytes], ...]]) -> bytes:
        """The first lines of an answer: `usual` headers, which are others each second; status, media type and more of
        them. Most are the same as those of the answer before."""
        if self._started[0] is not usual or self._started[1] != told:
            status, media, *more = told
            headers = (*usual, (b"content-type", media), *more)
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._started = (usual, told, STATUS_LINE[status] + lines)
        return self._started[2]

    def refused(self, why: TsuikaError) -> None:
        """A line in the log, once a second: one for each would take longer than the refusal."""
        self._refused += 1
        if (now := time.monotonic()) > self._told_at + 1.0:
            log.info("%d predictions refused: %s", self._refused, why.detail)
            self._refused, self._told_at = 0, now

    def _version(self, scope: Scope, length: int) -> Loaded | None:
        """What answers a request that is as usual; None for any other. Raises TsuikaError where it is refused."""
        asked: tuple[str, str | None] | None = scope.get(request_checks.USUAL)
        if asked is None:
            if scope["method"] != "POST" or (asked := predictions.target(scope)) is None:
                return None
            request_checks.check_content_type(scope)
            scope[request_checks.USUAL] = asked
        if not 0 < length <= prediction_bodies.SMALL_BODY_BYTES:
            return None
        context = self.context
        if context.health.stopping or log.isEnabledFor(logging.DEBUG):
            return None
        settings = context.runtime.settings
        request_checks.check_host(scope, settings)
        auth.caller(scope, settings)
        loaded = context.runtime.live.ready(*asked)
        if loaded is not None:
            check_classes(loaded)
        return loaded


class _Asking:
    """One request. The batcher tells it the answer as it would tell a future."""

    def __init__(self, express: Express, request: Request, loaded: Loaded) -> None:
        self._express, self._request, self._loaded = express, request, loaded
        self._top = 1
        request.asking = self
        express.open_requests += 1

    def ask(self) -> None:
        """Read the question, and ask it."""
        request, loaded, batcher = self._request, self._loaded, self._express.context.batcher
        scope = request.scope
        try:
            batcher.admit(loaded.predictor)
            until = prediction_bodies.deadline(scope)
            question = prediction_bodies.read_at_once(scope, bytes(request.body), loaded)
        except Busy as busy:
            self.refuse(busy)
            return
        except Exception:  # the other way meets it again, and tells
            question = None
        if question is not None and is_long(loaded, len(question[0]), question[1].top):
            scope[prediction_bodies.READ], question = question, None
        if question is None:
            self._decline()
            return
        rows, wish = question
        self._top = wish.top
        batcher.tell(self, loaded.predictor, rows, wish.source, until)

    def leave(self) -> None:
        """The sender has gone."""
        self._end()

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._request.asking is None

    def set_result(self, result: Shares, /) -> None:
        """The batcher has found it."""
        if self._request.congested:
            self._decline()  # this one reads too slowly to be written to at once
        else:
            self._write(Answer(self._loaded, result))

    def set_exception(self, exception: Exception, /) -> None:
        """There is none: too late, or something is wrong with the rows."""
        if isinstance(exception, DeadlinePassed):
            self.refuse(exception)
        else:
            self._decline()

    def _write(self, answer: Answer) -> None:
        headers = [predictions.version_header(answer)]
        self._send(request_id(self._request.scope), 200, b"application/json", answer.json(self._top), headers)

    def refuse(self, why: Busy | DeadlinePassed) -> None:
        """There is no time for it."""
        self._express.refused(why)
        name = request_id(self._request.scope)
        kind = cast(Hashable, type(why))  # it is, though mypy takes the instances' method for the class's
        after = why.retry_after if isinstance(why, Busy) else None
        status, media, around, headers = problems.frequent(kind, why.detail, after, self._request.scope["path"])
        self._send(name, status, media, name.encode().join(around), headers)

    def _send(self, name: str, status: int, media: bytes, data: bytes, headers: Headers) -> None:
        request = self._request
        self._end()
        if self._express.context.health.stopping:
            request.keep_alive = False
        start = self._express.start(request.usual_headers, (status, media, *headers))
        end = b"\r\n" if request.keep_alive else b"connection: close\r\n\r\n"
        own = b"content-length: %d\r\nx-request-id: %b\r\n%b" % (len(data), name.encode(), end)
        request.reply(b"".join((start, own, data)))

    def _decline(self) -> None:
        """All other requests' way, from the beginning."""
        self._end()
        self._request.decline()

    def _end(self) -> None:
        """The request forgets this, which knows it: what is freed by counting references needs no collector."""
        if self._request.asking is not None:
            self._request.asking = None
            self._express.open_requests -= 1
