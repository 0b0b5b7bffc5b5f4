"""The usual prediction, answered by the loop itself: no task, no messages between coroutines, one write.

Whatever it does not take (another route, a header that asks for more, a long body, a version that is not loaded) goes
the way of all requests, and so does a question with a fault: that way tells which. What comes when there is too much to
do is refused here, since refusing must cost less than answering.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.api import auth, limits, predictions, problems, questions
from service.api.context import Context, request_id
from service.api.limits import Scope, header
from service.api.problems import Headers
from service.errors import Busy, DeadlinePassed, TsuikaError
from service.serving.answers import Answer, check_classes, is_long
from service.serving.predictor import Shares
from service.serving.shelf import Loaded

log = logging.getLogger("tsuika.requests")

USUAL = "tsuika.usual"
"""In the scope: the model and the version that a usual prediction asks."""
BODY_SECONDS = 1.0
"""A body that takes longer is waited for by the application, which has limits for it."""


class Express:
    """Of one process. `open_requests` counts what is being answered."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open_requests = 0
        self._refused, self._told_at = 0, 0.0
        self._started: tuple[Headers, tuple[Any, ...], bytes] = ([], (), b"")

    def takes(self, cycle: RequestResponseCycle, otherwise: Callable[[], None]) -> bool:
        """Whether a request whose head has come is answered here. `otherwise` is called where it is not after all."""
        try:
            loaded = self._version(cycle)
        except TsuikaError:
            return False
        if loaded is None:
            return False
        asking = _Asking(self, cycle, loaded, otherwise)
        cycle.message_event = asking  # type: ignore[assignment]
        try:
            self.context.batcher.admit(loaded.predictor)
        except Busy as busy:  # its body is thrown away as it comes
            asking.refuse(busy)
            return True
        if not cycle.more_body:  # it waited behind another one on its connection
            asking.set()
        return True

    def look_after(self, cycle: RequestResponseCycle) -> None:
        """A piece came and the body is not whole."""
        if isinstance(cycle.message_event, _Asking):
            cycle.message_event.be_patient()

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

    def _version(self, cycle: RequestResponseCycle) -> Loaded | None:
        """What answers a request that is as usual; null for any other. Raises TsuikaError where it is refused."""
        scope: Scope = cycle.scope  # type: ignore[assignment]
        asked: tuple[str, str | None] | None = scope.get(USUAL)  # a head that comes again was looked at before
        if asked is None:
            if scope["method"] != "POST" or (asked := predictions.asked(scope)) is None:
                return None
            limits.check_content_type(scope)
            scope[USUAL] = asked
        length = header(scope, limits.CONTENT_LENGTH)
        if length is None or not length.isdecimal() or not 0 < int(length) <= questions.SMALL_BODY_BYTES:
            return None
        context = self.context
        if cycle.waiting_for_100_continue or context.health.stopping or log.isEnabledFor(logging.DEBUG):
            return None
        settings = context.runtime.settings
        limits.check_host(scope, settings)
        auth.caller(scope, settings)
        loaded = context.runtime.live.ready(*asked)
        if loaded is not None:
            check_classes(loaded)
        return loaded


class _Nobody:
    """Where a request is over: nothing waits for news of it."""

    def set(self) -> None:
        """Nothing happens."""


NOBODY = _Nobody()


class _Asking:
    """One request. It stands where the event is that would wake a task: `set` tells that something has changed. The
    batcher tells it the answer as it would tell a future."""

    def __init__(
        self, express: Express, cycle: RequestResponseCycle, loaded: Loaded, otherwise: Callable[[], None]
    ) -> None:
        self._express, self._cycle, self._loaded, self._otherwise = express, cycle, loaded, otherwise
        self._scope: Scope = cycle.scope  # type: ignore[assignment]
        self._patience: asyncio.TimerHandle | None = None
        self._asked = self._over = False
        self._top = 1
        express.open_requests += 1

    def set(self) -> None:
        """The body is whole, or the sender has gone."""
        cycle = self._cycle
        if cycle.disconnected:
            self._end()
        elif not cycle.more_body and not self._asked:
            self._ask()

    def be_patient(self) -> None:
        """Wait for the rest of the body, but not for long."""
        if self._patience is None and not self._over:
            self._patience = asyncio.get_running_loop().call_later(BODY_SECONDS, self._decline)

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._over

    def set_result(self, result: Shares, /) -> None:
        """The batcher has found it."""
        if self._cycle.flow.write_paused:
            self._decline()  # this one reads too slowly to be written to at once
        else:
            self._write(Answer(self._loaded, result))

    def set_exception(self, exception: Exception, /) -> None:
        """There is none: too late, or something is wrong with the rows."""
        if isinstance(exception, DeadlinePassed):
            self.refuse(exception)
        else:
            self._decline()

    def _ask(self) -> None:
        self._asked = True
        if self._patience is not None:
            self._patience.cancel()
        loaded, batcher = self._loaded, self._express.context.batcher
        try:
            until = questions.deadline(self._scope)
            found = questions.read_at_once(self._scope, bytes(self._cycle.body), loaded)
        except Exception:  # the other way meets it again, and tells
            found = None
        if found is not None and is_long(loaded, len(found[0]), found[1].top):
            self._scope[questions.READ], found = found, None
        if found is None:
            self._decline()
            return
        rows, wish = found
        self._top = wish.top
        batcher.tell(self, loaded.predictor, rows, wish.source, until)

    def _write(self, answer: Answer) -> None:
        headers = [predictions.version_header(answer)]
        self._send(request_id(self._scope), 200, b"application/json", answer.json(self._top), headers)

    def refuse(self, why: Busy | DeadlinePassed) -> None:
        """There is no time for it."""
        self._express.refused(why)
        name = request_id(self._scope)
        kind = cast(Hashable, type(why))  # it is, though mypy takes the instances' method for the class's
        after = why.retry_after if isinstance(why, Busy) else None
        status, media, around, headers = problems.frequent(kind, why.detail, after, self._scope["path"])
        self._send(name, status, media, name.encode().join(around), headers)

    def _send(self, name: str, status: int, media: bytes, data: bytes, headers: Headers) -> None:
        cycle = self._cycle
        self._end()
        if self._express.context.health.stopping:
            cycle.keep_alive = False
        start = self._express.start(cycle.default_headers, (status, media, *headers))
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        own = b"content-length: %d\r\nx-request-id: %b\r\n%b" % (len(data), name.encode(), end)
        cycle.transport.write(b"".join((start, own, data)))
        cycle.response_started = cycle.response_complete = True
        cycle.body = bytearray()  # the connection keeps the cycle until the next request
        if not cycle.keep_alive:
            cycle.transport.close()
        answered, cycle.on_response = cycle.on_response, NOBODY.set
        answered()

    def _decline(self) -> None:
        """All other requests' way, from the beginning."""
        cycle = self._cycle
        self._end()
        event = cycle.message_event = asyncio.Event()
        if cycle.body or not cycle.more_body:
            event.set()
        self._otherwise()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        # the request and this hold one another: what is freed by counting references needs no collector
        self._cycle.message_event = NOBODY  # type: ignore[assignment]
        self._express.open_requests -= 1
        if self._patience is not None:
            self._patience.cancel()
