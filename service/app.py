"""The serving process: it opens the port, then loads the heavy libraries; TERM breaks no answer.

Nothing heavy is imported at the top of this file, so that /healthz answers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from service import __version__
from service.api import problems
from service.api.health import Health
from service.api.limits.connections import Bounds
from service.api.limits.request_checks import has_body, linger
from service.api.limits.turns import READERS, WRITERS
from service.errors import Busy, NotFound, StoreAway, TsuikaError
from service.registry.sql import unopened
from service.server.listening import BACKLOG, EVERY_ANSWER, accepting, address, drop_new_connections, listening, locked
from service.server.protocol import HttpProtocol
from service.settings import Settings, strange
from service.telemetry import logs, tracing
from service.telemetry.requests import NO_ROUTE, of_route
from service.tuning import priority
from service.tuning.malloc import keep_freed
from service.web.addresses import is_page, wants_html

if TYPE_CHECKING:
    from service.runtime import Runtime
    from service.server.dispatch import Dispatcher
    from service.server.fast_path import FastPath
    from service.worker.parent.loop import Worker

log = logging.getLogger("tsuika")

FAREWELL_SECONDS = 0.5
"""Time after TERM in which clients learn, from their next answer, that their connection closes."""


def serve(settings: Settings) -> int:
    """Serves until TERM or INT; returns the exit code. Raises ImpossibleSettings for a taken port, folder or address,
    a disk that is too small, or an address that lets others in without a key, and SchemaMismatch for a database of a
    newer version."""
    settings.check()
    settings.check_room()
    unopened.wait(settings.database_url)
    settings.check_door(unopened.any_key(settings.database_url))
    with listening(settings) as listener:
        url = address(settings, listener)
        first = not settings.data.exists()
        with locked(settings, url):
            logs.set_up(settings.log_format, "serve", settings.log_requests == "all")
            tracing.start("serve")
            for sentence in strange():
                log.warning("%s", sentence)
            priority.off = frozenset(settings.tuning_off)
            if "malloc" not in settings.tuning_off and not keep_freed():
                priority.not_taken("malloc's bounds", "glibc has them")
            if settings.log_format == "json":
                log.info("Tsuika %s at %s, data in %s", __version__, url, settings.data)
            else:
                print(_banner(settings, url, first), file=sys.stderr, flush=True)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                code = runner.run(_Process(settings, listener).run())
            tracing.end(settings.stop_seconds * 0.2)
            return code


class _Front:
    """The application of the port: it answers health at once, and other requests with 503 until all is loaded."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self.full = _Full(health)
        self.door: Dispatcher | None = None

    @property
    def fast_path(self) -> FastPath | None:
        """Answers usual predictions before they come here."""
        return self.door.fast_path if self.door is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.door is not None:
            await self.door(scope, receive, send)
        elif self.health.answers(scope):
            await self.health.answer(scope, send)
        elif is_page(scope["path"]) and (wants_html(scope) or scope["path"].startswith("/static/")):
            await _show(scope, receive, send, self.health.waiting_for or "")
        else:
            sentence = f"The service is starting: it waits for {self.health.waiting_for}."
            error = Busy(sentence, retry_after=1, waiting_for=self.health.waiting_for)
            await _refuse(scope, receive, send, error, "starting")


class _Full:
    """The application of a connection beyond the limit: it answers health, and other requests with 503."""

    fast_path = None

    def __init__(self, health: Health) -> None:
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._health.answers(scope):
            await self._health.answer(scope, send)
        else:
            sentence = (
                "So many connections are open that there is no room for this one. Ask again over one that you have."
            )
            await _refuse(scope, receive, send, Busy(sentence, retry_after=1), "unread", (b"connection", b"close"))


async def _show(scope: Scope, receive: Receive, send: Send, waiting_for: str) -> None:
    """Sends browsers a page that loads itself again until the real one is there, with its stylesheet."""
    from service.web.starting import answer

    try:
        status, headers, data = answer(scope, waiting_for)
    except NotFound as error:
        await _refuse(scope, receive, send, error, "starting")
        return
    of_route(scope["method"], NO_ROUTE).add(status, 0.0)
    length = (b"content-length", str(len(data)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": data if scope["method"] != "HEAD" else b""})


async def _refuse(
    scope: Scope, receive: Receive, send: Send, error: TsuikaError, request_id: str, *more: tuple[bytes, bytes]
) -> None:
    """Answers before the body is read: what comes of it is discarded, so that its sender reads the answer."""
    status, body, headers = problems.problem(error, request_id)
    of_route(scope["method"], NO_ROUTE).add(status, 0.0)
    media, data = problems.encoded_problem(scope["path"], body)
    kind, length = (b"content-type", media), (b"content-length", str(len(data)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *headers, *more]})
    await send({"type": "http.response.body", "body": data, "more_body": True})
    if has_body(scope):
        await linger(receive)
    await send({"type": "http.response.body", "body": b""})


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def stop_listening(self, listener: socket.socket) -> None:
        """Accepts no new connections. It first accepts those in the queue, which closing the port would reset."""
        for server in self.servers:
            server.close()  # closes duplicates of the listener; the queue stays
        queued = []
        with contextlib.suppress(BlockingIOError):
            while True:
                queued.append(listener.accept()[0])
        listener.close()
        loop = asyncio.get_running_loop()
        for connection in queued:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state={})


@dataclass
class _Started:
    """What `_Process._start` makes."""

    runtime: Runtime
    door: Dispatcher
    worker: Worker | None


class _Process:
    """The life of one `tsuika serve`."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings, self._listener = settings, listener
        self._cut_off_code = 1
        self._health = Health(waiting_for="the libraries")
        self._front = _Front(self._health)
        self._server = _Server(
            uvicorn.Config(
                self._front,
                loop="none",
                http=cast("type[asyncio.Protocol]", partial(HttpProtocol, bounds=Bounds.of(settings))),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=EVERY_ANSWER,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=settings.idle_seconds,
                timeout_graceful_shutdown=max(1, int(settings.stop_seconds * 0.2)),
            )
        )

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_on_loop_error)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, stop)
        serving = loop.create_task(self._server.serve(sockets=accepting(self._listener)))
        starting = loop.run_in_executor(None, self._start)
        try:
            started = await starting
        except Exception as error:
            sentence = error.detail if isinstance(error, TsuikaError) else None
            log.error("cannot start: %s", sentence or error, exc_info=None if sentence else error)
            self._server.should_exit = True
            await serving
            return 1
        if started.worker is not None:
            started.worker.start()
        anyio.to_thread.current_default_thread_limiter().total_tokens = READERS + WRITERS
        started.door.context.watcher.start()
        self._front.door, self._health.waiting_for = started.door, None
        log.info("ready")
        stopping = loop.create_task(stop.wait())
        await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
        await self._stop(started, serving)
        return 0

    def _start(self) -> _Started:
        """Imports, migrates and reads what is live, in a thread beside the event loop."""
        gc.disable()  # it would walk again and again through what lasts
        import torch

        from service.api.application import build
        from service.registry.sql.engines import migrate
        from service.runtime import Runtime
        from service.server.dispatch import Dispatcher
        from service.tuning.garbage import freeze

        freezes = "freeze" not in self._settings.tuning_off
        if freezes:
            gc.freeze()  # libraries leave next to no garbage, and a walk through them takes a quarter of a second
        torch.set_num_threads(1)  # the other cores learn
        self._health.waiting_for = "the database"
        migrate(self._settings.database_url)
        runtime = Runtime(self._settings)
        runtime.database.require_writable()
        self._health.waiting_for = "the live versions"
        runtime.live.refresh()
        runtime.database.before_each(priority.give_way)  # its threads run beside the event loop
        worker = None
        if self._settings.worker:
            from service.learning.devices import require
            from service.worker.parent.loop import SERVES, Worker

            if self._settings.ray is None:
                require(self._settings.device, self._settings.update_devices)
            worker = Worker(runtime, kind=SERVES)
            self._health.learning = worker.trouble
        else:
            from service.worker.parent import erasure

            with contextlib.suppress(Busy, StoreAway):  # another process works here, and sweeps
                erasure.sweep(runtime)
        app = build(runtime, self._health)
        started = _Started(runtime, Dispatcher(app.state.context, app), worker)
        started.door.warm()
        if freezes:
            runtime.live.after_load = freeze
            freeze()
        gc.enable()
        return started

    def _on_signal(self, stop: asyncio.Event) -> None:
        """Stops gracefully at the first signal, at once at the second one, and within `stop_seconds` in any case."""
        if stop.is_set():
            os._exit(130)
        stop.set()
        guard = threading.Timer(max(0.1, self._settings.stop_seconds - 0.3), self._cut_off)
        guard.daemon = True
        guard.start()

    def _cut_off(self) -> None:
        """Ends the process: something has not ended in its time."""
        log.warning("it is ended at once: a database that does not answer, or a request, would hold it up")
        os._exit(self._cut_off_code)

    async def _stop(self, started: _Started, serving: asyncio.Task[None]) -> None:
        """Ends in order: readiness, streams and waits, idle connections, the port, open requests, all else."""
        log.info("stopping")
        self._health.stopping = True
        loop, patience = asyncio.get_running_loop(), self._settings.stop_seconds
        until = loop.time() + patience * 0.5
        worker = started.worker
        handing_back = loop.run_in_executor(None, worker.stop, patience * 0.6) if worker else None
        await started.door.context.watcher.stop()
        farewell = min(FAREWELL_SECONDS, patience / 10)
        await asyncio.sleep(farewell)
        if "stop_filter" not in self._settings.tuning_off:
            drop_new_connections(self._listener)
        await asyncio.sleep(farewell)  # clients that have just connected send their request
        await self._server.stop_listening(self._listener)
        while started.door.open_requests and loop.time() < until:
            await asyncio.sleep(0.02)
        self._server.should_exit = True
        await serving
        started.door.fast_path.log_refusals()
        if handing_back is not None:
            await handing_back
        if not started.door.open_requests:
            self._cut_off_code = 0  # what is left are connections to a database, which may not answer
        started.door.context.close()
        started.runtime.close()
        log.info("stopped")


def _banner(settings: Settings, url: str, first: bool) -> str:
    lines = [
        f"Tsuika {__version__}",
        f"  page  {url}",
        f"  API   {url}/docs",
        f"  data  {settings.data}",
    ]
    lines.append("Press CTRL+C to quit" + (". New here? Try: tsuika demo" if first else ""))
    return "\n".join(lines)


def _on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs an error of the event loop. What the loop itself would say quotes the arguments of the call, the bytes of a
    request among them."""
    log.error("an error on the event loop", exc_info=context.get("exception"))
