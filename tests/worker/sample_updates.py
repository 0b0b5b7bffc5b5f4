"""Batches with rows in the store, assignments, and results as a child reports them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from sqlalchemy.orm import Session

from service.contract.enums import Interference, Outcome, UpdateKind
from service.contract.inputs import Architecture, VectorInput
from service.contract.policy import GatePolicy
from service.contract.reports.class_report import BatchEvidence, NewClassesScore, OldClasses, Pair, Report
from service.contract.reports.facts import Cost, GateReport, Rule
from service.learning.data.serialization import pack_rows, pack_shard
from service.learning.network.input_scale import InputScale
from service.learning.network.network import fresh, parts_of
from service.registry import batches, leases, models
from service.registry.sql.tables import Batch, Update
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.worker.assignment import Assignment, Entry, Places, Result, Shard, Step
from tests.registry.facts import LEASE, model
from tests.updating import make_rows

SPACE = "5" * 64
COST = Cost(
    seconds=0.1, wait_seconds=0.0, rows=8, parameters_added=0, bytes_added=0, share_of_retraining=None, multiply_adds=0
)


def with_batches(runtime: Runtime, number: int, **fields: object) -> list[str]:
    """The model "digits" without versions, and so many batches of it; -> their ids"""
    with runtime.database.writing() as session:
        model(session, **fields)
        return [store_batch(runtime, session, seed=k).id for k in range(number)]


def store_batch(runtime: Runtime, session: Session, name: str = "digits", seed: int = 0) -> Batch:
    """Eight rows of two numbers."""
    model = models.get(session, name)
    inputs = np.random.default_rng(seed).normal(size=(8, 2)).astype(np.float32)
    batch_id = batches.new_batch_id()
    rows = make_rows(batch_id, inputs, list("abababab"), b"secret")
    digest = runtime.store.put(model_area(model.id), pack_rows(rows))
    folds = {"a": [1, 0, 3, 0], "b": [1, 0, 3, 0]}
    facts = batches.Arrival(batch_id, sha256(b"%d" % seed).hexdigest(), digest, 8, rows.counts(), folds, [], None, True)
    return batches.accept(session, model, facts)[0]


def result(
    runtime: Runtime,
    learned: Sequence[str],
    outcome: Outcome = Outcome.PASS,
    blames_batch: bool = False,
    seed: int = 0,
    area: str = model_area(1),
    entries: Sequence[Entry] | None = None,
) -> Result:
    """An untrained head over two classes, its bytes in the store; by default with an entry of each batch."""
    generator = torch.Generator().manual_seed(seed)
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    network = fresh(VectorInput(kind="vector", size=2), Architecture(), scale, ["a", "b"], generator)
    shards = []
    for part, tensors in parts_of(network).items():
        data = pack_shard(tensors)
        digest = runtime.store.put(SHARDS, data)
        shards.append(Shard(part=part, digest=digest, bytes=len(data), learned=list(learned)))
    return Result(
        learned=list(learned),
        layout=network.layout.model_dump(mode="json"),
        shards=shards,
        classes=["a", "b"],
        feature_space=SPACE,
        ledger_digest="6" * 64,
        bits=runtime.store.put(area, b"bits of " + str(seed).encode()),
        parameters=6,
        report=report(outcome),
        outcome=outcome,
        method={"name": "ridge"},
        why="ridge: asked for by name.",
        entries=[entry(runtime, b, area) for b in learned] if entries is None else list(entries),
        learned_rows=6,
        exam_rows=2,
        blames_batch=blames_batch,
    )


def entry(runtime: Runtime, batch_id: str, area: str = model_area(1)) -> Entry:
    """Of a batch of eight rows, its bytes in the store."""
    digest = runtime.store.put(area, f"entry of {batch_id}".encode())
    return Entry(batch=batch_id, space=SPACE, digest=digest, rows=8)


def assignment(name: str, **params: Any) -> Assignment:
    """To learn one batch of rows of two numbers by this method."""
    return Assignment(
        update="upd_1",
        kind=UpdateKind.LEARN,
        places=Places(store="/nowhere", cache="/nowhere", cache_bytes=0, area="model-1"),
        input=VectorInput(kind="vector", size=2),
        architecture=Architecture(),
        policy=GatePolicy(),
        base=None,
        start=None,
        steps=[Step(batches=["bat_1"], method={"name": name, **params}, seed=0)],
        rows={},
        counts={},
        entries={},
    )


def report(outcome: Outcome) -> Report:
    """Nothing was measured."""
    rule = Rule(name="forgets", number=5, limit=0.02, value=None, passed=outcome is Outcome.PASS, why="Why not.")
    return Report(
        before=None,
        after=None,
        old_classes=OldClasses(
            before=None, after=None, interval=None, masked=Pair(before=None, after=None), intrusion=None
        ),
        new_classes=NewClassesScore(names=[], after=None, interval=None),
        forgetting=None,
        interference=Interference.NONE,
        worst_class=None,
        negative_flips=None,
        positive_flips=None,
        yardstick=None,
        batch=BatchEvidence(conflicts=None),
        cost=COST,
        gate=GateReport(outcome=outcome, rules=[rule], why="Why not."),
        exact=True,
    )


def claimed(runtime: Runtime, worker: str = "w1") -> Update:
    """The next update, ours."""
    with runtime.database.writing() as session:
        update = leases.claim(session, worker, LEASE)
    assert update is not None
    return update
