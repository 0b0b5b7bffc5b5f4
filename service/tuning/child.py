"""A process beside the one that serves: how its parent starts, hears and ends it, and how it begins and listens. They
talk in lines of JSON over its standard input and output: nothing is pickled."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TextIO

from service.tuning.messages import Message, line_of, message_of
from service.tuning.priority import end_with_parent, step_aside

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numerical libraries ask for the number of their threads."""


class Child:
    """`python -m program` as its parent sees it, in a group of its own, so that Ctrl-C is for the parent alone. Any
    thread may call.

    `session`: in a session of its own, too. There its priority means nothing to processes of the parent's session.
    """

    def __init__(self, program: str, *arguments: str, threads: int = 1, session: bool = False) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=session,
            process_group=None if session else 0,
            env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
        )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for work, pipe in ((self._listen, self.process.stdout), (self._write, self.process.stdin)):
            threading.Thread(target=work, args=(pipe,), daemon=True, name="child-pipe").start()

    def tell(self, **order: Any) -> None:
        """Hands an order to the thread that writes, and does not wait: the process may have stopped reading."""
        self.tell_json(json.dumps(order).encode())

    def tell_json(self, order: bytes) -> None:
        """The same of an order that is JSON already."""
        self._orders.put(order + b"\n")

    def hear(self, seconds: float) -> Message | None:
        """Its next message; None where none came in that time, or `wake` was called. Raises EOFError where it has
        ended."""
        try:
            line = self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if line is None:
            raise EOFError
        return message_of(line) if line else None

    def wake(self) -> None:
        """Has `hear` return."""
        self._lines.put(b"")

    def end(self) -> None:
        """Kills it and everything in its group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._orders.put(None)

    def _listen(self, pipe: IO[bytes]) -> None:
        """Puts its lines into the queue until its output ends, then None."""
        with pipe:
            for line in pipe:
                if line.endswith(b"\n"):  # else it ended in the middle of one
                    self._lines.put(line)
        self._lines.put(None)

    def _write(self, pipe: IO[bytes]) -> None:
        """Writes orders until it is gone, or until None."""
        with pipe, suppress(BrokenPipeError):
            while (line := self._orders.get()) is not None:
                left = memoryview(line)
                while left:
                    left = left[os.write(pipe.fileno(), left) :]


def begin(priority: str) -> TextIO:
    """Steps aside and ends with the parent from now on. -> where answers go; what else prints goes to standard error"""
    sink = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    end_with_parent()
    step_aside(priority)
    return sink


def listen(source: TextIO, heard: Callable[[dict[str, Any]], None]) -> None:
    """Hands each order of the parent to `heard`, from a thread. The end of the parent is the end of this process, in
    the middle of a step, too."""

    def hear() -> None:
        for line in source:
            heard(json.loads(line))
        os._exit(0)

    threading.Thread(target=hear, daemon=True, name="parent").start()


def say(sink: TextIO, message: Message) -> None:
    sink.write(line_of(message))
    sink.flush()
