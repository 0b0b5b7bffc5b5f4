"""The warm child: a process with torch loaded that learns one update at a time and ends with its parent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from pydantic_core import to_json

from service.errors import (
    BudgetSpent,
    Cancelled,
    ChildFailed,
    ChildLost,
    ClusterAway,
    Conflict,
    DeviceFull,
    DeviceMissing,
    DiskFull,
    Diverged,
    InvalidContent,
    MethodRefused,
    StoreAway,
    TsuikaError,
)
from service.settings import Settings
from service.tuning.child import Child
from service.tuning.messages import Asks, Done, End, Message, Progress, Ready, Refused, Saved
from service.worker.assignment import Assignment, BatchFacts, Result

log = logging.getLogger("tsuika.worker")

CHILD = "service.worker.child"
"""The program of the child."""
ON_CLUSTER = "service.worker.cluster"
"""The program in its place where updates learn on a Ray cluster."""
START_SECONDS = 120.0
"""How long a child may take to be ready, at least: while it loads libraries, no update stands still."""
CANCEL_GRACE_SECONDS = 1.0
"""How long a child may take to stop by itself before it is killed."""


class NoProgress(TsuikaError, slug="no-progress", title="Learning stood still"):
    """Learning stood still past the deadline."""


class Yielding(TsuikaError, slug="yielding", title="Learning made room"):
    """A challenger makes room for an update that somebody waits for."""


FINAL = (InvalidContent, Conflict, Diverged, DeviceMissing, DeviceFull)
"""Refusals of learning, which another attempt would meet again."""
SURVIVED = (*FINAL, ChildFailed, BudgetSpent, StoreAway, ClusterAway)
"""What ends an update and not the child, which takes the next assignment."""
KNOWN = (MethodRefused, Cancelled, DiskFull, ChildLost, *SURVIVED)
"""Errors of the child by whose kind the parent goes on."""


class WarmChild:
    """Runs assignments in a child process; starts it when needed, replaces it after `max_updates`.

    cluster: the address of the Ray cluster on which it has them learned, if any."""

    def __init__(
        self,
        threads: int,
        max_updates: int,
        progress_deadline_seconds: float,
        priority: str = "idle",
        cluster: str | None = None,
    ) -> None:
        self._threads, self._max_updates, self._deadline = threads, max_updates, progress_deadline_seconds
        self._priority, self._cluster = priority, cluster
        self._child: Child | None = None
        self._done = 0
        self._ready = self._running = False

    @classmethod
    def of(cls, settings: Settings) -> WarmChild:
        """The child of a worker with these settings."""
        limits = settings.child_max_updates, settings.progress_deadline_seconds
        return cls(settings.child_threads, *limits, settings.child_priority, settings.ray)

    def wake(self) -> None:
        """Has `tick` called now, from any thread: something may have changed for the update that runs."""
        child = self._child
        if self._running and child is not None:
            child.wake()

    def warm(self) -> Child:
        """Starts the child, ahead of its first assignment, unless it runs."""
        if self._child is None or self._child.process.poll() is not None:
            self.kill()
            threads = self._threads
            program, where = (ON_CLUSTER, self._cluster) if self._cluster else (CHILD, self._priority)
            self._child = Child(program, str(threads), where, threads=threads, session=True)
        return self._child

    def run(
        self,
        assignment: Assignment,
        tick_seconds: float,
        tick: Callable[[Progress | None], bool],
        saved: Callable[[str], None] = lambda digest: None,
        history: Callable[[], BatchFacts] | None = None,
    ) -> Result:
        """Executes an assignment; -> its result. `tick` gets the latest progress each `tick_seconds` or sooner; if it
        returns True the child is ended and Cancelled raised. `saved` gets the digest of each save of its trainings;
        `history` answers a child that asks for what a brief assignment lacks. What they raise ends the child, too.

        Raises Cancelled, ChildLost, ChildFailed, NoProgress, InvalidContent, Conflict, Diverged, StoreAway,
        ClusterAway.
        """
        child, self._running = self.warm(), True
        child.tell_json(to_json({"assignment": assignment}, by_alias=False))
        try:
            for message in self._messages(child, tick_seconds, tick):
                match message:
                    case Done(result):
                        self._done += 1
                        made = Result.model_validate({**result, "learned": []})
                        return made.model_copy(update={"learned": assignment.learned})
                    case Refused():
                        raise known(message.error())
                    case Saved(digest):
                        saved(digest)
                    case Asks() if history is not None:
                        child.tell_json(to_json({"history": history()}, by_alias=False))
            raise ChildLost("The learning process ended before it was done.")
        except Yielding:
            self._cancel(child, keep=True)
            raise
        except Cancelled:
            self._cancel(child)
            raise
        except SURVIVED:
            raise
        except BaseException:
            self.kill()
            raise
        finally:
            self._running = False
            if self._done >= self._max_updates:
                self.kill()

    def _messages(
        self, child: Child, tick_seconds: float, tick: Callable[[Progress | None], bool]
    ) -> Iterator[Message]:
        """Saves and ends; calls `tick` in between.

        The same progress again is none, and neither is an assignment that the child has not read. Time is counted
        between looks, at most a tick at once: a parent that was paused blames no child. Raises NoProgress past the
        deadline, however well the heartbeats go.
        """
        progress: Progress | None = None
        still, looked = 0.0, time.monotonic()
        while True:
            try:
                message = child.hear(tick_seconds)
            except EOFError:
                return
            at = time.monotonic()
            still, looked = still + min(at - looked, tick_seconds), at
            if isinstance(message, Ready):
                self._ready, still = True, 0.0
            elif isinstance(message, Progress):
                progress, still = message, still if message == progress else 0.0
            elif message is not None:
                yield message
                continue
            deadline = self._deadline if self._ready else max(self._deadline, START_SECONDS)
            if still >= deadline:
                raise NoProgress(f"No progress for {deadline:g} s; the process was ended.")
            if tick(progress):
                raise Cancelled("Somebody asked it to stop.")

    def _cancel(self, child: Child, keep: bool = False) -> None:
        """Asks the child to stop at its next step, then ends it with all that it has in hand. `keep`: one that stops by
        itself stays warm."""
        child.tell(cancel=True)
        until = time.monotonic() + CANCEL_GRACE_SECONDS
        with suppress(EOFError):
            while (left := until - time.monotonic()) > 0:
                if isinstance(child.hear(left), End):
                    if keep:
                        return
                    break
            else:
                log.warning("the learning process did not stop by itself")
        self.kill()

    def kill(self) -> None:
        """Ends the child and everything in its session."""
        child, self._child = self._child, None
        self._done, self._ready = 0, False
        if child is not None:
            child.end()


def known(error: TsuikaError) -> TsuikaError:
    """An error of the child, if the parent goes on by its kind; else a ChildFailed."""
    return error if type(error) in KNOWN else ChildFailed(error.detail)
