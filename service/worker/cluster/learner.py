"""The learning process on a node of the cluster: an actor that answers assignments."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from service.settings import inherited_log_format
from service.telemetry import logs, tracing
from service.tuning.messages import End, Message
from service.worker.child.answering import Assigned, Parent, answer, load
from service.worker.cluster.connection import Facts

if TYPE_CHECKING:
    from service.worker.child.train import Executor


class Learner:
    """Answers one assignment at a time; two of its methods run at once, so that `cancel` reaches one that learns."""

    def __init__(self, threads: int) -> None:
        logs.set_up(inherited_log_format(), "learning")
        tracing.start("learning")
        self._threads = threads
        self._executor: Executor | None = None
        self._parent: Parent | None = None
        self._loading = threading.Lock()

    def facts(self, paths: Sequence[str]) -> Facts:
        """What this process is like; see `Facts`."""
        return Facts.here(paths)

    def load(self) -> None:
        """Loads the libraries, ahead of the first assignment."""
        self._loaded()

    def _loaded(self) -> Executor:
        with self._loading:
            if self._executor is None:
                from service.worker.cluster.tasks import tasks  # it loads torch

                self._executor = load(self._threads, tasks)
            return self._executor

    def learn(self, assignment: Assigned, cached: bool) -> Iterator[Message]:
        """Answers an assignment; -> progress, then a result or an error.

        cached: whether this node sees the parent's cache, which then forgets what is erased. Elsewhere nothing that
        is learned is kept.
        """
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        parent = self._parent = Parent(messages.put)
        places = {**assignment["places"], "crash_point": None}
        assignment = {**assignment, "places": places}
        if str(assignment.get("device", "")).startswith("cuda"):
            assignment["device"] = "cuda"  # Ray shows it the one GPU that it may use
        with tempfile.TemporaryDirectory(prefix="tsuika-", ignore_cleanup_errors=True) as elsewhere:
            if not cached:
                places |= {"cache": elsewhere, "cache_bytes": 0}
            arguments = (self._loaded(), assignment, parent)
            learning = threading.Thread(target=answer, args=arguments, daemon=True, name="learn")
            learning.start()
            while not isinstance(message := messages.get(), End):
                yield message
            yield message
            learning.join()  # it may write its sums to the cache

    def cancel(self) -> None:
        """Stops what is learned at its next step."""
        if self._parent is not None:
            self._parent.cancelled.set()
