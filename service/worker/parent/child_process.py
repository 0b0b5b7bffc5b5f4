"""The warm child: a process with torch loaded that learns one update at a time and ends with its parent.

An assignment goes down and progress and the result come up, as lines of JSON: nothing is pickled. The end of its
standard input is the end of its parent for the child, so no orphan trains on.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from service.errors import (
    BudgetSpent,
    Cancelled,
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
from service.tuning import child
from service.worker.assignment import Assignment, Result

log = logging.getLogger("tsuika.worker")

CHILD = "service.worker.child"
"""The program of the child."""
ON_CLUSTER = "service.worker.cluster"
"""The program in its place where updates learn on a Ray cluster."""
START_SECONDS = 120.0
"""How long a child may take to be ready, at least: while it loads libraries, no update stands still."""
CANCEL_GRACE_SECONDS = 1.0
"""How long a child may take to stop by itself before it is killed."""

Progress = dict[str, Any]


class ChildLost(TsuikaError, slug="child-lost", title="The learning process was lost"):
    """The process that learned ended before it was done."""


class ChildFailed(TsuikaError, slug="learning-failed", title="Learning failed"):
    """Learning raised an error that may pass, so it is tried again."""


class NoProgress(TsuikaError, slug="no-progress", title="Learning stood still"):
    """Learning stood still past the deadline."""


class Yielding(TsuikaError, slug="yielding", title="Learning made room"):
    """A challenger makes room for an update that somebody waits for."""


SURVIVED = (
    ChildFailed,
    InvalidContent,
    Conflict,
    Diverged,
    DeviceMissing,
    DeviceFull,
    BudgetSpent,
    StoreAway,
    ClusterAway,
)
"""What ends an update and not the child, which takes the next assignment."""


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
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._done = 0
        self._ready = self._running = False

    def wake(self) -> None:
        """Has `tick` called now, from any thread: something may have changed for the update that runs."""
        if self._running:
            self._lines.put(b"")

    def warm(self) -> None:
        """Starts the child, ahead of its first assignment, unless it runs."""
        if self._process is None or self._process.poll() is not None:
            self._start()

    def run(
        self,
        assignment: Assignment,
        tick_seconds: float,
        tick: Callable[[Progress | None], bool],
        saved: Callable[[str], None] = lambda digest: None,
    ) -> Result:
        """Executes an assignment; -> its result. `tick` gets the latest progress each `tick_seconds` or sooner; if it
        returns True the child is ended and Cancelled raised. `saved` gets the digest of each save of its trainings.
        What they raise ends the child, too.

        Raises Cancelled, ChildLost, ChildFailed, NoProgress, InvalidContent, Conflict, Diverged, StoreAway,
        ClusterAway.
        """
        self.warm()
        self._running = True
        self._send({"assignment": assignment.model_dump(mode="json")})
        try:
            for message in self._messages(tick_seconds, tick):
                if "result" in message:
                    self._done += 1
                    return Result.model_validate(message["result"])
                if "error" in message:
                    raise _error(message["error"])
                if "saved" in message:
                    saved(message["saved"])
            raise ChildLost("The learning process ended before it was done.")
        except Yielding:
            self._cancel(keep=True)
            raise
        except Cancelled:
            self._cancel()
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

    def _messages(self, tick_seconds: float, tick: Callable[[Progress | None], bool]) -> Iterator[dict[str, Any]]:
        """Messages of the child until its output ends; calls `tick` in between.

        The same progress again is none, and neither is an assignment that the child has not read. Time is counted
        between looks, at most a tick at once: a parent that was paused blames no child. Raises NoProgress past the
        deadline, however well the heartbeats go.
        """
        progress: Progress | None = None
        still, looked = 0.0, time.monotonic()
        while True:
            try:
                line: bytes | None = self._lines.get(timeout=tick_seconds)
            except queue.Empty:
                line = b""
            at = time.monotonic()
            still, looked = still + min(at - looked, tick_seconds), at
            if line is None:
                return
            message = json.loads(line) if line else {}
            if "ready" in message:
                self._ready, still = True, 0.0
            elif message and "progress" not in message:
                yield message
                continue
            elif message.get("progress", progress) != progress:
                progress, still = message["progress"], 0.0
            deadline = self._deadline if self._ready else max(self._deadline, START_SECONDS)
            if still >= deadline:
                raise NoProgress(f"No progress for {deadline:g} s; the process was ended.")
            if tick(progress):
                raise Cancelled("Somebody asked it to stop.")

    def _cancel(self, keep: bool = False) -> None:
        """Asks the child to stop at its next step, then ends it with all that it has in hand. `keep`: one that stops by
        itself stays warm."""
        self._send({"cancel": True})
        until = time.monotonic() + CANCEL_GRACE_SECONDS
        try:
            while (line := self._lines.get(timeout=max(0.0, until - time.monotonic()))) is not None:
                if line and not {"progress", "ready"}.intersection(json.loads(line)):
                    if keep:
                        return
                    break
        except queue.Empty:
            log.warning("the learning process did not stop by itself")
        self.kill()

    def kill(self) -> None:
        """Ends the child and everything in its session."""
        process, self._process = self._process, None
        if process is None:
            return
        self._done, self._ready = 0, False
        child.end(process)
        self._orders.put(None)
        if process.stdout is not None:
            process.stdout.close()

    def _start(self) -> None:
        self.kill()
        threads = self._threads
        program, where = (ON_CLUSTER, self._cluster) if self._cluster else (CHILD, self._priority)
        self._process = child.start(program, str(threads), where, threads=threads, session=True)
        self._lines, self._orders = queue.Queue(), queue.SimpleQueue()
        for work, messages in ((_pump, self._lines), (_feed, self._orders)):
            threading.Thread(target=work, args=(self._process, messages), daemon=True, name="child-pipe").start()

    def _send(self, message: dict[str, Any]) -> None:
        """Hands a message to the thread that writes, and does not wait: a child may have stopped reading."""
        self._orders.put(json.dumps(message).encode() + b"\n")


def _feed(process: subprocess.Popen[bytes], orders: queue.SimpleQueue[bytes | None]) -> None:
    """Writes lines to the child until it is gone, or until None. Its standard input belongs to this thread."""
    assert process.stdin is not None
    with process.stdin as pipe:
        try:
            while (line := orders.get()) is not None:
                left = memoryview(line)
                while left:
                    left = left[os.write(pipe.fileno(), left) :]
        except BrokenPipeError:
            log.warning("the learning process is gone")


def _pump(process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None]) -> None:
    """Puts the child's lines into the queue until its output ends, then None."""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.put(line)
    except ValueError:
        log.debug("the output of the learning process was closed")
    lines.put(None)


def _error(error: dict[str, Any]) -> TsuikaError:
    """The error that the child reported, by its kind where the parent goes on by that; all else is a ChildFailed."""
    refusals: tuple[type[TsuikaError], ...] = (MethodRefused, Cancelled, DiskFull, ChildLost, *SURVIVED)
    kind = next((kind for kind in refusals if kind.slug == error["slug"]), ChildFailed)
    return kind(error["detail"])
