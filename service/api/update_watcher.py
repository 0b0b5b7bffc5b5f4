"""One task looks, for everybody who waits: what became of an update, and which version is live elsewhere.

It looks every poll, and at once when this process changed something while anybody waits. Who waits holds no thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from service.api.limits.request_checks import AFTERWARDS, Scope
from service.contract.enums import UpdateState, Verdict
from service.errors import Busy
from service.registry import batches, states, updates
from service.registry.sql.tables import Model, Update, UpdateEvent, Version
from service.runtime import Runtime

log = logging.getLogger("tsuika.api")

MOST_WAITS = 1000
"""Callers that wait for an update at once; whoever comes then is told how it stands now, as when its time is over."""


@dataclass(frozen=True)
class Glimpse:
    """How an update stood at the last look. `settled`: final; served here if promoted, all bytes gone if it erases."""

    final: bool
    settled: bool
    progress: dict[str, Any] | None
    last_event: int


class Watch:
    """One who waits for news of one update."""

    def __init__(self) -> None:
        self.bell = asyncio.Event()
        self.glimpse: Glimpse | None = None

    async def news(self, seconds: float) -> bool:
        """Waits for the next change; -> whether there was one in time."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self.bell.wait()
        except TimeoutError:
            return False
        self.bell.clear()
        return True


class Watcher:
    """Made once a process; its task starts with the first request."""

    def __init__(self, runtime: Runtime) -> None:
        self.stopping = False
        self._runtime = runtime
        self._watches: dict[str, set[Watch]] = {}
        self._streams = self._waits = 0
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudge = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watcher")

    def start(self) -> None:
        """Begin to look, in the running loop; once is enough."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._look_again_and_again())
            self._runtime.on_change(self._look_now)

    def _look_now(self) -> None:
        """From any thread: something changed here. Where nobody waits for it the next poll is early enough."""
        if self._watches and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._nudge.set)

    async def stop(self) -> None:
        """Wake all who wait, and look no more."""
        self.stopping = True
        for watches in self._watches.values():
            for watch in watches:
                watch.bell.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False)

    @contextmanager
    def watching(self, update_id: str) -> Iterator[Watch]:
        """While the block runs, the watch hears of the update."""
        watch = Watch()
        self._watches.setdefault(update_id, set()).add(watch)
        self._nudge.set()
        try:
            yield watch
        finally:
            self._watches[update_id].discard(watch)
            if not self._watches[update_id]:
                del self._watches[update_id]

    def open_stream(self, scope: Scope) -> None:
        """Room for a stream of events until the request is over. Raises Busy."""
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
        if self._waits >= MOST_WAITS:
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._waits += 1
        try:
            with self.watching(update_id) as watch:
                while not self.stopping and (loop.time() < until):
                    if watch.glimpse is not None and watch.glimpse.settled:
                        return True
                    await watch.news(until - loop.time())
                return watch.glimpse is not None and watch.glimpse.settled
        finally:
            self._waits -= 1

    async def _look_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._nudge.clear()
            seen: dict[str, Glimpse] = {}
            try:
                # a thread would hold up the loop for longer than it takes to know that it is not needed
                if self._watches or not self._runtime.live.up_to_date:
                    seen = await loop.run_in_executor(self._thread, self._look, list(self._watches))
            except Exception:  # a look that fails must not be the last one
                log.exception("could not look at the database")
            for update_id, glimpse in seen.items():
                for watch in self._watches.get(update_id, ()):
                    if watch.glimpse != glimpse:
                        watch.glimpse = glimpse
                        watch.bell.set()
            try:
                async with asyncio.timeout(self._runtime.settings.poll_seconds):
                    await self._nudge.wait()
            except TimeoutError:
                continue

    def _look(self, update_ids: Collection[str]) -> dict[str, Glimpse]:
        self._runtime.live.refresh()
        if not update_ids:
            return {}
        with self._runtime.database.reading() as session:
            events = select(UpdateEvent.update_id, func.max(UpdateEvent.id))
            events = events.where(UpdateEvent.update_id.in_(update_ids)).group_by(UpdateEvent.update_id)
            last = dict(session.execute(events).all())
            found = session.execute(
                select(Update.id, Update.state, Update.verdict, Update.progress, Update.erase, Model, Version.number)
                .join(Model, Update.model_id == Model.id)
                .outerjoin(Version, Model.live_version_id == Version.id)
                .where(Update.id.in_(update_ids))
            )
            seen = {}
            for update_id, state, verdict, progress, erase, model, live in found:
                final = UpdateState(state) in states.FINAL
                served = model.archived_at is not None or self._runtime.live.serving_version(model.name) == live
                settled = final and (verdict != Verdict.PROMOTED or served)
                if settled and erase and state == UpdateState.SUCCEEDED:
                    settled = batches.are_erased(session, updates.find(session, update_id).batches)
                seen[update_id] = Glimpse(final, settled, progress, last.get(update_id, 0))
        return seen
