"""The parent: claims updates, has the child learn them, publishes, and hands back what runs when it is to stop."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial

from service.contract.enums import Retention, UpdateState
from service.errors import (
    BudgetSpent,
    Busy,
    Cancelled,
    ChildFailed,
    ClusterAway,
    CorruptArtifact,
    DiskFull,
    Incomplete,
    LeaseLost,
    NotWritable,
    SchemaMismatch,
    StoreAway,
    TsuikaError,
)
from service.registry import leases, states, updates
from service.registry.callers.actor import WORKER, Actor, act_as
from service.registry.rows import retention as registry
from service.registry.sql.database import now
from service.registry.sql.tables import Model, Update
from service.runtime import Runtime
from service.storage.artifacts import exam_area, model_area
from service.telemetry import logs, tracing
from service.telemetry.tracing import Span
from service.upkeep import gc, retention
from service.worker.assignment import Assignment, Result
from service.worker.parent import assign, erasure, figures
from service.worker.parent.child_process import FINAL, WarmChild, Yielding
from service.worker.parent.heartbeat import Heartbeat, Stopping
from service.worker.parent.publish import finish_empty, finish_lost, give_up, publish
from service.worker.parent.saved_trainings import SavedTrainings

LOOK_AGAIN_SECONDS, TRY_AGAIN_SECONDS = 60.0, 2.0
"""How long after a look for unfinished erasures and half-written files the next follows, and after one that was
refused."""
LEASES_AHEAD = 2.0
"""A lease that ends so many leases later than now was written before the clock was set back."""

SERVES = "serve"
"""The kind of the worker inside `tsuika serve`. No two of them live at once: its process holds locks of the data folder
and of the database, which go with it however it ends."""

log = logging.getLogger("tsuika.worker")


class Worker:
    """A thread that is the parent of one warm child. Its name is new at every start, never that of a host.

    on_end: called in that thread when it ends · kind: `SERVES` where its process holds the locks of `tsuika serve` ·
    child: one that was started before · refused: why it ended by itself.
    """

    def __init__(
        self,
        runtime: Runtime,
        on_end: Callable[[], None] = lambda: None,
        kind: str = "worker",
        child: WarmChild | None = None,
    ) -> None:
        self._runtime, self._settings = runtime, runtime.settings
        self._kind, self._name = kind, f"{kind}-{uuid.uuid4().hex}"
        self._stop, self._on_end = threading.Event(), on_end
        self.refused: SchemaMismatch | None = None
        self._child = child or WarmChild.of(self._settings)
        self._away, self._put_offs = "", 0  # why the cluster took no update, and how often since it last did
        self._marks: tuple[object, ...] | None = None
        self._at_rest: int | None = None
        """The database's mark before a look without open updates: there is none until somebody commits."""
        self._look_again = 0.0
        """When to look for unfinished erasures, on the monotonic clock."""
        self._erased: float | None = None
        """When the last batch was erased, as of the last look."""
        self._lasting: set[int] = set()
        """Models that the child has learned while all of their rows were kept."""
        self._ahead: dict[str, tuple[float, float]] = {}
        """Update whose lease ends too late -> when it ends, and since when that is known (monotonic)."""
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._runtime.on_change(self._child.wake)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Hands back what runs, ends the child, and returns within `seconds`."""
        self._stop.set()
        self._runtime.work.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("the database does not answer: what is being learned is taken up once its lease has ended")
        self._child.kill()

    def trouble(self) -> str | None:
        """Why it learns no more, if so."""
        if self.refused is None:
            return self._away or None
        return "The database belongs to another version of Tsuika now: stop this process, and start that version."

    def _run(self) -> None:
        act_as(WORKER)
        step, waiting_for = self._begin, ""
        try:
            while not self._stop.is_set():
                try:
                    if not step():
                        self._runtime.work.wait(self._settings.poll_seconds)
                        self._runtime.work.clear()
                    step, waiting_for = self._step, ""
                except SchemaMismatch as mismatch:
                    log.error("the worker ends: %s", mismatch.detail)
                    self.refused = mismatch
                    return
                except NotWritable as reason:
                    if reason.detail != waiting_for:
                        log.error("the worker waits: %s", reason.detail)
                    step, waiting_for = self._begin, reason.detail
                    self._stop.wait(1.0)
                except Exception:
                    log.exception("the worker met an error and goes on")
                    step = self._begin
                    self._stop.wait(1.0)
        finally:
            self._child.kill()
            self._on_end()

    def _begin(self) -> bool:
        """Starts the child, and finishes erasures that a crash cut short."""
        log.info("%s begins", self._name)  # claims name it
        self._child.warm()
        if self._kind == SERVES and not self._runtime.database.shared:
            self._take_over()
        erasure.sweep(self._runtime)
        self._finish_erasures()
        for model_id in retention.unfinished(self._runtime):
            retention.finish(self._runtime, model_id)
        return True

    def _take_over(self) -> None:
        """Queues again what the worker of the service before this one had claimed: it died, for its locks are ours."""
        with self._runtime.database.reading() as session:
            left = leases.left_by(session, self._kind, self._name)
        if left:
            with self._runtime.database.writing() as session:
                leases.rescue(session, self._settings.max_attempts, left)
            gc.discard_saves(self._runtime, session)
            log.warning("taken over from the service before this one, which died: %s", ", ".join(left))
            self._runtime.changed()

    def _let_go(self, model_ids: Sequence[int]) -> None:
        """Deletes the rows of models that retention no longer keeps.

        A child that learned while all rows were kept may remember some of them: it is ended, too.
        """
        for model_id in model_ids:
            if retention.settle(self._runtime, model_id, self._stop.is_set) and model_id in self._lasting:
                self._lasting.discard(model_id)
                self._child.kill()
                self._child.warm()
                self._runtime.cache.forget(exam_area(model_area(model_id)))

    def _finish_erasures(self) -> None:
        """Finishes erasures begun here, or by a worker that died since; what is refused is tried again. A child that
        may remember what another worker has erased is replaced, and what is kept of it on this machine deleted."""
        self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
        with self._runtime.database.reading() as session:
            unfinished, last = erasure.unfinished(session), erasure.last(session)
        if self._erased not in (None, last):
            self._child.kill()
            self._child.warm()
        if self._runtime.database.shared and self._erased != last:
            erasure.forget_cached(self._runtime, self._erased or 0.0)
        self._erased = last
        try:
            if unfinished:
                erasure.finish(self._runtime, *unfinished)
                self._runtime.changed()
        except (Busy, DiskFull, StoreAway) as refused:
            log.warning("an erasure is not whole yet, and is tried again: %s", refused.detail)
            self._look_again = time.monotonic() + TRY_AGAIN_SECONDS

    def _step(self) -> bool:
        """Rescues, claims, executes; -> whether there was anything to do."""
        if time.monotonic() >= self._look_again:
            self._finish_erasures()
            self._runtime.store.clear_temporary(now() - gc.WRITING_SECONDS)  # of a child that was killed as it saved
        mark = self._runtime.database.mark()  # before the look: a commit during it is seen by the next one
        if mark == self._at_rest:
            return False
        longest = LEASES_AHEAD * self._settings.lease_seconds
        with self._runtime.database.reading() as session:
            any_open = leases.any_open(session)
            to_do = leases.to_do(session, longest) if any_open else leases.ToDo()
            marks = registry.marks(session)
            outgrown = registry.waiting(session) if marks != self._marks else []
        self._let_go(outgrown)
        if marks and marks != self._marks:
            retention.remove_versions(self._runtime, self._stop.is_set)
        if not self._stop.is_set():
            self._marks = marks
        if not any(to_do):
            if not any_open:
                self._at_rest, self._away, self._put_offs = mark, "", 0  # nothing waits for a cluster any more
            return False
        if to_do.rescue:
            self._rescue(longest)
        else:
            self._ahead = {}
        with self._runtime.database.writing() as session:
            update = leases.claim(session, self._name, self._settings.lease_seconds)
            name = session.get_one(Model, update.model_id).name if update is not None else ""
        self._runtime.changed()
        if update is None:
            return False
        self._runtime.crash("after_claim")
        ids = {"update_id": update.id, "model": name}
        if update.request_id is not None:
            ids["request_id"] = update.request_id
        with logs.at_work(**ids), tracing.span("update", update.traceparent) as span:
            span.tell(tsuika__update_id=update.id, tsuika__model=name, tsuika__attempt=update.attempts)
            self._carry_out(update, span)
        if not self._stop.is_set():
            self._child.warm()
        return True

    def _rescue(self, longest: float) -> None:
        """Queues again what was lost by workers that nobody hears of. `longest`: seconds of a lease."""
        with self._runtime.database.writing() as session:
            silent = self._silent(leases.ahead(session, longest))
            rescued = leases.rescue(session, self._settings.max_attempts, silent)
        gc.discard_saves(self._runtime, session)
        for lost in rescued:
            figures.RESCUED.add()
            log.warning("update %s was rescued: its worker was not heard of", lost)

    def _carry_out(self, update: Update, span: Span) -> None:
        """Runs a claimed update to its end, or to where another worker has it."""
        log.info("begun: attempt %d", update.attempts)
        began = time.perf_counter()
        act_as(Actor(WORKER.by, update.request_id))
        try:
            self._execute(update)
            figures.count(self._runtime, update.id, time.perf_counter() - began, span)
        except LeaseLost as lost:
            figures.LEASES_LOST.add()
            self._child.kill()
            log.warning("the lease of update %s was lost; nothing is published: %s", update.id, lost.detail)
            erasure.sweep(self._runtime)  # what it learned may have been erased meanwhile
        finally:
            act_as(WORKER)
            self._runtime.changed()
        if update.erase:
            self._finish_erasures()

    def _silent(self, ahead: dict[str, float]) -> list[str]:
        """Updates whose lease ends too late, since the clock was set back, and was not prolonged for a whole lease."""
        at = time.monotonic()
        before, self._ahead = self._ahead, {}
        for update_id, until in ahead.items():
            known = before.get(update_id)
            self._ahead[update_id] = known if known is not None and known[0] == until else (until, at)
        return [u for u, (_, since) in self._ahead.items() if at - since > self._settings.lease_seconds]

    def _execute(self, update: Update) -> None:
        """Runs a claimed update to its end. Raises LeaseLost, StoreAway."""
        began = time.perf_counter()
        result, published, saved = None, False, SavedTrainings(self._runtime, update)
        try:
            assignment, result = self._learn(update, saved)
            took = time.perf_counter() - began
            if update.erase:
                self._child.kill()  # its memory holds sums of the rows that are erased now
            published = self._finish(update, assignment, result, took)
        except LeaseLost:
            result = None  # who has it now makes the same bytes
            raise
        except Exception as error:
            self._without_version(update, error)
        finally:
            if result is not None and not published:
                give_up(self._runtime, update.model_id, result)
            saved.tidy()

    def _learn(self, update: Update, saved: SavedTrainings) -> tuple[Assignment | None, Result | None]:
        """Has the child learn it; None and None where nothing is left to learn."""
        with self._runtime.database.reading() as session:
            brief = self._settings.ray is None  # what learns on a cluster cannot ask
            assignment = assign.assignment(self._runtime, session, update, brief)
        if assignment is None:
            return None, None
        if assignment.retention == Retention.ALL:
            self._lasting.add(update.model_id)
        heartbeat = Heartbeat(self._runtime, update, self._stop)
        history = partial(assign.history, self._runtime, assignment)
        result = self._child.run(assignment, self._settings.poll_seconds, heartbeat, saved, history)
        self._away, self._put_offs = "", 0
        return assignment, result

    def _finish(self, update: Update, assignment: Assignment | None, result: Result | None, took: float) -> bool:
        """Ends the update with what was learned; -> whether that was published. took: seconds of learning it."""
        if assignment is None or result is None:
            finish_empty(self._runtime, update.id, update.fence)
            return False
        if result.lost is not None:
            finish_lost(self._runtime, update.id, update.fence, result.lost)
            return False
        cost = result.report.cost
        parts = {"queue": cost.wait_seconds, "handover": took - cost.seconds, **cost.parts}
        of_base = {shard.digest for shard in assignment.base.shards} if assignment.base is not None else ()
        return publish(self._runtime, update.id, update.fence, result.timed(parts), of_base) is not None

    def _without_version(self, update: Update, error: Exception) -> None:
        """Ends, hands back or puts off an update that `error` cut short. Raises LeaseLost; and StoreAway, which is no
        fault of the update: the attempt does not count."""
        match error:
            case BudgetSpent():
                finish_lost(self._runtime, update.id, update.fence, error.detail)
            case Cancelled():
                with self._runtime.database.writing() as session:
                    updates.cancelled(session, leases.owned(session, update.id, update.fence))
            case ClusterAway():
                self._put_off(update, error)
            case Stopping() | Yielding() | StoreAway():
                with self._runtime.database.writing() as session:
                    leases.hand_back(session, leases.owned(session, update.id, update.fence))
                if isinstance(error, StoreAway):
                    raise error
            case _:
                self._fail(update, error)

    def _put_off(self, update: Update, away: ClusterAway) -> None:
        """Queues an update again until the cluster can take it, with growing delays. Raises LeaseLost."""
        if away.detail != self._away:
            log.warning("it waits: %s", away.detail)
        delay = self._settings.retry_delay_seconds * 2.0 ** min(self._put_offs, 10)
        self._away, self._put_offs = away.detail, self._put_offs + 1
        with self._runtime.database.writing() as session:
            leases.put_off(session, leases.owned(session, update.id, update.fence), _report(away), delay)

    def _fail(self, update: Update, error: Exception) -> None:
        """Records an error: a refusal is final, all else is tried again with growing delays. Raises LeaseLost."""
        report, refused = _report(error), isinstance(error, FINAL)
        unexpected = None if refused or isinstance(error, ChildFailed | DiskFull) else error
        log.warning("update %s: %s; the update says why", update.id, report["title"], exc_info=unexpected)
        if isinstance(error, CorruptArtifact | Incomplete):
            self._child.kill()  # what it remembers is not what the store holds
        with self._runtime.database.writing() as session:
            owned = leases.owned(session, update.id, update.fence)
            if refused:
                owned.error = report
                states.advance(session, owned, UpdateState.FAILED, "failed", **report)
            else:
                attempts, delay = self._settings.max_attempts, self._settings.retry_delay_seconds
                leases.retry_later(session, owned, report, attempts, delay)


def _report(error: Exception) -> dict[str, str]:
    """An error as it is stored with its update."""
    if isinstance(error, TsuikaError):
        return {"type": f"/problems/{error.slug}", "title": error.title, "detail": error.detail}
    detail = f"{type(error).__name__}: {error}"[:2000]
    return {"type": f"/problems/{ChildFailed.slug}", "title": ChildFailed.title, "detail": detail}
