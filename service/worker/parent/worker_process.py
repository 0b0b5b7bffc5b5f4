"""`tsuika work`: a process that is a worker and nothing else."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from service.learning.devices import require
from service.registry.sql import unopened
from service.runtime import Runtime
from service.settings import Settings, strange
from service.telemetry import logs, tracing
from service.worker.parent.child_process import WarmChild
from service.worker.parent.loop import Worker

log = logging.getLogger("tsuika.worker")


def work(
    settings: Settings,
    beside: Callable[[Runtime], AbstractContextManager[object]] = nullcontext,
    child: WarmChild | None = None,
) -> None:
    """`tsuika work`: a worker of its own, until TERM or INT; `beside` is entered meanwhile; `child`: as of `Worker`. It
    never migrates. Raises SchemaMismatch and ImpossibleSettings."""
    settings.check_room()
    if settings.ray is None:
        require(settings.device, settings.update_devices)
    logs.set_up(settings.log_format, "work")
    tracing.start("work")
    for sentence in strange():
        log.warning("%s", sentence)
    unopened.wait(settings.database_url)
    unopened.require(settings.database_url)
    runtime = Runtime(settings.model_copy(update={"serving_bytes": 0}))  # nobody asks here: each is loaded as a test
    runtime.database.require_writable()
    stopped = threading.Event()
    worker = Worker(runtime, stopped.set, child=child)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with beside(runtime):
        worker.start()
        stopped.wait()
        worker.stop(settings.stop_seconds * 0.6)
    runtime.close()
    tracing.end(settings.stop_seconds * 0.2)
    if worker.refused is not None:
        raise worker.refused
