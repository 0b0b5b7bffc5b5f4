"""The reading process as its parent sees it: started for the first large body, kept, and replaced when it dies.

A thread that decodes 32 MB of JSON stalls all predictions for half a second; a process of lower priority stalls none.
It reads one body at a time: others wait, and beyond a few they are refused.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from service.api.reader.spool import Spooled, clear
from service.contract.body_limits import BodyLimits
from service.errors import Busy, ChildFailed
from service.settings import MiB, Settings
from service.telemetry import logs
from service.tuning import room
from service.tuning.child import Child
from service.tuning.messages import Done, Message, Refused

PROGRAM = "service.api.reader"
"""The program of the process."""
WAITING = 12
"""Tasks that wait or run: fewer than the threads of handlers, so that the others go on."""
FIXED_BYTES, BYTES_A_BYTE = 512 * MiB, 48
"""Memory of the process: a number of two characters, `0,`, becomes an object of 32 bytes and one of 8 in an array. Half
of the machine's is for others, however large a body may be."""

log = logging.getLogger("tsuika.reading")


class Ended(Busy):
    """The process ended, or was ended, in the middle of a body: what it had stored of it is not known."""


class Reader:
    """Runs tasks over spooled bodies in the reading process; callable from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._root, self._seconds = settings.data / "spool", settings.reading_seconds
        memory = FIXED_BYTES + min(BYTES_A_BYTE * settings.max_body_bytes, room.memory() // 2)
        priority, reserve = settings.child_priority, settings.reserve_bytes
        self._arguments = settings.store_url, str(memory), priority, str(reserve)
        self._limits = settings.model_dump(include=set(BodyLimits.model_fields))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._room = threading.BoundedSemaphore(WAITING)
        self._child: Child | None = None
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
        """Ends the process, in the middle of a body, too, and the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._kill()
        self._thread.shutdown()  # which may have been starting it
        self._kill()

    def _submit(self, body: Spooled, do: str, task: dict[str, Any]) -> Future[dict[str, Any]]:
        if not self._room.acquire(blocking=False):
            raise Busy("As many large bodies as may wait are being read. Send it again in a moment.", retry_after=2)
        ids = dict(logs.ids_at_work())
        order = {"do": do, "folder": str(body.folder), "ids": ids, "limits": self._limits, **task}
        work = self._thread.submit(self._answered, order)
        work.add_done_callback(lambda _: self._room.release())
        return work

    def _answered(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            message = self._talk(order)
        except BaseException:
            self._kill()
            raise
        if isinstance(message, Refused):
            error = message.error()
            if isinstance(error, ChildFailed):  # what it read may stand in its words
                raise RuntimeError(f"the reading process met an error: {error.detail.partition(':')[0]}")
            raise error
        assert isinstance(message, Done)
        return message.result

    def _talk(self, order: dict[str, Any]) -> Message:
        """Gives an order and returns the answer. Raises Ended where the process ends or takes too long."""
        child = self._warm()
        child.tell(**order)
        try:
            message = child.hear(self._seconds)
        except EOFError:
            log.warning("the process that reads large bodies ended in the middle of one")
            raise Ended("The process that read this body ended. Send it again; if it ends again, in parts.") from None
        if message is None:
            raise Ended(f"Reading this body took more than {self._seconds:g} s. Send it in parts.")
        return message

    def _warm(self) -> Child:
        if self._child is None or self._child.process.poll() is not None:
            self._kill()
            self._child = Child(PROGRAM, *self._arguments)
        return self._child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
