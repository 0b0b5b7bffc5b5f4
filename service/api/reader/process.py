"""The reading process as its parent sees it: started for the first large body, kept, and replaced when it dies.

A thread that decodes 32 MB of JSON stalls all predictions for half a second; a process of lower priority stalls none.
It reads one body at a time: others wait, and beyond a few they are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from service.api.reader.spool import Spooled, clear
from service.api.reader.tasks import refusal
from service.errors import Busy
from service.settings import MiB, Settings
from service.telemetry import logs
from service.tuning import child

PROGRAM = "service.api.reader"
"""The program of the process."""
TASK_SECONDS = 120.0
"""How long one task may take."""
WAITING = 12
"""Tasks that wait or run: fewer than the threads of handlers, so that the others go on."""
FIXED_BYTES, BYTES_A_BYTE = 512 * MiB, 48
"""Memory of the process: a number of two characters, `0,`, becomes an object of 32 bytes and one of 8 in an array."""

log = logging.getLogger("tsuika.reading")


class Ended(Busy):
    """The process ended, or was ended, in the middle of a body: what it had stored of it is not known."""


class Reader:
    """Runs tasks over spooled bodies in the reading process; callable from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.data / "spool"
        memory = FIXED_BYTES + BYTES_A_BYTE * settings.max_body_bytes
        priority, reserve = settings.child_priority, settings.reserve_bytes
        self._arguments = settings.store_url, str(memory), priority, str(reserve)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._room = threading.BoundedSemaphore(WAITING)
        self._process: subprocess.Popen[bytes] | None = None
        clear(self._root)

    def spool(self) -> Spooled:
        """Makes a folder for a large body; the process starts while the body arrives. Raises DiskFull."""
        self._thread.submit(self._warm)
        return Spooled(self._root)

    def run(self, body: Spooled, do: str, **task: Any) -> dict[str, Any]:
        """Runs a task and returns its result. Raises Busy, BrokenJSON, InvalidContent, TooLarge, DiskFull."""
        return self._submit(body, do, task).result()

    async def wait(self, body: Spooled, do: str, **task: Any) -> dict[str, Any]:
        """As `run`, from the event loop."""
        return await asyncio.wrap_future(self._submit(body, do, task))

    def close(self) -> None:
        """Ends the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._kill()

    def _submit(self, body: Spooled, do: str, task: dict[str, Any]) -> Future[dict[str, Any]]:
        if not self._room.acquire(blocking=False):
            raise Busy("As many large bodies as may wait are being read. Send it again in a moment.", retry_after=2)
        line = (
            json.dumps({"do": do, "folder": str(body.folder), "ids": dict(logs.ids_at_work()), **task}).encode() + b"\n"
        )
        work = self._thread.submit(self._answered, line)
        work.add_done_callback(lambda _: self._room.release())
        return work

    def _answered(self, line: bytes) -> dict[str, Any]:
        try:
            report: dict[str, Any] = json.loads(self._talk(line))
        except BaseException:
            self._kill()
            raise
        if "done" in report:
            result: dict[str, Any] = report["done"]
            return result
        if "refused" in report:
            raise refusal(report["refused"])
        raise RuntimeError(f"the reading process met an error: {report['failed']}")

    def _talk(self, line: bytes) -> bytes:
        """Writes one line and reads one back. Raises Ended where the process ends or takes too long."""
        process = self._warm()
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + TASK_SECONDS
        try:
            _write(process.stdin.fileno(), line, until)
            return _line(process.stdout.fileno(), until)
        except TimeoutError:
            raise Ended(f"Reading this body took more than {TASK_SECONDS:g} s. Send it in parts.") from None
        except (OSError, EOFError):
            log.warning("the process that reads large bodies ended in the middle of one")
            raise Ended("The process that read this body ended. Send it again; if it ends again, in parts.") from None

    def _warm(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._kill()
            self._process = child.start(PROGRAM, *self._arguments)
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        child.end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _write(descriptor: int, line: bytes, until: float) -> None:
    """Writes a line into a pipe, which holds 64 kB until somebody reads. Raises TimeoutError."""
    os.set_blocking(descriptor, False)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    left = memoryview(line)
    while left:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise TimeoutError
        left = left[os.write(descriptor, left) :]


def _line(descriptor: int, until: float) -> bytes:
    """Reads the next line of a pipe. Raises EOFError, TimeoutError."""
    poll = select.poll()  # select() cannot name descriptors beyond 1,023
    poll.register(descriptor, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise TimeoutError
        if not (data := os.read(descriptor, 65536)):
            raise EOFError
        line += data
    return line
