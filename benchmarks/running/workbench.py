"""A model in process: the worker's own execution of assignments over a temporary store, without HTTP and database."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.running.timing import timed_methods
from service.contract.enums import Outcome, UpdateKind
from service.contract.inputs import Architecture, InputSpec
from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.reports.class_report import Report
from service.contract.reports.number_report import NumberReport
from service.contract.tables import TableInput
from service.contract.targets import Target, policy_of
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import AnyPolicy
from service.errors import BudgetSpent
from service.learning.data.rows import NAMELESS, Array, Known, Rows, rows_of
from service.learning.data.serialization import pack_rows
from service.learning.data.sides import SETTLING_ROWS, Folding, settle
from service.learning.evaluation.assessment import ages
from service.learning.gate.numbers.number_gate import shows_a_move
from service.learning.methods import AUTO
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.part_kinds import DECIDED, REMADE, SOLVED, kind_of
from service.serving.predictor import Predictor, load
from service.storage.artifacts import SHARDS, model_area
from service.storage.local import LocalArtifacts
from service.worker.assignment import Assignment, Bits, Lineage, Places, Result, Shown, Step, Stored
from service.worker.child.load import load as load_checkpoint
from service.worker.child.train import Executor

SECRET = b"the folds of a benchmark"
LINEAGE = ("live", "number", "again", "_bits", "_lineage", "_stopped", "_history", "_learning", "_challenged")
"""What of a model says where its lineage stands."""


class Model:
    """One model's lineage. `learn` makes and judges a version, which goes live as the service would let it.

    made: what the last update came to · newest: the last batch · challenges: how each challenger of `auto` fared ·
    again: outcomes of stopped batches that were learned again, once the stream had moved ·
    challenge_seconds, method_seconds: of the processor, of all challengers and of the last update's method alone ·
    secret: keys the hash that puts rows into folds · named: of tables, the name of each value of a growing category, by
    column and code. Leave it with `close`, or use it as a context.
    """

    def __init__(
        self,
        input: InputSpec,
        architecture: Architecture | None = None,
        policy: AnyPolicy | None = None,
        folder: Path | None = None,
        secret: bytes = SECRET,
        target: Target | None = None,
    ) -> None:
        self._secret = secret
        self.target: Target = target or ClassTarget()
        self.input, self.architecture = input, architecture or Architecture()
        self.policy = policy or policy_of(self.target, {})
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        root = folder or Path(self._temporary.name if self._temporary else ".")
        self._store = LocalArtifacts(root / "store")
        self._places = Places(
            store=(root / "store").absolute().as_uri(),
            cache=str(root / "cache"),
            cache_bytes=4 * 2**30,
            area=model_area(1),
        )
        self._executor = Executor()
        self._rows: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._sources: dict[str, str] = {}
        self._learning: dict[str, int] = {}
        self.named: dict[str, dict[float, str]] = {}
        self._values: dict[str, dict[str, dict[str, int]]] = {}
        self._folding = Folding(input=input)
        self._entries: dict[str, dict[str, str]] = {}
        self._lineage = Lineage()
        self._bits: list[Bits] = []
        self._step: Step | None = None
        self._history: list[tuple[Stored, Step]] = []
        self._stopped: list[tuple[Step, list[dict[str, float]]]] = []
        self.again: list[str] = []
        self._challenged = 0
        self.live: Stored | None = None
        self.made: Result | None = None
        self.newest = ""
        self.expected = False
        self.number = 0
        self.challenges: list[str] = []
        self.challenge_seconds = self.method_seconds = 0.0

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete what was stored in a temporary folder."""
        if self._temporary:
            self._temporary.cleanup()

    def learn(
        self,
        inputs: Array,
        labels: Sequence[str],
        method: Mapping[str, Any] | str = "auto",
        seed: int = 0,
        promote: bool | None = None,
        source: str | None = None,
    ) -> Result:
        """One update. promote: None = as the gate says, True = by a person whatever it says, False = never."""
        if not self._folding.settled and len(labels) >= SETTLING_ROWS:
            self._folding = settle(self._folding, inputs, list(labels), self._secret)
        known = Known(source, self._learning, folding=self._folding)
        return self._learn(rows_of(self._next(), inputs, list(labels), self._secret, known), method, seed, promote)

    def learn_numbers(
        self,
        inputs: Array,
        targets: NDArray[np.float64],
        method: Mapping[str, Any] | str = "auto",
        seed: int = 0,
        promote: bool | None = None,
        source: str | None = None,
    ) -> Result:
        """The same where targets are numbers. [n, k]"""
        known = Known(source, self._learning, targets=targets)
        rows = rows_of(self._next(), inputs, [*NAMELESS] * len(inputs), self._secret, known)
        return self._learn(rows, method, seed, promote)

    def _value_counts(self, spec: TableInput, inputs: Array) -> dict[str, dict[str, int]]:
        counts = {}
        for place, column in spec.growing.items():
            codes, rows = np.unique(inputs[~np.isnan(inputs[:, place]), place], return_counts=True)
            names = (self.named[column.name][float(code)] for code in codes)
            counts[column.name] = dict(zip(names, map(int, rows), strict=True))
        return counts

    def _next(self) -> str:
        return f"bat_{len(self._rows):06d}"

    def _learn(self, rows: Rows, method: Mapping[str, Any] | str, seed: int, promote: bool | None) -> Result:
        self.newest = batch = rows.batches[0]
        source = rows.sources[0]
        for name, n in rows.take(rows.learning & ~rows.lent).counts().items():
            self._learning[name] = self._learning.get(name, 0) + n
        self._rows[batch] = self._store.put(self._places.area, pack_rows(rows))
        self._counts[batch] = len(rows)
        if source:
            self._sources[batch] = source
        if isinstance(self.input, TableInput):
            self._values[batch] = self._value_counts(self.input, rows.inputs)
        request = {"name": method} if isinstance(method, str) else dict(method)
        step = Step(batches=[batch], method=request, seed=seed)
        base = self.live
        result = self._execute(self._assignment(UpdateKind.LEARN, base, [step]))
        self.number += 1
        if base and isinstance(result.report, Report) and promote is not False and result.outcome is not Outcome.FAIL:
            self._lineage = self._lineage.model_copy(update={"shown": self._shown(base, result.report)})
        if promote or (promote is None and result.outcome is Outcome.PASS):
            waiting, self._stopped = self._stopped, []
            self._promote(result)
            if result.challenge is not None:
                self._challenge(base, step, result, promote)
            if isinstance(result.report, NumberReport) and result.report.batch.follows:
                for again in waiting:
                    self._again(again, seed)
        elif isinstance(result.report, NumberReport) and promote is None and shows_a_move(result.report):
            self._stopped.append((step, result.report.batch.figures))
            self._lineage = self._lineage.model_copy(update={"stopped": [figures for _, figures in self._stopped]})
        return result

    def _again(self, stopped: tuple[Step, list[dict[str, float]]], seed: int) -> None:
        """Learns a stopped batch again, as the service does by itself once the stream has moved."""
        made = self._execute(self._assignment(UpdateKind.LEARN, self.live, [stopped[0]]))
        self.number += 1
        self.again.append(made.outcome.value)
        if made.outcome is Outcome.PASS:
            self._promote(made)

    def _challenge(self, base: Stored | None, step: Step, made: Result, promote: bool | None) -> None:
        """The update that follows by itself: the challenger learns from the same base, and must beat what was made."""
        assert made.challenge is not None
        assignment = self._assignment(
            UpdateKind.LEARN,
            base,
            [step.model_copy(update={"method": made.challenge.method})],
            champion=self.live,
            budget_seconds=made.challenge.budget_seconds,
        )
        self._challenged = sum(self._counts[b] for b in made.learned)
        began = time.process_time()
        try:
            result = self._execute(assignment)
        except BudgetSpent as spent:
            self.challenges.append(spent.detail)
        else:
            self.number += 1
            self.challenges.append(result.lost or result.why)
            if result.lost is None and (promote or result.outcome is Outcome.PASS):
                self._promote(result)
        self.challenge_seconds += time.process_time() - began

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is learned within is forgotten afterwards: the lineage goes on as if it had not been."""
        kept = {name: copy(getattr(self, name)) for name in LINEAGE}
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(self, name, value)

    def retract(self, batches: Sequence[str]) -> Result:
        """Take batches back, named as `learned` names them; what comes out goes live, as the service would let it.

        An exact head is solved anew; what weights have learned is replayed from the last version without the batches.
        """
        removed, base = set(batches), self._live
        shards = [s for s in base.shards if kind_of(s.part) not in DECIDED | REMADE | SOLVED]
        if base.layout.get("exact") is not None and not any(removed.intersection(s.learned) for s in shards):
            start: Stored | None = base
            steps = [self._history[-1][1].model_copy(update={"batches": []})]
        else:
            clean = next((k for k, (v, _) in reversed([*enumerate(self._history)]) if not removed & {*v.learned}), -1)
            start = self._history[clean][0] if clean >= 0 else None
            later = [step for _, step in self._history[clean + 1 :]]
            steps = [s.model_copy(update={"batches": [b for b in s.batches if b not in removed]}) for s in later]
            steps = [s for s in steps if s.batches]
        result = self._execute(self._assignment(UpdateKind.RETRACT, base, steps, start=start, removed=list(batches)))
        self.number += 1
        self._promote(result)
        return result

    def _assignment(self, kind: UpdateKind, base: Stored | None, steps: list[Step], **more: Any) -> Assignment:
        known = {*(base.learned if base else []), *(b for s in steps for b in s.batches)}
        return Assignment(
            update=f"upd_{len(self._rows):06d}",
            kind=kind,
            places=self._places,
            input=self.input,
            architecture=self.architecture,
            target=self.target,
            policy=self.policy,
            base=base,
            steps=steps,
            rows={b: digest for b, digest in self._rows.items() if b in known},
            counts={b: n for b, n in self._counts.items() if b in known},
            kept={b: n for b, n in self._counts.items() if b in known},
            sources={b: name for b, name in self._sources.items() if b in known},
            values={b: counts for b, counts in self._values.items() if b in known},
            vocabulary={column: sorted(names.values()) for column, names in self.named.items()},
            entries={space: {b: d for b, d in of.items() if b in known} for space, of in self._entries.items()},
            lineage=self._lineage,
            challenged_rows=self._challenged,
            expected=self.expected,
            **{"start": base, **more},
        )

    def _execute(self, assignment: Assignment) -> Result:
        with timed_methods() as spent:
            result = self._executor.execute(assignment)
        self._executor.tidy()
        self.method_seconds = sum(spent)
        for entry in result.entries:
            self._entries.setdefault(entry.space, {})[entry.batch] = entry.digest
        self.made = result
        self._step = assignment.steps[-1] if assignment.steps else None
        if self._step and result.method:
            by_auto = self._step.by_auto or self._step.method["name"] == AUTO
            self._step = self._step.model_copy(update={"method": result.method, "by_auto": by_auto})
        return result

    def _stored(self, result: Result) -> Stored:
        return Stored(number=self.number, layout=result.layout, shards=result.shards, learned=result.learned)

    def _promote(self, result: Result) -> None:
        self.live = self._stored(result)
        if self._step is not None:
            self._history.append((self.live, self._step))
        self._bits += [Bits(version=self.number, digest=result.bits)] if result.bits else []
        if isinstance(self.policy, NumberPolicy):
            last = max(self.policy.slow_loss.versions, self.policy.recent_batches)
            self._lineage = Lineage(bits=self._remembered(last))
            return
        assert isinstance(result.report, Report)
        keep = self.policy.contradicts_class.pooled_batches - 1
        self._lineage = Lineage(
            bits=self._remembered(self.policy.slow_loss.versions),
            evidence=[*self._lineage.evidence, result.report.batch.evidence][-keep:],
            shown=self._lineage.shown if result.outcome is Outcome.PASS else [],
        )

    def _shown(self, base: Stored, report: Report) -> list[Shown]:
        assert isinstance(self.policy, GatePolicy)
        found = report.batch
        rows, conflicts = found.familiar or 0, found.conflicts or 0
        newest = Shown(version=base.number, rows=rows, conflicts=conflicts, evidence=found.evidence)
        return [*self._lineage.shown, newest][-self.policy.contradicts_class.lasting_batches :]

    def _remembered(self, last: int) -> list[Bits]:
        return [self._bits[-age] for age in reversed(ages(last, len(self._bits)))]

    def checkpoint(self, result: Result | None = None) -> Checkpoint:
        """The live version, or the one that an update made, as a method finds it."""
        stored = self._stored(result) if result else self._live
        return load_checkpoint(stored, self._store)

    @property
    def kept_bytes(self) -> int:
        """Of the live version, of all rows, and of their rounded features in each space that it stood on."""
        shards = sum(s.bytes for s in self._live.shards)
        digests = {*self._rows.values(), *(d for of in self._entries.values() for d in of.values())}
        return shards + sum(len(self._store.get(self._places.area, digest)) for digest in digests)

    def predictor(self, result: Result | None = None) -> Predictor:
        """The live version, or the one that an update made, as it is served."""
        layout, shards = (result.layout, result.shards) if result else (self._live.layout, self._live.shards)
        return load(layout, [s.model_dump() for s in shards], lambda digest: self._store.get(SHARDS, digest))

    def predict(self, inputs: Array, result: Result | None = None) -> NDArray[np.object_]:
        """The class of each row by the live version, or by the one that an update made. -> [n] names"""
        predictor = self.predictor(result)
        best = predictor.answer(inputs).values.argmax(1)
        return np.asarray(np.array(predictor.names, object)[best])

    def accuracy(self, inputs: Array, labels: NDArray[Any], result: Result | None = None) -> float:
        """The share of rows whose class is predicted."""
        return float((self.predict(inputs, result) == labels).mean())

    def values(self, inputs: Array, result: Result | None = None) -> NDArray[np.float64]:
        """What is predicted of each row where targets are numbers, likewise. -> [n, k]"""
        return np.asarray(self.predictor(result).answer(inputs).values)

    @property
    def _live(self) -> Stored:
        assert self.live is not None, "no version is live"
        return self.live
