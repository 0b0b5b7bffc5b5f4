"""The accelerator side: an assignment in, stored shards and a report out. No database."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from service.contract.enums import UpdateKind
from service.errors import MethodRefused
from service.learning.backbones.extractor import SharedWeights
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack, pack_rows, pack_shard
from service.learning.evaluation.cost import retraining_cost
from service.learning.evaluation.examine import Candidate, Context, examine
from service.learning.imported_classes import refuse_to_forget
from service.learning.ledger.ledger import Ledger
from service.learning.method import Learned
from service.learning.methods import METHODS
from service.learning.network.checkpoint import Checkpoint
from service.learning.retention import refused
from service.learning.retraction import blank, certify
from service.learning.run import Run
from service.learning.update import learn
from service.storage.artifacts import SHARDS, exam_area
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.worker.assignment import Assignment, Result, Shard
from service.worker.child.challenger import against, beside, better, within
from service.worker.child.load import load, past
from service.worker.child.method_choice import Chosen, around, choose
from service.worker.child.model_store import Memory, Shelf
from service.worker.child.phase_times import Parts
from service.worker.child.stored_data import StoredData
from service.worker.child.write_behind import WriteBehind


@dataclass(frozen=True, eq=False)
class Done:
    """What an assignment came to, before it is stored. `chosen` null: everything was taken back."""

    candidate: Candidate
    data: StoredData
    chosen: Chosen | None
    lost: str | None = None

    @property
    def why(self) -> str:
        """Why this method."""
        return self.chosen.why if self.chosen else "Nothing was left to learn."


class Workshop:
    """Executes assignments one after another and remembers the ledgers and exams it met."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._keep: list[tuple[Cache, str, str, Rows | Ledger]] = []
        self._weights: list[SharedWeights] = []
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="store")

    def execute(
        self, assignment: Assignment, progress: Callable[[str, int, int], None], check: Callable[[], None]
    ) -> Result:
        """Learn, judge, store. Raises Cancelled, MethodRefused, and whatever goes wrong; then it stores no more."""
        places = assignment.places
        store = WriteBehind(LocalArtifacts(Path(places.store), crash=_crasher(places.crash_point)), self._threads)
        try:
            return self._execute(assignment, store, progress, check)
        finally:
            store.stop()

    def _execute(
        self,
        assignment: Assignment,
        store: WriteBehind,
        progress: Callable[[str, int, int], None],
        check: Callable[[], None],
    ) -> Result:
        started, parts = time.perf_counter(), Parts(progress)
        places = assignment.places
        cache = Cache(Path(places.cache), places.cache_bytes)
        for area in (places.area, exam_area(places.area)):
            cache.enter(area)
        shelf = Shelf(
            store,
            cache,
            places.area,
            assignment.rows,
            {(e.batch, e.space): e.digest for e in assignment.entries},
            self._memory,
            assignment.retention,
        )
        context = Context(
            policy=assignment.policy,
            past=past(assignment, store),
            live=assignment.base.number if assignment.base else None,
            wait_seconds=assignment.wait_seconds,
            started=started,
        )
        base = load(assignment.base, store) if assignment.base else None
        if base is not None:  # held, so that the next update of such a model does not read them again
            self._weights = [tensors for tensors in base.parts.values() if isinstance(tensors, SharedWeights)]
        seed = assignment.steps[-1].seed if assignment.steps else 0
        if assignment.champion is not None:
            check = within(assignment.budget_seconds, started, check)
        run = Run(seed=seed, progress=parts.progress, check=check)
        execute = _learn if assignment.kind is UpdateKind.LEARN else _take_back
        done = execute(assignment, shelf, base, run, context)
        parts.progress("storing", 0, 1)
        remembered = done.data.remember(done.candidate.space)
        self._keep = [(cache, places.area, name, thing) for name, thing in remembered.items()]
        result = _stored(assignment, done, shelf)
        store.settle()
        if shelf.restore(done.candidate.space, run):
            result = _stored(assignment, done, shelf)
            store.settle()
        return result.timed(parts.seconds(), seconds=time.perf_counter() - started)

    def tidy(self) -> None:
        """What can wait until the result is told: write the new sums to the cache."""
        for cache, area, name, thing in self._keep:
            if isinstance(thing, Ledger):
                cache.put(area, name, thing.pack())
            else:
                cache.put(exam_area(area), name, pack_rows(thing))
        self._keep = []


def _learn(assignment: Assignment, shelf: Shelf, base: Checkpoint | None, run: Run, context: Context) -> Done:
    [step] = assignment.steps
    base = _knowing(base)
    known = assignment.base.learned if assignment.base else []
    data = _data(assignment, shelf, known, step.batches, run)
    run.progress("choosing", 0, 1)
    chosen = choose(step.method, base, data, around(assignment))
    run.progress("choosing", 1, 1)
    layout = base.layout if base is not None else None
    if reason := refused(chosen.method, chosen.params, assignment.retention, assignment.architecture, layout):
        raise MethodRefused(reason)
    epochs = int(METHODS["retrain"].Params().model_dump()["epochs"])
    context = replace(context, retraining=retraining_cost(base, data, epochs))
    refuse_to_forget(chosen.method, base, data)
    learned = learn(base, data, chosen.method, chosen.params, run)
    if chosen.unless is not None:
        learned, chosen = better(base, data, (learned, chosen), chosen.unless, run)
    if assignment.champion is None:
        return Done(examine(base, learned, data, run, context), data, chosen)
    champion = load(assignment.champion, shelf.store)
    chosen, lost = against(champion, learned.checkpoint, data, chosen, run)
    everything = _data(assignment, shelf, data.learned, [], run)
    context = replace(context, live=assignment.champion.number)
    return Done(beside(base, champion, learned, data, everything, run, context), data, chosen, lost)


def _take_back(assignment: Assignment, shelf: Shelf, base: Checkpoint | None, run: Run, context: Context) -> Done:
    """The lineage without the named batches, measured but not vetoed, with its certificate."""
    assert base is not None
    start = load(assignment.start, shelf.store) if assignment.start else None
    checkpoint = _knowing(start)
    before = assignment.start.learned if assignment.start else []
    known = [b for b in before if b not in assignment.removed]
    learned, chosen, by_auto = Learned(start) if start else blank(assignment.input, base), None, False
    for step in assignment.steps:
        data = _data(assignment, shelf, known, step.batches, run)
        chosen = choose(step.method, checkpoint, data)
        something = len(data.batch) if checkpoint is None else step.batches or len(known) < len(before)
        if something:
            learned = learn(checkpoint, data, chosen.method, chosen.params, replace(run, seed=step.seed))
            by_auto = by_auto or step.by_auto
        checkpoint, known = _knowing(learned.checkpoint), [*known, *step.batches]
    data = _data(assignment, shelf, known, [], run)
    learned = replace(learned, out_of_fold=None)  # of the rows of the last step: here no rows are new
    return Done(
        certify(base, learned, data, assignment.removed, run, context, assignment.appeared, by_auto), data, chosen
    )


def _knowing(base: Checkpoint | None) -> Checkpoint | None:
    """The base, unless everything was taken back from it: then learning begins as on a model without a version."""
    return base if base is not None and base.classes else None


def _data(assignment: Assignment, shelf: Shelf, known: Sequence[str], new: Sequence[str], run: Run) -> StoredData:
    counts, sources = assignment.counts, assignment.sources
    return StoredData(
        shelf,
        assignment.input,
        assignment.architecture,
        known,
        new,
        run,
        known_rows=sum(counts[b] for b in known),
        kept_rows=sum(assignment.kept.get(b, 0) for b in known),
        known_sources=frozenset(sources[b] for b in known if b in sources),
        sources=sources,
        weights=assignment.weights,
    )


def _stored(assignment: Assignment, done: Done, shelf: Shelf) -> Result:
    """Bytes first: everything is in the store before anybody hears of it."""
    candidate, checkpoint = done.candidate, done.candidate.checkpoint
    shards = []
    there = {s.digest: s for s in assignment.base.shards} if assignment.base else {}
    for part, tensors in checkpoint.parts.items() if done.lost is None else ():
        learned = sorted(checkpoint.learned.get(part, frozenset()))
        if isinstance(tensors, SharedWeights) and tensors.digest in there:
            shards.append(there[tensors.digest].model_copy(update={"part": part, "learned": learned}))
            continue
        data = pack_shard(tensors)
        shards.append(Shard(part=part, digest=shelf.store.put(SHARDS, data), bytes=len(data), learned=learned))
    gate = candidate.report.gate
    return Result(
        learned=done.data.learned,
        layout=checkpoint.layout.model_dump(mode="json"),
        shards=shards,
        classes=list(checkpoint.classes),
        feature_space=candidate.space.id if candidate.ledger_digest else None,
        ledger_digest=candidate.ledger_digest,
        bits=shelf.store.put(assignment.places.area, pack(candidate.bits.arrays())),
        parameters=checkpoint.parameters,
        report=candidate.report,
        outcome=gate.outcome,
        method=done.chosen.request if done.chosen else None,
        why=_how_taken_back(assignment) if assignment.kind is UpdateKind.RETRACT else done.why,
        entries=shelf.made,
        learned_rows=int(done.data.batch.learning.sum()),
        exam_rows=len(done.data.ledger(candidate.space).exam),
        trusted=done.data.trusted(candidate.space),
        challenge=done.chosen.challenge if done.chosen else None,
        lost=done.lost,
        blames_batch=next((r.number in (1, 2) for r in gate.rules if r.severity == "rejected"), False),
    )


def _how_taken_back(assignment: Assignment) -> str:
    """Why the retraction could use the method it used."""
    if not any(step.batches for step in assignment.steps):
        if not assignment.steps:
            start = assignment.start
            nothing = "Everything was taken back."
            return f"Version {start.number} stands: nothing else was learned since." if start else nothing
        return "Subtracted: only the exact head had learned it, so the head was solved anew from what is left."
    updates = len(assignment.steps)
    count = "1 update was" if updates == 1 else f"{updates} updates were"
    return f"Replayed: weights had learned it, so {count} run again without it."


def _crasher(point: str | None) -> Callable[[str], None]:
    """Tests cut the power of the whole service at a named point, this process included."""

    def crash(reached: str) -> None:
        if reached == point:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    return crash
