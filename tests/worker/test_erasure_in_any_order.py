"""Erased is erased, whatever ran meanwhile: sends, updates, kills and erasures in any order leave no byte of the rows.

Registry, store, cache, arrivals, worker and what its child does are the real ones. The child is in this process, each
of two workers has one, and a kill is a power cut after some operation of the store or the database. A longer run with
more kinds of moves, by hand:
ERASURE_EXAMPLES=500 pytest --long -n 0 --timeout 0 tests/worker/test_erasure_in_any_order.py
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import runtime
from service.api.bodies.decoded_rows import RowsInMemory
from service.api.bodies.new_batch import NewBatch
from service.api.idempotent_posts import Act, Effect, Posts
from service.api.reader.annotations import Annotations
from service.contract import resources
from service.contract.enums import BatchState, NewClasses, UpdateKind
from service.contract.requests import CreateBatch, CreateModel, PatchModel
from service.errors import Cancelled, ChildLost, TsuikaError
from service.learning.data.row_hash import content_digest
from service.learning.run import Run
from service.registry import batches, deployments, models, updates, versions
from service.registry.sql.database import Look
from service.registry.sql.sqlite import Sqlite
from service.registry.sql.tables import Model, Update
from service.registry.updates import Order
from service.settings import Settings, folder_of
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.tuning.messages import Progress
from service.upkeep.named_files import Name
from service.worker.assignment import Assignment, Result
from service.worker.child import train
from service.worker.child.data import stored_data
from service.worker.parent import child_process
from service.worker.parent.loop import Worker
from tests import traces
from tests.acceptance import invariants
from tests.registry.facts import retract

EXAMPLES = int(os.environ.get("ERASURE_EXAMPLES", "0"))
"""Of the run by hand."""
SIZE, ROWS, KINDS = 6, 12, 3
NAME = "digits"
MODEL = CreateModel.model_validate(
    {
        "name": NAME,
        "input": {"kind": "vector", "size": SIZE, "scale": {"range": [-8, 8]}},
        "method": {"name": "ridge", "lift": "none"},
    }
)
METHODS: list[dict[str, Any]] = [
    {"name": "ridge", "lift": "none"},
    {"name": "linear_probe", "epochs": 1},
    {"name": "auto"},
    {"name": "lda"},
]
MEANWHILE = ["nothing", "erase", "cancel and erase", "cancel", "send", "take over"]
which, kinds, workers = st.integers(0, 20), st.integers(0, KINDS - 1), st.sampled_from([None, 0, 0, 1])
cuts = st.sampled_from([None] * 10 + list(range(1, 21)))
"""Operations until the power goes, if it goes."""


def rows(kind: int) -> tuple[list[list[float]], list[str]]:
    """Rows that no other kind has, to the last number."""
    random = np.random.default_rng(700 + kind)
    centres = {"a": -3.0, "b": 3.0}
    labels = ["a", "b"] * (ROWS // 2)
    return [(random.normal(centres[label], 1, SIZE)).round(6).tolist() for label in labels], labels


class PowerCut(BaseException):
    """A process was killed: nothing of it runs any more."""


class Power:
    """What a process lives on: cut after so many operations, it stays cut."""

    def __init__(self) -> None:
        self.left: int | None = None

    def use(self, point: str = "") -> None:
        """One operation."""
        if self.left is not None:
            self.left = max(0, self.left - 1)
            if not self.left:
                raise PowerCut


class Store(LocalArtifacts):
    """Dies with its process: a put half way, everything else before it begins."""

    def __init__(self, root: Path, power: Power) -> None:
        super().__init__(root, crash=power.use)
        self._power = power

    def put(self, area: str, data: bytes) -> str:
        self._power.use()
        return super().put(area, data)

    def delete(self, area: str, digest: str) -> None:
        self._power.use()
        super().delete(area, digest)

    def sweep_temporary(self, area: str) -> None:
        self._power.use()
        super().sweep_temporary(area)

    def sync(self, names: Iterable[tuple[str, str]]) -> None:
        self._power.use()
        super().sync(names)


class Sums(Cache):
    """A cache that dies with its process."""

    def __init__(self, root: Path, max_bytes: int, power: Power) -> None:
        super().__init__(root, max_bytes)
        self._power = power

    def put(self, area: str, name: str, data: bytes) -> None:
        self._power.use()
        super().put(area, name, data)

    def forget(self, area: str) -> None:
        self._power.use()
        super().forget(area)


class Registry(Sqlite):
    """A database of which a process that dies leaves the last commit."""

    def __init__(self, url: str, power: Power) -> None:
        super().__init__(url, Path(url.removeprefix("sqlite:///")))
        self._power = power

    @contextmanager
    def writing(self, look: Look | None = None) -> Iterator[Session]:
        with super().writing(look) as session:
            self._power.use()
            yield session
            self._power.use()

    def scrub(self) -> None:
        self._power.use()
        super().scrub()
        self._power.use()


class Service:
    """A service on a data folder, and what its callers ask for, but for HTTP. What is refused is left so."""

    def __init__(self, data: Path) -> None:
        self.power = Power()
        settings = Settings(
            save_seconds=1e-9,
            data=data,
            lease_seconds=1e-3,
            beat_seconds=1e-4,
            poll_seconds=1e-4,
            retry_delay_seconds=0.0,
        )
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(runtime, "open_database", lambda url, _: Registry(url, self.power))
            patched.setattr(runtime, "open_store", lambda url, *_, **__: Store(folder_of(url), self.power))
            patched.setattr(runtime, "Cache", lambda root, most, _: Sums(root, most, self.power))
            self.runtime = runtime.Runtime(settings)
        self.runtime.crash = self.power.use  # type: ignore[method-assign]
        self._posts = Posts(self.runtime)

    def send(self, kind: int, times: int, again: bool, method: dict[str, Any] | None = None) -> None:
        """The same rows, so many times at once; with a method an update learns them."""
        inputs, labels = rows(kind)
        order = CreateBatch(inputs=[], labels=[], new_classes=NewClasses.ALLOW, again=again, groups=None)
        decoded = RowsInMemory(np.asarray(inputs, np.float32), Annotations(list(labels), np.zeros((len(labels), 0))))
        left = iter(range(times))

        def begin(stored: set[Name]) -> Act:
            new_batch = NewBatch(self.runtime, NAME, decoded, order)
            new_batch.store(stored)
            send_next()  # before the row of this one is there
            return partial(self._accept, new_batch, method)

        def send_next() -> None:
            if next(left, None) is not None:
                with suppress(TsuikaError):
                    self._posts.run(None, begin, brings=True)

        send_next()

    def _accept(self, new_batch: NewBatch, method: dict[str, Any] | None, session: Session) -> Effect:
        batch, _ = new_batch.accept(session)
        if method is not None:
            order = Order(UpdateKind.LEARN, [batch.id], method)
            updates.enqueue(session, models.get(session, NAME), order, "somebody")
        return Effect(201, {}, self._announce)

    def change(self, act: Callable[[Session, Model], object]) -> None:
        """One transaction."""
        with suppress(TsuikaError), self.runtime.database.writing() as session:
            act(session, models.get(session, NAME))
        self._announce()

    def look(self) -> tuple[list[resources.Batch], list[resources.Update]]:
        """Batches and updates, as the API shows them, oldest first."""
        with self.runtime.database.reading() as session:
            model = models.get(session, NAME)
            made = list(session.scalars(select(Update).order_by(Update.id)))
            shown = batches.resources_of(session, model, batches.of(session, model))
            return shown, updates.resources_of(session, made)

    def _announce(self) -> None:
        self.runtime.work.set()
        self.runtime.changed()


class Parents(BaseException):
    """What the parent's own look ends learning with, while it waits for its child."""

    def __init__(self, error: TsuikaError) -> None:
        super().__init__()
        self.error = error


class Child:
    """The child of a worker, in this process: `meanwhile` happens in the middle of what it learns next."""

    def __init__(self, parent: Power) -> None:
        self._parent = parent
        self._executor: train.Executor | None = None
        self.power = Power()
        self.meanwhile: Callable[[], None] | None = None
        self.parent_is_paused = False

    def warm(self) -> None:
        """It starts when it is needed."""

    def kill(self) -> None:
        self._executor, self.power = None, Power()

    @property
    def untidy(self) -> bool:
        """Whether it has something left to do."""
        return self._executor is not None and bool(self._executor._unwritten)

    def tidy(self) -> None:
        """What it does behind the back of its parent."""
        if self._executor is not None:
            with suppress(PowerCut):
                self._executor.tidy()

    def run(
        self,
        assignment: Assignment,
        _tick_seconds: float,
        tick: Callable[[Progress | None], bool],
        saved: Callable[[str], None],
    ) -> Result:
        self.tidy()
        power = self.power

        def progress(phase: str, done: int, total: int) -> None:
            if phase != "reading" and (happens := self.meanwhile) is not None:
                self.meanwhile = None
                happens()
            if self.parent_is_paused:
                return
            try:
                cancel = tick(Progress(phase, done, total))
            except TsuikaError as error:
                raise Parents(error) from error
            if cancel:
                raise Parents(Cancelled("Somebody asked it to stop."))

        def passed_on(digest: str) -> None:
            try:
                saved(digest)
            except TsuikaError as error:
                raise Parents(error) from error

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(train, "open_store", lambda url, *_: Store(folder_of(url), power))
            patched.setattr(stored_data, "UNSAVED_ROWS", stored_data.UNSAVED_LEAST)  # sums are cached at once
            patched.setattr(train, "Cache", lambda root, most, _: Sums(root, most, power))
            self._executor = executor = self._executor or train.Executor()
            try:
                result = executor.execute(assignment, Run(progress=progress), passed_on)
                assert result.learned == assignment.learned  # of which the parent hears nothing
                return result
            except PowerCut:
                if self._parent.left == 0:
                    raise  # both are dead
                self.kill()
                raise ChildLost("The learning process ended before it was done.") from None
            except Parents as raised:
                if not isinstance(raised.error, child_process.Yielding):
                    self.kill()
                raise raised.error from None
            except TsuikaError as error:
                raise child_process.known(error) from error


class Erasing(RuleBasedStateMachine):
    """A model, two workers, and callers who send the same few kinds of rows again and again."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.data = Path(self._folder.name) / "data"
        self.data.mkdir()
        shutil.copy(self.template, self.data / "tsuika.db")
        self.kinds: dict[str, int] = {}
        self.learned = traces.Learned()
        self.digests = {
            content_digest(np.asarray(inputs, np.float32), labels): kind
            for kind, (inputs, labels) in enumerate(map(rows, range(KINDS)))
        }
        self._start()
        with self.service.runtime.database.writing() as session:
            models.create(session, MODEL)
        self.made: list[resources.Update] = []
        self.states: dict[str, BatchState] = {}

    @property
    def there(self) -> bool:
        """Whether a batch can be taken back or erased."""
        return any(state != BatchState.ERASED for state in self.states.values())

    @property
    def pending(self) -> bool:
        """Whether a batch can be learned."""
        return BatchState.PENDING in self.states.values()

    @property
    def queued(self) -> bool:
        """Whether a worker has something to do."""
        return any(update.finished_at is None for update in self.made)

    def _start(self) -> None:
        self.service = Service(self.data)
        self.workers = [Worker(self.service.runtime) for _ in range(2)]
        self.children = [Child(self.service.power) for _ in self.workers]
        for worker, child in zip(self.workers, self.children, strict=True):
            worker._child = child  # type: ignore[assignment]

    def _restart(self) -> None:
        """Everything was killed; it begins anew, as far as its own start."""
        self.service.runtime.close()
        self._start()
        self.workers[0]._begin()

    @contextmanager
    def _cut(self, after: int | None) -> Iterator[None]:
        """The power of the service goes after so many operations; then it is started again."""
        self.service.power.left = after
        try:
            yield
        except PowerCut:
            self._restart()
        self.service.power.left = None

    @rule(
        kind=kinds,
        times=st.integers(1, 3),
        again=st.booleans(),
        method=st.sampled_from([None, *METHODS[: 4 if EXAMPLES else 2]]),
        cut=cuts,
        worker=workers,
    )
    def send(
        self, kind: int, times: int, again: bool, method: dict[str, Any] | None, cut: int | None, worker: int | None
    ) -> None:
        """Rows, with an update or without; a worker may go on at once."""
        with self._cut(cut):
            self.service.send(kind, times, again, method)
            self._go_on(worker)

    @precondition(lambda machine: machine.pending)
    @rule()
    def learn(self) -> None:
        def order(session: Session, model: Model) -> None:
            if waiting := batches.pending(session, model):
                updates.enqueue(session, model, Order(UpdateKind.LEARN, [b.id for b in waiting]), "somebody")

        self.service.change(order)

    @precondition(lambda machine: machine.there)
    @rule(number=which, erase=st.booleans())
    def take_back(self, number: int, erase: bool) -> None:
        """Batches of a kind, of which some batch was picked."""

        def order(session: Session, model: Model) -> None:
            there = [batch.id for batch in batches.of(session, model) if batch.erased_at is None]
            if there:
                kind = self.kinds.get(there[number % len(there)])
                retract(session, model, [batch for batch in there if self.kinds.get(batch) == kind], erase)

        self.service.change(order)

    @precondition(lambda machine: machine.made)
    @rule(number=which, cancel=st.booleans())
    def tell(self, number: int, cancel: bool) -> None:
        def speak(session: Session, _: Model) -> None:
            if made := list(session.scalars(select(Update).order_by(Update.id))):
                (updates.cancel if cancel else updates.retry)(session, made[-1 - number % len(made)])

        self.service.change(speak)

    @precondition(lambda machine: machine.queued)
    @rule(worker=st.integers(0, 1), cut=cuts, child_cut=cuts, meanwhile=st.sampled_from(MEANWHILE), number=which)
    def work(self, worker: int, cut: int | None, child_cut: int | None, meanwhile: str, number: int) -> None:
        """A worker goes on until nothing is to be done; in the middle of the next update something happens."""
        child = self.children[worker]
        happens: dict[str, Callable[[], None]] = {
            "erase": lambda: self.take_back(number, True),
            "cancel and erase": lambda: self._cancel_and_erase(number),
            "cancel": lambda: self.tell(0, True),
            "send": lambda: self.service.send(number % KINDS, 2, False),
            "take over": lambda: self._take_over(1 - worker, number),
        }
        child.meanwhile, child.power.left = happens.get(meanwhile), child_cut
        with self._cut(cut):
            self._go_on(worker, late=bool(number % 2))
        child = self.children[worker]
        child.meanwhile, child.power.left, child.parent_is_paused = None, None, False

    @precondition(lambda machine: machine.there)
    @rule(number=which, worker=workers, cut=cuts)
    def erase(self, number: int, worker: int | None, cut: int | None) -> None:
        """Ordered and done, as far as it comes."""
        self.take_back(number, True)
        with self._cut(cut):
            self._go_on(worker)

    def _cancel_and_erase(self, number: int) -> None:
        self.tell(0, True)
        self.take_back(number, True)

    def _go_on(self, worker: int | None, late: bool = False) -> None:
        """A worker goes on until nothing is to be done, and so does its child, unless that is `late`."""
        for _ in range(5):
            if worker is None or not self.workers[worker]._step():
                break
        if worker is not None and not late:
            self.children[worker].tidy()

    def _take_over(self, worker: int, number: int) -> None:
        """The other worker rescues what a paused one does not beat for, and goes on; the child of that learns on."""
        self.children[1 - worker].parent_is_paused = True
        time.sleep(0.002)  # longer than the lease
        self.workers[worker]._step()
        self.take_back(number, True)
        self._go_on(worker)

    @precondition(lambda machine: any(child.untidy for child in machine.children))
    @rule(worker=st.integers(0, 1))
    def tidy(self, worker: int) -> None:
        self.children[worker].tidy()

    @precondition(lambda _: EXAMPLES)
    @rule(change=st.sampled_from([{"retention": r} for r in ("all", "exemplars", "none")] + [{"promotion": "manual"}]))
    def change(self, change: dict[str, Any]) -> None:
        request = PatchModel.model_validate(change)
        self.service.change(lambda session, model: models.patch(session, model, request))

    @precondition(lambda _: EXAMPLES)
    @rule(number=st.integers(1, 6), back=st.booleans())
    def move(self, number: int, back: bool) -> None:
        def go(session: Session, model: Model) -> None:
            if back:
                deployments.roll_back(session, model, "bad", None, "operator")
            else:
                deployments.promote(session, model, versions.get(session, model, number), "good", "operator")

        self.service.change(go)

    @invariant()
    def erased_is_erased(self) -> None:
        self.learned.look(self.data / "store")
        shown, self.made = self.service.look()
        self.states = {batch.id: batch.state for batch in shown}
        for batch in shown:
            if batch.id not in self.kinds and batch.digest is not None:
                self.kinds[batch.id] = self.digests[batch.digest]
            assert batch.digest is not None or batch.state in ("retracted", "erased")
        for kind in range(KINDS):
            ids = [batch for batch, its in self.kinds.items() if its == kind]
            if ids and all(self.states[batch] == "erased" for batch in ids):
                wanted = set().union(traces.of_rows(*rows(kind)), *(self.learned.of.get(batch, set()) for batch in ids))
                assert not traces.left(self.data, wanted)

    def teardown(self) -> None:
        """Whatever was to be erased is, in the end, and all else is there."""
        for _ in range(50):
            busy = [worker._step() for worker in self.workers]
            self.erased_is_erased()
            if not any(busy):
                break
        shown, made = self.service.look()
        done = {batch for update in made if update.erase and update.state == "succeeded" for batch in update.batches}
        assert done == {batch.id for batch in shown if batch.state == "erased"}
        self.service.runtime.close()
        invariants.hold(self.data, self.kinds)
        self._folder.cleanup()


@pytest.mark.long
def test_erased_rows_are_nowhere_whatever_ran_meanwhile(migrated: Path) -> None:
    machine = type("ErasingOnACopy", (Erasing,), {"template": migrated})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 8,
            stateful_step_count=40 if EXAMPLES else 12,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
