"""Answers assignments where learning happens, whoever carries the messages: progress, then a result or an error."""

from __future__ import annotations

import gc
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from service.errors import Cancelled
from service.telemetry import logs, tracing
from service.tuning.child import listen, say
from service.tuning.messages import Asks, Done, Message, Progress, Saved, end_of
from service.worker.assignment import ASSIGNMENT, BATCH_FACTS, BatchFacts

if TYPE_CHECKING:
    from service.learning.run import Tasks
    from service.worker.child.train import Executor

Assigned = dict[str, Any]
"""An assignment as it crosses between processes."""
PROGRESS_SECONDS = 0.1
"""Progress is reported at most this often, and at each change of phase."""
NO_EPOCH = (0, None, None)
LOOK_SECONDS = 0.1
"""Time between two looks, while it waits for an answer, at whether the parent has asked to stop."""

log = logging.getLogger("tsuika.child")


class Parent:
    """Who gave the assignment. `send`: carries a message to it."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self.send = send
        self.cancelled = threading.Event()
        self._reported = ("", 0.0)
        self._epoch: tuple[int, float | None, float | None] = NO_EPOCH

    def progress(self, phase: str, done: int, total: int) -> None:
        """Reports where the update stands."""
        last_phase, at = self._reported
        if phase != last_phase or done == total or time.monotonic() - at > PROGRESS_SECONDS:
            self._reported = (phase, time.monotonic())
            ended, self._epoch = self._epoch, NO_EPOCH
            self.send(Progress(phase, done, total, *ended))

    def losses(self, epoch: int, loss: float, kept: float | None) -> None:
        """Notes the losses of an epoch that has ended: the next report of progress has them."""
        self._epoch = epoch, loss, kept if kept is None or math.isfinite(kept) else None

    def saved(self, digest: str) -> None:
        """Reports a save of the trainings, which is in the store."""
        self.send(Saved(digest))

    def history(self) -> BatchFacts:
        """The facts of all batches that the base learned, and of the update's. Raises Cancelled."""
        raise NotImplementedError("Whoever gives brief assignments answers questions.")

    def check(self) -> None:
        """Raises Cancelled once the parent has asked for that."""
        if self.cancelled.is_set():
            raise Cancelled("Somebody asked it to stop.")


class Pipes(Parent):
    """A parent on this machine, at the other end of standard input and output."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        super().__init__(partial(say, sink))
        self.assignments: queue.Queue[Assigned] = queue.Queue()
        self._histories: queue.Queue[dict[str, Any]] = queue.Queue()
        listen(source, self._heard)

    def _heard(self, order: dict[str, Any]) -> None:
        if "cancel" in order:
            self.cancelled.set()
        elif "history" in order:
            self._histories.put(order["history"])
        else:
            self.cancelled.clear()
            self._histories = queue.Queue()  # what was not waited for is of another update
            self.assignments.put(order["assignment"])

    def history(self) -> BatchFacts:
        self.send(Asks())
        while True:
            try:
                return BATCH_FACTS.as_stored(self._histories.get(timeout=LOOK_SECONDS))
            except queue.Empty:
                self.check()


def load(threads: int, tasks: Callable[[], Tasks] | None = None) -> Executor:
    """Loads what learning needs, so that the first update does not wait for it. `tasks`: see `Executor`."""
    gc.disable()  # it would walk again and again through libraries that stay
    import scipy.linalg
    import scipy.special  # noqa: F401
    import torch

    from service.worker.child.train import Executor

    gc.freeze()
    gc.enable()
    torch.set_num_threads(threads)
    return Executor(tasks) if tasks is not None else Executor()


def answer(executor: Executor, assigned: Assigned, parent: Parent) -> None:
    """Executes an assignment; whatever goes wrong is a message, too."""
    end = end_of(partial(_learn, executor, assigned, parent), log, "learning failed")
    parent.send(end)
    if isinstance(end, Done):
        executor.tidy()
    executor.release()


def _learn(executor: Executor, assigned: Assigned, parent: Parent) -> dict[str, Any]:
    from service.learning.run import Run  # it loads torch, as `load` did

    assignment = ASSIGNMENT.as_stored(assigned)
    logs.name_work(**assignment.ids)
    run = Run(progress=parent.progress, check=parent.check, losses=parent.losses)
    with tracing.span("learn", assignment.traceparent):
        result = executor.execute(assignment, run, parent.saved, parent.history)
    log.info("learned, judged and stored in %.2f s", result.report.cost.seconds)
    return result.model_dump(mode="json", exclude={"learned"})  # who gave the assignment knows them, and they are many
