"""Real versions without a worker: an untrained network in the store, its row, and the pointer on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from service.contract.enums import UpdateKind, UpdateState, Verdict
from service.contract.inputs import Architecture, InputSpec, VectorInput
from service.contract.requests import CreateModel
from service.contract.tables import TableInput
from service.learning.data.learned_values import LearnedValues
from service.learning.data.serialization import pack_shard
from service.learning.data.target_grid import NumberGrid
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import InputScale
from service.learning.network.network import fresh, parts_of
from service.learning.network.table_scale import TableScale
from service.registry import deployments, models, states, updates, versions
from service.registry.updates import Order
from service.runtime import Runtime
from service.storage.artifacts import SHARDS

VECTOR = VectorInput(kind="vector", size=3)


def make_model(runtime: Runtime, name: str = "digits", spec: InputSpec = VECTOR, **fields: object) -> int:
    """-> its id"""
    with runtime.database.writing() as session:
        return models.create(session, CreateModel.model_validate({"name": name, "input": spec, **fields})).id


def make_number_model(runtime: Runtime, name: str, grid: NumberGrid, spec: InputSpec = VECTOR, **target: object) -> int:
    """A model of numbers on this grid. -> its id"""
    members = {"scale": grid.scale, "names": grid.names, "size": grid.size, "from": grid.from_}
    return make_model(runtime, name, spec, target={"kind": "number", **members, **target})


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
    return keep_version(runtime, name, Checkpoint(network.layout, parts_of(network)), learned, promote)


def number_checkpoint(grid: NumberGrid, spec: InputSpec = VECTOR, seed: int = 0, intervals: bool = True) -> Checkpoint:
    """A version that answers with numbers on this grid: an untrained head, and the sizes of the errors of five groups.

    The groups meet at -1, -0.5, 0.5 and 1 units; the quantile of level q of group g is (g + 1) q units."""
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    network = fresh(spec, Architecture(), scale, grid.names, torch.Generator().manual_seed(seed))
    layout = network.layout.model_copy(update={"classes": [], "numbers": grid})
    edges = torch.tensor([-1.0, -0.5, 0.5, 1.0]).expand(grid.size, 4).contiguous()
    levels, groups = torch.arange(1, 100) / 100, torch.arange(1, 6)
    quantiles = (groups[:, None] * levels).expand(grid.size, 5, 99).contiguous()
    interval = {"interval": {"edges": edges, "quantiles": quantiles}} if intervals else {}
    return Checkpoint(layout, {**parts_of(network), **interval})


def table_checkpoint(
    spec: TableInput,
    learned: Mapping[str, Sequence[str]] | None,
    names: Sequence[str] = ("a", "b"),
    grid: NumberGrid | None = None,
    seed: int = 0,
    architecture: Architecture | None = None,
) -> Checkpoint:
    """A version of tables: an untrained head over the fixed features. learned: values by column; None: no such part."""
    scale = TableScale.fitted(spec, np.empty((0, len(spec.columns))))
    generator = torch.Generator().manual_seed(seed)
    network = fresh(spec, architecture or Architecture(), scale, grid.names if grid else names, generator)
    layout = network.layout.model_copy(update={"classes": [], "numbers": grid}) if grid else network.layout
    checkpoint = Checkpoint(layout, parts_of(network))
    if learned is None:
        return checkpoint
    counts = {column: dict.fromkeys(values, 20) for column, values in learned.items()}
    return checkpoint.with_values(LearnedValues.of(spec, [counts]), [])


def keep_version(
    runtime: Runtime, name: str, checkpoint: Checkpoint, learned: Sequence[str] = (), promote: bool = True
) -> int:
    """Stores a checkpoint as the next version of a model. -> its number"""
    classes = checkpoint.classes
    packed = {part: pack_shard(tensors) for part, tensors in checkpoint.parts.items()}
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
            layout=checkpoint.layout.model_dump(mode="json", by_alias=True),
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
