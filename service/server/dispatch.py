"""The ASGI application of a process: checks every request, then answers predictions, or passes it to the other routes.

host and origin -> key -> content type -> body (limit, pace) -> route. Errors become problems with a request id. Pages
come before all that: each asks this application what it shows, with the key of its browser.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fastapi import FastAPI
from starlette.routing import NoMatchFound
from starlette.types import Message, Receive, Scope, Send

from service.api import problems
from service.api.application import route_at
from service.api.bodies import request_body
from service.api.context import Context, request_id
from service.api.idempotent_posts import TRIES
from service.api.limits import bodies, request_checks
from service.api.limits.long_answers import write
from service.api.limits.request_checks import (
    AFTERWARDS,
    CALLER,
    READS_AGAIN,
    SIGNED_IN,
    TRACE,
    WRITES,
    SenderGone,
    has_body,
    header,
)
from service.api.reader.spool import Spooled
from service.api.routes.predicting import inference, predictions
from service.contract.keys import PREDICT
from service.errors import LongAddress, TooLarge, TooMany, TsuikaError, Unauthorized
from service.registry.callers.actor import ANONYMOUS, Actor, act_as
from service.server.fast_path import FastPath
from service.telemetry import logs, tracing
from service.telemetry.metrics import NAMED
from service.telemetry.requests import MODEL_ERRORS, NO_ROUTE, of_route
from service.telemetry.tracing import Span
from service.web.addresses import is_page, wants_html
from service.web.browser import key_to_read_by
from service.web.rendering import warm
from service.web.site import Site

log = logging.getLogger("tsuika.requests")

SLOW_SECONDS = 1.0
"""A request that takes so long has a line in the log, however it ends."""
QUIET_SECONDS = 3.0
"""So long nobody must have asked for a page before the one of all calls is made of what takes most of a second."""
GONE = 499
"""Counts as the status of what nobody waited for."""
HEALTH = "health"
"""Stands for the paths of health where a route is named."""


class Dispatcher:
    """An ASGI application; `fast_path` answers usual predictions before they come here."""

    def __init__(self, context: Context, app: FastAPI) -> None:
        self.context, self.app = context, app
        self.fast_path = FastPath(context)
        self._open = 0
        self._site = Site(self, context.runtime.settings.max_body_bytes)
        self._then: asyncio.TimerHandle | None = None

    @property
    def open_requests(self) -> int:
        return self._open + self.fast_path.open_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.context.watcher.start()
        answer = _Answering(scope, send, self.context)
        self._open += 1
        logs.name_work(request_id=answer.request_id)
        with tracing.span(scope["method"], header(scope, TRACE), asked=True) as span:
            try:
                await self._handle(scope, receive, answer)
            finally:
                self._open -= 1
                answer.end(span)

    def warm(self) -> None:
        """Makes ready what the first page, and the first call of each route, would wait for."""
        warm()
        with suppress(NoMatchFound):  # looking for a name derives what each route's first call would wait for
            self.app.url_path_for("")

    def _write_description_soon(self) -> None:
        """Somebody looks at pages, and may go on to that of all calls; no page waits for what it needs."""
        if self._then is not None:
            self._then.cancel()
        self._then = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._write_description)

    def _write_description(self) -> None:
        """In a thread that ends with the process: what stops waits for those of the event loop."""
        if not self.context.health.stopping:
            threading.Thread(target=getattr, args=(self.app, "written_description"), daemon=True).start()

    async def _handle(self, scope: Scope, receive: Receive, answer: _Answering) -> None:
        """Answers, with a problem where something is wrong."""
        try:
            await self._answer(scope, receive, answer)
        except SenderGone:
            log.info("the sender hung up before it was answered")
        except TsuikaError as error:
            if isinstance(error, Unauthorized | TooMany):
                answer.logged = True
                self.fast_path.log_refusal(error)
            answer.route = answer.route or route_at(scope["path"])
            unread = has_body(scope) and (not answer.taken or isinstance(error, TooLarge | LongAddress))
            await answer.problem(*problems.problem(error, answer.request_id), receive if unread else None)
        except Exception:
            log.exception("request %s failed", answer.request_id)
            if answer.complete:
                return
            if answer.status:
                raise
            await answer.problem(500, problems.internal_fault(answer.request_id), [], None)
        finally:
            if isinstance(body := scope.get("tsuika.body"), Spooled):
                asyncio.get_running_loop().run_in_executor(None, body.remove)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answering) -> None:
        settings = self.context.runtime.settings
        if self.context.health.answers(scope):
            answer.route = HEALTH
            await self.context.health.answer(scope, answer.send, self.context.keyring.may_see(scope))
            return
        if scope["method"] == "HEAD":  # the server omits the body
            scope = {**scope, "method": "GET"}
        if is_page(scope["path"]) or _is_lost(scope):
            answer.site, answer.taken, answer.route = self._site, True, self._site.route_at(scope["path"])
            await self._site(scope, receive, answer.send)
            self._write_description_soon()
            return
        if (key := key_to_read_by(scope)) is not None:
            scope[SIGNED_IN] = f"Bearer {key}"
        caller = self.context.keyring.admit(scope)
        act_as(Actor(caller.name, answer.request_id))
        request_checks.check_length(scope["query_string"])
        scope["tsuika.request_id"] = answer.request_id
        scope["tsuika.body"] = b""
        if scope["method"] in WRITES:
            bodies.check_content_type(scope)
            scope["tsuika.body"] = await request_body.read_body(scope, receive, settings, self.context.reader.spool)
            if not self.context.keyring.still_admits(caller):  # the key has ended while the body came
                self.context.keyring.caller(scope)
        answer.taken = True
        afterwards: list[Callable[[], None]] = []
        scope[AFTERWARDS] = afterwards
        try:
            await self._dispatch(scope, receive, answer)
        finally:
            for do in afterwards:
                do()

    async def _dispatch(self, scope: Scope, receive: Receive, answer: _Answering) -> None:
        body = scope["tsuika.body"]
        if (question := predictions.target(scope)) is not None:
            answer.route, answer.model = predictions.ROUTES[question[1] is not None], question[0]
            scope[CALLER].require(PREDICT, question[0])
            response = await predictions.ask(self.context, *question, scope, body, receive)
        elif (question := inference.target(scope)) is not None:
            answer.route, answer.model = inference.ROUTES[question[1] is not None], question[0]
            scope[CALLER].require(PREDICT, question[0])
            response = await inference.ask(self.context, *question, scope, body, receive)
        else:
            await self.context.turns.wait(scope)
            await self._route(scope, receive, answer)
            return
        if response.rest is None:
            await answer.whole(200, response.media, response.data, response.headers)
            return
        seconds = self.context.runtime.settings.answer_timeout_seconds
        try:
            await write(response, receive, answer.send, seconds)
        except TimeoutError:  # its end is missing, so that no client takes it for whole
            log.warning("the answer was not taken within %g s and is cut off", seconds)

    async def _route(self, scope: Scope, receive: Receive, answer: _Answering) -> None:
        """Has the application answer; a read whose transaction the database undoes is asked once more."""
        try:
            for left in reversed(range(TRIES if scope["method"] == "GET" else 1)):
                scope[READS_AGAIN] = left > 0
                await self.app(scope, receive, answer.send)
                if answer.status:
                    break
        finally:
            answer.route = getattr(scope.get("route"), "path", "")
            answer.model = scope.get("path_params", {}).get("model")


def _is_lost(scope: Scope) -> bool:
    """Whether a browser asks for an address at which there is nothing: a page tells it the ways on."""
    return scope["method"] == "GET" and wants_html(scope) and not route_at(scope["path"])


class _Answering:
    """The sending side of a request: adds the request id, and closes the connection once the process stops."""

    def __init__(self, scope: Scope, send: Send, context: Context) -> None:
        self.request_id = request_id(scope)
        self.status = 0
        self.complete = False
        self.taken = False  # its body: until then the client may still be sending it
        self.route = ""  # as the framework writes it
        self.model: str | None = None
        self.logged = False  # counted in a line of the log with others
        self.site: Site | None = None  # that answers it, where it asks for a page
        self._scope, self._send, self._context = scope, send, context
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [(b"x-request-id", self.request_id.encode())]
            if self._context.health.stopping:
                extra.append((b"connection", b"close"))
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        self.complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def whole(
        self, status: int, media: bytes, data: bytes, headers: problems.Headers, more: bool = False
    ) -> None:
        """Sends an answer in one piece; with `more` its end comes later."""
        all_headers = [(b"content-type", media), (b"content-length", str(len(data)).encode()), *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": all_headers})
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def problem(
        self, status: int, body: dict[str, object], headers: problems.Headers, unread: Receive | None
    ) -> None:
        """Sends an error. `unread`: the rest of a body, which is discarded so that the client reads this."""
        if self.status:
            return
        media, data = problems.encoded_problem(self._scope["path"], body)
        if self.site is not None and (page := self.site.refusal(self._scope, body)) is not None:
            media, data, of_page = page
            headers = [*of_page, *headers]
        await self.whole(status, media, data, headers, more=unread is not None)
        if unread is not None:
            await request_checks.linger(unread)
            await self.send({"type": "http.response.body", "body": b""})

    def end(self, span: Span) -> None:
        """Counts the request, and logs a line for one that failed or took long; at level DEBUG for any other. It names
        the route instead of the address, in which a class or a key may stand."""
        seconds = time.perf_counter() - self._began
        method, route, status = self._scope["method"], self.route or NO_ROUTE, self.status or GONE
        of_route(method, route).add(status, seconds)
        facts = {"http__request__method": method, "http__route": route, "http__response__status_code": status}
        span.tell(f"{method} {route}", failed=status >= 500, **facts, tsuika__request_id=self.request_id)
        if status >= 500 and self.model is not None:
            MODEL_ERRORS.add(NAMED.known(self.model), str(status))
        failed = self.status >= 400 and not self.logged
        level = logging.INFO if failed or seconds >= SLOW_SECONDS else logging.DEBUG
        if not log.isEnabledFor(level):
            return
        fields = {"method": method, "route": self.route, "status": self.status, "seconds": round(seconds, 4)}
        if self.model is not None and self.status != 404:  # there the address may say anything
            fields["model"] = self.model
        if (caller := self._scope.get(CALLER)) is not None and caller.name != ANONYMOUS:
            fields["key"] = caller.name
        line = "%s %s %d in %.1f ms", method, route, status, seconds * 1000
        log.log(level, *line, extra={"fields": fields})
