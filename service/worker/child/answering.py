"""Answers assignments where learning happens, whoever carries the messages: progress, then a result or an error."""

from __future__ import annotations

import gc
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from service.errors import Cancelled, TsuikaError
from service.telemetry import logs, tracing
from service.worker.assignment import ASSIGNMENT

if TYPE_CHECKING:
    from service.learning.run import Tasks
    from service.worker.child.train import Executor

Message = dict[str, Any]

PROGRESS_SECONDS = 0.1
"""Progress is reported at most this often, and at each change of phase."""

log = logging.getLogger("tsuika.child")


class Parent:
    """Who gave the assignment. `send`: carries a message to it."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self.send = send
        self.cancelled = threading.Event()
        self._reported = ("", 0.0)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Reports where the update stands."""
        last_phase, at = self._reported
        if phase != last_phase or done == total or time.monotonic() - at > PROGRESS_SECONDS:
            self._reported = (phase, time.monotonic())
            self.send({"progress": {"phase": phase, "done": done, "total": total}})

    def saved(self, digest: str) -> None:
        """Reports a save of the trainings, which is in the store."""
        self.send({"saved": digest})

    def check(self) -> None:
        """Raises Cancelled once the parent has asked for that."""
        if self.cancelled.is_set():
            raise Cancelled("Somebody asked it to stop.")


class Pipes(Parent):
    """A parent on this machine: orders come in and answers go out as lines of JSON. Its end is the end of this process,
    in the middle of a step, too."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        super().__init__(self._write)
        self._source, self._sink = source, sink
        self.assignments: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True, name="parent").start()

    def _write(self, message: Message) -> None:
        self._sink.write(json.dumps(message) + "\n")
        self._sink.flush()

    def _listen(self) -> None:
        for text in self._source:
            message = json.loads(text)
            if "cancel" in message:
                self.cancelled.set()
            else:
                self.cancelled.clear()
                self.assignments.put(message["assignment"])
        os._exit(0)


def load(threads: int, tasks: Callable[[], Tasks] | None = None) -> Executor:
    """Loads what learning needs, so that the first update does not wait for it. `tasks`: makes what works on parts of
    an update elsewhere, if anything does."""
    gc.disable()  # it would walk again and again through libraries that stay
    import scipy.linalg
    import scipy.special  # noqa: F401
    import torch

    from service.worker.child.train import Executor

    gc.freeze()
    gc.enable()
    torch.set_num_threads(threads)
    return Executor(tasks()) if tasks is not None else Executor()


def answer(executor: Executor, message: Message, parent: Parent) -> None:
    """Executes the assignment of a message; whatever goes wrong is a message, too."""
    try:
        assignment = ASSIGNMENT.as_stored(message)
        logs.name_work(**assignment.ids)
        with tracing.span("learn", assignment.traceparent):
            result = executor.execute(assignment, parent.progress, parent.check, parent.saved)
    except TsuikaError as error:
        parent.send({"error": {"slug": error.slug, "detail": error.detail}})
    except Exception as error:
        log.exception("learning failed")
        parent.send({"error": {"slug": "learning-failed", "detail": f"{type(error).__name__}: {error}"[:2000]}})
    else:
        log.info("learned, judged and stored in %.2f s", result.report.cost.seconds)
        parent.send({"result": result.model_dump(mode="json")})
        executor.tidy()
    executor.release()
