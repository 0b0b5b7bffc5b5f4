"""The child's main: `python -m service.worker.child THREADS PRIORITY`.

Reads assignments, answers with progress and a result.
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
from service.tuning import child
from service.worker.assignment import Assignment

PROGRESS_SECONDS = 0.1
"""Progress is told at most this often, and at each change of phase."""

log = logging.getLogger("tsuika.child")


class Line:
    """Both ends of the talk with the parent."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        self._source, self._sink = source, sink
        self.assignments: queue.Queue[dict[str, Any]] = queue.Queue()
        self.cancelled = threading.Event()
        self._told = ("", 0.0)

    def listen(self) -> None:
        """Take what the parent says; its end is ours, in the middle of a step, too."""
        for text in self._source:
            message = json.loads(text)
            if "cancel" in message:
                self.cancelled.set()
            else:
                self.cancelled.clear()
                self.assignments.put(message["assignment"])
        os._exit(0)

    def say(self, **message: Any) -> None:
        """One line up."""
        self._sink.write(json.dumps(message) + "\n")
        self._sink.flush()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Where the update stands."""
        told, at = self._told
        if phase != told or done == total or time.monotonic() - at > PROGRESS_SECONDS:
            self._told = (phase, time.monotonic())
            self.say(progress={"phase": phase, "done": done, "total": total})

    def check(self) -> None:
        """Raises Cancelled once the parent asked."""
        if self.cancelled.is_set():
            raise Cancelled("Somebody asked it to stop.")


def main() -> None:
    """Serve assignments until the parent is gone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    line = Line(sys.stdin, child.begin(sys.argv[2]))
    threading.Thread(target=line.listen, daemon=True, name="parent").start()

    gc.disable()  # it would walk again and again through libraries that last
    import scipy.linalg
    import scipy.special  # noqa: F401  # what solves and judges: the first update does not wait for it
    import torch

    from service.worker.child import train

    gc.freeze()
    gc.enable()
    torch.set_num_threads(int(sys.argv[1]))
    executor = train.Executor()
    line.say(ready=True)
    while True:
        assignment = Assignment.model_validate(line.assignments.get())
        try:
            result = executor.execute(assignment, line.progress, line.check)
        except TsuikaError as error:
            line.say(error={"slug": error.slug, "detail": error.detail})
        except Exception as error:
            log.exception("learning failed")
            line.say(error={"slug": "learning-failed", "detail": f"{type(error).__name__}: {error}"[:2000]})
        else:
            line.say(result=result.model_dump(mode="json"))
            executor.tidy()


if __name__ == "__main__":
    main()
