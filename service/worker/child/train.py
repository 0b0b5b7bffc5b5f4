"""Executes assignments: learns, judges, and stores what comes of it. No database."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from service.contract.enums import UpdateKind
from service.errors import DeviceFull, MethodRefused
from service.learning import devices
from service.learning.absent_rows import refuse_to_forget, refused
from service.learning.backbones.extractor import SharedWeights
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack, pack_shard
from service.learning.evaluation.challenge import earlier_batches
from service.learning.evaluation.context import Candidate, Champion, UpdateContext
from service.learning.evaluation.cost import retraining_cost
from service.learning.ledger.ledger import Ledger
from service.learning.method import Learned
from service.learning.methods import METHODS
from service.learning.network.checkpoint import Checkpoint
from service.learning.retraction import Retraction, blank, certify
from service.learning.run import IN_SEQUENCE, UNWATCHED, Run, Tasks
from service.learning.update import learn
from service.learning.wording import rows
from service.storage.artifacts import SHARDS, exam_area
from service.storage.cache import Cache
from service.storage.opening import open_store
from service.telemetry import tracing
from service.worker.assignment import Assignment, BatchFacts, Result, Shard
from service.worker.child.challenger import InTime, better, challenge, within_budget, without_first_notes
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Memory, Remembered
from service.worker.child.data.stored_data import StoredData
from service.worker.child.load import context_of, load
from service.worker.child.method_choice import StepChoice, choose, surroundings_of
from service.worker.child.phase_times import PhaseTimes
from service.worker.child.saves import trainings_of
from service.worker.child.write_behind import WriteBehind

log = logging.getLogger("tsuika.child")

PATIENCE_SECONDS = 60.0
"""For so long a store that is away is tried again before the update is handed back: what was learned is not lost."""


@dataclass(frozen=True, eq=False)
class Execution:
    """What an assignment came to, before it is stored. `chosen` is None where everything was taken back."""

    candidate: Candidate
    data: StoredData
    chosen: StepChoice | None
    lost: str | None = None

    @property
    def why(self) -> str:
        return self.chosen.why if self.chosen else "Nothing was left to learn."


class Executor:
    """Executes assignments one after another and remembers the ledgers and exams that they used. tasks: makes what
    works on parts of an update elsewhere, if anything does."""

    def __init__(self, tasks: Callable[[], Tasks] = lambda: IN_SEQUENCE) -> None:
        self._tasks = tasks
        self._memory = Memory()
        self._cache = lru_cache(maxsize=1)(Cache)  # one cache for all updates, which knows how full it is
        self._unwritten: list[tuple[Remembered, str, Rows | Ledger]] = []
        self._weights: list[SharedWeights] = []
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="store")
        self._device = devices.CPU

    def execute(
        self,
        assignment: Assignment,
        run: Run = UNWATCHED,
        saved: Callable[[str], None] = lambda digest: None,
        history: Callable[[], BatchFacts] | None = None,
    ) -> Result:
        """Learns, judges, stores. Raises Cancelled, MethodRefused, and whatever goes wrong; then it stores no more.

        run: by whom it is watched · saved: told the digest of each save of its trainings · history: asks for the facts
        that a brief assignment lacks.
        """
        places = assignment.places
        crash = _crasher(places.crash_point)
        cache = self._cache(Path(places.cache), places.cache_bytes, places.reserve_bytes)
        durable = open_store(places.store, crash, cache, PATIENCE_SECONDS, places.reserve_bytes)
        for area in (places.area, exam_area(places.area)):
            cache.enter(area)
        self._device = device = devices.device_named(assignment.device)
        log.info("learning on %s", devices.described(device))
        run = replace(run, device=device, trainings=trainings_of(assignment, durable, saved), tasks=self._tasks())
        store = WriteBehind(durable, self._threads)
        try:
            with devices.deterministic(device):
                return self._execute(assignment, store, cache, run, history)
        except RuntimeError as error:
            if not devices.full(error):
                raise
            raise DeviceFull(f"{devices.memory(device)}: {str(error).partition('. ')[0]}.") from error
        finally:
            store.stop()

    def _execute(
        self,
        assignment: Assignment,
        store: WriteBehind,
        cache: Cache,
        run: Run,
        history: Callable[[], BatchFacts] | None,
    ) -> Result:
        started, phases = time.perf_counter(), PhaseTimes(run.progress)
        run = replace(run, seed=assignment.steps[-1].seed if assignment.steps else 0, progress=phases.progress)
        if assignment.champion is not None:
            run = within_budget(run, assignment.budget_seconds, started)
        model_store = ModelStore(store, cache, assignment, self._memory, run, history)
        context = context_of(assignment, store, self._memory.bits, started)
        base = model_store.load(assignment.base) if assignment.base else None
        if base is not None:  # held, so that the next update of such a model does not read them again
            self._weights = [tensors for tensors in base.parts.values() if isinstance(tensors, SharedWeights)]
        execute = _learn if assignment.kind is UpdateKind.LEARN else _retract
        execution = execute(model_store, base, context)
        phases.progress("storing", 0, 1)
        remembered = execution.data.remember(execution.candidate.space)
        self._unwritten = [(model_store.remembered, name, thing) for name, thing in remembered.items()]
        result = _store(execution, model_store)
        store.settle()
        if model_store.restore(execution.candidate.space):
            result = _store(execution, model_store)
            store.settle()
        return result.timed(phases.seconds(), seconds=time.perf_counter() - started)

    def release(self) -> None:
        """Leaves the memory of the device to others until the next update."""
        devices.release(self._device)

    def tidy(self) -> None:
        """Writes the new sums to the cache, which can wait until the result is reported."""
        for remembered, name, thing in self._unwritten:
            remembered.keep(name, thing)
        self._unwritten = []


def _learn(model_store: ModelStore, base: Checkpoint | None, context: UpdateContext) -> Execution:
    """Learns new batches, and judges what came of it."""
    assignment, run = model_store.assignment, model_store.run
    [step] = assignment.steps
    base = _unless_empty(base)
    known = assignment.base.learned if assignment.base else []
    surroundings, data = surroundings_of(assignment), StoredData(model_store, known, step.batches)
    run.progress("choosing", 0, 1)
    chosen = choose(step.method, base, data, surroundings)
    run.progress("choosing", 1, 1)
    layout = base.layout if base is not None else None
    if reason := refused(chosen.method, chosen.params, assignment.retention, assignment.architecture, layout):
        raise MethodRefused(reason)
    if "kept" in chosen.method.needs and data.known_elsewhere:
        raise MethodRefused(
            f"{chosen.method.name} learns kept rows again, and rows that this model knows are elsewhere (a merged "
            "ledger). Use auto, ridge or lda; or take the ledger back first."
        )
    epochs = int(METHODS["retrain"].Params().model_dump()["epochs"])
    context = replace(context, retraining=retraining_cost(base, data, epochs))
    refuse_to_forget(chosen.method, base, data)
    with tracing.span(f"method {chosen.method.name}"):
        learned = learn(base, data, chosen.method, chosen.params, run)
    if data.merged_rows:
        learned = replace(learned, notes=(*learned.notes, *_of_merge(learned, data.merged_rows)))
        chosen = replace(chosen, why=f"A ledger was merged: {chosen.method.name} as in the live version, solved anew.")
    if base is not None:
        in_time = InTime(data, StoredData(model_store, known, []), data)
        learned, chosen = better(base, in_time, learned, chosen, run, context)
    if assignment.champion is None:
        with tracing.span("judge"):
            return Execution(context.examine(base, learned, data, run), data, chosen)
    champion = Champion(load(assignment.champion, model_store.store), base)
    in_time = _in_time(model_store, data)
    learned, chosen, lost = challenge(champion.checkpoint, in_time, learned, chosen, run, context)
    everything = StoredData(model_store, data.learned, [])
    context = replace(context, live=assignment.champion.number)
    candidate = context.examine_challenger(champion, without_first_notes(learned), data, everything, run)
    return Execution(candidate, data, chosen, lost)


def _in_time(model_store: ModelStore, data: StoredData) -> InTime:
    """The data parted before the newest batches."""
    counts = model_store.facts(data.learned).counts
    earlier = earlier_batches({batch: counts[batch] for batch in data.learned})
    later = data.learned[len(earlier) :]
    return InTime(data, StoredData(model_store, earlier, []), StoredData(model_store, [], later))


def _of_merge(learned: Learned, elsewhere: int) -> list[str]:
    """Notes on rows that are elsewhere: what no test has seen, and what they count."""
    exact = learned.checkpoint.layout.exact
    seen = (
        f"{rows(elsewhere)} from elsewhere, merged as sums: no test of this gate has seen them. It judged by rows here."
    )
    faded = "Older batches count less: the merged rows count as those of a batch that came now, whatever their age."
    return [seen, *([faded] if exact is not None and exact.decay < 1 else [])]


def _retract(model_store: ModelStore, base: Checkpoint | None, context: UpdateContext) -> Execution:
    """Learns the lineage again without the named batches. It is measured, not vetoed, and gets a certificate."""
    assignment, run = model_store.assignment, model_store.run
    assert base is not None
    assert assignment.base is not None
    start = model_store.load(assignment.start) if assignment.start else None
    checkpoint = _unless_empty(start)
    before = assignment.start.learned if assignment.start else []
    known = [b for b in before if b not in assignment.removed]
    learned, chosen, by_auto = Learned(start) if start else blank(assignment.input, base), None, False
    last: StoredData | None = None
    for step in assignment.steps:
        data = last = StoredData(model_store, known, step.batches)
        chosen = choose(step.method, checkpoint, data)
        if len(data.batch) if checkpoint is None else step.batches or len(known) < len(before):
            with tracing.span(f"method {chosen.method.name}"):
                learned = learn(checkpoint, data, chosen.method, chosen.params, replace(run, seed=step.seed))
            by_auto = by_auto or step.by_auto
        checkpoint, known = _unless_empty(learned.checkpoint), [*known, *step.batches]
    data = StoredData(model_store, known, [])
    own = learned  # with answers to the rows of the last step: for the exam no rows are new
    retraction = Retraction(frozenset(assignment.removed), assignment.appeared, by_auto)
    candidate = certify(base, replace(learned, out_of_fold=None), data, run, context, retraction)
    if last is not None and not set(assignment.steps[-1].batches) <= set(assignment.base.learned):
        candidate = context.with_suspects(candidate, own, last)
    return Execution(candidate, data, chosen)


def _unless_empty(base: Checkpoint | None) -> Checkpoint | None:
    """The base, or None where everything was taken back from it: learning begins as on a model without a version."""
    return base if base is not None and base.outputs else None


def _store(execution: Execution, model_store: ModelStore) -> Result:
    """Stores shards and answers; -> the result that names them."""
    assignment = model_store.assignment
    candidate, checkpoint = execution.candidate, execution.candidate.checkpoint
    shards = []
    of_base = {s.digest: s for s in assignment.base.shards} if assignment.base else {}
    everything = execution.data.everything  # parts that learned all of it have this very set, which may be large
    if len(everything) < len(execution.data.learned):  # a merged ledger, too
        everything = frozenset(execution.data.learned)
    for part, tensors in checkpoint.parts.items() if execution.lost is None else ():
        of_part = checkpoint.learned.get(part, frozenset())
        whole = of_part and (of_part is everything or of_part == everything)
        learned = None if whole else sorted(of_part)
        shared = tensors if isinstance(tensors, SharedWeights) and tensors.digest in of_base else None
        data = b"" if shared is not None else pack_shard(tensors)
        digest = hashlib.sha256(data).hexdigest() if shared is None else shared.digest
        if digest in of_base:  # what a version names is not deleted
            shards.append(of_base[digest].model_copy(update={"part": part, "learned": learned}))
        else:
            digest = model_store.store.put(SHARDS, data)
            shards.append(Shard(part=part, digest=digest, bytes=len(data), learned=learned))
    gate, bits = candidate.report.gate, pack(candidate.bits.arrays())
    digest = model_store.store.put(model_store.area, bits)
    model_store.remembered.memory.bits[digest] = bits
    return Result(
        learned=execution.data.learned,
        layout=checkpoint.layout.model_dump(mode="json"),
        shards=shards,
        classes=list(checkpoint.classes),
        feature_space=candidate.space.id if candidate.ledger_digest else None,
        ledger_digest=candidate.ledger_digest,
        bits=digest,
        parameters=checkpoint.parameters,
        trained_on=model_store.device,
        report=candidate.report,
        outcome=gate.outcome,
        method=execution.chosen.request if execution.chosen else None,
        why=_why_retracted(assignment) if assignment.kind is UpdateKind.RETRACT else execution.why,
        entries=model_store.made,
        learned_rows=int(execution.data.batch.learning.sum()) + execution.data.merged_rows,
        exam_rows=len(execution.data.ledger(candidate.space).exam),
        trusted=execution.data.trusted(candidate.space),
        challenge=execution.chosen.challenge if execution.chosen else None,
        lost=execution.lost,
        blames_batch=next((r.number in (1, 2) for r in gate.rules if r.severity == "rejected"), False),
    )


def _why_retracted(assignment: Assignment) -> str:
    """How a retraction was carried out, and why that was enough."""
    if not any(step.batches for step in assignment.steps):
        start = assignment.start
        if start is None:
            return "Everything was taken back."
        if start != assignment.base:
            return f"Version {start.number} stands: nothing else was learned since."
        return "Subtracted: what it taught was taken out of the exact sums, and the head solved anew from what is left."
    if len(assignment.steps) == 1 and assignment.start == assignment.base:
        return "Subtracted and added: the corrected rows took their place in the exact sums, the head was solved anew."
    updates = len(assignment.steps)
    count = "1 update was" if updates == 1 else f"{updates} updates were"
    return f"Replayed: weights had learned it and cannot unlearn it, so {count} run again without it."


def _crasher(point: str | None) -> Callable[[str], None]:
    """Kills the service, this process included, at a named point: tests cut the power there."""

    def crash(reached: str) -> None:
        if reached == point:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    return crash
