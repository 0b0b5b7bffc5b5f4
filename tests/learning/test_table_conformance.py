"""What every method must keep on tables: it learns them as it learns vectors, or refuses and names what can."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, MlpBackbone
from service.contract.tables import value_code
from service.errors import MethodRefused
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_shard, unpack_shard
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.cost import retraining_cost
from service.learning.method import Learned
from service.learning.methods import METHODS, resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.every_method import each
from tests.learning.memory_data import MemoryData
from tests.learning.table_streams import CITIES, CITY, LATE, SHOP, class_rows, shop

BACKBONES = {"identity": Architecture(), "mlp": Architecture(backbone=MlpBackbone(name="mlp", hidden=[16]))}


def data_of(backbone: str, known: list[Rows], batch: Rows) -> MemoryData:
    return MemoryData(SHOP, BACKBONES[backbone], known, batch)


@cache
def first(backbone: str) -> tuple[Checkpoint, Rows]:
    """A trained net, or an exact head where nothing trains."""
    batch = class_rows("bat_0", shop(150))
    asked = {"name": "retrain"} if backbone == "mlp" else {"name": "ridge", "lift": "none"}
    return learn(None, data_of(backbone, [], batch), *resolve(asked), Run(seed=1)).checkpoint, batch


def outcome(name: str, base: Checkpoint, data: MemoryData) -> Learned | str:
    """What the method made, or the sentence it refuses with."""
    few = {"epochs": 3} if "epochs" in METHODS[name].Params.model_fields else {}
    try:
        return learn(base, data, *resolve({"name": name, **few}), Run(seed=1))
    except MethodRefused as refused:
        return str(refused)


def bits(parts: Checkpoint) -> dict[str, bytes]:
    return {part: pack_shard(tensors) for part, tensors in parts.parts.items()}


@pytest.mark.parametrize("name", each())
def test_a_batch_with_values_that_are_new_is_learned_or_refused_with_the_remedy(name: str) -> None:
    rows = shop(60, seed=1, cities=(*CITIES, LATE))
    labelled = class_rows("bat_1", rows)
    for backbone in BACKBONES:
        base, known = first(backbone)
        data = data_of(backbone, [known], replace(labelled, names=(*labelled.names[:-1], "a new class")))
        before, made = bits(base), outcome(name, base, data)
        assert bits(base) == before, backbone
        if isinstance(made, str):
            assert any(other in made for other in [*METHODS, *BACKBONES] if other != name), (backbone, made)
            continue
        got = made.checkpoint
        assert set(got.classes) == {*base.classes, "a new class"}, backbone
        assert value_code(LATE) in got.learned_values().codes[CITY], backbone
        with torch.no_grad():
            answers = build(got)(torch.from_numpy(rows))
            again = Checkpoint(got.layout, {p: unpack_shard(packed) for p, packed in bits(got).items()}, got.learned)
            assert torch.equal(build(again)(torch.from_numpy(rows)), answers), backbone
        assert torch.isfinite(answers).all(), backbone
        assert ClassContext().examine(base, made, data, Run()).report.after.rows > 0, backbone
        assert bits(outcome(name, base, data).checkpoint) == bits(got), backbone


def test_a_net_learns_the_features_of_a_table() -> None:
    base, _ = first("mlp")
    rows = shop(300, seed=5)
    with torch.no_grad():
        best = build(base)(torch.from_numpy(rows)).argmax(1).numpy()
    right = np.array(base.classes)[best] == np.array(class_rows("bat_9", rows).names)[class_rows("bat_9", rows).labels]
    assert right.mean() > 0.75


def test_joint_training_of_a_table_has_a_cost() -> None:
    base, known = first("identity")
    data = data_of("identity", [known], class_rows("bat_1", shop(60, seed=1)))
    assert retraining_cost(base, data, 10) > 3 * 10 * 210 * SHOP.features * 256 * 0.5
