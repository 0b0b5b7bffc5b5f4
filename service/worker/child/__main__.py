"""The learning process: `python -m service.worker.child THREADS PRIORITY`.

Reads assignments, and answers each with progress and a result.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import queue
import sys
import threading
import time
from typing import Any, TextIO

from service.errors import Cancelled, TsuikaError
from service.settings import inherited_log_format
from service.telemetry import logs, tracing
from service.tuning import child
from service.worker.assignment import ASSIGNMENT

PROGRESS_SECONDS = 0.1
"""Progress is reported at most this often, and at each change of phase."""

log = logging.getLogger("tsuika.child")


class Parent:
    """The connection to the parent: its orders come in, progress and results go out."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        self._source, self._sink = source, sink
        self.assignments: queue.Queue[dict[str, Any]] = queue.Queue()
        self.cancelled = threading.Event()
        self._reported = ("", 0.0)

    def listen(self) -> None:
        """Reads the parent's orders; its end is the end of this process, in the middle of a step, too."""
        for text in self._source:
            message = json.loads(text)
            if "cancel" in message:
                self.cancelled.set()
            else:
                self.cancelled.clear()
                self.assignments.put(message["assignment"])
        os._exit(0)

    def send(self, **message: Any) -> None:
        """Sends a message."""
        self._sink.write(json.dumps(message) + "\n")
        self._sink.flush()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Reports where the update stands."""
        last_phase, at = self._reported
        if phase != last_phase or done == total or time.monotonic() - at > PROGRESS_SECONDS:
            self._reported = (phase, time.monotonic())
            self.send(progress={"phase": phase, "done": done, "total": total})

    def saved(self, digest: str) -> None:
        """Reports a save of the trainings, which is in the store."""
        self.send(saved=digest)

    def check(self) -> None:
        """Raises Cancelled once the parent has asked for that."""
        if self.cancelled.is_set():
            raise Cancelled("Somebody asked it to stop.")


def main() -> None:
    """Executes assignments until the parent is gone."""
    logs.set_up(inherited_log_format(), "learning")
    tracing.start("learning")
    parent = Parent(sys.stdin, child.begin(sys.argv[2]))
    threading.Thread(target=parent.listen, daemon=True, name="parent").start()

    gc.disable()  # it would walk again and again through libraries that stay
    import scipy.linalg
    import scipy.special  # noqa: F401  # loaded now, so that the first update does not wait for it
    import torch

    from service.worker.child import train

    gc.freeze()
    gc.enable()
    torch.set_num_threads(int(sys.argv[1]))
    executor = train.Executor()
    parent.send(ready=True)
    while True:
        assignment = ASSIGNMENT.as_stored(parent.assignments.get())
        logs.name_work(**assignment.ids)
        try:
            with tracing.span("learn", assignment.traceparent):
                result = executor.execute(assignment, parent.progress, parent.check, parent.saved)
        except TsuikaError as error:
            parent.send(error={"slug": error.slug, "detail": error.detail})
        except Exception as error:
            log.exception("learning failed")
            parent.send(error={"slug": "learning-failed", "detail": f"{type(error).__name__}: {error}"[:2000]})
        else:
            log.info("learned, judged and stored in %.2f s", result.report.cost.seconds)
            parent.send(result=result.model_dump(mode="json"))
            executor.tidy()
        executor.release()


if __name__ == "__main__":
    main()
