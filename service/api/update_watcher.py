"""One task polls the database for all who wait: for the states of updates, and for versions that went live elsewhere.

It polls at once when this process changed something while anybody waits. Who waits holds no thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import Scope

from service.api.access.keyring import Keyring
from service.api.limits.request_checks import AFTERWARDS
from service.api.live_scores import LiveScores
from service.api.waiting_rows import WaitingRows
from service.contract.enums import UpdateState, Verdict
from service.errors import Busy, TsuikaError
from service.registry import batches, leases, states
from service.registry.leases import Queue
from service.registry.sql.tables import Model, Update, UpdateEvent, Version
from service.runtime import Runtime

log = logging.getLogger("tsuika.api")

UNCLAIMED_SECONDS = 60.0
"""After so long without a worker, /readyz says that none is there."""


@dataclass(frozen=True)
class UpdateStatus:
    """An update at the last poll. `settled`: final, and served here if promoted, all bytes gone if it erases."""

    final: bool
    settled: bool
    progress: dict[str, Any] | None
    last_event: int


class Follower:
    """One who waits for news of an update."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.status: UpdateStatus | None = None

    async def news(self, seconds: float) -> bool:
        """Waits for the next change; -> whether there was one in time."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self.changed.wait()
        except TimeoutError:
            return False
        self.changed.clear()
        return True


class Watcher:
    """The watcher of a process; its task starts with the first request."""

    def __init__(self, runtime: Runtime, keyring: Keyring) -> None:
        self.stopping = False
        self._runtime, self._keyring = runtime, keyring
        self._followers: dict[str, set[Follower]] = {}
        self._streams = self._waits = 0
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudge = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watcher")
        self.scores = LiveScores(runtime)
        self.waiting_rows = WaitingRows()
        self._mark: int | None = None
        self._queue, self._queue_at = Queue(), time.monotonic()
        """The queue as of that mark of the database, and when it was read."""

    @property
    def streams(self) -> int:
        """Streams of events that are open."""
        return self._streams

    @property
    def queue(self) -> Queue:
        """The open updates as of the last commit of anybody, and how long they have waited by now."""
        waiting, running, *seconds = self._queue
        since = time.monotonic() - self._queue_at
        return Queue(waiting, running, *(None if each is None else each + since for each in seconds))

    def trouble(self) -> str | None:
        """Why nothing is learned: updates wait, and no worker takes them."""
        seconds = self.queue.unclaimed_seconds
        if seconds is None or seconds < UNCLAIMED_SECONDS:
            return None
        return f"Updates have waited for {seconds:.0f} s and no worker takes them: start `tsuika work`."

    def start(self) -> None:
        """Starts to poll, in the running loop; once is enough."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._poll_forever())
            self._runtime.on_change(self._poll_now)

    def _poll_now(self) -> None:
        """Polls at once, called from any thread. Where nobody waits the next poll is early enough."""
        if self._followers and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._nudge.set)

    async def stop(self) -> None:
        """Wakes all who wait, and polls no more."""
        self.stopping = True
        for followers in self._followers.values():
            for follower in followers:
                follower.changed.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def close(self) -> None:
        """Waits for the poll that was cut off: from then on nothing reads the database here."""
        self._thread.shutdown()

    @contextmanager
    def following(self, update_id: str) -> Iterator[Follower]:
        """Registers a follower of the update while the block runs."""
        follower = Follower()
        self._followers.setdefault(update_id, set()).add(follower)
        self._nudge.set()
        try:
            yield follower
        finally:
            self._followers[update_id].discard(follower)
            if not self._followers[update_id]:
                del self._followers[update_id]

    def open_stream(self, scope: Scope) -> None:
        """Reserves room for a stream of events until the request is over. Raises Busy."""
        if self._streams >= self._runtime.settings.event_streams:
            raise Busy(
                "As many event streams as may be are open. Ask for the update itself, GET /v1/updates/{update}, or try "
                "again in a moment. TSUIKA_EVENT_STREAMS says how many may be.",
                retry_after=5,
            )
        self._streams += 1
        scope[AFTERWARDS].append(self._close_stream)

    def _close_stream(self) -> None:
        self._streams -= 1

    async def until_settled(self, update_id: str, seconds: float) -> bool:
        """Waits until the update is final and served here; -> whether it is. Ends early when the process stops, and at
        once where too many wait."""
        if self._waits >= self._runtime.settings.update_waits:
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._waits += 1
        try:
            with self.following(update_id) as follower:
                while not self.stopping and (loop.time() < until):
                    if follower.status is not None and follower.status.settled:
                        return True
                    await follower.news(until - loop.time())
                return follower.status is not None and follower.status.settled
        finally:
            self._waits -= 1

    async def _poll_forever(self) -> None:
        loop, refusal = asyncio.get_running_loop(), ""
        while True:
            self._nudge.clear()
            seen: dict[str, UpdateStatus] = {}
            try:
                # a thread would hold up the loop for longer than it takes to know that it is not needed
                up_to_date = self._runtime.live.up_to_date and self._keyring.up_to_date and self._sees_all
                up_to_date = up_to_date and not self.waiting_rows.is_due(self._runtime.database.mark())
                if self._followers or not up_to_date:
                    seen = await loop.run_in_executor(self._thread, self._poll, list(self._followers))
                refusal = ""
            except TsuikaError as error:  # while the database is away each poll says the same
                if error.detail != refusal:
                    log.warning("could not look at the database: %s", error.detail)
                refusal = error.detail
            except Exception:  # a poll that fails must not be the last one
                log.exception("could not look at the database")
            for update_id, status in seen.items():
                for follower in self._followers.get(update_id, ()):
                    if follower.status != status:
                        follower.status = status
                        follower.changed.set()
            try:
                async with asyncio.timeout(self._runtime.settings.poll_seconds):
                    await self._nudge.wait()
            except TimeoutError:
                continue

    @property
    def _sees_all(self) -> bool:
        """Whether nothing was committed since the last poll began."""
        return self._runtime.database.mark() == self._mark

    def _poll(self, update_ids: Collection[str]) -> dict[str, UpdateStatus]:
        database, live = self._runtime.database, self._runtime.live
        mark = database.mark()
        with database.reading() as session:
            if mark != self._mark:
                with self._keyring.reading, live.reading:  # the first statement begins the transaction
                    self._keyring.read(session, mark)
                    live.read(session, mark)
                self.scores.refresh(session)
                self._queue, self._queue_at = leases.queue(session), time.monotonic()
            self.waiting_rows.refresh(session, mark)
            rows = _rows(session, update_ids) if update_ids else []
        live.follow(mark)
        self._mark = mark
        seen = {}
        for update, gone, model, number, event in rows:
            final = states.is_final(update)
            served = model.archived_at is not None or live.serving_version(model.name) == number
            settled = final and gone and (update.verdict != Verdict.PROMOTED or served)
            seen[update.id] = UpdateStatus(final, settled, update.progress, event or 0)
        return seen


def _rows(session: Session, update_ids: Collection[str]) -> list[tuple[Update, bool, Model, int | None, int | None]]:
    """Updates; whether nothing is left of what they erase; their models, with the numbers of the live versions; their
    last events."""
    last = select(func.max(UpdateEvent.id)).where(UpdateEvent.update_id == Update.id).scalar_subquery()
    query = (
        select(Update, Model, Version.number, last)
        .join(Model, Update.model_id == Model.id)
        .outerjoin(Version, Model.live_version_id == Version.id)
        .where(Update.id.in_(update_ids))
    )
    rows = []
    for update, model, live, event in session.execute(query):
        erases = update.erase and update.state == UpdateState.SUCCEEDED
        rows.append((update, not erases or batches.are_erased(session, update.batches), model, live, event))
    return rows
