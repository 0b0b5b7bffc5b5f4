"""Real versions without a worker: an untrained network in the store, its row, and the pointer on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from service.contract.enums import UpdateKind, UpdateState, Verdict
from service.contract.inputs import Architecture, InputSpec, VectorInput
from service.contract.requests import CreateModel
from service.learning.data.serialization import pack_shard
from service.learning.network.input_scale import InputScale
from service.learning.network.network import fresh, parts_of
from service.registry import deployments, models, states, updates, versions
from service.registry.updates import Order
from service.runtime import Runtime
from service.storage.artifacts import SHARDS

VECTOR = VectorInput(kind="vector", size=3)


def make_model(runtime: Runtime, name: str = "digits", spec: InputSpec = VECTOR, **fields: object) -> int:
    """-> its id"""
    with runtime.database.writing() as session:
        return models.create(session, CreateModel.model_validate({"name": name, "input": spec, **fields})).id


def make_version(
    runtime: Runtime,
    name: str = "digits",
    classes: Sequence[str] = ("a", "b"),
    learned: Sequence[str] = (),
    seed: int = 0,
    promote: bool = True,
    spec: InputSpec = VECTOR,
    architecture: Architecture | None = None,
) -> int:
    """-> its number. Promoted as the gate does it; the routing table is not told."""
    generator = torch.Generator().manual_seed(seed)
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    network = fresh(spec, architecture or Architecture(), scale, classes, generator)
    packed = {part: pack_shard(tensors) for part, tensors in parts_of(network).items()}
    shards = [
        {"part": part, "digest": runtime.store.put(SHARDS, data), "bytes": len(data), "learned": list(learned)}
        for part, data in packed.items()
    ]
    with runtime.database.writing() as session:
        model = models.get(session, name)
        update = updates.enqueue(session, model, Order(UpdateKind.LEARN, learned, {"name": "ridge"}), "anonymous")
        states.advance(session, update, UpdateState.RUNNING, "claimed")
        made = versions.Made(
            learned=learned,
            layout=network.layout.model_dump(mode="json"),
            shards=shards,
            classes=classes,
            feature_space=None,
            ledger_digest=None,
            bits=None,
            parameters=0,
            report={},
        )
        version = versions.add(session, model, update, model.live_version_id, made)
        version.report = None
        update.version_id, update.verdict = version.id, Verdict.PROMOTED if promote else Verdict.HELD
        models.add_classes(session, model, classes)
        if promote:
            deployments.promote(session, model, version, "", deployments.BY_GATE)
        states.advance(session, update, UpdateState.SUCCEEDED, "succeeded")
        return version.number
